"""A continuum of types in cells: a mechanism for finitely many reports is one for all types, and is judged at the cells' ends.

All types of a cell make one report. What a deviation brings is convex in the type, and so is opting out, while obeying is linear:
if neither end of a cell gains by a deviation, no type between them does. Two types at the ends, weighted so that mass and mean
are the cell's, therefore stand for all of it, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from optmarket.arrays import FloatArray, NumberArray
from optmarket.distributions.cdf import Cdf, PiecewiseLinear
from optmarket.errors import InstanceError
from optmarket.models.competing_buyers.market import BuyerTypes, ContinuousBeliefs, ContinuousValues, Continuum, FiniteTypes
from optmarket.models.competing_buyers.mechanisms.finite_mechanism import FiniteMechanism
from optmarket.models.competing_buyers.mechanisms.json_fields import CELLS, numbers_of
from optmarket.models.competing_buyers.params import ContinuumOfBeliefs, ContinuumOfValues
from optmarket.rationals import floats

NEGLIGIBLE_MASS = 1e-9  # of a cell of beliefs, which counts as empty; its types are treated as the nearest of the others
LAST_CELL_LENGTH = 8  # of the last cell of unbounded values, in distances of its mean from its lower end
LARGE_VALUE = 8  # a value this many times the mean counts as the largest where values are unbounded


@dataclass(frozen=True, eq=False)
class CellMechanism:
    """A mechanism for a continuum of types, all of which in a cell make one report.

    Attributes
    ----------
    market : ContinuousValues or ContinuousBeliefs
        That the mechanism is for.
    cells : tuple of array, shape (K_g,)
        For each group of buyers the lower ends of its cells, increasing; empty for one with finitely many types.
    by_report : FiniteMechanism
        What each report brings, in the market whose types are the ends of the cells, see `discretize`.
    """

    market: Continuum = field(repr=False)
    cells: tuple[FloatArray, ...]
    by_report: FiniteMechanism

    def in_market(self, market: Continuum) -> CellMechanism:
        """The same cells and what their reports bring, in another market."""
        if market is self.market:
            return self
        return CellMechanism(market, self.cells, replace(self.by_report, market=discretize(market, self.cells)))

    def to_json(self) -> dict[str, Any]:
        """As a mechanism file holds it: the fields of the mechanism by report, with ``cells`` beside them."""
        return {CELLS: [each.tolist() for each in self.cells], **self.by_report.to_json()}


def discretize(market: Continuum, cells: Sequence[FloatArray]) -> FiniteTypes:
    """The market with a report for each cell.

    Parameters
    ----------
    market : ContinuousValues or ContinuousBeliefs
    cells : sequence of array, shape (K_g,)
        For each group of buyers the lower ends of its cells, increasing, the first that of the support; empty for one with
        finitely many types.

    Returns
    -------
    FiniteTypes
        With two types for each cell, its ends.
    """
    if isinstance(market, ContinuousValues):
        types = [
            one if isinstance(one, BuyerTypes) else _value_cells(one, lower, market.prior)
            for one, lower in zip(market.populations, cells, strict=True)
        ]
    else:
        types = [
            one if isinstance(one, BuyerTypes) else _belief_cells(one, lower)
            for one, lower in zip(market.populations, cells, strict=True)
        ]
    largest = (min(max(one.value), LARGE_VALUE * sum(one.weight * one.value, Fraction(0))) for one in types)
    return market.with_types(types, max(largest))


def _value_cells(population: ContinuumOfValues, lower: FloatArray, prior: NumberArray) -> BuyerTypes:
    values, weights, unbounded = _weighted_ends(population.distribution, lower, 0.0)
    beliefs = np.tile(prior, (len(values), 1))
    return BuyerTypes(weights, values, beliefs, _names(lower), np.repeat(np.arange(len(lower)), 2), unbounded)


def _belief_cells(population: ContinuumOfBeliefs, lower: FloatArray) -> BuyerTypes:
    first, weights, _ = _weighted_ends(population.distribution, lower, NEGLIGIBLE_MASS)
    values = np.full(len(first), population.value, dtype=object)
    beliefs = np.stack([first, 1 - first], axis=1)
    return BuyerTypes(weights, values, beliefs, _names(lower), np.repeat(np.arange(len(lower)), 2))


def _names(lower: FloatArray) -> tuple[str, ...]:
    return tuple(f"{x:.6g}" for x in np.repeat(lower, 2).tolist())


def _weighted_ends(distribution: Cdf, lower: FloatArray, negligible: float) -> tuple[NumberArray, NumberArray, bool]:
    """The two ends of each cell, exact, weights that give the cell's mass and mean, and whether the last end is only one of many.

    Parameters
    ----------
    distribution : Cdf
    lower : array, shape (K,)
        Lower ends of the cells.
    negligible : float
        Mass up to which a cell counts as empty.

    Returns
    -------
    ends, weights : object array, shape (2 K,)
    unbounded : bool
    """
    unbounded = not np.isfinite(float(distribution.support[1]))
    edges = np.append(lower, max(_first_and_last(distribution)[1], lower[-1]))
    mass, moment = cell_masses(distribution, edges)
    mass = np.where(mass > negligible, mass, 0.0)
    mean = np.clip(moment / np.where(mass > 0, mass, 1.0), edges[:-1], edges[1:])
    upper = edges[1:].copy()
    if unbounded:
        upper[-1] = lower[-1] + LAST_CELL_LENGTH * (mean[-1] - lower[-1])
    share = np.where(mass > 0, (mean - lower) / np.maximum(upper - lower, np.finfo(float).tiny), 0.0)
    weight = np.stack([mass * (1 - share), mass * share], axis=1).ravel() / mass.sum()
    ends = np.stack([lower, upper], axis=1).ravel()
    exact_ends, exact_weights = (np.array([Fraction(x) for x in each.tolist()], dtype=object) for each in (ends, weight))
    return exact_ends, exact_weights, unbounded


def _first_and_last(distribution: Cdf) -> tuple[float, float]:
    """Between which floats a distribution lies."""
    ends = distribution.support if isinstance(distribution, PiecewiseLinear) else distribution.end_of_floats
    return float(ends[0]), float(ends[1])


def cell_masses(distribution: Cdf, ends: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mass and first moment between consecutive ends of cells, in floats.

    Parameters
    ----------
    distribution : Cdf
    ends : array, shape (K + 1,)
        Increasing.

    Returns
    -------
    mass, moment : array, shape (K,)
    """
    if isinstance(distribution, PiecewiseLinear):
        knots = floats(distribution.knots)
        fine = np.union1d(ends, knots[(knots > ends[0]) & (knots < ends[-1])])
        mass = np.diff(distribution.cdf(fine))
        first = np.searchsorted(fine, ends[:-1])
        moment = mass * (fine[1:] + fine[:-1]) / 2  # the density is constant between
        return np.add.reduceat(mass, first), np.add.reduceat(moment, first)
    found = distribution.cells([Fraction(x) for x in ends.tolist()])
    return floats([each for each, _ in found]), floats([each for _, each in found])


