"""The fields of an instance file of this market, checked, and the population of buyers that they describe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationInfo, field_validator, model_validator

from optmarket.distributions.specification import Distribution, Grid
from optmarket.errors import InstanceError
from optmarket.modeling.fields import JointMeasure, csv_types, ends, no_formulation, weights_to_one, with_types_from_csv
from optmarket.models.selling_training_data.populations import (
    HALF,
    Errors,
    LineGrid,
    LineOfTypes,
    Market,
    TriangleGrid,
    TypesByErrors,
    TypesByMeasure,
    information_params,
    joint_measure,
)
from optmarket.rationals import NonnegativeExact, shown

# The method that does what each formulation did, which files of old versions name in [params].
FORMULATIONS = {"auto": "auto", "reduced": "auto", "general": "general"}
COLUMNS = {"weight", "alpha", "beta"}


class DataBuyer(BaseModel):
    """One type of buyer: how likely it is, and how its own data err."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: NonnegativeExact = Field(description="share of this type among buyers, at least 0; the weights sum to 1")
    alpha: NonnegativeExact | None = Field(
        None, description="probability that the first state is true and the type's own data point to the second, at least 0"
    )
    beta: NonnegativeExact | None = Field(
        None, description="probability of the other error; alpha + beta is at most 1/2, and each state has probability 1/2"
    )
    joint: JointMeasure | None = Field(
        None,
        description="instead of alpha and beta, for more states or signals or other priors: probability of each state and own "
        "signal, [state][signal], sums to 1",
    )
    name: str | None = Field(None, description="what to call the type in tables; default: its number")

    @model_validator(mode="after")
    def _errs_one_way(self) -> Self:
        if self.joint is not None and self.alpha is None and self.beta is None:
            return self
        if self.joint is not None or self.alpha is None or self.beta is None:
            raise ValueError("needs either alpha and beta, or joint ([state][own signal]), and not both")
        alpha, beta = self.alpha, self.beta
        if alpha > HALF or beta > HALF:
            raise ValueError(f"has alpha = {shown(alpha)}, beta = {shown(beta)}; neither exceeds a state's probability, 1/2")
        if alpha + beta > HALF:
            raise ValueError(
                f"has alpha + beta = {shown(alpha + beta)}, above 1/2: such data are read the other way round; write alpha = "
                f"{shown(HALF - alpha)} and beta = {shown(HALF - beta)}"
            )
        return self

    @property
    def errors(self) -> Errors | None:
        """The type's two errors; None if it is given by a joint measure."""
        return None if self.alpha is None or self.beta is None else (self.alpha, self.beta)

    @property
    def measure(self) -> tuple[tuple[Fraction, ...], ...]:
        """Probability of each state and own signal, [state][signal]."""
        return self.joint or joint_measure(self.alpha or Fraction(0), self.beta or Fraction(0))


class Line(BaseModel):
    """Types on a line: k alpha + beta = m."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    k: NonnegativeExact = Field(description="how much beta falls as alpha rises, from 0 to 2 m")
    m: NonnegativeExact = Field(description="beta at alpha = 0, from 0 to below 1/2")

    @model_validator(mode="after")
    def _is_in_range(self) -> Self:
        if self.m >= HALF:
            raise ValueError(f"has m = {shown(self.m)}; must be below 1/2")
        if self.k > 2 * self.m:
            raise ValueError(f"has k = {shown(self.k)}; must be at most 2 m = {shown(2 * self.m)}, or beta would be negative")
        return self


class Triangle(BaseModel):
    """Errors spread evenly over all alpha, beta >= 0 with alpha + beta <= 1/2."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[StrictInt, Field(ge=1, le=200)] = Field(description="cells along each side, a whole number from 1 to 200")


