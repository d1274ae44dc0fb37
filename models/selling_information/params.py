"""The fields of an instance file of this market, checked, and its types from a csv file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from optmarket.distributions.cdf import Smooth
from optmarket.distributions.dirichlet import Dirichlet
from optmarket.distributions.specification import Distribution, NumberOrDistribution
from optmarket.errors import InstanceError, ModelError
from optmarket.modeling.fields import Count, csv_types, ends, names_differ, stakes_fit, weights_to_one, with_types_from_csv
from optmarket.models.selling_information.population import (
    BeliefSegment,
    BeliefValuePlane,
    BuyerType,
    DirichletBeliefs,
    FiniteTypes,
    Matrix,
    Population,
    TypeGrid,
    names_of,
    representative_types,
    types_of_grid,
    types_to_draw,
)
from optmarket.rationals import shown

MAX_PROFILES = 4096  # recommendations a type
MAX_CELLS = 100_000  # of a grid


def _belief_tag(data: Any) -> str:
    """Whether a belief is stated as a distribution of one number or of several probabilities."""
    if isinstance(data, BaseModel):
        return "dirichlet" if isinstance(data, Dirichlet) else "number"
    mixture = data.get("mixture") if isinstance(data, dict) else None
    parts = [data, *mixture] if isinstance(mixture, (list, tuple)) else [data]
    return "dirichlet" if any(isinstance(part, dict) and "dirichlet" in part for part in parts) else "number"


BeliefDistribution = Annotated[
    Annotated[Distribution, Tag("number")] | Annotated[Dirichlet, Tag("dirichlet")], Discriminator(_belief_tag)
]


class Params(BaseModel):
    """A one-buyer information market: finitely many types, or a distribution of beliefs.

    Examples
    --------
    >>> types = [{"weight": "1/2", "belief": ["1/4", "3/4"]}, {"weight": "1/2", "belief": ["3/5", "2/5"]}]
    >>> Params.model_validate({"types": types}).type_names
    ('1', '2')
    """

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
    belief: BeliefDistribution | None = Field(
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
        return with_types_from_csv(data, info, _types_from_csv)

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
        low, high = self.belief.as_cdf.support
        if low < 0 or high > 1:
            raise InstanceError(
                f"{ends(self.belief.as_cdf)}; a probability is within 0 to 1: truncate or scale it", field="params.belief"
            )
        if isinstance(self.value, Distribution) and self.value.as_cdf.support[0] < 0:
            raise InstanceError(f"{ends(self.value.as_cdf)}; a value is at least 0: truncate or move it", field="params.value")
        if isinstance(self.value, Distribution) and isinstance(self.value.as_cdf, Smooth) and not self.value.as_cdf.has_mean:
            raise InstanceError("has no mean, and revenue no bound: truncate it", field="params.value")
        if self.grid is not None:
            self._check_grid(self.grid, self.belief)
        elif self.max_items is not None:
            raise InstanceError("is for finitely many types; give grid", field="params.max_items")
        elif not isinstance(self.population, DirichletBeliefs) and self.payoff != "matching":
            raise InstanceError(
                "is a matrix; all beliefs of a distribution are solved for matching payoffs: give grid", field="params.payoff"
            )
        return self

    def _check_grid(self, grid: TypeGrid, belief: Distribution | Dirichlet) -> None:
        """Fail unless a grid fits the distributions that it is for."""
        several = isinstance(belief, Dirichlet)
        if several != (grid.rule == "lattice"):
            right = "with dirichlet it is lattice" if several else "lattice is for dirichlet"
            raise InstanceError(f"is {shown(grid.rule)}; {right}", field="params.grid.rule")
        if isinstance(self.value, Distribution) != isinstance(grid.size, tuple):
            how = "a pair, and value is no distribution; write one number of cells"
            if isinstance(self.value, Distribution):
                how = "one number, and value is a distribution too; write [cells of value, cells of belief]"
            raise InstanceError(f"is {how}", field="params.grid.size")
        cells = grid.value_cells * grid.belief_cells ** (belief.states - 1 if isinstance(belief, Dirichlet) else 1)
        if cells > MAX_CELLS:
            raise InstanceError(f"makes {cells:,} cells; at most {MAX_CELLS:,}", field="params.grid.size")

    @model_validator(mode="after")
    def _shapes_agree(self) -> Self:
        types = representative_types(self.population)
        n_states = len(self.states) if self.states else types[0].n_states
        origin = "states names" if self.states else "the first type has"
        for k, buyer in enumerate(types):
            if buyer.n_states != n_states:
                field = f"params.types[{k}].{'belief' if buyer.belief is not None else 'joint'}"
                raise InstanceError(f"is for {buyer.n_states} states; {origin} {n_states}, and all must agree", field=field)
        n_actions = self._number_of_actions(types, n_states)
        called = names_of(types)
        for name, names in (("states", self.states), ("actions", self.actions), ("types", called)):
            names_differ(names or (), f"params.{name}")
        stakes_fit(self._stakes(types))
        contexts = max(len(buyer.joint[0]) if buyer.joint else 1 for buyer in types)
        if contexts * math.log(n_actions) > math.log(MAX_PROFILES + 0.5):  # before the power is formed, of whatever length
            count = f"{n_actions}^{contexts}" + (f" = {n_actions**contexts:,}" if contexts < 40 else "")
            raise ModelError(
                f"has {n_actions} actions and {contexts} contexts: {count} recommendations a type; at most {MAX_PROFILES:,} are "
                "supported",
                field="params.types",
            )
        return self

    def _number_of_actions(self, types: Sequence[BuyerType], n_states: int) -> int:
        """How many actions there are.

        Raises
        ------
        InstanceError
            If payoffs or names of actions are for another number of states or actions.
        """
        own = [(f"params.types[{k}].payoff", buyer.payoff) for k, buyer in enumerate(types) if buyer.payoff is not None]
        shared = [] if self.payoff == "matching" else [("params.payoff", self.payoff)]
        matrices = [*shared, *own] if shared or len(own) == len(types) else []
        n_actions = len(self.actions) if self.actions else len(matrices[0][1][0]) if matrices else n_states
        for field, matrix in [*shared, *own]:
            shape = [len(row) for row in matrix]
            if len(shape) != n_states or any(width != n_actions for width in shape):
                given = f"{len(shape)} x {shape[0]}" if len(set(shape)) == 1 else f"rows of {shape} entries"
                raise InstanceError(f"is {given}; must be {n_states} states x {n_actions} actions", field=field)
        if self.payoff == "matching" and len(own) < len(types) and n_actions != n_states:
            raise InstanceError(
                f"names {n_actions} actions; matching payoffs have one per state, {n_states}", field="params.actions"
            )
        return n_actions

    def _stakes(self, types: Sequence[BuyerType]) -> Iterator[tuple[str, Fraction, str]]:
        """What is at stake for each type, with the field that says so; of types with the same payoffs and value only once."""
        shared = (
            max((abs(entry) for row in self.payoff for entry in row), default=Fraction(1)) if self.payoff != "matching" else 1
        )
        checked = set()
        for k, buyer in enumerate(types):
            if buyer.payoff is None and buyer.value in checked:
                continue
            largest = Fraction(shared)
            if buyer.payoff is None:
                checked.add(buyer.value)
            else:
                largest = max(abs(entry) for row in buyer.payoff for entry in row)
            yield "at its largest", largest, f"params.types[{k}].payoff" if buyer.payoff is not None else "params.payoff"
            yield "times its payoff", buyer.value * largest, "params.value" if self.types is None else f"params.types[{k}].value"

    @cached_property
    def population(self) -> Population:
        """Who the buyers are: with a grid, or types, finitely many; else the continuum that beliefs and values fill.

        Raises
        ------
        InstanceError
            If a distribution cannot be cut into the grid's cells.
        """
        if self.types is not None:
            return FiniteTypes(self.types, stands_for_continuum=False)
        if self.belief is None:
            raise InstanceError("has no types; must give one of types, types_csv and belief", field="params.types")
        value = self.value.as_cdf if isinstance(self.value, Distribution) else Fraction(1) if self.value is None else self.value
        if self.grid is not None:
            return FiniteTypes(types_of_grid(self.belief, value, self.grid), stands_for_continuum=True)
        if isinstance(self.belief, Dirichlet) and self.belief.states > 2:
            return DirichletBeliefs(self.belief, value)
        return (
            BeliefSegment(self.belief.as_cdf, value)
            if isinstance(value, Fraction)
            else BeliefValuePlane(self.belief.as_cdf, value)
        )

    @property
    def n_actions(self) -> int:
        """How many actions there are."""
        types = representative_types(self.population)
        return self._number_of_actions(types, types[0].n_states)

    @cached_property
    def type_names(self) -> tuple[str, ...]:
        """What tables call the types: their names, or else their numbers from 1; of a continuum those of cells in a figure."""
        return names_of(types_to_draw(self.population))


# Types of a csv file -----------------------------------------------------------------------------------------------------


def _types_from_csv(file: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Types and names of states from a csv file: weight, belief columns named as the states, and perhaps value and name."""

    def states_of(header: Sequence[str]) -> list[str]:
        return [name for name in header if name not in {"weight", "value", "name"}]

    def wrong(header: Sequence[str]) -> str | None:
        if "weight" in header and states_of(header) and "" not in header:
            return None
        return "must be weight, one per state and perhaps value and name, all different and separated by commas"

    header, rows = csv_types(file, wrong)
    states = states_of(header)
    if given.get("states") is not None and list(given["states"]) != states:
        asked = ", ".join(map(str, given["states"]))
        raise InstanceError(f"has states {', '.join(states)} in its columns; the instance names {asked}", file=str(file))
    types = [{"belief": [row.pop(state) for state in states], **row} for row in rows]
    return {"states": states, **given, "types": types}
