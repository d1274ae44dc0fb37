"""Competing buyers whose beliefs are whole distributions: a mechanism for all of them, and a bound on all mechanisms.

Below: all beliefs of a cell make one report, and the incentives of both its ends are imposed, see `_competing_buyers_cells`.

Above: the means over cells of any mechanism satisfy a program. With U(theta) what a type gets, c the cells and E their means,

1. ``E U >= `` what the cell's mean belief gets by any report and disobedience, and by opting out: these are affine in the
   mechanism and convex in the belief, and U is at least as large at each belief;
2. ``E U = v (mean belief . (right - harm)) - payment + v C`` with C the covariance, within the cell, of the probability of the
   first state and the slope s, the difference of ``right - harm`` between the states. U is convex of slope v s, so that s rises
   and ``0 <= C <= E(theta - E theta)^+ (s after - s before)``: its mean in the next cell less its mean in the one before.

Ex post this holds at each profile of the others, and so for the means over theirs. If harm is expected by the rivals' beliefs, s
is without it, and harm itself is missed by at most alpha v times the rivals' mean absolute deviation within cells, for all types
alike.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from optmarket.errors import ModelError, SolverError
from optmarket.lp import highs
from optmarket.lp.program import FloatArray, LinearProgram, Rows
from optmarket.models.competing_buyers.market import Buyer, Kind, Market, Params
from optmarket.models.competing_buyers.mechanisms import by_cell as cells
from optmarket.models.competing_buyers.mechanisms.by_count import Groups
from optmarket.models.competing_buyers.solvers import general_lp as general
from optmarket.models.competing_buyers.solvers.incentives import IncentiveRows, Side
from optmarket.rationals import floats
from optmarket.solution import Answer, Certificate, Options, Status, relative_gap

FIRST = 4  # cells
SMALL, LARGE = 10_000, 300_000  # effort of a program up to which cells are halved if no gap is asked for, and if one is
ROUNDING = 1e-12  # of spreads computed in floats
SPARED = 100.0  # by how many times the payoffs at stake a neglected type may move bounds: much more than it can


def solve(params: Params, options: Options) -> Answer:
    """A mechanism for all beliefs, bounds, and where finer and finer cells seem to lead.

    Parameters
    ----------
    params : Params
        Without a prior; at least one buyer's belief a distribution without grid.
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
    start = time.perf_counter()
    if options.exact:
        raise ModelError("gives all beliefs, of which nothing is proved in fractions; leave exact out", field="params.buyers")
    if options.method not in {"auto", "cuts"}:
        raise ModelError(f"all beliefs take rows on demand, not the method {options.method!r}: leave it out, or give grid")

    def rest() -> Options:
        left = None if options.time_limit is None else max(0.0, options.time_limit - (time.perf_counter() - start))
        return replace(options, method="cuts", gap=None, time_limit=left)

    size, upper = FIRST, np.inf
    most = SMALL if options.gap is None and options.time_limit is None else LARGE
    found: list[Answer] = []
    while True:
        edges = [cells.even(cells.law_of(buyer), size) if buyer.on_continuum else np.zeros(0) for buyer in params.buyers]
        market = cells.market(params, edges)
        if found and _effort(market) > most:
            ended = f"programs of more cells are large: {'give a gap or a time limit to go on' if most == SMALL else 'give grid'}"
            break
        try:
            bound, how = above(params, edges, rest())
            answer = general.solve(market, rest())
        except SolverError as error:
            if not found:
                raise
            ended = f"at {size} cells: {error}"
            break
        slip = SPARED * _neglected(params, edges) * float(market.scale)
        upper = min(upper, bound + slip)
        certificate = replace(answer.certificate, lower=answer.certificate.lower - slip)
        mechanism = {"cells": [each.tolist() for each in edges], **answer.mechanism}
        found.append(replace(answer, mechanism=mechanism, certificate=certificate))
        best = max(found, key=lambda one: one.certificate.lower)
        gap = relative_gap(best.certificate.lower, upper)
        stopped = Status.INTERRUPTED in (answer.status, how)
        if gap <= options.wanted or rest().time_limit == 0 or stopped:
            ended = ""
            break
        size *= 2
    estimate, step = best.quantities["revenue"], upper - best.certificate.lower
    if len(found) > 1:
        step = max(found[-1].quantities["revenue"] - found[-2].quantities["revenue"], 0.0)
        estimate = min(estimate + step / 3, upper)  # cells half as long cost a quarter
    if gap <= options.wanted:
        status = Status.OPTIMAL
    elif stopped:
        status = Status.INTERRUPTED
    else:
        status = Status.TIME_LIMIT if rest().time_limit == 0 else Status.GAP
    return Answer(
        status=status,
        mechanism=best.mechanism,
        quantities={**best.quantities, "revenue-estimate": estimate, "estimate-uncertainty": step},
        certificate=Certificate(best.certificate.lower, upper, gap, best.certificate.blocks),
        method="cuts, general form",
        notes=(
            f"all beliefs: a mechanism for {size_of(best)} cells of them, and an upper bound on any",
            f"finer cells seem to lead to {estimate:.6g}: an estimate, no proof; halving the cells last added {step:.1e}",
            *([f"stopped: {ended}"] if ended else []),
        ),
        run={**best.run, "seconds": time.perf_counter() - start},
    )


