"""Menus of at most a given number of items, assembled: by closed form, from the unrestricted optimum, or by search.

The highest-priced item may be taken to be full information: whoever switches to it pays more. With one item that is all.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from optmarket.arrays import FloatArray, NumberArray
from optmarket.certificates import Optimality, relative_gap
from optmarket.errors import ModelError, SolverError
from optmarket.models.selling_information.experiments import distinct_items, values
from optmarket.models.selling_information.limited.assignment_lp import Buyers
from optmarket.models.selling_information.limited.branch_and_bound import Search
from optmarket.models.selling_information.limited.local_search import Draft, shortened, worth_keeping
from optmarket.models.selling_information.market_arrays import Market
from optmarket.models.selling_information.menu import Menu
from optmarket.models.selling_information.outcomes import quantities
from optmarket.models.selling_information.posting import TypePayoffs
from optmarket.options import Deadline, Options, Status
from optmarket.rationals import around, floats
from optmarket.solution import Answer
from optmarket.tolerances import TARGET_GAP


def best_menu(
    market: Market,
    most: int,
    unrestricted: Answer,
    point: tuple[NumberArray, NumberArray] | None,
    options: Options,
    deadline: Deadline,
) -> Answer:
    """The best menu of at most `most` items.

    Parameters
    ----------
    market : Market
    most : int
    unrestricted : Answer
        The market solved without a limit on items.
    point : (experiments, prices), arrays of shapes (M, W, S) and (M,), or None
        The last point of its program, prices in payoff units; of Fractions if it is proved optimal. None if the solver left none.
    options : Options
    deadline : Deadline

    Raises
    ------
    ModelError
        If an exact proof is asked for that there is not.
    """
    if most == 1:
        return _posted_price(market, unrestricted, deadline)
    if unrestricted.exact is not None and point is not None:
        menu = _exact_menu(market, most, *point, unrestricted.exact)
        return _answer(market, menu, unrestricted, unrestricted.status, around(unrestricted.exact), deadline)
    search = Search(market, most, _proof(unrestricted).upper, options, deadline)
    status, method = unrestricted.status, unrestricted.run.method
    if point is not None:
        experiment, price = point
        pool = _draft(floats(experiment), floats(price) / float(market.scale))
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
    answer = _answer(market, search.menu, unrestricted, status, (search.lower, search.upper), deadline, notes)
    return replace(answer, exact=None, run=replace(answer.run, method=method, nodes=search.nodes))


def _proof(answer: Answer) -> Optimality:
    """The bounds on revenue of an answer."""
    if not isinstance(answer.certificate, Optimality):
        raise SolverError("the program without a limit on items was solved without bounds on revenue")
    return answer.certificate


def _answer(
    market: Market,
    menu: Menu,
    unrestricted: Answer,
    status: Status,
    bounds: tuple[float, float],
    deadline: Deadline,
    notes: tuple[str, ...] = (),
) -> Answer:
    """The answer for a menu of few items, what the limit costs included; all else is the unrestricted answer's."""
    found = quantities(market, menu)
    known, more = _cost_of_the_limit(unrestricted, found["revenue"], bounds[0])
    return replace(
        unrestricted,
        status=status,
        mechanism=menu,
        quantities={**found, **known},
        certificate=Optimality.of(*bounds, _proof(unrestricted).blocks),
        notes=(*notes, *more),
        run=replace(unrestricted.run, seconds=deadline.elapsed, nodes=0),
    )


def _cost_of_the_limit(unrestricted: Answer, revenue: float, certain: float) -> tuple[dict[str, float], tuple[str, ...]]:
    """What menus of any size earn and what the limit costs, where that is proved; else a note that says what is known.

    Parameters
    ----------
    unrestricted : Answer
        Without the limit.
    revenue, certain : float
        Of the limited menu, which is a menu of any size too: what it earns, and a lower bound on that.
    """
    lower, upper = _proof(unrestricted).lower, _proof(unrestricted).upper
    if unrestricted.exact is not None or relative_gap(lower, upper) <= TARGET_GAP:
        best = lower if unrestricted.exact is None else float(unrestricted.exact)
        return {"unrestricted-revenue": best, "loss": max(0.0, best - revenue)}, ()
    words = f"the optimum of menus of any size was not proved, only that it is between {max(lower, certain):.9g} and {upper:.9g}"
    return {}, (f"{words}: the limit on items costs at most {max(0.0, upper - revenue):.3g}",)


def _posted_price(market: Market, unrestricted: Answer, deadline: Deadline) -> Answer:
    """Full information at the best posted price: any single item sells better as that."""
    value, price = market.full_information
    sold = int(value > 0)
    states = range(len(market.states))
    full = np.array([[[Fraction(int(w == s)) for s in states] for w in states]] * sold, dtype=object)
    menu = Menu(full.reshape(sold, len(states), len(states)), np.array([price] * sold, dtype=object))
    status = unrestricted.status if unrestricted.status is Status.INTERRUPTED else Status.OPTIMAL
    answer = _answer(market, menu, unrestricted, status, around(value), deadline)
    return replace(answer, exact=value, run=replace(answer.run, method="closed form"))


def _draft(experiment: FloatArray, price: FloatArray) -> Draft:
    """The distinct items of a program's point, with full information at the highest price."""
    items, prices = distinct_items(experiment, price)
    return Draft(tuple(item[:, item.any(axis=0)] for item in items), np.append(prices.max(initial=0.0), prices))


def _exact_menu(market: Market, most: int, experiment: NumberArray, price: NumberArray, value: Fraction) -> Menu:
    """At most so many of the items of an exact optimum that earn the same, the highest-priced one replaced by full information.

    Raises
    ------
    ModelError
        If these do not.
    """
    states = experiment.shape[1]
    full = np.array([[Fraction(int(w == s)) for s in range(states)] for w in range(states)], dtype=object)
    highest = price.max()
    found: dict[tuple[object, ...], tuple[NumberArray, Fraction]] = {(): (full, highest)}
    for given, cost in zip(experiment, price, strict=True):
        meanings: dict[tuple[Fraction, ...], NumberArray] = {}
        for signal in given.T[given.any(axis=0)]:
            meaning = tuple(signal / signal.sum())
            meanings[meaning] = meanings[meaning] + signal if meaning in meanings else signal
        if 0 < cost < highest:
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
    payoffs = TypePayoffs.of(market, exact=True)
    choice = [(Fraction(0), Fraction(0))] * len(market.names)
    for experiment, price in items:
        utility = payoffs.utility(values(payoffs.product, experiment[None]), np.array([price], dtype=object))[:, 0]
        choice = [max(before, (gain, price)) for before, gain in zip(choice, utility, strict=True)]
    return sum((f * price for f, (_, price) in zip(market.weight, choice, strict=True)), Fraction(0))
