"""What finitely many types do with a menu: quantities, and the audit of a menu by what anybody could gain by a deviation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

import numpy as np

from optmarket.arrays import FloatArray, IntArray, NumberArray
from optmarket.certificates import Audit, weightless
from optmarket.modeling.registry import Quantity
from optmarket.models.selling_information.experiments import informativeness_of_cheapest, values
from optmarket.models.selling_information.market_arrays import Market
from optmarket.models.selling_information.menu import NOTHING, Menu
from optmarket.models.selling_information.posting import TypePayoffs, best_reply
from optmarket.rationals import floats, matrix_product
from optmarket.tolerances import TIE

# Products of numbers up to which an audit is made in exact rational arithmetic, which takes some tenths of a second then.
AUDITED_EXACTLY = 50_000

QUANTITIES = {
    "revenue": Quantity("payoff units", "expected revenue"),
    "revenue-error": Quantity("payoff units", "by how much the estimate of revenue may be off"),
    "surplus": Quantity("payoff units", "what buyers keep beyond buying nothing"),
    "welfare": Quantity("payoff units", "revenue and surplus together"),
    "share-buying": Quantity("probability", "share of buyers who buy something"),
    "differential-informativeness": Quantity(
        "probability", "how much more reliably the cheapest item reveals the first state than the second"
    ),
    "full-information-revenue": Quantity("payoff units", "revenue of full information alone at its best price"),
    "full-information-price": Quantity("payoff units", "that price"),
    "first-best": Quantity("payoff units", "total value of full information to buyers"),
    "unrestricted-revenue": Quantity("payoff units", "optimal revenue without the limit on items"),
    "loss": Quantity("payoff units", "what the limit on items costs"),
}


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the types of a market do with a menu, each part computed once.

    Attributes
    ----------
    market : Market
    menu : Menu
        In floats, or of Fractions: then all is computed in exact rational arithmetic.
    """

    market: Market
    menu: Menu

    @cached_property
    def payoffs(self) -> TypePayoffs:
        """Payoffs of the same kind of numbers as the menu's."""
        return TypePayoffs.of(self.market, exact=self.menu.is_exact)

    @cached_property
    def best_value(self) -> NumberArray:
        """What each item is worth to each type that acts best on it, in its stakes, shape (T, M)."""
        return values(self.payoffs.product, self.menu.experiment)

    @cached_property
    def obeyed_value(self) -> NumberArray:
        """What each item is worth to each type that follows its recommendations, in its stakes, shape (T, M)."""
        gain = self.market.net_gain if self.menu.is_exact else self.market.float_net_gain
        items = self.menu.experiment
        return matrix_product(gain.reshape(len(gain), -1), items.reshape(len(items), gain[0].size).T)

    @cached_property
    def best_choice(self) -> IntArray:
        """The item that each type would choose, ties for the seller, shape (T,)."""
        utility = self.payoffs.utility(self.best_value, self.menu.price)
        return best_reply(utility, self.menu.price, 0 if self.menu.is_exact else TIE, for_seller=True)

    @property
    def choice(self) -> IntArray:
        """The item that each type has: as assigned, or as it chooses; shape (T,)."""
        return self.best_choice if self.menu.assignment is None else self.menu.assignment

    @cached_property
    def paid(self) -> NumberArray:
        """What each type pays, in payoff units, shape (T,)."""
        return np.asarray(np.append(self.menu.price, 0)[self.choice])

    @cached_property
    def gained(self) -> NumberArray:
        """What each type gains by its item before it pays, in payoff units, shape (T,)."""
        worth = self.best_value if self.menu.assignment is None else self.obeyed_value
        worth = np.hstack([worth, np.zeros((len(worth), 1), dtype=worth.dtype)])
        return np.asarray(worth[np.arange(len(worth)), self.choice] * self.payoffs.stakes)

    def total(self, amounts: NumberArray) -> float:
        """Amounts of all types, weighted."""
        if amounts.dtype == object:
            return float(sum(self.market.weight * amounts, Fraction(0)))
        return math.fsum(self.market.weights * amounts)

    @cached_property
    def quantities(self) -> dict[str, float]:
        """What the menu brings about, by the names of `QUANTITIES`."""
        market, menu = self.market, self.menu.in_floats
        binary = (len(market.states), len(market.actions), market.joint.shape[2]) == (2, 2, 1)
        sold = np.setdiff1d(self.choice[market.active], NOTHING)
        return {
            "revenue": self.total(self.paid),
            "surplus": self.total(self.gained - self.paid),
            "welfare": self.total(self.gained),
            "share-buying": math.fsum(market.weights[self.choice != NOTHING]),
            **(informativeness_of_cheapest(menu.experiment, menu.price, sold) if binary else {}),
        }


