"""Types in more than one number: lattices and product grids by hand, bounds on the simplex by chance and in closed form."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from support import one_buyer as market
from support.paths import INSTANCES
from support.proofs import rounds

import optmarket as om
from optmarket.arrays import FloatArray
from optmarket.distributions.dirichlet import Dirichlet, boxes, lattice
from optmarket.errors import InstanceError, ModelError
from optmarket.instances.parameters import vary
from optmarket.lp import highs
from optmarket.models.selling_information.continuum import dirichlet_menu
from optmarket.models.selling_information.continuum.dirichlet_demand import demand_in_boxes
from optmarket.models.selling_information.continuum.dirichlet_relaxation import relaxation
from optmarket.models.selling_information.continuum.dirichlet_types import Boxes, DirichletTypes, MixturePart
from optmarket.models.selling_information.population import (
    BeliefSegment,
    BuyerType,
    DirichletBeliefs,
    FiniteTypes,
    types_to_draw,
)
from optmarket.options import Options, Status
from optmarket.rationals import floats

LIBRARY = INSTANCES / "selling-information"
UNIFORM = {"dirichlet": [1, 1, 1]}
VALUE = {"dist": "uniform", "loc": "3/10", "scale": "7/10"}
SHAPES: list[list[Any]] = [[2, 1, 1], ["1/2", "1/2", "1/2"], [5, 3, "7/10"], ["1/10", 2, 1], [40, 20, 10]]


def params(**data: Any) -> market.Params:
    return market.Params.model_validate(data)


def cells(grid: market.Params) -> tuple[BuyerType, ...]:
    """The types that the cells of a grid are."""
    assert isinstance(grid.population, FiniteTypes)
    return grid.population.types


def dirichlet_types(**data: Any) -> DirichletTypes:
    return market.dirichlet_types_of(params(**data))


def alone(price: float, states: int = 3) -> dict[str, Any]:
    return {"items": [{"experiment": np.eye(states).tolist(), "price": price}]}


# Lattices --------------------------------------------------------------------------------------------------------------


def cell_of(beliefs: np.ndarray, size: int) -> np.ndarray:
    """Which triangle of a lattice beliefs are in: the whole parts of size times belief tell."""
    return np.asarray(np.floor(beliefs * size + 1e-12).astype(int)[:, :2] @ [size + 1, 1] * 2 + on_top(beliefs, size))


def on_top(beliefs: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(np.floor(beliefs * size + 1e-12).sum(axis=1) < size - 1)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_a_uniform_lattice_is_exact(size: int) -> None:
    points, weights = lattice(Dirichlet.model_validate(UNIFORM), size)
    assert weights == [Fraction(1, size**2)] * size**2
    assert len(set(points)) == size**2 and all(sum(point) == 1 for point in points)
    for state in range(3):
        assert sum(point[state] for point in points) / size**2 == Fraction(1, 3)


@pytest.mark.parametrize("shape", SHAPES)
def test_masses_and_means_of_a_lattice_against_drawn_beliefs(shape: list[Any]) -> None:
    size, draws = 5, 400_000
    alpha = np.array([float(Fraction(entry)) for entry in shape])
    points, weights = lattice(Dirichlet.model_validate({"dirichlet": shape}), size)
    assert sum(weights) == 1 and all(sum(point) == 1 for point in points)
    mean, mass = np.array(points, dtype=float), np.array(weights, dtype=float)
    np.testing.assert_allclose(mass @ mean, alpha / alpha.sum(), atol=1e-11)
    drawn = np.random.default_rng(5).dirichlet(alpha, draws)
    where, cells = cell_of(drawn, size), cell_of(mean, size)
    assert len(set(cells)) == len(cells)
    for cell, center, share in zip(cells, mean, mass, strict=True):
        inside = drawn[where == cell]
        assert len(inside) / draws == pytest.approx(share, abs=5 * np.sqrt(share / draws) + 1e-6)
        if len(inside) > 100:
            assert np.abs(inside.mean(axis=0) - center).max() < 5 * 0.2 / np.sqrt(len(inside))


def test_integer_parameters_by_hand() -> None:
    """The density of (2, 1, 1) is six times the first probability: a triangle's mass is that at its centre."""
    points, weights = lattice(Dirichlet.model_validate({"dirichlet": [2, 1, 1]}), 4)
    uniform, _ = lattice(Dirichlet.model_validate(UNIFORM), 4)
    middles = {tuple(int(12 * entry) for entry in point): point for point in uniform}
    for point, weight in zip(points, weights, strict=True):
        middle = min(middles.values(), key=lambda one: sum(abs(a - b) for a, b in zip(one, point, strict=True)))
        assert float(weight) == pytest.approx(float(3 * middle[0] / 16), abs=1e-13)


