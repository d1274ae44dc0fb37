"""Bounds on the optimal revenue of competing buyers with a common prior and a continuum of values, by sums alone.

With P(s) = E[(s - phi)^+] as in `value_cells`, th the largest entry of the prior, and S the rivals' virtual values, times
alpha/(n - 1), revenue is

    (1 - th) (sum of lowest values) + sum over buyers of G,
    G = (1 - th) E[P(S)] (ex post),    G = min over p of E[(P(S) - p)^+] + (1 - th) p (Bayesian),

in which no term is negative, so that nothing cancels however far values are from zero or however rare some of them are: G is what
is earned by incorrect recommendations to a buyer. It rises if virtual values are spread, with or without their mean kept, and any
p bounds it. Virtual values are those of cells, which are cut where the bounds differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.distributions.cdf import Cdf
from optmarket.models.competing_buyers.virtual_values.ironing import VirtualValues
from optmarket.models.competing_buyers.virtual_values.sums import on_lattice
from optmarket.models.competing_buyers.virtual_values.value_cells import Atoms, ValueCells
from optmarket.options import Deadline
from optmarket.tolerances import SUM_ROUNDING

LOWEST_VALUE_ROUNDING = 4e-16  # of the lowest values: the rounding of their sum
CLOSED_GAP = 3e-10  # relative gap at which cells are fine enough
MOST_CELLS = 40_000
CELL_GROWTH = 2  # of the number of cells when they are cut
LOSS_AIMED_AT = 0.6  # of a loss that is allowed
STEPS_PER_CELL = 4  # of the upper curve
LATTICE_POINTS, FEWEST_LATTICE_POINTS = 1 << 18, 1 << 14
LATTICE_POINTS_PER_CELL = 64
USUAL_SHARE = 0.99  # of virtual values are at most the usual one
HUGE_VIRTUAL_VALUE = 1e100  # beyond which products of virtual values are not floats
SLOW_PROGRESS = 0.7  # of the gap that finer cells leave: then they help no more
TRANSFORM_ROUNDING = 2.0**-50  # of sums by Fourier transforms, relative to a vector's length and the logarithm of their points

End = Literal["lower", "upper"]


@dataclass(frozen=True)
class Bracket:
    """Bounds on the optimal revenue, in payoff units, and the cells that they come from.

    Attributes
    ----------
    lower, upper : float
        Cells and rounding hold them apart.
    shapes_known : bool
        Whether it is known where all densities rise and fall: else bounds close slowly.
    cuts : tuple
        The cells that were tried, coarse to fine: what a mechanism for them earns at least, and for each group of buyers the
        cells and where their bounds differ, None of finitely many values.
    """

    lower: float
    upper: float
    shapes_known: bool = True
    cuts: tuple[tuple[float, tuple[tuple[ValueCells, FloatArray] | None, ...]], ...] = ()


def cells_losing(found: Bracket, loss: float) -> list[list[FloatArray]]:
    """Ends of cells for a mechanism that ought to earn the optimum but for a loss, for each group of buyers; then finer ones.

    Parameters
    ----------
    found : Bracket
    loss : float
        In payoff units.
    """
    made = []
    for k, (value, cuts) in enumerate(found.cuts):
        lacking = found.upper - value
        last = k + 1 == len(found.cuts)
        if lacking <= loss or last or found.upper - found.cuts[k + 1][0] > loss:
            growth = 1.0
        else:  # coarse by a little: fewer cells will do than the next ones
            growth = math.sqrt(lacking / (LOSS_AIMED_AT * loss))
        if lacking <= loss or growth > 1 or last:
            made.append(
                [np.zeros(0) if cut is None else (cut[0].cut(cut[1], growth) if growth > 1 else cut[0]).nodes for cut in cuts]
            )
    return made


@dataclass
class _BoundedBuyer:
    """One group's buyer: its lowest value, and its virtual values as atoms that bound revenue from either end."""

    base: float
    atoms: dict[End, Atoms]
    cells: ValueCells | None = None
    error: FloatArray = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of(cls, given: Cdf | VirtualValues) -> _BoundedBuyer:
        if isinstance(given, VirtualValues):
            value, weight = given.distinct
            base = float(given.lowest)
            atoms = Atoms(value - base, weight, np.arange(len(value)))
            return cls(base, {"lower": atoms, "upper": atoms})
        cells = ValueCells.coarse(given)
        return cls(float(cells.nodes[0]), {"lower": cells.lower, "upper": cells.upper}, cells, np.zeros(len(cells.nodes) - 1))

    def refine(self) -> None:
        """Cut cells where the bounds differ."""
        if self.cells is None:
            return
        self.cells = self.cells.cut(self.error, CELL_GROWTH)
        self.atoms = {"lower": self.cells.lower, "upper": self.cells.upper}
        self.error = np.zeros(len(self.cells.nodes) - 1)

    @property
    def size(self) -> int:
        """How many cells there are."""
        return len(self.error)

    def note_error(self, cost: FloatArray, mass: FloatArray) -> None:
        """Note where the bounds on P differ, at costs above the lowest value that matter so much."""
        if self.cells is None:
            return
        lower, upper = self.atoms["lower"], self.atoms["upper"]
        apart = mass * (upper.expected_shortfall(cost) - lower.expected_shortfall(cost))
        last = self.size - 1
        for atoms, steps in ((lower, 1), (upper, STEPS_PER_CELL)):
            at = np.searchsorted(atoms.value, cost)
            first = np.append(atoms.start, STEPS_PER_CELL * self.size)
            for step in (np.maximum(first[at] - 1, 0), first[at]):
                np.add.at(self.error, np.minimum(step // steps, last), apart)


def bracket(
    populations: Sequence[Cdf | VirtualValues],
    counts: Sequence[int],
    uninformed: float,
    externality: float,
    *,
    ex_post: bool,
    closed: float = CLOSED_GAP,
    deadline: Deadline | None = None,
) -> Bracket:
    """Bounds on the optimal revenue that hold for any distributions of values, rounding included.

    Parameters
    ----------
    populations : sequence of Cdf or VirtualValues
        Distributions of values, or finitely many of them.
    counts : sequence of int
        How many buyers there are of each.
    uninformed, externality : float
        The largest entry of the prior, and the externality.
    ex_post : bool
    closed : float
        The relative gap at which to stop.
    deadline : Deadline, optional
        After which no finer cells are begun.
    """
    if uninformed == 1:  # buyers know the state: nothing is sold
        return Bracket(0.0, 0.0)
    buyers = [_BoundedBuyer.of(one) for one in populations]
    shapes_known = all(buyer.cells is None or buyer.cells.shapes_known for buyer in buyers)
    base = sum(count * buyer.base for buyer, count in zip(buyers, counts, strict=True))
    lower, upper = -np.inf, np.inf
    cuts: list[tuple[float, tuple[tuple[ValueCells, FloatArray] | None, ...]]] = []
    while True:
        before, size = upper - lower, max(buyer.size for buyer in buyers)
        points = min(max(FEWEST_LATTICE_POINTS, 1 << (LATTICE_POINTS_PER_CELL * size).bit_length()), LATTICE_POINTS)
        earned = {
            end: _earned(buyers, counts, uninformed, externality, end, points, ex_post=ex_post) for end in ("lower", "upper")
        }
        stake = sum(
            count * float(buyer.atoms["upper"].expected_shortfall(np.zeros(1))[0])
            for buyer, count in zip(buyers, counts, strict=True)
        )
        slip = SUM_ROUNDING * (1 + externality) * stake + LOWEST_VALUE_ROUNDING * len(counts) * (1 + externality) * base * (
            1 - uninformed
        )
        here = (1 - uninformed) * base + earned["lower"] - slip
        cuts.append((here, tuple(None if buyer.cells is None else (buyer.cells, buyer.error) for buyer in buyers)))
        lower = max(lower, here)
        upper = min(upper, (1 - uninformed) * base + earned["upper"] + slip)
        done = upper - lower <= closed * upper + 4 * slip or size > MOST_CELLS
        slow = points == LATTICE_POINTS and upper - lower > SLOW_PROGRESS * before and sum(counts) > 2
        if done or slow or (deadline is not None and deadline.passed):
            return Bracket(float(lower), float(upper), shapes_known, tuple(cuts))
        sizes = [buyer.size for buyer in buyers]
        for buyer in buyers:
            buyer.refine()
        if sizes == [buyer.size for buyer in buyers]:  # floats end
            return Bracket(float(lower), float(upper), shapes_known, tuple(cuts))


def _earned(
    buyers: Sequence[_BoundedBuyer],
    counts: Sequence[int],
    uninformed: float,
    externality: float,
    end: End,
    points: int,
    *,
    ex_post: bool,
) -> float:
    """G of all buyers together, what is earned by incorrect recommendations, bounded from one end."""
    n = sum(counts)
    per_rival = externality / (n - 1)
    total = 0.0
    for g, (buyer, count) in enumerate(zip(buyers, counts, strict=True)):
        others = [h for h, many in enumerate(counts) for _ in range(many - (h == g))]
        shift = per_rival * sum(buyers[h].base for h in others) - buyer.base
        value, weight, slack, noise = _rivals(buyer, [buyers[h] for h in others], per_rival, end, points)
        cost = value + shift
        shortfall = buyer.atoms[end].expected_shortfall(cost)
        threshold, price, part = -np.inf, 0.0, 1 - uninformed if ex_post else 1.0
        if not ex_post:
            above = np.cumsum(weight[::-1])[::-1]
            k = int(np.searchsorted(-above, uninformed - 1))  # the first that, with all after it, weighs at most 1 - uninformed
            if k:
                threshold, price = float(cost[k - 1]), float(shortfall[k - 1])
        rest = np.maximum(shortfall - price, 0.0)
        gained = part * float(rest @ weight) + (1 - uninformed) * price
        slack = part * (slack + (noise * float(np.linalg.norm(rest)) if noise else 0.0))
        total += count * (gained + slack if end == "upper" else gained - slack)
        matter = cost >= threshold
        buyer.note_error(cost[matter], count * part * weight[matter])
        if len(others) == 1 and per_rival:
            # the rival's errors weigh where the buyer's own virtual values, and the threshold, are
            rival, own = buyers[others[0]], buyer.atoms[end]
            matter = own.value > threshold
            at, mass = own.value[matter], part * own.weight[matter]
            if np.isfinite(threshold):
                at, mass = np.append(at, threshold), np.append(mass, own.mass_below(np.array([threshold])))
            rival.note_error((at + buyer.base) / per_rival - rival.base, count * per_rival * mass)
        else:  # where they are is not known so well: about where its own are
            for h in set(others):
                every = buyers[h].atoms["lower"]
                buyers[h].note_error(every.value, count * per_rival * every.weight)
    return total


def _rivals(
    buyer: _BoundedBuyer, others: Sequence[_BoundedBuyer], per_rival: float, end: End, points: int
) -> tuple[FloatArray, FloatArray, float, float]:
    """The sum of a buyer's rivals' virtual values above their lowest ones, times alpha/(n - 1).

    Returns
    -------
    value, weight : array
    missed : float
        What a function of the sum, of slopes between 0 and 1, may miss in the mean.
    noise : float
        The Euclidean norm of the error of the weights.
    """
    atoms = [other.atoms[end] for other in others]
    if per_rival == 0:
        return np.zeros(1), np.ones(1), 0.0, 0.0
    known = per_rival * sum(float(each.value[0]) for each in atoms if len(each.value) == 1)
    atoms = [each for each in atoms if len(each.value) > 1]
    if not atoms:
        return np.array([known]), np.ones(1), 0.0, 0.0
    if len(atoms) == 1:
        return known + per_rival * atoms[0].value, atoms[0].weight, per_rival * atoms[0].above if end == "upper" else 0.0, 0.0
    shift = known + per_rival * sum(other.base for other in others) - buyer.base

    high = per_rival * sum(_usual(each) for each in atoms)

    def worth(one: Atoms, value: FloatArray) -> FloatArray:
        # the other rivals as high as is usual, or all as high as this one
        return buyer.atoms[end].expected_shortfall(
            np.maximum(high + per_rival * (value - _usual(one)), per_rival * len(atoms) * value) + shift
        )

    value, weight, missed, noise = _on_lattice(atoms, per_rival, end, points, worth)
    return known + value, weight, missed, noise


def _on_lattice(
    atoms: Sequence[Atoms], per_rival: float, end: End, points: int, worth: Callable[[Atoms, FloatArray], FloatArray]
) -> tuple[FloatArray, FloatArray, float, float]:
    """`_rivals` for two and more, on a lattice between whose points each term is split with its mean kept.

    That spreads sums: above it may stay; from below what it may add is taken off. What lies below the lattice counts, above, as
    its lowest point, and from below as nothing earned; what lies beyond its end counts as that, and above what that may miss is
    added.
    """
    different = {id(each): each for each in atoms}
    ends = {key: _range(each, per_rival, points / len(atoms), worth) for key, each in different.items()}
    step = per_rival * sum(ends[id(each)][1] - ends[id(each)][0] for each in atoms) / (points - 4 * len(atoms))
    masses, missed = {}, 0.0
    for key, each in different.items():
        low, high = ends[key]
        weight = np.where(each.value < low, 0.0, each.weight) if end == "lower" else each.weight
        place = per_rival * (np.clip(each.value, low, high) - low) / step if step else np.zeros(len(weight))
        at = place.astype(np.int64)
        part = place - at
        split = np.concatenate([weight * (1 - part), weight * part])
        masses[key] = np.asarray(np.bincount(np.concatenate([at, at + 1]), split), dtype=np.float64)
        if end == "upper":
            beyond = per_rival * (float(np.maximum(each.value - high, 0.0) @ each.weight) + each.above)
            missed += beyond * sum(other is each for other in atoms)
    start = per_rival * sum(ends[id(each)][0] for each in atoms)
    sums = on_lattice([masses[id(each)] for each in atoms], start, step, len(atoms) / 4 if end == "lower" else 0.0)
    # the error of transforms, as a vector's length
    noise = TRANSFORM_ROUNDING * np.log2(points) * sum(float(np.linalg.norm(masses[id(each)])) for each in atoms)
    return sums.value, sums.weight, sums.excess + missed, float(noise)


def _usual(atoms: Atoms) -> float:
    """A virtual value that few exceed."""
    return float(atoms.value[min(int(np.searchsorted(atoms.partial_sums[0][1:], USUAL_SHARE)), len(atoms.value) - 1)])


def _range(atoms: Atoms, per_rival: float, size: float, worth: Callable[[Atoms, FloatArray], FloatArray]) -> tuple[float, float]:
    """Between which virtual values a lattice of so many points is best spread: its step costs about its square.

    Parameters
    ----------
    worth : callable
        About what sums are worth if one of the terms is this virtual value.
    """
    mass, weight = atoms.partial_sums[0][1:], atoms.weight
    value, profit = np.clip(atoms.value, -HUGE_VIRTUAL_VALUE, HUGE_VIRTUAL_VALUE), float(atoms.expected_shortfall(np.zeros(1))[0])
    beyond = (np.append(np.cumsum(each[::-1])[::-1][1:], 0.0) for each in (weight * value, weight))
    tail = next(beyond) - value * next(beyond)
    rare = (mass - atoms.weight) * worth(atoms, value)
    first = int(np.searchsorted(mass, 1e-3))
    last = first + int(np.argmin(per_rival * tail[first:] + (per_rival * (value[first:] - value[first]) / size) ** 2 / profit))
    first = int(np.argmin(rare[: last + 1] + (per_rival * (value[last] - value[: last + 1]) / size) ** 2 / profit))
    return float(value[first]), float(value[last])
