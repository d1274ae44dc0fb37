"""The sellers' game: Shapley division, best responses, potential, equilibria, against a second program and closed forms."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.production_oracle import (
    best_by_search,
    brings,
    potential_by_subsets,
    settled,
    shapley_by_permutations,
    shapley_by_subsets,
)

from optmarket.errors import ModelError
from optmarket.models.balanced_production.best_response import best_response
from optmarket.models.balanced_production.closed_forms import symmetric_limit
from optmarket.models.balanced_production.equilibria import Game, climbed, deviation_gain, equilibria, potential, seller_profits
from optmarket.models.balanced_production.power_cone import maximised
from optmarket.models.balanced_production.revenue import Revenue
from optmarket.models.balanced_production.shapley import coalitions, shapley_values


def random_curves(seed: int, count: int, scale: float = 1.0) -> list[tuple[float, float, float, float, float]]:
    random = np.random.default_rng(seed)
    return [
        (
            scale * float(random.uniform(1, 10)),
            float(random.uniform(0.6, 1)),
            float(random.uniform(0.5, 3)),
            float(random.uniform(0.4, 1.5)),
            float(random.uniform(0.1, 1)),
        )
        for _ in range(count)
    ]


def revenue_of(curves: list[tuple[float, float, float, float, float]]) -> Revenue:
    return Revenue(*np.array(curves).T)


def one_curve(sellers: int, cost: float) -> Game:
    one = np.ones(1)
    return Game(Revenue(one, one, one, one, one), np.full(sellers, cost))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), samples=st.lists(st.sampled_from([0.0, 1.0, 2.5, 2.5, 7.0]), min_size=1, max_size=5))
def test_shapley_values_are_those_of_permutations(seed: int, samples: list[float]) -> None:
    curves = random_curves(seed, 3)
    revenue = revenue_of(curves)
    found = shapley_values(revenue.value, np.array(samples))
    expected = shapley_by_permutations(lambda amount: brings(curves, amount), samples)
    assert found == pytest.approx(expected, abs=1e-12 * revenue.most)
    assert found.sum() == pytest.approx(brings(curves, sum(samples)), abs=1e-12 * revenue.most)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), others=st.lists(st.floats(0, 30), max_size=3), cost=st.floats(0.01, 2))
def test_best_responses_are_those_of_a_search(seed: int, others: list[float], cost: float) -> None:
    curves = random_curves(seed, 3)
    revenue = revenue_of(curves)
    totals, chances = coalitions(np.array(others))
    _, found = best_response(revenue, totals, chances, cost)
    _, searched = best_by_search(curves, [0.0, *others], cost, 0)
    assert searched <= found + 1e-12 * revenue.most  # the search never finds more
    assert found == pytest.approx(searched, abs=1e-6 * revenue.most)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    samples=st.lists(st.floats(0, 20), min_size=2, max_size=4),
    own=st.floats(0, 20),
    cost=st.floats(0.1, 2),
)
def test_the_potential_changes_by_what_a_seller_gains(seed: int, samples: list[float], own: float, cost: float) -> None:
    curves = random_curves(seed, 2)
    game = Game(revenue_of(curves), np.linspace(cost, 2 * cost, len(samples)))
    costs = game.cost.tolist()
    before, after = np.array(samples), np.array([own, *samples[1:]])

    def value(amount: float) -> float:
        return brings(curves, amount)

    assert potential(game, before) == pytest.approx(potential_by_subsets(value, samples, costs), abs=1e-10 * game.revenue.most)
    gain = shapley_by_subsets(value, after.tolist(), 0) - shapley_by_subsets(value, samples, 0) - cost * (own - samples[0])
    assert potential(game, after) - potential(game, before) == pytest.approx(gain, abs=1e-10 * game.revenue.most)


@pytest.mark.parametrize(("sellers", "expected"), [(1, 10**0.5), (2, 2.5), (3, 2.130032168), (5, 1.710912687)])
def test_all_sellers_alike(sellers: int, expected: float) -> None:
    found, _ = equilibria(one_curve(sellers, 0.1))
    assert found[0].samples == pytest.approx(np.full(sellers, expected), rel=1e-9)
    assert found[0].deviation_gain <= 1e-12


@pytest.mark.parametrize(("sellers", "limit"), [(2, 40 / 49), (3, 0.632088148), (5, 0.423069834)])
def test_the_limit_of_all_sellers_alike(sellers: int, limit: float) -> None:
    assert symmetric_limit(sellers, Fraction(1)) == pytest.approx(limit, rel=1e-8)
    assert equilibria(one_curve(sellers, 0.25 * limit * 0.999))[0][0].active == sellers
    assert equilibria(one_curve(sellers, 0.25 * limit * 1.001))[0][0].active < sellers


def test_two_kinds_of_equilibrium() -> None:
    found, _ = equilibria(one_curve(2, 0.2))
    assert [one.samples.round(7).tolist() for one in found] == [[1.767767, 1.767767], [2.236068, 0.0]]
    assert max(one.deviation_gain for one in found) <= 1e-14


def test_the_joint_profit_profile_is_left() -> None:
    game = one_curve(2, 0.1)
    samples = np.full(2, 10**0.5 / 2)
    assert seller_profits(game, samples) == pytest.approx(np.full(2, 0.1837722340), abs=1e-9)
    searched = best_by_search([(1.0, 1.0, 1.0, 1.0, 1.0)], samples.tolist(), 0.1, 0)
    assert searched[0] == pytest.approx(2.637072, abs=1e-5)
    assert deviation_gain(game, samples) == pytest.approx(searched[1] - 0.1837722340, abs=1e-9)
    assert deviation_gain(game, samples) == pytest.approx(0.06061, abs=5e-6)
    assert deviation_gain(one_curve(3, 0.1), np.full(3, 10**0.5 / 3)) == pytest.approx(0.13586, abs=5e-6)
    assert deviation_gain(one_curve(5, 0.1), np.full(5, 10**0.5 / 5)) == pytest.approx(0.13883, abs=5e-6)


@pytest.mark.parametrize("seed", range(6))
def test_sellers_of_different_costs(seed: int) -> None:
    curves = random_curves(seed, 2)
    cost = np.random.default_rng(seed).uniform(0.05, 0.4, 3)
    game = Game(revenue_of(curves), cost)
    found, scope = equilibria(game)
    assert found and "may be others" in scope
    reached = settled(curves, cost.tolist())
    assert any(one.samples == pytest.approx(reached, rel=1e-4, abs=1e-4) for one in found)
    for one in found:
        assert one.deviation_gain <= 1e-12 * game.revenue.most
        for j, spent in enumerate(cost):
            kept = shapley_by_subsets(lambda amount: brings(curves, amount), one.samples.tolist(), j) - spent * one.samples[j]
            assert best_by_search(curves, one.samples.tolist(), float(spent), j)[1] <= kept + 1e-9 * game.revenue.most


@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1.0, 1e4, 1e9])
def test_scaling_payoffs_scales_nothing_but_payoffs(scale: float) -> None:
    curves, cost = random_curves(3, 3), np.array([0.2, 0.3])
    plain = equilibria(Game(revenue_of(curves), cost))[0]
    scaled = equilibria(Game(revenue_of(random_curves(3, 3, scale)), cost * scale))[0]
    assert len(plain) == len(scaled)
    for one, other in zip(plain, scaled, strict=True):
        assert other.samples == pytest.approx(one.samples, rel=1e-8)
        assert other.potential == pytest.approx(scale * one.potential, rel=1e-8)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_scaling_samples(scale: float) -> None:
    """Samples counted in other units: alpha and cost change, nothing else."""
    curves, cost = random_curves(5, 2), np.array([0.2, 0.2])
    other = [(w, z, alpha * scale**beta, beta, share) for w, z, alpha, beta, share in curves]
    plain = equilibria(Game(revenue_of(curves), cost))[0][0]
    found = equilibria(Game(revenue_of(other), cost / scale))[0][0]
    assert found.samples == pytest.approx(scale * plain.samples, rel=1e-8)


def test_relabelling_sellers_and_splitting_a_term_change_nothing() -> None:
    curves, cost = random_curves(7, 2), np.array([0.1, 0.2, 0.15])
    plain = equilibria(Game(revenue_of(curves), cost))[0][0]
    order = [2, 0, 1]
    relabelled = equilibria(Game(revenue_of(curves), cost[order]))[0][0]
    assert relabelled.samples == pytest.approx(plain.samples[order], rel=1e-8)
    halves = [(w / 2, z, alpha, beta, share) for w, z, alpha, beta, share in curves for _ in range(2)]
    assert equilibria(Game(revenue_of(halves), cost))[0][0].samples == pytest.approx(plain.samples, rel=1e-8)


@pytest.mark.parametrize("seed", range(4))
def test_the_power_cone_program_agrees(seed: int) -> None:
    game = Game(revenue_of(random_curves(seed, 3)), np.random.default_rng(seed).uniform(0.05, 0.3, 3))
    samples = climbed(game, np.zeros(3))
    assert maximised(game, samples) == pytest.approx(samples, rel=1e-4, abs=1e-4 * samples.max())


@pytest.mark.parametrize("seed", range(8))
def test_data_are_produced_if_and_only_if_the_cheapest_seller_alone_would_earn(seed: int) -> None:
    curves = random_curves(seed, 3)
    threshold = revenue_of(curves).threshold
    amounts = np.geomspace(1e-3, 1e5, 40_001)
    searched = max(brings(curves, float(amount)) / amount for amount in amounts[::40])
    assert searched <= threshold * (1 + 1e-12)
    assert (revenue_of(curves).value(amounts) / amounts).max() == pytest.approx(threshold, rel=1e-5)
    for factor, forms in ((0.999, True), (1.001, False)):
        game = Game(revenue_of(curves), factor * threshold * np.array([1.0, 1.2]))
        found, _ = equilibria(game)
        assert game.forms is forms
        assert all((one.active > 0) is forms for one in found)
        assert (deviation_gain(game, np.zeros(2)) > 0) is forms


def test_many_sellers() -> None:
    found, scope = equilibria(Game(Revenue(np.array([1e5]), *np.ones((4, 1))), np.full(1000, 0.1)))
    total = sum(t**-2.0 for t in range(1, 1001))
    assert found[0].samples == pytest.approx(np.full(1000, (1e5 * total / (1000 * 0.1)) ** 0.5), rel=1e-9)
    assert "not listed" in scope


def test_too_many_sellers_are_refused() -> None:
    revenue = Revenue(*np.ones((5, 1)))
    with pytest.raises(ModelError, match="at most 13 are taken; give all sellers the same cost"):
        equilibria(Game(revenue, np.linspace(0.01, 0.02, 14)))
    with pytest.raises(ModelError, match="at most 1,000"):
        equilibria(Game(revenue, np.full(1001, 0.01)))


def test_sellers_of_one_cost_may_have_to_differ() -> None:
    """A group with a small share of the target brings much, and only one seller produces enough to pass its ante."""
    one = np.ones(2)
    game = Game(Revenue(np.array([6.0, 2.0]), one, one, one, np.array([0.1, 0.9])), np.array([0.19, 0.19]))
    found, scope = equilibria(game)
    reached = settled([(6.0, 1.0, 1.0, 1.0, 0.1), (2.0, 1.0, 1.0, 1.0, 0.9)], [0.19, 0.19])
    assert [len(set(profile.samples)) for profile in found] == [2]
    assert found[0].samples == pytest.approx(sorted(reached, reverse=True), rel=1e-5)
    assert found[0].deviation_gain <= 1e-12
    assert "no equilibrium in which active sellers produce the same" in scope
