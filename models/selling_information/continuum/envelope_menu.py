"""Two states, matching payoffs and a whole distribution of beliefs: the optimal menu by concave envelopes, enclosed."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from optmarket.distributions.cdf import Law, PiecewiseLinear
from optmarket.distributions.maximize import Peaks, Product, largest
from optmarket.distributions.specification import Distribution
from optmarket.errors import ModelError
from optmarket.lp.program import FloatArray
from optmarket.models.selling_information.continuum.segment_demand import Segment, Served, serve
from optmarket.models.selling_information.market import Market
from optmarket.models.selling_information.menu import NOTHING, TIE, Menu, of_cheapest
from optmarket.models.selling_information.params import Params
from optmarket.rationals import around, exact, floats
from optmarket.solution import Answer, Audit, Certificate, Claim, Options, Status, relative_gap

CLOSE = 6e-9  # of the bound: to which it is enclosed where the distribution function is computed in floats
ROUGH = 1e-5  # the same until the dual value is found
ALIKE = 1e-10  # of the revenue: a menu of fewer items may earn so much less than the best one
MET = 1e-13  # the same where it is exact
STEPS = 200  # of the search for the dual value; a few dozen halve any interval down to nothing
FINEST = 2**-120  # dual values are multiples of this where they are exact
ROUNDING = 1e-14  # relative error of what a menu earns where masses are computed in floats
WORTHLESS = 1e-12  # of the highest price: an item of a lower one is left out
INTEGRAL = 4e-12  # relative error of an integral of a distribution function computed in floats,
NEGLIGIBLE = 4e-15  # and its absolute one
DISCOUNTS = (0.0, *(10.0**-k for k in range(15, 5, -1)))

Number = Fraction | float


@dataclass(frozen=True)
class Cut:
    """Two beliefs: a measure of mass one at ``rising``, another at ``falling``, and what they earn at any dual value.

    Attributes
    ----------
    rising, mirrored : Fraction or float
        Beliefs y in the first state and x = 1 - z in the second.
    above, below : Fraction or float
        Pr(theta > y) and Pr(theta > 1 - x).
    """

    rising: Number
    mirrored: Number
    above: Number
    below: Number

    @property
    def slope(self) -> Number:
        """Of what they earn in the dual value: by how much the mean of x exceeds that of y."""
        return self.mirrored - self.rising

    def at(self, multiplier: Number) -> Number:
        """What they earn, the means' difference priced."""
        # as products, so that no digits are lost where both beliefs are near 0, or both near 1
        return self.rising * (self.above - multiplier) + self.mirrored * (multiplier - self.below)


@dataclass(frozen=True)
class Envelopes:
    """Where the best sum of two envelopes at a common mean is reached, and the bound that proves it.

    Attributes
    ----------
    rising : tuple of (belief, mass)
        From these beliefs in the first state on, buyers receive more of it.
    falling : tuple of (belief, mass)
        From these on they receive less of the second state.
    multiplier : Fraction or float
        The dual value of the condition that the means agree.
    upper : Fraction or float
        What no menu exceeds when the value is 1.
    """

    rising: tuple[tuple[Number, Number], ...]
    falling: tuple[tuple[Number, Number], ...]
    multiplier: Number
    upper: Number


