"""The best menu found for a continuum of beliefs in two states and of values, and what no menu exceeds there."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.certificates import Optimality
from optmarket.errors import ModelError
from optmarket.models.selling_information.continuum.plane_demand import (
    approximate_revenue,
    approximate_shares,
    demand_on_plane,
    enclosed_revenue,
)
from optmarket.models.selling_information.continuum.plane_market import PlaneMarket
from optmarket.models.selling_information.continuum.plane_relaxation import Relaxation, RelaxedBound
from optmarket.models.selling_information.continuum.plane_types import Plane
from optmarket.models.selling_information.menu import Menu
from optmarket.options import Deadline, Options, Progress, Status
from optmarket.solution import Answer
from optmarket.solution_file import SolverReport

DEFAULT_GAP = 1e-5  # at which to stop if none is asked for
# Common shares off all prices, of which the one that earns most is taken.
PRICE_CUTS = (0.0, *(10.0**-k for k in range(8, 1, -1)))
LEAST_PRICE = 1e-9  # of the largest value: an item of a lower price is not listed
SAME_OFFER = 1e-9  # items whose probabilities and prices, in largest values, differ by less are one
MOST_POLISHED = 6  # items that are moved together
MOST_TRIED_SINGLY = 12  # items of which each is tried to be left out
# Of the target gap: what listing fewer items may cost, and as wide as an enclosure of revenue may be.
SHARE_OF_GAP = 0.1
# Of a menu that is moved: steps wide enough for cells in which what is sold changes not to matter, the least gain, most trials.
DIFFERENCE_STEP, POLISHING_TOLERANCE, POLISHING_TRIALS = 1e-3, 1e-12, 1500
SHARE_FOR_BOUND = 0.8  # of the time there is; the rest goes to the menu
BOUND_SECONDS = 60.0  # of processor time for the bound if there is no time limit,
STALLED = 10.0  # and so many times as many of any time
INTEGRAL_ERROR = 1e-11  # relative, of integrals of distribution functions in floats

ACCURACY = "bounds as accurate as the distribution functions, which are computed in floats"


class BoundTime:
    """The time that goes to the bound: a share of what the deadline leaves, or some time of the processor if there is none.

    Parameters
    ----------
    deadline : Deadline
    """

    def __init__(self, deadline: Deadline) -> None:
        self._deadline, self._worked = deadline, time.process_time()

    def left(self) -> float:
        """Seconds that are left for the bound, at least 0.

        Without a limit what counts is the processor's time, so that a busy machine finds what an idle one does; a program that
        stalls is stopped all the same.
        """
        remaining = self._deadline.remaining
        if remaining is None:
            return max(0.0, STALLED * (BOUND_SECONDS - (time.process_time() - self._worked)))
        limit = remaining + self._deadline.elapsed
        return max(0.0, SHARE_FOR_BOUND * limit - self._deadline.elapsed)


class _TimeIsUp(Exception):
    pass


@dataclass(frozen=True)
class PlaneMenu:
    """A menu, and approximately what it earns.

    Attributes
    ----------
    item : array, shape (M, 3)
        Probabilities that the first and the second state is named when it is true, and prices in payoff units.
    revenue : float
    """

    item: FloatArray
    revenue: float

    @property
    def experiment(self) -> FloatArray:
        """Shape (M, 2, 2)."""
        first, second = self.item[:, 0], self.item[:, 1]
        return np.stack([np.stack([first, 1 - first], axis=1), np.stack([1 - second, second], axis=1)], axis=1)

    @property
    def price(self) -> FloatArray:
        """Shape (M,)."""
        return self.item[:, 2]


def with_revenue(plane: Plane, item: FloatArray) -> PlaneMenu:
    """A menu, and approximately what it earns."""
    menu = PlaneMenu(item, 0.0)
    return replace(menu, revenue=approximate_revenue(plane, menu.experiment, menu.price))


def better(one: PlaneMenu, other: PlaneMenu) -> PlaneMenu:
    """The menu that earns more."""
    return one if one.revenue >= other.revenue else other


def discounted(plane: Plane, item: FloatArray) -> PlaneMenu:
    """Items with all prices cut by the share that earns most."""
    return reduce(better, (with_revenue(plane, item * [1, 1, 1 - share]) for share in PRICE_CUTS))


def pruned(plane: Plane, menu: PlaneMenu, spare: float, deadline: Deadline) -> PlaneMenu:
    """The menu without items whose loss costs no more than `spare` in all."""
    least = menu.revenue - spare
    cut = len(menu.item) // 2
    while cut and len(menu.item) > MOST_TRIED_SINGLY and not deadline.passed:
        # many at once, those first that sell least
        paid = approximate_shares(plane, menu.experiment, menu.price) * menu.price
        shorter = with_revenue(plane, menu.item[np.sort(np.argsort(-paid, kind="stable")[:-cut])])
        if shorter.revenue >= least:
            menu, cut = shorter, min(cut, len(shorter.item) // 2)
        else:
            cut //= 2
    while 1 < len(menu.item) <= MOST_TRIED_SINGLY and not deadline.passed:
        shorter = reduce(better, (with_revenue(plane, np.delete(menu.item, k, axis=0)) for k in range(len(menu.item))))
        if shorter.revenue < least:
            break
        menu = shorter
    return menu


def polished(plane: Plane, menu: PlaneMenu, most: float, deadline: Deadline) -> PlaneMenu:
    """A menu of few items, moved to where it earns most nearby; no value exceeds `most` by much."""
    from scipy.optimize import minimize

    if not 0 < len(menu.item) <= MOST_POLISHED or menu.revenue <= 0:
        return menu
    unit, best = np.array([1.0, 1.0, most]), menu

    def lost(x: FloatArray) -> float:
        nonlocal best
        if deadline.passed:
            raise _TimeIsUp
        found = with_revenue(plane, np.clip(x, 0, 1).reshape(-1, 3) * unit)
        best = better(best, found)
        return -found.revenue / menu.revenue

    bounds = [(0.0, 1.0)] * menu.item.size
    how: Any = {
        "finite_diff_rel_step": DIFFERENCE_STEP,
        "ftol": POLISHING_TOLERANCE,
        "gtol": POLISHING_TOLERANCE,
        "maxfun": POLISHING_TRIALS,
    }
    with suppress(_TimeIsUp):
        minimize(lost, (menu.item / unit).ravel(), method="L-BFGS-B", jac="3-point", bounds=bounds, options=how)
    return best


class PlaneSearch:
    """The best menu found so far, and what no menu exceeds.

    Parameters
    ----------
    market : PlaneMarket
    gap : float
        Target, relative to the bound.
    deadline : Deadline

    Attributes
    ----------
    upper : float
        What no menu exceeds, in payoff units.
    best : PlaneMenu
        The best menu met, by what it earns approximately.
    """

    def __init__(self, market: PlaneMarket, gap: float, deadline: Deadline) -> None:
        single, price = market.full_information
        self._plane, self._gap, self._deadline = market.types, gap, deadline
        self._largest_value = float(market.types.ends[1])
        self._full = self.best = PlaneMenu(np.array([[1.0, 1.0, price]]), single)
        self.upper = market.first_best * (1 + INTEGRAL_ERROR)

    @property
    def full_information_item(self) -> FloatArray:
        """Full information at its best price, shape (1, 3)."""
        return self._full.item

    @property
    def target(self) -> float:
        """How far the bounds may be apart at last, in payoff units."""
        return self._gap * self.upper

    def take(self, bound: RelaxedBound) -> None:
        """Take a program's bound, and the menu of its items if it earns more."""
        self.upper = min(self.upper, float(bound.upper))
        item = bound.item[bound.item[:, 2] > LEAST_PRICE * self._largest_value]
        if len(item):
            unit = SAME_OFFER * np.array([1.0, 1.0, self._largest_value])
            self.best = better(self.best, discounted(self._plane, np.unique(np.round(item / unit) * unit, axis=0)))

    def certified(self) -> tuple[float, PlaneMenu]:
        """What the best menu, shortened and moved, is certain to earn; that of full information alone if it is no better."""
        plane, deadline = self._plane, self._deadline
        shorter = pruned(plane, self.best, SHARE_OF_GAP * self.target, deadline)
        moved = polished(plane, shorter, self._largest_value, deadline)
        moved = replace(moved, revenue=demand_on_plane(plane, moved.experiment, moved.price).revenue)
        width = SHARE_OF_GAP * self._gap * self._full.revenue
        menus = [moved, self._full] if moved.revenue >= self._full.revenue else [self._full]
        found = [(enclosed_revenue(plane, one.experiment, one.price, width, lambda: deadline.passed)[0], one) for one in menus]
        return max(found, key=lambda pair: pair[0])

    def quickly_certified(self) -> tuple[float, PlaneMenu]:
        """What the best menu as it is is certain to earn."""
        return enclosed_revenue(self._plane, self.best.experiment, self.best.price, self.target)[0], self.best


