"""Solve every instance of the library again, compare all claims with the solutions, and write the tables in ``results/``."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from optmarket import plotting
from optmarket.api import load, solve
from optmarket.certificates import Claim
from optmarket.errors import InstanceError, OptmarketError, SolverError
from optmarket.files import must_be_writable, must_take, read_text, write_text
from optmarket.instances.instance import Instance
from optmarket.instances.parameters import in_words
from optmarket.modeling import registry
from optmarket.options import Status
from optmarket.reporting import console_report, digits
from optmarket.reporting.tables import render
from optmarket.solution import Solution
from optmarket.studies import curves, mechanism_files
from optmarket.studies.sweep import sweep
from optmarket.tolerances import SAME_VALUE

COLUMNS = (
    *("instance", "quantity", "value", "truth", "relation", "kind", "verdict", "outcome", "error", "gap"),
    *("claim", "says", "source"),
)
SECONDS = ("instance", "method", "rounds", "seconds")

_WRONG = {"wrong", "misprint"}
_VERDICTS = {"condition": "holds with a condition"}
_HEADING = """\
# Claims decided

Statements of the sources, in our own words, that an instance decides. `stated` is the value by which it does, `found` the
solution's; `outcome` compares the two. Made by `optmarket reproduce` from the tables beside this file.

