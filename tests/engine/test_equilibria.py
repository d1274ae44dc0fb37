"""An equilibrium's certificate in all that shows, keeps, sweeps or compares solutions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.command import Done
from support.duopoly import DUOPOLY, INSTANCE
from support.registered import registered

import optmarket as om
from optmarket.certificates import Equilibrium, Optimality
from optmarket.options import Status
from optmarket.reporting.consistency import held_against_itself
from optmarket.reporting.tables import render
from optmarket.studies import curves, mechanism_files
from optmarket.studies.instance_library import rows

Run = Callable[..., Done]


@pytest.fixture(autouse=True)
def _a_duopoly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    with registered(DUOPOLY):
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "duopoly.toml"
    file.write_text(INSTANCE)
    return file


@pytest.fixture
def missed(tmp_path: Path) -> Path:
    """The equilibrium missed by an eighth, so that a firm would gain 1/64."""
    file = tmp_path / "missed.toml"
    file.write_text(INSTANCE + 'missed = "1/8"\n')
    return file


def test_a_solution_is_an_equilibrium(path: Path) -> None:
    found = om.solve(path)
    assert (found.status, found.certificate, found.exact) == (Status.EQUILIBRIUM, Equilibrium(0.0), pytest.approx(13 / 30))
    assert found.good and found.proved and found.bounds == (found.value, found.value)
    assert [claim.met for claim in found.claims] == [True]


def test_what_is_no_equilibrium_is_not_called_proved(missed: Path) -> None:
    found = om.solve(missed)
    assert found.certificate == Equilibrium(1 / 64)
    assert not found.proved and not found.good
    assert found.claims[0].met is None  # the price is off, but nothing is proved either way
    assert held_against_itself(found)[1] == ("it is called an equilibrium, and its certificate does not show that it is one",)


def test_a_certificate_must_cover_what_the_audit_finds(missed: Path) -> None:
    found = replace(om.solve(missed), certificate=Equilibrium(1e-9))
    assert found.contradictions == ("its audit finds a deviation that gains 0.0156, and its certificate 1e-09",)


def test_files_hold_it(path: Path, missed: Path, tmp_path: Path) -> None:
    for file in (path, missed):
        found = om.solve(file)
        found.write(tmp_path / "found.json")
        read = om.Solution.read(tmp_path / "found.json")
        assert read == found and isinstance(read.certificate, Equilibrium)
    assert om.solve(path).to_dict()["certificate"] == {"deviation_gain": 0.0, "unit": 1.0}


def test_pages_speak_of_it(run: Run, path: Path, missed: Path) -> None:
    page = run("solve", path)
    assert page.code == 0
    assert "equilibrium, proved exactly" in page.out and "= 13/30\n" in page.out + "\n" and "optim" not in page.out
    page = run("solve", missed)
    assert page.code == 1
    assert "a player gains 0.016 by a deviation" in page.out and "nobody gains more than 0.0156 by a deviation" in page.out
    assert "NOT MET: above the tolerance of 1e-07" in page.out


def test_audits_speak_of_it(run: Run, path: Path) -> None:
    Path("profile.json").write_text('{"format": 1, "model": "duopoly", "quantity": ["1/3", "7/30"]}')
    assert run("audit", path, "profile.json").out.rstrip().endswith("holds: no type gains by choosing another quantity")
    Path("profile.json").write_text('{"format": 1, "model": "duopoly", "quantity": ["1/2", "7/30"]}')
    done = run("audit", path, "profile.json")
    assert done.code == 1 and "a type gains 0.0278 by choosing another quantity" in done.out


def test_tables_hold_equilibria_and_optima_side_by_side(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "menu.toml"
    other.write_text(
        'format = 1\nmodel = "selling-information"\ntitle = "t"\nsource = "own"\n[params]\n'
        'types = [{ weight = 1, belief = ["1/4", "3/4"] }]\n'
    )
    table = om.tables([om.solve(path), om.solve(other)])
    assert list(table["largest deviation gain [money]"].fillna(-1)) == [0, -1]
    assert list(table["gap"].isna()) == [True, False] and list(table["lower [payoff units]"].isna()) == [True, False]
    alone = om.tables(om.solve(path))
    assert list(alone.columns) == [
        *("instance", "model", "status", "price [money]", "largest deviation gain [money]", "exact", "output [units]"),
    ]
    assert render(alone, "csv").splitlines()[1] == "duopoly,duopoly,equilibrium,0.433333,0,13/30,0.566667"


def test_sweeps_and_curves_go_through_it(path: Path) -> None:
    found = om.sweep(path, "costs[0]=0:1/10:1/20")
    assert list(found.table()["largest deviation gain [money]"]) == [0, 0, 0]
    assert len(found.plot().axes) == 1
    assert list(curves.table(found)["gap"]) == ["1e-09"] * 3


def test_the_library_s_table_takes_it(path: Path, missed: Path) -> None:
    (row,) = rows("duopoly", om.solve(path))  # its closed form
    assert (row["value"], row["outcome"], row["gap"]) == ("0.433333333", "agrees", "1e-09")
    first, _ = rows("missed", om.solve(missed))
    assert first["outcome"].startswith("NOT GOOD: does not hold") and first["gap"] == "0.02"


def test_mechanism_files_are_judged_beside_it(path: Path, missed: Path) -> None:
    file = path.with_name("duopoly.guess.json")
    file.write_text(
        '{"format": 1, "model": "duopoly", "quantity": ["1/2", "7/30"], "stated": {"price": 0.27, "kind": "published"}}'
    )
    row = mechanism_files.row("duopoly", om.load(path), om.solve(path), "guess", file)
    assert (row["lower"], row["upper"], row["percent below"]) == ("0.433333333", "0.433333334", "")
    assert (row["audited"], row["stated"], row["worst violation"]) == ("0.266666667", "0.27", "0.0278")


def test_a_certificate_of_the_other_kind_is_told(path: Path) -> None:
    found = replace(om.solve(path), status=Status.OPTIMAL)
    assert "its certificate is that of an equilibrium" in held_against_itself(found)[1][0]
    assert not replace(found, status=Status.EQUILIBRIUM, certificate=Optimality.of(0.4, 0.5)).proved