class Search:
    """The best two measures of mass one, the means of y and 1 - z agreeing, and the dual value that bounds what they earn.

    Mass at y earns ``y Pr(theta > y)``, mass at z ``-(1 - z) Pr(theta > z)``. For a dual value l of the means' condition no
    menu earns more than ``max_y y (Pr(theta > y) - l) + max_x x (l - Pr(theta > 1 - x))``, which is convex in l, and least for
    some l from 0 to 1. Where the maxima are attained is a cut, a line in l nowhere above the bound. One cut that falls and one
    that rises are kept, and l moves to where they meet; mixed so that the means agree, the two are measures that earn what the
    lines are worth there. So bound and revenue meet, also where the distribution has gaps and a maximum is attained all along a
    stretch.

    Parameters
    ----------
    law : Law
        Of the belief theta in the first state.
    known : Fraction or float
        What some menu is known to earn at value 1: how closely maxima are enclosed is relative to it.
    """

    def __init__(self, law: Law, known: Number = 0.0) -> None:
        self.law, self.known = law, known
        self.exact = isinstance(law, PiecewiseLinear)
        self.upper: Number = math.inf
        self.multiplier: Number = Fraction(0)
        self.falls: Cut | None = None
        self.rises: Cut | None = None
        self.met = False
        self._pending: list[Number] = [Fraction(0), Fraction(1)]
        self._rough = not self.exact

    @property
    def revenue(self) -> Number:
        """What the two cuts that are kept earn, mixed."""
        if self.falls is None or self.rises is None:
            return 0.0
        (weight, one), (rest, other) = self._mixed()
        return weight * one.at(self.multiplier) + rest * other.at(self.multiplier)

    def _mixed(self) -> tuple[tuple[Number, Cut], tuple[Number, Cut]]:
        assert self.falls is not None and self.rises is not None
        down, up = -self.falls.slope, self.rises.slope
        share = up / (down + up) if down + up else Fraction(1)
        return (share, self.falls), (1 - share, self.rises)

    def step(self) -> None:
        """Bound revenue at the next dual value, and keep the cut found there."""
        multiplier = self._pending.pop(0) if self._pending else self._meeting()
        unit = float(self.known or 1)
        finest = CLOSE / 4 * unit
        gain, cost = self._enclosed(multiplier, ROUGH * unit if self._rough else finest)
        if self._rough and not self._pending and float(gain.value + cost.value - self.revenue) <= finest:
            # the lines meet at the bound, as far as is known: now it is worth enclosing
            self._rough = False
            gain, cost = self._enclosed(multiplier, finest)
        for y, x in itertools.product(gain.ends, cost.ends):
            self._keep(self._cut(y, x), multiplier)
        self.met = self.upper - self.revenue <= (MET * self.upper if self.exact else 3 * finest)
        if not (self._pending or self._rough or self.met):
            self.met = self._meeting() == multiplier  # where floats end

    def _enclosed(self, multiplier: Number, close: float) -> tuple[Peaks, Peaks]:
        gain, cost = _maxima(self.law, multiplier, close)
        if gain.upper + cost.upper < self.upper:
            self.upper, self.multiplier = gain.upper + cost.upper, multiplier
        return gain, cost

    def _keep(self, cut: Cut, multiplier: Number) -> None:
        if cut.slope <= 0 and (self.falls is None or cut.at(multiplier) >= self.falls.at(multiplier)):
            self.falls = cut
        if cut.slope >= 0 and (self.rises is None or cut.at(multiplier) >= self.rises.at(multiplier)):
            self.rises = cut

    def _meeting(self) -> Number:
        """Where the lines of the two cuts meet."""
        assert self.falls is not None and self.rises is not None
        spread = self.rises.slope - self.falls.slope
        if not spread:
            return self.multiplier
        ahead = self.falls.at(0) - self.rises.at(0)
        found = min(max(ahead / spread, 0), 1)
        return Fraction(round(found / Fraction(FINEST))) * Fraction(FINEST) if self.exact else float(found)

    def _cut(self, y: Number, x: Number) -> Cut:
        if isinstance(self.law, PiecewiseLinear):
            y, x = Fraction(y), Fraction(x)
            return Cut(y, x, 1 - self.law.exact_cdf(y), 1 - self.law.exact_cdf(1 - x))
        above, below = (float(self.law.sf(np.array(float(at)))) for at in (y, 1 - float(x)))
        return Cut(float(y), float(x), above, below)

    @property
    def found(self) -> Envelopes:
        """The measures of the two cuts that are kept."""
        mixed = [(share, cut) for share, cut in self._mixed() if share]
        rising: dict[Number, Number] = {}
        falling: dict[Number, Number] = {}
        for share, cut in mixed:
            for masses, at in ((rising, cut.rising), (falling, 1 - cut.mirrored)):
                masses[at] = masses.get(at, Fraction(0)) + share
        return Envelopes(tuple(sorted(rising.items())), tuple(sorted(falling.items())), self.multiplier, self.upper)


def envelopes(law: Law) -> Envelopes:
    """The best two measures, and the dual value whose bound is least: see `Search`.

    Parameters
    ----------
    law : Law
        Of the belief theta in the first state.
    """
    search = Search(law, _posted(law).value)
    for _ in range(STEPS):
        search.step()
        if search.met:
            break
    return search.found


def _maxima(law: Law, multiplier: Number, close: float | None = None) -> tuple[Peaks, Peaks]:
    price, whole = Fraction(multiplier), (Fraction(0), Fraction(1))
    gain = largest(law, Product(Fraction(0), Fraction(1), 1 - price, Fraction(-1)), whole, close)
    cost = largest(law.mirrored(), Product(Fraction(0), Fraction(1), price, Fraction(-1)), whole, close)
    return gain, cost


