"""What buyers choose from a menu, what that is certain to earn, and how a solver's point becomes a menu that is posted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from optmarket.arrays import FloatArray, IntArray, NumberArray
from optmarket.models.selling_information.experiments import (
    distinct_items,
    values,
    without_copies,
    without_near_copies,
    without_negative_probabilities,
    without_solver_noise,
)
from optmarket.models.selling_information.market_arrays import Market
from optmarket.models.selling_information.menu import NOTHING, Menu
from optmarket.rationals import around, floats, matrix_product
from optmarket.tolerances import TIE

# Common shares off all prices, of which the one that earns most is taken: with none, rounding may turn a buyer away.
DISCOUNTS = (0, *(10.0**-k for k in range(12, 2, -1)))
# The same where numbers are exact and only ties against the seller count: powers of two, which round nothing.
EXACT_DISCOUNTS = tuple(Fraction(1, 2**k) for k in (50, 40, 34))
# Relative: more than the rounding of a sum of revenues that `math.fsum` forms, and of the products in it.
REVENUE_ROUNDING = 1e-15


@dataclass(frozen=True, eq=False)
class TypePayoffs:
    """The payoffs of all types, each in units of its own stakes, all in floats or all exact.

    Attributes
    ----------
    product : array, shape (T, W, K, A)
        `Market.advantage`: measure times payoff beyond the action taken without information.
    stakes : array, shape (T,)
        In payoff units.
    weight : array, shape (T,)
    """

    product: NumberArray
    stakes: NumberArray
    weight: NumberArray

    @classmethod
    def of(cls, market: Market, *, exact: bool) -> TypePayoffs:
        """Those of a market with finitely many types."""
        if exact:
            return cls(market.advantage, market.stakes, market.weight)
        return cls(market.float_advantage, market.float_stakes, market.weights)

    def utility(self, value: NumberArray, price: NumberArray) -> NumberArray:
        """What each type keeps of each item beyond buying nothing, shape (T, M), given what items are worth to it."""
        return np.asarray(value - price[None] / self.stakes[:, None])

    def rounding(self, experiment: NumberArray) -> float:
        """By how much two computed utilities of a type may differ though they are the same, in its own stakes: 0 if exact.

        The terms of a value, one for each state, signal and context, are at least 0 but for those of actions that are not
        worth taking; their positive parts are at most 1 in all, and so are the negative ones of an action that is. The
        constant covers that rows of an experiment sum to one only within rounding, and the price.
        """
        if self.product.dtype == object:
            return 0  # an integer: a float would make floats of Fractions
        return float(4 * (self.product.shape[1] + self.product.shape[2] * experiment.shape[2] + 100) * 2.0**-53)

    def revenue(self, price: NumberArray, choice: IntArray) -> float:
        """What a choice earns, rounded down by more than the sum's own rounding."""
        if self.product.dtype != object:
            computed = revenue_of(self.weight, price, choice)
            return max(0.0, math.nextafter(computed * (1 - REVENUE_ROUNDING), -math.inf))
        paid = sum(self.weight * np.array([*price, Fraction(0)], dtype=object)[choice], Fraction(0))
        return around(paid)[0]

    def certified_revenue(self, experiment: NumberArray, price: NumberArray) -> float:
        """What a menu earns at least when every tie goes against the seller, rounding included."""
        utility = self.utility(values(self.product, experiment), price)
        return self.revenue(price, best_reply(utility, price, self.rounding(experiment), for_seller=False))

    def best_discount(
        self, value: NumberArray, price: NumberArray, shares: tuple[Any, ...], tie: float, *, for_seller: bool
    ) -> tuple[IntArray, NumberArray, float]:
        """The choice, prices and revenue for that common share off all prices that earns most."""
        best, best_choice, best_price = -1.0, np.full(len(value), NOTHING), price
        for share in shares:
            cut = price * (1 - share)
            choice = best_reply(self.utility(value, cut), cut, tie, for_seller=for_seller)
            revenue = self.revenue(cut, choice)
            if revenue > best:
                best, best_choice, best_price = revenue, choice, cut
        return best_choice, best_price, best


