"""The triangle of all errors: what menus earn there against drawn types, and bounds on what any menu earns."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from support.training_data import HALF, F, bounds_of, items_of, market_of, reduced_optimum

from optmarket.arrays import FloatArray
from optmarket.models import selling_training_data as model
from optmarket.models.selling_information import Menu
from optmarket.models.selling_training_data.items import as_experiments, shares_left
from optmarket.models.selling_training_data.populations import triangle_cells
from optmarket.models.selling_training_data.triangle import revenue_on_triangle, triangle_posted_price, triangle_upper_bound
from optmarket.options import Deadline, Options


def upper_bound(size: int) -> float:
    """The bound by so many cells along a side."""
    return triangle_upper_bound(Options(), Deadline(), size)


def drawn(count: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Errors spread evenly over the triangle."""
    share = np.sort(np.random.default_rng(seed).random((count, 2)), axis=1) / 2
    return share[:, 0], share[:, 1] - share[:, 0]


def paid_by(errors: tuple[FloatArray, FloatArray], experiment: FloatArray, price: FloatArray) -> FloatArray:
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
        experiment = as_experiments(left)
    price = np.sort(rng.random(3) * 0.3)[::-1]
    paid = paid_by(drawn(400_000, seed), experiment, price)
    found = revenue_on_triangle(Menu(experiment, price))
    assert float(found) == pytest.approx(paid.mean(), abs=5 * paid.std() / np.sqrt(len(paid)) + 1e-12)
    assert found <= Fraction(upper_bound(12))


def test_complete_data_on_the_triangle() -> None:
    """Bought by all but the triangle below the price p, 4 p^2 of the mass."""
    assert revenue_on_triangle(Menu(as_experiments(np.zeros((1, 2))), np.array([0.3]))) == Fraction(3, 10) * Fraction(16, 25)
    assert triangle_posted_price() == pytest.approx(27**-0.5, rel=1e-14) and triangle_posted_price() < 27**-0.5
    both = Menu(as_experiments(np.zeros((2, 2))), np.array([0.3, 0.2]))
    assert revenue_on_triangle(both) == Fraction(1, 5) * Fraction(21, 25)
    assert revenue_on_triangle(Menu(as_experiments(np.ones((1, 2))), np.array([0.0]))) == 0


def test_ties_go_against_the_seller() -> None:
    """A type that ignores its own data loses pi1/2 and the price: 1/10 + 2/10 with one item, 2/10 + 1/10 with the other."""
    experiment = as_experiments(np.array([[0.2, 1.0], [0.4, 1.0]]))
    tied, higher, lower = (
        revenue_on_triangle(Menu(experiment, np.array([price, 0.1]))) for price in (0.2, 0.200000001, 0.199999999)
    )
    assert float(tied) == pytest.approx(float(higher), abs=1e-7)
    assert tied < lower - Fraction(1, 1000)


@pytest.mark.parametrize("size", [1, 2, 5, 20, 39])
def test_no_menu_exceeds_the_bound_of_any_lattice(size: int) -> None:
    """The bound falls towards what complete data earn; the lattice's own optimum is no bound, nor is it one."""
    assert triangle_posted_price() < upper_bound(size) <= 1 / 3
    if size == 39:
        assert upper_bound(size) < triangle_posted_price() * (1 + 4e-4)


def test_a_time_limit_bounds_the_triangle_all_the_same() -> None:
    market = market_of(triangle={"size": 4})
    found = model.solve(market, Options(time_limit=0)).quantities
    assert triangle_posted_price() <= found["continuum-lower"] <= found["continuum-upper"] <= 1 / 3


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_triangles(size: int) -> None:
    weights, errors = triangle_cells(size)
    assert len(errors) == size * (size + 1) // 2 and sum(weights) == 1
    for place in range(2):  # the mean of a triangle is a third of its corners
        assert sum(weight * pair[place] for weight, pair in zip(weights, errors, strict=True)) == F(1, 6)
    assert all(sum(pair) <= HALF and min(pair) > 0 for pair in errors)
    answer = model.solve(market_of(triangle={"size": size}))
    assert bounds_of(answer).lower - 1e-9 <= reduced_optimum(errors, weights) <= bounds_of(answer).upper + 1e-9
    menu = []
    for item in items_of(answer):
        left = shares_left(np.array(item["experiment"], dtype=float))
        assert left is not None
        menu.append((left, float(item["price"])))
    earned = 0.0
    for weight, (a, b) in zip(*triangle_cells(4 * size), strict=True):
        gains = [(float(a + b) - min(float(a) * p + float(b) * q, p / 2, q / 2) - t, t) for (p, q), t in menu]
        best = max([0.0, *(gain for gain, _ in gains)])
        earned += float(weight) * max([0.0, *(t for gain, t in gains if gain >= best - 1e-12)])
    assert answer.quantities["finer-grid-revenue"] == pytest.approx(earned, abs=1e-9)
