"""Markets of competing buyers that tests build: of listed types, on a grid of beliefs, random ones, and continua."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from optmarket.certificates import Audit, Optimality
from optmarket.lp import highs
from optmarket.lp.program import LinearProgram
from optmarket.models.competing_buyers.market import (
    BuyerTypes,
    ContinuousBeliefs,
    ContinuousValues,
    FiniteTypes,
    Market,
    market_of,
)
from optmarket.models.competing_buyers.mechanisms.by_cell import CellMechanism
from optmarket.models.competing_buyers.mechanisms.mechanism_files import read_mechanism
from optmarket.models.competing_buyers.outcomes import assess
from optmarket.models.competing_buyers.params import Params
from optmarket.options import Status
from optmarket.solution import Answer, Solution

Group = dict[str, Any]
INCENTIVES = ["bayesian", "ex-post"]
EXTERNALITY_BELIEFS = ["own", "other"]
EVEN = ["1/2", "1/2"]
UNIFORM = {"dist": "uniform"}
EXPONENTIAL = {"dist": "expon"}
IRREGULAR = {"density": [{"from": 0, "to": "3/10", "height": "5/2"}, {"from": "3/10", "to": "4/5", "height": "1/2"}]}


def params_of(**given: Any) -> Params:
    """Validated fields of ``[params]``, with an externality of 1/2 if none is given."""
    return Params.model_validate({"externality": "1/2", **given})


def market_with(**given: Any) -> Market:
    """The market of fields of ``[params]``, with an externality of 1/2 if none is given."""
    return market_of(params_of(**given))


def finite_market(buyers: Sequence[Group], externality: Any, ic: str = "bayesian", **others: Any) -> FiniteTypes:
    """A market that has finitely many types of each buyer."""
    market = market_with(buyers=buyers, externality=externality, ic=ic, **others)
    assert isinstance(market, FiniteTypes)
    return market


def common_prior(
    buyers: Sequence[Group], alpha: Any = "1/2", ic: str = "bayesian", th: Any = "1/2"
) -> FiniteTypes | ContinuousValues:
    """A market of two states with a common prior, th its larger entry."""
    market = market_with(prior=[th, 1 - Fraction(th)], externality=alpha, ic=ic, buyers=buyers)
    assert not isinstance(market, ContinuousBeliefs)
    return market


def finite_values(buyers: Sequence[Group], alpha: Any = "1/2", ic: str = "bayesian", th: Any = "1/2") -> FiniteTypes:
    """`common_prior` of finitely many values."""
    market = common_prior(buyers, alpha, ic, th)
    assert isinstance(market, FiniteTypes)
    return market


def continuous_values(buyers: Sequence[Group], alpha: Any = "1/2", ic: str = "bayesian", th: Any = "1/2") -> ContinuousValues:
    """`common_prior` of a continuum of values."""
    market = common_prior(buyers, alpha, ic, th)
    assert isinstance(market, ContinuousValues)
    return market


def continuous_beliefs(buyers: Sequence[Group], alpha: Any = "1/2", ic: str = "bayesian", **given: Any) -> ContinuousBeliefs:
    """A market in which the beliefs of some buyers fill a continuum."""
    market = market_with(externality=alpha, ic=ic, buyers=buyers, **given)
    assert isinstance(market, ContinuousBeliefs)
    return market


def listed_values(values: Sequence[Any], weights: Sequence[Any] | None = None) -> list[dict[str, Any]]:
    """Types of these values, equally likely if no weights are given."""
    weights = weights or [Fraction(1, len(values))] * len(values)
    return [{"value": v, "weight": w} for v, w in zip(values, weights, strict=True)]


def of_values(values: Sequence[Any], externality: Any, ic: str, buyers: int = 2) -> FiniteTypes:
    """Symmetric buyers of equally likely values, with an even prior of two states."""
    return finite_market([{"count": buyers, "types": listed_values(values)}], externality, ic, prior=EVEN)


def on_a_line(types: int, externality: Any, ic: str, **others: Any) -> FiniteTypes:
    """Two buyers of value 1, who believe in the first state with chances at the middles of equal cells."""
    chances = [Fraction(2 * k + 1, 2 * types) for k in range(types)]
    listed = [{"weight": Fraction(1, types), "belief": [x, 1 - x]} for x in chances]
    return finite_market([{"count": 2, "types": listed}], externality, ic, **others)


def shares(random: np.random.Generator, count: int) -> list[Fraction]:
    """Random positive numbers that sum to one."""
    drawn = random.integers(1, 10, count)
    return [Fraction(int(k), int(drawn.sum())) for k in drawn]


def random_market(seed: int, shape: Sequence[int], states: int, ic: str, belief: str) -> FiniteTypes:
    """Buyers of so many types each, with random weights, values, beliefs and externality."""
    random = np.random.default_rng(seed)
    buyers = []
    for types in shape:
        listed = [
            {"weight": w, "value": Fraction(int(random.integers(1, 9)), 4), "belief": shares(random, states)}
            for w in shares(random, types)
        ]
        buyers.append({"types": listed})
    return finite_market(buyers, Fraction(int(random.integers(0, 9)), 4), ic, externality_belief=belief)


def random_groups(seed: int, counts: Sequence[tuple[int, int]], states: int, *, common: bool) -> list[Group]:
    """Groups of symmetric buyers: how many buyers, and of how many types; without beliefs if they are common."""
    random = np.random.default_rng(seed)
    groups = []
    for count, types in counts:
        values = [Fraction(int(v), 4) for v in random.integers(1, 9, types)]
        listed: list[dict[str, Any]] = [{"weight": w, "value": v} for w, v in zip(shares(random, types), values, strict=True)]
        if not common:
            listed = [{**one, "belief": shares(random, states)} for one in listed]
        groups.append({"count": count, "types": listed})
    return groups


def with_groups(groups: Sequence[Group], ic: str, **others: Any) -> FiniteTypes:
    """The market of some groups of buyers, with an externality of 3/2 if none is given."""
    return finite_market(groups, others.pop("externality", "3/2"), ic, **others)


def separate(groups: Sequence[Group]) -> list[Group]:
    """The same buyers described one by one, so that nothing says that they are symmetric."""
    return [{"types": group["types"]} for group in groups for _ in range(group["count"])]


def optimum(program: LinearProgram) -> float:
    """The value of a program that the solver solves, in payoff units."""
    result = highs.solve(program)
    assert result.status is Status.OPTIMAL
    return result.bound * program.unit


def judge(market: Market, mechanism: Mapping[str, Any]) -> Audit:
    """The audit of the object of a mechanism file."""
    found = read_mechanism(market, mechanism)
    return assess(found.by_report if isinstance(found, CellMechanism) else found)


def proof(answer: Answer | Solution) -> Optimality:
    """The bounds that a solve proves."""
    assert isinstance(answer.certificate, Optimality)
    return answer.certificate


def pooled(given: FiniteTypes, report: Sequence[int]) -> FiniteTypes:
    """The market in which the types of the first group of buyers make these reports."""
    first = given.buyers[0]
    types = BuyerTypes(first.weight, first.value, first.belief, first.names, np.array(report))
    return replace(given, buyers=tuple(types if one is first else one for one in given.buyers))


def profile_by_profile(shape: tuple[int, ...], experiment: Any) -> list[Any]:
    """The same experiment of two states at every profile of types, as a mechanism file has it."""
    return [*np.broadcast_to(experiment, (*shape, 2, 2)).tolist()]
