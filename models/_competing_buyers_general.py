"""The linear program of any market of competing buyers with finitely many types, its incentive rows separated on demand."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from scipy.spatial import cKDTree

from optmarket import highs, refinement
from optmarket.errors import ModelError
from optmarket.models._competing_buyers_market import Kind, Market
from optmarket.models._competing_buyers_tally import Groups, Tallied
from optmarket.models._competing_buyers_view import assess, quantities
from optmarket.numbers import around, floats
from optmarket.program import FloatArray, IntArray, LinearProgram, NumberArray, Rows, check_memory
from optmarket.solution import Answer, Certificate, Options, Status

NEIGHBOURS = 2
ROWS_PER_TYPE = 2
BLOCK_BYTES = 2**26

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
    number, one = rounding(exact=exact)
    program.add_rows("individual rationality", Rows.join(side.participation(one) for side in sides))
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
    program = LinearProgram("max", unit=float(market.scale))
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


@dataclass(frozen=True)
class Side:
    """What one buyer of a kind cares about: its columns and payoffs, in normalised units.

    Its incentives are the same program once for each of S cases: ex post the tallies of the others' reports, Bayesian only one,
    their mean. T types, K reports, M states; harm comes state by state (W = M) or as one number (W = 1).

    Attributes
    ----------
    gain : array, shape (T, M)
        Value times belief.
    cost : array, shape (T, W)
        What one rival's being right costs.
    outside : array, shape (T,)
    report : array of int, shape (T,)
        What is meant for each type.
    experiment : array of int, shape (S, K, M, M)
        Columns, by state and recommended action.
    harm : array of int, shape (S, K, W)
        Columns of how many rivals are right.
    payment : array of int, shape (S, K)
    owed : array of int, shape (S, K)
        What one pays who reports as is meant: `payment`, but in a relaxation that spares it something.
    """

    gain: NumberArray
    cost: NumberArray
    outside: NumberArray
    report: IntArray
    experiment: IntArray
    harm: IntArray
    payment: IntArray
    owed: IntArray

    def rows(self, case: IntArray, buyer: IntArray, report: IntArray, disobedience: IntArray) -> Rows:
        """Rows of type against report: no more is gained by that report and disobedience than by truth and obedience.

        Parameters
        ----------
        case, buyer, report : array of int, shape (N,)
        disobedience : array of int, shape (N, M)
            The action taken after each recommendation.
        """
        count, states = disobedience.shape
        act = np.arange(states)
        one = np.full((count, 1), self.gain.dtype.type(1) if self.gain.dtype != object else Fraction(1))
        cost = self.cost[buyer]

        def columns(told: IntArray, taken: IntArray, paid: IntArray) -> list[IntArray]:
            experiment = self.experiment[case[:, None], told[:, None], taken, act]
            return [experiment, self.harm[case, told], paid[case, told][:, None]]

        truth = columns(self.report[buyer], np.broadcast_to(act, disobedience.shape), self.owed)
        index = np.hstack([*truth, *columns(report, disobedience, self.payment)])
        deviating = np.take_along_axis(self.gain[buyer], disobedience, 1)
        value = np.hstack([self.gain[buyer], -cost, -one, -deviating, cost, one])
        return Rows.dense(index, value, 0.0, np.inf)

    def participation(self, one: Any) -> Rows:
        """One row for each case and type: taking part is at least as good as facing informed rivals uninformed."""
        cases, types = len(self.payment), len(self.report)
        told = np.diagonal(self.experiment, axis1=2, axis2=3)
        index = np.concatenate([told, self.harm, self.owed[:, :, None]], axis=2)[:, self.report]
        value = np.hstack([self.gain, -self.cost, np.full((types, 1), -one)])
        width = index.shape[2]
        return Rows.dense(
            index.reshape(-1, width),
            np.broadcast_to(value, (cases, types, width)).reshape(-1, width),
            np.tile(self.outside, cases),
            np.inf,
        )

    def obedience(self, belief: NumberArray) -> Rows:
        """One row for each case, type, recommendation and other action: following is at least as good.

        Parameters
        ----------
        belief : array, shape (T, M)
            Not `gain`: a type that values nothing is obedient too.
        """
        cases, states = len(self.payment), belief.shape[1]
        told, act = self.experiment[:, self.report], np.arange(states)
        parts = []
        for shift in range(1, states):
            other = (act + shift) % states
            index = np.stack([told[:, :, act, act], told[:, :, other, act]], axis=-1)
            value = np.stack([belief[:, act], -belief[:, other]], axis=-1)
            parts.append(Rows.dense(index.reshape(-1, 2), np.tile(value.reshape(-1, 2), (cases, 1)), 0.0, np.inf))
        return Rows.join(parts)


def _payments(market: Market, kind: Kind, number: Any, one: Any, deviations: Deviations) -> tuple[NumberArray, NumberArray]:
    """Bounds on what each report of a buyer pays that leave the optimum as it is.

    Above, individual rationality of each of its types: at best one is told right and nobody else is. Below, 0: if a payment is
    -d, every type gains at least d by that report (ignore what is told; rivals harm at most as they do if one opts out), so that
    all payments can be raised by d. Who must obey after a misreport can lose its whole expected value v max(theta) by it, and d
    is bounded by that.
    """
    sure = kind.value * kind.belief.max(axis=1) / market.scale
    upper = kind.value * (1 + market.externality) / market.scale - sure
    upper = np.minimum.reduceat(upper, np.searchsorted(kind.report, np.arange(kind.reports)))
    least = 0 * one if deviations == "double" else number(-max(sure))
    return np.full(len(upper), least), number(upper)


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
        paid = number(np.multiply.outer(likely, groups.sizes[g] * kind.mass))
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
        paid = number(groups.sizes[g] * kind.mass)
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


def _payoffs(market: Market, kind: Kind, number: Any) -> tuple[NumberArray, NumberArray, NumberArray]:
    """Gain, cost and outside option of a buyer's types."""
    worth = kind.value / market.scale
    gain = worth[:, None] * kind.belief
    cost = market.share * (gain if market.own else worth[:, None])
    return number(gain), number(cost), number(worth * (kind.belief.max(axis=1) - market.externality))


