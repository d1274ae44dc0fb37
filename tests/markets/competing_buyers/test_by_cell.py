"""Mechanisms for a continuum of values by cells: all values are judged by the ends of the cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.competing_markets import EVEN, UNIFORM, judge, market_with


def test_a_trained_mechanism_on_cells_is_judged_for_all_values() -> None:
    whole = market_with(prior=EVEN, ic="ex-post", externality=0, buyers=[{"count": 2, "value": UNIFORM}])
    # nothing told below 1/2, the truth above, at the price 1/4
    told = np.full((2, 2, 2, 2), 0.5)
    told[1, :] = np.eye(2)
    experiments = [told.tolist(), told.swapaxes(0, 1).tolist()]
    payments = [[[0, 0], [0.25, 0.25]], [[0, 0.25], [0, 0.25]]]
    judged = judge(whole, {"cells": [[0, 0.5]], "experiments": experiments, "payments": payments})
    assert judged.quantities["revenue"] == pytest.approx(1 / 4)
    assert judged.worst <= 1e-12
    # at another cut the values between 0.4 and 1/2 are asked for more than it is worth to them
    moved = judge(whole, {"cells": [[0, 0.4]], "experiments": experiments, "payments": payments})
    assert moved.violations["individual-rationality"] == pytest.approx(0.25 - 0.4 / 2)
    assert moved.violations["misreport"] == pytest.approx(0.25 - 0.4 / 2)


@pytest.mark.parametrize("ic", ["bayesian", "ex-post"])
@pytest.mark.parametrize("distribution", [{"dist": "uniform"}, {"dist": "expon"}, {"dist": "beta", "a": 2, "b": 3}], ids=str)
def test_values_between_the_ends_of_cells_change_nothing(distribution: dict[str, Any], ic: str) -> None:
    given = market_with(prior=["3/5", "2/5"], externality="3/2", ic=ic, buyers=[{"count": 2, "value": distribution}])
    edges = np.array([0.0, 0.1, 0.25, 0.3, 0.55, 0.8])
    scores, payments = [-1.0, -0.6, -0.2, 0.1, 0.3, 0.9], [0.0, 0.02, 0.05, 0.2, 0.3, 0.6]  # not the optimum's

    def judged(cells: np.ndarray) -> Any:
        like = np.searchsorted(edges, cells, side="right") - 1
        mechanism = {"cells": [cells.tolist()], "scores": [np.array(scores)[like].tolist()]}
        if ic == "bayesian":
            mechanism |= {"thresholds": [[-0.2, 0.4]], "payments": [np.array(payments)[like].tolist()]}
        return judge(given, mechanism)

    coarse, fine = judged(edges), judged(np.union1d(edges, np.linspace(0, 0.99, 60)))
    if distribution["dist"] != "expon":  # without end there is none at which all is found
        assert fine.violations == pytest.approx(coarse.violations, abs=1e-12)
    if ic == "bayesian":
        assert coarse.worst > 0.01
        assert fine.quantities == pytest.approx(coarse.quantities, abs=1e-10)
