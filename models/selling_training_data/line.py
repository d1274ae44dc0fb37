"""The continuum of types on a line: buyers' choices from a menu, and the optimal menu of two tiers with its certificate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from optmarket.arrays import NumberArray
from optmarket.certificates import Optimality
from optmarket.errors import InstanceError, ModelError
from optmarket.models import selling_information
from optmarket.models.selling_information import Menu, Segment, SegmentDemand, demand_on_segment
from optmarket.models.selling_training_data.closed_forms import TwoTiers, posted_price, two_tiers
from optmarket.models.selling_training_data.items import COMPLETE, as_experiments, item_quantities, shares_left
from optmarket.models.selling_training_data.populations import HALF, LineOfTypes
from optmarket.options import Options, Status
from optmarket.rationals import around, exact, floats
from optmarket.solution import Answer
from optmarket.solution_file import SolverReport
from optmarket.tolerances import PAYOFF_ROUNDING, TIE

METHODS = ("auto", "two-tiers")
# Shares off all prices that are tried, so that types that are nearly indifferent choose as the seller wants.
DISCOUNTS = tuple(10.0**-k for k in range(13, 2, -1))


def demand_on_line(
    line: LineOfTypes, experiment: NumberArray, price: NumberArray, tie: float, *, for_seller: bool = True
) -> SegmentDemand:
    """What every type on a line chooses from a menu.

    Parameters
    ----------
    line : LineOfTypes
    experiment : array, shape (M, 2, N)
    price : array, shape (M,)
        In payoff units.
    tie : float
        Items this close to the best one count as equally good, as a share of what complete data are worth to the type that
        errs most.
    for_seller : bool
        Whether ties go to the highest-priced item, or to the cheapest.

    Returns
    -------
    SegmentDemand
        Intervals of alpha, and what types in them buy.

    Examples
    --------
    >>> from optmarket.distributions.specification import Distribution
    >>> uniform = Distribution.model_validate({"dist": "uniform", "scale": "1/5"})
    >>> line = LineOfTypes(Fraction(0), Fraction(3, 10), uniform.as_cdf)
    >>> demand_on_line(line, np.eye(2)[None], np.array([0.4]), TIE).revenue
    0.2
    """
    # exact, as errors may be small beside the probabilities of the states
    zero, one = Fraction(0), Fraction(1)
    start = np.array([[HALF, zero], [line.m, HALF - line.m]], dtype=object)
    slope = np.array([[-one, one], [-line.k, line.k]], dtype=object)
    segment = Segment(line.cdf, start, slope, np.eye(2))
    return demand_on_segment(segment, experiment, price, tie * largest_full_value(line), for_seller=for_seller)


def largest_full_value(line: LineOfTypes) -> float:
    """What complete data are worth to the type on a line that errs most, in payoff units."""
    return float(line.full_value(exact(line.cdf.support[1])))


@dataclass(frozen=True, eq=False, kw_only=True)
class MenuOnLine(Menu):
    """A menu posted to a continuum of types on a line, who choose from it.

    Attributes
    ----------
    line : LineOfTypes
    """

    line: LineOfTypes

    @cached_property
    def demand(self) -> SegmentDemand:
        """What the types choose, those that are indifferent the highest-priced item."""
        given = self.in_floats
        return demand_on_line(self.line, given.experiment, given.price, TIE)


def on_line(line: LineOfTypes, menu: Menu) -> MenuOnLine:
    """A menu as one that is posted to a line; the same object if it is one already."""
    return menu if isinstance(menu, MenuOnLine) else MenuOnLine(menu.experiment, menu.price, line=line)


def read_on_line(line: LineOfTypes, data: Mapping[str, Any]) -> MenuOnLine:
    """The menu that a mechanism file states.

    Parameters
    ----------
    line : LineOfTypes
    data : mapping
        ``items``, as in a mechanism file.

    Raises
    ------
    InstanceError
        If it is no menu for two states, or one that assigns items to types.
    """
    if data.get("assignment") is not None:
        raise InstanceError(
            "names the item of each type; on a continuum of types buyers choose: leave it out", field="assignment"
        )
    return on_line(line, selling_information.read(line.representative, data))


def certified_revenue(line: LineOfTypes, menu: Menu) -> tuple[float, float]:
    """What a menu is certain to earn from a line after a small common discount, ties going against the seller.

    Parameters
    ----------
    line : LineOfTypes
    menu : Menu

    Returns
    -------
    share : float
        The share off all prices, one of `DISCOUNTS`, with which that is most.
    revenue : float
        In payoff units, rounding deducted.
    """
    given = menu.in_floats

    def earned(share: float) -> float:
        price = given.price * (1 - share)
        return demand_on_line(line, given.experiment, price, PAYOFF_ROUNDING, for_seller=False).revenue

    revenues = {share: earned(share) for share in DISCOUNTS}
    share = max(revenues, key=lambda one: revenues[one])
    return share, revenues[share] - PAYOFF_ROUNDING * largest_full_value(line)


def solve_line(line: LineOfTypes, options: Options) -> Answer:
    """The two tiers, their prices discounted by a little so that no tie goes against the seller, unless the optimum is exact.

    Parameters
    ----------
    line : LineOfTypes
    options : Options
        Methods ``auto`` and ``two-tiers``, which are the same.

    Raises
    ------
    ModelError
        If there is no such method for a continuum of types, or an exact optimum of a distribution computed in floats is asked
        for.
    """
    if options.method not in METHODS:
        raise ModelError(
            f"there is no method {options.method!r} for a continuum of types on a line, which has a closed form; give grid, or "
            "the method auto"
        )
    deadline = options.deadline()
    tiers = two_tiers(line)
    if options.exact and not isinstance(tiers.revenue, Fraction):
        raise ModelError("has a distribution that is computed in floats; leave exact out", field="params.alpha")
    if isinstance(tiers.revenue, Fraction):
        proved: Fraction | None = tiers.revenue
        lower, upper = around(tiers.revenue)
        menu = _exact_menu(tiers)
    else:
        proved, upper = None, float(tiers.upper)
        menu, earned = _discounted_menu(tiers)
        lower = min(earned, upper)
    certificate = Optimality.of(lower, upper)
    notes = ["the upper bound is the theorem of two tiers, not dual values of a program"]
    if len(tiers.cutoffs) > 1:
        notes.append(f"as good: cut-offs {', '.join(f'{float(at):.9g}' for at in tiers.cutoffs)}")
    return Answer(
        status=Status.OPTIMAL if certificate.gap <= options.target_gap else Status.GAP,
        mechanism=menu,
        quantities=_quantities(menu),
        certificate=certificate,
        exact=proved,
        notes=tuple(notes),
        run=SolverReport(seconds=deadline.elapsed, method="two tiers"),
    )


def _menu_of_tiers(tiers: TwoTiers) -> tuple[NumberArray, NumberArray]:
    """Experiments, shape (2, 2, 4), and prices of the lower tier's item and of complete data, exact if the cut-off is."""
    cutoff = tiers.cutoffs[0]
    first, second, low_price = tiers.low_item(cutoff)
    left = np.array([[first, second], [Fraction(0), Fraction(0)]], dtype=object)
    return as_experiments(left), np.array([low_price, tiers.full_price(cutoff)], dtype=object)


