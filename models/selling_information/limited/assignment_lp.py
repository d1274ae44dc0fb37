"""Types that share items: what they may do after a signal, and the best menu for a given assignment as a linear program.

An item sold to a group needs one signal for each thing the group may do, a vector of actions by member and context: merging two
signals after which all members act alike changes nothing for them, and makes the item worth less, if anything, to others. What
the group may do are the cells into which its members' best-reply regions cut the beliefs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from optmarket.arrays import FloatArray, IntArray
from optmarket.lp.program import LinearProgram, Rows, check_memory
from optmarket.models.selling_information.market_arrays import Market
from optmarket.models.selling_information.menu import NOTHING
from optmarket.rationals import floats

FULL = 0  # the item that is full information
EDGE = 1e-7
PENALTY = 1000.0


@dataclass(frozen=True)
class Buyers:
    """The types that could pay something, normalised and in floats, each the exact number rounded once.

    The others, of weight or worth 0, pay nothing whatever is sold and keep nothing from being sold.

    Attributes
    ----------
    weight, outside, full, worth : array, shape (T,)
        ``worth`` is ``full - outside``.
    product : array, shape (T, W, K, A)
    gain : array, shape (T, W, S)
    """

    weight: FloatArray
    outside: FloatArray
    full: FloatArray
    worth: FloatArray
    product: FloatArray
    gain: FloatArray

    @classmethod
    def of(cls, market: Market) -> Buyers:
        """Those of a market, the one with most at stake (weight times worth) first."""
        active = market.active[market.worth[market.active] > 0]
        active = active[np.argsort(-(market.weight * market.worth)[active], kind="stable")]
        worth = market.full - market.outside
        arrays = (market.weight, market.outside, market.full, worth, market.product, market.gain)
        return cls(*(floats(array[active]) for array in arrays))

    def values(self, experiment: FloatArray, item: IntArray) -> tuple[FloatArray, IntArray]:
        """What items are worth to each type that acts best on them, and which profile is best after each signal.

        Parameters
        ----------
        experiment : array, shape (W, N)
            The signals of all items but full information, one item's after the other's.
        item : array of int, shape (N,)
            The item of each signal, counted from 1.

        Returns
        -------
        value : array, shape (T, J)
            Full information first.
        reply : array of int, shape (T, N)
        """
        payoff = np.moveaxis(self.product, 1, 3) @ experiment
        action = payoff.argmax(axis=2)
        place = self.product.shape[3] ** np.arange(self.product.shape[2])[::-1]
        reply = (action * place[:, None]).sum(axis=1)
        best = payoff.max(axis=2).sum(axis=1)
        value = np.column_stack([self.full, np.zeros((len(best), int(item.max(initial=0))))])
        np.add.at(value.T, item, best.T)
        return value, reply


def cells(buyers: Buyers, most: int, check: Callable[[], None]) -> IntArray | None:
    """All that the types may do after one signal: their profiles, shape (cells, T); None if there are more than `most`.

    One type and context after another, each prefix of actions is kept if some belief makes all of them best. Of cells so thin
    that rounding decides, too many are kept: a signal that is never sent does no harm.

    Parameters
    ----------
    buyers : Buyers
    most : int
    check : callable
        Called now and then; raises to stop.
    """
    types, states, contexts, actions = buyers.product.shape
    found: list[tuple[tuple[int, ...], list[FloatArray]]] = [((), [])]
    for type_ in range(types):
        for context in range(contexts):
            check()
            payoff = buyers.product[type_, :, context]
            longer = []
            for prefix, sides in found:
                for action in range(actions):
                    better = np.delete(payoff[:, [action]] - payoff, action, axis=1).T
                    side = [row / np.abs(row).max() for row in better if row.any()]
                    if _some_belief([*sides, *side], states):
                        longer.append(((*prefix, action), [*sides, *side]))
            found = longer
            if len(found) > most:
                return None
    chosen = np.array([prefix for prefix, _ in found]).reshape(len(found), types, contexts)
    return np.asarray((chosen * actions ** np.arange(contexts)[::-1]).sum(axis=2))


def _some_belief(sides: list[FloatArray], states: int) -> bool:
    """Whether some belief is on the right side, at least 0 but for `EDGE`, of all these hyperplanes."""
    from scipy.optimize import linprog

    if not sides:
        return True
    matrix = np.array(sides)
    if states == 2:  # an interval: where the sides change sign
        x = np.concatenate(
            [[0.0, 1.0], np.clip(matrix[:, 1] / np.where(matrix[:, 1] == matrix[:, 0], 1.0, np.diff(matrix)[:, 0]), 0, 1)]
        )
        return bool((np.column_stack([x, 1 - x]) @ matrix.T).min(axis=1).max() >= -EDGE)
    result = linprog(
        [*[0.0] * states, -1.0],
        A_ub=np.column_stack([-matrix, np.ones(len(matrix))]),
        b_ub=np.zeros(len(matrix)),
        A_eq=[[*[1.0] * states, 0.0]],
        b_eq=[1.0],
        bounds=[*[(0.0, 1.0)] * states, (None, 1.0)],
        method="highs",
    )
    return result.x is None or bool(result.x[-1] >= -EDGE)


@dataclass(frozen=True)
class Assignment:
    """Who buys what, and what the signals of each item recommend to its buyers.

    Attributes
    ----------
    place : array of int, shape (T,)
        The item of each type: `FULL`, another counted from 1, or `NOTHING`.
    reply : array of int, shape (T, N)
        The profile that each signal recommends to each type; of use for the buyers of its item.
    item : array of int, shape (N,)
        The item of each signal, ascending from 1, none left out.
    """

    place: IntArray
    reply: IntArray
    item: IntArray


def assigned(place: IntArray, cells: IntArray) -> Assignment:
    """An assignment with as many signals as it can use, for types whose possible replies are `cells`."""
    parts = []
    for item in range(1, int(place.max(initial=0)) + 1):
        # others' replies are not needed: cells that differ only in these are one
        own = np.where(place == item, cells, 0)
        parts.append(np.unique(own, axis=0))
    sizes = [len(part) for part in parts]
    reply = np.concatenate([np.zeros((0, len(place)), dtype=np.int64), *parts]).T
    return Assignment(place, reply, np.repeat(np.arange(1, len(parts) + 1), sizes))


def grouped(buyers: Buyers, assignment: Assignment) -> LinearProgram:
    """The best menu for an assignment: experiments for all items but full information, and all prices.

    Full information is the highest-priced item, and prices are at least 0; neither restricts what the best assignment earns.
    Two families of constraints are not needed: obedience, because an item is worth to its buyers at least what obeying gives
    them; and that others do not buy full information, because whoever switches to it pays more. An assignment that no menu
    brings about is made feasible by one slack for all buyers, at a high cost in the objective: the program always has a point,
    and its optimum bounds what the assignment earns.

    Raises
    ------
    ModelError
        If it does not fit in memory.
    """
    place, item = assignment.place, assignment.item
    types, states, _ = buyers.gain.shape
    items, signals = int(item.max(initial=0)) + 1, len(item)
    columns = signals * states + items + 1
    check_memory(types * items, columns, types * items * columns, "the program of a reduced menu")
    program = LinearProgram("max")
    experiment = program.add_variables("experiment", (states, signals), lower=0.0, upper=1.0)
    most = np.full(items, buyers.worth.max())
    np.minimum.at(most, place[place >= 0], buyers.worth[place >= 0])
    weight = np.bincount(place[place >= 0], buyers.weight[place >= 0], minlength=items)
    price = program.add_variables("price", (items,), lower=0.0, upper=most, objective=weight)
    slack = program.add_variables("slack", (), lower=0.0, upper=1.0, objective=-PENALTY)
    own = np.zeros((types, columns))
    own[:, slack] = 1.0
    buying = np.flatnonzero(place >= 0)
    own[buying, price[place[buying]]] = -1.0
    bought = item == place[:, None]
    recommended = np.where(bought, assignment.reply, 0)
    value = np.where(bought[:, None], np.take_along_axis(buyers.gain, recommended[:, None].repeat(states, axis=1), axis=2), 0.0)
    own[:, experiment.ravel()] = value.reshape(types, -1)
    every = np.arange(columns)

    def dense(value: FloatArray, lower: Any, upper: float) -> Rows:
        return Rows.dense(np.broadcast_to(every, value.shape), value, lower, upper)

    total = np.zeros((items - 1, states, columns))
    signal = np.arange(signals)
    for state in range(states):
        total[item - 1, state, experiment[state, signal]] = 1.0
    program.add_rows("experiment sums to one", dense(total.reshape(-1, columns), 1.0, 1.0))
    members = np.flatnonzero(place > FULL)
    program.add_rows("individual rationality", dense(own[members], buyers.outside[members], np.inf))
    highest = np.zeros((items - 1, columns))
    highest[:, price[FULL]] = 1.0
    highest[np.arange(items - 1), price[1:]] = -1.0
    program.add_rows("full information has the highest price", dense(highest, 0.0, np.inf))
    if signals:
        program.add_family("choice", ChoiceRows(buyers, assignment, experiment, price, own))
    return program


@dataclass(frozen=True)
class ChoiceRows:
    """Each type prefers what it is assigned to every other item but full information, act on that item as it may.

    ``own_r - V_r(pi_q) + t_q`` is at least 0, or minus a constant where full information or nothing is assigned; V_r is a
    maximum over replies to each signal, so that one argmax finds the most violated row of a pair.

    Attributes
    ----------
    buyers : Buyers
    assignment : Assignment
    experiment : array of int, shape (W, N)
        Columns.
    price : array of int, shape (J,)
        Columns.
    own : array, shape (T, columns)
        Coefficients of what each type keeps of its assigned item, constants left out.
    """

    buyers: Buyers
    assignment: Assignment
    experiment: IntArray
    price: IntArray
    own: FloatArray

    def _constant(self) -> FloatArray:
        place = self.assignment.place
        return np.where(place == FULL, self.buyers.full, np.where(place == NOTHING, self.buyers.outside, 0.0))

    def rows(self, buyer: IntArray, item: IntArray, reply: IntArray) -> Rows:
        """Rows of pairs of types and items, with each type's reply to all signals, shape (T, N)."""
        value = self.own[buyer]
        states = len(self.experiment)
        tempting = np.take_along_axis(self.buyers.gain, reply[:, None].repeat(states, axis=1), axis=2)[buyer]
        other = np.where((self.assignment.item == item[:, None])[:, None], tempting, 0.0).reshape(
            len(buyer), self.experiment.size
        )
        # an item is not tempting to its own buyers: these entries were 0
        value[:, self.experiment.ravel()] -= other
        value[np.arange(len(buyer)), self.price[item]] += 1.0
        index = np.broadcast_to(np.arange(value.shape[1]), value.shape)
        return Rows.dense(index, value, -self._constant()[buyer], np.inf)

    def initial_cuts(self) -> Rows:
        """None: prices have bounds."""
        return Rows.join([])

    def separate(self, x: Any, tolerance: float) -> tuple[Rows, Any]:
        """The rows that fail at x by more than `tolerance`, and the largest failure."""
        place = self.assignment.place
        value, reply = self.buyers.values(x[self.experiment], self.assignment.item)
        failure = value - x[self.price] - (self.own @ x + self._constant())[:, None]
        failure[:, FULL] = 0.0
        buying = np.flatnonzero(place >= 0)
        failure[buying, place[buying]] = 0.0
        buyer, item = np.nonzero(failure > tolerance)
        return self.rows(buyer, item, reply), max(0.0, float(failure.max()))

    def _pairs(self) -> tuple[IntArray, ...]:
        """Types, and items that may tempt them."""
        types, items = len(self.own), len(self.price)
        tempting = np.ones((types, items), dtype=bool)
        tempting[:, FULL] = False
        buying = np.flatnonzero(self.assignment.place >= 0)
        tempting[buying, self.assignment.place[buying]] = False
        return tuple(index.astype(np.int64) for index in np.nonzero(tempting))

    def size(self) -> tuple[int, int, int]:
        """Rows, columns and non-zeros of `add_all`, at most."""
        _, states, contexts, actions = self.buyers.product.shape
        buyer, item = self._pairs()
        sent = int(np.bincount(self.assignment.item, minlength=len(self.price))[item].sum())
        rows, own = sent * contexts * actions, self.own.shape[1]
        return rows + len(buyer), sent * contexts, rows * (states + 1) + len(buyer) * (own + 1) + sent * contexts

    def add_all(self, program: LinearProgram) -> None:
        """One row a pair, and for each signal and context a variable at least as large as each action's payoff."""
        _, states, contexts, actions = self.buyers.product.shape
        buyer, item = self._pairs()
        pair, signal = np.nonzero(self.assignment.item == item[:, None])
        # no deviation payoff exceeds its state's best payoff summed over states, at most the measure: 1 after scaling
        deviation = program.add_variables("deviation payoff", (len(pair), contexts), lower=0.0, upper=1.0)
        shape = (len(pair), contexts, actions)
        index = np.concatenate(
            [
                np.broadcast_to(self.experiment.T[signal][:, None, None], (*shape, states)),
                np.broadcast_to(deviation[:, :, None, None], (*shape, 1)),
            ],
            axis=3,
        )
        payoff = np.moveaxis(self.buyers.product, 1, 3)[buyer[pair]]
        value = np.concatenate([-payoff, np.ones((*shape, 1))], axis=3)
        program.add_rows(
            "deviation payoff", Rows.dense(index.reshape(-1, states + 1), value.reshape(-1, states + 1), 0.0, np.inf)
        )
        parts = []
        for k, (type_, other) in enumerate(zip(buyer, item, strict=True)):
            columns = np.concatenate([np.arange(self.own.shape[1]), deviation[pair == k].ravel()])
            values = np.concatenate([self.own[type_], np.full(len(columns) - self.own.shape[1], -1.0)])
            values[self.price[other]] += 1.0
            parts.append(Rows.dense(columns[None], values[None], -self._constant()[[type_]], np.inf))
        program.add_rows("choice", Rows.join(parts))
