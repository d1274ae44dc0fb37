"""The fields of an instance file of competing buyers, validated: the prior, the externality, and the groups of buyers."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationInfo, field_validator, model_validator

from optmarket.distributions.cdf import Cdf, Smooth
from optmarket.distributions.specification import Distribution, Grid, NumberOrDistribution, discretised
from optmarket.errors import InstanceError
from optmarket.modeling.fields import Belief, ends, names_differ, no_formulation, stakes_fit, weights_to_one
from optmarket.rationals import NonnegativeExact

MOST_BUYERS = 50


class BuyerType(BaseModel):
    """One type of one buyer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: NonnegativeExact = Field(description="share of this type, at least 0; a buyer's weights sum to 1")
    value: NonnegativeExact = Field(
        Fraction(1), description="what the right action is worth to the type, at least 0, in payoff units"
    )
    belief: Belief | None = Field(
        None, description="the type's own probability of each state, if there is no prior; sums to 1", min_length=2
    )
    name: str | None = Field(None, description="what to call the type in tables; default: its number")


@dataclass(frozen=True)
class ListedTypes:
    """Finitely many types, or the cells of a distribution that a grid makes of it."""

    types: tuple[BuyerType, ...]


@dataclass(frozen=True)
class ContinuumOfValues:
    """A type for each value of a distribution; the belief is the market's prior."""

    distribution: Cdf


@dataclass(frozen=True)
class ContinuumOfBeliefs:
    """A type for each belief, the probability of the first of two states; all types have one value."""

    distribution: Cdf
    value: Fraction


