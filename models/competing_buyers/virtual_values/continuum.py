"""The optimal revenue of competing buyers with a common prior and a continuum of values: bounds, and between them an estimate.

Bounds are those of `revenue_bounds`. The estimate is quadrature of the virtual-value formula, whose error is not bounded: it
counts only where it lies within the bounds.

All that is needed of a buyer is ``L(s) = E[(phi - s)^+]``, and that is the profit ``max_v (v - s)(1 - F(v))`` of a monopolist of
unit cost s: ironing happens by itself, and an error in v matters only to second order. With th the largest entry of the prior, S
the sum of the rivals' virtual values, times alpha/(n - 1), and c its th-quantile, a buyer contributes
``E[(c - S)^+] + th (v_lo - c) + (Pr(S <= c) - th) L(c) + E[L(S); S > c]`` (Bayesian) or
``th (v_lo - E[S]) + (1 - th) E[L(S)]`` (ex post). Two buyers: one integral over the rival's quantiles. More: sums on a lattice.

References: Ravindranath, Jiang and Parkes (2023), theorem 7; Bulow and Roberts (1989) for virtual values as marginal revenue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.distributions.cdf import Cdf, PiecewiseLinear
from optmarket.models.competing_buyers.market import BuyerTypes, ContinuousValues
from optmarket.models.competing_buyers.virtual_values.ironing import VirtualValues
from optmarket.models.competing_buyers.virtual_values.revenue_bounds import CLOSED_GAP, Bracket, bracket
from optmarket.models.competing_buyers.virtual_values.revenue_curve import RevenueCurve, curve_of
from optmarket.models.competing_buyers.virtual_values.sums import SumDistribution, largest_virtual_surplus, on_lattice
from optmarket.options import Deadline

INTEGRATION_ERROR = 1e-12  # of what is at stake, by length: integrals of two orders that differ by less are the same
MOST_HALVINGS = 40  # of the interval of an integral
LOW_ORDER = np.polynomial.legendre.leggauss(16)
HIGH_ORDER = np.polynomial.legendre.leggauss(32)
LATTICE_POINTS = 1 << 18
RARE_MASS = 1e-4  # of the lowest values: where virtual values fall without bound they are replaced by their mean
RAREST_MASS = 2.0**-50  # from which integrals over quantiles begin
TAIL_SURPLUS = 1e-11  # of the profit at cost 0: what may be cut from a tail
HUGE_VIRTUAL_VALUE = 1e100  # beyond which squares are no floats
WIDE_RANGE = 20  # times the range of the others: rare virtual values so far below are replaced by their mean


def integral(f: Callable[[FloatArray], FloatArray], edges: Sequence[float], tolerance: float) -> float:
    """An integral over [edges[0], edges[-1]] by Gauss' rule, cells halved until two orders agree.

    Parameters
    ----------
    f : callable
        Vectorised.
    edges : sequence of float
        Increasing; kinks of f that are known.
    tolerance : float
        By length.
    """
    ends = np.unique(np.array(edges, dtype=float))
    low, high, total = ends[:-1], ends[1:], 0.0
    for halvings in range(MOST_HALVINGS):
        if not len(low):
            break
        width = (high - low)[:, None] / 2
        sums = [
            (f((low[:, None] + width * (points + 1)).ravel()).reshape(len(low), -1) * weights * width).sum(axis=1)
            for points, weights in (LOW_ORDER, HIGH_ORDER)
        ]
        error = np.abs(sums[1] - sums[0])
        good = (error <= tolerance * np.maximum(high - low, 1e-3)) | (halvings == MOST_HALVINGS - 1)
        total += float(sums[1][good].sum())
        middle = (low + high)[~good] / 2
        low, high = np.concatenate([low[~good], middle]), np.concatenate([middle, high[~good]])
    return total


def _at(curve: RevenueCurve | VirtualValues, cost: float) -> float:
    return float(curve.surplus(np.array([cost]))[0])


def _two(
    one: RevenueCurve | VirtualValues,
    rival: RevenueCurve | VirtualValues,
    uninformed: float,
    externality: float,
    *,
    ex_post: bool,
) -> float:
    """What one of two buyers contributes."""
    if externality == 0:
        return uninformed * one.lowest + (1 - uninformed) * _at(one, 0.0)
    if isinstance(rival, VirtualValues):
        sums = SumDistribution(externality * rival.distinct[0], rival.distinct[1])
        return float(
            largest_virtual_surplus(sums, externality * rival.lowest, one.lowest, one.surplus, uninformed, ex_post=ex_post)
        )
    stake = max(one.lowest, rival.lowest, 1e-300) + _at(one, 0.0)
    flat = [end for low, high, _ in rival.ironed for end in 1 - rival.above(np.array([low, high]))]
    kinks = [float(x) for x in rival.distribution.levels] if isinstance(rival.distribution, PiecewiseLinear) else []
    steps = [*flat, *kinks, *(2.0**-k for k in range(1, 12)), *(1 - 2.0**-k for k in range(1, 12)), 0.0, 1.0]

    def lost(q: FloatArray) -> FloatArray:
        return one.surplus(externality * rival.virtual(rival.quantiles(q)))

    if ex_post:
        start = np.array([RAREST_MASS])
        value = rival.quantiles(start)
        if any(low <= value[0] <= high for low, high, _ in rival.ironed):
            start, below = np.zeros(1), 0.0
        else:  # virtual values may fall without bound here; surplus is then the mean of phi less the cost
            below = float(RAREST_MASS * one.lowest - externality * (rival.lowest - value[0] * (1 - RAREST_MASS)))
        graded = [float(start[0]), *(2.0**-k for k in range(12, 50)), *(q for q in steps if q > 2.0**-12)]
        whole = integral(lost, graded, INTEGRATION_ERROR * stake)
        return uninformed * (one.lowest - externality * rival.lowest) + (1 - uninformed) * (below + whole)
    c, up_to = float(rival.virtual(rival.quantiles(np.array([uninformed])))[0]), uninformed
    for low, high, ironed in rival.ironed:
        ends = 1 - rival.above(np.array([low, high]))
        if ends[0] <= uninformed < ends[1]:
            c, up_to = ironed, float(ends[1])
    cost = np.array([externality * c])
    escaped = externality * (_at(rival, c) + c - rival.lowest)
    whole = integral(lost, [up_to, *(q for q in steps if q > up_to)], INTEGRATION_ERROR * stake)
    here = float(one.surplus(cost)[0])
    return escaped + uninformed * (one.lowest - externality * c) + (up_to - uninformed) * here + whole


def _masses(
    curve: RevenueCurve | VirtualValues, span: tuple[float, float, float], per_rival: float, step: float
) -> tuple[FloatArray, float, float]:
    """alpha/(n - 1) times the virtual value on a lattice: masses, first point, and what cutting the tails may change.

    Where virtual values fall without bound towards the lowest value, the rarest are replaced by their mean.
    """
    low, high, usual = span
    first = per_rival * low - step
    points = first + step * np.arange(-1, int(np.ceil((per_rival * high - first) / step)) + 3)
    above = per_rival * curve.surplus(points / per_rival)
    cut = float(above[-2])
    if low < usual:
        known = _at(curve, usual)
        line = per_rival * known + (per_rival * usual - points) * (1 - RARE_MASS)
        above = np.where(points < per_rival * usual, np.maximum(per_rival * curve.lowest - points, line), above)
        cut += per_rival * RARE_MASS**2 * (usual - low)
    above[-2:] = 0.0
    return np.diff(above, 2) / step, first, cut  # not clipped: what rounding leaves cancels in sums


def range_of(curve: RevenueCurve | VirtualValues, size: float) -> tuple[float, float, float]:
    """Lowest and highest virtual value that matter if there are so many lattice points, and the one above which all are kept."""
    if isinstance(curve, VirtualValues):
        return float(curve.ironed[0]), float(curve.ironed[-1]), float(curve.ironed[0])
    at, marginal = curve.majorant
    tails, profit = curve.surplus(marginal), _at(curve, 0.0)
    first = int(np.searchsorted(1 - curve.above_nodes[at[1:]], RARE_MASS))
    # what is cut from the tail counts once, the step of the lattice about its square
    steps = np.clip(marginal - marginal[first], 0.0, HUGE_VIRTUAL_VALUE) / size
    error = np.maximum(tails, TAIL_SURPLUS * profit) + steps**2 / profit
    last = first + 1 + int(np.argmin(error[first + 1 :]))
    high = float(2 * marginal[last] - marginal[last - 1])  # marginal revenue stands for the middle of its cell
    low = usual = float(2 * marginal[0] - marginal[1])
    if marginal[first] - low > WIDE_RANGE * (high - float(marginal[first])):
        usual = float(marginal[first])
        low = usual - (_at(curve, usual) - curve.lowest + usual) / RARE_MASS
    return low, high, usual


def _several(
    curves: Sequence[RevenueCurve | VirtualValues], others: Sequence[int], per_rival: float, size: int
) -> SumDistribution:
    """The sum of the others' virtual values, times alpha/(n - 1), on a lattice."""
    kept = {id(curves[j]): range_of(curves[j], size / len(others)) for j in others}
    ranges = [kept[id(curves[j])] for j in others]
    if per_rival == 0 or all(low == high for low, high, _ in ranges):
        return SumDistribution(np.array([per_rival * sum(low for low, _, _ in ranges)]), np.ones(1))
    step = per_rival * sum(high - low for low, high, _ in ranges) / (size - 4 * len(others))
    masses = {id(curves[j]): _masses(curves[j], kept[id(curves[j])], per_rival, step) for j in others}
    parts = [masses[id(curves[j])] for j in others]
    sums = on_lattice([mass for mass, _, _ in parts], sum(first for _, first, _ in parts), step, len(others) / 4)
    return SumDistribution(sums.value, sums.weight, sums.excess + sum(cut for _, _, cut in parts))


