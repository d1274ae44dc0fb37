"""Sellers' production game a second time, in plain loops: coalitions listed, best responses by a fine search."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

from scipy.optimize import minimize_scalar

Curve = tuple[float, float, float, float, float]  # weight, Z, alpha, beta, share


def brings(curves: Sequence[Curve], amount: float) -> float:
    """What so many samples bring."""
    total = 0.0
    for w, z, alpha, beta, share in curves:
        counted = share * amount
        if counted > (alpha / z) ** (1 / beta):
            total += w * (z - alpha * counted**-beta)
    return total


def shapley_by_permutations(value: Callable[[float], float], samples: Sequence[float]) -> list[float]:
    """The average over all orders of what each seller adds to those before."""
    sellers = range(len(samples))
    found = [0.0 for _ in sellers]
    for order in itertools.permutations(sellers):
        held = 0.0
        for j in order:
            found[j] += value(held + samples[j]) - value(held)
            held += samples[j]
    return [one / math.factorial(len(samples)) for one in found]


def shapley_by_subsets(value: Callable[[float], float], samples: Sequence[float], j: int) -> float:
    """Seller j's Shapley value by the formula over all subsets of the others."""
    others = [k for k in range(len(samples)) if k != j]
    m, total = len(samples), 0.0
    for size in range(m):
        weight = math.factorial(size) * math.factorial(m - size - 1) / math.factorial(m)
        for chosen in itertools.combinations(others, size):
            held = sum(samples[k] for k in chosen)
            total += weight * (value(held + samples[j]) - value(held))
    return total


def potential_by_subsets(value: Callable[[float], float], samples: Sequence[float], cost: Sequence[float]) -> float:
    """The potential as the sum over all coalitions."""
    m, total = len(samples), -sum(c * x for c, x in zip(cost, samples, strict=True))
    for size in range(1, m + 1):
        weight = math.factorial(size - 1) * math.factorial(m - size) / math.factorial(m)
        total += weight * sum(value(sum(chosen)) for chosen in itertools.combinations(samples, size))
    return total


def best_by_search(
    curves: Sequence[Curve], samples: Sequence[float], cost: float, j: int, points: int = 400
) -> tuple[float, float]:
    """Seller j's best amount and profit, by a fine grid and a search around each of its best points."""

    def profit(own: float) -> float:
        profile = [*samples[:j], own, *samples[j + 1 :]]
        return shapley_by_subsets(lambda amount: brings(curves, amount), profile, j) - cost * own

    most = sum(w * z for w, z, *_ in curves) / cost
    grid = [most * (k / points) ** 2 for k in range(points + 1)]
    values = [profit(own) for own in grid]
    best = max(zip(values, grid, strict=True))
    for k in sorted(range(1, points), key=lambda k: -values[k])[:6]:
        found = minimize_scalar(
            lambda own: -profit(own), bounds=(grid[k - 1], grid[k + 1]), method="bounded", options={"xatol": 1e-12}
        )
        best = max(best, (float(-found.fun), float(found.x)))
    return best[1], best[0]


def settled(curves: Sequence[Curve], cost: Sequence[float], rounds: int = 60) -> list[float]:
    """Where best responses in turn lead from nobody producing."""
    samples = [0.0 for _ in cost]
    for _ in range(rounds):
        before = list(samples)
        for j, spent in enumerate(cost):
            samples[j] = best_by_search(curves, samples, spent, j)[0]
        if max(abs(a - b) for a, b in zip(samples, before, strict=True)) <= 1e-9 * max(samples):
            break
    return samples
