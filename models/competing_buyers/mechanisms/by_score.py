"""A mechanism given as a rule by scores: each report has a score, and sums of scores decide who is informed.

In the optimum the scores are virtual values. With T the sum of the rivals' scores, a buyer of score s receives a correct
recommendation if ``alpha/(n - 1) T <= s``. Else ex post with chance th, the largest entry of the prior; Bayesian if T < c, with
chance f if T = c, and else not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from optmarket.arrays import FloatArray, IntArray
from optmarket.errors import InstanceError
from optmarket.models.competing_buyers.interim_allocation import InterimAllocation
from optmarket.models.competing_buyers.market import BuyerTypes, FiniteTypes
from optmarket.models.competing_buyers.mechanisms.finite_mechanism import FiniteMechanism
from optmarket.models.competing_buyers.mechanisms.json_fields import BY_SCORE, known_fields, numbers_of
from optmarket.models.competing_buyers.virtual_values.recommendations import envelope_payments, experiment
from optmarket.models.competing_buyers.virtual_values.sums import SumDistribution, add_multiples
from optmarket.rationals import floats

FINEST_UNIT = 2.0**-40  # of the largest score: scores of few buyers are rounded to a multiple of about it
SUMS_LISTED = 1 << 20  # sums of the rivals' scores that are listed; more are put on a lattice
LATTICE_POINTS = 1 << 20
SAMPLED_WORK = 1 << 22  # types times reports times profiles of the rivals at which ex post deviations are looked for
MOST_SAMPLED_PROFILES = 64


@dataclass(frozen=True, eq=False)
class ScoreMechanism(FiniteMechanism):
    """Who is informed by scores, for a common prior.

    Attributes
    ----------
    scores : tuple of array, shape (K_g,)
        One for each group of buyers, by report, not falling as values rise: in the optimum virtual values, in payoff units.
    thresholds : tuple of (c, f), or None
        One for each group of buyers; none ex post.
    payments : tuple of array, shape (K_g,), or None
        By own report, in payoff units. None ex post, where payments follow: the envelope formula at each profile of the others.
    """

    scores: tuple[FloatArray, ...]
    thresholds: tuple[tuple[float, float], ...] | None = None
    payments: tuple[FloatArray, ...] | None = None

    @classmethod
    def optimal(cls, market: FiniteTypes, virtual: Sequence[FloatArray]) -> ScoreMechanism:
        """The best rule for some virtual values.

        Parameters
        ----------
        market : FiniteTypes
            With a common prior.
        virtual : sequence of array, shape (K_g,)
            Ironed virtual values of each group of buyers, by report.
        """
        unit = _unit_for(market, virtual)
        scores = tuple(np.round(phi / unit) * unit if unit else phi for phi in virtual)
        if market.ex_post:
            return cls(market, scores)
        groups = range(len(scores))
        chances = _Chances(cls(market, scores))
        thresholds = tuple(chances.sum_without(g).threshold(float(market.uninformed)) for g in groups)
        chances = replace(chances, rule=cls(market, scores, thresholds))
        nets = (chances.net(chances.correct(g), chances.correct_rivals(g)) for g in groups)
        payments = (_envelope(market.groups[g][0], scores[g], net) for g, net in enumerate(nets))
        return cls(market, scores, thresholds, tuple(payments))

    @classmethod
    def read(cls, market: FiniteTypes, data: Mapping[str, Any]) -> ScoreMechanism:
        """Check a mechanism file's rule against a market.

        Parameters
        ----------
        market : FiniteTypes
        data : mapping
            ``scores[group][report]``; Bayesian also ``thresholds[group]``, each [c, f], and ``payments[group][report]``.

        Raises
        ------
        InstanceError
            With the field that does not fit.
        """
        if market.common_prior is None:
            raise InstanceError("is a rule for one prior, and here beliefs are in the types", field="scores")
        known_fields(data, BY_SCORE[:1] if market.ex_post else BY_SCORE)
        sizes = [types.reports for types, _ in market.groups]
        scores = numbers_of(data, "scores", sizes, "reports")
        for g, (score, (types, _)) in enumerate(zip(scores, market.groups, strict=True)):
            order = _order(types, score)
            if (falls := np.diff(score[order]) < 0).any():
                k = int(order[np.argmax(falls) + 1])
                raise InstanceError(
                    "is less than a lower value's; scores must not fall as values rise", field=f"scores[{g}][{k}]"
                )
        if len(market.buyers) > 2 and not _sums_are_exact(market, scores, _unit_of(scores)):
            raise InstanceError("are too many different numbers to add; make them multiples of one power of two", field="scores")
        if market.ex_post:
            return cls(market, scores)
        given = numbers_of(data, "thresholds", [2] * len(sizes), "numbers, the threshold and the chance at it")
        for g, (_, chance) in enumerate(given):
            if not 0 <= chance <= 1:
                raise InstanceError(f"is {chance:g}; a chance is within 0 to 1", field=f"thresholds[{g}][1]")
        thresholds = tuple((float(c), float(f)) for c, f in given)
        return cls(market, scores, thresholds, numbers_of(data, "payments", sizes, "reports"))

    def to_json(self) -> dict[str, Any]:
        """As `read` takes it."""
        made: dict[str, Any] = {"scores": [each.tolist() for each in self.scores]}
        if self.thresholds is not None and self.payments is not None:
            made["thresholds"] = [list(each) for each in self.thresholds]
            made["payments"] = [each.tolist() for each in self.payments]
        return made

    def critical_values(self, g: int) -> tuple[FloatArray, FloatArray]:
        """Up to which sum of the rivals' scores, times alpha/(n - 1), a buyer is informed, and its chance to be there.

        Parameters
        ----------
        g : int
            Of the buyer's group, counted from 0.

        Returns
        -------
        critical, chance : array, shape (K_g,)
            By report.
        """
        score, certain = self.scores[g], np.ones(len(self.scores[g]))
        if self.thresholds is None:
            return score, certain
        c, part = self.thresholds[g]
        c *= float(self.market.externality_per_rival)
        return np.maximum(score, c), np.where(score < c, part, certain)

    def correct(self, g: int, score: FloatArray, rivals: FloatArray) -> FloatArray:
        """Chance of a correct recommendation to a buyer of group g, by its score and its rivals' sum, arrays that broadcast."""
        market = self.market
        unit = _unit_of(self.scores) if len(market.buyers) > 2 else 0.0
        critical = _critical_sum(score, float(market.externality_per_rival), unit)
        if self.thresholds is None:
            return np.asarray(np.where(rivals <= critical, 1.0, float(market.uninformed)))
        c, part = self.thresholds[g]
        return np.asarray(np.where((rivals <= critical) | (rivals < c), 1.0, np.where(rivals == c, part, 0.0)))

    def _allocations(self) -> list[InterimAllocation]:
        chances = _Chances(self)
        each = [chances.allocation(g) for g in range(len(self.scores))]
        return [each[g] for g in self.market.group_of]


