"""Which markets form without and under a target, theorems about targets, the best target, and growth."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import optmarket as om
from optmarket.models.balanced_production import Market, Params, formation, solve, thresholds
from optmarket.models.balanced_production.best_target import best_target
from optmarket.models.balanced_production.closed_forms import never_backfires
from optmarket.models.balanced_production.growth import growth_path, limit, ratios_of
from optmarket.models.balanced_production.scenarios import balanced, baseline
from optmarket.models.balanced_production.thresholds_of_targets import forming_groups, safe_costs, simplex_grid
from optmarket.options import Options
from optmarket.rationals import floats

AIMS = ("revenue", "seller-profit", "buyer-surplus", "total-surplus")
ONE = {"Z": 1, "alpha": 1, "beta": 1}
share = st.fractions(min_value=0, max_value=1, max_denominator=50)
positive = st.fractions(min_value=Fraction(1, 20), max_value=10, max_denominator=100)


def market_of(**params: Any) -> Market:
    return Market.of(Params(**{"task": ONE, **params}))


@st.composite
def targets(draw: st.DrawFn, groups: int = 3) -> list[Fraction]:
    parts = draw(st.lists(st.integers(0, 20), min_size=groups, max_size=groups).filter(any))
    return [Fraction(part, sum(parts)) for part in parts]


def largest_threshold(rho: list[Fraction], target: list[Fraction]) -> Fraction:
    """The largest tau_H over all sets of groups, for Z = alpha = beta = 1, in rational numbers."""
    best = Fraction(0)
    having = [g for g, one in enumerate(target) if one > 0]
    for size in range(1, len(having) + 1):
        for chosen in itertools.combinations(having, size):
            total = sum((rho[g] for g in chosen), Fraction(0))
            best = max(best, total**2 / sum((rho[g] / target[g] for g in chosen), Fraction(0)) / 4)
    return best


@settings(max_examples=60, deadline=None)
@given(rho=st.lists(positive, min_size=3, max_size=3), target=targets())
def test_thresholds_are_those_of_the_best_set_of_groups(rho: list[Fraction], target: list[Fraction]) -> None:
    market = market_of(potential_value=rho, cost=[1, 1, 1], target=target)
    found = formation(market, floats(np.array([target], dtype=object)))
    expected = float(largest_threshold(rho, target))
    assert found.threshold[0] == pytest.approx(expected, rel=1e-12)
    prices = np.array([one[0] for one in market.best_prices], dtype=object)
    game = market.balanced_game(np.array(target, dtype=object), prices)
    assert game.revenue.threshold == pytest.approx(expected, rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(rho=st.lists(positive, min_size=2, max_size=2), ratio=st.lists(positive, min_size=2, max_size=2), target=targets(2))
def test_a_market_forms_if_and_only_if_an_equilibrium_has_data(
    rho: list[Fraction], ratio: list[Fraction], target: list[Fraction]
) -> None:
    cost = [one * r / 8 for one, r in zip(rho, ratio, strict=True)]
    market = market_of(potential_value=rho, cost=[[2 * one for one in cost], cost], target=target)
    family = formation(market, floats(np.array([target], dtype=object)))
    assume(abs(family.cost[0] / family.threshold[0] - 1) > 1e-6)
    found = solve(market, Options())
    assert found.certificate.proves(found.status)
    assert (found.quantities["target-samples"] > 0) == (family.cost[0] < family.threshold[0])
    assert found.quantities["backfires"] == float(family.backfires[0])
    assert (found.quantities["samples"] > 0) == bool(forming_groups(market).any())


@settings(max_examples=60, deadline=None)
@given(
    rho=st.lists(positive, min_size=3, max_size=3),
    ratio=st.lists(share.filter(bool), min_size=3, max_size=3),
    support=st.integers(1, 7),
)
def test_equal_shares_of_groups_that_form_never_backfire(rho: list[Fraction], ratio: list[Fraction], support: int) -> None:
    having = [bool(support >> g & 1) for g in range(3)]
    target = [Fraction(one, sum(having)) for one in having]
    market = market_of(potential_value=rho, cost=[r * one / 4 for r, one in zip(ratio, rho, strict=True)], target=target)
    assert never_backfires(market)
    assert not formation(market, floats(np.array([target], dtype=object))).backfires[0]


@settings(max_examples=60, deadline=None)
@given(target=targets())
def test_every_other_target_backfires_somewhere(target: list[Fraction]) -> None:
    """With equal values and all costs at the threshold only targets that are uniform on their support survive."""
    market = market_of(potential_value=[1, 1, 1], cost=["1/4"] * 3, target=target)
    uniform = len({one for one in target if one > 0}) == 1
    backfires = Fraction(1, 4) > largest_threshold([Fraction(1)] * 3, target)
    assert backfires is not uniform
    assert bool(formation(market, floats(np.array([target], dtype=object))).backfires[0]) is backfires


@settings(max_examples=60, deadline=None)
@given(
    rho=st.lists(positive, min_size=3, max_size=3), ratio=st.lists(share.filter(bool), min_size=3, max_size=3), target=targets()
)
def test_costs_below_the_safe_ratios_form(rho: list[Fraction], ratio: list[Fraction], target: list[Fraction]) -> None:
    assume(all(target))
    cost = [r * one / 4 for r, one in zip(ratio, rho, strict=True)]
    safe = safe_costs(market_of(potential_value=rho, cost=cost, target=target))
    assert safe is not None
    assert safe.ratio == pytest.approx(float(max(ratio)), rel=1e-12)
    assert safe.printed <= safe.simple * (1 + 1e-12) and safe.simple <= safe.sharp * (1 + 1e-12)
    backfires = sum(c * t for c, t in zip(cost, target, strict=True)) > largest_threshold(rho, target)
    if safe.ratio < safe.sharp * (1 - 1e-12):
        assert not backfires


def test_the_sharp_ratio_is_sharp() -> None:
    target = ["3/10", "7/10"]
    for cost, backfires in (("209/1000", False), ("211/1000", True)):
        market = market_of(potential_value=[1, 1], cost=[cost, cost], target=target)
        assert bool(formation(market, np.array([[0.3, 0.7]])).backfires[0]) is backfires


def test_thresholds_with_several_learning_curves() -> None:
    tasks = [{"Z": 1, "alpha": 1, "beta": 1}, {"Z": 1, "alpha": 1, "beta": "1/2"}]
    assert thresholds(market_of(potential_value=[1, 1], cost=[1, 1], task=tasks)) == pytest.approx([1 / 4, 4 / 27], rel=1e-12)


def test_the_map_of_targets_is_every_division() -> None:
    grid = list(simplex_grid(3, 100))
    assert len(grid) == len(set(grid)) == 5151 and {sum(one) for one in grid} == {100}


@pytest.mark.parametrize(
    ("times", "revenue", "profit"), [(10, 0.955839, 0.442118), (100, 0.975963, 0.847148), (10_000, 0.997184, 0.985388)]
)
def test_growth_of_one_group(times: int, revenue: float, profit: float) -> None:
    cost, target = ["1/10", "3/10"], ["3/10", "7/10"]
    market = market_of(potential_value=[times, "1/2"], cost=cost, sellers=3, target=target)
    found = ratios_of(market)
    assert (found["revenue"], found["seller-profit"]) == (pytest.approx(revenue, abs=5e-7), pytest.approx(profit, abs=5e-7))
    growth = {"times": [times], "groups": ["1"]}
    path = growth_path(market_of(potential_value=[1, "1/2"], cost=cost, sellers=3, target=target, growth=growth))
    assert path[0].nash == pytest.approx(found, rel=1e-12)


def test_the_limit_needs_a_share() -> None:
    growth = {"times": [1], "groups": ["2"]}
    plain: dict[str, Any] = {"potential_value": [1, 1], "cost": ["1/10", "1/10"], "growth": growth}
    assert limit(market_of(target=["1/2", "1/2"], **plain)) == 1.0
    assert limit(market_of(target=[1, 0], **plain)) is None


def test_buyer_after_buyer() -> None:
    buyers = [{"value": [1, 1]}, {"value": [2, 0]}, {"value": [0, 3]}]
    market = market_of(buyers=buyers, cost=["1/10", "1/10"], target=["1/2", "1/2"], growth={"first": [1, 2, 3]})
    path = growth_path(market)
    for count, one in zip((1, 2, 3), path, strict=True):
        alone = market_of(buyers=buyers[:count], cost=["1/10", "1/10"], target=["1/2", "1/2"])
        assert one.nash == pytest.approx(ratios_of(alone), rel=1e-12)


def test_replicated_buyers_are_as_many_buyers() -> None:
    once = market_of(buyers=[{"value": [1, "1/2"], "count": 3}], cost=["1/10", "1/10"])
    listed = market_of(buyers=[{"value": [1, "1/2"]}] * 3, cost=["1/10", "1/10"])
    one, other = (solve(market, Options()).quantities for market in (once, listed))
    assert {name: other[name] for name in one} == pytest.approx(one, rel=1e-12)


@pytest.mark.parametrize(
    ("aim", "sellers"),
    [("total-surplus", 1), *(pytest.param(aim, 2, marks=pytest.mark.slow) for aim in AIMS)],
)
def test_the_best_target_is_the_best_of_a_line(aim: str, sellers: int) -> None:
    plain: dict[str, Any] = {"buyers": [{"value": [4, 1]}, {"value": [3, 2]}], "cost": ["1/10", "1/5"], "sellers": sellers}
    market = market_of(**plain, best_target={"aim": aim, "least_share": "1/10"})
    found = best_target(market)
    assert found is not None
    line = []
    for k in range(10, 91, 4):
        target = [Fraction(k, 100), Fraction(100 - k, 100)]
        one = market_of(**plain, target=target)
        line.append(solve(one, Options()).quantities[f"target-{aim}"])
    assert found.value >= max(line) * (1 - 1e-9)
    assert found.value == pytest.approx(max(line), rel=1e-2)
    assert found.target.min() >= 0.1 - 1e-12 and found.target.sum() == pytest.approx(1, abs=1e-12)
    assert found.bound is None or found.bound >= max(line) * (1 - 1e-12)
    assert (found.bound is None) == (aim in {"revenue", "buyer-surplus"})


def test_prices_are_set_with_quantities_where_tasks_differ() -> None:
    """With twenty times the data, the price is that of the high buyer."""
    buyers = [{"value": [1]}, {"value": ["9/20"], "task": {"Z": 1, "alpha": "1/10", "beta": 1}}]
    low = solve(market_of(buyers=buyers, cost=["1/10"]), Options())
    high = solve(market_of(buyers=buyers, cost=["1/2500"]), Options())
    assert low.mechanism.to_json()["prices"] == [0.45] and high.mechanism.to_json()["prices"] == [1.0]
    assert all(one.certificate.proves(one.status) for one in (low, high))


def test_prices_that_do_not_go_with_quantities_are_no_equilibria() -> None:
    """At the production that goes with price 1, 45 cents earn more; in another market two prices each go with their own."""
    low = [{"value": [1]}, {"value": ["9/20"], "task": {"Z": 1, "alpha": "1/10", "beta": 1}}]
    found = baseline(market_of(buyers=low, cost=["1/10"]), 0)
    assert [one.prices.tolist() for one in found.profiles] == [[Fraction(9, 20)]]
    both = [{"value": [1], "task": {"Z": 1, "alpha": "1/10", "beta": 1}}, {"value": ["3/5"]}]
    found = baseline(market_of(buyers=both, cost=["1/25"]), 0)
    assert {one.prices[0] for one in found.profiles} == {Fraction(1), Fraction(3, 5)}
    for one in found.profiles:
        drop = 0.1 if one.prices[0] == 1 else 0.66  # revenue is 1 - 0.1 / n, or 1.2 - 0.66 / n
        assert one.production.samples.tolist() == pytest.approx([(drop / 0.04) ** 0.5], rel=1e-9)


def test_a_target_of_one_group_is_the_group_alone() -> None:
    market = market_of(potential_value=[3, 1], cost=["1/10", "1/10"], sellers=3, target=[1, 0])
    found = solve(market, Options()).quantities
    assert found["target-samples"] == pytest.approx(found["samples-of-first-group"], rel=1e-9)
    alone = balanced(market, market.target if market.target is not None else np.ones(2)).profiles[0]
    assert alone.production.samples.sum() == pytest.approx(found["target-samples"], rel=1e-12)


def test_the_audit_notices(tmp_path: Any) -> None:
    text = 'format = 1\nmodel = "balanced-production"\ntitle = "t"\nsource = "own"\n[params]\npotential_value = [1, 1]\n'
    text += 'task = { Z = 1, alpha = 1, beta = 1 }\nsellers = 2\ncost = ["1/10", "1/10"]\ntarget = ["1/2", "1/2"]\n'
    file = tmp_path / "case.toml"
    file.write_text(text)
    plan = dict(om.solve(file).mechanism)
    assert om.audit(file, plan).good
    for change, name in (
        ({"samples": [[2.5, 2.5], [2.5, 2.4]]}, "production"),
        ({"samples": [[1.5811388, 2.5], [1.5811388, 2.5]]}, "production"),
        ({"target_samples": [5.0, 4.9]}, "production"),
        ({"prices": [0.9, 1.0]}, "reserve-price"),
        ({"target_prices": [1.0, 0.5]}, "reserve-price"),
    ):
        found = om.audit(file, {**plan, **change})
        assert not found.good and found.exceeds(name), change
