"""Input that is no market is refused in one line, and learning curves are fitted or refused with a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import optmarket as om
from optmarket.models.balanced_production.learning_curves import fitted

HEAD = 'format = 1\nmodel = "balanced-production"\ntitle = "t"\nsource = "own"\n[params]\n'
GOOD = {
    "potential_value": "[1, 1]",
    "task": "{ Z = 1, alpha = 1, beta = 1 }",
    "cost": '["1/10", "1/10"]',
}


def solved(folder: Path, **params: str) -> om.Solution:
    file = folder / "case.toml"
    file.write_text(HEAD + "".join(f"{name} = {value}\n" for name, value in {**GOOD, **params}.items() if value))
    return om.solve(file)


@pytest.mark.parametrize(
    ("params", "field", "says"),
    [
        ({"cost": '["1/10", 0]'}, "params.cost[1]", "0"),
        ({"cost": '["1/10", -1]'}, "params.cost[1]", "-1"),
        ({"cost": '["1/10"]'}, "params.cost", "there are 2 groups"),
        ({"cost": '[["1/10", "1/10"], ["1/10"]]'}, "params.cost[1]", "there are 2 groups"),
        ({"cost": '[["1/10", "1/10"]]', "sellers": "3"}, "params.sellers", "rows for 1 sellers"),
        ({"task": "{ Z = 1, alpha = 0, beta = 1 }"}, "params.task.alpha", "0"),
        ({"task": "{ Z = -1, alpha = 1, beta = 1 }"}, "params.task.Z", "-1"),
        ({"task": "{ Z = 1, alpha = 1, beta = 51 }"}, "params.task.beta", "at most 50"),
        ({"task": ""}, "params.task", "is missing"),
        ({"target": '["1/2", "1/3"]'}, "params.target", "sum"),
        ({"target": '["3/2", "-1/2"]'}, "params.target[1]", "-1/2"),
        ({"target": '["1/3", "1/3", "1/3"]'}, "params.target", "there are 2 groups"),
        ({"targets": '[["1/2", "1/2"], ["1/2"]]'}, "params.targets[1]", "sum"),
        ({"sellers": "0"}, "params.sellers", "at least 1"),
        ({"sellers": "1001"}, "params.sellers", "at most 1,000 sellers of the same cost"),
        ({"cost": str([[f"{10 + k}/100", "1/10"] for k in range(14)])}, "params.cost", "give all sellers the same cost"),
        ({"target_grid": "1000000"}, "params.target_grid", "at most 200,000"),
        ({"best_target": '{ aim = "revenue", least_share = "3/5" }'}, "params.best_target.least_share", "cannot all"),
        ({"best_target": '{ aim = "buyer-surplus" }'}, "params.best_target.aim", "needs buyers"),
        ({"growth": "{ times = [10] }"}, "params.growth", "give one"),
        ({"growth": '{ times = [10], groups = ["x"] }', "target": '["1/2", "1/2"]'}, "params.growth.groups", "no group"),
        ({"growth": "{ first = [3] }", "target": '["1/2", "1/2"]'}, "params.growth.first", "asks for 3 buyers"),
        ({"growth": "{}", "target": '["1/2", "1/2"]'}, "params.growth", "either times or first"),
        ({"buyers": "[{ value = [1, 1] }]"}, "params.buyers", "stands beside potential_value"),
        ({"potential_value": "", "buyers": "[{ value = [1, 1] }, { value = [1] }]"}, "params.buyers[1].value", "2 groups"),
        ({"learning_curves_csv": '"x.csv"'}, "params.learning_curves_csv", "stands beside task"),
    ],
)
def test_bad_input_is_refused(tmp_path: Path, params: dict[str, str], field: str, says: str) -> None:
    with pytest.raises((om.InstanceError, om.ModelError)) as caught:
        solved(tmp_path, **params)
    assert caught.value.field == field and says in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_share_of_zero_is_said(tmp_path: Path) -> None:
    found = solved(tmp_path, target="[1, 0]")
    assert any("no data about 2" in note for note in found.notes)


def test_all_best_reserve_prices_are_said(tmp_path: Path) -> None:
    found = solved(tmp_path, potential_value="", buyers="[{ value = [1, 1] }, { value = [2, 1] }]")
    assert any("reserve prices 1, 2 earn the same about 1" in note for note in found.notes)


def curve(n: float, limit: float, alpha: float, beta: float) -> float:
    return float(limit - alpha * n**-beta)


def test_learning_curves_are_fitted(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = ["group,samples,accuracy"]
    true = {"a": (0.95, 2.0, 0.5), "b": (0.8, 5.0, 0.9)}
    for name, parameters in true.items():
        rows += [f"{name},{n},{curve(n, *parameters) + random.normal(0, 0.002):.6f}" for n in (20, 40, 80, 160, 320, 640, 1280)]
    (tmp_path / "curves.csv").write_text("\n".join(rows) + "\n")
    found = fitted(tmp_path / "curves.csv")
    for name, parameters in true.items():
        for key, value in zip(("Z", "alpha", "beta"), parameters, strict=True):
            assert abs(float(found[name].task[key]) - value) <= 4 * found[name].errors[key]
            assert 0 < found[name].errors[key] < 0.5 * value
    solution = solved(tmp_path, task="", learning_curves_csv='"curves.csv"')
    assert sum("standard error" in note for note in solution.notes) == 2


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["a,10,0.5", "a,20,0.6", "a,40,0.65"], "at least 4"),
        (["a,10,0.5", "a,20,0.5", "a,40,0.5", "a,80,0.5"], "nothing is learned"),
        (["a,10,0.9", "a,20,0.7", "a,40,0.6", "a,80,0.55"], "no learning curve"),
        (["a,10,0.5", "a,20,0.9", "a,40,0.1", "a,80,0.8", "a,160,0.2", "a,320,0.6"], "no learning curve"),
        (["a,10,x", "a,20,0.6", "a,40,0.65", "a,80,0.7"], "line 2, column accuracy"),
        (["a,0,0.1", "a,20,0.6", "a,40,0.65", "a,80,0.7"], "must be above 0"),
    ],
)
def test_bad_fits_are_refused(tmp_path: Path, rows: list[str], says: str) -> None:
    (tmp_path / "curves.csv").write_text("\n".join(["group,samples,accuracy", *rows]) + "\n")
    with pytest.raises(om.InstanceError, match=r"curves\.csv") as caught:
        solved(tmp_path, task="", groups='["a", "b"]', learning_curves_csv='"curves.csv"')
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "params",
    [
        {"potential_value": "[1e140, 1]", "cost": "[1e-5, 1e-5]"},
        {"cost": "[1e-140, 1e-140]"},
        {"potential_value": "[1e-140, 1e-140]", "cost": "[1e-142, 1e-142]"},
        {"task": "{ Z = 1, alpha = 1, beta = 50 }", "target": '["1/100", "99/100"]'},
        {"task": "{ Z = 1, alpha = 1, beta = 50 }", "cost": "[1e-9, 1e-9]", "target": "[1e-9, 0.999999999]"},
        {"task": "{ Z = 1, alpha = 3, beta = 0.001 }"},
        {"task": '{ Z = 1, alpha = "101/100", beta = 0.01 }', "potential_value": "[1e9, 1]", "target": '["1/100", "99/100"]'},
        {"task": "{ Z = 1, alpha = 1e100, beta = 2 }", "cost": "[1e-60, 1e-60]"},
        {"task": "{ Z = 1e-100, alpha = 1, beta = 1 }"},
        {"potential_value": "[0, 0]"},
        {"sellers": "500"},
    ],
)
def test_numbers_of_all_sizes(tmp_path: Path, params: dict[str, str]) -> None:
    found = solved(tmp_path, **{"sellers": "2", "target": '["1/2", "1/2"]', **params})
    assert found.good and found.proved
    assert found.claims and all(claim.met for claim in found.claims)
