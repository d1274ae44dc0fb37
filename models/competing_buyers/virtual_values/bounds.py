"""Bounds on the optimal revenue of competing buyers with a common prior and a continuum of values, by sums alone.

Write u for the share of values below w, measured from the lowest value, and T = w (1 - u) for what a price earns above it. All
that matters of a buyer is ``P(s) = E[(s - phi)^+] = max over w of T + s u``, a support function of the curve (u, T). With S the
rivals' virtual values, times share, revenue is

    (1 - th) (sum of lowest values) + sum over buyers of G,
    G = (1 - th) E[P(S)] (ex post),    G = min over p of E[(P(S) - p)^+] + (1 - th) p (Bayesian),

in which no term is negative, so that nothing cancels however far values are from zero or however rare some of them are: G is what
is earned by telling a buyer wrong. It rises if virtual values are spread, with or without their mean kept, and any p bounds it.

Points on the curve (prices that are tried) span a polygon within its hull: virtual values become atoms, each the mean of what it
stands for, and G falls. Above, the curve between two prices lies in the hull of its ends and the control points of parabolas, one
where 1 - F is at most a line: the chord where the density falls, and where it rises the chords of the cells before and after,
continued. Where nothing is known of the density, 1 - F is at most what it is at the lower price. The bounds close with the square
of the cells' length, the last one with the length. Cells are cut where they differ.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from optmarket.distributions.cdf import Law, PiecewiseLinear, Smooth
from optmarket.distributions.density_shapes import stretches
from optmarket.lp.program import FloatArray, IntArray
from optmarket.models.competing_buyers.virtual_values.ironing import Virtual
from optmarket.models.competing_buyers.virtual_values.sums import on_lattice
from optmarket.rationals import floats

ROUNDING = 1e-12  # of what is earned above the lowest values: distribution functions of scipy, and sums in floats
NEAREST = 4e-16  # of the lowest values
CLOSED = 3e-10  # relative gap at which cells are fine enough
COARSE, FINEST = 256, 40_000  # cells
GROWTH = 2  # of the number of cells
SPARE = 0.6  # of a loss that is allowed: what is aimed at
STEPS = 4  # of the upper curve in a cell
PIECES = 16  # of one cell at a time
GRADED = 4.0  # cells whose ends differ by more than this factor are cut evenly by logarithms
POINTS, FEWEST = 1 << 18, 1 << 14  # of a lattice
USUAL = 0.99  # share of values
VANISHING, HUGE = 1e-280, 1e100
SMALLEST = 1e-18  # of the usual values, above the lowest: where cells end
EACH = 64  # of its points for each cell
SLOW = 0.7  # of the gap that is left by finer cells: then they help no more
TRANSFORM = 2.0**-50  # of sums by Fourier transforms, relative to the length of a vector and the logarithm of their points
LEVELS = np.concatenate([[1e-300, 1e-150, 1e-75, 1e-40, 1e-25], 10.0 ** np.arange(-20, -2), np.arange(1, COARSE) / COARSE])

Side = Literal["lower", "upper"]


# Virtual values as atoms -------------------------------------------------------------------------------------------------


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
    def _sums(self) -> tuple[FloatArray, FloatArray]:
        none = np.zeros(1)
        return (
            np.concatenate([none, np.cumsum(self.weight)]),
            np.concatenate([none, np.cumsum(self.weight * self.value)]),
        )

    def spared(self, cost: FloatArray) -> FloatArray:
        """P at each cost above the lowest value."""
        mass, moment = self._sums
        k = np.searchsorted(self.value, cost)
        return np.asarray(np.maximum(cost * mass[k] - moment[k], 0.0) + self.below)

    def mass_below(self, cost: FloatArray) -> FloatArray:
        """The weight of the values below each cost."""
        return self._sums[0][np.searchsorted(self.value, cost)]


def hull(share: FloatArray, earned: FloatArray, above: float = 0.0) -> Atoms:
    """The atoms of a concave curve, the least above some steps.

    Parameters
    ----------
    share, earned : array, shape (K,)
        Of each step: by how much u rises, at least 0, and by how much T does.
    above : float
        T where u is 1.
    """
    # shares too small for a quotient count as none, and then no fall of T is theirs
    share = np.where(share > VANISHING, share, 0.0)
    some = (share > 0) | (earned > 0)
    place, share, earned = np.flatnonzero(some), share[some], earned[some]
    slope = np.where(share > 0, earned / np.where(share > 0, share, 1.0), np.inf)
    if (slope[1:] > slope[:-1]).any() or share[:1].sum() == 0:
        # By products, which stay in proportion over any orders of magnitude: averages of slopes, as libraries for isotonic
        # regression form them, lose a rare part far above the others.
        pools: list[tuple[float, float, int]] = []
        for width, rise, first in zip(share.tolist(), earned.tolist(), place.tolist(), strict=True):
            # steps become one until slopes fall; a step without width, that rises, is steeper than all
            while pools and pools[-1][1] * width <= rise * pools[-1][0]:
                before, more, first = pools.pop()
                width, rise = width + before, rise + more
            pools.append((width, rise, first))
        share, earned = (np.array([pool[k] for pool in pools]) for k in (0, 1))
        place = np.array([pool[2] for pool in pools], dtype=np.int64)
    below = 0.0
    if len(share) and share[0] == 0:
        below, share, earned, place = float(earned[0]), share[1:], earned[1:], place[1:]
    return Atoms(np.maximum.accumulate(-earned / share), share, place, below, above)


@dataclass(frozen=True, eq=False)
class Cells:
    """A distribution of values cut into cells, and what is known of it there.

    Attributes
    ----------
    law : Law
    nodes : array, shape (N + 1,)
        Increasing, the lowest value first; all knots, ends of parts and turning points of densities among them.
    """

    law: Law
    nodes: FloatArray

    @classmethod
    def coarse(cls, law: Law) -> Cells:
        """The first cells: of about equal mass, finer in the tails."""
        return cls(law, _coarse(law))

    @cached_property
    def _parts(self) -> list[tuple[FloatArray, IntArray | None]]:
        """Of each part of the distribution the mass of the cells, and the stretch of its density that each cell lies in.

        Stretches are numbered, even where the density does not rise, odd where it does; None where nothing is known.
        """
        middle = (self.nodes[1:] + self.nodes[:-1]) / 2
        if isinstance(self.law, PiecewiseLinear):
            knots, levels = self.law.knots, self.law.levels
            stairs = zip(itertools.pairwise(knots), itertools.pairwise(levels), strict=True)
            density = floats([(up - down) / (right - left) for (left, right), (down, up) in stairs])
            at = np.clip(np.searchsorted(floats(knots), middle) - 1, 0, len(density) - 1)
            return [(density[at] * np.diff(self.nodes), np.zeros(len(at), dtype=np.int64))]
        found = []
        for weight, law, low, high in self.law.parts:
            mass = Smooth(((1.0, law, low, high),)).between(self.nodes[:-1], self.nodes[1:])
            known = stretches(law, float(low), float(high))
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
        if isinstance(self.law, PiecewiseLinear):
            knots, levels = floats(self.law.knots), floats([1 - level for level in self.law.levels])
            return np.asarray(np.interp(self.nodes, knots, levels))
        return self.law.between(self.nodes, np.full_like(self.nodes, np.inf))

    @cached_property
    def lower(self) -> Atoms:
        """Atoms by which G is at most what it is: of the prices at the nodes."""
        w, length, mass = self.nodes - self.nodes[0], np.diff(self.nodes), self._mass
        beyond = self._above[-1]
        share = np.append(mass, beyond)
        earned = np.append(length * self._above[1:] - w[:-1] * mass, -w[-1] * beyond)
        return hull(share, earned)

    @cached_property
    def upper(self) -> Atoms:
        """Atoms by which G is at least what it is."""
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
        return hull(np.append(share, [0.0, beyond]), np.append(earned, [0.0, 0.0]), tail)

    @property
    def known(self) -> bool:
        """Whether it is known where all densities rise and fall."""
        return all(which is not None for _, which in self._parts)

    def cut(self, error: FloatArray, growth: float) -> Cells:
        """Finer cells, by the cube root of each one's share of the gap."""
        wanted = np.cbrt(np.maximum(error, 0.0))
        total = wanted.sum()
        if not total:
            return self
        pieces = np.clip(np.rint(growth * len(error) * wanted / total), 1, PIECES).astype(np.int64)
        w = self.nodes - self.nodes[0]
        found = [self.nodes]
        for many in np.unique(pieces[pieces > 1]):
            cells = np.flatnonzero(pieces == many)
            share = np.arange(1, many) / many
            low, high = w[cells], w[cells + 1]
            graded = high > GRADED * low
            start = np.where(low > 0, low, high * GRADED**-many)
            even = low[:, None] + (high - low)[:, None] * share
            ratio = start[:, None] * (high / np.where(start > 0, start, 1.0))[:, None] ** share
            found.append((self.nodes[0] + np.where(graded[:, None], ratio, even)).ravel())
        return Cells(self.law, np.unique(np.concatenate(found)))


