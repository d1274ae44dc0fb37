"""Format solutions, audits, instances and markets as reports for the console, using the package rich."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR
from numbers import Real
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from optmarket.certificates import Audit, Claim, Equilibrium
from optmarket.instances.instance import Instance, canonical
from optmarket.modeling import registry
from optmarket.options import Status
from optmarket.rationals import exact
from optmarket.reporting.consistency import UNCHECKED
from optmarket.reporting.digits import STABLE, bound, number
from optmarket.solution import Solution
from optmarket.solution_file import SolverReport
from optmarket.text import visible

if TYPE_CHECKING:
    import pandas as pd

NOISE = 1e-12  # smaller numbers are shown as 0; relative to the payoff scale if that is below 1
FIRST_ROWS = 40  # rows shown of the first table
LATER_ROWS = 12  # rows shown of further tables
MOST_BLOCKS = 4  # the largest number of parts into which a wide table is split
WIDEST_HEAD = 100  # characters of the line with the title
WIDEST_TEXT = 36  # characters of a column of text
LONGEST_EXACT = 30  # characters of a fraction


# What commands print ---------------------------------------------------------------------------------------------------


def solution(found: Solution, width: int, saved: Sequence[str] | None = None) -> Group:
    """Format a solution: its value and status, its tables, the claims, the audit, and the solver report.

    Parameters
    ----------
    found : Solution
    width : int
        The width of the console in characters. Numbers are never truncated.
    saved : sequence of str, optional
        For a solution that was read from a file, its contradictions (there may be none).
    """
    status = "contradicts itself" if saved else _status(found)
    named = _words_of(found.model)
    parts: list[RenderableType] = [_head(found.title, status, width), _quantities(found)]
    for place, (name, table) in enumerate(found.tables.items()):
        limit = FIRST_ROWS if place == 0 else LATER_ROWS
        parts += [Text(), *_table(name, table, limit, width, _noise(found.audit), named.empty.get(name, "none"))]
    if found.claims:
        claims = _grid(4)
        for claim in found.claims:
            _add_claim(claims, claim, found)
        parts += [Text(), Text("claims", style="bold"), _indented(claims)]
    ending = _grid()
    ending.add_row(Text("audit", style="bold"), _audit_line(found))
    for note in found.notes:
        ending.add_row(Text("note", style="bold"), plain(note))
    for words in saved or ():
        ending.add_row(Text("wrong", style="bold red"), Text(visible(words), style="bold red", overflow="fold"))
    if saved is not None:
        ending.add_row(Text("saved", style="bold"), plain(UNCHECKED))
    parts += [Text(), ending]
    if run := _run(found.run):
        parts.append(Text(visible(run), style="dim"))
    return Group(*parts)


def audit(case: Instance, found: Audit, width: int) -> Group:
    """Format an audit: the mechanism's quantities, its violations, and the verdict.

    Parameters
    ----------
    case : Instance
    found : Audit
    width : int
        The width of the console in characters.
    """
    numbers = _grid()
    for name, value in found.quantities.items():
        numbers.add_row(plain(name), number(value, zero=_noise(found)))
    for position, (name, value) in enumerate(found.violations.items()):
        numbers.add_row("" if position else "violations", plain(f"{name.replace('-', ' ')} {_gain(value, zero=_noise(found))}"))
    notes = [plain(f"note: {note}") for note in found.notes]
    return Group(_head(case.title, "", width), numbers, verdict(case.model, found), *notes)


def _gain(value: float, zero: float = 0.0) -> str:
    """Format a violation, which may be infinite if the support of types is unbounded."""
    return "without bound" if math.isinf(value) else number(value, 3, zero=zero)


def verdict(model: str, found: Audit) -> Text:
    """State in words whether an audited mechanism satisfies its constraints.

    Parameters
    ----------
    model : str
        The name of the market.
    found : Audit
    """
    named = _words_of(model).deviations
    if not found.violations:
        return Text("holds: buyers choose for themselves, ties for the seller, so that nothing can be violated")
    if found.good:
        if not found.violations.keys() <= named.keys():
            return Text(f"holds: no violation exceeds the tolerance of {found.tolerance}", style="green")
        return Text(f"holds: no type gains by {_listed(named[name] for name in found.violations)}", style="green")
    gains, others = [], []
    for name, value in found.violations.items():
        if found.exceeds(name) and name in named:
            gains.append(f"{_gain(value)} by {named[name]}")
        elif found.exceeds(name):
            others.append(f"{name.replace('-', ' ')} {_gain(value)}")
    said = ", ".join([f"a type gains {gains[0]}", *gains[1:], *others] if gains else others)
    return Text(visible(f"does not hold: {said} (payoff units; the tolerance is {found.tolerance})"), style="bold red")


def outcome(claim: Claim, found: Solution) -> str:
    """State in words how a claim compares with a solution, with NOT MET in front if the claim is binding and fails.

    Parameters
    ----------
    claim : Claim
        A claim that was decided.
    found : Solution
    """
    best = ""
    if claim.quantity == found.objective and found.proved:
        best = "the optimum" if found.status is Status.OPTIMAL else "the equilibrium"
    return ("NOT MET: " if claim.binding and claim.met is False else "") + _standing(claim, best)


def market(spec: registry.ModelSpec[Any, Any, Any], width: int) -> Group:
    """Format a market: its methods, its quantities with units, and the kinds of files from which instances can be made.

    Parameters
    ----------
    spec : ModelSpec
    width : int
        The width of the console in characters.
    """
    parts: list[RenderableType] = [_head(spec.title, "", width)]
    facts = _grid()
    facts.add_row("market", plain(spec.name))
    facts.add_row("source", plain(spec.source))
    parts.append(facts)
    methods = [(name, what) for name, what in spec.methods.items()]
    quantities = [(name, quantity.unit, quantity.label) for name, quantity in spec.quantities.items()]
    parts += [Text(), Text("methods", style="bold"), _indented(listing(methods))]
    parts += [Text(), Text("quantities", style="bold"), _indented(listing(quantities))]
    if spec.sources:
        sources = [(f"--from {name}", source.files) for name, source in spec.sources.items()]
        sources += [(f"--set {name}=...", what) for source in spec.sources.values() for name, what in source.options.items()]
        parts += [Text(), Text("instances from files", style="bold"), _indented(listing(sources))]
    return Group(*parts)


def instance(case: Instance, width: int) -> Group:
    """Format an instance: its description, its parameters in short, and its known answers.

    Parameters
    ----------
    case : Instance
    width : int
        The width of the console in characters.
    """
    facts = _grid()
    for name, text in (("market", case.model), ("source", case.source), ("slug", case.slug), ("sha256", case.sha256)):
        facts.add_row(name, plain(text))
    for key, value in parameters(case).items():
        rows = value if isinstance(value, list) and value and isinstance(value[0], (dict, list)) else [value]
        for position, row in enumerate(rows[:LATER_ROWS]):
            facts.add_row("" if position else plain(key), plain(_short(row)))
        if len(rows) > LATER_ROWS:
            facts.add_row("", f"... and {len(rows) - LATER_ROWS:,} more (--json has all)")
    for position, claim in enumerate(case.expect):
        relation = {"eq": "is", "lower": "is at least", "upper": "is at most"}[claim.relation]
        said = f"{claim.quantity} {relation} {_stated(claim.value)}   {claim.kind}   {_origin(claim)}"
        facts.add_row("" if position else "expected", plain(said))
    for note in case.notes:
        facts.add_row("note", plain(note))
    return Group(_head(case.title, "", width), facts)


def listing(rows: Iterable[tuple[str, ...]]) -> Table:
    """Format rows of text in columns; the last column is wrapped to the width of the console.

    Parameters
    ----------
    rows : iterable of tuple of str
        Rows of equal length.
    """
    table: Table | None = None
    for row in rows:
        if table is None:
            table = _grid(len(row))
            table.columns[0].no_wrap = True  # a name or path, which users may want to copy
        table.add_row(*map(plain, row))
    return table or _grid()


# Pieces ----------------------------------------------------------------------------------------------------------------


def plain(text: str) -> Text:
    """Format text literally: markup is not interpreted, and control characters and line breaks are escaped.

    Examples
    --------
    >>> plain("[bold]two\\nlines").plain
    '[bold]two\\\\nlines'
    """
    return Text(visible(text), overflow="fold")


def parameters(case: Instance) -> dict[str, Any]:
    """The parameters of an instance as JSON objects, with exact numbers and with defaults written out."""
    content: dict[str, Any] = json.loads(canonical(case.model, case.params))["params"]
    return content


def outline(case: Instance) -> str:
    """Summarise the parameters of an instance in one line: the lengths of lists, and the values of other parameters."""
    words = []
    for key, value in parameters(case).items():
        if isinstance(value, list):
            words.append(f"{len(value)} {key}" if not value or isinstance(value[0], (dict, str)) else f"{key} {_shape(value)}")
        else:
            words.append(f"{key} {_short(value)}")
    return ", ".join(words)


def _shape(value: Any) -> str:
    lengths = []
    while isinstance(value, list) and value:
        lengths.append(str(len(value)))
        value = value[0]
    return " x ".join(lengths)


def _short(value: Any, longest: int = 100) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False).replace('"', "")
    return text if len(text) <= longest else text[: longest - 3] + "..."


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)}, or {last}" if first else last


def _grid(columns: int = 2) -> Table:
    return Table(
        *(Column(overflow="fold") for _ in range(columns)), box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0)
    )


def _indented(table: Table) -> Padding:
    return Padding(table, (0, 0, 0, 2), expand=False)


def _head(title: str, status: str, width: int) -> Table:
    head = Table(
        Column(style="bold", overflow="fold", ratio=1),
        Column(justify="right", no_wrap=True),
        box=None,
        show_header=False,
        pad_edge=False,
        width=min(width, WIDEST_HEAD),
    )
    head.add_row(plain(title), status)
    return head


def _status(found: Solution) -> str:
    if not found.status.is_solved:
        return str(found.status)
    best = f"{found.status} for the grid" if found.instance.grid else str(found.status)
    if found.exact is not None:
        return f"{best}, proved exactly"
    if found.proved:
        return f"{best}, proved"
    if isinstance(found.certificate, Equilibrium):
        return f"a player gains {number(found.certificate.deviation_gain, 2)} by a deviation"
    return f"stopped at a gap of {number(found.certificate.gap, 2)}"


def _words_of(model: str) -> registry.ModelSpec[Any, Any, Any] | _NoWords:
    """The market's texts on deviations and empty tables; none if the market is not installed."""
    return registry.get(model) if model in registry.names() else _NoWords()


