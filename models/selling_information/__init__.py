"""Selling information to one buyer.

Setting
-------
States w, actions a. A buyer's type r has weight f_r, a joint measure mu_r[w, c] of the state and of the context c its own data
will show (one context: a belief), and payoffs u_r[w, a]; "matching" pays its value v_r if the action is the state. The seller
posts a menu of experiments pi[w, s] and prices t. An experiment is worth ``V_r(pi) = sum_s sum_c max_a sum_w mu_r[w, c]
pi[w, s] u_r[w, a]`` to type r, no purchase ``o_r = sum_c max_a sum_w mu_r[w, c] u_r[w, a]``, and full information ``F_r``.

Timing
------
The seller posts the menu; the buyer, knowing its type, buys an item or nothing; the state and the context are drawn; the buyer
sees signal and context and acts.

Program
-------
One item per type, whose signals are recommended actions, one per context (profiles). Maximise ``sum f_r t_r`` subject to
``gain_r(pi_r) - t_r >= o_r`` (individual rationality) and ``gain_r(pi_r) - t_r >= V_r(pi_q) - t_q`` for all r, q (incentives:
misreporting, disobeying, and both), where gain_r is the payoff of obeying. Prices in [0, F_r - o_r] are without loss.

With ``max_items`` the menu has at most so many items. The dearest is then full information without loss; a given assignment of
types to items is a linear program, and assignments are searched: see ``_selling_information_search``.

Closed forms
------------
- One type: F - o.
- One item: full information at the best posted price.
- Two states, matching payoffs of one value, no contexts: with theta the probability of the first state and F its distribution,
  the optimum is ``max_m cav[y Pr(theta >= y)](m) + cav[-(1 - z) Pr(theta > z)](m as the mass of 1 - z)``, the concave envelopes
  taken over points (theta_k, .) and the ends; exact for any finite set of types.
- More states and all beliefs of a Dirichlet distribution: no closed form; a menu and bounds that are proved, and far apart.
- Selling full information alone at the best posted price is a lower bound, the total value of information an upper one.

Where the source is wrong
-------------------------
See docs/selling-information.md: the printed optimum of setting B is too low, and incentives must rule out misreporting and
disobeying together except for two states, two actions, one context and matching payoffs.

References
----------
.. [1] Bergemann, Bonatti, Smolin, "The Design and Price of Information", American Economic Review 108 (2018).
.. [2] Ravindranath, Jiang, Parkes, "Data Market Design through Deep Learning", NeurIPS 2023.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from optmarket.errors import ModelError, SolverError
from optmarket.lp import exact_arithmetic, highs
from optmarket.lp.float_bound import Proof
from optmarket.lp.program import FloatArray, LinearProgram, NumberArray
from optmarket.modeling.registry import ModelSpec
from optmarket.models.selling_information import outcomes as report
from optmarket.models.selling_information.closed_forms import theory as known
from optmarket.models.selling_information.continuum import dirichlet_menu as simplex
from optmarket.models.selling_information.continuum import envelope_menu as envelope
from optmarket.models.selling_information.continuum import plane_menu as values
from optmarket.models.selling_information.continuum.segment_demand import Segment, Served, serve
from optmarket.models.selling_information.figure import plot as draw
from optmarket.models.selling_information.limited.best_menu import Relaxed, best_menu
from optmarket.models.selling_information.lp import Deviations, build, read_point
from optmarket.models.selling_information.market import Market
from optmarket.models.selling_information.menu import NOTHING, Menu, direct_menu, full_information_menu
from optmarket.models.selling_information.outcomes import UNITS, quantities
from optmarket.models.selling_information.params import BuyerType, Params
from optmarket.rationals import around, floats
from optmarket.solution import Answer, Audit, Certificate, Claim, Options, Solution, Status, relative_gap

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "MODEL",
    "NOTHING",
    "UNITS",
    "BuyerType",
    "Formulation",
    "Market",
    "Menu",
    "Params",
    "Segment",
    "Served",
    "audit",
    "plot",
    "program",
    "serve",
    "solve",
    "solve_program",
    "tables",
    "theory",
]


GRID = "revenue and its bounds are those of the grid's types; they do not bound the optimum of the continuum of types"
LISTED_AT_LEAST, LISTED_AT_MOST, LISTED_RATIO = 10_000, 250_000, 25  # non-zeros
PATIENCE = 12  # rounds of constraint generation without progress


@dataclass(frozen=True)
class Formulation:
    """A program, and how its points are read.

    Attributes
    ----------
    program : LinearProgram
        Its value times its ``unit`` is in payoff units.
    read : callable
        From a point to experiments, shape (M, W, S), signals being recommended profiles, and prices in payoff units, shape (M,).
    """

    program: LinearProgram
    read: Callable[[NumberArray], tuple[NumberArray, NumberArray]]


class Room(Protocol):
    """A module that solves one kind of continuum of types."""

    def solve(self, params: Params, options: Options) -> Answer:
        """The best menu found, and its bounds."""

    def audit(self, params: Params, mechanism: Mapping[str, Any]) -> Audit:
        """What a menu does to buyers who choose from it."""

    def theory(self, params: Params) -> list[Claim]:
        """Bounds on the optimum."""

    def typical(self, params: Params) -> Market:
        """A market of one type with the same states, actions and payoffs."""

    def with_buyers(self, params: Params, mechanism: Mapping[str, Any], menu: pd.DataFrame) -> pd.DataFrame:
        """A menu's table with shares and buyers of the continuum."""


