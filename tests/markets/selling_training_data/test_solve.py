"""Training data: closed forms, a program of its own in scipy, brute force on lines, and what must not change the optimum."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from support.command import Done

import optmarket as om
from optmarket.distributions.maximize import Product, largest
from optmarket.distributions.specification import Distribution
from optmarket.errors import InstanceError, ModelError
from optmarket.lp import exact_arithmetic, highs
from optmarket.lp.float_bound import Proof
from optmarket.models import selling_training_data as model
from optmarket.models.selling_training_data.closed_forms import TwoTypes, posted_price, two_tiers, two_types
from optmarket.models.selling_training_data.line import NOTHING, serve
from optmarket.models.selling_training_data.lp import build
from optmarket.models.selling_training_data.outcomes import as_experiment, on_line, shares_left
from optmarket.models.selling_training_data.params import Line, Triangle
from optmarket.solution import Options, Status

F = Fraction
HALF = F(1, 2)
Point = tuple[Fraction, Fraction]
quick = settings(max_examples=25, deadline=None, derandomize=True)


def of_types(pairs: list[Point], weights: list[Fraction], **more: Any) -> model.Params:
    types = [{"weight": weight, "alpha": a, "beta": b} for weight, (a, b) in zip(weights, pairs, strict=True)]
    return model.Params.model_validate({"types": types, **more})


def of_line(k: Any, m: Any, alpha: dict[str, Any], **more: Any) -> model.Params:
    return model.Params.model_validate({"line": {"k": k, "m": m}, "alpha": alpha, **more})


def exact_revenue(params: model.Params, method: str = "auto") -> Fraction:
    answer = model.solve(params, Options(method=method, exact=True))
    assert answer.status is Status.OPTIMAL and answer.exact is not None
    return answer.exact


def own_program(pairs: list[Point], weights: list[Fraction]) -> float:
    """Every row of the reduced form written out, for scipy: minimise what buyers lose, with prices free."""
    n = len(pairs)
    rows, most = [], []

    def cost(r: int, q: int, what: str) -> np.ndarray:
        row = np.zeros(3 * n)
        a, b = (float(x) for x in pairs[r])
        row[3 * q : 3 * q + 3] = {"follow": [a, b, 1], "first": [0.5, 0, 1], "second": [0, 0.5, 1]}[what]
        return row

    for r in range(n):
        rows.append(cost(r, r, "follow"))
        most.append(float(sum(pairs[r])))
        for q, what in itertools.product(range(n), ("follow", "first", "second")):
            rows.append(cost(r, r, "follow") - cost(r, q, what))
            most.append(0.0)
    objective = np.zeros(3 * n)
    objective[2::3] = [-float(weight) for weight in weights]
    found = linprog(objective, A_ub=np.array(rows), b_ub=most, bounds=[(0, 1), (0, 1), (None, 1)] * n)
    assert found.status == 0
    return -float(found.fun)


def point(most: int) -> st.SearchStrategy[Point]:
    """Errors in steps of 1/(2 most), the edges alpha = 0, beta = 0 and alpha + beta = 1/2 included."""
    return st.integers(0, most).flatmap(
        lambda total: st.integers(0, total).map(lambda a: (F(a, 2 * most), F(total - a, 2 * most)))
    )


@st.composite
def markets(draw: st.DrawFn, most: int = 6) -> tuple[list[Point], list[Fraction]]:
    pairs = draw(st.lists(point(draw(st.sampled_from([3, 8, 30]))), min_size=2, max_size=most))
    if draw(st.booleans()):
        pairs = [*pairs[:-1], pairs[0]]
    counts = draw(st.lists(st.integers(0, 6), min_size=len(pairs), max_size=len(pairs)).filter(any))
    return pairs, [F(count, sum(counts)) for count in counts]


# One program and another ----------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None, derandomize=True)
@given(markets(), st.sampled_from(["cuts", "full"]))
def test_reduced_is_general_is_a_program_of_its_own(market: tuple[list[Point], list[Fraction]], method: str) -> None:
    pairs, weights = market
    reduced = exact_revenue(of_types(pairs, weights, formulation="reduced"), method)
    assert reduced == exact_revenue(of_types(pairs, weights, formulation="general"), method)
    assert float(reduced) == pytest.approx(own_program(pairs, weights), abs=1e-9)


def test_the_two_forms_are_different_programs() -> None:
    pairs, weights = [(F(1, 5), F(1, 5)), (F(1, 20), F(3, 20)), (F(1, 8), F(1, 9))], [F(1, 3)] * 3
    reduced, general = (model.program(of_types(pairs, weights, formulation=which)) for which in ("reduced", "general"))
    assert reduced is not None and general is not None and reduced.columns < general.columns
    assert model.solve(of_types(pairs, weights)).run["columns"] == reduced.columns
    assert model.solve(of_types(pairs, weights, formulation="general")).run["columns"] == general.columns


@quick
@given(markets())
def test_the_certificate_and_the_claims_hold_the_truth(market: tuple[list[Point], list[Fraction]]) -> None:
    params = of_types(*market)
    truth = exact_revenue(params)
    answer = model.solve(params)
    assert answer.status is Status.OPTIMAL and answer.certificate.gap <= 1e-9
    assert F(answer.certificate.lower) <= truth <= F(answer.certificate.upper)
    for claim in model.theory(params):
        stated = F(claim.value)
        assert {"eq": stated == truth, "lower": stated <= truth, "upper": stated >= truth}[claim.relation], claim


@quick
@given(markets())
def test_the_audit_of_an_answer_is_its_value(market: tuple[list[Point], list[Fraction]]) -> None:
    params = of_types(*market)
    for exact in (False, True):
        answer = model.solve(params, Options(exact=exact))
        audit = model.audit(params, answer.mechanism)
        assert audit.good and audit.quantities["revenue"] == pytest.approx(answer.quantities["revenue"], abs=1e-12)
        assert audit.quantities["revenue"] == pytest.approx(answer.certificate.upper, abs=1e-9)
        menu = model.audit(params, {"items": answer.mechanism["items"]})
        assert menu.quantities["revenue"] >= answer.certificate.lower - 1e-12


def test_wrong_mechanisms_are_found_out() -> None:
    params = of_types([(F(1, 5), F(1, 5)), (F(1, 20), F(3, 20))], [HALF, HALF])
    full = {"experiment": as_experiment(np.zeros((1, 2)))[0].tolist(), "price": 0.3}
    none = {"experiment": as_experiment(np.ones((1, 2)))[0].tolist(), "price": 0.1}
    asked_too_much = model.audit(params, {"items": [full], "assignment": [0, 0]})
    assert asked_too_much.violations["individual-rationality"] == pytest.approx(0.1) and not asked_too_much.good
    envy = model.audit(params, {"items": [full, {**full, "price": 0.1}], "assignment": [0, 1]})
    assert envy.violations["misreport"] == pytest.approx(0.2) and not envy.good
    useless = model.audit(params, {"items": [none], "assignment": [0, None]})
    assert useless.violations["individual-rationality"] == pytest.approx(0.1)
    dropping = as_experiment(np.array([[1.0, 0.0]]))[0].tolist()  # obeying errs with alpha, naming state 2 at silence never
    disobeyed = model.audit(params, {"items": [{"experiment": dropping, "price": 0}], "assignment": [0, 0]})
    assert disobeyed.violations["disobey"] == pytest.approx(0.2)


# What must not change the optimum -------------------------------------------------------------------------------------


@quick
@given(markets(), st.data())
def test_invariance(market: tuple[list[Point], list[Fraction]], data: st.DataObject) -> None:
    pairs, weights = market
    truth = exact_revenue(of_types(pairs, weights))
    assert exact_revenue(of_types([(b, a) for a, b in pairs], weights)) == truth
    order = data.draw(st.permutations(range(len(pairs))))
    assert exact_revenue(of_types([pairs[r] for r in order], [weights[r] for r in order])) == truth
    other = data.draw(point(10))
    assert exact_revenue(of_types([*pairs, other], [*weights, F(0)])) == truth
    split = [weights[0] / 3, *weights[1:], weights[0] * 2 / 3]
    assert exact_revenue(of_types([*pairs, pairs[0]], split)) == truth


@quick
@given(markets(), st.integers(1, 4))
def test_buyers_without_errors_pay_nothing_and_scale_the_rest(market: tuple[list[Point], list[Fraction]], part: int) -> None:
    pairs, weights = market
    share = F(part, 5)
    diluted = of_types([*pairs, (F(0), F(0))], [*(share * weight for weight in weights), 1 - share])
    assert exact_revenue(diluted) == share * exact_revenue(of_types(pairs, weights))


BLOCKS = ["individual rationality", "misreport", "ignoring data, 1", "ignoring data, 2", "following is no dearer"]


def revenue_without(pairs: list[Point], weights: list[Fraction], block: str | None = None) -> Fraction:
    """The exact optimum of the reduced program without some of its rows."""
    kept = [(weight, pair) for weight, pair in zip(weights, pairs, strict=True) if weight]
    program = build(kept, exact=True).listed()
    if block is not None and len(kept) > 1:
        del program.rows[block]
    proof = exact_arithmetic.solve_exactly(program, highs.solve(program))
    assert isinstance(proof, Proof)
    return proof.value


@quick
@given(markets())
def test_more_to_withstand_never_earns_more(market: tuple[list[Point], list[Fraction]]) -> None:
    everything = revenue_without(*market)
    assert everything == exact_revenue(of_types(*market))
    assert all(revenue_without(*market, block) >= everything for block in BLOCKS)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_of_rows_matters(block: str) -> None:
    # three types on either side of the diagonal: none of the three incentives is idle
    pairs = [(F(1, 4), F(3, 20)), (F(1, 50), F(9, 50)), (F(4, 25), F(1, 100))]
    assert revenue_without(pairs, [F(1, 3)] * 3, block) > revenue_without(pairs, [F(1, 3)] * 3)


def worth(pair: Point, left: Point) -> Fraction:
    """An item's worth by the formula of the theory."""
    (a, b), (first, second) = pair, left
    return a + b - min(a * first + b * second, first / 2, second / 2)


