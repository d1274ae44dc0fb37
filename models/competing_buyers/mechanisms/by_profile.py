"""A mechanism written out profile by profile: the experiment and the payment of each buyer at each combination of reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.models.competing_buyers.interim_allocation import InterimAllocation
from optmarket.models.competing_buyers.market import FiniteTypes
from optmarket.models.competing_buyers.mechanisms.finite_mechanism import FiniteMechanism
from optmarket.models.competing_buyers.mechanisms.json_fields import (
    BY_PROFILE,
    depth,
    known_fields,
    list_of,
    nested,
    probabilities,
)
from optmarket.rationals import floats


@dataclass(frozen=True, eq=False)
class ProfileMechanism(FiniteMechanism):
    """A mechanism by profiles of reports.

    Attributes
    ----------
    experiments : tuple of array, shape (K_1, ..., K_n, M, M)
        One for each buyer: the chance of each recommended action in each state, at each profile of reports.
    payments : tuple of array, shape (K_i,) or (K_1, ..., K_n)
        One for each buyer, in payoff units: by its own report, or by profile.
    """

    experiments: tuple[FloatArray, ...]
    payments: tuple[FloatArray, ...]

    @classmethod
    def read(cls, market: FiniteTypes, data: Mapping[str, Any]) -> ProfileMechanism:
        """Check a mechanism file against a market.

        Parameters
        ----------
        market : FiniteTypes
        data : mapping
            ``experiments[buyer][type of buyer 1]...[type of buyer n][state][action]``, and ``payments[buyer][own type]`` or
            ``payments[buyer][type of buyer 1]...[type of buyer n]``. Rows may miss the sum one by 1e-6, and are divided by it.

        Raises
        ------
        InstanceError
            With the field that does not fit.
        """
        known_fields(data, BY_PROFILE)
        shape, states = market.shape, market.states
        experiments_given, payments_given = (list_of(data, name, len(shape), "buyers") for name in BY_PROFILE)
        axes = [*(f"type{'s' * (count != 1)} of buyer {j}" for j, count in enumerate(shape, start=1)), "states", "actions"]
        experiments, payments = [], []
        for i, (experiment, payment) in enumerate(zip(experiments_given, payments_given, strict=True)):
            experiments.append(probabilities(experiment, (*shape, states, states), axes, f"experiments[{i}]"))
            field = f"payments[{i}]"
            by_profile = depth(payment) > 1
            payments.append(
                nested(payment, shape, axes, field)
                if by_profile
                else nested(payment, (shape[i],), [f"types of buyer {i + 1}"], field)
            )
        return cls(market, tuple(experiments), tuple(payments))

    def to_json(self) -> dict[str, Any]:
        """As `read` takes it."""
        return {
            "experiments": [one.tolist() for one in self.experiments],
            "payments": [one.tolist() for one in self.payments],
        }

    def correct(self, i: int) -> FloatArray:
        """The chance that buyer i, counted from 0, receives a correct recommendation, by profile and state."""
        return np.diagonal(self.experiments[i], axis1=-2, axis2=-1)

    def _allocations(self) -> list[InterimAllocation]:
        return [self._allocation(i) for i in range(len(self.market.buyers))]

    def _allocation(self, i: int) -> InterimAllocation:
        """Of buyer i, counted from 0."""
        market, shape = self.market, self.market.shape
        n = len(shape)
        rivals: Any = 0.0
        for j in range(n):
            if j == i:
                continue
            correct = self.correct(j)
            if not market.own_belief:
                beliefs = floats(market.buyers[j].mean_belief)
                along = [*(shape[k] if k == j else 1 for k in range(n)), market.states]
                correct = (correct * beliefs.reshape(along)).sum(axis=-1, keepdims=True)
            rivals = rivals + correct
        payment = self.payments[i]
        if payment.ndim == 1:
            payment = np.broadcast_to(payment.reshape([shape[i] if k == i else 1 for k in range(n)]), shape)
        probability: FloatArray = np.ones(())
        for j, other in enumerate(market.buyers):
            if j != i:
                probability = np.multiply.outer(probability, floats(other.mass))
        probability = probability.ravel()

        def by_case(given: FloatArray) -> FloatArray:
            moved = np.moveaxis(given, i, n - 1)
            cases = moved.reshape(-1, *moved.shape[n - 1 :])
            return cases if market.ex_post else np.tensordot(probability, cases, axes=1)[None]

        return InterimAllocation.of(
            market,
            market.buyers[i],
            probability if market.ex_post else np.ones(1),
            by_case(self.experiments[i]),
            by_case(rivals),
            by_case(payment),
        )
