"""The incentive constraints of competing buyers as rows of a linear program, generated as they are needed or all listed.

The rows of a type are measured by its own value, and the payments of a report by the values of those who make it: so a solver's
tolerance is a share of what is at stake for the type, however large the stakes of others are.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from optmarket.arrays import FloatArray, IntArray, NumberArray
from optmarket.lp.program import LinearProgram, Rows
from optmarket.lp.separation import neighbouring_types

NEIGHBOURS = 2  # types towards which each type has an initial cut
CUTS_PER_TYPE = 2  # at most, in each round
BLOCK_BYTES = 2**26  # of arrays of cases by types by reports that are held in memory at once


@dataclass(frozen=True, eq=False)
class BuyerConstraints:
    """One buyer's constraints: its columns and payoffs, per unit of each type's own value.

    The constraints are the same once for each of S cases: ex post how many of the others make each report, Bayesian only one
    case, their mean. T types, K reports, M states; rivals are counted state by state (W = M) or as one number (W = 1).

    Attributes
    ----------
    location : array, shape (T, M)
        Value times belief, in floats, in any unit: which types are near each other.
    gain : array, shape (T, M)
        Belief, and 0 for a type that values nothing.
    cost : array, shape (T, W)
        What one rival that acts right costs.
    outside : array, shape (T,)
        What opting out brings.
    payment_unit : array, shape (T, K)
        What a unit of each report's payment is in the type's own.
    report : array of int, shape (T,)
        The report that is meant for each type.
    experiment : array of int, shape (S, K, M, M)
        Columns, by state and recommended action.
    rivals : array of int, shape (S, K, W)
        Columns of how many rivals receive a correct recommendation.
    payment : array of int, shape (S, K)
        Columns of what a report pays.
    truthful_payment : array of int, shape (S, K)
        Columns of what those types pay for whom the report is meant: `payment`, but in a relaxation that spares them something.
    """

    location: FloatArray
    gain: NumberArray
    cost: NumberArray
    outside: NumberArray
    payment_unit: NumberArray
    report: IntArray
    experiment: IntArray
    rivals: IntArray
    payment: IntArray
    truthful_payment: IntArray

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
        owed, paid = (self.payment_unit[buyer, made][:, None] for made in (own, report))

        def columns(made: IntArray, taken: IntArray, paid: IntArray) -> list[IntArray]:
            experiment = self.experiment[case[:, None], made[:, None], taken, act]
            return [experiment, self.rivals[case, made], paid[case, made][:, None]]

        truth = columns(own, np.broadcast_to(act, disobedience.shape), self.truthful_payment)
        index = np.hstack([*truth, *columns(report, disobedience, self.payment)])
        deviating = np.take_along_axis(self.gain[buyer], disobedience, 1)
        value = np.hstack([self.gain[buyer], -cost, -owed, -deviating, cost, paid])
        return Rows.dense(index, value, 0.0, np.inf)

    def participation(self) -> Rows:
        """One row for each case and type: taking part is at least as good as facing informed rivals uninformed."""
        cases, types = len(self.payment), len(self.report)
        correct = np.diagonal(self.experiment, axis1=2, axis2=3)
        index = np.concatenate([correct, self.rivals, self.truthful_payment[:, :, None]], axis=2)[:, self.report]
        owed = self.payment_unit[np.arange(types), self.report][:, None]
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
        experiment, act = self.experiment[:, self.report], np.arange(states)
        parts = []
        for shift in range(1, states):
            other = (act + shift) % states
            index = np.stack([experiment[:, :, act, act], experiment[:, :, other, act]], axis=-1)
            value = np.stack([belief[:, act], -belief[:, other]], axis=-1)
            parts.append(Rows.dense(index.reshape(-1, 2), np.tile(value.reshape(-1, 2), (cases, 1)), 0.0, np.inf))
        return Rows.join(parts)


@dataclass(frozen=True)
class IncentiveRows:
    """Every type of every buyer prefers its own report, obeyed, to any other with any disobedience, in each case.

    For a type and a report the most profitable disobedience takes the best action after each recommendation, so that one
    maximum finds the most violated row. With ``disobey=False`` only misreports that are obeyed are considered.

    Attributes
    ----------
    buyers : tuple of BuyerConstraints
        One for each group.
    disobey : bool
    """

    buyers: tuple[BuyerConstraints, ...]
    disobey: bool

    def initial_cuts(self) -> Rows:
        """The initial cuts: each type towards its nearest in value times belief, obeying."""
        parts = []
        for one in self.buyers:
            cases, reports = one.payment.shape
            if reports == 1:
                continue
            types = len(one.report)
            pair = np.zeros((types, types), dtype=bool)
            pair[neighbouring_types(one.location, NEIGHBOURS)] = True
            towards = np.zeros((types, reports), dtype=bool)
            buyer, other = np.nonzero(pair | pair.T)
            towards[buyer, one.report[other]] = True
            towards[np.arange(types), one.report] = False
            buyer, report = np.nonzero(towards)
            case = np.repeat(np.arange(cases), len(buyer))
            buyer, report = np.tile(buyer, cases), np.tile(report, cases)
            parts.append(one.rows(case, buyer, report, self._obey(one, len(case))))
        return Rows.join(parts)

    @staticmethod
    def _obey(one: BuyerConstraints, count: int) -> IntArray:
        states = one.gain.shape[1]
        return np.broadcast_to(np.arange(states), (count, states))

    def separate(self, x: NumberArray, tolerance: float) -> tuple[Rows, Any]:
        """The worst rows of each type and each report that fail at x by more than `tolerance`; the largest failure."""
        parts: list[Rows] = []
        largest: Any = 0
        for one in self.buyers:
            cases, reports = one.payment.shape
            types, states = one.gain.shape
            step = max(1, BLOCK_BYTES // (8 * types * reports * states * states))
            for start in range(0, cases, step):
                block = slice(start, start + step)
                rows, worst = self._worst(one, block, x, tolerance)
                parts.append(rows)
                largest = max(largest, worst)
        return Rows.join(parts), largest

    def _worst(self, one: BuyerConstraints, block: slice, x: NumberArray, tolerance: float) -> tuple[Rows, Any]:
        experiment, payment = x[one.experiment[block]], x[one.payment[block]]
        correct = np.diagonal(experiment, axis1=2, axis2=3)
        cost = x[one.rivals[block]] @ one.cost.T
        if self.disobey:
            payoff = one.gain[:, None, :, None] * experiment[:, None]
            value = payoff.max(axis=3).sum(axis=3)
        else:
            value = (correct @ one.gain.T).swapaxes(1, 2)
        # by how much each type would rather make each report
        failure = value - cost.swapaxes(1, 2) - payment[:, None] * one.payment_unit
        here = np.arange(len(one.report))
        owed = x[one.truthful_payment[block]][:, one.report] * one.payment_unit[here, one.report]
        truth = (correct[:, one.report] * one.gain).sum(axis=2) - cost[:, one.report, here] - owed
        failure = failure - truth[:, :, None]
        failure[:, here, one.report] = 0
        largest = failure.max()
        if not largest > tolerance:
            return Rows.join([]), max(largest, 0)
        picked = np.zeros(failure.shape, dtype=bool)
        for axis, count in ((1, 1), (2, CUTS_PER_TYPE)):
            remaining = failure.copy()
            for _ in range(count):
                worst = np.expand_dims(remaining.argmax(axis=axis), axis)
                np.put_along_axis(picked, worst, True, axis)
                np.put_along_axis(remaining, worst, 0, axis)
        case, buyer, report = np.nonzero(picked & (failure > tolerance))
        if self.disobey:
            best = (one.gain[buyer][:, :, None] * experiment[case, report]).argmax(axis=1)
        else:
            best = self._obey(one, len(case))
        return one.rows(case + block.start, buyer, report, best), largest

    def size(self) -> tuple[int, int, int]:
        """Rows, columns and non-zeros of the full family."""
        rows = columns = nonzeros = 0
        for one in self.buyers:
            cases, reports = one.payment.shape
            types, states = one.gain.shape
            pairs = cases * types * (reports - 1)
            width = 2 * (states + one.rivals.shape[2] + 1)
            rows, nonzeros = rows + pairs, nonzeros + pairs * width
            if self.disobey:
                rows += pairs * states * states
                columns += pairs * states
                nonzeros += pairs * states * states * 2
        return rows, columns, nonzeros

    def add_all(self, program: LinearProgram) -> None:
        """Add the family: for each type, report and recommendation a variable at least as large as each action's payoff."""
        incentive, epigraph = [], []
        for i, one in enumerate(self.buyers, start=1):
            cases, reports = one.payment.shape
            types, states = one.gain.shape
            if reports == 1:
                continue
            other = np.broadcast_to(one.report[:, None] != np.arange(reports), (cases, types, reports))
            case, buyer, report = np.nonzero(other)
            rows = one.rows(case, buyer, report, self._obey(one, len(case)))
            if not self.disobey:
                incentive.append(rows)
                continue
            pairs, exact = len(case), one.gain.dtype == object
            unit: Any = Fraction(1) if exact else 1.0
            # no action is worth more than the value
            payoff = program.add_variables(f"deviation payoff {i}", (pairs, states), lower=0 * unit, upper=unit)
            shape = (pairs, states, states)  # action taken, recommendation
            index = np.stack([np.broadcast_to(payoff[:, None, :], shape), one.experiment[case, report]], axis=-1)
            value = np.stack([np.full(shape, unit), np.broadcast_to(-one.gain[buyer][:, :, None], shape)], axis=-1)
            epigraph.append(Rows.dense(index.reshape(-1, 2), value.reshape(-1, 2), 0.0, np.inf))
            cost = one.cost[buyer]
            owed, paid = (one.payment_unit[buyer, made][:, None] for made in (one.report[buyer], report))
            act = np.arange(states)

            def columns(made: IntArray, paid: IntArray, one: BuyerConstraints = one, case: IntArray = case) -> list[IntArray]:
                return [one.rivals[case, made], paid[case, made][:, None]]

            truth = one.report[buyer]
            own = one.experiment[case[:, None], truth[:, None], act, act]
            incentive.append(
                Rows.dense(
                    np.hstack([own, *columns(truth, one.truthful_payment), payoff, *columns(report, one.payment)]),
                    np.hstack([one.gain[buyer], -cost, -owed, np.full((pairs, states), -unit), cost, paid]),
                    0.0,
                    np.inf,
                )
            )
        if epigraph:
            program.add_rows("deviation payoff", Rows.join(epigraph))
        program.add_rows("incentive", Rows.join(incentive))
