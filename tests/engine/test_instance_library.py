"""Solving everything again: what is shown, what counts as a failure, what is written, and what stops it before it starts."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.small_library import MARKET, RIGHT, expecting, instance, table

import optmarket as om
from optmarket.certificates import Audit, Claim, Optimality
from optmarket.errors import InstanceError, ModelError, OptmarketError, SolverError
from optmarket.options import Status
from optmarket.solution import Solution
from optmarket.solution_file import InstanceReference
from optmarket.studies import instance_library as module
from optmarket.studies.instance_library import SECONDS, Row, claims_page, read, reproduce, rows

pytestmark = pytest.mark.usefixtures("folder")


def contents() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path("results").iterdir()}


def refused(kind: type[OptmarketError] = InstanceError, **options: Any) -> str:
    with pytest.raises(kind) as refusal:
        reproduce(**options)
    return str(refusal.value)


# What is shown ---------------------------------------------------------------------------------------------------------


def test_a_row_says_what_was_found_and_what_is_stated() -> None:
    instance("one", expecting("19/70", claim="9-1", verdict="holds", says="It earns so much."))
    done = reproduce()
    assert (done.good, done.failures, done.errors) == (True, (), ())
    assert str(done) == "1 instance solved, 4 claims: 4 agree"
    assert [path.as_posix() for path in done.files] == [
        f"results/{name}" for name in (f"{MARKET}.csv", "seconds.csv", "mechanisms.csv", "claims.md")
    ]
    first, *theory = table()
    assert first == {
        "instance": f"{MARKET}/one",
        "quantity": "revenue",
        "value": "0.271428571",
        "truth": "19/70",
        "relation": "eq",
        "kind": "analytic",
        "verdict": "holds",
        "outcome": "agrees",
        "error": "0",
        "gap": "1e-09",
        "claim": "9-1",
        "says": "It earns so much.",
        "source": "here",
    }
    assert [row["outcome"] for row in theory] == [
        "agrees",
        "holds (at least), 7.9 % below the optimum",
        "holds (at most), 20 % above the optimum",
    ]


def test_a_wrong_binding_claim_is_shown_and_fails() -> None:
    instance("one", expecting("0.3", "exact"))
    done = reproduce()
    assert (done.good, done.unmet, done.agree) == (False, 1, 3)
    assert done.failures == (f"{MARKET}/one: revenue 0.3: NOT MET: differs by 0.0286, 11 % above the optimum (here)",)
    assert str(done).endswith("4 claims: 3 agree, 1 NOT MET")
    assert (table()[0]["outcome"], table()[0]["error"]) == ("NOT MET: differs by 0.0286, 11 % above the optimum", "0.029")


@pytest.mark.parametrize("kind", ["published", "neural"])
def test_a_published_or_learned_value_that_differs_is_shown_and_does_not_fail(kind: str) -> None:
    instance("one", expecting("0.266", kind))
    done = reproduce()
    assert (done.good, done.failures, done.differ) == (True, (), {kind: 1})
    assert f"1 {kind} differs" in str(done)
    assert (table()[0]["outcome"], table()[0]["error"]) == ("differs by 0.00543, 2 % below the optimum", "0.0054")


def test_a_claim_known_to_be_wrong_shows_the_printed_value() -> None:
    instance("one", RIGHT, expecting("0.266", "published", verdict="wrong", claim="9-2"))
    done = reproduce()
    assert (done.good, done.known, done.agree) == (True, 1, 4)
    assert table()[1]["outcome"] == "printed 0.266, true 0.271429: known to be wrong"


def test_a_claim_counted_as_wrong_that_holds_fails() -> None:
    instance("one", expecting("19/70", verdict="misprint", claim="9-2"))
    assert reproduce().failures == (
        f"{MARKET}/one: revenue 19/70: NOT MET: printed 19/70, true 0.271429: holds, but counts as a known misprint (here)",
    )


def test_a_solution_that_is_not_good_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    instance("one", RIGHT)
    good = om.solve("instances/selling-information/one.toml")
    changes: list[tuple[dict[str, Any], str]] = [
        ({"status": Status.GAP}, "NOT GOOD: gap not reached, not optimal"),
        (
            {"audit": replace(good.audit, violations={"misreport": 0.25}, relative={"misreport": 0.5})},
            "NOT GOOD: does not hold: a type gains 0.25 by mis",
        ),
        ({"audit": Audit({"revenue": 0.25}, {})}, "NOT GOOD: the audit makes the revenue 0.25"),
    ]
    for change, words in changes:
        monkeypatch.setattr(module, "solve", lambda path, change=change: replace(good, **change))
        done = reproduce()
        assert not done.good
        assert len(done.failures) == 1 and done.failures[0].startswith(f"{MARKET}/one: {words}")
        assert table()[0]["outcome"].startswith(words)
        assert len(table()) == 5


def test_what_is_not_decided_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    instance("one", RIGHT)
    good = om.solve("instances/selling-information/one.toml")
    undecided = replace(good, claims=(replace(good.claims[0], met=None), Claim("surplus", "1")))
    monkeypatch.setattr(module, "solve", lambda path: undecided)
    done = reproduce()
    assert (done.good, done.open, done.claims) == (True, 2, 2)
    assert "2 open" in str(done)
    assert [(row["value"], row["error"], row["outcome"]) for row in table()] == [
        ("0.271428571", "0", "open: the bounds reached do not decide it"),
        ("", "", "undecided, as the market reports no such quantity"),
    ]


def test_an_instance_of_which_nothing_is_claimed_has_a_row() -> None:
    instance("one")
    (row,) = rows("one", replace(om.solve("instances/selling-information/one.toml"), claims=()))
    assert (row["quantity"], row["value"], row["truth"], row["outcome"]) == ("revenue", "0.271428571", "", "nothing is claimed")


# Digits that do not depend on the machine ------------------------------------------------------------------------------


def with_numbers(value: float, unit: float, gap: float, error: float = 0.0, quantity: str = "revenue") -> Row:
    solution = Solution(
        instance=InstanceReference("one", "0"),
        model=MARKET,
        title="t",
        status=Status.OPTIMAL,
        objective="revenue",
        value=value,
        quantities={"revenue": value, quantity: value},
        certificate=Optimality(value, value, gap),
        audit=Audit({"revenue": value}, {}, unit),
        claims=(Claim(quantity, "3/2", true=value, error=error, met=True, tolerance=1.0),),
        mechanism={},
        tables={},
    )
    (row,) = rows("one", solution)
    return row


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (69.9999999993, 128.0, "70"),
        (2 / 7, 1.0, "0.285714286"),
        (-4e-13, 1.0, "0"),
        (4e-8, 128.0, "0"),
        (123456.7891234, 1.0, "123456.789"),
        (2 / 7e6, 2.0**-20, "2.85714286e-07"),
        (5e20, 2.0**69, "5e+20"),
    ],
)
def test_values_have_nine_digits_and_no_rounding_behind(value: float, unit: float, written: str) -> None:
    assert with_numbers(value, unit, 1e-12)["value"] == written


def test_what_is_no_payoff_does_not_compare_to_the_payoff_scale() -> None:
    assert with_numbers(1e-3, 2.0**30, 1e-12, quantity="share-buying")["value"] == "0.001"


@pytest.mark.parametrize(("error", "written"), [(9e-10, "0"), (1.1e-9, "1e-09"), (0.001327, "0.0013"), (0.5700000000003, "0.57")])
def test_errors_have_two_digits_and_are_zero_for_rounding(error: float, written: str) -> None:
    assert with_numbers(1.5, 1.0, 1e-12, error)["error"] == written


@pytest.mark.parametrize(
    ("gap", "written"),
    [(0.0, "1e-09"), (3e-13, "1e-09"), (1e-9, "1e-09"), (1.1e-9, "2e-09"), (0.012, "0.02"), (float("inf"), "inf")],
)
def test_gaps_are_rounded_upwards(gap: float, written: str) -> None:
    assert with_numbers(1.5, 1.0, gap)["gap"] == written


# What is written -------------------------------------------------------------------------------------------------------


def test_two_runs_write_the_same() -> None:
    for name in ("b", "a-1", "a", "deep/c"):
        instance(name, RIGHT, expecting("13/40", quantity="first-best", claim="9-1", verdict="holds"))
    reproduce()
    first = contents()
    reproduce()
    second = contents()
    assert first.keys() == second.keys() == {f"{MARKET}.csv", "claims.md", "mechanisms.csv", "seconds.csv"}
    assert [name for name in first if first[name] != second[name] and name != "seconds.csv"] == []
    order = [f"{MARKET}/{name}" for name in ("a", "a-1", "b", "deep/c")]
    assert list(dict.fromkeys(row["instance"] for row in table())) == order
    seconds = read(Path("results/seconds.csv"), SECONDS)
    assert [row["instance"] for row in seconds] == order
    assert all(float(row["seconds"]) >= 0 and row["method"] == "cuts" and int(row["rounds"]) for row in seconds)


def test_claims_are_sorted_by_number_and_fall_back_on_the_source() -> None:
    instance("b", expecting("19/70", claim="9-10", verdict="condition", says="One | two."))
    instance("a", expecting("0.2", "published", claim="9-02", verdict="wrong"), expecting("19/70", claim="9-10", verdict="holds"))
    reproduce()
    page = Path("results/claims.md").read_text(encoding="utf-8")
    assert page.startswith("# Claims decided\n\n") and page == claims_page(table())
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in page.splitlines() if line.startswith("| 9-")]
    a, b = f"{MARKET}/a", f"{MARKET}/b"
    assert cells == [
        ["9-02", "here", "wrong", "revenue", "0.2", "0.271428571", "printed 0.2, true 0.271429: known to be wrong", a],
        ["9-10", "here", "holds", "revenue", "19/70", "0.271428571", "agrees", a],
        ["9-10", "One \\| two.", "holds with a condition", "revenue", "19/70", "0.271428571", "agrees", b],
    ]


def test_one_market_keeps_what_is_there_of_the_others(toy: str) -> None:
    claim = {"claim": "9-1", "verdict": "holds"}
    instance("one", expecting("19/70", **claim))
    instance("two", expecting("19/70", **claim), market=toy)
    assert reproduce().instances == 2
    before = contents()
    Path("instances", MARKET, "one.toml").unlink()
    instance("new", RIGHT)
    done = reproduce(MARKET)
    assert [path.name for path in done.files] == [f"{MARKET}.csv", "seconds.csv", "mechanisms.csv", "claims.md"]
    after = contents()
    assert after[f"{toy}.csv"] == before[f"{toy}.csv"]
    assert {row["instance"] for row in table()} == {f"{MARKET}/new"}
    assert [row["instance"] for row in read(Path("results/seconds.csv"), SECONDS)] == [f"{MARKET}/new", "toy/two"]
    assert "toy/two" in after["claims.md"].decode() and f"{MARKET}/one" not in after["claims.md"].decode()


def test_progress_tells_each_instance() -> None:
    instance("a", RIGHT)
    instance("b", expecting("0.3"))
    instance("c").write_text("no toml", encoding="utf-8")
    told: list[str] = []
    reproduce(progress=told.append)
    assert told == [
        f"{MARKET}/a: revenue 0.271428571, 4 claims",
        f"{MARKET}/b: revenue 0.271428571, 4 claims, NOT all as it should be",
        f"{MARKET}/c: FAILED",
    ]


# What goes wrong -------------------------------------------------------------------------------------------------------


def test_an_instance_that_cannot_be_read_or_solved_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c", "d"):
        instance(name, RIGHT)
    Path("instances", MARKET, "b.toml").write_text('format = 1\nmodel = "selling-information"', encoding="utf-8")

    def solve(path: Path) -> Solution:
        if path.stem == "c":
            raise MemoryError
        return om.solve(path)

    monkeypatch.setattr(module, "solve", solve)
    done = reproduce()
    assert not done.good
    assert [type(error) for error in done.errors] == [InstanceError, SolverError]
    assert [error.file for error in done.errors] == [str(Path("instances", MARKET, f"{name}.toml")) for name in "bc"]
    assert done.instances == 2
    outcomes = {row["instance"][-1]: row["outcome"] for row in table()}
    assert outcomes["b"].startswith("FAILED: title: is missing")
    assert outcomes["c"] == "FAILED: needs more memory than there is"
    assert outcomes.keys() == set("abcd")


def test_without_instances_nothing_is_done() -> None:
    assert refused() == "there is no folder instances; run this in a clone of optmarket, or name one with --instances"
    Path("instances", MARKET).mkdir(parents=True)
    assert refused() == "instances: holds no instance (a .toml file)"
    assert refused(market=MARKET) == f"{Path('instances', MARKET)}: holds no instance (a .toml file)"
    assert not Path("results").exists()


def test_an_unknown_market_is_told_with_the_nearest_name() -> None:
    instance("one", RIGHT)
    assert refused(ModelError, market="seling-information").endswith(f"did you mean '{MARKET}'?")
    stray = instance("one", market="elsewhere")
    assert refused(ModelError).startswith(f"{stray}: there is no market 'elsewhere'")
    assert not Path("results").exists()


@pytest.fixture
def unsolved(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The error of a run that must not solve anything."""
    instance("one", RIGHT)
    monkeypatch.setattr(module, "solve", lambda path: pytest.fail("solved before it was known where to write"))
    return refused


