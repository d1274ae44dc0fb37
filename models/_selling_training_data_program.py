"""The reduced linear program of a training-data market: an item leaves a share of each error."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from optmarket.models._selling_training_data_market import HALF, Point
from optmarket.numbers import floats
from optmarket.program import IntArray, LinearProgram, NumberArray, Rows, check_memory
from optmarket.separation import worst_pairs

NEIGHBOURS = 8


def build(pairs: list[tuple[Fraction, Point]], *, exact: bool = False, of_costs: bool = False) -> LinearProgram:
    """The best direct mechanism among items (pi1, pi2), the shares of the two errors they leave.

    Following an item costs type r ``c_r = alpha_r pi1 + beta_r pi2 + t`` in errors and price; following the item alone, without
    own data, ``pi1/2 + t`` or ``pi2/2 + t`` whoever does it. So the most that anybody pays is at most the least that any item
    costs without own data: one variable, ``dropping``, stands between them and covers obedience and disobeying after a
    misreport in a row a type. Only misreports that are obeyed come in pairs.

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
        With variables ``left``, shape (T, 2), and ``price``, shape (T,).
    """
    types = len(pairs)
    check_memory(7 * types + types * NEIGHBOURS, 3 * types + 1, (20 + 6 * NEIGHBOURS) * types, "the program")
    weight = np.array([weight for weight, _ in pairs], dtype=object)
    error = np.array([pair for _, pair in pairs], dtype=object)
    half: Any = HALF
    if not exact:
        weight, error, half = floats(weight), floats(error), 0.5
    one: Any = 2 * half
    worth = error.sum(axis=1)
    program = LinearProgram("max")
    of_errors = weight[:, None] * error if of_costs else 0 * error
    left = program.add_variables("left", (types, 2), lower=0 * one, upper=one, objective=of_errors)
    price = program.add_variables("price", (types,), lower=0 * one, upper=worth, objective=weight)
    dropping = program.add_variables("dropping", (1,), lower=0 * one, upper=one)
    cost_index, cost_value = np.column_stack([left, price]), np.column_stack([error, np.full(types, one)])
    program.add_rows("individual rationality", Rows.dense(cost_index, cost_value, -np.inf, worth))
    program.add_rows(
        "following is no dearer",
        Rows.dense(
            np.column_stack([cost_index, np.broadcast_to(dropping, (types, 1))]),
            np.column_stack([cost_value, np.full(types, -one)]),
            -np.inf,
            0 * one,
        ),
    )
    for k in range(2):
        program.add_rows(
            f"ignoring data, {k + 1}",
            Rows.dense(
                np.column_stack([left[:, k], price, np.broadcast_to(dropping, (types, 1))]),
                np.tile(np.array([half, one, -one], dtype=error.dtype), (types, 1)),
                0 * one,
                np.inf,
            ),
        )
    if types > 1:
        program.add_family("misreport", Misreports(cost_index, cost_value))
    return program


@dataclass(frozen=True)
class Misreports:
    """Type r follows its own item at no greater cost than type q's: ``c_r(item q) - c_r(item r) >= 0`` for all r != q.

    Attributes
    ----------
    index : array of int, shape (T, 3)
        Columns of each item: pi1, pi2, price.
    value : array, shape (T, 3)
        What they cost each type: alpha, beta, 1.
    """

    index: IntArray
    value: NumberArray

    def rows(self, buyer: IntArray, item: IntArray) -> Rows:
        """The rows of pairs."""
        zero = self.value[0, 0] * 0
        index = np.column_stack([self.index[item], self.index[buyer]])
        return Rows.dense(index, np.column_stack([self.value[buyer], -self.value[buyer]]), zero, np.inf)

    def seed(self) -> Rows:
        """Each type against its nearest ones."""
        types = len(self.index)
        near = min(NEIGHBOURS, types - 1)
        _, nearest = cKDTree(floats(self.value[:, :2])).query(floats(self.value[:, :2]), near + 1)
        buyer, item = np.repeat(np.arange(types), near + 1), nearest.ravel()
        return self.rows(buyer[buyer != item], item[buyer != item])

    def separate(self, x: NumberArray, tolerance: float) -> tuple[Rows, Any]:
        """The worst rows of each buyer and each item that fail at x by more than the tolerance; the largest failure."""
        items = x[self.index].T
        own = (self.value * x[self.index]).sum(axis=1)
        types = len(own)
        buyer, item, largest = worst_pairs(
            types, lambda block: own[block, None] - self.value[block] @ items, 8 * types, tolerance
        )
        return (self.rows(buyer, item) if len(buyer) else Rows.join([])), largest

    def size(self) -> tuple[int, int, int]:
        """Rows, columns and non-zeros of the full family."""
        types = len(self.index)
        return types * (types - 1), 0, 6 * types * (types - 1)

    def list_all(self, program: LinearProgram) -> None:
        """Add every row."""
        buyer, item = (side[~np.eye(len(self.index), dtype=bool)] for side in np.indices((len(self.index),) * 2))
        program.add_rows("misreport", self.rows(buyer, item))
