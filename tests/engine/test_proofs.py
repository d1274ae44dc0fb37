"""Each term of a proof by itself: a program or a market in which that term alone decides, so that it cannot be left out."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support.exact_lp import Infeasible, Row, maximise
from support.markets import Case, full_information, full_worth, menu_revenue, optimum_of, random_market, verify
from support.paths import ROOT

import optmarket as om
from optmarket.api import decide
from optmarket.distributions.cdf import PiecewiseLinear
from optmarket.distributions.maximize import Product, largest
from optmarket.errors import SolverError
from optmarket.instances import instance
from optmarket.lp import exact_arithmetic, float_bound, highs
from optmarket.lp.exact_arithmetic import _magnified, _pivoted, solve_exactly
from optmarket.lp.float_bound import Basis, exact_bound, safe_bound, vertex
from optmarket.lp.program import LinearProgram, Rows
from optmarket.lp.separation import BLOCK_BYTES, ROWS_PER_TYPE, worst_pairs
from optmarket.modeling import registry
from optmarket.models import selling_information
from optmarket.models.competing_buyers.market import Market as Rivals
from optmarket.models.competing_buyers.market import Params as RivalParams
from optmarket.models.competing_buyers.mechanisms.by_count import Tallied
from optmarket.models.competing_buyers.solvers.general_lp import surely
from optmarket.models.competing_buyers.solvers.virtual_values import solve_finite
from optmarket.models.competing_buyers.virtual_values.bounds import bracket
from optmarket.models.competing_buyers.virtual_values.ironing import Virtual, rule
from optmarket.models.selling_information.continuum.envelope_menu import Posted, ceiling, segment
from optmarket.models.selling_information.market import Market
from optmarket.models.selling_information.menu import direct_menu
from optmarket.rationals import around
from optmarket.solution import AUDIT_TOLERANCE, DEFAULT_GAP, Answer, Audit, Certificate, Claim, Options, Status, relative_gap

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
    made = program(sense, [sign], [(0, 10**9)], [([sign * a], *ends) for a in [1, *[-trifle] * rows]])
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
    assert (right.unpriced, right.multipliers.tolist()) == (0, [sign * way * third / 2])
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

    def seed(self) -> Rows:
        return Rows.join([])

    def separate(self, x: Any, tolerance: float) -> tuple[Rows, Any]:
        failing = [height for height in self.heights if x.sum() - height > tolerance]
        return self._rows(failing[:1], len(x)), max(x.sum() - min(self.heights), Fraction(0))

    def size(self) -> tuple[int, int, int]:
        return len(self.heights), 0, 2 * len(self.heights)

    def list_all(self, program: LinearProgram) -> None:
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
    assert (proof.value, proof.x.tolist(), proof.multipliers.tolist()) == (sign * 2, [1, 1], [0])


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

    def seed(self) -> Rows:
        return Rows.join([])

    def separate(self, x: Any, tolerance: float) -> tuple[Rows, Any]:
        return Rows.join([]), self.failure

    def size(self) -> tuple[int, int, int]:
        return 0, 0, 0

    def list_all(self, program: LinearProgram) -> None:
        raise NotImplementedError


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
    assert DEFAULT_GAP == 1e-6
    assert Options().settled(Status.OPTIMAL, gap) is status
    assert Options(gap=1e-3).settled(Status.OPTIMAL, gap) is (Status.GAP if gap == INF else Status.OPTIMAL)
    assert Options(gap=0.0).settled(Status.OPTIMAL, gap) is (Status.GAP if gap else Status.OPTIMAL)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_an_audit_is_good_up_to_a_ten_millionth_of_its_unit(unit: float) -> None:
    assert AUDIT_TOLERANCE == 1e-7
    assert Audit({}, {"misreport": 0.9e-7 * unit, "disobey": 0.0}, unit).good
    assert not Audit({}, {"misreport": 0.0, "disobey": 1.1e-7 * unit}, unit).good


def test_a_stated_value_that_the_audit_does_not_find_is_not_good() -> None:
    solution = om.solve(ROOT / "instances" / "selling-information" / "double-deviation.toml")
    assert solution.good
    recomputed = solution.audit.quantities["revenue"]
    wide = replace(solution.certificate, lower=recomputed / 2, upper=2 * recomputed)  # says nothing against any of these
    for off in (1.1e-7, -1.1e-7, 1e-3, -0.1):
        stated = replace(solution, value=recomputed * (1 + off), certificate=wide)
        assert not stated.good and stated.contradictions[0].startswith("recomputed")
    assert not replace(solution, status=Status.GAP).good


def test_a_solution_that_contradicts_itself_is_not_good() -> None:
    solution = om.solve(ROOT / "instances" / "selling-information" / "double-deviation.toml", exact=True)
    value, bounds = solution.value, solution.certificate
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


# One buyer ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("price", ["1/2", "3/8", "3/4"])
def test_the_lower_end_of_a_menu_is_earned_with_ties_against_the_seller(price: str, exact: bool) -> None:
    """Full information is worth 1/2 to a third of buyers and 3/8 to the others: at either price some are indifferent."""
    half, eighths = [[Fraction(1, 2)], [Fraction(1, 2)]], [[Fraction(3, 8)], [Fraction(5, 8)]]
    pays = [[Fraction(1), Fraction(0)], [Fraction(0), Fraction(1)]]
    case = Case("ties", [third, 2 * third], [half, eighths], [pays, pays])
    market = Market.of(instance.parse(case.toml(), lambda name: registry.get(name).params).params)
    full = np.array([[[Fraction(1), Fraction(0)], [Fraction(0), Fraction(1)]]], dtype=object)
    posted = np.array([Fraction(price)], dtype=object)
    menu, lower = direct_menu(market, *((full, posted) if exact else (full.astype(float), posted.astype(float))))
    against, in_favour = menu_revenue(case, menu.as_mechanism())
    assert Fraction(lower) <= against <= in_favour
    # and hardly less than what it earns with ties for the seller
    best = {"1/2": Fraction(1, 6), "3/8": Fraction(3, 8), "3/4": Fraction(0)}[price]
    assert lower == pytest.approx(float(best), rel=1e-8)


def test_the_lower_end_of_a_menu_covers_the_rounding_of_what_items_are_worth() -> None:
    """At a price that is a hair above what full information is worth nobody buys it, though in floats it may seem worth it."""
    rng = random.Random(3)
    for k in range(60):
        states = rng.choice([3, 4])
        parts = [Fraction(rng.randint(1, 97)) for _ in range(states)]
        joint = [[part / sum(parts)] for part in parts]
        pays = [[Fraction(int(a == w)) for a in range(states)] for w in range(states)]
        case = Case(f"hair {k}", [Fraction(1)], [joint], [pays])
        market = Market.of(instance.parse(case.toml(), lambda name: registry.get(name).params).params)
        nearest = float(full_worth(joint, pays))
        for price in (math.nextafter(nearest, 0), nearest, math.nextafter(nearest, 1)):
            menu, lower = direct_menu(market, np.eye(states)[None], np.array([price]))
            assert Fraction(lower) <= menu_revenue(case, menu.as_mechanism())[0]


@pytest.mark.parametrize("exactly", [False, True])
@pytest.mark.parametrize("ends", [Status.INFEASIBLE, Status.UNBOUNDED, None])
def test_a_solver_that_fails_leaves_bounds(ends: Status | None, exactly: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(session: Any, seconds: float | None) -> tuple[Status, bool]:
        if ends is None:
            raise SolverError("HiGHS refused the program")
        return ends, False

    monkeypatch.setattr(highs.Session, "run", run)
    if not exactly:
        monkeypatch.setattr(exact_arithmetic, "AT_MOST", 0)
        monkeypatch.setattr(exact_arithmetic, "FREELY", 0)
    case = random_market(32, "plain")
    solution = om.solve(instance.parse(case.toml(), lambda name: registry.get(name).params), method="full")
    right = optimum_of(case)
    assert verify(case, solution, right) == []
    single = full_information(case.weights, case.joint, case.payoff)
    worths = [full_worth(joint, payoff) for joint, payoff in zip(case.joint, case.payoff, strict=True)]
    first_best = sum((weight * each for weight, each in zip(case.weights, worths, strict=True)), Fraction(0))
    assert single < right < first_best
    if exactly:
        assert solution.good
    else:
        assert solution.status is Status.GAP
        assert solution.certificate.lower == pytest.approx(float(single), rel=1e-9)
        assert solution.certificate.upper <= around(first_best)[1]


# Competing buyers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("buyers", [2, 3, 5])
@pytest.mark.parametrize("ic", ["bayesian", "ex-post"])
def test_the_largest_gain_is_taken_off_once_for_each_buyer(buyers: int, ic: str) -> None:
    """Full information is worth 1/2 to each: at a price above that by less than the tolerance no more may count."""
    params = RivalParams.model_validate(
        {"prior": ["1/2", "1/2"], "externality": 0, "ic": ic, "buyers": [{"count": buyers, "types": [{"weight": 1, "value": 1}]}]}
    )
    market = Rivals.of(params)
    told = np.eye(2).reshape(1, 1, 2, 2)

    def at(price: float) -> Tallied:
        return Tallied((told,), (np.full((1, 1) if ic == "ex-post" else 1, price),))

    above = 0.9e-7
    assert surely(market, at(0.5 + above)) <= buyers * 0.5
    assert surely(market, at(0.5 + above)) == pytest.approx(buyers * 0.5, abs=1e-12)
    assert surely(market, at(0.5 + 1.1e-7)) == -INF
    assert 0 < buyers * 0.25 - surely(market, at(0.25)) < 1e-12


def of_values(rng: random.Random, buyers: int, ic: str, denominator: int) -> Rivals:
    """Buyers of a few values each, in fractions."""
    made = []
    for _ in range(buyers):
        weights = [Fraction(rng.randint(1, denominator), denominator) for _ in range(rng.randint(1, 5))]
        types = [
            {"weight": str(w / sum(weights)), "value": str(Fraction(rng.randint(1, denominator), denominator))} for w in weights
        ]
        made.append({"types": types})
    first = Fraction(rng.randint(1, 6), 7)
    given = {"prior": [str(first), str(1 - first)], "externality": rng.choice(["1/3", 0, 2]), "ic": ic, "buyers": made}
    return Rivals.of(RivalParams.model_validate(given))


@pytest.mark.parametrize("ic", ["bayesian", "ex-post"])
@pytest.mark.parametrize("buyers", [2, 3])
def test_bounds_by_virtual_values_in_floats_hold_the_exact_optimum(buyers: int, ic: str) -> None:
    rng = random.Random(buyers)
    for _ in range(12):
        # numbers so long that revenue is computed in floats, unless fractions are asked for
        market = of_values(rng, buyers, ic, 3**200 + rng.randint(1, 10**6))
        exact, answer = rule(market, exact=True).revenue, solve_finite(market, Options())
        assert answer.exact is None
        assert Fraction(answer.certificate.lower) <= exact <= Fraction(answer.certificate.upper)
        assert answer.certificate.upper == pytest.approx(answer.certificate.lower, rel=1e-9, abs=1e-11)


@pytest.mark.parametrize("ic", ["bayesian", "ex-post"])
@pytest.mark.parametrize("buyers", [2, 3])
def test_enclosures_of_finitely_many_values_hold_the_exact_optimum(buyers: int, ic: str) -> None:
    """Where values are few the sums of an enclosure are exact but for rounding, which its ends carry."""
    rng = random.Random(10 + buyers)
    for _ in range(12):
        market = of_values(rng, buyers, ic, 97)
        exact = rule(market, exact=True).revenue
        kinds = [Virtual.of(kind).in_floats for kind in market.buyers]
        assert market.prior is not None
        level, alpha = float(max(market.prior)), float(market.externality)
        found = bracket(kinds, [1] * buyers, level, alpha, ex_post=market.ex_post)
        assert Fraction(found.lower) <= exact <= Fraction(found.upper)
        assert buyers > 2 or found.upper - found.lower <= 1e-11 * (1 + float(exact))


# Continua of types ---------------------------------------------------------------------------------------------------------


def test_the_bound_of_a_uniform_distribution_carries_its_own_rounding() -> None:
    """Of beliefs uniform on [0, 1] the bound for a multiplier m is ((1 - m)^2 + m^2) / 4 exactly."""
    uniform = PiecewiseLinear((Fraction(0), Fraction(1)), (Fraction(0), Fraction(1)))
    for k in range(1, 300):
        m = Fraction(k / 301)
        exact = ((1 - m) ** 2 + m**2) / 4
        bound = ceiling(uniform, float(m))
        assert exact <= Fraction(bound) <= exact + Fraction(1, 10**14)


def earned(low: Fraction, high: Fraction, value: Fraction, items: list[dict[str, Any]]) -> Fraction:
    """What a menu earns from beliefs uniform on [low, high] and matching payoffs, exactly, ties against the seller."""
    menu = []
    for item in items:
        rows = [[Fraction(p) / sum(map(Fraction, row)) for p in row] for row in item["experiment"]]
        menu.append((list(zip(*rows, strict=True)), Fraction(item["price"])))

    def gain(theta: Fraction, item: Any) -> Fraction:
        signals, price = item
        told = sum((max(theta * p, (1 - theta) * q) for p, q in signals), Fraction(0))
        return value * (told - max(theta, 1 - theta)) - price

    kinks = {low, high, Fraction(1, 2), *(q / (p + q) for signals, _ in menu for p, q in signals if p + q)}
    ends = sorted(kink for kink in kinks if low <= kink <= high)
    cuts = set(ends)
    for left, right in itertools.pairwise(ends):  # gains are linear between kinks
        gains = [(Fraction(0), Fraction(0)), *((gain(left, item), gain(right, item)) for item in menu)]
        for (a, b), (c, d) in itertools.combinations(gains, 2):
            if (a - c) * (b - d) < 0:
                cuts.add(left + (right - left) * (a - c) / (a - c - b + d))
    total = Fraction(0)
    for left, right in itertools.pairwise(sorted(cuts)):
        _, less = max([(Fraction(0), Fraction(0)), *((gain((left + right) / 2, item), -item[1]) for item in menu)])
        total -= less * (right - left) / (high - low)
    return total


def test_the_lower_end_of_a_continuum_is_less_than_the_menu_earns() -> None:
    rng = random.Random(1)
    for _ in range(15):
        low = Fraction(rng.randint(0, 60), 97)
        high = min(low + Fraction(rng.randint(1, 36), 97), Fraction(1))
        value = Fraction(rng.randint(1, 500), rng.choice([7, 100, 3]))
        belief = {"dist": "uniform", "loc": str(low), "scale": str(high - low)}
        answer = selling_information.solve(selling_information.Params.model_validate({"belief": belief, "value": str(value)}))
        earns = earned(low, high, value, answer.mechanism["items"])
        assert Fraction(answer.certificate.lower) <= earns <= Fraction(answer.certificate.upper)
        assert answer.certificate.lower == pytest.approx(float(earns), rel=1e-12)


def test_the_lower_end_of_a_continuum_holds_with_ties_against_the_seller() -> None:
    """To all who would buy it full information at 3/8 is worth as much as an item that is right with 7/8, at 1/4."""
    params = selling_information.Params.model_validate({"belief": {"dist": "uniform"}})
    noisy = [[7 / 8, 1 / 8], [1 / 8, 7 / 8]]
    posted = Posted.of(segment(params), np.array([np.eye(2), noisy]), np.array([3 / 8, 1 / 4]))
    items = [{"experiment": np.eye(2).tolist(), "price": 3 / 8}, {"experiment": noisy, "price": 1 / 4}]
    assert posted.revenue == earned(Fraction(0), Fraction(1), Fraction(1), items) == Fraction(1, 16)
    assert earned(Fraction(0), Fraction(1), Fraction(1), items[:1]) == Fraction(3, 32)


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
            found = largest(Flat(), Product(p, Fraction(0), r, Fraction(-1)))  # a function that looks like a distribution
            assert Fraction(found.upper) >= p * r
            assert found.upper == pytest.approx(float(p * r), rel=1e-14)


# Claims ------------------------------------------------------------------------------------------------------------------------


def answer(status: Status, lower: float, upper: float, **quantities: float) -> Answer:
    return Answer(status, {}, quantities, Certificate(lower, upper, relative_gap(lower, upper)))


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