def test_out_must_be_a_folder_that_can_be_written(unsolved: Callable[..., str]) -> None:
    Path("results").touch()
    assert "is not a directory" in unsolved()
    assert "is not a directory" in unsolved(out="results/deeper")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is forbidden here")
def test_out_may_be_forbidden(unsolved: Callable[..., str]) -> None:
    Path("results").mkdir(mode=0o500)
    assert "may not be written to" in unsolved()


@pytest.mark.parametrize("name", [f"{MARKET}.csv", "claims.md", "mechanisms.csv", "seconds.csv"])
def test_a_directory_in_a_tables_place_is_told(unsolved: Callable[..., str], name: str) -> None:
    Path("results", name).mkdir(parents=True)
    assert unsolved().startswith(f"{Path('results', name)}: is a directory")


@pytest.mark.parametrize("text", ["instance,method\na,b\n", ",".join(SECONDS) + "\na,b\n", ",".join(SECONDS) + '\n"a\n'])
def test_a_table_of_another_make_is_not_taken_for_ours(unsolved: Callable[..., str], text: str) -> None:
    Path("results").mkdir()
    Path("results/seconds.csv").write_text(text, encoding="utf-8")
    assert unsolved().startswith(f"{Path('results/seconds.csv')}: ")


@pytest.mark.parametrize("raised", [True, False])
def test_ctrl_c_leaves_what_is_complete(toy: str, monkeypatch: pytest.MonkeyPatch, raised: bool) -> None:
    instance("one", RIGHT)
    instance("one", RIGHT, market=toy)
    instance("two", RIGHT, market=toy)

    def solve(path: Path) -> Solution:
        if path.stem != "two":
            return om.solve(path)
        if raised:
            raise KeyboardInterrupt
        return replace(om.solve(path), status=Status.INTERRUPTED)

    monkeypatch.setattr(module, "solve", solve)
    with pytest.raises(KeyboardInterrupt):
        reproduce()
    assert contents().keys() == {f"{MARKET}.csv"}
    assert len(table()) == 4
