"""Selling information to buyers who compete with what they learn.

Setting
-------
n buyers face m states. Buyer i has a value v_i and a belief theta_i. A buyer that takes the action of the true state gets v_i,
and loses alpha/(n - 1) v_i for each rival that does. Types are independent from buyer to buyer. The seller knows the state and
promises each buyer an experiment that may depend on all reports; a buyer that opts out gets nothing, and its rivals are told the
state.

Timing
------
The seller commits to experiments and payments. Buyers report their types and pay. Each is recommended an action. All act at once.

Program
-------
Maximise expected payments over experiments and payments, subject to individual rationality against perfectly informed rivals,
which leave ``v (max theta - alpha)``, and to incentives against misreporting, disobeying and double deviations: on average over
the others' types (Bayesian) or whatever these are (ex post). See `solvers.general_lp`.

Closed forms
------------
With a common prior: virtual values, ironed, and thresholds, of finitely many values (`virtual_values.optimal_rule`) and of a
continuum of values (`virtual_values.continuum`). Continua of beliefs are bracketed (`solvers.belief_cells`).

Where the source is wrong
-------------------------
See docs/competing-buyers.md.

References
----------
.. [1] Ravindranath, Jiang, Parkes, "Data Market Design through Deep Learning", NeurIPS 2023.
.. [2] Bonatti, Dahleh, Horel, Nouripour, "Selling Information in Competitive Environments", 2022.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from optmarket.certificates import Audit, Claim
from optmarket.errors import ModelError
from optmarket.lp.program import LinearProgram
from optmarket.modeling.registry import ModelSpec
from optmarket.models.competing_buyers import mechanism_tables
from optmarket.models.competing_buyers.figure import draw
from optmarket.models.competing_buyers.market import ContinuousBeliefs, ContinuousValues, FiniteTypes, Market, market_of
from optmarket.models.competing_buyers.mechanisms.by_cell import CellMechanism
from optmarket.models.competing_buyers.mechanisms.by_score import ScoreMechanism
from optmarket.models.competing_buyers.mechanisms.finite_mechanism import FiniteMechanism
from optmarket.models.competing_buyers.mechanisms.mechanism_files import CompetingMechanism, read_mechanism
from optmarket.models.competing_buyers.outcomes import QUANTITIES, assess
from optmarket.models.competing_buyers.params import ContinuumOfValues, Params
from optmarket.models.competing_buyers.solvers import belief_cells, by_virtual_values, general_lp, reduced_form_lp
from optmarket.models.competing_buyers.virtual_values import continuum
from optmarket.models.competing_buyers.virtual_values.optimal_rule import optimal_rule
from optmarket.models.competing_buyers.virtual_values.revenue_curve import RevenueCurve, curve_of
from optmarket.options import Options
from optmarket.solution import Answer, Solution

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["MODEL", "Params", "audit", "market_of", "plot", "program", "read", "solve", "tables", "theory"]

METHODS = {
    "auto": "virtual values with a common prior, else constraint generation",
    "virtual-values": "with a common prior: virtual values, ironed, and thresholds, without a program; continua of values too",
    "reduced": "with a common prior: the linear program over chances of correct recommendations, in full",
    "cuts": "the general linear program by constraint generation: any values and beliefs, and continua of beliefs",
    "full": "the general linear program in full",
}
DEVIATIONS = {
    "misreport": "misreporting",
    "disobey": "disobeying",
    "double-deviation": "misreporting and disobeying at once",
    "individual-rationality": "walking away",
    "disobey-without-value": "disobeying, of a type that values nothing",
}
CLAIM_TOLERANCE = 1e-8  # of revenue, in payoff units: what a claim by a closed form may differ from what a solve finds
CLAIM_DIGITS = 9  # decimals of a bound that a claim states


def read(market: Market, mechanism: Mapping[str, Any]) -> CompetingMechanism:
    """A mechanism for a market from the object of a mechanism file, checked.

    Parameters
    ----------
    market : FiniteTypes, ContinuousValues or ContinuousBeliefs
    mechanism : mapping
        See `mechanisms.mechanism_files.read_mechanism`.

    Raises
    ------
    InstanceError
        With the field that does not fit.

    Examples
    --------
    >>> given = {"prior": ["3/4", "1/4"], "externality": 1, "buyers": [{"count": 2, "value": 1}]}
    >>> market = market_of(Params.model_validate(given))
    >>> truth = [[[[1, 0], [0, 1]]]]
    >>> read(market, {"experiments": [truth, truth], "payments": [["1/4"], ["1/4"]]}).payments
    (array([0.25]), array([0.25]))
    """
    return read_mechanism(market, mechanism)


def program(market: Market, *, exact: bool = False) -> LinearProgram | None:
    """The market's linear program: the reduced one with a common prior, else the general one; none of a continuum of values.

    Parameters
    ----------
    market : FiniteTypes, ContinuousValues or ContinuousBeliefs
    exact : bool
        Coefficients as Fractions rather than their floats.

    Raises
    ------
    ModelError
        If the program does not fit in memory, or beliefs fill a continuum.

    Examples
    --------
    >>> given = {"prior": ["3/4", "1/4"], "externality": 1, "buyers": [{"count": 2, "value": 1}]}
    >>> market = market_of(Params.model_validate(given))
    >>> sorted(program(market).variables)
    ['correct 1', 'correct rivals 1', 'mean correct 1', 'utility 1']
    """
    match market:
        case ContinuousValues():
            return None
        case ContinuousBeliefs():
            raise ModelError(
                "gives a continuum of beliefs, bracketed by programs on cells: give grid for one", field="params.buyers"
            )
        case FiniteTypes():
            build = general_lp.build if market.common_prior is None else reduced_form_lp.build
            return build(market, exact=exact)


def solve(market: Market, options: Options | None = None) -> Answer:
    """The revenue-maximising mechanism, by the method asked for.

    Parameters
    ----------
    market : FiniteTypes, ContinuousValues or ContinuousBeliefs
    options : Options, optional
        Methods as in `METHODS`.

    Returns
    -------
    Answer
        Its mechanism is a `FiniteMechanism`, or for a continuum a `CellMechanism`.

    Raises
    ------
    ModelError
        If a method is not valid for the market, or a program does not fit in memory.
    SolverError
        If the solver gives no answer, or with ``exact`` none that is exactly optimal.

    Examples
    --------
    >>> types = [{"weight": "1/2", "value": 1}, {"weight": "1/2", "value": 2}]
    >>> given = {"prior": ["1/2", "1/2"], "externality": "1/2", "ic": "ex-post", "buyers": [{"count": 2, "types": types}]}
    >>> solve(market_of(Params.model_validate(given))).exact
    Fraction(5, 4)
    """
    options = options or Options()
    match market:
        case ContinuousValues():
            _takes(options, "virtual-values", "values", "virtual values")
            return by_virtual_values.solve_continuum(market, options)
        case ContinuousBeliefs():
            _takes(options, "cuts", "beliefs", "constraint generation")
            return belief_cells.solve(market, options)
        case FiniteTypes():
            return _solve_finite(market, options)


def _takes(options: Options, method: str, types: str, name: str) -> None:
    """Fail unless a continuum's only method is asked for."""
    if options.method not in {"auto", method}:
        raise ModelError(
            f"is {options.method!r}, and a continuum of {types} takes {name}: leave the method out, or give grid", field="method"
        )


