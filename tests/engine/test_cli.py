"""The command line as a person or a script uses it: what it prints where, what it writes, and how it exits."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console, RenderableType
from support.command import Done

import optmarket as om
from optmarket.cli import main
from optmarket.errors import SolverError
from optmarket.reporting import console_report
from optmarket.reporting.consistency import UNCHECKED
from optmarket.solution import Audit, Certificate, Claim, Solution, Status

MARKET = "selling-information"
TWO_TYPES = """\
format = 1
model = "selling-information"
title = "Two types [draft]"
source = "own"

[params]
payoff = "matching"
types = [
  { weight = "1/2", belief = ["1/4", "3/4"] },
  { weight = "1/2", belief = ["3/5", "2/5"] },
]
"""
COMMANDS = ("list", "show", "new", "check", "solve", "audit", "export", "sweep", "table", "reproduce")


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, so that a file written where none belongs is seen."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path


@pytest.fixture
def case(room: Path) -> Path:
    path = room / "instances" / "own" / "two.toml"
    path.parent.mkdir(parents=True)
    path.write_text(TWO_TYPES)
    return path.relative_to(room)


def process(*args: str) -> Done:
    done = subprocess.run([sys.executable, "-m", "optmarket", *args], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return Done(done.returncode, done.stdout, done.stderr)


def files() -> dict[str, bytes]:
    return {path.as_posix(): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def mechanism(path: str, **content: Any) -> str:
    Path(path).write_text(json.dumps({"format": 1, "model": MARKET, **content}))
    return path


FULL = [[1, 0], [0, 1]]


# --- a first look ---


def test_a_process_knows_its_version_and_a_mistyped_command() -> None:
    assert process("--version").out == f"optmarket {om.__version__}\n"
    done = process("slove", "x.toml")
    assert done.code == 2
    assert "Did you mean 'solve'?" in done.err


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_says_where_to_start_and_what_exit_codes_mean(run: Callable[..., Done], flag: str) -> None:
    done = run(flag)
    assert done.code == 0
    for words in ("Start here", "optmarket new", "optmarket solve", "Exit codes", "130  interrupted", *COMMANDS):
        assert words in done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_every_command_says_its_default(run: Callable[..., Done], command: str) -> None:
    done = run(command, "-h")
    assert done.code == 0
    options = re.split(r"\n  (?=-)", done.out.partition("Options:")[2])[1:]
    for option in options:
        assert "-h, --help" in option or re.search(r"efault: |\[required\]", " ".join(option.split())), option


def test_list_names_markets_and_instances(run: Callable[..., Done], case: Path) -> None:
    case.with_name("broken.toml").write_text("a = [")
    done = run("list")
    assert done.code == 0
    assert re.search(rf"^{MARKET} +\S", done.out, re.MULTILINE)
    assert re.search(r"^instances/own/two.toml +Two types \[draft\]$", done.out, re.MULTILINE)
    assert re.search(r"^instances/own/broken.toml +cannot be read", done.out, re.MULTILINE)
    listed = json.loads(run("list", "--json").out)
    assert {"slug": "own/two", "file": case.as_posix(), "title": "Two types [draft]"} in listed["instances"]
    assert MARKET in [market["name"] for market in listed["markets"]]
    assert all({"title", "source", "methods"} <= market.keys() for market in listed["markets"])


def test_list_without_a_folder_of_instances(run: Callable[..., Done]) -> None:
    assert json.loads(run("list", "--json").out)["instances"] == []
    assert run("list").code == 0


def test_a_template_is_written_checked_and_solved(run: Callable[..., Done]) -> None:
    text = run("new", MARKET).out
    done = run("new", MARKET, "-o", "new/mine.toml")
    assert (done.code, done.out) == (0, "")
    assert "new/mine.toml" in done.err
    assert Path("new/mine.toml").read_text() == text
    check = run("check", "new/mine.toml")
    assert (check.code, check.err) == (0, "")
    assert re.fullmatch(r"ok  mine  [0-9a-f]{12}  payoff matching, 2 types\n", check.out)
    assert run("solve", "new/mine.toml").code == 0
    before = files()
    assert "exists already" in run("new", MARKET, "-o", "new/mine.toml").one_error()
    assert "not a directory" in run("new", MARKET, "-o", "new/mine.toml/b.toml").one_error()
    assert f"did you mean '{MARKET}'?" in run("new", MARKET[:-2]).one_error()
    assert files() == before


def test_show_an_instance(run: Callable[..., Done], case: Path) -> None:
    case.write_text(TWO_TYPES + '[[expect]]\nquantity = "revenue"\nvalue = "19/70"\nsource = "by hand"\nkind = "exact"\n')
    text = run("show", case).out
    for words in ("Two types [draft]", MARKET, "own/two", om.load(case).sha256, "[1/4, 3/4]", "revenue is 19/70", "(by hand)"):
        assert words in text
    shown = json.loads(run("show", case, "--json").out)
    assert shown["params"]["types"][1] == {"weight": "1/2", "belief": ["3/5", "2/5"], "value": "1"}
    assert shown["expect"][0]["value"] == "19/70"
    assert shown["sha256"] == om.load(case).sha256


# --- solving ---


def test_solve_as_a_person_sees_it(run: Callable[..., Done], case: Path) -> None:
    before = files()
    done = run("solve", case)
    assert (done.code, done.err) == (0, "")
    assert re.sub(r"^\d+\.\d\d s", "T s", done.out, flags=re.MULTILINE) == (
        """\
