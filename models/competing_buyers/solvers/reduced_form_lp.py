"""The reduced program of competing buyers with a common prior: chances of being told right in place of experiments.

With one prior nothing about an experiment matters to anyone but the chance x that it tells a buyer right, and no type gains by
misreporting and disobeying together: adjacent truthful values and the lowest one's participation are all there is
(`_competing_buyers_virtual.experiment` makes experiments of chances).
"""

from __future__ import annotations

import time
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from optmarket.errors import ModelError, SolverError
from optmarket.lp import highs
from optmarket.lp.program import IntArray, LinearProgram, NumberArray, Rows, check_memory
from optmarket.models.competing_buyers.interim import quantities
from optmarket.models.competing_buyers.market import Kind, Market
from optmarket.models.competing_buyers.mechanisms.by_count import Groups, Tallied
from optmarket.models.competing_buyers.solvers import general_lp as general
from optmarket.models.competing_buyers.virtual_values.ironing import Virtual, experiment, refuse
from optmarket.rationals import floats
from optmarket.solution import Answer, Certificate, Options, Status, relative_gap


def of_values(market: Market) -> tuple[Market, list[IntArray]]:
    """The market of the distinct values of positive weight, increasing, and where each type of each kind is among them."""
    kinds, place = {}, []
    for kind, _ in market.groups:
        assert kind.reports == len(kind.report)  # types of one prior are never pooled
        one = Virtual.of(kind)
        belief = np.broadcast_to(kind.belief[0], (len(one.value), market.states))
        names = tuple(map(str, range(1, len(one.value) + 1)))
        kinds[id(kind)] = Kind(one.weight, one.value, belief, names, np.arange(len(one.value)))
        place.append(one.place)
    return replace(market, buyers=tuple(kinds[id(kind)] for kind in market.buyers)), place


def build(market: Market, *, exact: bool = False) -> LinearProgram:
    """The reduced program.

    Parameters
    ----------
    market : Market
        With a common prior.
    exact : bool
        Coefficients as Fractions rather than their floats.

    Returns
    -------
    LinearProgram
        In normalised payoffs: multiply its value by its unit. For one buyer of each kind g, over its K_g distinct values of
        positive weight, increasing, and the S_g tallies of what the others report. Variables ``right g``, shape (S_g, K_g): the
        chance to be told right; ``utility g``, above opting out, shape (1, K_g) (Bayesian) or (S_g, K_g) (ex post); Bayesian
        also ``mean right g`` and ``rivals right g``, shape (1, K_g): E[x | v], at least max(prior), which is obedience, and the
        expected number of rivals told right. Payments are v z - utility.

    Raises
    ------
    ModelError
        If the form is not valid, or the program does not fit in memory.
    """
    refuse(market)
    market, _ = of_values(market)
    groups, n = Groups.of(market), len(market.buyers)
    what = f'the reduced program of {n} buyers and {market.profiles:,} profiles of values (formulation "virtual-values" would do)'
    check_memory(*_size(groups, ex_post=market.ex_post), what)
    number, one = general.rounding(exact=exact)
    stake = sum(size * (kind.value @ kind.weight) for kind, size in market.groups) / market.scale
    program = LinearProgram("max", offset=number(_constant(market) * stake), unit=float(market.scale))
    columns = _ex_post_columns if market.ex_post else _bayesian_columns
    columns(market, groups, program, number, one)
    return program


def _level(market: Market) -> Fraction:
    """The chance to be right of who is told nothing."""
    assert market.prior is not None
    level: Fraction = max(market.prior)
    return level


def _constant(market: Market) -> Fraction:
    """z if nobody is told right."""
    return market.externality - _level(market)


def _size(groups: Groups, *, ex_post: bool) -> tuple[int, int, int]:
    """Rows, columns and non-zeros, before they are built."""
    rows = columns = nonzeros = 0
    for g, kind in enumerate(groups.kinds):
        cells = kind.reports * groups.others(g).total
        if ex_post:
            truths = 2 * (cells - groups.others(g).total)
            rows, columns, nonzeros = rows + truths, columns + 2 * cells, nonzeros + truths * (sum(groups.sizes) + 2)
        else:
            pairs = sum(groups.others(g, h).total * groups.kinds[h].reports for h, _ in groups.rivals(g))
            rows, columns = rows + 4 * kind.reports - 2, columns + cells + 3 * kind.reports
            nonzeros += cells + kind.reports * (pairs + 10) - 8
    return rows, columns, nonzeros


