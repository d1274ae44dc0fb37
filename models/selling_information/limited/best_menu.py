"""Menus of at most a given number of items, assembled: by closed form, from the unrestricted optimum, or by search.

The dearest item may be taken to be full information: whoever switches to it pays more. With one item that is all.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from optmarket.errors import ModelError
from optmarket.lp.program import FloatArray, NumberArray
from optmarket.models.selling_information.limited.assignment_lp import Buyers
from optmarket.models.selling_information.limited.branch_and_bound import Search
from optmarket.models.selling_information.limited.local_search import Draft, shortened, worth_keeping
from optmarket.models.selling_information.market import Market
from optmarket.models.selling_information.menu import Demand, Menu, distinct, values
from optmarket.models.selling_information.outcomes import quantities
from optmarket.rationals import around, floats
from optmarket.solution import DEFAULT_GAP, Answer, Certificate, Options, Status, relative_gap


@dataclass(frozen=True)
class Relaxed:
    """The market solved without a limit on items.

    Attributes
    ----------
    answer : Answer
    experiment, price : array, shapes (M, W, S) and (M,), or None
        The program's last point, prices in payoff units; of Fractions if it is proved optimal. None if the solver left none.
    """

    answer: Answer
    experiment: NumberArray | None
    price: NumberArray | None


def best_menu(market: Market, most: int, relaxed: Relaxed, options: Options, start: float) -> Answer:
    """The best menu of at most `most` items.

    Parameters
    ----------
    market : Market
    most : int
    relaxed : Relaxed
    options : Options
    start : float
        When all began, on the clock of ``time.perf_counter``.

    Raises
    ------
    ModelError
        If an exact proof is asked for that there is not.
    """
    whole = relaxed.answer
    if most == 1:
        return _posted_price(market, whole, start)
    if whole.exact is not None:
        assert relaxed.experiment is not None and relaxed.price is not None
        menu = _exact_menu(market, most, relaxed.experiment, relaxed.price, whole.exact)
        return _answer(market, menu, whole, whole.status, around(whole.exact), start, exact=whole.exact, method=whole.method)
    search = Search(market, most, whole.certificate.upper, options, start)
    status, method = whole.status, whole.method
    if relaxed.experiment is not None and relaxed.price is not None:
        pool = _draft(floats(relaxed.experiment), floats(relaxed.price) / float(market.scale))
        search.keep(shortened(search.buyers, pool, most))
        if status is not Status.INTERRUPTED and search.promising(search.upper):
            status, method = search.run(pool)
    notes: tuple[str, ...] = ()
    if status is not Status.INTERRUPTED and search.reached and not options.exact:
        status = Status.OPTIMAL
    else:
        status = Status.GAP if status is Status.OPTIMAL else status
        stopped = f"that of branch and bound after {search.nodes} nodes" if search.nodes else "that of menus of any size"
        notes = (f"heuristic: the best menu of at most {most} items found; the upper bound is {stopped}",)
    bounds = search.lower, search.upper
    return _answer(market, search.menu, whole, status, bounds, start, method=method, notes=notes, nodes=search.nodes)


def _answer(
    market: Market,
    menu: Menu,
    whole: Answer,
    status: Status,
    bounds: tuple[float, float],
    start: float,
    *,
    exact: Fraction | None = None,
    method: str,
    notes: tuple[str, ...] = (),
    nodes: int = 0,
) -> Answer:
    found = quantities(market, menu)
    known, more = _cost_of_the_limit(whole, found["revenue"], bounds[0])
    gap = relative_gap(*bounds)
    return Answer(
        status=status,
        mechanism=menu.as_mechanism(),
        quantities={**found, **known},
        certificate=Certificate(*bounds, gap, whole.certificate.blocks),
        exact=exact,
        method=method,
        notes=(*notes, *more),
        run={**whole.run, "seconds": time.perf_counter() - start, "nodes": nodes},
    )


def _cost_of_the_limit(whole: Answer, revenue: float, certain: float) -> tuple[dict[str, float], tuple[str, ...]]:
    """What menus of any size earn and what the limit costs, where that is proved; else a note that says what is known.

    Parameters
    ----------
    whole : Answer
        Without the limit.
    revenue, certain : float
        Of the limited menu, which is a menu of any size too: what it earns, and a lower bound on that.
    """
    lower, upper = max(whole.certificate.lower, certain), whole.certificate.upper
    if whole.exact is not None or whole.certificate.gap <= DEFAULT_GAP:
        best = whole.certificate.lower if whole.exact is None else float(whole.exact)
        return {"unrestricted-revenue": best, "loss": max(0.0, best - revenue)}, ()
    words = f"the optimum of menus of any size was not proved, only that it is between {lower:.9g} and {upper:.9g}"
    return {}, (f"{words}: the limit on items costs at most {max(0.0, upper - revenue):.3g}",)


def _posted_price(market: Market, whole: Answer, start: float) -> Answer:
    """Full information at the best posted price: any single item sells better as that."""
    value, price = market.full_information
    sold = int(value > 0)
    states = range(len(market.states))
    full = np.array([[[Fraction(int(w == s)) for s in states] for w in states]] * sold, dtype=object)
    menu = Menu(full.reshape(sold, len(states), len(states)), np.array([price] * sold, dtype=object))
    status = whole.status if whole.status is Status.INTERRUPTED else Status.OPTIMAL
    return _answer(market, menu, whole, status, around(value), start, exact=value, method="closed form")


def _draft(experiment: FloatArray, price: FloatArray) -> Draft:
    """The distinct items of a program's point, with full information at the price of the dearest."""
    items, prices = distinct(experiment, price)
    return Draft(tuple(item[:, item.any(axis=0)] for item in items), np.append(prices.max(initial=0.0), prices))


