"""Bounds hold for any dual_values, rounding included, and a proof accepts nothing but the exact optimum."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optmarket.errors import SolverError
from optmarket.lp.exact_arithmetic import solve_exactly
from optmarket.lp.float_bound import Basis, Proof, _solve, exact_bound, prove, safe_bound, vertex
from optmarket.lp.highs import solve
from optmarket.lp.program import LinearProgram, Rows
from optmarket.options import Status

INF = math.inf
third = Fraction(1, 3)


def array(values: Any) -> Any:
    """Fractions, infinities left as they are, in an object array of the same shape."""
    if isinstance(values, list):
        shape = np.shape(np.array(values, dtype=object))
        flat = [array(value) for value in np.array(values, dtype=object).ravel()]
        made = np.empty(len(flat), dtype=object)
        made[:] = flat
        return made.reshape(shape)
    return values if isinstance(values, float) and math.isinf(values) else Fraction(values)


def build(sense: Any, cost: Any, box: Any, coefficients: Any, bounds: Any, offset: Any = 0.0) -> LinearProgram:
    """An exact program over boxed columns and dense rows."""
    made = LinearProgram(sense, offset)
    box, bounds = array(box), array(bounds).reshape(-1, 2)
    x = made.add_variables("x", (len(cost),), lower=box[:, 0], upper=box[:, 1], objective=array(cost))
    value = array(coefficients).reshape(len(bounds), len(cost))
    made.add_rows("rows", Rows.dense(np.broadcast_to(x, value.shape), value, bounds[:, 0], bounds[:, 1]))
    return made


def rounded(exact: LinearProgram) -> LinearProgram:
    """The program's float image, every number rounded once."""
    made = LinearProgram(exact.sense, float(exact.offset))
    lower, upper, cost = (given.astype(np.float64) for given in (exact.lower, exact.upper, exact.objective))
    made.add_variables("x", (exact.columns,), lower=lower, upper=upper, objective=cost)
    made.add_rows("rows", float_rows(exact.rows["rows"]))
    return made


def float_rows(rows: Rows) -> Rows:
    return replace(rows, **{name: getattr(rows, name).astype(np.float64) for name in ("value", "lower", "upper")})


def projected(exact: LinearProgram, dual_values: Any) -> Any:
    """The dual_values as Fractions, 0 where their sign asks for a bound that the row has not."""
    rows, sign = exact.rows["rows"], 1 if exact.sense == "max" else -1
    sides = [high if sign * y > 0 else low for y, low, high in zip(dual_values, rows.lower, rows.upper, strict=True)]
    return array([0 if math.isinf(side) else Fraction(y) for y, side in zip(dual_values, sides, strict=True)])


number = st.builds(Fraction, st.integers(-12, 12), st.sampled_from([1, 2, 3, 7, 10, 49]))
dual_value = st.one_of(st.floats(-10, 10), st.floats(-1e6, 1e6), st.just(0.0), st.sampled_from([1 / 3, -1e-12, 1e12]))


@st.composite
def programs(draw: st.DrawFn) -> LinearProgram:
    """Boxed programs with a point inside, of rows of every kind."""
    columns, rows = draw(st.integers(1, 4)), draw(st.integers(0, 4))

    def numbers(count: int) -> list[Fraction]:
        return draw(st.lists(number, min_size=count, max_size=count))

    low, width, cost = numbers(columns), [abs(w) for w in numbers(columns)], numbers(columns)
    inside = [lo + w * draw(st.sampled_from([Fraction(0), third, Fraction(1)])) for lo, w in zip(low, width, strict=True)]
    coefficients = [numbers(columns) for _ in range(rows)]
    bounds: list[list[Any]] = []
    for row in coefficients:
        at, below, above = sum(a * x for a, x in zip(row, inside, strict=True)), abs(draw(number)), abs(draw(number))
        ends = [at - below, at + above]
        bounds.append(draw(st.sampled_from([ends, [-INF, ends[1]], [ends[0], INF], [at, at], [at, at + above], [-INF, INF]])))
    box = [[lo, lo + w] for lo, w in zip(low, width, strict=True)]
    return build(draw(st.sampled_from(["max", "min"])), cost, box, coefficients, bounds, draw(number))