Two types [draft]                                                                    optimal, proved
revenue                        0.271428571   between 0.271428571 and 0.271428572
surplus                        0
welfare                        0.271429
share-served                   1
differential-informativeness   -0.428571
full-information-revenue       0.25
full-information-price         0.25
first-best                     0.325

menu
  item  kind     price     share  bought by  state    act 1     act 2
  1     partial  0.142857  0.5    1          state 1  0.571429  0.428571
                                             state 2  0         1
  2     full     0.4       0.5    2          state 1  1         0
                                             state 2  0         1

types
  type  weight  Pr(state 1)  Pr(state 2)  full value  item  price     gain
  1     0.5     0.25         0.75         0.25        1     0.142857  0
  2     0.5     0.6          0.4          0.4         2     0.4       0

claims
  revenue   19/70 = 0.271429   analytic   agrees (two states, matching payoffs, one value: concave envelopes)
  revenue   1/4 = 0.25         proved     holds (at least), 7.9 % below the optimum (full information alone at the best
                                          posted price)
  revenue   13/40 = 0.325      proved     holds (at most), 20 % above the optimum (total value of information)

audit   misreport 0   disobey 0   both 0   individual rationality 0
T s, method cuts, 1 round, 12 rows x 10 columns
"""
    )
    assert files() == before


def test_an_exact_proof_is_called_one(run: Callable[..., Done], case: Path) -> None:
    first, second, *_ = run("solve", case, "--exact").out.splitlines()
    assert first.endswith("optimal, proved exactly")
    assert second.split() == ["revenue", "0.271428571", "=", "19/70,", "ties", "going", "to", "the", "seller"]


def test_json_lines_stand_in_the_order_of_the_arguments(run: Callable[..., Done], case: Path) -> None:
    other = case.with_name("other.toml")
    other.write_text(TWO_TYPES.replace("3/5", "4/5").replace("2/5", "1/5"))
    done = run("solve", other, "none.toml", case, "--json")
    assert done.code == 2
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["instance"]["slug"] for line in lines] == ["own/other", "own/two"]
    assert lines[1] == json.loads(om.solve(case).to_json()) | {"run": lines[1]["run"]}
    (error,) = done.err.splitlines()
    assert json.loads(error) == {"error": {"file": "none.toml", "field": None, "message": "there is no such file"}}


def test_out_writes_what_it_says_and_twice_the_same(run: Callable[..., Done], case: Path) -> None:
    before = files()
    assert run("solve", case, "--out", "deep/results").err.splitlines() == ["wrote deep/results/own/two.json"]
    first = files()
    assert first.keys() - before.keys() == {"deep/results/own/two.json"}
    assert {name: first[name] for name in before} == before
    run("solve", case, "--out", "deep/results")
    texts = [content["deep/results/own/two.json"].decode() for content in (first, files())]
    assert first.keys() == files().keys()
    runs = [re.findall(r'^ "run": \{.*?^ \},$', text, re.MULTILINE | re.DOTALL) for text in texts]
    assert [len(found) for found in runs] == [1, 1]
    assert texts[0].replace(runs[0][0], "") == texts[1].replace(runs[1][0], "")


def test_a_saved_solution_is_shown_as_it_was_printed(run: Callable[..., Done], case: Path) -> None:
    printed = run("solve", case, "--out", "results")
    shown = run("show", "results/own/two.json")
    assert (shown.code, shown.err) == (0, "")
    same, saved, run_line = re.fullmatch(r"(.*\n)(saved .*?\n)(\d[^\n]*\n)", shown.out, re.DOTALL).groups()  # type: ignore[union-attr]
    assert sorted((same + run_line).split()) == sorted(printed.out.split())  # in another order, as a file has its keys sorted
    assert " ".join(saved.split()) == f"saved {UNCHECKED}"
    assert json.loads(run("show", "results/own/two.json", "--json").out) == json.loads(Path("results/own/two.json").read_text())


def test_one_solution_does_not_overwrite_another(run: Callable[..., Done], room: Path) -> None:
    for name in ("a", "b"):
        (room / name).mkdir()
        (room / name / "case.toml").write_text(TWO_TYPES)
    done = run("solve", "a/case.toml", "b/case.toml", "--out", "results", "--json")
    assert done.code == 2
    assert len(done.out.splitlines()) == 1
    wrote, error = done.err.splitlines()
    assert wrote == "wrote results/case.json"
    assert "overwrite the solution of a/case.toml" in json.loads(error)["error"]["message"]


def test_progress_is_for_terminals_only(run: Callable[..., Done], case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert "round 1, 12 rows, bound 0.271429" in run("solve", case).err
    assert run("solve", case, "--json").err == ""


def test_a_reader_that_stops_early_is_no_error(case: Path) -> None:
    command = shlex.join([sys.executable, "-m", "optmarket", "solve", str(case), "--json", "--out", "results"])
    done = subprocess.run(["sh", "-c", f"{command} | true"], capture_output=True, text=True)
    assert done.stderr.splitlines() == ["wrote results/own/two.json"]


# --- exit codes ---


@pytest.mark.parametrize(
    ("expect", "code", "words"),
    [
        ('value = "1/4"\nkind = "exact"', 1, "NOT MET: differs by 0.0214, 7.9 % below the optimum (somebody)"),
        ('value = "1/4"\nrelation = "upper"\nkind = "bound"', 1, "NOT MET: fails by 0.0214 (at most)"),
        ('value = "0.25"\nkind = "neural"', 0, "differs by 0.0214, 7.9 % below the optimum (somebody)"),
        (
            'value = "0.25"\nkind = "published"\nverdict = "wrong"\nclaim = "17"',
            0,
            "printed 0.25, true 0.271429: known to be wrong",
        ),
        ('value = "0.2714"\nkind = "published"\nverdict = "misprint"', 1, "NOT MET: printed 0.2714, true 0.271429: holds, but"),
        ('value = "0.2714"\nkind = "published"', 0, "agrees (somebody)"),
    ],
)
def test_claims(run: Callable[..., Done], case: Path, expect: str, code: int, words: str) -> None:
    case.write_text(f'{TWO_TYPES}[[expect]]\nquantity = "revenue"\nsource = "somebody"\n{expect}\n')
    done = run("solve", case)
    assert done.code == code
    assert words in done.out
    assert ("NOT MET" in done.out) == (code == 1)


def test_an_expected_quantity_the_market_does_not_report(run: Callable[..., Done], case: Path) -> None:
    case.write_text(f'{TWO_TYPES}[[expect]]\nquantity = "joy"\nvalue = 1\nkind = "exact"\nsource = "x"\n')
    done = run("solve", case)
    assert done.code == 2
    assert done.err.count("\n") == 1 and "expect[0].quantity" in done.err


def test_a_time_limit_leaves_bounds_and_exit_code_1(run: Callable[..., Done], case: Path) -> None:
    done = run("solve", case, "--time-limit", "1e-9")
    assert done.code == 1
    first, second, *_ = done.out.splitlines()
    assert first.endswith("time limit")
    assert re.search(r"between \S+ and \S+: at least \d+(\.\d)? % of the optimum$", second)
    assert "NOT MET" not in done.out and "open: the bounds reached do not decide it" in done.out


@pytest.mark.parametrize(
    ("error", "code"),
    [(SolverError("no answer", file="f"), 3), (MemoryError(), 3), (KeyboardInterrupt(), 130)],
)
def test_what_goes_wrong_while_solving(
    run: Callable[..., Done], case: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def fail(*_: object, **__: object) -> Solution:
        raise error

    monkeypatch.setattr(main, "solve", fail)
    before = files()
    done = run("solve", case, "none.toml", "--out", "results")
    assert (done.code, done.out) == (code, "")
    assert len(done.err.splitlines()) == (1 if code == 130 else 2)  # after Ctrl-C no other file is attempted
    assert files() == before


@pytest.mark.parametrize("status", [Status.INFEASIBLE, Status.UNBOUNDED, Status.FAILED])
def test_no_certified_answer_is_3(run: Callable[..., Done], case: Path, monkeypatch: pytest.MonkeyPatch, status: Status) -> None:
    found = replace(om.solve(case), status=status)
    monkeypatch.setattr(main, "solve", lambda *_, **__: found)
    done = run("solve", case, case)
    assert done.code == 3
    assert done.out.splitlines()[0].endswith(str(status))


def test_ctrl_c_prints_and_writes_what_is_known_and_stops(
    run: Callable[..., Done], case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any, **options: Any) -> Solution:
        return om.solve(*args, **options | {"progress": lambda _: signal.raise_signal(signal.SIGINT)})

    monkeypatch.setattr(main, "solve", interrupted)
    done = run("solve", case, "none.toml", "--out", "results")
    assert done.code == 130
    assert done.out.splitlines()[0].endswith("interrupted")
    assert done.err.splitlines() == ["wrote results/own/two.json"]
    assert Solution.read("results/own/two.json").status is Status.INTERRUPTED


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
def test_bad_instances_are_told_in_one_line(run: Callable[..., Done], room: Path, name: str) -> None:
    content, words = BAD[name]
    if content is not None:
        (room / "bad.toml").write_bytes(content.encode() if isinstance(content, str) else content)
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
    monkeypatch.setattr(main, "solve", lambda *_, **__: pytest.fail("solved before looking at --out"))
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


# --- auditing ---


def test_audit_of_a_menu_lets_buyers_choose(run: Callable[..., Done], case: Path) -> None:
    done = run("audit", case, mechanism("m.json", items=[{"experiment": FULL, "price": 0.25}]))
    assert (done.code, done.err) == (0, "")
    assert re.search(r"^revenue +0.25$", done.out, re.MULTILINE)
    assert "buyers choose for themselves, ties for the seller, so that nothing can be violated" in done.out


def test_audit_of_a_good_mechanism(run: Callable[..., Done], case: Path) -> None:
    run("solve", case, "--out", "results")
    for made in ("results/own/two.json", mechanism("m.json", items=[{"experiment": FULL, "price": 0.1}], assignment=[0, 0])):
        done = run("audit", case, made)
        assert done.code == 0
        assert done.out.splitlines()[-1] == "holds: no type gains by misreporting, disobeying, both, or walking away"


def test_audit_of_a_bad_mechanism(run: Callable[..., Done], case: Path) -> None:
    made = mechanism("m.json", items=[{"experiment": FULL, "price": 0.45}], assignment=[0, None])
    done = run("audit", case, made)
    assert done.code == 1
    assert "individual rationality 0.2" in done.out
    assert "does not hold: a type gains 0.2 by misreporting, 0.2 by both at once, 0.2 by walking away (payoff" in done.out
    judged = json.loads(run("audit", case, made, "--json").out)
    assert judged["good"] is False
    assert judged["audit"]["violations"]["individual-rationality"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"items": [{"experiment": [[1, 0]], "price": 0}]}, "m.json: items[0].experiment: has 1 rows"),
        ({"items": [{"experiment": FULL, "price": 0}], "assignment": [0]}, "m.json: assignment: has 1 entries"),
        ({"items": [], "instance": {"sha256": "0" * 64}}, "m.json: instance.sha256: is 000000000000..."),
        ({"items": [], "model": "selling-lemons"}, "m.json: model: is 'selling-lemons'"),
    ],
)
def test_a_mechanism_that_does_not_fit(run: Callable[..., Done], case: Path, content: dict[str, Any], words: str) -> None:
    assert words in run("audit", case, mechanism("m.json", **content)).one_error()


# --- the page ---


def page(what: RenderableType, width: int) -> list[str]:
    console = Console(width=width, color_system=None, force_terminal=False, markup=False)
    with console.capture() as capture:
        console.print(what)
    return [line.rstrip() for line in capture.get().splitlines()]


def solved(**changes: Any) -> Solution:
    plain = Solution(
        instance={},
        model="m",
        title="A [red]title[/red] of [/] brackets",
        status=Status.OPTIMAL,
        objective="revenue",
        value=1.0,
        quantities={"revenue": 1.0},
        certificate=Certificate(1.0, 1.0, 0.0),
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
    assert console_report.number(value) == text


def test_bounds_are_rounded_outwards() -> None:
    found = solved(certificate=Certificate(0.12345678949, 0.12345678941, 0.0))
    assert "between 0.123456789 and 0.12345679" in "\n".join(page(console_report.solution(found, 120), 120))


def test_a_gap_that_was_asked_for_is_no_proof_of_optimality() -> None:
    found = solved(certificate=Certificate(0.9, 1.0, 0.1))
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
            assert console_report.number(entry) in text.split()
    assert len(re.findall(r"^  1 .* left ", text, re.MULTILINE)) == len(re.findall(r"^    .* right ", text, re.MULTILINE)) > 0


def test_an_audit_that_fails_is_marked() -> None:
    bad = solved(audit=Audit({"revenue": 0.5}, {"misreport": 0.25}))
    text = "\n".join(page(console_report.solution(bad, 120), 120))
    assert "misreport 0.25   NOT MET: above the tolerance of 1e-07" in text
    assert "NOT MET: recomputed revenue is 0.5" in text


def test_violations_a_person_has_no_word_for() -> None:
    assert console_report.verdict(Audit({}, {"clearing": 0.0})).plain == "holds: no violation exceeds the tolerance of 1e-07"
    assert console_report.verdict(Audit({}, {"clearing": 2.0}, unit=100.0)).plain == (
        "does not hold: clearing 2 (payoff units; the tolerance is 1e-05)"
    )


def test_a_bound_with_an_identifier() -> None:
    claim = Claim("revenue", "1/2", "lower", "proved", "page 3", claim="002-1", true=1.0, error=0.0, met=True)
    text = "\n".join(page(console_report.solution(solved(claims=(claim,)), 120), 120))
    assert "1/2 = 0.5   proved   holds (at least), 50 % below the optimum (page 3)" in text
