"""Sweeps: what may be varied, what each point is, what is kept on disk and used again, and what stops a sweep."""

from __future__ import annotations

import csv
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pytest
from support.command import Done
from support.paths import ROOT
from support.proofs import proof

import optmarket as om
from optmarket.errors import InstanceError, ModelError, SolverError
from optmarket.instances.parameters import axis_of_csv
from optmarket.options import Status
from optmarket.solution import Solution

LIBRARY = ROOT / "instances" / "selling-information"

TWO = LIBRARY / "two-types.toml"

SLUG = "selling-information/two-types"

module = importlib.import_module("optmarket.studies.sweep")  # the package shows the function by that name

WEIGHTS = "types[0].weight=0:1:1/4,types[1].weight=1:0:-1/4"

pytestmark = pytest.mark.usefixtures("folder")


def two_types(weight: float, value: float = 1.0) -> float:
    """The optimum of `two-types` in closed form: both at the first's worth, the second alone, or the first made indifferent."""
    worth, dear = value / 4, 2 / 5
    pooled = max(min(worth, dear), (1 - weight) * dear, weight * worth)
    # the first type's item withholds just enough that the second, which reads it wrongly, does not care for it
    partial = 1 / 7 if value == 1 else 0.0
    return max(pooled, weight * partial + (1 - weight) * dear)


# --- points in a csv file, and in the instance ---

POINTS = "name, types.1.value, types[0].value, differential-informativeness\n3, 1, 1, -0.4\n1/2, 2, 1,\n1, 1, 2, \n"


def written(text: str = POINTS, name: str = "p.csv") -> Path:
    Path(name).write_text(text, encoding="utf-8")
    return Path(name)


def requested(found: Any) -> dict[str, Any]:
    """The options of a sweep's first solve."""
    options = found.solutions[0].run.requested
    assert options is not None
    return dict(options)


def test_points_are_a_labelled_axis_with_what_is_known() -> None:
    axis = axis_of_csv(om.load(TWO), written(), ["revenue", "differential-informativeness"])
    assert axis.paths == ("types[1].value", "types[0].value") and axis.values == ((1, 2, 1), (1, 1, 2))
    assert (axis.name, axis.x) == ("name", (3, Fraction(1, 2), 1))
    assert axis.known == {"differential-informativeness": (Fraction(-2, 5), None, None)}
    bare = axis_of_csv(om.load(TWO), written("types.1.value\n1/3\n"), [])
    assert (bare.name, bare.x, bare.known) == ("types[1].value", (Fraction(1, 3),), {})


def test_points_are_solved_tabled_in_order_and_drawn_with_circles(run: Callable[..., Done]) -> None:
    found = om.sweep(TWO, points=written())
    assert [s.value for s in found.solutions] == [
        om.sweep(TWO, f"types.1.value={one}", f"types.0.value={two}").solutions[0].value for one, two in ((1, 1), (2, 1), (1, 2))
    ]
    table = found.table(["differential-informativeness"])
    assert table["name"].tolist() == [0.5, 1, 3] and table["types[1].value"].tolist() == [2, 1, 1]
    stated = table["published differential-informativeness [probability]"]
    assert stated.isna().tolist() == [True, True, False] and stated.tolist()[-1] == -0.4
    assert list(table.columns)[-1] == stated.name
    revenue, informative = found.plot().axes
    assert informative.get_xlabel() == "name" and len(revenue.lines) == 1
    line, circles = informative.lines
    assert np.asarray(circles.get_xydata()).tolist() == [[3, -0.4]] and circles.get_markerfacecolor() == "none"
    assert np.asarray(line.get_xdata()).tolist() == [0.5, 1, 3]
    legend = informative.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["optimum", "published"]
    done = run("sweep", TWO, "--points", "p.csv")
    assert done.code == 0 and done.out.startswith("name,types[1].value,types[0].value,status")
    assert Path("results/sweeps", SLUG, "by-name.svg").is_file()


