"""What a plan of production brings to everybody: quantities and the audit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.certificates import Audit
from optmarket.modeling.registry import Quantity
from optmarket.models.balanced_production.equilibria import deviation_gain
from optmarket.models.balanced_production.market import Market
from optmarket.models.balanced_production.mechanism import ProductionPlan
from optmarket.models.balanced_production.shapley import coalitions, shapley_values
from optmarket.models.balanced_production.thresholds_of_targets import (
    asked_targets,
    formation,
    forming_groups,
    safe_costs,
    thresholds,
)
from optmarket.rationals import floats

MONEY, COUNT, SAMPLES = "payoff units", "count", "samples"
PARTIES = {
    "revenue": "what the marketplace collects from buyers, which sellers share",
    "seller-profit": "profit of all sellers together",
    "buyer-surplus": "what accuracy is worth to buyers less what they pay",
    "total-surplus": "what accuracy is worth to buyers who pay less the cost of data",
}
QUANTITIES = {
    **{name: Quantity(MONEY, f"{label}, without a target") for name, label in PARTIES.items()},
    "samples": Quantity(SAMPLES, "samples of all groups, without a target"),
    "samples-of-first-group": Quantity(SAMPLES, "samples of the first group, without a target"),
    "samples-of-first-seller": Quantity(SAMPLES, "samples of the first seller, without a target"),
    "profit-of-first-seller": Quantity(MONEY, "profit of the first seller, without a target"),
    "share-of-first-group": Quantity("share", "share of the first group in all samples, without a target"),
    "active-sellers": Quantity(COUNT, "sellers who produce something, without a target"),
    "equilibria": Quantity(COUNT, "equilibria found for the first group, without a target"),
    "forming-groups": Quantity(COUNT, "groups about which data are produced without a target"),
    "cost-to-threshold": Quantity("ratio", "largest ratio of a group's cost to its threshold: above 1 it does not form"),
    **{f"target-{name}": Quantity(MONEY, f"{label}, under the target") for name, label in PARTIES.items()},
    "target-samples": Quantity(SAMPLES, "samples of all groups, under the target"),
    "target-samples-of-first-seller": Quantity(SAMPLES, "samples of the first seller, under the target"),
    "target-active-sellers": Quantity(COUNT, "sellers who produce something, under the target"),
    "target-equilibria": Quantity(COUNT, "equilibria found under the target"),
    "target-cost": Quantity(MONEY, "cost of a sample under the target, of the cheapest seller"),
    "target-threshold": Quantity(MONEY, "largest revenue per sample under the target: at a higher cost nothing is produced"),
    "target-accuracy-of-last-group": Quantity("accuracy", "accuracy about the last group under the target"),
    "backfires": Quantity("1 or 0", "whether the market forms without the target and not under it"),
    **{
        f"{name}-ratio": Quantity("ratio", f"{name.replace('-', ' ')} under the target relative to that without")
        for name in PARTIES
    },
    "joint-samples-of-first-seller": Quantity(SAMPLES, "samples of the first group by a seller if joint profit is maximised"),
    "joint-profit-of-first-seller": Quantity(MONEY, "a seller's profit about the first group then"),
    "joint-deviation-gain": Quantity(MONEY, "what a seller gains by leaving that profile, which the source calls an equilibrium"),
    "joint-target-samples-of-first-seller": Quantity(SAMPLES, "a seller's samples if joint profit under the target is maximised"),
    "joint-target-deviation-gain": Quantity(MONEY, "what a seller gains by leaving that profile"),
    "safe-ratio-printed": Quantity("ratio", "cost to threshold below which the target is safe, as printed in the source"),
    "safe-ratio-simple": Quantity("ratio", "the same, by the smallest and the largest share of the target"),
    "safe-ratio-sharp": Quantity("ratio", "the same, the largest that holds if all groups bring something"),
    "targets": Quantity(COUNT, "targets asked about"),
    "targets-that-backfire": Quantity(COUNT, "how many of them would end the market"),
    "best-target-value": Quantity(MONEY, "what the best target found brings to whom it is sought for"),
    "best-target-bound": Quantity(MONEY, "upper bound on what any allowed target could bring"),
    "best-target-first-share": Quantity("share", "share of the first group in the best target found"),
    "growth-revenue-ratio": Quantity("ratio", "ratio of revenue under the target in the last market of the growth path"),
    "growth-seller-profit-ratio": Quantity("ratio", "ratio of sellers' profit there"),
    "growth-joint-revenue-ratio": Quantity("ratio", "ratio of revenue there if joint profit is maximised, as in the source"),
    "growth-joint-seller-profit-ratio": Quantity("ratio", "ratio of sellers' profit there if joint profit is maximised"),
}


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one scenario brings.

    Attributes
    ----------
    samples, revenue : array, shape (G,)
        Samples of each group, and what buyers pay for predictions about it, in payoff units.
    accuracy : array, shape (N, G)
    seller_profit : array, shape (M,)
        In payoff units.
    buyer_surplus : array, shape (N,)
        Of all buyers of one entry, in payoff units.
    """

    samples: FloatArray
    revenue: FloatArray
    accuracy: FloatArray
    seller_profit: FloatArray
    buyer_surplus: FloatArray

    def parties(self, market: Market) -> dict[str, float]:
        """What marketplace, sellers, buyers and all of them get, by the names of `PARTIES`; buyers' only if they are known."""
        profit, surplus = float(self.seller_profit.sum()), float(self.buyer_surplus.sum())
        found = {"revenue": float(self.revenue.sum()), "seller-profit": profit}
        if market.buyers_known:
            found |= {"buyer-surplus": surplus, "total-surplus": profit + surplus}
        return found


