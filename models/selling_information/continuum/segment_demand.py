"""Demand of a continuum of types on a segment: who buys which item of a menu, and what that earns.

For a menu of few items all is computed in exact rational arithmetic, from the numbers as they are printed: then a distribution
however narrow adds no error of its own, and only the masses of a distribution function that is computed in floats are floats.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from optmarket.arrays import FloatArray, IntArray, NumberArray
from optmarket.distributions.cdf import Cdf
from optmarket.models.selling_information.menu import NOTHING
from optmarket.rationals import exact, floats

FEW_ITEMS = 12  # of a menu whose demand is computed in exact rational arithmetic


@dataclass(frozen=True)
class Segment:
    """Types of the same payoffs, whose joint measure of state and context is linear in one number: ``start + x slope``.

    Attributes
    ----------
    distribution : Cdf
        Of the number x.
    start, slope : array, shape (W, K)
        Of floats or of Fractions.
    payoff : array, shape (W, A)
        At least 0.
    """

    distribution: Cdf
    start: NumberArray
    slope: NumberArray
    payoff: NumberArray


@dataclass(frozen=True)
class SegmentDemand:
    """Which types along a segment buy which item.

    Attributes
    ----------
    edges : array, shape (N + 1,)
        Intervals of x, from the least to the largest there is.
    item : array of int, shape (N,)
        What types in an interval buy, `NOTHING` if nothing.
    mass : array, shape (N,)
    earned, kept : Fraction or float
        What the seller earns and what buyers keep, in payoff units; Fractions if all was computed in exact rational arithmetic.
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
    def quantities(self) -> dict[str, float]:
        """What the menu brings about, by the names of `outcomes.QUANTITIES`."""
        return {
            "revenue": self.revenue,
            "surplus": self.surplus,
            "welfare": float(self.earned + self.kept),
            "share-buying": float(self.mass[self.item != NOTHING].sum()),
        }

    def stretches(self, item: int) -> list[tuple[float, float]]:
        """The intervals of x whose types buy an item, neighbouring ones made one and those without mass left out."""
        found: list[tuple[float, float]] = []
        for k in np.flatnonzero((self.item == item) & (self.mass > 0)):
            low, high = float(self.edges[k]), float(self.edges[k + 1])
            if found and found[-1][1] == low:
                low = found.pop()[0]
            found.append((low, high))
        return found


def demand_on_segment(
    segment: Segment, experiment: NumberArray, price: NumberArray, tie: float, *, for_seller: bool = True
) -> SegmentDemand:
    """Let every type of a segment choose from a menu.

    What an experiment is worth is linear in x between the points at which a type changes what it does after some signal; choices
    change there, or where two of these lines meet.

    Parameters
    ----------
    segment : Segment
    experiment : array, shape (M, W, N)
        Of floats, which count as the decimals that name them, or of Fractions.
    price : array, shape (M,)
        Likewise, in payoff units.
    tie : float
        In payoff units. Items count as equally good on an interval if the lines of what they are worth there, net of the price,
        differ from the best one by no more than this for any x from 0 to 1: a narrow distribution ties no more items than a wide
        one.
    for_seller : bool
        Whether ties go to the highest-priced item, or to the cheapest.

    Examples
    --------
    >>> from optmarket.distributions.specification import Distribution
    >>> uniform = Distribution.model_validate({"dist": "uniform"}).as_cdf
    >>> start, slope = np.array([[0], [1]]), np.array([[1], [-1]])
    >>> demand_on_segment(Segment(uniform, start, slope, np.eye(2)), np.eye(2)[None], np.array([0.25]), 0.0).revenue
    0.125
    """
    exactly = len(price) <= FEW_ITEMS
    low, high = (end if exactly else float(end) for end in segment.distribution.support)
    items, prices = _with_nothing(experiment, price, exactly)
    start, slope, payoff = (
        _fractions(part) if exactly else floats(part) for part in (segment.start, segment.slope, segment.payoff)
    )
    constant, rate = (_after_signals(part, items, payoff) for part in (start, slope))
    edges = _sorted([low, high, *(x for x in _switches(constant, rate) if low < x < high)])
    at, along = _lines(constant, rate, (edges[:-1] + edges[1:]) / 2)
    # net of what one gets without buying, and of the price
    at, along = at - at[:, -1:] - prices, along - along[:, -1:]
    finer = _sorted([*edges, *_meetings(edges, at, along)])
    piece = np.searchsorted(edges, finer[:-1], side="right") - 1
    at, along = at[piece], along[piece]
    choice = _choices(at, along, (finer[:-1] + finer[1:]) / 2, floats(prices), tie, for_seller=for_seller)
    rows = np.arange(len(choice))
    at, along = at[rows, choice], along[rows, choice]
    # where others than what is bought meet, nothing changes
    same = (choice[1:] == choice[:-1]) & (at[1:] == at[:-1]) & (along[1:] == along[:-1])
    kept = np.append(True, ~same)
    finer, choice, at, along = finer[np.append(kept, True)], choice[kept], at[kept], along[kept]

    # the ends of the support as they are, not their floats
    ends = segment.distribution.support
    known = [ends[0], *finer[1:-1], ends[1]]
    cells = segment.distribution.cells([edge if isinstance(edge, Fraction) else exact(edge) for edge in known])
    mass, moment = (np.array(part, dtype=object) for part in zip(*cells, strict=True))
    if not exactly:
        mass, moment = floats(mass), floats(moment)
    revenue = (prices[choice] * mass).sum()
    surplus = (at * mass + along * moment).sum()
    item = np.where(choice == len(price), NOTHING, choice)
    return SegmentDemand(floats(finer), item, floats(mass), revenue, surplus)