def _solve_finite(market: FiniteTypes, options: Options) -> Answer:
    common = market.common_prior is not None
    match options.method:
        case "virtual-values":
            return by_virtual_values.solve_finite(market, options)
        case "reduced":
            return reduced_form_lp.solve(market, options)
        case "auto" if common:
            return by_virtual_values.solve_finite(market, options)
        case "auto" | "cuts" | "full":
            answer = general_lp.solve(market, options)
            why = "as asked" if common else "types have beliefs of their own"
            return replace(answer, notes=(f"general program: {why}", *answer.notes))
        case unknown:
            raise ModelError(f"is {unknown!r}; must be {', '.join(METHODS)}", field="method")


def audit(market: Market, mechanism: CompetingMechanism) -> Audit:
    """What a mechanism does to buyers as they are, from values and beliefs alone: see `outcomes.assess`.

    Parameters
    ----------
    market : FiniteTypes, ContinuousValues or ContinuousBeliefs
    mechanism : FiniteMechanism or CellMechanism
        As `read` gives it.

    Raises
    ------
    ModelError
        If the mechanism is for another kind of market.

    Examples
    --------
    >>> given = {"prior": ["3/4", "1/4"], "externality": 1, "buyers": [{"count": 2, "value": 1}]}
    >>> market = market_of(Params.model_validate(given))
    >>> truth = [[[[1, 0], [0, 1]]]]
    >>> audited = audit(market, read(market, {"experiments": [truth, truth], "payments": [["1/4"], ["1/4"]]}))
    >>> audited.quantities["revenue"], audited.worst
    (0.5, 0.0)
    """
    return assess(_by_report(market, mechanism))


def _by_report(market: Market, mechanism: CompetingMechanism) -> FiniteMechanism:
    """The mechanism for finitely many types that stands for any mechanism of the market."""
    match market, mechanism:
        case FiniteTypes(), FiniteMechanism():
            return mechanism if mechanism.market is market else replace(mechanism, market=market)
        case ContinuousValues() | ContinuousBeliefs(), CellMechanism():
            return mechanism.in_market(market).by_report
        case _:
            raise ModelError("is for finitely many types, or for a continuum, and the market is the other", field="mechanism")


