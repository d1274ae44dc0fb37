"""The market as exact arrays, which everything else is computed from."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from optmarket.arrays import NumberArray
from optmarket.models._template.params import Params


@dataclass(frozen=True)
class Market:
    """A buyer's types and a seller's cost.

    Attributes
    ----------
    weight, value : object array, shape (T,)
        Fractions; values in payoff units.
    names : tuple of str
    cost : Fraction
        In payoff units.
    """

    weight: NumberArray
    value: NumberArray
    names: tuple[str, ...]
    cost: Fraction

    @classmethod
    def of(cls, params: Params) -> Market:
        """The arrays of validated parameters.

        Examples
        --------
        >>> Market.of(Params(types=[{"weight": 1, "value": "5/2"}])).value.tolist()
        [Fraction(5, 2)]
        """
        return cls(
            np.array([one.weight for one in params.types], dtype=object),
            np.array([one.value for one in params.types], dtype=object),
            tuple(one.name or str(k) for k, one in enumerate(params.types, start=1)),
            params.cost,
        )

    @cached_property
    def unit(self) -> Fraction:
        """The payoff scale: the largest value of a type of positive weight, or 1 if that is 0."""
        return max(self.value[self.weight != 0]) or Fraction(1)

    @cached_property
    def first_best(self) -> Fraction:
        """What all trades that are worth their cost would bring, in payoff units: no mechanism earns more."""
        gains = [max(value - self.cost, Fraction(0)) for value in self.value]
        return sum((weight * gain for weight, gain in zip(self.weight, gains, strict=True)), Fraction(0))