def outcome(market: Market, prices: FloatArray, samples: FloatArray, *, balanced: bool) -> Outcome:
    """What production and reserve prices bring.

    Parameters
    ----------
    market : Market
    prices : array, shape (G,)
    samples : array, shape (M, G), or (M,) of all groups together if `balanced`
    balanced : bool
        Whether sellers produce all groups in the shares of the market's target, so that revenue is shared as one.
    """
    share = floats(market.target) if balanced and market.target is not None else np.ones(len(market.groups))
    total = share * samples.sum(axis=0)
    value, count = floats(market.value), floats(market.count)
    pays = value >= prices
    accuracy = market.accuracy(total)
    paid = count * pays * prices
    cost = floats(market.cost)

    def of_group(g: int, amounts: FloatArray) -> FloatArray:
        curve = [floats(one[:, g])[:, None] for one in (market.limit, market.alpha, market.beta)]
        with np.errstate(divide="ignore", over="ignore"):
            brings = np.maximum(0.0, curve[0] - curve[1] * amounts.ravel() ** -curve[2])
            return np.asarray(paid[:, g] @ brings).reshape(amounts.shape)

    if balanced:

        def of_all(amounts: FloatArray) -> FloatArray:
            return np.asarray(sum(of_group(g, amounts * share[g]) for g in range(len(share))))

        profit = shapley_values(of_all, samples) - cost @ share * samples
    else:
        profit = np.zeros(market.sellers)
        for g in range(len(share)):
            profit += shapley_values(partial(of_group, g), samples[:, g]) - cost[:, g] * samples[:, g]
    surplus = (count * pays * (value - prices) * accuracy).sum(axis=1)
    return Outcome(total, (paid * accuracy).sum(axis=0), accuracy, profit, surplus)


def quantities(market: Market, plan: ProductionPlan) -> dict[str, float]:
    """What a plan brings, by the names of `QUANTITIES`."""
    before = outcome(market, plan.prices, plan.samples, balanced=False)
    total = float(before.samples.sum())
    with np.errstate(divide="ignore"):
        relative = floats(market.cost).min(axis=0) / thresholds(market)
    found = {
        **before.parties(market),
        "samples": total,
        "samples-of-first-group": float(before.samples[0]),
        "samples-of-first-seller": float(plan.samples[0].sum()),
        "profit-of-first-seller": float(before.seller_profit[0]),
        "active-sellers": float((plan.samples > 0).any(axis=1).sum()),
        "forming-groups": float(forming_groups(market).sum()),
    }
    if math.isfinite(relative.max()):
        found["cost-to-threshold"] = float(relative.max())
    if total > 0:
        found["share-of-first-group"] = float(before.samples[0] / total)
    if market.target is None or plan.target_prices is None or plan.target_samples is None:
        return found
    after = outcome(market, plan.target_prices, plan.target_samples, balanced=True)
    found |= {f"target-{name}": value for name, value in after.parties(market).items()}
    found |= {
        "target-samples": float(plan.target_samples.sum()),
        "target-samples-of-first-seller": float(plan.target_samples[0]),
        "target-active-sellers": float((plan.target_samples > 0).sum()),
        "target-cost": float((floats(market.cost) @ floats(market.target)).min()),
        "target-accuracy-of-last-group": float(after.accuracy[:, -1].max()),
        **{f"{name}-ratio": ratio for name, ratio in ratios(market, before, after).items()},
    }
    found["backfires"] = float(found["forming-groups"] > 0 and found["target-samples"] == 0)
    if (safe := safe_costs(market)) is not None:
        found |= {f"safe-ratio-{name}": getattr(safe, name) for name in ("printed", "simple", "sharp")}
    return found


