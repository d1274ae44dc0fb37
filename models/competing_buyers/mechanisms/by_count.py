"""Buyers alike treated alike: a buyer faces a tally of the others' reports, not a list of who made which.

Averaging a mechanism over all permutations of alike buyers leaves what it earns and what deviations gain, so that one buyer of
each group of alike ones stands for all, and how many of each group make each report is all that matters of a profile.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, combinations_with_replacement
from typing import Any, Self

import numpy as np

from optmarket.lp.program import FloatArray, IntArray, NumberArray
from optmarket.models.competing_buyers.interim import View
from optmarket.models.competing_buyers.market import Kind, Market
from optmarket.models.competing_buyers.outcomes import Mechanism, chances, depth, known_fields, list_of, nested
from optmarket.models.competing_buyers.virtual_values.ironing import LISTED
from optmarket.rationals import floats


def multisets(size: int, reports: int) -> int:
    """How many multisets there are of so many members."""
    return math.comb(reports + size - 1, size)


@dataclass(frozen=True)
class Tallies:
    """Every way in which some buyers of each group can report: one multiset of reports for each group.

    Multisets are sorted lists in lexicographic order; tallies are numbered with the last group's multiset varying fastest.

    Attributes
    ----------
    sizes : tuple of int
        How many buyers of each group.
    shape : tuple of int
        How many reports each of them has.
    """

    sizes: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """How many multisets each group has."""
        return tuple(map(multisets, self.sizes, self.shape))

    @property
    def total(self) -> int:
        """How many tallies there are."""
        return math.prod(self.counts)

    @cached_property
    def members(self) -> tuple[IntArray, ...]:
        """The multisets of each group, shape (how many, size)."""
        found = []
        for size, reports, count in zip(self.sizes, self.shape, self.counts, strict=True):
            each = chain.from_iterable(combinations_with_replacement(range(reports), size))
            found.append(np.fromiter(each, np.int64, count * size).reshape(count, size))
        return tuple(found)

    @cached_property
    def places(self) -> tuple[IntArray, ...]:
        """The multiset of each group in each tally, shape (S,)."""
        return tuple(np.unravel_index(np.arange(self.total), self.counts))

    def changed(self, group: int, by: int) -> Tallies:
        """Of more or fewer buyers of a group."""
        return replace(self, sizes=tuple(size + by * (h == group) for h, size in enumerate(self.sizes)))

    def number(self, reports: Sequence[IntArray]) -> IntArray:
        """Which tally some reports make.

        Parameters
        ----------
        reports : sequence of array of int, shape (..., size)
            Of each group, in any order.
        """
        ranks = [_rank(np.sort(given, axis=-1), count) for given, count in zip(reports, self.shape, strict=True)]
        return np.asarray(np.ravel_multi_index(np.broadcast_arrays(*ranks), self.counts))

    def reports(self, group: int) -> IntArray:
        """What the buyers of a group report, shape (S, size)."""
        return self.members[group][self.places[group]]

    def often(self, group: int) -> IntArray:
        """How many of a group report as each of its buyers does, said at the first of them, and 0 at the others, as `reports`."""
        return _often(self.members[group])[self.places[group]]

    def joined(self, group: int) -> IntArray:
        """Which tally of one buyer more it is if one of a group joins with each report, shape (S, K)."""
        members = self.members[group]
        shape = (len(members), self.shape[group])
        joining = np.broadcast_to(np.arange(shape[1])[:, None], (*shape, 1))
        more = np.concatenate([np.broadcast_to(members[:, None], (*shape, members.shape[1])), joining], axis=2)
        return self._moved(group, _rank(np.sort(more, axis=2), shape[1]), self.changed(group, 1))

    def left(self, group: int) -> IntArray:
        """Which tally of one buyer fewer it is if each of the buyers of a group leaves, as `reports`."""
        size = self.sizes[group]
        stay = np.arange(size - 1) + (np.arange(size - 1) >= np.arange(size)[:, None])
        return self._moved(group, _rank(self.members[group][:, stay], self.shape[group]), self.changed(group, -1))

    def _moved(self, group: int, to: IntArray, tallies: Tallies) -> IntArray:
        parts = [place[:, None] if h != group else to[place] for h, place in enumerate(self.places)]
        return np.asarray(np.ravel_multi_index(np.broadcast_arrays(*parts), tallies.counts))

    def probability(self, masses: Sequence[NumberArray]) -> NumberArray:
        """Of each tally, shape (S,), from the weight of each report of each group; exact if these are Fractions."""
        found: NumberArray = np.ones((), dtype=masses[0].dtype)
        for members, mass in zip(self.members, masses, strict=True):
            factorials = np.array([math.factorial(k) for k in range(members.shape[1] + 1)], dtype=object)
            orders = factorials[-1] // factorials[_often(members)].prod(axis=1)
            each = mass[members].prod(axis=1) * orders.astype(mass.dtype)
            found = np.multiply.outer(found, each)
        return found.ravel()


def _rank(members: IntArray, reports: int) -> IntArray:
    """Place of sorted lists among all of their length, shape (...): one less than all, less those that come later."""
    size = members.shape[-1]
    if not size:
        return np.zeros(members.shape[:-1], dtype=np.int64)
    choose = np.array([[math.comb(a, b) for b in range(size + 1)] for a in range(reports + size - 1)])
    above = reports - 1 - members + np.arange(size)[::-1]  # raised by their place, members of a list differ
    later = choose[np.minimum(above, reports + size - 2), size - np.arange(size)]
    return np.asarray(multisets(size, reports) - 1 - later.sum(axis=-1))


def _often(members: IntArray) -> IntArray:
    first = np.ones(members.shape, dtype=bool)
    first[:, 1:] = members[:, 1:] != members[:, :-1]
    alike = (members[:, :, None] == members[:, None, :]).sum(axis=2)
    return np.asarray(alike * first)


@dataclass(frozen=True)
class Groups:
    """Buyers alike, group by group, in order of the first of each.

    Attributes
    ----------
    kinds : tuple of Kind
    sizes : tuple of int
    group : tuple of int
        Of each buyer.
    """

    kinds: tuple[Kind, ...]
    sizes: tuple[int, ...]
    group: tuple[int, ...]

    @classmethod
    def of(cls, market: Market) -> Groups:
        """Of a market's buyers."""
        kinds, sizes = zip(*market.groups, strict=True)
        place = {id(kind): g for g, kind in enumerate(kinds)}
        return cls(kinds, sizes, tuple(place[id(kind)] for kind in market.buyers))

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def masses(self) -> list[NumberArray]:
        """Weight of each report of each group."""
        return [kind.mass for kind in self.kinds]

    def others(self, *left_out: int) -> Tallies:
        """Of all buyers but one of each of these groups: with one group what its buyer faces, its cases."""
        sizes = tuple(size - left_out.count(g) for g, size in enumerate(self.sizes))
        return Tallies(sizes, tuple(kind.reports for kind in self.kinds))

    def rivals(self, group: int) -> list[tuple[int, int]]:
        """Groups with rivals of a buyer of a group, and how many."""
        sizes = self.others(group).sizes
        return [(h, size) for h, size in enumerate(sizes) if size]

    def facing(self, group: int, rival: int) -> tuple[IntArray, IntArray, IntArray]:
        """What the rivals of a group face and report, if a buyer of another group, or of theirs, reports k in case s.

        Returns
        -------
        case : array of int, shape (S, size, K)
        report : array of int, shape (S, size, 1)
        often : array of int, shape (S, size)
            How many rivals this is said of: 0 where it was said before.
        """
        cases = self.others(group)
        case = self.others(group, rival).joined(group)[cases.left(rival)]
        return case, cases.reports(rival)[:, :, None], cases.often(rival)

    def expected(self, group: int, rival: int) -> tuple[IntArray, NumberArray]:
        """What the rivals of a group face in the mean, if a buyer of another group, or of theirs, reports k.

        Returns
        -------
        case : array of int, shape (R, K)
            For each tally of all others but one of the rivals.
        chance : array of Fraction, shape (R, K_rival)
            Of that tally and what the one reports, times the number of rivals.
        """
        rest = self.others(group, rival)
        often = self.others(group).sizes[rival]
        chance = np.multiply.outer(rest.probability(self.masses), often * self.kinds[rival].mass)
        return rest.joined(group), chance


