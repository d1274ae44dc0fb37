"""Instance files: read, validate, name by content. Every mistake is told with file and field."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StrictBool,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from optmarket.errors import InstanceError, ModelError, OptmarketError
from optmarket.files import DEEPEST, must_be_shallow, must_have_short_keys, read_text, referenced
from optmarket.instances.validation import translate
from optmarket.rationals import PositiveExact, exact, shown, to_one
from optmarket.solution import FORMAT, Claim

WORTH_A_NOTE = Fraction(1, 10**12)  # below this it is the rounding of doubles that a program wrote
KINDS = ("analytic", "exact", "proved", "bound", "numerical", "published", "neural")  # how a value may be known
_ROUNDED = {"numerical", "published", "neural"}  # kinds of values that are known to the digits written only


_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Curve(BaseModel):
    """What a sweep varies if nothing else is asked for: the table ``[sweep]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    set: tuple[_Text, ...] | None = Field(None, description="ranges of parameters, as `optmarket sweep --set` takes them")
    points: _Text | None = Field(None, description="instead of set: a csv file beside this one, a row a point")
    quantities: tuple[_Text, ...] = Field((), description="what tables and figures show; left out: what they show of any sweep")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.set) == (self.points is not None):
            raise ValueError("needs either set, a list of ranges, or points, a csv file, and not both")
        return self


@dataclass(frozen=True)
class Instance:
    """A market with its numbers, ready to solve.

    Attributes
    ----------
    model, title, source : str
        The market's name, what this case is, and where it is from.
    params : BaseModel
        The market's validated parameters, exact.
    expect : tuple of Claim
        Known answers, not yet decided.
    slug : str
        The file's path below the nearest folder called ``instances``, without suffix.
    sha256 : str
        Names the content: see `canonical`.
    file : str, optional
        Where it was read.
    notes : tuple of str
        What reading changed or noticed.
    settings : mapping
        Parameters that were given other values than the file's, by path.
    figure : bool
        Whether its figure is among the results of the gallery.
    gap : float, optional
        The certified gap at which to stop, unless another is asked for.
    curve : Curve, optional
        What to vary in it.
    root : Path, optional
        The folder below which files it refers to must lie; its own, if not given.
    """

    model: str
    title: str
    source: str
    params: BaseModel
    expect: tuple[Claim, ...]
    slug: str
    sha256: str
    file: str | None = None
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Fraction] = field(default_factory=dict)
    figure: bool = False
    gap: float | None = None
    curve: Curve | None = None
    root: Path | None = None

    @property
    def points(self) -> Path | None:
        """The csv file of points that its curve goes through, if it names one.

        Raises
        ------
        InstanceError
            If that lies outside `root`, or is no regular file.
        """
        if self.curve is None or self.curve.points is None:
            return None
        try:
            return referenced(Path(self.file or "").parent, self.curve.points, self.root, field="sweep.points")
        except InstanceError as error:
            error.file = error.file or self.file
            raise


_Type = TypeVar("_Type", bound=Any)


def _as_written(value: object) -> str:
    exact(value)
    return value.strip() if isinstance(value, str) else str(value).lower()


def _this_format(value: object) -> int:
    if type(value) is not int or value != FORMAT:
        raise ValueError(f"is {shown(value)}; this version reads format {FORMAT}")
    return value


def _many(value: object) -> object:
    if isinstance(value, dict):
        raise ValueError("is a single table; write [[expect]], in double brackets, above each known answer")
    return value


