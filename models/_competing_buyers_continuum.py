"""The optimum of competing buyers with a common prior and a continuum of values: quadrature of the virtual-value formula.

All that is needed of a buyer is ``L(s) = E[(phi - s)^+]``, and that is the profit ``max_v (v - s)(1 - F(v))`` of a monopolist of
unit cost s: ironing happens by itself, and an error in v matters only to second order. With S the rivals' sum and c its
th-quantile, a buyer contributes ``E[(c - S)^+] + th (v_lo - c) + (Pr(S <= c) - th) L(c) + E[L(S); S > c]`` (Bayesian) or
``th (v_lo - E[S]) + (1 - th) E[L(S)]`` (ex post). Two buyers: one integral over the rival's quantiles. More: sums on a lattice.

References: Ravindranath, Jiang and Parkes (2023), theorem 7; Bulow and Roberts (1989) for virtual values as marginal revenue.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from optmarket.distributions import Distribution
from optmarket.errors import ModelError
from optmarket.laws import Law, PiecewiseLinear
from optmarket.models._competing_buyers_market import Buyer, Market, Params
from optmarket.models._competing_buyers_sums import Sums, on_lattice, told
from optmarket.models._competing_buyers_virtual import payments, rule
from optmarket.numbers import floats
from optmarket.program import FloatArray, IntArray, NumberArray
from optmarket.solution import Answer, Certificate, Options, Status

CELLS = 2048
TABULATED = 200  # values of a mechanism in tables
SAME_INTEGRAL = 1e-12
SURE = 1e-11  # of the payoffs at stake: what quadrature in floats may miss
COARSE = np.polynomial.legendre.leggauss(16)
FINE = np.polynomial.legendre.leggauss(32)
POINTS = 1 << 18  # of a lattice
RARE = 1e-4
RAREST = 2.0**-50


@dataclass(frozen=True, eq=False)
class Curve:
    """A law of values as a revenue curve.

    Attributes
    ----------
    law : Law
    """

    law: Law

    @cached_property
    def nodes(self) -> FloatArray:
        """Values dense enough that between two of them revenue is almost a parabola, knots among them, shape (N,)."""
        return nodes(self.law, CELLS)

    @property
    def lowest(self) -> float:
        """The lowest value."""
        return float(self.nodes[0])

    def above(self, value: FloatArray) -> FloatArray:
        """Pr(v > value)."""
        if isinstance(self.law, PiecewiseLinear):
            return np.asarray(1 - self.law.cdf(value))
        return self.law.between(value, np.full_like(value, np.inf))

    def density(self, value: FloatArray) -> FloatArray:
        """The density at each value."""
        if isinstance(self.law, PiecewiseLinear):
            knots, levels = floats(self.law.knots), floats(self.law.levels)
            slope = np.diff(levels) / np.diff(knots)
            return slope[np.clip(np.searchsorted(knots, value, side="right") - 1, 0, len(slope) - 1)]
        total = np.zeros_like(value)
        for weight, law, low, high in self.law.parts:
            first, last = float(low), float(high)
            inside = (value >= first) & (value <= last)
            total += np.where(inside, weight * law.pdf(value) / (law.cdf(last) - law.cdf(first)), 0.0)
        return total

    def quantiles(self, level: FloatArray) -> FloatArray:
        """The least value whose distribution function is at least each level."""
        if isinstance(self.law, PiecewiseLinear):
            levels, knots = floats(self.law.levels), floats(self.law.knots)
            k = np.clip(np.searchsorted(levels, level), 1, len(levels) - 1)
            share = (level - levels[k - 1]) / np.where(levels[k] > levels[k - 1], levels[k] - levels[k - 1], 1.0)
            return np.asarray(knots[k - 1] + (knots[k] - knots[k - 1]) * share)
        return floats(self.law.quantiles([Fraction(x) for x in np.minimum(level, 1 - 2.0**-53).tolist()]))

    @cached_property
    def _hull(self) -> tuple[IntArray, FloatArray]:
        """Nodes on the concave hull of revenue over quantiles, and marginal revenue between them, nondecreasing."""
        q, revenue = 1 - self._above, self.nodes * self._above
        kept: list[int] = []
        for k in range(len(q)):
            while kept and self._above[kept[-1]] == self._above[k]:  # a gap: the higher price sells as much
                kept.pop()
            while len(kept) > 1:
                a, b = kept[-2:]
                if (revenue[b] - revenue[a]) * (q[k] - q[a]) > (revenue[k] - revenue[a]) * (q[b] - q[a]):
                    break
                kept.pop()
            kept.append(k)
        at = np.array(kept)
        return at, np.maximum.accumulate(np.diff(revenue[at]) / np.diff(self._above[at]))

    @cached_property
    def _above(self) -> FloatArray:
        return self.above(self.nodes)

    def surplus(self, cost: NumberArray) -> FloatArray:
        """L at each cost, shape (C,)."""
        at, marginal = self._hull
        best = at[np.searchsorted(marginal, cost)]
        found = (self.nodes[best] - cost) * self._above[best]
        for left in (np.maximum(best - 1, 0), np.minimum(best, len(self.nodes) - 2)):
            low, high = self.nodes[left], self.nodes[left + 1]
            a, c = (low - cost) * self._above[left], (high - cost) * self._above[left + 1]
            b = ((low + high) / 2 - cost) * self._middle[left]
            bend = a - 2 * b + c
            place = np.where(bend < 0, 0.5 + (a - c) / np.where(bend < 0, 4 * bend, 1.0), 0.5)  # the parabola's top
            value = low + (high - low) * np.clip(place, 0.0, 1.0)
            found = np.maximum(found, (value - cost) * self.above(value))
        return np.asarray(found)

    @cached_property
    def _middle(self) -> FloatArray:
        return self.above((self.nodes[1:] + self.nodes[:-1]) / 2)

    def raw(self, value: FloatArray) -> FloatArray:
        """Virtual values before ironing, v - (1 - F)/f; -inf where there is no density."""
        density = self.density(value)
        above = self.above(value)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(density > 0, value - above / density, np.where(above > 0, -np.inf, value)))

    @cached_property
    def ironed(self) -> list[tuple[float, float, float]]:
        """Ironed intervals: lowest value, highest value, virtual value."""
        at, marginal = self._hull
        revenue = self.nodes * self._above
        found = []
        for k in np.flatnonzero(np.diff(at) > 1):
            inner = slice(at[k], at[k + 1] + 1)
            lacking = revenue[at[k]] + marginal[k] * (self._above[inner] - self._above[at[k]]) - revenue[inner]
            if lacking.max() <= 1e-13 * revenue.max():  # rounding
                continue
            level, ends = float(marginal[k]), at[k : k + 2]
            low, high = self._where(ends[0], level), self._where(ends[1], level)
            for _ in range(8):  # Newton: the level changes to second order in the ends
                x = np.array([low, high])
                above = self.above(x)
                level = float((x[1] * above[1] - x[0] * above[0]) / (above[1] - above[0]))
                low, high = self._where(ends[0], level), self._where(ends[1], level)
            found.append((low, high, level))
        return found

    def _where(self, node: int, level: float) -> float:
        """Where next to a node raw virtual values rise through a level."""
        low, high = float(self.nodes[max(node - 1, 0)]), float(self.nodes[min(node + 1, len(self.nodes) - 1)])
        close = 1e-15 * float(self.nodes[len(self.nodes) // 2])
        while high - low > close and low < (middle := (low + high) / 2) < high:
            low, high = (middle, high) if float(self.raw(np.array([middle]))[0]) < level else (low, middle)
        return high

    def virtual(self, value: FloatArray) -> FloatArray:
        """Ironed virtual values."""
        found = self.raw(value)
        for low, high, level in self.ironed:
            found = np.where((value >= low) & (value <= high), level, found)
        return np.asarray(found)


def nodes(law: Law, size: int) -> FloatArray:
    """Values that cut a law into cells of about equal mass and length, the ends of the support and knots among them.

    Parameters
    ----------
    law : Law
    size : int
        About how many.
    """
    if isinstance(law, PiecewiseLinear):
        low, high = law.support
        inside = [float(x) for x in law.knots if low <= x <= high]
        found = [np.array(inside), np.linspace(float(low), float(high), size + 1)]
        found.append(floats(law.quantiles([Fraction(k, size) for k in range(1, size)])))
        return np.unique(np.concatenate(found))
    first, last = map(float, law.end_of_floats)
    levels = [Fraction(k, size) for k in range(1, size)]
    tails = [Fraction(1, size * 2**k) for k in range(1, 30)]
    middle = floats(law.quantiles([*reversed(tails), *levels, *(1 - x for x in tails)]))
    knots = [float(end) for _, _, *ends in law.parts for end in ends if np.isfinite(float(end))]
    found = [np.array([first, last, *knots]), middle]
    top = float(middle[-30])
    if isinstance(law.support[1], Fraction):
        found.append(np.linspace(first, last, size + 1))
    elif last > top > 0:
        found += [np.linspace(first, top, size + 1), np.geomspace(top, last, size)]
    return np.unique(np.clip(np.concatenate(found), first, last))


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


def _at(curve: Curve, cost: float) -> float:
    return float(curve.surplus(np.array([cost]))[0])


def _two(one: Curve, rival: Curve, level: float, alpha: float, *, ex_post: bool) -> tuple[float, float]:
    """What one of two buyers contributes, and the error of the integral."""
    if alpha == 0:
        return level * one.lowest + (1 - level) * _at(one, 0.0), 0.0
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


def _masses(curve: Curve, share: float, step: float) -> tuple[FloatArray, float, float]:
    """Share times the virtual value on a lattice: masses, first point, and what cutting the tails may change.

    Where virtual values fall without bound towards the lowest value, the rarest are replaced by their mean.
    """
    low, high, usual = _range(curve)
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


def _range(curve: Curve) -> tuple[float, float, float]:
    """Lowest and highest virtual value that matter, and the one above which all are kept."""
    at, marginal = curve._hull
    tails = curve.surplus(marginal)
    k = min(int((tails > 1e-11 * _at(curve, 0.0)).sum()), len(marginal) - 1)
    high = float(2 * marginal[k] - marginal[k - 1])  # marginal revenue stands for the middle of its cell
    low = usual = float(2 * marginal[0] - marginal[1])
    k = int(np.searchsorted(1 - curve._above[at[1:]], RARE))
    if marginal[k] - low > 20 * (high - float(marginal[k])):
        usual = float(marginal[k])
        low = usual - (_at(curve, usual) - curve.lowest + usual) / RARE
    return low, high, usual


def _several(curves: Sequence[Curve], others: Sequence[int], share: float, size: int) -> Sums:
    """The sum of the others' virtual values, times share, on a lattice."""
    if share == 0:
        return Sums(np.zeros(1), np.ones(1))
    ranges = [_range(curves[j]) for j in others]
    step = share * sum(high - low for low, high, _ in ranges) / (size - 4 * len(others))
    kinds = {id(curves[j]): _masses(curves[j], share, step) for j in others}
    parts = [kinds[id(curves[j])] for j in others]
    sums = on_lattice([mass for mass, _, _ in parts], sum(first for _, first, _ in parts), step, len(others) / 4)
    return Sums(sums.value, sums.weight, sums.excess + sum(cut for _, _, cut in parts))


