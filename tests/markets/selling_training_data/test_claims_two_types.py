"""Claims of the talks on selling training data about two types: policies, regions and what binds in them.

000 is the later talk of Huang, Zhao and Zhong, 001 the earlier one, whose (theta1, theta2) are (beta, alpha). Docstrings name the
claims. Programs here are scipy's, written from the model; only where a test says so is the package's answer held against them.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from support.paths import INSTANCES
from support.training_data import HALF
from support.training_data_programs import (
    EXAMPLES,
    HIGH,
    HIGH_IN_IV,
    LOW_IN_IV,
    PAIRS,
    error_experiment,
    four_policies,
    random_pairs,
    reduced_menu,
    revenue_of_two,
)

from optmarket.models.selling_training_data import two_types

HOME = INSTANCES / "selling-training-data"


def test_the_optimum_is_one_of_four_policies() -> None:
    """000-36, 001-13: the program, the largest of the closed forms, and the package's answer."""
    seen = set()
    for high, low in [*PAIRS, *EXAMPLES]:
        best = max(four_policies(high, low))
        found = two_types(high, low)
        seen.add(found.region.split()[0])
        assert found.revenue == best
        assert revenue_of_two(high, low) == pytest.approx(float(best), abs=1e-9)
    assert seen == {"I", "II", "III", "IV"}


def test_rows_that_lose_nothing() -> None:
    """000-34, 001-11: the high type is sold complete data; 000-35, 001-06, 001-10: both types would obey both items."""
    lost = 0
    for high, low in [*PAIRS, *EXAMPLES]:
        best = revenue_of_two(high, low)
        a, b = high
        obeyed = [([(3, a), (4, b), (3 + i, -HALF)], 0) for i in range(2)]
        assert revenue_of_two(high, low, fixed={0: 0, 1: 0}) == pytest.approx(best, abs=1e-9)
        assert revenue_of_two(high, low, fixed={0: 0, 1: 0}, more=obeyed) == pytest.approx(best, abs=1e-9)
        lost += revenue_of_two(high, low, fixed={3: 0, 4: 0}) < best - 1e-6
    assert lost, "to sell complete data to the low type does lose"


def test_obedience_of_both_types_is_a_range_of_ratios() -> None:
    """001-10, in 001's letters: k1 = max theta2/(1/2 - theta1) and k2 = min (1/2 - theta2)/theta1."""
    inside = 0
    for high, low in random_pairs(10, 40):
        theta = [(pair[1], pair[0]) for pair in (high, low)]
        k1 = max(second / (HALF - first) if first < HALF else Fraction(10**9) for first, second in theta)
        k2 = min((HALF - second) / first if first else Fraction(10**9) for first, second in theta)
        for one, other in itertools.product([Fraction(j, 7) for j in range(1, 8)], repeat=2):
            obeyed = all(first * one + second * other <= min(one, other) / 2 for first, second in theta)
            assert obeyed == (k1 <= one / other <= k2)
            inside += obeyed
    assert inside > 100


@pytest.mark.parametrize("low", ["1/20 3/20", "1/50 9/50", "1/25 4/25", "3/100 17/100"])
def test_region_three(low: str) -> None:
    """000-40, 001-22: one item everywhere; 000-39, 001-16, 001-19: what binds, by the program's menu."""
    x, y = map(Fraction, low.split())
    a, b = HIGH
    found = two_types(HIGH, (x, y))
    assert found.region == "III"
    revenue, menu = reduced_menu([HALF, HALF], [HIGH, (x, y)])
    high_1, high_2, dear, first, second, cheap = menu
    assert (high_1, high_2) == pytest.approx((0, 0), abs=1e-9)
    assert (first, second) == pytest.approx((1, 2 / 3))
    assert cheap == pytest.approx(float(x + y) - (x * first + y * second))  # the low type's participation
    assert dear == pytest.approx(cheap + a * first + b * second)  # the high type's incentive
    assert a * first + b * second == pytest.approx(second / 2)  # its obedience
    assert x * first + y * second < second / 2 - 1e-3  # and not the low type's
    assert float(a + b) - dear == pytest.approx(float(b - y) / 3)  # its rent
    assert revenue == pytest.approx(float(found.revenue))


