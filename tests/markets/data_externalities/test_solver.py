"""Whole answers: two users by hand, invariants, the audit's own computation, and how answers are said."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.data_users import covariance, market, random_market, squared
from support.proofs import proof

from optmarket.certificates import Equilibrium
from optmarket.models.data_externalities import SharingProfile, audit, solve, tables
from optmarket.models.data_externalities.closed_forms import theory
from optmarket.models.data_externalities.equilibria import best_replies
from optmarket.models.data_externalities.objectives import Gaussian
from optmarket.options import Options, Status
from optmarket.solution import decide

TOTALS = ("platform-payoff", "surplus", "first-best", "total-price", "uncompensated-leak", "unique-price")


def test_two_users_by_hand() -> None:
    answer = solve(market([[1, "4/5"], ["4/5", 1]], "11/10"), Options())
    assert answer.exact == Fraction(3071, 5250)
    assert answer.mechanism.price.tolist() == [Fraction(3179, 10500)] * 2  # type: ignore[attr-defined]
    found = answer.quantities
    assert found["surplus"] == pytest.approx(-5 / 42) and found["first-best"] == 0
    assert found["unique-price"] == pytest.approx(4477 / 5250)
    assert "selected" in answer.notes[0]


@pytest.mark.parametrize(("square", "shared"), [("1/2", Fraction(16, 9)), ("4/5", Fraction(25, 9))])
def test_both_of_two_users_share_up_to_the_threshold(square: str, shared: Fraction) -> None:
    for value, share in ((shared - Fraction(1, 1000), 1.0), (shared + Fraction(1, 1000), 0.0)):
        assert solve(market(squared(square), str(value)), Options()).quantities["share-sharing"] == share


def test_both_users_cost_less_than_one_above_the_threshold() -> None:
    root = (7 - 17**0.5) / 4
    for square, cheaper in ((root + 1e-4, True), (root - 1e-4, False)):
        profiles = market(squared(str(square)), 1).profiles
        assert (float(profiles.price[3].sum()) < float(profiles.price[1].sum())) is cheaper


@given(seed=st.integers(0, 400), kind=st.sampled_from(["random", "singular", "scaled"]))
def test_closed_forms_bounds_and_the_identity_hold(seed: int, kind: str) -> None:
    users = random_market(2 + seed % 3, seed, kind)
    answer = solve(users, Options())
    found = answer.quantities
    assert [decide(claim, answer, "platform-payoff").met for claim in theory(users)] == [True] * len(theory(users))
    leak = found["uncompensated-leak"]
    assert found["platform-payoff"] - found["surplus"] == pytest.approx(leak, abs=1e-9 * float(users.unit))
    assert found["surplus"] + found["loss"] == pytest.approx(found["first-best"])
    if found["shut-down-test"] > 0:
        assert found["surplus"] < 0
    if found.get("shut-down-test-primitives", -1.0) > 1e-12 * float(users.unit):
        assert found["shut-down-test"] > 0


def test_a_platform_that_is_indifferent_takes_the_profile_of_larger_surplus() -> None:
    """At v = 4 / (2 - rho^2)^2 both users' sharing earns the platform exactly nothing, and costs them more than it gains."""
    users = market([[1, "4/5"], ["4/5", 1]], "625/289")
    assert users.profiles.platform[3] == 0 > users.profiles.surplus[3]
    assert solve(users, Options()).quantities["share-sharing"] == 0


def test_a_user_who_is_indifferent_keeps_to_what_others_do_in_the_greatest_equilibrium() -> None:
    one = Gaussian(np.array([[1.0]]), np.ones(1))
    ends = [best_replies(one, np.array([0.5]), np.array([start]), 0.0).tolist() for start in (False, True)]
    assert ends == [[False], [True]]


