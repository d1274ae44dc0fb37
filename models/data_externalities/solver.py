"""The answer to an instance: the platform's optimum, or the users' equilibrium at given prices."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from optmarket.arrays import BoolArray, NumberArray
from optmarket.certificates import Equilibrium, Optimality, relative_gap
from optmarket.errors import ModelError, SolverError
from optmarket.models.data_externalities.branch_and_bound import Found, maximise
from optmarket.models.data_externalities.equilibria import (
    ORDERED_SHARERS,
    best_replies,
    cost_of_sharing,
    cost_of_sharing_at,
    extremes,
    unique_prices,
    user_equilibria,
)
from optmarket.models.data_externalities.market import LISTED_USERS, MOST_EXACT_USERS, Market, float_matrix
from optmarket.models.data_externalities.mechanism import SharingProfile
from optmarket.models.data_externalities.milp import platform_by_milp
from optmarket.models.data_externalities.objectives import Gaussian, PlatformObjective, PlatformPayoff, Surplus
from optmarket.models.data_externalities.outcomes import extra_quantities, profiles_price, quantities, tie
from optmarket.models.data_externalities.valuations import payments
from optmarket.options import Deadline, Options, Status
from optmarket.rationals import around, floats
from optmarket.solution import Answer
from optmarket.solution_file import SolverReport
from optmarket.tolerances import TARGET_GAP

METHODS = {
    "auto": f"all profiles up to {LISTED_USERS} users, branch and bound above",
    "enumeration": f"all profiles, in exact arithmetic where there are few; up to {LISTED_USERS} users",
    "branch-and-bound": "boxes of profiles bounded by a concave relaxation, for any number of users",
    "milp": "a mixed-integer linear program with tangent cuts, solved by HiGHS: slow, and an independent check",
}
# Relative to the payoff scale: rounding of sums over the profiles' table.
TABLE_ROUNDING = 1e-13
SELECTION = "of the user equilibria at these prices the platform's best is selected; profiles of fewer sharers may be others"


def solve(market: Market, options: Options) -> Answer:
    """The profile that is best for the platform, with the least prices that sustain it; or who shares at given prices.

    Parameters
    ----------
    market : Market
    options : Options
        Methods: see `METHODS`.

    Raises
    ------
    ModelError
        If the method does not take this market.

    Examples
    --------
    >>> from optmarket.models.data_externalities.params import Params
    >>> market = Market.of(Params(covariance=[[1, "4/5"], ["4/5", 1]], privacy_value="11/10"))
    >>> solve(market, Options()).exact
    Fraction(3071, 5250)
    """
    deadline = options.deadline()
    if options.exact:
        if market.n > MOST_EXACT_USERS or options.method in {"branch-and-bound", "milp"}:
            raise ModelError(f"goes through all profiles in exact arithmetic, of at most {MOST_EXACT_USERS} users", field="exact")
        market = replace(market, exact_users=MOST_EXACT_USERS)
    if market.prices is not None:
        if not market.is_listed:
            return _large_user_game(market, market.prices, deadline)
        return _user_game(market, market.prices, deadline)
    if market.distributions is not None and options.method in {"branch-and-bound", "milp"}:
        raise ModelError("takes known values; secret ones need the payments of all reports: auto or enumeration", field="method")
    if options.method == "enumeration" and not market.is_listed:
        raise ModelError(f"takes at most {LISTED_USERS} users; branch-and-bound takes more", field="method")
    if options.method == "milp":
        return _by_milp(market, options, deadline)
    if options.method == "branch-and-bound" or not market.is_listed:
        payoff = PlatformPayoff(float_matrix(market), floats(market.charged))
        found = maximise(PlatformObjective(payoff), _starts(market), options, deadline, options.progress)
        return _searched(market, options, deadline, found, "branch and bound")
    return _enumerated(market, options, deadline)


def _enumerated(market: Market, options: Options, deadline: Deadline) -> Answer:
    profiles = market.profiles
    k = profiles.best(profiles.platform, tie(market))
    first = profiles.best(profiles.surplus, tie(market))
    price = profiles.price[k]
    if market.distributions is not None:
        # what each sharer is paid for the report: at least the least price
        paid = [max(payments(market, i, one).corrected, 0) for i, one in enumerate(market.distributions)]
        price = np.array([one if profiles.shares[k, i] else one * 0 for i, one in enumerate(paid)], dtype=price.dtype)
    mechanism = SharingProfile(profiles.shares[k], price)
    value = profiles.platform[k]
    exact = value if market.is_exact else None
    rounding = TABLE_ROUNDING * float(market.unit)
    lower, upper = around(value) if isinstance(value, Fraction) else (float(value) - rounding, float(value) + rounding)
    certificate = Optimality.of(lower, upper, rounding=0.0 if exact is not None else 2 * rounding)
    found = {
        **quantities(market, mechanism),
        "first-best": float(profiles.surplus[first]),
        "first-best-share": float(profiles.shares[first].mean()),
        "loss": float(profiles.surplus[first] - profiles.surplus[k]),
        **extra_quantities(market),
    }
    notes: tuple[str, ...] = ()
    if market.distributions is None:
        unique, every_order = unique_prices(profiles, k)
        found["unique-price"] = float(unique.sum())
        notes = (*_selection(market, k, price, unique), *(() if every_order else (_order_note(),)))
    return Answer(
        status=options.final_status(Status.OPTIMAL, certificate.gap),
        mechanism=mechanism,
        quantities=found,
        certificate=certificate,
        exact=exact,
        notes=notes,
        run=SolverReport(seconds=deadline.elapsed, method=f"enumeration of {2**market.n:,} profiles"),
    )


def _selection(market: Market, k: int, price: NumberArray, unique: NumberArray) -> tuple[str, ...]:
    """A note if fewer users might share at the same prices, and what would rule that out."""
    least, _ = extremes(market.profiles, user_equilibria(market.profiles, price, tie(market)))
    if least is None or least == k:
        return ()
    rest = [f"{name} {float(one):.6g}" for name, one in zip(market.names, unique, strict=True) if one > 0]
    return (f"{SELECTION}; a little above {', '.join(rest)}, the profile is the only one" if len(rest) <= 8 else SELECTION,)


def _order_note() -> str:
    return f"unique-price is an upper bound: with more than {ORDERED_SHARERS} sharers one order of persuading them is tried"


def _by_milp(market: Market, options: Options, deadline: Deadline) -> Answer:
    """The mixed-integer program's profile, whose optimality branch and bound proves: HiGHS's own bound is not certified."""
    proposed = platform_by_milp(market, options, deadline)
    objective = PlatformObjective(PlatformPayoff(float_matrix(market), floats(market.charged)))
    after = Deadline(0.0) if proposed.status is Status.INTERRUPTED else deadline
    found = maximise(objective, proposed.shares[None], options, after, options.progress)
    if found.value - 2 * objective.rounding > proposed.upper and relative_gap(proposed.upper, found.value) > TARGET_GAP:
        raise SolverError(
            f"the mixed-integer program's bound {proposed.upper:.9g} is below {found.value:.9g}, which a profile earns"
        )
    if proposed.status is Status.INTERRUPTED:
        found = replace(found, status=Status.INTERRUPTED)
    answer = _searched(market, options, deadline, found, f"milp, {proposed.boxes} programs, proved by branch and bound")
    return replace(
        answer, notes=(f"the mixed-integer program's own bound, not certified, is {proposed.upper:.9g}", *answer.notes)
    )


def _searched(market: Market, options: Options, deadline: Deadline, found: Found, method: str) -> Answer:
    gaussian = PlatformPayoff(float_matrix(market), floats(market.charged))
    leak, without = market.leaks.at(found.shares, exact=market.is_exact)
    charged = market.charged if market.is_exact else floats(market.charged)
    price = np.where(found.shares, (leak - without) * charged, charged * 0)
    mechanism = SharingProfile(found.shares, price)
    value = quantities(market, mechanism)
    lower = value["platform-payoff"] - gaussian.rounding
    certificate = Optimality.of(min(lower, found.upper), found.upper, rounding=2 * gaussian.rounding)
    after = Deadline(0.0) if found.status is Status.INTERRUPTED else deadline  # Ctrl-C ends both searches
    first = maximise(Surplus(Gaussian(float_matrix(market), floats(market.value))), _starts(market), options, after)
    value |= {
        "first-best": first.value,
        "first-best-bound": first.upper,
        "first-best-share": float(first.shares.mean()),
        "loss": first.value - value["surplus"],
    }
    notes = []
    if first.status is not Status.OPTIMAL:
        notes.append(f"first-best is not proved: it is at most {first.upper:.9g}")
    if found.status is Status.OPTIMAL and market.n > LISTED_USERS:
        notes.append(f"{SELECTION}; remedies other than exact taxes are computed for up to {LISTED_USERS} users")
    if market.is_listed:
        value |= extra_quantities(market)
    return Answer(
        status=options.final_status(found.status, certificate.gap),
        mechanism=mechanism,
        quantities=value,
        certificate=certificate,
        notes=tuple(notes),
        run=SolverReport(seconds=deadline.elapsed, method=f"{method}, {found.boxes:,} boxes"),
    )


def _user_game(market: Market, prices: NumberArray, deadline: Deadline) -> Answer:
    """All equilibria at given prices; the greatest is the answer, the least and their number are quantities."""
    profiles = market.profiles
    price = profiles_price(market, prices)
    found = user_equilibria(profiles, price, tie(market))
    if not found:
        raise ModelError(
            "leave no profile in equilibrium; leaks whose own-action differences rise allow that", field="params.prices"
        )
    least, greatest = extremes(profiles, found)
    chosen = greatest if greatest is not None else found[-1].profile
    margin = next(one.margin for one in found if one.profile == chosen)
    cost = cost_of_sharing(profiles)[chosen]
    mechanism = SharingProfile(profiles.shares[chosen], price)
    value = {
        **quantities(market, mechanism),
        "equilibria": float(len(found)),
        "margin": float(margin),
        **({"least-surplus": float(profiles.surplus[least])} if least is not None else {}),
        "first-best": float(profiles.surplus.max()),
        "loss": float(profiles.surplus.max() - profiles.surplus[chosen]),
    }
    how = "the greatest" if greatest is not None else "the last found"
    return Answer(
        status=Status.EQUILIBRIUM,
        mechanism=mechanism,
        quantities=value,
        certificate=Equilibrium(_largest_gain(market, mechanism.shares, cost, price), float(market.unit)),
        notes=(f"{len(found)} user equilibria at these prices, of which {how} is shown",),
        run=SolverReport(seconds=deadline.elapsed, method=f"enumeration of {2**market.n:,} profiles"),
    )


def _large_user_game(market: Market, prices: NumberArray, deadline: Deadline) -> Answer:
    """The least and the greatest equilibrium at given prices, by best replies from nobody and from everybody sharing."""
    gaussian = Gaussian(float_matrix(market), floats(market.value))
    price = floats(prices)
    least, greatest = (best_replies(gaussian, price, np.full(market.n, start), tie(market)) for start in (False, True))
    mechanism = SharingProfile(greatest, price)
    cost = cost_of_sharing_at(gaussian, greatest)
    value = {
        **quantities(market, mechanism),
        "margin": float(np.abs(price - cost).min()),
        "least-surplus": quantities(market, SharingProfile(least, price))["surplus"],
    }
    only = "the only one" if (least == greatest).all() else "the greatest; the least has the surplus shown"
    return Answer(
        status=Status.EQUILIBRIUM,
        mechanism=mechanism,
        quantities=value,
        certificate=Equilibrium(_largest_gain(market, greatest, cost, price), float(market.unit)),
        notes=(f"the user equilibrium shown is {only}",),
        run=SolverReport(seconds=deadline.elapsed, method="monotone best replies"),
    )


def _largest_gain(market: Market, shares: BoolArray, cost: NumberArray, price: NumberArray) -> float:
    """What the user who gains most by changing whether to share gains, in payoff units; of floats rounding is added."""
    gain = np.where(shares, cost - price, price - cost).max()
    return max(0.0, float(gain)) + (0.0 if market.is_exact else TABLE_ROUNDING * float(market.unit))


def _starts(market: Market) -> BoolArray:
    return np.stack([market.low, np.ones(market.n, dtype=bool), np.zeros(market.n, dtype=bool)])
