"""The revenue curve of a continuum of values: a monopolist's profit at each cost, and ironed virtual values."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

import numpy as np

from optmarket.arrays import FloatArray, IntArray, NumberArray
from optmarket.distributions.cdf import Cdf, PiecewiseLinear
from optmarket.modeling.concave import iron
from optmarket.rationals import floats

CELLS = 2048  # about as many nodes have revenue curves
IRONING_LOSS = 1e-13  # of the largest revenue: a curve that lies below its majorant by less does so by rounding
BISECTION_ENDS = 1e-15  # of a middle value: how closely ends of ironed intervals are searched for
NEWTON_STEPS = 8


@dataclass(frozen=True, eq=False)
class RevenueCurve:
    """What each price earns from a buyer whose values fill a continuum.

    Attributes
    ----------
    distribution : Cdf
        Of values, in payoff units.
    """

    distribution: Cdf

    @cached_property
    def nodes(self) -> FloatArray:
        """Values dense enough that between two of them revenue is almost a parabola, knots among them, shape (N,)."""
        return cell_ends(self.distribution, CELLS)

    @property
    def lowest(self) -> float:
        """The lowest value."""
        return float(self.nodes[0])

    def above(self, value: FloatArray) -> FloatArray:
        """Pr(v > value)."""
        if isinstance(self.distribution, PiecewiseLinear):
            return np.asarray(1 - self.distribution.cdf(value))
        return self.distribution.between(value, np.full_like(value, np.inf))

    def density(self, value: FloatArray) -> FloatArray:
        """The density at each value."""
        if isinstance(self.distribution, PiecewiseLinear):
            knots, levels = floats(self.distribution.knots), floats(self.distribution.levels)
            slope = np.diff(levels) / np.diff(knots)
            return slope[np.clip(np.searchsorted(knots, value, side="right") - 1, 0, len(slope) - 1)]
        total = np.zeros_like(value)
        for weight, part, low, high in self.distribution.parts:
            first, last = float(low), float(high)
            inside = (value >= first) & (value <= last)
            total += np.where(inside, weight * part.pdf(value) / (part.cdf(last) - part.cdf(first)), 0.0)
        return total

    def quantiles(self, probability: FloatArray) -> FloatArray:
        """The least value whose distribution function is at least each probability."""
        if isinstance(self.distribution, PiecewiseLinear):
            levels, knots = floats(self.distribution.levels), floats(self.distribution.knots)
            k = np.clip(np.searchsorted(levels, probability), 1, len(levels) - 1)
            share = (probability - levels[k - 1]) / np.where(levels[k] > levels[k - 1], levels[k] - levels[k - 1], 1.0)
            return np.asarray(knots[k - 1] + (knots[k] - knots[k - 1]) * share)
        return floats(self.distribution.quantiles([Fraction(x) for x in np.minimum(probability, 1 - 2.0**-53).tolist()]))

    def mass(self, low: FloatArray, high: FloatArray) -> FloatArray:
        """Pr(low < v <= high), to a float's precision however small."""
        if isinstance(self.distribution, PiecewiseLinear):
            return np.asarray(self.distribution.cdf(high) - self.distribution.cdf(low))
        return self.distribution.between(low, high)

    @cached_property
    def majorant(self) -> tuple[IntArray, FloatArray]:
        """Nodes on the concave majorant of revenue over quantiles, and marginal revenue between them, increasing."""
        mass = self.mass(self.nodes[:-1], self.nodes[1:])
        some = np.flatnonzero(mass > 0)  # of a gap its upper end: the higher price sells as much
        ends = np.append(self.nodes[some], self.nodes[-1])
        # as virtual values of cells, which keep their digits where nearly all buy
        left = np.append(self.above_nodes[some[1:]], 0.0)
        virtual = iron(ends[:-1] - (ends[1:] - ends[:-1]) * left / mass[some], mass[some])
        first = np.flatnonzero(np.append(True, virtual[1:] > virtual[:-1]))
        return np.append(some[first], len(self.nodes) - 1), virtual[first]

    @cached_property
    def above_nodes(self) -> FloatArray:
        """Pr(v > node), shape (N,)."""
        return self.above(self.nodes)

    def surplus(self, cost: NumberArray) -> FloatArray:
        """E[(phi - cost)^+] at each cost, shape (C,): the largest profit of a monopolist of that unit cost."""
        at, marginal = self.majorant
        best = at[np.searchsorted(marginal, cost)]
        found = (self.nodes[best] - cost) * self.above_nodes[best]
        for left in (np.maximum(best - 1, 0), np.minimum(best, len(self.nodes) - 2)):
            low, high = self.nodes[left], self.nodes[left + 1]
            a, c = (low - cost) * self.above_nodes[left], (high - cost) * self.above_nodes[left + 1]
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
        at, marginal = self.majorant
        most = float((self.nodes * self.above_nodes).max())
        found = []
        for k in np.flatnonzero(np.diff(at) > 1):
            inner = self.nodes[at[k] : at[k + 1] + 1]
            below = self.mass(np.full_like(inner, inner[0]), inner)
            # revenue on the hull less that of the price
            lacking = (inner[0] - marginal[k]) * below - (inner - inner[0]) * self.above_nodes[at[k] : at[k + 1] + 1]
            if lacking.max() <= IRONING_LOSS * most:
                continue
            virtual, ends = float(marginal[k]), at[k : k + 2]
            low, high = self._where_raw_reaches(virtual, ends[0]), self._where_raw_reaches(virtual, ends[1])
            for _ in range(NEWTON_STEPS):  # the virtual value changes to second order in the ends
                interval = np.array([low]), np.array([high])
                virtual = low - float((self.above(interval[1]) * (high - low) / self.mass(*interval))[0])
                low, high = self._where_raw_reaches(virtual, ends[0]), self._where_raw_reaches(virtual, ends[1])
            found.append((low, high, virtual))
        return found

    def _where_raw_reaches(self, virtual: float, node: int) -> float:
        """Where next to a node virtual values before ironing rise through a number."""
        low, high = float(self.nodes[max(node - 1, 0)]), float(self.nodes[min(node + 1, len(self.nodes) - 1)])
        close = BISECTION_ENDS * float(self.nodes[len(self.nodes) // 2])
        while high - low > close and low < (middle := (low + high) / 2) < high:
            low, high = (middle, high) if float(self.raw(np.array([middle]))[0]) < virtual else (low, middle)
        return high

    def virtual(self, value: FloatArray) -> FloatArray:
        """Ironed virtual values."""
        found = self.raw(value)
        for low, high, ironed in self.ironed:
            found = np.where((value >= low) & (value <= high), ironed, found)
        return np.asarray(found)


@lru_cache(maxsize=64)
def curve_of(distribution: Cdf) -> RevenueCurve:
    """The revenue curve of a distribution of values; each distribution's is made once."""
    return RevenueCurve(distribution)


def cell_ends(distribution: Cdf, size: int) -> FloatArray:
    """Values that cut a distribution into cells of about equal mass and length, the ends of the support and knots among them.

    Parameters
    ----------
    distribution : Cdf
    size : int
        About how many.
    """
    if isinstance(distribution, PiecewiseLinear):
        low, high = distribution.support
        inside = [float(x) for x in distribution.knots if low <= x <= high]
        found = [np.array(inside), np.linspace(float(low), float(high), size + 1)]
        found.append(floats(distribution.quantiles([Fraction(k, size) for k in range(1, size)])))
        return np.unique(np.concatenate(found))
    first, last = map(float, distribution.end_of_floats)
    probabilities = [Fraction(k, size) for k in range(1, size)]
    tails = [Fraction(1, size * 2**k) for k in range(1, 30)]
    middle = floats(distribution.quantiles([*reversed(tails), *probabilities, *(1 - x for x in tails)]))
    knots = [float(end) for _, _, *ends in distribution.parts for end in ends if np.isfinite(float(end))]
    found = [np.array([first, last, *knots]), middle]
    top = float(middle[-30])
    if isinstance(distribution.support[1], Fraction):
        found.append(np.linspace(first, last, size + 1))
    elif last > top > 0:
        found += [np.linspace(first, top, size + 1), np.geomspace(top, last, size)]
    return np.unique(np.clip(np.concatenate(found), first, last))
