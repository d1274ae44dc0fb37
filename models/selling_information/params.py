"""The fields of a one-buyer information market, checked, and its types from a csv file."""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from optmarket.distributions.cdf import Smooth
from optmarket.distributions.dirichlet import Dirichlet, boxes, lattice
from optmarket.distributions.specification import Cells, Distribution, Grid, NumberOrDistribution, discretised
from optmarket.errors import InstanceError, ModelError
from optmarket.files import read_text, referenced_in
from optmarket.instances.instance import divided, weights_to_one
from optmarket.rationals import Exact, NonnegativeExact, exact, shown, sized, to_one

MAX_PROFILES = 4096
MAX_CELLS = 100_000
CELLS = 400
VALUES, BELIEFS = 10, 40  # cells that stand in for distributions of both
BOXES = 150  # cells, or less, that stand in for a Dirichlet distribution
Matrix = Annotated[tuple[Annotated[tuple[Exact, ...], Field(min_length=1)], ...], Field(min_length=1)]
Measure = tuple[tuple[NonnegativeExact, ...], ...]


def _whole(value: object) -> int:
    # a file may say 2.0, and what is set for a sweep arrives as a Fraction
    counted = isinstance(value, (int, float, Decimal, Fraction)) and not isinstance(value, bool)
    if not counted or (number := exact(value)) < 1 or number.denominator != 1:
        raise ValueError(f"is {shown(value)}; must be a whole number, at least 1")
    return int(number)


Count = Annotated[int, PlainValidator(_whole)]


class BuyerType(BaseModel):
    """One type of buyer: how likely it is, what it knows, what it would do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: NonnegativeExact = Field(description="share of this type among buyers, at least 0; the weights sum to 1")
    belief: tuple[NonnegativeExact, ...] | None = Field(
        None, description="probability of each state, [one number a state], sums to 1; for a type with no data of its own to come"
    )
    joint: Measure | None = Field(
        None,
        description="instead of belief: probability of each state and context (what the type's own data will show), "
        "[state][context], sums to 1",
    )
    value: NonnegativeExact = Field(Fraction(1), description="multiplies the type's payoffs, at least 0, in payoff units")
    payoff: Matrix | None = Field(None, description="the type's own payoffs [state][action], instead of the market's")
    name: str | None = Field(None, description="what to call the type in tables; default: its number")

    @field_validator("belief")
    @classmethod
    def _belief_sums_to_one(cls, belief: tuple[Fraction, ...] | None, info: ValidationInfo) -> tuple[Fraction, ...] | None:
        if belief is None:
            return None
        values, missed = to_one(belief, "its entries")
        if missed:
            divided(info, "entries of belief", missed)
        return tuple(values)

    @field_validator("joint")
    @classmethod
    def _joint_sums_to_one(
        cls, joint: tuple[tuple[Fraction, ...], ...] | None, info: ValidationInfo
    ) -> tuple[tuple[Fraction, ...], ...] | None:
        if joint is None:
            return None
        contexts = len(joint[0]) if joint else 0
        if contexts == 0 or any(len(row) != contexts for row in joint):
            widths = [len(row) for row in joint]
            raise ValueError(f"has rows of {widths} entries; each state's row has one per context, as many as the others")
        values, missed = to_one([entry for row in joint for entry in row], "its entries")
        if missed:
            divided(info, "entries of joint", missed)
        return tuple(tuple(values[k : k + contexts]) for k in range(0, len(values), contexts))

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if (self.belief is None) == (self.joint is None):
            raise ValueError("needs either belief (one number a state) or joint ([state][context]), and not both")
        return self


class TypeGrid(BaseModel):
    """How distributions become finitely many types."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Cells | tuple[Cells, Cells] = Field(
        description="number of cells, a whole number from 1 to 100,000; [of value, of belief] if both are distributions; with "
        "lattice, cells along an edge"
    )
    rule: Literal["mean", "lower", "upper", "quantile", "lattice"] = Field(
        "mean",
        description="the type of a cell: its mean, or its lower or upper edge, in cells of equal length; quantile: its mean, in "
        "cells of equal mass; lattice, for dirichlet: its mean, in equal small simplices",
    )


def _kind(data: Any) -> str:
    """Whether a belief is told as a number's distribution or as several probabilities'."""
    if isinstance(data, BaseModel):
        return "simplex" if isinstance(data, Dirichlet) else "number"
    mixture = data.get("mixture") if isinstance(data, dict) else None
    parts = [data, *mixture] if isinstance(mixture, (list, tuple)) else [data]
    return "simplex" if any(isinstance(part, dict) and "dirichlet" in part for part in parts) else "number"


