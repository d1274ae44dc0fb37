"""The users' game by its definition, and prices that leave one equilibrium."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from support.data_users import market, random_market, squared

from optmarket.models.data_externalities import equilibria
from optmarket.models.data_externalities.equilibria import extremes, shares_in, unique_prices, user_equilibria


def payoff(users, k: int, i: int, price) -> float:  # type: ignore[no-untyped-def]
    shares = shares_in(k, users.n)
    leak, _ = users.leaks.at(shares, exact=False)
    return float((price[i] if shares[i] else 0.0) - float(users.value[i]) * leak[i])


@pytest.mark.parametrize("seed", range(25))
def test_all_equilibria_are_those_of_the_definition(seed: int) -> None:
    users = random_market(4, seed, ["random", "singular", "scaled"][seed % 3])
    price = np.random.default_rng(seed).uniform(0, 1, 4) * float(users.unit) / 4
    found = {one.profile: float(one.margin) for one in user_equilibria(users.profiles, price, 0.0)}
    for k in range(16):
        losses = [payoff(users, k, i, price) - payoff(users, k ^ 1 << i, i, price) for i in range(4)]
        assert (min(losses) >= 0) == (k in found)
        if k in found:
            assert found[k] == pytest.approx(min(losses), abs=1e-9 * float(users.unit))
    least, greatest = extremes(users.profiles, user_equilibria(users.profiles, price, 0.0))
    assert least is not None and greatest is not None
    assert all(least & k == least and greatest | k == greatest for k in found)


@pytest.mark.parametrize("seed", range(15))
def test_unique_prices_leave_one_equilibrium_and_no_order_is_cheaper(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    users = random_market(4, seed)
    profiles = users.profiles
    k = profiles.best(profiles.platform, 0)
    price, every_order = unique_prices(profiles, k)
    assert every_order
    above = np.where(shares_in(k, 4), np.array(price, dtype=float) * (1 + 1e-9) + 1e-12, 0.0)
    assert [one.profile for one in user_equilibria(profiles, above, 0.0)] == [k]
    cost = np.array(equilibria.cost_of_sharing(profiles), dtype=float)
    totals = []
    for order in itertools.permutations(np.flatnonzero(shares_in(k, 4))):
        here, total = 0, 0.0
        for i in order:
            total += cost[here, i]
            here |= 1 << int(i)
        totals.append(total)
    assert float(sum(price)) == pytest.approx(min(totals))
    monkeypatch.setattr(equilibria, "ORDERED_SHARERS", 0)
    greedy, every_order = unique_prices(profiles, k)
    assert float(sum(greedy)) >= min(totals) - 1e-12 and every_order is (k == 0)


def test_a_smaller_equilibrium_at_the_platform_s_prices() -> None:
    users = market(squared("16/25"), "11/10")
    profiles = users.profiles
    found = user_equilibria(profiles, profiles.price[3], 0)
    assert [one.profile for one in found] == [0, 3] and found[1].margin == 0


@pytest.mark.parametrize("seed", range(40))
def test_prices_fall_as_others_share_and_rise_with_the_own_variance(seed: int) -> None:
    users = random_market(5, seed)
    price = np.array(users.profiles.price, dtype=float)
    shares = users.profiles.shares
    for i in range(5):
        for j in {0, 1, 2, 3, 4} - {i}:
            here = np.flatnonzero(shares[:, i] & ~shares[:, j])
            assert (price[here | 1 << j, i] <= price[here, i] + 1e-12).all()
    matrix = np.array(users.leaks.parts[0][1], dtype=float)  # type: ignore[union-attr]
    matrix[0, 0] *= 1.5
    assert market(matrix, users.value.tolist()).profiles.price[-1, 0] >= users.profiles.price[-1, 0]


@pytest.mark.parametrize("seed", range(10))
def test_prices_are_those_of_the_theorem(seed: int) -> None:
    """``v (s - I0)^2 / (s + 1 - I0)`` with ``I0 = b' (I + B)^-1 b`` of the other sharers."""
    users = random_market(6, seed)
    matrix = np.array(users.leaks.parts[0][1], dtype=float)  # type: ignore[union-attr]
    for k in (0b101011, 0b111111, 0b000001):
        shares = shares_in(k, 6)
        for i in np.flatnonzero(shares):
            others = shares & (np.arange(6) != i)
            b = matrix[i, others]
            known = b @ np.linalg.solve(np.eye(len(b)) + matrix[np.ix_(others, others)], b)
            rest = matrix[i, i] - known
            assert float(users.profiles.price[k, i]) == pytest.approx(float(users.value[i]) * rest**2 / (1 + rest))
