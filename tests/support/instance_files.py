"""Instances of the library, read once, and the values that their files state."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from pathlib import Path

import optmarket as om

PROVED = {"analytic", "exact", "proved"}  # kinds of claims that prove a value


def name(path: Path) -> str:
    return path.name


@cache
def loaded(path: Path) -> om.Instance:
    return om.load(path)


def stated(path: Path, quantity: str = "revenue") -> Fraction:
    """The value an instance states for a quantity, as a proved equality."""
    values = [
        Fraction(claim.value)
        for claim in loaded(path).expect
        if claim.quantity == quantity and claim.relation == "eq" and claim.kind in PROVED
    ]
    assert len(values) == 1, f"{path.name} states {quantity} {len(values)} times"
    return values[0]
