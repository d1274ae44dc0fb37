"""What a grid's menu is certain to earn from the continuum of types that the grid stands for, and what no menu exceeds there."""

from __future__ import annotations

import numpy as np

from optmarket.models.selling_information import Menu
from optmarket.models.selling_training_data.closed_forms import posted_price, two_tiers
from optmarket.models.selling_training_data.line import certified_revenue
from optmarket.models.selling_training_data.populations import LineGrid, TriangleGrid, triangle_cells
from optmarket.models.selling_training_data.triangle import (
    revenue_on_triangle,
    triangle_posted_price,
    triangle_upper_bound,
)
from optmarket.options import Deadline, Options
from optmarket.rationals import around, exact, floats
from optmarket.tolerances import TIE

# Items up to which a menu is judged on the continuum: a solve that was stopped may leave so many that this would not end.
MAX_ITEMS = 24
FINER = 4  # times as many cells along each side as the triangle that was solved
POSTED_PRICE_ROUNDING = 1e-14  # relative: more than what floats may miss of the best posted price's revenue


def continuum_quantities(market: LineGrid | TriangleGrid, menu: Menu, options: Options, deadline: Deadline) -> dict[str, float]:
    """Quantities of a grid's menu on the continuum of types.

    Parameters
    ----------
    market : LineGrid or TriangleGrid
    menu : Menu
    options : Options
    deadline : Deadline

    Returns
    -------
    dict
        ``continuum-lower`` and ``continuum-upper``, between which the continuum's optimum lies; and, of menus of at most
        `MAX_ITEMS` items, ``continuum-revenue``, what the menu is certain to earn, and on a triangle ``finer-grid-revenue``.
    """
    given = menu.in_floats
    found: dict[str, float] = {}
    match market:
        case TriangleGrid():
            if len(menu.price) <= MAX_ITEMS:
                found["finer-grid-revenue"] = finer_grid_revenue(market, given)
                found["continuum-revenue"] = around(revenue_on_triangle(given))[0]
            single, upper = triangle_posted_price(), triangle_upper_bound(options, deadline)
        case LineGrid():
            if len(menu.price) <= MAX_ITEMS:
                found["continuum-revenue"] = certified_revenue(market.line, given)[1]
            single = float(posted_price(market.line)[0]) * (1 - POSTED_PRICE_ROUNDING)
            upper = around(exact(two_tiers(market.line).upper))[1]
    lower = max(single, found.get("continuum-revenue", 0.0))
    return {**found, "continuum-lower": lower, "continuum-upper": upper}


def continuum_note(market: LineGrid | TriangleGrid, found: dict[str, float]) -> str:
    """Whose optimum the revenue is, and what is known of the continuum's, in a sentence."""
    count = len(market.weights)
    words = (
        f"revenue and its bounds are those of the grid's {count:,} type{'s' * (count != 1)}; of the continuum of types for which "
        f"they stand the optimum lies between {found['continuum-lower']:.9g} and {found['continuum-upper']:.9g}"
    )
    if "continuum-revenue" in found:
        words += f", and this menu earns {found['continuum-revenue']:.9g} there"
    return words


def finer_grid_revenue(market: TriangleGrid, menu: Menu) -> float:
    """What a menu earns from a triangle of finer cells, ties going to the seller, in payoff units.

    Parameters
    ----------
    market : TriangleGrid
    menu : Menu
        In floats.
    """
    weights, errors = triangle_cells(FINER * market.size)
    weight = floats(weights)
    alpha, beta = floats(errors).T
    joint = np.array([[0.5 - alpha, alpha], [beta, 0.5 - beta]])
    utility = np.zeros((len(menu.price) + 1, len(weight)))
    for k, (experiment, price) in enumerate(zip(menu.experiment, menu.price, strict=True)):
        after = np.maximum(joint[0, :, None] * experiment[0][:, None], joint[1, :, None] * experiment[1][:, None])
        utility[k] = after.sum(axis=(0, 1)) - (1 - alpha - beta) - price
    best = utility >= utility.max(axis=0) - TIE
    return float(weight @ np.where(best, np.append(menu.price, 0.0)[:, None], 0.0).max(axis=0))
