"""The tables of a solution: the menu, one row an item, and where there are finitely many the types, one row each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from optmarket.arrays import IntArray
from optmarket.models import selling_information
from optmarket.models.selling_information import Menu
from optmarket.models.selling_training_data.items import COMPLETE, NOTHING_REMOVED, shares_left
from optmarket.models.selling_training_data.line import MenuOnLine, on_line
from optmarket.models.selling_training_data.populations import LineOfTypes, Market, TypesByErrors, TypesByMeasure

if TYPE_CHECKING:
    import pandas as pd

SHARES_LEFT = ("error 1 left", "error 2 left")
COLUMNS = ("item", "kind", "price", "share", "bought by")


def tables(market: Market, menu: Menu) -> dict[str, pd.DataFrame]:
    """The menu, and where there are finitely many the types, one row each.

    Parameters
    ----------
    market : Market
    menu : Menu

    Returns
    -------
    dict of DataFrame
        ``error 1 left`` and ``error 2 left`` are the shares of the two errors that an item leaves to buyers that use their own
        data where it says nothing. Prices and gains are in payoff units.

    Examples
    --------
    >>> from optmarket.models.selling_training_data import Params, market, read
    >>> buyers = market(Params.model_validate({"types": [{"weight": 1, "alpha": "1/5", "beta": "1/10"}]}))
    >>> complete = read(buyers, {"items": [{"experiment": [[1, 0], [0, 1]], "price": "1/4"}]})
    >>> tables(buyers, complete)["menu"].to_dict("records")[0]["error 1 left"]
    0.0
    """
    match market:
        case LineOfTypes():
            return {"menu": _menu_on_line(on_line(market, menu))}
        case TypesByMeasure():
            return selling_information.tables(market.information, menu)
        case TypesByErrors():
            return _of_types_by_errors(market, menu)


def _of_types_by_errors(market: TypesByErrors, menu: Menu) -> dict[str, pd.DataFrame]:
    found = selling_information.tables(market.information, menu)
    types = found["types"].drop(columns=[name for name in found["types"] if str(name).startswith("Pr(")])
    types.insert(2, "alpha", [float(alpha) for alpha, _ in market.errors])
    types.insert(3, "beta", [float(beta) for _, beta in market.errors])
    left = [shares_left(item) for item in menu.in_floats.experiment[_by_price(menu)]]
    if any(shares is None for shares in left):
        return {"menu": found["menu"], "types": types}
    items = found["menu"].drop_duplicates("item")[list(COLUMNS)].reset_index(drop=True)
    for k, name in enumerate(SHARES_LEFT):
        items[name] = [shares[k] if shares else np.nan for shares in left]
    return {"menu": items, "types": types}


def _menu_on_line(menu: MenuOnLine) -> pd.DataFrame:
    import pandas as pd

    demand, given = menu.demand, menu.in_floats
    rows: list[list[Any]] = []
    for number, item in enumerate(_by_price(menu), start=1):
        left = shares_left(given.experiment[item])
        kind = "full" if left == COMPLETE else "none" if left == NOTHING_REMOVED else "partial"
        buying = demand.item == item
        share = float(demand.mass[buying].sum())
        where = _intervals_in_words(demand.edges, buying & (demand.mass > 0))
        rows.append([number, kind, float(given.price[item]), share, where, *(left or (np.nan, np.nan))])
    return pd.DataFrame(rows, columns=[*COLUMNS, *SHARES_LEFT])


def _by_price(menu: Menu) -> IntArray:
    """The items from the cheapest to the highest-priced, as tables number them."""
    return np.argsort(menu.in_floats.price, kind="stable")


def _intervals_in_words(edges: Any, buying: Any) -> str:
    """The intervals of alpha, between these edges, in which types buy; neighbouring ones joined."""
    ends: list[list[float]] = []
    for k in np.flatnonzero(buying):
        if ends and ends[-1][1] == edges[k]:
            ends[-1][1] = edges[k + 1]
        else:
            ends.append([edges[k], edges[k + 1]])
    return ", ".join(f"alpha {low:.4g} to {high:.4g}" for low, high in ends) or "nobody"