def size_of(answer: Answer) -> int:
    """How many cells of beliefs a mechanism has."""
    return max(map(len, answer.mechanism["cells"]))


def _neglected(params: Params, edges: Sequence[FloatArray]) -> float:
    """The mass of beliefs, of all buyers, in cells that count as without mass."""
    total = 0.0
    for buyer, lower in zip(params.buyers, edges, strict=True):
        if buyer.on_continuum:
            law = cells.law_of(buyer)
            mass, _ = cells.masses(law, np.append(lower, float(law.support[1])))
            total += buyer.count * float(mass[mass <= cells.NEGLIGIBLE].sum())
    return total


def _effort(market: Market) -> int:
    """About how many columns a program has; ex post, where each case has incentives of its own, some more."""
    groups = Groups.of(market)
    each = market.states * (12 if market.ex_post else 1)
    return sum(groups.others(g).total * kind.reports * each for g, kind in enumerate(groups.kinds))


# The bound ---------------------------------------------------------------------------------------------------------------


def above(params: Params, edges: Sequence[FloatArray], options: Options) -> tuple[float, Status]:
    """An upper bound on the revenue of all mechanisms, by means over cells, and how its program ended: it holds in any case.

    Parameters
    ----------
    params : Params
    edges : sequence of array, shape (K,)
        For each entry of ``buyers`` the lower ends of its cells, empty for one with finitely many types.
    options : Options
    """
    each = [
        _means(buyer, lower) if buyer.on_continuum else (Kind.of(buyer, None), None)
        for buyer, lower in zip(params.buyers, edges, strict=True)
    ]
    market, _ = general.of_positive_weight(Market.of(params, [kind for kind, _ in each]))
    kinds = list(zip(market.groups, each, strict=True))
    # being told right, no rival being right: an entry of the market's whole surplus
    most = sum(
        count * float(kind.mass @ (kind.value * (1 + market.externality - kind.belief.max(axis=1))))
        for kind, count in market.groups
    )
    more = 0.0
    if not market.own:
        if any(len(set(kind.value)) > 1 for kind, _ in market.groups):
            return float(most * (1 + ROUNDING)), Status.OPTIMAL
        # harm by a rival's belief is no product of means; what is missed is a price that all types see alike
        missed = max(2 * float(floats(kind.mass) @ spread[spread >= 0]) for (kind, _), (_, spread) in kinds if spread is not None)
        more = sum(count * float(market.externality * kind.value[0]) * missed for kind, count in market.groups)
    program, sides = general.columns(market)
    relaxed = [
        side if spread is None else _credited(program, market, g, side, spread[spread >= 0])
        for g, (side, (_, (_, spread))) in enumerate(zip(sides, kinds, strict=True))
    ]
    program.add_rows("individual rationality", Rows.join(side.participation() for side in relaxed))
    program.add_rows("obedience", Rows.join(_disobeying(side) for side in relaxed))
    program.add_family("incentive", IncentiveRows(tuple(relaxed), disobey=True))
    result = highs.solve(program, options)
    return min(result.bound * program.unit + more, float(most * (1 + ROUNDING))), result.status


