"""Two states, matching payoffs and a whole distribution of beliefs: the optimal menu by concave envelopes, enclosed."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from optmarket.distributions import Distribution
from optmarket.errors import ModelError
from optmarket.laws import Law
from optmarket.maxima import Product, largest
from optmarket.models._selling_information_fields import Params
from optmarket.models._selling_information_market import Market
from optmarket.models._selling_information_menu import NOTHING, TIE, Menu, of_cheapest
from optmarket.models._selling_information_segment import Segment, Served, serve
from optmarket.numbers import exact
from optmarket.program import FloatArray, IntArray
from optmarket.solution import Answer, Audit, Certificate, Claim, Options, Status

POINTS = 4096  # at which the envelopes are first taken
ROUNDS = 4  # each time 128 times finer around what matters
FINER = 128
NEARBY = 256
SAME = 1e-6  # cut-offs closer than that are one
ROUNDING = 1e-15
CLOSE = 1e-9  # to the upper bound: no further discount is tried
DISCOUNTS = (0.0, *(10.0**-k for k in range(14, 3, -2)))


@dataclass(frozen=True)
class Envelopes:
    """Where the best sum of two envelopes at a common mean is reached.

    Attributes
    ----------
    rising : tuple of (belief, mass)
        From these beliefs in the first state on, buyers are told more of that state.
    falling : tuple of (belief, mass)
        From these on they are told less of the second state.
    multiplier : float
        Of the condition that the means agree.
    """

    rising: tuple[tuple[float, float], ...]
    falling: tuple[tuple[float, float], ...]
    multiplier: float


def envelopes(law: Law) -> Envelopes:
    """The best two measures of mass one, the means of y and 1 - z agreeing.

    Mass at y earns ``y Pr(theta > y)``, mass at z ``-(1 - z) Pr(theta > z)``.

    Parameters
    ----------
    law : Law
        Of the belief theta in the first state.
    """
    y = x = np.linspace(0, 1, POINTS + 1)
    step = 1 / POINTS
    for _ in range(ROUNDS):
        gain, cost = y * (1 - law.cdf(y)), -x * (1 - law.cdf(1 - x))
        top, bottom = _hull(y, gain), _hull(x, cost)
        means = np.union1d(y[top], x[bottom])
        total = np.interp(means, y[top], gain[top]) + np.interp(means, x[bottom], cost[bottom])
        mean = float(means[total.argmax()])
        rise, fall = _stretch(y, gain, top, mean), _stretch(x, cost, bottom, mean)
        step /= FINER
        y, x = (_refined(points, (found[0], found[1], mean), step) for points, found in ((y, rise), (x, fall)))
    # a vertex of one envelope lies inside a stretch of the other, whose slope is the multiplier
    multiplier = rise[2] if rise[1] - rise[0] >= fall[1] - fall[0] else -fall[2]
    return Envelopes(
        _split(rise[0], rise[1], mean), tuple((1 - at, mass) for at, mass in _split(fall[0], fall[1], mean)), multiplier
    )


def _hull(x: FloatArray, y: FloatArray) -> IntArray:
    """Places of the break points of the least concave function above some points, from left to right."""
    places: list[int] = []
    for k in range(len(x)):
        while len(places) >= 2:
            i, j = places[-2:]
            if (y[j] - y[i]) * (x[k] - x[i]) > (y[k] - y[i]) * (x[j] - x[i]):
                break
            places.pop()
        places.append(k)
    return np.array(places)


def _stretch(x: FloatArray, y: FloatArray, hull: IntArray, at: float) -> tuple[float, float, float]:
    """Ends and slope of an envelope's stretch that holds a point."""
    k = min(max(int(np.searchsorted(x[hull], at)), 1), len(hull) - 1)
    left, right = hull[k - 1], hull[k]
    return float(x[left]), float(x[right]), float((y[right] - y[left]) / (x[right] - x[left]))


def _refined(points: FloatArray, around: tuple[float, ...], step: float) -> FloatArray:
    near = np.concatenate([centre + step * np.arange(-NEARBY, NEARBY + 1) for centre in around])
    return np.union1d(points, near[(near >= 0) & (near <= 1)])


