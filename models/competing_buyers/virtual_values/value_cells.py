"""A continuum of values cut into cells: finitely many virtual values that bound the revenue of all values from either side.

Write u for the share of values below w, measured from the lowest value, and T = w (1 - u) for what a price earns above it. All
that matters of a buyer is ``P(s) = E[(s - phi)^+] = max over w of T + s u``, a support function of the curve (u, T).

Points on the curve (prices that are tried) span a polygon within its hull: virtual values become atoms, each the mean of what it
stands for, and what is earned falls. Above, the curve between two prices lies in the hull of its ends and the control points of
parabolas, one where 1 - F is at most a line: the chord where the density falls, and where it rises the chords of the cells before
and after, continued. Where nothing is known of the density, 1 - F is at most what it is at the lower price. The bounds close with
the square of the cells' length, the last one with the length.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from optmarket.arrays import FloatArray, IntArray
from optmarket.distributions.cdf import Cdf, PiecewiseLinear, Smooth
from optmarket.distributions.density_shapes import stretches
from optmarket.modeling.concave import majorant_of_steps
from optmarket.rationals import floats

FIRST_CELLS = 256  # about as many cells there are before any is cut
MOST_PIECES = 16  # that one cell is cut into at a time
GRADED_FROM = 4.0  # cells whose ends differ by more than this factor are cut evenly by logarithms
VANISHING_SHARE = 1e-280  # of the mass: too small for a quotient
LEAST_NODE = 1e-18  # of a middle value, above the lowest: nearer to it no cells end
# Probabilities at whose quantiles, from either end, the first cells end.
FIRST_PROBABILITIES = np.concatenate(
    [[1e-300, 1e-150, 1e-75, 1e-40, 1e-25], 10.0 ** np.arange(-20, -2), np.arange(1, FIRST_CELLS) / FIRST_CELLS]
)


@dataclass(frozen=True, eq=False)
class Atoms:
    """Virtual values, above the lowest value, replaced by finitely many.

    Attributes
    ----------
    value, weight : array, shape (K,)
        Increasing; weights sum to about 1.
    start : array of int, shape (K,)
        The first of the steps of the curve from which each atom was made.
    below, above : float
        P is at most ``E[(s - value)^+] + below``, and ``E[(phi - s)^+]`` at most that of the values and ``above``.
    """

    value: FloatArray
    weight: FloatArray
    start: IntArray
    below: float = 0.0
    above: float = 0.0

    @cached_property
    def partial_sums(self) -> tuple[FloatArray, FloatArray]:
        """Weight, and weight times value, of the atoms before each one and of all, shape (K + 1,)."""
        zero = np.zeros(1)
        return (
            np.concatenate([zero, np.cumsum(self.weight)]),
            np.concatenate([zero, np.cumsum(self.weight * self.value)]),
        )

    def expected_shortfall(self, cost: FloatArray) -> FloatArray:
        """P(s) = E[(s - phi)^+] at each cost s above the lowest value."""
        mass, moment = self.partial_sums
        k = np.searchsorted(self.value, cost)
        return np.asarray(np.maximum(cost * mass[k] - moment[k], 0.0) + self.below)

    def mass_below(self, cost: FloatArray) -> FloatArray:
        """The weight of the values below each cost."""
        return self.partial_sums[0][np.searchsorted(self.value, cost)]


def atoms_of_curve(share: FloatArray, earned: FloatArray, above: float = 0.0) -> Atoms:
    """The atoms of the concave majorant of some steps.

    Parameters
    ----------
    share, earned : array, shape (K,)
        Of each step: by how much u rises, at least 0, and by how much T does.
    above : float
        T where u is 1.
    """
    # shares too small for a quotient count as none, and then no fall of T is theirs
    share = np.where(share > VANISHING_SHARE, share, 0.0)
    some = (share > 0) | (earned > 0)
    place, share, earned = np.flatnonzero(some), share[some], earned[some]
    slope = np.where(share > 0, earned / np.where(share > 0, share, 1.0), np.inf)
    if (slope[1:] > slope[:-1]).any() or share[:1].sum() == 0:
        share, earned, first = majorant_of_steps(share, earned)
        place = place[first]
    below = 0.0
    if len(share) and share[0] == 0:
        below, share, earned, place = float(earned[0]), share[1:], earned[1:], place[1:]
    return Atoms(np.maximum.accumulate(-earned / share), share, place, below, above)


@dataclass(frozen=True, eq=False)
class ValueCells:
    """A distribution of values cut into cells, and what is known of it there.

    Attributes
    ----------
    distribution : Cdf
    nodes : array, shape (N + 1,)
        Increasing, the lowest value first; all knots, ends of parts and turning points of densities among them.
    """

    distribution: Cdf
    nodes: FloatArray

    @classmethod
    def coarse(cls, distribution: Cdf) -> ValueCells:
        """The first cells: of about equal mass, finer in the tails."""
        return cls(distribution, _coarse_nodes(distribution))

    @cached_property
    def _parts(self) -> list[tuple[FloatArray, IntArray | None]]:
        """Of each part of the distribution the mass of the cells, and the stretch of its density that each cell lies in.

        Stretches are numbered, even where the density does not rise, odd where it does; None where nothing is known.
        """
        middle = (self.nodes[1:] + self.nodes[:-1]) / 2
        if isinstance(self.distribution, PiecewiseLinear):
            knots, levels = self.distribution.knots, self.distribution.levels
            stairs = zip(itertools.pairwise(knots), itertools.pairwise(levels), strict=True)
            density = floats([(up - down) / (right - left) for (left, right), (down, up) in stairs])
            at = np.clip(np.searchsorted(floats(knots), middle) - 1, 0, len(density) - 1)
            return [(density[at] * np.diff(self.nodes), np.zeros(len(at), dtype=np.int64))]
        found = []
        for weight, part, low, high in self.distribution.parts:
            mass = Smooth(((1.0, part, low, high),)).between(self.nodes[:-1], self.nodes[1:])
            known = stretches(part, float(low), float(high))
            which = None
            if known is not None:
                ends = np.array([end for end, _ in known])
                rising = np.array([*(rises for _, rises in known), False])
                k = np.searchsorted(ends, middle)
                which = 2 * k + rising[k]
            found.append((weight * mass, which))
        return found

    @cached_property
    def _mass(self) -> FloatArray:
        return np.asarray(sum(mass for mass, _ in self._parts))

    @cached_property
    def _above(self) -> FloatArray:
        """1 - F at the nodes."""
        if isinstance(self.distribution, PiecewiseLinear):
            knots, levels = floats(self.distribution.knots), floats([1 - level for level in self.distribution.levels])
            return np.asarray(np.interp(self.nodes, knots, levels))
        return self.distribution.between(self.nodes, np.full_like(self.nodes, np.inf))

    @cached_property
    def lower(self) -> Atoms:
        """Atoms by which what is earned is at most the truth: of the prices at the nodes."""
        w, length, mass = self.nodes - self.nodes[0], np.diff(self.nodes), self._mass
        beyond = self._above[-1]
        share = np.append(mass, beyond)
        earned = np.append(length * self._above[1:] - w[:-1] * mass, -w[-1] * beyond)
        return atoms_of_curve(share, earned)

    @cached_property
    def upper(self) -> Atoms:
        """Atoms by which what is earned is at least the truth."""
        w, length, mass, left = self.nodes - self.nodes[0], np.diff(self.nodes), self._mass, self._above[:-1]
        first = np.zeros_like(mass)  # of a cell's mass, by how much the line falls in its first half
        half, whole = np.zeros(len(mass), dtype=bool), np.zeros(len(mass), dtype=bool)
        for part, which in self._parts:
            if which is None:
                whole |= part > 0
                continue
            rises = which % 2 == 1
            same = which[1:] == which[:-1]
            before, after = np.zeros_like(part), np.full_like(part, -np.inf)
            with np.errstate(invalid="ignore"):
                before[1:] = np.where(same, part[:-1] * length[1:] / (2 * length[:-1]), 0.0)
                after[:-1] = np.where(same, part[:-1] - part[1:] * length[:-1] / (2 * length[1:]), -np.inf)
            last = after == -np.inf
            half |= rises & last & (part > 0)
            whole |= rises & ~last & (after < 0)
            drop = np.minimum(np.minimum(before, part / 2), np.where(last, np.inf, np.maximum(after, 0.0)))
            first += np.where(rises, drop, part / 2)
        first = np.clip(first, 0.0, mass)
        second, middle = mass - first, w[:-1] + length / 2
        at = left - first  # where the halves meet
        step = length / 2
        none = np.zeros_like(mass)
        steps = np.array(
            [
                (first / 2, (step * left - w[:-1] * first) / 2),
                (first / 2, (step * at - middle * first) / 2),
                (second / 2, (step * at - middle * second) / 2),
                (second / 2, (step * (at - second) - w[1:] * second) / 2),
            ]
        )
        corner = np.array([(none, step * at), (second, -w[1:] * second)])
        steps[2:] = np.where(half, corner, steps[2:])
        corner = np.array([(none, length * left), (mass, -w[1:] * mass), (none, none), (none, none)])
        steps = np.where(whole, corner, steps)
        share, earned = (steps[:, k].T.ravel() for k in (0, 1))
        beyond = float(self._above[-1])
        # of values without end: from the last node on the curve falls
        tail = float(w[-1]) * beyond
        return atoms_of_curve(np.append(share, [0.0, beyond]), np.append(earned, [0.0, 0.0]), tail)

    @property
    def shapes_known(self) -> bool:
        """Whether it is known where all densities rise and fall."""
        return all(which is not None for _, which in self._parts)

    def cut(self, error: FloatArray, growth: float) -> ValueCells:
        """Finer cells, by the cube root of each one's share of the gap."""
        target = np.cbrt(np.maximum(error, 0.0))
        total = target.sum()
        if not total:
            return self
        pieces = np.clip(np.rint(growth * len(error) * target / total), 1, MOST_PIECES).astype(np.int64)
        w = self.nodes - self.nodes[0]
        found = [self.nodes]
        for many in np.unique(pieces[pieces > 1]):
            cells = np.flatnonzero(pieces == many)
            share = np.arange(1, many) / many
            low, high = w[cells], w[cells + 1]
            graded = high > GRADED_FROM * low
            start = np.where(low > 0, low, high * GRADED_FROM**-many)
            even = low[:, None] + (high - low)[:, None] * share
            ratio = start[:, None] * (high / np.where(start > 0, start, 1.0))[:, None] ** share
            found.append((self.nodes[0] + np.where(graded[:, None], ratio, even)).ravel())
        return ValueCells(self.distribution, np.unique(np.concatenate(found)))


