"""Compute least concave majorants of points and of step curves, and iron virtual values."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from optmarket.arrays import FloatArray, IntArray, NumberArray

# How often all neighbouring steps whose slopes do not fall are pooled at once, before the rest is pooled one by one.
ROUNDS_AT_ONCE = 50


def concave_majorant(points: Iterable[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Compute the least concave function that lies above some points (the upper convex hull, by Andrew's monotone chain).

    Parameters
    ----------
    points : iterable of (x, y)
        Exact numbers or floats, in any order.

    Returns
    -------
    list of (x, y)
        The break points of the function, from left to right.

    Examples
    --------
    >>> concave_majorant([(0, 0), (1, 3), (2, 2), (3, 3)])
    [(0, 0), (1, 3), (3, 3)]
    """
    found: list[tuple[Any, Any]] = []
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if found and found[-1][0] == x:
            continue
        while len(found) >= 2:
            (left, low), (middle, high) = found[-2:]
            if (high - low) * (x - left) > (y - low) * (middle - left):
                break
            found.pop()
        found.append((x, y))
    return found


def interpolated(breaks: Sequence[tuple[Any, Any]], x: Any) -> Any:
    """Evaluate a piecewise linear function at a point between its first and its last break point.

    Parameters
    ----------
    breaks : sequence of (x, y)
        The break points, increasing in x, at least two.
    x : number

    Returns
    -------
    number

    Examples
    --------
    >>> interpolated([(0, 0), (2, 4)], 1)
    2.0
    """
    k = bisect.bisect_right(breaks, x, lo=1, hi=len(breaks) - 1, key=itemgetter(0))
    (left, low), (right, high) = breaks[k - 1 : k + 1]
    return low + (high - low) * (x - left) / (right - left)


def iron(raw: NumberArray, weight: NumberArray) -> NumberArray:
    """Iron a sequence: find the nondecreasing sequence that is nearest in weighted least squares (Myerson, 1981).

    The algorithm pools adjacent violators.

    Parameters
    ----------
    raw : array, shape (K,)
        For example virtual values.
    weight : array, shape (K,)
        The weights, above 0.

    Returns
    -------
    array, shape (K,)
        The ironed sequence, which is constant on each ironed interval; exact if the arguments are.

    Examples
    --------
    >>> iron(np.array([1.0, 4.0, 2.0, 5.0]), np.ones(4)).tolist()
    [1.0, 3.0, 3.0, 5.0]
    """
    pools: list[tuple[Any, Any, int]] = []  # (average, total weight, number of entries) of each pool
    for level, mass, length in zip(raw.tolist(), weight.tolist(), [1] * len(raw), strict=True):
        while pools and pools[-1][0] >= level:
            before, more, count = pools.pop()
            if before > level:
                level = (before * more + level * mass) / (more + mass)
            mass, length = more + mass, length + count
        pools.append((level, mass, length))
    return np.repeat(np.array([level for level, _, _ in pools], dtype=raw.dtype), [length for _, _, length in pools])


def majorant_of_steps(width: FloatArray, rise: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
    """Compute the least concave function above a curve that is given by its steps.

    Slopes are compared by cross products, which stay accurate over any orders of magnitude. Averages of slopes, as libraries for
    isotonic regression compute them, lose a step of small width whose slope is far larger than the others.

    Parameters
    ----------
    width, rise : array, shape (K,)
        The width and the rise of each step, from left to right. Widths are at least 0. A step of width 0 is a jump: one
        that rises is steeper than any other step, and one that falls is less steep than any other.

    Returns
    -------
    width, rise : array, shape (J,)
        The width and the rise of each linear piece of the majorant; slopes are decreasing.
    first : array of int, shape (J,)
        The number of the first step in each piece.

    Examples
    --------
    >>> majorant_of_steps(np.array([1.0, 1.0, 1.0]), np.array([1.0, 3.0, 1.0]))[1].tolist()
    [4.0, 1.0]
    """
    first = np.arange(len(width))
    # Neighbours whose slopes do not fall are in one piece, whichever are pooled first; here all of them at once.
    for _ in range(ROUNDS_AT_ONCE):
        together = rise[:-1] * width[1:] <= rise[1:] * width[:-1]
        if not together.any():
            return width, rise, first
        together &= (width[:-1] > 0) & (width[1:] > 0)
        if not together.any():
            break  # what is left to be pooled has jumps
        start = np.flatnonzero(np.concatenate([[True], ~together]))
        width, rise, first = np.add.reduceat(width, start), np.add.reduceat(rise, start), first[start]
    pools: list[tuple[float, float, int]] = []
    for length, height, at in zip(width.tolist(), rise.tolist(), first.tolist(), strict=True):
        while pools and pools[-1][1] * length <= height * pools[-1][0]:
            if pools[-1][0] == length == 0 and pools[-1][1] > 0 > height:
                break  # the cross product is 0 here too, but a jump up and then down leaves a corner between them
            before, more, at = pools.pop()
            length, height = length + before, height + more
        pools.append((length, height, at))
    columns = [np.array([pool[k] for pool in pools]) for k in (0, 1)]
    return columns[0], columns[1], np.array([pool[2] for pool in pools], dtype=np.int64)
