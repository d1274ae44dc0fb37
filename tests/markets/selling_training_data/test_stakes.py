"""Training data where error rates and weights differ by many orders of magnitude, held against an exact program of its own.

The program below lists the reduced form row by row and is solved in fractions, without any of the package's code.
"""

from __future__ import annotations

import itertools
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.stats
from support.exact_lp import Row, maximise
from support.markets import optimum
from support.paths import CASES
from support.training_data import audited, bounds_of, by_errors, market_of, menu_of, on_line

import optmarket as om
from optmarket.models import selling_training_data as model
from optmarket.options import Options, Status

F = Fraction
SPREADS = ("errors", "weights", "errors and weights", "all small", "one error small")
Pair = tuple[Fraction, Fraction]


def exact_optimum(pairs: list[Pair], weights: list[Fraction]) -> Fraction:
    """Items (pi1, pi2) and prices as shares of what complete data are worth to the type; every row written out."""
    types = range(len(pairs))

    def cost(r: int, q: int, how: str) -> dict[int, Fraction]:
        """What item q costs type r that follows it with its own data, or ignores these."""
        errors = {"follow": pairs[r], "first": (F(1, 2), F(0)), "second": (F(0), F(1, 2))}[how]
        terms = {3 * q: errors[0], 3 * q + 1: errors[1], 3 * q + 2: sum(pairs[q], F(0))}
        return {column: value for column, value in terms.items() if value}

    rows = []
    for r in types:
        own = cost(r, r, "follow")
        rows.append(Row(own, upper=sum(pairs[r], F(0))))
        for q, how in itertools.product(types, ("follow", "first", "second")):
            terms = dict(own)
            for column, value in cost(r, q, how).items():
                terms[column] = terms.get(column, F(0)) - value
            terms = {column: value for column, value in terms.items() if value}
            if terms:
                rows.append(Row(terms, upper=F(0)))
    objective = [entry for r in types for entry in (F(0), F(0), weights[r] * sum(pairs[r], F(0)))]
    return maximise(objective, rows, [F(0)] * len(objective), [F(1)] * len(objective)).value


def drawn(seed: int) -> tuple[list[Pair], list[Fraction]]:
    """Two to four types; which numbers differ by orders of magnitude depends on the seed."""
    rng = random.Random(seed)
    spread, count = SPREADS[seed % len(SPREADS)], rng.randint(2, 4)

    def size(low: int, high: int) -> Fraction:
        return F(rng.randint(1, 99), 99) * F(10) ** rng.randint(low, high)

    common = F(10) ** rng.randint(-12, -1)
    pairs: list[Pair] = []
    for _ in range(count):
        pair = (F(rng.randint(0, 20), 80), F(rng.randint(0, 20), 80))
        if spread in {"errors", "errors and weights"}:
            worth, share = size(-12, 0) / 2, F(rng.randint(0, 10), 10)
            pair = (worth * share, worth * (1 - share))
        elif spread == "all small":
            pair = (F(rng.randint(0, 9)) * common / 40, F(rng.randint(0, 9)) * common / 40)
        elif spread == "one error small":
            pair = (size(-12, 0) / 4, pair[1])
            pair = pair if rng.random() < 0.5 else (pair[1], pair[0])
        pairs.append(pair)
    weights = [size(-12, 12) if spread in {"weights", "errors and weights"} else F(rng.randint(1, 9)) for _ in range(count)]
    total = sum(weights, F(0))
    return pairs, [weight / total for weight in weights]


def check(market: model.Market, truth: Fraction, *, exact: bool, method: str = "auto") -> None:
    """Nothing is proved that is wrong, and complete data at their best price are never better than what is printed."""
    answer = model.solve(market, Options(method=method))
    bounds, revenue = bounds_of(answer), F(answer.quantities["revenue"])
    assert F(bounds.lower) <= truth <= F(bounds.upper)
    assert answer.status is Status.OPTIMAL and bounds.gap <= 1e-6
    assert F(bounds.lower) <= revenue * (1 + F(1, 10**9)) and revenue <= F(bounds.upper) * (1 + F(1, 10**9))
    assert truth - revenue <= truth * F(1, 10**6)
    alone = answer.quantities["full-information-revenue"]
    assert bounds.lower >= alone * (1 - 1e-9) and bounds.upper <= answer.quantities["first-best"] * (1 + 1e-12)
    audit = audited(market, answer.mechanism)
    assert audit.good and audit.quantities["revenue"] == pytest.approx(float(revenue), rel=1e-9, abs=0)
    if exact:
        proved = model.solve(market, Options(method=method, exact=True))
        assert proved.exact == truth and proved.status is Status.OPTIMAL
        assert model.tables(market, menu_of(proved))["menu"]["price"].min() >= 0


@pytest.mark.parametrize("seed", range(50))
def test_no_market_of_unequal_stakes_is_proved_and_wrong(seed: int) -> None:
    pairs, weights = drawn(seed)
    check(by_errors(pairs, weights), exact_optimum(pairs, weights), exact=seed % 2 == 0)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(1000, 4000, 100))
def test_many_markets_of_unequal_stakes(start: int) -> None:
    for seed in range(start, start + 100):
        pairs, weights = drawn(seed)
        method = "general" if seed % 7 == 0 else "auto"
        check(by_errors(pairs, weights), exact_optimum(pairs, weights), exact=seed % 5 == 0, method=method)


