"""Answers by virtual values: finite markets and continua, their mechanisms, and what stops or refuses them."""

from __future__ import annotations

import warnings
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
from support.competing_markets import (
    EXPONENTIAL,
    IRREGULAR,
    UNIFORM,
    Group,
    continuous_values,
    finite_values,
    judge,
    listed_values,
    proof,
)

import optmarket as om
from optmarket.errors import ModelError
from optmarket.models.competing_buyers.outcomes import assess
from optmarket.models.competing_buyers.solvers.by_virtual_values import (
    at_cell_ends,
    cell_mechanism,
    solve_continuum,
    solve_finite,
)
from optmarket.models.competing_buyers.virtual_values import continuum
from optmarket.models.competing_buyers.virtual_values.optimal_rule import optimal_rule
from optmarket.models.competing_buyers.virtual_values.revenue_bounds import Bracket
from optmarket.options import Options, Status


def test_who_knows_the_state_pays_nothing() -> None:
    found = solve_continuum(continuous_values([{"count": 2, "value": {"dist": "uniform", "loc": 5}}], th=1), Options())
    assert proof(found).lower == proof(found).upper == 0 and found.status is Status.OPTIMAL


def test_a_mechanism_above_the_bound_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continuum, "bounds", lambda *_: Bracket(0.3, 0.38))
    with pytest.raises(om.SolverError, match="computed wrongly"):
        solve_continuum(continuous_values([{"count": 2, "value": {"dist": "uniform"}}]), Options())


def test_time_limit_of_a_continuum_of_values() -> None:
    answer = solve_continuum(continuous_values([{"count": 4, "value": {"dist": "beta", "a": 2, "b": 3}}]), Options(time_limit=0))
    assert answer.status in {Status.TIME_LIMIT, Status.OPTIMAL}
    assert max(map(len, answer.mechanism.to_json()["cells"])) < 500  # some hundred cells, and no more were tried
    assert 0 < proof(answer).lower <= answer.quantities["revenue"] <= proof(answer).upper
    full = continuum.bounds(continuous_values([{"count": 4, "value": {"dist": "beta", "a": 2, "b": 3}}]))
    assert proof(answer).lower <= full.upper and full.lower <= proof(answer).upper


@pytest.mark.parametrize(("alpha", "ex_post", "bayesian"), [(0, 1, 1), (F(1, 2), F(5, 4), F(3, 2)), (2, F(5, 2), 4)])
def test_two_values(alpha: Any, ex_post: Any, bayesian: Any) -> None:
    buyers = [{"count": 2, "types": listed_values([1, 2])}]
    for ic, value in (("ex-post", ex_post), ("bayesian", bayesian)):
        answer = solve_finite(finite_values(buyers, alpha, ic), Options())
        assert answer.exact == value
        assert proof(answer).lower == proof(answer).upper == value


def test_types_without_weight_or_alike_change_nothing() -> None:
    plain = [{"count": 2, "types": listed_values([1, 2])}]
    odd = [{"count": 2, "types": listed_values([2, 1, 0, 2, 7], ["1/4", "1/2", 0, "1/4", 0])}]
    one, other = (solve_finite(finite_values(buyers), Options()) for buyers in (plain, odd))
    assert one.exact == other.exact
    told = np.array(other.mechanism.to_json()["experiments"])
    assert told.shape == (2, 5, 5, 2, 2)
    assert np.array_equal(told[:, 0], told[:, 3])


@pytest.mark.parametrize("ic", ["bayesian", "ex-post"])
@pytest.mark.parametrize(
    "buyers",
    [
        [{"count": 2, "value": UNIFORM}],
        pytest.param([{"count": 2, "value": EXPONENTIAL}], marks=pytest.mark.slow),
        pytest.param([{"value": UNIFORM}, {"value": {"dist": "uniform", "loc": 1, "scale": 2}}], marks=pytest.mark.slow),
        [{"count": 2, "value": IRREGULAR}],
        [{"count": 3, "value": {"dist": "beta", "a": 2, "b": 3}}],
        [{"count": 2, "value": UNIFORM}, {"value": {"dist": "lognorm", "s": 1}}],
        [{"count": 2, "value": {"dist": "pareto", "b": 3}}],
    ],
    ids=["uniform", "exponential", "asymmetric", "irregular", "three", "heavy", "pareto"],
)
def test_the_mechanism_of_a_continuum_earns_the_optimum(buyers: list[Group], ic: str) -> None:
    given = continuous_values(buyers, "3/2", ic, "3/5")
    answer = solve_continuum(given, Options(gap=1e-4))
    assert answer.status is Status.OPTIMAL
    assert proof(answer).lower <= answer.quantities["revenue"] <= proof(answer).upper
    judged = judge(given, answer.mechanism.to_json())
    assert judged.worst < 1e-9 * judged.unit
    assert judged.quantities["revenue"] <= proof(answer).upper
    assert judged.quantities["revenue"] == pytest.approx(answer.quantities["revenue"], abs=1e-7 * judged.unit)


def test_continuum_answer() -> None:
    answer = solve_continuum(continuous_values([{"count": 2, "value": EXPONENTIAL}]), Options())
    assert answer.status == "optimal"
    assert answer.quantities["revenue"] == pytest.approx(0.632494885267, abs=1e-11)
    with pytest.raises(ModelError, match="leave exact out"):
        solve_continuum(continuous_values([{"count": 2, "value": UNIFORM}]), Options(exact=True))


@pytest.mark.parametrize("ic", ["bayesian", "ex-post"])
@pytest.mark.parametrize(
    "buyers",
    [
        [{"count": 2, "value": {"dist": "beta", "a": 30, "b": 2}}],
        [{"count": 2, "value": {"dist": "lognorm", "s": "1/10"}}],
        pytest.param([{"count": 2, "value": {"dist": "beta", "a": 3, "b": 3}}], marks=pytest.mark.slow),
        [{"value": {"dist": "pareto", "b": "3/2"}}, {"value": {"dist": "gamma", "a": 20}}],
        [{"count": 2, "value": 0}, {"value": UNIFORM}],
    ],
    ids=["thin", "narrow", "round", "heavy", "worthless rivals"],
)
@pytest.mark.parametrize("th", ["1/2", 1])
def test_distributions_of_odd_tails_are_bounded(buyers: list[Group], ic: str, th: Any) -> None:
    given = continuous_values(buyers, "3/2", ic, th)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, lower, upper = continuum.revenue(given)
        mechanism = cell_mechanism(given, 200)
    ends = [optimal_rule(at_cell_ends(given, 60, upper=side), exact=False) for side in (False, True)]
    close = 1e-9 * float(mechanism.by_report.market.scale)
    assert float(ends[0].revenue) - ends[0].excess - close <= upper and lower <= float(ends[1].revenue) + close
    judged = assess(mechanism.by_report)
    assert judged.good and judged.quantities["revenue"] <= upper + close
    assert lower <= found <= upper
