"""How long markets of competing buyers take, beside cvxpy and the training times of published networks.

``python benchmarks/competing_buyers.py`` prints what the rows of the paper's four tables take, the methods at their
aims, and the general program against one written in cvxpy. Each measurement is a process of its own, on one thread, so that its
peak memory is its own; ``--runs N`` repeats it, and median and spread are printed. Run it where the instances lie.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from one_buyer import machine

LIBRARY = Path(__file__).parents[1] / "instances" / "competing-buyers"
PATIENCE = 60  # seconds for cvxpy
ROWS = [
    f"{values}-{ic}-{externality}-{prior}"
    for ic in ("bayesian", "ex-post")
    for values in ("uniform", "exponential", "asymmetric")
    for externality in ("weak", "strong")
    for prior in ("even", "skewed")
]
EVEN = {"prior": ["1/2", "1/2"], "externality": "1/2"}
# name: what, method, buyers, reports each, incentives, aim in seconds
FORMS: dict[str, tuple[str, str, int, int, str, str]] = {
    "reduced, Bayesian": ("values", "reduced", 2, 320, "bayesian", "5"),
    "reduced, ex post": ("values", "reduced", 2, 200, "ex-post", "10"),
    "reduced, ten symmetric buyers": ("values", "reduced", 10, 8, "bayesian", "10"),
    "virtual values, Bayesian": ("values", "virtual-values", 10, 100, "bayesian", "1"),
    "virtual values, ex post": ("values", "virtual-values", 10, 100, "ex-post", "1"),
    "general, Bayesian": ("beliefs", "cuts", 2, 64, "bayesian", "30"),
    "general, ex post": ("beliefs", "cuts", 2, 32, "ex-post", "15"),
    "general, five buyers": ("beliefs", "cuts", 5, 6, "bayesian", "–"),
}
AGAINST = (4, 8, 16, 32, 64)


def grid(what: str, buyers: int, size: int) -> list[dict[str, Any]]:
    """Buyers whose values, or beliefs in the first of two states, are uniform in so many cells."""
    distribution = {"dist": "uniform"}
    if what == "values":
        return [{"count": buyers, "value": distribution, "grid": {"size": size, "rule": "lower"}}]
    return [{"count": buyers, "belief": distribution, "grid": {"size": size}}]


def measured(name: str) -> dict[str, Any]:
    """One measurement: seconds of the solve, and its revenue and certified gap."""
    from optmarket.certificates import Optimality
    from optmarket.models import competing_buyers
    from optmarket.options import Options

    what, method, buyers, size, ic, _ = FORMS[name]
    fields = EVEN if what == "values" else {"externality": "1/2"}
    params = competing_buyers.Params.model_validate({**fields, "ic": ic, "buyers": grid(what, buyers, size)})
    start = time.perf_counter()
    answer = competing_buyers.solve(competing_buyers.market_of(params), Options(method=method))
    seconds = time.perf_counter() - start
    proof = answer.certificate
    assert isinstance(proof, Optimality)
    return {"seconds": seconds, "value": answer.quantities["revenue"], "gap": proof.gap, "status": answer.status}


def tables() -> dict[str, Any]:
    """All rows of the paper's tables: revenue alone, and whole solves with mechanism, audit and bounds."""
    import optmarket as om
    from optmarket.models.competing_buyers import Params, market_of
    from optmarket.models.competing_buyers.market import ContinuousValues
    from optmarket.models.competing_buyers.virtual_values.continuum import revenue

    cases = [om.load(LIBRARY / f"{name}.toml") for name in ROWS]
    start = time.perf_counter()
    values = []
    for case in cases:
        assert isinstance(case.params, Params)
        market = market_of(case.params)
        assert isinstance(market, ContinuousValues)
        values.append(revenue(market)[0])
    alone = time.perf_counter() - start
    start = time.perf_counter()
    found = [om.solve(case) for case in cases]
    known = [float(case.expect[0].value) if "/" not in case.expect[0].value else ratio(case.expect[0].value) for case in cases]
    wrong = max(abs(value - right) for value, right in zip(values, known, strict=True))
    return {"seconds": alone, "whole": time.perf_counter() - start, "good": all(one.good for one in found), "wrong": wrong}


def ratio(text: str) -> float:
    above, below = text.split("/")
    return int(above) / int(below)


def ours(size: int, ic: str) -> dict[str, Any]:
    """The general program of two buyers of private beliefs, by constraint generation."""
    FORMS["against cvxpy"] = ("beliefs", "cuts", 2, size, ic, "–")
    return measured("against cvxpy")


