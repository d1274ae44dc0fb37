"""What is known without a solver: the best posted price, which no lottery beats."""

from __future__ import annotations

from fractions import Fraction

from optmarket.certificates import Claim
from optmarket.models._template.market import Market


def posted_price(market: Market) -> tuple[Fraction, Fraction]:
    """The best posted price and its profit, both in payoff units; the lowest price of several that are best.

    The optimum over all lotteries (Riley and Zeckhauser 1983). Where nothing can be earned the price is above all values.

    Examples
    --------
    >>> from optmarket.models._template.params import Params
    >>> posted_price(Market.of(Params(types=[{"weight": "1/2", "value": 1}, {"weight": "1/2", "value": 3}])))
    (Fraction(3, 1), Fraction(3, 2))
    """
    best = (max(market.value) + 1, Fraction(0))
    for price in sorted(set(market.value), reverse=True):
        profit = (price - market.cost) * sum(market.weight[market.value >= price], Fraction(0))
        if profit > 0 and profit >= best[1]:
            best = (price, profit)
    return best


def theory(market: Market) -> list[Claim]:
    """What is known of the largest profit: its value, and the first best above it.

    Examples
    --------
    >>> from optmarket.models._template.params import Params
    >>> market = Market.of(Params(types=[{"weight": "1/2", "value": 1}, {"weight": "1/2", "value": 3}]))
    >>> [(claim.relation, claim.value) for claim in theory(market)]
    [('eq', '3/2'), ('upper', '2')]
    """
    _, profit = posted_price(market)
    return [
        Claim("profit", str(profit), "eq", "analytic", "the best posted price"),
        Claim("profit", str(market.first_best), "upper", "proved", "all trades that are worth their cost"),
    ]
