"""Certify optimal values of linear programs: safe dual bounds in floats, and exact optima from a basis in rational arithmetic.

The certificates use the program's data only. They hold for any dual values, however the solver computed them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from optmarket.arrays import IntArray, NumberArray
from optmarket.errors import SolverError
from optmarket.lp.program import LinearProgram, Rows

_HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class Basis:
    """A basis: the status of each variable and each row at a vertex.

    Attributes
    ----------
    columns : array of int, shape (columns,)
        0 for a basic variable, -1 for one at its lower bound, 1 for one at its upper bound.
    rows : array of int, shape (rows,)
        The same for the activity of each row.
    """

    columns: IntArray
    rows: IntArray


@dataclass(frozen=True)
class Proof:
    """An optimum that was proved in exact rational arithmetic.

    Attributes
    ----------
    value : Fraction
        The value of the objective, including the offset.
    x : object array of Fraction, shape (columns,)
        An optimal point. It satisfies every row of the program, including those of its families.
    dual_values : object array of Fraction, shape (rows,)
        Dual values whose exact dual bound equals `value`.
    """

    value: Fraction
    x: NumberArray
    dual_values: NumberArray


def safe_bound(program: LinearProgram, rows: Rows, dual_values: NumberArray) -> float:
    """Compute a bound on the optimal value that holds for any dual values, rounding errors included.

    For dual values y, with entries of the wrong sign set to 0, ``b'y`` plus the sum over columns of the best value of the reduced
    cost times the variable within its bounds is a bound on the objective of every feasible point (weak duality; Neumaier and
    Shcherbina, 2004). The data are floats within half a unit in the last place of the exact numbers. That error and the rounding
    error of every operation are added to the bound.

    Parameters
    ----------
    program : LinearProgram
        Its objective and the bounds of its variables are used, not its rows.
    rows : Rows
        Any rows that hold for all feasible points.
    dual_values : array, shape (len(rows),)
        The dual values.

    Returns
    -------
    float
        An upper bound for a maximisation problem, a lower bound for a minimisation problem. It is infinite if a variable with an
        infinite bound occurs in the objective or in a row with a non-zero dual value.

    Examples
    --------
    >>> program = LinearProgram("max")
    >>> x = program.add_variables("x", (1,), upper=1.0, objective=2.0)
    >>> rows = Rows.dense(x[None], np.array([[1.0]]), -np.inf, 0.5)
    >>> bool(1 < safe_bound(program, rows, np.array([2.0])) < 1 + 1e-12)
    True
    """
    sign = 1.0 if program.sense == "max" else -1.0
    value, row_lower, row_upper, lower, upper, objective = (
        np.asarray(given, dtype=np.float64)
        for given in (rows.value, rows.lower, rows.upper, program.lower, program.upper, program.objective)
    )
    objective = sign * objective
    y = sign * np.asarray(dual_values, dtype=np.float64)
    y = np.where(np.isfinite(np.where(y > 0, row_upper, row_lower)), y, 0.0)
    side = np.where(y > 0, row_upper, np.where(y < 0, row_lower, 0.0))
    row_terms = y * side

    products = value * np.repeat(y, np.diff(rows.start))
    count = np.bincount(rows.index, minlength=program.columns)
    reduced = objective - np.bincount(rows.index, products, minlength=program.columns)
    size = np.abs(objective) + np.bincount(rows.index, np.abs(products), minlength=program.columns)
    # one rounding error for each coefficient, each product and each addition
    reduced_error = 1.01 * (count + 4) * _HALF_ULP * size
    with np.errstate(invalid="ignore"):
        best = np.maximum(np.where(lower == 0, 0.0, reduced * lower), np.where(upper == 0, 0.0, reduced * upper))
        reach = np.maximum(np.abs(lower), np.abs(upper))
        box_error = reach * (reduced_error + 4 * _HALF_ULP * np.abs(reduced))
    priced = (np.repeat(y, np.diff(rows.start)) != 0) & (value != 0)
    silent = (objective == 0) & (np.bincount(rows.index[priced], minlength=program.columns) == 0)
    best, box_error = np.where(silent, 0.0, best), np.where(silent, 0.0, box_error)
    if not (np.all(np.isfinite(best)) and np.all(np.isfinite(box_error))):
        return sign * math.inf
    offset = sign * program.offset
    if offset == 0 and silent.all() and not y.any():
        return 0.0
    # A sum that overflows gives no bound. The addend 1e-300 covers products that underflow.
    with np.errstate(over="ignore"):
        scale = float(np.abs(row_terms).sum() + np.abs(best).sum() + box_error.sum() + abs(offset))
    if not scale < 1e300:
        return sign * math.inf
    error = math.fsum(box_error) + 4 * _HALF_ULP * (math.fsum(np.abs(row_terms)) + abs(offset))
    total = math.fsum(np.concatenate([row_terms, best, [offset, error * (1 + 1e-9), 1e-300]]))
    return sign * math.nextafter(total, math.inf)


def exact_bound(program: LinearProgram, rows: Rows, dual_values: NumberArray) -> Fraction | float:
    """Compute the dual bound of `safe_bound` in exact rational arithmetic.

    Parameters
    ----------
    program : LinearProgram
        A program of Fractions.
    rows : Rows
        Any rows that hold for all feasible points, of Fractions.
    dual_values : object array of Fraction, shape (len(rows),)
        The dual values. Other than in `safe_bound`, those of the wrong sign are not set to 0.

    Returns
    -------
    Fraction, or an infinite float
    """
    sign = 1 if program.sense == "max" else -1
    y = sign * dual_values
    reduced = sign * program.objective
    np.subtract.at(reduced, rows.index, rows.value * y[rows.owner()])
    total: Fraction | float = sign * Fraction(program.offset)
    for dual_value, lower, upper in zip(y, rows.lower, rows.upper, strict=True):
        if dual_value:
            side = upper if dual_value > 0 else lower
            if math.isinf(side):
                return sign * math.inf
            total += dual_value * side
    for cost, lower, upper in zip(reduced, program.lower, program.upper, strict=True):
        if cost:
            total += cost * (upper if cost > 0 else lower)
    return sign * total


@dataclass(frozen=True)
class Vertex:
    """The primal and dual solution of a basis in exact rational arithmetic.

    Attributes
    ----------
    program : LinearProgram
    rows : Rows
        The rows of the current linear program.
    x : object array of Fraction, shape (columns,)
        The basic solution.
    activity : object array of Fraction, shape (rows,)
        The activity of each row at `x`.
    dual_values : object array of Fraction, shape (rows,)
        The dual values.
    reduced : object array of Fraction, shape (columns,)
        The reduced costs: the objective less the dual values times the rows.
    """

    program: LinearProgram
    rows: Rows
    x: NumberArray
    activity: NumberArray
    dual_values: NumberArray
    reduced: NumberArray

    @cached_property
    def infeasible(self) -> Fraction:
        """The largest violation of a bound of a variable or of a row; 0 at an optimum."""
        program, rows = self.program, self.rows
        wrong = program.lower - self.x, self.x - program.upper, rows.lower - self.activity, self.activity - rows.upper
        worst: Fraction = max(itertools.chain([Fraction(0)], *wrong))
        return worst

    @cached_property
    def unpriced(self) -> Fraction:
        """The largest violation of the sign condition of a dual value or reduced cost; 0 at an optimum."""
        program, rows = self.program, self.rows
        # At an optimum the objective does not improve if a variable or activity at its lower bound rises, or one at its upper
        # bound falls.
        sign = 1 if program.sense == "max" else -1
        improvement = sign * np.concatenate([self.reduced, self.dual_values])
        at_lower = np.concatenate([self.x <= program.lower, self.activity <= rows.lower])
        at_upper = np.concatenate([self.x >= program.upper, self.activity >= rows.upper])
        worst: Fraction = max(itertools.chain([Fraction(0)], improvement[~at_upper], -improvement[~at_lower]))
        return worst


def vertex(program: LinearProgram, rows: Rows, basis: Basis, check: Callable[[], None] = lambda: None) -> Vertex:
    """Compute the primal and dual solution of a basis in exact rational arithmetic.

    Parameters
    ----------
    program : LinearProgram
        A program of Fractions.
    rows : Rows
        The rows of the current linear program, of Fractions, in the order of the basis.
    basis : Basis
    check : callable, optional
        Called regularly; it raises an exception to stop, for example at a time limit.

    Returns
    -------
    Vertex

    Raises
    ------
    SolverError
        If the basis is singular.
    """
    lower, upper, objective = program.lower, program.upper, program.objective
    x = np.where(basis.columns > 0, upper, lower)
    x = np.array([Fraction(0) if math.isinf(at) else at for at in x], dtype=object)  # a free column rests at 0
    basic = np.flatnonzero(basis.columns == 0)
    tight = np.flatnonzero(basis.rows != 0)
    if len(basic) != len(tight):
        raise SolverError(f"the solver's basis has {len(basic)} basic columns and {len(tight)} tight rows; they must be as many")
    place = {int(column): k for k, column in enumerate(basic)}
    x[basic] = Fraction(0)
    tight_rows = rows.take(tight)
    right = np.where(basis.rows[tight] > 0, tight_rows.upper, tight_rows.lower) - tight_rows.activity(x)
    matrix: list[dict[int, Fraction]] = [{} for _ in tight]
    transposed: list[dict[int, Fraction]] = [{} for _ in basic]
    for row, column, value in zip(tight_rows.owner(), tight_rows.index, tight_rows.value, strict=True):
        k = place.get(int(column))
        if k is not None:
            matrix[row][k] = value
            transposed[k][int(row)] = value
    x[basic] = _solve(matrix, list(right), check)
    dual_values = np.full(len(rows), Fraction(0), dtype=object)
    dual_values[tight] = _solve(transposed, list(objective[basic]), check)

    reduced = objective.copy()
    priced = rows.take(tight)
    np.subtract.at(reduced, priced.index, priced.value * dual_values[tight][priced.owner()])
    return Vertex(program, rows, x, rows.activity(x), dual_values, reduced)


def tableau_row(rows: Rows, basis: Basis, which: int, columns: int, check: Callable[[], None] = lambda: None) -> NumberArray:
    """Compute a row of the simplex tableau: the change of a basic variable or activity per unit of each nonbasic one.

    Parameters
    ----------
    rows : Rows
        The rows of the current linear program, of Fractions, in the order of the basis.
    basis : Basis
    which : int
        The number of the basic variable, or `columns` plus the number of the basic row.
    columns : int
        The number of variables of the program.
    check : callable, optional
        Called regularly; it raises an exception to stop, for example at a time limit.

    Returns
    -------
    object array of Fraction, shape (columns + rows,)
        The entries of basic variables and rows are 0.

    Raises
    ------
    SolverError
        If the basis is singular.
    """
    basic, tight = np.flatnonzero(basis.columns == 0), np.flatnonzero(basis.rows != 0)
    place = {int(column): k for k, column in enumerate(basic)}
    change = np.full(columns + len(rows), Fraction(0), dtype=object)
    right = [Fraction(0)] * len(basic)
    if which < columns:
        right[place[which]] = Fraction(1)
    else:
        own = rows.take(np.array([which - columns]))
        change[own.index] = own.value
        for column, value in zip(own.index, own.value, strict=True):
            if int(column) in place:
                right[place[int(column)]] = value
    tight_rows = rows.take(tight)
    transposed: list[dict[int, Fraction]] = [{} for _ in basic]
    for row, column, value in zip(tight_rows.owner(), tight_rows.index, tight_rows.value, strict=True):
        if int(column) in place:
            transposed[place[int(column)]][int(row)] = value
    weight = _solve(transposed, right, check)
    np.subtract.at(change, tight_rows.index, tight_rows.value * weight[tight_rows.owner()])
    change[columns + tight] = weight
    change[basic] = Fraction(0)
    return change


def prove(program: LinearProgram, rows: Rows, found: Vertex) -> Proof:
    """Prove in exact arithmetic that a vertex is optimal.

    The vertex must satisfy every row of the program and of its families, and its value must equal its dual bound.

    Parameters
    ----------
    program : LinearProgram
        A program of Fractions.
    rows : Rows
        The rows of the current linear program, of Fractions.
    found : Vertex

    Returns
    -------
    Proof

    Raises
    ------
    SolverError
        If the vertex is not optimal.
    """
    value = (program.objective * found.x).sum() + Fraction(program.offset)
    if np.any(found.x < program.lower) or np.any(found.x > program.upper) or np.any(rows.violation(found.x) > 0):
        raise SolverError("the solver's vertex is not feasible in exact arithmetic")
    for name, family in program.families.items():
        _, worst = family.separate(found.x, 0.0)
        if worst > 0:
            raise SolverError(f"the solver's vertex fails a row of {name!r} by {float(worst):.3g} in exact arithmetic")
    if exact_bound(program, rows, found.dual_values) != value:
        raise SolverError("the solver's vertex is not optimal in exact arithmetic")
    return Proof(value, found.x, found.dual_values)


def _solve(matrix: list[dict[int, Fraction]], right: list[Fraction], check: Callable[[], None] = lambda: None) -> NumberArray:
    """Solve a square sparse system of Fractions by Gaussian elimination, which overwrites `matrix` and `right`.

    Pivots are chosen to keep fill-in low: a column with the fewest entries, and in it the row with the fewest.
    """
    n = len(matrix)
    columns: list[set[int]] = [set() for _ in range(n)]
    for r, row in enumerate(matrix):
        for c in row:
            columns[c].add(r)
    pivots: list[tuple[int, int]] = []
    open_columns = set(range(n))
    while open_columns:
        check()
        c = min(open_columns, key=lambda k: (len(columns[k]), k))
        if not columns[c]:
            raise SolverError("the solver's basis is singular in exact arithmetic")
        p = min(columns[c], key=lambda k: (len(matrix[k]), k))
        open_columns.remove(c)
        pivots.append((p, c))
        pivot_row = matrix[p]
        for k in pivot_row:
            columns[k].discard(p)
        for r in list(columns[c]):
            factor = matrix[r][c] / pivot_row[c]
            right[r] -= factor * right[p]
            for k, value in pivot_row.items():
                entry = matrix[r].get(k, 0) - factor * value
                if entry:
                    matrix[r][k] = entry
                    columns[k].add(r)
                elif k in matrix[r]:
                    del matrix[r][k]
                    columns[k].discard(r)
        columns[c].clear()
    x = np.full(n, Fraction(0), dtype=object)
    for p, c in reversed(pivots):
        x[c] = (right[p] - sum((value * x[k] for k, value in matrix[p].items() if k != c), Fraction(0))) / matrix[p][c]
    return x
