"""Compute with cumulative distribution functions: exactly if they are piecewise linear, otherwise in floats by scipy."""

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

from optmarket.arrays import FloatArray
from optmarket.errors import ModelError
from optmarket.rationals import exact, floats

NODES = np.polynomial.legendre.leggauss(24)
CHECK = np.polynomial.legendre.leggauss(48)
SAME_INTEGRAL = 1e-12  # relative difference at which the two quadrature rules agree
ROUNDING = 4e-16  # rounding error of a distribution function
NEGLIGIBLE = 1e-15  # relative to a moment
MOST_PIECES = 1024  # intervals open at once while a moment is integrated; integrable distributions need about thirty
PIECES_A_CELL = 200  # the same for each requested cell; steep distributions need about a hundred
TAIL = np.array([1e-18, 1e-14, 1e-10, 1e-7, 1e-5, 1e-3, 1e-2, 0.05, 0.2, 0.35, 0.5])
LONG_TAIL = np.concatenate([[1e-300, 1e-150, 1e-75, 1e-40, 1e-25], TAIL])


@dataclass(frozen=True)
class PiecewiseLinear:
    """A distribution whose cdf is piecewise linear, in exact rational arithmetic.

    Attributes
    ----------
    knots : tuple of Fraction
        The points between which the cdf is linear, increasing.
    levels : tuple of Fraction
        The values of the cdf at the knots, nondecreasing from 0 to 1.

    Examples
    --------
    >>> uniform = PiecewiseLinear((Fraction(0), Fraction(1)), (Fraction(0), Fraction(1)))
    >>> uniform.exact_cdf(Fraction(1, 3)), uniform.cells([Fraction(0), Fraction(1, 2)])
    (Fraction(1, 3), [(Fraction(1, 2), Fraction(1, 8))])
    """

    knots: tuple[Fraction, ...]
    levels: tuple[Fraction, ...]

    @property
    def support(self) -> tuple[Fraction, Fraction]:
        """The smallest interval that has probability one."""
        first = bisect.bisect_right(self.levels, Fraction(0)) - 1
        last = bisect.bisect_left(self.levels, Fraction(1))
        return self.knots[first], self.knots[last]

    def mirrored(self) -> PiecewiseLinear:
        """The distribution of 1 - X."""
        return PiecewiseLinear(tuple(1 - x for x in reversed(self.knots)), tuple(1 - level for level in reversed(self.levels)))

    def folded(self) -> PiecewiseLinear:
        """The distribution of min(X, 1 - X), for X between 0 and 1."""
        half = Fraction(1, 2)
        knots = sorted({Fraction(0), half, *(min(max(min(x, 1 - x), Fraction(0)), half) for x in self.knots)})
        above = [Fraction(1), *(self.exact_cdf(1 - x) - self.exact_cdf(x) for x in knots[1:])]
        return PiecewiseLinear(tuple(knots), tuple(1 - level for level in above))

    @cached_property
    def as_floats(self) -> tuple[FloatArray, FloatArray]:
        """The knots and levels, each rounded to the nearest float."""
        return floats(self.knots), floats(self.levels)

    def exact_cdf(self, x: Fraction) -> Fraction:
        """The probability Pr(X <= x), exactly."""
        if x <= self.knots[0]:
            return Fraction(0)
        if x >= self.knots[-1]:
            return Fraction(1)
        k = bisect.bisect_right(self.knots, x)
        (left, right), (low, high) = self.knots[k - 1 : k + 1], self.levels[k - 1 : k + 1]
        return low + (high - low) * (x - left) / (right - left)

    def cdf(self, x: FloatArray) -> FloatArray:
        """The probability Pr(X <= x) in floats, elementwise."""
        return np.asarray(np.interp(x, *self.as_floats))

    def quantiles(self, levels: Sequence[Fraction]) -> list[Fraction]:
        """For each level above 0, the least x with Pr(X <= x) at least that level."""
        found = []
        for level in levels:
            k = bisect.bisect_left(self.levels, level)
            (left, right), (low, high) = self.knots[k - 1 : k + 1], self.levels[k - 1 : k + 1]
            found.append(left + (right - left) * (level - low) / (high - low))
        return found

    def cells(self, edges: Sequence[Fraction]) -> list[tuple[Fraction, Fraction]]:
        """The probability and the first moment (the integral of x) of each interval between consecutive edges."""
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
    """A mixture of scipy's continuous distributions, each truncated to an interval, in floats.

    Attributes
    ----------
    parts : tuple of (weight, frozen scipy distribution, low, high)
        Each distribution is truncated to [low, high]; if it is not truncated, this interval contains its support. The ends are
        Fractions or infinite.

    Examples
    --------
    >>> from scipy.stats import expon
    >>> exponential = Smooth(((1.0, expon(), Fraction(0), np.inf),))
    >>> round(float(exponential.sf(np.array(1.0))), 6)
    0.367879
    """

    parts: tuple[tuple[float, Any, Fraction | float, Fraction | float], ...]

    @cached_property
    def support(self) -> tuple[Fraction | float, Fraction | float]:
        """An interval that has probability one; its ends may be infinite."""
        return min(part[2] for part in self.parts), max(part[3] for part in self.parts)

    def cdf(self, x: FloatArray) -> FloatArray:
        """The probability Pr(X <= x), elementwise."""
        return self.between(np.full_like(np.asarray(x, dtype=float), -np.inf), x)

    def sf(self, x: FloatArray) -> FloatArray:
        """The probability Pr(X > x), elementwise, without the cancellation that 1 - F suffers from in the upper tail."""
        return self.between(x, np.full_like(np.asarray(x, dtype=float), np.inf))

    def mirrored(self) -> Mirrored:
        """The distribution of 1 - X, with the methods that `maximize.largest` needs."""
        return Mirrored(self)

    def folded(self) -> Folded:
        """The distribution of min(X, 1 - X), for X between 0 and 1, with the methods that `maximize.largest` needs."""
        return Folded(self)

    def between(self, low: FloatArray, high: FloatArray) -> FloatArray:
        """The probability Pr(low < X <= high), elementwise, without cancellation in the upper tail."""
        return self._sum(lambda frozen, first, last: _mass(frozen, np.clip(low, first, last), np.clip(high, first, last)))

    def quantiles(self, levels: Sequence[Fraction]) -> list[Fraction]:
        """For each level above 0, the least x with Pr(X <= x) at least that level, to the precision of floats."""
        targets = np.array(levels, dtype=float)
        each = [_ppf(frozen, targets, float(low), float(high)) for _, frozen, low, high in self.parts]
        left, right = np.min(each, axis=0), np.max(each, axis=0)
        while np.any((left < (middle := (left + right) / 2)) & (middle < right)):
            enough = self.cdf(middle) >= targets
            left, right = np.where(enough, left, middle), np.where(enough, middle, right)
        return [exact(float(x)) for x in right]

    def tails(self, levels: FloatArray) -> FloatArray:
        """Lower and upper quantiles of every part at the given levels, in no particular order, to locate the probability mass."""
        each = [
            _ppf(frozen, levels, float(low), float(high), upper=upper)
            for _, frozen, low, high in self.parts
            for upper in (False, True)
        ]
        return np.concatenate(each)

    def cells(self, edges: Sequence[Fraction]) -> list[tuple[Fraction, Fraction]]:
        """The probability and the first moment (the integral of x) of each interval between consecutive edges.

        The moments are integrated by adaptive Gauss-Legendre quadrature.

        Raises
        ------
        ModelError
            If the cdf is too steep, or has too few correct digits, for the integration to converge.
        """
        points = np.array(edges, dtype=float)
        mass = self.between(points[:-1], points[1:])
        moment = np.zeros(len(mass))
        # A quadrature rule misses a narrow peak between its nodes. Cells are therefore split where the parts have their mass.
        fine = np.unique(np.concatenate([points, np.clip(self.joints, points[0], points[-1])]))
        low, high, largest = fine[:-1], fine[1:], 0.0
        most = max(MOST_PIECES, PIECES_A_CELL * len(points))
        while len(low):
            if len(low) > most:
                raise ModelError(
                    "has a distribution whose mass floats cannot integrate: its distribution function is too steep, or computed "
                    "with too few correct digits; move its parameters nearer to 1, or give it as cdf"
                )
            # The moment is integrated by parts, from Pr(x < X <= high), because the density may be infinite.
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
        """The support; an infinite end is replaced by a point beyond which probability and moment vanish in floats."""
        low, high = self.support
        joints = self.joints
        return (
            low if isinstance(low, Fraction) else exact(float(joints[0])),
            high if isinstance(high, Fraction) else exact(float(joints[-1])),
        )

    @property
    def has_mean(self) -> bool:
        """Whether the distribution has a finite mean."""
        parts = ((frozen, np.isfinite([float(low), float(high)]).all()) for _, frozen, low, high in self.parts)
        return all(bounded or np.isfinite(frozen.mean()) for frozen, bounded in parts)

    @cached_property
    def joints(self) -> FloatArray:
        """The ends of all parts and some of their quantiles, far into the tails, increasing; integrals are split there."""
        found = []
        for _, frozen, low, high in self.parts:
            ends = np.array([low, high], dtype=float)
            found.append(ends)
            if frozen.dist.name != "uniform":
                for upper, end in enumerate(ends):
                    found.append(_ppf(frozen, TAIL if np.isfinite(end) else LONG_TAIL, *ends, upper=bool(upper)))
        joints = np.unique(np.concatenate(found))
        return np.asarray(joints[np.isfinite(joints)])

    def _tail(self, low: FloatArray, high: FloatArray) -> FloatArray:
        """The tail probabilities whose differences `between` computes; its rounding error is proportional to them."""
        with _silence():
            return self._sum(
                lambda frozen, first, last: np.minimum(
                    frozen.cdf(np.clip(high, first, last)), _sf(frozen, np.clip(low, first, last))
                )
            )

    def _area(self, low: FloatArray, high: FloatArray, nodes: tuple[FloatArray, FloatArray]) -> FloatArray:
        x = low[:, None] + (high - low)[:, None] * (nodes[0] + 1) / 2
        return np.asarray((self.between(x, high[:, None]) * nodes[1]).sum(axis=1) * (high - low) / 2)

    def _sum(self, mass: Callable[[Any, float, float], FloatArray]) -> FloatArray:
        """The weighted sum of the parts' probabilities, each divided by the probability of the interval it is truncated to."""
        total: Any = 0.0
        for (weight, frozen, low, high), whole in zip(self.parts, self._whole, strict=True):
            total = total + weight * mass(frozen, float(low), float(high)) / whole
        return np.asarray(total)

    @cached_property
    def _whole(self) -> tuple[float, ...]:
        """For each part the probability of the interval to which it is truncated."""
        return tuple(float(_mass(frozen, np.array(float(low)), np.array(float(high)))) for _, frozen, low, high in self.parts)


