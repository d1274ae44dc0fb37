"""Claims of the talks on selling training data about types on a line: two tiers, and what leads to them.

000 is the later talk of Huang, Zhao and Zhong, 001 the earlier one, whose (theta1, theta2) are (beta, alpha). Docstrings name the
claims. Programs here are scipy's, written from the model; only where a test says so is the package's answer held against them.
"""

from __future__ import annotations

import itertools
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support.paths import INSTANCES
from support.training_data import HALF, UNIFORM, by_errors, on_line
from support.training_data_programs import (
    END,
    K,
    M,
    accuracy,
    error_experiment,
    joint_floats,
    reduced_menu,
    uniform_grid,
)

import optmarket as om
from optmarket.models import selling_training_data as model
from optmarket.rationals import exact, written_floats

HOME = INSTANCES / "selling-training-data"


def stated_revenue(name: str) -> Fraction:
    """The revenue that an instance states, as a proved equality."""
    claims = om.load(HOME / f"{name}.toml").expect
    (value,) = {Fraction(one.value) for one in claims if one.quantity == "revenue" and one.kind in {"analytic", "exact"}}
    return value


def test_errors_stay_feasible_along_a_line() -> None:
    """000-13: up to abar, if and only if k is at most 2m."""
    for k10, m10 in itertools.product(range(0, 10), range(0, 5)):
        k, m = Fraction(k10, 10), Fraction(m10, 10)
        end = (HALF - m) / (1 - k)
        assert end + m - k * end == HALF
        assert (m - k * end >= 0) == (k <= 2 * m)
    params = om.load(HOME / "line-steepest.toml").params
    assert isinstance(params, model.Params)
    steepest = model.market(params)
    assert isinstance(steepest, model.LineOfTypes) and steepest.k == 2 * M
    assert on_line("3/5", "3/10", UNIFORM).end == HALF
    with pytest.raises(ValueError, match="at most 2 m"):
        model.Line.model_validate({"k": "61/100", "m": "3/10"})


def tier_menu(share: Fraction) -> dict[str, Any]:
    """Two tiers with a cut-off at this share of the uniform line."""
    low = error_experiment(1 - K * (1 - share), share).tolist()
    items = [{"experiment": low, "price": float(M * (1 - share))}]
    items.append({"experiment": error_experiment(0, 0).tolist(), "price": float(M + (1 - K) * share * END)})
    return {"format": 1, "model": "selling-training-data", "items": items}


def test_cut_offs_and_the_transformed_objective() -> None:
    """000-16, 000-30: revenue of any cut-off, by audit, and its maximum; 000-33: the printed sign and constant are wrong."""
    found = {}
    for share in (Fraction(j, 20) for j in range(1, 20)):
        alpha = share * END
        revenue = om.audit(HOME / "line.toml", tier_menu(share)).quantities["revenue"]
        assert revenue == pytest.approx(float(M + share * ((1 - K) * END - share / 2)), abs=1e-9)
        # integral of 1 - F - t f from alpha to abar: of 1 - 2t/abar
        integral = (END - alpha) - (END**2 - alpha**2) / END
        drop = -(1 - K)
        printed = -(integral + 2 * M * alpha) / (1 - 2 * M) * drop
        assert revenue == pytest.approx(float(M - printed), abs=1e-9)
        found[share] = revenue
    assert max(found, key=lambda share: found[share]) == Fraction(1, 5)
    assert found[Fraction(1, 5)] == pytest.approx(0.32, abs=1e-9)


def test_no_drawn_menu_earns_more_on_a_line() -> None:
    """000-14, 001-23: menus of three items near the two tiers and far from them."""
    source = random.Random(14)
    for name in ("line", "line-fixed-error", "line-gap", "line-tied"):
        path = HOME / f"{name}.toml"
        best = float(stated_revenue(name))
        tiers = om.solve(path).mechanism["items"]
        for far in (0.02, 0.1, 0.5):
            for _ in range(6):
                items = []
                for item in [*tiers, tiers[0]]:
                    chances = far * np.array([[source.random() for _ in range(4)] for _ in range(2)])
                    told = written_floats(item["experiment"])
                    chances[:, : told.shape[1]] += told
                    chances /= chances.sum(axis=1, keepdims=True)
                    items.append(
                        {"experiment": chances.tolist(), "price": float(exact(item["price"])) * (1 - far * source.random())}
                    )
                menu = {"format": 1, "model": "selling-training-data", "items": items}
                assert om.audit(path, menu).quantities["revenue"] <= best + 1e-9


