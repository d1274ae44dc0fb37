"""What an instance file may say, and one line for each thing that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from support.command import Done

from optmarket.errors import OptmarketError
from optmarket.models.data_externalities import Market, Params

HEAD = 'format = 1\nmodel = "data-externalities"\ntitle = "t"\nsource = "own"\n[params]\n'
TWO = "covariance = [[1, 0.5], [0.5, 1]]\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "covariance = [[1, 0.5], [0.4, 1]]\nprivacy_value = 1",
            "params.covariance: is not symmetric: row 2, column 1 holds 2/5",
        ),
        ("covariance = [[1, 2], [2, 1]]\nprivacy_value = 1", "its smallest eigenvalue is -1"),
        ("covariance = [[1, 2]]\nprivacy_value = 1", "it needs as many rows as columns"),
        (TWO, "params.privacy_value: is missing"),
        (TWO + "privacy_value = [1, 2, 3]", "params.privacy_value: has 3 entries; there are 2 users"),
        (TWO + "privacy_value = [1, -2]", "params.privacy_value"),
        ("privacy_value = 1", "params: says nothing of how users' data are correlated"),
        (TWO + 'generator = { name = "factor", n = 3 }\nprivacy_value = 1', "params: has covariance and generator"),
        (TWO + "privacy_value = 1\nprices = [1]", "params.prices: has 1 entries; there are 2 users"),
        (TWO + 'privacy_value = 1\nnames = ["a", "a"]', "params.names: names 'a' twice"),
        (TWO + 'privacy_value = 1\nmediation = "some"', "params.mediation"),
        ('covariance = [[1, 1], [1, 1]]\nprivacy_value = 1\nmediation = "literal"', "params.mediation: needs the inverse"),
        ("correlation = [[2, 0], [0, 1]]\nprivacy_value = 1", "params.correlation: must have ones on its diagonal"),
        ('generator = { name = "factor", n = 0 }\nprivacy_value = 1', "params.generator"),
        ('generator = { name = "other", n = 3 }\nprivacy_value = 1', "params.generator.name"),
        (
            'generator = { name = "factor", n = 11 }\nprivacy_value = 1\nplatforms = { joining_value = 1 }',
            "takes at most 10 users",
        ),
        (
            'generator = { name = "factor", n = 19 }\nprivacy_value = 1\nmediation = "lemma"',
            "takes at most 18 users; there are 19",
        ),
        (TWO + "privacy_value = 1\nplatforms = { joining_value = [1, 2, 3] }", "params.platforms: has 3 numbers"),
        (TWO + "privacy_value = 1\nplatforms = {}", "needs either joining_value or joining_value_by_user"),
        (TWO + 'privacy_value = 1\nvaluation = { dist = "norm" }', "params.valuation: must have a piecewise linear cdf"),
        (
            TWO + 'privacy_value = 3\nvaluation = { dist = "uniform" }',
            "params.privacy_value: is 3, where the distribution has no",
        ),
        ("privacy_value = 1\nleaks = [{ sharers = [1], leak = [1, 0] }]", "params.leaks: says nothing of the sharers 2"),
        (
            "privacy_value = 1\nleaks = [{ sharers = [1], leak = [1, 0] }, { sharers = [2], leak = [0, 1] }, "
            "{ sharers = [1, 2], leak = [0, 1] }]",
            "params.leaks: falls when user",
        ),
        (TWO + "privacy_value = 1\nprices = [1, 1]\nplatforms = { joining_value = 1 }", "params.prices: stands beside platforms"),
        ("privacy_value = 1\nleaks = []", "params.leaks"),
        ("privacy_value = 1\nmixture = []", "params.mixture"),
        ("covariance = []\nprivacy_value = 1", "params.covariance: has 0 rows"),
        ("covariance = [[1e200]]\nprivacy_value = 1", "the largest variance is"),
        ("covariance = [[1]]\nprivacy_value = 1e200", "the largest variance times value is"),
        ("privacy_value = 1\nleaks = [{ sharers = [3], leak = [1, 0] }]", "params.leaks[0].sharers: must be different numbers"),
        ("privacy_value = 1\nmixture = [{ weight = 0.4, covariance = [[1]] }]", "params.mixture"),
        ('covariance_csv = "missing.csv"\nprivacy_value = 1', "missing.csv"),
        ('data_csv = "../data.csv"\nprivacy_value = 1', "params.data_csv"),
        (TWO + 'privacy_value = 1\nprivacy_value_csv = "v.csv"', "params.privacy_value_csv: stands beside privacy_value"),
    ],
)
def test_what_is_wrong_is_one_line(text: str, says: str, run: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "case.toml").write_text(HEAD + text, "utf-8")
    done = run("solve", tmp_path / "case.toml")
    assert done.code == 2 and not done.out
    assert len(done.err.splitlines()) == 1 and says in done.err


@pytest.mark.parametrize("name", ["factor", "block", "toeplitz", "random"])
@pytest.mark.parametrize("strength", ["0", "1/2", "9/10"])
def test_generated_covariances_are_covariances_and_the_same_each_time(name: str, strength: str) -> None:
    given: dict[str, Any] = {"generator": {"name": name, "n": 6, "seed": 3, "strength": strength}, "privacy_value": 1}
    first, second = (Params.model_validate(given).covariances for _ in range(2))
    assert first == second and Params.model_validate({"covariance": first[0][1], "privacy_value": 1}).n_users == 6
    assert all(first[0][1][i][i] == 1 for i in range(6))


def test_correlations_and_variances_make_covariances() -> None:
    given = {"correlation": [[1, "1/2"], ["1/2", 1]], "variance": [4, 9], "privacy_value": 1}
    assert [[str(one) for one in row] for row in Params.model_validate(given).covariances[0][1]] == [["4", "3"], ["3", "9"]]
    with pytest.raises((ValidationError, OptmarketError)):
        Params.model_validate({**given, "variance": [4]})


def test_one_value_for_all_and_one_a_user_are_the_same_market() -> None:
    markets = [
        Market.of(Params.model_validate({"covariance": [[1, 0], [0, 1]], "privacy_value": value}))
        for value in (2, [2, 2], ["2", 2.0])
    ]
    assert all((one.value == markets[0].value).all() for one in markets)
