"""Closed forms: the optimum for two types, the two tiers on a line, and the best posted price of complete data."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from optmarket.arrays import IntArray, NumberArray
from optmarket.certificates import Claim
from optmarket.distributions.maximize import Product, largest
from optmarket.models import selling_information
from optmarket.models.selling_training_data.populations import (
    HALF,
    Errors,
    FiniteTypes,
    LineOfTypes,
    Market,
    TypesByErrors,
)
from optmarket.tolerances import SUM_ROUNDING

REGIONS = ("I", "II", "III", "III mirrored", "IV", "IV mirrored")
LONGEST_DENOMINATOR = 10**12  # a claim's value with a longer one is written as a decimal


@dataclass(frozen=True)
class TwoTypes:
    """The optimum for two types, the high one valuing complete data at least as much as the low one.

    Attributes
    ----------
    revenue : Fraction
        In payoff units.
    region : str
        I: both buy complete data. II: only the high type does. III: the low type buys an item that removes part of one error, and
        the high type keeps a rent; IV: the low type's item removes part of both, and the high type keeps none. Mirrored: with the
        two errors exchanged.
    left : (Fraction, Fraction)
        Shares (pi1, pi2) of its errors that the low type is left with; the high type is left with none.
    prices : (Fraction, Fraction)
        Of the low and the high type, in payoff units.
    """

    revenue: Fraction
    region: str
    left: Errors
    prices: Errors


def two_types(high: Errors, low: Errors, weight: Fraction = HALF) -> TwoTypes:
    """The optimum for two types, exactly, for any weights.

    With complete data for the high type, no rent for the low one and its item (pi1, pi2) obedient, revenue is concave and
    piecewise linear: the best vertex of the pieces is the optimum. For equal weights these are the four policies of Huang, Zhao
    and Zhong (later talk, two types).

    Parameters
    ----------
    high, low : (alpha, beta)
        Errors, each pair at least 0 and with sum at most 1/2; exchanged if ``low`` has the larger sum.
    weight : Fraction
        Share of ``high`` among buyers.

    Returns
    -------
    TwoTypes

    Examples
    --------
    >>> found = two_types((Fraction(1, 5), Fraction(1, 5)), (Fraction(1, 20), Fraction(3, 20)))
    >>> found.region, str(found.revenue), [str(share) for share in found.left]
    ('III', '13/60', ['1', '2/3'])
    """
    if sum(low) > sum(high):
        high, low, weight = low, high, 1 - weight
    best = region_map(high, np.array([low[0]], dtype=object), np.array([low[1]], dtype=object), weight)
    left = (best.left[0][0], best.left[1][0])
    return TwoTypes(best.revenue[0], REGIONS[best.region[0]], left, (best.prices[0][0], best.prices[1][0]))


@dataclass(frozen=True)
class RegionMap:
    """`TwoTypes` for many low types at once.

    Attributes
    ----------
    revenue : array, shape (N,)
    region : array of int, shape (N,)
        Places in `REGIONS`, -1 where the errors are no low type's.
    left, prices : pair of arrays, shape (N,)
        As in `TwoTypes`.
    """

    revenue: NumberArray
    region: IntArray
    left: tuple[NumberArray, NumberArray]
    prices: tuple[NumberArray, NumberArray]


def region_map(high: tuple[Any, Any], alpha: NumberArray, beta: NumberArray, weight: Any = HALF) -> RegionMap:
    """What is best for a high type and each of many low types.

    Parameters
    ----------
    high : (alpha, beta)
    alpha, beta : array, shape (N,)
        The low types' errors; Fractions (dtype object) for exact answers. Where their sum exceeds 1/2 or the high type's, the
        region is -1 and nothing else means anything.
    weight : number
        Share of the high type.

    Returns
    -------
    RegionMap

    Examples
    --------
    >>> found = region_map((0.2, 0.2), np.array([0.18, 0.05, 0.4]), np.array([0.18, 0.05, 0.1]))
    >>> [REGIONS[k] if k >= 0 else "outside" for k in found.region]
    ['I', 'II', 'outside']
    """
    exact = alpha.dtype == object
    near: Any = 0 if exact else SUM_ROUNDING  # payoffs are 1
    w: Any = weight if exact else float(weight)
    half: Any = HALF if exact else 0.5
    x, y = alpha, beta
    zero, one = x * 0, x * 0 + 2 * half
    a, b = (zero + (error if exact else float(error)) for error in high)
    full_value = x + y
    lines = [  # p pi1 + q pi2 = r
        (one, zero, zero),
        (one, zero, one),
        (zero, one, zero),
        (zero, one, one),
        (one, -one, zero),
        # where the low type, and where the high type, is indifferent to ignoring its own data
        *((x - half, y, zero), (x, y - half, zero), (a - half, b, zero), (a, b - half, zero)),
        # where the high type's rent is zero: following the low item, or ignoring its own data with it
        *((a - x, b - y, a + b - full_value), (half - x, -y, a + b - full_value), (-x, half - y, a + b - full_value)),
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
        low_price = full_value - followed
        deviating = np.minimum(a * first + b * second, np.minimum(first, second) * half)
        high_price = np.minimum(a + b, low_price + deviating)
        revenue = w * high_price + (1 - w) * low_price
        region = _regions(first, second, low_price, a + b - high_price, near)
        better = meet & ((revenue > best.revenue + near) | ((revenue >= best.revenue - near) & (region < best.region)))
        best = RegionMap(
            np.where(better, revenue, best.revenue),
            np.where(better, region, best.region),
            (np.where(better, first, best.left[0]), np.where(better, second, best.left[1])),
            (np.where(better, low_price, best.prices[0]), np.where(better, high_price, best.prices[1])),
        )
    outside = (full_value > half + near) | (full_value > a + b + near)
    return RegionMap(best.revenue, np.where(outside, -1, best.region), best.left, best.prices)


def _regions(first: NumberArray, second: NumberArray, low_price: NumberArray, rent: NumberArray, near: Any) -> IntArray:
    """Which policy a vertex is, by what the low type is left with and whether the high type keeps a rent."""
    region = np.where(rent > near, 2, 4) + np.where(first >= second - near, 0, 1)
    region = np.where((first <= near) & (second <= near), 0, region)
    return np.where((low_price <= near) & (region != 0), 1, region)


@dataclass(frozen=True)
class TwoTiers:
    """The optimum on a line: complete data for all types above a cut-off, one item for all below.

    Attributes
    ----------
    line : LineOfTypes
    cutoffs : tuple
        Every alpha* at which revenue is largest, Fractions if the distribution function is piecewise linear.
    revenue, upper : number
        At the first of them, and an upper bound on it, in payoff units: the same number if exact.
    """

    line: LineOfTypes
    cutoffs: tuple[Fraction | float, ...]
    revenue: Fraction | float
    upper: Fraction | float

    def low_item(self, cutoff: Any) -> tuple[Any, Any, Any]:
        """Shares (pi1, pi2) of the errors that the lower tier's item leaves, and its price in payoff units."""
        share = cutoff / self.line.end
        return 1 - self.line.k * (1 - share), share, self.line.m * (1 - share)

    def full_price(self, cutoff: Any) -> Any:
        """The price of complete data, in payoff units."""
        return self.line.full_value(cutoff)


