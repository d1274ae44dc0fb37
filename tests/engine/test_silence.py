"""Only our own words reach stdout and stderr: seen from outside a process, so that what libraries write in C is seen too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import INSTANCES

CASE = INSTANCES / "selling-information" / "two-types.toml"


def streams(folder: Path, *args: str | Path, home: Path | None = None, code: int = 0) -> tuple[bytes, bytes]:
    """What a Python process writes to file descriptors 1 and 2, on a machine where nothing of the kind ever ran."""
    if home is None:
        home = folder / "home"
        home.mkdir(exist_ok=True)
    caches = {"MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "PYTHONWARNINGS"}
    env = {name: value for name, value in os.environ.items() if name not in caches} | {"HOME": str(home)}
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        command = [sys.executable, *map(str, args)]
        done = subprocess.run(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
    written = (folder / "out").read_bytes(), (folder / "err").read_bytes()
    assert done.returncode == code, written
    return written


def test_importing_writes_nothing(tmp_path: Path) -> None:
    assert streams(tmp_path, "-c", "import optmarket, optmarket.cli") == (b"", b"")


SOLVES = """
import sys
import optmarket as om
from optmarket.modeling import registry

case = om.load(sys.argv[1])
for options in ({}, {"exact": True}, {"method": "full"}):
    assert om.solve(case, **options).good
spec = registry.get(case.model)
spec.program(spec.market(case.params)).to_cvxpy()
"""


def test_solving_in_python_writes_nothing(tmp_path: Path) -> None:
    assert streams(tmp_path, "-c", SOLVES, CASE) == (b"", b"")


@pytest.mark.parametrize("extra", [[], ["--exact"], ["--method", "full"]])
def test_a_solve_writes_its_json_and_not_a_byte_more(tmp_path: Path, extra: list[str]) -> None:
    out, err = streams(tmp_path, "-m", "optmarket", "solve", CASE, "--json", *extra)
    solution = json.loads(out)
    assert solution["status"] == "optimal"
    assert (out.decode(), err) == (json.dumps(solution, sort_keys=True) + "\n", b"")


def test_a_page_starts_with_its_title(tmp_path: Path) -> None:
    out, err = streams(tmp_path, "-m", "optmarket", "solve", CASE)
    assert (out.decode().startswith("Two types with non-congruent beliefs "), err) == (True, b"")


def test_what_libraries_log_is_not_shown(tmp_path: Path) -> None:
    """matplotlib logs at length that it may not write to the home folder, here a file."""
    home = tmp_path / "home"
    home.touch()
    out, err = streams(tmp_path, "-m", "optmarket", "solve", CASE, "--plot", "--out", "results", home=home)
    written = [Path("results", "selling-information", f"two-types.{ending}") for ending in ("json", "png", "svg")]
    assert out.decode().startswith("Two types with non-congruent beliefs ")
    assert err.decode() == "".join(f"wrote {path}\n" for path in written)


WARNS = (
    "import warnings; from optmarket.cli.main import main; code = main(); warnings.warn('of a library'); raise SystemExit(code)"
)


def test_what_libraries_warn_of_is_not_shown_unless_asked_for(tmp_path: Path) -> None:
    shown, err = streams(tmp_path, "-c", WARNS, "--version")
    assert (shown.startswith(b"optmarket "), err) == (True, b"")
    again, err = streams(tmp_path, "-W", "default", "-c", WARNS, "--version")
    assert again == shown and b"UserWarning: of a library" in err


def test_processes_of_a_sweep_write_nothing(tmp_path: Path) -> None:
    command: list[str | Path] = ["-m", "optmarket", "sweep", CASE, "--set", "types.0.value=1:2:1/3", "--jobs", "2"]
    out, err = streams(tmp_path, *command)
    assert [line.split(b",")[1] for line in out.splitlines()] == [b"status", *[b"optimal"] * 4]
    assert {line.split()[0] for line in err.splitlines()} <= {b"wrote"}
