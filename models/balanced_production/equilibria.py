"""Nash equilibria of the sellers' production game, and the most that a seller gains by changing production alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.errors import ModelError
from optmarket.models.balanced_production.best_response import best_response, profit
from optmarket.models.balanced_production.revenue import Revenue, falling_root
from optmarket.models.balanced_production.shapley import MOST_COALITIONS, coalitions, shapley_values
from optmarket.tolerances import TIE

# Relative to the largest revenue: a profile in which nobody gains more is an equilibrium.
EQUILIBRIUM_GAIN = 1e-10
# Relative to the largest production: profiles that differ by less are the same.
SAME_PROFILE = 1e-7
SWEEPS = 400
NEWTON_STEPS = 30
# Sellers up to which every number of active sellers is tried, and up to which searches look for profiles beyond these.
EVERY_NUMBER, SEARCHED = 30, 6
FEWER = 5  # numbers of active sellers that are tried below the largest that can stand, where not every number is
MOST_SELLERS = 1000
STARTS = 6


@dataclass(frozen=True, eq=False)
class Game:
    """Sellers who choose amounts of data, share the revenue by the Shapley value and pay their cost.

    An exact potential game: what a seller gains by a change is the change of the potential, ``sum over coalitions T of
    (|T| - 1)! (M - |T|)! / M! V(x_T) - sum c_j x_j``, so that an equilibrium in pure strategies exists.

    Attributes
    ----------
    revenue : Revenue
    cost : array, shape (M,)
        Payoff units per sample.
    """

    revenue: Revenue
    cost: FloatArray

    @property
    def same_costs(self) -> bool:
        """Whether all sellers have the same cost."""
        return bool((self.cost == self.cost[0]).all())

    @property
    def forms(self) -> bool:
        """Whether an equilibrium with data exists: the cheapest seller alone would earn something.

        If that seller would, nobody producing is no equilibrium. If not, the profits of all together are below 0 whatever is
        produced, and somebody would rather leave.
        """
        return bool(self.cost.min() <= self.revenue.threshold * (1 + TIE))


@dataclass(frozen=True, eq=False)
class ProductionEquilibrium:
    """A profile of production, and how far it is from an equilibrium.

    Attributes
    ----------
    samples : array, shape (M,)
    deviation_gain : float
        The most that a seller gains by producing another amount, in payoff units.
    potential : float
        In payoff units.
    """

    samples: FloatArray
    deviation_gain: float
    potential: float

    @property
    def active(self) -> int:
        """The number of sellers who produce."""
        return int((self.samples > 0).sum())


def deviation_gain(game: Game, samples: FloatArray) -> float:
    """The most that a seller gains by producing another amount than in a profile, in payoff units, at least 0.

    Examples
    --------
    >>> one = np.ones(1)
    >>> game = Game(Revenue(one, one, one, one, one), np.array([0.1, 0.1]))
    >>> round(deviation_gain(game, np.array([1.5811388, 1.5811388])), 5), round(deviation_gain(game, np.array([2.5, 2.5])), 12)
    (0.06061, 0.0)
    """
    most = 0.0
    for j in _different(game, samples):
        totals, chances = coalitions(np.delete(samples, j))
        kept = float(profit(game.revenue, totals, chances, float(game.cost[j]), samples[j : j + 1])[0])
        most = max(most, best_response(game.revenue, totals, chances, float(game.cost[j]))[1] - kept)
    return most


def potential(game: Game, samples: FloatArray) -> float:
    """The potential of a profile, in payoff units: the sum of what each seller earns beside the earlier ones.

    Examples
    --------
    >>> one = np.ones(1)
    >>> round(potential(Game(Revenue(one, one, one, one, one), np.array([0.2, 0.2])), np.array([5**0.5, 0])), 6)
    0.105573
    """
    total = 0.0
    for j in np.flatnonzero(samples > 0):
        totals, chances = coalitions(samples[:j])
        total += float(profit(game.revenue, totals, chances, float(game.cost[j]), samples[j : j + 1])[0])
    return total


def equilibria(game: Game, *, searched: bool = True) -> tuple[list[ProductionEquilibrium], str]:
    """Every distinct equilibrium found, those of most active sellers first, then those of largest potential.

    Sellers of equal cost: for each number m of active sellers all amounts at which the slope of their profit is 0 are tried, so
    that the equilibria in which active sellers produce the same are all found. Otherwise, and beside that for few sellers, the
    potential is climbed from several starts by best responses, with Newton's method at the end.

    Parameters
    ----------
    game : Game
    searched : bool
        Whether to search beyond the equilibria of sellers who produce the same, where there are such, and from several starts.

    Returns
    -------
    found : list of ProductionEquilibrium
        Profiles that only rename sellers of equal cost are listed once.
    scope : str
        What is and what is not exhaustive, in words.

    Raises
    ------
    ModelError
        If there are more sellers than `MOST_SELLERS`, or who differ and are too many for their coalitions.

    Examples
    --------
    >>> one = np.ones(1)
    >>> found, _ = equilibria(Game(Revenue(one, one, one, one, one), np.array([0.2, 0.2])))
    >>> [profile.samples.round(6).tolist() for profile in found]
    [[1.767767, 1.767767], [2.236068, 0.0]]
    """
    sellers = len(game.cost)
    _check_sellers(game)
    if not game.forms:
        return [ProductionEquilibrium(np.zeros(sellers), deviation_gain(game, np.zeros(sellers)), 0.0)], (
            "nobody produces in any equilibrium: no seller would earn anything even alone"
        )
    found: list[ProductionEquilibrium] = []
    scope = ""
    if game.same_costs:
        most = sellers if sellers <= EVERY_NUMBER else largest_number_active(game)
        least = 0 if sellers <= EVERY_NUMBER else max(0, most - FEWER)
        numbers = range(most, least, -1)
        _keep(found, game, (np.where(np.arange(sellers) < m, x, 0.0) for m in numbers for x in equal_amounts(game, m)))
        scope = (
            "all equilibria in which active sellers produce the same"
            if sellers <= EVERY_NUMBER
            else "the equilibria of most active sellers who produce the same; those of fewer are not listed"
        )
        if not found:
            scope = "no equilibrium in which active sellers produce the same"
    if not found or (searched and sellers <= SEARCHED):
        if sellers > _most_different():
            limit = _most_different()
            raise ModelError(
                f"is {sellers}; {scope} was found among them, and others are searched for with at most {limit} sellers",
                field="params.sellers",
            )
        starts = _starts(game)
        _keep(found, game, (climbed(game, start) for start in (starts if searched else itertools.islice(starts, 1))))
        beyond = "equilibria found from several starts; there may be others"
        scope = f"{scope}, and {beyond}" if scope else beyond
    found.sort(key=lambda one: (-one.active, -one.potential))
    return found, scope


def _keep(found: list[ProductionEquilibrium], game: Game, profiles: Iterable[FloatArray]) -> None:
    """Add to a list the profiles that are equilibria and not yet in it."""
    for profile in profiles:
        samples = _in_order(game, profile)
        size = SAME_PROFILE * samples.max(initial=0.0)
        if any(np.abs(samples - other.samples).max() <= size for other in found):
            continue
        gain = deviation_gain(game, samples)
        if gain <= EQUILIBRIUM_GAIN * game.revenue.most:
            found.append(ProductionEquilibrium(samples, gain, potential(game, samples)))


def _most_different() -> int:
    """The largest number of sellers who may all produce different amounts."""
    return MOST_COALITIONS.bit_length()


def _check_sellers(game: Game) -> None:
    sellers = len(game.cost)
    if sellers > MOST_SELLERS:
        raise ModelError(f"is {sellers:,}; at most {MOST_SELLERS:,} sellers of the same cost are taken", field="params.sellers")
    if not game.same_costs:
        most = _most_different()
        if sellers > most:
            raise ModelError(
                f"holds {sellers} sellers of different costs, and revenue is shared over all their coalitions: at most {most} "
                "are taken; give all sellers the same cost (a row of costs and sellers = a number) for more",
                field="params.cost",
            )


def equal_amounts(game: Game, active: int) -> list[float]:
    """The amounts at which so many active sellers, who produce the same, have a profit of slope 0 that falls on.

    ``(1 / m) sum over t = 1..m of V'(t x) = c`` (equation (42) of the source), solved between the amounts at which a total
    passes an ante.

    Examples
    --------
    >>> one = np.ones(1)
    >>> [round(x, 9) for x in equal_amounts(Game(Revenue(one, one, one, one, one), np.array([0.1, 0.1])), 2)]
    [2.5]
    """
    revenue, cost = game.revenue, float(game.cost[0])
    t = np.arange(1, active + 1)
    most = revenue.most / cost
    ends = np.divide.outer(revenue.antes, t).ravel()
    ends = np.unique(np.append(ends[ends < most], [0.0, most]))
    low, high = ends[:-1], ends[1:]
    begun = revenue.begun(np.multiply.outer(0.5 * (low + high), t))

    def slope(x: FloatArray) -> FloatArray:
        return np.asarray(revenue.slope(np.multiply.outer(x, t), begun).mean(axis=1) - cost)

    inside = (slope(low) > 0) & (slope(high) < 0)
    low, high, begun = low[inside], high[inside], begun[inside]

    def curvature(x: FloatArray) -> FloatArray:
        return np.asarray((revenue.curvature(np.multiply.outer(x, t), begun) * t).mean(axis=1))

    return [float(x) for x in falling_root(slope, curvature, low, high)]


def largest_number_active(game: Game) -> int:
    """The largest number of sellers of equal cost who can all produce the same without one of them leaving, by bisection.

    More sellers leave each with less, so that where m are too many, more are too. Whether another would enter is left open.
    """

    def stand(active: int) -> bool:
        alone = Game(game.revenue, game.cost[:active])
        good = EQUILIBRIUM_GAIN * game.revenue.most
        return any(deviation_gain(alone, np.full(active, x)) <= good for x in equal_amounts(game, active))

    low, high = 1, len(game.cost)
    if stand(high):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if stand(middle) else (low, middle)
    return low


def climbed(game: Game, start: FloatArray) -> FloatArray:
    """The equilibrium that best responses in turn reach from a start; each raises the potential.

    After every round Newton's method is tried on the conditions of the first order, with sellers active and antes passed as they
    are; its point is taken if nobody gains by leaving it.
    """
    x = np.array(start, dtype=float)
    good = EQUILIBRIUM_GAIN * 1e-3 * game.revenue.most
    for _ in range(SWEEPS):
        before = x.copy()
        for j in range(len(x)):
            totals, chances = coalitions(np.delete(x, j))
            kept = float(profit(game.revenue, totals, chances, float(game.cost[j]), x[j : j + 1])[0])
            amount, earned = best_response(game.revenue, totals, chances, float(game.cost[j]))
            if earned > kept:
                x[j] = amount
        if (np.sign(x) == np.sign(before)).all():
            polished = _newton(game, x)
            if polished is not None and deviation_gain(game, polished) <= good:
                return polished
        if np.abs(x - before).max() <= 1e-14 * x.max(initial=0.0):
            break
    return x


def _newton(game: Game, x: FloatArray) -> FloatArray | None:
    """A zero of the active sellers' slopes as if the antes passed stayed as they are in a profile; None if none is found."""
    active = np.flatnonzero(x > 0)
    m = len(active)
    if m == 0:
        return x
    if 2**m > 2 * MOST_COALITIONS:
        return None
    members = (np.arange(2**m)[:, None] >> np.arange(m) & 1).astype(float)
    size = members.sum(axis=1)
    # The weight (|T| - 1)! (m - |T|)! / m! of a coalition, as 1 / (|T| binomial(m, |T|)).
    binomial = np.bincount(members.sum(axis=1).astype(int), minlength=m + 1)[size.astype(int)]
    weight = np.where(size > 0, 1 / np.maximum(1, size * binomial), 0.0)
    amounts = x[active]
    begun = game.revenue.begun(members @ amounts)
    cost = game.cost[active]
    for _ in range(NEWTON_STEPS):
        totals = members @ amounts
        slope = (weight * game.revenue.slope(totals, begun)) @ members - cost
        hessian = (members.T * (weight * game.revenue.curvature(totals, begun))) @ members
        try:
            step = np.linalg.solve(hessian, slope)
        except np.linalg.LinAlgError:
            return None
        amounts = amounts - step
        if not (amounts > 0).all():
            return None
        if np.abs(step).max() <= 1e-15 * amounts.max():
            break
    found = np.zeros(len(x))
    found[active] = amounts
    return found


