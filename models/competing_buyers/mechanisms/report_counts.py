"""How many buyers of each group make each report: the cases that a buyer of a symmetric mechanism faces, and their chances.

Averaging a mechanism over all permutations of symmetric buyers leaves what it earns and what deviations gain, so that one buyer
of each group stands for all. What this buyer faces is a case: how many of the others make each report, not who makes which.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, combinations_with_replacement

import numpy as np

from optmarket.arrays import IntArray, NumberArray
from optmarket.models.competing_buyers.market import BuyerTypes, FiniteTypes


def count_multisets(size: int, reports: int) -> int:
    """How many multisets of reports there are of so many members.

    Examples
    --------
    >>> count_multisets(2, 3)
    6
    """
    return math.comb(reports + size - 1, size)


@dataclass(frozen=True)
class ReportCounts:
    """Every way in which some buyers of each group can report: one multiset of reports for each group.

    Multisets are sorted lists in lexicographic order. Cases are numbered with the last group's multiset varying fastest.

    Attributes
    ----------
    sizes : tuple of int
        How many buyers of each group.
    shape : tuple of int
        How many reports each of them has.

    Examples
    --------
    >>> cases = ReportCounts((2,), (2,))
    >>> cases.total, cases.reports(0).tolist()
    (3, [[0, 0], [0, 1], [1, 1]])
    """

    sizes: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def multiset_counts(self) -> tuple[int, ...]:
        """How many multisets each group has."""
        return tuple(map(count_multisets, self.sizes, self.shape))

    @property
    def total(self) -> int:
        """How many cases there are, S."""
        return math.prod(self.multiset_counts)

    @cached_property
    def multisets(self) -> tuple[IntArray, ...]:
        """The multisets of each group, shape (how many, size)."""
        found = []
        for size, reports, count in zip(self.sizes, self.shape, self.multiset_counts, strict=True):
            each = chain.from_iterable(combinations_with_replacement(range(reports), size))
            found.append(np.fromiter(each, np.int64, count * size).reshape(count, size))
        return tuple(found)

    @cached_property
    def multiset_of(self) -> tuple[IntArray, ...]:
        """The number of each group's multiset in each case, shape (S,)."""
        return tuple(np.unravel_index(np.arange(self.total), self.multiset_counts))

    def changed(self, group: int, by: int) -> ReportCounts:
        """Those of more or fewer buyers of a group."""
        return replace(self, sizes=tuple(size + by * (h == group) for h, size in enumerate(self.sizes)))

    def number_of(self, reports: Sequence[IntArray]) -> IntArray:
        """The number of the case that some reports make.

        Parameters
        ----------
        reports : sequence of array of int, shape (..., size)
            Of each group, in any order.
        """
        ranks = [_rank(np.sort(given, axis=-1), count) for given, count in zip(reports, self.shape, strict=True)]
        return np.asarray(np.ravel_multi_index(np.broadcast_arrays(*ranks), self.multiset_counts))

    def reports(self, group: int) -> IntArray:
        """What the buyers of a group report in each case, shape (S, size)."""
        return self.multisets[group][self.multiset_of[group]]

    def multiplicity(self, group: int) -> IntArray:
        """How many of a group report as each of its buyers does, given at the first of them, and 0 at others, as `reports`."""
        return _multiplicity(self.multisets[group])[self.multiset_of[group]]

    def with_one_more(self, group: int) -> IntArray:
        """The number of the case of one buyer more, if one of a group joins with each report, shape (S, K)."""
        multisets = self.multisets[group]
        shape = (len(multisets), self.shape[group])
        joining = np.broadcast_to(np.arange(shape[1])[:, None], (*shape, 1))
        more = np.concatenate([np.broadcast_to(multisets[:, None], (*shape, multisets.shape[1])), joining], axis=2)
        return self._case_after(group, _rank(np.sort(more, axis=2), shape[1]), self.changed(group, 1))

    def with_one_less(self, group: int) -> IntArray:
        """The number of the case of one buyer fewer, if each of the buyers of a group leaves, as `reports`."""
        size = self.sizes[group]
        stay = np.arange(size - 1) + (np.arange(size - 1) >= np.arange(size)[:, None])
        return self._case_after(group, _rank(self.multisets[group][:, stay], self.shape[group]), self.changed(group, -1))

    def _case_after(self, group: int, multiset: IntArray, cases: ReportCounts) -> IntArray:
        """The numbers of other cases, in which a group's multiset has become another one and all others stay."""
        parts = [number[:, None] if h != group else multiset[number] for h, number in enumerate(self.multiset_of)]
        return np.asarray(np.ravel_multi_index(np.broadcast_arrays(*parts), cases.multiset_counts))

    def probability(self, masses: Sequence[NumberArray]) -> NumberArray:
        """Of each case, shape (S,), from the weight of each report of each group; exact if these are Fractions."""
        found: NumberArray = np.ones((), dtype=masses[0].dtype)
        for multisets, mass in zip(self.multisets, masses, strict=True):
            factorials = np.array([math.factorial(k) for k in range(multisets.shape[1] + 1)], dtype=object)
            orders = factorials[-1] // factorials[_multiplicity(multisets)].prod(axis=1)
            each = mass[multisets].prod(axis=1) * orders.astype(mass.dtype)
            found = np.multiply.outer(found, each)
        return found.ravel()


