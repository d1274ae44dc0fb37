"""The library: every instance is solved, and its stated answers are held against the solver, a second program and paper.

An expected value stands in three places that do not know of each other: the instance file, the solver with its certificate,
and here a program or closed form written from the primitives.
"""

from __future__ import annotations

import csv
import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import beta
from support.instance_files import PROVED, loaded, name, stated
from support.paths import INSTANCES
from support.result_rows import check_rows
from support.solved_instances import or_slow, solved

import optmarket as om
from optmarket.modeling import registry
from optmarket.solution import Solution

HOME = INSTANCES / "selling-information"

FILES = sorted(INSTANCES.rglob("*.toml"))


def slug(path: Path) -> str:
    return path.relative_to(INSTANCES).with_suffix("").as_posix()


FAST_OR_SLOW = [or_slow(slug(path), path) for path in FILES]


# Every instance -------------------------------------------------------------------------------------------------------


def test_the_library_is_there() -> None:
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
    assert [note for note in case.notes if not note.startswith("learning curve of")] == [], "a sum that is not exactly one"
    assert path.read_text(encoding="utf-8").startswith("# "), "no comment that says what is interesting"
    objective = registry.get(case.model).objective
    assert any(claim.quantity == objective and claim.kind in PROVED for claim in case.expect)
    assert all((claim.claim is None) == (claim.verdict is None) for claim in case.expect)


def test_no_two_instances_are_the_same() -> None:
    for what in ("sha256", "title"):
        assert len({getattr(loaded(path), what) for path in FILES}) == len(FILES)


def meets_its_claims(path: Path, solution: Solution) -> None:
    assert solution.status.is_solved
    assert [claim for claim in solution.claims if claim.binding and not claim.met] == []
    assert solution.audit.good
    assert solution.good
    assert len(solution.claims) >= len(loaded(path).expect) > 0
    assert solution.quantities.keys() <= registry.get(solution.model).units.keys()


def comes_back_from_json(solution: Solution) -> None:
    text = solution.to_json()
    back = Solution.from_dict(json.loads(text))
    assert back.to_json() == text
    assert back.good
    assert back.value == solution.value
    assert back.claims == solution.claims
    for table, rows in solution.tables.items():
        assert back.tables[table].shape == rows.shape


@pytest.mark.parametrize("path", FAST_OR_SLOW)
def test_solves_meets_its_claims_and_gives_its_rows(path: Path) -> None:
    """One test, so that each instance is solved once, whatever the number of processes that run the tests."""
    solution = solved(path)
    meets_its_claims(path, solution)
    comes_back_from_json(solution)
    check_rows(loaded(path), slug(path), solution)


# Grids and mechanism files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cells", [40, 1000])
def test_setting_b_grids_hold_the_mass_of_their_cells(cells: int) -> None:
    with (HOME / f"setting-b-grid-{cells}.csv").open(encoding="utf-8", newline="") as stream:
        rows = {Fraction(row["first"]): Fraction(row["weight"]) for row in csv.DictReader(stream)}
    ends = np.arange(cells + 1) / cells
    mass = np.mean([np.diff(beta.cdf(ends, *shape)) for shape in ((8, 30), (60, 30))], axis=0)
    assert sum(rows.values()) == 1
    assert min(rows.values()) > 0
    for k, exact in enumerate(mass):
        assert math.isclose(rows.pop(Fraction(2 * k + 1, 2 * cells), Fraction(0)), exact, abs_tol=1e-14)
    assert not rows, "a belief that is no midpoint"


def test_setting_a_grid_is_uniform() -> None:
    params: Any = loaded(HOME / "setting-a-grid-20.toml").params
    types = params.types
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
        {"revenue": 0.255, "surplus": 0.0075, "welfare": 0.2625, "share-buying": 1.0, "differential-informativeness": -0.5},
        {},
    ),
    "double-deviation.direct.json": (
        {
            **{"revenue": 0.3, "revenue-best-reply": 0.1, "surplus": 0.0, "welfare": 0.3, "share-buying": 1.0},
            "differential-informativeness": 0.0,
        },
        {"misreport": 0.0, "disobey": 0.0, "double-deviation": 0.4, "individual-rationality": 0.0},
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
