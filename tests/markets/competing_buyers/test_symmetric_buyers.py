"""Symmetric buyers described as one group earn as much as buyers described one by one, in both linear programs."""

from __future__ import annotations

from fractions import Fraction
from types import ModuleType

import numpy as np
import pytest
from support.competing_markets import (
    EVEN,
    EXTERNALITY_BELIEFS,
    INCENTIVES,
    judge,
    optimum,
    proof,
    random_groups,
    separate,
    with_groups,
)

from optmarket.errors import ModelError
from optmarket.models.competing_buyers.solvers import general_lp, reduced_form_lp
from optmarket.models.competing_buyers.virtual_values.optimal_rule import optimal_rule
from optmarket.options import Options, Status

GROUPS = [((3, 2),), ((2, 2), (1, 2)), ((1, 1), (2, 3)), ((2, 2), (2, 1))]


@pytest.mark.parametrize("ic", INCENTIVES)
@pytest.mark.parametrize("belief", EXTERNALITY_BELIEFS)
@pytest.mark.parametrize("states", [2, 3])
@pytest.mark.parametrize("counts", GROUPS)
def test_symmetric_buyers_may_be_treated_symmetrically(
    counts: tuple[tuple[int, int], ...], states: int, belief: str, ic: str
) -> None:
    groups = random_groups(states, counts, states, common=False)
    symmetric = with_groups(groups, ic, externality_belief=belief)
    one_by_one = with_groups(separate(groups), ic, externality_belief=belief)
    program = general_lp.build(symmetric)
    value = optimum(general_lp.build(one_by_one))
    assert optimum(program) == pytest.approx(value, abs=1e-8)
    assert optimum(program.full()) == pytest.approx(value, abs=1e-8)
    assert program.columns < general_lp.build(one_by_one).columns
    answer = general_lp.solve(symmetric, Options())
    assert answer.status is Status.OPTIMAL
    judged = judge(one_by_one, answer.mechanism.to_json())
    assert judged.good
    assert judged.quantities["revenue"] == pytest.approx(value, abs=1e-8)


@pytest.mark.parametrize("ic", INCENTIVES)
@pytest.mark.parametrize("states", [2, 3])
@pytest.mark.parametrize("counts", [((2, 3),), ((4, 2),), *GROUPS])
def test_the_reduced_program_too(counts: tuple[tuple[int, int], ...], states: int, ic: str) -> None:
    groups = random_groups(1, counts, states, common=True)
    groups[0]["types"] += [{"weight": 0, "value": 0}, {"weight": 0, "value": 33}]
    prior = [Fraction(3, 5), *[Fraction(2, 5) / (states - 1)] * (states - 1)]
    symmetric, one_by_one = (with_groups(given, ic, prior=prior) for given in (groups, separate(groups)))
    exact = optimal_rule(symmetric, exact=True).revenue
    for given in (symmetric, one_by_one):
        assert optimum(reduced_form_lp.build(given)) == pytest.approx(float(exact), abs=1e-9)
        assert optimum(reduced_form_lp.build(given, exact=True)) == pytest.approx(float(exact), abs=1e-9)
        answer = reduced_form_lp.solve(given, Options())
        assert answer.status is Status.OPTIMAL
        assert proof(answer).lower <= float(exact) + 1e-12 and float(exact) - 1e-12 <= proof(answer).upper
        assert proof(answer).gap < 1e-8
        judged = judge(one_by_one, answer.mechanism.to_json())
        assert judged.good
        assert judged.quantities["revenue"] == pytest.approx(float(exact), abs=1e-8)


@pytest.mark.parametrize(("ic", "value"), [("bayesian", "29/12"), ("ex-post", "47/20")])
def test_three_symmetric_buyers_proved_exactly(ic: str, value: str) -> None:
    types = [{"weight": "1/3", "belief": ["5/6", "1/6"]}, {"weight": "2/3", "belief": ["1/2", "1/2"]}]
    groups = [{"count": 3, "types": types}]
    answer = general_lp.solve(with_groups(groups, ic), Options(exact=True))
    assert answer.status is Status.OPTIMAL
    assert answer.exact is not None
    assert float(answer.exact) == pytest.approx(optimum(general_lp.build(with_groups(separate(groups), ic))), abs=1e-9)
    assert answer.exact == Fraction(value)


@pytest.mark.parametrize("ic", INCENTIVES)
@pytest.mark.parametrize("belief", EXTERNALITY_BELIEFS)
def test_a_column_stands_once_in_a_row(belief: str, ic: str) -> None:
    groups = random_groups(5, ((4, 2), (2, 2)), 2, common=False)
    program = general_lp.build(with_groups(groups, ic, externality_belief=belief))
    listed = [*program.full().rows.values(), *(family.initial_cuts() for family in program.families.values())]
    common = with_groups(random_groups(5, ((4, 2), (2, 2)), 2, common=True), ic, prior=EVEN)
    for rows in [*listed, *reduced_form_lp.build(common).rows.values()]:
        cells = np.stack([rows.owner(), rows.index])
        assert len(rows) > 0
        assert np.unique(cells, axis=1).shape == cells.shape


@pytest.mark.parametrize("form", [general_lp, reduced_form_lp])
@pytest.mark.parametrize("ic", INCENTIVES)
@pytest.mark.parametrize("belief", EXTERNALITY_BELIEFS)
def test_sizes_are_known_before_anything_is_built(
    belief: str, ic: str, form: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[int, int, int]] = []
    monkeypatch.setattr(form, "check_memory", lambda *size: said.append(size[:3]))
    prior = {"prior": ["1/2", "1/3", "1/6"]} if form is reduced_form_lp else {}
    groups = random_groups(8, ((3, 3), (1, 2), (2, 1)), 3, common=form is reduced_form_lp)
    *size, nonzeros = form.build(with_groups(groups, ic, externality_belief=belief, **prior)).size()
    ((*known, most),) = said
    assert size == known
    assert nonzeros <= most <= 1.5 * nonzeros


@pytest.mark.parametrize("form", [general_lp, reduced_form_lp])
@pytest.mark.parametrize("ic", INCENTIVES)
def test_ten_buyers_without_a_list_of_profiles(ic: str, form: ModuleType) -> None:
    group = {"count": 10, "types": [{"weight": "1/3", "value": k} for k in (1, 2, 4)]}
    given = with_groups([group], ic, prior=EVEN)
    exact = float(optimal_rule(given, exact=True).revenue)
    answer = form.solve(given, Options())
    assert answer.status is Status.OPTIMAL
    assert proof(answer).lower <= exact <= proof(answer).upper
    judged = judge(given, answer.mechanism.to_json())
    assert judged.good
    assert judged.quantities == pytest.approx(answer.quantities)
    assert judged.quantities["revenue"] == pytest.approx(exact, rel=1e-7)


def test_the_reduced_program_is_refused_where_it_is_too_large_or_not_exact() -> None:
    group = {"count": 16, "types": [{"weight": Fraction(1, 40), "value": k} for k in range(1, 41)]}
    for ic in INCENTIVES:
        with pytest.raises(ModelError, match=r'16 buyers and 42,949,672,960,.* profiles .*"virtual-values" would do'):
            reduced_form_lp.build(with_groups([group], ic, prior=EVEN))
    with pytest.raises(ModelError, match="ask for virtual-values"):
        reduced_form_lp.solve(with_groups([group], "bayesian", prior=EVEN), Options(exact=True))