class _Expect(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    quantity: _Text = Field(description="the name of a quantity of the solution")
    value: Annotated[str, PlainValidator(_as_written)] = Field(description="a number, exact if it is known exactly")
    relation: Literal["eq", "lower", "upper"] = "eq"
    kind: Literal["analytic", "exact", "proved", "bound", "numerical", "published", "neural"] = Field(
        description="how the value is known: analytic, exact, proved, bound, numerical, published or neural"
    )
    source: _Text = Field(description="who states the value, and where")
    tolerance: PositiveExact | None = None
    claim: _Text | None = None
    verdict: Literal["holds", "condition", "wrong", "misprint"] | None = None
    says: _Text | None = None

    def to_claim(self) -> Claim:
        tolerance = self._default_tolerance() if self.tolerance is None else float(self.tolerance)
        return Claim(
            quantity=self.quantity,
            value=self.value,
            relation=self.relation,
            kind=self.kind,
            source=self.source,
            tolerance=tolerance,
            claim=self.claim,
            verdict=self.verdict,
            says=self.says,
        )

    def _default_tolerance(self) -> float | None:
        if self.kind not in _ROUNDED or "/" in self.value or self.value.lstrip("+-").isdigit():
            return None
        exponent = int(Decimal(self.value).as_tuple().exponent)
        return float(f"5e{min(exponent, 300) - 1}")  # half a unit of the last digit; a zero may carry any exponent


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Annotated[int, PlainValidator(_this_format)] = Field(description=f"write format = {FORMAT}")
    model: _Text = Field(description="the market's name, as in `optmarket list`")
    title: _Text = Field(description="one line that says what this case is")
    source: _Text = Field(description="where the case is from: a paper and the place in it, or own")
    params: dict[str, Any] = Field(description="the table [params] holds the market's numbers")
    expect: Annotated[tuple[_Expect, ...], BeforeValidator(_many)] = ()
    sweep: Curve | None = None
    gap: PositiveExact | None = Field(None, description="the certified gap at which to stop, above 0, as --gap; that goes first")
    figure: StrictBool = Field(False, description="true: its figure is among the results that `optmarket reproduce` makes")


def read(path: str | Path, params_of: Callable[[str], type[BaseModel]], *, root: str | Path | None = None) -> Instance:
    """Read an instance file.

    Parameters
    ----------
    path : str or Path
        A TOML file.
    params_of : callable
        From a market's name to its pydantic model of parameters; raises ModelError for an unknown name.
    root : path, optional
        The folder below which files it refers to must lie, links followed; its own, if not given.

    Returns
    -------
    Instance

    Raises
    ------
    InstanceError
        If the file cannot be read, is not TOML, names no known market, or has a field the market does not accept.
    """
    return parse(read_text(path), params_of, path=path, root=root)


def parse(
    text: str, params_of: Callable[[str], type[BaseModel]], *, path: str | Path = "", root: str | Path | None = None
) -> Instance:
    """Read the text of an instance file; ``path`` gives its name and the folder in which it looks for other files.

    Validators of the parameters find that folder and ``root`` in their context, see `optmarket.files.referenced_in`, and may
    say what they have `divided`.

    Raises
    ------
    InstanceError
        As `read`. A validator may also raise an OptmarketError of its own, which gets the file's name if it has none.
    """
    file = str(path) or None
    must_have_short_keys(text, file)
    try:
        raw = tomllib.loads(text, parse_float=_decimal)
    except RecursionError as error:
        raise InstanceError(f"is nested too deeply; at most {DEEPEST} levels are read", file=file) from error
    except ValueError as error:
        raise InstanceError(f"is not TOML: {error}", file=file) from error
    must_be_shallow(raw, file)
    try:
        header = _Header.model_validate(raw)
    except ValidationError as error:
        raise translate(error, _Header, file=file, prefix="") from error
    try:
        model = params_of(header.model)
    except ModelError as error:
        raise InstanceError(error.message, file=file, field="model") from error
    root = None if root is None else Path(root)
    params, notes = validate(model, header.params, file, Path(path).parent, root)
    return Instance(
        model=header.model,
        title=header.title,
        source=header.source,
        params=params,
        expect=tuple(expect.to_claim() for expect in header.expect),
        figure=header.figure,
        gap=None if header.gap is None else float(header.gap),
        curve=header.sweep,
        slug=_slug(path) if file else header.model,
        sha256=sha256(header.model, params),
        file=file,
        notes=notes,
        root=root,
    )


def validate(
    model: type[BaseModel], raw: Mapping[str, Any], file: str | None, folder: Path, root: Path | None = None
) -> tuple[BaseModel, tuple[str, ...]]:
    """A market's parameters from what stands in a file, and what their validators noticed.

    Raises
    ------
    InstanceError
        As `read`.
    """
    missed: dict[str, list[Fraction]] = {}
    try:
        params = model.model_validate(raw, context={"folder": folder, "root": root, "missed": missed})
    except ValidationError as error:
        raise translate(error, model, file=file, prefix="params") from error
    except OptmarketError as error:  # a validator that knows the field better than pydantic does
        error.file = error.file or file
        raise
    return params, _divided(missed)


def weights_to_one(types: tuple[_Type, ...] | None, info: ValidationInfo) -> tuple[_Type, ...] | None:
    """Types whose weights sum to one, divided by their sum, and a note left, if that is needed; for validators.

    Raises
    ------
    ValueError
        If the weights sum to anything else than one.
    """
    if types is None:
        return None
    values, missed = to_one([buyer.weight for buyer in types], "weights")
    if not missed:
        return types
    divided(info, "weights", missed)
    return tuple(buyer.model_copy(update={"weight": weight}) for buyer, weight in zip(types, values, strict=True))


def divided(info: ValidationInfo, what: str, missed: Fraction) -> None:
    """Say from inside a validator that numbers were divided by their sum, which was not quite one.

    All a file has of it becomes one of its `Instance.notes`.

    Parameters
    ----------
    info : ValidationInfo
    what : str
        Which numbers, in the plural: ``weights``.
    missed : Fraction
        By how much they missed the sum one, as `optmarket.rationals.to_one` gives it.
    """
    if info.context and "missed" in info.context:
        info.context["missed"].setdefault(what, []).append(missed)


def _divided(missed: Mapping[str, Sequence[Fraction]]) -> tuple[str, ...]:
    """What is said of numbers divided by their sum: one line, and none where only the rounding of doubles was missing."""
    told = {what: largest for what, distances in missed.items() if (largest := max(distances)) >= WORTH_A_NOTE}
    if not told:
        return ()
    several = len({distance for distances in missed.values() for distance in distances if distance >= WORTH_A_NOTE}) > 1
    # the distance is said, not the sum: 12 digits of the sum may read 1
    distance = f"{'at most ' if several else ''}{float(max(told.values())):.3g}"
    return (f"{' and '.join(told)} miss the sum 1 by {distance}; divided by their sum",)


def canonical(model: str, params: BaseModel) -> str:
    """The content of an instance as text that does not depend on how it was written.

    Numbers are fractions in lowest terms, defaults are written out, keys are sorted; title, source, comments and
    expected answers are left out.
    """
    content = {"format": FORMAT, "model": model, "params": params.model_dump(mode="json", by_alias=True, exclude_none=True)}
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256(model: str, params: BaseModel) -> str:
    """The SHA-256 of the `canonical` text, in hexadecimal."""
    return hashlib.sha256(canonical(model, params).encode()).hexdigest()


def _decimal(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond Decimal: left as text, so that the error can name the field
        return text


def _slug(path: str | Path) -> str:
    whole = Path(os.path.abspath(path)).with_suffix("")
    folders = whole.parts[:-1]
    if "instances" not in folders:
        return whole.name
    below = len(folders) - folders[::-1].index("instances")
    return "/".join(whole.parts[below:])