def test_the_rectangle_is_necessary_and_not_sufficient() -> None:
    """000-41, 001-17: also alpha' < alpha/2 - (beta' - beta/2) pi2."""
    a, b = HIGH
    left = 2 * a / (1 - 2 * b)
    in_rectangle, in_region = 0, 0
    unit = 200  # points of a grid, none on a border
    for i, j in itertools.product(range(0, 60), repeat=2):
        x, y = Fraction(2 * i + 1, 2 * unit), Fraction(2 * j + 1, 2 * unit + 1)
        if x > a or y > b or i % 4 or j % 4:
            continue
        rectangle = b / 2 < y < b and x < a / 2
        region = two_types(HIGH, (x, y)).region == "III"
        assert region == (rectangle and x < a / 2 - (y - b / 2) * left)
        in_rectangle += rectangle
        in_region += region
    assert 0 < in_region < in_rectangle


def test_region_four() -> None:
    """000-43 to 000-46, 001-20, 001-22: what binds, and that the item varies; 000-44 as printed leaves only pi = 0."""
    items = set()
    lows = [LOW_IN_IV, *((Fraction(i, 100), Fraction(j, 100)) for i, j in [(1, 17), (2, 17), (3, 18), (1, 19)])]
    for x, y in lows:
        a, b = HIGH_IN_IV
        found = two_types(HIGH_IN_IV, (x, y))
        assert found.region == "IV"
        first, second = found.left
        items.add(found.left)
        assert 0 < second < first < 1  # both errors are reduced
        assert a * first + b * second == second / 2  # (i)
        assert (a - x) * (1 - first) + (b - y) * (1 - second) == 0  # (ii), corrected
        assert a * first + b * second != x * first + y * second  # (ii) as printed
        # (i) and the printed (ii) are two equations with one solution
        determinant = a * (b - y) - (b - HALF) * (a - x)
        assert determinant != 0
        cheap, dear = found.prices
        assert dear == a + b  # the high type's participation
        assert cheap == x + y - x * first - y * second  # the low type's
        assert dear == cheap + a * first + b * second  # the high type's incentive
        assert revenue_of_two(HIGH_IN_IV, (x, y)) == pytest.approx(float(dear + cheap) / 2, abs=1e-9)
    assert len(items) == len(lows)
    a, b = HIGH_IN_IV
    x, y = LOW_IN_IV
    assert a * (b - y) - (b - HALF) * (a - x) == Fraction(73, 1000)


def test_items_as_experiments_for_each_own_signal() -> None:
    """001-18, 001-21: chances to be told action 2 in each state, after own signal 1 and after own signal 2."""
    told = np.array([[0, 0, 1, 1], [0, 1, 0, 1]])  # [own signal][profile]: action 2
    nested = told @ error_experiment(1, Fraction(2, 3)).T
    assert nested.tolist() == pytest.approx(np.array([[0, 1 / 3], [1, 1]]))  # state 2 told in part; nothing
    left = two_types(HIGH_IN_IV, LOW_IN_IV).left
    free = told @ error_experiment(*left).T
    assert free[0] == pytest.approx([0, 1 - 50 / 73])  # state 2 in part
    assert free[1] == pytest.approx([70 / 73, 1])  # state 1 in part


def test_types_with_one_error() -> None:
    """000-11: items (pi1, 1) and (1, pi2) lose nothing; 000-12, 001-14: then three policies are left, or two."""
    seen = set()
    for i, j in itertools.product(range(1, 10, 2), range(1, 10, 2)):
        one, other = Fraction(i, 20), Fraction(j, 20) + Fraction(1, 40)
        crossed = revenue_of_two((one, Fraction(0)), (Fraction(0), other))
        assert revenue_of_two((one, Fraction(0)), (Fraction(0), other), fixed={1: 1, 3: 1}) == pytest.approx(crossed, abs=1e-9)
        high, low = ((one, Fraction(0)), (Fraction(0), other)) if one > other else ((Fraction(0), other), (one, Fraction(0)))
        region = two_types(high, low).region.removesuffix(" mirrored")
        seen.add(region)
        (a, b), (x, y) = (high, low) if high[0] else (high[::-1], low[::-1])
        k = a / HALF
        free = [a + b - k * (a - y) / (a - k * y) / 4] if a != k * y else []
        assert crossed == pytest.approx(float(max([x + y, (a + b) / 2, *free])), abs=1e-9)
        along = revenue_of_two((max(one, other), Fraction(0)), (min(one, other), Fraction(0)))
        assert along == pytest.approx(float(max(min(one, other), max(one, other) / 2)), abs=1e-9)
    assert seen <= {"I", "II", "IV"} and "IV" in seen
