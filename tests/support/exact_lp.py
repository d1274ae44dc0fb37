"""Linear programs solved exactly, without any of the package's code and without a solver in floats.

A bounded dual simplex method runs on a dense dictionary of decimals of many digits. What it ends with is only a basis: that basis
is then solved in Fractions, and its point and its dual values must prove each other optimal, or the run is repeated with more
digits. No value leaves here without that proof.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np

DIGITS = (120, 400, 1500)  # of the decimals, tried in turn
PATIENCE = 60  # pivots without progress before Bland's rule takes over, which cannot cycle
PIVOTS = 20_000

Number = Fraction | float  # a float only where it is infinite


class Infeasible(Exception):
    """No point satisfies all rows and bounds."""


@dataclass(frozen=True)
class Row:
    """``lower <= sum of coefficient times variable <= upper``; variables by their number."""

    terms: dict[int, Fraction]
    lower: Number = -math.inf
    upper: Number = math.inf

    def activity(self, x: Sequence[Fraction]) -> Fraction:
        """The sum at a point."""
        return sum((value * x[column] for column, value in self.terms.items()), Fraction(0))


@dataclass(frozen=True)
class Optimum:
    """An optimum with its proof: ``x`` is feasible, and the bound that ``duals`` give is ``value``.

    ``rows`` are those given and, after them, those that were added on the way, each divided by its largest coefficient; ``duals``
    holds one number for each.
    """

    value: Fraction
    x: list[Fraction]
    rows: list[Row]
    duals: list[Fraction]


def maximise(
    objective: Sequence[Fraction],
    rows: Sequence[Row],
    lower: Sequence[Number],
    upper: Sequence[Number],
    more: Callable[[list[Fraction], Fraction], list[Row]] | None = None,
) -> Optimum:
    """Maximise a linear function over boxed variables and rows, exactly.

    Parameters
    ----------
    objective, lower, upper : sequence
        One number for each variable. Where the objective wants a variable to grow (fall) its upper (lower) bound must be finite,
        and one of the two must be where it is indifferent: then the slack basis is dual feasible and there is no first phase.
    rows : sequence of Row
    more : callable, optional
        From a point and a tolerance to further rows that fail there by more than the tolerance, for programs whose rows are too
        many to list; none when all hold.

    Raises
    ------
    Infeasible
        If no point satisfies the rows, as far as decimals of hundreds of digits tell: this alone is not proved.
    """
    failed: Exception | None = None
    listed = list(rows)
    for digits in DIGITS:
        with localcontext(Context(prec=digits, Emin=-999_999_999, Emax=999_999_999)):
            table = _Dictionary(objective, listed, lower, upper, digits)
            while True:
                try:
                    table.solve()
                except Infeasible as error:
                    if isinstance(failed, Infeasible):
                        raise
                    failed = error  # perhaps for want of digits
                    break
                near = [_fraction(value) for value in table.point()]
                failing = more(near, Fraction(1, 10 ** (digits // 2))) if more else []
                if not failing:
                    try:
                        x, duals = table.exactly()
                        value = check(objective, table.rows, lower, upper, x, duals)
                    except (AssertionError, ArithmeticError) as error:
                        failed = error
                        break
                    failing = more(x, Fraction(0)) if more else []
                    if not failing:
                        return Optimum(value, x, list(table.rows), duals)
                for row in failing:
                    table.add(row)
            listed = list(table.rows)
    raise ArithmeticError(f"no basis was optimal in exact arithmetic: {failed}")


def check(
    objective: Sequence[Fraction],
    rows: Sequence[Row],
    lower: Sequence[Number],
    upper: Sequence[Number],
    x: Sequence[Fraction],
    duals: Sequence[Fraction],
) -> Fraction:
    """The optimal value, if a point and dual values prove each other optimal; an AssertionError otherwise."""
    assert all(low <= at <= high for low, at, high in zip(lower, x, upper, strict=True)), "a variable is outside its bounds"
    bound, reduced = Fraction(0), list(objective)
    for row, dual in zip(rows, duals, strict=True):
        assert row.lower <= row.activity(x) <= row.upper, "a row fails"
        if dual:
            side = row.upper if dual > 0 else row.lower
            assert not math.isinf(side), "a dual value has the wrong sign"
            bound += dual * Fraction(side)
            for column, value in row.terms.items():
                reduced[column] -= dual * value
    for cost, low, high in zip(reduced, lower, upper, strict=True):
        if cost:
            side = high if cost > 0 else low
            assert not math.isinf(side), "a reduced cost has the wrong sign"
            bound += cost * Fraction(side)
    value = sum((cost * at for cost, at in zip(objective, x, strict=True)), Fraction(0))
    assert value == bound, "the point's value is not the dual values' bound"
    return value


def _fraction(value: Decimal) -> Fraction:
    return Fraction(*value.as_integer_ratio())


def _decimal(value: Number) -> Decimal:
    return Decimal(value) if isinstance(value, float) else Decimal(value.numerator) / Decimal(value.denominator)


class _Dictionary:
    """Basic variables as linear functions of the others; variable ``n + i`` is the activity of row i."""

    def __init__(
        self, objective: Sequence[Fraction], rows: Sequence[Row], lower: Sequence[Number], upper: Sequence[Number], digits: int
    ) -> None:
        self.objective, self.columns = list(objective), len(objective)
        self.rows: list[Row] = []
        self.low: list[Number] = list(lower)
        self.high: list[Number] = list(upper)
        self.low_decimal = [_decimal(value) for value in lower]
        self.high_decimal = [_decimal(value) for value in upper]
        self.tiny = Decimal(10) ** -(digits // 2)
        self.outer = list(range(self.columns))  # what is not basic, by place
        self.inner: list[int] = []
        self.at_high = [cost > 0 or (cost == 0 and math.isinf(low)) for cost, low in zip(objective, lower, strict=True)]
        for high, low, up in zip(self.at_high, lower, upper, strict=True):
            if math.isinf(up if high else low):
                raise ValueError("the objective is not bounded by the variables' own bounds")
        self.cost = np.array([_decimal(cost) for cost in objective], dtype=object)
        self.table = np.empty((0, self.columns), dtype=object)
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """A row more; its activity is basic."""
        size = max(map(abs, row.terms.values()), default=Fraction(1)) or Fraction(1)  # rows are measured by their largest term
        terms = {column: value / size for column, value in row.terms.items()}
        row = Row(terms, *(side if math.isinf(side) else side / size for side in (row.lower, row.upper)))
        line = np.full(self.columns, Decimal(0), dtype=object)
        place = {variable: k for k, variable in enumerate(self.outer)}
        basic = {variable: k for k, variable in enumerate(self.inner)}
        for column, value in terms.items():
            if column in place:
                line[place[column]] += _decimal(value)
            else:
                line = line + _decimal(value) * self.table[basic[column]]
        self.table = np.vstack([self.table, line])
        self.inner.append(self.columns + len(self.rows))
        self.rows.append(row)
        self.low.append(row.lower)
        self.high.append(row.upper)
        self.low_decimal.append(_decimal(row.lower))
        self.high_decimal.append(_decimal(row.upper))

    def _rest(self) -> Any:
        sides = [
            (self.high_decimal if high else self.low_decimal)[variable]
            for variable, high in zip(self.outer, self.at_high, strict=True)
        ]
        return np.array(sides, dtype=object)

    def point(self) -> list[Decimal]:
        """The structural variables' values."""
        values = dict(zip(self.outer, self._rest(), strict=True))
        values.update(zip(self.inner, self.table @ self._rest(), strict=True))
        return [values[column] for column in range(self.columns)]

    def solve(self) -> None:
        """Pivot until the point is feasible to within the decimals."""
        best, since = None, 0
        for _ in range(PIVOTS):
            if not self.inner:
                return
            rest = self._rest()
            value = self.table @ rest
            below = np.array([self.low_decimal[v] for v in self.inner], dtype=object) - value
            above = value - np.array([self.high_decimal[v] for v in self.inner], dtype=object)
            excess = np.maximum(below, above)
            failing = np.flatnonzero(excess > self.tiny)
            if not len(failing):
                return
            bound = (self.cost * rest).sum()
            best, since = (bound, 0) if best is None or bound < best - self.tiny else (best, since + 1)
            bland = since > PATIENCE
            row = min(failing, key=lambda k: self.inner[k]) if bland else failing[excess[failing].argmax()]
            self._pivot(int(row), bool(below[row] > above[row]))
        raise ArithmeticError(f"no end after {PIVOTS} pivots")

    def _pivot(self, row: int, rises: bool) -> None:
        """The basic variable of a row leaves for its nearer bound; the first to lose its reduced cost's sign enters."""
        line = self.table[row]
        chosen, ratio = -1, None
        for k, entry in enumerate(line):
            if abs(entry) <= self.tiny or self.low[self.outer[k]] == self.high[self.outer[k]]:
                continue
            if ((entry > 0) == rises) == self.at_high[k]:  # it cannot move the way that helps
                continue
            steep = abs(self.cost[k]) / abs(entry)
            if ratio is None or steep < ratio - self.tiny or (steep <= ratio + self.tiny and self.outer[k] < self.outer[chosen]):
                chosen, ratio = k, steep if ratio is None else min(ratio, steep)
        if chosen < 0:
            raise Infeasible(f"row or bound of variable {self.inner[row]} cannot hold")
        pivot = line[chosen]
        new = -line / pivot
        new[chosen] = 1 / pivot
        used = np.flatnonzero(new)
        column = self.table[:, chosen].copy()
        self.table[:, chosen] = Decimal(0)
        for other in np.flatnonzero(column):
            if other != row:
                changed = self.table[other, used] + column[other] * new[used]
                changed[abs(changed) <= self.tiny * self.tiny ** Decimal("0.5")] = Decimal(0)
                self.table[other, used] = changed
        self.table[row] = new
        cost = self.cost[chosen]
        self.cost[chosen] = Decimal(0)
        self.cost[used] = self.cost[used] + cost * new[used]
        self.inner[row], self.outer[chosen] = self.outer[chosen], self.inner[row]
        self.at_high[chosen] = not rises

    def exactly(self) -> tuple[list[Fraction], list[Fraction]]:
        """The basis' point and dual values, in Fractions."""
        x = [Fraction(0)] * self.columns
        tight = []
        for variable, high in zip(self.outer, self.at_high, strict=True):
            side = Fraction((self.high if high else self.low)[variable])
            if variable < self.columns:
                x[variable] = side
            else:
                tight.append((variable - self.columns, side))
        basic = sorted(variable for variable in self.inner if variable < self.columns)
        place = {variable: k for k, variable in enumerate(basic)}
        matrix = [{place[c]: v for c, v in self.rows[r].terms.items() if c in place and v} for r, _ in tight]
        right = [side - self.rows[r].activity(x) for r, side in tight]
        transposed: list[dict[int, Fraction]] = [{} for _ in basic]
        for k, line in enumerate(matrix):
            for c, v in line.items():
                transposed[c][k] = v
        for variable, at in zip(basic, eliminate(matrix, right), strict=True):
            x[variable] = at
        duals = [Fraction(0)] * len(self.rows)
        for (r, _), dual in zip(tight, eliminate(transposed, [self.objective[c] for c in basic]), strict=True):
            duals[r] = dual
        return x, duals


