"""What a mechanism for competing buyers brings about: its quantities, and the audit of what buyers gain by deviating."""

from __future__ import annotations

import math

from optmarket.certificates import Audit, weightless
from optmarket.modeling.registry import Quantity
from optmarket.models.competing_buyers.mechanisms.finite_mechanism import FiniteMechanism

QUANTITIES = {
    "revenue": Quantity("payoff units", "expected payments of all buyers"),
    "surplus": Quantity("payoff units", "what buyers have above opting out"),
    "welfare": Quantity("payoff units", "what buyers earn before payments, each by its own belief"),
    "value-of-information": Quantity("payoff units", "value of acting right more often than without information"),
    "threat-value": Quantity("payoff units", "externality cost that buyers escape by not opting out"),
    "informed-share": Quantity("probability", "mean chance of a correct recommendation"),
    "externality-cost": Quantity("payoff units", "what buyers lose because rivals act right"),
    "revenue-estimate": Quantity("payoff units", "optimal revenue for a continuum of beliefs, extrapolated"),
    "estimate-uncertainty": Quantity("payoff units", "by how much the last halving of cells raised revenue"),
}


def quantities(mechanism: FiniteMechanism) -> dict[str, float]:
    """Named scalars of an obeyed mechanism, in the units of `QUANTITIES`.

    What can be charged for is ``value-of-information``, value times the chance of acting right beyond that without information,
    and ``threat-value``, the externality cost that a buyer escapes by not opting out: revenue plus surplus is their sum. The
    first is negative where the threat makes buyers pay for incorrect recommendations.

    Parameters
    ----------
    mechanism : FiniteMechanism

    Returns
    -------
    dict of float
        Summed over buyers, but ``informed-share``, which is a buyer's mean.
    """
    allocations = mechanism.allocations
    cost = math.fsum(one.mean(one.externality_cost) for one in allocations)
    threat = float(mechanism.market.externality) * math.fsum(float(one.weight @ one.value) for one in allocations)
    return {
        "revenue": math.fsum(one.mean(one.paid) for one in allocations),
        "surplus": math.fsum(one.mean(one.surplus) for one in allocations),
        "welfare": math.fsum(one.mean(one.value * one.correct) for one in allocations) - cost,
        "value-of-information": math.fsum(one.mean(one.value * (one.correct - one.belief.max(axis=1))) for one in allocations),
        "threat-value": threat - cost,
        "informed-share": math.fsum(one.mean(one.correct) for one in allocations) / len(allocations),
        "externality-cost": cost,
    }


def assess(mechanism: FiniteMechanism) -> Audit:
    """What a mechanism does to buyers: its `quantities`, and the largest gain of a type of positive weight by each deviation.

    ``misreport``: report another type and obey; ``disobey``: report the truth and act otherwise; ``double-deviation``: both at
    once; ``individual-rationality``: opt out and face informed rivals. Ex post at a profile of positive weight, Bayesian in
    expectation over the others' types. A gain is infinite if it grows with values that have no upper end. A buyer that values
    nothing is expected to act as its belief says, like one that values little: ``disobey-without-value``, see
    `InterimAllocation.deviations`. Of types without weight a note says what they gain; they are not judged.

    Parameters
    ----------
    mechanism : FiniteMechanism
    """
    different = list({id(one): one for one in mechanism.allocations}.values())
    each = [one.deviations() for one in different]
    names = list(dict.fromkeys(name for found in each for name in found))
    worst, relative = ({name: max(found[name][k] for found in each if name in found) for name in names} for k in (0, 1))
    idle = [gains for one in different if (gains := one.deviations_without_weight())]
    notes = weightless({name: max(gains[name][0] for gains in idle) for name in idle[0]}) if idle else ()
    return Audit(quantities(mechanism), worst, float(mechanism.market.scale), relative, notes)
