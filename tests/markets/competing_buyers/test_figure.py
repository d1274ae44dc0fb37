"""Figures of mechanisms for competing buyers: maps of many values, and of a single value beside a continuum."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.competing_markets import EVEN, UNIFORM, market_with

from optmarket.models import competing_buyers
from optmarket.options import Options


@pytest.mark.parametrize("method", ["reduced", "general", "virtual-values"])
def test_many_values_are_drawn_and_tabulated(method: str) -> None:
    grid = {"count": 2, "value": {"dist": "uniform"}, "grid": {"size": 150, "rule": "lower"}}  # 22,500 profiles
    given = {"prior": EVEN, "externality": "1/2", "buyers": [grid]}
    if method == "general":
        given = {"externality": "1/2", "buyers": [{"count": 2, "belief": {"dist": "uniform"}, "grid": {"size": 145}}]}
    market = market_with(**given)
    answer = competing_buyers.solve(market, Options(method="cuts" if method == "general" else method))
    assert ("scores" if method == "virtual-values" else "experiments-by-count") in answer.mechanism.to_json()
    figure = competing_buyers.plot(market, competing_buyers.read(market, answer.mechanism.to_json()), solved(answer))
    assert len(figure.axes) == 2 and all(panel.images for panel in figure.axes)
    one, other = (np.asarray(panel.images[0].get_array()) for panel in figure.axes)
    assert np.allclose(one, other.T)
    mechanism: Any = answer.mechanism
    assert list(competing_buyers.tables(market, mechanism)) == ["buyers", "types"]


def solved(answer: Any) -> Any:
    """What a figure needs to know of a solution."""
    return SimpleNamespace(title="t", objective="revenue", value=answer.quantities["revenue"], status=answer.status)


def test_a_fixed_value_beside_a_distribution_is_drawn_and_written() -> None:
    given = market_with(prior=EVEN, buyers=[{"value": 1}, {"value": UNIFORM}])
    answer = competing_buyers.solve(given)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = competing_buyers.plot(given, competing_buyers.read(given, answer.mechanism.to_json()), solved(answer))
    assert figure.axes[0].get_xlabel() == "buyer 1: value"
    assert {np.asarray(panel.images[0].get_array()).size for panel in figure.axes} == {300 * 300}
    mechanism: Any = answer.mechanism
    table = competing_buyers.tables(given, mechanism)["types"]
    assert not table.isna().to_numpy().any() and table["type"].iloc[0] == "1"
