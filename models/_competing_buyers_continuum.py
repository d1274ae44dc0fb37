"""The optimum of competing buyers with a common prior and a continuum of values: quadrature of the virtual-value formula.

All that is needed of a buyer is ``L(s) = E[(phi - s)^+]``, and that is the profit ``max_v (v - s)(1 - F(v))`` of a monopolist of
unit cost s: ironing happens by itself, and an error in v matters only to second order. With S the rivals' sum and c its
th-quantile, a buyer contributes ``E[(c - S)^+] + th (v_lo - c) + (Pr(S <= c) - th) L(c) + E[L(S); S > c]`` (Bayesian) or
``th (v_lo - E[S]) + (1 - th) E[L(S)]`` (ex post). Two buyers: one integral over the rival's quantiles. More: sums on a lattice.

References: Ravindranath, Jiang and Parkes (2023), theorem 7; Bulow and Roberts (1989) for virtual values as marginal revenue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from optmarket.distributions import Distribution
from optmarket.errors import ModelError
from optmarket.laws import PiecewiseLinear
from optmarket.models._competing_buyers_curve import Curve, curve_of
from optmarket.models._competing_buyers_market import Kind, Params
from optmarket.models._competing_buyers_sums import Sums, on_lattice, told
from optmarket.models._competing_buyers_virtual import Virtual
from optmarket.program import FloatArray

SAME_INTEGRAL = 1e-12
SURE = 1e-11  # of the payoffs at stake: what quadrature in floats may miss
COARSE = np.polynomial.legendre.leggauss(16)
FINE = np.polynomial.legendre.leggauss(32)
POINTS = 1 << 18  # of a lattice
RARE = 1e-4
HUGE = 1e100
RAREST = 2.0**-50


def integral(f: Callable[[FloatArray], FloatArray], edges: Sequence[float], tolerance: float) -> tuple[float, float]:
    """An integral over [edges[0], edges[-1]] by Gauss' rule, cells halved until two orders agree, and the error left.

    Parameters
    ----------
    f : callable
        Vectorised.
    edges : sequence of float
        Increasing; kinks of f that are known.
    tolerance : float
        By length.
    """
    points = np.unique(np.array(edges, dtype=float))
    low, high, total, error = points[:-1], points[1:], 0.0, 0.0
    for depth in range(40):
        if not len(low):
            break
        width = (high - low)[:, None] / 2
        sums = [
            (f((low[:, None] + width * (nodes_ + 1)).ravel()).reshape(len(low), -1) * weights * width).sum(axis=1)
            for nodes_, weights in (COARSE, FINE)
        ]
        wrong = np.abs(sums[1] - sums[0])
        good = (wrong <= tolerance * np.maximum(high - low, 1e-3)) | (depth == 39)
        total, error = total + float(sums[1][good].sum()), error + float(wrong[good].sum())
        middle = (low + high)[~good] / 2
        low, high = np.concatenate([low[~good], middle]), np.concatenate([middle, high[~good]])
    return total, error


def _at(curve: Curve | Virtual, cost: float) -> float:
    return float(curve.surplus(np.array([cost]))[0])


def _two(one: Curve | Virtual, rival: Curve | Virtual, level: float, alpha: float, *, ex_post: bool) -> tuple[float, float]:
    """What one of two buyers contributes, and the error of the integral."""
    if alpha == 0:
        return level * one.lowest + (1 - level) * _at(one, 0.0), 0.0
    if isinstance(rival, Virtual):
        sums = Sums(alpha * rival.pooled[0], rival.pooled[1])
        return float(told(sums, alpha * rival.lowest, one.lowest, one.surplus, level, ex_post=ex_post)), 0.0
    stake = max(one.lowest, rival.lowest, 1e-300) + _at(one, 0.0)
    flat = [end for low, high, _ in rival.ironed for end in 1 - rival.above(np.array([low, high]))]
    kinks = [float(x) for x in rival.law.levels] if isinstance(rival.law, PiecewiseLinear) else []
    steps = [*flat, *kinks, *(2.0**-k for k in range(1, 12)), *(1 - 2.0**-k for k in range(1, 12)), 0.0, 1.0]

    def lost(q: FloatArray) -> FloatArray:
        return one.surplus(alpha * rival.virtual(rival.quantiles(q)))

    if ex_post:
        start = np.array([RAREST])
        value = rival.quantiles(start)
        if any(low <= value[0] <= high for low, high, _ in rival.ironed):
            start, below = np.zeros(1), 0.0
        else:  # virtual values may fall without bound here; surplus is then the mean of phi less the cost
            below = float(RAREST * one.lowest - alpha * (rival.lowest - value[0] * (1 - RAREST)))
        graded = [float(start[0]), *(2.0**-k for k in range(12, 50)), *(q for q in steps if q > 2.0**-12)]
        whole, error = integral(lost, graded, SAME_INTEGRAL * stake)
        return level * (one.lowest - alpha * rival.lowest) + (1 - level) * (below + whole), (1 - level) * error
    if level == 1:
        return one.lowest - alpha * rival.lowest, 0.0
    c, up_to = float(rival.virtual(rival.quantiles(np.array([level])))[0]), level
    for low, high, ironed in rival.ironed:
        ends = 1 - rival.above(np.array([low, high]))
        if ends[0] <= level < ends[1]:
            c, up_to = ironed, float(ends[1])
    cost = np.array([alpha * c])
    spared = alpha * (_at(rival, c) + c - rival.lowest)
    whole, error = integral(lost, [up_to, *(q for q in steps if q > up_to)], SAME_INTEGRAL * stake)
    here = float(one.surplus(cost)[0])
    return spared + level * (one.lowest - alpha * c) + (up_to - level) * here + whole, error


def _masses(
    curve: Curve | Virtual, bounds: tuple[float, float, float], share: float, step: float
) -> tuple[FloatArray, float, float]:
    """Share times the virtual value on a lattice: masses, first point, and what cutting the tails may change.

    Where virtual values fall without bound towards the lowest value, the rarest are replaced by their mean.
    """
    low, high, usual = bounds
    first = share * low - step
    points = first + step * np.arange(-1, int(np.ceil((share * high - first) / step)) + 3)
    above = share * curve.surplus(points / share)
    cut = float(above[-2])
    if low < usual:
        known = _at(curve, usual)
        line = share * known + (share * usual - points) * (1 - RARE)
        above = np.where(points < share * usual, np.maximum(share * curve.lowest - points, line), above)
        cut += share * RARE**2 * (usual - low)
    above[-2:] = 0.0
    return np.diff(above, 2) / step, first, cut  # not clipped: what rounding leaves cancels in sums


def range_of(curve: Curve | Virtual, size: float) -> tuple[float, float, float]:
    """Lowest and highest virtual value that matter if there are so many lattice points, and the one above which all are kept."""
    if isinstance(curve, Virtual):
        return float(curve.ironed[0]), float(curve.ironed[-1]), float(curve.ironed[0])
    at, marginal = curve._hull
    tails, profit = curve.surplus(marginal), _at(curve, 0.0)
    first = int(np.searchsorted(1 - curve._above[at[1:]], RARE))
    # what is cut from the tail counts once, the step of the lattice about its square
    steps = np.clip(marginal - marginal[first], 0.0, HUGE) / size
    error = np.maximum(tails, 1e-11 * profit) + steps**2 / profit
    last = first + 1 + int(np.argmin(error[first + 1 :]))
    high = float(2 * marginal[last] - marginal[last - 1])  # marginal revenue stands for the middle of its cell
    low = usual = float(2 * marginal[0] - marginal[1])
    if marginal[first] - low > 20 * (high - float(marginal[first])):
        usual = float(marginal[first])
        low = usual - (_at(curve, usual) - curve.lowest + usual) / RARE
    return low, high, usual


def _several(curves: Sequence[Curve | Virtual], others: Sequence[int], share: float, size: int) -> Sums:
    """The sum of the others' virtual values, times share, on a lattice."""
    kept = {id(curves[j]): range_of(curves[j], size / len(others)) for j in others}
    ranges = [kept[id(curves[j])] for j in others]
    if share == 0 or all(low == high for low, high, _ in ranges):
        return Sums(np.array([share * sum(low for low, _, _ in ranges)]), np.ones(1))
    step = share * sum(high - low for low, high, _ in ranges) / (size - 4 * len(others))
    kinds = {id(curves[j]): _masses(curves[j], kept[id(curves[j])], share, step) for j in others}
    parts = [kinds[id(curves[j])] for j in others]
    sums = on_lattice([mass for mass, _, _ in parts], sum(first for _, first, _ in parts), step, len(others) / 4)
    return Sums(sums.value, sums.weight, sums.excess + sum(cut for _, _, cut in parts))


