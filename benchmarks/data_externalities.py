"""How long the platform's optimum and the first best of users with correlated data take, beside what a user would write.

``python benchmarks/data_externalities.py`` prints the table; ``--limit`` is the time that each search has, in seconds, and
``--quick`` leaves out all that takes longer than a few seconds. Users have unit variances and values drawn from 0 to 5/2.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from one_buyer import machine

from optmarket.arrays import FloatArray
from optmarket.certificates import relative_gap
from optmarket.models.data_externalities.branch_and_bound import Found, maximise
from optmarket.models.data_externalities.covariance import generated
from optmarket.models.data_externalities.leaks import GaussianLeaks, without_self
from optmarket.models.data_externalities.market import Market, Profiles
from optmarket.models.data_externalities.milp import platform_by_milp
from optmarket.models.data_externalities.objectives import Gaussian, PlatformObjective, PlatformPayoff, Surplus
from optmarket.models.data_externalities.params import Params
from optmarket.options import Options
from optmarket.rationals import floats

KINDS = ("factor", "block", "toeplitz", "random")


def users(kind: str, n: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """A covariance matrix and values of privacy."""
    covariance = floats(generated(kind, n, seed, 3, 0.5)).reshape(n, n)
    return covariance, np.random.default_rng(seed + 100).uniform(0, 2.5, n).round(3)


def by_loop(covariance: FloatArray, value: FloatArray) -> float:
    """What one writes first: for each set of sharers, and each user's absence from it, a linear system."""
    n = len(value)

    def leaks(sharers: tuple[int, ...]) -> FloatArray:
        across = covariance[:, sharers]
        kernel = covariance[np.ix_(sharers, sharers)] + np.eye(len(sharers))
        return np.asarray((across * np.linalg.solve(kernel, across.T).T).sum(axis=1))

    best = 0.0
    for count in range(1, n + 1):
        for sharers in itertools.combinations(range(n), count):
            leak = leaks(sharers)
            paid = sum(value[i] * (leak[i] - leaks(tuple(j for j in sharers if j != i))[i]) for i in sharers)
            best = max(best, float(leak.sum() - paid))
    return best


def by_table(covariance: FloatArray, value: FloatArray) -> float:
    """All profiles by rank-one updates."""
    from fractions import Fraction

    table = GaussianLeaks(((Fraction(1), covariance.astype(object)),)).table(exact=False)
    return float(Profiles(table, without_self(table), value, value).platform.max())


def searched(what: str, covariance: FloatArray, value: FloatArray, limit: float) -> Found:
    """Branch and bound, or the mixed-integer program."""
    options = Options(time_limit=limit)
    starts = np.stack([value <= 1, np.ones(len(value), dtype=bool)])
    if what == "platform":
        return maximise(PlatformObjective(PlatformPayoff(covariance, value)), starts, options, options.deadline())
    if what == "first best":
        return maximise(Surplus(Gaussian(covariance, value)), starts, options, options.deadline())
    given = {"covariance": covariance.tolist(), "privacy_value": value.tolist()}
    return platform_by_milp(Market.of(Params.model_validate(given)), options, options.deadline())


def seconds_of(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds by the wall clock, and what comes of it."""
    start = time.perf_counter()
    found = run()
    return time.perf_counter() - start, found


def spread(seconds: list[float]) -> str:
    """Median, least and most."""
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for each search (default 60)")
    parser.add_argument("--seeds", type=int, default=3, help="markets of each kind (default 3)")
    parser.add_argument("--quick", action="store_true", help="a few seconds for everything, up to 30 users")
    given = parser.parse_args()
    seeds = range(1, given.seeds + 1)
    limit = min(given.limit, 3.0) if given.quick else given.limit
    print(f"{machine()}; median seconds over {given.seeds} seeds (least to most)\n")

    print("| users | one linear system a set | all profiles | branch and bound | largest difference |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for n in (8, 10, 12) if given.quick else (8, 12, 14, 18):
        rows: dict[str, list[float]] = {"loop": [], "table": [], "search": []}
        apart = 0.0
        for seed in seeds:
            market = users("factor", n, seed)
            found = []
            if n <= 12:
                seconds, value = seconds_of(partial(by_loop, *market))
                rows["loop"].append(seconds)
                found.append(value)
            seconds, value = seconds_of(partial(by_table, *market))
            rows["table"].append(seconds)
            found.append(value)
            seconds, result = seconds_of(partial(searched, "platform", *market, limit))
            rows["search"].append(seconds)
            apart = max(apart, *(abs(one - result.value) for one in found))
        loop = spread(rows["loop"]) if rows["loop"] else "–"
        print(f"| {n} | {loop} | {spread(rows['table'])} | {spread(rows['search'])} | {apart:.0e} |", flush=True)

    print("\n| users | matrix | platform: seconds | gap | boxes | first best: seconds | gap | MILP: seconds | gap |")
    print("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for n in (20, 30) if given.quick else (20, 25, 30, 40, 50, 60, 100):
        for kind in KINDS:
            cells = [str(n), kind]
            for what in ("platform", "first best", "milp"):
                if what == "milp" and n > 25:
                    cells += ["–", "–"]
                    continue
                runs = [seconds_of(partial(searched, what, *users(kind, n, seed), limit)) for seed in seeds]
                gap = max(relative_gap(one.value, one.upper, 1e-10 * n) for _, one in runs)
                cells += [spread([one for one, _ in runs]), f"{gap:.0e}" if gap > 1e-6 else "proved"]
                if what == "platform":
                    cells.append(f"{statistics.median(one.boxes for _, one in runs):,.0f}")
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
