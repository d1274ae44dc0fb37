"""Figures of the training-data market: the policies for two types, the tiers along a line, and what each type buys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from optmarket.arrays import FloatArray
from optmarket.models import selling_information
from optmarket.models.selling_information import Menu
from optmarket.models.selling_training_data.closed_forms import REGIONS, region_map
from optmarket.models.selling_training_data.items import NOTHING_REMOVED, shares_left
from optmarket.models.selling_training_data.line import MenuOnLine, on_line
from optmarket.models.selling_training_data.menu_tables import SHARES_LEFT
from optmarket.models.selling_training_data.populations import (
    Errors,
    LineGrid,
    LineOfTypes,
    Market,
    TypesByErrors,
    TypesByMeasure,
)
from optmarket.plotting import DARK, LIGHT, label, style
from optmarket.solution import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 401  # of the map of regions, along each axis
SHADES = ("0.97", "0.82", "0.68", "0.68", "0.54", "0.54")
HATCHES = ("", "", "//", "\\\\", "", "")
MARKERS = "osD^v<>pP*Xh"
MAX_MARKED_TYPES = 100  # on a line: more are drawn without markers
SAME_SHARE = 1e-9  # shares of errors that differ by less, within a region, are written as one number


def plot(market: Market, menu: Menu, solution: Solution) -> Figure:
    r"""The figure of a solution.

    For two types a map: what is best for this high type and any low type. Along a line: what is paid, what is kept and which
    errors are left, over alpha. Otherwise what each type buys, over both errors; for types given by joint measures the figure of
    the information market.

    Parameters
    ----------
    market : Market
    menu : Menu
    solution : Solution

    Returns
    -------
    Figure
        `optmarket.plotting.save` writes it.

    Examples
    --------
    A solution draws itself, by this function.

    >>> import tempfile
    >>> from pathlib import Path
    >>> import optmarket
    >>> text = 'format = 1\nmodel = "selling-training-data"\ntitle = "One type"\nsource = "example"\n[params]\n'
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     case = Path(folder, "case.toml")
    ...     _ = case.write_text(text + 'types = [{ weight = 1, alpha = "1/5", beta = "1/10" }]\n')
    ...     [axes] = optmarket.solve(case).plot().axes
    >>> axes.get_xlabel(), axes.get_ylabel()
    ('alpha', 'beta')
    """
    if isinstance(market, TypesByMeasure):
        return selling_information.plot(market.information, menu, solution)
    with style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5.4, 5.0), layout="constrained")
        match market:
            case LineOfTypes():
                _draw_along_line(figure, *_on_continuum(on_line(market, menu)))
            case LineGrid():
                _draw_along_line(figure, *_on_grid(solution))
            case TypesByErrors(positive=[(weight, first), (_, second)]):
                if sum(second) > sum(first):
                    weight, first, second = 1 - weight, second, first
                map_axes, below = figure.subplots(2, height_ratios=[5, 1])
                _draw_regions(map_axes, below, first, second, float(weight))
            case TypesByErrors():
                _draw_choices(figure.subplots(), solution)
        figure.suptitle(label(solution.title, 64, 2), x=0.01, ha="left")
    return figure


def _draw_regions(axes: Axes, below: Axes, high: Errors, low: Errors, weight: float) -> None:
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
        depth = np.minimum.reduce([_run_length(here, axis, back) for axis in (0, 1) for back in (False, True)])
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


def _run_length(here: Any, axis: int, back: bool) -> FloatArray:
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
    shares = [f"{share[0]:.4g}" if np.ptp(share) < SAME_SHARE else f"{share.min():.2g} to {share.max():.2g}" for share in left]
    rent = "a rent" if region in {2, 3} else "no rent"
    return f"the low item leaves {shares[0]} of error 1 and {shares[1]} of error 2; the high type keeps {rent}"


def _on_continuum(menu: MenuOnLine) -> tuple[pd.DataFrame, str]:
    """What types on a line pay, keep and are left with, at both ends of each interval of alpha; and the marker."""
    demand, given = menu.demand, menu.in_floats
    alpha = np.column_stack([demand.edges[:-1], demand.edges[1:]]).ravel()
    item = np.repeat(demand.item, 2)
    shares = [shares_left(experiment) or (np.nan, np.nan) for experiment in given.experiment]
    left = np.array([*shares, NOTHING_REMOVED])[item]
    price = np.append(given.price, 0.0)[item]
    # every type on the line does best to follow its item
    beta = float(menu.line.m) - float(menu.line.k) * alpha
    kept = alpha + beta - alpha * left[:, 0] - beta * left[:, 1] - price
    return pd.DataFrame({"alpha": alpha, "price": price, "gain": kept, **dict(zip(SHARES_LEFT, left.T, strict=True))}), ""


def _on_grid(solution: Solution) -> tuple[pd.DataFrame, str]:
    """The same of a grid's types, one row each; and the marker."""
    types, items = solution.tables["types"], solution.tables["menu"].set_index("item")
    found = types[["alpha", "price", "gain"]].astype(float)
    for name in SHARES_LEFT:
        left = items[name].astype(float) if name in items else items["price"] * np.nan
        found[name] = [1.0 if item == 0 else float(left[item]) for item in types["item"]]
    return found, "o" if len(types) <= MAX_MARKED_TYPES else ""


def _draw_along_line(figure: Figure, types: pd.DataFrame, marker: str) -> None:
    """Price, what buyers keep, and shares of errors left, over alpha."""
    panels = figure.subplots(3, sharex=True)

    def draw(axes: Axes, name: str, dashes: str, called: str | None = None) -> None:
        axes.plot(types["alpha"], types[name], dashes, color=DARK, marker=marker, markersize=2.5, label=called)

    draw(panels[0], "price", "-")
    panels[0].set_ylabel("price")
    panels[0].set_ylim(bottom=0)
    draw(panels[1], "gain", "-")
    panels[1].set_ylabel("kept by the buyer")
    for k, (name, dashes) in enumerate(zip(SHARES_LEFT, ("-", "--"), strict=True)):
        draw(panels[2], name, dashes, f"error {k + 1}")
    panels[2].set_ylabel("share of error left")
    panels[2].set_ylim(-0.05, 1.05)
    panels[2].legend(frameon=False)
    panels[2].set_xlabel("alpha")


def _draw_choices(axes: Axes, solution: Solution) -> None:
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
        many = k > len(MARKERS)
        marker = "x" if item == 0 else MARKERS[min(k, len(MARKERS)) - 1]
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
