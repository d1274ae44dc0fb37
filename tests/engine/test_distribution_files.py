"""Distributions in instance files: what is written reads back, and mistakes are told with their field."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from support.command import Done
from support.one_number import ALL, linear, part, read

import optmarket as om
from optmarket.distributions.specification import Distribution, Grid

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
    np.testing.assert_array_equal(again.as_cdf.cdf(x), first.as_cdf.cdf(x))


def test_numbers_may_be_written_in_any_way() -> None:
    ways: Sequence[Any] = ("1/2", "0.5", 0.5, "5e-1", Fraction(1, 2))
    assert len({json.dumps(dumped(read(dist="beta", a=way, b=way))) for way in ways}) == 1
    assert len({read(dist="uniform", scale=way).as_cdf for way in ways}) == 1


def test_masses_that_miss_one_by_rounding_are_made_one() -> None:
    assert linear(read(density=[{"from": 0, "to": 3, "height": 0.3333333333}])).levels == (0, 1)
    distribution = linear(read(mixture=[part(0.3333333333, dist="uniform"), part(0.6666666667, dist="uniform", loc=1)]))
    assert distribution.exact_cdf(Fraction(2)) == 1


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
    params: list[Any] = [nested.params, inline.params]
    assert params[0].alpha.as_cdf == params[1].alpha.as_cdf


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