def test_a_line_is_broken_where_a_quantity_is_not_reported() -> None:
    path = instance_with("")
    found = om.sweep(path, "types[0].belief[0]=0:1/2:1/4,types[0].belief[1]=1:1/2:-1/4")
    assert ["differential-informativeness" in s.quantities for s in found.solutions] == [False, True, True]
    (line,) = found.plot(["differential-informativeness"]).axes[0].lines
    assert np.isnan(line.get_ydata()).tolist() == [True, False, False]
    assert found.table(["differential-informativeness"]).iloc[:, -1].isna().tolist() == [True, False, False]


def instance_with(text: str, above: str = "") -> Path:
    """One type of belief 1/4, and what stands behind it in the file, and above it."""
    head = f'format = 1\nmodel = "selling-information"\ntitle = "t"\nsource = "s"\n{above}'
    params = '[params]\ntypes = [{ weight = 1, belief = ["1/4", "3/4"], value = 1 }]\n'
    return written(head + params + text, "case.toml")


def test_an_instance_says_what_to_vary_in_it(run: Callable[..., Done]) -> None:
    by_set = instance_with('[sweep]\nset = ["types.0.value=1:2:1/2"]\nquantities = ["surplus"]\n', "gap = 0.5\n")
    found = om.sweep(by_set)
    assert [s.value for s in found.solutions] == pytest.approx([1 / 4, 3 / 8, 1 / 2])
    assert requested(found)["gap"] == 0.5 and requested(om.sweep(by_set, gap=0.1))["gap"] == 0.1
    assert list(found.table().columns)[-1] == "surplus [payoff units]"
    assert [panel.get_ylabel() for panel in found.plot().axes] == ["surplus [payoff units]"]
    assert run("sweep", by_set).out.count("\n") == 4
    other = om.sweep(by_set, "types.0.value=3")
    assert len(other.solutions) == 1 and other.quantities == () and requested(other)["gap"] == 0.5
    written("types.0.value\n4\n", "mine.csv")
    assert om.sweep(instance_with('[sweep]\npoints = "mine.csv"\n')).solutions[0].value == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("points = 1", "sweep.points: is 1; must be text"),
        ("", "sweep: needs either set, a list of ranges, or points, a csv file, and not both"),
        ("set = []", "sweep: needs either set"),
        ('points = "p.csv"\nset = ["types.0.value=1"]', "sweep: needs either set"),
        ('points = "p.csv"\ngap = 0.1', "sweep.gap: unknown field"),
        ('points = "p.csv"\nstep = 1', "sweep.step: unknown field"),
        ('points = "p.csv"\nquantities = ["revenu"]', "sweep.quantities[0]: is 'revenu', which is no quantity of the market"),
        ('points = "q.csv"', "q.csv: there is no such file"),
    ],
)
def test_a_sweep_that_an_instance_cannot_ask_for(text: str, words: str) -> None:
    with pytest.raises(InstanceError) as refusal:
        om.sweep(instance_with(f"[sweep]\n{text}\n"))
    assert words in str(refusal.value)


BAD_POINTS = {
    "x, types.0.valu\n1, 1\n": "p.csv: line 1, column types.0.valu: is no parameter; did you mean types[0].value?; the",
    ", types.0.value\n1, 1\n": "p.csv: line 1, column 1: has no name",
    "x, revenue\n1, 1\n": "p.csv: line 1: has columns x, revenue, none of which is a parameter",
    "x, types.0.value\n1, one\n": "p.csv: line 2, column types.0.value: is 'one'",
    "x, types.0.value\n1,\n": "p.csv: line 2, column types.0.value: is ''",
    "x, types.0.value\n,1\n": "p.csv: line 2, column x: is ''",
    "x, types.0.value, revenue\n1, 1, much\n": "p.csv: line 2, column revenue: is 'much'",
    "types.0.value, types[0].value\n1, 1\n": "p.csv: types[0].value: is varied twice",
    "x, types.0.value\n1, 1\n2, 1.0\n": "p.csv: line 3: is the point of line 2 again",
    "x, types.0.value\n1, 1, 1\n": "p.csv: line 2: has 3 entries, the header 2",
    "x, types.0.value\n": "p.csv: has no row below the header",
    "x, types.0.value\n1, 1\n2, -1\n": "is -1; must be at least 0 (at types[0].value = -1), line 3 of p.csv",
}


