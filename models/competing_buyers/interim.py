"""A mechanism as one competing buyer sees it, and what follows: quantities and the audit, computed with numpy alone."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from optmarket.lp.program import FloatArray, IntArray
from optmarket.models.competing_buyers.market import Kind, Market
from optmarket.rationals import floats
from optmarket.solution import AUDIT_TOLERANCE, Audit, weightless

BLOCK_BYTES = 2**26
UNITS = {
    **dict.fromkeys(("revenue", "surplus", "welfare", "worth-of-information", "worth-of-threat"), "payoff units"),
    "informed-share": "probability",
    "externality-cost": "payoff units",
    **dict.fromkeys(("revenue-estimate", "estimate-uncertainty"), "payoff units"),  # of whole distributions of beliefs
}


@dataclass(frozen=True)
class View:
    """What each report brings a buyer of T types and K reports, once for each of S cases: the others' types, or their mean.

    Attributes
    ----------
    probability : array, shape (S,)
    weight, value : array, shape (T,)
    belief : array, shape (T, M)
    report : array of int, shape (T,)
        The report that is meant for each type.
    cost : array, shape (T, W)
        What one rival's being right costs: state by state (W = M) by one's own belief, in all (W = 1) by that of each rival.
    experiment : array, shape (S, K, M, M)
    rivals : array, shape (S, K, W)
        How many rivals are told right.
    payment : array, shape (S, K)
    outside : array, shape (T,)
    stake : array, shape (T,)
        What is at stake for a type: its value and the harm it may suffer; of who values nothing the least of all others.
    endless : bool
        Whether there are values above the last type's, without end, that make its report.
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
    endless: bool = False

    @classmethod
    def of(
        cls, market: Market, kind: Kind, probability: FloatArray, experiment: FloatArray, rivals: FloatArray, payment: FloatArray
    ) -> View:
        """What is told and paid, together with the buyer's own values and beliefs."""
        value, belief = floats(kind.value), floats(kind.belief)
        cost = float(market.share) * value[:, None] * (belief if market.own else np.ones((len(value), 1)))
        outside = value * (belief.max(axis=1) - float(market.externality))
        stake = (1 + float(market.externality)) * np.where(value > 0, value, market.least)
        weight, report, endless = floats(kind.weight), kind.report, kind.endless
        return cls(probability, weight, value, belief, report, cost, experiment, rivals, payment, outside, stake, endless)

    @property
    def right(self) -> FloatArray:
        """The chance to be told right, by one's own belief, shape (S, T)."""
        told = np.diagonal(self.experiment, axis1=2, axis2=3)
        return np.asarray((told[:, self.report] * self.belief).sum(axis=2))

    @property
    def harm(self) -> FloatArray:
        """What the rivals' being right costs, shape (S, T)."""
        return np.asarray((self.rivals[:, self.report] * self.cost).sum(axis=2))

    @property
    def paid(self) -> FloatArray:
        """Shape (S, T)."""
        return self.payment[:, self.report]

    @property
    def gain(self) -> FloatArray:
        """What an obedient type has above opting out, shape (S, T)."""
        return np.asarray(self.value * self.right - self.harm - self.paid - self.outside)

    def mean(self, of: FloatArray) -> float:
        """Expectation over types and cases of an array of shape (S, T)."""
        return float(self.probability @ of @ self.weight)

    def deviations(self) -> dict[str, tuple[float, float]]:
        """The most that a type whose report has weight gains, in a case of positive probability, from each kind of deviation.

        Returns
        -------
        dict of (float, float)
            The largest gain in payoff units, and the largest as a share of what is at stake for the type. Where values have no
            end a gain whose share does not vanish is without bound. A type that values nothing gains nothing by disobeying: of
            it the chance that it is right is looked at, and ``disobey-without-value`` is there if another action raises that,
            the share being by how much.
        """
        made = np.bincount(self.report, self.weight)  # an end of a cell counts whatever its own weight
        found = self._largest(np.flatnonzero(made[self.report] > 0))
        if self.endless and made[-1] > 0:
            for name, (_, share) in self._at_infinity().items():
                if share > max(found[name][1], AUDIT_TOLERANCE):
                    found[name] = math.inf, share
        nothing = (self.value == 0) & (made[self.report] > 0)
        if nothing.any():
            some = float(self.stake.max())
            unit = replace(self, value=np.ones(len(self.value)), stake=np.ones(len(self.value)), endless=False)
            chance = unit._largest(np.flatnonzero(nothing))["disobey"][1]
            if chance > AUDIT_TOLERANCE:
                found["disobey-without-value"] = chance * some, chance
        return found

    def weightless(self) -> dict[str, tuple[float, float]]:
        """`deviations` of the types whose report has no weight; empty if there are none."""
        made = np.bincount(self.report, self.weight)
        types = np.flatnonzero(made[self.report] == 0)
        return self._largest(types) if len(types) else {}

    def _at_infinity(self) -> dict[str, tuple[float, float]]:
        """Gains of the last type per unit of value, if it is without end: payments do not matter then."""
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
            endless=False,
        )
        return one._largest(np.zeros(1, dtype=np.int64))

    def _largest(self, active: IntArray) -> dict[str, tuple[float, float]]:
        likely = np.flatnonzero(self.probability > 0)
        reports, states = self.payment.shape[1], self.belief.shape[1]
        found = dict.fromkeys(("misreport", "disobey", "both", "individual-rationality"), (0.0, 0.0))
        cells = max(1, BLOCK_BYTES // (8 * reports * states))
        types = min(len(active), cells)
        step = max(1, cells // types)
        for first in range(0, len(active), types):
            for start in range(0, len(likely), step):
                block = active[first : first + types]
                for name, gains in self._gains(likely[start : start + step], block).items():
                    most = gains.max(axis=tuple(axis for axis in range(gains.ndim) if axis != 1))
                    gain, share = found[name]
                    found[name] = max(gain, float(most.max())), max(share, float((most / self.stake[block]).max()))
        return found

    def _gains(self, case: IntArray, types: IntArray) -> dict[str, FloatArray]:
        """Of some types in some cases: by case, type, and report for the deviations that have one."""
        worth, own = (self.value[:, None] * self.belief)[types], self.report[types]
        experiment, here = self.experiment[case], np.arange(len(types))
        # by type, then report
        burden = np.swapaxes(self.rivals[case] @ self.cost[types].T + self.payment[case][:, :, None], 1, 2)
        obeyed = np.swapaxes(np.diagonal(experiment, axis1=2, axis2=3) @ worth.T, 1, 2) - burden
        best = -burden
        for told in range(experiment.shape[3]):
            payoff = [worth[:, [act]] * experiment[:, None, :, act, told] for act in range(experiment.shape[2])]
            best = best + functools.reduce(np.maximum, payoff)
        truth = obeyed[:, here, own]
        return {
            "misreport": obeyed - truth[:, :, None],
            "disobey": best[:, here, own] - truth,
            "both": best - truth[:, :, None],
            "individual-rationality": self.outside[types] - truth,
        }


class Judged(Protocol):
    """A mechanism of any form that the audit takes."""

    def views(self, market: Market) -> list[View]:
        """As each buyer sees it; buyers who see it alike may share one."""

    def as_json(self) -> dict[str, Any]:
        """As a mechanism file holds it."""


def quantities(market: Market, views: Sequence[View]) -> dict[str, float]:
    """Named scalars of an obeyed mechanism, in `UNITS`.

    ``revenue`` of all buyers together; ``surplus``, what they have above opting out; ``welfare``, what they earn before
    payments, each expecting by its own belief; ``informed-share``, a buyer's mean chance to be told right;
    ``externality-cost``, what buyers lose to each other. What can be charged for is ``worth-of-information``, value times the
    chance to be right beyond what one would be untold, and ``worth-of-threat``, the harm a buyer escapes by not opting out:
    revenue plus surplus is their sum. The first is negative where the threat makes buyers pay for being told wrong.
    """
    revenue = math.fsum(view.mean(view.paid) for view in views)
    harm = math.fsum(view.mean(view.harm) for view in views)
    threat = float(market.externality) * math.fsum(float(view.weight @ view.value) for view in views)
    return {
        "revenue": revenue,
        "surplus": math.fsum(view.mean(view.gain) for view in views),
        "welfare": math.fsum(view.mean(view.value * view.right) for view in views) - harm,
        "worth-of-information": math.fsum(view.mean(view.value * (view.right - view.belief.max(axis=1))) for view in views),
        "worth-of-threat": threat - harm,
        "informed-share": math.fsum(view.mean(view.right) for view in views) / len(views),
        "externality-cost": harm,
    }


def assess(market: Market, mechanism: Judged) -> Audit:
    """What a mechanism does to buyers: its `quantities`, and the largest gain of a type of positive weight from each deviation.

    ``misreport``: report another type and obey; ``disobey``: report the truth and act otherwise; ``both``;
    ``individual-rationality``: opt out and face informed rivals. Ex post at a profile of positive weight, Bayesian in expectation
    over the others' types. A gain is without bound if it grows with values that have no end. A buyer that values nothing is
    expected to act as its belief says, like one that values little: ``disobey-without-value``, see `View.deviations`. Of types
    without weight a note says what they gain; they are not judged.
    """
    views = mechanism.views(market)
    different = list({id(view): view for view in views}.values())
    each = [view.deviations() for view in different]
    names = list(dict.fromkeys(name for found in each for name in found))
    worst, relative = ({name: max(found[name][k] for found in each if name in found) for name in names} for k in (0, 1))
    idle = [gains for view in different if (gains := view.weightless())]
    notes = weightless({name: max(gains[name][0] for gains in idle) for name in idle[0]}) if idle else ()
    return Audit(quantities(market, views), worst, float(market.scale), relative, notes)
