"""Branch and bound against enumeration and a mixed-integer program; bounds that hold at any time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.data_users import covariance, random_market

from optmarket.arrays import BoolArray
from optmarket.models.data_externalities import Market, Params, solve
from optmarket.models.data_externalities import branch_and_bound as search
from optmarket.models.data_externalities.branch_and_bound import Boxes, Objective, maximise
from optmarket.models.data_externalities.leaks import shares_of
from optmarket.models.data_externalities.objectives import Gaussian, PlatformObjective, PlatformPayoff, Surplus
from optmarket.options import Options, Status
from optmarket.rationals import floats

KINDS = ["random", "singular", "scaled"]


def objectives(n: int, seed: int, kind: str = "random", most: float = 2.5):  # type: ignore[no-untyped-def]
    matrix, value = covariance(n, seed, kind), np.random.default_rng(seed + 1).uniform(0, most, n)
    return PlatformObjective(PlatformPayoff(matrix, value)), Surplus(Gaussian(matrix, value))


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 7), most=st.sampled_from([0.5, 2.5, 30.0]))
def test_the_search_finds_what_enumeration_finds(which: int, kind: str, seed: int, n: int, most: float) -> None:
    objective = objectives(n, seed, kind, most)[which]
    best = objective.value(shares_of(n)).max()
    options = Options()
    found = maximise(objective, np.zeros((1, n), dtype=bool), options, options.deadline())
    scale = objective.rounding + 1e-7 * abs(best)
    assert found.status is Status.OPTIMAL and found.upper >= best - objective.rounding
    assert best - scale <= found.value <= best + objective.rounding and found.upper <= best + 2 * scale


@pytest.mark.parametrize("which", [0, 1])
@settings(max_examples=150)
@given(data=st.data(), seed=st.integers(0, 10_000), kind=st.sampled_from(KINDS))
def test_a_bound_holds_in_every_box_and_no_better_profile_is_cut_off(
    which: int, data: st.DataObject, seed: int, kind: str
) -> None:
    n = 6
    objective = objectives(n, seed, kind)[which]
    state = np.array(data.draw(st.lists(st.sampled_from([0, 1, 2, 2]), min_size=n, max_size=n)))
    point = np.random.default_rng(seed).uniform(0, 1, (1, n))
    given = Boxes((state == 1)[None], (state != 0)[None], np.array([np.inf]), point, np.zeros(1, dtype=int))
    inside = shares_of(n)[((shares_of(n) >= given.low) & (shares_of(n) <= given.high)).all(axis=1)]
    values = objective.value(inside)
    incumbent = float(np.median(values)) if seed % 2 else float(values.max() - 1e-6 * np.ptp(values))
    found = objective.bounded(given, incumbent)
    if which == 0:  # users of low value are made to share, without loss
        low_share = ((objective.payoff.value <= 1) & given.high[0])[None]
        assert (found.low | ~low_share).all()
    assert found.upper[0] >= values.max() - objective.rounding
    left = ((inside >= found.low) & (inside <= found.high)).all(axis=1)
    if values.max() > incumbent + 2 * objective.rounding:
        assert left.any() and values[left].max() >= values.max() - objective.rounding
    if (found.low != found.high).any():
        assert found.low[0, found.branch[0]] != found.high[0, found.branch[0]]


@pytest.mark.parametrize("kind", ["factor", "block", "toeplitz", "random"])
def test_all_methods_agree(kind: str) -> None:
    value = [str(one) for one in np.random.default_rng(4).uniform(0, 2.5, 9).round(3)]
    market = Market.of(Params.model_validate({"generator": {"name": kind, "n": 9, "seed": 2}, "privacy_value": value}))
    answers = [solve(market, Options(method=method)) for method in ("enumeration", "branch-and-bound", "milp")]
    for other in answers[1:]:
        for name in ("platform-payoff", "surplus", "first-best", "total-price"):
            assert other.quantities[name] == pytest.approx(answers[0].quantities[name], abs=1e-6)
        assert other.certificate.gap <= 1e-6  # type: ignore[union-attr]


def no_search(objective: Objective, starts: BoolArray) -> BoolArray:
    """In place of the local search: the best of the profiles themselves."""
    best: BoolArray = starts[objective.value(starts).argmax()]
    return best


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("seed", range(12))
def test_the_search_needs_no_good_start(which: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "improved", no_search)
    objective = objectives(9, seed, KINDS[seed % 3])[which]
    best = objective.value(shares_of(9)).max()
    found = maximise(objective, np.zeros((1, 9), dtype=bool), Options(), Options().deadline())
    assert found.value == pytest.approx(best, rel=1e-6, abs=objective.rounding)


def test_a_time_limit_and_ctrl_c_leave_bounds_that_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    objective, _ = objectives(16, 3)
    start = np.zeros((1, 16), dtype=bool)
    best = maximise(objective, start, Options(), Options().deadline())
    monkeypatch.setattr(search, "improved", no_search)
    late = Options(time_limit=0.0)
    found = maximise(objective, start, late, late.deadline())
    assert found.status is Status.TIME_LIMIT and found.value < best.value <= found.upper

    calls = 0
    right = PlatformObjective.bounded

    def interrupted(self: PlatformObjective, boxes: Boxes, incumbent: float) -> Boxes:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return right(self, boxes, incumbent)

    monkeypatch.setattr(PlatformObjective, "bounded", interrupted)
    monkeypatch.setattr(search, "BATCH", 1)
    found = maximise(objective, start, Options(), Options().deadline())
    assert found.status is Status.INTERRUPTED and found.value <= best.value <= found.upper


def test_progress_reports_bounds_that_close_in() -> None:
    objective, _ = objectives(16, 5)
    seen: list[tuple[float, float]] = []
    best = maximise(
        objective,
        np.zeros((1, 16), dtype=bool),
        Options(),
        Options().deadline(),
        lambda one: seen.append((one.lower or 0.0, one.upper)),
    )
    assert seen and all(low <= best.value + 1e-9 and best.value - 1e-9 <= high for low, high in seen)
    assert all(after[1] <= before[1] + 1e-12 for before, after in itertools.pairwise(seen))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["factor", "block", "toeplitz", "random"])
def test_forty_users_are_proved(kind: str) -> None:
    value = [str(one) for one in np.random.default_rng(6).uniform(0, 2.5, 40).round(3)]
    answer = solve(
        Market.of(Params.model_validate({"generator": {"name": kind, "n": 40, "seed": 3}, "privacy_value": value})),
        Options(time_limit=200.0),
    )
    assert answer.status is Status.OPTIMAL and answer.certificate.gap <= 1e-6  # type: ignore[union-attr]


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("seed", range(6))
def test_what_one_user_s_change_brings_is_what_the_profile_does(which: int, seed: int) -> None:
    objective = objectives(7, seed, KINDS[seed % 2])[which]
    for shares in shares_of(7)[:: 17 + seed]:
        near = shares ^ np.eye(7, dtype=bool)
        np.testing.assert_allclose(objective.flipped(shares), objective.value(near), atol=1e3 * objective.rounding)


@pytest.mark.parametrize("seed", range(4))
def test_the_exact_value_of_a_profile_is_what_the_search_computes(seed: int) -> None:
    market = random_market(6, seed)
    payoff = PlatformPayoff(floats(market.leaks.parts[0][1]), floats(market.value))  # type: ignore[union-attr]
    np.testing.assert_allclose(payoff.value_at(shares_of(6)), floats(market.profiles.platform), atol=1e-10)
