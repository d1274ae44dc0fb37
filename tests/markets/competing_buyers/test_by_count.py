"""Mechanisms by report counts: as they are judged profile by profile, and files that do not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.competing_markets import EXTERNALITY_BELIEFS, INCENTIVES, pooled, random_groups, with_groups

from optmarket.errors import InstanceError
from optmarket.models.competing_buyers.market import FiniteTypes
from optmarket.models.competing_buyers.mechanisms.by_count import AnonymousMechanism
from optmarket.models.competing_buyers.mechanisms.by_profile import ProfileMechanism
from optmarket.models.competing_buyers.mechanisms.mechanism_files import read_mechanism
from optmarket.models.competing_buyers.mechanisms.report_counts import SymmetricGroups
from optmarket.models.competing_buyers.outcomes import assess


def random_mechanism(given: FiniteTypes, seed: int) -> AnonymousMechanism:
    random, groups, states = np.random.default_rng(seed), SymmetricGroups.of(given), given.states
    experiments, payments = [], []
    for g, types in enumerate(groups.types):
        cells = (groups.others(g).total, types.reports)
        experiments.append(random.dirichlet(np.ones(states), (*cells, states)))
        payments.append(random.random(cells if given.ex_post else cells[1:]))
    return AnonymousMechanism(given, tuple(experiments), tuple(payments))


@pytest.mark.parametrize("ic", INCENTIVES)
@pytest.mark.parametrize("belief", EXTERNALITY_BELIEFS)
@pytest.mark.parametrize("counts", [((3, 2),), ((1, 2), (2, 3)), ((1, 3), (1, 2), (2, 2))])
def test_judged_by_count_or_profile_by_profile(counts: tuple[tuple[int, int], ...], belief: str, ic: str) -> None:
    given = with_groups(random_groups(3, counts, 3, common=False), ic, externality_belief=belief)
    if counts[0] == (1, 3):
        given = pooled(given, [0, 1, 1])
    mechanism = random_mechanism(given, 4)
    written = mechanism.written_out()
    assert isinstance(written, ProfileMechanism)
    by_count, by_profile = assess(mechanism), assess(written)
    assert by_count.quantities == pytest.approx(by_profile.quantities, abs=1e-12)
    assert by_count.violations == pytest.approx(by_profile.violations, abs=1e-12)
    assert assess(AnonymousMechanism.read(given, mechanism.to_json())).violations == pytest.approx(by_count.violations, abs=1e-12)


def test_payments_by_report_hold_in_every_case() -> None:
    given = with_groups(random_groups(3, ((3, 2),), 2, common=False), "ex-post")
    mechanism = random_mechanism(given, 1)
    by_report = replace(mechanism, payments=tuple(payment[0] for payment in mechanism.payments))
    by_case = replace(mechanism, payments=(np.tile(mechanism.payments[0][0], (3, 1)),))
    assert assess(by_report) == assess(by_case)


GOOD: dict[str, Any] = {
    "experiments-by-count": np.full((1, 3, 2, 2, 2), 0.5).tolist(),
    "payments-by-count": [[0, 0]],
}


def planted(value: Any, *place: int) -> list[Any]:
    experiments = np.full((1, 3, 2, 2, 2), 0.5)
    experiments[place] = value
    return list(experiments.tolist())


MISFITS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no payments": (
        {"experiments-by-count": GOOD["experiments-by-count"]},
        "payments-by-count",
        "is missing; such a mechanism has exp",
    ),
    "more": ({**GOOD, "payments": []}, "payments", "does not belong here"),
    "misspelt": ({**GOOD, "payment-by-count": []}, "payment-by-count", "did you mean 'payments-by-count'"),
    "two groups": ({**GOOD, "payments-by-count": [[0, 0]] * 2}, "payments-by-count", "lists 2; must .* each of the 1 groups"),
    "two cases": (
        {**GOOD, "experiments-by-count": [GOOD["experiments-by-count"][0][:2]]},
        "experiments-by-count[0]",
        "has 2 entries; must be a list of 3, cases of group 1",
    ),
    "one case paid": ({**GOOD, "payments-by-count": [[[0, 0]]]}, "payments-by-count[0]", "list of 3, cases of group 1"),
    "three reports": ({**GOOD, "payments-by-count": [[0, 0, 0]]}, "payments-by-count[0]", "list of 2, reports of group 1"),
    "no number": ({**GOOD, "payments-by-count": [[0, "much"]]}, "payments-by-count[0][1]", "'much'"),
    "negative": ({**GOOD, "experiments-by-count": planted([-1, 2], 0, 2, 1, 0)}, "experiments-by-count[0][2][1][0][0]", "is -1"),
    "sum": ({**GOOD, "experiments-by-count": planted(0.4, 0, 1, 0, 1, 1)}, "experiments-by-count[0][1][0][1]", "sums to 0.9"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_a_mechanism_by_count_that_does_not_fit_is_refused_with_the_place(case: str) -> None:
    mechanism, field, says = MISFITS[case]
    given = with_groups(random_groups(0, ((3, 2),), 2, common=False), "bayesian")
    assert AnonymousMechanism.read(given, GOOD).to_json() == GOOD
    with pytest.raises(InstanceError, match=says) as raised:
        AnonymousMechanism.read(given, mechanism)
    assert raised.value.field == field


def test_fields_of_older_versions_are_refused_with_their_new_names() -> None:
    given = with_groups(random_groups(0, ((3, 2),), 2, common=False), "bayesian")
    old = {f"{name}-by-tally": GOOD[f"{name}-by-count"] for name in ("experiments", "payments")}
    with pytest.raises(InstanceError, match="write experiments-by-count and payments-by-count instead of experiments-by-tally"):
        read_mechanism(given, old)
