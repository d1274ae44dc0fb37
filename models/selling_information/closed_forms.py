"""Closed forms of the one-buyer information market, in rational arithmetic and without a solver."""

from __future__ import annotations

import bisect
from fractions import Fraction
from operator import itemgetter

import numpy as np

from optmarket.models.selling_information.market import Market
from optmarket.models.selling_information.params import Params
from optmarket.solution import Claim

Point = tuple[Fraction, Fraction]


def theory(params: Params) -> list[Claim]:
    """What is known of the optimum without solving anything.

    Returns
    -------
    list of Claim
        On the revenue: an exact value where a closed form applies, and bounds from either side always.
    """
    market = Market.of(params)
    first_best = (market.weight * market.worth).sum()
    single, _ = market.full_information
    claims = [
        _claim(single, "lower", "full information alone at the best posted price"),
        _claim(first_best, "upper", "total value of information"),
    ]
    if len(market.active) == 1:
        claims.insert(0, _claim(first_best, "eq", "one type: all it would pay for full information"))
    if params.max_items == 1:
        claims.insert(0, _claim(single, "eq", "one item: full information at the best posted price"))
    envelope = binary_optimum(market)
    if envelope is not None:
        relation = "eq" if params.max_items is None else "upper"
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
    gain, cost = _envelope(gains), _envelope(costs)
    means = {mean for mean, _ in gain} | {mean for mean, _ in cost}
    best: Fraction = value * max(_at(gain, mean) + _at(cost, mean) for mean in means)
    return best


def _envelope(points: list[Point]) -> list[Point]:
    """The least concave function above some points, by its break points from left to right."""
    hull: list[Point] = []
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if hull and hull[-1][0] == x:
            continue
        while len(hull) >= 2:
            (left, low), (middle, high) = hull[-2:]
            if (high - low) * (x - left) > (y - low) * (middle - left):
                break
            hull.pop()
        hull.append((x, y))
    return hull


def _at(hull: list[Point], x: Fraction) -> Fraction:
    """A piecewise linear function at a point of its range."""
    k = bisect.bisect_right(hull, x, lo=1, hi=len(hull) - 1, key=itemgetter(0))
    (left, low), (right, high) = hull[k - 1 : k + 1]
    return low + (high - low) * (x - left) / (right - left)


def _claim(value: Fraction, relation: str, source: str) -> Claim:
    kind = "analytic" if relation == "eq" else "proved"
    text = str(value) if value.denominator < 10**12 else repr(float(value))
    return Claim("revenue", text, relation, kind, source)