@lru_cache(maxsize=1)
def outcome_of(market: Market, menu: Menu) -> Outcome:
    """The outcome of a menu that was found, from the numbers as a file states them; quantities and tables share it."""
    return Outcome(market, menu.as_written if _is_audited_exactly(market, menu) else menu.in_floats)


def quantities(market: Market, menu: Menu) -> dict[str, float]:
    """Named scalars of a menu in its market, in the units of `QUANTITIES`."""
    single, single_price = market.full_information
    return {
        **outcome_of(market, menu).quantities,
        "full-information-revenue": float(single),
        "full-information-price": float(single_price),
        "first-best": float(market.first_best),
    }


def audit(market: Market, menu: Menu) -> Audit:
    """What a menu does to buyers as they are, computed from beliefs and payoffs with numpy alone.

    Parameters
    ----------
    market : Market
    menu : Menu
        As `Menu.read` reads it. A menu without assignment lets buyers choose, ties for the seller, and has nothing to violate.

    Returns
    -------
    Audit
        Quantities ``revenue`` (as assigned), ``surplus``, ``welfare``, ``share-buying``, perhaps ``differential-informativeness``
        (see `informativeness_of_cheapest`), and for an assignment ``revenue-best-reply``, what is earned when buyers choose
        freely. Violations ``misreport`` (take another type's item and obey it), ``disobey`` (keep one's item and act otherwise),
        ``double-deviation`` (both at once), ``individual-rationality`` (buy nothing).

    Examples
    --------
    >>> from optmarket.models.selling_information.params import Params
    >>> market = Market.of(Params.model_validate({"types": [{"weight": 1, "belief": ["1/4", "3/4"]}]}))
    >>> audit(market, Menu(np.eye(2)[None], np.array([0.25]), np.array([0]))).violations["individual-rationality"]
    0.0
    """
    found = Outcome(market, menu.as_written if _is_audited_exactly(market, menu) else menu.in_floats)
    unit = float(market.unit)
    if menu.assignment is None:
        return Audit(found.quantities, {}, unit, notes=menu.notes)
    gains, payoffs = _gains(found, menu.assignment), found.payoffs
    best_reply_revenue = found.total(np.append(found.menu.price, 0)[found.best_choice])
    active, idle = market.active, np.flatnonzero(market.weight == 0)
    # a price, too, is at stake: of a type to which information is worth nothing it is all there is
    worth = np.maximum(market.float_relative_worth, np.abs(floats(found.paid / payoffs.stakes)))
    most = {name: max(0.0, float((gain * payoffs.stakes)[idle].max(initial=0))) for name, gain in gains.items()}
    return Audit(
        {**found.quantities, "revenue-best-reply": best_reply_revenue},
        {name: max(0.0, float((gain * payoffs.stakes)[active].max())) for name, gain in gains.items()},
        unit,
        notes=(*(weightless(most) if len(idle) else ()), *menu.notes),
        relative={name: max(0.0, float(_shares(floats(gain), worth)[active].max(initial=0.0))) for name, gain in gains.items()},
    )


def _gains(found: Outcome, assignment: IntArray) -> dict[str, NumberArray]:
    """What each type gains at most by each deviation from a direct mechanism, in units of its stakes, shape (T,) each."""
    price, payoffs = found.menu.price, found.payoffs
    types = np.arange(len(assignment))
    nothing = np.zeros((len(types), 1), dtype=found.best_value.dtype)
    obeyed = np.hstack([payoffs.utility(found.obeyed_value, price), nothing])
    best = np.hstack([payoffs.utility(found.best_value, price), nothing])
    own = obeyed[types, assignment]
    reachable = np.unique(assignment)
    return {
        "misreport": obeyed[:, reachable].max(axis=1) - own,
        "disobey": best[types, assignment] - own,
        "double-deviation": best[:, reachable].max(axis=1) - own,
        "individual-rationality": -own,
    }


def _is_audited_exactly(market: Market, menu: Menu) -> bool:
    """Whether a menu is audited in exact rational arithmetic: it takes next to no time."""
    return bool(
        market.joint.size * market.payoff.shape[2] * menu.experiment.shape[0] * menu.experiment.shape[2] <= AUDITED_EXACTLY
    )


def _shares(gain: FloatArray, worth: FloatArray) -> FloatArray:
    """Gains as shares of what is at stake; those of nothing at stake are infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(gain > 0, gain / worth, 0.0))
