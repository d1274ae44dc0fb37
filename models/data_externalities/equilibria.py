"""Which users share at given prices, and the prices at which only one set of users shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from optmarket.arrays import BoolArray, FloatArray, NumberArray
from optmarket.models.data_externalities.market import Profiles
from optmarket.models.data_externalities.objectives import Gaussian

# Sharers up to which every order of persuading them is gone through.
ORDERED_SHARERS = 12


@dataclass(frozen=True)
class UserEquilibrium:
    """A profile in which no user gains by a change of mind.

    Attributes
    ----------
    profile : int
        Its row of `Profiles`.
    margin : number
        What the user who is nearest to changing would lose by it, in payoff units; 0 where somebody is indifferent.
    """

    profile: int
    margin: Any


def cost_of_sharing(profiles: Profiles) -> NumberArray:
    """What sharing costs each user in each profile of the others, in payoff units, shape (2**n, n)."""
    rows = np.arange(len(profiles.leak))
    shared = np.stack([profiles.leak[rows | (1 << i), i] for i in range(profiles.n)], axis=1)
    return np.asarray((shared - profiles.without) * profiles.value)


def user_equilibria(profiles: Profiles, price: NumberArray, tie: Any) -> list[UserEquilibrium]:
    """All equilibria of the users' game at given prices, those of few sharers first.

    Parameters
    ----------
    profiles : Profiles
    price : array, shape (n,)
        In payoff units.
    tie : number
        Users who gain less by a change of mind count as indifferent.

    Examples
    --------
    >>> from optmarket.models.data_externalities.market import Market
    >>> from optmarket.models.data_externalities.params import Params
    >>> market = Market.of(Params(covariance=[[1, "4/5"], ["4/5", 1]], privacy_value=1))
    >>> found = user_equilibria(market.profiles, np.array([0.4, 0.4]), 0)
    >>> [(one.profile, round(float(one.margin), 6)) for one in found]
    [(0, 0.1), (3, 0.124762)]
    """
    loss = np.where(profiles.shares, price - cost_of_sharing(profiles), cost_of_sharing(profiles) - price)
    margin = loss.min(axis=1)
    found = np.flatnonzero(margin >= -tie)
    order = np.argsort(profiles.shares[found].sum(axis=1), kind="stable")
    return [UserEquilibrium(int(k), max(margin[k], 0 * margin[k])) for k in found[order]]


def extremes(profiles: Profiles, found: list[UserEquilibrium]) -> tuple[int | None, int | None]:
    """The least and the greatest of some equilibria: contained in all, and containing all; nothing where there is none."""
    rows = [one.profile for one in found]
    least = [k for k in rows if all(k & other == k for other in rows)]
    greatest = [k for k in rows if all(k & other == other for other in rows)]
    return (least[0] if least else None), (greatest[0] if greatest else None)


def cost_of_sharing_at(gaussian: Gaussian, shares: BoolArray) -> FloatArray:
    """What sharing costs each user, given what the others do in a profile, in payoff units, shape (n,)."""
    error, spare = (one[0] for one in gaussian.error(shares[None]))
    return np.asarray(gaussian.value * error**2 / np.where(shares, spare, 1 + error))


def best_replies(gaussian: Gaussian, price: FloatArray, start: BoolArray, tie: float) -> BoolArray:
    """The equilibrium that best replies reach from a profile: the least from nobody sharing, the greatest from everybody.

    Sharing costs a user less the more others share, so that from either end replies go one way only.

    Parameters
    ----------
    gaussian : Gaussian
    price : array, shape (n,)
    start : bool array, shape (n,)
    tie : float
        Users who gain less by a change of mind keep to what they do.

    Examples
    --------
    >>> from optmarket.models.data_externalities.objectives import Gaussian
    >>> two = Gaussian(np.array([[1, 0.8], [0.8, 1]]), np.ones(2))
    >>> [best_replies(two, np.array([0.4, 0.4]), np.full(2, start), 0.0).tolist() for start in (False, True)]
    [[False, False], [True, True]]
    """
    shares = start
    while True:
        gain = price - cost_of_sharing_at(gaussian, shares)
        reply = np.where(shares, gain >= -tie, gain > tie)
        if (reply == shares).all():
            return shares
        shares = reply


def unique_prices(profiles: Profiles, profile: int) -> tuple[NumberArray, bool]:
    """Prices above which a profile is the users' only equilibrium, and whether no others cost less in all.

    A profile is the only equilibrium if its sharers can be put in an order in which each prefers to share though only those
    before share, at prices a little above these. Nobody else shares at a price of 0.

    Parameters
    ----------
    profiles : Profiles
    profile : int
        Its row.

    Returns
    -------
    price : array, shape (n,)
        In payoff units.
    exact : bool
        True if all orders were gone through; with more than `ORDERED_SHARERS` sharers the order persuades the cheapest next.

    Examples
    --------
    >>> from optmarket.models.data_externalities.market import Market
    >>> from optmarket.models.data_externalities.params import Params
    >>> market = Market.of(Params(covariance=[[1, "4/5"], ["4/5", 1]], privacy_value="11/10"))
    >>> [float(price) for price in unique_prices(market.profiles, 3)[0]]
    [0.55, 0.3027619047619048]
    """
    sharers = [i for i in range(profiles.n) if profile >> i & 1]
    cost = cost_of_sharing(profiles)
    price = cost[0] * 0
    if len(sharers) > ORDERED_SHARERS:
        here = 0
        while here != profile:
            nearest = min((i for i in sharers if not here >> i & 1), key=lambda i: cost[here, i])
            price[nearest] = cost[here, nearest]
            here |= 1 << nearest
        return price, False
    least: dict[int, tuple[Any, list[int]]] = {0: (cost[0, 0] * 0, [])}
    for _ in sharers:
        reached: dict[int, tuple[Any, list[int]]] = {}
        for here, (total, order) in least.items():
            for i in sharers:
                if here >> i & 1:
                    continue
                there, paid = here | 1 << i, total + cost[here, i]
                if there not in reached or paid < reached[there][0]:
                    reached[there] = (paid, [*order, i])
        least = reached
    here = 0
    for i in least[profile][1]:
        price[i] = cost[here, i]
        here |= 1 << i
    return price, True


def shares_in(profile: int, n: int) -> BoolArray:
    """The bits of a profile's row, shape (n,)."""
    return np.asarray(profile >> np.arange(n) & 1 == 1)
