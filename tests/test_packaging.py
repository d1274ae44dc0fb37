"""What is shipped, what the README promises, what is depended on, and what tests depend on."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import itertools
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support import layout
from support.paths import ROOT

import optmarket

ENGINE = ROOT / "optmarket"
MARKETS = ROOT / "models"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


# --- what is shipped ---


def copy_of_tree(target: Path) -> Path:
    """The tree as a clone would hold it, so that a build leaves nothing here and finds no earlier build."""
    ignore = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "venv", "htmlcov")
    shutil.copytree(ROOT, target, symlinks=True, ignore=ignore)
    return target


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, f"{command} exited {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


def test_the_link_to_the_markets_is_relative_and_resolves() -> None:
    link = ENGINE / "models"
    assert link.is_symlink(), "optmarket/models must be a link (on Windows: git config core.symlinks true, then check out again)"
    assert Path(os.readlink(link)).as_posix() == "../models"
    assert link.resolve() == MARKETS
    assert MARKETS.is_dir() and not MARKETS.is_symlink()


def test_the_link_is_committed_as_a_link() -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    tracked = run("git", "ls-files", "--stage", "--", "optmarket/models", cwd=ROOT).stdout.splitlines()
    assert [line.split()[0] for line in tracked] == ["120000"], "git must track optmarket/models as one link, nothing below it"


@pytest.fixture(scope="module")
def wheel_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from the sdist, which is built from the tree; by the build backend itself, without a network."""
    folder = tmp_path_factory.mktemp("build")
    tree = copy_of_tree(folder / "tree")
    build = "import setuptools.build_meta as backend; backend.build_{}({!r})"
    run(sys.executable, "-c", build.format("sdist", str(folder)), cwd=tree)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as packed:
        packed.extractall(folder / "sdist", filter="data")
    (source,) = (folder / "sdist").iterdir()
    run(sys.executable, "-c", build.format("wheel", str(folder)), cwd=source)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def wheel(wheel_file: Path) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(wheel_file) as archive:
        yield archive


def test_every_folder_of_modules_is_a_listed_package() -> None:
    """setuptools ships what is listed; a folder that is forgotten would be missing from the wheel alone."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    engine = {".".join(("optmarket", *path.parent.relative_to(ENGINE).parts)) for path in layout.ENGINE_FILES}
    markets = {".".join(("optmarket.models", *path.parent.relative_to(MARKETS).parts)) for path in layout.MARKET_FILES}
    assert settings["packages"] == sorted(engine | markets)
    assert all((path.parent / "__init__.py").is_file() for path in layout.ENGINE_FILES + layout.MARKET_FILES)


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    expected = {f"optmarket/{path.relative_to(ENGINE).as_posix()}" for path in layout.ENGINE_FILES}
    expected |= {f"optmarket/models/{path.relative_to(MARKETS).as_posix()}" for path in layout.MARKET_FILES}
    expected.add("optmarket/py.typed")
    shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert shipped == expected


@pytest.mark.slow
def test_the_wheel_works_in_a_clean_environment_elsewhere(wheel_file: Path, tmp_path: Path) -> None:
    """Needs a package index; nothing of this tree is on the path."""
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(sys.executable, "-m", "venv", str(tmp_path / "venv"), cwd=tmp_path)
    run(str(python), "-m", "pip", "install", "-q", str(wheel_file), cwd=tmp_path)
    run(str(python), "-m", "optmarket", "new", "selling-information", "-o", "mine.toml", cwd=tmp_path)
    shutil.copy(ROOT / "instances" / "selling-information" / "two-types.toml", tmp_path)
    assert "optimal, proved" in run(str(python), "-m", "optmarket", "solve", "mine.toml", "two-types.toml", cwd=tmp_path).stdout
    swept = run(str(python), "-m", "optmarket", "sweep", "two-types.toml", "--set", "types.0.value=0:1:1/2", cwd=tmp_path)
    assert [line.split(",")[1] for line in swept.stdout.splitlines()] == ["status", "optimal", "optimal", "optimal"]
    where = run(str(python), "-c", "import optmarket; print(optmarket.__file__)", cwd=tmp_path).stdout
    assert Path(where).is_relative_to(tmp_path)


def test_the_wheel_says_command_and_licence(wheel: zipfile.ZipFile) -> None:
    info = f"optmarket-{PROJECT['version']}.dist-info"
    commands = wheel.read(f"{info}/entry_points.txt").decode().splitlines()
    assert [line for line in commands if line] == ["[console_scripts]", f"optmarket = {PROJECT['scripts']['optmarket']}"]
    assert "License-Expression: MIT" in wheel.read(f"{info}/METADATA").decode().splitlines()
    assert wheel.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()


def test_the_command_and_the_module_are_the_same_program() -> None:
    module, _, function = PROJECT["scripts"]["optmarket"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))
    assert PROJECT["version"] in run(sys.executable, "-m", "optmarket", "--version", cwd=ROOT).stdout


def test_one_version_everywhere() -> None:
    assert optmarket.__version__ == PROJECT["version"]
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [PROJECT["version"]]


# --- what the README promises ---


def readme_command(word: str) -> str:
    """The one shell line of the README that makes an environment and mentions the word."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if "-m venv" in line and word in line]
    assert len(lines) == 1, f"README.md needs exactly one line in its sh blocks with '-m venv' and {word!r}; found {lines}"
    return str(lines[0])


