"""What is known without a search: two users, users of low value, and bounds on payoff and surplus."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from optmarket.certificates import Claim
from optmarket.models.data_externalities.leaks import GaussianLeaks
from optmarket.models.data_externalities.market import Market
from optmarket.rationals import around, floats
from optmarket.tolerances import SUM_ROUNDING

LONGEST = 40  # characters of a fraction that is written as one


def theory(market: Market) -> list[Claim]:
    """What is known of the platform's optimum and of the surplus.

    Examples
    --------
    >>> from optmarket.models.data_externalities.params import Params
    >>> market = Market.of(Params(covariance=[[1, "4/5"], ["4/5", 1]], privacy_value="11/10"))
    >>> [(claim.quantity, claim.relation, claim.value) for claim in theory(market)][0]
    ('platform-payoff', 'eq', '3071/5250')
    """
    if market.prices is not None or market.distributions is not None:
        return []
    found = []
    plain = isinstance(market.leaks, GaussianLeaks) and market.leaks.mediation == "none" and len(market.leaks.parts) == 1
    if plain and market.n == 2 and market.is_exact:
        found.append(Claim("platform-payoff", _text(max(_two_users(market))), source="two users: the best of four profiles"))
    everyone = np.ones(market.n, dtype=bool)
    all_leak, _ = market.leaks.at(everyone, exact=market.is_exact)
    low_leak, low_without = market.leaks.at(market.low, exact=market.is_exact)
    value = market.value if market.is_exact else floats(market.value)
    # what rounding may have added to floats is taken off, so that the bounds hold
    off = 0 if market.is_exact else SUM_ROUNDING * float(market.unit)
    if market.low.all():
        found.append(
            Claim("surplus", _text(((1 - value) * all_leak).sum()), source="no value is above 1, so that all share: efficient")
        )
    elif plain:
        high = ~market.low
        most = ((1 - value) * all_leak)[market.low].sum() + ((1 - value) * low_leak)[high].sum()
        found.append(
            Claim(
                "surplus",
                _text(most + off, up=True),
                "upper",
                "proved",
                "low values leak at most what all reveal, high ones at least what low ones do",
            )
        )
    payoff = low_leak.sum() - (value * (low_leak - low_without))[market.low].sum()
    found.append(Claim("platform-payoff", _text(payoff - off), "lower", "proved", "users of value at most 1 share"))
    return found


def _text(value: Any, *, up: bool = False) -> str:
    """A number as it is stated: the fraction if it is short, else the float next to it, above if `up`, below otherwise."""
    fraction = Fraction(value)
    return str(fraction) if len(str(fraction)) <= LONGEST else repr(around(fraction)[up])


def _two_users(market: Market) -> list[Fraction]:
    """The platform's payoff if nobody, the first, the second, or both users share, from variances s, t and covariance c.

    One sharer of variance s leaks s^2 / (1 + s) of its own and c^2 / (1 + s) of the other. If both share, with
    D = (1 + s)(1 + t) - c^2, the first leaks s - (s (1 + t) - c^2) / D.
    """
    assert isinstance(market.leaks, GaussianLeaks)
    (_, covariance), *_ = market.leaks.parts
    s, t, c = (Fraction(covariance[i, j]) for i, j in ((0, 0), (1, 1), (0, 1)))
    v, w = market.value
    rest = (1 + s) * (1 + t) - c * c
    first, second = s - (s * (1 + t) - c * c) / rest, t - (t * (1 + s) - c * c) / rest
    return [
        Fraction(0),
        (s * s + c * c) / (1 + s) - v * s * s / (1 + s),
        (t * t + c * c) / (1 + t) - w * t * t / (1 + t),
        first + second - v * (first - c * c / (1 + t)) - w * (second - c * c / (1 + s)),
    ]
