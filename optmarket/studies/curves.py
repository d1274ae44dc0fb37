"""Make the table of an instance's default sweep, with digits that are the same on every machine."""

from __future__ import annotations

import math

import pandas as pd

from optmarket.errors import InstanceError
from optmarket.instances.parameters import grid
from optmarket.options import Status
from optmarket.reporting import digits
from optmarket.reporting.tables import headed
from optmarket.studies.sweep import Sweep


def table(found: Sweep) -> pd.DataFrame:
    """Make a table of a sweep, with one row for each point and all numbers as text.

    Parameters
    ----------
    found : Sweep
        A sweep with at least one solved point.

    Returns
    -------
    DataFrame
        The label of the axis, the parameters, the status, each quantity that the instance names (by default the objective) with
        its published values, and the certified gap. The cell of a quantity that a point does not report is blank.

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
        row = {first.label: f"{float(first.marks[k]):.{digits.STABLE}g}"} if first.label else {}
        row |= {path: f"{float(value):.12g}" for path, value in step.items()}
        solution = solutions.get(tuple(step.items()))
        row["status"] = str(Status.FAILED if solution is None else solution.status)
        for name in found.quantities or (some.objective,):
            value = math.nan if solution is None else solution.quantities.get(name, math.nan)
            row[headed(some, name)] = "" if math.isnan(value) else digits.stable(value, digits.unit_of(some, name))
            if name in first.known:
                known = first.known[name][k]
                row[headed(some, f"published {name}", name)] = "" if known is None else f"{float(known):.{digits.STABLE}g}"
        row["gap"] = "" if solution is None else digits.gap(solution.certificate)
        rows.append(row)
    return pd.DataFrame(rows)
