"""Solve a `LinearProgram` with HiGHS, its families' rows separated on demand and the solver warm-started.

The matrix is passed once and later rows are added in one batch a round. Nothing the solver says is taken on trust: what
leaves this module are a point, multipliers and a basis, and `optmarket.certificate` judges them.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np

from optmarket.errors import SolverError
from optmarket.lp.float_bound import Basis, safe_bound
from optmarket.lp.program import FloatArray, IntArray, LinearProgram, NumberArray, Rows
from optmarket.solution import BlockReport, Options, Progress, Status, relative_gap

FEASIBILITY = 1e-9
ACCEPTED = 1e-6
LISTABLE = 5_000_000  # non-zeros of a program with all rows listed, which the solver takes in some seconds
VERSION = f"{highspy.HIGHS_VERSION_MAJOR}.{highspy.HIGHS_VERSION_MINOR}.{highspy.HIGHS_VERSION_PATCH}"

STATUS = {
    highspy.HighsModelStatus.kOptimal: Status.OPTIMAL,
    highspy.HighsModelStatus.kModelEmpty: Status.OPTIMAL,
    highspy.HighsModelStatus.kInfeasible: Status.INFEASIBLE,
    highspy.HighsModelStatus.kUnbounded: Status.UNBOUNDED,
    highspy.HighsModelStatus.kTimeLimit: Status.TIME_LIMIT,
    highspy.HighsModelStatus.kInterrupt: Status.INTERRUPTED,
}
_BASIC = highspy.HighsBasisStatus.kBasic
_LOWER = highspy.HighsBasisStatus.kLower
_UPPER = highspy.HighsBasisStatus.kUpper


@dataclass(frozen=True)
class LpResult:
    """What a solve leaves behind.

    Attributes
    ----------
    status : Status
        ``optimal`` when the last restricted program was solved and no row, listed or not, fails by more than `ACCEPTED`, or
        the gap asked for was reached; ``gap not reached`` when the solver failed on the way.
    x : array, shape (columns,), or None
        The last point, the best one there is if the solve was stopped.
    rows : Rows
        All rows listed in the end, static blocks first.
    multipliers : array, shape (rows,)
        Change of the objective per unit of a row's bound, from the last restricted program solved to the end; 0 elsewhere.
    bound : float
        The tightest safe bound on the objective seen: an upper one when maximising, a lower one when minimising.
    basis : Basis or None
        Of the last restricted program, if the status is ``optimal``.
    blocks : dict of BlockReport
    rounds, iterations : int
    violation : float
        Largest violation of a row at `x`.
    stalled : bool
        Whether it was given up since nothing moved any more, though rows still fail: see `solve`.
    """

    status: Status
    x: FloatArray | None
    rows: Rows
    multipliers: FloatArray
    bound: float
    basis: Basis | None
    blocks: dict[str, BlockReport]
    rounds: int
    iterations: int
    violation: float
    stalled: bool = False

    @classmethod
    def of_failure(cls, program: LinearProgram) -> LpResult:
        """What is known of a program that the solver could not deal with: its rows, and what the boxes of its variables bound."""
        rows = Rows.join([*program.rows.values(), *(family.seed() for family in program.families.values())])
        bound = safe_bound(program, Rows.join([]), np.zeros(0))
        return cls(Status.FAILED, None, rows, np.zeros(len(rows)), bound, None, {}, 0, 0, math.inf)

    def run(self, seconds: float, columns: int) -> dict[str, Any]:
        """What an answer says of the solve itself."""
        return {
            "solver": "HiGHS",
            "version": VERSION,
            "seconds": seconds,
            "rounds": self.rounds,
            "iterations": self.iterations,
            "rows": len(self.rows),
            "columns": columns,
        }


# one solve at a time: the solver's threads are the process'
_SOLVING = threading.Lock()
_threads_in_force: int | None = None


@contextmanager
def _interrupts_set(stop: threading.Event) -> Iterator[None]:
    """While solving in the main thread, Ctrl-C sets an event instead of raising KeyboardInterrupt anywhere."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) in {signal.SIG_IGN, None}:  # a job in the background ignores Ctrl-C
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _SilentHighs(highspy.Highs):
    """A HiGHS that writes nothing, neither while it is made nor later.

    Registering its callbacks is the first thing highspy does with a new solver, within the constructor, and the first thing
    for which HiGHS 1.16 writes its banner to stdout. The option is set before that: HiGHS logs nothing for setting options.
    """

    def __init__(self) -> None:
        highspy.Highs.__init__(self)

    def enableCallbacks(self) -> None:
        Session.must(self.setOptionValue("output_flag", False), "setting output_flag")
        highspy.Highs.enableCallbacks(self)