def tables(market: Market, mechanism: CompetingMechanism) -> dict[str, pd.DataFrame]:
    """Buyers, their types, and for two buyers of few types each profile: see `mechanism_tables.tables_of`.

    Parameters
    ----------
    market : FiniteTypes, ContinuousValues or ContinuousBeliefs
    mechanism : FiniteMechanism or CellMechanism

    Examples
    --------
    >>> given = {"prior": ["3/4", "1/4"], "externality": 1, "buyers": [{"count": 2, "value": 1}]}
    >>> market = market_of(Params.model_validate(given))
    >>> list(tables(market, solve(market).mechanism))
    ['buyers', 'types', 'profiles']
    """
    by_report = _by_report(market, mechanism)
    critical: mechanism_tables.CriticalValues | None = None
    if isinstance(by_report, ScoreMechanism):
        groups = range(len(by_report.scores))
        critical = [(by_report.scores[g], *by_report.critical_values(g)) for g in groups]
    elif isinstance(market, FiniteTypes) and market.common_prior is not None:
        critical = by_virtual_values.critical_values(market)
    return mechanism_tables.tables_of(by_report, critical)


def plot(market: Market, mechanism: CompetingMechanism, solution: Solution) -> Figure:
    """The chance of a correct recommendation, drawn: see `figure.draw`.

    Parameters
    ----------
    market : FiniteTypes, ContinuousValues or ContinuousBeliefs
    mechanism : FiniteMechanism or CellMechanism
    solution : Solution

    Examples
    --------
    >>> import optmarket
    >>> len(optmarket.solve("instances/competing-buyers/two-values.toml").plot().axes)
    2
    """
    by_report = _by_report(market, mechanism)
    curves: list[RevenueCurve | None] = [None] * len(by_report.market.groups)
    if isinstance(market, ContinuousValues):
        values = [one.distribution if isinstance(one, ContinuumOfValues) else None for one in market.populations]
        curves = [None if value is None else curve_of(value) for value in values]
    return draw(solution, by_report, curves)


def theory(market: Market) -> list[Claim]:
    """What is known without a program.

    With a common prior the optimum by virtual values. For a continuum of values what cells earn whose values count as their lower
    ends, and as their upper ends, which are bounds; and if all types are such ends, the continuum's optimum.

    Parameters
    ----------
    market : FiniteTypes, ContinuousValues or ContinuousBeliefs

    Examples
    --------
    >>> given = {"prior": ["3/4", "1/4"], "externality": 1, "buyers": [{"count": 2, "value": 1}]}
    >>> market = market_of(Params.model_validate(given))
    >>> [claim.value for claim in theory(market)]
    ['0.5']
    """
    match market:
        case ContinuousBeliefs():
            return []
        case ContinuousValues():
            return [_bound_by_ends(market, "lower"), _bound_by_ends(market, "upper")]
        case FiniteTypes():
            return _claims_of_finite(market)


def _claims_of_finite(market: FiniteTypes) -> list[Claim]:
    if market.common_prior is None:
        return []
    revenue = float(optimal_rule(market).revenue)
    source = "virtual values, ironed, and thresholds"
    claims = [Claim("revenue", repr(revenue), "eq", "analytic", source, CLAIM_TOLERANCE)]
    if market.ends_of is not None:
        value, low, high = continuum.revenue(market.ends_of.continuum)
        source = f"optimum of the continuum of values, {value:.9g}"
        bound = _claim("upper", high, source) if market.ends_of.side == "lower" else _claim("lower", low, source)
        claims.append(bound)
    return claims


def _bound_by_ends(market: ContinuousValues, relation: Literal["lower", "upper"]) -> Claim:
    """A bound by values that count as the lower, or the upper, ends of cells."""
    rule = optimal_rule(by_virtual_values.at_cell_ends(market, upper=relation == "upper"), exact=False)
    slip = rule.tie if relation == "upper" else -rule.excess - rule.tie
    return _claim(relation, float(rule.revenue) + slip, f"values counted as the {relation} ends of cells")


def _claim(relation: Literal["lower", "upper"], bound: float, source: str) -> Claim:
    """A bound rounded outwards to the decimals that are stated."""
    away = math.floor if relation == "lower" else math.ceil
    value = f"{away(bound * 10**CLAIM_DIGITS) / 10**CLAIM_DIGITS:.{CLAIM_DIGITS}f}"
    return Claim("revenue", value, relation, "analytic", source, CLAIM_TOLERANCE)


MODEL = ModelSpec(
    name="competing-buyers",
    title="Selling information to competing buyers",
    source="Ravindranath, Jiang and Parkes 2023; Bonatti, Dahleh, Horel and Nouripour 2022",
    objective="revenue",
    methods=METHODS,
    params=Params,
    market=market_of,
    solve=solve,
    program=program,
    read=read,
    audit=audit,
    theory=theory,
    tables=tables,
    figure=plot,
    quantities=QUANTITIES,
    deviations=DEVIATIONS,
)
