"""Expected answers in an instance file, as claims, and their mistakes."""

from __future__ import annotations

from typing import Any

import pytest
from support.toy_instances import (
    NUMBER,
    error_of,
    expecting,
    params_of,
)

from optmarket.certificates import Claim
from optmarket.instances.instance import parse


def test_expect_becomes_a_claim() -> None:
    text = expecting(
        'value = " 1/8 "\nkind = "analytic"\nrelation = "lower"\ntolerance = "1/1000"\nclaim = "000-44"\nverdict = "wrong"\n'
        'says = " Revenue is an eighth. "'
    )
    (claim,) = parse(text, params_of).expect
    told: dict[str, Any] = {"claim": "000-44", "verdict": "wrong", "says": "Revenue is an eighth."}
    assert claim == Claim("revenue", "1/8", "lower", "analytic", "theorem 1", 1e-3, **told)
    assert parse(expecting('value = 3\nkind = "exact"'), params_of).expect == (Claim("revenue", "3", "eq", "exact", "theorem 1"),)


@pytest.mark.parametrize(
    ("value", "kind", "written", "tolerance"),
    [
        ("0.166", "published", "0.166", 5e-4),
        ('"0.166"', "neural", "0.166", 5e-4),
        ("0.1660", "numerical", "0.1660", 5e-5),
        ("1e-3", "published", "0.001", 5e-4),
        ('"1.5e3"', "published", "1.5e3", 50),
        ("1e-7", "published", "1e-7", 5e-8),
        ('"1/6"', "published", "1/6", None),
        ("-2", "published", "-2", None),
        ("0.166", "analytic", "0.166", None),
        ("0.166", "bound", "0.166", None),
    ],
)
def test_a_rounded_value_is_known_to_half_its_last_digit(value: str, kind: str, written: str, tolerance: float | None) -> None:
    (claim,) = parse(expecting(f'value = {value}\nkind = "{kind}"'), params_of).expect
    assert claim.value == written
    assert claim.tolerance == (tolerance and pytest.approx(tolerance, rel=1e-12))


@pytest.mark.parametrize(
    ("lines", "field", "message"),
    [
        ('value = "1/0"\nkind = "exact"', "value", f"is '1/0', a division by zero; {NUMBER}"),
        ('kind = "exact"', "value", "is missing; a number, exact if it is known exactly"),
        (
            "value = 1",
            "kind",
            "is missing; how the value is known: analytic, exact, proved, bound, numerical, published or neural",
        ),
        ('value = 1\nkind = "exact"\nrelation = "ge"', "relation", "is 'ge'; must be 'eq', 'lower' or 'upper'"),
        (
            'value = 1\nkind = "exact"\nverdict = "false"',
            "verdict",
            "is 'false'; must be 'holds', 'condition', 'wrong' or 'misprint'",
        ),
        ('value = 1\nkind = "exact"\ntolerance = 0', "tolerance", "is 0; must be above 0"),
        ('value = 1\nkind = "exact"\ntolerence = 1', "tolerence", "unknown field; did you mean 'tolerance'?"),
    ],
)
def test_bad_expectations(lines: str, field: str, message: str) -> None:
    error = error_of(expecting(lines))
    assert (error.field, error.message) == (f"expect[0].{field}", message)


def test_single_brackets_around_expect_are_pointed_out() -> None:
    error = error_of(expecting("value = 1").replace("[[expect]]", "[expect]"))
    assert (error.field, error.message[:40]) == ("expect", "is a single table; write [[expect]], in ")
