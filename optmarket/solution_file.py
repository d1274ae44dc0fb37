"""Define the format of solution files, and validate them as strictly as instance files."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationError,
    model_validator,
)

from optmarket.certificates import Audit, Claim, Equilibrium, Optimality
from optmarket.errors import InstanceError
from optmarket.rationals import exact, shown
from optmarket.validation import translate

FORMAT = 1


def _whole(value: object) -> int:
    if type(value) is not int or value != FORMAT:
        raise ValueError(f"is {shown(value)}; this version reads format {FORMAT}")
    return value


def _written(value: object) -> str:
    """Convert a number to text, after checking that `exact` can read it."""
    exact(value)
    return str(value)


def _fraction(value: object) -> Fraction:
    if not isinstance(value, str) or not _FRACTION.fullmatch(value):
        raise ValueError(f'is {shown(value)}; must be a fraction such as "1/3"')
    return Fraction(value)


def _has_a_unit(audit: Audit) -> Audit:
    if audit.unit <= 0:
        raise ValueError(f"has a unit of {shown(audit.unit)}; must be above 0")
    return audit


def _can_be_decided(claim: Claim) -> Claim:
    exact(claim.value)
    for name, value, known in (("relation", claim.relation, _RELATIONS), ("verdict", claim.verdict, _VERDICTS)):
        if value not in known:
            raise ValueError(f"has the {name} {shown(value)}; must be {', '.join(word for word in known if word)}")
    if claim.tolerance is not None and claim.tolerance < 0:
        raise ValueError(f"has a tolerance of {shown(claim.tolerance)}; must be at least 0")
    return claim


def _finite(value: object) -> object:
    """Check that all numbers in free-form content are finite, so that it can be written as JSON again."""
    level = [value]
    while level:
        if not all(math.isfinite(one) for one in level if isinstance(one, float)):
            raise ValueError("holds a number that does not fit a double")
        containers = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, (dict, list)))
        level = [inner for container in containers for inner in container]
    return value


def _cell(value: object) -> object:
    if value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError(f"is {shown(value)}; must be text or a finite number")


_RELATIONS = ("eq", "lower", "upper")
_VERDICTS = (None, "holds", "condition", "wrong", "misprint")
_FRACTION = re.compile(r"-?[0-9]{1,4300}(/0*[1-9][0-9]{0,4299})?")  # Python converts integers of at most 4300 digits
_Text = Annotated[str, StringConstraints(strict=True, min_length=1)]
_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Count = Annotated[int, Field(strict=True, ge=0)]


@dataclass(frozen=True)
class InstanceReference:
    """The instance that a solution belongs to.

    Attributes
    ----------
    slug, sha256 : str
        The name of the instance, and the hash of its content.
    set : mapping of str to str
        The parameters with other values than in the instance file: fractions by path.
    grid : bool
        Whether a continuum of types was discretised. The value is then that of the discretised market.

    Examples
    --------
    >>> InstanceReference("a-market/example", "0" * 64).to_dict()["slug"]
    'a-market/example'
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    slug: _Text
    sha256: _Text
    set: Mapping[str, Annotated[str, PlainValidator(_written)]] = field(default_factory=dict)
    grid: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The reference as the JSON object of a solution file, in which default values are left out."""
        found: dict[str, Any] = {"slug": self.slug, "sha256": self.sha256}
        if self.set:
            found["set"] = dict(self.set)
        if self.grid:
            found["grid"] = True
        return found


@dataclass(frozen=True)
class SolverReport:
    """The report on a computation, which does not count when solutions are compared. Entries that do not apply are None.

    Attributes
    ----------
    seconds : float
        The time that the solve took.
    method : str
        The method used, and how it ended.
    rounds, iterations, nodes : int
        Rounds of constraint generation or refinement, simplex iterations, and nodes of branch and bound.
    rows, columns : int
        The size of the last linear program.
    solver, version, optmarket : str
        The solver, its version, and the version of this package.
    requested : mapping
        The options that determine the answer: see `Options.requested`.

    Examples
    --------
    >>> SolverReport(seconds=0.5, rounds=3).to_dict()
    {'seconds': 0.5, 'rounds': 3}
    """

    __pydantic_config__ = ConfigDict(extra="ignore")  # other versions may write further entries

    seconds: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] | None = None
    method: str | None = None
    rounds: _Count | None = None
    iterations: _Count | None = None
    nodes: _Count | None = None
    rows: _Count | None = None
    columns: _Count | None = None
    solver: str | None = None
    version: str | None = None
    optmarket: str | None = None
    requested: Annotated[Mapping[str, Any], AfterValidator(_finite)] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The report as the JSON object of a solution file, in which entries that are None are left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class _Table(BaseModel):
    """A table: its column names, and the entries by row."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: list[Annotated[str, Field(strict=True)]]
    data: list[list[Annotated[Any, PlainValidator(_cell)]]]

    @model_validator(mode="after")
    def _rectangular(self) -> Self:
        for row in self.data:
            if len(row) != len(self.columns):
                raise ValueError(f"has a row of {len(row)} entries and {len(self.columns)} columns")
        return self


class SolutionFile(BaseModel):
    """The content of a solution file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Annotated[int, PlainValidator(_whole)]
    instance: InstanceReference
    model: _Text
    title: str = ""
    status: Literal["optimal", "equilibrium", "gap not reached", "time limit", "interrupted", "infeasible", "unbounded", "failed"]
    objective: _Text
    value: _Number
    quantities: dict[str, _Number]
    certificate: Optimality | Equilibrium
    audit: Annotated[Audit, AfterValidator(_has_a_unit)]
    claims: list[Annotated[Claim, AfterValidator(_can_be_decided)]]
    mechanism: Annotated[dict[str, Any], AfterValidator(_finite)]
    tables: dict[str, _Table]
    exact: Annotated[Fraction, PlainValidator(_fraction)] | None = None
    notes: list[Annotated[str, Field(strict=True)]] = []
    run: SolverReport = SolverReport()


def read(data: Mapping[str, Any], file: str | None) -> SolutionFile:
    """Validate the content of a solution file.

    Parameters
    ----------
    data : mapping
        The JSON object of the file.
    file : str or None
        The file, for messages.

    Returns
    -------
    SolutionFile

    Raises
    ------
    InstanceError
        If it is not a solution of this format.
    """
    if "items" in data or "experiments" in data:
        raise InstanceError("is a mechanism, not a solution; judge it with `optmarket audit`", file=file)
    if not {"status", "certificate", "audit"} & data.keys():
        raise InstanceError("is not a solution file, as `optmarket solve --out` writes them", file=file)
    try:
        # From JSON text, pydantic can be strict about numbers and still accept lists for tuples.
        content = SolutionFile.model_validate_json(json.dumps(data), strict=True)
    except (TypeError, RecursionError) as error:
        raise InstanceError(f"is not a solution file: {error}", file=file) from error
    except ValidationError as error:
        raise translate(error, SolutionFile, file=file, prefix="") from error
    for place, named in (("quantities", content.quantities), ("audit.quantities", content.audit.quantities)):
        if content.objective not in named:
            raise InstanceError(f"has no {shown(content.objective)}, which is the objective", file=file, field=place)
    return content
