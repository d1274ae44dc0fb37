"""Linear programs with answers known on paper, lazy constraints against the full program, and stops that keep their bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from support.small_programs import diamond, matrix

from optmarket.errors import InstanceError, SolverError
from optmarket.lp import highs
from optmarket.lp.highs import LpResult, solve
from optmarket.lp.program import LinearProgram, Rows
from optmarket.options import Options, Progress, Status
from optmarket.tolerances import FEASIBILITY

INF = math.inf


@dataclass(frozen=True)
class Case:
    """A program on paper: ``sense cost x + offset`` over a box and rows [coefficients, lower, upper], with its answer."""

    name: str
    sense: Any
    cost: list[float]
    box: list[tuple[float, float]]
    rows: list[tuple[list[float], float, float]]
    value: float = math.nan
    x: list[float] = field(default_factory=list)
    dual_values: list[float] = field(default_factory=list)
    offset: float = 0.0

    def build(self, shift: tuple[int, float] = (0, 0.0)) -> LinearProgram:
        """The program, both bounds of row ``shift[0]`` moved by ``shift[1]``."""
        made = LinearProgram(self.sense, self.offset)
        box = np.array(self.box, dtype=float).reshape(-1, 2)
        made.add_variables("x", (len(box),), lower=box[:, 0], upper=box[:, 1], objective=np.array(self.cost, dtype=float))
        if self.rows:
            bounds = np.array([row[1:] for row in self.rows], dtype=float)
            bounds[shift[0]] += shift[1]
            made.add_rows("rows", matrix([row[0] for row in self.rows], bounds[:, 0], bounds[:, 1]))
        return made


FREE, UNIT, THREE = (0.0, 100.0), (0.0, 1.0), (0.0, 3.0)

ANSWERED = [
    Case(
        "max, at most",
        "max",
        [3, 5],
        [FREE, FREE],
        [([1, 0], -INF, 4), ([0, 2], -INF, 12), ([3, 2], -INF, 18)],
        36,
        [2, 6],
        [0, 1.5, 1],
    ),
    Case("min, at least", "min", [2, 3], [FREE, FREE], [([1, 1], 4, INF), ([1, 3], 6, INF)], 9, [3, 1], [1.5, 0.5]),
    Case("max, at least", "max", [-1], [FREE], [([2], 4, INF)], -2, [2], [-0.5]),
    Case("min, at most", "min", [-1], [FREE], [([2], -INF, 4)], -2, [2], [-0.5]),
    Case("max, equal", "max", [1, 2], [(0, 2), (0, 2)], [([1, 1], 3, 3)], 5, [1, 2], [1]),
    Case("max, equal, costly", "max", [-1, -2], [(0, 2), (0, 2)], [([1, 1], 3, 3)], -4, [2, 1], [-2]),
    Case("min, equal", "min", [1, 2], [(0, 2), (0, 2)], [([1, 1], 3, 3)], 4, [2, 1], [2]),
    Case("min, equal, welcome", "min", [-1, -2], [(0, 2), (0, 2)], [([1, 1], 3, 3)], -5, [1, 2], [-1]),
    Case("max, range at its lower end", "max", [1, 1], [THREE, THREE], [([1, -1], 1, 2)], 5, [3, 2], [-1]),
    Case("max, range at its upper end", "max", [1, -2], [THREE, THREE], [([1, -1], 1, 2)], 2, [2, 0], [1]),
    Case("min, range at its lower end", "min", [1, 1], [THREE, THREE], [([1, -1], 1, 2)], 1, [1, 0], [1]),
    Case("min, range at its upper end", "min", [-1, 2], [THREE, THREE], [([1, -1], 1, 2)], -2, [2, 0], [-1]),
    Case("range inside", "max", [1, -1], [UNIT, UNIT], [([1, 1], 0.5, 1.5)], 1, [1, 0], [0]),
    Case("boxes only", "max", [1, -1], [(-1, 2), (-3, 5)], [([1, 1], -10, 10)], 5, [2, -3], [0]),
    Case("offset, max", "max", [1], [UNIT], [([1], -INF, 0.5)], 10.5, [0.5], [1], 10.0),
    Case("offset, min", "min", [1], [UNIT], [([1], 0.5, INF)], -9.5, [0.5], [1], -10.0),
    Case("negative box", "min", [1, 1], [(-2, -1), (-5, 5)], [([1, 1], -4, INF)], -4, [], [1]),
]


@pytest.mark.parametrize("case", ANSWERED, ids=lambda case: case.name)
def test_known_answers(case: Case) -> None:
    result = solve(case.build())
    assert result.status is Status.OPTIMAL
    assert result.x is not None
    reached = float(np.dot(case.cost, result.x)) + case.offset
    assert reached == pytest.approx(case.value, abs=1e-9)
    if case.x:
        np.testing.assert_allclose(result.x, case.x, rtol=0, atol=1e-9)
    np.testing.assert_allclose(result.dual_values, case.dual_values, rtol=0, atol=1e-9)
    # the bound holds, and nothing is lost on the way to it
    excess = result.bound - case.value if case.sense == "max" else case.value - result.bound
    assert 0 <= excess <= 1e-9
    report = result.blocks["rows"]
    tight = sum(
        min(float(np.dot(row, result.x)) - low, high - float(np.dot(row, result.x))) <= 1e-9 for row, low, high in case.rows
    )
    assert (report.rows, report.binding, report.worst) == (len(case.rows), tight, pytest.approx(0, abs=1e-9))


@pytest.mark.parametrize("case", ANSWERED, ids=lambda case: case.name)
def test_dual_values_are_derivatives(case: Case) -> None:
    step = 1e-3
    for row, dual_value in enumerate(solve(case.build()).dual_values):
        for sign in (-1, 1):
            moved = solve(case.build((row, sign * step)))
            assert moved.x is not None
            value = float(np.dot(case.cost, moved.x)) + case.offset
            assert (value - case.value) / (sign * step) == pytest.approx(dual_value, abs=1e-6), f"row {row}"


NO_ANSWER = [
    (Case("rows disagree", "max", [1], [UNIT], [([1], 2, INF)]), Status.INFEASIBLE),
    (Case("rows disagree, min", "min", [1, 1], [FREE, FREE], [([1, 1], -INF, 1), ([1, 1], 2, INF)]), Status.INFEASIBLE),
    (Case("box is empty", "max", [1], [(2, 1)], [([1], -INF, 5)]), Status.INFEASIBLE),
    (Case("row without entries", "max", [1], [UNIT], [([0], 1, 2)]), Status.INFEASIBLE),
    (Case("open ray", "max", [1, 0], [(0, INF), (0, INF)], [([1, -1], -INF, 1)]), Status.UNBOUNDED),
    (Case("open ray, min", "min", [1, 0], [(-INF, INF), (-INF, INF)], [([1, -1], -INF, 1)]), Status.UNBOUNDED),
    (Case("no rows", "min", [-1], [(0, INF)], []), Status.UNBOUNDED),
    (Case("infeasible beside a ray", "max", [1, 0], [(0, INF), UNIT], [([0, 1], 2, INF)]), Status.INFEASIBLE),
]


@pytest.mark.parametrize(("case", "status"), NO_ANSWER, ids=lambda part: part.name if isinstance(part, Case) else "")
def test_no_answer(case: Case, status: Status) -> None:
    result = solve(case.build())
    assert result.status is status
    assert result.basis is None
    if status is Status.UNBOUNDED:
        assert result.bound == (INF if case.sense == "max" else -INF)


def test_redundant_and_contradicting_copies() -> None:
    rows = [([1.0, 2.0], -INF, 4.0)] * 3 + [([2.0, 4.0], -INF, 8.0), ([1.0, 1.0], 3.0, 3.0), ([2.0, 2.0], 6.0, 6.0)]
    result = solve(Case("", "max", [1, 3], [FREE, FREE], rows).build())
    assert result.x is not None
    np.testing.assert_allclose(result.x, [2, 1], atol=1e-9)
    assert result.bound == pytest.approx(5, abs=1e-9)
    assert solve(Case("", "max", [1, 3], [FREE, FREE], [*rows, ([3.0, 3.0], 9.1, INF)]).build()).status is Status.INFEASIBLE


@pytest.mark.parametrize(("sense", "value"), [("max", 3 + 2 + 1), ("min", 3 - 1 - 2)])
def test_no_rows(sense: Any, value: float) -> None:
    result = solve(Case("", sense, [1, -1], [(-1, 2), (-1, 2)], [], offset=3.0).build())
    assert (result.status, len(result.rows), len(result.dual_values)) == (Status.OPTIMAL, 0, 0)
    assert result.bound == pytest.approx(value, abs=1e-9)
    assert result.blocks == {}


def test_degenerate_vertex() -> None:
    # Beale's example, on which a careless simplex method cycles: optimum -1/20 at (1/25, 0, 1, 0)
    rows: list[tuple[list[float], float, float]] = [
        ([0.25, -60, -1 / 25, 9], -INF, 0),
        ([0.5, -90, -1 / 50, 3], -INF, 0),
        ([0, 0, 1, 0], -INF, 1),
    ]
    result = solve(Case("", "min", [-0.75, 150, -1 / 50, 6], [FREE] * 4, rows).build())
    assert result.x is not None
    np.testing.assert_allclose(result.x, [1 / 25, 0, 1, 0], atol=1e-9)
    assert -0.05 - 1e-9 <= result.bound <= -0.05


def test_status_table() -> None:
    kind = highspy.HighsModelStatus
    assert highs.STATUS[kind.kOptimal] is Status.OPTIMAL
    assert highs.STATUS[kind.kInfeasible] is Status.INFEASIBLE
    assert highs.STATUS[kind.kUnbounded] is Status.UNBOUNDED
    assert highs.STATUS[kind.kTimeLimit] is Status.TIME_LIMIT
    assert highs.STATUS[kind.kInterrupt] is Status.INTERRUPTED
    # a state that says nothing about the program is none of these
    silent = {kind.kNotset, kind.kLoadError, kind.kModelError, kind.kSolveError, kind.kPostsolveError, kind.kUnknown}
    assert not silent & set(highs.STATUS)


def test_a_state_that_says_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(highs.STATUS, highspy.HighsModelStatus.kOptimal)
    with pytest.raises(SolverError, match="Optimal"):
        solve(ANSWERED[0].build())


SMALL = st.integers(-4, 4)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data(), st.integers(1, 4), st.integers(1, 4), st.sampled_from(["max", "min"]))
def test_boxed_programs_against_scipy(data: st.DataObject, columns: int, rows: int, sense: Any) -> None:
    def draw(count: int) -> Any:
        return np.array(data.draw(st.lists(SMALL, min_size=count, max_size=count)), dtype=float)

    coefficients, cost, inside = draw(rows * columns).reshape(rows, columns), draw(columns), np.abs(draw(columns)) / 4
    slack = np.abs(draw(rows))
    upper = coefficients @ inside + slack
    kinds = data.draw(st.lists(st.sampled_from(["most", "range", "equal"]), min_size=rows, max_size=rows))
    upper[[kind == "equal" for kind in kinds]] -= slack[[kind == "equal" for kind in kinds]]
    lower = np.array([{"most": -INF, "range": u - s - 1, "equal": u}[k] for k, u, s in zip(kinds, upper, slack, strict=True)])
    made = LinearProgram(sense, 2.5)
    made.add_variables("x", (columns,), upper=1.0, objective=cost)
    made.add_rows("rows", matrix(coefficients, lower, upper))
    result = solve(made)
    sign = -1 if sense == "max" else 1
    finite = np.isfinite(lower)
    other = linprog(
        sign * cost,
        A_ub=np.vstack([coefficients, -coefficients[finite]]),
        b_ub=np.concatenate([upper, -lower[finite]]),
        bounds=(0, 1),
    )
    assert result.x is not None and other.success and other.fun is not None
    assert result.x @ cost == pytest.approx(sign * other.fun, abs=1e-9)
    assert made.rows["rows"].violation(result.x).max() <= 1e-9
    # strong duality: the dual_values alone give the same value
    assert result.bound == pytest.approx(sign * other.fun + 2.5, abs=1e-9)


# lazy constraints -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tangents:
    """``height >= slope_k x + level_k`` for many k: an epigraph whose rows need no variables of their own."""

    x: int
    height: int
    slope: Any
    level: Any

    def rows(self, which: Any) -> Rows:
        n = len(which)
        value = np.column_stack([-self.slope[which], np.ones(n)])
        return Rows.dense(np.tile([self.x, self.height], (n, 1)), value, self.level[which], np.full(n, INF))

    def initial_cuts(self) -> Rows:
        return self.rows(np.arange(1))

    def separate(self, x: Any, tolerance: float) -> tuple[Rows, Any]:
        failure = self.slope * x[self.x] + self.level - x[self.height]
        worst = int(failure.argmax())
        return self.rows(np.array([worst] if failure[worst] > tolerance else [], dtype=int)), max(0.0, failure[worst])

    def size(self) -> tuple[int, int, int]:
        return len(self.slope), 0, 2 * len(self.slope)

    def add_all(self, made: LinearProgram) -> None:
        made.add_rows("tangents", self.rows(np.arange(len(self.slope))))


def parabola(pieces: int = 201) -> LinearProgram:
    """min height + x/3 above the tangents of x^2 at k/100: least at x = -1/6, within the tangents' error."""
    made = LinearProgram("min")
    x = made.add_variables("x", (), lower=-1.0, upper=1.0, objective=1 / 3)
    height = made.add_variables("height", (), lower=-10.0, upper=10.0, objective=1.0)
    at = np.linspace(-1, 1, pieces)
    made.add_family("tangents", Tangents(int(x), int(height), 2 * at, -(at**2)))
    return made


