"""Numbers of tables that are kept and compared: only digits that do not differ from machine to machine."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Context, Decimal

from optmarket.modeling import registry
from optmarket.solution import Solution

DIGITS = 9
ERROR_DIGITS = 2
LEAST_GAP = 1e-9  # finer ones are rounding


def unit(found: Solution, quantity: str) -> float:
    """What a quantity's rounding compares to: the payoff scale, or 1 if it is no payoff."""
    units = registry.get(found.model).units
    return found.audit.unit if units.get(quantity) == units.get(found.objective) else 1.0


def digits(value: float, unit: float, count: int = DIGITS) -> str:
    """A number to so many significant digits, nothing finer than 1e-9 units: what is finer is the solver's rounding."""
    places = DIGITS - math.floor(math.log10(unit))
    return f"{round(value, places) + 0.0:.{count}g}"  # + 0.0: no minus before a zero


def gap(value: float) -> str:
    """A certified gap to one digit, rounded upwards, and at least 1e-9."""
    if value <= LEAST_GAP:
        return f"{LEAST_GAP:g}"
    return f"{float(Context(prec=1, rounding=ROUND_CEILING).create_decimal(Decimal(value))):g}"
