"""The linear program over all lotteries, and the solution of a market by it or by the best posted price."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

import numpy as np

from optmarket.arrays import FloatArray, NumberArray
from optmarket.certificates import Optimality
from optmarket.lp.float_bound import Proof
from optmarket.lp.highs import LpResult
from optmarket.lp.program import LinearProgram, Rows, check_memory
from optmarket.modeling.solve_lp import Strategy, solve_lp
from optmarket.models._template.closed_forms import posted_price
from optmarket.models._template.market import Market
from optmarket.models._template.mechanism import DirectMechanism
from optmarket.models._template.outcomes import quantities
from optmarket.options import Deadline, Options, Status
from optmarket.rationals import around, floats
from optmarket.solution import Answer
from optmarket.solution_file import SolverReport


def program(market: Market, *, exact: bool = False) -> LinearProgram:
    """The linear program, values and payments in units of the market's `unit`.

    Parameters
    ----------
    market : Market
    exact : bool
        Coefficients as Fractions.

    Raises
    ------
    ModelError
        If it does not fit in memory.

    Examples
    --------
    >>> from optmarket.models._template.params import Params
    >>> program(Market.of(Params(types=[{"weight": "1/2", "value": 1}, {"weight": "1/2", "value": 3}]))).size()
    (4, 4, 12)
    """
    types = len(market.names)
    check_memory(types**2, 2 * types, 4 * types**2, "the program")
    number = _as_given if exact else floats
    value, weight = market.value / market.unit, market.weight
    linear = LinearProgram("max", unit=float(market.unit))
    cost = number(-weight * (market.cost / market.unit))
    probability = linear.add_variables("probability", (types,), upper=_filled(1, types, exact), objective=cost)
    payment = linear.add_variables("payment", (types,), upper=number(value), objective=number(weight))
    # value q - t of one's own is at least that of each other type's
    own, other = (one.ravel() for one in np.nonzero(~np.eye(types, dtype=bool)))
    v, one = number(value)[own], _filled(1, len(own), exact)
    columns = np.stack([probability[own], payment[own], probability[other], payment[other]], axis=1)
    infinite = np.inf
    linear.add_rows("incentives", Rows.dense(columns, np.stack([v, -one, -v, one], axis=1), one * 0, infinite))
    v, one = number(value), _filled(1, types, exact)
    columns = np.stack([probability, payment], axis=1)
    linear.add_rows("individual rationality", Rows.dense(columns, np.stack([v, -one], axis=1), one * 0, infinite))
    return linear


def solve(market: Market, options: Options) -> Answer:
    """The mechanism of largest profit.

    Parameters
    ----------
    market : Market
    options : Options
        Methods: ``auto``, the linear program, and ``posted-price``, the closed form.

    Raises
    ------
    SolverError
        With ``exact``, if the solver gives no answer that is exactly optimal.

    Examples
    --------
    >>> from optmarket.models._template.params import Params
    >>> market = Market.of(Params(types=[{"weight": "1/2", "value": 1}, {"weight": "1/2", "value": 3}]))
    >>> solve(market, Options()).quantities["profit"]
    1.5
    """
    deadline = options.deadline()
    if options.method == "posted-price":
        return _by_closed_form(market, deadline)
    return solve_lp(_LotteryProgram(market), options, deadline, Strategy("full")).answer


def _by_closed_form(market: Market, deadline: Deadline) -> Answer:
    price, profit = posted_price(market)
    mechanism = DirectMechanism.at_price(market, price)
    return Answer(
        status=Status.OPTIMAL,
        mechanism=mechanism,
        quantities=quantities(market, mechanism),
        certificate=Optimality.of(*around(profit)),
        exact=profit,
        run=SolverReport(seconds=deadline.elapsed, method="posted price"),
    )


class _LotteryProgram:
    """The program as `solve_lp` takes it: posted prices are the mechanisms that are sure to hold."""

    def __init__(self, market: Market) -> None:
        self._market = market

    @property
    def ceiling(self) -> float:
        return around(self._market.first_best)[1]

    def program(self, *, exact: bool) -> LinearProgram:
        return program(self._market, exact=exact)

    def simple(self) -> Iterable[tuple[DirectMechanism, float]]:
        price, profit = posted_price(self._market)
        return [(DirectMechanism.at_price(self._market, price), around(profit)[0])]

    def candidates(self, program: LinearProgram, x: FloatArray) -> Iterable[tuple[DirectMechanism, float]]:
        return []  # a point of the solver's holds within its tolerances only

    def last_candidates(self, program: LinearProgram, result: LpResult, gap: float) -> Iterable[tuple[DirectMechanism, float]]:
        return []

    def exact_candidates(self, program: LinearProgram, proof: Proof, upper: float) -> Iterable[tuple[DirectMechanism, float]]:
        return []

    def optimal(self, program: LinearProgram, proof: Proof) -> DirectMechanism:
        unit = Fraction(program.unit)
        return DirectMechanism.of(proof.x[program.variables["probability"]], unit * proof.x[program.variables["payment"]])

    def quantities(self, mechanism: DirectMechanism, certificate: Optimality) -> Mapping[str, float]:
        return quantities(self._market, mechanism)


def _as_given(values: NumberArray) -> NumberArray:
    return values


def _filled(number: int, count: int, exact: bool) -> NumberArray:
    return np.full(count, Fraction(number) if exact else float(number))
