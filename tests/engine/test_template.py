"""Templates of instance files: they solve as they stand, explain every field, and write defaults of every kind."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from pydantic import Field
from support.toy_instances import (
    Params,
    Strict,
    params_of,
)

from optmarket.certificates import Claim
from optmarket.errors import ModelError
from optmarket.instances.instance import parse, read
from optmarket.instances.template import template

# Templates ------------------------------------------------------------------------------------------------------------


def test_the_template_solves_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    path.write_text(template("toy", "A toy market", "nobody, nowhere", Params), encoding="utf-8")
    instance = read(path, params_of)
    assert isinstance(instance.params, Params)
    assert (instance.title, instance.source, instance.notes) == ("My market", "own", ())
    assert instance.params.payoff == "matching"
    assert [buyer.weight for buyer in instance.params.types] == [Fraction(1, 3), Fraction(2, 3)]
    assert instance.params.types[1].belief == (Fraction(1), Fraction(0))
    assert (instance.params.count, instance.params.names) == (2, {})  # optional: commented out


def test_the_template_still_reads_with_every_comment_that_is_a_setting_taken_as_one() -> None:
    lines = template("toy", "A toy market", "nobody, nowhere", Params).splitlines()
    settings = ("count", "names", "[[expect]]", "quantity", "value =", "relation", "kind", "source", "tolerance")
    text = "\n".join(line[2:] if line[2:].startswith(settings) else line for line in lines)
    instance = parse(text, params_of)
    assert isinstance(instance.params, Params)
    assert (instance.params.count, instance.params.names) == (3, {"a b": Fraction(2)})
    assert instance.expect == (Claim("revenue", "1/8", "eq", "analytic", "own", 1e-9),)


def test_the_template_explains_every_field_also_inside_lists() -> None:
    text = template("toy", "A toy market", "nobody, nowhere", Params)
    assert text.startswith("# A toy market\n# Source: nobody, nowhere\n\nformat = 1\n")
    for line in (
        '# "matching" or payoffs [state][action]\npayoff = "matching"\n',
        "# the buyer's possible types\n#   weight: share of this type among buyers\n",
        "#   value (optional): a number, or its distribution\n#     density: pieces of constant density\n",
        "#       from: where the piece starts\n#       height: density on the piece\n#     or\n#     dist: the name of",
        'types = [\n    { weight = "1/3", belief = ["1/4", "3/4"] },\n    { weight = "2/3", belief = [1, 0] },\n]\n',
        "# number of buyers\n# count = 3\n",
        '# named numbers\n# names = { "a b" = 2 }\n',
        "# a file beside this one\n# data = ...\n",
    ):
        assert line in text
    assert max(map(len, text.splitlines())) <= 100


class Inner(Strict):
    size: int = Field(3, description="how many")
    inner: Inner | None = None


class Defaults(Strict):
    grid: Inner = Field(Inner.model_validate({}), description="word " * 60, json_schema_extra={"template": True})
    flags: tuple[bool, ...] = Field((True, False), json_schema_extra={"template": True})
    tree: dict[str, list[float]] = Field({"a.b": [0.5], "c": []}, json_schema_extra={"template": True})
    text: str = Field('ü "quoted" \\ \n', json_schema_extra={"template": True})
    empty: dict[str, int] = Field(default_factory=dict, json_schema_extra={"template": True})


def test_the_template_writes_defaults_of_every_kind() -> None:
    text = template("toy", "t", "s", Defaults)
    params = parse(text, lambda _: Defaults).params
    assert params == Defaults.model_validate({})
    assert params.model_fields_set == set(Defaults.model_fields)
    assert text.count("size (optional): how many") == 1  # a model that holds itself is told once
    assert max(map(len, text.splitlines())) <= 100


class NoExample(Strict):
    size: int


class Unwritable(Strict):
    size: frozenset[int] = Field(frozenset({1}), json_schema_extra={"template": True})


def test_a_market_without_an_example_is_told_so() -> None:
    with pytest.raises(ModelError, match="field 'size' of market 'toy' is part of the template and has no example"):
        template("toy", "t", "s", NoExample)
    with pytest.raises(TypeError, match="not frozenset"):
        template("toy", "t", "s", Unwritable)