def test_a_mixture_weighs_the_masses() -> None:
    parts = [{"weight": "1/4", "dirichlet": [1, 1, 1]}, {"weight": "3/4", "dirichlet": [3, 2, 1]}]
    points, weights = lattice(Dirichlet.model_validate({"mixture": parts}), 3)
    each = [lattice(Dirichlet.model_validate({"dirichlet": part["dirichlet"]}), 3) for part in parts]
    masses, means = zip(*((floats(w), floats(p)) for p, w in each), strict=True)
    np.testing.assert_allclose(floats(weights), masses[0] / 4 + masses[1] * 3 / 4, atol=1e-13)
    first = masses[0][:, None] * means[0] / 4 + masses[1][:, None] * means[1] * 3 / 4
    np.testing.assert_allclose(floats(points) * floats(weights)[:, None], first, atol=1e-12)


def test_two_states_are_a_beta_distribution() -> None:
    two, beta = params(belief={"dirichlet": [2, 3]}), params(belief={"dist": "beta", "a": 2, "b": 3})
    assert isinstance(two.population, BeliefSegment)
    answers = [market.solve(one, Options()) for one in (two, beta)]
    assert answers[0].certificate == answers[1].certificate and answers[0].method == "envelope"
    grids = [
        params(belief={"dirichlet": [2, 3]}, grid={"size": 7, "rule": "lattice"}),
        params(belief={"dist": "beta", "a": 2, "b": 3}, grid={"size": 7}),
    ]
    assert cells(grids[0]) == cells(grids[1])


FAR_FROM_ONE: list[list[Any]] = [["1e-300", 1, 1], [1, "1e-300", 1], ["1e-12", "1e-12", "1e-12"], [30000, 10, 30000]]


def test_a_lattice_of_parameters_far_from_one() -> None:
    for shape in FAR_FROM_ONE:
        points, weights = lattice(Dirichlet.model_validate({"dirichlet": shape}), 4)
        alpha = np.array([float(entry) for entry in shape])
        np.testing.assert_allclose(floats(weights) @ floats(points), alpha / alpha.sum(), atol=1e-10)
    with pytest.raises(ValueError, match="is too concentrated for 4 cells"):  # where rounding once made strips halve for ever
        lattice(Dirichlet.model_validate({"dirichlet": [1, 10**9, 10**9]}), 4)


def test_boxes_next_to_without_mass_are_left_out() -> None:
    shape = [50, 300, "1/2", "1/5"]
    found = boxes(Dirichlet.model_validate({"dirichlet": shape}), 10)
    assert sum(weight for _, weight in found) == 1 and min(weight for _, weight in found) > 1e-17
    mean = [float(sum(point[k] * weight for point, weight in found)) for k in range(4)]
    np.testing.assert_allclose(mean, np.array([50, 300, 0.5, 0.2]) / 350.7, atol=1e-12)
    assert len(types_to_draw(params(belief={"dirichlet": shape}).population)) == 10


def test_boxes_keep_mass_and_mean() -> None:
    found = boxes(Dirichlet.model_validate({"dirichlet": [3, 2, 1, 4]}), 4)
    assert sum(weight for _, weight in found) == 1
    mean = [float(sum(point[k] * weight for point, weight in found)) for k in range(4)]
    np.testing.assert_allclose(mean, [0.3, 0.2, 0.1, 0.4], atol=1e-12)


# Product grids ---------------------------------------------------------------------------------------------------------


