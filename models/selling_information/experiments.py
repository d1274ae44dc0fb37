"""Experiments as arrays: what they are worth to buyers, which of them are the same, and how informative they are."""

from __future__ import annotations

import numpy as np

from optmarket.arrays import FloatArray, IntArray, NumberArray
from optmarket.rationals import matrix_product

# Of a probability, or of a price in proportion: items that differ by less are listed as one. A solver's tolerance is as large.
SAME_ITEM = 1e-9
# Of a probability: by how much a solver may miss that a signal is sent for certain.
SENT_FOR_CERTAIN = 1e-6
# Of a probability: what a solver leaves where a signal is never sent.
NEVER_SENT = 1e-11
# Bytes of the largest array of products that is formed at once.
BLOCK_BYTES = 2**26


def values(product: NumberArray, experiment: NumberArray) -> NumberArray:
    """What each experiment is worth to each type that acts best on it, the outside option not deducted.

    ``V_r(pi) = sum_s sum_c max_a sum_w mu_r[w, c] u_r[w, a] pi[w, s]``.

    Parameters
    ----------
    product : array, shape (T, W, K, A)
        Measure of state and context times payoff, of each type.
    experiment : array, shape (M, W, N)
        Probability of each signal in each state.

    Returns
    -------
    array, shape (T, M)
        In the unit of `product`; Fractions if either is.

    Examples
    --------
    >>> belief = np.array([0.25, 0.75])
    >>> values((belief[:, None] * np.eye(2)).reshape(1, 2, 1, 2), np.eye(2)[None]).tolist()
    [[1.0]]
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


# A solver's experiments made stochastic ----------------------------------------------------------------------------------


def without_solver_noise(experiment: FloatArray) -> FloatArray:
    """Experiments whose rows sum to one, without the tiny probabilities that a solver leaves where a signal is never sent.

    Parameters
    ----------
    experiment : array, shape (M, W, N)
    """
    clean = np.where(experiment < NEVER_SENT, 0.0, np.minimum(experiment, 1.0))
    clean[~clean.any(axis=2)] = 1.0
    return np.asarray(clean / clean.sum(axis=2, keepdims=True))


def without_negative_probabilities(experiment: FloatArray) -> FloatArray:
    """Experiments whose rows sum to one, nothing but negative probabilities removed, shape (M, W, N)."""
    clean = np.maximum(experiment, 0.0)
    clean[~clean.any(axis=2)] = 1.0
    return np.asarray(clean / clean.sum(axis=2, keepdims=True))


# Which experiments are the same ------------------------------------------------------------------------------------------


def merge_equal_signals(experiment: FloatArray) -> FloatArray:
    """The same experiments with signals that mean the same made one, in an order that does not depend on how they are written.

    Parameters
    ----------
    experiment : array, shape (M, W, N)

    Returns
    -------
    array, shape (M, W, N')
        The signals that speak most for the first state come first; those never sent are padding.

    Examples
    --------
    >>> merge_equal_signals(np.array([[[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]])).tolist()
    [[[1.0, 0.0], [0.0, 1.0]]]
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


def distinct_items(experiment: FloatArray, price: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The different items of a solver's point, however their signals are ordered, split or named.

    Parameters
    ----------
    experiment : array, shape (M, W, N)
    price : array, shape (M,)

    Returns
    -------
    experiment : array, shape (M', W, N')
    price : array, shape (M',)
        Ascending.
    """
    return without_near_copies(merge_equal_signals(without_solver_noise(experiment)), np.maximum(price, 0.0))


def without_copies(experiment: NumberArray, price: NumberArray) -> tuple[NumberArray, NumberArray]:
    """The items of which no two are equal, by price."""
    found = {(cost, *item.ravel()): k for k, (item, cost) in reversed([*enumerate(zip(experiment, price, strict=True))])}
    kept = np.array(sorted(found.values(), key=lambda k: (price[k], k)), dtype=np.int64)
    return experiment[kept], price[kept]


def without_near_copies(experiment: FloatArray, price: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The items that differ by more than `SAME_ITEM` in some probability, or in proportion in their price."""
    with np.errstate(divide="ignore"):
        points = np.column_stack([experiment.reshape(len(price), -1), np.maximum(np.log(price), -1000.0)])
    rounded = np.unique(np.round(points / SAME_ITEM) * SAME_ITEM, axis=0, return_index=True)[1]
    points = points[rounded]
    # what is near to what is near is the same item too
    group = np.arange(len(points))
    for k, point in enumerate(points):
        near = k + np.flatnonzero(np.abs(points[k:] - point).max(axis=1) <= SAME_ITEM)
        if len(near) > 1:
            group[np.isin(group, group[near])] = group[near].min()
    _, first = np.unique(group, return_index=True)
    kept = rounded[first]
    order = np.lexsort((kept, price[kept]))
    return experiment[kept[order]], price[kept[order]]


def number_of_distinct_items(experiment: FloatArray, price: FloatArray) -> int:
    """How many different items there are, an uninformative experiment for nothing not counted.

    Parameters
    ----------
    experiment : array, shape (M, W, N)
    price : array, shape (M,)

    Examples
    --------
    >>> number_of_distinct_items(np.array([np.eye(2), np.eye(2)[::-1]]), np.array([0.25, 0.25]))
    1
    """
    if not len(price):
        return 0
    merged = merge_equal_signals(experiment)
    silent = (merged.any(axis=1).sum(axis=1) == 1) & (price == 0)
    kept = np.flatnonzero(~silent)
    return len(without_near_copies(merged[kept], price[kept])[1]) if len(kept) else 0


# How informative an experiment is ----------------------------------------------------------------------------------------


def differential_informativeness(experiment: FloatArray) -> float | None:
    """How much more reliably an experiment reveals the first of two states than the second.

    Parameters
    ----------
    experiment : array, shape (2, N)
        However its signals are ordered, split or named.

    Returns
    -------
    float or None
        With pi_w the probability that in state w the signal that speaks for w is sent, ``pi_1 - pi_2``: 0 for full information,
        and the farther from it the less informative, up to 1 or -1. None unless two signals mean different things and one of the
        probabilities is 1: the number says nothing of other experiments.

    Examples
    --------
    >>> differential_informativeness(np.array([[1.0, 0.0], [0.25, 0.75]]))
    0.25
    """
    signals = merge_equal_signals(experiment[None])[0]
    signals = signals[:, signals.any(axis=0)]
    if signals.shape[1] != 2:
        return None
    first, second = float(signals[0, 0]), float(signals[1, 1])
    return first - second if max(first, second) >= 1 - SENT_FOR_CERTAIN else None


def informativeness_of_cheapest(experiment: FloatArray, price: FloatArray, sold: IntArray) -> dict[str, float]:
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
    if len(known) < len(found) or max(known) - min(known) > SENT_FOR_CERTAIN:
        return {}
    return {"differential-informativeness": known[0]}