def _split(left: float, right: float, mean: float) -> tuple[tuple[float, float], ...]:
    """A mean as masses on two points, or on one if they are the same."""
    if right - left < SAME:
        return ((mean, 1.0),)
    share = (mean - left) / (right - left)
    return tuple((at, mass) for at, mass in ((left, 1 - share), (right, share)) if mass > ROUNDING)


def ceiling(law: Law, multiplier: float) -> float:
    """What no menu exceeds when the value is 1, for any multiplier: both maxima are global, and enclosed."""
    price, whole = exact(multiplier), (Fraction(0), Fraction(1))
    gain = largest(law, Product(Fraction(0), Fraction(1), 1 - price, Fraction(-1)), whole)
    cost = largest(law.mirrored(), Product(Fraction(0), Fraction(1), price, Fraction(-1)), whole)
    return float(gain.upper) + float(cost.upper) + ROUNDING


def menu_of(found: Envelopes) -> tuple[FloatArray, FloatArray]:
    """The items along the beliefs, experiments of shape (M, 2, 2) and prices for value 1.

    With (p, q) the chances that each state is named, an item's price rises by y times what p rises at y, and falls by 1 - z times
    what q falls at z.
    """
    events = sorted([*((at, mass, 0.0) for at, mass in found.rising), *((at, 0.0, mass) for at, mass in found.falling)])
    first, second, price = 0.0, 1.0, 0.0
    items: list[tuple[float, float, float]] = []
    for at, more, less in events:
        first, second, price = first + more, second - less, price + at * more - (1 - at) * less
        items.append((min(first, 1.0), max(second, 0.0), price))
    sold = [item for item in items if item[2] > ROUNDING]
    experiment = np.array([[[p, 1 - p], [1 - q, q]] for p, q, _ in sold]).reshape(-1, 2, 2)
    return experiment, np.array([price for *_, price in sold])


def value_of(params: Params) -> Fraction:
    """What all payoffs are multiplied by."""
    assert not isinstance(params.value, Distribution)
    return Fraction(1) if params.value is None else params.value


def segment(params: Params) -> Segment:
    """The beliefs of a distribution as a segment of types."""
    assert params.belief is not None
    value = float(value_of(params))
    start, slope = np.array([[0.0], [1.0]]), np.array([[1.0], [-1.0]])
    return Segment(params.belief.law, start, slope, value * np.eye(2))


def solve(params: Params, options: Options) -> Answer:
    """The optimal menu and its bounds: the multiplier proves the upper one, the menu itself the lower one.

    Raises
    ------
    ModelError
        If an exact proof is asked for.
    """
    if options.exact:
        raise ModelError("is a distribution, computed in floats; leave exact out, or give grid", field="params.belief")
    start = time.perf_counter()
    types = segment(params)
    value = float(types.payoff[0, 0])
    found = envelopes(types.law)
    upper = value * ceiling(types.law, found.multiplier)
    experiment, price = menu_of(found)
    price = price * value

    def surely(share: float) -> float:
        return serve(types, experiment, price * (1 - share), ROUNDING * value, for_seller=False).revenue

    lower, share = -1.0, 0.0
    for cut in DISCOUNTS:
        lower, share = max((lower, share), (surely(cut), cut))
        if lower >= (1 - 2 * max(cut, CLOSE)) * upper:
            break  # a larger cut only costs
    menu = Menu(experiment, price * (1 - share))
    lower = max(0.0, min(lower - ROUNDING * value, upper))
    mechanism = menu.as_mechanism()
    scale = max(float(typical(params).scale), abs(upper))
    gap = (upper - lower) / scale
    reached = gap <= options.wanted
    return Answer(
        status=Status.OPTIMAL if reached else Status.GAP,
        mechanism=mechanism,
        quantities=quantities(params, mechanism),
        certificate=Certificate(lower, upper, gap),
        method="envelope",
        notes=("bounds as accurate as the distribution function, which is computed in floats",),
        run={"seconds": time.perf_counter() - start, "multiplier": found.multiplier},
    )


