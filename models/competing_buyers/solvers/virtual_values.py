"""Answers by virtual values, without a program: of finitely many types, and of whole distributions."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from optmarket.distributions.specification import Distribution
from optmarket.errors import ModelError, SolverError
from optmarket.lp.program import FloatArray
from optmarket.models.competing_buyers.interim import Judged, quantities
from optmarket.models.competing_buyers.market import Buyer, Market, Params
from optmarket.models.competing_buyers.mechanisms import by_cell as cells
from optmarket.models.competing_buyers.mechanisms.by_score import LATTICE, Scores
from optmarket.models.competing_buyers.outcomes import Mechanism
from optmarket.models.competing_buyers.virtual_values import bounds as enclosure
from optmarket.models.competing_buyers.virtual_values import continuum as continuum
from optmarket.models.competing_buyers.virtual_values.ironing import LISTED, Rule, Virtual, experiment, rule, told_and_paid
from optmarket.models.competing_buyers.virtual_values.revenue_curve import curve_of, nodes
from optmarket.rationals import around, floats
from optmarket.solution import Answer, Certificate, Options, Status, relative_gap

ROUNDING = 1e-12  # of sums of floats, relative to the payoffs at stake
READABLE = 10**12
FEW = 100  # cells of equal mass, and as many of equal length, where time is short
MOST = 5000  # cells
TINY, TAIL = 1e-18, 1e-11  # mass of a cell that is left out, and of all above the last one's lower end
RARE = 1e-6  # mass of types whose virtual values are cut below
CLOSED = 1e-8  # relative gap at which floats will do
LOSS = 8e-8  # of the optimum: what cells may cost at least, a tenth of the gap wanted otherwise
CLOSE = 1e-7  # of the optimum: by how much a mechanism may earn less than a bound or estimate that stands for it


def mechanism(market: Market, found: Rule) -> Judged:
    """The rule at every profile if they are few, else by scores."""
    if market.profiles > LISTED:
        kinds = {id(kind): one for kind, one in zip(market.buyers, found.buyers, strict=True)}
        made = (kinds[id(kind)] for kind, _ in market.groups)
        return Scores.optimal(market, [floats(one.ironed)[one.place] for one in made])
    places = [one.place for one in found.buyers]
    right, paid = told_and_paid(found)
    every = np.ix_(*places)
    assert market.prior is not None
    prior = floats(market.prior)
    return Mechanism(
        tuple(experiment(prior, floats(x)[every]) for x in right),
        tuple(floats(t)[every if found.ex_post else places[i]] for i, t in enumerate(paid)),
    )


def limits(market: Market) -> list[tuple[FloatArray, FloatArray, FloatArray]]:
    """Of each kind of buyer and by type: virtual values, up to which S the optimum tells right, and the chance of that there.

    Parameters
    ----------
    market : Market
        Finite, with a common prior.
    """
    found = rule(market, exact=False)
    made = []
    for kind, _ in market.groups:
        first = next(i for i, one in enumerate(market.buyers) if one is kind)
        phi = floats(found.buyers[first].ironed)[found.buyers[first].place]
        c, part = (-math.inf, 1.0) if market.ex_post else map(float, found.thresholds[first])
        made.append((phi, np.maximum(phi, c), np.where(phi < c, part, 1.0)))
    return made


def solve_finite(market: Market, options: Options) -> Answer:
    """The optimum of finitely many types by virtual values.

    Parameters
    ----------
    market : Market
        With a common prior.
    options : Options
        ``exact`` is used: in fractions, or an error.

    Raises
    ------
    ModelError
        As `rule`.
    """
    start = time.perf_counter()
    answer = _of_rule(market, rule(market, exact=options.exact or None), options, start)
    if answer.certificate.gap <= CLOSED:
        return answer
    # stakes differ so much that floats do not tell: in fractions, if these are not too many
    try:
        return _of_rule(market, rule(market, exact=True), options, start)
    except ModelError:
        return answer


def _of_rule(market: Market, found: Rule, options: Options, start: float) -> Answer:
    """A rule's mechanism and what it proves."""
    value = found.revenue
    exact = None
    if found.tie:
        slip = ROUNDING * float(market.scale) * len(found.buyers)
        lower, upper = float(value) - found.excess - slip, float(value) + slip
        note = f"in floats, within {upper - lower:.1e}"
    else:
        lower, upper = around(value)
        exact = value if options.exact or value.denominator <= READABLE else None
        note = "in fractions"
    made = mechanism(market, found)
    views = made.views(market)
    seen = quantities(market, views)
    if found.tie:  # what the mechanism earns is a bound too
        paid = math.fsum(view.mean(np.abs(view.paid)) for view in views)
        lower = min(max(lower, seen["revenue"] - ROUNDING * paid), upper)
    best = min(max(seen["revenue"] if found.tie else float(value), lower), upper)
    gap = relative_gap(lower, upper) if found.tie else 0.0  # neighbouring floats, or one
    return Answer(
        status=Status.OPTIMAL if gap <= options.wanted else Status.GAP,
        mechanism=made.as_json(),
        quantities={**seen, "revenue": best},
        certificate=Certificate(lower, upper, gap),
        exact=exact,
        method="virtual-values",
        notes=(f"virtual values, ironed, and thresholds, without a program: {note}",),
        run={"seconds": time.perf_counter() - start},
    )


