"""Mechanism files by profile: what does not fit is refused with its place, single precision is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.competing_markets import judge, of_values, profile_by_profile

from optmarket.errors import InstanceError

FULL = np.eye(2)


GOOD: dict[str, Any] = {"experiments": [profile_by_profile((2, 2), FULL)] * 2, "payments": [[0, 0], [0, 0]]}


def planted(name: str, buyer: int, value: Any) -> dict[str, Any]:
    return {**GOOD, name: [value if i == buyer else one for i, one in enumerate(GOOD[name])]}


MISFITS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no payments": ({"experiments": GOOD["experiments"]}, "payments", "is missing"),
    "more": ({**GOOD, "prices": []}, "prices", "is not known"),
    "three buyers": ({**GOOD, "payments": [[0, 0]] * 3}, "payments", "lists 3"),
    "no list": ({**GOOD, "payments": 1}, "payments", "is 1"),
    "three types": (planted("payments", 1, [0, 0, 0]), "payments[1]", "has 3 entries; must be a list of 2, types of buyer 2"),
    "half a table": (planted("payments", 0, [[0, 0], [0]]), "payments[0][1]", "has 1 entries"),
    "no number": (planted("payments", 0, [0, "much"]), "payments[0][1]", "'much'"),
    "infinite": (planted("payments", 0, [0, float("inf")]), "payments[0][1]", "must be finite"),
    "one state": (planted("experiments", 1, profile_by_profile((2, 2), FULL)[:1]), "experiments[1]", "has 1 entries"),
    "negative": (planted("experiments", 0, profile_by_profile((2, 2), [[-1, 2], [0, 1]])), "experiments[0][0][0][0][0]", "is -1"),
    "sum": (planted("experiments", 0, profile_by_profile((2, 2), [[1, 0], [0.5, 0]])), "experiments[0][0][0][1]", "sums to 0.5"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_a_mechanism_that_does_not_fit_is_refused_with_the_place(case: str) -> None:
    mechanism, field, says = MISFITS[case]
    with pytest.raises(InstanceError, match=says) as raised:
        judge(of_values([1, 2], 1, "ex-post"), mechanism)
    assert raised.value.field == field


def test_single_precision_is_good_enough() -> None:
    thirds = np.full((2, 2, 2, 2), [[1 / 3, 2 / 3], [0, 1]], dtype=np.float32)
    mechanism = {**GOOD, "experiments": [thirds.tolist(), thirds.tolist()]}
    assert judge(of_values([1, 2], 1, "ex-post"), mechanism).quantities["informed-share"] == pytest.approx(2 / 3, abs=1e-6)
