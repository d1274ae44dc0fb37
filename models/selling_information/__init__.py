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

With ``max_items`` the menu has at most so many items. The highest-priced one is then full information without loss. For a given
assignment of types to items the best menu is a linear program, and assignments are searched by branch and bound: see
`optmarket.models.selling_information.limited`.

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

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from optmarket.certificates import Audit, Claim
from optmarket.errors import ModelError
from optmarket.lp.program import LinearProgram
from optmarket.modeling.registry import ModelSpec
from optmarket.models.selling_information import closed_forms, menu_tables, outcomes
from optmarket.models.selling_information.continuum.dirichlet_market import DirichletMarket
from optmarket.models.selling_information.continuum.dirichlet_menu import solve_dirichlet
from optmarket.models.selling_information.continuum.envelope_menu import solve_envelope
from optmarket.models.selling_information.continuum.plane_market import PlaneMarket
from optmarket.models.selling_information.continuum.plane_menu import solve_plane
from optmarket.models.selling_information.continuum.segment_demand import Segment, SegmentDemand, demand_on_segment
from optmarket.models.selling_information.continuum.segment_market import SegmentMarket
from optmarket.models.selling_information.finite import MenuProgram, solve_as, solve_finite
from optmarket.models.selling_information.lp import Deviations, build
from optmarket.models.selling_information.market_arrays import Market
from optmarket.models.selling_information.menu import NOTHING, Menu
from optmarket.models.selling_information.outcomes import QUANTITIES
from optmarket.models.selling_information.params import Params
from optmarket.models.selling_information.population import (
    BeliefSegment,
    BeliefValuePlane,
    BuyerType,
    DirichletBeliefs,
    FiniteTypes,
)
from optmarket.options import Options
from optmarket.solution import Answer, Solution

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = [
    "MODEL",
    "NOTHING",
    "QUANTITIES",
    "BuyerType",
    "Market",
    "Menu",
    "MenuProgram",
    "Params",
    "Segment",
    "SegmentDemand",
    "audit",
    "demand_on_segment",
    "market",
    "plot",
    "program",
    "read",
    "solve",
    "solve_as",
    "tables",
    "theory",
]


METHOD_OF_CONTINUUM = {SegmentMarket: "envelope", PlaneMarket: "plane", DirichletMarket: "dirichlet"}
AnyMarket = Market | SegmentMarket | PlaneMarket | DirichletMarket


def market(params: Params) -> AnyMarket:
    """The market that the parameters describe: finitely many types with exact arrays, or one of three kinds of continuum.

    Raises
    ------
    ModelError
        If a continuum is of a size that is not dealt with.

    Examples
    --------
    >>> market(Params.model_validate({"types": [{"weight": 1, "belief": ["1/4", "3/4"]}]})).n_types
    1
    """
    match params.population:
        case FiniteTypes():
            return Market.of(params)
        case BeliefSegment() as population:
            return SegmentMarket.of(params, population)
        case BeliefValuePlane() as population:
            return PlaneMarket.of(params, population)
        case DirichletBeliefs() as population:
            return DirichletMarket.of(params, population)


def solve(market: AnyMarket, options: Options) -> Answer:
    """The revenue-maximising menu; with ``market.max_items`` the best of at most so many items.

    For a continuum of beliefs in two states it is optimal; with values too, or in more states, it is the best one found, and the
    bounds say how far from the optimum it may be.

    Raises
    ------
    ModelError
        If the program does not fit in memory, or the method or an exact proof is not to be had.
    SolverError
        If the solver gives no answer, or with ``exact`` none that is exactly optimal.

    Examples
    --------
    Half of the buyers hold each state for equally likely; the others are four fifths sure of the first. Full information at 1/2
    for the former alone earns more than at 1/5 for all.

    >>> types = [{"weight": "1/2", "belief": ["1/2", "1/2"]}, {"weight": "1/2", "belief": ["4/5", "1/5"]}]
    >>> answer = solve(market(Params.model_validate({"types": types})), Options(exact=True))
    >>> answer.exact
    Fraction(1, 4)
    """
    if isinstance(market, Market):
        return solve_finite(market, options)
    method = METHOD_OF_CONTINUUM[type(market)]
    if options.method not in {"auto", method}:
        raise ModelError(f"a continuum of types like this is solved by {method} alone; give grid, or another method")
    match market:
        case SegmentMarket():
            return solve_envelope(market, options)
        case PlaneMarket():
            return solve_plane(market, options)
        case DirichletMarket():
            return solve_dirichlet(market, options)


