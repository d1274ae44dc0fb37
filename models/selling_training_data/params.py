"""The fields of a training-data market, and the information market that it is."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError, ValidationInfo, field_validator, model_validator

from optmarket.distributions.specification import Distribution, Grid, discretised
from optmarket.errors import InstanceError
from optmarket.files import read_table, referenced_in
from optmarket.instances.instance import weights_to_one
from optmarket.instances.validation import translate
from optmarket.models import selling_information
from optmarket.rationals import NonnegativeExact, exact, shown

HALF = Fraction(1, 2)
Point = tuple[Fraction, Fraction]


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
    joint: tuple[tuple[NonnegativeExact, ...], ...] | None = Field(
        None,
        description="instead of alpha and beta, for more states or signals or other priors: probability of each state and own "
        "signal, [state][signal], sums to 1",
    )
    name: str | None = Field(None, description="what to call the type in tables; default: its number")

    @model_validator(mode="after")
    def _errs_one_way(self) -> Self:
        pair = (self.alpha, self.beta)
        if self.joint is not None and pair == (None, None):
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


class Line(BaseModel):
    """Types on a line: k alpha + beta = m."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    k: NonnegativeExact = Field(description="how much beta falls as alpha rises, from 0 to 2 m")
    m: NonnegativeExact = Field(description="beta at alpha = 0, from 0 to below 1/2")

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        if self.m >= HALF:
            raise ValueError(f"has m = {shown(self.m)}; must be below 1/2")
        if self.k > 2 * self.m:
            raise ValueError(f"has k = {shown(self.k)}; must be at most 2 m = {shown(2 * self.m)}, or beta would be negative")
        return self

    @property
    def end(self) -> Fraction:
        """The largest alpha, where alpha + beta = 1/2."""
        return (HALF - self.m) / (1 - self.k)

    def beta(self, alpha: Fraction) -> Fraction:
        """The other error."""
        return self.m - self.k * alpha


