"""Read Dirichlet distributions and their mixtures from instance files, and discretise them to finitely many types."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from optmarket.arrays import FloatArray
from optmarket.distributions.cdf import Cdf, Smooth
from optmarket.distributions.specification import Distribution, Grid, discretised
from optmarket.rationals import PositiveExact, exact, to_one

NODES = np.polynomial.legendre.leggauss(10)
CHECK = np.polynomial.legendre.leggauss(16)
SAME_INTEGRAL = 1e-12  # relative difference at which the two quadrature rules agree
NEGLIGIBLE = 1e-16  # a probability below this counts as 0
ROUNDING = 1e-15  # relative rounding error of a density, for each unit of the parameters' sum
NARROW = 1e-15  # intervals that are narrower are not split further
MISSED = 1e-9  # how far the probabilities of all triangles may sum to something else than 1
FINEST = 200  # the largest number of triangles along an edge
TAIL = 1e-12  # the level of the first quantile at which integrals are split
Point = tuple[Fraction, ...]
Exponents = Annotated[tuple[PositiveExact, ...], Field(min_length=2)]

# Files -----------------------------------------------------------------------------------------------------------------


class Component(BaseModel):
    """A component of a mixture of Dirichlet distributions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: PositiveExact = Field(description="its share, above 0; the weights sum to 1")
    dirichlet: Exponents = Field(description="its parameters, one a state, each above 0")


class Dirichlet(BaseModel):
    """A distribution of beliefs over two or more states: a Dirichlet distribution or a mixture of Dirichlet distributions.

    Examples
    --------
    >>> Dirichlet(dirichlet=(1, 1, 1)).states
    3
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dirichlet: Exponents | None = Field(None, description="parameters of a Dirichlet distribution, one a state, each above 0")
    mixture: tuple[Component, ...] | None = Field(
        None, description="instead: a list of { weight, dirichlet }, all for the same states", min_length=1
    )

    @field_validator("mixture")
    @classmethod
    def _weights_sum_to_one(cls, parts: tuple[Component, ...] | None) -> tuple[Component, ...] | None:
        if parts is None:
            return None
        counts = [len(part.dirichlet) for part in parts]
        if len(set(counts)) > 1:
            raise ValueError(f"has distributions of {', '.join(map(str, counts))} states; all must be for as many")
        weights, _ = to_one([part.weight for part in parts], "weights")
        return tuple(part.model_copy(update={"weight": weight}) for part, weight in zip(parts, weights, strict=True))

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.dirichlet is None) == (self.mixture is None):
            raise ValueError(f"gives {'both' if self.dirichlet else 'none'}; must give one of dirichlet and mixture")
        return self

    @property
    def components(self) -> tuple[tuple[Fraction, Point], ...]:
        """The weight and the parameters of each component; a single Dirichlet distribution has one component."""
        if self.mixture is not None:
            return tuple((part.weight, part.dirichlet) for part in self.mixture)
        assert self.dirichlet is not None
        return ((Fraction(1), self.dirichlet),)

    @property
    def states(self) -> int:
        """The number of states."""
        return len(self.components[0][1])

    @cached_property
    def as_cdf(self) -> Cdf:
        """The marginal distribution of the first state's probability."""
        if self.states > 2:
            return Smooth(tuple((float(weight), *_share(parameters)) for weight, parameters in self.components))
        parts = [{"weight": weight, "dist": "beta", "a": a, "b": b} for weight, (a, b) in self.components]
        return Distribution.model_validate({"mixture": parts}).as_cdf


@lru_cache(maxsize=32)
def sticks(parameters: Point) -> tuple[Cdf, ...]:
    """The stick-breaking representation of a Dirichlet distribution.

    The k-th stick is the share that probability k has in what the earlier probabilities leave of one. The sticks are independent
    and have beta distributions.

    Parameters
    ----------
    parameters : tuple of Fraction
        The parameters of the Dirichlet distribution, one for each state.

    Returns
    -------
    tuple of Cdf
        The distributions of the sticks, one less than there are states.

    Examples
    --------
    >>> [round(float(stick.cdf(np.array(0.5))), 9) for stick in sticks((Fraction(1), Fraction(1), Fraction(1)))]
    [0.75, 0.5]
    """
    return tuple(Smooth(((1.0, *_share(parameters[k:])),)) for k in range(len(parameters) - 1))


