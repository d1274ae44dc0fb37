"""The optimum of competing buyers with a common prior and payoff types by virtual values: no program, exact if finite.

Buyer i is told right with chance x_i; utility above opting out is ``v_i z_i - t_i`` with ``z_i = x_i - th + alpha - share *
(sum of the rivals' x_j)``, th the largest entry of the prior. With phi the ironed virtual values and S_i the sum of the rivals',
times share, revenue is ``E[sum of (phi_i - S_i) x_i] - (th - alpha) * (sum of lowest values)``: each buyer's x_i is chosen alone.
Ex post (th <= x_i <= 1) it is 1 where S_i <= phi_i and th elsewhere. Bayesian (E[x_i | v_i] >= th) it is 1 where
S_i <= max(phi_i, c_i), c_i the th-quantile of S_i, and 0 elsewhere; at S_i = c_i above phi_i one constant fraction.

References: Ravindranath, Jiang and Parkes (2023), theorem 7; Bonatti, Dahleh, Horel and Nouripour (2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from optmarket.errors import ModelError
from optmarket.lp.program import IntArray, NumberArray
from optmarket.models.competing_buyers.market import Kind, Market
from optmarket.models.competing_buyers.virtual_values.sums import Sums, add, add_exactly, told
from optmarket.rationals import floats

LISTED = 20_000  # profiles for which the mechanism is written out
LONGEST = 1024  # bits of a common denominator of virtual values
ROUNDING = 1e-12  # of sums of floats, relative to the payoffs at stake
TIE = 1e-12  # sums of floats this close, relative to the payoffs at stake, count as equal
READABLE = 10**12


# Virtual values --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Virtual:
    """A buyer's distinct values of positive weight, and what they are worth to the seller.

    Attributes
    ----------
    value, weight : array, shape (K,)
        Increasing values; Fractions or floats.
    raw, ironed : array, shape (K,)
        Virtual values before and after ironing.
    place : array of int, shape (types,)
        Where each type of the buyer is among the values; one without weight is at the nearest value below.
    """

    value: NumberArray
    weight: NumberArray
    raw: NumberArray
    ironed: NumberArray
    place: IntArray

    @classmethod
    def of(cls, kind: Kind) -> Virtual:
        """Of a buyer's types."""
        values = sorted({v for v, w in zip(kind.value, kind.weight, strict=True) if w > 0})
        value = np.array(values, dtype=object)
        place = np.maximum(np.searchsorted(value, kind.value, side="right") - 1, 0)
        weight = np.array([Fraction(0)] * len(values), dtype=object)
        np.add.at(weight, place, kind.weight)
        return cls.from_values(value, weight, place)

    @classmethod
    def from_values(cls, value: NumberArray, weight: NumberArray, place: IntArray | None = None) -> Virtual:
        """Of increasing values and their weights."""
        raw = virtual_values(value, weight)
        return cls(value, weight, raw, iron(raw, weight), np.arange(len(value)) if place is None else place)

    @cached_property
    def in_floats(self) -> Virtual:
        """The same in floats."""
        return Virtual(floats(self.value), floats(self.weight), floats(self.raw), floats(self.ironed), self.place)

    @property
    def lowest(self) -> Any:
        """The lowest value."""
        return self.value[0]

    @cached_property
    def pooled(self) -> tuple[NumberArray, NumberArray]:
        """The different ironed virtual values, and their weights."""
        first = np.concatenate([[True], self.ironed[1:] != self.ironed[:-1]])
        return self.ironed[first], np.add.reduceat(self.weight, np.flatnonzero(first))

    @cached_property
    def _above(self) -> tuple[NumberArray, NumberArray]:
        """Weight, and weight times virtual value, of all from each value on, and nothing: shape (K + 1,)."""
        none = self.weight[:1] * 0
        both = [np.concatenate([np.cumsum(each[::-1])[::-1], none]) for each in (self.weight, self.weight * self.ironed)]
        return both[0], both[1]

    def surplus(self, cost: NumberArray) -> NumberArray:
        """E[(phi - cost)^+] at each cost: a monopolist's profit."""
        weight, sums = self._above
        first = np.searchsorted(self.ironed, cost, side="right")
        return np.asarray(sums[first] - cost * weight[first])


def virtual_values(value: NumberArray, weight: NumberArray) -> NumberArray:
    """``phi_k = v_k - (v_{k+1} - v_k) (1 - F_k) / w_k``.

    Parameters
    ----------
    value, weight : array, shape (K,)
        Increasing values; positive weights that sum to 1.

    Returns
    -------
    array, shape (K,)
        In payoff units, exact if the input is.
    """
    above = np.cumsum(weight[::-1])[::-1]
    found = value.copy()
    found[:-1] = value[:-1] - (value[1:] - value[:-1]) * above[1:] / weight[:-1]
    return found


