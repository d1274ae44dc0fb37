"""Each term of a proof by itself: a program or a market in which that term alone decides, so that it cannot be left out."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support.exact_lp import Infeasible, Row, maximise
from support.paths import ROOT
from support.proofs import proof

import optmarket as om
from optmarket.certificates import Audit, Claim, Optimality, relative_gap
from optmarket.distributions.maximize import Product, largest
from optmarket.errors import SolverError
from optmarket.lp import float_bound, highs
from optmarket.lp.exact_arithmetic import _magnified, _pivoted, solve_exactly
from optmarket.lp.float_bound import Basis, exact_bound, safe_bound, vertex
from optmarket.lp.program import LinearProgram, Rows
from optmarket.lp.separation import BLOCK_BYTES, ROWS_PER_TYPE, worst_pairs
from optmarket.options import Options, Status
from optmarket.rationals import around
from optmarket.solution import Answer, decide
from optmarket.tolerances import AUDIT, TARGET_GAP

INF = math.inf
SENSES = [("max", 1), ("min", -1)]
third = Fraction(1, 3)


def program(sense: Any, cost: list[Any], box: list[tuple[Any, Any]], rows: list[tuple[list[Any], Any, Any]]) -> LinearProgram:
    """An exact program of dense rows, each its coefficients and its two ends."""

    def numbers(values: list[Any]) -> Any:
        made = np.empty(len(values), dtype=object)
        made[:] = [v if isinstance(v, float) and math.isinf(v) else Fraction(v) for v in values]
        return made

    made = LinearProgram(sense)
    lower, upper = (numbers([ends[k] for ends in box]) for k in range(2))
    x = made.add_variables("x", (len(cost),), lower=lower, upper=upper, objective=numbers(cost))
    value = numbers([a for row, _, _ in rows for a in row]).reshape(len(rows), len(cost))
    ends = [numbers([row[k] for row in rows]) for k in (1, 2)]
    made.add_rows("rows", Rows.dense(np.broadcast_to(x, value.shape), value, *ends))
    return made


def in_time() -> None:
    """There is no time limit."""


def in_floats(rows: Rows) -> Rows:
    return replace(rows, **{name: getattr(rows, name).astype(np.float64) for name in ("value", "lower", "upper")})


# Bounds in floats ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sense", "sign"), SENSES)
def test_the_last_rounding_of_a_bound_is_outwards(sense: Any, sign: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # with nothing added for the other roundings, and data that have none, the last one alone decides: the sum of 1 and 2^-60
    monkeypatch.setattr(float_bound, "_HALF_ULP", 0.0)
    made = program(sense, [sign, sign * Fraction(1, 2**60)], [(0, 1), (0, 1)], [([0, 0], -1, 1)])
    bound = safe_bound(made, in_floats(made.rows["rows"]), np.zeros(1))
    assert sign * Fraction(bound) >= 1 + Fraction(1, 2**60)
    assert sign * bound <= 1 + 2**-50


@pytest.mark.parametrize(("sense", "sign"), SENSES)
def test_a_bound_carries_the_rounding_of_its_data(sense: Any, sign: int) -> None:
    # the float of 1/10 is above it, that of 3/10 below: what they bound is not what the program says
    for number in (Fraction(3, 10), Fraction(7, 10), third, Fraction(1, 10)):
        for most in (Fraction(1, 3), Fraction(10, 3), Fraction(12345, 7)):
            made = program(sense, [sign * number], [(0, most)], [([1], -INF, 2 * most)])
            bound = safe_bound(made, in_floats(made.rows["rows"]), np.zeros(1))
            assert sign * Fraction(bound) >= number * most
            held = program(sense, [sign], [(0, 10**9)], [([number], -INF, most), ([-number], -most, INF)])
            rows, duals = in_floats(held.rows["rows"]), np.array([float(sign / number), 0.0])
            assert sign * Fraction(safe_bound(held, rows, duals)) >= most / number


@pytest.mark.parametrize(("sense", "sign"), SENSES)
@pytest.mark.parametrize("rows", [16, 60, 400])
def test_a_bound_counts_the_rounding_of_every_addend(sense: Any, sign: int, rows: int) -> None:
    # 1 less a 2^-55 is 1 in floats, however often: of a reduced cost of so many trifles nothing is left
    trifle = Fraction(1, 2**55)
    ends = (-INF, 0) if sign > 0 else (0, INF)
    made = program(sense, [sign], [(0, 10**9)], [([sign * a], *ends) for a in [Fraction(1), *[-trifle] * rows]])
    duals = np.full(rows + 1, Fraction(1), dtype=object)
    exact = exact_bound(made, made.rows["rows"], duals)
    assert exact == sign * rows * trifle * 10**9
    assert sign * Fraction(safe_bound(made, in_floats(made.rows["rows"]), duals.astype(float))) >= sign * exact


# The exact check ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sense", "sign"), SENSES)
def test_an_exact_bound_takes_each_column_at_its_better_end(sense: Any, sign: int) -> None:
    made = program(sense, [-sign * 2, sign * 3], [(5, 7), (-4, -1)], [([1, 1], -9, 9)])
    assert exact_bound(made, made.rows["rows"], np.array([Fraction(0)], dtype=object)) == sign * (-10 - 3)


@pytest.mark.parametrize(("sense", "sign"), SENSES)
@pytest.mark.parametrize("way", [1, -1])
def test_a_vertex_knows_reduced_costs_of_the_wrong_sign(sense: Any, sign: int, way: int) -> None:
    hair = Fraction(1, 10**40)
    made = program(sense, [sign * way * hair], [(0, 1)], [([1], -5, 5)])
    rows = made.rows["rows"]
    right, wrong = (vertex(made, rows, Basis(np.array([side]), np.array([0]))) for side in (way, -way))
    assert (right.infeasible, right.unpriced) == (0, 0)
    assert (wrong.infeasible, wrong.unpriced) == (0, hair)
    with pytest.raises(SolverError, match="not optimal"):
        float_bound.prove(made, rows, wrong)


@pytest.mark.parametrize(("sense", "sign"), SENSES)
@pytest.mark.parametrize("way", [1, -1])
def test_a_vertex_knows_dual_values_of_the_wrong_sign(sense: Any, sign: int, way: int) -> None:
    # the column is basic, and the row holds it at the end that the objective does or does not want
    made = program(sense, [sign * way * third], [(-9, 9)], [([2], -1, 1)])
    rows = made.rows["rows"]
    right, wrong = (vertex(made, rows, Basis(np.array([0]), np.array([side]))) for side in (way, -way))
    assert (right.unpriced, right.dual_values.tolist()) == (0, [sign * way * third / 2])
    assert wrong.unpriced == third / 2
    with pytest.raises(SolverError, match="not optimal"):
        float_bound.prove(made, rows, wrong)


@pytest.mark.parametrize(("sense", "sign"), SENSES)
@pytest.mark.parametrize("side", [1, -1])
def test_a_fixed_column_or_row_may_want_either_way(sense: Any, sign: int, side: int) -> None:
    fixed = program(sense, [third], [(2, 2)], [([1], -5, 5)])
    assert vertex(fixed, fixed.rows["rows"], Basis(np.array([side]), np.array([0]))).unpriced == 0
    held = program(sense, [third], [(-9, 9)], [([1], 4, 4)])
    assert vertex(held, held.rows["rows"], Basis(np.array([0]), np.array([side]))).unpriced == 0


def drawn(rng: random.Random, sense: str) -> tuple[LinearProgram, tuple[Any, ...]]:
    """A boxed program of rows of all kinds, for the package and for the tests' own solver; degenerate ones among them."""
    columns, rows = rng.randint(1, 6), rng.randint(0, 7)
    cost = [Fraction(rng.randint(-4, 4), rng.choice([1, 3])) for _ in range(columns)]
    box = [(Fraction(low), Fraction(low + rng.randint(0, 3))) for low in (rng.randint(-3, 0) for _ in range(columns))]
    given = []
    for _ in range(rows):
        low = rng.randint(-5, 3)
        ends = rng.choice([(low, INF), (-INF, low + 2), (low, low + rng.choice([0, 2])), (-INF, INF)])
        given.append(([Fraction(rng.choice([-2, -1, 0, 0, 1, 3]), rng.choice([1, 7])) for _ in range(columns)], *ends))
    sign = 1 if sense == "max" else -1
    own = [Row(dict(enumerate(row)), *(e if math.isinf(e) else Fraction(e) for e in ends)) for row, *ends in given]
    return program(sense, cost, box, given), ([sign * c for c in cost], own, *zip(*box, strict=True))


