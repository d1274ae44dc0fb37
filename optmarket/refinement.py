"""From the solver's basis to an exact optimum: what is wrong with it in rationals is magnified until the solver sees it."""

from __future__ import annotations

import math
import time
from fractions import Fraction

import numpy as np

from optmarket.certificate import Basis, Proof, Vertex, prove, vertex
from optmarket.errors import ModelError, SolverError
from optmarket.highs import LpResult, Session, as_floats
from optmarket.program import LinearProgram, Rows
from optmarket.solution import Options, Status

REFINEMENTS = 50


def solve_exactly(program: LinearProgram, result: LpResult, seconds: float | None = None) -> Proof | Status:
    """Turn the solver's last basis into an exact optimum of a program of Fractions.

    A basis that is optimal within the solver's tolerances may just miss it in rationals. Then the program is shifted to the
    basis' exact point and multipliers, what is wrong there is magnified, and the solver goes on from that basis; rows of
    families that fail exactly are added on the way. (Iterative refinement: Gleixner, Steffy and Wolter, 2016.)

    Parameters
    ----------
    program : LinearProgram
        Of Fractions.
    result : LpResult
        Of `solve` on it.
    seconds : float, optional
        Time limit, looked at between refinements.

    Returns
    -------
    Proof or Status
        ``time limit`` or ``interrupted`` if that came first.

    Raises
    ------
    SolverError
        If there is no basis to start from, or no exact optimum is reached.
    """
    if program.objective.dtype != object or any(len(rows) and rows.value.dtype != object for rows in program.rows.values()):
        raise ModelError("only a program of Fractions can be proved exactly; build it with exact numbers")
    if result.basis is None:
        raise SolverError("the solver left no basis from which to prove an exact optimum")
    rows, basis = result.rows, result.basis
    start = time.perf_counter()
    try:
        for _ in range(REFINEMENTS):
            found = vertex(program, rows, basis)
            failing = Rows.join(family.separate(found.x, 0.0)[0] for family in program.families.values())
            if not (found.infeasible or found.unpriced or len(failing)):
                return prove(program, rows, found)
            if seconds is not None and time.perf_counter() - start > seconds:
                return Status.TIME_LIMIT
            rows = Rows.join([rows, failing])
            basis = Basis(basis.columns, np.concatenate([basis.rows, np.zeros(len(failing), dtype=np.int64)]))
            basis = _refined(program, rows, found, basis)
    except KeyboardInterrupt:
        return Status.INTERRUPTED
    raise SolverError(f"no basis was found exactly optimal in {REFINEMENTS} refinements; the program may be too large for it")


def _refined(program: LinearProgram, rows: Rows, found: Vertex, basis: Basis) -> Basis:
    """The solver's basis for the program shifted to a vertex and magnified; rows become columns, so that they carry prices."""
    infeasible = max(found.infeasible, *rows.violation(found.x))
    grow = 2.0 ** _magnification(infeasible)
    price = 2.0 ** _magnification(found.unpriced)
    multipliers = np.concatenate([found.multipliers, np.full(len(rows) - len(found.multipliers), Fraction(0), dtype=object)])
    activity = rows.activity(found.x)
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
