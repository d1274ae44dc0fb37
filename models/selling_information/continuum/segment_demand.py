"""A continuum of types on a segment and any menu: who buys what between points of indifference, and what that earns.

A menu of few items is judged in rational arithmetic, from the numbers as they are printed: then a distribution however narrow is
served without an error of its own, and only the masses of a distribution function that is computed in floats are floats.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from optmarket.distributions.cdf import Law
from optmarket.lp.program import FloatArray, IntArray, NumberArray
from optmarket.models.selling_information.menu import NOTHING
from optmarket.rationals import exact, floats

FEW = 12  # items of a menu that is judged in rational arithmetic


@dataclass(frozen=True)
class Segment:
    """Types of the same payoffs, whose joint measure of state and context is linear in one number: ``start + x slope``.

    Attributes
    ----------
    law : Law
        Of x.
    start, slope : array, shape (W, K)
        Of floats or of Fractions.
    payoff : array, shape (W, A)
        At least 0.
    """

    law: Law
    start: NumberArray
    slope: NumberArray
    payoff: NumberArray


@dataclass(frozen=True)
class Served:
    """Who buys what along a segment.

    Attributes
    ----------
    edges : array, shape (N + 1,)
        Intervals of x, from the least to the largest there is.
    item : array of int, shape (N,)
        What types in an interval buy, `NOTHING` if nothing.
    mass : array, shape (N,)
    earned, kept : Fraction or float
        By the seller and by buyers; Fractions if menu and distribution were judged in rational arithmetic.
    """

    edges: FloatArray
    item: IntArray
    mass: FloatArray
    earned: Fraction | float
    kept: Fraction | float

    @property
    def revenue(self) -> float:
        """What the seller earns."""
        return float(self.earned)

    @property
    def surplus(self) -> float:
        """What buyers keep."""
        return float(self.kept)

    @property
    def outcome(self) -> dict[str, float]:
        """What the menu brings about."""
        return {
            "revenue": self.revenue,
            "surplus": self.surplus,
            "welfare": float(self.earned + self.kept),
            "share-served": float(self.mass[self.item != NOTHING].sum()),
        }


def serve(segment: Segment, experiment: FloatArray, price: FloatArray, tie: float, *, for_seller: bool = True) -> Served:
    """Let every type of a segment choose from a menu.

    What an experiment is worth is linear in x between the points at which a type changes what it does after some signal; choices
    change there, or where two of these lines meet.

    Parameters
    ----------
    segment : Segment
    experiment : array, shape (M, W, N)
    price : array, shape (M,)
    tie : float
        Items count as equally good on an interval if the lines of what they are worth there, net of the price, differ from the
        best one by no more than this for any x from 0 to 1: a narrow distribution ties no more items than a wide one.
    for_seller : bool
        Whether ties go to the highest-priced item, or to the lowest-priced.
    """
    in_fractions = len(price) <= FEW
    low, high = (end if in_fractions else float(end) for end in segment.law.support)
    items, prices = _with_nothing(experiment, price, in_fractions)
    start, slope, payoff = (_fractions(part) if in_fractions else floats(part) for part in _primitives(segment))
    constant, rate = (_after_signals(part, items, payoff) for part in (start, slope))

    edges = _sorted([low, high, *(x for x in _turns(constant, rate) if low < x < high)])
    at, along = _lines(constant, rate, (edges[:-1] + edges[1:]) / 2)
    # net of what one gets without, and of the price
    at, along = at - at[:, -1:] - prices, along - along[:, -1:]
    found = list(edges)
    for one, two in itertools.combinations(range(len(prices)), 2):
        lead, gain = at[:, one] - at[:, two], along[:, two] - along[:, one]
        crosses = np.flatnonzero(gain != 0)
        meet = lead[crosses] / gain[crosses]
        found.extend(meet[(edges[crosses] < meet) & (meet < edges[crosses + 1])])
    finer = _sorted(found)
    middle = (finer[:-1] + finer[1:]) / 2
    piece = np.searchsorted(edges, finer[:-1], side="right") - 1
    at, along = at[piece], along[piece]
    utility = at + along * middle[:, None]
    rows = np.arange(len(middle))
    best = utility.argmax(axis=1)
    behind = at[rows, best][:, None] - at, along[rows, best][:, None] - along
    near = np.asarray((abs(behind[0]) <= tie) & (abs(behind[0] + behind[1]) <= tie))
    near[rows, best] = True
    posted = floats(prices)
    if for_seller:
        pick = np.where(near, posted, -np.inf).argmax(axis=1)
        pick = np.where(near[:, -1] & (posted[pick] == 0), len(price), pick)  # what is worth nothing is not bought
    else:
        pick = np.where(near, posted, np.inf).argmin(axis=1)

    at, along = at[rows, pick], along[rows, pick]
    # where others than what is bought meet, nothing changes
    same = (pick[1:] == pick[:-1]) & (at[1:] == at[:-1]) & (along[1:] == along[:-1])
    kept = np.append(True, ~same)
    finer, pick, at, along = finer[np.append(kept, True)], pick[kept], at[kept], along[kept]

    cells = segment.law.cells([edge if isinstance(edge, Fraction) else exact(edge) for edge in _known(finer, segment)])
    mass, moment = (np.array(part, dtype=object) for part in zip(*cells, strict=True))
    if not in_fractions:
        mass, moment = floats(mass), floats(moment)
    revenue = (prices[pick] * mass).sum()
    surplus = (at * mass + along * moment).sum()
    item = np.where(pick == len(price), NOTHING, pick)
    return Served(floats(finer), item, floats(mass), revenue, surplus)


def _primitives(segment: Segment) -> tuple[NumberArray, NumberArray, NumberArray]:
    return segment.start, segment.slope, segment.payoff


def _fractions(numbers: NumberArray) -> NumberArray:
    """Exact numbers, floats being the decimals that they are printed as."""
    return np.frompyfunc(exact, 1, 1)(np.asarray(numbers, dtype=object))  # type: ignore[no-any-return]


def _with_nothing(experiment: FloatArray, price: FloatArray, in_fractions: bool) -> tuple[NumberArray, NumberArray]:
    """Items and prices, nothing for nothing last; in fractions rows sum to one exactly."""
    nothing = np.zeros((1, *experiment.shape[1:]))
    nothing[:, :, 0] = 1.0
    items: NumberArray = np.concatenate([experiment, nothing])
    prices: NumberArray = np.append(price, 0.0)
    if in_fractions:
        items, prices = _fractions(items), _fractions(prices)
        items = items / items.sum(axis=2, keepdims=True)
    return items, prices


def _after_signals(measure: NumberArray, items: NumberArray, payoff: NumberArray) -> NumberArray:
    """Payoff of each action after each signal of each item in each context, shape (M, N, K, A)."""
    return np.asarray(
        sum(
            items[:, state, :, None, None] * measure[state][None, None, :, None] * payoff[state][None, None, None, :]
            for state in range(len(payoff))
        )
    )


def _turns(constant: NumberArray, rate: NumberArray) -> list[Any]:
    """All x at which some type changes what it does after some signal."""
    found: list[Any] = []
    for one, two in itertools.combinations(range(constant.shape[3]), 2):
        lead, gain = constant[..., one] - constant[..., two], rate[..., two] - rate[..., one]
        crosses = gain != 0
        found.extend(lead[crosses] / gain[crosses])
    return found


def _lines(constant: NumberArray, rate: NumberArray, x: NumberArray) -> tuple[NumberArray, NumberArray]:
    """What items are worth near each x to types who act best, as lines: value at 0 and slope, each of shape (X, M)."""
    after = constant + rate * x[:, None, None, None, None]
    action = after.argmax(axis=4)[..., None]
    lines = (np.take_along_axis(np.broadcast_to(part, after.shape), action, axis=4)[..., 0] for part in (constant, rate))
    at, along = (line.sum(axis=(2, 3)) for line in lines)
    return at, along


def _sorted(points: list[Any]) -> NumberArray:
    """Different points in order; at least two, though they be the same."""
    different = sorted(set(points))
    return np.array(different if len(different) > 1 else different * 2)


def _known(edges: NumberArray, segment: Segment) -> list[Any]:
    """Edges with the ends of the support as they are, not their floats."""
    low, high = segment.law.support
    return [low, *edges[1:-1], high]
