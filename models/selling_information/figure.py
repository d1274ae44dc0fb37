"""A menu drawn: its experiments as heat maps, and for two states what buyers choose, pay and keep, by belief."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt

from optmarket import plotting
from optmarket.lp.program import FloatArray, IntArray
from optmarket.models.selling_information.continuum.plane_demand import worth
from optmarket.models.selling_information.continuum.plane_menu import plane_of
from optmarket.models.selling_information.market import Market
from optmarket.models.selling_information.menu import NOTHING, TIE, Menu, choose, values
from optmarket.models.selling_information.params import Params
from optmarket.rationals import floats
from optmarket.solution import DEFAULT_GAP, Solution, Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import GridSpec

MOST_ITEMS = 12
MOST_SIGNALS = 8
MOST_NUMBERED_STATES = 20
MOST_MARKS = 80
MOST_NAMED_ITEMS = 8
WIDTH = 9.6  # of the page, in inches
LETTERS = 14  # of a label that fit into an inch
SPAN = 12  # columns of the grid that everything is placed on
BELIEFS = 2000
ACROSS = 300  # cells of a map of types, either way
SEEN_VALUES = Fraction(99, 100)  # of them, where they have no upper end
SEEN = 0.01  # of a map: smaller areas get no name
DARKEST = 1.6
MARK: dict[str, Any] = {
    "linestyle": "none",
    "marker": "o",
    "markersize": 4,
    "markerfacecolor": "white",
    "markeredgecolor": plotting.DARK,
}


def plot(params: Params, solution: Solution) -> Figure:
    """The menu of a solution as a figure.

    Parameters
    ----------
    params : Params
    solution : Solution

    Returns
    -------
    Figure
        A heat map per item, of at most `MOST_ITEMS` those bought by most; with two states and no contexts also net utility,
        price, choice and weights over the belief in the first state: lines for any belief where all types have the same
        payoffs, and circles for the types there are.
    """
    from matplotlib.figure import Figure

    market = Market.of(params)
    menu = solution.tables["menu"]
    items = [item for _, item in menu.groupby("item", sort=False)]
    shares = [float(item["share"].iloc[0]) for item in items]
    largest = sorted(np.argsort([-share for share in shares], kind="stable")[:MOST_ITEMS])
    drawn = [items[k] for k in largest]
    binary = market.joint.shape[1:] == (2, 1)
    plane = params.continuum == "plane"
    across = 2 if binary and len(drawn) <= 2 else min(3, max(1, len(drawn)))
    width = WIDTH if binary else max(5.5, WIDTH * across / 3)
    signals = _signals(menu)
    names, height = _sizes(market, width / across, [len(_used(item, signals)) for item in drawn])
    heights = [height] * -(-len(drawn) // across) if drawn else [0.5]
    with plotting.style():
        figure = Figure(figsize=(width, 0.75 + sum(heights) + (3.0 if plane else 4.2 if binary else 0)), layout="constrained")
        figure.suptitle(plotting.label(solution.title, int(width * 10), 2), x=0.01, ha="left", weight="bold")
        panels = [3.0] if plane else [2.1, 2.1] if binary else []
        grid = figure.add_gridspec(len(heights) + len(panels), SPAN, height_ratios=heights + panels)
        if not drawn:
            axes = figure.add_subplot(grid[0, :])
            axes.axis("off")
            axes.text(0.5, 0.5, "nothing is sold", ha="center", va="center", fontsize=10)
        span = SPAN // across
        for place, item in enumerate(drawn):
            left = span * (place % across)
            _draw_item(figure.add_subplot(grid[place // across, left : left + span]), item, signals, names, width / across)
        said = [_caption(solution, items, drawn, signals)]
        if plane:
            said.append(_draw_plane(figure, grid, params, market, solution))
        elif binary:
            said.append(_draw_beliefs(figure, grid, market, solution))
        figure.supxlabel(plotting.label(" ".join(said), int(width * LETTERS), 4), x=0.01, ha="left", fontsize=8)
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
    room = LETTERS * (width - 0.5 - max(len(line) for name in states for line in name.splitlines()) / LETTERS) / len(used)
    labels = [plotting.label(signal, int(room), 3) for signal in used]
    plotting.heat_map(axes, item[used].to_numpy(float), states, labels, numbers=len(states) <= MOST_NUMBERED_STATES)
    axes.set_title(f"item {first['item']}: {first['kind']}, {first['price']:.4g}, {_percent(first['share'])} of buyers")


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.0f} %" if percent >= 9.95 else f"{percent:.2g} %"


def _caption(solution: Solution, items: list[Any], drawn: list[Any], signals: list[str]) -> str:
    gap = solution.certificate.gap
    close = solution.status is Status.OPTIMAL and gap > DEFAULT_GAP
    status = f"stopped at a gap of {gap:.2g}" if close else str(solution.status)
    said = f"{solution.objective} {solution.value:.6g} payoff units, {status}."
    if drawn:
        said += " Items: kind, price in payoff units, share of buyers; rows are true states, columns signals."
    if len(items) > len(drawn):
        said += f" {len(items) - len(drawn):,} more items are not drawn."
    left_out = [int((item[signals] > 0).any().sum()) - len(_used(item, signals)) for item in drawn]
    if max(left_out, default=0) > 0:
        said += f" Up to {max(left_out):,} rarer signals of an item are not drawn."
    return said


# Beliefs ---------------------------------------------------------------------------------------------------------------


def _draw_beliefs(figure: Figure, grid: GridSpec, market: Market, solution: Solution) -> str:
    """Draw the panels over beliefs; in words, what their marks are."""
    types = solution.tables["types"].iloc[market.active]
    theta = floats(market.joint[market.active, 0, 0])
    half = SPAN // 2
    utility = figure.add_subplot(grid[-2, :half])
    price, chosen, weight = (
        figure.add_subplot(place, sharex=utility) for place in (grid[-2, half:], grid[-1, :half], grid[-1, half:])
    )
    number = len(solution.tables["menu"]["item"].unique())
    same = bool(np.all(market.payoff[market.active] == market.payoff[market.active[0]]))
    if same:
        _draw_curves(utility, price, chosen, market, solution)
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


def _draw_plane(figure: Figure, grid: GridSpec, params: Params, market: Market, solution: Solution) -> str:
    """Draw what buyers of any belief and value choose, and where they are; in words, what the shades are."""
    half = SPAN // 2
    chosen = figure.add_subplot(grid[-1, :half])
    weight = figure.add_subplot(grid[-1, half:], sharex=chosen, sharey=chosen)
    types = plane_of(params)
    high = types.value.quantiles([SEEN_VALUES])[0] if np.isinf(float(types.value.support[1])) else types.value.support[1]
    theta, value = np.linspace(0, 1, ACROSS + 1), np.linspace(0, float(high), ACROSS + 1)
    menu = Menu.read(market, solution.mechanism)
    middle, worths = (theta[1:] + theta[:-1]) / 2, (value[1:] + value[:-1]) / 2
    gain = worths[:, None, None] * worth(middle, menu.experiment) - menu.price
    order = np.argsort(menu.price, kind="stable")
    item = np.where(gain.max(axis=2, initial=0.0) > 0, gain[:, :, order].argmax(axis=2) + 1, 0) if len(order) else gain[:, :, 0]
    chosen.pcolormesh(theta, value, item, cmap="Greys", vmin=0, vmax=DARKEST * max(1, len(order)), rasterized=True)
    for number in range(len(order) + 1):
        there = item == number
        if there.mean() > SEEN:
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
    return "Below: what buyers of any belief and value choose, the darker the dearer, and where they are."


def _draw_curves(utility: Axes, price: Axes, chosen: Axes, market: Market, solution: Solution) -> None:
    """What a buyer of any belief would get, pay and choose."""
    menu = Menu.read(market, solution.mechanism)
    payoff = floats(market.payoff[market.active[0]])
    edges = np.linspace(0, 1, BELIEFS + 1)
    corners = np.union1d(edges, floats(market.joint[market.active, 0, 0]))
    _, gain, full = _buy(market, menu, payoff, corners)
    utility.plot(corners, full, color=plotting.LIGHT, linestyle="--")
    utility.plot(corners, gain, color=plotting.DARK)
    # at belief midpoints: a type indifferent between two items may be a point of its own
    choice, _, _ = _buy(market, menu, payoff, (edges[1:] + edges[:-1]) / 2)
    rank = np.empty(len(menu.price) + 1, dtype=np.int64)
    rank[np.lexsort((np.arange(len(menu.price)), menu.price))] = np.arange(1, len(menu.price) + 1)
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