@quick
@given(point(20), st.integers(0, 10**6))
def test_worth_is_the_formula_and_garbling_lowers_it(pair: Point, seed: int) -> None:
    rng = np.random.default_rng(seed)
    left = (F(int(rng.integers(0, 11)), 10), F(int(rng.integers(0, 11)), 10))
    params = of_types([pair], [F(1)])
    experiment = np.array(as_experiment(np.array([[float(x) for x in left]]))[0])

    def surplus(rows: Any) -> float:
        item = {"experiment": np.asarray(rows).tolist(), "price": 0}
        return model.audit(params, {"items": [item]}).quantities["surplus"]

    noise = rng.dirichlet(np.ones(3), size=4)
    assert surplus(experiment) == pytest.approx(float(worth(pair, left)), abs=1e-13)
    assert surplus(experiment @ (noise / noise.sum(axis=1, keepdims=True))) <= float(worth(pair, left)) + 1e-12


# Two types ------------------------------------------------------------------------------------------------------------


def of_two(high: Point, low: Point, weight: Fraction) -> Fraction:
    return exact_revenue(of_types([high, low], [weight, 1 - weight]))


def holds(found: TwoTypes, high: Point, low: Point, weight: Fraction) -> None:
    """The menu itself: worth what it costs, chosen by whom it is for, and earning what is said."""
    if sum(low) > sum(high):
        high, low, weight = low, high, 1 - weight
    cheap, dear = found.prices
    assert weight * dear + (1 - weight) * cheap == found.revenue
    assert worth(low, found.left) >= cheap >= 0
    if weight:
        assert sum(high) - dear >= max(F(0), worth(high, found.left) - cheap)
    if weight < 1:
        assert worth(low, found.left) - cheap >= sum(low) - dear


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.data(), st.sampled_from([3, 6, 20, 25]), st.integers(0, 12))
def test_two_types_exactly(data: st.DataObject, most: int, twelfths: int) -> None:
    high, low, weight = data.draw(point(most)), data.draw(point(most)), F(twelfths, 12)
    found = two_types(high, low, weight)
    assert found.revenue == of_two(high, low, weight)
    holds(found, high, low, weight)
    assert two_types(low, high, 1 - weight).revenue == found.revenue
    mirrored = two_types(high[::-1], low[::-1], weight)
    assert mirrored.revenue == found.revenue


