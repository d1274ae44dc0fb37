"""Distributions of beliefs as instance files write them, drawn at random."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np


def blocks(rng: np.random.Generator, count: int, width: float = 0.1) -> dict[str, Any]:
    """Separate stretches of constant density, of random masses, each at most so wide."""
    at = np.sort(rng.choice(np.arange(1, 1000), size=count, replace=False))
    folder = np.diff(np.append(at, 1000))
    mass = rng.integers(1, 100, size=count)
    steps = []
    for start, space, part in zip(at.tolist(), folder.tolist(), mass.tolist(), strict=True):
        length = min(Fraction(str(width)), Fraction(space, 1000)) * Fraction(int(rng.integers(1, 100)), 100)
        height = Fraction(part, int(mass.sum())) / length
        steps.append({"from": Fraction(start, 1000), "to": Fraction(start, 1000) + length, "height": height})
    return {"density": steps}


def table(rng: np.random.Generator, rows: int) -> dict[str, Any]:
    """A table of a distribution function with flat and steep pieces."""
    x = np.sort(rng.choice(np.arange(1, 10_000), size=rows, replace=False)).tolist()
    mass = rng.integers(1, 1000, size=rows - 1) * (rng.uniform(size=rows - 1) < 0.5)
    mass[-1] += 1
    level = np.append(0, np.cumsum(mass)).tolist()
    return {"cdf": [[Fraction(a, 10_000), Fraction(b, level[-1])] for a, b in zip(x, level, strict=True)]}


def part(rng: np.random.Generator) -> dict[str, Any]:
    """A beta distribution of any shape, or a normal one that is cut."""
    if rng.uniform() < 0.6:
        a, b = np.exp(rng.uniform(np.log(0.1), np.log(300), 2)).round(3).tolist()
        return {"dist": "beta", "a": a, "b": b}
    low, high = np.sort(rng.uniform(size=2)).round(3).tolist()
    loc, scale = float(rng.uniform().__round__(3)), float(10 ** rng.uniform(-3, 0).__round__(2))
    return {"dist": "norm", "loc": min(max(loc, low), high), "scale": scale, "truncate": [low, high + 0.01 if high < 0.99 else 1]}


def mixture(rng: np.random.Generator) -> dict[str, Any]:
    """Two or three parts, blocks among them, one perhaps rare."""
    parts = [part(rng), part(rng), *([blocks(rng, 2)] if rng.uniform() < 0.3 else [])]
    weight = rng.integers(1, 100, size=len(parts)).tolist()
    if rng.uniform() < 0.3:
        weight[0] *= 1000
    return {"mixture": [{"weight": Fraction(w, sum(weight)), **one} for w, one in zip(weight, parts, strict=True)]}