def read_cells(market: Continuum, data: Mapping[str, Any]) -> tuple[tuple[FloatArray, ...], dict[str, Any]]:
    """The cells that a mechanism file names, and the rest of the file.

    Parameters
    ----------
    market : ContinuousValues or ContinuousBeliefs
    data : mapping
        With ``cells[group]``: lower ends, as `discretize` takes them.

    Raises
    ------
    InstanceError
        With the field that does not fit.
    """
    rest = {name: given for name, given in data.items() if name != CELLS}
    if CELLS not in data:
        raise InstanceError("is missing; for a continuum of types a mechanism says which types make one report", field=CELLS)
    given = data[CELLS]
    if not isinstance(given, (list, tuple)):
        raise InstanceError("must be a list with one list of numbers for each entry of buyers", field=CELLS)
    cells = numbers_of(data, CELLS, [len(one) if isinstance(one, (list, tuple)) else 0 for one in given], "numbers")
    groups = len(market.populations)
    if len(cells) != groups:
        raise InstanceError(f"lists {len(cells)}; must have one list for each of {groups} entries of buyers", field=CELLS)
    for g, (lower, population) in enumerate(zip(cells, market.populations, strict=True)):
        place = f"{CELLS}[{g}]"
        if isinstance(population, BuyerTypes):
            if len(lower):
                raise InstanceError("must be empty: this buyer has finitely many types", field=place)
            continue
        first, last = _first_and_last(population.distribution)
        if not len(lower) or lower[0] != first:
            raise InstanceError(f"must begin with {first!r}, the lowest of all", field=place)
        if (np.diff(lower) <= 0).any() or lower[-1] >= last:
            raise InstanceError(f"must be lower ends of cells, increasing, below {last!r}", field=place)
    return cells, rest


def even_cells(market: ContinuousBeliefs, size: int) -> tuple[FloatArray, ...]:
    """Lower ends of so many cells of equal length for each group of buyers; none for one with finitely many types."""
    return tuple(np.zeros(0) if isinstance(one, BuyerTypes) else _even(one.distribution, size) for one in market.populations)


def _even(distribution: Cdf, size: int) -> FloatArray:
    low, high = (Fraction(end) for end in distribution.support)
    return floats(np.array([low + (high - low) * Fraction(k, size) for k in range(size)], dtype=object))
