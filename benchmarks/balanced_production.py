"""Measure equilibria of balanced production, and compare them with what a user would otherwise do.

Run ``python benchmarks/balanced_production.py``. Otherwise a user would climb by best responses that are searched for on a grid.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from optmarket.models.balanced_production import Market, Params, formation
from optmarket.models.balanced_production.equilibria import Game, deviation_gain, equilibria
from optmarket.models.balanced_production.revenue import Revenue
from optmarket.models.balanced_production.shapley import coalitions
from optmarket.models.balanced_production.thresholds_of_targets import simplex_grid


def main() -> None:
    table = Table("market", "what", "seconds", "largest gain / revenue")
    for sellers in (2, 100, 1000):
        one = np.ones(1)
        game = Game(Revenue(1e5 * one, one, one, one, one), np.full(sellers, 0.1))
        seconds, gain = timed(lambda: equilibria(game)[0][0].deviation_gain / game.revenue.most)  # noqa: B023
        table.add_row(f"{sellers} sellers of one cost, 1 group", "all numbers of active sellers", f"{seconds:.3f}", f"{gain:.1e}")
    for seed in range(3):
        game = random_game(seed, groups=10, sellers=8)
        seconds, gain = timed(lambda: max(one.deviation_gain for one in equilibria(game)[0]) / game.revenue.most)  # noqa: B023
        name = f"8 sellers who differ, 10 groups under a target, seed {seed}"
        table.add_row(name, "best responses from 11 starts, Newton's method", f"{seconds:.2f}", f"{gain:.1e}")
        seconds, gain = timed(lambda: on_a_grid(game) / game.revenue.most)  # noqa: B023
        table.add_row("", "otherwise: one start, best responses on a grid of 2,000", f"{seconds:.2f}", f"{gain:.1e}")
    tasks = [{"Z": 1, "alpha": 1, "beta": f"{5 + g}/10"} for g in range(3)]
    grid = np.array(list(simplex_grid(3, 100))) / 100
    for task, what in ((tasks[0], "one learning curve"), (tasks, "three learning curves")):
        market = Market.of(Params.model_validate({"potential_value": [2, 1, 1], "task": task, "cost": ["1/5", "1/10", "1/10"]}))
        seconds, count = timed(lambda: float(formation(market, grid).backfires.sum()))  # noqa: B023
        table.add_row(f"map of {len(grid):,} targets, {what}", f"{count:.0f} backfire", f"{seconds:.3f}", "")
    Console(width=130).print(table)


def timed(run: Callable[[], float]) -> tuple[float, float]:
    start = time.perf_counter()
    found = run()
    return time.perf_counter() - start, found


def random_game(seed: int, *, groups: int, sellers: int) -> Game:
    random = np.random.default_rng(seed)
    columns: list[Any] = [
        random.uniform(1, 10, groups),
        random.uniform(0.7, 1, groups),
        random.uniform(0.5, 3, groups),
        random.uniform(0.3, 1.2, groups),
        random.dirichlet(np.full(groups, 2.0)),
    ]
    return Game(Revenue(*columns), random.uniform(0.02, 0.06, sellers))


def on_a_grid(game: Game) -> float:
    """Best responses on a grid, until nobody moves; what a seller could still gain."""
    sellers = len(game.cost)
    samples = np.zeros(sellers)
    for _ in range(100):
        before = samples.copy()
        for j, cost in enumerate(game.cost):
            totals, chances = coalitions(np.delete(samples, j))
            grid = np.linspace(0, game.revenue.most / cost, 2000)
            gained = game.revenue.value(totals + grid[:, None]) - game.revenue.value(totals)
            samples[j] = grid[int(np.argmax(gained @ chances - cost * grid))]
        if (samples == before).all():
            break
    return deviation_gain(game, samples)


if __name__ == "__main__":
    main()