class Session:
    """One HiGHS model that only grows, for the modules that speak to the solver."""

    def __init__(self, program: LinearProgram, rows: Rows, options: Options, settings: Mapping[str, Any] | None = None) -> None:
        self.highs = _SilentHighs()
        self.threads = min(options.threads, os.cpu_count() or 1)
        ours = {
            "primal_feasibility_tolerance": FEASIBILITY,
            "dual_feasibility_tolerance": FEASIBILITY,
            "small_matrix_value": 1e-12,  # the least there is: smaller coefficients the solver drops
            "large_matrix_value": 1e200,  # larger ones it refuses: 1e15 unless told otherwise
            "threads": self.threads,
        }
        for name, value in {**ours, **(settings or {})}.items():
            self.must(self.highs.setOptionValue(name, value), f"setting {name}")
        self.stop = stop = threading.Event()

        def heed(event: highspy.HighsCallbackEvent) -> None:
            if stop.is_set():
                event.interrupt()

        self.highs.cbSimplexInterrupt += heed
        self.highs.cbIpmInterrupt += heed
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = program.columns, len(rows)
        lp.sense_ = highspy.ObjSense.kMaximize if program.sense == "max" else highspy.ObjSense.kMinimize
        lp.offset_ = program.offset
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = map(as_floats, (program.objective, program.lower, program.upper))
        lp.row_lower_, lp.row_upper_ = as_floats(rows.lower), as_floats(rows.upper)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = rows.start.astype(np.int32)
        lp.a_matrix_.index_ = rows.index.astype(np.int32)
        lp.a_matrix_.value_ = as_floats(rows.value)
        self.must(self.highs.passModel(lp), "passing the program")

    def add(self, rows: Rows) -> None:
        status = self.highs.addRows(
            len(rows),
            as_floats(rows.lower),
            as_floats(rows.upper),
            len(rows.index),
            rows.start[:-1].astype(np.int32),
            rows.index.astype(np.int32),
            as_floats(rows.value),
        )
        self.must(status, "adding rows")

    def run(self, seconds: float | None) -> tuple[Status, bool]:
        """Solve; on Ctrl-C stop the solver first. Returns the status and whether there was a Ctrl-C.

        A basis or presolve that the solver stumbles over is dropped for another attempt.
        """
        status, interrupted = self._attempt(seconds)
        for name, value in (("presolve", "off"), ("simplex_strategy", 4)):
            if status is not Status.FAILED or interrupted:
                break
            self.must(self.highs.clearSolver(), "starting anew")
            self.must(self.highs.setOptionValue(name, value), f"setting {name}")
            status, interrupted = self._attempt(seconds)
        return status, interrupted

    def _attempt(self, seconds: float | None) -> tuple[Status, bool]:
        if seconds is not None:
            # the solver's clock runs on from solve to solve
            limit = self.highs.getRunTime() + max(seconds, 0.0)
            self.must(self.highs.setOptionValue("time_limit", limit), "setting time_limit")
        with _interrupts_set(self.stop), _SOLVING:
            # in a thread of its own, so that this one can take the signal
            worker = threading.Thread(target=self._run_alone, daemon=True)
            worker.start()
            while worker.is_alive():
                worker.join(0.1)
        interrupted = self.stop.is_set()
        model_status = self.highs.getModelStatus()
        if model_status == highspy.HighsModelStatus.kUnboundedOrInfeasible:
            # presolve cannot tell which; without it the simplex method can
            self.must(self.highs.setOptionValue("presolve", "off"), "switching presolve off")
            return self._attempt(seconds)
        return STATUS.get(model_status, Status.FAILED), interrupted

    def _run_alone(self) -> None:
        global _threads_in_force
        if _threads_in_force not in {None, self.threads}:
            highspy.Highs.resetGlobalScheduler(True)  # else the number of threads of an earlier solve stays in force
        _threads_in_force = self.threads
        self.highs.run()

    def point(self) -> FloatArray | None:
        solution = self.highs.getSolution()
        return np.array(solution.col_value) if solution.value_valid or not self.highs.getNumCol() else None

    def multipliers(self, rows: int) -> FloatArray:
        solution = self.highs.getSolution()
        return np.array(solution.row_dual) if len(solution.row_dual) == rows else np.zeros(rows)

    def basis(self) -> Basis | None:
        basis = self.highs.getBasis()
        if not basis.valid:
            return None

        def sides(statuses: list[highspy.HighsBasisStatus]) -> IntArray:
            return np.array([0 if s == _BASIC else 1 if s == _UPPER else -1 for s in statuses], dtype=np.int64)

        return Basis(sides(basis.col_status), sides(basis.row_status))

    def start_from(self, basis: Basis) -> None:
        def statuses(sides: IntArray) -> list[highspy.HighsBasisStatus]:
            return [_BASIC if side == 0 else _UPPER if side > 0 else _LOWER for side in sides.tolist()]

        given = highspy.HighsBasis()
        given.col_status, given.row_status = statuses(basis.columns), statuses(basis.rows)
        given.valid = True
        self.must(self.highs.setBasis(given), "a basis to start from")

    def iterations(self) -> int:
        return max(int(self.highs.getInfo().simplex_iteration_count), 0)

    @staticmethod
    def must(status: highspy.HighsStatus, what: str) -> None:
        if status == highspy.HighsStatus.kError:
            raise SolverError(f"HiGHS refused {what}")


