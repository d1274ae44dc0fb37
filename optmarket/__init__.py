"""Optimal markets for data and information, exactly, with proof."""

from __future__ import annotations

from optmarket import startup as _startup  # noqa: F401 - before anything that takes time

# isort: split

from optmarket.api import audit, load, solve
from optmarket.errors import InstanceError, ModelError, OptmarketError, SolverError
from optmarket.instances.instance import Instance
from optmarket.lp.program import LinearProgram
from optmarket.reporting.tables import tables
from optmarket.solution import VERSION as __version__
from optmarket.solution import Answer, Audit, Certificate, Claim, Options, Progress, Solution, Status
from optmarket.studies.sweep import Sweep, sweep

__all__ = [
    "Answer",
    "Audit",
    "Certificate",
    "Claim",
    "Instance",
    "InstanceError",
    "LinearProgram",
    "ModelError",
    "Options",
    "OptmarketError",
    "Progress",
    "Solution",
    "SolverError",
    "Status",
    "Sweep",
    "__version__",
    "audit",
    "load",
    "solve",
    "sweep",
    "tables",
]
