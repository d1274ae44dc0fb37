"""The optimal menu for finitely many types: the market's linear program solved, and its points made menus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from optmarket.arrays import FloatArray, NumberArray
from optmarket.certificates import Optimality, relative_gap
from optmarket.errors import ModelError
from optmarket.lp import highs
from optmarket.lp.float_bound import Proof
from optmarket.lp.program import LinearProgram
from optmarket.modeling.solve_lp import Solved, Strategy, solve_lp
from optmarket.models.selling_information.limited.best_menu import best_menu
from optmarket.models.selling_information.lp import build, read_point
from optmarket.models.selling_information.market_arrays import Market
from optmarket.models.selling_information.menu import Menu
from optmarket.models.selling_information.outcomes import quantities
from optmarket.models.selling_information.posting import direct_menu, full_information_menu
from optmarket.options import Deadline, Options
from optmarket.rationals import around
from optmarket.solution import Answer
from optmarket.tolerances import FLOATS_REACH

METHODS = ("auto", "cuts", "full")
# Rounds of constraint generation without progress, after which the full program is solved instead.
PATIENCE = 12

OF_THE_GRID = "revenue and its bounds are those of the grid's types; they do not bound the optimum of the continuum of types"


class MenuProgram(Protocol):
    """A linear program whose optimum is a market's optimal revenue, and how its points are read as menus."""

    def program(self, *, exact: bool) -> LinearProgram:
        """The program, its coefficients Fractions if `exact`; its value times its ``unit`` is in payoff units."""

    def read(self, program: LinearProgram, x: NumberArray) -> tuple[NumberArray, NumberArray]:
        """Experiments of a point, shape (M, W, S), signals being recommended profiles, and prices in payoff units, shape (M,)."""


@dataclass(frozen=True)
class DirectProgram:
    """The program of a market's direct mechanisms: see `lp.build`.

    Attributes
    ----------
    market : Market
    """

    market: Market

    def program(self, *, exact: bool) -> LinearProgram:
        """The program, its coefficients Fractions if `exact`."""
        return build(self.market, exact=exact)

    def read(self, program: LinearProgram, x: NumberArray) -> tuple[NumberArray, NumberArray]:
        """Experiments and prices of a point: see `lp.read_point`."""
        return read_point(self.market, program, x)


@dataclass(frozen=True)
class MenuFormulation:
    """A market's program as `modeling.solve_lp` solves it: menus are made of points, and certified.

    Attributes
    ----------
    market : Market
    direct : MenuProgram
    """

    market: Market
    direct: MenuProgram

    @property
    def ceiling(self) -> float:
        """The total value of information."""
        return around(self.market.first_best)[1]

    def program(self, *, exact: bool) -> LinearProgram:
        """The program, its coefficients Fractions if `exact`."""
        return self.direct.program(exact=exact)

    def simple(self) -> Iterator[tuple[Menu, float]]:
        """Full information alone at its best price."""
        yield full_information_menu(self.market)

    def candidates(self, program: LinearProgram, x: FloatArray) -> Iterator[tuple[Menu, float]]:
        """The menu of a point."""
        yield direct_menu(self.market, *self.direct.read(program, x))

    def last_candidates(self, program: LinearProgram, result: highs.LpResult, gap: float) -> Iterator[tuple[Menu, float]]:
        """The menu of the last point as it is, small probabilities included, where a gap is left."""
        if gap > FLOATS_REACH and result.x is not None:
            yield direct_menu(self.market, *self.direct.read(program, result.x), tidy=False)

    def exact_candidates(self, program: LinearProgram, proof: Proof, upper: float) -> Iterator[tuple[Menu, float]]:
        """The menu of an exact point in floats if these earn as much within `FLOATS_REACH`, else in Fractions."""
        menu, lower = direct_menu(self.market, *self.direct.read(program, proof.x))
        written = menu.in_floats.as_written
        in_floats, earned = direct_menu(self.market, written.experiment, written.price)
        yield in_floats, earned
        if relative_gap(earned, upper) > FLOATS_REACH:
            yield menu, lower

    def optimal(self, program: LinearProgram, proof: Proof) -> Menu:
        """The menu of an exact optimum, ties for the seller."""
        return direct_menu(self.market, *self.direct.read(program, proof.x), discount=False)[0]

    def quantities(self, mechanism: Menu, certificate: Optimality) -> Mapping[str, float]:
        """What the menu brings about, and what the market is worth."""
        return quantities(self.market, mechanism)


def solve_finite(market: Market, options: Options) -> Answer:
    """The revenue-maximising menu; with ``market.max_items`` the best of at most so many items, by `best_menu`.

    Parameters
    ----------
    market : Market
    options : Options
        Methods: ``cuts`` (constraint generation), ``full`` (the full linear program) and ``auto``: constraint generation, but the
        full program where it is small, or where generation stops moving; with ``max_items`` only ``auto``.

    Raises
    ------
    ModelError
        If the program does not fit in memory, or with ``max_items`` another method than ``auto`` or an exact proof that there
        is not is asked for.
    SolverError
        If the solver gives no answer, or with ``exact`` none that is exactly optimal.
    """
    if options.method not in METHODS:
        raise ModelError(
            f"the method {options.method} is for a distribution of beliefs without grid; a program solves finitely many types"
        )
    deadline, most = options.deadline(), market.max_items
    if most is None:
        answer = _solve(market, DirectProgram(market), options, deadline).answer
    else:
        if options.method != "auto":
            raise ModelError(
                f"is {most}: with it the way to solve follows from the market's size, and there is no method "
                f"{options.method!r}; leave the method out",
                field="params.max_items",
            )
        # one item is known exactly without the program; of a time limit half is kept for the search
        half = None if options.time_limit is None else options.time_limit / 2
        limited = replace(options, exact=options.exact and most > 1, time_limit=half)
        direct = DirectProgram(market)
        unrestricted = _solve(market, direct, limited, Deadline(half))
        point = None if unrestricted.point is None else direct.read(unrestricted.program, unrestricted.point)
        answer = best_menu(market, most, unrestricted.answer, point, options, deadline)
    return replace(answer, notes=(OF_THE_GRID, *answer.notes), for_grid=True) if market.stands_for_continuum else answer


def solve_as(market: Market, options: Options, formulation: MenuProgram) -> Answer:
    """The revenue-maximising menu by another linear program for the same market.

    Parameters
    ----------
    market : Market
        A limit on items is not regarded.
    options : Options
        Methods as for `solve_finite`.
    formulation : MenuProgram
        Its optimum is the market's, and it reads experiments and prices of its points.

    Raises
    ------
    ModelError
        If the program does not fit in memory.
    SolverError
        If the solver gives no answer, or with ``exact`` none that is exactly optimal.

    Examples
    --------
    >>> from optmarket.models.selling_information.params import Params
    >>> one_type = Market.of(Params.model_validate({"types": [{"weight": 1, "belief": ["1/4", "3/4"]}]}))
    >>> solve_as(one_type, Options(exact=True), DirectProgram(one_type)).exact
    Fraction(1, 4)
    """
    return _solve(market, formulation, options, options.deadline()).answer


def _solve(market: Market, direct: MenuProgram, options: Options, deadline: Deadline) -> Solved[Menu]:
    return solve_lp(MenuFormulation(market, direct), options, deadline, Strategy(options.method, PATIENCE))
