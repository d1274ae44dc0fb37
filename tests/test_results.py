"""The committed tables are what the instances give: every row made again, and none missing or left over."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import optmarket as om
from optmarket.reproduce import COLUMNS, SECONDS, Row, claims_page, read, rows

ROOT = Path(__file__).resolve().parents[1]
INSTANCES, RESULTS = ROOT / "instances", ROOT / "results"
FILES = {path.relative_to(INSTANCES).with_suffix("").as_posix(): path for path in sorted(INSTANCES.rglob("*.toml"))}
MARKETS = sorted({slug.partition("/")[0] for slug in FILES})
SLOW: set[str] = set()  # instances that take more than five seconds
NUMBERS = {"value", "error"}

fast_or_slow = [pytest.param(slug, marks=[pytest.mark.slow] if slug in SLOW else []) for slug in FILES]


def committed(market: str) -> list[Row]:
    return read(RESULTS / f"{market}.csv", COLUMNS)


def numbers_agree(ours: str, theirs: str) -> bool:
    return ours == theirs or math.isclose(float(ours), float(theirs), rel_tol=1e-7, abs_tol=1e-9)


@pytest.mark.parametrize("slug", fast_or_slow)
def test_an_instance_gives_its_rows(slug: str) -> None:
    made = rows(slug, om.solve(FILES[slug]))
    there = [row for row in committed(slug.partition("/")[0]) if row["instance"] == slug]
    assert len(made) == len(there), "run `optmarket reproduce` and look at what changed"
    for ours, theirs in zip(made, there, strict=True):
        for column in COLUMNS:
            if column == "gap":
                assert float(ours[column]) <= 1e-6 and float(theirs[column]) <= 1e-6
            elif column in NUMBERS:
                assert numbers_agree(ours[column], theirs[column]), column
            else:
                assert ours[column] == theirs[column], column


def test_every_instance_has_rows_and_every_row_its_instance() -> None:
    for market in MARKETS:
        there = list(dict.fromkeys(row["instance"] for row in committed(market)))
        assert there == sorted(slug for slug in FILES if slug.startswith(f"{market}/"))
    assert [row["instance"] for row in read(RESULTS / "seconds.csv", SECONDS)] == sorted(FILES)
    expected = {"claims.md", "seconds.csv", *(f"{market}.csv" for market in MARKETS)}
    assert expected <= {path.name for path in RESULTS.iterdir()}


def test_nothing_failed() -> None:
    outcomes = {row["outcome"] for market in MARKETS for row in committed(market)}
    assert [words for words in outcomes if words.startswith(("FAILED", "NOT"))] == []


def test_the_page_of_claims_is_that_of_the_tables() -> None:
    page = claims_page(row for market in MARKETS for row in committed(market))
    assert (RESULTS / "claims.md").read_text(encoding="utf-8") == page
    for path in FILES.values():
        for claim in om.load(path).expect:
            assert claim.claim is None or (claim.claim in page and claim.says), f"{path.name} says not what {claim.claim} claims"
