"""How long a one-buyer market takes: constraint generation against the full LP and against cvxpy.

``python benchmarks/one_buyer.py`` measures everything and prints one table; ``--quick`` takes under a minute. Every measurement
is a process of its own, on one thread, so that its peak memory is its own and it can be stopped. ``--clock processor`` counts the
processor's time instead of the wall clock's, for a machine that others use too. Needs the ``test`` extra (cvxpy), on Unix.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import math
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from one_buyer_measurement import ARRAYS, CLOCKS, CUTS, FULL, LOOPS

# The parent imports nothing large: a process starts its peak memory from that of the one it comes from.

MEASUREMENT = Path(__file__).with_name("one_buyer_measurement.py")
AGREE = 1e-6  # payoff units: what the values found by all methods may differ by
BRIEF = 10.0  # seconds below which the slow methods are repeated too
PATIENCE = 600.0  # limit of constraint generation
MARKERS = ("<!-- measured: begin -->", "<!-- measured: end -->")


@dataclass(frozen=True)
class Family:
    """A family of markets.

    Attributes
    ----------
    sizes, quick : tuple of int
        Numbers of types.
    race : int
        Size at which the solvers for cvxpy with arrays are compared.
    targets : dict
        Size to (seconds, GiB or None) it should take on 2 cores.
    """

    title: str
    sizes: tuple[int, ...]
    quick: tuple[int, ...]
    race: int
    targets: dict[int, tuple[float, float | None]]


FAMILIES = {
    "line": Family(
        "line",
        (10, 30, 100, 300, 1000, 3000, 5000, 10000),
        (10, 100),
        150,
        {5000: (20, 1.5), 10000: (90, None)},
    ),
    "simplex": Family("three states, grid", (36, 210, 861, 3321), (36,), 66, {3321: (20, 1.5)}),
    "contexts": Family("two contexts", (30, 100, 500, 2000), (25,), 50, {2000: (20, None)}),
    "random": Family("three states, random", (30, 100, 300, 1000), (40,), 60, {}),
}


def snapped(family: str, n: int) -> int:
    """The nearest number of types not above n that the family has."""
    if family != "simplex":
        return n
    order = (math.isqrt(8 * n + 1) - 3) // 2
    return (order + 1) * (order + 2) // 2


class Bench:
    """Measurements made and kept, by method, family and size; None stands for one that was stopped."""

    def __init__(self, runs: int, limit: float, clock: str, store: Path | None) -> None:
        self.runs, self.limit, self.clock, self.store = runs, limit, clock, store
        self.done: dict[str, list[dict[str, Any] | None]] = {}
        if store is not None and store.exists():
            self.done = json.loads(store.read_text("utf-8"))

    def get(self, method: str, family: str, n: int) -> list[dict[str, Any] | None]:
        """All measurements there are."""
        return self.done.get(f"{method} | {family} | {n}", [])

    def run(self, method: str, family: str, n: int, runs: int | None = None) -> float:
        """Measure until there are as many runs as requested; the median of their seconds, infinite if stopped."""
        limit = PATIENCE if method == CUTS else self.limit
        results = self.done.setdefault(f"{method} | {family} | {n}", [])
        while len(results) < (self.runs if runs is None else runs) and None not in results:
            environment = {**os.environ, "PYTHONWARNINGS": "ignore", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
            command = [sys.executable, str(MEASUREMENT), method, family, str(n), str(limit), self.clock]
            child = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
            if child.returncode not in (0, -CLOCKS[self.clock][2]):
                raise SystemExit(f"{method}, {family}, {n} types: ended with {child.returncode}")
            results.append(json.loads(child.stdout.splitlines()[-1]) if child.returncode == 0 else None)
            shown = f"{results[-1]['seconds']:.2f} s" if results[-1] else f"stopped after {limit:g} s"
            print(f"{method}, {family}, {n} types: {shown}", file=sys.stderr, flush=True)
            if self.store is not None:
                self.store.write_text(json.dumps(self.done, indent=1), "utf-8")
        return math.inf if None in results else statistics.median(one["seconds"] for one in results if one)

    def reach(self, method: str, family: str, sizes: tuple[int, ...], *, search: bool) -> None:
        """A slow method on each size it may manage; then, with `search`, close to the largest."""
        able, seconds, unable = 0, 0.0, math.inf

        def attempt(n: int) -> None:
            nonlocal able, seconds, unable
            self.run(method, family, n, 1)
            # the first run decides, so that a resumed search goes the same way
            first = self.get(method, family, n)[0]
            if first is None:
                unable = min(unable, n)
                return
            if n > able:
                able, seconds = n, first["seconds"]
            if first["seconds"] < BRIEF:
                self.run(method, family, n)

        for n in sizes:
            # rows and columns grow with the square, so time does at least
            if seconds * (n / max(able, 1)) ** 2 > self.limit or n > unable:
                break
            attempt(n)
        for _ in range(2 if search else 0):
            if seconds > self.limit * 0.6 or not able:
                break
            grow = (0.75 * self.limit / seconds) ** (1 / 3.5)
            n = snapped(family, round(able * min(max(grow, 1.1), 2.5)))
            if n >= unable:
                n = snapped(family, round(math.sqrt(able * unable)))
            if n <= able or n >= unable or n / able < 1.05:
                break
            attempt(n)

    def sizes(self, family: str) -> list[int]:
        """Sizes with a measurement, ascending."""
        return sorted({int(key.split(" | ")[2]) for key in self.done if key.split(" | ")[1] == family})

    def best_array(self, family: str, n: int) -> tuple[str, list[dict[str, Any] | None]]:
        """The fastest solver for cvxpy with arrays at this size, and its measurements."""
        tried = {name: self.get(name, family, n) for name in ARRAYS}
        tried = {name: results for name, results in tried.items() if results}
        if not tried:
            return "", []
        name = min(tried, key=lambda name: math.inf if None in tried[name] else median(tried[name], "seconds"))
        return name, tried[name]

    def check(self, family: str, n: int) -> None:
        """Stop unless every value found for a market agrees.

        Raises
        ------
        SystemExit
        """
        values = {
            f"{method}, {part}": one[part]
            for method in (CUTS, FULL, LOOPS, *ARRAYS)
            for one in self.get(method, family, n)
            for part in ("value", "lower", "limit value")
            if one and part in one
        }
        if values and max(values.values()) - min(values.values()) > AGREE:
            listed = "\n".join(f"  {name}: {value!r}" for name, value in values.items())
            raise SystemExit(f"{family}, {n} types: the values differ by more than {AGREE:g}\n{listed}")


def median(results: list[dict[str, Any] | None], part: str) -> float:
    """Median over runs."""
    return float(statistics.median(one[part] for one in results if one))


def digits(number: float) -> str:
    """Three significant digits, none lost before the point."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def spread(results: list[dict[str, Any] | None], limit: float) -> str:
    """Median and range of the seconds."""
    if not results:
        return "–"
    if None in results:
        return f"over {limit:g}"
    seconds = [one["seconds"] for one in results if one]
    middle = digits(statistics.median(seconds))
    return middle if len(seconds) == 1 else f"{middle} ({digits(min(seconds))}..{digits(max(seconds))})"