@pytest.mark.parametrize(
    ("made", "value"),
    # the tangents at -0.17 and -0.16 meet at x = -0.165, their slopes are on either side of -1/3, the height is the product
    [(parabola(), 0.17 * 0.16 - 0.165 / 3), (diamond(), 12.0)],
    ids=["tangents", "signs"],
)
def test_lazy_constraints_and_the_full_program_agree(made: LinearProgram, value: float) -> None:
    told: list[Progress] = []
    cuts, full = solve(made, Options(progress=told.append)), solve(made.full())
    worse = -1 if made.sense == "max" else 1
    for result in (cuts, full):
        assert result.status is Status.OPTIMAL and result.x is not None
        assert 0 <= worse * (value - result.bound) <= 1e-9
        assert made.objective @ result.x[: made.columns] == pytest.approx(value, abs=1e-9)
    assert cuts.rounds > 1 == full.rounds
    assert cuts.violation <= FEASIBILITY
    assert len(cuts.rows) == len(cuts.dual_values)
    size, listed = made.size(full=True), made.full().size()
    assert size[:2] == listed[:2] and size[2] - 1 <= listed[2] <= size[2]  # the tangent at 0 has a zero
    name = next(iter(made.families))
    assert cuts.blocks[name].rows == len(cuts.rows) and cuts.blocks[name].worst <= FEASIBILITY
    assert [line.round for line in told] == list(range(1, cuts.rounds + 1))
    bounds = [line.upper for line in told]
    assert bounds == sorted(bounds, reverse=made.sense == "max")
    assert told[-1].violation <= FEASIBILITY < told[0].violation
    assert told[0].rows < told[-1].rows == len(cuts.rows)


