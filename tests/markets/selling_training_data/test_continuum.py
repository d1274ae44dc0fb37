"""Grids of training-data buyers and the continuum of types that they stand for: whose optimum is whose, and what is proved."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.stats
from support.command import Done
from support.paths import INSTANCES

import optmarket as om
from optmarket.models import selling_training_data as model
from optmarket.models.selling_information import Menu
from optmarket.models.selling_training_data.closed_forms import two_tiers
from optmarket.models.selling_training_data.outcomes import as_experiment
from optmarket.models.selling_training_data.triangle import posted_price, revenue, upper_bound
from optmarket.solution import Options, Status

GALLERY = INSTANCES


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Errors spread evenly over the triangle."""
    share = np.sort(np.random.default_rng(seed).random((count, 2)), axis=1) / 2
    return share[:, 0], share[:, 1] - share[:, 0]


def paid_by(errors: tuple[np.ndarray, np.ndarray], experiment: np.ndarray, price: np.ndarray) -> np.ndarray:
    """What each type pays, from the joint probabilities of state and own signal."""
    alpha, beta = errors
    joint = np.array([[0.5 - alpha, alpha], [beta, 0.5 - beta]])
    best, paid = 1 - alpha - beta, np.zeros_like(alpha)
    for item, cost in zip(experiment, price, strict=True):
        net = np.maximum(joint[0, :, None] * item[0, :, None], joint[1, :, None] * item[1, :, None]).sum(axis=(0, 1)) - cost
        better = net > best
        best, paid = np.where(better, net, best), np.where(better, cost, paid)
    return paid


@pytest.mark.parametrize("seed", range(4))
def test_what_a_menu_earns_from_all_errors_against_drawn_types(seed: int) -> None:
    rng = np.random.default_rng(seed)
    if seed % 2:
        experiment = rng.dirichlet(np.full(3, 0.4), (3, 2))
    else:
        left = np.round(rng.random((3, 2)), 2)
        left[0] = 0
        experiment = as_experiment(left)
    price = np.sort(rng.random(3) * 0.3)[::-1]
    paid = paid_by(drawn(400_000, seed), experiment, price)
    found = revenue(Menu(experiment, price))
    assert float(found) == pytest.approx(paid.mean(), abs=5 * paid.std() / np.sqrt(len(paid)) + 1e-12)
    assert found <= Fraction(upper_bound(Options(), 12))


def test_complete_data_on_the_triangle() -> None:
    """Bought by all but the triangle below the price p, 4 p^2 of the mass."""
    assert revenue(Menu(as_experiment(np.zeros((1, 2))), np.array([0.3]))) == Fraction(3, 10) * Fraction(16, 25)
    assert posted_price() == pytest.approx(27**-0.5, rel=1e-14) and posted_price() < 27**-0.5
    both = Menu(as_experiment(np.zeros((2, 2))), np.array([0.3, 0.2]))
    assert revenue(both) == Fraction(1, 5) * Fraction(21, 25)
    assert revenue(Menu(as_experiment(np.ones((1, 2))), np.array([0.0]))) == 0


def test_ties_go_against_the_seller() -> None:
    """Who drops its own data loses pi1/2 and the price: 1/10 + 2/10 with the one item, 2/10 + 1/10 with the other."""
    experiment = as_experiment(np.array([[0.2, 1.0], [0.4, 1.0]]))
    tied, dearer, cheaper = (revenue(Menu(experiment, np.array([price, 0.1]))) for price in (0.2, 0.200000001, 0.199999999))
    assert float(tied) == pytest.approx(float(dearer), abs=1e-7)
    assert tied < cheaper - Fraction(1, 1000)


@pytest.mark.parametrize("size", [1, 2, 5, 20, 39])
def test_no_menu_exceeds_the_bound_of_any_lattice(size: int) -> None:
    """The bound falls towards what complete data earn; the lattice's own optimum is no bound, nor is it one."""
    assert posted_price() < upper_bound(Options(), size) <= 1 / 3
    if size == 39:
        assert upper_bound(Options(), size) < posted_price() * (1 + 4e-4)


