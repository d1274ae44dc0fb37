"""The market as exact arrays, and what every profile of sharers brings, from which everything else is computed."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from optmarket.arrays import BoolArray, FloatArray, NumberArray
from optmarket.distributions.cdf import PiecewiseLinear
from optmarket.errors import ModelError
from optmarket.models.data_externalities.leaks import GaussianLeaks, Leaks, TabledLeaks, inverse, shares_of, without_self
from optmarket.models.data_externalities.params import LARGEST_TABLE, Params, Platforms
from optmarket.models.data_externalities.virtual import virtual_value
from optmarket.rationals import floats

# Users up to which everything is computed in exact rational arithmetic: in any case, and if that is asked for, some seconds.
EXACT_USERS, MOST_EXACT_USERS = 7, 12
# Users up to which all profiles are gone through.
LISTED_USERS = 18


@dataclass(frozen=True, eq=False)
class Profiles:
    """What every profile brings when sharers are paid just what sustains their sharing.

    Attributes
    ----------
    leak, without : array, shape (2**n, n)
        What is leaked about each user, and what would be if this user did not share. In row k user i shares if bit i of k is set.
    value, charged : array, shape (n,)
        What a unit of leaked information costs each user, and what it costs the platform to buy one from it: the same, or the
        virtual value where values are the users' secret.
    """

    leak: NumberArray
    without: NumberArray
    value: NumberArray
    charged: NumberArray

    @property
    def n(self) -> int:
        """How many users there are."""
        return int(self.leak.shape[1])

    @cached_property
    def shares(self) -> BoolArray:
        """Who shares, shape (2**n, n)."""
        return shares_of(self.n)

    @cached_property
    def price(self) -> NumberArray:
        """The least price at which each user shares, given what the others do; 0 for others. Shape (2**n, n)."""
        return np.asarray((self.leak - self.without) * self.charged)

    @cached_property
    def platform(self) -> NumberArray:
        """The platform's payoff: all leaks less all prices, shape (2**n,)."""
        return np.asarray(self.leak.sum(axis=1) - self.price.sum(axis=1))

    @cached_property
    def surplus(self) -> NumberArray:
        """Social surplus ``sum (1 - v_i) I_i(a)``, shape (2**n,)."""
        return np.asarray((self.leak * (1 - self.value)).sum(axis=1))

    def best(self, objective: NumberArray, tie: Any) -> int:
        """The profile of the largest objective; of those that tie the one of largest surplus, and then of fewest sharers."""
        near = np.flatnonzero(objective >= objective.max() - tie)
        surplus = self.surplus[near]
        near = near[surplus >= surplus.max() - tie]
        return int(near[self.shares[near].sum(axis=1).argmin()])


@dataclass(frozen=True, eq=False)
class Market:
    """Users whose data reveal something about each other, and a platform that buys data.

    Attributes
    ----------
    names : tuple of str
    value : object array, shape (n,)
        What a unit of leaked information costs each user; the platform's own value of a unit is 1.
    charged : object array, shape (n,)
        What a unit costs the platform: the user's value, or its virtual value where the platform knows a distribution only.
    leaks : GaussianLeaks or TabledLeaks
    prices : object array of shape (n,), optional
        Given prices: then the question is who shares.
    platforms : Platforms, optional
        What joining one of two platforms is worth.
    distributions : tuple of PiecewiseLinear, optional
        What the platform knows of the values.
    exact_users : int
        Users up to which computations are exact.
    """

    names: tuple[str, ...]
    value: NumberArray
    charged: NumberArray
    leaks: Leaks
    prices: NumberArray | None = None
    platforms: Platforms | None = None
    distributions: tuple[PiecewiseLinear, ...] | None = None
    exact_users: int = EXACT_USERS

    @classmethod
    def of(cls, params: Params) -> Market:
        """The arrays of validated parameters.

        Raises
        ------
        ModelError
            If the market has too many users for what is asked, a transformed signal needs the inverse of a singular covariance,
            or a distribution of values is none whose cdf is piecewise linear.

        Examples
        --------
        >>> market = Market.of(Params(covariance=[[1, "1/2"], ["1/2", 1]], privacy_value=[0, 2]))
        >>> market.value.tolist()
        [Fraction(0, 1), Fraction(2, 1)]
        """
        n = params.n_users
        value = _entries(params.privacy_value, n)
        distributions = None
        charged = value
        if params.valuation is not None:
            given = params.valuation if isinstance(params.valuation, tuple) else (params.valuation,) * n
            cdfs = [one.as_cdf for one in given]
            if not all(isinstance(one, PiecewiseLinear) for one in cdfs):
                raise ModelError("must have a piecewise linear cdf: uniform, density, or cdf_csv", field="params.valuation")
            distributions = tuple(one for one in cdfs if isinstance(one, PiecewiseLinear))
            charged = np.array([virtual_value(one, v) for one, v in zip(distributions, value, strict=True)], dtype=object)
        market = cls(
            params.names or tuple(str(k) for k in range(1, n + 1)),
            value,
            charged,
            _leaks(params),
            None if params.prices is None else np.array(params.prices, dtype=object),
            params.platforms,
            distributions,
        )
        for asked, what, most in (
            (params.leaks, "leaks", LARGEST_TABLE),
            (params.platforms, "platforms", 10),
            (params.mixture, "mixture", LISTED_USERS),
            (params.valuation, "valuation", 12),
        ):
            if asked is not None and n > most:
                raise ModelError(
                    f"takes at most {most} users, because all their profiles are gone through; there are {n}",
                    field=f"params.{what}",
                )
        if params.mediation != "none" and n > LISTED_USERS:
            raise ModelError(f"takes at most {LISTED_USERS} users; there are {n}", field="params.mediation")
        return market

    @property
    def n(self) -> int:
        """How many users there are."""
        return len(self.names)

    @property
    def is_listed(self) -> bool:
        """Whether there are so few users that all profiles are gone through."""
        return self.n <= LISTED_USERS

    @property
    def is_exact(self) -> bool:
        """Whether there are so few users that all profiles are computed in exact rational arithmetic."""
        return self.n <= self.exact_users

    @cached_property
    def profiles(self) -> Profiles:
        """What every profile brings; exact if `is_exact`."""
        table = self.leaks.table(exact=self.is_exact)
        return Profiles(table, without_self(table), self._number(self.value), self._number(self.charged))

    @cached_property
    def unit(self) -> Fraction:
        """The payoff scale: all variances, times the largest value where that is above 1."""
        total = sum(self.leaks.variance, Fraction(0))
        return Fraction(total * max(Fraction(1), *self.value)) or Fraction(1)

    @cached_property
    def low(self) -> BoolArray:
        """Which users' cost of a unit is at most the platform's value of it, shape (n,)."""
        return np.asarray(self.value <= 1, dtype=bool)

    def _number(self, values: NumberArray) -> NumberArray:
        return values if self.is_exact else floats(values)

    def named(self, shares: BoolArray) -> str:
        """The users of a profile, by name."""
        return ", ".join(name for name, one in zip(self.names, shares, strict=True) if one) or "nobody"