def _meetings(edges: NumberArray, at: NumberArray, along: NumberArray) -> list[Any]:
    """Where within an interval the lines of two items meet, their values at 0 and slopes each of shape (X, M)."""
    found: list[Any] = []
    for one, two in itertools.combinations(range(at.shape[1]), 2):
        lead, gain = at[:, one] - at[:, two], along[:, two] - along[:, one]
        crosses = np.flatnonzero(gain != 0)
        meet = lead[crosses] / gain[crosses]
        found.extend(meet[(edges[crosses] < meet) & (meet < edges[crosses + 1])])
    return found


def _choices(
    at: NumberArray, along: NumberArray, middle: NumberArray, price: FloatArray, tie: float, *, for_seller: bool
) -> IntArray:
    """The item that types of each interval buy, ties as `demand_on_segment` has them; nothing is the last item."""
    nothing, rows = len(price) - 1, np.arange(len(middle))
    best = (at + along * middle[:, None]).argmax(axis=1)
    behind = at[rows, best][:, None] - at, along[rows, best][:, None] - along
    near = np.asarray((abs(behind[0]) <= tie) & (abs(behind[0] + behind[1]) <= tie))
    near[rows, best] = True
    if not for_seller:
        return np.asarray(np.where(near, price, np.inf).argmin(axis=1))
    pick = np.where(near, price, -np.inf).argmax(axis=1)
    return np.asarray(np.where(near[:, -1] & (price[pick] == 0), nothing, pick))  # what is worth nothing is not bought


def _fractions(numbers: NumberArray) -> NumberArray:
    """Exact numbers, floats being the decimals that name them."""
    return np.frompyfunc(exact, 1, 1)(np.asarray(numbers, dtype=object))  # type: ignore[no-any-return]  # numpy says Any


def _with_nothing(experiment: NumberArray, price: NumberArray, exactly: bool) -> tuple[NumberArray, NumberArray]:
    """Items and prices, nothing for nothing last; exact rows sum to one exactly."""
    nothing = np.zeros((1, *experiment.shape[1:]))
    nothing[:, :, 0] = 1.0
    number = _fractions if exactly else floats
    items = np.concatenate([number(experiment), number(nothing)])
    prices = np.concatenate([number(price), number(np.zeros(1))])
    return items / items.sum(axis=2, keepdims=True) if exactly else items, prices


def _after_signals(measure: NumberArray, items: NumberArray, payoff: NumberArray) -> NumberArray:
    """Payoff of each action after each signal of each item in each context, shape (M, N, K, A)."""
    return np.asarray(
        sum(
            items[:, state, :, None, None] * measure[state][None, None, :, None] * payoff[state][None, None, None, :]
            for state in range(len(payoff))
        )
    )


def _switches(constant: NumberArray, rate: NumberArray) -> list[Any]:
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
