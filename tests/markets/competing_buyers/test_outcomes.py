"""Quantities and audits of mechanisms for competing buyers: by hand, and of types of no value, no weight or unequal stakes."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from support.competing_markets import (
    INCENTIVES,
    finite_values,
    judge,
    market_with,
    of_values,
    profile_by_profile,
    random_market,
)
from support.paths import CASES

import optmarket as om
from optmarket.certificates import Audit
from optmarket.models import competing_buyers
from optmarket.models.competing_buyers.mechanism_tables import tables_of
from optmarket.models.competing_buyers.mechanisms.by_profile import ProfileMechanism
from optmarket.models.competing_buyers.outcomes import QUANTITIES
from optmarket.models.competing_buyers.solvers import general_lp
from optmarket.options import Options

FULL = np.eye(2)


def test_quantities_and_tables_by_hand() -> None:
    # Values 1 and 2, alpha 2, prior 1/2. All are told the state and pay 1/2, what the low type would.
    # Right with 1, beyond 1/2: worth 3/2 * 1/2 each. Harm 2 * 3/2 each; a threat escaped by nobody, as all are right.
    # Welfare 3/2 - 3 each. Gains above opting out: 0 and 1/2, on average 1/4.
    given = of_values([1, 2], 2, "ex-post")
    mechanism = {"experiments": [profile_by_profile((2, 2), FULL)] * 2, "payments": [[0.5, 0.5], [[0.5, 0.5], [0.5, 0.5]]]}
    assert judge(given, mechanism).worst == 0
    assert judge(given, mechanism).quantities == pytest.approx(
        {
            "revenue": 1,
            "surplus": 0.5,
            "welfare": -3,
            "value-of-information": 1.5,
            "threat-value": 0,
            "informed-share": 1,
            "externality-cost": 6,
        }
    )
    assert set(judge(given, mechanism).quantities) < set(QUANTITIES)
    tables = tables_of(ProfileMechanism.read(given, mechanism))
    assert tables["buyers"]["buyer"].tolist() == ["1 to 2, each"]
    assert tables["buyers"]["revenue"].tolist() == pytest.approx([0.5])
    assert tables["buyers"]["surplus"].tolist() == pytest.approx([0.25])
    assert tables["types"]["surplus"].tolist() == pytest.approx([0, 0.5])
    assert tables["types"]["externality cost"].tolist() == pytest.approx([2, 4])
    assert tables["profiles"]["probability"].tolist() == pytest.approx([0.25] * 4)
    assert tables["profiles"]["payment of 2"].tolist() == pytest.approx([0.5] * 4)


@pytest.mark.parametrize("ic", INCENTIVES)
@pytest.mark.parametrize("seed", range(3))
def test_revenue_and_surplus_are_what_information_and_threat_are_worth(seed: int, ic: str) -> None:
    given = random_market(seed, (3, 2, 2), 2, ic, "own")
    found = general_lp.solve(given, Options()).quantities
    together = found["value-of-information"] + found["threat-value"]
    assert found["revenue"] + found["surplus"] == pytest.approx(together, abs=1e-12)


def judged(name: str) -> Audit:
    return om.audit(CASES / f"{name}.toml", CASES / f"{name}.mechanism.json")


def test_a_gain_that_grows_without_bound_is_seen() -> None:
    found = judged("unbounded-tail")
    assert not found.good and math.isinf(found.violations["misreport"])
    assert found.relative["misreport"] == pytest.approx(0.1)  # 1 instead of 0.9 of each unit of value


def test_a_buyer_that_values_nothing_acts_as_it_believes() -> None:
    found = judged("value-zero")
    assert not found.good and found.relative["disobey-without-value"] == pytest.approx(1)
    solved = om.solve(CASES / "value-zero.toml")
    assert solved.exact == 1 and solved.audit.good
    # it is the limit of small values
    data = json.loads((CASES / "value-zero.mechanism.json").read_text())
    given = {"prior": ["1/2", "1/2"], "externality": 1, "ic": "ex-post"}
    types = [[{"weight": 1, "value": 1}], [{"weight": 1, "value": "1e-9"}]]
    small = market_with(**given, buyers=[{"types": each} for each in types])
    assert not judge(small, {key: data[key] for key in ("experiments", "payments")}).good
    assert competing_buyers.solve(small, Options()).quantities["revenue"] == pytest.approx(1, abs=1e-8)


def test_what_types_without_weight_gain_is_said() -> None:
    found = judged("zero-weight")
    assert found.good and "types of weight 0 are not judged" in found.notes[0]
    assert "misreport 9.5" in found.notes[0] and "individual rationality 9" in found.notes[0]


def test_a_small_type_beside_a_large_one_is_judged_by_its_own_stakes() -> None:
    types = [{"weight": "1/2", "value": 1}, {"weight": "1/2", "value": 10**9}]
    given = finite_values([{"count": 2, "types": types}], 0)
    correct = [[[[[1, 0], [0, 1]]] * 2] * 2] * 2
    # the small type pays 10 for what is worth 1/2 to it: 1e-8 of the largest stake
    found = judge(given, {"experiments": correct, "payments": [[10, 10], [10, 10]]})
    assert not found.good and found.relative["individual-rationality"] == pytest.approx(9.5)
