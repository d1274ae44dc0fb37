"""Types with Dirichlet beliefs in three and more states, perhaps with values, as boxes of independent numbers.

A type is a point w of a cone, value times belief. Shares of what is left, and the value, are independent numbers, and a box of
them is a box of types: every type in it is an average of the box's corners, with weights that are products of the numbers' own.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

import numpy as np

from optmarket.arrays import FloatArray, IntArray
from optmarket.distributions.cdf import Cdf
from optmarket.distributions.dirichlet import sticks
from optmarket.distributions.largest_share import LargestShare, largest_share
from optmarket.errors import ModelError
from optmarket.models.selling_information.params import Params
from optmarket.models.selling_information.population import DirichletBeliefs
from optmarket.rationals import floats

MOST_STATES = 6
LARGEST_PARAMETERS = 1e12  # the sum of a distribution's parameters
FINEST_PARTS = 2**14  # of equal mass, into which each number is cut at last
# Of a number of boxes in a power: keeps the root of a whole power from falling just below the whole number.
ROOT_ROUNDING = 1e-9


@dataclass(frozen=True)
class MixturePart:
    """A Dirichlet distribution of beliefs and an independent one of values.

    Attributes
    ----------
    weight : float
        In the mixture.
    numbers : tuple of Cdf
        The value, if it is distributed, and the shares.
    fixed_value : float or None
        The value if it is a number; without it the value is the first of the numbers.
    largest_share : LargestShare or None
        How one less the largest probability is distributed, if that is known.
    """

    weight: float
    numbers: tuple[Cdf, ...]
    fixed_value: float | None
    largest_share: LargestShare | None = None

    @cached_property
    def edges(self) -> FloatArray:
        """Ends of `FINEST_PARTS` intervals of about equal mass of each number, shape (D, FINEST_PARTS + 1)."""
        return np.array([_finest_edges(number) for number in self.numbers])

    @cached_property
    def levels(self) -> FloatArray:
        """Each number's distribution function at its `edges`: nothing proved rests on quantiles."""
        return np.array([number.cdf(edges) for number, edges in zip(self.numbers, self.edges, strict=True)])

    def at(self, place: IntArray) -> FloatArray:
        """The types at `edges` of given places, from shape (..., D) to (..., W)."""
        return self.types(np.stack([edges[place[..., k]] for k, edges in enumerate(self.edges)], axis=-1))

    def drawn(self, place: IntArray, step: IntArray, count: int, rng: np.random.Generator) -> FloatArray:
        """Types drawn in boxes that reach from given places `step` edges on, from shapes (C, D) to (C, count, W).

        In pairs that lie opposite each other, so that what is linear in a box is as at its middle.
        """
        reach = step[:, None, :]
        level = rng.random((len(place), count // 2, place.shape[1])) * reach
        level = np.concatenate([level, reach - level], axis=1)
        cell = np.minimum(level.astype(np.int64), reach - 1)
        at = place[:, None, :] + cell
        numbers = []
        for k, edges in enumerate(self.edges):
            low, high = edges[at[..., k]], edges[at[..., k] + 1]
            numbers.append(low + (high - low) * (level - cell)[..., k])
        return self.types(np.stack(numbers, axis=-1))

    def mass(self, place: IntArray, step: IntArray) -> FloatArray:
        """Of boxes that reach from given places `step` edges on, from shapes (C, D) to (C,)."""
        sides = [levels[place[:, k] + step[:, k]] - levels[place[:, k]] for k, levels in enumerate(self.levels)]
        return np.asarray(self.weight * np.prod(sides, axis=0))

    def types(self, numbers: FloatArray) -> FloatArray:
        """The types of given numbers: from shape (..., D) to (..., W)."""
        if self.fixed_value is None:
            shares, value = numbers[..., 1:], numbers[..., 0]
        else:
            shares, value = numbers, np.full(numbers.shape[:-1], self.fixed_value)
        one = np.ones((*shares.shape[:-1], 1))
        left = np.cumprod(np.concatenate([one, 1 - shares], axis=-1), axis=-1)
        return np.asarray(value[..., None] * left * np.concatenate([shares, one], axis=-1))


@dataclass(frozen=True)
class Boxes:
    """Boxes of types with their corners: C boxes of I corners each, in W states.

    Attributes
    ----------
    mass : array, shape (C,)
    corner : array, shape (C, I, W)
    share : array, shape (C, I)
        What each corner weighs in the mean of a box.
    """

    mass: FloatArray
    corner: FloatArray
    share: FloatArray

    @cached_property
    def mean(self) -> FloatArray:
        """The mean type of each box, shape (C, W)."""
        return np.asarray((self.share[:, :, None] * self.corner).sum(axis=1))


@dataclass(frozen=True, eq=False)
class DirichletTypes:
    """All types: parts of a mixture, and payoffs that are at least 0, the worst action in each state paying 0.

    Attributes
    ----------
    parts : tuple of MixturePart
    payoff : array, shape (W, A)
        Of value 1.
    scale : float
        A power of two, at least the largest payoff, in payoff units.
    """

    parts: tuple[MixturePart, ...]
    payoff: FloatArray
    scale: float

    @classmethod
    def of(cls, params: Params, population: DirichletBeliefs) -> DirichletTypes:
        """Those of a market.

        Raises
        ------
        ModelError
            If there are too many states, or values without an end.
        """
        belief, value = population.belief, population.value
        if belief.states > MOST_STATES:
            raise ModelError(
                f"is for {belief.states} states; all beliefs are dealt with for at most {MOST_STATES}: give types",
                field="params.belief",
            )
        if any(sum(parameters) > LARGEST_PARAMETERS for _, parameters in belief.components):
            raise ModelError(
                f"has parameters that sum to more than {LARGEST_PARAMETERS:g}: floats do not tell such beliefs apart",
                field="params.belief",
            )
        of_values, fixed_value = ((), float(value)) if isinstance(value, Fraction) else ((value,), None)
        most = value if isinstance(value, Fraction) else value.support[1]
        if not isinstance(most, Fraction):
            raise ModelError("has no end; with dirichlet truncate it", field="params.value")
        parts = tuple(
            MixturePart(float(weight), (*of_values, *sticks(parameters)), fixed_value, largest_share(parameters))
            for weight, parameters in belief.components
        )
        payoff = np.eye(belief.states) if params.payoff == "matching" else floats(params.payoff)
        payoff = payoff - payoff.min(axis=1, keepdims=True)
        largest = payoff.max() * float(most)
        return cls(parts, payoff, 2.0 ** math.ceil(math.log2(largest)) if largest else 1.0)

    @cached_property
    def regret(self) -> FloatArray:
        """What each action loses against the best one in each state, shape (W, A).

        At least 0, so that worth is computed without cancellation.
        """
        return np.asarray(self.payoff.max(axis=1, keepdims=True) - self.payoff)

    @cached_property
    def matching_payoff(self) -> float | None:
        """What the right action pays where each state has one of its own and all others pay nothing: the same in all states."""
        used = self.payoff[:, self.payoff.any(axis=0)]
        right = used.max(initial=0.0)
        matching = used.size and (np.count_nonzero(used, axis=0) == 1).all() and (used.max(axis=1) == right).all()
        return float(right) if matching and np.all((used == 0) | (used == right)) else None

    @property
    def dimensions(self) -> int:
        """How many independent numbers make a type."""
        return len(self.parts[0].numbers)

    def boxes(self, size: int) -> Boxes:
        """Each number cut into intervals of equal mass, boxes without mass left out."""
        found = []
        for part in self.parts:
            sides = []
            for number in part.numbers:
                edges = sorted(set(equal_mass_edges(number, size)))
                cells = np.array([[float(m), float(s)] for m, s in number.cells(edges)])
                low, high = floats(edges[:-1]), floats(edges[1:])
                kept = cells[:, 0] > 0
                mass, place = cells[kept, 0], (cells[kept, 1] / cells[kept, 0] - low[kept]) / (high - low)[kept]
                sides.append((mass, np.clip(place, 0, 1), low[kept], high[kept]))
            at = np.indices([len(side[0]) for side in sides]).reshape(len(sides), -1)
            mass = part.weight * np.prod([side[0][k] for side, k in zip(sides, at, strict=True)], axis=0)
            corner, share = [], []
            for ends in itertools.product((0, 1), repeat=len(sides)):
                pairs = list(zip(sides, at, ends, strict=True))
                corner.append(part.types(np.stack([side[2 + end][k] for side, k, end in pairs], axis=-1)))
                share.append(np.prod([side[1][k] if end else 1 - side[1][k] for side, k, end in pairs], axis=0))
            found.append((mass, np.stack(corner, axis=1), np.stack(share, axis=1)))
        return Boxes(*(np.concatenate(parts) for parts in zip(*found, strict=True)))

    def lattice(self, depth: int) -> tuple[IntArray, IntArray]:
        """Boxes that cut each number into 2 to the power of `depth` intervals: where they start, and how far they reach."""
        place = np.indices((2**depth,) * self.dimensions).reshape(self.dimensions, -1).T * (FINEST_PARTS >> depth)
        return place, np.full(place.shape, FINEST_PARTS >> depth)

    def side(self, boxes: int) -> int:
        """Intervals of each number so that there are at most so many boxes."""
        return max(1, int((boxes / len(self.parts)) ** (1 / self.dimensions) + ROOT_ROUNDING))

    def product(self, types: FloatArray) -> FloatArray:
        """Measure times payoff, as menus take it, shape (T, W, 1, A)."""
        return np.asarray(types[:, :, None, None] * self.payoff[None, :, None, :])

    def outside(self, types: FloatArray) -> FloatArray:
        """What types get without buying."""
        return np.asarray((types @ self.payoff).max(axis=1))

    def worth(self, types: FloatArray) -> FloatArray:
        """What full information is worth to them."""
        return np.asarray((types @ self.regret).min(axis=-1))

    def drawn(self, boxes: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Types drawn two in each of at most so many boxes, shape (N, W), and their masses."""
        types, mass = [], []
        depth = int(np.log2(self.side(boxes)))
        for part in self.parts:
            place, step = self.lattice(depth)
            types.append(part.drawn(place, step, 2, rng).reshape(-1, len(self.payoff)))
            mass.append(np.repeat(part.mass(place, step) / 2, 2))
        return np.concatenate(types), np.concatenate(mass)


@lru_cache(maxsize=32)
def _finest_edges(number: Cdf) -> FloatArray:
    """`equal_mass_edges` of `FINEST_PARTS` intervals, in floats and in order whatever rounding did."""
    return np.maximum.accumulate(floats(equal_mass_edges(number, FINEST_PARTS)))


def equal_mass_edges(number: Cdf, size: int) -> list[Fraction]:
    """Ends of so many intervals of equal mass of a distribution.

    Raises
    ------
    ModelError
        If the distribution has no end.
    """
    low, high = number.support
    if not (isinstance(low, Fraction) and isinstance(high, Fraction)):
        raise ModelError("has no end; truncate it", field="params.value")
    return [low, *number.quantiles([Fraction(k, size) for k in range(1, size)]), high]
