"""The linear program of any market of competing buyers with finitely many types, its incentive rows separated on demand."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from scipy.spatial import cKDTree

from optmarket import highs, refinement
from optmarket.errors import ModelError
from optmarket.models._competing_buyers_market import Kind, Market
from optmarket.models._competing_buyers_report import Mechanism
from optmarket.models._competing_buyers_view import assess, quantities
from optmarket.numbers import around, floats
from optmarket.program import FloatArray, IntArray, LinearProgram, NumberArray, Rows, check_memory
from optmarket.solution import Answer, Certificate, Options, Status

NEIGHBOURS = 2
ROWS_PER_TYPE = 2
BLOCK_BYTES = 2**26

Deviations = Literal["double", "separate", "misreport"]


def of_positive_weight(market: Market) -> tuple[Market, list[IntArray]]:
    """The market without types of weight 0, and for each buyer the numbers of the types that stay."""
    stay = [np.flatnonzero(kind.weight != 0) for kind in market.buyers]
    kinds = {
        id(kind): Kind(kind.weight[k], kind.value[k], kind.belief[k], tuple(kind.names[r] for r in k), np.arange(len(k)))
        for kind, k in zip(market.buyers, stay, strict=True)
    }
    return replace(market, buyers=tuple(kinds[id(kind)] for kind in market.buyers)), stay


def _mirrored(market: Market) -> bool:
    """Whether the second of two buyers is the first's mirror image."""
    return len(market.buyers) == 2 and market.buyers[0] is market.buyers[1]


def build(market: Market, *, exact: bool = False, deviations: Deviations = "double") -> LinearProgram:
    """The revenue-maximising direct mechanism as a linear program over the types of positive weight.

    Ex post, buyer i's experiment and payment depend on the whole profile of types. Bayesian, its payment and incentives depend
    on its own type alone, so that besides the chances of being told right at each profile, state by state, only the mean
    experiment of each type is needed: whatever is told instead of the truth may be drawn alike at all profiles. Two buyers alike
    are treated alike, which is without loss (mix any mechanism with its mirror image): there are columns for the first only.

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
        In normalised payoffs: multiply its value by ``market.scale``.

    Raises
    ------
    ModelError
        If it does not fit in memory.
    """
    market, _ = of_positive_weight(market)
    n, states = len(market.buyers), market.states
    cells = market.profiles if market.ex_post else 0
    types = sum(market.shape)
    check_memory(
        n * (cells or types) * states * (states + 1),
        n * market.profiles * states + n * (cells or types) * (states * states + 1),
        n * market.profiles * states * (states + n),
        f"the general program of {n} buyers and {market.profiles:,} profiles of types",
    )
    one: Any = Fraction(1) if exact else 1.0

    def number(values: NumberArray) -> NumberArray:
        if exact:
            return values
        rounded = floats(values)
        if np.any((np.abs(rounded) < sys.float_info.min) & (values != 0)):
            raise ModelError("spans too many orders of magnitude for floats; leave out what is negligible", field="params")
        return rounded

    program = LinearProgram("max", unit=float(market.scale))
    columns = _ex_post_columns if market.ex_post else _bayesian_columns
    sides = columns(market, program, number, one, deviations)
    experiments = [side.experiment.reshape(-1, states) for side in sides]
    told = np.concatenate(experiments)
    program.add_rows("experiment sums to one", Rows.dense(told, np.full(told.shape, one), one, one))
    program.add_rows("individual rationality", Rows.join(side.participation(one) for side in sides))
    if deviations != "misreport":
        program.add_rows("obedience", Rows.join(side.obedience(market.buyers[i], number) for i, side in enumerate(sides)))
    if any(count > 1 for count in market.shape):
        program.add_family("incentive", IncentiveRows(tuple(sides), disobey=deviations == "double"))
    return program


