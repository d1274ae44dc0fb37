"""Competing buyers of whole distributions of beliefs: bounds from either side, held against what is known exactly."""

from __future__ import annotations

import itertools
from fractions import Fraction as F
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from optmarket.errors import InstanceError, ModelError
from optmarket.models import competing_buyers as market
from optmarket.models import selling_information
from optmarket.models.competing_buyers.mechanisms import by_cell as cells
from optmarket.models.competing_buyers.solvers import belief_cells as beliefs
from optmarket.models.competing_buyers.solvers import general_lp as general
from optmarket.solution import Options, Status

UNIFORM = {"dist": "uniform"}
HUMPS = {"mixture": [{"weight": "1/2", "dist": "beta", "a": 8, "b": 30}, {"weight": "1/2", "dist": "beta", "a": 60, "b": 30}]}
GAP = {"density": [{"from": 0, "to": "1/5", "height": 3}, {"from": "3/5", "to": 1, "height": 1}]}
SURE = {"types": [{"weight": "1/3", "belief": ["1/4", "3/4"]}, {"weight": "2/3", "belief": ["3/5", "2/5"], "value": 2}]}


def params(buyers: list[dict[str, Any]], alpha: Any = "1/2", ic: str = "bayesian", **given: Any) -> market.Params:
    return market.Params.model_validate({"externality": alpha, "ic": ic, "buyers": buyers, **given})


def bounds(given: market.Params, size: int) -> tuple[float, float]:
    """Lower and upper, with so many cells."""
    edges = [cells.even(cells.law_of(buyer), size) if buyer.on_continuum else np.zeros(0) for buyer in given.buyers]
    found = general.solve(cells.market(given, edges), Options())
    return found.certificate.lower, beliefs.above(given, edges, Options())[0]


@pytest.mark.parametrize("ic", ["bayesian", "ex-post"])
@pytest.mark.parametrize("law", [UNIFORM, HUMPS, GAP], ids=["uniform", "humps", "gap"])
def test_without_externality_each_buyer_is_a_market_of_its_own(law: dict[str, Any], ic: str) -> None:
    alone = selling_information.solve(selling_information.Params.model_validate({"belief": law}), Options())
    known = 2 * alone.quantities["revenue"]
    coarse, fine = (bounds(params([{"count": 2, "belief": law}], 0, ic), size) for size in (5, 10))
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
def test_coarse_upper_bounds_lie_above_fine_lower_ones(buyers: list[dict[str, Any]], alpha: Any, ic: str) -> None:
    given = params(buyers, alpha) if ic == "other" else params(buyers, alpha, ic)
    given = given.model_copy(update={"externality_belief": "other"}) if ic == "other" else given
    found = [bounds(given, size) for size in (2, 4, 8)]
    assert all(a[0] <= b[0] + 1e-9 for a, b in pairwise(found))  # halved cells can do what whole ones do
    assert max(lower for lower, _ in found) <= min(upper for _, upper in found)
    assert found[2][1] - found[2][0] < 0.8 * (found[0][1] - found[0][0])


def test_bounds_of_two_uniform_buyers() -> None:
    given = params([{"count": 2, "belief": UNIFORM}])
    lower, upper = bounds(given, 16)
    assert lower == pytest.approx(float(F(29, 48) - F(1, 6 * 16**2)), abs=1e-9)  # 29/48 less a quarter of it for half the cells
    assert upper == pytest.approx(0.6280339381, abs=1e-8)  # by another program with all rows listed
    other = params([{"count": 2, "belief": UNIFORM}], externality_belief="other")
    lower, upper = bounds(other, 16)
    assert lower == pytest.approx(0.33203125, abs=1e-9) and 1 / 3 <= upper < 0.4
    for alpha, known in (("1/2", 1 / 3), (1, 1 / 2), (2, 1)):
        for ic in ("bayesian", "ex-post"):
            lower, upper = bounds(params([{"count": 2, "belief": UNIFORM}], alpha, ic, externality_belief="other"), 8)
            assert lower <= known <= upper


@pytest.mark.parametrize("ic", ["bayesian", "ex-post"])
def test_answer(ic: str) -> None:
    given = params([{"count": 2, "belief": UNIFORM}], ic=ic)
    answer = market.solve(given, Options(gap=0.3))
    assert answer.status is Status.OPTIMAL
    judged = market.audit(given, answer.mechanism)
    assert judged.worst < 1e-7
    assert judged.quantities["revenue"] == pytest.approx(answer.quantities["revenue"], abs=1e-9)
    assert answer.certificate.lower <= answer.quantities["revenue-estimate"] <= answer.certificate.upper
    assert "no proof" in answer.notes[1]
    # every belief of a fine grid, not only the ends of cells, is content
    edges = np.array(answer.mechanism["cells"][0])
    fine = np.unique(np.concatenate([edges, np.linspace(0, 0.999, 40)]))
    like = np.searchsorted(edges, fine, side="right") - 1
    told = [np.array(each)[np.ix_(like, like)].tolist() for each in answer.mechanism["experiments"]]
    paid = [np.array(each) for each in answer.mechanism["payments"]]
    spread = [(each[like] if each.ndim == 1 else each[np.ix_(like, like)]).tolist() for each in paid]
    finer = market.audit(given, {"cells": [fine.tolist()], "experiments": told, "payments": spread})
    assert finer.worst < 1e-7
    assert finer.quantities == pytest.approx(judged.quantities, abs=1e-9)


def test_what_is_refused() -> None:
    given = params([{"count": 2, "belief": UNIFORM}])
    with pytest.raises(ModelError, match="leave exact out"):
        market.solve(given, Options(exact=True))
    with pytest.raises(ModelError, match="take rows on demand"):
        market.solve(given, Options(method="full"))
    for form in ("reduced", "virtual-values"):
        with pytest.raises(ModelError, match="take"):
            market.solve(params([{"count": 2, "belief": UNIFORM}], formulation=form), Options())
    with pytest.raises(ModelError, match="2 kinds"):
        market.solve(params([{"belief": UNIFORM}, {"belief": UNIFORM}], formulation="symmetric"), Options())
    with pytest.raises(InstanceError, match="is missing"):
        market.audit(given, {"experiments": [], "payments": []})


def test_time_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that strides ahead with every look at it, so that it ends in the second round, of how many cells ever."""
    strides = itertools.count(0.0, 1000.0)
    monkeypatch.setattr(beliefs, "time", SimpleNamespace(perf_counter=lambda: next(strides)))
    given = params([{"count": 2, "belief": UNIFORM}], 2)
    answer = market.solve(given, Options(gap=1e-6, time_limit=5500))
    assert answer.status is Status.TIME_LIMIT
    assert 2.0 <= answer.certificate.lower <= 2.1438 <= answer.certificate.upper
    assert "for 8 cells" in answer.notes[0]


@pytest.mark.parametrize("law", [{"dist": "beta", "a": 20, "b": 180}, {"dist": "beta", "a": 300, "b": 900}], ids=str)
def test_cells_almost_without_mass(law: dict[str, Any]) -> None:
    given = params([{"count": 2, "belief": law}])
    answer = market.solve(given, Options(gap=0.06))
    assert answer.status is Status.OPTIMAL
    assert market.audit(given, answer.mechanism).good
    alone = selling_information.solve(selling_information.Params.model_validate({"belief": law}), Options())
    # what sells to one alone sells to each: harm does not depend on the own report, and is worst outside
    assert answer.certificate.upper >= 2 * alone.quantities["revenue"]
