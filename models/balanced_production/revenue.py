"""What data bring as their amount grows: a sum of learning curves, each worth nothing until its learning ante is passed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from optmarket.arrays import FloatArray, IntArray

HALVINGS = 60  # after which intervals no longer than their left ends are below the rounding of floats
NEWTON_STEPS = 60
SETTLED = 4e-16  # relative: a step of Newton's method that is rounding
TINY = 1e-300

Function = Callable[[FloatArray], FloatArray]


def midpoint(low: FloatArray, high: FloatArray) -> FloatArray:
    """Where to halve intervals of amounts: their middle, or of wide ones that of the logarithms.

    Examples
    --------
    >>> midpoint(np.array([2.0, 1e-100]), np.array([3.0, 1e100])).tolist()
    [2.5, 1.0]
    """
    least = np.maximum(low, 1e-8 * high)
    least = np.where(low > 0, low, least)
    return np.asarray(np.where(high > 4 * least, np.sqrt(least) * np.sqrt(high), 0.5 * (low + high)))


def falling_root(slope: Function, curvature: Function, low: FloatArray, high: FloatArray) -> FloatArray:
    """Where slopes that fall, ever more slowly, reach 0 in intervals; above 0 at the left ends and below at the right ends.

    Intervals are halved until their ends are of one size; then Newton's method rises to the root from the left, and never passes
    it because the slope is convex.

    Parameters
    ----------
    slope, curvature : callable
        An amount for each interval -> the function there, and its derivative.
    low, high : array, shape (I,)

    Returns
    -------
    array, shape (I,)

    Examples
    --------
    >>> one = np.ones(1)
    >>> falling_root(lambda x: x**-2 - 0.25, lambda x: -2 * x**-3, one, 1e9 * one).round(12).tolist()
    [2.0]
    """
    for _ in range(HALVINGS):
        if not (high > 4 * low).any():
            break
        middle = midpoint(low, high)
        rising = slope(middle) > 0
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    for _ in range(NEWTON_STEPS):
        above = np.maximum(0.0, slope(low))
        step = np.where(above > 0, -above / np.minimum(curvature(low), -TINY), 0.0)
        reached = np.minimum(low + step, high)
        if (reached - low <= SETTLED * reached).all():
            break
        low = reached
    return low


@dataclass(frozen=True, eq=False)
class Revenue:
    """Revenue as a function of the amount n of data, ``sum_k w_k max(0, Z_k - alpha_k (s_k n)^(-beta_k))``.

    Attributes
    ----------
    weight, limit, alpha, beta, share : array, shape (K,)
        w in payoff units, Z the accuracy that data without end would reach, the parameters of the learning curve, and the
        number of samples that count for the term in each sample produced. Terms of weight or share 0 bring nothing.

    Examples
    --------
    >>> one = np.ones(1)
    >>> Revenue(one, one, one, one, one).value(np.array([0.5, 2.0])).tolist()
    [0.0, 0.5]
    """

    weight: FloatArray
    limit: FloatArray
    alpha: FloatArray
    beta: FloatArray
    share: FloatArray

    @cached_property
    def _term_antes(self) -> FloatArray:
        """The amount of data at which each term begins to bring something, infinite for those that never do."""
        pays = (self.weight > 0) & (self.share > 0)
        with np.errstate(over="ignore"):
            ante = (self.alpha / self.limit) ** (1 / self.beta) / np.where(pays, self.share, 1.0)
        return np.where(pays, ante, np.inf)

    @cached_property
    def antes(self) -> FloatArray:
        """The amounts of data at which a term begins to bring something, sorted, each once; shape (at most K,)."""
        return np.unique(self._term_antes[np.isfinite(self._term_antes)])

    @cached_property
    def most(self) -> float:
        """What data without end would bring, in payoff units."""
        return float((self.weight * self.limit)[np.isfinite(self._term_antes)].sum())

    @cached_property
    def _curves(self) -> list[tuple[float, FloatArray, FloatArray]]:
        """For each beta and number i of `antes` passed: the sum of w Z, and of ``w Z (ante / antes[i - 1])^beta``.

        A term is ``w Z (1 - (n / ante)^-beta)``. Relative to the last ante passed, no power is above 1, whatever beta is.
        """
        kept = np.flatnonzero(np.isfinite(self._term_antes))
        ante, height = self._term_antes[kept], (self.weight * self.limit)[kept]
        place = np.searchsorted(self.antes, ante)
        found: list[tuple[float, FloatArray, FloatArray]] = []
        for beta in np.unique(self.beta[kept]):
            same = self.beta[kept] == beta
            begins = np.bincount(place[same], height[same], len(self.antes)).astype(float)
            drops = [0.0]
            for k, new in enumerate(begins.tolist()):
                carried = drops[-1] * float(self.antes[k - 1] / self.antes[k]) ** beta if k else 0.0
                drops.append(carried + new)
            found.append((float(beta), np.append(0.0, begins.cumsum()), np.array(drops)))
        return found

    @cached_property
    def _scale(self) -> FloatArray:
        """The last ante passed, by how many are; 1 where none is."""
        return np.append(1.0, self.antes)

    def begun(self, amount: FloatArray) -> IntArray:
        """How many of `antes` an amount has reached, of the amount's shape."""
        return np.asarray(np.searchsorted(self.antes, amount, side="right"), dtype=np.int64)

    def value(self, amount: FloatArray, begun: IntArray | None = None) -> FloatArray:
        """The revenue of amounts of data, in payoff units, of their shape; with `begun` as if so many antes were reached."""
        begun, relative = self._relative(amount, begun)
        total = np.zeros(np.shape(amount))
        for beta, height, drop in self._curves:
            total += height[begun] - drop[begun] * relative**-beta
        return np.asarray(total)

    def slope(self, amount: FloatArray, begun: IntArray | None = None) -> FloatArray:
        """The derivative of `value` by the amount; at an ante that from the right."""
        begun, relative = self._relative(amount, begun)
        total = np.zeros(np.shape(amount))
        for beta, _, drop in self._curves:
            total += beta * drop[begun] * relative ** (-beta - 1)
        return np.asarray(total / self._scale[begun])

    def curvature(self, amount: FloatArray, begun: IntArray | None = None) -> FloatArray:
        """The second derivative of `value` by the amount, at most 0."""
        begun, relative = self._relative(amount, begun)
        total = np.zeros(np.shape(amount))
        for beta, _, drop in self._curves:
            total -= beta * (beta + 1) * drop[begun] * relative ** (-beta - 2)
        return np.asarray(total / self._scale[begun] / self._scale[begun])

    def _relative(self, amount: FloatArray, begun: IntArray | None) -> tuple[IntArray, FloatArray]:
        """How many antes count as reached, and the amount relative to the last of them."""
        begun = self.begun(amount) if begun is None else begun
        return begun, np.where(begun > 0, amount, 1.0) / self._scale[begun]

    @cached_property
    def threshold(self) -> float:
        """The largest revenue per sample, ``max V(n) / n``: data are produced only at a cost per sample of at most this."""
        return float(self.monopoly_threshold[0])

    @cached_property
    def monopoly_threshold(self) -> tuple[float, float]:
        """The largest revenue per sample, and the amount at which it is reached; (0, 0) if data bring nothing.

        Between two antes ``n^2 (V / n)' = n V'(n) - V(n)`` falls, so that each piece has one candidate.
        """
        if not len(self.antes):
            return 0.0, 0.0
        left = self.antes
        right = np.append(left[1:], np.inf)
        begun = np.arange(1, len(left) + 1)
        low = left.copy()
        high = np.minimum(right, 2 * left)
        for _ in range(2000):  # a piece that has no right end is doubled until revenue per sample falls
            rising = (self._rise(high, begun) > 0) & (high < right)
            if not rising.any():
                break
            high = np.where(rising, np.minimum(right, 2 * high), high)
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            rising = self._rise(middle, begun) > 0
            low, high = np.where(rising, middle, low), np.where(rising, high, middle)
        amounts = np.concatenate([low, high])
        average = self.value(amounts, np.concatenate([begun, begun])) / amounts
        best = int(np.argmax(average))
        return float(average[best]), float(amounts[best])

    def _rise(self, amount: FloatArray, begun: IntArray) -> FloatArray:
        return amount * self.slope(amount, begun) - self.value(amount, begun)