def _mass(frozen: Any, low: FloatArray, high: FloatArray) -> FloatArray:
    """The probability Pr(low < X <= high) of a scipy distribution, low <= high, computed in the tail with more correct digits."""
    with _silence():
        below = np.array(frozen.cdf(low))
        above = below > 0.5
        mass = frozen.cdf(high) - below
        if above.any():  # the two ends are computed separately, because one of them may be broadcast against many others
            tail = np.zeros_like(below)
            tail[above] = _sf(frozen, low[above])
            mass = np.where(above, tail - _sf(frozen, high), mass)
    return np.asarray(mass)


def _sf(frozen: Any, x: FloatArray) -> FloatArray:
    """The probability Pr(X > x) of a scipy distribution; for a beta distribution by the cdf of 1 - X, which is faster."""
    if frozen.dist.name != "beta" or frozen.args:
        return np.asarray(frozen.sf(x))
    shape = frozen.kwds
    rest = 1 - (x - shape.get("loc", 0.0)) / shape.get("scale", 1.0)
    from scipy.special import betainc  # imported here because it is slow to import and few markets need it

    return np.asarray(betainc(shape["b"], shape["a"], np.clip(rest, 0.0, 1.0)))


def _ppf(frozen: Any, levels: FloatArray, low: float, high: float, *, upper: bool = False) -> FloatArray:
    """Quantiles of a scipy distribution truncated to [low, high], computed in the tail with more correct digits.

    If `upper`, the levels are probabilities of exceeding the quantile.
    """
    mass = _mass(frozen, np.array(low), np.array(high))
    with _silence():
        below, above = frozen.cdf(low), frozen.sf(high)
        try:
            if upper:
                found = frozen.isf(above + mass * levels) if above < 0.5 else frozen.ppf(frozen.cdf(high) - mass * levels)
            else:
                found = frozen.ppf(below + mass * levels) if below <= 0.5 else frozen.isf(frozen.sf(low) - mass * levels)
        except (ValueError, RuntimeError, ArithmeticError):  # scipy's root finding may fail
            found = np.full(len(levels), np.nan)
    return np.clip(np.where(np.isnan(found), high if upper else low, found), low, high)