def proved(exact: LinearProgram) -> Proof:
    result = solve(exact)
    assert result.status is Status.OPTIMAL
    proof = solve_exactly(exact, result)
    assert isinstance(proof, Proof)
    return proof


def claimed(exact: LinearProgram, columns: list[int], rows: list[int]) -> Proof:
    """What becomes of the claim that a basis is optimal."""
    listed = exact.rows["rows"]
    return prove(exact, listed, vertex(exact, listed, Basis(np.array(columns, dtype=int), np.array(rows, dtype=int))))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(programs(), st.data())
def test_any_dual_values_bound_the_optimum(exact: LinearProgram, data: st.DataObject) -> None:
    floating, rows = rounded(exact), exact.rows["rows"]
    y = np.array(data.draw(st.lists(dual_value, min_size=len(rows), max_size=len(rows))), dtype=np.float64)
    value, sign = proved(exact).value, 1 if exact.sense == "max" else -1
    safe = Fraction(safe_bound(floating, floating.rows["rows"], y))
    assert sign * (safe - value) >= 0
    # no worse a bound than the same one in rationals, and hardly better than it
    rational = exact_bound(exact, rows, projected(exact, y))
    assert isinstance(rational, Fraction)
    size = 1 + float(np.abs(y).sum()) * 50 + abs(float(rational))
    assert 0 <= sign * (safe - rational) <= 1e-12 * size
    # the program of Fractions is read as its float image
    assert safe_bound(exact, rows, y) == float(safe)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(programs())
def test_optimal_dual_values_are_tight(exact: LinearProgram) -> None:
    floating = rounded(exact)
    result, proof = solve(floating), proved(exact)
    assert Fraction(result.bound) >= proof.value if exact.sense == "max" else Fraction(result.bound) <= proof.value
    assert result.bound == pytest.approx(float(proof.value), abs=1e-9)
    assert exact_bound(exact, exact.rows["rows"], proof.dual_values) == proof.value
    assert np.all(exact.rows["rows"].violation(proof.x) == 0)
    assert (exact.objective * proof.x).sum() + exact.offset == proof.value


@pytest.mark.parametrize("sense", ["max", "min"])
@pytest.mark.parametrize("offset", [third, -third, Fraction(1, 10), Fraction(7, 10)])
def test_the_bound_of_a_constant_objective_covers_the_rounding_of_its_offset(sense: Any, offset: Fraction) -> None:
    exact = build(sense, [0], [[0, 1]], [[1]], [[0, 1]], offset)
    bound = Fraction(solve(rounded(exact)).bound)
    assert 0 <= (bound - offset) * (1 if sense == "max" else -1) <= Fraction(1, 10**15)


@pytest.mark.parametrize("sense", ["max", "min"])
@pytest.mark.parametrize("power", [10, 14, 15, 16])
def test_rounding_is_covered_where_it_decides(sense: Any, power: int) -> None:
    # a column's cost is its price plus a trifle that is lost among 60 thirds, sevenths and so on, none of them a float;
    # over a box of a million it is not lost in the bound
    rng = np.random.default_rng(power)
    rows, sign = 60, 1 if sense == "max" else -1
    trifle, far = Fraction(sign, 10**power), 10**6
    for _ in range(40):
        top, bottom = rng.integers(-9, 10, size=rows), rng.choice([3, 7, 11, 13, 49], size=rows)
        column = [[Fraction(int(p), int(q))] for p, q in zip(top, bottom, strict=True)]
        y = rng.integers(-9, 10, size=rows) / rng.choice([3, 7, 11], size=rows)
        exactly = array(y.tolist())
        cost = sum((a[0] * b for a, b in zip(column, exactly, strict=True)), trifle)
        exact = build(sense, [cost], [[0, far]], column, [[-third, third]] * rows)
        truth = exact_bound(exact, exact.rows["rows"], exactly)
        assert truth == sign * abs(exactly).sum() / 3 + far * trifle
        safe = safe_bound(rounded(exact), float_rows(exact.rows["rows"]), y)
        assert 0 <= sign * (Fraction(safe) - truth) <= far * Fraction(1, 10**11)


