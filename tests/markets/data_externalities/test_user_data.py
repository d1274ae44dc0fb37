"""Covariances and values from csv files, and one line for each thing that may be wrong with them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.command import Done

import optmarket as om
from optmarket.errors import InstanceError
from optmarket.models.data_externalities.user_data import covariance_of_csv, estimated_covariance, left_out, values_of_csv

DATA = "name,ann,bob,cem\nx,1,2,5\ny,2,,1\nz,3,6,2\nw,5,1,NA\nu,4,4,9\n"
HEAD = 'format = 1\nmodel = "data-externalities"\ntitle = "t"\nsource = "own"\n[params]\n'


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, "utf-8")
    return folder / name


def test_rows_with_missing_entries_are_left_out_and_columns_of_words(tmp_path: Path) -> None:
    path = written(tmp_path, "data.csv", DATA)
    names, found = estimated_covariance(path, standardize=False)
    data = np.array([[1, 2, 5], [3, 6, 2], [4, 4, 9]], dtype=float)
    assert names == ["ann", "bob", "cem"] and "2 rows" in left_out(path, names)[0]
    np.testing.assert_allclose(np.array(found, dtype=float), np.cov(data, rowvar=False))
    names, found = estimated_covariance(path, ["bob", "ann"])
    assert names == ["bob", "ann"] and [float(found[i][i]) for i in (0, 1)] == pytest.approx([1, 1])


@pytest.mark.parametrize("shrinkage", ["ledoit-wolf", "oas"])
def test_shrinkage_is_that_of_scikit_learn(tmp_path: Path, shrinkage: str) -> None:
    covariance = pytest.importorskip("sklearn.covariance")
    data = np.random.default_rng(0).standard_normal((12, 4)) @ np.diag([1, 2, 3, 4])
    text = "a,b,c,d\n" + "".join(",".join(map(repr, row)) + "\n" for row in data.tolist())
    _, found = estimated_covariance(written(tmp_path, "data.csv", text), shrinkage=shrinkage)
    scaled = data / data.std(axis=0, ddof=1)
    right = {"ledoit-wolf": covariance.ledoit_wolf, "oas": covariance.oas}[shrinkage](scaled)[0]
    np.testing.assert_allclose(np.array(found, dtype=float), right, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "columns", "says"),
    [
        ("a,b\n1,2\n", None, "has 1 rows without missing entries; at least 2 are needed"),
        ("a,b\nx,y\nz,w\n", None, "has no column of numbers"),
        ("a,b\n1,2\n3,2\n", None, "column b: never varies"),
        ("a,b\n1,2\n3,x\n", ["a", "b"], "line 3, column b: is 'x', which is no number"),
        ("a,b\n1,2\n3,4\n", ["a", "c"], "has no column 'c'; it has 'a', 'b'"),
    ],
)
def test_bad_observations(tmp_path: Path, text: str, columns: list[str] | None, says: str) -> None:
    with pytest.raises(InstanceError, match=re.escape(says)):
        estimated_covariance(written(tmp_path, "data.csv", text), columns)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,0\n", "has 2 columns and 1 rows"),
        ("user,a,b\nb,1,0\na,0,1\n", "line 2: is 'b'; rows go in the header's order, so here 'a'"),
        ("a,b\n1,x\n0,1\n", "line 2, column b: is 'x'"),
    ],
)
def test_bad_covariances(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InstanceError, match=re.escape(says)):
        covariance_of_csv(written(tmp_path, "covariance.csv", text))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("user,value\na,1\n", "it needs user and privacy_value"),
        ("user,privacy_value\na,1\nc,2\n", "line 3, column user: 'c' is no user; users are 'a', 'b'"),
        ("user,privacy_value\na,1\na,2\n", "line 3, column user: 'a' is there twice"),
        ("user,privacy_value\na,1\n", "has no row for 'b'"),
        ("user,privacy_value\na,x\nb,2\n", "line 2, column privacy_value: is 'x'"),
    ],
)
def test_bad_values(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InstanceError, match=re.escape(says)):
        values_of_csv(written(tmp_path, "values.csv", text), ["a", "b"])


def test_an_analyst_feeds_a_csv_and_reads_who_shares(tmp_path: Path, run: Callable[..., Done]) -> None:
    written(tmp_path, "data.csv", "city,steps,sleep,pulse\nA,1,2,5\nB,2,3,1\nC,3,5,2\nD,5,,4\nE,4,5,9\n")
    written(tmp_path, "values.csv", "user,privacy_value\npulse,2\nsteps,0.1\nsleep,0.2\n")
    case = written(tmp_path, "case.toml", HEAD + 'data_csv = "data.csv"\nprivacy_value_csv = "values.csv"\n')
    done = run("solve", case)
    assert done.code == 0, done
    assert "steps" in done.out and "remedies" in done.out
    note = " ".join(done.out.split())
    assert "column city is not of numbers and left out; 1 row with a missing entry is left out" in note


def test_the_data_are_part_of_the_instance(tmp_path: Path) -> None:
    """Another file under the same name is another instance."""
    text = HEAD + 'data_csv = "data.csv"\nprivacy_value = 1\n'
    case = written(tmp_path, "case.toml", text)
    written(tmp_path, "data.csv", "a,b\n1,2\n2,3\n3,5\n")
    first = om.load(case).sha256
    written(tmp_path, "data.csv", "a,b\n1,2\n2,3\n3,1\n")
    assert om.load(case).sha256 != first
