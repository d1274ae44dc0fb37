"""Menus of few items: against an enumeration of who buys what by another program, and what must hold of any answer."""

from __future__ import annotations

import itertools
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support import one_buyer as model
from support.assignments import best_for, labellings
from support.limited_menus import SEARCHES, SMALL, answered, at, best, limited
from support.paths import INSTANCES
from support.plain_markets import Case, Numbers

import optmarket as om
from optmarket.certificates import Claim
from optmarket.errors import InstanceError, ModelError
from optmarket.instances.instance import canonical
from optmarket.options import Options, Status

HOME = INSTANCES / "selling-information"


# An enumeration written from the mathematics ----------------------------------------------------------------------------


def by_enumeration(case: Case, most: int) -> float:
    """The best of all assignments' programs: free prices, no item given, a signal for every vector of the group's replies."""
    worth = np.einsum("rwc,rwa->rwca", np.array(case.joint, dtype=float), np.array(case.payoff, dtype=float))
    weight = np.array(case.weight, dtype=float)
    return max(best_for(worth, weight, labels) for labels in labellings(len(weight), most))


@pytest.mark.parametrize("number", [*range(12), *(pytest.param(k, marks=pytest.mark.slow) for k in range(12, len(SMALL)))])
def test_enumeration_finds_the_same(number: int) -> None:
    answer, value = answered(number), by_enumeration(*SMALL[number])
    assert answer.status is Status.OPTIMAL
    assert answer.certificate.lower - 1e-12 <= value <= answer.certificate.upper + 1e-9
    assert answer.quantities["revenue"] == pytest.approx(value, abs=1e-9)


def test_the_searches_are_searches() -> None:
    for number in range(len(SEARCHES)):
        answer = answered(number)
        assert answer.method == "branch and bound"
        assert answer.quantities["loss"] > 1e-5


# The menu reported --------------------------------------------------------------------------------------------------------


def surely(case: Case, items: list[dict[str, Any]]) -> Fraction:
    """What a menu of floats earns, in fractions and with every tie against the seller."""
    total = Fraction(0)
    for f, joint, payoff in zip(case.weight, case.joint, case.payoff, strict=True):

        def worth(signal: list[Fraction], joint: Any = joint, payoff: Any = payoff) -> Fraction:
            return sum(
                (
                    max(sum((joint[w][c] * payoff[w][a] * signal[w] for w in case.states), Fraction(0)) for a in case.actions)
                    for c in case.contexts
                ),
                Fraction(0),
            )

        offers = [(worth([Fraction(1)] * len(case.states)), Fraction(0))]
        for item in items:
            rows = [[Fraction(x) for x in row] for row in item["experiment"]]
            rows = [[x / sum(row) for x in row] for row in rows]
            price = Fraction(item["price"])
            offers.append((sum(map(worth, map(list, zip(*rows, strict=True))), Fraction(0)) - price, price))
        most = max(utility for utility, _ in offers)
        total += f * min(price for utility, price in offers if utility == most)
    return total


@pytest.mark.parametrize("number", range(len(SMALL)))
def test_the_menu_earns_its_lower_bound(number: int) -> None:
    (case, most), answer = SMALL[number], answered(number)
    items = answer.mechanism["items"]
    assert len(items) <= most
    assert set(answer.mechanism) == {"items"}
    if answer.exact is None:
        assert answer.certificate.lower <= surely(case, items) <= answer.certificate.upper
    audited = model.audit(limited(case.params(), most), answer.mechanism)
    assert audited.quantities["revenue"] == answer.quantities["revenue"]
    assert answer.certificate.lower <= audited.quantities["revenue"] + 1e-15


@pytest.mark.parametrize("number", range(len(SMALL)))
def test_signals_are_used_and_mean_different_things(number: int) -> None:
    for item in answered(number).mechanism["items"]:
        signals = np.array(item["experiment"]).T
        assert signals.sum(axis=1).min() > 0
        meaning = signals / signals.sum(axis=1, keepdims=True)
        apart = np.abs(meaning[:, None] - meaning).max(axis=2) + np.eye(len(signals))
        assert apart.min() > 1e-9


