"""Beliefs in three and more states, perhaps with values, as boxes of types; and any menu: what all types in a box surely pay.

A type is a point w of a cone, value times belief. Shares of what is left, and the value, are independent numbers, and a box of
them is a box of types: every type in it is an average of the box's corners, with weights that are products of the numbers' own.

In a box the item best at its middle is bought for sure if, used as one does there, it is worth more at every corner than any
other item, since worth is convex. Boxes where that fails are split, and in the end count with the least price.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

import numpy as np

from optmarket.distributions import Distribution
from optmarket.errors import ModelError
from optmarket.laws import Law
from optmarket.models._selling_information_fields import Params
from optmarket.models._selling_information_menu import TIE, choose, values
from optmarket.numbers import floats
from optmarket.program import FloatArray, IntArray
from optmarket.simplex import Dirichlet, sticks

MOST_STATES = 6
FINEST = 2**14  # parts of equal mass into which each number is cut at last
START = 4096  # boxes to begin with, at most
UNDECIDED = 120_000  # boxes split at once, at most
TINY = 1e-300


# Boxes of types --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A Dirichlet distribution of beliefs and an independent one of values.

    Attributes
    ----------
    weight : float
        In the mixture.
    numbers : tuple of Law
        The value, if it is distributed, and the shares.
    value : float or None
        The value if it is a number.
    """

    weight: float
    numbers: tuple[Law, ...]
    value: float | None

    @cached_property
    def edges(self) -> FloatArray:
        """Ends of `FINEST` intervals of about equal mass of each number, shape (D, FINEST + 1)."""
        return np.array([_finest(law) for law in self.numbers])

    @cached_property
    def levels(self) -> FloatArray:
        """Each number's distribution function at its `edges`: nothing proved rests on quantiles."""
        return np.array([law.cdf(edges) for law, edges in zip(self.numbers, self.edges, strict=True)])

    def at(self, place: IntArray) -> FloatArray:
        """The types at `edges` of given places, from shape (..., D) to (..., W)."""
        return self.types(np.stack([edges[place[..., k]] for k, edges in enumerate(self.edges)], axis=-1))

    def mass(self, place: IntArray, step: int) -> FloatArray:
        """Of boxes that reach from given places `step` edges on, from shape (C, D) to (C,)."""
        sides = [levels[place[:, k] + step] - levels[place[:, k]] for k, levels in enumerate(self.levels)]
        return np.asarray(self.weight * np.prod(sides, axis=0))

    def types(self, numbers: FloatArray) -> FloatArray:
        """The types of given numbers: from shape (..., D) to (..., W)."""
        shares = numbers if self.value is not None else numbers[..., 1:]
        value = np.full(numbers.shape[:-1], self.value) if self.value is not None else numbers[..., 0]
        one = np.ones((*shares.shape[:-1], 1))
        left = np.cumprod(np.concatenate([one, 1 - shares], axis=-1), axis=-1)
        return np.asarray(value[..., None] * left * np.concatenate([shares, one], axis=-1))


