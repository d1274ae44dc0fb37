"""Planes of types with gaps and peaks: bounds against menus of an independent program and brute force, and every way to stop."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from support import one_buyer as market
from support.beliefs import blocks, mixture, part, table
from support.one_buyer import plane_of
from support.paths import CASES
from support.proofs import proof

import optmarket as om
from optmarket.arrays import FloatArray
from optmarket.distributions.cdf import Cdf
from optmarket.distributions.specification import Distribution
from optmarket.models.selling_information.continuum import plane_menu
from optmarket.models.selling_information.continuum.plane_demand import best_posted_price, enclosed_revenue
from optmarket.models.selling_information.continuum.plane_menu import PlaneMenu, polished, pruned, with_revenue
from optmarket.models.selling_information.continuum.plane_types import Plane
from optmarket.options import Deadline, Options, Status
from optmarket.rationals import floats


def params(belief: Any, value: Any) -> market.Params:
    return market.Params.model_validate({"belief": belief, "value": value})


# Random markets --------------------------------------------------------------------------------------------------------


def random_value(rng: np.random.Generator) -> dict[str, Any]:
    """A distribution of values, of any size, with gaps, peaks or a tail."""
    size = power(rng, -6, 6)
    kind = rng.integers(5)
    if kind == 0:
        found, exact = blocks(rng, int(rng.integers(2, 4)), power(rng, -4, -1)), Fraction(str(size))
        return {
            "density": [
                {"from": step["from"] * exact, "to": step["to"] * exact, "height": step["height"] / exact}
                for step in found["density"]
            ]
        }
    if kind == 1:
        return {"dist": "lognorm", "s": float(np.round(rng.uniform(0.2, 1.0), 2)), "scale": size}
    if kind == 2:
        parts = [
            {"weight": "1/2", "dist": "norm", "loc": m * size, "scale": 0.02 * size, "truncate": [0, 9 * size]} for m in (1, 3)
        ]
        return {"mixture": parts}
    if kind == 3:
        return {"dist": "uniform", "loc": size, "scale": size * power(rng, -6, 1)}
    return {"dist": "beta", "a": 0.5, "b": 2, "scale": size}


def power(rng: np.random.Generator, low: float, high: float) -> float:
    """A random power of ten."""
    return float(10 ** np.round(rng.uniform(low, high), 2))


def random_plane(seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Beliefs and values."""
    rng = np.random.default_rng(seed)
    kinds = [
        lambda: blocks(rng, int(rng.integers(2, 5)), power(rng, -4, -1)),
        lambda: mixture(rng),
        lambda: part(rng),
        lambda: table(rng, 20),
    ]
    return kinds[seed % 4](), random_value(rng)


# An independent discretisation -----------------------------------------------------------------------------------------


def quantiles(distribution: Cdf, count: int) -> FloatArray:
    return floats(distribution.quantiles([Fraction(2 * k + 1, 2 * count) for k in range(count)]))


