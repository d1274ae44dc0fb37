"""Specify markets, and find them by name: each is a package of `optmarket.models` that is imported when it is needed."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel

import optmarket.models
from optmarket.certificates import Audit, Claim
from optmarket.errors import ModelError
from optmarket.options import Options
from optmarket.solution import Answer, Mechanism, Solution

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from optmarket.lp.program import LinearProgram

ParamsT = TypeVar("ParamsT", bound=BaseModel)
MarketT = TypeVar("MarketT")
MechanismT = TypeVar("MechanismT", bound=Mechanism)


@dataclass(frozen=True)
class Quantity:
    """The description of a named scalar that a market's solutions report.

    Attributes
    ----------
    unit : str
        For example ``payoff units`` or ``probability``.
    label : str
        A description in a few plain words.
    """

    unit: str
    label: str


@dataclass(frozen=True)
class Source:
    """A way to make an instance from files of some kind, such as confusion matrices.

    Attributes
    ----------
    files : str
        A description of the files for the help.
    make : callable
        (files, values of options) -> the text of an instance file. It raises an InstanceError for invalid files.
    options : mapping of str to str
        The name and the help of each option.
    """

    files: str
    make: Callable[[Sequence[Path], Mapping[str, str]], str]
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSpec(Generic[ParamsT, MarketT, MechanismT]):
    """The specification of a market: everything that the engine needs to know about it.

    Attributes
    ----------
    name, title, source : str
        The name of the package, with hyphens; a one-line title; and the paper.
    objective : str
        The main quantity: what `solve` maximises, or the value by which an equilibrium is reported.
    methods : mapping of str to str
        The methods that ``--method`` accepts, with a description of each; the first is ``auto``.
    params : type
        A frozen pydantic model that rejects unknown keys. The description of every field states unit, shape and domain.
    market : callable
        params -> market: the exact arrays from which everything else is computed. It is called once for each solve.
    solve : callable
        (market, options) -> Answer.
    program : callable
        market -> LinearProgram, or None if the market is not solved by one.
    read : callable
        (market, JSON object of a mechanism file) -> mechanism. It is the inverse of ``mechanism.to_json``, and raises an
        InstanceError for invalid input.
    audit : callable
        (market, mechanism) -> Audit, computed from the primitives with numpy only.
    theory : callable
        market -> list of Claim from closed forms, computed without a solver.
    tables : callable
        (market, mechanism) -> DataFrames by name, in the order in which they are shown.
    figure : callable
        (market, mechanism, solution) -> matplotlib Figure. It imports matplotlib only when it is called.
    quantities : mapping of str to Quantity
        The quantities in the order in which tables show them. The bounds on the objective have the objective's unit.
    deviations : mapping of str to str
        For each kind of violation in an audit, a description that follows "gains by".
    empty : mapping of str to str
        For a table's name, the text that is shown if the table has no rows.
    sources : mapping of str to Source
        Ways to make an instance from files.

    Examples
    --------
    >>> spec = load("_template")
    >>> spec.objective, list(spec.methods)
    ('profit', ['auto', 'posted-price'])
    """

    name: str
    title: str
    source: str
    objective: str
    methods: Mapping[str, str]
    params: type[ParamsT]
    market: Callable[[ParamsT], MarketT]
    solve: Callable[[MarketT, Options], Answer]
    program: Callable[[MarketT], LinearProgram | None]
    read: Callable[[MarketT, Mapping[str, Any]], MechanismT]
    audit: Callable[[MarketT, MechanismT], Audit]
    theory: Callable[[MarketT], list[Claim]]
    tables: Callable[[MarketT, MechanismT], dict[str, pd.DataFrame]]
    figure: Callable[[MarketT, MechanismT, Solution], Figure]
    quantities: Mapping[str, Quantity]
    deviations: Mapping[str, str] = field(default_factory=dict)
    empty: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)

    @property
    def units(self) -> dict[str, str]:
        """The unit of each quantity."""
        return {name: quantity.unit for name, quantity in self.quantities.items()}


def names() -> list[str]:
    """List the names of all markets, sorted, without importing them.

    Examples
    --------
    >>> "selling-information" in names()
    True
    """
    found = (module.name for module in pkgutil.iter_modules(optmarket.models.__path__))
    return sorted(name.replace("_", "-") for name in found if not name.startswith("_"))


def get(name: str) -> ModelSpec[Any, Any, Any]:
    """Get a market by its name.

    Parameters
    ----------
    name : str
        With hyphens, as `names` gives it.

    Returns
    -------
    ModelSpec

    Raises
    ------
    ModelError
        If there is no such market, in which case a similar name is suggested, or if its package declares another name.
    """
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the markets are {', '.join(known)}"
        raise ModelError(f"there is no market {name!r}; {hint}")
    return load(name.replace("-", "_"))


def load(package: str) -> ModelSpec[Any, Any, Any]:
    """Get the market of a package of `optmarket.models`, including packages that `names` does not list, such as ``_template``.

    Parameters
    ----------
    package : str
        The name of the package, with underscores.

    Returns
    -------
    ModelSpec

    Raises
    ------
    ModelError
        If the package defines no specification, or one with another name.

    Examples
    --------
    >>> load("_template").name
    'template'
    """
    module = importlib.import_module(f"optmarket.models.{package}")
    spec = getattr(module, "MODEL", None)
    if not isinstance(spec, ModelSpec):
        raise ModelError(f"package {module.__name__} ends with no MODEL = ModelSpec(...)")
    name = package.strip("_").replace("_", "-")
    if spec.name != name:
        raise ModelError(
            f"package {module.__name__} calls its market {spec.name!r}; it must be {name!r}, so that names are unique"
        )
    return spec
