"""A linear program that no menu's revenue exceeds, for types with Dirichlet beliefs cut into boxes.

Average the experiments and prices of a box's types, weighted for one of its corners. To no other type are such averages worth
more than what it has, and at their corners, obeyed, they are together worth what the box's types get, which by convexity is at
least what their mean gets. So revenue is at most the value of a linear program in these averages and what the means get.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from optmarket.arrays import FloatArray, IntArray
from optmarket.lp.program import LinearProgram, Rows
from optmarket.models.selling_information.continuum.dirichlet_types import Boxes, DirichletTypes
from optmarket.models.selling_information.experiments import values

NEIGHBOURS = 9  # boxes whose items a mean is compared with to begin with, its own among them
ROWS = 3  # of each mean that are added at once


def relaxation(types: DirichletTypes, boxes: Boxes) -> LinearProgram:
    """A linear program that no menu's revenue exceeds, in payoffs divided by the scale.

    Why: say type w of a box, an average of its corners x_i with weights l_i(w), buys an experiment pi(w), whose signals recommend
    what it then does, at a price t(w) of at least 0, and gets U(w): the value of pi(w), obeyed, less t(w). A corner's columns
    average pi and t with weights l_i, its share is the mean of l_i, and:

    1. Revenue is the sum of mass times share times price.
    2. The value of obeying is linear in type and in experiment. So the mean of U over a box is the sum over its corners of
       share times what x_i gets by obeying, less the price; and U, which is convex, is at the box's mean at most that.
    3. A mean m, itself a type or not, gets at least the value of each pi(w) to it less t(w). That value is convex in the
       experiment: so the same holds of averages, however m acts after each signal.
    4. U(m) is at least the payoff without buying. It, and any price, is at most the payoff of full information, which is linear,
       so largest at a corner. Items of negative price can be dropped: their buyers turn to others.

    Of the distribution only masses and shares count: rounded, they are those of another distribution as near, whose revenue is
    as near.
    """
    payoff = types.payoff / types.scale
    cells, corners, states = boxes.corner.shape
    actions = payoff.shape[1]
    full = (boxes.corner @ payoff.max(axis=1)).max(axis=1)
    program = LinearProgram("max", unit=types.scale)
    experiment = program.add_variables("experiment", (cells, corners, states, actions), upper=1.0)
    price = program.add_variables(
        "price",
        (cells, corners),
        upper=np.repeat(full[:, None], corners, axis=1),
        objective=boxes.mass[:, None] * boxes.share,
    )
    kept = program.add_variables("payoff", (cells,), lower=(boxes.mean @ payoff).max(axis=1), upper=full)
    signals = experiment.reshape(-1, actions)
    program.add_rows("experiment sums to one", Rows.dense(signals, np.ones(signals.shape), 1.0, 1.0))
    obeyed = boxes.share[:, :, None, None] * boxes.corner[..., None] * payoff
    program.add_rows(
        "payoff of a box",
        Rows.dense(
            np.column_stack([experiment.reshape(cells, -1), price, kept]),
            np.column_stack([obeyed.reshape(cells, -1), -boxes.share, -np.ones(cells)]),
            0.0,
            np.inf,
        ),
    )
    family = IncentiveCuts(boxes.mean, payoff, experiment.reshape(-1, states, actions), price.ravel(), kept)
    program.add_family("incentive", family)
    return program


@dataclass(frozen=True)
class IncentiveCuts:
    """No item is worth more to a box's mean than what that gets, whatever it does after each signal.

    Attributes
    ----------
    mean : array, shape (C, W)
    payoff : array, shape (W, A)
    experiment, price, kept : arrays of int, shapes (M, W, A), (M,), (C,)
        Columns.
    """

    mean: FloatArray
    payoff: FloatArray
    experiment: IntArray
    price: IntArray
    kept: IntArray

    def rows(self, box: IntArray, item: IntArray, action: IntArray) -> Rows:
        """Rows of pairs, the actions after each signal in shape (n, A)."""
        n = len(box)
        gain = self.mean[box][:, :, None] * np.moveaxis(self.payoff[:, action], 0, 1)
        index = np.column_stack([self.kept[box], self.price[item], self.experiment[item].reshape(n, -1)])
        return Rows.dense(index, np.column_stack([np.ones((n, 2)), -gain.reshape(n, -1)]), 0.0, np.inf)

    def initial_cuts(self) -> Rows:
        """Each mean towards its own items and those of the nearest ones, obeyed."""
        from scipy.spatial import cKDTree

        cells, corners = len(self.mean), len(self.price) // len(self.mean)
        _, near = cKDTree(self.mean).query(self.mean, min(NEIGHBOURS, cells))
        near = near.reshape(cells, -1)
        item = (near[:, :, None] * corners + np.arange(corners)).reshape(cells, -1)
        box = np.repeat(np.arange(cells), item.shape[1])
        actions = self.payoff.shape[1]
        return self.rows(box, item.ravel(), np.broadcast_to(np.arange(actions), (len(box), actions)))

    def separate(self, x: FloatArray, tolerance: float) -> tuple[Rows, Any]:
        """The worst rows of each mean and each item that fail by more than `tolerance`; the largest failure."""
        experiment = x[self.experiment]
        excess = values(self.mean[:, :, None, None] * self.payoff[None, :, None, :], experiment) - x[self.price]
        excess -= x[self.kept][:, None]
        largest = max(0.0, float(excess.max()))
        order = np.argpartition(-excess, min(ROWS, excess.shape[1] - 1), axis=1)[:, :ROWS]
        box, item = np.repeat(np.arange(len(excess)), order.shape[1]), order.ravel()
        box = np.concatenate([box, excess.argmax(axis=0)])
        item = np.concatenate([item, np.arange(excess.shape[1])])
        box, item = np.unique(np.column_stack([box, item])[excess[box, item] > tolerance], axis=0).T
        if not len(box):
            return Rows.join([]), largest
        after = np.einsum("nw,nws,wa->nsa", self.mean[box], experiment[item], self.payoff, optimize=True)
        return self.rows(box, item, after.argmax(axis=2)), largest

    def size(self) -> tuple[int, int, int]:
        """Rows, columns and non-zeros of the full family, an action after each signal."""
        actions = self.payoff.shape[1]
        rows = len(self.kept) * len(self.price) * actions**actions
        return rows, 0, rows * (2 + len(self.payoff) * actions)

    def add_all(self, program: LinearProgram) -> None:
        """Add the family: every mean, item, and way to act."""
        actions = self.payoff.shape[1]
        ways = np.array(list(itertools.product(range(actions), repeat=actions)))
        box, item, way = np.indices((len(self.kept), len(self.price), len(ways))).reshape(3, -1)
        program.add_rows("incentive", self.rows(box, item, ways[way]))
