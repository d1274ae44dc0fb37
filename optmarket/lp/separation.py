"""Which of all pairs of types get a row: the worst few of each buyer, and the worst of each item."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from optmarket.lp.program import IntArray, NumberArray

ROWS_PER_TYPE = 3
BLOCK_BYTES = 2**26


def worst_pairs(
    types: int, failure: Callable[[slice], NumberArray], bytes_a_buyer: int, tolerance: float
) -> tuple[IntArray, IntArray, Any]:
    """Pairs (buyer, item) whose rows fail by more than a tolerance.

    Without the worst of each item all buyers may complain of the same few items, and the rest be mended one by one.

    Parameters
    ----------
    types : int
        Buyers, and items: each type has its own.
    failure : callable
        From a slice of buyers to by how much each envies each item, shape (buyers, types); its own is not counted.
    bytes_a_buyer : int
        What `failure` needs for one buyer: buyers come in blocks that bound the memory.
    tolerance : float

    Returns
    -------
    buyer, item : array of int, shape (rows,)
        The `ROWS_PER_TYPE` worst of each buyer and the worst of each item, if they fail.
    largest : number
        The largest failure of all pairs, at least 0.
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
