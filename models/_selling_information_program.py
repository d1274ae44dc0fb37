"""The linear program of a one-buyer information market, its incentive rows separated on demand."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from scipy.spatial import cKDTree

from optmarket.errors import ModelError
from optmarket.models._selling_information_market import Market
from optmarket.numbers import floats
from optmarket.program import IntArray, LinearProgram, NumberArray, Rows, check_memory
from optmarket.separation import worst_pairs

NEIGHBOURS = 8

Deviations = Literal["double", "separate", "misreport"]


def build(market: Market, *, exact: bool = False, deviations: Deviations = "double") -> LinearProgram:
    """The revenue-maximising direct mechanism as a linear program over the types of positive weight.

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
        In normalised payoffs: multiply its value by ``market.scale``.

    Raises
    ------
    ModelError
        If it does not fit in memory.
    """
    active = market.active
    _, n_states, contexts, actions = market.product.shape
    types, profiles = len(active), len(market.profiles)
    check_memory(
        types * (n_states + 1 + profiles * contexts * (actions - 1)),
        types * (n_states * profiles + 1),
        types * n_states * profiles * (2 + contexts * (actions - 1)),
        "the program",
    )

    def number(values: NumberArray) -> NumberArray:
        if exact:
            return values[active]
        rounded = floats(values[active])
        if np.any((np.abs(rounded) < sys.float_info.min) & (values[active] != 0)):
            raise ModelError("spans too many orders of magnitude for floats; leave out what is negligible", field="params")
        return rounded

    one: Any = Fraction(1) if exact else 1.0
    gain, product = number(market.gain), number(market.product)
    program = LinearProgram("max", unit=float(market.scale))
    experiment = program.add_variables("experiment", (types, n_states, profiles), lower=0 * one, upper=one)
    price = program.add_variables(
        "price", (types,), lower=0 * one, upper=number(market.full - market.outside), objective=number(market.weight)
    )
    program.add_rows(
        "experiment sums to one",
        Rows.dense(experiment.reshape(-1, profiles), np.full((types * n_states, profiles), one), one, one),
    )
    program.add_rows(
        "individual rationality",
        Rows.dense(
            np.column_stack([experiment.reshape(types, -1), price]),
            np.column_stack([gain.reshape(types, -1), np.full(types, -one)]),
            number(market.outside),
            np.inf,
        ),
    )
    if deviations != "misreport":
        program.add_rows("obedience", _obedience(market, experiment, number))
    if types > 1:
        program.add_family(
            "incentive", IncentiveRows(product, gain, experiment, price, market.profiles, disobey=deviations == "double")
        )
    return program


def _obedience(market: Market, experiment: IntArray, number: Any) -> Rows:
    """One row for each type, signal, context and other action: following the recommendation is at least as good."""
    product, profiles = market.product, market.profiles
    _, _, contexts, actions = product.shape
    parts = []
    for context in range(contexts):
        followed = product[:, :, context, profiles[:, context]]
        for shift in range(1, actions):
            other = (profiles[:, context] + shift) % actions
            # exact before it is rounded: the difference of two floats is not the float of the difference
            value = number(followed - product[:, :, context, other]).transpose(0, 2, 1)
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
    gain : array, shape (T, W, S)
    experiment : array of int, shape (T, W, S)
        Columns of pi.
    price : array of int, shape (T,)
        Columns of t.
    profiles : array of int, shape (S, K)
    disobey : bool
    """

    product: NumberArray
    gain: NumberArray
    experiment: IntArray
    price: IntArray
    profiles: IntArray
    disobey: bool

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
        one = np.full((n, 1), Fraction(1) if self.gain.dtype == object else 1.0)
        index = np.hstack(
            [
                self.experiment[buyer].reshape(n, -1),
                self.price[buyer, None],
                self.experiment[item].reshape(n, -1),
                self.price[item, None],
            ]
        )
        value = np.hstack([self.gain[buyer].reshape(n, -1), -one, -deviating.reshape(n, -1), one])
        return Rows.dense(index, value, 0.0, np.inf)

    def seed(self) -> Rows:
        """Each type towards its neighbours in measure times payoff, obeying: next on a line, else the nearest few."""
        types = len(self.gain)
        feature = floats(self.product).reshape(types, -1)
        centred = feature - feature.mean(axis=0)
        # the direction of largest spread, by one power step from the farthest point: enough to recognise a line
        axis = centred[np.abs(centred).sum(axis=1).argmax()]
        along = centred @ axis / max(float(axis @ axis), 1e-300)
        if np.abs(centred - along[:, None] * axis).max() <= 1e-9 * max(np.abs(centred).max(), 1e-300):
            order = np.argsort(along, kind="stable")
            buyer = np.concatenate([order[:-1], order[1:]])
            item = np.concatenate([order[1:], order[:-1]])
        else:
            near = min(NEIGHBOURS, types - 1)
            _, nearest = cKDTree(feature).query(feature, near + 1)
            buyer, item = np.repeat(np.arange(types), near + 1), nearest.ravel()
            buyer, item = buyer[buyer != item], item[buyer != item]
        return self.rows(buyer, item, self._obey(len(buyer)))

    def _obey(self, n: int) -> IntArray:
        return np.broadcast_to(np.arange(len(self.profiles)), (n, len(self.profiles)))

    def separate(self, x: NumberArray, tolerance: float) -> tuple[Rows, Any]:
        """The worst rows of each buyer and each item that fail at x by more than `tolerance`; the largest failure."""
        types, states, contexts, actions = self.product.shape
        profiles = len(self.profiles)
        experiment, price = x[self.experiment], x[self.price]
        own = (self.gain * experiment).sum(axis=(1, 2)) - price
        items = np.moveaxis(experiment, 1, 0).reshape(states, -1)

        def failure(block: slice) -> NumberArray:
            size = block.stop - block.start
            if self.disobey:
                payoff = np.moveaxis(self.product[block], 1, 3).reshape(-1, states) @ items
                best = payoff.reshape(size, contexts, actions, types * profiles).max(axis=2)
                value = best.reshape(size, contexts, types, profiles).sum(axis=(1, 3))
            else:
                value = self.gain[block].reshape(size, -1) @ experiment.reshape(types, -1).T
            return np.asarray(value - price - own[block, None])

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
        types, states, contexts, actions = self.product.shape
        profiles = len(self.profiles)
        pairs = types * (types - 1)
        if not self.disobey:
            return pairs, 0, pairs * (2 * states * profiles + 2)
        cells = pairs * profiles * contexts
        return pairs + cells * actions, cells, pairs * (states * profiles + 2) + cells + cells * actions * (states + 1)

    def list_all(self, program: LinearProgram) -> None:
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
        # no deviation payoff exceeds its state's best payoff summed over states, at most the measure: 1 after scaling
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
        value = np.concatenate([np.broadcast_to(-payoff[:, :, :, None, :], (*shape, states)), np.full((*shape, 1), one)], axis=4)
        program.add_rows(
            "deviation payoff", Rows.dense(index.reshape(-1, states + 1), value.reshape(-1, states + 1), 0.0, np.inf)
        )
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
                self.gain[buyer].reshape(pairs, -1),
                np.full((pairs, 1), -one),
                np.full((pairs, contexts * profiles), -one),
                np.full((pairs, 1), one),
            ]
        )
        program.add_rows("incentive", Rows.dense(index, value, 0.0, np.inf))
