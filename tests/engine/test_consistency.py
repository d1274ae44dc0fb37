"""Saved solutions as input: read strictly, held against themselves, and never the end of a command in a traceback."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.command import Done
from support.paths import CASES, ROOT
from support.proofs import proof
from support.solved_instances import solved

import optmarket as om
from optmarket.certificates import relative_gap
from optmarket.options import Status
from optmarket.reporting.consistency import UNCHECKED, held_against_itself
from optmarket.solution import Solution

INSTANCES = ROOT / "instances"
FILES = (
    INSTANCES / "selling-information" / "two-types.toml",
    INSTANCES / "selling-training-data" / "two-types.toml",
    INSTANCES / "competing-buyers" / "two-values.toml",
)
JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 3, 10**30, 10**400, -1e300, 1e308, 0.5, float("nan"), float("inf"), -float("inf")),
    *("", "nan", "inf", "1/0", "1e999999999", "x" * 5000, "\x1b[2J\x00\u202e\n", "=1+1", "optimal", "failed", "9" * 5000),
    *([], {}, [1], [[]], {"a": 1}, {"a": {"a": {"a": []}}}, [{"a": "nan"}], [None, [1, "x"]], [[[[[[[[[[0]]]]]]]]]]),
)


def places(data: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a file, by the keys and indices that lead to it."""
    if way:
        yield way
    entries = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, inner in entries:
        yield from places(inner, (*way, key))


def altered(data: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """The same file with one thing in it wrong, or two."""
    data = copy.deepcopy(data)
    for _ in range(rng.choice((1, 1, 1, 2))):
        everywhere = list(places(data))
        shallow = [way for way in everywhere if len(way) <= 3]
        *way, last = rng.choice(shallow if rng.random() < 0.7 else everywhere)
        holder = data
        for step in way:
            holder = holder[step]
        how = rng.choice(("delete", "junk", "junk", "junk", "text", "scale", "nest", "longer", "key"))
        if how == "delete":
            del holder[last]
        elif how == "text":
            holder[last] = str(holder[last])
        elif how == "scale" and isinstance(holder[last], (int, float)):
            holder[last] = holder[last] * rng.choice((-1, 0, 10, 1e-6, 1 + 1e-3))
        elif how == "nest":
            holder[last] = [holder[last]] if rng.random() < 0.5 else {"a": holder[last]}
        elif how == "longer" and isinstance(holder[last], list):
            holder[last] = holder[last] * 2 if rng.random() < 0.5 else holder[last][:-1]
        elif how == "key" and isinstance(holder, dict):
            holder[f"{last}\x07"] = holder.pop(last)
        else:
            holder[last] = rng.choice(JUNK)
    return data


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_no_alteration_ends_in_a_traceback(path: Path, run: Callable[..., Done], tmp_path: Path) -> None:
    data = solved(path, exact=path.parent.name == "selling-information").to_dict()
    rng = random.Random(20261126)
    file = tmp_path / "altered.json"
    codes = []
    for k in range(120):
        text = json.dumps(altered(data, rng)).replace("Infinity", rng.choice(("Infinity", "1e999")))
        file.write_text(text)
        for command in (["show", file, *["--json"][k % 2 :]], ["table", file, "--format", ("csv", "md", "tex")[k % 3]]):
            done = run(*command)
            codes.append(done.code)
            assert done.code in {0, 1, 2}, (k, command, text)
            assert "Traceback" not in done.err and "\x1b" not in done.out + done.err
            if done.code == 2:
                assert done.out == "" and len(done.err.splitlines()) == 1, (k, command, done.err)
                assert str(file) in done.err, done.err
    assert {0, 1, 2} == set(codes)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("broken-audit-quantities-number", "audit.quantities: is 3; must be a table"),
        ("broken-audit-unit-list", "audit.unit: is a list; must be a number"),
    ],
)
def test_a_broken_file_is_one_line(name: str, words: str, run: Callable[..., Done]) -> None:
    for command in ("show", "table"):
        assert run(command, CASES / f"{name}.json").one_error() == f"error: {CASES / name}.json: {words}"


def test_a_forged_file_is_called_what_it_is(run: Callable[..., Done]) -> None:
    done = run("show", CASES / "forged.solution.json")
    assert done.code == 1 and "optimal" not in done.out.splitlines()[0]
    assert done.out.splitlines()[0].endswith("contradicts itself")
    assert "wrong   revenue is 0.9, and 0.271428571 in a claim about it" in done.out
    assert "revenue is at most 13/40, proved (total value of information), and it is 0.9" in done.out
    done = run("table", CASES / "forged.solution.json")
    assert done.code == 1 and "contradicts itself" in done.out and done.err.startswith("wrong: ")


def test_what_cannot_be_checked_is_said_of_a_sound_file(run: Callable[..., Done], tmp_path: Path) -> None:
    solved(FILES[0]).write(tmp_path / "s.json")
    done = run("show", tmp_path / "s.json")
    assert done.code == 0 and done.err == "" and "optimal, proved" in done.out.splitlines()[0]
    assert f"saved {UNCHECKED}" in " ".join(done.out.split())