def bounds(market: ContinuousValues, closed: float = CLOSED_GAP, deadline: Deadline | None = None) -> Bracket:
    """Bounds on the optimal revenue of a continuum of values, in payoff units.

    Parameters
    ----------
    market : ContinuousValues
    closed : float
        The relative gap at which to stop.
    deadline : Deadline, optional
        After which no finer cells are begun.
    """
    populations: list[Cdf | VirtualValues] = [
        VirtualValues.of(one).in_floats if isinstance(one, BuyerTypes) else one.distribution for one in market.populations
    ]
    uninformed, externality = float(market.uninformed), float(market.externality)
    return bracket(populations, market.counts, uninformed, externality, ex_post=market.ex_post, closed=closed, deadline=deadline)


def revenue(market: ContinuousValues) -> tuple[float, float, float]:
    """The optimal revenue of a continuum of values, and bounds.

    Parameters
    ----------
    market : ContinuousValues

    Returns
    -------
    value, lower, upper : float
        In payoff units, summed over buyers; the value is the quadrature's where it lies within the bounds, else the lower one.
    """
    found = bounds(market)
    value = estimate(market)
    within = found.lower <= value <= found.upper
    return value if within else found.lower, found.lower, found.upper


def estimate(market: ContinuousValues) -> float:
    """About the optimal revenue of a continuum of values, in payoff units, or no number: nothing is proved of it."""
    if market.uninformed == 1:  # buyers who know the state pay nothing
        return 0.0
    with np.errstate(all="ignore"):
        try:
            return _estimate(market)
        except (ValueError, IndexError, OverflowError, MemoryError):  # beyond what quadrature can take
            return float("nan")


