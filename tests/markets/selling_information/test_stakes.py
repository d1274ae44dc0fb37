"""Nothing is proved and wrong, whatever the numbers: markets over 24 orders of magnitude against an exact rational program.

The optima come from ``tests/support``, which shares no code with the package.
"""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support.markets import Case, full_information, optimum_of, read_case, verify, worth
from support.one_buyer import market_in
from support.paths import CASES
from support.proofs import proof
from support.proofs import rounds as rounds_of
from support.random_markets import KINDS, cases, random_market

import optmarket as om
from optmarket.instances import instance
from optmarket.lp import highs
from optmarket.modeling import registry
from optmarket.models.selling_information.experiments import values
from optmarket.models.selling_information.lp import build
from optmarket.options import Options, Status
from optmarket.solution import Solution

SLOW = 2000  # markets of the slow test
CHUNK = 50


def solved(case: Case, **options: Any) -> Solution:
    return om.solve(instance.parse(case.toml(), lambda name: registry.get(name).params), **options)


def mistakes(case: Case, **options: Any) -> list[str]:
    """What is wrong with the answers to a market, its name first."""
    return [f"{case.name}{options or ''}: {mistake}" for mistake in verify(case, solved(case, **options), optimum_of(case))]


# ----------------------------------------------------------------------------------------------------- against the exact optimum