@pytest.mark.parametrize("seed", range(8))
def test_order_of_users_does_not_matter_and_payoffs_scale(seed: int) -> None:
    matrix, value = covariance(5, seed), np.random.default_rng(seed).uniform(0, 2.5, 5)
    order = np.random.default_rng(seed).permutation(5)
    first, other = (solve(market(m, v), Options()) for m, v in ((matrix, value), (matrix[np.ix_(order, order)], value[order])))
    for name in TOTALS:
        assert first.quantities[name] == pytest.approx(other.quantities[name], abs=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_a_user_of_whom_nothing_is_known_changes_nothing(seed: int) -> None:
    matrix, value = covariance(4, seed), np.random.default_rng(seed).uniform(0, 2.5, 4)
    more = np.zeros((5, 5))
    more[:4, :4] = matrix
    first, other = (solve(market(m, v), Options()) for m, v in ((matrix, value), (more, np.append(value, 2.0))))
    for name in TOTALS:
        assert first.quantities[name] == pytest.approx(other.quantities[name], abs=1e-9)


@given(
    seed=st.integers(0, 400), kind=st.sampled_from(["random", "scaled"]), mediation=st.sampled_from(["none", "lemma", "literal"])
)
def test_the_audit_finds_nothing_in_an_answer_and_what_is_wrong_in_others(seed: int, kind: str, mediation: str) -> None:
    users = random_market(4, seed, kind, mediation=mediation)
    mechanism = solve(users, Options()).mechanism
    assert isinstance(mechanism, SharingProfile)
    read = SharingProfile.read(users, mechanism.to_json())
    found = audit(users, read)
    assert found.good
    if not mechanism.shares.any():
        return
    i = int(np.flatnonzero(mechanism.shares)[0])
    cheap = read.price.copy()
    cheap[i] = cheap[i] * Fraction(1, 2)
    paid_less = audit(users, SharingProfile(read.shares, cheap))
    assert paid_less.violations["deviation"] == pytest.approx(float(read.price[i]) / 2, rel=1e-6, abs=1e-9 * float(users.unit))
    assert paid_less.quantities["total-price"] == pytest.approx(found.quantities["total-price"] - float(read.price[i]) / 2)


def test_given_prices_are_answered_by_an_equilibrium() -> None:
    users = market([[1, "4/5"], ["4/5", 1]], 1, prices=["2/5", "2/5"])
    answer = solve(users, Options())
    assert answer.status is Status.EQUILIBRIUM and isinstance(answer.certificate, Equilibrium)
    assert (answer.quantities["equilibria"], answer.quantities["margin"]) == (2.0, pytest.approx(0.4 - 0.2752380952))
    assert answer.quantities["least-surplus"] == 0
    shown = tables(users, answer.mechanism)["user equilibria"]  # type: ignore[arg-type]
    assert shown["sharers"].tolist() == ["nobody", "1, 2"]


@pytest.mark.parametrize("seed", range(30))
def test_a_mixture_of_correlations_is_efficient_only_if_high_values_are_uncorrelated_with_all(seed: int) -> None:
    """Two users of low and one of high value; the high one's correlation has a positive chance, and its value is large."""
    first = covariance(3, seed)
    parts: Any = [
        {"weight": "1/2", "covariance": first.tolist()},
        {"weight": "1/2", "covariance": np.diag(np.diagonal(first)).tolist()},
    ]
    from optmarket.models.data_externalities import Market, Params

    given: Any = {"mixture": parts, "privacy_value": ["1/2", "1/4", 10_000]}
    answer = solve(Market.of(Params.model_validate(given)), Options())
    assert answer.quantities["surplus"] < 0 < answer.quantities["loss"]


@pytest.mark.parametrize("seed", range(20))
def test_above_its_threshold_a_high_value_makes_surplus_negative(seed: int) -> None:
    """Inefficiency, part 2: ``1 + sum over low users of (1 - v_l) I_l(V) / I_i(V_low)`` for a user i correlated with low ones."""
    matrix, value = covariance(4, seed), np.append(np.random.default_rng(seed).uniform(0, 1, 3), 2.0)
    users = market(matrix, value)
    table = np.array(users.profiles.leak, dtype=float)
    threshold = 1 + ((1 - value[:3]) * table[15, :3]).sum() / table[7, 3]
    value[3] = threshold * (1 + 1e-6)
    assert solve(market(matrix, value), Options()).quantities["surplus"] < 0


@pytest.mark.parametrize("seed", range(20))
def test_below_its_threshold_a_high_value_among_correlated_ones_is_inefficient(seed: int) -> None:
    """Inefficiency, part 3: ``1 + sum over other high users of Sigma_ij^2 / Sigma_ii^2``, for some i."""
    matrix = covariance(3, seed)
    threshold = 1 + (matrix[0, 1:] ** 2).sum() / matrix[0, 0] ** 2
    value = np.array([1 + (threshold - 1) * (1 - 1e-6), 1e4, 1e4])
    answer = solve(market(matrix, value), Options())
    assert answer.quantities["share-sharing"] > 0 and answer.quantities["surplus"] < 0 < answer.quantities["loss"]


@pytest.mark.parametrize("seed", range(20))
def test_with_some_chance_of_correlation_a_high_value_near_one_makes_the_equilibrium_inefficient(seed: int) -> None:
    first = covariance(2, seed)
    parts: Any = [
        {"weight": "1/3", "covariance": first.tolist()},
        {"weight": "2/3", "covariance": np.diag(np.diagonal(first)).tolist()},
    ]
    from optmarket.models.data_externalities import Market, Params

    answer = solve(Market.of(Params.model_validate({"mixture": parts, "privacy_value": ["1.000001", 5]})), Options())
    assert answer.quantities["surplus"] < 0 < answer.quantities["loss"]


@pytest.mark.parametrize("seed", range(6))
def test_best_replies_of_many_users_reach_both_ends_of_the_equilibria(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from optmarket.models.data_externalities import market as sizes

    matrix, value = covariance(6, seed), np.random.default_rng(seed).uniform(0, 2.5, 6)
    price = (np.random.default_rng(seed + 1).uniform(0, 0.5, 6) * np.diagonal(matrix)).tolist()
    listed = solve(market(matrix, value, prices=price), Options())
    monkeypatch.setattr(sizes, "LISTED_USERS", 5)
    found = solve(market(matrix, value, prices=price), Options())
    assert found.run.method == "monotone best replies"
    for name in ("platform-payoff", "surplus", "least-surplus", "margin"):
        assert found.quantities[name] == pytest.approx(listed.quantities[name], abs=1e-9)


def test_exact_arithmetic_on_request_and_where_it_is_refused() -> None:
    from optmarket.errors import ModelError
    from optmarket.models.data_externalities import Market, Params

    given = {"generator": {"name": "toeplitz", "n": 8}, "privacy_value": "3/4"}
    users = Market.of(Params.model_validate(given))
    rounded, exact = solve(users, Options()), solve(users, Options(exact=True))
    assert rounded.exact is None and exact.exact is not None
    assert proof(rounded).lower <= exact.exact <= proof(rounded).upper
    with pytest.raises(ModelError, match="at most 12 users"):
        solve(users, Options(exact=True, method="branch-and-bound"))


def test_secret_values_and_several_covariances_are_refused_by_methods_that_do_not_take_them() -> None:
    from optmarket.errors import ModelError
    from optmarket.models.data_externalities import Market, Params

    secret = market([[1]], "1/2", valuation={"dist": "uniform", "scale": 2})
    mixed = Market.of(
        Params.model_validate({"mixture": [{"weight": 1, "covariance": [[1]]}] * 1, "privacy_value": 1, "mediation": "lemma"})
    )
    for users, words in ((secret, "takes known values"), (mixed, "takes one known covariance")):
        for method in ("branch-and-bound", "milp"):
            with pytest.raises(ModelError, match=words):
                solve(users, Options(method=method))


def test_an_enumeration_is_refused_where_there_are_too_many_users() -> None:
    from optmarket.errors import ModelError
    from optmarket.models.data_externalities import Market, Params

    users = Market.of(Params.model_validate({"generator": {"name": "factor", "n": 19}, "privacy_value": 1}))
    with pytest.raises(ModelError, match="takes at most 18 users"):
        solve(users, Options(method="enumeration"))
    answer = solve(users, Options())
    assert answer.quantities["share-sharing"] == 1 and proof(answer).gap <= 1e-6
