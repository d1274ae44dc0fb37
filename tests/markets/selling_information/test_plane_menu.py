"""Beliefs and values both distributed: every step of the proof by chance, brackets of known optima, menus by brute force."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
import scipy.optimize
from support import one_buyer as market
from support.one_buyer import plane_of

from optmarket.arrays import FloatArray
from optmarket.errors import InstanceError, ModelError
from optmarket.lp import highs
from optmarket.models.selling_information.continuum.plane_demand import (
    best_posted_price,
    demand_on_plane,
    enclosed_revenue,
    upper_envelope,
)
from optmarket.models.selling_information.continuum.plane_relaxation import Relaxation, RevenueSum, nearest_pairs, relaxed_program
from optmarket.models.selling_information.continuum.plane_types import Plane
from optmarket.models.selling_information.continuum.revenue_majorant import RevenueMajorant
from optmarket.options import Options, Status
from optmarket.rationals import floats

UNIFORM = {"dist": "uniform"}
HUMPS = {"mixture": [{"weight": "1/2", "dist": "beta", "a": a, "b": 30} for a in (8, 60)]}
NARROW = {"dist": "uniform", "loc": 1, "scale": "1/1000000"}
PEAK = {"dist": "norm", "loc": "1/2", "scale": "1/10000", "truncate": [0, 1]}
TWO_VALUES = {"mixture": [{"weight": "1/2", "dist": "uniform", "loc": low, "scale": "1/5"} for low in ("1/5", "4/5")]}
STEPS_OF_VALUES: list[dict[str, str]] = [
    {"from": "0", "to": "3/10", "height": "5/2"},
    {"from": "1/2", "to": "3/4", "height": "1"},
]
STEPS = {"density": STEPS_OF_VALUES}
TABLE = {"cdf": [[0, 0], ["1/10", "1/2"], ["1/5", "1/2"], ["3/10", "3/5"], [2, 1]]}
GAP = {"density": [{"from": 0, "to": "1/4", "height": 2}, {"from": "3/4", "to": 1, "height": 2}]}
VALUES: dict[str, Any] = {
    "uniform": UNIFORM,
    "above 0.45": {"dist": "uniform", "loc": "9/20", "scale": "11/20"},
    "two": TWO_VALUES,
    "steps": STEPS,
    "table": TABLE,
    "ends of no mass": {"cdf": [[-1, 0], ["1/10", 0], ["1/5", "1/2"], ["3/10", 1], [2, 1]]},
    "narrow": NARROW,
    "as good as an atom": {"dist": "uniform", "loc": 1, "scale": "1/1000000000000"},
    "infinite at both ends": {"dist": "beta", "a": "1/5", "b": "7/10"},
    "far from 0": {"dist": "beta", "a": 3, "b": 2, "loc": 5},
    "peak": PEAK,
    "peak and tail": {"mixture": [{"weight": "1/2", **PEAK}, {"weight": "1/2", "dist": "expon"}]},
    "exponential": {"dist": "expon"},
    "lognormal": {"dist": "lognorm", "s": 1},
    "heavy": {"dist": "pareto", "b": "6/5"},
    "small": {"dist": "uniform", "loc": "1/10000", "scale": "1/10000"},
    "large": {"dist": "uniform", "loc": 1000000, "scale": 1000000},
}


def params(**data: Any) -> market.Params:
    return market.Params.model_validate(data)


def plane(belief: Any, value: Any) -> Plane:
    return plane_of(params(belief=belief, value=value))


@cache
def solved(name: str, gap: float = 1e-5) -> market.Found:
    belief, value = {
        "E": (UNIFORM, UNIFORM),
        "F 0.45": (HUMPS, VALUES["above 0.45"]),
        "F 0.8": (HUMPS, {"dist": "uniform", "loc": "4/5", "scale": "1/5"}),
        "two": (HUMPS, TWO_VALUES),
    }[name]
    return market.solve(params(belief=belief, value=value), Options(gap=gap))


def bracket(answer: market.Found) -> tuple[float, float]:
    assert answer.certificate is not None
    lower, upper = answer.certificate.lower, answer.certificate.upper
    assert lower is not None and upper is not None
    return lower, upper


def menu_of(answer: market.Found) -> tuple[FloatArray, FloatArray]:
    items = answer.mechanism["items"]
    return np.array([item["experiment"] for item in items], dtype=float), np.array([item["price"] for item in items], dtype=float)


# The majorant ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VALUES)
def test_the_majorant_is_nowhere_below_revenue_at_one_price(name: str) -> None:
    known = plane(UNIFORM, VALUES[name])
    bend = RevenueMajorant.of(known)
    assert np.all(np.diff(bend.value) >= 0) and bend.value[0] > 0
    # from the far end, where it stays at the tail; to the rounding that every bound is raised by
    rounding = float(1e-12 * np.abs(bend.rise) @ bend.value)
    slope = np.append(-np.cumsum(bend.rise[::-1])[::-1], 0.0)
    level = bend.tail - np.append(np.cumsum((slope[1:-1] * np.diff(bend.value))[::-1])[::-1], 0.0)
    assert level[0] - slope[0] * bend.value[0] == pytest.approx(0, abs=rounding)
    assert slope[0] >= -rounding

    rng = np.random.default_rng(7)
    low, high = floats(known.ends)
    v = np.concatenate(
        [rng.uniform(0, 1.01 * high, 20_000), rng.uniform(low, high, 20_000), bend.value, np.nextafter(bend.value, 0)]
    )
    v = np.append(v, np.geomspace(1e-9 * high, high, 20_000))
    place = np.searchsorted(bend.value, v, side="right")
    at = np.minimum(place, len(level) - 1)
    majorant = level[at] + slope[place] * (v - bend.value[at])
    assert np.min(majorant - v * known.above(v)) >= -rounding


# The sum ---------------------------------------------------------------------------------------------------------------


def random_menu(rng: np.random.Generator, items: int, mean: float) -> tuple[FloatArray, FloatArray]:
    """Items that give state chances p, q when it is true, useless ones among them, at prices that some would pay."""
    p, q = rng.uniform(0.3, 1, (2, items))
    price = mean * rng.uniform(0, 1, items) * np.maximum(p + q - 1, 0.05) / 2
    return np.stack([np.stack([p, 1 - p], axis=1), np.stack([1 - q, q], axis=1)], axis=1), price


def in_all(point: FloatArray, experiment: FloatArray, price: FloatArray) -> FloatArray:
    """What buyers at v (theta, 1 - theta) get from the best of a menu."""
    after = np.maximum(point[:, :1, None] * experiment[:, 0], point[:, 1:, None] * experiment[:, 1]).sum(axis=2)
    return np.asarray(np.maximum(point.max(axis=1), (after - price).max(axis=1)))


def total(sum_: RevenueSum, got: Any) -> float:
    return float(sum_.gain @ got(sum_.corner) - sum_.loss @ got(sum_.mean) + sum_.rest)


@pytest.mark.parametrize(
    ("belief", "value"),
    [
        (UNIFORM, UNIFORM),
        (HUMPS, TWO_VALUES),
        (GAP, TABLE),
        (UNIFORM, {"dist": "expon"}),
        (HUMPS, {"dist": "pareto", "b": "6/5"}),
    ],
)
def test_the_sum_is_at_least_what_any_menu_earns_on_any_pieces(belief: Any, value: Any) -> None:
    known = plane(belief, value)
    unit = known.mean
    relaxation = Relaxation(known, unit)
    rng = np.random.default_rng(5)
    pieces, sums = relaxation._first(), []
    for _ in range(4):
        sums.append(relaxation._weigh(pieces))
        pieces, _ = relaxation._split(pieces, rng.exponential(size=len(pieces)), 10.0 ** rng.uniform(-2, 2, (2, len(pieces))))
    for items in (1, 1, 2, 5, 12):
        experiment, price = random_menu(rng, items, known.mean)
        least, _ = enclosed_revenue(known, experiment, price, 1e-5 * unit)
        for found in sums:
            assert unit * total(found, partial(in_all, experiment=experiment, price=price / unit)) + relaxation.tail >= least


@pytest.mark.slow
def test_no_round_is_below_what_a_menu_earns() -> None:
    known = plane(HUMPS, TWO_VALUES)
    experiment, price = menu_of(solved("two", 5e-5))
    least, _ = enclosed_revenue(known, experiment, price, 1e-5)
    for count, bound in enumerate(Relaxation(known, 1.0).bounds(Options())):
        assert bound.upper >= least
        if count == 4:
            break


def test_lazy_constraints_and_the_full_program_have_one_optimum() -> None:
    relaxation = Relaxation(plane(HUMPS, TWO_VALUES), 1.0)
    found = relaxation._weigh(relaxation._first())
    program, _ = relaxed_program(found, nearest_pairs(found))
    demanded = highs.solve(program)
    listed = program.full()
    rows = listed.rows
    kinds = list(rows.values())
    matrix = np.zeros((sum(map(len, kinds)), listed.columns))
    at, lower = 0, []
    for block in kinds:
        for k in range(len(block)):
            span = slice(block.start[k], block.start[k + 1])
            matrix[at, block.index[span]] = floats(block.value[span])
            at += 1
        lower.append(floats(block.lower))
    bounds = list(zip(floats(listed.lower), floats(listed.upper), strict=True))
    second = scipy.optimize.linprog(-floats(listed.objective), -matrix, -np.concatenate(lower), bounds=bounds, method="highs-ipm")
    assert second.status == 0 and second.fun is not None
    assert demanded.status is Status.OPTIMAL
    assert demanded.bound == pytest.approx(-second.fun, abs=1e-7)
    assert highs.solve(listed).bound == pytest.approx(demanded.bound, abs=1e-8)


# Menus -----------------------------------------------------------------------------------------------------------------


def brute(known: Plane, experiment: FloatArray, price: FloatArray, size: int = 500) -> tuple[float, float, FloatArray]:
    """Revenue, surplus and shares on a product grid of middle quantiles."""
    levels = [Fraction(2 * k + 1, 2 * size) for k in range(size)]
    theta, value = floats(known.belief.quantiles(levels)), floats(known.value.quantiles(levels))
    after = np.maximum(theta[:, None, None] * experiment[:, 0], (1 - theta)[:, None, None] * experiment[:, 1]).sum(axis=2)
    worth = after - np.maximum(theta, 1 - theta)[:, None]
    kept = value[:, None, None] * np.where(worth > 1e-12, worth, 0.0) - price
    kept = np.concatenate([np.zeros((size, size, 1)), kept], axis=2)  # what is worth nothing is not bought
    pick = kept.argmax(axis=2)
    share = np.bincount(pick.ravel(), minlength=len(price) + 1)[1:] / size**2
    return float(np.append(0.0, price)[pick].mean()), float(kept.max(axis=2).mean()), share


PLANES: list[tuple[Any, Any]] = [
    (UNIFORM, UNIFORM),
    (HUMPS, VALUES["above 0.45"]),
    ({"dist": "uniform", "loc": "1/10", "scale": "1/5"}, STEPS),
    (GAP, TABLE),
    ({"mixture": [{"weight": "1/2", "dist": "uniform", "loc": at, "scale": "1/100000"} for at in ("3/10", "7/10")]}, UNIFORM),
    (UNIFORM, {"dist": "expon"}),
]


@pytest.mark.parametrize(("belief", "value"), PLANES)
@pytest.mark.parametrize("signals", [1, 3])
def test_a_menu_earns_what_buyers_one_by_one_pay(belief: Any, value: Any, signals: int) -> None:
    known = plane(belief, value)
    rng = np.random.default_rng(signals)
    experiment = rng.dirichlet(np.full(signals, 0.4), size=(5, 2))
    price = np.maximum(experiment[:, 0], experiment[:, 1]).sum(axis=1) - 1
    price = known.mean / 2 * np.maximum(price, 0.02) * rng.uniform(0.3, 1.5, 5)
    price[3], price[4] = 0.0, 100.0
    sold = demand_on_plane(known, experiment, price)
    revenue, surplus, share = brute(known, experiment, price)
    # a line of indifference crosses about one row of the grid in each column
    assert sold.revenue == pytest.approx(revenue, abs=1e-4 * known.mean)
    assert sold.surplus == pytest.approx(surplus, abs=3e-4 * known.mean)
    if signals > 1:
        np.testing.assert_allclose(sold.share, share, atol=3e-3)
    lower, upper = enclosed_revenue(known, experiment, price, 1e-5)
    assert lower - 1e-12 <= sold.revenue <= upper + 1e-12
    assert upper - lower <= 1.1e-5


def test_a_menu_may_pay_buyers() -> None:
    known = plane(HUMPS, UNIFORM)
    experiment, _ = random_menu(np.random.default_rng(0), 3, 1.0)
    price = np.array([-0.1, 0.02, 0.05])
    sold = demand_on_plane(known, experiment, price)
    revenue, surplus, share = brute(known, experiment, price)
    assert sold.revenue == pytest.approx(revenue, abs=2e-4)
    assert sold.surplus == pytest.approx(surplus, abs=2e-4)
    np.testing.assert_allclose(sold.share, share, atol=2e-3)
    assert sold.share.sum() == pytest.approx(1)


def test_full_information_under_uniform_beliefs_and_values() -> None:
    known, price = plane(UNIFORM, UNIFORM), 0.1
    sold = demand_on_plane(known, np.eye(2)[None], np.array([price]))
    assert sold.revenue == pytest.approx(price * (1 - 2 * price + 2 * price * math.log(2 * price)), abs=1e-11)
    # buyers of belief m or 1 - m keep (m - price)^2 / (2 m)
    surplus = 2 * (
        1 / 16 - price / 2 + price**2 / 2 * math.log(1 / 2) - (price**2 / 4 - price**2 + price**2 / 2 * math.log(price))
    )
    assert sold.surplus == pytest.approx(surplus, abs=1e-9)
    revenue, best = best_posted_price(known)
    assert revenue == pytest.approx(0.050908047198634, abs=1e-12)
    assert best == pytest.approx(0.14233406852, abs=1e-5)


@pytest.mark.parametrize("value", [PEAK, NARROW, VALUES["peak and tail"]])
def test_values_that_hardly_differ_are_told_apart_from_one_belief_to_the_next(value: Any) -> None:
    known = plane(UNIFORM, value)
    single, price = best_posted_price(known)
    lower, upper = enclosed_revenue(known, np.eye(2)[None], np.array([price]), 1e-7)
    assert lower - 1e-6 <= single <= upper + 1e-6
    assert known.mean == pytest.approx(float(known.excess(np.zeros(1))[0]))


def test_items_as_good_as_each_other_end_no_menu() -> None:
    """Items on one line are all bought by nobody or somebody as rounding has it."""
    known = plane(UNIFORM, UNIFORM)
    share = np.linspace(0, 1, 30)
    p = 0.5 + share / 2
    experiment = np.stack([np.stack([p, 1 - p], axis=1), np.tile([0.0, 1.0], (30, 1))], axis=1)
    price = 0.02 + 0.15 * share
    two = [0, -1]
    few, many = demand_on_plane(known, experiment[two], price[two]), demand_on_plane(known, experiment, price)
    assert many.revenue == pytest.approx(few.revenue, abs=1e-7)
    assert many.surplus == pytest.approx(few.surplus, abs=1e-7)
    lower, upper = enclosed_revenue(known, experiment, price, 1e-4)
    assert lower <= few.revenue <= upper


def test_who_buys_what_ascends_in_value() -> None:
    experiment, price = random_menu(np.random.default_rng(2), 6, 1.0)
    nothing = np.array([[[1.0, 0.0], [1.0, 0.0]]])
    order = np.argsort(price)
    found = upper_envelope(np.linspace(0, 1, 101), np.concatenate([nothing, experiment[order]]), np.append(0.0, price[order]))
    for low, high, sold in zip(found.low, found.high, found.sold, strict=True):
        np.testing.assert_allclose(low[sold][1:], high[sold][:-1])


# Optima ----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_setting_e() -> None:
    lower, upper = bracket(solved("E", 1e-6))
    assert lower <= 0.050908047198634 + 1e-9
    assert upper >= 0.050908047198634
    assert upper - lower <= 1e-6
    assert len(solved("E", 1e-6).mechanism["items"]) == 1


@pytest.mark.slow
def test_a_partial_item_pays_where_values_differ_little() -> None:
    lower, upper = bracket(solved("F 0.8"))
    assert lower >= 0.147967 and 0.1479686 <= upper <= lower + 1e-5
    lower, upper = bracket(solved("F 0.45"))
    assert 0.1052368 < lower <= upper <= lower + 1e-5
    assert solved("F 0.45").quantities["full-information-revenue"] == pytest.approx(0.1052368, abs=1e-6)


@pytest.mark.slow
def test_items_may_be_wrong_in_both_states() -> None:
    answer = solved("two", 5e-5)
    lower, upper = bracket(answer)
    assert lower >= 0.0786 and 0.0786426 <= upper <= lower + 5e-5
    experiment, _ = menu_of(answer)
    assert len(experiment) == 4
    assert sum(max(item[0, 0], item[1, 1]) < 0.95 for item in experiment) == 2


@pytest.mark.parametrize(("belief", "best"), [(UNIFORM, 1 / 8), pytest.param(HUMPS, 0.1673234, marks=pytest.mark.slow)])
def test_values_near_1_come_near_the_optimum_of_value_1(belief: Any, best: float) -> None:
    width = 0.1
    answer = market.solve(params(belief=belief, value={"dist": "uniform", "loc": 1, "scale": "1/10"}), Options(gap=3e-2))
    lower, upper = bracket(answer)
    # the menu for value 1 serves whoever it served, and no value exceeds 1.1
    assert best <= upper and lower <= best * (1 + width)


@pytest.mark.slow
def test_scale_and_mirror_change_nothing_else() -> None:
    one = market.solve(params(belief={"dist": "beta", "a": 2, "b": 5}, value=STEPS), Options(gap=3e-2))
    steps = [
        {"from": Fraction(step["from"]) * 8, "to": Fraction(step["to"]) * 8, "height": Fraction(step["height"]) / 8}
        for step in STEPS_OF_VALUES
    ]
    scaled = market.solve(params(belief={"dist": "beta", "a": 2, "b": 5}, value={"density": steps}), Options(gap=3e-2))
    assert bracket(scaled) == pytest.approx([8 * end for end in bracket(one)], rel=1e-6)
    known, mirrored = plane({"dist": "beta", "a": 2, "b": 5}, STEPS), plane({"dist": "beta", "a": 5, "b": 2}, STEPS)
    experiment, price = random_menu(np.random.default_rng(1), 4, known.mean)
    there, back = demand_on_plane(known, experiment, price), demand_on_plane(mirrored, experiment[:, ::-1], price)
    assert there.revenue == pytest.approx(back.revenue, abs=1e-10)
    assert there.surplus == pytest.approx(back.surplus, abs=1e-10)
    np.testing.assert_allclose(there.share, back.share, atol=1e-9)


def test_a_dirichlet_distribution_of_two_states_is_a_beta_distribution() -> None:
    brackets = [
        bracket(market.solve(params(belief=belief, value=UNIFORM), Options(gap=3e-2)))
        for belief in ({"dirichlet": [2, 3]}, {"dist": "beta", "a": 2, "b": 3})
    ]
    assert brackets[0] == pytest.approx(brackets[1], rel=1e-9)


# Ways to end, and errors -----------------------------------------------------------------------------------------------


def test_no_time_leaves_a_bracket() -> None:
    answer = market.solve(params(belief=UNIFORM, value=UNIFORM), Options(time_limit=0))
    lower, upper = bracket(answer)
    assert answer.status is Status.TIME_LIMIT
    assert 0.0509 <= lower <= 0.050908048 <= upper


def test_an_interrupted_solve_keeps_its_bounds() -> None:
    def stop(progress: Any) -> None:
        if progress.round == 3:
            raise KeyboardInterrupt

    answer = market.solve(params(belief=HUMPS, value=TWO_VALUES), Options(progress=stop))
    lower, upper = bracket(answer)
    assert answer.status is Status.INTERRUPTED
    assert 0.0693 <= lower <= 0.0786434 and 0.0786426 <= upper < 0.1
    assert answer.quantities["revenue"] == pytest.approx(lower, abs=1e-5)


@pytest.mark.parametrize(
    ("data", "field", "said"),
    [
        ({"payoff": [[1, 0], [0, 2]]}, "params.payoff", "matching"),
        ({"value": {"dist": "uniform", "loc": -1, "scale": 2}}, "params.value", "at least 0"),
        ({"value": {"dist": "norm"}}, "params.value", "at least 0"),
        ({"value": {"dist": "pareto", "b": "9/10"}}, "params.value", "no mean"),
        ({"max_items": 2}, "params.max_items", "grid"),
    ],
)
def test_what_is_no_plane_is_refused(data: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(InstanceError, match=said) as caught:
        params(**{"belief": UNIFORM, "value": UNIFORM, **data})
    assert caught.value.field == field


@pytest.mark.parametrize("options", [{"exact": True}, {"method": "cuts"}, {"method": "envelope"}])
def test_what_a_plane_has_no_method_for_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises((InstanceError, ModelError)):
        market.solve(params(belief=UNIFORM, value=UNIFORM), Options(**options))


def test_buyers_of_a_plane_are_assigned_nothing() -> None:
    mechanism = {"items": [{"experiment": [[1, 0], [0, 1]], "price": 0.1}], "assignment": [0]}
    with pytest.raises(InstanceError, match="choose"):
        market.audit(params(belief=UNIFORM, value=UNIFORM), mechanism)
