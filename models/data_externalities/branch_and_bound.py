"""Best-first search for the best profile of sharers: boxes of profiles are bounded from above, cut in two, or dropped."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from optmarket.arrays import BoolArray, FloatArray, IntArray
from optmarket.certificates import relative_gap
from optmarket.options import Deadline, Options, Progress, Status
from optmarket.tolerances import TARGET_GAP

# Boxes that are bounded at once: enough for numpy to be busy, few enough for the best bound to lead; and the operations that
# bounding them takes at most, so that a time limit is noticed.
BATCH, BATCH_OPERATIONS = 32, 3e7
# Relative to the value: where no gap is asked for, the search ends at a tenth of what counts as proved.
FINAL_GAP = TARGET_GAP / 10


class Boxes(NamedTuple):
    """Boxes of profiles: user i shares in all of box b's if ``low[b, i]``, and in none if not ``high[b, i]``.

    Attributes
    ----------
    low, high : bool array, shape (B, n)
    upper : array, shape (B,)
        An upper bound on the objective in each box.
    point : array, shape (B, n)
        Where a relaxation of the box is largest or nearly so.
    branch : array of int, shape (B,)
        The user by whose choice to cut the box, for boxes of more than one profile.
    """

    low: BoolArray
    high: BoolArray
    upper: FloatArray
    point: FloatArray
    branch: IntArray


class Objective(Protocol):
    """What is maximised over profiles."""

    @property
    def n(self) -> int:
        """How many users there are."""

    @property
    def rounding(self) -> float:
        """By how much computed values and bounds may be off."""

    @property
    def ceiling(self) -> float:
        """A bound on the objective that takes no search."""

    def value(self, shares: BoolArray) -> FloatArray:
        """The objective at profiles of shape (P, n)."""

    def flipped(self, shares: BoolArray) -> FloatArray:
        """About what the objective is if one user changes from a profile of shape (n,), shape (n,)."""

    def bounded(self, boxes: Boxes, incumbent: float) -> Boxes:
        """Boxes with bounds and a user to branch on; `low` and `high` may come closer where the rest is below the incumbent."""


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes
    ----------
    shares : bool array, shape (n,)
        The best profile found.
    value, upper : float
        Its objective as computed, and a bound on every profile's, rounding included.
    status : Status
        ``optimal`` if the gap asked for was reached.
    boxes : int
        How many boxes were bounded.
    """

    shares: BoolArray
    value: float
    upper: float
    status: Status
    boxes: int


def maximise(
    objective: Objective,
    starts: BoolArray,
    options: Options,
    deadline: Deadline,
    report: Callable[[Progress], None] | None = None,
) -> Found:
    """Find the best profile, by best-first branch and bound.

    Parameters
    ----------
    objective : Objective
    starts : bool array, shape (S, n)
        Profiles from which a local search starts.
    options : Options
    deadline : Deadline
        After it, and after Ctrl-C, what was found by then is given back, with bounds that hold.
    report : callable, optional
        Called with a `Progress` now and then.

    Returns
    -------
    Found
    """
    n = objective.n
    best = improved(objective, starts)
    value = float(objective.value(best[None])[0])
    target = FINAL_GAP if options.gap is None else options.gap
    heap: list[tuple[float, int, BoolArray, BoolArray, FloatArray, int]] = []
    counted, boxes, status = 0, 0, Status.OPTIMAL
    upper = objective.ceiling

    def push(found: Boxes) -> None:
        nonlocal counted
        for low, high, bound, point, branch in zip(*found, strict=True):
            if bound > value:
                counted += 1
                heapq.heappush(heap, (-float(bound), counted, low, high, point, int(branch)))

    def improve(profiles: BoolArray) -> None:
        nonlocal best, value
        values = objective.value(profiles)
        if values.max() > value:
            best = improved(objective, profiles[values.argmax()][None])
            value = float(objective.value(best[None])[0])

    try:
        everything = Boxes(
            np.zeros((1, n), dtype=bool), np.ones((1, n), dtype=bool), np.array([upper]), np.full((1, n), 0.5), np.zeros(1, int)
        )
        first = objective.bounded(everything, value)
        boxes += 1
        push(first)
        improve(first.point > 0.5)
        while heap:
            upper = max(-heap[0][0], value)
            if relative_gap(value, upper, objective.rounding) <= target:
                break
            if deadline.passed:
                status = Status.TIME_LIMIT
                break
            taken = [heapq.heappop(heap) for _ in range(min(BATCH, 1 + int(BATCH_OPERATIONS / n**3), len(heap)))]
            taken = [one for one in taken if -one[0] > value and (one[2] != one[3]).any()]
            if not taken:
                continue
            children = objective.bounded(_halves(taken), value)
            boxes += len(children.upper)
            improve(((children.point > 0.5) | children.low) & children.high)
            # While the batch was bounded its parents were off the heap; their children hold the bound now.
            push(children)
            if report is not None:
                upper = max(-heap[0][0], value) if heap else value
                report(Progress(boxes, len(heap), upper, 0.0, deadline.elapsed, value))
        else:
            upper = value
        upper = max(value, -heap[0][0]) if heap else value
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    return Found(best, value, max(upper, value) + objective.rounding, status, boxes)


def improved(objective: Objective, starts: BoolArray) -> BoolArray:
    """The best profile that changes of one user's choice at a time reach from any of some profiles, shape (n,)."""
    at = np.arange(objective.n)
    found: tuple[float, BoolArray] | None = None
    for start in np.unique(starts, axis=0):
        profile, value = start, float(objective.value(start[None])[0])
        while True:
            near = profile ^ (at == objective.flipped(profile).argmax())
            there = float(objective.value(near[None])[0])
            if not there > value + objective.rounding:
                break
            profile, value = near, there
        if found is None or value > found[0]:
            found = value, profile
    if found is None:
        raise ValueError("a local search needs a profile to start from")
    return found[1]


def _halves(taken: list[tuple[float, int, BoolArray, BoolArray, FloatArray, int]]) -> Boxes:
    """Each box cut in two by its user to branch on: first the halves where this user shares, then those where not."""
    low = np.array([one[2] for one in taken])
    high = np.array([one[3] for one in taken])
    upper = np.array([-one[0] for one in taken])
    point = np.array([one[4] for one in taken])
    branch = np.array([one[5] for one in taken])
    rows = np.arange(len(taken))
    shared, not_shared = low.copy(), high.copy()
    shared[rows, branch] = True
    not_shared[rows, branch] = False
    return Boxes(
        np.concatenate([shared, low]),
        np.concatenate([high, not_shared]),
        np.concatenate([upper, upper]),
        np.concatenate([point, point]),
        np.concatenate([branch, branch]),
    )
