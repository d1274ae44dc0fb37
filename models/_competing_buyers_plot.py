"""A mechanism for competing buyers drawn: how likely each type is told right, and for two buyers at each profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from optmarket import plots
from optmarket.models._competing_buyers_market import Market, Params
from optmarket.models._competing_buyers_report import Mechanism
from optmarket.numbers import floats
from optmarket.solution import Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 4  # buyers drawn
NUMBERED = 10  # types a side of a map with numbers in it


def plot(params: Params, solution: Solution) -> Figure:
    """The chance of being told right: for two buyers a map over both their types each, for more a line over each one's types.

    Parameters
    ----------
    params : Params
    solution : Solution
    """
    from matplotlib.figure import Figure

    market = Market.of(params)
    mechanism = Mechanism.read(market, solution.mechanism)
    views = [mechanism.seen(market, i) for i in range(min(MOST, len(market.buyers)))]
    with plots.style():
        figure = Figure(figsize=(4.2 * min(2, len(views)), 4.0 * -(-len(views) // 2) + 0.6), layout="constrained")
        figure.suptitle(plots.label(solution.title, 80, 2), x=0.01, ha="left", weight="bold")
        panels = figure.subplots(-(-len(views) // 2), min(2, len(views)), squeeze=False).ravel()
        for i, (panel, view) in enumerate(zip(panels, views, strict=False)):
            kind = market.buyers[i]
            by_value = len(set(kind.value)) > 1
            x = floats(kind.value) if by_value else floats(kind.belief[:, 0])
            panel.set_title(f"buyer {i + 1}: chance of being told right")
            if len(market.buyers) == 2:
                told = np.diagonal(mechanism.experiments[i], axis1=-2, axis2=-1)
                own = (np.moveaxis(told, i, 0) * floats(kind.belief)[:, None, :]).sum(axis=2)
                names = list(kind.names), list(market.buyers[1 - i].names)
                few = max(map(len, names)) <= NUMBERED
                plots.heat_map(panel, own, *(side if few else [""] * len(side) for side in names), numbers=few)
                panel.set_ylabel("own type")
                panel.set_xlabel("type of the other")
            else:
                panel.plot(x, view.probability @ view.right, color=plots.DARK, marker="o", markersize=3)
                panel.set_ylim(-0.02, 1.05)
                panel.set_xlabel("value" if by_value else "belief in state 1")
        for panel in panels[len(views) :]:
            panel.axis("off")
        said = f"{solution.objective} {solution.value:.6g} payoff units, {solution.status}."
        figure.supxlabel(said, x=0.01, ha="left", fontsize=8)
    return figure
