"""Read distributions of one number from instance files, and discretise them to finitely many types."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    StrictInt,
    Tag,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from optmarket.distributions.cdf import Cdf, PiecewiseLinear, Smooth
from optmarket.errors import InstanceError, ModelError
from optmarket.files import read_table, referenced_in
from optmarket.rationals import Exact, NonnegativeExact, PositiveExact, exact, shown, sized, to_one

_QUARTILES = (Fraction(1, 4), Fraction(1, 2), Fraction(3, 4))
_BY_QUADRATURE = {"gausshyper", "genhyperbolic", "geninvgauss", "levy_stable", "norminvgauss", "studentized_range"}
_FAR = (Fraction(1, 1000), Fraction(999, 1000))
_TELLING = 0.1  # how far the cdf at a computed quartile may be from its level; a narrow distribution has only few floats there

# Files -----------------------------------------------------------------------------------------------------------------


class Step(BaseModel):
    """An interval of constant density."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    start: Exact = Field(alias="from", description="where the stretch begins")
    stop: Exact = Field(alias="to", description="where it ends, above from")
    height: NonnegativeExact = Field(description="the density there, at least 0; all stretches together have mass 1")

    @model_validator(mode="after")
    def _forwards(self) -> Self:
        if self.stop <= self.start:
            raise ValueError(f"goes from {shown(self.start)} to {shown(self.stop)}; to must be above from")
        return self