def program(market: AnyMarket, *, exact: bool = False, deviations: Deviations = "double") -> LinearProgram | None:
    """The market's linear program, rows and prices in units of each type's stakes; its ``unit`` brings its value to payoff units.

    There is none for a continuum of types.

    Parameters
    ----------
    market : Market
    exact : bool
        Coefficients as Fractions.
    deviations : {"double", "separate", "misreport"}
        What the mechanism must withstand: misreporting and disobeying together (the market's program), each alone, or only
        misreporting by buyers who always obey. The last two are relaxations, for comparison.

    Raises
    ------
    ModelError
        If it does not fit in memory.

    Examples
    --------
    >>> given = {"types": [{"weight": 1, "belief": ["1/4", "3/4"]}]}
    >>> sorted(program(market(Params.model_validate(given))).variables)
    ['experiment', 'price']
    """
    if not isinstance(market, Market):
        return None
    if market.max_items is not None:
        raise ModelError(
            f"is {market.max_items}: with it the market is no single linear program; leave it out to export",
            field="params.max_items",
        )
    return build(market, exact=exact, deviations=deviations)


def read(market: AnyMarket, data: Mapping[str, Any]) -> Menu:
    """The menu that a mechanism file states, checked against the market; ``Menu.to_json`` is its inverse.

    Raises
    ------
    InstanceError
        With the field that does not fit.

    Examples
    --------
    >>> one_type = market(Params.model_validate({"types": [{"weight": 1, "belief": ["1/4", "3/4"]}]}))
    >>> menu = read(one_type, {"items": [{"experiment": [[1, 0], [0, 1]], "price": "1/4"}]})
    >>> menu.price
    array([Fraction(1, 4)], dtype=object)
    """
    return Menu.read(market, data)


def audit(market: AnyMarket, menu: Menu) -> Audit:
    """What a menu does to buyers as they are: see `outcomes.audit`.

    Examples
    --------
    A buyer that is three quarters sure pays up to a quarter of the value to know the state.

    >>> one_type = market(Params.model_validate({"types": [{"weight": 1, "belief": ["1/4", "3/4"]}]}))
    >>> menu = read(one_type, {"items": [{"experiment": [[1, 0], [0, 1]], "price": "1/4"}]})
    >>> audit(one_type, menu).quantities["revenue"]
    0.25
    """
    return outcomes.audit(market, menu) if isinstance(market, Market) else market.audit(menu)


def tables(market: AnyMarket, menu: Menu) -> dict[str, pd.DataFrame]:
    """The menu, one row per item and state, and the types if they are finitely many, one row each.

    Examples
    --------
    >>> one_type = market(Params.model_validate({"types": [{"weight": 1, "belief": ["1/4", "3/4"]}]}))
    >>> menu = read(one_type, {"items": [{"experiment": [[1, 0], [0, 1]], "price": "1/4"}]})
    >>> {name: len(table) for name, table in tables(one_type, menu).items()}
    {'menu': 2, 'types': 1}
    """
    return menu_tables.tables(market, menu) if isinstance(market, Market) else {"menu": market.menu_table(menu)}


def theory(market: AnyMarket) -> list[Claim]:
    """What is known of the optimal revenue without solving anything.

    Examples
    --------
    >>> one_type = market(Params.model_validate({"types": [{"weight": 1, "belief": ["1/4", "3/4"]}]}))
    >>> [(claim.relation, claim.value) for claim in theory(one_type)]
    [('eq', '1/4'), ('eq', '1/4'), ('lower', '1/4'), ('upper', '1/4')]
    """
    return closed_forms.theory(market) if isinstance(market, Market) else market.theory()


def plot(market: AnyMarket, menu: Menu, solution: Solution) -> Figure:
    """The menu of a solution as a figure; a continuum of types is drawn with cells of it as weights.

    Examples
    --------
    >>> import optmarket
    >>> solution = optmarket.solve("instances/selling-information/two-types.toml")
    >>> len(solution.plot().axes)
    6
    """
    from optmarket.models.selling_information.figure import plot as draw  # matplotlib is slow to import

    return draw(market, menu, solution)


MODEL = ModelSpec(
    name="selling-information",
    title="Selling information to one buyer",
    source="Bergemann, Bonatti and Smolin 2018; Ravindranath, Jiang and Parkes 2023",
    objective="revenue",
    methods={
        "auto": "constraint generation, or the full linear program if that promises more; a continuum's own method",
        "cuts": "finitely many types: the linear program by constraint generation",
        "full": "finitely many types: the full linear program",
        "envelope": "a distribution of beliefs in two states: concave envelopes",
        "plane": "distributions of beliefs in two states and of values: menus, and linear programs that bound revenue",
        "dirichlet": "a distribution of beliefs in three or more states: menus, and linear programs that bound revenue",
    },
    params=Params,
    market=market,
    solve=solve,
    program=program,
    read=read,
    audit=audit,
    theory=theory,
    tables=tables,
    figure=plot,
    quantities=QUANTITIES,
    deviations={
        "misreport": "misreporting",
        "disobey": "disobeying",
        "double-deviation": "misreporting and disobeying at once",
        "individual-rationality": "walking away",
    },
    empty={"menu": "nothing is sold"},
)
