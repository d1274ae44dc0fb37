"""Global maxima over a distribution: of a product of a rising line and a falling function of the distribution function."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from optmarket.laws import Mirrored, PiecewiseLinear, Smooth
from optmarket.program import FloatArray

CLOSE = 1e-10  # of the largest product there could be: to which a maximum over a smooth distribution is enclosed
STARTING = 4096
SPLIT = 8
NARROW = 1e-15  # of the support
MOST = 2**17  # intervals split at once
APART = 1e-3  # of the support: maxima closer than that are one
ROUNDING = 1e-15


@dataclass(frozen=True)
class Product:
    """``(p + q x) (r + s F(x))`` with q at least 0, s at most 0 and p + q x at least 0."""

    p: Fraction
    q: Fraction
    r: Fraction
    s: Fraction


@dataclass(frozen=True)
class Peaks:
    """Where a product is largest, in order; its value there, and what it does not exceed anywhere."""

    at: tuple[Fraction | float, ...]
    value: Fraction | float
    upper: Fraction | float


def largest(
    law: PiecewiseLinear | Smooth | Mirrored, product: Product, interval: tuple[Fraction, Fraction] | None = None
) -> Peaks:
    """Maximise a product over an interval (or the support), globally: exactly where F is linear in pieces, else enclosed.

    Enclosed to 1e-10 of what it could at most be, or if it is as large on a whole stretch as closely as `MOST` intervals do.
    """
    if isinstance(law, PiecewiseLinear):
        return _at_knots_and_tops(law, product, interval or law.support)
    low, high = interval or law.support
    return _by_splitting(law, product, float(low), float(high))


def _at_knots_and_tops(law: PiecewiseLinear, product: Product, interval: tuple[Fraction, Fraction]) -> Peaks:
    """At a knot or an end, or at the top of the parabola between two."""
    p, q, r, s = product.p, product.q, product.r, product.s
    first, last = interval
    candidates = {first, last, *(knot for knot in law.knots if first < knot < last)}
    pieces = zip(itertools.pairwise(law.knots), itertools.pairwise(law.levels), strict=True)
    for (left, right), (low, high) in pieces:
        slope = s * (high - low) / (right - left)
        if slope and q:
            top = -(q * (r + s * low - slope * left) + p * slope) / (2 * q * slope)
            if max(left, first) < top < min(right, last):
                candidates.add(top)
    values = {x: (p + q * x) * (r + s * law.exact_cdf(x)) for x in candidates}
    best = max(values.values())
    return Peaks(tuple(sorted(x for x, value in values.items() if value == best)), best, best)


def _by_splitting(law: Smooth | Mirrored, product: Product, low: float, high: float) -> Peaks:
    """As F does not fall, on [l, u] nothing exceeds the larger of p + q u and p + q l times r + s F(l).

    Intervals that may hold more than the best value found are split until none is left.
    """
    p, q, r, s = map(float, (product.p, product.q, product.r, product.s))
    close = CLOSE * (p + q * high) * max(abs(r), abs(r + s))
    edges = np.linspace(low, high, STARTING + 1)[None]  # rows of neighbouring intervals
    best, top = -np.inf, -np.inf
    points: list[tuple[FloatArray, FloatArray]] = []
    while len(edges):
        factor = r + s * law.cdf(edges)
        value = (p + q * edges) * factor
        best = max(best, value.max())
        points.append((edges.ravel(), value.ravel()))
        left, right = edges[:, :-1].ravel(), edges[:, 1:].ravel()
        bound = np.maximum((p + q * edges[:, 1:]) * factor[:, :-1], value[:, :-1]).ravel()
        split = (bound > best + close) & (right - left > NARROW * (high - low))
        if split.sum() > MOST:
            split[:] = False
        top = max([top, *bound[~split]])
        left, right = left[split], right[split]
        edges = left[:, None] + (right - left)[:, None] * np.arange(SPLIT + 1) / SPLIT
    at, values = (np.concatenate(parts) for parts in zip(*points, strict=True))
    near = np.flatnonzero(values >= best - close)
    near = near[np.argsort(at[near])]
    groups = np.split(near, np.flatnonzero(np.diff(at[near]) > APART * (high - low)) + 1)
    peaks = tuple(float(at[group[values[group].argmax()]]) for group in groups)
    return Peaks(peaks, float(best), max(top, best) + ROUNDING * (p + q * high) * max(abs(r), abs(r + s)))
