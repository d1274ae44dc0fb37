"""The reduced linear program of a training-data market: an item leaves a share of each error."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from optmarket.lp.program import FloatArray, IntArray, LinearProgram, NumberArray, Rows, check_memory
from optmarket.lp.separation import worst_pairs
from optmarket.models.selling_training_data.params import HALF, Point
from optmarket.rationals import floats

NEIGHBOURS = 8
# Scaling is by powers of two, which round nothing, and only beyond these ratios: ordinary markets stay as they are written.
SMALL = -10  # exponent: of what complete data are worth to a type whose rows are scaled
RARE = -20  # exponent: of the largest worth times weight for which the objective is scaled
MOST = 30  # exponent: rows are enlarged by at most 2^30


def build(pairs: list[tuple[Fraction, Point]], *, exact: bool = False, of_costs: bool = False) -> LinearProgram:
    """The best direct mechanism among items (pi1, pi2), the shares of the two errors they leave.

    Following an item costs type r ``c_r = alpha_r pi1 + beta_r pi2 + t`` in errors and price; following the item alone, without
    own data, ``pi1/2 + t`` or ``pi2/2 + t`` whoever does it. So the most that anybody pays is at most the least that any item
    costs without own data: one variable, ``dropping``, stands between them and covers obedience and disobeying after a
    misreport in a row a type. Only misreports that are obeyed come in pairs.

    Rows and prices of types that err little are in units of what complete data are worth to the type (`stakes`). Where all
    do, it matters whether an item leaves as small a share of an error as they err at all. Then ``pi = c s + (1 - c) b`` with
    ``0 <= b <= s <= 1``, c twice the largest stakes, and ``c s/2`` stands for ``pi/2`` in the rows without own data. That is the
    same program: s may be ``min(1, pi/c)``, and nobody pays more than ``c/2``.

    Parameters
    ----------
    pairs : list of (weight, (alpha, beta))
        Types of positive weight.
    exact : bool
        Coefficients as Fractions rather than their floats.
    of_costs : bool
        Maximise the weighted sum of ``c_r`` instead of prices; then weights may be negative.

    Returns
    -------
    LinearProgram
        Multiply its value by its ``unit``; `read_point` reads its points.
    """
    types = len(pairs)
    check_memory(9 * types + types * NEIGHBOURS, 5 * types + 1, (28 + 10 * NEIGHBOURS) * types, "the program")
    weight = np.array([weight for weight, _ in pairs], dtype=object)
    error = np.array([pair for _, pair in pairs], dtype=object)
    worth = error.sum(axis=1)
    exponent = stakes(pairs)
    rare = _exponent(max(abs(weight) * worth))
    unit = Fraction(2) ** (rare if rare < RARE or exponent.any() else 0)
    own = np.array([Fraction(2) ** int(k) for k in exponent], dtype=object)
    # what a type drops its own data for costs as much whoever it is: in units of the largest stakes
    common = Fraction(2) ** int(exponent.max())
    near = 2 * common if common < Fraction(1, 4) else Fraction(1)

    def number(values: Any) -> Any:
        return values if exact else floats(values)

    one: Any = Fraction(1) if exact else 1.0
    program = LinearProgram("max", unit=float(unit))
    of_errors = (1 - near if near < 1 else 1) * weight[:, None] * error / unit if of_costs else 0 * error
    left = program.add_variables("left", (types, 2), lower=0 * one, upper=one, objective=number(of_errors))
    price = program.add_variables(
        "price", (types,), lower=0 * one, upper=number(worth / own), objective=number(weight * own / unit)
    )
    dropping = program.add_variables("dropping", (1,), lower=0 * one, upper=one)
    first = left
    errors = error
    if near < 1:
        of_errors = near * weight[:, None] * error / unit if of_costs else 0 * error
        first = program.add_variables("left at first", (types, 2), lower=0 * one, upper=one, objective=number(of_errors))
        parts = np.column_stack([first.ravel(), left.ravel()])
        program.add_rows(
            "the first part first",
            Rows.dense(
                parts, number(np.tile(np.array([Fraction(1), Fraction(-1)], dtype=object), (2 * types, 1))), 0 * one, np.inf
            ),
        )
        errors = np.column_stack([(1 - near) * error, near * error])
    cost_index = np.column_stack([left, price] if near == 1 else [left, first, price])
    cost_value = number(np.column_stack([errors / own[:, None], np.full(types, Fraction(1))]))
    program.add_rows("individual rationality", Rows.dense(cost_index, cost_value, -np.inf, number(worth / own)))
    program.add_rows(
        "following is no dearer",
        Rows.dense(
            np.column_stack([cost_index, np.broadcast_to(dropping, (types, 1))]),
            number(np.column_stack([errors / common, own / common, np.full(types, Fraction(-1))])),
            -np.inf,
            0 * one,
        ),
    )
    ignoring = np.column_stack([np.full(types, HALF * near / common), own / common, np.full(types, Fraction(-1))])
    for k in range(2):
        program.add_rows(
            f"ignoring data, {k + 1}",
            Rows.dense(
                np.column_stack([first[:, k], price, np.broadcast_to(dropping, (types, 1))]), number(ignoring), 0 * one, np.inf
            ),
        )
    if types > 1:
        program.add_family("misreport", Misreports(cost_index, cost_value, exponent, floats(error)))
    return program


def read_point(pairs: list[tuple[Fraction, Point]], program: LinearProgram, x: NumberArray) -> tuple[NumberArray, NumberArray]:
    """Shares of errors left, shape (T, 2), and prices, shape (T,), of a point of `build`."""
    exponent = stakes(pairs)
    own: NumberArray = np.array([Fraction(2) ** int(k) for k in exponent], dtype=object)
    near: Any = 2 * Fraction(2) ** int(exponent.max())
    if x.dtype != object:
        own, near = floats(own), float(near)
    left = x[program.variables["left"]]
    if "left at first" in program.variables:
        left = (1 - near) * left + near * x[program.variables["left at first"]]
    return left, x[program.variables["price"]] * own


def stakes(pairs: list[tuple[Fraction, Point]]) -> IntArray:
    """Exponents of the powers of two in which prices of types are measured: all 0 unless a type errs little."""
    found = np.array([_exponent(sum(pair, Fraction(0))) for _, pair in pairs], dtype=np.int64)
    return found if found.min(initial=0) < SMALL else 0 * found


def _exponent(value: Fraction) -> int:
    """Of a power of two that is at least a number and at most four times it; 0 for 0."""
    return value.numerator.bit_length() - value.denominator.bit_length() + 1 if value else 0


@dataclass(frozen=True)
class Misreports:
    """Type r follows its own item at no greater cost than type q's: ``c_r(item q) - c_r(item r) >= 0`` for all r != q.

    In units of r's stakes, enlarged where q's are smaller by orders of magnitude: r must feel q's price.

    Attributes
    ----------
    index : array of int, shape (T, 3) or (T, 5)
        Columns of each item: pi1 and pi2, or what they are made of, and the price.
    value : array, of the same shape
        What they cost each type: alpha, beta and 1, in its own stakes.
    exponent : array of int, shape (T,)
        `stakes`.
    place : array, shape (T, 2)
        Types that are close in it are likely to envy each other.
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
        return self._powers(np.clip(SMALL - ratio, 0, MOST)), self._powers(ratio)

    def rows(self, buyer: IntArray, item: IntArray) -> Rows:
        """The rows of pairs."""
        zero = self.value[0, 0] * 0
        index = np.column_stack([self.index[item], self.index[buyer]])
        enlarged, ratio = self._scales(buyer, item)
        other = self.value[buyer].copy()
        other[:, -1] = ratio
        value = np.column_stack([other, -self.value[buyer]]) * enlarged[:, None]
        return Rows.dense(index, value, zero, np.inf)

    def seed(self) -> Rows:
        """Each type against its nearest ones."""
        types = len(self.index)
        near = min(NEIGHBOURS, types - 1)
        _, nearest = cKDTree(self.place).query(self.place, near + 1)
        buyer, item = np.repeat(np.arange(types), near + 1), nearest.ravel()
        return self.rows(buyer[buyer != item], item[buyer != item])

    def separate(self, x: NumberArray, tolerance: float) -> tuple[Rows, Any]:
        """The worst rows of each buyer and each item that fail at x by more than the tolerance; the largest failure."""
        items = x[self.index]
        own = (self.value * items).sum(axis=1)
        types = len(own)
        every = np.arange(types)

        def failure(block: slice) -> NumberArray:
            errors = self.value[block, :-1] @ items[:, :-1].T
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

    def list_all(self, program: LinearProgram) -> None:
        """Add every row."""
        buyer, item = (side[~np.eye(len(self.index), dtype=bool)] for side in np.indices((len(self.index),) * 2))
        program.add_rows("misreport", self.rows(buyer, item))
