"""What a profile of sharers and prices brings: quantities, the audit, and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from optmarket.arrays import BoolArray, FloatArray, NumberArray
from optmarket.certificates import Audit
from optmarket.modeling.registry import Quantity
from optmarket.models.data_externalities.competition import competition
from optmarket.models.data_externalities.equilibria import user_equilibria
from optmarket.models.data_externalities.leaks import GaussianLeaks
from optmarket.models.data_externalities.market import Market
from optmarket.models.data_externalities.mechanism import SharingProfile
from optmarket.models.data_externalities.remedies import remedies
from optmarket.models.data_externalities.valuations import payments
from optmarket.rationals import floats
from optmarket.tolerances import TIE

if TYPE_CHECKING:
    import pandas as pd

MONEY = "payoff units"
QUANTITIES = {
    "platform-payoff": Quantity(MONEY, "what the platform learns less what it pays, at virtual values where values are secret"),
    "surplus": Quantity(MONEY, "social surplus: leaks at the platform's value less what they cost users"),
    "user-surplus": Quantity(MONEY, "what users are paid less what leaks cost them"),
    "total-price": Quantity(MONEY, "what the platform pays in all"),
    "leaked-information": Quantity("variance", "by how much errors about all users fall"),
    "leak-of-first-user": Quantity("variance", "by how much the error about the first user falls"),
    "uncompensated-leak": Quantity(MONEY, "what leaks by others' sharing cost users, who are not paid for it"),
    "share-sharing": Quantity("share", "share of users who share"),
    "first-best": Quantity(MONEY, "largest social surplus over who shares"),
    "first-best-bound": Quantity(MONEY, "upper bound on that, where it is not proved"),
    "first-best-share": Quantity("share", "share of users who share there"),
    "loss": Quantity(MONEY, "first best less surplus"),
    "unique-price": Quantity(MONEY, "total of the prices above which these users' sharing is the only equilibrium"),
    "least-surplus": Quantity(MONEY, "surplus of the least user equilibrium at these prices"),
    "equilibria": Quantity("count", "number of user equilibria at these prices"),
    "margin": Quantity(MONEY, "what the user nearest to changing would lose by it"),
    "shut-down-test": Quantity(MONEY, "loss of users of high value less gain of others: above 0, shutting down raises surplus"),
    "shut-down-test-primitives": Quantity(MONEY, "the same from variances and covariances alone"),
    "marginal-tax-surplus": Quantity(MONEY, "surplus with each user's sharing taxed by the damage at the first best"),
    "uniform-tax": Quantity(MONEY, "best rate of a tax that is the same for all sharers"),
    "uniform-tax-surplus": Quantity(MONEY, "surplus with it"),
    "de-correlation-lemma-surplus": Quantity(MONEY, "surplus with a mediator as the source describes it"),
    "de-correlation-literal-surplus": Quantity(MONEY, "surplus with the signals that such a mediator sends"),
    "joining-equilibria": Quantity("count", "number of joining equilibria of two platforms, in pure strategies"),
    "joining-surplus": Quantity(MONEY, "largest surplus of these, joining values included"),
    "joining-least-surplus": Quantity(MONEY, "least surplus of these"),
    "joining-half-surplus": Quantity(MONEY, "expected surplus if each user joins either platform with probability 1/2"),
    "joining-half-least-payoff": Quantity(MONEY, "least expected payoff of a user then; below 0 this is no equilibrium"),
    "joining-first-best": Quantity(MONEY, "largest surplus over who joins which platform and who shares"),
    "joining-one-surplus": Quantity(MONEY, "surplus if all join one platform"),
    "stated-payment-gain": Quantity(MONEY, "most that a user gains by a false report under the source's payment"),
    "corrected-payment-gain": Quantity(MONEY, "most that a user gains by a false report under the corrected payment"),
}


def tie(market: Market) -> Any:
    """Payoffs that differ by less count as equal: 0 for exact numbers, else a share of the payoff scale, in payoff units."""
    return 0 if market.is_exact else TIE * float(market.unit)


def quantities(market: Market, mechanism: SharingProfile) -> dict[str, float]:
    """What a profile at its prices brings, by the names of `QUANTITIES`."""
    leak, without = market.leaks.at(mechanism.shares, exact=market.is_exact)
    value, charged = (one if market.is_exact else floats(one) for one in (market.value, market.charged))
    paid = np.where(mechanism.shares, mechanism.price, mechanism.price[:1] * 0)
    if not market.is_exact:
        paid = floats(paid)
    # Where values are secret the platform's objective is what it pays in expectation: the least prices at virtual values.
    cost = paid if market.distributions is None else (leak - without) * charged
    return {
        "platform-payoff": float(leak.sum() - cost.sum()),
        "surplus": float(((1 - value) * leak).sum()),
        "user-surplus": float(paid.sum() - (value * leak).sum()),
        "total-price": float(paid.sum()),
        "leaked-information": float(leak.sum()),
        "leak-of-first-user": float(leak[0]),
        "uncompensated-leak": float((value * without).sum()),
        "share-sharing": float(np.mean(mechanism.shares)),
        **shut_down_tests(market),
    }


def shut_down_tests(market: Market) -> dict[str, float]:
    """Two sufficient conditions for no market to be better than this one, each as a difference that is then above 0.

    With V all users and L those of value at most 1: ``sum over others (v_i - 1) I_i(L) - sum over L (1 - v_i) I_i(V)``; and, from
    primitives, ``sum over others (v_i - 1) sum over j in L of Sigma_ij^2 / (norm + 1) - sum over L (1 - v_i) Sigma_ii``, with the
    largest column sum of L's covariance as norm.
    """
    if market.distributions is not None:
        return {}
    low, value = market.low, market.value if market.is_exact else floats(market.value)
    by_low, _ = market.leaks.at(low, exact=market.is_exact)
    by_all, _ = market.leaks.at(np.ones_like(low), exact=market.is_exact)
    loss = ((value - 1) * by_low)[~low].sum()
    found = {"shut-down-test": float(loss - ((1 - value) * by_all)[low].sum())}
    if isinstance(market.leaks, GaussianLeaks) and len(market.leaks.parts) == 1 and market.leaks.mediation == "none":
        covariance = market.leaks.float_parts[0][1]
        worth = floats(market.value)
        norm = np.abs(covariance[np.ix_(low, low)]).sum(axis=0).max(initial=0.0)
        harmed = ((worth - 1) * (covariance[:, low] ** 2).sum(axis=1))[~low].sum() / (norm + 1)
        found["shut-down-test-primitives"] = float(harmed - ((1 - worth) * np.diagonal(covariance))[low].sum())
    return found


def extra_quantities(market: Market) -> dict[str, float]:
    """What remedies, competition and payments for reports bring, of markets whose profiles are listed."""
    found: dict[str, float] = {}
    if market.distributions is None and market.prices is None:
        for one in remedies(market, tie(market)):
            if one.name.endswith("tax") and one.name != "exact tax":
                found[f"{one.name.replace(' ', '-')}-surplus"] = float(one.surplus)
            if one.name == "uniform tax":
                found["uniform-tax"] = float(one.tax)
            if one.name.startswith("de-correlation"):
                found[f"{one.name.replace(', ', '-')}-surplus"] = float(one.surplus)
    if market.platforms is not None:
        both = competition(market, market.platforms, tie(market))
        found["joining-equilibria"] = float(len(both.pure))
        if both.pure:
            found["joining-surplus"] = float(max(one.surplus for one in both.pure))
            found["joining-least-surplus"] = float(min(one.surplus for one in both.pure))
        found |= {
            "joining-half-surplus": float(both.half_surplus),
            "joining-half-least-payoff": float(min(both.half_payoff)),
            "joining-first-best": float(both.first_best),
            "joining-one-surplus": float(both.together_surplus),
        }
    if market.distributions is not None:
        by_user = [payments(market, i, one) for i, one in enumerate(market.distributions)]
        found["stated-payment-gain"] = float(max(one.stated_gain for one in by_user))
        found["corrected-payment-gain"] = float(max(one.corrected_gain for one in by_user))
    return found


# The audit, from covariances and values alone ---------------------------------------------------------------------------


def audit(market: Market, mechanism: SharingProfile) -> Audit:
    """What any user gains by sharing instead of not, or not instead of sharing, with every leak computed anew.

    Each leak is the reduction of the mean squared error by linear regression on the signals, a linear system for each user and
    choice. (The solver updates inverses instead.)

    Returns
    -------
    Audit
        `quantities` of the profile, and the violation ``deviation``.

    Examples
    --------
    >>> from optmarket.models.data_externalities.params import Params
    >>> market = Market.of(Params(covariance=[[1]], privacy_value=1))
    >>> dict(audit(market, SharingProfile.read(market, {"shares": [1], "prices": ["1/4"]})).violations)
    {'deviation': 0.25}
    """
    shares, price = mechanism.shares, floats(mechanism.price)
    value = floats(market.value)
    gains = np.zeros(market.n)
    leak = _leaks_by_regression(market, shares)
    for i in range(market.n):
        other = shares.copy()
        other[i] = not shares[i]
        change = _leaks_by_regression(market, other, i)[0] - leak[i]
        gains[i] = (price[i] if other[i] else -price[i]) - value[i] * change
    paid = np.where(shares, price, 0.0).sum()
    found = {
        "surplus": float(((1 - value) * leak).sum()),
        "user-surplus": float(paid - (value * leak).sum()),
        "total-price": float(paid),
        "leaked-information": float(leak.sum()),
    }
    cost = paid
    if market.distributions is not None:
        # at virtual values, the platform pays the least prices in expectation over what it does not know
        without = np.array([_leaks_by_regression(market, shares & (np.arange(market.n) != i), i)[0] for i in range(market.n)])
        cost = float((floats(market.charged) * (leak - without)).sum())
    found["platform-payoff"] = float(leak.sum() - cost)
    return Audit(found, {"deviation": float(max(0.0, gains.max(initial=0.0)))}, float(market.unit))


def _leaks_by_regression(market: Market, shares: BoolArray, only: int | None = None) -> FloatArray:
    """Leaks about all users, or about one, in floats."""
    users = np.arange(market.n) if only is None else np.array([only])
    leaks = market.leaks
    if not isinstance(leaks, GaussianLeaks):
        row = int((1 << np.arange(market.n))[shares].sum())
        return np.asarray(floats(leaks.given[row])[users])
    total = np.zeros(len(users))
    for weight, covariance in leaks.float_parts:
        signals = covariance + np.eye(market.n)
        if leaks.mediation == "literal":
            # All signals Sigma^-1 S together say what S does. Without those of the users who do not share, what is explained is
            # the Schur complement in which these are eliminated.
            everything = covariance @ np.linalg.solve(signals, covariance)
            scale = 1 / np.sqrt(np.diagonal(everything))
            across = scale[~shares, None] * everything[np.ix_(~shares, users)]
            pivots = scale[~shares, None] * everything[np.ix_(~shares, ~shares)] * scale[~shares]
            explained = np.diagonal(everything)[users] - (across * np.linalg.solve(pivots, across)).sum(axis=0)
        else:
            scale = 1 / np.sqrt(np.diagonal(signals)[shares])  # signals of variance 1 are solved for more accurately
            across = scale[:, None] * covariance[np.ix_(shares, users)]
            explained = (across * np.linalg.solve(scale[:, None] * signals[np.ix_(shares, shares)] * scale, across)).sum(axis=0)
        if leaks.mediation != "none":
            explained = np.where(shares[users], explained, 0.0)
        total += weight * explained
    return total


# Tables ------------------------------------------------------------------------------------------------------------------


def tables(market: Market, mechanism: SharingProfile) -> dict[str, pd.DataFrame]:
    """Who shares at what price and what is leaked; user equilibria; remedies; joining equilibria; payments for reports.

    Examples
    --------
    >>> from optmarket.models.data_externalities.params import Params
    >>> market = Market.of(Params(covariance=[[1]], privacy_value="1/2"))
    >>> profile = SharingProfile.read(market, {"shares": [1], "prices": ["1/4"]})
    >>> tables(market, profile)["users"][["shares", "price", "leak"]].values.tolist()
    [['yes', 0.25, 0.5]]
    """
    import pandas as pd

    leak, without = (floats(one) for one in market.leaks.at(mechanism.shares, exact=market.is_exact))
    value, price = floats(market.value), floats(mechanism.price)
    paid = np.where(mechanism.shares, price, 0.0)
    users: dict[str, Any] = {
        "user": list(market.names),
        "privacy value": value,
        **({"virtual value": floats(market.charged)} if market.distributions is not None else {}),
        "shares": ["yes" if one else "no" for one in mechanism.shares],
        "price": price if market.prices is not None else paid,
        "leak": leak,
        "leak without own": without,
        "keeps": paid - value * leak,
    }
    found = {"users": pd.DataFrame(users)}
    if not market.is_listed:
        return found
    profiles = market.profiles
    if market.distributions is None:
        at_prices = profiles_price(market, mechanism.price)
        rows = [
            (
                market.named(profiles.shares[one.profile]),
                float(_paid(profiles.shares[one.profile], at_prices, profiles.leak[one.profile])),
                float(profiles.surplus[one.profile]),
                float(one.margin),
            )
            for one in user_equilibria(profiles, at_prices, tie(market))[:MOST_ROWS]
        ]
        found["user equilibria"] = pd.DataFrame(rows, columns=["sharers", "platform-payoff", "surplus", "margin"])
        if market.prices is None:
            found["remedies"] = _remedies_table(market)
    if market.platforms is not None:
        found["joining equilibria"] = _joining_table(market)
    if market.distributions is not None:
        found["payments"] = _payments_table(market)
    return found


MOST_ROWS = 20  # user equilibria that a table shows


def profiles_price(market: Market, price: NumberArray) -> NumberArray:
    """Prices in the kind of number of a market's profiles."""
    return price if market.is_exact else floats(price)