def test_listing_leaves_the_program_as_it_was() -> None:
    made = diamond()
    before = made.size()
    listed = made.full()
    assert (made.size(), set(made.families), set(made.rows)) == (before, {"signs"}, set())
    assert (set(listed.rows), listed.families) == ({"above", "below", "total"}, {})
    assert listed.columns == 2 * made.columns == len(listed.objective) == len(listed.lower) == len(listed.upper)


def test_gap_stops_early_with_a_bound_that_holds() -> None:
    value = solve(parabola()).bound

    def height(x: Any) -> float:  # of the point's own x above all tangents: what a feasible point would cost
        family = parabola().families["tangents"]
        assert isinstance(family, Tangents)
        return float((family.slope * x[0] + family.level).max() + x[0] / 3)

    rough, fine = (solve(parabola(), Options(gap=gap), incumbent=height) for gap in (0.3, 1e-12))
    assert rough.rounds < fine.rounds
    assert rough.bound < value and fine.bound == pytest.approx(value, abs=1e-12)
    assert rough.x is not None and height(rough.x) - rough.bound <= 0.3


# Stops ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("made", "value"), [(parabola(), -0.0278), (diamond(), 12.0)], ids=["min", "max"])
@pytest.mark.parametrize("listed", [False, True])
def test_no_time_at_all(made: LinearProgram, value: float, listed: bool) -> None:
    result = solve(made.full() if listed else made, Options(time_limit=0))
    assert result.status is Status.TIME_LIMIT
    assert math.isfinite(result.bound)
    assert result.bound >= value if made.sense == "max" else result.bound <= value
    assert result.basis is None
    assert len(result.dual_values) == len(result.rows)


