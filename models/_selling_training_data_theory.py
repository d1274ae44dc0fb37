"""Closed forms of the training-data market: two types, and the two tiers on a line."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from optmarket.distributions import Law, PiecewiseLinear, Smooth
from optmarket.models._selling_training_data_market import HALF, Line, Point
from optmarket.program import FloatArray, IntArray, NumberArray

REGIONS = ("I", "II", "III", "III mirrored", "IV", "IV mirrored")
NEAR = 1e-12
CLOSE = 1e-10  # of the largest product there could be: to which a maximum over a smooth distribution is enclosed
STARTING = 4096
SPLIT = 8
NARROW = 1e-15  # of the support
MOST = 2**17  # intervals split at once
APART = 1e-3  # of the support: maxima closer than that are one
ROUNDING = 1e-15


@dataclass(frozen=True)
class TwoTypes:
    """The optimum for two types, the high one valuing complete data at least as much as the low one.

    Attributes
    ----------
    revenue : Fraction
    region : str
        I: both buy complete data. II: only the high type does. III: the low type buys an item that removes part of one error, and
        the high type keeps a rent; IV: the low type's item removes part of both, and the high type keeps none. Mirrored: with the
        two errors exchanged.
    left : (Fraction, Fraction)
        Shares (pi1, pi2) of its errors that the low type is left with; the high type is left with none.
    prices : (Fraction, Fraction)
        Of the low and the high type.
    """

    revenue: Fraction
    region: str
    left: Point
    prices: Point


def two_types(high: Point, low: Point, weight: Fraction = HALF) -> TwoTypes:
    """The optimum for two types, exactly, for any weights.

    With complete data for the high type, no rent for the low one and its item (pi1, pi2) obedient, revenue is concave and
    linear in pieces: the best vertex of the pieces is the optimum. For equal weights these are the four policies of Huang, Zhao
    and Zhong.

    Parameters
    ----------
    high, low : (alpha, beta)
        Errors, each pair at least 0 and with sum at most 1/2; exchanged if ``low`` has the larger sum.
    weight : Fraction
        Share of ``high`` among buyers.
    """
    if sum(low) > sum(high):
        high, low, weight = low, high, 1 - weight
    best = region_map(high, np.array([low[0]], dtype=object), np.array([low[1]], dtype=object), weight)
    left = (best.left[0][0], best.left[1][0])
    return TwoTypes(best.revenue[0], REGIONS[best.region[0]], left, (best.prices[0][0], best.prices[1][0]))


@dataclass(frozen=True)
class RegionMap:
    """`TwoTypes` for many low types at once: arrays of one shape, ``region`` as places in `REGIONS`, -1 outside the domain."""

    revenue: NumberArray
    region: IntArray
    left: tuple[NumberArray, NumberArray]
    prices: tuple[NumberArray, NumberArray]


def region_map(high: tuple[Any, Any], x: NumberArray, y: NumberArray, weight: Any = HALF) -> RegionMap:
    """What is best for a high type and each of many low types.

    Parameters
    ----------
    high : (alpha, beta)
    x, y : array, shape (N,)
        The low types' alpha and beta; Fractions (dtype object) for exact answers. Where their sum exceeds 1/2 or the high type's,
        the region is -1 and nothing else means anything.
    weight : number
        Share of the high type.
    """
    exactly = x.dtype == object
    near: Any = 0 if exactly else NEAR
    w: Any = weight if exactly else float(weight)
    half: Any = HALF if exactly else 0.5
    zero, one = x * 0, x * 0 + 2 * half
    a, b = (zero + (error if exactly else float(error)) for error in high)
    worth = x + y
    lines = [  # p pi1 + q pi2 = r
        (one, zero, zero),
        (one, zero, one),
        (zero, one, zero),
        (zero, one, one),
        (one, -one, zero),
        # where the low type, and where the high type, would as soon ignore its own data
        *((x - half, y, zero), (x, y - half, zero), (a - half, b, zero), (a, b - half, zero)),
        # where the high type's rent is zero: following, or ignoring its own data with the low item
        *((a - x, b - y, a + b - worth), (half - x, -y, a + b - worth), (-x, half - y, a + b - worth)),
    ]
    best = RegionMap(zero - one, np.full(len(x), -1), (one, one), (zero, a + b))
    for (p, q, r), (s, t, u) in itertools.combinations(lines, 2):
        determinant = p * t - q * s
        meet = abs(determinant) > near
        determinant = np.where(meet, determinant, one)
        first, second = (r * t - q * u) / determinant, (p * u - r * s) / determinant
        meet &= (first >= -near) & (first <= one + near) & (second >= -near) & (second <= one + near)
        first, second = np.clip(first, zero, one), np.clip(second, zero, one)
        followed = x * first + y * second
        meet &= followed <= np.minimum(first, second) * half + near
        cheap = worth - followed
        deviating = np.minimum(a * first + b * second, np.minimum(first, second) * half)
        dear = np.minimum(a + b, cheap + deviating)
        revenue = w * dear + (1 - w) * cheap
        region = _regions(first, second, cheap, a + b - dear, near)
        better = meet & ((revenue > best.revenue + near) | ((revenue >= best.revenue - near) & (region < best.region)))
        best = RegionMap(
            np.where(better, revenue, best.revenue),
            np.where(better, region, best.region),
            (np.where(better, first, best.left[0]), np.where(better, second, best.left[1])),
            (np.where(better, cheap, best.prices[0]), np.where(better, dear, best.prices[1])),
        )
    outside = (worth > half + near) | (worth > a + b + near)
    return RegionMap(best.revenue, np.where(outside, -1, best.region), best.left, best.prices)


def _regions(first: NumberArray, second: NumberArray, cheap: NumberArray, rent: NumberArray, near: Any) -> IntArray:
    """Which policy a vertex is, by what the low type is left with and whether the high type keeps a rent."""
    region = np.where(rent > near, 2, 4) + np.where(first >= second - near, 0, 1)
    region = np.where((first <= near) & (second <= near), 0, region)
    return np.where((cheap <= near) & (region != 0), 1, region)


@dataclass(frozen=True)
class TwoTiers:
    """The optimum on a line: complete data for all above a cut-off, one item for all below.

    Attributes
    ----------
    cutoffs : tuple
        Every alpha* at which revenue is largest, Fractions if the distribution function is linear in pieces.
    revenue, upper : number
        At the first of them, and what it does not exceed: the same if exact.
    """

    line: Line
    cutoffs: tuple[Fraction | float, ...]
    revenue: Fraction | float
    upper: Fraction | float

    def low_item(self, cutoff: Any) -> tuple[Any, Any, Any]:
        """Shares (pi1, pi2) left by the lower tier, and its price."""
        share = cutoff / self.line.end
        return 1 - self.line.k * (1 - share), share, self.line.m * (1 - share)

    def full_price(self, cutoff: Any) -> Any:
        """Price of complete data."""
        return self.line.m + (1 - self.line.k) * cutoff


def two_tiers(line: Line, law: Law) -> TwoTiers:
    """The optimum for types on a line, alpha distributed by a law.

    The cut-off maximises ``alpha ((1 - k) abar - F(alpha)/2)``, abar the line's end; revenue is ``m`` plus that maximum divided
    by abar (Huang, Zhao and Zhong, theorem on continuous types).

    Parameters
    ----------
    line : Line
    law : Law
        Within 0 to abar.
    """
    zero, one = Fraction(0), Fraction(1)
    peaks = largest(law, Product(zero, one, HALF - line.m, -HALF))
    return TwoTiers(line, peaks.at, line.m + peaks.value / line.end, line.m + peaks.upper / line.end)


def posted_price(line: Line, law: Law) -> tuple[Fraction | float, Fraction | float]:
    """The best revenue from complete data alone, and its price: ``(m + (1 - k) alpha) (1 - F(alpha))`` at its largest."""
    peaks = largest(law, Product(line.m, 1 - line.k, Fraction(1), Fraction(-1)))
    return peaks.value, line.m + (1 - line.k) * peaks.at[0]


@dataclass(frozen=True)
class Product:
    """``(p + q alpha) (r + s F(alpha))`` with q at least 0, s at most 0 and p + q alpha at least 0."""

    p: Fraction
    q: Fraction
    r: Fraction
    s: Fraction


@dataclass(frozen=True)
class Peaks:
    """Where a product is largest, in order; its value there, and what it does not exceed anywhere."""

    at: tuple[Fraction | float, ...]
    value: Fraction | float
    upper: Fraction | float


def largest(law: Law, product: Product) -> Peaks:
    """Maximise a product over the support of a law, globally: exactly where F is linear in pieces, else enclosed.

    Enclosed to 1e-10 of what it could at most be, or if it is as large on a whole stretch as closely as `MOST` intervals do.
    """
    if isinstance(law, PiecewiseLinear):
        return _at_knots_and_tops(law, product)
    return _by_splitting(law, product)


def _at_knots_and_tops(law: PiecewiseLinear, product: Product) -> Peaks:
    """At a knot, or at the top of the parabola between two."""
    p, q, r, s = product.p, product.q, product.r, product.s
    candidates = set(law.knots)
    pieces = zip(itertools.pairwise(law.knots), itertools.pairwise(law.levels), strict=True)
    for (left, right), (low, high) in pieces:
        slope = s * (high - low) / (right - left)
        if slope and q:
            top = -(q * (r + s * low - slope * left) + p * slope) / (2 * q * slope)
            if left < top < right:
                candidates.add(top)
    values = {alpha: (p + q * alpha) * (r + s * law.exact_cdf(alpha)) for alpha in candidates}
    best = max(values.values())
    return Peaks(tuple(sorted(alpha for alpha, value in values.items() if value == best)), best, best)


def _by_splitting(law: Smooth, product: Product) -> Peaks:
    """As F does not fall, on [l, u] nothing exceeds the larger of p + q u and p + q l times r + s F(l).

    Intervals that may hold more than the best value found are split until none is left.
    """
    p, q, r, s = map(float, (product.p, product.q, product.r, product.s))
    low, high = map(float, law.support)
    close = CLOSE * (p + q * high) * r
    edges = np.linspace(low, high, STARTING + 1)
    left, right = edges[:-1], edges[1:]
    best, top = -np.inf, -np.inf
    points: list[tuple[FloatArray, FloatArray]] = []
    while len(left):
        factor = r + s * law.cdf(left)
        value, bound = (p + q * left) * factor, np.maximum((p + q * right) * factor, (p + q * left) * factor)
        ends = (p + q * right) * (r + s * law.cdf(right))
        best = max(best, value.max(), ends.max())
        points.append((np.concatenate([left, right]), np.concatenate([value, ends])))
        split = (bound > best + close) & (right - left > NARROW * (high - low))
        if split.sum() > MOST:
            split[:] = False
        top = max([top, *bound[~split]])
        left, right = left[split], right[split]
        cuts = left[:, None] + (right - left)[:, None] * np.arange(SPLIT + 1) / SPLIT
        left, right = cuts[:, :-1].ravel(), cuts[:, 1:].ravel()
    at, values = (np.concatenate(parts) for parts in zip(*points, strict=True))
    near = np.flatnonzero(values >= best - close)
    near = near[np.argsort(at[near])]
    groups = np.split(near, np.flatnonzero(np.diff(at[near]) > APART * (high - low)) + 1)
    peaks = tuple(float(at[group[values[group].argmax()]]) for group in groups)
    return Peaks(peaks, float(best), max(top, best) + ROUNDING)
