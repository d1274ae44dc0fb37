"""Demand of types with Dirichlet beliefs: what all types in a box certainly pay, and estimates of who buys what.

In a box the item best at its middle is bought for certain if, used as one does there, it is worth more at every corner than any
other item, since worth is convex. Boxes where that fails are split, and in the end count with the lowest price.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from optmarket.arrays import FloatArray, IntArray
from optmarket.models.selling_information.continuum.dirichlet_full_information import full_information_demand
from optmarket.models.selling_information.continuum.dirichlet_types import DirichletTypes, MixturePart
from optmarket.models.selling_information.experiments import values
from optmarket.models.selling_information.posting import choose
from optmarket.options import Deadline
from optmarket.tolerances import TIE

FIRST_BOXES = 4096  # to begin with, at most
MOST_UNDECIDED = 240_000  # corners of boxes halved at once, at most
BOXES_AT_ONCE = 4096  # whose corners are compared at once
DRAWN_TYPES, MOST_DRAWN_IN_A_BOX = 2**18, 16  # types drawn in the boxes of one size, about, and in one box, at most
LEAST_POSITIVE = 1e-300  # keeps a quotient of zeros from failing
MASSES_ROUNDING = 1e-9  # relative: what sums of the boxes' masses may miss


@dataclass(frozen=True)
class DirichletDemand:
    """What all types together do with a menu.

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
    def quantities(self) -> dict[str, float]:
        """What the menu brings about, by the names of `outcomes.QUANTITIES`."""
        return {
            "revenue": self.revenue,
            "revenue-error": max(self.upper - self.revenue, self.revenue - self.lower),
            "surplus": self.surplus,
            "welfare": self.revenue + self.surplus,
            "share-buying": float(self.share.sum()),
        }