"""

Row = dict[str, str]


@dataclass(frozen=True)
class Reproduction:
    """The result of reproducing the instance library.

    Attributes
    ----------
    instances, claims : int
        The number of instances solved, and of claims compared with their solutions.
    agree : int
        Claims that hold within their tolerance.
    known : int
        Claims that fail, as their verdict (``wrong`` or ``misprint``) says.
    differ : mapping of str to int
        By kind, the number of failing claims that are not binding (published and learned values).
    open : int
        Claims that the solution does not decide.
    unmet : int
        Binding claims that fail, or hold against their verdict.
    failures : tuple of str
        One line for each claim that is not met and each solution that is not good.
    errors : tuple of OptmarketError
        Errors of instances that could not be read or solved.
    files : tuple of Path
        The files written.
    """

    instances: int
    claims: int
    agree: int
    known: int
    differ: Mapping[str, int]
    open: int
    unmet: int
    failures: tuple[str, ...]
    errors: tuple[OptmarketError, ...]
    files: tuple[Path, ...]

    @property
    def good(self) -> bool:
        """Whether every instance was solved and every binding claim met."""
        return not self.failures and not self.errors

    def __str__(self) -> str:
        """A summary in one line, without failures and errors."""
        parts = [f"{self.agree:,} agree"]
        parts += [f"{self.known:,} known to be wrong"] if self.known else []
        parts += [f"{count:,} {kind} {'differs' if count == 1 else 'differ'}" for kind, count in self.differ.items()]
        parts += [f"{self.open:,} open"] if self.open else []
        parts += [f"{self.unmet:,} NOT MET"] if self.unmet else []
        return (
            f"{self.instances:,} instance{'' if self.instances == 1 else 's'} solved, {self.claims:,} claims: {', '.join(parts)}"
        )


def reproduce(
    market: str | None = None,
    *,
    instances: str | Path = "instances",
    out: str | Path = "results",
    root: str | Path | None = None,
    progress: Callable[[str], object] | None = None,
) -> Reproduction:
    """Solve all instances again, and write tables that compare their claims with the solutions.

    The table ``<market>.csv`` (see `rows`) is written as soon as all instances of the market are solved. Then ``claims.md`` is
    made from these tables and those of other markets in the folder, ``mechanisms.csv`` from the mechanism files in the
    instances' folders, and ``seconds.csv`` from the running times. Apart from the last, the files do not depend on the machine.
    Instances with ``figure = true`` are drawn in ``figures/<slug>.png`` and ``.svg``. The sweep of an instance with a table
    ``[sweep]`` is written to ``curves/<slug>.csv``, ``.png`` and ``.svg``.

    Parameters
    ----------
    market : str, optional
        The name of a market; by default all markets with instances.
    instances : path
        The folder that contains a folder of instances for each market.
    out : path
        The folder for the results.
    root : path, optional
        The folder below which files that instances refer to must lie; by default each instance's own folder.
    progress : callable, optional
        Called with a line on each instance after it is solved.

    Returns
    -------
    Reproduction

    Raises
    ------
    InstanceError
        Before anything is solved, if there are no instances or ``out`` cannot be written.
    ModelError
        If the market is unknown.
    KeyboardInterrupt
        On Ctrl-C. Files that were written by then remain.
    """
    instances, out = Path(instances), Path(out)
    tell = progress or (lambda _: None)
    files = _files(market, instances)
    made = [*(out / f"{name}.csv" for name in files), out / "seconds.csv", out / "mechanisms.csv", out / "claims.md"]
    *targets, timed, earnings, page = made
    _must_take(out, made)
    table = [row for name in registry.names() if name not in files for row in read(out / f"{name}.csv", COLUMNS)]
    seconds = [row for row in read(timed, SECONDS) if row["instance"].partition("/")[0] not in files]
    others = [row for row in read(earnings, mechanism_files.COLUMNS) if row["instance"].partition("/")[0] not in files]
    results: dict[str, Solution | OptmarketError] = {}
    drawn: list[Path] = []
    failures: list[str] = []
    errors: list[OptmarketError] = []
    for target, paths in zip(targets, files.values(), strict=True):
        of_market: list[Row] = []
        for path in paths:
            slug = path.relative_to(instances).with_suffix("").as_posix()
            results[slug] = result = _solved(path, root)
            of_market += rows(slug, result)
            tell(f"{slug}: {_in_short(result)}")
            if isinstance(result, OptmarketError):
                errors.append(result)
                continue
            failures += [f"{slug}: {words}" for words in _failures(result)]
            case = load(path, root=root)
            if case.figure:
                drawn += plotting.save(result.plot(), out / "figures" / slug)
            for name, file in mechanism_files.beside(path).items():
                try:
                    others.append(mechanism_files.row(slug, case, result, name, file))
                except OptmarketError as error:
                    errors.append(error)
            if case.curve is not None:
                tell(f"{slug}: its curve")
                try:
                    drawn += _curve(case, out / "curves" / slug, failures, errors)
                except OptmarketError as error:
                    errors.append(error)
        write_text(target, _csv(of_market, COLUMNS))
        table += of_market
    solutions = {slug: result for slug, result in results.items() if isinstance(result, Solution)}
    seconds += [_timing(slug, found) for slug, found in solutions.items()]
    write_text(timed, _csv(sorted(seconds, key=lambda row: row["instance"]), SECONDS))
    write_text(earnings, _csv(sorted(others, key=lambda row: (row["instance"], row["mechanism"])), mechanism_files.COLUMNS))
    write_text(page, claims_page(table))
    standing = Counter(_standing(claim) for found in solutions.values() for claim in found.claims)
    return Reproduction(
        instances=len(solutions),
        claims=standing.total(),
        agree=standing.pop("agrees", 0),
        known=standing.pop("known", 0),
        open=standing.pop("open", 0),
        unmet=standing.pop("not met", 0),
        differ=dict(sorted(standing.items())),
        failures=tuple(failures),
        errors=tuple(errors),
        files=(*made, *drawn),
    )


def rows(slug: str, found: Solution | OptmarketError) -> list[Row]:
    """Make an instance's rows of its market's table: one for each claim and each closed form, and at least one.

    Parameters
    ----------
    slug : str
        The name of the instance.
    found : Solution or OptmarketError
        Its solution, or the error that prevented one.

    Returns
    -------
    list of dict of str to str
        Rows with the keys `COLUMNS`. ``value`` is the value in the solution with 9 significant digits, but nothing smaller than
        1e-9 payoff units; ``truth`` is the stated value as written; ``outcome`` compares the two in words; ``error`` is the
        amount by which the claim fails, or 0 if that is a rounding error; ``gap`` is the certified gap, rounded upwards to one
        digit, and at least 1e-9.
    """
    if isinstance(found, OptmarketError):
        words = f"{found.field}: {found.message}" if found.field else found.message
        return [_row(instance=slug, outcome=f"FAILED: {words}")]
    gap = digits.gap(found.certificate)
    defect = _defect(found)
    table = []
    if defect or not found.claims:
        value = digits.stable(found.value, found.audit.unit)
        words = f"NOT GOOD: {defect}" if defect else "nothing is claimed"
        table.append(_row(instance=slug, quantity=found.objective, value=value, outcome=words, gap=gap))
    for claim in found.claims:
        unit = digits.unit_of(found, claim.quantity)
        value = "" if claim.true is None else digits.stable(claim.true, unit)
        # The comparison uses the rounded value, because further digits differ between machines.
        words = console_report.outcome(replace(claim, true=float(value)) if value else claim, found)
        table.append(
            _row(
                instance=slug,
                quantity=claim.quantity,
                value=value,
                truth=claim.value,
                relation=claim.relation,
                kind=claim.kind,
                verdict=claim.verdict or "",
                outcome=words,
                error=_error(claim, unit),
                gap=gap,
                claim=claim.claim or "",
                says=claim.says or "",
                source=claim.source,
            )
        )
    return table


def claims_page(table: Iterable[Row]) -> str:
    """Write the numbered claims of markets' tables as a markdown page, sorted by number.

    Parameters
    ----------
    table : iterable of dict
        Rows as returned by `rows`.
    """
    decided = sorted((row for row in table if row["claim"]), key=lambda row: (row["claim"], row["instance"]))
    lines = [
        {
            "claim": row["claim"],
            "what is claimed": row["says"] or row["source"],
            "verdict": _VERDICTS.get(row["verdict"], row["verdict"]),
            "quantity": row["quantity"],
            "stated": row["truth"],
            "found": row["value"],
            "outcome": row["outcome"],
            "instance": row["instance"],
        }
        for row in decided
    ]
    columns = ("claim", "what is claimed", "verdict", "quantity", "stated", "found", "outcome", "instance")
    return _HEADING + render(pd.DataFrame(lines, columns=columns), "md")


def read(path: Path, columns: Sequence[str]) -> list[Row]:
    """Read a table that `reproduce` wrote.

    Parameters
    ----------
    path : Path
    columns : sequence of str
        The expected columns.

    Returns
    -------
    list of dict of str to str
        The rows; none if the file does not exist.

    Raises
    ------
    InstanceError
        If the file is not a csv table with these columns.
    """
    if not path.exists():
        return []
    table = csv.DictReader(io.StringIO(read_text(path)), strict=True)
    try:
        found = list(table)
    except csv.Error as error:
        raise InstanceError(f"is no csv table: {error}", file=str(path)) from error
    if table.fieldnames != list(columns) or any(None in row or None in row.values() for row in found):
        raise InstanceError(
            f"has not the columns {', '.join(columns)}; remove it, or reproduce into another folder", file=str(path)
        )
    return found


# What there is, and where it goes --------------------------------------------------------------------------------------


def _files(market: str | None, instances: Path) -> dict[str, list[Path]]:
    """Find the instance files of each market, sorted by name."""
    if market is not None:
        registry.get(market)
    if not instances.is_dir():
        raise InstanceError(f"there is no folder {instances}; run this in a clone of optmarket, or name one with --instances")
    folder = instances if market is None else instances / market
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.toml"), key=lambda path: path.with_suffix("").as_posix()):
        if path.is_file():
            found.setdefault(path.relative_to(instances).parts[0], []).append(path)
    if not found:
        raise InstanceError("holds no instance (a .toml file)", file=str(folder))
    for name, paths in found.items():
        try:
            registry.get(name)
        except OptmarketError as error:
            error.file = str(paths[0])
            raise
    return found


def _must_take(out: Path, targets: Sequence[Path]) -> None:
    """Check that the files can be written into a folder, before anything is solved."""
    must_be_writable(out)
    for target in targets:
        must_take(target)


# Solving ---------------------------------------------------------------------------------------------------------------


def _solved(path: Path, root: str | Path | None) -> Solution | OptmarketError:
    """Solve an instance; an error is returned rather than raised, so that the other instances are still solved."""
    try:
        found = solve(path if root is None else load(path, root=root))
    except OptmarketError as error:
        error.file = error.file or str(path)
        return error
    except MemoryError:
        return SolverError("needs more memory than there is", file=str(path))
    if found.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    return found


def _curve(case: Instance, stem: Path, failures: list[str], errors: list[OptmarketError]) -> list[Path]:
    """Write table and figure of an instance's sweep, and append failures and errors of its points to the lists."""
    found = sweep(case)
    failures += [f"{case.slug} at {in_words(point.settings)}: {words}" for point in found.solutions for words in _failures(point)]
    errors += [error for _, error in found.failures]
    path = Path(f"{stem}.csv")
    write_text(path, render(curves.table(found), "csv"))
    return [path, *plotting.save(found.plot(), stem)]