def report(bench: Bench, families: list[str]) -> str:
    """The measurements as Markdown."""
    seconds = "wall clock" if bench.clock == "wall" else "processor (known to about 0.004 s)"
    lines = [
        machine(),
        "",
        f"Seconds of the {seconds}, one thread: median (least..most) of {bench.runs} runs, or a single run if there is no range. "
        f"The full LP and cvxpy may take {bench.limit:g} s; – is not tried, mostly because a smaller market takes too long.",
        "",
    ]
    heads = ["market", "types", FULL, LOOPS, "cvxpy, arrays", CUTS, "rounds", "rows", "LP", "separation", "memory, MiB", "gap"]
    heads += ["tight rows", "limit", "total / limit"]
    lines += ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    for family in families:
        for n in bench.sizes(family):
            bench.check(family, n)
            name, arrays = bench.best_array(family, n)
            cells = [FAMILIES[family].title, f"{n:,}"]
            cells += [spread(bench.get(method, family, n), bench.limit) for method in (FULL, LOOPS)]
            cells.append(spread(arrays, bench.limit) + (f", {name}" if arrays and None not in arrays else ""))
            cuts = bench.get(CUTS, family, n)
            cells.append(spread(cuts, PATIENCE))
            if cuts and None not in cuts:
                least = median(cuts, "limit")
                cells += [f"{median(cuts, part):,.0f}" for part in ("rounds", "rows")]
                cells += [digits(median(cuts, part)) for part in ("solver", "separation")]
                cells += [f"{median(cuts, 'memory'):.0f}", f"{median(cuts, 'gap'):.0e}", f"{median(cuts, 'tight'):,.0f}"]
                cells += [digits(least), digits(median(cuts, "seconds") / least)]
            cells += ["–"] * (len(heads) - len(cells))
            lines.append("| " + " | ".join(cells) + " |")
    lines += ["", *reached(bench, families)]
    return "\n".join(lines) + "\n"


