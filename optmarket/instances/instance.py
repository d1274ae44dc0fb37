"""Read and validate instance files, and identify their content by a hash; errors name the file and the field."""

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
    model_validator,
)

from optmarket.certificates import Claim
from optmarket.errors import InstanceError, ModelError, OptmarketError
from optmarket.files import DEEPEST, must_be_shallow, must_have_short_keys, read_text, referenced
from optmarket.rationals import PositiveExact, exact, shown
from optmarket.solution_file import FORMAT
from optmarket.validation import translate

WORTH_A_NOTE = Fraction(1, 10**12)  # a smaller deviation of a sum from one is the rounding error of doubles
KINDS = ("analytic", "exact", "proved", "bound", "numerical", "published", "neural")  # kinds of evidence for a value
_ROUNDED = {"numerical", "published", "neural"}  # kinds of values that are rounded to the digits written


_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Curve(BaseModel):
    """The table ``[sweep]`` of an instance file: what a sweep varies by default."""

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
    """A market together with its parameters.

    Attributes
    ----------
    model, title, source : str
        The name of the market, a one-line description, and the paper or other source of the instance.
    params : BaseModel
        The market's validated parameters, with exact numbers.
    expect : tuple of Claim
        The known answers, not yet compared with a solution.
    slug : str
        The path of the file below the nearest folder called ``instances``, without suffix.
    sha256 : str
        The hash of the content: see `canonical`.
    file : str, optional
        The file from which the instance was read.
    notes : tuple of str
        Sentences on what was changed or noticed when the file was read.
    settings : mapping of str to Fraction
        Parameters with other values than in the file, by path.
    figure : bool
        Whether its figure is among the results of the instance library.
    gap : float, optional
        The default for the certified relative gap at which to stop.
    method : str, optional
        The default for the method.
    curve : Curve, optional
        What a sweep varies by default.
    root : Path, optional
        The folder below which files that the instance refers to must lie; by default its own folder.
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
    method: str | None = None
    curve: Curve | None = None
    root: Path | None = None

    @property
    def points(self) -> Path | None:
        """The csv file with the points of its sweep, if the instance names one.

        Raises
        ------
        InstanceError
            If the file lies outside of `root` or is not a regular file.
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
        return float(f"5e{min(exponent, 300) - 1}")  # half a unit of the last digit; the exponent of a zero may be huge


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
    method: _Text | None = Field(None, description="how to solve: a method of the market, as --method; that goes first")
    figure: StrictBool = Field(False, description="true: its figure is among the results that `optmarket reproduce` makes")


def read(path: str | Path, params_of: Callable[[str], type[BaseModel]], *, root: str | Path | None = None) -> Instance:
    """Read an instance file.

    Parameters
    ----------
    path : str or Path
        A TOML file.
    params_of : callable
        Maps the name of a market to its pydantic model of parameters, and raises a ModelError for an unknown name.
    root : path, optional
        The folder below which files that the instance refers to must lie, after symbolic links are resolved; by default the
        instance's own folder.

    Returns
    -------
    Instance

    Raises
    ------
    InstanceError
        If the file cannot be read, is not valid TOML, names an unknown market, or has a field that the market does not accept.
    """
    return parse(read_text(path), params_of, path=path, root=root)


def parse(
    text: str, params_of: Callable[[str], type[BaseModel]], *, path: str | Path = "", root: str | Path | None = None
) -> Instance:
    """Read the text of an instance file.

    Validators of the parameters receive the file's folder and ``root`` in their context (see `optmarket.files.referenced_in`),
    and can record there which numbers they have divided by their sum (see `optmarket.modeling.fields.divided`).

    Parameters
    ----------
    text : str
        The content of the file, in TOML.
    params_of : callable
        As in `read`.
    path : path, optional
        The path of the file, for messages and for references to other files.
    root : path, optional
        As in `read`.

    Returns
    -------
    Instance

    Raises
    ------
    InstanceError
        As in `read`. An OptmarketError that a validator raises passes through; the name of the file is added if it has none.

    Examples
    --------
    >>> class Params(BaseModel):
    ...     price: float
    >>> header = 'format = 1\\nmodel = "posted-price"\\ntitle = "an example"\\nsource = "own"\\n'
    >>> parse(header + '[params]\\nprice = 2', lambda name: Params).params
    Params(price=2.0)
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
        method=header.method,
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
    """Validate the parameters of a market.

    Parameters
    ----------
    model : type
        The market's pydantic model of parameters.
    raw : mapping
        The content of the table ``[params]``.
    file : str or None
        The file, for messages.
    folder : Path
        The folder to which references to other files are relative.
    root : Path, optional
        As in `read`.

    Returns
    -------
    params : BaseModel
    notes : tuple of str
        Sentences on numbers that were divided by their sum.

    Raises
    ------
    InstanceError
        As in `read`.
    """
    missed: dict[str, list[Fraction]] = {}
    notes: list[str] = []  # of validators that read files
    try:
        params = model.model_validate(raw, context={"folder": folder, "root": root, "missed": missed, "notes": notes})
    except ValidationError as error:
        raise translate(error, model, file=file, prefix="params") from error
    except OptmarketError as error:  # raised by a validator that names the field itself
        error.file = error.file or file
        raise
    return params, (*_divided(missed), *notes)


def _divided(missed: Mapping[str, Sequence[Fraction]]) -> tuple[str, ...]:
    """A note on numbers that were divided by their sum; none if the sum differed from one by rounding errors only."""
    noted = {what: largest for what, distances in missed.items() if (largest := max(distances)) >= WORTH_A_NOTE}
    if not noted:
        return ()
    several = len({distance for distances in missed.values() for distance in distances if distance >= WORTH_A_NOTE}) > 1
    # The note states the distance rather than the sum, which may print as 1.
    distance = f"{'at most ' if several else ''}{float(max(noted.values())):.3g}"
    return (f"{' and '.join(noted)} miss the sum 1 by {distance}; divided by their sum",)


def canonical(model: str, params: BaseModel) -> str:
    """Write the content of an instance as JSON that does not depend on how the file was written.

    Numbers are fractions in lowest terms, defaults are written out, and keys are sorted. Title, source, comments, known answers
    and options of the solve are left out.

    Parameters
    ----------
    model : str
        The name of the market.
    params : BaseModel
        Its parameters.

    Examples
    --------
    >>> class Params(BaseModel):
    ...     price: float
    >>> canonical("posted-price", Params(price=2))
    '{"format":1,"model":"posted-price","params":{"price":2.0}}'
    """
    content = {"format": FORMAT, "model": model, "params": params.model_dump(mode="json", by_alias=True, exclude_none=True)}
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256(model: str, params: BaseModel) -> str:
    """The SHA-256 hash of the `canonical` text, in hexadecimal.

    Parameters
    ----------
    model : str
        The name of the market.
    params : BaseModel
        Its parameters.
    """
    return hashlib.sha256(canonical(model, params).encode()).hexdigest()


def _decimal(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except InvalidOperation:  # the exponent is beyond Decimal's range; the field's validator reports the error
        return text


def _slug(path: str | Path) -> str:
    whole = Path(os.path.abspath(path)).with_suffix("")
    folders = whole.parts[:-1]
    if "instances" not in folders:
        return whole.name
    below = len(folders) - folders[::-1].index("instances")
    return "/".join(whole.parts[below:])
