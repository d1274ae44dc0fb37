"""The largest of several probabilities that sum to one: how it is distributed under a Dirichlet distribution.

Let M be the largest share and ``z = 1 - M`` the rest. Share j is the largest and equal to ``1 - z`` with the density of a beta
distribution there, times the chance that no other share is larger, which is the same question for the other shares. So the
density of z is a sum of nonnegative terms, each known from the distributions of fewer shares, and all of them follow by
integrals in one number. Nothing is subtracted: probabilities keep their digits however small they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial

import numpy as np
from numpy.polynomial import chebyshev
from scipy.special import betainc, betaincinv, betaln
from scipy.stats import beta as beta_distribution

from optmarket.lp.program import FloatArray

ORDER = 16
POINTS = -np.cos(np.pi * np.arange(ORDER) / (ORDER - 1))  # where a panel's polynomial is fitted, from -1 to 1
CUTS = np.array([1e-15, 1e-9, 1e-3, 0.05, 0.5, 0.95, 1 - 1e-3, 1 - 1e-9])  # of a share: narrow peaks lie between them
VALUES = chebyshev.chebvander(POINTS, ORDER - 1)
FIT = np.linalg.inv(VALUES)
SMOOTH = 1e-13  # of a panel's largest coefficient: what its last ones may amount to
NOTHING = 1e-18  # of the density's maximum between two joints: what a panel's last coefficients may amount to
LARGE = 1e3  # parameters from which the density's logarithm loses digits
FIRST = 1e-300  # the least z that is told from 0
NEAREST = 1e-18  # distance to a joint that is told from 0
DIGITS = 4e-15  # of a density, for each unit of the parameters' sum: what rounding leaves uncertain
NARROW = 0.1  # over the root of the parameters' sum: the width in log d within which a density is a polynomial
ERROR = 1e-11


@dataclass(frozen=True)
class LargestShare:
    """The distribution of z, one less the largest share.

    Where z passes ``1 - 1/k`` one more share can be the largest. Between two such joints the density is smooth but for the
    lower end, and is kept as polynomials in the logarithm of the distance ``d`` to it.

    Attributes
    ----------
    start : tuple of array
        For each k from 1, where the panels start in log d, and after the last where it ends.
    tail, first : tuple of array, shapes (P, ORDER + 1)
        For each k and panel the integrals of the density and of z times it from a place in the panel to the largest z there
        is, as Chebyshev coefficients.
    error : float
        Relative error of the probabilities: 1e-11, what rounding does to the density, and four times what all mass together
        misses 1.
    """

    start: tuple[FloatArray, ...]
    tail: tuple[FloatArray, ...]
    first: tuple[FloatArray, ...]
    error: float

    @property
    def most(self) -> float:
        """The largest z, where all shares are equal."""
        return 1 - 1 / (len(self.start) + 1)

    def beyond(self, z: FloatArray) -> FloatArray:
        """Pr(at least z), shape as given."""
        return self._at(z, self.tail)

    def mean_beyond(self, z: FloatArray) -> FloatArray:
        """The mean of z where it is at least so large, counted as 0 elsewhere."""
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
        """Pr(z at least a distance above ``1 - 1/k``), for distances up to the next joint."""
        return _evaluated(self.start[k - 1], self.tail[k - 1], distance)


def _evaluated(start: FloatArray, coefficients: FloatArray, distance: FloatArray) -> FloatArray:
    u = np.log(np.clip(np.ravel(distance), np.exp(start[0]), None))
    panel = np.clip(np.searchsorted(start, u, side="right") - 1, 0, len(start) - 2)
    x = np.clip(2 * (u - start[panel]) / (start[panel + 1] - start[panel]) - 1, -1, 1)
    found = np.array(chebyshev.chebval(x, coefficients[panel].T, tensor=False), dtype=np.float64)
    return found.reshape(np.shape(distance))


def largest_share(parameters: tuple[Fraction, ...]) -> LargestShare:
    """The distribution of one less the largest share under a Dirichlet distribution.

    Parameters
    ----------
    parameters : tuple of Fraction
        Two or more, each above 0.
    """
    return _of(tuple(sorted(float(entry) for entry in parameters)))


@lru_cache(maxsize=1024)
def _of(parameters: tuple[float, ...]) -> LargestShare:
    entries, counts = np.unique(np.array(parameters), return_counts=True)
    others = [_without(parameters, float(entry)) for entry in entries]
    rests = [sum(other) for other in others]
    fewer = [_of(other) if len(other) > 1 else None for other in others]

    def density(k: int, u: FloatArray) -> FloatArray:
        """The density of z times d, by the logarithm of the distance d above the joint ``1 - 1/k``."""
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
    if max(a, b) > LARGE:
        return np.asarray(beta_distribution.pdf(z, a, b))
    return np.asarray(np.exp((a - 1) * np.log(z) + (b - 1) * np.log1p(-z) - betaln(a, b)))


def _points(edges: FloatArray) -> FloatArray:
    """Where the polynomials of panels are fitted, shape (ORDER, P)."""
    low, high = edges[:-1], edges[1:]
    return np.asarray(low + (high - low) * (POINTS[:, None] + 1) / 2)


def _panels(function: Callable[[FloatArray], FloatArray], edges: FloatArray, total: float) -> tuple[FloatArray, FloatArray]:
    """Panels halved until a polynomial fits in each: their edges, and coefficients in shape (ORDER, P)."""
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
    """Coefficients of the integral from each place to the last edge and of what is above that; and its value at the first."""
    inner = -chebyshev.chebint(fit) * np.diff(edges) / 2
    inner[0] -= chebyshev.chebval(1.0, inner)
    whole = np.array(chebyshev.chebval(-1.0, inner), dtype=np.float64)
    later = np.append(np.cumsum(whole[::-1])[::-1], 0.0) + above
    inner[0] += later[1:]
    return inner, float(later[0])
