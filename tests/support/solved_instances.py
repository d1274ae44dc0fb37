"""The instance library: solutions found once in a test process, and which instances take long."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

import optmarket as om
from optmarket.solution import Solution

# instances that take long, some four to twenty seconds on one core, or take two and are much like others: `pytest -m slow`
SLOW = {
    *(f"selling-information/setting-{name}" for name in ("e", "f", "f-30", "f-45", "f-80")),
    *(f"selling-information/{name}" for name in ("partial-in-both-states", "dirichlet-payoffs")),
    *(f"competing-buyers/{name}" for name in ("three-uniform-bayesian", "ten-uniform-lower-ends")),
    *(f"competing-buyers/asymmetric-{ic}-{rule}" for ic in ("bayesian", "ex-post") for rule in ("strong-skewed", "weak-even")),
    *(f"competing-buyers/exponential-{ic}-{rule}" for ic in ("bayesian", "ex-post") for rule in ("strong-skewed", "weak-even")),
    *("balanced-production/best-target", "balanced-production/best-target-for-all"),
    "competing-buyers/asymmetric-ex-post-strong-even",
    "competing-buyers/exponential-bayesian-strong-even",
}


def or_slow(slug: str, *values: Any, called: str | None = None) -> Any:
    """Parameters of a test of an instance, marked slow if it is."""
    return pytest.param(*values, marks=[pytest.mark.slow] if slug in SLOW else [], id=called or slug)


@cache
def solved(path: Path, exact: bool = False, method: str = "auto") -> Solution:
    """An instance's solution, found once."""
    return om.solve(path, exact=exact, method=method)