def _means(buyer: Buyer, lower: FloatArray) -> tuple[Kind, FloatArray]:
    """Cells' mean beliefs, and E(theta - E theta)^+ in each, -1 in those without mass."""
    law = cells.law_of(buyer)
    edges = np.append(lower, float(law.support[1]))
    mass, moment = cells.masses(law, edges)
    some = mass > cells.NEGLIGIBLE
    mass = np.where(some, mass, 0.0)
    mean = np.where(some, np.clip(moment / np.where(some, mass, 1.0), edges[:-1], edges[1:]), edges[:-1])
    halves = np.union1d(edges, mean)
    mass_of, moment_of = cells.masses(law, halves)
    above_mean = moment_of - mass_of * mean[np.searchsorted(edges, halves[:-1], side="right") - 1]
    spread = np.zeros(len(mean))
    np.add.at(spread, np.searchsorted(edges, halves[:-1], side="right") - 1, np.maximum(above_mean, 0.0))
    spread = np.where(some, spread / np.where(some, mass, 1.0) * (1 + ROUNDING), -1.0)
    exactly = np.array([Fraction(x) for x in mean.tolist()], dtype=object)
    worth = np.full(len(mean), Fraction(1) if buyer.value is None else buyer.value, dtype=object)
    weight = np.array([Fraction(x) for x in (mass / mass.sum()).tolist()], dtype=object)
    names = tuple(f"{x:.6g}" for x in mean)
    return Kind(weight, worth, np.stack([exactly, 1 - exactly], axis=1), names, np.arange(len(mean))), spread


def _credited(program: LinearProgram, market: Market, g: int, side: Side, spread: FloatArray) -> Side:
    """The side of a buyer that is spared, at its own report, the covariance of belief and slope.

    Parameters
    ----------
    spread : array, shape (K,)
        E(theta - E theta)^+ of each cell.
    """
    cases, reports = side.payment.shape
    share, steepest = float(market.share), 1 + float(market.externality) * market.own
    shape = (cases, reports)
    least = np.broadcast_to(-2 * steepest * spread, shape)
    owed = program.add_variables(f"owed {g + 1}", shape, lower=least, upper=2.0 * (1 + float(market.externality)))
    both = np.stack([side.payment, owed], axis=-1).reshape(-1, 2)
    program.add_rows(f"credit at least nothing {g + 1}", Rows.dense(both, np.tile([1.0, -1.0], (len(both), 1)), 0.0, np.inf))
    told = np.diagonal(side.experiment, axis1=2, axis2=3)
    # of harm by the rivals' beliefs the own one changes nothing
    slope = np.concatenate([told, side.harm], axis=2) if market.own else told
    sign = np.array([1.0, -1.0, -share, share])[: slope.shape[2]]
    index = np.concatenate(
        [np.roll(slope, -1, axis=1), np.roll(slope, 1, axis=1), side.payment[..., None], owed[..., None]], axis=2
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
    return replace(side, owed=owed)


def _disobeying(side: Side) -> Rows:
    """The truth and any disobedience gain no more than obeying: a row for each case, type, and map from what is told to acts."""
    (cases, _), states = side.payment.shape, side.gain.shape[1]
    types = np.arange(len(side.report))
    case, buyer = (each.ravel() for each in np.meshgrid(np.arange(cases), types, indexing="ij"))
    own = side.report[buyer]
    parts = []
    for acts in itertools.product(range(states), repeat=states):
        told = np.array([a for a in range(states) if acts[a] != a])
        if not len(told):
            continue
        taken = np.array(acts)[told]
        both = [side.experiment[case[:, None], own[:, None], state, told] for state in (told, taken)]
        index = np.hstack([*both, side.payment[case, own][:, None], side.owed[case, own][:, None]])
        spared = np.tile([1.0, -1.0], (len(case), 1)) * (side.payment[case, own] != side.owed[case, own])[:, None]
        value = np.hstack([floats(side.gain)[buyer][:, told], -floats(side.gain)[buyer][:, taken], spared])
        parts.append(Rows.dense(index, value, 0.0, np.inf))
    return Rows.join(parts)
