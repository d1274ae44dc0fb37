"""The continuum of types on a line: any menu against a fine grid, and the two tiers with their certificate and audit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support.training_data import (
    GAPPED,
    ON_FIFTH,
    UNIFORM,
    F,
    audited,
    bounds_of,
    exact_revenue,
    items_of,
    line,
    market_of,
    on_line,
    on_line_grid,
    reduced_optimum,
)

from optmarket.arrays import FloatArray
from optmarket.errors import InstanceError, ModelError
from optmarket.models import selling_training_data as model
from optmarket.models.selling_information import NOTHING, SegmentDemand
from optmarket.models.selling_training_data.closed_forms import two_tiers
from optmarket.models.selling_training_data.items import as_experiments, shares_left
from optmarket.models.selling_training_data.line import demand_on_line, read_on_line
from optmarket.options import Options, Status

PLATEAU = {  # alpha (1/5 - F/2) is 1/100 from 1/20 to 1/10, and less elsewhere
    "mixture": [
        {"weight": "1/5", "dist": "pareto", "b": 1, "scale": "1/20", "truncate": ["1/20", "1/10"]},
        {"weight": "4/5", "dist": "uniform", "loc": "1/10", "scale": "1/10"},
    ]
}


@pytest.mark.parametrize("k", ["0", "1/5", "2/5", "3/5"])
def test_uniform_lines_by_hand(k: str) -> None:
    end = F(1, 5) / (1 - F(k))
    market = on_line(k, "3/10", {"dist": "uniform", "scale": end})
    for options in (Options(), Options(exact=True)):
        answer = model.solve(market, options)
        assert answer.exact == F(8, 25) and answer.status is Status.OPTIMAL
        found = answer.quantities
        expected = {"low-price": 6 / 25, "full-price": 17 / 50, "cutoff": float(end) / 5, "low-error-2-left": 1 / 5}
        expected |= {"low-error-1-left": 1 - float(F(k)) * 4 / 5, "revenue": 8 / 25, "share-buying": 1.0, "first-best": 2 / 5}
        assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_a_beta_line_by_another_way() -> None:
    answer = model.solve(on_line(0, "3/10", ON_FIFTH["beta"]))
    found = [answer.quantities[name] for name in ("revenue", "low-error-2-left", "low-price", "full-price")]
    assert found == pytest.approx([0.317734, 0.140893, 0.257732, 0.328178], abs=1e-6)


def test_two_cutoffs_are_both_reported() -> None:
    # alpha (1/5 - F/2) at 1/20 with F = 0 and at 1/10 with F = 1/5: both 1/100; afterwards F = 1 at once
    steps = {"cdf": [["1/20", 0], ["7/100", "1/5"], ["1/10", "1/5"], ["1/5", 1]]}
    market = on_line(0, "3/10", steps)
    tiers = two_tiers(market)
    assert tiers.cutoffs == (F(1, 20), F(1, 10)) and tiers.revenue == F(3, 10) + F(1, 100) * 5
    answer = model.solve(market)
    assert answer.exact == F(7, 20) and any("cut-offs 0.05, 0.1" in text for text in answer.notes)
    for cutoff in tiers.cutoffs:
        first, second, low = (float(x) for x in tiers.low_item(cutoff))
        experiment = as_experiments(np.array([[first, second], [0, 0]]))
        price = np.array([low, float(tiers.full_price(cutoff))])
        found = demand_on_line(market, experiment, price, 1e-12)
        assert found.revenue == pytest.approx(7 / 20, abs=1e-12)


def test_a_tie_along_a_whole_interval_ends() -> None:
    answer = model.solve(on_line(0, "3/10", PLATEAU))
    bounds = bounds_of(answer)
    assert bounds.lower <= 0.35 <= bounds.upper and bounds.gap < 1e-6
    assert 0.05 - 1e-9 <= answer.quantities["cutoff"] <= 0.1 + 1e-9


@pytest.mark.parametrize("name", ["uniform", "beta", "gap", "arcsine"])
def test_revenue_does_not_depend_on_k_for_a_fixed_shape(name: str) -> None:
    """Stretched to the line's end, the same shape earns the same: m + max z (1/2 - m)(...)."""
    values = []
    for k in ("0", "1/10", "1/2", "3/5"):
        stretch = 1 / (1 - F(k))
        data = json.loads(json.dumps(ON_FIFTH[name]))
        if "density" in data:
            data = {
                "density": [
                    {"from": F(s["from"]) * stretch, "to": F(s["to"]) * stretch, "height": F(s["height"]) / stretch}
                    for s in data["density"]
                ]
            }
        else:
            data["scale"] = F(data["scale"]) * stretch
        bounds = bounds_of(model.solve(on_line(k, "3/10", data)))
        values.append(bounds.upper)
        assert bounds.lower <= min(values) + 1e-12
    assert max(values) - min(values) < 2e-10


