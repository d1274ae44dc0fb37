"""Claims of the talks on selling training data that no single instance decides, by programs and algebra written here.

000 is the later talk of Huang, Zhao and Zhong, 001 the earlier one, whose (theta1, theta2) are (beta, alpha). Docstrings name the
claims. Programs here are scipy's, written from the model; only where a test says so is the package's answer held against them.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.sparse import coo_matrix
from support.paths import INSTANCES

import optmarket as om
from optmarket.models.selling_training_data import Line, Params, solve, two_types
from optmarket.rationals import exact, written_floats
from optmarket.solution import Options

HOME = INSTANCES / "selling-training-data"
SMALL = 60  # types up to which an instance is also proved exactly
LISTED = 12  # types up to which a second program lists all there is

Pair = tuple[Fraction, Fraction]
HALF = Fraction(1, 2)
H: Pair = (Fraction(1, 5), Fraction(1, 5))
POOL: Pair = (Fraction(9, 50), Fraction(9, 50))
OUT: Pair = (Fraction(1, 20), Fraction(1, 20))
NESTED: Pair = (Fraction(1, 20), Fraction(3, 20))
RECTANGLE: Pair = (Fraction(9, 100), Fraction(9, 50))
H4: Pair = (Fraction(1, 4), Fraction(3, 20))
FREE: Pair = (Fraction(1, 50), Fraction(9, 50))
K, M = Fraction(1, 5), Fraction(3, 10)  # the line of the instance `line`, alpha uniform
END = (HALF - M) / (1 - K)
OWN = 1  # of the profiles: always 1, own data, against own data, always 2


# Programs --------------------------------------------------------------------------------------------------------------


class Rows:
    """Rows ``sum of terms <= side`` for scipy."""

    def __init__(self) -> None:
        self.terms: list[tuple[int, int, float]] = []
        self.sides: list[float] = []

    def at_most(self, terms: Iterable[tuple[int, Any]], side: Any) -> None:
        self.terms += [(len(self.sides), column, float(value)) for column, value in terms]
        self.sides.append(float(side))

    def solve(self, cost: np.ndarray, bounds: Any, equal: Rows | None = None) -> Any:
        def matrix(rows: Rows) -> Any:
            at, column, value = (np.array(part) for part in zip(*rows.terms, strict=True))
            return coo_matrix((value, (at, column)), shape=(len(rows.sides), len(cost))).tocsr()

        other = {} if equal is None else {"A_eq": matrix(equal), "b_eq": equal.sides}
        found = linprog(cost, matrix(self), self.sides, bounds=bounds, method="highs", **other)
        assert found.status == 0, found.message
        return found


def measure(alpha: Any, beta: Any) -> np.ndarray:
    """Probability of each state and own signal."""
    return np.array([[0.5 - alpha, alpha], [beta, 0.5 - beta]], dtype=float)


def general(weights: Sequence[Any], measures: Sequence[np.ndarray], profiles: Sequence[tuple[int, ...]] | None = None) -> float:
    """Most revenue from any experiments with these signals; each names an action at every own signal, but need not be obeyed."""
    states, contexts = measures[0].shape
    named = list(itertools.product(range(states), repeat=contexts)) if profiles is None else list(profiles)
    types, width = len(weights), states * len(named) + 1
    rows, equal = Rows(), Rows()
    # after the items: what type r earns with item q after each signal and own signal, at most its best action's
    columns = types * width

    def sent(item: int, state: int, signal: int) -> int:
        return item * width + state * len(named) + signal

    def price(item: int) -> int:
        return item * width + width - 1

    for r in range(types):
        follow = [
            (sent(r, w, s), measures[r][w, c]) for s, profile in enumerate(named) for c, w in enumerate(profile)
        ]  # the weight of being right
        outside = measures[r].max(axis=0).sum()
        rows.at_most([*((at, -value) for at, value in follow), (price(r), 1)], -outside)
        for q in range(types):
            best = []
            for s, c in itertools.product(range(len(named)), range(contexts)):
                for action in range(states):
                    rows.at_most([(sent(q, action, s), measures[r][action, c]), (columns, -1)], 0)
                best.append((columns, 1))
                columns += 1
            rows.at_most([*((at, -value) for at, value in follow), (price(r), 1), *best, (price(q), -1)], 0)
    for q, w in itertools.product(range(types), range(states)):
        equal.at_most([(sent(q, w, s), 1) for s in range(len(named))], 1)
    cost = np.zeros(columns)
    cost[[price(r) for r in range(types)]] = -np.array(weights, dtype=float)
    return -rows.solve(cost, (0, None), equal).fun


def reduced(
    weights: Sequence[Any],
    pairs: Sequence[Pair],
    *,
    drop: bool = True,
    more: Sequence[tuple[list[tuple[int, Any]], Any]] = (),
    fixed: dict[int, Any] | None = None,
) -> tuple[float, np.ndarray]:
    """Most revenue from items (pi1, pi2) at prices t, columns 3 r to 3 r + 2; and the menu.

    Without ``drop`` no buyer misreports and then ignores its own data.
    """
    rows = Rows()
    for r, (alpha, beta) in enumerate(pairs):
        own = [(3 * r, alpha), (3 * r + 1, beta), (3 * r + 2, 1)]
        rows.at_most(own, alpha + beta)
        for i in range(2):  # obedience
            rows.at_most([(3 * r, alpha), (3 * r + 1, beta), (3 * r + i, -HALF)], 0)
        for q in range(len(pairs)):
            if q != r:
                rows.at_most([*own, (3 * q, -alpha), (3 * q + 1, -beta), (3 * q + 2, -1)], 0)
                for i in range(2 * drop):
                    rows.at_most([*own, (3 * q + i, -HALF), (3 * q + 2, -1)], 0)
    for terms, side in more:
        rows.at_most(terms, side)
    bounds = [(0.0, 1.0) if column % 3 < 2 else (None, None) for column in range(3 * len(pairs))]
    for column, value in (fixed or {}).items():
        bounds[column] = (float(value), float(value))
    cost = np.zeros(3 * len(pairs))
    cost[2::3] = [-float(weight) for weight in weights]
    found = rows.solve(cost, bounds)
    return -found.fun, found.x


def two(high: Pair, low: Pair, **others: Any) -> float:
    return reduced([HALF, HALF], [high, low], **others)[0]


def uniform_grid(cells: int, k: Fraction = K) -> list[Pair]:
    """The line's types at the middle of cells."""
    end = (HALF - M) / (1 - k)
    points = [end * Fraction(2 * j + 1, 2 * cells) for j in range(cells)]
    return [(alpha, M - k * alpha) for alpha in points]


