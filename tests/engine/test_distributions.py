"""Distributions: their laws against scipy and by hand, grids made from them, and every mistake in words."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.integrate import quad
from support.command import Done

import optmarket as om
from optmarket.distributions.specification import Distribution, Grid, PiecewiseLinear, Smooth, discretised

quick = settings(max_examples=40, deadline=None, derandomize=True)
RULES = ("mean", "lower", "upper", "quantile")
STEPS = [{"from": "1/2", "to": 1, "height": "1/2"}, {"from": 0, "to": "1/4", "height": 3}]
TABLE = [[0, 0], ["1/3", "1/2"], ["2/3", "1/2"], [1, 1]]
BETA = {"dist": "beta", "a": 2, "b": 4, "scale": "1/5"}


def read(**data: Any) -> Distribution:
    return Distribution.model_validate(data)


def part(weight: Any, **data: Any) -> dict[str, Any]:
    return {"weight": weight, **data}


LINEAR: dict[str, dict[str, Any]] = {
    "uniform": {"dist": "uniform"},
    "uniform elsewhere": {"dist": "uniform", "loc": "-1/3", "scale": "2/7"},
    "steps with a gap": {"density": STEPS},
    "table": {"cdf": TABLE},
    "cut": {"cdf": TABLE, "truncate": ["1/6", "5/6"]},
    "cut wider than it is": {"density": STEPS, "truncate": [-1, 2]},
    "mixed": {"mixture": [part("1/3", dist="uniform"), part("2/3", cdf=TABLE, truncate=["1/6", 5])]},
    "nested": {
        "mixture": [part("1/4", mixture=[part(1, density=STEPS)]), part("3/4", dist="uniform", loc=2)],
        "truncate": [0, "5/2"],
    },
}
SMOOTH: dict[str, dict[str, Any]] = {
    "beta": BETA,
    "arcsine": {"dist": "beta", "a": "1/2", "b": "1/2"},
    "sharp": {"dist": "beta", "a": 2, "b": 200000},
    "normal cut": {"dist": "truncnorm", "a": "-5/3", "b": 2, "loc": "1/4", "scale": "1/16"},
    "exponential cut": {"dist": "expon", "truncate": ["1/3", 3]},
    "upper tail": {"dist": "norm", "truncate": [10, 11]},
    "lower tail": {"dist": "norm", "truncate": [-11, -10]},
    "spike in a wide support": {"dist": "norm", "loc": "1e-5", "scale": "1e-7", "truncate": [0, 1]},
    "smooth mixture": {"mixture": [part("1/3", **BETA), part("2/3", dist="expon", truncate=[0, 1])]},
    "mixed with a linear one": {"mixture": [part("1/2", **BETA), part("1/2", cdf=TABLE)], "truncate": ["1/20", "4/5"]},
    "far apart": {"mixture": [part("1/2", **BETA), part("1/2", dist="beta", a=2, b=2, loc=1000, scale="1e-3")]},
    "nested smooth": {"mixture": [part("1/2", mixture=[part("1/2", **BETA), part("1/2", dist="uniform")]), part("1/2", **BETA)]},
}
ALL = LINEAR | SMOOTH


def law_of(name: str) -> Any:
    return read(**ALL[name]).law


def mean_by_hand(data: dict[str, Any]) -> float:
    """E X by scipy alone, each distribution by itself; only for those without a table."""
    if "mixture" in data and "truncate" not in data:
        return sum(float(Fraction(inner["weight"])) * mean_by_hand({**inner, "weight": None}) for inner in data["mixture"])
    names = {key: float(Fraction(value)) for key, value in data.items() if key not in {"dist", "truncate", "weight"}}
    law = getattr(scipy.stats, data["dist"])(**names)
    if "truncate" not in data:
        return float(law.mean())
    low, high = (float(Fraction(end)) for end in data["truncate"])
    middle = [x for x in np.ravel([law.mean() + k * law.std() for k in (-8, -1, 0, 1, 8)]) if low < x < high]
    mass, moment = (
        quad(f, low, high, points=middle or None, epsabs=0, limit=400)[0] for f in (law.pdf, lambda x: x * law.pdf(x))
    )
    return moment / mass


# Laws in fractions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LINEAR)
def test_linear_in_pieces_is_exact(name: str) -> None:
    law = law_of(name)
    assert isinstance(law, PiecewiseLinear)
    numbers = [*law.knots, *law.levels]
    assert all(isinstance(x, Fraction) for x in numbers) and (law.levels[0], law.levels[-1]) == (0, 1)
    assert list(law.knots) == sorted(set(law.knots)) and list(law.levels) == sorted(law.levels)
    x = np.linspace(float(law.knots[0]) - 1, float(law.knots[-1]) + 1, 301)
    exactly = [float(law.exact_cdf(Fraction(float(at)))) for at in x]
    np.testing.assert_allclose(law.cdf(x), exactly, rtol=0, atol=1e-14)


def test_exact_values_by_hand() -> None:
    steps = law_of("steps with a gap")
    third, half = Fraction(1, 3), Fraction(1, 2)
    assert [steps.exact_cdf(Fraction(x)) for x in ("1/8", "1/4", "3/8", "1/2", "3/4", "2")] == [
        Fraction(3, 8), Fraction(3, 4), Fraction(3, 4), Fraction(3, 4), Fraction(7, 8), 1,
    ]  # fmt: skip
    assert steps.quantiles([Fraction(3, 8), Fraction(3, 4), Fraction(7, 8)]) == [Fraction(1, 8), Fraction(1, 4), Fraction(3, 4)]
    # masses 3/4 around 1/8 and 1/4 around 3/4
    assert steps.cells([Fraction(0), Fraction(1)]) == [(1, Fraction(3, 4) / 8 + Fraction(1, 4) * 3 / 4)]
    assert steps.cells([Fraction(1, 4), half]) == [(0, 0)]
    cut = law_of("cut")  # of 1/4 + 1/4 on either side of the gap half is left
    assert cut.support == (Fraction(1, 6), Fraction(5, 6))
    assert [cut.exact_cdf(x) for x in (Fraction(1, 4), third, half, Fraction(3, 4))] == [
        Fraction(1, 4),
        half,
        half,
        Fraction(3, 4),
    ]
    nested = law_of("nested")  # 1/4 of the steps, and half of 3/4 on [2, 5/2]: in all 5/8
    assert nested.exact_cdf(Fraction(2)) == Fraction(2, 5) and nested.exact_cdf(Fraction(9, 4)) == Fraction(7, 10)
    assert law_of("cut wider than it is").support == (0, 1)


def test_uniforms_of_scipy_are_the_linear_ones() -> None:
    law, other = law_of("uniform elsewhere"), scipy.stats.uniform(-1 / 3, 2 / 7)
    x = np.linspace(-1, 1, 201)
    np.testing.assert_allclose(law.cdf(x), other.cdf(x), atol=1e-15)
    ((mass, moment),) = law.cells(list(law.support))
    assert (mass, moment) == (1, Fraction(-1, 3) + Fraction(1, 7))


def test_a_mixture_weighs_the_distribution_functions() -> None:
    data = {"mixture": [part("1/3", dist="uniform"), part("2/3", cdf=TABLE)]}
    law, table = read(**data).law, law_of("table")
    for k in range(-2, 15):
        x = Fraction(k, 12)
        assert law.exact_cdf(x) == min(max(x, Fraction(0)), Fraction(1)) / 3 + 2 * table.exact_cdf(x) / 3


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
    density, table = read(density=data.draw(st.permutations(steps))).law, read(cdf=points).law
    assert (density.support, density.cells(density.knots)) == (table.support, table.cells(density.knots))
    low, high = sorted(data.draw(st.lists(st.integers(0, 4 * int(at)), min_size=2, max_size=2, unique=True)))
    left, right = Fraction(low, 4), Fraction(high, 4)
    ((mass, moment),) = density.cells([left, right])
    clipped = [(max(s["from"], left), min(s["to"], right), s["height"]) for s in steps]
    clipped = [(a, b, h) for a, b, h in clipped if a < b]
    assert mass == sum((b - a) * h for a, b, h in clipped) == density.exact_cdf(right) - density.exact_cdf(left)
    assert moment == sum((b * b - a * a) / 2 * h for a, b, h in clipped)
    if mass:
        cut = read(density=steps, truncate=[left, right]).law
        assert cut.cells([left, right]) == [(1, moment / mass)]


# Laws in floats -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_laws_are_distribution_functions(name: str) -> None:
    law = law_of(name)
    assert isinstance(law, Smooth)
    low, high = map(float, law.support)
    x = np.linspace(low, high, 801)
    levels = law.cdf(x)
    assert levels[0] == 0 and levels[-1] == pytest.approx(1, abs=1e-15) and np.all(np.diff(levels) >= -1e-15)
    np.testing.assert_array_equal(law.cdf(np.array([low - 1, high + 1])), levels[[0, -1]])
    np.testing.assert_allclose(law.between(x[:-1], x[1:]), np.diff(levels), atol=2e-15)


@pytest.mark.parametrize("name", sorted(SMOOTH.keys() - {"mixed with a linear one"}))
def test_means_by_scipy(name: str) -> None:
    law = law_of(name)
    ((mass, moment),) = law.cells(list(law.support))
    expected = mean_by_hand(SMOOTH[name])
    assert float(mass) == pytest.approx(1, abs=1e-15)
    assert float(moment) == pytest.approx(expected, rel=1e-9)


@pytest.mark.filterwarnings("ignore::scipy.integrate.IntegrationWarning")
@pytest.mark.parametrize(
    ("data", "law"),
    [
        (BETA, scipy.stats.beta(2, 4, scale=0.2)),
        (SMOOTH["arcsine"], scipy.stats.beta(0.5, 0.5)),
        (SMOOTH["normal cut"], scipy.stats.truncnorm(-5 / 3, 2, loc=0.25, scale=1 / 16)),
        ({"dist": "expon", "truncate": [0, 3]}, scipy.stats.truncexpon(3)),
        ({"dist": "norm", "truncate": [-1, "1/2"]}, scipy.stats.truncnorm(-1, 0.5)),
        ({"dist": "norm", "truncate": [7, 8]}, scipy.stats.truncnorm(7, 8)),
    ],
)
def test_cells_against_expect(data: dict[str, Any], law: Any) -> None:
    """Whole, in both tails, and in slivers; scipy integrates densities, the package distribution functions."""
    ours = read(**data).law
    low, high = ours.support
    width = high - low
    for left, right in [("0", "1"), ("0", "1/1000"), ("999/1000", "1"), ("1/3", "2/3"), ("1/2", "1/2000000")]:
        first = low + Fraction(left) * width
        last = first + Fraction(right) * width if left == "1/2" else low + Fraction(right) * width
        ((mass, moment),) = ours.cells([first, last])
        expected = law.expect(lambda x: x, lb=float(first), ub=float(last), epsabs=0, epsrel=1e-11, limit=200)
        assert float(moment) == pytest.approx(expected, rel=2e-8, abs=1e-300), (left, right)
        assert first * mass <= moment <= last * mass
        by_difference = law.cdf(float(last)) - law.cdf(float(first))
        assert float(mass) == pytest.approx(by_difference, rel=1e-7, abs=2e-16)


def test_tails_keep_their_digits() -> None:
    """Pr(10 < X <= 10.5 | 10 < X <= 11) of a normal, where Pr(X <= 10) is 1 in floats."""
    upper, lower = law_of("upper tail"), law_of("lower tail")
    expected = (scipy.stats.norm.sf(10) - scipy.stats.norm.sf(10.5)) / (scipy.stats.norm.sf(10) - scipy.stats.norm.sf(11))
    assert float(upper.cdf(np.array(10.5))) == pytest.approx(expected, rel=1e-13)
    assert float(lower.between(np.array(-10.5), np.array(-10.0))) == pytest.approx(expected, rel=1e-13)
    edges = [Fraction(10) + Fraction(k, 7) for k in range(8)]
    mirrored = lower.cells([-edge for edge in reversed(edges)])[::-1]
    for (mass, moment), (other_mass, other_moment) in zip(upper.cells(edges), mirrored, strict=True):
        assert float(mass) == pytest.approx(float(other_mass), rel=1e-12)
        assert float(moment) == pytest.approx(-float(other_moment), rel=1e-12)
    assert read(dist="expon", truncate=[40, 41]).law.cells([Fraction(40), Fraction(41)])[0][1] == pytest.approx(
        40 + 1 - 1 / math.expm1(1), rel=1e-12
    )  # an exponential forgets: 40 plus the mean of one cut to [0, 1]


def test_supports_are_what_the_file_says_to_the_digit() -> None:
    for end in ("5/28", "1/3", "2/7", "11/17"):
        assert read(dist="beta", a=2, b=4, scale=end).law.support == (0, Fraction(end))
        assert read(dist="norm", truncate=[0, end]).law.support == (0, Fraction(end))
    assert read(dist="truncnorm", a="-5/3", b=2, loc="5/21", scale="1/7").law.support == (0, Fraction(11, 21))
    assert law_of("far apart").support == (0, Fraction(1000001, 1000))
    low, high = read(dist="expon", loc="1/3").law.support
    assert low == Fraction(1, 3) and high == math.inf


def test_truncation_within_a_mixture_and_of_it() -> None:
    whole = read(mixture=[part("1/2", **BETA), part("1/2", dist="uniform")]).law
    cut = read(mixture=[part("1/2", **BETA), part("1/2", dist="uniform")], truncate=["1/10", "1/2"]).law
    inside = float(whole.between(np.array(0.1), np.array(0.5)))
    x = np.linspace(0.1, 0.5, 41)
    np.testing.assert_allclose(cut.cdf(x), whole.between(np.full(41, 0.1), x) / inside, atol=1e-14)
    gone = read(mixture=[part("1/2", **BETA), part("1/2", dist="uniform", loc=1)], truncate=[0, 1]).law
    np.testing.assert_allclose(gone.cdf(x / 2), read(**BETA).law.cdf(x / 2), atol=1e-15)


@pytest.mark.parametrize("width", ["1e-6", "1e-12", "1e-14", "1e-15"])
def test_thin_truncations(width: str) -> None:
    low, high = Fraction(1, 10), Fraction(1, 10) + Fraction(width)
    for data in (BETA, {"dist": "uniform"}, {"density": STEPS}):
        law = read(**data, truncate=[low, high]).law
        assert law.support == (low, high)
        for rule in RULES:
            points, weights = discretised(law, Grid(size=3, rule=rule))
            assert low <= points[0] and points[-1] <= high and sum(weights) == 1


# Quantiles ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_quantiles_are_the_least_that_reach_a_level(name: str) -> None:
    law, tolerance = law_of(name), 1e-9 if name == "far apart" else 1e-11  # floats near 1000 are that coarse
    levels = [Fraction(k, 16) for k in range(1, 17)]
    found = law.quantiles(levels)
    assert found == sorted(found) and law.support[0] <= found[0] and found[-1] <= law.support[1]
    for level, x in zip(levels, found, strict=True):
        if isinstance(law, PiecewiseLinear):
            assert law.exact_cdf(x) == level and law.exact_cdf(x - Fraction(1, 10**9)) < level
        else:
            assert float(law.cdf(np.array(float(x)))) == pytest.approx(float(level), abs=tolerance)
    if isinstance(law, PiecewiseLinear):
        assert found[-1] == law.support[1]


def test_a_quantile_at_a_gap_is_its_lower_end() -> None:
    assert law_of("table").quantiles([Fraction(1, 2)]) == [Fraction(1, 3)]
    (found,) = law_of("far apart").quantiles([Fraction(1, 2)])
    assert float(found) == pytest.approx(0.2, abs=1e-4)  # where the beta reaches 1 in floats


# Grids ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ALL)
def test_grids(name: str, rule: Any) -> None:
    law = law_of(name)
    low, high = law.support
    ((_, mean),) = law.cells([low, high])
    for size in (1, 2, 7, 40):
        points, weights = discretised(law, Grid(size=size, rule=rule))
        assert len(points) == len(weights) <= size and sum(weights) == 1 and min(weights) > 0
        assert all(isinstance(x, Fraction) for x in (*points, *weights))
        assert points == sorted(set(points)) and low <= points[0] and points[-1] <= high
        average = sum(x * weight for x, weight in zip(points, weights, strict=True))
        if rule in {"mean", "quantile"}:
            if isinstance(law, PiecewiseLinear):
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
    law = law_of("steps with a gap")
    f = Fraction
    quarters = {
        "mean": [f(1, 8), f(5, 8), f(7, 8)],
        "lower": [f(0), f(1, 2), f(3, 4)],
        "upper": [f(1, 4), f(3, 4), f(1)],
    }
    for rule, points in quarters.items():
        assert discretised(law, Grid(size=4, rule=rule)) == (points, [f(3, 4), f(1, 8), f(1, 8)])
    points = [f(1, 24), f(1, 8), f(5, 24), f(3, 4)]
    assert discretised(law, Grid(size=4, rule="quantile")) == (points, [f(1, 4)] * 4)
    # the gap is no part of the support's ends, so cells start where the mass does
    shifted = read(cdf=[[0, 0], [1, 0], [2, 1], [3, 1]]).law
    assert discretised(shifted, Grid(size=1)) == ([f(3, 2)], [f(1)])
    assert discretised(shifted, Grid(size=2, rule="upper")) == ([f(3, 2), f(2)], [f(1, 2)] * 2)


def test_a_narrow_peak_is_not_overlooked() -> None:
    """One wide cell, with all mass between two nodes of any fixed rule of integration."""
    for name, mean in (("sharp", 2 / 200002), ("spike in a wide support", 1e-5)):
        points, _ = discretised(law_of(name), Grid(size=1))
        assert float(points[0]) == pytest.approx(mean, rel=1e-8)
    data = {
        "mixture": [part("1/2", dist="beta", a=2, b=2, scale="1e-6"), part("1/2", dist="beta", a=2, b=2, loc=1, scale="1e-6")]
    }
    points, _ = discretised(read(**data).law, Grid(size=1))
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
    law = read(**data).law
    for size in (1, 6):
        points, weights = discretised(law, Grid(size=size, rule="quantile"))
        average = sum(float(x * weight) for x, weight in zip(points, weights, strict=True))
        assert average == pytest.approx(mean, rel=1e-8) and sum(weights) == 1
    if "truncate" not in data:
        with pytest.raises(ValueError, match=r"has no cells of equal length on .*inf.*; truncate it, or use the rule quantile"):
            discretised(law, Grid(size=4))


def test_cells_of_equal_mass_need_a_mean() -> None:
    for data in ({"dist": "cauchy"}, {"dist": "pareto", "b": 1}):
        with pytest.raises(ValueError, match=r"has no mean on .* to inf, and a type is the mean of its cell; truncate it"):
            discretised(read(**data).law, Grid(size=4, rule="quantile"))
        assert len(discretised(read(**data, truncate=[1, 5]).law, Grid(size=4, rule="quantile"))[0]) == 4


def test_large_grids_are_made_from_few_calls_and_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Distribution functions are asked for whole arrays of cells, and in few rounds: in most of them never twice."""
    asked: list[int] = []
    between = Smooth.between

    def counted(law: Smooth, low: Any, high: Any) -> Any:
        asked.append(np.broadcast(low, high).size)
        return between(law, low, high)

    monkeypatch.setattr(Smooth, "between", counted)
    points, weights = discretised(read(**BETA).law, Grid(size=20_000))
    assert len(points) > 19_000 and sum(weights) == 1 and points == sorted(points)
    assert len(asked) < 20 and sum(asked) < 100 * 20_000


