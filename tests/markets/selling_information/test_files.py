"""One buyer, in files: types from csv, errors that name the field, solutions written and read again."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.one_buyer import Params, types_of

import optmarket as om
from optmarket.errors import InstanceError, ModelError, OptmarketError
from optmarket.solution import Solution

HEAD = 'format = 1\nmodel = "selling-information"\ntitle = "a case"\nsource = "own"\n\n[params]\n'
TWO_TOML = 'types = [{ weight = "1/2", belief = ["1/4", "3/4"] }, { weight = "1/2", belief = ["3/5", "2/5"] }]\n'
VIOLATIONS = {"misreport", "disobey", "double-deviation", "individual-rationality"}


def load(folder: Path, body: str, **files: str) -> om.Instance:
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    (folder / "case.toml").write_text(HEAD + body, encoding="utf-8")
    return om.load(folder / "case.toml")


def test_types_from_a_csv_file(tmp_path: Path) -> None:
    table = "name, weight, low, high, value\nanna, 1/2, 1/4, 0.75, 1\n\nbo, 0.5, 3/5, 4e-1, 2/3\n"
    got = load(tmp_path, 'types_csv = "t.csv"\n', t=table)
    inline = load(
        tmp_path,
        'states = ["low", "high"]\ntypes = [{ name = "anna", weight = "1/2", belief = ["1/4", "3/4"] }, '
        '{ name = "bo", weight = "1/2", belief = ["3/5", "2/5"], value = "2/3" }]\n',
    )
    assert isinstance(got.params, Params) and isinstance(inline.params, Params)
    assert got.params.types == inline.params.types
    assert got.params.states == ("low", "high")
    assert got.sha256 == inline.sha256
    menu = om.solve(got).menu
    assert menu["state"].tolist()[:2] == ["low", "high"]
    assert {"act low", "act high"} <= set(menu.columns)
    named = load(tmp_path, 'types_csv = "t.csv"\nstates = ["low", "high"]\nactions = ["buy", "sell"]\n', t=table)
    assert {"buy", "sell"} <= set(om.solve(named).menu.columns)


def written_by_a_program(digits: int) -> str:
    """A csv file of 500 types as a program writes it, its numbers rounded to so many digits."""
    rng = np.random.default_rng(5)
    columns = np.column_stack([rng.dirichlet(np.ones(500)), rng.dirichlet(np.ones(3), size=500)])
    rows = (",".join(f"{entry:.{digits}g}" for entry in row) for row in columns.tolist())
    return "weight,a,b,c\n" + "\n".join(rows) + "\n"


def test_the_rounding_of_a_program_that_wrote_a_csv_file_is_silent(tmp_path: Path) -> None:
    assert load(tmp_path, 'types_csv = "t.csv"\n', t=written_by_a_program(17)).notes == ()


def test_coarser_rounding_of_a_csv_file_is_said_in_one_line(tmp_path: Path) -> None:
    (note,) = load(tmp_path, 'types_csv = "t.csv"\n', t=written_by_a_program(10)).notes
    assert re.fullmatch(r"entries of belief and weights miss the sum 1 by at most \de-1[01]; divided by their sum", note)


CSV_MISTAKES = {
    "no weight": ("share,a,b\n1,1/2,1/2\n", "weight"),
    "no state": ("weight,value\n1,1\n", "one per state"),
    "the same state twice": ("weight,a,a\n1,1/2,1/2\n", "all named, and differently"),
    "a column without name": ("weight,a,,b\n1,1/2,0,1/2\n", "all named, and differently"),
    "a short row": ("weight,a,b\n1/2,1/2,1/2\n1/2,1\n", "line 3: has 2 entries, the header 3"),
    "a long row": ("weight,a,b\n1,1/2,1/2,0\n", "line 2: has 4 entries, the header 3"),
    "text": ("weight,a,b\n1,1/2,half\n", "'half'"),
    "a belief that misses one": ("weight,a,b\n1,1/2,1/3\n", "sum to 5/6"),
    "weights that miss one": ("weight,a,b\n1/2,1/2,1/2\n", "sum to 1/2"),
    "an empty cell": ("weight,a,b\n1,1/2,\n", "''"),
    "no rows": ("weight,a,b\n", "no row below the header"),
    "nothing": ("\n", "empty"),
    "other states": ("weight,b,a\n1,1/2,1/2\n", "names a, b"),
}


@pytest.mark.parametrize("mistake", CSV_MISTAKES)
def test_mistakes_of_csv_files(mistake: str, tmp_path: Path) -> None:
    text, said = CSV_MISTAKES[mistake]
    states = 'states = ["a", "b"]\n' if mistake == "other states" else ""
    with pytest.raises(InstanceError, match=said) as caught:
        load(tmp_path, states + 'types_csv = "t.csv"\n', t=text)
    assert caught.value.file is not None and Path(caught.value.file).name in {"t.csv", "case.toml"}


def test_csv_beside_types_or_missing(tmp_path: Path) -> None:
    for body, field in (('types_csv = "t.csv"\n' + TWO_TOML, "params.types_csv"), ("types_csv = 3\n", "params.types_csv")):
        with pytest.raises(InstanceError) as caught:
            load(tmp_path, body, t="weight,a\n1,1\n")
        assert caught.value.field == field
    with pytest.raises(InstanceError, match="no such file"):
        load(tmp_path, 'types_csv = "elsewhere.csv"\n')


HALVES = 'belief = ["1/2", "1/2"]'
THIRTEEN = '"1/26", ' * 13
FIELDS = {
    "states differ": (
        f'types = [{{ weight = "1/2", {HALVES} }}, {{ weight = "1/2", belief = [1] }}]',
        "types[1].belief",
        "1 states; the first type has 2",
    ),
    "states named": (f'states = ["a", "b", "c"]\ntypes = [{{ weight = 1, {HALVES} }}]', "types[0].belief", "states names 3"),
    "contexts ragged": ('types = [{ weight = 1, joint = [["1/2"], ["1/4", "1/4"]] }]', "types[0].joint", "[1, 2]"),
    "joint off one": ('types = [{ weight = 1, joint = [["1/2"], ["1/4"]] }]', "types[0].joint", "sum to 3/4"),
    "belief off one": ('types = [{ weight = 1, belief = ["1/2", "1/3"] }]', "types[0].belief", "sum to 5/6"),
    "belief negative": ('types = [{ weight = 1, belief = ["3/2", "-1/2"] }]', "types[0].belief[1]", "at least 0"),
    "weights off one": (f"types = [{{ weight = 1, {HALVES} }}, {{ weight = 1, {HALVES} }}]", "types", "sum to 2"),
    "weight negative": (f'types = [{{ weight = "-1/2", {HALVES} }}]', "types[0].weight", "at least 0"),
    "value negative": (f"types = [{{ weight = 1, value = -1, {HALVES} }}]", "types[0].value", "at least 0"),
    "two measures": (f'types = [{{ weight = 1, {HALVES}, joint = [["1/2"], ["1/2"]] }}]', "types[0]", "not both"),
    "no measure": ("types = [{ weight = 1 }]", "types[0]", "either belief"),
    "payoff shape": (f"payoff = [[1, 0]]\ntypes = [{{ weight = 1, {HALVES} }}]", "payoff", "1 x 2; must be 2 states x 2"),
    "payoff ragged": (f"payoff = [[1, 0], [1]]\ntypes = [{{ weight = 1, {HALVES} }}]", "payoff", "[2, 1]"),
    "payoff unknown": (f'payoff = "matchin"\ntypes = [{{ weight = 1, {HALVES} }}]', "payoff", "must be"),
    "own payoff": (f"types = [{{ weight = 1, payoff = [[1, 0]], {HALVES} }}]", "types[0].payoff", "must be 2 states x 2"),
    "states twice": (f'states = ["a", "a"]\ntypes = [{{ weight = 1, {HALVES} }}]', "states", "twice"),
    "actions twice": (f'actions = ["a", "a"]\ntypes = [{{ weight = 1, {HALVES} }}]', "actions", "twice"),
    "actions miscounted": (f'actions = ["a", "b", "c"]\ntypes = [{{ weight = 1, {HALVES} }}]', "actions", "3 actions"),
    "no row below the header": ("types = []", "types", "at least 1"),
    "types missing": ('payoff = "matching"', "types", "has no types; must give one of types, types_csv and belief"),
    "misspelt": (f"types = [{{ weight = 1, valeu = 1, {HALVES} }}]", "types[0].valeu", "did you mean 'value'"),
    "profiles": (f"types = [{{ weight = 1, joint = [[{THIRTEEN}], [{THIRTEEN}]] }}]", "types", "2^13 = 8,192"),
}


@pytest.mark.parametrize("mistake", FIELDS)
def test_errors_name_the_field(mistake: str, tmp_path: Path) -> None:
    body, field, said = FIELDS[mistake]
    with pytest.raises(OptmarketError) as caught:
        load(tmp_path, body + "\n")
    assert isinstance(caught.value, ModelError if mistake == "profiles" else InstanceError)
    assert caught.value.field == f"params.{field}"
    assert said in caught.value.message
    assert caught.value.file == str(tmp_path / "case.toml")


def test_as_many_profiles_as_allowed(tmp_path: Path) -> None:
    entries = '"1/24", ' * 12
    one = load(tmp_path, f"types = [{{ weight = 1, joint = [[{entries}], [{entries}]] }}]\n").params
    assert isinstance(one, Params) and types_of(one)[0].weight == 1


# Solutions ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exact", [False, True])
def test_a_solution_survives_its_file(tmp_path: Path, exact: bool) -> None:
    case = load(tmp_path, TWO_TOML + '[[expect]]\nquantity = "revenue"\nvalue = "19/70"\nkind = "exact"\nsource = "by hand"\n')
    solution = om.solve(case, exact=exact)
    assert solution.good and solution.status == "optimal"
    assert solution.exact == (Fraction(19, 70) if exact else None)
    assert all(claim.met for claim in solution.claims) and solution.claims[0].source == "by hand"
    solution.write(tmp_path / "solution.json")
    again = Solution.read(tmp_path / "solution.json")
    assert again.to_dict() == solution.to_dict() == json.loads(solution.to_json())
    assert (again.exact, again.status, again.good) == (solution.exact, solution.status, True)
    assert again.certificate == solution.certificate and again.audit == solution.audit and again.claims == solution.claims
    assert again.mechanism == solution.mechanism and again.quantities == solution.quantities
    for name, table in solution.tables.items():
        pd.testing.assert_frame_equal(again.tables[name], table, check_exact=False, rtol=0, atol=1e-14)
    assert om.audit(case, tmp_path / "solution.json") == solution.audit


def test_a_solution_has_what_the_design_says(tmp_path: Path) -> None:
    solution = om.solve(load(tmp_path, TWO_TOML))
    data = solution.to_dict()
    for key in ("instance", "model", "status", "objective", "value", "quantities", "certificate", "audit", "claims", "mechanism"):
        assert key in data
    assert data["format"] == 1 and data["objective"] == "revenue" and data["value"] == data["quantities"]["revenue"]
    assert set(data["certificate"]) == {"lower", "upper", "gap", "blocks"}
    assert set(data["certificate"]["blocks"]) == {
        "experiment sums to one",
        "individual rationality",
        "obedience",
        "incentive",
    }
    assert set(data["audit"]["violations"]) == VIOLATIONS
    assert list(solution.menu.columns)[:6] == ["item", "kind", "price", "share", "bought by", "state"]
    assert list(solution.menu.columns)[6:] == ["act 1", "act 2"]
    assert list(solution.types.columns) == [
        *("type", "weight", "Pr(state 1)", "Pr(state 2)", "full value", "item", "price", "gain"),
    ]
    assert len(solution.types) == 2 and len(solution.menu) == 2 * len(solution.mechanism["items"])
    np.testing.assert_allclose(solution.menu[["act 1", "act 2"]].sum(axis=1), 1, atol=1e-12)
    assert solution.types["weight"] @ solution.types["price"] == pytest.approx(solution.value, abs=1e-12)
    assert solution.menu.groupby("item")["share"].first().sum() == pytest.approx(1, abs=1e-12)
    with pytest.raises(AttributeError, match="menu, types"):
        _ = solution.nonsense
    with pytest.raises(AttributeError):
        _ = solution.__wrapped__


def test_a_damaged_solution_is_refused(tmp_path: Path) -> None:
    data = om.solve(load(tmp_path, TWO_TOML)).to_dict()
    changes: list[dict[str, Any]] = [
        {"format": 2},
        {"status": "splendid"},
        {"certificate": {}},
        {"audit": 3},
        {"claims": [{"colour": 1}]},
    ]
    for change in changes:
        with pytest.raises(InstanceError):
            Solution.from_dict({**data, **change})
    for key in ("model", "value", "tables", "mechanism"):
        with pytest.raises(InstanceError, match=key):
            Solution.from_dict({k: v for k, v in data.items() if k != key})
