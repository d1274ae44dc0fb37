"""The instance library: solutions found once in a test process, and which instances take long."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

import optmarket as om
from optmarket.solution import Solution

# instances that take some four to twenty seconds on one core: `pytest -m slow` solves them
SLOW = {
    f"selling-information/{name}"
    for name in (
        "setting-e",
        "setting-f-30",
        "setting-f-45",
        "setting-f-80",
        "partial-in-both-states",
        "setting-f",
        "dirichlet-payoffs",
    )
}


def or_slow(slug: str, *values: Any, called: str | None = None) -> Any:
    """Parameters of a test of an instance, marked slow if it is."""
    return pytest.param(*values, marks=[pytest.mark.slow] if slug in SLOW else [], id=called or slug)


@cache
def solved(path: Path, exact: bool = False, method: str = "auto") -> Solution:
    """An instance's solution, found once."""
    return om.solve(path, exact=exact, method=method)
