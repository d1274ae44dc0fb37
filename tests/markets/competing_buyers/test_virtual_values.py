"""Ironed virtual values, obedient experiments, sums on a lattice, and revenue curves, each by itself."""

from __future__ import annotations

from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest

from optmarket.modeling.concave import iron
from optmarket.models.competing_buyers.virtual_values.ironing import virtual_values
from optmarket.models.competing_buyers.virtual_values.recommendations import experiment
from optmarket.models.competing_buyers.virtual_values.sums import add, on_lattice


def test_ironing_pools_adjacent_violators() -> None:
    value, weight = (np.array([F(x) for x in given], dtype=object) for given in ((0, 1, 3, 4), ("1/4", "1/4", "1/4", "1/4")))
    raw = virtual_values(value, weight)
    assert raw.tolist() == [-3, -3, 2, 4]
    assert iron(raw[::-1].copy(), weight).tolist() == [0, 0, 0, 0]
    assert iron(np.array([F(1), F(3), F(0)]), np.array([F(1, 2), F(1, 3), F(1, 6)])).tolist() == [1, 2, 2]
    assert raw @ weight == value[0]


@pytest.mark.parametrize(
    "prior", [["1/2", "1/2"], ["3/4", "1/4"], ["1/2", "1/3", "1/6"], ["2/5", "3/10", "1/5", "1/10"], [1, 0, 0]]
)
def test_experiments_are_obedient_on_average(prior: list[Any]) -> None:
    belief = np.array([F(x) for x in prior], dtype=object)
    th = max(belief)
    x = np.array([F(0), F(1), th], dtype=object)
    made = experiment(belief, x)
    assert (made.sum(axis=-1) == 1).all() and (made >= 0).all()
    mean = (1 - th) * made[0] + th * made[1]  # told right with chance th on average
    assert (mean == made[2]).all()
    joint = belief[:, None] * mean
    assert all(joint[a, a] == joint[:, a].max() for a in range(len(belief)))


def test_lattice_bounds_what_it_adds() -> None:
    rng = np.random.default_rng(3)
    terms = [(np.sort(rng.normal(size=4)), np.full(4, 0.25)) for _ in range(3)]
    plain = add(terms)
    step = 0.05
    masses, start, noise = [], 0.0, 0.0
    for value, weight in terms:
        place = (value - value[0]) / step
        at = place.astype(int)
        split = np.append(weight * (1 - place + at), weight * (place - at))
        masses.append(np.bincount(np.append(at, at + 1), split).astype(np.float64))
        start, noise = start + value[0], noise + 0.25
    spread = on_lattice(masses, start, step, noise)
    m = np.linspace(-6, 6, 2001)[:, None]
    added = np.maximum(m - spread.value, 0) @ spread.weight - np.maximum(m - plain.value, 0) @ plain.weight
    assert added.min() >= -1e-12
    assert 0 < added.max() <= spread.excess
