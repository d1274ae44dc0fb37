"""Instance files of a made-up market, as tests of reading and writing them need it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from optmarket.errors import InstanceError, ModelError
from optmarket.instances.instance import parse
from optmarket.modeling.fields import divided
from optmarket.rationals import Exact, NonnegativeExact, PositiveExact, to_one


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Piece(Strict):
    start: Exact = Field(alias="from", description="where the piece starts")
    height: PositiveExact = Field(description="density on the piece")


class Density(Strict):
    density: tuple[Piece, ...] = Field(description="pieces of constant density")


class Named(Strict):
    dist: str = Field(description="the name of a distribution")
    scale: PositiveExact = Fraction(1)


class Buyer(Strict):
    weight: NonnegativeExact = Field(description="share of this type among buyers")
    belief: tuple[NonnegativeExact, ...] = Field(description="probability of each state, sums to 1")
    value: Density | Named | Exact | None = Field(None, description="a number, or its distribution")

    @field_validator("belief")
    @classmethod
    def _sums_to_one(cls, belief: tuple[Fraction, ...], info: ValidationInfo) -> tuple[Fraction, ...]:
        values, missed = to_one(belief, "entries")
        if missed:
            divided(info, "entries", missed)
        return tuple(values)


class Params(Strict):
    payoff: Literal["matching"] | tuple[tuple[Exact, ...], ...] = Field(
        "matching",
        description='"matching" or payoffs [state][action]',
        examples=["matching"],
        json_schema_extra={"template": True},
    )
    types: tuple[Buyer, ...] = Field(
        description="the buyer's possible types",
        min_length=1,
        max_length=3,
        examples=[[{"weight": "1/3", "belief": ["1/4", "3/4"]}, {"weight": "2/3", "belief": [1, 0]}]],
    )
    count: int = Field(2, description="number of buyers", ge=1, le=9, examples=[3])
    names: dict[str, Exact] = Field(default_factory=dict, description="named numbers", examples=[{"a b": 2}])
    data: str | None = Field(None, description="a file beside this one")

    @field_validator("data")
    @classmethod
    def _is_there(cls, data: str | None, info: ValidationInfo) -> str | None:
        if data and not ((info.context or {})["folder"] / data).is_file():
            raise InstanceError("there is no such file beside the instance", field="params.data")
        return data


GOOD = """
format = 1
model = "toy"
title = "A case"
source = "own"
[params]
payoff = [[1, 0], [0.5, "1/3"]]
types = [{ weight = "1/2", belief = ["1/4", 0.75] }, { weight = 0.5, belief = [1, 0], value = 2 }]
"""


def params_of(name: str) -> type[BaseModel]:
    if name != "toy":
        raise ModelError(f"there is no market {name!r}; did you mean 'toy'?")
    return Params


def error_of(text: str, **options: Any) -> InstanceError:
    with pytest.raises(InstanceError) as refusal:
        parse(text, params_of, **options)
    return refusal.value


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


# Bad input ------------------------------------------------------------------------------------------------------------

NUMBER = 'a number is written 0.25, 1e-3 or "1/3"'


# Expected answers -----------------------------------------------------------------------------------------------------


def expecting(lines: str) -> str:
    return GOOD + '[[expect]]\nquantity = "revenue"\nsource = "theorem 1"\n' + lines
