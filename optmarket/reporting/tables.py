"""Collect solutions in a table with one row each, and write tables as csv, markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Callable, Iterable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd

from optmarket.certificates import Optimality
from optmarket.errors import InstanceError, ModelError, OptmarketError
from optmarket.modeling import registry
from optmarket.reporting.consistency import held_against_itself
from optmarket.reporting.digits import SHOWN, in_column
from optmarket.solution import Solution
from optmarket.text import csv_cell, latex_cell, markdown_cell

GAP_DIGITS = 2
NOISE = 1e-10  # a quantity is 0 if it is smaller than this, relative to its scale
LONGEST_EXACT = 30  # characters of a fraction in markdown and LaTeX
DEVIATION = "largest deviation gain"
_ROUNDING = {"lower": ROUND_FLOOR, "upper": ROUND_CEILING, "gap": ROUND_CEILING, DEVIATION: ROUND_CEILING}


def tables(
    sources: Solution | str | Path | Iterable[Solution | str | Path],
    *,
    quantities: Sequence[str] | None = None,
    skipped: Callable[[OptmarketError], object] | None = None,
    doubted: Callable[[OptmarketError], object] | None = None,
) -> pd.DataFrame:
    """Collect solutions in a table.

    Parameters
    ----------
    sources : Solution, path, or several
        A path is that of a solution file, or of a folder that is searched for solution files.
    quantities : sequence of str, optional
        The quantities to show in addition to the objective and its bounds; by default all quantities of the solutions.
    skipped : callable, optional
        Called with an error for each ``.json`` file in a folder that is not a solution; by default a warning is issued.
    doubted : callable, optional
        Called with an error for each solution file that contradicts itself; by default a warning is issued. The status in the
        table is ``contradicts itself``.

    Returns
    -------
    DataFrame
        One row for each solution, sorted by instance. The columns are ``instance``, the parameters that a sweep has set,
        ``model``, ``status``, the objective, for an optimum ``lower``, ``upper`` and ``gap``, for an equilibrium ``largest
        deviation gain``, ``exact`` (a fraction) if any value was proved exactly, and the quantities in the order of their
        market. Units follow the names in brackets. Quantities that are 0 up to rounding errors are 0.

    Raises
    ------
    InstanceError
        If a file is not a solution, a folder contains none, or no solution has a requested quantity.
    ModelError
        If a solution is for an unknown market.

    Examples
    --------
    >>> from optmarket.api import solve
    >>> tables(solve("instances/selling-information/two-types.toml"))["status"].tolist()
    ['optimal']
    """
    given = [sources] if isinstance(sources, (Solution, str, Path)) else list(sources)
    read = sorted(_read(given, skipped or _warn, doubted or _warn_of_doubts), key=lambda one: _order(one[0]))
    found = [solution for solution, _ in read]
    if quantities is not None:
        known = sorted({name for solution in found for name in solution.quantities})
        for name in quantities:
            if name not in known:
                raise InstanceError(f"there is no quantity {name!r} in these solutions; there are {', '.join(known)}")
    rows = [_row(solution, status, quantities) for solution, status in read]
    columns = _columns(found, quantities)
    frame = pd.DataFrame([[row.get(column) for column in columns] for row in rows], columns=columns)
    for column in columns:
        if any(isinstance(row.get(column), float) for row in rows):
            frame[column] = frame[column].astype(float)
    return frame


def render(table: pd.DataFrame, form: str) -> str:
    """A table as text: 6 significant digits, bounds rounded away from the value, the gap to 2 digits upwards.

    Parameters
    ----------
    table : DataFrame
        A table as returned by `tables`.
    form : {"csv", "md", "tex"}
        The format. Tables in ``tex`` need the LaTeX package booktabs.

    Raises
    ------
    ModelError
        If the format is unknown.

    Examples
    --------
    >>> print(render(pd.DataFrame({"instance": ["a"], "revenue": [0.125]}), "csv"), end="")
    instance,revenue
    a,0.125000
    """
    forms = {"csv": _csv, "md": _markdown, "tex": _latex}
    if form not in forms:
        raise ModelError(f"there is no table format {form!r}; the formats are {', '.join(forms)}")
    columns = [str(column) for column in table.columns]
    numeric = [pd.api.types.is_float_dtype(dtype) for dtype in table.dtypes]
    rows = [
        [_cell(column, value, row.get("exact"), shorten=form != "csv") for column, value in row.items()]
        for row in ({str(key): value for key, value in record.items()} for record in table.to_dict("records"))
    ]
    return forms[form](columns, numeric, rows)


# Collecting ------------------------------------------------------------------------------------------------------------


def _warn(error: OptmarketError) -> None:
    warnings.warn(f"skipped {error}", stacklevel=4)


def _warn_of_doubts(error: OptmarketError) -> None:
    warnings.warn(str(error), stacklevel=5)


def _read(
    sources: Iterable[Solution | str | Path],
    skipped: Callable[[OptmarketError], object],
    doubted: Callable[[OptmarketError], object],
) -> list[tuple[Solution, str]]:
    """Read the solutions, and state the status of each; a file that is given several times is read once."""
    found: list[tuple[Solution, str]] = []
    seen: set[Path] = set()
    for source in sources:
        if isinstance(source, Solution):
            found.append((source, str(source.status)))
            continue
        folder = Path(source)
        if not folder.is_dir():
            if folder.resolve() not in seen:
                found.append(_solution(folder, doubted))
                seen.add(folder.resolve())
            continue
        files = [file for file in sorted(folder.rglob("*.json")) if file.is_file() and not file.name.startswith(".")]
        for file in files:
            if file.resolve() in seen:
                continue
            try:
                found.append(_solution(file, doubted))
                seen.add(file.resolve())
            except OptmarketError as error:
                skipped(error)
        if not any(file.resolve() in seen for file in files):
            raise InstanceError(
                "is a folder without a solution file (.json, as `optmarket solve --out` writes)", file=str(folder)
            )
    if not found:
        raise InstanceError("there is no solution to put into a table")
    return found


def _solution(file: Path, doubted: Callable[[OptmarketError], object]) -> tuple[Solution, str]:
    found, wrong = held_against_itself(Solution.read(file))
    try:
        registry.get(found.model)
    except OptmarketError as error:
        error.file = str(file)
        raise
    if wrong:
        doubted(InstanceError(f"contradicts itself: {'; '.join(wrong)}", file=str(file)))
    return found, "contradicts itself" if wrong else str(found.status)


def _order(found: Solution) -> tuple[str, str, list[tuple[str, Fraction]], str, float]:
    return found.instance.slug, found.model, list(found.settings.items()), found.instance.sha256, found.value


def headed(found: Solution, name: str, quantity: str | None = None) -> str:
    """The heading of a column: a name with the quantity's unit in brackets.

    Parameters
    ----------
    found : Solution
        A solution of the market that reports the quantity.
    name : str
        The name to show.
    quantity : str, optional
        The quantity whose unit is shown; by default the one called `name`.
    """
    unit = registry.get(found.model).units.get(quantity or name)
    return f"{name} [{unit}]" if unit else name


def _row(found: Solution, status: str, quantities: Sequence[str] | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "instance": found.instance.slug,
        **{path: float(value) for path, value in found.settings.items()},
        "model": found.model,
        "status": status,
        "objective": found.objective,
        headed(found, found.objective): float(found.value),
        "exact": None if found.exact is None else str(found.exact),
    }
    if isinstance(found.certificate, Optimality):
        row[headed(found, "lower", found.objective)] = float(found.certificate.lower)
        row[headed(found, "upper", found.objective)] = float(found.certificate.upper)
        row["gap"] = float(found.certificate.gap)
    else:
        row[headed(found, DEVIATION, found.objective)] = float(found.certificate.deviation_gain)
    units = registry.get(found.model).units
    for name in found.quantities if quantities is None else quantities:
        if name in found.quantities and name != found.objective:
            in_payoff = units.get(name) == units.get(found.objective)
            scale = found.audit.unit if in_payoff else 1.0
            value = float(found.quantities[name])
            row[headed(found, name)] = 0.0 if abs(value) <= NOISE * scale else value
    return row


def _columns(found: Sequence[Solution], quantities: Sequence[str] | None) -> list[str]:
    """The columns in an order that does not depend on whether solutions were read from files, which sort quantities by name."""
    columns = ["instance", *(path for solution in found for path in solution.settings), "model", "status"]
    if len({solution.objective for solution in found}) > 1:
        columns.append("objective")
    optima = [solution for solution in found if isinstance(solution.certificate, Optimality)]
    columns += [headed(solution, solution.objective) for solution in found]
    for name in ("lower", "upper"):
        columns += [headed(solution, name, solution.objective) for solution in optima]
    if optima:
        columns.append("gap")
    columns += [headed(solution, DEVIATION, solution.objective) for solution in found if solution not in optima]
    if any(solution.exact is not None for solution in found):
        columns.append("exact")
    if quantities is None:
        quantities = _names(found)
    for name in quantities:
        columns += [headed(solution, name) for solution in found if name in solution.quantities]
    return list(dict.fromkeys(columns))


def _names(found: Sequence[Solution]) -> list[str]:
    """All quantities of the solutions: for each market in its own order, followed by quantities that it does not declare."""
    names: list[str] = []
    for model in sorted({solution.model for solution in found}):
        there = {name for solution in found if solution.model == model for name in solution.quantities}
        names += [name for name in registry.get(model).units if name in there]
        names += sorted(there.difference(names))
    return list(dict.fromkeys(names))


# Cells -----------------------------------------------------------------------------------------------------------------


def _cell(column: str, value: Any, exact: Any, *, shorten: bool) -> str:
    if value is None or value != value:
        return ""
    if not isinstance(value, float):
        text = str(value)
        return f"{len(text)} characters" if shorten and column == "exact" and len(text) > LONGEST_EXACT else text
    name = column.partition(" [")[0]
    true = Fraction(exact) if name in {"lower", "upper"} and isinstance(exact, str) else value
    return in_column(true, GAP_DIGITS if name in {"gap", DEVIATION} else SHOWN, _ROUNDING.get(name, ROUND_HALF_EVEN))


# Forms -----------------------------------------------------------------------------------------------------------------


def _csv(columns: list[str], numeric: list[bool], rows: list[list[str]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([csv_cell(text) for text in row] for row in [columns, *rows])
    return stream.getvalue()


def _markdown(columns: list[str], numeric: list[bool], rows: list[list[str]]) -> str:
    cells = [[markdown_cell(text) or "-" for text in row] for row in [columns, *rows]]
    widths = [max(3, *(len(row[place]) for row in cells)) for place in range(len(columns))]
    rule = ["-" * (width - 1) + ":" if right else "-" * width for width, right in zip(widths, numeric, strict=True)]
    lines = [cells[0], rule, *cells[1:]]
    return "".join(f"| {' | '.join(_padded(line, widths, numeric))} |\n" for line in lines)


def _latex(columns: list[str], numeric: list[bool], rows: list[list[str]]) -> str:
    body = [
        [_latex_number(text) if right else latex_cell(text) or "--" for text, right in zip(row, numeric, strict=True)]
        for row in rows
    ]
    cells = [[latex_cell(column) for column in columns], *body]
    widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
    head, *lines = [f"  {' & '.join(_padded(row, widths, numeric))} \\\\\n" for row in cells]
    return "".join(
        [
            "% needs \\usepackage{booktabs}\n",
            f"\\begin{{tabular}}{{{''.join('r' if right else 'l' for right in numeric)}}}\n",
            "  \\toprule\n",
            head,
            "  \\midrule\n",
            *lines,
            "  \\bottomrule\n",
            "\\end{tabular}\n",
        ]
    )


def _latex_number(text: str) -> str:
    mantissa, _, power = text.partition("e")
    if power:
        return rf"${mantissa}\times10^{{{int(power)}}}$"
    return f"${text}$" if text.startswith("-") else text or "--"


def _padded(row: list[str], widths: list[int], numeric: list[bool]) -> list[str]:
    return [text.rjust(width) if right else text.ljust(width) for text, width, right in zip(row, widths, numeric, strict=True)]