def revenue(params: Params) -> tuple[float, float, float]:
    """The optimal revenue of values on a continuum, and bounds.

    Parameters
    ----------
    params : Params
        With a prior; at least one buyer's value a distribution without grid.

    Returns
    -------
    value, lower, upper : float
        In payoff units, summed over buyers. Two buyers: bounds are what quadrature may miss, if it is where sums on a lattice
        say; these bound it else, and for more buyers.
    """
    curves, level, alpha = _curves(params)
    n, ex_post = len(curves), params.ic == "ex-post"
    constant = (alpha - level) * sum(one.lowest for one in curves)
    stake = (1 + alpha) * max(_at(one, 0.0) + one.lowest for one in curves)
    slip = n * SURE * stake
    fine, excess, lack = _on_lattice(curves, level, alpha, POINTS, ex_post=ex_post)
    fine, low, high = fine + constant, fine + constant - excess - slip, fine + constant + lack + slip
    if n == 2:
        pairs = {(id(a), id(b)): _two(a, b, level, alpha, ex_post=ex_post) for a, b in (curves, curves[::-1])}
        both = [pairs[id(a), id(b)] for a, b in (curves, curves[::-1])]
        value, missed = constant + sum(x for x, _ in both), sum(error for _, error in both) + SURE * stake
        if low - missed <= value <= high + missed:
            return float(value), float(max(value - missed, low)), float(min(value + missed, high))
    coarse = constant + _on_lattice(curves, level, alpha, POINTS // 2, ex_post=ex_post)[0]
    value = fine - min(max((coarse - fine) / 3, 0.0), excess)  # splitting adds in proportion to the step squared
    return float(value), float(low), float(high)


def _on_lattice(
    curves: Sequence[Curve | Virtual], level: float, alpha: float, size: int, *, ex_post: bool
) -> tuple[float, float, float]:
    """What all buyers contribute, with sums on a lattice; by how much that may exceed the truth, and fall short of it."""
    kept: dict[tuple[int, ...], Sums] = {}
    share = alpha / (len(curves) - 1)
    total = excess = lack = 0.0
    for i, one in enumerate(curves):
        rest = [j for j in range(len(curves)) if j != i]
        key = tuple(sorted(id(curves[j]) for j in rest))
        if key not in kept:
            kept[key] = _several(curves, rest, share, size)
        mean = share * sum(curves[j].lowest for j in rest)
        total += told(kept[key], mean, one.lowest, one.surplus, level, ex_post=ex_post)
        excess += kept[key].excess
        if not ex_post:  # a mean in place of virtual values below the quantile changes nothing
            continue
        ranges = [range_of(curves[j], size / len(rest)) for j in rest]
        highest = sum(high for _, high, _ in ranges)
        for low, high, usual in ranges:
            if low < usual:  # it does where the own virtual value is as low: a kink of the surplus
                cost = share * (usual + highest - high)
                rarer = 1 - _chance(one, cost)
                lack += (1 - level) * share * RARE * (usual - low) * rarer
    return total, excess, lack


def _chance(one: Curve | Virtual, cost: float) -> float:
    """Pr(phi >= cost), or less."""
    if isinstance(one, Virtual):
        return float(one.weight[one.ironed >= cost].sum())
    at, marginal = one._hull
    return float(one._above[at[np.searchsorted(marginal, cost)]])


def _curves(params: Params) -> tuple[list[Curve | Virtual], float, float]:
    if params.prior is None:
        raise ModelError(
            "asks for virtual values, which take one prior for all buyers; must be general or auto", field="params.formulation"
        )
    made: dict[int, Curve | Virtual] = {}
    for buyer in params.buyers:
        law = buyer.value.law if isinstance(buyer.value, Distribution) and buyer.on_continuum else None
        made[id(buyer)] = Virtual.of(Kind.of(buyer, params.prior)).in_floats if law is None else curve_of(law)
    return [made[id(buyer)] for buyer in params.each], float(max(params.prior)), float(params.externality)
