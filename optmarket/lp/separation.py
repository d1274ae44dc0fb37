"""Select the incentive constraints to add in a round of constraint generation: the most violated pairs of types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from optmarket.arrays import FloatArray, IntArray, NumberArray

ROWS_PER_TYPE = 3
BLOCK_BYTES = 2**26


def neighbouring_types(location: FloatArray, most: int) -> tuple[IntArray, IntArray]:
    """Pair each type with its nearest types: the incentive constraints between them are good initial cuts.

    Parameters
    ----------
    location : array, shape (T, n)
        A point for each type.
    most : int
        The number of neighbours of a type; all other types if there are fewer.

    Returns
    -------
    buyer, item : array of int, shape (pairs,)
        A type and one of its neighbours.

    Examples
    --------
    >>> buyer, item = neighbouring_types(np.array([[0.0], [1.0], [3.0]]), 1)
    >>> buyer.tolist(), item.tolist()
    ([0, 1, 2], [1, 0, 1])
    """
    from scipy.spatial import cKDTree

    types = len(location)
    near = min(most, types - 1)
    _, nearest = cKDTree(location).query(location, near + 1)
    buyer, item = np.repeat(np.arange(types), near + 1), nearest.ravel()
    return buyer[buyer != item], item[buyer != item]


def worst_pairs(
    types: int, failure: Callable[[slice], NumberArray], bytes_a_buyer: int, tolerance: float
) -> tuple[IntArray, IntArray, Any]:
    """Select pairs (buyer type, item) whose incentive constraints are violated by more than a tolerance.

    For each buyer type the most violated constraints are selected, and also for each item the most violated one. With the former
    alone, the constraints of all types often concern the same few items, and many more rounds are needed.

    Parameters
    ----------
    types : int
        The number T of buyer types. There are as many items: one is intended for each type.
    failure : callable
        Maps a slice of types to the gain of each from each item, shape (types in the slice, T). The entry for a type's own item
        is ignored. The array is modified.
    bytes_a_buyer : int
        The memory that `failure` needs for one type. Types are processed in blocks so that memory is bounded.
    tolerance : float
        Constraints violated by at most this are left out.

    Returns
    -------
    buyer, item : array of int, shape (rows,)
        The `ROWS_PER_TYPE` most violated pairs of each type and the most violated pair of each item.
    largest : number
        The largest violation over all pairs, at least 0.

    Examples
    --------
    >>> gain = np.array([[0.0, 2.0], [-1.0, 0.0]])
    >>> buyer, item, largest = worst_pairs(2, lambda block: gain[block].copy(), 16, 1e-9)
    >>> buyer.tolist(), item.tolist(), float(largest)
    ([0], [1], 2.0)
    """
    step = max(1, BLOCK_BYTES // bytes_a_buyer)
    found: list[IntArray] = []
    envied: Any = 0
    envious = np.zeros(types, dtype=np.int64)
    largest: Any = 0
    for start in range(0, types, step):
        block = failure(slice(start, min(start + step, types)))
        here = np.arange(len(block))
        block[here, here + start] = 0
        largest = max(largest, block.max())
        worst = block.argmax(axis=0)
        most = block[worst, np.arange(types)]
        envious = np.where(most > envied, worst + start, envious)
        envied = np.maximum(most, envied)
        for _ in range(min(ROWS_PER_TYPE, types - 1)):
            worst = block.argmax(axis=1)
            fails = block[here, worst] > tolerance
            if not fails.any():
                break
            found.append((here[fails] + start) * types + worst[fails])
            block[here, worst] = 0
    if not found:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), largest
    found.append((envious * types + np.arange(types))[envied > tolerance])
    buyer, item = np.divmod(np.unique(np.concatenate(found)), types)
    return buyer, item, largest
