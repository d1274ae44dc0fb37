"""Confusion matrices as types of a training-data market: shares by hand, errors that name the file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import pytest
from support.command import Done
from support.paths import INSTANCES

import optmarket as om
from optmarket.errors import InstanceError, ModelError
from optmarket.models.selling_training_data.confusion import from_confusion
from optmarket.models.selling_training_data.params import DataBuyer, Params

HOME = INSTANCES / "selling-training-data"
EXAMPLE = sorted(HOME.glob("*.confusion.csv"))
TWO = "true,ill,well\nill,8,2\nwell,5,15\n"
THREE = "true,a,b,c\na,6,2,2\nb,1,3,0\nc,0,2,4\n"


def files(folder: Path, **tables: str) -> list[Path]:
    paths = [folder / f"{name}.confusion.csv" for name in tables]
    for path, table in zip(paths, tables.values(), strict=True):
        path.write_text(table, encoding="utf-8")
    return paths


def written(paths: Sequence[Path], positive: str | None) -> str:
    """The instance made of confusion matrices; `positive` is the class that is told from the rest, if one is."""
    return from_confusion(paths, {} if positive is None else {"class": positive})


def types(text: str) -> tuple[DataBuyer, ...]:
    found = Params.model_validate(tomllib.loads(text)["params"]).types
    assert found is not None
    return found


def made(folder: Path, positive: str | None, **tables: str) -> tuple[DataBuyer, ...]:
    return types(written(files(folder, **tables), positive))


def errors(buyer: DataBuyer) -> tuple[Fraction, Fraction]:
    assert buyer.alpha is not None and buyer.beta is not None
    return buyer.alpha, buyer.beta


def comments(text: str) -> str:
    """All of them on one line, however they were broken."""
    return " ".join(line.strip().lstrip("# ") for line in text.splitlines() if line.strip().startswith("#"))


# One class against the rest -------------------------------------------------------------------------------------------


def test_errors_of_one_class_against_the_rest(tmp_path: Path) -> None:
    (two,) = made(tmp_path, "ill", two=TWO)
    assert errors(two) == (Fraction(2, 10) / 2, Fraction(5, 20) / 2)
    (other,) = made(tmp_path, "well", two=TWO)
    assert errors(other) == errors(two)[::-1]
    (three,) = made(tmp_path, "b", three=THREE)
    assert errors(three) == (Fraction(1, 4) / 2, Fraction(2 + 2, 10 + 6) / 2)


def test_the_comments_say_how_the_errors_were_counted(tmp_path: Path) -> None:
    text = written(files(tmp_path, three=THREE), "b")
    said = comments(text)
    assert "State 1 is b, state 2 is a or c." in said
    assert "probability 1/2, whatever its count" in said
    assert "1 of 4 missed, 4 of 16 mistaken for b" in said
    assert "differs between files" not in said
    assert "other way round" not in said
    assert "# 1 of 4 missed" in text.splitlines()[-3]


def test_says_if_the_rest_is_mixed_otherwise(tmp_path: Path) -> None:
    more_of_c = "true,a,b,c\na,6,2,2\nb,1,3,0\nc,0,8,4\n"
    paths = files(tmp_path, one=THREE, other=more_of_c)
    assert "differs between files" in comments(written(paths, "b"))
    assert "differs between files" not in comments(written(paths[:1] * 2, "b"))
    one, other = types(written(paths, "b"))
    assert errors(other) == (errors(one)[0], Fraction(2 + 8, 10 + 12) / 2)


def test_a_classifier_that_is_mostly_wrong_is_read_the_other_way_round(tmp_path: Path) -> None:
    paths = files(tmp_path, wrong="true,ill,well\nill,2,8\nwell,15,5\n")
    text = written(paths, "ill")
    assert errors(types(text)[0]) == (Fraction(2, 10) / 2, Fraction(5, 20) / 2)
    assert "8 of 10 missed, 15 of 20 mistaken for ill; wrong more often than right, so read the other way round" in comments(text)


@pytest.mark.parametrize(
    ("table", "pair"),
    [
        ("t,a,b\na,7,0\nb,0,1\n", (0, 0)),
        ("t,a,b\na,0,7\nb,1,0\n", (0, 0)),
        ("t,a,b\na,3,0\nb,5,0\n", (0, Fraction(1, 2))),
        ("t,a,b\na,1,1\nb,1,1\n", (Fraction(1, 4), Fraction(1, 4))),
    ],
    ids=["perfect", "perfectly wrong", "one answer", "a coin"],
)
def test_extremes(tmp_path: Path, table: str, pair: tuple[Fraction, Fraction]) -> None:
    assert errors(made(tmp_path, "a", x=table)[0]) == pair


# Every class a state --------------------------------------------------------------------------------------------------


def test_joint_of_one_file_is_its_shares(tmp_path: Path) -> None:
    (two,) = made(tmp_path, None, two=TWO)
    assert two.alpha is None
    assert two.joint == ((Fraction(8, 30), Fraction(2, 30)), (Fraction(5, 30), Fraction(15, 30)))
    (three,) = made(tmp_path, None, three=THREE)
    assert three.joint == tuple(tuple(Fraction(count, 20) for count in row) for row in ((6, 2, 2), (1, 3, 0), (0, 2, 4)))


def test_rows_are_reweighted_to_the_frequencies_of_all_files(tmp_path: Path) -> None:
    paths = files(tmp_path, one=TWO, other="true,ill,well\nill,6,4\nwell,0,20\n", few="true,ill,well\nill,1,1\nwell,1,2\n")
    text = written(paths, None)
    ill, well = Fraction(10 + 10 + 2, 65), Fraction(20 + 20 + 3, 65)
    one, other, few = types(text)
    assert one.joint == ((ill * 8 / 10, ill * 2 / 10), (well * 5 / 20, well * 15 / 20))
    assert other.joint == ((ill * 6 / 10, ill * 4 / 10), (Fraction(0), well))
    assert few.joint == ((ill / 2, ill / 2), (well / 3, well * 2 / 3))
    assert "in the order of states, as likely as they are frequent in all files: ill 22/65, well 43/65." in comments(text)
    assert "reweighted" in comments(text)
    assert "reweighted" not in comments(written(paths[:2], None))
    assert "# 23 of 30 right" in text


def test_four_classes_are_the_most_without_naming_one(tmp_path: Path) -> None:
    def diagonal(n: int) -> str:
        names = [f"k{k}" for k in range(n)]
        rows = [f"{name},{','.join('1' if name == other else '0' for other in names)}\n" for name in names]
        return f"true,{','.join(names)}\n{''.join(rows)}"

    (four,) = made(tmp_path, None, four=diagonal(4))
    assert four.joint == tuple(tuple(Fraction(int(i == j), 4) for j in range(4)) for i in range(4))
    (path,) = files(tmp_path, five=diagonal(5))
    with pytest.raises(ModelError, match=r"5 classes: 5\^5 = 3,125 .* 4 classes have 256; .*--set class=") as caught:
        written([path], None)
    assert caught.value.file == str(path)
    assert errors(made(tmp_path, "k3", five=diagonal(5))[0]) == (Fraction(0), Fraction(0))
    with pytest.raises(ModelError, match=r"30 classes: 30\^30 recommendations"):
        made(tmp_path, None, many=diagonal(30))


# Either way -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("positive", ["b", None])
def test_order_of_rows_and_columns_does_not_matter(tmp_path: Path, positive: str | None) -> None:
    turned = "\ufeff predicted, a, b, c\n\nc, 0, 2, 4\n a, 6, 2, 2\nb, 1, 3, 0\n,,,\n"
    mixed = "true,c,a,b\na,2,6,2\nb,0,1,3\nc,4,0,2\n"
    plain, rows, columns = made(tmp_path, positive, plain=THREE, turned=turned, mixed=mixed)
    for other in (rows, columns):
        assert (other.alpha, other.beta, other.joint) == (plain.alpha, plain.beta, plain.joint)


@pytest.mark.parametrize("positive", ["b", None])
@pytest.mark.parametrize("factor", ["1000000000000", "1/3", "0.001", "1e-30"])
def test_only_shares_count(tmp_path: Path, positive: str | None, factor: str) -> None:
    scaled = re.sub(r"\d+", lambda count: str(int(count[0]) * Fraction(factor)), THREE)
    (plain,) = made(tmp_path, positive, x=THREE)
    (times,) = made(tmp_path, positive, x=scaled)
    assert plain == times


def test_weighted_and_large_counts_are_exact(tmp_path: Path) -> None:
    (buyer,) = made(tmp_path, "a", x="t,a,b\na,0.3,0.1\nb,1e12,999999999999\n")
    assert errors(buyer) == (Fraction(1, 8), Fraction(10**12, 2 * (2 * 10**12 - 1)))
    (buyer,) = made(tmp_path, None, x="t,a,b\na,1000000000000,1\nb,0,999999999999\n")
    assert buyer.joint == ((Fraction(1, 2), Fraction(1, 2 * 10**12)), (Fraction(0), Fraction(10**12 - 1, 2 * 10**12)))


def test_types_are_called_as_the_files(tmp_path: Path) -> None:
    tree, forest = made(tmp_path, "ill", tree=TWO, forest=TWO)
    assert [(buyer.name, buyer.weight) for buyer in (tree, forest)] == [("tree", Fraction(1, 2)), ("forest", Fraction(1, 2))]
    paths = []
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        paths += files(tmp_path / folder, tree=TWO)
    (plain,) = files(tmp_path, linear=TWO)
    plain = plain.rename(tmp_path / "linear.csv")
    assert [buyer.name for buyer in types(written([*paths, plain], "ill"))] == ["first/tree", "second/tree", "linear"]
    assert [buyer.name for buyer in types(written([plain, plain], "ill"))] == [f"{k} {tmp_path.name}/linear" for k in (1, 2)]
    assert str(tmp_path) not in written(paths, "ill")


@pytest.mark.parametrize("positive", ['say "a\\b"', None])
def test_strange_names_keep_the_file_valid(tmp_path: Path, positive: str | None) -> None:
    table = 't,"say ""a\\b""","two\nlines # \x7f"\n"say ""a\\b""",3,1\n"two\nlines # \x7f",1,3\n'
    (path,) = files(tmp_path, **{'été "x"\t': table})
    (buyer,) = types(written([path], positive))
    assert buyer.name == 'été "x" '
    assert buyer.joint is not None or errors(buyer) == (Fraction(1, 8), Fraction(1, 8))


