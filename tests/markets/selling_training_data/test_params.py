"""Instance files of this market: mistakes are told with their field, and whatever is valid runs from the command line."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from support.command import Done
from support.training_data import menu_of

import optmarket as om
from optmarket.models import selling_training_data as model
from optmarket.options import Status

HEAD = 'format = 1\nmodel = "selling-training-data"\ntitle = "a case"\nsource = "here"\n[params]\n'
ALPHA = 'alpha = { dist = "uniform", scale = "1/5" }\n'
TYPES = 'types = [{ weight = 1, alpha = "1/5", beta = "1/5" }]\n'
JOINT = 'types = [{ weight = 1, joint = [["1/2", 0], [0, "1/2"]] }]\n'
BAD = {
    'types = [{ weight = 1, alpha = "2/5", beta = "1/5" }]': (
        "params.types[0]: has alpha + beta = 3/5, above 1/2: such data are read the other way round; write alpha = 1/10"
    ),
    'types = [{ weight = 1, alpha = "3/5", beta = 0 }]': "params.types[0]: has alpha = 3/5, beta = 0; neither exceeds",
    'types = [{ weight = 1, alpha = "-1/5", beta = 0 }]': "params.types[0].alpha: is -1/5; must be at least 0",
    'types = [{ weight = 1, alpha = "1/5" }]': "params.types[0]: needs either alpha and beta, or joint",
    'types = [{ weight = 1, alpha = 0, beta = 0, joint = [["1/2", 0], [0, "1/2"]] }]': "and not both",
    'types = [{ weight = "1/2", alpha = 0, beta = 0 }]': "params.types: weights sum to 1/2; must sum to 1",
    "types = []": "params.types: has 0 entries; needs at least 1",
    'types = [{ weight = 1, joint = [["1/2", 0], [0, "1/3"]] }]': "params.types[0].joint",
    "types = [{ weight = 1, alpha = 0, beta = 0, gamma = 0 }]": "params.types[0].gamma: unknown field",
    TYPES + 'colour = "red"': "params.colour: unknown field; the fields are",
    TYPES + ALPHA: "params.alpha: goes with line, and there is none",
    TYPES + "grid = { size = 3 }": "params.grid: goes with line, and there is none",
    TYPES + 'line = { k = 0, m = "3/10" }\n' + ALPHA: "params: gives types and line; must give one of",
    TYPES + "triangle = { size = 2 }": "params: gives types and triangle; must give one of",
    "": "params: gives no types; must give one of types, types_csv, line and triangle",
    JOINT + 'formulation = "reduced"': (
        'params.formulation: says how to solve, which is no part of the market: write method = "auto" above [params]'
    ),
    TYPES + 'formulation = "small"': "params.formulation: says how to solve, which is no part of the market: write method above",
    'line = { k = 0, m = "3/10" }': "params.alpha: is missing: the distribution along the line",
    'line = { k = 0, m = "1/2" }\n' + ALPHA: "params.line: has m = 1/2; must be below 1/2",
    'line = { k = "7/10", m = "3/10" }\n' + ALPHA: "params.line: has k = 7/10; must be at most 2 m = 3/5",
    'line = { k = -1, m = "3/10" }\n' + ALPHA: "params.line.k: is -1; must be at least 0",
    "line = { k = 0 }\n" + ALPHA: "params.line.m: is missing",
    'line = { k = 0, m = "2/5" }\n' + ALPHA: "params.alpha: reaches from 0 to 1/5; must lie within 0 to (1/2 - m)/(1 - k) = 1/10",
    'line = { k = 0, m = "2/5" }\nalpha = { dist = "expon" }': "params.alpha: reaches from 0 to inf; must lie within",
    'line = { k = 0, m = "2/5" }\nalpha = { dist = "uniform", loc = "-1/20", scale = "1/10" }': "alpha: reaches from -1/20",
    'line = { k = 0, m = "3/10" }\nformulation = "general"\n'
    + ALPHA: 'params.formulation: says how to solve, which is no part of the market: write method = "general" above [params]',
    'line = { k = 0, m = "3/10" }\ngrid = { size = 0 }\n' + ALPHA: "params.grid.size: is 0; must be at least 1",
    'line = { k = 0, m = "3/10" }\ngrid = { size = 3, rule = "middle" }\n' + ALPHA: "params.grid.rule: is 'middle'; must be",
    "triangle = { size = 201 }": "params.triangle.size: is 201; must be at most 200",
    'types_csv = "none.csv"': "none.csv: there is no such file",
    'types_csv = "bad.csv"': "bad.csv: line 2, column alpha: is 'x'",
    TYPES + 'types_csv = "bad.csv"': "params.types_csv: stands beside types; give one of the two",
    "types_csv = 3": "params.types_csv: must be the name of a csv file",
}


def case(folder: Path, text: str) -> Path:
    path = folder / "case.toml"
    path.write_text(HEAD + text + "\n", "utf-8")
    return path


@pytest.mark.parametrize("text", BAD)
def test_mistakes_are_told_with_their_field(text: str, tmp_path: Path, run: Callable[..., Done]) -> None:
    (tmp_path / "bad.csv").write_text("weight,alpha,beta\n1,x,0\n", "utf-8")
    assert BAD[text] in run("solve", case(tmp_path, text)).one_error()


def test_types_of_a_csv_file(tmp_path: Path) -> None:
    (tmp_path / "types.csv").write_text("name,weight,alpha,beta\none,1/2,1/5,1/5\ntwo,0.5,1/20,3/20\n", "utf-8")
    loaded = om.load(case(tmp_path, 'types_csv = "types.csv"'))
    answer = om.solve(loaded, exact=True)
    assert answer.exact == Fraction(13, 60)
    assert om.audit(loaded, {"items": [{"experiment": [[1, 0], [0, 1]], "price": 0.2}]}).quantities["revenue"] == pytest.approx(
        0.2
    )


@pytest.mark.parametrize(
    "text",
    [
        TYPES,
        JOINT,
        'types = [{ weight = "1/2", alpha = 0, beta = 0 }, { weight = "1/2", alpha = 0, beta = 0 }]',
        'types = [{ weight = 0, alpha = 0, beta = "1/2" }, { weight = 1, alpha = "1/4", beta = "1/4" }]',
        'line = { k = 0, m = "3/10" }\n' + ALPHA,
        'line = { k = 0, m = "3/10" }\ngrid = { size = 1 }\n' + ALPHA,
        "line = { k = 0, m = 0 }\n" + ALPHA,
        'line = { k = 0, m = "3/10" }\nalpha = { dist = "beta", a = "1/2", b = "1/2", scale = "1/5" }',
        "triangle = { size = 3 }",
    ],
)
def test_everything_runs_from_the_command_line(
    text: str, tmp_path: Path, run: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("solve", case(tmp_path, text))
    assert done.code == 0 and "Traceback" not in done.err
    params = om.load(tmp_path / "case.toml").params
    assert isinstance(params, model.Params)
    market = model.market(params)
    answer = model.solve(market)
    assert answer.status is Status.OPTIMAL
    menu = model.tables(market, menu_of(answer))["menu"]
    assert {"item", "price", "share"} <= set(menu.columns) and (menu["price"] >= 0).all()