def ratios(market: Market, before: Outcome, after: Outcome) -> dict[str, float]:
    """What each party gets under the target relative to what it gets without, where that is above 0."""
    old, new = before.parties(market), after.parties(market)
    return {name: new[name] / value for name, value in old.items() if value > 1e-12 * market.unit}


def family_quantities(market: Market) -> dict[str, float]:
    """Of all targets asked about, how many backfire; and the threshold of the market's own."""
    found: dict[str, float] = {}
    targets = asked_targets(market)
    if len(targets) and all(market.has_common_task):
        family = formation(market, targets)
        if market.target is not None:
            found["target-threshold"] = float(family.threshold[0])
        if market.params.targets or market.params.target_grid:
            found |= {"targets": float(len(targets)), "targets-that-backfire": float(family.backfires.sum())}
    return found


# The audit, from values, learning curves and costs alone ---------------------------------------------------------------------

SEARCHED_CELLS = 4_000_000  # pieces times coalitions times terms of revenue
GOLDEN_STEPS = 90
SMALLEST_AMOUNT = 1e-200  # relative to the end of a piece that begins at 0
GOLDEN = (math.sqrt(5) - 1) / 2
# Totals of coalitions of the others, how likely each is, what it brings alone, and the cost of a sample.
Others = tuple[FloatArray, FloatArray, FloatArray, float]


def audit(market: Market, plan: ProductionPlan) -> Audit:
    """What the marketplace gains by other reserve prices and a seller by another production, without a target and under it.

    A seller's profit is concave between the amounts at which a coalition passes a learning ante. On each such piece that could
    bring more, its maximum is found by golden-section search on the profit itself. (The solver works with slopes.)

    Returns
    -------
    Audit
        Quantities of the plan, and the violations ``production`` and ``reserve-price``.

    Examples
    --------
    >>> from optmarket.models.balanced_production.params import Params
    >>> task = {"Z": 1, "alpha": 1, "beta": 1}
    >>> market = Market.of(Params(potential_value=[1], task=task, cost=["1/10"], sellers=2))
    >>> plan = ProductionPlan.read(market, {"prices": [1], "samples": [[1.5811388], [1.5811388]]})
    >>> {name: round(gain, 5) for name, gain in audit(market, plan).violations.items()}
    {'production': 0.06061, 'reserve-price': 0.0}
    """
    cost, groups = floats(market.cost), range(len(market.groups))
    terms = [_terms(market, g, float(plan.prices[g]), 1.0) for g in groups]
    seller = np.zeros(market.sellers)  # groups are independent of each other, so that gains add up
    for g in groups:
        seller += _gains(terms[g], plan.samples[:, g], cost[:, g])
    price = _price_gain(market, plan.prices, plan.samples.sum(axis=0))
    before = outcome(market, plan.prices, plan.samples, balanced=False)
    found = {**before.parties(market), "samples": float(before.samples.sum())}
    worst = float(seller.max())
    if market.target is not None and plan.target_prices is not None and plan.target_samples is not None:
        share = floats(market.target)
        joined = np.concatenate([_terms(market, g, float(plan.target_prices[g]), share[g]) for g in groups])
        worst = max(worst, float(_gains(joined, plan.target_samples, cost @ share).max()))
        price = max(price, _price_gain(market, plan.target_prices, share * plan.target_samples.sum()))
        after = outcome(market, plan.target_prices, plan.target_samples, balanced=True)
        found |= {f"target-{name}": value for name, value in after.parties(market).items()}
    return Audit(found, {"production": max(0.0, worst), "reserve-price": price}, market.unit)


def _terms(market: Market, group: int, price: float, share: float) -> FloatArray:
    """What is paid per unit of accuracy, the learning curve and the share of samples, a row for each kind of buyer who pays."""
    value = floats(market.value[:, group])
    pays = (value >= price) & (value > 0)
    paid = price * floats(market.count[:, group])
    columns = [paid, *(floats(one[:, group]) for one in (market.limit, market.alpha, market.beta)), np.full(len(value), share)]
    rows = np.stack(columns, axis=1)[pays & (paid > 0) & (share > 0)]
    # buyers of one learning curve count together
    kinds, place = np.unique(rows[:, 1:], axis=0, return_inverse=True)
    return np.concatenate([np.bincount(place.ravel(), rows[:, 0], len(kinds))[:, None], kinds], axis=1)


