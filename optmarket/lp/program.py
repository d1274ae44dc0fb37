"""Define linear programs in named blocks, with families of lazy constraints that are added only when they are violated."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import numpy as np

from optmarket.arrays import FloatArray, IntArray, NumberArray
from optmarket.errors import ModelError

if TYPE_CHECKING:
    import cvxpy


@dataclass(frozen=True)
class Rows:
    """Constraints ``lower <= A x <= upper`` with the matrix A in compressed sparse row format.

    Attributes
    ----------
    start : array of int, shape (n + 1,)
        Row k has the entries ``start[k]`` to ``start[k + 1] - 1`` of `index` and `value`.
    index : array of int, shape (nonzeros,)
        The column of each entry.
    value : array, shape (nonzeros,)
        The coefficients: float64, or Fractions for an exact program. Each float must be the correctly rounded exact coefficient,
        because certified bounds allow for that rounding error only.
    lower, upper : array, shape (n,)
        Numbers as in `value`, or infinite.

    Raises
    ------
    ModelError
        If the lengths of the arrays do not match.

    Examples
    --------
    >>> rows = Rows.dense(np.array([[0, 1]]), np.array([[1.0, 2.0]]), -np.inf, 3.0)
    >>> len(rows), rows.violation(np.array([1.0, 2.0])).tolist()
    (1, [2.0])
    """

    start: IntArray
    index: IntArray
    value: NumberArray
    lower: NumberArray
    upper: NumberArray

    def __post_init__(self) -> None:
        n = len(self.start) - 1
        if n < 0 or len(self.lower) != n or len(self.upper) != n:
            raise ModelError(f"rows have {n} starts but {len(self.lower)} lower and {len(self.upper)} upper bounds; one of each")
        if len(self.index) != len(self.value) or self.start[-1] != len(self.index):
            raise ModelError(f"rows have {len(self.index)} columns, {len(self.value)} values and end at {self.start[-1]}")

    def __len__(self) -> int:
        return len(self.start) - 1

    @classmethod
    def dense(
        cls, index: IntArray, value: NumberArray, lower: NumberArray | float | Fraction, upper: NumberArray | float | Fraction
    ) -> Self:
        """Make rows with the same number of entries each; zero coefficients are left out.

        Parameters
        ----------
        index : array of int, shape (n, width)
            The columns, distinct within a row.
        value : array, shape (n, width)
            The coefficients.
        lower, upper : array of shape (n,), or one number
            The bounds; one number applies to all rows.
        """
        n = len(index)
        keep = value != 0
        start = np.zeros(n + 1, dtype=np.int64)
        np.cumsum(keep.sum(axis=1), out=start[1:])

        def bound(given: Any) -> NumberArray:
            if isinstance(given, np.ndarray):
                return given
            filled = np.full(n, given)
            return _fractions(filled) if value.dtype == object else filled

        return cls(start, index[keep], value[keep], bound(lower), bound(upper))

    @classmethod
    def join(cls, parts: Iterable[Rows]) -> Rows:
        """Concatenate several batches of rows."""
        parts = [part for part in parts if len(part)]
        if len(parts) == 1:
            return parts[0]
        if not parts:
            empty = np.zeros(0)
            return cls(np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int64), empty, empty, empty)
        ends = np.cumsum([0] + [part.start[-1] for part in parts])
        return cls(
            np.concatenate(
                [np.zeros(1, dtype=np.int64)] + [part.start[1:] + end for part, end in zip(parts, ends, strict=False)]
            ),
            np.concatenate([part.index for part in parts]),
            np.concatenate([part.value for part in parts]),
            np.concatenate([part.lower for part in parts]),
            np.concatenate([part.upper for part in parts]),
        )

    def owner(self) -> IntArray:
        """The number of the row that each entry belongs to, shape (nonzeros,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))

    def activity(self, x: NumberArray) -> NumberArray:
        """The product A x, shape (n,)."""
        total: NumberArray = np.zeros(len(self), dtype=np.result_type(self.value, x))
        owner, value, at = self.owner(), self.value, x[self.index]
        if total.dtype == object:  # products of Fractions are slow, and most of them are 0
            nonzero = (at != 0).astype(bool)
            owner, value, at = owner[nonzero], value[nonzero], at[nonzero]
        np.add.at(total, owner, value * at)
        return total

    def violation(self, x: NumberArray) -> NumberArray:
        """The violation of each row at x, at least 0, shape (n,)."""
        activity = self.activity(x)
        return np.asarray(np.maximum(np.maximum(self.lower - activity, activity - self.upper), 0))

    def take(self, rows: IntArray) -> Rows:
        """Select the rows with these numbers, in this order."""
        lengths = np.diff(self.start)[rows]
        start = np.concatenate([[0], np.cumsum(lengths)])
        at = np.repeat(self.start[:-1][rows] - start[:-1], lengths) + np.arange(start[-1])
        return Rows(start, self.index[at], self.value[at], self.lower[rows], self.upper[rows])


