"""Define the options of a solve, its final status, its progress reports and its time limit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from optmarket.errors import InstanceError
from optmarket.tolerances import TARGET_GAP


class Status(StrEnum):
    """How a solve ended.

    Examples
    --------
    >>> Status.OPTIMAL.is_solved, Status.GAP.is_solved, str(Status.GAP)
    (True, False, 'gap not reached')
    """

    OPTIMAL = "optimal"
    EQUILIBRIUM = "equilibrium"
    GAP = "gap not reached"
    TIME_LIMIT = "time limit"
    INTERRUPTED = "interrupted"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    FAILED = "failed"

    @property
    def is_solved(self) -> bool:
        """Whether the solve found the optimum, or an equilibrium, to the requested gap."""
        return self in {Status.OPTIMAL, Status.EQUILIBRIUM}


@dataclass(frozen=True)
class Progress:
    """A progress report on a solve; its bounds hold for the whole program, not only for the constraints added so far.

    Attributes
    ----------
    round : int
        The round of constraint generation.
    rows : int
        Rows of the current linear program.
    upper : float
        The certified upper bound, in payoff units.
    violation : float
        The largest violation of a constraint at the current point, in payoff units.
    seconds : float
        Seconds since the solve began.
    lower : float, optional
        The approximate objective value of the best mechanism so far, in payoff units, if it is known.
    """

    round: int
    rows: int
    upper: float
    violation: float
    seconds: float
    lower: float | None = None


@dataclass(frozen=True)
class Options:
    """The requested options of a solve.

    Attributes
    ----------
    method : str
        ``auto``, or a method that the market names.
    gap : float, optional
        The solve stops as soon as the certified relative gap is at most this. By default the solve goes on to the solver's
        tolerances, and counts as optimal if the gap is at most `TARGET_GAP`.
    time_limit : float, optional
        In seconds. The solution then holds the bounds reached by that time.
    threads : int
        The number of threads that the solver may use; at most the number of cores is used.
    exact : bool
        Whether to prove the optimum in exact rational arithmetic, which is possible for small programs.
    progress : callable, optional
        Called with a `Progress` after each round.

    Raises
    ------
    InstanceError
        If a number is out of range.

    Examples
    --------
    >>> Options(gap=0.01).target_gap, Options().target_gap
    (0.01, 1e-06)
    """

    method: str = "auto"
    gap: float | None = None
    time_limit: float | None = None
    threads: int = 1
    exact: bool = False
    progress: Callable[[Progress], None] | None = None

    def __post_init__(self) -> None:
        for name, value in (("gap", self.gap), ("time_limit", self.time_limit)):
            if value is not None and not (isinstance(value, (int, float)) and 0 <= value < math.inf):
                raise InstanceError(f"is {value!r}; must be a number at least 0, or None", field=name)
        if not isinstance(self.threads, int) or self.threads < 1:
            raise InstanceError(f"is {self.threads!r}; must be a whole number, at least 1", field="threads")

    @property
    def target_gap(self) -> float:
        """The relative gap at which a solve counts as optimal: the requested one, or `TARGET_GAP`."""
        return TARGET_GAP if self.gap is None else self.gap

    def final_status(self, status: Status, gap: float) -> Status:
        """Determine the final status of a solve from the solver's status and the certified gap.

        Parameters
        ----------
        status : Status
            As the solver reported it. A time limit that stopped a requested proof in exact arithmetic is kept.
        gap : float
            The certified relative gap.

        Examples
        --------
        >>> Options().final_status(Status.OPTIMAL, gap=1e-3)
        <Status.GAP: 'gap not reached'>
        """
        if status in {Status.OPTIMAL, Status.GAP} or (status is Status.TIME_LIMIT and not self.exact):
            return Status.OPTIMAL if gap <= self.target_gap else Status.GAP if status is Status.OPTIMAL else status
        return status

    def deadline(self) -> Deadline:
        """Start the clock: the time limit, counted from now."""
        return Deadline(self.time_limit)

    def requested(self) -> dict[str, Any]:
        """The options that determine the answer, that is, all but threads and progress."""
        return {"method": self.method, "gap": self.gap, "time_limit": self.time_limit, "exact": self.exact}


class Deadline:
    """A clock that measures how long a solve has taken and how much of its time limit is left.

    Parameters
    ----------
    seconds : float, optional
        The time limit, counted from now. By default there is none.

    Examples
    --------
    >>> Deadline(None).remaining is None, Deadline(0.0).remaining
    (True, 0.0)
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._start = time.perf_counter()
        self._seconds = seconds

    @property
    def elapsed(self) -> float:
        """Seconds since the clock was started."""
        return time.perf_counter() - self._start

    @property
    def remaining(self) -> float | None:
        """Seconds left, at least 0; None if there is no time limit."""
        return None if self._seconds is None else max(0.0, self._seconds - self.elapsed)

    @property
    def passed(self) -> bool:
        """Whether the time limit has passed."""
        return self._seconds is not None and self.elapsed >= self._seconds
