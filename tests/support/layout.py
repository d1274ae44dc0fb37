"""The modules of the project and what each imports, read from the files."""

from __future__ import annotations

import ast
from pathlib import Path

from support.paths import ROOT

ENGINE = ROOT / "optmarket"
MARKETS = ROOT / "models"
# without the link to the markets, which lie elsewhere
ENGINE_FILES = sorted(path for path in ENGINE.rglob("*.py") if path.relative_to(ENGINE).parts[0] != "models")
MARKET_FILES = sorted(MARKETS.rglob("*.py"))


def _name(path: Path) -> str:
    """The dotted name of a module, a package's own file as ``<package>.__init__``."""
    inside = path.relative_to(ENGINE) if path.is_relative_to(ENGINE) else Path("models") / path.relative_to(MARKETS)
    return ".".join(("optmarket", *inside.with_suffix("").parts))


FILES = {_name(path): path for path in (*ENGINE_FILES, *MARKET_FILES)}


def imports(name: str, *, for_types: bool = True) -> set[str]:
    """The modules that one imports, wherever in the file: ours by their dotted names, others by their top name.

    Parameters
    ----------
    name : str
    for_types : bool
        Whether imports below ``if TYPE_CHECKING:`` count.
    """
    found: set[str] = set()
    tree = ast.parse(FILES[name].read_text("utf-8"), name)
    if not for_types:
        tree.body = [node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {_module(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}, line {node.lineno}: modules are imported by their full names"
            assert node.module is not None
            found |= {_module(f"{node.module}.{alias.name}", node.module) for alias in node.names}
    return found


def _module(target: str, otherwise: str | None = None) -> str:
    """The module that an import of a name, from a module, reads."""
    for one in (target, otherwise or target):
        if one in FILES:
            return one
        if f"{one}.__init__" in FILES:
            return f"{one}.__init__"
    return (otherwise or target) if target.startswith("optmarket.") else target.partition(".")[0]


GRAPH = {name: imports(name) for name in FILES}


def folder(name: str) -> str:
    """The part of the house a module belongs to: a folder of the engine, a file at its top level, or ``models.<market>``."""
    parts = name.split(".")
    if parts[1] == "models":
        return "models" if parts[2] == "__init__" else f"models.{parts[2]}"
    return parts[1]


def is_market(name: str) -> bool:
    return folder(name).startswith("models.")


def market_packages() -> list[str]:
    """The folders of the markets, the template among them."""
    return sorted({name.split(".")[2] for name in FILES if is_market(name)})


def edges() -> list[tuple[str, str]]:
    """(importing module, imported module), all of them ours."""
    found = [(name, one) for name, targets in GRAPH.items() for one in targets if one.split(".")[0] == "optmarket"]
    assert len(found) > 100, "hardly an import found: the walk is broken, or the tree is empty"
    return found
