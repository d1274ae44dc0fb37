"""Competing buyers: bounds that hold, whatever the distributions and the stakes, and audits that see all there is."""

from __future__ import annotations

import json
import math
from fractions import Fraction as F
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from support import competing
from support.paths import CASES

import optmarket as om
from optmarket.models import competing_buyers as market
from optmarket.models import selling_information
from optmarket.models.competing_buyers.market import Params
from optmarket.models.competing_buyers.solvers import general_lp as general
from optmarket.models.competing_buyers.solvers import virtual_values as optimum
from optmarket.models.competing_buyers.virtual_values import bounds as enclosure
from optmarket.models.competing_buyers.virtual_values import continuum as continuum
from optmarket.models.competing_buyers.virtual_values import ironing as virtual
from optmarket.solution import Options, Status, relative_gap


def params(buyers: list[dict[str, Any]], alpha: Any = "1/2", ic: str = "bayesian", th: Any = "1/2") -> Params:
    return Params.model_validate({"prior": [th, 1 - F(th)], "externality": alpha, "ic": ic, "buyers": buyers})


# Values on a continuum -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value"), [("far-from-zero", 1e6), ("rare-low-values", 4.995), ("truncated-exponential", 20.0)])
def test_known_optima_lie_within_narrow_bounds(name: str, value: float) -> None:
    found = om.solve(CASES / f"{name}.toml")
    assert found.status is Status.OPTIMAL
    assert found.certificate.lower <= value <= found.certificate.upper
    assert found.certificate.gap < 1e-8
    assert found.value == pytest.approx(value, rel=1e-9)
    assert found.audit.quantities["revenue"] <= found.certificate.upper * (1 + 1e-12)
    assert not found.contradictions


def test_rarer_low_values() -> None:
    rare = {"mixture": [{"weight": "1e-9", "dist": "uniform"}, {"weight": 1 - F("1e-9"), "dist": "uniform", "loc": 10}]}
    found = continuum.bounds(params([{"count": 2, "value": rare}], ic="ex-post", th="3/4"))
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


def law(rng: np.random.Generator) -> dict[str, Any]:
    """A distribution, or a mixture of two, one of them perhaps rare."""
    if rng.random() < 0.5:
        return piece(rng)
    rare = F(int(rng.integers(1, 10)), 10 ** int(rng.integers(1, 10)))
    return {"mixture": [{"weight": rare, **piece(rng)}, {"weight": 1 - rare, **piece(rng)}]}


def random_continuum(seed: int, sizes: tuple[int, ...] = (2, 2, 2, 3, 5)) -> Params:
    rng = np.random.default_rng(seed)
    count = int(rng.choice(sizes))
    buyers: list[dict[str, Any]] = [{"count": count, "value": law(rng)}]
    if rng.random() < 0.4:
        buyers = [{"count": count - 1, "value": law(rng)}, {"value": law(rng) if rng.random() < 0.7 else 3}]
    th, alpha = rng.choice(["1/2", "3/5", "3/4", "9/10"]), rng.choice(["0", "1/4", "1/2", "1", "2", "7"])
    return params(buyers, str(alpha), str(rng.choice(["bayesian", "ex-post"])), str(th))


def profit(value: Any, cost: float) -> float:
    """A monopolist's profit at a unit cost, by prices tried one beside the other, and then finer ones: no cells."""
    low, high = (float(end) for end in value.law.support)
    mass = np.concatenate([np.geomspace(1e-12, 0.5, 120), 1 - np.geomspace(1e-12, 0.5, 120)])
    points = np.array([float(x) for x in value.law.quantiles([F(x) for x in np.unique(mass)])])
    points = np.unique(np.concatenate([points, [low], [high] if math.isfinite(high) else [4 * points[-1]]]))

    def earned(price: Any) -> Any:
        rest = 1 - value.law.cdf(price) if hasattr(value.law, "knots") else value.law.between(price, np.full_like(price, np.inf))
        return (price - cost) * rest

    for _ in range(4):
        k = int(np.argmax(earned(points)))
        points = np.linspace(points[max(k - 1, 0)], points[min(k + 1, len(points) - 1)], 400)
    return float(max(earned(points).max(), 0.0))


@pytest.mark.parametrize("seed", range(40))
def test_one_side_of_a_market_against_prices_tried(seed: int) -> None:
    # without an externality each buyer is a monopolist's of costs 0, and th of the lowest value is not for sale
    rng = np.random.default_rng(seed)
    given = params([{"count": 2, "value": law(rng)}], 0, th="3/4")
    value: Any = given.buyers[0].value
    found = continuum.bounds(given)
    lowest = float(value.law.support[0])
    expected = 2 * (0.25 * profit(value, 0.0))
    assert found.lower <= expected * (1 + 1e-9) + 1e-15 * lowest and expected <= found.upper * (1 + 1e-12)
    assert relative_gap(found.lower, found.upper) < 1e-8


