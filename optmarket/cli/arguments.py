"""Define what the commands share: arguments, exit codes, and the reporting of errors in one line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from optmarket import startup
from optmarket.errors import InstanceError, OptmarketError, SolverError
from optmarket.files import ANYWHERE
from optmarket.reporting import terminal

if TYPE_CHECKING:
    from optmarket.instances.instance import Instance
    from optmarket.solution import Solution

GOOD, UNMET, BAD_INPUT, NO_ANSWER, INTERRUPTED = 0, 1, 2, 3, startup.INTERRUPTED

Files = Annotated[list[Path], typer.Argument(metavar="INSTANCE", help="Instance files (TOML).", show_default=False)]
File = Annotated[Path, typer.Argument(metavar="INSTANCE", help="An instance file (TOML).", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text, and errors as JSON on stderr. Default: text.")]
Method = Annotated[
    str | None,
    typer.Option(
        help="A method of the market (`optmarket list MARKET` names them), or auto to let it choose. Default: the instance's, "
        "or auto."
    ),
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
    """Read an instance file; if `outside` is true, it may refer to any file."""
    from optmarket.api import load

    return load(file, root=ANYWHERE if outside else None)


def check_options(gap: float | None, time_limit: float | None, threads: int) -> None:
    """Check that the numbers are in range, with messages that name the options of the command line.

    Raises
    ------
    InstanceError
        If one is not.

    Examples
    --------
    >>> check_options(gap=1e-3, time_limit=None, threads=1)
    """
    for name, value in (("--gap", gap), ("--time-limit", time_limit)):
        if value is not None and not 0 < value < math.inf:
            raise InstanceError(f"is {value:g}; must be above 0 and finite", field=name)
    if threads < 1:
        raise InstanceError(f"is {threads}; must be at least 1", field="--threads")


def attempt(run: Callable[[], int], as_json: bool, file: Path | None = None) -> int:
    """Run a function, report an error in one line, and return the exit code.

    Parameters
    ----------
    run : callable
        Returns an exit code.
    as_json : bool
        Whether to report errors as JSON.
    file : Path, optional
        The file that is processed, for messages.
    """
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
    """Whether an exception was caused by Ctrl-C, which libraries in C may convert into another exception."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, KeyboardInterrupt):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def each(files: list[Path], run: Callable[[Path], int], as_json: bool) -> int:
    """Run a function on every file, also after errors, but not after an interrupt; return the largest exit code."""
    worst = GOOD
    for file in files:
        worst = max(worst, attempt(partial(run, file), as_json, file))
        if worst == INTERRUPTED:
            break
    return worst


def code_of(found: Solution) -> int:
    """The exit code for a solution."""
    from optmarket.options import Status

    if found.status is Status.INTERRUPTED:
        return INTERRUPTED
    if found.status in {Status.INFEASIBLE, Status.UNBOUNDED, Status.FAILED}:
        return NO_ANSWER
    return GOOD if found.good else UNMET


def complain(error: OptmarketError, as_json: bool, code: int) -> int:
    """Report an error in one line, and return the exit code."""
    terminal.complain(json.dumps({"error": error.as_dict()}) if as_json else f"error: {error}")
    return code
