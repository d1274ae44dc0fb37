"""Implement the command line: read arguments, call the engine, print the result, and return an exit code."""

from __future__ import annotations

import math
import os
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from optmarket import startup
from optmarket.cli import batch
from optmarket.cli.arguments import (
    BAD_INPUT,
    GOOD,
    UNMET,
    Exact,
    File,
    Files,
    Gap,
    Json,
    Method,
    Outside,
    Threads,
    TimeLimit,
    attempt,
    check_options,
    code_of,
    complain,
    each,
    loaded,
)
from optmarket.errors import InstanceError, ModelError, OptmarketError
from optmarket.files import STDOUT, must_be_writable, must_have_short_keys, must_take, read_text, write_text
from optmarket.reporting import terminal

if TYPE_CHECKING:
    from optmarket.certificates import Claim
    from optmarket.instances.instance import Instance
    from optmarket.modeling.registry import ModelSpec
    from optmarket.solution import Solution

# Modules that are slow to import are imported inside the commands that need them, so that --version and --help respond at once.

_EXIT_CODES = """
\b
Exit codes (of several files the largest):
  0    good
  1    a claim not met, an audit violation above tolerance, a gap not reached, a time limit,
       a saved solution that contradicts itself
  2    bad input, or a file or stream that cannot be written
  3    no certified answer from the solver
  130  interrupted
  141  nobody reads stdout any more
"""

