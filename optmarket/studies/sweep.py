"""One instance solved for many values of its parameters: in parallel, each point kept on disk as soon as it is there."""

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
from optmarket.instances.parameters import Axis, axes, grid, in_words, listed, vary
from optmarket.modeling import registry
from optmarket.plotting import label, style
from optmarket.reporting.consistency import held_against_itself
from optmarket.reporting.tables import headed, tables
from optmarket.solution import VERSION, Options, Solution, Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Settings = dict[str, Fraction]
Point = tuple[int, Solution | OptmarketError]
LONGEST_NAME = 120  # bytes; file systems take about 255
MOST_PER_CORE = 4  # processes
NAME = 16  # characters of the content's name in a point's file name
LINES = (("-", "o"), ("--", "s"), ("-.", "^"), (":", "D"), ("-", "x"), ("--", "v"), ("-.", "+"), (":", "*"))
MOST_MARKED = 60
FLAT = 1e-5


@dataclass(frozen=True)
class Sweep:
    """What a sweep found.

    Attributes
    ----------
    case : Instance
        What was varied.
    axes : tuple of Axis
    solutions : tuple of Solution
        The points solved, in the order of the grid, the last axis fastest.
    failures : tuple of (settings, OptmarketError)
        The points that have no certified answer.
    reused : int
        How many points were on disk already.
    quantities : tuple of str
        What tables and figures show unless told otherwise.
    """

    case: Instance
    axes: tuple[Axis, ...]
    solutions: tuple[Solution, ...]
    failures: tuple[tuple[Settings, OptmarketError], ...]
    reused: int
    quantities: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Every point solved, and `Solution.good`."""
        return not self.failures and all(solution.good for solution in self.solutions)

    @property
    def name(self) -> str:
        """What its files are called: by the axes' names."""
        return name_of(self.axes)

    def table(self, quantities: Sequence[str] | None = None) -> pd.DataFrame:
        """One row a point, as `optmarket.tables` gives it but for instance and market; a failed one has settings and status.

        A labelled axis makes the first column; what is stated of a quantity stands behind it as ``published``.

        Parameters
        ----------
        quantities : sequence of str, optional
            Which quantities to show beside the objective and its bounds; the sweep's, and if it names none all, if not given.

        Raises
        ------
        InstanceError
            If no point was solved, or none has a quantity asked for.
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
        """Lines over the first parameter, one for each value of the second; the objective's bounds are shaded.

        What is stated of a quantity is drawn as open circles. A line is broken where the quantity is not reported.

        Parameters
        ----------
        quantities : sequence of str, optional
            One panel each; the sweep's, and if it names none the objective and what is stated, if not given.

        Raises
        ------
        InstanceError
            If no point was solved or none has a quantity asked for.
        ModelError
            If more than two parameters are varied independently.
        """
        if len(self.axes) > 2:
            raise ModelError(f"a figure shows one or two parameters, and this sweep has {len(self.axes)}; use its table")
        if not self.solutions:
            raise InstanceError("no point was solved, so there is nothing to draw", file=self.case.file)
        known = [name for axis in self.axes for name in axis.known]
        names = list(quantities or self.quantities or dict.fromkeys([self.solutions[0].objective, *known]))
        for name in names:
            if not any(name in solution.quantities for solution in self.solutions):
                there = ", ".join(self.solutions[0].quantities)
                raise InstanceError(f"there is no quantity {name!r} in these solutions; there are {there}")
        with style():
            from matplotlib.figure import Figure

            figure = Figure(figsize=(4.8, 0.6 + 2.6 * len(names)), layout="constrained")
            figure.suptitle(label(self.case.title, 60, 2), x=0.01, ha="left")
            panels = figure.subplots(len(names), squeeze=False)[:, 0]
            for panel, name in zip(panels, names, strict=True):
                self._draw(panel, name)
            panels[-1].set_xlabel(self.axes[0].name)
        return figure

    def _draw(self, panel: Axes, name: str) -> None:
        """One quantity over the first axis."""
        first = self.axes[0]
        place = {tuple(step.values()): float(x) for step, x in zip(first, first.x, strict=True)}
        second = self.axes[1].name if len(self.axes) > 1 else None
        lines: dict[Fraction | None, list[tuple[float, Solution]]] = {}
        for solution in self.solutions:
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
                lower = [solution.certificate.lower for _, solution in line]
                upper = [solution.certificate.upper for _, solution in line]
                panel.fill_between(at, lower, upper, color="0.8", linewidth=0)
        if stated:
            circles = [(float(x), float(y)) for x, y in zip(first.x, stated, strict=True) if y is not None]
            at, y = [x for x, _ in circles], [y for _, y in circles]
            panel.plot(at, y, "o", color="0", markerfacecolor="none", markersize=5, label="published")
        low, high = panel.get_ylim()
        middle = (low + high) / 2
        if high - low < FLAT * abs(middle):  # what varies is rounding
            panel.set_ylim(middle - 0.05 * abs(middle), middle + 0.05 * abs(middle))
        panel.ticklabel_format(axis="y", useOffset=False)
        panel.set_ylabel(label(headed(self.solutions[0], name), 34, 2))
        if second or stated:
            panel.legend(frameon=False)


def sweep(
    source: str | Path | Instance,
    *settings: str,
    points: str | Path | None = None,
    out: str | Path | None = None,
    jobs: int = 1,
    backend: str = "loky",
    method: str = "auto",
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
        ``"types[0].value=0:2:1/4"``: start, stop (included) and step; or one value. Several in one text, joined by commas, move
        together; several texts make a grid.
    points : path, optional
        Instead of settings: a csv file with a row a point, see `optmarket.instances.parameters.listed`. Without either the
        instance's own ``[sweep]`` is done.
    out : path, optional
        Folder that keeps each point, as ``<slug>/points/<name>.json``, as soon as it is solved. Points found there are not
        solved again if instance, settings, options and version of the program are the same.
    jobs : int
        How many points to solve at once.
    backend : str
        How joblib does that: ``loky`` in processes of this machine; another one it knows, such as ``dask`` for a cluster whose
        client is there.
    method, gap, time_limit, threads, exact
        As for `solve`, for each point.
    progress : callable, optional
        Called with the number of points done, the number of points, and what the last one came to in words.
    say : callable, optional
        Called with a sentence on what was found in ``out``.

    Returns
    -------
    Sweep

    Raises
    ------
    InstanceError
        If a setting names no number of the instance or the market does not accept a point, found before anything is solved;
        or the folder cannot be written.
    SolverError
        If a process that solves points was killed. The points that were finished are kept.
    KeyboardInterrupt
        On Ctrl-C. The points that were finished are kept.
    """
    case = source if isinstance(source, Instance) else load(source)
    if not isinstance(jobs, int) or jobs < 1:
        raise InstanceError(f"is {jobs!r}; must be a whole number, at least 1", field="jobs")
    curve = None if settings or points is not None else case.curve
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
    """What a sweep varies: the settings or points given as to `sweep`, or what the instance asks for.

    Raises
    ------
    InstanceError
        As `sweep`, before anything is solved.
    """
    if points is not None and settings:
        raise InstanceError("is given beside ranges of parameters; give one or the other", field="points")
    if not settings and points is None and case.curve is not None:
        settings, points = case.curve.set or (), case.points
    return axes(case, settings) if points is None else (listed(case, points, registry.get(case.model).units),)