@pytest.mark.parametrize("positive", ["b", None])
def test_what_is_written_loads_and_solves(tmp_path: Path, positive: str | None) -> None:
    two_files = files(tmp_path, one=THREE, other="true,a,b,c\na,8,1,1\nb,2,2,0\nc,0,1,5\n")
    (tmp_path / "case.toml").write_text(written(two_files, positive), encoding="utf-8")
    case = om.load(tmp_path / "case.toml")
    assert case.notes == ()
    assert om.solve(case).good


# Errors ---------------------------------------------------------------------------------------------------------------

MISTAKES = {
    "a class without counts": ("t,a,b\na,1,1\nb,0,0.0\n", "line 3: has only zeros.*class 'b' is unknown"),
    "a class without row": ("t,a,b,c\na,1,1,0\nc,1,1,1\n", "no row of class 'b'"),
    "a class without column": ("t,a,b\na,1,1\nb,1,1\nc,1,1\n", "line 4: .*class 'c', which is no column; the columns are a, b"),
    "a class with two rows": ("t,a,b\na,1,1\nb,1,1\na,1,1\n", "line 4: is a second row of class 'a'"),
    "a class with two columns": ("t,a,a\na,1,1\n", "has columns t, a, a; .*differently"),
    "a negative count": ("t,a,b\na,1,-2\nb,1,1\n", "line 2, column b: is -2; must be at least 0"),
    "text": ("t,a,b\na,1,1\nb,many,1\n", "line 3, column a: is 'many'; a number is"),
    "a class on two lines": ('t,"a","b\nc"\na,1,x\n"b\nc",1,1\n', "line 3, column b c: is 'x'"),
    "no count": ("t,a,b\na,1,\nb,1,1\n", "line 2, column b: is ''"),
    "infinity": ("t,a,b\na,1,inf\nb,1,1\n", "line 2, column b: .*must be finite"),
    "one class": ("t,a\na,1\n", "names 1 predicted classes.*two or more"),
    "no class": ("t\na\n", "names 0 predicted classes"),
    "a short row": ("t,a,b\na,1\nb,1,1\n", "line 2: has 2 entries, the header 3"),
    "a header alone": ("t,a,b\n", "no row below the header"),
    "nothing": ("\n", "is empty"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("positive", ["a", None])
def test_says_what_is_wrong_with_a_file(tmp_path: Path, mistake: str, positive: str | None) -> None:
    table, message = MISTAKES[mistake]
    good, bad = files(tmp_path, good="t,a,b\na,1,1\nb,1,1\n", bad=table)
    with pytest.raises(InstanceError, match=message) as caught:
        written([good, bad], positive)
    assert caught.value.file == str(bad)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("positive", ["a", None])
@pytest.mark.parametrize("counts", ["1e300,1e-300", f"0.{'7' * 1600}3,0.{'3' * 1700}1"], ids=["far apart", "many digits"])
def test_shares_that_no_instance_holds(tmp_path: Path, positive: str | None, counts: str) -> None:
    paths = files(tmp_path, good="t,a,b\na,1,1\nb,1,1\n", bad=f"t,a,b\na,{counts}\nb,1,1\n")
    with pytest.raises(InstanceError, match=r"the counts have too many digits, or lie too far apart.*; round them"):
        written(paths, positive)


def test_files_must_agree_on_their_classes(tmp_path: Path) -> None:
    one, other = files(tmp_path, one=TWO, other="t,ill,healthy\nill,1,1\nhealthy,1,1\n")
    with pytest.raises(InstanceError, match=r"has classes ill, healthy; those of .* are ill, well, and all must agree") as caught:
        written([one, other], None)
    assert caught.value.file == str(other)
    assert str(one) in caught.value.message


def test_the_class_must_be_one_of_the_files(tmp_path: Path) -> None:
    paths = files(tmp_path, one=TWO)
    with pytest.raises(InstanceError, match=r"has no class 'wel'; did you mean 'well'\?"):
        written(paths, "wel")
    with pytest.raises(InstanceError, match="has no class 'cured'; the classes are ill, well"):
        written(paths, "cured")


def test_needs_a_file_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match="there is no confusion matrix; name a csv file"):
        written([], None)
    with pytest.raises(InstanceError, match="there is no such file"):
        written([tmp_path / "none.confusion.csv"], None)


# The example ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "positive"), [("classifiers", None), ("classifiers-one-class", "Barolo")])
def test_the_instances_are_made_from_the_matrices(name: str, positive: str | None) -> None:
    assert len(EXAMPLE) == 4
    params = om.load(HOME / f"{name}.toml").params
    assert isinstance(params, Params)
    assert params.types == types(written(EXAMPLE, positive))


# The command ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("setting", "positive"), [(["--set", "class=ill"], "ill"), ([], None)])
def test_the_command_writes_the_instance(
    tmp_path: Path, run: Callable[..., Done], setting: list[str], positive: str | None
) -> None:
    paths = files(tmp_path, one=TWO, other="true,ill,well\nill,6,4\nwell,0,20\n")
    done = run("new", "selling-training-data", *paths, "--from", "confusion", *setting)
    assert (done.code, done.out) == (0, written(paths, positive))
    saved = tmp_path / "mine.toml"
    assert run("new", "selling-training-data", *paths, "--from", "confusion", *setting, "-o", saved).code == 0
    assert saved.read_text(encoding="utf-8") == done.out
    assert run("solve", saved).code == 0


def test_the_command_says_what_is_wrong(tmp_path: Path, run: Callable[..., Done]) -> None:
    paths = files(tmp_path, one=TWO)
    new = ("new", "selling-training-data")
    assert (
        "has no class 'wel'; did you mean 'well'?" in run(*new, *paths, "--from", "confusion", "--set", "class=wel").one_error()
    )
    assert "with class" in run(*new, *paths, "--from", "confusion", "--set", "label=ill").one_error()
    assert "it takes confusion" in run(*new, *paths, "--from", "matrices").one_error()
    assert "there is no confusion matrix; name a csv file" in run(*new, "--from", "confusion").one_error()
    assert "goes with --from" in run(*new, *paths).one_error()