@dataclass(frozen=True)
class Side:
    """What one buyer cares about: its columns and payoffs, in normalised units.

    Its incentives are the same program once for each of S cases: ex post the profiles of the others' types, Bayesian only one,
    their mean. K types, M states; harm comes state by state (W = M) or as one number (W = 1), from H columns each.

    Attributes
    ----------
    gain : array, shape (K, M)
        Value times belief.
    cost : array, shape (K, W)
        What one rival's being right costs.
    outside : array, shape (K,)
    experiment : array of int, shape (S, K, M, M)
        Columns, by state and recommended action.
    harm : array of int, shape (S, K, W, H)
        Columns whose sum over H is how many rivals are right.
    payment : array of int, shape (S, K)
    """

    gain: NumberArray
    cost: NumberArray
    outside: NumberArray
    experiment: IntArray
    harm: IntArray
    payment: IntArray

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
        cost = np.repeat(self.cost[buyer], self.harm.shape[3], axis=1)

        def columns(told: IntArray, taken: IntArray) -> list[IntArray]:
            experiment = self.experiment[case[:, None], told[:, None], taken, act]
            return [experiment, self.harm[case, told].reshape(count, -1), self.payment[case, told][:, None]]

        index = np.hstack([*columns(buyer, np.broadcast_to(act, disobedience.shape)), *columns(report, disobedience)])
        deviating = np.take_along_axis(self.gain[buyer], disobedience, 1)
        value = np.hstack([self.gain[buyer], -cost, -one, -deviating, cost, one])
        return Rows.dense(index, value, 0.0, np.inf)

    def participation(self, one: Any) -> Rows:
        """One row for each case and type: taking part is at least as good as facing informed rivals uninformed."""
        cases, types, states, _ = self.experiment.shape
        act = np.arange(states)
        index = np.concatenate(
            [self.experiment[:, :, act, act], self.harm.reshape(cases, types, -1), self.payment[:, :, None]], axis=2
        )
        value = np.hstack([self.gain, -np.repeat(self.cost, self.harm.shape[3], axis=1), np.full((types, 1), -one)])
        width = index.shape[2]
        return Rows.dense(
            index.reshape(-1, width),
            np.broadcast_to(value, (cases, types, width)).reshape(-1, width),
            np.tile(self.outside, cases),
            np.inf,
        )

    def obedience(self, kind: Kind, number: Any) -> Rows:
        """One row for each case, type, recommendation and other action: following is at least as good."""
        cases, _, states, _ = self.experiment.shape
        belief = number(kind.belief)  # a type that values nothing is obedient too
        parts = []
        for shift in range(1, states):
            act, other = np.arange(states), (np.arange(states) + shift) % states
            index = np.stack([self.experiment[:, :, act, act], self.experiment[:, :, other, act]], axis=-1)
            value = np.stack([belief[:, act], -belief[:, other]], axis=-1)
            parts.append(Rows.dense(index.reshape(-1, 2), np.tile(value.reshape(-1, 2), (cases, 1)), 0.0, np.inf))
        return Rows.join(parts)


def _payments(market: Market, number: Any, one: Any, deviations: Deviations) -> list[tuple[NumberArray, NumberArray]]:
    """Bounds on what each type of each buyer pays that leave the optimum as it is.

    Above, individual rationality: at best one is told right and nobody else is. Below, 0: if a payment is -d, every type gains
    at least d by that report (ignore what is told; rivals harm at most as they do if one opts out), so that all payments can be
    raised by d. Who must obey after a misreport can lose its whole expected value v max(theta) by it, and d is bounded by that.
    """
    bounds = []
    for kind in market.buyers:
        sure = kind.value * kind.belief.max(axis=1) / market.scale
        upper = kind.value * (1 + market.externality) / market.scale - sure
        lower = np.full(len(upper), 0 * one if deviations == "double" else number(np.array([-max(sure)], dtype=object))[0])
        bounds.append((lower, number(upper)))
    return bounds


