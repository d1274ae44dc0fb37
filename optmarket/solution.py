"""What a solve gives back: status, answer, certificate, audit, claims. Frozen data, to and from JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import pandas as pd
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

from optmarket.errors import InstanceError, ModelError
from optmarket.files import read_json, write_text
from optmarket.instances.validation import translate
from optmarket.rationals import exact, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FILED = ConfigDict(extra="forbid", allow_inf_nan=False)  # for reading one from a file

VERSION = version("optmarket")
FORMAT = 1
DEFAULT_GAP = 1e-6
AUDIT_TOLERANCE = 1e-7
ZERO = 1e-15  # of the payoff scale: bounds that small, stated to meet, are 0 but for the payoffs' rounding


def relative_gap(lower: float, upper: float, rounding: float = 0.0) -> float:
    """How far apart two bounds on one number are, relative to the number itself: the one formula of every certificate.

    Parameters
    ----------
    lower, upper : float
        In payoff units; ``lower <= upper``.
    rounding : float
        In payoff units: what the rounding of the payoffs themselves amounts to. Bounds that are both within it of zero are not
        told apart, and count as met. Pass it only where the optimum may be exactly zero, and say so on the page.

    Returns
    -------
    float
        ``(upper - lower) / max(|upper|, |lower|)``: 0 if they meet, infinite if one of them is infinite or no number.

    Examples
    --------
    >>> relative_gap(0.99, 1.0), relative_gap(0.0, 0.0), relative_gap(1e-13, 2e-13)
    (0.010000000000000009, 0.0, 0.5)
    """
    size = max(abs(lower), abs(upper))
    if not size < math.inf:
        return math.inf
    return 0.0 if size <= rounding else max(0.0, upper - lower) / size


class Status(StrEnum):
    """How a solve ended."""

    OPTIMAL = "optimal"
    GAP = "gap not reached"
    TIME_LIMIT = "time limit"
    INTERRUPTED = "interrupted"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    FAILED = "failed"


@dataclass(frozen=True)
class Progress:
    """One line of progress on a long solve: bounds hold for the whole program, not only its listed rows.

    ``lower``, where it is known, is what the best mechanism so far about earns.
    """

    round: int
    rows: int
    upper: float
    violation: float
    seconds: float
    lower: float | None = None


@dataclass(frozen=True)
class Options:
    """How to solve.

    Attributes
    ----------
    method : str
        ``auto`` or a method the market names.
    gap : float, optional
        Stop as soon as the certified relative gap is at most this. Without it the solve goes on
        to the solver's tolerances and counts as optimal at `DEFAULT_GAP`.
    time_limit : float, optional
        Seconds; the bounds reached by then are reported.
    threads : int
        Threads the solver may use, at most the machine's cores.
    exact : bool
        Prove the optimum in rational arithmetic (small programs).
    progress : callable, optional
        Called with a `Progress` after each round.

    Raises
    ------
    InstanceError
        If a number is out of range.
    """

    method: str = "auto"
    gap: float | None = None
    time_limit: float | None = None
    threads: int = 1
    exact: bool = False
    progress: Callable[[Progress], None] | None = None

    def __post_init__(self) -> None:
        for name, value in (("gap", self.gap), ("time_limit", self.time_limit)):
            if value is not None and not (isinstance(value, (int, float)) and 0 <= value < math.inf):
                raise InstanceError(f"is {value!r}; must be a number at least 0, or None", field=name)
        if not isinstance(self.threads, int) or self.threads < 1:
            raise InstanceError(f"is {self.threads!r}; must be a whole number, at least 1", field="threads")

    @property
    def wanted(self) -> float:
        """The gap at which a solve counts as optimal."""
        return DEFAULT_GAP if self.gap is None else self.gap

    def settled(self, status: Status, gap: float) -> Status:
        """How a program's solve ended, given the gap that was certified; only a proof in fractions does not care for it."""
        if status in {Status.OPTIMAL, Status.GAP} or (status is Status.TIME_LIMIT and not self.exact):
            return Status.OPTIMAL if gap <= self.wanted else Status.GAP if status is Status.OPTIMAL else status
        return status

    def asked(self) -> dict[str, Any]:
        """What decides the answer: all but threads and progress."""
        return {"method": self.method, "gap": self.gap, "time_limit": self.time_limit, "exact": self.exact}


@dataclass(frozen=True)
class BlockReport:
    """One block of rows at the solver's final point.

    ``rows`` listed, ``binding`` among them, ``worst`` violation over the whole block (rows not listed included).
    """

    __pydantic_config__ = _FILED

    rows: int
    binding: int
    worst: float


