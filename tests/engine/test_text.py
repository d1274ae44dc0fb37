"""What strangers write into titles, names and labels, shown where it can do no harm."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from support.command import Done
from support.paths import INSTANCES
from support.solved_instances import solved

from optmarket.reporting.tables import render
from optmarket.solution_file import InstanceReference
from optmarket.text import csv_cell, latex_cell, markdown_cell, visible

TWO = INSTANCES / "selling-information" / "two-types.toml"
NASTY = "a\x1b[31mred\x07\r\nline\u202eback\u200b\ud800"
SHOWN = r"a\x1b[31mred\x07\r\nline\u202eback\u200b\ud800"


def test_what_does_not_print_is_written_out() -> None:
    assert visible(NASTY) == SHOWN
    assert visible("Größe θ_1, 漢字 – né\u00a0e") == "Größe θ_1, 漢字 – né e"  # letters stay, and a space is a space


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("\t=1", "'\\t=1"),
        ("\r=1", "'\\r=1"),
        ("-0.5", "-0.5"),
        ("+1e-3", "+1e-3"),
        ("-1/3", "-1/3"),
        ("-inf", "-inf"),
        ("a=1", "a=1"),
        ("", ""),
    ],
)
def test_cells_of_csv_are_no_formulas(text: str, cell: str) -> None:
    assert csv_cell(text) == cell


def test_cells_of_markdown_and_latex_are_text() -> None:
    assert markdown_cell("a|b `c` <i> [x](y) $z$ *d*") == r"a\|b \`c\` \<i\> [x]\(y) \$z\$ \*d\*"
    assert latex_cell(r"\input{x} $y$ 50% #1 a_b ^ ~ & *[1]") == (
        r"\textbackslash{}input\{x\} \$y\$ 50\% \#1 a\_b \textasciicircum{} \textasciitilde{} \& {*}{[}1{]}"
    )


def test_a_table_of_anything_is_a_table() -> None:
    table = pd.DataFrame({"=label | x": ["=cmd", "two\nlines", "a | b", r"\\ & $"], "gap": [-0.5, 1.0, 2.0, 3.0]})
    rows = list(csv.reader(io.StringIO(render(table, "csv"))))
    assert rows[0] == ["'=label | x", "gap"]
    assert [row[0] for row in rows[1:]] == ["'=cmd", r"two\nlines", "a | b", r"\\ & $"] and rows[1][1] == "-0.50"
    assert all(line.replace(r"\|", "").count("|") == 3 for line in render(table, "md").splitlines())
    body = render(table, "tex").splitlines()
    assert all(line.count(" & ") == 1 for line in body if line.endswith(r"\\"))


def test_a_terminal_is_steered_by_nobody(run: Callable[..., Done], tmp_path: Path) -> None:
    name = NASTY.replace("\ud800", "")
    toml = json.dumps(name)
    case = tmp_path / "case.toml"
    case.write_text(
        f'format = 1\nmodel = "selling-information"\ntitle = {toml}\nsource = {toml}\n[params]\n'
        f'states = [{toml}, "low"]\ntypes = [{{ weight = 1, belief = [0.5, 0.5], name = {toml} }}]\n'
        f'[[expect]]\nquantity = "revenue"\nvalue = 0.5\nkind = "exact"\nsource = {toml}\n'
    )
    found = replace(solved(TWO), title=name, notes=(name,), instance=InstanceReference(name, "0"))
    found.write(tmp_path / "s.json")
    for command in (
        ["show", case],
        ["check", case],
        ["solve", case],
        ["show", tmp_path / "s.json"],
        ["table", tmp_path / "s.json"],
        ["table", tmp_path / "s.json", "--format", "md"],
        ["audit", case, tmp_path / "s.json"],
        ["check", tmp_path / f"{name[:9]}.toml"],
    ):
        done = run(*command)
        said = done.out + done.err
        assert not any(letter in said for letter in "\x1b\x07\r\u202e\u200b"), command
        assert "Traceback" not in said
    assert SHOWN[:20] in run("show", case).out
