"""The market of competing buyers as a user meets it: forms agree, files are read, errors are said."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.paths import INSTANCES

import optmarket as om
from optmarket.errors import InstanceError, ModelError
from optmarket.models import competing_buyers as market
from optmarket.models.competing_buyers.figure import draw
from optmarket.models.competing_buyers.virtual_values import ironing as virtual
from optmarket.solution import Options, Status

GALLERY = INSTANCES / "competing-buyers"
TWO = {"count": 2, "types": [{"weight": "1/2", "value": 1}, {"weight": "1/2", "value": 2}]}
EVEN = ["1/2", "1/2"]


def params(**given: Any) -> market.Params:
    return market.Params.model_validate({"externality": "1/2", **given})


@pytest.mark.parametrize("ic", ["bayesian", "ex-post"])
@pytest.mark.parametrize("name", ["two-values", "three-buyers", "five-buyers"])
def test_all_forms_agree(name: str, ic: str) -> None:
    given = {**om.load(GALLERY / f"{name}.toml").params.model_dump(mode="json", by_alias=True), "ic": ic}
    found = {
        form: market.solve(market.Params.model_validate({**given, "formulation": form}), Options())
        for form in ("virtual-values", "reduced", "general")
    }
    values = [answer.quantities["revenue"] for answer in found.values()]
    assert values == pytest.approx([values[0]] * 3, abs=1e-7)
    for answer in found.values():
        assert answer.status is Status.OPTIMAL
        assert answer.certificate.lower <= values[0] + 1e-9 and answer.certificate.upper >= values[0] - 1e-9
        assert market.audit(market.Params.model_validate(given), answer.mechanism).worst < 1e-7


def test_auto_says_what_it_took() -> None:
    assert "virtual values" in market.solve(params(prior=EVEN, buyers=[TWO]), Options()).notes[0]
    private = params(buyers=[{"count": 2, "types": [{"weight": 1, "belief": EVEN}]}])
    assert market.solve(private, Options()).notes[0] == "general program: types have beliefs of their own"


def test_lower_and_upper_ends_enclose_the_whole_distribution() -> None:
    for rule, relation in (("lower", "upper"), ("upper", "lower")):
        buyer = {"count": 2, "value": {"dist": "uniform"}, "grid": {"size": 20, "rule": rule}}
        given = params(prior=EVEN, buyers=[buyer])
        claim = market.theory(given)[1]
        assert claim.relation == relation and float(claim.value) == pytest.approx(19 / 48, abs=1e-9)
        revenue = market.solve(given, Options()).quantities["revenue"]
        assert (revenue < 19 / 48) is (rule == "lower") and revenue == pytest.approx(19 / 48, abs=0.05)


def test_revenue_rises_with_the_externality_and_scales_with_values() -> None:
    def revenue(alpha: str, unit: int = 1) -> float:
        types = [{"weight": "1/2", "value": unit}, {"weight": "1/2", "value": 2 * unit}]
        return market.solve(
            params(prior=EVEN, externality=alpha, ic="ex-post", buyers=[{"count": 2, "types": types}])
        ).quantities["revenue"]

    assert [revenue(alpha) for alpha in ("0", "1/2", "2")] == pytest.approx([1, 5 / 4, 5 / 2])
    assert revenue("1/2", 8) == pytest.approx(10)


def test_a_mechanism_of_anyone_is_judged() -> None:
    told = np.broadcast_to(np.eye(2), (2, 2, 2, 2)).tolist()  # the truth to everybody, for one price
    found = om.audit(GALLERY / "two-values.toml", {"experiments": [told, told], "payments": [[0.5, 0.5], [0.5, 0.5]]})
    assert found.quantities["revenue"] == pytest.approx(1) and found.good
    # being told right is worth v (1/2) more than the prior, the rival's being right costs what it does outside
    dear = om.audit(GALLERY / "two-values.toml", {"experiments": [told, told], "payments": [[0.6, 0.6], [0.5, 0.5]]})
    assert dear.violations["individual-rationality"] == pytest.approx(0.1) and not dear.good


def test_tables_figures_and_programs() -> None:
    solution = om.solve(GALLERY / "two-values.toml")
    assert list(solution.tables) == ["buyers", "types", "profiles"]
    assert len(solution.plot().axes) == 2
    assert len(om.solve(GALLERY / "five-buyers.toml").plot().axes) == 2  # one for each kind of buyer
    for form in ("reduced", "general"):
        linear = market.program(params(prior=EVEN, ic="ex-post", buyers=[TWO], formulation=form))
        assert linear is not None
        assert linear.to_cvxpy().solve(solver="HIGHS") == pytest.approx(5 / 4, abs=1e-7)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"prior": EVEN, "buyers": [TWO], "externality": -1}, "at least 0"),
        ({"prior": EVEN, "buyers": [{"value": 1}]}, "lists one buyer"),
        ({"prior": EVEN, "buyers": [{"count": 2, "value": 1, "belief": {"dist": "uniform"}}]}, "stands beside prior"),
        ({"buyers": [TWO]}, "is missing, and there is no prior"),
        ({"prior": EVEN, "buyers": [{"count": 2, "value": {"dist": "norm"}}]}, "a value is at least 0"),
        ({"prior": EVEN, "buyers": [{"count": 2, "value": 1, "grid": {"size": 3}}]}, "has a grid, and no distribution"),
        ({"prior": ["1/2", "1/3"], "buyers": [TWO]}, "sum"),
    ],
)
def test_what_is_no_market(given: dict[str, Any], words: str) -> None:
    with pytest.raises((InstanceError, ValueError), match=words):
        params(**given)


def test_what_is_refused() -> None:
    with pytest.raises(ModelError, match="or give grid"):
        market.solve(params(prior=EVEN, formulation="reduced", buyers=[{"count": 2, "value": {"dist": "uniform"}}]))
    with pytest.raises(ModelError, match="must be general or auto"):
        private = {"count": 2, "types": [{"weight": 1, "belief": EVEN}]}
        market.solve(params(buyers=[private], formulation="reduced"))
    with pytest.raises(ModelError, match="take no method"):
        market.solve(params(prior=EVEN, buyers=[TWO]), Options(method="cuts"))


@pytest.mark.parametrize(
    ("form", "words"),
    [("reduced", 'formulation "virtual-values" would do'), ("general", 'formulation "virtual-values" would do')],
)
def test_too_many_profiles_say_what_would_do(form: str, words: str) -> None:
    many = {"count": 20, "value": {"dist": "uniform"}, "grid": {"size": 100}}
    with pytest.raises(ModelError, match=words) as caught:
        market.solve(params(prior=EVEN, buyers=[many], formulation=form))
    assert "GiB" in str(caught.value)
    with pytest.raises(ModelError, match="count = n for buyers alike"):
        market.solve(params(buyers=[{"count": 10, "belief": {"dist": "uniform"}, "grid": {"size": 100}}]))


def test_many_profiles_are_solved_by_scores() -> None:
    many = params(prior=EVEN, buyers=[{"count": 20, "types": TWO["types"]}])  # 1,048,576 profiles
    answer = market.solve(many)
    assert set(answer.mechanism) == {"scores", "thresholds", "payments"}
    assert answer.status is Status.OPTIMAL
    assert market.audit(many, answer.mechanism).worst < 1e-12
    assert list(market.tables(many, answer.mechanism)["buyers"]["buyer"]) == ["1 to 20, each"]


UNIFORM = {"value": {"dist": "uniform"}}
CELLS = {"cells": [[0.0, 0.5]], "scores": [[-1.0, 0.5]], "thresholds": [[-1.0, 1.0]], "payments": [[0.0, 0.1]]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cells": None}, "cells: is missing"),
        ({"cells": [[0.1, 0.5]]}, "must begin with 0.0"),
        ({"cells": [[0.0, 0.0]]}, "increasing"),
        ({"cells": [[0.0, 1.5]]}, "increasing, below 1.0"),
        ({"cells": [[0.0, 0.5], []]}, "one list for each of 1"),
        ({"scores": [[1.0, 0.5]]}, "must not fall"),
        ({"scores": [[1.0]]}, r"scores\[0\]: has 1 entries"),
        ({"thresholds": None}, "thresholds: is missing"),
        ({"thresholds": [[0.0, 1.5]]}, r"thresholds\[0\]\[1\]: is 1.5; a chance"),
        ({"payments": [[0.0, "much"]]}, r"payments\[0\]\[1\]"),
        ({"prices": []}, "prices: is not known"),
    ],
)
def test_what_is_no_mechanism_of_scores(change: dict[str, Any], words: str) -> None:
    whole = params(prior=EVEN, buyers=[{"count": 2, **UNIFORM}])
    assert market.audit(whole, CELLS).violations["disobey"] == pytest.approx(0, abs=1e-12)
    broken = {name: given for name, given in {**CELLS, **change}.items() if given is not None}
    with pytest.raises(InstanceError, match=words):
        market.audit(whole, broken)


def test_a_trained_mechanism_on_cells_is_judged_for_all_values() -> None:
    whole = params(prior=EVEN, ic="ex-post", externality=0, buyers=[{"count": 2, **UNIFORM}])
    # nothing told below 1/2, the truth above, at the price 1/4
    told = np.full((2, 2, 2, 2), 0.5)
    told[1, :] = np.eye(2)
    experiments = [told.tolist(), told.swapaxes(0, 1).tolist()]
    payments = [[[0, 0], [0.25, 0.25]], [[0, 0.25], [0, 0.25]]]
    judged = market.audit(whole, {"cells": [[0, 0.5]], "experiments": experiments, "payments": payments})
    assert judged.quantities["revenue"] == pytest.approx(1 / 4)
    assert judged.worst <= 1e-12
    # at another cut the values between 0.4 and 1/2 are asked for more than it is worth to them
    moved = market.audit(whole, {"cells": [[0, 0.4]], "experiments": experiments, "payments": payments})
    assert moved.violations["individual-rationality"] == pytest.approx(0.25 - 0.4 / 2)
    assert moved.violations["misreport"] == pytest.approx(0.25 - 0.4 / 2)


def test_finite_types_beside_a_whole_distribution() -> None:
    two = {"types": [{"weight": "1/2", "value": "1/3"}, {"weight": "1/2", "value": 1}]}
    for ic, value in (("bayesian", 1.000833333333), ("ex-post", 1223 / 2160)):
        mixed = params(prior=["3/5", "2/5"], externality="3/2", ic=ic, buyers=[UNIFORM, two])
        answer = market.solve(mixed)
        assert answer.quantities["revenue"] == pytest.approx(value, abs=1e-11)
        assert market.audit(mixed, answer.mechanism).worst < 1e-12
        for claim in market.theory(mixed):
            assert (float(claim.value) < value) is (claim.relation == "lower")


@pytest.mark.parametrize("form", ["reduced", "general", "virtual-values"])
def test_many_values_are_drawn_and_tabulated(form: str, tmp_path: Path) -> None:
    grid = {"count": 2, "value": {"dist": "uniform"}, "grid": {"size": 150, "rule": "lower"}}  # 22,500 profiles
    given = {"prior": EVEN, "externality": "1/2", "formulation": form, "buyers": [grid]}
    if form == "general":
        given = {"externality": "1/2", "buyers": [{"count": 2, "belief": {"dist": "uniform"}, "grid": {"size": 145}}]}
    answer = market.solve(params(**given))
    assert ("scores" if form == "virtual-values" else "experiments-by-tally") in answer.mechanism
    read = market.read(params(**given), answer.mechanism)
    figure = draw(solved(answer), *read, [None])
    assert len(figure.axes) == 2 and all(panel.images for panel in figure.axes)
    mirror = figure.axes[1].images[0].get_array().T
    assert np.allclose(figure.axes[0].images[0].get_array(), mirror)
    assert list(market.tables(params(**given), answer.mechanism)) == ["buyers", "types"]


def solved(answer: Any) -> Any:
    """What a figure needs to know of a solution."""
    return SimpleNamespace(title="t", objective="revenue", value=answer.quantities["revenue"], status=answer.status)


@pytest.mark.parametrize("scores", [[1, 0, 1], [0, 1, 1]])
def test_types_of_one_value_in_any_order_pay_by_score_ex_post(scores: list[float]) -> None:
    first = {"types": [{"weight": "1/4", "value": 1}, {"weight": "1/4", "value": 1}, {"weight": "1/2", "value": 2}]}
    second = {"types": [{"weight": "999/1000", "value": 1}, {"weight": "1/1000", "value": 2}]}
    given = params(prior=EVEN, externality=1, ic="ex-post", buyers=[first, second])
    told, judged = market.read(given, {"scores": [scores, [-1, 0.5]]})
    assert market.audit(given, judged.as_json()).worst <= 1e-12
    # and written out, profile by profile
    play = [np.array(each, dtype=float) for each in (scores, [-1, 0.5])]
    right = [np.where(play[1][None, :] <= play[0][:, None], 1.0, 0.5), np.where(play[0][:, None] <= play[1][None, :], 1.0, 0.5)]
    net = [right[0] - right[1] + 0.5, right[1] - right[0] + 0.5]
    order = np.lexsort((play[0], [1, 1, 2]))
    paid = np.empty((3, 2))
    paid[order] = virtual.payments(np.array([1.0, 1.0, 2.0]), net[0][order])
    listed = {
        "experiments": [virtual.experiment(np.array([0.5, 0.5]), each).tolist() for each in right],
        "payments": [paid.tolist(), virtual.payments(np.array([1.0, 2.0]), net[1].T).T.tolist()],
    }
    found = market.audit(given, listed)
    assert found.worst <= 1e-12
    assert found.quantities == pytest.approx(market.audit(given, judged.as_json()).quantities, abs=1e-12)
    assert told.ex_post


def test_a_fixed_value_beside_a_distribution_is_drawn_and_written() -> None:
    given = params(prior=EVEN, buyers=[{"value": 1}, UNIFORM])
    answer = market.solve(given)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = draw(solved(answer), *market.read(given, answer.mechanism), [None, None])
    assert figure.axes[0].get_xlabel() == "buyer 1: value"
    assert {int(panel.images[0].get_array().size) for panel in figure.axes} == {300 * 300}
    table = market.tables(given, answer.mechanism)["types"]
    assert not table.isna().to_numpy().any() and table["type"].iloc[0] == "1"


@pytest.mark.parametrize("ic", ["bayesian", "ex-post"])
@pytest.mark.parametrize("law", [{"dist": "uniform"}, {"dist": "expon"}, {"dist": "beta", "a": 2, "b": 3}], ids=str)
def test_values_between_the_ends_of_cells_change_nothing(law: dict[str, Any], ic: str) -> None:
    given = params(prior=["3/5", "2/5"], externality="3/2", ic=ic, buyers=[{"count": 2, "value": law}])
    edges = np.array([0.0, 0.1, 0.25, 0.3, 0.55, 0.8])
    scores, payments = [-1.0, -0.6, -0.2, 0.1, 0.3, 0.9], [0.0, 0.02, 0.05, 0.2, 0.3, 0.6]  # not the optimum's

    def judged(cells: np.ndarray) -> Any:
        like = np.searchsorted(edges, cells, side="right") - 1
        mechanism = {"cells": [cells.tolist()], "scores": [np.array(scores)[like].tolist()]}
        if ic == "bayesian":
            mechanism |= {"thresholds": [[-0.2, 0.4]], "payments": [np.array(payments)[like].tolist()]}
        return market.audit(given, mechanism)

    coarse, fine = judged(edges), judged(np.union1d(edges, np.linspace(0, 0.99, 60)))
    if law["dist"] != "expon":  # without end there is none at which all is found
        assert fine.violations == pytest.approx(coarse.violations, abs=1e-12)
    if ic == "bayesian":
        assert coarse.worst > 0.01
        assert fine.quantities == pytest.approx(coarse.quantities, abs=1e-10)
