"""Fields that several markets share: sums to one, whole numbers, names, csv files of types, and a field of earlier versions."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from optmarket.errors import InstanceError
from optmarket.modeling.fields import (
    Belief,
    Count,
    JointMeasure,
    csv_types,
    names_differ,
    no_formulation,
    stakes_fit,
    weights_to_one,
    with_types_from_csv,
)
from optmarket.rationals import NonnegativeExact


class One(BaseModel):
    model_config = ConfigDict(frozen=True)
    weight: NonnegativeExact


class Fields(BaseModel):
    belief: Belief | None = None
    joint: JointMeasure | None = None
    count: Count | None = None
    types: tuple[One, ...] | None = None

    @field_validator("types")
    @classmethod
    def _weights(cls, types: tuple[One, ...] | None, info: ValidationInfo) -> tuple[One, ...] | None:
        return weights_to_one(types, info)


def read(**given: Any) -> tuple[Fields, dict[str, list[Fraction]]]:
    missed: dict[str, list[Fraction]] = {}
    return Fields.model_validate(given, context={"missed": missed}), missed


def refused(**given: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        read(**given)
    return str(caught.value)


def test_exact_sums_are_left_alone_and_not_recorded() -> None:
    found, missed = read(belief=["1/3", "2/3"], joint=[["1/4", 0], ["1/4", "1/2"]], types=[{"weight": "1/7"}, {"weight": "6/7"}])
    assert found.belief == (Fraction(1, 3), Fraction(2, 3)) and missed == {}
    assert found.joint == ((Fraction(1, 4), 0), (Fraction(1, 4), Fraction(1, 2)))
    assert found.types is not None and [one.weight for one in found.types] == [Fraction(1, 7), Fraction(6, 7)]


def test_sums_within_rounding_are_divided_and_recorded() -> None:
    third = Decimal("0.3333333333")
    found, missed = read(belief=[third] * 3, joint=[[third, third], [third, 0]], types=[{"weight": third}] * 3)
    assert found.belief == (Fraction(1, 3),) * 3
    assert found.joint == ((Fraction(1, 3), Fraction(1, 3)), (Fraction(1, 3), 0))
    assert found.types is not None and [one.weight for one in found.types] == [Fraction(1, 3)] * 3
    assert {what: [abs(by) for by in each] for what, each in missed.items()} == {
        "entries of belief": [Fraction(1, 10**10)],
        "entries of joint": [Fraction(1, 10**10)],
        "weights": [Fraction(1, 10**10)],
    }


@pytest.mark.parametrize("given", [{"belief": ["0.5", "0.49"]}, {"joint": [["0.5"], ["0.51"]]}, {"types": [{"weight": "0.9"}]}])
def test_other_sums_are_refused(given: dict[str, Any]) -> None:
    assert "sum" in refused(**given)


def test_a_belief_has_no_negative_entry() -> None:
    assert "belief" in refused(belief=["-1/2", "3/2"])


@pytest.mark.parametrize("joint", [[["1/2", "1/4"], ["1/4"]], [[], []], []])
def test_rows_of_a_joint_measure_are_as_long_as_one_another(joint: Any) -> None:
    assert "each state's row has one per context" in refused(joint=joint)


@pytest.mark.parametrize("given", [1, 2.0, Decimal("3.0"), Fraction(4), 10**6])
def test_whole_numbers_in_any_form(given: Any) -> None:
    found = read(count=given)[0].count
    assert found == given and type(found) is int


@pytest.mark.parametrize("given", [0, -1, 1.5, Fraction(1, 2), True, "3", [1]])
def test_what_is_no_count_is_refused(given: Any) -> None:
    assert "must be a whole number, at least 1" in refused(count=given)


def test_the_first_name_that_occurs_twice_is_named() -> None:
    names_differ([], "params.types")
    with pytest.raises(InstanceError, match="names 'b' twice; each name must differ") as caught:
        names_differ(iter(["c", "b", "a", "b", "a"]), "params.types")
    assert caught.value.field == "params.types"


@pytest.mark.parametrize(("stake", "fits"), [(Fraction(1), True), (Fraction(10) ** 400, False), (1 / Fraction(10) ** 400, False)])
def test_stakes_beyond_floats_are_refused_with_their_field(stake: Fraction, fits: bool) -> None:
    if fits:
        stakes_fit([("", stake, "a"), ("the value", stake, "b")])
        return
    with pytest.raises(InstanceError, match=r"^b: the value ") as caught:
        stakes_fit([("", Fraction(1), "a"), ("the value", stake, "b")])
    assert caught.value.field == "b"


def csv(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "types.csv"
    file.write_text(text)
    return file


def test_types_of_a_csv_file_are_exact_and_named(tmp_path: Path) -> None:
    file = csv(tmp_path, "weight,alpha,name\n1/3,0.1,first\n2/3,1e-3,\n")
    header, types = csv_types(file, lambda header: None)
    assert header == ["weight", "alpha", "name"]
    assert types == [
        {"name": "first", "weight": Fraction(1, 3), "alpha": Fraction(1, 10)},
        {"weight": Fraction(2, 3), "alpha": Fraction(1, 1000)},
    ]


def test_mistakes_in_a_csv_file_are_named(tmp_path: Path) -> None:
    file = csv(tmp_path, "weight,alpha\n1/3,0.1\n2/3,x\n")
    with pytest.raises(InstanceError, match="has columns weight, alpha; beta is missing"):
        csv_types(file, lambda header: "beta is missing")
    with pytest.raises(InstanceError) as caught:
        csv_types(file, lambda header: None)
    assert (caught.value.file, caught.value.field) == (str(file), "line 3, column alpha")


def with_types(data: Any) -> Any:
    return with_types_from_csv(data, None, lambda file, other: {"types": file.name})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "said"),
    [({"types_csv": "a.csv", "types": []}, "stands beside types"), ({"types_csv": 3}, "must be the name of a csv file")],
)
def test_types_come_from_one_place(data: dict[str, Any], said: str) -> None:
    with pytest.raises(InstanceError, match=said) as caught:
        with_types(data)
    assert caught.value.field == "params.types_csv"


@pytest.mark.parametrize("data", [{}, {"types": []}, 3, None])
def test_without_a_csv_file_nothing_is_read(data: Any) -> None:
    assert with_types(data) == data


@pytest.mark.parametrize(
    ("given", "said"),
    [("reduced", 'write method = "cuts" above'), ("other", "write method above .params.: cuts, full$"), (3, "cuts, full$")],
)
def test_an_old_file_is_told_its_method(given: Any, said: str) -> None:
    with pytest.raises(InstanceError, match=said) as caught:
        no_formulation({"formulation": given}, {"reduced": "cuts", "general": "full", "symmetric": "cuts"})
    assert caught.value.field == "params.formulation"
    assert no_formulation({"types": 1}, {}) == {"types": 1}