@contextmanager
def _silence() -> Iterator[None]:
    """Suppress scipy's warnings about the far ends of supports."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True)
class Mirrored:
    """The distribution of 1 - X, where X has the distribution `original`."""

    original: Smooth

    @property
    def support(self) -> tuple[Fraction | float, Fraction | float]:
        """An interval that has probability one."""
        low, high = self.original.support
        return 1 - high, 1 - low

    def cdf(self, x: FloatArray) -> FloatArray:
        """The probability Pr(1 - X <= x), elementwise."""
        return self.original.sf(1 - x)

    def sf(self, x: FloatArray) -> FloatArray:
        """The probability Pr(1 - X > x), elementwise."""
        return self.original.cdf(1 - x)


@dataclass(frozen=True)
class Folded:
    """The distribution of min(X, 1 - X), where X has the distribution `original` and lies between 0 and 1."""

    original: Smooth

    @property
    def support(self) -> tuple[Fraction, Fraction]:
        """An interval that has probability one."""
        return Fraction(0), Fraction(1, 2)

    def cdf(self, x: FloatArray) -> FloatArray:
        """The probability Pr(min(X, 1 - X) <= x), elementwise."""
        return np.asarray(np.where(x < 0.5, self.original.cdf(x) + self.original.sf(1 - x), 1.0))

    def sf(self, x: FloatArray) -> FloatArray:
        """The probability Pr(min(X, 1 - X) > x), elementwise."""
        return self.original.between(np.minimum(x, 0.5), np.maximum(1 - x, 0.5))


Cdf = PiecewiseLinear | Smooth
