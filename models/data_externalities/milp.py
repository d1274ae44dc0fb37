"""The platform's optimum by a mixed-integer linear program with tangent cuts: an independent check of branch and bound."""

from __future__ import annotations

import numpy as np

from optmarket.arrays import BoolArray, FloatArray
from optmarket.certificates import relative_gap
from optmarket.lp.milp import solve_milp
from optmarket.lp.program import LinearProgram, Rows
from optmarket.models.data_externalities.branch_and_bound import FINAL_GAP, Found, improved
from optmarket.models.data_externalities.market import Market, float_matrix
from optmarket.models.data_externalities.objectives import PlatformObjective, PlatformPayoff
from optmarket.options import Deadline, Options, Status
from optmarket.rationals import floats


def platform_by_milp(market: Market, options: Options, deadline: Deadline) -> Found:
    """The platform's best profile, by outer approximation.

    Whole numbers a say who shares, m_i >= M_ii(a) and q_i >= v_i phi(M_ii(a)) for sharers, both convex in a. At each profile
    that the solver proposes, tangents to both are added, until its bound is the proposed profile's payoff.

    Parameters
    ----------
    market : Market
    options : Options
    deadline : Deadline

    Returns
    -------
    Found
        Its upper bound is the solver's and not certified; `boxes` counts the programs solved.
    """
    payoff = PlatformPayoff(float_matrix(market), floats(market.charged))
    objective = PlatformObjective(payoff)
    n = payoff.n
    best = improved(objective, np.stack([market.low, np.ones(n, dtype=bool), np.zeros(n, dtype=bool)]))
    value = float(objective.value(best[None])[0])
    target = FINAL_GAP if options.gap is None else options.gap
    cuts = [_tangents(payoff, one) for one in (best, np.zeros(n, dtype=bool), np.ones(n, dtype=bool))]
    upper, status, solved = objective.ceiling, Status.OPTIMAL, 0
    try:
        while True:
            program = LinearProgram("max", offset=float(payoff.variance.sum()))
            shares = program.add_variables("shares", (n,), upper=1.0)
            program.add_variables("errors", (n,), upper=payoff.variance, objective=-1.0)
            program.add_variables("prices", (n,), upper=np.full(n, np.inf), objective=-1.0)
            program.add_rows("tangents", Rows.join(cuts))
            found = solve_milp(program, shares, deadline.remaining, gap=target / 10)
            solved += 1
            upper = min(upper, found.bound)
            if found.x is not None:
                proposed = found.x[shares] > 0.5
                here = float(objective.value(proposed[None])[0])
                if here > value:
                    best, value = proposed, here
                cuts.append(_tangents(payoff, proposed))
            if relative_gap(value, max(upper, value), objective.rounding) <= target:
                break
            if not found.in_time or deadline.passed:
                status = Status.TIME_LIMIT
                break
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    return Found(best, value, max(upper, value) + objective.rounding, status, solved)


def _tangents(payoff: PlatformPayoff, shares: BoolArray) -> Rows:
    """Rows ``m_i >= tangent to M_ii``; for sharers also ``q_i >= v_i (tangent to phi(M_ii))`` where a_i = 1."""
    n = payoff.n
    at = shares.astype(float)
    errors, spare = (one[0] for one in payoff.errors(at[None]))
    error = np.diagonal(errors)
    squares = errors**2
    a, m, q = np.arange(n), n + np.arange(n), 2 * n + np.arange(n)
    index = np.column_stack([m, np.broadcast_to(a, (n, n))])
    rows = [Rows.dense(index, np.column_stack([np.ones(n), squares]), error + squares @ at, np.inf)]
    who = np.flatnonzero(shares)
    if len(who):
        inside = error[who]
        height = payoff.value[who] * inside**2 / spare[who]
        steep = (payoff.value[who] * inside * (1 + spare[who]) / spare[who] ** 2)[:, None] * squares[who]
        at_nobody: FloatArray = height + steep @ at  # the largest that the tangent is anywhere in the box
        value = np.column_stack([np.ones(len(who)), steep])
        value[np.arange(len(who)), 1 + who] -= at_nobody
        # with a_i = 0 the row says q_i >= tangent - at_nobody, which is at most 0
        rows.append(
            Rows.dense(
                np.column_stack([q[who], np.broadcast_to(a, (len(who), n))]), value, height + steep @ at - at_nobody, np.inf
            )
        )
    return Rows.join(rows)