LIMITS: list[tuple[Point, Point]] = [
    ((F(0), HALF), (F(1, 10), F(1, 5))),  # b = 1/2
    ((HALF, F(0)), (F(1, 5), F(1, 10))),
    ((F(0), HALF), (F(0), F(1, 2))),
    ((F(1, 5), F(1, 5)), (F(1, 5), F(1, 5))),
    ((F(1, 5), F(1, 5)), (F(0), F(0))),
    ((F(0), F(0)), (F(0), F(0))),
    ((F(1, 5), F(1, 5)), (F(1, 10), F(3, 10))),  # as much errors in all
    ((F(1, 4), F(1, 4)), (F(1, 8), F(3, 8))),  # D2 = k D1
    ((F(1, 4), F(1, 4)), (F(3, 8), F(1, 8))),
    ((F(0), F(2, 5)), (F(1, 5), F(0))),
    ((F(0), F(1, 5)), (F(0), F(1, 10))),
]


@pytest.mark.parametrize(("high", "low"), LIMITS)
@pytest.mark.parametrize("weight", [F(0), F(1, 7), HALF, F(9, 10), F(1)])
def test_two_types_in_the_limits(high: Point, low: Point, weight: Fraction) -> None:
    found = two_types(high, low, weight)
    assert found.revenue == of_two(high, low, weight)
    holds(found, high, low, weight)


FIFTHS = (F(1, 5), F(1, 5))
KNOWN = [
    (FIFTHS, (F(9, 50), F(9, 50)), F(9, 25), "I"),
    (FIFTHS, (F(1, 20), F(1, 20)), F(1, 5), "II"),
    (FIFTHS, (F(1, 20), F(3, 20)), F(13, 60), "III"),
    (FIFTHS, (F(3, 20), F(1, 20)), F(13, 60), "III mirrored"),
    ((F(1, 4), F(3, 20)), (F(1, 50), F(9, 50)), F(167, 730), "IV"),
    ((F(3, 20), F(1, 4)), (F(9, 50), F(1, 50)), F(167, 730), "IV mirrored"),
    (FIFTHS, (F(9, 100), F(9, 50)), F(27, 100), "I"),
]


@pytest.mark.parametrize(("high", "low", "revenue", "region"), KNOWN)
def test_known_pairs(high: Point, low: Point, revenue: Fraction, region: str) -> None:
    found = two_types(high, low)
    assert (found.revenue, found.region) == (revenue, region)
    params = of_types([high, low], [HALF, HALF])
    assert exact_revenue(params) == exact_revenue(params.model_copy(update={"formulation": "general"})) == revenue
    claim = model.theory(params)[0]
    assert (claim.relation, claim.value, claim.source) == ("eq", str(revenue), f"two types, region {region}")


def printed(high: Point, low: Point) -> Fraction:
    """The largest of the policies as the mathematics states them, for equal weights, where none divides by zero."""
    (a, b), (x, y) = high, low
    values = [x + y, (a + b) / 2]
    for (h, k), (u, v) in (((a, b), (x, y)), ((b, a), (y, x))):
        if v <= k and u <= h:
            values.append((h + k + (2 * v - k) * (1 - 2 * h / (1 - 2 * k))) / 2)
        if v > k and u < h:
            d1, d2, ratio = v - k, h - u, h / (HALF - k)
            values.append(h + k - ratio * (d2 - d1) / (d2 - ratio * d1) / 4)
    return max(values)


