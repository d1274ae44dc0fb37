"""Find the intervals on which the densities of scipy's distributions are monotone, from closed forms for each family."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

INFINITE = math.inf


def _falling(*_: float) -> list[tuple[float, bool]]:
    return [(INFINITE, False)]


def _peak(at: float) -> list[tuple[float, bool]]:
    """A density that rises up to its mode and falls from there."""
    return [(at, True), (INFINITE, False)]


def _peak_at(formula: Callable[..., float]) -> Callable[..., list[tuple[float, bool]]]:
    return lambda *shapes: _peak(formula(*shapes))


def _beta(a: float, b: float) -> list[tuple[float, bool]]:
    if a <= 1 <= b:
        return _falling()
    if b <= 1 <= a:
        return [(INFINITE, True)]
    turn = (a - 1) / (a + b - 2)
    return _peak(turn) if a > 1 else [(turn, False), (INFINITE, True)]


def _power(a: float) -> list[tuple[float, bool]]:
    return [(INFINITE, a > 1)]


def _peak_if(shape_above: float, formula: Callable[..., float]) -> Callable[..., list[tuple[float, bool]]]:
    """A density with an interior mode if its first shape parameter exceeds a threshold, and a falling one otherwise."""
    return lambda *shapes: _peak(formula(*shapes)) if shapes[0] > shape_above else _falling()


# For each family in standard form (loc 0, scale 1), from its shape parameters to the intervals: where each ends, and whether the
# density rises on it. An end at the upper end of the support is written as infinity.
_FAMILIES: dict[str, Callable[..., list[tuple[float, bool]]]] = {
    "arcsine": lambda: [(0.5, False), (INFINITE, True)],
    "beta": _beta,
    "betaprime": _peak_if(1, lambda a, b: (a - 1) / (b + 1)),
    "chi": _peak_if(1, lambda df: math.sqrt(df - 1)),
    "chi2": _peak_if(2, lambda df: df - 2),
    "cosine": _peak_at(lambda: 0.0),
    "erlang": _peak_if(1, lambda a: a - 1),
    "expon": _falling,
    "fisk": _peak_if(1, lambda c: ((c - 1) / (c + 1)) ** (1 / c)),
    "gamma": _peak_if(1, lambda a: a - 1),
    "genpareto": lambda c: [(INFINITE, c < -1)],
    "gompertz": lambda c: _falling() if c >= 1 else _peak(-math.log(c)),
    "gumbel_l": _peak_at(lambda: 0.0),
    "gumbel_r": _peak_at(lambda: 0.0),
    "halflogistic": _falling,
    "halfnorm": _falling,
    "invgauss": _peak_at(lambda mu: 1 / (math.sqrt(1 / mu**2 + 2.25) + 1.5)),
    "invgamma": _peak_at(lambda a: 1 / (a + 1)),
    "invweibull": _peak_at(lambda c: (c / (1 + c)) ** (1 / c)),
    "laplace": _peak_at(lambda: 0.0),
    "logistic": _peak_at(lambda: 0.0),
    "lognorm": _peak_at(lambda s: math.exp(-s * s)),
    "loguniform": _falling,
    "lomax": _falling,
    "maxwell": _peak_at(lambda: math.sqrt(2.0)),
    "nakagami": _peak_if(0.5, lambda nu: math.sqrt((2 * nu - 1) / (2 * nu))),
    "norm": _peak_at(lambda: 0.0),
    "pareto": _falling,
    "powerlaw": _power,
    "rayleigh": _peak_at(lambda: 1.0),
    "reciprocal": _falling,
    "semicircular": _peak_at(lambda: 0.0),
    "t": _peak_at(lambda df: 0.0),
    "triang": _peak_at(lambda c: c),
    "truncexpon": _falling,
    "truncnorm": _peak_at(lambda a, b: 0.0),
    "uniform": _falling,
    "weibull_min": _peak_if(1, lambda c: ((c - 1) / c) ** (1 / c)),
}


def stretches(frozen: Any, low: float, high: float) -> Sequence[tuple[float, bool]] | None:
    """Split an interval where the density of a distribution changes between rising and falling.

    Parameters
    ----------
    frozen : frozen scipy distribution
    low, high : float
        The ends of the interval.

    Returns
    -------
    list of (float, bool), or None
        The end of each part, increasing up to `high`, and whether the density rises on it (a constant density counts as
        falling). None if the module has no formula for the family.

    Examples
    --------
    >>> from scipy.stats import norm
    >>> stretches(norm(), -1.0, 2.0)
    [(0.0, True), (2.0, False)]
    """
    family = _FAMILIES.get(frozen.dist.name)
    if family is None:
        return None
    shapes, loc, scale = frozen.dist._parse_args(*frozen.args, **frozen.kwds)
    found: list[tuple[float, bool]] = []
    for end, rises in family(*map(float, shapes)):
        place = float(loc) + float(scale) * end if math.isfinite(end) else high
        if place >= high:
            return [*found, (high, rises)]
        if place > low:
            found.append((place, rises))
    return found