class Params(BaseModel):
    """A training-data market: finitely many types, a line of them, or all of them evenly.

    Examples
    --------
    >>> params = Params.model_validate({"types": [{"weight": 1, "alpha": "1/5", "beta": "1/10"}]})
    >>> params.population.errors
    ((Fraction(1, 5), Fraction(1, 10)),)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    types: tuple[DataBuyer, ...] | None = Field(
        None,
        description="the buyer's possible types, a list of tables",
        examples=[[{"weight": "1/2", "alpha": "1/5", "beta": "1/5"}, {"weight": "1/2", "alpha": "1/20", "beta": "3/20"}]],
        min_length=1,
        json_schema_extra={"template": True},
    )
    types_csv: str | None = Field(
        None,
        exclude=True,
        description="instead of types: a csv file, relative to this one, one row a type: weight, alpha, beta, and if wanted name",
        examples=["types.csv"],
    )
    line: Line | None = Field(
        None, description="instead of types: all with k alpha + beta = m", examples=[{"k": "1/5", "m": "3/10"}]
    )
    alpha: Distribution | None = Field(
        None,
        description="with line: the distribution of alpha, within 0 to (1/2 - m)/(1 - k)",
        examples=[{"dist": "uniform", "loc": 0, "scale": "1/4"}],
    )
    grid: Grid | None = Field(
        None, description="with line: solve for finitely many alpha instead of all", examples=[{"size": 40, "rule": "mean"}]
    )
    triangle: Triangle | None = Field(
        None, description="instead of types: all errors evenly, as cells on the triangle", examples=[{"size": 10}]
    )
    states: tuple[str, ...] | None = Field(
        None, description="names of the states, in the order of joint", examples=[["cat", "dog"]], min_length=2
    )

    @model_validator(mode="before")
    @classmethod
    def _with_types_of_the_csv_file(cls, data: Any, info: ValidationInfo) -> Any:
        return with_types_from_csv(no_formulation(data, FORMULATIONS), info, _types_from_csv)

    @field_validator("types")
    @classmethod
    def _weights_sum_to_one(cls, types: tuple[DataBuyer, ...] | None, info: ValidationInfo) -> tuple[DataBuyer, ...] | None:
        return weights_to_one(types, info)

    @model_validator(mode="after")
    def _describes_one_population(self) -> Self:
        given = [name for name in ("types", "line", "triangle") if getattr(self, name) is not None]
        if len(given) != 1:
            raise _not_one_population(given)
        if self.line is None:
            for name in ("alpha", "grid"):
                if getattr(self, name) is not None:
                    raise InstanceError("goes with line, and there is none", field=f"params.{name}")
        else:
            _line_of_types(self.line, self.alpha)
        by_measure = self.types is not None and any(buyer.errors is None for buyer in self.types)
        if not by_measure and self.states is not None and len(self.states) != 2:
            raise InstanceError(f"names {len(self.states)} states; alpha and beta are for 2", field="params.states")
        if self.types is not None:
            _ = self.population  # whatever else is wrong with joint
        return self

    @cached_property
    def population(self) -> Market:
        """The buyers: the one alternative among the fields that is given.

        Raises
        ------
        InstanceError
            If a joint measure or the distribution along the line does not fit.
        """
        if self.types is not None:
            return _listed_types(self.types, self.states)
        if self.line is not None:
            line = _line_of_types(self.line, self.alpha)
            return line if self.grid is None else LineGrid.of(line, self.grid, self.states)
        if self.triangle is not None:
            return TriangleGrid.of(self.triangle.size, self.states)
        raise _not_one_population([])


def market(params: Params) -> Market:
    """The market of an instance's parameters: exact arrays that everything else is computed from.

    Parameters
    ----------
    params : Params

    Returns
    -------
    TypesByErrors, TypesByMeasure, LineGrid, TriangleGrid or LineOfTypes

    Raises
    ------
    InstanceError
        If the distribution has no cells of the kind that the grid names.

    Examples
    --------
    >>> type(market(Params.model_validate({"triangle": {"size": 3}}))).__name__
    'TriangleGrid'
    """
    return params.population


def _not_one_population(given: Sequence[str]) -> InstanceError:
    words = f"gives {' and '.join(given) or 'no types'}; must give one of types, types_csv, line and triangle"
    return InstanceError(words, field="params")


def _listed_types(types: Sequence[DataBuyer], states: Sequence[str] | None) -> TypesByErrors | TypesByMeasure:
    weights = tuple(buyer.weight for buyer in types)
    names = [buyer.name for buyer in types]
    params = information_params(weights, [buyer.measure for buyer in types], names, states)
    errors = tuple(buyer.errors for buyer in types if buyer.errors is not None)
    return TypesByErrors(params, weights, errors) if len(errors) == len(types) else TypesByMeasure(params)


def _line_of_types(line: Line, alpha: Distribution | None) -> LineOfTypes:
    if alpha is None:
        raise InstanceError(
            'is missing: the distribution along the line, such as { dist = "uniform", scale = "1/4" }', field="params.alpha"
        )
    found = LineOfTypes(line.k, line.m, alpha.as_cdf)
    low, high = alpha.as_cdf.support
    if low < 0 or high > found.end:
        raise InstanceError(
            f"{ends(alpha.as_cdf)}; must lie within 0 to (1/2 - m)/(1 - k) = {shown(found.end)}: truncate or scale it",
            field="params.alpha",
        )
    return found


def _types_from_csv(path: Path, _: Mapping[str, Any]) -> dict[str, Any]:
    def wrong(columns: Sequence[str]) -> str | None:
        return None if COLUMNS <= set(columns) <= {*COLUMNS, "name"} else "must be weight, alpha, beta and perhaps name"

    return {"types": csv_types(path, wrong)[1]}
