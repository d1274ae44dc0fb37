"""The optimum of competing buyers with a common prior and a continuum of values: bounds, and between them an estimate.

Bounds are those of `_competing_buyers_enclosure`. The estimate is quadrature of the virtual-value formula, whose error is not
bounded: it counts only where it lies within the bounds.

All that is needed of a buyer is ``L(s) = E[(phi - s)^+]``, and that is the profit ``max_v (v - s)(1 - F(v))`` of a monopolist of
unit cost s: ironing happens by itself, and an error in v matters only to second order. With S the rivals' sum and c its
th-quantile, a buyer contributes ``E[(c - S)^+] + th (v_lo - c) + (Pr(S <= c) - th) L(c) + E[L(S); S > c]`` (Bayesian) or
``th (v_lo - E[S]) + (1 - th) E[L(S)]`` (ex post). Two buyers: one integral over the rival's quantiles. More: sums on a lattice.

References: Ravindranath, Jiang and Parkes (2023), theorem 7; Bulow and Roberts (1989) for virtual values as marginal revenue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from optmarket.distributions.cdf import Law, PiecewiseLinear
from optmarket.distributions.specification import Distribution
from optmarket.errors import ModelError
from optmarket.lp.program import FloatArray
from optmarket.models.competing_buyers.market import Kind, Params
from optmarket.models.competing_buyers.virtual_values import bounds as enclosure
from optmarket.models.competing_buyers.virtual_values.ironing import Virtual
from optmarket.models.competing_buyers.virtual_values.revenue_curve import Curve, curve_of
from optmarket.models.competing_buyers.virtual_values.sums import Sums, on_lattice, told

SAME_INTEGRAL = 1e-12
COARSE = np.polynomial.legendre.leggauss(16)
FINE = np.polynomial.legendre.leggauss(32)
POINTS = 1 << 18  # of a lattice
RARE = 1e-4
HUGE = 1e100
RAREST = 2.0**-50


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
    points = np.unique(np.array(edges, dtype=float))
    low, high, total = points[:-1], points[1:], 0.0
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
        total += float(sums[1][good].sum())
        middle = (low + high)[~good] / 2
        low, high = np.concatenate([low[~good], middle]), np.concatenate([middle, high[~good]])
    return total


def _at(curve: Curve | Virtual, cost: float) -> float:
    return float(curve.surplus(np.array([cost]))[0])


def _two(one: Curve | Virtual, rival: Curve | Virtual, level: float, alpha: float, *, ex_post: bool) -> float:
    """What one of two buyers contributes."""
    if alpha == 0:
        return level * one.lowest + (1 - level) * _at(one, 0.0)
    if isinstance(rival, Virtual):
        sums = Sums(alpha * rival.pooled[0], rival.pooled[1])
        return float(told(sums, alpha * rival.lowest, one.lowest, one.surplus, level, ex_post=ex_post))
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
        whole = integral(lost, graded, SAME_INTEGRAL * stake)
        return level * (one.lowest - alpha * rival.lowest) + (1 - level) * (below + whole)
    c, up_to = float(rival.virtual(rival.quantiles(np.array([level])))[0]), level
    for low, high, ironed in rival.ironed:
        ends = 1 - rival.above(np.array([low, high]))
        if ends[0] <= level < ends[1]:
            c, up_to = ironed, float(ends[1])
    cost = np.array([alpha * c])
    spared = alpha * (_at(rival, c) + c - rival.lowest)
    whole = integral(lost, [up_to, *(q for q in steps if q > up_to)], SAME_INTEGRAL * stake)
    here = float(one.surplus(cost)[0])
    return spared + level * (one.lowest - alpha * c) + (up_to - level) * here + whole


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


def bounds(params: Params, closed: float = enclosure.CLOSED, until: float | None = None) -> enclosure.Bracket:
    """Bounds on the optimal revenue of values on a continuum, in payoff units.

    Parameters
    ----------
    params : Params
        With a prior; at least one buyer's value a distribution without grid.
    closed, until : float
        As `enclosure.bracket` takes them.
    """
    given, level, alpha = _given(params)
    counts = [buyer.count for buyer in params.buyers]
    return enclosure.bracket(given, counts, level, alpha, ex_post=params.ic == "ex-post", closed=closed, until=until)


def revenue(params: Params) -> tuple[float, float, float]:
    """The optimal revenue of values on a continuum, and bounds.

    Returns
    -------
    value, lower, upper : float
        In payoff units, summed over buyers; the value is the quadrature's where it lies within the bounds, else the lower one.
    """
    found = bounds(params)
    value = estimate(params)
    within = found.lower <= value <= found.upper
    return value if within else found.lower, found.lower, found.upper


def estimate(params: Params) -> float:
    """About the optimal revenue of values on a continuum, in payoff units, or no number: nothing is proved of it."""
    if max(params.prior or ()) == 1:  # who knows the state pays nothing
        return 0.0
    with np.errstate(all="ignore"):
        try:
            return _estimate(params)
        except (ValueError, IndexError, OverflowError, MemoryError):  # beyond what quadrature can take
            return float("nan")


def _estimate(params: Params) -> float:
    curves, level, alpha = _curves(params)
    n, ex_post = len(curves), params.ic == "ex-post"
    constant = (alpha - level) * sum(one.lowest for one in curves)
    if n == 2:
        pairs = {(id(a), id(b)): _two(a, b, level, alpha, ex_post=ex_post) for a, b in (curves, curves[::-1])}
        return float(constant + sum(pairs[id(a), id(b)] for a, b in (curves, curves[::-1])))
    fine, excess = _on_lattice(curves, level, alpha, POINTS, ex_post=ex_post)
    coarse, _ = _on_lattice(curves, level, alpha, POINTS // 2, ex_post=ex_post)
    return float(constant + fine - min(max((coarse - fine) / 3, 0.0), excess))  # splitting adds in proportion to the step squared


def _on_lattice(
    curves: Sequence[Curve | Virtual], level: float, alpha: float, size: int, *, ex_post: bool
) -> tuple[float, float]:
    """What all buyers contribute, with sums on a lattice, and about by how much that may exceed the truth."""
    kept: dict[tuple[int, ...], Sums] = {}
    share = alpha / (len(curves) - 1)
    total = excess = 0.0
    for i, one in enumerate(curves):
        rest = [j for j in range(len(curves)) if j != i]
        key = tuple(sorted(id(curves[j]) for j in rest))
        if key not in kept:
            kept[key] = _several(curves, rest, share, size)
        mean = share * sum(curves[j].lowest for j in rest)
        total += told(kept[key], mean, one.lowest, one.surplus, level, ex_post=ex_post)
        excess += kept[key].excess
    return total, excess


def _given(params: Params) -> tuple[list[Law | Virtual], float, float]:
    """The buyers as entries of ``buyers`` describe them, th and alpha."""
    if params.prior is None:
        raise ModelError(
            "asks for virtual values, which take one prior for all buyers; must be general or auto", field="params.formulation"
        )
    given: list[Law | Virtual] = [
        buyer.value.law
        if isinstance(buyer.value, Distribution) and buyer.on_continuum
        else Virtual.of(Kind.of(buyer, params.prior)).in_floats
        for buyer in params.buyers
    ]
    return given, float(max(params.prior)), float(params.externality)


def _curves(params: Params) -> tuple[list[Curve | Virtual], float, float]:
    given, level, alpha = _given(params)
    made = [one if isinstance(one, Virtual) else curve_of(one) for one in given]
    return [one for one, buyer in zip(made, params.buyers, strict=True) for _ in range(buyer.count)], level, alpha