def best_menu(theta: FloatArray, value: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The optimal menu of equally frequent types, every pair's incentive listed: chances (p, q) and prices."""
    t, v = (axis.ravel() for axis in np.meshgrid(theta, value / value.mean()))
    n = len(t)
    own = np.column_stack([v * t, v * (1 - t), -np.ones(n)])
    outside = v * np.maximum(t, 1 - t)
    pair = np.array([(i, j) for i in range(n) for j in range(n) if i != j])
    rows = np.repeat(np.arange(len(pair)), 6)
    columns = np.concatenate([3 * pair[:, :1] + np.arange(3), 3 * pair[:, 1:] + np.arange(3)], axis=1).ravel()
    entries = np.concatenate([-own[pair[:, 0]], own[pair[:, 0]]], axis=1).ravel()
    truthful = scipy.sparse.csr_matrix((entries, (rows, columns)), shape=(len(pair), 3 * n))
    rational = scipy.sparse.csr_matrix((-own.ravel(), (np.repeat(np.arange(n), 3), np.arange(3 * n))), shape=(n, 3 * n))
    limits = np.concatenate([np.zeros(len(pair)), -outside])
    bounds = [(0, 1), (0, 1), (0, None)] * n
    found = scipy.optimize.linprog(
        np.tile([0.0, 0.0, -1.0], n), scipy.sparse.vstack([truthful, rational]).toarray(), limits, bounds=bounds, method="highs"
    )
    assert found.status == 0 and found.x is not None
    item = found.x.reshape(-1, 3)
    return item[:, :2], item[:, 2] * value.mean()


def paid(theta: FloatArray, value: FloatArray, chance: FloatArray, price: FloatArray) -> FloatArray:
    """What each of many types pays, one by one."""
    gain = np.maximum(theta[:, None] * chance[:, 0], (1 - theta)[:, None] * (1 - chance[:, 1])) + np.maximum(
        theta[:, None] * (1 - chance[:, 0]), (1 - theta)[:, None] * chance[:, 1]
    )
    gain -= np.maximum(theta, 1 - theta)[:, None]
    best, most = np.zeros((2, len(theta), len(value)))
    for item in np.argsort(price, kind="stable"):
        net = np.outer(gain[:, item], value) - price[item]
        ahead = net > best
        best, most = np.where(ahead, net, best), np.where(ahead, price[item], most)
    return most


def earned(known: Plane, chance: FloatArray, price: FloatArray, size: int = 400) -> float:
    """About what a menu earns, on middle quantiles of beliefs and values."""
    return float(paid(quantiles(known.belief, size), quantiles(known.value, size), chance, price).mean())


def items_of(answer: market.Found) -> tuple[FloatArray, FloatArray]:
    items = answer.mechanism["items"]
    experiment = np.array([item["experiment"] for item in items], dtype=float)
    return np.column_stack([experiment[:, 0, 0], experiment[:, 1, 1]]), np.array([float(item["price"]) for item in items])


def check(seed: int, gap: float, types: int = 7, seconds: float | None = None) -> None:
    """The bracket holds what its own menu and an independent program's earn, full information and the first best.

    With a time limit the bracket must hold wherever it is by then.
    """
    belief, value = random_plane(seed)
    market_params = params(belief, value)
    answer = market.solve(market_params, Options(gap=gap, time_limit=seconds))
    known, found = plane_of(market_params), answer.quantities
    lower, upper = answer.certificate.lower, answer.certificate.upper
    assert 0 < lower <= found["revenue"] * (1 + 1e-8) and found["revenue"] <= upper * (1 + 1e-8)
    assert answer.certificate.gap <= gap or (seconds is not None and answer.status in {Status.TIME_LIMIT, Status.GAP})
    assert (answer.status is Status.OPTIMAL) == (answer.certificate.gap <= gap)
    assert upper <= found["first-best"] * (1 + 1e-10)
    assert lower >= found["full-information-revenue"] * (1 - 1e-2)
    assert found["revenue"] >= found["full-information-revenue"] * (1 - 1e-9)
    assert market.audit(market_params, answer.mechanism).quantities["revenue"] == found["revenue"]
    # ends of quantiles are no ends of blocks: a little off
    assert earned(known, *items_of(answer)) >= lower * (1 - 0.05)
    chance, price = best_menu(quantiles(known.belief, 2 * types), quantiles(known.value, types))
    experiment = np.stack([np.stack([chance[:, 0], 1 - chance[:, 0]], 1), np.stack([1 - chance[:, 1], chance[:, 1]], 1)], 1)
    for cut in (1e-4, 1e-2):
        least, _ = enclosed_revenue(known, experiment, price * (1 - cut), 1e-4 * upper)
        assert least <= upper


@pytest.mark.parametrize("seed", [3])
def test_brackets_of_random_planes(seed: int) -> None:
    check(seed, 5e-2, 5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2, *range(100, 115)])
def test_brackets_of_18_more_random_planes(seed: int) -> None:
    check(seed, 1e-2, seconds=8.0)


# Narrow blocks, and every way to stop ----------------------------------------------------------------------------------


def test_four_narrow_blocks() -> None:
    """As near to four types, whose optimum is 7/20, as the blocks are narrow."""
    solution = om.solve(CASES / "plane-narrow-densities.toml", gap=4e-3)
    assert solution.status is Status.OPTIMAL
    assert 0.3485 <= proof(solution).lower <= solution.value <= proof(solution).upper <= 0.3515


@pytest.mark.slow
@pytest.mark.parametrize("width", ["1/100", "1/1000", "1/10000", "1/1000000"])
def test_narrow_blocks_are_bracketed(width: str) -> None:
    """The optimum of four types, to about the width."""
    part = Fraction(width)

    def two(low: Fraction, high: Fraction) -> dict[str, Any]:
        return {"density": [{"from": at, "to": at + part, "height": 1 / (2 * part)} for at in (low, high)]}

    known = params(two(Fraction(3, 10), Fraction(3, 5)), two(Fraction(1), Fraction(2)))
    answer = market.solve(known, Options(gap=1e-4))
    # at a millionth the solver gives up on the way: the bracket by then is what is stated
    assert answer.status is Status.OPTIMAL or (part == Fraction(1, 10**6) and answer.status is Status.GAP)
    assert (answer.status is Status.OPTIMAL) == (answer.certificate.gap <= 1e-4)
    assert answer.certificate.lower <= 0.35 * (1 + 8 * float(part))
    assert answer.certificate.upper >= 0.35 * (1 - 8 * float(part))


