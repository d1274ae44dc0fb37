"""Grids of training-data buyers and the continuum of types that they stand for: whose optimum is whose, and what is proved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.command import Done
from support.paths import INSTANCES
from support.training_data import audited, items_of, on_line, on_line_grid

import optmarket as om
from optmarket.models import selling_training_data as model
from optmarket.models.selling_training_data.closed_forms import two_tiers
from optmarket.models.selling_training_data.triangle import triangle_posted_price


def test_the_triangle_says_whose_optimum_it_is(run: Callable[..., Done]) -> None:
    done = run("solve", str(INSTANCES / "selling-training-data" / "triangle.toml"))
    assert "optimal for the grid, proved" in done.out.splitlines()[0]
    solution = om.solve(INSTANCES / "selling-training-data" / "triangle.toml")
    found = solution.quantities
    assert found["continuum-revenue"] == pytest.approx(0.192, abs=1e-9)
    assert found["continuum-revenue"] <= found["continuum-lower"] == triangle_posted_price() < found["continuum-upper"] < 0.1926
    # the grid's optimum is above what anybody can earn from the continuum
    assert solution.bounds[0] > found["continuum-upper"]
    assert "of the grid's 55 types" in solution.notes[0]
    assert om.Solution.from_dict(solution.to_dict()).instance.grid is True


@pytest.mark.parametrize("alpha", [{"dist": "uniform", "scale": "1/4"}, {"dist": "beta", "a": 2, "b": 4, "scale": "1/4"}])
def test_a_grid_on_a_line_is_bracketed_by_the_line(alpha: dict[str, Any]) -> None:
    line = on_line("1/5", "3/10", alpha)
    answer = model.solve(on_line_grid("1/5", "3/10", alpha, size=20))
    found = answer.quantities
    best = float(two_tiers(line).revenue)
    assert found["continuum-lower"] <= best <= found["continuum-upper"] < found["revenue"]
    assert found["continuum-upper"] - found["continuum-lower"] < 2e-3
    on_continuum = audited(line, {"items": items_of(answer)})
    assert found["continuum-revenue"] <= on_continuum.quantities["revenue"] + 1e-12


@pytest.mark.parametrize("name", ["dirichlet-lattice", "product-grid"])
def test_other_grids_say_that_they_are(name: str, run: Callable[..., Done]) -> None:
    done = run("solve", str(INSTANCES / "selling-information" / f"{name}.toml"))
    assert "optimal for the grid, proved" in done.out.splitlines()[0]
    assert "those of the grid's types" in " ".join(done.out.split())


def test_finitely_many_types_are_no_grid(run: Callable[..., Done]) -> None:
    for name in ("selling-training-data/two-types", "selling-information/two-types", "selling-training-data/line"):
        done = run("solve", str(INSTANCES / f"{name}.toml"))
        assert "grid" not in done.out.splitlines()[0]
