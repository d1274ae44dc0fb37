"""A mechanism by report counts, anonymous within groups: a buyer faces how many others make each report, not who makes which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from optmarket.arrays import FloatArray, IntArray
from optmarket.models.competing_buyers.interim_allocation import InterimAllocation
from optmarket.models.competing_buyers.market import FiniteTypes
from optmarket.models.competing_buyers.mechanisms.by_profile import ProfileMechanism
from optmarket.models.competing_buyers.mechanisms.finite_mechanism import PROFILES_WRITTEN_OUT, FiniteMechanism
from optmarket.models.competing_buyers.mechanisms.json_fields import (
    BY_COUNT,
    depth,
    known_fields,
    list_of,
    nested,
    probabilities,
)
from optmarket.models.competing_buyers.mechanisms.report_counts import SymmetricGroups
from optmarket.rationals import floats


@dataclass(frozen=True, eq=False)
class AnonymousMechanism(FiniteMechanism):
    """A mechanism that treats the buyers of each group symmetrically.

    Groups are in order of the first buyer of each. A case of a group is how many of the others make each report, in the order of
    `ReportCounts`: for each group a sorted list of reports, lists in lexicographic order, those of the last group varying
    fastest.

    Attributes
    ----------
    experiments : tuple of array, shape (S_g, K_g, M, M)
        For each group, by case and own report, the chance of each recommended action in each state.
    payments : tuple of array, shape (K_g,) or (S_g, K_g)
        In payoff units: by own report, or by case and own report.
    """

    experiments: tuple[FloatArray, ...]
    payments: tuple[FloatArray, ...]

    @classmethod
    def read(cls, market: FiniteTypes, data: Mapping[str, Any]) -> AnonymousMechanism:
        """Check a mechanism file against a market.

        Parameters
        ----------
        market : FiniteTypes
        data : mapping
            ``experiments-by-count[group][case][own report][state][action]``, and ``payments-by-count[group][own report]`` or
            ``payments-by-count[group][case][own report]``. Rows may miss the sum one by 1e-6, and are divided by it.

        Raises
        ------
        InstanceError
            With the field that does not fit.
        """
        known_fields(data, BY_COUNT)
        groups = SymmetricGroups.of(market)
        experiments_given, payments_given = (list_of(data, name, len(groups), "groups of buyers") for name in BY_COUNT)
        experiments, payments = [], []
        for g, types in enumerate(groups.types):
            axes = [f"cases of group {g + 1}", f"reports of group {g + 1}", "states", "actions"]
            shape = (groups.others(g).total, types.reports)
            experiments.append(
                probabilities(experiments_given[g], (*shape, market.states, market.states), axes, f"{BY_COUNT[0]}[{g}]")
            )
            by_case = depth(payments_given[g]) > 1
            payments.append(nested(payments_given[g], shape[1 - by_case :], axes[1 - by_case : 2], f"{BY_COUNT[1]}[{g}]"))
        return cls(market, tuple(experiments), tuple(payments))

    def to_json(self) -> dict[str, Any]:
        """As `read` takes it."""
        return {
            name: [one.tolist() for one in given] for name, given in zip(BY_COUNT, (self.experiments, self.payments), strict=True)
        }

    @cached_property
    def allocations_by_group(self) -> tuple[InterimAllocation, ...]:
        """The interim allocation of one buyer of each group."""
        groups = SymmetricGroups.of(self.market)
        return tuple(self._allocation(groups, g) for g in range(len(groups)))

    def _allocations(self) -> list[InterimAllocation]:
        return [self.allocations_by_group[g] for g in self.market.group_of]

    def _allocation(self, groups: SymmetricGroups, g: int) -> InterimAllocation:
        market = self.market
        masses = [floats(mass) for mass in groups.masses]
        probability = groups.others(g).probability(masses)
        experiment, payment = self.experiments[g], np.broadcast_to(self.payments[g], self.experiments[g].shape[:2])
        rivals: Any = 0.0
        for h, size in groups.rivals(g):
            correct = np.diagonal(self.experiments[h], axis1=2, axis2=3)
            if not market.own_belief:
                correct = (correct * floats(groups.types[h].mean_belief)).sum(axis=2, keepdims=True)
            if market.ex_post:
                case, report, multiplicity = groups.rivals_cases(g, h)
                rivals = rivals + (correct[case, report] * multiplicity[:, :, None, None]).sum(axis=1)
            else:
                rest = groups.others(g, h)
                expected = np.tensordot(correct, masses[h], axes=(1, 0))
                rivals = rivals + size * np.tensordot(rest.probability(masses), expected[rest.with_one_more(g)], axes=1)[None]
        if not market.ex_post:
            experiment, payment = (np.tensordot(probability, given, axes=1)[None] for given in (experiment, payment))
            probability = np.ones(1)
        return InterimAllocation.of(market, groups.types[g], probability, experiment, rivals, payment)

    def with_more_reports(self, market: FiniteTypes, like: Sequence[IntArray]) -> AnonymousMechanism:
        """The mechanism in a market whose buyers have more reports, each of which is treated as one of the present ones.

        Parameters
        ----------
        market : FiniteTypes
            With the same groups of buyers.
        like : sequence of array of int, shape (K_g,)
            For each new report of a group the present one.
        """
        groups, wider = SymmetricGroups.of(self.market), SymmetricGroups.of(market)
        experiments, payments = [], []
        for g, (experiment, payment) in enumerate(zip(self.experiments, self.payments, strict=True)):
            cases = wider.others(g)
            case = groups.others(g).number_of([same[cases.reports(h)] for h, same in enumerate(like)])
            at = np.ix_(case, like[g])
            experiments.append(experiment[at])
            payments.append(payment[like[g]] if payment.ndim == 1 else payment[at])
        return AnonymousMechanism(market, tuple(experiments), tuple(payments))

    def written_out(self) -> ProfileMechanism | AnonymousMechanism:
        """Profile by profile if there are at most `PROFILES_WRITTEN_OUT` profiles, else as it is."""
        market = self.market
        if market.profiles > PROFILES_WRITTEN_OUT:
            return self
        groups = SymmetricGroups.of(market)
        profile = np.indices(market.shape)
        experiments, payments = [], []
        for i, g in enumerate(market.group_of):
            others = [[j for j, h in enumerate(market.group_of) if h == group and j != i] for group in range(len(groups))]
            case = groups.others(g).number_of([np.moveaxis(profile[members], 0, -1) for members in others])
            experiments.append(self.experiments[g][case, profile[i]])
            payment = self.payments[g]
            payments.append(payment if payment.ndim == 1 else payment[case, profile[i]])
        return ProfileMechanism(market, tuple(experiments), tuple(payments))
