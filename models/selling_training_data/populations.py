"""The buyers of a market: finitely many types, some of them cells of a continuum, or the continuum of types on a line itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from pydantic import ValidationError

from optmarket.distributions.cdf import Cdf
from optmarket.distributions.specification import Grid, discretised
from optmarket.errors import InstanceError
from optmarket.models import selling_information
from optmarket.rationals import exact
from optmarket.validation import translate

HALF = Fraction(1, 2)
# A type's two errors: alpha = Pr(state 1, own data say 2) and beta = Pr(state 2, own data say 1).
Errors = tuple[Fraction, Fraction]
JointMeasure = Sequence[Sequence[Fraction]]


def joint_measure(alpha: Fraction, beta: Fraction) -> tuple[Errors, Errors]:
    """Probability of each state and own signal, [state][signal], of a type given by its errors.

    Examples
    --------
    >>> joint_measure(Fraction(1, 5), Fraction(1, 10))
    ((Fraction(3, 10), Fraction(1, 5)), (Fraction(1, 10), Fraction(2, 5)))
    """
    return (HALF - alpha, alpha), (beta, HALF - beta)


def information_params(
    weights: Sequence[Fraction],
    measures: Sequence[JointMeasure],
    names: Sequence[str | None] | None = None,
    states: Sequence[str] | None = None,
) -> selling_information.Params:
    """The same market as one for information: own signals are contexts, and the payoff is 1 for guessing the state.

    Parameters
    ----------
    weights : sequence of Fraction, length T
    measures : sequence of joint measures, length T
    names : sequence, length T, optional
        What to call the types; None for their number.
    states : sequence of str, optional
        What to call the states.

    Raises
    ------
    InstanceError
        If a joint measure does not fit the others.
    """
    names = names or [None] * len(weights)
    types = [
        {"weight": weight, "joint": measure, "name": name} for weight, measure, name in zip(weights, measures, names, strict=True)
    ]
    try:
        return selling_information.Params.model_validate({"types": types, "states": states})
    except ValidationError as error:
        raise translate(error, selling_information.Params, file=None, prefix="params") from error


@dataclass(frozen=True)
class FiniteTypes:
    """Finitely many types.

    Attributes
    ----------
    params : selling_information.Params
        The same market as one for information.
    """

    params: selling_information.Params

    @cached_property
    def information(self) -> selling_information.Market:
        """The same market as one for information: exact arrays of joint measures and payoffs."""
        return selling_information.Market.of(self.params)


@dataclass(frozen=True)
class TypesByErrors(FiniteTypes):
    """Finitely many types, each given by its two errors; two equally likely states and two own signals.

    Attributes
    ----------
    weights : tuple of Fraction, length T
        Shares of the types among buyers; they sum to 1.
    errors : tuple of (alpha, beta), length T
    """

    weights: tuple[Fraction, ...]
    errors: tuple[Errors, ...]

    @property
    def positive(self) -> list[tuple[Fraction, Errors]]:
        """Weight and errors of each type of positive weight."""
        return [(weight, pair) for weight, pair in zip(self.weights, self.errors, strict=True) if weight]


@dataclass(frozen=True)
class TypesByMeasure(FiniteTypes):
    """Finitely many types, each given by a joint measure of state and own signal."""


@dataclass(frozen=True)
class LineOfTypes:
    """A continuum of types on the line ``k alpha + beta = m``.

    Attributes
    ----------
    k, m : Fraction
        ``0 <= k <= 2 m`` and ``m < 1/2``.
    cdf : Cdf
        The distribution of alpha, within 0 and `end`.

    Examples
    --------
    >>> from optmarket.distributions.specification import Distribution
    >>> uniform = Distribution.model_validate({"dist": "uniform", "scale": "1/4"})
    >>> line = LineOfTypes(Fraction(1, 5), Fraction(3, 10), uniform.as_cdf)
    >>> line.end, line.beta(Fraction(1, 4)), line.full_value(Fraction(1, 4))
    (Fraction(1, 4), Fraction(1, 4), Fraction(1, 2))
    """

    k: Fraction
    m: Fraction
    cdf: Cdf

    @property
    def end(self) -> Fraction:
        """The largest alpha that the line admits, where ``alpha + beta = 1/2``: abar in the talks."""
        return (HALF - self.m) / (1 - self.k)

    def beta(self, alpha: Fraction) -> Fraction:
        """The other error of a type."""
        return self.m - self.k * alpha

    def full_value(self, alpha: Fraction | float) -> Fraction | float:
        """What complete data are worth to a type, ``alpha + beta``, in payoff units."""
        return self.m + (1 - self.k) * alpha

    @cached_property
    def first_best(self) -> Fraction | float:
        """What complete data are worth to all types together, in payoff units: no menu earns more."""
        ((mass, moment),) = self.cdf.cells([exact(end) for end in self.cdf.support])
        return self.m + (1 - self.k) * (moment / mass)

    @cached_property
    def representative(self) -> selling_information.Market:
        """A market of one type with the same states, own signals and payoffs: a menu on the line must fit it."""
        return selling_information.Market.of(information_params([Fraction(1)], [joint_measure(HALF / 2, HALF / 2)]))


@dataclass(frozen=True)
class LineGrid(TypesByErrors):
    """Cells of a line's types, solved in place of the continuum.

    Attributes
    ----------
    line : LineOfTypes
    """

    line: LineOfTypes

    @classmethod
    def of(cls, line: LineOfTypes, grid: Grid, states: Sequence[str] | None = None) -> LineGrid:
        """The cells of a grid.

        Raises
        ------
        InstanceError
            If the distribution has no such cells.
        """
        try:
            alphas, weights = discretised(line.cdf, grid)
        except ValueError as error:
            raise InstanceError(str(error), field="params.alpha") from error
        errors = tuple((alpha, line.beta(alpha)) for alpha in alphas)
        params = information_params(weights, [joint_measure(*pair) for pair in errors], states=states)
        return cls(params, tuple(weights), errors, line)


@dataclass(frozen=True)
class TriangleGrid(TypesByErrors):
    """Cells of the triangle of all errors, evenly distributed, solved in place of the continuum.

    Attributes
    ----------
    size : int
        Cells along each side.
    """

    size: int

    @classmethod
    def of(cls, size: int, states: Sequence[str] | None = None) -> TriangleGrid:
        """The cells of the triangle.

        Examples
        --------
        >>> triangle = TriangleGrid.of(2)
        >>> [str(weight) for weight in triangle.weights], [f"{alpha}, {beta}" for alpha, beta in triangle.errors]
        (['1/2', '1/4', '1/4'], ['1/8, 1/8', '1/12, 1/3', '1/3, 1/12'])
        """
        weights, errors = triangle_cells(size)
        params = information_params(weights, [joint_measure(*pair) for pair in errors], states=states)
        return cls(params, weights, errors, size)


Market = TypesByErrors | LineGrid | TriangleGrid | TypesByMeasure | LineOfTypes


def triangle_cells(size: int) -> tuple[tuple[Fraction, ...], tuple[Errors, ...]]:
    """Weight and mean of each cell of the triangle ``alpha, beta >= 0, alpha + beta <= 1/2``, evenly distributed.

    Cells are squares, and halves of squares along the long side.

    Parameters
    ----------
    size : int
        Cells along each side.

    Returns
    -------
    weights : tuple of Fraction, length ``size (size + 1) / 2``
    errors : tuple of (alpha, beta), of the same length

    Examples
    --------
    >>> weights, errors = triangle_cells(10)
    >>> len(weights), str(sum(weights)), str(sum(weight * alpha for weight, (alpha, _) in zip(weights, errors)))
    (55, '1', '1/6')
    """
    side = HALF / size
    weights, errors = [], []
    for i in range(size):
        for j in range(size - i):
            whole = i + j < size - 1
            offset = HALF if whole else Fraction(1, 3)
            weights.append(Fraction(2 if whole else 1, size**2))
            errors.append(((i + offset) * side, (j + offset) * side))
    return tuple(weights), tuple(errors)
