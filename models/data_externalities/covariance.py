"""Covariance matrices: whether a matrix is one, and matrices made by a rule."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.rationals import exact, floats, shown

# Relative to the largest variance: eigenvalues this far below 0 are rounding, of decimals in a file for example.
NEGATIVE_EIGENVALUE = 1e-9


def check_covariance(matrix: Sequence[Sequence[Fraction]]) -> None:
    """Check that a matrix is square, symmetric and positive semidefinite; singular ones are fine.

    Parameters
    ----------
    matrix : sequence of sequences of Fraction

    Raises
    ------
    ValueError
        With the first entry that breaks the symmetry, or the smallest eigenvalue.

    Examples
    --------
    >>> check_covariance([[Fraction(1), Fraction(1)], [Fraction(1), Fraction(1)]])
    """
    n = len(matrix)
    if n == 0 or any(len(row) != n for row in matrix):
        raise ValueError(f"has {n} rows of {[len(row) for row in matrix]} entries; it needs as many rows as columns, one a user")
    for i in range(n):
        for j in range(i):
            if matrix[i][j] != matrix[j][i]:
                raise ValueError(
                    f"is not symmetric: row {i + 1}, column {j + 1} holds {shown(matrix[i][j])}, and row {j + 1}, column {i + 1} "
                    f"{shown(matrix[j][i])}"
                )
    values = floats(matrix).reshape(n, n)
    least = float(np.linalg.eigvalsh(values)[0])
    if least < -NEGATIVE_EIGENVALUE * max(float(np.abs(np.diag(values)).max()), np.finfo(float).tiny):
        raise ValueError(
            f"is not positive semidefinite, so nothing has these covariances: its smallest eigenvalue is {least:.6g}"
        )


def generated(name: str, n: int, seed: int, groups: int, strength: float) -> tuple[tuple[Fraction, ...], ...]:
    """A covariance matrix of unit variances made by a rule.

    Parameters
    ----------
    name : {"factor", "block", "toeplitz", "random"}
        ``factor``: `groups` common factors with random loadings explain the share `strength` of each variance. ``block``: user i
        is in group ``i mod groups``, whose members are correlated by `strength`. ``toeplitz``: users i and j are correlated by
        ``strength ** |i - j|``. ``random``: correlations of n random directions in n dimensions.
    n, seed, groups : int
    strength : float
        In [0, 1).

    Returns
    -------
    tuple of tuples of Fraction
        Shape (n, n).

    Examples
    --------
    >>> [float(entry) for entry in generated("toeplitz", 3, 0, 1, 0.5)[0]]
    [1.0, 0.5, 0.25]
    """
    random = np.random.default_rng(seed)
    index = np.arange(n)
    if name == "block":
        found = np.where(index[:, None] % groups == index % groups, strength, 0.0)
    elif name == "toeplitz":
        found = np.power(strength, np.abs(index[:, None] - index).astype(float))
    elif name == "factor":
        found = strength * _correlations(random.standard_normal((n, groups)))
    else:
        found = _correlations(random.standard_normal((n, n)))
    np.fill_diagonal(found, 1.0)
    return as_written(found)


def as_written(matrix: FloatArray) -> tuple[tuple[Fraction, ...], ...]:
    """A computed symmetric matrix as exact numbers, as its shortest decimals."""
    symmetric = (matrix + matrix.T) / 2
    return tuple(tuple(exact(float(entry)) for entry in row) for row in symmetric)


def _correlations(direction: FloatArray) -> FloatArray:
    direction = direction / np.sqrt((direction**2).sum(axis=1, keepdims=True))
    return np.asarray(direction @ direction.T)
