"""Continua of beliefs: bounds from either side, held against what is known exactly."""

from __future__ import annotations

import itertools
from fractions import Fraction as F
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.competing_markets import UNIFORM, Group, continuous_beliefs, judge, proof

from optmarket import options
from optmarket.errors import InstanceError, ModelError
from optmarket.models import competing_buyers, selling_information
from optmarket.models.competing_buyers.market import ContinuousBeliefs
from optmarket.models.competing_buyers.mechanisms.by_cell import discretize, even_cells
from optmarket.models.competing_buyers.solvers import general_lp
from optmarket.models.competing_buyers.solvers.belief_relaxation import upper_bound
from optmarket.options import Options, Status

HUMPS = {"mixture": [{"weight": "1/2", "dist": "beta", "a": 8, "b": 30}, {"weight": "1/2", "dist": "beta", "a": 60, "b": 30}]}


GAP = {"density": [{"from": 0, "to": "1/5", "height": 3}, {"from": "3/5", "to": 1, "height": 1}]}


SURE = {"types": [{"weight": "1/3", "belief": ["1/4", "3/4"]}, {"weight": "2/3", "belief": ["3/5", "2/5"], "value": 2}]}


def bounds(given: ContinuousBeliefs, size: int) -> tuple[float, float]:
    """Lower and upper, with so many cells."""
    cells = even_cells(given, size)
    found = general_lp.solve(discretize(given, cells), Options())
    return proof(found).lower, upper_bound(given, cells, Options())[0]


def revenue_of_one_buyer(distribution: dict[str, Any]) -> float:
    """What selling information to a single buyer of such beliefs earns."""
    spec = selling_information.MODEL
    answer = spec.solve(spec.market(spec.params.model_validate({"belief": distribution})), Options())
    return answer.quantities["revenue"]


@pytest.mark.parametrize("ic", ["bayesian", "ex-post"])
@pytest.mark.parametrize("distribution", [UNIFORM, HUMPS, GAP], ids=["uniform", "humps", "gap"])
def test_without_externality_each_buyer_is_a_market_of_its_own(distribution: dict[str, Any], ic: str) -> None:
    known = 2 * revenue_of_one_buyer(distribution)
    coarse, fine = (bounds(continuous_beliefs([{"count": 2, "belief": distribution}], 0, ic), size) for size in (5, 10))
    for lower, upper in (coarse, fine):
        assert lower <= known + 1e-8 and known - 1e-8 <= upper
    assert fine[1] - known < 0.7 * (coarse[1] - known)


@pytest.mark.parametrize(
    ("buyers", "alpha", "ic"),
    [
        ([{"count": 2, "belief": UNIFORM}], 2, "bayesian"),
        ([{"count": 2, "belief": HUMPS, "value": 3}], "1/2", "bayesian"),
        ([{"count": 3, "belief": UNIFORM}], "3/2", "bayesian"),
        ([{"belief": GAP}, {"belief": UNIFORM, "value": "1/2"}], 1, "bayesian"),
        ([{"belief": UNIFORM}, SURE], 1, "bayesian"),
        ([{"count": 2, "belief": UNIFORM}], 1, "ex-post"),
        ([{"belief": UNIFORM}, SURE], "1/2", "ex-post"),
        ([{"count": 3, "belief": GAP}], "1/2", "ex-post"),
        ([{"belief": UNIFORM}, {"belief": GAP}], 2, "other"),
    ],
)
def test_coarse_upper_bounds_lie_above_fine_lower_ones(buyers: list[Group], alpha: Any, ic: str) -> None:
    if ic == "other":
        given = continuous_beliefs(buyers, alpha, externality_belief="other")
    else:
        given = continuous_beliefs(buyers, alpha, ic)
    found = [bounds(given, size) for size in (2, 4, 8)]
    assert all(a[0] <= b[0] + 1e-9 for a, b in pairwise(found))  # halved cells can do what whole ones do
    assert max(lower for lower, _ in found) <= min(upper for _, upper in found)
    assert found[2][1] - found[2][0] < 0.8 * (found[0][1] - found[0][0])


