"""Three and more states and a whole distribution of beliefs, perhaps of values too: menus, and bounds on what any menu earns.

From below: boxes of types that surely pay. From above: average the experiments and prices of a box's types, weighted for one of
its corners. To no other type are such averages worth more than what it has, and at their corners, obeyed, they are together worth
what the box's types get, which by convexity is at least what their mean gets. So revenue is at most the value of a linear program
in these averages and what the means get.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from optmarket.errors import ModelError
from optmarket.lp import highs
from optmarket.lp.program import FloatArray, IntArray, LinearProgram, Rows
from optmarket.models.selling_information.continuum.dirichlet_demand import Boxes, Sales, Simplex, Truth, serve
from optmarket.models.selling_information.lp import build, read_point
from optmarket.models.selling_information.market import Market
from optmarket.models.selling_information.menu import NOTHING, TIE, Menu, choose, posted_menu, values
from optmarket.models.selling_information.params import Params
from optmarket.rationals import exact
from optmarket.solution import Answer, Audit, Certificate, Claim, Options, Status, relative_gap

SAMPLE = 2**13  # boxes in each of which two types are drawn, to tune prices, at most
FINE = 2**16  # boxes for numbers of full information, at most
MOST_ITEMS = 8
COLUMNS = 14_000  # of the largest program
STEPS = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
DISCOUNTS = (0.0, 0.003, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2)
ROUNDING = 1e-9
NEIGHBOURS = 9
ROWS = 3


# What no menu exceeds --------------------------------------------------------------------------------------------------


def relaxation(simplex: Simplex, boxes: Boxes) -> LinearProgram:
    """A linear program that no menu's revenue exceeds, in payoffs divided by the scale.

    Why: say type w of a box, an average of its corners x_i with weights l_i(w), buys an experiment pi(w), told as what it then
    does, at a price t(w) of at least 0, and gets U(w): the value of pi(w), obeyed, less t(w). A corner's columns average pi
    and t with weights l_i, its share is the mean of l_i, and:

    1. Revenue is the sum of mass times share times price.
    2. The value of obeying is linear in type and in experiment. So the mean of U over a box is the sum over its corners of
       share times what x_i gets by obeying, less the price; and U, which is convex, is at the box's mean at most that.
    3. A mean m, itself a type or not, gets at least the value of each pi(w) to it less t(w). That value is convex in the
       experiment: so the same holds of averages, however m acts after each signal.
    4. U(m) is at least the payoff without buying. It, and any price, is at most the payoff of full information, which is linear,
       so largest at a corner. Items of negative price can be dropped: their buyers turn to others.

    Of the law only masses and shares count: rounded, they are those of another law as near, whose revenue is as near.
    """
    payoff = simplex.payoff / simplex.scale
    cells, corners, states = boxes.corner.shape
    actions = payoff.shape[1]
    full = (boxes.corner @ payoff.max(axis=1)).max(axis=1)
    program = LinearProgram("max", unit=simplex.scale)
    experiment = program.add_variables("experiment", (cells, corners, states, actions), upper=1.0)
    price = program.add_variables(
        "price",
        (cells, corners),
        upper=np.repeat(full[:, None], corners, axis=1),
        objective=boxes.mass[:, None] * boxes.share,
    )
    got = program.add_variables("payoff", (cells,), lower=(boxes.mean @ payoff).max(axis=1), upper=full)
    signals = experiment.reshape(-1, actions)
    program.add_rows("experiment sums to one", Rows.dense(signals, np.ones(signals.shape), 1.0, 1.0))
    obeyed = boxes.share[:, :, None, None] * boxes.corner[..., None] * payoff
    program.add_rows(
        "payoff of a box",
        Rows.dense(
            np.column_stack([experiment.reshape(cells, -1), price, got]),
            np.column_stack([obeyed.reshape(cells, -1), -boxes.share, -np.ones(cells)]),
            0.0,
            np.inf,
        ),
    )
    family = Envy(boxes.mean, payoff, experiment.reshape(-1, states, actions), price.ravel(), got)
    program.add_family("incentive", family)
    return program


@dataclass(frozen=True)
class Envy:
    """No item is worth more to a box's mean than what that gets, whatever it does after each signal.

    Attributes
    ----------
    mean : array, shape (C, W)
    payoff : array, shape (W, A)
    experiment, price, got : arrays of int, shapes (M, W, A), (M,), (C,)
        Columns.
    """

    mean: FloatArray
    payoff: FloatArray
    experiment: IntArray
    price: IntArray
    got: IntArray

    def rows(self, box: IntArray, item: IntArray, action: IntArray) -> Rows:
        """Rows of pairs, the actions after each signal in shape (n, A)."""
        n = len(box)
        gain = self.mean[box][:, :, None] * np.moveaxis(self.payoff[:, action], 0, 1)
        index = np.column_stack([self.got[box], self.price[item], self.experiment[item].reshape(n, -1)])
        return Rows.dense(index, np.column_stack([np.ones((n, 2)), -gain.reshape(n, -1)]), 0.0, np.inf)

    def seed(self) -> Rows:
        """Each mean towards its own items and those of the nearest ones, obeyed."""
        cells, corners = len(self.mean), len(self.price) // len(self.mean)
        _, near = cKDTree(self.mean).query(self.mean, min(NEIGHBOURS, cells))
        near = near.reshape(cells, -1)
        item = (near[:, :, None] * corners + np.arange(corners)).reshape(cells, -1)
        box = np.repeat(np.arange(cells), item.shape[1])
        actions = self.payoff.shape[1]
        return self.rows(box, item.ravel(), np.broadcast_to(np.arange(actions), (len(box), actions)))

    def separate(self, x: FloatArray, tolerance: float) -> tuple[Rows, Any]:
        """The worst rows of each mean and each item that fail by more than `tolerance`; the largest failure."""
        experiment = x[self.experiment]
        envy = values(self.mean[:, :, None, None] * self.payoff[None, :, None, :], experiment) - x[self.price]
        envy -= x[self.got][:, None]
        largest = max(0.0, float(envy.max()))
        order = np.argpartition(-envy, min(ROWS, envy.shape[1] - 1), axis=1)[:, :ROWS]
        box, item = np.repeat(np.arange(len(envy)), order.shape[1]), order.ravel()
        box = np.concatenate([box, envy.argmax(axis=0)])
        item = np.concatenate([item, np.arange(envy.shape[1])])
        box, item = np.unique(np.column_stack([box, item])[envy[box, item] > tolerance], axis=0).T
        if not len(box):
            return Rows.join([]), largest
        after = np.einsum("nw,nws,wa->nsa", self.mean[box], experiment[item], self.payoff, optimize=True)
        return self.rows(box, item, after.argmax(axis=2)), largest

    def size(self) -> tuple[int, int, int]:
        """Rows, columns and non-zeros of the full family, an action after each signal."""
        actions = self.payoff.shape[1]
        rows = len(self.got) * len(self.price) * actions**actions
        return rows, 0, rows * (2 + len(self.payoff) * actions)

    def list_all(self, program: LinearProgram) -> None:
        """Add the family: every mean, item, and way to act."""
        actions = self.payoff.shape[1]
        ways = np.array(list(itertools.product(range(actions), repeat=actions)))
        box, item, way = np.indices((len(self.got), len(self.price), len(ways))).reshape(3, -1)
        program.add_rows("incentive", self.rows(box, item, ways[way]))


# Menus -----------------------------------------------------------------------------------------------------------------


def on_grid(simplex: Simplex, boxes: Boxes, seconds: float | None) -> tuple[FloatArray, FloatArray]:
    """Items that are best for the means of boxes, and their prices, as far as they are found in so many seconds."""
    total = boxes.mean.sum(axis=1)
    kept = np.flatnonzero(total > 0)
    if not len(kept):
        return np.zeros((0, boxes.mean.shape[1], 1)), np.zeros(0)
    weight = [exact(float(mass)) for mass in boxes.mass[kept]]
    whole = sum(weight, Fraction(0))
    types = [
        {"weight": mass / whole, "belief": _belief(w), "value": exact(float(value))}
        for mass, w, value in zip(weight, boxes.mean[kept], total[kept], strict=True)
    ]
    payoff = [[exact(float(x)) for x in row] for row in simplex.payoff]
    market = Market.of(Params.model_validate({"types": types, "payoff": payoff}))
    program = build(market)
    found = highs.solve(program, Options(gap=1e-6, time_limit=seconds))
    if found.x is None:
        return np.zeros((0, len(payoff), 1)), np.zeros(0)
    menu, _ = posted_menu(market, *read_point(market, program, found.x))
    return menu.experiment, menu.price


def _belief(w: FloatArray) -> list[Fraction]:
    entries = [exact(float(entry)) for entry in w]
    return [entry / sum(entries, Fraction(0)) for entry in entries]


@dataclass(frozen=True)
class Sample:
    """Types on which menus are compared."""

    mass: FloatArray
    product: FloatArray
    outside: FloatArray
    tie: float

    def earned(self, worth: FloatArray, price: FloatArray) -> tuple[float, IntArray]:
        """Revenue of items of given worth to each type, ties against the seller, and who buys what."""
        pick = choose(worth, self.outside, price, self.tie, for_seller=False)
        return float(self.mass @ np.append(price, 0.0)[pick]), pick

    def tuned(self, experiment: FloatArray, price: FloatArray, end: float) -> tuple[FloatArray, FloatArray]:
        """The items that sell best, full information among them, at prices improved one at a time until an end on the clock."""
        worth = values(self.product, experiment)
        price = price * (1 - max(DISCOUNTS, key=lambda share: self.earned(worth, price * (1 - share))[0]))
        _, pick = self.earned(worth, price)
        share = np.bincount(pick[pick != NOTHING], self.mass[pick != NOTHING], len(price))
        kept = np.union1d(np.argsort(-share * price, kind="stable")[:MOST_ITEMS], [0])
        experiment, price, worth = experiment[kept], price[kept], worth[:, kept]
        best, _ = self.earned(worth, price)
        for step in STEPS:
            gained = True
            while gained and time.perf_counter() < end:
                gained = False
                for item, way in itertools.product(range(len(price)), (1 - step, 1 / (1 - step))):
                    trial = price.copy()
                    trial[item] *= way
                    revenue, _ = self.earned(worth, trial)
                    if revenue > best * (1 + 1e-9):
                        best, price, gained = revenue, trial, True
        _, pick = self.earned(worth, price)
        sold = np.setdiff1d(pick, NOTHING)
        return experiment[sold], price[sold]


def sample(simplex: Simplex) -> Sample:
    """Types drawn in many small boxes: their means are unsure of the state, and would buy more often."""
    types, mass = simplex.drawn(SAMPLE, np.random.default_rng(1))
    return Sample(mass, simplex.product(types), simplex.outside(types), TIE * simplex.scale)


def posted_price(simplex: Simplex, end: float = math.inf) -> tuple[float, Sales]:
    """Full information alone: its best price, and what it earns there, judged until an end on the clock.

    Where payoffs match the price is that of the distribution itself, otherwise the best among drawn types.
    """
    if simplex.stake is not None:
        price = Truth(simplex).price
    else:
        types, mass = simplex.drawn(FINE, np.random.default_rng(2))
        worth = simplex.worth(types)
        order = np.argsort(-worth, kind="stable")
        price = float(worth[order][(worth[order] * np.cumsum(mass[order])).argmax()])
    return price, serve(simplex, np.eye(len(simplex.payoff))[None], np.array([price]), end)


def first_best(simplex: Simplex) -> tuple[float, float]:
    """What full information is worth to all, and a bound above: its worth is concave, so that means of boxes are worth more."""
    if simplex.stake is not None:
        truth = Truth(simplex)
        return truth.mean, truth.mean * (1 + ROUNDING + truth.error)
    boxes = simplex.boxes(simplex.side(FINE))
    most = float(boxes.mass @ simplex.worth(boxes.mean)) * (1 + ROUNDING)
    return most, most


def solve(params: Params, options: Options) -> Answer:
    """A menu and its bounds: boxes of types that surely pay prove the lower one, relaxed programs the upper one.

    Raises
    ------
    ModelError
        If an exact proof is asked for, or there are too many states.
    """
    if options.exact:
        raise ModelError("is a distribution, computed in floats; leave exact out, or give grid", field="params.belief")
    start = time.perf_counter()
    end = math.inf if options.time_limit is None else start + options.time_limit
    simplex = Simplex.of(params)
    types, states = sample(simplex), len(simplex.payoff)
    truth = np.eye(states)[None]
    single, alone = posted_price(simplex, end)
    experiment, price, sales = truth, np.array([single]), alone
    most, upper = first_best(simplex)
    status, rounds = Status.GAP, 0
    for size in _sizes(simplex):
        if time.perf_counter() >= end:
            status = Status.TIME_LIMIT
            break
        boxes = simplex.boxes(size)
        items, prices = on_grid(simplex, boxes, _left(end))
        width = max(states, items.shape[2])
        candidates = np.concatenate([_widened(truth, width), _widened(items, width)])
        found, at = types.tuned(candidates, np.append(single, prices), end)
        trial = serve(simplex, found, at, end)
        # certain to earn more than full information, and not estimated to earn less
        if trial.lower > sales.lower and trial.revenue >= alone.revenue:
            experiment, price, sales = found, at, trial
        result = highs.solve(relaxation(simplex, boxes), replace(options, gap=None, time_limit=_left(end)))
        upper = min(upper, (result.bound + ROUNDING) * simplex.scale)
        rounds += 1
        if result.status in {Status.TIME_LIMIT, Status.INTERRUPTED}:
            status = result.status
            break
        if relative_gap(sales.lower, upper) <= options.wanted:
            break
    lower = max(0.0, sales.lower)
    gap = relative_gap(lower, upper)
    return Answer(
        status=Status.OPTIMAL if gap <= options.wanted else status,
        mechanism=Menu(experiment, price).as_mechanism(),
        quantities={
            **sales.outcome,
            "full-information-revenue": alone.revenue,
            "full-information-price": single,
            "first-best": most,
        },
        certificate=Certificate(lower, upper, gap),
        method="boxes",
        notes=(
            "the menu is not proved to be the best: a better one would earn no more than the upper bound",
            _accuracy(simplex, alone),
        ),
        run={"seconds": time.perf_counter() - start, "rounds": rounds},
    )


def _accuracy(simplex: Simplex, alone: Sales) -> str:
    """How accurate what is printed is, for people."""
    proved = "the bounds are proved, as accurate as the distribution functions, which are computed in floats; "
    estimates = "surplus, welfare and shares are estimates"
    if simplex.stake is not None:
        error = max(alone.upper - alone.revenue, alone.revenue - alone.lower)
        return (
            f"{proved}first-best and what full information alone earns are integrals of the distribution of the largest "
            f"probability, the latter within {error:.2g}; of a menu with other items revenue is an estimate within "
            f"revenue-error, and {estimates} too"
        )
    types, mass = simplex.drawn(FINE, np.random.default_rng(2))
    return (
        f"{proved}revenue is an estimate within revenue-error, {estimates} too; full information alone is certain to earn "
        f"between {alone.lower:.6g} and {alone.upper:.6g} at its price; first-best is an upper bound: to drawn types full "
        f"information is worth {float(mass @ simplex.worth(types)):.6g} on average"
    )


def _left(end: float) -> float | None:
    """Seconds left until an end on the clock, None if there is none."""
    return None if math.isinf(end) else max(0.0, end - time.perf_counter())


def _sizes(simplex: Simplex) -> list[int]:
    """Intervals of each number, in growing programs."""
    states, actions = simplex.payoff.shape
    largest = simplex.side(COLUMNS // (2**simplex.dimensions * (states * actions + 1)))
    return sorted({math.ceil(largest * k / 3) for k in (1, 2, 3)})


def _widened(experiment: FloatArray, signals: int) -> FloatArray:
    """With signals that are never sent."""
    return np.pad(experiment, ((0, 0), (0, 0), (0, signals - experiment.shape[2])))


# For people ------------------------------------------------------------------------------------------------------------


def bought(params: Params, mechanism: Mapping[str, Any]) -> tuple[Simplex, Menu, Sales]:
    """Who buys what from a menu, over all types.

    Raises
    ------
    InstanceError
        If it is no menu, or one with an assignment.
    """
    menu = Menu.posted(typical(params), mechanism)
    simplex = Simplex.of(params)
    return simplex, menu, serve(simplex, menu.experiment, menu.price)


def typical(params: Params) -> Market:
    """A market of one type with the same states, actions and payoffs: what a mechanism must fit."""
    return Market.typical(params)


def theory(params: Params) -> list[Claim]:
    """Bounds on the optimum that take no optimisation of menus."""
    simplex = Simplex.of(params)
    return [
        Claim(
            "revenue", repr(posted_price(simplex)[1].lower), "lower", "proved", "full information alone at a posted price", 1e-9
        ),
        Claim("revenue", repr(first_best(simplex)[1]), "upper", "proved", "total value of information", 1e-9),
    ]


def audit(params: Params, mechanism: Mapping[str, Any]) -> Audit:
    """What a menu does to buyers who choose from it, over all types; there is nothing to violate."""
    simplex, _, found = bought(params, mechanism)
    return Audit(found.outcome, {}, simplex.scale)


def with_buyers(params: Params, mechanism: Mapping[str, Any], menu: pd.DataFrame) -> pd.DataFrame:
    """A menu's table with shares and buyers of the whole distribution in place of those of its cells."""
    _, listed, found = bought(params, mechanism)
    for number, item in enumerate(np.lexsort((np.arange(len(listed.price)), listed.price)), start=1):
        here = menu["item"] == number
        words = ", ".join(f"{entry:.2f}" for entry in found.belief[item])
        menu.loc[here, "share"] = found.share[item]
        menu.loc[here, "bought by"] = f"on average {words}" if found.share[item] else "nobody"
    return menu
