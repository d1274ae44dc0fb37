"""Read and write text, JSON and csv files safely: reading is bounded in size, and writing never leaves a partial file."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from optmarket.errors import InstanceError

LARGEST = 64 * 2**20  # the largest file that is read, in bytes: far more than any solvable market needs
DEEPEST = 64  # the deepest nesting that is read; markets, mechanisms and solutions have fewer than ten levels
STDOUT = "-"  # the name of standard output, in place of a file to write
ANYWHERE = Path(os.path.abspath(os.sep))  # as the argument `root`, it allows any file

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}
_STEP = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_DEEP_KEY = re.compile(rf"(?:^|[{{,\[])[ \t]*+{_STEP}(?:[ \t]*+\.[ \t]*+{_STEP}){{{DEEPEST},}}", re.MULTILINE)

# Reading ---------------------------------------------------------------------------------------------------------------


def read_json(path: str | Path, **options: Any) -> dict[str, Any]:
    """Read a JSON object from a file.

    Parameters
    ----------
    path : str or Path
    options
        Keyword arguments of `json.loads`.

    Returns
    -------
    dict

    Raises
    ------
    InstanceError
        If the file cannot be read (see `read_text`), is not JSON, does not hold an object, or is nested more than `DEEPEST`
        levels deep.
    """
    text = read_text(path)
    try:
        data = json.loads(text, **{"parse_constant": _no_number, **options})
    except RecursionError as error:
        raise InstanceError(f"is nested too deeply; at most {DEEPEST} levels are read", file=str(path)) from error
    except ValueError as error:
        raise InstanceError(f"is not JSON: {error}", file=str(path)) from error
    if not isinstance(data, dict):
        raise InstanceError("holds no JSON object; a file starts with { and ends with }", file=str(path))
    must_be_shallow(data, str(path))
    return data


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def must_be_shallow(data: dict[str, Any], file: str | None) -> None:
    """Check that the data of a file are nested at most `DEEPEST` levels deep, so that recursive functions can process them.

    Parameters
    ----------
    data : dict
        The content of the file.
    file : str or None
        The file, for the message.

    Raises
    ------
    InstanceError
        If the nesting is deeper.

    Examples
    --------
    >>> must_be_shallow({"types": [{"weight": 1}]}, "my.toml")
    """
    level: list[Any] = [data]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise InstanceError(f"is nested too deeply; at most {DEEPEST} levels are read", file=file)


def must_have_short_keys(text: str, file: str | None) -> None:
    """Check that no dotted key in a TOML text has more than `DEEPEST` parts, because parsing it takes quadratic memory.

    Parameters
    ----------
    text : str
        The content of a TOML file.
    file : str or None
        The file, for the message.

    Raises
    ------
    InstanceError
        If there is a longer key. The error names the file and the line.

    Examples
    --------
    >>> must_have_short_keys("params.price = 1", "my.toml")
    """
    if found := _DEEP_KEY.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise InstanceError(f"has a key of more than {DEEPEST} parts", file=file, field=f"line {line}")


def read_text(path: str | Path) -> str:
    """Read a text file in UTF-8, which must be a regular file or a pipe such as the shell makes for ``<(command)``.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    str
        The text, in which all line ends are ``\\n``.

    Raises
    ------
    InstanceError
        If the file is missing, a directory, a device or a socket, unreadable, larger than `LARGEST` bytes, empty or not text.
    """
    try:
        content = _content(path)
    except OSError as error:
        words = "there is no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise InstanceError(words, file=str(path)) from error
    except ValueError as error:  # the name contains a null character
        raise InstanceError(f"cannot be read: {error}", file=str(path)) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InstanceError("is not a text file in UTF-8", file=str(path)) from error
    if not text.strip():
        raise InstanceError("is empty", file=str(path))
    return io.StringIO(text, newline=None).read()  # converts all line ends to \n


def _content(path: str | Path) -> bytes:
    # The kind of file is checked before it is opened, because opening a device may have side effects, and once more afterwards.
    # The file is opened without blocking, so that a pipe without a writer does not hang.
    _must_be_readable(os.stat(path), path)
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb") as file:
        _must_be_readable(os.fstat(file.fileno()), path)
        if hasattr(os, "set_blocking"):
            os.set_blocking(file.fileno(), True)
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise InstanceError(f"is larger than {LARGEST // 2**20} MB; no more is read", file=str(path))
    return content


def _must_be_readable(status: os.stat_result, path: str | Path) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind not in {stat.S_IFREG, stat.S_IFIFO}:
        raise InstanceError(f"is {_KINDS.get(kind, 'no file')}; name a file", file=str(path))


def referenced(folder: str | Path, name: str, root: str | Path | None, *, field: str | None = None) -> Path:
    """Resolve a reference to another file, which must be a regular file below a given folder after links are resolved.

    An instance from an unknown source can therefore read only files in its own folder.

    Parameters
    ----------
    folder : path
        The folder of the referring file.
    name : str
        The reference as written: relative to the folder, or absolute.
    root : path, optional
        The folder below which the file must lie; by default `folder`.
    field : str, optional
        The field that contains the reference, for the message.

    Returns
    -------
    Path

    Raises
    ------
    InstanceError
        If the file lies elsewhere, or exists but is not a regular file. A missing file is reported when it is read.

    Examples
    --------
    >>> try:
    ...     referenced(".", "../../secret.csv", None, field="types_csv")
    ... except InstanceError as error:
    ...     print(str(error)[:52])
    types_csv: is '../../secret.csv', which lies outside
    """
    allowed = Path(os.path.realpath(folder if root is None else root))
    try:
        target = Path(os.path.realpath(Path(folder) / name))
        outside = not target.is_relative_to(allowed)
        kind = stat.S_IFREG if outside or not target.exists() else stat.S_IFMT(target.stat().st_mode)
    except (OSError, ValueError) as error:
        raise InstanceError(f"cannot be read: {error}", file=None if field else name, field=field) from error
    if outside:
        raise InstanceError(
            f"is {name!r}, which lies outside the folder {allowed}; --allow-outside (in Python load's root=) allows it",
            field=field,
        )
    if kind != stat.S_IFREG:
        raise InstanceError(f"is {name!r}, which is {_KINDS.get(kind, 'no file')}; must be a regular file", field=field)
    return Path(folder) / name


def referenced_in(context: Mapping[str, Any] | None, name: str, *, field: str | None = None) -> Path:
    """Resolve a reference from inside a validator of parameters.

    Parameters
    ----------
    context : mapping or None
        The context of the validation, with ``folder`` and ``root`` as in `referenced`. If there is none, the parameters were
        given in Python and not in a file, and the referenced file may lie anywhere.
    name : str
        The reference as written.
    field : str, optional
        The field that contains the reference, for the message.

    Returns
    -------
    Path

    Raises
    ------
    InstanceError
        As in `referenced`.
    """
    if not context or "folder" not in context:
        return referenced(Path(), name, ANYWHERE, field=field)
    return referenced(context["folder"], name, context.get("root"), field=field)


def read_table(path: str | Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Read a csv table with a header.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    header : list of str
    rows : list of (line, entries by column)
        The line number and the entries, stripped of spaces, of each row. Rows without any entry, as spreadsheets may write them,
        are left out.

    Raises
    ------
    InstanceError
        If the file cannot be read or is not csv, two columns have the same name, a column other than the first has no name, a row
        and the header differ in length, or there is no row.
    """
    reader = csv.reader(io.StringIO(read_text(path)), skipinitialspace=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for row in reader:
            rows.append((reader.line_num, [entry.strip() for entry in row]))
    except csv.Error as error:
        raise InstanceError(f"is not a csv file: {error}", file=str(path), field=f"line {reader.line_num}") from error
    rows = [(line, row) for line, row in rows if any(row)]
    if not rows:
        raise InstanceError("has no entries", file=str(path))
    (_, header), *rows = rows
    if "" in header[1:] or len(set(header)) != len(header):  # some programs write a first column of row names without a name
        raise InstanceError(f"has columns {', '.join(header)}; must be all named, and differently", file=str(path))
    for line, row in rows:
        if len(row) != len(header):
            raise InstanceError(f"has {len(row)} entries, the header {len(header)}", file=str(path), field=f"line {line}")
    if not rows:
        raise InstanceError("has no row below the header", file=str(path))
    return header, [(line, dict(zip(header, row, strict=True))) for line, row in rows]


# Writing ---------------------------------------------------------------------------------------------------------------


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8, as `write_through` does.

    Parameters
    ----------
    path : str or Path
    text : str

    Raises
    ------
    InstanceError
        As in `write_through`.
    """
    write_through(path, lambda temporary: temporary.write_bytes(text.encode()))


def write_through(path: str | Path, save: Callable[[Path], object]) -> None:
    """Write a file atomically, through a temporary file in the same folder.

    Symbolic links are followed: the link remains, and its target is written. An existing file keeps its mode and owner; a new
    file gets the default mode of the process (its umask).

    Parameters
    ----------
    path : str or Path
    save : callable
        Writes the content to the path it receives, which has the same suffix as `path`.

    Raises
    ------
    InstanceError
        If the folder cannot be created or written, or `path` exists and is not a regular file; it is then left unchanged.
    """
    must_take(path)
    target = Path(os.path.realpath(path))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        before = target.stat() if target.exists() else None
        # The name does not contain the target's name, which may already have the maximal length.
        temporary = target.with_name(f".{secrets.token_hex(8)}{Path(path).suffix[:16]}")
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            save(temporary)
            if before is not None:
                if hasattr(os, "chown") and os.geteuid() == 0:
                    os.chown(temporary, before.st_uid, before.st_gid)
                os.chmod(temporary, stat.S_IMODE(before.st_mode))
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise InstanceError(f"cannot be written: {error.strerror}", file=str(path)) from error


def must_take(path: str | Path) -> None:
    """Check that a file can be written, without creating anything.

    Parameters
    ----------
    path : str or Path
        An existing regular file, or a new one.

    Raises
    ------
    InstanceError
        If it cannot be written. The error names the file, or the folder above it that prevents it.
    """
    status = None
    try:
        target = os.path.realpath(path)
        with suppress(FileNotFoundError, NotADirectoryError):  # missing folders are checked below
            status = os.stat(target)
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else error
        raise InstanceError(f"cannot be written: {words}", file=str(path)) from error
    if status is not None and not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no file")
        raise InstanceError(f"is {kind}; only regular files are written, and nothing else is replaced", file=str(path))
    if status is not None and not os.access(target, os.W_OK):
        raise InstanceError("may not be written to; it is write-protected", file=str(path))
    must_be_writable(os.path.dirname(target))


def must_be_writable(folder: str | Path) -> None:
    """Check that files can be written into a folder, which may still have to be created, without creating anything.

    Parameters
    ----------
    folder : str or Path

    Raises
    ------
    InstanceError
        If not. The error names the folder, or the file or folder above it that prevents it.
    """
    if str(folder) == STDOUT:
        raise InstanceError("is stdout, and a folder is wanted; write ./- for a folder of that name", file=STDOUT)
    there = Path(os.path.abspath(folder))
    while not os.path.lexists(there):
        there = there.parent
    if not os.path.isdir(there):
        raise InstanceError("is not a directory; nothing can be written below it", file=str(there))
    if not os.access(there, os.W_OK | os.X_OK):
        raise InstanceError("may not be written to; name another folder", file=str(there))
