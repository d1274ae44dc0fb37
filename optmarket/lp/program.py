"""A linear program in named blocks, some of whose rows may be too many to list and are separated on demand."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from optmarket.errors import ModelError

if TYPE_CHECKING:
    import cvxpy

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
# float64, or objects that are Fractions: an exact program has the same shape as its float image
NumberArray = NDArray[Any]


@dataclass(frozen=True)
class Rows:
    """Rows ``lower <= A x <= upper`` in compressed-row form.

    Attributes
    ----------
    start : array of int, shape (n + 1,)
    index : array of int, shape (nonzeros,)
        Columns.
    value : array, shape (nonzeros,)
        Float64, or Fractions for an exact program. A float must be its exact coefficient, correctly rounded: the
        certificate counts on it.
    lower, upper : array, shape (n,)
        As `value`, or infinite.
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
    def dense(cls, index: IntArray, value: NumberArray, lower: NumberArray | float, upper: NumberArray | float) -> Self:
        """Rows of equal width, zeros dropped.

        Parameters
        ----------
        index : array of int, shape (n, width)
            Columns, distinct within a row.
        value : array, shape (n, width)
        lower, upper : array of shape (n,), or one number
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
        """All rows of several batches, in order."""
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
        """The row of each non-zero, shape (nonzeros,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))

    def activity(self, x: NumberArray) -> NumberArray:
        """A x, shape (n,)."""
        total: NumberArray = np.zeros(len(self), dtype=np.result_type(self.value, x))
        owner, value, at = self.owner(), self.value, x[self.index]
        if total.dtype == object:  # where each product is dear, and most are 0
            live = (at != 0).astype(bool)
            owner, value, at = owner[live], value[live], at[live]
        np.add.at(total, owner, value * at)
        return total

    def violation(self, x: NumberArray) -> NumberArray:
        """By how much each row fails at x, at least 0, shape (n,)."""
        activity = self.activity(x)
        return np.asarray(np.maximum(np.maximum(self.lower - activity, activity - self.upper), 0))

    def take(self, rows: IntArray) -> Rows:
        """The rows of these numbers."""
        lengths = np.diff(self.start)[rows]
        start = np.concatenate([[0], np.cumsum(lengths)])
        at = np.repeat(self.start[:-1][rows] - start[:-1], lengths) + np.arange(start[-1])
        return Rows(start, self.index[at], self.value[at], self.lower[rows], self.upper[rows])


class RowFamily(Protocol):
    """Rows too many to list: found when they are violated, or listed in full with variables of their own.

    Both ways give the same optimum. Every row the family hands out holds for every feasible point of the program.
    """

    def seed(self) -> Rows:
        """Rows worth having before the first solve."""

    def separate(self, x: NumberArray, tolerance: float) -> tuple[Rows, Any]:
        """The most violated rows at x, those violated by more than `tolerance`, and the largest violation (at least 0)."""

    def size(self) -> tuple[int, int, int]:
        """Rows, columns and non-zeros that `list_all` adds."""

    def list_all(self, program: LinearProgram) -> None:
        """Add the whole family to a program, with auxiliary variables where that is shorter."""


class LinearProgram:
    """Maximise or minimise ``objective x + offset`` subject to boxed variables, rows, and families of rows.

    Build it block by block; blocks have names, so that a certificate can speak of them.

    Parameters
    ----------
    sense : {"max", "min"}
    offset : float
    unit : float
        What one unit of the objective is in the market's units, for programs that leave this one: markets scale their payoffs.
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
        lower: NumberArray | float = 0.0,
        upper: NumberArray | float = np.inf,
        objective: NumberArray | float = 0.0,
    ) -> IntArray:
        """Add a block of variables.

        Returns
        -------
        array of int, shape `shape`
            Their columns.

        Raises
        ------
        ModelError
            If the name is taken, or a bound or objective does not fit the shape.
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

        Raises
        ------
        ModelError
            If the name is taken or a row names a column there is not.
        """
        self._check_name(name)
        if len(rows.index) and not (rows.index.min() >= 0 and rows.index.max() < self.columns):
            wrong = rows.index[(rows.index < 0) | (rows.index >= self.columns)][0]
            raise ModelError(f"rows {name!r} name column {wrong}; the program has {self.columns}, counted from 0")
        self.rows[name] = rows

    def add_family(self, name: str, family: RowFamily) -> None:
        """Add a family of rows to be separated on demand, or listed by `listed`."""
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
        """Objective of all variables, shape (columns,)."""
        return self._joined(self._objective)

    @staticmethod
    def _joined(parts: list[NumberArray]) -> NumberArray:
        if len(parts) > 1:
            if any(part.dtype == object for part in parts):
                parts = [part if part.dtype == object else _fractions(part) for part in parts]
            return np.concatenate(parts)
        return parts[0] if parts else np.zeros(0)

    def size(self, *, listed: bool = False) -> tuple[int, int, int]:
        """Rows, columns and non-zeros; with `listed`, those of the program with its families in full."""
        own = (sum(map(len, self.rows.values())), self.columns, sum(len(rows.index) for rows in self.rows.values()))
        extra = [family.size() for family in self.families.values()] if listed else []
        rows, columns, nonzeros = (sum(parts) for parts in zip(own, *extra, strict=True))
        return rows, columns, nonzeros

    def listed(self) -> LinearProgram:
        """The same program with every family listed in full.

        Raises
        ------
        ModelError
            If it would not fit in memory.
        """
        check_memory(*self.size(listed=True), "the program with every row listed")
        program = LinearProgram(self.sense, self.offset, self.unit)
        program.columns, program.variables, program.rows = self.columns, dict(self.variables), dict(self.rows)
        program._lower, program._upper, program._objective = [self.lower], [self.upper], [self.objective]
        for family in self.families.values():
            family.list_all(program)
        return program

    def to_cvxpy(self) -> cvxpy.Problem:
        """The listed program as a cvxpy problem in one vector of variables, its objective in the market's units.

        Raises
        ------
        ModelError
            If the listed program does not fit in memory.
        """
        import cvxpy  # slow to import, and most solves do without

        program = self.listed()
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
    """The floats as Fractions, infinities left as they are: one float among Fractions would make floats of all."""
    return np.array([Fraction(v) if math.isfinite(v) else v for v in values.tolist()], dtype=object)


def memory_limit() -> int:
    """Bytes a program may take: half of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def check_memory(rows: int, columns: int, nonzeros: int, what: str) -> None:
    """Refuse a program too large for memory before it is built.

    Raises
    ------
    ModelError
        With rows, columns and the limit.
    """
    # index and value here and in the solver, its factors, and the bounds: measured at about 60 bytes a non-zero
    need = 60 * nonzeros + 100 * (rows + columns)
    limit = memory_limit()
    if need > limit:
        gib = 2.0**30
        raise ModelError(
            f"{what} has {rows:,} rows, {columns:,} columns and {nonzeros:,} non-zeros, about {need / gib:,.1f} GiB; "
            f"the limit is {limit / gib:,.1f} GiB, half of this machine's memory"
        )