@dataclass(frozen=True)
class _NoWords:
    """The texts of a market that is not installed: none."""

    deviations: Mapping[str, str] = field(default_factory=dict)
    empty: Mapping[str, str] = field(default_factory=dict)


def _noise(found: Audit) -> float:
    return NOISE * min(1.0, found.unit)


def _quantities(found: Solution) -> Table:
    table = _grid(3)
    table.columns[0].no_wrap = True
    table.add_row(Text(visible(found.objective), style="bold"), Text(number(found.value, STABLE), style="bold"), _interval(found))
    for name, value in found.quantities.items():
        if name != found.objective:
            table.add_row(plain(name), number(value, zero=_noise(found.audit)), "")
    return table


def _interval(found: Solution) -> str:
    if found.exact is not None:
        fraction = str(found.exact)
        short = fraction if len(fraction) <= LONGEST_EXACT else f"a fraction of {len(fraction)} characters (--json has it)"
        return f"= {short}" + (", ties going to the seller" if found.status is Status.OPTIMAL else "")
    if isinstance(found.certificate, Equilibrium):
        return f"nobody gains more than {number(found.certificate.deviation_gain, 3)} by a deviation"
    lower, upper = found.bounds
    text = f"between {bound(lower, ROUND_FLOOR)} and {bound(upper, ROUND_CEILING)}"
    if found.proved or not 0 <= lower < upper:
        return text
    return f"{text}: at least {bound(100 * lower / upper, ROUND_FLOOR, 3)} % of the optimum"