def typical(params: Params) -> Market:
    """A market of one type with the same states, actions and payoffs: what a mechanism must fit, and the payoff scale."""
    return Market.typical(params, value_of(params))


def on_segment(params: Params, mechanism: Mapping[str, Any]) -> Served:
    """Who buys what from a menu, over all beliefs.

    Raises
    ------
    InstanceError
        If it is no menu, or one with an assignment.
    """
    menu = Menu.posted(typical(params), mechanism)
    return serve(segment(params), menu.experiment, menu.price, TIE)


def outcome(params: Params, mechanism: Mapping[str, Any]) -> dict[str, float]:
    """What a menu brings about, over all beliefs.

    Raises
    ------
    InstanceError
        As `on_segment`.
    """
    found = on_segment(params, mechanism)
    menu = Menu.read(typical(params), mechanism)
    sold = np.setdiff1d(found.item[found.mass > 0], NOTHING)
    return {**found.outcome, **of_cheapest(menu.experiment, menu.price, sold)}


def quantities(params: Params, mechanism: Mapping[str, Any]) -> dict[str, float]:
    """Named scalars of what a menu does over all beliefs."""
    single, price = posted_price(params)
    return {
        **outcome(params, mechanism),
        "full-information-revenue": single,
        "full-information-price": price,
        "first-best": first_best(params),
    }


def posted_price(params: Params) -> tuple[float, float]:
    """What full information alone earns at the best price found on a fine grid, and that price."""
    types = segment(params)
    value = float(types.payoff[0, 0])
    low, high = 0.0, 0.5
    for _ in range(ROUNDS):
        prices = np.linspace(low, high, POINTS + 1)
        revenue = prices * (types.law.cdf(1 - prices) - types.law.cdf(prices))
        best = int(revenue.argmax())
        low, high = prices[max(best - 1, 0)], prices[min(best + 1, POINTS)]
    return float(revenue[best]) * value, float(prices[best]) * value


def first_best(params: Params) -> float:
    """What full information is worth to all."""
    types = segment(params)
    half = Fraction(1, 2)
    (_, low), (mass, moment) = types.law.cells([Fraction(0), half, Fraction(1)])
    return float(low + mass - moment) * float(types.payoff[0, 0])


def theory(params: Params) -> list[Claim]:
    """Bounds on the optimum that take no optimisation of menus."""
    single, _ = posted_price(params)
    return [
        Claim("revenue", repr(single), "lower", "proved", "full information alone at a posted price", 1e-9),
        Claim("revenue", repr(first_best(params)), "upper", "proved", "total value of information", 1e-9),
    ]


def audit(params: Params, mechanism: Mapping[str, Any]) -> Audit:
    """What a menu does to buyers who choose from it, over all beliefs; there is nothing to violate."""
    return Audit(outcome(params, mechanism), {}, float(typical(params).scale))


def bought_by(params: Params, found: Served, item: int) -> tuple[float, str]:
    """Share of an item, and its buyers in words."""
    state = params.states[0] if params.states else "state 1"
    ends: list[list[float]] = []
    for k in np.flatnonzero((found.item == item) & (found.mass > 0)):
        if ends and ends[-1][1] == found.edges[k]:
            ends[-1][1] = found.edges[k + 1]
        else:
            ends.append([found.edges[k], found.edges[k + 1]])
    words = ", ".join(f"{low:.4g} to {high:.4g}" for low, high in ends)
    return math.fsum(found.mass[found.item == item]), f"Pr({state}) {words}" if words else "nobody"


def with_buyers(params: Params, mechanism: Mapping[str, Any], menu: pd.DataFrame) -> pd.DataFrame:
    """A menu's table with shares and buyers of the whole distribution in place of those of its cells."""
    found = on_segment(params, mechanism)
    price = np.array([float(exact(item["price"])) for item in mechanism["items"]])
    for number, item in enumerate(np.argsort(price, kind="stable"), start=1):
        share, words = bought_by(params, found, int(item))
        here = menu["item"] == number
        menu.loc[here, "share"], menu.loc[here, "bought by"] = share, words
    return menu