@pytest.mark.parametrize("high", [FIFTHS, (F(1, 4), F(3, 20)), (F(3, 10), F(1, 10))])
def test_the_map_is_the_pairs_and_the_printed_policies(high: Point) -> None:
    axis = [F(k, 50) for k in range(26)]
    grid = [(x, y) for x in axis for y in axis if x + y <= sum(high)]
    x, y = (np.array(side, dtype=object) for side in zip(*grid, strict=True))
    exactly = model.region_map(high, x, y)
    roughly = model.region_map(high, x.astype(float), y.astype(float))
    assert list(exactly.revenue) == [printed(high, low) for low in grid]
    for k in range(0, len(grid), 7):
        one = two_types(high, grid[k])
        assert (one.revenue, one.region) == (exactly.revenue[k], model.REGIONS[exactly.region[k]])
        assert one.left == (exactly.left[0][k], exactly.left[1][k]) and one.prices == (exactly.prices[0][k], exactly.prices[1][k])
    np.testing.assert_allclose(roughly.revenue, exactly.revenue.astype(float), atol=1e-13)
    # a tie may fall either way in floats, and then only on a boundary
    assert np.mean(roughly.region != exactly.region) < 0.02
    assert set(exactly.region) >= {0, 1, 2, 3}


def test_the_map_marks_what_is_no_low_type() -> None:
    x, y = np.array([0.1, 0.3, 0.2, 0.4]), np.array([0.1, 0.3, 0.21, 0.0])
    assert list(model.region_map((0.2, 0.2), x, y).region >= 0) == [True, False, False, True]


# Lines ----------------------------------------------------------------------------------------------------------------

UNIFORM = {"dist": "uniform", "scale": "1/5"}
GAPPED = {"density": [{"from": 0, "to": "1/50", "height": 25}, {"from": "3/20", "to": "1/5", "height": 10}]}
ON_FIFTH: dict[str, dict[str, Any]] = {  # with k = 0 and m = 3/10 alpha goes to 1/5
    "uniform": UNIFORM,
    "beta": {"dist": "beta", "a": 2, "b": 4, "scale": "1/5"},
    "arcsine": {"dist": "beta", "a": "1/2", "b": "1/2", "scale": "1/5"},
    "near the end": {"dist": "beta", "a": 500, "b": 2, "scale": "1/5"},
    "near zero": {"dist": "beta", "a": 2, "b": 20000, "scale": "1/5"},
    "thin": {"dist": "beta", "a": 2, "b": 4, "scale": "1/5", "truncate": ["1/10", "0.10000000000001"]},
    "gap": GAPPED,
    "table": {"cdf": [[0, 0], ["1/20", "1/2"], ["1/10", "1/2"], ["1/5", 1]]},
    "far apart": {
        "mixture": [
            {"weight": "1/3", "dist": "beta", "a": 2, "b": 2, "scale": "1/50"},
            {"weight": "2/3", "dist": "beta", "a": 3, "b": 3, "loc": "3/20", "scale": "1/20"},
        ]
    },
}
PLATEAU = {  # alpha (1/5 - F/2) is 1/100 from 1/20 to 1/10, and less elsewhere
    "mixture": [
        {"weight": "1/5", "dist": "pareto", "b": 1, "scale": "1/20", "truncate": ["1/20", "1/10"]},
        {"weight": "4/5", "dist": "uniform", "loc": "1/10", "scale": "1/10"},
    ]
}


@pytest.mark.parametrize("k", ["0", "1/5", "2/5", "3/5"])
def test_uniform_lines_by_hand(k: str) -> None:
    end = F(1, 5) / (1 - F(k))
    params = of_line(k, "3/10", {"dist": "uniform", "scale": end})
    for options in (Options(), Options(exact=True)):
        answer = model.solve(params, options)
        assert answer.exact == F(8, 25) and answer.status is Status.OPTIMAL
        found = answer.quantities
        expected = {"low-price": 6 / 25, "full-price": 17 / 50, "cutoff": float(end) / 5, "low-error-2-left": 1 / 5}
        expected |= {"low-error-1-left": 1 - float(F(k)) * 4 / 5, "revenue": 8 / 25, "share-served": 1.0, "first-best": 2 / 5}
        assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_a_beta_line_by_another_way() -> None:
    answer = model.solve(of_line(0, "3/10", ON_FIFTH["beta"]))
    found = [answer.quantities[name] for name in ("revenue", "low-error-2-left", "low-price", "full-price")]
    assert found == pytest.approx([0.317734, 0.140893, 0.257732, 0.328178], abs=1e-6)


def test_two_cutoffs_are_both_reported() -> None:
    # alpha (1/5 - F/2) at 1/20 with F = 0 and at 1/10 with F = 1/5: both 1/100; afterwards F = 1 at once
    law = {"cdf": [["1/20", 0], ["7/100", "1/5"], ["1/10", "1/5"], ["1/5", 1]]}
    tiers = two_tiers(Line(k=0, m="3/10"), Distribution.model_validate(law).law)
    assert tiers.cutoffs == (F(1, 20), F(1, 10)) and tiers.revenue == F(3, 10) + F(1, 100) * 5
    answer = model.solve(of_line(0, "3/10", law))
    assert answer.exact == F(7, 20) and any("cut-offs 0.05, 0.1" in text for text in answer.notes)
    for cutoff in tiers.cutoffs:
        first, second, low = (float(x) for x in tiers.low_item(cutoff))
        experiment = as_experiment(np.array([[first, second], [0, 0]]))
        price = np.array([low, float(tiers.full_price(cutoff))])
        found = serve(Line(k=0, m="3/10"), Distribution.model_validate(law).law, experiment, price, 1e-12)
        assert found.revenue == pytest.approx(7 / 20, abs=1e-12)


