"""Competing buyers whose beliefs fill a continuum: a mechanism for all beliefs, and a bound on all mechanisms.

From below, all beliefs of a cell make one report, and the incentives of both its ends are imposed, see `mechanisms.by_cell`. From
above, the program of `belief_relaxation` bounds what any mechanism earns. Cells are halved until the two meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.certificates import Optimality
from optmarket.errors import ModelError, SolverError
from optmarket.modeling.solve_lp import Solved
from optmarket.models.competing_buyers.market import BuyerTypes, ContinuousBeliefs, FiniteTypes
from optmarket.models.competing_buyers.mechanisms.by_cell import (
    NEGLIGIBLE_MASS,
    CellMechanism,
    cell_masses,
    discretize,
    even_cells,
)
from optmarket.models.competing_buyers.mechanisms.by_count import AnonymousMechanism
from optmarket.models.competing_buyers.mechanisms.report_counts import SymmetricGroups
from optmarket.models.competing_buyers.solvers.belief_relaxation import upper_bound
from optmarket.models.competing_buyers.solvers.general_lp import solve_program
from optmarket.options import Options, Status
from optmarket.solution import Answer

FIRST_CELLS = 4
# Columns of a program, about, up to which cells are halved if neither gap nor time limit is given, and if one is.
COLUMNS_UNASKED, COLUMNS_AT_MOST = 10_000, 300_000
EX_POST_FACTOR = 12  # a column of a program with incentives in every case costs about as much as so many others
# By how many times the payoffs at stake a neglected type may move bounds: much more than it can.
NEGLECTED_FACTOR = 100.0


@dataclass(frozen=True, eq=False)
class _Found:
    """What one number of cells gave: a mechanism for all beliefs, and what it is certain to earn."""

    size: int
    cells: tuple[FloatArray, ...]
    solved: Solved[AnonymousMechanism]
    lower: float

    @property
    def revenue(self) -> float:
        """Of the mechanism, in payoff units."""
        return self.solved.answer.quantities["revenue"]


def solve(market: ContinuousBeliefs, options: Options) -> Answer:
    """A mechanism for all beliefs, bounds, and where finer and finer cells seem to lead.

    Parameters
    ----------
    market : ContinuousBeliefs
    options : Options
        Cells are halved until the gap is closed, time is up, or programs get large: soon if neither gap nor time limit is given.

    Returns
    -------
    Answer
        ``revenue`` is the mechanism's. ``revenue-estimate`` extrapolates those of the last two numbers of cells, whose difference
        is ``estimate-uncertainty``.

    Raises
    ------
    ModelError
        If an exact proof is asked for.
    SolverError
        If the solver gives no answer.
    """
    if options.exact:
        raise ModelError(
            "gives a continuum of beliefs, of which nothing is proved exactly; leave exact out", field="params.buyers"
        )
    deadline = options.deadline()
    unasked = options.gap is None and options.time_limit is None
    size, upper = FIRST_CELLS, np.inf
    found: list[_Found] = []
    while True:
        cells = even_cells(market, size)
        finite = discretize(market, cells)
        if found and _columns(finite) > (COLUMNS_UNASKED if unasked else COLUMNS_AT_MOST):
            ended = f"programs of more cells are large: {'give a gap or a time limit to go on' if unasked else 'give grid'}"
            break
        without_gap = replace(options, method="cuts", gap=None, time_limit=deadline.remaining)
        try:
            bound, how = upper_bound(market, cells, without_gap)
            solved = solve_program(finite, without_gap, deadline)
        except SolverError as error:
            if not found:
                raise
            ended = f"at {size} cells: {error}"
            break
        slip = NEGLECTED_FACTOR * _neglected(market, cells) * float(finite.scale)
        upper = min(upper, bound + slip)
        found.append(_Found(size, cells, solved, solved.certificate.lower - slip))
        best = max(found, key=lambda one: one.lower)
        certificate = Optimality.of(best.lower, upper, best.solved.certificate.blocks)
        stopped = Status.INTERRUPTED in (solved.answer.status, how)
        if certificate.gap <= options.target_gap or deadline.passed or stopped:
            ended = ""
            break
        size *= 2
    estimate, step = best.revenue, upper - best.lower
    if len(found) > 1:
        step = max(found[-1].revenue - found[-2].revenue, 0.0)
        estimate = min(estimate + step / 3, upper)  # cells half as long cost a quarter
    if certificate.gap <= options.target_gap:
        status = Status.OPTIMAL
    elif stopped:
        status = Status.INTERRUPTED
    else:
        status = Status.TIME_LIMIT if deadline.passed else Status.GAP
    answer = best.solved.answer
    return Answer(
        status=status,
        mechanism=CellMechanism(market, best.cells, best.solved.mechanism.written_out()),
        quantities={**answer.quantities, "revenue-estimate": estimate, "estimate-uncertainty": step},
        certificate=certificate,
        notes=(
            f"continuum of beliefs: a mechanism for {best.size} cells of them, and an upper bound on any mechanism",
            f"finer cells seem to lead to {estimate:.6g}: an estimate, no proof; halving the cells last added {step:.1e}",
            *([f"stopped: {ended}"] if ended else []),
        ),
        run=replace(answer.run, seconds=deadline.elapsed),
    )


def _neglected(market: ContinuousBeliefs, cells: Sequence[FloatArray]) -> float:
    """The mass of beliefs, of all buyers, in cells that count as empty."""
    total = 0.0
    for population, count, lower in zip(market.populations, market.counts, cells, strict=True):
        if not isinstance(population, BuyerTypes):
            distribution = population.distribution
            mass, _ = cell_masses(distribution, np.append(lower, float(distribution.support[1])))
            total += count * float(mass[mass <= NEGLIGIBLE_MASS].sum())
    return total


def _columns(market: FiniteTypes) -> int:
    """About how many columns a program has, those of ex post incentives counted as more."""
    groups = SymmetricGroups.of(market)
    each = market.states * (EX_POST_FACTOR if market.ex_post else 1)
    return sum(groups.others(g).total * types.reports * each for g, types in enumerate(groups.types))