def test_a_product_grid_multiplies_weights() -> None:
    both = params(belief={"dist": "uniform"}, value=VALUE, grid={"size": [2, 4]})
    assert [(float(b.value), b.weight) for b in cells(both)[::4]] == [(0.475, Fraction(1, 8)), (0.825, Fraction(1, 8))]
    assert [b.belief[0] for b in cells(both)[:4]] == [Fraction(k, 8) for k in (1, 3, 5, 7)]  # type: ignore[index]
    equal = params(belief={"dist": "beta", "a": 2, "b": 3}, value=VALUE, grid={"size": [3, 5], "rule": "quantile"})
    np.testing.assert_allclose([float(b.weight) for b in cells(equal)], 1 / 15, atol=1e-12)
    three = params(belief=UNIFORM, value=VALUE, grid={"size": [2, 3], "rule": "lattice"})
    assert len(cells(three)) == 18 and all(b.weight == Fraction(1, 18) for b in cells(three))


def test_the_product_grid_of_setting_f() -> None:
    edges = np.linspace(0, 1, 41)
    mass = sum(np.diff(scipy.stats.beta.cdf(edges, a, b)) for a, b in ((8, 30), (60, 30))) / 2
    first = sum(a / (a + b) * np.diff(scipy.stats.beta.cdf(edges, a + 1, b)) for a, b in ((8, 30), (60, 30))) / 2
    theta = np.divide(first, mass, out=np.zeros(40), where=mass > 0)
    value = 0.45 + 0.55 * (np.arange(6) + 0.5) / 6
    worth, weight = np.outer(value, np.minimum(theta, 1 - theta)).ravel(), np.tile(mass / 6, 6)
    order = np.argsort(-worth)
    solution = om.solve(LIBRARY / "product-grid-setting-f.toml")
    assert solution.quantities["first-best"] == pytest.approx(worth @ weight, abs=1e-12)
    assert solution.quantities["full-information-revenue"] == pytest.approx(
        (worth[order] * np.cumsum(weight[order])).max(), abs=1e-12
    )


# A whole simplex -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("price", [0.1, 0.25, 1 / 3, 0.45, 0.5])
def test_full_information_alone_in_closed_form(price: float) -> None:
    """Of uniform beliefs the share 1 - 3 p^2 is sure of no state with more than 1 - p, if p <= 1/2."""
    types = dirichlet_types(belief=UNIFORM)
    found = demand_in_boxes(types, np.eye(3)[None], np.array([price]))
    share = 1 - 3 * price**2
    assert found.lower <= price * share <= found.upper
    assert found.upper - found.lower < 2e-3 * price
    assert found.share[0] == pytest.approx(share, abs=3e-4)
    assert found.quantities["share-buying"] == pytest.approx(share, abs=3e-4)
    assert abs(price * share - found.revenue) <= found.quantities["revenue-error"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"belief": {"dirichlet": [4, 2, 1]}}, marks=pytest.mark.slow),
        {"belief": {"dirichlet": ["1/2", 1, 2]}, "value": {"dist": "uniform", "loc": 1}},
        {"belief": {"mixture": [{"weight": "1/3", "dirichlet": [9, 3, 3]}, {"weight": "2/3", "dirichlet": [1, 1, 1]}]}},
        pytest.param({"belief": {"dirichlet": [1, 2, 1, 2]}}, marks=pytest.mark.slow),
    ],
    ids=["skewed", "values", "mixture", "four states"],
)
def test_any_menu_against_drawn_types(data: dict[str, Any]) -> None:
    rng = np.random.default_rng(11)
    p = params(**data)
    parts = p.belief.components  # type: ignore[union-attr]
    draws = 100_000
    chosen = rng.choice(len(parts), draws, p=[float(weight) for weight, _ in parts])
    theta = np.stack([rng.dirichlet([float(x) for x in shape], draws) for _, shape in parts])[chosen, np.arange(draws)]
    value = rng.uniform(1, 2, draws) if "value" in data else np.ones(draws)
    states = theta.shape[1]
    for _ in range(2):
        experiment = [np.eye(states), *rng.dirichlet(np.full(states, 0.4), (2, states))]
        price = [0.3, 0.15, 0.1]
        net, paid = [np.zeros(draws)], [0.0]
        for pi, t in zip(experiment, price, strict=True):
            after = np.max(theta[:, :, None] * pi[None], axis=1).sum(axis=1)
            net.append(value * (after - theta.max(axis=1)) - t)
            paid.append(t)
        pick = np.argmax(net, axis=0)
        revenue, surplus = np.array(paid)[pick], np.max(net, axis=0)
        found = market.audit(
            p, {"items": [{"experiment": pi.tolist(), "price": t} for pi, t in zip(experiment, price, strict=True)]}
        ).quantities
        noise = 5 * revenue.std() / np.sqrt(draws)
        assert abs(found["revenue"] - revenue.mean()) <= min(found["revenue-error"], 0.004) + noise
        assert found["surplus"] == pytest.approx(surplus.mean(), abs=3e-3)
        assert found["share-buying"] == pytest.approx((pick > 0).mean(), abs=0.01)
        assert found["welfare"] == pytest.approx(found["revenue"] + found["surplus"], abs=1e-12)