def _ex_post_columns(market: Market, program: LinearProgram, number: Any, one: Any, deviations: Deviations) -> list[Side]:
    shape, n, states = market.shape, len(market.buyers), market.states
    mirrored = _mirrored(market)
    weight = number(_product([kind.weight for kind in market.buyers]) * (1 + mirrored))
    act = np.arange(states)
    experiments, payments = [], []
    for i, (lower, upper) in enumerate(_payments(market, number, one, deviations)[: n - mirrored]):
        along = [1] * n
        along[i] = -1
        experiments.append(program.add_variables(f"experiment {i + 1}", (*shape, states, states), lower=0 * one, upper=one))
        payments.append(
            program.add_variables(
                f"payment {i + 1}",
                shape,
                lower=np.broadcast_to(lower.reshape(along), shape),
                upper=np.broadcast_to(upper.reshape(along), shape),
                objective=weight,
            )
        )
    right = [experiment[..., act, act] for experiment in experiments]
    if not market.own:
        beliefs = [_along(number(kind.belief), i, n) for i, kind in enumerate(market.buyers)]
        right = [
            _sums(program, f"right {i}", shape, one, one, [(told, belief)])[..., None]
            for i, (told, belief) in enumerate(zip(right, beliefs, strict=False), start=1)
        ]
    if mirrored:
        right.append(right[0].swapaxes(0, 1).copy())
    if mirrored and market.own:
        # where both are of one type, a row speaks of both: it needs a column for each
        same = np.arange(shape[0])
        parts = [(right[0][same, same][..., None], np.full((1,), one))]
        right[1][same, same] = _sums(program, "right if of one type", (shape[0], states), one, one, parts)
    sides = []
    for i in range(n - mirrored):
        harm = np.stack([right[j] for j in range(n) if j != i], axis=-1)
        sides.append(
            Side(*_payoffs(market, i, number), *(_by_case(columns, i, n) for columns in (experiments[i], harm, payments[i])))
        )
    return sides


def _bayesian_columns(market: Market, program: LinearProgram, number: Any, one: Any, deviations: Deviations) -> list[Side]:
    shape, n, states = market.shape, len(market.buyers), market.states
    act = np.arange(states)
    mirrored = _mirrored(market)
    right = [program.add_variables(f"right {i + 1}", (*shape, states), lower=0 * one, upper=one) for i in range(n - mirrored)]
    if mirrored:
        right.append(right[0].swapaxes(0, 1))
    sides = []
    for i, (lower, upper) in enumerate(_payments(market, number, one, deviations)[: n - mirrored]):
        types = shape[i]
        experiment = program.add_variables(f"experiment {i + 1}", (types, states, states), lower=0 * one, upper=one)
        objective = number(market.buyers[i].weight * (1 + mirrored))
        payment = program.add_variables(f"payment {i + 1}", (types,), lower=lower, upper=upper, objective=objective)
        # how likely the profiles of the others are
        others = _product([kind.weight for j, kind in enumerate(market.buyers) if j != i]).ravel()
        weight = np.broadcast_to(number(others), (types, states, len(others)))
        told = np.moveaxis(right[i], i, 0).reshape(types, -1, states).swapaxes(1, 2)
        program.add_rows(
            f"mean experiment {i + 1}",
            Rows.dense(
                np.concatenate([experiment[:, act, act][..., None], told], axis=2).reshape(types * states, -1),
                np.concatenate([np.full((types, states, 1), -one), weight], axis=2).reshape(types * states, -1),
                0 * one,
                0 * one,
            ),
        )
        rivals = [j for j in range(n) if j != i]
        if market.own:
            parts = [(np.moveaxis(right[j], i, 0).reshape(types, -1, states).swapaxes(1, 2), weight) for j in rivals]
            harm = _sums(program, f"rivals right {i + 1}", (types, states), (n - 1) * one, one, parts)
        else:
            alone = others.reshape([shape[j] for j in rivals])
            parts = []
            for j in rivals:
                belief = _along(market.buyers[j].belief, rivals.index(j), n - 1)
                expected = number((alone[..., None] * belief).ravel())
                told = np.moveaxis(right[j], i, 0).reshape(types, 1, -1)
                parts.append((told, np.broadcast_to(expected, told.shape)))
            harm = _sums(program, f"rivals right {i + 1}", (types, 1), (n - 1) * one, one, parts)
        sides.append(Side(*_payoffs(market, i, number), experiment[None], harm[None, ..., None], payment[None]))
    return sides


