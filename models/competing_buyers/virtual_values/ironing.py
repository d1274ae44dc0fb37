"""Virtual values of finitely many values, ironed so that they rise: what each value is worth to the seller."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from optmarket.arrays import IntArray, NumberArray
from optmarket.modeling.concave import iron
from optmarket.models.competing_buyers.market import BuyerTypes
from optmarket.rationals import floats


@dataclass(frozen=True, eq=False)
class VirtualValues:
    """A buyer's distinct values of positive weight, and what they are worth to the seller.

    Attributes
    ----------
    value, weight : array, shape (K,)
        Increasing values, in payoff units; Fractions or floats.
    raw, ironed : array, shape (K,)
        Virtual values before and after ironing.
    place : array of int, shape (T,)
        Where each type of the buyer is among the values; one without weight is at the nearest value below.
    """

    value: NumberArray
    weight: NumberArray
    raw: NumberArray
    ironed: NumberArray
    place: IntArray

    @classmethod
    def of(cls, types: BuyerTypes) -> VirtualValues:
        """Those of a buyer's types."""
        values = sorted({v for v, w in zip(types.value, types.weight, strict=True) if w > 0})
        value = np.array(values, dtype=object)
        place = np.maximum(np.searchsorted(value, types.value, side="right") - 1, 0)
        weight = np.array([Fraction(0)] * len(values), dtype=object)
        np.add.at(weight, place, types.weight)
        return cls.from_values(value, weight, place)

    @classmethod
    def from_values(cls, value: NumberArray, weight: NumberArray, place: IntArray | None = None) -> VirtualValues:
        """Those of increasing values and their weights."""
        raw = virtual_values(value, weight)
        return cls(value, weight, raw, iron(raw, weight), np.arange(len(value)) if place is None else place)

    @cached_property
    def in_floats(self) -> VirtualValues:
        """The same in floats."""
        return VirtualValues(floats(self.value), floats(self.weight), floats(self.raw), floats(self.ironed), self.place)

    @property
    def lowest(self) -> Any:
        """The lowest value."""
        return self.value[0]

    @cached_property
    def distinct(self) -> tuple[NumberArray, NumberArray]:
        """The different ironed virtual values, and their weights."""
        first = np.concatenate([[True], self.ironed[1:] != self.ironed[:-1]])
        return self.ironed[first], np.add.reduceat(self.weight, np.flatnonzero(first))

    @cached_property
    def _sums_from_each(self) -> tuple[NumberArray, NumberArray]:
        """Weight, and weight times virtual value, of all from each value on, and 0 at the end: shape (K + 1,)."""
        zero = self.weight[:1] * 0
        both = [np.concatenate([np.cumsum(each[::-1])[::-1], zero]) for each in (self.weight, self.weight * self.ironed)]
        return both[0], both[1]

    def surplus(self, cost: NumberArray) -> NumberArray:
        """E[(phi - cost)^+] at each cost: a monopolist's profit, in payoff units."""
        weight, sums = self._sums_from_each
        first = np.searchsorted(self.ironed, cost, side="right")
        return np.asarray(sums[first] - cost * weight[first])


def virtual_values(value: NumberArray, weight: NumberArray) -> NumberArray:
    """``phi_k = v_k - (v_{k+1} - v_k) (1 - F_k) / w_k`` (Myerson 1981, for finitely many values).

    Parameters
    ----------
    value, weight : array, shape (K,)
        Increasing values; positive weights that sum to 1.

    Returns
    -------
    array, shape (K,)
        In payoff units, exact if the input is.

    Examples
    --------
    >>> virtual_values(np.array([1.0, 2.0]), np.array([0.5, 0.5])).tolist()
    [0.0, 2.0]
    """
    above = np.cumsum(weight[::-1])[::-1]
    found = value.copy()
    found[:-1] = value[:-1] - (value[1:] - value[:-1]) * above[1:] / weight[:-1]
    return found
