"""Numbers of an instance set to other values: paths to them, ranges of values, and the instance that results."""

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
LONGEST_RANGE = 100  # characters of a range, as an error shows it
LONGEST_PATH = 1000  # characters of a path to a number
_HOW = "write PARAM=START:STOP:STEP, such as types[0].value=0:2:0.25"


@dataclass(frozen=True)
class Axis:
    """Numbers that move together: at step k each path takes its k-th value.

    Attributes
    ----------
    paths : tuple of str
    values : tuple of tuple of Fraction
        One tuple a path, all of the same length, at least 1.
    label : str
        What the steps go by, if that is no parameter.
    marks : tuple of Fraction
        With a label, its value at each step.
    known : mapping
        By quantity, what is stated of it at each step, none where nothing is.
    origin : tuple of str
        Where each step is written, if not all come from one text.
    """

    paths: tuple[str, ...]
    values: tuple[tuple[Fraction, ...], ...]
    label: str = ""
    marks: tuple[Fraction, ...] = ()
    known: Mapping[str, tuple[Fraction | None, ...]] = field(default_factory=dict)
    origin: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What tables and figures call it: its label, or the parameter that leads it."""
        return self.label or self.paths[0]

    @property
    def x(self) -> tuple[Fraction, ...]:
        """Where each step stands along it."""
        return self.marks or self.values[0]

    def __len__(self) -> int:
        return len(self.values[0])

    def __iter__(self) -> Iterator[dict[str, Fraction]]:
        for step in zip(*self.values, strict=True):
            yield dict(zip(self.paths, step, strict=True))


def axes(case: Instance, texts: Sequence[str]) -> tuple[Axis, ...]:
    """Read what is to be varied.

    Parameters
    ----------
    case : Instance
    texts : sequence of str
        Each ``PARAM=START:STOP:STEP``, both ends included, or ``PARAM=VALUE``; several joined by commas move together.

    Raises
    ------
    InstanceError
        If a path leads to no number of the instance or is named twice, a range is empty, ranges joined by a comma differ in
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


def listed(case: Instance, file: str | Path, quantities: Collection[str]) -> Axis:
    """Read what is to be varied, and what is stated of it, from a csv file: a row a step.

    Parameters
    ----------
    case : Instance
    file : path
        Columns named as parameters, in any way `find` takes, hold their values, and columns named as quantities what somebody
        states of them, blank where nobody does. The first column may hold another number, by which tables and figures go.
    quantities : collection of str
        What the market reports.

    Raises
    ------
    InstanceError
        With line and column, if an entry is no number, a column is neither, none is a parameter, or two rows are one point.
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
    """Every combination of the axes' steps, the last axis fastest."""
    for steps in itertools.product(*varied):
        yield {path: value for step in steps for path, value in step.items()}


def vary(case: Instance, settings: Mapping[str, Fraction]) -> Instance:
    """The instance with some of its numbers replaced, and without its known answers, which are for the numbers of the file.

    Parameters
    ----------
    case : Instance
    settings : mapping
        New values by path, as `find` gives it.

    Raises
    ------
    InstanceError
        If the market does not accept the values together.
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
    """Settings as people write them: ``types[0].value = 3/2``."""
    return ", ".join(f"{path} = {shown(value)}" for path, value in settings.items())


def find(case: Instance, path: str) -> str:
    """The place of a number among an instance's parameters, in the form the other functions take.

    Parameters
    ----------
    case : Instance
    path : str
        Names and indices: ``types[0].weight`` or ``types.0.weight``, with or without ``params.`` in front.

    Raises
    ------
    InstanceError
        If there is no such parameter, or it is not a number; the nearest is said.
    """
    path = path.strip().removeprefix("params.")
    if len(path) > LONGEST_PATH:
        raise InstanceError(
            f"is a path of {len(path):,} characters; at most {LONGEST_PATH} are read", file=case.file, field="set"
        )
    here: Any = _raw(case)
    gone = ""
    steps = _steps(path)
    for k, step in enumerate(steps):
        known = _entries(here)
        if step not in known:
            rest = "".join(map(_written, steps[k + 1 :]))
            raise InstanceError(_nowhere(gone, step, known, rest), file=case.file, field=path)
        here = here[step]
        gone = _joined(gone, step)
    if inner := _entries(here):
        within = gone
        while inner:
            here, within = here[inner[0]], _joined(within, inner[0])
            inner = _entries(here)
        raise InstanceError(f"is not one number; name one of its entries, such as {within}", file=case.file, field=path)
    if here is not None:
        try:
            exact(here)
        except ValueError as error:
            raise InstanceError(f"is {shown(here)}, which is not a number", file=case.file, field=path) from error
    return gone


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
    def fault(message: str) -> InstanceError:
        return InstanceError(message, file=case.file, field=path)

    try:
        given = [exact(part) for part in text.split(":")]
    except ValueError as error:
        raise fault(f"{error}; {_HOW}") from error
    text = text if len(text) <= LONGEST_RANGE else f"{text[:LONGEST_RANGE]}..."
    if len(given) == 1:
        return (given[0],)
    if len(given) != 3:
        raise fault(f"is {text}; {_HOW}")
    start, stop, step = given
    if step == 0:
        raise fault(f"is {text}, with steps of 0; {_HOW}")
    steps = (stop - start) / step
    if steps < 0:
        raise fault(f"is {text}, an empty range: steps of {shown(step)} from {shown(start)} never come to {shown(stop)}")
    if steps >= MOST_POINTS:
        count = f"{math.floor(steps) + 1:,}" if steps < 10**15 else "countless"
        raise fault(f"is {text}, {count} values; at most {MOST_POINTS:,} are swept")
    return tuple(start + k * step for k in range(math.floor(steps) + 1))


def _raw(case: Instance) -> dict[str, Any]:
    """The parameters as a file would hold them, defaults written out."""
    try:
        return case.params.model_dump(mode="json", by_alias=True)
    except ValueError as error:
        if "KeyboardInterrupt" in str(error):  # which pydantic wraps when it comes while a number is written
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


def _nowhere(gone: str, step: str | int, known: list[Any], rest: str) -> str:
    """What to say of a path that leads nowhere after ``gone``."""
    if not known:
        return f"is no parameter; {gone} is a single value"
    if isinstance(known[0], int):
        return f"is no parameter; {gone} has the entries {known[0]} to {known[-1]}, counted from 0"
    near = difflib.get_close_matches(str(step), known, n=1)
    if near:
        return f"is no parameter; did you mean {_joined(gone, near[0])}{rest}?"
    return f"is no parameter; {gone or 'the instance'} has {', '.join(known)}"
