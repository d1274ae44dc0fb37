"""Check a saved solution for contradictions between the numbers in its file."""

from __future__ import annotations

from dataclasses import replace

from optmarket.certificates import Optimality
from optmarket.options import Status
from optmarket.solution import Solution, decide
from optmarket.tolerances import AUDIT, TARGET_GAP

UNCHECKED = (
    "neither solved nor audited again: whether mechanism and tables are the instance's, earn this and hold, and whether the "
    "bounds do, takes the instance: `optmarket audit INSTANCE FILE`, `optmarket solve INSTANCE`"
)
APART = 1e-5  # relative tolerance for numbers that a solution states twice


def held_against_itself(found: Solution) -> tuple[Solution, tuple[str, ...]]:
    """Decide the claims of a saved solution again, and look for contradictions between its numbers.

    The mechanism is not checked, because that requires the instance.

    Parameters
    ----------
    found : Solution
        A solution that was read from a file.

    Returns
    -------
    found : Solution
        The solution, with its claims decided by the numbers in the file.
    contradictions : tuple of str
        The contradictions in words; empty if there are none.
    """
    claims = tuple(decide(replace(claim, true=None, error=None, met=None), found, found.objective) for claim in found.claims)
    wrong = list(found.contradictions)
    stated = found.quantities[found.objective]
    if _apart(found, stated, found.value):
        wrong.append(f"{found.objective} is {stated:.9g} among its quantities, and {found.value:.9g} as its value")
    if found.exact is not None and _apart(found, float(found.exact), found.value):
        wrong.append(f"its exact value is {float(found.exact):.9g}, and its value {found.value:.9g}")
    for name, audited in found.audit.quantities.items():
        if name != found.objective and name in found.quantities and _apart(found, audited, found.quantities[name]):
            wrong.append(f"{name} is {found.quantities[name]:.9g}, and {audited:.9g} by its audit")
    for name, relative in found.audit.relative.items():  # the payoffs at stake for a type are at most the payoff scale
        if (violation := found.audit.violations.get(name, 0.0)) > (relative + AUDIT) * found.audit.unit:
            wrong.append(f"its audit finds a violation of {violation:.3g}, and calls it {relative:.3g} of what is at stake")
    if found.status is Status.OPTIMAL:
        wrong += _not_optimal(found)
    if found.status is Status.EQUILIBRIUM and not found.proved:
        wrong.append("it is called an equilibrium, and its certificate does not show that it is one")
    wrong += _accounts(found)
    for before, after in zip(found.claims, claims, strict=True):
        if before.true is not None and after.true is not None and _apart(found, before.true, after.true):
            wrong.append(f"{before.quantity} is {after.true:.9g}, and {before.true:.9g} in a claim about it")
        elif before.met is not None and after.met is not None and before.met is not after.met:
            words = "met" if before.met else "not met"
            wrong.append(f"the claim that {before.quantity} is {before.value} is called {words}, which its numbers deny")
        if after.kind == "proved" and after.met is False:
            relation = {"eq": "is", "lower": "is at least", "upper": "is at most"}[after.relation]
            wrong.append(f"{after.quantity} {relation} {after.value}, proved ({after.source}), and it is {after.true:.9g}")
    return replace(found, claims=claims), tuple(dict.fromkeys(wrong))


def _accounts(found: Solution) -> list[str]:
    """Quantities that exceed the first best, in markets that report it."""
    known = {**found.quantities, found.objective: found.value}
    return [
        f"{less} is {known[less]:.9g}, above {more}, {known[more]:.9g}"
        for less, more in (("revenue", "first-best"), ("welfare", "first-best"), ("full-information-revenue", "first-best"))
        if {less, more} <= known.keys() and known[less] > known[more] and _apart(found, known[less], known[more])
    ]


def _not_optimal(found: Solution) -> list[str]:
    gap = (found.run.requested or {}).get("gap")
    target = max(TARGET_GAP, float(gap) if isinstance(gap, (int, float)) else 0.0)
    wrong = []
    if not isinstance(found.certificate, Optimality):
        wrong.append("it is called optimal, and its certificate is that of an equilibrium")
    elif not found.certificate.gap <= target:
        wrong.append(f"it is called optimal, and its bounds are {found.certificate.gap:.2g} apart; {target:g} was asked for")
    if not found.audit.good:
        wrong.append("it is called optimal, and its audit finds violations above the tolerance")
    return wrong


def _apart(found: Solution, one: float, other: float) -> bool:
    return abs(one - other) > APART * max(abs(one), abs(other), min(1.0, found.audit.unit) * APART)
