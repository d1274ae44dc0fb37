"""One measurement of a one-buyer market, in a process of its own: `one_buyer.py` starts them and reports.

``python benchmarks/one_buyer_measurement.py METHOD FAMILY TYPES SECONDS CLOCK`` prints the measurement as JSON.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import resource
import signal
import sys
import time
from typing import Any

# Nothing large is imported here, because the process that starts the measurements imports this file too, and a process starts its
# peak memory from that of the one it comes from.

SEED = 2018
CLOCKS = {
    "wall": (time.perf_counter, signal.ITIMER_REAL, signal.SIGALRM),
    "processor": (time.process_time, signal.ITIMER_PROF, signal.SIGPROF),
}
CUTS, FULL, LOOPS = "constraint generation", "full LP", "cvxpy, loops"
ARRAYS: dict[str, dict[str, Any]] = {
    "HiGHS simplex": {"solver": "HIGHS"},
    "HiGHS ipm": {"solver": "HIGHS", "highs_options": {"solver": "ipm"}},
    "Clarabel": {"solver": "CLARABEL"},
}


def market(family: str, n: int) -> dict[str, Any]:
    """Fields of a market with n types."""
    from fractions import Fraction

    import numpy as np
    from scipy.stats import beta

    third = Fraction(1, 3)
    if family == "line":
        edges = np.linspace(0, 1, n + 1)
        mass = np.diff(beta.cdf(edges, 8, 30) + beta.cdf(edges, 60, 30)) / 2
        points = [Fraction(2 * k + 1, 2 * n) for k in range(n)]
        types = [
            {"weight": float(weight), "belief": [point, 1 - point]} for weight, point in zip(mass, points, strict=True) if weight
        ]
    elif family == "simplex":
        order = math.isqrt(8 * n + 1) // 2 - 1
        lattice = [(i, j, order - i - j) for i in range(order + 1) for j in range(order + 1 - i)]
        # a third of a step inside, so that no belief is certain of anything
        types = [{"weight": Fraction(1, n), "belief": [(k + third) / (order + 1) for k in point]} for point in lattice]
    elif family == "contexts":
        half, types = Fraction(1, 2), []
        for k in range(n):
            first = Fraction(2 * k + 1, 8 * n)
            second = Fraction(3, 10) - first / 5
            types.append({"weight": Fraction(1, n), "joint": [[half - first, first], [second, half - second]]})
    else:
        beliefs = np.random.default_rng(SEED).dirichlet([1, 1, 1], n)
        types = [{"weight": Fraction(1, n), "belief": belief.tolist()} for belief in beliefs]
    return {"types": types}


def measure(method: str, family: str, n: int, limit: float, clock_name: str) -> dict[str, Any]:
    """One measurement, in a process of its own that an alarm ends after `limit` seconds."""
    from optmarket.models import selling_information

    params = selling_information.Params.model_validate(market(family, n))
    if method in (CUTS, FULL):
        return with_optmarket(params, method, limit, clock_name)
    finite = selling_information.Market.of(params)
    import cvxpy  # noqa: F401  not part of what is timed
    import numpy as np

    from optmarket.rationals import floats

    joint = floats(finite.joint)
    # matching payoffs: measure times payoff, [type][state][context][action]
    product = joint[:, :, :, None] * np.eye(joint.shape[1])[:, None, :]
    weight = floats(finite.weight)
    with clock(limit, clock_name) as spent:
        value = in_loops(weight, product) if method == LOOPS else in_arrays(weight, product, ARRAYS[method])
    return {"value": value, **spent}


@contextlib.contextmanager
def clock(limit: float, clock_name: str) -> Any:
    """Seconds, seconds by either clock and peak MiB of a block, put into the dict it yields."""
    _, timer, _ = CLOCKS[clock_name]
    spent: dict[str, float] = {}
    start = {name: now() for name, (now, _, _) in CLOCKS.items()}
    signal.setitimer(timer, limit)
    yield spent
    spent.update({name: now() - start[name] for name, (now, _, _) in CLOCKS.items()})
    signal.setitimer(timer, 0)
    spent["seconds"] = spent[clock_name]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spent["memory"] = peak / (2**20 if sys.platform == "darwin" else 2**10)


def with_optmarket(params: Any, method: str, limit: float, clock_name: str) -> dict[str, Any]:
    """Time `solve`, what it spends in the solver and in separation, and then the solve of its tight rows alone."""
    from optmarket.certificates import Optimality
    from optmarket.lp import highs
    from optmarket.lp.program import LinearProgram
    from optmarket.models import selling_information
    from optmarket.models.selling_information.lp import IncentiveRows
    from optmarket.options import Options

    now = CLOCKS[clock_name][0]
    inside = {"solver": 0.0, "separation": 0.0}
    kept: list[Any] = []

    def timed(function: Any, name: str) -> Any:
        def wrapper(*args: Any) -> Any:
            start = now()
            try:
                return function(*args)
            finally:
                inside[name] += now() - start

        return wrapper

    solve = highs.solve

    def recorded(program: Any, *args: Any, **kwargs: Any) -> Any:
        kept[:] = program, solve(program, *args, **kwargs)
        return kept[1]

    highs.Session.run = timed(highs.Session.run, "solver")  # type: ignore[method-assign]
    IncentiveRows.separate = timed(IncentiveRows.separate, "separation")  # type: ignore[method-assign]
    highs.solve = recorded
    with clock(limit, clock_name) as spent:
        answer = selling_information.solve(
            selling_information.market(params), Options(method="full" if method == FULL else "cuts")
        )
    proof = answer.certificate
    assert isinstance(proof, Optimality)
    found: dict[str, Any] = {
        "value": proof.upper,
        "lower": proof.lower,
        "gap": proof.gap,
        "rounds": answer.run.rounds,
        "rows": answer.run.rows,
        **inside,
        **spent,
    }
    if method == FULL:
        return found
    program, result = kept
    activity = result.rows.activity(result.x)
    slack = (activity - result.rows.lower).clip(max=result.rows.upper - activity)
    tight = ((slack < highs.FEASIBILITY) | (result.dual_values != 0)).nonzero()[0]
    start = now()
    least = LinearProgram(program.sense, program.offset)
    least.add_variables("all", (program.columns,), lower=program.lower, upper=program.upper, objective=program.objective)
    least.add_rows("tight", result.rows.take(tight))
    again = solve(least)
    found["limit"] = now() - start
    found["limit value"] = float(program.objective @ again.x + program.offset) * program.unit
    found["tight"] = len(tight)
    return found


def in_loops(weight: Any, product: Any) -> float:
    """The program as its formulas stand, one constraint for each pair of types; cvxpy chooses the solver."""
    import cvxpy as cp

    types, states, contexts, actions = product.shape
    profiles = list(itertools.product(range(actions), repeat=contexts))
    experiment = [cp.Variable((states, len(profiles)), nonneg=True) for _ in range(types)]
    price = cp.Variable(types, nonneg=True)
    constraints = [cp.sum(pi, axis=1) == 1 for pi in experiment]
    for r in range(types):
        obeyed = (
            sum(product[r, :, c, profile[c]] @ experiment[r][:, s] for s, profile in enumerate(profiles) for c in range(contexts))
            - price[r]
        )
        constraints.append(obeyed >= product[r].sum(axis=0).max(axis=1).sum())
        for q in range(types):
            deviating = sum(
                cp.max(product[r, :, c].T @ experiment[q][:, s]) for s in range(len(profiles)) for c in range(contexts)
            )
            constraints.append(obeyed >= deviating - price[q])
    return float(cp.Problem(cp.Maximize(weight @ price), constraints).solve())


def in_arrays(weight: Any, product: Any, options: dict[str, Any]) -> float:
    """The same program in matrices: one variable for each signal, one constraint for all pairs of types."""
    import cvxpy as cp
    import numpy as np

    types, states, contexts, actions = product.shape
    profiles = list(itertools.product(range(actions), repeat=contexts))
    experiment = [cp.Variable((states, types), nonneg=True) for _ in profiles]
    price = cp.Variable((types, 1), nonneg=True)
    gain = [sum(product[:, :, c, profile[c]] for c in range(contexts)) for profile in profiles]
    obeyed = sum(cp.sum(cp.multiply(g.T, pi), axis=0) for g, pi in zip(gain, experiment, strict=True))
    obeyed = cp.reshape(obeyed, (types, 1), order="F") - price
    deviating = sum(cp.maximum(*(product[:, :, c, a] @ pi for a in range(actions))) for pi in experiment for c in range(contexts))
    everyone = np.ones((1, types))
    constraints = [
        sum(experiment) == 1,
        obeyed[:, 0] >= product.sum(axis=1).max(axis=2).sum(axis=1),
        obeyed @ everyone >= deviating - (price @ everyone).T,
    ]
    return float(cp.Problem(cp.Maximize(weight @ price[:, 0]), constraints).solve(**options))


if __name__ == "__main__":
    method, family, types, seconds, clock_name = sys.argv[1:]
    print(json.dumps(measure(method, family, int(types), float(seconds), clock_name)))
