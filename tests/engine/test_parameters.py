"""Parameters varied: paths, ranges and points, and their mistakes."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from support.command import Done
from support.paths import ROOT

import optmarket as om
from optmarket.errors import InstanceError
from optmarket.instances.parameters import axes, find, grid, vary

LIBRARY = ROOT / "instances" / "selling-information"

TWO = LIBRARY / "two-types.toml"

WEIGHTS = "types[0].weight=0:1:1/4,types[1].weight=1:0:-1/4"

pytestmark = pytest.mark.usefixtures("folder")


# --- numbers of an instance ---


@pytest.mark.parametrize("path", sorted(LIBRARY.glob("*.toml")), ids=lambda path: path.stem)
def test_an_instance_with_nothing_set_is_itself(path: Path) -> None:
    case = om.load(path)
    assert vary(case, {}).sha256 == case.sha256


def test_a_setting_is_what_the_file_would_say(tmp_path: Path) -> None:
    edited = tmp_path / "edited.toml"
    edited.write_text(TWO.read_text("utf-8").replace('["1/4", "3/4"]', '["1/3", "2/3"]'))
    assert edited.read_text("utf-8") != TWO.read_text("utf-8")
    settings = {"types[0].belief[0]": Fraction(1, 3), "types[0].belief[1]": Fraction(2, 3)}
    varied = vary(om.load(TWO), settings)
    assert varied.sha256 == om.load(edited).sha256
    assert varied.expect == () and varied.settings == settings
    assert varied.title.endswith("types[0].belief[0] = 1/3, types[0].belief[1] = 2/3")


def test_types_of_a_csv_file_can_be_set() -> None:
    case = om.load(LIBRARY / "market-survey.toml")
    assert vary(case, {find(case, "types.2.value"): Fraction(7)}).params.model_dump()["types"][2]["value"] == "7"


@pytest.mark.parametrize("written", ["types[1].belief[0]", "types.1.belief.0", "params.types[1].belief[0]", " types.1.belief.0 "])
def test_ways_to_write_a_path(written: str) -> None:
    assert find(om.load(TWO), written) == "types[1].belief[0]"


def test_a_range_includes_both_ends_and_is_exact() -> None:
    (axis,) = axes(om.load(TWO), ["types.0.value=0:1:1/49"])
    assert axis.values == (tuple(Fraction(k, 49) for k in range(50)),)
    (axis,) = axes(om.load(TWO), ["types.0.value=1:0.05:-0.3"])
    assert axis.values == ((Fraction(1), Fraction(7, 10), Fraction(2, 5), Fraction(1, 10)),)
    (axis,) = axes(om.load(TWO), ["types.0.value=3/7"])
    assert axis.values == ((Fraction(3, 7),),)


def test_texts_make_a_grid_and_commas_move_together() -> None:
    varied = axes(om.load(TWO), [WEIGHTS, "types[0].value=1:2:1"])
    points = list(grid(varied))
    assert len(points) == 10
    assert points[0] == {"types[0].weight": 0, "types[1].weight": 1, "types[0].value": 1}
    assert points[1] == {"types[0].weight": 0, "types[1].weight": 1, "types[0].value": 2}
    assert all(point["types[0].weight"] + point["types[1].weight"] == 1 for point in points)


BAD = {
    "typs.0.weight=1": "typs.0.weight: is no parameter; did you mean types[0].weight?",
    "types.0.wieght=1": "types.0.wieght: is no parameter; did you mean types[0].weight?",
    "colour=1": "colour: is no parameter; the instance has payoff, types",
    "types.2.weight=1": "types.2.weight: is no parameter; types has the entries 0 to 1, counted from 0",
    "types.0.weight.x=1": "is no parameter; types[0].weight is a single value",
    "types=1": "types: is not one number; name one of its entries, such as types[0].weight",
    "payoff=1": "payoff: is 'matching', which is not a number",
    "types.0.value=2:1:1": "is 2:1:1, an empty range: steps of 1 from 2 never come to 1",
    "types.0.value=1:2:0": "with steps of 0",
    "types.0.value=1:2": "is 1:2; write PARAM=START:STOP:STEP",
    "types.0.value=1:two:1": "is 'two'",
    "types.0.value": "is 'types.0.value'; write PARAM=START:STOP:STEP",
    "types.0.value=0:1:1e-9": "1,000,000,001 values; at most 100,000",
    "types.0.value=0:1:1/2,types.1.value=0:1:1/3": "must have as many values: types[0].value has 3, types[1].value has 4",
    "types.0.value=1,types.0.value=1": "types[0].value: is varied twice",
    "types.0.weight=0:1:1/2": "weights sum to 1/2; must sum to 1 (at types[0].weight = 0)",
    "types.0.value=1:-1:-1": "is -1; must be at least 0 (at types[0].value = -1)",
}


@pytest.mark.parametrize("text", BAD)
def test_settings_that_cannot_be(text: str, run: Callable[..., Done]) -> None:
    error = run("sweep", TWO, "--set", text).one_error()
    assert error.startswith(f"error: {TWO}: ") and BAD[text] in error
    assert list(Path().iterdir()) == []


def test_more_points_than_anyone_wants() -> None:
    with pytest.raises(InstanceError, match="makes 1,002,001 points"):
        om.sweep(TWO, "types.0.value=0:1:1/1000", "types.1.value=0:1:1/1000")
    with pytest.raises(InstanceError, match="nothing is varied"):
        om.sweep(TWO)
