"""The values that the instances of this market state, held against second programs and menus on paper."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from support.paths import INSTANCES
from support.training_data_programs import (
    general_optimum,
)

import optmarket as om
from optmarket.arrays import FloatArray
from optmarket.models import selling_training_data as model
from optmarket.models.selling_training_data.populations import FiniteTypes
from optmarket.options import Options

HOME = INSTANCES / "selling-training-data"


SMALL = 60  # types up to which an instance is also proved exactly
MOST_TYPES = 12  # types up to which a second program lists all there is


@cache
def loaded(path: Path) -> om.Instance:
    return om.load(path)


@cache
def market_in(path: Path) -> model.Market:
    params = loaded(path).params
    assert isinstance(params, model.Params)
    return model.market(params)


def finite_market_in(path: Path) -> FiniteTypes:
    market = market_in(path)
    assert isinstance(market, FiniteTypes)
    return market


def stated(path: Path, quantity: str = "revenue") -> Fraction:
    """The value an instance states for a quantity, as a proved equality: once, or the same every time."""
    claims = [claim for claim in loaded(path).expect if claim.quantity == quantity and claim.kind in {"analytic", "exact"}]
    (value,) = {Fraction(claim.value) for claim in claims}
    return value


def finite_markets(most: int) -> list[Path]:
    """Instances of at most so many types."""
    paths = [path for path in sorted(HOME.glob("*.toml")) if not path.stem.startswith("classifiers")]
    return [path for path in paths if 0 < number_of_types(path) <= most]


def number_of_types(path: Path) -> int:
    """How many types there are; 0 for a continuum."""
    market = market_in(path)
    return market.information.n_types if isinstance(market, FiniteTypes) else 0


def joint_measures(path: Path) -> tuple[list[Fraction], list[FloatArray]]:
    """Weights, and a joint measure of state and own signal for each type."""
    types = finite_market_in(path).params.types
    assert types is not None
    return [one.weight for one in types], [np.array(one.joint, dtype=float) for one in types]


def stem(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", finite_markets(SMALL), ids=stem)
def test_exact_value_is_the_stated_one_in_both_formulations(path: Path) -> None:
    solution = om.solve(path, exact=True)
    assert solution.good
    assert solution.exact == stated(path)
    market = market_in(path)
    if isinstance(market, model.TypesByErrors):
        other = "auto" if loaded(path).method == "general" else "general"
        assert model.solve(market, Options(method=other, exact=True)).exact == stated(path)


@pytest.mark.parametrize("path", finite_markets(MOST_TYPES), ids=stem)
def test_a_second_program_agrees(path: Path) -> None:
    assert general_optimum(*joint_measures(path)) == pytest.approx(float(stated(path)), abs=1e-9)


def test_the_instances_are_there() -> None:
    two_types = {"", "-pool", "-exclude", "-rent-free", "-rectangle", "-mirrored", "-rent-free-mirrored", "-general", "-frequent"}
    lines = {"", "-fixed-error", "-steeper", "-steepest", "-beta-2-4", "-beta-4-2", "-arcsine", "-gap", "-tied", "-grid-40"}
    expected = {f"two-types{name}" for name in {*two_types, "-tied"}} | {f"line{name}" for name in {*lines, "-grid-2000"}}
    others = {"single-type", "posteriors", "one-error-types", "three-states", "companies", "triangle"}
    assert expected | others <= {path.stem for path in HOME.glob("*.toml")}


@pytest.mark.parametrize("path", finite_markets(5000), ids=stem)
def test_complete_data_by_sorting(path: Path) -> None:
    """What all that would be worth, and the best single price."""
    weights, measures = joint_measures(path)
    joint, weight = np.array(measures), np.array(weights, dtype=float)
    worth = 1 - joint.max(axis=1).sum(axis=1)
    single = max(value * weight[worth >= value - 1e-12].sum() for value in worth)
    found = {"first-best": weight @ worth, "full-information-revenue": single}
    for quantity in found.keys() & {claim.quantity for claim in loaded(path).expect}:
        assert float(stated(path, quantity)) == pytest.approx(found[quantity], abs=1e-12)


@pytest.mark.parametrize("path", sorted(HOME.glob("line*.toml")), ids=stem)
def test_two_tiers_on_paper_earn_what_lines_state(path: Path) -> None:
    """A menu written from the instance's cut-off, and its revenue by adding up what many types pay."""
    market = market_in(path)
    assert isinstance(market, model.LineOfTypes | model.LineGrid)
    line = market.line if isinstance(market, model.LineGrid) else market
    k, m, end = line.k, line.m, line.end
    if isinstance(market, model.LineGrid):
        size = len(market.weights)
        cells = [(end * Fraction(2 * j + 1, 2 * size), 1 / size) for j in range(size)]
        share = max((end_share(j, size) for j in range(size)), key=lambda u: u * (1 - 2 * m - u + Fraction(1, 2 * size)))
        fine = 1e-12
    else:
        size = 20000
        edges = np.linspace(0, float(end), size + 1)
        mass = np.diff(line.cdf.cdf(edges))
        cells = list(zip((edges[1:] + edges[:-1]) / 2, mass, strict=True))
        share = Fraction(om.solve(path).quantities["low-error-2-left"])
        fine = 2e-4
    low, full = m * (1 - share), m + (1 - k) * share * end
    alpha = np.array([float(at) for at, _ in cells])
    mass = np.array([weight for _, weight in cells])
    first, second = float(1 - k * (1 - share)), float(share)
    cost = np.minimum(alpha * first + (float(m) - float(k) * alpha) * second, min(first, second) / 2) + float(low)
    none = alpha + float(m) - float(k) * alpha
    near = 1e-12  # ties go to the seller
    buys_full = (float(full) <= cost + near) & (float(full) <= none + near)
    buys_low = ~buys_full & (cost <= none + near)
    revenue = (mass * (buys_full * float(full) + buys_low * float(low))).sum()
    assert revenue == pytest.approx(float(stated(path)), abs=fine)


def end_share(j: int, size: int) -> Fraction:
    return Fraction(2 * j + 1, 2 * size)