class Distribution(BaseModel):
    """A distribution of one number: one of scipy's by name, a mixture, a piecewise constant density, or a table of its cdf.

    Examples
    --------
    >>> Distribution(dist="uniform", scale=2).as_cdf.quantiles([Fraction(1, 2)])
    [Fraction(1, 1)]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dist: str | None = Field(
        None, description="a continuous distribution of scipy.stats by name, with its parameters beside it: a, b, loc, scale, ..."
    )
    parameters: dict[str, Exact] = Field({}, description="what scipy calls shapes, loc and scale; written beside dist")
    mixture: tuple[Part, ...] | None = Field(
        None, description="instead: a list of distributions, each with a weight", min_length=1
    )
    density: tuple[Step, ...] | None = Field(
        None, description="instead: a list of stretches { from, to, height } of constant density", min_length=1
    )
    cdf: tuple[tuple[Exact, NonnegativeExact], ...] | None = Field(
        None, description="instead: points [x, F] of the distribution function, linear between them", min_length=2
    )
    cdf_csv: str | None = Field(None, exclude=True, description="instead: a csv file with columns x and F, relative to this one")
    truncate: tuple[Exact, Exact] | None = Field(None, description="cut to this interval, the mass inside made one")

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if data.get("cdf_csv") is not None:
            if data.get("cdf") is not None:
                raise ValueError("gives cdf and cdf_csv; must give one of dist, mixture, density, cdf and cdf_csv")
            if not isinstance(data["cdf_csv"], str):
                raise ValueError('has a cdf_csv that is not the name of a csv file, such as "cdf.csv"')
            data["cdf"] = _cdf_from_csv(referenced_in(info.context, data["cdf_csv"], field="cdf_csv"))
        if "dist" in data and "parameters" not in data:
            others = data.keys() - cls.model_fields.keys()
            data["parameters"] = {name: data.pop(name) for name in sorted(others)}
            for name, value in data["parameters"].items():  # checked here so that messages do not name the field "parameters"
                try:
                    exact(value)
                except ValueError as error:
                    raise ValueError(f"has a {name} that {error}") from error
        return data

    @model_serializer(mode="wrap")
    def _flat(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = handler(self)
        return {**{name: value for name, value in data.items() if name != "parameters"}, **data.get("parameters", {})}

    @field_validator("density")
    @classmethod
    def _density_has_mass_one(cls, steps: tuple[Step, ...] | None) -> tuple[Step, ...] | None:
        if steps is None:
            return None
        steps = tuple(sorted(steps, key=lambda step: step.start))
        for before, after in itertools.pairwise(steps):
            if after.start < before.stop:
                raise ValueError(f"has stretches that overlap between {shown(after.start)} and {shown(before.stop)}")
        masses, _ = to_one([step.height * (step.stop - step.start) for step in steps], "its masses, height x length,")
        return tuple(
            step.model_copy(update={"height": mass / (step.stop - step.start)}) for step, mass in zip(steps, masses, strict=True)
        )

    @field_validator("cdf")
    @classmethod
    def _cdf_rises(cls, points: tuple[tuple[Fraction, Fraction], ...] | None) -> tuple[tuple[Fraction, Fraction], ...] | None:
        if points is None:
            return None
        for (left, low), (right, high) in itertools.pairwise(points):
            if right <= left:
                raise ValueError(f"has x = {shown(right)} after {shown(left)}; x must increase")
            if high < low:
                raise ValueError(f"falls from {shown(low)} to {shown(high)} at x = {shown(right)}; F must not decrease")
        if points[0][1] != 0 or points[-1][1] != 1:
            raise ValueError(f"goes from {shown(points[0][1])} to {shown(points[-1][1])}; F must go from 0 to 1")
        return points

    @field_validator("mixture")
    @classmethod
    def _weights_sum_to_one(cls, parts: tuple[Part, ...] | None) -> tuple[Part, ...] | None:
        if parts is None:
            return None
        weights, _ = to_one([part.weight for part in parts], "weights")
        return tuple(part.model_copy(update={"weight": weight}) for part, weight in zip(parts, weights, strict=True))

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        forms = [name for name in ("dist", "mixture", "density", "cdf") if getattr(self, name) is not None]
        if len(forms) != 1:
            given = " and ".join(forms) or "none"
            raise ValueError(f"gives {given}; must give one of dist, mixture, density, cdf and cdf_csv")
        if self.parameters and self.dist is None:
            raise ValueError(f"has {', '.join(self.parameters)} without dist")
        if self.truncate is not None and self.truncate[0] >= self.truncate[1]:
            low, high = map(shown, self.truncate)
            raise ValueError(f"has truncate from {low} to {high}; the second must be above the first")
        _must_integrate(self.as_cdf)
        return self

    @cached_property
    def as_cdf(self) -> Cdf:
        """The distribution in the form that computations use: exact if the cdf is piecewise linear, otherwise in floats."""
        if self.dist is not None:
            return self._named()
        if self.mixture is not None:
            return self._cut(_mixed([(part.weight, part.as_cdf) for part in self.mixture]))
        if self.density is not None:
            edges = sorted({edge for step in self.density for edge in (step.start, step.stop)})
            heights = {step.start: step.height for step in self.density}
            masses = [heights.get(left, Fraction(0)) * (right - left) for left, right in itertools.pairwise(edges)]
            return self._cut(PiecewiseLinear(tuple(edges), tuple(itertools.accumulate(masses, initial=Fraction(0)))))
        points = self.cdf or ()
        return self._cut(PiecewiseLinear(tuple(x for x, _ in points), tuple(level for _, level in points)))

    def _named(self) -> Cdf:
        import scipy.stats  # imported here because it is slow to import and few markets need it

        family = getattr(scipy.stats, self.dist or "", None)
        if not isinstance(family, scipy.stats.rv_continuous):
            known = [name for name in dir(scipy.stats) if isinstance(getattr(scipy.stats, name), scipy.stats.rv_continuous)]
            near = difflib.get_close_matches(self.dist or "", known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "for instance uniform, beta, truncnorm, expon"
            raise ValueError(f"has dist {shown(self.dist)}, which is no continuous distribution of scipy.stats; {hint}")
        if self.dist in _BY_QUADRATURE:
            raise ValueError(
                f"is {self.dist}, whose distribution function scipy integrates numerically, to fewer digits than bounds need and "
                "too slowly; give it as cdf"
            )
        shapes = [name.strip() for name in (family.shapes or "").split(",") if name.strip()]
        known = [*shapes, "loc", "scale"]
        strange = [name for name in self.parameters if name not in known]
        missing = [name for name in shapes if name not in self.parameters]
        if strange or missing:
            wrong = f"has no parameter {strange[0]}" if strange else f"needs {', '.join(missing)}"
            raise ValueError(f"{wrong}; {self.dist} takes {', '.join(known)}")
        loc, scale = self.parameters.get("loc", Fraction(0)), self.parameters.get("scale", Fraction(1))
        if self.dist == "uniform" and scale > 0:
            return self._cut(PiecewiseLinear((loc, loc + scale), (Fraction(0), Fraction(1))))
        numbers = {name: float(value) for name, value in self.parameters.items()}
        distribution = family(**numbers)
        if not np.less(*distribution.support()):  # scipy returns nan for invalid parameters
            given = ", ".join(f"{name} = {shown(value)}" for name, value in self.parameters.items()) or "no parameters"
            raise ValueError(f"is {self.dist} with {given}, which scipy rejects; see scipy.stats.{self.dist}")
        named = {float(value): value for name, value in self.parameters.items() if name in shapes}  # such as truncnorm's a and b
        ends = map(float, family(**{name: numbers[name] for name in shapes}).support())
        low, high = (loc + scale * named.get(end, exact(end)) if np.isfinite(end) else end for end in ends)
        return self._cut(Smooth(((1.0, distribution, low, high),)))

    def _cut(self, distribution: Cdf) -> Cdf:
        if self.truncate is None:
            return distribution
        low, high = self.truncate
        if isinstance(distribution, PiecewiseLinear):
            below, above = distribution.exact_cdf(low), distribution.exact_cdf(high)
            if above > below:
                knots = [low, *(x for x in distribution.knots if low < x < high), high]
                return PiecewiseLinear(tuple(knots), tuple((distribution.exact_cdf(x) - below) / (above - below) for x in knots))
        else:
            kept = []
            for weight, inner, start, stop in distribution.parts:
                first, last = max(start, low), min(stop, high)
                if first < last:
                    mass = Smooth(((weight, inner, start, stop),)).between(np.array(float(first)), np.array(float(last)))
                    kept.append((float(mass), inner, first, last))
            total = sum(mass for mass, *_ in kept)
            if total > 0:
                return Smooth(tuple((mass / total, *rest) for mass, *rest in kept if mass > 0))
        raise ValueError(f"has no mass between {shown(low)} and {shown(high)}, to which it is truncated")


def _must_integrate(distribution: Cdf) -> None:
    """Check that floats can locate the mass of a distribution and integrate it, so that no solve fails because of it later.

    Raises
    ------
    ValueError
        If not; the message continues a sentence that starts with the field's name.
    """
    if isinstance(distribution, PiecewiseLinear):
        for left, right in itertools.pairwise(distribution.knots):
            if not float(left) < float(right):
                raise ValueError(f"has mass between {shown(left)} and {shown(right)}, which floats do not tell apart")
        sized(max(map(abs, distribution.knots)))
        return
    low, high = distribution.end_of_floats
    middle = distribution.quantiles(list(_QUARTILES))
    found = distribution.cdf(np.array(middle, dtype=float))
    if not (low < high and np.allclose(found, np.array(_QUARTILES, dtype=float), rtol=0, atol=_TELLING)):
        ends = ", ".join(f"{float(at):.3g}" for at in middle)
        raise ValueError(
            f"has quartiles {ends}, which floats cannot tell apart well enough: move its parameters nearer to 1, or give it as "
            "cdf"
        )
    sized(max(map(abs, distribution.quantiles(_FAR))))
    try:
        distribution.cells([low, high])
    except ModelError as error:
        raise ValueError(str(error)) from error


class Part(Distribution):
    """A distribution in a mixture."""

    weight: PositiveExact = Field(description="its share, above 0; the weights sum to 1")


Distribution.model_rebuild()


def _kind(data: Any) -> str:
    """Whether a value from a file is a distribution or a number."""
    return "distribution" if isinstance(data, (dict, Distribution)) else "number"


NumberOrDistribution = Annotated[
    Annotated[Distribution, Tag("distribution")] | Annotated[NonnegativeExact, Tag("number")], Discriminator(_kind)
]


def _mixed(parts: Sequence[tuple[Fraction, Cdf]]) -> Cdf:
    import scipy.stats

    linear = [(weight, distribution) for weight, distribution in parts if isinstance(distribution, PiecewiseLinear)]
    if len(linear) == len(parts):
        knots = tuple(sorted({knot for _, distribution in linear for knot in distribution.knots}))
        return PiecewiseLinear(
            knots, tuple(sum((weight * distribution.exact_cdf(x) for weight, distribution in linear), Fraction(0)) for x in knots)
        )
    smooth: list[tuple[float, Any, Fraction | float, Fraction | float]] = []
    for weight, distribution in parts:
        if isinstance(distribution, Smooth):
            smooth += [(float(weight) * share, *rest) for share, *rest in distribution.parts]
            continue
        stretches = zip(itertools.pairwise(distribution.knots), itertools.pairwise(distribution.levels), strict=True)
        for (left, right), (below, above) in stretches:
            if above > below:
                uniform = scipy.stats.uniform(float(left), float(right - left))
                smooth.append((float(weight * (above - below)), uniform, left, right))
    return Smooth(tuple(smooth))


def _cdf_from_csv(path: Path) -> list[list[Fraction]]:
    """Read the points of a cdf from a csv file with the columns x and F."""
    header, rows = read_table(path)
    if sorted(header) != ["F", "x"]:
        raise InstanceError(f"has columns {', '.join(header)}; must be x and F, separated by a comma", file=str(path))
    points = []
    for line, row in rows:
        try:
            points.append([exact(row["x"]), exact(row["F"])])
        except ValueError as error:
            raise InstanceError(str(error), file=str(path), field=f"line {line}") from error
    return points


# Grids -----------------------------------------------------------------------------------------------------------------


Cells = Annotated[StrictInt, Field(ge=1, le=100_000)]


Rule = Literal["mean", "lower", "upper", "quantile"]


class Grid(BaseModel):
    """How a distribution is discretised: the number of cells, and the type that represents each cell."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Cells = Field(description="number of cells, a whole number from 1 to 100,000")
    rule: Rule = Field(
        default="mean",
        description="the type of a cell: its mean, or its lower or upper edge, in cells of equal length; quantile: its mean, in "
        "cells of equal mass",
    )


