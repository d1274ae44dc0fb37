"""What every market with a continuum of types can do, whatever its types fill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from optmarket.certificates import Audit, Claim
from optmarket.models.selling_information.market_arrays import Market
from optmarket.models.selling_information.menu import Menu
from optmarket.models.selling_information.params import Params

if TYPE_CHECKING:
    import pandas as pd


class ContinuumMarket(Protocol):
    """A market whose buyers choose from a menu for themselves.

    Attributes
    ----------
    params : Params
        What it was made of.
    """

    @property
    def params(self) -> Params:
        """What the market was made of."""

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states."""

    @property
    def n_profiles(self) -> int:
        """How many actions there are."""

    @property
    def n_types(self) -> None:
        """None: there is a continuum of types."""

    @property
    def max_items(self) -> None:
        """None: there is no limit on items."""

    @property
    def cells(self) -> Market:
        """Finitely many types that stand for the continuum in a figure."""

    def audit(self, menu: Menu) -> Audit:
        """What a menu does to buyers who choose from it; there is nothing to violate."""

    def theory(self) -> list[Claim]:
        """Bounds on the optimal revenue that take no optimisation of menus."""

    def menu_table(self, menu: Menu) -> pd.DataFrame:
        """The menu, one row for each item and state, with the shares of buyers who take the items."""


def bounds_on_revenue(single: float, first_best: float, tolerances: tuple[float, float]) -> list[Claim]:
    """The claims that full information alone is a lower bound and the total value of information an upper one.

    Parameters
    ----------
    single, first_best : float
        In payoff units.
    tolerances : (float, float)
        Of the two, in payoff units.
    """
    return [
        Claim("revenue", repr(single), "lower", "proved", "full information alone at a posted price", tolerances[0]),
        Claim("revenue", repr(first_best), "upper", "proved", "total value of information", tolerances[1]),
    ]