def revenue(params: Params) -> tuple[float, float, float]:
    """The optimal revenue of values on a continuum, and bounds.

    Parameters
    ----------
    params : Params
        With a prior; each buyer's value a distribution without grid.

    Returns
    -------
    value, lower, upper : float
        In payoff units, summed over buyers. Two buyers: bounds are what quadrature may miss. More: what the lattice may add.
    """
    curves, level, alpha = _curves(params)
    n, ex_post = len(curves), params.ic == "ex-post"
    constant = (alpha - level) * sum(one.lowest for one in curves)
    stake = (1 + alpha) * max(_at(one, 0.0) + one.lowest for one in curves)
    if n == 2:
        pairs = {(id(a), id(b)): _two(a, b, level, alpha, ex_post=ex_post) for a, b in (curves, curves[::-1])}
        both = [pairs[id(a), id(b)] for a, b in (curves, curves[::-1])]
        value, slip = constant + sum(x for x, _ in both), sum(error for _, error in both) + SURE * stake
        return float(value), float(value - slip), float(value + slip)
    found = []
    for size in (POINTS // 2, POINTS):
        kept: dict[tuple[int, ...], Sums] = {}
        total, excess = constant, 0.0
        for i, one in enumerate(curves):
            rest = [j for j in range(n) if j != i]
            key = tuple(sorted(id(curves[j]) for j in rest))
            if key not in kept:
                kept[key] = _several(curves, rest, alpha / (n - 1), size)
            total += told(kept[key], one.lowest, one.surplus, level, ex_post=ex_post)
            excess += kept[key].excess
        found.append((total, excess))
    (coarse, _), (fine, excess) = found
    slip = n * SURE * stake
    value = fine - min(max((coarse - fine) / 3, 0.0), excess)  # splitting adds in proportion to the step squared
    return float(value), float(fine - excess - slip), float(fine + slip)


def _curves(params: Params) -> tuple[list[Curve], float, float]:
    if params.prior is None:
        raise ModelError(
            "asks for virtual values, which take one prior for all buyers; must be general or auto", field="params.formulation"
        )
    made: dict[int, Curve] = {}
    for k, buyer in enumerate(params.buyers):
        if not isinstance(buyer.value, Distribution) or buyer.grid is not None:
            raise ModelError(
                "has finitely many types beside a buyer with a continuum; give it a distribution, or the others a grid",
                field=f"params.buyers[{k}]",
            )
        made[id(buyer)] = Curve(buyer.value.law)
    return [made[id(buyer)] for buyer in params.each], float(max(params.prior)), float(params.externality)


def tabulated(params: Params, size: int = TABULATED, *, upper: bool = False) -> Market:
    """The market with each value lowered, or raised, to the next of finitely many: revenue bounded from below, or above.

    Parameters
    ----------
    params : Params
    size : int
        Cells of equal mass, and about as many again of equal length or in an unbounded tail.
    upper : bool
        Raise values.
    """
    buyers = []
    for buyer in params.buyers:
        assert isinstance(buyer.value, Distribution)
        curve = Curve(buyer.value.law)
        edges = nodes(curve.law, size)
        mass = -np.diff(curve.above(edges))
        kept = mass > 1e-18
        exact = [Fraction(x) for x in mass[kept].tolist()]
        total = sum(exact, Fraction(0))
        points = (edges[1:] if upper else edges[:-1])[kept].tolist()
        types = [{"weight": w / total, "value": x} for w, x in zip(exact, points, strict=True)]
        buyers.append(Buyer.model_validate({"count": buyer.count, "types": types}))
    return Market.of(params.model_copy(update={"buyers": tuple(buyers)}))


def solve_continuum(params: Params, options: Options | None = None) -> Answer:
    """The optimum of values on a continuum by virtual values.

    Parameters
    ----------
    params : Params
        With a prior; each buyer's value a distribution without grid.
    options : Options, optional
        ``gap`` is used; ``exact`` is refused.

    Returns
    -------
    Answer
        The mechanism is the rule, tabulated: ``values``, ``virtual-values``, ``chance-right`` and ``expected-payments``, all
        [buyer][value], of lower ends of about 200 cells or more: it holds for these values.

    Raises
    ------
    ModelError
        If there is no common prior, a buyer has finitely many types, or an exact proof is asked for.
    """
    start = time.perf_counter()
    options = options or Options()
    if options.exact:
        raise ModelError(
            "gives a continuum of values, whose revenue is computed in floats; leave exact out", field="params.buyers"
        )
    value, lower, upper = revenue(params)
    curves, _, _ = _curves(params)
    market = tabulated(params, TABULATED)
    found = rule(market, exact=False)
    each = {id(one): found.interim(i) for i, one in enumerate(found.buyers)}
    rows: dict[str, Any] = {
        "values": [one.value.tolist() for one in found.buyers],
        "virtual-values": [curve.virtual(one.value).tolist() for curve, one in zip(curves, found.buyers, strict=True)],
        "chance-right": [each[id(one)][0].tolist() for one in found.buyers],
        "expected-payments": [payments(one.value, each[id(one)][1]).tolist() for one in found.buyers],
    }
    if not found.ex_post:
        rows["thresholds"] = [[float(c), float(part)] for c, part in found.thresholds]
    stake = max(1.0, abs(upper))
    gap = (upper - lower) / stake
    how = "quadrature" if len(curves) == 2 else "sums of virtual values on a lattice, extrapolated within bounds"
    return Answer(
        status=Status.OPTIMAL if gap <= options.wanted else Status.GAP,
        mechanism=rows,
        quantities={"revenue": value},
        certificate=Certificate(lower, upper, gap),
        method="virtual-values",
        notes=(
            f"a continuum of values: virtual values, ironed, by {how}; within {upper - lower:.1e}, in floats",
            f"the mechanism is tabulated at {max(len(one.value) for one in found.buyers)} values",
        ),
        run={"seconds": time.perf_counter() - start},
    )
