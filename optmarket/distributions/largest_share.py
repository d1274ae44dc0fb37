"""Compute the distribution of the largest of several probabilities under a Dirichlet distribution.

Let M be the largest probability (share) and ``z = 1 - M``. The density of the event that share j is the largest and equals
``1 - z`` is the density of a beta distribution there, times the probability that no other share is larger; and the latter is the
same problem for one share less. The density of z is thus a sum of nonnegative terms, each of which follows from the distributions
of fewer shares by an integral over one variable. Nothing is subtracted, so that even very small probabilities keep their digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial

import numpy as np
from numpy.polynomial import chebyshev

from optmarket.arrays import FloatArray

ORDER = 16
POINTS = -np.cos(np.pi * np.arange(ORDER) / (ORDER - 1))  # Chebyshev points, at which a panel's polynomial is fitted
CUTS = np.array([1e-15, 1e-9, 1e-3, 0.05, 0.5, 0.95, 1 - 1e-3, 1 - 1e-9])  # quantiles of a share, at which panels are split
VALUES = chebyshev.chebvander(POINTS, ORDER - 1)
FIT = np.linalg.inv(VALUES)
SMOOTH = 1e-13  # a panel's last coefficients may be this large, relative to its largest
NOTHING = 1e-18  # or this large, relative to the maximum of the density between two joints
LARGE = 1e3  # parameters from which the density's logarithm loses digits
FIRST = 1e-300  # the smallest z that is distinguished from 0
NEAREST = 1e-18  # the smallest distance to a joint that is distinguished from 0
DIGITS = 4e-15  # relative rounding error of a density, for each unit of the parameters' sum
NARROW = 0.1  # over the square root of the parameters' sum: the width in log d within which a density is a polynomial
ERROR = 1e-11  # relative error of the probabilities, apart from rounding


@dataclass(frozen=True)
class LargestShare:
    """The distribution of ``z = 1 - M``, where M is the largest share.

    The density of z is smooth except at the joints ``1 - 1/k``. Between two joints it is represented by polynomials in log d,
    where d is the distance to the lower joint.

    Attributes
    ----------
    start : tuple of array
        For each k from 1, the points in log d at which the panels start, followed by the end of the last panel.
    tail, first : tuple of array, shapes (P, ORDER + 1)
        For each k and each of the P panels, the Chebyshev coefficients of the integrals of the density, and of z times the
        density, from a point in the panel to the largest possible z.
    error : float
        A relative error of the probabilities: the sum of 1e-11, the rounding error of the density, and four times the amount by
        which the total probability misses 1.
    """

    start: tuple[FloatArray, ...]
    tail: tuple[FloatArray, ...]
    first: tuple[FloatArray, ...]
    error: float

    @property
    def most(self) -> float:
        """The largest possible z, which occurs when all shares are equal."""
        return 1 - 1 / (len(self.start) + 1)

    def beyond(self, z: FloatArray) -> FloatArray:
        """The probability that 1 - M is at least z, elementwise."""
        return self._at(z, self.tail)

    def mean_beyond(self, z: FloatArray) -> FloatArray:
        """The expectation of 1 - M on the event that it is at least z (and 0 outside of it), elementwise."""
        return self._at(z, self.first)

    def _at(self, z: FloatArray, kept: tuple[FloatArray, ...]) -> FloatArray:
        z = np.asarray(z, dtype=float)
        found = np.zeros_like(z)
        joint = np.clip(np.floor(1 / (1 - np.clip(z, 0, self.most))), 1, len(self.start)).astype(int)
        for k in range(1, len(self.start) + 1):
            here = (joint == k) & (z < self.most)
            found[here] = _evaluated(self.start[k - 1], kept[k - 1], np.maximum(z[here] - (1 - 1 / k), 0))
        return found

    def beyond_joint(self, k: int, distance: FloatArray) -> FloatArray:
        """The probability that 1 - M is at least ``1 - 1/k + distance``, for distances up to the next joint."""
        return _evaluated(self.start[k - 1], self.tail[k - 1], distance)


def _evaluated(start: FloatArray, coefficients: FloatArray, distance: FloatArray) -> FloatArray:
    u = np.log(np.clip(np.ravel(distance), np.exp(start[0]), None))
    panel = np.clip(np.searchsorted(start, u, side="right") - 1, 0, len(start) - 2)
    x = np.clip(2 * (u - start[panel]) / (start[panel + 1] - start[panel]) - 1, -1, 1)
    found = np.array(chebyshev.chebval(x, coefficients[panel].T, tensor=False), dtype=np.float64)
    return found.reshape(np.shape(distance))


def largest_share(parameters: tuple[Fraction, ...]) -> LargestShare:
    """Compute the distribution of one minus the largest share under a Dirichlet distribution.

    Parameters
    ----------
    parameters : tuple of Fraction
        The parameters of the Dirichlet distribution: two or more, each above 0.

    Returns
    -------
    LargestShare

    Examples
    --------
    >>> round(float(largest_share((Fraction(1), Fraction(1))).beyond(np.array(0.25))), 9)
    0.5
    """
    return _of(tuple(sorted(float(entry) for entry in parameters)))


@lru_cache(maxsize=1024)
def _of(parameters: tuple[float, ...]) -> LargestShare:
    from scipy.special import betainc, betaincinv

    entries, counts = np.unique(np.array(parameters), return_counts=True)
    others = [_without(parameters, float(entry)) for entry in entries]
    rests = [sum(other) for other in others]
    fewer = [_of(other) if len(other) > 1 else None for other in others]

    def density(k: int, u: FloatArray) -> FloatArray:
        """The density of z times d, as a function of log d, where d is the distance to the joint ``1 - 1/k``."""

        d = np.exp(u)
        z = 1 - 1 / k + d
        found = np.zeros_like(u)
        for entry, count, rest, other in zip(entries, counts, rests, fewer, strict=True):
            here = count * d * _beta_density(rest, float(entry), z)
            if k > 1:
                assert other is not None
                here = here * other.beyond_joint(k - 1, k * d / ((k - 1) * z))
            found += here
        return found

    cuts = np.concatenate([betaincinv(rest, entry, CUTS) for entry, rest in zip(entries, rests, strict=True)])
    starts, tails, firsts = [], [], []
    above = above_first = 0.0
    for k in range(len(parameters) - 1, 0, -1):
        low, high = np.log(FIRST if k == 1 else NEAREST), np.log(1 / (k * (k + 1)))
        distance = cuts - (1 - 1 / k)
        inner = np.log(distance[(distance > np.exp(low)) & (distance < np.exp(high))])
        edges = np.unique(np.concatenate([np.arange(high, max(low, -40.0), -1.0), np.arange(-40.0, low, -8.0), [low], inner]))
        edges, fit = _panels(partial(density, k), edges, sum(parameters))
        tail, above = _integrals(edges, fit, above)
        place = np.exp(_points(edges))
        first, above_first = _integrals(edges, FIT @ ((VALUES @ fit) * (1 - 1 / k + place)), above_first)
        starts.append(edges)
        tails.append(tail.T)
        firsts.append(first.T)
    below = float(np.sum(counts * betainc(rests, entries, FIRST)))
    error = ERROR + DIGITS * sum(parameters) + 4 * abs(above + below - 1)
    return LargestShare(tuple(starts[::-1]), tuple(tails[::-1]), tuple(firsts[::-1]), error)


def _without(parameters: tuple[float, ...], entry: float) -> tuple[float, ...]:
    place = parameters.index(entry)
    return (*parameters[:place], *parameters[place + 1 :])


def _beta_density(a: float, b: float, z: FloatArray) -> FloatArray:
    """The density of a beta distribution."""
    from scipy.special import betaln
    from scipy.stats import beta as beta_distribution

    if max(a, b) > LARGE:
        return np.asarray(beta_distribution.pdf(z, a, b))
    return np.asarray(np.exp((a - 1) * np.log(z) + (b - 1) * np.log1p(-z) - betaln(a, b)))


def _points(edges: FloatArray) -> FloatArray:
    """The points at which the polynomials of the panels are fitted, shape (ORDER, P)."""
    low, high = edges[:-1], edges[1:]
    return np.asarray(low + (high - low) * (POINTS[:, None] + 1) / 2)


def _panels(function: Callable[[FloatArray], FloatArray], edges: FloatArray, total: float) -> tuple[FloatArray, FloatArray]:
    """Halve panels until a polynomial fits in each; return their edges and the coefficients, shape (ORDER, P)."""
    low, high = edges[:-1], edges[1:]
    smooth, narrow = max(SMOOTH, DIGITS * total), NARROW / np.sqrt(1 + total)
    starts, fitted = [], []
    largest = 0.0
    while len(low):
        fit = FIT @ function(low + (high - low) * (POINTS[:, None] + 1) / 2)
        size = np.abs(fit).max(axis=0)
        largest = max(largest, float(size.max()))
        done = np.abs(fit[-3:]).max(axis=0) <= np.maximum(smooth * size, NOTHING * largest)
        done |= high - low < narrow
        starts.append(low[done])
        fitted.append(fit[:, done])
        low, high = low[~done], high[~done]
        middle = (low + high) / 2
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
    start, fit = np.concatenate(starts), np.concatenate(fitted, axis=1)
    order = np.argsort(start)
    return np.append(start[order], edges[-1]), fit[:, order]


def _integrals(edges: FloatArray, fit: FloatArray, above: float) -> tuple[FloatArray, float]:
    """Integrate from each point to the last edge, and add `above`; return the coefficients and the value at the first edge."""
    inner = -chebyshev.chebint(fit) * np.diff(edges) / 2
    inner[0] -= chebyshev.chebval(1.0, inner)
    whole = np.array(chebyshev.chebval(-1.0, inner), dtype=np.float64)
    later = np.append(np.cumsum(whole[::-1])[::-1], 0.0) + above
    inner[0] += later[1:]
    return inner, float(later[0])