@pytest.mark.parametrize("k", [Fraction(0), Fraction(1, 5), Fraction(3, 5)])
def test_rows_that_lose_nothing_on_a_line(k: Fraction) -> None:
    """000-17: pi2/2 + price is one number; 000-24: pi2 <= pi1; 000-28: pi1 - k pi2 does not rise. 20 cells."""
    pairs, weights = uniform_grid(20, k), [1 / 20] * 20
    one = [([(3 * r + 1, s * HALF), (3 * r + 2, s), (1, -s * HALF), (2, -s)], 0) for r in range(1, 20) for s in (1, -1)]
    order = [([(3 * r + 1, 1), (3 * r, -1)], 0) for r in range(20)]
    falling = [([(3 * r + 3, 1), (3 * r + 4, -k), (3 * r, -1), (3 * r + 1, k)], 0) for r in range(19)]
    assert reduced_menu(weights, pairs)[0] == pytest.approx(0.3225, abs=1e-9)
    assert reduced_menu(weights, pairs, more=[*one, *order, *falling])[0] == pytest.approx(0.3225, abs=1e-9)
    other_way = [([(3 * r + 1, -1), (3 * r, 1)], 0) for r in range(20)]
    assert reduced_menu(weights, pairs, more=other_way)[0] < 0.3225 - 1e-4


def test_the_neutralization_line() -> None:
    """000-19, 000-22, 000-26: what followed items are worth along the line of types."""
    source = random.Random(19)
    for _ in range(50):
        alpha = END * Fraction(source.randint(0, 20), 20)
        beta = M - K * alpha
        first, second = Fraction(source.randint(1, 9), 10), Fraction(source.randint(1, 9), 10)

        def followed(first: Fraction, second: Fraction, alpha: Fraction = alpha) -> Fraction:
            return alpha + (M - K * alpha) - alpha * first - (M - K * alpha) * second

        assert followed(1 - K * (1 - second), second) == M * (1 - second)
        assert followed(first, second) == alpha * ((1 - K) - (first - K * second)) + M * (1 - second)
        step = Fraction(1, 20)
        gain = followed(first - K * step, second - step) - followed(first, second)
        assert gain == M * step < step / 2  # of ignoring own data: 1/2 a unit
        # 000-21: of ignoring own data with an item of pi2 <= pi1, which leaves pi2/2: the type enters additively
        if second <= first:
            assert (alpha + beta - second / 2) - (alpha + beta) == -second / 2


def test_the_type_between_following_and_ignoring_own_data() -> None:
    """000-23: lambda = (1/2 - m) pi2/(pi1 - k pi2); 000-20, 001-29: along the neutralization line it is abar pi2."""
    source = random.Random(23)
    for _ in range(50):
        second, first = sorted(Fraction(source.randint(1, 20), 20) for _ in range(2))
        border = (HALF - M) * second / (first - K * second)
        assert border * first + (M - K * border) * second == second / 2
        joint, chances = joint_floats(border / 2, M - K * border / 2), error_experiment(first, second)
        if border <= END:
            kept = 1 - (border / 2 * first + (M - K * border / 2) * second)
            assert accuracy(joint, chances) == pytest.approx(float(kept))  # a lower type obeys
        if border * 2 <= END:
            joint = joint_floats(border * 2, M - K * border * 2)
            assert accuracy(joint, chances) == pytest.approx(1 - float(second) / 2)  # a higher one does not
        along = (HALF - M) * second / (1 - K * (1 - second) - K * second)
        assert along == END * second


