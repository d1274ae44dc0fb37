"""A menu drawn: its experiments as heat maps, and for two states what buyers choose, pay and keep, by belief."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt

from optmarket import plotting
from optmarket.arrays import FloatArray, IntArray
from optmarket.certificates import relative_gap
from optmarket.models.selling_information import menu_tables
from optmarket.models.selling_information.continuum.continuum_market import ContinuumMarket
from optmarket.models.selling_information.continuum.plane_demand import worth_per_value
from optmarket.models.selling_information.continuum.plane_market import PlaneMarket
from optmarket.models.selling_information.experiments import values
from optmarket.models.selling_information.market_arrays import Market
from optmarket.models.selling_information.menu import NOTHING, Menu
from optmarket.models.selling_information.posting import choose
from optmarket.options import Status
from optmarket.rationals import floats
from optmarket.solution import Solution
from optmarket.tolerances import TIE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import GridSpec

MOST_ITEMS = 12  # that are drawn
MOST_SIGNALS = 8  # of an item that are drawn
MOST_NUMBERED_STATES = 20  # whose probabilities are written into the map
MOST_MARKS = 80  # types that are marked on curves
MOST_NAMED_ITEMS = 8
PAGE_WIDTH = 9.6  # inches
LETTERS_AN_INCH = 14  # of a label
GRID_COLUMNS = 12  # on which everything is placed
DRAWN_BELIEFS = 2000  # of a curve
MAP_CELLS = 300  # of a map of types, either way
SEEN_VALUES = Fraction(99, 100)  # of them, where they have no upper end
LEAST_NAMED_AREA = 0.01  # of a map: smaller areas get no name
DARKEST = 1.6
MARK: dict[str, Any] = {
    "linestyle": "none",
    "marker": "o",
    "markersize": 4,
    "markerfacecolor": "white",
    "markeredgecolor": plotting.DARK,
}


@dataclass(frozen=True)
class Drawing:
    """What is drawn, and where.

    Attributes
    ----------
    figure : Figure
    grid : GridSpec
    market : Market
        The types; of a continuum cells that stand for it.
    menu : Menu
        In floats.
    tables : mapping
        The tables ``menu`` and ``types``.
    """

    figure: Figure
    grid: GridSpec
    market: Market
    menu: Menu
    tables: Mapping[str, pd.DataFrame]


def plot(market: Market | ContinuumMarket, menu: Menu, solution: Solution) -> Figure:
    """The menu of a solution as a figure.

    Parameters
    ----------
    market : Market or ContinuumMarket
    menu : Menu
    solution : Solution

    Returns
    -------
    Figure
        A heat map per item, of at most `MOST_ITEMS` those bought by most; with two states and no contexts also net utility,
        price, choice and weights over the belief in the first state: lines for any belief where all types have the same
        payoffs, and circles for the types there are. Of a continuum of types cells are drawn as weights.
    """
    from matplotlib.figure import Figure

    types = market if isinstance(market, Market) else market.cells
    tables = solution.tables if isinstance(market, Market) else {**menu_tables.tables(types, menu), **solution.tables}
    items = [item for _, item in tables["menu"].groupby("item", sort=False)]
    shares = [float(item["share"].iloc[0]) for item in items]
    largest = sorted(np.argsort([-share for share in shares], kind="stable")[:MOST_ITEMS])
    drawn = [items[k] for k in largest]
    binary = types.joint.shape[1:] == (2, 1)
    plane = isinstance(market, PlaneMarket)
    across = 2 if binary and len(drawn) <= 2 else min(3, max(1, len(drawn)))
    width = PAGE_WIDTH if binary else max(5.5, PAGE_WIDTH * across / 3)
    signals = _signals(tables["menu"])
    names, height = _sizes(types, width / across, [len(_used(item, signals)) for item in drawn])
    heights = [height] * -(-len(drawn) // across) if drawn else [0.5]
    with plotting.style():
        figure = Figure(figsize=(width, 0.75 + sum(heights) + (3.0 if plane else 4.2 if binary else 0)), layout="constrained")
        figure.suptitle(plotting.label(solution.title, int(width * 10), 2), x=0.01, ha="left", weight="bold")
        panels = [3.0] if plane else [2.1, 2.1] if binary else []
        grid = figure.add_gridspec(len(heights) + len(panels), GRID_COLUMNS, height_ratios=heights + panels)
        if not drawn:
            axes = figure.add_subplot(grid[0, :])
            axes.axis("off")
            axes.text(0.5, 0.5, "nothing is sold", ha="center", va="center", fontsize=10)
        span = GRID_COLUMNS // across
        for place, item in enumerate(drawn):
            left = span * (place % across)
            _draw_item(figure.add_subplot(grid[place // across, left : left + span]), item, signals, names, width / across)
        caption = [_caption(solution, items, drawn, signals)]
        drawing = Drawing(figure, grid, types, menu.in_floats, tables)
        if isinstance(market, PlaneMarket):
            caption.append(_draw_plane(drawing, market))
        elif binary:
            caption.append(_draw_beliefs(drawing))
        figure.supxlabel(plotting.label(" ".join(caption), int(width * LETTERS_AN_INCH), 4), x=0.01, ha="left", fontsize=8)
    return figure


# Heat maps -------------------------------------------------------------------------------------------------------------


def _signals(menu: pd.DataFrame) -> list[str]:
    return [str(column) for column in menu.columns[list(menu.columns).index("state") + 1 :]]


def _used(item: pd.DataFrame, signals: list[str]) -> list[str]:
    """The signals to draw for an item: all of the menu's if they are few, else its own, and the likeliest of those."""
    if len(signals) <= MOST_SIGNALS // 2:
        return signals
    total = item[signals].sum()
    likeliest = total[total > 0].sort_values(ascending=False, kind="stable").index[:MOST_SIGNALS]
    return [signal for signal in signals if signal in likeliest]


