"""Instance files: read, validate, name by content, and write as a template. Every mistake is told with file and field."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import textwrap
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    Tag,
    ValidationError,
    ValidationInfo,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from optmarket.errors import InstanceError, ModelError, OptmarketError
from optmarket.numbers import PositiveExact, exact, shown
from optmarket.solution import FORMAT, Claim, read_text

_EXACT_TOLERANCE = 1e-9
_ROUNDED = {"numerical", "published", "neural"}  # kinds of values that are known to the digits written only


# The file -------------------------------------------------------------------------------------------------------------


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


_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


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
        )

    def _default_tolerance(self) -> float:
        if self.kind not in _ROUNDED or "/" in self.value or self.value.lstrip("+-").isdigit():
            return _EXACT_TOLERANCE
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


def read(path: str | Path, params_of: Callable[[str], type[BaseModel]]) -> Instance:
    """Read an instance file.

    Parameters
    ----------
    path : str or Path
        A TOML file.
    params_of : callable
        From a market's name to its pydantic model of parameters; raises ModelError for an unknown name.

    Returns
    -------
    Instance

    Raises
    ------
    InstanceError
        If the file cannot be read, is not TOML, names no known market, or has a field the market does not accept.
    """
    return parse(read_text(path), params_of, path=path)


def parse(text: str, params_of: Callable[[str], type[BaseModel]], *, path: str | Path = "") -> Instance:
    """Read the text of an instance file; ``path`` gives its name and the folder in which it looks for other files.

    Validators of the parameters find that folder in their context under ``folder``, and may leave a `note`.

    Raises
    ------
    InstanceError
        As `read`. A validator may also raise an OptmarketError of its own, which gets the file's name if it has none.
    """
    file = str(path) or None
    try:
        raw = tomllib.loads(text, parse_float=_decimal)
    except (ValueError, RecursionError) as error:
        raise InstanceError(f"is not TOML: {error}", file=file) from error
    try:
        header = _Header.model_validate(raw)
    except ValidationError as error:
        raise translate(error, _Header, file=file, prefix="") from error
    try:
        model = params_of(header.model)
    except ModelError as error:
        raise InstanceError(error.message, file=file, field="model") from error
    notes: list[str] = []
    try:
        params = model.model_validate(header.params, context={"folder": Path(path).parent, "notes": notes})
    except ValidationError as error:
        raise translate(error, model, file=file, prefix="params") from error
    except OptmarketError as error:  # a validator that knows the field better than pydantic does
        error.file = error.file or file
        raise
    return Instance(
        model=header.model,
        title=header.title,
        source=header.source,
        params=params,
        expect=tuple(expect.to_claim() for expect in header.expect),
        slug=_slug(path) if file else header.model,
        sha256=sha256(header.model, params),
        file=file,
        notes=tuple(dict.fromkeys(notes)),
    )


def note(info: ValidationInfo, text: str) -> None:
    """Say something about the input from inside a validator, without failing; it ends up in `Instance.notes`."""
    if info.context and "notes" in info.context:
        info.context["notes"].append(text)


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


# Errors ---------------------------------------------------------------------------------------------------------------

_WANTED = {
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a table",
    "mapping_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "finite",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}
_BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}


@dataclass(frozen=True)
class _Fault:
    """One of pydantic's errors, traced through the model it comes from.

    ``path`` is the field's place in the file and ``parent`` that of what holds it; ``owner`` is the model whose field it
    is, and ``known`` the fields that model has. ``forks`` are the unions on the way: the place of each, and pydantic's
    name for the alternative it tried. ``wanted`` is set if the input is of a wrong kind altogether.
    """

    details: ErrorDetails
    path: str
    parent: str
    owner: type[BaseModel] | None
    known: tuple[str, ...]
    forks: tuple[tuple[str, str], ...]
    wanted: str | None

    @property
    def kind(self) -> str:
        return self.details["type"]

    @property
    def near(self) -> str | None:
        """For an unknown key the known one it resembles."""
        if self.kind != "extra_forbidden":
            return None
        found = difflib.get_close_matches(str(self.details["loc"][-1]), self.known, n=1)
        return found[0] if found else None


def translate(error: ValidationError, model: type[BaseModel], *, file: str | None, prefix: str) -> InstanceError:
    """What pydantic found, as one error in the words of the file.

    Parameters
    ----------
    error : ValidationError
        From ``model.model_validate``.
    model : type
        The pydantic model that was asked for.
    file : str, optional
        The file the input stands in.
    prefix : str
        Where in the file the input stands, ``params`` for instance; empty for its top level.

    Returns
    -------
    InstanceError
        About the first fault, and saying how many more there are. An unknown key comes before a missing one beside it,
        and of a union the alternative that fits best is spoken of.
    """
    faults = _settled([_trace(details, model) for details in error.errors(include_url=False)])
    # A misspelt key is unknown and leaves the right one missing: that is one fault.
    meant = {(fault.parent, fault.near) for fault in faults if fault.near}
    faults = [fault for fault in faults if fault.kind != "missing" or (fault.parent, fault.details["loc"][-1]) not in meant]
    # Pydantic counts the entries that are left after the bad ones are set aside: their faults are what matters.
    bad = [fault.path for fault in faults]
    faults = [
        fault for fault in faults if fault.kind != "too_short" or not any(path.startswith(f"{fault.path}[") for path in bad)
    ]
    first = faults[0]
    if first.kind == "missing":
        first = next((fault for fault in faults if fault.kind == "extra_forbidden" and fault.parent == first.parent), first)
    message = _message(first)
    if len(faults) > 1:
        message += f" (and {len(faults) - 1} more)"
    place = f"{prefix}.{first.path}" if prefix and first.path and first.path[0] != "[" else prefix + first.path
    return InstanceError(message, file=file, field=place or None)


def _message(fault: _Fault) -> str:
    details, context = fault.details, fault.details.get("ctx", {})
    name = f"is {shown(details['input'])}"
    if fault.kind == "missing":
        field = _fields(fault.owner).get(str(details["loc"][-1])) if fault.owner else None
        return f"is missing; {field.description}" if field and field.description else "is missing"
    if fault.kind == "extra_forbidden":
        if fault.near:
            return f"unknown field; did you mean {fault.near!r}?"
        return f"unknown field; the fields are {', '.join(fault.known)}"
    if fault.wanted:
        return f"{name}; must be {fault.wanted}"
    if "error" in context:  # a ValueError raised by a validator, which speaks for itself
        return str(context["error"])
    if fault.kind in _BOUNDS:
        words, key = _BOUNDS[fault.kind]
        return f"{name}; must be {words} {context[key]}"
    if fault.kind == "union_tag_invalid":
        return f"is {shown(context['tag'])}; must be {' or '.join(context['expected_tags'].rsplit(', ', 1))}"
    if fault.kind == "union_tag_not_found":
        return "is missing" if context["discriminator"].startswith("'") else f"{name} of no known kind"
    if fault.kind == "string_too_short" and not details["input"].strip():
        return "is empty"
    if fault.kind == "too_short":
        return f"has {context['actual_length']} entries; needs at least {context['min_length']}"
    if fault.kind == "too_long":
        return f"has {context['actual_length'] or 'more'} entries; takes at most {context['max_length']}"
    return f"{name}; {details['msg'][0].lower()}{details['msg'][1:]}"


def _trace(details: ErrorDetails, model: type[BaseModel]) -> _Fault:
    kind: Any = model
    path, parent, owner = "", "", None
    forks: list[tuple[str, str]] = []
    for step in details["loc"]:
        alternatives = _alternatives(kind)
        if len(alternatives) > 1:  # the step is no place in the file but pydantic's name for an alternative
            forks.append((path, str(step)))
            kind = _called(alternatives, str(step))
            continue
        kind = alternatives[0]
        if step == "[key]":
            continue
        parent, owner = path, kind if _is_model(kind) else None
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
        kind = _inside(kind, step)
    wanted = _WANTED.get(details["type"])
    if details["type"] == "literal_error":
        wanted = details["ctx"]["expected"]
    elif _alternatives(kind) == [Fraction] and isinstance(details["input"], (list, dict)):
        wanted = "a number"
    elif details["type"].startswith("union_tag") and (tag := re.fullmatch("'(.+)'", details["ctx"]["discriminator"])):
        path = f"{path}.{tag[1]}" if path else tag[1]
    known = tuple(_fields(owner)) if owner else ()
    return _Fault(details, path, parent, owner, known, tuple(forks), wanted)


def _settled(faults: list[_Fault], depth: int = 0) -> list[_Fault]:
    """Of each union keep the faults of the alternative that fits the input best: those of its rivals are noise."""
    tried: dict[str, dict[str, list[_Fault]]] = {}
    for fault in faults:
        if len(fault.forks) > depth:
            place, label = fault.forks[depth]
            tried.setdefault(place, {}).setdefault(label, []).append(fault)
    if not tried:
        return faults
    spoken: list[_Fault] = []
    for fault in faults:
        if len(fault.forks) <= depth:
            spoken.append(fault)
        elif (place := fault.forks[depth][0]) in tried:
            spoken += _best(place, list(tried.pop(place).values()))
    return _settled(spoken, depth + 1)


def _best(place: str, branches: list[list[_Fault]]) -> list[_Fault]:
    """The alternative that fits: of the right kind, then knowing the input's keys, then failing deep inside, then seldom."""

    def misfit(branch: list[_Fault]) -> tuple[bool, int, bool, int]:
        inside = any(fault.path != place for fault in branch)
        strangers = sum(fault.kind == "extra_forbidden" and not fault.near for fault in branch)
        return not inside and all(fault.wanted for fault in branch), strangers, not inside, len(branch)

    best = min(branches, key=misfit)
    if misfit(best)[0]:  # no alternative takes an input of this kind: say what all of them want
        wanted = dict.fromkeys(fault.wanted for branch in branches for fault in branch if fault.wanted)
        return [replace(best[0], wanted=" or ".join(wanted))]
    return [replace(fault, known=_known_to_any(branches, fault)) if fault.kind == "extra_forbidden" else fault for fault in best]


