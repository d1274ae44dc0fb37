"""Whether a market forms, with and without a target, and which targets would end it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from optmarket.arrays import BoolArray, FloatArray
from optmarket.errors import ModelError
from optmarket.models.balanced_production.market import Market
from optmarket.rationals import floats
from optmarket.tolerances import TIE

MOST_TARGETS_SOLVED = 20_000  # where learning curves differ each target is solved for by itself


@dataclass(frozen=True, eq=False)
class Formation:
    """For some targets whether data are produced under them.

    Attributes
    ----------
    targets : array, shape (K, G)
    cost : array, shape (K,)
        Cost of a sample of the cheapest seller, in payoff units.
    threshold : array, shape (K,)
        The largest revenue per sample, in payoff units.
    backfires : bool array, shape (K,)
        Whether the market forms without a target and not under this one.
    """

    targets: FloatArray
    cost: FloatArray
    threshold: FloatArray
    backfires: BoolArray


def thresholds(market: Market) -> FloatArray:
    """For each group the largest revenue per sample where no rule binds, ``tau_g``, in payoff units, shape (G,).

    With a common task it is ``rho_g c_G`` (equation (18) of the source). Where tasks differ it is the largest over prices.

    Examples
    --------
    >>> from optmarket.models.balanced_production.params import Params
    >>> thresholds(Market.of(Params(potential_value=[1, 4], task={"Z": 1, "alpha": 1, "beta": 1}, cost=[1, 1]))).tolist()
    [0.25, 1.0]
    """
    return np.array(
        [
            max(market.revenue_of(g, price).threshold for price in (best[:1] if common else prices))
            for g, (best, prices, common) in enumerate(
                zip(market.best_prices, market.prices, market.has_common_task, strict=True)
            )
        ]
    )


def forming_groups(market: Market) -> BoolArray:
    """The groups about which data are produced where no rule binds, shape (G,): the cheapest seller alone would earn."""
    return np.asarray(floats(market.cost).min(axis=0) <= thresholds(market) * (1 + TIE))


def formation(market: Market, targets: FloatArray) -> Formation:
    """For each of some targets the cost of a sample, the threshold and whether it backfires.

    With one task for all, the threshold is the largest tau_H over the sets H of the groups of largest shares, ``tau_H = (sum_H
    rho)^((beta+1)/beta) / (sum_H rho gamma^-beta)^(1/beta) c_G`` (claim 4.2 of the source, corrected: some data are produced if
    and only if the cost is at most the largest of these).

    Parameters
    ----------
    market : Market
    targets : array, shape (K, G)

    Raises
    ------
    ModelError
        If buyers of one group have different tasks, or there are too many targets for learning curves that differ.

    Examples
    --------
    >>> from optmarket.models.balanced_production.params import Params
    >>> task = {"Z": 1, "alpha": 1, "beta": 1}
    >>> market = Market.of(Params(potential_value=[1, 1], task=task, cost=["6/25", "6/25"]))
    >>> found = formation(market, np.array([[0.5, 0.5], [0.35, 0.65]]))
    >>> found.threshold.round(4).tolist(), found.backfires.tolist()
    ([0.25, 0.2275], [False, True])
    """
    if not all(market.has_common_task):
        raise ModelError("needs buyers who have the same learning curve within each group", field="params.targets")
    cost = (targets @ floats(market.cost).T).min(axis=1)
    if market.task is not None:
        threshold = _common_thresholds(market, targets)
    elif len(targets) > MOST_TARGETS_SOLVED:
        raise ModelError(
            f"makes {len(targets):,} targets; where learning curves differ at most {MOST_TARGETS_SOLVED:,} are taken",
            field="params.target_grid",
        )
    else:
        prices = np.array([one[0] for one in market.best_prices], dtype=object)
        threshold = np.array([market.balanced_game(target, prices).revenue.threshold for target in targets])
    forms = bool(forming_groups(market).any())
    return Formation(targets, cost, threshold, forms & (cost > threshold * (1 + TIE)))


def _common_thresholds(market: Market, targets: FloatArray) -> FloatArray:
    limit, alpha, beta = (float(one) for one in market.task or ())
    rho = floats(market.rho)
    order = np.argsort(-targets, axis=1, kind="stable")
    share = np.take_along_axis(targets, order, axis=1)
    value = rho[order]
    # a group without a share brings nothing, however many samples there are
    with np.errstate(over="ignore"):
        drop = np.where(share > 0, value * np.where(share > 0, share, 1.0) ** -beta, np.where(value > 0, np.inf, 0.0))
    above, below = np.cumsum(value, axis=1), np.cumsum(drop, axis=1)
    # tau_H with c_G inside the power, where numbers stay of one size
    relative = np.divide(above * limit, (1 + beta) * alpha * below, out=np.zeros_like(above), where=below > 0)
    return np.asarray((above * limit * beta / (1 + beta) * relative ** (1 / beta)).max(axis=1))


def accuracy_constant(limit: float, alpha: float, beta: float) -> float:
    """c_G of the source: the largest accuracy per sample, ``beta alpha^(-1/beta) (Z / (1 + beta))^((1 + beta) / beta)``.

    Examples
    --------
    >>> accuracy_constant(1.0, 1.0, 1.0)
    0.25
    """
    return float(beta * limit / (1 + beta) * (limit / (1 + beta) / alpha) ** (1 / beta))


def simplex_grid(groups: int, steps: int) -> Iterator[tuple[int, ...]]:
    """All ways to divide so many steps among groups; each divided by `steps` is a target.

    Examples
    --------
    >>> list(simplex_grid(2, 2))
    [(0, 2), (1, 1), (2, 0)]
    """
    if groups == 1:
        yield (steps,)
        return
    for first in range(steps + 1):
        for rest in simplex_grid(groups - 1, steps - first):
            yield (first, *rest)


def asked_targets(market: Market) -> FloatArray:
    """The targets that the instance asks about, each once, shape (K, G)."""
    params = market.params
    rows: list[FloatArray] = [] if market.target is None else [floats(market.target)[None]]
    rows += [floats(np.array(one, dtype=object))[None] for one in params.targets or ()]
    if params.target_grid:
        rows.append(np.array(list(simplex_grid(len(market.groups), params.target_grid))) / params.target_grid)
    if not rows:
        return np.zeros((0, len(market.groups)))
    stacked = np.concatenate(rows)
    _, first = np.unique(stacked, axis=0, return_index=True)
    return stacked[np.sort(first)]


@dataclass(frozen=True)
class SafeCosts:
    """Bounds on the ratio of cost to threshold up to which a target keeps a market in which all groups form (theorem 5.4).

    Attributes
    ----------
    ratio : float
        The largest ratio of cost to threshold of a group, eta.
    printed, simple, sharp : float
        ``(b/a)^(beta+1) / (r |G|)`` as printed, with r the ratio of the largest to the smallest potential value; ``b/a``; and the
        bound ``(sum w gamma^-beta)^(-1/beta) / sum w gamma``, with w the shares of potential value.
    """

    ratio: float
    printed: float
    simple: float
    sharp: float


def safe_costs(market: Market) -> SafeCosts | None:
    """The bounds for the market's target, if all groups form, have one task and a share above 0.

    Examples
    --------
    >>> from optmarket.models.balanced_production.params import Params
    >>> task = {"Z": 1, "alpha": 1, "beta": 1}
    >>> found = safe_costs(Market.of(Params(potential_value=[1, 1], task=task, cost=["1/5", "1/5"], target=["3/10", "7/10"])))
    >>> [round(one, 6) for one in (found.ratio, found.printed, found.simple, found.sharp)]
    [0.8, 0.091837, 0.428571, 0.84]
    """
    if market.target is None or market.task is None or not forming_groups(market).all() or (market.target <= 0).any():
        return None
    share, rho, beta = floats(market.target), floats(market.rho), float(market.task[2])
    ratio = float((floats(market.cost).min(axis=0) / thresholds(market)).max())
    simple = float(share.min() / share.max())
    weight = rho / rho.sum()
    least = share.min()  # powers of shares relative to it stay below 1
    sharp = float(least * (weight @ (share / least) ** -beta) ** (-1 / beta) / (weight @ share))
    return SafeCosts(ratio, simple ** (beta + 1) / (float(rho.max() / rho.min()) * len(rho)), simple, sharp)
