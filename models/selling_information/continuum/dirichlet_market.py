"""The dirichlet case: beliefs in three and more states, perhaps with values, with distributions; what any menu does there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from optmarket.certificates import Audit, Claim
from optmarket.models.selling_information.continuum.continuum_market import bounds_on_revenue
from optmarket.models.selling_information.continuum.dirichlet_demand import DirichletDemand, demand_in_boxes
from optmarket.models.selling_information.continuum.dirichlet_full_information import full_information_demand
from optmarket.models.selling_information.continuum.dirichlet_types import DirichletTypes
from optmarket.models.selling_information.market_arrays import Market, names_of_states_and_actions
from optmarket.models.selling_information.menu import Menu
from optmarket.models.selling_information.menu_tables import menu_table
from optmarket.models.selling_information.params import Params
from optmarket.models.selling_information.population import DirichletBeliefs, types_to_draw
from optmarket.options import Deadline
from optmarket.tolerances import SAME_VALUE

if TYPE_CHECKING:
    import pandas as pd

    from optmarket.arrays import FloatArray

FINE_BOXES = 2**16  # for what full information is worth and at which price it sells best, at most
MEANS_ROUNDING = 1e-9  # relative: what sums over boxes, and integrals of a distribution function in floats, may miss


@dataclass(frozen=True, eq=False)
class DirichletMarket:
    """A market with a continuum of beliefs in three or more states, perhaps of values too.

    Attributes
    ----------
    params : Params
    types : DirichletTypes
    """

    params: Params
    types: DirichletTypes

    @classmethod
    def of(cls, params: Params, population: DirichletBeliefs) -> DirichletMarket:
        """The market of validated parameters.

        Raises
        ------
        ModelError
            If there are too many states, or values without an end.
        """
        return cls(params, DirichletTypes.of(params, population))

    @cached_property
    def states(self) -> tuple[str, ...]:
        """Names of the states."""
        return names_of_states_and_actions(self.params, *self.types.payoff.shape)[0]

    @property
    def n_profiles(self) -> int:
        """How many actions there are."""
        return int(self.types.payoff.shape[1])

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
    def drawn(self) -> tuple[FloatArray, FloatArray]:
        """Types drawn in small boxes, shape (N, W), and their masses, for estimates about full information."""
        return self.types.drawn(FINE_BOXES, np.random.default_rng(2))

    @cached_property
    def full_information_price(self) -> float:
        """The best price of full information alone.

        Where payoffs match it is that of the distribution itself, otherwise the best among drawn types.
        """
        if self.types.matching_payoff is not None:
            return full_information_demand(self.types).price
        drawn, mass = self.drawn
        worth = self.types.worth(drawn)
        order = np.argsort(-worth, kind="stable")
        return float(worth[order][(worth[order] * np.cumsum(mass[order])).argmax()])

    @cached_property
    def full_information_menu(self) -> Menu:
        """Full information alone at its best price."""
        return Menu(np.eye(len(self.types.payoff))[None], np.array([self.full_information_price]))

    @cached_property
    def first_best(self) -> tuple[float, float]:
        """What full information is worth to all, and a bound above it.

        Its worth is concave, so that the means of boxes are worth more.
        """
        if self.types.matching_payoff is not None:
            full = full_information_demand(self.types)
            return full.mean, full.mean * (1 + MEANS_ROUNDING + full.error)
        boxes = self.types.boxes(self.types.side(FINE_BOXES))
        most = float(boxes.mass @ self.types.worth(boxes.mean)) * (1 + MEANS_ROUNDING)
        return most, most

    @cached_property
    def _demands(self) -> WeakKeyDictionary[Menu, DirichletDemand]:
        return WeakKeyDictionary()

    def demand(self, menu: Menu, deadline: Deadline | None = None) -> DirichletDemand:
        """Who buys what from a menu, ties for the seller; computed once for each menu, unless a deadline has cut it short."""
        if menu in self._demands:
            return self._demands[menu]
        floats = menu.in_floats
        found = demand_in_boxes(self.types, floats.experiment, floats.price, deadline)
        if deadline is None or not deadline.passed:
            self._demands[menu] = found
        return found

    def audit(self, menu: Menu) -> Audit:
        """What a menu does to buyers who choose from it; there is nothing to violate."""
        return Audit(self.demand(menu).quantities, {}, self.types.scale, notes=menu.notes)

    def theory(self) -> list[Claim]:
        """Bounds on the optimal revenue that take no optimisation of menus."""
        single = self.demand(self.full_information_menu).lower
        return bounds_on_revenue(single, self.first_best[1], (SAME_VALUE, SAME_VALUE))

    def menu_table(self, menu: Menu) -> pd.DataFrame:
        """The menu, one row for each item and state, with the shares of buyers who take the items."""
        found = self.demand(menu)
        beliefs = [", ".join(f"{entry:.2f}" for entry in belief) for belief in found.belief]
        words = [f"on average {belief}" if share else "nobody" for share, belief in zip(found.share, beliefs, strict=True)]
        return menu_table(self.states, menu, found.share.tolist(), words)
