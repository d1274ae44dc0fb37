"""Find exact optima from the solver's basis, by iterative refinement or the dual simplex method in exact rational arithmetic.

Iterative refinement shifts and magnifies the violations of a basis, so that the floating-point solver can remove them. Where
that fails, the dual simplex method continues from the basis in exact rational arithmetic; it is slow, but it terminates.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np

from optmarket.arrays import IntArray, NumberArray
from optmarket.errors import ModelError, SolverError
from optmarket.lp.float_bound import Basis, Proof, Vertex, prove, tableau_row, vertex
from optmarket.lp.highs import LpResult, Session, as_floats, solve
from optmarket.lp.program import LinearProgram, Rows
from optmarket.options import Options, Status
from optmarket.tolerances import FLOATS_REACH

REFINEMENTS = 50
FREELY = 150  # rows plus columns of a program that exact arithmetic solves in a fraction of a second
AT_MOST = 600  # rows plus columns of a program that exact arithmetic solves in a few seconds
PIVOTS = 20_000  # the largest number of pivots of the simplex method in rational arithmetic
LARGEST_FIRST = 1000  # pivots by largest violation, before the least-index rule, which cannot cycle


def solve_exactly(program: LinearProgram, result: LpResult | None, seconds: float | None = None) -> Proof | Status:
    """Find and prove an exact optimum of a program of Fractions, starting from the solver's last basis.

    A basis that is optimal within the solver's tolerances may not be optimal in exact arithmetic. The program is then shifted to
    the exact solution of the basis, the remaining violations are magnified, and the solver continues from that basis; rows of
    families that are violated exactly are added. This is the iterative refinement of Gleixner, Steffy and Wolter (2016). If the
    solver fails, or has left no basis, the dual simplex method is run in rational arithmetic.

    Parameters
    ----------
    program : LinearProgram
        A program of Fractions in which every variable has finite bounds.
    result : LpResult or None
        The result of `solve` for this program, if there is one.
    seconds : float, optional
        The time limit, which is checked in every elimination step.

    Returns
    -------
    Proof or Status
        The status ``time limit`` or ``interrupted`` if the computation was stopped.

    Raises
    ------
    ModelError
        If the program has coefficients other than Fractions.
    SolverError
        If the program is infeasible, a variable has an infinite bound, or no exact optimum is reached.
    """
    if program.objective.dtype != object or any(len(rows) and rows.value.dtype != object for rows in program.rows.values()):
        raise ModelError("only a program of Fractions can be proved exactly; build it with exact numbers")
    rows = Rows.join([*program.rows.values(), *(family.initial_cuts() for family in program.families.values())])
    deadline = math.inf if seconds is None else time.perf_counter() + seconds

    def check() -> None:
        if time.perf_counter() > deadline:
            raise TimeoutError

    basis = None
    if result is not None:
        rows, basis = result.rows, result.basis
    try:
        if basis is not None:
            try:
                return _magnified(program, rows, basis, check)
            except SolverError:
                pass  # refinement failed: the dual simplex method below does not need the floating-point solver
        return _pivoted(program, rows, basis, check)
    except TimeoutError:
        return Status.TIME_LIMIT
    except KeyboardInterrupt:
        return Status.INTERRUPTED


def is_worthwhile(options: Options, gap: float, result: LpResult, program: LinearProgram, close: float = FLOATS_REACH) -> bool:
    """Decide whether to continue in exact arithmetic: the floating-point bounds leave a gap, and the program is small enough.

    Parameters
    ----------
    options : Options
    gap : float
        The relative gap between the bounds that floating-point arithmetic gave.
    result : LpResult
    program : LinearProgram
    close : float
        A gap that is small enough for programs of any size.

    Returns
    -------
    bool
    """
    size = len(result.rows) + program.columns
    return (gap > options.target_gap and size <= AT_MOST) or (gap > close and options.gap is None and size <= FREELY)


def solve_anew(program: LinearProgram, seconds: float | None = None) -> Proof | Status:
    """Solve a program of Fractions with the solver, and then exactly; the solver may fail.

    Parameters
    ----------
    program : LinearProgram
        A program of Fractions in which every variable has finite bounds.
    seconds : float, optional
        The time limit.

    Returns
    -------
    Proof or Status
        The status ``time limit`` or ``interrupted`` if the computation was stopped, and ``failed`` if no exact optimum was found,
        for example because the program is too large.

    Examples
    --------
    >>> program = LinearProgram("max")
    >>> _ = program.add_variables("x", (1,), upper=np.array([Fraction(1, 3)]), objective=np.array([Fraction(1)]))
    >>> solve_anew(program).value
    Fraction(1, 3)
    """
    start = time.perf_counter()
    try:
        result = solve(program, Options(time_limit=seconds))
    except SolverError:
        result = LpResult.of_failure(program)
    if result.status in {Status.TIME_LIMIT, Status.INTERRUPTED}:
        return result.status
    left = None if seconds is None else max(seconds - (time.perf_counter() - start), 0.0)
    try:
        return solve_exactly(program, result, left)
    except SolverError:  # for example too large: the floating-point result is all there is
        return Status.FAILED


def _violated_rows(program: LinearProgram, found: Vertex) -> Rows:
    """Generate rows of the program's families that the vertex violates in exact arithmetic."""
    return Rows.join(family.separate(found.x, 0.0)[0] for family in program.families.values())


