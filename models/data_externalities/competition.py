"""Two platforms that users may join: who joins which, and what comes of it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from optmarket.models.data_externalities.market import Market
from optmarket.models.data_externalities.params import Platforms


@dataclass(frozen=True)
class Joining:
    """A joining equilibrium in pure strategies.

    Attributes
    ----------
    joined : tuple of int
        For each user 1, 2, or 0 for neither platform. Platforms have no names: user 1 or the first who joins any joins 1.
    sharers : int
        The row of all who share, on either platform.
    surplus : number
        Joining values and the surplus from data, in payoff units.
    """

    joined: tuple[int, ...]
    sharers: int
    surplus: Any


@dataclass(frozen=True)
class Competition:
    """What two platforms bring.

    Attributes
    ----------
    pure : list of Joining
        All joining equilibria in pure strategies.
    half_surplus : number
        Expected surplus if each user joins either platform with probability 1/2.
    half_payoff : array, shape (n,)
        What each user then expects: it is an equilibrium if nobody expects less than 0, the value of joining neither.
    first_best : number
        The largest surplus over who joins which platform and who shares.
    together_surplus : number
        The surplus if all join one platform.
    """

    pure: list[Joining]
    half_surplus: Any
    half_payoff: list[Any]
    first_best: Any
    together_surplus: Any


@lru_cache(maxsize=1)  # quantities and table show the same
def competition(market: Market, platforms: Platforms, tie: Any) -> Competition:
    """The joining game of two platforms that then buy data as one platform does.

    On a platform that users J have joined, the platform chooses who of them shares to maximise its payoff, and sharers are paid
    what sustains it. A user who has joined has ``c_i(J) - v_i I_i(0, a_-i)``, sharing or not.

    Parameters
    ----------
    market : Market
    platforms : Platforms
    tie : number
        Profiles whose payoff differs by less count as equally good to a platform; so do users' payoffs.

    Examples
    --------
    >>> from optmarket.models.data_externalities.params import Params
    >>> given = {"covariance": [[1, "1/2"], ["1/2", 1]], "privacy_value": ["1/2", 10], "platforms": {"joining_value": 20}}
    >>> market = Market.of(Params(**given))
    >>> [one.joined for one in competition(market, market.platforms, 0).pure]
    [(1, 2)]
    """
    n, profiles = market.n, market.profiles
    rows = np.arange(2**n)
    value = profiles.value
    zero = profiles.surplus[0] * 0
    data_surplus: dict[int, Any] = {}
    best_surplus: dict[int, Any] = {}
    shared: dict[int, int] = {}
    payoff: dict[int, dict[int, Any]] = {}
    for users in range(2**n):
        here = [i for i in range(n) if users >> i & 1]
        inside = rows[(rows & ~users) == 0]
        payoffs = (profiles.leak[inside][:, here] - profiles.price[inside][:, here]).sum(axis=1) + zero
        surpluses = (profiles.leak[inside][:, here] * (1 - value[here])).sum(axis=1) + zero
        near = np.flatnonzero(payoffs >= payoffs.max() - tie)
        near = near[surpluses[near] >= surpluses[near].max() - tie]
        chosen = int(near[profiles.shares[inside[near]].sum(axis=1).argmin()])
        k = int(inside[chosen])
        joining = {i: _number(platforms.value_of_joining(i, len(here)), zero) for i in here}
        data_surplus[users] = surpluses[chosen] + sum(joining.values(), zero)
        best_surplus[users] = surpluses.max() + sum(joining.values(), zero)
        shared[users] = k
        payoff[users] = {i: joining[i] - value[i] * profiles.without[k, i] for i in here}

    pure = []
    first_best = zero
    for joined in itertools.product((0, 1, 2), repeat=n):
        groups = [sum(1 << i for i in range(n) if joined[i] == platform) for platform in (0, 1, 2)]
        first_best = max(first_best, best_surplus[groups[1]] + best_surplus[groups[2]])
        if next((one for one in joined if one), 1) == 2:
            continue  # the other name of the same
        if all(_stays(i, joined[i], groups, payoff, zero, tie) for i in range(n)):
            surplus = data_surplus[groups[1]] + data_surplus[groups[2]]
            pure.append(Joining(joined, shared[groups[1]] | shared[groups[2]], surplus))
    everyone = 2**n - 1
    chance = _number(Fraction(1, 2**n), zero)
    half = [sum((payoff[users][i] for users in range(2**n) if users >> i & 1), zero) * chance * 2 for i in range(n)]
    expected = sum((data_surplus[users] + data_surplus[everyone & ~users] for users in range(2**n)), zero) * chance
    return Competition(pure, expected, half, first_best, data_surplus[everyone])


def _stays(i: int, here: int, groups: list[int], payoff: dict[int, dict[int, Any]], zero: Any, tie: Any) -> bool:
    def having(platform: int) -> Any:
        return payoff[groups[platform] | 1 << i][i] if platform else zero

    return all(having(here) >= having(other) - tie for other in range(3))


def _number(value: Fraction, like: Any) -> Any:
    return value if isinstance(like, Fraction) else float(value)
