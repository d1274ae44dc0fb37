"""Distributions of several probabilities that sum to one, as instance files describe them, and types made from them."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Annotated, Any, Self

import numpy as np
import scipy.stats
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from scipy.special import betainc, betaincc, betaincinv, betaln

from optmarket.distributions.cdf import Law, Smooth
from optmarket.distributions.specification import Distribution, Grid, discretised
from optmarket.lp.program import FloatArray
from optmarket.rationals import PositiveExact, exact, to_one

NODES = np.polynomial.legendre.leggauss(10)
CHECK = np.polynomial.legendre.leggauss(16)
SAME_INTEGRAL = 1e-12
NEGLIGIBLE = 1e-16  # of a mass
ROUNDING = 1e-15
NARROW = 1e-15
MISSED = 1e-9
FINEST = 200
TAIL = 1e-12
Point = tuple[Fraction, ...]
Exponents = Annotated[tuple[PositiveExact, ...], Field(min_length=2)]

# Files -----------------------------------------------------------------------------------------------------------------


class Component(BaseModel):
    """A Dirichlet distribution in a mixture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: PositiveExact = Field(description="its share, above 0; the weights sum to 1")
    dirichlet: Exponents = Field(description="its parameters, one a state, each above 0")


class Dirichlet(BaseModel):
    """A distribution of the probabilities of two or more states: Dirichlet, or a mixture of such."""

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
        """Weights and parameters; a single distribution is a mixture of one."""
        if self.mixture is not None:
            return tuple((part.weight, part.dirichlet) for part in self.mixture)
        assert self.dirichlet is not None
        return ((Fraction(1), self.dirichlet),)

    @property
    def states(self) -> int:
        """How many probabilities there are."""
        return len(self.components[0][1])

    @cached_property
    def law(self) -> Law:
        """The distribution of the first probability."""
        if self.states > 2:
            return Smooth(tuple((float(weight), *_share(parameters)) for weight, parameters in self.components))
        parts = [{"weight": weight, "dist": "beta", "a": a, "b": b} for weight, (a, b) in self.components]
        return Distribution.model_validate({"mixture": parts}).law


@lru_cache(maxsize=32)
def sticks(parameters: Point) -> tuple[Law, ...]:
    """Of a Dirichlet distribution: each probability's share of what those before it leave; the shares are independent."""
    return tuple(Smooth(((1.0, *_share(parameters[k:])),)) for k in range(len(parameters) - 1))


def _share(parameters: Point) -> tuple[Any, Fraction, Fraction]:
    """The first probability's distribution and its ends. That its mass may lie within a float's rounding of 1 does no harm."""
    return scipy.stats.beta(float(parameters[0]), float(sum(parameters[1:]))), Fraction(0), Fraction(1)


# Types -----------------------------------------------------------------------------------------------------------------


def boxes(law: Dirichlet, size: int) -> list[tuple[Point, Fraction]]:
    """Finitely many types in place of a distribution on the simplex, of any number of states: means and weights of boxes.

    Boxes next to without mass are left out; the weights sum to one exactly.

    Parameters
    ----------
    law : Dirichlet
    size : int
        Intervals into which each of the independent shares of `sticks` is cut.
    """
    found = []
    for share, parameters in law.components:
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


def lattice(law: Dirichlet, size: int) -> tuple[list[Point], list[Fraction]]:
    """Finitely many types in place of a distribution on the simplex of two or three states: means of small simplices, all alike.

    Parameters
    ----------
    law : Dirichlet
    size : int
        Small simplices along an edge: ``size ** (states - 1)`` in all; those without mass are left out.

    Returns
    -------
    points, weights : list
        Probabilities of the states, each summing to one exactly; so do the weights. Exact if all parameters are 1, else
        integrated to about 1e-11.

    Raises
    ------
    ValueError
        If there are more states, the lattice is too fine, or the distribution too concentrated for it.
    """
    if law.states == 2:
        points, weights = discretised(law.law, Grid(size=size, rule="mean"))
        return [(x, 1 - x) for x in points], weights
    if law.states > 3:
        raise ValueError(f"is for {law.states} states; a lattice is for two and three")
    if size > FINEST:
        raise ValueError(f"has {size} cells along an edge; a lattice of three states has at most {FINEST}")
    parts = [(weight, *_triangles(parameters, size)) for weight, parameters in law.components]
    moments = sum((weight * moment for weight, _, moment in parts), np.zeros((1, 3), dtype=object))
    masses = sum((weight * mass for weight, mass, _ in parts), np.zeros(1, dtype=object))
    kept = [k for k, mass in enumerate(masses) if mass > NEGLIGIBLE]
    total = sum((masses[k] for k in kept), Fraction(0))
    if abs(total - 1) > MISSED:
        raise ValueError(f"is too concentrated for {size} cells along an edge: their masses sum to {float(total):.9g}")
    return [tuple(moments[k] / moments[k].sum()) for k in kept], [masses[k] / total for k in kept]


def _triangles(parameters: Point, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Masses and first moments of the triangles, shapes (N,) and (N, 3), objects that are Fractions."""
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
    # the density times a probability is that of another Dirichlet distribution
    moments = [alpha[k] / total * _masses(alpha + np.eye(3)[k], place, upright, size) for k in range(3)]
    to_exact = np.frompyfunc(lambda x: exact(float(x)), 1, 1)
    return np.asarray(to_exact(masses)), np.asarray(to_exact(np.column_stack(moments)))


def _masses(alpha: FloatArray, place: np.ndarray, upright: np.ndarray, size: int) -> FloatArray:
    """Masses of the triangles with a corner at ``place / size``, upright or turned over, under one Dirichlet distribution.

    Along lines of one first probability x the second one's share of the rest is beta; over x the masses are integrated
    numerically, in a power of x that takes away an infinite density at 0.
    """
    rest = alpha[1] + alpha[2]
    power = max(1.0, 1 / alpha[0])
    same = max(SAME_INTEGRAL, ROUNDING * alpha.sum())  # a logarithm as large as the parameters loses digits of the density
    constant = np.log(power) - betaln(alpha[0], rest)
    shift = np.where(upright, 0, 1)
    second, third = (place[:, 1] + shift) / size, (place[:, 2] + shift) / size

    def density(cell: np.ndarray, s: FloatArray) -> FloatArray:
        x = s**power
        left = np.maximum(1 - x, NEGLIGIBLE)  # of a strip that rounding leaves no width
        one, other = second[cell, None] / left, 1 - third[cell, None] / left
        low, high = np.where(upright[cell, None], one, other), np.where(upright[cell, None], other, one)
        share = betainc(alpha[1], alpha[2], np.clip(high, 0, 1)) - betainc(alpha[1], alpha[2], np.clip(low, 0, 1))
        logarithm = constant + (power * alpha[0] - 1) * np.log(s) + (rest - 1) * np.log(left)
        return np.asarray(np.exp(logarithm) * np.maximum(share, 0))

    mass = np.zeros(len(place))
    top = place[:, 0] == size - 1  # the corner, where x comes to 1
    mass[top] = betaincc(alpha[0], rest, 1 - 1 / size)
    cell = np.flatnonzero(~top)
    low, high = ((place[cell, 0] + end) / size for end in (0, 1))
    low, high = low ** (1 / power), high ** (1 / power)
    # a narrow peak lies between the nodes of a wide strip: so strips are cut where the mass is
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
