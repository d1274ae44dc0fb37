"""Solve linear programs with HiGHS, by constraint generation with warm starts.

The matrix is passed to the solver once, and violated constraints are added in one batch in each round. The solver's results are
not trusted: this module returns a point, dual values and a basis, and `optmarket.lp.float_bound` computes certified bounds from
them.
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

from optmarket.arrays import FloatArray, IntArray, NumberArray
from optmarket.certificates import BlockReport, relative_gap
from optmarket.errors import SolverError
from optmarket.lp.float_bound import Basis, safe_bound
from optmarket.lp.program import LinearProgram, Rows
from optmarket.options import Options, Progress, Status
from optmarket.solution_file import SolverReport
from optmarket.tolerances import ACCEPTED, FEASIBILITY

FULL_AT_MOST = 5_000_000  # non-zeros of a full linear program that the solver reads within a few seconds
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
    """The result of solving a linear program.

    Attributes
    ----------
    status : Status
        ``optimal`` if the last restricted program was solved and no constraint, generated or not, is violated by more than
        `ACCEPTED`, or if the requested gap was reached; ``gap not reached`` if the solver failed in a later round.
    x : array, shape (columns,), or None
        The optimal point of the last restricted program that was solved. If the first one was stopped, the solver's best point.
    rows : Rows
        All rows of the last restricted program: the blocks of rows first, then the generated constraints.
    dual_values : array, shape (rows,)
        The dual values, that is, the change of the objective per unit of a row's bound, from the last restricted program that was
        solved to optimality; 0 for rows added later.
    bound : float
        The tightest certified bound on the optimal value: an upper bound when maximising, a lower bound when minimising.
    basis : Basis or None
        The optimal basis of the last restricted program, if the status is ``optimal``.
    blocks : dict of str to BlockReport
        The constraints by block.
    rounds, iterations : int
        Rounds of constraint generation, and simplex iterations.
    violation : float
        The largest violation of a constraint at `x`.
    stalled : bool
        Whether constraint generation was given up because it made no progress: see `patience` in `solve`.
    """

    status: Status
    x: FloatArray | None
    rows: Rows
    dual_values: FloatArray
    bound: float
    basis: Basis | None
    blocks: dict[str, BlockReport]
    rounds: int
    iterations: int
    violation: float
    stalled: bool = False

    @classmethod
    def of_failure(cls, program: LinearProgram) -> LpResult:
        """Make the result for a program that the solver failed on: its rows, and the bound implied by those of the variables."""
        rows = Rows.join([*program.rows.values(), *(family.initial_cuts() for family in program.families.values())])
        bound = safe_bound(program, Rows.join([]), np.zeros(0))
        return cls(Status.FAILED, None, rows, np.zeros(len(rows)), bound, None, {}, 0, 0, math.inf)

    def report(self, method: str, seconds: float, columns: int) -> SolverReport:
        """Make the solver report of an answer.

        Parameters
        ----------
        method : str
            The method used.
        seconds : float
            The time that the whole solve took.
        columns : int
            The number of variables of the program.
        """
        return SolverReport(
            seconds=seconds,
            method=method,
            rounds=self.rounds,
            iterations=self.iterations,
            rows=len(self.rows),
            columns=columns,
            solver="HiGHS",
            version=VERSION,
        )


# One solve runs at a time, because all solver objects of a process share HiGHS's threads.
_SOLVING = threading.Lock()
_threads_in_force: int | None = None


@contextmanager
def _interrupts_set(stop: threading.Event) -> Iterator[None]:
    """While solving in the main thread, let Ctrl-C set an event instead of raising KeyboardInterrupt at an arbitrary place."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) in {signal.SIG_IGN, None}:  # background jobs ignore Ctrl-C
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _SilentHighs(highspy.Highs):
    """A HiGHS solver that prints nothing, neither during its construction nor later.

    The constructor of highspy registers callbacks, at which HiGHS 1.16 prints its banner to stdout. Output is therefore switched
    off just before.
    """

    def __init__(self) -> None:
        highspy.Highs.__init__(self)

    def enableCallbacks(self) -> None:
        Session.must(self.setOptionValue("output_flag", False), "setting output_flag")
        highspy.Highs.enableCallbacks(self)


