"""What menus do: their audit finds every deviation, and an item is worth what the formula of the theory says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.training_data import HALF, QUICK, Errors, F, audited, by_errors, error_pairs, item_value

from optmarket.arrays import FloatArray
from optmarket.models.selling_training_data.items import as_experiments


def test_wrong_mechanisms_are_found_out() -> None:
    market = by_errors([(F(1, 5), F(1, 5)), (F(1, 20), F(3, 20))], [HALF, HALF])
    full = {"experiment": as_experiments(np.zeros((1, 2)))[0].tolist(), "price": 0.3}
    none = {"experiment": as_experiments(np.ones((1, 2)))[0].tolist(), "price": 0.1}
    asked_too_much = audited(market, {"items": [full], "assignment": [0, 0]})
    assert asked_too_much.violations["individual-rationality"] == pytest.approx(0.1) and not asked_too_much.good
    cheaper = audited(market, {"items": [full, {**full, "price": 0.1}], "assignment": [0, 1]})
    assert cheaper.violations["misreport"] == pytest.approx(0.2) and not cheaper.good
    useless = audited(market, {"items": [none], "assignment": [0, None]})
    assert useless.violations["individual-rationality"] == pytest.approx(0.1)
    dropping = as_experiments(np.array([[1.0, 0.0]]))[0].tolist()  # obeying errs with alpha, naming state 2 at silence never
    disobeyed = audited(market, {"items": [{"experiment": dropping, "price": 0}], "assignment": [0, 0]})
    assert disobeyed.violations["disobey"] == pytest.approx(0.2)


@QUICK
@given(error_pairs(20), st.integers(0, 10**6))
def test_worth_is_the_formula_and_garbling_lowers_it(pair: Errors, seed: int) -> None:
    rng = np.random.default_rng(seed)
    left = (F(int(rng.integers(0, 11)), 10), F(int(rng.integers(0, 11)), 10))
    market = by_errors([pair], [F(1)])
    experiment = np.array(as_experiments(np.array([[float(x) for x in left]]))[0])

    def surplus(rows: FloatArray) -> float:
        item = {"experiment": rows.tolist(), "price": 0}
        return audited(market, {"items": [item]}).quantities["surplus"]

    noise = rng.dirichlet(np.ones(3), size=4)
    assert surplus(experiment) == pytest.approx(float(item_value(pair, left)), abs=1e-13)
    assert surplus(experiment @ (noise / noise.sum(axis=1, keepdims=True))) <= float(item_value(pair, left)) + 1e-12
