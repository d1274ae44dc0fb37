"""A whole segment of types and any menu, exactly: who buys what between points of indifference, and what that earns."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from optmarket.laws import Law
from optmarket.models._selling_information_menu import NOTHING
from optmarket.numbers import exact
from optmarket.program import FloatArray, IntArray

SAME = 1e-13


@dataclass(frozen=True)
class Segment:
    """Types of the same payoffs, whose joint measure of state and context is linear in one number: ``start + x slope``.

    Attributes
    ----------
    law : Law
        Of x.
    start, slope : array, shape (W, K)
    payoff : array, shape (W, A)
        At least 0.
    """

    law: Law
    start: FloatArray
    slope: FloatArray
    payoff: FloatArray

    def values(self, x: FloatArray, experiment: FloatArray) -> FloatArray:
        """What each experiment is worth to each type that acts best on it, shape (X, M)."""
        measure = self.start + x[:, None, None] * self.slope
        gain = np.einsum("xwc,mws,wa->xmsca", measure, experiment, self.payoff, optimize=True)
        return np.asarray(gain.max(axis=4).sum(axis=(2, 3)))

    def kinks(self, experiment: FloatArray) -> FloatArray:
        """All x at which some type changes what it does after some signal."""
        constant, rate = (
            np.einsum("wc,mws,wa->amsc", part, experiment, self.payoff, optimize=True) for part in (self.start, self.slope)
        )
        found = []
        for one, two in itertools.combinations(range(len(constant)), 2):
            lead, gain = constant[one] - constant[two], rate[two] - rate[one]
            crosses = gain != 0
            found.append((lead[crosses] / gain[crosses]).ravel())
        return np.concatenate(found) if found else np.zeros(0)


@dataclass(frozen=True)
class Served:
    """Who buys what along a segment.

    Attributes
    ----------
    edges : array, shape (N + 1,)
        Intervals of x, from the least to the largest there is.
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

    @property
    def outcome(self) -> dict[str, float]:
        """What the menu brings about."""
        return {
            "revenue": self.revenue,
            "surplus": self.surplus,
            "welfare": self.revenue + self.surplus,
            "share-served": float(self.mass[self.item != NOTHING].sum()),
        }


def serve(segment: Segment, experiment: FloatArray, price: FloatArray, tie: float, *, for_seller: bool = True) -> Served:
    """Let every type of a segment choose from a menu.

    An experiment's worth is convex in x and linear between the points at which a type changes what it does after some signal;
    choices change there, or where two items are worth the same.

    Parameters
    ----------
    segment : Segment
    experiment : array, shape (M, W, N)
    price : array, shape (M,)
    tie : float
        Items this close to the best one count as equally good.
    for_seller : bool
        Whether ties go to the dearest item, or to the cheapest.
    """
    law = segment.law
    low, high = map(float, law.support)
    nothing = np.zeros((1, *experiment.shape[1:]))
    nothing[:, :, 0] = 1.0
    items = np.concatenate([experiment, nothing])
    prices = np.append(price, 0.0)

    def net(x: FloatArray) -> FloatArray:
        worth = segment.values(x, items)
        return np.asarray(worth - worth[:, -1:] - prices)

    kinks = segment.kinks(items)
    edges = np.unique(np.concatenate([[low, high], kinks[(kinks > low) & (kinks < high)]]))
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
