"""Answers by virtual values, without a program: for finitely many types, and for a continuum of values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from optmarket.arrays import FloatArray, NumberArray
from optmarket.certificates import Optimality
from optmarket.errors import ModelError, SolverError
from optmarket.models.competing_buyers.market import BuyerTypes, ContinuousValues, FiniteTypes
from optmarket.models.competing_buyers.mechanisms.by_cell import CellMechanism, discretize
from optmarket.models.competing_buyers.mechanisms.by_profile import ProfileMechanism
from optmarket.models.competing_buyers.mechanisms.by_score import LATTICE_POINTS, ScoreMechanism
from optmarket.models.competing_buyers.mechanisms.finite_mechanism import PROFILES_WRITTEN_OUT, FiniteMechanism
from optmarket.models.competing_buyers.outcomes import quantities
from optmarket.models.competing_buyers.params import ContinuumOfValues
from optmarket.models.competing_buyers.virtual_values import continuum
from optmarket.models.competing_buyers.virtual_values.ironing import VirtualValues
from optmarket.models.competing_buyers.virtual_values.optimal_rule import OptimalRule, optimal_rule
from optmarket.models.competing_buyers.virtual_values.recommendations import experiment
from optmarket.models.competing_buyers.virtual_values.revenue_bounds import CLOSED_GAP, cells_losing
from optmarket.models.competing_buyers.virtual_values.revenue_curve import cell_ends, curve_of
from optmarket.options import Deadline, Options, Status
from optmarket.rationals import around, floats
from optmarket.solution import Answer
from optmarket.solution_file import SolverReport
from optmarket.tolerances import FLOATS_REACH, SUM_ROUNDING

METHOD = "virtual-values"
READABLE_DENOMINATOR = 10**12  # of a fraction that is printed without being asked for
QUICK_CELLS = 100  # of equal mass, and as many of equal length, where time is short
MOST_CELLS = 5000
ENDS_CELLS = 50  # of equal mass, and as many of equal length, whose ends bound the optimum
TINY_MASS = 1e-18  # of a cell that is left out
TAIL_MASS = 1e-11  # of all values above the last cell's lower end
RARE_MASS = 1e-6  # of the lowest values, whose virtual values may be raised to that of the others
LEAST_LOSS = 8e-8  # of the optimum: what cells may cost at least, a tenth of the target gap otherwise
INSEPARABLE = 1e-7  # of the optimum: by how much a mechanism may earn less than a bound or estimate that stands for it


def optimal_mechanism(market: FiniteTypes, rule: OptimalRule) -> FiniteMechanism:
    """The optimal rule at every profile if they are few, else by scores.

    Parameters
    ----------
    market : FiniteTypes
    rule : OptimalRule
        Of the market.
    """
    if market.profiles > PROFILES_WRITTEN_OUT:
        first = [market.group_of.index(g) for g in range(len(market.groups))]
        made = (rule.buyers[i] for i in first)
        return ScoreMechanism.optimal(market, [floats(one.ironed)[one.place] for one in made])
    places = [one.place for one in rule.buyers]
    correct, payments = rule.with_payments()
    every = np.ix_(*places)
    prior = floats(market.prior)
    return ProfileMechanism(
        market,
        tuple(experiment(prior, floats(x)[every]) for x in correct),
        tuple(floats(t)[every if rule.ex_post else places[i]] for i, t in enumerate(payments)),
    )


def critical_values(market: FiniteTypes) -> list[tuple[FloatArray, FloatArray, FloatArray]]:
    """Of each group of buyers, by type: virtual values, up to which S the optimum informs, and the chance of that there.

    Parameters
    ----------
    market : FiniteTypes
        With a common prior.

    Returns
    -------
    list of (virtual, critical, chance), each an array of shape (T,)
        S is alpha/(n - 1) times the sum of the rivals' virtual values, in payoff units.
    """
    rule = optimal_rule(market)
    found = []
    for g in range(len(market.groups)):
        buyer = market.group_of.index(g)
        phi = floats(rule.buyers[buyer].ironed)[rule.buyers[buyer].place]
        c, part = (-math.inf, 1.0) if market.ex_post else map(float, rule.thresholds[buyer])
        found.append((phi, np.maximum(phi, c), np.where(phi < c, part, 1.0)))
    return found


def solve_finite(market: FiniteTypes, options: Options) -> Answer:
    """The optimum of finitely many types by virtual values.

    Parameters
    ----------
    market : FiniteTypes
        With a common prior.
    options : Options
        ``exact`` is used: in exact rational arithmetic, or an error.

    Raises
    ------
    ModelError
        As `optimal_rule`.
    """
    deadline = options.deadline()
    answer, gap = _answer(market, optimal_rule(market, exact=options.exact or None), options, deadline)
    if gap <= FLOATS_REACH:
        return answer
    # stakes differ so much that floats do not tell: exactly, if that takes few enough additions
    try:
        return _answer(market, optimal_rule(market, exact=True), options, deadline)[0]
    except ModelError:
        return answer


def _answer(market: FiniteTypes, rule: OptimalRule, options: Options, deadline: Deadline) -> tuple[Answer, float]:
    """A rule's mechanism and what it proves, and the gap that is left."""
    value = rule.revenue
    exact = None
    if rule.tie:
        slip = SUM_ROUNDING * float(market.scale) * len(rule.buyers)
        lower, upper = float(value) - rule.excess - slip, float(value) + slip
        note = f"in floats, within {upper - lower:.1e}"
    else:
        lower, upper = around(value)
        exact = value if options.exact or value.denominator <= READABLE_DENOMINATOR else None
        note = "in exact rational arithmetic"
    mechanism = optimal_mechanism(market, rule)
    found = quantities(mechanism)
    if rule.tie:  # what the mechanism earns is a bound too
        lower = min(max(lower, found["revenue"] - _rounding_of_revenue(mechanism)), upper)
        revenue, certificate = found["revenue"], Optimality.of(lower, upper)
    else:
        revenue, certificate = float(value), Optimality(lower, upper, 0.0)  # neighbouring floats, or one
    answer = Answer(
        status=Status.OPTIMAL if certificate.gap <= options.target_gap else Status.GAP,
        mechanism=mechanism,
        quantities={**found, "revenue": min(max(revenue, lower), upper)},
        certificate=certificate,
        exact=exact,
        notes=(f"virtual values, ironed, and thresholds, without a program: {note}",),
        run=SolverReport(seconds=deadline.elapsed, method=METHOD),
    )
    return answer, certificate.gap