# Files ----------------------------------------------------------------------------------------------------------------


def dumped(data: Distribution) -> Any:
    return json.loads(json.dumps(data.model_dump(mode="json", by_alias=True, exclude_none=True)))


@pytest.mark.parametrize("name", ALL)
def test_what_is_written_reads_back(name: str) -> None:
    first = read(**ALL[name])
    again = Distribution.model_validate(dumped(first))
    assert again == first and dumped(again) == dumped(first)
    assert "parameters" not in json.dumps(dumped(first))
    x = np.linspace(-1, 2, 31)
    np.testing.assert_array_equal(again.law.cdf(x), first.law.cdf(x))


def test_numbers_may_be_written_in_any_way() -> None:
    ways: Sequence[Any] = ("1/2", "0.5", 0.5, "5e-1", Fraction(1, 2))
    assert len({json.dumps(dumped(read(dist="beta", a=way, b=way))) for way in ways}) == 1
    assert len({read(dist="uniform", scale=way).law for way in ways}) == 1


def test_masses_that_miss_one_by_rounding_are_made_one() -> None:
    assert read(density=[{"from": 0, "to": 3, "height": 0.3333333333}]).law.levels == (0, 1)
    law = read(mixture=[part(0.3333333333, dist="uniform"), part(0.6666666667, dist="uniform", loc=1)]).law
    assert law.exact_cdf(Fraction(2)) == 1


