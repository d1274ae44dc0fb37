"""From the solver's basis to an exact optimum: what is wrong with it in rationals is magnified until the solver sees it.

Where the solver does not see it even so, a dual simplex method in rationals goes on from the basis: slow, but it ends.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np

from optmarket.errors import ModelError, SolverError
from optmarket.lp.float_bound import Basis, Proof, Vertex, prove, tableau_row, vertex
from optmarket.lp.highs import LpResult, Session, as_floats, solve
from optmarket.lp.program import IntArray, LinearProgram, NumberArray, Rows
from optmarket.solution import Options, Status

REFINEMENTS = 50
CLOSE = 1e-8  # relative gap that floats reach where stakes are of one order
FREELY = 150  # rows and columns of a program that exact arithmetic solves in no time
AT_MOST = 600  # and in some seconds
PIVOTS = 20_000  # of the simplex method in rationals
LARGEST_FIRST = 1000  # pivots by largest violation, before the rule of least index that cannot cycle


def solve_exactly(program: LinearProgram, result: LpResult | None, seconds: float | None = None) -> Proof | Status:
    """Turn the solver's last basis into an exact optimum of a program of Fractions.

    A basis that is optimal within the solver's tolerances may just miss it in rationals. Then the program is shifted to the
    basis' exact point and multipliers, what is wrong there is magnified, and the solver goes on from that basis; rows of
    families that fail exactly are added on the way. (Iterative refinement: Gleixner, Steffy and Wolter, 2016.) If the solver
    fails on the way, or left no basis, the dual simplex method finishes in rationals.

    Parameters
    ----------
    program : LinearProgram
        Of Fractions; every variable in a finite box.
    result : LpResult or None
        Of `solve` on it, if there is one.
    seconds : float, optional
        Time limit, looked at in every step of elimination.

    Returns
    -------
    Proof or Status
        ``time limit`` or ``interrupted`` if that came first.

    Raises
    ------
    SolverError
        If the program is infeasible, a variable has no finite box, or no exact optimum is reached.
    """
    if program.objective.dtype != object or any(len(rows) and rows.value.dtype != object for rows in program.rows.values()):
        raise ModelError("only a program of Fractions can be proved exactly; build it with exact numbers")
    rows = Rows.join([*program.rows.values(), *(family.seed() for family in program.families.values())])
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
                pass  # the solver does not get there: the method below does without it
        return _pivoted(program, rows, basis, check)
    except TimeoutError:
        return Status.TIME_LIMIT
    except KeyboardInterrupt:
        return Status.INTERRUPTED


def is_worthwhile(options: Options, gap: float, result: LpResult, program: LinearProgram, close: float = CLOSE) -> bool:
    """Whether exact arithmetic should go on where floats ended: they left a gap, and the program is small enough.

    Parameters
    ----------
    options : Options
    gap : float
        Relative, of the bounds that floats gave.
    result : LpResult
    program : LinearProgram
    close : float
        A gap at which even a tiny program is left alone.
    """
    size = len(result.rows) + program.columns
    return (gap > options.wanted and size <= AT_MOST) or (gap > close and options.gap is None and size <= FREELY)


def solve_anew(program: LinearProgram, seconds: float | None = None) -> Proof | Status:
    """The exact optimum of a program of Fractions, whatever the solver makes of it.

    Parameters
    ----------
    program : LinearProgram
        Of Fractions; every variable in a finite box.
    seconds : float, optional
        Time limit.

    Returns
    -------
    Proof or Status
        ``time limit`` or ``interrupted`` if that came first, ``failed`` if the program is too large for exact arithmetic.
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
    except SolverError:  # too large: what floats have found stands
        return Status.FAILED


def _failing(program: LinearProgram, found: Vertex) -> Rows:
    return Rows.join(family.separate(found.x, 0.0)[0] for family in program.families.values())


def _with_rows(basis: Basis, more: Rows) -> Basis:
    """The basis of a program with rows appended: what they restrict is basic."""
    return Basis(basis.columns, np.concatenate([basis.rows, np.zeros(len(more), dtype=np.int64)]))


def _magnified(program: LinearProgram, rows: Rows, basis: Basis, check: Callable[[], None]) -> Proof:
    for _ in range(REFINEMENTS):
        found = vertex(program, rows, basis, check)
        failing = _failing(program, found)
        if not (found.infeasible or found.unpriced or len(failing)):
            return prove(program, rows, found)
        rows, basis = Rows.join([rows, failing]), _with_rows(basis, failing)
        basis = _refined(program, rows, found, basis)
    raise SolverError(f"no basis was found exactly optimal in {REFINEMENTS} refinements; the program may be too large for it")


# The dual simplex method in rationals ------------------------------------------------------------------------------------


