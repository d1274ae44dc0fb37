"""Reads a mechanism file, in whichever form it is written: by profile, by report counts, by scores, or by cells of types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optmarket.models.competing_buyers.market import FiniteTypes, Market
from optmarket.models.competing_buyers.mechanisms.by_cell import CellMechanism, discretize, read_cells
from optmarket.models.competing_buyers.mechanisms.by_count import AnonymousMechanism
from optmarket.models.competing_buyers.mechanisms.by_profile import ProfileMechanism
from optmarket.models.competing_buyers.mechanisms.by_score import ScoreMechanism
from optmarket.models.competing_buyers.mechanisms.finite_mechanism import FiniteMechanism
from optmarket.models.competing_buyers.mechanisms.json_fields import BY_COUNT, BY_SCORE, refuse_renamed_fields

CompetingMechanism = FiniteMechanism | CellMechanism


def read_mechanism(market: Market, data: Mapping[str, Any]) -> CompetingMechanism:
    """A mechanism for a market from the object of a mechanism file, checked.

    Parameters
    ----------
    market : FiniteTypes, ContinuousValues or ContinuousBeliefs
    data : mapping
        Experiments and payments at every profile, see `ProfileMechanism.read`; by report counts, see `AnonymousMechanism.read`;
        or a rule, see `ScoreMechanism.read`. For a continuum of types with ``cells``, see `by_cell.read_cells`.

    Raises
    ------
    InstanceError
        With the field that does not fit.
    """
    refuse_renamed_fields(data)
    if isinstance(market, FiniteTypes):
        return _read_finite(market, data)
    cells, rest = read_cells(market, data)
    return CellMechanism(market, cells, _read_finite(discretize(market, cells), rest))


def _read_finite(market: FiniteTypes, data: Mapping[str, Any]) -> FiniteMechanism:
    if BY_SCORE[0] in data:
        return ScoreMechanism.read(market, data)
    if BY_COUNT[0] in data:
        return AnonymousMechanism.read(market, data)
    return ProfileMechanism.read(market, data)