ROOMS: dict[str, tuple[str, Room]] = {
    "segment": ("envelope", envelope),
    "plane": ("pieces", values),
    "simplex": ("boxes", simplex),
}


def _room(params: Params) -> tuple[str, Room] | None:
    """By what method, and where, a continuum of types is dealt with; None if they are finitely many."""
    return None if params.continuum is None else ROOMS[params.continuum]


def program(params: Params, *, exact: bool = False, deviations: Deviations = "double") -> LinearProgram | None:
    """The market's linear program, rows and prices in units of each type's stakes; its ``unit`` brings its value to payoff units.

    There is none for a whole distribution of beliefs.

    Parameters
    ----------
    params : Params
    exact : bool
        Coefficients as Fractions.
    deviations : {"double", "separate", "misreport"}
        What the mechanism must withstand: misreporting and disobeying together (the market's program), each alone, or only
        misreporting by buyers who always obey. The last two are relaxations, for comparison.

    Raises
    ------
    ModelError
        If it does not fit in memory.
    """
    if params.on_continuum:
        return None
    if params.max_items is not None:
        raise ModelError(
            f"is {params.max_items}: with it the market is no single linear program; leave it out to export",
            field="params.max_items",
        )
    return build(Market.of(params), exact=exact, deviations=deviations)


def solve(params: Params, options: Options | None = None) -> Answer:
    """The revenue-maximising menu; with ``params.max_items`` the best of at most so many items, by `best_menu`.

    Parameters
    ----------
    params : Params
    options : Options, optional
        Methods: ``cuts`` (constraint generation), ``full`` (all rows listed) and ``auto``: constraint generation, but all rows
        listed where there are few, or where generation stops moving; for a whole distribution of beliefs only that of `ROOMS`
        (``auto`` is this there); with ``max_items`` only ``auto``.

    Raises
    ------
    ModelError
        If the program does not fit in memory, or with ``max_items`` another method than ``auto`` or an exact proof that there
        is not is asked for.
    SolverError
        If the solver gives no answer, or with ``exact`` none that is exactly optimal.
    """
    options = options or Options()
    start = time.perf_counter()
    room = _room(params)
    if room is not None:
        method, module = room
        if options.method not in {"auto", method}:
            raise ModelError(
                f"a whole distribution of beliefs like this is solved by {method} alone; give grid, or another method"
            )
        return module.solve(params, options)
    if options.method not in {"auto", "cuts", "full"}:
        raise ModelError(
            f"the method {options.method} is for a distribution of beliefs without grid; a program solves finitely many types"
        )
    market, most = Market.of(params), params.max_items
    if most is None:
        answer = _solve(market, options, start).answer
        return replace(answer, notes=(GRID, *answer.notes)) if params.stands_for_continuum else answer
    if options.method != "auto":
        raise ModelError(
            f"is {most}: with it the way to solve follows from the market's size, and there is no method {options.method!r}; "
            "leave the method out",
            field="params.max_items",
        )
    # one item is known exactly without the program; of a time limit half is kept for the search
    half = None if options.time_limit is None else options.time_limit / 2
    relaxed = _solve(market, replace(options, exact=options.exact and most > 1, time_limit=half), start)
    answer = best_menu(market, most, relaxed, options, start)
    return replace(answer, notes=(GRID, *answer.notes)) if params.stands_for_continuum else answer


