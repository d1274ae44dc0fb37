"""The optimal menu for finitely many types: by the reduced form, or by the general form with every experiment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from optmarket.arrays import NumberArray
from optmarket.distributions.specification import Grid
from optmarket.errors import ModelError
from optmarket.lp.program import LinearProgram
from optmarket.models import selling_information
from optmarket.models.selling_information import Menu
from optmarket.models.selling_training_data.closed_forms import two_tiers
from optmarket.models.selling_training_data.continuum_bounds import continuum_note, continuum_quantities
from optmarket.models.selling_training_data.items import as_experiments, item_quantities
from optmarket.models.selling_training_data.line import on_line
from optmarket.models.selling_training_data.lp import build, read_point
from optmarket.models.selling_training_data.populations import (
    Errors,
    FiniteTypes,
    LineGrid,
    LineOfTypes,
    TriangleGrid,
    TypesByErrors,
)
from optmarket.options import Options
from optmarket.solution import Answer

if TYPE_CHECKING:
    import pandas as pd

Form = Literal["reduced", "general"]
# From each method of this market to the method of the information market, and the form in which it is solved; None for the
# reduced form where types are given by errors, and the general form where they are not.
METHODS: dict[str, tuple[str, Form | None]] = {
    "auto": ("auto", None),
    "cuts": ("cuts", None),
    "full": ("full", None),
    "general": ("auto", "general"),
    "general-full": ("full", "general"),
}


@dataclass(frozen=True)
class ReducedForm:
    """The reduced form as a program of the information market: an item leaves a share of each error.

    Attributes
    ----------
    market : TypesByErrors
    """

    market: TypesByErrors

    @cached_property
    def types(self) -> Sequence[tuple[Fraction, Errors]]:
        """The types that could pay something; one that could not if there are no others."""
        positive = self.market.positive
        # a type that never errs pays nothing, whatever is sold
        return [(weight, pair) for weight, pair in positive if any(pair)] or positive[:1]

    def program(self, *, exact: bool) -> LinearProgram:
        """The program, its coefficients Fractions if `exact`."""
        return build(self.types, exact=exact)

    def read(self, program: LinearProgram, x: NumberArray) -> tuple[NumberArray, NumberArray]:
        """Experiments, shape (M, 2, 4), signals being recommendations, and prices in payoff units, shape (M,), of a point."""
        left, price = read_point(self.types, program, x)
        return as_experiments(left), price


def program_of(market: FiniteTypes, *, exact: bool, form: Form | None) -> LinearProgram | None:
    """The linear program of finitely many types, in a form; by default the reduced one where types are given by errors."""
    if isinstance(market, TypesByErrors) and form != "general":
        return ReducedForm(market).program(exact=exact)
    return selling_information.program(market.information, exact=exact)


def solve_finite(market: FiniteTypes, options: Options) -> Answer:
    """The revenue-maximising menu for finitely many types.

    Parameters
    ----------
    market : FiniteTypes
    options : Options
        Methods as in `METHODS`.

    Raises
    ------
    ModelError
        If the program does not fit in memory, or the method is for a continuum of types.
    SolverError
        If the solver gives no answer, or with ``exact`` none that is exactly optimal.
    """
    if options.method not in METHODS:
        raise ModelError(
            f"the method {options.method} is for a continuum of types on a line; finitely many are solved by a program"
        )
    deadline = options.deadline()
    method, form = METHODS[options.method]
    chosen = replace(options, method=method)
    if isinstance(market, TypesByErrors) and form != "general":
        answer = selling_information.solve_as(market.information, chosen, ReducedForm(market))
        form = "reduced"
    else:
        answer = selling_information.solve(market.information, chosen)
        form = "general"
    quantities, notes, menu = dict(answer.quantities), answer.notes, answer.mechanism
    if isinstance(market, TypesByErrors) and isinstance(menu, Menu):
        quantities |= item_quantities(menu)
        if isinstance(market, LineGrid | TriangleGrid):
            found = continuum_quantities(market, menu, options, deadline)
            quantities |= found
            notes = (continuum_note(market, found), *notes)
    run = replace(answer.run, seconds=deadline.elapsed, method=f"{answer.run.method}, {form} form")
    return replace(answer, quantities=quantities, notes=notes, run=run)


def convergence(line: LineOfTypes, sizes: Sequence[int]) -> pd.DataFrame:
    """How the optima of grids approach that of the continuum of types on a line.

    Parameters
    ----------
    line : LineOfTypes
    sizes : sequence of int
        Numbers of cells; these are of equal length, types their means.

    Returns
    -------
    DataFrame
        For each size the grid's optimum (``grid value``), what its menu earns from the continuum (``menu on the line``, a lower
        bound), and the continuum's optimum (``line``).

    Examples
    --------
    >>> from optmarket.models.selling_training_data import Params, market
    >>> line = market(Params.model_validate({"line": {"k": 0, "m": "3/10"}, "alpha": {"dist": "uniform", "scale": "1/5"}}))
    >>> convergence(line, [5]).round(6).to_dict("records")
    [{'cells': 5, 'grid value': 0.33, 'menu on the line': 0.315, 'line': 0.32}]
    """
    import pandas as pd

    best = float(two_tiers(line).revenue)
    rows = []
    for size in sizes:
        answer = solve_finite(LineGrid.of(line, Grid(size=size, rule="mean")), Options())
        menu = answer.mechanism
        earned = on_line(line, menu).demand.revenue if isinstance(menu, Menu) else math.nan
        rows.append([size, answer.quantities["revenue"], earned, best])
    return pd.DataFrame(rows, columns=["cells", "grid value", "menu on the line", "line"])
