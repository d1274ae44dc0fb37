"""What pydantic finds wrong with an input, told in one sentence with file and field."""

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

_WANTED = {
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
class _Fault:
    """One of pydantic's errors, traced through the model it comes from.

    ``path`` is the field's place in the file and ``parent`` that of what holds it; ``owner`` is the model whose field it
    is, and ``known`` the fields that model has. ``forks`` are the unions on the way: the place of each, and pydantic's
    name for the alternative it tried. ``wanted`` is set if the input is of a wrong kind altogether.
    """

    details: Mapping[str, Any]
    path: str
    parent: str
    owner: type[Any] | None
    known: tuple[str, ...]
    forks: tuple[tuple[str, str], ...]
    wanted: str | None

    @property
    def kind(self) -> str:
        return str(self.details["type"])

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
        field = fields_of(fault.owner).get(str(details["loc"][-1])) if fault.owner else None
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


def _trace(details: Mapping[str, Any], model: type[BaseModel]) -> _Fault:
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
    known = tuple(fields_of(owner)) if owner else ()
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


def fields_of(model: type[Any]) -> dict[str, FieldInfo]:
    """A model's fields by the names they have in a file; of a dataclass, too."""
    if issubclass(model, BaseModel):
        return {field.alias or name: field for name, field in model.model_fields.items()}
    kinds = get_type_hints(model, include_extras=True)
    return {field.name: FieldInfo(annotation=kinds[field.name]) for field in dataclasses.fields(model)}


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and (issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind))


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
    """The models a field's type speaks of, each once."""
    kind = _bare(kind)
    if _is_model(kind):
        return [kind]
    return list(dict.fromkeys(model for part in get_args(kind) for model in nested_in(part)))