def _share(parameters: Point) -> tuple[Any, Fraction, Fraction]:
    """The marginal distribution of the first probability, a beta distribution, and the ends of its support."""
    from scipy.stats import beta  # imported here because it is slow to import and few markets need it

    return beta(float(parameters[0]), float(sum(parameters[1:]))), Fraction(0), Fraction(1)


# Types -----------------------------------------------------------------------------------------------------------------


def boxes(distribution: Dirichlet, size: int) -> list[tuple[Point, Fraction]]:
    """Discretise a distribution of beliefs over any number of states, by products of intervals of the independent `sticks`.

    Parameters
    ----------
    distribution : Dirichlet
    size : int
        The number of intervals of equal length into which each stick is divided.

    Returns
    -------
    list of (point, weight)
        The mean and the probability of each product of intervals. Products with a negligible probability are left out; the
        weights sum to one exactly.

    Examples
    --------
    >>> boxes(Dirichlet(dirichlet=(1, 1)), 2)
    [((Fraction(1, 4), Fraction(3, 4)), Fraction(1, 2)), ((Fraction(3, 4), Fraction(1, 4)), Fraction(1, 2))]
    """
    found = []
    for share, parameters in distribution.components:
        cells = [list(zip(*discretised(stick, Grid(size=size, rule="mean")), strict=True)) for stick in sticks(parameters)]
        for box in itertools.product(*cells):
            left, point = Fraction(1), []
            for mean, _ in box:
                point.append(left * mean)
                left *= 1 - mean
            found.append(((*point, left), share * math.prod(weight for _, weight in box)))
    found = [(point, weight) for point, weight in found if weight > NEGLIGIBLE]
    total = sum((weight for _, weight in found), Fraction(0))
    return [(point, weight / total) for point, weight in found]


def lattice(distribution: Dirichlet, size: int) -> tuple[list[Point], list[Fraction]]:
    """Discretise a distribution of beliefs over two or three states, by a regular subdivision of the simplex.

    Parameters
    ----------
    distribution : Dirichlet
    size : int
        The number of cells along an edge of the simplex. There are ``size ** (states - 1)`` congruent cells.

    Returns
    -------
    points : list of tuple of Fraction
        The mean of each cell, whose entries sum to one exactly. Cells with a negligible probability are left out.
    weights : list of Fraction
        The probabilities of the cells, which sum to one exactly. Points and weights are exact if all parameters are 1, and
        otherwise accurate to about 1e-11.

    Raises
    ------
    ValueError
        If there are more than three states, `size` is too large, or the distribution is too concentrated for the lattice.

    Examples
    --------
    >>> points, weights = lattice(Dirichlet(dirichlet=(1, 1, 1)), 2)
    >>> len(points), set(weights)
    (4, {Fraction(1, 4)})
    """
    if distribution.states == 2:
        points, weights = discretised(distribution.as_cdf, Grid(size=size, rule="mean"))
        return [(x, 1 - x) for x in points], weights
    if distribution.states > 3:
        raise ValueError(f"is for {distribution.states} states; a lattice is for two and three")
    if size > FINEST:
        raise ValueError(f"has {size} cells along an edge; a lattice of three states has at most {FINEST}")
    parts = [(weight, *_triangles(parameters, size)) for weight, parameters in distribution.components]
    moments = sum((weight * moment for weight, _, moment in parts), np.zeros((1, 3), dtype=object))
    masses = sum((weight * mass for weight, mass, _ in parts), np.zeros(1, dtype=object))
    kept = [k for k, mass in enumerate(masses) if mass > NEGLIGIBLE]
    total = sum((masses[k] for k in kept), Fraction(0))
    if abs(total - 1) > MISSED:
        raise ValueError(f"is too concentrated for {size} cells along an edge: their masses sum to {float(total):.9g}")
    return [tuple(moments[k] / moments[k].sum()) for k in kept], [masses[k] / total for k in kept]


