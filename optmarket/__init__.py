"""Compute optimal mechanisms for markets in data and information, together with a proof of optimality.

`load` reads an instance file, `solve` computes the optimal mechanism or an equilibrium, and `audit` checks any mechanism against
the market's primitives. `sweep` solves an instance for many parameter values, and `tables` collects solutions in a DataFrame.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from optmarket import startup as _startup  # noqa: F401 - must come before any slow import

if TYPE_CHECKING:
    from optmarket.api import audit, load, solve
    from optmarket.certificates import Audit, Claim, Equilibrium, Optimality
    from optmarket.errors import InstanceError, ModelError, OptmarketError, SolverError
    from optmarket.instances.instance import Instance
    from optmarket.lp.program import LinearProgram
    from optmarket.options import Options, Progress, Status
    from optmarket.reporting.tables import tables
    from optmarket.solution import VERSION as __version__
    from optmarket.solution import Answer, Solution
    from optmarket.studies.sweep import Sweep, sweep

__all__ = [
    "Answer",
    "Audit",
    "Claim",
    "Equilibrium",
    "Instance",
    "InstanceError",
    "LinearProgram",
    "ModelError",
    "Optimality",
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

# The module that defines each public name. It is imported on first use, so that `--version` and `--help` respond at once.
_MODULES = {
    "api": ("audit", "load", "solve"),
    "certificates": ("Audit", "Claim", "Equilibrium", "Optimality"),
    "errors": ("InstanceError", "ModelError", "OptmarketError", "SolverError"),
    "instances.instance": ("Instance",),
    "lp.program": ("LinearProgram",),
    "options": ("Options", "Progress", "Status"),
    "reporting.tables": ("tables",),
    "solution": ("Answer", "Solution"),
    "studies.sweep": ("Sweep", "sweep"),
}
_HOME = {name: f"optmarket.{module}" for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("optmarket")
    elif name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module 'optmarket' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