@dataclass(frozen=True)
class Tallied:
    """Who is told what and what it pays, in payoff units, if alike buyers are treated alike.

    Groups are in order of the first buyer of each. A case of a group is a tally of the others' reports, in the order of
    `Tallies`: for each group a sorted list of reports, lists in lexicographic order, those of the last group varying fastest.

    Attributes
    ----------
    experiments : tuple of array, shape (S_g, K_g, M, M)
        For each group, by case and own report, the chance of each recommended action in each state.
    payments : tuple of array, shape (K_g,) or (S_g, K_g)
        By own report, or by case and own report.
    """

    experiments: tuple[FloatArray, ...]
    payments: tuple[FloatArray, ...]

    @classmethod
    def read(cls, market: Market, data: Mapping[str, Any]) -> Self:
        """Check a mechanism against a market.

        Parameters
        ----------
        market : Market
        data : mapping
            ``experiments-by-tally[group][case][own report][state][action]``, and ``payments-by-tally[group][own report]`` or
            ``payments-by-tally[group][case][own report]``. Rows may miss the sum one by 1e-6, and are divided by it.

        Raises
        ------
        InstanceError
            With the field that does not fit.
        """
        names = ("experiments-by-tally", "payments-by-tally")
        known_fields(data, names)
        groups = Groups.of(market)
        told, paid = (list_of(data, name, len(groups), "kinds of buyers") for name in names)
        experiments, payments = [], []
        for g, kind in enumerate(groups.kinds):
            axes = [f"cases of group {g + 1}", f"reports of group {g + 1}", "states", "actions"]
            shape = (groups.others(g).total, kind.reports)
            experiments.append(chances(told[g], (*shape, market.states, market.states), axes, f"{names[0]}[{g}]"))
            by_case = depth(paid[g]) > 1
            payments.append(nested(paid[g], shape[1 - by_case :], axes[1 - by_case : 2], f"{names[1]}[{g}]"))
        return cls(tuple(experiments), tuple(payments))

    def as_json(self) -> dict[str, Any]:
        """As `read` takes it."""
        return {f"{name}-by-tally": [one.tolist() for one in getattr(self, name)] for name in ("experiments", "payments")}

    def views(self, market: Market) -> list[View]:
        """As each buyer sees it: those of a group share one view."""
        views = self.seen_by_kind(market)
        return [views[g] for g in Groups.of(market).group]

    def seen_by_kind(self, market: Market) -> list[View]:
        """As one buyer of each group sees it."""
        groups = Groups.of(market)
        return [self._seen(market, groups, g) for g in range(len(groups))]

    def _seen(self, market: Market, groups: Groups, g: int) -> View:
        masses = [floats(mass) for mass in groups.masses]
        probability = groups.others(g).probability(masses)
        experiment, payment = self.experiments[g], np.broadcast_to(self.payments[g], self.experiments[g].shape[:2])
        rivals: Any = 0.0
        for h, often in groups.rivals(g):
            right = np.diagonal(self.experiments[h], axis1=2, axis2=3)
            if not market.own:
                right = (right * floats(groups.kinds[h].mean_belief)).sum(axis=2, keepdims=True)
            if market.ex_post:
                case, report, many = groups.facing(g, h)
                rivals = rivals + (right[case, report] * many[:, :, None, None]).sum(axis=1)
            else:
                rest = groups.others(g, h)
                expected = np.tensordot(right, masses[h], axes=(1, 0))
                rivals = rivals + often * np.tensordot(rest.probability(masses), expected[rest.joined(g)], axes=1)[None]
        if not market.ex_post:
            experiment, payment = (np.tensordot(probability, given, axes=1)[None] for given in (experiment, payment))
            probability = np.ones(1)
        return View.of(market, groups.kinds[g], probability, experiment, rivals, payment)

    def relabelled(self, groups: Groups, wider: Groups, like: Sequence[IntArray]) -> Tallied:
        """The mechanism for groups of more reports, each of them treated as one of the present ones.

        Parameters
        ----------
        groups, wider : Groups
            Present and new ones.
        like : sequence of array of int, shape (K_g,)
            For each new report of a group the present one.
        """
        experiments, payments = [], []
        for g, (told, paid) in enumerate(zip(self.experiments, self.payments, strict=True)):
            cases = wider.others(g)
            case = groups.others(g).number([same[cases.reports(h)] for h, same in enumerate(like)])
            at = np.ix_(case, like[g])
            experiments.append(told[at])
            payments.append(paid[like[g]] if paid.ndim == 1 else paid[at])
        return Tallied(tuple(experiments), tuple(payments))

    def written_out(self, market: Market) -> Mechanism | Tallied:
        """Profile by profile if there are at most `LISTED` profiles, else as it is."""
        if market.profiles > LISTED:
            return self
        groups = Groups.of(market)
        profile = np.indices(market.shape)
        experiments, payments = [], []
        for i, g in enumerate(groups.group):
            others = [[j for j, h in enumerate(groups.group) if h == group and j != i] for group in range(len(groups))]
            at = groups.others(g).number([np.moveaxis(profile[members], 0, -1) for members in others]), profile[i]
            experiments.append(self.experiments[g][at])
            paid = self.payments[g]
            payments.append(paid if paid.ndim == 1 else paid[at])
        return Mechanism(tuple(experiments), tuple(payments))