def iron(raw: NumberArray, weight: NumberArray) -> NumberArray:
    """Pool adjacent violators: the nondecreasing virtual values nearest to the raw ones, by weight.

    Parameters
    ----------
    raw, weight : array, shape (K,)

    Returns
    -------
    array, shape (K,)
        Equal on each ironed interval, exact if the input is.
    """
    pools: list[tuple[Any, Any, int]] = []  # level, weight, length
    for level, mass, length in zip(raw.tolist(), weight.tolist(), [1] * len(raw), strict=True):
        while pools and pools[-1][0] >= level:
            before, more, count = pools.pop()
            if before > level:
                level = (before * more + level * mass) / (more + mass)
            mass, length = more + mass, length + count
        pools.append((level, mass, length))
    return np.repeat(np.array([level for level, _, _ in pools], dtype=raw.dtype), [length for _, _, length in pools])


# The market --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Rule:
    """The optimal rule: who is told right at which virtual values.

    Attributes
    ----------
    buyers : tuple of Virtual
    others : tuple of Sums
        S_i of each buyer.
    level, alpha, share : number
        th, alpha and alpha/(n - 1).
    ex_post : bool
    tie : float
        Sums this close count as equal; 0 for Fractions.
    """

    buyers: tuple[Virtual, ...]
    others: tuple[Sums, ...]
    level: Any
    alpha: Any
    share: Any
    ex_post: bool
    tie: float

    @cached_property
    def revenue(self) -> Any:
        """Summed over buyers, in payoff units; if sums are spread, an upper bound."""
        total = sum(one.lowest for one in self.buyers)
        earned = [
            told(sums, self.share * (total - one.lowest), one.lowest, one.surplus, self.level, ex_post=self.ex_post)
            for one, sums in zip(self.buyers, self.others, strict=True)
        ]
        return sum(earned) + self.constant

    @property
    def constant(self) -> Any:
        """What buyers pay because rivals would be told right if they opted out: (alpha - th) times the lowest values."""
        return (self.alpha - self.level) * sum(one.lowest for one in self.buyers)

    @property
    def excess(self) -> float:
        """By how much `revenue` may exceed the truth."""
        return sum(sums.excess for sums in self.others)

    @cached_property
    def thresholds(self) -> list[tuple[Any, Any]]:
        """c_i, and the fraction told right there, of each buyer (Bayesian)."""
        return [sums.threshold(self.level, self.tie) for sums in self.others]

    def right(self, buyer: int, s: NumberArray, phi: NumberArray) -> NumberArray:
        """Chance that a buyer is told right, by S_i and its ironed virtual value, arrays that broadcast."""
        no, yes = self.level * 0, self.level * 0 + 1
        informed = s <= (phi + self.tie if self.tie else phi)
        if self.ex_post:
            return np.asarray(np.where(informed, yes, self.level))
        c, part = self.thresholds[buyer]
        above, below = (c + self.tie, c - self.tie) if self.tie else (c, c)
        held = np.where(s < below, yes, np.where(s <= above, part, no))
        return np.asarray(np.where(phi >= c, np.where(informed, yes, no), held))

    def listed(self) -> list[NumberArray]:
        """x_i at every profile of values, each of shape (K_1, ..., K_n)."""
        n = len(self.buyers)
        axes = [one.ironed.reshape([-1 if k == j else 1 for k in range(n)]) for j, one in enumerate(self.buyers)]
        shape = tuple(len(one.value) for one in self.buyers)
        sums = [sum(self.share * axes[j] for j in range(n) if j != i) for i in range(n)]
        return [np.broadcast_to(self.right(i, s, axes[i]), shape) for i, s in enumerate(sums)]


def rule(market: Market, *, exact: bool | None = None) -> Rule:
    """The optimal rule of a market with a common prior.

    Parameters
    ----------
    market : Market
    exact : bool, optional
        Whether to compute in Fractions; left out: if their numbers are short and few.

    Raises
    ------
    ModelError
        If there is no common prior, or fractions are asked for and too many.
    """
    refuse(market)
    assert market.prior is not None
    kinds = {key: Virtual.of(kind) for key, kind in {id(kind): kind for kind in market.buyers}.items()}
    buyers = tuple(kinds[id(kind)] for kind in market.buyers)
    numbers = max(market.prior), market.externality, market.share
    bits = math.lcm(*(x.denominator for one in kinds.values() for x in [*one.ironed, *one.weight])).bit_length()
    if exact or (exact is None and bits <= LONGEST):
        found = _rule(buyers, numbers, market.ex_post, 0.0)
        if found is not None:
            return found
        if exact:
            raise ModelError(
                f"has too many different sums of {len(buyers) - 1} virtual values to add them in fractions; leave exact out",
                field="params.buyers",
            )
    kept = {key: one.in_floats for key, one in kinds.items()}
    buyers = tuple(kept[id(kind)] for kind in market.buyers)
    found = _rule(buyers, tuple(map(float, numbers)), market.ex_post, TIE * float(market.scale))
    assert found is not None
    return found


