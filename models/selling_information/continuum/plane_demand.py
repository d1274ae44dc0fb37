"""Types of every belief in two states and every value, and any menu: who buys what, and what that surely earns.

With s_j(theta) what item j is worth to a buyer of value 1, net of what it gets without, a buyer of value v keeps ``v s_j - t_j``.
For one belief the items bought by some value are the upper envelope of lines in v. Along beliefs the lines are linear between
points at which somebody changes what it does after a signal; so the value from which on an item beats another rises or falls all
along such a stretch, and where the same items are on the envelope at both ends of it they are so all along.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline
from scipy.optimize import minimize_scalar

from optmarket.distributions.cdf import Law, PiecewiseLinear
from optmarket.lp.program import FloatArray, IntArray
from optmarket.rationals import exact, floats

CELLS = 5 * 2**10  # of beliefs, to begin with
MOST_CELLS = 2**22  # of beliefs, times items: half a gigabyte
MOST_SUMMED = 2**24  # the same where a sum of them is all there is to keep,
BLOCK = 2**17  # of so many at once
SPLIT = 8
SLIGHT = 1e-10  # a mass of beliefs that need not be told apart
STEEP = 1 / 512  # of a chance: as much as it may change in a cell,
STEEPER = 1 / 32  # and while prices are tried
NODES = 2**12  # at which what values exceed is tabled,
OFTEN = 2**9  # and as many where values are frequent
PRICES = 40  # quantiles of values and of what information is worth, whose products are prices to try before the best is sought
MOST_PRICES = 1000
NEARLY = 0.02  # of the best revenue: peaks no lower than that are looked at,
FEW_PEAKS = 3  # the highest of them
CLOSE = 1e-6  # of the price: how closely
BEYOND = Fraction(1, 10**10)  # the mass of an unbounded distribution that is far out
ROUNDING = 1e-13
TINY = 1e-300
HURRIED = 1e-4  # of revenue: an enclosure is at least as narrow


@dataclass(frozen=True)
class Plane:
    """Independent belief theta in the first of two states and value.

    Attributes
    ----------
    belief, value : Law
        Within 0 to 1, and at least 0.
    """

    belief: Law
    value: Law

    @cached_property
    def ends(self) -> tuple[Fraction, Fraction]:
        """The least value, and the largest or one that hardly any exceeds."""
        low, high = self.value.support
        assert isinstance(low, Fraction)
        return low, high if isinstance(high, Fraction) else self.value.quantiles([1 - BEYOND])[0]

    @cached_property
    def mean(self) -> float:
        """The mean value."""
        return float(self.excess(np.zeros(1))[0])

    @cached_property
    def tail(self) -> float:
        """The mean of values beyond `ends`, the others counting as 0."""
        if isinstance(self.value, PiecewiseLinear):
            return 0.0
        ((_, moment),) = self.value.cells([self.ends[1], max(self.ends[1], self.value.end_of_floats[1])])
        return float(moment)

    def above(self, value: FloatArray) -> FloatArray:
        """Pr(V >= v)."""
        if isinstance(self.value, PiecewiseLinear):
            return 1.0 - self.value.cdf(value)
        return self.value.between(value, np.full_like(value, np.inf))

    def excess(self, value: FloatArray) -> FloatArray:
        """The mean of max(V - v, 0), which is the integral of `above`."""
        nodes, at, _ = self._table
        last = nodes[-1]
        inside = at(np.clip(value, nodes[0], last)) + np.maximum(nodes[0] - value, 0.0)
        return np.asarray(np.where(value >= last, 0.0, inside))

    def about_above(self, value: FloatArray) -> FloatArray:
        """About Pr(V >= v), quickly."""
        nodes, _, above = self._table
        return np.asarray(np.interp(value, nodes, above))

    @cached_property
    def _table(self) -> tuple[FloatArray, CubicHermiteSpline, FloatArray]:
        low, high = self.ends
        if isinstance(self.value, PiecewiseLinear):
            edges = [knot for knot in self.value.knots if low <= knot <= high]
        else:
            even = (low + (high - low) * Fraction(k, NODES) for k in range(NODES + 1))
            often = self.value.quantiles([Fraction(k, OFTEN) for k in range(1, OFTEN)])  # a narrow peak lies between even nodes
            edges = sorted({*even, *often, max(high, self.value.end_of_floats[1])})
        edges = [edge for edge, (left, right) in zip(edges[1:], pairwise(map(float, edges)), strict=True) if left < right]
        edges = [low, *edges]
        mass, moment = (floats(part) for part in zip(*self.value.cells(edges), strict=True))
        nodes = floats(edges)
        far = [np.append(np.cumsum(part[::-1])[::-1], 0.0) for part in (mass, moment)]
        return nodes, CubicHermiteSpline(nodes, far[1] - nodes * far[0], -far[0]), far[0]

    @cached_property
    def full_information(self) -> tuple[float, float]:
        """What full information alone earns at the best price found, and that price."""
        item, most = np.eye(2)[None], float(self.ends[1]) / 2
        edges, mass, moment = self.grid
        theta = _means(edges, mass, moment)
        worth = np.minimum(theta, 1 - theta)
        # a price is some value's worth: prices are tried where these are frequent, however narrow the distributions
        levels = [Fraction(2 * k + 1, 2 * PRICES) for k in range(PRICES)]
        often = [np.quantile(worth, floats(levels), weights=mass, method="inverted_cdf")]
        prices = np.outer(floats(self.value.quantiles(levels)), np.concatenate([*often, worth[[0, -1]], [0.5]])).ravel()
        prices = np.union1d(np.linspace(0, most, MOST_PRICES // 4 + 1)[1:], prices[(prices > 0) & (prices <= most)])
        if len(prices) > MOST_PRICES:
            prices = prices[np.linspace(0, len(prices) - 1, MOST_PRICES).astype(np.int64)]
        revenue = np.array([price * (mass @ self.about_above(_ratio(price, worth))) for price in prices])
        around = np.pad(revenue, 1, constant_values=-np.inf)
        peaks = np.flatnonzero((revenue >= around[:-2]) & (revenue >= around[2:]) & (revenue >= (1 - NEARLY) * revenue.max()))

        def lost(price: float) -> float:
            return -serve(self, item, np.array([price]), STEEPER).revenue

        found: list[tuple[float, float]] = []
        for best in peaks[np.argsort(-revenue[peaks], kind="stable")][:FEW_PEAKS]:
            ends = float(prices[max(best - 1, 0)]), float(prices[min(best + 1, len(prices) - 1)])
            moved = minimize_scalar(lost, bounds=ends, method="bounded", options={"xatol": CLOSE * ends[1]})
            found += [(-float(moved.fun), float(moved.x)), (-lost(float(prices[best])), float(prices[best]))]
        _, price = max(found)
        return serve(self, item, np.array([price])).revenue, price

    def below(self, belief: FloatArray) -> FloatArray:
        """Pr(theta <= x)."""
        return self.belief.cdf(belief)

    def cells(self, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Masses and first moments of beliefs between consecutive edges."""
        if isinstance(self.belief, PiecewiseLinear):
            # within a stretch of constant density the mean of a piece is its middle
            fine = np.union1d(edges, floats(self.belief.knots))
            mass, middle = np.diff(self.belief.cdf(fine)), (fine[1:] + fine[:-1]) / 2
            place = np.searchsorted(edges, fine[:-1], side="right") - 1
            inside = (place >= 0) & (place < len(edges) - 1)
            place, mass, middle = place[inside], mass[inside], middle[inside]
            found = np.zeros((2, len(edges) - 1))
            np.add.at(found.T, place, np.column_stack([mass, mass * middle]))
            return found[0], found[1]
        mass, moment = (floats(part) for part in zip(*self.belief.cells([exact(float(x)) for x in edges]), strict=True))
        return mass, moment

    @cached_property
    def grid(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Edges of about `CELLS` cells of beliefs, 1/2 among them, their masses and first moments.

        They are as many where most is at stake, which is a mass of beliefs times what full information is worth to them, as where
        there is much room, however narrow the distribution is; a gap is one cell.
        """
        law = self.belief
        low, high = map(float, law.support)
        middle = [0.5] if low < 0.5 < high else []
        if isinstance(law, PiecewiseLinear):
            knots = np.union1d(law.as_floats[0], middle)
            length, (mass, moment) = np.diff(knots), self.cells(knots)
            stake = _stake(knots, mass, moment)
            share = np.where(mass > 0, length / length[mass > 0].sum() + stake / max(stake.sum(), TINY), 0.0) / 2
            parts = np.maximum(1, np.ceil(CELLS * share)).astype(np.int64)
            inner = [
                np.linspace(left, right, count + 1)
                for left, right, count in zip(knots[:-1].tolist(), knots[1:].tolist(), parts.tolist(), strict=True)
            ]
            edges = np.unique(np.concatenate(inner))
            edges = edges[(edges >= low) & (edges <= high)]
        else:
            often = floats(law.quantiles([Fraction(k, CELLS) for k in range(1, CELLS)]))
            joints = law.joints[(law.joints > low) & (law.joints < high)]
            edges = np.unique(np.concatenate([np.linspace(low, high, CELLS + 1), often, joints, middle]))
            stake = np.append(0.0, np.cumsum(_stake(edges, *self.cells(edges))))
            place = np.floor(CELLS * (stake / max(stake[-1], TINY) + (edges - low) / (high - low)) / 2)
            kept = np.append(True, np.diff(place) > 0) | (edges == 0.5)
            kept[-1] = True
            edges = edges[kept]
        return edges, *self.cells(edges)

    def grid_with(self, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Masses and first moments of cells, those of the grid not computed again."""
        known, mass, moment = self.grid
        left, right = edges[:-1], edges[1:]
        place = np.minimum(np.searchsorted(known, left), len(known) - 2)
        old = (known[place] == left) & (known[place + 1] == right)
        masses, moments = np.where(old, mass[place], 0.0), np.where(old, moment[place], 0.0)
        ends = np.unique(np.concatenate([left[~old], right[~old]]))
        if len(ends):
            new, first = self.cells(ends)
            at = np.searchsorted(ends, left[~old])
            masses[~old], moments[~old] = new[at], first[at]
        return masses, moments


@dataclass(frozen=True)
class Envelope:
    """For some beliefs, which items are bought by some value, and from which value on; items in order of price.

    Attributes
    ----------
    slope : array, shape (X, M)
        What each item is worth to value 1, beyond what one gets without.
    low, high : array, shape (X, M)
        Values from low to high buy the item; both are infinite if none does.
    """

    slope: FloatArray
    low: FloatArray
    high: FloatArray

    @property
    def sold(self) -> NDArray[np.bool_]:
        """Whether some value buys the item, shape (X, M)."""
        return self.low < self.high


@dataclass(frozen=True)
class Sales:
    """What a menu does on a plane of types.

    Attributes
    ----------
    revenue, surplus : float
    share : array, shape (M,)
        Of buyers, by item.
    beliefs, values : array, shape (M, 2)
        Between which an item's buyers lie; not a number if it has none.
    """

    revenue: float
    surplus: float
    share: FloatArray
    beliefs: FloatArray
    values: FloatArray

    @property
    def outcome(self) -> dict[str, float]:
        """What the menu brings about."""
        return {
            "revenue": self.revenue,
            "surplus": self.surplus,
            "welfare": self.revenue + self.surplus,
            "share-served": float(self.share.sum()),
        }


def serve(plane: Plane, experiment: FloatArray, price: FloatArray, steep: float = STEEP) -> Sales:
    """Let every type choose from a menu, by quadrature: exact in values, at the mean of each of many cells of beliefs.

    Parameters
    ----------
    plane : Plane
    experiment : array, shape (M, 2, N)
    price : array, shape (M,)
    steep : float
        By how much chances may differ between the ends of a cell, unless hardly anybody is there.
    """
    items, prices, order = _ordered(experiment, price)
    edges = _told_apart(plane, items, prices, steep)
    mass, moment = plane.grid_with(edges)
    some = mass > 0
    mass, left, right = mass[some], edges[:-1][some], edges[1:][some]
    theta = np.clip(moment[some] / mass, left, right)
    at_left, found, at_right = (envelope(x, items, prices) for x in (left, theta, right))

    def averaged(of: Callable[[Envelope], FloatArray]) -> FloatArray:
        return curved(of(found), of(at_left), of(at_right), (theta - left) / (right - left))

    def chance(of: Envelope) -> FloatArray:
        return plane.above(of.low) - plane.above(of.high)

    def kept(of: Envelope) -> FloatArray:
        # what a buyer keeps rises with its value by the item's slope
        return of.slope * (plane.excess(of.low) - plane.excess(of.high))

    share = mass @ averaged(chance)
    surplus = float(mass @ averaged(kept).sum(axis=1) - prices[0])
    beliefs, values = np.full((len(prices), 2), np.nan), np.full((len(prices), 2), np.nan)
    ends = floats(plane.ends)
    bought = np.max([chance(found), chance(at_left), chance(at_right)], axis=0) > 0
    for item in np.flatnonzero(bought.any(axis=0)):
        buying = np.flatnonzero(bought[:, item])
        beliefs[item] = left[buying[0]], right[buying[-1]]
        values[item] = np.clip([found.low[buying, item].min(), found.high[buying, item].max()], *ends)
    back = np.empty(len(prices), dtype=np.int64)
    back[order] = np.arange(len(prices))
    menu = back[:-1]  # the last is nothing for nothing
    return Sales(float(share @ prices), surplus, share[menu], beliefs[menu], values[menu])


def roughly(plane: Plane, experiment: FloatArray, price: FloatArray) -> float:
    """About what a menu earns, quickly: as `serve` has it, but for cells of beliefs in which what is sold changes.

    Parameters
    ----------
    plane : Plane
    experiment : array, shape (M, 2, N)
    price : array, shape (M,)
    """
    items, prices, _ = _ordered(experiment, price)
    edges, mass, moment = plane.grid
    theta = _means(edges, mass, moment)
    paid = []
    for x in (theta, edges):
        found = envelope(x, items, prices)
        paid.append((plane.about_above(found.low) - plane.about_above(found.high)) @ prices)
    place = (theta - edges[:-1]) / np.diff(edges)
    return float(mass @ curved(paid[0], paid[1][:-1], paid[1][1:], place))


def shares(plane: Plane, experiment: FloatArray, price: FloatArray) -> FloatArray:
    """About what shares of buyers take each item, quickly, shape (M,)."""
    items, prices, order = _ordered(experiment, price)
    edges, mass, moment = plane.grid
    found = envelope(_means(edges, mass, moment), items, prices)
    share = np.empty(len(prices))
    share[order] = mass @ (plane.about_above(found.low) - plane.about_above(found.high))
    return share[:-1]


def curved(middle: FloatArray, left: FloatArray, right: FloatArray, place: FloatArray) -> FloatArray:
    """A function's average over cells, from its values at their means and ends: Simpson's rule where the density is even.

    Parameters
    ----------
    middle, left, right : array, shape (X,) or (X, M)
    place : array, shape (X,)
        How far a mean is on the way from the left end to the right.
    """
    share = place if middle.ndim == 1 else place[:, None]
    return np.asarray(middle + ((1 - share) * left + share * right - middle) / 3)


def revenue_between(
    plane: Plane, experiment: FloatArray, price: FloatArray, width: float, hurry: Callable[[], bool] = lambda: False
) -> tuple[float, float]:
    """What a menu earns, enclosed: in a cell of beliefs no chance of a sale lies beyond those that its two ends allow.

    Parameters
    ----------
    plane : Plane
    experiment : array, shape (M, 2, N)
    price : array, shape (M,)
        At least 0.
    width : float
        Of the enclosure, wanted; it is wider if `MOST_SUMMED` do not suffice.
    hurry : callable
        Whether to be content with a wider one, of 1e-4 of revenue.
    """
    items, prices, _ = _ordered(experiment, price)
    edges, most = _with_turns(plane, items), MOST_SUMMED // len(prices)
    while True:
        parts = [_enclosed(plane, items, prices, edges[at : at + BLOCK + 1]) for at in range(0, len(edges) - 1, BLOCK)]
        lower, upper, highest = (np.concatenate(part) for part in zip(*parts, strict=True))
        unsure = np.maximum(upper - lower, 0.0)
        finest = max(width, ROUNDING * float(upper.sum()), TINY)
        pieces = np.maximum(1, np.ceil(1.1 * np.sqrt(unsure) * np.sqrt(unsure).sum() / finest)).astype(np.int64)
        near = unsure.sum() <= HURRIED * upper.sum()
        if unsure.sum() <= width or pieces.max() == 1 or 4 * len(edges) > most or (near and hurry()):
            # of what those pay who pay most on average
            slack = ROUNDING * float(highest.max())
            return max(0.0, float(lower.sum()) - slack), float(upper.sum()) + slack
        pieces = np.maximum(1, pieces // -(-pieces.sum() // most))
        first = np.repeat(np.cumsum(pieces) - pieces, pieces)
        step = (np.arange(pieces.sum()) - first) / np.repeat(pieces, pieces)
        edges = np.append(np.repeat(edges[:-1], pieces) + step * np.repeat(np.diff(edges), pieces), edges[-1])


def _enclosed(
    plane: Plane, items: FloatArray, prices: FloatArray, edges: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Bounds on what beliefs in each cell pay in all, and on what one of them pays on average; each of shape (X - 1,)."""
    mass, more = np.diff(plane.below(edges)), np.diff(prices)
    early, late = _spending_from(worth(edges, items), prices)
    most = plane.above(early) @ more
    return mass * (plane.above(late) @ more), mass * most, most


def _spending_from(slope: FloatArray, price: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Bounds, shape (X - 1, M - 1), on the least value that buys item j or a dearer one, j from 1 on, in cells of beliefs.

    It is the least over items from j on of the value from which on such an item beats all before j. The value from which on one
    item beats another rises or falls all along a cell in which slopes are linear.
    """
    early = np.full((len(slope) - 1, len(price) - 1), np.inf)
    late = early.copy()
    for j in range(1, len(price)):
        rise = slope[:, [j]] - slope[:, :j]
        cut = np.divide(price[j] - price[:j], rise, out=np.full_like(rise, np.inf), where=rise > 0)
        for bound, ends in ((early, np.minimum(cut[:-1], cut[1:])), (late, np.maximum(cut[:-1], cut[1:]))):
            np.minimum(bound[:, :j], np.maximum.accumulate(ends, axis=1), out=bound[:, :j])
    return early, late


def worth(theta: FloatArray, experiment: FloatArray) -> FloatArray:
    """What each experiment is worth to value 1, beyond what one gets without, shape (X, M)."""
    after = np.maximum(theta[:, None, None] * experiment[:, 0], (1 - theta)[:, None, None] * experiment[:, 1]).sum(axis=2)
    gain = after - np.maximum(theta, 1 - theta)[:, None]
    return np.asarray(np.where(gain > ROUNDING, gain, 0.0))


def envelope(theta: FloatArray, experiment: FloatArray, price: FloatArray) -> Envelope:
    """The items that buyers of some beliefs buy; prices ascend.

    Parameters
    ----------
    theta : array, shape (X,)
    experiment : array, shape (M, 2, N)
        Nothing among them.
    price : array, shape (M,)
    """
    slope = worth(theta, experiment)
    low, high = np.zeros_like(slope), np.full_like(slope, np.inf)
    for j in range(1, len(price)):
        rise = slope[:, [j]] - slope[:, :j]
        cut = np.divide(price[j] - price[:j], rise, out=np.full_like(rise, np.inf), where=rise > 0)
        low[:, j] = cut.max(axis=1)
        np.minimum(high[:, :j], cut, out=high[:, :j])
    none = low >= high
    low[none] = high[none] = np.inf
    return Envelope(slope, low, high)


def _means(edges: FloatArray, mass: FloatArray, moment: FloatArray) -> FloatArray:
    """Mean beliefs of cells, their left ends where nobody is."""
    return np.clip(np.divide(moment, mass, out=edges[:-1].copy(), where=mass > 0), edges[:-1], edges[1:])


def _stake(edges: FloatArray, mass: FloatArray, moment: FloatArray) -> FloatArray:
    """About what full information is worth in all to the beliefs in each cell."""
    theta = _means(edges, mass, moment)
    return mass * np.minimum(theta, 1 - theta)


def _ratio(price: float, worth: FloatArray) -> FloatArray:
    """The least value to which full information is worth a price."""
    return np.divide(price, worth, out=np.full_like(worth, np.inf), where=worth > 0)


def _ordered(experiment: FloatArray, price: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
    """Items in order of price, nothing for nothing among them, and their places: it comes last in the menu."""
    nothing = np.zeros((1, *experiment.shape[1:]))
    nothing[:, :, 0] = 1.0
    items, prices = np.concatenate([experiment, nothing]), np.append(price, 0.0)
    order = np.lexsort((np.arange(len(prices)) != len(price), prices))
    return items[order], prices[order], order


def _with_turns(plane: Plane, experiment: FloatArray) -> FloatArray:
    """Edges of cells of beliefs in which no type changes what it does after a signal."""
    edges, _, _ = plane.grid
    first, second = experiment[:, 0].ravel(), experiment[:, 1].ravel()
    sent = first + second > 0
    turns = second[sent] / (first + second)[sent]
    return np.union1d(edges, turns[(turns > edges[0]) & (turns < edges[-1])])


def _told_apart(plane: Plane, experiment: FloatArray, price: FloatArray, most_change: float) -> FloatArray:
    """Edges of cells of beliefs: the same items are bought at both ends, about as often, or there are hardly any such beliefs.

    Where items are as good as each other, to rounding, there is no end to that, and `MOST_CELLS` end it.
    """
    edges = _with_turns(plane, experiment)
    least, most = map(float, plane.ends)
    while True:
        found = envelope(edges, experiment, price)
        # bought by some value, from the least on, by none there is: in between chances have no kink
        case = found.sold * (1 + (found.low > least) + (found.low >= most))
        # nor may it change much between the ends of a cell
        steep = np.abs(np.diff(plane.above(found.low), axis=0)) > most_change
        unlike = np.flatnonzero(np.any((case[:-1] != case[1:]) | steep, axis=1))
        unlike = unlike[plane.below(edges[unlike + 1]) - plane.below(edges[unlike]) > SLIGHT]
        inner = edges[unlike, None] + np.diff(edges)[unlike, None] * np.arange(1, SPLIT) / SPLIT
        finer = np.union1d(edges, inner.ravel())
        if len(finer) == len(edges) or 4 * len(finer) * len(price) > MOST_CELLS:
            return edges
        edges = finer
