"""Console reports: text that stays text, numbers, bounds rounded outwards, wide and long tables, failed audits."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console, RenderableType
from support.command import Done
from support.instance_text import TWO_TYPES

from optmarket.certificates import Audit, Claim, Optimality
from optmarket.options import Status
from optmarket.reporting import console_report, digits
from optmarket.solution import Solution
from optmarket.solution_file import InstanceReference

# --- the page ---


def page(what: RenderableType, width: int) -> list[str]:
    console = Console(width=width, color_system=None, force_terminal=False, markup=False)
    with console.capture() as capture:
        console.print(what)
    return [line.rstrip() for line in capture.get().splitlines()]


def solved(**changes: Any) -> Solution:
    plain = Solution(
        instance=InstanceReference("one", "0"),
        model="m",
        title="A [red]title[/red] of [/] brackets",
        status=Status.OPTIMAL,
        objective="revenue",
        value=1.0,
        quantities={"revenue": 1.0},
        certificate=Optimality(1.0, 1.0, 0.0),
        audit=Audit({"revenue": 1.0}, {}),
        claims=(),
        mechanism={},
        tables={},
    )
    return replace(plain, **changes)


def test_brackets_and_escapes_in_text_stay_text() -> None:
    lines = page(console_report.solution(solved(notes=("line\n\x1b[31mred",)), 120), 120)
    assert lines[0].startswith("A [red]title[/red] of [/] brackets ")
    assert r"note    line\n\x1b[31mred" in lines


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1 / 7, "0.142857"),
        (1234567, "1234567"),
        (2.0, "2"),
        (1.5e-9, "1.5e-09"),
        (Fraction(1, 3), "0.333333"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert digits.number(value) == text


def test_bounds_are_rounded_outwards() -> None:
    found = solved(certificate=Optimality(0.12345678949, 0.12345678941, 0.0))
    assert "between 0.123456789 and 0.12345679" in "\n".join(page(console_report.solution(found, 120), 120))


def test_a_gap_that_was_asked_for_is_no_proof_of_optimality() -> None:
    found = solved(certificate=Optimality(0.9, 1.0, 0.1))
    assert page(console_report.solution(found, 120), 120)[0].endswith("stopped at a gap of 0.1")


def test_long_tables_are_cut_and_say_so() -> None:
    table = pd.DataFrame({"item": range(50)})
    lines = page(console_report.solution(solved(tables={"menu": table, "types": table}), 120), 120)
    assert lines.count("  0") == 2 and lines.count("  39") == 1 and lines.count("  11") == 2 and lines.count("  12") == 1
    assert "  ... and 10 more rows (--json or --out has all)" in lines
    assert "  ... and 38 more rows (--json or --out has all)" in lines


def test_an_empty_menu_sells_nothing(run: Callable[..., Done], case: Path) -> None:
    case.write_text(TWO_TYPES.replace('"1/4", "3/4"', "1, 0").replace('"3/5", "2/5"', "0, 1"))
    done = run("solve", case)
    assert done.code == 0
    assert "menu\n  nothing is sold\n" in done.out


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_wide_table_is_cut_into_parts_and_no_number_is_lost(width: int) -> None:
    numbers = {f"act {k}": [k + 0.123456, k + 0.654321] for k in range(10)}
    table = pd.DataFrame({"item": [1, 1], "kind": ["partial"] * 2, "state": ["left", "right"], **numbers})
    lines = page(console_report.solution(solved(tables={"menu": table}), width), width)
    assert all(len(line) <= width for line in lines)
    text = "\n".join(lines)
    assert "…" not in text
    for column in numbers.values():
        for entry in column:
            assert digits.number(entry) in text.split()
    assert len(re.findall(r"^  1 .* left ", text, re.MULTILINE)) == len(re.findall(r"^    .* right ", text, re.MULTILINE)) > 0


def test_an_audit_that_fails_is_marked() -> None:
    bad = solved(audit=Audit({"revenue": 0.5}, {"misreport": 0.25}))
    text = "\n".join(page(console_report.solution(bad, 120), 120))
    assert "misreport 0.25   NOT MET: above the tolerance of 1e-07" in text
    assert "NOT MET: recomputed revenue is 0.5" in text


def test_violations_a_person_has_no_word_for() -> None:
    assert (
        console_report.verdict("no-market", Audit({}, {"clearing": 0.0})).plain
        == "holds: no violation exceeds the tolerance of 1e-07"
    )
    assert console_report.verdict("no-market", Audit({}, {"clearing": 2.0}, unit=100.0)).plain == (
        "does not hold: clearing 2 (payoff units; the tolerance is 1e-05)"
    )


def test_a_bound_with_an_identifier() -> None:
    claim = Claim("revenue", "1/2", "lower", "proved", "page 3", claim="002-1", true=1.0, error=0.0, met=True)
    text = "\n".join(page(console_report.solution(solved(claims=(claim,)), 120), 120))
    assert "1/2 = 0.5   proved   holds (at least), 50 % below the optimum (page 3)" in text