# What must hold in any market ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [case for case, _ in SEARCHES[::4]])
def test_more_items_earn_no_less_and_one_a_type_suffices(case: Case) -> None:
    whole = best(case, None)
    earned = [best(case, most).quantities for most in range(1, len(case.weight) + 2)]
    revenue = [found["revenue"] for found in earned]
    assert all(more >= fewer - 1e-9 for fewer, more in itertools.pairwise(revenue))
    assert revenue[-2:] == pytest.approx([whole.quantities["revenue"]] * 2, abs=1e-9)
    for found in earned:
        assert found["unrestricted-revenue"] == pytest.approx(whole.quantities["revenue"], abs=1e-9)
        assert found["loss"] == pytest.approx(whole.quantities["revenue"] - found["revenue"], abs=1e-9)
        assert found["loss"] >= 0


@pytest.mark.parametrize("case", [case for case, _ in SMALL[::3]])
def test_one_item_is_full_information_at_the_best_price(case: Case) -> None:
    def worth(joint: Numbers, payoff: Numbers) -> Fraction:
        pairs = list(itertools.product(case.states, case.contexts))
        full = sum((joint[w][c] * max(payoff[w]) for w, c in pairs), Fraction(0))
        for c in case.contexts:
            full -= max(sum(joint[w][c] * payoff[w][a] for w in case.states) for a in case.actions)
        return full

    values = [worth(joint, payoff) for joint, payoff in zip(case.joint, case.payoff, strict=True)]
    value = max(price * sum(f for f, v in zip(case.weight, values, strict=True) if v >= price) for price in values)
    for exact in (False, True):
        answer = best(case, 1, Options(exact=exact))
        assert answer.exact == value
        assert (answer.status, answer.method) == (Status.OPTIMAL, "closed form")
        assert answer.quantities["revenue"] == pytest.approx(float(value), abs=1e-15)
        assert answer.mechanism["items"][0]["experiment"] == np.eye(len(case.states)).tolist()


def test_names_and_units_do_not_matter() -> None:
    for number, (case, most) in [*enumerate(SEARCHES)][::4]:
        value = answered(number).quantities["revenue"]
        types = [*case.types][::-1]
        states = [*case.states[1:], 0]
        actions = [*case.actions[1:], 0]
        renamed = Case(
            [case.weight[r] for r in types],
            [[case.joint[r][w] for w in states] for r in types],
            [[[case.payoff[r][w][a] for a in actions] for w in states] for r in types],
        )
        assert best(renamed, most).quantities["revenue"] == pytest.approx(value, abs=1e-9)
        scaled = replace(case, payoff=[[[700 * x + w for x in row] for w, row in enumerate(u)] for u in case.payoff])
        assert best(scaled, most).quantities["revenue"] == pytest.approx(700 * value, rel=1e-9)


def test_types_that_pay_nothing_do_not_matter() -> None:
    for number, (case, most) in [*enumerate(SEARCHES)][::6]:
        value = answered(number).quantities["revenue"]
        absent = Case([*case.weight, Fraction(0)], [*case.joint, case.joint[1]], [*case.payoff, case.payoff[0]])
        assert best(absent, most).quantities["revenue"] == pytest.approx(value, abs=1e-9)
        same = [[Fraction(1)] * len(case.actions) for _ in case.states]
        content = Case([f / 2 for f in case.weight] + [Fraction(1, 2)], [*case.joint, case.joint[1]], [*case.payoff, same])
        assert best(content, most).quantities["revenue"] == pytest.approx(value / 2, abs=1e-9)


def test_a_type_in_two_halves_is_one_type() -> None:
    case, most = SEARCHES[0]
    half = case.weight[0] / 2
    halved = Case([half, half, *case.weight[1:]], [case.joint[0], *case.joint], [case.payoff[0], *case.payoff])
    assert best(halved, most).quantities["revenue"] == pytest.approx(best(case, most).quantities["revenue"], abs=1e-9)


# Exactly ------------------------------------------------------------------------------------------------------------------


def test_exact_if_nothing_is_lost() -> None:
    for name, most, value in (
        ("two-types", 2, Fraction(19, 70)),
        ("market-survey", 3, Fraction(13, 12)),
        ("sells-nothing", 2, 0),
    ):
        answer = model.solve(at(name, most), Options(exact=True))
        assert answer.exact == value
        assert answer.status is Status.OPTIMAL
        assert len(answer.mechanism["items"]) <= most
        assert answer.quantities["revenue"] == pytest.approx(float(value), abs=1e-15)
        assert answer.quantities["loss"] == pytest.approx(0, abs=1e-15)