def choose(value: FloatArray, outside: FloatArray, price: FloatArray, tie: float, *, for_seller: bool) -> IntArray:
    """The item that is best for each type, `NOTHING` if none is: see `best_reply`.

    Parameters
    ----------
    value : array, shape (T, M)
    outside : array, shape (T,)
    price : array, shape (M,)
    """
    return best_reply(value - outside[:, None] - price, price, tie, for_seller=for_seller)


def best_reply(utility: NumberArray, price: NumberArray, tie: float, *, for_seller: bool) -> IntArray:
    """The item that is best for each type, `NOTHING` if none is; ties go to the highest-priced item or to the cheapest.

    Parameters
    ----------
    utility : array, shape (T, M)
        Net of the price and of the outside option, in any unit of each type's own, that of `tie`.
    price : array, shape (M,)
    tie : float
        Items this close to the best one count as equally good; 0 for exact numbers.
    for_seller : bool
        Whether a type takes the highest-priced of what it likes equally, or the cheapest.

    Examples
    --------
    >>> best_reply(np.array([[0.5, 0.5], [-1.0, -1.0]]), np.array([1.0, 2.0]), 0.0, for_seller=True).tolist()
    [1, -1]
    """
    utility = np.column_stack([np.zeros(len(utility), dtype=utility.dtype), utility])
    near = utility >= utility.max(axis=1, keepdims=True) - tie
    prices = floats(np.concatenate([[0.0], price]))
    pick = np.where(near, prices, -np.inf).argmax(axis=1) if for_seller else np.where(near, prices, np.inf).argmin(axis=1)
    return np.asarray(pick - 1)


def revenue_of(weight: FloatArray, price: FloatArray, choice: IntArray) -> float:
    """Expected revenue of a choice."""
    return math.fsum(weight * np.concatenate([price, [0.0]])[choice])


# Menus of a solver's point -----------------------------------------------------------------------------------------------


def direct_menu(
    market: Market, experiment: NumberArray, price: NumberArray, *, discount: bool = True, tidy: bool = True
) -> tuple[Menu, float]:
    """The direct mechanism of a menu of experiments, a solver's point for instance, and a certified lower bound on its revenue.

    Parameters
    ----------
    market : Market
    experiment : array, shape (M, W, N)
        Items, repeated ones allowed. Floats, whose rows need be stochastic only within a solver's tolerance; or Fractions, for
        which everything is computed exactly.
    price : array, shape (M,)
        In payoff units.
    discount : bool
        Cut all prices by the small common share that earns most when every tie goes against the seller. Without it ties go to
        the seller, as the definition of revenue has it.
    tidy : bool
        Of floats: take probabilities and prices for equal that differ by what a solver's tolerance leaves. Where stakes differ
        much such small probabilities may matter; try both.

    Returns
    -------
    menu : Menu
        In payoff units: the items somebody buys, each type's item recommending what the type then does.
    revenue : float
        In payoff units; with `discount` a lower bound on the optimum, rounding included.
    """
    exact = experiment.dtype == object
    payoffs = TypePayoffs.of(market, exact=exact)
    if exact:
        items, prices = without_copies(experiment, price)
    elif tidy:
        items, prices = without_near_copies(without_solver_noise(experiment), np.maximum(price, 0.0))
    else:
        items, prices = without_copies(without_negative_probabilities(experiment), np.maximum(price, 0.0))
    value = values(payoffs.product, items)
    shares = (EXACT_DISCOUNTS if exact else DISCOUNTS) if discount else DISCOUNTS[:1]
    tie = payoffs.rounding(items) if discount or exact else TIE
    choice, best_prices, best = payoffs.best_discount(value, prices, shares, tie, for_seller=not discount)
    # types of weight 0 choose from what the others buy
    sold = np.setdiff1d(choice[market.active], NOTHING)
    items, best_prices = items[sold], best_prices[sold]
    choice = best_reply(payoffs.utility(value[:, sold], best_prices), best_prices, tie, for_seller=not discount)
    if exact:
        return _as_recommendations(payoffs.product, market.profiles, items, best_prices, choice, 0), best
    # recommendations that are not quite best merge signals, at a loss: what is claimed is what the menu in its final form earns
    for near in (TIE, tie):
        menu = _as_recommendations(payoffs.product, market.profiles, items, best_prices, choice, near)
        revenue = payoffs.certified_revenue(menu.experiment, menu.price) if discount else best
        if revenue >= best * (1 - TIE):
            break
    return menu, revenue


