"""Vary the parameters of an instance: locate them by path, read ranges of values, and make the resulting instances."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from optmarket.errors import InstanceError, OptmarketError
from optmarket.files import read_table
from optmarket.instances.instance import Instance, sha256, validate
from optmarket.rationals import exact, shown

MOST_POINTS = 100_000
LONGEST_RANGE = 100  # characters of a range that an error message shows
LONGEST_PATH = 1000  # characters of a path to a number
_HOW = "write PARAM=START:STOP:STEP, such as types[0].value=0:2:0.25"


@dataclass(frozen=True)
class Axis:
    """One dimension of a sweep: parameters that are varied together, so that at step k each takes its k-th value.

    Attributes
    ----------
    paths : tuple of str
        The paths of the parameters.
    values : tuple of tuple of Fraction
        The values of each parameter, all of the same length, at least 1.
    label : str
        The name of a number that identifies the steps without being a parameter; empty if there is none.
    marks : tuple of Fraction
        With a label, its value at each step.
    known : mapping of str to tuple
        For each quantity with published values, the value at each step, or None.
    origin : tuple of str
        The place where each step is written, if the steps are read from a file.

    Examples
    --------
    >>> axis = Axis(("price",), ((Fraction(1), Fraction(2)),))
    >>> len(axis), list(axis)
    (2, [{'price': Fraction(1, 1)}, {'price': Fraction(2, 1)}])
    """

    paths: tuple[str, ...]
    values: tuple[tuple[Fraction, ...], ...]
    label: str = ""
    marks: tuple[Fraction, ...] = ()
    known: Mapping[str, tuple[Fraction | None, ...]] = field(default_factory=dict)
    origin: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the axis in tables and figures: its label, or the path of its first parameter."""
        return self.label or self.paths[0]

    @property
    def x(self) -> tuple[Fraction, ...]:
        """The coordinate of each step: its mark, or the value of the first parameter."""
        return self.marks or self.values[0]

    def __len__(self) -> int:
        return len(self.values[0])

    def __iter__(self) -> Iterator[dict[str, Fraction]]:
        for step in zip(*self.values, strict=True):
            yield dict(zip(self.paths, step, strict=True))


def axes(case: Instance, texts: Sequence[str]) -> tuple[Axis, ...]:
    """Read the axes of a sweep from text.

    Parameters
    ----------
    case : Instance
    texts : sequence of str
        One text for each axis: ``PARAM=START:STOP:STEP``, where both ends are included, or ``PARAM=VALUE``. Parameters of the
        same text, separated by commas, are varied together.

    Returns
    -------
    tuple of Axis

    Raises
    ------
    InstanceError
        If a path is not that of a number of the instance or occurs twice, a range is empty, ranges of the same text differ in
        length, or there are more than 100,000 points.
    """
    found = tuple(_axis(case, text) for text in texts)
    if not found:
        raise InstanceError(f"nothing is varied; {_HOW}", file=case.file)
    paths = [path for axis in found for path in axis.paths]
    _once(paths, case.file)
    if (points := math.prod(map(len, found))) > MOST_POINTS:
        raise InstanceError(
            f"makes {points:,} points; at most {MOST_POINTS:,} are swept", file=case.file, field=" x ".join(paths)
        )
    return found