def name_of(varied: Sequence[Axis]) -> str:
    """What the files of a sweep are called: by the axes' names, cut where no file could be called so."""
    whole = "by-" + "-".join(re.sub(r"\W+", "-", axis.name).strip("-") for axis in varied)
    return whole if len(whole.encode()) <= LONGEST_NAME else f"by-{hashlib.sha256(whole.encode()).hexdigest()[:NAME]}"


def _checked(case: Instance, varied: Sequence[Axis], steps: Sequence[Settings]) -> list[str]:
    """The names of all points, so that one the market does not accept is told before the first is solved."""
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
    """Points as they get solved."""
    tasks = (joblib.delayed(_point)(k, vary(case, points[k]), options) for k in left)
    kwargs = {"initializer": _leave_with, "initargs": (os.getpid(),)} if backend == "loky" else {}
    if backend == "loky":  # which starts as many processes as it is told, whatever there is to do
        jobs = max(1, min(jobs, len(left), MOST_PER_CORE * (os.cpu_count() or 1)))
    try:
        with joblib.parallel_config(backend, n_jobs=jobs, **kwargs):
            parallel = joblib.Parallel(return_as="generator_unordered")
    except ValueError as error:
        raise ModelError(f"joblib cannot use the backend {backend!r}: {error}", field="backend") from error
    with _deaf_to_interrupts():
        answers = parallel(tasks)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "[0-9]+ tasks which were still being processed")  # after Ctrl-C they have to go
        try:
            yield from answers
        except BrokenExecutor as error:
            words = "a process that solved points was killed, as the system does when memory runs out; fewer --jobs take less"
            raise SolverError(words, file=case.file) from error


def _leave_with(starter: int) -> None:
    """In a process of a sweep: show no warnings, and end with the process that started it.

    If that one was killed, this one would wait forever to hand over its result.
    """
    warnings.filterwarnings("ignore", append=True)

    def watch() -> None:
        while os.getppid() == starter:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started here never hear of Ctrl-C, which is for the one that starts them: they inherit that it is ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _point(k: int, case: Instance, options: Options) -> Point:
    """Solve one point, wherever this runs; what went wrong is handed back, so that the other points go on."""
    try:
        return k, solve(case, threads=options.threads, **options.asked())
    except OptmarketError as error:
        return k, error


def _kept(
    case: Instance, points: list[Settings], names: list[str], folder: Path, options: Options, say: Callable[[str], object]
) -> dict[int, Solution]:
    """The points a former sweep left that are what would be solved now."""
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
        if kept.settings != point:  # the same numbers, come to by setting others
            kept = replace(
                kept, title=vary(case, point).title, instance={**kept.instance, "set": {p: str(v) for p, v in point.items()}}
            )
            kept.write(file)
        found[k] = kept
    if found:
        say(f"{len(found)} of {len(points)} points are in {folder} already")
    for why, count in refused.items():
        say(f"{count} of {len(points)} points in {folder} {'is' if count == 1 else 'are'} made again: {why}")
    return found


def _unlike(kept: Solution, name: str, options: Options) -> str | None:
    """Why a point on disk is not the one asked for."""
    if kept.instance["sha256"] != name:
        return "solved for another instance"
    if kept.run.get("optmarket") != VERSION:
        return f"made by version {kept.run.get('optmarket', 'unknown')}, and this is {VERSION}"
    if kept.run.get("asked") != options.asked():
        return "solved with other options"
    return None
