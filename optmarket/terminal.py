"""What goes to stdout and stderr: pages and data to the one, talk and progress to the other."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

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

from optmarket import pages
from optmarket.solution import Progress

CLOSED_PIPE = 141
WIDTH = 120  # of the page where there is no terminal
NARROWEST = 40


def silence_libraries() -> None:
    """Let libraries log and warn of nothing on stderr, which is for our own words.

    Python's own ways to ask for warnings, ``-W`` and ``PYTHONWARNINGS``, still show them.
    """
    logging.basicConfig(handlers=[logging.NullHandler()])  # without any handler logging falls back to stderr
    warnings.filterwarnings("ignore", append=True)


def show(what: RenderableType) -> None:
    """A page to stdout, with colours only where it is a terminal."""
    terminal = sys.stdout.isatty()
    console = Console(
        file=sys.stdout,
        width=width_of(sys.stdout),
        color_system="auto" if terminal else None,
        force_terminal=terminal,
        markup=False,
        highlight=False,
        emoji=False,
    )
    with console.capture() as capture:
        console.print(what)
    write("".join(line.rstrip() + "\n" for line in capture.get().splitlines()))


def width_of(stream: Any) -> int:
    """Columns of the terminal, or of the page where there is none."""
    return max(NARROWEST, Console(file=stream).width) if stream.isatty() else WIDTH


def write_json(content: dict[str, Any]) -> None:
    """An object on one line, its keys sorted."""
    write(json.dumps(content, sort_keys=True, allow_nan=False) + "\n")


def write(text: str) -> None:
    """To stdout at once; if nobody reads on, leave quietly with the code shells give for that."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else closing it at exit fails once more
        raise SystemExit(CLOSED_PIPE) from None


def say(text: str) -> None:
    """One line to stderr."""
    print(pages.plain(text).plain, file=sys.stderr, flush=True)


@contextmanager
def progress(name: str, *, hidden: bool) -> Iterator[Callable[[Progress], None] | None]:
    """While solving: where it stands, on stderr, if that is a terminal."""
    if hidden or not sys.stderr.isatty():
        yield None
        return
    columns = (SpinnerColumn("line"), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    shown = pages.plain(name).plain
    with Bar(*columns, console=Console(stderr=True, emoji=False), transient=True) as bar:
        task = bar.add_task(f"{shown}: setting up", total=None)

        def update(now: Progress) -> None:
            stands = f"bound {pages.number(now.upper)}, worst violation {pages.number(now.violation, 2)}"
            if now.lower is not None:
                stands = f"between {pages.number(now.lower)} and {pages.number(now.upper)}"
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
        task = bar.add_task(pages.plain(name).plain, total=None, text="")
        yield lambda now, points, text: bar.update(task, completed=now, total=points, text=pages.plain(text).plain)
