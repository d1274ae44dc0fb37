"""What a command loads: libraries that take long only where they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.paths import ROOT

HEAVY = ("pandas", "scipy", "matplotlib", "cvxpy", "joblib", "dask", "highspy")
TWO = str(ROOT / "instances" / "selling-information" / "two-types.toml")


def loaded(*words: str) -> set[str]:
    code = (
        "import sys\n"
        "from optmarket.cli.main import app\n"
        f"sys.argv = ['optmarket', *{list(words)!r}]\n"
        "try:\n    app()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('loaded:', *[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("loaded:")[2].split())


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("solve", "--help")])
def test_help_needs_no_heavy_library(words: tuple[str, ...]) -> None:
    assert loaded(*words) == set()


def test_a_small_solve_needs_no_library_for_figures_statistics_or_convex_programs() -> None:
    found = loaded("solve", TWO)
    assert "highspy" in found  # the check itself sees what is loaded
    assert found.isdisjoint({"matplotlib", "cvxpy", "joblib", "dask"})
