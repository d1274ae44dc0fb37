"""Demand for full information where payoffs match: it is worth a value times one less the largest probability.

Its distribution is known to many digits (`optmarket.distributions.largest_share`), so that no boxes of types are needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.models.selling_information.continuum.dirichlet_types import DirichletTypes, equal_mass_edges
from optmarket.rationals import floats

VALUE_CELLS, COARSE_VALUE_CELLS = 2**11, 64  # cells of values; and as many while the price is sought
PRICES_AT_ONCE = 1024  # tried at first, and stretches of prices that are split at once, at most
REFINED_PRICES = 16  # tried around the best with all cells of values, a few times
PARTS_OF_A_STRETCH = 8
REVENUE_CLOSE = 1e-12  # relative: stretches of prices that may hold no more are not split


@dataclass(frozen=True)
class FullInformationDemand:
    """What full information earns at any price where payoffs match.

    Attributes
    ----------
    types : DirichletTypes
        With a `matching_payoff`.
    """

    types: DirichletTypes

    @cached_property
    def error(self) -> float:
        """Relative error of probabilities, as the distribution functions allow."""
        return max(part.largest_share.error for part in self.types.parts if part.largest_share is not None)

    def cells(self, count: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Values in about so many cells of equal mass: masses, lower ends, means and upper ends."""
        part, unit = self.types.parts[0], self.types.matching_payoff or 0.0
        if part.fixed_value is not None:
            value = np.array([part.fixed_value * unit])
            return np.ones(1), value, value, value
        of_values = part.numbers[0]
        edges = sorted(set(equal_mass_edges(of_values, count)))
        cells = np.array([[float(m), float(s)] for m, s in of_values.cells(edges)])
        ends = floats(edges)
        kept = cells[:, 0] > 0
        low, high = ends[:-1][kept], ends[1:][kept]
        return cells[kept, 0], unit * low, unit * np.clip(cells[kept, 1] / cells[kept, 0], low, high), unit * high

    @cached_property
    def fine(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """`cells`, many of them."""
        return self.cells(VALUE_CELLS)

    def _over(self, which: str, price: FloatArray, mass: FloatArray, value: FloatArray) -> FloatArray:
        """A function of `LargestShare` at prices over values, the mean over values and parts."""
        ratio = np.divide(price[:, None], value, out=np.full((len(price), len(value)), np.inf), where=value > 0)
        found = np.zeros(len(price))
        for part in self.types.parts:
            known = getattr(part.largest_share, which)(ratio)
            found += part.weight * ((known * (value if which == "mean_beyond" else 1.0)) @ mass)
        return found

    def share(self, price: float) -> tuple[float, float, float]:
        """The share of buyers at a price: at least, approximately, and at most."""
        mass, low, mean, high = self.fine
        least, middle, most = (float(self._over("beyond", np.array([price]), mass, value)[0]) for value in (low, mean, high))
        return max(0.0, least * (1 - self.error)), middle, min(1.0, most * (1 + self.error))

    def surplus(self, price: float) -> float:
        """What buyers keep at a price."""
        mass, _, mean, _ = self.fine
        at = np.array([price])
        return float(self._over("mean_beyond", at, mass, mean)[0] - price * self._over("beyond", at, mass, mean)[0])

    @cached_property
    def mean(self) -> float:
        """What it is worth to all together: the total value of information."""
        mass, _, value, _ = self.cells(1)
        return float(self._over("mean_beyond", np.zeros(1), mass, value)[0])

    @cached_property
    def price(self) -> float:
        """The price at which it earns most: stretches of prices that may hold more are split until none does by much."""
        mass, _, value, high = self.cells(COARSE_VALUE_CELLS)
        top = float(high.max()) * max(part.largest_share.most for part in self.types.parts if part.largest_share is not None)
        even, around_mean = top * np.linspace(0, 1, PRICES_AT_ONCE), self.mean * np.geomspace(1e-3, 1e3, PRICES_AT_ONCE)
        edges = np.unique(np.concatenate([even, around_mean]))
        edges = edges[edges <= top]
        left, right = edges[:-1], edges[1:]
        share = self._over("beyond", edges, mass, value)
        best = float(edges[(edges * share).argmax()])
        most, bound = float((edges * share).max()), right * share[:-1]
        while True:
            split = bound > most * (1 + REVENUE_CLOSE)
            if not split.any() or split.sum() > PRICES_AT_ONCE:
                break
            parts = left[split][:, None] + (right - left)[split][:, None] * np.arange(PARTS_OF_A_STRETCH + 1) / PARTS_OF_A_STRETCH
            share = self._over("beyond", parts.ravel(), mass, value).reshape(parts.shape)
            if (parts * share).max() > most:
                most, best = float((parts * share).max()), float(parts.ravel()[(parts * share).argmax()])
            left, right, bound = parts[:, :-1].ravel(), parts[:, 1:].ravel(), (parts[:, 1:] * share[:, :-1]).ravel()
        if len(mass) == 1:
            return best
        mass, _, value, _ = self.fine
        width = 0.02 * best
        for _ in range(4):
            near = best + width * np.linspace(-1, 1, REFINED_PRICES + 1)
            best = float(near[(near * self._over("beyond", near, mass, value)).argmax()])
            width *= 4 / REFINED_PRICES
        return best


@lru_cache(maxsize=2)
def full_information_demand(types: DirichletTypes) -> FullInformationDemand:
    """The demand of some types for full information, which remembers what it has computed."""
    return FullInformationDemand(types)
