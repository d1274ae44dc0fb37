"""How long continua of types take, to which bracket, beside trained networks and a grid.

``python benchmarks/distributions.py`` prints the tables; ``--runs N`` repeats each measurement, and the median and the spread are
printed. One thread, processor seconds, the parsing of the instance and the audit included. Run it where the instances lie.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

from one_buyer import machine

LIBRARY = Path(__file__).parents[1] / "instances" / "selling-information"
FINEST = 1e-6  # of a bracket on beliefs and values
GRIDS = ((5, 10), (10, 20), (20, 40))


def solved(name: str, gap: float | None, runs: int) -> tuple[Any, str]:
    """A solution and its processor seconds."""
    import optmarket as om

    seconds = []
    for _ in range(runs):
        start = time.process_time()
        found = om.solve(LIBRARY / f"{name}.toml", gap=gap)
        seconds.append(time.process_time() - start)
    return found, f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


def learned(name: str) -> str:
    """By how much a trained network's menu falls short of what is proved, in percent."""
    import optmarket as om

    if not (LIBRARY / f"{name}.learned.json").exists():
        return "–"
    case = om.load(LIBRARY / f"{name}.toml")
    best = om.solve(case).certificate
    assert isinstance(best, om.Optimality)
    learned = om.audit(case, LIBRARY / f"{name}.learned.json").quantities["revenue"]
    return f"{100 * (1 - learned / best.lower):.2g} %"


def on_grid(name: str, size: tuple[int, int]) -> tuple[float, float]:
    """What a grid's optimum is, and its processor seconds."""
    from optmarket import load
    from optmarket.models import selling_information
    from optmarket.options import Options

    params = load(LIBRARY / f"{name}.toml").params.model_dump(mode="json", by_alias=True)
    start = time.process_time()
    finite = selling_information.Params.model_validate({**params, "grid": {"size": list(size)}})
    return selling_information.solve(selling_information.market(finite), Options()).quantities[
        "revenue"
    ], time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="measurements of each (default 3)")
    runs = parser.parse_args().runs
    solved("setting-a", None, 1)  # imports are not what is timed
    print(f"{machine()}; {runs} runs: median seconds (least to most)\n")
    print("| instance | gap asked, of revenue | seconds | revenue | bracket, of revenue | learned menu earns less |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    rows: list[tuple[str, float | None]] = [(f"setting-{name}", None) for name in ("a", "b", "c", "d")]
    rows += [(f"setting-{name}", part) for name in ("e", "f-30", "f-45", "f", "f-80") for part in (5e-3, 1e-3, 5e-4, FINEST)]
    rows += [("partial-in-both-states", part) for part in (1e-3, 5e-4)]
    for name, part in rows:
        found, seconds = solved(name, part, runs)
        bounds = found.certificate
        width = (bounds.upper - bounds.lower) / bounds.upper
        asked = "–" if part is None else "best" if part == FINEST else f"{part:g}"
        shown = learned(name) if part in {None, FINEST} else ""
        print(f"| {name} | {asked} | {seconds} | {found.value:.9f} | {width:.1e} | {shown} |", flush=True)
    print("\n| grid of setting-e | seconds | its optimum | above the bound on all types |\n| --- | ---: | ---: | ---: |")
    upper = solved("setting-e", None, 1)[0].certificate.upper
    for size in GRIDS:
        value, seconds_taken = on_grid("setting-e", size)
        print(f"| {size[0]} x {size[1]} | {seconds_taken:.2f} | {value:.6f} | {100 * (value / upper - 1):.2g} % |", flush=True)


if __name__ == "__main__":
    main()