def _exact_menu(market: Market, most: int, experiment: NumberArray, price: NumberArray, value: Fraction) -> Menu:
    """At most so many of the items of an exact optimum that earn the same, the dearest replaced by full information.

    Raises
    ------
    ModelError
        If these do not.
    """
    states = experiment.shape[1]
    full = np.array([[Fraction(int(w == s)) for s in range(states)] for w in range(states)], dtype=object)
    dearest = price.max()
    found: dict[tuple[object, ...], tuple[NumberArray, Fraction]] = {(): (full, dearest)}
    for given, cost in zip(experiment, price, strict=True):
        meanings: dict[tuple[Fraction, ...], NumberArray] = {}
        for signal in given.T[given.any(axis=0)]:
            meaning = tuple(signal / signal.sum())
            meanings[meaning] = meanings[meaning] + signal if meaning in meanings else signal
        if 0 < cost < dearest:
            signals = [meanings[meaning] for meaning in sorted(meanings, reverse=True)]
            found.setdefault((cost, *map(tuple, signals)), (np.array(signals).T, cost))
    items = list(found.values())
    draft = Draft(tuple(floats(item) for item, _ in items[1:]), floats([cost / market.scale for _, cost in items]))
    items = [items[k] for k in worth_keeping(Buyers.of(market), draft, most)]
    if _exact_revenue(market, items) != value:
        raise ModelError(
            f"is {most}, and the exact optimum without it has {len(found)} items, of which no {most} earn the same; menus "
            "reduced at a loss are not proved in fractions: leave exact out",
            field="params.max_items",
        )
    if not value:
        items = []
    width = max((item.shape[1] for item, _ in items), default=1)
    menu = np.full((len(items), states, width), Fraction(0), dtype=object)
    for k, (item, _) in enumerate(items):
        menu[k, :, : item.shape[1]] = item
    return Menu(menu, np.array([cost for _, cost in items], dtype=object))


def _exact_revenue(market: Market, items: list[tuple[NumberArray, Fraction]]) -> Fraction:
    """What a menu of exact items earns in payoff units, ties for the seller."""
    demand = Demand.of(market, exact=True)
    choice = [(Fraction(0), Fraction(0))] * len(market.names)
    for experiment, price in items:
        utility = demand.utility(values(demand.product, experiment[None]), np.array([price], dtype=object))[:, 0]
        choice = [max(before, (gain, price)) for before, gain in zip(choice, utility, strict=True)]
    return sum((f * price for f, (_, price) in zip(market.weight, choice, strict=True)), Fraction(0))
