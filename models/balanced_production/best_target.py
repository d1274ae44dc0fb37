"""The target that is best for marketplace, sellers, buyers or all, among those that give every group a least share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.errors import ModelError
from optmarket.models.balanced_production.market import Market
from optmarket.models.balanced_production.outcomes import outcome
from optmarket.models.balanced_production.scenarios import balanced
from optmarket.models.balanced_production.thresholds_of_targets import simplex_grid
from optmarket.rationals import floats

FIRST_TARGETS = 80  # targets of a grid that the search begins with
REFINED = 2  # of them the best, from which it goes on
EVALUATIONS = 200  # of each refinement
BOUNDED_AIMS = ("seller-profit", "total-surplus")


@dataclass(frozen=True, eq=False)
class BestTargetFound:
    """The best target of a search, and what no target can exceed.

    Attributes
    ----------
    target : array, shape (G,)
    value : float
        What it brings to whom it is sought for, in payoff units.
    bound : float or None
        An upper bound on what any allowed target brings, in payoff units; only for some aims.
    """

    target: FloatArray
    value: float
    bound: float | None


@lru_cache(maxsize=4)
def best_target(market: Market) -> BestTargetFound | None:
    """Search a grid of targets, and refine the best of them by the simplex method of Nelder and Mead.

    The search is global and gives no proof: equilibria change by jumps. For sellers' profit and total surplus an upper bound is
    certified: no equilibrium brings more than the best production by one owner of all sellers who must keep to the least shares.

    Returns
    -------
    BestTargetFound or None
        None if the instance does not ask for it.

    Raises
    ------
    ModelError
        If buyers' surplus is sought and only potential values are known.
    """
    asked = market.params.best_target
    if asked is None:
        return None
    if asked.aim in ("buyer-surplus", "total-surplus") and not market.buyers_known:
        raise ModelError(f"is {asked.aim!r}, which needs buyers and not only potential values", field="params.best_target.aim")
    groups, least = len(market.groups), float(asked.least_share)
    free = 1 - groups * least

    def value(target: FloatArray) -> float:
        exact = np.array([*map(float, target)], dtype=object)
        one = market.with_target(exact)
        found = balanced(one, exact, searched=False).profiles[0]
        under = outcome(one, floats(found.prices), found.production.samples, balanced=True)
        return under.parties(market)[asked.aim]

    if groups == 1 or free <= 0:
        only = np.full(groups, 1 / groups)
        return BestTargetFound(only, value(only), _bound(market, asked.aim, least))
    steps = 1
    while _grid_size(groups, steps + 1) <= FIRST_TARGETS:
        steps += 1
    grid = least + free * np.array(list(simplex_grid(groups, steps))) / steps
    grid = np.concatenate([grid, np.full((1, groups), 1 / groups)])
    values = np.array([value(target) for target in grid])
    best, most = grid[int(np.argmax(values))], float(values.max())
    from scipy.optimize import minimize

    def allowed(head: FloatArray) -> FloatArray:
        rest = np.append(head, 1 - head.sum())
        return np.asarray(least + _onto_simplex(rest - least, free))

    for k in np.argsort(-values, kind="stable")[:REFINED]:
        steps_around = grid[k, :-1] + np.concatenate([np.zeros((1, groups - 1)), np.eye(groups - 1) * 0.5 * free / steps])
        options = {"initial_simplex": steps_around, "maxfev": EVALUATIONS, "xatol": 1e-8, "fatol": 1e-11 * market.unit}
        minimised: Any = minimize  # its stubs do not know these options
        found = minimised(lambda head: -value(allowed(head)), grid[k, :-1], method="Nelder-Mead", options=options)
        if -found.fun > most:
            best, most = allowed(found.x), float(-found.fun)
    return BestTargetFound(best, most, _bound(market, asked.aim, least))


def _grid_size(groups: int, steps: int) -> int:
    from math import comb

    return comb(steps + groups - 1, groups - 1)


def _onto_simplex(point: FloatArray, total: float) -> FloatArray:
    """The nearest point with entries at least 0 that sum to the total."""
    ordered = np.sort(point)[::-1]
    excess = (np.cumsum(ordered) - total) / np.arange(1, len(point) + 1)
    last = int(np.flatnonzero(ordered > excess)[-1])
    return np.asarray(np.maximum(0.0, point - excess[last]))


def _bound(market: Market, aim: str, least: float) -> float | None:
    """An upper bound by duality on what one owner of all sellers can reach with shares of at least `least`.

    For any dual values y >= 0 of the least shares, ``sum_g max(0, max_x w_g (Z_g - alpha_g x^-beta_g) - (c_g - y_g + least sum y)
    x)`` is a bound; w is what is paid, or what accuracy is worth to those who pay, and c the cheapest cost.
    """
    if aim not in BOUNDED_AIMS or not all(market.has_common_task):
        return None
    who = np.argmax(market.value > 0, axis=0)
    columns = np.arange(len(market.groups))
    limit, alpha, beta = (floats(one[who, columns]) for one in (market.limit, market.alpha, market.beta))
    cost = floats(market.cost).min(axis=0)
    weight = floats(market.rho)
    if aim == "total-surplus":
        price = floats(np.array([one[0] for one in market.best_prices], dtype=object))
        value = floats(market.value)
        weight = (floats(market.count) * value * (value >= price)).sum(axis=0)

    def bound(dual: FloatArray) -> float:
        paid = cost - dual + least * dual.sum()
        if (paid <= 0).any():
            return float("inf")
        amount = (weight * alpha * beta / paid) ** (1 / (beta + 1))
        with np.errstate(divide="ignore"):
            gain = np.where(amount > 0, weight * (limit - alpha * amount**-beta) - paid * amount, 0.0)
        return float(np.maximum(0.0, gain).sum())

    from scipy.optimize import minimize

    best = bound(np.zeros(len(cost)))
    for start in (np.zeros(len(cost)), 0.5 * cost):
        options = {"maxfev": 4000, "xatol": 1e-12, "fatol": 1e-14}
        minimised: Any = minimize  # its stubs do not know these options
        found = minimised(lambda dual: bound(np.maximum(0.0, dual)), start, method="Nelder-Mead", options=options)
        best = min(best, float(found.fun))
    return best


def best_target_quantities(market: Market) -> dict[str, float]:
    """The best target found, by the names of `QUANTITIES`."""
    found = best_target(market)
    if found is None:
        return {}
    quantities = {"best-target-value": found.value, "best-target-first-share": float(found.target[0])}
    if found.bound is not None:
        quantities["best-target-bound"] = found.bound
    return quantities
