"""The segment: beliefs in two states with a distribution, matching payoffs and one value; what any menu does there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from optmarket.certificates import Audit, Claim
from optmarket.distributions.cdf import Cdf, PiecewiseLinear
from optmarket.distributions.maximize import Peaks, Product, largest
from optmarket.models.selling_information.continuum.continuum_market import bounds_on_revenue
from optmarket.models.selling_information.continuum.segment_demand import Segment, SegmentDemand, demand_on_segment
from optmarket.models.selling_information.experiments import informativeness_of_cheapest
from optmarket.models.selling_information.market_arrays import Market, names_of_states_and_actions, power_of_two
from optmarket.models.selling_information.menu import NOTHING, Menu
from optmarket.models.selling_information.menu_tables import menu_table
from optmarket.models.selling_information.params import Params
from optmarket.models.selling_information.population import BeliefSegment, types_to_draw
from optmarket.tolerances import TIE

if TYPE_CHECKING:
    import pandas as pd

# Of the revenue of full information alone: how closely its best posted price is enclosed.
POSTED_PRICE_CLOSE = 1e-5
# Relative and absolute error of an integral of a distribution function that is computed in floats.
INTEGRAL_ERROR, LEAST_INTEGRAL_ERROR = 4e-12, 4e-15

Number = Fraction | float


@dataclass(frozen=True, eq=False)
class SegmentMarket:
    """A market with a continuum of beliefs in two states and one value.

    Attributes
    ----------
    params : Params
    belief : Cdf
        Distribution of the probability theta of the first state.
    value : Fraction
        Multiplies all payoffs, in payoff units.
    """

    params: Params
    belief: Cdf
    value: Fraction

    @classmethod
    def of(cls, params: Params, population: BeliefSegment) -> SegmentMarket:
        """The market of validated parameters."""
        return cls(params, population.belief, population.value)

    @cached_property
    def states(self) -> tuple[str, ...]:
        """Names of the states."""
        return names_of_states_and_actions(self.params, 2, 2)[0]

    @property
    def n_profiles(self) -> int:
        """How many actions there are."""
        return 2

    @property
    def n_types(self) -> None:
        """None: there is a continuum of types."""

    @property
    def max_items(self) -> None:
        """None: there is no limit on items."""

    @cached_property
    def cells(self) -> Market:
        """Finitely many types that stand for the continuum in a figure."""
        return Market.of(self.params, types_to_draw(self.params.population))

    @cached_property
    def types(self) -> Segment:
        """The types as a segment in the space of measures."""
        zero, one = Fraction(0), Fraction(1)
        start, slope = np.array([[zero], [one]]), np.array([[one], [-one]])
        return Segment(self.belief, start, slope, np.array([[self.value, zero], [zero, self.value]]))

    @cached_property
    def posted_price(self) -> Peaks:
        """Full information alone at value 1: what it earns at its best price, and that price."""
        return best_posted_price(self.belief)

    @cached_property
    def mean_worth(self) -> tuple[Number, Number]:
        """What full information is worth to all together at value 1, and what that does not exceed."""
        return mean_worth_of_full_information(self.belief)

    @property
    def first_best(self) -> float:
        """What full information is worth to all together, in payoff units."""
        return float(Fraction(self.mean_worth[0]) * self.value)

    @property
    def full_information(self) -> tuple[float, float]:
        """What full information alone earns at its best price, and that price, in payoff units."""
        found = self.posted_price
        return float(Fraction(found.value) * self.value), float(Fraction(found.ends[0]) * self.value)

    @cached_property
    def _demands(self) -> WeakKeyDictionary[Menu, SegmentDemand]:
        return WeakKeyDictionary()

    def demand(self, menu: Menu) -> SegmentDemand:
        """Who buys what from a menu, ties for the seller; computed once for each menu."""
        if menu not in self._demands:
            self._demands[menu] = demand_on_segment(self.types, menu.experiment, menu.price, TIE * float(self.value))
        return self._demands[menu]

    def outcome(self, menu: Menu) -> dict[str, float]:
        """What a menu brings about, by the names of `outcomes.QUANTITIES`."""
        found, menu = self.demand(menu), menu.in_floats
        sold = np.setdiff1d(found.item[found.mass > 0], NOTHING)
        return {**found.quantities, **informativeness_of_cheapest(menu.experiment, menu.price, sold)}

    def quantities(self, menu: Menu) -> dict[str, float]:
        """What a menu brings about, and what the market is worth."""
        single, price = self.full_information
        return {
            **self.outcome(menu),
            "full-information-revenue": single,
            "full-information-price": price,
            "first-best": self.first_best,
        }

    def audit(self, menu: Menu) -> Audit:
        """What a menu does to buyers who choose from it; there is nothing to violate."""
        return Audit(self.outcome(menu), {}, float(power_of_two(self.value)), notes=menu.notes)

    def theory(self) -> list[Claim]:
        """Bounds on the optimal revenue that take no optimisation of menus."""
        return bounds_on_revenue(self.full_information[0], self.first_best, (0.0, 0.0))

    def menu_table(self, menu: Menu) -> pd.DataFrame:
        """The menu, one row for each item and state, with the shares of buyers who take the items."""
        buyers = [self._buyers(menu, item) for item in range(len(menu.price))]
        return menu_table(self.states, menu, [share for share, _ in buyers], [words for _, words in buyers])

    def _buyers(self, menu: Menu, item: int) -> tuple[float, str]:
        """The share of buyers who take an item, and their beliefs in words."""
        found = self.demand(menu)
        here = found.item == item
        words = ", ".join(f"{low:.4g} to {high:.4g}" for low, high in found.stretches(item))
        return math.fsum(found.mass[here]), f"Pr({self.states[0]}) {words}" if words else "nobody"


def best_posted_price(belief: Cdf) -> Peaks:
    """What full information alone earns at its best price, at value 1: it is worth min(theta, 1 - theta)."""
    whole = (Fraction(0), Fraction(1, 2))
    revenue = Product(Fraction(0), Fraction(1), Fraction(1), Fraction(-1))
    rough = largest(belief.folded(), revenue, whole, 1.0)
    return largest(belief.folded(), revenue, whole, POSTED_PRICE_CLOSE * float(rough.value))


def mean_worth_of_full_information(belief: Cdf) -> tuple[Number, Number]:
    """The mean of min(theta, 1 - theta), and what it does not exceed, rounding included."""
    (_, low), (mass, moment) = belief.cells([Fraction(0), Fraction(1, 2), Fraction(1)])
    found = low + mass - moment
    if isinstance(belief, PiecewiseLinear):
        return found, found
    return float(found), float(found) + INTEGRAL_ERROR * float(found) + LEAST_INTEGRAL_ERROR