class BuyerGroup(BaseModel):
    """One buyer, or several symmetric ones; types are independent from buyer to buyer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: Annotated[StrictInt, Field(ge=1, le=MOST_BUYERS)] = Field(
        1, description="how many symmetric buyers this entry stands for"
    )
    types: tuple[BuyerType, ...] | None = Field(None, description="the buyer's possible types, a list", min_length=1)
    value: NumberOrDistribution | None = Field(
        None,
        description="instead of types: what the right action is worth, a number or a distribution, at least 0; left out: 1",
    )
    belief: Distribution | None = Field(
        None, description="with value, if there is no prior: the distribution of the probability of the first of two states"
    )
    grid: Grid | None = Field(
        None, description="with a distribution: solve for cells of it instead of all types; lower cells bound revenue from below"
    )

    @field_validator("types")
    @classmethod
    def _weights_sum_to_one(cls, types: tuple[BuyerType, ...] | None, info: ValidationInfo) -> tuple[BuyerType, ...] | None:
        return weights_to_one(types, info)

    @model_validator(mode="after")
    def _describes_types_once(self) -> Self:
        described = self.value is not None or self.belief is not None
        if (self.types is None) != described:
            given = "types beside value or belief" if described else "neither types nor value or belief"
            raise ValueError(f"has {given}; must give one of the two")
        for name, drawn in (("value", self.value), ("belief", self.belief)):
            if isinstance(drawn, Distribution):
                low, high = drawn.as_cdf.support
                if low < 0 or (name == "belief" and high > 1):
                    right = "a value is at least 0" if name == "value" else "a probability is within 0 to 1"
                    raise ValueError(f"has a {name} that {ends(drawn.as_cdf)}; {right}: truncate or scale it")
                if isinstance(drawn.as_cdf, Smooth) and not drawn.as_cdf.has_mean:
                    raise ValueError(f"has a {name} without a mean; truncate it")
        if self.grid is not None and not (isinstance(self.value, Distribution) or self.belief is not None):
            raise ValueError("has a grid, and no distribution for it")
        if self.belief is not None and isinstance(self.value, Distribution):
            raise ValueError("has distributions of value and belief; one of them must be a number or a prior, or list types")
        return self

    @cached_property
    def population(self) -> ListedTypes | ContinuumOfValues | ContinuumOfBeliefs:
        """The buyer's types, whichever way the file describes them.

        Raises
        ------
        ValueError
            If the grid cannot cut the distribution into cells.
        """
        if self.types is not None:
            return ListedTypes(self.types)
        if self.belief is not None:
            value = self.value if isinstance(self.value, Fraction) else Fraction(1)
            if self.grid is None:
                return ContinuumOfBeliefs(self.belief.as_cdf, value)
            cells = zip(*discretised(self.belief.as_cdf, self.grid), strict=True)
            return _listed({"weight": w, "belief": (x, 1 - x), "value": value} for x, w in cells)
        if isinstance(self.value, Distribution):
            if self.grid is None:
                return ContinuumOfValues(self.value.as_cdf)
            cells = zip(*discretised(self.value.as_cdf, self.grid), strict=True)
            return _listed({"weight": w, "value": x} for x, w in cells)
        return _listed([{"weight": 1, "value": self.value}])


def _listed(types: Any) -> ListedTypes:
    return ListedTypes(tuple(BuyerType.model_validate(each) for each in types))


class Params(BaseModel):
    """A market of competing buyers, as ``[params]`` of an instance file describes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prior: Belief | None = Field(
        None,
        description="probability of each state, the same for all buyers, sums to 1; or beliefs in the types",
        examples=[["3/4", "1/4"]],
        min_length=2,
        json_schema_extra={"template": True},
    )
    externality: NonnegativeExact = Field(
        description="alpha, at least 0: what it costs a buyer if all rivals act right, as a multiple of its own value",
        examples=["1/2"],
    )
    ic: Literal["bayesian", "ex-post"] = Field(
        "bayesian",
        description="whether truth and obedience are best on average over the others' types, or whatever these are",
        examples=["bayesian"],
        json_schema_extra={"template": True},
    )
    externality_belief: Literal["own", "other"] = Field(
        "own", description="by whose belief a buyer expects its rivals to act right: its own, or each rival's (to reproduce)"
    )
    buyers: tuple[BuyerGroup, ...] = Field(
        description="the buyers, a list of tables; one with count = n stands for n symmetric buyers",
        examples=[[{"count": 2, "types": [{"weight": "1/2", "value": 1}, {"weight": "1/2", "value": 2}]}]],
        min_length=1,
    )

    @model_validator(mode="before")
    @classmethod
    def _says_nothing_of_methods(cls, data: Any) -> Any:
        common_prior = isinstance(data, dict) and data.get("prior") is not None
        methods = {
            "auto": "auto",
            "general": "cuts",
            "reduced": "reduced",
            "symmetric": "reduced" if common_prior else "cuts",
            "virtual-values": "virtual-values",
        }
        return no_formulation(data, methods)

    @model_validator(mode="after")
    def _is_one_market(self) -> Self:
        if (total := sum(group.count for group in self.buyers)) < 2:
            raise InstanceError("lists one buyer; competition takes two or more: see selling-information", field="params.buyers")
        if total > MOST_BUYERS:
            raise InstanceError(f"lists {total} buyers; at most {MOST_BUYERS}", field="params.buyers")
        self._beliefs_are_given_once()
        for k, group in enumerate(self.buyers):
            types = list(enumerate(group.types or ()))
            fields = [(one.value, f"params.buyers[{k}].types[{r}].value") for r, one in types]
            for value, field in fields:
                stakes_fit([("", value, field), ("times the externality", value * self.externality, field)])
            names_differ((one.name for _, one in types if one.name), f"params.buyers[{k}].types")
            try:
                _ = group.population
            except ValueError as error:
                raise InstanceError(str(error), field=f"params.buyers[{k}]") from error
        return self

    def _beliefs_are_given_once(self) -> None:
        """Fail unless each type has one belief, the prior or its own, and all are about as many states."""
        states: dict[int, str] = {} if self.prior is None else {len(self.prior): "the prior"}
        for k, group in enumerate(self.buyers):
            if self.prior is not None and group.belief is not None:
                raise InstanceError("stands beside prior; give one of the two", field=f"params.buyers[{k}].belief")
            if self.prior is None and group.types is None and group.belief is None:
                raise InstanceError("has no belief, and there is no prior", field=f"params.buyers[{k}]")
            for r, one in enumerate(group.types or ()):
                field = f"params.buyers[{k}].types[{r}].belief"
                if (self.prior is None) == (one.belief is None):
                    given = "is missing, and there is no prior" if one.belief is None else "stands beside prior"
                    raise InstanceError(f"{given}; give one of the two", field=field)
                if one.belief is not None:
                    states.setdefault(len(one.belief), field)
                    if len(states) > 1:
                        first = next(iter(states))
                        raise InstanceError(f"is for {len(one.belief)} states; others are for {first}", field=field)
            if group.belief is not None and states.setdefault(2, "") and len(states) > 1:
                raise InstanceError("is for two states; others are for more", field=f"params.buyers[{k}].belief")