def demand_in_boxes(
    types: DirichletTypes, experiment: FloatArray, price: FloatArray, deadline: Deadline | None = None
) -> DirichletDemand:
    """Let every type choose from a menu, ties for the seller.

    What full information alone earns where payoffs match is known from `full_information_demand`. Else boxes are halved, each
    across the number that moves its types most, until all types in them are certain to pay the same.

    Parameters
    ----------
    types : DirichletTypes
    experiment : array, shape (M, W, N)
    price : array, shape (M,)
    deadline : Deadline, optional
        Boxes undecided by then stay so, and the bounds as wide.
    """
    rng = np.random.default_rng(0)
    if types.matching_payoff is not None and len(price) and (np.count_nonzero(experiment, axis=1) <= 1).all():
        return _full_information_alone(types, price, rng)
    tie = TIE * types.scale
    nothing = np.zeros((1, *experiment.shape[1:]))
    nothing[:, :, 0] = 1.0
    items, prices = np.concatenate([experiment, nothing]), np.append(price, 0.0)
    lower = upper = revenue = surplus = 0.0
    share, belief = np.zeros(len(prices)), np.zeros((len(prices), len(types.payoff)))
    ends = np.array(list(itertools.product((0, 1), repeat=types.dimensions)))
    for part in types.parts:
        depth = int(np.log2(types.side(FIRST_BOXES * len(types.parts))))
        place, step = types.lattice(depth)
        while len(place):
            found = [
                _decided(types, part, *block, ends, items, prices, tie)
                for block in zip(_blocks(place), _blocks(step), strict=True)
            ]
            low, high, across = (np.concatenate(sides) for sides in zip(*found, strict=True))
            rows = np.arange(len(place))
            split = (high > low) & (step[rows, across] > 2)
            if split.sum() * len(ends) > MOST_UNDECIDED or (deadline is not None and deadline.passed):
                split[:] = False
            done = ~split
            mass, low, high = part.mass(place[done], step[done]), low[done], high[done]
            lower, upper = lower + float(mass @ low), upper + float(mass @ high)
            count = 2 * int(np.clip(DRAWN_TYPES // 2 // max(1, done.sum()), 1, MOST_DRAWN_IN_A_BOX // 2))
            for block, reach, here, least, most in zip(*map(_blocks, (place[done], step[done], mass, low, high)), strict=True):
                drawn = part.drawn(block, reach, count, rng).reshape(-1, len(types.payoff))
                net = values(types.product(drawn), items) - prices
                pick = choose(net[:, :-1] + price, net[:, -1], price, tie, for_seller=True) % len(prices)
                each = np.repeat(here / count, count)
                # what all in a box pay is known
                revenue += float(each @ np.clip(prices[pick], np.repeat(least, count), np.repeat(most, count)))
                surplus += float(each @ (net[np.arange(len(pick)), pick] - net[:, -1]))
                share += np.bincount(pick, each, len(prices))
                np.add.at(belief, pick, each[:, None] * drawn / np.maximum(drawn.sum(axis=1, keepdims=True), LEAST_POSITIVE))
            half = np.zeros_like(step[split])
            half[np.arange(len(half)), across[split]] = step[rows, across][split] // 2
            place = np.concatenate([place[split], place[split] + half])
            step = np.tile(step[split] - half, (2, 1))
    with np.errstate(invalid="ignore"):
        belief = belief[:-1] / share[:-1, None]
    # sums of the boxes' masses miss the distribution's by their rounding
    lower, upper = lower * (1 - MASSES_ROUNDING), upper * (1 + MASSES_ROUNDING)
    return DirichletDemand(lower, upper, min(max(revenue, lower), upper), surplus, share[:-1], belief)


def _blocks(rows: Any) -> list[Any]:
    return [rows[start : start + BOXES_AT_ONCE] for start in range(0, len(rows), BOXES_AT_ONCE)]


def _decided(
    types: DirichletTypes,
    part: MixturePart,
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
    net = values(types.product(middle), items) - prices
    pick = choose(net[:, :-1] + prices[:-1], net[:, -1], prices[:-1], tie, for_seller=True)
    boxes, corners, states = corner.shape
    chosen = items[pick]
    # what one does at the middle after each signal of the item chosen there
    action = np.einsum("cw,cws,wa->csa", middle, chosen, types.payoff, optimize=True).argmax(axis=2)
    gain = (chosen * np.moveaxis(types.payoff[:, action], 0, 1)).sum(axis=2)
    sure = np.einsum("ciw,cw->ci", corner, gain) - prices[pick][:, None]
    net = values(types.product(corner.reshape(-1, states)), items).reshape(boxes, corners, -1) - prices
    rival = (net >= sure[:, :, None] - tie).any(axis=1)
    rival[np.arange(boxes), pick] = True
    # from the corners where a number is least to those where it is largest
    moves = np.stack(
        [np.abs(corner[:, ends[:, k] == 1] - corner[:, ends[:, k] == 0]).sum(axis=(1, 2)) for k in range(ends.shape[1])], axis=1
    )
    moves[step <= 2] = -1.0
    low, high = np.where(rival, prices, np.inf).min(axis=1), np.where(rival, prices, -np.inf).max(axis=1)
    return low, high, moves.argmax(axis=1)


def _full_information_alone(types: DirichletTypes, price: FloatArray, rng: np.random.Generator) -> DirichletDemand:
    """Demand for a menu of which every item is full information: the cheapest is bought, if any."""
    item = int(price.argmin())
    at, full = float(price[item]), full_information_demand(types)
    least, middle, most = full.share(at)
    share, belief = np.zeros(len(price)), np.full((len(price), len(types.payoff)), np.nan)
    share[item] = middle
    drawn, mass = types.drawn(FIRST_BOXES, rng)
    buys = types.worth(drawn) >= at
    if (mass[buys] > 0).any():
        beliefs = drawn[buys] / np.maximum(drawn[buys].sum(axis=1, keepdims=True), LEAST_POSITIVE)
        belief[item] = mass[buys] @ beliefs / mass[buys].sum()
    low, high = sorted((at * least, at * most))
    return DirichletDemand(low, high, at * middle, full.surplus(at), share, belief)