@pytest.mark.parametrize(
    ("k", "m", "alpha", "revenue"),
    [
        (0, 0, {"dist": "uniform", "scale": "1/2"}, F(1, 8)),  # one error only: full data at 1/4 to half of all
        (0, "3/10", {"dist": "uniform", "loc": "1/10", "scale": "1/10"}, F(2, 5)),  # cut-off at 1/10: all buy all
        ("9/10", "9/20", {"dist": "uniform", "scale": "1/2"}, None),  # k = 2 m
        (0, "0.4999", {"dist": "beta", "a": 2, "b": 4, "scale": "0.0001"}, None),
        (0, "0.4999999999", {"dist": "beta", "a": 2, "b": 4, "scale": "1e-10"}, None),
        (0, "3/10", {"dist": "uniform", "scale": "1/5", "truncate": ["1/10", "0.1000000001"]}, F(2, 5)),
        ("1/100", "6/25", {"dist": "beta", "a": 2, "b": 4, "scale": "26/99"}, None),  # the end no float
    ],
)
def test_odd_lines(k: Any, m: Any, alpha: dict[str, Any], revenue: Fraction | None) -> None:
    market = on_line(k, m, alpha)
    answer = model.solve(market)
    low, high = bounds_of(answer).lower, bounds_of(answer).upper
    assert answer.status is Status.OPTIMAL and low <= high and bounds_of(answer).gap < 1e-9
    if revenue is not None:
        assert low <= revenue <= high + 1e-15 and answer.quantities["revenue"] == pytest.approx(float(revenue), abs=1e-9)
    audit = audited(market, answer.mechanism)
    assert low - 1e-12 <= audit.quantities["revenue"] <= high + 1e-12
    assert 0 <= audit.quantities["share-buying"] <= 1 + 1e-12 and audit.quantities["surplus"] >= -1e-15


def test_what_is_worth_nothing_is_not_bought() -> None:
    answer = model.solve(on_line(0, 0, {"dist": "uniform", "scale": "1/2"}))
    assert answer.quantities["share-buying"] == pytest.approx(0.5) and len(items_of(answer)) == 1


def on_a_fine_grid(
    market: model.LineOfTypes, experiment: FloatArray, price: FloatArray, cells: int
) -> tuple[float, float, float]:
    """Revenue, surplus and share of buyers who buy, from error probabilities."""
    low, high = map(float, market.cdf.support)
    edges = np.linspace(low, high, cells + 1)
    mass, alpha = np.diff(market.cdf.cdf(edges)), (edges[:-1] + edges[1:]) / 2
    beta = float(market.m) - float(market.k) * alpha
    joint = np.array([[0.5 - alpha, alpha], [beta, 0.5 - beta]])
    own = joint.max(axis=0).sum(axis=0)
    net = [np.zeros(cells)]
    for item, cost in zip(experiment, price, strict=True):
        net.append((joint[:, :, None, :] * item[:, None, :, None]).max(axis=0).sum(axis=(0, 1)) - own - cost)
    choice = np.argmax(net, axis=0)
    paid = np.concatenate([[0.0], price])[choice]
    return float(mass @ paid), float(mass @ np.max(net, axis=0)), float(mass[choice > 0].sum())


@pytest.mark.parametrize("name", ["uniform", "beta", "gap", "table", "far apart"])
def test_any_menu_against_a_fine_grid(name: str) -> None:
    types = line("1/10", "3/10", ON_FIFTH[name])
    rng = np.random.default_rng(sum(map(ord, name)))
    for _ in range(12):
        items, signals = int(rng.integers(1, 5)), int(rng.integers(1, 5))
        experiment = rng.dirichlet(np.full(signals, 0.4), size=(items, 2))
        price = rng.uniform(0, 0.25, size=items) * rng.choice([0, 1, 1], size=items)
        found = demand_on_line(types, experiment, price, 1e-12)
        revenue, surplus, buying = on_a_fine_grid(types, experiment, price, 40_000)
        assert found.revenue == pytest.approx(revenue, abs=2e-4) and found.surplus == pytest.approx(surplus, abs=1e-6)
        if price.min() > 0:
            assert found.mass[found.item != NOTHING].sum() == pytest.approx(buying, abs=1e-3)
        assert found.mass.sum() == pytest.approx(1, abs=1e-12) and np.all(np.diff(found.edges) > 0)
        best = float(two_tiers(types).upper)
        assert found.revenue <= best + 1e-9
        against = demand_on_line(types, experiment, price, 1e-12, for_seller=False)
        assert against.revenue <= found.revenue + 1e-15 and against.surplus == pytest.approx(found.surplus, abs=1e-10)


