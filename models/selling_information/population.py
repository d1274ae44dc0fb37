"""Who the buyers are: finitely many types or a continuum of them; and finitely many types made of distributions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from optmarket.distributions.cdf import Cdf
from optmarket.distributions.dirichlet import Dirichlet, boxes, lattice
from optmarket.distributions.specification import Cells, Distribution, Grid, discretised
from optmarket.errors import InstanceError
from optmarket.modeling.fields import Belief, JointMeasure
from optmarket.rationals import Exact, NonnegativeExact

# Cells that stand in a figure for a continuum: of beliefs in two states, of values and of beliefs where both are distributed,
# and of a Dirichlet distribution, at most.
DRAWN_CELLS, DRAWN_VALUES, DRAWN_BELIEFS, DRAWN_BOXES = 400, 10, 40, 150

Matrix = Annotated[tuple[Annotated[tuple[Exact, ...], Field(min_length=1)], ...], Field(min_length=1)]
WeightedBelief = tuple[tuple[Fraction, ...], Fraction]
Rule = Literal["mean", "lower", "upper", "quantile"]


class BuyerType(BaseModel):
    """One type of buyer: how likely it is, what it knows, what it would do.

    Examples
    --------
    >>> BuyerType.model_validate({"weight": 1, "belief": ["1/4", "3/4"]}).n_states
    2
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: NonnegativeExact = Field(description="share of this type among buyers, at least 0; the weights sum to 1")
    belief: Belief | None = Field(
        None, description="probability of each state, [one number a state], sums to 1; for a type with no data of its own to come"
    )
    joint: JointMeasure | None = Field(
        None,
        description="instead of belief: probability of each state and context (what the type's own data will show), "
        "[state][context], sums to 1",
    )
    value: NonnegativeExact = Field(Fraction(1), description="multiplies the type's payoffs, at least 0, in payoff units")
    payoff: Matrix | None = Field(None, description="the type's own payoffs [state][action], instead of the market's")
    name: str | None = Field(None, description="what to call the type in tables; default: its number")

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if (self.belief is None) == (self.joint is None):
            raise ValueError("needs either belief (one number a state) or joint ([state][context]), and not both")
        return self

    @property
    def measure(self) -> tuple[tuple[Fraction, ...], ...]:
        """Probability of each state and context, [state][context]; a belief is one context."""
        return self.joint or tuple((entry,) for entry in self.belief or ())

    @property
    def n_states(self) -> int:
        """How many states its belief or measure is for."""
        return len(self.belief or self.joint or ())


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

    @property
    def value_cells(self) -> int:
        """Cells of the value."""
        return self.size[0] if isinstance(self.size, tuple) else 1

    @property
    def belief_cells(self) -> int:
        """Cells of the belief."""
        return self.size[1] if isinstance(self.size, tuple) else self.size


@dataclass(frozen=True)
class FiniteTypes:
    """Finitely many types, perhaps the cells of a grid that stands for a continuum."""

    types: tuple[BuyerType, ...]
    stands_for_continuum: bool


@dataclass(frozen=True)
class BeliefSegment:
    """A continuum of beliefs in two states: the probability of the first has a distribution, all values are the same."""

    belief: Cdf
    value: Fraction


@dataclass(frozen=True)
class BeliefValuePlane:
    """A continuum of beliefs in two states and of values, with independent distributions."""

    belief: Cdf
    value: Cdf


@dataclass(frozen=True)
class DirichletBeliefs:
    """A continuum of beliefs in three or more states, with a Dirichlet distribution; the value may have one of its own."""

    belief: Dirichlet
    value: Fraction | Cdf


Population = FiniteTypes | BeliefSegment | BeliefValuePlane | DirichletBeliefs


def names_of(types: Sequence[BuyerType]) -> tuple[str, ...]:
    """What tables call types: their names, or else their numbers from 1."""
    return tuple(buyer.name or str(k) for k, buyer in enumerate(types, start=1))


def representative_types(population: Population) -> tuple[BuyerType, ...]:
    """The types; of a continuum one that deems all states equally likely, for checks of shapes and payoffs.

    Its value is the continuum's, or 1 where values have a distribution.
    """
    match population:
        case FiniteTypes(types):
            return types
        case BeliefSegment(_, value):
            return _types([(value, Fraction(1))], [_even(2)])
        case BeliefValuePlane():
            return _types([(Fraction(1), Fraction(1))], [_even(2)])
        case DirichletBeliefs(belief, value):
            given = value if isinstance(value, Fraction) else Fraction(1)
            return _types([(given, Fraction(1))], [_even(belief.states)])


def types_to_draw(population: Population) -> tuple[BuyerType, ...]:
    """The types; of a continuum cells that stand for it in a figure.

    Raises
    ------
    InstanceError
        If a distribution cannot be cut into cells.
    """
    match population:
        case FiniteTypes(types):
            return types
        case BeliefSegment(belief, value):
            return _types([(value, Fraction(1))], _belief_cells(belief, DRAWN_CELLS, "mean"))
        case BeliefValuePlane(belief, value):
            return _types(_value_cells(value, DRAWN_VALUES, "quantile"), _belief_cells(belief, DRAWN_BELIEFS, "mean"))
        case DirichletBeliefs(belief, value):
            sides = int(DRAWN_BOXES ** (1 / (belief.states - 1)))
            return _types(_value_cells(value, DRAWN_VALUES, "quantile"), boxes(belief, sides))


def types_of_grid(belief: Distribution | Dirichlet, value: Fraction | Cdf, grid: TypeGrid) -> tuple[BuyerType, ...]:
    """A type for each cell of a grid.

    Raises
    ------
    InstanceError
        If a distribution cannot be cut into the grid's cells.
    """
    rule: Rule = "mean" if grid.rule == "lattice" else grid.rule
    values = _value_cells(value, grid.value_cells, rule)
    if isinstance(belief, Distribution):
        return _types(values, _belief_cells(belief.as_cdf, grid.belief_cells, rule))
    try:
        return _types(values, list(zip(*lattice(belief, grid.belief_cells), strict=True)))
    except ValueError as error:
        raise InstanceError(str(error), field="params.belief") from error


def _types(values: Sequence[tuple[Fraction, Fraction]], beliefs: Sequence[WeightedBelief]) -> tuple[BuyerType, ...]:
    """Every value with every belief, both with weights."""
    return tuple(
        BuyerType.model_validate({"weight": often * weight, "belief": belief, "value": value})
        for (value, often), (belief, weight) in itertools.product(values, beliefs)
    )


def _even(states: int) -> WeightedBelief:
    """All states equally likely."""
    return (Fraction(1, states),) * states, Fraction(1)


def _belief_cells(belief: Cdf, size: int, rule: Rule) -> list[WeightedBelief]:
    """Beliefs in two states, by cells of the probability of the first."""
    try:
        return [
            ((theta, 1 - theta), weight) for theta, weight in zip(*discretised(belief, Grid(size=size, rule=rule)), strict=True)
        ]
    except ValueError as error:
        raise InstanceError(str(error), field="params.belief") from error


def _value_cells(value: Fraction | Cdf, size: int, rule: Rule) -> list[tuple[Fraction, Fraction]]:
    """Values with weights, by cells of their distribution."""
    if isinstance(value, Fraction):
        return [(value, Fraction(1))]
    try:
        return list(zip(*discretised(value, Grid(size=size, rule=rule)), strict=True))
    except ValueError as error:
        raise InstanceError(str(error), field="params.value") from error