@pytest.mark.parametrize("text", BAD_POINTS)
def test_points_that_cannot_be(text: str, run: Callable[..., Done]) -> None:
    error = run("sweep", TWO, "--points", written(text)).one_error()
    assert BAD_POINTS[text] in error
    assert [path.name for path in Path().iterdir()] == ["p.csv"]


def test_points_or_ranges(run: Callable[..., Done]) -> None:
    error = run("sweep", TWO, "--points", written(), "--set", "types.0.value=1").one_error()
    assert "points: is given beside ranges of parameters" in error
    assert "nothing is varied; write PARAM=START:STOP:STEP" in run("sweep", TWO).one_error()


# --- what a sweep finds ---


def test_a_sweep_finds_the_closed_form_at_every_point() -> None:
    found = om.sweep(TWO, "types[0].weight=0:1:1/40,types[1].weight=1:0:-1/40")
    assert found.good and found.reused == 0
    weights = [float(solution.settings["types[0].weight"]) for solution in found.solutions]
    assert weights == [k / 40 for k in range(41)]
    values = [solution.value for solution in found.solutions]
    assert np.allclose(values, [two_types(weight) for weight in weights], rtol=0, atol=1e-9)


def test_processes_find_what_one_process_finds() -> None:
    alone, together = (om.sweep(TWO, WEIGHTS, "types.1.value=1:2:1", jobs=jobs) for jobs in (1, 2))
    assert alone.solutions == together.solutions and len(alone.solutions) == 10


def test_the_table_has_a_row_a_point_with_its_parameters() -> None:
    table = om.sweep(TWO, WEIGHTS, "types.1.value=2:1:-1").table(["surplus"])
    columns = ["types[0].weight", "types[1].weight", "types[1].value", "status", "revenue [payoff units]"]
    assert list(table.columns)[:5] == columns and list(table.columns)[-1] == "surplus [payoff units]"
    assert table["types[0].weight"].tolist() == sorted([0, 1 / 4, 1 / 2, 3 / 4, 1] * 2)
    assert table["types[1].value"].tolist() == [1, 2] * 5


def test_known_answers_of_the_file_are_not_held_against_other_numbers() -> None:
    found = om.sweep(TWO, "types.0.value=2")
    assert found.good and found.solutions[0].value == pytest.approx(19 / 44, abs=1e-9)
    assert all(claim.source != "here" and claim.kind != "numerical" for claim in found.solutions[0].claims)


def test_a_point_that_fails_does_not_cost_the_others(monkeypatch: pytest.MonkeyPatch, run: Callable[..., Done]) -> None:
    solve: Callable[..., Solution] = module.solve

    def fail_at_one(case: om.Instance, **options: Any) -> Solution:
        if case.settings["types[0].value"] == 1:
            raise SolverError("stumbled")
        return solve(case, **options)

    monkeypatch.setattr(module, "solve", fail_at_one)
    found = om.sweep(TWO, "types.0.value=0:2:1")
    assert not found.good and [point for point, _ in found.failures] == [{"types[0].value": 1}]
    assert found.table()["status"].tolist() == ["optimal", "failed", "optimal"]
    done = run("sweep", TWO, "--set", "types.0.value=0:2:1")
    assert done.code == 3 and "error: stumbled (at types[0].value = 1)" in done.err
    assert [row["status"] for row in csv.DictReader(done.out.splitlines())] == ["optimal", "failed", "optimal"]
    assert len(list(Path("results/sweeps", SLUG, "points").iterdir())) == 2


def test_a_backend_that_joblib_does_not_have() -> None:
    with pytest.raises(ModelError, match="joblib cannot use the backend 'nope'"):
        om.sweep(TWO, "types.0.value=1", backend="nope")


# --- figures ---


def test_a_figure_has_a_line_for_each_value_of_the_second_parameter() -> None:
    found = om.sweep(TWO, WEIGHTS, "types.1.value=1:3:1")
    (panel,) = found.plot().axes
    assert len(panel.lines) == 3
    for line, value in zip(panel.lines, (1, 2, 3), strict=True):
        assert line.get_label() == f"types[1].value = {value}"
        there = [s.value for s in found.solutions if s.settings["types[1].value"] == value]
        assert np.array_equal(line.get_xydata(), np.column_stack([np.arange(5) / 4, there]))
    assert panel.get_xlabel() == "types[0].weight" and panel.get_ylabel() == "revenue [payoff units]"
    assert len({line.get_linestyle() for line in panel.lines}) == 3