def _stated(value: str) -> str:
    """Format a claimed value as written, and add the decimals of a fraction."""
    if "/" not in value:
        return value
    decimals = number(float(exact(value)))
    return f"{value} = {decimals}" if len(value) <= LONGEST_EXACT else f"about {decimals}"


def _add_claim(table: Table, claim: Claim, found: Solution) -> None:
    unmet = claim.binding and claim.met is False
    words = plain(f"{outcome(claim, found)} {_origin(claim)}")
    table.add_row(plain(claim.quantity), plain(_stated(claim.value)), claim.kind, words, style="bold red" if unmet else None)


def _standing(claim: Claim, best: str) -> str:
    """State in words how a claim compares with the solution; ``best`` is the name of the true value, or empty."""
    if claim.true is None or claim.error is None:
        return "undecided, as the market reports no such quantity"
    if claim.met is None:
        return "open: the bounds reached do not decide it"
    if claim.verdict in {"wrong", "misprint"}:
        known = "a known misprint" if claim.verdict == "misprint" else "known to be wrong"
        if claim.met:
            return f"printed {claim.value}, true {number(claim.true)}: {known}"
        return f"printed {claim.value}, true {number(claim.true)}: holds, but counts as {known}"
    holds = claim.error <= (claim.tolerance or 0.0)
    if claim.relation == "eq":
        words = "agrees" if holds else f"differs by {number(claim.error, 3)}"
    else:
        bound = "at least" if claim.relation == "lower" else "at most"
        words = f"holds ({bound})" if holds else f"fails by {number(claim.error, 3)} ({bound})"
    if claim.relation == "eq" and holds:
        return words
    return words + _apart(float(exact(claim.value)), claim.true, best)


def _apart(stated: float, true: float, best: str) -> str:
    percent = 100 * abs(stated - true) / abs(true) if true else 0.0
    if percent < 0.001:
        return ""
    side = "below" if stated < true else "above"
    return f", {number(percent, 2 if percent < 99 else 4)} % {side} {best}".rstrip()


