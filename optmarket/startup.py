"""Prepare the process of the command line before slow imports: handle Ctrl-C and open closed standard streams.

`optmarket` imports this module first, so it must not import anything slow. If another program imports optmarket as a library,
nothing in its process is changed.
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
    """Whether this process runs the command line, as `optmarket` or `python -m optmarket`."""
    if sys.argv[:1] == ["-m"]:  # the value of argv[0] while Python imports the package of the module to run
        return "optmarket" in sys.orig_argv
    started = PurePath(sys.argv[0]) if sys.argv else PurePath()
    return started.stem == "optmarket" or started.parts[-2:] == ("optmarket", "__main__.py")


def begin() -> None:
    """Prepare the process of the command line: open closed standard streams, and let Ctrl-C end it with one line."""
    open_streams()
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def ready() -> None:
    """Restore Python's handler of Ctrl-C, which raises KeyboardInterrupt, once the command line is imported."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def end() -> None:
    """Ignore Ctrl-C from now on: all output was written, and Python is shutting down."""
    if COMMAND and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def open_streams() -> None:
    """Occupy the file descriptors 0, 1 and 2 where a standard stream is closed.

    Otherwise the next file to be opened would get the descriptor, and all printed text with it. The replacement is opened
    read-only, so that printing raises an error that can be reported.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)  # open() takes the lowest free descriptor: this one
            if number and getattr(sys, name) is None:
                setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Report the interrupt and exit at once, because modules often misinterpret an exception in the middle of an import."""
    try:
        os.write(2, b"error: interrupted\n")
    finally:
        os._exit(INTERRUPTED)


COMMAND = is_command()
if COMMAND:
    begin()