def test_bounds_of_two_uniform_buyers() -> None:
    given = continuous_beliefs([{"count": 2, "belief": UNIFORM}])
    lower, upper = bounds(given, 16)
    assert lower == pytest.approx(float(F(29, 48) - F(1, 6 * 16**2)), abs=1e-9)  # 29/48 less a quarter of it for half the cells
    assert upper == pytest.approx(0.6280339381, abs=1e-8)  # by another formulation, in full
    other = continuous_beliefs([{"count": 2, "belief": UNIFORM}], externality_belief="other")
    lower, upper = bounds(other, 16)
    assert lower == pytest.approx(0.33203125, abs=1e-9) and 1 / 3 <= upper < 0.4
    for alpha, known in (("1/2", 1 / 3), (1, 1 / 2), (2, 1)):
        for ic in ("bayesian", "ex-post"):
            lower, upper = bounds(continuous_beliefs([{"count": 2, "belief": UNIFORM}], alpha, ic, externality_belief="other"), 8)
            assert lower <= known <= upper


@pytest.mark.parametrize("ic", ["bayesian", "ex-post"])
def test_answer(ic: str) -> None:
    given = continuous_beliefs([{"count": 2, "belief": UNIFORM}], ic=ic)
    answer = competing_buyers.solve(given, Options(gap=0.3))
    assert answer.status is Status.OPTIMAL
    mechanism = answer.mechanism.to_json()
    judged = judge(given, mechanism)
    assert judged.worst < 1e-7
    assert judged.quantities["revenue"] == pytest.approx(answer.quantities["revenue"], abs=1e-9)
    assert proof(answer).lower <= answer.quantities["revenue-estimate"] <= proof(answer).upper
    assert "no proof" in answer.notes[1]
    # every belief of a fine grid, not only the ends of cells, is content
    edges = np.array(mechanism["cells"][0])
    fine = np.unique(np.concatenate([edges, np.linspace(0, 0.999, 40)]))
    like = np.searchsorted(edges, fine, side="right") - 1
    experiments = [np.array(each)[np.ix_(like, like)].tolist() for each in mechanism["experiments"]]
    paid = [np.array(each) for each in mechanism["payments"]]
    spread = [(each[like] if each.ndim == 1 else each[np.ix_(like, like)]).tolist() for each in paid]
    finer = judge(given, {"cells": [fine.tolist()], "experiments": experiments, "payments": spread})
    assert finer.worst < 1e-7
    assert finer.quantities == pytest.approx(judged.quantities, abs=1e-9)


def test_what_is_refused() -> None:
    given = continuous_beliefs([{"count": 2, "belief": UNIFORM}])
    with pytest.raises(ModelError, match="leave exact out"):
        competing_buyers.solve(given, Options(exact=True))
    with pytest.raises(ModelError, match="takes constraint generation"):
        competing_buyers.solve(given, Options(method="full"))
    for method in ("reduced", "virtual-values"):
        with pytest.raises(ModelError, match="takes constraint generation"):
            competing_buyers.solve(given, Options(method=method))
    with pytest.raises(InstanceError, match='write method = "cuts"'):
        continuous_beliefs([{"belief": UNIFORM}, {"belief": UNIFORM}], formulation="symmetric")
    with pytest.raises(InstanceError, match="is missing"):
        judge(given, {"experiments": [], "payments": []})


def test_time_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that strides ahead with every look at it, so that it ends in the second round, whatever the number of cells."""
    strides = itertools.count(0.0, 1000.0)
    monkeypatch.setattr(options, "time", SimpleNamespace(perf_counter=lambda: next(strides)))
    given = continuous_beliefs([{"count": 2, "belief": UNIFORM}], 2)
    answer = competing_buyers.solve(given, Options(gap=1e-6, time_limit=8500))
    assert answer.status is Status.TIME_LIMIT
    assert 2.0 <= proof(answer).lower <= 2.1438 <= proof(answer).upper
    assert "for 8 cells" in answer.notes[0]


@pytest.mark.parametrize("distribution", [{"dist": "beta", "a": 20, "b": 180}, {"dist": "beta", "a": 300, "b": 900}], ids=str)
def test_cells_almost_without_mass(distribution: dict[str, Any]) -> None:
    given = continuous_beliefs([{"count": 2, "belief": distribution}])
    answer = competing_buyers.solve(given, Options(gap=0.06))
    assert answer.status is Status.OPTIMAL
    assert judge(given, answer.mechanism.to_json()).good
    # what sells to one alone sells to each: the externality does not depend on the own report, and is worst outside
    assert proof(answer).upper >= 2 * revenue_of_one_buyer(distribution)