def _origin(claim: Claim) -> str:
    return f"({claim.source})"


def _audit_line(found: Solution) -> Text:
    zero = _noise(found.audit)
    violations = [f"{name.replace('-', ' ')} {_gain(value, zero=zero)}" for name, value in found.audit.violations.items()]
    line = Text(visible("   ".join(violations)) or "nothing that could be violated")
    if not found.audit.good:
        line.append(f"   NOT MET: above the tolerance of {found.audit.tolerance}", style="bold red")
    for words in found.contradictions:
        line.append(f"   NOT MET: {visible(words)}", style="bold red")
    return line


def _run(run: SolverReport) -> str:
    words = []
    if run.seconds is not None:
        words.append(f"{run.seconds:.2f} s")
    if run.method:
        words.append(f"method {run.method}")
    if run.rounds is not None:
        words.append(f"{run.rounds:,} round{'' if run.rounds == 1 else 's'}")
    size = [f"{count:,} {name}" for name, count in (("rows", run.rows), ("columns", run.columns)) if count is not None]
    return ", ".join([*words, " x ".join(size)] if size else words)


# Tables ----------------------------------------------------------------------------------------------------------------


def _table(name: str, table: pd.DataFrame, limit: int, width: int, zero: float, empty: str) -> list[RenderableType]:
    from pandas.api.types import is_numeric_dtype  # imported here because pandas is slow to import

    heading = Text(visible(name), style="bold")
    if table.empty:
        return [heading, Text(f"  {empty}")]
    shown = table.head(limit)
    cells = [[_cell(value, zero) for value in shown.iloc[:, place]] for place in range(shown.shape[1])]
    numeric = [is_numeric_dtype(dtype) for dtype in table.dtypes]
    blank = _repeats(cells)
    heads = [plain(str(column)) for column in table.columns]
    text_width = max(8, min(WIDEST_TEXT, width // 3))

    def widths_of(*, whole_heads: bool) -> list[int]:
        widths = []
        for head, column, is_number in zip(heads, cells, numeric, strict=True):
            words = [head.plain] if whole_heads or not is_number else head.plain.split()
            texts = words if is_number else [*words, *column]
            numbers = column if is_number else []
            widths.append(max(*(min(text_width, cell_len(text)) for text in texts), *map(cell_len, numbers), 1))
        return widths

    keys = _keys(table, numeric)
    widths = widths_of(whole_heads=True)
    blocks = _blocks(widths, keys, width - 2)
    if len(blocks) > 1:
        widths = widths_of(whole_heads=False)
        blocks = _blocks(widths, keys, width - 2)
    parts: list[RenderableType] = [heading]
    for block in blocks[:MOST_BLOCKS]:
        columns = [Column(heads[place], width=widths[place], overflow="fold", header_style="dim") for place in block]
        piece = Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for row in range(len(shown)):
            piece.add_row(*("" if place < blank[row] else plain(cells[place][row]) for place in block))
        parts.append(_indented(piece))
    if len(blocks) > MOST_BLOCKS:
        left_out = len(widths) - len({place for block in blocks[:MOST_BLOCKS] for place in block})
        parts.append(Text(f"  ... and {left_out:,} more columns (--json or --out has all)"))
    if len(table) > limit:
        parts.append(Text(f"  ... and {len(table) - limit:,} more rows (--json or --out has all)"))
    return parts


def _cell(value: Any, zero: float) -> str:
    if value is None or value != value:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value, zero=zero) if isinstance(value, Real) else str(value)


def _repeats(cells: list[list[str]]) -> list[int]:
    """For each row, the number of leading cells that repeat the row above and are left blank; never all cells of a row."""
    counts = [0]
    for row in range(1, len(cells[0])):
        same = (place for place, column in enumerate(cells[:-1]) if column[row] != column[row - 1])
        counts.append(next(same, len(cells) - 1))
    return counts


def _keys(table: pd.DataFrame, numeric: list[bool]) -> list[int]:
    """The columns that identify rows: the first, and if its entries repeat, also the last column of text."""
    if not table.iloc[:, 0].duplicated().any():
        return [0]
    return [0, *[place for place in range(1, len(numeric)) if not numeric[place]][-1:]]


def _blocks(widths: list[int], keys: list[int], width: int) -> list[list[int]]:
    """Split columns into parts that fit the width; each part repeats the columns that identify rows."""
    blocks: list[list[int]] = []
    part: list[int] = []
    for place in (place for place in range(len(widths)) if place not in keys):
        if part and sum(widths[one] + 2 for one in [*keys, *part, place]) > width:
            blocks.append(sorted(keys + part))
            part = []
        part.append(place)
    return [*blocks, sorted(keys + part)]
