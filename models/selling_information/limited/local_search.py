"""Menus of a few items by local search: prices one at a time, exchanges, and programs for the assignment that buyers choose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from optmarket.arrays import FloatArray, IntArray
from optmarket.models.selling_information.limited.assignment_lp import FULL, Assignment, Buyers
from optmarket.models.selling_information.menu import NOTHING
from optmarket.models.selling_information.posting import choose, revenue_of
from optmarket.tolerances import TIE

STARTS = 8  # random ones, after two that are not
SEED = 0
SWEEPS = 50
RISE = 1e-10  # normalised: what counts as a gain


@dataclass(frozen=True)
class Draft:
    """Full information and other experiments, with prices in normalised payoffs.

    Attributes
    ----------
    experiments : tuple of arrays, shapes (W, n)
        All but full information.
    price : array, shape (1 + len(experiments),)
        Full information's first.
    """

    experiments: tuple[FloatArray, ...]
    price: FloatArray

    def stacked(self, states: int, extra: FloatArray | None = None) -> tuple[FloatArray, IntArray]:
        """All signals side by side, to each experiment `extra` ones appended; and the item of each, counted from 1."""
        more = np.zeros((states, 0)) if extra is None else extra
        parts = [np.hstack([experiment, more]) for experiment in self.experiments]
        sizes = [part.shape[1] for part in parts]
        return np.hstack([np.zeros((states, 0)), *parts]), np.repeat(np.arange(1, len(parts) + 1), sizes)

    def values(self, buyers: Buyers) -> FloatArray:
        """What the items are worth to the buyers, shape (T, 1 + len(experiments))."""
        return buyers.values(*self.stacked(buyers.product.shape[1]))[0]

    def of(self, items: IntArray) -> Draft:
        """Some of the items; 0, full information, must be the first."""
        return Draft(tuple(self.experiments[item - 1] for item in items[1:]), self.price[items])


def places(buyers: Buyers, value: FloatArray, price: FloatArray) -> IntArray:
    """What buyers choose, ties for the seller."""
    return choose(value, buyers.outside, price, TIE, for_seller=True)


def revenue(buyers: Buyers, value: FloatArray, price: FloatArray) -> float:
    """What that earns, normalised."""
    return revenue_of(buyers.weight, price, places(buyers, value, price))


def shortened(buyers: Buyers, draft: Draft, most: int) -> Draft:
    """A draft of at most `most` items."""
    return draft.of(worth_keeping(buyers, draft, most))


def worth_keeping(buyers: Buyers, draft: Draft, most: int) -> IntArray:
    """Full information and as many others as there may be; one after another the item goes whose loss costs least."""
    value, kept = draft.values(buyers), np.arange(len(draft.price))
    while True:
        price = draft.price[kept]
        place = places(buyers, value[:, kept], price)
        utility = np.column_stack([value[:, kept] - buyers.outside[:, None] - price, np.zeros(len(value))])
        utility[np.arange(len(value)), place] = -np.inf  # NOTHING is the last column
        near = utility >= utility.max(axis=1, keepdims=True) - TIE
        prices = np.append(price, 0.0)
        second = np.where(near, prices, -np.inf).max(axis=1)
        buying = place != NOTHING
        loss = np.bincount(place[buying], (buyers.weight * (prices[place] - second))[buying], minlength=len(kept))
        sold = np.bincount(place[buying], minlength=len(kept)) > 0
        sold[FULL] = True
        if not sold.all():
            kept = kept[sold]
        elif len(kept) > most:
            kept = np.delete(kept, 1 + int(loss[1:].argmin()))
        else:
            return kept


def _without(buyers: Buyers, value: FloatArray, price: FloatArray, item: int) -> tuple[FloatArray, FloatArray]:
    """What buyers keep, beyond buying nothing, and pay, if an item is not for sale."""
    others, prices = np.delete(value, item, axis=1), np.delete(price, item)
    utility = np.column_stack([np.zeros(len(value)), others - buyers.outside[:, None] - prices])
    most = utility.max(axis=1)
    prices = np.concatenate([[0.0], prices])
    return most, np.where(utility >= most[:, None] - TIE, prices, 0.0).max(axis=1)


def _best_price(buyers: Buyers, value: FloatArray, kept: FloatArray, paid: FloatArray) -> tuple[FloatArray, FloatArray]:
    """For each of some items, the most that adding it to a menu earns and the price at which it does, shapes (M,).

    Parameters
    ----------
    buyers : Buyers
    value : array, shape (T, M)
    kept, paid : array, shape (T,)
        What buyers keep and pay without it.
    """
    limit = value - (buyers.outside + kept)[:, None]
    order = np.argsort(-limit, axis=0, kind="stable")
    limit = np.take_along_axis(limit, order, axis=0)
    weight = buyers.weight[order]
    gain = limit * weight.cumsum(axis=0) - (weight * paid[order]).cumsum(axis=0)
    best = np.where(limit > 0, gain, -np.inf).argmax(axis=0)
    item = np.arange(value.shape[1])
    return gain[best, item], np.maximum(limit[best, item], 0.0)


def repriced(buyers: Buyers, value: FloatArray, price: FloatArray) -> FloatArray:
    """Prices that no change of a single one improves."""
    price, total = price.copy(), revenue(buyers, value, price)
    for _ in range(SWEEPS):
        before = total
        for item in range(len(price)):
            _, best = _best_price(buyers, value[:, [item]], *_without(buyers, value, price, item))
            tried = price.copy()
            tried[item] = best[0]
            earns = revenue(buyers, value, tried)
            if earns > total + RISE:
                price, total = tried, earns
        if total <= before + RISE:
            break
    return price


def exchanged(buyers: Buyers, draft: Draft, pool: Draft, pool_value: FloatArray, most: int) -> Draft:
    """A draft of at most `most` items that no new price, and no experiment of the pool added or put for another, improves."""
    # what tells nothing, for nothing, is as good as no item
    missing = most - len(draft.price)
    nothing = np.ones((buyers.product.shape[1], 1))
    draft = Draft((*draft.experiments, *[nothing] * missing), np.append(draft.price, np.zeros(missing)))
    experiments, value = list(draft.experiments), draft.values(buyers)
    price = repriced(buyers, value, draft.price)
    total = revenue(buyers, value, price)
    for _ in range(SWEEPS):
        before = total
        for item in range(1, most if pool.experiments else 1):
            gain, best = _best_price(buyers, pool_value[:, 1:], *_without(buyers, value, price, item))
            new = int(gain.argmax())
            other, tried = value.copy(), price.copy()
            other[:, item], tried[item] = pool_value[:, 1 + new], best[new]
            tried = repriced(buyers, other, tried)
            earns = revenue(buyers, other, tried)
            if earns > total + RISE:
                value, price, total = other, tried, earns
                experiments[item - 1] = pool.experiments[new]
        if total <= before + RISE:
            break
    return shortened(buyers, Draft(tuple(experiments), price), most)


def present(buyers: Buyers, draft: Draft, place: IntArray) -> Assignment:
    """Buyers' present choices, with the signals there are and one for each state; those for states are sent by nobody yet."""
    states = buyers.product.shape[1]
    experiment, item = draft.stacked(states, np.eye(states))
    return Assignment(place, buyers.values(experiment, item)[1], item)


