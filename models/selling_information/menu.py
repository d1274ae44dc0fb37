"""Menus of experiments: what buyers choose from them, what that earns, and how a program's point becomes a menu."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError, field_validator
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from optmarket.errors import InstanceError
from optmarket.instances.validation import translate
from optmarket.lp.program import FloatArray, IntArray, NumberArray
from optmarket.models.selling_information.market import Market
from optmarket.rationals import Exact, around, floats, matrix_product, shown

SAME_ITEM = 1e-9
NORMAL = 1e-6  # by how much a solver may miss that a state is told for sure
TIE = 1e-12
DISCOUNTS = (0, *(10.0**-k for k in range(12, 2, -1)))
EXACT_DISCOUNTS = tuple(Fraction(1, 2**k) for k in (50, 40, 34))
BLOCK_BYTES = 2**26
NOTHING = -1


class Item(BaseModel):
    """One line of a menu."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    experiment: tuple[tuple[Exact, ...], ...] = Field(
        description="probability of each signal in each state, [state][signal]; each row at least 0 and sums to 1"
    )
    price: Exact = Field(description="price, in payoff units")

    @field_validator("experiment")
    @classmethod
    def _stochastic(cls, experiment: tuple[tuple[Fraction, ...], ...]) -> tuple[tuple[Fraction, ...], ...]:
        widths = [len(row) for row in experiment]
        if len(set(widths)) != 1 or widths[0] == 0:
            raise ValueError(f"has rows of {widths} entries; each state's row has one per signal, as many as the others")
        for state, row in enumerate(experiment):
            if min(row) < 0:
                raise ValueError(f"has {shown(min(row))} in the row of state {state + 1}; a probability is at least 0")
            if abs(sum(row, Fraction(0)) - 1) > Fraction(1, 10**9):
                raise ValueError(f"has a row of state {state + 1} that sums to {shown(sum(row))}; must sum to 1")
        return experiment