def _known_to_any(branches: list[list[_Fault]], stranger: _Fault) -> tuple[str, ...]:
    """A key that no alternative knows could have been meant for any of them."""
    rivals = [fault for branch in branches for fault in branch if fault.path == stranger.path and fault.kind == stranger.kind]
    return tuple(dict.fromkeys(name for fault in rivals for name in fault.known))


# Types of fields ------------------------------------------------------------------------------------------------------


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _bare(kind: Any) -> Any:
    return _bare(get_args(kind)[0]) if get_origin(kind) is Annotated else kind


def _alternatives(kind: Any) -> list[Any]:
    """The members of a union, None aside; of anything else, the thing itself."""
    kind = _bare(kind)
    if get_origin(kind) not in (Union, UnionType):
        return [kind]
    members = [member for member in get_args(kind) if member is not NoneType]
    return members if len(members) > 1 else _alternatives(members[0])


def _called(alternatives: list[Any], label: str) -> Any:
    """The alternative for which pydantic's name is ``label``: a type, a type within named functions, or a tag."""
    core = re.sub(r"(function-\w+\[[^(]*\(\), )*", "", label, count=1).rstrip("]")
    plain: list[Any] = []
    for alternative in alternatives:
        kind = _bare(alternative)
        if any(isinstance(part, Tag) and part.tag == label for part in get_args(alternative)):
            return kind
        if _is_model(kind):
            if core == kind.__name__ or any(label in get_args(field.annotation) for field in kind.model_fields.values()):
                return kind
        elif origin := get_origin(kind):
            if core.startswith(f"{origin.__name__}["):
                return kind
        elif (kind is Fraction) == core.startswith("function-"):
            plain.append(kind)
    return plain[0] if plain else Any


