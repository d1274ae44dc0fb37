"""A mechanism as one competing buyer sees it: what each report brings, and what each type gains by deviating."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import numpy as np

from optmarket.arrays import FloatArray, IntArray
from optmarket.models.competing_buyers.market import BuyerTypes, FiniteTypes
from optmarket.rationals import floats
from optmarket.tolerances import AUDIT

BLOCK_BYTES = 2**26  # of arrays of cases by types by reports that are held in memory at once


@dataclass(frozen=True, eq=False)
class InterimAllocation:
    """What each of K reports brings a buyer of T types, in each of S cases: the others' types, or one case that is their mean.

    Attributes
    ----------
    probability : array, shape (S,)
        Of each case.
    weight, value : array, shape (T,)
        Values in payoff units.
    belief : array, shape (T, M)
    report : array of int, shape (T,)
        The report that is meant for each type.
    cost : array, shape (T, W)
        What one rival that acts right costs, in payoff units: state by state (W = M) by one's own belief, in all (W = 1) by that
        of each rival.
    experiment : array, shape (S, K, M, M)
        The chance of each recommendation in each state.
    rivals : array, shape (S, K, W)
        How many rivals receive a correct recommendation.
    payment : array, shape (S, K)
    outside : array, shape (T,)
        What a type gets if it opts out.
    stake : array, shape (T,)
        What is at stake for a type: its value and the externality cost it may suffer; of types that value nothing the least stake
        of all others.
    unbounded : bool
        Whether there are values above the last type's, without an upper end, that make its report.
    """

    probability: FloatArray
    weight: FloatArray
    value: FloatArray
    belief: FloatArray
    report: IntArray
    cost: FloatArray
    experiment: FloatArray
    rivals: FloatArray
    payment: FloatArray
    outside: FloatArray
    stake: FloatArray
    unbounded: bool = False

    @classmethod
    def of(
        cls,
        market: FiniteTypes,
        types: BuyerTypes,
        probability: FloatArray,
        experiment: FloatArray,
        rivals: FloatArray,
        payment: FloatArray,
    ) -> InterimAllocation:
        """What is recommended and paid, together with the buyer's own values and beliefs."""
        value, belief = floats(types.value), floats(types.belief)
        per_rival = float(market.externality_per_rival) * value[:, None]
        cost = per_rival * (belief if market.own_belief else np.ones((len(value), 1)))
        outside = value * (belief.max(axis=1) - float(market.externality))
        stake = (1 + float(market.externality)) * np.where(value > 0, value, market.least_value)
        weight = floats(types.weight)
        return cls(
            probability,
            weight,
            value,
            belief,
            types.report,
            cost,
            experiment,
            rivals,
            payment,
            outside,
            stake,
            types.unbounded,
        )

    @property
    def correct(self) -> FloatArray:
        """The chance of a correct recommendation, by one's own belief, shape (S, T)."""
        diagonal = np.diagonal(self.experiment, axis1=2, axis2=3)
        return np.asarray((diagonal[:, self.report] * self.belief).sum(axis=2))

    @property
    def externality_cost(self) -> FloatArray:
        """What the rivals' acting right costs, in payoff units, shape (S, T)."""
        return np.asarray((self.rivals[:, self.report] * self.cost).sum(axis=2))

    @property
    def paid(self) -> FloatArray:
        """What each type pays, in payoff units, shape (S, T)."""
        return self.payment[:, self.report]

    @property
    def surplus(self) -> FloatArray:
        """What an obedient type has above opting out, in payoff units, shape (S, T)."""
        return np.asarray(self.value * self.correct - self.externality_cost - self.paid - self.outside)

    def mean(self, of: FloatArray) -> float:
        """The expectation over types and cases of an array of shape (S, T)."""
        return float(self.probability @ of @ self.weight)

    def deviations(self) -> dict[str, tuple[float, float]]:
        """The most that a type whose report has weight gains by each deviation, in a case of positive probability.

        Returns
        -------
        dict of (float, float)
            The largest gain in payoff units, and the largest as a share of what is at stake for the type. Where values are
            unbounded, a gain whose share does not vanish is infinite. A type that values nothing gains nothing by disobeying: of
            it the chance of acting right is looked at, and ``disobey-without-value`` is there if another action raises that, the
            share being by how much.
        """
        made = np.bincount(self.report, self.weight)  # an end of a cell counts whatever its own weight
        found = self._largest(np.flatnonzero(made[self.report] > 0))
        if self.unbounded and made[-1] > 0:
            for name, (_, share) in self._at_infinity().items():
                if share > max(found[name][1], AUDIT):
                    found[name] = math.inf, share
        worthless = (self.value == 0) & (made[self.report] > 0)
        if worthless.any():
            largest_stake = float(self.stake.max())
            unit = replace(self, value=np.ones(len(self.value)), stake=np.ones(len(self.value)), unbounded=False)
            chance = unit._largest(np.flatnonzero(worthless))["disobey"][1]
            if chance > AUDIT:
                found["disobey-without-value"] = chance * largest_stake, chance
        return found

    def deviations_without_weight(self) -> dict[str, tuple[float, float]]:
        """`deviations` of the types whose report has no weight; empty if there are none."""
        made = np.bincount(self.report, self.weight)
        types = np.flatnonzero(made[self.report] == 0)
        return self._largest(types) if len(types) else {}

    def _at_infinity(self) -> dict[str, tuple[float, float]]:
        """Gains of the last type per unit of value, if values have no upper end: payments do not matter then."""
        last, value = slice(-1, None), float(self.value[-1])
        one = replace(
            self,
            weight=np.ones(1),
            value=np.ones(1),
            belief=self.belief[last],
            report=self.report[last],
            cost=self.cost[last] / value,
            payment=np.zeros_like(self.payment),
            outside=self.outside[last] / value,
            stake=self.stake[last] / value,
            unbounded=False,
        )
        return one._largest(np.zeros(1, dtype=np.int64))

    def _largest(self, active: IntArray) -> dict[str, tuple[float, float]]:
        """The largest gains of some types, and the largest shares of their stakes, block by block of what fits in memory."""
        likely = np.flatnonzero(self.probability > 0)
        reports, states = self.payment.shape[1], self.belief.shape[1]
        found = dict.fromkeys(("misreport", "disobey", "double-deviation", "individual-rationality"), (0.0, 0.0))
        pairs = max(1, BLOCK_BYTES // (8 * reports * states))
        types = min(len(active), pairs)
        step = max(1, pairs // types)
        for first in range(0, len(active), types):
            for start in range(0, len(likely), step):
                block = active[first : first + types]
                for name, gains in self._gains(likely[start : start + step], block).items():
                    most = gains.max(axis=tuple(axis for axis in range(gains.ndim) if axis != 1))
                    gain, share = found[name]
                    found[name] = max(gain, float(most.max())), max(share, float((most / self.stake[block]).max()))
        return found

    def _gains(self, case: IntArray, types: IntArray) -> dict[str, FloatArray]:
        """Gains of some types in some cases: by case, type, and report for the deviations that have one."""
        worth, own = (self.value[:, None] * self.belief)[types], self.report[types]
        experiment, here = self.experiment[case], np.arange(len(types))
        # by type, then report
        burden = np.swapaxes(self.rivals[case] @ self.cost[types].T + self.payment[case][:, :, None], 1, 2)
        obeyed = np.swapaxes(np.diagonal(experiment, axis1=2, axis2=3) @ worth.T, 1, 2) - burden
        best = -burden
        for recommended in range(experiment.shape[3]):
            payoff = [worth[:, [act]] * experiment[:, None, :, act, recommended] for act in range(experiment.shape[2])]
            best = best + functools.reduce(np.maximum, payoff)
        truth = obeyed[:, here, own]
        return {
            "misreport": obeyed - truth[:, :, None],
            "disobey": best[:, here, own] - truth,
            "double-deviation": best - truth[:, :, None],
            "individual-rationality": self.outside[types] - truth,
        }