@pytest.mark.parametrize(("sense", "sign"), SENSES)
def test_exact_pivots_end_at_the_optimum(sense: Any, sign: int) -> None:
    rng = random.Random(7)
    ends = []
    for _ in range(60):
        made, own = drawn(rng, sense)
        try:
            value = sign * maximise(*own).value
        except Infeasible:
            with pytest.raises(SolverError, match="infeasible"):
                solve_exactly(made, None)
            ends.append(False)
            continue
        for result in (None, highs.solve(made)):
            proof = solve_exactly(made, result)
            assert not isinstance(proof, Status) and proof.value == value
        ends.append(True)
    assert 10 < sum(ends) < 55


@pytest.mark.parametrize(("sense", "sign"), SENSES)
@pytest.mark.parametrize("columns", [[-1, -1], [1, -1], [-1, 1]])
def test_refinement_goes_on_from_a_feasible_basis_that_is_not_optimal(sense: Any, sign: int, columns: list[int]) -> None:
    # a hair that no float sees decides between the corners: nothing is infeasible, only the reduced costs are wrong
    hair = Fraction(1, 10**30)
    made = program(sense, [sign * hair, sign * 2 * hair], [(0, 1), (0, 1)], [([1, 1], -INF, 2), ([1, -1], -1, 1)])
    # of refinement alone, without the pivots that finish what it leaves
    proof = _magnified(made, made.rows["rows"], Basis(np.array(columns), np.array([0, 0])), in_time)
    assert (proof.value, proof.x.tolist()) == (sign * 3 * hair, [1, 1])