def _rank(multisets: IntArray, reports: int) -> IntArray:
    """The number of sorted lists among all of their length, shape (...): one less than all, less those that come later."""
    size = multisets.shape[-1]
    if not size:
        return np.zeros(multisets.shape[:-1], dtype=np.int64)
    choose = np.array([[math.comb(a, b) for b in range(size + 1)] for a in range(reports + size - 1)])
    above = reports - 1 - multisets + np.arange(size)[::-1]  # raised by their place, members of a list differ
    later = choose[np.minimum(above, reports + size - 2), size - np.arange(size)]
    return np.asarray(count_multisets(size, reports) - 1 - later.sum(axis=-1))


def _multiplicity(multisets: IntArray) -> IntArray:
    first = np.ones(multisets.shape, dtype=bool)
    first[:, 1:] = multisets[:, 1:] != multisets[:, :-1]
    equal = (multisets[:, :, None] == multisets[:, None, :]).sum(axis=2)
    return np.asarray(equal * first)


@dataclass(frozen=True, eq=False)
class SymmetricGroups:
    """The groups of symmetric buyers, in order of the first buyer of each, and the cases that one buyer of each faces.

    Attributes
    ----------
    types : tuple of BuyerTypes
        Of a buyer of each group.
    sizes : tuple of int
        How many buyers each group has.
    """

    types: tuple[BuyerTypes, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, market: FiniteTypes) -> SymmetricGroups:
        """Those of a market's buyers."""
        types, sizes = zip(*market.groups, strict=True)
        return cls(types, sizes)

    def __len__(self) -> int:
        return len(self.types)

    @property
    def masses(self) -> list[NumberArray]:
        """Weight of each report of each group."""
        return [types.mass for types in self.types]

    def others(self, *left_out: int) -> ReportCounts:
        """The reports of all buyers but one of each of these groups: with one group what its buyer faces, its cases."""
        sizes = tuple(size - left_out.count(g) for g, size in enumerate(self.sizes))
        return ReportCounts(sizes, tuple(types.reports for types in self.types))

    def rivals(self, group: int) -> list[tuple[int, int]]:
        """The groups that have rivals of a buyer of a group, and how many."""
        sizes = self.others(group).sizes
        return [(h, size) for h, size in enumerate(sizes) if size]

    def rivals_cases(self, group: int, rival: int) -> tuple[IntArray, IntArray, IntArray]:
        """What the rivals of a group face and report, if a buyer of another group, or of theirs, reports k in case s.

        Returns
        -------
        case : array of int, shape (S, size, K)
        report : array of int, shape (S, size, 1)
        multiplicity : array of int, shape (S, size)
            How many rivals this is said of: 0 where it was said before.
        """
        cases = self.others(group)
        case = self.others(group, rival).with_one_more(group)[cases.with_one_less(rival)]
        return case, cases.reports(rival)[:, :, None], cases.multiplicity(rival)

    def expected_rivals(self, group: int, rival: int) -> tuple[IntArray, NumberArray]:
        """What the rivals of a group face on average, if a buyer of another group, or of theirs, reports k.

        Returns
        -------
        case : array of int, shape (R, K)
            For each case of all others but one of the rivals.
        chance : array of Fraction, shape (R, K_rival)
            Of that case and what the one rival reports, times the number of rivals.
        """
        rest = self.others(group, rival)
        size = self.others(group).sizes[rival]
        chance = np.multiply.outer(rest.probability(self.masses), size * self.types[rival].mass)
        return rest.with_one_more(group), chance
