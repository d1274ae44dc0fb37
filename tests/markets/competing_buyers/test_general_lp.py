"""The general program of competing buyers: known values, and the same program written another way."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any, get_args

import numpy as np
import pytest
from scipy.optimize import linprog
from support.competing_markets import (
    INCENTIVES,
    finite_market,
    judge,
    of_values,
    on_a_line,
    optimum,
    proof,
    random_market,
)

from optmarket.errors import ModelError
from optmarket.lp.program import Rows
from optmarket.models.competing_buyers.market import FiniteTypes
from optmarket.models.competing_buyers.mechanism_tables import tables_of
from optmarket.models.competing_buyers.mechanisms.by_profile import ProfileMechanism
from optmarket.models.competing_buyers.solvers import general_lp
from optmarket.options import Options, Status

QUARTERS = ["1/4", "1/2", "3/4", 1]


KNOWN: dict[str, tuple[FiniteTypes, general_lp.Deviations, str]] = {
    "beliefs, joint (002-04)": (on_a_line(4, 2, "bayesian"), "double", "53/24"),
    "beliefs, separate (002-04)": (on_a_line(4, 2, "bayesian"), "separate", "9/4"),
    "beliefs, ex post, joint (002-04)": (on_a_line(3, "1/2", "ex-post"), "double", "29/54"),
    "beliefs, ex post, separate (002-04)": (on_a_line(3, "1/2", "ex-post"), "separate", "16/27"),
    "own belief (002-19)": (on_a_line(4, "1/2", "bayesian"), "double", "21/32"),
    "other belief (002-19)": (on_a_line(4, "1/2", "bayesian", externality_belief="other"), "double", "7/16"),
    "other belief, ex post": (on_a_line(4, "1/2", "ex-post", externality_belief="other"), "double", "7/16"),
    "no externality (002-52)": (of_values([1, 2], 0, "ex-post"), "double", "1"),
    "some externality (002-52)": (of_values([1, 2], "1/2", "ex-post"), "double", "5/4"),
    "threat (002-52)": (of_values([1, 2], 2, "ex-post"), "double", "5/2"),
    "three buyers (002-53)": (of_values(QUARTERS, 1, "ex-post", buyers=3), "double", "51/64"),
}


@pytest.mark.parametrize("case", KNOWN)
def test_known_values(case: str) -> None:
    given, deviations, value = KNOWN[case]
    exact = float(Fraction(value))
    assert optimum(general_lp.build(given, deviations=deviations)) == pytest.approx(exact, abs=1e-9)
    if deviations == "double":
        answer = general_lp.solve(given, Options())
        assert answer.status is Status.OPTIMAL
        assert proof(answer).lower <= exact <= proof(answer).upper
        assert proof(answer).gap < 1e-8
        judged = judge(given, answer.mechanism.to_json())
        assert judged.good
        assert judged.quantities == pytest.approx(answer.quantities, abs=1e-12)
        assert judged.quantities["revenue"] == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("case", ["beliefs, joint (002-04)", "beliefs, ex post, joint (002-04)", "threat (002-52)"])
def test_proved_in_rationals(case: str) -> None:
    given, _, value = KNOWN[case]
    answer = general_lp.solve(given, Options(exact=True))
    assert (answer.status, answer.exact) == (Status.OPTIMAL, Fraction(value))
    assert proof(answer).lower <= Fraction(value) <= proof(answer).upper
    assert proof(answer).gap < 1e-15
    assert judge(given, answer.mechanism.to_json()).worst < 1e-12


def test_payments_below_zero_help_who_must_only_resist_one_deviation_at_a_time() -> None:
    # claim 002-06: nonnegative payments are without loss against all deviations, not against separate ones
    values: dict[str, list[float]] = {}
    both: tuple[general_lp.Deviations, ...] = ("double", "separate")
    for deviations in both:
        program = general_lp.build(on_a_line(4, 2, "ex-post"), deviations=deviations)
        values[deviations] = [optimum(program)]
        paid = program.variables["payment 1"].ravel()  # of both buyers, who are symmetric
        one, zero = np.ones((len(paid), 1)), np.zeros(len(paid))
        program.add_rows("payments at least 0", Rows.dense(paid[:, None], one, zero, np.inf))
        values[deviations].append(optimum(program))
    assert values["double"] == pytest.approx([43 / 28, 43 / 28], abs=1e-9)
    assert values["separate"] == pytest.approx([277 / 168, 551 / 336], abs=1e-9)  # 1.648810 and 1.639881


def test_obedience_at_every_profile_gives_the_ex_post_value() -> None:
    # claim 002-35; with a prior of 1/2 obedience is that the chances to be told right, state by state, sum to at least 1
    values = [Fraction(k, 4) for k in range(1, 5)]
    program = general_lp.build(of_values(values, "1/2", "bayesian"))
    assert optimum(program) > 0.45
    correct = program.variables["correct 1"].reshape(-1, 2)
    program.add_rows("at every profile", Rows.dense(correct, np.ones(correct.shape), np.ones(len(correct)), np.inf))
    ex_post = optimum(general_lp.build(of_values(values, "1/2", "ex-post")))
    assert optimum(program) == pytest.approx(ex_post, abs=1e-9)


def direct(given: FiniteTypes, deviations: str) -> float:
    """Every deviation listed over experiments and unbounded payments at every profile, loop by loop, by scipy."""
    n, states, shape = len(given.buyers), given.states, given.shape
    alpha = float(given.externality_per_rival)
    weight = [np.array(kind.weight, dtype=float) for kind in given.buyers]
    value = [np.array(kind.value, dtype=float) for kind in given.buyers]
    belief = [np.array(kind.belief, dtype=float) for kind in given.buyers]
    profiles = list(product(*map(range, shape)))
    told = {key: k for k, key in enumerate(product(range(n), profiles, range(states), range(states)))}
    pays = [(i, p if given.ex_post else p[i]) for i in range(n) for p in profiles]
    paid = {key: len(told) + k for k, key in enumerate(dict.fromkeys(pays))}
    size = len(told) + len(paid)

    def utility(i: int, r: int, p: tuple[int, ...], taken: tuple[int, ...]) -> np.ndarray:
        """Of type r of buyer i at reported profile p, if it takes action taken[a] when told a."""
        row = np.zeros(size)
        for w in range(states):
            for a in range(states):
                if taken[a] == w:
                    row[told[i, p, w, a]] += value[i][r] * belief[i][r][w]
            for j in range(n):
                if j != i:
                    by = belief[i][r] if given.own_belief else belief[j][p[j]]
                    row[told[j, p, w, w]] -= alpha * value[i][r] * by[w]
        row[paid[i, p if given.ex_post else p[i]]] -= 1
        return row

    def cases(i: int, report_: int, r: int, taken: tuple[int, ...]) -> list[np.ndarray]:
        others = [p for p in profiles if p[i] == report_]
        rows = [utility(i, r, p, taken) for p in others]
        chance = [np.prod([weight[j][p[j]] for j in range(n) if j != i]) for p in others]
        return rows if given.ex_post else [sum(c * row for c, row in zip(chance, rows, strict=True))]

    obey = tuple(range(states))
    maps = list(product(range(states), repeat=states))
    upper, limit = [], []
    for i in range(n):
        outside = np.array(given.outside_option(i), dtype=float)
        for r in range(shape[i]):
            truth = cases(i, r, r, obey)
            upper += [-row for row in truth]
            limit += [-outside[r]] * len(truth)
            for q, taken in product(range(shape[i]), maps):
                allowed = {"double": True, "separate": taken == obey or q == r, "misreport": taken == obey}[deviations]
                if allowed:
                    upper += [other - row for other, row in zip(cases(i, q, r, taken), truth, strict=True)]
                    limit += [0.0] * len(truth)
    equal = np.zeros((n * len(profiles) * states, size))
    for k, (i, p, w) in enumerate(product(range(n), profiles, range(states))):
        equal[k, [told[i, p, w, a] for a in range(states)]] = 1
    objective = np.zeros(size)
    for p in profiles:
        for i in range(n):
            objective[paid[i, p if given.ex_post else p[i]]] -= np.prod([weight[j][p[j]] for j in range(n)])
    bounds = [(0, 1)] * len(told) + [(None, None)] * len(paid)
    found = linprog(objective, np.array(upper), limit, equal, np.ones(len(equal)), bounds, method="highs")
    assert found.status == 0
    assert found.fun is not None
    return -float(found.fun)


@pytest.mark.parametrize("ic", INCENTIVES)
@pytest.mark.parametrize("belief", ["own", "other"])
@pytest.mark.parametrize("seed", range(2))
def test_symmetric_buyers_may_be_treated_symmetrically(seed: int, belief: str, ic: str) -> None:
    kind = random_market(seed, (3, 1), 2, ic, belief).buyers[0]
    types = [{"weight": w, "value": v, "belief": list(b)} for w, v, b in zip(kind.weight, kind.value, kind.belief, strict=True)]
    alike = finite_market([{"count": 2, "types": types}], "3/2", ic, externality_belief=belief)
    apart = finite_market([{"types": types}, {"types": types}], "3/2", ic, externality_belief=belief)
    value = optimum(general_lp.build(apart))
    assert optimum(general_lp.build(alike)) == pytest.approx(value, abs=1e-9)
    assert optimum(general_lp.build(alike).full()) == pytest.approx(value, abs=1e-9)
    assert value == pytest.approx(direct(alike, "double"), abs=1e-8)
    answer = general_lp.solve(alike, Options())
    assert answer.status is Status.OPTIMAL
    assert judge(apart, answer.mechanism.to_json()).good
    read = ProfileMechanism.read(alike, answer.mechanism.to_json())
    first, second = (view.probability @ view.paid for view in read.allocations)
    assert first.shape == (3,)
    np.testing.assert_allclose(first, second, atol=1e-12)
    assert tables_of(read)["types"]["buyer"].tolist() == ["1 to 2, each"] * 3
    separately = ProfileMechanism.read(apart, answer.mechanism.to_json())
    assert tables_of(separately)["types"]["buyer"].tolist() == ["1"] * 3 + ["2"] * 3


SMALL = [((2, 2), 2), ((3, 2), 2), ((2, 1), 3), ((2, 2, 1), 2)]


@pytest.mark.parametrize("ic", INCENTIVES)
@pytest.mark.parametrize("belief", ["own", "other"])
@pytest.mark.parametrize("case", range(len(SMALL)))
def test_lazy_constraints_all_rows_and_another_formulation_agree(case: int, belief: str, ic: str) -> None:
    shape, states = SMALL[case]
    given = random_market(case, shape, states, ic, belief)
    for deviations in get_args(general_lp.Deviations):
        program = general_lp.build(given, deviations=deviations)
        value = direct(given, deviations)
        assert optimum(program) == pytest.approx(value, abs=1e-7), deviations
        assert optimum(program.full()) == pytest.approx(value, abs=1e-7), deviations
        listed, expected = program.full().size(), program.size(full=True)
        assert listed[:2] == expected[:2]
        assert listed[2] == expected[2] if given.externality else listed[2] < expected[2]  # without harm, some are zero


@pytest.mark.parametrize("belief", ["own", "other"])
@pytest.mark.parametrize("seed", range(4))
def test_more_to_withstand_never_earns_more(seed: int, belief: str) -> None:
    values: dict[tuple[str, str], float] = {}
    for ic in INCENTIVES:
        given = random_market(seed, (4, 3), 3, ic, belief)
        for deviations in get_args(general_lp.Deviations):
            values[ic, deviations] = optimum(general_lp.build(given, deviations=deviations))
        assert values[ic, "misreport"] >= values[ic, "separate"] - 1e-8
        assert values[ic, "separate"] >= values[ic, "double"] - 1e-8
        answer = general_lp.solve(given, Options())
        assert answer.status is Status.OPTIMAL
        assert judge(given, answer.mechanism.to_json()).good
    assert values["bayesian", "double"] >= values["ex-post", "double"] - 1e-8


@pytest.mark.parametrize("ic", INCENTIVES)
def test_scale_and_order_of_buyers_and_states(ic: str) -> None:
    given = random_market(7, (3, 2), 3, ic, "own")
    value = optimum(general_lp.build(given))

    def changed(factor: int, buyers: slice, states: list[int]) -> FiniteTypes:
        listed = [
            {
                "types": [
                    {"weight": w, "value": factor * v, "belief": list(b[states])}
                    for w, v, b in zip(kind.weight, kind.value, kind.belief, strict=True)
                ]
            }
            for kind in given.buyers
        ]
        return finite_market(listed[buyers], given.externality, ic)

    assert optimum(general_lp.build(changed(100, slice(None), [0, 1, 2]))) == pytest.approx(100 * value, rel=1e-8)
    assert optimum(general_lp.build(changed(1, slice(None, None, -1), [2, 0, 1]))) == pytest.approx(value, abs=1e-8)


@pytest.mark.parametrize("buyers", [2, 3])
@pytest.mark.parametrize("value", ["3/2", 17])
@pytest.mark.parametrize("ic", INCENTIVES)
def test_a_type_of_weight_zero_changes_nothing(ic: str, value: Any, buyers: int) -> None:
    types = [{"weight": "1/2", "value": 1}, {"weight": 0, "value": value}, {"weight": "1/2", "value": 2}]
    given = finite_market([{"count": buyers, "types": types}], 2, ic, prior=["1/2", "1/2"])
    answer = general_lp.solve(given, Options())
    without = optimum(general_lp.build(of_values([1, 2], 2, ic, buyers)))
    assert answer.status is Status.OPTIMAL
    assert answer.quantities["revenue"] == pytest.approx(without, abs=1e-9)
    judged = judge(given, answer.mechanism.to_json())
    assert judged.good
    assert judged.quantities["revenue"] == pytest.approx(without, abs=1e-9)


def test_too_many_profiles_are_refused_before_they_are_built() -> None:
    for ic in INCENTIVES:
        with pytest.raises(ModelError, match=r'16 buyers and 42,949,672,960,.* profiles .*"virtual-values" would do'):
            general_lp.build(of_values(list(range(1, 41)), 1, ic, buyers=16))
        with pytest.raises(ModelError, match="fewer types, or count = n for symmetric buyers, would do"):
            general_lp.build(random_market(0, (40,) * 6, 2, ic, "own"))


def test_full_and_cuts_agree_and_a_gap_stops_early() -> None:
    given = on_a_line(5, 2, "ex-post")
    full, cuts = (general_lp.solve(given, Options(method=method)) for method in ("full", "cuts"))
    assert proof(full).upper == pytest.approx(proof(cuts).upper, abs=1e-9)
    assert {full.run.method, cuts.run.method} == {"full", "cuts"}
    coarse = general_lp.solve(given, Options(gap=0.9))
    assert coarse.status is Status.OPTIMAL
    assert proof(coarse).lower <= proof(cuts).lower + 1e-9
    assert proof(coarse).gap <= 0.9