class RowFamily(Protocol):
    """A family of lazy constraints, which are generated when they are violated or added in full with auxiliary variables.

    Both formulations have the same optimum. Every row that the family generates must hold for every feasible point.
    """

    def initial_cuts(self) -> Rows:
        """The initial cuts, which the program has before the first solve."""

    def separate(self, x: NumberArray, tolerance: float) -> tuple[Rows, Any]:
        """Find the most violated rows at a point.

        Parameters
        ----------
        x : array, shape (columns,)
        tolerance : float
            Rows that are violated by less are left out.

        Returns
        -------
        rows : Rows
            Rows violated by more than the tolerance; none if no row of the family is.
        largest : number
            The largest violation in the family, at least 0.
        """

    def size(self) -> tuple[int, int, int]:
        """The number of rows, columns and non-zeros that `add_all` adds."""

    def add_all(self, program: LinearProgram) -> None:
        """Add the whole family to a program, with auxiliary variables where that takes fewer rows."""


class LinearProgram:
    """A linear program: maximise or minimise ``objective x + offset`` subject to bounds, rows and families of lazy constraints.

    The program is built in blocks of variables and rows. Each block has a name, by which certificates refer to it.

    Parameters
    ----------
    sense : {"max", "min"}
    offset : float
        A constant that is added to the objective.
    unit : float
        The value of one unit of the objective in the market's payoff units. Markets scale their payoffs; exported programs are
        scaled back.

    Examples
    --------
    >>> program = LinearProgram("max")
    >>> x = program.add_variables("x", (2,), upper=1.0, objective=1.0)
    >>> program.add_rows("budget", Rows.dense(x[None], np.array([[1.0, 2.0]]), -np.inf, 2.0))
    >>> program.size()
    (1, 2, 2)
    """

    def __init__(self, sense: Literal["max", "min"] = "max", offset: float = 0.0, unit: float = 1.0) -> None:
        self.sense: Literal["max", "min"] = sense
        self.offset = offset
        self.unit = unit
        self.variables: dict[str, IntArray] = {}
        self.rows: dict[str, Rows] = {}
        self.families: dict[str, RowFamily] = {}
        self._lower: list[NumberArray] = []
        self._upper: list[NumberArray] = []
        self._objective: list[NumberArray] = []
        self.columns = 0

    def add_variables(
        self,
        name: str,
        shape: Sequence[int],
        *,
        lower: NumberArray | float | Fraction = 0.0,
        upper: NumberArray | float | Fraction = np.inf,
        objective: NumberArray | float | Fraction = 0.0,
    ) -> IntArray:
        """Add a block of variables.

        Parameters
        ----------
        name : str
            The name of the block, not used before.
        shape : sequence of int
        lower, upper, objective : array of shape `shape`, or one number
            The bounds and the objective coefficients.

        Returns
        -------
        array of int, shape `shape`
            The columns of the variables.

        Raises
        ------
        ModelError
            If the name is taken, or an array has another shape.
        """
        if name in self.variables:
            raise ModelError(f"the program has variables {name!r} already; each block needs its own name")
        shape = tuple(shape)
        parts = {"lower": lower, "upper": upper, "objective": objective}
        for part, given in parts.items():
            if isinstance(given, np.ndarray) and given.shape != shape:
                raise ModelError(f"variables {name!r} have shape {shape}, their {part} has {given.shape}; make them equal")
        count = int(np.prod(shape, dtype=np.int64))
        index = np.arange(self.columns, self.columns + count, dtype=np.int64).reshape(shape)
        for store, given in zip((self._lower, self._upper, self._objective), parts.values(), strict=True):
            store.append(given.ravel() if isinstance(given, np.ndarray) else np.full(count, given))
        self.columns += count
        self.variables[name] = index
        return index

    def add_rows(self, name: str, rows: Rows) -> None:
        """Add a named block of rows.

        Parameters
        ----------
        name : str
            The name of the block, not used before.
        rows : Rows

        Raises
        ------
        ModelError
            If the name is taken, or a row refers to a column that the program does not have.
        """
        self._check_name(name)
        if len(rows.index) and not (rows.index.min() >= 0 and rows.index.max() < self.columns):
            wrong = rows.index[(rows.index < 0) | (rows.index >= self.columns)][0]
            raise ModelError(f"rows {name!r} name column {wrong}; the program has {self.columns}, counted from 0")
        self.rows[name] = rows

    def add_family(self, name: str, family: RowFamily) -> None:
        """Add a named family of lazy constraints.

        Parameters
        ----------
        name : str
            The name of the block, not used before.
        family : RowFamily

        Raises
        ------
        ModelError
            If the name is taken.
        """
        self._check_name(name)
        self.families[name] = family

    def _check_name(self, name: str) -> None:
        if name in self.rows or name in self.families:
            raise ModelError(f"the program has rows {name!r} already; each block needs its own name")

    @property
    def lower(self) -> NumberArray:
        """Lower bounds of all variables, shape (columns,)."""
        return self._joined(self._lower)

    @property
    def upper(self) -> NumberArray:
        """Upper bounds of all variables, shape (columns,)."""
        return self._joined(self._upper)

    @property
    def objective(self) -> NumberArray:
        """Objective coefficients of all variables, shape (columns,)."""
        return self._joined(self._objective)

    @staticmethod
    def _joined(parts: list[NumberArray]) -> NumberArray:
        if len(parts) > 1:
            if any(part.dtype == object for part in parts):
                parts = [part if part.dtype == object else _fractions(part) for part in parts]
            return np.concatenate(parts)
        return parts[0] if parts else np.zeros(0)

    def size(self, *, full: bool = False) -> tuple[int, int, int]:
        """Count the rows, columns and non-zeros.

        Parameters
        ----------
        full : bool
            Whether to count those of the full linear program, with all rows of every family.

        Returns
        -------
        rows, columns, nonzeros : int
        """
        own = (sum(map(len, self.rows.values())), self.columns, sum(len(rows.index) for rows in self.rows.values()))
        extra = [family.size() for family in self.families.values()] if full else []
        rows, columns, nonzeros = (sum(parts) for parts in zip(own, *extra, strict=True))
        return rows, columns, nonzeros

    def full(self) -> LinearProgram:
        """Make the full linear program, in which every family of lazy constraints is listed.

        Returns
        -------
        LinearProgram
            A program without families; the columns of this program come first.

        Raises
        ------
        ModelError
            If the full program would not fit in memory.
        """
        check_memory(*self.size(full=True), "the full linear program")
        program = LinearProgram(self.sense, self.offset, self.unit)
        program.columns, program.variables, program.rows = self.columns, dict(self.variables), dict(self.rows)
        program._lower, program._upper, program._objective = [self.lower], [self.upper], [self.objective]
        for family in self.families.values():
            family.add_all(program)
        return program

    def to_cvxpy(self) -> cvxpy.Problem:
        """Convert the full linear program to a cvxpy problem in one vector of variables.

        Returns
        -------
        cvxpy.Problem
            Its objective is in the market's payoff units.

        Raises
        ------
        ModelError
            If the full program would not fit in memory.
        """
        import cvxpy  # imported here because it is slow to import and seldom needed
        from scipy.sparse import csr_array

        program = self.full()
        rows = Rows.join(program.rows.values())
        lower, upper, row_lower, row_upper, objective, value = (
            np.asarray(given, dtype=np.float64)
            for given in (program.lower, program.upper, rows.lower, rows.upper, program.objective, rows.value)
        )
        x = cvxpy.Variable(program.columns, bounds=[lower, upper], name="x")
        activity = csr_array((value, rows.index, rows.start), shape=(len(rows), program.columns))
        equal = row_lower == row_upper
        below, above = np.isfinite(row_lower) & ~equal, np.isfinite(row_upper) & ~equal
        constraints = []
        if equal.any():
            constraints.append(activity[equal] @ x == row_lower[equal])
        if below.any():
            constraints.append(activity[below] @ x >= row_lower[below])
        if above.any():
            constraints.append(activity[above] @ x <= row_upper[above])
        goal = self.unit * (objective @ x + self.offset)
        return cvxpy.Problem(cvxpy.Maximize(goal) if self.sense == "max" else cvxpy.Minimize(goal), constraints)