@pytest.mark.parametrize(("sense", "worst"), [("max", INF), ("min", -INF)])
def test_an_open_box_gives_no_bound_unless_its_column_is_silent(sense: Any, worst: float) -> None:
    for box in ([0, INF], [-INF, 0], [-INF, INF]):
        used = build(sense, [0, 1], [box, [0, 1]], [[1, 1]], [[0, 2]])
        idle = build(sense, [1, 1], [box, [0, 1]], [[0, 1]], [[0, 2]])
        rows = float_rows(used.rows["rows"])
        assert safe_bound(used, rows, np.array([0.5])) == worst
        assert safe_bound(used, rows, np.array([-0.5])) == worst
        # nothing in the objective and no dual_value on its rows: the column cannot matter
        assert safe_bound(used, rows, np.array([0.0])) == pytest.approx(1.0 if sense == "max" else 0.0, abs=1e-14)
        assert safe_bound(idle, float_rows(idle.rows["rows"]), np.array([1.0])) == worst
        # a reduced cost of zero in floats is not known to be one
        level = build(sense, [third, 1], [box, [0, 1]], [[third, 1]], [[0, 2]])
        assert safe_bound(level, float_rows(level.rows["rows"]), np.array([1.0])) == worst
        # in rationals the sign of a reduced cost is known, and only the wrong one is fatal
        assert exact_bound(used, used.rows["rows"], array([0])) == (1 if sense == "max" else 0)
    growing = build(sense, [1 if sense == "max" else -1], [[0, INF]], [[1]], [[0, 2]])
    assert exact_bound(growing, growing.rows["rows"], array([0])) == worst
    assert exact_bound(growing, growing.rows["rows"], array([growing.objective[0]])) == (2 if sense == "max" else -2)


@pytest.mark.parametrize("bad", [math.nan, INF, -INF, 1e308])
def test_senseless_dual_values_still_give_a_bound(bad: float) -> None:
    made = build("max", [1, 1], [[0, 1], [0, 1]], [[1, 2]], [[-1, 2]])
    with np.errstate(all="ignore"):
        assert safe_bound(made, float_rows(made.rows["rows"]), np.array([bad])) >= 1.5


def test_dual_values_of_the_wrong_sign_are_ignored() -> None:
    made = build("max", [1], [[0, 5]], [[1], [1]], [[-INF, 2], [1, INF]])
    rows = float_rows(made.rows["rows"])
    assert safe_bound(made, rows, np.array([-3.0, 7.0])) == safe_bound(made, rows, np.zeros(2)) == pytest.approx(5, abs=1e-14)
    assert safe_bound(made, rows, np.array([1.0, 7.0])) == pytest.approx(2, abs=1e-14)
    assert exact_bound(made, made.rows["rows"], array([-3, 0])) == INF


# Proofs ---------------------------------------------------------------------------------------------------------------


def corner(sense: Any = "max") -> LinearProgram:
    """max x/3 + y/7 + 1/4 (or min of its negative): 3x + y <= 1 and x + 3y <= 1 meet at (1/4, 1/4)."""
    sign = 1 if sense == "max" else -1
    cost = [sign * third, sign * Fraction(1, 7)]
    return build(sense, cost, [[0, 1], [0, 1]], [[3, 1], [1, 3], [1, 1]], [[-INF, 1], [-INF, 1], [-1, 1]], sign * Fraction(1, 4))


OPTIMAL = [0, 0], [1, 1, 0]


@pytest.mark.parametrize("sense", ["max", "min"])
def test_a_known_optimum(sense: Any) -> None:
    sign = 1 if sense == "max" else -1
    result = solve(rounded(corner(sense)))
    assert result.basis is not None
    assert (result.basis.columns.tolist(), result.basis.rows.tolist()) == OPTIMAL
    proof = claimed(corner(sense), *OPTIMAL)
    # 3 p + q = 1/3 and p + 3 q = 1/7
    assert proof.dual_values.tolist() == [sign * Fraction(3, 28), sign * Fraction(1, 84), 0]
    assert proof.x.tolist() == [Fraction(1, 4), Fraction(1, 4)]
    assert proof.value == sign * (Fraction(1, 12) + Fraction(1, 28) + Fraction(1, 4))
    assert proved(corner(sense)).value == proof.value