def _sizes(market: Market, width: float, columns: list[int]) -> tuple[list[str], float]:
    """The states' labels, and the height in inches of a heat map with its title and labels."""
    names = [plotting.label(name, int(4 * width), 2) for name in market.states]
    return names, 0.95 + 0.12 * (max(columns, default=1) > 3) + (0.32 if len(names) <= MOST_NUMBERED_STATES else 0.1) * len(names)


def _draw_item(axes: Axes, item: pd.DataFrame, signals: list[str], states: list[str], width: float) -> None:
    first = item.iloc[0]
    used = _used(item, signals)
    longest = max(len(line) for name in states for line in name.splitlines()) / LETTERS_AN_INCH
    letters = LETTERS_AN_INCH * (width - 0.5 - longest) / len(used)
    labels = [plotting.label(signal, int(letters), 3) for signal in used]
    plotting.heat_map(axes, item[used].to_numpy(float), states, labels, numbers=len(states) <= MOST_NUMBERED_STATES)
    axes.set_title(f"item {first['item']}: {first['kind']}, {first['price']:.4g}, {_percent(first['share'])} of buyers")


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.0f} %" if percent >= 9.95 else f"{percent:.2g} %"


def _caption(solution: Solution, items: list[Any], drawn: list[Any], signals: list[str]) -> str:
    stopped = solution.status is Status.OPTIMAL and not solution.proved
    status = f"stopped at a gap of {relative_gap(*solution.bounds):.2g}" if stopped else str(solution.status)
    caption = f"{solution.objective} {solution.value:.6g} payoff units, {status}."
    if drawn:
        caption += " Items: kind, price in payoff units, share of buyers; rows are true states, columns signals."
    if len(items) > len(drawn):
        caption += f" {len(items) - len(drawn):,} more items are not drawn."
    left_out = [int((item[signals] > 0).any().sum()) - len(_used(item, signals)) for item in drawn]
    if max(left_out, default=0) > 0:
        caption += f" Up to {max(left_out):,} rarer signals of an item are not drawn."
    return caption


# Beliefs ---------------------------------------------------------------------------------------------------------------


def _draw_beliefs(drawing: Drawing) -> str:
    """Draw the panels over beliefs; in words, what their marks are."""
    figure, grid, market = drawing.figure, drawing.grid, drawing.market
    types = drawing.tables["types"].iloc[market.active]
    theta = floats(market.joint[market.active, 0, 0])
    half = GRID_COLUMNS // 2
    utility = figure.add_subplot(grid[-2, :half])
    price, chosen, weight = (
        figure.add_subplot(place, sharex=utility) for place in (grid[-2, half:], grid[-1, :half], grid[-1, half:])
    )
    number = len(drawing.menu.price)
    same = bool(np.all(market.payoff[market.active] == market.payoff[market.active[0]]))
    if same:
        _draw_curves(utility, price, chosen, market, drawing.menu)
    else:
        utility.plot(theta, types["full value"].to_numpy(float), linestyle="none", marker="x", markersize=4, color=plotting.LIGHT)
    marked = not same or len(types) <= MOST_MARKS
    if marked:
        for axes, column in ((utility, "gain"), (price, "price"), (chosen, "item")):
            axes.plot(theta, types[column].to_numpy(float), clip_on=False, zorder=3, **MARK)
    beliefs, place = np.unique(theta, return_inverse=True)
    total = np.bincount(place, weights=types["weight"].to_numpy(float))
    weight.vlines(beliefs, 0, total, color=plotting.DARK, linewidth=max(0.8, min(3.0, 240 / max(1, len(beliefs)))))
    full = f" ({'dashed' if same else 'crosses'}: worth of full information)"
    for axes, title, unit in (
        (utility, f"net utility{full}", "payoff units"),
        (price, "price paid", "payoff units"),
        (chosen, "item chosen", ""),
        (weight, "weight of types", "probability"),
    ):
        axes.set_title(title)
        axes.set_ylabel(unit)
        axes.set_ylim(0, 1.08 * float(axes.dataLim.ymax) or 1)
        axes.set_xlim(-0.01, 1.01)
    chosen.set_ylim(-0.3, max(1, number) + 0.3)
    if number <= MOST_NAMED_ITEMS:
        chosen.set_yticks(range(number + 1), ["nothing", *(f"item {k}" for k in range(1, number + 1))])
    state = plotting.label(market.states[0], 40)
    for axes in (utility, price):
        axes.tick_params(labelbottom=False)
    for axes in (chosen, weight):
        axes.set_xlabel(f"belief: Pr({state})")
    return " ".join([*["Circles are the types there are."] * marked, *["Lines are for buyers of any belief."] * same])


