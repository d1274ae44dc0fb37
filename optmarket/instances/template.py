"""Write a commented instance file of a market as a template, from the fields of its parameters."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from pydantic import (
    BaseModel,
)

from optmarket.errors import ModelError
from optmarket.solution_file import FORMAT
from optmarket.validation import fields_of, nested_in

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
    """Write a template of an instance file, which explains every field and can be solved without changes.

    Parameters
    ----------
    name, title, source : str
        The name, title and source of the market.
    params : type
        Its pydantic model of parameters. Each field is written with the first of its ``examples``, or with its default. Fields
        that are neither required nor have ``json_schema_extra={"template": True}`` are commented out.

    Returns
    -------
    str
        The instance file, in TOML.

    Raises
    ------
    ModelError
        If a field that must be written has no example.

    Examples
    --------
    >>> from pydantic import Field
    >>> class Params(BaseModel):
    ...     price: float = Field(description="the posted price", examples=[2.5])
    >>> "price = 2.5" in template("posted-price", "Posted price", "own", Params)
    True
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
    for key, field in fields_of(params).items():
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
    """Comments on the fields of the models that occur in a type; a model that contains itself is described once."""
    for position, model in enumerate(model for model in nested_in(kind) if model not in above):
        if position:
            yield from _comment("or", depth)
        for key, field in fields_of(model).items():
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
