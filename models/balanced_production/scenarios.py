"""What happens without a rule of balance and under one: reserve prices and sellers' equilibria that go together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from optmarket.arrays import FloatArray, NumberArray
from optmarket.errors import SolverError
from optmarket.models.balanced_production.equilibria import EQUILIBRIUM_GAIN, ProductionEquilibrium, equilibria
from optmarket.models.balanced_production.market import Market
from optmarket.rationals import floats

MOST_PRICES = 64  # combinations of reserve prices that are all tried; beyond them prices and production reply in turn
REPLIES = 50


@dataclass(frozen=True, eq=False)
class PricedEquilibrium:
    """Reserve prices and production, with the most that the marketplace and a seller gain by a deviation.

    Attributes
    ----------
    prices : array, shape (G,), or (1,) for one group
        Fractions, in payoff units per unit of accuracy.
    production : ProductionEquilibrium
    price_gain : float
        What the marketplace gains by other reserve prices, in payoff units.
    """

    prices: NumberArray
    production: ProductionEquilibrium
    price_gain: float

    @property
    def gain(self) -> float:
        """The most that the marketplace or a seller gains by a deviation, in payoff units."""
        return max(self.price_gain, self.production.deviation_gain)


@dataclass(frozen=True, eq=False)
class Found:
    """The equilibria of a scenario.

    Attributes
    ----------
    profiles : list of PricedEquilibrium
        The one that is reported first. If there is no equilibrium, the profile from which least is gained.
    scope : str
        What is exhaustive about the list, in words.
    is_equilibrium : bool
        Whether the profiles are equilibria.
    """

    profiles: list[PricedEquilibrium]
    scope: str
    is_equilibrium: bool


def revenue_at(market: Market, group: int, price: float, samples: float) -> float:
    """What a group pays at a reserve price for predictions from so many samples, in payoff units."""
    pays = floats(market.value[:, group]) >= price
    accuracy = market.accuracy(np.full(len(market.groups), samples))[:, group]
    return float(price * (floats(market.count[:, group]) * accuracy)[pays].sum())


def best_price(market: Market, group: int, samples: float) -> tuple[int, float]:
    """The place in `Market.prices` of the price that is best for so many samples, the lowest of several, and its revenue."""
    if market.has_common_task[group] or samples <= 0:
        price = market.best_prices[group][0]
        place = int(np.flatnonzero(market.prices[group] == price)[0])
        return place, revenue_at(market, group, float(price), samples)
    found = [revenue_at(market, group, float(price), samples) for price in market.prices[group]]
    best = max(found)
    return found.index(best), best


def baseline(market: Market, group: int, *, searched: bool = True) -> Found:
    """Equilibria about one group where no rule binds.

    Examples
    --------
    >>> from optmarket.models.balanced_production.params import Params
    >>> task = {"Z": 1, "alpha": 1, "beta": 1}
    >>> market = Market.of(Params(potential_value=[1], task=task, cost=["1/10"], sellers=2))
    >>> baseline(market, 0).profiles[0].production.samples.round(9).tolist()
    [2.5, 2.5]
    """
    return _priced(
        market,
        [group],
        lambda prices: equilibria(market.baseline_game(group, prices[0]), searched=searched),
        lambda total: np.array([total]),
    )


def balanced(market: Market, target: NumberArray, *, searched: bool = True) -> Found:
    """Equilibria under a target; the amounts of production are samples of all groups together.

    Examples
    --------
    >>> from optmarket.models.balanced_production.params import Params
    >>> task = {"Z": 1, "alpha": 1, "beta": 1}
    >>> market = Market.of(Params(potential_value=[1, 1], task=task, cost=["1/10", "1/10"], sellers=2, target=["1/2", "1/2"]))
    >>> balanced(market, market.target).profiles[0].production.samples.round(9).tolist()
    [5.0, 5.0]
    """
    share = floats(target)
    return _priced(
        market,
        list(range(len(market.groups))),
        lambda prices: equilibria(market.balanced_game(target, prices), searched=searched),
        lambda total: share * total,
    )


def _priced(
    market: Market,
    groups: Sequence[int],
    play: Callable[[NumberArray], tuple[list[ProductionEquilibrium], str]],
    amounts: Callable[[float], FloatArray],
) -> Found:
    tried: dict[tuple[int, ...], list[PricedEquilibrium]] = {}
    scopes: list[str] = []

    def at(places: tuple[int, ...]) -> list[PricedEquilibrium]:
        if places not in tried:
            prices = np.array([market.prices[g][k] for g, k in zip(groups, places, strict=True)], dtype=object)
            some, scope = play(prices)
            scopes.append(scope)
            tried[places] = [
                PricedEquilibrium(prices, one, _price_gain(market, groups, prices, amounts(float(one.samples.sum()))))
                for one in some
            ]
        return tried[places]

    options = [
        [best_price(market, g, 0.0)[0]] if market.has_common_task[g] else list(range(len(market.prices[g]))) for g in groups
    ]
    size = math.prod(len(one) for one in options)
    everything: Iterator[tuple[int, ...]] = itertools.product(*options)
    if size > MOST_PRICES:
        everything = iter(())
        for start in (tuple(one[0] for one in options), tuple(one[-1] for one in options)):
            places = start
            for _ in range(REPLIES):
                profiles = at(places)
                total = amounts(float(profiles[0].production.samples.sum())) if profiles else np.zeros(len(groups))
                reply = tuple(best_price(market, g, float(n))[0] for g, n in zip(groups, total, strict=True))
                if reply == places:
                    break
                places = reply
    for places in everything:
        at(places)
    profiles = [one for some in tried.values() for one in some]
    if not profiles:
        raise SolverError("no equilibrium of the sellers' game was found, though there is one")
    good = [one for one in profiles if one.price_gain <= EQUILIBRIUM_GAIN * market.unit]
    scope = scopes[0]
    if size > 1:
        how = "every combination of reserve prices was tried" if size <= MOST_PRICES else "prices and production replied in turn"
        scope = f"{scope}; {how}" if good else f"no equilibrium was found, and the profile with the least gain is shown; {how}"
    chosen = good or [min(profiles, key=lambda one: one.gain)]
    if good:
        chosen.sort(key=lambda one: (-one.production.active, -one.production.potential))
    return Found(chosen, scope, bool(good))


def _price_gain(market: Market, groups: Sequence[int], prices: NumberArray, samples: FloatArray) -> float:
    gain = 0.0
    for g, price, n in zip(groups, prices, samples, strict=True):
        gain += max(0.0, best_price(market, g, float(n))[1] - revenue_at(market, g, float(price), float(n)))
    return gain