def reached(bench: Bench, families: list[str]) -> list[str]:
    """What the measurements say of the aims, one item each."""
    lines = []
    for family in families:
        title = FAMILIES[family].title
        times: dict[int, float] = {}
        for n in bench.sizes(family):
            for results in (bench.get(LOOPS, family, n), bench.best_array(family, n)[1]):
                if results and None not in results:
                    times[n] = min(times.get(n, math.inf), median(results, "seconds"))
        if times and bench.get(CUTS, family, max(times)):
            n = max(times)
            own = median(bench.get(CUTS, family, n), "seconds")
            lines.append(
                f"- {title}: the largest market cvxpy was seen to solve within {bench.limit:g} s has {n:,} types, in "
                f"{digits(times[n])} s; constraint generation takes {digits(own)} s, {times[n] / own:,.0f} times faster"
                + (" (aim: 50)." if bench.limit >= 60 else ".")
            )
        for n in bench.sizes(family):
            cuts = bench.get(CUTS, family, n)
            if not cuts or None in cuts:
                continue
            least, own = median(cuts, "limit"), median(cuts, "seconds")
            if least > 1:
                said = "aim 2 met" if own <= 2 * least else "bound 5 met, aim 2 missed" if own <= 5 * least else "bound 5 MISSED"
                lines.append(f"- {title}, {n:,} types: {own / least:.2f} times the limit of {digits(least)} s ({said}).")
            if n in FAMILIES[family].targets:
                seconds, gib = FAMILIES[family].targets[n]
                slowest = max(one["seconds"] for one in cuts if one)
                most = max(one["memory"] for one in cuts if one) / 1024
                met = slowest <= seconds and (gib is None or most <= gib)
                aim = f"{seconds:g} s" + (f", {gib:g} GiB" if gib else "")
                lines.append(
                    f"- {title}, {n:,} types: at most {digits(slowest)} s and {most:.2f} GiB "
                    f"(aim {aim}: {'met' if met else 'MISSED'})."
                )
    return lines


def machine() -> str:
    """Hardware and versions in a sentence."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        described = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in described if line.startswith("model name"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("optmarket", "highspy", "numpy", "scipy", "cvxpy", "clarabel")
    )
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB; {system}, {versions}."


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, one run, under a minute")
    parser.add_argument("--family", action="append", choices=FAMILIES, help="only this one; may be repeated")
    parser.add_argument("--runs", type=int, default=3, help="runs of each measurement (default 3)")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds the full LP and cvxpy may take (default 60)")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="what seconds are (default wall)")
    parser.add_argument("--store", type=Path, help="JSON file of measurements: those it has are not repeated")
    parser.add_argument("--output", type=Path, help="Markdown file to put the table in, between its markers if it has them")
    args = parser.parse_args()
    families = args.family or list(FAMILIES)
    bench = Bench(1 if args.quick else args.runs, 4.0 if args.quick else args.limit, args.clock, args.store)
    for family in families:
        chosen = FAMILIES[family]
        sizes = chosen.quick if args.quick else chosen.sizes
        for n in sizes:
            bench.run(CUTS, family, n)
        solver = "HiGHS ipm"
        if not args.quick:
            solver = min(ARRAYS, key=lambda name: bench.run(name, family, chosen.race, 1))
        for method in (solver, FULL, LOOPS):
            bench.reach(method, family, sizes, search=not args.quick)
        for n in bench.sizes(family):
            if any(one for method in (FULL, LOOPS, *ARRAYS) for one in bench.get(method, family, n)):
                bench.run(CUTS, family, n)
    text = report(bench, families)
    print(text)
    if args.output is not None:
        page = args.output.read_text("utf-8") if args.output.exists() else "\n".join(MARKERS)
        before, marker, rest = page.partition(MARKERS[0])
        _, other, after = rest.partition(MARKERS[1])
        page = f"{before}{marker}\n\n{text}\n{other}{after}" if marker and other else text
        args.output.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
