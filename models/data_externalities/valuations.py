"""Users whose value of privacy is their secret: payments by report, and what a user gains by reporting something else."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from optmarket.distributions.cdf import PiecewiseLinear
from optmarket.modeling.concave import concave_majorant
from optmarket.models.data_externalities.market import Market
from optmarket.models.data_externalities.virtual import pieces


@dataclass(frozen=True)
class Stretch:
    """Reports of one user between which the platform's choice of sharers does not change.

    Attributes
    ----------
    low, high : number
        Reported values.
    leak, without : number
        What is leaked about the user, and what would be if the user did not share.
    shares : bool
        Whether the user shares.
    """

    low: Any
    high: Any
    leak: Any
    without: Any
    shares: bool


@dataclass(frozen=True)
class Payments:
    """What a user is paid under the two payment rules, and what the best report gains under each.

    Attributes
    ----------
    stated, corrected : number
        Payments at the true value, in payoff units.
    stated_gain, corrected_gain : number
        What the most profitable report gains over the truth, at least 0.
    truthful : bool
        Whether the leak about the user never rises with the reported value, without which no payment makes truth best.
    """

    stated: Any
    corrected: Any
    stated_gain: Any
    corrected_gain: Any
    truthful: bool


def stretches(market: Market, user: int, distribution: PiecewiseLinear) -> list[Stretch]:
    """What the platform chooses by the value that a user reports, the other users' reports being their true values.

    The platform's objective at a virtual value x of the user is linear in x for each profile, so that its choice changes at the
    corners of the largest of these lines.

    Examples
    --------
    >>> from optmarket.models.data_externalities.params import Params
    >>> market = Market.of(Params(covariance=[[1]], privacy_value=1, valuation={"dist": "uniform", "scale": 2}))
    >>> [(str(one.low), str(one.high), one.shares) for one in stretches(market, 0, market.distributions[0])]
    [('0', '1/2', True), ('1/2', '2', False)]
    """
    profiles = market.profiles
    others = np.arange(market.n) != user
    own = profiles.leak[:, user] - profiles.without[:, user]
    rest = (profiles.leak.sum(axis=1) - (profiles.price * others).sum(axis=1)).tolist()
    slope = (-own).tolist()
    lines = _largest_lines(slope, rest, profiles.surplus.tolist())
    exact = market.is_exact
    found: list[Stretch] = []
    for low, high, below, density in pieces(distribution):
        start = low if exact else float(low)
        first = below / density if exact else float(below / density)
        end = high if exact else float(high)
        # the virtual value is start + first at the low end of the piece, and rises by 2 for each unit of value
        for place, (k, _, until) in enumerate(lines):
            limit = end if until is None else (until - first + start) / 2
            here = min(max(limit, start), end)
            if place + 1 == len(lines):
                here = end
            before = found[-1].high if found and found[-1].high > start else start
            if here > before:
                found.append(Stretch(before, here, profiles.leak[k, user], profiles.without[k, user], bool(k >> user & 1)))
    return found


def payments(market: Market, user: int, distribution: PiecewiseLinear) -> Payments:
    """The payments of a user at the true value, by the source's rule and by the corrected one, and the gain of a false report.

    The source pays ``int_v^vmax d(x) dx + v d(v)`` with ``d = I_i(a) - I_i(0, a_-i)``. Its integral leaves out what the report
    changes in the leak that the others cause. Corrected, the user is paid ``v I_i(v) + int_v^vmax I_i(x) dx - vmax I_i(0,
    vmax)``, where a user who refuses is taken to have reported vmax; truth is then best exactly if I_i never rises with the
    report.

    Examples
    --------
    >>> from optmarket.models.data_externalities.params import Params
    >>> given = {"covariance": [[1]], "privacy_value": "1/4", "valuation": {"dist": "uniform", "scale": 2}}
    >>> market = Market.of(Params(**given))
    >>> found = payments(market, 0, market.distributions[0])
    >>> found.stated, found.corrected, found.stated_gain, found.truthful
    (Fraction(1, 4), Fraction(1, 4), Fraction(0, 1), True)
    """
    parts = stretches(market, user, distribution)
    true = market.profiles.value[user]
    top = parts[-1].high
    refused = top * parts[-1].without
    here = next((k for k, one in enumerate(parts) if true <= one.high), len(parts) - 1)

    def at(k: int, report: Any) -> tuple[Any, Any]:
        """What a user is paid who reports a value in stretch k."""
        one = parts[k]
        left = one.high - report
        own = one.leak - one.without
        later = parts[k + 1 :]
        stated = left * own + sum((p.high - p.low) * (p.leak - p.without) for p in later) + report * own
        corrected = report * one.leak + left * one.leak + sum((p.high - p.low) * p.leak for p in later) - refused
        return stated, corrected

    truth = at(here, true)
    # within a stretch payment and leak do not depend on the report
    gains = [
        max(at(k, one.low)[rule] - true * one.leak - (truth[rule] - true * parts[here].leak) for k, one in enumerate(parts))
        for rule in (0, 1)
    ]
    leaks = [one.leak for one in parts]
    tie = 0 if market.is_exact else 1e-12 * float(market.unit)
    falls = all(after <= before + tie for before, after in itertools.pairwise(leaks))
    stated_gain, corrected_gain = (max(gain, gain * 0) for gain in gains)
    return Payments(*truth, stated_gain, corrected_gain, falls)


def _largest_lines(slope: list[Any], height: list[Any], prefer: list[Any]) -> list[tuple[int, Any, Any]]:
    """The lines ``height + slope x`` that are largest somewhere on x >= 0, with where from and until; of equals the preferred."""
    best: dict[Any, int] = {}
    for k, (steep, high) in enumerate(zip(slope, height, strict=True)):
        if steep not in best or (high, prefer[k]) > (height[best[steep]], prefer[best[steep]]):
            best[steep] = k
    # Largest lines are the corners of the concave majorant of (slope, height), passed from steep to flat as x rises.
    corners = concave_majorant([(steep, height[k]) for steep, k in best.items()])
    chosen = [best[steep] for steep, _ in corners]
    meets = [(height[a] - height[b]) / (slope[b] - slope[a]) for a, b in itertools.pairwise(chosen)]
    ends = [*meets, None]
    starts = [None, *meets]
    return [(k, start, end) for k, start, end in zip(chosen, starts, ends, strict=True) if end is None or end > 0]
