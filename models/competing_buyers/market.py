"""The fields of a market with several buyers who compete with what they learn, and the exact arrays all else is computed from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationInfo, field_validator, model_validator

from optmarket.distributions.cdf import Smooth
from optmarket.distributions.specification import Distribution, Grid, NumberOrDistribution, discretised
from optmarket.errors import InstanceError
from optmarket.instances.instance import divided, weights_to_one
from optmarket.lp.program import FloatArray, IntArray, NumberArray
from optmarket.rationals import NonnegativeExact, floats, shown, sized, to_one

MOST_BUYERS = 50
Belief = tuple[NonnegativeExact, ...]


def _summing_to_one(belief: Belief | None, info: ValidationInfo, what: str) -> Belief | None:
    if belief is None:
        return None
    values, missed = to_one(belief, "its entries")
    if missed:
        divided(info, f"entries of {what}", missed)
    return tuple(values)


class CompetingType(BaseModel):
    """One type of one buyer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: NonnegativeExact = Field(description="share of this type, at least 0; a buyer's weights sum to 1")
    value: NonnegativeExact = Field(Fraction(1), description="what being right is worth, at least 0, in payoff units")
    belief: Belief | None = Field(
        None, description="the type's own probability of each state, if there is no prior; sums to 1", min_length=2
    )
    name: str | None = Field(None, description="what to call the type in tables; default: its number")

    @field_validator("belief")
    @classmethod
    def _belief_sums_to_one(cls, belief: Belief | None, info: ValidationInfo) -> Belief | None:
        return _summing_to_one(belief, info, "belief")


