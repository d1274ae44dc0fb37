"""Settings and fixtures of all tests."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.command import Done

from optmarket.cli import main

# How long an example takes says how busy the machine is; and a run of the tests says the same as the next.
settings.register_profile("any speed", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_interrupts() -> Iterator[None]:
    """Also where the tests run in the background, whose jobs ignore SIGINT unless told otherwise."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run the command in this process, through its entry point."""

    def call(*args: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["optmarket", *map(str, args)])
        code = main.main()
        return Done(code, *capsys.readouterr())

    return call
