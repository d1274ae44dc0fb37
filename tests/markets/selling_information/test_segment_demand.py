"""Beliefs with gaps, peaks and tails: bounds against envelopes on fine grids of their own, and values of any size."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support.beliefs import blocks, mixture, part, table
from support.paths import CASES

import optmarket as om
from optmarket.distributions.cdf import Law, PiecewiseLinear
from optmarket.distributions.maximize import Product, largest
from optmarket.distributions.specification import Distribution
from optmarket.lp.program import FloatArray
from optmarket.models import selling_information as market
from optmarket.models.selling_information.continuum.envelope_menu import Search, ceiling, envelopes
from optmarket.models.selling_information.continuum.segment_demand import serve
from optmarket.rationals import floats
from optmarket.solution import Options, Status

# Random distributions on [0, 1] ----------------------------------------------------------------------------------------


def random_belief(seed: int) -> dict[str, Any]:
    """One of the kinds, in turn."""
    rng = np.random.default_rng(seed)
    kinds = [
        lambda: blocks(rng, int(rng.integers(2, 7))),
        lambda: mixture(rng),
        lambda: table(rng, int(rng.integers(3, 150))),
        lambda: part(rng),
        lambda: blocks(rng, int(rng.integers(2, 7)), 1e-4),
    ]
    return kinds[seed % len(kinds)]()


# An independent bracket ------------------------------------------------------------------------------------------------


def hull(x: FloatArray, y: FloatArray, at: FloatArray) -> FloatArray:
    """The least concave function above some points, somewhere."""
    kept: list[int] = []
    for k in np.lexsort((-y, x)):
        if kept and x[kept[-1]] == x[k]:
            continue
        while len(kept) > 1:
            i, j = kept[-2:]
            if (y[j] - y[i]) * (x[k] - x[i]) > (y[k] - y[i]) * (x[j] - x[i]):
                break
            kept.pop()
        kept.append(int(k))
    return np.interp(at, x[kept], y[kept])


def bracketed(law: Law, size: int = 3000) -> tuple[float, float]:
    """Bounds on the optimum at value 1 from envelopes over points, of what is attained there and of what cells allow at most."""
    levels = floats(law.quantiles([Fraction(k, size) for k in range(1, size)]))
    ends = law.knots if isinstance(law, PiecewiseLinear) else law.end_of_floats
    theta = np.unique(np.concatenate([np.linspace(0, 1, size), levels, floats(ends)]))
    above = 1 - law.cdf(theta)
    left, right = theta[:-1], theta[1:]
    mirrored = 1 - theta
    points = np.union1d(theta, mirrored)
    low = hull(theta, theta * above, points) + hull(mirrored, -mirrored * above, points)
    gain = hull(np.concatenate([left, right]), np.tile(right * above[:-1], 2), points)
    cost = hull(np.append(1 - right, 1 - left), np.tile(-(1 - right) * above[1:], 2), points)
    return float(low.max()), float((gain + cost).max())


def check(belief: dict[str, Any]) -> None:
    """The bounds meet, hold what is known, and are what the menu earns."""
    params = market.Params.model_validate({"belief": belief})
    answer = market.solve(params, Options())
    lower, upper = answer.certificate.lower, answer.certificate.upper
    found = answer.quantities
    assert answer.status is Status.OPTIMAL
    assert answer.certificate.gap <= 1e-8
    assert lower <= found["revenue"] <= upper
    assert upper <= found["first-best"] * (1 + 1e-11)
    assert lower >= found["full-information-revenue"] * (1 - 1e-12)
    assert market.audit(params, answer.mechanism).quantities["revenue"] == found["revenue"]
    assert params.belief is not None
    least, most = bracketed(params.belief.law)
    assert lower <= most and least <= upper * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_bounds_of_random_distributions_meet(seed: int) -> None:
    check(random_belief(seed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1400))
def test_bounds_of_400_more_random_distributions_meet(seed: int) -> None:
    check(random_belief(seed))


# Dual values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "revenue"), [("beliefs-in-two-blocks", 0.346), ("beliefs-in-four-blocks", 0.2371214904)])
def test_beliefs_with_gaps(name: str, revenue: float) -> None:
    """The bound is least at a dual value for which a maximum is attained all along a gap."""
    solution = om.solve(CASES / f"{name}.toml")
    assert solution.status is Status.OPTIMAL
    assert solution.value == pytest.approx(revenue, rel=1e-9)
    assert solution.certificate.gap <= 1e-12
    assert solution.certificate.lower <= solution.value <= solution.certificate.upper
    assert solution.certificate.upper <= solution.quantities["first-best"]
    assert len(solution.mechanism["items"]) == 2


@pytest.mark.parametrize("seed", range(0, 20, 3))
def test_no_other_dual_value_proves_more(seed: int) -> None:
    law = Distribution.model_validate(random_belief(seed)).law
    found = envelopes(law)
    for step in (1e-6, 1e-3, 0.1):
        for multiplier in (float(found.multiplier) - step, float(found.multiplier) + step):
            assert ceiling(law, multiplier) >= float(found.upper) * (1 - 1e-8)


def test_measures_earn_what_their_cuts_say() -> None:
    """The two measures have one mean, mass one, and earn the revenue of the search."""
    for seed in (0, 2, 5):
        law = Distribution.model_validate(random_belief(seed)).law
        search = Search(law)
        while not search.met:
            search.step()
        found = search.found
        assert sum(mass for _, mass in found.rising) == sum(mass for _, mass in found.falling) == 1
        mean = sum(y * mass for y, mass in found.rising)
        assert mean == sum((1 - z) * mass for z, mass in found.falling)
        assert isinstance(law, PiecewiseLinear)
        gain = sum(y * mass * (1 - law.exact_cdf(Fraction(y))) for y, mass in found.rising)
        cost = sum((1 - z) * mass * (1 - law.exact_cdf(Fraction(z))) for z, mass in found.falling)
        assert gain - cost == search.revenue
        assert float(search.revenue) == pytest.approx(float(search.upper), rel=1e-12)


# Values of any size ----------------------------------------------------------------------------------------------------

SHAPES: dict[str, Any] = {
    "beta": {"dist": "beta", "a": 8, "b": 30},
    "narrow": {"density": [{"from": at, "to": at + 1e-6, "height": 500_000} for at in (0.3, 0.6)]},
    "table": {"cdf": [[0, 0], ["1/4", "1/2"], ["1/2", "3/5"], [1, 1]]},
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("value", [1e-12, 3e-7, 7e5, 1e12])
def test_a_value_scales_everything(name: str, value: float) -> None:
    answers = [market.solve(market.Params.model_validate({"belief": SHAPES[name], "value": v}), Options()) for v in (1, value)]
    one, other = answers
    assert one.status is other.status is Status.OPTIMAL
    for end in ("lower", "upper"):
        assert getattr(other.certificate, end) == pytest.approx(value * getattr(one.certificate, end), rel=1e-12)
    for quantity in ("revenue", "surplus", "welfare", "first-best", "full-information-revenue", "full-information-price"):
        assert other.quantities[quantity] == pytest.approx(value * one.quantities[quantity], rel=1e-12)
    assert other.quantities["share-served"] == pytest.approx(one.quantities["share-served"], rel=1e-12)


def test_a_small_value_lies_within_its_bounds() -> None:
    solution = om.solve(CASES / "value-outside-own-bounds.toml")
    assert solution.certificate.lower <= solution.value <= solution.certificate.upper
    assert solution.value == solution.audit.quantities["revenue"] == pytest.approx(1.2313397719935e-13, rel=1e-10)


def test_a_value_of_0_earns_nothing() -> None:
    answer = market.solve(market.Params.model_validate({"belief": SHAPES["beta"], "value": 0}), Options())
    assert (answer.certificate.lower, answer.certificate.upper, answer.quantities["revenue"]) == (0, 0, 0)


# Ways to end -----------------------------------------------------------------------------------------------------------


def test_a_segment_without_time_has_full_information() -> None:
    params = market.Params.model_validate({"belief": SHAPES["beta"]})
    answer = market.solve(params, Options(time_limit=0))
    assert answer.status is Status.TIME_LIMIT
    assert answer.certificate.lower == pytest.approx(answer.quantities["full-information-revenue"])
    assert answer.certificate.upper == pytest.approx(answer.quantities["first-best"])


def test_an_interrupted_segment_keeps_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    step, steps = Search.step, []

    def stop(search: Search) -> None:
        steps.append(search)
        if len(steps) == 5:
            raise KeyboardInterrupt
        step(search)

    monkeypatch.setattr(Search, "step", stop)
    answer = market.solve(market.Params.model_validate({"belief": random_belief(1)}), Options())
    assert answer.status is Status.INTERRUPTED
    assert 0 < answer.certificate.lower <= answer.quantities["revenue"] <= answer.certificate.upper


# Menus and maxima in fractions -----------------------------------------------------------------------------------------


def test_a_narrow_block_is_served_without_rounding() -> None:
    """All of a block as narrow as 1e-15 buys at the price of its lower end, and half of it at that of its middle."""
    width = Fraction(1, 10**15)
    belief = {"density": [{"from": "3/10", "to": Fraction(3, 10) + width, "height": 1 / width}]}
    params = market.Params.model_validate({"belief": belief})
    full = {"experiment": [[1, 0], [0, 1]], "price": 0.3}
    assert market.audit(params, {"items": [full]}).quantities["revenue"] == 0.3
    types = market.Segment(Distribution.model_validate(belief).law, np.array([[0], [1]]), np.array([[1], [-1]]), np.eye(2))
    sold = serve(types, np.eye(2)[None], np.array([float(Fraction(3, 10) + width / 2)]), 0.0)
    assert sold.mass.tolist() == pytest.approx([0.5, 0.5], abs=0.1)  # the price is a float


def test_maxima_over_many_pieces_are_those_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        law = Distribution.model_validate(table(rng, 300)).law
        p, q, r = (Fraction(int(n), 100) for n in rng.integers(0, 100, 3))
        product = Product(p, q, r, Fraction(-1))
        few = largest(law, product, (Fraction(0), Fraction(1)))
        with monkeypatch.context() as patch:
            patch.setattr("optmarket.distributions.maximize.FEW", 10_000)
            assert largest(law, product, (Fraction(0), Fraction(1))) == few


def test_what_is_worth_most_is_folded() -> None:
    """The price of full information is the largest product of a price and Pr(min(theta, 1 - theta) at least the price)."""
    law = Distribution.model_validate(SHAPES["table"]).law
    assert isinstance(law, PiecewiseLinear)
    for t in (Fraction(1, 10), Fraction(1, 3), Fraction(9, 20)):
        assert 1 - law.folded().exact_cdf(t) == law.exact_cdf(1 - t) - law.exact_cdf(t)
    smooth = Distribution.model_validate({"dist": "beta", "a": 2, "b": 5}).law
    t = np.array([0.0, 0.1, 0.3, 0.5])
    np.testing.assert_allclose(smooth.folded().sf(t), smooth.cdf(1 - t) - smooth.cdf(t), atol=1e-14)
    np.testing.assert_allclose(smooth.folded().cdf(t), 1 - smooth.folded().sf(t), atol=1e-14)
