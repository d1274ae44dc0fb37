"""Linear programs as they are built: rows, blocks, names, shapes and sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support.small_programs import SignRows, diamond, matrix

from optmarket.errors import ModelError, SolverError
from optmarket.lp import program
from optmarket.lp.highs import solve
from optmarket.lp.program import LinearProgram, Rows

INF = math.inf

# Building -------------------------------------------------------------------------------------------------------------

third = Fraction(1, 3)


def fractions(*values: Any) -> Any:
    return np.array([Fraction(v) for v in values], dtype=object)


def test_dense_drops_zeros_and_spreads_bounds() -> None:
    index = np.array([[2, 0, 1], [1, 2, 0]])
    rows = Rows.dense(index, np.array([[1.0, 0.0, 3.0], [0.0, 0.0, -2.0]]), 0.5, np.array([1.0, INF]))
    assert rows.start.tolist() == [0, 2, 3]
    assert rows.index.tolist() == [2, 1, 0]
    assert rows.value.tolist() == [1, 3, -2]
    assert (rows.lower.tolist(), rows.upper.tolist()) == ([0.5, 0.5], [1, INF])
    assert rows.owner().tolist() == [0, 0, 1]
    assert rows.activity(np.array([5.0, 7.0, 11.0])).tolist() == [11 + 21, -10]
    assert rows.violation(np.array([5.0, 7.0, 11.0])).tolist() == [31, 10.5]
    assert rows.violation(np.array([-1.0, 0.0, 1.0])).tolist() == [0, 0]


def test_rows_of_fractions_stay_fractions() -> None:
    value = np.array([[third, Fraction(0)], [Fraction(1), -third]], dtype=object)
    rows = Rows.dense(np.array([[0, 1], [0, 1]]), value, 0.5, INF)
    assert rows.value.tolist() == [third, 1, -third]
    assert rows.lower.tolist() == [Fraction(1, 2)] * 2 and all(isinstance(low, Fraction) for low in rows.lower)
    assert rows.upper.tolist() == [INF, INF]
    x = fractions("1/7", "2/7")
    assert rows.activity(x).tolist() == [Fraction(1, 21), Fraction(1, 21)]
    assert rows.violation(x).tolist() == [Fraction(19, 42), Fraction(19, 42)]
    assert rows.violation(fractions(30, 0)).tolist() == [0, 0]


def test_join_and_take() -> None:
    first = Rows.dense(np.array([[0, 1]]), fractions(1, 0)[None], -INF, Fraction(2))
    second = Rows.dense(np.array([[1, 2], [0, 2]]), np.array([fractions(3, third), fractions(0, 0)]), Fraction(1), Fraction(1))
    joined = Rows.join([first, Rows.join([]), second])
    assert joined.start.tolist() == [0, 1, 3, 3]
    assert joined.index.tolist() == [0, 1, 2]
    assert joined.value.tolist() == [1, 3, third]
    assert (joined.lower.tolist(), joined.upper.tolist()) == ([-INF, 1, 1], [2, 1, 1])
    x = fractions(1, 2, 3)
    assert joined.activity(x).tolist() == [1, 7, 0]
    taken = joined.take(np.array([2, 1, 1]))
    assert (taken.start.tolist(), taken.index.tolist(), taken.value.tolist()) == ([0, 0, 2, 4], [1, 2, 1, 2], [3, third] * 2)
    assert taken.violation(x).tolist() == [1, 6, 6]
    assert len(joined.take(np.array([], dtype=int))) == 0
    assert Rows.join([second]) is second
    assert len(Rows.join([])) == 0 and Rows.join([]).violation(np.ones(3)).tolist() == []


def test_float_and_exact_blocks_join_exactly() -> None:
    made = LinearProgram()
    made.add_variables("float", (2,), lower=-INF, upper=0.5)
    made.add_variables("exact", (1, 2), upper=fractions(third, 1)[None], objective=third)
    assert made.upper.tolist() == [Fraction(1, 2), Fraction(1, 2), third, 1]
    assert all(isinstance(value, Fraction) for value in made.objective)
    assert made.lower.tolist() == [-INF, -INF, 0, 0]
    assert made.variables["exact"].tolist() == [[2, 3]]
    assert made.size() == (0, 4, 0)


def test_names_are_used_once() -> None:
    made = diamond()
    with pytest.raises(ModelError, match="variables 'x' already"):
        made.add_variables("x", (1,))
    row = matrix([[1.0]], [0.0], [1.0])
    made.add_rows("mine", row)
    for name in ("mine", "signs"):
        with pytest.raises(ModelError, match=f"rows '{name}' already"):
            made.add_rows(name, row)
        with pytest.raises(ModelError, match=f"rows '{name}' already"):
            made.add_family(name, SignRows(made.variables["x"]))
    assert (made.columns, set(made.rows), set(made.families)) == (12, {"mine"}, {"signs"})


@pytest.mark.parametrize("part", ["lower", "upper", "objective"])
def test_shapes_must_agree(part: str) -> None:
    made = LinearProgram()
    wrong: dict[str, Any] = {part: np.zeros(3)}
    with pytest.raises(ModelError, match=rf"'x' have shape \(2, 3\), their {part} has \(3,\)"):
        made.add_variables("x", (2, 3), **wrong)
    assert made.columns == 0


def test_columns_must_exist() -> None:
    made = LinearProgram()
    made.add_variables("x", (2,))
    with pytest.raises(ModelError, match="'r' name column 2; the program has 2"):
        made.add_rows("r", Rows.dense(np.array([[0, 2]]), np.ones((1, 2)), 0.0, 1.0))
    with pytest.raises(ModelError, match="'r' name column"):
        made.add_rows("r", Rows.dense(np.array([[0, -1]]), np.ones((1, 2)), 0.0, 1.0))
    made.add_rows("r", Rows.dense(np.array([[0, 2]]), np.array([[1.0, 0.0]]), 0.0, 1.0))  # zero times no column


@pytest.mark.parametrize(
    ("start", "index", "lower"), [([0, 1], [0], [0.0, 0.0]), ([0, 2], [0], [0.0]), ([0, 1], [0, 1], [0.0]), ([], [], [])]
)
def test_rows_must_fit_together(start: list[int], index: list[int], lower: list[float]) -> None:
    value, bound = np.ones(len(index)), np.array(lower)
    with pytest.raises(ModelError, match="rows have"):
        Rows(np.array(start, dtype=int), np.array(index, dtype=int), value, bound, bound)


def test_a_column_twice_in_a_row_is_refused() -> None:
    made = LinearProgram()
    made.add_variables("x", (2,), upper=1.0)
    made.add_rows("r", Rows.dense(np.array([[1, 1]]), np.ones((1, 2)), 0.0, 1.0))
    with pytest.raises(SolverError):
        solve(made)


def test_a_program_too_large_is_refused_before_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Huge(SignRows):
        def size(self) -> tuple[int, int, int]:
            return 3_000_000, 1_000_000, 20_000_000

        def add_all(self, made: LinearProgram) -> None:
            raise AssertionError("built all the same")

    monkeypatch.setattr(program, "memory_limit", lambda: 2**30)
    made = LinearProgram()
    made.add_family("huge", Huge(made.add_variables("x", (5,), upper=1.0)))
    with pytest.raises(ModelError) as caught:
        made.full()
    for said in ("3,000,000 rows", "1,000,005 columns", "20,000,000 non-zeros", "limit is 1.0 GiB"):
        assert said in str(caught.value)
    program.check_memory(3_000, 1_000, 20_000, "a small one")  # and only then


def test_the_memory_limit_is_this_machines() -> None:
    assert 2**28 <= program.memory_limit() <= 2**50
