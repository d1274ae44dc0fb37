"""Closed forms: two types against the exact program, the map of regions, and two tiers on lines against brute force."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.training_data import HALF, ON_FIFTH, QUICK, Errors, F, by_errors, error_pairs, exact_revenue, item_value, line

from optmarket.distributions.cdf import PiecewiseLinear
from optmarket.distributions.maximize import Product, largest
from optmarket.distributions.specification import Distribution
from optmarket.models import selling_training_data as model
from optmarket.models.selling_training_data.closed_forms import TwoTypes, posted_price, two_tiers, two_types


def optimum_of_two(high: Errors, low: Errors, weight: Fraction) -> Fraction:
    return exact_revenue(by_errors([high, low], [weight, 1 - weight]))


def is_what_it_says(found: TwoTypes, high: Errors, low: Errors, weight: Fraction) -> None:
    """The menu itself: each item is worth its price, chosen by the type it is for, and revenue is what is said."""
    if sum(low) > sum(high):
        high, low, weight = low, high, 1 - weight
    low_price, high_price = found.prices
    assert weight * high_price + (1 - weight) * low_price == found.revenue
    assert item_value(low, found.left) >= low_price >= 0
    if weight:
        assert sum(high) - high_price >= max(F(0), item_value(high, found.left) - low_price)
    if weight < 1:
        assert item_value(low, found.left) - low_price >= sum(low) - high_price


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.data(), st.sampled_from([3, 6, 20, 25]), st.integers(0, 12))
def test_two_types_exactly(data: st.DataObject, most: int, twelfths: int) -> None:
    high, low, weight = data.draw(error_pairs(most)), data.draw(error_pairs(most)), F(twelfths, 12)
    found = two_types(high, low, weight)
    assert found.revenue == optimum_of_two(high, low, weight)
    is_what_it_says(found, high, low, weight)
    assert two_types(low, high, 1 - weight).revenue == found.revenue
    mirrored = two_types(high[::-1], low[::-1], weight)
    assert mirrored.revenue == found.revenue


LIMITS: list[tuple[Errors, Errors]] = [
    ((F(0), HALF), (F(1, 10), F(1, 5))),  # b = 1/2
    ((HALF, F(0)), (F(1, 5), F(1, 10))),
    ((F(0), HALF), (F(0), F(1, 2))),
    ((F(1, 5), F(1, 5)), (F(1, 5), F(1, 5))),
    ((F(1, 5), F(1, 5)), (F(0), F(0))),
    ((F(0), F(0)), (F(0), F(0))),
    ((F(1, 5), F(1, 5)), (F(1, 10), F(3, 10))),  # as much errors in all
    ((F(1, 4), F(1, 4)), (F(1, 8), F(3, 8))),  # D2 = k D1
    ((F(1, 4), F(1, 4)), (F(3, 8), F(1, 8))),
    ((F(0), F(2, 5)), (F(1, 5), F(0))),
    ((F(0), F(1, 5)), (F(0), F(1, 10))),
]


@pytest.mark.parametrize(("high", "low"), LIMITS)
@pytest.mark.parametrize("weight", [F(0), F(1, 7), HALF, F(9, 10), F(1)])
def test_two_types_in_the_limits(high: Errors, low: Errors, weight: Fraction) -> None:
    found = two_types(high, low, weight)
    assert found.revenue == optimum_of_two(high, low, weight)
    is_what_it_says(found, high, low, weight)


FIFTHS = (F(1, 5), F(1, 5))
KNOWN = [
    (FIFTHS, (F(9, 50), F(9, 50)), F(9, 25), "I"),
    (FIFTHS, (F(1, 20), F(1, 20)), F(1, 5), "II"),
    (FIFTHS, (F(1, 20), F(3, 20)), F(13, 60), "III"),
    (FIFTHS, (F(3, 20), F(1, 20)), F(13, 60), "III mirrored"),
    ((F(1, 4), F(3, 20)), (F(1, 50), F(9, 50)), F(167, 730), "IV"),
    ((F(3, 20), F(1, 4)), (F(9, 50), F(1, 50)), F(167, 730), "IV mirrored"),
    (FIFTHS, (F(9, 100), F(9, 50)), F(27, 100), "I"),
]


@pytest.mark.parametrize(("high", "low", "revenue", "region"), KNOWN)
def test_known_pairs(high: Errors, low: Errors, revenue: Fraction, region: str) -> None:
    found = two_types(high, low)
    assert (found.revenue, found.region) == (revenue, region)
    market = by_errors([high, low], [HALF, HALF])
    assert exact_revenue(market) == exact_revenue(market, "general") == revenue
    claim = model.theory(market)[0]
    assert (claim.relation, claim.value, claim.source) == ("eq", str(revenue), f"two types, region {region}")


def printed_policies(high: Errors, low: Errors) -> Fraction:
    """The largest of the policies as the mathematics states them, for equal weights, where none divides by zero."""
    (a, b), (x, y) = high, low
    values = [x + y, (a + b) / 2]
    for (h, k), (u, v) in (((a, b), (x, y)), ((b, a), (y, x))):
        if v <= k and u <= h:
            values.append((h + k + (2 * v - k) * (1 - 2 * h / (1 - 2 * k))) / 2)
        if v > k and u < h:
            d1, d2, ratio = v - k, h - u, h / (HALF - k)
            values.append(h + k - ratio * (d2 - d1) / (d2 - ratio * d1) / 4)
    return max(values)


@pytest.mark.parametrize("high", [FIFTHS, (F(1, 4), F(3, 20)), (F(3, 10), F(1, 10))])
def test_the_map_is_the_pairs_and_the_printed_policies(high: Errors) -> None:
    axis = [F(k, 50) for k in range(26)]
    grid = [(x, y) for x in axis for y in axis if x + y <= sum(high)]
    x, y = (np.array(side, dtype=object) for side in zip(*grid, strict=True))
    exactly = model.region_map(high, x, y)
    roughly = model.region_map(high, x.astype(float), y.astype(float))
    assert list(exactly.revenue) == [printed_policies(high, low) for low in grid]
    for k in range(0, len(grid), 7):
        one = two_types(high, grid[k])
        assert (one.revenue, one.region) == (exactly.revenue[k], model.REGIONS[exactly.region[k]])
        assert one.left == (exactly.left[0][k], exactly.left[1][k]) and one.prices == (exactly.prices[0][k], exactly.prices[1][k])
    np.testing.assert_allclose(roughly.revenue, exactly.revenue.astype(float), atol=1e-13)
    # a tie may fall either way in floats, and then only on a boundary
    assert np.mean(roughly.region != exactly.region) < 0.02
    assert set(exactly.region) >= {0, 1, 2, 3}


def test_the_map_marks_what_is_no_low_type() -> None:
    x, y = np.array([0.1, 0.3, 0.2, 0.4]), np.array([0.1, 0.3, 0.21, 0.0])
    assert list(model.region_map((0.2, 0.2), x, y).region >= 0) == [True, False, False, True]


@pytest.mark.parametrize("name", ON_FIFTH)
def test_two_tiers_against_brute_force(name: str) -> None:
    cdf = Distribution.model_validate(ON_FIFTH[name]).as_cdf
    low, high = map(float, cdf.support)
    alpha = np.unique(
        np.concatenate([np.linspace(low, high, 200_001), [float(x) for x in cdf.quantiles([F(k, 999) for k in range(1, 999)])]])
    )
    for k, m in ((F(0), F(3, 10)), (F(1, 7), F(3, 10))):
        types = line(k, m, ON_FIFTH[name])
        tiers = two_tiers(types)
        below = np.asarray(cdf.cdf(alpha))
        brute = float(m) + (alpha * (0.5 - float(m) - below / 2)).max() / float(types.end)
        assert brute <= float(tiers.upper) + 1e-15 and float(tiers.revenue) <= float(tiers.upper)
        assert float(tiers.revenue) == pytest.approx(brute, abs=2e-6) and float(tiers.revenue) >= brute - 1e-14
        assert float(tiers.upper - tiers.revenue) < 1e-9
        single, price = posted_price(types)
        worths = float(m) + (1 - float(k)) * alpha
        assert float(single) == pytest.approx((worths * (1 - below)).max(), abs=2e-5)
        assert float(single) <= float(tiers.upper) and float(price) >= float(types.m)


def test_close_to_one_half_the_cutoff_is_still_sharp() -> None:
    """All products are below 1e-8 there; the same shape on [0, 1] tells where the largest is."""
    m = F(4999, 10000)
    tiers = two_tiers(line(0, m, {"dist": "beta", "a": 2, "b": 4, "scale": "0.0001"}))
    whole = Distribution.model_validate({"dist": "beta", "a": 2, "b": 4}).as_cdf
    z = np.linspace(0, 0.01, 2_000_001)
    value = z * (0.0001 - np.asarray(whole.cdf(z)) / 2)
    assert len(tiers.cutoffs) == 1
    assert float(tiers.cutoffs[0]) / 0.0001 == pytest.approx(z[value.argmax()], abs=1e-5)
    assert float(tiers.revenue) == pytest.approx(float(m) + value.max(), abs=1e-13)


@QUICK
@given(st.lists(st.integers(0, 6), min_size=2, max_size=5).filter(any), st.integers(0, 4), st.integers(0, 4), st.data())
def test_largest_products_in_exact_arithmetic(masses: list[int], p: int, q: int, data: st.DataObject) -> None:
    assume(p + q > 0)
    total, level = sum(masses), F(0)
    points = [[F(0), F(0)]]
    for k, mass in enumerate(masses, start=1):
        level += F(mass, total)
        points.append([F(k), level])
    cdf = Distribution.model_validate({"cdf": points}).as_cdf
    assert isinstance(cdf, PiecewiseLinear)
    product = Product(F(p), F(q), F(data.draw(st.integers(1, 3))), F(-data.draw(st.integers(1, 2)), 2))
    found = largest(cdf, product)
    assert found.value == found.upper and found.at == tuple(sorted(set(found.at)))
    for at in (F(at) for at in found.at):
        assert (product.p + product.q * at) * (product.r + product.s * cdf.exact_cdf(at)) == found.value
    low, high = cdf.support
    for k in range(40 * len(masses) + 1):
        at = min(max(F(k, 40), low), high)
        assert (product.p + product.q * at) * (product.r + product.s * cdf.exact_cdf(at)) <= found.value