def _defect(found: Solution) -> str:
    """State why a solution is not good, leaving claims aside; empty if it is good."""
    if not found.status.is_solved:
        return f"{found.status}, not optimal"
    if not found.audit.good:
        return console_report.verdict(found.model, found.audit).plain
    if not replace(found, claims=()).good:
        return f"the audit makes the {found.objective} {found.audit.quantities[found.objective]:.{digits.STABLE}g}"
    return ""


def _failures(found: Solution) -> list[str]:
    """State in words why a solution counts as a failure: its defects and its unmet claims."""
    defect = _defect(found)
    words = [f"NOT GOOD: {defect}"] if defect else []
    unmet = [claim for claim in found.claims if claim.binding and claim.met is False]
    return words + [f"{claim.quantity} {claim.value}: {console_report.outcome(claim, found)} ({claim.source})" for claim in unmet]


def _in_short(found: Solution | OptmarketError) -> str:
    if isinstance(found, OptmarketError):
        return "FAILED"
    words = f"{found.objective} {digits.stable(found.value, found.audit.unit)}, {len(found.claims)} claims"
    return f"{words}, NOT all as it should be" if _failures(found) else words


def _standing(claim: Claim) -> str:
    """Classify a claim for the summary; a failing claim that is not binding is classified by its kind."""
    if claim.met is None:
        return "open"
    if claim.met:
        return "known" if claim.verdict in _WRONG else "agrees"
    return "not met" if claim.binding else claim.kind


# Cells -----------------------------------------------------------------------------------------------------------------


def _row(**cells: str) -> Row:
    return {**dict.fromkeys(COLUMNS, ""), **cells}


def _timing(slug: str, found: Solution) -> Row:
    run = found.run
    seconds = "" if run.seconds is None else f"{run.seconds:.3f}"
    return {
        "instance": slug,
        "method": run.method or "",
        "rounds": "" if run.rounds is None else str(run.rounds),
        "seconds": seconds,
    }


def _error(claim: Claim, unit: float) -> str:
    if claim.error is None:
        return ""
    return "0" if claim.error <= SAME_VALUE * unit else digits.stable(claim.error, unit, digits.OF_ERRORS)


def _csv(table: Sequence[Row], columns: Sequence[str]) -> str:
    return render(pd.DataFrame(table, columns=list(columns)), "csv")
