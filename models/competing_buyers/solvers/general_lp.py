"""The general linear program of competing buyers with finitely many types of any values and beliefs, and its solution."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from optmarket.arrays import FloatArray, IntArray, NumberArray
from optmarket.errors import ModelError
from optmarket.lp.highs import LpResult
from optmarket.lp.program import LinearProgram, Rows, check_memory
from optmarket.modeling.solve_lp import Solved, Strategy, solve_lp
from optmarket.models.competing_buyers.market import BuyerTypes, FiniteTypes
from optmarket.models.competing_buyers.mechanisms.by_count import AnonymousMechanism
from optmarket.models.competing_buyers.mechanisms.report_counts import SymmetricGroups
from optmarket.models.competing_buyers.solvers.incentives import BuyerConstraints, IncentiveRows
from optmarket.models.competing_buyers.solvers.lp_formulation import LpFormulation
from optmarket.options import Deadline, Options
from optmarket.rationals import floats
from optmarket.solution import Answer

Deviations = Literal["double", "separate", "misreport"]


@lru_cache(maxsize=16)
def of_positive_weight(market: FiniteTypes) -> tuple[FiniteTypes, list[IntArray]]:
    """The market without reports of mass 0, and for each report the one among those that stay that it is treated as.

    A report of mass 0 is treated as that of the nearest type, in value times belief, to the first of its own.

    Returns
    -------
    market : FiniteTypes
    like : list of array of int, shape (K_g,)
        For each group of buyers.
    """
    from scipy.spatial import cKDTree

    active, like = [], []
    for types, _ in market.groups:
        mass = types.mass != 0
        stay, place = mass[types.report], np.cumsum(mass) - 1
        names = tuple(name for name, stays in zip(types.names, stay, strict=True) if stays)
        kept = BuyerTypes(types.weight[stay], types.value[stay], types.belief[stay], names, place[types.report[stay]])
        location = floats(types.value[:, None] * types.belief)
        _, nearest = cKDTree(location[stay]).query(location[types.first_type])
        active.append(kept)
        like.append(np.where(mass, place, kept.report[nearest]))
    return replace(market, buyers=tuple(active[g] for g in market.group_of)), like


def build(market: FiniteTypes, *, exact: bool = False, deviations: Deviations = "double") -> LinearProgram:
    """The revenue-maximising direct mechanism as a linear program over the reports of positive mass.

    Symmetric buyers are treated symmetrically, which is without loss (average any mechanism over their permutations): there are
    columns for one buyer of each group, by case, how many of the others make each report, and own report. Ex post these are
    experiments and payments. Bayesian, payments and incentives depend on the own report alone, so that bebuyers the chances of a
    correct recommendation in each case, state by state, only the mean experiment of each report is needed: whatever is
    recommended instead of the right action may be drawn from one distribution in all cases.

    Parameters
    ----------
    market : FiniteTypes
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
    program, buyers = columns(market, exact=exact, deviations=deviations)
    number, _ = coefficients(exact=exact)
    program.add_rows("individual rationality", Rows.join(one.participation() for one in buyers))
    if deviations != "misreport":
        by_group = zip(buyers, market.groups, strict=True)
        program.add_rows("obedience", Rows.join(one.obedience(number(types.belief)) for one, (types, _) in by_group))
    if any(count > 1 for count in market.shape):
        program.add_family("incentive", IncentiveRows(tuple(buyers), disobey=deviations == "double"))
    return program


def columns(
    market: FiniteTypes, *, exact: bool = False, deviations: Deviations = "double"
) -> tuple[LinearProgram, list[BuyerConstraints]]:
    """The program of `build` before any incentives: its columns, what they mean, and the constraints of each group's buyer.

    Parameters
    ----------
    market : FiniteTypes
        All of whose reports have mass.
    exact, deviations
        As in `build`.

    Raises
    ------
    ModelError
        If it does not fit in memory.
    """
    groups, states = SymmetricGroups.of(market), market.states
    instead = "fewer types, or count = n for symmetric buyers," if market.common_prior is None else 'method "virtual-values"'
    what = f"the general program of {len(market.buyers)} buyers and {market.profiles:,} profiles of types ({instead} would do)"
    check_memory(*_size(market, groups), what)
    number, one = coefficients(exact=exact)
    program = LinearProgram("max", unit=float(unit_of(market)))
    make = _ex_post_columns if market.ex_post else _bayesian_columns
    buyers = make(market, groups, program, number, one, deviations)
    experiments = np.concatenate([buyer.experiment.reshape(-1, states) for buyer in buyers])
    program.add_rows("experiment sums to one", Rows.dense(experiments, np.full(experiments.shape, one), one, one))
    return program, buyers