@cache
def solved(*shape: int, gap: float = 0.5) -> Any:
    return market.solve(params(belief={"dirichlet": shape}), Options(gap=gap))


def test_the_bounds_of_uniform_beliefs() -> None:
    answer = solved(1, 1, 1, gap=0.2)
    bounds = answer.certificate
    assert answer.status is Status.OPTIMAL and answer.method == "dirichlet"
    assert 2 / 9 - 2e-4 < bounds.lower <= answer.quantities["revenue"] <= bounds.upper < 0.28
    assert answer.quantities["first-best"] == pytest.approx(7 / 18, rel=1e-12)
    assert answer.quantities["full-information-revenue"] == pytest.approx(2 / 9, rel=1e-12)
    assert answer.quantities["full-information-price"] == pytest.approx(1 / 3, rel=1e-5)
    assert any("estimate" in note for note in answer.notes)


@pytest.mark.parametrize("data", [{"belief": {"dist": "uniform"}}, {"belief": {"dist": "beta", "a": 8, "b": 30}}])
def test_the_relaxation_bounds_the_known_optimum_of_two_states(data: dict[str, Any]) -> None:
    """With two states and one number the same program bounds from above, the closer the more boxes there are."""
    best = market.solve(params(**data), Options()).certificate.lower
    found = []
    distribution = params(**data).belief.as_cdf  # type: ignore[union-attr]
    for size in (10, 40):
        types = DirichletTypes((MixturePart(1.0, (distribution,), 1.0),), np.eye(2), 1.0)
        found.append(highs.solve(relaxation(types, types.boxes(size)), Options()).bound)
    assert best < found[1] < found[0]
    assert found[1] - best < 1 / 40


def test_lazy_constraints_are_all_the_rows() -> None:
    types = dirichlet_types(belief={"dirichlet": [3, 2, 1]})
    program = relaxation(types, types.boxes(2))
    some, every = highs.solve(program, Options()), highs.solve(program.full(), Options())
    assert some.bound == pytest.approx(every.bound, abs=1e-8)


def test_no_menu_exceeds_the_relaxation() -> None:
    rng = np.random.default_rng(2)
    types = dirichlet_types(belief={"dirichlet": [2, 1, 1]})
    upper = highs.solve(relaxation(types, types.boxes(4)), Options()).bound
    for _ in range(4):
        items = np.concatenate([np.eye(3)[None], rng.dirichlet(np.full(3, 0.3), (3, 3))])
        assert demand_in_boxes(types, items, rng.uniform(0, 0.45, 4)).upper < upper


@pytest.mark.parametrize("seed", range(4))
def test_the_relaxation_bounds_any_distribution_in_its_boxes(seed: int) -> None:
    """Boxes cut at random, two types in each: their optimum is known, and no more than the bound."""
    rng = np.random.default_rng(seed)
    payoff = np.array([[1, -1], [0, 2], [-0.5, 1]]) if seed % 2 else np.eye(3)
    gain = payoff - payoff.min(axis=1, keepdims=True)
    numbers = 2 + seed // 2  # values too, in the end
    part = MixturePart(1.0, (), 1.0 if numbers == 2 else None)
    cuts = np.sort(rng.random(numbers))
    mass = rng.dirichlet(np.ones(2**numbers))
    corner: list[FloatArray] = []
    share: list[FloatArray] = []
    types: list[FloatArray] = []
    weights: list[float] = []
    ends = np.array(list(np.ndindex((2,) * numbers)))
    for here, box in zip(mass, ends, strict=True):
        low, high = np.where(box, cuts, 0), np.where(box, 1, cuts)
        place, distribution = rng.random((2, numbers)), rng.dirichlet([1, 1])
        corner.append(part.types(np.where(ends, high, low)))
        share.append(distribution @ np.where(ends, place[:, None], 1 - place[:, None]).prod(axis=2))
        types.extend(part.types(low + place * (high - low)))
        weights.extend(here * distribution)
    bound = highs.solve(
        relaxation(DirichletTypes((part,), gain, 4.0), Boxes(mass, np.array(corner), np.array(share))), Options()
    ).bound
    whole = sum(map(Fraction, weights), Fraction(0))
    few = [
        {"weight": Fraction(often) / whole, "value": sum(w), "belief": [x / sum(w) for x in w]}
        for often, w in ((often, list(map(Fraction, w))) for often, w in zip(weights, np.array(types), strict=True))
    ]
    best = market.solve(params(types=few, payoff=payoff.tolist()), Options(gap=1e-6))
    assert 0 < best.certificate.lower <= 4 * bound


