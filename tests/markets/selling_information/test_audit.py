"""One buyer, judged: menus and direct mechanisms by hand and by loops, certificates recomputed in rationals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from support import one_buyer as model
from support.one_buyer import types_of
from support.paths import INSTANCES
from support.proofs import rounds

import optmarket as om
from optmarket.errors import InstanceError
from optmarket.models.selling_information.experiments import differential_informativeness, informativeness_of_cheapest
from optmarket.options import Options

LIBRARY = INSTANCES / "selling-information"
TWO = [{"weight": "1/2", "belief": ["1/4", "3/4"]}, {"weight": "1/2", "belief": ["3/5", "2/5"]}]
FULL = [[1, 0], [0, 1]]
VIOLATIONS = {"misreport", "disobey", "double-deviation", "individual-rationality"}


def params(types: Any, **others: Any) -> model.Params:
    return model.Params.model_validate({"types": types, **others})


def assert_close(found: Mapping[str, float], **expected: Any) -> None:
    for name, value in expected.items():
        assert found[name.replace("_", "-")] == pytest.approx(float(Fraction(value)), abs=1e-12), name


# Menus from which buyers choose ---------------------------------------------------------------------------------------


def test_a_menu_by_hand() -> None:
    # Type 1 believes (1/4, 3/4): worth 3/4 without data, 1 with all, and with the half-blind item
    #   signal 1: 1/8 by acting 1; signal 2: 3/4 by acting 2; together 7/8, so 1/8 more than nothing.
    # Type 2 believes (3/5, 2/5): 3/5 without data, 1 with all, with the half-blind item 3/10 + 2/5 = 7/10, 1/10 more.
    # At prices 1/16 and 1/4 type 1 gains 1/8 - 1/16 = 1/16 by the half-blind item, 1/4 - 1/4 = 0 by all: it takes the first.
    # Type 2 gains 1/10 - 1/16 = 3/80 and 2/5 - 1/4 = 3/20: it takes all.
    # Revenue (1/16 + 1/4) / 2 = 5/32; surplus (1/16 + 3/20) / 2 = 17/160; welfare (1/8 + 2/5) / 2 = 21/80.
    menu = {
        "items": [{"experiment": FULL, "price": "1/4"}, {"experiment": [["1/2", "1/2"], [0, 1]], "price": "1/16"}],
    }
    found = model.audit(params(TWO), menu)
    assert (found.violations, found.unit, found.good) == ({}, 1.0, True)
    assert_close(found.quantities, revenue="5/32", surplus="17/160", welfare="21/80", share_buying=1)
    table = model.tables(params(TWO), menu)["menu"]
    assert table["item"].tolist() == [1, 1, 2, 2]  # cheapest first
    assert table["kind"].tolist() == ["partial"] * 2 + ["full"] * 2
    assert table["bought by"].tolist() == ["1", "1", "2", "2"]
    types = model.tables(params(TWO), menu)["types"]
    assert types["item"].tolist() == [1, 2]
    np.testing.assert_allclose(types["gain"], [1 / 16, 3 / 20], atol=1e-12)


def test_ties_go_to_the_seller_and_the_null_item_is_free() -> None:
    # all at 1/4: type 1 is indifferent to buying, so it buys; at a hair more it does not
    quantities = model.audit(params(TWO), {"items": [{"experiment": FULL, "price": "1/4"}]}).quantities
    assert_close(quantities, revenue="1/4", share_buying=1, surplus="3/40")
    quantities = model.audit(params(TWO), {"items": [{"experiment": FULL, "price": "250001/1000000"}]}).quantities
    assert_close(quantities, revenue="250001/2000000", share_buying="1/2")
    # between equal items the dearer, however they are listed; between identical ones the price decides for the buyer
    same = [{"experiment": [["1/2", "1/2"], [0, 1]], "price": "1/8"}, {"experiment": FULL, "price": "1/4"}]
    for items in (same, same[::-1]):
        assert_close(model.audit(params([TWO[0]] * 2), {"items": items}).quantities, revenue="1/4", share_buying=1)
    twice = [{"experiment": FULL, "price": "1/5"}, {"experiment": FULL, "price": "1/6"}]
    assert_close(model.audit(params(TWO), {"items": twice}).quantities, revenue="1/6", share_buying=1)


def test_negative_prices_are_paid_to_everybody() -> None:
    menu = {"items": [{"experiment": [[1], [1]], "price": "-1/10"}, {"experiment": FULL, "price": "1/5"}]}
    # type 1 gains 1/20 by all and 1/10 by being paid for nothing; type 2 gains 1/5 by all
    assert_close(model.audit(params(TWO), menu).quantities, revenue="1/20", surplus="3/20", welfare="1/5", share_buying=1)


def test_dear_items_and_an_empty_menu_sell_nothing() -> None:
    for items in ([], [{"experiment": FULL, "price": "3/5"}]):
        found = model.audit(params(TWO), {"items": items})
        assert_close(found.quantities, revenue=0, surplus=0, welfare=0, share_buying=0)
        types = model.tables(params(TWO), {"items": items})["types"]
        assert types["item"].tolist() == [0, 0] and types["price"].tolist() == [0, 0]
    assert (
        model.tables(params(TWO), {"items": [{"experiment": FULL, "price": 1}]})["menu"]["bought by"].tolist() == ["nobody"] * 2
    )


def test_more_signals_than_actions() -> None:
    # state 1: thirds on three signals; state 2: half each on signals 3 and 4. Type 1 acts 2 on signal 3 (3/8 against 1/12),
    # so it is right but for 1/12: worth 11/12, gain 1/6; type 2 acts the same way (1/5 each, a tie): worth 4/5, gain 1/5.
    experiment = [["1/3", "1/3", "1/3", 0], [0, 0, "1/2", "1/2"]]
    found = model.audit(params(TWO), {"items": [{"experiment": experiment, "price": "1/6"}]})
    assert_close(found.quantities, revenue="1/6", surplus="1/60", share_buying=1)
    table = model.tables(params(TWO), {"items": [{"experiment": experiment, "price": "1/6"}]})["menu"]
    assert list(table.columns)[6:] == ["signal 1", "signal 2", "signal 3", "signal 4"]


# Direct mechanisms ----------------------------------------------------------------------------------------------------


def direct(items: list[tuple[Any, Any]], assignment: list[int | None]) -> dict[str, Any]:
    return {"items": [{"experiment": e, "price": t} for e, t in items], "assignment": assignment}


def violated(found: om.Audit) -> dict[str, float]:
    assert set(found.violations) == VIOLATIONS
    return {name: value for name, value in found.violations.items() if value > 1e-12}


def test_nothing_violated() -> None:
    # the optimum by hand, 19/70 (see the closed form): half-blind 3/7-item for type 1 at 1/4 - 3/28, all for type 2 at 2/5
    item = [["4/7", "3/7"], [0, 1]]
    # type 1 gains 1/4 * 4/7 = 1/7 at price 1/7; type 2 would gain 3/5 * 4/7 + 2/5 - 3/5 = 1/7, at that price nothing
    found = model.audit(params(TWO), direct([(item, "1/7"), (FULL, "2/5")], [0, 1]))
    assert violated(found) == {}
    assert found.good
    assert_close(found.quantities, revenue="19/70", revenue_best_reply="19/70", surplus=0, share_buying=1)


def test_only_individual_rationality_is_violated() -> None:
    found = model.audit(params([TWO[0]] * 2), direct([(FULL, "3/10")], [0, 0]))
    assert violated(found) == {"individual-rationality": pytest.approx(1 / 20, abs=1e-12)}
    assert_close(found.quantities, revenue="3/10", revenue_best_reply=0, surplus="-1/20", welfare="1/4")
    assert not found.good and found.worst == pytest.approx(1 / 20, abs=1e-12)


def test_only_misreporting_pays() -> None:
    # both get all; type 2 pays 1/10, type 1 pays 1/4: it gains 3/20 by saying 2, with or without obeying
    found = model.audit(params(TWO), direct([(FULL, "1/4"), (FULL, "1/10")], [0, 1]))
    assert violated(found) == {"misreport": pytest.approx(0.15, abs=1e-12), "double-deviation": pytest.approx(0.15, abs=1e-12)}
    assert_close(found.quantities, revenue="7/40", revenue_best_reply="1/10")


def test_only_disobeying_pays() -> None:
    # a safe third action pays 1/2; type 1 is told to play safe in state 1: obeying 1/8 + 3/4, best reply 1, price 1/10
    payoff = [[1, 0, "1/2"], [0, 1, "1/2"]]
    found = model.audit(params([{**TWO[0], "weight": 1}], payoff=payoff), direct([([[0, 0, 1], [0, 1, 0]], "1/10")], [0]))
    assert violated(found) == {"disobey": pytest.approx(0.125, abs=1e-12), "double-deviation": pytest.approx(0.125, abs=1e-12)}
    assert_close(found.quantities, revenue="1/10", surplus="1/40", welfare="1/8", revenue_best_reply="1/10")


def test_only_both_together_pay() -> None:
    # type 2 acts on the opposite sign, at a fifth of the stakes: its item costs 1/10, and type 1 reads it the other way round
    half = ["1/2", "1/2"]
    types = [{"weight": "1/2", "belief": half}, {"weight": "1/2", "belief": half, "payoff": [[0, "1/5"], ["1/5", 0]]}]
    mechanism = direct([(FULL, "1/2"), ([[0, 1], [1, 0]], "1/10")], [0, 1])
    found = model.audit(params(types), mechanism)
    assert violated(found) == {"double-deviation": pytest.approx(0.4, abs=1e-12)}
    assert_close(found.quantities, revenue="3/10", revenue_best_reply="1/10")


def test_weightless_types_violate_nothing() -> None:
    greedy = {"weight": 0, "belief": ["1/2", "1/2"]}
    mechanism = direct([(FULL, "1/4"), (FULL, 1)], [0, 0, 1])
    assert violated(model.audit(params([*TWO, greedy]), mechanism)) == {}
    loud = [{**TWO[0], "weight": "499/1000"}, TWO[1], {**greedy, "weight": "1/1000"}]
    assert set(violated(model.audit(params(loud), mechanism))) == {"misreport", "double-deviation", "individual-rationality"}


def naive_audit(market: model.Params, mechanism: Mapping[str, Any]) -> dict[str, Fraction]:
    """The definitions in loops and rationals, for types with a joint measure and payoffs of their own."""
    items = [([[Fraction(p) for p in row] for row in item["experiment"]], Fraction(item["price"])) for item in mechanism["items"]]
    first = types_of(market)[0]
    assert first.joint is not None and first.payoff is not None
    states, contexts, actions = range(len(first.joint)), range(len(first.joint[0])), range(len(first.payoff[0]))
    profiles = list(product(actions, repeat=len(contexts)))
    gains = dict.fromkeys((*sorted(VIOLATIONS), "revenue", "welfare", "revenue-best-reply"), Fraction(0))
    for buyer, place in zip(types_of(market), mechanism["assignment"], strict=True):
        joint, payoff = buyer.joint, buyer.payoff
        assert joint is not None and payoff is not None

        def after(experiment: Any, s: int, c: int, a: int, joint: Any = joint, payoff: Any = payoff) -> Fraction:
            return sum((joint[w][c] * experiment[w][s] * payoff[w][a] for w in states), Fraction(0))

        nothing = [[Fraction(1)]] * len(states)
        outside = sum((max(after(nothing, 0, c, a) for a in actions) for c in contexts), Fraction(0))
        obey: list[Fraction] = []
        best: list[Fraction] = []
        for experiment, price in items:
            signals = range(len(experiment[0]))
            obey.append(sum(after(experiment, s, c, profiles[s][c]) for s in signals for c in contexts) - price)
            best.append(sum(max(after(experiment, s, c, a) for a in actions) for s in signals for c in contexts) - price)
        own, own_best = (outside, outside) if place is None else (obey[place], best[place])
        used = {other for other in mechanism["assignment"] if other is not None}
        left = [outside] if None in mechanism["assignment"] else []
        paid = Fraction(0) if place is None else items[place][1]
        gains["revenue"] += buyer.weight * paid
        gains["welfare"] += buyer.weight * (own + paid - outside)
        free = [(outside, Fraction(0)), *((best[k], price) for k, (_, price) in enumerate(items))]
        gains["revenue-best-reply"] += buyer.weight * max(free)[1]  # the best for the buyer, then the highest-priced
        if buyer.weight:
            for name, gain in (
                ("misreport", max([obey[k] for k in used] + left) - own),
                ("disobey", own_best - own),
                ("double-deviation", max([best[k] for k in used] + left) - own),
                ("individual-rationality", outside - own),
            ):
                gains[name] = max(gains[name], gain)
    return gains


def random_market(rng: np.random.Generator, n: int, states: int, actions: int, contexts: int) -> model.Params:
    def shares(count: int) -> list[Fraction]:
        drawn = rng.integers(0, 9, size=count)
        drawn[rng.integers(count)] += 1
        return [Fraction(int(k), int(drawn.sum())) for k in drawn]

    types = []
    for weight in shares(n):
        flat = shares(states * contexts)
        joint = [flat[w * contexts : (w + 1) * contexts] for w in range(states)]
        payoff = [[Fraction(int(k), 6) for k in rng.integers(-6, 7, size=actions)] for _ in range(states)]
        types.append({"weight": weight, "joint": joint, "payoff": payoff})
    return params(types, payoff=types[0]["payoff"])


@pytest.mark.parametrize("shape", [(2, 2, 1), (3, 3, 1), (2, 3, 1), (3, 2, 2), (2, 2, 3)])
@pytest.mark.parametrize("seed", range(8))
def test_audit_against_loops(seed: int, shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(seed)
    states, actions, contexts = shape
    market, profiles = random_market(rng, 5, *shape), actions**contexts
    items = []
    for _ in range(4):
        rows = rng.integers(0, 4, size=(states, profiles))
        rows[:, 0] += 1
        experiment = [[str(Fraction(int(p), int(row.sum()))) for p in row] for row in rows]
        items.append((experiment, str(Fraction(int(rng.integers(-10, 40)), 60))))
    assignment = [None if k == 4 else int(k) for k in rng.integers(0, 5, size=5)]
    mechanism = direct(items, assignment)
    found, expected = model.audit(market, mechanism), naive_audit(market, mechanism)
    for name in VIOLATIONS:
        assert found.violations[name] == pytest.approx(float(expected[name]), abs=1e-12), name
    assert_close(found.quantities, **{name: expected[name] for name in ("revenue", "welfare", "revenue-best-reply")})
    assert_close(model.audit(market, {"items": mechanism["items"]}).quantities, revenue=expected["revenue-best-reply"])
    assert found.quantities["surplus"] == pytest.approx(float(expected["welfare"] - expected["revenue"]), abs=1e-12)
    buying = sum((b.weight for b, place in zip(types_of(market), assignment, strict=True) if place is not None), Fraction(0))
    assert_close(found.quantities, share_buying=buying)


# How unevenly the cheapest item tells two states apart ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("experiment", "q"),
    [
        ([[1, 0], [0, 1]], 0),
        ([[0, 1], [1, 0]], 0),
        ([[0.78, 0.22], [0, 1]], -0.22),
        ([[0.22, 0.78], [1, 0]], -0.22),
        ([[1, 0], [0.3, 0.7]], 0.3),
        ([[0.5, 0.2, 0.3, 0], [0.1, 0, 0, 0.9]], None),  # three that mean different things
        ([[0.5, 0.2, 0.3], [0, 0, 1]], -0.3),
        ([[0, 0.7, 0.2, 0.1], [0, 0, 0.6, 0.4]], None),
        ([[0, 0.7, 0.15, 0.15], [0, 0, 0.5, 0.5]], -0.3),
        ([[1, 0], [1, 0]], None),
        ([[0.5, 0.5], [0.5, 0.5]], None),
        ([[0.8, 0.2], [0.2, 0.8]], None),  # 0, and not full information
    ],
)
def test_how_unevenly_an_experiment_tells(experiment: list[list[float]], q: float | None) -> None:
    found = differential_informativeness(np.array(experiment, dtype=float))
    assert found == (None if q is None else pytest.approx(q, abs=1e-12))


def test_the_cheapest_item_sold_is_the_one_told_of() -> None:
    low, high, full = [[0.6, 0.4], [0.0, 1.0]], [[1.0, 0.0], [0.6, 0.4]], [[1.0, 0.0], [0.0, 1.0]]

    def told(items: list[tuple[list[list[float]], float]], sold: list[int]) -> dict[str, float]:
        experiment, price = (np.array(part, dtype=float) for part in zip(*items, strict=True))
        return informativeness_of_cheapest(experiment, price, np.array(sold, dtype=int))

    named = "differential-informativeness"
    assert told([(full, 3), (low, 2), (high, 1)], [0, 1]) == {named: pytest.approx(-0.4)}
    assert told([(full, 3), (low, 2)], [0]) == {named: 0}
    assert told([(full, 3), (low, 2)], []) == {}
    assert told([(high, 2), (low, 2)], [0, 1]) == {}
    assert told([(low, 2), ([[0.4, 0.6], [1.0, 0.0]], 2)], [0, 1]) == {named: pytest.approx(-0.4)}
    assert told([(low, -2), (full, -1)], [0, 1]) == {named: pytest.approx(-0.4)}


def test_other_markets_than_two_by_two_are_told_nothing_of() -> None:
    for name in ("two-contexts", "two-states-three-actions", "three-states-matching", "sells-nothing"):
        assert "differential-informativeness" not in om.solve(LIBRARY / f"{name}.toml").quantities
    for name in ("two-types", "setting-a"):
        found = om.solve(LIBRARY / f"{name}.toml")
        assert "differential-informativeness" in found.quantities.keys() & found.audit.quantities.keys()


MECHANISM_MISTAKES = [
    ({"items": [{"experiment": [[1, 0]], "price": 0}]}, "items[0].experiment"),
    ({"items": [{"experiment": [[1, 0], [1]], "price": 0}]}, "items[0].experiment"),
    ({"items": [{"experiment": [[1, "1/10"], [0, 1]], "price": 0}]}, "items[0].experiment"),
    ({"items": [{"experiment": [["3/2", "-1/2"], [0, 1]], "price": 0}]}, "items[0].experiment"),
    ({"items": [{"experiment": [], "price": 0}]}, "items[0].experiment"),
    ({"items": [{"experiment": FULL}]}, "items[0].price"),
    ({"items": [{"experiment": FULL, "price": float("nan")}]}, "items[0].price"),
    ({"items": [{"experiment": FULL, "price": 0}], "assignment": [0]}, "assignment"),
    ({"items": [{"experiment": FULL, "price": 0}], "assignment": [0, 1]}, "assignment[1]"),
    ({"items": [{"experiment": FULL, "price": 0}], "assignment": [-1, 0]}, "assignment[0]"),
    ({"items": [{"experiment": [[1], [1]], "price": 0}], "assignment": [0, 0]}, "items"),
    ({}, "items"),
]


@pytest.mark.parametrize(("mechanism", "field"), MECHANISM_MISTAKES)
def test_mechanisms_that_do_not_fit(mechanism: Any, field: str) -> None:
    with pytest.raises(InstanceError) as caught:
        model.audit(params(TWO), mechanism)
    assert caught.value.field == field


# Certificates ---------------------------------------------------------------------------------------------------------


def earned_against_ties(market: model.Params, mechanism: Mapping[str, Any]) -> Fraction:
    """What the posted numbers, read to the last bit, earn when every tie goes against the seller."""
    total = Fraction(0)
    for buyer in types_of(market):
        joint, payoff = buyer.joint, buyer.payoff
        assert joint is not None and payoff is not None
        states, contexts, actions = range(len(joint)), range(len(joint[0])), range(len(payoff[0]))

        def worth(
            experiment: Any, s: int, c: int, joint: Any = joint, payoff: Any = payoff, over: Any = (states, actions)
        ) -> Any:
            return max(sum(joint[w][c] * experiment[w][s] * payoff[w][a] for w in over[0]) for a in over[1])

        options = [(-sum((worth([[1]] * len(states), 0, c) for c in contexts), Fraction(0)), Fraction(0))]
        for item in mechanism["items"]:
            rows = [[Fraction(p) for p in row] for row in item["experiment"]]
            rows = [[p / sum(row) for p in row] for row in rows]  # the floats of a row miss one by an ulp
            price = Fraction(item["price"])
            value = sum(worth(rows, s, c) for s in range(len(rows[0])) for c in contexts)
            options.append((price - value, price))
        total += buyer.weight * min(options)[1]
    return total


@pytest.mark.parametrize("shape", [(2, 2, 1), (3, 3, 1), (2, 3, 1), (2, 2, 2)])
@pytest.mark.parametrize("seed", range(6))
def test_the_lower_bound_is_what_the_menu_surely_earns(seed: int, shape: tuple[int, int, int]) -> None:
    market = random_market(np.random.default_rng(seed + 50), 6, *shape)
    answer, exact = (model.solve(market, Options(exact=exact)) for exact in (False, True))
    posted = json.loads(json.dumps(answer.mechanism))
    earned = earned_against_ties(market, posted)
    assert exact.exact is not None
    assert Fraction(answer.certificate.lower) <= earned <= exact.exact <= Fraction(answer.certificate.upper)
    assert answer.quantities["revenue"] == pytest.approx(float(earned), abs=1e-12)
    assert answer.certificate.gap == (answer.certificate.upper - answer.certificate.lower) / answer.certificate.upper
    assert answer.certificate.gap <= 1e-8


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_answers_mechanism_passes_its_audit(seed: int, exact: bool) -> None:
    market = random_market(np.random.default_rng(seed + 90), 5, 3, 3, 1)
    answer = model.solve(market, Options(exact=exact))
    found = model.audit(market, answer.mechanism)
    assert set(found.violations) == VIOLATIONS and found.worst <= 1e-12
    for name, value in found.quantities.items():
        if name != "revenue-best-reply":
            assert answer.quantities[name] == pytest.approx(value, abs=1e-12)
    assert found.quantities["revenue-best-reply"] == pytest.approx(found.quantities["revenue"], abs=1e-9)
    free = {"items": answer.mechanism["items"]}
    assert model.audit(market, free).quantities["revenue"] == pytest.approx(found.quantities["revenue-best-reply"], abs=1e-12)


@pytest.mark.parametrize("factor", ["1/1000000", "1000000", "3/7"])
def test_certificates_scale_with_payoffs(factor: str) -> None:
    plain = model.solve(params(TWO))
    scaled = model.solve(params([{**buyer, "value": factor} for buyer in TWO]))
    times = float(Fraction(factor))
    assert scaled.certificate.lower / times <= 19 / 70 * (1 + 1e-15) and scaled.certificate.upper / times >= 19 / 70 * (1 - 1e-15)
    assert max(plain.certificate.gap, scaled.certificate.gap) <= 1e-9
    assert scaled.certificate.upper - scaled.certificate.lower <= 1e-9 * times
    assert scaled.quantities["revenue"] / times == pytest.approx(plain.quantities["revenue"], abs=1e-9)
    found = model.audit(params([{**buyer, "value": factor} for buyer in TWO]), scaled.mechanism)
    assert found.worst <= 1e-12 * times
    assert times <= found.unit < 2 * times


def test_stopped_at_once_the_answer_still_holds() -> None:
    types = [{"weight": "1/40", "belief": [f"{2 * k + 1}/80", f"{79 - 2 * k}/80"]} for k in range(40)]
    truth = Fraction(1, 8) + Fraction(1, 160)
    for method in ("cuts", "full"):
        answer = model.solve(params(types), Options(method=method, time_limit=0))
        assert Fraction(answer.certificate.lower) <= truth <= Fraction(answer.certificate.upper)
        assert answer.certificate.lower > 0 and answer.certificate.upper <= 0.25 + 1e-9  # posted price, first best
        assert answer.status == ("optimal" if answer.certificate.gap <= 1e-6 else "time limit")
        assert model.audit(params(types), answer.mechanism).worst <= 1e-9


def test_a_gap_that_is_good_enough_stops_early() -> None:
    types = [{"weight": "1/40", "belief": [f"{2 * k + 1}/80", f"{79 - 2 * k}/80"]} for k in range(40)]
    rough, fine = (model.solve(params(types), Options(gap=gap)) for gap in (0.2, 1e-9))
    assert (rough.status, fine.status) == ("optimal", "optimal")
    assert rounds(rough.run) <= rounds(fine.run) and rough.certificate.gap <= 0.2 and fine.certificate.gap <= 1e-9
    assert Fraction(rough.certificate.lower) <= Fraction(21, 160) <= Fraction(rough.certificate.upper)
    assert model.solve(params(types), Options(gap=1e-300)).status == "gap not reached"


def test_interrupted_the_answer_still_holds() -> None:
    def interrupt(line: om.Progress) -> None:
        raise KeyboardInterrupt

    answer = model.solve(params(TWO), Options(progress=interrupt))
    assert answer.status == "interrupted"
    assert answer.certificate.lower <= 19 / 70 <= answer.certificate.upper
