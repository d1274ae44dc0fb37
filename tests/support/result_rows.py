"""The committed rows of an instance against those that a solution gives."""

from __future__ import annotations

import math
import re
from decimal import ROUND_CEILING, Decimal

import optmarket as om
from optmarket.studies.instance_library import COLUMNS, Row, read, rows
from support.paths import ROOT

RESULTS = ROOT / "results"


def committed(market: str) -> list[Row]:
    return read(RESULTS / f"{market}.csv", COLUMNS)


def numbers_agree(ours: str, theirs: str, close: float = 0) -> bool:
    return ours == theirs or math.isclose(float(ours), float(theirs), rel_tol=1e-7, abs_tol=max(close, 1e-9))


def shown(gap: float) -> float:
    """A gap as tables have it: one digit, rounded up."""
    exactly = Decimal(repr(gap))
    return float(exactly.quantize(Decimal(1).scaleb(exactly.adjusted()), ROUND_CEILING))


def words_agree(ours: str, theirs: str, to_a_gap: bool) -> bool:
    """The same words; where the instance is solved to a gap of its own, the digits in them depend on where it was reached."""
    if to_a_gap:
        ours, theirs = (re.sub(r"\d[\d.e+-]*", "#", words) for words in (ours, theirs))
    return ours == theirs


def same_truth(ours: str, theirs: str) -> bool:
    """As written; of a closed form in floats the last digits depend on the versions of numpy and scipy."""
    return ours == theirs or ("/" not in ours and math.isclose(float(ours), float(theirs), rel_tol=1e-13))


def check_rows(case: om.Instance, slug: str, solution: om.Solution) -> None:
    """Fail unless the solution gives the rows that stand in the tables."""
    made = rows(slug, solution)
    close = case.gap or 1e-6
    there = [row for row in committed(slug.partition("/")[0]) if row["instance"] == slug]
    assert len(made) == len(there), "run `optmarket reproduce` and look at what changed"
    for ours, theirs in zip(made, there, strict=True):
        for column in COLUMNS:
            if column == "gap":
                assert float(ours[column]) <= shown(close) and float(theirs[column]) <= shown(close)
            elif column == "value":
                assert numbers_agree(ours[column], theirs[column], 0 if case.gap is None else close), column
            elif column == "error":  # as uncertain as the value it is an error of
                slack = 1e-7 * abs(float(ours["value"] or 0)) if case.gap is None else close
                assert numbers_agree(ours[column], theirs[column], slack), column
            elif column == "truth":
                assert same_truth(ours[column], theirs[column]), column
            elif column == "outcome":
                assert words_agree(ours[column], theirs[column], case.gap is not None), column
            else:
                assert ours[column] == theirs[column], column
