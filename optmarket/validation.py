"""Translate pydantic's validation errors into one sentence that names the file and the field."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, Tag, ValidationError
from pydantic.fields import FieldInfo

from optmarket.errors import InstanceError
from optmarket.rationals import shown

_EXPECTED = {
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a table",
    "mapping_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "dataclass_type": "a table",
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
class _FieldError:
    """One of pydantic's validation errors, located in the file and in the model that was validated.

    Attributes
    ----------
    details : mapping
        The error as pydantic reports it.
    path, parent : str
        The field's place in the file, and the place of the table or list that contains it.
    owner : type or None
        The model that has the field.
    known : tuple of str
        The fields of that model.
    unions : tuple of (place, alternative)
        The unions on the way to the field: the place of each, and pydantic's name for the alternative that it tried.
    expected : str or None
        The expected kind of value, if the input is of another kind.
    """

    details: Mapping[str, Any]
    path: str
    parent: str
    owner: type[Any] | None
    known: tuple[str, ...]
    unions: tuple[tuple[str, str], ...]
    expected: str | None

    @property
    def kind(self) -> str:
        """Pydantic's name for the kind of error."""
        return str(self.details["type"])

    @property
    def near(self) -> str | None:
        """For an unknown key, the most similar known one."""
        if self.kind != "extra_forbidden":
            return None
        found = difflib.get_close_matches(str(self.details["loc"][-1]), self.known, n=1)
        return found[0] if found else None


def translate(error: ValidationError, model: type[BaseModel], *, file: str | None, prefix: str) -> InstanceError:
    """Translate pydantic's validation errors into one InstanceError.

    Parameters
    ----------
    error : ValidationError
        Raised by ``model.model_validate``.
    model : type
        The pydantic model that was validated.
    file : str, optional
        The file that contains the input.
    prefix : str
        The place of the input in the file, for example ``params``; empty for the top level.

    Returns
    -------
    InstanceError
        It describes the first error and states how many more there are. An unknown key is reported before a missing one in the
        same table. In a union, the errors of the best-matching alternative are reported.

    Examples
    --------
    >>> class Good(BaseModel):
    ...     price: float
    >>> try:
    ...     Good.model_validate({"price": "high"})
    ... except ValidationError as error:
    ...     print(translate(error, Good, file="my.toml", prefix="params"))
    my.toml: params.price: is 'high'; must be a number
    """
    errors = _of_best_alternatives([_trace(details, model) for details in error.errors(include_url=False)])
    # A misspelt key causes two errors, an unknown key and a missing one; only the former is reported.
    meant = {(one.parent, one.near) for one in errors if one.near}
    errors = [one for one in errors if one.kind != "missing" or (one.parent, one.details["loc"][-1]) not in meant]
    # Pydantic does not count invalid entries, so a list may seem too short because of them. Their own errors are reported.
    invalid = [one.path for one in errors]
    errors = [one for one in errors if one.kind != "too_short" or not any(path.startswith(f"{one.path}[") for path in invalid)]
    first = errors[0]
    if first.kind == "missing":
        first = next((one for one in errors if one.kind == "extra_forbidden" and one.parent == first.parent), first)
    message = _message(first)
    if len(errors) > 1:
        message += f" (and {len(errors) - 1} more)"
    place = f"{prefix}.{first.path}" if prefix and first.path and first.path[0] != "[" else prefix + first.path
    return InstanceError(message, file=file, field=place or None)


def _message(error: _FieldError) -> str:
    details, context = error.details, error.details.get("ctx", {})
    name = f"is {shown(details['input'])}"
    if error.kind == "missing":
        field = fields_of(error.owner).get(str(details["loc"][-1])) if error.owner else None
        return f"is missing; {field.description}" if field and field.description else "is missing"
    if error.kind == "extra_forbidden":
        if error.near:
            return f"unknown field; did you mean {error.near!r}?"
        return f"unknown field; the fields are {', '.join(error.known)}"
    if error.expected:
        return f"{name}; must be {error.expected}"
    if "error" in context:  # a ValueError raised by one of our validators, whose message is used as it is
        return str(context["error"])
    if error.kind in _BOUNDS:
        words, key = _BOUNDS[error.kind]
        return f"{name}; must be {words} {context[key]}"
    if error.kind == "union_tag_invalid":
        return f"is {shown(context['tag'])}; must be {' or '.join(context['expected_tags'].rsplit(', ', 1))}"
    if error.kind == "union_tag_not_found":
        return "is missing" if context["discriminator"].startswith("'") else f"{name} of no known kind"
    if error.kind == "string_too_short" and not details["input"].strip():
        return "is empty"
    if error.kind == "too_short":
        return f"has {context['actual_length']} entries; needs at least {context['min_length']}"
    if error.kind == "too_long":
        return f"has {context['actual_length'] or 'more'} entries; takes at most {context['max_length']}"
    return f"{name}; {details['msg'][0].lower()}{details['msg'][1:]}"


def _trace(details: Mapping[str, Any], model: type[BaseModel]) -> _FieldError:
    kind: Any = model
    path, parent, owner = "", "", None
    unions: list[tuple[str, str]] = []
    for step in details["loc"]:
        alternatives = _alternatives(kind)
        if len(alternatives) > 1:  # this step is not a place in the file but pydantic's name for an alternative of a union
            unions.append((path, str(step)))
            kind = _called(alternatives, str(step))
            continue
        kind = alternatives[0]
        if step == "[key]":
            continue
        parent, owner = path, kind if _is_model(kind) else None
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
        kind = _inside(kind, step)
    expected = _EXPECTED.get(details["type"])
    if details["type"] == "literal_error":
        expected = details["ctx"]["expected"]
    elif _alternatives(kind) == [Fraction] and isinstance(details["input"], (list, dict)):
        expected = "a number"
    elif details["type"].startswith("union_tag") and (tag := re.fullmatch("'(.+)'", details["ctx"]["discriminator"])):
        path = f"{path}.{tag[1]}" if path else tag[1]
    known = tuple(fields_of(owner)) if owner else ()
    return _FieldError(details, path, parent, owner, known, tuple(unions), expected)


