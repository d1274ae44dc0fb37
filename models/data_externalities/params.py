"""The fields of an instance file: users, how their data are correlated, what privacy is worth to them, and what is asked."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationInfo, field_validator, model_validator

from optmarket.distributions.specification import Distribution
from optmarket.errors import InstanceError
from optmarket.files import referenced_in
from optmarket.modeling.fields import names_differ, stakes_fit, weights_to_one
from optmarket.models.data_externalities import user_data
from optmarket.models.data_externalities.covariance import check_covariance, generated
from optmarket.rationals import Exact, NonnegativeExact

Matrix = tuple[tuple[Exact, ...], ...]
Mediation = Literal["none", "lemma", "literal"]
LARGEST_TABLE = 12  # users of a table of leaks: it has 2^n rows


class Generator(BaseModel):
    """A covariance matrix made by a rule, for scaling studies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["factor", "block", "toeplitz", "random"] = Field(
        description="factor: a few common factors; block: groups whose members are equally correlated; toeplitz: correlation "
        "strength^|i - j|; random: the correlations of as many random directions"
    )
    n: Annotated[StrictInt, Field(ge=1, le=1000)] = Field(description="number of users, 1 to 1000")
    seed: Annotated[StrictInt, Field(ge=0)] = Field(0, description="seed of the random numbers, a whole number at least 0")
    groups: Annotated[StrictInt, Field(ge=1)] = Field(3, description="number of factors or of groups, at least 1")
    strength: Annotated[Exact, Field(ge=0, lt=1)] = Field(
        Fraction(1, 2), description="block and toeplitz: the correlation; factor: the share of variance due to factors; in [0, 1)"
    )


class PossibleCovariance(BaseModel):
    """One of several covariance matrices that neither the users nor the platform can tell apart."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: NonnegativeExact = Field(description="probability of this matrix; the weights sum to 1")
    covariance: Matrix = Field(description="covariance matrix of the users' types, [user][user]")


class Leak(BaseModel):
    """What is learned about each user if these users share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sharers: tuple[Annotated[StrictInt, Field(ge=1)], ...] = Field(description="numbers of the users who share, from 1")
    leak: tuple[NonnegativeExact, ...] = Field(description="leaked information about each user, one number a user")


