"""Selling information to buyers who compete with what they learn.

Setting
-------
n buyers, m states. Buyer i of value v_i and belief theta_i that takes the action of the true state gets v_i, and loses
alpha/(n - 1) v_i for each rival that does. Types are independent from buyer to buyer. The seller knows the state and promises
each buyer an experiment that may depend on all reports; who opts out gets nothing, and its rivals are told the state.

Timing
------
Buyers report types and pay; each is recommended an action; all act at once.

Program
-------
Maximise expected payments over experiments and payments, subject to individual rationality against perfectly informed rivals,
``v (max theta - alpha)``, and to incentives against misreporting, disobeying and both: on average over the others' types
(Bayesian) or whatever these are (ex post). See `_competing_buyers_general`.

Closed forms
------------
With a common prior virtual values, ironed, and thresholds: of finitely many values (`_competing_buyers_virtual`) and of whole
distributions (`_competing_buyers_continuum`). Whole distributions of beliefs are bracketed (`_competing_buyers_beliefs`).

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
from typing import TYPE_CHECKING, Any

import pandas as pd

from optmarket.distributions.specification import Distribution
from optmarket.errors import ModelError
from optmarket.lp.program import LinearProgram
from optmarket.modeling.registry import ModelSpec
from optmarket.models.competing_buyers import outcomes as report
from optmarket.models.competing_buyers.figure import draw
from optmarket.models.competing_buyers.interim import UNITS, Judged, assess
from optmarket.models.competing_buyers.market import Market, Params
from optmarket.models.competing_buyers.mechanisms import by_cell as cells
from optmarket.models.competing_buyers.mechanisms.by_count import Tallied
from optmarket.models.competing_buyers.mechanisms.by_score import Scores
from optmarket.models.competing_buyers.outcomes import Mechanism
from optmarket.models.competing_buyers.solvers import belief_cells as beliefs
from optmarket.models.competing_buyers.solvers import general_lp as general
from optmarket.models.competing_buyers.solvers import reduced_form_lp as reduced
from optmarket.models.competing_buyers.solvers import virtual_values as optimum
from optmarket.models.competing_buyers.virtual_values import continuum as continuum
from optmarket.models.competing_buyers.virtual_values import ironing as virtual
from optmarket.models.competing_buyers.virtual_values.revenue_curve import curve_of
from optmarket.solution import Answer, Audit, Claim, Options, Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MODEL", "Market", "Mechanism", "Params", "audit", "plot", "program", "solve", "tables", "theory"]


def read(params: Params, mechanism: Mapping[str, Any]) -> tuple[Market, Judged]:
    """A market and a mechanism for it, checked.

    Parameters
    ----------
    params : Params
    mechanism : mapping
        Experiments and payments at every profile, see `Mechanism.read`, or by tally, see `Tallied.read`, or a rule, see
        `Scores.read`; for whole distributions with ``cells``, see `_competing_buyers_cells.market`.

    Raises
    ------
    InstanceError
        With the field that does not fit.
    """
    market, rest = cells.read(params, mechanism) if params.on_continuum else (Market.of(params), mechanism)
    form = Scores if "scores" in rest else Tallied if "experiments-by-tally" in rest else Mechanism
    return market, form.read(market, rest)


def form(params: Params) -> str:
    """The formulation that is used.

    Raises
    ------
    ModelError
        If buyers who differ are to be treated alike.
    """
    if params.formulation == "symmetric":
        if len(params.buyers) > 1:
            raise ModelError(
                f"takes buyers who are all alike, and here are {len(params.buyers)} kinds; describe them as one with count, or "
                "ask for another formulation",
                field="params.formulation",
            )
        return "general" if params.prior is None else "reduced"
    if params.formulation != "auto":
        return params.formulation
    return "general" if params.prior is None else "virtual-values"


def program(params: Params, *, exact: bool = False) -> LinearProgram | None:
    """The market's linear program: the reduced one if it is asked for or would do, else the general one; none of a continuum."""
    if params.on_continuum:
        if params.prior is None:
            raise ModelError("is a whole distribution, bracketed by programs on cells: give grid for one", field="params.buyers")
        return None
    market = Market.of(params)
    return general.build(market, exact=exact) if form(params) == "general" else reduced.build(market, exact=exact)