def coefficients(*, exact: bool) -> tuple[Callable[[Any], Any], Any]:
    """How a program's coefficients, a number or an array, are made of Fractions, and its 1."""

    def number(values: Any) -> Any:
        if exact:
            return np.asarray(values)[()]
        rounded = floats(values)
        if np.any((np.abs(rounded) < sys.float_info.min) & (np.asarray(values) != 0)):
            raise ModelError("spans too many orders of magnitude for floats; leave out what is negligible", field="params")
        return rounded[()]

    return number, Fraction(1) if exact else 1.0


def unit_of(market: FiniteTypes) -> Fraction:
    """A power of two about what is at stake in the mean, all buyers together; 1 if nothing is."""
    stake = sum(count * (types.weight @ types.value) for types, count in market.groups) * (1 + market.externality)
    return Fraction(2) ** math.ceil(math.log2(stake)) if stake else Fraction(1)


def payment_unit(types: BuyerTypes) -> NumberArray:
    """What payments of each report are measured in, shape (K,): the largest value of those who make it, 1 if that is 0."""
    worth = np.maximum.reduceat(types.value, types.first_type)
    return np.array([each or Fraction(1) for each in worth], dtype=object)


def _size(market: FiniteTypes, groups: SymmetricGroups) -> tuple[int, int, int]:
    """Rows, columns and non-zeros without the incentive rows, before they are built."""
    states, width = market.states, market.states if market.own_belief else 1
    rows = columns = nonzeros = 0
    for g, types in enumerate(groups.types):
        cases, reports, type_count = groups.others(g).total, types.reports, len(types.weight)
        if market.ex_post:
            nonzeros += cases * reports * states * (len(market.buyers) - 1)
        else:
            pairs = sum(groups.others(g, h).total * groups.types[h].reports for h, _ in groups.rivals(g))
            rows, columns = rows + reports * states, columns + cases * reports * states
            nonzeros += reports * states * (cases + 1 + pairs)
            cases = 1
        obedience = states * (states - 1)
        rows += cases * (reports * (states + width) + type_count * (1 + obedience))
        columns += cases * reports * (states * states + width + 1)
        nonzeros += cases * (reports * (states * states + width) + type_count * (states + width + 1 + 2 * obedience))
    return rows, columns, nonzeros


def _payments(
    market: FiniteTypes, types: BuyerTypes, number: Any, one: Any, deviations: Deviations
) -> tuple[NumberArray, NumberArray]:
    """Bounds on what each report of a buyer pays that leave the optimum as it is.

    Above, individual rationality of each of its types: at best it is informed and no rival is. Below, 0: if a payment is -d,
    every type gains at least d by that report (it ignores the recommendation; rivals cost at most what they do if one opts out),
    so that all payments can be raised by d. A type that must obey after a misreport can lose its whole expected value
    v max(theta) by it, and d is bounded by that.
    """
    uninformed = types.value * types.belief.max(axis=1)
    unit = payment_unit(types)
    upper = types.value * (1 + market.externality) - uninformed
    upper = np.minimum.reduceat(upper, types.first_type) / unit
    least = np.full(len(upper), 0 * one) if deviations == "double" else number(-max(uninformed) / unit)
    return least, number(upper)


def _ex_post_columns(
    market: FiniteTypes, groups: SymmetricGroups, program: LinearProgram, number: Any, one: Any, deviations: Deviations
) -> list[BuyerConstraints]:
    states, n = market.states, len(market.buyers)
    act = np.arange(states)
    experiments, payments = [], []
    for g, types in enumerate(groups.types):
        likely = groups.others(g).probability(groups.masses)
        shape = (len(likely), types.reports)
        experiments.append(program.add_variables(f"experiment {g + 1}", (*shape, states, states), lower=0 * one, upper=one))
        lower, upper = (np.broadcast_to(bound, shape) for bound in _payments(market, types, number, one, deviations))
        paid = number(np.multiply.outer(likely, groups.sizes[g] * types.mass * payment_unit(types) / unit_of(market)))
        payments.append(program.add_variables(f"payment {g + 1}", shape, lower=lower, upper=upper, objective=paid))
    buyers = []
    for g, types in enumerate(groups.types):
        cells = payments[g].shape
        parts = []
        for h, _ in groups.rivals(g):
            case, report, multiplicity = groups.rivals_cases(g, h)
            correct = np.moveaxis(experiments[h][case, report][..., act, act], 1, 3)  # by case, own report and state
            if market.own_belief:
                parts.append((correct, (multiplicity * one)[:, None, None]))
            else:
                beliefs = number(np.arange(n)[:, None, None] * groups.types[h].mean_belief)[multiplicity, report[:, :, 0]]
                expected = np.swapaxes(beliefs, 1, 2).reshape(len(multiplicity), 1, 1, -1)
                parts.append((correct.reshape(*cells, 1, -1), expected))
        width = states if market.own_belief else 1
        rivals = program.add_variables(f"correct rivals {g + 1}", (*cells, width), lower=0 * one, upper=(n - 1) * one)
        program.add_rows(f"correct rivals {g + 1}", weighted_sums(rivals, parts, one))
        buyers.append(
            BuyerConstraints(*_payoffs(market, types, number), types.report, experiments[g], rivals, payments[g], payments[g])
        )
    return buyers


