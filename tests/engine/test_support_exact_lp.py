"""The tests' own exact programs are right: against a solver in floats, and against each other."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linprog
from support.exact_lp import Infeasible, Row, check, eliminate, maximise
from support.markets import Case, full_information, full_worth, listed_program, menu_revenue, optimum_of
from support.random_markets import cases

INF = math.inf
half = Fraction(1, 2)


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_against_floats(seed: int) -> None:
    rng = random.Random(seed)
    columns = rng.randint(1, 6)
    cost = [Fraction(rng.randint(-5, 5)) for _ in range(columns)]
    lower = [Fraction(rng.randint(-3, 0)) for _ in range(columns)]
    upper = [low + rng.randint(0, 4) for low in lower]
    rows = []
    for _ in range(rng.randint(0, 7)):
        terms = {column: Fraction(rng.randint(-4, 4)) for column in range(columns) if rng.random() < 0.7}
        low = rng.randint(-6, 4)
        below: list[Fraction | float] = [Fraction(low), -INF]
        above: list[Fraction | float] = [Fraction(low + rng.choice([0, 2, 5])), INF]
        rows.append(Row(terms, rng.choice(below), rng.choice(above)))
    matrix = np.zeros((len(rows), columns))
    for k, row in enumerate(rows):
        for column, value in row.terms.items():
            matrix[k, column] = value
    both = np.vstack([matrix, -matrix])
    side = np.array([float(row.upper) for row in rows] + [-float(row.lower) for row in rows])
    finite = np.isfinite(side)
    box = list(zip(map(float, lower), map(float, upper), strict=True))
    floats = linprog([-float(c) for c in cost], A_ub=both[finite], b_ub=side[finite], bounds=box)
    if floats.status == 2:
        with pytest.raises(Infeasible):
            maximise(cost, rows, lower, upper)
    else:
        assert floats.fun is not None
        assert float(maximise(cost, rows, lower, upper).value) == pytest.approx(-floats.fun, abs=1e-9)


def test_a_program_by_hand() -> None:
    """Maximise 3x + 2y with x + y <= 4 and x + 3y <= 6 in [0, 3]: x = 3, y = 1."""
    one = Fraction(1)
    rows = [Row({0: one, 1: one}, upper=Fraction(4)), Row({0: one, 1: 3 * one}, upper=Fraction(6))]
    found = maximise([3 * one, 2 * one], rows, [0 * one] * 2, [3 * one] * 2)
    assert (found.value, found.x) == (11, [3, 1])
    with pytest.raises(AssertionError, match="bound"):
        check([3 * one, 2 * one], rows, [0 * one] * 2, [3 * one] * 2, [3 * one, 0 * one], found.duals)
    with pytest.raises(AssertionError, match="a row fails"):
        check([3 * one, 2 * one], rows, [0 * one] * 2, [3 * one] * 2, [3 * one, 2 * one], found.duals)
    with pytest.raises(AssertionError, match="outside"):
        check([3 * one, 2 * one], rows, [0 * one] * 2, [3 * one] * 2, [4 * one, 0 * one], found.duals)
    with pytest.raises(AssertionError, match="sign"):
        check([3 * one, 2 * one], rows, [0 * one] * 2, [3 * one] * 2, found.x, [-one, 0 * one])


def test_numbers_that_no_float_tells_apart() -> None:
    tiny = Fraction(1, 10**40)
    row = Row({0: Fraction(1), 1: Fraction(-1)}, lower=tiny)
    assert maximise([Fraction(0), Fraction(1)], [row], [Fraction(0)] * 2, [Fraction(1)] * 2).value == 1 - tiny
    with pytest.raises(ValueError, match="bounded"):
        maximise([Fraction(1)], [], [Fraction(0)], [INF])


def test_elimination() -> None:
    matrix = [{0: Fraction(2), 1: Fraction(1)}, {0: Fraction(1), 1: Fraction(3)}]
    assert eliminate(matrix, [Fraction(3), Fraction(4)]) == [1, 1]
    with pytest.raises(ArithmeticError, match="singular"):
        eliminate([{0: half}, {0: half}], [half, half])


def test_rows_added_where_they_fail_give_the_full_program() -> None:
    for case in cases(8, 500, max_types=2):
        found = optimum_of(case)
        assert maximise(*listed_program(case.weights, case.joint, case.payoff)).value == found, case.name
        single = full_information(case.weights, case.joint, case.payoff)
        worths = [full_worth(joint, payoff) for joint, payoff in zip(case.joint, case.payoff, strict=True)]
        first_best = sum(weight * each for weight, each in zip(case.weights, worths, strict=True))
        assert single <= found <= first_best


def test_markets_by_hand() -> None:
    """Known optima: two beliefs of one value, type-dependent payoffs with double deviations, and limits on the menu."""
    identity = [[Fraction(1), Fraction(0)], [Fraction(0), Fraction(1)]]
    swapped = [[Fraction(0), Fraction(1, 5)], [Fraction(1, 5), Fraction(0)]]
    even = [[half], [half]]
    assert optimum_of(Case("double deviations", [half, half], [even, even], [identity, swapped])) == Fraction(1, 4)
    quarter, third = Fraction(1, 4), Fraction(3, 5)
    beliefs = [[[quarter], [1 - quarter]], [[third], [1 - third]]]
    two = Case("two beliefs", [half, half], beliefs, [identity, identity])
    one, both = (optimum_of(Case("limited", [half, half], beliefs, [identity, identity], max_items=k)) for k in (1, 2))
    assert (one, both, optimum_of(two)) == (quarter, Fraction(19, 70), Fraction(19, 70))


def test_what_a_menu_earns_by_its_ties() -> None:
    identity = [[Fraction(1), Fraction(0)], [Fraction(0), Fraction(1)]]
    case = Case("one", [Fraction(1)], [[[half], [half]]], [identity])
    full = {"experiment": [[1.0, 0.0], [0.0, 1.0]], "price": 0.5}
    assert menu_revenue(case, {"items": [full]}) == (0, half)
    assert menu_revenue(case, {"items": [{**full, "price": 0.25}]}) == (Fraction(1, 4), Fraction(1, 4))
    assert menu_revenue(case, {"items": [{**full, "price": 0.75}]}) == (0, 0)
