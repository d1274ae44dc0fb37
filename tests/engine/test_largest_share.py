"""The largest share of a Dirichlet distribution: in closed form, against drawn beliefs, and where parameters are extreme."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.stats
from support import one_buyer as market
from support.paths import CASES
from support.proofs import proof

import optmarket as om
from optmarket.distributions.largest_share import largest_share
from optmarket.errors import ModelError
from optmarket.options import Options

DRAWS = 400_000


def exact(parameters: list[Any]) -> tuple[Fraction, ...]:
    return tuple(Fraction(str(entry)) for entry in parameters)


def no_share_above(states: int, x: Fraction) -> Fraction:
    """Of uniform beliefs, by inclusion and exclusion over the shares that exceed x."""
    above = (Fraction((-1) ** (k + 1) * math.comb(states, k)) * max(Fraction(0), 1 - k * x) ** (states - 1) for k in range(1, 7))
    return 1 - sum(above, Fraction(0))


@pytest.mark.parametrize("states", [2, 3, 4, 5, 6])
def test_uniform_beliefs_in_closed_form(states: int) -> None:
    found = largest_share((Fraction(1),) * states)
    places = [Fraction(k, 997) for k in range(1, 997) if Fraction(k, 997) < 1 - Fraction(1, states)]
    right = np.array([float(no_share_above(states, 1 - z)) for z in places])
    np.testing.assert_allclose(found.beyond(np.array(places, dtype=float)), right, rtol=1e-9, atol=0)
    assert found.mean_beyond(np.array(0.0)) == pytest.approx(1 - sum(1 / k for k in range(1, states + 1)) / states, rel=1e-12)
    assert found.beyond(np.array([0.0, 1 - 1 / states, 0.99, np.inf])).tolist() == pytest.approx([1, 0, 0, 0], abs=1e-14)
    assert found.error < 1e-10


@pytest.mark.parametrize(
    "parameters",
    [
        [3, 1, 3, 1, 5],
        ["0.7", "1.3", "2.1", "0.2", "5.5", "8.1"],
        ["1e-3", "1e-3", "1e-3", "1e-3", "1e-3", "1e-3"],
        ["1e6", "1e6", "1e6", "1e6", "1e6", "1e6"],
        ["1e6", 1, 1, 1, 1, 1],
        ["1e-12", "1e6", 1, "0.5"],
        ["1e-6", "1e6", "1e3", 1, 30, "0.3"],
        [50, 300, "0.5", "0.2"],
        ["0.1", 2, 1],
    ],
    ids=str,
)
def test_any_parameters_against_drawn_beliefs(parameters: list[Any]) -> None:
    found = largest_share(exact(parameters))
    drawn = scipy.stats.dirichlet.rvs([float(entry) for entry in parameters], DRAWS, random_state=np.random.default_rng(7))
    rest = 1 - drawn.max(axis=1)
    for level in (0.05, 0.3, 0.7, 0.95, 0.999):
        z = float(np.quantile(rest[rest > 0], level))
        share = float((rest >= z).mean())
        assert float(found.beyond(np.array(z))) == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / DRAWS) + 1e-9)
        part = np.where(rest >= z, rest, 0.0)
        assert float(found.mean_beyond(np.array(z))) == pytest.approx(part.mean(), abs=5 * part.std() / np.sqrt(DRAWS))


def test_tiny_parameters_keep_their_digits() -> None:
    """To first order one other share is present at once, with density a/z: it is a ln(1/z - 1) likely to exceed z."""
    found = largest_share(exact(["1e-12"] * 4))
    z = np.array([0.05, 0.2, 0.4])
    np.testing.assert_allclose(found.beyond(z), 3e-12 * np.log(1 / z - 1), rtol=1e-9)
    assert float(found.mean_beyond(np.array(0.0))) == pytest.approx(3e-12 * np.log(2), rel=1e-9)


def five(**data: Any) -> market.Params:
    return market.Params.model_validate({"belief": {"dirichlet": [3, 1, 3, 1, 5]}, **data})


def test_full_information_of_five_and_six_states() -> None:
    """Boxes' middles said 0.40047 and 0.437954, of a menu that earns 0.404521."""
    solution = om.solve(CASES / "dirichlet-five-states.toml", gap=1)
    drawn = np.random.default_rng(3).dirichlet([3, 1, 3, 1, 5], DRAWS)
    rest = 1 - drawn.max(axis=1)
    price = solution.quantities["full-information-price"]
    noise = 5 * price * np.sqrt((rest >= price).mean() / DRAWS)
    assert solution.quantities["full-information-revenue"] == pytest.approx(price * (rest >= price).mean(), abs=noise)
    worth = np.sort(rest)[::-1]
    assert (worth * np.arange(1, DRAWS + 1) / DRAWS).max() <= solution.quantities["full-information-revenue"] + noise
    assert solution.quantities["first-best"] == pytest.approx(rest.mean(), abs=5 * rest.std() / np.sqrt(DRAWS))
    solution = om.solve(CASES / "dirichlet-six-states.toml", gap=1)
    right = max(float(z * no_share_above(6, 1 - z)) for z in (Fraction(k, 20_000) for k in range(9_700, 9_830)))
    assert solution.quantities["full-information-revenue"] == pytest.approx(right, abs=1e-8)
    assert solution.quantities["full-information-price"] == pytest.approx(0.488358, abs=1e-5)
    assert solution.quantities["first-best"] == pytest.approx(1 - 2.45 / 6, rel=1e-10)
    bounds = proof(solution)
    assert right - 1e-8 <= bounds.lower <= solution.value <= bounds.upper <= solution.quantities["first-best"] * (1 + 1e-8)
    share = float(no_share_above(6, 1 - Fraction(solution.mechanism["items"][0]["price"])))
    assert solution.value == pytest.approx(solution.mechanism["items"][0]["price"] * share, rel=1e-10)
    assert any("within" in note for note in solution.notes)


