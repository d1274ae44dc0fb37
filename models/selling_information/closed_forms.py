"""Closed forms of the one-buyer information market, in rational arithmetic and without a solver."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from optmarket.certificates import Claim
from optmarket.modeling.concave import concave_majorant, interpolated
from optmarket.models.selling_information.market_arrays import Market


def theory(market: Market) -> list[Claim]:
    """What is known of the optimum without solving anything.

    Returns
    -------
    list of Claim
        On the revenue: an exact value where a closed form applies, and bounds from either side always.
    """
    first_best = market.first_best
    single, _ = market.full_information
    claims = [
        _claim(single, "lower", "full information alone at the best posted price"),
        _claim(first_best, "upper", "total value of information"),
    ]
    if len(market.active) == 1:
        claims.insert(0, _claim(first_best, "eq", "one type: all it would pay for full information"))
    if market.max_items == 1:
        claims.insert(0, _claim(single, "eq", "one item: full information at the best posted price"))
    envelope = binary_optimum(market)
    if envelope is not None:
        relation = "eq" if market.max_items is None else "upper"
        claims.insert(0, _claim(envelope, relation, "two states, matching payoffs, one value: concave envelopes"))
    return claims


def binary_optimum(market: Market) -> Fraction | None:
    """The optimal revenue for two states, matching payoffs of one common value and no contexts; None outside that.

    Integrating by parts in the slope of the buyer's utility, revenue is linear in two measures on beliefs theta of the first
    state: mass at y earns ``y Pr(theta >= y)``, mass at z costs ``(1 - z) Pr(theta > z)``, each measure has mass one, and the
    mean of y equals the mean of 1 - z. So the optimum is the best sum of two concave envelopes at a common mean.
    """
    _, states, contexts, actions = market.product.shape
    value = market.payoff[0, 0, 0]
    matching = np.array([[value, 0], [0, value]], dtype=object)
    if (states, actions, contexts) != (2, 2, 1) or value < 0 or np.any(market.payoff != matching):
        return None
    theta = market.joint[:, 0, 0]
    order = np.argsort(theta, kind="stable")
    theta, weight = theta[order], market.weight[order]
    below = np.concatenate([[Fraction(0)], np.cumsum(weight)])
    zero, one = Fraction(0), Fraction(1)
    # first and last type of each atom: the closed and the open upper tail
    at_least = dict(zip(reversed(theta), reversed(1 - below[:-1]), strict=True))
    above = dict(zip(theta, 1 - below[1:], strict=True))
    gains = [(zero, zero), *((y, y * tail) for y, tail in at_least.items()), (one, at_least.get(one, zero))]
    costs = [(zero, zero), *((1 - z, -(1 - z) * tail) for z, tail in above.items()), (one, above.get(zero, one) * -1)]
    gain, cost = concave_majorant(gains), concave_majorant(costs)
    means = {mean for mean, _ in gain} | {mean for mean, _ in cost}
    best: Fraction = value * max(interpolated(gain, mean) + interpolated(cost, mean) for mean in means)
    return best


def _claim(value: Fraction, relation: str, source: str) -> Claim:
    kind = "analytic" if relation == "eq" else "proved"
    text = str(value) if value.denominator < 10**12 else repr(float(value))
    return Claim("revenue", text, relation, kind, source)
