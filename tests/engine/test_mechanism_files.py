"""Mechanism files and curves beside instances, as the reproduction of the library judges and draws them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small_library import MARKET, RIGHT, instance

import optmarket as om
from optmarket.errors import InstanceError
from optmarket.studies import mechanism_files
from optmarket.studies.instance_library import read, reproduce

pytestmark = pytest.mark.usefixtures("folder")

LEARNED = """{{
  "format": 1, "model": "selling-information", "source": "a network", {stated}
  "items": [{{"experiment": [["1/2", "1/2"], [0, 1]], "price": 0.12}}, {{"experiment": [[1, 0], [0, 1]], "price": 0.39}}]
}}"""

STATED = '"stated": {"revenue": 0.26, "kind": "neural"},'


def beside(name: str, stated: str = STATED) -> None:
    Path("instances", MARKET, name).write_text(LEARNED.format(stated=stated), encoding="utf-8")


def test_mechanisms_beside_an_instance_are_judged(toy: str) -> None:
    instance("one", RIGHT)
    instance("one-more", RIGHT, market=toy)
    beside("one.b.json", "")
    beside("one.a.json")
    beside("another.json")
    beside("one.json")
    assert reproduce().good
    found = read(Path("results/mechanisms.csv"), mechanism_files.COLUMNS)
    assert [(row["mechanism"], row["stated"], row["kind"], row["source"]) for row in found] == [
        ("a", "0.26", "neural", "a network"),
        ("b", "", "", ""),
    ]
    assert found[0] | {"lower": "", "upper": ""} == {
        "instance": f"{MARKET}/one",
        "mechanism": "a",
        "quantity": "revenue",
        "lower": "",
        "upper": "",
        "audited": "0.255",
        "stated": "0.26",
        "kind": "neural",
        "percent below": "6.05",
        "worst violation": "0",
        "source": "a network",
    }
    assert float(found[0]["lower"]) <= 19 / 70 <= float(found[0]["upper"])
    reproduce(toy)
    assert read(Path("results/mechanisms.csv"), mechanism_files.COLUMNS) == found


def test_a_mechanism_that_does_not_hold_earns_no_share_of_the_optimum() -> None:
    instance("one", RIGHT)
    item = '{"experiment": [[1, 0], [0, 1]], "price": 0.3}'
    text = f'{{"format": 1, "model": "{MARKET}", "items": [{item}], "assignment": [0, 0]}}'
    Path("instances", MARKET, "one.greedy.json").write_text(text, encoding="utf-8")
    assert reproduce().good
    (row,) = read(Path("results/mechanisms.csv"), mechanism_files.COLUMNS)
    assert (row["audited"], row["worst violation"], row["percent below"]) == ("0.3", "0.05", "")


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ('"stated": 0.2,', "stated: must be an object such as"),
        ('"stated": {"revenue": 0.2},', "stated: must be an object such as"),
        ('"stated": {"revenue": 0.2, "kind": "guess"},', "kinds are analytic, exact"),
        ('"stated": {"revenu": 0.2, "kind": "neural"},', "stated.revenu: is no quantity of the market"),
        ('"stated": {"revenue": "much", "kind": "neural"},', "stated.revenue: is 'much'"),
    ],
)
def test_what_a_mechanism_file_must_not_state(stated: str, words: str) -> None:
    instance("one", RIGHT)
    beside("one.a.json", stated)
    file = Path("instances", MARKET, "one.a.json")
    (error,) = reproduce().errors
    assert str(error).startswith(f"{file}: stated") and words in str(error)
    with pytest.raises(InstanceError, match="stated"):
        om.audit("instances/selling-information/one.toml", file)


CURVE = """[sweep]
points = "one.points.csv"
quantities = ["revenue", "differential-informativeness"]
"""


def test_an_instance_with_a_sweep_gets_its_curve() -> None:
    path = instance("one", CURVE, RIGHT)
    table = "price, types.1.value, differential-informativeness\n1/4, 0, \n1/2, 1, -0.4\n3, 2,\n"
    path.with_name("one.points.csv").write_text(table, encoding="utf-8")
    done = reproduce()
    assert done.good and str(done) == "1 instance solved, 4 claims: 4 agree"
    assert [file.as_posix() for file in done.files[4:]] == [
        f"results/curves/{MARKET}/one{ending}" for ending in (".csv", ".png", ".svg")
    ]
    first = {file.name: file.read_bytes() for file in done.files[4:]}
    columns = ["price", "types[1].value", "status", "revenue [payoff units]", "differential-informativeness [probability]"]
    columns += ["published differential-informativeness [probability]", "gap"]
    found = read(done.files[4], columns)
    assert [list(row.values())[:3] for row in found] == [
        ["0.25", "0", "optimal"],
        ["0.5", "1", "optimal"],
        ["3", "2", "optimal"],
    ]
    assert [row["revenue [payoff units]"] for row in found][1] == "0.271428571"
    assert [row[columns[5]] for row in found] == ["", "-0.4", ""]
    assert found[1][columns[4]] == "-0.428571429"
    reproduce()
    assert {file.name: file.read_bytes() for file in done.files[4:]} == first


def test_a_curve_that_cannot_be_made_is_told_and_stops_no_other() -> None:
    instance("one", CURVE, RIGHT)
    instance("two", RIGHT)
    done = reproduce()
    assert done.instances == 2 and [str(error) for error in done.errors] == [
        f"{Path('instances', MARKET, 'one.points.csv')}: there is no such file"
    ]
