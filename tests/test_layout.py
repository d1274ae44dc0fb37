"""Which module may import which: the rules of the house, in one place."""

from __future__ import annotations

import ast
import graphlib
import re

import pytest
from support import layout
from support.layout import ENGINE, FILES, GRAPH, MARKETS, edges, folder, is_market, market_packages
from support.paths import ROOT

# What every module may use; among themselves in this order, never upwards.
GROUND = (
    *("startup", "text", "errors", "arrays", "tolerances", "rationals", "files", "validation"),
    *("options", "certificates", "plotting", "solution_file", "solution"),
)
# Beside the ground: what each part of the engine, and a market, may import from.
ALLOWED = {
    "lp": set(),
    "distributions": set(),
    "instances": {"distributions"},
    "modeling": {"lp", "distributions", "instances", "models"},
    "reporting": {"modeling", "instances"},
    "api": {"modeling", "instances"},
    "studies": {"reporting", "api", "instances", "modeling"},
    "__init__": {"api", "instances", "lp", "reporting", "studies"},
    "cli": {"studies", "reporting", "api", "instances", "modeling", "lp", "__init__"},
    "__main__": {"cli"},
    "models": set(),
}
MARKET = {"modeling", "lp", "distributions"}


def test_every_part_of_the_engine_has_its_place() -> None:
    parts = {folder(name) for name in FILES if not is_market(name)}
    assert parts == set(GROUND) | set(ALLOWED)


def test_imports_go_downwards() -> None:
    wrong = []
    for name, one in edges():
        here, there = folder(name), folder(one)
        if here == there or (there in GROUND and here not in GROUND):
            continue
        if here in GROUND:
            allowed = there in GROUND and GROUND.index(there) < GROUND.index(here)
        elif is_market(name):
            allowed = there in MARKET or (is_market(one) and one.endswith(f"{there}.__init__"))  # another market's face
        else:
            allowed = there in ALLOWED[here]
        if not allowed:
            wrong.append(f"{name} imports {one}")
    assert wrong == []


def test_no_import_goes_in_a_circle() -> None:
    """Imports for types alone left out, which are not made when the program runs."""
    ours = {name: {one for one in layout.imports(name, for_types=False) if one in FILES} for name in FILES}
    order = list(graphlib.TopologicalSorter(ours).static_order())  # raises CycleError and names the circle
    assert set(order) == set(FILES)


def test_only_the_linear_programs_know_the_solver() -> None:
    assert {folder(name) for name, targets in GRAPH.items() if "highspy" in targets} == {"lp"}


def test_only_the_registry_knows_where_markets_lie() -> None:
    knowing = {name for name, one in edges() if one.startswith("optmarket.models.") and not is_market(name)}
    assert knowing == {"optmarket.modeling.registry"}


def test_the_engine_names_no_market() -> None:
    names = [name for name in market_packages() if not name.startswith("_")]
    words = re.compile("|".join(rf"\b{name.replace('_', '[-_]')}\b" for name in names))
    named = [
        f"{path.relative_to(ENGINE)}:{number}: {line.strip()}"
        for path in layout.ENGINE_FILES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if words.search(line) and ">>>" not in line  # an example may read an instance of the library
    ]
    assert named == []


@pytest.mark.parametrize("market", market_packages())
def test_no_file_of_a_market_has_the_name_of_something_its_face_shows(market: str) -> None:
    """A package's attribute is the module or the function, whichever is imported last; type checkers do not notice."""
    face = ast.parse((MARKETS / market / "__init__.py").read_text("utf-8"))
    shown = {node.name for node in face.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    shown |= {alias.asname or alias.name for node in face.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    inside = {path.stem if path.is_file() else path.name for path in (MARKETS / market).iterdir()}
    modules = {
        alias.asname or alias.name
        for node in face.body
        if isinstance(node, ast.ImportFrom) and node.module == f"optmarket.models.{market}"
        for alias in node.names
    }
    assert (shown - modules) & inside == set()


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_first_line_of_a_module_says_what_it_does(name: str) -> None:
    said = ast.get_docstring(ast.parse(FILES[name].read_text("utf-8")))
    assert said is not None and len(said.splitlines()[0]) > 20
    assert said.splitlines()[0].endswith(".")


@pytest.mark.parametrize("market", market_packages())
def test_no_two_files_of_a_market_have_the_same_name(market: str) -> None:
    names = [path.stem for path in (MARKETS / market).rglob("*.py") if path.stem != "__init__"]
    names += [path.name for path in (MARKETS / market).rglob("*") if path.is_dir() and path.name != "__pycache__"]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


# --- the tests themselves ---

TESTS = sorted((ROOT / "tests").rglob("*.py"))
MOST_LINES = 450


def test_no_test_file_is_long() -> None:
    lengths = {path.name: len(path.read_text("utf-8").splitlines()) for path in TESTS}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_no_test_file_imports_another() -> None:
    """What several tests share lies in tests/support."""
    wrong = []
    for path in TESTS:
        for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            named += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            wrong += [f"{path.name} imports {one}" for one in named if one.split(".")[-1].startswith(("test_", "conftest"))]
    assert wrong == []


def test_the_tests_mirror_the_markets() -> None:
    there = {path.name for path in (ROOT / "tests" / "markets").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert there == {name for name in market_packages() if not name.startswith("_")}