class Platforms(BaseModel):
    """Two platforms that users may join."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    joining_value: NonnegativeExact | tuple[NonnegativeExact, ...] | None = Field(
        None, description="what joining a platform is worth to a user: a number, or one for each number of users who have joined"
    )
    joining_value_by_user: tuple[NonnegativeExact | tuple[NonnegativeExact, ...], ...] | None = Field(
        None, description="instead: the same for each user"
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.joining_value is None) == (self.joining_value_by_user is None):
            raise ValueError("needs either joining_value or joining_value_by_user")
        return self

    def value_of_joining(self, user: int, joined: int) -> Fraction:
        """What it is worth to a user to be one of `joined` users on a platform."""
        value = self.joining_value if self.joining_value_by_user is None else self.joining_value_by_user[user]
        if value is None or isinstance(value, Fraction):
            return value or Fraction(0)
        return value[joined - 1]


SOURCES = ("covariance", "correlation", "generator", "covariance_csv", "data_csv", "mixture", "leaks")


class Params(BaseModel):
    """A market for the data of users whose data are correlated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    privacy_value: NonnegativeExact | tuple[NonnegativeExact, ...] | None = Field(
        None,
        description="what a unit of leaked information costs each user, at least 0: one number a user, or one for all; the "
        "platform's own value of a unit is 1",
        examples=[["1/2", "3/2"]],
        json_schema_extra={"template": True},
    )
    privacy_value_csv: str | None = Field(
        None, description="instead: a csv file with columns user and privacy_value", examples=["values.csv"]
    )
    covariance: Matrix | None = Field(
        None,
        description="covariance matrix of the users' types, [user][user], symmetric and positive semidefinite; a user who shares "
        "reveals the type plus normal noise of variance 1",
        examples=[[[1, "4/5"], ["4/5", 1]]],
        json_schema_extra={"template": True},
    )
    correlation: Matrix | None = Field(None, description="instead of covariance: correlation matrix, with variance")
    variance: NonnegativeExact | tuple[NonnegativeExact, ...] = Field(
        Fraction(1), description="with correlation: variance of each user's type, or one for all"
    )
    generator: Generator | None = Field(
        None, description="instead of covariance: a matrix made by a rule", examples=[{"name": "factor", "n": 12, "seed": 1}]
    )
    covariance_csv: str | None = Field(
        None, description="instead: a csv file, a header with the users' names and a row a user", examples=["covariance.csv"]
    )
    data_csv: str | None = Field(
        None,
        description="instead: a csv file of observations, a column a user and a row an observation; the covariance is estimated",
        examples=["data.csv"],
    )
    columns: tuple[str, ...] | None = Field(None, description="with data_csv: the columns that are users; default: the numbers")
    shrinkage: Literal["none", "ledoit-wolf", "oas"] = Field(
        "none", description="with data_csv: how the estimate is shrunk towards a multiple of the identity"
    )
    standardize: bool = Field(True, description="with data_csv: whether each user's data are divided by their standard deviation")
    mixture: Annotated[tuple[PossibleCovariance, ...], Field(min_length=1)] | None = Field(
        None, description="instead of covariance: several that have probabilities, for correlations that nobody knows"
    )
    leaks: Annotated[tuple[Leak, ...], Field(min_length=1)] | None = Field(
        None,
        description="instead of covariance: any other measure of leaked information, for each set of users who share; one that "
        "rises with more sharers",
    )
    names: tuple[str, ...] | None = Field(None, description="names of the users; default: their numbers")
    mediation: Mediation = Field(
        "none",
        description="none: users share their own data; literal: a mediator removes what each user's data say about others before "
        "they are shared; lemma: the same as the source describes it, with the whole leak of sharers and none of others",
    )
    prices: tuple[NonnegativeExact, ...] | None = Field(
        None, description="prices that are given, one a user: which users then share is what is asked"
    )
    platforms: Platforms | None = Field(
        None, description="a second platform: which of the two users join", examples=[{"joining_value": 5}]
    )
    valuation: Distribution | tuple[Distribution, ...] | None = Field(
        None,
        description="what the platform knows of values that are the users' secret: a distribution a user, or one for all; "
        "privacy_value then holds the true values",
        examples=[{"dist": "uniform", "scale": 2}],
    )

    @model_validator(mode="before")
    @classmethod
    def _files(cls, data: Any, info: ValidationInfo) -> Any:
        """Put in place of the names of files what they hold, which is then part of the instance."""
        if not isinstance(data, dict):
            return data
        given = [name for name in SOURCES if data.get(name) is not None]
        if len(given) != 1:
            said = f"has {' and '.join(given)}" if given else "says nothing of how users' data are correlated"
            raise InstanceError(f"{said}; give one of {', '.join(SOURCES)}", field="params")
        data = {name: entry for name, entry in data.items() if entry is not None}

        def file(name: str) -> Path:
            return referenced_in(info.context, str(data.pop(name)), field=f"params.{name}")

        if "covariance_csv" in data:
            names, matrix = user_data.covariance_of_csv(file("covariance_csv"))
            data = {"names": names, **data, "covariance": matrix}
        elif "data_csv" in data:
            path = file("data_csv")
            options = {name: data.pop(name) for name in ("columns", "shrinkage", "standardize") if name in data}
            names, matrix = user_data.estimated_covariance(path, **_checked(options))
            if info.context and "notes" in info.context:
                info.context["notes"] += user_data.left_out(path, names, chosen="columns" in options)
            data = {"names": names, **data, "covariance": matrix}
        if "privacy_value_csv" in data:
            if data.get("privacy_value") is not None:
                raise InstanceError("stands beside privacy_value; give one of the two", field="params.privacy_value_csv")
            if not data.get("names"):
                raise InstanceError("needs the users' names, from names or a csv file", field="params.privacy_value_csv")
            data["privacy_value"] = user_data.values_of_csv(file("privacy_value_csv"), data["names"])
        elif data.get("privacy_value") is None:
            raise InstanceError(
                'is missing; it is what a unit of leaked information costs each user, such as ["1/2", "3/2"]',
                field="params.privacy_value",
            )
        return data

    @field_validator("covariance", "correlation")
    @classmethod
    def _is_a_covariance(cls, matrix: Matrix | None) -> Matrix | None:
        if matrix is not None:
            check_covariance(matrix)
        return matrix

    @field_validator("mixture")
    @classmethod
    def _weights(
        cls, parts: tuple[PossibleCovariance, ...] | None, info: ValidationInfo
    ) -> tuple[PossibleCovariance, ...] | None:
        for k, part in enumerate(parts or ()):
            try:
                check_covariance(part.covariance)
            except ValueError as error:
                raise InstanceError(str(error), field=f"params.mixture[{k}].covariance") from error
            if parts and len(part.covariance) != len(parts[0].covariance):
                raise InstanceError("is for another number of users than the first", field=f"params.mixture[{k}].covariance")
        return weights_to_one(parts, info)

    @model_validator(mode="after")
    def _lengths(self) -> Self:
        n = self.n_users
        for name in ("privacy_value", "prices", "names", "variance", "valuation"):
            entries = getattr(self, name)
            if isinstance(entries, tuple) and len(entries) != n:
                raise InstanceError(f"has {len(entries)} entries; there are {n} users", field=f"params.{name}")
        names_differ(self.names or (), "params.names")
        largest = max(self.privacy_value) if isinstance(self.privacy_value, tuple) else self.privacy_value or Fraction(0)
        for _, covariance in self.covariances:
            most = max(row[i] for i, row in enumerate(covariance))
            stakes_fit([("the largest variance", most, "params"), ("the largest variance times value", most * largest, "params")])
        if self.correlation is not None:
            for i, row in enumerate(self.correlation):
                if row[i] != 1:
                    raise InstanceError("must have ones on its diagonal; variance holds variances", field="params.correlation")
        if self.leaks is not None and self.mediation != "none":
            raise InstanceError("needs a covariance; with leaks there are no signals to transform", field="params.mediation")
        for first, second in (("prices", "platforms"), ("prices", "valuation"), ("platforms", "valuation")):
            if getattr(self, first) is not None and getattr(self, second) is not None:
                raise InstanceError(
                    f"stands beside {second}, which asks for something else; leave one out", field=f"params.{first}"
                )
        if self.platforms is not None:
            self._check_joining(self.platforms)
        return self

    def _check_joining(self, platforms: Platforms) -> None:
        n, by_user = self.n_users, platforms.joining_value_by_user
        if by_user is not None and len(by_user) != n:
            raise InstanceError(
                f"has {len(by_user)} entries; there are {n} users", field="params.platforms.joining_value_by_user"
            )
        for value in by_user or (platforms.joining_value,):
            if isinstance(value, tuple) and len(value) != n:
                raise InstanceError(
                    f"has {len(value)} numbers; it needs one for each number of users who join, 1 to {n}",
                    field="params.platforms",
                )

    @property
    def n_users(self) -> int:
        """How many users there are."""
        if self.generator is not None:
            return self.generator.n
        if self.leaks is not None:
            return len(self.leaks[0].leak)
        if self.mixture is not None:
            return len(self.mixture[0].covariance)
        return len(self.covariance or self.correlation or ())

    @cached_property
    def covariances(self) -> tuple[tuple[Fraction, Matrix], ...]:
        """Covariance matrices with their probabilities; none if leaks are given as a table."""
        if self.mixture is not None:
            return tuple((part.weight, part.covariance) for part in self.mixture)
        if self.leaks is not None:
            return ()
        if self.generator is not None:
            one = self.generator
            return ((Fraction(1), generated(one.name, one.n, one.seed, one.groups, float(one.strength))),)
        if self.correlation is not None:
            root = self.variance if isinstance(self.variance, tuple) else (self.variance,) * len(self.correlation)
            return ((Fraction(1), _scaled(self.correlation, root)),)
        return ((Fraction(1), self.covariance or ()),)


def _scaled(correlation: Matrix, variance: tuple[Fraction, ...]) -> Matrix:
    """The covariance matrix of correlations and variances; exact where the roots of products of variances are."""
    rows = range(len(correlation))
    return tuple(tuple(correlation[i][j] * _root(variance[i] * variance[j]) for j in rows) for i in rows)


def _root(square: Fraction) -> Fraction:
    from math import isqrt, sqrt

    above, below = isqrt(square.numerator), isqrt(square.denominator)
    if above**2 == square.numerator and below**2 == square.denominator:
        return Fraction(above, below)
    return Fraction(sqrt(square))


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    """Options of the estimate, which are read before pydantic looks at them."""
    for name, allowed in (("shrinkage", user_data.SHRINKAGE), ("standardize", (True, False))):
        if name in options and options[name] not in allowed:
            raise InstanceError(f"must be {' or '.join(str(one).lower() for one in allowed)}", field=f"params.{name}")
    columns = options.get("columns")
    if columns is not None and not (isinstance(columns, list) and all(isinstance(one, str) for one in columns)):
        raise InstanceError("must be a list of names of columns", field="params.columns")
    return options
