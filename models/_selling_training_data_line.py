"""Any menu on a whole line of types, exactly: who buys what between points of indifference, and what that earns."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from optmarket.distributions import Law
from optmarket.models._selling_training_data_market import Line
from optmarket.numbers import exact
from optmarket.program import FloatArray, IntArray

NOTHING = -1
SAME = 1e-13


@dataclass(frozen=True)
class Served:
    """Who buys what along a line.

    Attributes
    ----------
    edges : array, shape (N + 1,)
        Intervals of alpha, from the least to the largest there is.
    item : array of int, shape (N,)
        What types in an interval buy, `NOTHING` if nothing.
    mass : array, shape (N,)
    revenue, surplus : float
    """

    edges: FloatArray
    item: IntArray
    mass: FloatArray
    revenue: float
    surplus: float


def serve(line: Line, law: Law, experiment: FloatArray, price: FloatArray, tie: float, *, for_seller: bool = True) -> Served:
    """Let every type on a line choose from a menu.

    The joint measure of state and own signal is linear in alpha, so an experiment's worth is convex and linear between the alpha
    at which a type changes what it does after some signals; choices change there or where two items are worth the same.

    Parameters
    ----------
    line : Line
    law : Law
        Of alpha.
    experiment : array, shape (M, 2, N)
    price : array, shape (M,)
    tie : float
        Items this close to the best one count as equally good.
    for_seller : bool
        Whether ties go to the dearest item, or to the cheapest.
    """
    low, high = map(float, law.support)
    k, m = float(line.k), float(line.m)

    def net(alpha: FloatArray) -> FloatArray:
        """What each item is worth to each alpha, less its price and the outside option; nothing is the last one."""
        wrong = m - k * alpha
        first = np.stack([0.5 - alpha, alpha], axis=1)[:, None, :, None] * experiment[None, :, 0, None, :]
        second = np.stack([wrong, 0.5 - wrong], axis=1)[:, None, :, None] * experiment[None, :, 1, None, :]
        # less what the type earns without buying: at each own signal, its better state
        gain = np.maximum(first, second).sum(axis=(2, 3)) - (1 - alpha - wrong)[:, None]
        return np.column_stack([gain - price, np.zeros(len(alpha))])

    # after own signal 1 the two states have measures (1/2 - alpha, m - k alpha), after signal 2 (alpha, 1/2 - m + k alpha)
    chance, other = experiment[:, 0, :].ravel(), experiment[:, 1, :].ravel()
    with np.errstate(divide="ignore", invalid="ignore"):
        kinks = np.concatenate([(chance / 2 - m * other) / (chance - k * other), (0.5 - m) * other / (chance - k * other)])
    kinks = kinks[np.isfinite(kinks) & (kinks > low) & (kinks < high)]
    edges = np.unique(np.concatenate([[low, high], kinks]))
    at = net(edges)
    crossings = []
    for one, two in itertools.combinations(range(at.shape[1]), 2):
        ahead = at[:, one] - at[:, two]
        here = ahead[:-1] * ahead[1:] < 0
        share = ahead[:-1][here] / (ahead[:-1] - ahead[1:])[here]
        crossings.append(edges[:-1][here] + (edges[1:] - edges[:-1])[here] * share)
    edges = np.unique(np.concatenate([edges, *crossings]))
    edges = np.concatenate([[low], edges[1:][np.diff(edges) > SAME]])
    edges = np.append(edges[:-1] if len(edges) > 1 else edges, high)
    utility = net((edges[:-1] + edges[1:]) / 2)
    near = utility >= utility.max(axis=1, keepdims=True) - tie
    prices = np.append(price, 0.0)
    if for_seller:
        pick = np.where(near, prices, -np.inf).argmax(axis=1)
        pick = np.where(near[:, -1] & (prices[pick] == 0), len(price), pick)  # what is worth nothing is not bought
    else:
        pick = np.where(near, prices, np.inf).argmin(axis=1)
    cells = law.cells([exact(edge) for edge in (law.support[0], *edges[1:-1], law.support[1])])
    mass, moment = (np.array([float(part) for part in parts]) for parts in zip(*cells, strict=True))
    # utility is linear between edges: from its values at two points to its integral
    rows = np.arange(len(pick))
    left, middle = net(edges[:-1])[rows, pick], utility[rows, pick]
    half = (edges[1:] - edges[:-1]) / 2
    slope = np.divide(middle - left, half, out=np.zeros_like(half), where=half > 0)
    surplus = float(np.sum(left * mass + slope * (moment - edges[:-1] * mass)))
    item = np.where(pick == len(price), NOTHING, pick)
    return Served(edges, item, mass, float(np.sum(prices[pick] * mass)), surplus)