def _sums(
    program: LinearProgram,
    name: str,
    shape: tuple[int, ...],
    upper: Any,
    one: Any,
    parts: Sequence[tuple[IntArray, NumberArray]],
) -> IntArray:
    """New variables, each the weighted sum of columns along the last axis of all parts."""
    total = program.add_variables(name, shape, lower=0 * one, upper=upper)
    index = np.concatenate([total[..., None], *(columns for columns, _ in parts)], axis=-1)
    weights = [np.broadcast_to(weight, columns.shape) for columns, weight in parts]
    value = np.concatenate([np.full((*shape, 1), -one), *weights], axis=-1)
    width = index.shape[-1]
    program.add_rows(name, Rows.dense(index.reshape(-1, width), value.reshape(-1, width), 0 * one, 0 * one))
    return total


def _payoffs(market: Market, i: int, number: Any) -> tuple[NumberArray, NumberArray, NumberArray]:
    """Gain, cost and outside option of a buyer's types."""
    kind = market.buyers[i]
    worth = kind.value / market.scale
    gain = worth[:, None] * kind.belief
    cost = market.share * (gain if market.own else worth[:, None])
    return number(gain), number(cost), number(market.outside(i) / market.scale)


def _by_case(columns: IntArray, i: int, n: int) -> IntArray:
    """Columns by profile, as (profiles of the others, own type, rest)."""
    moved = np.moveaxis(columns, i, n - 1)
    return moved.reshape(-1, *moved.shape[n - 1 :])


def _along(belief: NumberArray, i: int, n: int) -> NumberArray:
    """Beliefs of buyer i by profile and state, to broadcast."""
    return belief.reshape([*(belief.shape[0] if k == i else 1 for k in range(n)), belief.shape[1]])


