"""Options, final status, and the clock of a solve, which tests move by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from optmarket.errors import InstanceError
from optmarket.options import Deadline, Options, Status


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("optmarket.options.time.perf_counter", lambda: now[0])
    return now


def test_a_deadline_counts_down_to_zero_and_not_below(clock: list[float]) -> None:
    deadline = Options(time_limit=3.0).deadline()
    assert (deadline.elapsed, deadline.remaining, deadline.passed) == (0, 3, False)
    clock[0] += 2.5
    assert (deadline.elapsed, deadline.remaining, deadline.passed) == (2.5, 0.5, False)
    clock[0] += 0.5
    assert (deadline.remaining, deadline.passed) == (0, True)
    clock[0] += 10
    assert (deadline.elapsed, deadline.remaining, deadline.passed) == (13, 0, True)


def test_without_a_limit_no_time_passes_it(clock: list[float]) -> None:
    deadline = Options().deadline()
    clock[0] += 1e9
    assert (deadline.elapsed, deadline.remaining, deadline.passed) == (1e9, None, False)


def test_no_time_at_all_has_passed_at_once(clock: list[float]) -> None:
    assert Deadline(0).passed and Deadline(0).remaining == 0


@pytest.mark.parametrize(
    ("status", "gap", "given", "final"),
    [
        (Status.OPTIMAL, 1e-6, {}, Status.OPTIMAL),
        (Status.OPTIMAL, 1.0001e-6, {}, Status.GAP),
        (Status.OPTIMAL, 0.01, {"gap": 0.01}, Status.OPTIMAL),
        (Status.OPTIMAL, 1e-7, {"gap": 0.0}, Status.GAP),
        (Status.GAP, 0.0, {}, Status.OPTIMAL),
        (Status.GAP, 0.1, {}, Status.GAP),
        (Status.TIME_LIMIT, 0.0, {}, Status.OPTIMAL),
        (Status.TIME_LIMIT, 0.1, {}, Status.TIME_LIMIT),
        (Status.TIME_LIMIT, 0.0, {"exact": True}, Status.TIME_LIMIT),
        (Status.INTERRUPTED, 0.0, {}, Status.INTERRUPTED),
        (Status.OPTIMAL, math.inf, {}, Status.GAP),
        (Status.OPTIMAL, math.nan, {}, Status.GAP),
    ],
)
def test_the_final_status_is_optimal_only_at_the_target_gap(status: Status, gap: float, given: Any, final: Status) -> None:
    assert Options(**given).final_status(status, gap) is final


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gap", -1e-9),
        ("gap", math.inf),
        ("gap", math.nan),
        ("time_limit", -1),
        ("time_limit", "1"),
        ("threads", 0),
        ("threads", 1.5),
    ],
)
def test_options_out_of_range_are_named(name: str, value: Any) -> None:
    with pytest.raises(InstanceError, match="must be a") as caught:
        Options(**{name: value})
    assert caught.value.field == name


def test_what_determines_the_answer_is_requested() -> None:
    assert Options(method="full", gap=0.1, time_limit=2, threads=3, exact=True, progress=print).requested() == {
        "method": "full",
        "gap": 0.1,
        "time_limit": 2,
        "exact": True,
    }