BASE = """
format = 1
model = "selling-training-data"
title = "a line"
source = "here"
[params]
line = { k = "1/5", m = "3/10" }
grid = { size = 3 }
"""


def instance(folder: Path, alpha: str) -> Path:
    path = folder / "case.toml"
    path.write_text(f"{BASE}alpha = {alpha}\n", "utf-8")
    return path


def test_csv_tables_are_inline_ones(tmp_path: Path) -> None:
    (tmp_path / "cdf.csv").write_text("F, x\n0, 0\n1/2, 1/8\n1, 0.25\n", "utf-8")
    from_csv = om.load(instance(tmp_path, '{ cdf_csv = "cdf.csv" }'))
    inline = om.load(instance(tmp_path, '{ cdf = [[0, 0], ["1/8", "1/2"], ["1/4", 1]] }'))
    assert from_csv.sha256 == inline.sha256
    nested = om.load(instance(tmp_path, '{ mixture = [{ weight = 1, cdf_csv = "cdf.csv" }] }'))
    assert nested.params.alpha.law == inline.params.alpha.law


U = 'dist = "uniform", scale = "1/4"'
WRONG = {
    '{ dist = "bta", a = 1, b = 1 }': "has dist 'bta', which is no continuous distribution of scipy.stats; did you mean 'beta'?",
    '{ dist = "zzzzzz" }': "for instance uniform, beta, truncnorm, expon",
    '{ dist = "mean" }': "alpha: has dist 'mean', which is no continuous",
    '{ dist = "rv_continuous" }': "alpha: has dist 'rv_continuous', which is no continuous",
    '{ dist = "poisson", mu = 1 }': "alpha: has dist 'poisson', which is no continuous",
    '{ dist = "__doc__" }': "which is no continuous",
    '{ dist = "" }': "which is no continuous",
    "{ dist = 3 }": "alpha.dist: is 3; must be text",
    '"uniform"': "alpha: is 'uniform'; must be a table",
    '{ dist = "beta", a = 2 }': "alpha: needs b; beta takes a, b, loc, scale",
    '{ dist = "beta", a = 2, b = 1, c = 3 }': "alpha: has no parameter c; beta takes a, b, loc, scale",
    '{ dist = "uniform", weight = 1 }': "alpha: has no parameter weight; uniform takes loc, scale",
    '{ dist = "beta", a = 0, b = 1 }': "alpha: is beta with a = 0, b = 1, which scipy rejects; see scipy.stats.beta",
    '{ dist = "uniform", scale = 0 }': "alpha: is uniform with scale = 0, which scipy rejects",
    '{ dist = "beta", a = 1, b = 1, scale = -1 }': "scale = -1, which scipy rejects",
    '{ dist = "truncnorm", a = 1, b = -1 }': "which scipy rejects",
    '{ dist = "uniform", scale = "x" }': "alpha: has a scale that is 'x'; a number is written",
    '{ dist = "uniform", scale = nan }': "alpha: has a scale that is nan; must be finite",
    '{ dist = "uniform", loc = -inf }': "alpha: has a loc that is -infinity; must be finite",
    '{ dist = "uniform", scale = "1/0" }': "a division by zero",
    '{ dist = "uniform", scale = [1] }': "alpha: has a scale that is a list; a number is written",
    "{ density = [{ from = 0, to = 1, height = 2 }] }": "alpha.density: its masses, height x length, sum to 2; must sum to 1",
    "{ density = [{ from = 0, to = 1, height = -1 }] }": "alpha.density[0].height: is -1; must be at least 0",
    "{ density = [{ from = 1, to = 1, height = 1 }] }": "alpha.density[0]: goes from 1 to 1; to must be above from",
    "{ density = [{ from = 0, to = 1 }] }": "alpha.density[0].height: is missing; the density there",
    "{ density = [] }": "alpha.density: has 0 entries; needs at least 1",
    '{ density = [{ from = 0, to = "1/5", height = 2 }, { from = "1/10", to = "3/10", height = 3 }] }': (
        "alpha.density: has stretches that overlap between 1/10 and 1/5"
    ),
    "{ cdf = [[0, 0]] }": "alpha.cdf: has 1 entries; needs at least 2",
    "{ cdf = [[0, 0], [0, 1]] }": "alpha.cdf: has x = 0 after 0; x must increase",
    '{ cdf = [[0, 0], [1, "1/2"], [2, "1/3"], [3, 1]] }': "alpha.cdf: falls from 1/2 to 1/3 at x = 2; F must not decrease",
    '{ cdf = [[0, "1/8"], [1, 1]] }': "alpha.cdf: goes from 1/8 to 1; F must go from 0 to 1",
    '{ cdf = [[0, 0], [1, "9/8"]] }': "alpha.cdf: goes from 0 to 9/8; F must go from 0 to 1",
    '{ cdf_csv = "none.csv" }': "none.csv: there is no such file",
    '{ cdf_csv = "bad.csv" }': "bad.csv: has columns x, G; must be x and F",
    '{ cdf_csv = "worse.csv" }': "worse.csv: line 3: is 'b'",
    "{ cdf_csv = 5 }": "alpha: has a cdf_csv that is not the name of a csv file",
    '{ cdf_csv = "bad.csv", cdf = [[0, 0], [1, 1]] }': "alpha: gives cdf and cdf_csv; must give one of",
    f"{{ {U}, cdf = [[0, 0], [1, 1]] }}": "alpha: gives dist and cdf; must give one of dist, mixture, density, cdf and cdf_csv",
    "{ }": "alpha: gives none; must give one of dist, mixture, density, cdf and cdf_csv",
    "{ cdf = [[0, 0], [1, 1]], scale = 2 }": "alpha.scale: unknown field",
    "{ cdf = [[0, 0], [1, 1]], parameters = { scale = 2 } }": "alpha: has scale without dist",
    f"{{ {U}, truncate = [1, 2] }}": "alpha: has no mass between 1 and 2, to which it is truncated",
    '{ dist = "beta", a = 1, b = 2, truncate = [1, 2] }': "alpha: has no mass between 1 and 2",
    '{ density = [{ from = 0, to = 1, height = 1 }], truncate = ["1/2", "1/2"] }': "has truncate from 1/2 to 1/2; the second",
    f"{{ {U}, truncate = [1, 0] }}": "has truncate from 1 to 0; the second must be above the first",
    f"{{ {U}, truncate = [1] }}": "alpha.truncate",
    f"{{ mixture = [{{ {U} }}] }}": "alpha.mixture[0].weight: is missing; its share, above 0",
    f"{{ mixture = [{{ weight = 0, {U} }}] }}": "alpha.mixture[0].weight: is 0; must be above 0",
    f'{{ mixture = [{{ weight = "1/2", {U} }}] }}': "alpha.mixture: weights sum to 1/2; must sum to 1",
    '{ mixture = [{ weight = 1, dist = "uniform", a = 1 }] }': "alpha.mixture[0]: has no parameter a; uniform takes loc, scale",
    "{ mixture = [] }": "alpha.mixture: has 0 entries; needs at least 1",
}


@pytest.mark.parametrize("alpha", WRONG)
def test_mistakes_are_told_with_their_field(alpha: str, tmp_path: Path, run: Callable[..., Done]) -> None:
    (tmp_path / "bad.csv").write_text("x,G\n0,0\n1,1\n", "utf-8")
    (tmp_path / "worse.csv").write_text("x,F\n0,0\nb,1\n", "utf-8")
    error = run("solve", instance(tmp_path, alpha)).one_error()
    assert WRONG[alpha] in error and (str(tmp_path) in error)


@pytest.mark.parametrize("size", [0, -1, 100_001, "2", 2.5])
def test_sizes_of_grids(size: Any) -> None:
    with pytest.raises(ValidationError):
        Grid(size=size)
