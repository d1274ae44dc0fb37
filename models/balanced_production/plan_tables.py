"""Tables: groups, sellers, buyers, what the target costs each party, equilibria, targets and growth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.models.balanced_production.best_target import best_target
from optmarket.models.balanced_production.growth import growth_path, limit
from optmarket.models.balanced_production.market import Market
from optmarket.models.balanced_production.mechanism import ProductionPlan
from optmarket.models.balanced_production.outcomes import Outcome, outcome
from optmarket.models.balanced_production.solver import scenarios
from optmarket.models.balanced_production.thresholds_of_targets import asked_targets, formation, forming_groups, thresholds
from optmarket.rationals import floats

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 20  # rows of equilibria and of targets that a table shows


def tables(market: Market, plan: ProductionPlan) -> dict[str, pd.DataFrame]:
    """Groups, sellers, buyers and parties, equilibria and, where asked for, targets, the best target and growth.

    Examples
    --------
    >>> from optmarket.models.balanced_production.params import Params
    >>> task = {"Z": 1, "alpha": 1, "beta": 1}
    >>> market = Market.of(Params(potential_value=[1], task=task, cost=["1/10"]))
    >>> plan = ProductionPlan.read(market, {"prices": [1], "samples": [["5/2"]]})
    >>> tables(market, plan)["groups"][["samples", "accuracy", "revenue"]].round(9).values.tolist()
    [[2.5, 0.6, 0.6]]
    """
    import pandas as pd

    before = outcome(market, plan.prices, plan.samples, balanced=False)
    after = None
    if plan.target_prices is not None and plan.target_samples is not None:
        after = outcome(market, plan.target_prices, plan.target_samples, balanced=True)
    groups: dict[str, Any] = {
        "group": list(market.groups),
        "lowest cost": floats(market.cost).min(axis=0),
        "threshold": thresholds(market),
        "forms": ["yes" if one else "no" for one in forming_groups(market)],
        "reserve price": plan.prices,
        **_of_scenario(before, plan.prices, market, ""),
    }
    sellers: dict[str, Any] = {
        "seller": [str(j) for j in range(1, market.sellers + 1)],
        "samples": plan.samples.sum(axis=1),
        "profit": before.seller_profit,
    }
    buyers: dict[str, Any] = {"buyer": list(market.buyers), "surplus": before.buyer_surplus}
    found: dict[str, pd.DataFrame] = {}
    if after is not None and plan.target_prices is not None and plan.target_samples is not None:
        groups |= {"target": floats(market.target), **_of_scenario(after, plan.target_prices, market, "target ")}
        sellers |= {"target samples": plan.target_samples, "target profit": after.seller_profit}
        sellers["profit ratio"] = _ratio(after.seller_profit, before.seller_profit, market)
        buyers |= {"target surplus": after.buyer_surplus}
        buyers["surplus ratio"] = _ratio(after.buyer_surplus, before.buyer_surplus, market)
        old, new = before.parties(market), after.parties(market)
        rows = [(name.replace("-", " "), old[name], new[name], new[name] - old[name]) for name in old]
        parties = pd.DataFrame(rows, columns=["party", "without target", "under target", "change"])
        parties["ratio"] = _ratio(parties["under target"].to_numpy(), parties["without target"].to_numpy(), market)
        found["cost of fairness"] = parties
    found["groups"] = pd.DataFrame(groups)
    found["sellers"] = pd.DataFrame(sellers)
    if market.buyers_known:
        found["buyers"] = pd.DataFrame(buyers)
    found["equilibria"] = _equilibria(market)
    if market.params.targets or market.params.target_grid:
        targets = asked_targets(market)
        family = formation(market, targets)
        shown: dict[str, Any] = {name: targets[:MOST_ROWS, g] for g, name in enumerate(market.groups)}
        shown |= {"cost per sample": family.cost[:MOST_ROWS], "highest that forms": family.threshold[:MOST_ROWS]}
        shown["backfires"] = ["yes" if one else "no" for one in family.backfires[:MOST_ROWS]]
        found["targets"] = pd.DataFrame(shown)
    if (best := best_target(market)) is not None:
        found["best target"] = pd.DataFrame({"group": list(market.groups), "share": best.target})
    if path := growth_path(market):
        end = limit(market)
        growth: list[list[Any]] = [
            [
                f"{one.size:g}",
                *(part.get(name) for part in (one.nash, one.joint) for name in ("revenue", "seller-profit")),
            ]
            for one in path
        ]
        if end is not None:
            growth.append(["limit", end, end, end, end])
        names = ["market size", "revenue ratio", "profit ratio", "joint-profit revenue ratio", "joint-profit profit ratio"]
        found["growth"] = pd.DataFrame(growth, columns=names, dtype=object)
    return found


def _of_scenario(one: Outcome, prices: FloatArray, market: Market, prefix: str) -> dict[str, Any]:
    pays = (floats(market.value) >= prices) & (floats(market.value) > 0)
    weight = floats(market.count) * pays
    total = one.samples.sum()
    accuracy = (weight * one.accuracy).sum(axis=0) / np.maximum(1e-300, weight.sum(axis=0))
    return {
        f"{prefix}samples": one.samples,
        f"{prefix}share": one.samples / total if total > 0 else np.zeros(len(one.samples)),
        f"{prefix}accuracy": accuracy,
        f"{prefix}revenue": one.revenue,
    }


def _ratio(new: FloatArray, old: FloatArray, market: Market) -> pd.Series[Any]:
    """Ratios; nothing where what is divided by is 0."""
    import pandas as pd

    least = 1e-12 * market.unit
    return pd.Series([a / b if b > least else None for a, b in zip(new.tolist(), old.tolist(), strict=True)], dtype=object)


def _equilibria(market: Market) -> pd.DataFrame:
    import pandas as pd

    before, under = scenarios(market)
    named = [*zip(market.groups, before, strict=True), *([("all, under the target", under)] if under is not None else [])]
    rows = []
    for name, found in named:
        for one in found.profiles[:MOST_ROWS]:
            samples = one.production.samples
            listed = ", ".join(f"{x:.6g}" for x in samples[:8]) + (f" and {len(samples) - 8} more" if len(samples) > 8 else "")
            price = ", ".join(f"{float(x):.6g}" for x in one.prices[:8])
            rows.append((name, price, one.production.active, listed, one.production.potential, one.gain))
    return pd.DataFrame(rows, columns=["group", "reserve price", "active sellers", "samples", "potential", "deviation gain"])
