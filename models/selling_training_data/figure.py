"""Figures of the training-data market: the policies for two types, the tiers along a line, and who buys what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from optmarket.lp.program import FloatArray
from optmarket.models import selling_information
from optmarket.models.selling_training_data.closed_forms import REGIONS, region_map
from optmarket.models.selling_training_data.outcomes import on_line, shares_left
from optmarket.models.selling_training_data.params import Params, Point
from optmarket.plotting import DARK, LIGHT, label, style
from optmarket.rationals import exact, written_floats
from optmarket.solution import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 401
SHADES = ("0.97", "0.82", "0.68", "0.68", "0.54", "0.54")
HATCHES = ("", "", "//", "\\\\", "", "")
MARKERS = "osD^v<>pP*Xh"
MOST_ITEMS = len(MARKERS)
SAME = 1e-9


def plot(params: Params, solution: Solution) -> Figure:
    """The figure of a solution.

    For two types a map: what is best for this high type and any low type. Along a line: what is paid, what is kept and which
    errors are left, over alpha. Otherwise who buys what, over both errors; for types given by joint measures the figure of the
    information market.

    Parameters
    ----------
    params : Params
    solution : Solution
    """
    if not params.has_pairs:
        return selling_information.plot(params.information, solution)
    with style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5.4, 5.0), layout="constrained")
        if params.line is None:
            positive = [(weight, pair) for weight, pair in params.pairs if weight]
            if len(positive) == 2:
                (weight, first), (_, second) = positive
                if sum(second) > sum(first):
                    weight, first, second = 1 - weight, second, first
                map_axes, below = figure.subplots(2, height_ratios=[5, 1])
                _draw_regions(map_axes, below, first, second, float(weight))
            else:
                _draw_choices(figure.subplots(), params, solution)
        else:
            _draw_line(figure, params, solution)
        figure.suptitle(label(solution.title, 64, 2), x=0.01, ha="left")
    return figure


def _draw_regions(axes: Axes, below: Axes, high: Point, low: Point, weight: float) -> None:
    """The map of policies over the low type's errors, and below it what they are."""
    from matplotlib.colors import ListedColormap

    a, b = map(float, high)
    edge = min(0.5, a + b)
    ticks = np.linspace(0, edge, POINTS)
    x, y = np.meshgrid(ticks, ticks)
    found = region_map(high, x.ravel(), y.ravel(), weight)
    region = np.ma.masked_less(found.region.reshape(x.shape), 0)
    axes.pcolormesh(
        x, y, region, cmap=ListedColormap(SHADES), vmin=-0.5, vmax=len(REGIONS) - 0.5, shading="nearest", rasterized=True
    )
    words = []
    for k, name in enumerate(REGIONS):
        here = region.filled(-1) == k
        if not here.any():
            continue
        axes.contour(x, y, here.astype(float), levels=[0.5], colors=DARK, linewidths=0.6)
        if HATCHES[k]:
            axes.contourf(x, y, here.astype(float), levels=[0.5, 1.5], colors="none", hatches=[HATCHES[k]])
        # the point of the region that lies deepest in it
        depth = np.minimum.reduce([_run(here, axis, back) for axis in (0, 1) for back in (False, True)])
        row, column = np.unravel_index(depth.argmax(), depth.shape)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        short = name.replace(" mirrored", "'")
        axes.text(float(ticks[column]), float(ticks[row]), short, ha="center", va="center", bbox=box)
        left = [share.reshape(x.shape)[here] for share in found.left]
        words.append(label(f"{short}: {_policy(k, a + b, left)}", 96, 2))
    axes.plot(a, b, "s", color=DARK, markersize=6, label="high type", clip_on=False, linestyle="", zorder=5)
    axes.plot(*map(float, low), "o", color=DARK, markersize=6, label="low type", clip_on=False, linestyle="", zorder=5)
    axes.set_xlabel("alpha of the low type")
    axes.set_ylabel("beta of the low type")
    axes.set_aspect("equal")
    axes.legend(frameon=False, loc="upper right")
    below.axis("off")
    below.text(0, 1, "\n".join(words), va="top")


def _run(here: Any, axis: int, back: bool) -> FloatArray:
    """How many cells in a row, up to each cell, lie in a region."""
    turned = np.moveaxis(here, axis, 0)
    turned = turned[::-1] if back else turned
    run = np.zeros(turned.shape)
    before = np.zeros(turned.shape[1])
    for k, line in enumerate(turned):
        before = np.where(line, before + 1, 0)
        run[k] = before
    return np.moveaxis(run[::-1] if back else run, 0, axis)


