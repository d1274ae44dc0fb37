"""Solutions in one table: which rows and columns, in what order, and how csv, markdown and LaTeX write them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.command import Done
from support.paths import ROOT

import optmarket as om
from optmarket.certificates import Audit, Optimality, relative_gap
from optmarket.instances.instance import parse
from optmarket.modeling import registry
from optmarket.modeling.registry import Quantity
from optmarket.options import Status
from optmarket.reporting.tables import render
from optmarket.solution import Solution
from optmarket.solution_file import InstanceReference

MARKET = "selling-information"
TOGETHER = {  # instances that report all quantities of a market
    "balanced-production": ("growth-of-one-group", "two-of-three-groups", "best-target-for-all", "safe-target"),
    "competing-buyers": ("two-values", "private-beliefs-bayesian-externality"),
    "data-externalities": (
        *("two-users", "de-correlation-literal", "platforms-help", "unknown-values", "unknown-value-of-one", "factor-30"),
    ),
    "selling-information": ("contrary-report", "dirichlet-payoffs", "reduced-credit-report"),
    "selling-training-data": ("classifiers-one-class", "line-arcsine", "triangle"),
}

GAPS = {"reduced-credit-report": None}  # what a limit on items costs is reported only where the optimum without it is proved


def solved(slug: str, **changes: Any) -> Solution:
    plain = Solution(
        instance=InstanceReference(slug, "0"),
        model=MARKET,
        title="t",
        status=Status.OPTIMAL,
        objective="revenue",
        value=2 / 7,
        quantities={"share-buying": 1.0, "revenue": 2 / 7, "surplus": 3e-17},
        certificate=Optimality(2 / 7 - 1e-12, 2 / 7 + 1e-12, relative_gap(2 / 7 - 1e-12, 2 / 7 + 1e-12)),
        audit=Audit({"revenue": 2 / 7}, {}),
        claims=(),
        mechanism={"items": []},
        tables={},
    )
    return replace(plain, **changes)


# --- the table ---


def test_rows_are_sorted_and_columns_carry_the_units_of_the_market() -> None:
    table = om.tables([solved("b"), solved("a"), solved("a/1")])
    assert table["instance"].tolist() == ["a", "a/1", "b"]
    assert table.columns.tolist() == [
        "instance",
        "model",
        "status",
        "revenue [payoff units]",
        "lower [payoff units]",
        "upper [payoff units]",
        "gap",
        "surplus [payoff units]",
        "share-buying [probability]",
    ]
    assert table["revenue [payoff units]"].tolist() == [2 / 7] * 3
    assert table["surplus [payoff units]"].tolist() == [0.0] * 3  # 0 but for rounding


def test_units_are_the_markets_and_not_the_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(registry.get(MARKET), quantities={"revenue": Quantity("euro", "what is earned")})
    monkeypatch.setattr(registry, "get", lambda name: spec)
    columns = om.tables(solved("a")).columns
    assert {"revenue [euro]", "lower [euro]", "upper [euro]", "surplus", "share-buying"} <= set(columns)


@pytest.mark.parametrize("name", registry.names())
def test_a_market_gives_every_quantity_a_unit(name: str) -> None:
    found = [om.solve(ROOT / "instances" / name / f"{stem}.toml", gap=GAPS.get(stem, 0.5)).quantities for stem in TOGETHER[name]]
    if name == "selling-training-data":  # of beliefs alone more is said
        types = '[{ weight = "1/2", joint = [["1/4"], ["3/4"]] }, { weight = "1/2", joint = [["3/5"], ["2/5"]] }]'
        text = f'format = 1\nmodel = "{name}"\ntitle = "t"\nsource = "own"\n[params]\ntypes = {types}\n'
        found.append(om.solve(parse(text, lambda model: registry.get(model).params)).quantities)
    assert registry.get(name).units.keys() == {quantity for quantities in found for quantity in quantities}


def test_small_numbers_of_a_large_market_are_rounding_and_probabilities_are_not() -> None:
    one = solved("a", audit=Audit({}, {}, unit=1e10), quantities={"revenue": 1.0, "surplus": 0.5, "share-buying": 0.5})
    (row,) = om.tables(one).to_dict("records")
    assert row["surplus [payoff units]"] == 0.0
    assert row["share-buying [probability]"] == 0.5


def test_the_same_table_from_memory_and_from_files(tmp_path: Path) -> None:
    one, two = solved("a", exact=Fraction(2, 7)), solved("b", quantities={"revenue": 2 / 7, "more": 1.0})
    one.write(tmp_path / "x" / "one.json")
    two.write(tmp_path / "two.json")
    from_memory, from_files = om.tables([one, two]), om.tables(tmp_path)
    assert from_memory.equals(from_files)
    assert from_memory["exact"][0] == "2/7" and from_memory["exact"].isna().tolist() == [False, True]
    assert from_memory["more"].isna().tolist() == [True, False]
    assert len(om.tables([tmp_path, tmp_path / "two.json", str(tmp_path)])) == 2  # a file named twice is one row


def test_chosen_quantities_come_in_the_order_chosen() -> None:
    table = om.tables([solved("a")], quantities=["share-buying", "surplus", "revenue"])
    assert table.columns.tolist()[6:] == ["gap", "share-buying [probability]", "surplus [payoff units]"]
    with pytest.raises(om.InstanceError, match=r"no quantity 'profit'.*revenue, share-buying, surplus"):
        om.tables(solved("a"), quantities=["profit"])


def test_solutions_of_other_objectives_say_which() -> None:
    table = om.tables([solved("a"), solved("b", objective="surplus", value=0.5, quantities={"revenue": 1.0, "surplus": 0.5})])
    assert table["objective"].tolist() == ["revenue", "surplus"]
    assert table["surplus [payoff units]"].tolist() == [0.0, 0.5]
    assert table["revenue [payoff units]"].tolist() == [2 / 7, 1.0]


def test_files_that_are_no_solutions(tmp_path: Path) -> None:
    solved("a").write(tmp_path / "a.json")
    other = tmp_path / "menu.json"
    other.write_text(json.dumps({"format": 1, "model": "x"}))
    with pytest.warns(UserWarning, match=r"skipped .*menu\.json: is not a solution file"):
        assert len(om.tables(tmp_path)) == 1
    with pytest.raises(om.InstanceError, match=r"menu\.json: is not a solution file"):
        om.tables([tmp_path / "a.json", other])
    with pytest.raises(om.InstanceError, match="no such file"):
        om.tables(tmp_path / "none.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(om.InstanceError, match="folder without a solution file"):
        om.tables(tmp_path / "empty")
    with pytest.raises(om.InstanceError, match="no solution to put into a table"):
        om.tables([])


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("quantities", ["revenue"], "quantities: is a list; must be a table"),
        ("quantities", {"revenue": "much"}, "quantities.revenue: is 'much'; must be a number"),
        ("value", None, "value: is null; must be a number"),
        ("instance", {}, "instance.slug: is missing (and 1 more)"),
    ],
)
def test_a_damaged_solution_is_an_error_and_not_a_crash(tmp_path: Path, field: str, value: Any, words: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(solved("a").to_dict() | {field: value}))
    with pytest.raises(om.InstanceError, match=re.escape(f"a.json: {words}")):
        om.tables(path)


def test_a_solution_of_an_unknown_market_names_its_file(tmp_path: Path) -> None:
    solved("a", model="selling-informations").write(tmp_path / "a.json")
    with pytest.raises(om.ModelError, match=r"a\.json: .*did you mean 'selling-information'"):
        om.tables(tmp_path / "a.json")


# --- how it is written ---


def test_csv_has_six_digits_and_bounds_rounded_outwards() -> None:
    header, row = csv.reader(io.StringIO(render(om.tables(solved("a, b")), "csv")))
    cells = dict(zip(header, row, strict=True))
    assert cells["instance"] == "a, b"
    assert cells["revenue [payoff units]"] == "0.285714"
    assert (cells["lower [payoff units]"], cells["upper [payoff units]"]) == ("0.285714", "0.285715")
    assert cells["gap"] == "7.0e-12"
    assert cells["share-buying [probability]"] == "1.00000"
    assert cells["surplus [payoff units]"] == "0"


@pytest.mark.parametrize("value", [2 / 3, 70.0, -1 / 3, 1e-9 / 3, 123456.7, 9.999999])
def test_written_bounds_hold_the_value_and_are_six_digits_apart(value: float) -> None:
    case = solved("a", value=value, quantities={"revenue": value}, certificate=Optimality(value, value, 0.0))
    (row,) = csv.DictReader(io.StringIO(render(om.tables(case), "csv")))
    lower, upper = (Fraction(row[f"{name} [payoff units]"]) for name in ("lower", "upper"))
    assert lower <= Fraction(value) <= upper
    assert upper - lower <= abs(Fraction(value)) / 10**5
    digits = re.sub(r"e.*|[-.]", "", row["revenue [payoff units]"]).lstrip("0")
    assert len(digits) == 6


def test_bounds_of_an_exact_value_are_the_value() -> None:
    exact = Fraction(1, 5)  # whose float lies above it
    case = solved("a", exact=exact, certificate=Optimality(float(exact), float(exact), 0.0))
    (row,) = csv.DictReader(io.StringIO(render(om.tables(case), "csv")))
    assert (row["lower [payoff units]"], row["upper [payoff units]"], row["exact"]) == ("0.200000", "0.200000", "1/5")


def test_a_long_fraction_is_written_in_full_only_in_csv() -> None:
    exact = Fraction(2 * 10**40, 7 * 10**40 + 1)
    table = om.tables(solved("a", exact=exact))
    assert str(exact) in render(table, "csv")
    assert "83 characters" in render(table, "md") and str(exact) not in render(table, "md")


def test_markdown_renders() -> None:
    one = solved("a|b_*c*", quantities={"revenue": 2 / 7, "extra": 1.0})
    lines = render(om.tables([one, solved("z")]), "md").splitlines()
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    assert len(lines) == 4 and len({len(line) for line in lines}) == 1
    assert len({len(row) for row in cells}) == 1
    assert all(re.fullmatch(r" -{2,}[-:] ", cell) for cell in cells[1])
    assert cells[2][0].strip() == r"a\|b\_\*c\*"
    assert cells[1][3].endswith(": ") and cells[1][0].endswith("- ")  # numbers to the right
    assert [row[-1].strip() for row in cells[2:]] == ["1.00000", "-"]


def test_latex_is_escaped_and_set_in_booktabs() -> None:
    text = render(om.tables(solved(r"[a]_50%&$#{}~^\<|")), "tex")
    assert text.splitlines()[1] == r"\begin{tabular}{lllrrrrrr}"
    assert [line.strip() for line in text.splitlines() if "rule" in line] == [r"\toprule", r"\midrule", r"\bottomrule"]
    escaped = r"{[}a{]}\_50\%\&\$\#\{\}\textasciitilde{}\textasciicircum{}\textbackslash{}\textless{}\textbar{}"
    assert f"  {escaped} & selling-information & optimal & " in text
    assert r"share-buying {[}probability{]} \\" in text
    assert r"$7.0\times10^{-12}$" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows] == [8, 8]


def test_an_unknown_form() -> None:
    with pytest.raises(om.ModelError, match=r"'html'.*csv, md, tex"):
        render(om.tables(solved("a")), "html")


# --- the command ---


def test_the_command_collects_a_folder_and_notes_what_it_skips(run: Callable[..., Done], tmp_path: Path) -> None:
    solved("b").write(tmp_path / "s" / "b.json")
    solved("a").write(tmp_path / "s" / "deep" / "a.json")
    (tmp_path / "s" / "no.json").write_text("{}")
    code, out, err = run("table", tmp_path / "s", "--quantity", "surplus")
    assert code == 0
    assert out == render(om.tables([solved("a"), solved("b")], quantities=["surplus"]), "csv")
    assert [line.split(":")[0] for line in err.splitlines()] == [f"skipped {tmp_path / 's' / 'no.json'}"]
    code, out, err = run("table", tmp_path / "s" / "b.json", "--format", "tex", "-o", tmp_path / "t" / "t.tex")
    assert (code, out, err) == (0, "", f"wrote {tmp_path / 't' / 't.tex'}\n")
    assert (tmp_path / "t" / "t.tex").read_text() == render(om.tables(solved("b")), "tex")


def test_the_command_refuses_what_is_no_solution(run: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "no.json").write_text("{}")
    code, out, err = run("table", tmp_path / "no.json")
    assert (code, out) == (2, "") and len(err.splitlines()) == 1 and "no.json" in err
    assert run("table", tmp_path / "no.json", "--format", "html")[0] == 2


def test_an_empty_cell_of_a_table_goes_through_a_file_and_back() -> None:
    table = pd.DataFrame({"name": ["a", "b"], "ratio": pd.Series([0.5, None], dtype=object), "count": [1, 2]})
    text = solved("a", tables={"ratios": table}).to_json()
    back = Solution.from_dict(json.loads(text))
    assert back.to_json() == text
    assert back.tables["ratios"]["ratio"].tolist() == [0.5, None]
    assert back.tables["ratios"]["count"].tolist() == [1, 2]
