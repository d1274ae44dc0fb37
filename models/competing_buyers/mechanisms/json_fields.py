"""The fields of a mechanism file, checked: nested lists of numbers as arrays, and errors that say where they do not fit."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.errors import InstanceError
from optmarket.rationals import exact, shown
from optmarket.tolerances import EXPERIMENT_TO_ONE

BY_PROFILE = ("experiments", "payments")
BY_COUNT = ("experiments-by-count", "payments-by-count")
BY_SCORE = ("scores", "thresholds", "payments")
CELLS = "cells"
FIELDS = (CELLS, *BY_PROFILE, *BY_COUNT, *BY_SCORE[:2])
# Fields of older versions, and what they are called now.
RENAMED = {"experiments-by-tally": "experiments-by-count", "payments-by-tally": "payments-by-count"}


def refuse_renamed_fields(data: Mapping[str, Any]) -> None:
    """Fail if a mechanism has a field that was renamed.

    Raises
    ------
    InstanceError
        With the new names.
    """
    if old := [name for name in RENAMED if name in data]:
        new = " and ".join(RENAMED[name] for name in old)
        raise InstanceError(f"was renamed: write {new} instead of {' and '.join(old)}", field=old[0])


def known_fields(data: Mapping[str, Any], names: Sequence[str]) -> None:
    """Fail unless a mechanism has these fields and no other.

    Raises
    ------
    InstanceError
        With the field, and the nearest name that is known.
    """
    required = f"such a mechanism has {' and '.join(names)}"
    for name in sorted(set(data) - set(names)):
        near = difflib.get_close_matches(name, FIELDS, n=1)
        if name in FIELDS:
            hint = f"does not belong here; {required}"
        else:
            hint = "is not known here; " + (f"did you mean {near[0]!r}?" if near else required)
        raise InstanceError(hint, field=name)
    for name in names:
        if name not in data:
            raise InstanceError(f"is missing; {required}", field=name)


def list_of(data: Mapping[str, Any], name: str, count: int, what: str) -> Any:
    """A field that lists one entry for each buyer, or for each group of buyers.

    Raises
    ------
    InstanceError
        If it lists another number.
    """
    given = data[name]
    if not isinstance(given, (list, tuple)) or len(given) != count:
        has = f"lists {len(given)}" if isinstance(given, (list, tuple)) else f"is {shown(given)}"
        raise InstanceError(f"{has}; must be a list of one for each of the {count} {what}", field=name)
    return given


def numbers_of(data: Mapping[str, Any], name: str, sizes: Sequence[int], what: str) -> tuple[FloatArray, ...]:
    """A field that has a list of numbers for each group of buyers.

    Parameters
    ----------
    data : mapping
    name : str
    sizes : sequence of int
        How many numbers each group has.
    what : str
        What the numbers are of, in the plural.

    Raises
    ------
    InstanceError
        With the field that does not fit.
    """
    given = list_of(data, name, len(sizes), "groups of buyers")
    return tuple(nested(each, (size,), [what], f"{name}[{g}]") for g, (each, size) in enumerate(zip(given, sizes, strict=True)))


def depth(given: Any) -> int:
    """How many lists are nested, along the first entry of each.

    Examples
    --------
    >>> depth([[0, 0], [1]]), depth(0.5)
    (2, 0)
    """
    found = 0
    while isinstance(given, (list, tuple, np.ndarray)) and len(given):
        given, found = given[0], found + 1
    return found


def _place(indices: tuple[Any, ...]) -> str:
    return "".join(f"[{k}]" for k in indices)


def probabilities(given: Any, shape: tuple[int, ...], axes: Sequence[str], field: str) -> FloatArray:
    """Nested lists as probabilities along the last axis, divided by their sum, which may miss 1 by `EXPERIMENT_TO_ONE`.

    Raises
    ------
    InstanceError
        With the place of what is negative, or does not sum to 1.
    """
    found = nested(given, shape, axes, field)
    total = found.sum(axis=-1)
    if (found < 0).any():
        place = tuple(np.argwhere(found < 0)[0])
        raise InstanceError(f"is {found[place]:.12g}; a probability is at least 0", field=field + _place(place))
    if (np.abs(total - 1) > EXPERIMENT_TO_ONE).any():
        place = tuple(np.argwhere(np.abs(total - 1) > EXPERIMENT_TO_ONE)[0])
        raise InstanceError(f"sums to {total[place]:.12g}; must sum to 1", field=field + _place(place))
    return np.asarray(found / total[..., None])


def nested(given: Any, shape: tuple[int, ...], axes: Sequence[str], field: str) -> FloatArray:
    """Nested lists of numbers as an array.

    Parameters
    ----------
    given : nested lists
    shape : tuple of int
    axes : sequence of str
        What the entries of each axis are, in the plural.
    field : str
        What the lists are called in the file.

    Raises
    ------
    InstanceError
        With the place of the list that has another length, or of what is no number.
    """
    entries = [given.tolist() if isinstance(given, np.ndarray) else given]
    for level, (size, axis) in enumerate(zip(shape, axes, strict=False)):
        for k, one in enumerate(entries):
            if not isinstance(one, (list, tuple)) or len(one) != size:
                has = f"has {len(one)} entries" if isinstance(one, (list, tuple)) else f"is {shown(one)}"
                place = np.unravel_index(k, shape[:level]) if level else ()
                raise InstanceError(f"{has}; must be a list of {size}, {axis}", field=field + _place(place))
        entries = [entry for one in entries for entry in one]
    if not all(type(entry) is float and math.isfinite(entry) for entry in entries):
        entries = [_number(entry, shape, k, field) for k, entry in enumerate(entries)]
    return np.array(entries, dtype=np.float64).reshape(shape)


def _number(given: Any, shape: tuple[int, ...], k: int, field: str) -> float:
    try:
        return float(exact(given))
    except ValueError as error:
        raise InstanceError(str(error), field=field + _place(np.unravel_index(k, shape))) from error
