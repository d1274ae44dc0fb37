"""Claims of the paper on competing buyers that no single instance decides, by mechanisms and programs written here.

The paper is Ravindranath, Jiang and Parkes (2023). Docstrings name the claims.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
from support.competing_markets import EVEN, finite_market, judge, of_values

from optmarket.lp import highs
from optmarket.lp.program import LinearProgram, Rows
from optmarket.models import competing_buyers
from optmarket.models.competing_buyers.market import FiniteTypes
from optmarket.models.competing_buyers.solvers import general_lp, reduced_form_lp

ITEM = [[0.1, 0.9], [0.8, 0.2]]
SURE = [[1, 0], [1, 0]]  # always the first state
TRUTH = [[1, 0], [0, 1]]


def ex_post_market(buyers: list[dict[str, Any]], externality: Any, ic: str = "ex-post", **given: Any) -> FiniteTypes:
    return finite_market(buyers, externality, ic, **given)


def one(value: Any = 1, **given: Any) -> dict[str, Any]:
    return {"types": [{"weight": 1, "value": value, **given}]}


def alone(*experiments: Any, paid: Any = (0, 0)) -> dict[str, Any]:
    """A mechanism for two buyers of one type each."""
    return {"experiments": [[[each]] for each in experiments], "payments": [[[each]] for each in paid]}


@pytest.mark.parametrize(("value", "alpha"), [(1, 0), (1, 2), ("1/2", "1/2")])
def test_opting_out(value: Any, alpha: Any) -> None:
    """002-05, 002-09: who opts out is left with v (max theta - alpha), as no recommendation to rivals harms it more."""
    given = ex_post_market([{**one(value), "count": 2}], alpha, prior=["3/10", "7/10"])
    v, share = float(F(value)), float(F(alpha))
    assert float(given.outside_option(0)[0]) == pytest.approx(v * (0.7 - share))
    rng = np.random.default_rng(0)
    prior = np.array([0.3, 0.7])
    for rivals in rng.dirichlet([1, 1], (50, 2)):
        assert v * (0.7 - share * prior @ np.diagonal(rivals)) >= float(given.outside_option(0)[0]) - 1e-12


def test_example_one() -> None:
    """002-07, 002-08: obeying [[.1, .9], [.8, .2]] is right with chance .17, doing the opposite with .83: not obedient."""
    given = ex_post_market([{**one(), "count": 2}], 0, prior=["3/10", "7/10"])
    judged = judge(given, alone(ITEM, ITEM))
    assert judged.quantities["informed-share"] == pytest.approx(0.17)
    assert judged.violations["disobey"] == pytest.approx(0.83 - 0.17)
    assert judged.violations["individual-rationality"] == pytest.approx(0.7 - 0.17)


@pytest.mark.parametrize(("alpha", "printed", "true"), [(0, 0.7, 0.13), (2, -1.3, 1.79)])
def test_example_one_payment(alpha: Any, printed: float, true: float) -> None:
    """002-10: a payment up to v (.7 - alpha) is said to be accepted. The most is v (.13 + .83 alpha), by the best replies."""
    flipped = [[0.9, 0.1], [0.2, 0.8]]  # the same information, recommended as it is best used
    given = ex_post_market([{**one(), "count": 2}], alpha, prior=["3/10", "7/10"])

    def refused(paid: float) -> float:
        return judge(given, alone(flipped, ITEM, paid=(paid, 0))).violations["individual-rationality"]

    assert refused(true) == pytest.approx(refused(true - 0.01), abs=1e-12)  # buyer 2's own refusal, whatever buyer 1 pays
    own = judge(given, alone(flipped, TRUTH, paid=(0, 0)))
    assert own.quantities["informed-share"] == pytest.approx((0.83 + 1) / 2)
    # buyer 1 alone: the worth of taking part less that of opting out
    taking_part = 0.83 - alpha * 0.17
    assert taking_part - (0.7 - alpha) == pytest.approx(true)
    assert abs(printed - true) > 0.5


def at_least(program: LinearProgram, name: str, bound: float) -> None:
    """Add to a program that some of its variables are at least so much."""
    columns = np.concatenate([block.ravel() for of, block in program.variables.items() if of.startswith(name)])
    assert len(columns)
    program.add_rows(f"{name} at least", Rows.dense(columns[:, None], np.ones((len(columns), 1)), bound, np.inf))


def payments_of_the_paper(given: FiniteTypes, experiments: list[Any], share: float) -> list[float]:
    """Equation 16 for buyers of one type each: a share of what taking part is worth, the externality by the rival's belief."""
    paid = []
    for i, types in enumerate(given.buyers):
        belief = np.array(types.belief[0], dtype=float)
        rival = np.array(given.buyers[1 - i].belief[0], dtype=float)
        correct = belief @ np.diagonal(np.array(experiments[i], dtype=float))
        rival_correct = rival @ np.diagonal(np.array(experiments[1 - i], dtype=float))
        alpha = float(given.externality)
        paid.append(share * float(types.value[0]) * (correct - alpha * rival_correct - (belief.max() - alpha)))
    return paid


