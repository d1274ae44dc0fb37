"""The linear program of a one-buyer information market, its incentive rows separated on demand."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from optmarket.arrays import FloatArray, IntArray, NumberArray
from optmarket.errors import ModelError
from optmarket.lp.program import LinearProgram, Rows, check_memory
from optmarket.lp.separation import neighbouring_types, worst_pairs
from optmarket.models.selling_information.market_arrays import Market, power_of_two
from optmarket.rationals import floats, matrix_product

NEIGHBOURS = 8
# Columns are scaled by powers of two, which round nothing, and only beyond this: ordinary markets stay as they are written.
LARGE = 10  # exponent: a coefficient of 2^10

Deviations = Literal["double", "separate", "misreport"]


def build(market: Market, *, exact: bool = False, deviations: Deviations = "double") -> LinearProgram:
    """The revenue-maximising direct mechanism as a linear program over the types that could pay something.

    Rows and prices of a type are in units of its own stakes, and the probability of a signal whose action would lose many times
    the stakes in a state is a column in units of what it may be: so that the solver's one tolerance means as much for a type
    of large stakes as for one of small. Types of weight 0, and those to which information is worth nothing, pay nothing
    whatever is sold, and are left out. (With one type that is worthless to all there is a program all the same.)

    Parameters
    ----------
    market : Market
    exact : bool
        Coefficients as Fractions rather than their floats.
    deviations : {"double", "separate", "misreport"}
        What the mechanism must withstand: misreporting and disobeying together (the market's program), each alone, or
        misreporting by buyers who always obey. The last two are relaxations, for comparison.

    Returns
    -------
    LinearProgram
        Multiply its value by its ``unit``; `read_point` reads its points.

    Raises
    ------
    ModelError
        If it does not fit in memory.
    """
    who = paying(market)
    _, n_states, contexts, actions = market.advantage.shape
    types, profiles = len(who), len(market.profiles)
    check_memory(
        types * (n_states + 1 + profiles * contexts * (actions - 1)),
        types * (n_states * profiles + 1),
        types * n_states * profiles * (2 + contexts * (actions - 1)),
        "the program",
    )

    def number(values: NumberArray) -> NumberArray:
        if exact:
            return values
        try:
            found = floats(values)
        except OverflowError:
            found = np.array([np.inf])
        size = np.abs(found)
        small = size < sys.float_info.min
        if np.any(size == np.inf) or np.any(values[small] != 0):
            raise ModelError("spans too many orders of magnitude for floats; leave out what is negligible", field="params")
        return found

    one: Any = Fraction(1) if exact else 1.0
    size, unit = _sizes(market, who), power_of_two((market.weight * market.worth)[who].max())
    stakes = market.stakes[who]
    program = LinearProgram("max", unit=float(unit))
    experiment = program.add_variables("experiment", (types, n_states, profiles), lower=0 * one, upper=number(size))
    price = program.add_variables(
        "price",
        (types,),
        lower=0 * one,
        upper=number(market.worth[who] / stakes),
        objective=number(market.weight[who] * stakes / unit),
    )
    gain, product, in_size = number(market.net_gain[who]), number(market.advantage[who]), number(1 / size)
    program.add_rows(
        "experiment sums to one",
        Rows.dense(experiment.reshape(-1, profiles), in_size.reshape(-1, profiles), one, one),
    )
    program.add_rows(
        "individual rationality",
        Rows.dense(
            np.column_stack([experiment.reshape(types, -1), price]),
            np.column_stack([(gain * in_size).reshape(types, -1), np.full(types, -one)]),
            0 * one,
            np.inf,
        ),
    )
    if deviations != "misreport":
        program.add_rows("obedience", _obedience(market, who, experiment, size, number))
    if types > 1:
        # of the same payoffs in one unit for all, where types of the same belief and different values lie apart
        place = floats(market.product[who]).reshape(types, -1)
        exponents = np.array([exponent(value) for value in stakes])
        program.add_family(
            "incentive",
            IncentiveRows(
                product, gain, in_size, exponents, place, experiment, price, market.profiles, disobey=deviations == "double"
            ),
        )
    return program


def read_point(market: Market, program: LinearProgram, x: NumberArray) -> tuple[NumberArray, NumberArray]:
    """Experiments, shape (M, W, S), and prices in payoff units, shape (M,), of a point of `build`."""
    who = paying(market)
    size, stakes = _sizes(market, who), market.stakes[who]
    if x.dtype != object:
        size, stakes = floats(size), floats(stakes)
    return x[program.variables["experiment"]] / size, x[program.variables["price"]] * stakes


def paying(market: Market) -> IntArray:
    """The types of positive weight to which information is worth something; if there are none, one of positive weight."""
    worthy = market.active[market.worth[market.active] > 0]
    return worthy if len(worthy) else market.active[:1]


def exponent(power: Fraction) -> int:
    """Of a power of two."""
    return power.numerator.bit_length() - power.denominator.bit_length()


def _sizes(market: Market, who: IntArray) -> NumberArray:
    """By how much each probability is magnified as a column, shape (T, W, S): 1, or about what a wrong action loses in it."""
    contexts = np.arange(market.profiles.shape[1])
    loss = -market.advantage[who][:, :, contexts, market.profiles].min(axis=3)
    large = loss > 2**LARGE
    size = np.full(loss.shape, Fraction(1), dtype=object)
    size[large] = [power_of_two(value) for value in loss[large]]
    return size


def _obedience(market: Market, who: IntArray, experiment: IntArray, size: NumberArray, number: Any) -> Rows:
    """One row for each type, signal, context and other action: following the recommendation is at least as good."""
    product, profiles = market.advantage[who], market.profiles
    _, _, contexts, actions = product.shape
    parts = []
    for context in range(contexts):
        followed = product[:, :, context, profiles[:, context]]
        for shift in range(1, actions):
            other = (profiles[:, context] + shift) % actions
            # exact before it is rounded: the difference of two floats is not the float of the difference
            value = number((followed - product[:, :, context, other]) / size).transpose(0, 2, 1)
            keep = (value != 0).any(axis=2)
            parts.append(Rows.dense(experiment.transpose(0, 2, 1)[keep], value[keep], value.dtype.type(0), np.inf))
    return Rows.join(parts)


@dataclass(frozen=True)
class IncentiveRows:
    """Type r prefers its own item, obeyed, to type q's item with any disobedience d.

    ``gain_r(pi_r) - t_r - sum_s,w gain_r[w, d(s)] pi_q[w, s] + t_q >= 0`` for all r != q and all d from profiles to profiles.
    For a pair the most profitable d takes the best action after each signal in each context, so that one argmax finds the
    most violated row. With ``disobey=False`` only d = obey.

    Attributes
    ----------
    product : array, shape (T, W, K, A)
        In units of each type's stakes.
    gain : array, shape (T, W, S)
        Likewise.
    in_size : array, shape (T, W, S)
        What one unit of a column of `experiment` is as a probability: powers of two.
    exponent : array of int, shape (T,)
        Of each type's stakes, which are the unit of its price's column.
    place : array, shape (T, n)
        Types that are close in it are likely to envy each other.
    experiment : array of int, shape (T, W, S)
        Columns of pi.
    price : array of int, shape (T,)
        Columns of t.
    profiles : array of int, shape (S, K)
    disobey : bool
    """

    product: NumberArray
    gain: NumberArray
    in_size: NumberArray
    exponent: IntArray
    place: FloatArray
    experiment: IntArray
    price: IntArray
    profiles: IntArray
    disobey: bool

    def _ratio(self, buyer: IntArray, item: IntArray) -> NumberArray:
        """What a unit of an item's price is in units of the buyer's stakes, for pairs of any shape."""
        exponents = self.exponent[item] - self.exponent[buyer]
        if self.gain.dtype != object:
            return np.asarray(np.ldexp(1.0, exponents))
        powers = np.array([Fraction(2) ** int(k) for k in exponents.ravel()], dtype=object)
        return powers.reshape(exponents.shape)

    def rows(self, buyer: IntArray, item: IntArray, disobedience: IntArray) -> Rows:
        """Rows of pairs of types.

        Parameters
        ----------
        buyer, item : array of int, shape (n,)
        disobedience : array of int, shape (n, S)
            The profile followed after each signal.
        """
        n = len(buyer)
        deviating = np.take_along_axis(self.gain[buyer], np.broadcast_to(disobedience[:, None, :], (n, *self.gain.shape[1:])), 2)
        ratio = self._ratio(buyer, item)[:, None]
        one = np.full_like(ratio, ratio.dtype.type(1) if ratio.dtype != object else Fraction(1))
        own = (self.gain[buyer] * self.in_size[buyer]).reshape(n, -1)
        other = (deviating * self.in_size[item]).reshape(n, -1)
        index = np.hstack(
            [
                self.experiment[buyer].reshape(n, -1),
                self.price[buyer, None],
                self.experiment[item].reshape(n, -1),
                self.price[item, None],
            ]
        )
        value = np.hstack([own, -one, -other, ratio])
        return Rows.dense(index, value, 0.0, np.inf)

    def initial_cuts(self) -> Rows:
        """Each type towards its neighbours in measure times payoff, obeying: next on a line, else the nearest few."""
        feature = self.place
        centred = feature - feature.mean(axis=0)
        # the direction of largest spread, by one power step from the farthest point: enough to recognise a line
        axis = centred[np.abs(centred).sum(axis=1).argmax()]
        along = centred @ axis / max(float(axis @ axis), 1e-300)
        if np.abs(centred - along[:, None] * axis).max() <= 1e-9 * max(np.abs(centred).max(), 1e-300):
            order = np.argsort(along, kind="stable")
            buyer = np.concatenate([order[:-1], order[1:]])
            item = np.concatenate([order[1:], order[:-1]])
        else:
            buyer, item = neighbouring_types(feature, NEIGHBOURS)
        return self.rows(buyer, item, self._obey(len(buyer)))

    def _obey(self, n: int) -> IntArray:
        return np.broadcast_to(np.arange(len(self.profiles)), (n, len(self.profiles)))

    def separate(self, x: NumberArray, tolerance: float) -> tuple[Rows, Any]:
        """The worst rows of each buyer and each item that fail at x by more than `tolerance`; the largest failure."""
        types, states, contexts, actions = self.product.shape
        profiles = len(self.profiles)
        experiment, price = x[self.experiment] * self.in_size, x[self.price]
        own = (self.gain * experiment).sum(axis=(1, 2)) - price
        every = np.arange(types)
        items = np.moveaxis(experiment, 1, 0).reshape(states, -1)

        def failure(block: slice) -> NumberArray:
            size = block.stop - block.start
            if self.disobey:
                payoff = matrix_product(np.moveaxis(self.product[block], 1, 3).reshape(-1, states), items)
                best = payoff.reshape(size, contexts, actions, types * profiles).max(axis=2)
                value = best.reshape(size, contexts, types, profiles).sum(axis=(1, 3))
            else:
                value = matrix_product(self.gain[block].reshape(size, -1), experiment.reshape(types, -1).T)
            return np.asarray(value - self._ratio(every[block, None], every[None]) * price - own[block, None])

        buyer, item, largest = worst_pairs(types, failure, 8 * types * profiles * contexts * actions, tolerance)
        if not len(buyer):
            return Rows.join([]), largest
        return self.rows(buyer, item, self._best_disobedience(buyer, experiment[item])), largest

    def _best_disobedience(self, buyer: IntArray, experiment: NumberArray) -> IntArray:
        """The best profile after each signal of an experiment, shape (n, S)."""
        if not self.disobey:
            return self._obey(len(buyer))
        payoff = (self.product[buyer][..., None] * experiment[:, :, None, None, :]).sum(axis=1)
        actions = self.product.shape[3]
        place = actions ** np.arange(self.product.shape[2])[::-1]
        best: IntArray = (payoff.argmax(axis=2) * place[None, :, None]).sum(axis=1)
        return best

    def size(self) -> tuple[int, int, int]:
        """Rows, columns and non-zeros of the full family."""
        types, states, contexts, _ = self.product.shape
        profiles = len(self.profiles)
        pairs = types * (types - 1)
        if not self.disobey:
            return pairs, 0, pairs * (2 * states * profiles + 2)
        cells = pairs * profiles * contexts
        rows = int(self._tempting().sum()) * (types - 1) * profiles
        return pairs + rows, cells, pairs * (states * profiles + 2) + cells + rows * (states + 1)

    def _tempting(self) -> IntArray:
        """Which actions may be worth something beyond what a type does without information, shape (T, K, A)."""
        return np.asarray((self.product != 0).any(axis=1))

    def add_all(self, program: LinearProgram) -> None:
        """Add the family: for each pair, signal and context a variable at least as large as each action's payoff."""
        types, states, contexts, actions = self.product.shape
        profiles = len(self.profiles)
        buyer, item = (side[~np.eye(types, dtype=bool)] for side in np.indices((types, types)))
        pairs = len(buyer)
        if not self.disobey:
            program.add_rows("incentive", self.rows(buyer, item, self._obey(pairs)))
            return
        exact = self.gain.dtype == object
        one: Any = Fraction(1) if exact else 1.0
        # the action taken without information gains 0, and no deviation more than full information: 1 in units of the stakes
        deviation = program.add_variables("deviation payoff", (pairs, contexts, profiles), lower=0 * one, upper=one)
        payoff = np.moveaxis(self.product, 1, 3)[buyer]
        shape = (pairs, contexts, actions, profiles)
        index = np.concatenate(
            [
                np.broadcast_to(np.swapaxes(self.experiment[item], 1, 2)[:, None, None], (*shape, states)),
                np.broadcast_to(deviation[:, :, None, :, None], (*shape, 1)),
            ],
            axis=4,
        )
        worth = payoff[:, :, :, None, :] * np.swapaxes(self.in_size[item], 1, 2)[:, None, None]
        value = np.concatenate([-worth, np.full((*shape, 1), one)], axis=4)
        kept = np.broadcast_to(self._tempting()[buyer][:, :, :, None], shape)
        program.add_rows("deviation payoff", Rows.dense(index[kept], value[kept], 0.0, np.inf))
        index = np.hstack(
            [
                self.experiment[buyer].reshape(pairs, -1),
                self.price[buyer, None],
                deviation.reshape(pairs, -1),
                self.price[item, None],
            ]
        )
        value = np.hstack(
            [
                (self.gain[buyer] * self.in_size[buyer]).reshape(pairs, -1),
                np.full((pairs, 1 + contexts * profiles), -one),
                self._ratio(buyer, item)[:, None],
            ]
        )
        program.add_rows("incentive", Rows.dense(index, value, 0.0, np.inf))
