"""What every form of mechanism for finitely many types offers: a face for its file, and the view of each buyer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from optmarket.models.competing_buyers.interim_allocation import InterimAllocation
from optmarket.models.competing_buyers.market import FiniteTypes

# Profiles of reports up to which a mechanism is written out, profile by profile.
PROFILES_WRITTEN_OUT = 20_000


@dataclass(frozen=True, eq=False)
class FiniteMechanism(ABC):
    """Who is recommended what, and what it pays, in a market of finitely many types.

    Attributes
    ----------
    market : FiniteTypes
        That the mechanism is for.
    """

    market: FiniteTypes = field(repr=False)

    @cached_property
    def allocations(self) -> tuple[InterimAllocation, ...]:
        """The interim allocation of each buyer; buyers who are treated symmetrically by construction share one object."""
        return tuple(self._allocations())

    @abstractmethod
    def _allocations(self) -> Sequence[InterimAllocation]:
        """`allocations`, computed."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """As a mechanism file holds it."""
