"""Finitely many types: the reduced form, the general form and a program of its own agree; what must not change the optimum."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.training_data import (
    GAPPED,
    ON_FIFTH,
    QUICK,
    Drawn,
    F,
    audited,
    bounds_of,
    by_errors,
    drawn_markets,
    error_pairs,
    exact_revenue,
    items_of,
    on_line,
    on_line_grid,
    reduced_optimum,
)

from optmarket.errors import ModelError
from optmarket.models import selling_information
from optmarket.models import selling_training_data as model
from optmarket.options import Options, Status


@settings(max_examples=40, deadline=None, derandomize=True)
@given(drawn_markets(), st.sampled_from(["cuts", "full"]))
def test_reduced_and_general_form_and_a_program_of_its_own_agree(drawn: Drawn, method: str) -> None:
    pairs, weights = drawn
    market = by_errors(pairs, weights)
    reduced = exact_revenue(market, method)
    assert reduced == exact_revenue(market, {"cuts": "general", "full": "general-full"}[method])
    assert reduced == selling_information.solve(market.information, Options(method=method, exact=True)).exact
    assert float(reduced) == pytest.approx(reduced_optimum(pairs, weights), abs=1e-9)


def test_the_two_forms_are_different_programs() -> None:
    pairs, weights = [(F(1, 5), F(1, 5)), (F(1, 20), F(3, 20)), (F(1, 8), F(1, 9))], [F(1, 3)] * 3
    market = by_errors(pairs, weights)
    reduced, general = model.program(market, form="reduced"), model.program(market, form="general")
    assert reduced is not None and general is not None and reduced.columns < general.columns
    assert model.solve(market).run.columns == reduced.columns
    assert model.solve(market, Options(method="general")).run.columns == general.columns


@QUICK
@given(drawn_markets())
def test_the_certificate_and_the_claims_hold_the_truth(drawn: Drawn) -> None:
    market = by_errors(*drawn)
    truth = exact_revenue(market)
    answer = model.solve(market)
    bounds = bounds_of(answer)
    assert answer.status is Status.OPTIMAL and bounds.gap <= 1e-9
    assert F(bounds.lower) <= truth <= F(bounds.upper)
    for claim in model.theory(market):
        stated = F(claim.value)
        assert {"eq": stated == truth, "lower": stated <= truth, "upper": stated >= truth}[claim.relation], claim


@QUICK
@given(drawn_markets())
def test_the_audit_of_an_answer_is_its_value(drawn: Drawn) -> None:
    market = by_errors(*drawn)
    for exact in (False, True):
        answer = model.solve(market, Options(exact=exact))
        audit = audited(market, answer.mechanism)
        assert audit.good and audit.quantities["revenue"] == pytest.approx(answer.quantities["revenue"], abs=1e-12)
        assert audit.quantities["revenue"] == pytest.approx(bounds_of(answer).upper, abs=1e-9)
        menu = audited(market, {"items": items_of(answer)})
        assert menu.quantities["revenue"] >= bounds_of(answer).lower - 1e-12


@QUICK
@given(drawn_markets(), st.data())
def test_invariance(drawn: Drawn, data: st.DataObject) -> None:
    pairs, weights = drawn
    truth = exact_revenue(by_errors(pairs, weights))
    assert exact_revenue(by_errors([(b, a) for a, b in pairs], weights)) == truth
    order = data.draw(st.permutations(range(len(pairs))))
    assert exact_revenue(by_errors([pairs[r] for r in order], [weights[r] for r in order])) == truth
    other = data.draw(error_pairs(10))
    assert exact_revenue(by_errors([*pairs, other], [*weights, F(0)])) == truth
    split = [weights[0] / 3, *weights[1:], weights[0] * 2 / 3]
    assert exact_revenue(by_errors([*pairs, pairs[0]], split)) == truth


@QUICK
@given(drawn_markets(), st.integers(1, 4))
def test_buyers_without_errors_pay_nothing_and_scale_the_rest(drawn: Drawn, part: int) -> None:
    pairs, weights = drawn
    share = F(part, 5)
    diluted = by_errors([*pairs, (F(0), F(0))], [*(share * weight for weight in weights), 1 - share])
    assert exact_revenue(diluted) == share * exact_revenue(by_errors(pairs, weights))


@pytest.mark.parametrize("n", [5, 10, 20])
def test_grids_come_from_above_like_one_over_n(n: int) -> None:
    for k in ("0", "1/5"):
        alpha = {"dist": "uniform", "scale": F(1, 5) / (1 - F(k))}
        assert exact_revenue(on_line_grid(k, "3/10", alpha, size=n)) == F(8, 25) + F(1, 20 * n)


def test_convergence() -> None:
    for alpha in (ON_FIFTH["beta"], GAPPED):
        sizes = [4, 8, 16, 32]
        table = model.convergence(on_line(0, "3/10", alpha), sizes)
        best = bounds_of(model.solve(on_line(0, "3/10", alpha))).upper
        assert (table["line"] - best).abs().max() < 1e-9 and table["cells"].tolist() == sizes
        assert (table["menu on the line"] <= best + 1e-9).all() and (table["grid value"] >= best - 1e-9).all()
        assert ((table["grid value"] - best) * table["cells"] < 0.2).all()


def test_a_method_for_a_continuum_is_refused() -> None:
    market = by_errors([(F(1, 5), F(1, 5))], [F(1)])
    with pytest.raises(ModelError, match="the method two-tiers is for a continuum of types on a line"):
        model.solve(market, Options(method="two-tiers"))
