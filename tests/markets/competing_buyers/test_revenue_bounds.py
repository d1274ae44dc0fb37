"""Bounds on the revenue of a continuum of values that hold, whatever the distributions and the stakes."""

from __future__ import annotations

import math
from fractions import Fraction as F
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from support.competing_markets import continuous_values, proof
from support.paths import CASES

import optmarket as om
from optmarket.certificates import relative_gap
from optmarket.distributions.cdf import Cdf, PiecewiseLinear
from optmarket.models.competing_buyers.market import ContinuousValues
from optmarket.models.competing_buyers.params import ContinuumOfValues
from optmarket.models.competing_buyers.solvers.by_virtual_values import at_cell_ends, earnings_in_cells
from optmarket.models.competing_buyers.virtual_values import continuum
from optmarket.models.competing_buyers.virtual_values.optimal_rule import optimal_rule
from optmarket.options import Status


@pytest.mark.parametrize(("name", "value"), [("far-from-zero", 1e6), ("rare-low-values", 4.995), ("truncated-exponential", 20.0)])
def test_known_optima_lie_within_narrow_bounds(name: str, value: float) -> None:
    found = om.solve(CASES / f"{name}.toml")
    assert found.status is Status.OPTIMAL
    assert proof(found).lower <= value <= proof(found).upper
    assert proof(found).gap < 1e-8
    assert found.value == pytest.approx(value, rel=1e-9)
    assert found.audit.quantities["revenue"] <= proof(found).upper * (1 + 1e-12)
    assert not found.contradictions


def test_rarer_low_values() -> None:
    rare = {"mixture": [{"weight": "1e-9", "dist": "uniform"}, {"weight": 1 - F("1e-9"), "dist": "uniform", "loc": 10}]}
    found = continuum.bounds(continuous_values([{"count": 2, "value": rare}], ic="ex-post", th="3/4"))
    assert found.lower <= 4.999999995 <= found.upper and relative_gap(found.lower, found.upper) < 1e-9


def piece(rng: np.random.Generator) -> dict[str, Any]:
    """One distribution of values, anywhere and of any scale."""
    loc, scale = float(rng.choice([0, 0, 0, 1, 10, 1e3, 1e6])), float(10.0 ** rng.integers(-6, 7)) if rng.random() < 0.3 else 1.0
    a, b = (float(x) for x in rng.choice([0.5, 1, 1.5, 2, 3, 30], 2))
    low = float(rng.uniform(-2, 1))
    edges = np.unique(rng.integers(0, 20, 4))
    heights = rng.integers(1, 5, len(edges) - 1)
    mass = sum(F(int(h)) * int(stop - start) for h, (start, stop) in zip(heights, pairwise(edges), strict=True))
    steps = [
        {"from": int(start), "to": int(stop), "height": F(int(h)) / mass}
        for h, (start, stop) in zip(heights, pairwise(edges), strict=True)
    ]
    forms: list[dict[str, Any]] = [
        {"dist": "uniform", "loc": loc * scale, "scale": scale},
        {"dist": "expon", "loc": loc * scale, "scale": scale},
        {"dist": "beta", "a": a, "b": b, "loc": loc * scale, "scale": scale},
        {"dist": "truncnorm", "a": low, "b": low + float(rng.uniform(0.5, 4)), "loc": (3 + loc) * scale, "scale": scale},
        {"dist": "pareto", "b": float(rng.choice([1.2, 1.5, 2, 3, 5])), "scale": scale},
        {"dist": "lognorm", "s": float(rng.choice([0.1, 0.5, 1, 2])), "scale": scale},
        {"dist": "gamma", "a": a, "scale": scale, "loc": loc * scale},
        {"dist": "weibull_min", "c": float(rng.choice([0.5, 1, 3])), "scale": scale},
        {"density": steps} if steps else {"dist": "uniform"},
        {"dist": "expon", "loc": loc * scale, "scale": scale, "truncate": [(loc + 0.5) * scale, (loc + 3) * scale]},
    ]
    return forms[int(rng.integers(len(forms)))]


def random_distribution(rng: np.random.Generator) -> dict[str, Any]:
    """A distribution, or a mixture of two, one of them perhaps rare."""
    if rng.random() < 0.5:
        return piece(rng)
    rare = F(int(rng.integers(1, 10)), 10 ** int(rng.integers(1, 10)))
    return {"mixture": [{"weight": rare, **piece(rng)}, {"weight": 1 - rare, **piece(rng)}]}


def random_continuum(seed: int, sizes: tuple[int, ...] = (2, 2, 2, 3, 5)) -> ContinuousValues:
    rng = np.random.default_rng(seed)
    count = int(rng.choice(sizes))
    buyers: list[dict[str, Any]] = [{"count": count, "value": random_distribution(rng)}]
    if rng.random() < 0.4:
        buyers = [
            {"count": count - 1, "value": random_distribution(rng)},
            {"value": random_distribution(rng) if rng.random() < 0.7 else 3},
        ]
    th, alpha = rng.choice(["1/2", "3/5", "3/4", "9/10"]), rng.choice(["0", "1/4", "1/2", "1", "2", "7"])
    return continuous_values(buyers, str(alpha), str(rng.choice(["bayesian", "ex-post"])), str(th))