CONTRADICTIONS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "value": (lambda data: data.update(value=0.3), "revenue is 0.271428571 among its quantities, and 0.3 as its value"),
    "audit": (lambda data: data["audit"]["quantities"].update(revenue=0.2), "recomputed revenue is 0.2, not 0.271428571"),
    "bounds": (lambda data: data["certificate"].update(lower=0.2, upper=0.21), "above its own upper bound 0.21"),
    "swapped": (lambda data: data["certificate"].update(lower=0.3, upper=0.2), "lower bound 0.3 is above the upper bound 0.2"),
    "gap": (lambda data: data["certificate"].update(upper=0.3, gap=0.0), "its bounds are 0.095 apart; 1e-06 was asked for"),
    "violation": (
        lambda data: (data["audit"]["violations"].update(misreport=0.1), data["audit"].update(relative={})),
        "its audit finds violations above the tolerance",
    ),
    "relative": (
        lambda data: data["audit"]["violations"].update(misreport=0.1),
        "its audit finds a violation of 0.1, and calls it 0 of what is at stake",
    ),
    "claim": (lambda data: data["claims"][0].update(true=0.5), "revenue is 0.271428571, and 0.5 in a claim about it"),
    "verdict": (lambda data: data["claims"][0].update(met=False), "is called not met, which its numbers deny"),
    "other": (lambda data: data["quantities"].update(welfare=3.0), "welfare is 3, and 0.271428571 by its audit"),
    "exact": (lambda data: data.update(exact="1/3"), "the exact value 0.333333333 is outside its own bounds"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradictions_are_found(name: str, tmp_path: Path, run: Callable[..., Done]) -> None:
    change, words = CONTRADICTIONS[name]
    data = solved(FILES[0]).to_dict()
    assert held_against_itself(Solution.from_dict(data))[1] == ()
    change(data)
    _, wrong = held_against_itself(Solution.from_dict(data))
    assert any(words in line for line in wrong), wrong
    (tmp_path / "s.json").write_text(json.dumps(data))
    assert run("show", tmp_path / "s.json").code == 1
    with pytest.warns(UserWarning, match="contradicts itself"):
        assert om.tables(tmp_path / "s.json")["status"].tolist() == ["contradicts itself"]


def test_the_gap_is_that_of_the_bounds_whatever_is_stored() -> None:
    data = solved(FILES[0]).to_dict()
    data["certificate"] |= {"lower": 0.25, "upper": 0.28, "gap": 1e-9}
    assert proof(Solution.from_dict(data)).gap == relative_gap(0.25, 0.28)
    data["certificate"] |= {"lower": -1e-17, "upper": 1e-17, "gap": 0.0}  # both 0, but for the rounding of payoffs of about 1
    assert proof(Solution.from_dict(data)).gap == 0.0


def test_claims_are_decided_by_the_numbers_beside_them() -> None:
    found = solved(FILES[0])
    data = replace(found, claims=tuple(replace(claim, true=None, error=None, met=None) for claim in found.claims)).to_dict()
    again, wrong = held_against_itself(Solution.from_dict(data))
    assert wrong == () and again.claims == found.claims


def test_a_stopped_solve_contradicts_nothing() -> None:
    found = replace(solved(FILES[0]), status=Status.TIME_LIMIT)
    data = found.to_dict()
    data["certificate"] |= {"upper": 0.5}
    assert held_against_itself(Solution.from_dict(data))[1] == ()


def test_a_point_that_contradicts_itself_is_solved_again(tmp_path: Path) -> None:
    first = om.sweep(FILES[0], "types.0.value=1:2:1", out=tmp_path)
    for path in tmp_path.rglob("*.json"):
        data = json.loads(path.read_text("utf-8"))
        data["certificate"]["upper"] = 5.0
        path.write_text(json.dumps(data))
    said: list[str] = []
    again = om.sweep(FILES[0], "types.0.value=1:2:1", out=tmp_path, say=said.append)
    assert again.reused == 0 and again.solutions == first.solutions
    assert "2 of 2 points in" in said[0] and "contradicts itself" in said[0]


@pytest.mark.parametrize("depth", [100, 100_000])
@pytest.mark.parametrize("command", ["show", "table"])
def test_deep_nesting_is_one_line(depth: int, command: str, run: Callable[..., Done], tmp_path: Path) -> None:
    file = tmp_path / "deep.json"
    file.write_text('{"mechanism": ' + "[" * depth + "]" * depth + "}")
    assert run(command, file).one_error() == f"error: {file}: is nested too deeply; at most 64 levels are read"


def test_more_revenue_than_there_is_speaks_against_a_solution() -> None:
    """Also where whoever changed the file took its claims out."""
    data = json.loads((CASES / "forged.solution.json").read_text())
    _, before = held_against_itself(Solution.from_dict({**data, "claims": []}))
    assert "revenue is 0.9, above first-best, 0.325" in before
