"""Read numbers such as "1/3", 0.25 and 1e-3 exactly as fractions, and convert fractions to floats."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Context, Decimal, InvalidOperation
from fractions import Fraction
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, PlainSerializer, PlainValidator

ONE_TOLERANCE = Fraction(1, 10**9)
SMALLEST_STAKE, LARGEST_STAKE = Fraction(1, 10**150), Fraction(10**150)
LONGEST = 3000  # characters of one number; Python converts integers of at most 4300 digits from and to text

_RATIO = re.compile(r"([+-]?[0-9]+)\s*/\s*([0-9]+)")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
_NOT_FINITE = re.compile(r"[+-]?(s?nan[0-9]*|inf(inity)?)", re.IGNORECASE)

_HOW = 'a number is written 0.25, 1e-3 or "1/3"'
_FITS = "must fit a double, in size at most about 1.79e308 and, if not 0, at least about 5e-324"


def shown(value: object) -> str:
    """Format a value for an error message: short, and in the terms of an instance file rather than of Python.

    Parameters
    ----------
    value : object
        Any value from a file or a caller. A long fraction is shown with 12 significant digits.

    Returns
    -------
    str
        For example ``'abc'``, ``1/3``, ``true``, ``a list`` or ``a table``.

    Examples
    --------
    >>> shown(Fraction(1, 3)), shown(True), shown([1, 2])
    ('1/3', 'true', 'a list')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:37] + "...")
    if isinstance(value, (int, Fraction)) and max(abs(value.numerator), value.denominator) >= 10**12:
        # The division is in decimal arithmetic, because the number may be beyond the range of doubles.
        quotient = Context(prec=12).divide(Decimal(value.numerator), Decimal(value.denominator))
        return str(quotient.normalize()).lower()
    if isinstance(value, (int, float, Decimal, Fraction, np.number)):
        text = str(value).lower()
        return text if len(text) <= 40 else text[:37] + "..."
    if isinstance(value, (list, tuple, np.ndarray)):
        return "a list"
    if isinstance(value, dict):
        return "a table"
    return f"of type {type(value).__name__}"


def exact(value: object) -> Fraction:
    """Read a number exactly.

    Parameters
    ----------
    value : int, float, Decimal, Fraction or str
        Text is ``p/q`` or a decimal with or without an exponent. A float is read as its shortest decimal representation, so that
        0.1 is 1/10.

    Returns
    -------
    Fraction
        The number. Its conversion to float is finite, and 0 only if the number is 0.

    Raises
    ------
    ValueError
        If the value is not a number, not finite, or beyond the range of doubles. The message continues a sentence that starts
        with the field's name.

    Examples
    --------
    >>> exact("1/3"), exact(0.1)
    (Fraction(1, 3), Fraction(1, 10))
    """
    if isinstance(value, (bool, np.bool_)):
        raise ValueError(f"is {shown(bool(value))}; {_HOW}")
    if isinstance(value, (int, np.integer)):
        return _fitting(Fraction(int(value)), shown(int(value)))
    if isinstance(value, Fraction):
        return _fitting(value, shown(value))
    if isinstance(value, (float, np.floating)):
        return _read(repr(float(value)), shown(value))
    if isinstance(value, Decimal):
        return _read(str(value), shown(value))
    if isinstance(value, str):
        return _read(value.strip(), shown(value))
    raise ValueError(f"is {shown(value)}; {_HOW}")


def _read(text: str, name: str) -> Fraction:
    if len(text) > LONGEST:
        raise ValueError(f"is a number of {len(text)} characters; at most {LONGEST} are read")
    if ratio := _RATIO.fullmatch(text):
        numerator, denominator = int(ratio[1]), int(ratio[2])
        if denominator == 0:
            raise ValueError(f"is {name}, a division by zero; {_HOW}")
        return _fitting(Fraction(numerator, denominator), name)
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"is {name}; must be finite")
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"is {name}; {_HOW}")
    try:
        decimal = Decimal(text)
    except InvalidOperation:  # the exponent is beyond the range of Decimal
        raise ValueError(f"is {name}; {_FITS}") from None
    if not decimal:
        return Fraction(0)
    # The exponent is checked before any power of ten is computed, because 10**999999999 would exhaust the memory.
    if not -324 <= decimal.adjusted() <= 308:
        raise ValueError(f"is {name}; {_FITS}")
    return _fitting(Fraction(decimal), name)


def _fitting(number: Fraction, name: str) -> Fraction:
    try:
        fits = float(number) != 0 or number == 0
    except OverflowError:
        fits = False
    if not fits:
        raise ValueError(f"is {name}; {_FITS}")
    return number


def _nonnegative(value: Fraction) -> Fraction:
    if value < 0:
        raise ValueError(f"is {shown(value)}; must be at least 0")
    return value


def _positive(value: Fraction) -> Fraction:
    if value <= 0:
        raise ValueError(f"is {shown(value)}; must be above 0")
    return value


# Field types for pydantic models: anything that `exact` reads, stored as a Fraction and serialised as "p/q".
Exact = Annotated[Fraction, PlainValidator(exact), PlainSerializer(str, return_type=str)]
NonnegativeExact = Annotated[Exact, AfterValidator(_nonnegative)]
PositiveExact = Annotated[Exact, AfterValidator(_positive)]


