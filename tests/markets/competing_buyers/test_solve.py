"""The market of competing buyers as a user meets it: methods agree, files are read, errors are said."""

from __future__ import annotations

import numpy as np
import pytest
from support.competing_markets import EVEN, finite_market, judge, market_with, proof
from support.paths import INSTANCES

import optmarket as om
from optmarket.errors import ModelError
from optmarket.models import competing_buyers
from optmarket.models.competing_buyers.solvers import general_lp, reduced_form_lp
from optmarket.options import Options, Status

LIBRARY = INSTANCES / "competing-buyers"


TWO = {"count": 2, "types": [{"weight": "1/2", "value": 1}, {"weight": "1/2", "value": 2}]}


@pytest.mark.parametrize("ic", ["bayesian", "ex-post"])
@pytest.mark.parametrize("name", ["two-values", "three-buyers", "five-buyers"])
def test_all_forms_agree(name: str, ic: str) -> None:
    given = market_with(**{**om.load(LIBRARY / f"{name}.toml").params.model_dump(mode="json", by_alias=True), "ic": ic})
    found = {
        method: competing_buyers.solve(given, Options(method=method)) for method in ("virtual-values", "reduced", "cuts", "full")
    }
    values = [answer.quantities["revenue"] for answer in found.values()]
    assert values == pytest.approx([values[0]] * 4, abs=1e-7)
    for answer in found.values():
        assert answer.status is Status.OPTIMAL
        assert proof(answer).lower <= values[0] + 1e-9 and proof(answer).upper >= values[0] - 1e-9
        assert judge(given, answer.mechanism.to_json()).worst < 1e-7


def test_auto_says_what_it_took() -> None:
    assert "virtual values" in competing_buyers.solve(market_with(prior=EVEN, buyers=[TWO]), Options()).notes[0]
    private = market_with(buyers=[{"count": 2, "types": [{"weight": 1, "belief": EVEN}]}])
    assert competing_buyers.solve(private, Options()).notes[0] == "general program: types have beliefs of their own"


def test_lower_and_upper_ends_enclose_the_continuum() -> None:
    for rule, relation in (("lower", "upper"), ("upper", "lower")):
        buyer = {"count": 2, "value": {"dist": "uniform"}, "grid": {"size": 20, "rule": rule}}
        given = market_with(prior=EVEN, buyers=[buyer])
        claim = competing_buyers.theory(given)[1]
        assert claim.relation == relation and float(claim.value) == pytest.approx(19 / 48, abs=1e-9)
        revenue = competing_buyers.solve(given, Options()).quantities["revenue"]
        assert (revenue < 19 / 48) is (rule == "lower") and revenue == pytest.approx(19 / 48, abs=0.05)


def test_revenue_rises_with_the_externality_and_scales_with_values() -> None:
    def revenue(alpha: str, unit: int = 1) -> float:
        types = [{"weight": "1/2", "value": unit}, {"weight": "1/2", "value": 2 * unit}]
        return competing_buyers.solve(
            market_with(prior=EVEN, externality=alpha, ic="ex-post", buyers=[{"count": 2, "types": types}])
        ).quantities["revenue"]

    assert [revenue(alpha) for alpha in ("0", "1/2", "2")] == pytest.approx([1, 5 / 4, 5 / 2])
    assert revenue("1/2", 8) == pytest.approx(10)


def test_a_mechanism_of_anyone_is_judged() -> None:
    told = np.broadcast_to(np.eye(2), (2, 2, 2, 2)).tolist()  # the truth to everybody, for one price
    found = om.audit(LIBRARY / "two-values.toml", {"experiments": [told, told], "payments": [[0.5, 0.5], [0.5, 0.5]]})
    assert found.quantities["revenue"] == pytest.approx(1) and found.good
    # being told right is worth v (1/2) more than the prior, the rival's being right costs what it does outside
    dear = om.audit(LIBRARY / "two-values.toml", {"experiments": [told, told], "payments": [[0.6, 0.6], [0.5, 0.5]]})
    assert dear.violations["individual-rationality"] == pytest.approx(0.1) and not dear.good


def test_tables_figures_and_programs() -> None:
    solution = om.solve(LIBRARY / "two-values.toml")
    assert list(solution.tables) == ["buyers", "types", "profiles"]
    assert len(solution.plot().axes) == 2
    assert len(om.solve(LIBRARY / "five-buyers.toml").plot().axes) == 2  # one for each group of buyers
    given = finite_market([TWO], "1/2", "ex-post", prior=EVEN)
    for linear in (reduced_form_lp.build(given), general_lp.build(given)):
        assert linear.to_cvxpy().solve(solver="HIGHS") == pytest.approx(5 / 4, abs=1e-7)


def test_what_is_refused() -> None:
    with pytest.raises(ModelError, match="or give grid"):
        competing_buyers.solve(
            market_with(prior=EVEN, buyers=[{"count": 2, "value": {"dist": "uniform"}}]), Options(method="reduced")
        )
    private = market_with(buyers=[{"count": 2, "types": [{"weight": 1, "belief": EVEN}]}])
    for method in ("reduced", "virtual-values"):
        with pytest.raises(ModelError, match="must be cuts, full or auto"):
            competing_buyers.solve(private, Options(method=method))


@pytest.mark.parametrize("method", ["reduced", "cuts", "full"])
def test_too_many_profiles_say_what_would_do(method: str) -> None:
    many = {"count": 20, "value": {"dist": "uniform"}, "grid": {"size": 100}}
    with pytest.raises(ModelError, match='method "virtual-values" would do') as caught:
        competing_buyers.solve(market_with(prior=EVEN, buyers=[many]), Options(method=method))
    assert "GiB" in str(caught.value)
    with pytest.raises(ModelError, match="count = n for symmetric buyers"):
        competing_buyers.solve(market_with(buyers=[{"count": 10, "belief": {"dist": "uniform"}, "grid": {"size": 100}}]))


def test_many_profiles_are_solved_by_scores() -> None:
    many = market_with(prior=EVEN, buyers=[{"count": 20, "types": TWO["types"]}])  # 1,048,576 profiles
    answer = competing_buyers.solve(many)
    assert set(answer.mechanism.to_json()) == {"scores", "thresholds", "payments"}
    assert answer.status is Status.OPTIMAL
    assert judge(many, answer.mechanism.to_json()).worst < 1e-12
    assert list(competing_buyers.tables(many, competing_buyers.read(many, answer.mechanism.to_json()))["buyers"]["buyer"]) == [
        "1 to 20, each"
    ]


UNIFORM = {"value": {"dist": "uniform"}}


def test_finite_types_beside_a_continuum() -> None:
    two = {"types": [{"weight": "1/2", "value": "1/3"}, {"weight": "1/2", "value": 1}]}
    for ic, value in (("bayesian", 1.000833333333), ("ex-post", 1223 / 2160)):
        mixed = market_with(prior=["3/5", "2/5"], externality="3/2", ic=ic, buyers=[UNIFORM, two])
        answer = competing_buyers.solve(mixed)
        assert answer.quantities["revenue"] == pytest.approx(value, abs=1e-11)
        assert judge(mixed, answer.mechanism.to_json()).worst < 1e-12
        for claim in competing_buyers.theory(mixed):
            assert (float(claim.value) < value) is (claim.relation == "lower")
