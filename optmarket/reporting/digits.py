"""Format numbers for console reports, for tables, and for result files that are compared between machines."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from numbers import Integral, Real
from typing import TYPE_CHECKING

from optmarket.certificates import Certificate, Optimality

if TYPE_CHECKING:
    from optmarket.solution import Solution

SHOWN = 6  # significant digits in console reports and tables
STABLE = 9  # significant digits in result files; further digits differ between machines
OF_ERRORS = 2  # significant digits of an error in result files
LEAST_GAP = 1e-9  # smaller gaps are rounding errors


def number(value: Real | float, digits: int = SHOWN, *, zero: float = 0.0) -> str:
    """Format a number with some significant digits; integers are written in full.

    Parameters
    ----------
    value : number
    digits : int
        The number of significant digits.
    zero : float
        Numbers of at most this absolute value are written as 0.

    Examples
    --------
    >>> number(2 / 3), number(1234567.0), number(1e-17, zero=1e-12)
    ('0.666667', '1234567', '0')
    """
    if isinstance(value, Integral):
        return str(int(value))
    real = float(value)
    if abs(real) <= zero:
        return "0"
    if real.is_integer() and abs(real) < 1e15:
        return str(int(real))
    return f"{real:.{digits}g}"


def rounded(value: float | Fraction, digits: int, rounding: str = ROUND_HALF_EVEN) -> float:
    """Round a number to some significant digits.

    Parameters
    ----------
    value : float or Fraction
    digits : int
        The number of significant digits.
    rounding : str
        A rounding mode of the module `decimal`.

    Examples
    --------
    >>> rounded(0.12345, 3, ROUND_CEILING)
    0.124
    """
    ratio = Fraction(value)
    return float(Context(prec=digits, rounding=rounding).divide(Decimal(ratio.numerator), Decimal(ratio.denominator)))


def bound(value: float, rounding: str, digits: int = STABLE) -> str:
    """Format a bound, rounded away from the bounded value so that it remains valid.

    Parameters
    ----------
    value : float
    rounding : str
        ``ROUND_FLOOR`` for a lower bound, ``ROUND_CEILING`` for an upper bound.
    digits : int
        The number of significant digits.

    Examples
    --------
    >>> bound(2 / 3, ROUND_CEILING)
    '0.666666667'
    """
    return number(rounded(value, digits, rounding), digits)


def in_column(value: float | Fraction, digits: int, rounding: str = ROUND_HALF_EVEN) -> str:
    """Format a number with exactly some significant digits, including trailing zeros; 0 is written as 0.

    Parameters
    ----------
    value : float or Fraction
    digits : int
        The number of significant digits.
    rounding : str
        A rounding mode of the module `decimal`.

    Examples
    --------
    >>> in_column(0.5, 3), in_column(0, 3), in_column(Fraction(1, 3), 3)
    ('0.500', '0', '0.333')
    """
    if value == 0:
        return "0"
    if isinstance(value, float) and math.isinf(value):
        return str(value)
    return f"{rounded(value, digits, rounding):#.{digits}g}".removesuffix(".")


def stable(value: float, unit: float, digits: int = STABLE) -> str:
    """Format a number reproducibly: with some significant digits, but nothing smaller than 1e-9 units.

    Smaller differences are rounding errors of the solver.

    Parameters
    ----------
    value : float
    unit : float
        The scale of the number, for example the payoff scale.
    digits : int
        The number of significant digits.

    Examples
    --------
    >>> stable(0.123456789123, 1.0), stable(1e-12, 1.0)
    ('0.123456789', '0')
    """
    places = STABLE - math.floor(math.log10(unit))
    return f"{round(value, places) + 0.0:.{digits}g}"  # + 0.0 turns -0.0 into 0.0


def unit_of(found: Solution, quantity: str) -> float:
    """The scale of a quantity: the payoff scale if it has the unit of the objective, and 1 otherwise.

    Parameters
    ----------
    found : Solution
    quantity : str
    """
    from optmarket.modeling import registry

    units = registry.get(found.model).units
    return found.audit.unit if units.get(quantity) == units.get(found.objective) else 1.0


def gap(certificate: Certificate) -> str:
    """Format a certified relative gap, or an equilibrium's largest relative gain from a deviation.

    It is rounded upwards to one digit, and is at least 1e-9.

    Examples
    --------
    >>> gap(Optimality.of(0.99, 1.0)), gap(Optimality.of(1.0, 1.0))
    ('0.02', '1e-09')
    """
    value = certificate.gap if isinstance(certificate, Optimality) else certificate.relative_gain
    if math.isinf(value):
        return "inf"
    return f"{LEAST_GAP:g}" if value <= LEAST_GAP else f"{rounded(value, 1, ROUND_CEILING):g}"
