"""The mechanism drawn: probability and payment by value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from optmarket.models._template.market import Market
from optmarket.models._template.mechanism import DirectMechanism
from optmarket.plotting import label, style
from optmarket.rationals import floats
from optmarket.solution import Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(market: Market, mechanism: DirectMechanism, solution: Solution) -> Figure:
    """The probability of getting the good and the payment, by value."""
    with style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4.8, 2.8), layout="constrained")
        figure.suptitle(label(solution.title, 60, 2), x=0.01, ha="left")
        panels = figure.subplots(1, 2)
        value = floats(market.value)
        order = np.argsort(value, kind="stable")
        for panel, numbers, name in zip(
            panels, (mechanism.probability, mechanism.payment), ("probability", "payment"), strict=True
        ):
            panel.plot(value[order], numbers[order], "o-", color="0", markersize=3)
            panel.set_xlabel("value")
            panel.set_ylabel(name)
    return figure