def test_a_tie_along_a_whole_stretch_ends() -> None:
    params = of_line(0, "3/10", PLATEAU)
    answer = model.solve(params)
    assert answer.certificate.lower <= 0.35 <= answer.certificate.upper and answer.certificate.gap < 1e-6
    assert 0.05 - 1e-9 <= answer.quantities["cutoff"] <= 0.1 + 1e-9


@pytest.mark.parametrize("name", ON_FIFTH)
def test_two_tiers_against_brute_force(name: str) -> None:
    law = Distribution.model_validate(ON_FIFTH[name]).law
    low, high = map(float, law.support)
    alpha = np.unique(
        np.concatenate([np.linspace(low, high, 200_001), [float(x) for x in law.quantiles([F(k, 999) for k in range(1, 999)])]])
    )
    for k, m in ((F(0), F(3, 10)), (F(1, 7), F(3, 10))):
        line = Line(k=k, m=m)
        tiers = two_tiers(line, law)
        below = np.asarray(law.cdf(alpha))
        brute = float(m) + (alpha * (0.5 - float(m) - below / 2)).max() / float(line.end)
        assert brute <= float(tiers.upper) + 1e-15 and float(tiers.revenue) <= float(tiers.upper)
        assert float(tiers.revenue) == pytest.approx(brute, abs=2e-6) and float(tiers.revenue) >= brute - 1e-14
        assert float(tiers.upper - tiers.revenue) < 1e-9
        single, price = posted_price(line, law)
        worths = float(m) + (1 - float(k)) * alpha
        assert float(single) == pytest.approx((worths * (1 - below)).max(), abs=2e-5)
        assert float(single) <= float(tiers.upper) and float(price) >= float(line.m)


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
        answer = model.solve(of_line(k, "3/10", data))
        values.append(answer.certificate.upper)
        assert answer.certificate.lower <= min(values) + 1e-12
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
    params = of_line(k, m, alpha)
    answer = model.solve(params)
    low, high = answer.certificate.lower, answer.certificate.upper
    assert answer.status is Status.OPTIMAL and low <= high and answer.certificate.gap < 1e-9
    if revenue is not None:
        assert low <= revenue <= high + 1e-15 and answer.quantities["revenue"] == pytest.approx(float(revenue), abs=1e-9)
    audit = model.audit(params, answer.mechanism)
    assert low - 1e-12 <= audit.quantities["revenue"] <= high + 1e-12
    assert 0 <= audit.quantities["share-served"] <= 1 + 1e-12 and audit.quantities["surplus"] >= -1e-15


def test_what_is_worth_nothing_is_not_bought() -> None:
    answer = model.solve(of_line(0, 0, {"dist": "uniform", "scale": "1/2"}))
    assert answer.quantities["share-served"] == pytest.approx(0.5) and len(answer.mechanism["items"]) == 1


def test_close_to_one_half_the_cutoff_is_still_sharp() -> None:
    """All products are below 1e-8 there; the same shape on [0, 1] tells where the largest is."""
    m = F(4999, 10000)
    tiers = two_tiers(Line(k=0, m=m), Distribution.model_validate({"dist": "beta", "a": 2, "b": 4, "scale": "0.0001"}).law)
    whole = Distribution.model_validate({"dist": "beta", "a": 2, "b": 4}).law
    z = np.linspace(0, 0.01, 2_000_001)
    value = z * (0.0001 - np.asarray(whole.cdf(z)) / 2)
    assert len(tiers.cutoffs) == 1
    assert float(tiers.cutoffs[0]) / 0.0001 == pytest.approx(z[value.argmax()], abs=1e-5)
    assert float(tiers.revenue) == pytest.approx(float(m) + value.max(), abs=1e-13)


@pytest.mark.parametrize("n", [5, 10, 20])
def test_grids_come_from_above_like_one_over_n(n: int) -> None:
    for k in ("0", "1/5"):
        alpha = {"dist": "uniform", "scale": F(1, 5) / (1 - F(k))}
        assert exact_revenue(of_line(k, "3/10", alpha, grid={"size": n})) == F(8, 25) + F(1, 20 * n)


def test_convergence() -> None:
    for alpha in (ON_FIFTH["beta"], GAPPED):
        sizes = [4, 8, 16, 32]
        table = model.convergence(of_line(0, "3/10", alpha), sizes)
        best = float(model.solve(of_line(0, "3/10", alpha)).certificate.upper)
        assert (table["line"] - best).abs().max() < 1e-9 and table["cells"].tolist() == sizes
        assert (table["menu on the line"] <= best + 1e-9).all() and (table["grid value"] >= best - 1e-9).all()
        assert ((table["grid value"] - best) * table["cells"] < 0.2).all()


# Menus on a line ------------------------------------------------------------------------------------------------------