def test_states_exchanged() -> None:
    answer, other = solved(4, 2, 1), solved(1, 4, 2)
    assert other.quantities["revenue"] == pytest.approx(answer.quantities["revenue"], abs=3e-4)
    assert max(answer.certificate.lower, other.certificate.lower) <= min(answer.certificate.upper, other.certificate.upper)
    items = [{"experiment": [[1, 0], ["1/2", "1/2"], [0, 1]], "price": "1/10"}]
    turned = [{"experiment": [[0, 1], [1, 0], ["1/2", "1/2"]], "price": "1/10"}]
    one, two = (
        market.audit(params(belief={"dirichlet": shape}), {"items": menu}).quantities["revenue"]
        for shape, menu in (([4, 2, 1], items), ([1, 4, 2], turned))
    )
    assert one == pytest.approx(two, abs=2e-4)


def test_values_scale_revenue() -> None:
    answer = solved(4, 2, 1)
    eight = market.solve(params(belief={"dirichlet": [4, 2, 1]}, value=8), Options(gap=0.5))
    assert eight.quantities["revenue"] == pytest.approx(8 * answer.quantities["revenue"], rel=1e-9)
    assert eight.certificate.upper == pytest.approx(8 * answer.certificate.upper, rel=1e-6)


def test_tables_and_figures() -> None:
    solution = om.solve(LIBRARY / "dirichlet-payoffs.toml", gap=0.5)
    assert list(solution.tables) == ["menu"]
    assert solution.menu["bought by"].iloc[-1].startswith("on average 0.4")
    shares = solution.menu.groupby("item")["share"].first()
    assert shares.sum() == pytest.approx(solution.quantities["share-buying"], abs=1e-9)
    figure = solution.plot()
    assert figure.axes and "stopped at a gap of" in figure.get_supxlabel() and "optimal" not in figure.get_supxlabel()
    assert "not proved to be the best" in solution.notes[0]
    judged = om.audit(LIBRARY / "dirichlet-payoffs.toml", solution)
    assert judged.good and judged.violations == {}
    assert judged.quantities["revenue"] == solution.value


def test_a_gap_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dirichlet_menu, "MOST_COLUMNS", 300)
    answer = market.solve(params(belief={"dirichlet": [2, 1, 1]}), Options())
    assert answer.status is Status.GAP and rounds(answer.run) > 1
    assert 0 < answer.certificate.lower < answer.certificate.upper
    stopped = market.solve(params(belief={"dirichlet": [2, 1, 1]}), Options(gap=0, time_limit=0))
    assert stopped.status is Status.TIME_LIMIT and stopped.certificate.lower > 0.2


def test_methods_of_a_dirichlet_distribution() -> None:
    p = params(belief=UNIFORM)
    assert isinstance(p.population, DirichletBeliefs) and not market.has_program(p)
    with pytest.raises(ModelError, match="solved by dirichlet alone"):
        market.solve(p, Options(method="cuts"))
    with pytest.raises(ModelError, match="leave exact out"):
        market.solve(p, Options(exact=True))
    with pytest.raises(InstanceError, match="leave it out"):
        market.audit(p, {"items": [], "assignment": [None]})
    with pytest.raises(InstanceError, match="the market has 3 states"):
        market.audit(p, alone(0.1, states=2))
    with pytest.raises(ModelError, match="for at most 6"):
        market.solve(params(belief={"dirichlet": [1] * 7}), Options())
    with pytest.raises(ModelError, match="value: has no end"):
        market.solve(params(belief=UNIFORM, value={"dist": "expon"}), Options())
    assert market.audit(p, {"items": []}).quantities["revenue"] == 0


