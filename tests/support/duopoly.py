"""Two firms that choose quantities: a market whose answer is an equilibrium, to try what certificates of that kind go through.

Inverse demand is ``1 - q_1 - q_2``, marginal costs are c_1 and c_2. In the Cournot equilibrium a firm supplies
``q_i = (1 - 2 c_i + c_j) / 3``, and a firm that deviates does best at ``(1 - c_i - q_j) / 2``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from optmarket.certificates import Audit, Claim, Equilibrium
from optmarket.errors import InstanceError
from optmarket.modeling.registry import ModelSpec, Quantity
from optmarket.options import Options, Status
from optmarket.rationals import NonnegativeExact, exact
from optmarket.solution import Answer, Solution
from optmarket.solution_file import SolverReport

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Params(BaseModel):
    """Two costs, and by how much the solver misses the equilibrium."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    costs: tuple[NonnegativeExact, NonnegativeExact] = Field(description="marginal costs", examples=[["1/10", "1/5"]])
    missed: NonnegativeExact = Field(Fraction(0), description="what is added to the first firm's quantity", examples=[0])


@dataclass(frozen=True)
class Profile:
    """Quantities of the two firms."""

    quantity: tuple[Fraction, Fraction]

    @classmethod
    def read(cls, market: Params, data: Mapping[str, Any]) -> Profile:
        if data.keys() != {"quantity"}:
            raise InstanceError("must be given, and nothing else", field="quantity")
        first, second = map(exact, data["quantity"])
        return cls((first, second))

    def to_json(self) -> dict[str, Any]:
        return {"quantity": [str(one) for one in self.quantity]}


def gains(market: Params, profile: Profile) -> tuple[Fraction, Fraction]:
    """What each firm gains by its best deviation: with linear demand the square of its distance from the best reply."""
    first, second = profile.quantity
    best = ((1 - market.costs[0] - second) / 2, (1 - market.costs[1] - first) / 2)
    return (first - best[0]) ** 2, (second - best[1]) ** 2


def outcome(profile: Profile) -> dict[str, float]:
    return {"price": float(1 - sum(profile.quantity)), "output": float(sum(profile.quantity))}


def solve(market: Params, options: Options) -> Answer:
    first, second = market.costs
    profile = Profile(((1 - 2 * first + second) / 3 + market.missed, (1 - 2 * second + first) / 3))
    gain = float(max(gains(market, profile)))
    price = 1 - sum(profile.quantity)
    return Answer(
        Status.EQUILIBRIUM,
        profile,
        outcome(profile),
        Equilibrium(gain),
        exact=None if market.missed else Fraction(price),
        run=SolverReport(seconds=0.0, method="closed form"),
    )


def audit(market: Params, profile: Profile) -> Audit:
    return Audit(outcome(profile), {"deviate": float(max(gains(market, profile)))})


def theory(market: Params) -> list[Claim]:
    return [Claim("price", str((1 + sum(market.costs)) / 3), "eq", "analytic", "Cournot 1838")]


def tables(market: Params, profile: Profile) -> dict[str, pd.DataFrame]:
    return {"firms": pd.DataFrame({"firm": ["1", "2"], "quantity": [float(one) for one in profile.quantity]})}


def draw(market: Params, profile: Profile, solution: Solution) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().bar(["1", "2"], [float(one) for one in profile.quantity])
    return figure


DUOPOLY = ModelSpec(
    name="duopoly",
    title="Two firms that choose quantities",
    source="Cournot 1838",
    objective="price",
    methods={"auto": "the closed form"},
    params=Params,
    market=lambda params: params,
    solve=solve,
    program=lambda market: None,
    read=Profile.read,
    audit=audit,
    theory=theory,
    tables=tables,
    figure=draw,
    quantities={"price": Quantity("money", "the price of the good"), "output": Quantity("units", "what both firms make")},
    deviations={"deviate": "choosing another quantity"},
)

INSTANCE = """
format = 1
model = "duopoly"
title = "A duopoly"
source = "own"
[params]
costs = ["1/10", "1/5"]
"""