def _product(weights: Sequence[NumberArray]) -> NumberArray:
    found = np.array(Fraction(1), dtype=object)
    for weight in weights:
        found = np.multiply.outer(found, weight)
    return np.asarray(found, dtype=object)


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
            cases, types = side.payment.shape
            if types == 1:
                continue
            near = min(NEIGHBOURS, types - 1)
            _, nearest = cKDTree(floats(side.gain)).query(floats(side.gain), near + 1)
            pair = np.zeros((types, types), dtype=bool)
            pair[np.repeat(np.arange(types), near + 1), nearest.ravel()] = True
            np.fill_diagonal(pair, False)
            buyer, report = np.nonzero(pair | pair.T)
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
            cases, types = side.payment.shape
            states = side.gain.shape[1]
            step = max(1, BLOCK_BYTES // (8 * types * types * states * states))
            for start in range(0, cases, step):
                block = slice(start, start + step)
                rows, worst = self._worst(side, block, x, tolerance)
                parts.append(rows)
                largest = max(largest, worst)
        return Rows.join(parts), largest

    def _worst(self, side: Side, block: slice, x: NumberArray, tolerance: float) -> tuple[Rows, Any]:
        experiment, payment = x[side.experiment[block]], x[side.payment[block]]
        told = np.diagonal(experiment, axis1=2, axis2=3)
        harmed = x[side.harm[block]].sum(axis=3) @ side.cost.T + payment[:, :, None]
        if self.disobey:
            payoff = side.gain[:, None, :, None] * experiment[:, None]
            value = payoff.max(axis=3).sum(axis=3)
        else:
            value = (told @ side.gain.T).swapaxes(1, 2)
        # by how much each type envies each report
        failure = value - harmed.swapaxes(1, 2)
        here = np.arange(side.payment.shape[1])
        failure = failure - ((told * side.gain).sum(axis=2) - harmed[:, here, here])[:, :, None]
        failure[:, here, here] = 0
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
            cases, types = side.payment.shape
            states = side.gain.shape[1]
            pairs = cases * types * (types - 1)
            width = 2 * (states + side.harm.shape[2] * side.harm.shape[3] + 1)
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
            cases, types = side.payment.shape
            states = side.gain.shape[1]
            case, buyer, report = (
                side_of[np.broadcast_to(~np.eye(types, dtype=bool), (cases, types, types))]
                for side_of in np.indices((cases, types, types))
            )
            if not len(case):
                continue
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
            cost = np.repeat(side.cost[buyer], side.harm.shape[3], axis=1)
            ones = np.full((pairs, 1), one)
            act = np.arange(states)

            def columns(told: IntArray, side: Side = side, case: IntArray = case) -> list[IntArray]:
                return [side.harm[case, told].reshape(len(case), -1), side.payment[case, told][:, None]]

            own = side.experiment[case[:, None], buyer[:, None], act, act]
            incentive.append(
                Rows.dense(
                    np.hstack([own, *columns(buyer), payoff, *columns(report)]),
                    np.hstack([side.gain[buyer], -cost, -ones, np.full((pairs, states), -one), cost, ones]),
                    0.0,
                    np.inf,
                )
            )
        if epigraph:
            program.add_rows("deviation payoff", Rows.join(epigraph))
        program.add_rows("incentive", Rows.join(incentive))


def read(market: Market, program: LinearProgram, x: NumberArray) -> Mechanism:
    """A point of the program as a mechanism for all types, those of weight 0 treated as the one of positive weight nearest.

    What the solver's tolerances leave is mended: probabilities are brought into range and sum to one, and where a type is asked
    for more than taking part is worth to it, all types of that buyer pay less alike, which no incentive notices.
    """
    active, stay = of_positive_weight(market)
    scale, n = float(market.scale), len(market.buyers)
    experiments, payments = [], []
    for i in range(n - _mirrored(active)):
        experiment = np.clip(floats(x[program.variables[f"experiment {i + 1}"]]), 0.0, 1.0)
        payments.append(scale * floats(x[program.variables[f"payment {i + 1}"]]))
        if not active.ex_post:
            experiment = _spread(experiment, np.clip(floats(x[program.variables[f"right {i + 1}"]]), 0.0, 1.0), i, n)
        experiments.append(experiment / experiment.sum(axis=-1, keepdims=True))
    if _mirrored(active):
        experiments.append(experiments[0].swapaxes(0, 1))
        payments.append(payments[0].T)
    found = _affordable(active, Mechanism(tuple(experiments), tuple(payments)))
    like = [_nearest(kind, k) for kind, k in zip(market.buyers, stay, strict=True)]
    full = tuple(experiment[np.ix_(*like)] for experiment in found.experiments)
    paid = tuple(payment[like[i]] if payment.ndim == 1 else payment[np.ix_(*like)] for i, payment in enumerate(found.payments))
    return Mechanism(full, paid)


def _spread(mean: FloatArray, right: FloatArray, i: int, n: int) -> FloatArray:
    """Experiments by profile, shape (K_1, ..., K_n, M, M), from chances to be told right, wrong ones drawn as on average."""
    states = mean.shape[-1]
    act = np.arange(states)
    wrong = mean.copy()
    wrong[:, act, act] = 0.0
    never = wrong.sum(axis=-1) == 0.0
    wrong[:, act, (act + 1) % states] += never
    wrong /= wrong.sum(axis=-1, keepdims=True)
    along = [mean.shape[0] if k == i else 1 for k in range(n)]
    experiment = (1.0 - right)[..., None] * wrong.reshape(*along, states, states)
    experiment[..., act, act] = right
    return np.asarray(experiment)


def _nearest(kind: Kind, stay: IntArray) -> IntArray:
    """For each type the place, among those that stay, of the one nearest in value times belief."""
    feature = floats(kind.value[:, None] * kind.belief)
    _, nearest = cKDTree(feature[stay]).query(feature)
    nearest = np.asarray(nearest, dtype=np.int64)
    nearest[stay] = np.arange(len(stay))
    return nearest


def _affordable(market: Market, mechanism: Mechanism) -> Mechanism:
    """The mechanism with each buyer's payments cut alike, in each case, as far as individual rationality asks."""
    payments = []
    for i, payment in enumerate(mechanism.payments):
        view = mechanism.seen(market, i)
        excess = np.maximum(-view.gain.min(axis=1), 0.0)
        if payment.ndim == 1:
            payments.append(payment - excess.max())
            continue
        others = [count for j, count in enumerate(market.shape) if j != i]
        payments.append(payment - np.expand_dims(excess.reshape(others), i))
    return Mechanism(mechanism.experiments, tuple(payments))


def simple(market: Market) -> list[Mechanism]:
    """Two mechanisms whose incentives hold for sure.

    Everybody is told the state, at a price that suits every type; and nobody is told more than it believes, but pays for the
    others' not being told either.
    """
    shape, states = market.shape, market.states
    n = len(shape)
    informed = tuple(np.broadcast_to(np.eye(states), (*shape, states, states)) for _ in range(n))
    silent = []
    for i, kind in enumerate(market.buyers):
        likeliest = floats(kind.belief).argmax(axis=1)
        told = np.broadcast_to(np.eye(states)[likeliest][:, None, :], (shape[i], states, states))
        along = [shape[i] if k == i else 1 for k in range(n)]
        silent.append(np.broadcast_to(told.reshape(*along, states, states), (*shape, states, states)))
    found = []
    for experiments in (informed, tuple(silent)):
        free = Mechanism(experiments, tuple(np.zeros(shape if market.ex_post else count) for count in shape))
        payments = []
        for i, payment in enumerate(free.payments):
            view = free.seen(market, i)
            active = floats(market.buyers[i].weight) > 0
            most = np.maximum(view.gain[:, active].min(axis=1), 0.0)
            if market.ex_post:
                others = [count for j, count in enumerate(shape) if j != i]
                payments.append(payment + np.expand_dims(most.reshape(others), i))
            else:
                payments.append(payment + most.min())
        found.append(Mechanism(experiments, tuple(payments)))
    return found


def surely(market: Market, mechanism: Mechanism) -> float:
    """What a mechanism earns less the largest gain from any deviation, once for each buyer; -inf beyond the audit's tolerance.

    Buyers are taken not to act on gains within that tolerance, 1e-7 of the market's scale.
    """
    judged = assess(market, mechanism)
    if not judged.good:
        return -math.inf
    revenue = judged.quantities["revenue"] - len(market.buyers) * judged.worst
    return math.nextafter(revenue - 1e-15 * float(market.scale), -math.inf)


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
    scale = float(market.scale)
    linear = build(market, exact=options.exact)
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
            exact = proof.value * market.scale
            mechanism = read(market, linear, proof.x)
            lower, upper = around(exact)
    gap = (upper - lower) / max(scale, abs(upper))
    status = options.settled(status, gap)
    return Answer(
        status=status,
        mechanism=mechanism.as_json(),
        quantities=quantities(market, mechanism.views(market)),
        certificate=Certificate(lower, upper, gap, result.blocks),
        exact=exact,
        method=method,
        run=result.run(time.perf_counter() - start, linear.columns),
    )