def solve(params: Params, options: Options | None = None) -> Answer:
    """The revenue-maximising mechanism, by the formulation asked for.

    Parameters
    ----------
    params : Params
    options : Options, optional
        Methods: ``auto``; for the general and the reduced program ``cuts`` and ``full``.

    Raises
    ------
    ModelError
        If a form is not valid for the market, or does not fit in memory.
    SolverError
        If the solver gives no answer, or with ``exact`` none that is exactly optimal.
    """
    options = options or Options()
    how = form(params)
    if how == "virtual-values":
        if options.method != "auto":
            raise ModelError(f"virtual values take no method {options.method!r}: leave it out, or ask for another formulation")
        return (
            optimum.solve_continuum(params, options) if params.on_continuum else optimum.solve_finite(Market.of(params), options)
        )
    if params.on_continuum:
        if params.prior is None and how == "general":
            return beliefs.solve(params, options)
        k = next(k for k, buyer in enumerate(params.buyers) if buyer.on_continuum)
        takes = "the general program" if params.prior is None else "virtual values"
        raise ModelError(
            f"is a whole distribution, which takes {takes}: leave formulation out, or give grid", field=f"params.buyers[{k}]"
        )
    market = Market.of(params)
    if how == "reduced":
        return reduced.solve(market, options)
    answer = general.solve(market, options)
    why = "types have beliefs of their own" if params.prior is None else "as asked"
    return replace(answer, method=f"{answer.method}, general form", notes=(f"general program: {why}", *answer.notes))


def audit(params: Params, mechanism: Mapping[str, Any]) -> Audit:
    """What a mechanism does to buyers as they are, from values and beliefs alone: see `_competing_buyers_view.assess`.

    Raises
    ------
    InstanceError
        If the mechanism does not fit the market.
    """
    return assess(*read(params, mechanism))


def tables(params: Params, mechanism: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Buyers, their types, and for two buyers of few types each profile: see `_competing_buyers_report.tables`."""
    market, judged = read(params, mechanism)
    rule: report.Rule | None = None
    if isinstance(judged, Scores):
        rule = [(judged.score[g], *judged.limits(market, g)) for g in range(len(market.groups))]
    elif params.prior is not None and not params.on_continuum:
        rule = optimum.limits(market)
    return report.tables(market, judged, rule)


def plot(params: Params, solution: Solution) -> Figure:
    """The chance of being told right, drawn: see `_competing_buyers_plot.draw`."""
    values = [buyer.value if buyer.on_continuum else None for buyer in params.buyers]
    curves = [curve_of(value.law) if isinstance(value, Distribution) else None for value in values]
    return draw(solution, *read(params, solution.mechanism), curves)


def theory(params: Params) -> list[Claim]:
    """What is known without a program.

    With a common prior the optimum by virtual values; of whole distributions what cells earn whose values count as their lower
    ends, and as their upper ends, which are bounds; and if all distributions are cut into such cells, the whole ones' optimum.
    """
    if params.prior is None:
        return []
    if params.on_continuum:
        return [_by_ends(params, "lower"), _by_ends(params, "upper")]
    found = virtual.rule(Market.of(params))
    claims = [Claim("revenue", repr(float(found.revenue)), "eq", "analytic", "virtual values, ironed, and thresholds", 1e-8)]
    rules = {buyer.grid.rule if buyer.grid else "none" for buyer in params.buyers}
    if rules in ({"lower"}, {"upper"}):
        side = "upper" if rules == {"lower"} else "lower"
        whole = params.model_dump(mode="json", by_alias=True)
        for buyer in whole["buyers"]:
            buyer["grid"] = None
        value, low, high = continuum.revenue(Params.model_validate(whole))
        source = f"optimum of the whole distributions, {value:.9g}"
        claims.append(Claim("revenue", _rounded(high if side == "upper" else low, side), side, "analytic", source, 1e-8))
    return claims


def _by_ends(params: Params, side: str) -> Claim:
    """A bound by values that count as the lower, or the upper, ends of cells."""
    found = virtual.rule(optimum.ends(params, upper=side == "upper"), exact=False)
    slip = found.tie if side == "upper" else -found.excess - found.tie
    value = _rounded(float(found.revenue) + slip, side)
    return Claim("revenue", value, side, "analytic", f"values counted as the {side} ends of cells", 1e-8)


def _rounded(bound: float, relation: str) -> str:
    """A bound in nine decimals, outwards."""
    away = math.floor if relation == "lower" else math.ceil
    return f"{away(bound * 1e9) / 1e9:.9f}"


MODEL = ModelSpec(
    name="competing-buyers",
    title="Selling information to competing buyers",
    source="Ravindranath, Jiang and Parkes 2023; Bonatti, Dahleh, Horel and Nouripour 2022",
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
)