def test_ci_runs_the_test_command_of_the_readme() -> None:
    script = ROOT / ".ci" / "run"
    assert readme_command("pytest") in script.read_text("utf-8").splitlines()
    assert os.access(script, os.X_OK)


@pytest.mark.slow
def test_the_solve_command_of_the_readme(tmp_path: Path) -> None:
    """As a newcomer types it, in a tree that was never installed; needs a package index."""
    done = run("bash", "-c", readme_command("optmarket solve"), cwd=copy_of_tree(tmp_path / "tree"))
    assert "optimal" in done.stdout


def requirement_names(lines: Iterable[str]) -> set[str]:
    return {re.split(r"[^\w-]", line, maxsplit=1)[0] for line in lines}


EXTRAS = PROJECT["optional-dependencies"]
DECLARED = [
    Requirement(line) for line in [*PROJECT["dependencies"], *itertools.chain(*EXTRAS.values())] if "optmarket[" not in line
]


def pinned() -> dict[str, str]:
    """The versions in constraints.txt, each name in the form that does not depend on how it is spelt."""
    lines = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    found = {str(canonicalize_name(name)): version for name, version in (line.split("==") for line in lines)}
    assert len(found) == len(lines), "a name stands there twice"
    return found


def closure(wanted: Iterable[Requirement]) -> set[str]:
    """What they need here, and what that needs, as far as it is installed."""
    found: set[str] = set()
    left = [(one.name, one.extras) for one in wanted]
    while left:
        name, extras = left.pop()
        if canonicalize_name(name) in found:
            continue
        found.add(canonicalize_name(name))
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for one in map(Requirement, needs):
            if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in ["", *extras]):
                left.append((one.name, one.extras))
    return found


def test_every_declared_dependency_is_pinned_within_its_bounds() -> None:
    there = pinned()
    assert [str(one) for one in DECLARED if there.get(canonicalize_name(one.name), "none") not in one.specifier] == []


def test_what_the_dependencies_need_is_pinned_too_and_nothing_else() -> None:
    there = pinned()
    missing = []  # of the checks, which are not needed to run this
    for one in DECLARED:
        try:
            version = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(one.name)
            continue
        if version != there[canonicalize_name(one.name)]:
            pytest.skip(f"{one.name} is not here in the version of constraints.txt, and may need other packages")
    needed = closure(DECLARED)
    assert needed - there.keys() == set(), "needed, but not pinned"
    if not missing:
        assert there.keys() - needed == set(), "pinned, but needed by nothing"


def test_dependencies_that_break_things_have_an_upper_bound() -> None:
    bounded = {one.name for one in DECLARED if any(part.operator == "<" for part in one.specifier)}
    assert bounded >= {"highspy", "cvxpy", "pandas", "typer", "pydantic"}
    reasons = [line for line in (ROOT / "pyproject.toml").read_text("utf-8").splitlines() if re.match(r'    "\S+,<', line)]
    assert len(reasons) == len(bounded) and all(re.search(r"# \w+", line) for line in reasons)


def test_the_lowest_versions_are_the_lower_bounds() -> None:
    lines = run(sys.executable, str(ROOT / ".ci" / "lowest.py"), cwd=ROOT).stdout.splitlines()
    lowest = {name: version for name, version in (line.split("==") for line in lines)}
    lines = [*PROJECT["dependencies"], *EXTRAS["data"], *EXTRAS["test"]]
    tested = [Requirement(line) for line in lines if "optmarket[" not in line]
    assert lowest.keys() == {one.name for one in tested}
    for one in tested:
        assert lowest[one.name] in one.specifier
        assert [part.version for part in one.specifier if part.operator == ">="] == [lowest[one.name]]


def test_every_environment_of_ci_but_the_newest_has_its_versions_given() -> None:
    installs = [line for line in (ROOT / ".ci" / "run").read_text("utf-8").splitlines() if "pip install" in line]
    free = [line for line in installs if " -c " not in line]
    assert len(installs) == 4 and len(free) == 1 and free[0].startswith(".venv-newest/")


def test_dependencies_are_what_is_imported() -> None:
    outside = {one for targets in layout.GRAPH.values() for one in targets if not one.startswith("optmarket.")}
    imported = {{"sklearn": "scikit-learn"}.get(one, one) for one in outside - sys.stdlib_module_names}
    needed = requirement_names(PROJECT["dependencies"])
    optional = requirement_names(line for extra in EXTRAS.keys() - {"test", "dev"} for line in EXTRAS[extra])
    assert needed - imported == set(), "declared, but imported nowhere"
    assert imported - needed - optional == set(), "imported, but declared nowhere"


# --- what tests depend on ---


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: path.name)
def test_no_test_reads_a_clock(path: Path) -> None:
    """What takes how long says how busy the machine is; tests count rounds, rows or calls, and wait for files or processes."""
    clocks = {"time", "time_ns", "perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "process_time", "now", "today"}
    for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            assert name not in clocks, f"line {node.lineno} reads a clock"
            assert name != "Timer", f"line {node.lineno} does something after a time"
            first = node.args[0] if node.args else None
            waits = name == "join" and isinstance(first, ast.Constant) and not isinstance(first.value, str)
            assert not waits, f"line {node.lineno} waits for a time"
            given = {word.arg: word.value for word in node.keywords}
            assert "timeout" not in given, f"line {node.lineno} waits for a time"
            limit = given.get("deadline")
            assert limit is None or (isinstance(limit, ast.Constant) and limit.value is None), f"line {node.lineno}: a deadline"