@pytest.mark.parametrize("ic", ["ex-post", "bayesian"])
def test_payments_of_the_paper_are_not_always_rational(ic: str) -> None:
    """002-14, 002-15: payments by equations 16 and 17 may leave a buyer less than opting out does."""
    given = finite_market([one(belief=[1, 0]), one(belief=["1/2", "1/2"])], 1, ic)
    experiments = [SURE, SURE]
    paid = payments_of_the_paper(given, experiments, 1.0)
    assert paid[0] == pytest.approx(0.5)
    judged = judge(given, alone(*experiments, paid=[paid[0], 0]))
    assert judged.violations["individual-rationality"] == pytest.approx(0.5)
    # nor without payments, if buyers are told less than they know
    even = finite_market([{**one(), "count": 2}], "1/2", ic, prior=["1/2", "1/2"])
    rarely = [[0.1, 0.9], [0.9, 0.1]]
    assert payments_of_the_paper(even, [rarely, TRUTH], 0.0) == [0, 0]
    assert judge(even, alone(rarely, TRUTH)).violations["individual-rationality"] == pytest.approx(0.4)


@pytest.mark.parametrize("ic", ["ex-post", "bayesian"])
def test_regret_of_the_paper_misses_a_deviation(ic: str) -> None:
    """002-16, 002-17: regret by equations 18 and 19 may be 0 where a misreport gains .8."""
    types = [{"weight": "1/2", "belief": ["9/10", "1/10"]}, {"weight": "1/2", "belief": ["1/10", "9/10"]}]
    given = finite_market([{"types": types}, one(belief=["1/2", "1/2"])], 1, ic)
    always = {0: SURE, 1: [[0, 1], [0, 1]]}
    # buyer 1 is told what it believes; the rival, always, the state that buyer 1 reports to find likelier
    mechanism: dict[str, Any] = {
        "experiments": [[[always[0]], [always[1]]], [[always[0]], [always[1]]]],
        "payments": [[[0], [0]], [[0], [0]]],
    }
    if ic == "bayesian":
        mechanism["payments"] = [[0, 0], [0]]
    rival = np.array([0.5, 0.5])
    for truth, belief in enumerate(([0.9, 0.1], [0.1, 0.9])):
        worth = [
            (np.array(belief)[:, None] * np.array(always[report])).max(axis=0).sum() - rival @ np.diagonal(always[report])
            for report in (0, 1)
        ]
        assert worth[1 - truth] == pytest.approx(worth[truth])  # equation 18: no regret
    judged = judge(given, mechanism)
    assert judged.violations["double-deviation"] == pytest.approx(0.8)
    assert judged.violations["disobey"] <= 1e-12
    by_rivals = judge(replace(given, own_belief=False), mechanism)
    assert by_rivals.worst <= 1e-12


