"""The network of covariances with who shares, at what price, and what is leaked; or the equilibria over two users' prices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.models.data_externalities.equilibria import cost_of_sharing
from optmarket.models.data_externalities.leaks import GaussianLeaks
from optmarket.models.data_externalities.market import Market
from optmarket.models.data_externalities.mechanism import SharingProfile
from optmarket.models.data_externalities.outcomes import tie
from optmarket.models.data_externalities.remedies import remedies
from optmarket.plotting import label, style
from optmarket.rationals import floats
from optmarket.solution import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GRID = 201  # prices along each axis
STRONGEST_EDGES = 60
NAMED_USERS = 12  # users up to which numbers stand beside names


def draw(market: Market, mechanism: SharingProfile, solution: Solution) -> Figure:
    """Users as a network, and beside it the equilibria over the price plane (two users) or the surplus with each remedy."""
    with style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        figure.suptitle(label(solution.title, 90, 2), x=0.01, ha="left")
        two = market.n == 2 and market.distributions is None
        bars = market.is_listed and market.prices is None and market.distributions is None and not two
        panels = figure.subplots(1, 2 if two or bars else 1, squeeze=False)[0]
        _network(panels[0], market, mechanism)
        if two:
            _price_plane(panels[1], market, mechanism)
        elif bars:
            _remedies(panels[1], market)
    return figure


def _network(axes: Axes, market: Market, mechanism: SharingProfile) -> None:
    """Users on a circle: filled if they share, as large as their leak; edges as strong as the correlation."""
    angle = 2 * np.pi * np.arange(market.n) / market.n + np.pi / 2
    place = np.column_stack([np.cos(angle), np.sin(angle)])
    leak, _ = market.leaks.at(mechanism.shares, exact=market.is_exact)
    leak, price = floats(leak), floats(mechanism.price)
    strength = _correlation(market)
    pairs = [(strength[i, j], i, j) for i in range(market.n) for j in range(i) if strength[i, j] > 0]
    for size, i, j in sorted(pairs)[-STRONGEST_EDGES:]:
        axes.plot(*place[[i, j]].T, color="0.5", linewidth=0.3 + 3 * size, alpha=0.6, zorder=1, solid_capstyle="round")
    largest = max(float(floats(market.leaks.variance).max()), 1e-300)
    axes.scatter(
        place[:, 0],
        place[:, 1],
        s=(60 + 500 * leak / largest) * min(1.0, NAMED_USERS / market.n),
        c=["0.25" if one else "white" for one in mechanism.shares],
        edgecolors="0",
        linewidths=0.8,
        zorder=2,
    )
    for i, name in enumerate(market.names):
        text = label(name, 12)
        if market.n <= NAMED_USERS:
            paid = f"\npaid {price[i]:.3g}" if mechanism.shares[i] else ""
            text += f"\nleaks {leak[i]:.3g}{paid}"
        side = np.sign(np.round(place[i], 6))
        aligned = {-1.0: "right", 0.0: "center", 1.0: "left"}[float(side[0])]
        up = "bottom" if side[1] > 0 and side[0] == 0 else "top" if side[1] < 0 and side[0] == 0 else "center"
        axes.annotate(text, place[i] * (1.3, 1.25), ha=aligned, va=up, fontsize=7)
    reach = 1.9 if market.n <= NAMED_USERS else 1.4
    axes.set_xlim(-2.4, 2.4)
    axes.set_ylim(-reach, reach)
    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_title("users: filled ones share; size: leak; lines: correlation")


def _correlation(market: Market) -> FloatArray:
    """Absolute correlations of users; 0 where leaks are given as a table."""
    if not isinstance(market.leaks, GaussianLeaks):
        return np.zeros((market.n, market.n))
    mean = np.asarray(sum(weight * part for weight, part in market.leaks.float_parts))
    deviation = np.sqrt(np.maximum(np.diagonal(mean), 1e-300))
    return np.asarray(np.abs(mean / deviation[:, None] / deviation))


def _price_plane(axes: Axes, market: Market, mechanism: SharingProfile) -> None:
    """Which profiles of two users are equilibria, over their prices."""
    profiles = market.profiles
    cost = floats(cost_of_sharing(profiles))
    most = 1.25 * max(float(cost.max()), float(floats(mechanism.price).max()), 1e-12)
    prices = np.linspace(0, most, GRID)
    first, second = np.meshgrid(prices, prices, indexing="ij")
    plane = np.stack([first, second], axis=-1)[..., None, :]
    margin = np.where(profiles.shares, plane - cost, cost - plane).min(axis=-1)
    here = (margin >= 0).astype(int) @ (1 << np.arange(4))
    shown = {1: "nobody", 2: "1", 4: "2", 8: "both", 9: "nobody or both", 6: "1 or 2"}
    kinds = sorted(set(here.ravel().tolist()))
    axes.contourf(
        prices, prices, np.searchsorted(kinds, here).T, levels=np.arange(len(kinds) + 1) - 0.5, cmap="Greys", alpha=0.45
    )
    for kind in kinds:
        x, y = (np.median(one[here == kind]) for one in (first, second))
        axes.text(x, y, shown.get(kind, ""), ha="center", va="center", fontsize=7)
    axes.plot(*np.where(mechanism.shares, floats(mechanism.price), 0.0), "o", color="0", markersize=4, clip_on=False)
    axes.set_xlabel(f"price of {label(market.names[0], 20)}")
    axes.set_ylabel(f"price of {label(market.names[1], 20)}")
    axes.set_title("who shares in equilibrium; point: the prices shown")


def _remedies(axes: Axes, market: Market) -> None:
    found = remedies(market, tie(market))
    names = [one.name for one in found][::-1]
    values = [float(one.surplus) for one in found][::-1]
    axes.barh(names, values, color=["0.25" if name == "no remedy" else "0.65" for name in names])
    axes.axvline(0, color="0", linewidth=0.6)
    axes.set_xlabel("social surplus")
    axes.set_title("surplus with each remedy")