def improved(
    buyers: Buyers,
    draft: Draft,
    assign: Callable[[Draft, IntArray], Assignment],
    solve: Callable[[Assignment], Draft],
) -> Draft:
    """A draft that neither its assignment's best menu nor new prices improve."""
    value = draft.values(buyers)
    total = revenue(buyers, value, draft.price)
    while True:
        place = places(buyers, value, draft.price)
        sold = np.union1d(place[place != NOTHING], [FULL])
        draft = draft.of(sold)
        place = np.where(place == NOTHING, NOTHING, np.searchsorted(sold, place))
        better = solve(assign(draft, place))
        better_value = better.values(buyers)
        better = Draft(better.experiments, repriced(buyers, better_value, better.price))
        earns = revenue(buyers, better_value, better.price)
        if earns <= total + RISE:
            return draft
        draft, value, total = better, better_value, earns


def starts(buyers: Buyers, pool: Draft, most: int) -> Iterator[Draft]:
    """Where to begin: the best of the pool, full information alone, and items and prices at random, the same every time."""
    yield shortened(buyers, pool, most)
    yield Draft((), pool.price[:1])
    rng = np.random.default_rng(SEED)
    others = len(pool.experiments)
    for _ in range(STARTS):
        items = np.append(0, 1 + rng.permutation(others)[: most - 1])
        draft = pool.of(items)
        yield Draft(draft.experiments, draft.price * rng.uniform(0.5, 1.1, len(items)))
