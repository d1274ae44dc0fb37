"""The outputs shown in the documentation are what the commands print today."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from optmarket import cli

ROOT = Path(__file__).parents[1]
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
    assert {id_.split(":")[0] for id_ in (session.id or "" for session in SESSIONS)} >= {"README.md", "selling-information.md"}


def test_every_command_stands_on_its_page() -> None:
    there = {command for command, _ in (session.values for session in SESSIONS)}
    commands = [command.name for command in cli.app.registered_commands]
    assert len(commands) > 5
    assert {"--help", *(f"{name} --help" for name in commands)} <= there