def test_the_floats_around_a_number_are_on_its_two_sides() -> None:
    for number in (third, 2 * third, Fraction(1, 10), Fraction(3, 10), -third, Fraction(10**17 + 1, 3)):
        low, high = around(number)
        assert Fraction(low) < number < Fraction(high) and math.nextafter(low, INF) == high
    assert around(Fraction(3, 8)) == (0.375, 0.375)


@dataclass(frozen=True)
class OnDemand:
    """Rows ``sum of all variables <= height``, of which only those that fail are ever listed."""

    heights: tuple[Fraction, ...]

    def _rows(self, heights: list[Fraction], columns: int) -> Rows:
        if not heights:
            return Rows.join([])
        index = np.broadcast_to(np.arange(columns), (len(heights), columns))
        ends = np.empty(len(heights), dtype=object)
        ends[:] = heights
        return Rows.dense(index, np.full(index.shape, Fraction(1), dtype=object), -INF, ends)

    def initial_cuts(self) -> Rows:
        return Rows.join([])

    def separate(self, x: Any, tolerance: float) -> tuple[Rows, Any]:
        failing = [height for height in self.heights if x.sum() - height > tolerance]
        return self._rows(failing[:1], len(x)), max(x.sum() - min(self.heights), Fraction(0))

    def size(self) -> tuple[int, int, int]:
        return len(self.heights), 0, 2 * len(self.heights)

    def add_all(self, program: LinearProgram) -> None:
        program.add_rows("on demand", self._rows(list(self.heights), program.columns))


def test_exact_pivots_add_the_rows_of_families_that_fail() -> None:
    made = program("max", [1, 2], [(0, 1), (0, 1)], [([1, -1], -1, 1)])
    made.add_family("on demand", OnDemand((Fraction(5, 3), Fraction(4, 3), Fraction(3, 2))))
    proof = _pivoted(made, made.rows["rows"], None, in_time)
    assert (proof.value, proof.x.tolist()) == (Fraction(7, 3), [third, 1])


@pytest.mark.parametrize(("sense", "sign"), SENSES)
def test_bounds_that_only_the_boxes_imply_carry_no_dual_value(sense: Any, sign: int) -> None:
    # the row rests at its lower end and wants up: to 2, where it has no end of its own
    made = program(sense, [sign, sign], [(0, 1), (0, 1)], [([1, 1], Fraction(1, 2), INF)])
    proof = _pivoted(made, made.rows["rows"], Basis(np.array([0, -1]), np.array([-1])), in_time)
    assert (proof.value, proof.x.tolist(), proof.dual_values.tolist()) == (sign * 2, [1, 1], [0])


