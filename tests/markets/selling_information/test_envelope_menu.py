"""A continuum of beliefs: the envelopes against published optima, grids and brute force; anyone's menu on it."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.stats import beta
from support import one_buyer as market
from support.paths import INSTANCES

import optmarket as om
from optmarket.distributions.specification import Distribution
from optmarket.errors import InstanceError, ModelError
from optmarket.models.selling_information.continuum.envelope_search import best_envelopes, upper_bound
from optmarket.options import Options, Status

LIBRARY = INSTANCES / "selling-information"
UPPER = {"dist": "beta", "a": 60, "b": 30}
B = {"mixture": [{"weight": "1/2", "dist": "beta", "a": 8, "b": 30}, {"weight": "1/2", **UPPER}]}
DISTRIBUTIONS: dict[str, Any] = {
    "uniform": {"dist": "uniform"},
    "setting B": B,
    "U-shaped": {"dist": "beta", "a": "1/2", "b": "1/2"},
    "truncated normal": {"dist": "norm", "loc": "2/5", "scale": "1/10", "truncate": [0, "1/2"]},
    "a gap": {"density": [{"from": "1/10", "to": "1/5", "height": 5}, {"from": "7/10", "to": "4/5", "height": 5}]},
    "three humps": {
        "mixture": [
            {"weight": "1/2", "dist": "beta", "a": 8, "b": 60},
            {"weight": "1/3", "dist": "beta", "a": 40, "b": 40},
            {"weight": "1/6", "dist": "beta", "a": 90, "b": 12},
        ]
    },
    "table": {"cdf": [[0, 0], ["1/4", "1/2"], ["1/2", "3/5"], [1, 1]]},
}


def solved(belief: dict[str, Any], **others: Any) -> Any:
    params = market.Params.model_validate({"belief": belief, **others})
    return params, market.solve(params, Options())


def earned(belief: dict[str, Any], answer: Any, value: float = 1.0, cells: int = 400_000) -> float:
    """What a menu earns from very many small cells of beliefs, buyers choosing for themselves."""
    distribution = Distribution.model_validate(belief).as_cdf
    edges = np.linspace(0, 1, cells + 1)
    theta, weight = (edges[1:] + edges[:-1]) / 2, np.diff(distribution.cdf(edges))
    net, price = [np.zeros(cells)], [0.0]
    for item in answer.mechanism["items"]:
        pi = np.array(item["experiment"])
        after = np.maximum(theta[:, None] * pi[0], (1 - theta)[:, None] * pi[1]).sum(axis=1)
        net.append(value * (after - np.maximum(theta, 1 - theta)) - item["price"])
        price.append(item["price"])
    return float(weight @ np.array(price)[np.argmax(net, axis=0)])


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_bounds_meet_and_the_menu_earns_them(name: str) -> None:
    _, answer = solved(DISTRIBUTIONS[name])
    bounds = answer.certificate
    assert answer.status is Status.OPTIMAL and answer.method == "envelope"
    assert bounds.lower <= answer.quantities["revenue"] <= bounds.upper
    assert bounds.upper - bounds.lower < 2e-9
    assert earned(DISTRIBUTIONS[name], answer) == pytest.approx(bounds.upper, abs=3e-6)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_grids_come_close(name: str) -> None:
    """Means of cells: off by the order of a cell, and less the finer they are."""
    _, answer = solved(DISTRIBUTIONS[name])
    off = []
    for size in (50, 400):
        _, cells = solved(DISTRIBUTIONS[name], grid={"size": size})
        off.append(abs(cells.quantities["revenue"] - answer.quantities["revenue"]))
        assert off[-1] < 2 / size
    assert off[1] < off[0] or off[1] < 1e-9


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_any_dual_value_bounds_every_menu(name: str) -> None:
    distribution = Distribution.model_validate(DISTRIBUTIONS[name]).as_cdf
    _, answer = solved(DISTRIBUTIONS[name])
    best = best_envelopes(distribution).dual_value
    for dual_value in (best - 0.2, best + 0.01):
        assert upper_bound(distribution, dual_value) > answer.certificate.lower
    bound = upper_bound(distribution, best)
    rng = np.random.default_rng(3)
    params = market.Params.model_validate({"belief": DISTRIBUTIONS[name]})
    for _ in range(20):
        pairs = np.sort(rng.uniform(size=(2, 2)), axis=1)
        items = [
            {"experiment": [[p, 1 - p], [1 - q, q]], "price": t} for (p, q), t in zip(pairs, rng.uniform(0, 0.4, 2), strict=True)
        ]
        assert market.audit(params, {"items": items}).quantities["revenue"] <= bound


def test_setting_b_to_ten_digits() -> None:
    _, answer = solved(B)
    assert answer.quantities["revenue"] == pytest.approx(0.167323393737, abs=2e-11)
    partial, full = sorted(answer.mechanism["items"], key=lambda item: item["price"])
    assert partial["price"] == pytest.approx(0.137296903613, abs=1e-7)
    assert partial["experiment"][0][0] == pytest.approx(0.785941873184, abs=1e-7)
    assert full["price"] == pytest.approx(0.255213761947, abs=1e-7)


@pytest.mark.parametrize(
    ("weight", "revenue"),
    [("1/10", 0.126707), ("1/2", 0.167323), ("3/5", 0.182124), ("7/10", 0.197209), ("9/10", 0.228013)],
)
def test_setting_c(weight: str, revenue: float) -> None:
    lower = {"weight": str(1 - Fraction(weight)), "dist": "beta", "a": 8, "b": 30}
    _, answer = solved({"mixture": [lower, {"weight": weight, **UPPER}]})
    assert answer.quantities["revenue"] == pytest.approx(revenue, abs=6e-7)


@pytest.mark.parametrize(("menu", "revenue"), [("learned", 0.167107), ("printed", 0.166857)])
def test_published_menus_earn_less(menu: str, revenue: float) -> None:
    found = om.audit(LIBRARY / "setting-b.toml", LIBRARY / f"setting-b.{menu}.json")
    assert found.quantities["revenue"] == pytest.approx(revenue, abs=6e-7)
    # by hand: who is indifferent between nothing, the partial item, the truth, and nothing again
    partial, full = json.loads((LIBRARY / f"setting-b.{menu}.json").read_text("utf-8"))["items"]
    share, low, high = partial["experiment"][0][0], partial["price"], full["price"]
    edges = np.array([low / share, (high - low) / (1 - share), 1 - high])
    below = sum(beta.cdf(edges, *shape) for shape in ((8, 30), (60, 30))) / 2
    assert found.quantities["revenue"] == pytest.approx(np.diff(below) @ [low, high], abs=1e-12)
    assert found.good and found.violations == {}


def test_states_exchanged_and_values_scaled() -> None:
    _, answer = solved(DISTRIBUTIONS["three humps"])
    mirrored = {"mixture": [{**part, "a": part["b"], "b": part["a"]} for part in DISTRIBUTIONS["three humps"]["mixture"]]}
    _, other = solved(mirrored)
    assert other.quantities["revenue"] == pytest.approx(answer.quantities["revenue"], abs=1e-9)
    _, dear = solved(DISTRIBUTIONS["three humps"], value=50)
    assert dear.quantities["revenue"] == pytest.approx(50 * answer.quantities["revenue"], abs=5e-8)
    assert earned(DISTRIBUTIONS["three humps"], dear, 50.0) == pytest.approx(dear.certificate.upper, abs=2e-4)


def test_tables_and_figures_of_a_distribution() -> None:
    solution = om.solve(LIBRARY / "setting-b.toml")
    assert list(solution.tables) == ["menu"]
    assert solution.menu["bought by"].unique().tolist() == ["Pr(state 1) 0.1747 to 0.5509", "Pr(state 1) 0.5509 to 0.7448"]
    assert solution.menu["share"].unique().tolist() == pytest.approx([0.349241, 0.467740], abs=1e-6)
    assert solution.plot().axes


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"belief": {"dist": "uniform", "scale": 2}}, "belief: reaches from 0 to 2; a probability is within 0 to 1"),
        ({"belief": B, "types": [{"weight": 1, "belief": [1, 0]}]}, "types: has types beside belief"),
        ({}, "types: has no types; must give one of types, types_csv and belief"),
        ({"types": [{"weight": 1, "belief": [1, 0]}], "grid": {"size": 3}}, "grid: goes with belief"),
        ({"belief": B, "payoff": [[1, 0], [0, 2]]}, "payoff: is a matrix"),
        ({"belief": B, "max_items": 2}, "max_items: is for finitely many types; give grid"),
    ],
)
def test_what_does_not_fit(params: dict[str, Any], words: str) -> None:
    with pytest.raises(InstanceError, match=words):
        market.Params.model_validate(params)


def test_methods_of_a_distribution() -> None:
    params = market.Params.model_validate({"belief": B})
    assert not market.has_program(params)
    with pytest.raises(ModelError, match="give grid"):
        market.solve(params, Options(method="cuts"))
    with pytest.raises(ModelError, match="leave exact out"):
        market.solve(params, Options(exact=True))
    finite = market.Params.model_validate({"belief": B, "grid": {"size": 10}})
    with pytest.raises(ModelError, match="without grid"):
        market.solve(finite, Options(method="envelope"))
    assert market.solve(finite, Options()).method == "cuts"
    with pytest.raises(InstanceError, match="leave it out"):
        market.audit(params, {"items": [], "assignment": [None]})
