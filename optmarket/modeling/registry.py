"""The markets there are: one module each in `optmarket.models`, found by name and imported only when asked for."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import BaseModel

import optmarket.models
from optmarket.errors import ModelError
from optmarket.lp.program import LinearProgram
from optmarket.solution import Answer, Audit, Claim, Options, Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ModelSpec:
    """The one face of a market.

    Attributes
    ----------
    name, title, source : str
        ``name`` is the module's, with hyphens; ``source`` the paper.
    objective : str
        The quantity `solve` maximises.
    methods : tuple of str
        What ``--method`` accepts.
    params : type
        A frozen pydantic model that rejects unknown keys; every field says unit, shape and domain.
    solve : callable
        (params, options) -> Answer.
    program : callable
        params -> LinearProgram, or None where there is none.
    audit : callable
        (params, mechanism) -> Audit, from the primitives with numpy alone.
    theory : callable
        params -> claims by closed forms, no solver.
    tables : callable
        (params, mechanism) -> named DataFrames, in the order in which a person reads them.
    plot : callable
        (params, solution) -> matplotlib Figure; matplotlib is imported only when it is called.
    from_confusion : callable, optional
        (csv files, name of a class or None) -> text of an instance: classifiers' confusion matrices as buyers.
    units : mapping
        Each quantity's unit, in the order in which tables show them; the objective's is that of its bounds.
    """

    name: str
    title: str
    source: str
    objective: str
    methods: tuple[str, ...]
    params: type[BaseModel]
    solve: Callable[[Any, Options], Answer]
    program: Callable[[Any], LinearProgram | None]
    audit: Callable[[Any, Mapping[str, Any]], Audit]
    theory: Callable[[Any], list[Claim]]
    tables: Callable[[Any, Mapping[str, Any]], dict[str, pd.DataFrame]]
    plot: Callable[[Any, Solution], Figure]
    units: Mapping[str, str]
    from_confusion: Callable[[Sequence[Path], str | None], str] | None = None


def names() -> list[str]:
    """The names of all markets, sorted; nothing is imported."""
    found = (module.name for module in pkgutil.iter_modules(optmarket.models.__path__))
    return sorted(name.replace("_", "-") for name in found if not name.startswith("_"))


def get(name: str) -> ModelSpec:
    """The market of that name.

    Raises
    ------
    ModelError
        If there is no such market (the nearest name is said), or its module calls itself by another name.
    """
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the markets are {', '.join(known)}"
        raise ModelError(f"there is no market {name!r}; {hint}")
    module = importlib.import_module(f"optmarket.models.{name.replace('-', '_')}")
    spec = getattr(module, "MODEL", None)
    if not isinstance(spec, ModelSpec):
        raise ModelError(f"module {module.__name__} ends with no MODEL = ModelSpec(...)")
    if spec.name != name:
        raise ModelError(
            f"module {module.__name__} calls its market {spec.name!r}; it must be {name!r}, so that names are unique"
        )
    return spec
