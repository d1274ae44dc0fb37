"""What is learned about each user from the data that are shared: for one set of sharers, and for all of them at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np

from optmarket.arrays import BoolArray, FloatArray, NumberArray
from optmarket.rationals import floats, matrix_product

# Entries of the matrices that the table of all profiles works on at once.
BLOCK_ENTRIES = 2**21


@dataclass(frozen=True, eq=False)
class GaussianLeaks:
    """Leaks of users whose types are jointly normal: by how much the data shared reduce the mean squared error about each.

    User i shares the type plus independent normal noise of variance 1. If a is the profile of who shares, the error that is left
    is ``M(a) = Sigma - Sigma_A (I + Sigma_AA)^-1 Sigma_A'``, and ``I_i(a) = Sigma_ii - M_ii(a)`` [1]_.

    Attributes
    ----------
    parts : tuple of (Fraction, object array of shape (n, n))
        Covariance matrices with their probabilities; leaks are the means over them.
    mediation : {"none", "lemma", "literal"}
        ``literal``: user i's signal is entry i of ``Sigma^-1 S``, which is uncorrelated with every other user's type. ``lemma``:
        sharers leak ``I_i(a)`` and others nothing, as the source says of it.

    References
    ----------
    .. [1] Acemoglu, Makhdoumi, Malekian, Ozdaglar, "Too Much Data: Prices and Inefficiencies in Data Markets", American Economic
       Journal: Microeconomics 14 (2022).
    """

    parts: tuple[tuple[Fraction, NumberArray], ...]
    mediation: Literal["none", "lemma", "literal"] = "none"

    @property
    def n(self) -> int:
        """How many users there are."""
        return len(self.parts[0][1])

    @cached_property
    def variance(self) -> NumberArray:
        """Each user's variance, the mean over matrices: no leak is larger. Shape (n,)."""
        return np.asarray(sum(weight * np.diagonal(part) for weight, part in self.parts))

    @cached_property
    def float_parts(self) -> tuple[tuple[float, FloatArray], ...]:
        """`parts` in floats, each rounded once."""
        return tuple((float(weight), floats(part)) for weight, part in self.parts)

    def at(self, shares: BoolArray, *, exact: bool) -> tuple[NumberArray, NumberArray]:
        """The leaks of one profile.

        Parameters
        ----------
        shares : bool array, shape (n,)
        exact : bool
            In exact rational arithmetic, or in floats.

        Returns
        -------
        leak, without : array, shape (n,)
            What is leaked about each user, and what would be if this user did not share.

        Examples
        --------
        >>> half = Fraction(1, 2)
        >>> three = np.array([[1, half, half], [half, 1, 0], [half, 0, 1]], dtype=object)
        >>> GaussianLeaks(((Fraction(1), three),)).at(np.array([False, True, True]), exact=True)[0].tolist()
        [Fraction(1, 4), Fraction(1, 2), Fraction(1, 2)]
        """
        leak = without = None
        for weight, covariance in self.parts if exact else self.float_parts:
            found = self._of_part(covariance, shares)
            leak = found[0] * weight if leak is None else leak + found[0] * weight
            without = found[1] * weight if without is None else without + found[1] * weight
        return np.asarray(leak), np.asarray(without)

    def _of_part(self, covariance: NumberArray, shares: BoolArray) -> tuple[NumberArray, NumberArray]:
        who = np.flatnonzero(shares)
        zero = np.zeros(len(covariance), dtype=covariance.dtype) * covariance[0, 0]
        if self.mediation == "literal":
            leak = zero.copy()
            if covariance.dtype == object:
                leak[who] = np.diagonal(inverse(transformed(covariance)[np.ix_(who, who)]))
            else:
                rest = precision_of_transformed(covariance)
                for user in np.flatnonzero(~np.asarray(shares)):
                    rest = _updated(rest[None], int(user), 0)[0]
                leak[who] = np.diagonal(rest)[who]
            return leak, zero
        across = covariance[:, who]
        precision = inverse(covariance[np.ix_(who, who)] + _identity(len(who), covariance))
        leak = zero + (matrix_product(across, precision) * across).sum(axis=1)
        if self.mediation == "lemma":
            return np.where(shares, leak, zero), zero
        # For sharers 1 - M_ii is the precision's diagonal; the difference would lose it where variances are large.
        variance, spare = np.diagonal(covariance), np.diagonal(precision)
        error = np.where(variance[who] > 1, 1 - spare, (variance - leak)[who])
        without = leak.copy()
        without[who] = variance[who] - error / spare
        return leak, without

    def table(self, *, exact: bool) -> NumberArray:
        """The leaks of all profiles.

        Returns
        -------
        array, shape (2**n, n)
            In row k, user i shares if bit i of k is set.

        Examples
        --------
        >>> two = np.array([[Fraction(1), Fraction(4, 5)], [Fraction(4, 5), Fraction(1)]])
        >>> GaussianLeaks(((Fraction(1), two),)).table(exact=True)[1].tolist()
        [Fraction(1, 2), Fraction(8, 25)]
        """
        total: NumberArray | None = None
        for weight, covariance in self.parts if exact else self.float_parts:
            found = self._table_of_part(covariance) * weight
            total = found if total is None else total + found
        return np.asarray(total)

    def _table_of_part(self, covariance: NumberArray) -> NumberArray:
        if self.mediation == "literal":
            if covariance.dtype == object:
                return _inverse_diagonals(transformed(covariance))
            rest = _diagonals(precision_of_transformed(covariance), 0, eliminate=True)
            return np.where(shares_of(self.n), rest, 0.0)
        leak = np.diagonal(covariance) - _diagonals(covariance, 1, eliminate=False)
        return np.where(shares_of(self.n), leak, leak[0] * 0) if self.mediation == "lemma" else np.asarray(leak)


