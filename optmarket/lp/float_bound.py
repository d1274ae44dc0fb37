"""Proofs from a program's data and multipliers alone: a safe bound in floats, and an exact optimum in rationals."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from optmarket.errors import SolverError
from optmarket.lp.program import IntArray, LinearProgram, NumberArray, Rows

_HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class Basis:
    """Where each variable and row stands at a vertex: 0 basic, -1 at its lower and 1 at its upper bound."""

    columns: IntArray
    rows: IntArray


@dataclass(frozen=True)
class Proof:
    """An exact optimum.

    Attributes
    ----------
    value : Fraction
        Of the objective, offset included.
    x : object array of Fraction, shape (columns,)
        Feasible for every row of the program, those of its families included.
    multipliers : object array of Fraction, shape (rows,)
        Their exact dual bound equals `value`.
    """

    value: Fraction
    x: NumberArray
    multipliers: NumberArray


def safe_bound(program: LinearProgram, rows: Rows, multipliers: NumberArray) -> float:
    """A bound on the optimum that holds whatever the multipliers are, rounding included.

    For multipliers y projected onto their sign, ``b'y + sum over columns of the best value of the reduced cost over the box``
    bounds the objective of every feasible point. The data are floats within half a unit in the last place of the exact ones;
    their error and that of every operation here is added.

    Parameters
    ----------
    program : LinearProgram
        Its objective and boxes are used, not its rows.
    rows : Rows
        Any rows that hold for all feasible points.
    multipliers : array, shape (len(rows),)

    Returns
    -------
    float
        An upper bound when maximising, a lower one when minimising; infinite where a box is.
    """
    sign = 1.0 if program.sense == "max" else -1.0
    value, row_lower, row_upper, lower, upper, objective = (
        np.asarray(given, dtype=np.float64)
        for given in (rows.value, rows.lower, rows.upper, program.lower, program.upper, program.objective)
    )
    objective = sign * objective
    y = sign * np.asarray(multipliers, dtype=np.float64)
    y = np.where(np.isfinite(np.where(y > 0, row_upper, row_lower)), y, 0.0)
    side = np.where(y > 0, row_upper, np.where(y < 0, row_lower, 0.0))
    row_terms = y * side

    products = value * np.repeat(y, np.diff(rows.start))
    count = np.bincount(rows.index, minlength=program.columns)
    reduced = objective - np.bincount(rows.index, products, minlength=program.columns)
    size = np.abs(objective) + np.bincount(rows.index, np.abs(products), minlength=program.columns)
    # one rounding for each coefficient, product and addition
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
    if silent.all() and not y.any():
        return sign * offset
    # sums beyond the largest float bound nothing; the last addend covers products too small for one
    with np.errstate(over="ignore"):
        scale = float(np.abs(row_terms).sum() + np.abs(best).sum() + box_error.sum() + abs(offset))
    if not scale < 1e300:
        return sign * math.inf
    error = math.fsum(box_error) + 4 * _HALF_ULP * (math.fsum(np.abs(row_terms)) + abs(offset))
    total = math.fsum(np.concatenate([row_terms, best, [offset, error * (1 + 1e-9), 1e-300]]))
    return sign * math.nextafter(total, math.inf)


def exact_bound(program: LinearProgram, rows: Rows, multipliers: NumberArray) -> Fraction | float:
    """`safe_bound` in rational arithmetic, for a program and multipliers of Fractions."""
    sign = 1 if program.sense == "max" else -1
    y = sign * multipliers
    reduced = sign * program.objective
    np.subtract.at(reduced, rows.index, rows.value * y[rows.owner()])
    total: Fraction | float = sign * Fraction(program.offset)
    for multiplier, lower, upper in zip(y, rows.lower, rows.upper, strict=True):
        if multiplier:
            side = upper if multiplier > 0 else lower
            if math.isinf(side):
                return sign * math.inf
            total += multiplier * side
    for cost, lower, upper in zip(reduced, program.lower, program.upper, strict=True):
        if cost:
            total += cost * (upper if cost > 0 else lower)
    return sign * total


@dataclass(frozen=True)
class Vertex:
    """A basis solved in rationals.

    Attributes
    ----------
    program : LinearProgram
    rows : Rows
        The listed ones.
    x : object array of Fraction, shape (columns,)
    activity : object array of Fraction, shape (rows,)
        Of the listed rows.
    multipliers : object array of Fraction, shape (rows,)
    reduced : object array of Fraction, shape (columns,)
        Objective less multipliers times rows.
    """

    program: LinearProgram
    rows: Rows
    x: NumberArray
    activity: NumberArray
    multipliers: NumberArray
    reduced: NumberArray

    @cached_property
    def infeasible(self) -> Fraction:
        """The largest violation of a box or listed row; 0 at an optimum."""
        program, rows = self.program, self.rows
        wrong = program.lower - self.x, self.x - program.upper, rows.lower - self.activity, self.activity - rows.upper
        worst: Fraction = max(itertools.chain([Fraction(0)], *wrong))
        return worst

    @cached_property
    def unpriced(self) -> Fraction:
        """The largest violation of the sign of a multiplier or reduced cost; 0 at an optimum."""
        program, rows = self.program, self.rows
        # at its lower bound a column or row may not want to go up, at its upper bound not down
        sign = 1 if program.sense == "max" else -1
        wants_up = sign * np.concatenate([self.reduced, self.multipliers])
        at_lower = np.concatenate([self.x <= program.lower, self.activity <= rows.lower])
        at_upper = np.concatenate([self.x >= program.upper, self.activity >= rows.upper])
        worst: Fraction = max(itertools.chain([Fraction(0)], wants_up[~at_upper], -wants_up[~at_lower]))
        return worst


def vertex(program: LinearProgram, rows: Rows, basis: Basis, check: Callable[[], None] = lambda: None) -> Vertex:
    """Solve a basis in rationals.

    Parameters
    ----------
    program : LinearProgram
        Of Fractions.
    rows : Rows
        The listed rows, of Fractions, in the basis' order.
    basis : Basis
    check : callable, optional
        Called now and then; raises to stop.

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
    listed = rows.take(tight)
    right = np.where(basis.rows[tight] > 0, listed.upper, listed.lower) - listed.activity(x)
    matrix: list[dict[int, Fraction]] = [{} for _ in tight]
    transposed: list[dict[int, Fraction]] = [{} for _ in basic]
    for row, column, value in zip(listed.owner(), listed.index, listed.value, strict=True):
        k = place.get(int(column))
        if k is not None:
            matrix[row][k] = value
            transposed[k][int(row)] = value
    x[basic] = _solve(matrix, list(right), check)
    multipliers = np.full(len(rows), Fraction(0), dtype=object)
    multipliers[tight] = _solve(transposed, list(objective[basic]), check)

    reduced = objective.copy()
    priced = rows.take(tight)
    np.subtract.at(reduced, priced.index, priced.value * multipliers[tight][priced.owner()])
    return Vertex(program, rows, x, rows.activity(x), multipliers, reduced)


