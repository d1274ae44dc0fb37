"""How long training-data markets take: a line of types in both forms of the program against cvxpy, and the map of regions.

``python benchmarks/training_data.py`` prints the tables; ``--runs N`` repeats each measurement, and the median and the spread are
printed. One thread. Needs the ``test`` extra (cvxpy), on Unix.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from one_buyer import machine

if TYPE_CHECKING:
    from optmarket.models.selling_training_data import LineGrid

LIMIT = 60.0  # seconds for each measurement
SIZES = (100, 500, 2000, 5000)
MAP = 101  # points of the map along each axis
HIGH = (Fraction(1, 4), Fraction(1, 4))


def line(size: int) -> LineGrid:
    """The market of so many equally likely types on a line."""
    from optmarket.models.selling_training_data import LineGrid, Params, market

    fields = {"line": {"k": "1/5", "m": "3/10"}, "alpha": {"dist": "uniform", "scale": "1/4"}, "grid": {"size": size}}
    found = market(Params.model_validate(fields))
    if not isinstance(found, LineGrid):
        raise TypeError(f"a line with a grid gives a {type(found).__name__}")
    return found


def optimum(size: int, method: str) -> float:
    """The optimal revenue by optmarket."""
    from optmarket.models.selling_training_data import solve
    from optmarket.options import Options

    return float(solve(line(size), Options(method=method)).quantities["revenue"])


def with_cvxpy(size: int) -> float:
    """The reduced program as its formulas stand, with arrays."""
    import cvxpy as cp

    types = line(size)
    weight, error = np.array(types.weights, dtype=float), np.array(types.errors, dtype=float)
    left, price = cp.Variable((size, 2)), cp.Variable(size)
    cost = cp.sum(cp.multiply(error, left), axis=1) + price
    others = error @ left.T + cp.reshape(price, (1, size), order="C")
    own = cp.reshape(cost, (size, 1), order="C")
    rows = [left >= 0, left <= 1, cost <= error.sum(axis=1), own <= others]
    rows += [own <= cp.reshape(left[:, k] / 2 + price, (1, size), order="C") for k in range(2)]
    return float(cp.Problem(cp.Maximize(weight @ price), rows).solve(solver="HIGHS"))


def low_types() -> tuple[Any, Any]:
    """The points of a square grid that are low types of `HIGH`."""
    ticks = np.linspace(0, 0.5, MAP)
    x, y = (part.ravel() for part in np.meshgrid(ticks, ticks))
    inside = x + y <= 0.5 + 1e-12
    return x[inside], y[inside]


def closed_map() -> Any:
    """Revenue at each low type by the closed form."""
    from optmarket.models.selling_training_data import region_map

    return region_map(HIGH, *low_types()).revenue


def program_map() -> Any:
    """The same by a linear program for each."""
    from optmarket.lp import highs
    from optmarket.models.selling_training_data.lp import build

    half = Fraction(1, 2)
    types = zip(*(map(Fraction, part.round(12).astype(str)) for part in low_types()), strict=True)
    return np.array([highs.solve(build([(half, HIGH), (half, low)]).full()).bound for low in types])


def timed(run: Callable[[], Any], runs: int) -> tuple[str, Any]:
    """Median and spread of the seconds a call takes, and what it gives back; nothing beyond the limit."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    seconds, result = [], None
    with suppress(TimeoutError):
        for _ in range(runs):
            signal.setitimer(signal.ITIMER_REAL, LIMIT)
            start = time.perf_counter()
            result = run()
            seconds.append(time.perf_counter() - start)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    if not seconds:
        return f"over {LIMIT:g}", None
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})", result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="measurements of each (default 3)")
    runs = parser.parse_args().runs
    optimum(10, "general")  # imports are not what is timed
    print(f"{machine()}; {runs} runs: median seconds (least to most)\n")
    print("| types on a line | reduced | general | cvxpy, arrays | largest difference |\n| ---: | ---: | ---: | ---: | ---: |")
    given_up = False
    for size in SIZES:
        reduced, value = timed(partial(optimum, size, "auto"), runs)
        general, other = timed(partial(optimum, size, "general"), runs)
        plain, third = ("–", None) if given_up else timed(partial(with_cvxpy, size), runs)
        given_up = third is None
        found = [found for found in (value, other, third) if found is not None]
        print(f"| {size:,} | {reduced} | {general} | {plain} | {max(found) - min(found):.1e} |", flush=True)
    closed, by_form = timed(closed_map, runs)
    solved, by_program = timed(program_map, 1)
    difference = f"{np.abs(by_form - by_program).max():.1e}" if by_program is not None else "–"
    print(f"\nMap of {MAP} x {MAP} low types, {len(low_types()[0]):,} of them in the triangle:")
    print(f"closed form {closed} s, programs {solved} s, largest difference {difference}")


if __name__ == "__main__":
    main()
