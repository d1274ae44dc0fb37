"""Fields of an instance file that describe no market of competing buyers."""

from __future__ import annotations

from typing import Any

import pytest
from support.competing_markets import EVEN, params_of

from optmarket.errors import InstanceError

TWO = {"count": 2, "types": [{"weight": "1/2", "value": 1}, {"weight": "1/2", "value": 2}]}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"prior": EVEN, "buyers": [TWO], "externality": -1}, "at least 0"),
        ({"prior": EVEN, "buyers": [{"value": 1}]}, "lists one buyer"),
        ({"prior": EVEN, "buyers": [{"count": 2, "value": 1, "belief": {"dist": "uniform"}}]}, "stands beside prior"),
        ({"buyers": [TWO]}, "is missing, and there is no prior"),
        ({"prior": EVEN, "buyers": [{"count": 2, "value": {"dist": "norm"}}]}, "a value is at least 0"),
        ({"prior": EVEN, "buyers": [{"count": 2, "value": 1, "grid": {"size": 3}}]}, "has a grid, and no distribution"),
        ({"prior": ["1/2", "1/3"], "buyers": [TWO]}, "sum"),
    ],
)
def test_what_is_no_market(given: dict[str, Any], words: str) -> None:
    with pytest.raises((InstanceError, ValueError), match=words):
        params_of(**given)


@pytest.mark.parametrize(
    ("formulation", "method"),
    [
        ("auto", "auto"),
        ("general", "cuts"),
        ("reduced", "reduced"),
        ("symmetric", "reduced"),
        ("virtual-values", "virtual-values"),
    ],
)
def test_a_formulation_is_refused_with_the_method_to_write(formulation: str, method: str) -> None:
    with pytest.raises(InstanceError, match=f'write method = "{method}" above') as raised:
        params_of(prior=EVEN, buyers=[TWO], formulation=formulation)
    assert raised.value.field == "params.formulation"


def test_a_symmetric_formulation_without_a_prior_was_the_general_program() -> None:
    private = {"count": 2, "types": [{"weight": 1, "belief": EVEN}]}
    with pytest.raises(InstanceError, match='write method = "cuts" above'):
        params_of(buyers=[private], formulation="symmetric")