def test_a_slow_plane_stops_with_a_bracket() -> None:
    solution = om.solve(CASES / "plane-slow.toml", time_limit=1.0)
    found = solution.quantities
    assert solution.status is Status.TIME_LIMIT
    assert found["full-information-revenue"] * (1 - 1e-3) <= proof(solution).lower
    assert proof(solution).lower <= solution.value <= proof(solution).upper <= found["first-best"] * (1 + 1e-10)


MARKET: tuple[Any, Any] = ({"dist": "beta", "a": 8, "b": 30}, {"dist": "uniform", "loc": "9/20", "scale": "11/20"})


def test_no_stage_goes_on_when_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    known = plane_of(params(*MARKET))
    rng = np.random.default_rng(0)
    menu = with_revenue(known, rng.uniform(0.5, 1, (8, 3)) * [1, 1, 0.1])
    tried = []

    def counted(plane: Plane, item: FloatArray) -> PlaneMenu:
        tried.append(item)
        return with_revenue(plane, item)

    monkeypatch.setattr(plane_menu, "with_revenue", counted)
    late = Deadline(0.0)
    assert pruned(known, menu, 1.0, late) is menu
    assert polished(known, PlaneMenu(menu.item[:3], menu.revenue), 1.0, late).item is not None
    assert plane_menu.BoundTime(late).left() == 0 and not tried
    least, most = enclosed_revenue(known, menu.experiment, menu.price, 0.0, lambda: late.passed)
    assert 0 < least < most <= least * (1 + 2e-4)


@pytest.mark.parametrize("stage", ["polished", "pruned", "demand_on_plane"])
def test_ctrl_c_keeps_the_menu_at_hand(monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    right = getattr(plane_menu, stage)
    calls = []

    def stop(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return right(*given)

    monkeypatch.setattr(plane_menu, stage, stop)
    answer = market.solve(params(*MARKET), Options(gap=3e-2))
    assert answer.status is Status.INTERRUPTED
    assert 0 < answer.certificate.lower <= answer.quantities["revenue"] <= answer.certificate.upper


@pytest.mark.parametrize("power_of_two", [-40])
def test_values_scale_a_plane(power_of_two: int) -> None:
    """By a power of two, so that all numbers are the same but for it."""
    unit = Fraction(2) ** power_of_two
    steps = [{"from": 0, "to": unit / 4, "height": 2 / unit}, {"from": 3 * unit / 4, "to": unit, "height": 2 / unit}]
    quarter = Fraction(1, 4)
    one = [{"from": 0, "to": quarter, "height": 2}, {"from": 3 * quarter, "to": 1, "height": 2}]
    answers = [market.solve(params(MARKET[0], {"density": density}), Options(gap=5e-2)) for density in (one, steps)]
    for end in ("lower", "upper", "gap"):
        factor = 1 if end == "gap" else float(unit)
        assert getattr(answers[1].certificate, end) == pytest.approx(factor * getattr(answers[0].certificate, end), rel=1e-12)


def test_full_information_is_found_between_far_values() -> None:
    """Its best price lies far below the largest value, and between prices that are evenly apart."""
    known = plane_of(params({"dist": "uniform"}, {"dist": "pareto", "b": "6/5"}))
    _, best = best_posted_price(known)
    item = np.eye(2)[None]
    prices = best * np.geomspace(1e-3, 1e3, 200)
    single = best_posted_price(known)[0]
    assert all(
        enclosed_revenue(known, item, np.array([price]), 1e-5 * single)[0] <= single * (1 + 1e-6) for price in prices[::20]
    )


def test_a_far_tail_has_a_table() -> None:
    """Quantiles that are the same in floats are one node."""
    value = {"dist": "beta", "a": "1/2", "b": 2, "scale": 2.884031503126606}
    known = plane_of(params({"dist": "uniform"}, value))
    assert known.mean == pytest.approx(2.884031503126606 / 5)
    assert Distribution.model_validate(value).as_cdf.support[0] == 0