@dataclass(frozen=True)
class IncentiveRows:
    """Every type of every buyer prefers its own report, obeyed, to any other with any disobedience, in each case.

    For a type and a report the most profitable disobedience takes the best action after each recommendation, so that one
    maximum finds the most violated row. With ``disobey=False`` only obedience is considered.

    Attributes
    ----------
    sides : tuple of Side
    disobey : bool
    """

    sides: tuple[Side, ...]
    disobey: bool

    def seed(self) -> Rows:
        """Each type towards its nearest in value times belief, obeying."""
        parts = []
        for side in self.sides:
            cases, reports = side.payment.shape
            if reports == 1:
                continue
            types = len(side.report)
            near = min(NEIGHBOURS, types - 1)
            _, nearest = cKDTree(floats(side.gain)).query(floats(side.gain), near + 1)
            pair = np.zeros((types, types), dtype=bool)
            pair[np.repeat(np.arange(types), near + 1), nearest.ravel()] = True
            towards = np.zeros((types, reports), dtype=bool)
            buyer, other = np.nonzero(pair | pair.T)
            towards[buyer, side.report[other]] = True
            towards[np.arange(types), side.report] = False
            buyer, report = np.nonzero(towards)
            case = np.repeat(np.arange(cases), len(buyer))
            buyer, report = np.tile(buyer, cases), np.tile(report, cases)
            parts.append(side.rows(case, buyer, report, self._obey(side, len(case))))
        return Rows.join(parts)

    @staticmethod
    def _obey(side: Side, count: int) -> IntArray:
        states = side.gain.shape[1]
        return np.broadcast_to(np.arange(states), (count, states))

    def separate(self, x: NumberArray, tolerance: float) -> tuple[Rows, Any]:
        """The worst rows of each type and each report that fail at x by more than `tolerance`; the largest failure."""
        parts: list[Rows] = []
        largest: Any = 0
        for side in self.sides:
            cases, reports = side.payment.shape
            types, states = side.gain.shape
            step = max(1, BLOCK_BYTES // (8 * types * reports * states * states))
            for start in range(0, cases, step):
                block = slice(start, start + step)
                rows, worst = self._worst(side, block, x, tolerance)
                parts.append(rows)
                largest = max(largest, worst)
        return Rows.join(parts), largest

    def _worst(self, side: Side, block: slice, x: NumberArray, tolerance: float) -> tuple[Rows, Any]:
        experiment, payment = x[side.experiment[block]], x[side.payment[block]]
        told = np.diagonal(experiment, axis1=2, axis2=3)
        harmed = x[side.harm[block]] @ side.cost.T
        if self.disobey:
            payoff = side.gain[:, None, :, None] * experiment[:, None]
            value = payoff.max(axis=3).sum(axis=3)
        else:
            value = (told @ side.gain.T).swapaxes(1, 2)
        # by how much each type envies each report
        failure = value - (harmed + payment[:, :, None]).swapaxes(1, 2)
        here = np.arange(len(side.report))
        truth = (
            (told[:, side.report] * side.gain).sum(axis=2) - harmed[:, side.report, here] - x[side.owed[block]][:, side.report]
        )
        failure = failure - truth[:, :, None]
        failure[:, here, side.report] = 0
        largest = failure.max()
        if not largest > tolerance:
            return Rows.join([]), max(largest, 0)
        picked = np.zeros(failure.shape, dtype=bool)
        for axis, often in ((1, 1), (2, ROWS_PER_TYPE)):
            left = failure.copy()
            for _ in range(often):
                worst = np.expand_dims(left.argmax(axis=axis), axis)
                np.put_along_axis(picked, worst, True, axis)
                np.put_along_axis(left, worst, 0, axis)
        case, buyer, report = np.nonzero(picked & (failure > tolerance))
        if self.disobey:
            best = (side.gain[buyer][:, :, None] * experiment[case, report]).argmax(axis=1)
        else:
            best = self._obey(side, len(case))
        return side.rows(case + block.start, buyer, report, best), largest

    def size(self) -> tuple[int, int, int]:
        """Rows, columns and non-zeros of the full family."""
        rows = columns = nonzeros = 0
        for side in self.sides:
            cases, reports = side.payment.shape
            types, states = side.gain.shape
            pairs = cases * types * (reports - 1)
            width = 2 * (states + side.harm.shape[2] + 1)
            rows, nonzeros = rows + pairs, nonzeros + pairs * width
            if self.disobey:
                rows += pairs * states * states
                columns += pairs * states
                nonzeros += pairs * states * states * 2
        return rows, columns, nonzeros

    def list_all(self, program: LinearProgram) -> None:
        """Add the family: for each type, report and recommendation a variable at least as large as each action's payoff."""
        incentive, epigraph = [], []
        for i, side in enumerate(self.sides, start=1):
            cases, reports = side.payment.shape
            types, states = side.gain.shape
            if reports == 1:
                continue
            other = np.broadcast_to(side.report[:, None] != np.arange(reports), (cases, types, reports))
            case, buyer, report = np.nonzero(other)
            rows = side.rows(case, buyer, report, self._obey(side, len(case)))
            if not self.disobey:
                incentive.append(rows)
                continue
            pairs, exact = len(case), side.gain.dtype == object
            one: Any = Fraction(1) if exact else 1.0
            # no action is worth more than the value, at most 1 after scaling
            payoff = program.add_variables(f"deviation payoff {i}", (pairs, states), lower=0 * one, upper=one)
            shape = (pairs, states, states)  # action taken, recommendation
            index = np.stack([np.broadcast_to(payoff[:, None, :], shape), side.experiment[case, report]], axis=-1)
            value = np.stack([np.full(shape, one), np.broadcast_to(-side.gain[buyer][:, :, None], shape)], axis=-1)
            epigraph.append(Rows.dense(index.reshape(-1, 2), value.reshape(-1, 2), 0.0, np.inf))
            cost = side.cost[buyer]
            ones = np.full((pairs, 1), one)
            act = np.arange(states)

            def columns(told: IntArray, paid: IntArray, side: Side = side, case: IntArray = case) -> list[IntArray]:
                return [side.harm[case, told], paid[case, told][:, None]]

            truth = side.report[buyer]
            own = side.experiment[case[:, None], truth[:, None], act, act]
            incentive.append(
                Rows.dense(
                    np.hstack([own, *columns(truth, side.owed), payoff, *columns(report, side.payment)]),
                    np.hstack([side.gain[buyer], -cost, -ones, np.full((pairs, states), -one), cost, ones]),
                    0.0,
                    np.inf,
                )
            )
        if epigraph:
            program.add_rows("deviation payoff", Rows.join(epigraph))
        program.add_rows("incentive", Rows.join(incentive))


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
        payments.append(program.unit * floats(x[program.variables[f"payment {g + 1}"]]))
        if not active.ex_post:
            experiment = _spread(experiment, np.clip(floats(x[program.variables[f"right {g + 1}"]]), 0.0, 1.0))
        experiments.append(experiment / experiment.sum(axis=-1, keepdims=True))
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


def surely(market: Market, mechanism: Tallied) -> float:
    """What a mechanism earns less the largest gain from any deviation, once for each buyer; -inf beyond the audit's tolerance.

    Buyers are taken not to act on gains within that tolerance, 1e-7 of the market's scale.
    """
    judged = assess(market, mechanism)
    if not judged.good:
        return -math.inf
    groups, n = Groups.of(market), len(market.buyers)
    # one rounding for each addend of a mean over cases and reports, and for each factor of a case's chance
    roundings = max(groups.others(g).total + kind.reports for g, kind in enumerate(groups.kinds)) + 4 * n
    slack = 2.0**-51 * n * roundings * float(market.scale)
    return math.nextafter(judged.quantities["revenue"] - n * judged.worst - slack, -math.inf)


def solve(market: Market, options: Options | None = None) -> Answer:
    """The revenue-maximising mechanism of finitely many types.

    The certificate's upper bound holds for every mechanism without profitable deviations; the lower one is what the mechanism
    returned earns, by `surely`, or one of two simple ones whose incentives hold for sure.

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
        If the solver gives no answer, or with ``exact`` none that is exactly optimal.
    """
    options = options or Options()
    start = time.perf_counter()
    if options.method not in {"auto", "cuts", "full"}:
        raise ModelError(f"the general program has no method {options.method!r}; choose cuts or full")
    method = "full" if options.method == "full" else "cuts"
    linear = build(market, exact=options.exact)
    scale = linear.unit
    if method == "full":
        linear = linear.listed()
    best = max(((one, surely(market, one)) for one in simple(market)), key=lambda pair: pair[1])

    def incumbent(x: FloatArray) -> float:
        nonlocal best
        found = read(market, linear, x)
        best = max(best, (found, surely(market, found)), key=lambda pair: pair[1])
        return best[1] / scale

    result = highs.solve(linear, options, incumbent=incumbent)
    if result.x is not None:
        incumbent(result.x)
    status, exact = result.status, None
    mechanism, lower = best
    upper = result.bound * scale
    if options.exact and status is Status.OPTIMAL:
        left = None if options.time_limit is None else options.time_limit - (time.perf_counter() - start)
        proof = refinement.solve_exactly(linear, result, left)
        if isinstance(proof, Status):
            status = proof
        else:
            exact = proof.value * Fraction(scale)
            mechanism = read(market, linear, proof.x)
            lower, upper = around(exact)
    gap = (upper - lower) / max(scale, abs(upper))
    status = options.settled(status, gap)
    return Answer(
        status=status,
        mechanism=mechanism.written_out(market).as_json(),
        quantities=quantities(market, mechanism.views(market)),
        certificate=Certificate(lower, upper, gap, result.blocks),
        exact=exact,
        method=method,
        run=result.run(time.perf_counter() - start, linear.columns),
    )