def _bayesian_columns(
    market: FiniteTypes, groups: SymmetricGroups, program: LinearProgram, number: Any, one: Any, deviations: Deviations
) -> list[BuyerConstraints]:
    states, n = market.states, len(market.buyers)
    act = np.arange(states)
    correct = []
    for g, types in enumerate(groups.types):
        shape = (groups.others(g).total, types.reports, states)
        correct.append(program.add_variables(f"correct {g + 1}", shape, lower=0 * one, upper=one))
    buyers = []
    for g, types in enumerate(groups.types):
        reports = types.reports
        experiment = program.add_variables(f"experiment {g + 1}", (reports, states, states), lower=0 * one, upper=one)
        lower, upper = _payments(market, types, number, one, deviations)
        paid = number(groups.sizes[g] * types.mass * payment_unit(types) / unit_of(market))
        payment = program.add_variables(f"payment {g + 1}", (reports,), lower=lower, upper=upper, objective=paid)
        likely = number(groups.others(g).probability(groups.masses))
        diagonal = (correct[g].transpose(1, 2, 0), likely)
        program.add_rows(f"mean experiment {g + 1}", weighted_sums(experiment[:, act, act], [diagonal], one))
        parts = []
        for h, _ in groups.rivals(g):
            case, chance = groups.expected_rivals(g, h)
            # by own report, state, and what the other rivals and the one in question report
            faced = np.moveaxis(correct[h][case], (1, 3), (0, 1)).reshape(reports, states, -1)
            if market.own_belief:
                parts.append((faced, number(chance.ravel())))
            else:
                expected = number(np.moveaxis(chance[..., None] * groups.types[h].mean_belief, 2, 0).ravel())
                parts.append((faced.reshape(reports, 1, -1), expected))
        width = states if market.own_belief else 1
        rivals = program.add_variables(f"correct rivals {g + 1}", (reports, width), lower=0 * one, upper=(n - 1) * one)
        program.add_rows(f"correct rivals {g + 1}", weighted_sums(rivals, parts, one))
        columns = (experiment[None], rivals[None], payment[None], payment[None])
        buyers.append(BuyerConstraints(*_payoffs(market, types, number), types.report, *columns))
    return buyers


def weighted_sums(total: IntArray, parts: Sequence[tuple[IntArray, NumberArray]], one: Any) -> Rows:
    """Rows that make each column of a total the weighted sum of columns along the last axis of all parts."""
    index = np.concatenate([total[..., None], *(columns for columns, _ in parts)], axis=-1)
    weights = [np.broadcast_to(weight, columns.shape) for columns, weight in parts]
    value = np.concatenate([np.full((*total.shape, 1), -one), *weights], axis=-1)
    width = index.shape[-1]
    return Rows.dense(index.reshape(-1, width), value.reshape(-1, width), 0 * one, 0 * one)


def _payoffs(
    market: FiniteTypes, types: BuyerTypes, number: Any
) -> tuple[FloatArray, NumberArray, NumberArray, NumberArray, NumberArray]:
    """A buyer's location, gain, cost, outside option and payment unit, as `BuyerConstraints` takes them."""
    some = types.value > 0
    one = np.array([Fraction(int(positive)) for positive in some], dtype=object)
    worth = types.value + 1 - one
    gain = one[:, None] * types.belief
    cost = market.externality_per_rival * (gain if market.own_belief else one[:, None])
    outside = one * (types.belief.max(axis=1) - market.externality)
    location = floats(types.value[:, None] * types.belief / market.scale)
    return location, number(gain), number(cost), number(outside), number(payment_unit(types) / worth[:, None])