class Triangle(BaseModel):
    """Errors spread evenly over all alpha, beta >= 0 with alpha + beta <= 1/2."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[StrictInt, Field(ge=1, le=200)] = Field(description="cells along each side, a whole number from 1 to 200")

    def cells(self) -> list[tuple[Fraction, Point]]:
        """Weight and mean of each cell: squares, and halves of squares along the long side."""
        side = HALF / self.size
        found = []
        for i in range(self.size):
            for j in range(self.size - i):
                whole = i + j < self.size - 1
                offset = HALF if whole else Fraction(1, 3)
                weight = Fraction(2 if whole else 1, self.size**2)
                found.append((weight, ((i + offset) * side, (j + offset) * side)))
        return found


class Params(BaseModel):
    """A training-data market: finitely many types, a line of them, or all of them evenly."""

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
    formulation: Literal["auto", "reduced", "general"] = Field(
        "auto",
        description="reduced: an item is the share of each error it leaves; general: any experiment, as an information market; "
        "auto: reduced where it applies",
    )

    @model_validator(mode="before")
    @classmethod
    def _read_csv(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, dict) or "types_csv" not in data:
            return data
        if "types" in data:
            raise InstanceError("stands beside types; give one of the two", field="params.types_csv")
        if not isinstance(data["types_csv"], str):
            raise InstanceError('must be the name of a csv file, such as "types.csv"', field="params.types_csv")
        return {**data, "types": _types_from_csv(referenced_in(info.context, data["types_csv"], field="params.types_csv"))}

    @field_validator("types")
    @classmethod
    def _weights_sum_to_one(cls, types: tuple[DataBuyer, ...] | None, info: ValidationInfo) -> tuple[DataBuyer, ...] | None:
        return weights_to_one(types, info)

    @model_validator(mode="after")
    def _is_one_market(self) -> Self:
        given = [name for name in ("types", "line", "triangle") if getattr(self, name) is not None]
        if len(given) != 1:
            raise InstanceError(
                f"gives {' and '.join(given) or 'no types'}; must give one of types, types_csv, line and triangle", field="params"
            )
        if self.line is None:
            for name in ("alpha", "grid"):
                if getattr(self, name) is not None:
                    raise InstanceError("goes with line, and there is none", field=f"params.{name}")
        elif self.alpha is None:
            raise InstanceError(
                'is missing: the distribution along the line, such as { dist = "uniform", scale = "1/4" }', field="params.alpha"
            )
        else:
            low, high = self.alpha.law.support
            if low < 0 or high > self.line.end:
                end = shown(self.line.end)
                raise InstanceError(
                    f"reaches from {_shown(low)} to {_shown(high)}; must lie within 0 to (1/2 - m)/(1 - k) = {end}: truncate or "
                    "scale it",
                    field="params.alpha",
                )
        if self.formulation == "reduced" and not self.has_pairs:
            raise InstanceError(
                "is reduced, which is for types given by alpha and beta; those with joint need general",
                field="params.formulation",
            )
        if self.formulation != "auto" and self.on_continuum:
            raise InstanceError("is for finitely many types; give grid, or leave it out", field="params.formulation")
        if self.has_pairs and self.states is not None and len(self.states) != 2:
            raise InstanceError(f"names {len(self.states)} states; alpha and beta are for 2", field="params.states")
        if self.types is not None:
            _ = self.information  # whatever else is wrong with joint
        return self

    @property
    def on_continuum(self) -> bool:
        """Whether the types are a whole line."""
        return self.line is not None and self.grid is None

    @property
    def stands_for_continuum(self) -> bool:
        """Whether finitely many types stand for a continuum, so that their optimum is a grid's."""
        return self.grid is not None or self.triangle is not None

    @property
    def has_pairs(self) -> bool:
        """Whether every type is a pair of errors."""
        return self.types is None or all(buyer.joint is None for buyer in self.types)

    @cached_property
    def pairs(self) -> list[tuple[Fraction, Point]]:
        """Weight and errors of each type, if all have them and are finitely many."""
        if self.types is not None:
            return [(buyer.weight, (buyer.alpha or Fraction(0), buyer.beta or Fraction(0))) for buyer in self.types]
        if self.triangle is not None:
            return self.triangle.cells()
        assert self.line is not None and self.alpha is not None and self.grid is not None
        points, weights = discretised(self.alpha.law, self.grid)
        return [(weight, (alpha, self.line.beta(alpha))) for alpha, weight in zip(points, weights, strict=True)]

    @cached_property
    def information(self) -> selling_information.Params:
        """The same market as one for information: own signals are contexts, and the payoff is 1 for the true state.

        Raises
        ------
        InstanceError
            If a joint measure does not fit.
        """
        if self.types is not None:
            types = [
                {
                    "weight": buyer.weight,
                    "joint": buyer.joint or measure(buyer.alpha or Fraction(0), buyer.beta or Fraction(0)),
                    "name": buyer.name,
                }
                for buyer in self.types
            ]
        else:
            types = [{"weight": weight, "joint": measure(*pair)} for weight, pair in self.pairs]
        try:
            return selling_information.Params.model_validate({"types": types, "states": self.states})
        except ValidationError as error:
            raise translate(error, selling_information.Params, file=None, prefix="params") from error


def measure(alpha: Fraction, beta: Fraction) -> tuple[Point, Point]:
    """Probability of each state and own signal."""
    return (HALF - alpha, alpha), (beta, HALF - beta)


def _shown(end: Fraction | float) -> str:
    return shown(end) if isinstance(end, Fraction) else f"{end:g}"


def _types_from_csv(path: Path) -> list[dict[str, Any]]:
    header, rows = read_table(path)
    if not {"weight", "alpha", "beta"} <= set(header) <= {"weight", "alpha", "beta", "name"}:
        raise InstanceError(f"has columns {', '.join(header)}; must be weight, alpha, beta and perhaps name", file=str(path))
    types = []
    for line, row in rows:
        buyer: dict[str, Any] = {"name": row["name"]} if row.get("name") else {}
        for column in ("weight", "alpha", "beta"):
            try:
                buyer[column] = exact(row[column])
            except ValueError as error:
                raise InstanceError(str(error), file=str(path), field=f"line {line}, column {column}") from error
        types.append(buyer)
    return types
