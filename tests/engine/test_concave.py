"""Concave majorants and ironing against their definitions: nothing lower lies above, and nothing nearer is nondecreasing."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from optmarket.modeling.concave import concave_majorant, interpolated, iron, majorant_of_steps

number = st.fractions(-5, 5, max_denominator=12)
points = st.lists(st.tuples(number, number), min_size=1, max_size=8)


def slopes(breaks: list[tuple[Fraction, Fraction]]) -> list[Fraction]:
    return [(d - b) / (c - a) for (a, b), (c, d) in itertools.pairwise(breaks)]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(points)
def test_the_majorant_is_the_least_concave_function_above_the_points(given_points: list[tuple[Fraction, Fraction]]) -> None:
    breaks = concave_majorant(given_points)
    # it breaks at points only, so nothing concave above them is lower; its slopes fall, strictly: no break is idle
    assert set(breaks) <= set(given_points)
    assert all(after < before for before, after in zip(slopes(breaks), slopes(breaks)[1:], strict=False))
    assert (breaks[0][0], breaks[-1][0]) == (min(x for x, _ in given_points), max(x for x, _ in given_points))
    if len(breaks) > 1:
        assert all(interpolated(breaks, x) >= y for x, y in given_points)
    else:
        assert breaks[0][1] == max(y for _, y in given_points)


def test_interpolation_between_and_at_break_points() -> None:
    breaks = [(Fraction(0), Fraction(0)), (Fraction(1), Fraction(3)), (Fraction(3), Fraction(4))]
    assert [interpolated(breaks, Fraction(x, 2)) for x in (0, 1, 2, 4, 6)] == [0, Fraction(3, 2), 3, Fraction(7, 2), 4]


def exactly(values: list[Fraction]) -> np.ndarray:
    return np.array(values, dtype=object)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.tuples(number, st.fractions(Fraction(1, 12), 5, max_denominator=12)), min_size=1, max_size=8))
def test_ironing_is_the_nearest_nondecreasing_sequence(entries: list[tuple[Fraction, Fraction]]) -> None:
    raw, weight = (exactly(list(column)) for column in zip(*entries, strict=True))
    ironed = iron(raw, weight)
    assert all(after >= before for before, after in itertools.pairwise(ironed))
    # the weighted mean of each ironed interval is kept, exactly
    for level in set(ironed):
        inside = ironed == level
        assert (raw[inside] * weight[inside]).sum() == level * weight[inside].sum()
    second = isotonic_regression(raw.astype(float), weights=weight.astype(float)).x
    np.testing.assert_allclose(ironed.astype(float), second, atol=1e-12)


@pytest.mark.parametrize("raw", [[3, 2, 1], [1, 1, 1], [1, 2, 3], [2, 2, 1]])
def test_ironing_keeps_exact_numbers(raw: list[int]) -> None:
    ironed = iron(exactly([Fraction(x) for x in raw]), exactly([Fraction(1)] * 3))
    assert all(isinstance(level, Fraction) for level in ironed)
    assert ironed.sum() == sum(raw)


@settings(max_examples=500, deadline=None, derandomize=True)
@example([(0, 1), (0, -1), (1, 0)])
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(-6, 6)), min_size=1, max_size=8))
def test_the_majorant_of_steps_is_that_of_their_corners(steps: list[tuple[int, int]]) -> None:
    width, rise = (np.array(column, dtype=float) for column in zip(*steps, strict=True))
    found_width, found_rise, first = majorant_of_steps(width, rise)
    starts = [*first.tolist(), len(width)]
    assert starts == sorted(set(starts)) and starts[0] == 0
    for piece, (here, after) in enumerate(itertools.pairwise(starts)):
        assert (width[here:after].sum(), rise[here:after].sum()) == (found_width[piece], found_rise[piece])
    # The curve starts in the origin and ends in its last corner; a jump at either end is a piece of its own.
    corners = [(0, 0), *zip(*(itertools.accumulate(column) for column in zip(*steps, strict=True)), strict=True)]
    expected = [(0, 0), *concave_majorant(corners), corners[-1]]
    found = [(0, 0), *zip(np.cumsum(found_width).tolist(), np.cumsum(found_rise).tolist(), strict=True)]
    assert [corner for corner, _ in itertools.groupby(found)] == [corner for corner, _ in itertools.groupby(expected)]


def test_a_narrow_steep_step_is_not_lost_among_wide_flat_ones() -> None:
    width, rise = np.array([1.0, 1e-200, 1.0]), np.array([1.0, 1e-150, 1e-30])
    found_width, found_rise, first = majorant_of_steps(width, rise)
    assert found_width.tolist() == [1.0, 1.0] and found_rise.tolist() == [1.0, 1e-30] and first.tolist() == [0, 2]
