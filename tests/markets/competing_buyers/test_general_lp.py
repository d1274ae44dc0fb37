"""Several competing buyers, any beliefs: known values, another formulation of the same program, mechanisms judged by hand."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import product
from typing import Any, get_args

import numpy as np
import pytest
from scipy.optimize import linprog

from optmarket.errors import InstanceError, ModelError
from optmarket.lp import highs
from optmarket.lp.program import LinearProgram, Rows
from optmarket.models.competing_buyers import outcomes as report
from optmarket.models.competing_buyers.interim import UNITS, assess
from optmarket.models.competing_buyers.market import Market, Params
from optmarket.models.competing_buyers.outcomes import Mechanism
from optmarket.models.competing_buyers.solvers import general_lp as general
from optmarket.solution import Audit, Options, Status

FULL = np.eye(2)
BOTH = ["bayesian", "ex-post"]


def market(buyers: Any, externality: Any, ic: str = "bayesian", **others: Any) -> Market:
    return Market.of(Params.model_validate({"buyers": buyers, "externality": externality, "ic": ic, **others}))


def on_a_line(types: int, externality: Any, ic: str, **others: Any) -> Market:
    """Two buyers of value 1, who believe in the first state with chances at the middles of equal cells."""
    chances = [Fraction(2 * k + 1, 2 * types) for k in range(types)]
    listed = [{"weight": Fraction(1, types), "belief": [x, 1 - x]} for x in chances]
    return market([{"count": 2, "types": listed}], externality, ic, **others)


def of_values(values: list[Any], externality: Any, ic: str, buyers: int = 2) -> Market:
    listed = [{"weight": Fraction(1, len(values)), "value": value} for value in values]
    return market([{"count": buyers, "types": listed}], externality, ic, prior=["1/2", "1/2"])


def judge(given: Market, mechanism: Mapping[str, Any]) -> Audit:
    return assess(given, Mechanism.read(given, mechanism))


def optimum(program: LinearProgram) -> float:
    result = highs.solve(program)
    assert result.status is Status.OPTIMAL
    return result.bound * program.unit


# Known values ---------------------------------------------------------------------------------------------------------

QUARTERS = ["1/4", "1/2", "3/4", 1]
KNOWN: dict[str, tuple[Market, general.Deviations, str]] = {
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
    assert optimum(general.build(given, deviations=deviations)) == pytest.approx(exact, abs=1e-9)
    if deviations == "double":
        answer = general.solve(given)
        assert answer.status is Status.OPTIMAL
        assert answer.certificate.lower <= exact <= answer.certificate.upper
        assert answer.certificate.gap < 1e-8
        judged = judge(given, answer.mechanism)
        assert judged.good
        assert judged.quantities == pytest.approx(answer.quantities, abs=1e-12)
        assert judged.quantities["revenue"] == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("case", ["beliefs, joint (002-04)", "beliefs, ex post, joint (002-04)", "threat (002-52)"])
def test_proved_in_rationals(case: str) -> None:
    given, _, value = KNOWN[case]
    answer = general.solve(given, Options(exact=True))
    assert (answer.status, answer.exact) == (Status.OPTIMAL, Fraction(value))
    assert answer.certificate.lower <= Fraction(value) <= answer.certificate.upper
    assert answer.certificate.gap < 1e-15
    assert judge(given, answer.mechanism).worst < 1e-12


def test_payments_below_zero_help_who_must_only_resist_one_deviation_at_a_time() -> None:
    # claim 002-06: nonnegative payments are without loss against all deviations, not against separate ones
    values: dict[str, list[float]] = {}
    both: tuple[general.Deviations, ...] = ("double", "separate")
    for deviations in both:
        program = general.build(on_a_line(4, 2, "ex-post"), deviations=deviations)
        values[deviations] = [optimum(program)]
        paid = program.variables["payment 1"].ravel()  # of both buyers, as they are alike
        one, zero = np.ones((len(paid), 1)), np.zeros(len(paid))
        program.add_rows("payments at least 0", Rows.dense(paid[:, None], one, zero, np.inf))
        values[deviations].append(optimum(program))
    assert values["double"] == pytest.approx([43 / 28, 43 / 28], abs=1e-9)
    assert values["separate"] == pytest.approx([277 / 168, 551 / 336], abs=1e-9)  # 1.648810 and 1.639881


def test_obedience_at_every_profile_gives_the_ex_post_value() -> None:
    # claim 002-35; with a prior of 1/2 obedience is that the chances to be told right, state by state, sum to at least 1
    values = [Fraction(k, 4) for k in range(1, 5)]
    program = general.build(of_values(values, "1/2", "bayesian"))
    assert optimum(program) > 0.45
    right = program.variables["right 1"].reshape(-1, 2)
    program.add_rows("at every profile", Rows.dense(right, np.ones(right.shape), np.ones(len(right)), np.inf))
    ex_post = optimum(general.build(of_values(values, "1/2", "ex-post")))
    assert optimum(program) == pytest.approx(ex_post, abs=1e-9)


# The same program another way -----------------------------------------------------------------------------------------


def direct(given: Market, deviations: str) -> float:
    """Every deviation listed over experiments and unbounded payments at every profile, loop by loop, by scipy."""
    n, states, shape = len(given.buyers), given.states, given.shape
    alpha = float(given.share)
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
                    by = belief[i][r] if given.own else belief[j][p[j]]
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
        outside = np.array(given.outside(i), dtype=float)
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


@pytest.mark.parametrize("ic", BOTH)
@pytest.mark.parametrize("belief", ["own", "other"])
@pytest.mark.parametrize("seed", range(2))
def test_two_buyers_alike_may_be_treated_alike(seed: int, belief: str, ic: str) -> None:
    kind = random_market(seed, (3, 1), 2, ic, belief).buyers[0]
    types = [{"weight": w, "value": v, "belief": list(b)} for w, v, b in zip(kind.weight, kind.value, kind.belief, strict=True)]
    alike = market([{"count": 2, "types": types}], "3/2", ic, externality_belief=belief)
    apart = market([{"types": types}, {"types": types}], "3/2", ic, externality_belief=belief)
    value = optimum(general.build(apart))
    assert optimum(general.build(alike)) == pytest.approx(value, abs=1e-9)
    assert optimum(general.build(alike).listed()) == pytest.approx(value, abs=1e-9)
    assert value == pytest.approx(direct(alike, "double"), abs=1e-8)
    answer = general.solve(alike)
    assert answer.status is Status.OPTIMAL
    assert judge(apart, answer.mechanism).good
    read = Mechanism.read(alike, answer.mechanism)
    first, second = (view.probability @ view.paid for view in read.views(alike))
    assert first.shape == (3,)
    np.testing.assert_allclose(first, second, atol=1e-12)
    assert report.tables(alike, read)["types"]["buyer"].tolist() == ["1 to 2, each"] * 3
    assert report.tables(apart, read)["types"]["buyer"].tolist() == ["1"] * 3 + ["2"] * 3


def random_market(seed: int, shape: tuple[int, ...], states: int, ic: str, belief: str) -> Market:
    random = np.random.default_rng(seed)

    def shares(count: int) -> list[Fraction]:
        drawn = random.integers(1, 10, count)
        return [Fraction(int(k), int(drawn.sum())) for k in drawn]

    buyers = []
    for types in shape:
        listed = [
            {"weight": w, "value": Fraction(int(random.integers(1, 9)), 4), "belief": shares(states)} for w in shares(types)
        ]
        buyers.append({"types": listed})
    return market(buyers, Fraction(int(random.integers(0, 9)), 4), ic, externality_belief=belief)


SMALL = [((2, 2), 2), ((3, 2), 2), ((2, 1), 3), ((2, 2, 1), 2)]


@pytest.mark.parametrize("ic", BOTH)
@pytest.mark.parametrize("belief", ["own", "other"])
@pytest.mark.parametrize("case", range(len(SMALL)))
def test_rows_on_demand_all_rows_and_another_formulation_agree(case: int, belief: str, ic: str) -> None:
    shape, states = SMALL[case]
    given = random_market(case, shape, states, ic, belief)
    for deviations in get_args(general.Deviations):
        program = general.build(given, deviations=deviations)
        value = direct(given, deviations)
        assert optimum(program) == pytest.approx(value, abs=1e-7), deviations
        assert optimum(program.listed()) == pytest.approx(value, abs=1e-7), deviations
        listed, expected = program.listed().size(), program.size(listed=True)
        assert listed[:2] == expected[:2]
        assert listed[2] == expected[2] if given.externality else listed[2] < expected[2]  # without harm, some are zero


@pytest.mark.parametrize("belief", ["own", "other"])
@pytest.mark.parametrize("seed", range(4))
def test_more_to_withstand_never_earns_more(seed: int, belief: str) -> None:
    values: dict[tuple[str, str], float] = {}
    for ic in BOTH:
        given = random_market(seed, (4, 3), 3, ic, belief)
        for deviations in get_args(general.Deviations):
            values[ic, deviations] = optimum(general.build(given, deviations=deviations))
        assert values[ic, "misreport"] >= values[ic, "separate"] - 1e-8
        assert values[ic, "separate"] >= values[ic, "double"] - 1e-8
        answer = general.solve(given)
        assert answer.status is Status.OPTIMAL
        assert judge(given, answer.mechanism).good
    assert values["bayesian", "double"] >= values["ex-post", "double"] - 1e-8


@pytest.mark.parametrize("ic", BOTH)
def test_scale_and_order_of_buyers_and_states(ic: str) -> None:
    given = random_market(7, (3, 2), 3, ic, "own")
    value = optimum(general.build(given))

    def changed(factor: int, buyers: slice, states: list[int]) -> Market:
        listed = [
            {
                "types": [
                    {"weight": w, "value": factor * v, "belief": list(b[states])}
                    for w, v, b in zip(kind.weight, kind.value, kind.belief, strict=True)
                ]
            }
            for kind in given.buyers
        ]
        return market(listed[buyers], given.externality, ic)

    assert optimum(general.build(changed(100, slice(None), [0, 1, 2]))) == pytest.approx(100 * value, rel=1e-8)
    assert optimum(general.build(changed(1, slice(None, None, -1), [2, 0, 1]))) == pytest.approx(value, abs=1e-8)


@pytest.mark.parametrize("buyers", [2, 3])
@pytest.mark.parametrize("value", ["3/2", 17])
@pytest.mark.parametrize("ic", BOTH)
def test_a_type_of_weight_zero_changes_nothing(ic: str, value: Any, buyers: int) -> None:
    types = [{"weight": "1/2", "value": 1}, {"weight": 0, "value": value}, {"weight": "1/2", "value": 2}]
    given = market([{"count": buyers, "types": types}], 2, ic, prior=["1/2", "1/2"])
    answer = general.solve(given)
    without = optimum(general.build(of_values([1, 2], 2, ic, buyers)))
    assert answer.status is Status.OPTIMAL
    assert answer.quantities["revenue"] == pytest.approx(without, abs=1e-9)
    judged = judge(given, answer.mechanism)
    assert judged.good
    assert judged.quantities["revenue"] == pytest.approx(without, abs=1e-9)


@pytest.mark.parametrize("ic", BOTH)
def test_stopped_early_the_bounds_still_hold(ic: str) -> None:
    given = on_a_line(6, 2, ic)
    answer = general.solve(given, Options(time_limit=0.0))
    value = optimum(general.build(given))
    assert answer.status is Status.TIME_LIMIT
    assert 0 < answer.certificate.lower <= value <= answer.certificate.upper
    judged = judge(given, answer.mechanism)
    assert judged.worst < 1e-12
    assert judged.quantities["revenue"] == pytest.approx(answer.certificate.lower, abs=1e-12)


@pytest.mark.parametrize("ic", BOTH)
def test_the_point_of_a_solve_stopped_before_its_first_step_is_a_mechanism(ic: str) -> None:
    given = on_a_line(6, 2, ic)
    linear = general.build(given)
    found = general.read(given, linear, np.zeros(linear.columns))
    for experiment in found.experiments:
        assert (experiment >= 0).all()
        np.testing.assert_allclose(experiment.sum(axis=-1), 1.0, atol=1e-15)
    assert general.surely(given, found) <= 0  # nobody follows it: it counts for nothing, and is never a number by accident


# Mechanisms judged ----------------------------------------------------------------------------------------------------


def profile_by_profile(shape: tuple[int, ...], experiment: Any) -> list[Any]:
    return [*np.broadcast_to(experiment, (*shape, 2, 2)).tolist()]


SURE_AND_NOT = [{"types": [{"weight": 1, "belief": [1, 0]}]}, {"types": [{"weight": 1, "belief": ["1/2", "1/2"]}]}]


@pytest.mark.parametrize("ic", BOTH)
def test_a_buyer_harmed_by_its_own_belief(ic: str) -> None:
    # claims 002-14, 002-15: buyer 1, sure of state 1, is told the state and pays 1/2; its rival is always told state 1. By
    # buyer 1's belief the rival is surely right: 1 - 1 - 1/2 = -1/2, and opting out gives 1 - 1 = 0. Buyer 2 is right with 1/2,
    # its rival surely: 1/2 - 1 = 1/2 - 1, as good as opting out.
    mechanism = {
        "experiments": [profile_by_profile((1, 1), FULL), profile_by_profile((1, 1), [[1, 0], [1, 0]])],
        "payments": [[0.5], [0.0]],
    }
    found = judge(market(SURE_AND_NOT, 1, ic), mechanism)
    assert found.violations == pytest.approx({"misreport": 0, "disobey": 0, "both": 0, "individual-rationality": 0.5})
    assert not found.good
    # by the rival's belief it is right with 1/2 only, and buyer 1 pays exactly what it can
    assert judge(market(SURE_AND_NOT, 1, ic, externality_belief="other"), mechanism).worst == 0


@pytest.mark.parametrize("ic", BOTH)
def test_a_buyer_told_wrong(ic: str) -> None:
    # claims 002-14, 002-15: told right with 1/10 while the rival surely is: 1/10 - 1/2 = -2/5, opting out 1/2 - 1/2 = 0; acting
    # against what it is told would make it right with 9/10
    one = [{"count": 2, "types": [{"weight": 1}]}]
    mechanism = {
        "experiments": [profile_by_profile((1, 1), [[0.1, 0.9], [0.9, 0.1]]), profile_by_profile((1, 1), FULL)],
        "payments": [[0], [0]],
    }
    found = judge(market(one, "1/2", ic, prior=["1/2", "1/2"]), mechanism)
    assert found.violations == pytest.approx({"misreport": 0, "disobey": 0.8, "both": 0.8, "individual-rationality": 0.4})


@pytest.mark.parametrize("ic", BOTH)
def test_a_report_that_misleads_the_rival(ic: str) -> None:
    # claims 002-16, 002-17: the rival is always told the state buyer 1 says is likelier. By reporting the other type buyer 1
    # lowers the rival's chance to be right from 9/10 to 1/10.
    types = [{"weight": "1/2", "belief": ["9/10", "1/10"]}, {"weight": "1/2", "belief": ["1/10", "9/10"]}]
    buyers = [{"types": types}, {"types": [{"weight": 1, "belief": ["1/2", "1/2"]}]}]
    rival = [[[[1, 0], [1, 0]]], [[[0, 1], [0, 1]]]]
    mechanism = {"experiments": [profile_by_profile((2, 1), FULL), rival], "payments": [[0, 0], [0]]}
    found = judge(market(buyers, 1, ic), mechanism)
    assert found.violations == pytest.approx({"misreport": 0.8, "disobey": 0, "both": 0.8, "individual-rationality": 0})
    assert judge(market(buyers, 1, ic, externality_belief="other"), mechanism).worst == 0


THINKS = [{"weight": "1/2", "belief": ["3/4", "1/4"]}, {"weight": "1/2", "belief": ["1/4", "3/4"]}]


def test_lying_and_disobeying_together() -> None:
    # No rival matters. A buyer of belief (3/4, 1/4) is told nothing it does not know (right with 3/4) for 0; reporting (1/4, 3/4)
    # it would be told the state, with actions swapped, for 1/10. Obeying that it is never right; acting the other way always:
    # it gains 1 - 1/10 - 3/4 = 3/20 by both. The other type is never right and pays 1/10: disobeying gains it 1, opting out
    # 3/4 + 1/10 = 17/20, and so reporting the first type and acting on its own belief; obeying as that type, 1/4 + 1/10 = 7/20.
    given = market([{"types": THINKS}, {"types": [{"weight": 1, "belief": ["1/2", "1/2"]}]}], 0)
    first, second = [[[1.0, 0.0], [1.0, 0.0]]], [[[0.0, 1.0], [1.0, 0.0]]]
    mechanism = {"experiments": [[first, second], profile_by_profile((2, 1), FULL)], "payments": [[0, "1/10"], [0]]}
    found = judge(given, mechanism)
    assert found.violations == pytest.approx({"misreport": 0.35, "disobey": 1, "both": 1, "individual-rationality": 0.85})
    # told what it thinks anyway, for nothing
    mild = {"experiments": [[first, [[[0.0, 1.0], [0.0, 1.0]]]], profile_by_profile((2, 1), FULL)], "payments": [[0, 0], [0]]}
    assert judge(given, mild).worst == 0


def test_interim_is_the_mean_of_ex_post() -> None:
    # Buyer 1 (one type, value 1, prior 1/2, no externality) is told the state if buyer 2 is of type 1 and nothing otherwise. It
    # pays 1/2 or 1/4: at the second profile 1/4 too much, on average (1/2 + 1/4)/2 - (1/2 + 0)/2 = 1/8 too much.
    buyers = [{"types": [{"weight": 1}]}, {"types": [{"weight": "1/2", "value": 1}, {"weight": "1/2", "value": 2}]}]
    nothing = [[1.0, 0.0], [1.0, 0.0]]
    mechanism = {
        "experiments": [[[FULL.tolist(), nothing]], profile_by_profile((1, 2), nothing)],
        "payments": [[["1/2", "1/4"]], [0, 0]],
    }
    ex_post = judge(market(buyers, 0, "ex-post", prior=["1/2", "1/2"]), mechanism)
    bayesian = judge(market(buyers, 0, "bayesian", prior=["1/2", "1/2"]), mechanism)
    assert ex_post.violations["individual-rationality"] == pytest.approx(1 / 4)
    assert bayesian.violations["individual-rationality"] == pytest.approx(1 / 8)
    assert ex_post.quantities == pytest.approx(bayesian.quantities)
    assert ex_post.quantities["revenue"] == pytest.approx(3 / 8)


def test_quantities_and_tables_by_hand() -> None:
    # Values 1 and 2, alpha 2, prior 1/2. All are told the state and pay 1/2, what the low type would.
    # Right with 1, beyond 1/2: worth 3/2 * 1/2 each. Harm 2 * 3/2 each; a threat escaped by nobody, as all are right.
    # Welfare 3/2 - 3 each. Gains above opting out: 0 and 1/2, on average 1/4.
    given = of_values([1, 2], 2, "ex-post")
    mechanism = {"experiments": [profile_by_profile((2, 2), FULL)] * 2, "payments": [[0.5, 0.5], [[0.5, 0.5], [0.5, 0.5]]]}
    assert judge(given, mechanism).worst == 0
    assert judge(given, mechanism).quantities == pytest.approx(
        {
            "revenue": 1,
            "surplus": 0.5,
            "welfare": -3,
            "worth-of-information": 1.5,
            "worth-of-threat": 0,
            "informed-share": 1,
            "externality-cost": 6,
        }
    )
    assert set(judge(given, mechanism).quantities) < set(UNITS)
    tables = report.tables(given, Mechanism.read(given, mechanism))
    assert tables["buyers"]["buyer"].tolist() == ["1 to 2, each"]
    assert tables["buyers"]["revenue"].tolist() == pytest.approx([0.5])
    assert tables["buyers"]["gain"].tolist() == pytest.approx([0.25])
    assert tables["types"]["gain"].tolist() == pytest.approx([0, 0.5])
    assert tables["types"]["rivals' harm"].tolist() == pytest.approx([2, 4])
    assert tables["profiles"]["probability"].tolist() == pytest.approx([0.25] * 4)
    assert tables["profiles"]["payment 2"].tolist() == pytest.approx([0.5] * 4)


@pytest.mark.parametrize("ic", BOTH)
@pytest.mark.parametrize("seed", range(3))
def test_revenue_and_surplus_are_what_information_and_threat_are_worth(seed: int, ic: str) -> None:
    given = random_market(seed, (3, 2, 2), 2, ic, "own")
    found = general.solve(given).quantities
    together = found["worth-of-information"] + found["worth-of-threat"]
    assert found["revenue"] + found["surplus"] == pytest.approx(together, abs=1e-12)


# What does not fit ----------------------------------------------------------------------------------------------------

GOOD: dict[str, Any] = {"experiments": [profile_by_profile((2, 2), FULL)] * 2, "payments": [[0, 0], [0, 0]]}


def planted(name: str, buyer: int, value: Any) -> dict[str, Any]:
    return {**GOOD, name: [value if i == buyer else one for i, one in enumerate(GOOD[name])]}


MISFITS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no payments": ({"experiments": GOOD["experiments"]}, "payments", "is missing"),
    "more": ({**GOOD, "prices": []}, "prices", "is not known"),
    "three buyers": ({**GOOD, "payments": [[0, 0]] * 3}, "payments", "lists 3"),
    "no list": ({**GOOD, "payments": 1}, "payments", "is 1"),
    "three types": (planted("payments", 1, [0, 0, 0]), "payments[1]", "has 3 entries; must be a list of 2, types of buyer 2"),
    "half a table": (planted("payments", 0, [[0, 0], [0]]), "payments[0][1]", "has 1 entries"),
    "no number": (planted("payments", 0, [0, "much"]), "payments[0][1]", "'much'"),
    "infinite": (planted("payments", 0, [0, float("inf")]), "payments[0][1]", "must be finite"),
    "one state": (planted("experiments", 1, profile_by_profile((2, 2), FULL)[:1]), "experiments[1]", "has 1 entries"),
    "negative": (planted("experiments", 0, profile_by_profile((2, 2), [[-1, 2], [0, 1]])), "experiments[0][0][0][0][0]", "is -1"),
    "sum": (planted("experiments", 0, profile_by_profile((2, 2), [[1, 0], [0.5, 0]])), "experiments[0][0][0][1]", "sums to 0.5"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_a_mechanism_that_does_not_fit_is_refused_with_the_place(case: str) -> None:
    mechanism, field, says = MISFITS[case]
    with pytest.raises(InstanceError, match=says) as raised:
        judge(of_values([1, 2], 1, "ex-post"), mechanism)
    assert raised.value.field == field


def test_single_precision_is_good_enough() -> None:
    thirds = np.full((2, 2, 2, 2), [[1 / 3, 2 / 3], [0, 1]], dtype=np.float32)
    mechanism = {**GOOD, "experiments": [thirds.tolist(), thirds.tolist()]}
    assert judge(of_values([1, 2], 1, "ex-post"), mechanism).quantities["informed-share"] == pytest.approx(2 / 3, abs=1e-6)


def test_too_many_profiles_are_refused_before_they_are_built() -> None:
    for ic in BOTH:
        with pytest.raises(ModelError, match=r'16 buyers and 42,949,672,960,.* profiles .*"virtual-values" would do'):
            general.build(of_values(list(range(1, 41)), 1, ic, buyers=16))
        with pytest.raises(ModelError, match="fewer types, or count = n for buyers alike, would do"):
            general.build(random_market(0, (40,) * 6, 2, ic, "own"))


def test_another_method_is_refused() -> None:
    with pytest.raises(ModelError, match="choose cuts or full"):
        general.solve(of_values([1, 2], 1, "ex-post"), Options(method="boxes"))


def test_full_and_cuts_agree_and_a_gap_stops_early() -> None:
    given = on_a_line(5, 2, "ex-post")
    full, cuts = (general.solve(given, Options(method=method)) for method in ("full", "cuts"))
    assert full.certificate.upper == pytest.approx(cuts.certificate.upper, abs=1e-9)
    assert {full.method, cuts.method} == {"full", "cuts"}
    coarse = general.solve(given, Options(gap=0.9))
    assert coarse.status is Status.OPTIMAL
    assert coarse.certificate.lower <= cuts.certificate.lower + 1e-9
    assert coarse.certificate.gap <= 0.9