class Buyer(BaseModel):
    """One buyer, or several alike; types are independent from buyer to buyer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: Annotated[StrictInt, Field(ge=1, le=MOST_BUYERS)] = Field(1, description="how many buyers there are of this kind")
    types: tuple[CompetingType, ...] | None = Field(None, description="the buyer's possible types, a list", min_length=1)
    value: NumberOrDistribution | None = Field(
        None, description="instead of types: what being right is worth, a number or a distribution, at least 0; left out: 1"
    )
    belief: Distribution | None = Field(
        None, description="with value, if there is no prior: the distribution of the probability of the first of two states"
    )
    grid: Grid | None = Field(
        None, description="with a distribution: solve for cells of it instead of all types; lower cells bound revenue from below"
    )

    @field_validator("types")
    @classmethod
    def _weights_sum_to_one(
        cls, types: tuple[CompetingType, ...] | None, info: ValidationInfo
    ) -> tuple[CompetingType, ...] | None:
        return weights_to_one(types, info)

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        described = self.value is not None or self.belief is not None
        if (self.types is None) != described:
            given = "types beside value or belief" if described else "neither types nor value or belief"
            raise ValueError(f"has {given}; must give one of the two")
        laws = [("value", self.value), ("belief", self.belief)]
        for name, law in laws:
            if isinstance(law, Distribution):
                low, high = law.law.support
                if low < 0 or (name == "belief" and high > 1):
                    right = "a value is at least 0" if name == "value" else "a probability is within 0 to 1"
                    raise ValueError(f"has a {name} from {_end(low)} to {_end(high)}; {right}: truncate or scale it")
                if isinstance(law.law, Smooth) and not law.law.has_mean:
                    raise ValueError(f"has a {name} without a mean; truncate it")
        if self.grid is not None and not any(isinstance(law, Distribution) for _, law in laws):
            raise ValueError("has a grid, and no distribution for it")
        if self.belief is not None and isinstance(self.value, Distribution):
            raise ValueError("has distributions of value and belief; one of them must be a number or a prior, or list types")
        return self

    @property
    def on_continuum(self) -> bool:
        """Whether there is a type for every number of a distribution."""
        return self.grid is None and (isinstance(self.value, Distribution) or self.belief is not None)

    @cached_property
    def listed(self) -> tuple[CompetingType, ...]:
        """The types there are, or cells of the distribution.

        Raises
        ------
        ValueError
            If the distribution has no such cells, or there is no grid.
        """
        if self.types is not None:
            return self.types
        if self.belief is not None:
            assert self.grid is not None
            value = Fraction(1) if self.value is None else self.value
            points, weights = discretised(self.belief.law, self.grid)
            cells: list[dict[str, Any]] = [
                {"weight": w, "belief": (x, 1 - x), "value": value} for x, w in zip(points, weights, strict=True)
            ]
        elif isinstance(self.value, Distribution):
            assert self.grid is not None
            points, weights = discretised(self.value.law, self.grid)
            cells = [{"weight": w, "value": x} for x, w in zip(points, weights, strict=True)]
        else:
            cells = [{"weight": 1, "value": self.value}]
        return tuple(CompetingType.model_validate(cell) for cell in cells)


class Params(BaseModel):
    """A market of competing buyers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prior: Belief | None = Field(
        None,
        description="probability of each state, the same for all buyers, sums to 1; or beliefs in the types",
        examples=[["3/4", "1/4"]],
        min_length=2,
        json_schema_extra={"template": True},
    )
    externality: NonnegativeExact = Field(
        description="alpha, at least 0: what it costs a buyer if all rivals are right, as a multiple of its own value",
        examples=["1/2"],
    )
    ic: Literal["bayesian", "ex-post"] = Field(
        "bayesian",
        description="whether truth and obedience are best on average over the others' types, or whatever these are",
        examples=["bayesian"],
        json_schema_extra={"template": True},
    )
    externality_belief: Literal["own", "other"] = Field(
        "own", description="by whose belief a buyer expects its rivals to be right: its own, or each rival's (to reproduce)"
    )
    buyers: tuple[Buyer, ...] = Field(
        description="the buyers, a list of tables; one with count = n stands for n alike",
        examples=[[{"count": 2, "types": [{"weight": "1/2", "value": 1}, {"weight": "1/2", "value": 2}]}]],
        min_length=1,
    )
    formulation: Literal["auto", "general", "reduced", "symmetric", "virtual-values"] = Field(
        "auto",
        description="how to solve: general always works, reduced and virtual-values for a common prior, symmetric (the better of "
        "the two programs) for buyers all alike; auto takes the fastest that works",
    )

    @field_validator("prior")
    @classmethod
    def _prior_sums_to_one(cls, prior: Belief | None, info: ValidationInfo) -> Belief | None:
        return _summing_to_one(prior, info, "prior")

    @model_validator(mode="after")
    def _is_one_market(self) -> Self:
        if (total := sum(buyer.count for buyer in self.buyers)) < 2:
            raise InstanceError("lists one buyer; competition takes two or more: see selling-information", field="params.buyers")
        if total > MOST_BUYERS:
            raise InstanceError(f"lists {total} buyers; at most {MOST_BUYERS}", field="params.buyers")
        states: dict[int, str] = {} if self.prior is None else {len(self.prior): "the prior"}
        for k, buyer in enumerate(self.buyers):
            if self.prior is not None and buyer.belief is not None:
                raise InstanceError("stands beside prior; give one of the two", field=f"params.buyers[{k}].belief")
            if self.prior is None and buyer.types is None and buyer.belief is None:
                raise InstanceError("has no belief, and there is no prior", field=f"params.buyers[{k}]")
            for r, one in enumerate(buyer.types or ()):
                field = f"params.buyers[{k}].types[{r}].belief"
                if (self.prior is None) == (one.belief is None):
                    given = "is missing, and there is no prior" if one.belief is None else "stands beside prior"
                    raise InstanceError(f"{given}; give one of the two", field=field)
                if one.belief is not None:
                    states.setdefault(len(one.belief), field)
                    if len(states) > 1:
                        wanted = next(iter(states))
                        raise InstanceError(f"is for {len(one.belief)} states; others are for {wanted}", field=field)
            if buyer.belief is not None and states.setdefault(2, "") and len(states) > 1:
                raise InstanceError("is for two states; others are for more", field=f"params.buyers[{k}].belief")
            for r, one in enumerate(buyer.types or ()):
                for words, stake in (("", one.value), ("times the externality ", one.value * self.externality)):
                    try:
                        sized(stake)
                    except ValueError as error:
                        raise InstanceError(f"{words}{error}", field=f"params.buyers[{k}].types[{r}].value") from error
            twice = [name for name, often in Counter(one.name for one in buyer.types or () if one.name).items() if often > 1]
            if twice:
                raise InstanceError(f"names {twice[0]!r} twice; each name must differ", field=f"params.buyers[{k}].types")
            if not buyer.on_continuum:
                try:
                    _ = buyer.listed
                except ValueError as error:
                    raise InstanceError(str(error), field=f"params.buyers[{k}]") from error
        return self

    @property
    def on_continuum(self) -> bool:
        """Whether some buyer has a type for every number of a distribution."""
        return any(buyer.on_continuum for buyer in self.buyers)

    @property
    def each(self) -> tuple[Buyer, ...]:
        """The buyers one by one."""
        return tuple(buyer for buyer in self.buyers for _ in range(buyer.count))


def _end(end: Fraction | float) -> str:
    return shown(end) if isinstance(end, Fraction) else f"{end:g}"


