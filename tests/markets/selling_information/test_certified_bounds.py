"""What bounds on one-buyer revenue are certain of: ties against the seller, and the rounding of floats."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support.markets import Case, full_information, full_worth, menu_revenue, optimum_of, verify
from support.one_buyer import market_in
from support.proofs import proof
from support.random_markets import random_market

import optmarket as om
from optmarket.distributions.cdf import PiecewiseLinear
from optmarket.errors import SolverError
from optmarket.instances import instance
from optmarket.lp import exact_arithmetic, highs
from optmarket.modeling import registry
from optmarket.models.selling_information import Params, market, solve
from optmarket.models.selling_information.continuum.envelope_menu import CertifiedMenu
from optmarket.models.selling_information.continuum.envelope_search import upper_bound
from optmarket.models.selling_information.continuum.segment_market import SegmentMarket
from optmarket.models.selling_information.posting import direct_menu
from optmarket.options import Options, Status
from optmarket.rationals import around

third = Fraction(1, 3)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("price", ["1/2", "3/8", "3/4"])
def test_the_lower_end_of_a_menu_is_earned_with_ties_against_the_seller(price: str, exact: bool) -> None:
    """Full information is worth 1/2 to a third of buyers and 3/8 to the others: at either price some are indifferent."""
    half, eighths = [[Fraction(1, 2)], [Fraction(1, 2)]], [[Fraction(3, 8)], [Fraction(5, 8)]]
    pays = [[Fraction(1), Fraction(0)], [Fraction(0), Fraction(1)]]
    case = Case("ties", [third, 2 * third], [half, eighths], [pays, pays])
    types = market_in(case.toml())
    full = np.array([[[Fraction(1), Fraction(0)], [Fraction(0), Fraction(1)]]], dtype=object)
    posted = np.array([Fraction(price)], dtype=object)
    menu, lower = direct_menu(types, *((full, posted) if exact else (full.astype(float), posted.astype(float))))
    against, in_favour = menu_revenue(case, menu.to_json())
    assert Fraction(lower) <= against <= in_favour
    # and hardly less than what it earns with ties for the seller
    best = {"1/2": Fraction(1, 6), "3/8": Fraction(3, 8), "3/4": Fraction(0)}[price]
    assert lower == pytest.approx(float(best), rel=1e-8)


def test_the_lower_end_of_a_menu_covers_the_rounding_of_what_items_are_worth() -> None:
    """At a price that is a hair above what full information is worth nobody buys it, though in floats it may seem worth it."""
    rng = random.Random(3)
    for k in range(60):
        states = rng.choice([3, 4])
        parts = [Fraction(rng.randint(1, 97)) for _ in range(states)]
        joint = [[part / sum(parts)] for part in parts]
        pays = [[Fraction(int(a == w)) for a in range(states)] for w in range(states)]
        case = Case(f"hair {k}", [Fraction(1)], [joint], [pays])
        types = market_in(case.toml())
        nearest = float(full_worth(joint, pays))
        for price in (math.nextafter(nearest, 0), nearest, math.nextafter(nearest, 1)):
            menu, lower = direct_menu(types, np.eye(states)[None], np.array([price]))
            assert Fraction(lower) <= menu_revenue(case, menu.to_json())[0]


@pytest.mark.parametrize("exactly", [False, True])
@pytest.mark.parametrize("ends", [Status.INFEASIBLE, Status.UNBOUNDED, None])
def test_a_solver_that_fails_leaves_bounds(ends: Status | None, exactly: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(session: Any, seconds: float | None) -> tuple[Status, bool]:
        if ends is None:
            raise SolverError("HiGHS refused the program")
        return ends, False

    monkeypatch.setattr(highs.Session, "run", run)
    if not exactly:
        monkeypatch.setattr(exact_arithmetic, "AT_MOST", 0)
        monkeypatch.setattr(exact_arithmetic, "FREELY", 0)
    case = random_market(32, "plain")
    solution = om.solve(instance.parse(case.toml(), lambda name: registry.get(name).params), method="full")
    right = optimum_of(case)
    assert verify(case, solution, right) == []
    single = full_information(case.weights, case.joint, case.payoff)
    worths = [full_worth(joint, payoff) for joint, payoff in zip(case.joint, case.payoff, strict=True)]
    first_best = sum((weight * each for weight, each in zip(case.weights, worths, strict=True)), Fraction(0))
    assert single < right < first_best
    if exactly:
        assert solution.good
    else:
        assert solution.status is Status.GAP
        assert proof(solution).lower == pytest.approx(float(single), rel=1e-9)
        assert proof(solution).upper <= around(first_best)[1]


def test_the_bound_of_a_uniform_distribution_carries_its_own_rounding() -> None:
    """Of beliefs uniform on [0, 1] the bound for a dual value m is ((1 - m)^2 + m^2) / 4 exactly."""
    uniform = PiecewiseLinear((Fraction(0), Fraction(1)), (Fraction(0), Fraction(1)))
    for k in range(1, 300):
        m = Fraction(k / 301)
        exact = ((1 - m) ** 2 + m**2) / 4
        bound = upper_bound(uniform, float(m))
        assert exact <= Fraction(bound) <= exact + Fraction(1, 10**14)


def earned(low: Fraction, high: Fraction, value: Fraction, items: list[dict[str, Any]]) -> Fraction:
    """What a menu earns from beliefs uniform on [low, high] and matching payoffs, exactly, ties against the seller."""
    menu = []
    for item in items:
        rows = [[Fraction(p) / sum(map(Fraction, row)) for p in row] for row in item["experiment"]]
        menu.append((list(zip(*rows, strict=True)), Fraction(item["price"])))

    def gain(theta: Fraction, item: tuple[Sequence[tuple[Fraction, Fraction]], Fraction]) -> Fraction:
        signals, price = item
        told = sum((max(theta * p, (1 - theta) * q) for p, q in signals), Fraction(0))
        return value * (told - max(theta, 1 - theta)) - price

    kinks = {low, high, Fraction(1, 2), *(q / (p + q) for signals, _ in menu for p, q in signals if p + q)}
    ends = sorted(kink for kink in kinks if low <= kink <= high)
    cuts = set(ends)
    for left, right in itertools.pairwise(ends):  # gains are linear between kinks
        gains = [(Fraction(0), Fraction(0)), *((gain(left, item), gain(right, item)) for item in menu)]
        for (a, b), (c, d) in itertools.combinations(gains, 2):
            if (a - c) * (b - d) < 0:
                cuts.add(left + (right - left) * (a - c) / (a - c - b + d))
    total = Fraction(0)
    for left, right in itertools.pairwise(sorted(cuts)):
        _, less = max([(Fraction(0), Fraction(0)), *((gain((left + right) / 2, item), -item[1]) for item in menu)])
        total -= less * (right - left) / (high - low)
    return total


def test_the_lower_end_of_a_continuum_is_less_than_the_menu_earns() -> None:
    rng = random.Random(1)
    for _ in range(15):
        low = Fraction(rng.randint(0, 60), 97)
        high = min(low + Fraction(rng.randint(1, 36), 97), Fraction(1))
        value = Fraction(rng.randint(1, 500), rng.choice([7, 100, 3]))
        belief = {"dist": "uniform", "loc": str(low), "scale": str(high - low)}
        answer = solve(market(Params.model_validate({"belief": belief, "value": str(value)})), Options())
        earns = earned(low, high, value, answer.mechanism.to_json()["items"])
        assert Fraction(proof(answer).lower) <= earns <= Fraction(proof(answer).upper)
        assert proof(answer).lower == pytest.approx(float(earns), rel=1e-12)


def test_the_lower_end_of_a_continuum_holds_with_ties_against_the_seller() -> None:
    """To all who would buy it full information at 3/8 is worth as much as an item that is right with 7/8, at 1/4."""
    params = Params.model_validate({"belief": {"dist": "uniform"}})
    uniform = market(params)
    assert isinstance(uniform, SegmentMarket)
    noisy = [[7 / 8, 1 / 8], [1 / 8, 7 / 8]]
    posted = CertifiedMenu.of(uniform.types, np.array([np.eye(2), noisy]), np.array([3 / 8, 1 / 4]))
    items = [{"experiment": np.eye(2).tolist(), "price": 3 / 8}, {"experiment": noisy, "price": 1 / 4}]
    assert posted.revenue == earned(Fraction(0), Fraction(1), Fraction(1), items) == Fraction(1, 16)
    assert earned(Fraction(0), Fraction(1), Fraction(1), items[:1]) == Fraction(3, 32)