def ceiling(law: Law, multiplier: Number) -> Number:
    """What no menu exceeds when the value is 1, for any dual value: both maxima are global, and enclosed."""
    gain, cost = _maxima(law, multiplier)
    return gain.upper + cost.upper


def menus_of(found: Envelopes) -> list[tuple[FloatArray, FloatArray]]:
    """The menu that belongs to two measures, and those that have the cut-offs of one of them, or of both, made one.

    Two cut-offs at the ends of a stretch on which nobody is earn what their mean does; so do two that differ by rounding.
    """
    whole = [(found.rising, found.falling)]
    for rising, falling in itertools.product((found.rising, _joined(found.rising)), (found.falling, _joined(found.falling))):
        if (rising, falling) not in whole:
            whole.append((rising, falling))
    return [menu_of(replace(found, rising=rising, falling=falling)) for rising, falling in whole]


def _joined(masses: tuple[tuple[Number, Number], ...]) -> tuple[tuple[Number, Number], ...]:
    mean: Number = sum((at * mass for at, mass in masses), Fraction(0))
    return ((mean, Fraction(1)),)


def menu_of(found: Envelopes) -> tuple[FloatArray, FloatArray]:
    """The items along the beliefs, experiments of shape (M, 2, 2) and prices for value 1.

    With (p, q) the chances that each state is named, an item's price rises by y times what p rises at y, and falls by 1 - z times
    what q falls at z.
    """
    more, less = dict(found.rising), dict(found.falling)
    first, second, price = Fraction(0), Fraction(1), Fraction(0)
    items: list[tuple[float, float, float]] = []
    for at in sorted({*more, *less}):
        rise, fall = Fraction(more.get(at, 0)), Fraction(less.get(at, 0))
        first, second, price = first + rise, second - fall, price + Fraction(at) * rise - (1 - Fraction(at)) * fall
        items.append((min(float(first), 1.0), max(float(second), 0.0), float(price)))
    # what is worth and costs nothing is no item; its price may miss 0 by rounding
    least = WORTHLESS * max(price for *_, price in items)
    items = [item for item in items if item[2] > least]
    experiment = np.array([[[p, 1 - p], [1 - q, q]] for p, q, _ in items]).reshape(-1, 2, 2)
    return experiment, np.array([price for *_, price in items])


def value_of(params: Params) -> Fraction:
    """What all payoffs are multiplied by."""
    assert not isinstance(params.value, Distribution)
    return Fraction(1) if params.value is None else params.value


def segment(params: Params) -> Segment:
    """The beliefs of a distribution as a segment of types."""
    assert params.belief is not None
    half, one = Fraction(0), Fraction(1)
    start, slope = np.array([[half], [one]]), np.array([[one], [-one]])
    value = value_of(params)
    return Segment(params.belief.law, start, slope, np.array([[value, half], [half, value]]))


@dataclass(frozen=True)
class Posted:
    """A menu and what it earns, every tie against the seller.

    Attributes
    ----------
    experiment : array, shape (M, 2, 2)
    price : array, shape (M,)
        In payoff units.
    revenue : float
        In payoff units, rounded down.
    """

    experiment: FloatArray
    price: FloatArray
    revenue: float

    @classmethod
    def of(cls, types: Segment, experiment: FloatArray, price: FloatArray) -> Posted:
        """A menu, judged."""
        found = serve(types, experiment, price, 0.0, for_seller=False).earned
        if isinstance(types.law, PiecewiseLinear):
            return cls(experiment, price, around(Fraction(found))[0])
        return cls(experiment, price, max(0.0, float(found) * (1 - ROUNDING)))

    @classmethod
    def cut(cls, types: Segment, experiment: FloatArray, price: FloatArray, wanted: float) -> Posted:
        """The menu with all prices cut by the common share that earns most, none if it earns what it should without rounding."""
        best = cls.of(types, experiment, price)
        for share in DISCOUNTS[1:]:
            if best.revenue >= (1 - share - 2 * ROUNDING) * wanted:
                break  # a larger cut only costs
            found = cls.of(types, experiment, price * (1 - share))
            best = found if found.revenue > best.revenue else best
        return best