def _policy(region: int, worth: float, left: list[FloatArray]) -> str:
    """What is sold in a region, in words; ``left`` are the shares of errors that its low items leave."""
    if region == 0:
        return "complete data to both, at what they are worth to the low type"
    if region == 1:
        return f"complete data at {worth:.4g} to the high type only"
    shares = [f"{share[0]:.4g}" if np.ptp(share) < SAME else f"{share.min():.2g} to {share.max():.2g}" for share in left]
    rent = "a rent" if region in {2, 3} else "no rent"
    return f"the low item leaves {shares[0]} of error 1 and {shares[1]} of error 2; the high type keeps {rent}"


def _draw_line(figure: Figure, params: Params, solution: Solution) -> None:
    """Price, what buyers keep, and shares of errors left, over alpha."""
    panels = figure.subplots(3, sharex=True)
    if params.on_continuum:
        assert params.line is not None and params.alpha is not None
        served = on_line(params, solution.mechanism)
        items = solution.mechanism["items"]
        edges = np.column_stack([served.edges[:-1], served.edges[1:]]).ravel()
        pick = np.repeat(served.item, 2)
        price = np.array([*(float(exact(item["price"])) for item in items), 0.0])[pick]
        left = np.array([*(shares_left(written_floats(item["experiment"])) or (np.nan,) * 2 for item in items), (1.0, 1.0)])[pick]
        # what it is worth to follow an item, which every buyer on the line does
        beta = float(params.line.m) - float(params.line.k) * edges
        kept = edges + beta - edges * left[:, 0] - beta * left[:, 1] - price
        marker, dashes = "", "-"
        alpha = edges
    else:
        types = solution.tables["types"]
        menu = solution.tables["menu"].set_index("item")
        alpha, price, kept = (types[name].to_numpy(float) for name in ("alpha", "price", "gain"))
        columns = [f"error {k + 1} left" for k in range(2)]
        there = all(column in menu for column in columns)
        left = np.array(
            [
                [1.0, 1.0] if item == 0 else menu.loc[item, columns].to_numpy(float) if there else [np.nan] * 2
                for item in types["item"]
            ]
        )
        marker, dashes = ("o" if len(types) <= 100 else ""), "-"
    panels[0].plot(alpha, price, dashes, color=DARK, marker=marker, markersize=2.5)
    panels[0].set_ylabel("price")
    panels[0].set_ylim(bottom=0)
    panels[1].plot(alpha, kept, dashes, color=DARK, marker=marker, markersize=2.5)
    panels[1].set_ylabel("kept by the buyer")
    for k, line in enumerate(("-", "--")):
        panels[2].plot(alpha, left[:, k], line, color=DARK, marker=marker, markersize=2.5, label=f"error {k + 1}")
    panels[2].set_ylabel("share of error left")
    panels[2].set_ylim(-0.05, 1.05)
    panels[2].legend(frameon=False)
    panels[2].set_xlabel("alpha")


def _draw_choices(axes: Axes, params: Params, solution: Solution) -> None:
    """Types as points over both errors, marked by what they buy, larger if there are more of them."""
    types = solution.tables["types"]
    menu = solution.tables["menu"].drop_duplicates("item").set_index("item")
    size = 12 + 60 * types["weight"] / types["weight"].max()
    bought = types["item"].to_numpy(int)
    items = sorted(set(bought.tolist()) - {0}, key=lambda item: -types["weight"].to_numpy(float)[bought == item].sum())
    for k, item in enumerate([0, *items]):
        here = (bought == item) & (types["weight"].to_numpy(float) > 0)
        if not here.any():
            continue
        words = "nothing" if item == 0 else f"{menu.loc[item, 'kind']} at {menu.loc[item, 'price']:.4g}"
        many = k > MOST_ITEMS
        marker = "x" if item == 0 else MARKERS[min(k, MOST_ITEMS) - 1]
        shade = LIGHT if item == 0 or many else DARK
        face = shade if item == 0 or k % 2 else "white"
        edge = None if item == 0 else shade  # a cross has no inside
        alpha, beta = (types[name].to_numpy(float)[here] for name in ("alpha", "beta"))
        named = "" if many else words
        axes.scatter(alpha, beta, s=size[here].to_numpy(float), marker=marker, label=named, facecolors=face, edgecolors=edge)
    axes.plot([0, 0.5], [0.5, 0], color=LIGHT, linewidth=0.6)
    axes.set_xlabel("alpha")
    axes.set_ylabel("beta")
    axes.set_aspect("equal")
    axes.legend(frameon=False, loc="upper right")