def test_proving_uses_nothing_up() -> None:
    made = corner()
    rows = made.rows["rows"]

    def content() -> list[Any]:
        return [part.tolist() for part in (made.lower, made.upper, made.objective, rows.value, rows.lower, rows.upper)]

    before = content()
    first, second = claimed(made, *OPTIMAL), claimed(made, *OPTIMAL)
    assert first.x.tolist() == second.x.tolist() and first.dual_values.tolist() == second.dual_values.tolist()
    assert content() == before


TAMPERED = [
    ("optimal", [-1, -1], [0, 0, 0]),  # the origin is feasible
    ("optimal", [0, -1], [1, 0, 0]),  # so is (1/3, 0), on the first row
    ("feasible", [0, -1], [0, 1, 0]),  # (1, 0) is beyond the first row
    ("feasible", [1, 1], [0, 0, 0]),  # and (1, 1)
    ("feasible", [-1, 0], [0, 0, -1]),  # (0, -1) is outside the box
    ("as many", [0, 0], [1, 0, 0]),
    ("as many", [-1, 0], [1, 1, 0]),
]


@pytest.mark.parametrize(("why", "columns", "rows"), TAMPERED)
def test_a_wrong_basis_is_refused(why: str, columns: list[int], rows: list[int]) -> None:
    with pytest.raises(SolverError, match=why):
        claimed(corner(), columns, rows)


def test_a_vertex_says_what_is_wrong_with_it() -> None:
    listed = corner().rows["rows"]

    def mistakes(columns: list[int], rows: list[int]) -> tuple[Fraction, Fraction]:
        found = vertex(corner(), listed, Basis(np.array(columns), np.array(rows)))
        return found.infeasible, found.unpriced

    assert mistakes(*OPTIMAL) == (0, 0)
    assert mistakes([-1, -1], [0, 0, 0]) == (0, third)  # x wants up by its objective
    assert mistakes([0, -1], [1, 0, 0]) == (0, Fraction(1, 7) - third / 3)  # y, less a third of x on the first row
    assert mistakes([0, -1], [0, 1, 0]) == (2, 0)  # (1, 0): 3 against 1, though the prices (0, 1/3) are right


def test_tampered_dual_values_and_points_are_refused() -> None:
    made, rows = corner(), corner().rows["rows"]
    found = vertex(made, rows, Basis(np.array(OPTIMAL[0]), np.array(OPTIMAL[1])))
    hair = array([Fraction(1, 10**40), 0, 0])
    assert prove(made, rows, found).value == Fraction(1, 12) + Fraction(1, 28) + Fraction(1, 4)
    with pytest.raises(SolverError, match="optimal"):
        prove(made, rows, replace(found, dual_values=found.dual_values + hair))
    with pytest.raises(SolverError, match="feasible"):
        prove(made, rows, replace(found, x=found.x + hair[:2]))
    with pytest.raises(SolverError, match="optimal"):
        prove(made, rows, replace(found, x=found.x - hair[:2]))


def test_a_singular_basis_is_refused() -> None:
    twice = build("max", [1, 1], [[0, 1], [0, 1]], [[1, 2], [third, 2 * third]], [[-INF, 1], [-INF, third]])
    with pytest.raises(SolverError, match="singular"):
        claimed(twice, [0, 0], [1, 1])
    assert claimed(twice, [1, 0], [1, 0]).value == 1


def test_almost_optimal_is_not_optimal() -> None:
    # at a hair's breadth: the other corner loses 1e-30, which no float can see
    hair = Fraction(1, 10**30)
    made = build("max", [1, 1 - hair], [[0, 1], [0, 1]], [[1, 1]], [[-INF, 1]])
    assert claimed(made, [0, -1], [1]).value == 1
    with pytest.raises(SolverError, match="not optimal"):
        claimed(made, [-1, 0], [1])
    tight = build("max", [1, 1], [[0, 1], [0, 1]], [[1, 1], [1, 0]], [[-INF, 1], [-INF, 1 - hair]])
    with pytest.raises(SolverError, match="not feasible"):
        claimed(tight, [0, -1], [1, 0])