def _with_rows(basis: Basis, more: Rows) -> Basis:
    """Extend a basis to rows that are appended to the program; their activities are basic."""
    return Basis(basis.columns, np.concatenate([basis.rows, np.zeros(len(more), dtype=np.int64)]))


def _magnified(program: LinearProgram, rows: Rows, basis: Basis, check: Callable[[], None]) -> Proof:
    """Prove an exact optimum by iterative refinement."""
    for _ in range(REFINEMENTS):
        found = vertex(program, rows, basis, check)
        violated = _violated_rows(program, found)
        if not (found.infeasible or found.unpriced or len(violated)):
            return prove(program, rows, found)
        rows, basis = Rows.join([rows, violated]), _with_rows(basis, violated)
        basis = _refined(program, rows, found, basis)
    raise SolverError(f"no basis was found exactly optimal in {REFINEMENTS} refinements; the program may be too large for it")


# The dual simplex method in rational arithmetic --------------------------------------------------------------------------


def _pivoted(program: LinearProgram, rows: Rows, basis: Basis | None, check: Callable[[], None]) -> Proof:
    """Prove an exact optimum by the bounded dual simplex method.

    Every variable has finite bounds, and so has the activity of every row. Any basis can therefore be made dual feasible by
    moving nonbasic variables to the better of their bounds, and no first phase is needed. In the end, dual values on bounds that
    are only implied by the bounds of the variables are set to 0, which does not weaken the dual bound.
    """
    if any(math.isinf(bound) for bound in (*program.lower, *program.upper)):
        raise SolverError("has a variable without finite bounds, for which there is no exact proof by pivoting")
    if basis is not None:
        try:
            vertex(program, rows, basis, check)
        except SolverError:
            basis = None
    if basis is None:
        basis = Basis(np.full(program.columns, -1), np.zeros(len(rows), dtype=np.int64))
    boxed = _boxed(program, rows)
    for pivots in range(PIVOTS):
        found = vertex(program, boxed, basis, check)
        placed = _dual_feasible(program, basis, found)
        if placed is not basis:
            basis, found = placed, vertex(program, boxed, placed, check)
        leaving = _leaving(program, boxed, basis, found, by_index=pivots >= LARGEST_FIRST)
        if leaving is None:
            violated = _violated_rows(program, found)
            if not len(violated):
                return prove(program, rows, _without_implied(program, rows, found))
            rows, boxed = Rows.join([rows, violated]), Rows.join([boxed, _boxed(program, violated)])
            basis = _with_rows(basis, violated)
        else:
            basis = _exchanged(program, boxed, basis, found, *leaving, check)
    raise SolverError(f"no basis was found exactly optimal in {PIVOTS:,} pivots; the program may be too large for it")


def _boxed(program: LinearProgram, rows: Rows) -> Rows:
    """Replace each infinite bound of a row by the one that the bounds of the variables imply."""
    owner = rows.owner()
    low, high = (np.full(len(rows), Fraction(0), dtype=object) for _ in range(2))
    ends = rows.value * program.lower[rows.index], rows.value * program.upper[rows.index]
    np.add.at(low, owner, np.minimum(*ends))
    np.add.at(high, owner, np.maximum(*ends))
    lower = np.array([at if math.isinf(given) else given for at, given in zip(low, rows.lower, strict=True)], dtype=object)
    upper = np.array([at if math.isinf(given) else given for at, given in zip(high, rows.upper, strict=True)], dtype=object)
    return Rows(rows.start, rows.index, rows.value, lower, upper)


def _dual_feasible(program: LinearProgram, basis: Basis, found: Vertex) -> Basis:
    """Move nonbasic variables and activities to the bound that their reduced cost prefers; unchanged bases are returned as is."""
    sign = 1 if program.sense == "max" else -1

    def placed(side: IntArray, reduced_cost: NumberArray) -> IntArray:
        preferred = np.sign(sign * reduced_cost).astype(np.int64)
        return np.where((side != 0) & (preferred != 0), preferred, side)

    columns, rows = placed(basis.columns, found.reduced), placed(basis.rows, found.dual_values)
    same = np.array_equal(columns, basis.columns) and np.array_equal(rows, basis.rows)
    return basis if same else Basis(columns, rows)


