"""Implement the commands for many solutions: `sweep`, `table` and `reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from optmarket.cli.arguments import (
    BAD_INPUT,
    GOOD,
    INTERRUPTED,
    NO_ANSWER,
    UNMET,
    Exact,
    File,
    Form,
    Gap,
    Method,
    Outside,
    Quantities,
    Threads,
    TimeLimit,
    attempt,
    check_options,
    complain,
    loaded,
)
from optmarket.errors import InstanceError, OptmarketError, SolverError
from optmarket.files import ANYWHERE, STDOUT, must_be_writable, must_take, write_text
from optmarket.reporting import terminal


def table_command(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="Solution files (JSON), and folders searched for them.", show_default=False),
    ],
    form: Form = "csv",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it to this file. Default: -, stdout.")
    ] = None,
    quantity: Quantities = None,
) -> None:
    """Collect solutions into one table, a row each, sorted by instance.

    Numbers have 6 significant digits; bounds are rounded away from the value, so that they stay bounds. A solution that
    contradicts itself is marked as such, with exit code 1.
    """

    def run() -> int:
        from optmarket.reporting.tables import render, tables

        wrong: list[OptmarketError] = []
        found = tables(
            paths,
            quantities=quantity or None,
            skipped=lambda error: terminal.say(f"skipped {error}"),
            doubted=wrong.append,
        )
        text = render(found, form)
        if output is None or str(output) == STDOUT:
            terminal.write(text)
        else:
            write_text(output, text)
            terminal.say(f"wrote {output}")
        for error in wrong:
            terminal.say(f"wrong: {error}")
        return UNMET if wrong else GOOD

    raise typer.Exit(attempt(run, False))


def sweep_command(
    instance: File,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PARAM=START:STOP:STEP",
            help="A number of the instance, such as types.0.value or payoff.0.1 (entries are counted from 0), and its values, "
            "both ends included; or PARAM=VALUE. Several joined by commas move together, several --set make a grid. Default: the "
            "instance's [sweep].",
            show_default=False,
        ),
    ] = None,
    points: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Instead of --set: a csv file, a row a point. Columns named as numbers of the instance are set; columns named "
            "as quantities, blank where nothing is known, are shown as published values; the first column may hold another "
            "number, by which table and figure go. Default: the instance's [sweep].",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Points to solve at once, at least 1, each in a process of its own.")] = 1,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the points, the table and the figure, in DIR/<slug>/.")
    ] = Path("results/sweeps"),
    form: Form = "csv",
    quantity: Quantities = None,
    method: Method = None,
    gap: Gap = None,
    time_limit: TimeLimit = None,
    threads: Threads = 1,
    exact: Exact = False,
    outside: Outside = False,
) -> None:
    """Solve an instance for many values of its parameters.

    Without --set and --points it goes through what the instance's table [sweep] asks for.

    Prints a table, a row a point, and writes it with a figure: lines over the first parameter, one for each value of the
    second. Each point is kept on disk as soon as it is solved. After Ctrl-C, or worse, the same command goes on where it was;
    points are used again only if instance, options and version are the same.

    \b
    Weights and beliefs must go on summing to one, so they are varied together:
      optmarket sweep my.toml --set types.0.weight=0:1:0.02,types.1.weight=1:0:-0.02
    """
    done = 0
    last: tuple[Path, int] | None = None

    def run() -> int:
        nonlocal done, last
        from optmarket import plotting
        from optmarket.instances.parameters import in_words
        from optmarket.modeling import registry
        from optmarket.reporting.tables import render
        from optmarket.studies.sweep import name_of, sweep, varied_in

        check_options(gap, time_limit, threads)
        if jobs < 1:
            raise InstanceError(f"is {jobs}; must be at least 1", field="--jobs")
        case = loaded(instance, outside)
        known = registry.get(case.model).units
        for name in quantity or ():
            if name not in known:
                raise InstanceError(f"is {name!r}; {case.model} reports {', '.join(known)}", field="--quantity")
        must_be_writable(out)
        folder = out / case.slug
        varied = varied_in(case, settings or (), points)
        target = folder / f"{name_of(varied)}.{form}"
        figures = plotting.files(folder / name_of(varied)) if len(varied) <= 2 else ()
        for made in (target, *figures):
            must_take(made)
        with terminal.points(case.slug) as update:

            def note(now: int, count: int, text: str) -> None:
                nonlocal done, last
                done, last = now, (folder, count)
                update(now, count, text)

            found = sweep(
                case,
                *(settings or ()),
                points=points,
                out=out,
                jobs=jobs,
                method=method,
                gap=gap,
                time_limit=time_limit,
                threads=threads,
                exact=exact,
                progress=note,
                say=terminal.say,
            )
        for point, error in found.failures:
            terminal.say(f"error: {error} (at {in_words(point)})")
        if not found.solutions:
            return NO_ANSWER
        text = render(found.table(quantity or None), form)
        write_text(target, text)
        if figures:
            plotting.save(found.plot(quantity or None), folder / found.name)
        else:
            terminal.say(f"no figure: it shows one or two parameters, and {len(found.axes)} are varied")
        terminal.write(text)
        terminal.say(f"wrote {', '.join(map(str, (target, *figures)))}")
        if any(isinstance(error, SolverError) for _, error in found.failures):
            return NO_ANSWER
        return BAD_INPUT if found.failures else GOOD if found.good else UNMET

    code = attempt(run, False, instance)
    if code in {INTERRUPTED, NO_ANSWER} and last is not None and done < last[1]:
        folder, count = last
        terminal.say(f"{done} of {count} points are in {folder}; the same command goes on from there")
    raise typer.Exit(code)


def reproduce_command(
    market: Annotated[
        str | None, typer.Argument(metavar="[MARKET]", help="A market's name. Default: all of them.", show_default=False)
    ] = None,
    instances: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder that holds a folder of instances for each market.")
    ] = Path("instances"),
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the tables.")] = Path("results"),
    outside: Outside = False,
) -> None:
    """Solve every instance again and write the tables of results.

    Writes DIR/<market>.csv (all that is claimed of each instance, beside what was found), claims.md (the sources' statements
    that instances decide), mechanisms.csv (what the mechanism files beside instances earn), curves/ (table and figure of each
    instance with a table [sweep]) and seconds.csv. The exit code is 1 if a claim is not met.
    """

    def run() -> int:
        from optmarket.studies.instance_library import reproduce

        root = ANYWHERE if outside else None
        done = reproduce(market, instances=instances, out=out, root=root, progress=terminal.say)
        for line in done.failures:
            terminal.say(line)
        codes = [GOOD if done.good else UNMET]
        codes += [complain(error, False, NO_ANSWER if isinstance(error, SolverError) else BAD_INPUT) for error in done.errors]
        terminal.say(f"wrote {', '.join(map(str, done.files))}")
        terminal.write(f"{done}\n")
        return max(codes)

    raise typer.Exit(attempt(run, False))
