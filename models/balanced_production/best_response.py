"""The production that is best for one seller given the others': exact, piece by piece between learning antes."""

from __future__ import annotations

from functools import partial

import numpy as np

from optmarket.arrays import FloatArray, IntArray
from optmarket.models.balanced_production.revenue import Revenue, falling_root

CELLS = 2_000_000  # pieces times coalitions that are looked at in one go


def profit(revenue: Revenue, totals: FloatArray, chances: FloatArray, cost: float, samples: FloatArray) -> FloatArray:
    """A seller's profit at amounts of own samples, in payoff units, of their shape.

    Parameters
    ----------
    revenue : Revenue
    totals, chances : array, shape (T,)
        See `coalitions`.
    cost : float
        Payoff units per sample.
    samples : array
    """
    gained = revenue.value(totals + samples[..., None]) - revenue.value(totals)
    return np.asarray(gained @ chances - cost * samples)


def best_response(revenue: Revenue, totals: FloatArray, chances: FloatArray, cost: float) -> tuple[float, float]:
    """A seller's most profitable production, and its profit.

    The seller gets the Shapley value, ``sum_T chance_T (V(n_T + y) - V(n_T))``. It is concave in y between the points at which
    ``n_T + y`` passes an ante; there the slope jumps up. A maximum is 0, or a point inside a piece at which the slope is 0.

    Parameters
    ----------
    revenue : Revenue
    totals, chances : array, shape (T,)
        See `coalitions`.
    cost : float
        Payoff units per sample, above 0.

    Returns
    -------
    samples : float
    profit : float
        In payoff units, at least 0.

    Examples
    --------
    >>> one = np.ones(1)
    >>> samples, profit_of_it = best_response(Revenue(one, one, one, one, one), np.zeros(1), one, 0.04)
    >>> round(samples, 9), round(profit_of_it, 9)
    (5.0, 0.6)
    """
    most = revenue.most / cost  # who produces more loses
    ends = np.subtract.outer(revenue.antes, totals).ravel()
    ends = np.unique(np.append(ends[(ends > 0) & (ends < most)], [0.0, most]))
    left, right = ends[:-1], ends[1:]
    if not len(left):
        return 0.0, 0.0
    candidates = [np.zeros(1)]
    for start in range(0, len(left), step := max(1, CELLS // len(totals))):
        low, high = left[start : start + step], right[start : start + step]
        begun = revenue.begun(totals + (0.5 * (low + high))[:, None])

        def slope(at: FloatArray, begun: IntArray = begun) -> FloatArray:
            return np.asarray(revenue.slope(totals + at[:, None], begun) @ chances - cost)

        inside = (slope(low) > 0) & (slope(high) < 0)
        low, high, begun = low[inside], high[inside], begun[inside]

        def curvature(at: FloatArray, begun: IntArray = begun) -> FloatArray:
            return np.asarray(revenue.curvature(totals + at[:, None], begun) @ chances)

        candidates.append(falling_root(partial(slope, begun=begun), curvature, low, high))
    amounts = np.concatenate(candidates)
    found = profit(revenue, totals, chances, cost, amounts)
    best = int(np.argmax(found))
    return float(amounts[best]), max(0.0, float(found[best]))
