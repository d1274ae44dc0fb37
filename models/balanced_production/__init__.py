"""Production of training data by sellers for several groups, with and without a rule that data must be balanced.

Setting
-------
M sellers produce samples of groups g at a cost of kappa_g per sample. From n samples a prediction about a group has accuracy
``G(n) = max(0, Z - alpha n^(-beta))``, which is 0 up to the learning ante ``(alpha / Z)^(1 / beta)``. Buyer i values accuracy
about group g at mu_ig per unit. The marketplace sets a reserve price p_g; buyers of higher value pay it per unit of accuracy.
The revenue is divided among sellers by the Shapley value. Under a target gamma only data sets with the shares gamma are accepted.

Timing
------
The marketplace sets reserve prices and sellers choose how much to produce, at once; predictions are made, paid for, and the
revenue is divided.

Program
-------
A Nash equilibrium: no seller gains by other production and the marketplace none by other prices. Sellers' game has the exact
potential ``sum over coalitions T of (|T| - 1)! (M - |T|)! / M! V(x_T) - sum c_j x_j``, with V(n) the revenue of n samples. A
seller's best response is found piece by piece between the amounts at which a coalition passes an ante.

Closed forms
------------
With one learning curve and sellers of the same cost, all producing ``(rho alpha beta H / (M kappa))^(1 / (beta + 1))`` is an
equilibrium, with ``H = sum over t <= M of t^-(beta + 1)`` and rho the potential value, if kappa is at most
``(H / M) ((1 + beta) / (M^-beta + beta H))^((beta + 1) / beta)`` times ``tau = rho c_G``. Data are produced for a group if and
only if the lowest cost is at most tau, and under a target if and only if ``kappa' gamma <= max over H of tau_H``.

Where the source is wrong
-------------------------
Its lemmas 4.1 and 4.2 maximise sellers' joint profit, and with two or more sellers the result is no equilibrium. Equilibria in
which some sellers produce nothing exist. A target can end a market in which all groups form if and only if it is not uniform on
the groups that it has. The limits under growth need a share above 0 of the group that grows. See `docs/balanced-production.md`.

References
----------
.. [1] "The Cost of Balanced Training-Data Production in an Online Data Market", anonymous draft (2024).
.. [2] Agarwal, Dahleh, Sarkar, "A Marketplace for Data: An Algorithmic Solution", ACM Conference on Economics and Computation
   (2019).

Examples
--------
>>> from optmarket.options import Options
>>> task = {"Z": 1, "alpha": 1, "beta": 1}
>>> params = Params(potential_value=[1, 1], task=task, cost=["6/25", "6/25"], target=["7/20", "13/20"])
>>> found = solve(Market.of(params), Options())
>>> found.quantities["forming-groups"], found.quantities["target-samples"], found.quantities["backfires"]
(2.0, 0.0, 1.0)
"""

from __future__ import annotations

from optmarket.lp.program import LinearProgram
from optmarket.modeling.registry import ModelSpec
from optmarket.models.balanced_production.closed_forms import symmetric_limit, theory
from optmarket.models.balanced_production.figure import draw
from optmarket.models.balanced_production.market import Market
from optmarket.models.balanced_production.mechanism import ProductionPlan
from optmarket.models.balanced_production.outcomes import QUANTITIES, audit
from optmarket.models.balanced_production.params import Params
from optmarket.models.balanced_production.plan_tables import tables
from optmarket.models.balanced_production.solver import METHODS, solve
from optmarket.models.balanced_production.thresholds_of_targets import formation, thresholds

__all__ = [
    "MODEL",
    "Market",
    "Params",
    "ProductionPlan",
    "audit",
    "formation",
    "program",
    "solve",
    "symmetric_limit",
    "tables",
    "theory",
    "thresholds",
]


def program(market: Market) -> LinearProgram | None:
    """None: an equilibrium of this market is no linear program.

    Examples
    --------
    >>> task = {"Z": 1, "alpha": 1, "beta": 1}
    >>> program(Market.of(Params(potential_value=[1], task=task, cost=["1/10"]))) is None
    True
    """
    return None


MODEL = ModelSpec(
    name="balanced-production",
    title="Producing training data under a rule of balance",
    source="The Cost of Balanced Training-Data Production in an Online Data Market (2024)",
    objective="revenue",
    methods=METHODS,
    params=Params,
    market=Market.of,
    solve=solve,
    program=program,
    read=ProductionPlan.read,
    audit=audit,
    theory=theory,
    tables=tables,
    figure=draw,
    quantities=QUANTITIES,
    deviations={"production": "producing another amount", "reserve-price": "other reserve prices"},
)