def by_hand(line: Line, law: Any, experiment: Any, price: Any, cells: int) -> tuple[float, float, float]:
    """Revenue, surplus and share served on a fine grid, from error probabilities."""
    edges = np.linspace(*map(float, law.support), cells + 1)
    mass, alpha = np.diff(law.cdf(edges)), (edges[:-1] + edges[1:]) / 2
    joint = np.array([[0.5 - alpha, alpha], [float(line.m) - float(line.k) * alpha, 0.5 - float(line.m) + float(line.k) * alpha]])
    own = joint.max(axis=0).sum(axis=0)
    net = [np.zeros(cells)]
    for item, cost in zip(experiment, price, strict=True):
        net.append((joint[:, :, None, :] * item[:, None, :, None]).max(axis=0).sum(axis=(0, 1)) - own - cost)
    choice = np.argmax(net, axis=0)
    paid = np.concatenate([[0.0], price])[choice]
    return float(mass @ paid), float(mass @ np.max(net, axis=0)), float(mass[choice > 0].sum())


@pytest.mark.parametrize("name", ["uniform", "beta", "gap", "table", "far apart"])
def test_any_menu_against_a_fine_grid(name: str) -> None:
    law, line = Distribution.model_validate(ON_FIFTH[name]).law, Line(k="1/10", m="3/10")
    rng = np.random.default_rng(sum(map(ord, name)))
    for _ in range(12):
        items, signals = int(rng.integers(1, 5)), int(rng.integers(1, 5))
        experiment = rng.dirichlet(np.full(signals, 0.4), size=(items, 2))
        price = rng.uniform(0, 0.25, size=items) * rng.choice([0, 1, 1], size=items)
        found = serve(line, law, experiment, price, 1e-12)
        revenue, surplus, served = by_hand(line, law, experiment, price, 40_000)
        assert found.revenue == pytest.approx(revenue, abs=2e-4) and found.surplus == pytest.approx(surplus, abs=1e-6)
        if price.min() > 0:
            assert found.mass[found.item != NOTHING].sum() == pytest.approx(served, abs=1e-3)
        assert found.mass.sum() == pytest.approx(1, abs=1e-12) and np.all(np.diff(found.edges) > 0)
        best = float(two_tiers(line, law).upper)
        assert found.revenue <= best + 1e-9
        against = serve(line, law, experiment, price, 1e-12, for_seller=False)
        assert against.revenue <= found.revenue + 1e-15 and against.surplus == pytest.approx(found.surplus, abs=1e-10)


def test_menus_by_hand() -> None:
    law, line = Distribution.model_validate(UNIFORM).law, Line(k=0, m="3/10")
    full, none = as_experiment(np.zeros((1, 2))), as_experiment(np.ones((1, 2)))

    def sold(experiment: Any, *price: float, **more: Any) -> Any:
        return serve(line, law, experiment, np.array(price), 1e-12, **more)

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
    params = of_line(0, "3/10", UNIFORM)
    full = {"experiment": [[1, 0], [0, 1]], "price": 0.4}
    assert model.audit(params, {"items": [full]}).quantities["revenue"] == pytest.approx(0.2)
    assert model.audit(params, {"items": []}).quantities["revenue"] == 0
    with pytest.raises(InstanceError, match="names the item of each type; on a whole line buyers choose"):
        model.audit(params, {"items": [{**full, "experiment": [[1, 0, 0, 0], [0, 0, 0, 1]]}], "assignment": [0]})
    with pytest.raises(InstanceError, match="has 1 rows; the market has 2 states"):
        model.audit(params, {"items": [{**full, "experiment": [[1, 0]]}]})


@pytest.mark.parametrize("name", ON_FIFTH)
def test_lines_solved_hold_their_certificate_and_audit(name: str) -> None:
    params = of_line(0, "3/10", ON_FIFTH[name])
    answer = model.solve(params)
    lower, upper = answer.certificate.lower, answer.certificate.upper
    tiers = two_tiers(Line(k=0, m="3/10"), params.alpha.law)
    assert lower <= float(tiers.revenue) + 1e-15 and float(tiers.revenue) <= upper + 1e-15 and upper - lower < 2e-9
    audit = model.audit(params, answer.mechanism)
    assert audit.good and audit.quantities["revenue"] == pytest.approx(answer.quantities["revenue"], abs=1e-13)
    assert lower - 1e-13 <= audit.quantities["revenue"] <= upper + 1e-12
    for claim in model.theory(params):
        stated = float(F(claim.value))
        assert {"lower": stated <= upper + 1e-9, "upper": stated >= lower - 1e-9}[claim.relation]
    if answer.exact is None:  # prices were cut by the share that earns most when ties go against the seller
        menu = [shares_left(np.array(item["experiment"], dtype=float)) for item in answer.mechanism["items"]]
        assert (0.0, 0.0) in menu
        experiment = np.array([item["experiment"] for item in answer.mechanism["items"]], dtype=float)
        price = np.array([item["price"] for item in answer.mechanism["items"]], dtype=float)
        against = serve(params.line, params.alpha.law, experiment, price, 1e-15, for_seller=False)
        assert against.revenue >= lower


