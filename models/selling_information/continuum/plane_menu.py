"""Two states, matching payoffs, whole distributions of beliefs and of values: the best menu found, and what none exceeds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache, reduce
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from optmarket.distributions.cdf import Law
from optmarket.distributions.specification import Distribution
from optmarket.errors import ModelError
from optmarket.lp.program import FloatArray
from optmarket.models.selling_information.continuum.plane_demand import Plane, Sales, revenue_between, roughly, serve, shares
from optmarket.models.selling_information.continuum.plane_relaxation import Bound, Relaxation
from optmarket.models.selling_information.market import Market
from optmarket.models.selling_information.menu import Menu, of_cheapest
from optmarket.models.selling_information.params import Params
from optmarket.rationals import exact
from optmarket.solution import DEFAULT_GAP, Answer, Audit, Certificate, Claim, Options, Progress, Status, relative_gap

CLOSENESS = 1e-5  # the gap at which to stop if none is asked for
DISCOUNTS = (0.0, *(10.0**-k for k in range(8, 1, -1)))
SOLD = 1e-9  # of the largest value: the least price of an item worth listing
SAME = 1e-9  # items whose chances and prices, in largest values, differ by less are one
FEW = 6  # items that are polished together
SEVERAL = 12  # items of which each is tried to be left out
SPARE = 0.1  # of the gap wanted: what listing fewer items may cost, and an enclosure of revenue be wide
STEP = 1e-3  # wide enough for cells in which what is sold changes not to matter
CLOSE = 1e-12
TRIES = 1500  # menus judged while one is polished
BOUNDING = 0.8  # of the time there is goes to the bound, the rest to the menu
PATIENCE = 60.0  # seconds of processor time for the bound if no limit is set,
LONGER = 10.0  # and so many times as many of any time
INTEGRAL = 1e-11  # relative error of integrals of distribution functions in floats


class Clock:
    """The time that is left of a limit, and of what is spent on a bound if there is none.

    Parameters
    ----------
    limit : float, optional
        In seconds from now.
    """

    def __init__(self, limit: float | None) -> None:
        self.start, self.worked, self.limit = time.perf_counter(), time.process_time(), limit

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.perf_counter() - self.start

    def over(self) -> bool:
        """Whether the limit is reached."""
        return self.limit is not None and self.seconds >= self.limit

    def for_bound(self) -> float:
        """Seconds that are left for the bound, at least 0.

        Without a limit what counts is the processor's time, so that a busy machine finds what an idle one does; a program that
        stalls is stopped all the same.
        """
        if self.limit is None:
            return max(0.0, LONGER * (PATIENCE - (time.process_time() - self.worked)))
        return max(0.0, BOUNDING * self.limit - self.seconds)


class _TimeIsUp(Exception):
    pass


def plane_of(params: Params) -> Plane:
    """The types of a market."""
    assert params.belief is not None and isinstance(params.value, Distribution)
    return _plane(params.belief.law, params.value.law)


@lru_cache(maxsize=4)
def _plane(belief: Law, value: Law) -> Plane:
    """One plane for one market, which remembers what it has computed."""
    return Plane(belief, value)


def typical(params: Params) -> Market:
    """A market of one type with the same states and actions, of the mean value: its scale is what gaps are relative to."""
    return Market.typical(params, plane_of(params).mean)


@dataclass(frozen=True)
class Found:
    """A menu, and about what it earns.

    Attributes
    ----------
    item : array, shape (M, 3)
        Chances that the first and the second state is named when it is true, and prices.
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


def judged(plane: Plane, item: FloatArray) -> Found:
    """A menu, and about what it earns."""
    menu = Found(item, 0.0)
    return replace(menu, revenue=roughly(plane, menu.experiment, menu.price))


def better(one: Found, other: Found) -> Found:
    """The menu that earns more."""
    return one if one.revenue >= other.revenue else other


def discounted(plane: Plane, item: FloatArray) -> Found:
    """Items with all prices cut by the share that earns most."""
    return reduce(better, (judged(plane, item * [1, 1, 1 - share]) for share in DISCOUNTS))


