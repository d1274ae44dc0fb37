"""Demand on a plane of types: who buys which item of a menu, what that earns, and what it is certain to earn.

With s_j(theta) what item j is worth to a buyer of value 1, net of what it gets without, a buyer of value v keeps ``v s_j - t_j``.
For one belief the items bought by some value are the upper envelope of lines in v. Along beliefs the lines are linear between
points at which somebody changes what it does after a signal; so the value from which on an item beats another rises or falls all
along such a stretch, and where the same items are on the envelope at both ends of it they are so all along.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from optmarket.arrays import FloatArray, IntArray
from optmarket.models.selling_information.continuum.plane_types import LEAST_POSITIVE, Plane, mean_beliefs
from optmarket.rationals import floats

# Cells of beliefs times items: as many as are kept at once (half a gigabyte), and as many where only a sum of them is kept,
MOST_CELLS_KEPT, MOST_CELLS_SUMMED = 2**22, 2**24
CELLS_AT_ONCE = 2**17  # so many at once.
PARTS_OF_A_CELL = 8  # into which a cell is cut
NEGLIGIBLE_MASS = 1e-10  # of beliefs, in a cell that need not be cut
# By how much the probability of a sale may change in a cell, and while prices are tried.
LARGEST_STEP, LARGEST_STEP_OF_TRIALS = 1 / 512, 1 / 32
# Prices that are tried before the best is sought: products of so many quantiles of values and of what full information is worth.
TRIAL_QUANTILES, MOST_TRIAL_PRICES = 40, 1000
# Of the best revenue: peaks within that of it are refined, the highest so many of them, their prices as closely (of the price).
PEAKS_WITHIN, MOST_PEAKS, PRICE_CLOSE = 0.02, 3, 1e-6
WORTH_ROUNDING = 1e-13  # at value 1: an experiment that is worth less is worth nothing but for rounding
HURRIED_WIDTH = 1e-4  # of revenue: an enclosure is at least as narrow, however little time is left


@dataclass(frozen=True)
class UpperEnvelope:
    """For some beliefs, which items are bought by some value, and from which value on; items in order of price.

    Nothing for nothing is among the items.

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
class PlaneDemand:
    """Which types of a plane buy which item.

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
    def quantities(self) -> dict[str, float]:
        """What the menu brings about, by the names of `outcomes.QUANTITIES`."""
        return {
            "revenue": self.revenue,
            "surplus": self.surplus,
            "welfare": self.revenue + self.surplus,
            "share-buying": float(self.share.sum()),
        }


def demand_on_plane(plane: Plane, experiment: FloatArray, price: FloatArray, largest_step: float = LARGEST_STEP) -> PlaneDemand:
    """Let every type choose from a menu, by quadrature: exact in values, at the mean of each of many cells of beliefs.

    Parameters
    ----------
    plane : Plane
    experiment : array, shape (M, 2, N)
    price : array, shape (M,)
    largest_step : float
        By how much probabilities of sales may differ between the ends of a cell, unless hardly anybody is there.

    Examples
    --------
    >>> from optmarket.distributions.specification import Distribution
    >>> uniform = Distribution.model_validate({"dist": "uniform"}).as_cdf
    >>> demand = demand_on_plane(Plane(uniform, uniform), np.eye(2)[None], np.array([0.125]))
    >>> round(float(demand.share[0]), 3)
    0.403
    """
    items, prices, order = _ordered(experiment, price)
    edges = _cells_with_like_sales(plane, items, prices, largest_step)
    mass, moment = plane.grid_with(edges)
    some = mass > 0
    mass, left, right = mass[some], edges[:-1][some], edges[1:][some]
    theta = np.clip(moment[some] / mass, left, right)
    at_left, found, at_right = (upper_envelope(x, items, prices) for x in (left, theta, right))

    def mean(of: Callable[[UpperEnvelope], FloatArray]) -> FloatArray:
        return averaged_over_cells(of(found), of(at_left), of(at_right), (theta - left) / (right - left))

    def bought(of: UpperEnvelope) -> FloatArray:
        return plane.above(of.low) - plane.above(of.high)

    def kept(of: UpperEnvelope) -> FloatArray:
        # what a buyer keeps rises with its value by the item's slope
        return of.slope * (plane.excess(of.low) - plane.excess(of.high))

    share = mass @ mean(bought)
    surplus = float(mass @ mean(kept).sum(axis=1) - prices[0])
    beliefs, values = np.full((len(prices), 2), np.nan), np.full((len(prices), 2), np.nan)
    ends = floats(plane.ends)
    sold = np.max([bought(found), bought(at_left), bought(at_right)], axis=0) > 0
    for item in np.flatnonzero(sold.any(axis=0)):
        buying = np.flatnonzero(sold[:, item])
        beliefs[item] = left[buying[0]], right[buying[-1]]
        values[item] = np.clip([found.low[buying, item].min(), found.high[buying, item].max()], *ends)
    back = np.empty(len(prices), dtype=np.int64)
    back[order] = np.arange(len(prices))
    menu = back[:-1]  # the last is nothing for nothing
    return PlaneDemand(float(share @ prices), surplus, share[menu], beliefs[menu], values[menu])


def approximate_revenue(plane: Plane, experiment: FloatArray, price: FloatArray) -> float:
    """What a menu earns approximately, quickly: as `demand_on_plane` has it, but for cells in which what is sold changes.

    Parameters
    ----------
    plane : Plane
    experiment : array, shape (M, 2, N)
    price : array, shape (M,)
    """
    items, prices, _ = _ordered(experiment, price)
    edges, mass, moment = plane.grid
    theta = mean_beliefs(edges, mass, moment)
    paid = []
    for x in (theta, edges):
        found = upper_envelope(x, items, prices)
        paid.append((plane.approximately_above(found.low) - plane.approximately_above(found.high)) @ prices)
    place = (theta - edges[:-1]) / np.diff(edges)
    return float(mass @ averaged_over_cells(paid[0], paid[1][:-1], paid[1][1:], place))


def approximate_shares(plane: Plane, experiment: FloatArray, price: FloatArray) -> FloatArray:
    """The shares of buyers who take each item approximately, quickly, shape (M,)."""
    items, prices, order = _ordered(experiment, price)
    edges, mass, moment = plane.grid
    found = upper_envelope(mean_beliefs(edges, mass, moment), items, prices)
    share = np.empty(len(prices))
    share[order] = mass @ (plane.approximately_above(found.low) - plane.approximately_above(found.high))
    return share[:-1]


def best_posted_price(plane: Plane) -> tuple[float, float]:
    """What full information alone earns at the best price found, and that price, in payoff units."""
    from scipy.optimize import minimize_scalar

    item, most = np.eye(2)[None], float(plane.ends[1]) / 2
    edges, mass, moment = plane.grid
    theta = mean_beliefs(edges, mass, moment)
    worth = np.minimum(theta, 1 - theta)
    # a price is some value's worth: prices are tried where these are frequent, however narrow the distributions
    levels = [Fraction(2 * k + 1, 2 * TRIAL_QUANTILES) for k in range(TRIAL_QUANTILES)]
    often = [np.quantile(worth, floats(levels), weights=mass, method="inverted_cdf")]
    prices = np.outer(floats(plane.value.quantiles(levels)), np.concatenate([*often, worth[[0, -1]], [0.5]])).ravel()
    prices = np.union1d(np.linspace(0, most, MOST_TRIAL_PRICES // 4 + 1)[1:], prices[(prices > 0) & (prices <= most)])
    if len(prices) > MOST_TRIAL_PRICES:
        prices = prices[np.linspace(0, len(prices) - 1, MOST_TRIAL_PRICES).astype(np.int64)]
    revenue = np.array([price * (mass @ plane.approximately_above(_least_values(price, worth))) for price in prices])
    around = np.pad(revenue, 1, constant_values=-np.inf)
    peaks = np.flatnonzero((revenue >= around[:-2]) & (revenue >= around[2:]) & (revenue >= (1 - PEAKS_WITHIN) * revenue.max()))

    def lost(price: float) -> float:
        return -demand_on_plane(plane, item, np.array([price]), LARGEST_STEP_OF_TRIALS).revenue

    found: list[tuple[float, float]] = []
    for best in peaks[np.argsort(-revenue[peaks], kind="stable")][:MOST_PEAKS]:
        ends = float(prices[max(best - 1, 0)]), float(prices[min(best + 1, len(prices) - 1)])
        moved = minimize_scalar(lost, bounds=ends, method="bounded", options={"xatol": PRICE_CLOSE * ends[1]})
        found += [(-float(moved.fun), float(moved.x)), (-lost(float(prices[best])), float(prices[best]))]
    _, price = max(found)
    return demand_on_plane(plane, item, np.array([price])).revenue, price


def _least_values(price: float, worth: FloatArray) -> FloatArray:
    """The least value to which full information is worth a price."""
    return np.divide(price, worth, out=np.full_like(worth, np.inf), where=worth > 0)


def averaged_over_cells(middle: FloatArray, left: FloatArray, right: FloatArray, place: FloatArray) -> FloatArray:
    """A function's average over cells, from its values at their means and ends: Simpson's rule where the density is even.

    Parameters
    ----------
    middle, left, right : array, shape (X,) or (X, M)
    place : array, shape (X,)
        How far a mean is on the way from the left end to the right.
    """
    share = place if middle.ndim == 1 else place[:, None]
    return np.asarray(middle + ((1 - share) * left + share * right - middle) / 3)


def enclosed_revenue(
    plane: Plane, experiment: FloatArray, price: FloatArray, width: float, hurry: Callable[[], bool] = lambda: False
) -> tuple[float, float]:
    """What a menu earns, enclosed: in a cell of beliefs no probability of a sale lies beyond those that its two ends allow.

    Parameters
    ----------
    plane : Plane
    experiment : array, shape (M, 2, N)
    price : array, shape (M,)
        At least 0.
    width : float
        Of the enclosure that is asked for, in payoff units; it is wider if `MOST_CELLS_SUMMED` do not suffice.
    hurry : callable
        Whether to be content with a wider one, of `HURRIED_WIDTH` of revenue.

    Returns
    -------
    lower, upper : float
        In payoff units.
    """
    items, prices, _ = _ordered(experiment, price)
    edges, most = _edges_with_switches(plane, items), MOST_CELLS_SUMMED // len(prices)
    while True:
        parts = [
            _enclosed(plane, items, prices, edges[at : at + CELLS_AT_ONCE + 1]) for at in range(0, len(edges) - 1, CELLS_AT_ONCE)
        ]
        lower, upper, highest = (np.concatenate(part) for part in zip(*parts, strict=True))
        unsure = np.maximum(upper - lower, 0.0)
        finest = max(width, WORTH_ROUNDING * float(upper.sum()), LEAST_POSITIVE)
        pieces = np.maximum(1, np.ceil(1.1 * np.sqrt(unsure) * np.sqrt(unsure).sum() / finest)).astype(np.int64)
        near = unsure.sum() <= HURRIED_WIDTH * upper.sum()
        if unsure.sum() <= width or pieces.max() == 1 or 4 * len(edges) > most or (near and hurry()):
            # of what those pay who pay most on average
            slack = WORTH_ROUNDING * float(highest.max())
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
    early, late = _least_values_that_buy(worth_per_value(edges, items), prices)
    most = plane.above(early) @ more
    return mass * (plane.above(late) @ more), mass * most, most


def _least_values_that_buy(slope: FloatArray, price: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Bounds, shape (X - 1, M - 1), on the least value that buys item j or a higher-priced one, j from 1 on, in cells.

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


def worth_per_value(theta: FloatArray, experiment: FloatArray) -> FloatArray:
    """What each experiment is worth to value 1, beyond what one gets without, shape (X, M)."""
    after = np.maximum(theta[:, None, None] * experiment[:, 0], (1 - theta)[:, None, None] * experiment[:, 1]).sum(axis=2)
    gain = after - np.maximum(theta, 1 - theta)[:, None]
    return np.asarray(np.where(gain > WORTH_ROUNDING, gain, 0.0))


def upper_envelope(theta: FloatArray, experiment: FloatArray, price: FloatArray) -> UpperEnvelope:
    """The items that buyers of some beliefs buy; prices ascend.

    Parameters
    ----------
    theta : array, shape (X,)
    experiment : array, shape (M, 2, N)
        Nothing among them.
    price : array, shape (M,)
    """
    slope = worth_per_value(theta, experiment)
    low, high = np.zeros_like(slope), np.full_like(slope, np.inf)
    for j in range(1, len(price)):
        rise = slope[:, [j]] - slope[:, :j]
        cut = np.divide(price[j] - price[:j], rise, out=np.full_like(rise, np.inf), where=rise > 0)
        low[:, j] = cut.max(axis=1)
        np.minimum(high[:, :j], cut, out=high[:, :j])
    none = low >= high
    low[none] = high[none] = np.inf
    return UpperEnvelope(slope, low, high)


def _ordered(experiment: FloatArray, price: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
    """Items in order of price, nothing for nothing among them, and their places: it comes last in the menu."""
    nothing = np.zeros((1, *experiment.shape[1:]))
    nothing[:, :, 0] = 1.0
    items, prices = np.concatenate([experiment, nothing]), np.append(price, 0.0)
    order = np.lexsort((np.arange(len(prices)) != len(price), prices))
    return items[order], prices[order], order


def _edges_with_switches(plane: Plane, experiment: FloatArray) -> FloatArray:
    """Edges of cells of beliefs in which no type changes what it does after a signal."""
    edges, _, _ = plane.grid
    first, second = experiment[:, 0].ravel(), experiment[:, 1].ravel()
    sent = first + second > 0
    switches = second[sent] / (first + second)[sent]
    return np.union1d(edges, switches[(switches > edges[0]) & (switches < edges[-1])])


def _cells_with_like_sales(plane: Plane, experiment: FloatArray, price: FloatArray, most_change: float) -> FloatArray:
    """Edges of cells of beliefs: the same items are bought at both ends, about as often, or there are hardly any such beliefs.

    Where items are as good as each other, to rounding, there is no end to that, and `MOST_CELLS_KEPT` end it.
    """
    edges = _edges_with_switches(plane, experiment)
    least, most = map(float, plane.ends)
    while True:
        found = upper_envelope(edges, experiment, price)
        # bought by some value, from the least on, by none there is: in between chances have no kink
        case = found.sold * (1 + (found.low > least) + (found.low >= most))
        # nor may it change much between the ends of a cell
        steep = np.abs(np.diff(plane.above(found.low), axis=0)) > most_change
        unlike = np.flatnonzero(np.any((case[:-1] != case[1:]) | steep, axis=1))
        unlike = unlike[plane.below(edges[unlike + 1]) - plane.below(edges[unlike]) > NEGLIGIBLE_MASS]
        inner = edges[unlike, None] + np.diff(edges)[unlike, None] * np.arange(1, PARTS_OF_A_CELL) / PARTS_OF_A_CELL
        finer = np.union1d(edges, inner.ravel())
        if len(finer) == len(edges) or 4 * len(finer) * len(price) > MOST_CELLS_KEPT:
            return edges
        edges = finer