@dataclass(frozen=True, eq=False)
class GeneralFormulation(LpFormulation):
    """The general program as `optmarket.modeling.solve_lp` solves it."""

    def program(self, *, exact: bool) -> LinearProgram:
        """That of `build`."""
        return build(self.market, exact=exact)

    def value_of_slack(self, program: LinearProgram, result: LpResult) -> float:
        """All rows are measured by values, and 1 + alpha of a type's value is at stake for it."""
        return program.unit * float(1 + self.market.externality) * float(np.abs(result.dual_values).sum())

    def read_point(self, program: LinearProgram, x: NumberArray) -> AnonymousMechanism:
        """A point of the program as a mechanism for all reports, those of mass 0 treated as their likes of positive mass.

        What the solver's tolerances leave is mended: probabilities are brought into range and sum to one, and where a payment is
        more than taking part is worth to a type, all types of that buyer pay less by the same amount, which leaves incentives.
        """
        active, like = of_positive_weight(self.market)
        experiments, payments = [], []
        for g, (types, _) in enumerate(active.groups):
            experiment = np.clip(floats(x[program.variables[f"experiment {g + 1}"]]), 0.0, 1.0)
            payments.append(floats(payment_unit(types)) * floats(x[program.variables[f"payment {g + 1}"]]))
            if not active.ex_post:
                correct = np.clip(floats(x[program.variables[f"correct {g + 1}"]]), 0.0, 1.0)
                experiment = _experiments_by_case(experiment, correct)
            total = experiment.sum(axis=-1, keepdims=True)
            # a solve that was stopped before its first step may leave zeros: there each action is recommended as often
            experiments.append(np.where(total > 0, experiment, 1.0) / np.where(total > 0, total, active.states))
        found = AnonymousMechanism(active, tuple(experiments), tuple(payments))
        missing = [np.maximum(-one.surplus.min(axis=1, keepdims=True), 0.0) for one in found.allocations_by_group]
        mended = (paid - (less if active.ex_post else less[0]) for paid, less in zip(payments, missing, strict=True))
        return replace(found, payments=tuple(mended)).with_more_reports(self.market, like)


def _experiments_by_case(mean: FloatArray, correct: FloatArray) -> FloatArray:
    """Experiments by case and report from chances of correct recommendations, incorrect ones drawn as on average.

    Parameters
    ----------
    mean : array, shape (K, M, M)
        The mean experiment of each report.
    correct : array, shape (S, K, M)

    Returns
    -------
    array, shape (S, K, M, M)
    """
    states = mean.shape[-1]
    act = np.arange(states)
    incorrect = mean.copy()
    incorrect[:, act, act] = 0.0
    never = incorrect.sum(axis=-1) == 0.0
    incorrect[:, act, (act + 1) % states] += never
    incorrect /= incorrect.sum(axis=-1, keepdims=True)
    experiment = (1.0 - correct)[..., None] * incorrect
    experiment[..., act, act] = correct
    return np.asarray(experiment)


def solve(market: FiniteTypes, options: Options, deadline: Deadline | None = None) -> Answer:
    """The revenue-maximising mechanism of finitely many types, by the general program.

    The certificate's upper bound holds for every mechanism without profitable deviations; the lower one is what the mechanism
    returned is certain to earn, see `certified_revenue`, or one of two simple ones whose incentives hold for certain. Where a
    program is small, and the two are apart, it is solved in exact rational arithmetic.

    Parameters
    ----------
    market : FiniteTypes
    options : Options
        Methods: ``full`` (the full linear program), and else constraint generation.
    deadline : Deadline, optional
        That of the options, counted from now, if not given.

    Returns
    -------
    Answer
        With an `AnonymousMechanism`, or a `ProfileMechanism` where there are few profiles.

    Raises
    ------
    ModelError
        If the program does not fit in memory.
    SolverError
        With ``exact``, if there is no answer that is exactly optimal.
    """
    solved = solve_program(market, options, deadline or options.deadline())
    return replace(solved.answer, mechanism=solved.mechanism.written_out())


def solve_program(market: FiniteTypes, options: Options, deadline: Deadline) -> Solved[AnonymousMechanism]:
    """As `solve`, with the typed mechanism and certificate beside the answer."""
    form = GeneralFormulation(market, stops_at_gap=options.gap is not None)
    return solve_lp(form, options, deadline, Strategy("full" if options.method == "full" else "cuts", exact_from=0.0))