def two_tiers(line: LineOfTypes) -> TwoTiers:
    """The optimum for a continuum of types on a line, for any distribution of alpha.

    The cut-off maximises ``alpha ((1 - k) abar - F(alpha)/2)``, abar the line's end; revenue is ``m`` plus that maximum divided
    by abar (Huang, Zhao and Zhong, later talk, theorem on continuous types).

    Parameters
    ----------
    line : LineOfTypes

    Returns
    -------
    TwoTiers

    Examples
    --------
    >>> from optmarket.distributions.specification import Distribution
    >>> uniform = Distribution.model_validate({"dist": "uniform", "scale": "1/4"})
    >>> tiers = two_tiers(LineOfTypes(Fraction(1, 5), Fraction(3, 10), uniform.as_cdf))
    >>> str(tiers.revenue), [str(cutoff) for cutoff in tiers.cutoffs]
    ('8/25', ['1/20'])
    """
    peaks = largest(line.cdf, Product(Fraction(0), Fraction(1), HALF - line.m, -HALF))
    return TwoTiers(line, peaks.at, line.m + peaks.value / line.end, line.m + peaks.upper / line.end)


def posted_price(line: LineOfTypes) -> tuple[Fraction | float, Fraction | float]:
    """The best revenue from complete data alone on a line, and its price, in payoff units.

    It is ``(m + (1 - k) alpha) (1 - F(alpha))`` at its largest.

    Parameters
    ----------
    line : LineOfTypes

    Examples
    --------
    >>> from optmarket.distributions.specification import Distribution
    >>> uniform = Distribution.model_validate({"dist": "uniform", "scale": "1/2"})
    >>> [str(number) for number in posted_price(LineOfTypes(Fraction(0), Fraction(0), uniform.as_cdf))]
    ['1/8', '1/4']
    """
    peaks = largest(line.cdf, Product(line.m, 1 - line.k, Fraction(1), Fraction(-1)))
    return peaks.value, line.full_value(peaks.at[0])


def theory(market: Market) -> list[Claim]:
    """What is known of the optimum without solving anything: two types exactly, and bounds from either side.

    Parameters
    ----------
    market : Market

    Returns
    -------
    list of Claim
        On the revenue.

    Examples
    --------
    >>> from optmarket.models.selling_training_data import Params, market
    >>> types = [{"weight": "1/2", "alpha": "1/5", "beta": "1/5"}, {"weight": "1/2", "alpha": "1/20", "beta": "3/20"}]
    >>> [(claim.relation, claim.value) for claim in theory(market(Params.model_validate({"types": types})))]
    [('eq', '13/60'), ('lower', '1/5'), ('upper', '3/10')]
    """
    match market:
        case LineOfTypes():
            single, _ = posted_price(market)
            return [
                Claim("revenue", _written(single), "lower", "proved", "complete data alone at the best posted price"),
                Claim("revenue", _written(market.first_best), "upper", "proved", "total value of complete data"),
            ]
        case TypesByErrors(positive=[(weight, first), (_, second)]):
            found = two_types(first, second, weight)
            claim = Claim("revenue", str(found.revenue), "eq", "analytic", f"two types, region {found.region}")
            return [claim, *selling_information.theory(market.information)]
        case FiniteTypes():
            return selling_information.theory(market.information)


def _written(value: Fraction | float) -> str:
    return str(value) if isinstance(value, Fraction) and value.denominator < LONGEST_DENOMINATOR else repr(float(value))
