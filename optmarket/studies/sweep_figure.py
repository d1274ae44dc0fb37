"""Draw a sweep as lines over its first parameter, one for each value of the second, with bounds and published values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from optmarket.errors import InstanceError, ModelError
from optmarket.plotting import label, style
from optmarket.reporting.tables import headed
from optmarket.solution import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from optmarket.studies.sweep import Sweep

LINES = (("-", "o"), ("--", "s"), ("-.", "^"), (":", "D"), ("-", "x"), ("--", "v"), ("-.", "+"), (":", "*"))
MOST_MARKED = 60  # the largest number of points of a line that has a marker at each
FLAT = 1e-5  # a quantity whose relative variation is smaller is drawn as a constant, because the variation is rounding error


def draw(found: Sweep, quantities: Sequence[str] | None = None) -> Figure:
    """Draw a sweep with one panel for each quantity; the region between the bounds on the objective is shaded.

    Published values are drawn as open circles. A line has a gap where a point does not report the quantity.

    Parameters
    ----------
    found : Sweep
    quantities : sequence of str, optional
        The quantities to draw; by default those that the sweep names or, if it names none, the objective and the quantities with
        published values.

    Returns
    -------
    Figure

    Raises
    ------
    InstanceError
        If no point was solved, or none has a requested quantity.
    ModelError
        If more than two parameters are varied independently.
    """
    if len(found.axes) > 2:
        raise ModelError(f"a figure shows one or two parameters, and this sweep has {len(found.axes)}; use its table")
    if not found.solutions:
        raise InstanceError("no point was solved, so there is nothing to draw", file=found.case.file)
    known = [name for axis in found.axes for name in axis.known]
    names = list(quantities or found.quantities or dict.fromkeys([found.solutions[0].objective, *known]))
    for name in names:
        if not any(name in solution.quantities for solution in found.solutions):
            there = ", ".join(found.solutions[0].quantities)
            raise InstanceError(f"there is no quantity {name!r} in these solutions; there are {there}")
    with style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4.8, 0.6 + 2.6 * len(names)), layout="constrained")
        figure.suptitle(label(found.case.title, 60, 2), x=0.01, ha="left")
        panels = figure.subplots(len(names), squeeze=False)[:, 0]
        for panel, name in zip(panels, names, strict=True):
            _panel(found, panel, name)
        panels[-1].set_xlabel(found.axes[0].name)
    return figure


def _panel(found: Sweep, panel: Axes, name: str) -> None:
    """Draw one quantity over the first axis."""
    first = found.axes[0]
    place = {tuple(step.values()): float(x) for step, x in zip(first, first.x, strict=True)}
    second = found.axes[1].name if len(found.axes) > 1 else None
    lines: dict[Fraction | None, list[tuple[float, Solution]]] = {}
    for solution in found.solutions:
        settings = solution.settings
        x = place[tuple(settings[path] for path in first.paths)]
        lines.setdefault(settings[second] if second else None, []).append((x, solution))
    lines = {value: line for value, line in lines.items() if any(name in solution.quantities for _, solution in line)}
    few = len(lines) <= len(LINES)
    stated = first.known.get(name)
    for k, (value, line) in enumerate(sorted(lines.items(), key=lambda pair: pair[0] or 0)):
        line.sort(key=lambda point: point[0])
        at = [x for x, _ in line]
        dashes, marker = LINES[k % len(LINES)] if few else ("-", "")
        shade = "0" if few else f"{0.75 * k / (len(lines) - 1):.3f}"
        named = f"{second} = {float(value):.4g}" if value is not None and (few or k in {0, len(lines) - 1}) else None
        marked = marker if len(at) <= MOST_MARKED else ""
        y = [solution.quantities.get(name, math.nan) for _, solution in line]
        panel.plot(at, y, dashes, color=shade, marker=marked, markersize=2.5, label="optimum" if stated else named)
        if name == line[0][1].objective:
            lower, upper = zip(*(solution.bounds for _, solution in line), strict=True)
            panel.fill_between(at, lower, upper, color="0.8", linewidth=0)
    if stated:
        circles = [(float(x), float(y)) for x, y in zip(first.x, stated, strict=True) if y is not None]
        at, y = [x for x, _ in circles], [y for _, y in circles]
        panel.plot(at, y, "o", color="0", markerfacecolor="none", markersize=5, label="published")
    low, high = panel.get_ylim()
    middle = (low + high) / 2
    if high - low < FLAT * abs(middle):
        panel.set_ylim(middle - 0.05 * abs(middle), middle + 0.05 * abs(middle))
    panel.ticklabel_format(axis="y", useOffset=False)
    panel.set_ylabel(label(headed(found.solutions[0], name), 34, 2))
    if second or stated:
        panel.legend(frameon=False)