@dataclass(frozen=True)
class Boxes:
    """Boxes of types with their corners.

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
        """Shape (C, W)."""
        return np.asarray((self.share[:, :, None] * self.corner).sum(axis=1))


@dataclass(frozen=True)
class Simplex:
    """All types: parts of a mixture, and payoffs that are at least 0, the worst action in each state paying 0.

    Attributes
    ----------
    parts : tuple of Part
    payoff : array, shape (W, A)
        Of value 1.
    scale : float
    """

    parts: tuple[Part, ...]
    payoff: FloatArray
    scale: float

    @classmethod
    def of(cls, params: Params) -> Simplex:
        """Those of a market.

        Raises
        ------
        ModelError
            If there are too many states, or values without an end.
        """
        assert isinstance(params.belief, Dirichlet)
        if params.belief.states > MOST_STATES:
            raise ModelError(
                f"is for {params.belief.states} states; all beliefs are dealt with for at most {MOST_STATES}: give types",
                field="params.belief",
            )
        values: tuple[Law, ...] = ()
        value: float | None = None
        if isinstance(params.value, Distribution):
            if not isinstance(params.value.law.support[1], Fraction):
                raise ModelError("has no end; with dirichlet truncate it", field="params.value")
            values = (params.value.law,)
        else:
            value = 1.0 if params.value is None else float(params.value)
        parts = tuple(
            Part(float(weight), (*values, *sticks(parameters)), value) for weight, parameters in params.belief.components
        )
        payoff = np.eye(params.belief.states) if params.payoff == "matching" else floats(params.payoff)
        payoff = payoff - payoff.min(axis=1, keepdims=True)
        largest = payoff.max() * float(values[0].support[1] if values else params.buyers[0].value)
        return cls(parts, payoff, 2.0 ** math.ceil(math.log2(largest)) if largest else 1.0)

    @property
    def dimensions(self) -> int:
        """How many independent numbers make a type."""
        return len(self.parts[0].numbers)

    def boxes(self, size: int) -> Boxes:
        """Each number cut into intervals of equal mass, boxes without mass left out."""
        found = []
        for part in self.parts:
            sides = []
            for law in part.numbers:
                edges = sorted(set(_edges(law, size)))
                cells = np.array([[float(m), float(s)] for m, s in law.cells(edges)])
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

    def side(self, boxes: int) -> int:
        """Intervals of each number so that there are at most so many boxes."""
        return max(1, int((boxes / len(self.parts)) ** (1 / self.dimensions) + 1e-9))

    def product(self, types: FloatArray) -> FloatArray:
        """Measure times payoff, as menus take it, shape (T, W, 1, A)."""
        return np.asarray(types[:, :, None, None] * self.payoff[None, :, None, :])

    def outside(self, types: FloatArray) -> FloatArray:
        """What types get without buying."""
        return np.asarray((types @ self.payoff).max(axis=1))

    def worth(self, types: FloatArray) -> FloatArray:
        """What full information is worth to them."""
        return np.asarray(types @ self.payoff.max(axis=1) - self.outside(types))


@lru_cache(maxsize=32)
def _finest(law: Law) -> FloatArray:
    """`_edges` of `FINEST` intervals, in floats and in order whatever rounding did."""
    return np.maximum.accumulate(floats(_edges(law, FINEST)))


def _edges(law: Law, size: int) -> list[Fraction]:
    """Ends of intervals of equal mass."""
    low, high = law.support
    assert isinstance(low, Fraction) and isinstance(high, Fraction)
    return [low, *law.quantiles([Fraction(k, size) for k in range(1, size)]), high]


# What a menu earns -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sales:
    """What a menu does to all types.

    Attributes
    ----------
    lower, upper : float
        Between which its revenue lies.
    revenue, surplus : float
        Estimates: boxes not decided count as their middles do.
    share : array, shape (M,)
        Of buyers, by item; an estimate too.
    belief : array, shape (M, W)
        What an item's buyers believe on average; not a number if it has none.
    """

    lower: float
    upper: float
    revenue: float
    surplus: float
    share: FloatArray
    belief: FloatArray

    @property
    def outcome(self) -> dict[str, float]:
        """What the menu brings about."""
        return {
            "revenue": self.revenue,
            "revenue-error": max(self.upper - self.revenue, self.revenue - self.lower),
            "surplus": self.surplus,
            "welfare": self.revenue + self.surplus,
            "share-served": float(self.share.sum()),
        }


def serve(simplex: Simplex, experiment: FloatArray, price: FloatArray) -> Sales:
    """Let every type choose from a menu, ties for the seller: boxes are split until all in them surely pay the same.

    Parameters
    ----------
    simplex : Simplex
    experiment : array, shape (M, W, N)
    price : array, shape (M,)
    """
    tie = TIE * simplex.scale
    nothing = np.zeros((1, *experiment.shape[1:]))
    nothing[:, :, 0] = 1.0
    items, prices = np.concatenate([experiment, nothing]), np.append(price, 0.0)
    lower = upper = revenue = surplus = 0.0
    share, belief = np.zeros(len(prices)), np.zeros((len(prices), len(simplex.payoff)))
    ends = np.array(list(itertools.product((0, 1), repeat=simplex.dimensions)))
    for part in simplex.parts:
        depth = int(np.log2(simplex.side(START * len(simplex.parts))))
        place = np.indices((2**depth,) * simplex.dimensions).reshape(simplex.dimensions, -1).T
        while len(place):
            step = FINEST >> depth
            mass = part.mass(place, step)
            corner = part.at((place[:, None, :] + ends) * step)
            middle = part.at(place * step + step // 2)
            net = values(simplex.product(middle), items) - prices
            pick = choose(net[:, :-1] + price, net[:, -1], price, tie, for_seller=True)
            low, high = _between(simplex, corner, middle, items, prices, pick, tie)
            split = high > low
            if step == 2 or split.sum() * len(ends) > UNDECIDED:
                split[:] = False
            done = ~split
            mass, low, high, item, kind = mass[done], low[done], high[done], pick[done] % len(prices), middle[done]
            lower, upper = lower + float(mass @ low), upper + float(mass @ high)
            revenue += float(mass @ prices[item])
            surplus += float(mass @ (net[done, item] - net[done, -1]))
            share += np.bincount(item, mass, len(prices))
            np.add.at(belief, item, mass[:, None] * kind / np.maximum(kind.sum(axis=1, keepdims=True), TINY))
            place = (2 * place[split][:, None, :] + ends).reshape(-1, simplex.dimensions)
            depth += 1
    with np.errstate(invalid="ignore"):
        belief = belief[:-1] / share[:-1, None]
    return Sales(lower, upper, revenue, surplus, share[:-1], belief)


def _between(
    simplex: Simplex, corner: FloatArray, middle: FloatArray, items: FloatArray, prices: FloatArray, pick: IntArray, tie: float
) -> tuple[FloatArray, FloatArray]:
    """The least and the largest price that some type of a box may pay, shape (C,) each."""
    boxes, corners, states = corner.shape
    chosen = items[pick]
    # what one does at the middle after each signal of the item chosen there
    action = np.einsum("cw,cws,wa->csa", middle, chosen, simplex.payoff, optimize=True).argmax(axis=2)
    gain = (chosen * np.moveaxis(simplex.payoff[:, action], 0, 1)).sum(axis=2)
    sure = np.einsum("ciw,cw->ci", corner, gain) - prices[pick][:, None]
    net = values(simplex.product(corner.reshape(-1, states)), items).reshape(boxes, corners, -1) - prices
    rival = (net >= sure[:, :, None] - tie).any(axis=1)
    rival[np.arange(boxes), pick] = True
    return np.where(rival, prices, np.inf).min(axis=1), np.where(rival, prices, -np.inf).max(axis=1)
