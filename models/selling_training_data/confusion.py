"""Write an instance whose types are buyers with given classifiers, from the confusion matrices of these."""

from __future__ import annotations

import difflib
import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from optmarket.errors import InstanceError, ModelError
from optmarket.files import read_table
from optmarket.models.selling_training_data.populations import HALF
from optmarket.rationals import exact, shown
from optmarket.solution_file import FORMAT

MAX_CLASSES = 4  # told apart one by one: n classes have n^n recommendations a type
Confusion = dict[str, dict[str, Fraction]]  # counts by true class, then by predicted class


class _Types(NamedTuple):
    """What an instance says of its states, and each type's fields with a comment of its own."""

    title: str
    comments: list[str]
    types: list[tuple[str, str]]
    states: tuple[str, ...] = ()


def from_confusion(paths: Sequence[Path], options: Mapping[str, str]) -> str:
    """Write an instance whose types are buyers with these classifiers, equally likely.

    Parameters
    ----------
    paths : sequence of Path
        One csv file a classifier, one row and one column a class, no totals. The header names the predicted classes after a
        first cell of any name; a row is the true class, then its counts, which may be weighted.
    options : mapping
        ``class``: this class against the rest: the first state is the class, the second any other, and each has probability 1/2.
        Without it every class is a state, as likely as it is frequent in all files together.

    Returns
    -------
    str
        TOML with comments, valid as it stands.

    Raises
    ------
    InstanceError
        If a file is no confusion matrix, the files differ in their classes, or the class named is none of them.
    ModelError
        If there are too many classes to tell all of them apart.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "tree.csv")
    ...     _ = file.write_text("true,ill,well\\nill,8,2\\nwell,5,15\\n")
    ...     print(from_confusion([file], {"class": "ill"}).splitlines()[-2])
      { name = "tree", weight = 1, alpha = "1/10", beta = "1/8" },
    """
    if not paths:
        raise InstanceError("there is no confusion matrix; name a csv file for each classifier")
    matrices = [_read(path) for path in paths]
    classes = list(matrices[0])
    for path, matrix in zip(paths, matrices, strict=True):
        if set(matrix) != set(classes):
            message = f"has classes {_list(matrix)}; those of {paths[0]} are {_list(classes)}, and all must agree"
            raise InstanceError(message, file=str(path))
    made = _one_class(paths, matrices, options["class"]) if "class" in options else _all_classes(paths, matrices)
    files = _list(path.name for path in paths)
    comments = [
        f"Buyers whose own data err as classifiers do, from {files}.",
        *made.comments,
        "Weights are the types' shares among buyers; here they are equal: put in your own.",
    ]
    lines = [
        *(line for text in comments for line in _comment(text)),
        "",
        f"format = {FORMAT}",
        'model = "selling-training-data"',
        f"title = {_text(made.title)}",
        f"source = {_text(f'confusion matrices {files}')}",
        "",
        "[params]",
        "types = [",
    ]
    weight = _number(Fraction(1, len(paths)))
    for name, (comment, fields) in zip(_names(paths), made.types, strict=True):
        lines += [*_comment(comment, "  "), f"  {{ name = {_text(name)}, weight = {weight}, {fields} }},"]
    states = [f"states = [{', '.join(map(_text, made.states))}]"] if made.states else []
    return "\n".join([*lines, "]", *states, ""])


def _one_class(paths: Sequence[Path], matrices: Sequence[Confusion], positive: str) -> _Types:
    classes = list(matrices[0])
    if positive not in classes:
        near = difflib.get_close_matches(positive, classes, n=1)
        hint = f"did you mean {shown(near[0])}?" if near else f"the classes are {_list(classes)}"
        raise InstanceError(f"has no class {shown(positive)}; {hint}", file=str(paths[0]))
    rest = [other for other in classes if other != positive]
    comments = [
        f"State 1 is {positive}, state 2 is {' or '.join(rest)}.",
        "Each state has probability 1/2, whatever its count, as if rows were reweighted: alpha is half the share of state 1 that "
        f"is not predicted as {positive}, beta half the share of state 2 that is.",
    ]
    if any(_frequencies([matrix], rest) != _frequencies(matrices, rest) for matrix in matrices):
        comments.append("How frequent the classes within state 2 are differs between files: each is taken as it is.")
    types = []
    for matrix in matrices:
        first, second = _total(matrix, [positive]), _total(matrix, rest)
        missed = first - matrix[positive][positive]
        mistaken = sum((matrix[other][positive] for other in rest), Fraction(0))
        alpha, beta = missed / first / 2, mistaken / second / 2
        comment = f"{shown(missed)} of {shown(first)} missed, {shown(mistaken)} of {shown(second)} mistaken for {positive}"
        if alpha + beta > HALF:
            comment += "; wrong more often than right, so read the other way round: alpha and beta are 1/2 less these errors"
            alpha, beta = HALF - alpha, HALF - beta
        types.append((comment, f"alpha = {_number(alpha)}, beta = {_number(beta)}"))
    return _Types(f"Classifiers of {positive} against the rest", comments, types)


