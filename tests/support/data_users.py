"""Random markets of users whose data are correlated."""

from __future__ import annotations

from decimal import ROUND_DOWN, Context, Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.models.data_externalities import Market, Params

__all__ = ["covariance", "market", "random_market", "squared"]


def covariance(n: int, seed: int, kind: str = "random") -> FloatArray:
    """A covariance matrix: of full rank, singular, or of very different variances."""
    random = np.random.default_rng(seed)
    rank = {"random": n, "singular": max(1, n // 2), "scaled": n}[kind]
    root = random.standard_normal((n, rank))
    if kind == "scaled":
        root *= 10.0 ** random.uniform(-2, 2, (n, 1))
    found: FloatArray = root @ root.T
    return (found + found.T) / 2


def market(covariance: Any, value: Any, **fields: Any) -> Market:
    """A market of given numbers."""
    return Market.of(Params.model_validate({"covariance": _listed(covariance), "privacy_value": _listed(value), **fields}))


def random_market(n: int, seed: int, kind: str = "random", most: float = 2.5, **fields: Any) -> Market:
    """A market of random covariance and values up to `most`."""
    value = np.random.default_rng(seed + 10_000).uniform(0, most, n)
    return market(covariance(n, seed, kind), value, **fields)


def squared(square: str) -> list[list[Any]]:
    """The covariance of two users of unit variances whose squared correlation is given, its root cut after 36 digits."""
    given = Fraction(square)
    with localcontext(Context(prec=36, rounding=ROUND_DOWN)):
        root = str((Decimal(given.numerator) / Decimal(given.denominator)).sqrt())
    return [[1, root], [root, 1]]


def _listed(values: Any) -> Any:
    return values.tolist() if isinstance(values, np.ndarray) else values