def _triangles(parameters: Point, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities and first moments of the triangles, object arrays of Fraction of shapes (N,) and (N, 3)."""
    up = [(i, j, size - 1 - i - j) for i in range(size) for j in range(size - i)]
    down = [(i, j, size - 2 - i - j) for i in range(size - 1) for j in range(size - 1 - i)]
    if set(parameters) == {1}:
        third = Fraction(1, 3)
        means = [[(at + third) / size for at in cell] for cell in up] + [
            [(at + 2 * third) / size for at in cell] for cell in down
        ]
        mass = Fraction(1, size**2)
        return np.full(len(means), mass, dtype=object), np.array(means, dtype=object) * mass
    place = np.array(up + down)
    upright = np.arange(len(place)) < len(up)
    alpha = np.array(parameters, dtype=float)
    total = alpha.sum()
    masses = _masses(alpha, place, upright, size)
    # The density times one of the probabilities is proportional to the density of another Dirichlet distribution.
    moments = [alpha[k] / total * _masses(alpha + np.eye(3)[k], place, upright, size) for k in range(3)]
    to_exact = np.frompyfunc(lambda x: exact(float(x)), 1, 1)
    return np.asarray(to_exact(masses)), np.asarray(to_exact(np.column_stack(moments)))


def _masses(alpha: FloatArray, place: np.ndarray, upright: np.ndarray, size: int) -> FloatArray:
    """The probabilities of triangles with a corner at ``place / size``, upright or inverted, under one Dirichlet distribution.

    Given the first probability x, the share of the second in the rest has a beta distribution. The integral over x is computed
    numerically, after a substitution by a power of x that removes an infinite density at 0.
    """
    from scipy.special import betainc, betaincc, betaincinv, betaln

    rest = alpha[1] + alpha[2]
    power = max(1.0, 1 / alpha[0])
    same = max(SAME_INTEGRAL, ROUNDING * alpha.sum())  # the density loses digits because its logarithm is of the parameters' size
    constant = np.log(power) - betaln(alpha[0], rest)
    shift = np.where(upright, 0, 1)
    second, third = (place[:, 1] + shift) / size, (place[:, 2] + shift) / size

    def density(cell: np.ndarray, s: FloatArray) -> FloatArray:
        x = s**power
        left = np.maximum(1 - x, NEGLIGIBLE)  # avoids a division by zero where rounding makes x equal to 1
        one, other = second[cell, None] / left, 1 - third[cell, None] / left
        low, high = np.where(upright[cell, None], one, other), np.where(upright[cell, None], other, one)
        share = betainc(alpha[1], alpha[2], np.clip(high, 0, 1)) - betainc(alpha[1], alpha[2], np.clip(low, 0, 1))
        logarithm = constant + (power * alpha[0] - 1) * np.log(s) + (rest - 1) * np.log(left)
        return np.asarray(np.exp(logarithm) * np.maximum(share, 0))

    mass = np.zeros(len(place))
    top = place[:, 0] == size - 1  # the triangle at the corner where x is 1
    mass[top] = betaincc(alpha[0], rest, 1 - 1 / size)
    cell = np.flatnonzero(~top)
    low, high = ((place[cell, 0] + end) / size for end in (0, 1))
    low, high = low ** (1 / power), high ** (1 / power)
    # A quadrature rule misses a narrow peak between its nodes. Strips are therefore split where the mass is.
    cuts = betaincinv(alpha[0], rest, np.array([TAIL, 1e-3, 0.05, 0.5, 0.95, 1 - 1e-3])) ** (1 / power)
    for cut in cuts:
        inside = (low < cut) & (cut < high)
        cell = np.concatenate([cell, cell[inside]])
        low, high = np.concatenate([low, np.full(inside.sum(), cut)]), np.concatenate([np.where(inside, cut, high), high[inside]])
    while len(cell):
        area, checked = (
            (density(cell, low[:, None] + (high - low)[:, None] * (nodes[0] + 1) / 2) * nodes[1]).sum(axis=1) * (high - low) / 2
            for nodes in (NODES, CHECK)
        )
        right = np.abs(area - checked) <= same * checked + NEGLIGIBLE
        right |= high - low < NARROW
        np.add.at(mass, cell[right], checked[right])
        middle = (low + high) / 2
        cell = np.tile(cell[~right], 2)
        low, high = (np.concatenate(sides) for sides in ((low[~right], middle[~right]), (middle[~right], high[~right])))
    return mass
