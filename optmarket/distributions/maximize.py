"""Global maxima over a distribution: of a product of a rising line and a falling function of the distribution function."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from optmarket.distributions.cdf import Folded, Mirrored, PiecewiseLinear, Smooth
from optmarket.lp.program import FloatArray

CLOSE = 1e-10  # of the largest product there could be: to which a maximum over a smooth distribution is enclosed
STARTING = 1024
ZOOM = 33  # points at which the top of a peak is looked for, again and again
SPLIT = 4
MOST = 2**17  # intervals split at once
APART = 1e-3  # of the support: maxima closer than that are one
ROUNDING = 1e-15  # relative error of a distribution function in floats
FEW = 64  # pieces of a distribution function that are looked at in fractions without asking which of them may matter


@dataclass(frozen=True)
class Product:
    """``(p + q x) (r + s F(x))`` with q at least 0, s at most 0 and p + q x at least 0."""

    p: Fraction
    q: Fraction
    r: Fraction
    s: Fraction


@dataclass(frozen=True)
class Peaks:
    """Where a product is largest.

    Attributes
    ----------
    at : tuple
        Where it is largest, in order.
    value : Fraction or float
        What it is there.
    upper : Fraction or float
        What it does not exceed anywhere.
    ends : tuple
        The first and the last point found at which it is ``value``: the ends of a stretch if it is constant on one.
    """

    at: tuple[Fraction | float, ...]
    value: Fraction | float
    upper: Fraction | float
    ends: tuple[Fraction | float, Fraction | float]


def largest(
    law: PiecewiseLinear | Smooth | Mirrored | Folded,
    product: Product,
    interval: tuple[Fraction, Fraction] | None = None,
    close: float | None = None,
) -> Peaks:
    """Maximise a product over an interval (or the support), globally: exactly where F is linear in pieces, else enclosed.

    Parameters
    ----------
    law : PiecewiseLinear, Smooth, Mirrored or Folded
    product : Product
    interval : tuple of Fraction, optional
    close : float, optional
        How far apart value and upper bound may be, if F is not linear in pieces; by default 1e-10 of what the product could at
        most be. They are farther apart if it is nearly as large on so long a stretch that `MOST` intervals do not suffice, and
        never closer than the rounding of F.
    """
    if isinstance(law, PiecewiseLinear):
        return _at_knots_and_tops(law, product, interval or law.support)
    low, high = map(float, interval or law.support)
    if close is None:
        close = CLOSE * float((product.p + product.q * high) * max(abs(product.r), abs(product.r + product.s)))
    return _by_splitting(law, product, low, high, close)


def _at_knots_and_tops(law: PiecewiseLinear, product: Product, interval: tuple[Fraction, Fraction]) -> Peaks:
    """At a knot or an end, or at the top of the parabola between two."""
    p, q, r, s = product.p, product.q, product.r, product.s
    first, last = interval
    candidates = {first, last}
    for k in _may_matter(law, product, interval):
        (left, right), (low, high) = law.knots[k : k + 2], law.levels[k : k + 2]
        candidates.update(x for x in (left, right) if first < x < last)
        slope = s * (high - low) / (right - left)
        if slope and q:
            top = -(q * (r + s * low - slope * left) + p * slope) / (2 * q * slope)
            if max(left, first) < top < min(right, last):
                candidates.add(top)
    values = {x: (p + q * x) * (r + s * law.exact_cdf(x)) for x in candidates}
    best = max(values.values())
    at = tuple(sorted(x for x, value in values.items() if value == best))
    return Peaks(at, best, best, (at[0], at[-1]))


def _may_matter(law: PiecewiseLinear, product: Product, interval: tuple[Fraction, Fraction]) -> list[int]:
    """The pieces between knots on which a product may be largest: of many, those whose bound in floats is at least a value."""
    count = len(law.knots) - 1
    if count <= FEW:
        return list(range(count))
    p, q, r, s = map(float, (product.p, product.q, product.r, product.s))
    knots, levels = law.as_floats
    first, last = map(float, interval)
    inside = (knots >= first) & (knots <= last)
    factor = r + s * levels
    error = 4 * ROUNDING * (abs(p) + np.abs(q * knots)) * (abs(r) + np.abs(s * levels))
    value = (p + q * knots) * factor - error
    least = value[inside].max(initial=-np.inf)
    bound = np.maximum((p + q * knots[1:]) * factor[:-1], (p + q * knots[:-1]) * factor[:-1])
    bound += error[1:] + 4 * ROUNDING * (abs(p) + np.abs(q * knots[1:])) * (abs(r) + np.abs(s * levels[1:]))
    return [int(k) for k in np.flatnonzero(bound >= least)]


def _by_splitting(law: Smooth | Mirrored | Folded, product: Product, low: float, high: float, close: float) -> Peaks:
    """As F does not fall, on [l, u] nothing exceeds the larger of p + q u and p + q l times r + s F(l).

    Intervals that may hold more than the best value found are split until none is left. The error of F in floats is added.
    """
    p, q = float(product.p), float(product.q)
    edges = np.linspace(low, high, STARTING + 1)[None]  # rows of neighbouring intervals
    best, top = -np.inf, -np.inf
    points: list[tuple[FloatArray, FloatArray]] = []
    while len(edges):
        factor, error = _factor(law, product, edges)
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
    tops = [_climbed(law, product, at[group], values[group]) for group in groups]
    attained = [float(x) for x in at[values == best]]
    for place, most in tops:
        attained = [place] if most > best else [*attained, place] if most == best else attained
        best = max(best, most)
    return Peaks(tuple(x for x, _ in tops), best, max(top, best), (float(min(attained)), float(max(attained))))


def _factor(law: Smooth | Mirrored | Folded, product: Product, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """``r + s F(x)`` and a bound on its error, from the tail that is smaller, so that no digits are lost in either."""
    r, s, both = float(product.r), float(product.s), float(product.r + product.s)
    below = law.cdf(x)
    factor, error = r + s * below, ROUNDING * (abs(r) - s * below)
    upper = below > 0.5
    if upper.any():
        above = law.sf(x[upper])
        factor[upper], error[upper] = both - s * above, ROUNDING * (abs(both) - s * above)
    return factor, error


def _climbed(law: Smooth | Mirrored | Folded, product: Product, at: FloatArray, values: FloatArray) -> tuple[float, float]:
    """The best of some neighbouring points that are nearly as good as any, moved to the top between them if it is one."""
    best = int(values.argmax())
    found, most = float(at[best]), float(values[best])
    low, high = float(at[max(best - 1, 0)]), float(at[min(best + 1, len(at) - 1)])
    while high - low > 2 * np.spacing(high):
        x = np.linspace(low, high, ZOOM)
        value = (float(product.p) + float(product.q) * x) * _factor(law, product, x)[0]
        top = int(value.argmax())
        if value[top] > most:
            found, most = float(x[top]), float(value[top])
        narrower = float(x[max(top - 1, 0)]), float(x[min(top + 1, ZOOM - 1)])
        if narrower == (low, high):
            break
        low, high = narrower
    return found, most