def _estimate(market: ContinuousValues) -> float:
    by_group = [
        VirtualValues.of(one).in_floats if isinstance(one, BuyerTypes) else curve_of(one.distribution)
        for one in market.populations
    ]
    curves = [one for one, count in zip(by_group, market.counts, strict=True) for _ in range(count)]
    uninformed, externality, ex_post = float(market.uninformed), float(market.externality), market.ex_post
    constant = (externality - uninformed) * sum(one.lowest for one in curves)
    if len(curves) == 2:
        pairs = {(id(a), id(b)): _two(a, b, uninformed, externality, ex_post=ex_post) for a, b in (curves, curves[::-1])}
        return float(constant + sum(pairs[id(a), id(b)] for a, b in (curves, curves[::-1])))
    fine, excess = _on_lattice(curves, uninformed, externality, LATTICE_POINTS, ex_post=ex_post)
    coarse, _ = _on_lattice(curves, uninformed, externality, LATTICE_POINTS // 2, ex_post=ex_post)
    return float(constant + fine - min(max((coarse - fine) / 3, 0.0), excess))  # splitting adds in proportion to the step squared


def _on_lattice(
    curves: Sequence[RevenueCurve | VirtualValues], uninformed: float, externality: float, size: int, *, ex_post: bool
) -> tuple[float, float]:
    """What all buyers contribute, with sums on a lattice, and about by how much that may exceed the truth."""
    kept: dict[tuple[int, ...], SumDistribution] = {}
    per_rival = externality / (len(curves) - 1)
    total = excess = 0.0
    for i, one in enumerate(curves):
        rest = [j for j in range(len(curves)) if j != i]
        key = tuple(sorted(id(curves[j]) for j in rest))
        if key not in kept:
            kept[key] = _several(curves, rest, per_rival, size)
        mean = per_rival * sum(curves[j].lowest for j in rest)
        total += largest_virtual_surplus(kept[key], mean, one.lowest, one.surplus, uninformed, ex_post=ex_post)
        excess += kept[key].excess
    return total, excess