def discretised(distribution: Cdf, grid: Grid) -> tuple[list[Fraction], list[Fraction]]:
    """Discretise a distribution to finitely many types; cells with probability zero are left out.

    Parameters
    ----------
    distribution : Cdf
    grid : Grid

    Returns
    -------
    points : list of Fraction
        The types, increasing.
    weights : list of Fraction
        Their probabilities, which sum to one exactly.

    Raises
    ------
    ValueError
        If the grid requires cells of equal length on an unbounded support, or a mean that does not exist.

    Examples
    --------
    >>> discretised(Distribution(dist="uniform").as_cdf, Grid(size=2))
    ([Fraction(1, 4), Fraction(3, 4)], [Fraction(1, 2), Fraction(1, 2)])
    """
    low, high = distribution.support
    if grid.rule == "quantile":
        if isinstance(distribution, Smooth) and not distribution.has_mean:
            raise ValueError(f"has no mean on {low} to {high}, and a type is the mean of its cell; truncate it")
        inner = distribution.quantiles([Fraction(k, grid.size) for k in range(1, grid.size)])
        first, last = distribution.support if isinstance(distribution, PiecewiseLinear) else distribution.end_of_floats
        edges = sorted({first, *inner, last})
    else:
        if not (isinstance(low, Fraction) and isinstance(high, Fraction)):
            raise ValueError(f"has no cells of equal length on {low} to {high}; truncate it, or use the rule quantile")
        edges = [low + (high - low) * Fraction(k, grid.size) for k in range(grid.size + 1)]
    found = [
        (left, right, *cell) for (left, right), cell in zip(itertools.pairwise(edges), distribution.cells(edges), strict=True)
    ]
    found = [cell for cell in found if cell[2] > 0]
    total = sum((mass for _, _, mass, _ in found), Fraction(0))
    points = {"lower": [cell[0] for cell in found], "upper": [cell[1] for cell in found]}.get(
        grid.rule, [min(max(moment / mass, left), right) for left, right, mass, moment in found]
    )
    return points, [mass / total for _, _, mass, _ in found]