def _draw_plane(drawing: Drawing, market: PlaneMarket) -> str:
    """Draw what buyers of any belief and value choose, and where they are; in words, what the shades are."""
    half = GRID_COLUMNS // 2
    chosen = drawing.figure.add_subplot(drawing.grid[-1, :half])
    weight = drawing.figure.add_subplot(drawing.grid[-1, half:], sharex=chosen, sharey=chosen)
    types, menu = market.types, drawing.menu
    high = types.value.quantiles([SEEN_VALUES])[0] if np.isinf(float(types.value.support[1])) else types.value.support[1]
    theta, value = np.linspace(0, 1, MAP_CELLS + 1), np.linspace(0, float(high), MAP_CELLS + 1)
    middle, worths = (theta[1:] + theta[:-1]) / 2, (value[1:] + value[:-1]) / 2
    gain = worths[:, None, None] * worth_per_value(middle, menu.experiment) - menu.price
    order = np.argsort(menu.price, kind="stable")
    item = np.where(gain.max(axis=2, initial=0.0) > 0, gain[:, :, order].argmax(axis=2) + 1, 0) if len(order) else gain[:, :, 0]
    chosen.pcolormesh(theta, value, item, cmap="Greys", vmin=0, vmax=DARKEST * max(1, len(order)), rasterized=True)
    for number in range(len(order) + 1):
        there = item == number
        if there.mean() > LEAST_NAMED_AREA:
            row, column = np.unravel_index(distance_transform_edt(np.pad(there, 1))[1:-1, 1:-1].argmax(), there.shape)
            words = f"item {number}" if number else "nothing"
            dark = number > 0.5 * DARKEST * len(order)
            chosen.text(middle[column], worths[row], words, ha="center", va="center", color="white" if dark else "black")
    mass = np.diff(types.value.cdf(value))[:, None] * np.diff(types.belief.cdf(theta))
    weight.pcolormesh(theta, value, mass, cmap="Greys", vmin=0, vmax=DARKEST * mass.max(), rasterized=True)
    state = plotting.label(market.states[0], 40)
    for axes, title in ((chosen, "item chosen"), (weight, "density of types")):
        axes.set_title(title)
        axes.set_xlabel(f"belief: Pr({state})")
    chosen.set_ylabel("value")
    weight.tick_params(labelleft=False)
    return "Below: what buyers of any belief and value choose, the darker the higher the price, and where they are."


def _draw_curves(utility: Axes, price: Axes, chosen: Axes, market: Market, menu: Menu) -> None:
    """What a buyer of any belief would get, pay and choose."""
    payoff = floats(market.payoff[market.active[0]])
    edges = np.linspace(0, 1, DRAWN_BELIEFS + 1)
    corners = np.union1d(edges, floats(market.joint[market.active, 0, 0]))
    _, gain, full = _buy(market, menu, payoff, corners)
    utility.plot(corners, full, color=plotting.LIGHT, linestyle="--")
    utility.plot(corners, gain, color=plotting.DARK)
    # at belief midpoints: a type indifferent between two items may be a point of its own
    choice, _, _ = _buy(market, menu, payoff, (edges[1:] + edges[:-1]) / 2)
    rank = np.zeros(len(menu.price) + 1, dtype=np.int64)
    rank[menu.by_price] = np.arange(1, len(menu.price) + 1)
    rank[NOTHING] = 0
    for axes, level in ((price, np.concatenate([menu.price, [0.0]])[choice]), (chosen, rank[choice])):
        axes.stairs(level, edges, baseline=None, color=plotting.DARK, linewidth=1.2)


def _buy(market: Market, menu: Menu, payoff: FloatArray, theta: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Item chosen, net utility, and worth of full information to buyers of given beliefs in the first state."""
    belief = np.column_stack([theta, 1 - theta])
    product = belief[:, :, None, None] * payoff[None, :, None, :]
    outside = product.sum(axis=1).max(axis=2).sum(axis=1)
    value = values(product, menu.experiment)
    choice = choose(value, outside, menu.price, TIE * float(market.scale), for_seller=True)
    paid = np.concatenate([menu.price, [0.0]])[choice]
    gain = np.column_stack([value, outside])[np.arange(len(theta)), choice] - outside - paid
    return choice, gain, product.max(axis=3).sum(axis=(1, 2)) - outside
