"""Which method solves which market: the solve, and the linear program, of finitely many types or of a continuum on a line."""

from __future__ import annotations

from dataclasses import replace

from optmarket.lp.program import LinearProgram
from optmarket.models.selling_training_data.finite import Form, program_of, solve_finite
from optmarket.models.selling_training_data.line import solve_line
from optmarket.models.selling_training_data.populations import FiniteTypes, LineGrid, LineOfTypes, Market, TriangleGrid
from optmarket.options import Options
from optmarket.solution import Answer

METHODS = {
    "auto": "the reduced form where types are given by alpha and beta, the general form otherwise, by constraint generation or "
    "as the full linear program, whichever promises more; the closed form on a continuum of types",
    "cuts": "the same form by constraint generation",
    "full": "the same form as the full linear program",
    "general": "the general form, in which an item is any experiment, as auto solves it",
    "general-full": "the general form as the full linear program",
    "two-tiers": "the closed form on a continuum of types on a line, which is auto there",
}


def solve(market: Market, options: Options | None = None) -> Answer:
    """The revenue-maximising menu.

    Parameters
    ----------
    market : Market
    options : Options, optional
        Methods as in `METHODS`.

    Returns
    -------
    Answer
        With a `Menu` as mechanism.

    Raises
    ------
    ModelError
        If the program does not fit in memory, or there is no such method for the market.
    SolverError
        If the solver gives no answer, or with ``exact`` none that is exactly optimal.

    Examples
    --------
    >>> from optmarket.models.selling_training_data import Params, market
    >>> line = {"line": {"k": 0, "m": "3/10"}, "alpha": {"dist": "uniform", "scale": "1/5"}}
    >>> str(solve(market(Params.model_validate(line))).exact)
    '8/25'
    """
    options = options or Options()
    match market:
        case LineOfTypes():
            return solve_line(market, options)
        case FiniteTypes():
            return replace(solve_finite(market, options), for_grid=isinstance(market, LineGrid | TriangleGrid))


def program(market: Market, *, exact: bool = False, form: Form | None = None) -> LinearProgram | None:
    """The market's linear program; none on a continuum of types.

    Parameters
    ----------
    market : Market
    exact : bool
        Coefficients as Fractions.
    form : {"reduced", "general"}, optional
        By default the reduced form where types are given by alpha and beta.

    Raises
    ------
    ModelError
        If it does not fit in memory.

    Examples
    --------
    >>> from optmarket.models.selling_training_data import Params, market
    >>> buyers = market(Params.model_validate({"types": [{"weight": 1, "alpha": "1/5", "beta": "1/10"}]}))
    >>> reduced, general = program(buyers), program(buyers, form="general")
    >>> (reduced.columns, general.columns) if reduced and general else None
    (4, 9)
    """
    match market:
        case LineOfTypes():
            return None
        case FiniteTypes():
            return program_of(market, exact=exact, form=form)