def test_menus_by_hand() -> None:
    types = line(0, "3/10", UNIFORM)
    full, none = as_experiments(np.zeros((1, 2))), as_experiments(np.ones((1, 2)))

    def sold(experiment: FloatArray, *price: float, for_seller: bool = True) -> SegmentDemand:
        return demand_on_line(types, experiment, np.array(price), 1e-12, for_seller=for_seller)

    assert (sold(full, 0.4).revenue, sold(full, 0.4).surplus) == pytest.approx((0.2, 0.025))  # half of all, each 1/20 ahead
    assert sold(full, 0.3).revenue == pytest.approx(0.3) and sold(full, 0.6).revenue == 0
    assert sold(full, 0.0).surplus == pytest.approx(0.4) and sold(full, 0.0).item.tolist() == [0]
    assert sold(none, 0.0).item.tolist() == [NOTHING] and sold(none, 0.1).revenue == 0
    empty = sold(np.zeros((0, 2, 4)))
    assert (empty.revenue, empty.surplus, empty.item.tolist()) == (0, 0, [NOTHING])
    twins = np.concatenate([full, full])
    assert sold(twins, 0.3, 0.3).revenue == pytest.approx(0.3)
    assert sold(twins, 0.3, 0.3 + 1e-14).item.tolist() == [1]  # a tie, for the seller
    assert sold(twins, 0.3, 0.3 + 1e-14, for_seller=False).item.tolist() == [0]
    assert sold(twins, 0.35, 0.3).item.max() == 1 and 0 not in sold(twins, 0.35, 0.3).item


def test_menus_that_are_none() -> None:
    market = on_line(0, "3/10", UNIFORM)
    full: Mapping[str, Any] = {"experiment": [[1, 0], [0, 1]], "price": 0.4}
    assert audited(market, {"items": [full]}).quantities["revenue"] == pytest.approx(0.2)
    assert audited(market, {"items": []}).quantities["revenue"] == 0
    with pytest.raises(InstanceError, match="names the item of each type; on a continuum of types buyers choose"):
        audited(market, {"items": [{**full, "experiment": [[1, 0, 0, 0], [0, 0, 0, 1]]}], "assignment": [0]})
    with pytest.raises(InstanceError, match="has 1 rows; the market has 2 states"):
        audited(market, {"items": [{**full, "experiment": [[1, 0]]}]})


@pytest.mark.parametrize("name", ON_FIFTH)
def test_lines_solved_hold_their_certificate_and_audit(name: str) -> None:
    market = on_line(0, "3/10", ON_FIFTH[name])
    answer = model.solve(market)
    lower, upper = bounds_of(answer).lower, bounds_of(answer).upper
    tiers = two_tiers(market)
    assert lower <= float(tiers.revenue) + 1e-15 and float(tiers.revenue) <= upper + 1e-15 and upper - lower < 2e-9
    audit = audited(market, answer.mechanism)
    assert audit.good and audit.quantities["revenue"] == pytest.approx(answer.quantities["revenue"], abs=1e-13)
    assert lower - 1e-13 <= audit.quantities["revenue"] <= upper + 1e-12
    for claim in model.theory(market):
        stated = float(F(claim.value))
        assert {"lower": stated <= upper + 1e-9, "upper": stated >= lower - 1e-9}[claim.relation]
    if answer.exact is None:  # prices were cut by the share that earns most when ties go against the seller
        menu = [shares_left(np.array(item["experiment"], dtype=float)) for item in items_of(answer)]
        assert (0.0, 0.0) in menu
        experiment = np.array([item["experiment"] for item in items_of(answer)], dtype=float)
        price = np.array([item["price"] for item in items_of(answer)], dtype=float)
        against = demand_on_line(market, experiment, price, 1e-15, for_seller=False)
        assert against.revenue >= lower


def test_exact_on_lines_and_grids() -> None:
    linear, smooth = on_line(0, "3/10", GAPPED), on_line(0, "3/10", ON_FIFTH["beta"])
    answer = model.solve(linear, Options(exact=True))
    # F is 1/2 from 1/50 on: alpha (1/5 - 25 alpha / 2) is largest at 1/125, and past the gap negative
    assert answer.exact == F(3, 10) + F(1, 125) * F(1, 10) * 5
    with pytest.raises(ModelError, match="has a distribution that is computed in floats; leave exact out"):
        model.solve(smooth, Options(exact=True))
    for rule in ("mean", "lower", "upper", "quantile"):
        grid = on_line_grid(0, "3/10", ON_FIFTH["beta"], size=4, rule=rule)
        assert float(exact_revenue(grid)) == pytest.approx(reduced_optimum(grid.errors, grid.weights), abs=1e-9)
    for method in ("full", "cuts", "general", "general-full"):
        with pytest.raises(ModelError, match=f"there is no method '{method}' for a continuum of types on a line"):
            model.solve(linear, Options(method=method))
    assert model.solve(linear, Options(method="two-tiers")).exact == answer.exact


def test_a_continuum_has_no_program_and_types_choose_from_the_menu() -> None:
    market = market_of(line={"k": 0, "m": "3/10"}, alpha=UNIFORM)
    assert model.program(market) is None and isinstance(market, model.LineOfTypes)
    found = read_on_line(market, {"items": [{"experiment": [[1, 0], [0, 1]], "price": 0.4}]}).demand
    assert found.edges.tolist() == pytest.approx([0, 0.1, 0.2]) and found.item.tolist() == [NOTHING, 0]
