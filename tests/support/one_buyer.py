"""The one-buyer market by its parameters: solved, audited and described as a test needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optmarket.api import load
from optmarket.certificates import Audit, Claim, Optimality
from optmarket.instances import instance
from optmarket.lp.program import LinearProgram
from optmarket.modeling import registry
from optmarket.models import selling_information
from optmarket.models.selling_information import Market, Menu, Params
from optmarket.models.selling_information.continuum.dirichlet_market import DirichletMarket
from optmarket.models.selling_information.continuum.dirichlet_types import DirichletTypes
from optmarket.models.selling_information.continuum.plane_market import PlaneMarket
from optmarket.models.selling_information.continuum.plane_types import Plane
from optmarket.models.selling_information.lp import Deviations
from optmarket.models.selling_information.population import BuyerType, FiniteTypes
from optmarket.options import Options, Status
from optmarket.solution_file import SolverReport

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Found",
    "Market",
    "Menu",
    "Params",
    "audit",
    "dirichlet_types_of",
    "has_program",
    "market_in",
    "params_of",
    "plane_of",
    "program",
    "solve",
    "tables",
    "theory",
    "types_of",
]


@dataclass(frozen=True)
class Found:
    """An answer, its menu as a mechanism file holds it."""

    status: Status
    mechanism: dict[str, Any]
    quantities: Mapping[str, float]
    certificate: Optimality
    exact: Fraction | None
    notes: tuple[str, ...]
    run: SolverReport

    @property
    def method(self) -> str:
        """The method used."""
        return self.run.method or ""


def solve(params: Params, options: Options | None = None) -> Found:
    """The best menu of the market that the parameters describe."""
    answer = selling_information.solve(selling_information.market(params), options or Options())
    assert isinstance(answer.certificate, Optimality)
    return Found(
        answer.status,
        answer.mechanism.to_json(),
        answer.quantities,
        answer.certificate,
        answer.exact,
        answer.notes,
        answer.run,
    )


def audit(params: Params, mechanism: Mapping[str, Any] | Menu) -> Audit:
    """What a menu does, given as a mechanism file holds it or as solved."""
    market = selling_information.market(params)
    data = mechanism.to_json() if isinstance(mechanism, Menu) else mechanism
    return selling_information.audit(market, selling_information.read(market, data))


def theory(params: Params) -> list[Claim]:
    """What is known of the optimum without a solver."""
    return selling_information.theory(selling_information.market(params))


def program(params: Params, *, exact: bool = False, deviations: Deviations = "double") -> LinearProgram:
    """The linear program of finitely many types."""
    found = selling_information.program(selling_information.market(params), exact=exact, deviations=deviations)
    assert found is not None
    return found


def params_of(file: Path) -> Params:
    """The parameters of an instance file."""
    params = load(file).params
    assert isinstance(params, Params)
    return params


def market_in(text: str) -> Market:
    """The finite market that the text of an instance file describes."""
    params = instance.parse(text, lambda name: registry.get(name).params).params
    assert isinstance(params, Params)
    return Market.of(params)


def types_of(params: Params) -> tuple[BuyerType, ...]:
    """Finitely many types."""
    assert isinstance(params.population, FiniteTypes)
    return params.population.types


def has_program(params: Params) -> bool:
    """Whether the market is one linear program: a continuum of types is none."""
    return selling_information.program(selling_information.market(params)) is not None


def tables(params: Params, mechanism: Mapping[str, Any] | Menu) -> dict[str, pd.DataFrame]:
    """The tables of a menu, given as a mechanism file holds it or as solved."""
    market = selling_information.market(params)
    data = mechanism.to_json() if isinstance(mechanism, Menu) else mechanism
    return selling_information.tables(market, selling_information.read(market, data))


def plane_of(params: Params) -> Plane:
    """The types of a market with distributions of beliefs in two states and of values."""
    market = selling_information.market(params)
    assert isinstance(market, PlaneMarket)
    return market.types


def dirichlet_types_of(params: Params) -> DirichletTypes:
    """The types of a market with beliefs in three and more states."""
    market = selling_information.market(params)
    assert isinstance(market, DirichletMarket)
    return market.types