def _inside(kind: Any, step: int | str) -> Any:
    """The type of what stands under a key or index."""
    if _is_model(kind):
        field = _fields(kind).get(str(step))
        return field.annotation if field else Any
    origin, arguments = get_origin(kind), get_args(kind)
    if not arguments or not isinstance(origin, type):
        return Any
    if issubclass(origin, Mapping):
        return arguments[1]
    if issubclass(origin, tuple) and Ellipsis not in arguments:
        return arguments[step] if isinstance(step, int) and step < len(arguments) else Any
    return arguments[0]


def _nested(kind: Any) -> list[type[BaseModel]]:
    """The models a field's type speaks of, each once."""
    kind = _bare(kind)
    if _is_model(kind):
        return [kind]
    return list(dict.fromkeys(model for part in get_args(kind) for model in _nested(part)))


# Templates ------------------------------------------------------------------------------------------------------------

_EXPECT = """\
# Any number of known answers, checked whenever the case is solved:
# [[expect]]
# quantity = "revenue"
# value = "1/8"          # exact if it is
# relation = "eq"        # eq; lower: the truth is at least the value; upper: at most
# kind = "analytic"      # analytic, exact, proved, bound, numerical, published or neural
# source = "own"         # who says so, and where
# tolerance = 1e-9       # left out: 1e-9, and half a unit of the last digit of a rounded value
"""