def test_payments_at_least_nothing() -> None:
    """002-06: payments are taken to be at least 0. If truth and obedience are asked for apart, that costs revenue."""
    beliefs = [{"weight": "1/4", "belief": [F(2 * k - 1, 8), F(9 - 2 * k, 8)]} for k in range(1, 5)]
    given = ex_post_market([{"count": 2, "types": beliefs}], 2)

    def revenue(at_least_nothing: bool) -> float:
        program = general_lp.build(given, deviations="separate")
        if at_least_nothing:
            at_least(program, "payment", 0.0)
        return float(highs.solve(program).bound) * program.unit

    assert revenue(False) == pytest.approx(1.648810, abs=1e-6)
    assert revenue(True) == pytest.approx(1.639881, abs=1e-6)


@pytest.mark.parametrize(("prior", "x", "obeyed"), [(["3/4", "1/4"], 0.75, True), (["3/4", "1/4"], 0.74, False)])
def test_obedience_is_a_bound_on_the_chance(prior: list[Any], x: float, obeyed: bool) -> None:
    """002-54: an item that tells right with chance x in both states is obeyed if and only if x is at least max theta."""
    given = ex_post_market([{**one(), "count": 2}], 1, prior=prior)
    item = [[x, 1 - x], [1 - x, x]]
    assert (judge(given, alone(item, item)).violations["disobey"] <= 1e-12) is obeyed


@pytest.mark.parametrize("ic", ["ex-post", "bayesian"])
@pytest.mark.parametrize("seed", range(4))
def test_truth_and_obedience_suffice_with_one_prior(ic: str, seed: int) -> None:
    """002-55: with a common prior incentives against misreporting and disobeying at once add nothing to each alone."""
    rng = np.random.default_rng(seed)
    types = [{"weight": "1/3", "value": F(int(v), 4)} for v in rng.integers(0, 9, 3)]
    given = finite_market([{"count": 2, "types": types}], F(int(rng.integers(0, 9)), 4), ic, prior=["3/5", "2/5"])
    double, separate = general_lp.build(given, deviations="double"), general_lp.build(given, deviations="separate")
    assert highs.solve(double).bound == pytest.approx(highs.solve(separate).bound, abs=1e-8)


@pytest.mark.parametrize("alpha", [0, "1/2", 2])
def test_revenue_is_virtual_welfare_less_a_constant(alpha: Any) -> None:
    """002-56: expected payments are E sum of psi x less (theta - alpha) times the lowest values, in any mechanism that binds."""
    given = of_values([1, 2], alpha, "ex-post")
    answer = competing_buyers.solve(given)
    correct = [np.diagonal(np.array(each), axis1=2, axis2=3)[..., 0] for each in answer.mechanism.to_json()["experiments"]]
    phi = np.array([0.0, 2.0])
    psi = [phi[:, None] - float(F(alpha)) * phi[None, :], phi[None, :] - float(F(alpha)) * phi[:, None]]
    constant = (0.5 - float(F(alpha))) * 2
    assert sum((p * x).mean() for p, x in zip(psi, correct, strict=True)) - constant == pytest.approx(
        answer.quantities["revenue"]
    )
    assert judge(given, answer.mechanism.to_json()).worst < 1e-12


def test_obedience_at_every_profile_leaves_the_ex_post_revenue() -> None:
    """002-35: Bayesian, only the mean of what is told must be obeyed. Asked for at every profile, the ex post optimum is left."""
    grid = {"count": 2, "value": {"dist": "uniform"}, "grid": {"size": 12, "rule": "lower"}}
    found = {
        ic: competing_buyers.solve(finite_market([grid], "1/2", ic, prior=EVEN)).quantities["revenue"]
        for ic in ("bayesian", "ex-post")
    }
    assert found["bayesian"] == pytest.approx(0.395255, abs=1e-6)
    assert found["ex-post"] == pytest.approx(0.270255, abs=1e-6)
    program = reduced_form_lp.build(finite_market([grid], "1/2", "bayesian", prior=EVEN))
    at_least(program, "correct", 0.5)
    assert highs.solve(program).bound * program.unit == pytest.approx(found["ex-post"], abs=1e-8)