def plain(size: int, ic: str) -> dict[str, Any]:
    """The same, written in cvxpy with arrays: every type, report and recommendation has its best action as a maximum."""
    import cvxpy as cp
    import numpy as np

    share = 0.5
    first = (np.arange(size) + 0.5) / size
    belief = np.stack([first, 1 - first], axis=1)
    outside = belief.max(axis=1) - share
    start = time.perf_counter()
    rows: list[Any] = []
    # [buyer][state]: chances of a correct recommendation, the first buyer's report by the second's
    correct = [[cp.Variable((size, size), bounds=[0, 1]) for _ in range(2)] for _ in range(2)]
    earned: Any = 0

    def deviations(own: list[Any], rival: list[Any], paid: Any, kept: Any) -> None:
        """Types as rows against reports as columns; chances of correct recommendations by report, state by state."""
        followed = [belief[:, [w]] @ own[w] for w in range(2)]
        reversed_ = [belief[:, [w]] @ (1 - own[w]) for w in range(2)]
        best = cp.maximum(followed[0], reversed_[1]) + cp.maximum(followed[1], reversed_[0])
        cost = sum(share * belief[:, [w]] @ rival[w] for w in range(2))
        rows.append(best - cost - np.ones((size, 1)) @ paid <= kept @ np.ones((1, size)))
        rows.append(kept >= outside[:, None])

    for i in range(2):
        own = correct[i] if i == 0 else [one.T for one in correct[1]]  # own report by the other's
        rival = correct[1] if i == 0 else [one.T for one in correct[0]]
        if ic == "bayesian":
            paid = cp.Variable((1, size))
            mean, rivals_mean = [[cp.sum(each, axis=1, keepdims=True).T / size for each in of] for of in (own, rival)]
            kept = sum(cp.multiply(belief[:, w], mean[w][0] - share * rivals_mean[w][0]) for w in range(2)) - paid[0]
            deviations(mean, rivals_mean, paid, cp.reshape(kept, (size, 1), order="C"))
            earned += cp.sum(paid) / size
            continue
        paid = cp.Variable((size, size))
        for other in range(size):
            own_column, rival_column = [[each[:, [other]].T for each in of] for of in (own, rival)]
            kept = (
                sum(cp.multiply(belief[:, w], own_column[w][0] - share * rival_column[w][0]) for w in range(2)) - paid[:, other]
            )
            deviations(own_column, rival_column, paid[:, [other]].T, cp.reshape(kept, (size, 1), order="C"))
        earned += cp.sum(paid) / size**2
    problem = cp.Problem(cp.Maximize(earned), rows)
    value = problem.solve(solver="HIGHS")
    return {"seconds": time.perf_counter() - start, "value": float(value)}


def run(*job: str, limit: float | None = None) -> dict[str, Any] | None:
    """A measurement in a process of its own; none if it takes too long."""
    try:
        done = subprocess.run(
            [sys.executable, __file__, "--one", *job], capture_output=True, text=True, check=True, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return None
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def repeated(runs: int, *job: str, limit: float | None = None) -> tuple[dict[str, Any] | None, str]:
    """The last of some measurements, and seconds as text."""
    found = run(*job, limit=limit)
    if found is None:
        return None, f"over {PATIENCE}"
    seconds = [found["seconds"]]
    for _ in range(runs - 1):
        again = run(*job)
        assert again is not None
        seconds.append(again["seconds"])
    spread = f" ({min(seconds):.2f} to {max(seconds):.2f})" if runs > 1 else ""
    return found, f"{statistics.median(seconds):.2f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="measurements of each (default 3)")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        kind, *rest = given.one
        jobs: dict[str, Any] = {"tables": tables, "form": measured, "ours": ours, "plain": plain}
        found = jobs[kind](*(int(word) if word.isdigit() else word for word in rest))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        print(json.dumps({**found, "memory": peak}))
        return
    print(f"Median seconds of {given.runs} runs (least to most), wall clock, one thread: {machine()}\n")
    found, seconds = repeated(given.runs, "tables")
    assert found is not None
    print(f"The 24 rows of the paper's tables: {seconds} s for all revenues, largest difference from the known values")
    print(
        f"{found['wrong']:.1e}; whole solves with mechanisms, audits and bounds {found['whole']:.1f} s, good: {found['good']}.\n"
    )
    print("| form | market | seconds | aim | MiB | revenue | certified gap |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for name, (what, _, buyers, size, _, aim) in FORMS.items():
        found, seconds = repeated(given.runs, "form", name)
        assert found is not None
        print(
            f"| {name} | {buyers} buyers, {size} {what} | {seconds} | {aim} | {found['memory']:.0f} | {found['value']:.9f} "
            f"| {found['gap']:.0e} |",
            flush=True,
        )
    print(
        "\n| two buyers of private beliefs | constraint generation | cvxpy, arrays, HiGHS | difference |"
        "\n| --- | ---: | ---: | ---: |"
    )
    for ic in ("bayesian", "ex-post"):
        over = False
        for size in AGAINST[: 5 if ic == "bayesian" else 4]:
            mine, seconds = repeated(given.runs, "ours", str(size), ic)
            theirs, slow = (None, "–") if over else repeated(1, "plain", str(size), ic, limit=PATIENCE)
            over = over or theirs is None
            assert mine is not None
            difference = "–" if theirs is None else f"{abs(mine['value'] - theirs['value']):.0e}"
            print(f"| {size} beliefs, {ic} | {seconds} | {slow} | {difference} |", flush=True)


if __name__ == "__main__":
    main()