@dataclass(frozen=True)
class Certificate:
    """Proof of optimality: the truth lies in [lower, upper], neighbouring floats or one when it was proved exactly.

    ``gap`` is their `relative_gap`: relative to the value itself, whatever the payoffs at stake.
    """

    __pydantic_config__ = _FILED

    lower: float
    upper: float
    gap: float
    blocks: Mapping[str, BlockReport] = field(default_factory=dict)


@dataclass(frozen=True)
class Audit:
    """What a mechanism does, recomputed from the market's primitives with numpy alone.

    ``violations`` are at least 0 and in payoff units: the largest gain of a type of positive weight. ``relative``, where a market
    gives it, is the same measured for each type by what is at stake for that type, so that large payoffs of one type excuse
    nothing of another's. ``unit`` is the market's payoff scale, to which violations compare where there is no ``relative``.
    ``notes`` say in words what is not judged.
    """

    __pydantic_config__ = _FILED

    quantities: Mapping[str, float]
    violations: Mapping[str, float]
    unit: float = 1.0
    relative: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "notes", tuple(self.notes))  # a list in a file

    @property
    def worst(self) -> float:
        """The largest violation, 0 if there is none."""
        return max(self.violations.values(), default=0.0)

    def exceeds(self, name: str) -> bool:
        """Whether a violation is more than `AUDIT_TOLERANCE` of what is at stake for the type, or of the payoff scale."""
        if name in self.relative:
            return not self.relative[name] <= AUDIT_TOLERANCE
        return not self.violations[name] <= AUDIT_TOLERANCE * self.unit

    @property
    def good(self) -> bool:
        """Whether no violation exceeds its tolerance."""
        return not any(self.exceeds(name) for name in self.violations)

    @property
    def tolerance(self) -> str:
        """The tolerance of violations in words."""
        if self.relative:
            return f"{AUDIT_TOLERANCE:g} of what is at stake for a type"
        return f"{AUDIT_TOLERANCE * self.unit:g}"


def weightless(gains: Mapping[str, float]) -> tuple[str, ...]:
    """What an audit notes of types of weight 0: what they gain at most by each deviation, in payoff units."""
    said = ", ".join(f"{name.replace('-', ' ')} {gain:.3g}" for name, gain in gains.items())
    return (f"types of weight 0 are not judged; the most that one gains: {said}",)


@dataclass(frozen=True)
class Claim:
    """A value somebody states for a quantity, and where it stands once decided.

    Attributes
    ----------
    quantity, value, relation, kind, source
        As in an instance's ``[[expect]]``; ``value`` as written. ``relation``: ``eq`` (the truth is the value), ``lower``
        (the truth is at least the value), ``upper`` (at most).
    tolerance : float, optional
        Absolute. Without it numbers agree that differ by at most 1e-9 of the larger of the value and the objective.
    claim, verdict : str, optional
        The claim's number in the project's list, and what is known of it. A claim whose verdict is ``wrong`` or ``misprint``
        is expected not to hold.
    says : str, optional
        What is claimed, in a sentence.
    true : float, optional
        The quantity's value in the solution; none before the claim is decided, or if the market does not report it.
    error : float, optional
        Distance by which the relation fails (0 if it holds).
    met : bool, optional
        Whether the claim behaves as its verdict says; none while it is open.
    """

    __pydantic_config__ = _FILED

    quantity: str
    value: str
    relation: str = "eq"
    kind: str = "analytic"
    source: str = ""
    tolerance: float | None = None
    claim: str | None = None
    verdict: str | None = None
    says: str | None = None
    true: float | None = None
    error: float | None = None
    met: bool | None = None

    @property
    def binding(self) -> bool:
        """Whether failing it is a failure of the solve: published and learned values are shown, not imposed."""
        return self.verdict is not None or self.kind not in {"published", "neural"}


@dataclass(frozen=True)
class Answer:
    """What a market's ``solve`` hands back to the engine.

    ``mechanism`` is the JSON-able mechanism of DESIGN's mechanism file, without its header; ``run`` what is not compared:
    solver, version, seconds, rounds.
    """

    status: Status
    mechanism: Mapping[str, Any]
    quantities: Mapping[str, float]
    certificate: Certificate
    exact: Fraction | None = None
    method: str = ""
    notes: tuple[str, ...] = ()
    run: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, repr=False, eq=False)
