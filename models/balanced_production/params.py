"""The fields of an instance file: groups, what accuracy is worth to buyers, learning curves, costs, and the rule of balance."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from optmarket.errors import InstanceError
from optmarket.files import referenced_in
from optmarket.modeling.fields import Belief, Count, names_differ, stakes_fit
from optmarket.models.balanced_production import learning_curves
from optmarket.rationals import NonnegativeExact, PositiveExact

LARGEST_POWER = 50  # of a learning curve: samples to this power still fit a float
MOST_TARGETS = 200_000


class Task(BaseModel):
    """A learning curve: from n samples a prediction has accuracy ``max(0, Z - alpha n^(-beta))``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    Z: PositiveExact = Field(description="accuracy that samples without end would reach, above 0")
    alpha: PositiveExact = Field(description="how much accuracy one sample leaves to be gained, above 0")
    beta: Annotated[PositiveExact, Field(le=LARGEST_POWER)] = Field(
        description=f"how fast accuracy rises: the power of the number of samples, above 0 and at most {LARGEST_POWER}"
    )


Tasks = Task | tuple[Task, ...]


class Buyer(BaseModel):
    """A buyer of predictions, or several who are alike."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: Annotated[tuple[NonnegativeExact, ...], Field(min_length=1)] = Field(
        description="what a unit of accuracy is worth to the buyer, for each group"
    )
    count: Count = Field(1, description="how many buyers are like this one, at least 1")
    name: str | None = Field(None, description="what to call the buyer in tables; default: the number")
    task: Tasks | None = Field(None, description="the buyer's own learning curve, or one for each group; default: params.task")


class BestTarget(BaseModel):
    """A search for the target that is best for somebody."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    aim: Literal["revenue", "seller-profit", "buyer-surplus", "total-surplus"] = Field(
        description="what the target shall make as large as possible"
    )
    least_share: NonnegativeExact = Field(Fraction(0), description="share that every group must have at least", examples=["1/5"])