def test_exact_is_refused_if_something_is() -> None:
    with pytest.raises(ModelError, match="is 2, and the exact optimum without it has 3 items") as caught:
        model.solve(at("market-survey", 2), Options(exact=True))
    assert caught.value.field == "params.max_items"


# Fields and errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [(0, "0"), (-1, "-1"), (Fraction(3, 2), "3/2"), (Decimal("0.5"), "0.5"), (True, "true"), ("2", "'2'"), ([2], "a list")],
)
def test_a_number_of_items_is_whole(given: object, said: str) -> None:
    with pytest.raises(ValueError, match=f"is {said}; must be a whole number, at least 1"):
        model.Params.model_validate({"types": [{"weight": 1, "belief": [1, 0]}], "max_items": given})


def test_a_number_of_items_that_is_no_number() -> None:
    for given in (Decimal("nan"), Decimal("inf"), 10**400):
        with pytest.raises(ValueError, match=r"finite|fit a double"):
            model.Params.model_validate({"types": [{"weight": 1, "belief": [1, 0]}], "max_items": given})


def test_sweeps_and_decimals_may_set_it() -> None:
    for given in (2, Fraction(2), Decimal("2.0"), 2.0):
        params = model.Params.model_validate({"types": [{"weight": 1, "belief": [1, 0]}], "max_items": given})
        assert type(params.max_items) is int
        assert '"max_items":2' in canonical("selling-information", params)


def test_left_out_it_leaves_no_trace() -> None:
    params: Any = om.load(HOME / "two-types.toml").params
    assert "max_items" not in canonical("selling-information", params)
    assert "loss" not in model.solve(params).quantities


def test_what_a_limit_rules_out() -> None:
    params = at("two-types", 2)
    with pytest.raises(ModelError, match="leave it out to export") as caught:
        model.program(params)
    assert caught.value.field == "params.max_items"
    with pytest.raises(ModelError, match="there is no method 'full'; leave the method out"):
        model.solve(params, Options(method="full"))


def test_an_audit_counts_different_items() -> None:
    whole: Any = model.solve(at("two-types", 2)).mechanism
    with pytest.raises(InstanceError, match=r"lists 2 different items; the market allows 1 \(max_items\)") as caught:
        model.audit(at("two-types", 1), whole)
    assert caught.value.field == "items"
    full = {"experiment": [[1, 0], [0, 1]], "price": Fraction(1, 4)}
    split = {"experiment": [[0, "1/3", "2/3"], [1, 0, 0]], "price": Fraction(1, 4)}
    nothing = {"experiment": [["1/2", "1/2"], ["1/2", "1/2"]], "price": 0}
    assert model.audit(at("two-types", 1), {"items": [full, split, nothing]}).quantities["revenue"] == 0.25
    swapped = {"experiment": [[0, 1], [1, 0]], "price": Fraction(1, 4)}
    model.audit(at("two-types", 1), {"items": [full, swapped], "assignment": [0, 1]})
    dearer = full | {"price": Fraction(1, 5)}
    with pytest.raises(InstanceError, match="lists 2 different items"):
        model.audit(at("two-types", 1), {"items": [full, dearer], "assignment": [0, 1]})


def test_closed_forms_become_bounds() -> None:
    def said(most: int | None) -> list[tuple[str, str]]:
        params: Any = om.load(HOME / "two-types.toml").params
        return [(claim.value, claim.relation) for claim in model.theory(limited(params, most))]

    assert said(None) == [("19/70", "eq"), ("1/4", "lower"), ("13/40", "upper")]
    assert said(2) == [("19/70", "upper"), ("1/4", "lower"), ("13/40", "upper")]
    assert said(1) == [("19/70", "upper"), ("1/4", "eq"), ("1/4", "lower"), ("13/40", "upper")]


def test_a_claim_about_a_quantity_that_is_not_reported_stays_open() -> None:
    case = om.load(HOME / "two-types.toml")
    solution = om.solve(replace(case, expect=(Claim("loss", "0"),)))
    claim = solution.claims[0]
    assert (claim.true, claim.error, claim.met) == (None, None, None)
    assert solution.good


def test_it_is_shown_and_drawn() -> None:
    solution = om.solve(HOME / "reduced-credit-report.toml")
    assert list(solution.menu["item"].unique()) == [1, 2]
    assert [column for column in solution.menu.columns if column.startswith("signal")] == ["signal 1", "signal 2"]
    assert len(solution.plot().axes) > 2
    table = om.tables([solution])
    assert any(column.startswith("loss") for column in table.columns)