def test_a_figure_shades_the_bounds() -> None:
    found = om.sweep(LIBRARY / "setting-b-grid-40.toml", "types.0.value=1:2:1", gap=0.5)
    (panel,) = found.plot().axes
    (shade,) = panel.collections
    low, high = shade.get_paths()[0].get_extents().intervaly
    assert low == min(proof(s).lower for s in found.solutions)
    assert high == max(proof(s).upper for s in found.solutions)


def test_rounding_is_not_drawn_as_if_it_were_something() -> None:
    low, high = om.sweep(LIBRARY / "setting-b-grid-40.toml", "types.0.value=1:2:1/4").plot().axes[0].get_ylim()
    assert high - low > 0.01


def test_figures_and_tables_refuse_what_they_cannot_show() -> None:
    found = om.sweep(TWO, WEIGHTS, "types.0.value=1", "types.1.value=1")
    with pytest.raises(ModelError, match="this sweep has 3"):
        found.plot()
    with pytest.raises(InstanceError, match="no quantity 'profit'"):
        om.sweep(TWO, "types.0.value=1").plot(["profit"])


# --- on disk ---


def points(out: str = "results/sweeps") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(out, SLUG, "points").iterdir()}


def test_the_command_writes_points_table_and_figure(run: Callable[..., Done]) -> None:
    done = run("sweep", TWO, "--set", WEIGHTS, "--quantity", "surplus")
    assert done.code == 0
    folder = Path("results/sweeps", SLUG)
    assert sorted(path.name for path in folder.iterdir()) == [
        *(f"by-types-0-weight.{ending}" for ending in ("csv", "png", "svg")),
        "points",
    ]
    assert (folder / "by-types-0-weight.csv").read_text("utf-8") == done.out
    assert len(points()) == 5
    again = run("table", folder / "points")
    assert [row["types[0].weight"] for row in csv.DictReader(again.out.splitlines())] == [
        row["types[0].weight"] for row in csv.DictReader(done.out.splitlines())
    ]
    shown = run("show", next(folder.glob("points/*.json")))
    assert "types[0].weight = " in shown.out.splitlines()[0]


def test_points_are_used_again_and_give_the_same_table(run: Callable[..., Done]) -> None:
    first = run("sweep", TWO, "--set", WEIGHTS)
    before = points()
    again = run("sweep", TWO, "--set", WEIGHTS)
    assert again.out == first.out and points() == before
    assert "5 of 5 points are in results/sweeps/selling-information/two-types/points already" in again.err


def test_a_finer_range_uses_what_is_there() -> None:
    om.sweep(TWO, WEIGHTS, out="kept")
    finer = om.sweep(TWO, WEIGHTS.replace("1/4", "1/8"), out="kept")
    assert finer.reused == 5 and len(finer.solutions) == 9


def test_a_point_is_known_by_its_numbers_not_by_how_they_were_set() -> None:
    om.sweep(TWO, "types.0.value=2", out="kept")
    other = om.sweep(TWO, "types.0.value=2", "types.1.value=1", out="kept")
    assert other.reused == 1
    assert other.table()["types[1].value"].tolist() == [1.0]
    assert list(om.tables("kept").columns[1:3]) == ["types[0].value", "types[1].value"]


def damaged(how: Callable[[dict[str, Any]], object]) -> None:
    for path in Path("kept", SLUG, "points").iterdir():
        data = json.loads(path.read_text("utf-8"))
        how(data)
        path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (lambda data: data["run"].update(optmarket="0.0.1"), "made by version 0.0.1, and this is"),
        (lambda data: data["run"].pop("optmarket"), "made by version unknown"),
        (lambda data: data["instance"].update(sha256="0" * 64), "solved for another instance"),
        (lambda data: data["run"]["requested"].update(gap=0.1), "solved with other options"),
        (lambda data: data.pop("value"), "cannot be read"),
    ],
)
def test_points_that_are_not_what_was_asked_are_made_again(how: Callable[[dict[str, Any]], object], words: str) -> None:
    first = om.sweep(TWO, WEIGHTS, out="kept")
    damaged(how)
    said: list[str] = []
    again = om.sweep(TWO, WEIGHTS, out="kept", say=said.append)
    assert again.reused == 0 and again.solutions == first.solutions
    (line,) = said
    assert line.startswith("5 of 5 points in") and words in line
    assert om.sweep(TWO, WEIGHTS, out="kept").reused == 5


