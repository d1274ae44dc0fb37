"""What taxes, a mediator, or no market at all would make of the surplus."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from optmarket.arrays import BoolArray, NumberArray
from optmarket.modeling.concave import concave_majorant
from optmarket.models.data_externalities.leaks import GaussianLeaks, inverse
from optmarket.models.data_externalities.market import Market, Profiles


@dataclass(frozen=True)
class Remedy:
    """A rule for the market, and what the platform then does.

    Attributes
    ----------
    name : str
    shares : bool array, shape (n,)
        Who shares.
    surplus : number
        Social surplus, in payoff units. Taxes are transfers and no part of it.
    tax : number or array, optional
        The rate of a uniform tax on sharing, or each user's, in payoff units.
    """

    name: str
    shares: BoolArray
    surplus: Any
    tax: Any = None


@lru_cache(maxsize=1)  # quantities, table and figure show the same
def remedies(market: Market, tie: Any) -> tuple[Remedy, ...]:
    """All remedies of a market whose profiles can be listed.

    Parameters
    ----------
    market : Market
    tie : number
        Profiles whose objective differs by less count as equally good to the platform, which then takes that of larger surplus.

    Returns
    -------
    tuple of Remedy
        ``no remedy``, ``shut down``, ``exact tax`` (the first best), ``marginal tax``, ``uniform tax`` and, where users share
        their own data, ``de-correlation, lemma`` and ``de-correlation, literal``.

    Examples
    --------
    >>> from optmarket.models.data_externalities.params import Params
    >>> market = Market.of(Params(covariance=[[1, "4/5"], ["4/5", 1]], privacy_value="11/10"))
    >>> {one.name: float(one.surplus) for one in remedies(market, 0)}["no remedy"]
    -0.11904761904761904
    """
    profiles = market.profiles

    def chosen(name: str, objective: NumberArray, tax: Any = None) -> Remedy:
        k = profiles.best(objective, tie)
        return Remedy(name, profiles.shares[k], profiles.surplus[k], tax)

    nobody = Remedy("shut down", profiles.shares[0], profiles.surplus[0])
    first_best = profiles.best(profiles.surplus, tie)
    tax = marginal_damage(profiles, first_best)
    found = [
        chosen("no remedy", profiles.platform),
        nobody,
        # charged for v_i I_i(0, a_-i) of every user, the platform maximises social surplus (see `taxed_in_full`)
        chosen("exact tax", taxed_in_full(profiles)),
        chosen("marginal tax", profiles.platform - (profiles.shares * tax).sum(axis=1), tax),
        uniform_tax(profiles, tie),
    ]
    if isinstance(market.leaks, GaussianLeaks) and market.leaks.mediation == "none":
        for mode in ("lemma", "literal"):
            if (other := _mediated(market, market.leaks, mode)) is not None:
                k = other.best(other.platform, tie)
                found.append(Remedy(f"de-correlation, {mode}", other.shares[k], other.surplus[k]))
    return tuple(found)


def taxed_in_full(profiles: Profiles) -> NumberArray:
    """What is left to a platform that is charged ``v_i I_i(0, a_-i)`` for every user: the social surplus. Shape (2**n,)."""
    return np.asarray(profiles.platform - (profiles.without * profiles.charged).sum(axis=1))


def marginal_damage(profiles: Profiles, target: int) -> NumberArray:
    """Taxes on sharing of what it costs the others that is not paid for, at a target profile, shape (n,).

    ``t_i = sum over j != i of v_j [I_j(0; a*, a_i = 1) - I_j(0; a*, a_i = 0)]``.
    """
    # a user's own choice does not change what others alone leak, so that the term of j = i is 0
    damage = [
        ((profiles.without[target | 1 << i] - profiles.without[target & ~(1 << i)]) * profiles.value).sum()
        for i in range(profiles.n)
    ]
    return np.array(damage, dtype=profiles.leak.dtype)


def uniform_tax(profiles: Profiles, tie: Any) -> Remedy:
    """The tax of at least 0 on each sharer, the same for all, that brings the largest surplus; the lowest of several.

    At a rate t the platform maximises U(a) - t |a|, so that what it may choose are the corners of the concave majorant of the
    largest U with each number of sharers.
    """
    counts = profiles.shares.sum(axis=1)
    most = [profiles.platform[counts == k].max() for k in range(profiles.n + 1)]
    corners = concave_majorant(list(enumerate(most)))
    best: Remedy | None = None
    # From the corner of the largest payoff, which needs no tax, down to nobody; a corner is chosen from the slope after it on.
    top = max(range(len(corners)), key=lambda j: (corners[j][1], -corners[j][0]))
    for j in range(top, -1, -1):
        count, payoff = corners[j]
        rate = payoff * 0
        if j < top:
            ahead, above = corners[j + 1]
            rate = (above - payoff) / _number(ahead - count, payoff)
        near = np.flatnonzero((counts == count) & (profiles.platform >= payoff - tie))
        k = int(near[profiles.surplus[near].argmax()])
        if best is None or profiles.surplus[k] > best.surplus + tie:
            best = Remedy("uniform tax", profiles.shares[k], profiles.surplus[k], max(rate, rate * 0))
    if best is None:
        raise AssertionError("a concave majorant has a corner")
    return best


def _number(count: int, like: Any) -> Any:
    return Fraction(count) if isinstance(like, Fraction) else float(count)


def _mediated(market: Market, leaks: GaussianLeaks, mode: Literal["lemma", "literal"]) -> Profiles | None:
    """What profiles bring with a mediator; nothing where a covariance has no inverse."""
    profiles = market.profiles
    if mode == "lemma":
        leak = np.where(profiles.shares, profiles.leak, profiles.leak[0] * 0)
    else:
        try:
            for _, covariance in leaks.parts:
                inverse(covariance)
        except ZeroDivisionError:
            return None
        leak = replace(leaks, mediation=mode).table(exact=market.is_exact)
    return Profiles(leak, leak * 0, profiles.value, profiles.charged)