def test_values_and_mixtures_of_five_states() -> None:
    parts = [{"weight": "1/3", "dirichlet": [1, 1, 1, 1, 1]}, {"weight": "2/3", "dirichlet": [9, 1, "1/2", 2, 2]}]
    data = five(belief={"mixture": parts}, value={"dist": "uniform", "loc": 1})
    rng = np.random.default_rng(8)
    second = rng.random(DRAWS) < 2 / 3
    drawn = np.where(second[:, None], rng.dirichlet([9, 1, 0.5, 2, 2], DRAWS), rng.dirichlet(np.ones(5), DRAWS))
    worth = rng.uniform(1, 2, DRAWS) * (1 - drawn.max(axis=1))
    for price in (0.2, 0.6, 0.9):
        menu = {"items": [{"experiment": np.eye(5).tolist(), "price": price}]}
        found = market.audit(data, menu).quantities
        share = (worth >= price).mean()
        noise = 5 * np.sqrt(share * (1 - share) / DRAWS)
        assert found["share-buying"] == pytest.approx(share, abs=noise)
        assert found["revenue"] == price * found["share-buying"] and found["revenue-error"] < 1e-3
        gain = np.maximum(worth - price, 0)
        assert found["surplus"] == pytest.approx(gain.mean(), abs=5 * gain.std() / np.sqrt(DRAWS))


@pytest.mark.parametrize("power", [-40, 40])
def test_payoffs_scale_everything(power: int) -> None:
    one = market.solve(five(value=1), Options(gap=1))
    other = market.solve(five(value=Fraction(2) ** power), Options(gap=1))
    for name, value in one.quantities.items():
        unit = 1.0 if name == "share-buying" else 2.0**power
        assert other.quantities[name] == pytest.approx(value * unit, rel=1e-12, abs=0)
    assert other.certificate.gap == one.certificate.gap and other.status is one.status


@pytest.mark.parametrize("value", [Fraction(1, 10**12), Fraction(10**12)])
def test_payoffs_that_are_no_powers_of_two(value: Fraction) -> None:
    one, other = market.solve(five(), Options(gap=1)), market.solve(five(value=value), Options(gap=1))
    assert other.quantities["revenue"] == pytest.approx(one.quantities["revenue"] * float(value), rel=1e-9, abs=0)
    assert other.certificate.gap == pytest.approx(one.certificate.gap, rel=1e-6)


@pytest.mark.parametrize("shape", [["1e-12"] * 5, ["1e6", 1, 1, 1, 1], ["1e-6", "1e6", "1e3", 1, 30]])
def test_skewed_beliefs_keep_full_information(shape: list[Any]) -> None:
    answer = market.solve(five(belief={"dirichlet": shape}), Options(gap=1))
    bounds, alone = answer.certificate, answer.quantities["full-information-revenue"]
    assert 0 < alone * (1 - 1e-6) <= bounds.lower <= answer.quantities["revenue"] <= bounds.upper
    assert bounds.upper <= answer.quantities["first-best"] * (1 + 1e-6)
    assert answer.quantities["revenue"] >= alone


def test_parameters_beyond_floats_are_refused() -> None:
    with pytest.raises(ModelError, match="sum to more than 1e"):
        market.solve(five(belief={"dirichlet": ["1e300", 1, 1]}), Options(gap=1))


def test_an_estimate_of_other_payoffs_is_near_drawn_types() -> None:
    """With boxes of five states the middles of boxes were several per cent off."""
    data = five(payoff=[[1, 0], [0, 2], ["1/2", 1], [0, 1], [3, 0]])
    rng = np.random.default_rng(4)
    drawn, gain = rng.dirichlet([3, 1, 3, 1, 5], DRAWS), np.array([[1, 0], [0, 2], [0.5, 1], [0, 1], [3, 0]])
    worth = drawn @ gain.max(axis=1) - (drawn @ gain).max(axis=1)
    for price in (0.15, 0.3):
        found = market.audit(data, {"items": [{"experiment": np.eye(5).tolist(), "price": price}]}).quantities
        share = (worth >= price).mean()
        assert found["share-buying"] == pytest.approx(share, abs=0.01)
        assert abs(found["revenue"] - price * share) <= found["revenue-error"] + 0.002 * price
