"""The reduced program of competing buyers with a common prior: chances of correct recommendations in place of experiments.

With one prior nothing about an experiment matters to anyone but the chance x that its recommendation is correct, and no type
gains by a double deviation: adjacent truthful values and the lowest one's participation are all there is
(`recommendations.experiment` makes experiments of chances).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from optmarket.arrays import IntArray, NumberArray
from optmarket.errors import ModelError
from optmarket.lp.highs import LpResult
from optmarket.lp.program import LinearProgram, Rows, check_memory
from optmarket.modeling.solve_lp import Strategy, solve_lp
from optmarket.models.competing_buyers.market import BuyerTypes, FiniteTypes
from optmarket.models.competing_buyers.mechanisms.by_count import AnonymousMechanism
from optmarket.models.competing_buyers.mechanisms.report_counts import SymmetricGroups
from optmarket.models.competing_buyers.solvers.general_lp import coefficients, weighted_sums
from optmarket.models.competing_buyers.solvers.lp_formulation import LpFormulation
from optmarket.models.competing_buyers.virtual_values.ironing import VirtualValues
from optmarket.models.competing_buyers.virtual_values.recommendations import experiment
from optmarket.options import Deadline, Options
from optmarket.rationals import floats
from optmarket.solution import Answer


@lru_cache(maxsize=16)
def of_values(market: FiniteTypes) -> tuple[FiniteTypes, list[IntArray]]:
    """The market of the distinct values of positive weight, increasing, and where each type of each group is among them.

    Raises
    ------
    ModelError
        If there is no common prior.
    """
    prior = market.prior
    values, place = [], []
    for types, _ in market.groups:
        one = VirtualValues.of(types)
        count = len(one.value)
        belief = np.broadcast_to(prior, (count, market.states))
        names = tuple(map(str, range(1, count + 1)))
        values.append(BuyerTypes(one.weight, one.value, belief, names, np.arange(count)))
        place.append(one.place)
    return replace(market, buyers=tuple(values[g] for g in market.group_of)), place


def build(market: FiniteTypes, *, exact: bool = False) -> LinearProgram:
    """The reduced program.

    Parameters
    ----------
    market : FiniteTypes
        With a common prior.
    exact : bool
        Coefficients as Fractions rather than their floats.

    Returns
    -------
    LinearProgram
        In normalised payoffs: multiply its value by its unit. For one buyer of each group g, over its K_g distinct values of
        positive weight, increasing, and the S_g cases of how many others make each report. Variables ``correct g``, shape
        (S_g, K_g): the chance of a correct recommendation; ``utility g``, above opting out, shape (1, K_g) (Bayesian) or
        (S_g, K_g) (ex post); Bayesian also ``mean correct g`` and ``correct rivals g``, shape (1, K_g): E[x | v], at least
        max(prior), which is obedience, and the expected number of rivals with a correct recommendation. Payments are
        v z - utility.

    Raises
    ------
    ModelError
        If there is no common prior, or the program does not fit in memory.
    """
    market, _ = of_values(market)
    groups, n = SymmetricGroups.of(market), len(market.buyers)
    what = f'the reduced program of {n} buyers and {market.profiles:,} profiles of values (method "virtual-values" would do)'
    check_memory(*_size(groups, ex_post=market.ex_post), what)
    number, one = coefficients(exact=exact)
    stake = sum(size * (types.value @ types.weight) for types, size in market.groups) / market.scale
    program = LinearProgram("max", offset=number(_constant(market) * stake), unit=float(market.scale))
    columns = _ex_post_columns if market.ex_post else _bayesian_columns
    columns(market, groups, program, number, one)
    return program


def _constant(market: FiniteTypes) -> Fraction:
    """z if no recommendation is correct: alpha less the chance of acting right without information."""
    return market.externality - market.uninformed


def _size(groups: SymmetricGroups, *, ex_post: bool) -> tuple[int, int, int]:
    """Rows, columns and non-zeros, before they are built."""
    rows = columns = nonzeros = 0
    for g, types in enumerate(groups.types):
        cells = types.reports * groups.others(g).total
        if ex_post:
            truths = 2 * (cells - groups.others(g).total)
            rows, columns, nonzeros = rows + truths, columns + 2 * cells, nonzeros + truths * (sum(groups.sizes) + 2)
        else:
            pairs = sum(groups.others(g, h).total * groups.types[h].reports for h, _ in groups.rivals(g))
            rows, columns = rows + 4 * types.reports - 2, columns + cells + 3 * types.reports
            nonzeros += cells + types.reports * (pairs + 10) - 8
    return rows, columns, nonzeros


def _ex_post_columns(market: FiniteTypes, groups: SymmetricGroups, program: LinearProgram, number: Any, one: Any) -> None:
    n, uninformed, per_rival = len(market.buyers), number(market.uninformed), market.externality_per_rival
    chance, correct = [], []
    for g, types in enumerate(groups.types):
        cases = groups.others(g)
        chance.append(np.multiply.outer(cases.probability(groups.masses), groups.sizes[g] * types.mass))
        rivals = sum(groups.types[h].value[cases.reports(h)].sum(axis=1) for h, _ in groups.rivals(g))
        worth = number(chance[g] * (types.value - per_rival * rivals[:, None]) / market.scale)
        correct.append(program.add_variables(f"correct {g + 1}", worth.shape, lower=uninformed, upper=one, objective=worth))
    # in z, the columns of so many rivals; and one's own, which is that of so many rivals too
    count = np.arange(n, dtype=object)
    terms = np.concatenate([-per_rival * count, 1 - per_rival * count])
    for g, types in enumerate(groups.types):
        own = np.arange(types.reports)
        same = (groups.others(g).reports(g)[:, :, None] == own).sum(axis=1)
        index, term = [correct[g][:, None]], [n + same[:, None]]
        for h, _ in groups.rivals(g):
            case, report, multiplicity = groups.rivals_cases(g, h)
            index.append(correct[h][case, report])
            term.append(multiplicity[:, :, None] * ((report != own) | (h != g)))
        at, which = (np.swapaxes(np.concatenate(parts, axis=1), 1, 2) for parts in (index, term))
        _utilities(market, program, g, number, one, number(-chance[g]), at, (terms, which))


def _bayesian_columns(market: FiniteTypes, groups: SymmetricGroups, program: LinearProgram, number: Any, one: Any) -> None:
    n, uninformed, per_rival = len(market.buyers), number(market.uninformed), market.externality_per_rival
    correct = []
    for g, types in enumerate(groups.types):
        correct.append(
            program.add_variables(f"correct {g + 1}", (groups.others(g).total, types.reports), lower=0 * one, upper=one)
        )
    for g, types in enumerate(groups.types):
        name, shape = str(g + 1), (1, types.reports)
        weight = groups.sizes[g] * types.mass[None]
        worth = weight * types.value / market.scale
        mean = program.add_variables(f"mean correct {name}", shape, lower=uninformed, upper=one, objective=number(worth))
        likely = number(groups.others(g).probability(groups.masses))
        program.add_rows(f"mean correct {name}", weighted_sums(mean, [(correct[g].T[None], likely)], one))
        parts = []
        for h, _ in groups.rivals(g):
            case, chance = groups.expected_rivals(g, h)
            faced = np.swapaxes(correct[h][case], 0, 1).reshape(*shape, -1)
            parts.append((faced, number(chance.ravel())))
        most = (n - 1) * one
        informed_rivals = program.add_variables(
            f"correct rivals {name}", shape, lower=0 * one, upper=most, objective=number(-per_rival * worth)
        )
        program.add_rows(f"correct rivals {name}", weighted_sums(informed_rivals, parts, one))
        at = np.stack([mean, informed_rivals], axis=2)
        terms = np.array([Fraction(1), -per_rival])
        _utilities(market, program, g, number, one, number(-weight), at, (terms, np.broadcast_to(np.arange(2), at.shape)))


def _utilities(
    market: FiniteTypes,
    program: LinearProgram,
    g: int,
    number: Any,
    one: Any,
    objective: NumberArray,
    index: IntArray,
    coefficients_of_z: tuple[NumberArray, IntArray],
) -> None:
    """What values have above opting out, and no gain from reporting the one below or above.

    That is ``u_k - u_{k-1} >= (v_k - v_{k-1}) z_{k-1}``, and ``<= (v_k - v_{k-1}) z_k``.

    Parameters
    ----------
    objective : array, shape (S, K)
    index : array of int, shape (S, K, width)
        Columns of z, distinct where their coefficients are not 0.
    coefficients_of_z : array, shape (any,); array of int, shape (S, K, width)
        Numbers, and which of them stands in z.
    """
    name, keep = str(g + 1), _constant(market)
    value = market.groups[g][0].value / market.scale
    most = number(value[-1] * (1 + keep))
    kept = program.add_variables(f"utility {name}", objective.shape, lower=0 * one, upper=most, objective=objective)
    if len(value) < 2:
        return
    step, cases = value[1:] - value[:-1], len(kept)
    terms, which = coefficients_of_z
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


@dataclass(frozen=True, eq=False)
class ReducedFormulation(LpFormulation):
    """The reduced program as `optmarket.modeling.solve_lp` solves it."""

    def program(self, *, exact: bool) -> LinearProgram:
        """That of `build`."""
        return build(self.market, exact=exact)

    def value_of_slack(self, program: LinearProgram, result: LpResult) -> float:
        """All rows are measured by the market's scale."""
        return float(self.market.scale) * float(np.abs(result.dual_values).sum())

    def read_point(self, program: LinearProgram, x: NumberArray) -> AnonymousMechanism:
        """A point of the program as a mechanism for all types, payments being what leaves each value its utility."""
        small, place = of_values(self.market)
        least = float(small.uninformed) if small.ex_post else 0.0
        groups = range(1, len(small.groups) + 1)
        correct = [np.clip(floats(x[program.variables[f"correct {g}"]]), least, 1.0) for g in groups]
        experiments = tuple(experiment(floats(small.prior), chance) for chance in correct)
        free = AnonymousMechanism(small, experiments, tuple(np.zeros(types.reports) for types, _ in small.groups))
        payments = []
        for g, one in zip(groups, free.allocations_by_group, strict=True):
            paid = one.surplus - program.unit * floats(x[program.variables[f"utility {g}"]])
            payments.append(paid if small.ex_post else paid[0])
        return replace(free, payments=tuple(payments)).with_more_reports(self.market, place)


def solve(market: FiniteTypes, options: Options, deadline: Deadline | None = None) -> Answer:
    """The revenue-maximising mechanism of finitely many types that share a prior, by the reduced program with all rows listed.

    The certificate's upper bound holds for every mechanism without profitable deviations; the lower one is what the mechanism
    returned is certain to earn, see `certified_revenue`.

    Parameters
    ----------
    market : FiniteTypes
        With a common prior.
    options : Options
    deadline : Deadline, optional
        That of the options, counted from now, if not given.

    Raises
    ------
    ModelError
        If there is no common prior, the program does not fit in memory, or ``exact`` is asked for.
    """
    if options.exact:
        raise ModelError("is not proved exactly by the reduced program; ask for virtual-values", field="method")
    form = ReducedFormulation(market)
    solved = solve_lp(form, options, deadline or options.deadline(), Strategy("full"))
    answer = solved.answer
    note = "reduced program: one prior, so that only the chance of a correct recommendation matters"
    return replace(
        answer,
        mechanism=solved.mechanism.written_out(),
        notes=(note, *answer.notes),
        run=replace(answer.run, method=(answer.run.method or "full").replace("full", "reduced")),
    )