def accepted(seed: int, sizes: tuple[int, ...]) -> Params:
    """A random market; another one where floats cannot integrate a distribution, which is refused."""
    for attempt in range(20):
        try:
            return random_continuum(seed + 10_000 * attempt, sizes)
        except ValidationError as error:
            assert "floats" in str(error)
    raise AssertionError("20 markets in a row were refused")


def ordered(seed: int, sizes: tuple[int, ...]) -> None:
    """Bounds against those of finite markets of values raised and lowered, and what a printed mechanism earns."""
    given = accepted(seed, sizes)
    found = continuum.bounds(given)
    assert found.lower <= found.upper
    for upper in (False, True):
        ends = virtual.rule(optimum.ends(given, 60, upper=upper), exact=False)
        slack = 1e-9 * abs(found.upper) + float(ends.tie) * 4
        if upper:
            assert found.lower <= float(ends.revenue) + slack
        else:
            assert float(ends.revenue) - ends.excess <= found.upper + slack
    with np.errstate(all="ignore"):
        assert optimum.earning(given, 300).surely <= found.upper


@pytest.mark.parametrize("seed", range(6))
def test_bounds_of_random_distributions(seed: int) -> None:
    ordered(seed, (2,))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1300))
def test_bounds_of_hundreds_of_random_distributions(seed: int) -> None:
    ordered(seed, (2, 2, 3, 4, 7))


def blocks(seed: int) -> tuple[Params, float]:
    """Two buyers of values uniform on intervals far apart, and the optimum ex post by Gauss' rule in each pair of intervals."""
    rng = np.random.default_rng(seed)
    base, gap = float(rng.choice([0, 1, 1e4])), float(rng.uniform(8, 20))
    share = F(int(rng.integers(1, 10)), 10 ** int(rng.integers(1, 7)))
    mixture = [{"weight": share, "dist": "uniform", "loc": base}, {"weight": 1 - share, "dist": "uniform", "loc": base + gap}]
    return params([{"count": 2, "value": {"mixture": mixture}}], "1/2", "ex-post", "3/4"), float(share)


@pytest.mark.parametrize("seed", range(10))
def test_two_intervals_against_quadrature_by_hand(seed: int) -> None:
    given, share = blocks(seed)
    value: Any = given.buyers[0].value
    low, high = (float(x) for x in value.law.support)
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


def test_who_knows_the_state_pays_nothing() -> None:
    found = optimum.solve_continuum(params([{"count": 2, "value": {"dist": "uniform", "loc": 5}}], th=1), Options())
    assert found.certificate.lower == found.certificate.upper == 0 and found.status is Status.OPTIMAL


def test_unknown_densities_are_bounded_all_the_same() -> None:
    # the same distribution under a name that the table of shapes does not have
    known = continuum.bounds(params([{"count": 2, "value": {"dist": "expon"}}]))
    unknown = continuum.bounds(params([{"count": 2, "value": {"dist": "gengamma", "a": 1, "c": 1}}]))
    assert known.known and not unknown.known
    assert unknown.lower <= known.upper and known.lower <= unknown.upper
    assert relative_gap(unknown.lower, unknown.upper) < 1e-3


def test_a_mechanism_above_the_bound_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continuum, "bounds", lambda *_: enclosure.Bracket(0.3, 0.38))
    with pytest.raises(om.SolverError, match="computed wrongly"):
        optimum.solve_continuum(params([{"count": 2, "value": {"dist": "uniform"}}]), Options())


def test_time_limit_of_whole_values() -> None:
    answer = optimum.solve_continuum(params([{"count": 4, "value": {"dist": "beta", "a": 2, "b": 3}}]), Options(time_limit=0))
    assert answer.status in {Status.TIME_LIMIT, Status.OPTIMAL}
    assert max(map(len, answer.mechanism["cells"])) < 500  # some hundred cells, and no more were tried
    assert 0 < answer.certificate.lower <= answer.quantities["revenue"] <= answer.certificate.upper
    full = continuum.bounds(params([{"count": 4, "value": {"dist": "beta", "a": 2, "b": 3}}]))
    assert answer.certificate.lower <= full.upper and full.lower <= answer.certificate.upper


def test_time_limit_of_programs() -> None:
    answer = market.solve(Params.model_validate(competing.drawn(1).params()), Options(time_limit=0))
    assert answer.status in {Status.TIME_LIMIT, Status.OPTIMAL}
    assert F(answer.certificate.lower) <= competing.optimum(competing.drawn(1)) <= F(answer.certificate.upper)


