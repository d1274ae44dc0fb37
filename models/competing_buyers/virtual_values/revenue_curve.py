"""A law of values as its revenue curve: a monopolist's profit at each cost, and ironed virtual values."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

import numpy as np

from optmarket.distributions.cdf import Law, PiecewiseLinear
from optmarket.lp.program import FloatArray, IntArray, NumberArray
from optmarket.models.competing_buyers.virtual_values.ironing import iron
from optmarket.rationals import floats

CELLS = 2048


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

    def mass(self, low: FloatArray, high: FloatArray) -> FloatArray:
        """Pr(low < v <= high), to a float's precision however small."""
        if isinstance(self.law, PiecewiseLinear):
            return np.asarray(self.law.cdf(high) - self.law.cdf(low))
        return self.law.between(low, high)

    @cached_property
    def _hull(self) -> tuple[IntArray, FloatArray]:
        """Nodes on the concave hull of revenue over quantiles, and marginal revenue between them, increasing."""
        mass = self.mass(self.nodes[:-1], self.nodes[1:])
        some = np.flatnonzero(mass > 0)  # of a gap its upper end: the higher price sells as much
        ends = np.append(self.nodes[some], self.nodes[-1])
        # as virtual values of cells, which keep their digits where nearly all buy
        left = np.append(self._above[some[1:]], 0.0)
        levels = iron(ends[:-1] - (ends[1:] - ends[:-1]) * left / mass[some], mass[some])
        first = np.flatnonzero(np.append(True, levels[1:] > levels[:-1]))
        return np.append(some[first], len(self.nodes) - 1), levels[first]

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
        most = float((self.nodes * self._above).max())
        found = []
        for k in np.flatnonzero(np.diff(at) > 1):
            inner = self.nodes[at[k] : at[k + 1] + 1]
            below = self.mass(np.full_like(inner, inner[0]), inner)
            # revenue on the hull less that of the price
            lacking = (inner[0] - marginal[k]) * below - (inner - inner[0]) * self._above[at[k] : at[k + 1] + 1]
            if lacking.max() <= 1e-13 * most:  # rounding
                continue
            level, ends = float(marginal[k]), at[k : k + 2]
            low, high = self._where(ends[0], level), self._where(ends[1], level)
            for _ in range(8):  # Newton: the level changes to second order in the ends
                ends_ = np.array([low]), np.array([high])
                level = low - float((self.above(ends_[1]) * (high - low) / self.mass(*ends_))[0])
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


@lru_cache(maxsize=64)
def curve_of(law: Law) -> Curve:
    """The curve of a law, made once."""
    return Curve(law)


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
