"""What holds before the command is there: while Python still imports it, Ctrl-C is one line, and files 0, 1 and 2 are streams.

`optmarket` imports this first, and nothing here imports anything large. A program that imports optmarket is left alone.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import PurePath
from types import FrameType

INTERRUPTED = 130


def is_command() -> bool:
    """Whether this process is the command itself: `optmarket` or `python -m optmarket`."""
    if sys.argv[:1] == ["-m"]:  # what stands there while the package of the module is imported
        return "optmarket" in sys.orig_argv
    started = PurePath(sys.argv[0]) if sys.argv else PurePath()
    return started.stem == "optmarket" or started.parts[-2:] == ("optmarket", "__main__.py")


def begin() -> None:
    """Prepare a process that is the command."""
    open_streams()
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def ready() -> None:
    """The command is imported: from here on Ctrl-C is an exception as ever, which it deals with."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def end() -> None:
    """The command has said what there was to say: Ctrl-C finds nothing left to interrupt while Python winds up."""
    if COMMAND and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def open_streams() -> None:
    """Hold the numbers of stdin, stdout and stderr where they are closed.

    Else the next file opened gets the number, and all that is printed. What holds it cannot be written to, so that printing
    fails and can be told.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)  # the lowest number free, and those below are open
            if number and getattr(sys, name) is None:
                setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Say so and go at once: an exception in the middle of an import is often taken for something else."""
    try:
        os.write(2, b"error: interrupted\n")
    finally:
        os._exit(INTERRUPTED)


COMMAND = is_command()
if COMMAND:
    begin()
