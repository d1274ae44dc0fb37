"""The optimal rule of competing buyers with a common prior and finitely many values: who is informed at which virtual values.

Buyer i receives a correct recommendation with chance x_i. Utility above opting out is ``v_i z_i - t_i`` with ``z_i = x_i - th +
alpha - alpha/(n - 1) * (sum of the rivals' x_j)``, th the largest entry of the prior. With phi the ironed virtual values and S_i
the sum of the rivals', times alpha/(n - 1), revenue is ``E[sum of (phi_i - S_i) x_i] - (th - alpha) * (sum of lowest values)``:
each buyer's x_i is chosen alone. Ex post (th <= x_i <= 1) it is 1 where S_i <= phi_i and th elsewhere. Bayesian
(E[x_i | v_i] >= th) it is 1 where S_i <= max(phi_i, c_i), c_i the th-quantile of S_i, and 0 elsewhere; at S_i = c_i above phi_i
it is one constant fraction.

References: Ravindranath, Jiang and Parkes (2023), theorem 7; Bonatti, Dahleh, Horel and Nouripour (2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import numpy as np

from optmarket.arrays import NumberArray
from optmarket.errors import ModelError
from optmarket.models.competing_buyers.market import FiniteTypes
from optmarket.models.competing_buyers.virtual_values.ironing import VirtualValues
from optmarket.models.competing_buyers.virtual_values.recommendations import envelope_payments
from optmarket.models.competing_buyers.virtual_values.sums import (
    SumDistribution,
    add,
    add_exactly,
    largest_virtual_surplus,
)
from optmarket.tolerances import TIE

SumT = TypeVar("SumT", bound=SumDistribution | None)

LONGEST_DENOMINATOR = 1024  # bits of a common denominator of virtual values up to which arithmetic is exact unless it must be


@dataclass(frozen=True, eq=False)
class OptimalRule:
    """Who receives a correct recommendation at which virtual values.

    Attributes
    ----------
    buyers : tuple of VirtualValues
        Of each of the n buyers.
    others : tuple of SumDistribution
        S_i of each buyer.
    uninformed, externality, per_rival : number
        th, alpha and alpha/(n - 1).
    ex_post : bool
    tie : float
        In payoff units: sums this close count as equal; 0 in exact arithmetic.
    """

    buyers: tuple[VirtualValues, ...]
    others: tuple[SumDistribution, ...]
    uninformed: Any
    externality: Any
    per_rival: Any
    ex_post: bool
    tie: float

    @cached_property
    def revenue(self) -> Any:
        """Summed over buyers, in payoff units; if sums are spread, an upper bound."""
        total = sum(one.lowest for one in self.buyers)
        earned = [
            largest_virtual_surplus(
                sums,
                self.per_rival * (total - one.lowest),
                one.lowest,
                one.surplus,
                self.uninformed,
                ex_post=self.ex_post,
            )
            for one, sums in zip(self.buyers, self.others, strict=True)
        ]
        return sum(earned) + self.constant

    @property
    def constant(self) -> Any:
        """What buyers pay because rivals would be informed if they opted out: (alpha - th) times the lowest values."""
        return (self.externality - self.uninformed) * sum(one.lowest for one in self.buyers)

    @property
    def excess(self) -> float:
        """By how much `revenue` may exceed the truth, in payoff units."""
        return sum(sums.excess for sums in self.others)

    @cached_property
    def thresholds(self) -> list[tuple[Any, Any]]:
        """c_i, and the chance of a correct recommendation there, of each buyer (Bayesian)."""
        return [sums.threshold(self.uninformed, self.tie) for sums in self.others]

    def correct(self, buyer: int, s: NumberArray, phi: NumberArray) -> NumberArray:
        """Chance of a correct recommendation to a buyer, by S_i and its ironed virtual value, arrays that broadcast."""
        zero, one = self.uninformed * 0, self.uninformed * 0 + 1
        informed = s <= (phi + self.tie if self.tie else phi)
        if self.ex_post:
            return np.asarray(np.where(informed, one, self.uninformed))
        c, part = self.thresholds[buyer]
        above, below = (c + self.tie, c - self.tie) if self.tie else (c, c)
        by_threshold = np.where(s < below, one, np.where(s <= above, part, zero))
        return np.asarray(np.where(phi >= c, np.where(informed, one, zero), by_threshold))

    def at_profiles(self) -> list[NumberArray]:
        """x_i at every profile of values, each of shape (K_1, ..., K_n)."""
        n = len(self.buyers)
        axes = [one.ironed.reshape([-1 if k == j else 1 for k in range(n)]) for j, one in enumerate(self.buyers)]
        shape = tuple(len(one.value) for one in self.buyers)
        sums = [sum(self.per_rival * axes[j] for j in range(n) if j != i) for i in range(n)]
        return [np.broadcast_to(self.correct(i, s, axes[i]), shape) for i, s in enumerate(sums)]

    def with_payments(self) -> tuple[list[NumberArray], list[NumberArray]]:
        """The rule at every profile, and the payments by the envelope formula.

        Returns
        -------
        correct : list of array, shape (K_1, ..., K_n)
            `at_profiles`.
        payments : list of array
            Of each buyer, shape (K_i,) interim (Bayesian), or ex post (K_1, ..., K_n), in payoff units.
        """
        correct = self.at_profiles()
        total = sum(correct)
        payments = []
        for i, one in enumerate(self.buyers):
            net = correct[i] - self.uninformed + self.externality - self.per_rival * (total - correct[i])
            if self.ex_post:
                payments.append(np.moveaxis(envelope_payments(one.value, np.moveaxis(net, i, 0)), 0, i))
                continue
            for j in reversed(range(len(self.buyers))):
                if j != i:
                    net = np.tensordot(net, self.buyers[j].weight, axes=(j, 0))
            payments.append(envelope_payments(one.value, net))
        return correct, payments


def optimal_rule(market: FiniteTypes, *, exact: bool | None = None) -> OptimalRule:
    """The optimal rule of a market with a common prior; a market's is computed once.

    Parameters
    ----------
    market : FiniteTypes
    exact : bool, optional
        Whether to compute in exact rational arithmetic; left out: if the numbers are short and few.

    Raises
    ------
    ModelError
        If there is no common prior, or exact arithmetic is asked for and takes too many additions.
    """
    return _optimal_rule(market, exact)


@lru_cache(maxsize=16)
def _optimal_rule(market: FiniteTypes, exact: bool | None) -> OptimalRule:
    uninformed, externality, per_rival = market.uninformed, market.externality, market.externality_per_rival
    by_group = [VirtualValues.of(types) for types, _ in market.groups]
    bits = math.lcm(*(x.denominator for one in by_group for x in [*one.ironed, *one.weight])).bit_length()
    if exact or (exact is None and bits <= LONGEST_DENOMINATOR):
        buyers = tuple(by_group[g] for g in market.group_of)
        others = _all_or_none(_sums_of_rivals(buyers, per_rival, add_exactly))
        if others is not None:
            return OptimalRule(buyers, others, uninformed, externality, per_rival, market.ex_post, 0.0)
        if exact:
            raise ModelError(
                f"has too many different sums of {len(buyers) - 1} virtual values to add them exactly; leave exact out",
                field="params.buyers",
            )
    by_group = [one.in_floats for one in by_group]
    buyers = tuple(by_group[g] for g in market.group_of)
    others = tuple(_sums_of_rivals(buyers, float(per_rival), add))
    tie = TIE * float(market.scale)
    return OptimalRule(buyers, others, float(uninformed), float(externality), float(per_rival), market.ex_post, tie)


Terms = list[tuple[NumberArray, NumberArray]]


def _sums_of_rivals(buyers: tuple[VirtualValues, ...], per_rival: Any, add_up: Callable[[Terms], SumT]) -> Iterator[SumT]:
    """The sum of each buyer's rivals' virtual values, times alpha/(n - 1); those of symmetric buyers are added once."""
    known: dict[tuple[int, ...], SumT] = {}
    for k in range(len(buyers)):
        rest = [one for j, one in enumerate(buyers) if j != k]
        key = tuple(sorted(map(id, rest)))
        if key not in known:
            known[key] = add_up([(per_rival * one.distinct[0], one.distinct[1]) for one in rest])
        yield known[key]


def _all_or_none(sums: Iterator[SumDistribution | None]) -> tuple[SumDistribution, ...] | None:
    """All sums, or None as soon as one of them takes too many additions."""
    found = []
    for one in sums:
        if one is None:
            return None
        found.append(one)
    return tuple(found)
