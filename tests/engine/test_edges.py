"""Inputs at the edge of what floats, the solver and the command line can take, each of which once went wrong."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import sys
import threading
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support import one_buyer as market

import optmarket
from optmarket.arrays import NumberArray
from optmarket.certificates import Claim, Optimality
from optmarket.errors import InstanceError, ModelError, SolverError
from optmarket.instances.instance import Instance
from optmarket.lp import exact_arithmetic, highs
from optmarket.lp.float_bound import safe_bound
from optmarket.lp.program import LinearProgram, Rows
from optmarket.options import Options, Status
from optmarket.solution import Answer, Solution, decide

HALF = Fraction(1, 2)
TWO = [{"weight": HALF, "belief": ["1/4", "3/4"]}, {"weight": HALF, "belief": ["3/5", "2/5"]}]
OPTIMUM = Fraction(19, 70)
NOBODY = {"weight": 0, "belief": [HALF, HALF], "value": 10**12}


def params(types: list[dict[str, Any]], **others: Any) -> market.Params:
    return market.Params.model_validate({"types": types, **others})


def solution(types: list[dict[str, Any]], **others: Any) -> Solution:
    case = Instance("selling-information", "t", "s", params(types, **others), (), "t", "0")
    return optmarket.solve(case)


def rows(matrix: list[list[float]], lower: float, upper: float) -> Rows:
    values = np.array(matrix)
    return Rows.dense(np.broadcast_to(np.arange(values.shape[1]), values.shape), values, lower, upper)


# Ctrl-C and threads ---------------------------------------------------------------------------------------------------


def many_types() -> market.Params:
    beliefs = np.random.default_rng(0).integers(1, 300, size=(40, 3))
    return params([{"weight": "1/40", "belief": [Fraction(int(n), int(row.sum())) for n in row]} for row in beliefs])


def calls_of_a_solve(case: market.Params, stop_at: int | None = None) -> int:
    """Solve, counting the calls of functions in this thread; Ctrl-C comes with the one whose number is given."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"
        if event == "call" and calls == stop_at:
            signal.raise_signal(signal.SIGINT)

    sys.setprofile(count)
    try:
        answer = market.solve(case)
    finally:
        sys.setprofile(None)
    assert answer.certificate.lower <= answer.certificate.upper
    return calls


def test_ctrl_c_at_any_call_leaves_a_working_solver() -> None:
    case = many_types()
    calls = calls_of_a_solve(case)
    for stop_at in np.linspace(1, calls - 1, 15).astype(int):
        with contextlib.suppress(KeyboardInterrupt):  # outside the solver: while the program was built, or after the answer
            calls_of_a_solve(case, int(stop_at))
    assert market.solve(case).status is Status.OPTIMAL


@pytest.mark.parametrize("solve", [1, 2, 3])
def test_ctrl_c_within_the_solver_leaves_an_answer(solve: int, monkeypatch: pytest.MonkeyPatch) -> None:
    case = many_types()
    run_alone = highs.Session._run_alone
    solves = 0

    def interrupted(session: highs.Session) -> None:
        nonlocal solves
        solves += 1
        if solves == solve:
            os.kill(os.getpid(), signal.SIGINT)  # from the solver's own thread
            session.stop.wait()
        run_alone(session)

    with monkeypatch.context() as patch:
        patch.setattr(highs.Session, "_run_alone", interrupted)
        answer = market.solve(case)
    assert answer.status is Status.INTERRUPTED and solves == solve
    assert answer.certificate.lower <= answer.certificate.upper
    assert market.solve(case).status is Status.OPTIMAL


