"""Beliefs in three and more states, perhaps with values, as boxes of types; and any menu: what all types in a box surely pay.

A type is a point w of a cone, value times belief. Shares of what is left, and the value, are independent numbers, and a box of
them is a box of types: every type in it is an average of the box's corners, with weights that are products of the numbers' own.

In a box the item best at its middle is bought for sure if, used as one does there, it is worth more at every corner than any
other item, since worth is convex. Boxes where that fails are split, and in the end count with the least price.

Matching payoffs and a menu of full information alone need no boxes: it is worth one less the largest probability, whose
distribution is known to many digits (`optmarket.largest_share`).
"""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from optmarket.distributions.cdf import Law
from optmarket.distributions.dirichlet import Dirichlet, sticks
from optmarket.distributions.largest_share import LargestShare, largest_share
from optmarket.distributions.specification import Distribution
from optmarket.errors import ModelError
from optmarket.lp.program import FloatArray, IntArray
from optmarket.models.selling_information.menu import TIE, choose, values
from optmarket.models.selling_information.params import Params
from optmarket.rationals import floats

MOST_STATES = 6
LARGEST = 1e12  # sum of a distribution's parameters
FINEST = 2**14  # parts of equal mass into which each number is cut at last
START = 4096  # boxes to begin with, at most
UNDECIDED = 240_000  # corners of boxes halved at once, at most
BLOCK = 4096  # boxes whose corners are judged at once
DRAWN = 2**18  # types drawn in the boxes of one size, about
MOST_DRAWN = 16  # in one box
CELLS = 2**11  # of values, where full information alone is judged
SEARCHED = 1024  # prices tried at first, and split at once at most
COARSE = 64  # cells of values meanwhile
POLISHED = 16  # prices tried around the best with all cells of values, a few times
SPLIT = 8
CLOSE = 1e-12
TINY = 1e-300
ROUNDING = 1e-9


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
    largest : LargestShare or None
        How one less the largest probability is distributed, if that is known.
    """

    weight: float
    numbers: tuple[Law, ...]
    value: float | None
    largest: LargestShare | None = None

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
        if any(sum(parameters) > LARGEST for _, parameters in params.belief.components):
            raise ModelError(
                f"has parameters that sum to more than {LARGEST:g}: floats do not tell such beliefs apart", field="params.belief"
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
            Part(float(weight), (*values, *sticks(parameters)), value, largest_share(parameters))
            for weight, parameters in params.belief.components
        )
        payoff = np.eye(params.belief.states) if params.payoff == "matching" else floats(params.payoff)
        payoff = payoff - payoff.min(axis=1, keepdims=True)
        largest = payoff.max() * float(values[0].support[1] if values else params.buyers[0].value)
        return cls(parts, payoff, 2.0 ** math.ceil(math.log2(largest)) if largest else 1.0)

    @cached_property
    def regret(self) -> FloatArray:
        """What each action misses in each state, shape (W, A): at least 0, so that worth is computed without cancellation."""
        return np.asarray(self.payoff.max(axis=1, keepdims=True) - self.payoff)

    @cached_property
    def stake(self) -> float | None:
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

    def lattice(self, depth: int) -> tuple[IntArray, IntArray]:
        """Boxes that cut each number into 2 to the power of `depth` intervals: where they start, and how far they reach."""
        place = np.indices((2**depth,) * self.dimensions).reshape(self.dimensions, -1).T * (FINEST >> depth)
        return place, np.full(place.shape, FINEST >> depth)

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
        Estimates: in boxes that are not decided drawn types count.
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


def serve(simplex: Simplex, experiment: FloatArray, price: FloatArray, end: float = math.inf) -> Sales:
    """Let every type choose from a menu, ties for the seller.

    What full information alone earns where payoffs match is known from `Truth`. Else boxes are halved, each across the number
    that moves its types most, until all types in them are certain to pay the same.

    Parameters
    ----------
    simplex : Simplex
    experiment : array, shape (M, W, N)
    price : array, shape (M,)
    end : float
        On the clock of `time.perf_counter`: boxes undecided by then stay so, and the bounds as wide.
    """
    rng = np.random.default_rng(0)
    if simplex.stake is not None and len(price) and (np.count_nonzero(experiment, axis=1) <= 1).all():
        return _truth_alone(simplex, price, rng)
    tie = TIE * simplex.scale
    nothing = np.zeros((1, *experiment.shape[1:]))
    nothing[:, :, 0] = 1.0
    items, prices = np.concatenate([experiment, nothing]), np.append(price, 0.0)
    lower = upper = revenue = surplus = 0.0
    share, belief = np.zeros(len(prices)), np.zeros((len(prices), len(simplex.payoff)))
    ends = np.array(list(itertools.product((0, 1), repeat=simplex.dimensions)))
    for part in simplex.parts:
        depth = int(np.log2(simplex.side(START * len(simplex.parts))))
        place, step = simplex.lattice(depth)
        while len(place):
            found = [
                _decided(simplex, part, *block, ends, items, prices, tie)
                for block in zip(_blocks(place), _blocks(step), strict=True)
            ]
            low, high, across = (np.concatenate(sides) for sides in zip(*found, strict=True))
            rows = np.arange(len(place))
            split = (high > low) & (step[rows, across] > 2)
            if split.sum() * len(ends) > UNDECIDED or time.perf_counter() > end:
                split[:] = False
            done = ~split
            mass, low, high = part.mass(place[done], step[done]), low[done], high[done]
            lower, upper = lower + float(mass @ low), upper + float(mass @ high)
            count = 2 * int(np.clip(DRAWN // 2 // max(1, done.sum()), 1, MOST_DRAWN // 2))
            for block, reach, here, least, most in zip(*map(_blocks, (place[done], step[done], mass, low, high)), strict=True):
                kind = part.drawn(block, reach, count, rng).reshape(-1, len(simplex.payoff))
                net = values(simplex.product(kind), items) - prices
                pick = choose(net[:, :-1] + price, net[:, -1], price, tie, for_seller=True) % len(prices)
                each = np.repeat(here / count, count)
                # what all in a box pay is known
                revenue += float(each @ np.clip(prices[pick], np.repeat(least, count), np.repeat(most, count)))
                surplus += float(each @ (net[np.arange(len(pick)), pick] - net[:, -1]))
                share += np.bincount(pick, each, len(prices))
                np.add.at(belief, pick, each[:, None] * kind / np.maximum(kind.sum(axis=1, keepdims=True), TINY))
            half = np.zeros_like(step[split])
            half[np.arange(len(half)), across[split]] = step[rows, across][split] // 2
            place = np.concatenate([place[split], place[split] + half])
            step = np.tile(step[split] - half, (2, 1))
    with np.errstate(invalid="ignore"):
        belief = belief[:-1] / share[:-1, None]
    # sums of the boxes' masses miss the distribution's by their rounding
    lower, upper = lower * (1 - ROUNDING), upper * (1 + ROUNDING)
    return Sales(lower, upper, min(max(revenue, lower), upper), surplus, share[:-1], belief)


def _blocks(rows: Any) -> list[Any]:
    return [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]


def _decided(
    simplex: Simplex,
    part: Part,
    place: IntArray,
    step: IntArray,
    ends: IntArray,
    items: FloatArray,
    prices: FloatArray,
    tie: float,
) -> tuple[FloatArray, FloatArray, IntArray]:
    """The least and the largest price that some type of a box may pay, and across which number to halve it, shape (C,) each."""
    corner = part.at(place[:, None, :] + ends * step[:, None, :])
    middle = part.at(place + step // 2)
    net = values(simplex.product(middle), items) - prices
    pick = choose(net[:, :-1] + prices[:-1], net[:, -1], prices[:-1], tie, for_seller=True)
    boxes, corners, states = corner.shape
    chosen = items[pick]
    # what one does at the middle after each signal of the item chosen there
    action = np.einsum("cw,cws,wa->csa", middle, chosen, simplex.payoff, optimize=True).argmax(axis=2)
    gain = (chosen * np.moveaxis(simplex.payoff[:, action], 0, 1)).sum(axis=2)
    sure = np.einsum("ciw,cw->ci", corner, gain) - prices[pick][:, None]
    net = values(simplex.product(corner.reshape(-1, states)), items).reshape(boxes, corners, -1) - prices
    rival = (net >= sure[:, :, None] - tie).any(axis=1)
    rival[np.arange(boxes), pick] = True
    # from the corners where a number is least to those where it is largest
    moves = np.stack(
        [np.abs(corner[:, ends[:, k] == 1] - corner[:, ends[:, k] == 0]).sum(axis=(1, 2)) for k in range(ends.shape[1])], axis=1
    )
    moves[step <= 2] = -1.0
    low, high = np.where(rival, prices, np.inf).min(axis=1), np.where(rival, prices, -np.inf).max(axis=1)
    return low, high, moves.argmax(axis=1)


# Full information, matching payoffs ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """What full information is worth where payoffs match: value times one less the largest probability, over all types.

    Attributes
    ----------
    simplex : Simplex
        With a `stake`.
    """

    simplex: Simplex

    @cached_property
    def error(self) -> float:
        """Relative error of probabilities, as the distribution functions allow."""
        return max(part.largest.error for part in self.simplex.parts if part.largest is not None)

    def cells(self, count: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Values in about so many cells of equal mass: masses, lower ends, means and upper ends."""
        part, stake = self.simplex.parts[0], self.simplex.stake or 0.0
        if part.value is not None:
            value = np.array([part.value * stake])
            return np.ones(1), value, value, value
        law = part.numbers[0]
        edges = sorted(set(_edges(law, count)))
        cells = np.array([[float(m), float(s)] for m, s in law.cells(edges)])
        ends = floats(edges)
        kept = cells[:, 0] > 0
        low, high = ends[:-1][kept], ends[1:][kept]
        return cells[kept, 0], stake * low, stake * np.clip(cells[kept, 1] / cells[kept, 0], low, high), stake * high

    @cached_property
    def fine(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """`cells`, many of them."""
        return self.cells(CELLS)

    def _over(self, which: str, price: FloatArray, mass: FloatArray, value: FloatArray) -> FloatArray:
        """A function of `LargestShare` at prices over values, the mean over values and parts."""
        ratio = np.divide(price[:, None], value, out=np.full((len(price), len(value)), np.inf), where=value > 0)
        found = np.zeros(len(price))
        for part in self.simplex.parts:
            known = getattr(part.largest, which)(ratio)
            found += part.weight * ((known * (value if which == "mean_beyond" else 1.0)) @ mass)
        return found

    def share(self, price: float) -> tuple[float, float, float]:
        """Of buyers at a price: at least, about, and at most."""
        mass, low, mean, high = self.fine
        least, about, most = (float(self._over("beyond", np.array([price]), mass, value)[0]) for value in (low, mean, high))
        return max(0.0, least * (1 - self.error)), about, min(1.0, most * (1 + self.error))

    def surplus(self, price: float) -> float:
        """What buyers keep at a price."""
        mass, _, mean, _ = self.fine
        at = np.array([price])
        return float(self._over("mean_beyond", at, mass, mean)[0] - price * self._over("beyond", at, mass, mean)[0])

    @cached_property
    def mean(self) -> float:
        """What it is worth to all: the value of information."""
        mass, _, value, _ = self.cells(1)
        return float(self._over("mean_beyond", np.zeros(1), mass, value)[0])

    @cached_property
    def price(self) -> float:
        """At which it earns most: cells of prices that may hold more are split until none does by much."""
        mass, _, value, high = self.cells(COARSE)
        top = float(high.max()) * max(part.largest.most for part in self.simplex.parts if part.largest is not None)
        edges = np.unique(np.concatenate([top * np.linspace(0, 1, SEARCHED), self.mean * np.geomspace(1e-3, 1e3, SEARCHED)]))
        edges = edges[edges <= top]
        left, right = edges[:-1], edges[1:]
        share = self._over("beyond", edges, mass, value)
        best = float(edges[(edges * share).argmax()])
        most, bound = float((edges * share).max()), right * share[:-1]
        while True:
            split = bound > most * (1 + CLOSE)
            if not split.any() or split.sum() > SEARCHED:
                break
            parts = left[split][:, None] + (right - left)[split][:, None] * np.arange(SPLIT + 1) / SPLIT
            share = self._over("beyond", parts.ravel(), mass, value).reshape(parts.shape)
            if (parts * share).max() > most:
                most, best = float((parts * share).max()), float(parts.ravel()[(parts * share).argmax()])
            left, right, bound = parts[:, :-1].ravel(), parts[:, 1:].ravel(), (parts[:, 1:] * share[:, :-1]).ravel()
        if len(mass) == 1:
            return best
        mass, _, value, _ = self.fine
        width = 0.02 * best
        for _ in range(4):
            near = best + width * np.linspace(-1, 1, POLISHED + 1)
            best = float(near[(near * self._over("beyond", near, mass, value)).argmax()])
            width *= 4 / POLISHED
        return best


def _truth_alone(simplex: Simplex, price: FloatArray, rng: np.random.Generator) -> Sales:
    """`Sales` of a menu on which all items tell everything: the cheapest is bought, if any."""
    item = int(price.argmin())
    at, truth = float(price[item]), Truth(simplex)
    least, about, most = truth.share(at)
    share, belief = np.zeros(len(price)), np.full((len(price), len(simplex.payoff)), np.nan)
    share[item] = about
    types, mass = simplex.drawn(START, rng)
    buys = simplex.worth(types) >= at
    if (mass[buys] > 0).any():
        of_one = types[buys] / np.maximum(types[buys].sum(axis=1, keepdims=True), TINY)
        belief[item] = mass[buys] @ of_one / mass[buys].sum()
    low, high = sorted((at * least, at * most))
    return Sales(low, high, at * about, truth.surplus(at), share, belief)
