"""The plane: beliefs in two states and values with distributions, matching payoffs; what any menu does there."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from optmarket.certificates import Audit, Claim
from optmarket.models.selling_information.continuum.continuum_market import bounds_on_revenue
from optmarket.models.selling_information.continuum.plane_demand import PlaneDemand, best_posted_price, demand_on_plane
from optmarket.models.selling_information.continuum.plane_types import Plane
from optmarket.models.selling_information.experiments import informativeness_of_cheapest
from optmarket.models.selling_information.market_arrays import Market, names_of_states_and_actions, power_of_two
from optmarket.models.selling_information.menu import Menu
from optmarket.models.selling_information.menu_tables import menu_table
from optmarket.models.selling_information.params import Params
from optmarket.models.selling_information.population import BeliefValuePlane, types_to_draw
from optmarket.rationals import exact
from optmarket.tolerances import TARGET_GAP

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class PlaneMarket:
    """A market with a continuum of beliefs in two states and of values.

    Attributes
    ----------
    params : Params
    types : Plane
        Distributions of the belief in the first state and of the value.
    """

    params: Params
    types: Plane

    @classmethod
    def of(cls, params: Params, population: BeliefValuePlane) -> PlaneMarket:
        """The market of validated parameters."""
        return cls(params, Plane(population.belief, population.value))

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
    def full_information(self) -> tuple[float, float]:
        """What full information alone earns at the best price found, and that price, in payoff units."""
        return best_posted_price(self.types)

    @cached_property
    def first_best(self) -> float:
        """What full information is worth to all together, in payoff units."""
        (_, low), (mass, moment) = self.types.belief.cells([Fraction(0), Fraction(1, 2), Fraction(1)])
        return float(low + mass - moment) * self.types.mean

    @cached_property
    def _demands(self) -> WeakKeyDictionary[Menu, PlaneDemand]:
        return WeakKeyDictionary()

    def demand(self, menu: Menu) -> PlaneDemand:
        """Who buys what from a menu; computed once for each menu."""
        if menu not in self._demands:
            floats = menu.in_floats
            self._demands[menu] = demand_on_plane(self.types, floats.experiment, floats.price)
        return self._demands[menu]

    def outcome(self, menu: Menu) -> dict[str, float]:
        """What a menu brings about, by the names of `outcomes.QUANTITIES`."""
        found, menu = self.demand(menu), menu.in_floats
        sold = np.flatnonzero(found.share > 0)
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
        return Audit(self.outcome(menu), {}, float(power_of_two(exact(self.types.mean))), notes=menu.notes)

    def theory(self) -> list[Claim]:
        """Bounds on the optimal revenue that take no optimisation of menus."""
        single, _ = self.full_information
        return bounds_on_revenue(single, self.first_best, (TARGET_GAP * single, 0.0))

    def menu_table(self, menu: Menu) -> pd.DataFrame:
        """The menu, one row for each item and state, with the shares of buyers who take the items."""
        share = self.demand(menu).share.tolist()
        return menu_table(self.states, menu, share, [self._buyers(menu, item) for item in range(len(share))])

    def _buyers(self, menu: Menu, item: int) -> str:
        """The beliefs and values of an item's buyers in words."""
        found = self.demand(menu)
        if not found.share[item] > 0:
            return "nobody"
        (low, high), (least, most) = found.beliefs[item], found.values[item]
        return f"Pr({self.states[0]}) {low:.4g} to {high:.4g}, value {least:.4g} to {most:.4g}"
