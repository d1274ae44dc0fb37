"""What commands share: their arguments, their exit codes, and errors in one line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from optmarket import startup
from optmarket.api import load
from optmarket.errors import InstanceError, OptmarketError, SolverError
from optmarket.files import ANYWHERE
from optmarket.instances.instance import Instance
from optmarket.reporting import terminal
from optmarket.solution import Solution, Status

GOOD, UNMET, BAD_INPUT, NO_ANSWER, INTERRUPTED = 0, 1, 2, 3, startup.INTERRUPTED

Files = Annotated[list[Path], typer.Argument(metavar="INSTANCE", help="Instance files (TOML).", show_default=False)]
File = Annotated[Path, typer.Argument(metavar="INSTANCE", help="An instance file (TOML).", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text, and errors as JSON on stderr. Default: text.")]
Method = Annotated[
    str, typer.Option(help="A method of the market (`optmarket list --json` names them), or auto to let it choose.")
]
Gap = Annotated[
    float | None,
    typer.Option(
        help="Stop when the certified gap is at most this, above 0: upper less lower bound, relative to the larger of the two. "
        "Default: go on to the solver's tolerances.",
    ),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(help="Stop each solve after this many seconds, above 0, with the bounds reached. Default: none."),
]
Threads = Annotated[int, typer.Option(help="Threads the solver may use, at least 1; at most its cores are used.")]
Exact = Annotated[
    bool, typer.Option("--exact", help="Prove the optimum in rational arithmetic; for small programs. Default: in floats.")
]
Outside = Annotated[
    bool,
    typer.Option(
        "--allow-outside",
        help="Let instances refer to any file of this machine. Default: to files in or below their own folder only.",
    ),
]
Form = Annotated[Literal["csv", "md", "tex"], typer.Option("--format", help="csv, markdown, or LaTeX with booktabs.")]
Quantities = Annotated[
    list[str] | None,
    typer.Option(
        "--quantity",
        metavar="NAME",
        help="A quantity to show beside the objective and its bounds; may be repeated. Default: all there are.",
    ),
]


def loaded(file: Path, outside: bool) -> Instance:
    """An instance; its files may lie anywhere if that is allowed."""
    return load(file, root=ANYWHERE if outside else None)


def check_options(gap: float | None, time_limit: float | None, threads: int) -> None:
    """Fail in the command line's words if a number is out of range."""
    for name, value in (("--gap", gap), ("--time-limit", time_limit)):
        if value is not None and not 0 < value < math.inf:
            raise InstanceError(f"is {value:g}; must be above 0 and finite", field=name)
    if threads < 1:
        raise InstanceError(f"is {threads}; must be at least 1", field="--threads")


def attempt(run: Callable[[], int], as_json: bool, file: Path | None = None) -> int:
    """Run, and say what went wrong in one line; the exit code."""
    name = None if file is None else str(file)
    try:
        startup.ready()
        return run()
    except SolverError as error:
        return complain(error, as_json, NO_ANSWER)
    except OptmarketError as error:
        error.file = error.file or name
        return complain(error, as_json, BAD_INPUT)
    except MemoryError:
        return complain(SolverError("needs more memory than there is", file=name), as_json, NO_ANSWER)
    except KeyboardInterrupt:
        return complain(OptmarketError("interrupted", file=name), as_json, INTERRUPTED)
    except Exception as error:
        if not _comes_of_ctrl_c(error):
            raise
        return complain(OptmarketError("interrupted", file=name), as_json, INTERRUPTED)


def _comes_of_ctrl_c(error: BaseException) -> bool:
    """Whether an error is what a library, in C, made of Ctrl-C."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, KeyboardInterrupt):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def each(files: list[Path], run: Callable[[Path], int], as_json: bool) -> int:
    """Run on every file, whatever becomes of the others, until interrupted; the largest exit code."""
    worst = GOOD
    for file in files:
        worst = max(worst, attempt(partial(run, file), as_json, file))
        if worst == INTERRUPTED:
            break
    return worst


def code_of(found: Solution) -> int:
    if found.status is Status.INTERRUPTED:
        return INTERRUPTED
    if found.status in {Status.INFEASIBLE, Status.UNBOUNDED, Status.FAILED}:
        return NO_ANSWER
    return GOOD if found.good else UNMET


def complain(error: OptmarketError, as_json: bool, code: int) -> int:
    terminal.complain(json.dumps({"error": error.as_dict()}) if as_json else f"error: {error}")
    return code