class Session:
    """A HiGHS model to which rows can be added, for the modules that call the solver.

    Parameters
    ----------
    program : LinearProgram
        Its variables and objective are used, not its rows.
    rows : Rows
        The initial rows.
    options : Options
        ``threads`` is used.
    settings : mapping, optional
        Further options of HiGHS, by their names.

    Raises
    ------
    SolverError
        If HiGHS refuses an option or the program.
    """

    def __init__(self, program: LinearProgram, rows: Rows, options: Options, settings: Mapping[str, Any] | None = None) -> None:
        self.highs = _SilentHighs()
        self.threads = min(options.threads, os.cpu_count() or 1)
        ours = {
            "primal_feasibility_tolerance": FEASIBILITY,
            "dual_feasibility_tolerance": FEASIBILITY,
            "small_matrix_value": 1e-12,  # HiGHS drops smaller coefficients; this is the least value it allows
            "large_matrix_value": 1e200,  # HiGHS refuses larger coefficients; its default is 1e15
            "threads": self.threads,
        }
        for name, value in {**ours, **(settings or {})}.items():
            self.must(self.highs.setOptionValue(name, value), f"setting {name}")
        self.stop = stop = threading.Event()

        def interrupt_if_requested(event: highspy.HighsCallbackEvent) -> None:
            if stop.is_set():
                event.interrupt()

        self.highs.cbSimplexInterrupt += interrupt_if_requested
        self.highs.cbIpmInterrupt += interrupt_if_requested
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
        """Append rows to the model."""
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
        """Solve the model; if the solver fails, try again without its basis and with other settings.

        Parameters
        ----------
        seconds : float or None
            The time limit, counted from now.

        Returns
        -------
        status : Status
        interrupted : bool
            Whether Ctrl-C was pressed. The solver is stopped first.
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
            # HiGHS adds up the time of all solves of a model
            limit = self.highs.getRunTime() + max(seconds, 0.0)
            self.must(self.highs.setOptionValue("time_limit", limit), "setting time_limit")
        with _interrupts_set(self.stop), _SOLVING:
            # The solver runs in another thread, so that this thread can handle the signal.
            worker = threading.Thread(target=self._run_alone, daemon=True)
            worker.start()
            while worker.is_alive():
                worker.join(0.1)
        interrupted = self.stop.is_set()
        model_status = self.highs.getModelStatus()
        if model_status == highspy.HighsModelStatus.kUnboundedOrInfeasible:
            # Presolve cannot tell which of the two holds; the simplex method without presolve can.
            self.must(self.highs.setOptionValue("presolve", "off"), "switching presolve off")
            return self._attempt(seconds)
        return STATUS.get(model_status, Status.FAILED), interrupted

    def _run_alone(self) -> None:
        global _threads_in_force
        if _threads_in_force not in {None, self.threads}:
            highspy.Highs.resetGlobalScheduler(True)  # otherwise HiGHS keeps the number of threads of an earlier solve
        _threads_in_force = self.threads
        self.highs.run()

    def point(self) -> FloatArray | None:
        """The solver's current point, shape (columns,); None if it has none."""
        solution = self.highs.getSolution()
        return np.array(solution.col_value) if solution.value_valid or not self.highs.getNumCol() else None

    def dual_values(self, rows: int) -> FloatArray:
        """The solver's dual values, shape (rows,); zeros if it has none for this number of rows."""
        solution = self.highs.getSolution()
        return np.array(solution.row_dual) if len(solution.row_dual) == rows else np.zeros(rows)

    def basis(self) -> Basis | None:
        """The solver's current basis; None if it has none."""
        basis = self.highs.getBasis()
        if not basis.valid:
            return None

        def sides(statuses: list[highspy.HighsBasisStatus]) -> IntArray:
            return np.array([0 if s == _BASIC else 1 if s == _UPPER else -1 for s in statuses], dtype=np.int64)

        return Basis(sides(basis.col_status), sides(basis.row_status))

    def start_from(self, basis: Basis) -> None:
        """Let the next solve start from a basis."""

        def statuses(sides: IntArray) -> list[highspy.HighsBasisStatus]:
            return [_BASIC if side == 0 else _UPPER if side > 0 else _LOWER for side in sides.tolist()]

        given = highspy.HighsBasis()
        given.col_status, given.row_status = statuses(basis.columns), statuses(basis.rows)
        given.valid = True
        self.must(self.highs.setBasis(given), "a basis to start from")

    def iterations(self) -> int:
        """Simplex iterations of the last solve."""
        return max(int(self.highs.getInfo().simplex_iteration_count), 0)

    @staticmethod
    def must(status: highspy.HighsStatus, what: str) -> None:
        """Raise a SolverError if HiGHS reports an error for the request."""
        if status == highspy.HighsStatus.kError:
            raise SolverError(f"HiGHS refused {what}")