def _pivoted(program: LinearProgram, rows: Rows, basis: Basis | None, check: Callable[[], None]) -> Proof:
    """The exact optimum by the bounded dual simplex method.

    Every variable has a box, and so every row's activity: any basis is made dual feasible by moving what is not basic to its
    better bound, and no first phase is needed. A bound that only the boxes imply carries no dual value in the end: leaving it
    out of the proof makes its bound no weaker.
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
            failing = _failing(program, found)
            if not len(failing):
                return prove(program, rows, _without_implied(program, rows, found))
            rows, boxed = Rows.join([rows, failing]), Rows.join([boxed, _boxed(program, failing)])
            basis = _with_rows(basis, failing)
        else:
            basis = _exchanged(program, boxed, basis, found, *leaving, check)
    raise SolverError(f"no basis was found exactly optimal in {PIVOTS:,} pivots; the program may be too large for it")


def _boxed(program: LinearProgram, rows: Rows) -> Rows:
    """The same rows, an infinite bound replaced by the one that the variables' boxes imply."""
    owner = rows.owner()
    low, high = (np.full(len(rows), Fraction(0), dtype=object) for _ in range(2))
    ends = rows.value * program.lower[rows.index], rows.value * program.upper[rows.index]
    np.add.at(low, owner, np.minimum(*ends))
    np.add.at(high, owner, np.maximum(*ends))
    lower = np.array([at if math.isinf(given) else given for at, given in zip(low, rows.lower, strict=True)], dtype=object)
    upper = np.array([at if math.isinf(given) else given for at, given in zip(high, rows.upper, strict=True)], dtype=object)
    return Rows(rows.start, rows.index, rows.value, lower, upper)


def _dual_feasible(program: LinearProgram, basis: Basis, found: Vertex) -> Basis:
    """The basis with all that is not basic at the bound its price prefers; the basis itself if it is."""
    sign = 1 if program.sense == "max" else -1

    def placed(side: IntArray, price: NumberArray) -> IntArray:
        wants = np.sign(sign * price).astype(np.int64)
        return np.where((side != 0) & (wants != 0), wants, side)

    columns, rows = placed(basis.columns, found.reduced), placed(basis.rows, found.multipliers)
    same = np.array_equal(columns, basis.columns) and np.array_equal(rows, basis.rows)
    return basis if same else Basis(columns, rows)


def _leaving(program: LinearProgram, rows: Rows, basis: Basis, found: Vertex, *, by_index: bool) -> tuple[int, int] | None:
    """The basic variable or row that fails its bounds most, or the first that does, and the bound it goes to; None if none."""
    value = np.concatenate([found.x, found.activity])
    lower, upper = np.concatenate([program.lower, rows.lower]), np.concatenate([program.upper, rows.upper])
    below, above = lower - value, value - upper
    wrong = np.maximum(below, above)
    wrong[np.concatenate([basis.columns, basis.rows]) != 0] = 0
    most = max(wrong, default=Fraction(0))
    if not most > 0:
        return None
    which = int(np.flatnonzero(wrong > 0 if by_index else wrong == most)[0])
    return which, -1 if below[which] > 0 else 1


def _exchanged(
    program: LinearProgram, rows: Rows, basis: Basis, found: Vertex, which: int, side: int, check: Callable[[], None]
) -> Basis:
    """The basis after one exchange: `which` leaves for its bound, and of what can bring it there the cheapest enters.

    Raises
    ------
    SolverError
        If nothing can: the program is infeasible.
    """
    columns = program.columns
    change = tableau_row(rows, basis, which, columns, check)
    sides = np.concatenate([basis.columns, basis.rows])
    # at its lower bound a variable can rise, at its upper fall; the one that leaves must rise if it leaves for its lower bound
    helps = -side * -sides * np.sign(change).astype(np.int64) > 0
    candidates = np.flatnonzero(helps & (sides != 0))
    if not len(candidates):
        raise SolverError("the program is infeasible in exact arithmetic")
    price = np.concatenate([found.reduced, found.multipliers])
    ratios = np.abs(price[candidates] / change[candidates])
    entering = int(candidates[np.flatnonzero(ratios == min(ratios))[0]])
    sides[which], sides[entering] = side, 0
    return Basis(sides[:columns], sides[columns:])


def _without_implied(program: LinearProgram, rows: Rows, found: Vertex) -> Vertex:
    """A vertex whose rows carry dual values only for bounds of their own."""
    sign = 1 if program.sense == "max" else -1
    infinite = np.array(
        [
            math.isinf(upper if sign * y > 0 else lower) if y else False
            for y, lower, upper in zip(found.multipliers, rows.lower, rows.upper, strict=True)
        ],
        dtype=bool,
    )
    multipliers = found.multipliers.copy()
    multipliers[infinite] = Fraction(0)
    return replace(found, multipliers=multipliers)


def _refined(program: LinearProgram, rows: Rows, found: Vertex, basis: Basis) -> Basis:
    """The solver's basis for the program shifted to a vertex and magnified; rows become columns, so that they carry prices."""
    activity = rows.activity(found.x)
    wrong = program.lower - found.x, found.x - program.upper, rows.lower - activity, activity - rows.upper
    infeasible = max([*itertools.chain(*wrong), Fraction(0)])
    grow = 2.0 ** _magnification(infeasible)
    price = 2.0 ** _magnification(found.unpriced)
    multipliers = np.concatenate([found.multipliers, np.full(len(rows) - len(found.multipliers), Fraction(0), dtype=object)])
    shifted = LinearProgram(program.sense)
    columns = shifted.add_variables(
        "point and activity",
        (program.columns + len(rows),),
        lower=grow * as_floats(np.concatenate([program.lower - found.x, rows.lower - activity])),
        upper=grow * as_floats(np.concatenate([program.upper - found.x, rows.upper - activity])),
        objective=price * as_floats(np.concatenate([found.reduced, multipliers])),
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
    # a row that defines an activity is basic only if that activity is at rest as well: let it stay so
    return Basis(refined.columns[: program.columns], refined.columns[program.columns :])


def _magnification(wrong: Fraction) -> int:
    """The power of two that brings what is wrong to about one."""
    return min(max(-math.frexp(float(wrong))[1], 0), 300) if wrong else 0
