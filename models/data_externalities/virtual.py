"""Virtual values of users whose value of privacy the platform does not know."""

from __future__ import annotations

from bisect import bisect_left
from fractions import Fraction

from optmarket.distributions.cdf import PiecewiseLinear
from optmarket.errors import ModelError


def pieces(distribution: PiecewiseLinear) -> list[tuple[Fraction, Fraction, Fraction, Fraction]]:
    """The linear pieces of positive density of a cdf: their ends, the cdf at the left end, and the density.

    Examples
    --------
    >>> pieces(PiecewiseLinear((Fraction(0), Fraction(2)), (Fraction(0), Fraction(1))))
    [(Fraction(0, 1), Fraction(2, 1), Fraction(0, 1), Fraction(1, 2))]
    """
    knots, levels = distribution.knots, distribution.levels
    return [
        (low, high, below, (above - below) / (high - low))
        for low, high, below, above in zip(knots, knots[1:], levels, levels[1:], strict=False)
        if above > below
    ]


def virtual_value(distribution: PiecewiseLinear, value: Fraction) -> Fraction:
    """The virtual value ``v + F(v) / f(v)`` of a user who sells.

    Parameters
    ----------
    distribution : PiecewiseLinear
    value : Fraction
        Within the support; where two pieces meet, the density is that of the left one.

    Raises
    ------
    ModelError
        If the value has no density.

    Examples
    --------
    >>> uniform = PiecewiseLinear((Fraction(0), Fraction(2)), (Fraction(0), Fraction(1)))
    >>> virtual_value(uniform, Fraction(1))
    Fraction(2, 1)
    """
    found = pieces(distribution)
    ends = [high for _, high, _, _ in found]
    k = bisect_left(ends, value)
    if k == len(found) or value < found[k][0]:
        low, high = distribution.support
        raise ModelError(
            f"is {value}, where the distribution has no density; its support reaches from {low} to {high}",
            field="params.privacy_value",
        )
    low, _, below, density = found[k]
    return value + (value - low) + below / density
