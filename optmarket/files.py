"""Text and JSON files: read with one clear error, written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from optmarket.errors import InstanceError


def read_json(path: str | Path, **options: Any) -> dict[str, Any]:
    """Read a JSON object from a file; ``options`` go to `json.loads`.

    Raises
    ------
    InstanceError
        If the file is missing, unreadable, not JSON, or not an object.
    """
    text = read_text(path)
    try:
        data = json.loads(text, **options)
    except (ValueError, RecursionError) as error:
        raise InstanceError(f"is not JSON: {error}", file=str(path)) from error
    if not isinstance(data, dict):
        raise InstanceError("holds no JSON object; a file starts with { and ends with }", file=str(path))
    return data


def read_text(path: str | Path) -> str:
    """Read a text file in UTF-8.

    Raises
    ------
    InstanceError
        If the file is missing, a directory, unreadable, empty or not text.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise InstanceError("is a directory; name a file", file=str(path))
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InstanceError("there is no such file", file=str(path)) from error
    except UnicodeDecodeError as error:
        raise InstanceError("is not a text file in UTF-8", file=str(path)) from error
    except OSError as error:
        raise InstanceError(f"cannot be read: {error.strerror}", file=str(path)) from error
    if not text.strip():
        raise InstanceError("is empty", file=str(path))
    return text


def read_table(path: str | Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Read a csv table with a header.

    Returns
    -------
    header : list of str
    rows : list of (line, entries by column)
        Stripped of spaces; rows without any entry, which spreadsheets leave, are left out.

    Raises
    ------
    InstanceError
        If the file cannot be read, is no csv, names a column twice or (the first aside) not at all, has a row of another length,
        or no row.
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
    if "" in header[1:] or len(set(header)) != len(header):  # the first column of row names has no name in some programs' files
        raise InstanceError(f"has columns {', '.join(header)}; must be all named, and differently", file=str(path))
    for line, row in rows:
        if len(row) != len(header):
            raise InstanceError(f"has {len(row)} entries, the header {len(header)}", file=str(path), field=f"line {line}")
    if not rows:
        raise InstanceError("has no row below the header", file=str(path))
    return header, [(line, dict(zip(header, row, strict=True))) for line, row in rows]


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8 as `write_through` does."""
    write_through(path, lambda temporary: temporary.write_bytes(text.encode()))


def write_through(path: str | Path, save: Callable[[Path], object]) -> None:
    """Write a file through a temporary one in the same folder, so that it is never there in part.

    Parameters
    ----------
    path : str or Path
    save : callable
        Writes the file at the path it is given, which ends as `path` does.

    Raises
    ------
    InstanceError
        If the folder cannot be made or written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
        os.close(handle)
        try:
            save(Path(temporary))
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise InstanceError(f"cannot be written: {error.strerror}", file=str(path)) from error


def must_be_writable(folder: str | Path) -> None:
    """Fail unless a file could be written in a folder, there already or to be made; nothing is made.

    Raises
    ------
    InstanceError
        That names the folder, or what stands in its way.
    """
    there = Path(os.path.abspath(folder))
    while not os.path.lexists(there):
        there = there.parent
    if not os.path.isdir(there):
        raise InstanceError("is not a directory; nothing can be written below it", file=str(there))
    if not os.access(there, os.W_OK | os.X_OK):
        raise InstanceError("may not be written to; name another folder", file=str(there))
