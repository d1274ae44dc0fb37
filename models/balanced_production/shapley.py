"""The Shapley value of sellers whose data are worth what their total is worth, by the totals of coalitions of the others."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.special import gammaln

from optmarket.arrays import FloatArray
from optmarket.errors import ModelError

# Totals of coalitions that are gone through for a seller: those of 12 other sellers who all produce different amounts.
MOST_COALITIONS = 2**12
# Other sellers up to which binomial coefficients are exact floats.
EXACT_BINOMIALS = 50


def coalitions(others: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The amounts of data that coalitions of the other sellers hold, and how likely each precedes a seller.

    In a random order of all sellers the number t of others who precede one seller is uniform on 0 to k, and they are a random
    subset of that size (Shapley 1953). A seller without data changes nothing and is left out; sellers of the same amount are
    counted, so that 1,000 sellers who are alike have 1,001 totals.

    Parameters
    ----------
    others : array, shape (k,)
        Samples of the other sellers.

    Returns
    -------
    totals : array, shape (T,)
    chances : array, shape (T,)
        They sum to 1.

    Raises
    ------
    ModelError
        If there are more than `MOST_COALITIONS` totals.

    Examples
    --------
    >>> [one.tolist() for one in coalitions(np.array([2.0, 2.0, 0.0]))]
    [[0.0, 2.0, 4.0], [0.3333333333333333, 0.3333333333333333, 0.3333333333333333]]
    """
    amounts, counts = np.unique(others[others > 0], return_counts=True)
    size = math.prod(int(count) + 1 for count in counts)
    if size > MOST_COALITIONS:
        most = int(math.log2(MOST_COALITIONS)) + 1
        raise ModelError(
            f"makes {size:,} coalitions of sellers who differ, and at most {MOST_COALITIONS:,} are gone through: give at most "
            f"{most} sellers of different costs, or all sellers the same cost (sellers = a number)",
            field="params.sellers",
        )
    k = int(counts.sum())
    if len(counts) <= 1:  # sellers who are alike: as likely to be preceded by any number of them
        totals = np.arange(k + 1) * (float(amounts[0]) if k else 0.0)
        return np.asarray(totals, dtype=float), np.full(k + 1, 1 / (k + 1))
    totals, sizes, ways = np.zeros(1), np.zeros(1), np.zeros(1)
    for amount, count in zip(amounts, counts, strict=True):
        t = np.arange(count + 1)
        totals = np.add.outer(totals, amount * t).ravel()
        sizes = np.add.outer(sizes, t).ravel()
        ways = np.add.outer(ways, _log_binomial(int(count), t)).ravel()
    chances = np.exp(ways - _log_binomial(k, sizes)) / (k + 1)
    return totals, chances / chances.sum()


def _log_binomial(n: int, k: FloatArray) -> FloatArray:
    if n <= EXACT_BINOMIALS:
        return np.log([float(math.comb(n, int(one))) for one in k])
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))


def shapley_values(value: Callable[[FloatArray], FloatArray], samples: FloatArray) -> FloatArray:
    """The Shapley value of each seller, shape (M,), in payoff units; they sum to the value of all data.

    Parameters
    ----------
    value : callable
        Amounts of data -> what they bring, in payoff units; 0 for no data.
    samples : array, shape (M,)

    Examples
    --------
    >>> shapley_values(np.sqrt, np.array([1.0, 3.0])).round(4).tolist()
    [0.634, 1.366]
    """
    found = np.zeros(len(samples))
    for one in np.unique(samples[samples > 0]):
        same = np.flatnonzero(samples == one)
        totals, chances = coalitions(np.delete(samples, same[0]))
        found[same] = chances @ (value(totals + one) - value(totals))
    return found
