"""The best sum of two concave envelopes at a common mean, on a distribution of beliefs, and the dual value that bounds it.

Integrating by parts in the slope of the buyer's utility, revenue is linear in two measures of mass one on beliefs theta of the
first state: mass at y earns ``y Pr(theta > y)``, mass at z costs ``(1 - z) Pr(theta > z)``, and the mean of y equals that of
1 - z. So the optimum is the best sum of two concave envelopes at a common mean.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from optmarket.distributions.cdf import Cdf, PiecewiseLinear
from optmarket.distributions.maximize import Peaks, Product, largest
from optmarket.errors import SolverError

Number = Fraction | float

# Of what a menu is known to earn: how closely maxima are enclosed where the distribution function is computed in floats,
FLOAT_ENCLOSURE = 6e-9
# and how closely until the dual value is found.
FIRST_ENCLOSURE = 1e-5
# Of the upper bound: a difference that ends the search where all is exact.
EXACT_ENCLOSURE = 1e-13
# Steps of the search for the dual value; a few dozen halve any interval down to nothing.
MOST_STEPS = 200
# Dual values are multiples of this where they are exact, so that their fractions stay short.
DUAL_VALUE_STEP = 2**-120


@dataclass(frozen=True)
class DualLine:
    """Two beliefs, one for each measure of mass one: what they earn is linear in the dual value.

    Attributes
    ----------
    rising, mirrored : Fraction or float
        Beliefs y in the first state and x = 1 - z in the second.
    above, below : Fraction or float
        Pr(theta > y) and Pr(theta > 1 - x).
    """

    rising: Number
    mirrored: Number
    above: Number
    below: Number

    @property
    def slope(self) -> Number:
        """Of what they earn in the dual value: by how much the mean of x exceeds that of y."""
        return self.mirrored - self.rising

    def at(self, dual_value: Number) -> Number:
        """What they earn when the difference of the means is priced at the dual value."""
        # as products, so that no digits are lost where both beliefs are near 0, or both near 1
        return self.rising * (self.above - dual_value) + self.mirrored * (dual_value - self.below)


@dataclass(frozen=True)
class Envelopes:
    """Where the best sum of two envelopes at a common mean is reached, and the bound that proves it.

    Attributes
    ----------
    rising : tuple of (belief, mass)
        From these beliefs in the first state on, buyers receive more of it.
    falling : tuple of (belief, mass)
        From these on they receive less of the second state.
    dual_value : Fraction or float
        Of the condition that the means agree.
    upper : Fraction or float
        What no menu exceeds when the value is 1.
    """

    rising: tuple[tuple[Number, Number], ...]
    falling: tuple[tuple[Number, Number], ...]
    dual_value: Number
    upper: Number


class EnvelopeSearch:
    """The best two measures of mass one, the means of y and 1 - z agreeing, and the dual value that bounds what they earn.

    For a dual value l of the condition on the means no menu earns more than ``max_y y (Pr(theta > y) - l) + max_x x (l -
    Pr(theta > 1 - x))``, which is convex in l, and least for some l from 0 to 1. Where the maxima are attained is a line in l
    nowhere above the bound. One line that falls and one that rises are kept, and l moves to where they meet; mixed so that the
    means agree, the two are measures that earn what the lines are worth there. So bound and revenue meet, also where the
    distribution has gaps and a maximum is attained all along a stretch.

    Parameters
    ----------
    belief : Cdf
        Of the belief theta in the first state.
    known : Fraction or float
        What some menu is known to earn at value 1: how closely maxima are enclosed is relative to it.

    Attributes
    ----------
    upper : Fraction or float
        What no menu exceeds when the value is 1.
    dual_value : Fraction or float
        That gives this bound.
    met : bool
        Whether bound and revenue meet.
    """

    def __init__(self, belief: Cdf, known: Number = 0.0) -> None:
        self.belief, self.known = belief, known
        self.exact = isinstance(belief, PiecewiseLinear)
        self.upper: Number = math.inf
        self.dual_value: Number = Fraction(0)
        self.met = False
        self._falls: DualLine | None = None
        self._rises: DualLine | None = None
        self._pending: list[Number] = [Fraction(0), Fraction(1)]
        self._rough = not self.exact

    @property
    def has_measures(self) -> bool:
        """Whether a falling and a rising line are known, and so two measures."""
        return self._falls is not None and self._rises is not None

    @property
    def revenue(self) -> Number:
        """What the two lines that are kept earn, mixed; 0 as long as there are no two."""
        if not self.has_measures:
            return 0.0
        (weight, one), (rest, other) = self._mixed()
        return weight * one.at(self.dual_value) + rest * other.at(self.dual_value)

    @property
    def found(self) -> Envelopes:
        """The measures of the two lines that are kept."""
        rising: dict[Number, Number] = {}
        falling: dict[Number, Number] = {}
        for share, line in self._mixed():
            if share:
                for masses, at in ((rising, line.rising), (falling, 1 - line.mirrored)):
                    masses[at] = masses.get(at, Fraction(0)) + share
        return Envelopes(tuple(sorted(rising.items())), tuple(sorted(falling.items())), self.dual_value, self.upper)

    def step(self) -> None:
        """Bound revenue at the next dual value, and keep the line found there."""
        dual_value = self._pending.pop(0) if self._pending else self._meeting()
        unit = float(self.known or 1)
        finest = FLOAT_ENCLOSURE / 4 * unit
        gain, cost = self._enclosed(dual_value, FIRST_ENCLOSURE * unit if self._rough else finest)
        if self._rough and not self._pending and float(gain.value + cost.value - self.revenue) <= finest:
            # the lines meet at the bound, as far as is known: now it is worth enclosing
            self._rough = False
            gain, cost = self._enclosed(dual_value, finest)
        for y, x in itertools.product(gain.ends, cost.ends):
            self._keep(self._line(y, x), dual_value)
        self.met = self.upper - self.revenue <= (EXACT_ENCLOSURE * self.upper if self.exact else 3 * finest)
        if not (self._pending or self._rough or self.met):
            self.met = self._meeting() == dual_value  # where floats end

    def _lines(self) -> tuple[DualLine, DualLine]:
        if self._falls is None or self._rises is None:
            raise SolverError("the search for the dual value has found no line on either side yet; take a step first")
        return self._falls, self._rises

    def _mixed(self) -> tuple[tuple[Number, DualLine], tuple[Number, DualLine]]:
        """The two lines and the shares of them whose means agree."""
        falls, rises = self._lines()
        down, up = -falls.slope, rises.slope
        share = up / (down + up) if down + up else Fraction(1)
        return (share, falls), (1 - share, rises)

    def _enclosed(self, dual_value: Number, close: float) -> tuple[Peaks, Peaks]:
        gain, cost = _maxima(self.belief, dual_value, close)
        if gain.upper + cost.upper < self.upper:
            self.upper, self.dual_value = gain.upper + cost.upper, dual_value
        return gain, cost

    def _keep(self, line: DualLine, dual_value: Number) -> None:
        if line.slope <= 0 and (self._falls is None or line.at(dual_value) >= self._falls.at(dual_value)):
            self._falls = line
        if line.slope >= 0 and (self._rises is None or line.at(dual_value) >= self._rises.at(dual_value)):
            self._rises = line

    def _meeting(self) -> Number:
        """Where the two lines meet."""
        falls, rises = self._lines()
        spread = rises.slope - falls.slope
        if not spread:
            return self.dual_value
        found = min(max((falls.at(0) - rises.at(0)) / spread, 0), 1)
        step = Fraction(DUAL_VALUE_STEP)
        return Fraction(round(found / step)) * step if self.exact else float(found)

    def _line(self, y: Number, x: Number) -> DualLine:
        if isinstance(self.belief, PiecewiseLinear):
            y, x = Fraction(y), Fraction(x)
            return DualLine(y, x, 1 - self.belief.exact_cdf(y), 1 - self.belief.exact_cdf(1 - x))
        above, below = (float(self.belief.sf(np.array(float(at)))) for at in (y, 1 - float(x)))
        return DualLine(float(y), float(x), above, below)


def best_envelopes(belief: Cdf, known: Number = 0.0) -> Envelopes:
    """The best two measures, and the dual value whose bound is least: see `EnvelopeSearch`.

    Parameters
    ----------
    belief : Cdf
        Of the belief theta in the first state.
    known : Fraction or float
        What some menu is known to earn at value 1.

    Examples
    --------
    >>> from optmarket.distributions.specification import Distribution
    >>> best_envelopes(Distribution.model_validate({"dist": "uniform"}).as_cdf).upper
    Fraction(1, 8)
    """
    search = EnvelopeSearch(belief, known)
    for _ in range(MOST_STEPS):
        search.step()
        if search.met:
            break
    return search.found


def upper_bound(belief: Cdf, dual_value: Number) -> Number:
    """What no menu exceeds when the value is 1, for any dual value: both maxima are global, and enclosed."""
    gain, cost = _maxima(belief, dual_value)
    return gain.upper + cost.upper


def _maxima(belief: Cdf, dual_value: Number, close: float | None = None) -> tuple[Peaks, Peaks]:
    price, whole = Fraction(dual_value), (Fraction(0), Fraction(1))
    gain = largest(belief, Product(Fraction(0), Fraction(1), 1 - price, Fraction(-1)), whole, close)
    cost = largest(belief.mirrored(), Product(Fraction(0), Fraction(1), price, Fraction(-1)), whole, close)
    return gain, cost