@pytest.mark.parametrize("when", [1, 2, 4])
def test_interrupted_between_rounds(when: int) -> None:
    def interrupt(line: Progress) -> None:
        if line.round == when:
            raise KeyboardInterrupt

    result = solve(diamond(), Options(progress=interrupt))
    assert (result.status, result.rounds, result.basis) == (Status.INTERRUPTED, when, None)
    assert result.x is not None and result.bound >= 12
    assert result.bound >= diamond().objective @ result.x - 1e-9
    assert len(result.dual_values) == len(result.rows)
    # and the engine is as good as new
    assert solve(diamond()).bound == pytest.approx(12, abs=1e-9)


def test_interrupted_while_judging_a_point() -> None:
    def interrupt(x: Any) -> float:
        raise KeyboardInterrupt

    result = solve(parabola(), Options(gap=1e-3), incumbent=interrupt)
    assert result.status is Status.INTERRUPTED
    assert math.isfinite(result.bound) and result.bound <= -0.0278


def test_other_exceptions_are_not_swallowed() -> None:
    def fail(line: Progress) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        solve(diamond(), Options(progress=fail))


@pytest.mark.parametrize("hair", [3e-9, 5e-8])
def test_rows_fail_by_no_more_than_said(hair: float) -> None:
    # the tangent found in round one fails by a hair, which a solver left to its own tolerances would overlook
    made = LinearProgram("min")
    x, height = (int(made.add_variables(name, (), upper=1.0, objective=float(name == "height"))) for name in ("x", "height"))
    made.add_family("tangents", Tangents(x, height, np.array([0.0, 0.0]), np.array([0.0, hair])))
    result = solve(made)
    assert (result.status, result.rounds) == (Status.OPTIMAL, 2)
    assert result.violation <= FEASIBILITY and result.x is not None and result.x[height] >= hair - FEASIBILITY


@pytest.mark.parametrize("threads", [1, 2, 1])
def test_threads(threads: int) -> None:
    result: LpResult = solve(diamond(), Options(threads=threads))
    assert result.status is Status.OPTIMAL
    assert result.bound == pytest.approx(12, abs=1e-9)


def test_impossible_options_are_refused() -> None:
    options: list[dict[str, Any]] = [{"threads": 0}, {"gap": -1.0}, {"gap": float("nan")}, {"time_limit": float("inf")}]
    for option in options:
        with pytest.raises(InstanceError, match=next(iter(option))):
            Options(**option)


def test_the_version_stated_is_the_solvers_own() -> None:
    made = ANSWERED[0].build()
    assert highs.Session(made, Rows.join([]), Options()).highs.version() == highs.VERSION
