"""Instance files: every mistake is told with its field, and what is read does not depend on how it was spelt."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError
from support.toy_instances import (
    GOOD,
    NUMBER,
    Buyer,
    Density,
    Named,
    Params,
    Strict,
    changed,
    error_of,
    expecting,
    params_of,
)

from optmarket.errors import InstanceError
from optmarket.instances.instance import Instance, canonical, parse, read, sha256
from optmarket.rationals import Exact, PositiveExact
from optmarket.validation import translate

# Reading --------------------------------------------------------------------------------------------------------------


def test_read_gives_exact_parameters(tmp_path: Path) -> None:
    path = tmp_path / "case.toml"
    path.write_text(GOOD, encoding="utf-8")
    instance = read(path, params_of)
    assert isinstance(instance, Instance)
    assert isinstance(instance.params, Params)
    assert (instance.model, instance.title, instance.source, instance.file) == ("toy", "A case", "own", str(path))
    assert instance.params.payoff == ((Fraction(1), Fraction(0)), (Fraction(1, 2), Fraction(1, 3)))
    assert [buyer.weight for buyer in instance.params.types] == [Fraction(1, 2)] * 2
    assert instance.params.types[1].value == 2
    assert instance.params.count == 2
    assert (instance.expect, instance.notes) == ((), ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file"),
        (b"\xff\xfe\x00\x01", "is not a text file in UTF-8"),
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"format = ", "is not TOML: Invalid value (at end of document)"),
        (b"format = 1\nmodel = toy\n", "is not TOML: Invalid value (at line 2, column 9)"),
        (b"a = 1\na = 2\n", "is not TOML: Cannot overwrite a value (at line 2, column 6)"),
        (b"a = " + b"[" * 10**5, "is nested too deeply"),
        (b"a = " + b"1" * 10**5, "is not TOML"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_file_that_cannot_be_read(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "case.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InstanceError) as refusal:
        read(path, params_of)
    assert refusal.value.message.startswith(message)
    assert (refusal.value.file, refusal.value.field) == (str(path), None)


def test_a_directory_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match="is a directory; name a file"):
        read(tmp_path, params_of)


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("instances/toy/case.toml", "toy/case"),
        ("instances/old/instances/toy/deep/case.v2.toml", "toy/deep/case.v2"),
        ("instances/toy/../toy/case.toml", "toy/case"),
        ("elsewhere/case.toml", "case"),
        ("elsewhere/instances.toml", "instances"),
    ],
)
def test_slug(path: str, slug: str, tmp_path: Path) -> None:
    assert parse(GOOD, params_of, path=tmp_path / path).slug == slug


def test_slug_of_a_path_from_within_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "instances" / "toy").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "instances" / "toy")
    assert parse(GOOD, params_of, path="case.toml").slug == "toy/case"


def test_text_without_a_file() -> None:
    instance = parse(GOOD, params_of)
    assert (instance.file, instance.slug) == (None, "toy")
    assert error_of(changed("format = 1", "format = 7")).file is None


def test_validators_find_the_folder_and_their_errors_get_the_file(tmp_path: Path) -> None:
    text = changed("[params]", '[params]\ndata = "numbers.csv"')
    error = error_of(text, path=tmp_path / "case.toml")
    assert error.as_dict() == {
        "file": str(tmp_path / "case.toml"),
        "field": "params.data",
        "message": "there is no such file beside the instance",
    }
    (tmp_path / "numbers.csv").write_text("1", encoding="utf-8")
    params = parse(text, params_of, path=tmp_path / "case.toml").params
    assert isinstance(params, Params) and params.data == "numbers.csv"


def test_what_was_divided_by_its_sum_is_said_in_one_line() -> None:
    text = changed('["1/4", 0.75]', "[0.3333333333, 0.6666666666]")
    assert parse(text, params_of).notes == ("entries miss the sum 1 by 1e-10; divided by their sum",)
    twice = text.replace("[1, 0], value", "[0.3333333333, 0.6666666666], value")
    assert parse(twice, params_of).notes == parse(text, params_of).notes
    apart = text.replace("[1, 0], value", "[0.9999999998, 0], value")
    assert parse(apart, params_of).notes == ("entries miss the sum 1 by at most 2e-10; divided by their sum",)
    assert Buyer.model_validate({"weight": 1, "belief": ["0.9999999999"]}).belief == (
        Fraction(1),
    )  # no context, no note, no failure


@pytest.mark.parametrize(("entry", "notes"), [("0.749999999999", 1), ("0.7499999999990001", 0), ("0.75000000000000011", 0)])
def test_the_rounding_of_doubles_is_not_worth_a_note(entry: str, notes: int) -> None:
    case = parse(changed('["1/4", 0.75]', f"[0.25, {entry}]"), params_of)
    assert len(case.notes) == notes
    assert isinstance(case.params, Params) and all(sum(buyer.belief) == 1 for buyer in case.params.types)


@pytest.mark.parametrize(
    ("old", "new", "field", "message"),
    [
        ("format = 1", "format = 2", "format", "is 2; this version reads format 1"),
        ("format = 1", "format = true", "format", "is true; this version reads format 1"),
        ("format = 1", 'format = "1"', "format", "is '1'; this version reads format 1"),
        ("format = 1", "", "format", "is missing; write format = 1"),
        ("format = 1", "fromat = 1", "fromat", "unknown field; did you mean 'format'?"),
        (
            "format = 1",
            "format = 1\nzzz = 2",
            "zzz",
            "unknown field; the fields are format, model, title, source, params, expect, sweep, gap, method, figure",
        ),
        ('model = "toy"', 'model = "tox"', "model", "there is no market 'tox'; did you mean 'toy'?"),
        ('title = "A case"', "", "title", "is missing; one line that says what this case is"),
        ('title = "A case"', 'title = " "', "title", "is empty"),
        ('title = "A case"', "title = 3", "title", "is 3; must be text"),
        ('source = "own"', "source = []", "source", "is a list; must be text"),
        ("[params]", "[param]", "param", "unknown field; did you mean 'params'?"),
        ("[params]", "[[params]]", "params", "is a list; must be a table"),
        ("[params]", "[params]\nzzz = 1", "params.zzz", "unknown field; the fields are payoff, types, count, names, data"),
        ("[params]", "[params]\ncount = 2.5", "params.count", "is 2.5; must be a whole number"),
        ("[params]", '[params]\ncount = "two"', "params.count", "is 'two'; must be a whole number"),
        ("[params]", "[params]\ncount = 0", "params.count", "is 0; must be at least 1"),
        ("[params]", "[params]\ncount = 10", "params.count", "is 10; must be at most 9"),
        ("[params]", '[params]\nnames = { a = "x" }', "params.names.a", f"is 'x'; {NUMBER}"),
        ("[params]", "[params]\nnames = 1979-05-27", "params.names", "is of type date; must be a table"),
        ("[[1, 0], [0.5", '"matchin" # [[1, 0], [0.5', "params.payoff", "is 'matchin'; must be 'matching' or a list"),
        ("[[1, 0], [0.5", '[[1, 0], ["1/0"', "params.payoff[1][0]", f"is '1/0', a division by zero; {NUMBER}"),
        ("[[1, 0], [0.5", "[[1, 0], [[1]", "params.payoff[1][0]", "is a list; must be a number"),
        ("[[1, 0], [0.5", "[1, [0.5", "params.payoff[0]", "is 1; must be a list"),
        ('belief = ["1/4"', 'beleif = ["1/4"', "params.types[0].beleif", "unknown field; did you mean 'belief'?"),
        ("belief = [1, 0], ", "", "params.types[1].belief", "is missing; probability of each state, sums to 1"),
        ("belief = [1, 0]", "belief = 1", "params.types[1].belief", "is 1; must be a list"),
        ("belief = [1, 0]", "belief = [nan, 0]", "params.types[1].belief[0]", "is nan; must be finite"),
        ("belief = [1, 0]", "belief = [-inf, 0]", "params.types[1].belief[0]", "is -infinity; must be finite"),
        ("belief = [1, 0]", 'belief = ["one", 0]', "params.types[1].belief[0]", f"is 'one'; {NUMBER}"),
        ("belief = [1, 0]", "belief = [true, 0]", "params.types[1].belief[0]", f"is true; {NUMBER}"),
        ("belief = [1, 0]", "belief = [2, -1]", "params.types[1].belief[1]", "is -1; must be at least 0"),
        ("belief = [1, 0]", "belief = [1, 0.1]", "params.types[1].belief", "entries sum to 11/10; must sum to 1"),
        ("value = 2", "value = 2, zzz = 1", "params.types[1].zzz", "unknown field; the fields are weight, belief, value"),
        ("value = 2", "value = [2]", "params.types[1].value", "is a list; must be a table or a number"),
        ("value = 2", 'value = "x"', "params.types[1].value", f"is 'x'; {NUMBER}"),
        ("value = 2", 'value = { dits = "beta" }', "params.types[1].value.dits", "unknown field; did you mean 'dist'?"),
        ("value = 2", 'value = { dist = "beta", scale = 0 }', "params.types[1].value.scale", "is 0; must be above 0"),
        ("value = 2", "value = { densty = [] }", "params.types[1].value.densty", "unknown field; did you mean 'density'?"),
        ("value = 2", "value = { density = 1 }", "params.types[1].value.density", "is 1; must be a list"),
        (
            "value = 2",
            "value = { density = [{ frm = 0, height = 1 }] }",
            "params.types[1].value.density[0].frm",
            "unknown field; did you mean 'from'?",
        ),
        (
            "value = 2",
            "value = { density = [{ from = 0 }] }",
            "params.types[1].value.density[0].height",
            "is missing; density on the piece",
        ),
    ],
)
def test_bad_input_is_told_with_field_and_remedy(old: str, new: str, field: str, message: str) -> None:
    error = error_of(changed(old, new), path="case.toml")
    assert (error.field, error.message) == (field, message)
    assert str(error) == f"case.toml: {field}: {message}"


@pytest.mark.parametrize("number", ["1e400", "1e999999999", "1e" + "9" * 30, "1e-" + "9" * 30])
def test_numbers_beyond_doubles_name_their_field(number: str) -> None:
    error = error_of(changed("value = 2", f"value = {number}"))
    assert error.field == "params.types[1].value"
    assert "must fit a double" in error.message


@pytest.mark.parametrize(
    ("replaced", "field", "message"),
    [
        ("types = []", "params.types", "has 0 entries; needs at least 1"),
        (
            "types = [" + "{ weight = 1, belief = [1] }, " * 4 + "]",
            "params.types",
            "has 4 entries; takes at most 3",
        ),
        ("types = { weight = 1 }", "params.types", "is a table; must be a list"),
        ("types = [1]", "params.types[0]", "is 1; must be a table"),
        ("", "params.types", "is missing; the buyer's possible types"),
        ("tpyes = []", "params.tpyes", "unknown field; did you mean 'types'?"),
        ("zzz = 1", "params.zzz", "unknown field; the fields are payoff, types, count, names, data (and 1 more)"),
        (
            'types = [{ weight = "1/0", belief = [1] }, { weight = "x", belef = 3 }]\ncount = 0',
            "params.types[0].weight",
            f"is '1/0', a division by zero; {NUMBER} (and 3 more)",
        ),
        (
            "types = [{ weight = 1, belief = [1], value = { zzz = 1 } }]",
            "params.types[0].value.zzz",
            "unknown field; the fields are density, dist, scale (and 1 more)",
        ),
    ],
)
def test_bad_types(replaced: str, field: str, message: str) -> None:
    error = error_of(GOOD[: GOOD.index("types =")] + replaced)
    assert (error.field, error.message) == (field, message)


class Beta(Strict):
    dist: Literal["beta"]
    a: PositiveExact


class Expon(Strict):
    dist: Literal["expon"]
    scale: PositiveExact


def _sort_of(value: Any) -> str | None:
    return next((key for key in ("density", "dist") if isinstance(value, dict) and key in value), None)


@dataclass
class Span:
    low: Exact


class Odd(BaseModel):
    """Types a market may use that the toy does not."""

    model_config = ConfigDict(extra="forbid")

    tagged: Annotated[Beta | Expon, Field(discriminator="dist")] | None = None
    sorted: Annotated[Annotated[Density, Tag("density")] | Annotated[Named, Tag("dist")], Discriminator(_sort_of)] | None = None
    pair: tuple[int, Beta] | None = None
    loose: list[Beta | list[Exact]] = Field(default_factory=list)
    deep: dict[str, Exact] | list[Exact | Beta] = Field(default_factory=list)
    even: bool = True
    share: float = Field(0.5, gt=0, lt=1, allow_inf_nan=False)
    code: str = Field("ab", pattern="^[a-z]+$")
    span: Span | None = None
    table: dict[int, Exact] = Field(default_factory=dict)


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        ({"tagged": {"dist": "bet"}}, "tagged.dist", "is 'bet'; must be 'beta' or 'expon'"),
        ({"tagged": {}}, "tagged.dist", "is missing"),
        ({"tagged": {"dist": "beta", "a": 1, "b": 2}}, "tagged.b", "unknown field; the fields are dist, a"),
        ({"tagged": 3}, "tagged", "is 3; must be a table"),
        ({"sorted": {"x": 1}}, "sorted", "is a table of no known kind"),
        ({"sorted": {"dist": "beta", "sclae": 1}}, "sorted.sclae", "unknown field; did you mean 'scale'?"),
        ({"pair": [1]}, "pair[1]", "is missing"),
        ({"pair": [1, {"dist": "beta", "aa": 1}]}, "pair[1].aa", "unknown field; did you mean 'a'?"),
        ({"loose": [[1], [1, "x"]]}, "loose[1][1]", f"is 'x'; {NUMBER}"),
        ({"loose": [{"dist": "beta", "a": 0}]}, "loose[0].a", "is 0; must be above 0"),
        ({"loose": [{"dist": "beta", "a": [1]}]}, "loose[0].a", "is a list; must be a number"),
        ({"deep": {"a": [1]}}, "deep.a", "is a list; must be a number"),
        ({"deep": ["x"]}, "deep[0]", f"is 'x'; {NUMBER}"),
        ({"deep": {"a": 1, "b": "x"}}, "deep.b", f"is 'x'; {NUMBER}"),
        ({"loose": [None]}, "loose[0]", "is null; must be a table or a list"),
        ({"even": "maybe"}, "even", "is 'maybe'; must be true or false"),
        ({"share": "half"}, "share", "is 'half'; must be a number"),
        ({"share": float("nan")}, "share", "is nan; must be finite"),
        ({"share": 0}, "share", "is 0; must be above 0.0"),
        ({"share": 1}, "share", "is 1; must be below 1.0"),
        ({"code": "A"}, "code", "is 'A'; string should match pattern '^[a-z]+$'"),
        ({"span": {"low": "x"}}, "span.low", f"is 'x'; {NUMBER}"),
        ({"table": {"x": 1}}, "table.x", "is 'x'; must be a whole number"),
        (3, None, "is 3; must be a table"),
    ],
)
def test_translate_speaks_of_the_right_place(given: Any, field: str | None, message: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        Odd.model_validate(given)
    error = translate(refusal.value, Odd, file="menu.json", prefix="")
    assert (error.file, error.field, error.message) == ("menu.json", field, message)
    nested = translate(refusal.value, Odd, file=None, prefix="items[0]")
    assert nested.field == (f"items[0].{field}" if field else "items[0]")


# Names by content -----------------------------------------------------------------------------------------------------


def test_canonical_text() -> None:
    params = Params.model_validate(
        {"types": [{"weight": "2/2", "belief": [0.5, "2/4"], "value": {"density": [{"from": 0, "height": 1}]}}]}
    )
    text = canonical("toy", params)
    assert text == (
        '{"format":1,"model":"toy","params":{"count":2,"names":{},"payoff":"matching","types":[{"belief":["1/2","1/2"],'
        '"value":{"density":[{"from":"0","height":"1"}]},"weight":"1"}]}}'
    )
    assert sha256("toy", params) == hashlib.sha256(text.encode()).hexdigest()
    assert Params.model_validate(json.loads(text)["params"]) == params


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A case", "Another title"),
        ('source = "own"', 'source = "a paper" # and a comment'),
        ("[params]", "[params]\ncount = 2"),  # the default, written out
        ("0.5, ", '"1/2", '),
        ('"1/4", 0.75', '0.250, "75e-2"'),
        ("value = 2", "value = 2.0"),
        ("value = 2", 'value = "4/2"'),
    ],
)
def test_the_hash_is_of_the_content_not_of_its_spelling(old: str, new: str) -> None:
    assert parse(changed(old, new), params_of).sha256 == parse(GOOD, params_of).sha256


@pytest.mark.parametrize(
    ("old", "new"), [("0.5, ", "0.50000000001, "), ("[params]", "[params]\ncount = 3"), ("value = 2", "value = 3")]
)
def test_another_content_has_another_hash(old: str, new: str) -> None:
    assert parse(changed(old, new), params_of).sha256 != parse(GOOD, params_of).sha256


def test_expectations_do_not_change_the_hash() -> None:
    assert parse(expecting('value = 1\nkind = "exact"'), params_of).sha256 == parse(GOOD, params_of).sha256


@given(st.lists(st.lists(st.fractions(), min_size=1, max_size=3), min_size=1, max_size=3))
def test_numbers_survive_the_canonical_text(payoff: list[list[Fraction]]) -> None:
    params = Params.model_validate({"payoff": payoff, "types": [{"weight": 1, "belief": [1]}]})
    again = Params.model_validate(json.loads(canonical("toy", params))["params"])
    assert again.payoff == tuple(tuple(row) for row in payoff)
    assert sha256("toy", again) == sha256("toy", params)