def _leaving(program: LinearProgram, rows: Rows, basis: Basis, found: Vertex, *, by_index: bool) -> tuple[int, int] | None:
    """Choose the leaving variable: the basic variable or activity with the largest violation, or the first with any.

    Returns its number and the bound it moves to (-1 lower, 1 upper), or None if the basis is primal feasible.
    """
    value = np.concatenate([found.x, found.activity])
    lower, upper = np.concatenate([program.lower, rows.lower]), np.concatenate([program.upper, rows.upper])
    below, above = lower - value, value - upper
    violation = np.maximum(below, above)
    violation[np.concatenate([basis.columns, basis.rows]) != 0] = 0
    largest = max(violation, default=Fraction(0))
    if not largest > 0:
        return None
    which = int(np.flatnonzero(violation > 0 if by_index else violation == largest)[0])
    return which, -1 if below[which] > 0 else 1


def _exchanged(
    program: LinearProgram, rows: Rows, basis: Basis, found: Vertex, which: int, side: int, check: Callable[[], None]
) -> Basis:
    """Exchange two basic variables: `which` leaves for its bound, and the entering variable is chosen by the dual ratio test.

    Raises
    ------
    SolverError
        If there is no entering variable, that is, the program is infeasible.
    """
    columns = program.columns
    change = tableau_row(rows, basis, which, columns, check)
    sides = np.concatenate([basis.columns, basis.rows])
    # A variable at its lower bound can only rise, one at its upper bound only fall. The leaving variable must rise if it moves to
    # its lower bound.
    helps = -side * -sides * np.sign(change).astype(np.int64) > 0
    candidates = np.flatnonzero(helps & (sides != 0))
    if not len(candidates):
        raise SolverError("the program is infeasible in exact arithmetic")
    price = np.concatenate([found.reduced, found.dual_values])
    ratios = np.abs(price[candidates] / change[candidates])
    entering = int(candidates[np.flatnonzero(ratios == min(ratios))[0]])
    sides[which], sides[entering] = side, 0
    return Basis(sides[:columns], sides[columns:])


def _without_implied(program: LinearProgram, rows: Rows, found: Vertex) -> Vertex:
    """Set dual values to 0 that belong to a bound of a row that is only implied by the bounds of the variables."""
    sign = 1 if program.sense == "max" else -1
    infinite = np.array(
        [
            math.isinf(upper if sign * y > 0 else lower) if y else False
            for y, lower, upper in zip(found.dual_values, rows.lower, rows.upper, strict=True)
        ],
        dtype=bool,
    )
    dual_values = found.dual_values.copy()
    dual_values[infinite] = Fraction(0)
    return replace(found, dual_values=dual_values)


def _refined(program: LinearProgram, rows: Rows, found: Vertex, basis: Basis) -> Basis:
    """Let the solver improve a basis of the program after it was shifted to a vertex and magnified.

    The activities of rows become columns, so that they can have objective coefficients.
    """
    activity = rows.activity(found.x)
    violations = program.lower - found.x, found.x - program.upper, rows.lower - activity, activity - rows.upper
    infeasible = max([*itertools.chain(*violations), Fraction(0)])
    grow = 2.0 ** _magnification(infeasible)
    price = 2.0 ** _magnification(found.unpriced)
    dual_values = np.concatenate([found.dual_values, np.full(len(rows) - len(found.dual_values), Fraction(0), dtype=object)])
    shifted = LinearProgram(program.sense)
    columns = shifted.add_variables(
        "point and activity",
        (program.columns + len(rows),),
        lower=grow * as_floats(np.concatenate([program.lower - found.x, rows.lower - activity])),
        upper=grow * as_floats(np.concatenate([program.upper - found.x, rows.upper - activity])),
        objective=price * as_floats(np.concatenate([found.reduced, dual_values])),
    )[program.columns :]
    ends = np.concatenate([rows.start[1:], [0]])[:-1]
    zero = np.zeros(len(rows))
    defined = Rows(
        rows.start + np.arange(len(rows) + 1),
        np.insert(rows.index, ends, columns),
        np.insert(as_floats(rows.value), ends, -1.0),
        zero,
        zero,
    )
    session = Session(shifted, defined, Options())
    session.start_from(Basis(np.concatenate([basis.columns, basis.rows]), np.full(len(rows), -1)))
    status, interrupted = session.run(None)
    if interrupted:
        raise KeyboardInterrupt
    refined = session.basis()
    if status is not Status.OPTIMAL or refined is None:
        raise SolverError(f"refining the exact optimum ended {status}")
    # The status of an activity's column is that of its row. A row that defines an activity can itself be basic only if that
    # column is nonbasic, and then the column stays nonbasic.
    return Basis(refined.columns[: program.columns], refined.columns[program.columns :])


def _magnification(violation: Fraction) -> int:
    """The exponent of the power of two that magnifies a violation to about one."""
    return min(max(-math.frexp(float(violation))[1], 0), 300) if violation else 0