@pytest.mark.parametrize("seed", range(0, 10))
def test_the_general_form_too(seed: int) -> None:
    pairs, weights = drawn(seed)
    check(by_errors(pairs, weights), exact_optimum(pairs, weights), exact=False, method="general")


@pytest.mark.parametrize("seed", range(12))
def test_rare_states_and_signals(seed: int) -> None:
    """Types by joint probabilities that differ by up to twelve orders of magnitude."""
    rng = random.Random(seed)
    joint = []
    for _ in range(2):
        entries = [F(rng.randint(0, 99)) * F(10) ** rng.randint(-12, 0) for _ in range(4)]
        entries[0] += 1
        total = sum(entries, F(0))
        joint.append([[entry / total for entry in entries[:2]], [entry / total for entry in entries[2:]]])
    share = F(10) ** rng.randint(-9, 0) / 2
    weights = [share, 1 - share]
    types = [{"weight": weight, "joint": table} for weight, table in zip(weights, joint, strict=True)]
    truth = optimum(weights, joint, [[[F(1), F(0)], [F(0), F(1)]]] * 2)
    if truth:
        check(market_of(types=types), truth, exact=seed % 3 == 0)


def test_classifiers_of_four_classes() -> None:
    """Constraint generation alone stood at [0.1629, 0.2268] after 44 seconds."""
    solution = om.solve(CASES / "four-classes.toml")
    assert solution.status is Status.OPTIMAL
    assert solution.value == pytest.approx(0.214896823649, rel=1e-9)
    assert solution.bounds[0] <= 0.214896823650 and solution.bounds[1] >= 0.214896823647


@pytest.mark.parametrize(("low", "high"), [(-9, 0), (-12, 0), (-9, -7), (-6, -4)])
def test_many_types_of_unequal_stakes_are_solved_in_floats(low: int, high: int) -> None:
    """Too many for exact arithmetic: rows in one unit for all left gaps of up to a half."""
    rng = random.Random(1)
    pairs: list[Pair] = []
    for _ in range(80):
        worth, share = F(repr(10 ** rng.uniform(low, high))) / 3, F(rng.randint(0, 20), 20)
        pairs.append((worth * share, worth * (1 - share)))
    weights = [1 / sum(pair, F(0)) if k % 2 else F(1) for k, pair in enumerate(pairs)]
    total = sum(weights, F(0))
    answer = model.solve(by_errors(pairs, [weight / total for weight in weights]))
    assert answer.status is Status.OPTIMAL and bounds_of(answer).gap <= 1e-7
    assert answer.run.method is not None and "exact" not in answer.run.method
    assert bounds_of(answer).lower >= answer.quantities["full-information-revenue"] * (1 - 1e-9)


@pytest.mark.parametrize("factor", [F(1, 2**30), F(1, 10**9), F(1, 10**12)])
def test_errors_that_are_all_small_are_solved_as_closely(factor: Fraction) -> None:
    weights = [F(1, 3), F(1, 6), F(1, 2)]
    pairs = [
        (F(3, 10) * factor, F(1, 10) * factor),
        (F(1, 10) * factor, F(4, 10) * factor),
        (F(1, 10) * factor, F(1, 10) * factor),
    ]
    answer = model.solve(by_errors(pairs, weights))
    truth, bounds = exact_optimum(pairs, weights), bounds_of(answer)
    assert answer.status is Status.OPTIMAL and bounds.gap <= 1e-8
    assert F(bounds.lower) <= truth <= F(bounds.upper)
    assert answer.quantities["revenue"] == pytest.approx(float(truth), rel=1e-8, abs=0)


@pytest.mark.parametrize("size", ["1e-6", "1e-9", "1e-12"])
@pytest.mark.parametrize("shape", [{"dist": "uniform"}, {"dist": "beta", "a": 2, "b": 4}])
@pytest.mark.parametrize("least", [0, "1/3"])
def test_lines_of_small_errors(size: str, shape: dict[str, Any], least: Any) -> None:
    """Tolerances are in units of what is at stake: in payoff units 1e-12 tied all types of such lines to everything."""
    m = Fraction(least) * Fraction(size)
    market = on_line(0, m, {**shape, "scale": size})
    answer = model.solve(market)
    bounds, revenue = bounds_of(answer), answer.quantities["revenue"]
    assert answer.status is Status.OPTIMAL and bounds.gap < 1e-8
    assert bounds.lower <= revenue * (1 + 1e-12) and revenue <= bounds.upper * (1 + 1e-12)
    # F(alpha)/2 may be as large as alpha's end, 1/2: beyond small alpha it is not worth selling the low tier more
    alpha = np.linspace(0, 1, 200_001)
    cdf = alpha if shape["dist"] == "uniform" else scipy.stats.beta.cdf(alpha, 2, 4)
    end = 0.5 - float(m)
    best = float(m) + (alpha * float(size) * (end - cdf / 2)).max() / end
    assert revenue == pytest.approx(best, rel=1e-8, abs=0)
    judged = audited(market, answer.mechanism).quantities
    assert judged["revenue"] == pytest.approx(revenue, rel=1e-12, abs=0)
    assert revenue <= judged["welfare"] <= answer.quantities["first-best"] * (1 + 1e-12)
