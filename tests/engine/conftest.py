"""Fixtures of the engine's tests: an empty working folder, and an instance in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.instance_text import MARKET, TWO, TWO_TYPES

from optmarket.modeling import registry
from optmarket.modeling.registry import ModelSpec


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, so that a file written where none belongs is seen."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def case(folder: Path) -> Path:
    """An instance of two types, at ``instances/own/two.toml`` of the working folder."""
    path = folder / "instances" / "own" / "two.toml"
    path.parent.mkdir(parents=True)
    path.write_text(TWO_TYPES)
    return path.relative_to(folder)


@pytest.fixture
def two(folder: Path) -> Path:
    """The working folder, with an instance of two types at ``two.toml``."""
    (folder / "two.toml").write_text(TWO)
    return folder


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> str:
    """A second market, which is the first by another name."""
    names, get = registry.names, registry.get

    def found(name: str) -> ModelSpec[Any, Any, Any]:
        return replace(get(MARKET), name="toy") if name == "toy" else get(name)

    monkeypatch.setattr(registry, "names", lambda: sorted([*names(), "toy"]))
    monkeypatch.setattr(registry, "get", found)
    return "toy"
