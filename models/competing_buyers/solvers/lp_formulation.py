"""From a point of a linear program of competing buyers to mechanisms and to what they are certain to earn."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from optmarket.arrays import FloatArray, NumberArray
from optmarket.certificates import Optimality
from optmarket.lp.float_bound import Proof
from optmarket.lp.highs import LpResult
from optmarket.lp.program import LinearProgram
from optmarket.models.competing_buyers.market import FiniteTypes
from optmarket.models.competing_buyers.mechanisms.by_count import AnonymousMechanism
from optmarket.models.competing_buyers.mechanisms.report_counts import SymmetricGroups
from optmarket.models.competing_buyers.outcomes import assess, quantities
from optmarket.rationals import around, floats

FLOAT_ROUNDING = 2.0**-51  # of a sum or product: twice the rounding of one operation on floats

Candidates = list[tuple[AnonymousMechanism, float]]


@dataclass(frozen=True, eq=False)
class LpFormulation(ABC):
    """What the general and the reduced program share: the face that `optmarket.modeling.solve_lp` asks for.

    Attributes
    ----------
    market : FiniteTypes
    stops_at_gap : bool
        Whether the solve may stop before the program's optimum, so that points on the way are worth a look.
    """

    market: FiniteTypes
    stops_at_gap: bool = False

    @abstractmethod
    def program(self, *, exact: bool) -> LinearProgram:
        """The program, its coefficients Fractions if `exact`."""

    @abstractmethod
    def read_point(self, program: LinearProgram, x: NumberArray) -> AnonymousMechanism:
        """A point of the program as a mechanism."""

    @abstractmethod
    def value_of_slack(self, program: LinearProgram, result: LpResult) -> float:
        """What it is worth at dual values, in payoff units, to relax all rows by what is at stake for their types."""

    @property
    def ceiling(self) -> float:
        """An upper bound on revenue without a program: as if each type were informed and none of its rivals."""
        market = self.market
        total = sum(
            count * (types.weight @ (types.value * (1 + market.externality - types.belief.max(axis=1))))
            for types, count in market.groups
        )
        return around(Fraction(total))[1]

    def simple(self) -> Candidates:
        """`simple_mechanisms`, and what they are certain to earn."""
        return [(one, certified_revenue(one)) for one in simple_mechanisms(self.market)]

    def candidates(self, program: LinearProgram, x: FloatArray) -> Candidates:
        """The mechanism of a point on the way to the optimum."""
        if not self.stops_at_gap:
            return []
        mechanism = self.read_point(program, x)
        return [(mechanism, certified_revenue(mechanism))]

    def last_candidates(self, program: LinearProgram, result: LpResult, gap: float) -> Candidates:
        """The mechanism of the last point, its gains from deviations priced at dual values too."""
        if result.x is None:
            return []
        mechanism = self.read_point(program, result.x)
        return [(mechanism, certified_revenue(mechanism, self.value_of_slack(program, result)))]

    def exact_candidates(self, program: LinearProgram, proof: Proof, upper: float) -> Iterable[tuple[AnonymousMechanism, float]]:
        """The mechanism of an exact optimum, which earns the optimum when ties go to the seller."""
        return [(self.optimal(program, proof), around(proof.value * Fraction(program.unit))[0])]

    def optimal(self, program: LinearProgram, proof: Proof) -> AnonymousMechanism:
        """The mechanism of an exact optimum."""
        return self.read_point(program, proof.x)

    def quantities(self, mechanism: AnonymousMechanism, certificate: Optimality) -> dict[str, float]:
        """Those of the mechanism; where the optimum was proved exactly, revenue is within the ends of the proof."""
        found = quantities(mechanism)
        if certificate.upper <= math.nextafter(certificate.lower, math.inf):
            found["revenue"] = min(max(found["revenue"], certificate.lower), certificate.upper)
        return found


def simple_mechanisms(market: FiniteTypes) -> list[AnonymousMechanism]:
    """Two mechanisms whose incentives hold for certain, the second if types who make one report agree on what is likeliest.

    Every buyer is told the state, at a price that suits every type; and no buyer is told more than it believes, but pays for the
    others' not being told either.
    """
    groups, states = SymmetricGroups.of(market), np.eye(market.states)
    shapes = [(groups.others(g).total, types.reports) for g, types in enumerate(groups.types)]
    likeliest = [floats(types.mean_belief).argmax(axis=1) for types in groups.types]
    informed = [np.broadcast_to(states, (*shape, *states.shape)) for shape in shapes]
    silent = [
        np.broadcast_to(states[action][:, None], (*shape, *states.shape)) for action, shape in zip(likeliest, shapes, strict=True)
    ]
    found = []
    for experiments in (informed, silent):
        free = AnonymousMechanism(market, tuple(experiments), tuple(np.zeros(reports) for _, reports in shapes))
        payments = []
        for (cases, reports), types, allocation in zip(shapes, groups.types, free.allocations_by_group, strict=True):
            active = floats(types.mass)[types.report] > 0
            most = np.maximum(allocation.surplus[:, active].min(axis=1, keepdims=True), 0.0)
            payments.append(np.broadcast_to(most, (cases, reports)) if market.ex_post else np.full(reports, most[0, 0]))
        found.append(replace(free, payments=tuple(payments)))
    return found


def certified_revenue(mechanism: AnonymousMechanism, value_of_slack: float = 0.0) -> float:
    """A certified lower bound on what a mechanism earns: its revenue less what its largest gains from deviations may be worth.

    Buyers are taken not to act on gains within the audit's tolerance, 1e-7 of what is at stake for the type. Taken off are the
    largest gain, once for each buyer, or what the gains are worth at a program's dual values, whichever is more.

    Parameters
    ----------
    mechanism : AnonymousMechanism
    value_of_slack : float
        In payoff units: what it is worth, at dual values, to relax all rows by what is at stake for their types.

    Returns
    -------
    float
        In payoff units; -inf if a gain is beyond the audit's tolerance.
    """
    audit = assess(mechanism)
    if not audit.good:
        return -math.inf
    market = mechanism.market
    groups, n = SymmetricGroups.of(market), len(market.buyers)
    # one rounding for each addend of a mean over cases and reports, and for each factor of a case's chance
    roundings = max(groups.others(g).total + types.reports for g, types in enumerate(groups.types)) + 4 * n
    by_group = zip(mechanism.allocations_by_group, groups.sizes, strict=True)
    paid = math.fsum(count * one.mean(np.abs(one.paid)) for one, count in by_group)
    slack = FLOAT_ROUNDING * roundings * paid
    # gains are computed with roundings of their own, relative to what is at stake for the type
    relative = max(audit.relative.values(), default=0.0) + FLOAT_ROUNDING * roundings
    lost = max(n * audit.worst, value_of_slack * relative)
    return math.nextafter(audit.quantities["revenue"] - lost - slack, -math.inf)