@pytest.mark.parametrize("kind", KINDS)
def test_no_random_market_is_proved_and_wrong(kind: str) -> None:
    assert [mistake for case in cases(6, kind=kind) for mistake in mistakes(case)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_exact_solves_of_random_markets_end_at_the_exact_optimum(kind: str) -> None:
    for case in cases(3, 100, kind=kind):
        solution, right = solved(case, exact=True), optimum_of(case)
        assert (solution.status, solution.exact) == (Status.OPTIMAL, right), case.name
        assert verify(case, solution, right) == [], case.name


def test_full_listings_are_not_proved_and_wrong() -> None:
    assert [mistake for case in cases(10, 200) for mistake in mistakes(case, method="full")] == []


@pytest.mark.parametrize("limit", [1, 2])
def test_limited_menus_are_not_proved_and_wrong(limit: int) -> None:
    found = [mistake for case in cases(10 // limit, 300, max_types=3, max_items=limit) for mistake in mistakes(case)]
    assert found == []


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, SLOW, CHUNK))
def test_thousands_of_random_markets_are_not_proved_and_wrong(start: int) -> None:
    """2,000 markets; every fourth exactly too, every eighth fully listed, every tenth with menus of one item and a few of two."""
    found = []
    for k, case in enumerate(cases(CHUNK, 10_000 + start)):
        found += mistakes(case)
        if k % 4 == 0:
            found += mistakes(case, exact=True)
        if k % 8 == 0:
            found += mistakes(case, method="full")
        if k % 10 == 0:
            found += mistakes(replace(case, max_items=1))
    found += [mistake for case in cases(2, 50_000 + start, max_types=3, max_items=2) for mistake in mistakes(case)]
    assert found == []


# each was wrong once: proved at a wrong value, below full information, infeasible, or without an exact end
@pytest.mark.parametrize(
    "name", ["high-stakes", "one-buyer-of-large-value", "rare-event", "status-infeasible", "exact-fails-s42"]
)
def test_kept_markets_are_solved_to_1e_minus_8(name: str) -> None:
    case = read_case(CASES / f"{name}.toml")
    right = optimum_of(case)
    solution, proved = om.solve(CASES / f"{name}.toml"), om.solve(CASES / f"{name}.toml", exact=True)
    assert verify(case, solution, right) == verify(case, proved, right) == []
    assert (solution.status, proved.status, proved.exact) == (Status.OPTIMAL, Status.OPTIMAL, right)
    assert abs(Fraction(solution.value) - right) <= Fraction(1, 10**8) * right
    assert solution.good and proved.good


@pytest.mark.parametrize("seed", [156, 181])
def test_menus_whose_floats_would_earn_less_are_written_otherwise(seed: int) -> None:
    # rounded to floats the exact point's menu earns less than the point: its lower end may not be that of the fractions
    assert mistakes(random_market(seed)) == []


def test_the_right_values_of_kept_markets() -> None:
    right = {name: float(optimum_of(read_case(CASES / f"{name}.toml"))) for name in ("high-stakes", "rare-event")}
    assert right == {"high-stakes": 0.4, "rare-event": pytest.approx(2.09401624, abs=5e-9)}


def test_one_item_earns_its_lower_end_whatever_the_ties() -> None:
    case = read_case(CASES / "max-items-1-ties.toml")
    assert optimum_of(case) == Fraction(1, 4)
    assert verify(case, om.solve(CASES / "max-items-1-ties.toml"), Fraction(1, 4)) == []


@pytest.mark.parametrize("stake", [10**k for k in range(0, 13, 3)])
def test_however_much_is_at_stake_in_one_state(stake: int) -> None:
    """The optimum tends to 2/5 as ever more is at stake in the first state."""
    half = Fraction(1, 2)
    joint = [[[Fraction(1, 4)], [Fraction(3, 4)]], [[Fraction(3, 5)], [Fraction(2, 5)]]]
    payoff = [[[Fraction(stake), Fraction(0)], [Fraction(0), Fraction(1)]]] * 2
    case = Case(f"stake {stake}", [half, half], joint, payoff)
    assert verify(case, solution := solved(case), optimum_of(case)) == []
    assert solution.good
    assert solution.value >= float(full_information(case.weights, case.joint, case.payoff)) * (1 - 1e-8)


# -------------------------------------------------------------------------------------------------------------------- invariances


def same(one: Solution, other: Solution, factor: Fraction = Fraction(1)) -> bool:
    """Whether two certificates may be of the same number, and both say that they know it."""
    low = max(Fraction(proof(one).lower) * factor, Fraction(proof(other).lower))
    high = min(Fraction(proof(one).upper) * factor, Fraction(proof(other).upper))
    # a bound is rounded outwards once more when it is scaled
    return low <= high * (1 + Fraction(1, 2**50)) and one.good == other.good


chosen = pytest.mark.parametrize("kind", KINDS)


@chosen
def test_scaled_payoffs_scale_revenue_and_bounds(kind: str) -> None:
    case = random_market(401, kind)
    before = solved(case)
    for factor in (Fraction(2) ** 40, Fraction(2) ** -40):
        after = solved(case.scaled(factor))
        for name in ("lower", "upper"):
            expected = getattr(before.certificate, name) * float(factor)
            assert getattr(after.certificate, name) == pytest.approx(expected, rel=1e-12, abs=0)
        assert after.value == pytest.approx(before.value * float(factor), rel=1e-12, abs=0)
        assert after.status is before.status
    for factor in (Fraction(10) ** 12, Fraction(1, 10**12)):
        assert same(before, solved(case.scaled(factor)), factor)


def test_a_gap_that_is_asked_for_is_reached_as_soon_whatever_the_payoffs_are_counted_in() -> None:
    rng = random.Random(1)
    joint = []
    for _ in range(16):
        parts = [Fraction(rng.randint(1, 50)) for _ in range(4)]
        joint.append([[part / sum(parts) for part in half] for half in (parts[:2], parts[2:])])
    pays = [[Fraction(1), Fraction(0)], [Fraction(0), Fraction(1)]]
    case = Case("many types of two contexts", [Fraction(1, 16)] * 16, joint, [pays] * 16)

    def rounds(factor: Fraction, gap: float | None) -> int:
        solution = solved(case.scaled(factor), method="cuts", gap=gap)
        assert solution.good
        return rounds_of(solution.run)

    for gap in (0.3, 0.1, 0.02):
        assert rounds(Fraction(1), gap) == rounds(Fraction(2**40), gap) == rounds(Fraction(1, 2**40), gap)
    assert rounds(Fraction(1), 0.3) < rounds(Fraction(1), None)


@chosen
def test_constants_that_depend_on_the_state_alone_change_nothing(kind: str) -> None:
    case = random_market(402, kind)
    by = [[Fraction((-1) ** w * 10**12 * (k + 1), 7) for w in range(len(case.joint[0]))] for k in range(len(case.weights))]
    before, after = solved(case), solved(case.shifted(by))
    assert (after.status, after.value, after.certificate) == (before.status, before.value, before.certificate)


@chosen
def test_the_order_of_types_and_their_splitting_change_nothing(kind: str) -> None:
    case = random_market(403, kind)
    types = range(len(case.weights))
    before = solved(case)
    assert same(before, solved(case.picked(types[::-1])))
    halves = [weight * share for weight in case.weights for share in (Fraction(1, 3), Fraction(2, 3))]
    assert same(before, solved(case.picked([k for k in types for _ in range(2)], halves)))


@chosen
def test_further_incentive_constraints_never_raise_revenue(kind: str) -> None:
    case = random_market(404, kind)
    of = market_in(case.toml())
    bounds = {}
    for rule in ("double", "separate", "misreport"):
        program = build(of, deviations=rule)
        bounds[rule] = program.unit * highs.solve(program.full(), Options()).bound
    # each is an upper bound of its program, and at most the solver's tolerance above its optimum
    slack = 1e-7 * max(bounds.values())
    assert bounds["double"] <= bounds["separate"] + slack <= bounds["misreport"] + 2 * slack
    assert bounds["misreport"] <= float(sum(of.weight * of.worth)) + slack


@chosen
def test_garbled_experiments_are_worth_no_more_to_anybody(kind: str) -> None:
    case = random_market(405, kind)
    rng = np.random.default_rng(1)
    states = len(case.joint[0])
    experiment = [[Fraction(int(x), 100) for x in row] for row in rng.integers(1, 100, (states, 3))]
    experiment = [[x / sum(row) for x in row] for row in experiment]
    shares = [["1/2", "1/3", "1/6"], ["0", "3/4", "1/4"], ["1", "0", "0"]]
    mixing = [[Fraction(share) for share in row] for row in shares]
    garbled = [[sum((row[s] * mixing[s][n] for s in range(3)), Fraction(0)) for n in range(3)] for row in experiment]
    product = [
        [[[case.joint[r][w][c] * u for u in case.payoff[r][w]] for c in range(len(case.joint[r][0]))] for w in range(states)]
        for r in range(len(case.weights))
    ]
    computed = values(np.array(product, dtype=np.float64), np.array([experiment, garbled], dtype=np.float64))
    for k, (joint, payoff) in enumerate(zip(case.joint, case.payoff, strict=True)):
        full, less = worth(joint, payoff, experiment), worth(joint, payoff, garbled)
        assert less <= full
        size = float(max(abs(u) for row in payoff for u in row))
        assert computed[k] == pytest.approx([float(full), float(less)], rel=1e-12, abs=1e-14 * size)