def as_floats(values: NumberArray) -> FloatArray:
    """Convert a program's numbers, floats or Fractions, to the floats that the solver reads.

    Examples
    --------
    >>> from fractions import Fraction
    >>> as_floats(np.array([Fraction(1, 4)], dtype=object)).tolist()
    [0.25]
    """
    return np.asarray(values, dtype=np.float64)


def solve(
    program: LinearProgram,
    options: Options | None = None,
    *,
    incumbent: Callable[[FloatArray], float] | None = None,
    settings: Mapping[str, Any] | None = None,
    patience: int | None = None,
) -> LpResult:
    """Solve a linear program by constraint generation.

    In each round the restricted program is solved, a certified bound is computed from its dual values, and the most violated lazy
    constraints are added.

    Parameters
    ----------
    program : LinearProgram
        To solve the full linear program instead, pass ``program.full()``.
    options : Options, optional
        ``gap``, ``time_limit``, ``threads`` and ``progress`` are used.
    incumbent : callable, optional
        Maps a point to the value of a feasible solution near it. If ``options.gap`` is given, the solve stops as soon as the
        relative gap between this value and the bound is at most that.
    settings : mapping, optional
        Options of HiGHS, by their names.
    patience : int, optional
        With an incumbent, constraint generation is given up (see `LpResult.stalled`) if over this many rounds the distance
        between bound and incumbent has not decreased by a tenth, and if the full program has at most `FULL_AT_MOST` non-zeros.

    Returns
    -------
    LpResult

    Raises
    ------
    SolverError
        If the solver refuses the program or ends in a state without information.

    Examples
    --------
    >>> program = LinearProgram("max")
    >>> x = program.add_variables("x", (2,), upper=1.0, objective=1.0)
    >>> program.add_rows("budget", Rows.dense(x[None], np.array([[1.0, 2.0]]), -np.inf, 2.0))
    >>> result = solve(program)
    >>> str(result.status), result.x.tolist()
    ('optimal', [1.0, 0.5])
    """
    options = options or Options()
    start = time.perf_counter()
    families = program.families
    order = [*program.rows.items(), *((name, family.initial_cuts()) for name, family in families.items())]
    session = Session(program, Rows.join(rows for _, rows in order), options, settings)

    x: FloatArray | None = None
    dual_values = np.zeros(0)
    bound = safe_bound(program, Rows.join([]), dual_values)
    better = min if program.sense == "max" else max
    violation = 0.0
    worst = dict.fromkeys(families, 0.0)
    rounds = iterations = 0
    stalled, gaps = False, [math.inf]
    may_be_full = patience is not None and incumbent is not None and program.size(full=True)[2] <= FULL_AT_MOST
    while True:
        added = Rows.join(rows for _, rows in order)
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
                # The bound holds for any dual values, so also for those of a solve that was stopped.
                bound = better(bound, safe_bound(program, added, session.dual_values(len(added))))
                x = session.point() if x is None else x
            break
        steps = session.iterations()
        iterations += steps
        x, dual_values = session.point(), session.dual_values(len(added))
        if x is None:
            raise SolverError("HiGHS calls the program optimal but gives no point")
        bound = better(bound, safe_bound(program, added, dual_values))
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
                options.progress(Progress(rounds, len(added), program.unit * bound, program.unit * violation, seconds))
            if not found:
                break
            if incumbent is not None and (options.gap is not None or may_be_full):
                value = incumbent(x)
                if options.gap is not None and relative_gap(min(bound, value), max(bound, value)) <= options.gap:
                    break
                gaps.append(abs(bound - value))
            if may_be_full and patience is not None and rounds > patience and gaps[-1] > 0.9 * gaps[-1 - patience]:
                stalled = True
                break
        except KeyboardInterrupt:
            status = Status.INTERRUPTED
            break
        if rounds > 1 and steps == 0:
            # The constraints added last were satisfied within the solver's tolerance, so further rounds change nothing.
            break
        for name, rows in found:
            session.add(rows)
            order.append((name, rows))

    basis = session.basis() if status is Status.OPTIMAL else None
    blocks = _blocks(order, x, worst)
    violation = max((block.worst for block in blocks.values()), default=0.0)
    if status is Status.FAILED or (status is Status.OPTIMAL and violation > ACCEPTED):
        status = Status.GAP
    dual_values = np.concatenate([dual_values, np.zeros(len(added) - len(dual_values))])
    return LpResult(status, x, added, dual_values, bound, basis, blocks, rounds, iterations, violation, stalled)


def _blocks(order: list[tuple[str, Rows]], x: FloatArray | None, worst: dict[str, float]) -> dict[str, BlockReport]:
    """Summarise the rows of each block at the last point."""
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
