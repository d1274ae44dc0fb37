"""Distribution functions of one number to compute with: exact where they are linear in pieces, else in floats by scipy."""

from __future__ import annotations

import bisect
import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import scipy.special

from optmarket.errors import ModelError
from optmarket.lp.program import FloatArray
from optmarket.rationals import exact, floats

NODES = np.polynomial.legendre.leggauss(24)
CHECK = np.polynomial.legendre.leggauss(48)
SAME_INTEGRAL = 1e-12
ROUNDING = 4e-16  # of a distribution function
NEGLIGIBLE = 1e-15  # of a moment
MOST_PIECES = 1024  # open at once while a moment is integrated; distributions that integrate open some thirty
PIECES_A_CELL = 200  # and of steep ones up to some hundred in each of the cells asked for
TAIL = np.array([1e-18, 1e-14, 1e-10, 1e-7, 1e-5, 1e-3, 1e-2, 0.05, 0.2, 0.35, 0.5])
LONG_TAIL = np.concatenate([[1e-300, 1e-150, 1e-75, 1e-40, 1e-25], TAIL])


@dataclass(frozen=True)
class PiecewiseLinear:
    """A distribution function that is linear between knots, exact.

    Attributes
    ----------
    knots : tuple of Fraction
        Increasing.
    levels : tuple of Fraction
        The function there, from 0 to 1, not decreasing.
    """

    knots: tuple[Fraction, ...]
    levels: tuple[Fraction, ...]

    @property
    def support(self) -> tuple[Fraction, Fraction]:
        """The interval that holds all mass: its ends are taken by no gap."""
        first = bisect.bisect_right(self.levels, Fraction(0)) - 1
        last = bisect.bisect_left(self.levels, Fraction(1))
        return self.knots[first], self.knots[last]

    def mirrored(self) -> PiecewiseLinear:
        """The distribution of 1 - X."""
        return PiecewiseLinear(tuple(1 - x for x in reversed(self.knots)), tuple(1 - level for level in reversed(self.levels)))

    def folded(self) -> PiecewiseLinear:
        """The distribution of min(X, 1 - X), for X within 0 to 1."""
        half = Fraction(1, 2)
        knots = sorted({Fraction(0), half, *(min(max(min(x, 1 - x), Fraction(0)), half) for x in self.knots)})
        above = [Fraction(1), *(self.exact_cdf(1 - x) - self.exact_cdf(x) for x in knots[1:])]
        return PiecewiseLinear(tuple(knots), tuple(1 - level for level in above))

    @cached_property
    def as_floats(self) -> tuple[FloatArray, FloatArray]:
        """Knots and levels, nearest floats."""
        return floats(self.knots), floats(self.levels)

    def exact_cdf(self, x: Fraction) -> Fraction:
        """Pr(X <= x)."""
        if x <= self.knots[0]:
            return Fraction(0)
        if x >= self.knots[-1]:
            return Fraction(1)
        k = bisect.bisect_right(self.knots, x)
        (left, right), (low, high) = self.knots[k - 1 : k + 1], self.levels[k - 1 : k + 1]
        return low + (high - low) * (x - left) / (right - left)

    def cdf(self, x: FloatArray) -> FloatArray:
        """Pr(X <= x), in floats."""
        return np.asarray(np.interp(x, *self.as_floats))

    def quantiles(self, levels: Sequence[Fraction]) -> list[Fraction]:
        """For each level above 0 the least x with Pr(X <= x) at least the level."""
        found = []
        for level in levels:
            k = bisect.bisect_left(self.levels, level)
            (left, right), (low, high) = self.knots[k - 1 : k + 1], self.levels[k - 1 : k + 1]
            found.append(left + (right - left) * (level - low) / (high - low))
        return found

    def cells(self, edges: Sequence[Fraction]) -> list[tuple[Fraction, Fraction]]:
        """Mass and first moment between consecutive edges."""
        below = [self._moment(edge) for edge in edges]
        masses = itertools.pairwise(self.exact_cdf(edge) for edge in edges)
        return [(high - low, b - a) for (low, high), (a, b) in zip(masses, itertools.pairwise(below), strict=True)]

    def _moment(self, x: Fraction) -> Fraction:
        k = bisect.bisect_right(self.knots, x)
        knots, levels = [*self.knots[:k], x], [*self.levels[:k], self.exact_cdf(x)]
        pieces = zip(itertools.pairwise(knots), itertools.pairwise(levels), strict=True)
        return sum(((high - low) * (left + right) / 2 for (left, right), (low, high) in pieces), Fraction(0))


