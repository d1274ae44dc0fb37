"""The tables of a menu for people: its items, one row for each item and state, and the types, one row each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.models.selling_information.market_arrays import Market
from optmarket.models.selling_information.menu import NOTHING, Menu
from optmarket.models.selling_information.outcomes import outcome_of
from optmarket.rationals import floats

if TYPE_CHECKING:
    import pandas as pd

# Of what full information is worth to a type: a smaller gain is what the discount on all prices leaves, and is shown as 0.
SHOWN_AS_NO_GAIN = 1e-9
# Of a probability: rows of an experiment that differ by less are the same, and the item tells nothing.
TELLS_NOTHING = 1e-12
MOST_NAMES = 6  # of an item's buyers in one cell


def tables(market: Market, menu: Menu) -> dict[str, pd.DataFrame]:
    """The menu, one row per item and state, and the types, one row each.

    Probabilities and shares are plain numbers, prices and gains in payoff units.

    Examples
    --------
    >>> from optmarket.models.selling_information.params import Params
    >>> market = Market.of(Params.model_validate({"types": [{"weight": 1, "belief": ["1/4", "3/4"]}]}))
    >>> tables(market, Menu(np.eye(2)[None], np.array([0.25]), np.array([0])))["menu"]["kind"].tolist()
    ['full', 'full']
    """
    choice = outcome_of(market, menu).choice
    buys = [choice == item for item in range(len(menu.price))]
    share = [math.fsum(market.weights[buyers]) for buyers in buys]
    bought_by = [_described(market, buyers) for buyers in buys]
    signals = market.profile_names() if menu.assignment is not None else ()
    return {"menu": menu_table(market.states, menu, share, bought_by, signals), "types": _types_table(market, menu)}


def menu_table(
    states: Sequence[str], menu: Menu, share: Sequence[float], bought_by: Sequence[str], signals: Sequence[str] = ()
) -> pd.DataFrame:
    """A menu, one row for each item and state, the cheapest item first; signals that are never sent are left out.

    Parameters
    ----------
    states : sequence of str
    menu : Menu
    share : sequence of float
        Of buyers, who take each item.
    bought_by : sequence of str
        Each item's buyers in words.
    signals : sequence of str
        Their names; numbers, if not given.
    """
    import pandas as pd

    menu = menu.in_floats
    names = signals or [f"signal {n + 1}" for n in range(menu.experiment.shape[2])]
    sent = [n for n in range(len(names)) if menu.experiment[:, :, n].any()] or list(range(len(names)))
    rows: list[list[Any]] = []
    for number, item in enumerate(menu.by_price.tolist(), start=1):
        experiment = menu.experiment[item]
        first = [number, _kind(experiment), float(menu.price[item]), share[item], bought_by[item]]
        rows.extend([*first, state, *(float(experiment[w, n]) for n in sent)] for w, state in enumerate(states))
    return pd.DataFrame(rows, columns=["item", "kind", "price", "share", "bought by", "state", *(names[n] for n in sent)])


def _kind(experiment: FloatArray) -> str:
    """Whether an item tells the states fully, in part or not at all."""
    if np.all((experiment > 0).sum(axis=0) <= 1):
        return "full"
    return "none" if np.allclose(experiment, experiment[0], rtol=0, atol=TELLS_NOTHING) else "partial"


def _described(market: Market, buyers: Any) -> str:
    """Buyers in words: an interval of beliefs where there is one, else their names, shortened."""
    picked = np.flatnonzero(buyers & (market.weights != 0))
    if not len(picked):
        return "nobody"
    binary = market.joint.shape[1:] == (2, 1)
    if binary and len(picked) > 3:
        theta = market.float_beliefs[:, 0]
        low, high = theta[picked].min(), theta[picked].max()
        others = np.flatnonzero(~buyers & (market.weights != 0))
        if not np.any((theta[others] >= low) & (theta[others] <= high)):
            return f"Pr({market.states[0]}) {low:.4g} to {high:.4g}"
    names = [market.names[k] for k in picked]
    return ", ".join(names) if len(names) <= MOST_NAMES else f"{', '.join(names[:5])} and {len(names) - 5} more"


def _types_table(market: Market, menu: Menu) -> pd.DataFrame:
    import pandas as pd

    found = outcome_of(market, menu)
    rank = np.zeros(len(menu.price) + 1, dtype=np.int64)
    rank[menu.by_price] = np.arange(1, len(menu.price) + 1)
    rank[NOTHING] = 0
    worth, price = market.float_worth, floats(found.paid)
    gain = floats(found.gained - found.paid)
    gain[np.abs(gain) <= SHOWN_AS_NO_GAIN * worth] = 0.0
    return pd.DataFrame(
        {
            "type": list(market.names),
            "weight": market.weights,
            **{f"Pr({state})": market.float_beliefs[:, w] for w, state in enumerate(market.states)},
            "full value": worth,
            "item": rank[found.choice],
            "price": price,
            "gain": gain,
        }
    )
