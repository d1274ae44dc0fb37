"""The linear program of the reduced form, in which an item is the share that it leaves of each of the two errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from optmarket.arrays import FloatArray, IntArray, NumberArray
from optmarket.lp.program import LinearProgram, Rows, check_memory
from optmarket.lp.separation import neighbouring_types, worst_pairs
from optmarket.models.selling_training_data.populations import HALF, Errors
from optmarket.rationals import floats, matrix_product

NEIGHBOURS = 8  # nearest types towards which each type's incentive constraints are in the program from the start
# Scaling is by powers of two, which round nothing, and only beyond these ratios: ordinary markets stay as they are written.
SMALL_STAKES = -10  # exponent: of what complete data are worth to a type whose rows are scaled
RARE = -20  # exponent: of the largest worth times weight for which the objective is scaled
MAX_ENLARGEMENT = 30  # exponent: rows are enlarged by at most 2^30


def build(types: Sequence[tuple[Fraction, Errors]], *, exact: bool = False, of_costs: bool = False) -> LinearProgram:
    """The best direct mechanism among items (pi1, pi2), the shares of the two errors that they leave.

    Following an item costs type r ``c_r = alpha_r pi1 + beta_r pi2 + t`` in errors and price. Following the item alone, without
    own data, costs ``pi1/2 + t`` or ``pi2/2 + t``, whoever does it. So the most that any type pays is at most the least that any
    item costs without own data: one variable stands between them, and covers obedience and disobeying after a misreport in three
    rows a type. Only misreports that are obeyed come in pairs.

    Rows and prices of types that err little are in units of what complete data are worth to the type (`stakes`). Where all
    types err little, it matters whether an item leaves as small a share of an error as they err at all. Then
    ``pi = c s + (1 - c) b`` with ``0 <= b <= s <= 1`` and c twice the largest stakes, and ``c s/2`` stands for ``pi/2`` in the
    rows without own data. That is the same program: s may be ``min(1, pi/c)``, and nobody pays more than ``c/2``.

    Parameters
    ----------
    types : sequence of (weight, (alpha, beta)), length T
        Types of positive weight.
    exact : bool
        Coefficients as Fractions rather than their floats.
    of_costs : bool
        Maximise the weighted sum of the ``c_r`` instead of revenue; then weights may be negative.

    Returns
    -------
    LinearProgram
        Multiply its value by its ``unit``; `read_point` reads its points.

    Raises
    ------
    ModelError
        If it does not fit in memory.

    Examples
    --------
    >>> high, low = (Fraction(1, 5), Fraction(1, 5)), (Fraction(1, 20), Fraction(3, 20))
    >>> program = build([(HALF, high), (HALF, low)])
    >>> program.columns, sorted(program.variables)
    (7, ['cost without own data', 'price', 'share left'])
    """
    n_types = len(types)
    check_memory(9 * n_types + n_types * NEIGHBOURS, 5 * n_types + 1, (28 + 10 * NEIGHBOURS) * n_types, "the program")
    weight = np.array([weight for weight, _ in types], dtype=object)
    error = np.array([pair for _, pair in types], dtype=object)
    full_value = error.sum(axis=1)
    exponent = stakes(types)
    rare = _exponent(max(abs(weight) * full_value))
    unit = Fraction(2) ** (rare if rare < RARE or exponent.any() else 0)
    own = np.array([Fraction(2) ** int(k) for k in exponent], dtype=object)
    # the cost without own data is the same for all types: it is in units of the largest stakes
    common = Fraction(2) ** int(exponent.max())
    scale = 2 * common if common < Fraction(1, 4) else Fraction(1)

    def number(values: Any) -> Any:
        return values if exact else floats(values)

    one: Any = Fraction(1) if exact else 1.0
    program = LinearProgram("max", unit=float(unit))
    of_errors = (1 - scale if scale < 1 else 1) * weight[:, None] * error / unit if of_costs else 0 * error
    left = program.add_variables("share left", (n_types, 2), lower=0 * one, upper=one, objective=number(of_errors))
    price = program.add_variables(
        "price", (n_types,), lower=0 * one, upper=number(full_value / own), objective=number(weight * own / unit)
    )
    without = program.add_variables("cost without own data", (1,), lower=0 * one, upper=one)
    small = left
    errors = error
    if scale < 1:
        of_errors = scale * weight[:, None] * error / unit if of_costs else 0 * error
        small = program.add_variables("scaled share left", (n_types, 2), lower=0 * one, upper=one, objective=number(of_errors))
        parts = np.column_stack([small.ravel(), left.ravel()])
        signs = number(np.tile(np.array([Fraction(1), Fraction(-1)], dtype=object), (2 * n_types, 1)))
        program.add_rows("scaled share is the larger", Rows.dense(parts, signs, 0 * one, np.inf))
        errors = np.column_stack([(1 - scale) * error, scale * error])
    cost_index = np.column_stack([left, price] if scale == 1 else [left, small, price])
    cost_value = number(np.column_stack([errors / own[:, None], np.full(n_types, Fraction(1))]))
    program.add_rows("individual rationality", Rows.dense(cost_index, cost_value, -np.inf, number(full_value / own)))
    program.add_rows(
        "following costs no more",
        Rows.dense(
            np.column_stack([cost_index, np.broadcast_to(without, (n_types, 1))]),
            number(np.column_stack([errors / common, own / common, np.full(n_types, Fraction(-1))])),
            -np.inf,
            0 * one,
        ),
    )
    ignoring = np.column_stack([np.full(n_types, HALF * scale / common), own / common, np.full(n_types, Fraction(-1))])
    for k in range(2):
        program.add_rows(
            f"ignoring own data, error {k + 1}",
            Rows.dense(
                np.column_stack([small[:, k], price, np.broadcast_to(without, (n_types, 1))]), number(ignoring), 0 * one, np.inf
            ),
        )
    if n_types > 1:
        program.add_family("misreport", Misreports(cost_index, cost_value, exponent, floats(error)))
    return program


def read_point(
    types: Sequence[tuple[Fraction, Errors]], program: LinearProgram, x: NumberArray
) -> tuple[NumberArray, NumberArray]:
    """The items of a point of `build`'s program.

    Parameters
    ----------
    types : sequence of (weight, (alpha, beta)), length T
    program : LinearProgram
    x : array, shape (columns,)

    Returns
    -------
    left : array, shape (T, 2)
        Shares of the two errors that each type's item leaves.
    price : array, shape (T,)
        In payoff units.
    """
    exponent = stakes(types)
    own: NumberArray = np.array([Fraction(2) ** int(k) for k in exponent], dtype=object)
    scale: Any = 2 * Fraction(2) ** int(exponent.max())
    if x.dtype != object:
        own, scale = floats(own), float(scale)
    left = x[program.variables["share left"]]
    if "scaled share left" in program.variables:
        left = (1 - scale) * left + scale * x[program.variables["scaled share left"]]
    return left, x[program.variables["price"]] * own


def stakes(types: Sequence[tuple[Fraction, Errors]]) -> IntArray:
    """Exponents of the powers of two in which prices of types are measured, shape (T,): all 0 unless a type errs little."""
    found = np.array([_exponent(sum(pair, Fraction(0))) for _, pair in types], dtype=np.int64)
    return found if found.min(initial=0) < SMALL_STAKES else 0 * found


def _exponent(value: Fraction) -> int:
    """Of a power of two that is at least a number and at most four times it; 0 for 0."""
    return value.numerator.bit_length() - value.denominator.bit_length() + 1 if value else 0


@dataclass(frozen=True)
class Misreports:
    """Type r follows its own item at no greater cost than type q's: ``c_r(item q) - c_r(item r) >= 0`` for all r != q.

    In units of r's stakes, enlarged where q's are smaller by orders of magnitude: q's price must not vanish in r's row.

    Attributes
    ----------
    index : array of int, shape (T, 3) or (T, 5)
        Columns of each item: pi1 and pi2, or what they are made of, and the price.
    value : array, of the same shape
        What they cost each type: alpha, beta and 1, in its own stakes.
    exponent : array of int, shape (T,)
        `stakes`.
    place : array, shape (T, 2)
        Types that are close in it are likely to prefer each other's items.
    """

    index: IntArray
    value: NumberArray
    exponent: IntArray
    place: FloatArray

    def _powers(self, exponents: IntArray) -> NumberArray:
        if self.value.dtype != object:
            return np.asarray(np.ldexp(1.0, exponents))
        powers = np.array([Fraction(2) ** int(k) for k in exponents.ravel()], dtype=object)
        return powers.reshape(exponents.shape)

    def _scales(self, buyer: IntArray, item: IntArray) -> tuple[NumberArray, NumberArray]:
        """By how much the rows of pairs are enlarged, and what the item's price is in the buyer's stakes."""
        ratio = self.exponent[item] - self.exponent[buyer]
        return self._powers(np.clip(SMALL_STAKES - ratio, 0, MAX_ENLARGEMENT)), self._powers(ratio)

    def rows(self, buyer: IntArray, item: IntArray) -> Rows:
        """The rows of pairs."""
        zero = self.value[0, 0] * 0
        index = np.column_stack([self.index[item], self.index[buyer]])
        enlarged, ratio = self._scales(buyer, item)
        other = self.value[buyer].copy()
        other[:, -1] = ratio
        value = np.column_stack([other, -self.value[buyer]]) * enlarged[:, None]
        return Rows.dense(index, value, zero, np.inf)

    def initial_cuts(self) -> Rows:
        """The rows of each type towards its nearest ones, which are in the program from the start."""
        return self.rows(*neighbouring_types(self.place, NEIGHBOURS))

    def separate(self, x: NumberArray, tolerance: float) -> tuple[Rows, Any]:
        """The worst rows of each buyer and each item that fail at x by more than the tolerance; the largest failure."""
        items = x[self.index]
        own = (self.value * items).sum(axis=1)
        types = len(own)
        every = np.arange(types)

        def failure(block: slice) -> NumberArray:
            errors = matrix_product(self.value[block, :-1], items[:, :-1].T)
            if not self.exponent.any():
                return np.asarray(own[block, None] - errors - items[:, -1])
            enlarged, ratio = self._scales(every[block, None], every[None])
            return np.asarray((own[block, None] - errors - ratio * items[:, -1]) * enlarged)

        buyer, item, largest = worst_pairs(types, failure, 8 * types, tolerance)
        return (self.rows(buyer, item) if len(buyer) else Rows.join([])), largest

    def size(self) -> tuple[int, int, int]:
        """Rows, columns and non-zeros of the full family."""
        types = len(self.index)
        return types * (types - 1), 0, 2 * self.index.shape[1] * types * (types - 1)

    def add_all(self, program: LinearProgram) -> None:
        """Add every row."""
        buyer, item = (side[~np.eye(len(self.index), dtype=bool)] for side in np.indices((len(self.index),) * 2))
        program.add_rows("misreport", self.rows(buyer, item))