def _rule(buyers: tuple[Virtual, ...], numbers: tuple[Any, ...], ex_post: bool, tie: float) -> Rule | None:
    """The rule, sums of alike buyers' virtual values added once; None if fractions are too many."""
    level, alpha, share = numbers
    known: dict[tuple[int, ...], Sums] = {}
    others = []
    for k in range(len(buyers)):
        rest = [one for j, one in enumerate(buyers) if j != k]
        key = tuple(sorted(map(id, rest)))
        if key not in known:
            terms = [(share * one.pooled[0], one.pooled[1]) for one in rest]
            added = add(terms) if tie else add_exactly(terms)
            if added is None:
                return None
            known[key] = added
        others.append(known[key])
    return Rule(buyers, tuple(others), level, alpha, share, ex_post, tie)


def refuse(market: Market) -> None:
    """Check that buyers differ in nothing but values.

    Raises
    ------
    ModelError
        If there is no common prior.
    """
    if market.prior is None:
        raise ModelError(
            "asks for a form that takes one prior for all buyers, and here beliefs are in the types, where misreporting and "
            "disobeying together may pay; must be general or auto",
            field="params.formulation",
        )


def payments(value: NumberArray, net: NumberArray) -> NumberArray:
    """The envelope formula: what leaves the lowest value nothing and each next one as well off as with the item below.

    Parameters
    ----------
    value : array, shape (K,)
        Increasing.
    net : array, shape (K, ...)
        z, interim or at each profile of the others.

    Returns
    -------
    array, as `net`
        In payoff units: ``v_1 z_1``, then ``v_k (z_k - z_{k-1})`` more.
    """
    each = value.reshape([-1] + [1] * (net.ndim - 1))
    steps = np.concatenate([net[:1], net[1:] - net[:-1]])
    return np.asarray(np.cumsum(each * steps, axis=0))


def experiment(prior: NumberArray, x: NumberArray) -> NumberArray:
    """An experiment that tells a buyer right with chance x in every state, obedient if x is at least max(prior) on average.

    In state w it recommends w with chance x and else another action a in proportion to the prior. It is linear in x, so that a
    mean over profiles is the experiment of the mean x; there, recommendation a is obeyed since for every state w
    ``prior_a x >= prior_w (1 - x) prior_a / (1 - prior_w)``, that is x >= prior_w.

    Parameters
    ----------
    prior : array, shape (M,)
    x : array, any shape
        Chances of being told right.

    Returns
    -------
    array, shape x.shape + (M, M)
        Indexed [..., state, action]; rows sum to 1. With two states [[x, 1 - x], [1 - x, x]].
    """
    states = len(prior)
    same = np.eye(states, dtype=bool)
    others = np.where(same, prior[0] * 0, prior[None, :])
    total = others.sum(axis=1, keepdims=True)
    even = np.where(same, 0 * total, 0 * total + Fraction(1, states - 1) if total.dtype == object else 1 / (states - 1))
    wrong = np.where(total == 0, even, others / np.where(total == 0, 1, total))
    x = np.asarray(x)[..., None, None]
    return np.asarray(np.where(same, x, (1 - x) * wrong))


# Answers -----------------------------------------------------------------------------------------------------------------


def told_and_paid(found: Rule) -> tuple[list[NumberArray], list[NumberArray]]:
    """The rule written out.

    Returns
    -------
    told right : list of array, shape (K_1, ..., K_n)
        Of each buyer at every profile of values.
    paid : list of array
        Of each buyer, shape (K_i,) interim (Bayesian), or ex post (K_1, ..., K_n), in payoff units.
    """
    right = found.listed()
    total = sum(right)
    paid = []
    for i, one in enumerate(found.buyers):
        net = right[i] - found.level + found.alpha - found.share * (total - right[i])
        if found.ex_post:
            paid.append(np.moveaxis(payments(one.value, np.moveaxis(net, i, 0)), 0, i))
            continue
        for j in reversed(range(len(found.buyers))):
            if j != i:
                net = np.tensordot(net, found.buyers[j].weight, axes=(j, 0))
        paid.append(payments(one.value, net))
    return right, paid
