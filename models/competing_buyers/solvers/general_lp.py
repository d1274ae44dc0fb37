"""The linear program of any market of competing buyers with finitely many types, and its solution."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from scipy.spatial import cKDTree

from optmarket.errors import ModelError, SolverError
from optmarket.lp import exact_arithmetic, highs
from optmarket.lp.float_bound import Proof
from optmarket.lp.program import FloatArray, IntArray, LinearProgram, NumberArray, Rows, check_memory
from optmarket.models.competing_buyers.interim import assess, quantities
from optmarket.models.competing_buyers.market import Kind, Market
from optmarket.models.competing_buyers.mechanisms.by_count import Groups, Tallied
from optmarket.models.competing_buyers.solvers.incentives import IncentiveRows, Side
from optmarket.rationals import around, floats
from optmarket.solution import Answer, Certificate, Options, Status, relative_gap

Deviations = Literal["double", "separate", "misreport"]


def of_positive_weight(market: Market) -> tuple[Market, list[IntArray]]:
    """The market without reports of mass 0, and for each kind of buyer the place, among those that stay, of the like of each.

    A report that goes is like that of the nearest type, in value times belief, to the first of its own.
    """
    kinds, like = {}, []
    for kind, _ in market.groups:
        mass = kind.mass != 0
        stay, place = mass[kind.report], np.cumsum(mass) - 1
        names = tuple(name for name, stays in zip(kind.names, stay, strict=True) if stays)
        kinds[id(kind)] = Kind(kind.weight[stay], kind.value[stay], kind.belief[stay], names, place[kind.report[stay]])
        feature = floats(kind.value[:, None] * kind.belief)
        _, nearest = cKDTree(feature[stay]).query(feature[np.searchsorted(kind.report, np.arange(kind.reports))])
        like.append(np.where(mass, place, kinds[id(kind)].report[nearest]))
    return replace(market, buyers=tuple(kinds[id(kind)] for kind in market.buyers)), like


def build(market: Market, *, exact: bool = False, deviations: Deviations = "double") -> LinearProgram:
    """The revenue-maximising direct mechanism as a linear program over the reports of positive mass.

    Buyers alike are treated alike, which is without loss (average any mechanism over their permutations): there are columns for
    one buyer of each kind, by case, the tally of the others' reports, and own report. Ex post these are experiments and payments.
    Bayesian, payments and incentives depend on the own report alone, so that besides the chances of being told right in each
    case, state by state, only the mean experiment of each report is needed: whatever is told instead of the truth may be drawn
    alike in all cases.

    Parameters
    ----------
    market : Market
    exact : bool
        Coefficients as Fractions rather than their floats.
    deviations : {"double", "separate", "misreport"}
        What the mechanism must withstand: misreporting and disobeying together (the market's program), each alone, or
        misreporting by buyers who always obey. The last two are relaxations, for comparison.

    Returns
    -------
    LinearProgram
        In normalised payoffs: multiply its value by its unit.

    Raises
    ------
    ModelError
        If it does not fit in memory.
    """
    market, _ = of_positive_weight(market)
    program, sides = columns(market, exact=exact, deviations=deviations)
    number, _ = rounding(exact=exact)
    program.add_rows("individual rationality", Rows.join(side.participation() for side in sides))
    if deviations != "misreport":
        kinds = zip(sides, market.groups, strict=True)
        program.add_rows("obedience", Rows.join(side.obedience(number(kind.belief)) for side, (kind, _) in kinds))
    if any(count > 1 for count in market.shape):
        program.add_family("incentive", IncentiveRows(tuple(sides), disobey=deviations == "double"))
    return program


def columns(market: Market, *, exact: bool = False, deviations: Deviations = "double") -> tuple[LinearProgram, list[Side]]:
    """The program of `build` before any incentives: its columns, what they mean, and each kind of buyer's side.

    Parameters
    ----------
    market : Market
        All of whose reports have mass.
    exact, deviations
        As in `build`.

    Raises
    ------
    ModelError
        If it does not fit in memory.
    """
    groups, states = Groups.of(market), market.states
    instead = "fewer types, or count = n for buyers alike," if market.prior is None else 'formulation "virtual-values"'
    what = f"the general program of {len(market.buyers)} buyers and {market.profiles:,} profiles of types ({instead} would do)"
    check_memory(*_size(market, groups), what)
    number, one = rounding(exact=exact)
    program = LinearProgram("max", unit=float(unit_of(market)))
    make = _ex_post_columns if market.ex_post else _bayesian_columns
    sides = make(market, groups, program, number, one, deviations)
    told = np.concatenate([side.experiment.reshape(-1, states) for side in sides])
    program.add_rows("experiment sums to one", Rows.dense(told, np.full(told.shape, one), one, one))
    return program, sides


def rounding(*, exact: bool) -> tuple[Callable[[Any], Any], Any]:
    """How a program's coefficients, a number or an array, are made of Fractions, and its 1."""

    def number(values: Any) -> Any:
        if exact:
            return np.asarray(values)[()]
        rounded = floats(values)
        if np.any((np.abs(rounded) < sys.float_info.min) & (np.asarray(values) != 0)):
            raise ModelError("spans too many orders of magnitude for floats; leave out what is negligible", field="params")
        return rounded[()]

    return number, Fraction(1) if exact else 1.0


def unit_of(market: Market) -> Fraction:
    """A power of two about what is at stake in the mean, all buyers together; 1 if nothing is."""
    stake = sum(count * (kind.weight @ kind.value) for kind, count in market.groups) * (1 + market.externality)
    return Fraction(2) ** math.ceil(math.log2(stake)) if stake else Fraction(1)


def own_unit(kind: Kind) -> NumberArray:
    """What payments of each report are measured in, shape (K,): the largest value of those who make it, 1 if that is 0."""
    worth = np.maximum.reduceat(kind.value, np.searchsorted(kind.report, np.arange(kind.reports)))
    return np.array([each or Fraction(1) for each in worth], dtype=object)


def _size(market: Market, groups: Groups) -> tuple[int, int, int]:
    """Rows, columns and non-zeros without the incentive rows, before they are built."""
    states, width = market.states, market.states if market.own else 1
    rows = columns = nonzeros = 0
    for g, kind in enumerate(groups.kinds):
        cases, reports, types = groups.others(g).total, kind.reports, len(kind.weight)
        if market.ex_post:
            nonzeros += cases * reports * states * (len(market.buyers) - 1)
        else:
            pairs = sum(groups.others(g, h).total * groups.kinds[h].reports for h, _ in groups.rivals(g))
            rows, columns = rows + reports * states, columns + cases * reports * states
            nonzeros += reports * states * (cases + 1 + pairs)
            cases = 1
        obedience = states * (states - 1)
        rows += cases * (reports * (states + width) + types * (1 + obedience))
        columns += cases * reports * (states * states + width + 1)
        nonzeros += cases * (reports * (states * states + width) + types * (states + width + 1 + 2 * obedience))
    return rows, columns, nonzeros


def _payments(market: Market, kind: Kind, number: Any, one: Any, deviations: Deviations) -> tuple[NumberArray, NumberArray]:
    """Bounds on what each report of a buyer pays that leave the optimum as it is.

    Above, individual rationality of each of its types: at best one is told right and nobody else is. Below, 0: if a payment is
    -d, every type gains at least d by that report (ignore what is told; rivals harm at most as they do if one opts out), so that
    all payments can be raised by d. Who must obey after a misreport can lose its whole expected value v max(theta) by it, and d
    is bounded by that.
    """
    sure = kind.value * kind.belief.max(axis=1)
    unit = own_unit(kind)
    upper = kind.value * (1 + market.externality) - sure
    upper = np.minimum.reduceat(upper, np.searchsorted(kind.report, np.arange(kind.reports))) / unit
    least = np.full(len(upper), 0 * one) if deviations == "double" else number(-max(sure) / unit)
    return least, number(upper)


def _ex_post_columns(
    market: Market, groups: Groups, program: LinearProgram, number: Any, one: Any, deviations: Deviations
) -> list[Side]:
    states, n = market.states, len(market.buyers)
    act = np.arange(states)
    experiments, payments = [], []
    for g, kind in enumerate(groups.kinds):
        likely = groups.others(g).probability(groups.masses)
        shape = (len(likely), kind.reports)
        experiments.append(program.add_variables(f"experiment {g + 1}", (*shape, states, states), lower=0 * one, upper=one))
        lower, upper = (np.broadcast_to(bound, shape) for bound in _payments(market, kind, number, one, deviations))
        paid = number(np.multiply.outer(likely, groups.sizes[g] * kind.mass * own_unit(kind) / unit_of(market)))
        payments.append(program.add_variables(f"payment {g + 1}", shape, lower=lower, upper=upper, objective=paid))
    sides = []
    for g, kind in enumerate(groups.kinds):
        cells = payments[g].shape
        parts = []
        for h, _ in groups.rivals(g):
            case, report, often = groups.facing(g, h)
            right = np.moveaxis(experiments[h][case, report][..., act, act], 1, 3)  # by case, own report and state
            if market.own:
                parts.append((right, (often * one)[:, None, None]))
            else:
                told = number(np.arange(n)[:, None, None] * groups.kinds[h].mean_belief)[often, report[:, :, 0]]
                expected = np.swapaxes(told, 1, 2).reshape(len(often), 1, 1, -1)
                parts.append((right.reshape(*cells, 1, -1), expected))
        width = states if market.own else 1
        harm = program.add_variables(f"rivals right {g + 1}", (*cells, width), lower=0 * one, upper=(n - 1) * one)
        program.add_rows(f"rivals right {g + 1}", sums(harm, parts, one))
        sides.append(Side(*_payoffs(market, kind, number), kind.report, experiments[g], harm, payments[g], payments[g]))
    return sides


def _bayesian_columns(
    market: Market, groups: Groups, program: LinearProgram, number: Any, one: Any, deviations: Deviations
) -> list[Side]:
    states, n = market.states, len(market.buyers)
    act = np.arange(states)
    right = []
    for g, kind in enumerate(groups.kinds):
        shape = (groups.others(g).total, kind.reports, states)
        right.append(program.add_variables(f"right {g + 1}", shape, lower=0 * one, upper=one))
    sides = []
    for g, kind in enumerate(groups.kinds):
        reports = kind.reports
        experiment = program.add_variables(f"experiment {g + 1}", (reports, states, states), lower=0 * one, upper=one)
        lower, upper = _payments(market, kind, number, one, deviations)
        paid = number(groups.sizes[g] * kind.mass * own_unit(kind) / unit_of(market))
        payment = program.add_variables(f"payment {g + 1}", (reports,), lower=lower, upper=upper, objective=paid)
        likely = number(groups.others(g).probability(groups.masses))
        told = (right[g].transpose(1, 2, 0), likely)
        program.add_rows(f"mean experiment {g + 1}", sums(experiment[:, act, act], [told], one))
        parts = []
        for h, _ in groups.rivals(g):
            case, chance = groups.expected(g, h)
            # by own report, state, and what the other rivals and the one in question report
            faced = np.moveaxis(right[h][case], (1, 3), (0, 1)).reshape(reports, states, -1)
            if market.own:
                parts.append((faced, number(chance.ravel())))
            else:
                expected = number(np.moveaxis(chance[..., None] * groups.kinds[h].mean_belief, 2, 0).ravel())
                parts.append((faced.reshape(reports, 1, -1), expected))
        width = states if market.own else 1
        harm = program.add_variables(f"rivals right {g + 1}", (reports, width), lower=0 * one, upper=(n - 1) * one)
        program.add_rows(f"rivals right {g + 1}", sums(harm, parts, one))
        columns = (experiment[None], harm[None], payment[None], payment[None])
        sides.append(Side(*_payoffs(market, kind, number), kind.report, *columns))
    return sides


def sums(total: IntArray, parts: Sequence[tuple[IntArray, NumberArray]], one: Any) -> Rows:
    """Rows that make each column of a total the weighted sum of columns along the last axis of all parts."""
    index = np.concatenate([total[..., None], *(columns for columns, _ in parts)], axis=-1)
    weights = [np.broadcast_to(weight, columns.shape) for columns, weight in parts]
    value = np.concatenate([np.full((*total.shape, 1), -one), *weights], axis=-1)
    width = index.shape[-1]
    return Rows.dense(index.reshape(-1, width), value.reshape(-1, width), 0 * one, 0 * one)


def _payoffs(market: Market, kind: Kind, number: Any) -> tuple[FloatArray, NumberArray, NumberArray, NumberArray, NumberArray]:
    """Where a buyer's types are, and their gain, cost, outside option and price, as `Side` takes them."""
    some = kind.value > 0
    one = np.array([Fraction(int(positive)) for positive in some], dtype=object)
    worth = kind.value + 1 - one
    gain = one[:, None] * kind.belief
    cost = market.share * (gain if market.own else one[:, None])
    outside = one * (kind.belief.max(axis=1) - market.externality)
    where = floats(kind.value[:, None] * kind.belief / market.scale)
    return where, number(gain), number(cost), number(outside), number(own_unit(kind) / worth[:, None])


def read(market: Market, program: LinearProgram, x: NumberArray) -> Tallied:
    """A point of the program as a mechanism for all reports, those of mass 0 treated as their likes of positive mass.

    What the solver's tolerances leave is mended: probabilities are brought into range and sum to one, and where a type is asked
    for more than taking part is worth to it, all types of that buyer pay less alike, which no incentive notices.
    """
    active, like = of_positive_weight(market)
    groups = Groups.of(active)
    experiments, payments = [], []
    for g in range(len(groups)):
        experiment = np.clip(floats(x[program.variables[f"experiment {g + 1}"]]), 0.0, 1.0)
        payments.append(floats(own_unit(active.groups[g][0])) * floats(x[program.variables[f"payment {g + 1}"]]))
        if not active.ex_post:
            experiment = _spread(experiment, np.clip(floats(x[program.variables[f"right {g + 1}"]]), 0.0, 1.0))
        told = experiment.sum(axis=-1, keepdims=True)
        # a solve that was stopped before its first step may leave zeros: there each state is told as often as any other
        experiments.append(np.where(told > 0, experiment, 1.0) / np.where(told > 0, told, market.states))
    found = Tallied(tuple(experiments), tuple(payments))
    asked = [np.maximum(-view.gain.min(axis=1, keepdims=True), 0.0) for view in found.seen_by_kind(active)]
    paid = tuple(payment - (most if active.ex_post else most[0]) for payment, most in zip(payments, asked, strict=True))
    return replace(found, payments=paid).relabelled(groups, Groups.of(market), like)


def _spread(mean: FloatArray, right: FloatArray) -> FloatArray:
    """Experiments by case and report, shape (S, K, M, M), from chances to be told right, wrong ones drawn as on average."""
    states = mean.shape[-1]
    act = np.arange(states)
    wrong = mean.copy()
    wrong[:, act, act] = 0.0
    never = wrong.sum(axis=-1) == 0.0
    wrong[:, act, (act + 1) % states] += never
    wrong /= wrong.sum(axis=-1, keepdims=True)
    experiment = (1.0 - right)[..., None] * wrong
    experiment[..., act, act] = right
    return np.asarray(experiment)


def simple(market: Market) -> list[Tallied]:
    """Two mechanisms whose incentives hold for sure, the second if types who make one report agree on what is likeliest.

    Everybody is told the state, at a price that suits every type; and nobody is told more than it believes, but pays for the
    others' not being told either.
    """
    groups, states = Groups.of(market), np.eye(market.states)
    cells = [(groups.others(g).total, kind.reports) for g, kind in enumerate(groups.kinds)]
    likeliest = [floats(kind.mean_belief).argmax(axis=1) for kind in groups.kinds]
    informed = [np.broadcast_to(states, (*shape, *states.shape)) for shape in cells]
    silent = [
        np.broadcast_to(states[told][:, None], (*shape, *states.shape)) for told, shape in zip(likeliest, cells, strict=True)
    ]
    found = []
    for experiments in (informed, silent):
        free = Tallied(tuple(experiments), tuple(np.zeros(reports) for _, reports in cells))
        payments = []
        for (cases, reports), kind, view in zip(cells, groups.kinds, free.seen_by_kind(market), strict=True):
            most = np.maximum(view.gain[:, floats(kind.mass)[kind.report] > 0].min(axis=1, keepdims=True), 0.0)
            payments.append(np.broadcast_to(most, (cases, reports)) if market.ex_post else np.full(reports, most[0, 0]))
        found.append(replace(free, payments=tuple(payments)))
    return found


def surely(market: Market, mechanism: Tallied, priced: float = 0.0) -> float:
    """What a mechanism earns less what its largest gains from deviations may be worth; -inf beyond the audit's tolerance.

    Buyers are taken not to act on gains within that tolerance, 1e-7 of what is at stake for the type. Taken off are the largest
    gain, once for each buyer, or what the gains are worth at a program's dual values, whichever is more.

    Parameters
    ----------
    market : Market
    mechanism : Tallied
    priced : float
        In payoff units: what it is worth, at dual values, to relax all rows by what is at stake for their types.
    """
    judged = assess(market, mechanism)
    if not judged.good:
        return -math.inf
    groups, n = Groups.of(market), len(market.buyers)
    # one rounding for each addend of a mean over cases and reports, and for each factor of a case's chance
    roundings = max(groups.others(g).total + kind.reports for g, kind in enumerate(groups.kinds)) + 4 * n
    views = mechanism.seen_by_kind(market)
    size = math.fsum(count * view.mean(np.abs(view.paid)) for view, count in zip(views, groups.sizes, strict=True))
    slack = 2.0**-51 * roundings * size
    # gains are computed with roundings of their own, relative to what is at stake for the type
    relative = max(judged.relative.values(), default=0.0) + 2.0**-51 * roundings
    lost = max(n * judged.worst, priced * relative)
    return math.nextafter(judged.quantities["revenue"] - lost - slack, -math.inf)


def solve(market: Market, options: Options | None = None) -> Answer:
    """The revenue-maximising mechanism of finitely many types.

    The certificate's upper bound holds for every mechanism without profitable deviations; the lower one is what the mechanism
    returned earns, by `surely`, or one of two simple ones whose incentives hold for sure. Where a program is small, and the two
    are apart, it is solved in rational arithmetic.

    Parameters
    ----------
    market : Market
    options : Options, optional
        Methods: ``cuts`` (incentive rows on demand; ``auto`` is this) and ``full`` (all rows listed).

    Raises
    ------
    ModelError
        If the program does not fit in memory, or the method is another.
    SolverError
        With ``exact``, if there is no answer that is exactly optimal.
    """
    options = options or Options()
    start = time.perf_counter()
    if options.method not in {"auto", "cuts", "full"}:
        raise ModelError(f"the general program has no method {options.method!r}; choose cuts or full")
    method = "full" if options.method == "full" else "cuts"

    def built(*, exact: bool) -> LinearProgram:
        linear = build(market, exact=exact)
        return linear.listed() if method == "full" else linear

    def left() -> float | None:
        return None if options.time_limit is None else max(options.time_limit - (time.perf_counter() - start), 0.0)

    linear = built(exact=options.exact)
    best = max(((one, surely(market, one)) for one in simple(market)), key=lambda pair: pair[1])

    def incumbent(x: FloatArray, priced: float = 0.0) -> float:
        nonlocal best
        found = read(market, linear, x)
        best = max(best, (found, surely(market, found, priced)), key=lambda pair: pair[1])
        return best[1] / linear.unit

    try:
        result = highs.solve(linear, replace(options, time_limit=left()), incumbent=incumbent)
    except SolverError:
        result = highs.LpResult.of_failure(linear)
    if result.x is not None:
        incumbent(result.x, linear.unit * float(1 + market.externality) * float(np.abs(result.multipliers).sum()))
    status, exact, notes = result.status, None, []
    upper = min(result.bound * linear.unit, ceiling(market))
    if status in {Status.INFEASIBLE, Status.UNBOUNDED, Status.FAILED}:
        # to tell nobody anything is always feasible, and payments have bounds: so it is the solver that failed
        notes.append(f"the solver ended {status}, which this program cannot be: the bounds are what else is known")
        status = Status.GAP
    # ends that cross prove that one is wrong by rounding: then exact arithmetic decides
    gap = relative_gap(best[1], upper) if best[1] <= upper else math.inf
    if options.exact and status in {Status.OPTIMAL, Status.GAP}:
        proof: Proof | Status | None = exact_arithmetic.solve_exactly(linear, result, left())
    elif status in {Status.OPTIMAL, Status.GAP} and exact_arithmetic.is_worthwhile(options, gap, result, linear, close=0.0):
        proof = exact_arithmetic.solve_anew(built(exact=True), left())
    else:
        proof = None
    mechanism, lower = best
    if isinstance(proof, Status):
        status = proof if proof is not Status.FAILED else status
    elif proof is not None:
        value = proof.value * Fraction(linear.unit)
        mechanism, (lower, upper) = read(market, linear, proof.x), around(value)
        status, notes = Status.OPTIMAL, []
        exact = value if options.exact else None
        method = method if options.exact else f"{method}, refined exactly"
    made = quantities(market, mechanism.views(market))
    if proof is not None and not isinstance(proof, Status):
        made = {**made, "revenue": min(max(made["revenue"], lower), upper)}
    gap = relative_gap(lower, upper)
    return Answer(
        status=options.settled(status, gap),
        mechanism=mechanism.written_out(market).as_json(),
        quantities=made,
        certificate=Certificate(lower, upper, gap, result.blocks),
        exact=exact,
        method=method,
        notes=tuple(notes),
        run=result.run(time.perf_counter() - start, linear.columns),
    )


def ceiling(market: Market) -> float:
    """An upper bound on revenue without a program: as if each type were told right and none of its rivals were."""
    total = sum(
        count * (kind.weight @ (kind.value * (1 + market.externality - kind.belief.max(axis=1)))) for kind, count in market.groups
    )
    return around(Fraction(total))[1]