def template(name: str, title: str, source: str, params: type[BaseModel]) -> str:
    """An instance file to start from: it solves as it stands, and says what every field means.

    Parameters
    ----------
    name, title, source : str
        The market's.
    params : type
        Its pydantic model. A field is written with the first of its ``examples``, or with its default; required fields, and
        those with ``json_schema_extra={"template": True}``, count, the others are commented out.

    Returns
    -------
    str
        TOML.

    Raises
    ------
    ModelError
        If a field that must be written has no example.
    """
    lines = [
        *_comment(title),
        *_comment(f"Source: {source}"),
        "",
        f"format = {FORMAT}",
        f"model = {_toml(name)}",
        'title = "My market"',
        'source = "own"',
        "",
        "[params]",
    ]
    for key, field in _fields(params).items():
        extra = field.json_schema_extra
        written = field.is_required() or (isinstance(extra, Mapping) and extra.get("template") is True)
        example = (
            field.examples[0] if field.examples else None if field.is_required() else field.get_default(call_default_factory=True)
        )
        if example is None and written:
            raise ModelError(f"field {key!r} of market {name!r} is part of the template and has no example")
        lines += [*_comment(field.description or key), *_outline(field.annotation, 1, ())]
        setting = f"{key} = ..." if example is None else _setting(key, example)
        lines += [setting if written else textwrap.indent(setting, "# "), ""]
    return "\n".join(lines) + "\n" + _EXPECT


def _comment(text: str, indent: int = 0) -> list[str]:
    first = "# " + "  " * indent
    return textwrap.wrap(text, 100, initial_indent=first, subsequent_indent=first + "  " * bool(indent))


def _outline(kind: Any, depth: int, above: tuple[type[BaseModel], ...]) -> Iterator[str]:
    """The fields of the models inside a field; a model that holds itself is told once."""
    for position, model in enumerate(model for model in _nested(kind) if model not in above):
        if position:
            yield from _comment("or", depth)
        for key, field in _fields(model).items():
            optional = "" if field.is_required() else " (optional)"
            yield from _comment(f"{key}{optional}: {field.description or ''}".rstrip(": "), depth)
            yield from _outline(field.annotation, depth + 1, (*above, model))


def _setting(key: str, value: object) -> str:
    if isinstance(value, (list, tuple)) and value and all(isinstance(row, (Mapping, BaseModel)) for row in value):
        rows = "".join(f"    {_toml(row)},\n" for row in value)
        return f"{key} = [\n{rows}]"
    return f"{key} = {_toml(value)}"


def _toml(value: object) -> str:
    """A value in TOML, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Fraction):
        return str(value) if value.denominator == 1 else f'"{value}"'
    if isinstance(value, BaseModel):
        return _toml(value.model_dump(by_alias=True, exclude_none=True))
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(str(key))} = {_toml(entry)}" for key, entry in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, Sequence):
        return f"[{', '.join(_toml(entry) for entry in value)}]"
    raise TypeError(f"a template holds text, numbers, lists and tables, not {type(value).__name__}")


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)
