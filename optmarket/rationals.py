"""Exact numbers: what a person writes ("1/3", 0.25, 1e-3) is read as the fraction it names, with floats beside it."""

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
LONGEST = 3000  # characters of one number: keeps fractions below the 4300 digits Python reads and writes in an integer

_RATIO = re.compile(r"([+-]?[0-9]+)\s*/\s*([0-9]+)")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
_NOT_FINITE = re.compile(r"[+-]?(s?nan[0-9]*|inf(inity)?)", re.IGNORECASE)

_HOW = 'a number is written 0.25, 1e-3 or "1/3"'
_FITS = "must fit a double, in size at most about 1.79e308 and, if not 0, at least about 5e-324"


def shown(value: object) -> str:
    """A value as an error message names it: short, in the words of an instance file rather than Python's.

    Parameters
    ----------
    value : object
        Anything a file or a caller may hand over; a long fraction is shown by 12 significant digits.

    Returns
    -------
    str
        For instance ``'abc'``, ``1/3``, ``true``, ``a list`` or ``a table``.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:37] + "...")
    if isinstance(value, (int, Fraction)) and max(abs(value.numerator), value.denominator) >= 10**12:
        # Divided in decimals, as the number may not fit a double.
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
        Text is ``p/q``, a decimal or one with an exponent. A float counts as the shortest decimal that names it: 0.1 is 1/10.

    Returns
    -------
    Fraction
        The number itself; its float is finite, and 0 only if the number is.

    Raises
    ------
    ValueError
        If the value is not a number, not finite, or does not fit a double. The message continues a sentence that starts
        with the field's name.
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
    except InvalidOperation:  # an exponent beyond what even Decimal holds
        raise ValueError(f"is {name}; {_FITS}") from None
    if not decimal:
        return Fraction(0)
    # The exponent is judged before any power of ten is formed: 10**999999999 would eat the memory.
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


# Field types for pydantic models: anything `exact` reads, kept as a Fraction, dumped as "p/q".
Exact = Annotated[Fraction, PlainValidator(exact), PlainSerializer(str, return_type=str)]
NonnegativeExact = Annotated[Exact, AfterValidator(_nonnegative)]
PositiveExact = Annotated[Exact, AfterValidator(_positive)]


def sized(value: Fraction) -> None:
    """Fail unless what is at stake, in payoff units, is of a size at which products and sums of payoffs are floats too.

    Raises
    ------
    ValueError
        If it is neither 0 nor within 1e-150 to 1e150. The message continues a sentence that starts with the field's name.
    """
    if value and not SMALLEST_STAKE <= abs(value) <= LARGEST_STAKE:
        raise ValueError(f"is {shown(value)}; must be 0 or in size within 1e-150 to 1e150: choose another unit")


def to_one(values: Sequence[Fraction], what: str) -> tuple[list[Fraction], Fraction]:
    """Values that must sum to one.

    Parameters
    ----------
    values : sequence of Fraction
        The numbers as written.
    what : str
        Their name in a message, in the plural: ``weights``.

    Returns
    -------
    values : list of Fraction
        As given if they sum to one, and divided by their sum if that is within 1e-9 of one; they sum to one exactly.
    missed : Fraction
        By how much the numbers as written miss the sum one; 0 if they were left as given.

    Raises
    ------
    ValueError
        If they sum to anything else.
    """
    total = sum(values, Fraction(0))
    missed = abs(total - 1)
    if missed == 0:
        return list(values), missed
    if missed <= ONE_TOLERANCE:
        return [value / total for value in values], missed
    raise ValueError(f"{what} sum to {shown(total)}; must sum to 1")


def floats(values: object) -> NDArray[np.float64]:
    """The doubles nearest to exact numbers, element by element.

    Parameters
    ----------
    values : Fraction, array of objects or nested lists
        Numbers of any shape; nested lists must be rectangular.

    Returns
    -------
    ndarray of float64
        Of the same shape.
    """
    # An object array is converted by float() on each element, and Fraction's float is correctly rounded.
    return np.asarray(values, dtype=object).astype(np.float64)


def matrix_product(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """The matrix product of floats or Fractions.

    numpy's own goes on through all entries when one of them fails, as each does once Ctrl-C is pressed within an operation on
    Fractions: then the interrupt is lost in a chain of errors. Elementwise operations stop at once.

    Parameters
    ----------
    a : array, shape (m, k)
    b : array, shape (k, n)

    Returns
    -------
    array, shape (m, n)
    """
    if a.dtype != object and b.dtype != object:
        return np.asarray(a @ b)
    return np.asarray((a[:, :, None] * b[None]).sum(axis=1))


def written_floats(values: object) -> NDArray[np.float64]:
    """The doubles nearest to numbers as a file writes them, "1/3" among them.

    Parameters
    ----------
    values : number, text or nested lists
        Nested lists must be rectangular.

    Returns
    -------
    ndarray of float64
        Of the same shape.

    Raises
    ------
    ValueError
        If one of them is no number: see `exact`.

    Examples
    --------
    >>> written_floats([[1, 0], ["1/4", 0.75]]).tolist()
    [[1.0, 0.0], [0.25, 0.75]]
    """
    given = np.asarray(values, dtype=object)
    return floats(np.array([exact(value) for value in given.ravel()], dtype=object).reshape(given.shape))


def around(value: Fraction) -> tuple[float, float]:
    """The nearest floats on either side of a number, the same one twice if it is a float."""
    nearest = float(value)
    lower = nearest if value >= Fraction(nearest) else math.nextafter(nearest, -math.inf)
    return lower, nearest if value <= Fraction(nearest) else math.nextafter(nearest, math.inf)