def _coarse(law: Law) -> FloatArray:
    low, high = (float(end) for end in law.support)
    if isinstance(law, PiecewiseLinear):
        inside = [float(x) for x in law.knots if law.support[0] <= x <= law.support[1]]
        return np.unique(np.concatenate([inside, np.linspace(low, high, COARSE + 1)]))
    found = [np.array([low])]
    for _, part, start, stop in law.parts:
        one = Smooth(((1.0, part, start, stop),))
        first, last = float(start), float(stop)
        found.append(one.tails(LEVELS))
        known = stretches(part, first, last)
        turns = np.array([first, last, *(end for end, _ in known or [])])
        found.append(turns[np.isfinite(turns)])
        points = np.unique(np.concatenate(found[-2:]))
        found.append(np.linspace(points[0], points[-1] if np.isfinite(last) else np.quantile(points, 0.9), COARSE // 2))
    nodes = np.unique(np.concatenate(found))
    nodes = nodes[(nodes >= low) & (nodes <= high)]
    w = nodes - low
    w = w[w > SMALLEST * w[len(w) // 2]]
    wide = [(a, b) for a, b in itertools.pairwise(w.tolist()) if b > 2 * a]
    graded = [low + np.geomspace(a, b, math.ceil(math.log2(b / a)) + 1) for a, b in wide]
    return np.unique(np.concatenate([nodes[:1], low + w, *graded]))


# What is earned ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bracket:
    """Bounds on the optimal revenue, in payoff units, and by how much cells and rounding hold them apart.

    ``known`` is whether the shapes of all densities are: else bounds close slowly. ``cuts`` are the cells that were tried, coarse
    to fine: what a mechanism for them earns at least, and for each kind of buyer they and where their bounds differ, None of
    finitely many values.
    """

    lower: float
    upper: float
    known: bool = True
    cuts: tuple[tuple[float, tuple[tuple[Cells, FloatArray] | None, ...]], ...] = ()


def cells_losing(found: Bracket, loss: float) -> list[list[FloatArray]]:
    """Ends of cells for a mechanism that ought to earn the optimum but for a loss, for each kind of buyer; then finer ones.

    Parameters
    ----------
    found : Bracket
    loss : float
        In payoff units.
    """
    made = []
    for k, (value, cuts) in enumerate(found.cuts):
        lacking = found.upper - value
        last = k + 1 == len(found.cuts)
        if lacking <= loss or last or found.upper - found.cuts[k + 1][0] > loss:
            growth = 1.0
        else:  # coarse by a little: fewer cells will do than the next ones
            growth = math.sqrt(lacking / (SPARE * loss))
        if lacking <= loss or growth > 1 or last:
            made.append(
                [np.zeros(0) if cut is None else (cut[0].cut(cut[1], growth) if growth > 1 else cut[0]).nodes for cut in cuts]
            )
    return made


@dataclass
class _Buyer:
    """One kind of buyer: its lowest value, and its virtual values from below and from above."""

    base: float
    atoms: dict[Side, Atoms]
    cells: Cells | None = None
    error: FloatArray = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of(cls, given: Law | Virtual) -> _Buyer:
        if isinstance(given, Virtual):
            value, weight = given.pooled
            base = float(given.lowest)
            atoms = Atoms(value - base, weight, np.arange(len(value)))
            return cls(base, {"lower": atoms, "upper": atoms})
        cells = Cells.coarse(given)
        return cls(float(cells.nodes[0]), {"lower": cells.lower, "upper": cells.upper}, cells, np.zeros(len(cells.nodes) - 1))

    def finer(self) -> None:
        """Cut cells where the bounds differ."""
        if self.cells is None:
            return
        self.cells = self.cells.cut(self.error, GROWTH)
        self.atoms = {"lower": self.cells.lower, "upper": self.cells.upper}
        self.error = np.zeros(len(self.cells.nodes) - 1)

    @property
    def size(self) -> int:
        return len(self.error)

    def spread(self, cost: FloatArray, mass: FloatArray) -> None:
        """Note where the bounds on P differ, at costs above the lowest value that matter so much."""
        if self.cells is None:
            return
        lower, upper = self.atoms["lower"], self.atoms["upper"]
        apart = mass * (upper.spared(cost) - lower.spared(cost))
        last = self.size - 1
        for atoms, steps in ((lower, 1), (upper, STEPS)):
            at = np.searchsorted(atoms.value, cost)
            first = np.append(atoms.start, STEPS * self.size)
            for step in (np.maximum(first[at] - 1, 0), first[at]):
                np.add.at(self.error, np.minimum(step // steps, last), apart)


def bracket(
    kinds: Sequence[Law | Virtual],
    counts: Sequence[int],
    level: float,
    alpha: float,
    *,
    ex_post: bool,
    closed: float = CLOSED,
    until: float | None = None,
) -> Bracket:
    """Bounds on the optimal revenue that hold for any distributions of values, rounding included.

    Parameters
    ----------
    kinds : sequence of Law or Virtual
        Distributions of values, or finitely many of them.
    counts : sequence of int
        How many buyers there are of each.
    level, alpha : float
        The largest entry of the prior, and the externality.
    ex_post : bool
    closed : float
        The relative gap at which to stop.
    until : float, optional
        The time, by `time.perf_counter`, after which nothing more is begun.
    """
    if level == 1:  # all are always told right, who know the state as it is: nothing is sold
        return Bracket(0.0, 0.0)
    buyers = [_Buyer.of(kind) for kind in kinds]
    known = all(buyer.cells is None or buyer.cells.known for buyer in buyers)
    base = sum(count * buyer.base for buyer, count in zip(buyers, counts, strict=True))
    lower, upper = -np.inf, np.inf
    cuts: list[tuple[float, tuple[tuple[Cells, FloatArray] | None, ...]]] = []
    while True:
        before, size = upper - lower, max(buyer.size for buyer in buyers)
        points = min(max(FEWEST, 1 << (EACH * size).bit_length()), POINTS)
        earned = {side: _earned(buyers, counts, level, alpha, side, points, ex_post=ex_post) for side in ("lower", "upper")}
        stake = sum(
            count * float(buyer.atoms["upper"].spared(np.zeros(1))[0]) for buyer, count in zip(buyers, counts, strict=True)
        )
        slip = ROUNDING * (1 + alpha) * stake + NEAREST * len(counts) * (1 + alpha) * base * (1 - level)
        here = (1 - level) * base + earned["lower"] - slip
        cuts.append((here, tuple(None if buyer.cells is None else (buyer.cells, buyer.error) for buyer in buyers)))
        lower = max(lower, here)
        upper = min(upper, (1 - level) * base + earned["upper"] + slip)
        done = upper - lower <= closed * upper + 4 * slip or size > FINEST
        slow = points == POINTS and upper - lower > SLOW * before and sum(counts) > 2
        if done or slow or (until is not None and time.perf_counter() > until):
            return Bracket(float(lower), float(upper), known, tuple(cuts))
        sizes = [buyer.size for buyer in buyers]
        for buyer in buyers:
            buyer.finer()
        if sizes == [buyer.size for buyer in buyers]:  # floats end
            return Bracket(float(lower), float(upper), known, tuple(cuts))


def _earned(
    buyers: Sequence[_Buyer], counts: Sequence[int], level: float, alpha: float, side: Side, points: int, *, ex_post: bool
) -> float:
    """What is earned by telling buyers wrong, from one side."""
    n = sum(counts)
    share = alpha / (n - 1)
    total = 0.0
    for g, (buyer, count) in enumerate(zip(buyers, counts, strict=True)):
        others = [h for h, many in enumerate(counts) for _ in range(many - (h == g))]
        shift = share * sum(buyers[h].base for h in others) - buyer.base
        value, weight, slack, noise = _rivals(buyer, [buyers[h] for h in others], share, side, points)
        cost = value + shift
        spared = buyer.atoms[side].spared(cost)
        threshold, price, part = -np.inf, 0.0, 1 - level if ex_post else 1.0
        if not ex_post:
            above = np.cumsum(weight[::-1])[::-1]
            k = int(np.searchsorted(-above, level - 1))  # the first that, with all after it, weighs at most 1 - level
            if k:
                threshold, price = float(cost[k - 1]), float(spared[k - 1])
        rest = np.maximum(spared - price, 0.0)
        gained = part * float(rest @ weight) + (1 - level) * price
        slack = part * (slack + (noise * float(np.linalg.norm(rest)) if noise else 0.0))
        total += count * (gained + slack if side == "upper" else gained - slack)
        matter = cost >= threshold
        buyer.spread(cost[matter], count * part * weight[matter])
        if len(others) == 1 and share:
            # the rival's errors weigh where the buyer's own virtual values, and the threshold, are
            rival, own = buyers[others[0]], buyer.atoms[side]
            matter = own.value > threshold
            at, mass = own.value[matter], part * own.weight[matter]
            if np.isfinite(threshold):
                at, mass = np.append(at, threshold), np.append(mass, own.mass_below(np.array([threshold])))
            rival.spread((at + buyer.base) / share - rival.base, count * share * mass)
        else:  # where they are is not known so well: about where its own are
            for h in set(others):
                every = buyers[h].atoms["lower"]
                buyers[h].spread(every.value, count * share * every.weight)
    return total


def _rivals(
    buyer: _Buyer, others: Sequence[_Buyer], share: float, side: Side, points: int
) -> tuple[FloatArray, FloatArray, float, float]:
    """The sum of a buyer's rivals' virtual values above their lowest ones, times share.

    Returns
    -------
    value, weight : array
    missed : float
        What a function of the sum, of slopes between 0 and 1, may miss in the mean.
    noise : float
        The Euclidean norm of the error of the weights.
    """
    atoms = [other.atoms[side] for other in others]
    if share == 0:
        return np.zeros(1), np.ones(1), 0.0, 0.0
    known = share * sum(float(each.value[0]) for each in atoms if len(each.value) == 1)
    atoms = [each for each in atoms if len(each.value) > 1]
    if not atoms:
        return np.array([known]), np.ones(1), 0.0, 0.0
    if len(atoms) == 1:
        return known + share * atoms[0].value, atoms[0].weight, share * atoms[0].above if side == "upper" else 0.0, 0.0
    shift = known + share * sum(other.base for other in others) - buyer.base

    high = share * sum(_usual(each) for each in atoms)

    def worth(one: Atoms, value: FloatArray) -> FloatArray:
        # the other rivals as high as is usual, or all as high as this one
        return buyer.atoms[side].spared(np.maximum(high + share * (value - _usual(one)), share * len(atoms) * value) + shift)

    value, weight, missed, noise = _on_lattice(atoms, share, side, points, worth)
    return known + value, weight, missed, noise


def _on_lattice(
    atoms: Sequence[Atoms], share: float, side: Side, points: int, worth: Callable[[Atoms, FloatArray], FloatArray]
) -> tuple[FloatArray, FloatArray, float, float]:
    """`_rivals` for two and more, on a lattice between whose points each term is split with its mean kept.

    That spreads sums: above it may stay; from below what it may add is taken off. What lies below the lattice counts, above, as
    its lowest point, and from below as nothing earned; what lies beyond its end counts as that, and above what that may miss is
    added.
    """
    different = {id(each): each for each in atoms}
    ends = {key: _range(each, share, points / len(atoms), worth) for key, each in different.items()}
    step = share * sum(ends[id(each)][1] - ends[id(each)][0] for each in atoms) / (points - 4 * len(atoms))
    masses, missed = {}, 0.0
    for key, each in different.items():
        low, high = ends[key]
        weight = np.where(each.value < low, 0.0, each.weight) if side == "lower" else each.weight
        place = share * (np.clip(each.value, low, high) - low) / step if step else np.zeros(len(weight))
        at = place.astype(np.int64)
        part = place - at
        split = np.concatenate([weight * (1 - part), weight * part])
        masses[key] = np.asarray(np.bincount(np.concatenate([at, at + 1]), split), dtype=np.float64)
        if side == "upper":
            beyond = share * (float(np.maximum(each.value - high, 0.0) @ each.weight) + each.above)
            missed += beyond * sum(other is each for other in atoms)
    start = share * sum(ends[id(each)][0] for each in atoms)
    sums = on_lattice([masses[id(each)] for each in atoms], start, step, len(atoms) / 4 if side == "lower" else 0.0)
    # the error of transforms, as a vector's length
    noise = TRANSFORM * np.log2(points) * sum(float(np.linalg.norm(masses[id(each)])) for each in atoms)
    return sums.value, sums.weight, sums.excess + missed, float(noise)


def _usual(atoms: Atoms) -> float:
    """A virtual value that few exceed."""
    return float(atoms.value[min(int(np.searchsorted(atoms._sums[0][1:], USUAL)), len(atoms.value) - 1)])


def _range(atoms: Atoms, share: float, size: float, worth: Callable[[Atoms, FloatArray], FloatArray]) -> tuple[float, float]:
    """Between which virtual values a lattice of so many points is best spread: its step costs about its square.

    Parameters
    ----------
    worth : callable
        About what sums are worth if one of the terms is this virtual value.
    """
    mass, weight = atoms._sums[0][1:], atoms.weight
    value, profit = np.clip(atoms.value, -HUGE, HUGE), float(atoms.spared(np.zeros(1))[0])
    beyond = (np.append(np.cumsum(each[::-1])[::-1][1:], 0.0) for each in (weight * value, weight))
    tail = next(beyond) - value * next(beyond)
    rare = (mass - atoms.weight) * worth(atoms, value)
    first = int(np.searchsorted(mass, 1e-3))
    last = first + int(np.argmin(share * tail[first:] + (share * (value[first:] - value[first]) / size) ** 2 / profit))
    first = int(np.argmin(rare[: last + 1] + (share * (value[last] - value[: last + 1]) / size) ** 2 / profit))
    return float(value[first]), float(value[last])
