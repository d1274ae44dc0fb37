"""The command line as a person or a script uses it: what it prints where, what it writes, and how it exits."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.command import Done, files, process
from support.instance_text import MARKET, TWO_TYPES

import optmarket as om
from optmarket import api
from optmarket.errors import SolverError
from optmarket.options import Status
from optmarket.reporting.consistency import UNCHECKED
from optmarket.solution import Solution

COMMANDS = ("list", "show", "new", "check", "solve", "audit", "export", "sweep", "table", "reproduce")

pytestmark = pytest.mark.usefixtures("folder")


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
share-buying                   1
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

audit   misreport 0   disobey 0   double deviation 0   individual rationality 0
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


def test_one_solution_does_not_overwrite_another(run: Callable[..., Done], folder: Path) -> None:
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "case.toml").write_text(TWO_TYPES)
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

    monkeypatch.setattr(api, "solve", fail)
    before = files()
    done = run("solve", case, "none.toml", "--out", "results")
    assert (done.code, done.out) == (code, "")
    assert len(done.err.splitlines()) == (1 if code == 130 else 2)  # after Ctrl-C no other file is attempted
    assert files() == before


@pytest.mark.parametrize("status", [Status.INFEASIBLE, Status.UNBOUNDED, Status.FAILED])
def test_no_certified_answer_is_3(run: Callable[..., Done], case: Path, monkeypatch: pytest.MonkeyPatch, status: Status) -> None:
    found = replace(om.solve(case), status=status)
    monkeypatch.setattr(api, "solve", lambda *_, **__: found)
    done = run("solve", case, case)
    assert done.code == 3
    assert done.out.splitlines()[0].endswith(str(status))


def test_ctrl_c_prints_and_writes_what_is_known_and_stops(
    run: Callable[..., Done], case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any, **options: Any) -> Solution:
        return om.solve(*args, **options | {"progress": lambda _: signal.raise_signal(signal.SIGINT)})

    monkeypatch.setattr(api, "solve", interrupted)
    done = run("solve", case, "none.toml", "--out", "results")
    assert done.code == 130
    assert done.out.splitlines()[0].endswith("interrupted")
    assert done.err.splitlines() == ["wrote results/own/two.json"]
    assert Solution.read("results/own/two.json").status is Status.INTERRUPTED


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
        assert (
            done.out.splitlines()[-1]
            == "holds: no type gains by misreporting, disobeying, misreporting and disobeying at once, or walking away"
        )


def test_audit_of_a_bad_mechanism(run: Callable[..., Done], case: Path) -> None:
    made = mechanism("m.json", items=[{"experiment": FULL, "price": 0.45}], assignment=[0, None])
    done = run("audit", case, made)
    assert done.code == 1
    assert "individual rationality 0.2" in done.out
    assert (
        "does not hold: a type gains 0.2 by misreporting, 0.2 by misreporting and disobeying at once, 0.2 by walking away (payoff"
        in done.out
    )
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
