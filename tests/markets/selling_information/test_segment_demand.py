"""Beliefs with gaps, peaks and tails: bounds against envelopes on fine grids of their own, and values of any size."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support import one_buyer as market
from support.beliefs import blocks, mixture, part, table
from support.paths import CASES
from support.proofs import proof

import optmarket as om
from optmarket.arrays import FloatArray
from optmarket.distributions.cdf import Cdf, PiecewiseLinear, Smooth
from optmarket.distributions.maximize import Product, largest
from optmarket.distributions.specification import Distribution
from optmarket.models.selling_information.continuum.envelope_search import EnvelopeSearch, best_envelopes, upper_bound
from optmarket.models.selling_information.continuum.segment_demand import Segment, demand_on_segment
from optmarket.models.selling_information.continuum.segment_market import best_posted_price
from optmarket.options import Options, Status
from optmarket.rationals import floats

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


def bracketed(distribution: Cdf, size: int = 3000) -> tuple[float, float]:
    """Bounds on the optimum at value 1 from envelopes over points, of what is attained there and of what cells allow at most."""
    levels = floats(distribution.quantiles([Fraction(k, size) for k in range(1, size)]))
    ends = distribution.knots if isinstance(distribution, PiecewiseLinear) else distribution.end_of_floats
    theta = np.unique(np.concatenate([np.linspace(0, 1, size), levels, floats(ends)]))
    above = 1 - distribution.cdf(theta)
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
    least, most = bracketed(params.belief.as_cdf)
    assert lower <= most and least <= upper * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_bounds_of_random_distributions_meet(seed: int) -> None:
    check(random_belief(seed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [*range(8, 20), *range(1000, 1400)])
def test_bounds_of_412_more_random_distributions_meet(seed: int) -> None:
    check(random_belief(seed))


# Dual values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "revenue"), [("beliefs-in-two-blocks", 0.346), ("beliefs-in-four-blocks", 0.2371214904)])
def test_beliefs_with_gaps(name: str, revenue: float) -> None:
    """The bound is least at a dual value for which a maximum is attained all along a gap."""
    solution = om.solve(CASES / f"{name}.toml")
    assert solution.status is Status.OPTIMAL
    assert solution.value == pytest.approx(revenue, rel=1e-9)
    assert proof(solution).gap <= 1e-12
    assert proof(solution).lower <= solution.value <= proof(solution).upper
    assert proof(solution).upper <= solution.quantities["first-best"]
    assert len(solution.mechanism["items"]) == 2


@pytest.mark.parametrize("seed", [0, 9, 18])
def test_no_other_dual_value_proves_more(seed: int) -> None:
    distribution = Distribution.model_validate(random_belief(seed)).as_cdf
    found = best_envelopes(distribution, best_posted_price(distribution).value)
    for step in (1e-6, 1e-3, 0.1):
        for dual_value in (float(found.dual_value) - step, float(found.dual_value) + step):
            assert upper_bound(distribution, dual_value) >= float(found.upper) * (1 - 1e-8)


def test_measures_earn_what_their_cuts_say() -> None:
    """The two measures have one mean, mass one, and earn the revenue of the search."""
    for seed in (0, 2, 5):
        distribution = Distribution.model_validate(random_belief(seed)).as_cdf
        search = EnvelopeSearch(distribution)
        while not search.met:
            search.step()
        found = search.found
        assert sum(mass for _, mass in found.rising) == sum(mass for _, mass in found.falling) == 1
        mean = sum(y * mass for y, mass in found.rising)
        assert mean == sum((1 - z) * mass for z, mass in found.falling)
        assert isinstance(distribution, PiecewiseLinear)
        gain = sum(y * mass * (1 - distribution.exact_cdf(Fraction(y))) for y, mass in found.rising)
        cost = sum((1 - z) * mass * (1 - distribution.exact_cdf(Fraction(z))) for z, mass in found.falling)
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
    assert other.quantities["share-buying"] == pytest.approx(one.quantities["share-buying"], rel=1e-12)


def test_a_small_value_lies_within_its_bounds() -> None:
    solution = om.solve(CASES / "value-outside-own-bounds.toml")
    assert proof(solution).lower <= solution.value <= proof(solution).upper
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
    step, steps = EnvelopeSearch.step, []

    def stop(search: EnvelopeSearch) -> None:
        steps.append(search)
        if len(steps) == 5:
            raise KeyboardInterrupt
        step(search)

    monkeypatch.setattr(EnvelopeSearch, "step", stop)
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
    types = Segment(Distribution.model_validate(belief).as_cdf, np.array([[0], [1]]), np.array([[1], [-1]]), np.eye(2))
    sold = demand_on_segment(types, np.eye(2)[None], np.array([float(Fraction(3, 10) + width / 2)]), 0.0)
    assert sold.mass.tolist() == pytest.approx([0.5, 0.5], abs=0.1)  # the price is a float


def test_maxima_over_many_pieces_are_those_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        distribution = Distribution.model_validate(table(rng, 300)).as_cdf
        p, q, r = (Fraction(int(n), 100) for n in rng.integers(0, 100, 3))
        product = Product(p, q, r, Fraction(-1))
        few = largest(distribution, product, (Fraction(0), Fraction(1)))
        with monkeypatch.context() as patch:
            patch.setattr("optmarket.distributions.maximize.FEW", 10_000)
            assert largest(distribution, product, (Fraction(0), Fraction(1))) == few


def test_what_is_worth_most_is_folded() -> None:
    """The price of full information is the largest product of a price and Pr(min(theta, 1 - theta) at least the price)."""
    distribution = Distribution.model_validate(SHAPES["table"]).as_cdf
    assert isinstance(distribution, PiecewiseLinear)
    for t in (Fraction(1, 10), Fraction(1, 3), Fraction(9, 20)):
        assert 1 - distribution.folded().exact_cdf(t) == distribution.exact_cdf(1 - t) - distribution.exact_cdf(t)
    smooth = Distribution.model_validate({"dist": "beta", "a": 2, "b": 5}).as_cdf
    assert isinstance(smooth, Smooth)
    points = np.array([0.0, 0.1, 0.3, 0.5])
    np.testing.assert_allclose(smooth.folded().sf(points), smooth.cdf(1 - points) - smooth.cdf(points), atol=1e-14)
    np.testing.assert_allclose(smooth.folded().cdf(points), 1 - smooth.folded().sf(points), atol=1e-14)