def _sold(line: LineOfTypes, experiment: NumberArray, price: NumberArray) -> NumberArray:
    """Which items some types buy, shape (M,)."""
    demand = demand_on_line(line, floats(experiment), floats(price), PAYOFF_ROUNDING)
    return np.isin(np.arange(len(price)), demand.item[demand.mass > 0])


def _exact_menu(tiers: TwoTiers) -> MenuOnLine:
    """In exact rational arithmetic: an interval of types is indifferent to the low item, and a rounded price could lose them."""
    experiment, price = _menu_of_tiers(tiers)
    sold = _sold(tiers.line, experiment, price)
    return MenuOnLine(experiment[sold], price[sold], line=tiers.line)


def _discounted_menu(tiers: TwoTiers) -> tuple[MenuOnLine, float]:
    """In floats, with a discount, and what it is certain to earn."""
    experiment, price = (floats(part) for part in _menu_of_tiers(tiers))
    sold = _sold(tiers.line, experiment, price)
    experiment, price = experiment[sold], price[sold]
    share, earned = certified_revenue(tiers.line, Menu(experiment, price))
    return MenuOnLine(experiment, price * (1 - share), line=tiers.line), earned


def _quantities(menu: MenuOnLine) -> dict[str, float]:
    """Named scalars of what a menu does on a line."""
    revenue, price = posted_price(menu.line)
    return {
        **menu.demand.quantities,
        "full-information-revenue": float(revenue),
        "full-information-price": float(price),
        "first-best": float(menu.line.first_best),
        **item_quantities(menu),
        **_cutoff(menu),
    }


def _cutoff(menu: MenuOnLine) -> dict[str, float]:
    """The least alpha from which on complete data are bought, if any type buys them."""
    full = [k for k, item in enumerate(menu.in_floats.experiment) if shares_left(item) == COMPLETE]
    buying = np.flatnonzero(np.isin(menu.demand.item, full) & (menu.demand.mass > 0))
    return {"cutoff": float(menu.demand.edges[buying[0]])} if len(buying) else {}
