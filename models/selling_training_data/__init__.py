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
errors: worth ``alpha + beta - min(alpha pi1 + beta pi2, pi1/2, pi2/2)``, the last two to buyers that ignore their own data.
Maximise ``sum f_r t_r`` subject to ``alpha_r pi1_r + beta_r pi2_r + t_r <= alpha_r + beta_r`` and, for all r and q, ``<= alpha_r
pi1_q + beta_r pi2_q + t_q``, ``<= pi1_q/2 + t_q`` and ``<= pi2_q/2 + t_q``.

Closed forms
------------
- Two types: `two_types`, for any weights; `region_map` for many at once.
- A continuum of types on a line ``k alpha + beta = m``: `two_tiers`, for any distribution of alpha.
- Complete data at the best posted price are a lower bound, their total value an upper one.

Where the sources are wrong
---------------------------
See docs/selling-training-data.md: the no-rent condition of region IV, the objective on a line, and the rectangle of region III.

References
----------
.. [1] Huang, Zhao, Zhong, "Selling Training Data", talk (the later of two); types (alpha, beta).
.. [2] Huang, Zhao, Zhong, "Selling Training Data", talk (the earlier); types (theta1, theta2) = (beta, alpha).
"""

from __future__ import annotations

from optmarket.modeling.registry import ModelSpec, Source
from optmarket.models import selling_information
from optmarket.models.selling_training_data.closed_forms import REGIONS, region_map, theory, two_tiers, two_types
from optmarket.models.selling_training_data.confusion import from_confusion
from optmarket.models.selling_training_data.figure import plot
from optmarket.models.selling_training_data.finite import convergence
from optmarket.models.selling_training_data.menu_tables import tables
from optmarket.models.selling_training_data.methods import METHODS, program, solve
from optmarket.models.selling_training_data.outcomes import QUANTITIES, audit, read
from optmarket.models.selling_training_data.params import DataBuyer, Line, Params, market
from optmarket.models.selling_training_data.populations import (
    LineGrid,
    LineOfTypes,
    Market,
    TriangleGrid,
    TypesByErrors,
    TypesByMeasure,
)

__all__ = [
    "METHODS",
    "MODEL",
    "QUANTITIES",
    "REGIONS",
    "DataBuyer",
    "Line",
    "LineGrid",
    "LineOfTypes",
    "Market",
    "Params",
    "TriangleGrid",
    "TypesByErrors",
    "TypesByMeasure",
    "audit",
    "convergence",
    "from_confusion",
    "market",
    "plot",
    "program",
    "read",
    "region_map",
    "solve",
    "tables",
    "theory",
    "two_tiers",
    "two_types",
]

MODEL = ModelSpec(
    name="selling-training-data",
    title="Selling training data to a buyer with data of its own",
    source="Huang, Zhao and Zhong, Selling Training Data (two talks)",
    objective="revenue",
    methods=METHODS,
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
    deviations=selling_information.MODEL.deviations,
    empty=selling_information.MODEL.empty,
    sources={
        "confusion": Source(
            files="csv files, one a classifier: rows true class, columns predicted, counts",
            make=from_confusion,
            options={"class": "this class against the rest, equally likely; left out: all classes, as they come"},
        )
    },
)