@dataclass(frozen=True, eq=False)
class TabledLeaks:
    """Any measure of leaked information, given for each profile.

    Attributes
    ----------
    given : object array, shape (2**n, n)
        As `GaussianLeaks.table` orders it.
    """

    given: NumberArray

    @property
    def n(self) -> int:
        """How many users there are."""
        return int(self.given.shape[1])

    @property
    def variance(self) -> NumberArray:
        """The largest leak about each user, shape (n,)."""
        return np.asarray(self.given.max(axis=0))

    def at(self, shares: BoolArray, *, exact: bool) -> tuple[NumberArray, NumberArray]:
        """As `GaussianLeaks.at`."""
        bits = 1 << np.arange(self.n)
        here = int(bits[np.asarray(shares, dtype=bool)].sum())
        table = self.table(exact=exact)
        return table[here], table[here & ~bits, np.arange(self.n)]

    def table(self, *, exact: bool) -> NumberArray:
        """As `GaussianLeaks.table`."""
        return self.given if exact else floats(self.given)


Leaks = GaussianLeaks | TabledLeaks


@lru_cache(maxsize=4)
def shares_of(n: int) -> BoolArray:
    """All profiles, shape (2**n, n): in row k, user i shares if bit i of k is set.

    Examples
    --------
    >>> shares_of(2).astype(int).tolist()
    [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    return np.asarray((np.arange(2**n)[:, None] >> np.arange(n)) & 1 == 1)


def without_self(table: NumberArray) -> NumberArray:
    """What is leaked about each user in each profile if this user does not share, shape (2**n, n), from the table of leaks."""
    n = table.shape[1]
    return np.asarray(np.stack([table[np.arange(len(table)) & ~(1 << i), i] for i in range(n)], axis=1))


def transformed(covariance: NumberArray) -> NumberArray:
    """The covariance of the signals ``Sigma^-1 S`` that a mediator sends, ``Sigma^-1 + Sigma^-2``, shape (n, n)."""
    precision = inverse(covariance)
    return np.asarray(precision + matrix_product(precision, precision))


def precision_of_transformed(covariance: FloatArray) -> FloatArray:
    """The inverse of that, ``Sigma (I + Sigma)^-1 Sigma``, which takes no inverse of Sigma; shape (n, n).

    The leak about a sharer is the diagonal of its Schur complement in which the others are eliminated.
    """
    return np.asarray(covariance @ np.linalg.solve(covariance + np.eye(len(covariance)), covariance))


def _diagonals(matrix: NumberArray, noise: int, *, eliminate: bool) -> NumberArray:
    """The diagonals for all profiles, shape (2**n, n), of a matrix that one rank-one update a user changes.

    The profiles of the last users are gone through one by one, so that the matrices at hand fit into the processor's cache.

    Parameters
    ----------
    matrix : array, shape (n, n)
    noise : int
        Of `_updated`.
    eliminate : bool
        Whether the update is that of a user who does not share, instead of one who does.
    """
    n = len(matrix)
    leading = min(n - 1, max(0, math.ceil(math.log2(2**n * n * n / BLOCK_ENTRIES))))
    first = n - leading
    result = np.empty((2**n, n), dtype=matrix.dtype)

    def both(found: NumberArray, updated: NumberArray) -> NumberArray:
        return np.concatenate([updated, found] if eliminate else [found, updated])

    starts = matrix[None]
    for user in range(first, n):
        starts = both(starts, _updated(starts, user, noise))
    for block, start in enumerate(starts):
        found = start[None]
        for user in range(first - 1):
            found = both(found, _updated(found, user, noise))
        diagonal = np.diagonal(found, axis1=1, axis2=2)
        column = found[:, :, first - 1]
        last = diagonal - column * column / _pivot(column[:, first - 1], noise)[:, None]
        result[block * 2**first : (block + 1) * 2**first] = both(diagonal, last)
    return result


def _updated(matrices: NumberArray, user: int, noise: int) -> NumberArray:
    """``M - M e_j e_j' M / (noise + M_jj)``: with noise 1 the errors with user j's signal; with 0 what is left without user j."""
    column = matrices[:, :, user]
    scaled = column / _pivot(column[:, user], noise)[:, None]
    return np.asarray(matrices - scaled[:, :, None] * column[:, None, :])


def _pivot(diagonal: NumberArray, noise: int) -> NumberArray:
    """What an update divides by; 1 for a user of whom nothing is left, whose column is 0."""
    return np.asarray(np.where(diagonal > 0, diagonal + noise, 1))


def _inverse_diagonals(matrix: NumberArray) -> NumberArray:
    """For each set of users the diagonal of the inverse of that block, 0 outside, shape (2**n, n): one bordering a user."""
    n = len(matrix)
    found = np.zeros((1, n, n), dtype=matrix.dtype) * matrix[0, 0]
    for user in range(n):
        across = (found * matrix[user]).sum(axis=2)
        rest = matrix[user, user] - (across * matrix[user]).sum(axis=1)
        across[:, user] = -1
        found = np.concatenate([found, found + across[:, :, None] * across[:, None, :] / rest[:, None, None]])
    return np.asarray(np.diagonal(found, axis1=1, axis2=2))


def inverse(matrix: NumberArray) -> NumberArray:
    """The inverse of a positive definite matrix, of floats or of Fractions.

    Exact numbers go over one denominator, and the integers are eliminated without fractions (Bareiss, 1968).

    Parameters
    ----------
    matrix : array, shape (n, n)

    Returns
    -------
    array, shape (n, n)

    Raises
    ------
    ZeroDivisionError
        If exact numbers form a singular matrix.

    Examples
    --------
    >>> inverse(np.array([[Fraction(2), Fraction(1)], [Fraction(1), Fraction(1)]], dtype=object)).tolist()
    [[Fraction(1, 1), Fraction(-1, 1)], [Fraction(-1, 1), Fraction(2, 1)]]
    """
    n = len(matrix)
    if matrix.dtype != object:
        return np.asarray(np.linalg.inv(matrix))
    if n == 0:
        return matrix
    common = math.lcm(*(x.denominator for x in matrix.ravel().tolist()))
    rows = np.empty((n, 2 * n), dtype=object)
    rows[:, :n] = [[x.numerator * (common // x.denominator) for x in row] for row in matrix.tolist()]
    rows[:, n:] = np.eye(n, dtype=int).tolist()
    before = 1
    for k in range(n):
        pivot = rows[k, k]
        if pivot == 0:
            raise ZeroDivisionError("the matrix is singular")
        others = np.arange(n) != k
        rows[others] = (rows[others] * pivot - rows[others, k][:, None] * rows[k]) // before
        before = pivot
    found = np.empty((n, n), dtype=object)
    for i, row in enumerate(rows[:, n:].tolist()):
        found[i] = [Fraction(x * common, before) for x in row]
    return found


def _identity(n: int, like: NumberArray) -> NumberArray:
    return np.eye(n, dtype=int).astype(object) if like.dtype == object else np.eye(n)