def _paid(shares: BoolArray, price: NumberArray, leak: NumberArray) -> Any:
    return leak.sum() - price[shares].sum()


def _remedies_table(market: Market) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for one in remedies(market, tie(market)):
        tax = "" if one.tax is None else _shown_tax(one.tax)
        rows.append((one.name, market.named(one.shares), float(one.surplus), tax))
    return pd.DataFrame(rows, columns=["remedy", "sharers", "surplus", "tax"])


def _shown_tax(tax: Any) -> str:
    entries = tax if isinstance(tax, np.ndarray) else [tax]
    return ", ".join(f"{float(one):.4g}" for one in entries[:8]) + (", ..." if len(entries) > 8 else "")


def _joining_table(market: Market) -> pd.DataFrame:
    import pandas as pd

    if market.platforms is None:
        return pd.DataFrame()
    rows = []
    for one in competition(market, market.platforms, tie(market)).pure:
        groups = [market.named(np.array([here == platform for here in one.joined])) for platform in (1, 2)]
        sharers = np.array([one.sharers >> i & 1 == 1 for i in range(market.n)])
        rows.append((*groups, market.named(sharers), float(one.surplus)))
    return pd.DataFrame(rows, columns=["platform 1", "platform 2", "sharers", "surplus"])


def _payments_table(market: Market) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for i, distribution in enumerate(market.distributions or ()):
        one = payments(market, i, distribution)
        truth = "yes" if one.truthful else "no: the leak rises with a report"
        rows.append((market.names[i], *map(float, (one.stated, one.stated_gain, one.corrected, one.corrected_gain)), truth))
    return pd.DataFrame(rows, columns=["user", "stated", "gain", "corrected", "gain of it", "truth can be best"])