def tableau_row(rows: Rows, basis: Basis, which: int, columns: int, check: Callable[[], None] = lambda: None) -> NumberArray:
    """How a basic variable or row activity moves with each one that is not basic: a row of the simplex tableau.

    Parameters
    ----------
    rows : Rows
        Of Fractions, in the basis' order.
    basis : Basis
    which : int
        The basic variable, or `columns` plus the number of the basic row.
    columns : int
        Of the program.
    check : callable, optional
        Called now and then; raises to stop.

    Returns
    -------
    object array of Fraction, shape (columns + rows,)
        0 for what is basic.

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
    listed = rows.take(tight)
    transposed: list[dict[int, Fraction]] = [{} for _ in basic]
    for row, column, value in zip(listed.owner(), listed.index, listed.value, strict=True):
        if int(column) in place:
            transposed[place[int(column)]][int(row)] = value
    weight = _solve(transposed, right, check)
    np.subtract.at(change, listed.index, listed.value * weight[listed.owner()])
    change[columns + tight] = weight
    change[basic] = Fraction(0)
    return change


def prove(program: LinearProgram, rows: Rows, found: Vertex) -> Proof:
    """Check a vertex exactly: feasible for every row of the program and its families, its value equal to its dual bound.

    Raises
    ------
    SolverError
        If it is not optimal.
    """
    value = (program.objective * found.x).sum() + Fraction(program.offset)
    if np.any(found.x < program.lower) or np.any(found.x > program.upper) or np.any(rows.violation(found.x) > 0):
        raise SolverError("the solver's vertex is not feasible in exact arithmetic")
    for name, family in program.families.items():
        _, worst = family.separate(found.x, 0.0)
        if worst > 0:
            raise SolverError(f"the solver's vertex fails a row of {name!r} by {float(worst):.3g} in exact arithmetic")
    if exact_bound(program, rows, found.multipliers) != value:
        raise SolverError("the solver's vertex is not optimal in exact arithmetic")
    return Proof(value, found.x, found.multipliers)


def _solve(matrix: list[dict[int, Fraction]], right: list[Fraction], check: Callable[[], None] = lambda: None) -> NumberArray:
    """Solve a square sparse system of Fractions, pivoting where least fill is expected; `matrix` and `right` are used up."""
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
