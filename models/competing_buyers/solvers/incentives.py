"""What a buyer must not gain by misreporting and disobeying, as rows of a linear program, separated on demand or listed.

The rows of a type are measured by its own value, and the payments of a report by the values of those who make it: so a solver's
tolerance is a share of what is at stake for the type, however large the stakes of others are.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from optmarket.lp.program import FloatArray, IntArray, LinearProgram, NumberArray, Rows

NEIGHBOURS = 2
ROWS_PER_TYPE = 2
BLOCK_BYTES = 2**26


@dataclass(frozen=True)
class Side:
    """What one buyer of a kind cares about: its columns and payoffs, per unit of each type's own value.

    Its incentives are the same program once for each of S cases: ex post the tallies of the others' reports, Bayesian only one,
    their mean. T types, K reports, M states; harm comes state by state (W = M) or as one number (W = 1).

    Attributes
    ----------
    where : array, shape (T, M)
        Value times belief, in floats, in any unit: which types are near each other.
    gain : array, shape (T, M)
        Belief, and nothing for a type that values nothing.
    cost : array, shape (T, W)
        What one rival's being right costs.
    outside : array, shape (T,)
    price : array, shape (T, K)
        What a unit of each report's payment is in the type's own.
    report : array of int, shape (T,)
        What is meant for each type.
    experiment : array of int, shape (S, K, M, M)
        Columns, by state and recommended action.
    harm : array of int, shape (S, K, W)
        Columns of how many rivals are right.
    payment : array of int, shape (S, K)
    owed : array of int, shape (S, K)
        What one pays who reports as is meant: `payment`, but in a relaxation that spares it something.
    """

    where: FloatArray
    gain: NumberArray
    cost: NumberArray
    outside: NumberArray
    price: NumberArray
    report: IntArray
    experiment: IntArray
    harm: IntArray
    payment: IntArray
    owed: IntArray

    def rows(self, case: IntArray, buyer: IntArray, report: IntArray, disobedience: IntArray) -> Rows:
        """Rows of type against report: no more is gained by that report and disobedience than by truth and obedience.

        Parameters
        ----------
        case, buyer, report : array of int, shape (N,)
        disobedience : array of int, shape (N, M)
            The action taken after each recommendation.
        """
        act = np.arange(disobedience.shape[1])
        cost, own = self.cost[buyer], self.report[buyer]
        owed, paid = (self.price[buyer, made][:, None] for made in (own, report))

        def columns(told: IntArray, taken: IntArray, paid: IntArray) -> list[IntArray]:
            experiment = self.experiment[case[:, None], told[:, None], taken, act]
            return [experiment, self.harm[case, told], paid[case, told][:, None]]

        truth = columns(own, np.broadcast_to(act, disobedience.shape), self.owed)
        index = np.hstack([*truth, *columns(report, disobedience, self.payment)])
        deviating = np.take_along_axis(self.gain[buyer], disobedience, 1)
        value = np.hstack([self.gain[buyer], -cost, -owed, -deviating, cost, paid])
        return Rows.dense(index, value, 0.0, np.inf)

    def participation(self) -> Rows:
        """One row for each case and type: taking part is at least as good as facing informed rivals uninformed."""
        cases, types = len(self.payment), len(self.report)
        told = np.diagonal(self.experiment, axis1=2, axis2=3)
        index = np.concatenate([told, self.harm, self.owed[:, :, None]], axis=2)[:, self.report]
        owed = self.price[np.arange(types), self.report][:, None]
        value = np.hstack([self.gain, -self.cost, -owed])
        width = index.shape[2]
        return Rows.dense(
            index.reshape(-1, width),
            np.broadcast_to(value, (cases, types, width)).reshape(-1, width),
            np.tile(self.outside, cases),
            np.inf,
        )

    def obedience(self, belief: NumberArray) -> Rows:
        """One row for each case, type, recommendation and other action: following is at least as good.

        Parameters
        ----------
        belief : array, shape (T, M)
            Not `gain`: a type that values nothing is obedient too.
        """
        cases, states = len(self.payment), belief.shape[1]
        told, act = self.experiment[:, self.report], np.arange(states)
        parts = []
        for shift in range(1, states):
            other = (act + shift) % states
            index = np.stack([told[:, :, act, act], told[:, :, other, act]], axis=-1)
            value = np.stack([belief[:, act], -belief[:, other]], axis=-1)
            parts.append(Rows.dense(index.reshape(-1, 2), np.tile(value.reshape(-1, 2), (cases, 1)), 0.0, np.inf))
        return Rows.join(parts)


@dataclass(frozen=True)
class IncentiveRows:
    """Every type of every buyer prefers its own report, obeyed, to any other with any disobedience, in each case.

    For a type and a report the most profitable disobedience takes the best action after each recommendation, so that one
    maximum finds the most violated row. With ``disobey=False`` only obedience is considered.

    Attributes
    ----------
    sides : tuple of Side
    disobey : bool
    """

    sides: tuple[Side, ...]
    disobey: bool

    def seed(self) -> Rows:
        """Each type towards its nearest in value times belief, obeying."""
        parts = []
        for side in self.sides:
            cases, reports = side.payment.shape
            if reports == 1:
                continue
            types = len(side.report)
            near = min(NEIGHBOURS, types - 1)
            _, nearest = cKDTree(side.where).query(side.where, near + 1)
            pair = np.zeros((types, types), dtype=bool)
            pair[np.repeat(np.arange(types), near + 1), nearest.ravel()] = True
            towards = np.zeros((types, reports), dtype=bool)
            buyer, other = np.nonzero(pair | pair.T)
            towards[buyer, side.report[other]] = True
            towards[np.arange(types), side.report] = False
            buyer, report = np.nonzero(towards)
            case = np.repeat(np.arange(cases), len(buyer))
            buyer, report = np.tile(buyer, cases), np.tile(report, cases)
            parts.append(side.rows(case, buyer, report, self._obey(side, len(case))))
        return Rows.join(parts)

    @staticmethod
    def _obey(side: Side, count: int) -> IntArray:
        states = side.gain.shape[1]
        return np.broadcast_to(np.arange(states), (count, states))

    def separate(self, x: NumberArray, tolerance: float) -> tuple[Rows, Any]:
        """The worst rows of each type and each report that fail at x by more than `tolerance`; the largest failure."""
        parts: list[Rows] = []
        largest: Any = 0
        for side in self.sides:
            cases, reports = side.payment.shape
            types, states = side.gain.shape
            step = max(1, BLOCK_BYTES // (8 * types * reports * states * states))
            for start in range(0, cases, step):
                block = slice(start, start + step)
                rows, worst = self._worst(side, block, x, tolerance)
                parts.append(rows)
                largest = max(largest, worst)
        return Rows.join(parts), largest

    def _worst(self, side: Side, block: slice, x: NumberArray, tolerance: float) -> tuple[Rows, Any]:
        experiment, payment = x[side.experiment[block]], x[side.payment[block]]
        told = np.diagonal(experiment, axis1=2, axis2=3)
        harmed = x[side.harm[block]] @ side.cost.T
        if self.disobey:
            payoff = side.gain[:, None, :, None] * experiment[:, None]
            value = payoff.max(axis=3).sum(axis=3)
        else:
            value = (told @ side.gain.T).swapaxes(1, 2)
        # by how much each type envies each report
        failure = value - harmed.swapaxes(1, 2) - payment[:, None] * side.price
        here = np.arange(len(side.report))
        owed = x[side.owed[block]][:, side.report] * side.price[here, side.report]
        truth = (told[:, side.report] * side.gain).sum(axis=2) - harmed[:, side.report, here] - owed
        failure = failure - truth[:, :, None]
        failure[:, here, side.report] = 0
        largest = failure.max()
        if not largest > tolerance:
            return Rows.join([]), max(largest, 0)
        picked = np.zeros(failure.shape, dtype=bool)
        for axis, often in ((1, 1), (2, ROWS_PER_TYPE)):
            left = failure.copy()
            for _ in range(often):
                worst = np.expand_dims(left.argmax(axis=axis), axis)
                np.put_along_axis(picked, worst, True, axis)
                np.put_along_axis(left, worst, 0, axis)
        case, buyer, report = np.nonzero(picked & (failure > tolerance))
        if self.disobey:
            best = (side.gain[buyer][:, :, None] * experiment[case, report]).argmax(axis=1)
        else:
            best = self._obey(side, len(case))
        return side.rows(case + block.start, buyer, report, best), largest

    def size(self) -> tuple[int, int, int]:
        """Rows, columns and non-zeros of the full family."""
        rows = columns = nonzeros = 0
        for side in self.sides:
            cases, reports = side.payment.shape
            types, states = side.gain.shape
            pairs = cases * types * (reports - 1)
            width = 2 * (states + side.harm.shape[2] + 1)
            rows, nonzeros = rows + pairs, nonzeros + pairs * width
            if self.disobey:
                rows += pairs * states * states
                columns += pairs * states
                nonzeros += pairs * states * states * 2
        return rows, columns, nonzeros

    def list_all(self, program: LinearProgram) -> None:
        """Add the family: for each type, report and recommendation a variable at least as large as each action's payoff."""
        incentive, epigraph = [], []
        for i, side in enumerate(self.sides, start=1):
            cases, reports = side.payment.shape
            types, states = side.gain.shape
            if reports == 1:
                continue
            other = np.broadcast_to(side.report[:, None] != np.arange(reports), (cases, types, reports))
            case, buyer, report = np.nonzero(other)
            rows = side.rows(case, buyer, report, self._obey(side, len(case)))
            if not self.disobey:
                incentive.append(rows)
                continue
            pairs, exact = len(case), side.gain.dtype == object
            one: Any = Fraction(1) if exact else 1.0
            # no action is worth more than the value
            payoff = program.add_variables(f"deviation payoff {i}", (pairs, states), lower=0 * one, upper=one)
            shape = (pairs, states, states)  # action taken, recommendation
            index = np.stack([np.broadcast_to(payoff[:, None, :], shape), side.experiment[case, report]], axis=-1)
            value = np.stack([np.full(shape, one), np.broadcast_to(-side.gain[buyer][:, :, None], shape)], axis=-1)
            epigraph.append(Rows.dense(index.reshape(-1, 2), value.reshape(-1, 2), 0.0, np.inf))
            cost = side.cost[buyer]
            owed, paid = (side.price[buyer, made][:, None] for made in (side.report[buyer], report))
            act = np.arange(states)

            def columns(told: IntArray, paid: IntArray, side: Side = side, case: IntArray = case) -> list[IntArray]:
                return [side.harm[case, told], paid[case, told][:, None]]

            truth = side.report[buyer]
            own = side.experiment[case[:, None], truth[:, None], act, act]
            incentive.append(
                Rows.dense(
                    np.hstack([own, *columns(truth, side.owed), payoff, *columns(report, side.payment)]),
                    np.hstack([side.gain[buyer], -cost, -owed, np.full((pairs, states), -one), cost, paid]),
                    0.0,
                    np.inf,
                )
            )
        if epigraph:
            program.add_rows("deviation payoff", Rows.join(epigraph))
        program.add_rows("incentive", Rows.join(incentive))
