"""The optimal revenue of continua of values: the paper's tables, and grids that close in on it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from support.competing_markets import EXPONENTIAL, IRREGULAR, UNIFORM, Group, continuous_values

from optmarket.models.competing_buyers.params import ContinuumOfValues
from optmarket.models.competing_buyers.solvers.by_virtual_values import at_cell_ends
from optmarket.models.competing_buyers.virtual_values import continuum
from optmarket.models.competing_buyers.virtual_values.optimal_rule import optimal_rule
from optmarket.models.competing_buyers.virtual_values.revenue_curve import RevenueCurve

TABLE = {  # market: (Bayesian, ex post) by (alpha, theta)
    "uniform": {
        (0.5, 0.5): (19 / 48, 13 / 48),
        (0.5, 0.75): (91 / 384, 13 / 96),
        (2, 0.5): (25 / 24, 13 / 24),
        (2, 0.75): (3 / 4, 13 / 48),
    },
    "exponential": {
        (0.5, 0.5): (0.632494885267, 0.404353773142),
        (0.5, 0.75): (0.447662033565, 0.202176886571),
        (2, 0.5): (1.61281784682, 0.808707546284),
        (2, 0.75): (1.41460979683, 0.404353773142),
    },
    "asymmetric": {
        (0.5, 0.5): (39 / 64, 27 / 64),
        (0.5, 0.75): (189 / 512, 27 / 128),
        (2, 0.5): (51 / 32, 27 / 32),
        (2, 0.75): (109 / 96, 27 / 64),
    },
}


BUYERS: dict[str, list[Group]] = {
    "uniform": [{"count": 2, "value": UNIFORM}],
    "exponential": [{"count": 2, "value": EXPONENTIAL}],
    "asymmetric": [{"value": UNIFORM}, {"value": {"dist": "uniform", "scale": 2}}],
}


@pytest.mark.parametrize(
    "name", ["uniform", *(pytest.param(name, marks=pytest.mark.slow) for name in TABLE if name != "uniform")]
)
def test_table(name: str) -> None:
    for (alpha, th), values in TABLE[name].items():
        for ic, value in zip(("bayesian", "ex-post"), values, strict=True):
            found, lower, upper = continuum.revenue(continuous_values(BUYERS[name], str(alpha), ic, str(th)))
            assert found == pytest.approx(value, abs=1e-11)
            assert lower <= found <= upper < lower + 1e-9


def test_lowest_value_above_nothing() -> None:
    given = continuous_values([{"count": 2, "value": {"dist": "uniform", "loc": 1}}])
    assert continuum.revenue(given)[0] == pytest.approx(55 / 48, abs=1e-10)


def test_three_buyers_whose_virtual_values_fall_without_bound() -> None:
    given = continuous_values([{"count": 3, "value": {"dist": "beta", "a": 2, "b": 2}}], 1)
    found, lower, upper = continuum.revenue(given)
    below = float(optimal_rule(at_cell_ends(given, 150), exact=False).revenue)
    assert lower <= found <= upper < lower + 1e-5
    assert below < found < below + 2e-5


def test_irregular_density() -> None:
    given = [{"count": 2, "value": IRREGULAR}]
    for ic, value in (("bayesian", 0.1698477), ("ex-post", 0.1140905)):
        assert continuum.revenue(continuous_values(given, ic=ic))[0] == pytest.approx(value, abs=6e-8)
    (population,) = continuous_values(given).populations
    assert isinstance(population, ContinuumOfValues)
    ((low, high, level),) = RevenueCurve(population.distribution).ironed
    root = math.sqrt(5)
    assert (low, high, level) == pytest.approx(((7 - root) / 20, (11 - root) / 20, (3 - root) / 10), abs=1e-12)


@pytest.mark.parametrize(("ic", "value"), [("bayesian", 33 / 64), ("ex-post", 25 / 64)])
def test_three_buyers(ic: str, value: float) -> None:
    found, lower, upper = continuum.revenue(continuous_values([{"count": 3, "value": UNIFORM}], ic=ic))
    assert found == pytest.approx(value, abs=1e-9)
    assert lower <= value <= upper < lower + 1e-8


@pytest.mark.parametrize("distribution", [UNIFORM, EXPONENTIAL, {"dist": "beta", "a": 2, "b": 3}, IRREGULAR], ids=str)
@pytest.mark.parametrize("ic", ["bayesian", "ex-post"])
def test_grids_close_in(distribution: dict[str, Any], ic: str) -> None:
    given = continuous_values([{"count": 2, "value": distribution}], ic=ic, th="3/5")
    found = continuum.revenue(given)[0]
    coarse, fine = (
        [float(optimal_rule(at_cell_ends(given, size, upper=upper), exact=False).revenue) for upper in (False, True)]
        for size in (40, 80)
    )
    assert coarse[0] < found < coarse[1]
    assert fine[0] < found < fine[1]
    assert (found - fine[0]) < 0.6 * (found - coarse[0])  # lower edges: of second order
    assert (fine[1] - found) > 0.4 * (coarse[1] - found)  # upper edges: of first