@dataclass(frozen=True)
class Kind:
    """A buyer's types, exact.

    Attributes
    ----------
    weight, value : object array, shape (T,)
    belief : object array, shape (T, M)
    names : tuple of str
    report : array of int, shape (T,)
        Which of K reports is meant for each type: its own, unless types are to be treated alike. The two ends of a cell, weighted
        so that their mean is the cell's, stand for all of it: gains from deviations are convex between them.
    endless : bool
        Whether the last cell has values without end, of which its upper end is only one.
    """

    weight: NumberArray
    value: NumberArray
    belief: NumberArray
    names: tuple[str, ...]
    report: IntArray
    endless: bool = False

    @classmethod
    def of(cls, buyer: Buyer, prior: Belief | None) -> Kind:
        """The types of a buyer that has finitely many."""
        types = buyer.listed
        beliefs = [one.belief or prior or () for one in types]
        return cls(
            np.array([one.weight for one in types], dtype=object),
            np.array([one.value for one in types], dtype=object),
            np.array(beliefs, dtype=object).reshape(len(types), -1),
            tuple(one.name or str(k) for k, one in enumerate(types, start=1)),
            np.arange(len(types)),
        )

    @property
    def reports(self) -> int:
        """How many."""
        return int(self.report[-1]) + 1

    @cached_property
    def mass(self) -> NumberArray:
        """Weight of each report, shape (K,)."""
        total = np.array([Fraction(0)] * self.reports, dtype=object)
        np.add.at(total, self.report, self.weight)
        return total

    @cached_property
    def mean_belief(self) -> NumberArray:
        """Mean belief of the types of each report, shape (K, M); of the first of them if none has weight."""
        if self.reports == len(self.report):
            return self.belief
        first = np.searchsorted(self.report, np.arange(self.reports))
        total = np.array([[Fraction(0)] * self.belief.shape[1]] * self.reports, dtype=object)
        np.add.at(total, self.report, self.weight[:, None] * self.belief)
        some = self.mass != 0
        mean = self.belief[first]
        mean[some] = total[some] / self.mass[some][:, None]
        return mean


@dataclass(frozen=True)
class Market:
    """Finitely many types of each buyer, as given, in payoff units.

    Attributes
    ----------
    buyers : tuple of Kind
        One for each of the n buyers; those alike are the same object.
    externality : Fraction
        alpha; each rival's being right costs alpha/(n - 1) times one's value.
    prior : object array, shape (M,), or None
        None if types have beliefs of their own.
    ex_post : bool
    own : bool
        Whether a buyer expects rivals to be right by its own belief, or by each rival's.
    stake : Fraction, optional
        What counts as the largest value where values have no end.
    """

    buyers: tuple[Kind, ...]
    externality: Fraction
    prior: NumberArray | None
    ex_post: bool
    own: bool

    stake: Fraction | None = None

    @classmethod
    def of(cls, params: Params, kinds: Sequence[Kind] | None = None, stake: Fraction | None = None) -> Market:
        """Arrays of validated parameters, of those without continua, or with these kinds for the entries of ``buyers``."""
        if kinds is None:
            kinds = [Kind.of(buyer, params.prior) for buyer in params.buyers]
        return cls(
            tuple(kind for kind, buyer in zip(kinds, params.buyers, strict=True) for _ in range(buyer.count)),
            params.externality,
            None if params.prior is None else np.array(params.prior, dtype=object),
            params.ic == "ex-post",
            params.externality_belief == "own",
            stake,
        )

    @property
    def states(self) -> int:
        """How many."""
        return int(self.buyers[0].belief.shape[1])

    @property
    def shape(self) -> tuple[int, ...]:
        """How many reports each buyer has."""
        return tuple(kind.reports for kind in self.buyers)

    @cached_property
    def groups(self) -> tuple[tuple[Kind, int], ...]:
        """The kinds of buyers, in order of the first of each, and how many there are."""
        counts = Counter(map(id, self.buyers))
        return tuple((kind, counts[key]) for key, kind in {id(kind): kind for kind in self.buyers}.items())

    @property
    def profiles(self) -> int:
        """How many combinations of reports there are."""
        return math.prod(self.shape)

    @property
    def share(self) -> Fraction:
        """What one rival's being right costs, as a multiple of one's value."""
        return self.externality / (len(self.buyers) - 1)

    @cached_property
    def scale(self) -> Fraction:
        """A power of two, at least what the largest payoff and the largest harm come to together; 1 if nothing is at stake."""
        stake = max(max(kind.value) for kind in self.buyers) if self.stake is None else self.stake
        largest = stake * (1 + self.externality)
        return Fraction(2) ** math.ceil(math.log2(largest)) if largest else Fraction(1)

    @cached_property
    def least(self) -> float:
        """The least value above nothing; 1 if there is none."""
        return min((float(v) for kind in {id(kind): kind for kind in self.buyers}.values() for v in kind.value if v), default=1.0)

    @cached_property
    def probability(self) -> FloatArray:
        """Of each profile, shape `shape`."""
        found = np.ones(())
        for kind in self.buyers:
            found = np.multiply.outer(found, floats(kind.mass))
        return found

    def outside(self, buyer: int) -> NumberArray:
        """What each type of a buyer gets if it opts out and its rivals are told the state: v (max theta - alpha)."""
        kind = self.buyers[buyer]
        return np.asarray(kind.value * (kind.belief.max(axis=1) - self.externality))