@dataclass(frozen=True)
class Smooth:
    """A mixture of scipy's distributions, each cut to an interval, in floats.

    Attributes
    ----------
    parts : tuple of (weight, frozen distribution, low, high)
        Cut to [low, high], which holds a part's whole support if it is not cut; ends are exact or infinite.
    """

    parts: tuple[tuple[float, Any, Fraction | float, Fraction | float], ...]

    @cached_property
    def support(self) -> tuple[Fraction | float, Fraction | float]:
        """The interval that holds all mass; an end may be infinite."""
        return min(part[2] for part in self.parts), max(part[3] for part in self.parts)

    def cdf(self, x: FloatArray) -> FloatArray:
        """Pr(X <= x)."""
        return self.between(np.full_like(np.asarray(x, dtype=float), -np.inf), x)

    def sf(self, x: FloatArray) -> FloatArray:
        """Pr(X > x), without the loss of digits that 1 - F has in the upper tail."""
        return self.between(x, np.full_like(np.asarray(x, dtype=float), np.inf))

    def mirrored(self) -> Mirrored:
        """The distribution of 1 - X, as far as maxima need it."""
        return Mirrored(self)

    def folded(self) -> Folded:
        """The distribution of min(X, 1 - X), for X within 0 to 1, as far as maxima need it."""
        return Folded(self)

    def between(self, low: FloatArray, high: FloatArray) -> FloatArray:
        """Pr(low < X <= high), without the loss of digits that a difference has in the upper tail."""
        return self._sum(lambda law, first, last: _mass(law, np.clip(low, first, last), np.clip(high, first, last)))

    def quantiles(self, levels: Sequence[Fraction]) -> list[Fraction]:
        """For each level above 0 the least x with Pr(X <= x) at least the level, to a float's precision."""
        wanted = np.array(levels, dtype=float)
        each = [_ppf(law, wanted, float(low), float(high)) for _, law, low, high in self.parts]
        left, right = np.min(each, axis=0), np.max(each, axis=0)
        while np.any((left < (middle := (left + right) / 2)) & (middle < right)):
            enough = self.cdf(middle) >= wanted
            left, right = np.where(enough, left, middle), np.where(enough, middle, right)
        return [exact(float(x)) for x in right]

    def tails(self, levels: FloatArray) -> FloatArray:
        """Quantiles of each part at some levels, from below and from above, in floats: where the mass lies, of any order."""
        each = [
            _ppf(law, levels, float(low), float(high), upper=upper) for _, law, low, high in self.parts for upper in (False, True)
        ]
        return np.concatenate(each)

    def cells(self, edges: Sequence[Fraction]) -> list[tuple[Fraction, Fraction]]:
        """Mass and first moment between consecutive edges."""
        points = np.array(edges, dtype=float)
        mass = self.between(points[:-1], points[1:])
        moment = np.zeros(len(mass))
        # a narrow peak lies between the nodes of a wide cell: so cells are cut where the parts have their mass
        fine = np.unique(np.concatenate([points, np.clip(self.joints, points[0], points[-1])]))
        low, high, largest = fine[:-1], fine[1:], 0.0
        most = max(MOST_PIECES, PIECES_A_CELL * len(points))
        while len(low):
            if len(low) > most:
                raise ModelError(
                    "has a distribution whose mass floats cannot integrate: its distribution function is too steep, or computed "
                    "with too few correct digits; move its parameters nearer to 1, or give it as cdf"
                )
            # by parts, as a density may be infinite where a distribution function is not: integrals of Pr(x < X <= high)
            area, checked = (self._area(low, high, nodes) for nodes in (NODES, CHECK))
            here, wrong = self.between(low, high), np.abs(area - checked)
            largest = max(largest, float(area.sum()))
            right = wrong <= (SAME_INTEGRAL * here + ROUNDING * self._tail(low, high)) * (high - low) + NEGLIGIBLE * largest
            middle = (low + high) / 2
            right |= ~((low < middle) & (middle < high))
            np.add.at(moment, np.searchsorted(points, low[right], side="right") - 1, (low * here + checked)[right])
            low, high = (np.concatenate(sides)[~np.tile(right, 2)] for sides in ((low, middle), (middle, high)))
        moment = np.clip(moment, points[:-1] * mass, points[1:] * mass)
        return [(exact(float(m)), exact(float(s))) for m, s in zip(mass, moment, strict=True)]

    @property
    def end_of_floats(self) -> tuple[Fraction, Fraction]:
        """The support, and where it is infinite the points beyond which floats see no mass and no moment."""
        low, high = self.support
        joints = self.joints
        return (
            low if isinstance(low, Fraction) else exact(float(joints[0])),
            high if isinstance(high, Fraction) else exact(float(joints[-1])),
        )

    @property
    def has_mean(self) -> bool:
        """Whether no tail is too heavy for a mean."""
        parts = ((law, np.isfinite([float(low), float(high)]).all()) for _, law, low, high in self.parts)
        return all(bounded or np.isfinite(law.mean()) for law, bounded in parts)

    @cached_property
    def joints(self) -> FloatArray:
        """Ends of the parts, and the places between which their masses lie, far into the tails."""
        found = []
        for _, law, low, high in self.parts:
            ends = np.array([low, high], dtype=float)
            found.append(ends)
            if law.dist.name != "uniform":
                for upper, end in enumerate(ends):
                    found.append(_ppf(law, TAIL if np.isfinite(end) else LONG_TAIL, *ends, upper=bool(upper)))
        joints = np.unique(np.concatenate(found))
        return np.asarray(joints[np.isfinite(joints)])

    def _tail(self, low: FloatArray, high: FloatArray) -> FloatArray:
        """The masses in the tails that `between` takes differences of: what rounding leaves uncertain is a share of them."""
        with _silence():
            return self._sum(
                lambda law, first, last: np.minimum(law.cdf(np.clip(high, first, last)), _sf(law, np.clip(low, first, last)))
            )

    def _area(self, low: FloatArray, high: FloatArray, nodes: tuple[FloatArray, FloatArray]) -> FloatArray:
        x = low[:, None] + (high - low)[:, None] * (nodes[0] + 1) / 2
        return np.asarray((self.between(x, high[:, None]) * nodes[1]).sum(axis=1) * (high - low) / 2)

    def _sum(self, mass: Callable[[Any, float, float], FloatArray]) -> FloatArray:
        """The parts' masses, each divided by what its cut leaves, weighted."""
        total: Any = 0.0
        for (weight, law, low, high), whole in zip(self.parts, self._whole, strict=True):
            total = total + weight * mass(law, float(low), float(high)) / whole
        return np.asarray(total)

    @cached_property
    def _whole(self) -> tuple[float, ...]:
        """What each part's cut leaves of it."""
        return tuple(float(_mass(law, np.array(float(low)), np.array(float(high)))) for _, law, low, high in self.parts)


