"""A platform that buys data from users whose data reveal something about each other.

Setting
-------
User i has a type X_i; types are jointly normal with mean 0 and covariance Sigma. A user who shares gives the platform the
signal ``S_i = X_i + Z_i``, where the noise Z_i is normal with variance 1 and independent of everything. The leaked information
about user i is by how much the mean squared error of the best estimate of X_i falls, ``I_i(a) = Sigma_ii - M_ii(a)``, with
``M(a) = (Sigma^-1 + diag a)^-1`` for the profile a of who shares. A unit of leaked information is worth 1 to the platform and
costs user i the amount v_i, whether or not it was this user who shared.

Timing
------
The platform offers prices; users decide at once whether to share; sharers are paid.

Program
-------
A profile is a user equilibrium at prices p if ``p_i >= v_i (I_i(1, a_-i) - I_i(0, a_-i))`` for sharers and ``<=`` for others.
The least prices that sustain a profile make these equalities. The platform maximises ``sum I_i(a) - sum over sharers of p_i``
over the 2^n profiles (the Stackelberg equilibrium that is best for it); social surplus is ``sum (1 - v_i) I_i(a)``. Both are
found by going through all profiles, or by branch and bound with bounds that hold at any time.

Closed forms
------------
Sharers are paid ``v_i m^2 / (1 - m)`` with m = M_ii(a). Users of value at most 1 share without loss. For two users all four
profiles are written out.

Where the source is wrong
-------------------------
Leaked information is not submodular in the set of sharers; only the effect of a user's own choice on the own leak falls as
others share, which is all that the users' game needs. The leak about the first of the talk's three users, who does not share,
is 1/4 and not 3/7. The mediator's signals leak less about sharers than the talk's lemma says, and surplus with them may be
below that without. The payment for secret values is not truthful. See `docs/data-externalities.md`.

References
----------
.. [1] Acemoglu, Makhdoumi, Malekian, Ozdaglar, "Too Much Data: Prices and Inefficiencies in Data Markets", American Economic
   Journal: Microeconomics 14 (2022); here from a talk by Malekian (2023).

Examples
--------
>>> from optmarket.options import Options
>>> found = solve(Market.of(Params(covariance=[[1, "4/5"], ["4/5", 1]], privacy_value="11/10")), Options())
>>> found.exact, found.quantities["surplus"] < 0 < found.quantities["loss"]
(Fraction(3071, 5250), True)
"""

from __future__ import annotations

from optmarket.lp.program import LinearProgram
from optmarket.modeling.registry import ModelSpec
from optmarket.models.data_externalities.closed_forms import theory
from optmarket.models.data_externalities.figure import draw
from optmarket.models.data_externalities.leaks import GaussianLeaks, TabledLeaks
from optmarket.models.data_externalities.market import Market
from optmarket.models.data_externalities.mechanism import SharingProfile
from optmarket.models.data_externalities.outcomes import QUANTITIES, audit, tables
from optmarket.models.data_externalities.params import Params
from optmarket.models.data_externalities.solver import METHODS, solve

__all__ = [
    "MODEL",
    "GaussianLeaks",
    "Market",
    "Params",
    "SharingProfile",
    "TabledLeaks",
    "audit",
    "program",
    "solve",
    "tables",
    "theory",
]


def program(market: Market) -> LinearProgram | None:
    """None: the platform's problem is no linear program.

    Examples
    --------
    >>> program(Market.of(Params(covariance=[[1]], privacy_value=1))) is None
    True
    """
    return None


MODEL = ModelSpec(
    name="data-externalities",
    title="Buying data from users whose data reveal something about each other",
    source="Acemoglu, Makhdoumi, Malekian and Ozdaglar 2022",
    objective="platform-payoff",
    methods=METHODS,
    params=Params,
    market=Market.of,
    solve=solve,
    program=program,
    read=SharingProfile.read,
    audit=audit,
    theory=theory,
    tables=tables,
    figure=draw,
    quantities=QUANTITIES,
    deviations={"deviation": "changing whether to share"},
    empty={"joining equilibria": "no joining equilibrium in pure strategies"},
)