Belief = Annotated[Annotated[Distribution, Tag("number")] | Annotated[Dirichlet, Tag("simplex")], Discriminator(_kind)]


class Params(BaseModel):
    """A one-buyer information market: finitely many types, or a distribution of beliefs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    payoff: Literal["matching"] | Matrix = Field(
        "matching",
        description='"matching" (1 if the action is the state, else 0) or a matrix of payoffs [state][action], any sign',
        examples=["matching"],
        json_schema_extra={"template": True},
    )
    types: tuple[BuyerType, ...] | None = Field(
        None,
        description="the buyer's possible types, a list of tables",
        examples=[[{"weight": "1/2", "belief": ["1/4", "3/4"]}, {"weight": "1/2", "belief": ["3/5", "2/5"]}]],
        min_length=1,
        json_schema_extra={"template": True},
    )
    types_csv: str | None = Field(
        None,
        exclude=True,
        description="instead of types: a csv file, relative to this one, one row a type: weight, one column of belief per state "
        "(named as the state), and if wanted value and name",
        examples=["types.csv"],
    )
    belief: Belief | None = Field(
        None,
        description="instead of types: the distribution of a buyer's probability of the first of two states, within 0 to 1; for "
        "more states { dirichlet = [one number a state] }",
        examples=[{"dist": "beta", "a": 8, "b": 30}],
    )
    value: NumberOrDistribution | None = Field(
        None,
        description="with belief: multiplies all payoffs, at least 0; a number, or a distribution independent of the belief; "
        "left out: 1",
        examples=[1],
    )
    grid: TypeGrid | None = Field(
        None, description="with belief: solve for finitely many types instead of all", examples=[{"size": 400, "rule": "mean"}]
    )
    states: tuple[str, ...] | None = Field(
        None, description="names of the states, in the order of beliefs and payoff rows", examples=[["low", "high"]], min_length=1
    )
    actions: tuple[str, ...] | None = Field(
        None, description="names of the actions, in the order of payoff columns", examples=[["sell", "buy"]], min_length=1
    )
    max_items: Count | None = Field(
        None,
        description="the most items the menu may list, a whole number, at least 1, buying nothing not counted; "
        "left out: as many as it takes",
        examples=[2],
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
        file = referenced_in(info.context, data["types_csv"], field="params.types_csv")
        types, states = _types_from_csv(file, data.get("states"))
        return {"states": states, **data, "types": types}

    @field_validator("types")
    @classmethod
    def _weights_sum_to_one(cls, types: tuple[BuyerType, ...] | None, info: ValidationInfo) -> tuple[BuyerType, ...] | None:
        return weights_to_one(types, info)

    @model_validator(mode="after")
    def _is_one_market(self) -> Self:
        if (self.types is None) == (self.belief is None):
            given = "types beside belief" if self.types is not None else "no types"
            raise InstanceError(f"has {given}; must give one of types, types_csv and belief", field="params.types")
        if self.belief is None:
            for name in ("value", "grid"):
                if getattr(self, name) is not None:
                    raise InstanceError("goes with belief, and there is none", field=f"params.{name}")
            return self
        low, high = self.belief.law.support
        if low < 0 or high > 1:
            raise InstanceError(
                f"reaches from {_end(low)} to {_end(high)}; a probability is within 0 to 1: truncate or scale it",
                field="params.belief",
            )
        if isinstance(self.value, Distribution) and (low := self.value.law.support[0]) < 0:
            high = self.value.law.support[1]
            raise InstanceError(
                f"reaches from {_end(low)} to {_end(high)}; a value is at least 0: truncate or move it", field="params.value"
            )
        if isinstance(self.value, Distribution) and isinstance(self.value.law, Smooth) and not self.value.law.has_mean:
            raise InstanceError("has no mean, and revenue no bound: truncate it", field="params.value")
        if self.grid is not None:
            self._fits(self.grid)
        elif self.max_items is not None:
            raise InstanceError("is for finitely many types; give grid", field="params.max_items")
        elif self.continuum in {"segment", "plane"} and self.payoff != "matching":
            raise InstanceError(
                "is a matrix; all beliefs of a distribution are solved for matching payoffs: give grid", field="params.payoff"
            )
        return self

    def _fits(self, grid: TypeGrid) -> None:
        """Check a grid against the distributions it is for."""
        several = isinstance(self.belief, Dirichlet)
        if several != (grid.rule == "lattice"):
            right = "with dirichlet it is lattice" if several else "lattice is for dirichlet"
            raise InstanceError(f"is {shown(grid.rule)}; {right}", field="params.grid.rule")
        if isinstance(self.value, Distribution) != isinstance(grid.size, tuple):
            how = "a pair, and value is no distribution; write one number of cells"
            if isinstance(self.value, Distribution):
                how = "one number, and value is a distribution too; write [cells of value, cells of belief]"
            raise InstanceError(f"is {how}", field="params.grid.size")
        values, beliefs = grid.size if isinstance(grid.size, tuple) else (1, grid.size)
        cells = values * (beliefs ** (self.belief.states - 1) if isinstance(self.belief, Dirichlet) else beliefs)
        if cells > MAX_CELLS:
            raise InstanceError(f"makes {cells:,} cells; at most {MAX_CELLS:,}", field="params.grid.size")

    @model_validator(mode="after")
    def _shapes_agree(self) -> Self:
        def states_of(buyer: BuyerType) -> int:
            return len(buyer.belief or buyer.joint or ())

        value = Fraction(1) if self.value is None or isinstance(self.value, Distribution) else self.value
        types = (self.typical(value),) if self.on_continuum else self.buyers
        states = len(self.states) if self.states else states_of(types[0])
        origin = "states names" if self.states else "the first type has"
        for k, buyer in enumerate(types):
            if states_of(buyer) != states:
                field = f"params.types[{k}].{'belief' if buyer.belief is not None else 'joint'}"
                raise InstanceError(f"is for {states_of(buyer)} states; {origin} {states}, and all must agree", field=field)
        own = [(f"params.types[{k}].payoff", buyer.payoff) for k, buyer in enumerate(types) if buyer.payoff is not None]
        shared = [] if self.payoff == "matching" else [("params.payoff", self.payoff)]
        matrices = [*shared, *own] if shared or len(own) == len(types) else []
        actions = len(self.actions) if self.actions else len(matrices[0][1][0]) if matrices else states
        for field, matrix in [*shared, *own]:
            shape = [len(row) for row in matrix]
            if len(shape) != states or any(width != actions for width in shape):
                given = f"{len(shape)} x {shape[0]}" if len(set(shape)) == 1 else f"rows of {shape} entries"
                raise InstanceError(f"is {given}; must be {states} states x {actions} actions", field=field)
        if self.payoff == "matching" and len(own) < len(types) and actions != states:
            raise InstanceError(f"names {actions} actions; matching payoffs have one per state, {states}", field="params.actions")
        called = () if self.on_continuum else self.type_names()
        for field, names in (("states", self.states), ("actions", self.actions), ("types", called)):
            twice = [name for name, count in Counter(names or ()).items() if count > 1]
            if twice:
                raise InstanceError(f"names {twice[0]!r} twice; each name must differ", field=f"params.{field}")
        for k, buyer in enumerate(types):
            paid = buyer.payoff or (() if self.payoff == "matching" else self.payoff)
            largest = max((abs(entry) for row in paid for entry in row), default=Fraction(1))
            whose = f"params.types[{k}].payoff" if buyer.payoff is not None else "params.payoff"
            named = "params.value" if self.types is None else f"params.types[{k}].value"
            for words, stake, field in (("at its largest", largest, whose), ("times its payoff", buyer.value * largest, named)):
                try:
                    sized(stake)
                except ValueError as error:
                    raise InstanceError(f"{words} {error}", field=field) from error
        contexts = max(len(buyer.joint[0]) if buyer.joint else 1 for buyer in types)
        if contexts * math.log(actions) > math.log(MAX_PROFILES + 0.5):  # before the power is formed, which may be of any length
            count = f"{actions}^{contexts}" + (f" = {actions**contexts:,}" if contexts < 40 else "")
            raise ModelError(
                f"has {actions} actions and {contexts} contexts: {count} recommendations a type; at most {MAX_PROFILES:,} are "
                "supported",
                field="params.types",
            )
        return self

    @property
    def on_continuum(self) -> bool:
        """Whether there is a type for every belief of a distribution."""
        return self.continuum is not None

    @property
    def stands_for_continuum(self) -> bool:
        """Whether finitely many types stand for a distribution's, so that their optimum is a grid's."""
        return self.grid is not None

    @property
    def continuum(self) -> Literal["segment", "plane", "simplex"] | None:
        """What the types fill if they are not finitely many.

        Beliefs in one of two states a segment, with a distribution of values a plane; beliefs in more states a simplex, whatever
        the value is.
        """
        if self.belief is None or self.grid is not None:
            return None
        if isinstance(self.belief, Dirichlet) and self.belief.states > 2:
            return "simplex"
        return "plane" if isinstance(self.value, Distribution) else "segment"

    def typical(self, value: Fraction | float = Fraction(1)) -> BuyerType:
        """A buyer of a continuum that believes all states alike, and of some value."""
        states = self.belief.states if isinstance(self.belief, Dirichlet) else 2
        return BuyerType.model_validate({"weight": 1, "belief": [Fraction(1, states)] * states, "value": value})

    @cached_property
    def buyers(self) -> tuple[BuyerType, ...]:
        """The types there are, or cells of the distribution: of a continuum some, to draw and to check shapes with."""
        if self.types is not None:
            return self.types
        return tuple(
            BuyerType.model_validate({"weight": often * weight, "belief": belief, "value": value})
            for (value, often), (belief, weight) in itertools.product(self._values(), self._beliefs())
        )

    def _values(self) -> list[tuple[Fraction, Fraction]]:
        """The values there are, or cells of them, with weights."""
        if not isinstance(self.value, Distribution):
            return [(Fraction(1) if self.value is None else self.value, Fraction(1))]
        rule: Any = "quantile" if self.grid is None else "mean" if self.grid.rule == "lattice" else self.grid.rule
        size = self.grid.size[0] if self.grid and isinstance(self.grid.size, tuple) else VALUES
        try:
            return list(zip(*discretised(self.value.law, Grid(size=size, rule=rule)), strict=True))
        except ValueError as error:
            raise InstanceError(str(error), field="params.value") from error

    def _beliefs(self) -> list[tuple[tuple[Fraction, ...], Fraction]]:
        """Cells of the beliefs, with weights."""
        assert self.belief is not None
        size = CELLS if self.continuum == "segment" else BELIEFS
        rule: Any = "mean"
        if self.grid is not None:
            size, rule = self.grid.size[1] if isinstance(self.grid.size, tuple) else self.grid.size, self.grid.rule
        try:
            if isinstance(self.belief, Distribution):
                points, weights = discretised(self.belief.law, Grid(size=size, rule=rule))
                return [((theta, 1 - theta), weight) for theta, weight in zip(points, weights, strict=True)]
            if self.grid is None and self.belief.states > 2:
                return boxes(self.belief, int(BOXES ** (1 / (self.belief.states - 1))))
            return list(zip(*lattice(self.belief, size), strict=True))
        except ValueError as error:
            raise InstanceError(str(error), field="params.belief") from error

    def type_names(self) -> tuple[str, ...]:
        """What tables call the types: their names, or else their numbers from 1."""
        return tuple(buyer.name or str(k) for k, buyer in enumerate(self.buyers, start=1))


def _end(end: Fraction | float) -> str:
    return shown(end) if isinstance(end, Fraction) else f"{end:g}"


def _types_from_csv(path: Path, states: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """Types and state names from a csv file: weight, belief columns named as the states, and perhaps value and name."""
    reader = csv.DictReader(io.StringIO(read_text(path)), skipinitialspace=True)
    try:
        header = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = header
        lines = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise InstanceError(f"is not a csv file: {error}", file=str(path), field=f"line {reader.line_num}") from error
    named = [name for name in header if name not in {"weight", "value", "name"}]
    if "weight" not in header or not named or "" in header or len(set(header)) != len(header):
        raise InstanceError(
            f"has columns {', '.join(header)}; must be weight, one per state and perhaps value and name, all different and "
            "separated by commas",
            file=str(path),
        )
    if states is not None and list(states) != named:
        wanted = ", ".join(map(str, states))
        raise InstanceError(f"has states {', '.join(named)} in its columns; the instance names {wanted}", file=str(path))
    types = []
    for line, row in lines:
        if None in row or None in row.values():
            given = len(header) + len(row.get(None, ())) - sum(entry is None for entry in row.values())
            raise InstanceError(f"has {given} entries, the header {len(header)}", file=str(path), field=f"line {line}")
        if not any(entry.strip() for entry in row.values()):
            continue  # spreadsheets leave rows of separators
        numbers = {}
        for column in header:
            if column != "name":
                try:
                    numbers[column] = exact(row[column])
                except ValueError as error:
                    raise InstanceError(str(error), file=str(path), field=f"line {line}, column {column}") from error
        buyer: dict[str, Any] = {"belief": [numbers.pop(state) for state in named], **numbers}
        types.append(buyer | ({"name": row["name"]} if row.get("name") else {}))
    if not types:
        raise InstanceError("has no types; one row a type below the header", file=str(path))
    return types, named