# Finitely many types of unequal stakes -----------------------------------------------------------------------------------


def held(seed: int) -> None:
    """Solve a random market, and hold its interval against the exact optimum."""
    drawn = competing.drawn(seed)
    given = Params.model_validate(drawn.params())
    answer = market.solve(given, Options())
    best = competing.optimum(drawn)
    assert F(answer.certificate.lower) <= best <= F(answer.certificate.upper)
    assert answer.status is Status.OPTIMAL
    assert market.audit(given, answer.mechanism).good


@pytest.mark.parametrize("seed", range(16))
def test_stakes_of_24_orders_of_magnitude(seed: int) -> None:
    held(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 500))
def test_many_stakes_of_24_orders_of_magnitude(seed: int) -> None:
    held(seed)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    ("name", "value"),
    [("status-infeasible-4-competing", F(787500000450000000, 1750000021)), ("lower-above-true-optimum", None)],
)
def test_unequal_stakes_are_solved(name: str, value: F | None, exact: bool) -> None:
    found = om.solve(CASES / f"{name}.toml", exact=exact)
    assert found.status is Status.OPTIMAL and not found.contradictions and found.audit.good
    assert found.certificate.lower <= found.certificate.upper and found.certificate.gap < 1e-15
    if value is not None:
        assert found.certificate.lower <= value <= found.certificate.upper
        assert not exact or found.exact == value


def test_a_solver_that_fails_leaves_a_bracket(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise om.SolverError("HiGHS ended with 'Unknown'")

    monkeypatch.setattr(general.highs, "solve", fails)
    monkeypatch.setattr(general.exact_arithmetic, "FREELY", 0)
    monkeypatch.setattr(general.exact_arithmetic, "AT_MOST", 0)
    answer = om.solve(CASES / "status-infeasible-4-competing.toml")
    assert answer.status is Status.GAP
    assert answer.certificate.lower <= 449999995 <= answer.certificate.upper
    assert any("cannot be" in note for note in answer.notes)


# Audits ------------------------------------------------------------------------------------------------------------------


def judged(name: str) -> Any:
    return om.audit(CASES / f"{name}.toml", CASES / f"{name}.mechanism.json")


def test_a_gain_that_grows_without_bound_is_seen() -> None:
    found = judged("unbounded-tail")
    assert not found.good and math.isinf(found.violations["misreport"])
    assert found.relative["misreport"] == pytest.approx(0.1)  # 1 instead of 0.9 of each unit of value


def test_a_buyer_that_values_nothing_acts_as_it_believes() -> None:
    found = judged("value-zero")
    assert not found.good and found.relative["disobey-without-value"] == pytest.approx(1)
    solved = om.solve(CASES / "value-zero.toml")
    assert solved.exact == 1 and solved.audit.good
    # it is the limit of small values
    data = json.loads((CASES / "value-zero.mechanism.json").read_text())
    given = {"prior": ["1/2", "1/2"], "externality": 1, "ic": "ex-post"}
    types = [[{"weight": 1, "value": 1}], [{"weight": 1, "value": "1e-9"}]]
    small = Params.model_validate({**given, "buyers": [{"types": each} for each in types]})
    assert not market.audit(small, {key: data[key] for key in ("experiments", "payments")}).good
    assert market.solve(small, Options()).quantities["revenue"] == pytest.approx(1, abs=1e-8)


def test_what_types_without_weight_gain_is_said() -> None:
    found = judged("zero-weight")
    assert found.good and "types of weight 0 are not judged" in found.notes[0]
    assert "misreport 9.5" in found.notes[0] and "individual rationality 9" in found.notes[0]


def test_a_small_type_beside_a_large_one_is_judged_by_its_own_stakes() -> None:
    types = [{"weight": "1/2", "value": 1}, {"weight": "1/2", "value": 10**9}]
    given = params([{"count": 2, "types": types}], 0)
    right = [[[[[1, 0], [0, 1]]] * 2] * 2] * 2
    # the small type pays 10 for what is worth 1/2 to it: 1e-8 of the largest stake
    found = market.audit(given, {"experiments": right, "payments": [[10, 10], [10, 10]]})
    assert not found.good and found.relative["individual-rationality"] == pytest.approx(9.5)


def test_the_one_buyer_audit_says_it_too() -> None:
    types = [{"weight": 1, "belief": ["1/2", "1/2"]}, {"weight": 0, "belief": ["1/4", "3/4"]}]
    given = selling_information.Params.model_validate({"payoff": "matching", "types": types})
    items = [{"experiment": [[1, 0], [0, 1]], "price": "1/2"}]
    found = selling_information.audit(given, {"items": items, "assignment": [0, 0]})
    assert found.good and "individual rationality 0.25" in found.notes[0]
