"""Markets that grow: what a target costs each party as buyers are added."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optmarket.models.balanced_production.joint_profit import joint_outcomes
from optmarket.models.balanced_production.market import Market
from optmarket.models.balanced_production.outcomes import outcome, ratios
from optmarket.models.balanced_production.scenarios import balanced, baseline
from optmarket.rationals import floats


@dataclass(frozen=True)
class GrowthPoint:
    """One market of a growth path.

    Attributes
    ----------
    size : float
        How many times as many buyers there are, or the number of entries of buyers.
    nash, joint : dict of str to float
        For each party what it gets under the target relative to what it gets without, in equilibrium and if joint profit is
        maximised; without entries where that is 0 or not defined.
    """

    size: float
    nash: dict[str, float]
    joint: dict[str, float]


def growth_path(market: Market) -> list[GrowthPoint]:
    """The markets of the instance's growth path, in its order; none if it asks for none or has no target."""
    growth = market.params.growth
    if growth is None or market.target is None:
        return []
    if growth.first is not None:
        return [_point(float(one), market.of_first(one)) for one in growth.first]
    return [_point(float(one), market.grown(one, growth.groups)) for one in growth.times or ()]


def ratios_of(market: Market) -> dict[str, float]:
    """What each party gets under the target relative to what it gets without, in the equilibria that are reported.

    Examples
    --------
    >>> from optmarket.models.balanced_production.params import Params
    >>> task = {"Z": 1, "alpha": 1, "beta": 1}
    >>> cost, target = ["1/10", "3/10"], ["3/10", "7/10"]
    >>> market = Market.of(Params(potential_value=[100, "1/2"], task=task, cost=cost, sellers=3, target=target))
    >>> {name: round(ratio, 6) for name, ratio in ratios_of(market).items()}
    {'revenue': 0.975963, 'seller-profit': 0.847148}
    """
    if market.target is None:
        return {}
    found = [baseline(market, g, searched=False).profiles[0] for g in range(len(market.groups))]
    prices = floats(np.array([one.prices[0] for one in found], dtype=object))
    samples = np.stack([one.production.samples for one in found], axis=1)
    before = outcome(market, prices, samples, balanced=False)
    under = balanced(market, market.target, searched=False).profiles[0]
    return ratios(market, before, outcome(market, floats(under.prices), under.production.samples, balanced=True))


def limit(market: Market) -> float | None:
    """The limit of the marketplace's and sellers' ratios: 1 if a group that grows has a share above 0; else not known here.

    Theorem 6.1 of the source, corrected: each group of the target that grows needs a positive share. With replicated buyers all
    groups that are worth something grow.
    """
    growth = market.params.growth
    if growth is None or growth.times is None or market.target is None:
        return None
    grows = np.array([growth.groups is None or name in growth.groups for name in market.groups]) & (market.rho > 0)
    return 1.0 if grows.any() and (market.target[market.rho > 0] > 0).all() else None


def _point(size: float, market: Market) -> GrowthPoint:
    joint = joint_outcomes(market)
    of_joint = ratios(market, joint[0], joint[1]) if joint is not None and joint[1] is not None else {}
    return GrowthPoint(size, ratios_of(market), of_joint)


def growth_quantities(path: list[GrowthPoint]) -> dict[str, float]:
    """The ratios of the last market of a path, by the names of `QUANTITIES`."""
    if not path:
        return {}
    last = path[-1]
    return {
        f"growth-{prefix}{name}-ratio": one[name]
        for prefix, one in (("", last.nash), ("joint-", last.joint))
        for name in ("revenue", "seller-profit")
        if name in one
    }