def _starts(game: Game) -> Iterator[FloatArray]:
    """Nobody, each of the cheapest sellers alone, all much, and random amounts; each once."""
    sellers = len(game.cost)
    most = game.revenue.most / game.cost
    yield np.zeros(sellers)
    for j in np.argsort(game.cost, kind="stable")[1 : 1 + STARTS]:
        totals, chances = coalitions(np.zeros(0))
        alone = np.zeros(sellers)
        alone[j] = best_response(game.revenue, totals, chances, float(game.cost[j]))[0]
        yield alone
    yield most / sellers
    random = np.random.default_rng(0)
    for _ in range(2):
        yield random.random(sellers) * most / sellers


def _in_order(game: Game, samples: FloatArray) -> FloatArray:
    """The same profile with sellers of equal cost in falling order of their amounts."""
    ordered = samples.copy()
    for cost in np.unique(game.cost):
        same = np.flatnonzero(game.cost == cost)
        ordered[same] = np.sort(samples[same])[::-1]
    return ordered


def _different(game: Game, samples: FloatArray) -> Iterator[int]:
    """One seller for each pair of cost and amount."""
    _, first = np.unique(np.stack([game.cost, samples], axis=1), axis=0, return_index=True)
    yield from (int(j) for j in first)


def seller_profits(game: Game, samples: FloatArray) -> FloatArray:
    """What each seller earns in a profile, in payoff units, shape (M,)."""
    return np.asarray(shapley_values(game.revenue.value, samples) - game.cost * samples)
