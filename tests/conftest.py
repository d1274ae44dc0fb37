"""What all tests share."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings

import optmarket as om
from optmarket import cli
from optmarket.solution import Solution

# How long an example takes says how busy the machine is.
settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")


# instances that take some four to twenty seconds on one core: `pytest -m slow` solves them
SLOW = {
    f"selling-information/{name}"
    for name in ("setting-e", "setting-f-30", "setting-f-45", "setting-f-80", "partial-in-both-states")
}


def or_slow(slug: str, *values: Any, called: str | None = None) -> Any:
    """Parameters of a test of an instance, marked slow if it is."""
    return pytest.param(*values, marks=[pytest.mark.slow] if slug in SLOW else [], id=called or slug)


@cache
def solved(path: Path, exact: bool = False, method: str = "auto") -> Solution:
    """An instance's solution, found once."""
    return om.solve(path, exact=exact, method=method)


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_interrupts() -> Iterator[None]:
    """Also where the tests run in the background, whose jobs ignore SIGINT unless told otherwise."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Done(NamedTuple):
    """What a run of the command leaves behind."""

    code: int
    out: str
    err: str

    def one_error(self) -> str:
        """The one line on stderr of a run that failed on bad input."""
        assert (self.code, self.out) == (2, "")
        (line,) = self.err.splitlines()
        assert "Traceback" not in line
        return line


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run the command in this process, through its entry point."""

    def call(*args: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["optmarket", *map(str, args)])
        code = cli.main()
        return Done(code, *capsys.readouterr())

    return call
