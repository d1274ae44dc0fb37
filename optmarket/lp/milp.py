"""Solve a linear program some of whose variables are whole numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from optmarket.arrays import FloatArray, IntArray
from optmarket.errors import SolverError
from optmarket.lp.program import LinearProgram, Rows

TIME_LIMIT_STATUS = 1  # of scipy.optimize.milp


class MilpResult(NamedTuple):
    """What a mixed-integer solve gives.

    Attributes
    ----------
    x : array of shape (columns,), or None
        The best point found, if there is one.
    bound : float
        The solver's bound on the optimum, in the program's own units; it is not certified.
    in_time : bool
        Whether the solver ended before its time limit.
    """

    x: FloatArray | None
    bound: float
    in_time: bool


def solve_milp(program: LinearProgram, whole: IntArray, time_limit: float | None = None, gap: float = 1e-9) -> MilpResult:
    """Solve a program, with some columns whole numbers, by HiGHS.

    Parameters
    ----------
    program : LinearProgram
        In floats, without families of lazy constraints.
    whole : array of int
        Columns that must be whole numbers.
    time_limit : float, optional
        In seconds.
    gap : float
        Relative gap at which the solver stops.

    Raises
    ------
    SolverError
        If the solver says that there is no solution, or fails.

    Examples
    --------
    >>> program = LinearProgram("max")
    >>> x = program.add_variables("x", (2,), upper=1.0, objective=np.array([2.0, 3.0]))
    >>> program.add_rows("budget", Rows.dense(x[None], np.array([[1.0, 1.5]]), -np.inf, 2.0))
    >>> solve_milp(program, x).x.tolist()
    [0.0, 1.0]
    """
    from scipy.optimize import Bounds, LinearConstraint, milp  # slow to import, and seldom needed
    from scipy.sparse import csr_array

    rows = Rows.join(program.rows.values())
    matrix = csr_array((rows.value, rows.index, rows.start), shape=(len(rows), program.columns))
    integrality = np.zeros(program.columns, dtype=np.int64)
    integrality[whole.ravel()] = 1
    sign = -1.0 if program.sense == "max" else 1.0
    seconds = 1e9 if time_limit is None else max(time_limit, 1e-3)
    found = milp(
        sign * program.objective.astype(float),
        integrality=integrality,
        bounds=Bounds(program.lower.astype(float), program.upper.astype(float)),
        constraints=[LinearConstraint(matrix, rows.lower.astype(float), rows.upper.astype(float))] if len(rows) else (),
        options={"mip_rel_gap": gap, "time_limit": seconds},
    )
    in_time = found.status != TIME_LIMIT_STATUS
    if found.x is None and in_time:
        raise SolverError(f"HiGHS gives no solution of a mixed-integer program: {found.message}")
    bound = getattr(found, "mip_dual_bound", None)
    infinite = np.inf if program.sense == "max" else -np.inf
    return MilpResult(found.x, infinite if bound is None else sign * float(bound) + program.offset, in_time)
