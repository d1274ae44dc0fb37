"""The one road from a program to an answer, on a program whose optimum is 1: what holds when the solver does not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from optmarket.certificates import Optimality
from optmarket.errors import SolverError
from optmarket.lp import highs
from optmarket.lp.float_bound import Proof
from optmarket.lp.highs import LpResult
from optmarket.lp.program import LinearProgram, Rows
from optmarket.modeling.solve_lp import Solved, Strategy, solve_lp
from optmarket.options import Options, Status

THIRD = Fraction(1, 3)


@dataclass(frozen=True)
class Share:
    """The mechanism: how much is sold."""

    sold: Any

    def to_json(self) -> dict[str, Any]:
        return {"sold": self.sold}


@dataclass(frozen=True)
class AtMost:
    """The one row x <= 1/3, generated when it fails."""

    exact: bool

    def rows(self) -> Rows:
        one, third = (Fraction(1), THIRD) if self.exact else (1.0, float(THIRD))
        kind = object if self.exact else float
        return Rows.dense(np.array([[0]]), np.array([[one]], dtype=kind), -math.inf, np.array([third], dtype=kind))

    def initial_cuts(self) -> Rows:
        return Rows.join([])

    def separate(self, x: Any, tolerance: float) -> tuple[Rows, Any]:
        failing = x[0] - THIRD
        return (self.rows() if failing > tolerance else Rows.join([])), max(failing, Fraction(0))

    def size(self) -> tuple[int, int, int]:
        return 1, 0, 1

    def add_all(self, program: LinearProgram) -> None:
        program.add_rows("at most", self.rows())


@dataclass(frozen=True)
class Posted:
    """Sell x <= 1/3 of a good at 6 a unit, in units of 2: earns 2."""

    ceiling: float = 6.0
    certain: float = 0.0  # of what the solver's point earns, the share that its mechanism is certain to
    claimed: float = 0.0  # what the mechanism that needs no program says that it earns

    def program(self, *, exact: bool) -> LinearProgram:
        program = LinearProgram("max", unit=2.0)
        three = np.array([Fraction(3) if exact else 3.0])
        one = np.array([Fraction(1) if exact else 1.0])
        program.add_variables("sold", (1,), upper=one, objective=three)
        program.add_family("at most", AtMost(exact))
        return program

    def simple(self) -> Iterable[tuple[Share, float]]:
        return [(Share("nothing"), self.claimed)]

    def candidates(self, program: LinearProgram, x: Any) -> Iterable[tuple[Share, float]]:
        return [(Share(float(x[0])), self.certain * 6 * min(float(x[0]), 1 / 3))]

    def last_candidates(self, program: LinearProgram, result: LpResult, gap: float) -> Iterable[tuple[Share, float]]:
        return []

    def exact_candidates(self, program: LinearProgram, proof: Proof, upper: float) -> Iterable[tuple[Share, float]]:
        return [(Share(proof.x[0]), 2.0)]

    def optimal(self, program: LinearProgram, proof: Proof) -> Share:
        return Share(proof.x[0])

    def quantities(self, mechanism: Share, certificate: Optimality) -> Mapping[str, float]:
        return {"revenue": certificate.lower}


def solved(form: Posted, strategy: Strategy | None = None, **options: Any) -> Solved[Share]:
    requested = Options(**options)
    return solve_lp(form, requested, requested.deadline(), strategy or Strategy())


@pytest.mark.parametrize("method", ["cuts", "full", "auto"])
def test_both_ends_are_in_the_objective_s_unit(method: str) -> None:
    found = solved(Posted(certain=1 - 1e-9), Strategy(method, exact_from=1.0))
    assert found.certificate.lower == pytest.approx(2, rel=2e-9) and found.mechanism.sold == pytest.approx(1 / 3)
    assert 2 <= found.certificate.upper <= 2 * (1 + 1e-12)
    assert (found.answer.status, found.answer.exact, found.answer.notes) == (Status.OPTIMAL, None, ())
    assert found.answer.run.method == ("full" if method == "full" else "cuts")


def test_a_ceiling_below_the_program_s_bound_counts() -> None:
    assert solved(Posted(ceiling=2.0, certain=1.0), Strategy(exact_from=1.0)).certificate.upper == 2.0


def test_a_gap_is_closed_in_exact_arithmetic() -> None:
    found = solved(Posted(certain=0.5))
    assert found.mechanism.sold == THIRD and str(found.answer.run.method).endswith("refined exactly")
    assert (found.certificate.lower, found.certificate.upper, found.answer.status) == (2, 2, Status.OPTIMAL)
    assert found.answer.exact is None  # the ends meet in floats; nobody asked for a proof in fractions


def test_a_gap_stays_where_exact_arithmetic_is_not_worthwhile() -> None:
    found = solved(Posted(certain=0.5), gap=0.6)
    assert found.certificate.lower == pytest.approx(1) and found.answer.status is Status.OPTIMAL
    assert found.certificate.gap == pytest.approx(0.5)


@pytest.mark.parametrize("ceiling", [6.0, 1.0])
def test_ends_that_cross_are_decided_exactly(ceiling: float) -> None:
    # the lower end is above the optimum, or both ends are wrong
    found = solved(Posted(ceiling=ceiling, claimed=3.0))
    assert (found.certificate.lower, found.certificate.upper) == (2, 2) and found.mechanism.sold == THIRD


def test_an_exact_proof_states_the_fraction() -> None:
    found = solved(Posted(), exact=True)
    assert (found.answer.exact, found.mechanism.sold, found.answer.status) == (2, THIRD, Status.OPTIMAL)
    assert (found.certificate.lower, found.certificate.upper) == (2, 2)


@pytest.mark.parametrize("status", [Status.INFEASIBLE, Status.UNBOUNDED, Status.FAILED])
def test_what_is_known_without_the_solver_holds_when_it_fails(status: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    real = highs.solve

    def fails(program: LinearProgram, *given: Any, **named: Any) -> LpResult:
        return replace(real(program, *given, **named), status=status, x=None, bound=math.inf)

    monkeypatch.setattr(highs, "solve", fails)
    monkeypatch.setattr("optmarket.lp.exact_arithmetic.is_worthwhile", lambda *given: False)
    found = solved(Posted(claimed=0.5))
    assert (found.certificate.lower, found.certificate.upper) == (0.5, 6.0)
    assert found.answer.status is Status.GAP and str(status) in found.answer.notes[0]


def test_a_solver_that_raises_leaves_a_bracket(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(*given: Any, **named: Any) -> LpResult:
        raise SolverError("out of order")

    monkeypatch.setattr(highs, "solve", raises)
    monkeypatch.setattr("optmarket.lp.exact_arithmetic.is_worthwhile", lambda *given: False)
    found = solved(Posted())
    assert (found.certificate.lower, found.certificate.upper, found.answer.status) == (0.0, 6.0, Status.GAP)


def test_no_time_leaves_what_needs_none() -> None:
    found = solved(Posted(), time_limit=0)
    assert (found.certificate.lower, found.answer.status) == (0.0, Status.TIME_LIMIT)
    assert 2 <= found.certificate.upper <= 6


def test_the_best_mechanism_met_is_kept() -> None:
    # the first point, x = 1, sells too much and still earns 2 of its mechanism; the last is not better
    found = solved(Posted(certain=1.0), Strategy("cuts", exact_from=1.0), gap=0.0)
    assert found.mechanism.sold in (1.0, pytest.approx(1 / 3)) and found.certificate.lower == pytest.approx(2)
