"""Taxes, a mediator and no market: identities, a search over rates, and how often a rule of thumb fails."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.data_users import market, random_market, squared

from optmarket.models.data_externalities import Market
from optmarket.models.data_externalities.remedies import Remedy, marginal_damage, remedies, taxed_in_full
from optmarket.rationals import floats

TIE = 1e-9


def found(users: Market) -> dict[str, Remedy]:
    return {one.name: one for one in remedies(users, 0)}


@given(seed=st.integers(0, 500), kind=st.sampled_from(["random", "scaled"]))
def test_charged_for_every_uncompensated_leak_the_platform_maximises_surplus(seed: int, kind: str) -> None:
    profiles = random_market(4, seed, kind).profiles
    assert (taxed_in_full(profiles) == profiles.surplus).all()  # the identity U - W = sum v_i I_i(0, a_-i), exactly


@pytest.mark.parametrize("seed", range(12))
def test_every_remedy_is_what_the_platform_then_chooses(seed: int) -> None:
    users = random_market(4, seed)
    rules, profiles = found(users), users.profiles
    best = float(profiles.surplus.max())
    assert float(rules["exact tax"].surplus) == pytest.approx(best, abs=TIE)
    assert rules["shut down"].surplus == 0
    assert all(float(rules[name].surplus) <= best + TIE for name in ("no remedy", "marginal tax", "uniform tax"))
    lemma, literal = (float(rules[f"de-correlation, {mode}"].surplus) for mode in ("lemma", "literal"))
    assert lemma >= max(float(rules["no remedy"].surplus), 0) - TIE and literal >= -TIE
    assert lemma >= best - TIE  # never below the first best without a mediator, under the lemma's formula


@pytest.mark.parametrize("seed", range(20))
def test_no_rate_of_a_uniform_tax_does_better(seed: int) -> None:
    users = random_market(4, seed)
    rule, profiles = found(users)["uniform tax"], users.profiles
    payoff, surplus, counts = floats(profiles.platform), floats(profiles.surplus), profiles.shares.sum(axis=1)
    rates = np.concatenate([np.linspace(0, payoff.max() + 1, 4001), [float(rule.tax), float(rule.tax) + 1e-9]])
    reached = [surplus[(payoff - rate * counts).argmax()] for rate in rates]
    assert max(reached) == pytest.approx(float(rule.surplus), abs=TIE)
    # at its own rate, and a little above it, the platform may choose, and chooses, this profile
    here = payoff - float(rule.tax) * counts
    chosen = (profiles.shares == rule.shares).all(axis=1).argmax()
    assert here[chosen] >= here.max() - TIE


def test_marginal_taxes_mostly_implement_the_first_best_and_not_always() -> None:
    fails = 0
    for seed in range(300):
        users = random_market(4, seed)
        profiles = users.profiles
        target = profiles.best(profiles.surplus, 0)
        tax = marginal_damage(profiles, target)
        chosen = profiles.best(profiles.platform - (profiles.shares * tax).sum(axis=1), 0)
        fails += profiles.surplus[chosen] < profiles.surplus[target]
    assert 1 <= fails <= 60


def test_a_uniform_tax_is_of_no_use_in_some_inefficient_markets() -> None:
    useless = inefficient = 0
    for seed in range(100):
        users = random_market(3, seed)
        rules = found(users)
        if rules["no remedy"].surplus < rules["exact tax"].surplus:
            inefficient += 1
            useless += rules["uniform tax"].surplus == rules["no remedy"].surplus
    assert 0 < useless < inefficient / 4


def test_a_mediator_s_signals_may_lower_surplus() -> None:
    rules = found(market(squared("1/2"), [0, "5/4"]))
    values = [float(rules[name].surplus) for name in ("no remedy", "de-correlation, lemma", "de-correlation, literal")]
    assert values == pytest.approx([7 / 16, 1 / 2, 3 / 7])


def test_no_literal_mediation_of_a_singular_covariance() -> None:
    assert "de-correlation, literal" not in found(market([[1, 1], [1, 1]], 1))
