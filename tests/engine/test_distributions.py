"""Distributions: their functions against scipy and by hand, grids made from them, and every mistake in words."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from support.one_number import ALL, BETA, LINEAR, SMOOTH, STEPS, TABLE, linear, part, read, smooth

from optmarket.distributions.cdf import PiecewiseLinear, Smooth
from optmarket.distributions.specification import Grid, Rule, discretised

quick = settings(max_examples=40, deadline=None, derandomize=True)

RULES: tuple[Rule, ...] = ("mean", "lower", "upper", "quantile")


def cdf_of(name: str) -> Any:
    return read(**ALL[name]).as_cdf


def mean_by_hand(data: dict[str, Any]) -> float:
    """E X by scipy alone, each distribution by itself; only for those without a table."""
    if "mixture" in data and "truncate" not in data:
        return sum(float(Fraction(inner["weight"])) * mean_by_hand({**inner, "weight": None}) for inner in data["mixture"])
    names = {key: float(Fraction(value)) for key, value in data.items() if key not in {"dist", "truncate", "weight"}}
    distribution = getattr(scipy.stats, data["dist"])(**names)
    if "truncate" not in data:
        return float(distribution.mean())
    low, high = (float(Fraction(end)) for end in data["truncate"])
    middle = [x for x in np.ravel([distribution.mean() + k * distribution.std() for k in (-8, -1, 0, 1, 8)]) if low < x < high]
    mass, moment = (
        quad(f, low, high, points=middle or None, epsabs=0, limit=400)[0]
        for f in (distribution.pdf, lambda x: x * distribution.pdf(x))
    )
    return moment / mass


# Laws in fractions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LINEAR)
def test_linear_in_pieces_is_exact(name: str) -> None:
    distribution = cdf_of(name)
    assert isinstance(distribution, PiecewiseLinear)
    numbers = [*distribution.knots, *distribution.levels]
    assert all(isinstance(x, Fraction) for x in numbers) and (distribution.levels[0], distribution.levels[-1]) == (0, 1)
    assert list(distribution.knots) == sorted(set(distribution.knots)) and list(distribution.levels) == sorted(
        distribution.levels
    )
    x = np.linspace(float(distribution.knots[0]) - 1, float(distribution.knots[-1]) + 1, 301)
    exactly = [float(distribution.exact_cdf(Fraction(float(at)))) for at in x]
    np.testing.assert_allclose(distribution.cdf(x), exactly, rtol=0, atol=1e-14)


def test_exact_values_by_hand() -> None:
    steps = cdf_of("steps with a gap")
    third, half = Fraction(1, 3), Fraction(1, 2)
    assert [steps.exact_cdf(Fraction(x)) for x in ("1/8", "1/4", "3/8", "1/2", "3/4", "2")] == [
        Fraction(3, 8), Fraction(3, 4), Fraction(3, 4), Fraction(3, 4), Fraction(7, 8), 1,
    ]  # fmt: skip
    assert steps.quantiles([Fraction(3, 8), Fraction(3, 4), Fraction(7, 8)]) == [Fraction(1, 8), Fraction(1, 4), Fraction(3, 4)]
    # masses 3/4 around 1/8 and 1/4 around 3/4
    assert steps.cells([Fraction(0), Fraction(1)]) == [(1, Fraction(3, 4) / 8 + Fraction(1, 4) * 3 / 4)]
    assert steps.cells([Fraction(1, 4), half]) == [(0, 0)]
    cut = cdf_of("cut")  # of 1/4 + 1/4 on either side of the gap half is left
    assert cut.support == (Fraction(1, 6), Fraction(5, 6))
    assert [cut.exact_cdf(x) for x in (Fraction(1, 4), third, half, Fraction(3, 4))] == [
        Fraction(1, 4),
        half,
        half,
        Fraction(3, 4),
    ]
    nested = cdf_of("nested")  # 1/4 of the steps, and half of 3/4 on [2, 5/2]: in all 5/8
    assert nested.exact_cdf(Fraction(2)) == Fraction(2, 5) and nested.exact_cdf(Fraction(9, 4)) == Fraction(7, 10)
    assert cdf_of("cut wider than it is").support == (0, 1)


def test_uniforms_of_scipy_are_the_linear_ones() -> None:
    distribution, other = cdf_of("uniform elsewhere"), scipy.stats.uniform(-1 / 3, 2 / 7)
    x = np.linspace(-1, 1, 201)
    np.testing.assert_allclose(distribution.cdf(x), other.cdf(x), atol=1e-15)
    ((mass, moment),) = distribution.cells(list(distribution.support))
    assert (mass, moment) == (1, Fraction(-1, 3) + Fraction(1, 7))


def test_a_mixture_weighs_the_distribution_functions() -> None:
    data = {"mixture": [part("1/3", dist="uniform"), part("2/3", cdf=TABLE)]}
    distribution, table = linear(read(**data)), cdf_of("table")
    for k in range(-2, 15):
        x = Fraction(k, 12)
        assert distribution.exact_cdf(x) == min(max(x, Fraction(0)), Fraction(1)) / 3 + 2 * table.exact_cdf(x) / 3


@quick
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 5)), min_size=1, max_size=6).filter(lambda s: any(h for _, h in s)),
    st.data(),
)
def test_density_and_table_say_the_same(stretches: list[tuple[int, int]], data: st.DataObject) -> None:
    total = sum(length * height for length, height in stretches)
    at, level, steps, points = Fraction(0), Fraction(0), [], [[Fraction(0), Fraction(0)]]
    for length, height in stretches:
        steps.append({"from": at, "to": at + length, "height": Fraction(height, total)})
        at, level = at + length, level + Fraction(height * length, total)
        points.append([at, level])
    density, table = linear(read(density=data.draw(st.permutations(steps)))), linear(read(cdf=points))
    assert (density.support, density.cells(density.knots)) == (table.support, table.cells(density.knots))
    low, high = sorted(data.draw(st.lists(st.integers(0, 4 * int(at)), min_size=2, max_size=2, unique=True)))
    left, right = Fraction(low, 4), Fraction(high, 4)
    ((mass, moment),) = density.cells([left, right])
    clipped = [(max(s["from"], left), min(s["to"], right), s["height"]) for s in steps]
    clipped = [(a, b, h) for a, b, h in clipped if a < b]
    assert mass == sum((b - a) * h for a, b, h in clipped) == density.exact_cdf(right) - density.exact_cdf(left)
    assert moment == sum((b * b - a * a) / 2 * h for a, b, h in clipped)
    if mass:
        cut = read(density=steps, truncate=[left, right]).as_cdf
        assert cut.cells([left, right]) == [(1, moment / mass)]


# Laws in floats -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_distributions_are_distribution_functions(name: str) -> None:
    distribution = cdf_of(name)
    assert isinstance(distribution, Smooth)
    low, high = map(float, distribution.support)
    x = np.linspace(low, high, 801)
    levels = distribution.cdf(x)
    assert levels[0] == 0 and levels[-1] == pytest.approx(1, abs=1e-15) and np.all(np.diff(levels) >= -1e-15)
    np.testing.assert_array_equal(distribution.cdf(np.array([low - 1, high + 1])), levels[[0, -1]])
    np.testing.assert_allclose(distribution.between(x[:-1], x[1:]), np.diff(levels), atol=2e-15)


@pytest.mark.parametrize("name", sorted(SMOOTH.keys() - {"mixed with a linear one"}))
def test_means_by_scipy(name: str) -> None:
    distribution = cdf_of(name)
    ((mass, moment),) = distribution.cells(list(distribution.support))
    expected = mean_by_hand(SMOOTH[name])
    assert float(mass) == pytest.approx(1, abs=1e-15)
    assert float(moment) == pytest.approx(expected, rel=1e-9)


@pytest.mark.filterwarnings("ignore::scipy.integrate.IntegrationWarning")
@pytest.mark.parametrize(
    ("data", "distribution"),
    [
        (BETA, scipy.stats.beta(2, 4, scale=0.2)),
        (SMOOTH["arcsine"], scipy.stats.beta(0.5, 0.5)),
        (SMOOTH["normal cut"], scipy.stats.truncnorm(-5 / 3, 2, loc=0.25, scale=1 / 16)),
        ({"dist": "expon", "truncate": [0, 3]}, scipy.stats.truncexpon(3)),
        ({"dist": "norm", "truncate": [-1, "1/2"]}, scipy.stats.truncnorm(-1, 0.5)),
        ({"dist": "norm", "truncate": [7, 8]}, scipy.stats.truncnorm(7, 8)),
    ],
)
def test_cells_against_expect(data: dict[str, Any], distribution: Any) -> None:
    """Whole, in both tails, and in slivers; scipy integrates densities, the package distribution functions."""
    ours = read(**data).as_cdf
    low, high = (Fraction(end) for end in ours.support)
    width = high - low
    for left, right in [("0", "1"), ("0", "1/1000"), ("999/1000", "1"), ("1/3", "2/3"), ("1/2", "1/2000000")]:
        first = low + Fraction(left) * width
        last = first + Fraction(right) * width if left == "1/2" else low + Fraction(right) * width
        ((mass, moment),) = ours.cells([first, last])
        expected = distribution.expect(lambda x: x, lb=float(first), ub=float(last), epsabs=0, epsrel=1e-11, limit=200)
        assert float(moment) == pytest.approx(expected, rel=2e-8, abs=1e-300), (left, right)
        assert first * mass <= moment <= last * mass
        by_difference = distribution.cdf(float(last)) - distribution.cdf(float(first))
        assert float(mass) == pytest.approx(by_difference, rel=1e-7, abs=2e-16)


def test_tails_keep_their_digits() -> None:
    """Pr(10 < X <= 10.5 | 10 < X <= 11) of a normal, where Pr(X <= 10) is 1 in floats."""
    upper, lower = cdf_of("upper tail"), cdf_of("lower tail")
    expected = (scipy.stats.norm.sf(10) - scipy.stats.norm.sf(10.5)) / (scipy.stats.norm.sf(10) - scipy.stats.norm.sf(11))
    assert float(upper.cdf(np.array(10.5))) == pytest.approx(expected, rel=1e-13)
    assert float(lower.between(np.array(-10.5), np.array(-10.0))) == pytest.approx(expected, rel=1e-13)
    edges = [Fraction(10) + Fraction(k, 7) for k in range(8)]
    mirrored = lower.cells([-edge for edge in reversed(edges)])[::-1]
    for (mass, moment), (other_mass, other_moment) in zip(upper.cells(edges), mirrored, strict=True):
        assert float(mass) == pytest.approx(float(other_mass), rel=1e-12)
        assert float(moment) == pytest.approx(-float(other_moment), rel=1e-12)
    assert read(dist="expon", truncate=[40, 41]).as_cdf.cells([Fraction(40), Fraction(41)])[0][1] == pytest.approx(
        40 + 1 - 1 / math.expm1(1), rel=1e-12
    )  # an exponential forgets: 40 plus the mean of one cut to [0, 1]


def test_supports_are_what_the_file_says_to_the_digit() -> None:
    for end in ("5/28", "1/3", "2/7", "11/17"):
        assert read(dist="beta", a=2, b=4, scale=end).as_cdf.support == (0, Fraction(end))
        assert read(dist="norm", truncate=[0, end]).as_cdf.support == (0, Fraction(end))
    assert read(dist="truncnorm", a="-5/3", b=2, loc="5/21", scale="1/7").as_cdf.support == (0, Fraction(11, 21))
    assert cdf_of("far apart").support == (0, Fraction(1000001, 1000))
    low, high = read(dist="expon", loc="1/3").as_cdf.support
    assert low == Fraction(1, 3) and high == math.inf


def test_truncation_within_a_mixture_and_of_it() -> None:
    whole = smooth(read(mixture=[part("1/2", **BETA), part("1/2", dist="uniform")]))
    cut = read(mixture=[part("1/2", **BETA), part("1/2", dist="uniform")], truncate=["1/10", "1/2"]).as_cdf
    inside = float(whole.between(np.array(0.1), np.array(0.5)))
    x = np.linspace(0.1, 0.5, 41)
    np.testing.assert_allclose(cut.cdf(x), whole.between(np.full(41, 0.1), x) / inside, atol=1e-14)
    gone = read(mixture=[part("1/2", **BETA), part("1/2", dist="uniform", loc=1)], truncate=[0, 1]).as_cdf
    np.testing.assert_allclose(gone.cdf(x / 2), read(**BETA).as_cdf.cdf(x / 2), atol=1e-15)


@pytest.mark.parametrize("width", ["1e-6", "1e-12", "1e-14", "1e-15"])
def test_thin_truncations(width: str) -> None:
    low, high = Fraction(1, 10), Fraction(1, 10) + Fraction(width)
    for data in (BETA, {"dist": "uniform"}, {"density": STEPS}):
        distribution = read(**data, truncate=[low, high]).as_cdf
        assert distribution.support == (low, high)
        for rule in RULES:
            points, weights = discretised(distribution, Grid(size=3, rule=rule))
            assert low <= points[0] and points[-1] <= high and sum(weights) == 1


# Quantiles ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_quantiles_are_the_least_that_reach_a_level(name: str) -> None:
    distribution, tolerance = cdf_of(name), 1e-9 if name == "far apart" else 1e-11  # floats near 1000 are that coarse
    levels = [Fraction(k, 16) for k in range(1, 17)]
    found = distribution.quantiles(levels)
    assert found == sorted(found) and distribution.support[0] <= found[0] and found[-1] <= distribution.support[1]
    for level, x in zip(levels, found, strict=True):
        if isinstance(distribution, PiecewiseLinear):
            assert distribution.exact_cdf(x) == level and distribution.exact_cdf(x - Fraction(1, 10**9)) < level
        else:
            assert float(distribution.cdf(np.array(float(x)))) == pytest.approx(float(level), abs=tolerance)
    if isinstance(distribution, PiecewiseLinear):
        assert found[-1] == distribution.support[1]


def test_a_quantile_at_a_gap_is_its_lower_end() -> None:
    assert cdf_of("table").quantiles([Fraction(1, 2)]) == [Fraction(1, 3)]
    (found,) = cdf_of("far apart").quantiles([Fraction(1, 2)])
    assert float(found) == pytest.approx(0.2, abs=1e-4)  # where the beta reaches 1 in floats


# Grids ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ALL)
def test_grids(name: str, rule: Any) -> None:
    distribution = cdf_of(name)
    low, high = distribution.support
    ((_, mean),) = distribution.cells([low, high])
    for size in (1, 2, 7, 40):
        points, weights = discretised(distribution, Grid(size=size, rule=rule))
        assert len(points) == len(weights) <= size and sum(weights) == 1 and min(weights) > 0
        assert all(isinstance(x, Fraction) for x in (*points, *weights))
        assert points == sorted(set(points)) and low <= points[0] and points[-1] <= high
        average = sum(x * weight for x, weight in zip(points, weights, strict=True))
        if rule in {"mean", "quantile"}:
            if isinstance(distribution, PiecewiseLinear):
                assert average == mean
            assert float(average) == pytest.approx(float(mean), rel=1e-11)
        else:
            off = float((mean - average) if rule == "lower" else average - mean)
            assert 0 <= off <= float(high - low) / size + 1e-12
        if rule == "quantile":
            assert max(abs(float(weight) - 1 / size) for weight in weights) < (1e-9 if name == "far apart" else 1e-11)
        else:
            edges = [low + (high - low) * Fraction(k, size) for k in range(size + 1)]
            if rule in {"lower", "upper"}:
                assert set(points) <= set(edges)
            if name == "steps with a gap" and size == 40:
                assert len(points) == 30


def test_grids_by_hand() -> None:
    distribution = cdf_of("steps with a gap")
    f = Fraction
    quarters: dict[Rule, list[Fraction]] = {
        "mean": [f(1, 8), f(5, 8), f(7, 8)],
        "lower": [f(0), f(1, 2), f(3, 4)],
        "upper": [f(1, 4), f(3, 4), f(1)],
    }
    for rule, points in quarters.items():
        assert discretised(distribution, Grid(size=4, rule=rule)) == (points, [f(3, 4), f(1, 8), f(1, 8)])
    points = [f(1, 24), f(1, 8), f(5, 24), f(3, 4)]
    assert discretised(distribution, Grid(size=4, rule="quantile")) == (points, [f(1, 4)] * 4)
    # the gap is no part of the support's ends, so cells start where the mass does
    shifted = read(cdf=[[0, 0], [1, 0], [2, 1], [3, 1]]).as_cdf
    assert discretised(shifted, Grid(size=1)) == ([f(3, 2)], [f(1)])
    assert discretised(shifted, Grid(size=2, rule="upper")) == ([f(3, 2), f(2)], [f(1, 2)] * 2)


def test_a_narrow_peak_is_not_overlooked() -> None:
    """One wide cell, with all mass between two nodes of any fixed rule of integration."""
    for name, mean in (("sharp", 2 / 200002), ("spike in a wide support", 1e-5)):
        points, _ = discretised(cdf_of(name), Grid(size=1))
        assert float(points[0]) == pytest.approx(mean, rel=1e-8)
    data = {
        "mixture": [part("1/2", dist="beta", a=2, b=2, scale="1e-6"), part("1/2", dist="beta", a=2, b=2, loc=1, scale="1e-6")]
    }
    points, _ = discretised(read(**data).as_cdf, Grid(size=1))
    assert float(points[0]) == pytest.approx(0.5 + 5e-7, abs=1e-12)


@pytest.mark.parametrize(
    ("data", "mean"),
    [
        ({"dist": "expon"}, 1.0),
        ({"dist": "norm", "loc": "1/3"}, 1 / 3),
        ({"dist": "lomax", "c": 3}, 1 / 2),
        ({"dist": "pareto", "b": "3/2"}, 3.0),
        ({"mixture": [part("1/2", dist="expon"), part("1/2", dist="norm", loc=-3)]}, -1.0),
        ({"dist": "expon", "truncate": [5, "1e9"]}, 6.0),
    ],
)
def test_unbounded_supports_in_cells_of_equal_mass(data: dict[str, Any], mean: float) -> None:
    distribution = read(**data).as_cdf
    for size in (1, 6):
        points, weights = discretised(distribution, Grid(size=size, rule="quantile"))
        average = sum(float(x * weight) for x, weight in zip(points, weights, strict=True))
        assert average == pytest.approx(mean, rel=1e-8) and sum(weights) == 1
    if "truncate" not in data:
        with pytest.raises(ValueError, match=r"has no cells of equal length on .*inf.*; truncate it, or use the rule quantile"):
            discretised(distribution, Grid(size=4))


def test_cells_of_equal_mass_need_a_mean() -> None:
    for data in ({"dist": "cauchy"}, {"dist": "pareto", "b": 1}):
        with pytest.raises(ValueError, match=r"has no mean on .* to inf, and a type is the mean of its cell; truncate it"):
            discretised(read(**data).as_cdf, Grid(size=4, rule="quantile"))
        assert len(discretised(read(**data, truncate=[1, 5]).as_cdf, Grid(size=4, rule="quantile"))[0]) == 4


def test_large_grids_are_made_from_few_calls_and_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Distribution functions are asked for whole arrays of cells, and in few rounds: in most of them never twice."""
    asked: list[int] = []
    between = Smooth.between

    def counted(distribution: Smooth, low: Any, high: Any) -> Any:
        asked.append(np.broadcast(low, high).size)
        return between(distribution, low, high)

    monkeypatch.setattr(Smooth, "between", counted)
    points, weights = discretised(read(**BETA).as_cdf, Grid(size=20_000))
    assert len(points) > 19_000 and sum(weights) == 1 and points == sorted(points)
    assert len(asked) < 20 and sum(asked) < 100 * 20_000