class Mechanism(BaseModel):
    """A menu, or with an assignment a direct mechanism whose signals are recommended profiles of actions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: tuple[Item, ...] = Field(description="what is for sale; buying nothing for nothing is always possible")
    assignment: tuple[StrictInt | None, ...] | None = Field(
        None, description="for a direct mechanism: the item of each type, counted from 0, null for nothing"
    )


@dataclass(frozen=True)
class Menu:
    """Arrays of a menu, in payoff units: floats, or Fractions throughout.

    Attributes
    ----------
    experiment : array, shape (M, W, N)
        Items with fewer signals are padded with signals that are never sent.
    price : array, shape (M,)
    assignment : array of int, shape (T,), or None
        For a direct mechanism the item of each type, `NOTHING` for none; then N = A^K and signals are profiles.
    """

    experiment: NumberArray
    price: NumberArray
    assignment: IntArray | None = None

    @property
    def is_exact(self) -> bool:
        """Whether its numbers are Fractions."""
        return bool(self.price.dtype == object)

    def in_floats(self) -> Menu:
        """The same menu, each number rounded."""
        return Menu(floats(self.experiment), floats(self.price), self.assignment)

    @classmethod
    def read(cls, market: Market, data: Mapping[str, Any], *, exact: bool = False) -> Menu:
        """Check a mechanism against a market. Rows of experiments are divided by their sum.

        Parameters
        ----------
        market : Market
        data : mapping
            ``items`` and perhaps ``assignment``.
        exact : bool
            Numbers as they are written, in Fractions, rather than their floats.

        Raises
        ------
        InstanceError
            With the field that does not fit.
        """
        try:
            given = Mechanism.model_validate(data)
        except ValidationError as error:
            raise translate(error, Mechanism, file=None, prefix="") from error
        states, profiles = len(market.states), len(market.profiles)
        for k, item in enumerate(given.items):
            if len(item.experiment) != states:
                raise InstanceError(
                    f"has {len(item.experiment)} rows; the market has {states} states", field=f"items[{k}].experiment"
                )
        signals = max((len(item.experiment[0]) for item in given.items), default=profiles)
        number = (lambda values: np.array(values, dtype=object)) if exact else floats
        experiment = number(np.full((len(given.items), states, signals), Fraction(0), dtype=object))
        for k, item in enumerate(given.items):
            rows = number([_divided(row) for row in item.experiment])
            experiment[k, :, : rows.shape[1]] = rows
        price = number([item.price for item in given.items])
        if given.assignment is None:
            return cls(experiment, price)
        if len(given.assignment) != len(market.names):
            raise InstanceError(
                f"has {len(given.assignment)} entries; the market has {len(market.names)} types", field="assignment"
            )
        for k, place in enumerate(given.assignment):
            if place is not None and not 0 <= place < len(given.items):
                raise InstanceError(f"is {place}; the items are 0 to {len(given.items) - 1}", field=f"assignment[{k}]")
        if any(len(item.experiment[0]) != profiles for item in given.items):
            raise InstanceError(
                f"has items of other than {profiles} signals; with an assignment signals are recommended actions, one per "
                "profile of actions by context",
                field="items",
            )
        return cls(
            experiment, price, np.array([NOTHING if place is None else place for place in given.assignment], dtype=np.int64)
        )

    @classmethod
    def posted(cls, market: Market, data: Mapping[str, Any]) -> Menu:
        """Check a mechanism from which buyers of a whole distribution choose.

        Raises
        ------
        InstanceError
            As `read`; or if it assigns items.
        """
        if data.get("assignment") is not None:
            raise InstanceError(
                "names the item of each type; with a distribution of beliefs buyers choose: leave it out", field="assignment"
            )
        return cls.read(market, data)

    def as_mechanism(self) -> dict[str, Any]:
        """The mechanism of a solution file."""
        if self.assignment is None:
            used = [experiment[:, experiment.any(axis=0)] for experiment in self.experiment]
        else:
            used = list(self.experiment)
        items = [
            {"experiment": [[_written(p) for p in row] for row in e.tolist()], "price": _written(t)}
            for e, t in zip(used, self.price.tolist(), strict=True)
        ]
        if self.assignment is None:
            return {"items": items}
        return {"items": items, "assignment": [None if place == NOTHING else int(place) for place in self.assignment]}


def _divided(row: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    total = sum(row, Fraction(0))
    return row if total == 1 else tuple(entry / total for entry in row)


def _written(number: float | Fraction) -> float | str:
    """A number of a mechanism file: a float, or a fraction unless a float and the decimal that names it are both that number."""
    nearest = float(number)
    return nearest if isinstance(number, float) or Fraction(nearest) == number == Fraction(repr(nearest)) else str(number)


def values(product: NumberArray, experiment: NumberArray) -> NumberArray:
    """What each experiment is worth to each type that acts best on it, the outside option not deducted.

    Parameters
    ----------
    product : array, shape (T, W, K, A)
        Measure times payoff.
    experiment : array, shape (M, W, N)

    Returns
    -------
    array, shape (T, M)
    """
    types, states, contexts, actions = product.shape
    items, _, signals = experiment.shape
    flat = np.moveaxis(experiment, 1, 0).reshape(states, -1)
    result = np.zeros((types, items), dtype=np.result_type(product, experiment))
    step = max(1, BLOCK_BYTES // (8 * max(1, items * signals * contexts * actions)))
    for start in range(0, types, step):
        block = product[start : start + step]
        payoff = matrix_product(np.moveaxis(block, 1, 3).reshape(-1, states), flat)
        best = payoff.reshape(len(block), contexts, actions, items * signals).max(axis=2)
        result[start : start + step] = best.reshape(len(block), contexts, items, signals).sum(axis=(1, 3))
    return result


def choose(value: FloatArray, outside: FloatArray, price: FloatArray, tie: float, *, for_seller: bool) -> IntArray:
    """The item each type takes, `NOTHING` if none: the best for it, and among those within `tie` of it the dearest or cheapest.

    Parameters
    ----------
    value : array, shape (T, M)
    outside : array, shape (T,)
    price : array, shape (M,)
    """
    return best_reply(value - outside[:, None] - price, price, tie, for_seller=for_seller)


def best_reply(utility: NumberArray, price: NumberArray, tie: float, *, for_seller: bool) -> IntArray:
    """The item each type takes, `NOTHING` if none: the best for it, and among those within `tie` of it the dearest or cheapest.

    Parameters
    ----------
    utility : array, shape (T, M)
        Net of the price and of the outside option, in any unit of each type's own, that of `tie`.
    price : array, shape (M,)
    tie : float
        0 for exact numbers.
    for_seller : bool
        Whether a type takes the dearest of what it likes equally, or the cheapest.
    """
    utility = np.column_stack([np.zeros(len(utility), dtype=utility.dtype), utility])
    near = utility >= utility.max(axis=1, keepdims=True) - tie
    prices = floats(np.concatenate([[0.0], price]))
    pick = np.where(near, prices, -np.inf).argmax(axis=1) if for_seller else np.where(near, prices, np.inf).argmin(axis=1)
    return np.asarray(pick - 1)


def earned(weight: FloatArray, price: FloatArray, choice: IntArray) -> float:
    """Expected revenue of a choice."""
    return math.fsum(weight * np.concatenate([price, [0.0]])[choice])


@dataclass(frozen=True)
class Demand:
    """What menus are judged by: each type's payoffs in units of its own stakes, all in floats or all exact.

    Attributes
    ----------
    product : array, shape (T, W, K, A)
        `Market.advantage`.
    stakes, weight : array, shape (T,)
    """

    product: NumberArray
    stakes: NumberArray
    weight: NumberArray

    @classmethod
    def of(cls, market: Market, *, exact: bool) -> Demand:
        if exact:
            return cls(market.advantage, market.stakes, market.weight)
        return cls(market.float_advantage, floats(market.stakes), market.weights)

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
            return 0  # whole: a float would make floats of Fractions
        return float(4 * (self.product.shape[1] + self.product.shape[2] * experiment.shape[2] + 100) * 2.0**-53)

    def revenue(self, price: NumberArray, choice: IntArray) -> float:
        """What a choice earns, rounded down by more than the sum's own rounding."""
        if self.product.dtype != object:
            return _rounded_down(earned(self.weight, price, choice))
        paid = sum(self.weight * np.array([*price, Fraction(0)], dtype=object)[choice], Fraction(0))
        return around(paid)[0]

    def certified(self, experiment: NumberArray, price: NumberArray) -> float:
        """What a menu earns at least when every tie goes against the seller, rounding included."""
        utility = self.utility(values(self.product, experiment), price)
        return self.revenue(price, best_reply(utility, price, self.rounding(experiment), for_seller=False))

    def discounted(
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


def direct_menu(
    market: Market, experiment: NumberArray, price: NumberArray, *, discount: bool = True, tidy: bool = True
) -> tuple[Menu, float]:
    """The direct mechanism of a menu of experiments, a program's point for instance, and a certified lower bound on its revenue.

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
    buyers = Demand.of(market, exact=exact)
    if exact:
        items, prices = _different(experiment, price)
    elif tidy:
        items, prices = _distinct(_stochastic(experiment), np.maximum(price, 0.0))
    else:
        items, prices = _different(_nonnegative(experiment), np.maximum(price, 0.0))
    value = values(buyers.product, items)
    shares = (EXACT_DISCOUNTS if exact else DISCOUNTS) if discount else DISCOUNTS[:1]
    tie = buyers.rounding(items) if discount or exact else TIE
    choice, best_prices, best = buyers.discounted(value, prices, shares, tie, for_seller=not discount)
    # types of weight 0 choose from what the others buy
    sold = np.setdiff1d(choice[market.active], NOTHING)
    items, best_prices = items[sold], best_prices[sold]
    choice = best_reply(buyers.utility(value[:, sold], best_prices), best_prices, tie, for_seller=not discount)
    if exact:
        return _relabelled(buyers.product, market.profiles, items, best_prices, choice, 0), best
    # recommendations that are not quite best merge signals, at a loss: what is claimed is what the menu in its final form earns
    for near in (TIE, tie):
        menu = _relabelled(buyers.product, market.profiles, items, best_prices, choice, near)
        revenue = buyers.certified(menu.experiment, menu.price) if discount else best
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
    buyers = Demand.of(market, exact=False)
    items, prices = distinct(experiment, price)
    value = values(buyers.product, items)
    tie = buyers.rounding(items)
    choice, prices, _ = buyers.discounted(value, prices, DISCOUNTS, tie, for_seller=False)
    sold = np.setdiff1d(choice[market.active], NOTHING)
    # judged anew: what is not for sale ties with nothing
    _, prices, best = buyers.discounted(value[:, sold], prices[sold], DISCOUNTS[:1], tie, for_seller=False)
    return Menu(items[sold], prices), best


def _rounded_down(revenue: float) -> float:
    """A computed revenue less what rounding may have added."""
    return max(0.0, math.nextafter(revenue * (1 - 1e-15), -math.inf))


def merged(experiment: FloatArray) -> FloatArray:
    """The same experiments, signals that mean the same made one, and in an order that does not depend on how they are written.

    Parameters
    ----------
    experiment : array, shape (M, W, N)

    Returns
    -------
    array, shape (M, W, N')
        The signals that speak most for the first state come first; those never sent are padding.
    """
    items = []
    for item in experiment:
        used = item[:, item.any(axis=0)]
        meaning = np.round(-used / used.sum(axis=0) / SAME_ITEM) * SAME_ITEM
        _, place = np.unique(meaning, axis=1, return_inverse=True)
        signals = np.zeros((place.max(initial=0) + 1, len(item)))
        np.add.at(signals, place.ravel(), used.T)
        items.append(signals.T)
    width = max((item.shape[1] for item in items), default=1)
    result = np.zeros((*experiment.shape[:2], width))
    for k, item in enumerate(items):
        result[k, :, : item.shape[1]] = item
    return result


def distinct(experiment: FloatArray, price: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The different items of a program's point, however their signals are ordered, split or called."""
    return _distinct(merged(_stochastic(experiment)), np.maximum(price, 0.0))


def distinct_items(menu: Menu) -> int:
    """How many different items a menu lists, nothing for nothing not counted."""
    if not len(menu.price):
        return 0
    experiment = merged(menu.experiment)
    silent = (experiment.any(axis=1).sum(axis=1) == 1) & (menu.price == 0)
    kept = np.flatnonzero(~silent)
    return len(_distinct(experiment[kept], menu.price[kept])[1]) if len(kept) else 0


def differential_informativeness(experiment: FloatArray) -> float | None:
    """How much better an experiment tells the first of two states than the second.

    Parameters
    ----------
    experiment : array, shape (2, N)
        However its signals are ordered, split or called.

    Returns
    -------
    float or None
        With pi_w the chance that in state w the signal that speaks for w is sent, ``pi_1 - pi_2``: 0 for full information,
        and the farther from it the less is told, up to 1 or -1. None unless two signals mean different things and one of the
        chances is 1: the number says nothing of other experiments.
    """
    signals = merged(experiment[None])[0]
    signals = signals[:, signals.any(axis=0)]
    if signals.shape[1] != 2:
        return None
    first, second = float(signals[0, 0]), float(signals[1, 1])
    return first - second if max(first, second) >= 1 - NORMAL else None


def of_cheapest(experiment: FloatArray, price: FloatArray, sold: IntArray) -> dict[str, float]:
    """`differential_informativeness` of the cheapest item sold, as a quantity by its name; none if that is no single number.

    Parameters
    ----------
    experiment : array, shape (M, 2, N)
    price : array, shape (M,)
    sold : array of int
        The items that somebody buys; of several that cost the same all must be as informative.
    """
    if not len(sold):
        return {}
    least = price[sold].min()
    cheap = sold[price[sold] <= least + SAME_ITEM * abs(least)]
    found = [differential_informativeness(item) for item in experiment[cheap]]
    known = [one for one in found if one is not None]
    if len(known) < len(found) or max(known) - min(known) > NORMAL:
        return {}
    return {"differential-informativeness": known[0]}


def full_information_menu(market: Market) -> tuple[Menu, float]:
    """`direct_menu`, discounted, of full information alone at its best price."""
    _, price = market.full_information
    return direct_menu(market, np.eye(len(market.states))[None], np.array([float(price)]))


def _stochastic(experiment: FloatArray) -> FloatArray:
    """Rows made stochastic but for rounding: a solver's tolerance, or what it left when it was stopped, removed."""
    clean = np.where(experiment < 1e-11, 0.0, np.minimum(experiment, 1.0))
    clean[~clean.any(axis=2)] = 1.0
    return np.asarray(clean / clean.sum(axis=2, keepdims=True))


def _nonnegative(experiment: FloatArray) -> FloatArray:
    """Rows divided by their sum, nothing but negative probabilities removed."""
    clean = np.maximum(experiment, 0.0)
    clean[~clean.any(axis=2)] = 1.0
    return np.asarray(clean / clean.sum(axis=2, keepdims=True))


def _different(experiment: NumberArray, price: NumberArray) -> tuple[NumberArray, NumberArray]:
    """Items of which no two are equal, by price."""
    found = {(cost, *item.ravel()): k for k, (item, cost) in reversed([*enumerate(zip(experiment, price, strict=True))])}
    kept = np.array(sorted(found.values(), key=lambda k: (price[k], k)), dtype=np.int64)
    return experiment[kept], price[kept]


def _distinct(experiment: FloatArray, price: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Items that differ by more than `SAME_ITEM` in some probability, or in proportion in their price."""
    with np.errstate(divide="ignore"):
        points = np.column_stack([experiment.reshape(len(price), -1), np.maximum(np.log(price), -1000.0)])
    rounded = np.unique(np.round(points / SAME_ITEM) * SAME_ITEM, axis=0, return_index=True)[1]
    points = points[rounded]
    pairs = cKDTree(points).query_pairs(SAME_ITEM, p=np.inf, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points)))
    _, first = np.unique(connected_components(graph, directed=False)[1], return_index=True)
    kept = rounded[first]
    order = np.lexsort((kept, price[kept]))
    return experiment[kept[order]], price[kept[order]]


def _relabelled(
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
