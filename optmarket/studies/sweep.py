"""Solve an instance for many values of its parameters, in parallel, and save each point as soon as it is solved."""

from __future__ import annotations

import hashlib
import math
import os
import re
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pandas as pd

from optmarket.api import check_method, load, solve
from optmarket.errors import InstanceError, ModelError, OptmarketError, SolverError
from optmarket.files import must_be_writable
from optmarket.instances.instance import Instance
from optmarket.instances.parameters import Axis, axes, axis_of_csv, grid, in_words, vary
from optmarket.modeling import registry
from optmarket.options import Options, Status
from optmarket.reporting.consistency import held_against_itself
from optmarket.reporting.tables import headed, tables
from optmarket.solution import VERSION, Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Settings = dict[str, Fraction]
Point = tuple[int, Solution | OptmarketError]
LONGEST_NAME = 120  # bytes of a file name; file systems allow about 255
MOST_PER_CORE = 4  # the largest number of processes for each core
NAME = 16  # characters of the content's hash in the name of a point's file


@dataclass(frozen=True)
class Sweep:
    """The result of a sweep.

    Attributes
    ----------
    case : Instance
        The instance whose parameters were varied.
    axes : tuple of Axis
    solutions : tuple of Solution
        The solved points in the order of the grid, in which the last axis varies fastest.
    failures : tuple of (settings, OptmarketError)
        The points without a certified answer.
    reused : int
        The number of points that were read from files of an earlier sweep.
    quantities : tuple of str
        The quantities that tables and figures show by default.
    """

    case: Instance
    axes: tuple[Axis, ...]
    solutions: tuple[Solution, ...]
    failures: tuple[tuple[Settings, OptmarketError], ...]
    reused: int
    quantities: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether every point was solved and has a good solution: see `Solution.good`."""
        return not self.failures and all(solution.good for solution in self.solutions)

    @property
    def name(self) -> str:
        """The name of the sweep's files, which is made from the names of the axes."""
        return name_of(self.axes)

    def table(self, quantities: Sequence[str] | None = None) -> pd.DataFrame:
        """Make a table with one row for each point.

        The columns are those of `optmarket.tables` without instance and market. The row of a failed point has its parameters and
        its status only. The label of an axis is the first column, and published values follow the column of their quantity.

        Parameters
        ----------
        quantities : sequence of str, optional
            The quantities to show in addition to the objective and its bounds; by default those that the sweep names or, if it
            names none, all.

        Returns
        -------
        DataFrame

        Raises
        ------
        InstanceError
            If no point was solved, or none has a requested quantity.
        """
        frame = tables(self.solutions, quantities=quantities or self.quantities or None).drop(columns=["instance", "model"])
        paths = [path for axis in self.axes for path in axis.paths]
        if self.failures:
            lost: list[dict[str, Any]] = [
                {**{path: float(value) for path, value in settings.items()}, "status": str(Status.FAILED)}
                for settings, _ in self.failures
            ]
            frame = pd.concat([frame, pd.DataFrame(lost)]).sort_values(paths, ignore_index=True)
        for axis in self.axes:
            place = {tuple(map(float, step.values())): k for k, step in enumerate(axis)}
            steps = [place[row] for row in frame[list(axis.paths)].itertuples(index=False, name=None)]
            for name, stated in axis.known.items():
                if (column := headed(self.solutions[0], name)) in frame:
                    values = [math.nan if (value := stated[k]) is None else float(value) for k in steps]
                    frame.insert(
                        list(frame.columns).index(column) + 1, headed(self.solutions[0], f"published {name}", name), values
                    )
            if axis.label:
                frame.insert(0, axis.label, [float(axis.marks[k]) for k in steps], allow_duplicates=True)
                frame = frame.iloc[np.argsort(frame.iloc[:, 0], kind="stable")].reset_index(drop=True)
        return frame

    def plot(self, quantities: Sequence[str] | None = None) -> Figure:
        """Draw the sweep as lines over its first parameter: see `sweep_figure.draw`.

        Parameters
        ----------
        quantities : sequence of str, optional
            The quantities to draw, one panel each; by default those that the sweep names or, if it names none, the objective and
            the quantities with published values.

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
        from optmarket.studies.sweep_figure import draw

        return draw(self, quantities)


def sweep(
    source: str | Path | Instance,
    *settings: str,
    points: str | Path | None = None,
    out: str | Path | None = None,
    jobs: int = 1,
    backend: str = "loky",
    method: str | None = None,
    gap: float | None = None,
    time_limit: float | None = None,
    threads: int = 1,
    exact: bool = False,
    progress: Callable[[int, int, str], object] | None = None,
    say: Callable[[str], object] | None = None,
) -> Sweep:
    """Solve an instance for every combination of values of some parameters.

    Parameters
    ----------
    source : path or Instance
    settings : str
        One text for each axis, for example ``"types[0].value=0:2:1/4"``: start, stop (included) and step, or a single value.
        Parameters of the same text, separated by commas, are varied together; several texts make a grid.
    points : path, optional
        Instead of settings, a csv file with one row for each point: see `optmarket.instances.parameters.axis_of_csv`. Without
        either, the instance's own ``[sweep]`` is used.
    out : path, optional
        A folder in which each point is saved as ``<slug>/points/<name>.json`` as soon as it is solved. Points that are found
        there are not solved again if instance, parameters, options and version of the program are the same.
    jobs : int
        The number of points that are solved at the same time.
    backend : str
        The backend of joblib: ``loky`` for processes on this machine, or another one, such as ``dask`` for a cluster with a
        connected client.
    method, gap, time_limit, threads, exact
        As in `solve`, for each point.
    progress : callable, optional
        Called with the number of points done, the number of points, and a text on the last one.
    say : callable, optional
        Called with a sentence on the points found in ``out``.

    Returns
    -------
    Sweep

    Raises
    ------
    InstanceError
        If a setting does not name a number of the instance, the market does not accept a point, or the folder cannot be written.
        All points are checked before the first is solved.
    ModelError
        If joblib cannot use the backend, or the market has no such method.
    SolverError
        If a process that solves points was killed. Solved points remain in ``out``.
    KeyboardInterrupt
        On Ctrl-C. Solved points remain in ``out``.

    Examples
    --------
    >>> found = sweep("instances/selling-information/two-types.toml", "types.0.value=1:2:1")
    >>> [round(point.value, 6) for point in found.solutions]
    [0.271429, 0.431818]
    """
    case = source if isinstance(source, Instance) else load(source)
    if not isinstance(jobs, int) or jobs < 1:
        raise InstanceError(f"is {jobs!r}; must be a whole number, at least 1", field="jobs")
    curve = None if settings or points is not None else case.curve
    method = method or case.method or "auto"
    options = Options(method, case.gap if gap is None else gap, time_limit, threads, exact)
    check_method(case, method)
    varied = varied_in(case, settings, points)
    steps = list(grid(varied))
    names = _checked(case, varied, steps)
    folder = None if out is None else Path(out) / case.slug / "points"
    found: dict[int, Solution] = {}
    if folder is not None:
        must_be_writable(folder)
        found = _kept(case, steps, names, folder, options, say or (lambda _: None))
    reused = len(found)
    lost: dict[int, OptmarketError] = {}
    done = reused
    if progress:
        progress(done, len(steps), "")
    left = [k for k in range(len(steps)) if k not in found]
    with closing(_solved(case, steps, left, options, jobs, backend)) as answers:
        for k, answer in answers:
            if isinstance(answer, OptmarketError):
                lost[k] = answer
            elif answer.status is Status.INTERRUPTED:
                raise KeyboardInterrupt
            else:
                found[k] = answer
                if folder is not None:
                    answer.write(folder / f"{names[k][:NAME]}.json")
            done += 1
            if progress:
                words = f"{answer.objective} {answer.value:.6g}" if isinstance(answer, Solution) else "failed"
                progress(done, len(steps), f"{in_words(steps[k])}: {words}")
    solutions = tuple(found[k] for k in sorted(found))
    return Sweep(
        case, varied, solutions, tuple((steps[k], lost[k]) for k in sorted(lost)), reused, curve.quantities if curve else ()
    )


def varied_in(case: Instance, settings: Sequence[str] = (), points: str | Path | None = None) -> tuple[Axis, ...]:
    """Read the axes of a sweep, from settings or points as in `sweep`, or from the instance's own ``[sweep]``.

    Parameters
    ----------
    case : Instance
    settings : sequence of str
    points : path, optional

    Returns
    -------
    tuple of Axis

    Raises
    ------
    InstanceError
        If both settings and points are given, or one of them is invalid.
    """
    if points is not None and settings:
        raise InstanceError("is given beside ranges of parameters; give one or the other", field="points")
    if not settings and points is None and case.curve is not None:
        settings, points = case.curve.set or (), case.points
    return axes(case, settings) if points is None else (axis_of_csv(case, points, registry.get(case.model).units),)


def name_of(varied: Sequence[Axis]) -> str:
    """The name of a sweep's files: the names of its axes or, if that is too long for a file name, a hash of them.

    Parameters
    ----------
    varied : sequence of Axis

    Examples
    --------
    >>> name_of([Axis(("types[0].value",), ((Fraction(1),),))])
    'by-types-0-value'
    """
    whole = "by-" + "-".join(re.sub(r"\W+", "-", axis.name).strip("-") for axis in varied)
    return whole if len(whole.encode()) <= LONGEST_NAME else f"by-{hashlib.sha256(whole.encode()).hexdigest()[:NAME]}"


def _checked(case: Instance, varied: Sequence[Axis], steps: Sequence[Settings]) -> list[str]:
    """Check that the market accepts every point, and return their hashes."""
    names = []
    for k, step in enumerate(steps):
        try:
            names.append(vary(case, step).sha256)
        except OptmarketError as error:
            if varied[0].origin:
                error.message += f", {varied[0].origin[k]}"
            raise
    return names


def _solved(
    case: Instance, points: list[Settings], left: list[int], options: Options, jobs: int, backend: str
) -> Generator[Point]:
    """Yield the points in the order in which they are solved."""
    tasks = (joblib.delayed(_point)(k, vary(case, points[k]), options) for k in left)
    kwargs = {"initializer": _leave_with, "initargs": (os.getpid(),)} if backend == "loky" else {}
    if backend == "loky":  # loky starts the requested number of processes even if there are fewer points
        jobs = max(1, min(jobs, len(left), MOST_PER_CORE * (os.cpu_count() or 1)))
    try:
        with joblib.parallel_config(backend, n_jobs=jobs, **kwargs):
            parallel = joblib.Parallel(return_as="generator_unordered")
    except ValueError as error:
        raise ModelError(f"joblib cannot use the backend {backend!r}: {error}", field="backend") from error
    with _deaf_to_interrupts():
        answers = parallel(tasks)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "[0-9]+ tasks which were still being processed")  # expected after Ctrl-C
        try:
            yield from answers
        except BrokenExecutor as error:
            words = "a process that solved points was killed, as the system does when memory runs out; fewer --jobs take less"
            raise SolverError(words, file=case.file) from error


def _leave_with(starter: int) -> None:
    """In a process of a sweep, suppress warnings, and exit when the process that started it ends.

    Otherwise, if that process was killed, this one would wait forever to return its result.
    """
    warnings.filterwarnings("ignore", append=True)

    def watch() -> None:
        while os.getppid() == starter:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Start processes that ignore Ctrl-C, which only the starting process handles; they inherit the signal's setting."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _point(k: int, case: Instance, options: Options) -> Point:
    """Solve one point; an error is returned rather than raised, so that the other points are still solved."""
    try:
        return k, solve(case, threads=options.threads, **options.requested())
    except OptmarketError as error:
        return k, error


def _kept(
    case: Instance, points: list[Settings], names: list[str], folder: Path, options: Options, say: Callable[[str], object]
) -> dict[int, Solution]:
    """Read the points that an earlier sweep saved with the same instance, parameters, options and version."""
    found: dict[int, Solution] = {}
    refused: dict[str, int] = {}
    for k, (point, name) in enumerate(zip(points, names, strict=True)):
        file = folder / f"{name[:NAME]}.json"
        if not file.exists():
            continue
        try:
            kept = Solution.read(file)
        except InstanceError:
            refused["cannot be read"] = refused.get("cannot be read", 0) + 1
            continue
        kept, wrong = held_against_itself(kept)
        why = "contradicts itself" if wrong else _unlike(kept, name, options)
        if why:
            refused[why] = refused.get(why, 0) + 1
            continue
        if kept.settings != point:  # the same parameters, although the earlier sweep varied others
            kept = replace(
                kept,
                title=vary(case, point).title,
                instance=replace(kept.instance, set={path: str(value) for path, value in point.items()}),
            )
            kept.write(file)
        found[k] = kept
    if found:
        say(f"{len(found)} of {len(points)} points are in {folder} already")
    for why, count in refused.items():
        say(f"{count} of {len(points)} points in {folder} {'is' if count == 1 else 'are'} made again: {why}")
    return found


def _unlike(kept: Solution, name: str, options: Options) -> str | None:
    """State why a saved point cannot be used; None if it can."""
    if kept.instance.sha256 != name:
        return "solved for another instance"
    if kept.run.optmarket != VERSION:
        return f"made by version {kept.run.optmarket or 'unknown'}, and this is {VERSION}"
    if kept.run.requested != options.requested():
        return "solved with other options"
    return None
