"""Exact numbers: what is read, what is refused, and that nothing is lost on the way to JSON and to floats."""

from __future__ import annotations

import json
import math
import tracemalloc
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from optmarket.rationals import Exact, NonnegativeExact, PositiveExact, exact, floats, shown, to_one

fractions = st.fractions(min_value=-(10**6), max_value=10**6)


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1/3", Fraction(1, 3)),
        ("-1/3", Fraction(-1, 3)),
        (" 1/3 ", Fraction(1, 3)),
        ("1 / 3", Fraction(1, 3)),
        ("2/6", Fraction(1, 3)),
        ("0.25", Fraction(1, 4)),
        (".5", Fraction(1, 2)),
        ("1e-3", Fraction(1, 1000)),
        ("-1.5E2", Fraction(-150)),
        ("+7", Fraction(7)),
        ("-0", Fraction(0)),
        (3, Fraction(3)),
        (Fraction(2, 7), Fraction(2, 7)),
        (Decimal("0.1"), Fraction(1, 10)),
        (0.1, Fraction(1, 10)),  # the decimal that was typed, not the binary number that stands for it
        (np.float64(0.1), Fraction(1, 10)),
        (np.int64(-4), Fraction(-4)),
        ("1e308", Fraction(10**308)),
        ("5e-324", Fraction(5, 10**324)),
        ("0e999999999", Fraction(0)),
    ],
)
def test_exact_reads(written: object, number: Fraction) -> None:
    read = exact(written)
    assert read == number
    assert type(read) is Fraction


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("1/0", "is '1/0', a division by zero"),
        ("0/0", "division by zero"),
        ("abc", "is 'abc'; a number is written 0.25, 1e-3 or \"1/3\""),
        ("", "is ''; a number is written"),
        ("1/3/5", "a number is written"),
        ("1/-3", "a number is written"),
        ("0.5/2", "a number is written"),
        ("1_000", "a number is written"),
        ("0x10", "a number is written"),
        ("1,5", "a number is written"),
        ("٣", "a number is written"),
        ("nan", "must be finite"),
        ("-Infinity", "must be finite"),
        (math.nan, "is nan; must be finite"),
        (-math.inf, "is -inf; must be finite"),
        (Decimal("sNaN"), "must be finite"),
        (True, "is true; a number is written"),
        (np.False_, "is false; a number is written"),
        (None, "is null; a number is written"),
        ([1, 2], "is a list; a number is written"),
        ({"a": 1}, "is a table; a number is written"),
        (1j, "is of type complex; a number is written"),
        ("1.8e308", "must fit a double"),
        ("1e400", "is '1e400'; must fit a double"),
        ("1e-400", "is '1e-400'; must fit a double"),
        (Decimal("-1e400"), "is -1e\\+400; must fit a double"),
        pytest.param(10**5000, "is 1e\\+5000; must fit a double", id="huge integer"),
        pytest.param(Fraction(1, 10**5000), "is 1e-5000; must fit a double", id="tiny fraction"),
        pytest.param("1/1" + "0" * 400, "must fit a double", id="tiny ratio"),
    ],
)
def test_exact_refuses(written: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        exact(written)


@pytest.mark.parametrize("written", ["1e999999999", "-1e-999999999", "1e" + "9" * 30, "1" * 10**6, "1/" + "3" * 10**6], ids=len)
def test_exact_refuses_the_absurd_before_it_makes_it_and_in_few_words(written: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as refusal:
            exact(written)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 * len(written) + 100_000  # made, the numbers with exponents would take hundreds of megabytes
    assert len(str(refusal.value)) < 150


@given(fractions)
def test_a_fraction_written_is_the_fraction_read(number: Fraction) -> None:
    assert exact(str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_read_is_the_float_written(number: float) -> None:
    assert float(exact(number)) == number
    assert exact(number) == exact(repr(number))


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-1000, max_value=1000, places=12))
def test_a_decimal_is_read_to_its_last_digit(number: Decimal) -> None:
    assert exact(number) == exact(str(number)) == Fraction(number)


class Numbers(BaseModel):
    any: Exact = Fraction(0)
    nonnegative: NonnegativeExact = Fraction(0)
    positive: PositiveExact = Fraction(1)
    many: tuple[tuple[Exact, ...], ...] = ()


def test_fields_are_dumped_as_canonical_text_and_read_back() -> None:
    numbers = Numbers.model_validate({"any": "-2/6", "positive": Decimal("2.0"), "many": [[0.25, 3]]})
    assert numbers.any == Fraction(-1, 3)
    dumped = numbers.model_dump(mode="json")
    assert dumped == {"any": "-1/3", "nonnegative": "0", "positive": "2", "many": [["1/4", "3"]]}
    assert Numbers.model_validate(json.loads(json.dumps(dumped))) == numbers
    assert numbers.many == ((Fraction(1, 4), Fraction(3)),)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"nonnegative": "-1/2"}, "is -1/2; must be at least 0"),
        ({"positive": 0}, "is 0; must be above 0"),
        ({"positive": "-1"}, "is -1; must be above 0"),
        ({"any": "1/0"}, "division by zero"),
        ({"positive": "x"}, "a number is written"),
    ],
)
def test_fields_refuse(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Numbers.model_validate(given)


def test_to_one_leaves_an_exact_sum_alone() -> None:
    thirds = [Fraction(1, 3)] * 3
    assert to_one(thirds, "weights") == (thirds, 0)


@pytest.mark.parametrize(("entry", "distance"), [("0.3333333333", 1e-10), ("0.33333333366666666666", 1e-9)])
def test_to_one_divides_by_a_sum_that_is_nearly_one_and_says_by_how_much_it_missed(entry: str, distance: float) -> None:
    values, missed = to_one([exact(entry)] * 3, "weights")
    assert sum(values) == 1
    assert values == [Fraction(1, 3)] * 3
    assert float(missed) == pytest.approx(distance)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["6/10", "1/2"], "weights sum to 11/10; must sum to 1"),
        ([], "weights sum to 0; must sum to 1"),
        (["1", "0.0000000010000001"], "weights sum to 1.000000001; must sum to 1"),
        (["1", "-0.0000000010000001"], "weights sum to 0.999999999; must sum to 1"),
        (["1/3", "1/7919", "1/7907", "1/7901"], "weights sum to 0.333712648378; must sum to 1"),
    ],
)
def test_to_one_refuses_other_sums(values: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        to_one([exact(value) for value in values], "weights")
    assert len(str(refusal.value)) < 60


@given(st.lists(st.fractions(min_value=0, max_value=100), min_size=1, max_size=8).filter(any))
def test_to_one_gives_shares_back_unchanged(parts: list[Fraction]) -> None:
    shares = [part / sum(parts) for part in parts]
    assert to_one(shares, "shares") == (shares, 0)


@given(st.lists(st.lists(fractions, min_size=2, max_size=2), min_size=1, max_size=5))
def test_floats_are_the_nearest_doubles(rows: list[list[Fraction]]) -> None:
    array = floats(rows)
    assert array.dtype == np.float64
    assert array.shape == (len(rows), 2)
    for row, numbers in zip(array, rows, strict=True):
        for near, number in zip(row.tolist(), numbers, strict=True):
            neighbours = (math.nextafter(near, -math.inf), math.nextafter(near, math.inf))
            assert all(abs(Fraction(near) - number) <= abs(Fraction(other) - number) for other in neighbours)


def test_floats_takes_scalars_object_arrays_and_nothing() -> None:
    assert floats(Fraction(1, 3)).shape == ()
    assert floats(np.array([Fraction(1, 2), 1], dtype=object)).tolist() == [0.5, 1.0]
    assert floats(()).shape == (0,)
    with pytest.raises(ValueError):
        floats([[Fraction(1)], [Fraction(1), Fraction(2)]])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Fraction(-1, 3), "-1/3"),
        (Fraction(1, 3 * 10**12), "3.33333333333e-13"),
        (10**30, "1e+30"),
        (Decimal("1E-7"), "1e-7"),
        ("x" * 100, "'" + "x" * 37 + "...'"),
        ((1, 2), "a list"),
        (np.zeros(3), "a list"),
        (object(), "of type object"),
    ],
)
def test_shown_is_short(value: object, words: str) -> None:
    assert shown(value) == words