def test_the_triangle_says_whose_optimum_it_is(run: Callable[..., Done]) -> None:
    done = run("solve", str(GALLERY / "selling-training-data" / "triangle.toml"))
    assert "optimal for the grid, proved" in done.out.splitlines()[0]
    solution = om.solve(GALLERY / "selling-training-data" / "triangle.toml")
    found = solution.quantities
    assert found["continuum-revenue"] == pytest.approx(0.192, abs=1e-9)
    assert found["continuum-revenue"] <= found["continuum-lower"] == posted_price() < found["continuum-upper"] < 0.1926
    # the grid's optimum is above what anybody can earn from the continuum
    assert solution.certificate.lower > found["continuum-upper"]
    assert "of the grid's 55 types" in solution.notes[0]
    assert om.Solution.from_dict(solution.to_dict()).instance["grid"] is True


def test_a_time_limit_bounds_the_triangle_all_the_same() -> None:
    params = model.Params.model_validate({"triangle": {"size": 4}})
    found = model.solve(params, Options(time_limit=0)).quantities
    assert posted_price() <= found["continuum-lower"] <= found["continuum-upper"] <= 1 / 3


@pytest.mark.parametrize("alpha", [{"dist": "uniform", "scale": "1/4"}, {"dist": "beta", "a": 2, "b": 4, "scale": "1/4"}])
def test_a_grid_on_a_line_is_bracketed_by_the_line(alpha: dict[str, object]) -> None:
    data = {"line": {"k": "1/5", "m": "3/10"}, "alpha": alpha}
    params = model.Params.model_validate({**data, "grid": {"size": 20}})
    answer = model.solve(params)
    found = answer.quantities
    assert params.line is not None and params.alpha is not None
    best = float(two_tiers(params.line, params.alpha.law).revenue)
    assert found["continuum-lower"] <= best <= found["continuum-upper"] < found["revenue"]
    assert found["continuum-upper"] - found["continuum-lower"] < 2e-3
    sold = om.models.selling_training_data.audit(model.Params.model_validate(data), {"items": answer.mechanism["items"]})
    assert found["continuum-revenue"] <= sold.quantities["revenue"] + 1e-12


@pytest.mark.parametrize("size", ["1e-6", "1e-9", "1e-12"])
@pytest.mark.parametrize("shape", [{"dist": "uniform"}, {"dist": "beta", "a": 2, "b": 4}])
@pytest.mark.parametrize("least", [0, "1/3"])
def test_lines_of_small_errors(size: str, shape: dict[str, object], least: Any) -> None:
    """Tolerances are in units of what is at stake: in payoff units 1e-12 tied all types of such lines to everything."""
    m = Fraction(least) * Fraction(size)
    params = model.Params.model_validate({"line": {"k": 0, "m": m}, "alpha": {**shape, "scale": size}})
    answer = model.solve(params)
    bounds, revenue = answer.certificate, answer.quantities["revenue"]
    assert answer.status is Status.OPTIMAL and bounds.gap < 1e-8
    assert bounds.lower <= revenue * (1 + 1e-12) and revenue <= bounds.upper * (1 + 1e-12)
    # F(alpha)/2 may be as large as alpha's end, 1/2: beyond small alpha it is not worth selling the low tier more
    alpha = np.linspace(0, 1, 200_001)
    cdf = alpha if shape["dist"] == "uniform" else scipy.stats.beta.cdf(alpha, 2, 4)
    end = 0.5 - float(m)
    best = float(m) + (alpha * float(size) * (end - cdf / 2)).max() / end
    assert revenue == pytest.approx(best, rel=1e-8, abs=0)
    judged = model.audit(params, answer.mechanism).quantities
    assert judged["revenue"] == pytest.approx(revenue, rel=1e-12, abs=0)
    assert revenue <= judged["welfare"] <= answer.quantities["first-best"] * (1 + 1e-12)


@pytest.mark.parametrize("name", ["dirichlet-lattice", "product-grid"])
def test_other_grids_say_that_they_are(name: str, run: Callable[..., Done]) -> None:
    done = run("solve", str(GALLERY / "selling-information" / f"{name}.toml"))
    assert "optimal for the grid, proved" in done.out.splitlines()[0]
    assert "those of the grid's types" in " ".join(done.out.split())


def test_finitely_many_types_are_no_grid(run: Callable[..., Done]) -> None:
    for name in ("selling-training-data/two-types", "selling-information/two-types", "selling-training-data/line"):
        done = run("solve", str(GALLERY / f"{name}.toml"))
        assert "grid" not in done.out.splitlines()[0]
