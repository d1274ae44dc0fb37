"""A program written to a file, or handed to cvxpy, has the same optimum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import highspy
import numpy as np
import pytest
from support.paths import INSTANCES
from typer.testing import CliRunner

from optmarket import load
from optmarket.cli.main import app
from optmarket.errors import InstanceError
from optmarket.lp import export
from optmarket.lp.program import LinearProgram, Rows
from optmarket.models import selling_information

INSTANCES = INSTANCES / "selling-information"
CASES = [("two-types", 19 / 70), ("three-states-general", 13 / 16), ("two-contexts", 5 / 18), ("credit-report", 70.0)]


def read_and_solve(path: Path) -> float:
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    assert solver.readModel(str(path)) == highspy.HighsStatus.kOk
    solver.run()
    assert solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return float(solver.getInfo().objective_function_value)


def small() -> LinearProgram:
    """Minimise 3 x - y + 5 with 1 <= x + y <= 2 and x - y = 0, boxes [0, 4]: x = y = 1/2, value 6."""
    program = LinearProgram("min", offset=5.0, unit=2.0)
    x = program.add_variables("two words", (2,), upper=4.0, objective=np.array([3.0, -1.0]))
    program.add_rows("ranged", Rows.dense(x[None], np.array([[1.0, 1.0]]), 1.0, 2.0))
    program.add_rows("equal", Rows.dense(x[None], np.array([[1.0, -1.0]]), 0.0, 0.0))
    return program


def program_of(case: str) -> LinearProgram:
    params: Any = load(INSTANCES / f"{case}.toml").params
    found = selling_information.program(selling_information.market(params))
    assert found is not None
    return found


@pytest.mark.parametrize("suffix", [".mps", ".lp"])
@pytest.mark.parametrize(("case", "revenue"), CASES)
def test_a_written_market_reads_back_to_its_revenue(case: str, revenue: float, suffix: str, tmp_path: Path) -> None:
    program = program_of(case)
    export.write(program, tmp_path / f"program{suffix}")
    assert read_and_solve(tmp_path / f"program{suffix}") == pytest.approx(revenue, rel=1e-9)
    assert [path.name for path in tmp_path.iterdir()] == [f"program{suffix}"]


@pytest.mark.parametrize("suffix", [".mps", ".lp"])
def test_sense_offset_unit_and_names_are_written(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"small{suffix}"
    export.write(small(), path)
    assert read_and_solve(path) == pytest.approx(2 * 6.0, abs=1e-12)
    assert all(name in path.read_text() for name in ("two_words_0", "two_words_1", "ranged_0", "equal_0"))


@pytest.mark.parametrize(("case", "revenue"), CASES)
def test_cvxpy_agrees(case: str, revenue: float) -> None:
    problem = program_of(case).to_cvxpy()
    assert problem.solve(solver="HIGHS") == pytest.approx(revenue, rel=1e-8)


def test_cvxpy_gets_sense_offset_unit_and_ranges() -> None:
    assert small().to_cvxpy().solve(solver="CLARABEL") == pytest.approx(2 * 6.0, abs=1e-6)


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match=r"\.mps or \.lp"):
        export.write(small(), tmp_path / "program.txt")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InstanceError, match="is not a directory"):
        export.write(small(), tmp_path / "file" / "program.lp")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_command_line_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    instance = str(INSTANCES / "two-types.toml")
    run = CliRunner().invoke(app, ["export", instance, "--format", "lp"])
    assert (run.exit_code, run.stdout) == (0, "") and "16 rows, 14 columns" in run.stderr
    assert read_and_solve(tmp_path / "two-types.lp") == pytest.approx(19 / 70, rel=1e-9)
    wrong = CliRunner().invoke(app, ["export", instance, "-o", "program.lp"])
    assert (wrong.exit_code, wrong.stderr) == (2, "error: program.lp: must end in .mps\n")
    assert [path.name for path in tmp_path.iterdir()] == ["two-types.lp"]
