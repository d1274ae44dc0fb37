"""Whole distributions in cells: a mechanism for finitely many reports is one for all types, and is judged at the cells' ends.

All types of a cell make one report. What a deviation brings is convex in the type, and so is opting out, while obeying is linear:
if neither end of a cell gains by a deviation, no type between them does. Two types at the ends, weighted so that mass and mean
are the cell's, therefore stand for all of it, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from optmarket.distributions.cdf import Law, PiecewiseLinear
from optmarket.distributions.specification import Distribution
from optmarket.errors import InstanceError
from optmarket.lp.program import FloatArray
from optmarket.models.competing_buyers.market import Buyer, Kind, Market, Params
from optmarket.models.competing_buyers.outcomes import numbers_of
from optmarket.rationals import floats

NEGLIGIBLE = 1e-9  # mass of a cell of beliefs that counts as none, its types as the nearest of the others
OPEN = 8  # the upper end of the last cell of a law without end, in its mean's distances from its lower end
RARE = 8  # a value this many times the mean counts as large where values have no end


def law_of(buyer: Buyer) -> Law:
    """The distribution of a buyer's values or beliefs."""
    given = buyer.value if isinstance(buyer.value, Distribution) else buyer.belief
    assert given is not None
    return given.law


def market(params: Params, cells: Sequence[FloatArray]) -> Market:
    """The market with a report for each cell.

    Parameters
    ----------
    params : Params
    cells : sequence of array, shape (K,)
        For each entry of ``buyers`` the lower ends of its cells, increasing, the first that of the support; empty for one with
        finitely many types.

    Returns
    -------
    Market
        With two types for each cell, its ends.
    """
    kinds = [
        _kind(params, buyer, lower) if buyer.on_continuum else Kind.of(buyer, params.prior)
        for buyer, lower in zip(params.buyers, cells, strict=True)
    ]
    typical = (min(max(kind.value), RARE * sum(kind.weight * kind.value, Fraction(0))) for kind in kinds)
    return Market.of(params, kinds, max(typical))


def _kind(params: Params, buyer: Buyer, lower: FloatArray) -> Kind:
    law = law_of(buyer)
    last = float(law.support[1] if isinstance(law, PiecewiseLinear) else law.end_of_floats[1])
    edges = np.append(lower, max(last, lower[-1]))
    mass, moment = masses(law, edges)
    if params.prior is None:
        mass = np.where(mass > NEGLIGIBLE, mass, 0.0)
    mean = np.clip(moment / np.where(mass > 0, mass, 1.0), edges[:-1], edges[1:])
    upper = edges[1:].copy()
    if not np.isfinite(float(law.support[1])):
        upper[-1] = lower[-1] + OPEN * (mean[-1] - lower[-1])
    share = np.where(mass > 0, (mean - lower) / np.maximum(upper - lower, np.finfo(float).tiny), 0.0)
    weight = np.stack([mass * (1 - share), mass * share], axis=1).ravel() / mass.sum()
    point = np.stack([lower, upper], axis=1).ravel()
    exactly = np.array([Fraction(x) for x in point.tolist()], dtype=object)
    if params.prior is None:
        worth = Fraction(1) if buyer.value is None else buyer.value
        values, beliefs = np.full(len(point), worth, dtype=object), np.stack([exactly, 1 - exactly], axis=1)
    else:
        values, beliefs = exactly, np.tile(np.array(params.prior, dtype=object), (len(point), 1))
    names = tuple(f"{x:.6g}" for x in np.repeat(lower, 2).tolist())
    weights = np.array([Fraction(x) for x in weight.tolist()], dtype=object)
    endless = not np.isfinite(float(law.support[1]))
    return Kind(weights, values, beliefs, names, np.repeat(np.arange(len(lower)), 2), endless)


def masses(law: Law, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mass and first moment between consecutive edges, in floats."""
    if isinstance(law, PiecewiseLinear):
        knots = floats(law.knots)
        fine = np.union1d(edges, knots[(knots > edges[0]) & (knots < edges[-1])])
        mass = np.diff(law.cdf(fine))
        first = np.searchsorted(fine, edges[:-1])
        parts = mass, mass * (fine[1:] + fine[:-1]) / 2  # the density is constant between
        return np.add.reduceat(parts[0], first), np.add.reduceat(parts[1], first)
    found = law.cells([Fraction(x) for x in edges.tolist()])
    return floats([each for each, _ in found]), floats([each for _, each in found])


def read(params: Params, data: Mapping[str, Any]) -> tuple[Market, dict[str, Any]]:
    """The market with the cells that a mechanism file names, and the rest of the file.

    Parameters
    ----------
    params : Params
    data : mapping
        With ``cells[entry of buyers]``: lower ends, as `market` takes them.

    Raises
    ------
    InstanceError
        With the field that does not fit.
    """
    rest = {name: given for name, given in data.items() if name != "cells"}
    if "cells" not in data:
        raise InstanceError("is missing; for a whole distribution a mechanism says which types make one report", field="cells")
    given = data["cells"]
    if not isinstance(given, (list, tuple)):
        raise InstanceError("must be a list with one list of numbers for each entry of buyers", field="cells")
    cells = numbers_of(data, "cells", [len(one) if isinstance(one, (list, tuple)) else 0 for one in given], "numbers")
    if len(cells) != len(params.buyers):
        raise InstanceError(
            f"lists {len(cells)}; must have one list for each of {len(params.buyers)} entries of buyers", field="cells"
        )
    for g, (lower, buyer) in enumerate(zip(cells, params.buyers, strict=True)):
        field = f"cells[{g}]"
        if not buyer.on_continuum:
            if len(lower):
                raise InstanceError("must be empty: this buyer has finitely many types", field=field)
            continue
        law = law_of(buyer)
        first, last = (float(x) for x in (law.support if isinstance(law, PiecewiseLinear) else law.end_of_floats))
        if not len(lower) or lower[0] != first:
            raise InstanceError(f"must begin with {first!r}, the lowest of all", field=field)
        if (np.diff(lower) <= 0).any() or lower[-1] >= last:
            raise InstanceError(f"must be lower ends of cells, increasing, below {last!r}", field=field)
    return market(params, cells), rest


def even(law: Law, size: int) -> FloatArray:
    """Lower ends of cells of equal length, of bounded support."""
    low, high = law.support
    assert isinstance(low, Fraction) and isinstance(high, Fraction)
    return floats(np.array([low + (high - low) * Fraction(k, size) for k in range(size)], dtype=object))