def test_solves_in_several_threads() -> None:
    found: list[float] = []
    threads = [threading.Thread(target=lambda: found.append(market.solve(params(TWO)).certificate.upper)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == pytest.approx([float(OPTIMUM)] * 6, abs=1e-9)


# Scales ---------------------------------------------------------------------------------------------------------------


def test_a_type_of_weight_zero_does_not_set_the_scale() -> None:
    certificate = market.solve(params([*TWO, NOBODY])).certificate
    assert certificate.upper - certificate.lower < 1e-9
    assert market.solve(params([*TWO, NOBODY]), Options(exact=True)).exact == OPTIMUM


@pytest.mark.parametrize("power", [3, 6, 12])
def test_what_a_state_pays_anyway_does_not_drown_the_audit(power: int) -> None:
    case = params(TWO, payoff=[[10**power + 1, 10**power], [0, 1]])
    audit = market.audit(case, market.solve(case).mechanism)
    assert audit.quantities["revenue-best-reply"] == pytest.approx(float(OPTIMUM), abs=1e-9)
    dear = {"items": [{"experiment": [[1, 0], [0, 1]], "price": 0.25 + 3e-5}], "assignment": [0, 0]}
    assert market.audit(case, dear).violations["individual-rationality"] == pytest.approx(3e-5, abs=1e-12)


def test_right_claims_are_met_at_any_scale() -> None:
    types: list[dict[str, Any]] = [
        {"weight": "1/1000", "value": 10**7, "belief": ["1/7", "6/7"]},
        {"weight": "999/1000", "belief": ["3/5", "2/5"]},
    ]
    found = solution(types)
    assert found.good and {claim.met for claim in found.claims} == {True}


def test_a_wide_interval_confirms_no_equality() -> None:
    nothing: Any = {}
    answer = Answer(Status.OPTIMAL, nothing, {"revenue": 0.1}, Optimality(0.1, 0.1 + 5e-7, 5e-7))
    stated = {"0.1": True, "0.10000000005": True, "0.1000004": None, "0.100001": False, "0.09999": False}
    for value, met in stated.items():
        assert decide(Claim("revenue", value), answer, "revenue").met is met
    assert decide(Claim("revenue", "0.09", "lower"), answer, "revenue").met is True
    assert decide(Claim("revenue", "0.1000004", "upper"), answer, "revenue").met is None
    assert decide(Claim("revenue", "0.2", verdict="wrong"), answer, "revenue").met is True


def test_numbers_that_floats_cannot_add_are_refused() -> None:
    one = [{"weight": 1, "belief": [HALF, HALF]}]
    assert market.solve(params(one, payoff=[["1e149", 0], [0, "1e-149"]])).quantities["revenue"] == pytest.approx(5e-150)
    for types, payoff in ((one, "1e151"), ([{**one[0], "value": "1e100"}], "1e100"), ([{**one[0], "value": "1e-151"}], "1")):
        with pytest.raises(InstanceError, match=r"in size within 1e-150 to 1e150: choose another unit"):
            params(types, payoff=[[payoff, 0], [0, 0]])


def test_small_prices_survive_a_solution_file() -> None:
    tiny = solution([{**buyer, "value": "1e-13"} for buyer in TWO])
    again = Solution.from_dict(json.loads(tiny.to_json()))
    assert again.types["price"].tolist() == tiny.types["price"].tolist() and tiny.types["price"].max() > 1e-14
    assert again == tiny and again != solution(TWO)


def test_matching_that_is_paid_negatively_has_no_matching_closed_form() -> None:
    case = params(TWO, payoff=[[-1, 0], [0, -1]])
    assert [claim.relation for claim in market.theory(case)] == ["lower", "upper"]
    assert market.solve(case, Options(exact=True)).exact == OPTIMUM


def test_the_exact_value_lies_between_its_bounds() -> None:
    third = [{"weight": "1/3", "belief": ["1/7", "6/7"]}, {"weight": "2/3", "belief": ["3/5", "2/5"]}]
    answer = market.solve(params(third), Options(exact=True))
    assert answer.exact == Fraction(23, 80)
    assert Fraction(answer.certificate.lower) <= answer.exact <= Fraction(answer.certificate.upper)


def test_a_basis_the_solver_stumbles_over_is_not_the_end() -> None:
    first: list[int | Fraction] = [
        749999999,
        749999997,
        Fraction(3999999982, 9),
        Fraction(4000000009, 9),
        Fraction(3999999973, 9),
    ]
    beliefs = [Fraction(theta) / 10**9 for theta in first]
    answer = market.solve(params([{"weight": "1/5", "belief": [theta, 1 - theta]} for theta in beliefs]))
    assert answer.status is Status.OPTIMAL and answer.certificate.gap < 1e-6


def test_an_assignment_is_a_list_of_whole_numbers() -> None:
    item = {"experiment": [[1, 0], [0, 1]], "price": 0.1}
    for wrong in (True, "1", 0.5):
        with pytest.raises(InstanceError, match="assignment"):
            market.audit(params(TWO), {"items": [item, item], "assignment": [0, wrong]})


# Programs -------------------------------------------------------------------------------------------------------------


class UnitSum:
    """x_1 + ... + x_n <= 1, and nothing to start with."""

    def __init__(self, columns: NumberArray) -> None:
        self.columns = columns

    def initial_cuts(self) -> Rows:
        return Rows.join([])

    def separate(self, x: NumberArray, tolerance: float) -> tuple[Rows, float]:
        excess = float(x[self.columns].sum() - 1)
        return (self.row() if excess > tolerance else Rows.join([])), max(excess, 0.0)

    def row(self) -> Rows:
        return Rows.dense(self.columns[None], np.ones((1, len(self.columns))), -np.inf, 1.0)

    def size(self) -> tuple[int, int, int]:
        return 1, 0, len(self.columns)

    def add_all(self, program: LinearProgram) -> None:
        program.add_rows("sum", self.row())


def test_a_program_bounded_by_its_family_alone_is_not_called_unbounded() -> None:
    program = LinearProgram()
    program.add_family("sum", UnitSum(program.add_variables("x", (2,), objective=1.0)))
    assert highs.solve(program.full()).status is Status.OPTIMAL
    with pytest.raises(SolverError, match="give its variables bounds"):
        highs.solve(program)


def test_a_program_without_columns() -> None:
    result = highs.solve(LinearProgram("max", 3.0))
    assert result.status is Status.OPTIMAL
    assert 3.0 <= result.bound <= 3.0 * (1 + 1e-15)  # the offset may be the rounding of another number


def test_a_row_the_solver_drops_is_noticed() -> None:
    program = LinearProgram()
    program.add_variables("x", (1,), upper=1e14, objective=1.0)
    program.add_rows("tiny", rows([[1e-13]], -np.inf, 1.0))
    result = highs.solve(program)
    assert result.status is Status.GAP and result.violation > 1


def test_a_negative_column_is_named() -> None:
    program = LinearProgram()
    program.add_variables("x", (2,))
    with pytest.raises(ModelError, match="column -1"):
        program.add_rows("r", Rows.dense(np.array([[0, -1]]), np.ones((1, 2)), 0.0, 1.0))


def test_floats_are_no_proof_and_a_free_column_rests_at_zero() -> None:
    program = LinearProgram()
    x = program.add_variables("x", (1,), upper=1.0, objective=0.1)
    program.add_rows("r", rows([[0.3]], -np.inf, 0.1))
    with pytest.raises(ModelError, match="Fractions"):
        exact_arithmetic.solve_exactly(program, highs.solve(program))
    exact = LinearProgram()
    one = np.array([Fraction(1)], dtype=object)
    x = exact.add_variables("x", (1,), lower=0 * one, upper=one, objective=one)
    y = exact.add_variables("y", (1,), lower=-np.inf)
    exact.add_rows("r", Rows.dense(np.array([[x[0], y[0]]]), np.array([[Fraction(1), Fraction(0)]]), -np.inf, Fraction(5)))
    proof = exact_arithmetic.solve_exactly(exact, highs.solve(exact))
    assert not isinstance(proof, Status) and proof.value == 1


def test_the_safe_bound_at_the_ends_of_the_floats() -> None:
    huge = LinearProgram()
    huge.add_variables("x", (2,), upper=1.0, objective=1.0)
    with np.errstate(all="ignore"):
        assert safe_bound(huge, rows([[0.1, 0.1], [0.1, 0.1]], 0.0, 1.0), np.full(2, 1.7e308)) == math.inf
    small = LinearProgram()
    small.add_variables("x", (1,), upper=1.0, objective=1e-320)
    assert safe_bound(small, Rows.join([]), np.zeros(0)) >= 1e-320
    open_box = LinearProgram()
    open_box.add_variables("x", (1,), lower=-np.inf, upper=0.0)
    assert safe_bound(open_box, rows([[1e-200]], -np.inf, 1.0), np.array([1e-200])) == math.inf