def _rounding_of_revenue(mechanism: FiniteMechanism) -> float:
    """What the rounding of sums may add to the revenue of a mechanism, in payoff units."""
    return SUM_ROUNDING * math.fsum(one.mean(np.abs(one.paid)) for one in mechanism.allocations)


def solve_continuum(market: ContinuousValues, options: Options) -> Answer:
    """The optimum of a continuum of values by virtual values.

    The mechanism is one for all values: the optimal rule for as many cells as it takes to earn the optimum but for 1e-7 of
    it, or for about 5,000; of three and more buyers about 5,000 for all groups together. What it earns is computed from the
    mechanism itself, apart from the bounds: it is a bound from below, and an error where it exceeds the one from above.

    Parameters
    ----------
    market : ContinuousValues
    options : Options
        ``gap`` and ``time_limit`` are used; ``exact`` is refused.

    Raises
    ------
    ModelError
        If an exact proof is asked for.
    SolverError
        If the mechanism earns more than the bound from above.
    """
    if options.exact:
        raise ModelError(
            "gives a continuum of values, whose revenue is computed in floats; leave exact out", field="params.buyers"
        )
    deadline = options.deadline()
    closed, loss = max(options.target_gap / 1000, CLOSED_GAP), max(options.target_gap / 10, LEAST_LOSS)
    limited = deadline.remaining
    bracket = continuum.bounds(market, closed, None if limited is None else Deadline(limited / 2))
    most = MOST_CELLS if sum(market.counts) == 2 else MOST_CELLS // len(market.counts)
    # cells that ought to earn enough, the fewest first; and, if they do not, others by mass and length
    fitting = [ends for ends in cells_losing(bracket, loss * bracket.upper) if max(map(len, ends)) <= most]
    tried: list[Sequence[FloatArray] | int] = [*fitting, most // 2]
    if limited is not None:  # something first, in little time
        tried.insert(0, QUICK_CELLS)
    first, *others = tried
    best, stopped = earnings_in_cells(market, first), False
    for cut in others:
        if bracket.upper - best.certified <= loss * bracket.upper:
            break
        if deadline.passed:
            stopped = True
            break
        made = earnings_in_cells(market, cut)
        best = made if made.certified > best.certified else best
    if best.certified > bracket.upper:
        raise SolverError(
            f"the mechanism earns {best.certified!r}, above the bound {bracket.upper!r}: one of the two is computed wrongly"
        )
    # bounds from finer cells are of mechanisms that are not printed: they count where the printed one earns about as much
    near = INSEPARABLE * bracket.upper
    lower = max(bracket.lower, best.certified) if bracket.lower - best.certified <= near else best.certified
    value = math.nan if deadline.passed else continuum.estimate(market)
    if not lower <= value <= bracket.upper or value - best.certified > near:
        value = min(max(best.quantities["revenue"], lower), bracket.upper)
    certificate = Optimality.of(lower, bracket.upper)
    notes = [
        f"continuum of values: virtual values, ironed, and thresholds; bounds from cells, within {bracket.upper - lower:.1e}",
        f"the mechanism has {max(map(len, best.mechanism.cells)):,} cells of values and is certain to earn that but for "
        f"{max(value - best.certified, 0.0):.1e}",
    ]
    if not bracket.shapes_known:
        notes.append("where some density rises and falls is not known, which keeps the bounds apart")
    status = Status.TIME_LIMIT if stopped else Status.GAP
    return Answer(
        status=Status.OPTIMAL if certificate.gap <= options.target_gap else status,
        mechanism=best.mechanism,
        quantities={**best.quantities, "revenue": value},
        certificate=certificate,
        notes=tuple(notes),
        run=SolverReport(seconds=deadline.elapsed, method=METHOD),
    )


@dataclass(frozen=True, eq=False)
class CellEarnings:
    """A mechanism for cells of values, its quantities, and what it earns at least, rounding included."""

    mechanism: CellMechanism
    quantities: dict[str, float]
    certified: float


def earnings_in_cells(market: ContinuousValues, cut: Sequence[FloatArray] | int) -> CellEarnings:
    """The best mechanism for cells of values, see `cell_mechanism`, and what it earns."""
    mechanism = cell_mechanism(market, cut)
    found = quantities(mechanism.by_report)
    return CellEarnings(mechanism, found, found["revenue"] - _rounding_of_revenue(mechanism.by_report))


def at_cell_ends(market: ContinuousValues, size: int = ENDS_CELLS, *, upper: bool = False) -> FiniteTypes:
    """The market with each value of a continuum lowered, or raised, to an end of its cell: its optimum is a bound on revenue.

    Parameters
    ----------
    market : ContinuousValues
    size : int
        How many cells of equal mass there are, and about as many again of equal length or in an unbounded tail.
    upper : bool
        Raise values.
    """
    types = [one if isinstance(one, BuyerTypes) else _ends(one, market.prior, size, upper=upper) for one in market.populations]
    return market.with_types(types)


def _ends(population: ContinuumOfValues, prior: NumberArray, size: int, *, upper: bool) -> BuyerTypes:
    curve = curve_of(population.distribution)
    edges = cell_ends(population.distribution, size)
    mass = curve.mass(edges[:-1], edges[1:])
    some = mass > TINY_MASS
    weight = np.array([Fraction(x) for x in mass[some].tolist()], dtype=object)
    value = np.array([Fraction(x) for x in (edges[1:] if upper else edges[:-1])[some].tolist()], dtype=object)
    count = len(value)
    names = tuple(map(str, range(1, count + 1)))
    return BuyerTypes(weight / weight.sum(), value, np.tile(prior, (count, 1)), names, np.arange(count))


def cell_mechanism(market: ContinuousValues, cut: Sequence[FloatArray] | int) -> CellMechanism:
    """The best rule for values that count as the lower ends of their cells, as a mechanism for all values.

    Parameters
    ----------
    market : ContinuousValues
    cut : sequence of array, or int
        For each group of buyers the ends of cells; or how many cells of equal mass there are, and about as many again of equal
        length or in an unbounded tail.
    """
    rivals_summed = sum(market.counts) - 2  # buyers too many for scores as they are
    cells, virtual = [], []
    for g, population in enumerate(market.populations):
        if isinstance(population, BuyerTypes):
            one = VirtualValues.of(population)
            cells.append(np.zeros(0))
            virtual.append(floats(one.ironed)[one.place])
            continue
        curve = curve_of(population.distribution)
        # where the rule bends, cells begin
        bends = [end for low, high, _ in curve.ironed for end in (low, high)]
        bends += curve.quantiles(np.array([float(market.uninformed)])).tolist()
        points = cell_ends(population.distribution, cut) if isinstance(cut, int) else cut[g]
        points = np.union1d(points, [x for x in bends if points[0] < x < points[-1]])
        points = points[np.append(curve.above(points[:-1]) > TAIL_MASS, True)]
        some = np.flatnonzero(curve.mass(points[:-1], points[1:]) > TINY_MASS)
        lower = np.append(points[0], points[some[1:]])  # what is left out goes to the cell before, at the start to the first
        mass = curve.mass(lower, np.append(lower[1:], points[-1]))
        one = VirtualValues.from_values(lower, mass / mass.sum())
        cells.append(one.value)
        highest = continuum.range_of(curve, LATTICE_POINTS / rivals_summed)[1] if rivals_summed else math.inf
        virtual.append(_clipped(one, highest) if rivals_summed else one.ironed)
    finite = discretize(market, cells)
    return CellMechanism(market, tuple(cells), ScoreMechanism.optimal(finite, virtual))


def _clipped(one: VirtualValues, highest: float) -> FloatArray:
    """Virtual values up to the highest that matters, and above the rarest, which may be without bound: so sums get finer."""
    return np.clip(one.ironed, one.ironed[np.searchsorted(np.cumsum(one.weight), RARE_MASS)], highest)
