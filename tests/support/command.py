"""What a run of the command leaves behind; the fixture ``run`` of conftest.py gives it."""

from __future__ import annotations

from typing import NamedTuple


class Done(NamedTuple):
    """Exit code, stdout and stderr."""

    code: int
    out: str
    err: str

    def one_error(self) -> str:
        """The one line on stderr of a run that failed on bad input."""
        assert (self.code, self.out) == (2, "")
        (line,) = self.err.splitlines()
        assert "Traceback" not in line
        return line
