"""The committed tables are what the instances give: every row made again, and none missing or left over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.paths import ROOT
from support.result_rows import RESULTS, committed, numbers_agree, shown
from support.solved_instances import or_slow, solved

import optmarket as om
from optmarket.files import read_table
from optmarket.studies import curves, mechanism_files
from optmarket.studies.instance_library import SECONDS, Row, claims_page, read

INSTANCES = ROOT / "instances"
FILES = {path.relative_to(INSTANCES).with_suffix("").as_posix(): path for path in sorted(INSTANCES.rglob("*.toml"))}
MARKETS = sorted({slug.partition("/")[0] for slug in FILES})
CURVES = {slug: path for slug, path in FILES.items() if om.load(path).curve is not None}
MECHANISMS = [(slug, name, file) for slug, path in FILES.items() for name, file in mechanism_files.beside(path).items()]
# Revenue and differential informativeness at points of the curves, by other programs, to the digits known.
KNOWN = {
    ("selling-information/setting-c", "0.1"): (0.126707, 0),
    ("selling-information/setting-c", "0.2"): (0.131042, 0),
    ("selling-information/setting-c", "0.4"): (0.152975, -0.1927),
    ("selling-information/setting-c", "0.5"): (0.167323393737, -0.214058126816),
    ("selling-information/setting-c", "0.6"): (0.182124, -0.2288),
    ("selling-information/setting-c", "0.7"): (0.197209, -0.2409),
    ("selling-information/setting-c", "0.8"): (0.212511, -0.2521),
    ("selling-information/setting-c", "0.9"): (0.228013, -0.2652),
    ("selling-information/setting-d", "0.25"): (0.192022, -0.0816),
    ("selling-information/setting-d", "0.33"): (0.158974, -0.2583),
    ("selling-information/setting-d", "0.35"): (0.153105, -0.2891),
    ("selling-information/setting-d", "0.42"): (0.138934, -0.3575),
}


def test_every_instance_has_rows_and_every_row_its_instance() -> None:
    for market in MARKETS:
        there = list(dict.fromkeys(row["instance"] for row in committed(market)))
        assert there == sorted(slug for slug in FILES if slug.startswith(f"{market}/"))
    assert [row["instance"] for row in read(RESULTS / "seconds.csv", SECONDS)] == sorted(FILES)
    expected = {"claims.md", "mechanisms.csv", "seconds.csv", *(f"{market}.csv" for market in MARKETS)}
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


@pytest.mark.parametrize(("slug", "name", "file"), [or_slow(one[0], *one, called=one[2].name) for one in MECHANISMS])
def test_a_mechanism_file_gives_its_row(slug: str, name: str, file: Path) -> None:
    case = om.load(FILES[slug])
    made = mechanism_files.row(slug, case, solved(FILES[slug]), name, file)
    (there,) = [row for row in judged() if (row["instance"], row["mechanism"]) == (slug, name)]
    assert made.keys() == there.keys()
    for column, text in made.items():
        if column in {"lower", "upper", "audited"}:
            assert numbers_agree(text, there[column]), column
        elif column == "percent below" and text:
            assert float(text) == pytest.approx(float(there[column]), rel=0.02), column
        else:
            assert text == there[column], column


def test_every_mechanism_file_has_its_row() -> None:
    assert [(row["instance"], row["mechanism"]) for row in judged()] == sorted((slug, name) for slug, name, _ in MECHANISMS)
    assert MECHANISMS


def judged() -> list[Row]:
    return read(RESULTS / "mechanisms.csv", mechanism_files.COLUMNS)


def made_again(slug: str, places: list[int], folder: Path) -> tuple[list[Row], list[Row]]:
    """Rows of a committed curve, and what some rows of the points file give."""
    case = om.load(FILES[slug])
    assert case.curve is not None and case.curve.points is not None
    points = FILES[slug].parent / case.curve.points
    lines = points.read_text(encoding="utf-8").splitlines()
    some = folder / "some.csv"
    some.write_text("\n".join([lines[0], *(lines[k] for k in places)]), encoding="utf-8")
    found = om.sweep(case, points=some)
    table = curves.table(replace(found, quantities=case.curve.quantities))
    _, rows = read_table(RESULTS / "curves" / f"{slug}.csv")
    assert len(rows) == len(lines) - 1
    records = [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
    return records, [rows[k - 1][1] for k in places]


@pytest.mark.parametrize("slug", CURVES)
def test_a_curve_has_its_files_and_no_point_failed(slug: str) -> None:
    header, rows = read_table(RESULTS / "curves" / f"{slug}.csv")
    assert {row["status"] for _, row in rows} == {"optimal"}
    close = om.load(CURVES[slug]).gap or 1e-6
    assert all(float(row["gap"]) <= shown(close) for _, row in rows)
    assert all((RESULTS / "curves" / f"{slug}{ending}").is_file() for ending in (".png", ".svg"))
    assert header[-1] == "gap"


@pytest.mark.parametrize("slug", ["selling-information/setting-c", "selling-information/setting-d"])
def test_some_points_of_a_curve_give_their_rows(slug: str, tmp_path: Path) -> None:
    made, there = made_again(slug, [2, 12], tmp_path)
    for ours, theirs in zip(made, there, strict=True):
        assert ours.keys() == theirs.keys()
        for column, text in ours.items():
            if "[" in column and text:
                assert float(text) == pytest.approx(float(theirs[column]), abs=1e-6), column
            else:
                assert text == theirs[column], column


@pytest.mark.parametrize(("slug", "at"), KNOWN, ids=" ".join)
def test_curves_agree_with_other_programs(slug: str, at: str) -> None:
    header, rows = read_table(RESULTS / "curves" / f"{slug}.csv")
    (row,) = [row for _, row in rows if row[header[0]] == at]
    revenue, informative = KNOWN[slug, at]
    assert float(row["revenue [payoff units]"]) == pytest.approx(revenue, abs=6e-7)
    assert float(row["differential-informativeness [probability]"]) == pytest.approx(informative, abs=1e-4)


def test_no_curve_is_left_over() -> None:
    there = {path.relative_to(RESULTS / "curves").with_suffix("").as_posix() for path in (RESULTS / "curves").rglob("*.*")}
    assert there == set(CURVES)