def solve_program(params: Params, options: Options, formulate: Callable[[bool], Formulation]) -> Answer:
    """The revenue-maximising menu, by another program for the same market.

    Parameters
    ----------
    params : Params
    options : Options
    formulate : callable
        From whether coefficients are to be Fractions to a program whose optimum is the market's.
    """
    return _solve(Market.of(params), options, time.perf_counter(), formulate).answer


def _formulated(market: Market, exact: bool) -> Formulation:
    linear = build(market, exact=exact)
    return Formulation(linear, lambda x: read_point(market, linear, x))


class _Best:
    """The best menu so far, and a certified lower bound on what it earns."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self.menu, self.lower = full_information_menu(market)

    def take(self, menu: Menu, lower: float) -> None:
        if lower > self.lower:
            self.menu, self.lower = menu, lower

    def offer(self, experiment: NumberArray, price: NumberArray, *, tidy: bool = True) -> float:
        """Take the menu of a program's point if it is better; the lower bound."""
        self.take(*direct_menu(self._market, experiment, price, tidy=tidy))
        return self.lower

    def offer_exact(self, experiment: NumberArray, price: NumberArray, upper: float) -> None:
        """Take the menu of an exact point, in floats if these earn as much within `refinement.CLOSE`, else in fractions."""
        menu, lower = direct_menu(self._market, experiment, price)
        written = Menu.read(self._market, menu.in_floats().as_mechanism(), exact=True)
        self.take(*direct_menu(self._market, written.experiment, written.price))
        if relative_gap(self.lower, upper) > exact_arithmetic.CLOSE:
            self.take(menu, lower)


def _solve(market: Market, options: Options, start: float, formulate: Callable[[bool], Formulation] | None = None) -> Relaxed:
    """The best menu of any size, and the program's last point.

    Floats come first. Where their bounds do not meet, which happens where stakes differ by many orders of magnitude, a program
    that is small enough is solved in exact arithmetic.
    """
    formulate = formulate or partial(_formulated, market)
    formulation = formulate(options.exact)
    best, ceiling = _Best(market), around(market.first_best)[1]

    def left() -> float | None:
        return None if options.time_limit is None else max(0.0, options.time_limit - (time.perf_counter() - start))

    method, linear, result = _run(formulation, options, left, best)
    read = formulation.read
    upper, point = min(result.bound * linear.unit, ceiling), result.x
    status, notes, exact = result.status, [], None
    if status in {Status.INFEASIBLE, Status.UNBOUNDED, Status.FAILED}:
        # to sell nothing is always feasible, and prices have bounds: so it is the solver that failed
        notes.append(f"the solver ended {status}, which this program cannot be: the bounds are what else is known")
        status = Status.GAP
    if point is not None and relative_gap(best.lower, upper) > exact_arithmetic.CLOSE:
        best.offer(*read(point), tidy=False)
    menu, lower = best.menu, best.lower
    if options.exact and status in {Status.OPTIMAL, Status.GAP}:
        proof = exact_arithmetic.solve_exactly(linear, result, left())
        if isinstance(proof, Status):
            status = proof
        else:
            status, exact, point = Status.OPTIMAL, proof.value * Fraction(linear.unit), proof.x
            menu, _ = direct_menu(market, *read(proof.x), discount=False)
            lower, upper = around(exact)
            notes = []
    elif status in {Status.OPTIMAL, Status.GAP} and exact_arithmetic.is_worthwhile(
        options, relative_gap(lower, upper), result, linear
    ):
        again = formulate(True)
        found = exact_arithmetic.solve_anew(again.program.listed() if method == "full" else again.program, left())
        if isinstance(found, Proof):
            point = floats(found.x)
            upper = min(upper, around(found.value * Fraction(linear.unit))[1])
            best.offer_exact(*again.read(found.x), upper)
            menu, lower, method, status, notes = best.menu, best.lower, f"{method}, refined exactly", Status.OPTIMAL, []
        elif found in {Status.TIME_LIMIT, Status.INTERRUPTED}:
            status = found
    gap = relative_gap(lower, upper)
    answer = Answer(
        status=options.settled(status, gap),
        mechanism=menu.as_mechanism(),
        quantities=quantities(market, menu),
        certificate=Certificate(lower, upper, gap, result.blocks),
        exact=exact,
        method=method,
        notes=tuple(notes),
        run=result.run(time.perf_counter() - start, linear.columns),
    )
    return Relaxed(answer, *((None, None) if point is None else read(point)))


