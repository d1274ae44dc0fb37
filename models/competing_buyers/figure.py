"""The figure of a mechanism for competing buyers: for two buyers maps of who is informed, for more each type's chance of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from optmarket import plotting
from optmarket.arrays import FloatArray
from optmarket.models.competing_buyers.market import BuyerTypes, FiniteTypes
from optmarket.models.competing_buyers.mechanisms.by_count import AnonymousMechanism
from optmarket.models.competing_buyers.mechanisms.by_profile import ProfileMechanism
from optmarket.models.competing_buyers.mechanisms.by_score import ScoreMechanism
from optmarket.models.competing_buyers.mechanisms.finite_mechanism import FiniteMechanism
from optmarket.models.competing_buyers.virtual_values.revenue_curve import RevenueCurve
from optmarket.rationals import floats
from optmarket.solution import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_GROUPS = 4  # of buyers that are drawn
MOST_NUMBERED = 10  # types a side of a map with numbers in it
PIXELS = 300  # a side of a map
FINER = 100  # values per pixel among which a boundary is searched
SHARE_DRAWN = 0.999  # of the types of a buyer with many


def draw(solution: Solution, mechanism: FiniteMechanism, curves: Sequence[RevenueCurve | None]) -> Figure:
    """For two buyers a map of each one's chance of a correct recommendation over both types, for more a line for each group.

    Parameters
    ----------
    solution : Solution
        Its title, value and status are written on the figure.
    mechanism : FiniteMechanism
    curves : sequence of RevenueCurve or None
        For each group of buyers that of its continuum of values, if it has one: where correct recommendations begin is then drawn
        exactly.
    """
    from matplotlib.figure import Figure

    market = mechanism.market
    two = len(market.buyers) == 2
    drawn = list(range(2)) if two else list(range(min(MOST_GROUPS, len(market.groups))))
    with plotting.style():
        across = min(2, len(drawn))
        down = -(-len(drawn) // across)
        figure = Figure(figsize=(4.2 * across, 4.0 * down + 0.6), layout="constrained")
        figure.suptitle(plotting.label(solution.title, 80, 2), x=0.01, ha="left", weight="bold")
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for i, panel in zip(drawn, panels, strict=False):
            if two:
                _map(panel, i, mechanism, curves)
            else:
                _line(panel, i, mechanism)
        for panel in panels[len(drawn) :]:
            panel.axis("off")
        caption = f"{solution.objective} {solution.value:.6g} payoff units, {solution.status}."
        if two and isinstance(mechanism, ScoreMechanism):
            caption += " Dark: correct recommendation; "
            caption += "light: correct as often as without information." if market.ex_post else "white: incorrect recommendation."
            caption += " Line: where dark begins, exactly." if all(curves) else ""
        figure.supxlabel(caption, x=0.01, ha="left", fontsize=8)
    return figure


def _positions(market: FiniteTypes, types: BuyerTypes) -> tuple[FloatArray, str]:
    """Where each report is drawn, and what that means."""
    by_value = market.common_prior is not None or len(set(types.value)) > 1
    positions = floats(types.value) if by_value else floats(types.belief[:, 0])
    return positions[types.first_type], "value" if by_value else "belief in state 1"


def _line(panel: Axes, g: int, mechanism: FiniteMechanism) -> None:
    market = mechanism.market
    types, count = market.groups[g]
    first = market.group_of.index(g)
    one = mechanism.allocations[first]
    positions, what = _positions(market, types)
    order = np.argsort(positions, kind="stable")
    order = order[positions[order] <= _last_drawn(types, positions)]
    few = len(order) <= 5 * MOST_NUMBERED
    correct = (one.probability @ one.correct)[types.first_type]
    panel.plot(positions[order], correct[order], color=plotting.DARK, marker="o" if few else "", markersize=3)
    who = f"buyer {first + 1}" if count == 1 else f"{count} symmetric buyers, the first is {first + 1}"
    panel.set_title(f"{who}: chance of a correct recommendation")
    panel.set_ylim(-0.02, 1.05)
    panel.set_xlabel(what)


def _last_drawn(types: BuyerTypes, positions: FloatArray) -> float:
    """Up to where types are drawn."""
    if len(positions) <= MOST_NUMBERED:
        return float(positions.max())
    cumulative = np.cumsum(floats(types.mass)[np.argsort(positions)])
    return float(np.sort(positions)[min(int(np.searchsorted(cumulative, SHARE_DRAWN)), len(positions) - 1)])


def _map(panel: Axes, i: int, mechanism: FiniteMechanism, curves: Sequence[RevenueCurve | None]) -> None:
    market = mechanism.market
    panel.set_title(f"buyer {i + 1}: chance of a correct recommendation")
    if max(market.shape) <= MOST_NUMBERED and isinstance(mechanism, ProfileMechanism):
        names = [[types.names[k] for k in types.first_type] for types in market.buyers]
        plotting.heat_map(panel, _correct(mechanism, i), names[i], names[1 - i])
        panel.set_ylabel("own type")
        panel.set_xlabel("type of the other")
        return
    labels, grids, index = [], [], []
    for types in market.buyers:
        positions, what = _positions(market, types)
        order = np.argsort(positions, kind="stable")
        grid = np.linspace(positions.min(), _last_drawn(types, positions), PIXELS)
        labels.append(what)
        grids.append(grid)
        index.append(order[np.searchsorted(positions[order], grid, side="right") - 1])
    group = market.group_of
    if isinstance(mechanism, ScoreMechanism):
        scores = [mechanism.scores[g][k] for g, k in zip(group, index, strict=True)]
        correct = mechanism.correct(group[i], scores[i][:, None], scores[1 - i][None, :])
        correct = correct if i == 0 else correct.T
    else:
        correct = np.moveaxis(_correct(mechanism, i), 0, i)[np.ix_(index[0], index[1])]
    margins = [0.5 * (grid[0] == grid[-1]) for grid in grids]  # around a single value
    extent = (grids[0][0] - margins[0], grids[0][-1] + margins[0], grids[1][0] - margins[1], grids[1][-1] + margins[1])
    panel.imshow(correct.T, origin="lower", extent=extent, aspect="auto", cmap="Greys", vmin=0, vmax=1.3, interpolation="nearest")
    panel.set_xlabel(f"buyer 1: {labels[0]}")
    panel.set_ylabel(f"buyer 2: {labels[1]}")
    own, rival = curves[group[i]], curves[group[1 - i]]
    if isinstance(mechanism, ScoreMechanism) and own is not None and rival is not None:
        others = np.linspace(grids[1 - i][0], grids[1 - i][-1], FINER // 5 * PIXELS)
        line = _boundary(own, rival, grids[i], others, market)
        across, up = (line, others) if i == 0 else (others, line)
        panel.plot(across, up, color="black", linewidth=1.2)
        panel.set_xlim(extent[:2])
        panel.set_ylim(extent[2:])


def _correct(mechanism: FiniteMechanism, i: int) -> FloatArray:
    """Chance of a correct recommendation to one of two buyers, by its own belief, by own report and the other's."""
    market = mechanism.market
    if isinstance(mechanism, AnonymousMechanism):
        experiments = mechanism.experiments[market.group_of[i]]
        correct = np.diagonal(experiments, axis1=-2, axis2=-1).swapaxes(0, 1)
    elif isinstance(mechanism, ProfileMechanism):
        correct = np.moveaxis(mechanism.correct(i), i, 0)
    else:
        raise TypeError(f"no map is drawn of {type(mechanism).__name__}")
    return np.asarray((correct * floats(market.buyers[i].mean_belief)[:, None, :]).sum(axis=2))


def _boundary(own: RevenueCurve, rival: RevenueCurve, values: FloatArray, others: FloatArray, market: FiniteTypes) -> FloatArray:
    """The lowest own value whose recommendation is certainly correct, for each value of the other.

    Where there is none, beyond the map.
    """
    per_rival = float(market.externality_per_rival)
    fine = np.linspace(values[0], values[-1], FINER * PIXELS)
    needed = per_rival * rival.virtual(others)
    at = np.searchsorted(np.maximum.accumulate(own.virtual(fine)), needed)
    line = np.where(at < len(fine), fine[np.minimum(at, len(fine) - 1)], 2 * values[-1] - values[0])
    if not market.ex_post:
        threshold = rival.virtual(rival.quantiles(np.array([float(market.uninformed)])))
        line = np.where(needed < per_rival * threshold, values[0], line)
    return np.asarray(line)
