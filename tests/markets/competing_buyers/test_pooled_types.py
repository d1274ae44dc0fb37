"""Types who make one report: their optimum is that of types held equal, and reports without mass are treated as the nearest."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support.competing_markets import INCENTIVES, judge, optimum, pooled, proof, random_groups, with_groups

from optmarket.lp import highs
from optmarket.lp.program import Rows
from optmarket.models.competing_buyers.market import FiniteTypes
from optmarket.models.competing_buyers.mechanisms.report_counts import SymmetricGroups
from optmarket.models.competing_buyers.solvers import general_lp
from optmarket.models.competing_buyers.solvers.general_lp import GeneralFormulation, of_positive_weight, payment_unit
from optmarket.options import Options, Status
from optmarket.rationals import floats


def sold(share: str) -> FiniteTypes:
    """What one buyer is told matters, who believes 1/2 or 3/4."""
    types = [{"weight": share, "belief": ["1/2", "1/2"]}, {"weight": 1 - Fraction(share), "belief": ["3/4", "1/4"]}]
    other = {"types": [{"weight": 1, "value": 0, "belief": ["1/2", "1/2"]}]}
    return with_groups([{"types": types}, other], "bayesian", externality=0)


@pytest.mark.parametrize("share", ["9/10", "1"])
def test_one_price_for_types_treated_alike(share: str) -> None:
    # the state is worth 1/2 to the first type and 1/4 to the second, who comes along even if it has no weight
    given = sold(share)
    assert optimum(general_lp.build(given)) >= float(Fraction(share) / 2) - 1e-9
    answer = general_lp.solve(pooled(given, [0, 0]), Options())
    assert answer.quantities["revenue"] == pytest.approx(1 / 4, abs=1e-9)
    assert proof(answer).gap < 1e-8
    assert np.array(answer.mechanism.to_json()["payments"][0]) == pytest.approx([1 / 4], abs=1e-9)


@pytest.mark.parametrize(("ic", "belief"), [("bayesian", "own"), ("bayesian", "other"), ("ex-post", "own")])
@pytest.mark.parametrize("counts", [((1, 3), (1, 2)), ((2, 3),), ((2, 3), (1, 2))])
def test_types_pooled_are_types_held_equal(counts: tuple[tuple[int, int], ...], ic: str, belief: str) -> None:
    report = [0, 0, 1]
    given = with_groups(random_groups(15, counts, 2, common=False), ic, externality_belief=belief)
    free = general_lp.build(given)
    value = optimum(free)
    held, groups = general_lp.build(given), SymmetricGroups.of(given)
    for g in range(len(groups)):
        cases = groups.others(g)
        lists = [cases.reports(h) for h in range(len(groups))]
        keys: dict[Any, list[Any]] = {}
        for s in range(cases.total):
            met = tuple(tuple(sorted(report[k] if h == 0 else k for k in each[s])) for h, each in enumerate(lists))
            for k in range(groups.types[g].reports):
                keys.setdefault((met, report[k] if g == 0 else k), []).append((s, k))
        for name in ("experiment", "payment", "correct"):
            block = held.variables.get(f"{name} {g + 1}")
            if block is None:
                continue
            by_case = ic == "ex-post" or name == "correct"
            alike = [[block[s, k] if by_case else block[k] for s, k in cells] for cells in keys.values()]
            pairs = [np.stack([np.ravel(one), np.ravel(cells[0])], axis=1) for cells in alike for one in cells[1:]]
            index = np.concatenate([np.zeros((0, 2), dtype=np.int64), *pairs])
            index = index[index[:, 0] != index[:, 1]]
            # payments are measured by the values of who makes the report
            unit = np.ones(held.columns)
            if name == "payment":
                unit[block] = np.broadcast_to(floats(payment_unit(groups.types[g])), block.shape)
            rows = Rows.dense(index, unit[index] * [1.0, -1.0], 0.0, 0.0)
            held.add_rows(f"alike {name} {g + 1}", rows)
    small = pooled(given, report)
    program = general_lp.build(small)
    assert optimum(program) == pytest.approx(optimum(held), abs=1e-8)
    listed = program.full()
    assert optimum(listed) == pytest.approx(optimum(held), abs=1e-8)
    assert listed.size() == program.size(full=True)
    assert optimum(program) < value - 1e-4
    answer = general_lp.solve(small, Options())
    assert answer.status is Status.OPTIMAL
    assert judge(small, answer.mechanism.to_json()).good


@pytest.mark.parametrize("ic", INCENTIVES)
@pytest.mark.parametrize("counts", [((3, 3),), ((2, 3), (1, 2))])
def test_rivals_believe_what_their_report_means(counts: tuple[tuple[int, int], ...], ic: str) -> None:
    # the mechanism is judged by the mean belief of each report; a program that took another would miss its own bound
    given = pooled(with_groups(random_groups(15, counts, 3, common=False), ic, externality_belief="other"), [0, 0, 1])
    answer = general_lp.solve(given, Options())
    assert answer.status is Status.OPTIMAL
    assert abs(proof(answer).gap) < 1e-8
    assert judge(given, answer.mechanism.to_json()).good


def test_reports_without_mass_are_treated_as_the_nearest() -> None:
    chances = [Fraction(1, 10), Fraction(7, 8), Fraction(1, 4), Fraction(1, 3), Fraction(4, 5)]
    types = [{"weight": w, "belief": [b, 1 - b]} for w, b in zip([0, 0, "1/2", 0, "1/2"], chances, strict=True)]
    given = pooled(with_groups([{"count": 2, "types": types}], "bayesian"), [0, 1, 2, 2, 3])
    active, like = of_positive_weight(given)
    assert active.buyers[0].names == ("3", "4", "5")
    assert active.buyers[0].report.tolist() == [0, 0, 1]
    assert [one.tolist() for one in like] == [[0, 1, 0, 1]]
    answer = general_lp.solve(given, Options())
    assert answer.status is Status.OPTIMAL
    told, paid = (np.array(answer.mechanism.to_json()[name][0]) for name in ("experiments", "payments"))
    assert np.array_equal(paid, paid[[2, 3, 2, 3]])
    assert np.array_equal(told, told[[2, 3, 2, 3]][:, [2, 3, 2, 3]])


@pytest.mark.parametrize("ic", INCENTIVES)
def test_who_is_asked_too_much_pays_less(ic: str) -> None:
    given = pooled(with_groups(random_groups(15, ((2, 3), (1, 2)), 2, common=False), ic), [0, 0, 1])
    program = general_lp.build(given)
    x = highs.solve(program).x
    assert x is not None
    mended = GeneralFormulation(given).read_point(program, x)
    for g, (kind, _) in enumerate(given.groups, start=1):
        x[program.variables[f"payment {g}"]] += 0.25 / floats(payment_unit(kind))
    again = GeneralFormulation(given).read_point(program, x)
    for view, other in zip(mended.allocations, again.allocations, strict=True):
        assert other.surplus.min() == pytest.approx(0, abs=1e-12)
        assert other.payment == pytest.approx(view.payment, abs=1e-9)