def solve(params: Params, options: Options) -> Answer:
    """The optimal menu and its bounds: the dual value proves the upper one, the menu itself the lower one.

    Raises
    ------
    ModelError
        If an exact proof is asked for.
    """
    if options.exact:
        raise ModelError("is a distribution, computed in floats; leave exact out, or give grid", field="params.belief")
    start = time.perf_counter()
    types = segment(params)
    value = value_of(params)
    single = _posted(types.law)
    most = first_best_of(types.law)
    search = Search(types.law, single.value)
    upper = _upwards(most[1], value)
    status = Status.OPTIMAL
    menu = Posted.cut(types, np.eye(2)[None], _prices([single.ends[0]], value), float(Fraction(single.value) * value))
    steps = 0
    try:
        while not search.met and steps < STEPS:
            if options.time_limit is not None and time.perf_counter() - start >= options.time_limit:
                status = Status.TIME_LIMIT
                break
            search.step()
            steps += 1
            upper = min(upper, _upwards(search.upper, value))
            if options.gap is not None and search.upper - search.revenue <= options.gap / 2 * search.upper:
                break
        if search.falls is not None and search.rises is not None:
            menu = _best(types, menu, search, value)
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    mechanism = Menu(menu.experiment, menu.price).as_mechanism()
    found = quantities(params, mechanism)
    # computed in two ways, which floats may tell apart in the last digits: the lower of them counts
    lower = min(menu.revenue, found["revenue"], upper)
    gap = relative_gap(lower, upper)
    if gap <= options.wanted and status is not Status.INTERRUPTED:
        status = Status.OPTIMAL
    elif status is Status.OPTIMAL:
        status = Status.GAP
    return Answer(
        status=status,
        mechanism=mechanism,
        quantities=found,
        certificate=Certificate(lower, upper, gap),
        method="envelope",
        notes=() if search.exact else ("bounds as accurate as the distribution function, which is computed in floats",),
        run={"seconds": time.perf_counter() - start, "rounds": steps, "multiplier": float(search.multiplier)},
    )


def _prices(price: Sequence[Number] | FloatArray, value: Fraction) -> FloatArray:
    """Prices for value 1 in payoff units."""
    return floats([Fraction(one) * value for one in price])


def _upwards(bound: Number, value: Fraction) -> float:
    """A bound for value 1 in payoff units, rounded up."""
    return around(Fraction(bound) * value)[1] if bound < math.inf else math.inf


def _best(types: Segment, full: Posted, search: Search, value: Fraction) -> Posted:
    """The menu that earns most: one of the two measures', or full information alone; of nearly equal ones the shortest."""
    menus, wanted = [full], float(Fraction(search.revenue) * value)
    for experiment, price in menus_of(search.found):
        if len(price):
            menus.append(Posted.cut(types, experiment, _prices(price, value), wanted))
    best = max(menu.revenue for menu in menus)
    good = [menu for menu in menus if menu.revenue >= (1 - ALIKE) * best]
    return min(good, key=lambda menu: (len(menu.price), -menu.revenue))


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
    return serve(segment(params), menu.experiment, menu.price, TIE * float(value_of(params)))


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
    """What full information alone earns at its best price, and that price."""
    assert params.belief is not None
    single, value = _posted(params.belief.law), value_of(params)
    return float(Fraction(single.value) * value), float(Fraction(single.ends[0]) * value)


@lru_cache(maxsize=8)
def _posted(law: Law) -> Peaks:
    """Full information alone at value 1: it is worth min(theta, 1 - theta), and sold to those to whom it is worth the price."""
    whole = (Fraction(0), Fraction(1, 2))
    product = Product(Fraction(0), Fraction(1), Fraction(1), Fraction(-1))
    rough = largest(law.folded(), product, whole, 1.0)
    return largest(law.folded(), product, whole, ROUGH * float(rough.value))


def first_best(params: Params) -> float:
    """What full information is worth to all."""
    assert params.belief is not None
    return float(Fraction(first_best_of(params.belief.law)[0]) * value_of(params))


@lru_cache(maxsize=8)
def first_best_of(law: Law) -> tuple[Number, Number]:
    """The mean of min(theta, 1 - theta), and what it does not exceed: what full information is worth to all at value 1."""
    (_, low), (mass, moment) = law.cells([Fraction(0), Fraction(1, 2), Fraction(1)])
    found = low + mass - moment
    if isinstance(law, PiecewiseLinear):
        return found, found
    # the error of the integrals of a distribution function in floats
    return float(found), float(found) + INTEGRAL * float(found) + NEGLIGIBLE


def theory(params: Params) -> list[Claim]:
    """Bounds on the optimum that take no optimisation of menus."""
    single, _ = posted_price(params)
    return [
        Claim("revenue", repr(single), "lower", "proved", "full information alone at a posted price", 0.0),
        Claim("revenue", repr(first_best(params)), "upper", "proved", "total value of information", 0.0),
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