def test_exact_on_lines_and_grids() -> None:
    linear, smooth = of_line(0, "3/10", GAPPED), of_line(0, "3/10", ON_FIFTH["beta"])
    answer = model.solve(linear, Options(exact=True))
    # F is 1/2 from 1/50 on: alpha (1/5 - 25 alpha / 2) is largest at 1/125, and past the gap negative
    assert answer.exact == F(3, 10) + F(1, 125) * F(1, 10) * 5
    with pytest.raises(ModelError, match="has a distribution that is computed in floats; leave exact out"):
        model.solve(smooth, Options(exact=True))
    for rule in ("mean", "lower", "upper", "quantile"):
        params = smooth.model_copy(update={"grid": None})
        grid = model.Params.model_validate(
            {**params.model_dump(mode="json", by_alias=True, exclude_none=True), "grid": {"size": 4, "rule": rule}}
        )
        pairs = grid.pairs
        assert float(exact_revenue(grid)) == pytest.approx(own_program([p for _, p in pairs], [w for w, _ in pairs]), abs=1e-9)
    with pytest.raises(ModelError, match="there is no method 'full' on a whole line"):
        model.solve(linear, Options(method="full"))


# Triangles ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_triangles(size: int) -> None:
    cells = Triangle(size=size).cells()
    assert len(cells) == size * (size + 1) // 2 and sum(weight for weight, _ in cells) == 1
    for place in range(2):  # the mean of a triangle is a third of its corners
        assert sum(weight * pair[place] for weight, pair in cells) == F(1, 6)
    assert all(sum(pair) <= HALF and min(pair) > 0 for _, pair in cells)
    params = model.Params.model_validate({"triangle": {"size": size}})
    answer = model.solve(params)
    pairs, weights = [pair for _, pair in cells], [weight for weight, _ in cells]
    assert answer.certificate.lower - 1e-9 <= own_program(pairs, weights) <= answer.certificate.upper + 1e-9
    finer = [(weight, pair) for weight, pair in Triangle(size=4 * size).cells()]
    menu = [(shares_left(np.array(i["experiment"], dtype=float)), float(i["price"])) for i in answer.mechanism["items"]]
    earned = 0.0
    for weight, (a, b) in finer:
        gains = [(float(a + b) - min(float(a) * p + float(b) * q, p / 2, q / 2) - t, t) for (p, q), t in menu]  # type: ignore[misc]
        best = max([0.0, *(gain for gain, _ in gains)])
        earned += float(weight) * max([0.0, *(t for gain, t in gains if gain >= best - 1e-12)])
    assert answer.quantities["finer-grid-revenue"] == pytest.approx(earned, abs=1e-9)


# Largest products -----------------------------------------------------------------------------------------------------


@quick
@given(st.lists(st.integers(0, 6), min_size=2, max_size=5).filter(any), st.integers(0, 4), st.integers(0, 4), st.data())
def test_largest_products_in_fractions(masses: list[int], p: int, q: int, data: st.DataObject) -> None:
    assume(p + q > 0)
    total, level = sum(masses), F(0)
    points = [[F(0), F(0)]]
    for k, mass in enumerate(masses, start=1):
        level += F(mass, total)
        points.append([F(k), level])
    law = Distribution.model_validate({"cdf": points}).law
    product = Product(F(p), F(q), F(data.draw(st.integers(1, 3))), F(-data.draw(st.integers(1, 2)), 2))
    found = largest(law, product)
    assert found.value == found.upper and found.at == tuple(sorted(set(found.at)))
    for at in found.at:
        assert (product.p + product.q * at) * (product.r + product.s * law.exact_cdf(at)) == found.value
    low, high = law.support
    for k in range(40 * len(masses) + 1):
        at = min(max(F(k, 40), low), high)
        assert (product.p + product.q * at) * (product.r + product.s * law.exact_cdf(at)) <= found.value


# Files ----------------------------------------------------------------------------------------------------------------