def solve_continuum(params: Params, options: Options) -> Answer:
    """The optimum of a continuum of values by virtual values.

    The mechanism is one for all values: the optimal rule for as many cells as it takes to earn the optimum but for 1e-7 of
    it, or for about 5,000; of three and more buyers about 5,000 for all kinds together. What it earns is computed from the
    mechanism itself, apart from the bounds: it is a bound from below, and an error where it exceeds the one from above.

    Parameters
    ----------
    params : Params
        With a prior.
    options : Options
        ``gap`` and ``time_limit`` are used; ``exact`` is refused.

    Raises
    ------
    ModelError
        If there is no common prior, or an exact proof is asked for.
    SolverError
        If the mechanism earns more than the bound from above.
    """
    start = time.perf_counter()
    if options.exact:
        raise ModelError(
            "gives a continuum of values, whose revenue is computed in floats; leave exact out", field="params.buyers"
        )
    until = None if options.time_limit is None else start + options.time_limit
    closed, loss = max(options.wanted / 1000, enclosure.CLOSED), max(options.wanted / 10, LOSS)
    found = continuum.bounds(params, closed, None if until is None else (start + until) / 2)
    most = MOST if len(params.each) == 2 else MOST // len(params.buyers)
    # cells that ought to earn enough, the fewest first; and, if they do not, others by mass and length
    fitting = [nodes for nodes in enclosure.cells_losing(found, loss * found.upper) if max(map(len, nodes)) <= most]
    tried: list[Sequence[FloatArray] | int] = [*fitting, most // 2]
    if until is not None:  # something first, in little time
        tried.insert(0, FEW)
    best, stopped = -math.inf, False
    for cut in tried:
        if best > -math.inf and until is not None and time.perf_counter() > until:
            stopped = True
            break
        made = earning(params, cut)
        if made.surely > best:
            best, kept = made.surely, made
        if found.upper - best <= loss * found.upper:
            break
    if best > found.upper:
        raise SolverError(f"the mechanism earns {best!r}, above the bound {found.upper!r}: one of the two is computed wrongly")
    # bounds from finer cells are of mechanisms that are not printed: they count where the printed one earns about as much
    lower = max(found.lower, best) if found.lower - best <= CLOSE * found.upper else best
    value = continuum.estimate(params) if until is None or time.perf_counter() < until else math.nan
    if not lower <= value <= found.upper or value - best > CLOSE * found.upper:
        value = min(max(kept.quantities["revenue"], lower), found.upper)
    gap = relative_gap(lower, found.upper)
    status = Status.OPTIMAL if gap <= options.wanted else Status.TIME_LIMIT if stopped else Status.GAP
    notes = [
        f"all values: virtual values, ironed, and thresholds; bounds from cells, within {found.upper - lower:.1e}",
        f"the mechanism has {max(map(len, kept.edges)):,} cells of values and is certain to earn that but for "
        f"{max(value - best, 0.0):.1e}",
    ]
    if not found.known:
        notes.append("where some density rises and falls is not known, which keeps the bounds apart")
    return Answer(
        status=status,
        mechanism={"cells": [each.tolist() for each in kept.edges], **kept.rule.as_json()},
        quantities={**kept.quantities, "revenue": value},
        certificate=Certificate(lower, found.upper, gap),
        method="virtual-values",
        notes=tuple(notes),
        run={"seconds": time.perf_counter() - start},
    )


@dataclass(frozen=True)
class Earning:
    """A rule for cells of values, what it does, and what it earns at least, rounding included."""

    edges: list[FloatArray]
    rule: Scores
    quantities: dict[str, float]
    surely: float


def earning(params: Params, cut: Sequence[FloatArray] | int) -> Earning:
    """The best rule for cells of values, see `in_cells`, and what it earns."""
    market, edges, made = in_cells(params, cut)
    views = made.views(market)
    seen = quantities(market, views)
    slip = ROUNDING * math.fsum(view.mean(np.abs(view.paid)) for view in views)
    return Earning(edges, made, seen, seen["revenue"] - slip)


def ends(params: Params, size: int = 50, *, upper: bool = False) -> Market:
    """The market with each value of a whole distribution lowered, or raised, to an end of its cell: a bound on revenue.

    Parameters
    ----------
    params : Params
    size : int
        As `in_cells`.
    upper : bool
        Raise values.
    """
    buyers = []
    for buyer in params.buyers:
        if not isinstance(buyer.value, Distribution) or not buyer.on_continuum:
            buyers.append(buyer)
            continue
        curve = curve_of(buyer.value.law)
        edges = nodes(curve.law, size)
        mass = curve.mass(edges[:-1], edges[1:])
        some = mass > TINY
        exact = [Fraction(x) for x in mass[some].tolist()]
        total = sum(exact, Fraction(0))
        points = (edges[1:] if upper else edges[:-1])[some].tolist()
        types = [{"weight": w / total, "value": x} for w, x in zip(exact, points, strict=True)]
        buyers.append(Buyer.model_validate({"count": buyer.count, "types": types}))
    return Market.of(params.model_copy(update={"buyers": tuple(buyers)}))


def in_cells(params: Params, cut: Sequence[FloatArray] | int) -> tuple[Market, list[FloatArray], Scores]:
    """The best rule for values that count as the lower ends of cells: the market, the ends, and the rule.

    Parameters
    ----------
    params : Params
        With a prior.
    cut : sequence of array, or int
        For each entry of ``buyers`` the ends of cells; or how many cells of equal mass there are, and about as many again of
        equal length or in an unbounded tail.
    """
    assert params.prior is not None
    edges, virtual = [], []
    several = len(params.each) - 2  # buyers too many for scores as they are
    for g, buyer in enumerate(params.buyers):
        if not isinstance(buyer.value, Distribution) or buyer.grid is not None:
            edges.append(np.zeros(0))
            virtual.append(np.zeros(0))
            continue
        curve = curve_of(buyer.value.law)
        # where the rule bends, cells begin
        bends = [end for low, high, _ in curve.ironed for end in (low, high)]
        bends += curve.quantiles(np.array([float(max(params.prior))])).tolist()
        points = nodes(curve.law, cut) if isinstance(cut, int) else cut[g]
        points = np.union1d(points, [x for x in bends if points[0] < x < points[-1]])
        points = points[np.append(curve.above(points[:-1]) > TAIL, True)]
        some = np.flatnonzero(curve.mass(points[:-1], points[1:]) > TINY)
        lower = np.append(points[0], points[some[1:]])  # what is left out goes to the cell before, at the start to the first
        mass = curve.mass(lower, np.append(lower[1:], points[-1]))
        one = Virtual.from_values(lower, mass / mass.sum())
        edges.append(one.value)
        virtual.append(_cut(one, continuum.range_of(curve, LATTICE / several)[1]) if several else one.ironed)
    market = cells.market(params, edges)
    for g, (kind, _) in enumerate(market.groups):
        if not len(virtual[g]):
            listed = Virtual.of(kind)
            virtual[g] = floats(listed.ironed)[listed.place]
    return market, edges, Scores.optimal(market, virtual)


def _cut(one: Virtual, highest: float) -> FloatArray:
    """Virtual values up to the highest that matters, and above the rarest, which may be without bound: so sums get finer."""
    return np.clip(one.ironed, one.ironed[np.searchsorted(np.cumsum(one.weight), RARE)], highest)