def _coarse_nodes(distribution: Cdf) -> FloatArray:
    low, high = (float(end) for end in distribution.support)
    if isinstance(distribution, PiecewiseLinear):
        inside = [float(x) for x in distribution.knots if distribution.support[0] <= x <= distribution.support[1]]
        return np.unique(np.concatenate([inside, np.linspace(low, high, FIRST_CELLS + 1)]))
    found = [np.array([low])]
    for _, part, start, stop in distribution.parts:
        one = Smooth(((1.0, part, start, stop),))
        first, last = float(start), float(stop)
        found.append(one.tails(FIRST_PROBABILITIES))
        known = stretches(part, first, last)
        turns = np.array([first, last, *(end for end, _ in known or [])])
        found.append(turns[np.isfinite(turns)])
        points = np.unique(np.concatenate(found[-2:]))
        found.append(np.linspace(points[0], points[-1] if np.isfinite(last) else np.quantile(points, 0.9), FIRST_CELLS // 2))
    nodes = np.unique(np.concatenate(found))
    nodes = nodes[(nodes >= low) & (nodes <= high)]
    w = nodes - low
    w = w[w > LEAST_NODE * w[len(w) // 2]]
    wide = [(a, b) for a, b in itertools.pairwise(w.tolist()) if b > 2 * a]
    graded = [low + np.geomspace(a, b, math.ceil(math.log2(b / a)) + 1) for a, b in wide]
    return np.unique(np.concatenate([nodes[:1], low + w, *graded]))