# Rows that fail --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("buyers", [1, 2, 3, 7])
@pytest.mark.parametrize("types", [2, 7])
def test_the_worst_pairs_are_the_same_in_blocks_of_any_size(types: int, buyers: int) -> None:
    tolerance, failure = 0.05, np.random.default_rng(5).normal(size=(types, types))
    failure[np.diag_indices(types)] = 100.0  # what a type thinks of its own item is no failure
    failure[0] *= 0.1
    failure[1, 0] = 9.0  # the largest is not in the last block
    other = np.where(np.eye(types, dtype=bool), -np.inf, failure)
    expected = {
        (buyer, int(item))
        for buyer in range(types)
        for item in np.argsort(-other[buyer])[:ROWS_PER_TYPE]
        if other[buyer, item] > tolerance
    }
    expected |= {(int(other[:, item].argmax()), item) for item in range(types) if other[:, item].max() > tolerance}
    buyer, item, largest = worst_pairs(types, lambda block: failure[block].copy(), BLOCK_BYTES // buyers, tolerance)
    assert set(zip(buyer.tolist(), item.tolist(), strict=True)) == expected
    assert largest == 9.0


# What counts as optimal ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stubborn:
    """A family whose rows fail by so much at any point, and that has none to add."""

    failure: float

    def initial_cuts(self) -> Rows:
        return Rows.join([])

    def separate(self, x: Any, tolerance: float) -> tuple[Rows, Any]:
        return Rows.join([]), self.failure

    def size(self) -> tuple[int, int, int]:
        return 0, 0, 0

    def add_all(self, program: LinearProgram) -> None:
        raise AssertionError("its rows are added on demand, never listed")


@pytest.mark.parametrize(("failure", "status"), [(9e-7, Status.OPTIMAL), (1.1e-6, Status.GAP)])
def test_a_point_that_fails_by_more_than_a_millionth_is_not_optimal(failure: float, status: Status) -> None:
    made = program("max", [1], [(0, 1)], [([1], -1, 1)])
    made.add_family("stubborn", Stubborn(failure))
    result = highs.solve(made)
    assert (result.status, result.violation) == (status, failure)


@pytest.mark.parametrize(
    ("gap", "status"), [(0.0, Status.OPTIMAL), (1e-6, Status.OPTIMAL), (1.01e-6, Status.GAP), (INF, Status.GAP)]
)
def test_a_gap_of_more_than_a_millionth_is_not_optimal(gap: float, status: Status) -> None:
    assert TARGET_GAP == 1e-6
    assert Options().final_status(Status.OPTIMAL, gap) is status
    assert Options(gap=1e-3).final_status(Status.OPTIMAL, gap) is (Status.GAP if gap == INF else Status.OPTIMAL)
    assert Options(gap=0.0).final_status(Status.OPTIMAL, gap) is (Status.GAP if gap else Status.OPTIMAL)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_an_audit_is_good_up_to_a_ten_millionth_of_its_unit(unit: float) -> None:
    assert AUDIT == 1e-7
    assert Audit({}, {"misreport": 0.9e-7 * unit, "disobey": 0.0}, unit).good
    assert not Audit({}, {"misreport": 0.0, "disobey": 1.1e-7 * unit}, unit).good


def test_a_stated_value_that_the_audit_does_not_find_is_not_good() -> None:
    solution = om.solve(ROOT / "instances" / "selling-information" / "double-deviation.toml")
    assert solution.good
    recomputed = solution.audit.quantities["revenue"]
    wide = replace(proof(solution), lower=recomputed / 2, upper=2 * recomputed)  # says nothing against any of these
    for off in (1.1e-7, -1.1e-7, 1e-3, -0.1):
        stated = replace(solution, value=recomputed * (1 + off), certificate=wide)
        assert not stated.good and stated.contradictions[0].startswith("recomputed")
    assert not replace(solution, status=Status.GAP).good


def test_a_solution_that_contradicts_itself_is_not_good() -> None:
    solution = om.solve(ROOT / "instances" / "selling-information" / "double-deviation.toml", exact=True)
    value, bounds = solution.value, proof(solution)
    assert solution.good and not solution.contradictions and solution.exact is not None
    off = 2e-7 * value
    for changed, words in (
        (replace(solution, certificate=replace(bounds, lower=value + off, upper=value + 2 * off)), "below its own lower bound"),
        (replace(solution, certificate=replace(bounds, lower=value - 2 * off, upper=value - off)), "above its own upper bound"),
        (replace(solution, certificate=replace(bounds, lower=value + off, upper=value - off)), "above the upper bound"),
        (replace(solution, exact=solution.exact * Fraction(10**7 + 2, 10**7)), "outside its own bounds"),
        (replace(solution, exact=solution.exact * Fraction(10**7 - 2, 10**7)), "outside its own bounds"),
    ):
        assert not changed.good
        assert any(words in said for said in changed.contradictions)


@pytest.mark.parametrize(
    ("lower", "upper", "gap"), [(1e-9, 2e-9, 0.5), (-3.0, -2.0, 1 / 3), (1e9, 1e9 + 1e3, 1e-6), (0.0, 0.0, 0.0)]
)
def test_a_gap_is_relative_to_the_value_whatever_its_size(lower: float, upper: float, gap: float) -> None:
    assert relative_gap(lower, upper) == pytest.approx(gap, rel=1e-5)
    assert relative_gap(lower, upper, rounding=1e10) == 0.0
    assert relative_gap(lower, INF) == INF


@pytest.mark.parametrize(("violation", "share", "good"), [(1e-9, 2e-7, False), (1e3, 0.9e-7, True)])
def test_an_audit_measures_each_type_by_its_own_stakes(violation: float, share: float, good: bool) -> None:
    assert Audit({}, {"misreport": violation}, 1.0, relative={"misreport": share}).good is good


class Flat:
    """A distribution with all its mass at 1: its function is 0 below."""

    support = Fraction(0), Fraction(1)

    def cdf(self, x: Any) -> Any:
        return np.where(np.asarray(x) >= 1, 1.0, 0.0)

    def sf(self, x: Any) -> Any:
        return 1.0 - self.cdf(x)


def test_a_maximum_found_in_floats_carries_their_rounding() -> None:
    # a constant product below 1, so that nothing is lost to the width of an interval
    for p in (third, Fraction(2, 7), Fraction(1, 10), Fraction(5, 11)):
        for r in (Fraction(1, 10), Fraction(3, 7), Fraction(7, 13), Fraction(9, 10)):
            at_one: Any = Flat()
            found = largest(at_one, Product(p, Fraction(0), r, Fraction(-1)))  # a function that looks like a distribution
            assert Fraction(found.upper) >= p * r
            assert found.upper == pytest.approx(float(p * r), rel=1e-14)


# Claims ------------------------------------------------------------------------------------------------------------------------


class Nothing:
    """A mechanism of which nothing is known."""

    def to_json(self) -> dict[str, Any]:
        return {}


def answer(status: Status, lower: float, upper: float, **quantities: float) -> Answer:
    return Answer(status, Nothing(), quantities, Optimality(lower, upper, relative_gap(lower, upper)))


@pytest.mark.parametrize(
    ("relation", "value", "met"),
    [
        ("lower", "0.4", True),  # the truth is in [0.4, 0.6], and the menu found earns 0.5
        ("lower", "0.45", None),
        ("lower", "0.5", None),
        ("lower", "0.61", False),
        ("upper", "0.6", True),
        ("upper", "0.5", None),
        ("upper", "0.39", False),
        ("eq", "0.5", None),
        ("eq", "0.61", False),
        ("eq", "0.39", False),
    ],
)
def test_what_bounds_say_of_a_claim(relation: str, value: str, met: bool | None) -> None:
    wide = answer(Status.GAP, 0.4, 0.6, revenue=0.5, welfare=0.5)
    assert decide(Claim("revenue", value, relation), wide, "revenue").met is met
    # of anything but the objective nothing is known before the optimum is
    assert decide(Claim("welfare", value, relation), wide, "revenue").met is None


@pytest.mark.parametrize(
    ("value", "met"), [("0.5", True), ("0.5000000004", True), ("0.500000002", False), ("0.499999998", False)]
)
def test_what_a_proved_optimum_says_of_a_claim(value: str, met: bool) -> None:
    known = answer(Status.OPTIMAL, 0.5, 0.5, revenue=0.5, welfare=0.5)
    for quantity in ("revenue", "welfare"):
        assert decide(Claim(quantity, value), known, "revenue").met is met
        assert decide(Claim(quantity, value, verdict="wrong"), known, "revenue").met is not met
