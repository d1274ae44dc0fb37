"""The curve of an instance that says what to vary in it: its table, to digits that are the same wherever it is made."""

from __future__ import annotations

import math

import pandas as pd

from optmarket.errors import InstanceError
from optmarket.instances.parameters import grid
from optmarket.reporting import digits
from optmarket.reporting.tables import headed
from optmarket.solution import Status
from optmarket.studies.sweep import Sweep


def table(found: Sweep) -> pd.DataFrame:
    """One row a point, in text.

    Parameters
    ----------
    found : Sweep
        With at least one point solved.

    Returns
    -------
    DataFrame
        What the axes go by, the parameters set, the status, each quantity the instance names (the objective, if none) and what
        is published of it, and the certified gap. A quantity that a point does not report is blank.

    Raises
    ------
    InstanceError
        If no point was solved.
    """
    if not found.solutions:
        raise InstanceError("no point of its curve was solved", file=found.case.file)
    solutions = {tuple(solution.settings.items()): solution for solution in found.solutions}
    some = found.solutions[0]
    first = found.axes[0]
    rows = []
    for k, step in enumerate(grid(found.axes)):
        row = {first.label: f"{float(first.marks[k]):.{digits.DIGITS}g}"} if first.label else {}
        row |= {path: f"{float(value):.12g}" for path, value in step.items()}
        solution = solutions.get(tuple(step.items()))
        row["status"] = str(Status.FAILED if solution is None else solution.status)
        for name in found.quantities or (some.objective,):
            value = math.nan if solution is None else solution.quantities.get(name, math.nan)
            row[headed(some, name)] = "" if math.isnan(value) else digits.digits(value, digits.unit(some, name))
            if name in first.known:
                known = first.known[name][k]
                row[headed(some, f"published {name}", name)] = "" if known is None else f"{float(known):.{digits.DIGITS}g}"
        row["gap"] = "" if solution is None else digits.gap(solution.certificate.gap)
        rows.append(row)
    return pd.DataFrame(rows)