class Solution:
    """A solved instance. Tables are DataFrames, also as attributes: ``solution.menu`` is ``solution.tables["menu"]``.

    ``instance`` names what was solved: ``slug``, ``sha256``, ``set`` where parameters were given other values than the file's,
    as fractions by path, and ``grid`` where finitely many types stand for a continuum: the value is then the grid's.
    """

    instance: Mapping[str, Any]
    model: str
    title: str
    status: Status
    objective: str
    value: float
    quantities: Mapping[str, float]
    certificate: Certificate
    audit: Audit
    claims: tuple[Claim, ...]
    mechanism: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    exact: Fraction | None = None
    notes: tuple[str, ...] = ()
    run: Mapping[str, Any] = field(default_factory=dict)
    _draw: Callable[[Solution], Figure] | None = field(default=None, repr=False, compare=False)

    def __eq__(self, other: object) -> bool:
        """Equal in all but how they were found."""
        return isinstance(other, Solution) and replace(self, run={}).to_dict() == replace(other, run={}).to_dict()

    def __repr__(self) -> str:
        named = self.instance.get("slug", self.title)
        return f"<Solution of {named}: {self.objective} {self.value:.9g}, {self.status}; tables {', '.join(self.tables)}>"

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.tables]

    def __getattr__(self, name: str) -> pd.DataFrame:
        tables: Mapping[str, pd.DataFrame] = self.__dict__.get("tables", {})
        if name in tables:
            return tables[name]
        raise AttributeError(f"a solution has no {name!r}; its tables are {', '.join(tables) or 'none'}")

    @property
    def settings(self) -> dict[str, Fraction]:
        """Parameters that were given other values than the instance file's, by path."""
        return {path: Fraction(value) for path, value in self.instance.get("set", {}).items()}

    @property
    def good(self) -> bool:
        """Optimal, audited within tolerance, without contradictions, and no binding claim unmet."""
        return (
            self.status is Status.OPTIMAL
            and self.audit.good
            and not self.contradictions
            and not any(claim.met is False for claim in self.claims if claim.binding)
        )

    @property
    def contradictions(self) -> tuple[str, ...]:
        """What the solution says of its objective that cannot all be true, in words; empty for a sound one.

        Numbers count as different beyond `AUDIT_TOLERANCE` of their size, or, near 0, beyond the rounding of the payoffs.
        """
        name, value = self.objective, self.value
        lower, upper = self.certificate.lower, self.certificate.upper
        recomputed = self.audit.quantities.get(name, value)
        rounding = ZERO * self.audit.unit

        def above(one: float, other: float) -> bool:
            return one > other and relative_gap(other, one, rounding) > AUDIT_TOLERANCE

        found = []
        if above(recomputed, value) or above(value, recomputed):
            found.append(f"recomputed {name} is {recomputed:.9g}, not {value:.9g}")
        if above(lower, upper):
            found.append(f"the lower bound {lower:.9g} is above the upper bound {upper:.9g}")
        if above(lower, value):
            found.append(f"{name} {value:.9g} is below its own lower bound {lower:.9g}")
        if above(value, upper):
            found.append(f"{name} {value:.9g} is above its own upper bound {upper:.9g}")
        if self.exact is not None and (above(float(self.exact), upper) or above(lower, float(self.exact))):
            found.append(f"the exact value {float(self.exact):.9g} is outside its own bounds")
        return tuple(found)

    def plot(self) -> Figure:
        """A matplotlib figure of the mechanism; `optmarket.plotting.save` writes it.

        Raises
        ------
        ModelError
            If the solution was read from a file, which does not hold the instance it solves.
        """
        if self._draw is None:
            raise ModelError("a solution read from a file has no instance to plot; plot what solve gives back, or `solve --plot`")
        return self._draw(self)

    def to_dict(self) -> dict[str, Any]:
        """The solution as the JSON object of a solution file."""
        data: dict[str, Any] = {
            "format": FORMAT,
            "instance": dict(self.instance),
            "model": self.model,
            "title": self.title,
            "status": str(self.status),
            "objective": self.objective,
            "value": self.value,
            "quantities": dict(self.quantities),
            "certificate": asdict(self.certificate),
            "audit": {**asdict(self.audit), "notes": list(self.audit.notes)},
            "claims": [{k: v for k, v in asdict(claim).items() if v is not None} for claim in self.claims],
            "mechanism": dict(self.mechanism),
            "tables": {name: _table_to_dict(table) for name, table in self.tables.items()},
            "notes": list(self.notes),
            "run": dict(self.run),
        }
        if self.exact is not None:
            data["exact"] = str(self.exact)
        return data

    def to_json(self, indent: int | None = None) -> str:
        """JSON text with sorted keys; NaN and infinity are refused."""
        return json.dumps(self.to_dict(), sort_keys=True, indent=indent, allow_nan=False)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, file: str | None = None) -> Solution:
        """Read what `to_dict` wrote.

        Raises
        ------
        InstanceError
            If the object is not a solution of this format.
        """
        if "items" in data or "experiments" in data:
            raise InstanceError("is a mechanism, not a solution; judge it with `optmarket audit`", file=file)
        if not {"status", "certificate", "audit"} & data.keys():
            raise InstanceError("is not a solution file, as `optmarket solve --out` writes them", file=file)
        try:
            # as JSON, in which alone pydantic is strict about numbers and lenient about how a list is held
            read = _File.model_validate_json(json.dumps(data), strict=True)
        except (TypeError, RecursionError) as error:
            raise InstanceError(f"is not a solution file: {error}", file=file) from error
        except ValidationError as error:
            raise translate(error, _File, file=file, prefix="") from error
        for place, named in (("quantities", read.quantities), ("audit.quantities", read.audit.quantities)):
            if read.objective not in named:
                raise InstanceError(f"has no {shown(read.objective)}, which is the objective", file=file, field=place)
        lower, upper, gap = read.certificate.lower, read.certificate.upper, read.certificate.gap
        # What is stored may be measured by something else than the value; kept is only that bounds meet, where no float or only
        # the rounding of payoffs lies between them.
        met = gap == 0 and (upper <= math.nextafter(lower, math.inf) or max(abs(lower), abs(upper)) <= ZERO * read.audit.unit)
        return cls(
            instance=read.instance.model_dump(exclude_defaults=True),
            model=read.model,
            title=read.title,
            status=Status(read.status),
            objective=read.objective,
            value=read.value,
            quantities=read.quantities,
            certificate=replace(read.certificate, gap=0.0 if met else relative_gap(lower, upper)),
            audit=read.audit,
            claims=tuple(read.claims),
            mechanism=read.mechanism,
            tables={name: pd.DataFrame(table.data, columns=table.columns) for name, table in read.tables.items()},
            exact=read.exact,
            notes=tuple(read.notes),
            run=read.run.model_dump(exclude_unset=True),
        )

    @classmethod
    def read(cls, path: str | Path) -> Solution:
        """Read a solution file.

        Raises
        ------
        InstanceError
            If the file cannot be read or is not a solution file.
        """
        return cls.from_dict(read_json(path), file=str(path))

    def write(self, path: str | Path) -> None:
        """Write the solution file, whole or not at all."""
        write_text(path, self.to_json(indent=1) + "\n")


