"""The market drawn: shares in the data, ratios against market size, which targets backfire, and two sellers' game."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from optmarket.models.balanced_production.best_response import best_response
from optmarket.models.balanced_production.equilibria import potential
from optmarket.models.balanced_production.growth import growth_path
from optmarket.models.balanced_production.market import Market
from optmarket.models.balanced_production.mechanism import ProductionPlan
from optmarket.models.balanced_production.shapley import coalitions
from optmarket.models.balanced_production.thresholds_of_targets import formation, simplex_grid
from optmarket.plotting import DARK, LIGHT, label, style
from optmarket.rationals import floats
from optmarket.solution import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAP_STEPS = 60  # of the map of targets: multiples of 1/60
CURVE, CONTOURS = 41, 9
ABOVE: dict[str, Any] = {"frameon": False, "fontsize": 6, "loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}


def draw(market: Market, plan: ProductionPlan, solution: Solution) -> Figure:
    """Shares in the data and, where they apply, ratios by market size, targets of three groups, and two sellers' replies."""
    panels: list[Callable[[Axes], None]] = []
    if len(market.groups) > 1 or market.sellers != 2:
        panels.append(lambda axes: _shares(axes, market, plan))
    if growth_path(market):
        panels.append(lambda axes: _growth(axes, market))
    if len(market.groups) == 3 and all(market.has_common_task):
        panels.append(lambda axes: _targets(axes, market))
    if market.sellers == 2:
        panels.append(lambda axes: _two_sellers(axes, market, plan))
    with style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(3.1 * max(2, len(panels)), 3.1), layout="constrained")
        figure.suptitle(label(solution.title, 30 * max(2, len(panels)), 2), x=0.01, ha="left")
        for axes, panel in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
            panel(axes)
    return figure


def _shares(axes: Axes, market: Market, plan: ProductionPlan) -> None:
    total = plan.samples.sum(axis=0)
    share = total / total.sum() if total.sum() > 0 else total
    place = np.arange(len(market.groups))
    axes.bar(place - 0.2, share, 0.4, color=LIGHT, label="without target")
    if market.target is not None and plan.target_samples is not None:
        drawn = floats(market.target)
        formed = plan.target_samples.sum() > 0
        words = "target" if formed else "target (nothing produced)"
        axes.bar(place + 0.2, drawn, 0.4, color=DARK if formed else "1", edgecolor=DARK, label=words)
    axes.set_xticks(place, [label(name, 10, 2) for name in market.groups], rotation=45 if len(place) > 4 else 0)
    axes.set_ylabel("share of samples")
    axes.legend(**ABOVE)


def _growth(axes: Axes, market: Market) -> None:
    from matplotlib.ticker import NullLocator

    path = growth_path(market)
    size = [one.size for one in path]
    for name, mark in (("revenue", "o"), ("seller-profit", "s"), ("buyer-surplus", "^")):
        if any(name in one.nash for one in path):
            words = name.replace("-", " ")
            axes.plot(size, [one.nash.get(name, np.nan) for one in path], f"{mark}-", color=DARK, markersize=3, label=words)
            if any(name in one.joint for one in path):
                values = [one.joint.get(name, np.nan) for one in path]
                axes.plot(size, values, f"{mark}--", color=LIGHT, markersize=3, label=f"{words}, joint profit")
    axes.axhline(1, color=LIGHT, linewidth=0.6)
    if max(size) > 20 * min(size):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("market size")
    axes.set_ylabel("under target / without")
    axes.legend(**ABOVE)


def _targets(axes: Axes, market: Market) -> None:
    grid = np.array(list(simplex_grid(3, MAP_STEPS))) / MAP_STEPS
    family = formation(market, grid)
    corners = np.array([[0, 0], [1, 0], [0.5, np.sqrt(3) / 2]])
    places = grid @ corners
    for chosen, color, words in ((~family.backfires, LIGHT, "does not backfire"), (family.backfires, DARK, "backfires")):
        axes.scatter(places[chosen, 0], places[chosen, 1], s=3, color=color, linewidths=0, label=words)
    if market.target is not None:
        axes.plot(*(floats(market.target) @ corners), "o", color="1", markeredgecolor=DARK, markersize=5)
    for corner, name, where in zip(corners, market.groups, ("right", "left", "center"), strict=True):
        axes.annotate(
            label(name, 14), corner, xytext=(0, 6 if where == "center" else -10), textcoords="offset points", ha="center"
        )
    axes.set_aspect("equal")
    axes.axis("off")
    axes.legend(**ABOVE)


def _two_sellers(axes: Axes, market: Market, plan: ProductionPlan) -> None:
    g = int(np.argmax(plan.samples.sum(axis=0)))
    game = market.baseline_game(g, plan.prices[g])
    alone = [best_response(game.revenue, np.zeros(1), np.ones(1), float(cost))[0] for cost in game.cost]
    most = 1.25 * max(*alone, plan.samples[:, g].max(), 1e-9)
    amounts = np.linspace(0, most, CURVE)
    height = np.array([[potential(game, np.array([x, y])) for x in amounts] for y in amounts])
    axes.contour(amounts, amounts, height, CONTOURS, colors=LIGHT, linewidths=0.5)
    for j, line in ((0, "-"), (1, "--")):
        cost = float(game.cost[j])
        replies = np.array([best_response(game.revenue, *coalitions(np.array([other])), cost)[0] for other in amounts])
        replies[1:][np.abs(np.diff(replies)) > 0.1 * most] = np.nan  # a jump is not joined up
        pair = (replies, amounts) if j == 0 else (amounts, replies)
        axes.plot(*pair, line, color=DARK, label=f"best response of seller {j + 1}")
    axes.plot(*plan.samples[:, g], "o", color=DARK, markersize=4)
    axes.set_xlabel(f"samples of seller 1 ({market.groups[g]})")
    axes.set_ylabel("samples of seller 2")
    axes.legend(**ABOVE)
