"""Searches for menus of few items: what they enumerate, that steps only gain, and what holds when they are stopped."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from support import one_buyer as model
from support.limited_menus import SEARCHES, answered, at, best
from support.paths import INSTANCES
from support.plain_markets import Case

from optmarket.lp import highs
from optmarket.models.selling_information import Market
from optmarket.models.selling_information.limited import branch_and_bound as search
from optmarket.models.selling_information.limited import local_search as local
from optmarket.models.selling_information.limited.assignment_lp import Buyers, assigned, cells, grouped
from optmarket.models.selling_information.posting import posted_menu
from optmarket.options import Options, Progress, Status

HOME = INSTANCES / "selling-information"


# Parts --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [case for case, _ in SEARCHES[::2]])
def test_whatever_buyers_do_at_some_belief_is_a_cell(case: Case) -> None:
    market = Market.of(case.params())
    buyers = Buyers.of(market)
    found = cells(buyers, 10**6, lambda: None)
    assert found is not None
    beliefs = np.random.default_rng(0).dirichlet(np.full(len(case.states), 0.5), 2000).T
    _, reply = buyers.values(beliefs, np.ones(beliefs.shape[1], dtype=np.int64))
    assert {tuple(row) for row in reply.T} <= {tuple(row) for row in found}
    if len(case.states) == 2:
        agents = buyers.product.shape[0] * buyers.product.shape[2]
        assert len(found) <= agents * (len(case.actions) - 1) + 1 + 2 * agents  # ends of the interval are cells of a point
    assert cells(buyers, len(found) - 1, lambda: None) is None


def test_lazy_constraints_and_the_full_program_give_the_same() -> None:
    rng = np.random.default_rng(1)
    for case, _ in SEARCHES:
        buyers = Buyers.of(Market.of(case.params()))
        found = cells(buyers, 10**6, lambda: None)
        assert found is not None
        for _ in range(4):
            place = rng.integers(-1, 3, len(buyers.weight))
            place[rng.integers(len(place))] = 0
            program = grouped(buyers, assigned(place, found))
            listed = program.full()
            rows, columns, nonzeros = listed.size()
            most = program.size(full=True)
            assert (rows, columns) == most[:2]
            assert nonzeros <= most[2]
            assert highs.solve(program).bound == pytest.approx(highs.solve(listed).bound, abs=1e-8)


def test_local_search_never_exceeds_the_optimum_and_mostly_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [answered(number).quantities["revenue"] for number in range(len(SEARCHES))]
    monkeypatch.setattr(search, "MAX_TYPES", 0)
    found = 0
    for (case, most), value in zip(SEARCHES, values, strict=True):
        answer = best(case, most)
        assert (answer.method, answer.status) == ("local search", Status.GAP)
        assert answer.notes == (
            f"heuristic: the best menu of at most {most} items found; the upper bound is that of menus of any size",
        )
        assert answer.certificate.upper == pytest.approx(answer.quantities["unrestricted-revenue"], abs=1e-8)
        assert answer.quantities["revenue"] <= value + 1e-9
        found += answer.quantities["revenue"] >= value - 1e-9
    assert found >= 15, f"{found} of {len(values)}"


def test_moving_single_types_finds_it_always(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [answered(number).quantities["revenue"] for number in range(0, len(SEARCHES), 2)]
    monkeypatch.setattr(search, "MAX_NODES", 0)
    found = [best(case, most).quantities["revenue"] for case, most in SEARCHES[::2]]
    assert found == pytest.approx(values, abs=1e-9)


@pytest.mark.parametrize("number", range(0, len(SEARCHES), 2))
def test_steps_of_the_local_search_only_gain(number: int) -> None:
    case = SEARCHES[number][0]
    buyers = Buyers.of(Market.of(case.params()))
    rng = np.random.default_rng(number)
    signals = rng.dirichlet(np.ones(3), (6, len(case.states)))
    pool = local.Draft(tuple(signals), np.append(buyers.worth.max() * 0.8, rng.uniform(0, 0.5, 6) * buyers.worth.max()))
    value = pool.values(buyers)

    def earned(items: list[int]) -> float:
        return local.revenue(buyers, value[:, items], pool.price[items])

    sold = [0, *sorted({*local.places(buyers, value, pool.price).tolist()} - {-1, 0})]
    assert earned(sold) == pytest.approx(earned([*range(7)]), abs=1e-12)
    if len(sold) > 1:
        fewer = local.worth_keeping(buyers, pool, len(sold) - 1).tolist()
        assert earned(fewer) >= max(earned([*sold[:k], *sold[k + 1 :]]) for k in range(1, len(sold))) - 1e-12
    for most in (2, 3):
        draft = local.shortened(buyers, pool, most)
        better = local.exchanged(buyers, draft, pool, value, most)
        assert len(better.price) <= most
        before = local.revenue(buyers, draft.values(buyers), draft.price)
        after = local.revenue(buyers, better.values(buyers), better.price)
        assert after >= before - 1e-12
        for item in range(1, 7):  # no single exchange at the draft's prices is left
            for place in range(1, len(better.price)):
                other = better.values(buyers)
                other[:, place] = value[:, item]
                assert local.revenue(buyers, other, better.price) <= after + 1e-9


def test_what_nobody_buys_is_not_posted() -> None:
    market = Market.of(at("two-types", 2))
    items = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [0.5, 0.5]], [[0.9, 0.1], [0.1, 0.9]]])
    menu, revenue = posted_menu(market, items, np.array([0.25, 0.1, 0.24]))
    assert menu.experiment.tolist() == [[[1, 0], [0, 1]]]
    assert menu.price == pytest.approx([0.25], abs=1e-11)
    assert 0.25 - 1e-11 <= revenue < 0.25


def test_two_items_of_a_thousand_types() -> None:
    one = model.solve(at("setting-b-grid-1000", 1))
    assert one.quantities["revenue"] == pytest.approx(0.15508133829298338, abs=1e-15)
    two = model.solve(at("setting-b-grid-1000", 2))
    assert two.status is Status.OPTIMAL
    assert len(two.mechanism["items"]) == 2
    assert two.quantities["loss"] <= 1e-9


# Stopped ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, TimeoutError])
@pytest.mark.parametrize("after", [0, 11])
def test_bounds_hold_when_it_is_stopped(monkeypatch: pytest.MonkeyPatch, error: type[BaseException], after: int) -> None:
    case, most = SEARCHES[2]
    value = answered(2).quantities["revenue"]
    bound, calls = search.Search._bound, itertools.count()

    def stopping(*arguments: Any) -> float:
        if next(calls) == after:
            raise error
        return bound(*arguments)

    monkeypatch.setattr(search.Search, "_bound", stopping)
    answer = best(case, most)
    assert answer.status is (Status.INTERRUPTED if error is KeyboardInterrupt else Status.TIME_LIMIT)
    assert answer.run.nodes == after
    assert answer.certificate.lower <= value <= answer.certificate.upper
    assert answer.certificate.upper > value + 1e-6
    assert answer.notes[0].startswith("heuristic: ")


def test_nodes_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    case, most = SEARCHES[2]
    value = answered(2).quantities["revenue"]
    uppers = []
    for nodes in (1, 10, 24):
        monkeypatch.setattr(search, "MAX_NODES", nodes)
        answer = best(case, most)
        assert answer.status is Status.GAP
        assert answer.notes[0].endswith(f"the upper bound is that of branch and bound after {answer.run.nodes} nodes")
        assert answer.certificate.upper >= value
        uppers.append(answer.certificate.upper)
    assert uppers == sorted(uppers, reverse=True)
    assert uppers[-1] < uppers[0]


def test_no_time_at_all() -> None:
    case, most = SEARCHES[2]
    answer = best(case, most, Options(time_limit=0))
    assert answer.status is Status.TIME_LIMIT
    assert 0 < answer.certificate.lower < answered(2).quantities["revenue"] < answer.certificate.upper


def test_a_wide_gap_ends_it_sooner() -> None:
    case, most = SEARCHES[2]
    answer = best(case, most, Options(gap=0.5))
    assert (answer.status, answer.run.nodes) == (Status.OPTIMAL, 0)
    assert answer.certificate.gap <= 0.5


def test_progress_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "TOLD", 1)
    told: list[Progress] = []
    case, most = SEARCHES[2]
    answer = best(case, most, Options(progress=told.append))
    nodes = answer.run.nodes
    assert nodes is not None
    told = told[-nodes:]
    assert [now.round for now in told] == list(range(1, nodes + 1))
    assert all(now.upper >= answer.certificate.lower for now in told)
