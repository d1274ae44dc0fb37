"""What is known in closed form: symmetric equilibria with one learning curve, when they exist, and theorems about targets."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from optmarket.certificates import Claim
from optmarket.models.balanced_production.market import Market
from optmarket.models.balanced_production.thresholds_of_targets import accuracy_constant, asked_targets, formation, forming_groups
from optmarket.tolerances import TIE

LARGEST_EXACT_ROOT = 6


def harmonic(sellers: int, beta: Fraction) -> Fraction | float:
    """``H = sum over t = 1..M of t^-(beta+1)``; a Fraction if beta is whole.

    Examples
    --------
    >>> harmonic(2, Fraction(1)), harmonic(2, Fraction(1, 2))
    (Fraction(5, 4), 1.3535533905932737)
    """
    if beta.denominator == 1:
        return sum((Fraction(1, t ** (int(beta) + 1)) for t in range(1, sellers + 1)), Fraction(0))
    return float((np.arange(1, sellers + 1) ** -(float(beta) + 1)).sum())


def symmetric_limit(sellers: int, beta: Fraction) -> float:
    """The largest ratio of cost to threshold at which all sellers producing the same is an equilibrium.

    ``(H / M) ((1 + beta) / (M^-beta + beta H))^((beta + 1) / beta)``: up to it the profit of each is at least 0. The source says
    1 for any number of sellers.

    Examples
    --------
    >>> [round(symmetric_limit(sellers, Fraction(1)), 6) for sellers in (1, 2, 3, 5)]
    [1.0, 0.816327, 0.632088, 0.42307]
    """
    power, total = float(beta), float(harmonic(sellers, beta))
    return float(total / sellers * ((1 + power) / (sellers**-power + power * total)) ** ((power + 1) / power))


def is_symmetric(market: Market, group: int) -> bool:
    """Whether all sellers producing the same is an equilibrium about a group, by `symmetric_limit`; exact if beta is whole."""
    if market.task is None or not market.same_costs or market.rho[group] == 0:
        return False
    limit, alpha, beta = market.task
    sellers, rho, cost = market.sellers, market.rho[group], market.cost[0, group]
    if beta.denominator == 1:
        power, total = int(beta), harmonic(sellers, beta)
        # both sides of cost <= limit * threshold to the power beta, which makes them rational
        threshold = rho**power * power**power * (limit / (1 + power)) ** (1 + power) / alpha
        factor = (total / sellers) ** power * (Fraction(1 + power) / (Fraction(1, sellers**power) + power * total)) ** (power + 1)
        return bool(cost**power <= factor * threshold)
    most = symmetric_limit(sellers, beta) * float(rho) * accuracy_constant(*map(float, market.task))
    return bool(float(cost) <= most * (1 + TIE))


def symmetric_samples(market: Market, group: int) -> float:
    """What each seller produces if all produce the same: ``(rho alpha beta H / (M kappa))^(1 / (beta + 1))``.

    The source's equation (16) has ``M^-1 (rho alpha beta / kappa)^(1 / (beta + 1))``, the maximiser of joint profit.
    """
    _, alpha, beta = market.task or (Fraction(1),) * 3
    inner = market.rho[group] * alpha * beta / (market.sellers * market.cost[0, group])
    return float((float(inner) * float(harmonic(market.sellers, beta))) ** (1 / (float(beta) + 1)))


def exact_revenue(market: Market) -> Fraction | None:
    """The revenue without a target where it is rational and proved: every group forms with all sellers alike, or does not form.

    Examples
    --------
    >>> from optmarket.models.balanced_production.params import Params
    >>> task = {"Z": 1, "alpha": 1, "beta": 1}
    >>> exact_revenue(Market.of(Params(potential_value=[4, 1], task=task, cost=["1/10", "1/10"], sellers=2)))
    Fraction(22, 5)
    """
    if market.task is None or not market.same_costs or market.task[2].denominator != 1:
        return None
    limit, alpha, beta = market.task
    power = int(beta)
    if power + 1 > LARGEST_EXACT_ROOT:
        return None
    total = Fraction(0)
    for g, rho in enumerate(market.rho):
        cost = market.cost[0, g]
        if cost**power * alpha > rho**power * power**power * (limit / (1 + power)) ** (1 + power):
            continue  # above the threshold nothing is produced
        if not is_symmetric(market, g):
            return None
        root = _root(rho * alpha * power * harmonic(market.sellers, beta) / (market.sellers * cost), power + 1)
        if root is None:
            return None
        total += rho * (limit - alpha / (market.sellers * root) ** power)
    return total


def _root(number: Fraction, power: int) -> Fraction | None:
    """The root of a fraction, if it is a fraction."""
    found = []
    for part in (number.numerator, number.denominator):
        near = round(math.exp(math.log(part) / power)) if part < 10**300 else 0
        exact = [one for one in range(max(0, near - 2), near + 3) if one**power == part]
        if not exact:
            return None
        found.append(exact[0])
    return Fraction(found[0], found[1])


def theory(market: Market) -> list[Claim]:
    """What is known of a market without a solver.

    Examples
    --------
    >>> from optmarket.models.balanced_production.params import Params
    >>> task = {"Z": 1, "alpha": 1, "beta": 1}
    >>> market = Market.of(Params(potential_value=[1], task=task, cost=["1/10"], sellers=2))
    >>> [(one.quantity, one.relation, one.value) for one in theory(market)]
    [('samples-of-first-seller', 'eq', '2.5'), ('revenue', 'eq', '4/5'), ('revenue', 'upper', '1')]
    """
    claims = []
    if all(is_symmetric(market, g) for g in range(len(market.groups))):
        each = sum(symmetric_samples(market, g) for g in range(len(market.groups)))
        source = "the first-order condition with all sellers alike"
        claims.append(Claim("samples-of-first-seller", repr(each), "eq", "analytic", source))
        if (revenue := exact_revenue(market)) is not None:
            claims.append(Claim("revenue", str(revenue), "eq", "exact", source))
    most = sum(
        (
            price * count * limit
            for g, prices in enumerate(market.best_prices)
            if market.has_common_task[g]
            for price in prices[:1]
            for count, limit, value in zip(market.count[:, g], market.limit[:, g], market.value[:, g], strict=True)
            if value >= price
        ),
        Fraction(0),
    )
    if all(market.has_common_task):
        claims.append(Claim("revenue", str(most), "upper", "proved", "data without end"))
    if market.target is not None and all(market.has_common_task):
        found = formation(market, asked_targets(market)[:1])
        source = "cost and threshold of the target (claim 4.2, corrected)"
        claims.append(Claim("backfires", str(int(found.backfires[0])), "eq", "analytic", source))
        if never_backfires(market):
            source = "theorem 5.2, corrected: equal shares of groups that all form do not backfire"
            claims.append(Claim("backfires", "0", "eq", "proved", source))
    return claims


def never_backfires(market: Market) -> bool:
    """Whether the target has equal shares of some groups, which all form without it, with one task and sellers of one cost."""
    if market.target is None or market.task is None or not market.same_costs:
        return False
    has = market.target > 0
    return len(set(market.target[has])) == 1 and bool(forming_groups(market)[has].all())
