"""Small linear programs, and a family of lazy constraints, as tests of the solver need them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from optmarket.lp.program import LinearProgram, Rows


def matrix(coefficients: Any, lower: Any, upper: Any) -> Rows:
    value = np.array(coefficients, dtype=float)
    index = np.broadcast_to(np.arange(value.shape[1]), value.shape)
    return Rows.dense(index, value, np.array(lower, dtype=float), np.array(upper, dtype=float))


@dataclass(frozen=True)
class SignRows:
    """``sum s_k x_k <= 1`` for every vector s of signs: 2^n rows, or n + n variables for the absolute values."""

    x: Any

    def initial_cuts(self) -> Rows:
        return Rows.join([])

    def separate(self, x: Any, tolerance: float) -> tuple[Rows, Any]:
        failure = float(np.abs(x[self.x]).sum() - 1)
        signs = np.where(x[self.x] >= 0, 1.0, -1.0)[None]
        found = Rows.dense(self.x[None], signs, -math.inf, 1.0) if failure > tolerance else Rows.join([])
        return found, max(0.0, failure)

    def size(self) -> tuple[int, int, int]:
        n = len(self.x)
        return 2 * n + 1, n, 5 * n

    def add_all(self, made: LinearProgram) -> None:
        n = len(self.x)
        size = made.add_variables("size", (n,), upper=10.0)
        for name, sign in (("above", 1.0), ("below", -1.0)):
            pairs = np.column_stack([self.x, size])
            made.add_rows(name, Rows.dense(pairs, np.tile([-sign, 1.0], (n, 1)), 0.0, math.inf))
        made.add_rows("total", Rows.dense(size[None], np.ones((1, n)), -math.inf, 1.0))


def diamond(n: int = 12) -> LinearProgram:
    """max c x over the unit ball of the sum of absolute values: the largest absolute c, here n."""
    made = LinearProgram("max")
    cost = np.arange(1.0, n + 1) * np.where(np.arange(n) % 2, 1, -1)
    made.add_family("signs", SignRows(made.add_variables("x", (n,), lower=-10.0, upper=10.0, objective=cost)))
    return made
