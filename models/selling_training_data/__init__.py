"""Selling training data to a buyer with data of its own.

Setting
-------
Two equally likely states, two actions, payoff 1 for the true state. A buyer's own classifier errs: type (alpha, beta) has
``alpha = Pr(wrong, state 1)`` and ``beta = Pr(wrong, state 2)``, both at least 0, ``alpha + beta <= 1/2``. The seller knows the
distribution of types only and posts a menu of data sets; the buyer merges what it buys with its own data. More states, signals or
other priors: a joint measure of state and own signal for each type.

Timing
------
The seller posts the menu; the buyer, knowing its type, buys an item or nothing; the state and the own signal are drawn; the buyer
sees both signals and acts.

Program
-------
It is an information market with one context per own signal, and without loss an item leaves shares ``pi = (pi1, pi2)`` of the two
errors: worth ``alpha + beta - min(alpha pi1 + beta pi2, pi1/2, pi2/2)``, the last two to buyers that drop their own data.
Maximise ``sum f_r t_r`` subject to ``alpha_r pi1_r + beta_r pi2_r + t_r <= alpha_r + beta_r`` and, for all r and q, ``<= alpha_r
pi1_q + beta_r pi2_q + t_q``, ``<= pi1_q/2 + t_q`` and ``<= pi2_q/2 + t_q``.

Closed forms
------------
- Two types: `two_types`, for any weights; `region_map` for many at once.
- Types on a line ``k alpha + beta = m``: `two_tiers`, for any distribution of alpha.

Where the sources are wrong
---------------------------
See docs/selling-training-data.md: the no-rent condition of region IV, the objective on a line, and the rectangle of region III.

References
----------
.. [1] Huang, Zhao, Zhong, "Selling Training Data", talk (the later of two); types (alpha, beta).
.. [2] Huang, Zhao, Zhong, "Selling Training Data", talk (the earlier); types (theta1, theta2) = (beta, alpha).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from optmarket.errors import ModelError
from optmarket.lp.program import LinearProgram, NumberArray
from optmarket.modeling.registry import ModelSpec
from optmarket.models import selling_information
from optmarket.models.selling_information import Formulation, Menu
from optmarket.models.selling_training_data import triangle as triangle
from optmarket.models.selling_training_data.closed_forms import REGIONS, region_map, two_tiers, two_types
from optmarket.models.selling_training_data.confusion import from_confusion
from optmarket.models.selling_training_data.figure import plot
from optmarket.models.selling_training_data.line import most_worth, serve
from optmarket.models.selling_training_data.lp import build, read_point
from optmarket.models.selling_training_data.outcomes import (
    UNITS,
    as_experiment,
    audit,
    cutoff,
    finer_revenue,
    line_bounds,
    line_quantities,
    of_items,
    on_line,
    stand_in,
    tables,
)
from optmarket.models.selling_training_data.params import DataBuyer, Line, Params
from optmarket.rationals import around, exact, floats
from optmarket.solution import Answer, Certificate, Claim, Options, Status, relative_gap

__all__ = [
    "MODEL",
    "REGIONS",
    "DataBuyer",
    "Line",
    "Params",
    "audit",
    "convergence",
    "from_confusion",
    "plot",
    "program",
    "region_map",
    "solve",
    "tables",
    "theory",
    "two_tiers",
    "two_types",
]

DISCOUNTS = tuple(10.0**-k for k in range(13, 2, -1))
MOST_ITEMS = 24  # of a grid's menu that is judged on the continuum of types
ROUNDING = 1e-15  # of the most that complete data are worth to a type
CLOSE = 1e-14  # of a posted price's revenue: its rounding


def program(params: Params, *, exact: bool = False) -> LinearProgram | None:
    """The market's linear program in the formulation asked for; none on a whole line.

    Raises
    ------
    ModelError
        If it does not fit in memory.
    """
    if params.on_continuum:
        return None
    return (
        _formulated(params, exact).program
        if _is_reduced(params)
        else selling_information.program(params.information, exact=exact)
    )


def solve(params: Params, options: Options | None = None) -> Answer:
    """The revenue-maximising menu.

    Parameters
    ----------
    params : Params
    options : Options, optional
        Methods: ``cuts`` and ``full``, as for an information market; on a whole line only ``auto``, which is the closed form.

    Raises
    ------
    ModelError
        If the program does not fit in memory, or a method is asked for on a whole line.
    SolverError
        If the solver gives no answer, or with ``exact`` none that is exactly optimal.
    """
    options = options or Options()
    if params.on_continuum:
        return _solve_line(params, options)
    start = time.perf_counter()
    if not _is_reduced(params):
        found = selling_information.solve(params.information, options)
    else:
        found = selling_information.solve_program(params.information, options, lambda exact: _formulated(params, exact))
    more = of_items(found.mechanism) if params.has_pairs else {}
    notes = found.notes
    if params.stands_for_continuum:
        beyond = _of_continuum(params, found.mechanism, options, start)
        types = f"{len(params.pairs):,} type{'s' * (len(params.pairs) != 1)}"
        said = (
            f"revenue and its bounds are those of the grid's {types}; of the continuum of types for which they stand the optimum "
            f"lies between {beyond['continuum-lower']:.9g} and {beyond['continuum-upper']:.9g}"
        )
        if "continuum-revenue" in beyond:
            said += f", and this menu earns {beyond['continuum-revenue']:.9g} there"
        notes = (said, *notes)
        more |= beyond
    form = "reduced" if _is_reduced(params) else "general"
    return replace(found, quantities={**found.quantities, **more}, notes=notes, method=f"{found.method}, {form} form")


def _of_continuum(params: Params, mechanism: Mapping[str, Any], options: Options, start: float) -> dict[str, float]:
    """What a grid's menu is certain to earn from the continuum of types, and bounds on what any menu earns there."""
    menu = Menu.read(stand_in(params), {"items": mechanism["items"]})
    # a solve that was stopped may leave menus of very many items, with which it would not end
    few, more = len(menu.price) <= MOST_ITEMS, {}
    if params.triangle is not None:
        left = None if options.time_limit is None else max(0.0, options.time_limit - (time.perf_counter() - start))
        if few:
            more = {"finer-grid-revenue": finer_revenue(params, menu), "continuum-revenue": around(triangle.revenue(menu))[0]}
        single, upper = triangle.posted_price(), triangle.upper_bound(replace(options, time_limit=left))
    else:
        assert params.line is not None and params.alpha is not None
        tiers = two_tiers(params.line, params.alpha.law)
        if few:
            more = {"continuum-revenue": _surely(params, menu)[1]}
        single, upper = float(line_bounds(params)[0]) * (1 - CLOSE), around(exact(tiers.upper))[1]
    return {**more, "continuum-lower": max(single, more.get("continuum-revenue", 0.0)), "continuum-upper": upper}


