"""What goes to stdout and stderr: pages and data to the one, talk and progress to the other."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from optmarket.errors import InstanceError
from optmarket.reporting import console_report
from optmarket.solution import Progress

CLOSED_PIPE = 141
WIDTH = 120  # of the page where there is no terminal
NARROWEST = 40
LONGEST_LINE = 4000  # characters of an error, which may name what a file holds
_lost: list[TextIO] = []


def silence_libraries() -> None:
    """Let libraries log and warn of nothing on stderr, which is for our own words.

    Python's own ways to ask for warnings, ``-W`` and ``PYTHONWARNINGS``, still show them.
    """
    logging.basicConfig(handlers=[logging.NullHandler()])  # without any handler logging falls back to stderr
    warnings.filterwarnings("ignore", append=True)


def show(what: RenderableType) -> None:
    """A page to stdout, with colours only where it is a terminal."""
    terminal = sys.stdout.isatty()
    page = io.StringIO()
    console = Console(
        file=page,
        width=width_of(sys.stdout),
        color_system="auto" if terminal else None,
        force_terminal=terminal,
        markup=False,
        highlight=False,
        emoji=False,
    )
    console.print(what)
    write("".join(line.rstrip() + "\n" for line in page.getvalue().split("\n")[:-1]))


def width_of(stream: Any) -> int:
    """Columns of the terminal, or of the page where there is none."""
    return max(NARROWEST, Console(file=stream).width) if stream.isatty() else WIDTH


def write_json(content: dict[str, Any]) -> None:
    """An object on one line, its keys sorted."""
    write(json.dumps(content, sort_keys=True, allow_nan=False) + "\n")


def write(text: str) -> None:
    """To stdout at once; if nobody reads on, leave quietly with the code shells give for that.

    Raises
    ------
    InstanceError
        If it cannot be written: closed, or no room on the device.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        give_up(sys.stdout)
        raise SystemExit(CLOSED_PIPE) from None
    except OSError as error:
        give_up(sys.stdout)
        raise InstanceError(in_words(error), file="stdout") from error


def say(text: str) -> bool:
    """One line to stderr, lost if that cannot be written to; whether it was written."""
    return _line(sys.stderr, text)


def complain(text: str) -> None:
    """One line on what went wrong: to stderr, or to stdout if that is the only stream left."""
    if len(text) > LONGEST_LINE and not text.startswith("{"):
        text = text[:LONGEST_LINE] + "..."
    if not say(text):
        _line(sys.stdout, text)  # if that fails too, the exit code has to say it


def _line(stream: TextIO, text: str) -> bool:
    if any(stream is lost for lost in _lost):
        return False
    try:
        stream.write(f"{console_report.plain(text).plain}\n")
        stream.flush()
    except OSError:
        give_up(stream)
        return False
    return True


def give_up(stream: TextIO) -> None:
    """Write no more to a stream that cannot be written to; what it still holds goes nowhere, else closing it fails once more."""
    _lost.append(stream)
    with suppress(OSError, ValueError):  # a stream without a file has nothing to be closed
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, stream.fileno())
        os.close(sink)
        stream.flush()


def in_words(error: OSError) -> str:
    """Why a stream cannot be written to."""
    return "is closed" if error.errno == errno.EBADF else f"cannot be written: {error.strerror or error}"


@contextmanager
def progress(name: str, *, hidden: bool) -> Iterator[Callable[[Progress], None] | None]:
    """While solving: where it stands, on stderr, if that is a terminal."""
    if hidden or not sys.stderr.isatty():
        yield None
        return
    columns = (SpinnerColumn("line"), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    shown = console_report.plain(name).plain
    with Bar(*columns, console=Console(stderr=True, emoji=False), transient=True) as bar:
        task = bar.add_task(f"{shown}: setting up", total=None)

        def update(now: Progress) -> None:
            stands = f"bound {console_report.number(now.upper)}, worst violation {console_report.number(now.violation, 2)}"
            if now.lower is not None:
                stands = f"between {console_report.number(now.lower)} and {console_report.number(now.upper)}"
            said = f"round {now.round:,}, {now.rows:,} rows, {stands}"
            bar.update(task, description=f"{shown}: {said}")

        yield update


@contextmanager
def points(name: str) -> Iterator[Callable[[int, int, str], None]]:
    """During a sweep: points done, time the rest may take, and the last one, on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _now, _points, _text: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Bar(*columns, console=Console(stderr=True, emoji=False), transient=True) as bar:
        task = bar.add_task(console_report.plain(name).plain, total=None, text="")
        yield lambda now, points, text: bar.update(task, completed=now, total=points, text=console_report.plain(text).plain)
