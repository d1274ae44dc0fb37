"""A mechanism for competing buyers drawn: for two buyers who is told right where, for more how likely each type is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from optmarket import plotting
from optmarket.lp.program import FloatArray
from optmarket.models.competing_buyers.interim import Judged
from optmarket.models.competing_buyers.market import Kind, Market
from optmarket.models.competing_buyers.mechanisms.by_count import Tallied
from optmarket.models.competing_buyers.mechanisms.by_score import Scores
from optmarket.models.competing_buyers.outcomes import Mechanism
from optmarket.models.competing_buyers.virtual_values.revenue_curve import Curve
from optmarket.rationals import floats
from optmarket.solution import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 4  # kinds of buyers drawn
NUMBERED = 10  # types a side of a map with numbers in it
PIXELS = 300
LIKELY = 0.999  # share of an unbounded distribution that is drawn


def draw(solution: Solution, market: Market, mechanism: Judged, curves: Sequence[Curve | None]) -> Figure:
    """For two buyers a map of the chance of being told right over both their types each, for more a line for each kind.

    Parameters
    ----------
    solution : Solution
    market : Market
    mechanism : Judged
    curves : sequence of Curve or None
        For each kind of buyer its whole distribution of values, if it has one: where told right begins is then drawn exactly.
    """
    from matplotlib.figure import Figure

    two = len(market.buyers) == 2
    panels_of = list(range(2)) if two else list(range(min(MOST, len(market.groups))))
    with plotting.style():
        across = min(2, len(panels_of))
        down = -(-len(panels_of) // across)
        figure = Figure(figsize=(4.2 * across, 4.0 * down + 0.6), layout="constrained")
        figure.suptitle(plotting.label(solution.title, 80, 2), x=0.01, ha="left", weight="bold")
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for i, panel in zip(panels_of, panels, strict=False):
            if two:
                _map(panel, i, market, mechanism, curves)
            else:
                _line(panel, i, market, mechanism)
        for panel in panels[len(panels_of) :]:
            panel.axis("off")
        said = f"{solution.objective} {solution.value:.6g} payoff units, {solution.status}."
        if two and isinstance(mechanism, Scores):
            said += f" Dark: told right; {'light: as often as untold' if market.ex_post else 'white: told wrong'}."
            said += " Line: where dark begins, exactly." if all(curves) else ""
        figure.supxlabel(said, x=0.01, ha="left", fontsize=8)
    return figure


def _places(market: Market, kind: Kind) -> tuple[FloatArray, str]:
    """Where each report is drawn, and what that means."""
    by_value = market.prior is not None or len(set(kind.value)) > 1
    at = floats(kind.value) if by_value else floats(kind.belief[:, 0])
    first = np.searchsorted(kind.report, np.arange(kind.reports))
    return at[first], "value" if by_value else "belief in state 1"


def _line(panel: Axes, g: int, market: Market, mechanism: Judged) -> None:
    kind, count = market.groups[g]
    first = next(i for i, one in enumerate(market.buyers) if one is kind)
    view = mechanism.views(market)[first]
    at, what = _places(market, kind)
    report = np.searchsorted(kind.report, np.arange(kind.reports))
    order = np.argsort(at, kind="stable")
    order = order[at[order] <= _end(kind, at)]
    few = len(order) <= 5 * NUMBERED
    right = (view.probability @ view.right)[report]
    panel.plot(at[order], right[order], color=plotting.DARK, marker="o" if few else "", markersize=3)
    who = f"buyer {first + 1}" if count == 1 else f"{count} alike buyers, the first is {first + 1}"
    panel.set_title(f"{who}: chance of being told right")
    panel.set_ylim(-0.02, 1.05)
    panel.set_xlabel(what)


def _end(kind: Kind, at: FloatArray) -> float:
    """Up to where types are drawn."""
    levels = np.cumsum(floats(kind.mass)[np.argsort(at)])
    return float(np.sort(at)[min(int(np.searchsorted(levels, LIKELY)), len(at) - 1)]) if len(at) > NUMBERED else float(at.max())


def _map(panel: Axes, i: int, market: Market, mechanism: Judged, curves: Sequence[Curve | None]) -> None:
    panel.set_title(f"buyer {i + 1}: chance of being told right")
    kinds = market.buyers
    if max(market.shape) <= NUMBERED and isinstance(mechanism, Mechanism):
        names = [[kind.names[k] for k in np.searchsorted(kind.report, np.arange(kind.reports))] for kind in kinds]
        plotting.heat_map(panel, _right(market, mechanism, i), names[i], names[1 - i])
        panel.set_ylabel("own type")
        panel.set_xlabel("type of the other")
        return
    places, grids, index = [], [], []
    for kind in kinds:
        at, what = _places(market, kind)
        order = np.argsort(at, kind="stable")
        end = _end(kind, at)
        grid = np.linspace(at.min(), end, PIXELS)
        places.append(what)
        grids.append(grid)
        index.append(order[np.searchsorted(at[order], grid, side="right") - 1])
    if isinstance(mechanism, Scores):
        group = [next(g for g, (one, _) in enumerate(market.groups) if one is kind) for kind in kinds]
        scores = [mechanism.score[g][k] for g, k in zip(group, index, strict=True)]
        right = mechanism.right(market, group[i], scores[i][:, None], scores[1 - i][None, :])
        right = right if i == 0 else right.T
    else:
        right = np.moveaxis(_right(market, mechanism, i), 0, i)[np.ix_(index[0], index[1])]
    around = [0.5 * (grid[0] == grid[-1]) for grid in grids]  # of a single value
    extent = (grids[0][0] - around[0], grids[0][-1] + around[0], grids[1][0] - around[1], grids[1][-1] + around[1])
    panel.imshow(right.T, origin="lower", extent=extent, aspect="auto", cmap="Greys", vmin=0, vmax=1.3, interpolation="nearest")
    panel.set_xlabel(f"buyer 1: {places[0]}")
    panel.set_ylabel(f"buyer 2: {places[1]}")
    if isinstance(mechanism, Scores):
        own, rival = curves[group[i]], curves[group[1 - i]]
        if own is not None and rival is not None:
            others = np.linspace(grids[1 - i][0], grids[1 - i][-1], 20 * PIXELS)
            line = _boundary(own, rival, grids[i], others, market)
            across, up = (line, others) if i == 0 else (others, line)
            panel.plot(across, up, color="black", linewidth=1.2)
            panel.set_xlim(extent[:2])
            panel.set_ylim(extent[2:])


def _right(market: Market, mechanism: Judged, i: int) -> FloatArray:
    """Chance that one of two buyers is told right, by its own belief, by own report and the other's."""
    if isinstance(mechanism, Tallied):
        group = next(g for g, (kind, _) in enumerate(market.groups) if kind is market.buyers[i])
        told = np.diagonal(mechanism.experiments[group], axis1=-2, axis2=-1).swapaxes(0, 1)
    else:
        assert isinstance(mechanism, Mechanism)
        told = np.moveaxis(np.diagonal(mechanism.experiments[i], axis1=-2, axis2=-1), i, 0)
    return np.asarray((told * floats(market.buyers[i].mean_belief)[:, None, :]).sum(axis=2))


def _boundary(own: Curve, rival: Curve, values: FloatArray, others: FloatArray, market: Market) -> FloatArray:
    """The lowest own value that is told right surely, for each of the other's; beyond the map where there is none."""
    share = float(market.share)
    fine = np.linspace(values[0], values[-1], 100 * PIXELS)
    needed = share * rival.virtual(others)
    at = np.searchsorted(np.maximum.accumulate(own.virtual(fine)), needed)
    line = np.where(at < len(fine), fine[np.minimum(at, len(fine) - 1)], 2 * values[-1] - values[0])
    if not market.ex_post:
        assert market.prior is not None
        threshold = rival.virtual(rival.quantiles(np.array([float(max(market.prior))])))
        line = np.where(needed < share * threshold, values[0], line)
    return np.asarray(line)
