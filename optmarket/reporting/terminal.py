"""Write reports and data to stdout, and messages and progress to stderr."""

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
from typing import TYPE_CHECKING, Any, TextIO

from optmarket.errors import InstanceError
from optmarket.text import visible

if TYPE_CHECKING:
    from rich.console import RenderableType

    from optmarket.options import Progress

CLOSED_PIPE = 141
WIDTH = 120  # characters of a line if stdout is not a terminal
NARROWEST = 40  # the least width that reports are formatted for
LONGEST_LINE = 4000  # characters of an error message, which may quote the content of a file
_lost: list[TextIO] = []


def silence_libraries() -> None:
    """Suppress log messages and warnings of other libraries on stderr.

    Warnings that are enabled by ``-W`` or ``PYTHONWARNINGS`` are still shown.
    """
    logging.basicConfig(handlers=[logging.NullHandler()])  # without any handler, logging writes to stderr
    warnings.filterwarnings("ignore", append=True)


def show(what: RenderableType) -> None:
    """Print a report to stdout, with colours only if it is a terminal.

    Parameters
    ----------
    what : rich renderable

    Raises
    ------
    InstanceError
        If stdout cannot be written.
    """
    from rich.console import Console

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
    """The width of a terminal in characters, or `WIDTH` if the stream is not a terminal."""
    if not stream.isatty():
        return WIDTH
    from rich.console import Console

    return max(NARROWEST, Console(file=stream).width)


def write_json(content: dict[str, Any]) -> None:
    """Print a JSON object to stdout on one line, with sorted keys."""
    write(json.dumps(content, sort_keys=True, allow_nan=False) + "\n")


def write(text: str) -> None:
    """Write text to stdout and flush it.

    If the reader has closed the pipe, the process exits silently with the code that shells use for that.

    Raises
    ------
    InstanceError
        If stdout is closed or cannot be written, for example because the device is full.
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
    """Write one line to stderr; return whether that was possible."""
    return _line(sys.stderr, text)


def complain(text: str) -> None:
    """Write one line about an error to stderr, or to stdout if stderr cannot be written."""
    if len(text) > LONGEST_LINE and not text.startswith("{"):
        text = text[:LONGEST_LINE] + "..."
    if not say(text):
        _line(sys.stdout, text)  # if this fails too, only the exit code reports the error


def _line(stream: TextIO, text: str) -> bool:
    if any(stream is lost for lost in _lost):
        return False
    try:
        stream.write(f"{visible(text)}\n")
        stream.flush()
    except OSError:
        give_up(stream)
        return False
    return True


def give_up(stream: TextIO) -> None:
    """Stop using a stream that cannot be written, and discard its buffered text so that closing it does not fail again."""
    _lost.append(stream)
    with suppress(OSError, ValueError):  # the stream may have no file descriptor
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, stream.fileno())
        os.close(sink)
        stream.flush()


def in_words(error: OSError) -> str:
    """State in words why a stream cannot be written."""
    return "is closed" if error.errno == errno.EBADF else f"cannot be written: {error.strerror or error}"


@contextmanager
def progress(name: str, *, hidden: bool) -> Iterator[Callable[[Progress], None] | None]:
    """Show the progress of a solve on stderr, if that is a terminal.

    Parameters
    ----------
    name : str
        The name of the instance.
    hidden : bool
        Whether to show nothing.

    Yields
    ------
    callable or None
        To be called with each `Progress`; None if nothing is shown.
    """
    if hidden or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    from optmarket.reporting.digits import number

    columns = (SpinnerColumn("line"), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    shown = visible(name)
    with Bar(*columns, console=Console(stderr=True, emoji=False), transient=True) as bar:
        task = bar.add_task(f"{shown}: setting up", total=None)

        def update(now: Progress) -> None:
            bounds = f"bound {number(now.upper)}, worst violation {number(now.violation, 2)}"
            if now.lower is not None:
                bounds = f"between {number(now.lower)} and {number(now.upper)}"
            text = f"round {now.round:,}, {now.rows:,} rows, {bounds}"
            bar.update(task, description=f"{shown}: {text}")

        yield update


@contextmanager
def points(name: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show the progress of a sweep on stderr, if that is a terminal: the points done, the remaining time, and the last point.

    Parameters
    ----------
    name : str
        The name of the instance.

    Yields
    ------
    callable
        To be called with the number of points done, the number of points, and a text on the last one.
    """
    if not sys.stderr.isatty():
        yield lambda _now, _points, _text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Bar(*columns, console=Console(stderr=True, emoji=False), transient=True) as bar:
        task = bar.add_task(visible(name), total=None, text="")
        yield lambda now, points, text: bar.update(task, completed=now, total=points, text=visible(text))
