"""Distributions of one number as instance files describe them: piecewise linear ones, smooth ones and mixtures."""

from __future__ import annotations

from typing import Any

from optmarket.distributions.cdf import PiecewiseLinear, Smooth
from optmarket.distributions.specification import Distribution

STEPS = [{"from": "1/2", "to": 1, "height": "1/2"}, {"from": 0, "to": "1/4", "height": 3}]


TABLE = [[0, 0], ["1/3", "1/2"], ["2/3", "1/2"], [1, 1]]


BETA = {"dist": "beta", "a": 2, "b": 4, "scale": "1/5"}


def read(**data: Any) -> Distribution:
    return Distribution.model_validate(data)


def linear(distribution: Distribution) -> PiecewiseLinear:
    """Its function, which is piecewise linear."""
    found = distribution.as_cdf
    assert isinstance(found, PiecewiseLinear)
    return found


def smooth(distribution: Distribution) -> Smooth:
    """Its function, which is evaluated in floats."""
    found = distribution.as_cdf
    assert isinstance(found, Smooth)
    return found


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
