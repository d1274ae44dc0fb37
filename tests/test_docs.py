"""The outputs shown in the documentation are what the commands print today."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from fractions import Fraction

import pytest
from support.paths import ROOT

import optmarket
from optmarket.cli import main

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SESSIONS = [
    pytest.param(command, output, id=f"{page.name}: {command}")
    for page in PAGES
    for command, output in re.findall(r"^```console\n\$ optmarket (.+)\n((?:.*\n)*?)```$", page.read_text("utf-8"), re.MULTILINE)
]


def comparable(text: str) -> list[str]:
    """Lines without the seconds, and without violations that are rounding."""
    text = re.sub(r"^\d+(\.\d+)? s, ", "SECONDS s, ", text, flags=re.MULTILINE)
    return re.sub(r"\d(\.\d+)?e-1\d\b", "0", text).rstrip().splitlines()


@pytest.mark.parametrize(("command", "output"), SESSIONS)
def test_a_shown_session_is_real(command: str, output: str) -> None:
    process = [sys.executable, "-m", "optmarket", *command.split()]
    done = subprocess.run(process, cwd=ROOT, env={**os.environ, "COLUMNS": "100"}, capture_output=True, text=True)
    assert comparable(done.stdout) == comparable(output)


def test_every_page_with_an_example_is_found() -> None:
    assert {str(session.id).split(":")[0] for session in SESSIONS} >= {"README.md", "selling-information.md"}


def test_every_command_stands_on_its_page() -> None:
    there = {command for command, _ in (session.values for session in SESSIONS)}
    commands = [command.name for command in main.app.registered_commands]
    assert len(commands) > 5
    assert {"--help", *(f"{name} --help" for name in commands)} <= there


def test_the_paper_s_tables_on_competing_buyers_are_those_of_the_instances() -> None:
    page = (ROOT / "docs" / "competing-buyers.md").read_text("utf-8")
    rows = re.findall(r"^\| (uniform|exponential|asymmetric), α = (\S+), max θ = (\S+) \| (.+) \|$", page, re.MULTILINE)
    assert len(rows) == 12
    for distribution, alpha, theta, cells in rows:
        shown = cells.split(" | ")
        for ic, (exact, printed, learned) in (("bayesian", shown[:3]), ("ex-post", shown[3:])):
            name = f"{distribution}-{ic}-{'strong' if alpha == '2' else 'weak'}-{'even' if theta == '1/2' else 'skewed'}"
            case = optmarket.load(ROOT / "instances" / "competing-buyers" / f"{name}.toml")
            stated = {claim.kind: claim for claim in reversed(case.expect)}
            assert float(exact) == pytest.approx(float(Fraction(stated["analytic"].value)), rel=1e-8)
            assert printed == stated["published"].value
            value, regret = re.fullmatch(r"(\S+) \((\S+)\)", learned).groups()  # type: ignore[union-attr]
            assert value == stated["neural"].value and f"regret 0{regret}" in stated["neural"].source
