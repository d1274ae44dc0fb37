"""One buyer, solved: closed forms, a second program written from the mathematics alone, and what must not change the optimum."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import one_buyer as model
from support.plain_markets import Case, Numbers, drawn, identity, measure, shares

from optmarket.lp import exact_arithmetic, highs
from optmarket.lp.float_bound import Proof
from optmarket.models.selling_information import Market
from optmarket.models.selling_information.closed_forms import binary_optimum
from optmarket.models.selling_information.experiments import values
from optmarket.models.selling_information.lp import Deviations
from optmarket.options import Options, Status
from optmarket.rationals import floats

quick = settings(max_examples=25, deadline=None, derandomize=True)


def exact_revenue(params: model.Params, method: str = "auto") -> Fraction:
    answer = model.solve(params, Options(method=method, exact=True))
    assert answer.status is Status.OPTIMAL and answer.exact is not None
    return answer.exact


def revenue(case: Case) -> Fraction:
    return exact_revenue(case.params())


def revenue_against(case: Case, deviations: Deviations) -> Fraction:
    """The exact optimum when only these deviations are ruled out."""
    program = model.program(case.params(), exact=True, deviations=deviations)
    proof = exact_arithmetic.solve_exactly(program, highs.solve(program))
    assert isinstance(proof, Proof)
    return proof.value * Fraction(program.unit)


Shape = tuple[int, int, int, str]
SHAPES: list[Shape] = [  # states, actions, contexts, kind
    (2, 2, 1, "matching"),
    (3, 3, 1, "matching"),
    (2, 2, 2, "matching"),
    (2, 3, 1, "general"),
    (3, 2, 1, "general"),
    (2, 2, 2, "general"),
    (3, 3, 1, "own"),
    (2, 2, 2, "own"),
]


def of_shape(seed: int, n: int, shape: Shape, most: int) -> Case:
    """A random market of so many types."""
    states, actions, contexts, kind = shape
    return drawn(seed, n, states, actions, contexts, kind, most)


def cases(shapes: list[Shape] = SHAPES) -> st.SearchStrategy[Case]:
    """Small random markets of all shapes, many of them with ties."""
    seed, types = st.integers(0, 10**9), st.integers(2, 4)
    return st.builds(
        of_shape,
        seed,
        types,
        st.sampled_from(shapes),
        st.sampled_from([3, 8, 30]),
    )


# Closed forms ---------------------------------------------------------------------------------------------------------


@quick
@given(cases())
def test_a_single_type_pays_all_it_would_gain(case: Case) -> None:
    one = Case([Fraction(1)], case.joint[:1], case.payoff[:1])
    full = sum(case.joint[0][w][c] * max(case.payoff[0][w]) for w in case.states for c in case.contexts)
    outside = sum(
        max(sum(case.joint[0][w][c] * case.payoff[0][w][a] for w in case.states) for a in case.actions) for c in case.contexts
    )
    assert revenue(one) == full - outside


def binary(thetas: list[Fraction], weights: list[Fraction], value: Fraction = Fraction(1)) -> model.Params:
    types = [{"weight": f, "belief": [t, 1 - t], "value": value} for f, t in zip(weights, thetas, strict=True)]
    return model.Params.model_validate({"types": types})


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data(), st.integers(1, 9), st.sampled_from([Fraction(1), Fraction(3, 7), Fraction(0)]))
def test_two_states_by_envelopes(data: st.DataObject, n: int, value: Fraction) -> None:
    belief = st.integers(1, 12).flatmap(lambda q: st.integers(0, q).map(lambda p: Fraction(p, q)))  # ties, 0 and 1 included
    thetas = data.draw(st.lists(belief, min_size=n, max_size=n))
    weights = shares(data.draw(st.lists(st.integers(0, 5), min_size=n, max_size=n).filter(any)))
    params = binary(thetas, weights, value)
    assert binary_optimum(Market.of(params)) == exact_revenue(params)


def test_many_beliefs_by_envelopes() -> None:
    rng = np.random.default_rng(8)
    thetas = [Fraction(int(p), 60) for p in rng.integers(0, 61, size=45)]
    weights = shares([int(w) for w in rng.integers(0, 9, size=45)])
    params = binary(thetas, weights)
    assert binary_optimum(Market.of(params)) == exact_revenue(params)


@pytest.mark.parametrize("n", [4, 8, 12, 40])
def test_midpoint_grid_of_the_uniform(n: int) -> None:
    params = binary([Fraction(2 * k + 1, 2 * n) for k in range(n)], [Fraction(1, n)] * n)
    expected = Fraction(1, 8) + Fraction(1, 4 * n)
    assert exact_revenue(params) == expected
    claims = {(claim.relation, claim.value) for claim in model.theory(params)}
    assert ("eq", str(expected)) in claims


def test_envelopes_keep_to_what_they_are_for() -> None:
    belief = {"weight": 1, "belief": ["1/2", "1/2"]}
    for other in (
        {"types": [{"weight": 1, "belief": ["1/3", "1/3", "1/3"]}]},
        {"types": [belief], "payoff": [[1, 0, 0], [0, 1, 0]]},
        {"types": [belief], "payoff": [[2, 0], [0, 1]]},
        {"types": [{"weight": 1, "joint": [["1/4", "1/4"], ["1/4", "1/4"]]}]},
        {"types": [{**belief, "weight": "1/2"}, {**belief, "weight": "1/2", "value": 2}]},
    ):
        assert binary_optimum(Market.of(model.Params.model_validate(other))) is None


def opposed() -> Case:
    half, fifth, zero = Fraction(1, 2), Fraction(1, 5), Fraction(0)
    return Case([half, half], [[[half], [half]]] * 2, [identity(2), [[zero, fifth], [fifth, zero]]])


def test_double_deviations_matter() -> None:
    assert revenue_against(opposed(), "double") == revenue(opposed()) == Fraction(1, 4)
    assert revenue_against(opposed(), "separate") == Fraction(3, 10)
    assert revenue_against(opposed(), "misreport") == Fraction(3, 10)


def test_each_deviation_matters_by_itself() -> None:
    joint = [[[Fraction(m, 7) for m in row] for row in rows] for rows in ([[2, 1], [3, 1]], [[2, 1], [1, 3]])]
    case = Case([Fraction(1, 2)] * 2, joint, [identity(2)] * 2)
    misreport, separate, double = (revenue_against(case, which) for which in ("misreport", "separate", "double"))
    assert misreport > separate > double == revenue(case)
    assert float(double) == pytest.approx(naive_optimum(case), abs=1e-7)


# A second program -----------------------------------------------------------------------------------------------------


def naive_optimum(case: Case) -> float:
    """The program of the mathematics page, loop by loop, prices free and payoffs as they are."""
    profiles = list(product(case.actions, repeat=len(case.contexts)))
    mu, u = np.array(case.joint, dtype=float), np.array(case.payoff, dtype=float)
    experiment = [cp.Variable((len(case.states), len(profiles)), nonneg=True) for _ in case.types]
    price = [cp.Variable() for _ in case.types]
    constraints = [pi @ np.ones(len(profiles)) == 1 for pi in experiment]

    def after(r: int, q: int, s: int, c: int, a: int) -> Any:
        return sum(mu[r][w][c] * u[r][w][a] * experiment[q][w, s] for w in case.states)

    for r in case.types:
        obeyed = sum(after(r, r, s, c, profiles[s][c]) for s in range(len(profiles)) for c in case.contexts)
        outside = sum(max(sum(mu[r][w][c] * u[r][w][a] for w in case.states) for a in case.actions) for c in case.contexts)
        constraints.append(obeyed - price[r] >= outside)
        for q in case.types:
            best = 0
            for s in range(len(profiles)):
                for c in case.contexts:
                    z = cp.Variable()
                    constraints += [z >= after(r, q, s, c, a) for a in case.actions]
                    best = best + z
            constraints.append(obeyed - price[r] >= best - price[q])
    objective = cp.Maximize(sum(float(f) * t for f, t in zip(case.weight, price, strict=True)))
    value = cp.Problem(objective, constraints).solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    return float(value)


@pytest.mark.parametrize(("states", "actions", "contexts", "kind"), SHAPES)
def test_full_cuts_and_a_naive_program_agree(states: int, actions: int, contexts: int, kind: str) -> None:
    case = drawn(2, 4, states, actions, contexts, kind)
    found = [model.solve(case.params(), Options(method=method)) for method in ("cuts", "full")]
    for answer in found:
        assert answer.status is Status.OPTIMAL
        certificate = answer.certificate
        assert 0 <= certificate.upper - certificate.lower <= 1e-7 * certificate.upper
    cuts, full = (answer.certificate for answer in found)
    assert cuts.lower <= full.upper and full.lower <= cuts.upper
    naive = naive_optimum(case)
    for certificate in (cuts, full):
        assert certificate.lower - 1e-7 <= naive <= certificate.upper + 1e-7


@pytest.mark.parametrize("shape", [(2, 2, 2, "matching"), (3, 3, 1, "general"), (2, 3, 1, "own")])
def test_full_and_cuts_agree_exactly_and_list_different_rows(shape: Any) -> None:
    params = drawn(5, 6, *shape).params()
    full, cuts = (model.solve(params, Options(method=method, exact=True)) for method in ("full", "cuts"))
    assert full.exact == cuts.exact is not None
    assert full.run.rows is not None and cuts.run.rows is not None and full.run.rows > cuts.run.rows
    assert (full.method, cuts.method) == ("full", "cuts")


@quick
@given(cases(), st.sampled_from(["cuts", "full"]))
def test_the_certificate_holds_the_truth(case: Case, method: str) -> None:
    truth = revenue(case)
    answer = model.solve(case.params(), Options(method=method))
    assert Fraction(answer.certificate.lower) <= truth <= Fraction(answer.certificate.upper)
    assert answer.certificate.gap <= 1e-7
    single, price = Market.of(case.params()).full_information
    assert single <= truth <= Fraction(answer.quantities["first-best"]) + Fraction(1, 10**12)
    assert answer.quantities["full-information-revenue"] == pytest.approx(float(single), abs=1e-15)
    assert answer.quantities["full-information-price"] == pytest.approx(float(price), abs=1e-15)
    for claim in model.theory(case.params()):
        stated = Fraction(claim.value)
        assert {"eq": stated == truth, "lower": stated <= truth, "upper": stated >= truth}[claim.relation]


# What must not change the optimum -------------------------------------------------------------------------------------

Change = Callable[[Case, Any], Case]  # the second draws from a strategy
ONE_CONTEXT = [shape for shape in SHAPES if shape[2] == 1]


def split_type(case: Case, draw: st.DrawFn) -> Case:
    k, share = draw(st.sampled_from(case.types)), draw(st.sampled_from([Fraction(1, 3), Fraction(1, 2), Fraction(1)]))
    weight = [f * (1 - share) if r == k else f for r, f in enumerate(case.weight)]
    return Case([*weight, case.weight[k] * share], [*case.joint, case.joint[k]], [*case.payoff, case.payoff[k]])


def split_context(case: Case, draw: st.DrawFn) -> Case:
    """Every type sees more detail in one context that says nothing about the state."""
    c = draw(st.sampled_from(case.contexts))
    cut = [draw(st.sampled_from([Fraction(1, 4), Fraction(1, 2)])) for _ in case.types]
    joint = [
        [[*(m * (1 - s) if k == c else m for k, m in enumerate(row)), row[c] * s] for row in measure]
        for measure, s in zip(case.joint, cut, strict=True)
    ]
    return replace(case, joint=joint)


def silent_type(case: Case, draw: st.DrawFn) -> Case:
    other = drawn(draw(st.integers(0, 99)), 1, len(case.states), len(case.actions), len(case.contexts), "own")
    return Case([*case.weight, Fraction(0)], case.joint + other.joint, case.payoff + other.payoff)


def silent_context(case: Case, draw: st.DrawFn) -> Case:
    return replace(case, joint=[[[*row, Fraction(0)] for row in measure] for measure in case.joint])


def added_constant(case: Case, draw: st.DrawFn) -> Case:
    """An amount that depends on type and state, whatever is done."""
    return replace(
        case,
        payoff=[
            [[u + amount for u in row] for row, amount in zip(matrix, amounts, strict=True)]
            for matrix in case.payoff
            for amounts in [[Fraction(draw(st.integers(-9, 9)), 7) for _ in case.states]]
        ],
    )


def dominated_action(case: Case, draw: st.DrawFn) -> Case:
    below, loss = draw(st.sampled_from(case.actions)), [Fraction(draw(st.integers(0, 2)), 3) for _ in case.states]
    payoff = [[[*row, row[below] - less] for row, less in zip(matrix, loss, strict=True)] for matrix in case.payoff]
    return replace(case, payoff=payoff)


def other_order_of_actions(case: Case, draw: st.DrawFn) -> Case:
    """In another order for each type: what a recommendation is called is up to the buyer."""
    payoff = []
    for matrix in case.payoff:
        order = draw(st.permutations(case.actions))
        payoff.append([[row[a] for a in order] for row in matrix])
    return replace(case, payoff=payoff)


def other_order_of_states(case: Case, draw: st.DrawFn) -> Case:
    order = draw(st.permutations(case.states))
    return Case(case.weight, [[m[w] for w in order] for m in case.joint], [[u[w] for w in order] for u in case.payoff])


def other_order_of_types(case: Case, draw: st.DrawFn) -> Case:
    order = draw(st.permutations(case.types))
    return Case([case.weight[r] for r in order], [case.joint[r] for r in order], [case.payoff[r] for r in order])


def other_order_of_contexts(case: Case, draw: st.DrawFn) -> Case:
    """In another order for each type: contexts are its own."""
    orders = [draw(st.permutations(case.contexts)) for _ in case.types]
    return replace(case, joint=[[[row[c] for c in order] for row in m] for m, order in zip(case.joint, orders, strict=True)])


def split_state(case: Case, draw: st.DrawFn) -> Case:
    w, share = draw(st.sampled_from(case.states)), draw(st.sampled_from([Fraction(1, 3), Fraction(1, 2)]))
    joint = []
    for table in case.joint:
        rows = [[m * (1 - share) for m in row] if k == w else row for k, row in enumerate(table)]
        joint.append([*rows, [m * share for m in table[w]]])
    return Case(case.weight, joint, [[*matrix, matrix[w]] for matrix in case.payoff])


CHANGES: list[Change] = [
    split_type,
    silent_type,
    silent_context,
    added_constant,
    dominated_action,
    other_order_of_actions,
    other_order_of_states,
    other_order_of_types,
    other_order_of_contexts,
    split_state,
    split_context,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@quick
@given(data=st.data())
def test_invariance(change: Change, data: st.DataObject) -> None:
    case = data.draw(cases(ONE_CONTEXT) if change in {silent_context, split_context, dominated_action} else cases())
    assert revenue(change(case, data.draw)) == revenue(case)


@quick
@given(cases(), st.sampled_from([Fraction(1, 10**6), Fraction(2, 7), Fraction(3), Fraction(10**6)]))
def test_revenue_scales_with_payoffs(case: Case, factor: Fraction) -> None:
    scaled = replace(case, payoff=[[[factor * u for u in row] for row in matrix] for matrix in case.payoff])
    assert revenue(scaled) == factor * revenue(case)


@pytest.mark.parametrize("amount", [-5, 7])
@pytest.mark.parametrize("method", ["cuts", "full"])
def test_payoffs_of_one_sign(amount: int, method: str) -> None:
    case = drawn(2, 3, 3, 3, 1, "own")
    moved = replace(case, payoff=[[[u + amount for u in row] for row in matrix] for matrix in case.payoff])
    assert exact_revenue(moved.params(), method) == revenue(case) > 0
    assert Market.of(moved.params()).scale == Market.of(case.params()).scale


@quick
@given(cases(SHAPES[:1]))
def test_double_deviations_are_immaterial_for_two_states_and_matching(case: Case) -> None:
    assert revenue_against(case, "separate") == revenue_against(case, "double")


@quick
@given(cases())
def test_more_to_withstand_never_earns_more(case: Case) -> None:
    double, separate, misreport = (revenue_against(case, which) for which in ("double", "separate", "misreport"))
    assert misreport >= separate >= double == revenue(case)


def worth(case: Case, r: int, experiment: Numbers) -> Fraction:
    """What an experiment is worth to a type that acts best on every signal in every context."""
    return sum(
        (
            max(
                sum((case.joint[r][w][c] * experiment[w][s] * case.payoff[r][w][a] for w in case.states), Fraction(0))
                for a in case.actions
            )
            for s in range(len(experiment[0]))
            for c in case.contexts
        ),
        Fraction(0),
    )


@settings(max_examples=40, deadline=None, derandomize=True)
@given(cases(), st.data())
def test_garbling_is_worth_no_more(case: Case, data: st.DataObject) -> None:
    signals, garbled_signals = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    experiment = [measure(rng, 1, signals, 4)[0] for _ in case.states]
    noise = [measure(rng, 1, garbled_signals, 4)[0] for _ in range(signals)]
    garbled = [
        [sum((row[s] * noise[s][g] for s in range(signals)), Fraction(0)) for g in range(garbled_signals)] for row in experiment
    ]
    market = Market.of(case.params())
    joint, payoff = floats(market.joint), floats(market.payoff)
    primitives = joint[:, :, :, None] * payoff[:, :, None, :]
    sharp, blunt = (values(primitives, np.array([which], dtype=float))[:, 0] for which in (experiment, garbled))
    for r in case.types:
        assert sharp[r] == pytest.approx(float(worth(case, r, experiment)), abs=1e-14)
        assert blunt[r] == pytest.approx(float(worth(case, r, garbled)), abs=1e-14)
        assert worth(case, r, garbled) <= worth(case, r, experiment)
    assert np.all(blunt <= sharp + 1e-14)


def test_values_in_blocks_are_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    case = drawn(3, 7, 3, 3, 1, "own")
    market = Market.of(case.params())
    product_, experiment = floats(market.product), np.random.default_rng(1).dirichlet(np.ones(4), size=(5, 3))
    whole = values(product_, experiment)
    monkeypatch.setattr("optmarket.models.selling_information.experiments.BLOCK_BYTES", 1)
    np.testing.assert_array_equal(values(product_, experiment), whole)
    monkeypatch.setattr("optmarket.lp.separation.BLOCK_BYTES", 1)
    before = exact_revenue(case.params(), "full")
    assert exact_revenue(case.params(), "cuts") == before


def test_revenue_is_positive_only_if_somebody_learns() -> None:
    certain = binary([Fraction(0), Fraction(1)], [Fraction(1, 2)] * 2)
    assert exact_revenue(certain) == 0
    answer = model.solve(certain)
    assert answer.status is Status.OPTIMAL
    assert answer.certificate.upper == pytest.approx(0, abs=1e-12) and math.isfinite(answer.certificate.lower)
