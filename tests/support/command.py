"""Runs of the command in tests, and what they leave behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Done(NamedTuple):
    """Exit code, stdout and stderr; the fixture ``run`` of conftest.py gives them of a run in this process."""

    code: int
    out: str
    err: str

    def one_error(self) -> str:
        """The one line on stderr of a run that failed on bad input."""
        assert (self.code, self.out) == (2, "")
        (line,) = self.err.splitlines()
        assert "Traceback" not in line
        return line


def process(*args: str, shell: str = "", env: dict[str, str] | None = None) -> Done:
    """The command in a process of its own, perhaps by a shell that closes or redirects its streams."""
    command = [sys.executable, "-m", "optmarket", *args]
    if shell:
        command = ["sh", "-c", f'exec "$0" "$@" {shell}', *command]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env={**os.environ, **(env or {})})
    return Done(done.returncode, done.stdout, done.stderr)


def files() -> dict[str, bytes]:
    """What is in the files of the working folder, by path."""
    return {path.as_posix(): path.read_bytes() for path in Path().rglob("*") if path.is_file()}