@dataclass(frozen=True, eq=False)
class _SampledAllocation(InterimAllocation):
    """What happens on average, with deviations looked for at sampled profiles of the others."""

    sampled: InterimAllocation = field(kw_only=True)

    def deviations(self) -> dict[str, tuple[float, float]]:
        """As `InterimAllocation.deviations`, at the sampled profiles."""
        return self.sampled.deviations()

    def deviations_without_weight(self) -> dict[str, tuple[float, float]]:
        """As `InterimAllocation.deviations_without_weight`, at the sampled profiles."""
        return self.sampled.deviations_without_weight()


@dataclass(frozen=True, eq=False)
class _Chances:
    """The chances that follow from a rule, and what each buyer sees of it."""

    rule: ScoreMechanism
    sums: dict[tuple[int, ...], SumDistribution] = field(default_factory=dict)

    @property
    def market(self) -> FiniteTypes:
        return self.rule.market

    @cached_property
    def unit(self) -> float:
        return _unit_of(self.rule.scores) if len(self.market.buyers) > 2 else 0.0

    @cached_property
    def masses(self) -> list[FloatArray]:
        return [floats(types.mass) for types, _ in self.market.groups]

    @cached_property
    def critical_sums(self) -> list[FloatArray]:
        per_rival = float(self.market.externality_per_rival)
        return [_critical_sum(score, per_rival, self.unit) for score in self.rule.scores]

    def sum_without(self, *left_out: int) -> SumDistribution:
        """The sum of all buyers' scores without one of each of some groups."""
        counts = [count - left_out.count(g) for g, (_, count) in enumerate(self.market.groups)]
        key = tuple(counts)
        if key not in self.sums:
            terms = [(self.rule.scores[g], self.masses[g]) for g, count in enumerate(counts) for _ in range(count)]
            self.sums[key] = add_multiples(terms, self.unit)
        return self.sums[key]

    def _correct(self, g: int, rest: SumDistribution, known: FloatArray) -> FloatArray:
        """Chance that each report of group g (rows) is informed if its rivals' sum is `known` (columns) plus `rest`."""
        critical = self.critical_sums[g][:, None]
        if self.rule.thresholds is None:
            uninformed = float(self.market.uninformed)
            return np.asarray(uninformed + (1 - uninformed) * rest.probability_below(critical - known)[1])
        c, part = self.rule.thresholds[g]
        below, up_to = rest.probability_below(c - known)
        at_threshold = below + part * (up_to - below)
        return np.asarray(np.where(critical >= c, rest.probability_below(critical - known)[1], at_threshold))

    def correct(self, g: int) -> FloatArray:
        """Chance of a correct recommendation to a buyer of group g, by own report."""
        return self._correct(g, self.sum_without(g), np.zeros(1))[:, 0]

    def correct_rivals(self, g: int) -> FloatArray:
        """How many rivals of a buyer of group g receive a correct recommendation, by its report."""
        total = np.zeros(len(self.rule.scores[g]))
        for h, (_, count) in enumerate(self.market.groups):
            if others := count - (h == g):
                total += others * (self.masses[h] @ self._correct(h, self.sum_without(g, h), self.rule.scores[g]))
        return total

    def net(self, correct: FloatArray, rivals: FloatArray) -> FloatArray:
        """z: the chance of a correct recommendation net of the externality of informed rivals, inside and outside."""
        market = self.market
        without_rivals = correct - float(market.uninformed) + float(market.externality)
        return without_rivals - float(market.externality_per_rival) * rivals

    def allocation(self, g: int) -> InterimAllocation:
        """What a buyer of group g sees."""
        types = self.market.groups[g][0]
        correct, rivals = self.correct(g), self.correct_rivals(g)
        if self.rule.payments is not None:
            return self._allocation(types, np.ones(1), correct[None], rivals[None], self.rule.payments[g][None])
        score = self.rule.scores[g]
        paid = _envelope(types, score, self.net(correct, rivals))
        mean = self._allocation(types, np.ones(1), correct[None], rivals[None], paid[None])
        x, others = self._sampled_profiles(g)
        owed = _envelope(types, score, self.net(x, others).T).T
        sampled = self._allocation(types, np.full(len(x), 1 / len(x)), x, others, owed)
        return _SampledAllocation(**{one.name: getattr(mean, one.name) for one in fields(mean)}, sampled=sampled)

    def _allocation(
        self, types: BuyerTypes, probability: FloatArray, x: FloatArray, rivals: FloatArray, paid: FloatArray
    ) -> InterimAllocation:
        market = self.market
        made = experiment(floats(market.prior), x)
        # the same in all states
        by_state = np.repeat(rivals[..., None], market.states if market.own_belief else 1, axis=-1)
        return InterimAllocation.of(market, types, probability, made, by_state, paid)

    def _sampled_profiles(self, g: int) -> tuple[FloatArray, FloatArray]:
        """The chance of a correct recommendation, and how many rivals receive one, at some profiles of the others.

        The profiles are drawn, but always the same.
        """
        types, scores = self.market.groups[g][0], self.rule.scores
        size = min(MOST_SAMPLED_PROFILES, max(1, SAMPLED_WORK // (types.reports * len(types.report))))
        draw = np.random.default_rng(0)
        others = [h for h, (_, count) in enumerate(self.market.groups) for _ in range(count - (h == g))]
        drawn = [draw.choice(scores[h], size, p=self.masses[h] / self.masses[h].sum())[:, None] for h in others]
        correct = self.rule.correct(g, scores[g], np.asarray(sum(drawn)))
        rivals: FloatArray = np.zeros(correct.shape)
        for k, h in enumerate(others):
            rest = np.asarray(sum(drawn[:k] + drawn[k + 1 :]))
            rivals += self.rule.correct(h, drawn[k], scores[g] + rest)
        return correct, rivals


def _lowest(types: BuyerTypes) -> FloatArray:
    """The lowest value of each report; of one that nobody makes, that of the next below, or the lowest of all."""
    low = np.full(types.reports, np.inf)
    np.minimum.at(low, types.report, floats(types.value))
    made = np.unique(low[floats(types.mass) > 0])
    return np.asarray(made[np.maximum(np.searchsorted(made, low, side="right") - 1, 0)])


def _order(types: BuyerTypes, score: FloatArray) -> IntArray:
    """Reports by value, those of one value by score: the chance of a correct recommendation rises along it."""
    return np.lexsort((score, _lowest(types)))


def _envelope(types: BuyerTypes, score: FloatArray, net: FloatArray) -> FloatArray:
    """Payments by report, the first axis, that leave the lowest value of all no surplus."""
    order, lowest = _order(types, score), _lowest(types)
    paid = np.empty_like(net)
    paid[order] = envelope_payments(lowest[order], net[order])
    return paid


def _critical_sum(score: FloatArray, per_rival: float, unit: float) -> FloatArray:
    """Up to which sum of the rivals' scores a buyer is informed, as a multiple of the unit: sums are compared as they are."""
    if per_rival == 0:
        return np.where(score >= 0, np.inf, -np.inf)
    return np.asarray(np.floor(score / per_rival / unit) * unit if unit else score / per_rival)


def _unit_for(market: FiniteTypes, virtual: Sequence[FloatArray]) -> float:
    """A power of two that scores are rounded to, so that sums of them are exact and few; 0 for two buyers, who have no sums."""
    if len(market.buyers) == 2:
        return 0.0
    largest = max(float(np.abs(phi).max()) for phi in virtual)
    finest = 2.0 ** math.ceil(math.log2(largest * FINEST_UNIT)) if largest else 1.0
    if _sums_are_listed(market):
        return finest
    return max(finest, 2.0 ** math.ceil(math.log2(_range_of_sums(market, virtual) / LATTICE_POINTS)))


def _sums_are_listed(market: FiniteTypes) -> bool:
    return market.profiles <= SUMS_LISTED * min(market.shape)


def _range_of_sums(market: FiniteTypes, scores: Sequence[FloatArray]) -> float:
    ranges = [float(each.max() - each.min()) for each in scores]
    return max(sum(ranges[g] * count for g, (_, count) in enumerate(market.groups)) - min(ranges), 0.0)


def _unit_of(scores: Sequence[FloatArray]) -> float:
    """The largest power of two that all scores are multiples of; 1 if all are 0."""
    parts = np.concatenate(scores)
    whole, power = np.frexp(parts[parts != 0])
    if not len(whole):
        return 1.0
    whole = (np.abs(whole) * 2.0**53).astype(np.int64)
    lowest = np.log2((whole & -whole).astype(np.float64))
    return float(2.0 ** (power + lowest - 53).min())


def _sums_are_exact(market: FiniteTypes, scores: Sequence[FloatArray], unit: float) -> bool:
    """Whether sums of scores are exact in floats, and few enough for a lattice."""
    largest = max(float(np.abs(each).max()) for each in scores)
    if _sums_are_listed(market):
        return bool(largest * len(market.buyers) < unit * 2.0**52)
    return _range_of_sums(market, scores) <= 2 * unit * LATTICE_POINTS
