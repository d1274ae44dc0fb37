"""What points of the programs are certain to earn: stopped solves, failing solvers, and stakes over 24 orders of magnitude."""

from __future__ import annotations

from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
from support import competing
from support.competing_markets import INCENTIVES, judge, on_a_line, optimum, proof
from support.paths import CASES

import optmarket as om
from optmarket.lp import exact_arithmetic, highs
from optmarket.models import competing_buyers
from optmarket.models.competing_buyers.market import market_of
from optmarket.models.competing_buyers.params import Params
from optmarket.models.competing_buyers.solvers import general_lp
from optmarket.models.competing_buyers.solvers.general_lp import GeneralFormulation
from optmarket.models.competing_buyers.solvers.lp_formulation import certified_revenue
from optmarket.options import Options, Status


@pytest.mark.parametrize("ic", INCENTIVES)
def test_stopped_early_the_bounds_still_hold(ic: str) -> None:
    given = on_a_line(6, 2, ic)
    answer = general_lp.solve(given, Options(time_limit=0.0))
    value = optimum(general_lp.build(given))
    assert answer.status is Status.TIME_LIMIT
    assert 0 < proof(answer).lower <= value <= proof(answer).upper
    judged = judge(given, answer.mechanism.to_json())
    assert judged.worst < 1e-12
    assert judged.quantities["revenue"] == pytest.approx(proof(answer).lower, abs=1e-12)


@pytest.mark.parametrize("ic", INCENTIVES)
def test_the_point_of_a_solve_stopped_before_its_first_step_is_a_mechanism(ic: str) -> None:
    given = on_a_line(6, 2, ic)
    linear = general_lp.build(given)
    found = GeneralFormulation(given).read_point(linear, np.zeros(linear.columns))
    for experiment in found.experiments:
        assert (experiment >= 0).all()
        np.testing.assert_allclose(experiment.sum(axis=-1), 1.0, atol=1e-15)
    assert certified_revenue(found) <= 0  # nobody follows it: it counts for nothing, and is never a number by accident


def test_time_limit_of_programs() -> None:
    answer = competing_buyers.solve(market_of(Params.model_validate(competing.drawn(1).params())), Options(time_limit=0))
    assert answer.status in {Status.TIME_LIMIT, Status.OPTIMAL}
    assert F(proof(answer).lower) <= competing.optimum(competing.drawn(1)) <= F(proof(answer).upper)


def holds(seed: int) -> bool:
    """Solve a random market: whether its interval holds the exact optimum, and its mechanism the audit."""
    drawn = competing.drawn(seed)
    given = market_of(Params.model_validate(drawn.params()))
    answer = competing_buyers.solve(given, Options())
    best = competing.optimum(drawn)
    inside = F(proof(answer).lower) <= best <= F(proof(answer).upper)
    return inside and answer.status is Status.OPTIMAL and judge(given, answer.mechanism.to_json()).good


@pytest.mark.parametrize("seed", range(16))
def test_stakes_of_24_orders_of_magnitude(seed: int) -> None:
    assert holds(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 500))
def test_many_stakes_of_24_orders_of_magnitude(seed: int) -> None:
    assert holds(seed)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    ("name", "value"),
    [("status-infeasible-4-competing", F(787500000450000000, 1750000021)), ("lower-above-true-optimum", None)],
)
def test_unequal_stakes_are_solved(name: str, value: F | None, exact: bool) -> None:
    found = om.solve(CASES / f"{name}.toml", exact=exact)
    assert found.status is Status.OPTIMAL and not found.contradictions and found.audit.good
    assert proof(found).lower <= proof(found).upper and proof(found).gap < 1e-15
    if value is not None:
        assert proof(found).lower <= value <= proof(found).upper
        assert not exact or found.exact == value


def test_a_solver_that_fails_leaves_a_bracket(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise om.SolverError("HiGHS ended with 'Unknown'")

    monkeypatch.setattr(highs, "solve", fails)
    monkeypatch.setattr(exact_arithmetic, "FREELY", 0)
    monkeypatch.setattr(exact_arithmetic, "AT_MOST", 0)
    answer = om.solve(CASES / "status-infeasible-4-competing.toml")
    assert answer.status is Status.GAP
    assert proof(answer).lower <= 449999995 <= proof(answer).upper
    assert any("cannot be" in note for note in answer.notes)