def _table_to_dict(table: pd.DataFrame) -> dict[str, Any]:
    split = table.to_dict(orient="split")
    return {"columns": split["columns"], "data": split["data"]}


# The file ---------------------------------------------------------------------------------------------------------------


def _whole(value: object) -> int:
    if type(value) is not int or value != FORMAT:
        raise ValueError(f"is {shown(value)}; this version reads format {FORMAT}")
    return value


def _written(value: object) -> str:
    """A number as text, of no more digits than can be read."""
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
    """Free-form content of a file, in which all numbers are finite, so that it can be written again."""
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
_FRACTION = re.compile(r"-?[0-9]{1,4300}(/0*[1-9][0-9]{0,4299})?")  # as many digits as Python reads and writes
_Text = Annotated[str, StringConstraints(strict=True, min_length=1)]
_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Count = Annotated[int, Field(strict=True, ge=0)]


class _Named(BaseModel):
    """What was solved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slug: _Text
    sha256: _Text
    set: dict[str, Annotated[str, PlainValidator(_written)]] = {}
    grid: bool = False


class _Table(BaseModel):
    """A table by rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: list[Annotated[str, Field(strict=True)]]
    data: list[list[Annotated[Any, PlainValidator(_cell)]]]

    @model_validator(mode="after")
    def _rectangular(self) -> Self:
        for row in self.data:
            if len(row) != len(self.columns):
                raise ValueError(f"has a row of {len(row)} entries and {len(self.columns)} columns")
        return self


class _Run(BaseModel):
    """How it was found: what is shown or compared is of the right kind, the rest as it comes."""

    model_config = ConfigDict(extra="allow", frozen=True)

    optmarket: str | None = None
    method: str | None = None
    seconds: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] | None = None
    rounds: _Count | None = None
    rows: _Count | None = None
    columns: _Count | None = None
    asked: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _is_finite(self) -> Self:
        _finite([self.asked, self.model_extra])
        return self


class _File(BaseModel):
    """A solution file, judged as strictly as an instance."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Annotated[int, PlainValidator(_whole)]
    instance: _Named
    model: _Text
    title: str = ""
    status: Literal["optimal", "gap not reached", "time limit", "interrupted", "infeasible", "unbounded", "failed"]
    objective: _Text
    value: _Number
    quantities: dict[str, _Number]
    certificate: Certificate
    audit: Annotated[Audit, AfterValidator(_has_a_unit)]
    claims: list[Annotated[Claim, AfterValidator(_can_be_decided)]]
    mechanism: Annotated[dict[str, Any], AfterValidator(_finite)]
    tables: dict[str, _Table]
    exact: Annotated[Fraction, PlainValidator(_fraction)] | None = None
    notes: list[Annotated[str, Field(strict=True)]] = []
    run: _Run = _Run()
