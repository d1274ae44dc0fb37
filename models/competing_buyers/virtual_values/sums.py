"""The distribution of a sum of independent numbers: exact, in floats, or on a lattice with a bound on what that adds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from optmarket.arrays import FloatArray, NumberArray
from optmarket.rationals import floats

MOST_EXACT_ADDITIONS = 2_000_000
MOST_SUMS_LISTED = 1 << 20  # above it sums are put on a lattice
LATTICE_POINTS = 1 << 17


@dataclass(frozen=True, eq=False)
class SumDistribution:
    """The distribution of a sum S of independent terms, or of one a little more spread.

    Attributes
    ----------
    value, weight : array, shape (A,)
        Increasing; Fractions or floats.
    excess : float
        E[(m - S)^+] of this distribution is at least that of S and at most this much larger, at every m.
    step : float
        If not 0, a power of two: values are multiples of it, each the one before and a step.
    """

    value: NumberArray
    weight: NumberArray
    excess: float = 0.0
    step: float = 0.0

    @cached_property
    def cdf(self) -> NumberArray:
        """Pr(S <= value), shape (A,)."""
        return np.cumsum(self.weight)

    @cached_property
    def _cdf_before(self) -> NumberArray:
        return np.concatenate([self.weight[:1] * 0, self.cdf])

    @cached_property
    def in_floats(self) -> SumDistribution:
        """The same in floats."""
        return SumDistribution(floats(self.value), floats(self.weight), self.excess)

    def probability_below(self, at: NumberArray, tie: float = 0.0) -> tuple[NumberArray, NumberArray]:
        """Pr(S < at) and Pr(S <= at), values within `tie` counted as equal."""
        below = self._cdf_before
        if self.step and not tie:  # no need to search
            place = (at - self.value[0]) / self.step
            steps = np.ceil(place), np.floor(place) + 1
            before, through = (np.clip(step, 0, len(self.value)).astype(np.int64) for step in steps)
            return below[before], below[through]
        first, last = (at - tie, at + tie) if tie else (at, at)
        return below[np.searchsorted(self.value, first)], below[np.searchsorted(self.value, last, side="right")]

    def threshold(self, probability: Any, tie: float = 0.0) -> tuple[Any, Any]:
        """The quantile c of a probability, and the fraction of Pr(S = c) that with Pr(S < c) makes up the probability."""
        k = min(int(np.searchsorted(self.cdf, probability)), len(self.value) - 1)
        (below,), (up_to,) = self.probability_below(self.value[k : k + 1], tie)
        if up_to <= below:  # rounding, at the end of a lattice
            return self.value[k], probability * 0 + 1
        return self.value[k], min(max((probability - below) / (up_to - below), probability * 0), probability * 0 + 1)


def add_exactly(terms: Sequence[tuple[NumberArray, NumberArray]], work: int = MOST_EXACT_ADDITIONS) -> SumDistribution | None:
    """The exact distribution of a sum of independent terms, equal sums merged; None if that takes too many additions.

    Parameters
    ----------
    terms : sequence of (values, weights)
        Of Fractions.
    work : int
        Most additions.
    """
    units = [
        math.lcm(*(x.denominator for value, _ in terms for x in value)),
        math.lcm(*(w.denominator for _, weight in terms for w in weight)),
    ]
    found = {0: 1}
    for value, weight in terms:
        pairs = [(int(x * units[0]), int(w * units[1])) for x, w in zip(value, weight, strict=True)]
        work -= len(pairs) * len(found)
        if work < 0:
            return None
        more: dict[int, int] = {}
        for s, p in found.items():
            for x, w in pairs:
                more[s + x] = more.get(s + x, 0) + p * w
        found = more
    order, whole = sorted(found), units[1] ** len(terms)
    return SumDistribution(
        np.array([Fraction(s, units[0]) for s in order], dtype=object),
        np.array([Fraction(found[s], whole) for s in order], dtype=object),
    )


def add(terms: Sequence[tuple[FloatArray, FloatArray]]) -> SumDistribution:
    """The distribution of a sum of independent terms in floats: all sums, or on a lattice if they are too many.

    Parameters
    ----------
    terms : sequence of (values, weights)
    """
    if math.prod(len(value) for value, _ in terms) > MOST_SUMS_LISTED:
        low = [float(value.min()) for value, _ in terms]
        step = sum(float(value.max()) - start for (value, _), start in zip(terms, low, strict=True)) / (
            LATTICE_POINTS - len(terms)
        )
        if step == 0:
            return SumDistribution(np.array([sum(low)]), np.ones(1))
        masses, noise = [], 0.0
        for (value, weight), start in zip(terms, low, strict=True):
            place = (value - start) / step
            at = place.astype(np.int64)
            share = place - at
            split = np.concatenate([weight * (1 - share), weight * share])
            masses.append(np.asarray(np.bincount(np.concatenate([at, at + 1]), split), dtype=np.float64))
            noise += float((share * (1 - share)).max())
        return on_lattice(masses, sum(low), step, noise)
    value, weight = np.zeros(1), np.ones(1)
    for more, mass in terms:
        value, weight = np.add.outer(value, more).ravel(), np.multiply.outer(weight, mass).ravel()
    order = np.argsort(value, kind="stable")
    return SumDistribution(value[order], weight[order])


def add_multiples(terms: Sequence[tuple[FloatArray, FloatArray]], unit: float) -> SumDistribution:
    """The distribution of a sum of independent multiples of one unit, whose sums are exact in floats.

    Parameters
    ----------
    terms : sequence of (values, weights)
    unit : float
        A power of two; only used for sums too many to list.
    """
    if math.prod(len(value) for value, _ in terms) > MOST_SUMS_LISTED:
        low = [float(value.min()) for value, _ in terms]
        kept: dict[tuple[int, int], FloatArray] = {}
        for (value, weight), start in zip(terms, low, strict=True):
            if (id(value), id(weight)) not in kept:
                place = ((value - start) / unit).astype(np.int64)
                kept[id(value), id(weight)] = np.asarray(np.bincount(place, weight), dtype=np.float64)
        masses = [kept[id(value), id(weight)] for value, weight in terms]
        return replace(on_lattice(masses, sum(low), unit, 0.0), step=unit)
    value, weight = np.zeros(1), np.ones(1)
    for more, mass in terms:
        value, weight = np.add.outer(value, more).ravel(), np.multiply.outer(weight, mass).ravel()
    value, place = np.unique(value, return_inverse=True)
    return SumDistribution(value, np.bincount(place, weight))


def on_lattice(masses: Sequence[FloatArray], start: float, step: float, noise: float) -> SumDistribution:
    """The distribution of a sum of independent terms on a lattice, each term split between its neighbours with its mean kept.

    Such splitting spreads the sum, so that E[(m - S)^+] rises; by how much at most follows from the variance of the noise N:
    ``E[(N - a)^+] <= (sqrt(Var N + a^2) - a) / 2`` for a >= 0 (Scarf).

    Parameters
    ----------
    masses : sequence of array
        Of each term at its first lattice point, the next, ...
    start : float
        Sum of the terms' first points.
    step : float
    noise : float
        Bound on the variance of what splitting adds, in squared steps.
    """
    from scipy.signal import fftconvolve

    length = sum(len(mass) - 1 for mass in masses) + 1
    size = 1 << (length - 1).bit_length()
    product = np.ones(size // 2 + 1, dtype=complex)
    known: dict[int, NumberArray] = {}  # symmetric buyers' terms are the same array
    for mass in masses:
        if id(mass) not in known:
            known[id(mass)] = np.fft.rfft(mass, size)
        product *= known[id(mass)]
    weight = np.fft.irfft(product, size)[:length]
    excess = 0.0
    if noise:
        far = np.maximum(np.abs(np.arange(1 - length, length)) - len(masses) - 1.0, 0.0)
        excess = step * float(fftconvolve((np.sqrt(noise + far**2) - far) / 2, weight, mode="valid").max())
    return SumDistribution(start + step * np.arange(length), weight, excess)


def largest_virtual_surplus(
    sums: SumDistribution,
    mean: Any,
    lowest: Any,
    surplus: Callable[[NumberArray], NumberArray],
    uninformed: Any,
    *,
    ex_post: bool,
) -> Any:
    """The most that E[(phi - S) x] can be for one buyer, who receives a correct recommendation with chance x.

    Parameters
    ----------
    sums : SumDistribution
        Of S, the rivals' virtual values times alpha/(n - 1).
    mean : number
        E[S], which is the lowest values' sum and keeps its digits where a lattice does not.
    lowest : number
        The buyer's lowest value, which is E[phi].
    surplus : callable
        Maps costs to E[(phi - cost)^+].
    uninformed : number
        The chance of acting right without information: the lower bound on x (ex post) or on E[x | v] (Bayesian).
    ex_post : bool

    Returns
    -------
    number
        Of Fractions if the input is. If S is spread, at least the truth and at most ``sums.excess`` above it.
    """
    value, weight = sums.value, sums.weight
    if uninformed == 1:  # all recommendations are correct, whatever the others are
        return lowest - mean
    if ex_post:
        return uninformed * (lowest - mean) + (1 - uninformed) * (surplus(value) @ weight)
    k = min(int(np.searchsorted(sums.cdf, uninformed)), len(value) - 1)
    c, rest = value[k], value[k:]
    gains = c - mean + (rest - c) @ weight[k:] + uninformed * (lowest - c)  # the first three are E[(c - S)^+]
    losses = surplus(rest) @ weight[k:] - (surplus(rest[:1]) * (weight[k] - sums.cdf[k] + uninformed))[0]
    return gains + losses
