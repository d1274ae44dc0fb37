"""Selling one good to one buyer: the smallest complete market, to be copied for a new one.

Setting
-------
A seller has one indivisible good, which costs it c if it is sold. The buyer's type r has weight f_r and value v_r, which the
seller does not know. A mechanism gives each type the good with probability q_r for a payment t_r.

Timing
------
The seller announces the mechanism; the buyer reports a type, or walks away; the good is given, perhaps by lottery, and paid for.

Program
-------
Maximise ``sum f_r (t_r - c q_r)`` subject to ``v_r q_r - t_r >= v_r q_s - t_s`` for all types r and s (incentive compatibility)
and ``v_r q_r - t_r >= 0`` (individual rationality), with q_r in [0, 1].

Closed forms
------------
No lottery earns more than one posted price [1]_: the optimum is ``max over r of (v_r - c) Pr(value >= v_r)``, or nothing.

Where the source is wrong
-------------------------
Nowhere that is known.

References
----------
.. [1] Riley, Zeckhauser, "Optimal Selling Strategies: When to Haggle, When to Hold Firm", Quarterly Journal of Economics 98
   (1983).

Examples
--------
>>> from optmarket.options import Options
>>> found = solve(Market.of(Params(types=[{"weight": "1/2", "value": 1}, {"weight": "1/2", "value": 3}])), Options(exact=True))
>>> found.exact
Fraction(3, 2)
"""

from __future__ import annotations

from optmarket.modeling.registry import ModelSpec
from optmarket.models._template.closed_forms import posted_price, theory
from optmarket.models._template.figure import draw
from optmarket.models._template.lp import program, solve
from optmarket.models._template.market import Market
from optmarket.models._template.mechanism import DirectMechanism
from optmarket.models._template.outcomes import QUANTITIES, audit, tables
from optmarket.models._template.params import Params

__all__ = ["MODEL", "DirectMechanism", "Market", "Params", "audit", "posted_price", "program", "solve", "tables", "theory"]

MODEL = ModelSpec(
    name="template",
    title="Selling one good to one buyer",
    source="Riley and Zeckhauser 1983",
    objective="profit",
    methods={
        "auto": "the linear program with all incentive rows",
        "posted-price": "the closed form: the best posted price",
    },
    params=Params,
    market=Market.of,
    solve=solve,
    program=program,
    read=DirectMechanism.read,
    audit=audit,
    theory=theory,
    tables=tables,
    figure=draw,
    quantities=QUANTITIES,
    deviations={"misreport": "misreporting", "individual-rationality": "walking away"},
)
