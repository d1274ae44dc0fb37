"""The gallery: every instance is solved, and its stated answers are held against the solver, a second program and paper.

An expected value stands in three places that do not know of each other: the instance file, the solver with its certificate,
and here a program or closed form written from the primitives.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.sparse import coo_matrix
from scipy.stats import beta
from support.assignments import best_for, labellings
from support.library import or_slow, solved
from support.paths import INSTANCES

import optmarket as om
from optmarket.lp import highs
from optmarket.modeling import registry
from optmarket.models.selling_information import program
from optmarket.solution import Solution, Status

HOME = INSTANCES / "selling-information"
FILES = sorted(INSTANCES.rglob("*.toml"))
REDUCED = sorted(HOME.glob("reduced-*.toml"))  # menus of few items: no single program
SMALL = 60  # types up to which an instance is also proved exactly
LISTED = 12  # types up to which all rows are listed, for a second program
PROVED = {"analytic", "exact", "proved"}


def slug(path: Path) -> str:
    return path.relative_to(INSTANCES).with_suffix("").as_posix()


FAST_OR_SLOW = [or_slow(slug(path), path) for path in FILES]


def name(path: Path) -> str:
    return path.name


@cache
def loaded(path: Path) -> om.Instance:
    return om.load(path)


def one_buyer(most: int) -> list[Path]:
    """Files of the one-buyer market of at most so many types, menus of any size."""
    finite = [path for path in sorted(HOME.glob("*.toml")) if loaded(path).params.types is not None]
    return [path for path in finite if len(loaded(path).params.types) <= most and path not in REDUCED]


def stated(path: Path, quantity: str = "revenue") -> Fraction:
    """The value an instance states for a quantity, as a proved equality."""
    values = [
        Fraction(claim.value)
        for claim in loaded(path).expect
        if claim.quantity == quantity and claim.relation == "eq" and claim.kind in PROVED
    ]
    assert len(values) == 1, f"{path.name} states {quantity} {len(values)} times"
    return values[0]


# Every instance -------------------------------------------------------------------------------------------------------


def test_the_gallery_is_there() -> None:
    expected = {
        "two-types",
        "two-types-congruent",
        "setting-a-grid-20",
        "setting-b-grid-40",
        "setting-b-grid-1000",
        "setting-b-modes",
        "setting-b-modes-rare",
        "setting-b-modes-frequent",
        "setting-b-modes-precise",
        "contrary-report",
        "three-states-matching",
        "three-states-general",
        "two-contexts",
        "type-dependent-payoffs",
        "sells-nothing",
        "double-deviation",
        "double-deviation-three-states",
        "double-deviation-three-actions",
        "double-deviation-two-contexts",
        "obedience",
        "two-states-three-actions",
        "single-type",
        "credit-report",
        "market-survey",
        "reduced-two-types",
        "reduced-credit-report",
    }
    assert expected <= {path.stem for path in HOME.glob("*.toml")}


@pytest.mark.parametrize("path", FILES, ids=slug)
def test_says_what_it_is_and_what_to_expect(path: Path) -> None:
    case = loaded(path)
    assert case.slug == slug(path)
    assert case.title and case.source
    assert case.notes == (), "a sum that is not exactly one"
    assert path.read_text(encoding="utf-8").startswith("# "), "no comment that says what is interesting"
    objective = registry.get(case.model).objective
    assert any(claim.quantity == objective and claim.kind in PROVED for claim in case.expect)
    assert all((claim.claim is None) == (claim.verdict is None) for claim in case.expect)


def test_no_two_instances_are_the_same() -> None:
    for what in ("sha256", "title"):
        assert len({getattr(loaded(path), what) for path in FILES}) == len(FILES)


@pytest.mark.parametrize("path", FAST_OR_SLOW)
def test_solves_and_meets_its_claims(path: Path) -> None:
    solution = solved(path)
    assert solution.status is Status.OPTIMAL
    assert [claim for claim in solution.claims if claim.binding and not claim.met] == []
    assert solution.audit.good
    assert solution.good
    assert len(solution.claims) >= len(loaded(path).expect) > 0
    assert solution.quantities.keys() <= registry.get(solution.model).units.keys()


@pytest.mark.parametrize("path", FAST_OR_SLOW)
def test_solution_comes_back_from_json(path: Path) -> None:
    solution = solved(path)
    text = solution.to_json()
    back = Solution.from_dict(json.loads(text))
    assert back.to_json() == text
    assert back.good
    assert back.value == solution.value
    assert back.claims == solution.claims
    for table, rows in solution.tables.items():
        assert back.tables[table].shape == rows.shape


# The one-buyer market: exact values -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", one_buyer(SMALL), ids=name)
def test_exact_value_is_the_stated_one(path: Path) -> None:
    solution = solved(path, exact=True)
    assert solution.good
    assert solution.exact == stated(path)
    certificate = solved(path).certificate
    assert certificate.lower <= solution.exact <= certificate.upper


@pytest.mark.parametrize("path", one_buyer(LISTED), ids=name)
def test_all_rows_listed_give_the_same(path: Path) -> None:
    solution = solved(path, exact=True, method="full")
    assert solution.run["method"] == "full"
    assert solution.exact == stated(path)


def test_the_fine_grid_is_certified_around_its_stated_value() -> None:
    path = HOME / "setting-b-grid-1000.toml"
    certificate = solved(path).certificate
    half_a_digit = Fraction(1, 2 * 10**15)
    assert certificate.lower <= stated(path) + half_a_digit
    assert certificate.upper >= stated(path) - half_a_digit
    assert certificate.upper - certificate.lower <= 1e-8


# A second program, from the primitives --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Primitives:
    """Weights, measures [type, state, context] and payoffs [type, state, action] of a file, in floats."""

    weight: np.ndarray
    measure: np.ndarray
    payoff: np.ndarray
    recommendations: list[tuple[int, ...]]

    @classmethod
    def of(cls, path: Path) -> Primitives:
        params: Any = loaded(path).params
        measures = [
            [[float(x)] for x in t.belief] if t.belief else [[float(x) for x in row] for row in t.joint] for t in params.types
        ]
        states, contexts = len(measures[0]), max(len(measure[0]) for measure in measures)
        measure = np.zeros((len(measures), states, contexts))
        for k, given in enumerate(measures):
            measure[k, :, : len(given[0])] = given
        shared = np.eye(states).tolist() if params.payoff == "matching" else params.payoff
        payoff = np.array([[[float(x * t.value) for x in row] for row in t.payoff or shared] for t in params.types])
        weight = np.array([float(t.weight) for t in params.types])
        return cls(weight, measure, payoff, list(itertools.product(range(payoff.shape[2]), repeat=contexts)))


def second_opinion(path: Path, deviations: str = "double", allowed: Sequence[Iterable[int]] | None = None) -> float | None:
    """Optimal revenue by one listed program with free prices; None if infeasible.

    Unlike the market's it bounds no price, normalises no payoff, treats obedience as a deviation to one's own item, and keeps
    types of weight zero. ``allowed`` are the recommendations each type's item may use.
    """
    given = Primitives.of(path)
    types, states, contexts = given.measure.shape
    actions, advice = given.payoff.shape[2], given.recommendations
    worth = np.einsum("rwc,rwa->rwca", given.measure, given.payoff)
    outside = worth.sum(axis=1).max(axis=2).sum(axis=1)
    width = states * len(advice) + 1
    columns = types * width
    rows: list[tuple[list[tuple[int, float]], float]] = []  # sum of terms at most the right side

    def sent(item: int, state: int, signal: int) -> int:
        return item * width + state * len(advice) + signal

    def obeying(buyer: int, item: int, sign: float) -> list[tuple[int, float]]:
        return [
            (sent(item, w, s), sign * sum(worth[buyer, w, c, advice[s][c]] for c in range(contexts)))
            for w in range(states)
            for s in range(len(advice))
        ]

    price = [(k + 1) * width - 1 for k in range(types)]
    for r in range(types):
        own = [*obeying(r, r, -1.0), (price[r], 1.0)]
        rows.append((own, -outside[r]))
        for q in range(types):
            if deviations == "double" or (q == r and deviations == "separate"):
                best = []
                for s, c in itertools.product(range(len(advice)), range(contexts)):
                    best.append((columns, 1.0))
                    for a in range(actions):
                        rows.append(([*((sent(q, w, s), worth[r, w, c, a]) for w in range(states)), (columns, -1.0)], 0.0))
                    columns += 1
            else:
                best = obeying(r, q, 1.0)
            if q != r:
                rows.append(([*own, *best, (price[q], -1.0)], 0.0))
            elif deviations != "misreport":
                rows.append(([*obeying(r, r, -1.0), *best], 0.0))
    entries = [(k, column, value) for k, (terms, _) in enumerate(rows) for column, value in terms]
    at, column, value = (np.array(part) for part in zip(*entries, strict=True))
    upper = coo_matrix((value, (at, column)), shape=(len(rows), columns)).tocsr()
    signals = [[sent(r, w, s) for s in range(len(advice))] for r in range(types) for w in range(states)]
    at = np.repeat(np.arange(len(signals)), len(advice))
    equal = coo_matrix((np.ones(len(at)), (at, np.ravel(signals))), shape=(len(signals), columns)).tocsr()
    bounds: list[tuple[float | None, float | None]] = [(None, None)] * columns
    for r, w, s in itertools.product(range(types), range(states), range(len(advice))):
        bounds[sent(r, w, s)] = (0.0, 0.0 if allowed is not None and s not in allowed[r] else 1.0)
    cost = np.zeros(columns)
    cost[price] = -given.weight
    for r in np.flatnonzero(given.weight == 0):
        bounds[price[r]] = (0.0, None)
    result = linprog(cost, upper, [side for _, side in rows], equal, np.ones(len(signals)), bounds, method="highs")
    assert result.status in (0, 2), result.message
    return -result.fun if result.status == 0 else None


@pytest.mark.parametrize("path", one_buyer(LISTED), ids=name)
def test_a_second_program_agrees(path: Path) -> None:
    assert second_opinion(path) == pytest.approx(float(stated(path)), rel=1e-9, abs=1e-9)


# By how much the answer changes if buyers could do less, as the instances' texts have it; nothing in the others.
MISREPORT_OR_DISOBEY = {
    "double-deviation": "3/10",
    "double-deviation-three-states": "3/8",
    "double-deviation-three-actions": "1",
    "double-deviation-two-contexts": "16/65",
    "three-states-general": "5/6",
    "credit-report": "352/5",
}
ALWAYS_OBEY = {"obedience": "17/75", "double-deviation-two-contexts": "1/4"}


@pytest.mark.parametrize("path", one_buyer(LISTED), ids=name)
def test_what_buyers_could_not_do_changes_the_answer_as_stated(path: Path) -> None:
    params: Any = loaded(path).params
    separate = Fraction(MISREPORT_OR_DISOBEY.get(path.stem, stated(path)))
    obedient = Fraction(ALWAYS_OBEY.get(path.stem, separate))
    full = stated(path)
    assert full <= separate <= obedient
    assert second_opinion(path, "separate") == pytest.approx(float(separate), rel=1e-9, abs=1e-9)
    assert second_opinion(path, "misreport") == pytest.approx(float(obedient), rel=1e-9, abs=1e-9)
    if full == 0:
        return
    # in the engine's programs the scale of payoffs is its own affair: ratios
    base = highs.solve(program(params, deviations="double")).bound
    assert highs.solve(program(params, deviations="separate")).bound / base == pytest.approx(float(separate / full), rel=1e-9)
    assert highs.solve(program(params, deviations="misreport")).bound / base == pytest.approx(float(obedient / full), rel=1e-9)


def test_the_instances_made_for_it_change_by_more_than_a_hundredth() -> None:
    made_for_it = [*HOME.glob("double-deviation*.toml"), HOME / "obedience.toml"]
    assert len(made_for_it) == 5
    for path in made_for_it:
        changed = ALWAYS_OBEY if path.stem == "obedience" else MISREPORT_OR_DISOBEY
        assert Fraction(changed[path.stem]) > Fraction("1.01") * stated(path)


def test_two_contexts_need_more_than_two_signals() -> None:
    path = HOME / "two-contexts.toml"
    pairs = list(itertools.combinations(range(4), 2))
    found = [second_opinion(path, allowed=choice) for choice in itertools.product(pairs, repeat=2)]
    best = max(value for value in found if value is not None)
    assert best == pytest.approx(7 / 27, rel=1e-9)
    assert best < float(stated(path)) - 0.01


# Closed forms and menus on paper --------------------------------------------------------------------------------------


def dual_envelope(theta: Sequence[Fraction], weight: Sequence[Fraction]) -> Fraction:
    """The binary market's optimum as ``min over k of max_y [(1 - y)F(y) - k y] + max_z [-z F(z-) - k z] + k``.

    F is the distribution of the first state's probability, F(z-) its value just below z. The minimum of this convex function
    lies at a slope of one of the two upper hulls.
    """
    below = [Fraction(0), *itertools.accumulate(weight)]
    zero, one = Fraction(0), Fraction(1)
    sides = [
        upper_hull([(zero, zero), *((y, (1 - y) * mass) for y, mass in zip(theta, below[1:], strict=True)), (one, zero)]),
        upper_hull([(zero, zero), *((z, -z * mass) for z, mass in zip(theta, below, strict=False)), (one, -one)]),
    ]
    slopes = sorted({(q[1] - p[1]) / (q[0] - p[0]) for side in sides for p, q in itertools.pairwise(side)})

    def value(k: Fraction) -> Fraction:
        return k + sum(max(height - k * x for x, height in side) for side in sides)

    low, high = 0, len(slopes) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if value(slopes[middle]) <= value(slopes[middle + 1]) else (middle + 1, high)
    return value(slopes[low])


def upper_hull(points: Iterable[tuple[Fraction, Fraction]]) -> list[tuple[Fraction, Fraction]]:
    hull: list[tuple[Fraction, Fraction]] = []
    for x, height in sorted(points):
        if hull and hull[-1][0] == x:
            hull.pop()  # the lower of two at one place
        while len(hull) > 1:
            (a, f), (b, g) = hull[-2:]
            if (g - f) * (x - a) > (height - f) * (b - a):
                break
            hull.pop()
        hull.append((x, height))
    return hull


@pytest.mark.parametrize(
    "stem",
    [
        "two-types",
        "two-types-congruent",
        "setting-b-modes",
        "setting-b-modes-rare",
        "setting-b-modes-frequent",
        "setting-b-modes-precise",
        "setting-a-grid-20",
        "setting-b-grid-40",
        "setting-b-grid-1000",
    ],
)
def test_binary_markets_by_their_dual_closed_form(stem: str) -> None:
    path = HOME / f"{stem}.toml"
    params: Any = loaded(path).params
    types = sorted((t.belief[0], t.weight) for t in params.types)
    value = dual_envelope([theta for theta, _ in types], [weight for _, weight in types])
    rounded = Fraction(1, 2 * 10**15) if stem == "setting-b-grid-1000" else 0
    assert abs(value - stated(path)) <= rounded


# Menus of few items ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", REDUCED, ids=name)
def test_a_reduced_menu_is_the_best_of_all_assignments(path: Path) -> None:
    params: Any = loaded(path).params
    given = Primitives.of(path)
    worth = np.einsum("rwc,rwa->rwca", given.measure, given.payoff)
    best = max(best_for(worth, given.weight, labels) for labels in labellings(len(given.weight), params.max_items))
    assert best == pytest.approx(float(stated(path)), rel=1e-9)


@pytest.mark.parametrize("path", REDUCED, ids=name)
def test_a_reduced_menu_is_held_against_the_unrestricted_one(path: Path) -> None:
    params: Any = loaded(path).params
    whole = HOME / path.name.removeprefix("reduced-")
    assert params.model_copy(update={"max_items": None}) == loaded(whole).params
    found = solved(path).quantities
    assert found["unrestricted-revenue"] == pytest.approx(float(stated(whole)), rel=1e-9)
    assert stated(path, "loss") == stated(whole) - stated(path)
    assert len(solved(path).mechanism["items"]) <= params.max_items < len(MENUS[whole.stem])


@pytest.mark.parametrize("path", [*one_buyer(10**6), *REDUCED], ids=name)
def test_full_information_by_sorting(path: Path) -> None:
    given = Primitives.of(path)
    worth = given.measure.sum(axis=2)[:, :, None] * given.payoff
    own = np.einsum("rwc,rwa->rwca", given.measure, given.payoff).sum(axis=1).max(axis=2).sum(axis=1)
    worth = worth.max(axis=2).sum(axis=1) - own
    single = max((price * given.weight[worth >= price - 1e-12].sum(), price) for price in worth)
    reported = solved(path).quantities
    assert reported["full-information-revenue"] == pytest.approx(single[0], abs=1e-9)
    assert reported["first-best"] == pytest.approx(given.weight @ worth, abs=1e-9)
    said = {claim.quantity: float(Fraction(claim.value)) for claim in loaded(path).expect if claim.quantity != "revenue"}
    assert said.get("full-information-revenue", single[0]) == pytest.approx(single[0], abs=1e-9)
    assert said.get("first-best", given.weight @ worth) == pytest.approx(given.weight @ worth, abs=1e-9)


TRUTH = {2: [[1, 0], [0, 1]], 3: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}
# Menus written out from the instances' texts: what they earn is a lower bound found on paper, and it is the optimum.
MENUS: dict[str, list[tuple[list[list[Any]], str]]] = {
    "two-types": [([["4/7", "3/7"], [0, 1]], "1/7"), (TRUTH[2], "2/5")],
    "two-types-congruent": [(TRUTH[2], "2/5")],
    "setting-b-modes": [([["270/377", "107/377"], [0, 1]], "105/754"), (TRUTH[2], "29/88")],
    "setting-b-modes-rare": [(TRUTH[2], "7/36")],
    "setting-b-modes-frequent": [([["270/377", "107/377"], [0, 1]], "105/754"), (TRUTH[2], "29/88")],
    "setting-b-modes-precise": [([["150/251", "101/251"], [0, 1]], "15/251"), (TRUTH[2], "29/88")],
    "contrary-report": [(TRUTH[2], "13/100")],
    "setting-a-grid-20": [(TRUTH[2], "11/40")],
    "three-states-matching": [([["1/2", "1/2", 0], [0, 1, 0], [0, 0, 1]], "1/4"), (TRUTH[3], "1/2")],
    "three-states-general": [([[1, 0], [1, 0], [0, 1]], "1/4"), (TRUTH[3], "1")],
    "two-contexts": [([["3/4", "1/4", 0], [0, "1/2", "1/2"]], "1/6"), (TRUTH[2], "1/3")],
    "type-dependent-payoffs": [([["1/2", "1/2"], [0, 1]], "1/4"), (TRUTH[2], "1")],
    "sells-nothing": [],
    "double-deviation": [(TRUTH[2], "1/2")],
    "double-deviation-three-states": [(TRUTH[3], "1/2")],
    "double-deviation-three-actions": [(TRUTH[2], "17/10")],
    "double-deviation-two-contexts": [(TRUTH[2], "1/5")],
    "obedience": [(TRUTH[2], "1/5")],
    "two-states-three-actions": [([[1, 0], ["1/3", "2/3"]], "1/2"), (TRUTH[2], "1")],
    "single-type": [(TRUTH[2], "5/12")],
    "credit-report": [([[1, 0], ["1/2", "1/2"]], "30"), ([["1/2", "1/2"], [0, 1]], "30"), (TRUTH[2], "110")],
    "reduced-two-types": [(TRUTH[2], "1/4")],
    "reduced-credit-report": [([[1, 0], ["13/25", "12/25"]], "144/5"), (TRUTH[2], "112")],
}


@pytest.mark.parametrize("stem", MENUS)
def test_a_menu_on_paper_earns_the_optimum(stem: str) -> None:
    path = HOME / f"{stem}.toml"
    items = [{"experiment": experiment, "price": price} for experiment, price in MENUS[stem]]
    found = om.audit(loaded(path), {"format": 1, "model": "selling-information", "items": items})
    assert found.quantities["revenue"] == pytest.approx(float(stated(path)), rel=1e-12)
    dearer = [{**item, "price": Fraction(item["price"]) * Fraction("1.001")} for item in items]
    less = om.audit(loaded(path), {"format": 1, "model": "selling-information", "items": dearer})
    assert less.quantities["revenue"] < found.quantities["revenue"] or not items


# Grids and mechanism files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cells", [40, 1000])
def test_setting_b_grids_hold_the_mass_of_their_cells(cells: int) -> None:
    with (HOME / f"setting-b-grid-{cells}.csv").open(encoding="utf-8", newline="") as stream:
        rows = {Fraction(row["first"]): Fraction(row["weight"]) for row in csv.DictReader(stream)}
    ends = np.arange(cells + 1) / cells
    mass = sum(np.diff(beta.cdf(ends, *shape)) for shape in ((8, 30), (60, 30))) / 2
    assert sum(rows.values()) == 1
    assert min(rows.values()) > 0
    for k, exact in enumerate(mass):
        assert math.isclose(rows.pop(Fraction(2 * k + 1, 2 * cells), Fraction(0)), exact, abs_tol=1e-14)
    assert not rows, "a belief that is no midpoint"


def test_setting_a_grid_is_uniform() -> None:
    types = loaded(HOME / "setting-a-grid-20.toml").params.types
    assert [t.belief[0] for t in types] == [Fraction(2 * k + 1, 40) for k in range(20)]
    assert {t.weight for t in types} == {Fraction(1, 20)}


def test_points_of_setting_d_keep_the_height_of_the_lower_hump() -> None:
    with (HOME / "setting-d.points.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 20
    for row in rows:
        a, b = (float(row[f"belief.mixture[0].{name}"]) for name in "ab")
        mode = (a - 1) / (a + b - 2)
        assert float(Fraction(row["precision"])) == pytest.approx(1 / 2 - mode, abs=1e-8)
        assert beta.pdf(mode, a, b) == pytest.approx(beta.pdf(7 / 36, 8, 30), rel=1e-6)


# What a hand finds in the mechanism files: quantities, and violations for a direct mechanism.
MECHANISMS: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "two-types.menu.json": (
        {"revenue": 0.255, "surplus": 0.0075, "welfare": 0.2625, "share-served": 1.0, "differential-informativeness": -0.5},
        {},
    ),
    "double-deviation.direct.json": (
        {
            **{"revenue": 0.3, "revenue-best-reply": 0.1, "surplus": 0.0, "welfare": 0.3, "share-served": 1.0},
            "differential-informativeness": 0.0,
        },
        {"misreport": 0.0, "disobey": 0.0, "both": 0.4, "individual-rationality": 0.0},
    ),
}


# judged with the distribution that they are for
ELSEWHERE = {f"setting-{name}.json" for name in ("a.learned", "b.learned", "b.printed", "e.learned", "f.learned")}


@pytest.mark.parametrize("path", [path for path in sorted(INSTANCES.rglob("*.json")) if path.name not in ELSEWHERE], ids=name)
def test_mechanism_files_audit_as_they_say(path: Path) -> None:
    instance = path.with_name(path.name.split(".")[0] + ".toml")
    assert json.loads(path.read_text(encoding="utf-8"))["instance"]["slug"] == slug(instance)
    found = om.audit(instance, path)
    quantities, violations = MECHANISMS[path.name]
    assert dict(found.quantities) == pytest.approx(quantities, abs=1e-12)
    assert dict(found.violations) == pytest.approx(violations, abs=1e-12)
    assert found.good is (path.name == "two-types.menu.json")


def test_all_mechanism_files_are_there() -> None:
    assert {path.name for path in INSTANCES.rglob("*.json")} == {*MECHANISMS, *ELSEWHERE}
    assert MECHANISMS["two-types.menu.json"][0]["revenue"] < stated(HOME / "two-types.toml")
    assert MECHANISMS["double-deviation.direct.json"][0]["revenue"] > stated(HOME / "double-deviation.toml")
