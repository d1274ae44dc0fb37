"""The best menu found for a continuum of beliefs in three and more states, perhaps of values too, with bounds on any menu.

From below boxes of types that certainly pay prove what the menu earns; from above relaxed linear programs bound every menu.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from optmarket.arrays import FloatArray, IntArray
from optmarket.certificates import Optimality, relative_gap
from optmarket.errors import ModelError
from optmarket.lp import highs
from optmarket.models.selling_information.continuum.dirichlet_demand import DirichletDemand
from optmarket.models.selling_information.continuum.dirichlet_market import DirichletMarket
from optmarket.models.selling_information.continuum.dirichlet_relaxation import relaxation
from optmarket.models.selling_information.continuum.dirichlet_types import Boxes, DirichletTypes
from optmarket.models.selling_information.experiments import values
from optmarket.models.selling_information.lp import build, read_point
from optmarket.models.selling_information.market_arrays import Market
from optmarket.models.selling_information.menu import NOTHING, Menu
from optmarket.models.selling_information.params import Params
from optmarket.models.selling_information.posting import choose, posted_menu
from optmarket.options import Deadline, Options, Status
from optmarket.rationals import exact
from optmarket.solution import Answer
from optmarket.solution_file import SolverReport
from optmarket.tolerances import TIE

SAMPLE_BOXES = 2**13  # in each of which two types are drawn, to improve prices, at most
MOST_ITEMS = 8
MOST_COLUMNS = 14_000  # of the largest program
MEANS_GAP = 1e-6  # to which the program for the means of boxes is solved
# Shares by which one price after another is raised or cut; and common shares off all prices to begin with.
PRICE_STEPS = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
PRICE_CUTS = (0.0, 0.003, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2)
LEAST_GAIN = 1e-9  # of revenue, for which a price is changed
BOUND_ROUNDING = 1e-9  # of the scale of payoffs: what sums of the boxes' masses in the program's objective may miss


def best_for_means(types: DirichletTypes, boxes: Boxes, seconds: float | None) -> tuple[FloatArray, FloatArray]:
    """Items that are best for the means of boxes as finitely many types, and their prices, as far as found in so many seconds."""
    total = boxes.mean.sum(axis=1)
    kept = np.flatnonzero(total > 0)
    if not len(kept):
        return np.zeros((0, boxes.mean.shape[1], 1)), np.zeros(0)
    weight = [exact(float(mass)) for mass in boxes.mass[kept]]
    whole = sum(weight, Fraction(0))
    means = [
        {"weight": mass / whole, "belief": _belief(w), "value": exact(float(value))}
        for mass, w, value in zip(weight, boxes.mean[kept], total[kept], strict=True)
    ]
    payoff = [[exact(float(x)) for x in row] for row in types.payoff]
    market = Market.of(Params.model_validate({"types": means, "payoff": payoff}))
    program = build(market)
    found = highs.solve(program, Options(gap=MEANS_GAP, time_limit=seconds))
    if found.x is None:
        return np.zeros((0, len(payoff), 1)), np.zeros(0)
    menu, _ = posted_menu(market, *read_point(market, program, found.x))
    return menu.experiment, menu.price


def _belief(w: FloatArray) -> list[Fraction]:
    entries = [exact(float(entry)) for entry in w]
    return [entry / sum(entries, Fraction(0)) for entry in entries]


@dataclass(frozen=True)
class Sample:
    """Types on which menus are compared.

    Attributes
    ----------
    mass : array, shape (N,)
    product : array, shape (N, W, 1, A)
        Measure times payoff.
    outside : array, shape (N,)
        What types get without buying.
    tie : float
        In payoff units: items this close to the best one count as equally good.
    """

    mass: FloatArray
    product: FloatArray
    outside: FloatArray
    tie: float

    def demand(self, worth: FloatArray, price: FloatArray) -> tuple[float, IntArray]:
        """Revenue of items of given worth to each type, ties against the seller, and who buys what."""
        pick = choose(worth, self.outside, price, self.tie, for_seller=False)
        return float(self.mass @ np.append(price, 0.0)[pick]), pick

    def tuned(self, experiment: FloatArray, price: FloatArray, deadline: Deadline) -> tuple[FloatArray, FloatArray]:
        """The items that sell best, full information among them, at prices improved one at a time until the deadline."""
        worth = values(self.product, experiment)
        price = price * (1 - max(PRICE_CUTS, key=lambda share: self.demand(worth, price * (1 - share))[0]))
        _, pick = self.demand(worth, price)
        share = np.bincount(pick[pick != NOTHING], self.mass[pick != NOTHING], len(price))
        kept = np.union1d(np.argsort(-share * price, kind="stable")[:MOST_ITEMS], [0])
        experiment, price, worth = experiment[kept], price[kept], worth[:, kept]
        best, _ = self.demand(worth, price)
        for step in PRICE_STEPS:
            gained = True
            while gained and not deadline.passed:
                gained = False
                for item, way in itertools.product(range(len(price)), (1 - step, 1 / (1 - step))):
                    trial = price.copy()
                    trial[item] *= way
                    revenue, _ = self.demand(worth, trial)
                    if revenue > best * (1 + LEAST_GAIN):
                        best, price, gained = revenue, trial, True
        _, pick = self.demand(worth, price)
        sold = np.setdiff1d(pick, NOTHING)
        return experiment[sold], price[sold]


def sample(types: DirichletTypes) -> Sample:
    """Types drawn in many small boxes: their means are unsure of the state, and would buy more often."""
    drawn, mass = types.drawn(SAMPLE_BOXES, np.random.default_rng(1))
    return Sample(mass, types.product(drawn), types.outside(drawn), TIE * types.scale)


def solve_dirichlet(market: DirichletMarket, options: Options) -> Answer:
    """A menu and its bounds: boxes of types that certainly pay prove the lower one, relaxed programs the upper one.

    Raises
    ------
    ModelError
        If an exact proof is asked for.
    """
    if options.exact:
        raise ModelError("is a distribution, computed in floats; leave exact out, or give grid", field="params.belief")
    deadline, types = options.deadline(), market.types
    compared, states = sample(types), len(types.payoff)
    menu = full = market.full_information_menu
    demand = alone = market.demand(full, deadline)
    most, upper = market.first_best
    status, rounds = Status.GAP, 0
    for size in _sizes(types):
        if deadline.passed:
            status = Status.TIME_LIMIT
            break
        boxes = types.boxes(size)
        items, prices = best_for_means(types, boxes, deadline.remaining)
        width = max(states, items.shape[2])
        candidates = np.concatenate([_padded(full.experiment, width), _padded(items, width)])
        trial = Menu(*compared.tuned(candidates, np.append(full.price, prices), deadline))
        found = market.demand(trial, deadline)
        # certain to earn more than full information, and not estimated to earn less
        if found.lower > demand.lower and found.revenue >= alone.revenue:
            menu, demand = trial, found
        result = highs.solve(relaxation(types, boxes), replace(options, gap=None, time_limit=deadline.remaining))
        upper = min(upper, (result.bound + BOUND_ROUNDING) * types.scale)
        rounds += 1
        if result.status in {Status.TIME_LIMIT, Status.INTERRUPTED}:
            status = result.status
            break
        if relative_gap(demand.lower, upper) <= options.target_gap:
            break
    certificate = Optimality.of(max(0.0, demand.lower), upper)
    return Answer(
        status=Status.OPTIMAL if certificate.gap <= options.target_gap else status,
        mechanism=menu,
        quantities={
            **demand.quantities,
            "full-information-revenue": alone.revenue,
            "full-information-price": market.full_information_price,
            "first-best": most,
        },
        certificate=certificate,
        notes=(
            "the menu is not proved to be the best: a better one would earn no more than the upper bound",
            _accuracy(market, alone),
        ),
        run=SolverReport(method="dirichlet", seconds=deadline.elapsed, rounds=rounds),
    )


def _accuracy(market: DirichletMarket, alone: DirichletDemand) -> str:
    """How accurate what is printed is, for people."""
    proved = "the bounds are proved, as accurate as the distribution functions, which are computed in floats; "
    estimates = "surplus, welfare and shares are estimates"
    if market.types.matching_payoff is not None:
        error = max(alone.upper - alone.revenue, alone.revenue - alone.lower)
        return (
            f"{proved}first-best and what full information alone earns are integrals of the distribution of the largest "
            f"probability, the latter within {error:.2g}; of a menu with other items revenue is an estimate within "
            f"revenue-error, and {estimates} too"
        )
    drawn, mass = market.drawn
    return (
        f"{proved}revenue is an estimate within revenue-error, {estimates} too; full information alone is certain to earn "
        f"between {alone.lower:.6g} and {alone.upper:.6g} at its price; first-best is an upper bound: to drawn types full "
        f"information is worth {float(mass @ market.types.worth(drawn)):.6g} on average"
    )


def _sizes(types: DirichletTypes) -> list[int]:
    """Intervals of each number, in growing programs."""
    states, actions = types.payoff.shape
    largest = types.side(MOST_COLUMNS // (2**types.dimensions * (states * actions + 1)))
    return sorted({math.ceil(largest * k / 3) for k in (1, 2, 3)})


def _padded(experiment: FloatArray, signals: int) -> FloatArray:
    """With signals that are never sent."""
    return np.pad(experiment, ((0, 0), (0, 0), (0, signals - experiment.shape[2])))