@pytest.mark.parametrize("power", [10, 14, 20, 30])
@pytest.mark.parametrize("sense", ["max", "min"])
def test_refinement_sees_what_floats_do_not(sense: Any, power: int) -> None:
    # x + y <= 1 with y worth a hair more, and x - y >= -1 + 3 hairs that caps y a hair below 1
    hair, sign = Fraction(1, 10**power), 1 if sense == "max" else -1
    cost = [sign * (1 - hair), sign]
    made = build(sense, cost, [[0, 1], [0, 1]], [[1, 1], [1, -1]], [[-INF, 1], [3 * hair - 1, INF]])
    proof = proved(made)
    assert proof.x.tolist() == [Fraction(3, 2) * hair, 1 - Fraction(3, 2) * hair]
    assert proof.value == sign * (1 - Fraction(3, 2) * hair**2)
    assert exact_bound(made, made.rows["rows"], proof.dual_values) == proof.value


@dataclass(frozen=True)
class Ceiling:
    """``x + y <= height``."""

    height: Fraction

    def initial_cuts(self) -> Rows:
        return Rows.join([])

    def separate(self, x: Any, tolerance: float) -> tuple[Rows, Any]:
        failure = x[0] + x[1] - self.height
        return Rows.join([]), max(Fraction(0), failure)

    def size(self) -> tuple[int, int, int]:
        return 0, 0, 0

    def add_all(self, program: LinearProgram) -> None:
        row = np.array([[Fraction(1), Fraction(1)]])
        program.add_rows("ceiling", Rows.dense(np.array([[0, 1]]), row, -INF, self.height))


@pytest.mark.parametrize(("height", "good"), [(Fraction(1, 2), True), (Fraction(1, 2) - Fraction(1, 10**20), False)])
def test_rows_of_families_are_checked(height: Fraction, good: bool) -> None:
    made = corner()
    made.add_family("ceiling", Ceiling(height))
    if good:
        assert claimed(made, *OPTIMAL).x.sum() == height
        return
    with pytest.raises(SolverError, match="'ceiling' by 1e-20"):
        claimed(made, *OPTIMAL)


def test_a_program_without_rows() -> None:
    made = build("max", [third, -third], [[0, 3], [1, 2]], [], [])
    proof = proved(made)
    assert (proof.value, proof.x.tolist(), len(proof.dual_values)) == (third * 2, [3, 1], 0)


# The rational solver --------------------------------------------------------------------------------------------------


def rank(matrix: list[list[Fraction]]) -> int:
    """By plain elimination, row by row."""
    rows, found = [list(row) for row in matrix], 0
    for column in range(len(rows)):
        pivot = next((r for r in range(found, len(rows)) if rows[r][column]), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        for r in range(found + 1, len(rows)):
            factor = rows[r][column] / rows[found][column]
            rows[r] = [a - factor * b for a, b in zip(rows[r], rows[found], strict=True)]
        found += 1
    return found


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data(), st.integers(0, 7))
def test_rational_systems(data: st.DataObject, n: int) -> None:
    sparse = st.one_of(st.just(Fraction(0)), st.just(Fraction(0)), number)
    matrix = [data.draw(st.lists(sparse, min_size=n, max_size=n)) for _ in range(n)]
    right = data.draw(st.lists(number, min_size=n, max_size=n))
    given_rows = [{c: value for c, value in enumerate(row) if value} for row in matrix]
    if rank(matrix) < n:
        with pytest.raises(SolverError, match="singular"):
            _solve(given_rows, list(right))
        return
    x = _solve(given_rows, list(right))
    assert [sum((a * b for a, b in zip(row, x, strict=True)), Fraction(0)) for row in matrix] == right


@pytest.mark.parametrize("seed", range(3))
def test_a_larger_sparse_system(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 120
    rows: list[dict[int, Fraction]] = []
    order = rng.permutation(n)
    for r in range(n):
        row = {int(c): Fraction(int(rng.integers(1, 50)), 7) for c in rng.choice(n, size=3, replace=False)}
        row[int(order[r])] = Fraction(1000)  # dominant once permuted: never singular
        rows.append(row)
    right = [Fraction(int(b), 11) for b in rng.integers(-20, 21, size=n)]
    x = _solve([dict(row) for row in rows], list(right))
    assert [sum(value * x[c] for c, value in row.items()) for row in rows] == right