def float_matrix(market: Market) -> FloatArray:
    """The covariance of a market with one known covariance and no mediation, in floats."""
    if not isinstance(market.leaks, GaussianLeaks) or len(market.leaks.parts) != 1 or market.leaks.mediation != "none":
        raise ModelError("branch and bound takes one known covariance and users' own signals", field="params")
    return market.leaks.float_parts[0][1]


def _entries(given: Fraction | tuple[Fraction, ...] | None, n: int) -> NumberArray:
    return np.array(given if isinstance(given, tuple) else (given,) * n, dtype=object)


def _leaks(params: Params) -> Leaks:
    if params.leaks is not None:
        return TabledLeaks(_tabled(params))
    parts = tuple((weight, np.array(matrix, dtype=object)) for weight, matrix in params.covariances)
    if params.mediation == "literal":
        for _, covariance in parts:
            if len(covariance) <= LISTED_USERS:
                _must_invert(covariance)
    return GaussianLeaks(parts, params.mediation)


def _must_invert(covariance: NumberArray) -> None:
    try:
        inverse(covariance)
    except ZeroDivisionError as error:
        raise ModelError("needs the inverse of the covariance, which is singular", field="params.mediation") from error


def _tabled(params: Params) -> NumberArray:
    """A table of leaks in the order of profiles, complete and rising with more sharers."""
    n, rows = params.n_users, params.leaks or ()
    if n > LARGEST_TABLE:
        raise ModelError(f"takes at most {LARGEST_TABLE} users; there are {n}", field="params.leaks")
    table = np.full((2**n, n), None, dtype=object)
    table[0] = Fraction(0)
    for k, row in enumerate(rows):
        field = f"params.leaks[{k}]"
        if any(one > n for one in row.sharers) or len(set(row.sharers)) < len(row.sharers):
            raise ModelError(f"must be different numbers from 1 to {n}", field=f"{field}.sharers")
        if len(row.leak) != n:
            raise ModelError(f"has {len(row.leak)} entries; there are {n} users", field=f"{field}.leak")
        table[sum(1 << (one - 1) for one in row.sharers)] = row.leak
    who = shares_of(n)
    for k in range(2**n):
        if table[k, 0] is None:
            raise ModelError(f"says nothing of the sharers {_numbers(who[k])}", field="params.leaks")
    for i in range(n):
        absent = np.flatnonzero(~who[:, i])
        if (bad := np.flatnonzero((table[absent | (1 << i)] < table[absent]).any(axis=1))).size:
            raise ModelError(
                f"falls when user {i + 1} shares beside {_numbers(who[absent[bad[0]]])}; leaks must rise with more sharers",
                field="params.leaks",
            )
    return table


def _numbers(shares: BoolArray) -> str:
    return ", ".join(str(k + 1) for k in np.flatnonzero(shares)) or "nobody"
