"""Leaked information against regression, simulation, hand-computed fractions, and what it must obey."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.data_users import covariance, market, random_market

from optmarket.arrays import BoolArray, FloatArray
from optmarket.models.data_externalities.leaks import GaussianLeaks, inverse, shares_of, transformed, without_self
from optmarket.rationals import floats

KINDS = ["random", "singular", "scaled"]
HALF = Fraction(1, 2)
THREE = [[1, "1/2", "1/2"], ["1/2", 1, 0], ["1/2", 0, 1]]


def by_regression(matrix: FloatArray, shares: BoolArray) -> FloatArray:
    """Variance explained by least squares on the signals, from the joint covariance of types and signals."""
    n = len(matrix)
    signals = matrix[np.ix_(shares, shares)] + np.eye(int(shares.sum()))
    explained = [matrix[i, shares] @ np.linalg.lstsq(signals, matrix[shares, i], rcond=None)[0] for i in range(n)]
    return np.array(explained)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_one_profile_and_all_profiles_are_the_regression(kind: str, seed: int) -> None:
    users = random_market(5, seed, kind)
    table = users.leaks.table(exact=False)
    matrix = floats(users.leaks.parts[0][1]) if isinstance(users.leaks, GaussianLeaks) else None
    assert matrix is not None
    scale = np.abs(matrix).max()
    for k, shares in enumerate(shares_of(5)):
        right = by_regression(matrix, shares)
        leak, without = users.leaks.at(shares, exact=False)
        np.testing.assert_allclose(leak, right, atol=1e-10 * scale)
        np.testing.assert_allclose(table[k], right, atol=1e-10 * scale)
        np.testing.assert_allclose(without, without_self(table)[k], atol=1e-10 * scale)


@pytest.mark.parametrize("kind", ["random", "scaled"])
@pytest.mark.parametrize("mediation", ["none", "lemma", "literal"])
def test_exact_and_float_leaks_are_the_same(mediation: str, kind: str) -> None:
    users = random_market(4, 3, kind, mediation=mediation)
    exact, rounded = users.leaks.table(exact=True), users.leaks.table(exact=False)
    assert all(isinstance(one, Fraction) for one in exact.ravel())
    np.testing.assert_allclose(floats(exact), rounded, atol=1e-11 * max(1.0, float(floats(exact).max())))
    for k, shares in enumerate(shares_of(4)):
        assert (users.leaks.at(shares, exact=True)[0] == exact[k]).all()
        assert (users.leaks.at(shares, exact=True)[1] == without_self(exact)[k]).all()


def test_the_three_users_of_the_talk() -> None:
    table = market(THREE, 1).leaks.table(exact=True)
    assert table[0b110].tolist() == [Fraction(1, 4), HALF, HALF]
    assert table[0b111, 0] == Fraction(4, 7)


def test_simulated_types_are_estimated_as_well_as_the_formula_says() -> None:
    random = np.random.default_rng(1)
    matrix = covariance(4, 8)
    shares = np.array([True, False, True, False])
    types = random.multivariate_normal(np.zeros(4), matrix, 400_000)
    signals = (types + random.standard_normal(types.shape))[:, shares]
    weights = np.linalg.lstsq(signals, types, rcond=None)[0]
    error = ((types - signals @ weights) ** 2).mean(axis=0)
    leak, _ = market(matrix, 1).leaks.at(shares, exact=False)
    np.testing.assert_allclose(np.diagonal(matrix) - error, leak, atol=0.02)


def test_simulated_signals_of_a_mediator_leak_what_the_literal_formula_says() -> None:
    random = np.random.default_rng(2)
    matrix = covariance(3, 5) + np.eye(3)
    shares = np.array([True, False, True])
    types = random.multivariate_normal(np.zeros(3), matrix, 400_000)
    signals = ((types + random.standard_normal(types.shape)) @ np.linalg.inv(matrix))[:, shares]
    weights = np.linalg.lstsq(signals, types, rcond=None)[0]
    error = ((types - signals @ weights) ** 2).mean(axis=0)
    leak, _ = market(matrix, 1, mediation="literal").leaks.at(shares, exact=False)
    np.testing.assert_allclose(np.diagonal(matrix) - error, leak, atol=0.02 * matrix.max())
    assert leak[1] == 0


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 300))
def test_leaks_rise_with_sharers_and_own_differences_fall(kind: str, seed: int) -> None:
    """What makes the users' game supermodular; submodularity in the set of sharers is not needed, and fails."""
    users = random_market(4, seed, kind)
    table = users.leaks.table(exact=False)
    scale = 1e-10 * max(1.0, float(np.abs(table).max()))
    without = without_self(table)
    for j in range(4):
        absent = np.flatnonzero(~shares_of(4)[:, j])
        assert (table[absent | 1 << j] >= table[absent] - scale).all()
        for i in {0, 1, 2, 3} - {j}:
            here = absent[shares_of(4)[absent, i]]
            own = table[here, i] - without[here, i]
            more = table[here | 1 << j, i] - without[here | 1 << j, i]
            assert (more <= own + scale).all()


def test_leaks_are_not_submodular_in_the_set_of_sharers() -> None:
    table = market([[1, "1/2", 0], ["1/2", 1, "1/2"], [0, "1/2", 1]], 1).leaks.table(exact=True)
    alone, second, both = table[0b100, 0], table[0b010, 0], table[0b110, 0]
    assert (alone, second, both) == (0, Fraction(1, 8), Fraction(2, 15)) and both > alone + second


def test_a_mixture_is_the_mean_of_its_parts() -> None:
    matrices = [[[1, "1/2"], ["1/2", 1]], [[1, 0], [0, 2]]]
    parts = [{"weight": weight, "covariance": one} for weight, one in zip(("1/4", "3/4"), matrices, strict=True)]
    from optmarket.models.data_externalities import Market, Params

    mixed = Market.of(Params.model_validate({"mixture": parts, "privacy_value": 1})).leaks.table(exact=True)
    first, second = (market(one, 1).leaks.table(exact=True) for one in matrices)
    assert (mixed == first / 4 + second * Fraction(3, 4)).all()


def test_a_mediator_s_signals_are_uncorrelated_with_other_types_and_not_fully_with_the_own() -> None:
    matrix = np.array([[Fraction(1), HALF], [HALF, Fraction(1)]])
    precision = inverse(matrix)
    assert (np.array([[sum(precision[i] * matrix[:, j]) for j in range(2)] for i in range(2)]) == np.eye(2)).all()
    # rho^2 = 1/2: the correlation of a type with its own signal is 0.353553
    rho = float(np.sqrt(0.5))
    assert 1 / np.sqrt(transformed(np.array([[1, rho], [rho, 1]]))[0, 0]) == pytest.approx(0.3535533906)
    assert 1 / np.sqrt(transformed(np.eye(2))[0, 0]) == pytest.approx(0.5**0.5)


@given(st.lists(st.lists(st.fractions(-3, 3, max_denominator=9), min_size=3, max_size=3), min_size=3, max_size=3))
def test_the_exact_inverse_is_one(rows: list[list[Fraction]]) -> None:
    root = np.array(rows, dtype=object)
    matrix = np.array([[sum(a * b) + (i == j) for j, b in enumerate(root)] for i, a in enumerate(root)], dtype=object)
    found = inverse(matrix)
    product = [[sum(found[i] * matrix[:, j]) for j in range(3)] for i in range(3)]
    assert product == np.eye(3).tolist()
    with pytest.raises(ZeroDivisionError):
        inverse(np.array([[Fraction(1), Fraction(1)], [Fraction(1), Fraction(1)]]))