def as_floats(values: NumberArray) -> FloatArray:
    """A program's numbers as the solver takes them."""
    return np.asarray(values, dtype=np.float64)


def solve(
    program: LinearProgram,
    options: Options | None = None,
    *,
    incumbent: Callable[[FloatArray], float] | None = None,
    settings: Mapping[str, Any] | None = None,
    patience: int | None = None,
) -> LpResult:
    """Solve a linear program.

    Parameters
    ----------
    program : LinearProgram
        To have every row listed instead of separated, pass ``program.listed()``.
    options : Options, optional
        ``gap``, ``time_limit``, ``threads`` and ``progress`` are used.
    incumbent : callable, optional
        Maps a point to the value of some feasible solution near it: with ``options.gap`` the solve stops when it comes that
        close to the bound.
    settings : mapping, optional
        Of the solver, by its own names, for programs it does better on with them.
    patience : int, optional
        With an incumbent: rounds after which separating the families' rows is given up, with `LpResult.stalled`, if since as many
        rounds neither
        the bound nor the incumbent has come closer to the other by a tenth of what was between them, and listing all rows is
        possible within `LISTABLE` non-zeros.

    Returns
    -------
    LpResult

    Raises
    ------
    SolverError
        If the solver refuses the program or ends in a state that says nothing.
    """
    options = options or Options()
    start = time.perf_counter()
    families = program.families
    order = [*program.rows.items(), *((name, family.seed()) for name, family in families.items())]
    session = Session(program, Rows.join(rows for _, rows in order), options, settings)

    x: FloatArray | None = None
    multipliers = np.zeros(0)
    bound = safe_bound(program, Rows.join([]), multipliers)
    better = min if program.sense == "max" else max
    violation = 0.0
    worst = dict.fromkeys(families, 0.0)
    rounds = iterations = 0
    stalled, gaps = False, [math.inf]
    listable = patience is not None and incumbent is not None and program.size(listed=True)[2] <= LISTABLE
    while True:
        listed = Rows.join(rows for _, rows in order)
        left = None if options.time_limit is None else options.time_limit - (time.perf_counter() - start)
        status, interrupted = session.run(left)
        rounds += 1
        if interrupted:
            status = Status.INTERRUPTED
        if status is Status.FAILED and x is None:
            raise SolverError(f"HiGHS ended with {session.highs.modelStatusToString(session.highs.getModelStatus())!r}")
        if status is Status.UNBOUNDED and families:
            raise SolverError("the program is unbounded without the rows of its families; give its variables bounds")
        if status is not Status.OPTIMAL:
            if status in {Status.TIME_LIMIT, Status.INTERRUPTED}:
                # whatever multipliers the solver leaves, the bound they give holds
                bound = better(bound, safe_bound(program, listed, session.multipliers(len(listed))))
                x = session.point() if x is None else x
            break
        steps = session.iterations()
        iterations += steps
        x, multipliers = session.point(), session.multipliers(len(listed))
        if x is None:
            raise SolverError("HiGHS calls the program optimal but gives no point")
        bound = better(bound, safe_bound(program, listed, multipliers))
        found: list[tuple[str, Rows]] = []
        try:
            for name, family in families.items():
                rows, largest = family.separate(x, FEASIBILITY)
                worst[name] = float(largest)
                if len(rows):
                    found.append((name, rows))
            violation = max(worst.values(), default=0.0)
            if options.progress is not None:
                seconds = time.perf_counter() - start
                options.progress(Progress(rounds, len(listed), program.unit * bound, program.unit * violation, seconds))
            if not found:
                break
            if incumbent is not None and (options.gap is not None or listable):
                value = incumbent(x)
                if options.gap is not None and relative_gap(min(bound, value), max(bound, value)) <= options.gap:
                    break
                gaps.append(abs(bound - value))
            if listable and patience is not None and rounds > patience and gaps[-1] > 0.9 * gaps[-1 - patience]:
                stalled = True
                break
        except KeyboardInterrupt:
            status = Status.INTERRUPTED
            break
        if rounds > 1 and steps == 0:
            # the rows added last already held within the solver's own tolerance: nothing more to gain
            break
        for name, rows in found:
            session.add(rows)
            order.append((name, rows))

    basis = session.basis() if status is Status.OPTIMAL else None
    blocks = _blocks(order, x, worst)
    violation = max((block.worst for block in blocks.values()), default=0.0)
    if status is Status.FAILED or (status is Status.OPTIMAL and violation > ACCEPTED):
        status = Status.GAP
    multipliers = np.concatenate([multipliers, np.zeros(len(listed) - len(multipliers))])
    return LpResult(status, x, listed, multipliers, bound, basis, blocks, rounds, iterations, violation, stalled)


def _blocks(order: list[tuple[str, Rows]], x: FloatArray | None, worst: dict[str, float]) -> dict[str, BlockReport]:
    """Rows, binding rows and worst residual of each block at the last point."""
    reports: dict[str, BlockReport] = {}
    for name in dict.fromkeys(name for name, _ in order):
        rows = Rows.join(part for label, part in order if label == name)
        if x is None:
            reports[name] = BlockReport(len(rows), 0, 0.0)
            continue
        lower, upper, activity = as_floats(rows.lower), as_floats(rows.upper), as_floats(rows.activity(x))
        slack = np.minimum(activity - lower, upper - activity)
        residual = float(np.maximum(-slack, 0.0).max(initial=0.0))
        binding = int(np.count_nonzero(slack <= FEASIBILITY))
        reports[name] = BlockReport(len(rows), binding, max(residual, worst.get(name, 0.0)))
    return reports
