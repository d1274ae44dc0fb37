"""The profile that maximises sellers' joint profit, which the source takes for an equilibrium."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.models.balanced_production.best_response import best_response
from optmarket.models.balanced_production.equilibria import Game, deviation_gain, seller_profits
from optmarket.models.balanced_production.market import Market
from optmarket.models.balanced_production.outcomes import Outcome, outcome
from optmarket.rationals import floats


@dataclass(frozen=True, eq=False)
class JointProfit:
    """Sellers who all produce the same, in all as much as one owner of all sellers would.

    Attributes
    ----------
    samples : array, shape (M,)
    profit : float
        Of each seller, in payoff units.
    deviation_gain : float
        What a seller gains by leaving the profile, in payoff units.
    """

    samples: FloatArray
    profit: float
    deviation_gain: float


def joint_profile(game: Game) -> JointProfit:
    """The joint-profit profile of sellers of the same cost: with one learning curve lemmas 4.1 and 4.2 of the source.

    Raises
    ------
    ValueError
        If sellers have different costs.

    Examples
    --------
    >>> from optmarket.models.balanced_production.revenue import Revenue
    >>> one = np.ones(1)
    >>> found = joint_profile(Game(Revenue(one, one, one, one, one), np.array([0.1, 0.1])))
    >>> round(float(found.samples[0]), 6), round(found.profit, 6), round(found.deviation_gain, 5)
    (1.581139, 0.183772, 0.06061)
    """
    if not game.same_costs:
        raise ValueError("sellers have different costs; the cheapest alone would maximise joint profit")
    sellers = len(game.cost)
    total, _ = best_response(game.revenue, np.zeros(1), np.ones(1), float(game.cost[0]))
    samples = np.full(sellers, total / sellers)
    return JointProfit(samples, float(seller_profits(game, samples)[0]), deviation_gain(game, samples))


def joint_outcomes(market: Market) -> tuple[Outcome, Outcome | None] | None:
    """What the joint-profit profile brings without a target and under it; None where it is not defined.

    It needs sellers of the same cost, and buyers of one learning curve within each group.
    """
    if not market.same_costs or not all(market.has_common_task):
        return None
    prices = np.array([one[0] for one in market.best_prices], dtype=object)
    samples = np.stack([joint_profile(market.baseline_game(g, price)).samples for g, price in enumerate(prices)], axis=1)
    before = outcome(market, floats(prices), samples, balanced=False)
    if market.target is None:
        return before, None
    amounts = joint_profile(market.balanced_game(market.target, prices)).samples
    return before, outcome(market, floats(prices), amounts, balanced=True)


def joint_quantities(market: Market) -> dict[str, float]:
    """The joint-profit profile's production of the first group and under the target, and what a seller gains by leaving it."""
    if not market.same_costs or not all(market.has_common_task):
        return {}
    prices = np.array([one[0] for one in market.best_prices], dtype=object)
    first = joint_profile(market.baseline_game(0, prices[0]))
    found = {
        "joint-samples-of-first-seller": float(first.samples[0]),
        "joint-profit-of-first-seller": first.profit,
        "joint-deviation-gain": first.deviation_gain,
    }
    if market.target is not None:
        under = joint_profile(market.balanced_game(market.target, prices))
        found |= {
            "joint-target-samples-of-first-seller": float(under.samples[0]),
            "joint-target-deviation-gain": under.deviation_gain,
        }
    return found