def eliminate(matrix: list[dict[int, Fraction]], right: list[Fraction]) -> list[Fraction]:
    """Solve a square sparse system by elimination, each time in the shortest row and in its rarest column."""
    left = [(dict(line), value) for line, value in zip(matrix, right, strict=True)]
    order: list[tuple[int, dict[int, Fraction], Fraction]] = []
    while left:
        left.sort(key=lambda pair: len(pair[0]))
        line, value = left.pop(0)
        if not line:
            raise ArithmeticError("the basis is singular")
        times = {c: sum(c in other for other, _ in left) for c in line}
        column = min(line, key=lambda c: (times[c], c))
        pivot = line.pop(column)
        line, value = {c: v / pivot for c, v in line.items()}, value / pivot
        order.append((column, line, value))
        for k, (other, side) in enumerate(left):
            factor = other.pop(column, None)
            if factor is not None:
                for c, v in line.items():
                    entry = other.get(c, Fraction(0)) - factor * v
                    if entry:
                        other[c] = entry
                    else:
                        del other[c]
                left[k] = (other, side - factor * value)
    solution: dict[int, Fraction] = {}
    for column, line, value in reversed(order):
        solution[column] = value - sum((v * solution[c] for c, v in line.items()), Fraction(0))
    return [solution[c] for c in range(len(matrix))]