# Errors ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("belief = { dirichlet = [1, 0, 1] }", "params.belief.dirichlet[1]: is 0; must be above 0"),
        ("belief = { dirichlet = [1] }", "params.belief.dirichlet: has 1 entries; needs at least 2"),
        ("belief = { dirichlet = [1, 1, 1], a = 3 }", "params.belief.a: unknown field"),
        ("belief = { mixture = [{ weight = 1, dirichlet = [1, 1, 1] }, { weight = 1, dirichlet = [1, 1] }] }", "of 3, 2 states"),
        (
            "belief = { mixture = [{ weight = 2, dirichlet = [1, 1, 1] }] }",
            "params.belief.mixture: weights sum to 2; must sum to 1",
        ),
        ("belief = { mixture = 3 }", "params.belief.mixture: is 3; must be a list"),
        ('belief = { dist = "unifrm" }', "params.belief: has dist 'unifrm'"),
        ("belief = { dirichlet = [1, 1, 1] }\ngrid = { size = 5 }", "params.grid.rule: is 'mean'; with dirichlet it is lattice"),
        (
            'belief = { dist = "uniform" }\ngrid = { size = 5, rule = "lattice" }',
            "grid.rule: is 'lattice'; lattice is for dirichlet",
        ),
        ('belief = { dist = "uniform" }\ngrid = { size = [5, 5] }', "params.grid.size: is a pair, and value is no distribution"),
        ('belief = { dist = "uniform" }\nvalue = { dist = "uniform" }\ngrid = { size = 5 }', "params.grid.size: is one number"),
        (
            'belief = { dist = "uniform" }\nvalue = { dist = "uniform", loc = -1, scale = 3 }\ngrid = { size = [5, 5] }',
            "params.value: reaches from -1 to 2; a value is at least 0",
        ),
        ('belief = { dist = "uniform" }\nvalue = { dist = "expon" }\ngrid = { size = [5, 5] }', "params.value: has no cells"),
        ('belief = { dist = "uniform" }\nvalue = { dist = "unifrm" }', "params.value: has dist 'unifrm'"),
        ('belief = { dist = "uniform" }\nvalue = -1', "params.value: is -1; must be at least 0"),
        ('types = [{ weight = 1, belief = [1, 0] }]\nvalue = { dist = "uniform" }', "params.value: goes with belief"),
        ('belief = { dirichlet = [1, 1, 1, 1] }\ngrid = { size = 5, rule = "lattice" }', "params.belief: is for 4 states"),
        ('belief = { dirichlet = [1, 1, 1] }\ngrid = { size = 250, rule = "lattice" }', "has at most 200"),
        ('belief = { dirichlet = [1, 1, 1] }\ngrid = { size = 400, rule = "lattice" }', "params.grid.size: makes 160,000 cells"),
        ("belief = { dirichlet = [1, 1, 1] }\nmax_items = 2", "params.max_items: is for finitely many types; give grid"),
        ("belief = { dirichlet = [1, 1, 1] }\npayoff = [[1, 0], [0, 1]]", "params.payoff: is 2 x 2; must be 3 states"),
    ],
)
def test_what_does_not_fit(data: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "case.toml"
    file.write_text(f'format = 1\nmodel = "selling-information"\ntitle = "t"\nsource = "own"\n[params]\n{data}\n', "utf-8")
    with pytest.raises(InstanceError) as error:
        om.load(file)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_parameters_of_distributions_are_swept(tmp_path: Path) -> None:
    file = tmp_path / "case.toml"
    text = 'belief = { dirichlet = [1, 1, 1] }\nvalue = { dist = "uniform", loc = 1 }\ngrid = { size = [2, 3], rule = "lattice" }'
    file.write_text(f'format = 1\nmodel = "selling-information"\ntitle = "t"\nsource = "own"\n[params]\n{text}\n', "utf-8")
    case = om.load(file)
    for settings, data in (
        ({"belief.dirichlet[0]": Fraction(3)}, {"belief": {"dirichlet": [3, 1, 1]}, "value": {"dist": "uniform", "loc": 1}}),
        ({"value.loc": Fraction(2)}, {"belief": UNIFORM, "value": {"dist": "uniform", "loc": 2}}),
    ):
        assert vary(case, settings).params == params(**data, grid={"size": [2, 3], "rule": "lattice"})
