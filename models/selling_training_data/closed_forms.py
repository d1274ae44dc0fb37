"""Closed forms of the training-data market: two types, and the two tiers on a line."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from optmarket.distributions.cdf import Law
from optmarket.distributions.maximize import Product, largest
from optmarket.lp.program import IntArray, NumberArray
from optmarket.models.selling_training_data.params import HALF, Line, Point

REGIONS = ("I", "II", "III", "III mirrored", "IV", "IV mirrored")
NEAR = 1e-12


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
