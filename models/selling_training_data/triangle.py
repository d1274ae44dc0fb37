"""Bounds on the triangle of all errors, evenly distributed: what a menu earns there, exactly, and what no menu exceeds.

Let K(alpha, beta) be what a type loses in all: errors left and price. A type chooses, so K is the least of functions that are
linear in the type, and concave. Following an item its gradient is (pi1, pi2), and the price is K less the gradient times the
type; a type that ignores its own data pays no more than that. Integrated by parts over the triangle with density 8, revenue is at
most

    24 (integral of K) - (2 sqrt 2) (integral of K along the side alpha + beta = 1/2).

The mean of a concave function over a cell is at most its value at the cell's mean, and its mean over a stretch of the side at
least that of the ends. So revenue is at most a sum of K at finitely many types, with weights that are negative on the side; and K
there, and the items of these types, obey the rows of the program for finitely many types. Its optimum with that objective bounds
every menu, and falls with the cells' width.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.lp import highs
from optmarket.models.selling_information import Menu
from optmarket.models.selling_training_data.lp import build
from optmarket.models.selling_training_data.populations import HALF, Errors, triangle_cells
from optmarket.options import Deadline, Options
from optmarket.rationals import exact

CORNERS: tuple[Errors, ...] = ((Fraction(0), Fraction(0)), (HALF, Fraction(0)), (Fraction(0), HALF))
AREA = Fraction(1, 8)
CELLS = 39  # along a side, for the upper bound: about half a second, and the best posted price is 0.03 % below it
POSTED_PRICE_ROUNDING = 1e-15  # relative: more than what floats may miss of the best posted price's revenue
Linear = tuple[Fraction, Fraction, Fraction]  # a function of a type: constant, and coefficients of alpha and beta
Polygon = list[Errors]

# Probability of each state and own signal, [state][signal].
MEASURE: tuple[tuple[Linear, Linear], ...] = (
    ((HALF, Fraction(-1), Fraction(0)), (Fraction(0), Fraction(1), Fraction(0))),
    ((Fraction(0), Fraction(0), Fraction(1)), (HALF, Fraction(0), Fraction(-1))),
)


def triangle_upper_bound(options: Options, deadline: Deadline, size: int = CELLS) -> float:
    """A bound on what any menu earns from the triangle, in payoff units.

    Parameters
    ----------
    options : Options
    deadline : Deadline
        The bound that the solver has reached by then is valid, if not as tight.
    size : int
        Cells along a side: the more, the tighter the bound.

    Examples
    --------
    >>> 0.19245 < triangle_upper_bound(Options(), Deadline(None), 5) < 1 / 3
    True
    """
    weights, errors = triangle_cells(size)
    cells = [(3 * weight, pair) for weight, pair in zip(weights, errors, strict=True)]
    side = [(HALF * k / size, HALF - HALF * k / size) for k in range(size + 1)]
    ends = [Fraction(-2 if 0 < k < size else -1, size) for k in range(size + 1)]
    program = build([*cells, *zip(ends, side, strict=True)], of_costs=True)
    found = highs.solve(program, replace(options, gap=None, progress=None, time_limit=deadline.remaining))
    return min(found.bound, float(Fraction(1, 3)))


def revenue_on_triangle(menu: Menu) -> Fraction:
    """What a menu earns from the triangle, exactly, when types that are indifferent pay the least.

    The triangle is cut where a type changes what it does after a signal of an item, and where two items are equally good.

    Parameters
    ----------
    menu : Menu
        In payoff units; numbers count as the decimals that they are written as.

    Examples
    --------
    Complete data at price p are bought by all but the share 4 p^2 of types.

    >>> revenue_on_triangle(Menu(np.array([[[1.0, 0.0], [0.0, 1.0]]]), np.array([0.25])))
    Fraction(3, 16)
    """
    outside: Linear = (Fraction(1), Fraction(-1), Fraction(-1))
    pieces: list[tuple[Polygon, Linear, Fraction]] = [(list(CORNERS), outside, Fraction(0))]
    for experiment, price in zip(menu.experiment, menu.price, strict=True):
        paid = exact(float(price))
        found = []
        for polygon, best, cost in pieces:
            for part, value in _valued(polygon, experiment):
                net = _sum(value, (-paid, Fraction(0), Fraction(0)))
                lead = _difference(net, best)
                if not any(lead):
                    found.append((part, best, min(cost, paid)))
                    continue
                for side, chosen, charged in ((1, net, paid), (-1, best, cost)):
                    cut = _part_at_least_zero(part, _times(lead, Fraction(side)))
                    if cut:
                        found.append((cut, chosen, charged))
        pieces = found
    return sum((_area(polygon) * cost for polygon, _, cost in pieces), Fraction(0)) / AREA


def triangle_posted_price() -> float:
    """What complete data alone earn from the triangle at the best price p, ``p (1 - 4 p^2)`` at ``1/sqrt(12)``, rounded down.

    Examples
    --------
    >>> round(triangle_posted_price(), 9)
    0.19245009
    """
    return float(np.nextafter(1 / np.sqrt(27.0), 0.0) * (1 - POSTED_PRICE_ROUNDING))


def _valued(polygon: Polygon, experiment: FloatArray) -> list[tuple[Polygon, Linear]]:
    """A polygon cut where types change what they do with an item, and what it is worth in each part."""
    zero: Linear = (Fraction(0),) * 3
    parts = [(polygon, zero)]
    rows = [[exact(float(entry)) for entry in row] for row in experiment]
    # written as decimals they may miss one by a last digit
    rows = [[entry / sum(row, Fraction(0)) for entry in row] for row in rows]
    for chance in zip(*rows, strict=True):
        if not any(chance):
            continue
        for context in range(2):
            first, second = (_times(MEASURE[state][context], chance[state]) for state in range(2))
            lead, found = _difference(first, second), []
            for part, value in parts:
                for side, payoff in ((1, first), (-1, second)):
                    cut = _part_at_least_zero(part, _times(lead, Fraction(side)))
                    if cut:
                        found.append((cut, _sum(value, payoff)))
                    if not any(lead):
                        break
            parts = found
    return parts


def _times(one: Linear, factor: Fraction) -> Linear:
    return (one[0] * factor, one[1] * factor, one[2] * factor)


def _sum(one: Linear, two: Linear) -> Linear:
    return (one[0] + two[0], one[1] + two[1], one[2] + two[2])


def _difference(one: Linear, two: Linear) -> Linear:
    return (one[0] - two[0], one[1] - two[1], one[2] - two[2])


def _part_at_least_zero(polygon: Polygon, linear: Linear) -> Polygon:
    """The part of a convex polygon where a linear function is at least 0; nothing if that has no area."""
    at = [linear[0] + linear[1] * x + linear[2] * y for x, y in polygon]
    if min(at) >= 0:
        return polygon
    if max(at) <= 0:
        return []
    found = []
    for k, (corner, here) in enumerate(zip(polygon, at, strict=True)):
        last, before = polygon[k - 1], at[k - 1]
        if (here > 0 > before) or (here < 0 < before):
            share = before / (before - here)
            found.append((last[0] + share * (corner[0] - last[0]), last[1] + share * (corner[1] - last[1])))
        if here >= 0:
            found.append(corner)
    return found


def _area(polygon: Polygon) -> Fraction:
    pairs = zip(polygon, [*polygon[1:], polygon[0]], strict=True)
    return abs(sum((x * v - u * y for (x, y), (u, v) in pairs), Fraction(0))) / 2