def _run(
    formulation: Formulation, options: Options, left: Callable[[], float | None], best: _Best
) -> tuple[str, LinearProgram, highs.LpResult]:
    """Solve in floats, keeping the best menu met: by constraint generation, or with all rows listed if asked for or better."""
    linear, read = formulation.program, formulation.read

    def incumbent(x: FloatArray) -> float:
        return best.offer(*read(x)) / linear.unit

    def solve(program: LinearProgram, options: Options, patience: int | None = None) -> highs.LpResult:
        try:
            result = highs.solve(program, options, incumbent=incumbent, patience=patience)
        except SolverError:
            return highs.LpResult.of_failure(program)
        if result.x is not None and not result.stalled:
            incumbent(result.x)
        return result

    auto = options.method == "auto"
    result = None
    if options.method == "cuts" or (auto and not _lists_at_once(linear)):
        result = solve(linear, options, PATIENCE if auto else None)
        if not result.stalled:
            return "cuts", linear, result
        options = replace(options, time_limit=left())
    linear = linear.listed()
    listed = solve(linear, options)
    if result is not None:
        listed = replace(listed, bound=min(result.bound, listed.bound), rounds=result.rounds + listed.rounds)
        listed = replace(listed, iterations=result.iterations + listed.iterations)
    return "full", linear, listed


def _lists_at_once(linear: LinearProgram) -> bool:
    """Whether listing all rows costs little beside the rows that stand anyway.

    With several contexts an item has many signals, rows of obedience abound, and each of the others combines one disobedience
    after every signal: there rows on demand are slow, and listing all not much larger.
    """
    own, whole = linear.size()[2], linear.size(listed=True)[2]
    return LISTED_AT_LEAST <= whole <= min(LISTED_AT_MOST, LISTED_RATIO * own)


def audit(params: Params, mechanism: Mapping[str, Any]) -> Audit:
    """What a mechanism does to buyers as they are: see `optmarket.audit`.

    With a whole distribution of beliefs buyers choose from the menu; for two states quantities are exact but for the distribution
    function's accuracy, for more revenue is given with its bounds.

    Raises
    ------
    InstanceError
        If the mechanism does not fit the market.
    """
    room = _room(params)
    return room[1].audit(params, mechanism) if room else report.audit(params, mechanism)


def tables(params: Params, mechanism: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """The menu, one row per item and state, and the types if they are finitely many, one row each."""
    room = _room(params)
    if room is None:
        return report.tables(Market.of(params), mechanism)
    menu = report.tables(room[1].typical(params), mechanism)["menu"]
    return {"menu": room[1].with_buyers(params, mechanism, menu)}


def theory(params: Params) -> list[Claim]:
    """What is known of the optimum without solving anything, on the revenue."""
    room = _room(params)
    return room[1].theory(params) if room else known(params)


def plot(params: Params, solution: Solution) -> Figure:
    """The menu of a solution as a figure; a distribution of beliefs is drawn with cells of it as weights."""
    if params.on_continuum:
        cells = report.tables(Market.of(params), solution.mechanism)
        solution = replace(solution, tables={**cells, **solution.tables})
    return draw(params, solution)


MODEL = ModelSpec(
    name="selling-information",
    title="Selling information to one buyer",
    source="Bergemann, Bonatti and Smolin 2018; Ravindranath, Jiang and Parkes 2023",
    objective="revenue",
    methods=("auto", "cuts", "full", *(method for method, _ in ROOMS.values())),
    params=Params,
    solve=solve,
    program=program,
    audit=audit,
    theory=theory,
    tables=tables,
    plot=plot,
    units=UNITS,
)