def test_the_two_tiers_of_the_uniform_line() -> None:
    """000-25, 000-27, 000-28, 000-31, 000-32, 001-28 to 001-30: what binds for whom."""
    cut, share = END / 5, Fraction(1, 5)
    low: tuple[Fraction, ...] = (1 - K * (1 - share), share, M * (1 - share))
    full: tuple[Fraction, ...] = (Fraction(0), Fraction(0), M + (1 - K) * cut)
    types = [END * Fraction(j, 40) for j in range(41)]

    def bought(alpha: Fraction) -> tuple[Fraction, ...]:
        return full if alpha >= cut else low

    def cost(alpha: Fraction, item: tuple[Fraction, ...]) -> Fraction:
        return min(alpha * item[0] + (M - K * alpha) * item[1], item[0] / 2, item[1] / 2) + item[2]

    for alpha in types:
        worth = alpha + M - K * alpha
        net = worth - cost(alpha, bought(alpha))
        assert cost(alpha, bought(alpha)) == min(cost(alpha, low), cost(alpha, full), worth)
        # 000-31: the integral of 1 - k - pi up to alpha is the net value, and not the value
        assert net == (1 - K) * max(alpha - cut, Fraction(0))
        assert net != worth - cost(alpha, bought(alpha)) + bought(alpha)[2]
        # 000-32: participation binds on the whole lower tier
        assert (net == 0) == (alpha <= cut)
        # 000-28
        assert bought(alpha)[0] - K * bought(alpha)[1] == (1 - K if alpha < cut else 0)
        if alpha < cut:  # 000-25: its own obedience is slack; ignoring own data with its item tempts all from the cut-off on
            assert alpha * low[0] + (M - K * alpha) * low[1] < low[1] / 2
    tempted = [alpha for alpha in types if low[1] / 2 + low[2] == cost(alpha, bought(alpha))]
    assert tempted == [alpha for alpha in types if alpha >= cut]
    border = (HALF - M) * low[1] / (low[0] - K * low[1])  # lambda of the lower tier; abar of complete data
    assert border == cut
    borders = {alpha: END if alpha >= cut else border for alpha in types}
    for one, other in itertools.combinations(types, 2):  # 001-29, 001-30
        assert borders[one] <= borders[other]
        assert (borders[one] == borders[other]) == (bought(one) == bought(other))
    # 000-27: lambda(a) <= lambda(a^) <= gamma(a) for a^ from a to lambda(a), if gamma is the largest type tempted, not the least
    for gamma, holds in ((max(tempted), True), (min(tempted), False)):
        assert all(border <= borders[at] <= gamma for at in types if at <= border) is holds
    # 000-32: the least type with pi < 1 - k is the cut-off; with <= it would be the lowest type
    change = {alpha: bought(alpha)[0] - K * bought(alpha)[1] for alpha in types}
    assert min(alpha for alpha in types if change[alpha] < 1 - K) == cut
    assert min(alpha for alpha in types if change[alpha] <= 1 - K) == 0


def test_obedience_when_one_error_is_fixed() -> None:
    """001-27: pi1/pi2 between theta/thetabar and (1/2 - theta)/(1/2 - thetabar), a range that shrinks as theta grows."""
    end = HALF - M
    before: tuple[Fraction, Fraction] | None = None
    for theta in (end * Fraction(j, 10) for j in range(1, 11)):
        least, most = theta / end, (HALF - theta) / (HALF - end)
        for one, other in itertools.product([Fraction(j, 12) for j in range(1, 13)], repeat=2):
            obeyed = M * one + theta * other <= min(one, other) / 2
            assert obeyed == (least <= one / other <= most)
        assert before is None or (before[0] < least and most < before[1])
        before = (least, most)
    assert before == (Fraction(1), Fraction(1))


def test_the_cut_off_theorem_needs_its_bar() -> None:
    """001-24: without the bar the maximum is at 0 and complete data go to all at 3/10; 001-26: with it, at a fifth."""
    end = HALF - M
    grid = [end * Fraction(j, 100) for j in range(101)]
    assert max(grid, key=lambda theta: theta * (theta - theta / end / 2)) == 0
    assert max(grid, key=lambda theta: theta * (end - theta / end / 2)) == end / 5
    assert M + Fraction(1, 5) * (end - Fraction(1, 10)) == stated_revenue("line-fixed-error") > M


def test_the_first_tier_names_a_state_to_both_own_signals_only_if_it_is_true() -> None:
    """001-25, 001-33: action 2 to both own signals in state 2 alone; state 1 is never told apart."""
    low = written_floats(om.solve(HOME / "line-fixed-error.toml").mechanism["items"][0]["experiment"])
    assert low[0] == pytest.approx([1, 0], abs=1e-9)
    assert low[1] == pytest.approx([0.2, 0.8], abs=1e-9)
    joint = joint_floats(0.03, 0.3)  # below the cut-off, 1/25
    after = joint[:, None, :] * low[:, :, None]  # [state][signal][own signal]
    assert after.argmax(axis=0).tolist() == [[0, 1], [1, 1]]  # own data after the first signal, state 2 after the second
    assert (after[0, 1] == 0).all()


@pytest.mark.parametrize("cells", [20, 40, 80])
def test_grids_approach_the_line_from_above(cells: int) -> None:
    """000-14, 001-32: 1/(20 n) above the two tiers of the whole line, for any k."""
    for k in (Fraction(0), Fraction(2, 5)):
        market = by_errors(uniform_grid(cells, k), [Fraction(1, cells)] * cells)
        found = model.solve(market).quantities["revenue"]
        assert found == pytest.approx(0.32 + 0.05 / cells, abs=1e-8)
