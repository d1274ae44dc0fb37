"""Every instance solved again, and all that is claimed of it held against the solution: the tables in ``results/``."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from optmarket import plotting
from optmarket.api import SAME, load, solve
from optmarket.errors import InstanceError, OptmarketError, SolverError
from optmarket.files import must_be_writable, must_take, read_text, write_text
from optmarket.instances.instance import Instance
from optmarket.instances.parameters import in_words
from optmarket.modeling import registry
from optmarket.reporting import console_report, digits
from optmarket.reporting.tables import render
from optmarket.solution import Claim, Solution, Status
from optmarket.studies import curves, mechanism_files
from optmarket.studies.sweep import sweep

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
    """What came of solving everything again.

    Attributes
    ----------
    instances, claims : int
        Solved, and held against their solutions.
    agree : int
        Claims that hold, within their tolerance.
    known : int
        Claims that fail, as their verdict (``wrong``, ``misprint``) says.
    differ : mapping
        By kind, how many claims fail that are shown and not imposed (published and learned values).
    open : int
        Claims that the solution does not decide.
    unmet : int
        Claims that do not behave as they must.
    failures : tuple of str
        One line each: claims not met, and solutions that are not good.
    errors : tuple of OptmarketError
        Instances that could not be read or solved.
    files : tuple of Path
        Written.
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
        """Everything but failures and errors, in a line."""
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
    """Solve all instances again and write what is claimed of them beside what was found.

    Writes into a folder ``<market>.csv``, see `rows`, as soon as all of the market is solved; then ``claims.md``, of these tables
    and those of other markets found there, ``mechanisms.csv``, of the mechanism files that lie beside instances, and
    ``seconds.csv``, which nothing compares. The same instances give the same tables wherever they are solved. Instances with
    ``figure = true`` are drawn into ``figures/<slug>.png`` and ``.svg``; those with a table ``[sweep]`` get their curve in
    ``curves/<slug>.csv``, ``.png`` and ``.svg``.

    Parameters
    ----------
    market : str, optional
        Its name; all markets with instances, if not given.
    instances : path
        The folder that holds a folder of instances for each market.
    out : path
        The folder to write into.
    root : path, optional
        The folder below which files that instances refer to must lie; each instance's own, if not given.
    progress : callable, optional
        Called with a line for each instance, when it is done.

    Raises
    ------
    InstanceError
        Before anything is solved: if there are no instances, or ``out`` cannot be used.
    ModelError
        If there is no such market.
    KeyboardInterrupt
        On Ctrl-C; files written by then stay.
    """
    instances, out = Path(instances), Path(out)
    tell = progress or (lambda _: None)
    files = _files(market, instances)
    made = [*(out / f"{name}.csv" for name in files), out / "seconds.csv", out / "mechanisms.csv", out / "claims.md"]
    *targets, timed, judged, page = made
    _must_take(out, made)
    table = [row for name in registry.names() if name not in files for row in read(out / f"{name}.csv", COLUMNS)]
    seconds = [row for row in read(timed, SECONDS) if row["instance"].partition("/")[0] not in files]
    others = [row for row in read(judged, mechanism_files.COLUMNS) if row["instance"].partition("/")[0] not in files]
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
    write_text(judged, _csv(sorted(others, key=lambda row: (row["instance"], row["mechanism"])), mechanism_files.COLUMNS))
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
    """An instance's part of a market's table: a row for each claim, by closed forms too, and at least one.

    Parameters
    ----------
    slug : str
        The instance's name.
    found : Solution or OptmarketError
        Its solution, or why it has none.

    Returns
    -------
    list of dict
        With the keys `COLUMNS`. ``value`` is the solution's, to 9 significant digits and nothing finer than 1e-9 payoff units;
        ``truth`` what is stated, as written; ``outcome`` compares them in words; ``error`` is by how much the claim fails, 0 if
        that is rounding; ``gap`` is the certified one to one digit, rounded upwards, and at least 1e-9.
    """
    if isinstance(found, OptmarketError):
        words = f"{found.field}: {found.message}" if found.field else found.message
        return [_row(instance=slug, outcome=f"FAILED: {words}")]
    gap = digits.gap(found.certificate.gap)
    fault = _fault(found)
    table = []
    if fault or not found.claims:
        value = digits.digits(found.value, found.audit.unit)
        words = f"NOT GOOD: {fault}" if fault else "nothing is claimed"
        table.append(_row(instance=slug, quantity=found.objective, value=value, outcome=words, gap=gap))
    for claim in found.claims:
        unit = digits.unit(found, claim.quantity)
        value = "" if claim.true is None else digits.digits(claim.true, unit)
        # in words of the value written, as the digits behind it differ from machine to machine
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
    """The numbered claims of markets' tables as a page of markdown, by number."""
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
    """The rows of a table that `reproduce` wrote; none if there is no such file.

    Raises
    ------
    InstanceError
        If it has other columns.
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
    """The instance files of each market, in the order of their names."""
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
    """Fail unless the files could be written into a folder, before anything is solved for them."""
    must_be_writable(out)
    for target in targets:
        must_take(target)


# Solving ---------------------------------------------------------------------------------------------------------------


def _solved(path: Path, root: str | Path | None) -> Solution | OptmarketError:
    """The solution, or what went wrong, which is no reason to leave out the other instances."""
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
    """Table and figure of an instance's curve, and what is wrong with its points added to the lists."""
    found = sweep(case)
    failures += [f"{case.slug} at {in_words(point.settings)}: {words}" for point in found.solutions for words in _failures(point)]
    errors += [error for _, error in found.failures]
    path = Path(f"{stem}.csv")
    write_text(path, render(curves.table(found), "csv"))
    return [path, *plotting.save(found.plot(), stem)]


def _fault(found: Solution) -> str:
    """Why a solution is not good, claims aside; nothing if it is."""
    if found.status is not Status.OPTIMAL:
        return f"{found.status}, not optimal"
    if not found.audit.good:
        return console_report.verdict(found.audit).plain
    if not replace(found, claims=()).good:
        return f"the audit makes the {found.objective} {found.audit.quantities[found.objective]:.{digits.DIGITS}g}"
    return ""


def _failures(found: Solution) -> list[str]:
    """What makes a solution fail, in words."""
    fault = _fault(found)
    words = [f"NOT GOOD: {fault}"] if fault else []
    unmet = [claim for claim in found.claims if claim.binding and claim.met is False]
    return words + [f"{claim.quantity} {claim.value}: {console_report.outcome(claim, found)} ({claim.source})" for claim in unmet]


def _in_short(found: Solution | OptmarketError) -> str:
    if isinstance(found, OptmarketError):
        return "FAILED"
    words = f"{found.objective} {digits.digits(found.value, found.audit.unit)}, {len(found.claims)} claims"
    return f"{words}, NOT all as it should be" if _failures(found) else words


def _standing(claim: Claim) -> str:
    """A claim in one word; of a claim that fails its kind."""
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
    seconds = f"{run['seconds']:.3f}" if "seconds" in run else ""
    return {"instance": slug, "method": run.get("method", ""), "rounds": str(run.get("rounds", "")), "seconds": seconds}


def _error(claim: Claim, unit: float) -> str:
    if claim.error is None:
        return ""
    return "0" if claim.error <= SAME * unit else digits.digits(claim.error, unit, digits.ERROR_DIGITS)


def _csv(table: Sequence[Row], columns: Sequence[str]) -> str:
    return render(pd.DataFrame(table, columns=list(columns)), "csv")