def _mass(law: Any, low: FloatArray, high: FloatArray) -> FloatArray:
    """Pr(low < X <= high) of one of scipy's distributions, low <= high, in the tail that holds more digits."""
    with _silence():
        below = np.array(law.cdf(low))
        above = below > 0.5
        mass = law.cdf(high) - below
        if above.any():  # each end by itself: one of them may stand for many intervals
            tail = np.zeros_like(below)
            tail[above] = _sf(law, low[above])
            mass = np.where(above, tail - _sf(law, high), mass)
    return np.asarray(mass)


def _sf(law: Any, x: FloatArray) -> FloatArray:
    """Pr(X > x) of one of scipy's distributions; of a beta distribution by that of 1 - X, which is ten times as fast."""
    if law.dist.name != "beta" or law.args:
        return np.asarray(law.sf(x))
    shape = law.kwds
    rest = 1 - (x - shape.get("loc", 0.0)) / shape.get("scale", 1.0)
    return np.asarray(scipy.special.betainc(shape["b"], shape["a"], np.clip(rest, 0.0, 1.0)))


def _ppf(law: Any, levels: FloatArray, low: float, high: float, *, upper: bool = False) -> FloatArray:
    """Quantiles of one of scipy's distributions cut to [low, high], in the tail that holds more digits; from above if upper."""
    mass = _mass(law, np.array(low), np.array(high))
    with _silence():
        below, above = law.cdf(low), law.sf(high)
        try:
            if upper:
                found = law.isf(above + mass * levels) if above < 0.5 else law.ppf(law.cdf(high) - mass * levels)
            else:
                found = law.ppf(below + mass * levels) if below <= 0.5 else law.isf(law.sf(low) - mass * levels)
        except (ValueError, RuntimeError, ArithmeticError):  # scipy's searches may end without a root
            found = np.full(len(levels), np.nan)
    return np.clip(np.where(np.isnan(found), high if upper else low, found), low, high)


@contextmanager
def _silence() -> Iterator[None]:
    """No warnings of scipy about the far ends of supports."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True)
class Mirrored:
    """The distribution of 1 - X."""

    law: Smooth

    @property
    def support(self) -> tuple[Fraction | float, Fraction | float]:
        """The interval that holds all mass."""
        low, high = self.law.support
        return 1 - high, 1 - low

    def cdf(self, x: FloatArray) -> FloatArray:
        """Pr(1 - X <= x)."""
        return self.law.sf(1 - x)

    def sf(self, x: FloatArray) -> FloatArray:
        """Pr(1 - X > x)."""
        return self.law.cdf(1 - x)


@dataclass(frozen=True)
class Folded:
    """The distribution of min(X, 1 - X), for X within 0 to 1."""

    law: Smooth

    @property
    def support(self) -> tuple[Fraction, Fraction]:
        """An interval that holds all mass."""
        return Fraction(0), Fraction(1, 2)

    def cdf(self, x: FloatArray) -> FloatArray:
        """Pr(min(X, 1 - X) <= x)."""
        return np.asarray(np.where(x < 0.5, self.law.cdf(x) + self.law.sf(1 - x), 1.0))

    def sf(self, x: FloatArray) -> FloatArray:
        """Pr(min(X, 1 - X) > x)."""
        return self.law.between(np.minimum(x, 0.5), np.maximum(1 - x, 0.5))


Law = PiecewiseLinear | Smooth
