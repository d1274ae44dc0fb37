"""A menu in its market: read from a mechanism file, the quantities that are reported of it, and the audit of what it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optmarket.certificates import Audit
from optmarket.modeling.registry import Quantity
from optmarket.models import selling_information
from optmarket.models.selling_information import Menu
from optmarket.models.selling_training_data.line import on_line, read_on_line
from optmarket.models.selling_training_data.populations import FiniteTypes, LineOfTypes, Market

QUANTITIES = {
    "revenue": Quantity("payoff units", "expected revenue of the menu"),
    "surplus": Quantity("payoff units", "what buyers keep beyond buying nothing"),
    "welfare": Quantity("payoff units", "revenue and surplus together"),
    "share-buying": Quantity("probability", "share of buyers who buy something"),
    # of types with a single own signal in two states, whose data are beliefs
    "differential-informativeness": selling_information.QUANTITIES["differential-informativeness"],
    "full-information-revenue": Quantity("payoff units", "revenue of complete data alone at the best posted price"),
    "full-information-price": Quantity("payoff units", "best posted price of complete data alone"),
    "first-best": Quantity("payoff units", "total value of complete data to buyers"),
    "full-price": Quantity("payoff units", "price of complete data"),
    "low-price": Quantity("payoff units", "price of the item beside complete data"),
    "low-error-1-left": Quantity("probability", "share of the first error that the item beside complete data leaves"),
    "low-error-2-left": Quantity("probability", "share of the second error that the item beside complete data leaves"),
    "cutoff": Quantity("probability", "least alpha of the types that buy complete data"),
    "finer-grid-revenue": Quantity("payoff units", "revenue of the same menu on a triangle with cells a quarter as wide"),
    "continuum-revenue": Quantity("payoff units", "what the menu is certain to earn from the continuum of types"),
    "continuum-lower": Quantity("payoff units", "lower bound on what the best menu earns from the continuum of types"),
    "continuum-upper": Quantity("payoff units", "upper bound on what any menu earns from the continuum of types"),
}


def read(market: Market, data: Mapping[str, Any]) -> Menu:
    """The menu that a mechanism file states, checked against the market; ``Menu.to_json`` is its inverse.

    Parameters
    ----------
    market : Market
    data : mapping
        As for an information market with one context per own signal: ``items``, and for finitely many types perhaps
        ``assignment``.

    Returns
    -------
    Menu

    Raises
    ------
    InstanceError
        With the field that does not fit.

    Examples
    --------
    >>> from optmarket.models.selling_training_data import Params, market
    >>> buyers = market(Params.model_validate({"types": [{"weight": 1, "alpha": "1/5", "beta": "1/10"}]}))
    >>> read(buyers, {"items": [{"experiment": [[1, 0], [0, 1]], "price": "1/3"}]}).to_json()["items"][0]["price"]
    '1/3'
    """
    match market:
        case LineOfTypes():
            return read_on_line(market, data)
        case FiniteTypes():
            return selling_information.read(market.information, data)


def audit(market: Market, menu: Menu) -> Audit:
    """What a menu does to buyers as they are, recomputed from error probabilities with numpy alone.

    Parameters
    ----------
    market : Market
    menu : Menu
        For finitely many types perhaps with an assignment. A continuum of types chooses from the menu: its audit is exact up to
        the accuracy of the distribution function, and nothing can be violated.

    Returns
    -------
    Audit

    Examples
    --------
    >>> from optmarket.models.selling_training_data import Params, market, read
    >>> buyers = market(Params.model_validate({"types": [{"weight": 1, "alpha": "1/5", "beta": "1/10"}]}))
    >>> complete = read(buyers, {"items": [{"experiment": [[1, 0], [0, 1]], "price": "1/4"}]})
    >>> audit(buyers, complete).quantities["revenue"]
    0.25
    """
    match market:
        case LineOfTypes():
            return Audit(on_line(market, menu).demand.quantities, {})
        case FiniteTypes():
            return selling_information.audit(market.information, menu)