def _bring(terms: FloatArray, amounts: FloatArray) -> FloatArray:
    total = np.zeros(amounts.shape)
    with np.errstate(divide="ignore", over="ignore"):
        for paid, limit, alpha, beta, share in terms:
            total += paid * np.maximum(0.0, limit - alpha * (share * amounts) ** -beta)
    return total


def _gains(terms: FloatArray, samples: FloatArray, cost: FloatArray) -> FloatArray:
    """The most that each seller gains by another amount, shape (M,)."""
    gains = np.zeros(len(samples))
    if not len(terms):
        return np.asarray(cost * samples)  # whoever produces what nobody pays for gains by stopping
    with np.errstate(over="ignore"):
        antes = (terms[:, 2] / terms[:, 1]) ** (1 / terms[:, 3]) / terms[:, 4]
    antes = antes[np.isfinite(antes)]
    most = float((terms[:, 0] * terms[:, 1]).sum())
    _, first, place = np.unique(np.stack([samples, cost], axis=1), axis=0, return_index=True, return_inverse=True)
    for kind, j in enumerate(first):
        totals, chances = coalitions(np.delete(samples, j))
        alone = _bring(terms, totals)
        spent = float(cost[j])

        def profit(own: FloatArray, given: Others = (totals, chances, alone, float(cost[j]))) -> FloatArray:
            totals, chances, alone, spent = given
            return np.asarray((_bring(terms, totals + own[:, None]) - alone) @ chances - spent * own)

        kept = float(profit(samples[j : j + 1])[0])
        ends = np.subtract.outer(antes, totals).ravel()
        ends = np.unique(np.append(ends[(ends > 0) & (ends < most / spent)], [0.0, most / spent]))
        best = max(0.0, kept)
        step = max(1, SEARCHED_CELLS // (len(totals) * len(terms)))
        at_ends = np.concatenate([profit(ends[k : k + step]) for k in range(0, len(ends), step)])
        best = max(best, float(at_ends.max()))
        # Revenue rises with the amount, so that a piece brings at most what its right end does at the left end's cost.
        promising = np.flatnonzero(at_ends[1:] + spent * (ends[1:] - ends[:-1]) > best)
        for k in range(0, len(promising), step):
            # in logarithms, so that amounts of all sizes are found to the same relative precision
            right = ends[promising[k : k + step] + 1]
            low, high = np.log(np.maximum(ends[promising[k : k + step]], SMALLEST_AMOUNT * right)), np.log(right)
            for _ in range(GOLDEN_STEPS):
                width = GOLDEN * (high - low)
                rising = profit(np.exp(high - width)) < profit(np.exp(low + width))
                low, high = np.where(rising, high - width, low), np.where(rising, high, low + width)
            best = max(best, float(profit(np.exp(0.5 * (low + high))).max()))
        gains[place.ravel() == kind] = best - kept
    return gains


def _price_gain(market: Market, prices: FloatArray, samples: FloatArray) -> float:
    """What the marketplace gains by the best reserve prices for samples that are there, in payoff units."""
    value, paid = floats(market.value), floats(market.count) * market.accuracy(samples)
    gain = 0.0
    for g, price in enumerate(prices):
        earned = price * paid[value[:, g] >= price, g].sum()
        ordered = np.argsort(-value[:, g], kind="stable")
        best = (value[ordered, g] * np.cumsum(paid[ordered, g])).max()
        gain += max(0.0, float(best - earned))
    return gain


def largest_gain(market: Market, plan: ProductionPlan) -> float:
    """The most that the marketplace or a seller gains by a deviation, by the solver's own best responses, in payoff units."""
    groups = range(len(market.groups))
    total = np.zeros(market.sellers)
    worst = 0.0
    for g in groups:
        total += deviation_gain(market.baseline_game(g, plan.prices[g]), plan.samples[:, g])
    worst = max(float(total.max()), _price_gain(market, plan.prices, plan.samples.sum(axis=0)))
    if market.target is not None and plan.target_prices is not None and plan.target_samples is not None:
        game = market.balanced_game(market.target, plan.target_prices)
        worst = max(worst, deviation_gain(game, plan.target_samples))
        worst = max(worst, _price_gain(market, plan.target_prices, floats(market.target) * plan.target_samples.sum()))
    return worst
