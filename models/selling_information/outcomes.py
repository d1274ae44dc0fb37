"""What a menu does, for certificates and for people: quantities, the audit, and the tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from optmarket.errors import InstanceError
from optmarket.lp.program import FloatArray, IntArray, NumberArray
from optmarket.models.selling_information.market import Market
from optmarket.models.selling_information.menu import NOTHING, TIE, Demand, Menu, best_reply, distinct_items, of_cheapest, values
from optmarket.models.selling_information.params import Params
from optmarket.rationals import floats, matrix_product
from optmarket.solution import Audit, weightless

NEGLIGIBLE = 1e-9
SMALL = 50_000  # products of numbers in an audit that is made in exact arithmetic
UNITS = {
    **dict.fromkeys(("revenue", "revenue-error", "surplus", "welfare"), "payoff units"),
    **dict.fromkeys(("share-served", "differential-informativeness"), "probability"),
    **dict.fromkeys(("full-information-revenue", "full-information-price", "first-best"), "payoff units"),
    **dict.fromkeys(("unrestricted-revenue", "loss"), "payoff units"),
}


def quantities(market: Market, menu: Menu) -> dict[str, float]:
    """Named scalars of a menu in its market, in `UNITS`."""
    single, single_price = market.full_information
    return {
        **_outcome(market, Menu.read(market, menu.as_mechanism(), exact=True) if _is_small(market, menu) else menu),
        "full-information-revenue": float(single),
        "full-information-price": float(single_price),
        "first-best": float(market.first_best),
    }


def audit(params: Params, mechanism: Mapping[str, Any]) -> Audit:
    """What a mechanism does to buyers as they are, computed from beliefs and payoffs with numpy alone.

    Parameters
    ----------
    params : Params
    mechanism : mapping
        ``items`` and perhaps ``assignment``, as in a mechanism file. A menu without assignment lets buyers choose, ties for the
        seller, and has nothing to violate.

    Returns
    -------
    Audit
        Quantities ``revenue`` (as assigned), ``surplus``, ``welfare``, ``share-served``, perhaps ``differential-informativeness``
        (see `of_cheapest`), and for an assignment ``revenue-best-reply``, what is earned when buyers choose freely. Violations
        ``misreport`` (take another type's item and obey it), ``disobey`` (keep one's item and act otherwise), ``both``,
        ``individual-rationality`` (buy nothing).

    Raises
    ------
    InstanceError
        If the mechanism does not fit the market, or lists more different items than it allows.
    """
    market = Market.of(params)
    menu = Menu.read(market, mechanism)
    if _is_small(market, menu):
        menu = Menu.read(market, mechanism, exact=True)
    if params.max_items is not None and (listed := distinct_items(menu.in_floats())) > params.max_items:
        raise InstanceError(f"lists {listed} different items; the market allows {params.max_items} (max_items)", field="items")
    found = _outcome(market, menu)
    unit = float(market.unit)
    if menu.assignment is None:
        return Audit(found, {}, unit)
    demand = Demand.of(market, exact=menu.is_exact)
    value = values(demand.product, menu.experiment)
    found["revenue-best-reply"] = _total(
        market, np.append(menu.price, 0)[best_reply(demand.utility(value, menu.price), menu.price, _tie(menu), for_seller=True)]
    )
    types = np.arange(len(value))
    nothing = np.zeros((len(value), 1), dtype=value.dtype)
    obeyed = np.hstack([demand.utility(_obeyed(demand, market, menu.experiment), menu.price), nothing])
    best = np.hstack([demand.utility(value, menu.price), nothing])
    own = obeyed[types, menu.assignment]
    reachable = np.unique(menu.assignment)
    gains = {
        "misreport": obeyed[:, reachable].max(axis=1) - own,
        "disobey": best[types, menu.assignment] - own,
        "both": best[:, reachable].max(axis=1) - own,
        "individual-rationality": -own,
    }
    active = market.active
    # a price, too, is at stake: of a type to which information is worth nothing it is all there is
    prices = np.append(menu.price, 0)[menu.assignment] / demand.stakes
    worth = np.maximum(floats(market.worth / market.stakes), np.abs(floats(prices)))
    idle = np.setdiff1d(types, active)
    most = {name: max(0.0, float((gain * demand.stakes)[idle].max(initial=0))) for name, gain in gains.items()}
    return Audit(
        found,
        {name: max(0.0, float((gain * demand.stakes)[active].max())) for name, gain in gains.items()},
        unit,
        notes=weightless(most) if len(idle) else (),
        relative={name: max(0.0, float(_shares(floats(gain), worth)[active].max(initial=0.0))) for name, gain in gains.items()},
    )


def tables(market: Market, mechanism: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """The menu, one row per item and state, and the types, one row each.

    Probabilities and shares are plain numbers, prices and gains in payoff units.
    """
    menu = Menu.read(market, mechanism)
    choice = _choice(market, menu)
    return {"menu": _menu_table(market, menu, choice), "types": _types_table(market, menu, choice)}


def _is_small(market: Market, menu: Menu) -> bool:
    """Whether exact arithmetic audits a menu in no time."""
    return bool(market.advantage.size * menu.experiment.shape[0] * menu.experiment.shape[2] <= SMALL)


def _tie(menu: Menu) -> float:
    return 0 if menu.is_exact else TIE


def _shares(gain: FloatArray, worth: FloatArray) -> FloatArray:
    """Gains as shares of what is at stake; those of nothing at stake are infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(gain > 0, gain / worth, 0.0))