def test_other_options_are_other_points() -> None:
    om.sweep(TWO, WEIGHTS, out="kept")
    assert om.sweep(TWO, WEIGHTS, out="kept", exact=True).reused == 0
    assert om.sweep(TWO, WEIGHTS, out="kept", exact=True, threads=2).reused == 5


def test_places_that_cannot_be_written(run: Callable[..., Done]) -> None:
    Path("taken").write_text("")
    assert "taken: is not a directory" in run("sweep", TWO, "--set", WEIGHTS, "--out", "taken").one_error()
    assert Path("taken").read_text() == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--jobs", "0"], "--jobs: is 0; must be at least 1"),
        (["--jobs", "-1"], "--jobs: is -1; must be at least 1"),
        (["--gap", "0"], "--gap: is 0"),
        (["--method", "guess"], "there is no method 'guess'"),
        (["--quantity", "profit"], "--quantity: is 'profit'; selling-information reports revenue"),
    ],
)
def test_bad_options_are_told_before_anything_is_solved(run: Callable[..., Done], options: list[str], words: str) -> None:
    assert words in run("sweep", TWO, "--set", WEIGHTS, *options).one_error()
    assert list(Path().iterdir()) == []


def test_jobs_in_python() -> None:
    with pytest.raises(InstanceError, match="jobs: is 0; must be a whole number, at least 1"):
        om.sweep(TWO, WEIGHTS, jobs=0)


# --- interrupted ---


def test_an_interrupted_point_is_not_kept(monkeypatch: pytest.MonkeyPatch, run: Callable[..., Done]) -> None:
    solve: Callable[..., Solution] = module.solve

    def stop_at_half(case: om.Instance, **options: Any) -> Solution:
        found = solve(case, **options)
        if case.settings["types[0].weight"] == Fraction(1, 2):
            return replace(found, status=Status.INTERRUPTED)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(module, "solve", stop_at_half)
        done = run("sweep", TWO, "--set", WEIGHTS)
    assert done.code == 130 and done.out == ""
    assert done.err.splitlines()[-1] == f"2 of 5 points are in results/sweeps/{SLUG}; the same command goes on from there"
    assert len(points()) == 2
    assert "2 of 5 points are in" in run("sweep", TWO, "--set", WEIGHTS).err
    assert len(points()) == 5


# The command, but for its points after the third, which never end: so that it can be stopped in their middle at any speed.
ENDLESS = """
import importlib, sys, threading
from optmarket.cli import main as cli

sweep = importlib.import_module("optmarket.studies.sweep")  # the package's attribute of that name is the function

def point(k, case, options):
    from optmarket.studies.sweep import _point
    return _point(k, case, options) if k < 3 else threading.Event().wait()

sweep._point = point
sys.exit(cli.main())
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_sweep_goes_on_where_it_was(how: signal.Signals) -> None:
    arguments = ["sweep", str(TWO), "--set", "types.0.value=1:2:1/9", "--jobs", "2"]
    kept = Path("results/sweeps") / SLUG / "points"
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while len(there := {path.name for path in kept.glob("*.json") if path.name[0] != "."}) < 3:
        assert process.poll() is None, process.communicate()
        sleep(0.02)
    if how is signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does it: to the workers, too
    else:
        process.kill()
    out, err = process.communicate()  # its workers hold the pipes, and must go with it
    assert process.returncode == (130 if how is signal.SIGINT else -signal.SIGKILL) and out == ""
    assert "Traceback" not in err
    assert {path.name for path in kept.glob("*.json")} == there
    for name in there:
        assert Solution.read(kept / name).status is Status.OPTIMAL
    said: list[str] = []
    again = om.sweep(om.load(TWO), "types.0.value=1:2:1/9", out="results/sweeps", say=said.append)
    assert again.reused == 3 and again.good
    assert said == [f"3 of 10 points are in {kept} already"]