def experiment(first: Any, second: Any) -> np.ndarray:
    """Chances of the four profiles in each state: always 1, own data, against own data, always 2."""
    return np.array([[1 - first, first, 0, 0], [0, second, 0, 1 - second]], dtype=float)


def right(joint: np.ndarray, chances: np.ndarray) -> float:
    """How often a buyer is right that acts for the best after every signal and own signal."""
    return float((joint[:, None, :] * chances[:, :, None]).max(axis=0).sum())


def drawn(seed: int, count: int, unit: int = 40) -> list[tuple[Pair, Pair]]:
    """Pairs of types, the one that values complete data more first."""
    source = random.Random(seed)
    triangle = [(Fraction(i, unit), Fraction(j, unit)) for i in range(unit // 2 + 1) for j in range(unit // 2 + 1 - i)]
    found = []
    while len(found) < count:
        high, low = sorted(source.sample(triangle, 2), key=lambda pair: pair[0] + pair[1], reverse=True)
        found.append((high, low))
    return found


PAIRS = drawn(1, 60)
SERVED = [(H, POOL), (H, OUT), (H, NESTED), (H, RECTANGLE), (H4, FREE), ((H4[1], H4[0]), (FREE[1], FREE[0]))]


def four_policies(high: Pair, low: Pair) -> list[Fraction]:
    """Revenue of I, II, III and IV and their mirrors where they are defined."""
    found = [sum(low, Fraction(0)), sum(high, Fraction(0)) / 2]
    for (a, b), (x, y) in ((high, low), (high[::-1], low[::-1])):
        if y <= b and x <= a and b < HALF and 2 * a <= 1 - 2 * b:
            left = 2 * a / (1 - 2 * b)
            found.append((a + b + (2 * y - b) * (1 - left)) / 2)
        if y > b and x < a:
            k = a / (HALF - b)
            first, second = y - b, a - x
            if second != k * first:
                found.append(a + b - k * (second - first) / (second - k * first) / 4)
    return found


# The instances ---------------------------------------------------------------------------------------------------------


@cache
def loaded(path: Path) -> Any:
    return om.load(path)


def stated(path: Path, quantity: str = "revenue") -> Fraction:
    """The value an instance states for a quantity, as a proved equality: once, or the same every time."""
    claims = [claim for claim in loaded(path).expect if claim.quantity == quantity and claim.kind in {"analytic", "exact"}]
    (value,) = {Fraction(claim.value) for claim in claims}
    return value


def small(most: int) -> list[Any]:
    paths = [path for path in sorted(HOME.glob("*.toml")) if not path.stem.startswith("classifiers")]
    return [path for path in paths if not loaded(path).params.on_continuum and _types(path) <= most]


def _types(path: Path) -> int:
    params = loaded(path).params
    return params.grid.size if params.grid else len(params.information.types)


def stem(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", small(SMALL), ids=stem)
def test_exact_value_is_the_stated_one_in_both_formulations(path: Path) -> None:
    solution = om.solve(path, exact=True)
    assert solution.good
    assert solution.exact == stated(path)
    if loaded(path).params.has_pairs:
        other = "reduced" if loaded(path).params.formulation == "general" else "general"
        case = loaded(path).params.model_copy(update={"formulation": other})
        assert solve(case, Options(exact=True)).exact == stated(path)


@pytest.mark.parametrize("path", small(LISTED), ids=stem)
def test_a_second_program_agrees(path: Path) -> None:
    types = loaded(path).params.information.types
    joints = [np.array(t.joint, dtype=float) for t in types]
    assert general([t.weight for t in types], joints) == pytest.approx(float(stated(path)), abs=1e-9)


def test_the_gallery_is_there() -> None:
    two_types = {"", "-pool", "-exclude", "-rent-free", "-rectangle", "-mirrored", "-rent-free-mirrored", "-general", "-frequent"}
    lines = {"", "-fixed-error", "-steeper", "-steepest", "-beta-2-4", "-beta-4-2", "-arcsine", "-gap", "-tied", "-grid-40"}
    expected = {f"two-types{name}" for name in {*two_types, "-tied"}} | {f"line{name}" for name in {*lines, "-grid-2000"}}
    others = {"single-type", "posteriors", "one-error-types", "three-states", "companies", "triangle"}
    assert expected | others <= {path.stem for path in HOME.glob("*.toml")}


@pytest.mark.parametrize("path", small(5000), ids=stem)
def test_complete_data_by_sorting(path: Path) -> None:
    """What all that would be worth, and the best single price."""
    types = loaded(path).params.information.types
    joint = np.array([t.joint for t in types], dtype=float)
    weight = np.array([float(t.weight) for t in types])
    worth = 1 - joint.max(axis=1).sum(axis=1)
    single = max(value * weight[worth >= value - 1e-12].sum() for value in worth)
    found = {"first-best": weight @ worth, "full-information-revenue": single}
    for quantity in found.keys() & {claim.quantity for claim in loaded(path).expect}:
        assert float(stated(path, quantity)) == pytest.approx(found[quantity], abs=1e-12)


@pytest.mark.parametrize("path", sorted(HOME.glob("line*.toml")), ids=stem)
def test_two_tiers_on_paper_earn_what_lines_state(path: Path) -> None:
    """A menu written from the instance's cut-off, and its revenue by adding up what many types pay."""
    params = loaded(path).params
    k, m, end = params.line.k, params.line.m, params.line.end
    if params.grid:
        size = params.grid.size
        cells = [(end * Fraction(2 * j + 1, 2 * size), 1 / size) for j in range(size)]
        share = max((end_share(j, size) for j in range(size)), key=lambda u: u * (1 - 2 * m - u + Fraction(1, 2 * size)))
        fine = 1e-12
    else:
        size = 20000
        edges = np.linspace(0, float(end), size + 1)
        mass = np.diff(params.alpha.law.cdf(edges))
        cells = list(zip((edges[1:] + edges[:-1]) / 2, mass, strict=True))
        share = Fraction(om.solve(path).quantities["low-error-2-left"])
        fine = 2e-4
    low, full = m * (1 - share), m + (1 - k) * share * end
    alpha = np.array([float(at) for at, _ in cells])
    mass = np.array([weight for _, weight in cells])
    first, second = float(1 - k * (1 - share)), float(share)
    cost = np.minimum(alpha * first + (float(m) - float(k) * alpha) * second, min(first, second) / 2) + float(low)
    none = alpha + float(m) - float(k) * alpha
    near = 1e-12  # ties go to the seller
    buys_full = (float(full) <= cost + near) & (float(full) <= none + near)
    buys_low = ~buys_full & (cost <= none + near)
    revenue = (mass * (buys_full * float(full) + buys_low * float(low))).sum()
    assert revenue == pytest.approx(float(stated(path)), abs=fine)


def end_share(j: int, size: int) -> Fraction:
    return Fraction(2 * j + 1, 2 * size)


# The reduction to two shares --------------------------------------------------------------------------------------------


def test_two_shares_earn_what_all_experiments_earn() -> None:
    """000-04, 000-07: the reduced program with its three rows for each misreport against any experiment."""
    source = random.Random(4)
    for high, low in [*PAIRS[:8], *SERVED[:5]]:
        third = (Fraction(source.randint(0, 10), 40), Fraction(source.randint(0, 10), 40))
        pairs, weights = [high, low, third], [0.5, 0.3, 0.2]
        assert reduced(weights, pairs)[0] == pytest.approx(general(weights, [measure(*pair) for pair in pairs]), abs=1e-9)


def test_a_signal_for_each_pair_of_actions_is_enough_and_the_one_against_own_data_is_not_needed() -> None:
    """000-03, 001-03: twice as many signals earn no more; 001-04: without the one against own data no less."""
    always_1, own, against, always_2 = (0, 0), (0, 1), (1, 0), (1, 1)
    four = [always_1, own, against, always_2]
    for high, low in SERVED:
        joints = [measure(*high), measure(*low)]
        best = general([0.5, 0.5], joints)
        assert general([0.5, 0.5], joints, four + four) == pytest.approx(best, abs=1e-9)
        assert general([0.5, 0.5], joints, [always_1, own, always_2]) == pytest.approx(best, abs=1e-9)
    joints = [measure(*H), measure(*NESTED)]
    assert general([0.5, 0.5], joints, [always_1, always_2]) < 13 / 60 - 0.01, "the signal to use own data is needed"


def test_value_and_obedience_are_those_of_best_replies() -> None:
    """000-05, 000-06, 001-02: against acting for the best in the general form; and why alpha + beta is at most 1/2."""
    source = random.Random(5)
    for _ in range(300):
        alpha, beta = Fraction(source.randint(0, 20), 40), Fraction(source.randint(0, 20), 40)
        first, second = Fraction(source.randint(0, 10), 10), Fraction(source.randint(0, 10), 10)
        if alpha + beta > HALF:
            continue
        joint, chances = measure(alpha, beta), experiment(first, second)
        left = min(alpha * first + beta * second, first / 2, second / 2)
        assert right(joint, chances) - right(joint, np.ones((2, 1))) == pytest.approx(float(alpha + beta - left), abs=1e-12)
        followed = 1 - float(alpha * first + beta * second)
        obeyed = alpha * first + beta * second <= min(first, second) / 2
        assert obeyed == (followed >= right(joint, chances) - 1e-12)
    assert right(measure(0.4, 0.3), experiment(1, 1)) > 1 - min(0.4 + 0.3, 0.5) + 0.1, "own data read the other way round"


def test_what_a_buyer_has_without_the_seller() -> None:
    """001-01: the best at each own signal."""
    source = random.Random(11)
    for _ in range(50):
        alpha, beta = Fraction(source.randint(0, 10), 40), Fraction(source.randint(0, 10), 40)
        assert right(measure(alpha, beta), np.ones((2, 1))) == pytest.approx(float(1 - alpha - beta))
    assert right(measure(0.2, 0.1), np.ones((2, 1))) == pytest.approx(0.7)


def test_which_error_a_share_belongs_to() -> None:
    """001-05 prints pi_i as the chance of the other action's error: pi_1 leaves errors of action 1 in state 2."""
    (beta, alpha), pi_1 = (0.2, 0.1), 0.25  # theta1, theta2
    done = measure(alpha, beta)[:, None, :] * experiment(1, pi_1)[:, :, None]  # [state][profile][own signal]
    action = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    wrong = [done[state][action != state].sum() for state in range(2)]
    assert wrong == pytest.approx([alpha, beta * pi_1])


def test_posteriors_and_errors() -> None:
    """001-07, 001-08: the split of equal states, and what complete data are worth; 001-09: with better posteriors."""
    source = random.Random(7)
    for _ in range(50):
        mu1, mu2 = (Fraction(source.randint(51, 99), 100) for _ in range(2))

        def errors(mu1: Fraction, mu2: Fraction) -> tuple[Pair, Pair]:
            often = ((mu2 - HALF) / (mu1 + mu2 - 1), (mu1 - HALF) / (mu1 + mu2 - 1))
            return often, (often[0] * (1 - mu1), often[1] * (1 - mu2))

        often, theta = errors(mu1, mu2)
        assert sum(often) == 1
        assert often[0] * mu1 + often[1] * (1 - mu2) == HALF
        joint = measure(theta[1], theta[0])
        assert right(joint, experiment(0, 0)) - right(joint, np.ones((2, 1))) == pytest.approx(float(sum(theta)))
        assert joint[0, 0] / joint[:, 0].sum() == pytest.approx(float(mu1))
        better, fewer = errors(mu1 + Fraction(1, 200), mu2)
        assert fewer[0] < theta[0], "less demand for data on that state"
        assert better[0] < often[0], "and not for the posterior alone: the market shares move, too"
        assert fewer[1] > theta[1]


# Double deviations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("high", "low", "apart"),
    [(H, POOL, "9/25"), (H, OUT, "1/5"), (H, NESTED, "17/70"), (H4, FREE, "209/730")],
    ids=["I", "II", "III", "IV"],
)
def test_double_deviations_matter_where_a_partial_item_is_sold(high: Pair, low: Pair, apart: str) -> None:
    """000-08 says they always matter."""
    assert two(high, low, drop=False) == pytest.approx(float(Fraction(apart)), abs=1e-9)
    sold_partly = two_types(high, low).region.startswith(("III", "IV"))
    assert (two(high, low, drop=False) > two(high, low) + 1e-6) is sold_partly


def test_double_deviations_matter_on_a_line() -> None:
    """000-08, 20 cells."""
    pairs, weights = uniform_grid(20), [1 / 20] * 20
    assert reduced(weights, pairs)[0] == pytest.approx(0.3225, abs=1e-9)
    assert reduced(weights, pairs, drop=False)[0] == pytest.approx(0.332, abs=1e-9)


# Two types --------------------------------------------------------------------------------------------------------------


def test_the_optimum_is_one_of_four_policies() -> None:
    """000-36, 001-13: the program, the largest of the closed forms, and the package's answer."""
    seen = set()
    for high, low in [*PAIRS, *SERVED]:
        best = max(four_policies(high, low))
        found = two_types(high, low)
        seen.add(found.region.split()[0])
        assert found.revenue == best
        assert two(high, low) == pytest.approx(float(best), abs=1e-9)
    assert seen == {"I", "II", "III", "IV"}


def test_rows_that_lose_nothing() -> None:
    """000-34, 001-11: the high type is sold complete data; 000-35, 001-06, 001-10: both types would obey both items."""
    lost = 0
    for high, low in [*PAIRS, *SERVED]:
        best = two(high, low)
        a, b = high
        obeyed = [([(3, a), (4, b), (3 + i, -HALF)], 0) for i in range(2)]
        assert two(high, low, fixed={0: 0, 1: 0}) == pytest.approx(best, abs=1e-9)
        assert two(high, low, fixed={0: 0, 1: 0}, more=obeyed) == pytest.approx(best, abs=1e-9)
        lost += two(high, low, fixed={3: 0, 4: 0}) < best - 1e-6
    assert lost, "to sell complete data to the low type does lose"


def test_obedience_of_both_types_is_a_range_of_ratios() -> None:
    """001-10, in 001's letters: k1 = max theta2/(1/2 - theta1) and k2 = min (1/2 - theta2)/theta1."""
    inside = 0
    for high, low in drawn(10, 40):
        theta = [(pair[1], pair[0]) for pair in (high, low)]
        k1 = max(second / (HALF - first) if first < HALF else Fraction(10**9) for first, second in theta)
        k2 = min((HALF - second) / first if first else Fraction(10**9) for first, second in theta)
        for one, other in itertools.product([Fraction(j, 7) for j in range(1, 8)], repeat=2):
            obeyed = all(first * one + second * other <= min(one, other) / 2 for first, second in theta)
            assert obeyed == (k1 <= one / other <= k2)
            inside += obeyed
    assert inside > 100


@pytest.mark.parametrize("low", ["1/20 3/20", "1/50 9/50", "1/25 4/25", "3/100 17/100"])
def test_region_three(low: str) -> None:
    """000-40, 001-22: one item everywhere; 000-39, 001-16, 001-19: what binds, by the program's menu."""
    x, y = map(Fraction, low.split())
    a, b = H
    found = two_types(H, (x, y))
    assert found.region == "III"
    revenue, menu = reduced([HALF, HALF], [H, (x, y)])
    high_1, high_2, dear, first, second, cheap = menu
    assert (high_1, high_2) == pytest.approx((0, 0), abs=1e-9)
    assert (first, second) == pytest.approx((1, 2 / 3))
    assert cheap == pytest.approx(float(x + y) - (x * first + y * second))  # the low type's participation
    assert dear == pytest.approx(cheap + a * first + b * second)  # the high type's incentive
    assert a * first + b * second == pytest.approx(second / 2)  # its obedience
    assert x * first + y * second < second / 2 - 1e-3  # and not the low type's
    assert float(a + b) - dear == pytest.approx(float(b - y) / 3)  # its rent
    assert revenue == pytest.approx(float(found.revenue))


def test_the_rectangle_is_necessary_and_not_sufficient() -> None:
    """000-41, 001-17: also alpha' < alpha/2 - (beta' - beta/2) pi2."""
    a, b = H
    left = 2 * a / (1 - 2 * b)
    in_rectangle, in_region = 0, 0
    unit = 200  # points of a grid, none on a border
    for i, j in itertools.product(range(0, 60), repeat=2):
        x, y = Fraction(2 * i + 1, 2 * unit), Fraction(2 * j + 1, 2 * unit + 1)
        if x > a or y > b or i % 4 or j % 4:
            continue
        rectangle = b / 2 < y < b and x < a / 2
        region = two_types(H, (x, y)).region == "III"
        assert region == (rectangle and x < a / 2 - (y - b / 2) * left)
        in_rectangle += rectangle
        in_region += region
    assert 0 < in_region < in_rectangle


def test_region_four() -> None:
    """000-43 to 000-46, 001-20, 001-22: what binds, and that the item varies; 000-44 as printed leaves only pi = 0."""
    items = set()
    lows = [FREE, *((Fraction(i, 100), Fraction(j, 100)) for i, j in [(1, 17), (2, 17), (3, 18), (1, 19)])]
    for x, y in lows:
        a, b = H4
        found = two_types(H4, (x, y))
        assert found.region == "IV"
        first, second = found.left
        items.add(found.left)
        assert 0 < second < first < 1  # both errors are reduced
        assert a * first + b * second == second / 2  # (i)
        assert (a - x) * (1 - first) + (b - y) * (1 - second) == 0  # (ii), corrected
        assert a * first + b * second != x * first + y * second  # (ii) as printed
        # (i) and the printed (ii) are two equations with one solution
        determinant = a * (b - y) - (b - HALF) * (a - x)
        assert determinant != 0
        cheap, dear = found.prices
        assert dear == a + b  # the high type's participation
        assert cheap == x + y - x * first - y * second  # the low type's
        assert dear == cheap + a * first + b * second  # the high type's incentive
        assert two(H4, (x, y)) == pytest.approx(float(dear + cheap) / 2, abs=1e-9)
    assert len(items) == len(lows)
    a, b = H4
    x, y = FREE
    assert a * (b - y) - (b - HALF) * (a - x) == Fraction(73, 1000)


def test_items_as_experiments_for_each_own_signal() -> None:
    """001-18, 001-21: chances to be told action 2 in each state, after own signal 1 and after own signal 2."""
    told = np.array([[0, 0, 1, 1], [0, 1, 0, 1]])  # [own signal][profile]: action 2
    nested = told @ experiment(1, Fraction(2, 3)).T
    assert nested.tolist() == pytest.approx(np.array([[0, 1 / 3], [1, 1]]))  # state 2 told in part; nothing
    left = two_types(H4, FREE).left
    free = told @ experiment(*left).T
    assert free[0] == pytest.approx([0, 1 - 50 / 73])  # state 2 in part
    assert free[1] == pytest.approx([70 / 73, 1])  # state 1 in part


def test_types_with_one_error() -> None:
    """000-11: items (pi1, 1) and (1, pi2) lose nothing; 000-12, 001-14: then three policies are left, or two."""
    seen = set()
    for i, j in itertools.product(range(1, 10, 2), range(1, 10, 2)):
        one, other = Fraction(i, 20), Fraction(j, 20) + Fraction(1, 40)
        crossed = two((one, Fraction(0)), (Fraction(0), other))
        assert two((one, Fraction(0)), (Fraction(0), other), fixed={1: 1, 3: 1}) == pytest.approx(crossed, abs=1e-9)
        high, low = ((one, Fraction(0)), (Fraction(0), other)) if one > other else ((Fraction(0), other), (one, Fraction(0)))
        region = two_types(high, low).region.removesuffix(" mirrored")
        seen.add(region)
        (a, b), (x, y) = (high, low) if high[0] else (high[::-1], low[::-1])
        k = a / HALF
        free = [a + b - k * (a - y) / (a - k * y) / 4] if a != k * y else []
        assert crossed == pytest.approx(float(max([x + y, (a + b) / 2, *free])), abs=1e-9)
        along = two((max(one, other), Fraction(0)), (min(one, other), Fraction(0)))
        assert along == pytest.approx(float(max(min(one, other), max(one, other) / 2)), abs=1e-9)
    assert seen <= {"I", "II", "IV"} and "IV" in seen


# Types on a line --------------------------------------------------------------------------------------------------------


def test_errors_stay_feasible_along_a_line() -> None:
    """000-13: up to abar, if and only if k is at most 2m."""
    for k10, m10 in itertools.product(range(0, 10), range(0, 5)):
        k, m = Fraction(k10, 10), Fraction(m10, 10)
        end = (HALF - m) / (1 - k)
        assert end + m - k * end == HALF
        assert (m - k * end >= 0) == (k <= 2 * m)
    assert loaded(HOME / "line-steepest.toml").params.line.k == 2 * M
    assert Line.model_validate({"k": "3/5", "m": "3/10"}).end == HALF
    with pytest.raises(ValueError, match="at most 2 m"):
        Line.model_validate({"k": "61/100", "m": "3/10"})


def tier_menu(share: Fraction) -> dict[str, Any]:
    """Two tiers with a cut-off at this share of the uniform line."""
    low = experiment(1 - K * (1 - share), share).tolist()
    items = [{"experiment": low, "price": float(M * (1 - share))}]
    items.append({"experiment": experiment(0, 0).tolist(), "price": float(M + (1 - K) * share * END)})
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
        best = float(stated(path))
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
    assert reduced(weights, pairs)[0] == pytest.approx(0.3225, abs=1e-9)
    assert reduced(weights, pairs, more=[*one, *order, *falling])[0] == pytest.approx(0.3225, abs=1e-9)
    other_way = [([(3 * r + 1, -1), (3 * r, 1)], 0) for r in range(20)]
    assert reduced(weights, pairs, more=other_way)[0] < 0.3225 - 1e-4


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
        joint, chances = measure(border / 2, M - K * border / 2), experiment(first, second)
        if border <= END:
            kept = 1 - (border / 2 * first + (M - K * border / 2) * second)
            assert right(joint, chances) == pytest.approx(float(kept))  # a lower type obeys
        if border * 2 <= END:
            joint = measure(border * 2, M - K * border * 2)
            assert right(joint, chances) == pytest.approx(1 - float(second) / 2)  # a higher one does not
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
    before = None
    for theta in (end * Fraction(j, 10) for j in range(1, 11)):
        least, most = theta / end, (HALF - theta) / (HALF - end)
        for one, other in itertools.product([Fraction(j, 12) for j in range(1, 13)], repeat=2):
            obeyed = M * one + theta * other <= min(one, other) / 2
            assert obeyed == (least <= one / other <= most)
        assert before is None or (before[0] < least and most < before[1])
        before = (least, most)
    assert before == (1, 1)


def test_the_cut_off_theorem_needs_its_bar() -> None:
    """001-24: without the bar the maximum is at 0 and complete data go to all at 3/10; 001-26: with it, at a fifth."""
    end = HALF - M
    grid = [end * Fraction(j, 100) for j in range(101)]
    assert max(grid, key=lambda theta: theta * (theta - theta / end / 2)) == 0
    assert max(grid, key=lambda theta: theta * (end - theta / end / 2)) == end / 5
    assert M + Fraction(1, 5) * (end - Fraction(1, 10)) == stated(HOME / "line-fixed-error.toml") > M


def test_the_first_tier_names_a_state_to_both_own_signals_only_if_it_is_true() -> None:
    """001-25, 001-33: action 2 to both own signals in state 2 alone; state 1 is never told apart."""
    low = written_floats(om.solve(HOME / "line-fixed-error.toml").mechanism["items"][0]["experiment"])
    assert low[0] == pytest.approx([1, 0], abs=1e-9)
    assert low[1] == pytest.approx([0.2, 0.8], abs=1e-9)
    joint = measure(0.03, 0.3)  # below the cut-off, 1/25
    after = joint[:, None, :] * low[:, :, None]  # [state][signal][own signal]
    assert after.argmax(axis=0).tolist() == [[0, 1], [1, 1]]  # own data after the first signal, state 2 after the second
    assert (after[0, 1] == 0).all()


@pytest.mark.parametrize("cells", [20, 40, 80])
def test_grids_approach_the_line_from_above(cells: int) -> None:
    """000-14, 001-32: 1/(20 n) above the two tiers of the whole line, for any k."""
    for k in (Fraction(0), Fraction(2, 5)):
        types = [{"weight": Fraction(1, cells), "alpha": alpha, "beta": beta} for alpha, beta in uniform_grid(cells, k)]
        found = solve(Params.model_validate({"types": types})).quantities["revenue"]
        assert found == pytest.approx(0.32 + 0.05 / cells, abs=1e-8)