def solve_plane(market: PlaneMarket, options: Options) -> Answer:
    """The best menu found and its bounds: a program's on pieces of the plane above, what the menu itself earns below.

    Raises
    ------
    ModelError
        If an exact proof is asked for.
    """
    if options.exact:
        raise ModelError("is a distribution, computed in floats; leave exact out, or give grid", field="params.belief")
    deadline = options.deadline()
    time_for_bound = BoundTime(deadline)
    gap = DEFAULT_GAP if options.gap is None else options.gap
    search = PlaneSearch(market, gap, deadline)
    lower, menu = 0.0, search.best
    bounds: list[RelaxedBound] = []
    status = Status.GAP
    try:
        if deadline.passed:
            status = Status.TIME_LIMIT
        else:
            relaxation = Relaxation(market.types, market.types.mean)
            for bound in relaxation.bounds(options, time_for_bound.left, search.full_information_item):
                bounds.append(bound)
                search.take(bound)
                status = bound.status
                if options.progress is not None:
                    seconds, lower_about = deadline.elapsed, search.best.revenue
                    options.progress(Progress(len(bounds), bound.rows, search.upper, 0.0, seconds, lower=lower_about))
                if search.upper - search.best.revenue <= search.target:
                    lower, menu = search.certified()
                    if search.upper - lower <= search.target:
                        break
                    search.best = better(menu, search.best)
            else:
                # no more programs, or no time for one
                status = Status.GAP if status is Status.OPTIMAL or options.time_limit is None else status
        if search.upper - lower > search.target:
            lower, menu = search.certified()
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
        lower, menu = search.quickly_certified()
    certificate = Optimality.of(min(float(lower), search.upper), search.upper)
    if certificate.gap <= gap and status is not Status.INTERRUPTED:
        status = Status.OPTIMAL
    mechanism = Menu(menu.experiment, menu.price)
    last = bounds[-1] if bounds else None
    return Answer(
        status=status,
        mechanism=mechanism,
        quantities=market.quantities(mechanism),
        certificate=certificate,
        notes=(ACCURACY,),
        run=SolverReport(
            method="plane",
            solver="HiGHS",
            seconds=deadline.elapsed,
            rounds=len(bounds),
            iterations=sum(bound.iterations for bound in bounds),
            rows=last.rows if last else None,
            columns=last.columns if last else None,
        ),
    )
