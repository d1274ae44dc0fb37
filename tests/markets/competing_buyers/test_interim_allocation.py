"""Gains from deviations, judged by hand: mechanisms for two buyers, one at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.competing_markets import INCENTIVES, finite_market, judge, profile_by_profile

FULL = np.eye(2)


SURE_AND_NOT = [{"types": [{"weight": 1, "belief": [1, 0]}]}, {"types": [{"weight": 1, "belief": ["1/2", "1/2"]}]}]


@pytest.mark.parametrize("ic", INCENTIVES)
def test_a_buyer_harmed_by_its_own_belief(ic: str) -> None:
    # claims 002-14, 002-15: buyer 1, sure of state 1, is told the state and pays 1/2; its rival is always told state 1. By
    # buyer 1's belief the rival is surely right: 1 - 1 - 1/2 = -1/2, and opting out gives 1 - 1 = 0. Buyer 2 is right with 1/2,
    # its rival surely: 1/2 - 1 = 1/2 - 1, as good as opting out.
    mechanism = {
        "experiments": [profile_by_profile((1, 1), FULL), profile_by_profile((1, 1), [[1, 0], [1, 0]])],
        "payments": [[0.5], [0.0]],
    }
    found = judge(finite_market(SURE_AND_NOT, 1, ic), mechanism)
    assert found.violations == pytest.approx({"misreport": 0, "disobey": 0, "double-deviation": 0, "individual-rationality": 0.5})
    assert not found.good
    # by the rival's belief it is right with 1/2 only, and buyer 1 pays exactly what it can
    assert judge(finite_market(SURE_AND_NOT, 1, ic, externality_belief="other"), mechanism).worst == 0


@pytest.mark.parametrize("ic", INCENTIVES)
def test_a_buyer_told_wrong(ic: str) -> None:
    # claims 002-14, 002-15: told right with 1/10 while the rival surely is: 1/10 - 1/2 = -2/5, opting out 1/2 - 1/2 = 0; acting
    # against what it is told would make it right with 9/10
    one = [{"count": 2, "types": [{"weight": 1}]}]
    mechanism = {
        "experiments": [profile_by_profile((1, 1), [[0.1, 0.9], [0.9, 0.1]]), profile_by_profile((1, 1), FULL)],
        "payments": [[0], [0]],
    }
    found = judge(finite_market(one, "1/2", ic, prior=["1/2", "1/2"]), mechanism)
    assert found.violations == pytest.approx(
        {"misreport": 0, "disobey": 0.8, "double-deviation": 0.8, "individual-rationality": 0.4}
    )


@pytest.mark.parametrize("ic", INCENTIVES)
def test_a_report_that_misleads_the_rival(ic: str) -> None:
    # claims 002-16, 002-17: the rival is always told the state buyer 1 says is likelier. By reporting the other type buyer 1
    # lowers the rival's chance to be right from 9/10 to 1/10.
    types = [{"weight": "1/2", "belief": ["9/10", "1/10"]}, {"weight": "1/2", "belief": ["1/10", "9/10"]}]
    buyers: list[dict[str, Any]] = [{"types": types}, {"types": [{"weight": 1, "belief": ["1/2", "1/2"]}]}]
    rival = [[[[1, 0], [1, 0]]], [[[0, 1], [0, 1]]]]
    mechanism = {"experiments": [profile_by_profile((2, 1), FULL), rival], "payments": [[0, 0], [0]]}
    found = judge(finite_market(buyers, 1, ic), mechanism)
    assert found.violations == pytest.approx(
        {"misreport": 0.8, "disobey": 0, "double-deviation": 0.8, "individual-rationality": 0}
    )
    assert judge(finite_market(buyers, 1, ic, externality_belief="other"), mechanism).worst == 0


THINKS = [{"weight": "1/2", "belief": ["3/4", "1/4"]}, {"weight": "1/2", "belief": ["1/4", "3/4"]}]


def test_lying_and_disobeying_together() -> None:
    # No rival matters. A buyer of belief (3/4, 1/4) is told nothing it does not know (right with 3/4) for 0; reporting (1/4, 3/4)
    # it would be told the state, with actions swapped, for 1/10. Obeying that it is never right; acting the other way always:
    # it gains 1 - 1/10 - 3/4 = 3/20 by both. The other type is never right and pays 1/10: disobeying gains it 1, opting out
    # 3/4 + 1/10 = 17/20, and so reporting the first type and acting on its own belief; obeying as that type, 1/4 + 1/10 = 7/20.
    given = finite_market([{"types": THINKS}, {"types": [{"weight": 1, "belief": ["1/2", "1/2"]}]}], 0)
    first, second = [[[1.0, 0.0], [1.0, 0.0]]], [[[0.0, 1.0], [1.0, 0.0]]]
    mechanism = {"experiments": [[first, second], profile_by_profile((2, 1), FULL)], "payments": [[0, "1/10"], [0]]}
    found = judge(given, mechanism)
    assert found.violations == pytest.approx(
        {"misreport": 0.35, "disobey": 1, "double-deviation": 1, "individual-rationality": 0.85}
    )
    # told what it thinks anyway, for nothing
    mild = {"experiments": [[first, [[[0.0, 1.0], [0.0, 1.0]]]], profile_by_profile((2, 1), FULL)], "payments": [[0, 0], [0]]}
    assert judge(given, mild).worst == 0


def test_interim_is_the_mean_of_ex_post() -> None:
    # Buyer 1 (one type, value 1, prior 1/2, no externality) is told the state if buyer 2 is of type 1 and nothing otherwise. It
    # pays 1/2 or 1/4: at the second profile 1/4 too much, on average (1/2 + 1/4)/2 - (1/2 + 0)/2 = 1/8 too much.
    buyers: list[dict[str, Any]] = [
        {"types": [{"weight": 1}]},
        {"types": [{"weight": "1/2", "value": 1}, {"weight": "1/2", "value": 2}]},
    ]
    nothing = [[1.0, 0.0], [1.0, 0.0]]
    mechanism = {
        "experiments": [[[FULL.tolist(), nothing]], profile_by_profile((1, 2), nothing)],
        "payments": [[["1/2", "1/4"]], [0, 0]],
    }
    ex_post = judge(finite_market(buyers, 0, "ex-post", prior=["1/2", "1/2"]), mechanism)
    bayesian = judge(finite_market(buyers, 0, "bayesian", prior=["1/2", "1/2"]), mechanism)
    assert ex_post.violations["individual-rationality"] == pytest.approx(1 / 4)
    assert bayesian.violations["individual-rationality"] == pytest.approx(1 / 8)
    assert ex_post.quantities == pytest.approx(bayesian.quantities)
    assert ex_post.quantities["revenue"] == pytest.approx(3 / 8)
