"""What the command line says of bad instances, places and options: one line each, and exit code 2."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command import Done, files, process
from support.instance_text import TWO_TYPES

from optmarket import api

pytestmark = pytest.mark.usefixtures("folder")


# --- bad input ---


def edited(old: str, new: str) -> str:
    assert old in TWO_TYPES
    return TWO_TYPES.replace(old, new, 1)


THIRTEEN = ", ".join(['"1/26"'] * 13)

BAD: dict[str, tuple[str | bytes | None, str]] = {
    "missing file": (None, "there is no such file"),
    "binary": (bytes(range(256)), "is not a text file"),
    "empty": ("", "is empty"),
    "broken TOML": ("a = [", "is not TOML"),
    "wrong format": (edited("format = 1", "format = 2"), "format: is 2; this version reads format 1"),
    "unknown market": (edited("information", "infomation"), "did you mean 'selling-information'?"),
    "unknown field": (edited("payoff =", "payof ="), "params.payof: unknown field; did you mean 'payoff'?"),
    "missing field": (edited('title = "Two types [draft]"', ""), "title: is missing"),
    "wrong shape": (edited('"3/5", "2/5"', '"3/5", "1/5", "1/5"'), "params.types[1].belief: is for 3 states"),
    "ragged payoffs": (edited('"matching"', "[[1, 0], [0]]"), "params.payoff: is rows of [2, 1] entries"),
    "negative weight": (edited('"1/2"', "-0.5"), "params.types[0].weight: is -1/2; must be at least 0"),
    "NaN weight": (edited('"1/2"', "nan"), "params.types[0].weight: is nan; must be finite"),
    "weights off one": (edited('"1/2"', '"1/3"'), "params.types: weights sum to 5/6; must sum to 1"),
    "off the simplex": (edited('"2/5"', '"1/5"'), "params.types[1].belief: its entries sum to 4/5; must sum to 1"),
    "division by zero": (edited('"2/5"', '"1/0"'), "params.types[1].belief[1]: is '1/0', a division by zero"),
    "text for a number": (edited('"2/5"', '"two"'), "params.types[1].belief[1]: is 'two'; a number is written"),
    "infinite payoff": (edited('"matching"', "[[inf, 0], [0, 1]]"), "params.payoff[0][0]: is infinity; must be finite"),
    "zero types": (re.sub(r"types = \[.*\]", "types = []", TWO_TYPES, flags=re.DOTALL), "params.types: has 0 entries"),
    "too many recommendations": (
        re.sub(r"types = .*", f"types = [{{ weight = 1, joint = [[{THIRTEEN}], [{THIRTEEN}]] }}]", TWO_TYPES, flags=re.DOTALL),
        "8,192 recommendations a type; at most 4,096",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_instances_are_told_in_one_line(run: Callable[..., Done], folder: Path, name: str) -> None:
    content, words = BAD[name]
    if content is not None:
        (folder / "bad.toml").write_bytes(content.encode() if isinstance(content, str) else content)
    before = files()
    line = run("solve", "bad.toml", "--out", "results").one_error()
    assert line.startswith("error: bad.toml: ")
    assert words in line
    for command in ("check", "show"):
        assert run(command, "bad.toml").one_error() == line
    done = run("solve", "bad.toml", "--json")
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    error = json.loads(done.err)["error"]
    assert ": ".join(part for part in (error["file"], error["field"], error["message"]) if part) == line.removeprefix("error: ")
    assert files() == before and not Path("results").exists()


def test_a_directory_is_no_instance(run: Callable[..., Done], case: Path) -> None:
    assert run("solve", case.parent).one_error() == f"error: {case.parent}: is a directory; name a file"


def test_bad_input_to_a_process(case: Path) -> None:
    case.write_text(TWO_TYPES.replace("1/4", "1/0"))
    assert "1/0" in process("solve", str(case)).one_error()


def test_one_bad_file_spoils_no_other(run: Callable[..., Done], case: Path) -> None:
    done = run("check", "none.toml", case, case.parent, "--json")
    assert done.code == 2
    assert [report["slug"] for report in json.loads(done.out)["instances"]] == ["own/two"]
    assert [json.loads(line)["error"]["file"] for line in done.err.splitlines()] == ["none.toml", str(case.parent)]


def test_notes_go_to_stderr(run: Callable[..., Done], case: Path) -> None:
    case.write_text(TWO_TYPES.replace('"1/4", "3/4"', "0.3333333333, 0.6666666666"))
    done = run("check", case)
    assert done.code == 0
    assert done.out.startswith("ok  own/two  ") and done.err.startswith(f"note: {case}: ")
    assert re.search(r"^note +entries of belief miss", run("solve", case).out, re.MULTILINE)


@pytest.mark.parametrize("out", ["taken", "taken/below"])
def test_out_must_be_a_place_to_write(run: Callable[..., Done], case: Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    monkeypatch.setattr(api, "solve", lambda *_, **__: pytest.fail("solved before looking at --out"))
    Path("taken").write_text("a file")
    before = files()
    assert "taken: is not a directory" in run("solve", case, "--out", out).one_error()
    assert files() == before


def test_out_with_a_directory_where_the_solution_goes(run: Callable[..., Done], case: Path) -> None:
    Path("results/own/two.json").mkdir(parents=True)
    assert "results/own/two.json: is a directory" in run("solve", case, "--out", "results").one_error()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--gap", "0", "--gap: is 0; must be above 0"),
        ("--gap", "nan", "--gap: is nan; must be above 0"),
        ("--time-limit", "-1", "--time-limit: is -1; must be above 0"),
        ("--threads", "0", "--threads: is 0; must be at least 1"),
        ("--method", "magic", "there is no method 'magic'"),
    ],
)
def test_options_out_of_range(run: Callable[..., Done], case: Path, option: str, value: str, words: str) -> None:
    assert words in run("solve", case, option, value).one_error()


@pytest.mark.parametrize("content", ["{}", '{"format": 1}', "[]", "no JSON", ""])
def test_a_file_that_is_no_solution(run: Callable[..., Done], content: str) -> None:
    Path("s.json").write_text(content)
    assert run("show", "s.json").one_error().startswith("error: s.json: ")