def _ex_post_columns(market: Market, groups: Groups, program: LinearProgram, number: Any, one: Any) -> None:
    n, level, share = len(market.buyers), number(_level(market)), market.share
    chance, right = [], []
    for g, kind in enumerate(groups.kinds):
        cases = groups.others(g)
        chance.append(np.multiply.outer(cases.probability(groups.masses), groups.sizes[g] * kind.mass))
        rivals = sum(groups.kinds[h].value[cases.reports(h)].sum(axis=1) for h, _ in groups.rivals(g))
        worth = number(chance[g] * (kind.value - share * rivals[:, None]) / market.scale)
        right.append(program.add_variables(f"right {g + 1}", worth.shape, lower=level, upper=one, objective=worth))
    # in z, the columns of so many rivals; and one's own, which is that of so many rivals too
    count = np.arange(n, dtype=object)
    terms = np.concatenate([-share * count, 1 - share * count])
    for g, kind in enumerate(groups.kinds):
        own = np.arange(kind.reports)
        alike = (groups.others(g).reports(g)[:, :, None] == own).sum(axis=1)
        index, term = [right[g][:, None]], [n + alike[:, None]]
        for h, _ in groups.rivals(g):
            case, report, often = groups.facing(g, h)
            index.append(right[h][case, report])
            term.append(often[:, :, None] * ((report != own) | (h != g)))
        at, which = (np.swapaxes(np.concatenate(parts, axis=1), 1, 2) for parts in (index, term))
        _utilities(market, program, g, number, one, number(-chance[g]), at, (terms, which))


def _bayesian_columns(market: Market, groups: Groups, program: LinearProgram, number: Any, one: Any) -> None:
    n, level, share = len(market.buyers), number(_level(market)), market.share
    right = []
    for g, kind in enumerate(groups.kinds):
        right.append(program.add_variables(f"right {g + 1}", (groups.others(g).total, kind.reports), lower=0 * one, upper=one))
    for g, kind in enumerate(groups.kinds):
        name, shape = str(g + 1), (1, kind.reports)
        weight = groups.sizes[g] * kind.mass[None]
        worth = weight * kind.value / market.scale
        told = program.add_variables(f"mean right {name}", shape, lower=level, upper=one, objective=number(worth))
        likely = number(groups.others(g).probability(groups.masses))
        program.add_rows(f"mean right {name}", general.sums(told, [(right[g].T[None], likely)], one))
        parts = []
        for h, _ in groups.rivals(g):
            case, chance = groups.expected(g, h)
            faced = np.swapaxes(right[h][case], 0, 1).reshape(*shape, -1)
            parts.append((faced, number(chance.ravel())))
        most = (n - 1) * one
        harm = program.add_variables(f"rivals right {name}", shape, lower=0 * one, upper=most, objective=number(-share * worth))
        program.add_rows(f"rivals right {name}", general.sums(harm, parts, one))
        at = np.stack([told, harm], axis=2)
        terms = np.array([Fraction(1), -share])
        _utilities(market, program, g, number, one, number(-weight), at, (terms, np.broadcast_to(np.arange(2), at.shape)))