HEAD = 'format = 1\nmodel = "selling-training-data"\ntitle = "a case"\nsource = "here"\n[params]\n'
ALPHA = 'alpha = { dist = "uniform", scale = "1/5" }\n'
TYPES = 'types = [{ weight = 1, alpha = "1/5", beta = "1/5" }]\n'
JOINT = 'types = [{ weight = 1, joint = [["1/2", 0], [0, "1/2"]] }]\n'
BAD = {
    'types = [{ weight = 1, alpha = "2/5", beta = "1/5" }]': (
        "params.types[0]: has alpha + beta = 3/5, above 1/2: such data are read the other way round; write alpha = 1/10"
    ),
    'types = [{ weight = 1, alpha = "3/5", beta = 0 }]': "params.types[0]: has alpha = 3/5, beta = 0; neither exceeds",
    'types = [{ weight = 1, alpha = "-1/5", beta = 0 }]': "params.types[0].alpha: is -1/5; must be at least 0",
    'types = [{ weight = 1, alpha = "1/5" }]': "params.types[0]: needs either alpha and beta, or joint",
    'types = [{ weight = 1, alpha = 0, beta = 0, joint = [["1/2", 0], [0, "1/2"]] }]': "and not both",
    'types = [{ weight = "1/2", alpha = 0, beta = 0 }]': "params.types: weights sum to 1/2; must sum to 1",
    "types = []": "params.types: has 0 entries; needs at least 1",
    'types = [{ weight = 1, joint = [["1/2", 0], [0, "1/3"]] }]': "params.types[0].joint",
    "types = [{ weight = 1, alpha = 0, beta = 0, gamma = 0 }]": "params.types[0].gamma: unknown field",
    TYPES + 'colour = "red"': "params.colour: unknown field; the fields are",
    TYPES + ALPHA: "params.alpha: goes with line, and there is none",
    TYPES + "grid = { size = 3 }": "params.grid: goes with line, and there is none",
    TYPES + 'line = { k = 0, m = "3/10" }\n' + ALPHA: "params: gives types and line; must give one of",
    TYPES + "triangle = { size = 2 }": "params: gives types and triangle; must give one of",
    "": "params: gives no types; must give one of types, types_csv, line and triangle",
    JOINT + 'formulation = "reduced"': "params.formulation: is reduced, which is for types given by alpha and beta",
    TYPES + 'formulation = "small"': "params.formulation: is 'small'; must be",
    'line = { k = 0, m = "3/10" }': "params.alpha: is missing: the distribution along the line",
    'line = { k = 0, m = "1/2" }\n' + ALPHA: "params.line: has m = 1/2; must be below 1/2",
    'line = { k = "7/10", m = "3/10" }\n' + ALPHA: "params.line: has k = 7/10; must be at most 2 m = 3/5",
    'line = { k = -1, m = "3/10" }\n' + ALPHA: "params.line.k: is -1; must be at least 0",
    "line = { k = 0 }\n" + ALPHA: "params.line.m: is missing",
    'line = { k = 0, m = "2/5" }\n' + ALPHA: "params.alpha: reaches from 0 to 1/5; must lie within 0 to (1/2 - m)/(1 - k) = 1/10",
    'line = { k = 0, m = "2/5" }\nalpha = { dist = "expon" }': "params.alpha: reaches from 0 to inf; must lie within",
    'line = { k = 0, m = "2/5" }\nalpha = { dist = "uniform", loc = "-1/20", scale = "1/10" }': "alpha: reaches from -1/20",
    'line = { k = 0, m = "3/10" }\nformulation = "general"\n'
    + ALPHA: "params.formulation: is for finitely many types; give grid",
    'line = { k = 0, m = "3/10" }\ngrid = { size = 0 }\n' + ALPHA: "params.grid.size: is 0; must be at least 1",
    'line = { k = 0, m = "3/10" }\ngrid = { size = 3, rule = "middle" }\n' + ALPHA: "params.grid.rule: is 'middle'; must be",
    "triangle = { size = 201 }": "params.triangle.size: is 201; must be at most 200",
    'types_csv = "none.csv"': "none.csv: there is no such file",
    'types_csv = "bad.csv"': "bad.csv: line 2, column alpha: is 'x'",
    TYPES + 'types_csv = "bad.csv"': "params.types_csv: stands beside types; give one of the two",
    "types_csv = 3": "params.types_csv: must be the name of a csv file",
}


def case(folder: Path, text: str) -> Path:
    path = folder / "case.toml"
    path.write_text(HEAD + text + "\n", "utf-8")
    return path


@pytest.mark.parametrize("text", BAD)
def test_mistakes_are_told_with_their_field(text: str, tmp_path: Path, run: Callable[..., Done]) -> None:
    (tmp_path / "bad.csv").write_text("weight,alpha,beta\n1,x,0\n", "utf-8")
    assert BAD[text] in run("solve", case(tmp_path, text)).one_error()


def test_types_of_a_csv_file(tmp_path: Path) -> None:
    (tmp_path / "types.csv").write_text("name,weight,alpha,beta\none,1/2,1/5,1/5\ntwo,0.5,1/20,3/20\n", "utf-8")
    loaded = om.load(case(tmp_path, 'types_csv = "types.csv"'))
    answer = om.solve(loaded, exact=True)
    assert answer.exact == F(13, 60)
    assert om.audit(loaded, {"items": [{"experiment": [[1, 0], [0, 1]], "price": 0.2}]}).quantities["revenue"] == pytest.approx(
        0.2
    )


@pytest.mark.parametrize(
    "text",
    [
        TYPES,
        JOINT,
        'types = [{ weight = "1/2", alpha = 0, beta = 0 }, { weight = "1/2", alpha = 0, beta = 0 }]',
        'types = [{ weight = 0, alpha = 0, beta = "1/2" }, { weight = 1, alpha = "1/4", beta = "1/4" }]',
        'line = { k = 0, m = "3/10" }\n' + ALPHA,
        'line = { k = 0, m = "3/10" }\ngrid = { size = 1 }\n' + ALPHA,
        "line = { k = 0, m = 0 }\n" + ALPHA,
        'line = { k = 0, m = "3/10" }\nalpha = { dist = "beta", a = "1/2", b = "1/2", scale = "1/5" }',
        "triangle = { size = 3 }",
    ],
)
def test_everything_runs_from_the_shell(
    text: str, tmp_path: Path, run: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("solve", case(tmp_path, text))
    assert done.code == 0 and "Traceback" not in done.err
    params = om.load(tmp_path / "case.toml").params
    answer = model.solve(params)
    assert answer.status is Status.OPTIMAL
    menu = model.tables(params, answer.mechanism)["menu"]
    assert {"item", "price", "share"} <= set(menu.columns) and (menu["price"] >= 0).all()


def test_what_a_menu_does_on_a_line_is_of_whole_lines_only() -> None:
    params = of_line(0, "3/10", UNIFORM)
    assert model.program(params) is None and params.on_continuum
    found = on_line(params, {"items": [{"experiment": [[1, 0], [0, 1]], "price": 0.4}]})
    assert found.edges.tolist() == pytest.approx([0, 0.1, 0.2]) and found.item.tolist() == [NOTHING, 0]
