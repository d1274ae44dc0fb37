"""The examples in docstrings: all of them run, and what a market's face and the package show has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from support.layout import FILES, market_packages
from support.paths import ROOT

import optmarket

MODULES = sorted(name.removesuffix(".__init__") for name in FILES if not name.endswith("__main__"))


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def shown() -> Iterator[Any]:
    """The functions that users of the package and of a market's face see."""
    faces = [importlib.import_module(f"optmarket.models.{package}") for package in market_packages()]
    for module in (optmarket, *faces):
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isfunction(thing):
                yield pytest.param(thing, id=f"{module.__name__.removeprefix('optmarket.models.')}.{name}")


@pytest.mark.parametrize("function", list(shown()))
def test_what_is_shown_has_an_example(function: Any) -> None:
    assert ">>>" in (inspect.getdoc(function) or "")