def _utilities(
    market: Market,
    program: LinearProgram,
    g: int,
    number: Any,
    one: Any,
    objective: NumberArray,
    index: IntArray,
    coefficients: tuple[NumberArray, IntArray],
) -> None:
    """What values have above opting out, and no gain from reporting the one below or above.

    That is ``u_k - u_{k-1} >= (v_k - v_{k-1}) z_{k-1}``, and ``<= (v_k - v_{k-1}) z_k``.

    Parameters
    ----------
    objective : array, shape (S, K)
    index : array of int, shape (S, K, width)
        Columns of z, distinct where coefficients are not 0.
    coefficients : array, shape (any,); array of int, shape (S, K, width)
        Numbers, and which of them stands in z.
    """
    name, keep = str(g + 1), _constant(market)
    value = market.groups[g][0].value / market.scale
    most = number(value[-1] * (1 + keep))
    kept = program.add_variables(f"utility {name}", objective.shape, lower=0 * one, upper=most, objective=objective)
    if len(value) < 2:
        return
    step, cases = value[1:] - value[:-1], len(kept)
    terms, which = coefficients
    for way, near, part in (("below", 1, slice(None, -1)), ("above", -1, slice(1, None))):
        each = number(-near * step[:, None] * terms)[np.arange(len(step))[:, None], which[:, part]]
        pair = np.broadcast_to(np.array([near * one, -near * one]), (*each.shape[:2], 2))
        columns = np.concatenate([kept[:, 1:, None], kept[:, :-1, None], index[:, part]], axis=2)
        values = np.concatenate([pair, each], axis=2)
        width = columns.shape[2]
        bound = np.tile(number(near * step * keep), cases)
        program.add_rows(
            f"misreport {way} {name}", Rows.dense(columns.reshape(-1, width), values.reshape(-1, width), bound, np.inf)
        )


def read(market: Market, program: LinearProgram, x: NumberArray) -> Tallied:
    """A point of the program as a mechanism for all types, payments being what leaves each value its utility."""
    small, place = of_values(market)
    groups, least = Groups.of(small), float(_level(market)) if market.ex_post else 0.0
    right = [np.clip(floats(x[program.variables[f"right {g + 1}"]]), least, 1.0) for g in range(len(groups))]
    told = tuple(experiment(floats(market.prior), chance) for chance in right)
    free = Tallied(told, tuple(np.zeros(kind.reports) for kind in groups.kinds))
    payments = []
    for g, view in enumerate(free.seen_by_kind(small)):
        paid = view.gain - program.unit * floats(x[program.variables[f"utility {g + 1}"]])
        payments.append(paid if market.ex_post else paid[0])
    return replace(free, payments=tuple(payments)).relabelled(groups, Groups.of(market), place)


def solve(market: Market, options: Options | None = None) -> Answer:
    """The revenue-maximising mechanism of finitely many types that share a prior.

    The certificate's upper bound holds for every mechanism without profitable deviations; the lower one is what the mechanism
    returned earns, by `_competing_buyers_general.surely`.

    Parameters
    ----------
    market : Market
        With a common prior.
    options : Options, optional
        Methods: ``auto``, ``cuts`` and ``full``, all the same: every row is listed.

    Raises
    ------
    ModelError
        If the form is not valid, the program does not fit in memory, or ``exact`` is asked for.
    """
    options = options or Options()
    if options.exact:
        raise ModelError("is not proved in fractions by the reduced program; ask for virtual-values", field="params.formulation")
    start = time.perf_counter()
    linear = build(market)
    left = None if options.time_limit is None else max(options.time_limit - (time.perf_counter() - start), 0.0)
    try:
        result = highs.solve(linear, replace(options, time_limit=left))
    except SolverError:
        result = highs.LpResult.of_failure(linear)
    candidates = general.simple(market)
    if result.x is not None:
        candidates.append(read(market, linear, result.x))
    priced = float(market.scale) * float(np.abs(result.multipliers).sum())
    lower, mechanism = max(((general.surely(market, one, priced), one) for one in candidates), key=lambda pair: pair[0])
    upper = min(result.bound * linear.unit, general.ceiling(market))
    gap = relative_gap(lower, upper)
    notes = ["reduced program: one prior, so that only the chance to be told right matters"]
    status = result.status
    if status in {Status.INFEASIBLE, Status.UNBOUNDED, Status.FAILED}:
        # to tell nobody anything is always feasible, and utilities have bounds: so it is the solver that failed
        notes.append(f"the solver ended {status}, which this program cannot be: virtual values need none")
        status = Status.GAP
    return Answer(
        status=options.settled(status, gap),
        mechanism=mechanism.written_out(market).as_json(),
        quantities=quantities(market, mechanism.views(market)),
        certificate=Certificate(lower, upper, gap, result.blocks),
        method="reduced form",
        notes=tuple(notes),
        run=result.run(time.perf_counter() - start, linear.columns),
    )
