"""The fields of an instance file: the buyer's types and the cost of the good."""

from __future__ import annotations

from fractions import Fraction

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from optmarket.modeling.fields import names_differ, weights_to_one
from optmarket.rationals import NonnegativeExact


class BuyerType(BaseModel):
    """One type of buyer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: NonnegativeExact = Field(description="share of this type among buyers, at least 0; the weights sum to 1")
    value: NonnegativeExact = Field(description="what the good is worth to this type, at least 0, in payoff units")
    name: str | None = Field(None, description="what to call the type in tables; default: its number")


class Params(BaseModel):
    """A market for one good."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    types: tuple[BuyerType, ...] = Field(
        description="the buyer's possible types, a list of tables",
        examples=[[{"weight": "1/2", "value": 1}, {"weight": "1/2", "value": 3}]],
        min_length=1,
    )
    cost: NonnegativeExact = Field(
        Fraction(0), description="what it costs to supply the good, at least 0, in payoff units", examples=["1/4"]
    )

    @field_validator("types")
    @classmethod
    def _weights_sum_to_one(cls, types: tuple[BuyerType, ...], info: ValidationInfo) -> tuple[BuyerType, ...] | None:
        names_differ((one.name for one in types if one.name is not None), "params.types")
        return weights_to_one(types, info)
