"""The potential's maximum on one pattern of learning antes, as a power-cone program: an independent check of an equilibrium."""

from __future__ import annotations

import math

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.errors import ModelError, SolverError
from optmarket.models.balanced_production.equilibria import Game

MOST_ACTIVE = 6  # sellers who produce: each coalition of them has a term for each learning curve
TOLERANCE = 1e-10  # of the solver, relative to the largest revenue


def maximised(game: Game, samples: FloatArray) -> FloatArray:
    """Production that maximises the potential with the sellers active and the antes passed as in a profile.

    On a fixed pattern the potential, ``sum over coalitions of (|T| - 1)! (m - |T|)! / m! V(x_T) - sum c_j x_j``, is concave.

    Parameters
    ----------
    game : Game
    samples : array, shape (M,)

    Returns
    -------
    array, shape (M,)

    Raises
    ------
    ModelError
        If more than `MOST_ACTIVE` sellers produce.
    SolverError
        If the program is not solved.

    Examples
    --------
    >>> from optmarket.models.balanced_production.revenue import Revenue
    >>> one = np.ones(1)
    >>> game = Game(Revenue(one, one, one, one, one), np.array([0.1, 0.1]))
    >>> maximised(game, np.array([2.4, 2.6])).round(3).tolist()
    [2.5, 2.5]
    """
    active = np.flatnonzero(samples > 0)
    m = len(active)
    if m > MOST_ACTIVE:
        raise ModelError(f"takes profiles of at most {MOST_ACTIVE} sellers who produce; there are {m}", field="method")
    if m == 0:
        return np.zeros(len(samples))
    import cvxpy as cp

    revenue = game.revenue
    # in units of what is produced and of the largest revenue, so that the solver's tolerances mean something
    scale, money = float(samples.sum()), revenue.most
    x = cp.Variable(m, nonneg=True)
    objective: object = -(game.cost[active] * scale / money) @ x
    antes = (revenue.alpha / revenue.limit) ** (1 / revenue.beta)
    counts = (revenue.weight > 0) & (revenue.share > 0)
    rules = []
    for code in range(1, 2**m):
        members = np.array([code >> j & 1 for j in range(m)], dtype=float)
        size = int(members.sum())
        weight = 1 / (size * math.comb(m, size))
        held = float(members @ samples[active])
        total = members @ x
        for k in np.flatnonzero(counts):
            ante = antes[k] / revenue.share[k]
            if held < ante:
                rules.append(total <= ante / scale)
                continue
            rules.append(total >= ante / scale)
            height, drop = revenue.weight[k] * revenue.limit[k], revenue.weight[k] * revenue.alpha[k]
            drop *= (revenue.share[k] * scale) ** -revenue.beta[k]
            power, beta = cp.Variable(), float(revenue.beta[k])  # at least total^-beta
            rules.append(cp.PowCone3D(power, total, 1.0, 1 / (1 + beta)))
            objective = objective + weight * (height - drop * power) / money
    problem = cp.Problem(cp.Maximize(objective), rules)
    try:
        problem.solve(solver=cp.CLARABEL, tol_gap_abs=TOLERANCE, tol_gap_rel=TOLERANCE, tol_feas=TOLERANCE)
    except cp.error.SolverError as error:
        raise SolverError(f"the power-cone program was not solved: {error}") from error
    if x.value is None:
        raise SolverError(f"the power-cone program ended as {problem.status}")
    found = np.zeros(len(samples))
    found[active] = scale * np.asarray(x.value)
    return found
