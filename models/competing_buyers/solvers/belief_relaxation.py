"""An upper bound on the revenue of any mechanism for a continuum of beliefs, by a program of means over cells of beliefs.

The means over cells of any mechanism satisfy the program. With U(theta) what a type gets, c the cells and E their means,

1. ``E U >= `` what the cell's mean belief gets by any report and disobedience, and by opting out: these are affine in the
   mechanism and convex in the belief, and U is at least as large at each belief;
2. ``E U = v (mean belief . (x - externality)) - payment + v C`` with x the chances of correct recommendations in each state, and
   C the covariance, within the cell, of the probability of the first state and the slope s, the difference of
   ``x - externality`` between the states. U is convex of slope v s, so that s rises and
   ``0 <= C <= E(theta - E theta)^+ (s after - s before)``: its mean in the next cell less its mean in the one before.

Ex post this holds at each profile of the others, and so for the means over theirs. If the externality is expected by the rivals'
beliefs, s is without it, and the externality itself is missed by at most alpha v times the rivals' mean absolute deviation within
cells, for all types alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.lp import highs
from optmarket.lp.program import LinearProgram, Rows
from optmarket.models.competing_buyers.market import BuyerTypes, ContinuousBeliefs, FiniteTypes
from optmarket.models.competing_buyers.mechanisms.by_cell import NEGLIGIBLE_MASS, cell_masses
from optmarket.models.competing_buyers.params import ContinuumOfBeliefs
from optmarket.models.competing_buyers.solvers.general_lp import columns, of_positive_weight
from optmarket.models.competing_buyers.solvers.incentives import BuyerConstraints, IncentiveRows
from optmarket.options import Options, Status
from optmarket.rationals import floats
from optmarket.tolerances import SUM_ROUNDING


def upper_bound(market: ContinuousBeliefs, cells: Sequence[FloatArray], options: Options) -> tuple[float, Status]:
    """An upper bound on the revenue of all mechanisms, by means over cells.

    Parameters
    ----------
    market : ContinuousBeliefs
    cells : sequence of array, shape (K_g,)
        For each group of buyers the lower ends of its cells, empty for one with finitely many types.
    options : Options

    Returns
    -------
    bound : float
        In payoff units; it holds however the program ended.
    status : Status
        How the program ended.
    """
    means: list[BuyerTypes] = []
    spreads: list[FloatArray | None] = []
    for population, lower in zip(market.populations, cells, strict=True):
        types, spread = (population, None) if isinstance(population, BuyerTypes) else _cell_means(population, lower)
        means.append(types)
        spreads.append(spread)
    finite, _ = of_positive_weight(market.with_types(means))
    # each buyer informed, and no rival: an entry of the market's whole surplus
    most = sum(
        count * float(types.mass @ (types.value * (1 + finite.externality - types.belief.max(axis=1))))
        for types, count in finite.groups
    )
    ceiling = float(most * (1 + SUM_ROUNDING))
    missed = 0.0
    if not finite.own_belief:
        if any(len(set(types.value)) > 1 for types, _ in finite.groups):
            return ceiling, Status.OPTIMAL
        # an externality by a rival's belief is no product of means; what is missed is a price that all types see alike
        deviation = max(
            2 * float(floats(types.mass) @ spread[spread >= 0])
            for (types, _), spread in zip(finite.groups, spreads, strict=True)
            if spread is not None
        )
        missed = sum(count * float(finite.externality * types.value[0]) * deviation for types, count in finite.groups)
    program, buyers = columns(finite)
    relaxed = tuple(
        buyer if spread is None else _with_credit(program, finite, g, buyer, spread[spread >= 0])
        for g, (buyer, spread) in enumerate(zip(buyers, spreads, strict=True))
    )
    program.add_rows("individual rationality", Rows.join(buyer.participation() for buyer in relaxed))
    program.add_rows("obedience", Rows.join(_disobedience(buyer) for buyer in relaxed))
    program.add_family("incentive", IncentiveRows(relaxed, disobey=True))
    result = highs.solve(program, options)
    return min(result.bound * program.unit + missed, ceiling), result.status


def _cell_means(population: ContinuumOfBeliefs, lower: FloatArray) -> tuple[BuyerTypes, FloatArray]:
    """The mean belief of each cell as a type, and E(theta - E theta)^+ in each cell, -1 in those without mass."""
    distribution = population.distribution
    edges = np.append(lower, float(distribution.support[1]))
    mass, moment = cell_masses(distribution, edges)
    some = mass > NEGLIGIBLE_MASS
    mass = np.where(some, mass, 0.0)
    mean = np.where(some, np.clip(moment / np.where(some, mass, 1.0), edges[:-1], edges[1:]), edges[:-1])
    halves = np.union1d(edges, mean)
    half_mass, half_moment = cell_masses(distribution, halves)
    cell = np.searchsorted(edges, halves[:-1], side="right") - 1
    spread = np.zeros(len(mean))
    np.add.at(spread, cell, np.maximum(half_moment - half_mass * mean[cell], 0.0))
    spread = np.where(some, spread / np.where(some, mass, 1.0) * (1 + SUM_ROUNDING), -1.0)
    first = np.array([Fraction(x) for x in mean.tolist()], dtype=object)
    value = np.full(len(mean), population.value, dtype=object)
    weight = np.array([Fraction(x) for x in (mass / mass.sum()).tolist()], dtype=object)
    names = tuple(f"{x:.6g}" for x in mean)
    return BuyerTypes(weight, value, np.stack([first, 1 - first], axis=1), names, np.arange(len(mean))), spread


def _with_credit(
    program: LinearProgram, market: FiniteTypes, g: int, buyer: BuyerConstraints, spread: FloatArray
) -> BuyerConstraints:
    """The constraints of a buyer that pays less, at its own report, by the covariance of belief and slope.

    Parameters
    ----------
    program : LinearProgram
        To which the credit's columns and rows are added.
    market : FiniteTypes
    g : int
        Of the buyer's group, counted from 0.
    buyer : BuyerConstraints
    spread : array, shape (K,)
        E(theta - E theta)^+ of each cell.
    """
    cases, reports = buyer.payment.shape
    per_rival, steepest = float(market.externality_per_rival), 1 + float(market.externality) * market.own_belief
    shape = (cases, reports)
    least = np.broadcast_to(-2 * steepest * spread, shape)
    truthful = program.add_variables(f"truthful payment {g + 1}", shape, lower=least, upper=2.0 * (1 + float(market.externality)))
    pairs = np.stack([buyer.payment, truthful], axis=-1).reshape(-1, 2)
    program.add_rows(f"credit at least nothing {g + 1}", Rows.dense(pairs, np.tile([1.0, -1.0], (len(pairs), 1)), 0.0, np.inf))
    correct = np.diagonal(buyer.experiment, axis1=2, axis2=3)
    # an externality expected by the rivals' beliefs does not depend on the own one
    slope = np.concatenate([correct, buyer.rivals], axis=2) if market.own_belief else correct
    sign = np.array([1.0, -1.0, -per_rival, per_rival])[: slope.shape[2]]
    index = np.concatenate(
        [np.roll(slope, -1, axis=1), np.roll(slope, 1, axis=1), buyer.payment[..., None], truthful[..., None]], axis=2
    )
    here = np.arange(reports)
    up = np.where((here < reports - 1)[:, None], spread[:, None] * sign, 0.0)
    down = np.where((here > 0)[:, None], -spread[:, None] * sign, 0.0)
    value = np.concatenate([up, down, np.tile([-1.0, 1.0], (reports, 1))], axis=1)
    ends = ((here == reports - 1) * 1.0 + (here == 0)) * steepest * spread  # no slope is beyond
    width = index.shape[2]
    program.add_rows(
        f"credit at most {g + 1}",
        Rows.dense(
            index.reshape(-1, width), np.broadcast_to(value, index.shape).reshape(-1, width), np.tile(-ends, cases), np.inf
        ),
    )
    return replace(buyer, truthful_payment=truthful)


def _disobedience(buyer: BuyerConstraints) -> Rows:
    """The truth and any disobedience gain no more than obeying: a row for each case, type, and way to disobey."""
    (cases, _), states = buyer.payment.shape, buyer.gain.shape[1]
    types = np.arange(len(buyer.report))
    case, one = (each.ravel() for each in np.meshgrid(np.arange(cases), types, indexing="ij"))
    own = buyer.report[one]
    parts = []
    for acts in itertools.product(range(states), repeat=states):
        recommended = np.array([a for a in range(states) if acts[a] != a])
        if not len(recommended):
            continue
        taken = np.array(acts)[recommended]
        obeyed, disobeyed = (buyer.experiment[case[:, None], own[:, None], state, recommended] for state in (recommended, taken))
        payment, truthful = buyer.payment[case, own], buyer.truthful_payment[case, own]
        index = np.hstack([obeyed, disobeyed, payment[:, None], truthful[:, None]])
        credit = np.tile([1.0, -1.0], (len(case), 1)) * (payment != truthful)[:, None]
        gain = floats(buyer.gain)[one]
        value = np.hstack([gain[:, recommended], -gain[:, taken], credit])
        parts.append(Rows.dense(index, value, 0.0, np.inf))
    return Rows.join(parts)