def sized(value: Fraction) -> None:
    """Check that a payoff is of a size at which sums and products of payoffs neither overflow nor underflow in floats.

    Parameters
    ----------
    value : Fraction
        In payoff units.

    Raises
    ------
    ValueError
        If it is neither 0 nor between 1e-150 and 1e150 in absolute value. The message continues a sentence that starts with the
        field's name.

    Examples
    --------
    >>> sized(Fraction(3))
    """
    if value and not SMALLEST_STAKE <= abs(value) <= LARGEST_STAKE:
        raise ValueError(f"is {shown(value)}; must be 0 or in size within 1e-150 to 1e150: choose another unit")


def to_one(values: Sequence[Fraction], what: str) -> tuple[list[Fraction], Fraction]:
    """Normalise values to sum to one exactly, if their sum is within 1e-9 of one.

    Parameters
    ----------
    values : sequence of Fraction
        The numbers as written.
    what : str
        Their name in the plural for the message, for example ``weights``.

    Returns
    -------
    values : list of Fraction
        The values divided by their sum; unchanged if they sum to one.
    missed : Fraction
        The distance between one and the sum of the values as written.

    Raises
    ------
    ValueError
        If the sum differs from one by more than 1e-9.

    Examples
    --------
    >>> to_one([Fraction(1, 4), Fraction(3, 4)], "weights")
    ([Fraction(1, 4), Fraction(3, 4)], Fraction(0, 1))
    """
    total = sum(values, Fraction(0))
    missed = abs(total - 1)
    if missed == 0:
        return list(values), missed
    if missed <= ONE_TOLERANCE:
        return [value / total for value in values], missed
    raise ValueError(f"{what} sum to {shown(total)}; must sum to 1")


def floats(values: object) -> NDArray[np.float64]:
    """Convert exact numbers to the nearest doubles, elementwise.

    Parameters
    ----------
    values : Fraction, array of objects or nested lists
        Numbers of any shape; nested lists must be rectangular.

    Returns
    -------
    ndarray of float64
        An array of the same shape.

    Examples
    --------
    >>> floats([Fraction(1, 4), Fraction(3, 4)]).tolist()
    [0.25, 0.75]
    """
    # numpy calls float() on each element of an object array, and float() of a Fraction is correctly rounded.
    return np.asarray(values, dtype=object).astype(np.float64)


def matrix_product(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Compute the matrix product of arrays of floats or of exact numbers.

    Exact numbers are brought to a common denominator in each row of `a` and in each column of `b`, so that what is multiplied
    and added are integers. This takes a small part of the time of the same operations on Fractions, each of which reduces its
    result to lowest terms. (numpy's own product of arrays of objects does not stop at a Ctrl-C either.)

    Parameters
    ----------
    a : array, shape (m, k)
    b : array, shape (k, n)
        Floats; or arrays of objects that are Fractions, integers or floats.

    Returns
    -------
    array, shape (m, n)
        Fractions if no entry is a float; otherwise floats, each entry of `a` and of `b` rounded once.

    Examples
    --------
    >>> matrix_product(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]])).tolist()
    [[11.0]]
    >>> matrix_product(np.array([[Fraction(1, 2), Fraction(1, 3)]]), np.array([[3], [4]], dtype=object)).tolist()
    [[Fraction(17, 6)]]
    """
    if _holds_floats(a) or _holds_floats(b):
        return np.asarray(a.astype(np.float64, copy=False) @ b.astype(np.float64, copy=False))
    rows, row_denominator = _common_denominators(a)
    columns, column_denominator = _common_denominators(b.T)
    numerator = (rows[:, :, None] * columns.T[None]).sum(axis=1)
    product = np.empty(numerator.shape, dtype=object)
    for i, below in enumerate(row_denominator):
        product[i] = [Fraction(above, below * d) for above, d in zip(numerator[i].tolist(), column_denominator, strict=True)]
    return product


def _holds_floats(a: NDArray[Any]) -> bool:
    return a.dtype != object or any(isinstance(x, float) for x in a.flat)


def _common_denominators(rows: NDArray[Any]) -> tuple[NDArray[Any], list[int]]:
    """The integers that each row is over its least common denominator, and these denominators."""
    given = rows.tolist()
    denominators = [math.lcm(*(x.denominator for x in row)) for row in given]
    integers = [[x.numerator * (d // x.denominator) for x in row] for row, d in zip(given, denominators, strict=True)]
    return np.array(integers, dtype=object).reshape(rows.shape), denominators


def written_floats(values: object) -> NDArray[np.float64]:
    """Convert numbers as they are written in a file, including text such as "1/3", to the nearest doubles.

    Parameters
    ----------
    values : number, text or nested lists
        Nested lists must be rectangular.

    Returns
    -------
    ndarray of float64
        An array of the same shape.

    Raises
    ------
    ValueError
        If one of them is not a number: see `exact`.

    Examples
    --------
    >>> written_floats([[1, 0], ["1/4", 0.75]]).tolist()
    [[1.0, 0.0], [0.25, 0.75]]
    """
    given = np.asarray(values, dtype=object)
    return floats(np.array([exact(value) for value in given.ravel()], dtype=object).reshape(given.shape))


def around(value: Fraction) -> tuple[float, float]:
    """Enclose a number between adjacent floats.

    Parameters
    ----------
    value : Fraction

    Returns
    -------
    lower, upper : float
        The largest float that is at most the number, and the smallest that is at least the number.

    Examples
    --------
    >>> around(Fraction(1, 4))
    (0.25, 0.25)
    """
    nearest = float(value)
    lower = nearest if value >= Fraction(nearest) else math.nextafter(nearest, -math.inf)
    return lower, nearest if value <= Fraction(nearest) else math.nextafter(nearest, math.inf)