def _all_classes(paths: Sequence[Path], matrices: Sequence[Confusion]) -> _Types:
    classes = list(matrices[0])
    n = len(classes)
    if n > MAX_CLASSES:
        profiles = f"{n}^{n}" + (f" = {n**n:,}" if n <= 10 else "")
        raise ModelError(
            f"has {n} classes: {profiles} recommendations a type, where {MAX_CLASSES} classes have {MAX_CLASSES**MAX_CLASSES}; "
            "name one class, to tell it from the rest, with --set class=...",
            file=str(paths[0]),
        )
    prior = _frequencies(matrices, classes)
    shares = _list(f"{true} {shown(share)}" for true, share in zip(classes, prior, strict=True))
    comments = [
        f"States and own signals are the classes, in the order of states, as likely as they are frequent in all files: {shares}."
    ]
    if any(_frequencies([matrix], classes) != prior for matrix in matrices):
        comments.append("These frequencies differ between files: each file's rows are reweighted to those of all together.")
    types = []
    for matrix in matrices:
        rows = ""
        for true, share in zip(classes, prior, strict=True):
            scale = share / _total(matrix, [true])
            rows += f"    [{', '.join(_number(scale * matrix[true][predicted]) for predicted in classes)}],\n"
        right = sum((matrix[true][true] for true in classes), Fraction(0))
        types.append((f"{shown(right)} of {shown(_total(matrix, classes))} right", f"joint = [\n{rows}  ]"))
    return _Types(f"Classifiers of {_list(classes)}", comments, types, tuple(classes))


def _read(path: Path) -> Confusion:
    """Counts of a file, its classes in the order of the columns."""
    (label, *classes), rows = read_table(path)
    if len(classes) < 2:
        raise InstanceError(f"names {len(classes)} predicted classes in its header; must be two or more", file=str(path))
    found: Confusion = {}
    for line, row in rows:
        field, true = f"line {line}", row[label]
        if true not in classes:
            message = f"is a row of class {shown(true)}, which is no column; the columns are {_list(classes)}"
            raise InstanceError(message, file=str(path), field=field)
        if true in found:
            raise InstanceError(f"is a second row of class {shown(true)}; must be one row a class", file=str(path), field=field)
        found[true] = {predicted: _count(row[predicted], path, f"{field}, column {_plain(predicted)}") for predicted in classes}
        if not any(found[true].values()):
            message = f"has only zeros, and the share of errors on class {shown(true)} is unknown; must have some counts"
            raise InstanceError(message, file=str(path), field=field)
    for predicted in classes:
        if predicted not in found:
            raise InstanceError(f"has no row of class {shown(predicted)}; must be one row a class", file=str(path))
    return {true: found[true] for true in classes}


def _count(entry: str, path: Path, field: str) -> Fraction:
    try:
        count = exact(entry)
    except ValueError as error:
        raise InstanceError(str(error), file=str(path), field=field) from error
    if count < 0:
        raise InstanceError(f"is {shown(count)}; must be at least 0", file=str(path), field=field)
    return count


def _total(matrix: Confusion, classes: Iterable[str]) -> Fraction:
    """Counts of these true classes."""
    return sum((count for true in classes for count in matrix[true].values()), Fraction(0))


def _frequencies(matrices: Sequence[Confusion], classes: Sequence[str]) -> list[Fraction]:
    """How frequent these true classes are among themselves."""
    totals = [sum((_total(matrix, [true]) for matrix in matrices), Fraction(0)) for true in classes]
    return [total / sum(totals) for total in totals]


def _names(paths: Sequence[Path]) -> list[str]:
    """Files' names without suffixes; with their folders' where these are the same, and numbered if that is not enough."""
    stems = [path.stem.removesuffix(".confusion") or path.name for path in paths]
    folders = [path.resolve().parent.name for path in paths]
    names = [stem if stems.count(stem) == 1 else f"{folder}/{stem}" for folder, stem in zip(folders, stems, strict=True)]
    return names if len(set(names)) == len(names) else [f"{k} {name}" for k, name in enumerate(names, start=1)]


def _number(value: Fraction) -> str:
    """A number in TOML, if an instance may hold it."""
    try:
        text = str(value)
        exact(text)
    except ValueError as error:  # also Python's own, at 4300 digits
        message = "the counts have too many digits, or lie too far apart, for exact shares to be written; round them"
        raise InstanceError(message) from error
    return text if value.denominator == 1 else f'"{text}"'


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(_plain, names))


def _comment(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(_plain(text), 100, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _text(text: str) -> str:
    return json.dumps(_plain(text), ensure_ascii=False)


def _plain(text: str) -> str:
    """Without line breaks and control characters, which a name may hold and TOML does not."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