def pruned(plane: Plane, menu: Found, spare: float, clock: Clock) -> Found:
    """The menu without items whose loss costs no more than `spare` in all."""
    least = menu.revenue - spare
    cut = len(menu.item) // 2
    while cut and len(menu.item) > SEVERAL and not clock.over():
        # many at once, those first that sell least
        paid = shares(plane, menu.experiment, menu.price) * menu.price
        shorter = judged(plane, menu.item[np.sort(np.argsort(-paid, kind="stable")[:-cut])])
        if shorter.revenue >= least:
            menu, cut = shorter, min(cut, len(shorter.item) // 2)
        else:
            cut //= 2
    while 1 < len(menu.item) <= SEVERAL and not clock.over():
        shorter = reduce(better, (judged(plane, np.delete(menu.item, k, axis=0)) for k in range(len(menu.item))))
        if shorter.revenue < least:
            break
        menu = shorter
    return menu


def polished(plane: Plane, menu: Found, most: float, clock: Clock) -> Found:
    """A menu of few items, moved to where it earns most nearby; no value exceeds `most` by much."""
    if not 0 < len(menu.item) <= FEW or menu.revenue <= 0:
        return menu
    unit, best = np.array([1.0, 1.0, most]), menu

    def lost(x: FloatArray) -> float:
        nonlocal best
        if clock.over():
            raise _TimeIsUp
        found = judged(plane, np.clip(x, 0, 1).reshape(-1, 3) * unit)
        best = better(best, found)
        return -found.revenue / menu.revenue

    bounds = [(0.0, 1.0)] * menu.item.size
    how: Any = {"finite_diff_rel_step": STEP, "ftol": CLOSE, "gtol": CLOSE, "maxfun": TRIES}
    with suppress(_TimeIsUp):
        minimize(lost, (menu.item / unit).ravel(), method="L-BFGS-B", jac="3-point", bounds=bounds, options=how)
    return best


def solve(params: Params, options: Options) -> Answer:
    """The best menu found and its bounds: a program's on pieces of the plane above, what the menu itself earns below.

    Raises
    ------
    ModelError
        If an exact proof is asked for.
    """
    if options.exact:
        raise ModelError("is a distribution, computed in floats; leave exact out, or give grid", field="params.belief")
    clock = Clock(options.time_limit)
    plane = plane_of(params)
    gap = CLOSENESS if options.gap is None else options.gap
    most = float(plane.ends[1])
    upper, lower = first_best(plane) * (1 + INTEGRAL), 0.0
    sizes: list[Bound] = []
    status = Status.GAP

    def wanted() -> float:
        return gap * upper

    single, price = plane.full_information
    full = best = menu = Found(np.array([[1.0, 1.0, price]]), single)

    def enclosed(found: Found) -> tuple[float, Found]:
        """What a menu, tidied up, is certain to earn; that of full information alone if it is no better."""
        tidy = polished(plane, pruned(plane, found, SPARE * wanted(), clock), most, clock)
        tidy = replace(tidy, revenue=serve(plane, tidy.experiment, tidy.price).revenue)
        width = SPARE * gap * single
        menus = [tidy, full] if tidy.revenue >= full.revenue else [full]
        found_ = [(revenue_between(plane, one.experiment, one.price, width, clock.over)[0], one) for one in menus]
        return max(found_, key=lambda pair: pair[0])

    try:
        if clock.over():
            status = Status.TIME_LIMIT
        for bound in () if clock.over() else Relaxation(plane, plane.mean).bounds(options, clock.for_bound, full.item):
            sizes.append(bound)
            upper, status = min(upper, float(bound.upper)), bound.status
            item = bound.item[bound.item[:, 2] > SOLD * most]
            if len(item):
                unit = SAME * np.array([1.0, 1.0, most])
                best = better(best, discounted(plane, np.unique(np.round(item / unit) * unit, axis=0)))
            if options.progress is not None:
                options.progress(Progress(len(sizes), bound.rows, upper, 0.0, clock.seconds, lower=best.revenue))
            if upper - best.revenue <= wanted():
                lower, menu = enclosed(best)
                if upper - lower <= wanted():
                    break
                best = better(menu, best)
        else:
            # no more programs, or no time for one
            status = Status.GAP if status is Status.OPTIMAL or clock.limit is None else status
        if upper - lower > wanted():
            lower, menu = enclosed(best)
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
        menu = best
        lower = revenue_between(plane, menu.experiment, menu.price, wanted())[0]
    lower = min(float(lower), upper)
    reached = relative_gap(lower, upper)
    if reached <= gap and status is not Status.INTERRUPTED:
        status = Status.OPTIMAL
    mechanism = Menu(menu.experiment, menu.price).as_mechanism()
    last = sizes[-1] if sizes else None
    return Answer(
        status=status,
        mechanism=mechanism,
        quantities=quantities(params, mechanism),
        certificate=Certificate(lower, upper, reached),
        method="pieces",
        notes=("bounds as accurate as the distribution functions, which are computed in floats",),
        run={
            "solver": "HiGHS",
            "seconds": clock.seconds,
            "rounds": len(sizes),
            "iterations": sum(bound.iterations for bound in sizes),
            **({"rows": last.rows, "columns": last.columns} if last else {}),
        },
    )


def sales(params: Params, mechanism: Mapping[str, Any]) -> Sales:
    """Who buys what from a menu, over all beliefs and values.

    Raises
    ------
    InstanceError
        As `Menu.posted`.
    """
    menu = Menu.posted(typical(params), mechanism)
    return serve(plane_of(params), menu.experiment, menu.price)


def outcome(params: Params, mechanism: Mapping[str, Any]) -> dict[str, float]:
    """What a menu brings about, over all beliefs and values."""
    menu, found = Menu.posted(typical(params), mechanism), sales(params, mechanism)
    return {**found.outcome, **of_cheapest(menu.experiment, menu.price, np.flatnonzero(found.share > 0))}


def quantities(params: Params, mechanism: Mapping[str, Any]) -> dict[str, float]:
    """Named scalars of what a menu does, and of the market."""
    plane = plane_of(params)
    single, price = plane.full_information
    return {
        **outcome(params, mechanism),
        "full-information-revenue": single,
        "full-information-price": price,
        "first-best": first_best(plane),
    }


def first_best(plane: Plane) -> float:
    """What full information is worth to all."""
    (_, low), (mass, moment) = plane.belief.cells([Fraction(0), Fraction(1, 2), Fraction(1)])
    return float(low + mass - moment) * plane.mean


def theory(params: Params) -> list[Claim]:
    """Bounds on the optimum that take no optimisation of menus."""
    plane = plane_of(params)
    single, _ = plane.full_information
    return [
        Claim("revenue", repr(single), "lower", "proved", "full information alone at a posted price", DEFAULT_GAP * single),
        Claim("revenue", repr(first_best(plane)), "upper", "proved", "total value of information", 0.0),
    ]


def audit(params: Params, mechanism: Mapping[str, Any]) -> Audit:
    """What a menu does to buyers who choose from it, over all beliefs and values; there is nothing to violate."""
    return Audit(outcome(params, mechanism), {}, float(typical(params).scale))


def with_buyers(params: Params, mechanism: Mapping[str, Any], menu: pd.DataFrame) -> pd.DataFrame:
    """A menu's table with shares and buyers of the whole plane in place of those of its cells."""
    found = sales(params, mechanism)
    state = params.states[0] if params.states else "state 1"
    price = np.array([float(exact(item["price"])) for item in mechanism["items"]])
    for number, item in enumerate(np.argsort(price, kind="stable"), start=1):
        here = menu["item"] == number
        words = "nobody"
        if found.share[item] > 0:
            (low, high), (least, most) = found.beliefs[item], found.values[item]
            words = f"Pr({state}) {low:.4g} to {high:.4g}, value {least:.4g} to {most:.4g}"
        menu.loc[here, "share"], menu.loc[here, "bought by"] = found.share[item], words
    return menu