def axis_of_csv(case: Instance, file: str | Path, quantities: Collection[str]) -> Axis:
    """Read an axis of a sweep from a csv file with one row for each step.

    Parameters
    ----------
    case : Instance
    file : path
        Columns that are named by paths of parameters (in any form that `find` accepts) hold their values. Columns that are named
        as quantities hold published values and may have blank entries. The first column may hold another number, which then
        identifies the steps in tables and figures.
    quantities : collection of str
        The quantities that the market reports.

    Returns
    -------
    Axis

    Raises
    ------
    InstanceError
        If an entry is not a number, a column is neither a parameter nor a quantity, no column is a parameter, or two rows are
        the same point. The error names line and column.
    """
    header, rows = read_table(file)
    name, first = str(file), header[0]
    if len(rows) > MOST_POINTS:
        raise InstanceError(f"has {len(rows):,} points; at most {MOST_POINTS:,} are swept", file=name)
    paths: dict[str, str] = {}
    for column in header:
        if column in quantities:
            continue
        try:
            paths[column] = find(case, column)
        except InstanceError as error:
            if column != first or not first:
                words = f"{error.message}; the quantities are {', '.join(quantities)}" if first else "has no name"
                raise InstanceError(words, file=name, field=f"line 1, column {column or 1}") from error
    if not paths:
        raise InstanceError(f"has columns {', '.join(header)}, none of which is a parameter", file=name, field="line 1")
    _once(list(paths.values()), name)

    def number(line: int, row: Mapping[str, str], column: str) -> Fraction:
        try:
            return exact(row[column])
        except ValueError as error:
            raise InstanceError(str(error), file=name, field=f"line {line}, column {column}") from error

    label = "" if first in paths or first in quantities else first
    found = Axis(
        paths=tuple(paths.values()),
        values=tuple(tuple(number(line, row, column) for line, row in rows) for column in paths),
        label=label,
        marks=tuple(number(line, row, label) for line, row in rows if label),
        known={
            column: tuple(number(line, row, column) if row[column] else None for line, row in rows)
            for column in header
            if column in quantities
        },
        origin=tuple(f"line {line} of {name}" for line, _ in rows),
    )
    lines: dict[tuple[float, ...], int] = {}
    for (line, _), step in zip(rows, zip(*found.values, strict=True), strict=True):
        same = lines.setdefault(tuple(map(float, step)), line)
        if same != line:
            raise InstanceError(f"is the point of line {same} again", file=name, field=f"line {line}")
    return found


def grid(varied: Sequence[Axis]) -> Iterator[dict[str, Fraction]]:
    """Yield every combination of the axes' steps; the last axis varies fastest.

    Parameters
    ----------
    varied : sequence of Axis

    Yields
    ------
    dict of str to Fraction
        The values by path.

    Examples
    --------
    >>> list(grid([Axis(("a",), ((Fraction(1), Fraction(2)),)), Axis(("b",), ((Fraction(0),),))]))
    [{'a': Fraction(1, 1), 'b': Fraction(0, 1)}, {'a': Fraction(2, 1), 'b': Fraction(0, 1)}]
    """
    for steps in itertools.product(*varied):
        yield {path: value for step in steps for path, value in step.items()}


def vary(case: Instance, settings: Mapping[str, Fraction]) -> Instance:
    """Make the instance with other values for some of its parameters.

    The known answers are left out, because they hold for the parameters of the file only.

    Parameters
    ----------
    case : Instance
    settings : mapping of str to Fraction
        The new values, by path in the form that `find` returns.

    Returns
    -------
    Instance

    Raises
    ------
    InstanceError
        If the market does not accept the combination of values.
    """
    raw = _raw(case)
    for path, value in settings.items():
        *way, last = _steps(path)
        holder: Any = raw
        for step in way:
            holder = holder[step]
        holder[last] = value.numerator if value.denominator == 1 else str(value)
    words = in_words(settings)
    try:
        params, notes = validate(type(case.params), raw, case.file, Path(case.file or "").parent, case.root)
    except OptmarketError as error:
        error.message += f" (at {words})"
        raise
    return replace(
        case,
        title=f"{case.title}; {words}",
        params=params,
        expect=(),
        sha256=sha256(case.model, params),
        notes=notes,
        settings={**case.settings, **settings},
    )


def in_words(settings: Mapping[str, Fraction]) -> str:
    """Write settings as text.

    Parameters
    ----------
    settings : mapping of str to Fraction
        Values by path.

    Examples
    --------
    >>> in_words({"types[0].value": Fraction(3, 2)})
    'types[0].value = 3/2'
    """
    return ", ".join(f"{path} = {shown(value)}" for path, value in settings.items())


