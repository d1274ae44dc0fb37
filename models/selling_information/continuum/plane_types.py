"""A plane of types: a belief in the first of two states and a value, each with a distribution of its own."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.distributions.cdf import Cdf, PiecewiseLinear
from optmarket.rationals import exact, floats

if TYPE_CHECKING:
    from scipy.interpolate import CubicHermiteSpline

BELIEF_CELLS = 5 * 2**10  # to begin with
# Even nodes at which the mean excess of values is tabled, and quantiles of the value that are nodes too.
TABLE_NODES, TABLE_QUANTILES = 2**12, 2**9
FAR_TAIL = Fraction(1, 10**10)  # the mass of an unbounded distribution beyond what counts as its end
LEAST_POSITIVE = 1e-300  # keeps a quotient of zeros from failing


@dataclass(frozen=True)
class Plane:
    """Types (theta, v): independent distributions of the belief theta in the first of two states and of the value v.

    Attributes
    ----------
    belief, value : Cdf
        Within 0 to 1, and at least 0.
    """

    belief: Cdf
    value: Cdf

    @cached_property
    def ends(self) -> tuple[Fraction, Fraction]:
        """The least value, and the largest or one that hardly any exceeds."""
        low, high = self.value.support
        low = low if isinstance(low, Fraction) else exact(low)
        return low, high if isinstance(high, Fraction) else self.value.quantiles([1 - FAR_TAIL])[0]

    @cached_property
    def mean(self) -> float:
        """The mean value."""
        return float(self.excess(np.zeros(1))[0])

    @cached_property
    def tail(self) -> float:
        """The mean of values beyond `ends`, the others counting as 0."""
        if isinstance(self.value, PiecewiseLinear):
            return 0.0
        ((_, moment),) = self.value.cells([self.ends[1], max(self.ends[1], self.value.end_of_floats[1])])
        return float(moment)

    def above(self, value: FloatArray) -> FloatArray:
        """Pr(V >= v)."""
        if isinstance(self.value, PiecewiseLinear):
            return 1.0 - self.value.cdf(value)
        return self.value.between(value, np.full_like(value, np.inf))

    def excess(self, value: FloatArray) -> FloatArray:
        """The mean of max(V - v, 0), which is the integral of `above`."""
        nodes, at, _ = self._table
        last = nodes[-1]
        inside = at(np.clip(value, nodes[0], last)) + np.maximum(nodes[0] - value, 0.0)
        return np.asarray(np.where(value >= last, 0.0, inside))

    def approximately_above(self, value: FloatArray) -> FloatArray:
        """About Pr(V >= v), quickly."""
        nodes, _, above = self._table
        return np.asarray(np.interp(value, nodes, above))

    @cached_property
    def _table(self) -> tuple[FloatArray, CubicHermiteSpline, FloatArray]:
        from scipy.interpolate import CubicHermiteSpline

        low, high = self.ends
        if isinstance(self.value, PiecewiseLinear):
            edges = [knot for knot in self.value.knots if low <= knot <= high]
        else:
            even = (low + (high - low) * Fraction(k, TABLE_NODES) for k in range(TABLE_NODES + 1))
            often = self.value.quantiles(
                [Fraction(k, TABLE_QUANTILES) for k in range(1, TABLE_QUANTILES)]
            )  # a narrow peak lies between even nodes
            edges = sorted({*even, *often, max(high, self.value.end_of_floats[1])})
        edges = [edge for edge, (left, right) in zip(edges[1:], pairwise(map(float, edges)), strict=True) if left < right]
        edges = [low, *edges]
        mass, moment = (floats(part) for part in zip(*self.value.cells(edges), strict=True))
        nodes = floats(edges)
        far = [np.append(np.cumsum(part[::-1])[::-1], 0.0) for part in (mass, moment)]
        return nodes, CubicHermiteSpline(nodes, far[1] - nodes * far[0], -far[0]), far[0]

    def below(self, belief: FloatArray) -> FloatArray:
        """Pr(theta <= x)."""
        return self.belief.cdf(belief)

    def cells(self, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Masses and first moments of beliefs between consecutive edges."""
        if isinstance(self.belief, PiecewiseLinear):
            # within a stretch of constant density the mean of a piece is its middle
            fine = np.union1d(edges, floats(self.belief.knots))
            mass, middle = np.diff(self.belief.cdf(fine)), (fine[1:] + fine[:-1]) / 2
            place = np.searchsorted(edges, fine[:-1], side="right") - 1
            inside = (place >= 0) & (place < len(edges) - 1)
            place, mass, middle = place[inside], mass[inside], middle[inside]
            found = np.zeros((2, len(edges) - 1))
            np.add.at(found.T, place, np.column_stack([mass, mass * middle]))
            return found[0], found[1]
        mass, moment = (floats(part) for part in zip(*self.belief.cells([exact(float(x)) for x in edges]), strict=True))
        return mass, moment

    @cached_property
    def grid(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Edges of about `BELIEF_CELLS` cells of beliefs, 1/2 among them, their masses and first moments.

        They are as many where most is at worth, which is a mass of beliefs times what full information is worth to them, as where
        there is much room, however narrow the distribution is; a gap is one cell.
        """
        distribution = self.belief
        low, high = map(float, distribution.support)
        middle = [0.5] if low < 0.5 < high else []
        if isinstance(distribution, PiecewiseLinear):
            knots = np.union1d(distribution.as_floats[0], middle)
            length, (mass, moment) = np.diff(knots), self.cells(knots)
            worth = _worth_in_cells(knots, mass, moment)
            share = np.where(mass > 0, length / length[mass > 0].sum() + worth / max(worth.sum(), LEAST_POSITIVE), 0.0) / 2
            parts = np.maximum(1, np.ceil(BELIEF_CELLS * share)).astype(np.int64)
            inner = [
                np.linspace(left, right, count + 1)
                for left, right, count in zip(knots[:-1].tolist(), knots[1:].tolist(), parts.tolist(), strict=True)
            ]
            edges = np.unique(np.concatenate(inner))
            edges = edges[(edges >= low) & (edges <= high)]
        else:
            often = floats(distribution.quantiles([Fraction(k, BELIEF_CELLS) for k in range(1, BELIEF_CELLS)]))
            joints = distribution.joints[(distribution.joints > low) & (distribution.joints < high)]
            edges = np.unique(np.concatenate([np.linspace(low, high, BELIEF_CELLS + 1), often, joints, middle]))
            worth = np.append(0.0, np.cumsum(_worth_in_cells(edges, *self.cells(edges))))
            place = np.floor(BELIEF_CELLS * (worth / max(worth[-1], LEAST_POSITIVE) + (edges - low) / (high - low)) / 2)
            kept = np.append(True, np.diff(place) > 0) | (edges == 0.5)
            kept[-1] = True
            edges = edges[kept]
        return edges, *self.cells(edges)

    def grid_with(self, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Masses and first moments of cells, those of the grid not computed again."""
        known, mass, moment = self.grid
        left, right = edges[:-1], edges[1:]
        place = np.minimum(np.searchsorted(known, left), len(known) - 2)
        old = (known[place] == left) & (known[place + 1] == right)
        masses, moments = np.where(old, mass[place], 0.0), np.where(old, moment[place], 0.0)
        ends = np.unique(np.concatenate([left[~old], right[~old]]))
        if len(ends):
            new, first = self.cells(ends)
            at = np.searchsorted(ends, left[~old])
            masses[~old], moments[~old] = new[at], first[at]
        return masses, moments


def mean_beliefs(edges: FloatArray, mass: FloatArray, moment: FloatArray) -> FloatArray:
    """Mean beliefs of cells, their left ends where nobody is."""
    return np.clip(np.divide(moment, mass, out=edges[:-1].copy(), where=mass > 0), edges[:-1], edges[1:])


def _worth_in_cells(edges: FloatArray, mass: FloatArray, moment: FloatArray) -> FloatArray:
    """About what full information is worth in all to the beliefs in each cell."""
    theta = mean_beliefs(edges, mass, moment)
    return mass * np.minimum(theta, 1 - theta)