def _fractions(values: FloatArray) -> NumberArray:
    """Convert finite floats to Fractions, because numpy turns a whole array into floats if it mixes the two."""
    return np.array([Fraction(v) if math.isfinite(v) else v for v in values.tolist()], dtype=object)


def memory_limit() -> int:
    """The number of bytes that a program may take: half of the machine's memory.

    Examples
    --------
    >>> memory_limit() > 0
    True
    """
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def check_memory(rows: int, columns: int, nonzeros: int, what: str) -> None:
    """Check that a program fits in memory, before it is built.

    Parameters
    ----------
    rows, columns, nonzeros : int
        The size of the program.
    what : str
        The program's name in the message.

    Raises
    ------
    ModelError
        If it does not fit; the error names its size and the limit.

    Examples
    --------
    >>> check_memory(10, 10, 100, "the program")
    """
    # The matrix here and in the solver, its factorization and the bounds take about 60 bytes for each non-zero (measured).
    need = 60 * nonzeros + 100 * (rows + columns)
    limit = memory_limit()
    if need > limit:
        gib = 2.0**30
        raise ModelError(
            f"{what} has {rows:,} rows, {columns:,} columns and {nonzeros:,} non-zeros, about {need / gib:,.1f} GiB; "
            f"the limit is {limit / gib:,.1f} GiB, half of this machine's memory"
        )