def posted_menu(market: Market, experiment: FloatArray, price: FloatArray) -> tuple[Menu, float]:
    """A menu from which buyers choose, of those of the given items that sell, and a certified lower bound on its revenue.

    Parameters
    ----------
    market : Market
    experiment : array, shape (M, W, N)
        As for `direct_menu`, in floats.
    price : array, shape (M,)
        In payoff units; cut as `direct_menu` does with ``discount``.

    Returns
    -------
    menu : Menu
        In payoff units, without assignment; no two signals of an item mean the same.
    revenue : float
        In payoff units; with every tie against the seller, rounding included.
    """
    payoffs = TypePayoffs.of(market, exact=False)
    items, prices = distinct_items(experiment, price)
    value = values(payoffs.product, items)
    tie = payoffs.rounding(items)
    choice, prices, _ = payoffs.best_discount(value, prices, DISCOUNTS, tie, for_seller=False)
    sold = np.setdiff1d(choice[market.active], NOTHING)
    # chosen from anew: an item that nobody buys may tie with nothing
    _, prices, best = payoffs.best_discount(value[:, sold], prices[sold], DISCOUNTS[:1], tie, for_seller=False)
    return Menu(items[sold], prices), best


def full_information_menu(market: Market) -> tuple[Menu, float]:
    """`direct_menu`, discounted, of full information alone at its best price."""
    _, price = market.full_information
    return direct_menu(market, np.eye(len(market.states))[None], np.array([float(price)]))


def _as_recommendations(
    product: NumberArray, profiles: IntArray, experiment: NumberArray, price: NumberArray, choice: IntArray, tie: float
) -> Menu:
    """The direct mechanism of a choice: each type's signals renamed to what it does after them.

    If there are as many signals as profiles they are taken for recommendations and followed where that is best, or within `tie`
    of it in units of the type's stakes.
    """
    n_profiles = len(profiles)
    place = product.shape[3] ** np.arange(profiles.shape[1])[::-1]
    recommended = profiles.T if experiment.shape[2] == n_profiles else np.zeros((len(place), experiment.shape[2]), dtype=np.int64)
    assignment = np.full(len(choice), NOTHING)
    made: dict[tuple[int, tuple[int, ...]], int] = {}
    items: list[NumberArray] = []
    prices: list[Any] = []
    for item in np.unique(choice[choice != NOTHING]):
        buyers = np.flatnonzero(choice == item)
        flat = np.moveaxis(product[buyers], 1, 3)
        payoff = matrix_product(flat.reshape(-1, flat.shape[3]), experiment[item]).reshape(*flat.shape[:3], -1)
        followed = np.take_along_axis(payoff, recommended[None, :, None, :].repeat(len(buyers), axis=0), 2)
        most = payoff.max(axis=2, keepdims=True)
        obeys = followed[:, :, 0, :] >= most[:, :, 0, :] - tie
        action = np.where(obeys, recommended, (payoff == most).argmax(axis=2))
        reply = (action * place[:, None]).sum(axis=1)
        for replies in np.unique(reply, axis=0):
            relabelled = np.zeros((product.shape[1], n_profiles), dtype=experiment.dtype)
            np.add.at(relabelled.T, replies, experiment[item].T)
            key = (int(item), tuple(np.where(experiment[item].any(axis=0), replies, -1).tolist()))
            if key not in made:
                made[key] = len(items)
                items.append(relabelled)
                prices.append(price[item])
            assignment[buyers[(reply == replies).all(axis=1)]] = made[key]
    shape = (len(items), product.shape[1], n_profiles)
    return Menu(np.array(items, dtype=experiment.dtype).reshape(shape), np.array(prices, dtype=price.dtype), assignment)
