"""What a menu does, for certificates and for people: quantities, the audit, and the tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from optmarket.errors import InstanceError
from optmarket.models._selling_information_fields import Params
from optmarket.models._selling_information_market import Market
from optmarket.models._selling_information_menu import NOTHING, TIE, Menu, choose, distinct_items, earned, of_cheapest, values
from optmarket.numbers import floats
from optmarket.program import FloatArray, IntArray
from optmarket.solution import Audit

NEGLIGIBLE = 1e-9
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
        **_outcome(market, menu, *_primitives(market)),
        "full-information-revenue": float(single),
        "full-information-price": float(single_price),
        "first-best": float((market.weight * market.worth).sum()),
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
    if params.max_items is not None and (listed := distinct_items(menu)) > params.max_items:
        raise InstanceError(f"lists {listed} different items; the market allows {params.max_items} (max_items)", field="items")
    product, outside = _primitives(market)
    found = _outcome(market, menu, product, outside)
    unit = float(market.scale)
    if menu.assignment is None:
        return Audit(found, {}, unit)
    value = values(product, menu.experiment)
    found["revenue-best-reply"] = earned(
        market.weights, menu.price, choose(value, outside, menu.price, TIE * unit, for_seller=True)
    )
    types = np.arange(len(outside))
    obeyed = np.column_stack([_obeyed(market, product, menu.experiment) - menu.price, outside])
    best = np.column_stack([value - menu.price, outside])
    own = obeyed[types, menu.assignment]
    reachable = np.unique(menu.assignment)
    gains = {
        "misreport": obeyed[:, reachable].max(axis=1) - own,
        "disobey": best[types, menu.assignment] - own,
        "both": best[:, reachable].max(axis=1) - own,
        "individual-rationality": outside - own,
    }
    active = market.active
    return Audit(found, {name: max(0.0, float(gain[active].max())) for name, gain in gains.items()}, unit)


def tables(market: Market, mechanism: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """The menu, one row per item and state, and the types, one row each.

    Probabilities and shares are plain numbers, prices and gains in payoff units.
    """
    menu = Menu.read(market, mechanism)
    product, outside = _primitives(market)
    value = values(product, menu.experiment)
    choice = _choice(market, menu, value, outside)
    return {"menu": _menu_table(market, menu, choice), "types": _types_table(market, menu, choice, value, outside)}


def _primitives(market: Market) -> tuple[FloatArray, FloatArray]:
    """Measure times payoff above the state's worst, shape (T, W, K, A), and the outside option, shape (T,), in payoff units."""
    # what a state pays whatever one does is taken off exactly: in floats a large one would drown what is at stake
    joint, payoff = floats(market.joint), floats(market.payoff - market.payoff.min(axis=2, keepdims=True))
    product = joint[:, :, :, None] * payoff[:, :, None, :]
    return product, product.sum(axis=1).max(axis=2).sum(axis=1)


def _choice(market: Market, menu: Menu, value: FloatArray, outside: FloatArray) -> IntArray:
    if menu.assignment is not None:
        return menu.assignment
    return choose(value, outside, menu.price, TIE * float(market.scale), for_seller=True)


def _obeyed(market: Market, product: FloatArray, experiment: FloatArray) -> FloatArray:
    """What each item is worth to each type that follows its recommendations, shape (T, M)."""
    contexts = np.arange(product.shape[2])
    gain = product[:, :, contexts, market.profiles].sum(axis=3)
    return np.tensordot(gain, experiment, axes=([1, 2], [1, 2]))


def _outcome(market: Market, menu: Menu, product: FloatArray, outside: FloatArray) -> dict[str, float]:
    value = values(product, menu.experiment)
    choice = _choice(market, menu, value, outside)
    if menu.assignment is not None:
        value = _obeyed(market, product, menu.experiment)
    got = np.column_stack([value, outside])[np.arange(len(outside)), choice] - outside
    revenue = earned(market.weights, menu.price, choice)
    welfare = math.fsum(market.weights * got)
    binary = (len(market.states), len(market.actions), product.shape[2]) == (2, 2, 1)
    sold = np.setdiff1d(choice[market.active], NOTHING)
    return {
        "revenue": revenue,
        "surplus": welfare - revenue,
        "welfare": welfare,
        "share-served": math.fsum(market.weights[choice != NOTHING]),
        **(of_cheapest(menu.experiment, menu.price, sold) if binary else {}),
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


def _types_table(market: Market, menu: Menu, choice: IntArray, value: FloatArray, outside: FloatArray) -> pd.DataFrame:
    worth = floats(market.worth)
    rank = np.empty(len(menu.price) + 1, dtype=object)
    rank[np.lexsort((np.arange(len(menu.price)), menu.price))] = np.arange(1, len(menu.price) + 1)
    rank[NOTHING] = 0
    price = np.concatenate([menu.price, [0.0]])[choice]
    gain = np.column_stack([value, outside])[np.arange(len(outside)), choice] - outside - price
    gain[np.abs(gain) <= NEGLIGIBLE * float(market.scale)] = 0.0  # what the discount leaves, for people
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
