"""Maximise the product of an increasing linear function and a decreasing linear function of a cdf, globally.

Revenue from a posted price is such a product: the price times one minus the cdf of values.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.distributions.cdf import Folded, Mirrored, PiecewiseLinear, Smooth

CLOSE = 1e-10  # relative to a bound on the product: the width to which the maximum over a smooth distribution is enclosed
STARTING = 1024  # intervals at the start
ZOOM = 33  # points of the grid that is refined repeatedly around a maximum
SPLIT = 4  # parts into which an interval is split
MOST = 2**17  # the largest number of intervals that are split in one round
APART = 1e-3  # relative to the support: maximisers closer than this are reported as one
ROUNDING = 1e-15  # relative rounding error of a cdf in floats
FEW = 64  # a cdf with at most this many pieces is searched in exact arithmetic without discarding pieces first


@dataclass(frozen=True)
class Product:
    """The function ``(p + q x) (r + s F(x))`` of x, where F is a cdf, q >= 0, s <= 0 and ``p + q x >= 0``.

    Attributes
    ----------
    p, q : Fraction
        The intercept and the slope of the first factor.
    r, s : Fraction
        The intercept and the slope of the second factor, as a function of F(x).
    """

    p: Fraction
    q: Fraction
    r: Fraction
    s: Fraction


@dataclass(frozen=True)
class Peaks:
    """The global maximum of a product and its maximisers.

    Attributes
    ----------
    at : tuple of Fraction or float
        The maximisers, in increasing order.
    value : Fraction or float
        The value at the maximisers.
    upper : Fraction or float
        A certified upper bound on the product over the whole interval.
    ends : tuple
        The smallest and the largest maximiser found, for example the ends of an interval on which the product is constant.
    """

    at: tuple[Fraction | float, ...]
    value: Fraction | float
    upper: Fraction | float
    ends: tuple[Fraction | float, Fraction | float]


def largest(
    distribution: PiecewiseLinear | Smooth | Mirrored | Folded,
    product: Product,
    interval: tuple[Fraction, Fraction] | None = None,
    close: float | None = None,
) -> Peaks:
    """Maximise a product globally over an interval.

    The result is exact if F is piecewise linear. Otherwise the maximum is enclosed between a value and an upper bound, by
    branch and bound on intervals.

    Parameters
    ----------
    distribution : PiecewiseLinear, Smooth, Mirrored or Folded
        The distribution with the cdf F.
    product : Product
    interval : tuple of Fraction, optional
        The interval to maximise over; by default the support of the distribution.
    close : float, optional
        The intended distance between value and upper bound if F is not piecewise linear; by default 1e-10 times a bound on the
        product. The distance is larger if the product is nearly maximal on so long an interval that `MOST` intervals do not
        suffice, and never smaller than the rounding error of F.

    Returns
    -------
    Peaks

    Examples
    --------
    The optimal posted price for values that are uniform on [0, 1]:

    >>> uniform = PiecewiseLinear((Fraction(0), Fraction(1)), (Fraction(0), Fraction(1)))
    >>> best = largest(uniform, Product(Fraction(0), Fraction(1), Fraction(1), Fraction(-1)))
    >>> best.at, best.value
    ((Fraction(1, 2),), Fraction(1, 4))
    """
    if isinstance(distribution, PiecewiseLinear):
        return _at_knots_and_tops(distribution, product, interval or distribution.support)
    low, high = map(float, interval or distribution.support)
    if close is None:
        close = CLOSE * float((product.p + product.q * high) * max(abs(product.r), abs(product.r + product.s)))
    return _by_splitting(distribution, product, low, high, close)


def _at_knots_and_tops(distribution: PiecewiseLinear, product: Product, interval: tuple[Fraction, Fraction]) -> Peaks:
    """Maximise exactly: a maximiser is a knot, an end of the interval, or the vertex of the parabola between two knots."""
    p, q, r, s = product.p, product.q, product.r, product.s
    first, last = interval
    candidates = {first, last}
    for k in _may_matter(distribution, product, interval):
        (left, right), (low, high) = distribution.knots[k : k + 2], distribution.levels[k : k + 2]
        candidates.update(x for x in (left, right) if first < x < last)
        slope = s * (high - low) / (right - left)
        if slope and q:
            top = -(q * (r + s * low - slope * left) + p * slope) / (2 * q * slope)
            if max(left, first) < top < min(right, last):
                candidates.add(top)
    values = {x: (p + q * x) * (r + s * distribution.exact_cdf(x)) for x in candidates}
    best = max(values.values())
    at = tuple(sorted(x for x, value in values.items() if value == best))
    return Peaks(at, best, best, (at[0], at[-1]))


def _may_matter(distribution: PiecewiseLinear, product: Product, interval: tuple[Fraction, Fraction]) -> list[int]:
    """The pieces between knots that may contain a maximiser: if there are many, those whose upper bound exceeds a value found."""
    count = len(distribution.knots) - 1
    if count <= FEW:
        return list(range(count))
    p, q, r, s = map(float, (product.p, product.q, product.r, product.s))
    knots, levels = distribution.as_floats
    first, last = map(float, interval)
    inside = (knots >= first) & (knots <= last)
    factor = r + s * levels
    error = 4 * ROUNDING * (abs(p) + np.abs(q * knots)) * (abs(r) + np.abs(s * levels))
    value = (p + q * knots) * factor - error
    least = value[inside].max(initial=-np.inf)
    bound = np.maximum((p + q * knots[1:]) * factor[:-1], (p + q * knots[:-1]) * factor[:-1])
    bound += error[1:] + 4 * ROUNDING * (abs(p) + np.abs(q * knots[1:])) * (abs(r) + np.abs(s * levels[1:]))
    return [int(k) for k in np.flatnonzero(bound >= least)]


def _by_splitting(distribution: Smooth | Mirrored | Folded, product: Product, low: float, high: float, close: float) -> Peaks:
    """Enclose the maximum by branch and bound.

    Because F is nondecreasing, the product on [l, u] is at most the larger of p + q u and p + q l, times r + s F(l). Intervals
    whose bound exceeds the best value found are split. The rounding error of F is added to the bound.
    """
    p, q = float(product.p), float(product.q)
    edges = np.linspace(low, high, STARTING + 1)[None]  # rows of neighbouring intervals
    best, top = -np.inf, -np.inf
    points: list[tuple[FloatArray, FloatArray]] = []
    while len(edges):
        factor, error = _factor(distribution, product, edges)
        value = (p + q * edges) * factor
        best = max(best, float(value.max()))
        points.append((edges.ravel(), value.ravel()))
        left, right = edges[:, :-1].ravel(), edges[:, 1:].ravel()
        bound = np.maximum((p + q * edges[:, 1:]) * factor[:, :-1], value[:, :-1]) + (p + q * edges[:, 1:]) * error[:, :-1]
        bound = bound.ravel()
        split = (bound > best + close) & (right - left > SPLIT * np.spacing(right))
        if split.sum() > MOST:
            split[:] = False
        top = max(top, float(bound[~split].max(initial=-np.inf)))
        left, right = left[split], right[split]
        edges = left[:, None] + (right - left)[:, None] * np.arange(SPLIT + 1) / SPLIT
        edges[:, -1] = right
    at, values = (np.concatenate(parts) for parts in zip(*points, strict=True))
    near = np.flatnonzero(values >= best - close)
    near = near[np.argsort(at[near])]
    groups = np.split(near, np.flatnonzero(np.diff(at[near]) > APART * (high - low)) + 1)
    tops = [_climbed(distribution, product, at[group], values[group]) for group in groups]
    attained = [float(x) for x in at[values == best]]
    for place, most in tops:
        attained = [place] if most > best else [*attained, place] if most == best else attained
        best = max(best, most)
    return Peaks(tuple(x for x, _ in tops), best, max(top, best), (float(min(attained)), float(max(attained))))


def _factor(distribution: Smooth | Mirrored | Folded, product: Product, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Compute ``r + s F(x)`` and a bound on its rounding error, from the smaller of the two tails to avoid cancellation."""
    r, s, both = float(product.r), float(product.s), float(product.r + product.s)
    below = distribution.cdf(x)
    factor, error = r + s * below, ROUNDING * (abs(r) - s * below)
    upper = below > 0.5
    if upper.any():
        above = distribution.sf(x[upper])
        factor[upper], error[upper] = both - s * above, ROUNDING * (abs(both) - s * above)
    return factor, error


def _climbed(
    distribution: Smooth | Mirrored | Folded, product: Product, at: FloatArray, values: FloatArray
) -> tuple[float, float]:
    """Improve the best of some neighbouring points by a repeated grid search; return the maximiser and its value."""
    best = int(values.argmax())
    found, most = float(at[best]), float(values[best])
    low, high = float(at[max(best - 1, 0)]), float(at[min(best + 1, len(at) - 1)])
    while high - low > 2 * np.spacing(high):
        x = np.linspace(low, high, ZOOM)
        value = (float(product.p) + float(product.q) * x) * _factor(distribution, product, x)[0]
        top = int(value.argmax())
        if value[top] > most:
            found, most = float(x[top]), float(value[top])
        narrower = float(x[max(top - 1, 0)]), float(x[min(top + 1, ZOOM - 1)])
        if narrower == (low, high):
            break
        low, high = narrower
    return found, most