class Growth(BaseModel):
    """A market that grows: the same buyers many times, or buyer after buyer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    times: tuple[PositiveExact, ...] | None = Field(
        None, description="how many times as many buyers there are as now, for each market of the path"
    )
    groups: tuple[str, ...] | None = Field(None, description="with times: the groups that grow; default: all")
    first: tuple[Count, ...] | None = Field(
        None, description="instead of times: markets of the first so many entries of buyers", examples=[[1, 2, 3]]
    )

    @model_validator(mode="after")
    def _one_path(self) -> Self:
        if (self.times is None) == (self.first is None):
            raise ValueError("needs either times or first")
        if self.first is not None and self.groups is not None:
            raise ValueError("has groups, which go with times only")
        return self


class Params(BaseModel):
    """A market for training data about several groups."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    groups: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        None, description="names of the groups; default: their numbers", examples=[["Swahili", "Hausa"]]
    )
    buyers: Annotated[tuple[Buyer, ...], Field(min_length=1)] | None = Field(
        None, description="who buys predictions, a list of tables", examples=[[{"value": [2, "1/2"], "count": 3}]]
    )
    potential_value: Annotated[tuple[NonnegativeExact, ...], Field(min_length=1)] | None = Field(
        None,
        description="instead of buyers: for each group the reserve price times the number of buyers who pay it, in payoff units",
        examples=[[4, 1]],
        json_schema_extra={"template": True},
    )
    task: Tasks | None = Field(
        None,
        description="the learning curve of predictions, or one for each group",
        examples=[{"Z": 1, "alpha": 1, "beta": 1}],
        json_schema_extra={"template": True},
    )
    learning_curves_csv: str | None = Field(
        None,
        description="instead of task: a csv file with columns group, samples and accuracy, to which learning curves are fitted",
        examples=["curves.csv"],
    )
    sellers: Count | None = Field(
        None,
        description="how many sellers there are, all of the same cost; default: as many as cost has rows, or 1",
        examples=[2],
        json_schema_extra={"template": True},
    )
    cost: tuple[PositiveExact, ...] | tuple[tuple[PositiveExact, ...], ...] = Field(
        description="cost of a sample of each group, above 0, in payoff units; or a row of these for each seller",
        examples=[["1/10", "1/10"]],
    )
    target: Belief | None = Field(
        None,
        description="the rule of balance: the share of each group in every data set that is accepted; they sum to 1",
        examples=[["1/2", "1/2"]],
        json_schema_extra={"template": True},
    )
    targets: Annotated[tuple[Belief, ...], Field(min_length=1)] | None = Field(
        None, description="further targets, to be told for each whether it would end the market", examples=[[["1/3", "2/3"]]]
    )
    target_grid: Count | None = Field(
        None, description="the same for all targets whose shares are multiples of 1 divided by this number", examples=[20]
    )
    best_target: BestTarget | None = Field(
        None, description="search for the best target", examples=[{"aim": "seller-profit", "least_share": "1/5"}]
    )
    growth: Growth | None = Field(None, description="a path of larger markets", examples=[{"times": [1, 10, 100]}])

    @model_validator(mode="before")
    @classmethod
    def _fitted(cls, data: Any, info: ValidationInfo) -> Any:
        """Put in place of the name of a csv file the learning curves fitted to what it holds."""
        if not isinstance(data, dict) or data.get("learning_curves_csv") is None:
            return data
        if data.get("task") is not None:
            raise InstanceError("stands beside task; give one of the two", field="params.learning_curves_csv")
        data = dict(data)
        path = referenced_in(info.context, str(data.pop("learning_curves_csv")), field="params.learning_curves_csv")
        curves = learning_curves.fitted(path)
        names = data.get("groups") or list(curves)
        if missing := [name for name in names if name not in curves]:
            raise InstanceError(f"has no rows for group {missing[0]!r}; it has {', '.join(curves)}", file=str(path))
        if info.context and "notes" in info.context:
            info.context["notes"] += [learning_curves.described(name, curves[name]) for name in names]
        return {**data, "groups": names, "task": [curves[name].task for name in names]}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.buyers is None) == (self.potential_value is None):
            said = "is missing; give buyers or potential_value" if self.buyers is None else "stands beside potential_value"
            raise InstanceError(said, field="params.buyers")
        count = self.n_groups
        lengths: list[tuple[str, Any]] = [
            ("groups", self.groups),
            ("potential_value", self.potential_value),
            ("task", self.task),
            ("target", self.target),
            *((f"targets[{k}]", one) for k, one in enumerate(self.targets or ())),
            *((f"cost[{k}]" if self.has_cost_rows else "cost", one) for k, one in enumerate(self.costs)),
        ]
        for k, buyer in enumerate(self.buyers or ()):
            lengths += [(f"buyers[{k}].value", buyer.value), (f"buyers[{k}].task", buyer.task)]
        for name, entries in lengths:
            if isinstance(entries, tuple) and len(entries) != count:
                raise InstanceError(f"has {len(entries)} entries; there are {count} groups", field=f"params.{name}")
        names_differ(self.groups or (), "params.groups")
        names_differ((one.name for one in self.buyers or () if one.name is not None), "params.buyers")
        if self.has_cost_rows and self.sellers not in (None, len(self.cost)):
            raise InstanceError(f"is {self.sellers}; cost has rows for {len(self.cost)} sellers", field="params.sellers")
        without = self.buyers is None or any(one.task is None for one in self.buyers)
        if self.task is None and without:
            raise InstanceError(
                'is missing; it is the learning curve, such as { Z = 1, alpha = 1, beta = "1/2" }',
                field="params.task",
            )
        largest = max(
            [*(self.potential_value or ()), *(value * one.count for one in self.buyers or () for value in one.value)],
            default=Fraction(0),
        )
        cost = [entry for row in self.costs for entry in row]
        stakes_fit([("the largest value", largest, "params"), ("the largest cost", max(cost), "params.cost")])
        self._check_questions(count)
        return self

    def _check_questions(self, count: int) -> None:
        from math import comb

        if self.target_grid is not None and (size := comb(self.target_grid + count - 1, count - 1)) > MOST_TARGETS:
            raise InstanceError(
                f"makes {size:,} targets of {count} groups; at most {MOST_TARGETS:,} are taken", field="params.target_grid"
            )
        if self.best_target is not None and self.best_target.least_share * count > 1:
            least = self.best_target.least_share
            raise InstanceError(f"is {least}; {count} groups cannot all have as much", field="params.best_target.least_share")
        if self.growth is not None:
            for name in self.growth.groups or ():
                if name not in self.group_names:
                    raise InstanceError(
                        f"has {name!r}, which is no group; groups are {', '.join(self.group_names)}", field="params.growth.groups"
                    )
            if self.growth.first and (self.buyers is None or max(self.growth.first) > len(self.buyers)):
                raise InstanceError(
                    f"asks for {max(self.growth.first)} buyers; there are {len(self.buyers or ())}", field="params.growth.first"
                )
            if self.growth.times is not None and self.target is None:
                raise InstanceError("compares a market with and without a target; give one", field="params.growth")

    @property
    def has_cost_rows(self) -> bool:
        """Whether sellers have costs of their own."""
        return isinstance(self.cost[0], tuple) if self.cost else False

    @property
    def costs(self) -> tuple[tuple[Fraction, ...], ...]:
        """The cost of a sample, a row for each seller, or one row for all."""
        return self.cost if self.has_cost_rows else (self.cost,)  # type: ignore[return-value]

    @property
    def n_groups(self) -> int:
        """How many groups there are."""
        if self.potential_value is not None:
            return len(self.potential_value)
        return len(self.buyers[0].value) if self.buyers else 0

    @property
    def group_names(self) -> tuple[str, ...]:
        """The groups' names, or their numbers."""
        return self.groups or tuple(str(k) for k in range(1, self.n_groups + 1))
