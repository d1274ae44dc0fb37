"""Mechanisms by scores: files that do not fit, and payments of types of one value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.competing_markets import EVEN, UNIFORM, judge, market_with

from optmarket.errors import InstanceError
from optmarket.models.competing_buyers.virtual_values.recommendations import envelope_payments, experiment

CELLS = {"cells": [[0.0, 0.5]], "scores": [[-1.0, 0.5]], "thresholds": [[-1.0, 1.0]], "payments": [[0.0, 0.1]]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cells": None}, "cells: is missing"),
        ({"cells": [[0.1, 0.5]]}, "must begin with 0.0"),
        ({"cells": [[0.0, 0.0]]}, "increasing"),
        ({"cells": [[0.0, 1.5]]}, "increasing, below 1.0"),
        ({"cells": [[0.0, 0.5], []]}, "one list for each of 1"),
        ({"scores": [[1.0, 0.5]]}, "must not fall"),
        ({"scores": [[1.0]]}, r"scores\[0\]: has 1 entries"),
        ({"thresholds": None}, "thresholds: is missing"),
        ({"thresholds": [[0.0, 1.5]]}, r"thresholds\[0\]\[1\]: is 1.5; a chance"),
        ({"payments": [[0.0, "much"]]}, r"payments\[0\]\[1\]"),
        ({"prices": []}, "prices: is not known"),
    ],
)
def test_what_is_no_mechanism_of_scores(change: dict[str, Any], words: str) -> None:
    whole = market_with(prior=EVEN, buyers=[{"count": 2, "value": UNIFORM}])
    assert judge(whole, CELLS).violations["disobey"] == pytest.approx(0, abs=1e-12)
    broken = {name: given for name, given in {**CELLS, **change}.items() if given is not None}
    with pytest.raises(InstanceError, match=words):
        judge(whole, broken)


@pytest.mark.parametrize("scores", [[1, 0, 1], [0, 1, 1]])
def test_types_of_one_value_in_any_order_pay_by_score_ex_post(scores: list[float]) -> None:
    first = {"types": [{"weight": "1/4", "value": 1}, {"weight": "1/4", "value": 1}, {"weight": "1/2", "value": 2}]}
    second = {"types": [{"weight": "999/1000", "value": 1}, {"weight": "1/1000", "value": 2}]}
    given = market_with(prior=EVEN, externality=1, ic="ex-post", buyers=[first, second])
    by_scores = {"scores": [scores, [-1, 0.5]]}
    assert judge(given, by_scores).worst <= 1e-12
    # and written out, profile by profile
    play = [np.array(each, dtype=float) for each in (scores, [-1, 0.5])]
    right = [np.where(play[1][None, :] <= play[0][:, None], 1.0, 0.5), np.where(play[0][:, None] <= play[1][None, :], 1.0, 0.5)]
    net = [right[0] - right[1] + 0.5, right[1] - right[0] + 0.5]
    order = np.lexsort((play[0], np.array([1, 1, 2])))
    paid = np.empty((3, 2))
    paid[order] = envelope_payments(np.array([1.0, 1.0, 2.0]), net[0][order])
    listed = {
        "experiments": [experiment(np.array([0.5, 0.5]), each).tolist() for each in right],
        "payments": [paid.tolist(), envelope_payments(np.array([1.0, 2.0]), net[1].T).T.tolist()],
    }
    found = judge(given, listed)
    assert found.worst <= 1e-12
    assert found.quantities == pytest.approx(judge(given, by_scores).quantities, abs=1e-12)