def _surely(params: Params, menu: Menu) -> tuple[float, float]:
    """The common share off all prices at which a menu is certain to earn most on a whole line, and what it then earns."""
    assert params.line is not None and params.alpha is not None
    line, law = params.line, params.alpha.law

    def earned(share: float) -> float:
        return serve(line, law, menu.experiment, menu.price * (1 - share), ROUNDING, for_seller=False).revenue

    share = max(DISCOUNTS, key=earned)
    return share, earned(share) - ROUNDING * most_worth(line, law)


def _is_reduced(params: Params) -> bool:
    return params.has_pairs and params.formulation != "general"


def _formulated(params: Params, exact: bool) -> Formulation:
    pairs = [(weight, pair) for weight, pair in params.pairs if weight]
    # who never errs pays nothing, whatever is sold
    pairs = [(weight, pair) for weight, pair in pairs if any(pair)] or pairs[:1]
    linear = build(pairs, exact=exact)

    def read(x: NumberArray) -> tuple[NumberArray, NumberArray]:
        left, price = read_point(pairs, linear, x)
        return as_experiment(left), price

    return Formulation(linear, read)


def _solve_line(params: Params, options: Options) -> Answer:
    """The two tiers, with prices cut by a little so that no tie goes against the seller, unless the optimum is exact."""
    if options.method != "auto":
        raise ModelError(f"there is no method {options.method!r} on a whole line, which has a closed form; give grid, or auto")
    assert params.line is not None and params.alpha is not None
    start = time.perf_counter()
    line, law = params.line, params.alpha.law
    tiers = two_tiers(line, law)
    exact = tiers.revenue if isinstance(tiers.revenue, Fraction) else None
    if options.exact and exact is None:
        raise ModelError("has a distribution that is computed in floats; leave exact out", field="params.alpha")
    first = tiers.cutoffs[0]
    first_left, second_left, low = tiers.low_item(first)
    experiment = as_experiment(floats([[first_left, second_left], [0, 0]]))
    price = floats([low, tiers.full_price(first)])
    served = serve(line, law, experiment, price, ROUNDING)
    kept = np.isin([0, 1], served.item[served.mass > 0])
    upper = float(tiers.upper)
    if exact is not None:
        # in fractions: a whole interval of types is indifferent to the low item, and one rounding of its price loses them all
        lower, upper = around(exact)
        items = np.array([[first_left, second_left], [Fraction(0), Fraction(0)]], dtype=object)
        menu = Menu(as_experiment(items)[kept], np.array([low, tiers.full_price(first)], dtype=object)[kept])
    else:
        experiment, price = experiment[kept], price[kept]
        share, earned = _surely(params, Menu(experiment, price))
        lower = min(earned, upper)
        menu = Menu(experiment, price * (1 - share))
    mechanism = menu.as_mechanism()
    found = on_line(params, mechanism)
    gap = relative_gap(lower, upper)
    reached = gap <= options.wanted
    more = () if len(tiers.cutoffs) == 1 else (f"as good: cut-offs {', '.join(f'{float(at):.9g}' for at in tiers.cutoffs)}",)
    return Answer(
        status=Status.OPTIMAL if reached else Status.GAP,
        mechanism=mechanism,
        quantities={**line_quantities(params, found), **of_items(mechanism), **cutoff(params, mechanism)},
        certificate=Certificate(lower, upper, gap),
        exact=exact,
        method="two tiers",
        notes=("the upper bound is the theorem of two tiers, not a program's dual", *more),
        run={"seconds": time.perf_counter() - start},
    )


