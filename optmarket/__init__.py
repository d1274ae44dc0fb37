"""Optimal markets for data and information, exactly, with proof."""

from __future__ import annotations

from importlib.metadata import version

from optmarket.errors import InstanceError, ModelError, OptmarketError, SolverError
from optmarket.instance import Instance
from optmarket.program import LinearProgram
from optmarket.solution import Answer, Audit, Certificate, Claim, Options, Progress, Solution, Status
from optmarket.tables import tables
from optmarket.workflow import audit, load, solve

__version__ = version("optmarket")

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
    "__version__",
    "audit",
    "load",
    "solve",
    "tables",
]