def find(case: Instance, path: str) -> str:
    """Find a number among the parameters of an instance, and return its path in the form that the other functions expect.

    Parameters
    ----------
    case : Instance
    path : str
        Names and indices: ``types[0].weight`` or ``types.0.weight``, with or without ``params.`` in front.

    Returns
    -------
    str
        For example ``types[0].weight``.

    Raises
    ------
    InstanceError
        If there is no such parameter, or it is not a number. The error suggests a similar name.
    """
    path = path.strip().removeprefix("params.")
    if len(path) > LONGEST_PATH:
        raise InstanceError(
            f"is a path of {len(path):,} characters; at most {LONGEST_PATH} are read", file=case.file, field="set"
        )
    here: Any = _raw(case)
    prefix = ""
    steps = _steps(path)
    for k, step in enumerate(steps):
        known = _entries(here)
        if step not in known:
            rest = "".join(map(_written, steps[k + 1 :]))
            raise InstanceError(_not_found(prefix, step, known, rest), file=case.file, field=path)
        here = here[step]
        prefix = _joined(prefix, step)
    if inner := _entries(here):
        within = prefix
        while inner:
            here, within = here[inner[0]], _joined(within, inner[0])
            inner = _entries(here)
        raise InstanceError(f"is not one number; name one of its entries, such as {within}", file=case.file, field=path)
    if here is not None:
        try:
            exact(here)
        except ValueError as error:
            raise InstanceError(f"is {shown(here)}, which is not a number", file=case.file, field=path) from error
    return prefix


def _once(paths: Sequence[str], file: str | None) -> None:
    for path in paths:
        if paths.count(path) > 1:
            raise InstanceError("is varied twice", file=file, field=path)


def _axis(case: Instance, text: str) -> Axis:
    paths, ranges = [], []
    for part in text.split(","):
        path, equals, values = part.partition("=")
        if not equals or not path.strip():
            raise InstanceError(f"is {shown(part)}; {_HOW}", file=case.file, field="set")
        paths.append(find(case, path))
        ranges.append(_range(case, paths[-1], values))
    if len({len(values) for values in ranges}) > 1:
        lengths = ", ".join(f"{path} has {len(values)}" for path, values in zip(paths, ranges, strict=True))
        raise InstanceError(f"move together and must have as many values: {lengths}", file=case.file, field=", ".join(paths))
    return Axis(tuple(paths), tuple(ranges))


def _range(case: Instance, path: str, text: str) -> tuple[Fraction, ...]:
    def invalid(message: str) -> InstanceError:
        return InstanceError(message, file=case.file, field=path)

    try:
        given = [exact(part) for part in text.split(":")]
    except ValueError as error:
        raise invalid(f"{error}; {_HOW}") from error
    text = text if len(text) <= LONGEST_RANGE else f"{text[:LONGEST_RANGE]}..."
    if len(given) == 1:
        return (given[0],)
    if len(given) != 3:
        raise invalid(f"is {text}; {_HOW}")
    start, stop, step = given
    if step == 0:
        raise invalid(f"is {text}, with steps of 0; {_HOW}")
    steps = (stop - start) / step
    if steps < 0:
        raise invalid(f"is {text}, an empty range: steps of {shown(step)} from {shown(start)} never come to {shown(stop)}")
    if steps >= MOST_POINTS:
        count = f"{math.floor(steps) + 1:,}" if steps < 10**15 else "countless"
        raise invalid(f"is {text}, {count} values; at most {MOST_POINTS:,} are swept")
    return tuple(start + k * step for k in range(math.floor(steps) + 1))


def _raw(case: Instance) -> dict[str, Any]:
    """The parameters in the form of an instance file, with defaults written out."""
    try:
        return case.params.model_dump(mode="json", by_alias=True)
    except ValueError as error:
        if "KeyboardInterrupt" in str(error):  # pydantic wraps an interrupt that occurs in a serializer
            raise KeyboardInterrupt from error
        raise


def _entries(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value)
    return list(range(len(value))) if isinstance(value, list) else []


def _steps(path: str) -> list[str | int]:
    return [int(step) if step.isdecimal() else step for step in path.replace("[", ".").replace("]", "").split(".") if step]


def _joined(path: str, step: str | int) -> str:
    return (path + _written(step)).removeprefix(".")


def _written(step: str | int) -> str:
    return f"[{step}]" if isinstance(step, int) else f".{step}"


def _not_found(prefix: str, step: str | int, known: list[Any], rest: str) -> str:
    """The message for a path whose first part, `prefix`, exists, but not its next step."""
    if not known:
        return f"is no parameter; {prefix} is a single value"
    if isinstance(known[0], int):
        return f"is no parameter; {prefix} has the entries {known[0]} to {known[-1]}, counted from 0"
    near = difflib.get_close_matches(str(step), known, n=1)
    if near:
        return f"is no parameter; did you mean {_joined(prefix, near[0])}{rest}?"
    return f"is no parameter; {prefix or 'the instance'} has {', '.join(known)}"