def profit(value: Cdf, cost: float) -> float:
    """A monopolist's profit at a unit cost, by prices tried one beside the other, and then finer ones: no cells."""
    low, high = (float(end) for end in value.support)
    mass = np.concatenate([np.geomspace(1e-12, 0.5, 120), 1 - np.geomspace(1e-12, 0.5, 120)])
    points = np.array([float(x) for x in value.quantiles([F(x) for x in np.unique(mass)])])
    points = np.unique(np.concatenate([points, [low], [high] if math.isfinite(high) else [4 * points[-1]]]))

    def earned(price: Any) -> Any:
        rest = 1 - value.cdf(price) if isinstance(value, PiecewiseLinear) else value.between(price, np.full_like(price, np.inf))
        return (price - cost) * rest

    for _ in range(4):
        k = int(np.argmax(earned(points)))
        points = np.linspace(points[max(k - 1, 0)], points[min(k + 1, len(points) - 1)], 400)
    return float(max(earned(points).max(), 0.0))


@pytest.mark.parametrize("seed", range(40))
def test_one_side_of_a_market_against_prices_tried(seed: int) -> None:
    # without an externality each buyer is a monopolist's of costs 0, and th of the lowest value is not for sale
    rng = np.random.default_rng(seed)
    given = continuous_values([{"count": 2, "value": random_distribution(rng)}], 0, th="3/4")
    (population,) = given.populations
    assert isinstance(population, ContinuumOfValues)
    value = population.distribution
    found = continuum.bounds(given)
    lowest = float(value.support[0])
    expected = 2 * (0.25 * profit(value, 0.0))
    assert found.lower <= expected * (1 + 1e-9) + 1e-15 * lowest and expected <= found.upper * (1 + 1e-12)
    assert relative_gap(found.lower, found.upper) < 1e-8


def accepted(seed: int, sizes: tuple[int, ...]) -> ContinuousValues:
    """A random market; another one where floats cannot integrate a distribution, which is refused."""
    for attempt in range(20):
        try:
            return random_continuum(seed + 10_000 * attempt, sizes)
        except ValidationError as error:
            assert "floats" in str(error)
    raise AssertionError("20 markets in a row were refused")


def out_of_order(seed: int, sizes: tuple[int, ...]) -> list[str]:
    """What is wrong with bounds, held against finite markets of values raised and lowered, and what a printed mechanism earns."""
    given = accepted(seed, sizes)
    found = continuum.bounds(given)
    raised, lowered = (optimal_rule(at_cell_ends(given, 60, upper=upper), exact=False) for upper in (True, False))
    slack = 1e-9 * abs(found.upper)
    with np.errstate(all="ignore"):
        printed = earnings_in_cells(given, 300).certified
    right = {
        "the lower bound is at most the upper one": found.lower <= found.upper,
        "values raised earn the lower bound": found.lower <= float(raised.revenue) + slack + float(raised.tie) * 4,
        "values lowered earn no more than the upper bound": (
            float(lowered.revenue) - lowered.excess <= found.upper + slack + float(lowered.tie) * 4
        ),
        "the printed mechanism earns no more than the upper bound": printed <= found.upper,
    }
    return [words for words, holds in right.items() if not holds]


@pytest.mark.parametrize("seed", range(6))
def test_bounds_of_random_distributions(seed: int) -> None:
    assert out_of_order(seed, (2,)) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1300))
def test_bounds_of_hundreds_of_random_distributions(seed: int) -> None:
    assert out_of_order(seed, (2, 2, 3, 4, 7)) == []


def blocks(seed: int) -> tuple[ContinuousValues, float]:
    """Two buyers of values uniform on intervals far apart, and the optimum ex post by Gauss' rule in each pair of intervals."""
    rng = np.random.default_rng(seed)
    base, gap = float(rng.choice([0, 1, 1e4])), float(rng.uniform(8, 20))
    share = F(int(rng.integers(1, 10)), 10 ** int(rng.integers(1, 7)))
    mixture = [{"weight": share, "dist": "uniform", "loc": base}, {"weight": 1 - share, "dist": "uniform", "loc": base + gap}]
    return continuous_values([{"count": 2, "value": {"mixture": mixture}}], "1/2", "ex-post", "3/4"), float(share)


@pytest.mark.parametrize("seed", range(10))
def test_two_intervals_against_quadrature_by_hand(seed: int) -> None:
    given, share = blocks(seed)
    (population,) = given.populations
    assert isinstance(population, ContinuumOfValues)
    value = population.distribution
    low, high = (float(x) for x in value.support)
    # the lower interval is ironed to its top: to sell to all of it lowers the price by as much as the gap for all above
    nodes, weights = np.polynomial.legendre.leggauss(64)
    start = high - 1
    first = np.full(64, (low - start * (1 - share)) / share)
    second = 2 * (start + (nodes + 1) / 2) - high
    phi = np.concatenate([first, second])
    mass = np.concatenate([share * weights / 2, (1 - share) * weights / 2])
    gain = 0.25 * np.maximum(phi[None] / 2 - phi[:, None], 0.0)
    expected = 0.25 * 2 * low + 2 * float(mass @ gain @ mass)
    found = continuum.bounds(given)
    assert found.lower * (1 - 1e-12) <= expected <= found.upper * (1 + 1e-12)
    assert relative_gap(found.lower, found.upper) < 1e-8


def test_unknown_densities_are_bounded_all_the_same() -> None:
    # the same distribution under a name that the table of shapes does not have
    known = continuum.bounds(continuous_values([{"count": 2, "value": {"dist": "expon"}}]))
    unknown = continuum.bounds(continuous_values([{"count": 2, "value": {"dist": "gengamma", "a": 1, "c": 1}}]))
    assert known.shapes_known and not unknown.shapes_known
    assert unknown.lower <= known.upper and known.lower <= unknown.upper
    assert relative_gap(unknown.lower, unknown.upper) < 1e-3
