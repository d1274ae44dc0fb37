"""The optimal menu for a continuum of beliefs in two states: made of two concave envelopes, with proved bounds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.certificates import Optimality
from optmarket.distributions.cdf import PiecewiseLinear
from optmarket.errors import ModelError
from optmarket.models.selling_information.continuum.envelope_search import MOST_STEPS, Envelopes, EnvelopeSearch, Number
from optmarket.models.selling_information.continuum.segment_demand import Segment, demand_on_segment
from optmarket.models.selling_information.continuum.segment_market import SegmentMarket
from optmarket.models.selling_information.menu import Menu
from optmarket.options import Options, Status
from optmarket.rationals import around, floats
from optmarket.solution import Answer
from optmarket.solution_file import SolverReport

# Of revenue: a menu of fewer items may earn so much less than the best one.
NEARLY_AS_GOOD = 1e-10
# Relative error of what a menu earns where masses are computed in floats.
REVENUE_ERROR = 1e-14
# Of the highest price: an item of a lower one is left out; its price is 0 but for rounding.
WORTHLESS_PRICE = 1e-12
# Common shares off all prices, of which the one that earns most is taken.
PRICE_CUTS = (0.0, *(10.0**-k for k in range(15, 5, -1)))

ACCURACY = "bounds as accurate as the distribution function, which is computed in floats"


@dataclass(frozen=True)
class CertifiedMenu:
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
    def of(cls, types: Segment, experiment: FloatArray, price: FloatArray) -> CertifiedMenu:
        """A menu with what it is certain to earn."""
        earned = demand_on_segment(types, experiment, price, 0.0, for_seller=False).earned
        if isinstance(types.distribution, PiecewiseLinear):
            return cls(experiment, price, around(Fraction(earned))[0])
        return cls(experiment, price, max(0.0, float(earned) * (1 - REVENUE_ERROR)))

    @classmethod
    def discounted(cls, types: Segment, experiment: FloatArray, price: FloatArray, target: float) -> CertifiedMenu:
        """The menu with all prices cut by the common share that earns most; by none if it earns the target but for rounding."""
        best = cls.of(types, experiment, price)
        for share in PRICE_CUTS[1:]:
            if best.revenue >= (1 - share - 2 * REVENUE_ERROR) * target:
                break  # a larger cut only costs
            found = cls.of(types, experiment, price * (1 - share))
            best = found if found.revenue > best.revenue else best
        return best


def solve_envelope(market: SegmentMarket, options: Options) -> Answer:
    """The optimal menu and its bounds: the dual value proves the upper one, the menu itself the lower one.

    Raises
    ------
    ModelError
        If an exact proof is asked for.
    """
    if options.exact:
        raise ModelError("is a distribution, computed in floats; leave exact out, or give grid", field="params.belief")
    deadline = options.deadline()
    value, single = market.value, market.posted_price
    search = EnvelopeSearch(market.belief, single.value)
    upper, status, steps = _rounded_up(market.mean_worth[1], value), Status.OPTIMAL, 0
    target = float(Fraction(single.value) * value)
    menu = CertifiedMenu.discounted(market.types, np.eye(2)[None], _in_payoff_units([single.ends[0]], value), target)
    try:
        while not search.met and steps < MOST_STEPS:
            if deadline.passed:
                status = Status.TIME_LIMIT
                break
            search.step()
            steps += 1
            upper = min(upper, _rounded_up(search.upper, value))
            if options.gap is not None and search.upper - search.revenue <= options.gap / 2 * search.upper:
                break
        if search.has_measures:
            menu = _best_menu(market.types, menu, search, value)
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    mechanism = Menu(menu.experiment, menu.price)
    found = market.quantities(mechanism)
    # computed in two ways, which floats may tell apart in the last digits: the lower of them counts
    certificate = Optimality.of(min(menu.revenue, found["revenue"], upper), upper)
    return Answer(
        status=options.final_status(status, certificate.gap),
        mechanism=mechanism,
        quantities=found,
        certificate=certificate,
        notes=() if search.exact else (ACCURACY,),
        run=SolverReport(method="envelope", seconds=deadline.elapsed, rounds=steps),
    )


def _best_menu(types: Segment, full: CertifiedMenu, search: EnvelopeSearch, value: Fraction) -> CertifiedMenu:
    """The menu that earns most: one of the two measures', or full information alone; of nearly equal ones the shortest."""
    menus, target = [full], float(Fraction(search.revenue) * value)
    for experiment, price in candidate_menus(search.found):
        if len(price):
            menus.append(CertifiedMenu.discounted(types, experiment, _in_payoff_units(price, value), target))
    best = max(menu.revenue for menu in menus)
    good = [menu for menu in menus if menu.revenue >= (1 - NEARLY_AS_GOOD) * best]
    return min(good, key=lambda menu: (len(menu.price), -menu.revenue))


def candidate_menus(found: Envelopes) -> list[tuple[FloatArray, FloatArray]]:
    """The menu that belongs to two measures, and those that have the cut-offs of one of them, or of both, made one.

    Two cut-offs at the ends of a stretch on which nobody is earn what their mean does; so do two that differ by rounding.

    Returns
    -------
    list of (experiments, prices)
        As `menu_of` gives them, for value 1.
    """
    measures = [(found.rising, found.falling)]
    for rising, falling in itertools.product((found.rising, _joined(found.rising)), (found.falling, _joined(found.falling))):
        if (rising, falling) not in measures:
            measures.append((rising, falling))
    return [menu_of(replace(found, rising=rising, falling=falling)) for rising, falling in measures]


def _joined(masses: tuple[tuple[Number, Number], ...]) -> tuple[tuple[Number, Number], ...]:
    """All mass at its mean."""
    mean: Number = sum((at * mass for at, mass in masses), Fraction(0))
    return ((mean, Fraction(1)),)


def menu_of(found: Envelopes) -> tuple[FloatArray, FloatArray]:
    """The items along the beliefs, experiments of shape (M, 2, 2) and prices for value 1.

    With (p, q) the probabilities that each state is named when it is true, an item's price rises by y times what p rises at y,
    and falls by 1 - z times what q falls at z.
    """
    more, less = dict(found.rising), dict(found.falling)
    first, second, price = Fraction(0), Fraction(1), Fraction(0)
    items: list[tuple[float, float, float]] = []
    for at in sorted({*more, *less}):
        rise, fall = Fraction(more.get(at, 0)), Fraction(less.get(at, 0))
        first, second, price = first + rise, second - fall, price + Fraction(at) * rise - (1 - Fraction(at)) * fall
        items.append((min(float(first), 1.0), max(float(second), 0.0), float(price)))
    least = WORTHLESS_PRICE * max(price for *_, price in items)
    items = [item for item in items if item[2] > least]
    experiment = np.array([[[p, 1 - p], [1 - q, q]] for p, q, _ in items]).reshape(-1, 2, 2)
    return experiment, np.array([price for *_, price in items])


def _in_payoff_units(price: Sequence[Number] | FloatArray, value: Fraction) -> FloatArray:
    """Prices that are for value 1."""
    return floats([Fraction(one) * value for one in price])


def _rounded_up(bound: Number, value: Fraction) -> float:
    """A bound for value 1 in payoff units, rounded up."""
    return around(Fraction(bound) * value)[1] if bound < math.inf else math.inf