def theory(params: Params) -> list[Claim]:
    """What is known of the optimum without solving anything: two types exactly, and bounds from either side."""
    if params.on_continuum:
        single, worth = line_bounds(params)
        return [
            Claim("revenue", _written(single), "lower", "proved", "complete data alone at the best posted price"),
            Claim("revenue", _written(worth), "upper", "proved", "total value of complete data"),
        ]
    claims = selling_information.theory(params.information)
    if not params.has_pairs:
        return claims
    pairs = [(weight, pair) for weight, pair in params.pairs if weight]
    if len(pairs) == 2:
        (weight, first), (_, second) = pairs
        found = two_types(first, second, weight)
        claims.insert(0, Claim("revenue", str(found.revenue), "eq", "analytic", f"two types, region {found.region}"))
    return claims


def _written(value: Fraction | float) -> str:
    return str(value) if isinstance(value, Fraction) and value.denominator < 10**12 else repr(float(value))


def convergence(params: Params, sizes: list[int]) -> pd.DataFrame:
    """How grids approach a whole line.

    Parameters
    ----------
    params : Params
        A line, with or without grid; cells are of equal length, types their means.
    sizes : list of int

    Returns
    -------
    DataFrame
        For each size the grid's optimum (``grid value``), what its menu earns on the whole line (``menu on the line``, a lower
        bound), and the exact optimum of the line.
    """
    assert params.line is not None and params.alpha is not None
    best = float(two_tiers(params.line, params.alpha.law).revenue)
    whole = params.model_copy(update={"grid": None})
    rows = []
    for size in sizes:
        grid = {"size": size, "rule": "mean"}
        found = solve(Params.model_validate({**params.model_dump(mode="json", by_alias=True, exclude_none=True), "grid": grid}))
        menu = {"items": found.mechanism["items"]}
        rows.append([size, found.quantities["revenue"], on_line(whole, menu).revenue, best])
    return pd.DataFrame(rows, columns=["cells", "grid value", "menu on the line", "line"])


MODEL = ModelSpec(
    name="selling-training-data",
    title="Selling training data to a buyer with data of its own",
    source="Huang, Zhao and Zhong, Selling Training Data (two talks)",
    objective="revenue",
    methods=("auto", "cuts", "full"),
    params=Params,
    solve=solve,
    program=program,
    audit=audit,
    theory=theory,
    tables=tables,
    plot=plot,
    units=UNITS,
    from_confusion=from_confusion,
)