app = typer.Typer(
    name="optmarket",
    help="""Optimal markets for data and information, exactly, with proof.

    \b
    Start here:
      optmarket list                                the markets, and the instances below ./instances
      optmarket new MARKET -o my.toml               a commented instance to edit; it solves as it stands
      optmarket solve my.toml                       the optimal mechanism, its proof and its audit
      optmarket solve my.toml --out results         and the solution as a JSON file (--plot: and drawn)
      optmarket sweep my.toml --set PARAM=0:2:0.25  the optimum over a range of a parameter: table and figure
      optmarket table results                       the solutions in a folder, one row each
      optmarket reproduce                           every instance below ./instances again, into ./results
      optmarket audit my.toml MECHANISM.json        what anyone's mechanism earns, and whether it holds

    Data go to stdout, talk and progress to stderr. Every command has its own help: optmarket solve -h.""",
    epilog=_EXIT_CODES,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

# Commands --------------------------------------------------------------------------------------------------------------


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        terminal.write(f"optmarket {version('optmarket')}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command("list")
def list_command(
    market: Annotated[
        str | None,
        typer.Argument(metavar="[MARKET]", help="Say more of one market: its methods and its quantities.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the markets, and the instances below ./instances; or what one market has to offer."""

    def run() -> int:
        from optmarket.modeling import registry
        from optmarket.reporting import console_report

        markets = [registry.get(name) for name in (registry.names() if market is None else [market])]
        below = sorted(Path("instances").rglob("*.toml")) if market is None else []
        found = [(path, _title(path)) for path in below if path.is_file()]
        if as_json:
            terminal.write_json(
                {"markets": [_described(spec) for spec in markets]}
                | ({"instances": [_located(path, title) for path, title in found]} if market is None else {})
            )
            return GOOD
        if market is not None:
            terminal.show(console_report.market(markets[0], terminal.width_of(sys.stdout)))
            return GOOD
        terminal.show(console_report.listing([(spec.name, spec.title, spec.source) for spec in markets]))
        if found:
            shown = [(path.as_posix(), title or "cannot be read; see `optmarket check`") for path, title in found]
            terminal.write("\n")
            terminal.show(console_report.listing(shown))
        return GOOD

    raise typer.Exit(attempt(run, as_json))


@app.command("show")
def show_command(
    file: Annotated[
        Path, typer.Argument(metavar="INSTANCE|SOLUTION.json", help="An instance, or a saved solution.", show_default=False)
    ],
    outside: Outside = False,
    as_json: Json = False,
) -> None:
    """Print what an instance says, or a saved solution.

    A saved solution is held against itself, not solved or audited again; one that contradicts itself is marked, with exit code 1.
    """

    def run() -> int:
        from optmarket.reporting import console_report
        from optmarket.reporting.consistency import held_against_itself
        from optmarket.solution import Solution

        if file.suffix.lower() == ".json":
            found, wrong = held_against_itself(Solution.read(file))
            _print_solution(found, as_json, wrong)
            if as_json:
                for words in wrong:
                    terminal.say(f"wrong: {file}: {words}")
            return UNMET if wrong else GOOD
        case = loaded(file, outside)
        if as_json:
            terminal.write_json(
                {
                    **_named(case),
                    "title": case.title,
                    "source": case.source,
                    "params": console_report.parameters(case),
                    "expect": [_without_none(claim) for claim in case.expect],
                    "notes": case.notes,
                }
            )
        else:
            terminal.show(console_report.instance(case, terminal.width_of(sys.stdout)))
        return GOOD

    raise typer.Exit(attempt(run, as_json, file))


@app.command("new")
def new_command(
    market: Annotated[str, typer.Argument(metavar="MARKET", help="A market's name, as in `optmarket list`.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write it to this file, which must not exist. Default: -, stdout."),
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="With --from: the files to make it from.", show_default=False),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="KIND",
            help="Make the instance from FILEs of this kind; `optmarket list MARKET` says which kinds the market takes. "
            "Default: the market's example.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="With --from: say something more about the files. Default: nothing.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a commented instance to start from; it solves as it stands.

    \b
    From classifiers:
      optmarket new MARKET tree.csv linear.csv --from confusion --set class=cat -o my.toml
    """

    def run() -> int:
        from optmarket.instances.template import template
        from optmarket.modeling import registry

        spec = registry.get(market)
        if kind is None and (files or settings):
            raise InstanceError("goes with --from", field="FILE" if files else "--set")
        text = template(spec.name, spec.title, spec.source, spec.params) if kind is None else _made(spec, kind)
        if output is None or str(output) == STDOUT:
            terminal.write(text)
            return GOOD
        if os.path.lexists(output):
            raise InstanceError("exists already; name a new file", file=str(output))
        write_text(output, text)
        terminal.say(f"wrote {output}; try: optmarket solve {output}")
        return GOOD

    def _made(spec: ModelSpec[Any, Any, Any], kind: str) -> str:
        if kind not in spec.sources:
            known = f"it takes {', '.join(spec.sources)}" if spec.sources else "it takes none; leave --from out"
            raise ModelError(f"is {kind!r}, which is no kind of files that {spec.name} is made from; {known}", field="--from")
        source = spec.sources[kind]
        given: dict[str, str] = {}
        for setting in settings or []:
            name, equals, value = setting.partition("=")
            if not equals or name not in source.options:
                known = f"write NAME=VALUE, with {', '.join(source.options)}" if source.options else "leave it out"
                raise InstanceError(f"is {setting!r}; {known}", field="--set")
            given[name] = value
        return source.make(files or [], given)

    raise typer.Exit(attempt(run, False))


@app.command("check")
def check_command(instances: Files, outside: Outside = False, as_json: Json = False) -> None:
    """Validate instance files without solving them."""
    reports: list[dict[str, Any]] = []

    def run(file: Path) -> int:
        from optmarket.reporting import console_report

        case = loaded(file, outside)
        if as_json:
            reports.append({**_named(case), "title": case.title, "notes": case.notes})
            return GOOD
        terminal.show(console_report.plain(f"ok  {case.slug}  {case.sha256[:12]}  {console_report.outline(case)}"))
        for note in case.notes:
            terminal.say(f"note: {file}: {note}")
        return GOOD

    code = each(instances, run, as_json)
    if as_json:
        terminal.write_json({"instances": reports})
    raise typer.Exit(code)


@app.command("solve")
def solve_command(
    instances: Files,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write each solution to DIR/<slug>.json. Default: write nothing."),
    ] = None,
    method: Method = None,
    gap: Gap = None,
    time_limit: TimeLimit = None,
    threads: Threads = 1,
    exact: Exact = False,
    plot: Annotated[
        bool, typer.Option("--plot", help="Also draw each solution into DIR/<slug>.png and .svg. Default: draw nothing.")
    ] = False,
    outside: Outside = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one solution a line as JSON, and errors as JSON on stderr. Default: text.")
    ] = False,
) -> None:
    """Solve instances and print what was found.

    That is the optimal mechanism, the bounds that prove it, its audit, and how the known answers compare.

    Ctrl-C stops the solver; the bounds and the best mechanism so far are printed.
    """
    written: dict[Path, Path] = {}
    printed: list[Path] = []

    def prepare() -> int:
        check_options(gap, time_limit, threads)
        if plot and out is None:
            raise InstanceError("needs --out DIR, the folder that figures and solutions go into", field="--plot")
        if out is not None:
            must_be_writable(out)
        return GOOD

    def run(file: Path) -> int:
        from optmarket import plotting
        from optmarket.api import solve

        case = loaded(file, outside)
        target = None if out is None else out / f"{case.slug}.json"
        if target is not None:
            if target in written:
                raise InstanceError(f"would overwrite the solution of {written[target]} in {target}", file=str(file))
            for made in (target, *(plotting.files(target.with_suffix("")) if plot else ())):
                must_take(made)
            written[target] = file
        with terminal.progress(case.slug, hidden=as_json) as progress:
            found = solve(case, method=method, gap=gap, time_limit=time_limit, threads=threads, exact=exact, progress=progress)
        try:
            if target is not None:
                found.write(target)
                terminal.say(f"wrote {target}")
            if out is not None and plot:
                for figure in plotting.save(found.plot(), out / case.slug):
                    terminal.say(f"wrote {figure}")
        finally:
            if printed and not as_json:
                terminal.write("\n")
            printed.append(file)
            _print_solution(found, as_json)
        return code_of(found)

    code = attempt(prepare, as_json)
    raise typer.Exit(code or each(instances, run, as_json))


@app.command("audit")
def audit_command(
    instance: File,
    mechanism: Annotated[
        Path,
        typer.Argument(metavar="MECHANISM.json", help="A mechanism file, or a solution saved by solve.", show_default=False),
    ],
    outside: Outside = False,
    as_json: Json = False,
) -> None:
    """Say what anyone's mechanism earns and whether it holds.

    It is audited from the market's primitives alone. Violations are what a type could gain, in payoff units; the exit code is 1
    if one exceeds its tolerance, in most markets 1e-7 of what is at stake for the type.
    """

    def run() -> int:
        from optmarket.api import audit
        from optmarket.reporting import console_report

        case = loaded(instance, outside)
        found = audit(case, mechanism)
        if as_json:
            words = console_report.verdict(case.model, found).plain
            # JSON has no infinity, so an unbounded gain is written as null.
            gains = {name: gain if math.isfinite(gain) else None for name, gain in found.violations.items()}
            audited = {**asdict(found), "violations": gains}
            terminal.write_json({"instance": _named(case), "audit": audited, "good": found.good, "verdict": words})
        else:
            terminal.show(console_report.audit(case, found, terminal.width_of(sys.stdout)))
        return GOOD if found.good else UNMET

    raise typer.Exit(attempt(run, as_json, instance))


@app.command("export")
def export_command(
    instance: File,
    file_format: Annotated[Literal["mps", "lp"], typer.Option("--format", help="The file's format.")] = "mps",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write to this file, - for stdout. Default: the instance's name."),
    ] = None,
    outside: Outside = False,
) -> None:
    """Write an instance's full linear program, for other solvers.

    The objective is in the market's units; coefficients are decimals of 15 digits.
    """

    def run() -> int:
        from optmarket.lp import export
        from optmarket.modeling import registry

        case = loaded(instance, outside)
        spec = registry.get(case.model)
        program = spec.program(spec.market(case.params))
        if program is None:
            raise ModelError("has no linear program to export; a continuum of types has one with grid")
        target = Path(f"{instance.stem}.{file_format}") if output is None else output
        if str(target) == STDOUT:
            with tempfile.TemporaryDirectory() as folder:
                written = Path(folder) / f"{instance.stem[:100]}.{file_format}"
                export.write(program, written)
                terminal.write(written.read_text("utf-8"))
        elif target.suffix != f".{file_format}":
            raise InstanceError(f"must end in .{file_format}", file=str(target))
        else:
            must_take(target)
            export.write(program, target)
        rows, columns, nonzeros = program.size(full=True)
        terminal.say(f"wrote {target}: {rows:,} rows, {columns:,} columns, {nonzeros:,} non-zeros")
        return GOOD

    raise typer.Exit(attempt(run, False, instance))


app.command("sweep")(batch.sweep_command)
app.command("table")(batch.table_command)
app.command("reproduce")(batch.reproduce_command)


def main() -> int:
    """Run the command line on `sys.argv`.

    Returns
    -------
    int
        The exit code.
    """
    os.environ["MPLBACKEND"] = "agg"  # figures are only saved; another backend set by the user might fail to load
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # the terminal's encoding may lack some characters of a title
    terminal.silence_libraries()
    try:
        code = _run()
    except OptmarketError as error:  # raised outside of `attempt`, if stdout fails while help or a summary is printed
        code = complain(error, False, BAD_INPUT)
    except OSError as error:
        usage = getattr(error.__context__, "format_message", None)  # a usage error that could not be written to stderr
        terminal.give_up(sys.stderr if usage else sys.stdout)
        terminal.complain(
            f"error: {usage() if usage else OptmarketError(terminal.in_words(error), file=error.filename or 'stdout')}"
        )
        code = BAD_INPUT
    startup.end()
    return code


def _run() -> int:
    stdout = sys.stdout
    try:
        app(prog_name="optmarket")
    except SystemExit as stop:
        if sys.stdout is not stdout:  # typer replaces stdout if the reader of its help has closed the pipe
            return terminal.CLOSED_PIPE
        return int(stop.code or GOOD)
    return GOOD


def _title(path: Path) -> str | None:
    """Read the title of an instance without validating the rest; None if the file cannot be read."""
    try:
        text = read_text(path)
        must_have_short_keys(text, str(path))
        title = tomllib.loads(text).get("title")
    except (OptmarketError, ValueError, RecursionError):
        return None
    return title if isinstance(title, str) else None


def _described(spec: ModelSpec[Any, Any, Any]) -> dict[str, Any]:
    """A market as the JSON object that `list --json` prints."""
    return {
        "name": spec.name,
        "title": spec.title,
        "source": spec.source,
        "objective": spec.objective,
        "methods": list(spec.methods),
        "quantities": {name: asdict(quantity) for name, quantity in spec.quantities.items()},
    }


def _located(path: Path, title: str | None) -> dict[str, str | None]:
    """An instance file as the JSON object that `list --json` prints."""
    return {"slug": path.relative_to("instances").with_suffix("").as_posix(), "file": path.as_posix(), "title": title}


def _named(case: Instance) -> dict[str, Any]:
    return {"file": case.file, "slug": case.slug, "sha256": case.sha256, "model": case.model}


def _without_none(claim: Claim) -> dict[str, Any]:
    return {key: value for key, value in asdict(claim).items() if value is not None}


def _print_solution(found: Solution, as_json: bool, saved: Sequence[str] | None = None) -> None:
    from optmarket.reporting import console_report

    if as_json:
        terminal.write(found.to_json() + "\n")
    else:
        terminal.show(console_report.solution(found, terminal.width_of(sys.stdout), saved))
