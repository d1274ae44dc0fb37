"""The search for the best menu of a few items: local, and if the market is small by branch and bound.

Branch and bound assigns one type after another to an item or to nothing. Those not yet assigned keep an item each: the program
of a partial assignment bounds what any completion earns.
"""

from __future__ import annotations

import heapq
import math

import numpy as np

from optmarket.arrays import IntArray
from optmarket.certificates import relative_gap
from optmarket.lp import highs
from optmarket.models.selling_information.limited.assignment_lp import FULL, Assignment, Buyers, assigned, cells, grouped
from optmarket.models.selling_information.limited.local_search import (
    Draft,
    exchanged,
    improved,
    places,
    present,
    revenue,
    shortened,
    starts,
)
from optmarket.models.selling_information.market_arrays import Market
from optmarket.models.selling_information.menu import NOTHING
from optmarket.models.selling_information.posting import posted_menu
from optmarket.options import Deadline, Options, Progress, Status

MAX_TYPES = 20  # types that could pay something, and cells: beyond these branch and bound is not tried
MAX_CELLS = 400
MAX_NODES = 2000
CLOSE = 1e-8  # relative: what promises no more than this above the best menu is not searched
TOLD = 20  # nodes between two reports of progress


class Search:
    """A search: the best menu found, and a bound on what there may be.

    Parameters
    ----------
    market : Market
    most : int
        Items.
    ceiling : float
        A bound on what any menu earns, in payoff units.
    options : Options
        ``gap``, ``time_limit``, ``threads`` and ``progress`` are used.
    deadline : Deadline

    Attributes
    ----------
    menu : Menu
        The best one found, without assignment.
    lower : float
        What it surely earns, in payoff units.
    nodes : int
        Partial assignments whose programs were solved.
    """

    def __init__(self, market: Market, most: int, ceiling: float, options: Options, deadline: Deadline) -> None:
        self._market, self._most, self._options, self._deadline = market, most, options, deadline
        self.buyers, self._scale = Buyers.of(market), float(market.scale)
        self.nodes = 0
        self._open: list[tuple[float, tuple[int, ...]]] = [(-ceiling, ())]  # minus the bound, and the first types' items
        self._closed = -math.inf
        _, price = market.full_information
        self._best = Draft((), np.array([float(price / market.scale)]))  # of the menu
        self.menu, self.lower = posted_menu(market, np.eye(len(market.states))[None], np.array([float(price)]))

    @property
    def upper(self) -> float:
        """What no menu of so many items exceeds, in payoff units."""
        return max([self.lower, self._closed, *(-bound for bound, _ in self._open[:1])])

    @property
    def gap(self) -> float:
        """How far `upper` and `lower` are apart."""
        return relative_gap(self.lower, self.upper)

    @property
    def reached(self) -> bool:
        """Whether the gap asked for is reached."""
        return self.gap <= self._options.target_gap

    def promising(self, bound: float) -> bool:
        """Whether a bound is so far above the best menu that it is worth a search."""
        close = CLOSE if self._options.gap is None else self._options.gap
        return relative_gap(self.lower, bound) > close

    def run(self, pool: Draft) -> tuple[Status, str]:
        """Search, from a draft of any number of items; how it ended, and the method.

        Parameters
        ----------
        pool : Draft

        Returns
        -------
        status : Status
            ``optimal`` if nothing stopped it: `reached` says what that is worth.
        method : str
        """
        method = "local search"
        try:
            small = len(self.buyers.weight) <= MAX_TYPES
            known = cells(self.buyers, MAX_CELLS, self._check) if small else None
            self._improve(pool, known)
            if known is not None and self.promising(self.upper):
                method = "branch and bound"
                self._branch(known)
        except KeyboardInterrupt:
            return Status.INTERRUPTED, method
        except TimeoutError:
            return Status.TIME_LIMIT, method
        return Status.OPTIMAL, method

    def _check(self) -> None:
        if self._deadline.passed:
            raise TimeoutError

    def keep(self, draft: Draft) -> bool:
        """Take a draft of at most so many items if it earns more than the best so far; whether it does."""
        if revenue(self.buyers, draft.values(self.buyers), draft.price) * self._scale <= self.lower:
            return False
        states = len(self._market.states)
        width = max([states, *(experiment.shape[1] for experiment in draft.experiments)])
        items = np.zeros((len(draft.price), states, width))
        for item, experiment in zip(items, (np.eye(states), *draft.experiments), strict=True):
            item[:, : experiment.shape[1]] = experiment
        menu, lower = posted_menu(self._market, items, draft.price * self._scale)
        if lower <= self.lower:
            return False
        self.menu, self.lower, self._best = menu, lower, draft
        return True

    # Local search --------------------------------------------------------------------------------------------------------

    def _improve(self, pool: Draft, known: IntArray | None) -> None:
        pool_value = pool.values(self.buyers)
        for draft in starts(self.buyers, pool, self._most):
            self._check()
            if not self.promising(self.upper):
                return
            draft = exchanged(self.buyers, draft, pool, pool_value, self._most)
            draft = self._polished(draft, known)
            self.keep(draft)
        if known is not None:
            self._move(known)

    def _move(self, known: IntArray) -> None:
        """Give one type after another to another item, or none, as long as that earns more."""
        draft, rises = self._best, True
        while rises and self.promising(self.upper):
            rises = False
            for type_ in range(len(self.buyers.weight)):
                place = places(self.buyers, draft.values(self.buyers), draft.price)
                for label in range(NOTHING, min(len(draft.price) + 1, self._most)):
                    tried = place.copy()
                    tried[type_] = label
                    self._check()
                    _, other = self._solve(assigned(tried, known), full=True)
                    if self.keep(other):
                        draft, rises = self._polished(other, known), True
                        self.keep(draft)
                        break

    def _polished(self, draft: Draft, known: IntArray | None) -> Draft:
        def assign(draft: Draft, place: IntArray) -> Assignment:
            return present(self.buyers, draft, place) if known is None else assigned(place, known)

        return improved(self.buyers, draft, assign, lambda assignment: self._solve(assignment, full=known is not None)[1])

    def _solve(self, assignment: Assignment, *, full: bool) -> tuple[float, Draft]:
        """The bound of an assignment's program, in payoff units, and its menu; the full program is faster if it is small."""
        program = grouped(self.buyers, assignment)
        if full:
            program = program.full()
        result = highs.solve(program, Options(time_limit=self._deadline.remaining, threads=self._options.threads))
        if result.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        if result.status is Status.TIME_LIMIT or result.x is None:
            raise TimeoutError
        experiment = np.clip(result.x[program.variables["experiment"]], 0.0, 1.0)
        price = np.maximum(result.x[program.variables["price"]], 0.0)
        items = (experiment[:, assignment.item == item] for item in range(1, len(price)))
        return result.bound * self._scale, Draft(tuple(item[:, item.any(axis=0)] for item in items), price)

    # Branch and bound ----------------------------------------------------------------------------------------------------

    def _branch(self, known: IntArray) -> None:
        """Best bound first. The full-information item has buyers, so that it may be taken for the highest-priced one."""
        types = len(self.buyers.weight)
        while self._open and self.promising(-self._open[0][0]) and self.nodes < MAX_NODES:
            above, labels = self._open[0]
            children = []
            for label in range(NOTHING, min(max(FULL, *labels, FULL) + 2, self._most)):
                child = (*labels, label)
                if len(child) == types and FULL not in child:
                    continue
                bound = min(-above, self._bound(child, known))
                if len(child) < types and self.promising(bound):
                    children.append((-bound, child))
                else:
                    self._closed = max(self._closed, bound)
            # only now: an interrupt before leaves the parent, and its bound, among the open ones
            heapq.heappop(self._open)
            for entry in children:
                heapq.heappush(self._open, entry)

    def _bound(self, labels: tuple[int, ...], known: IntArray) -> float:
        self._check()
        rest = len(self.buyers.weight) - len(labels)
        first = max(FULL, *labels) + 1
        place = np.concatenate([labels, np.arange(first, first + rest)]).astype(np.int64)
        bound, draft = self._solve(assigned(place, known), full=True)
        self.nodes += 1
        if self.keep(shortened(self.buyers, draft, self._most)):
            self.keep(self._polished(shortened(self.buyers, draft, self._most), known))
        if self._options.progress is not None and self.nodes % TOLD == 0:
            seconds = self._deadline.elapsed
            self._options.progress(Progress(self.nodes, len(self._open), self.upper, self.upper - self.lower, seconds))
        return bound
