"""Beliefs with gaps, peaks and tails: bounds against envelopes on fine grids of their own, and values of any size."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optmarket.laws import Law, PiecewiseLinear
from optmarket.models import selling_information as market
from optmarket.numbers import floats
from optmarket.program import FloatArray
from optmarket.solution import Options, Status

CASES = Path(__file__).parent / "cases"


# Random distributions on [0, 1] ----------------------------------------------------------------------------------------


def blocks(rng: np.random.Generator, count: int, width: float = 0.1) -> dict[str, Any]:
    """Separate stretches of constant density, of random masses, each at most so wide."""
    at = np.sort(rng.choice(np.arange(1, 1000), size=count, replace=False))
    room = np.diff(np.append(at, 1000))
    mass = rng.integers(1, 100, size=count)
    steps = []
    for start, space, part in zip(at.tolist(), room.tolist(), mass.tolist(), strict=True):
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


def random_belief(seed: int) -> dict[str, Any]:
    """One of the kinds, in turn."""
    rng = np.random.default_rng(seed)
    kinds = [
        lambda: blocks(rng, int(rng.integers(2, 7))),
        lambda: mixture(rng),
        lambda: table(rng, int(rng.integers(3, 150))),
        lambda: part(rng),
        lambda: blocks(rng, int(rng.integers(2, 7)), 1e-4),
    ]
    return kinds[seed % len(kinds)]()


# An independent bracket ------------------------------------------------------------------------------------------------


def hull(x: FloatArray, y: FloatArray, at: FloatArray) -> FloatArray:
    """The least concave function above some points, somewhere."""
    kept: list[int] = []
    for k in np.lexsort((-y, x)):
        if kept and x[kept[-1]] == x[k]:
            continue
        while len(kept) > 1:
            i, j = kept[-2:]
            if (y[j] - y[i]) * (x[k] - x[i]) > (y[k] - y[i]) * (x[j] - x[i]):
                break
            kept.pop()
        kept.append(int(k))
    return np.interp(at, x[kept], y[kept])


def bracketed(law: Law, size: int = 3000) -> tuple[float, float]:
    """Bounds on the optimum at value 1 from envelopes over points, of what is attained there and of what cells allow at most."""
    levels = floats(law.quantiles([Fraction(k, size) for k in range(1, size)]))
    ends = law.knots if isinstance(law, PiecewiseLinear) else law.end_of_floats
    theta = np.unique(np.concatenate([np.linspace(0, 1, size), levels, floats(ends)]))
    above = 1 - law.cdf(theta)
    left, right = theta[:-1], theta[1:]
    mirrored = 1 - theta
    points = np.union1d(theta, mirrored)
    low = hull(theta, theta * above, points) + hull(mirrored, -mirrored * above, points)
    gain = hull(np.concatenate([left, right]), np.tile(right * above[:-1], 2), points)
    cost = hull(np.append(1 - right, 1 - left), np.tile(-(1 - right) * above[1:], 2), points)
    return float(low.max()), float((gain + cost).max())


def check(belief: dict[str, Any]) -> None:
    """The bounds meet, hold what is known, and are what the menu earns."""
    params = market.Params.model_validate({"belief": belief})
    answer = market.solve(params, Options())
    lower, upper = answer.certificate.lower, answer.certificate.upper
    found = answer.quantities
    assert answer.status is Status.OPTIMAL
    assert answer.certificate.gap <= 1e-8
    assert lower <= found["revenue"] <= upper
    assert upper <= found["first-best"] * (1 + 1e-11)
    assert lower >= found["full-information-revenue"] * (1 - 1e-12)
    assert market.audit(params, answer.mechanism).quantities["revenue"] == found["revenue"]
    assert params.belief is not None
    least, most = bracketed(params.belief.law)
    assert lower <= most and least <= upper * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(30))
def test_bounds_of_random_distributions_meet(seed: int) -> None:
    check(random_belief(seed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1400))
def test_bounds_of_400_more_random_distributions_meet(seed: int) -> None:
    check(random_belief(seed))
