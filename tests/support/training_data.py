"""Training-data markets for tests: made from errors or from a line, drawn at random, and solved by a program of their own."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from optmarket.arrays import FloatArray
from optmarket.certificates import Audit, Optimality
from optmarket.distributions.specification import Distribution
from optmarket.models import selling_training_data as model
from optmarket.models.selling_information import Menu
from optmarket.options import Options, Status
from optmarket.solution import Answer, Mechanism

F = Fraction
HALF = F(1, 2)
Errors = tuple[Fraction, Fraction]
Drawn = tuple[list[Errors], list[Fraction]]
QUICK = settings(max_examples=25, deadline=None, derandomize=True)

UNIFORM: dict[str, Any] = {"dist": "uniform", "scale": "1/5"}
GAPPED: dict[str, Any] = {"density": [{"from": 0, "to": "1/50", "height": 25}, {"from": "3/20", "to": "1/5", "height": 10}]}
# Distributions of alpha up to 1/5, where the line with k = 0 and m = 3/10 ends.
ON_FIFTH: dict[str, dict[str, Any]] = {
    "uniform": UNIFORM,
    "beta": {"dist": "beta", "a": 2, "b": 4, "scale": "1/5"},
    "arcsine": {"dist": "beta", "a": "1/2", "b": "1/2", "scale": "1/5"},
    "near the end": {"dist": "beta", "a": 500, "b": 2, "scale": "1/5"},
    "near zero": {"dist": "beta", "a": 2, "b": 20000, "scale": "1/5"},
    "thin": {"dist": "beta", "a": 2, "b": 4, "scale": "1/5", "truncate": ["1/10", "0.10000000000001"]},
    "gap": GAPPED,
    "table": {"cdf": [[0, 0], ["1/20", "1/2"], ["1/10", "1/2"], ["1/5", 1]]},
    "far apart": {
        "mixture": [
            {"weight": "1/3", "dist": "beta", "a": 2, "b": 2, "scale": "1/50"},
            {"weight": "2/3", "dist": "beta", "a": 3, "b": 3, "loc": "3/20", "scale": "1/20"},
        ]
    },
}


def market_of(**params: Any) -> model.Market:
    """The market of the fields of ``[params]``."""
    return model.market(model.Params.model_validate(params))


def by_errors(pairs: Sequence[Errors], weights: Sequence[Fraction]) -> model.TypesByErrors:
    """The market of types with these errors."""
    types = [{"weight": weight, "alpha": a, "beta": b} for weight, (a, b) in zip(weights, pairs, strict=True)]
    market = market_of(types=types)
    assert isinstance(market, model.TypesByErrors)
    return market


def on_line(k: Any, m: Any, alpha: Mapping[str, Any]) -> model.LineOfTypes:
    """The market of a continuum of types on a line."""
    market = market_of(line={"k": k, "m": m}, alpha=alpha)
    assert isinstance(market, model.LineOfTypes)
    return market


def on_line_grid(k: Any, m: Any, alpha: Mapping[str, Any], **grid: Any) -> model.LineGrid:
    """The market of the cells of a line."""
    market = market_of(line={"k": k, "m": m}, alpha=alpha, grid=grid)
    assert isinstance(market, model.LineGrid)
    return market


def line(k: Any, m: Any, alpha: Mapping[str, Any]) -> model.LineOfTypes:
    """A line of types, not checked as an instance is."""
    return model.LineOfTypes(F(k), F(m), Distribution.model_validate(alpha).as_cdf)


def exact_revenue(market: model.Market, method: str = "auto") -> Fraction:
    """The optimal revenue, proved in exact arithmetic."""
    answer = model.solve(market, Options(method=method, exact=True))
    assert answer.status is Status.OPTIMAL and answer.exact is not None
    return answer.exact


def menu_of(answer: Answer) -> Menu:
    """The menu of an answer."""
    assert isinstance(answer.mechanism, Menu)
    return answer.mechanism


def bounds_of(answer: Answer) -> Optimality:
    """The bounds that an answer proves."""
    assert isinstance(answer.certificate, Optimality)
    return answer.certificate


def audited(market: model.Market, mechanism: Mechanism | Mapping[str, Any]) -> Audit:
    """The audit of a mechanism, read from the text that a file holds."""
    written = mechanism if isinstance(mechanism, Mapping) else mechanism.to_json()
    return model.audit(market, model.read(market, written))


def items_of(answer: Answer) -> list[Mapping[str, Any]]:
    """The items of an answer's menu, as a mechanism file states them."""
    items: list[Mapping[str, Any]] = answer.mechanism.to_json()["items"]
    return items


def reduced_optimum(pairs: Sequence[Errors], weights: Sequence[Fraction]) -> float:
    """Every row of the reduced form written out, for scipy: maximise revenue, with prices free."""
    n = len(pairs)
    rows: list[FloatArray] = []
    most: list[float] = []

    def cost(r: int, q: int, what: str) -> FloatArray:
        row = np.zeros(3 * n)
        a, b = (float(x) for x in pairs[r])
        row[3 * q : 3 * q + 3] = {"follow": [a, b, 1], "first": [0.5, 0, 1], "second": [0, 0.5, 1]}[what]
        return row

    for r in range(n):
        rows.append(cost(r, r, "follow"))
        most.append(float(sum(pairs[r])))
        for q, what in itertools.product(range(n), ("follow", "first", "second")):
            rows.append(cost(r, r, "follow") - cost(r, q, what))
            most.append(0.0)
    objective = np.zeros(3 * n)
    objective[2::3] = [-float(weight) for weight in weights]
    found = linprog(objective, A_ub=np.array(rows), b_ub=most, bounds=[(0, 1), (0, 1), (None, 1)] * n)
    assert found.status == 0 and found.fun is not None
    return -float(found.fun)


def error_pairs(most: int) -> st.SearchStrategy[Errors]:
    """Errors in steps of 1/(2 most), the edges alpha = 0, beta = 0 and alpha + beta = 1/2 included."""
    return st.integers(0, most).flatmap(
        lambda total: st.integers(0, total).map(lambda a: (F(a, 2 * most), F(total - a, 2 * most)))
    )


@st.composite
def drawn_markets(draw: st.DrawFn, most: int = 6) -> Drawn:
    """Errors and weights of two to so many types, sometimes with two equal types or types of weight 0."""
    pairs = draw(st.lists(error_pairs(draw(st.sampled_from([3, 8, 30]))), min_size=2, max_size=most))
    if draw(st.booleans()):
        pairs = [*pairs[:-1], pairs[0]]
    counts = draw(st.lists(st.integers(0, 6), min_size=len(pairs), max_size=len(pairs)).filter(any))
    return pairs, [F(count, sum(counts)) for count in counts]


def item_value(pair: Errors, left: Errors) -> Fraction:
    """What an item that leaves these shares of the errors is worth to a type, by the formula of the theory."""
    (a, b), (first, second) = pair, left
    return a + b - min(a * first + b * second, first / 2, second / 2)
