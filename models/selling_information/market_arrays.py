"""The exact arrays of a market with finitely many types, from which everything else is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from optmarket.arrays import FloatArray, IntArray, NumberArray
from optmarket.errors import ModelError
from optmarket.models.selling_information.params import Params
from optmarket.models.selling_information.population import BuyerType, FiniteTypes, names_of
from optmarket.rationals import floats


@dataclass(frozen=True, eq=False)
class Market:
    """Arrays of a market, exact, with floats beside them.

    T types, W states, K contexts (types with fewer are padded with contexts of measure zero), A actions, S = A^K profiles.
    Payoffs come in two forms, both exact and neither changing anybody's choice. `product`, `gain`, `outside` and `full` are
    the payoffs above a state's worst, divided by `scale`, one power of two for all types. `advantage` and `net_gain` are what
    each action pays a type beyond the action it takes without information, divided by `stakes`, a power of two of the type's
    own: what certificates and audits compare, since a rare type of large payoffs must not drown the others.

    Attributes
    ----------
    states, actions, names : tuple of str
    weight : object array, shape (T,)
    joint : object array, shape (T, W, K)
    payoff : object array, shape (T, W, A)
        As given, the type's value included; in payoff units.
    max_items : int, optional
        The most items a menu may list.
    stands_for_continuum : bool
        Whether the types are a grid's, which stands for a continuum of types.

    Examples
    --------
    >>> types = [{"weight": 1, "belief": ["1/4", "3/4"]}]
    >>> Market.of(Params.model_validate({"types": types})).worth
    array([Fraction(1, 4)], dtype=object)
    """

    states: tuple[str, ...]
    actions: tuple[str, ...]
    names: tuple[str, ...]
    weight: NumberArray
    joint: NumberArray
    payoff: NumberArray
    max_items: int | None = None
    stands_for_continuum: bool = False

    @classmethod
    def of(cls, params: Params, types: Sequence[BuyerType] | None = None) -> Market:
        """The arrays of validated parameters.

        Parameters
        ----------
        params : Params
        types : sequence of BuyerType, optional
            Instead of those of `params`: cells of a continuum, for instance.

        Raises
        ------
        ModelError
            If there is a continuum of types, and none are given instead.
        """
        population = params.population
        if types is None:
            if not isinstance(population, FiniteTypes):
                raise ModelError("is a continuum, which has no arrays of types; give grid, or types", field="params.belief")
            types = population.types
        n_states = types[0].n_states
        contexts = max(len(buyer.joint[0]) if buyer.joint else 1 for buyer in types)
        joint = np.full((len(types), n_states, contexts), Fraction(0), dtype=object)
        for k, buyer in enumerate(types):
            rows = buyer.measure
            joint[k, :, : len(rows[0])] = rows
        shared = tuple(tuple(Fraction(int(a == w)) for a in range(n_states)) for w in range(n_states))
        if params.payoff != "matching":
            shared = params.payoff
        payoff = np.array([buyer.payoff or shared for buyer in types], dtype=object)
        value = np.array([buyer.value for buyer in types], dtype=object)
        if np.any(value != 1):
            payoff = payoff * value[:, None, None]
        states, actions = names_of_states_and_actions(params, n_states, payoff.shape[2])
        weight = np.array([buyer.weight for buyer in types], dtype=object)
        stands_for_continuum = isinstance(population, FiniteTypes) and population.stands_for_continuum
        return cls(states, actions, names_of(types), weight, joint, payoff, params.max_items, stands_for_continuum)

    @property
    def n_profiles(self) -> int:
        """How many profiles of actions by context can be recommended."""
        return len(self.profiles)

    @property
    def n_types(self) -> int:
        """How many types there are."""
        return len(self.names)

    @cached_property
    def active(self) -> IntArray:
        """Types of positive weight; the others choose from what these are sold."""
        return np.flatnonzero(self.weight != 0)

    @cached_property
    def scale(self) -> Fraction:
        """A power of two, at least the largest payoff above a state's worst of the types of positive weight; 1 if all are 0."""
        payoff = self.payoff[self.active]
        return power_of_two((payoff - payoff.min(axis=2, keepdims=True)).max())

    @cached_property
    def unit(self) -> Fraction:
        """The payoff scale that a page is written in: `scale`, but in proportion with what information is worth.

        A state that pays 1e10 whatever one does well leaves information worth little: numbers of that size are shown in full.
        """
        return min(self.scale, 1024 * power_of_two(self.first_best)) if self.first_best else self.scale

    @cached_property
    def profiles(self) -> IntArray:
        """The action each profile recommends in each context, shape (S, K), first context slowest."""
        contexts, actions = self.joint.shape[2], self.payoff.shape[2]
        return np.indices((actions,) * contexts).reshape(contexts, -1).T

    @cached_property
    def product(self) -> NumberArray:
        """Measure times normalised payoff, shape (T, W, K, A), at least 0."""
        payoff = (self.payoff - self.payoff.min(axis=2, keepdims=True)) / self.scale
        return np.asarray(self.joint[:, :, :, None] * payoff[:, :, None, :])

    @cached_property
    def gain(self) -> NumberArray:
        """Normalised payoff of following a profile, by state, shape (T, W, S)."""
        contexts = np.arange(self.profiles.shape[1])
        return np.asarray(self.product[:, :, contexts, self.profiles].sum(axis=3))

    @cached_property
    def outside(self) -> NumberArray:
        """Normalised payoff without buying, shape (T,)."""
        return np.asarray(self.product.sum(axis=1).max(axis=2).sum(axis=1))

    @cached_property
    def full(self) -> NumberArray:
        """Normalised payoff with full information, shape (T,)."""
        return np.asarray(self.product.max(axis=3).sum(axis=(1, 2)))

    @cached_property
    def worth(self) -> NumberArray:
        """What full information is worth, in payoff units, shape (T,)."""
        return np.asarray((self.full - self.outside) * self.scale)

    @cached_property
    def first_best(self) -> Fraction:
        """What full information is worth to all types together, weighted: no menu earns more. In payoff units."""
        return sum(self.weight * self.worth, Fraction(0))

    @cached_property
    def stakes(self) -> NumberArray:
        """A power of two for each type, at least what full information is worth to it and less than twice that; 1 if that is 0.

        Returns
        -------
        object array, shape (T,)
            In payoff units.
        """
        return np.array([power_of_two(worth) for worth in self.worth], dtype=object)

    @cached_property
    def advantage(self) -> NumberArray:
        """Measure times payoff beyond the action taken without information, in units of each type's stakes.

        Returns
        -------
        object array, shape (T, W, K, A)
            0 for the action a type takes in a context without information. Its positive part is at most 1 in all; what a wrong
            action loses may be many times that.
        """
        expected = (self.joint[:, :, :, None] * self.payoff[:, :, None, :]).sum(axis=1)
        without = (expected == expected.max(axis=2, keepdims=True)).argmax(axis=2)
        chosen = np.take_along_axis(self.payoff, without[:, None, :], axis=2)
        beyond = self.payoff[:, :, None, :] - chosen[:, :, :, None]
        return np.asarray(self.joint[:, :, :, None] * beyond / self.stakes[:, None, None, None])

    @cached_property
    def net_gain(self) -> NumberArray:
        """`advantage` of following a profile, by state, shape (T, W, S)."""
        contexts = np.arange(self.profiles.shape[1])
        return np.asarray(self.advantage[:, :, contexts, self.profiles].sum(axis=3))

    @cached_property
    def float_advantage(self) -> FloatArray:
        """`advantage` in floats, each rounded once."""
        return floats(self.advantage)

    @cached_property
    def full_information(self) -> tuple[Fraction, Fraction]:
        """The best revenue from full information alone, and its price, in payoff units."""
        worth = self.worth[self.active]
        order = sorted(range(len(worth)), key=lambda k: -worth[k])
        revenue = (worth[order] * np.cumsum(self.weight[self.active][order])).tolist()
        best = revenue.index(max(revenue))
        return revenue[best], worth[order][best]

    @cached_property
    def float_stakes(self) -> FloatArray:
        """`stakes` in floats, shape (T,)."""
        return floats(self.stakes)

    @cached_property
    def float_net_gain(self) -> FloatArray:
        """`net_gain` in floats, shape (T, W, S)."""
        contexts = np.arange(self.profiles.shape[1])
        return np.asarray(self.float_advantage[:, :, contexts, self.profiles].sum(axis=3))

    @cached_property
    def float_worth(self) -> FloatArray:
        """`worth` in floats, shape (T,)."""
        return floats(self.worth)

    @cached_property
    def float_relative_worth(self) -> FloatArray:
        """What full information is worth to each type in units of its stakes, in floats, shape (T,)."""
        return floats(self.worth / self.stakes)

    @cached_property
    def float_beliefs(self) -> FloatArray:
        """Each type's probability of each state, in floats, shape (T, W)."""
        return floats(self.joint.sum(axis=2))

    @cached_property
    def weights(self) -> FloatArray:
        """`weight` in floats."""
        return floats(self.weight)

    def profile_names(self) -> tuple[str, ...]:
        """Each profile in words: the action, or the actions by context joined by a bar."""
        return tuple(" | ".join(self.actions[a] for a in profile) for profile in self.profiles)


def names_of_states_and_actions(params: Params, n_states: int, n_actions: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the states and of the actions, as given or made of numbers or of the states."""
    states = params.states or tuple(f"state {w + 1}" for w in range(n_states))
    guesses = params.states if params.payoff == "matching" else None  # an action of its own for each state
    return states, params.actions or tuple(f"act {guess}" for guess in guesses or range(1, n_actions + 1))


def power_of_two(value: Fraction) -> Fraction:
    """The least power of two that is at least a positive number; 1 for 0."""
    if not value:
        return Fraction(1)
    power: Fraction = Fraction(2) ** (value.numerator.bit_length() - value.denominator.bit_length() - 1)
    while power < value:
        power *= 2
    return power