def _of_best_alternatives(errors: list[_FieldError], depth: int = 0) -> list[_FieldError]:
    """For each union, keep only the errors of the alternative that matches the input best."""
    tried: dict[str, dict[str, list[_FieldError]]] = {}
    for error in errors:
        if len(error.unions) > depth:
            place, label = error.unions[depth]
            tried.setdefault(place, {}).setdefault(label, []).append(error)
    if not tried:
        return errors
    kept: list[_FieldError] = []
    for error in errors:
        if len(error.unions) <= depth:
            kept.append(error)
        elif (place := error.unions[depth][0]) in tried:
            kept += _best(place, list(tried.pop(place).values()))
    return _of_best_alternatives(kept, depth + 1)


def _best(place: str, branches: list[list[_FieldError]]) -> list[_FieldError]:
    """The errors of the alternative that matches the input best.

    The criteria are, in this order: the kind of value is right, few keys are unknown, the errors are inside the value rather
    than about the value itself, and there are few errors.
    """

    def mismatch(branch: list[_FieldError]) -> tuple[bool, int, bool, int]:
        inside = any(error.path != place for error in branch)
        unknown_keys = sum(error.kind == "extra_forbidden" and not error.near for error in branch)
        return not inside and all(error.expected for error in branch), unknown_keys, not inside, len(branch)

    best = min(branches, key=mismatch)
    if mismatch(best)[0]:  # no alternative accepts this kind of value: name the kinds that the alternatives expect
        expected = dict.fromkeys(error.expected for branch in branches for error in branch if error.expected)
        return [replace(best[0], expected=" or ".join(expected))]
    return [replace(error, known=_known_to_any(branches, error)) if error.kind == "extra_forbidden" else error for error in best]


def _known_to_any(branches: list[list[_FieldError]], unknown: _FieldError) -> tuple[str, ...]:
    """The keys of all alternatives that reject an unknown key, which may have been intended for any of them."""
    same = [error for branch in branches for error in branch if error.path == unknown.path and error.kind == unknown.kind]
    return tuple(dict.fromkeys(name for error in same for name in error.known))


def fields_of(model: type[Any]) -> dict[str, FieldInfo]:
    """The fields of a pydantic model or a dataclass, by the names they have in a file.

    Parameters
    ----------
    model : type
        A pydantic model or a dataclass.

    Returns
    -------
    dict of str to FieldInfo

    Examples
    --------
    >>> class Good(BaseModel):
    ...     price: float
    >>> list(fields_of(Good))
    ['price']
    """
    if issubclass(model, BaseModel):
        return {field.alias or name: field for name, field in model.model_fields.items()}
    kinds = get_type_hints(model, include_extras=True)
    return {field.name: FieldInfo(annotation=kinds[field.name]) for field in dataclasses.fields(model)}


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and (issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind))


def _bare(kind: Any) -> Any:
    return _bare(get_args(kind)[0]) if get_origin(kind) is Annotated else kind


def _alternatives(kind: Any) -> list[Any]:
    """The members of a union without None; for any other type, the type itself."""
    kind = _bare(kind)
    if get_origin(kind) not in (Union, UnionType):
        return [kind]
    members = [member for member in get_args(kind) if member is not NoneType]
    return members if len(members) > 1 else _alternatives(members[0])


def _called(alternatives: list[Any], label: str) -> Any:
    """The alternative of a union that pydantic calls ``label``, which names a type, a type inside validators, or a tag."""
    core = re.sub(r"(function-\w+\[[^(]*\(\), )*", "", label, count=1).rstrip("]")
    plain: list[Any] = []
    for alternative in alternatives:
        kind = _bare(alternative)
        if any(isinstance(part, Tag) and part.tag == label for part in get_args(alternative)):
            return kind
        if _is_model(kind):
            if core == kind.__name__ or any(label in get_args(field.annotation) for field in fields_of(kind).values()):
                return kind
        elif origin := get_origin(kind):
            if core.startswith(f"{origin.__name__}["):
                return kind
        elif (kind is Fraction) == core.startswith("function-"):
            plain.append(kind)
    return plain[0] if plain else Any


def _inside(kind: Any, step: int | str) -> Any:
    """The type of the value under a key or index of a container or model."""
    if _is_model(kind):
        field = fields_of(kind).get(str(step))
        return field.annotation if field else Any
    origin, arguments = get_origin(kind), get_args(kind)
    if not arguments or not isinstance(origin, type):
        return Any
    if issubclass(origin, Mapping):
        return arguments[1]
    if issubclass(origin, tuple) and Ellipsis not in arguments:
        return arguments[step] if isinstance(step, int) and step < len(arguments) else Any
    return arguments[0]


def nested_in(kind: Any) -> list[type[Any]]:
    """The pydantic models and dataclasses that occur in a type, each once.

    Parameters
    ----------
    kind : type
        For example the annotation of a field.

    Examples
    --------
    >>> class Good(BaseModel):
    ...     price: float
    >>> [model.__name__ for model in nested_in(list[Good] | None)]
    ['Good']
    """
    kind = _bare(kind)
    if _is_model(kind):
        return [kind]
    return list(dict.fromkeys(model for part in get_args(kind) for model in nested_in(part)))