def _choice(market: Market, menu: Menu) -> IntArray:
    """What each type has: as assigned, or as it chooses, ties for the seller."""
    if menu.assignment is not None:
        return menu.assignment
    demand = Demand.of(market, exact=menu.is_exact)
    utility = demand.utility(values(demand.product, menu.experiment), menu.price)
    return best_reply(utility, menu.price, _tie(menu), for_seller=True)


def _obeyed(demand: Demand, market: Market, experiment: NumberArray) -> NumberArray:
    """What each item is worth to each type that follows its recommendations, in its stakes, shape (T, M)."""
    contexts = np.arange(demand.product.shape[2])
    gain = demand.product[:, :, contexts, market.profiles].sum(axis=3)
    return matrix_product(gain.reshape(len(gain), -1), experiment.reshape(len(experiment), gain[0].size).T)


def _kept(market: Market, menu: Menu, choice: IntArray) -> NumberArray:
    """What each type gains by its item before it pays, in payoff units, shape (T,)."""
    demand = Demand.of(market, exact=menu.is_exact)
    worth = values(demand.product, menu.experiment) if menu.assignment is None else _obeyed(demand, market, menu.experiment)
    worth = np.hstack([worth, np.zeros((len(worth), 1), dtype=worth.dtype)])
    return np.asarray(worth[np.arange(len(worth)), choice] * demand.stakes)


def _total(market: Market, amounts: NumberArray) -> float:
    """Amounts of all types, weighted."""
    if amounts.dtype == object:
        return float(sum(market.weight * amounts, Fraction(0)))
    return math.fsum(market.weights * amounts)


def _outcome(market: Market, menu: Menu) -> dict[str, float]:
    choice = _choice(market, menu)
    got, paid = _kept(market, menu, choice), np.append(menu.price, 0)[choice]
    binary = (len(market.states), len(market.actions), market.joint.shape[2]) == (2, 2, 1)
    sold = np.setdiff1d(choice[market.active], NOTHING)
    cheapest = of_cheapest(floats(menu.experiment), floats(menu.price), sold) if binary else {}
    return {
        "revenue": _total(market, paid),
        "surplus": _total(market, got - paid),
        "welfare": _total(market, got),
        "share-served": math.fsum(market.weights[choice != NOTHING]),
        **cheapest,
    }


def _menu_table(market: Market, menu: Menu, choice: IntArray) -> pd.DataFrame:
    signals = _signal_names(market, menu)
    shown = [n for n in range(len(signals)) if menu.experiment[:, :, n].any()] or list(range(len(signals)))
    rows: list[list[Any]] = []
    for number, item in enumerate(np.lexsort((np.arange(len(menu.price)), menu.price)), start=1):
        buyers = choice == item
        experiment = menu.experiment[item]
        for state, name in enumerate(market.states):
            rows.append(
                [
                    number,
                    _kind(experiment),
                    float(menu.price[item]),
                    math.fsum(market.weights[buyers]),
                    _described(market, buyers),
                    name,
                    *(float(experiment[state, n]) for n in shown),
                ]
            )
    columns = ["item", "kind", "price", "share", "bought by", "state", *(signals[n] for n in shown)]
    return pd.DataFrame(rows, columns=columns)


def _signal_names(market: Market, menu: Menu) -> list[str]:
    if menu.assignment is not None:
        return list(market.profile_names())
    return [f"signal {n + 1}" for n in range(menu.experiment.shape[2])]


def _kind(experiment: FloatArray) -> str:
    if np.all((experiment > 0).sum(axis=0) <= 1):
        return "full"
    return "none" if np.allclose(experiment, experiment[0], rtol=0, atol=1e-12) else "partial"


def _described(market: Market, buyers: Any) -> str:
    """Buyers in words: an interval of beliefs where there is one, else their names, shortened."""
    picked = np.flatnonzero(buyers & (market.weight != 0))
    if not len(picked):
        return "nobody"
    theta = floats(market.joint[:, 0, 0])
    binary = market.joint.shape[1:] == (2, 1)
    if binary and len(picked) > 3:
        low, high = theta[picked].min(), theta[picked].max()
        others = np.flatnonzero(~buyers & (market.weight != 0))
        if not np.any((theta[others] >= low) & (theta[others] <= high)):
            return f"Pr({market.states[0]}) {low:.4g} to {high:.4g}"
    names = [market.names[k] for k in picked]
    return ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:5])} and {len(names) - 5} more"


def _types_table(market: Market, menu: Menu, choice: IntArray) -> pd.DataFrame:
    worth = floats(market.worth)
    rank = np.empty(len(menu.price) + 1, dtype=object)
    rank[np.lexsort((np.arange(len(menu.price)), menu.price))] = np.arange(1, len(menu.price) + 1)
    rank[NOTHING] = 0
    price = np.append(menu.price, 0.0)[choice]
    gain = _kept(market, menu, choice) - price
    gain[np.abs(gain) <= NEGLIGIBLE * worth] = 0.0  # what the discount leaves, for people
    belief = floats(market.joint.sum(axis=2))
    return pd.DataFrame(
        {
            "type": list(market.names),
            "weight": market.weights,
            **{f"Pr({state})": belief[:, w] for w, state in enumerate(market.states)},
            "full value": worth,
            "item": rank[choice].astype(int),
            "price": price,
            "gain": gain,
        }
    )
