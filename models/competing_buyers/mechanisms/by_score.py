"""A mechanism given as a rule: each report has a score, and who is told right follows from sums of scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from optmarket.errors import InstanceError
from optmarket.lp.program import FloatArray, IntArray
from optmarket.models.competing_buyers.interim import View
from optmarket.models.competing_buyers.market import Kind, Market
from optmarket.models.competing_buyers.outcomes import known_fields, numbers_of
from optmarket.models.competing_buyers.virtual_values.ironing import experiment, payments
from optmarket.models.competing_buyers.virtual_values.sums import Sums, add_multiples
from optmarket.rationals import floats

FINEST = 2.0**-40  # of the largest score
ATOMS = 1 << 20
LATTICE = 1 << 20  # points
CASES = 1 << 22  # types times reports times profiles of the rivals at which ex post deviations are looked for
MOST_CASES = 64


@dataclass(frozen=True)
class Scores:
    """Who is told right by scores, for a common prior.

    With T the sum of the rivals' scores and share = alpha/(n - 1), a buyer of score s is told right if ``share T <= s``. Else
    ex post with chance th, the largest entry of the prior; Bayesian if T < c, with chance f if T = c, and else not.

    Attributes
    ----------
    score : tuple of array, shape (K_g,)
        One for each kind of buyer, by report, nondecreasing: in the optimum virtual values, in payoff units.
    threshold : tuple of (c, f), or None
        One for each kind of buyer; none ex post.
    payment : tuple of array, shape (K_g,), or None
        By own report. None ex post, where payments follow: the envelope formula at each profile of the others.
    """

    score: tuple[FloatArray, ...]
    threshold: tuple[tuple[float, float], ...] | None = None
    payment: tuple[FloatArray, ...] | None = None

    @classmethod
    def optimal(cls, market: Market, virtual: Sequence[FloatArray]) -> Scores:
        """The best rule for some virtual values.

        Parameters
        ----------
        market : Market
            With a common prior.
        virtual : sequence of array, shape (K_g,)
            Ironed virtual values of each kind of buyer, by report.
        """
        unit = _unit_for(market, virtual)
        score = tuple(np.round(phi / unit) * unit if unit else phi for phi in virtual)
        if market.ex_post:
            return cls(score)
        kinds = range(len(score))
        play = _Play(market, cls(score))
        threshold = tuple(play.without(g).threshold(play.level) for g in kinds)
        play = replace(play, rule=cls(score, threshold))
        return cls(
            score,
            threshold,
            tuple(_envelope(market.groups[g][0], score[g], play.net(play.right(g), play.rivals(g))) for g in kinds),
        )

    @classmethod
    def read(cls, market: Market, data: Mapping[str, Any]) -> Scores:
        """Check a mechanism file's rule against a market.

        Parameters
        ----------
        market : Market
        data : mapping
            ``scores[kind of buyer][report]``; Bayesian also ``thresholds[kind]``, each [c, f], and ``payments[kind][report]``.

        Raises
        ------
        InstanceError
            With the field that does not fit.
        """
        if market.prior is None:
            raise InstanceError("is a rule for one prior, and here beliefs are in the types", field="scores")
        known_fields(data, ["scores"] if market.ex_post else ["scores", "thresholds", "payments"])
        sizes = [kind.reports for kind, _ in market.groups]
        score = numbers_of(data, "scores", sizes, "reports")
        for g, (each, (kind, _)) in enumerate(zip(score, market.groups, strict=True)):
            order = _order(kind, each)
            if (falls := np.diff(each[order]) < 0).any():
                k = int(order[np.argmax(falls) + 1])
                raise InstanceError(
                    "is less than a lower value's; scores must not fall as values rise", field=f"scores[{g}][{k}]"
                )
        if len(market.buyers) > 2 and not _fits(market, score, _unit_of(score)):
            raise InstanceError("are too many different numbers to add; make them multiples of one power of two", field="scores")
        if market.ex_post:
            return cls(score)
        threshold = numbers_of(data, "thresholds", [2] * len(sizes), "numbers, the threshold and the chance at it")
        for g, (_, chance) in enumerate(threshold):
            if not 0 <= chance <= 1:
                raise InstanceError(f"is {chance:g}; a chance is within 0 to 1", field=f"thresholds[{g}][1]")
        return cls(score, tuple((float(c), float(f)) for c, f in threshold), numbers_of(data, "payments", sizes, "reports"))

    def as_json(self) -> dict[str, Any]:
        """As `read` takes it."""
        made: dict[str, Any] = {"scores": [each.tolist() for each in self.score]}
        if self.threshold is not None and self.payment is not None:
            made["thresholds"] = [list(each) for each in self.threshold]
            made["payments"] = [each.tolist() for each in self.payment]
        return made

    def views(self, market: Market) -> list[View]:
        """As each buyer sees it; those of one kind share theirs."""
        play = _Play(market, self)
        each = [play.view(g) for g in range(len(self.score))]
        return [each[g] for g, (_, count) in enumerate(market.groups) for _ in range(count)]

    def limits(self, market: Market, g: int) -> tuple[FloatArray, FloatArray]:
        """By report of kind g, up to which sum of the rivals' scores, times share, a buyer is told right; its chance there."""
        score, sure = self.score[g], np.ones(len(self.score[g]))
        if self.threshold is None:
            return score, sure
        c, part = self.threshold[g]
        c *= float(market.share)
        return np.maximum(score, c), np.where(score < c, part, sure)

    def right(self, market: Market, g: int, score: FloatArray, rivals: FloatArray) -> FloatArray:
        """Chance that a buyer of kind g is told right, by its score and the sum of its rivals', arrays that broadcast."""
        limit = _limit(score, float(market.share), _unit_of(self.score) if len(market.buyers) > 2 else 0.0)
        if self.threshold is None:
            level = _level(market)
            return np.asarray(np.where(rivals <= limit, 1.0, level))
        c, part = self.threshold[g]
        return np.asarray(np.where((rivals <= limit) | (rivals < c), 1.0, np.where(rivals == c, part, 0.0)))


@dataclass(frozen=True)
class _Sampled(View):
    """A view of what happens on average, with deviations looked for in the cases of another."""

    cases: View = field(kw_only=True)

    def deviations(self) -> dict[str, tuple[float, float]]:
        return self.cases.deviations()

    def weightless(self) -> dict[str, tuple[float, float]]:
        return self.cases.weightless()


@dataclass(frozen=True)
class _Play:
    """What follows from a rule."""

    market: Market
    rule: Scores
    sums: dict[tuple[int, ...], Sums] = field(default_factory=dict)

    @cached_property
    def unit(self) -> float:
        return _unit_of(self.rule.score) if len(self.market.buyers) > 2 else 0.0

    @cached_property
    def level(self) -> float:
        return _level(self.market)

    @cached_property
    def masses(self) -> list[FloatArray]:
        return [floats(kind.mass) for kind, _ in self.market.groups]

    @cached_property
    def limits(self) -> list[FloatArray]:
        return [_limit(score, float(self.market.share), self.unit) for score in self.rule.score]

    def without(self, *left_out: int) -> Sums:
        """The sum of all buyers' scores without one of each of some kinds."""
        counts = [count - left_out.count(g) for g, (_, count) in enumerate(self.market.groups)]
        key = tuple(counts)
        if key not in self.sums:
            terms = [(self.rule.score[g], self.masses[g]) for g, count in enumerate(counts) for _ in range(count)]
            self.sums[key] = add_multiples(terms, self.unit)
        return self.sums[key]

    def _told(self, g: int, rest: Sums, known: FloatArray) -> FloatArray:
        """Chance that each report of kind g (rows) is told right if its rivals' sum is `known` (columns) plus `rest`."""
        limit = self.limits[g][:, None]
        if self.rule.threshold is None:
            return np.asarray(self.level + (1 - self.level) * rest.chance(limit - known)[1])
        c, part = self.rule.threshold[g]
        below, up_to = rest.chance(c - known)
        return np.asarray(np.where(limit >= c, rest.chance(limit - known)[1], below + part * (up_to - below)))

    def right(self, g: int) -> FloatArray:
        """Chance that a buyer of kind g is told right, by own report."""
        return self._told(g, self.without(g), np.zeros(1))[:, 0]

    def rivals(self, g: int) -> FloatArray:
        """How many rivals of a buyer of kind g are told right, by its report."""
        total = np.zeros(len(self.rule.score[g]))
        for h, (_, count) in enumerate(self.market.groups):
            if others := count - (h == g):
                total += others * (self.masses[h] @ self._told(h, self.without(g, h), self.rule.score[g]))
        return total

    def net(self, right: FloatArray, rivals: FloatArray) -> FloatArray:
        """z: being told right net of the harm by rivals who are and of opting out."""
        return right - self.level + float(self.market.externality) - float(self.market.share) * rivals

    def view(self, g: int) -> View:
        """What a buyer of kind g sees."""
        kind = self.market.groups[g][0]
        right, rivals = self.right(g), self.rivals(g)
        if self.rule.payment is not None:
            return self._seen(kind, np.ones(1), right[None], rivals[None], self.rule.payment[g][None])
        score = self.rule.score[g]
        paid = _envelope(kind, score, self.net(right, rivals))
        mean = self._seen(kind, np.ones(1), right[None], rivals[None], paid[None])
        x, others = self._cases(g)
        owed = _envelope(kind, score, self.net(x, others).T).T
        return _Sampled(**vars(mean), cases=self._seen(kind, np.full(len(x), 1 / len(x)), x, others, owed))

    def _seen(self, kind: Kind, probability: FloatArray, x: FloatArray, rivals: FloatArray, paid: FloatArray) -> View:
        assert self.market.prior is not None
        told = experiment(floats(self.market.prior), x)
        harmed = np.repeat(rivals[..., None], self.market.states if self.market.own else 1, axis=-1)  # alike in all states
        return View.of(self.market, kind, probability, told, harmed, paid)

    def _cases(self, g: int) -> tuple[FloatArray, FloatArray]:
        """The chance to be told right and how many rivals are, by own report, at some profiles of the others, always the same."""
        kind, score = self.market.groups[g][0], self.rule.score
        size = min(MOST_CASES, max(1, CASES // (kind.reports * len(kind.report))))
        draw = np.random.default_rng(0)
        others = [h for h, (_, count) in enumerate(self.market.groups) for _ in range(count - (h == g))]
        drawn = [draw.choice(score[h], size, p=self.masses[h] / self.masses[h].sum())[:, None] for h in others]
        told = self.rule.right(self.market, g, score[g], np.asarray(sum(drawn)))
        rivals: FloatArray = np.zeros(told.shape)
        for k, h in enumerate(others):
            rest = np.asarray(sum(drawn[:k] + drawn[k + 1 :]))
            rivals += self.rule.right(self.market, h, drawn[k], score[g] + rest)
        return told, rivals


def _level(market: Market) -> float:
    assert market.prior is not None
    return float(max(market.prior))


def _lowest(kind: Kind) -> FloatArray:
    """The lowest value of each report; of one that nobody makes, that of the next below, or the lowest of all."""
    low = np.full(kind.reports, np.inf)
    np.minimum.at(low, kind.report, floats(kind.value))
    made = np.unique(low[floats(kind.mass) > 0])
    return np.asarray(made[np.maximum(np.searchsorted(made, low, side="right") - 1, 0)])


def _order(kind: Kind, score: FloatArray) -> IntArray:
    """Reports by value, those of one value by score: what is told rises along it."""
    return np.lexsort((score, _lowest(kind)))


def _envelope(kind: Kind, score: FloatArray, net: FloatArray) -> FloatArray:
    """Payments by report, the first axis, that leave the lowest value of all nothing."""
    order, lowest = _order(kind, score), _lowest(kind)
    paid = np.empty_like(net)
    paid[order] = payments(lowest[order], net[order])
    return paid


def _limit(score: FloatArray, share: float, unit: float) -> FloatArray:
    """Up to which sum of the rivals' scores a buyer is told right, as a multiple of the unit: sums are compared as they are."""
    if share == 0:
        return np.where(score >= 0, np.inf, -np.inf)
    return np.asarray(np.floor(score / share / unit) * unit if unit else score / share)


def _unit_for(market: Market, virtual: Sequence[FloatArray]) -> float:
    """A power of two that scores are rounded to, so that sums of them are exact and few; 0 for two buyers, who have no sums."""
    if len(market.buyers) == 2:
        return 0.0
    largest = max(float(np.abs(phi).max()) for phi in virtual)
    finest = 2.0 ** math.ceil(math.log2(largest * FINEST)) if largest else 1.0
    if _few(market):
        return finest
    return max(finest, 2.0 ** math.ceil(math.log2(_span(market, virtual) / LATTICE)))


def _few(market: Market) -> bool:
    return market.profiles <= ATOMS * min(market.shape)


def _span(market: Market, score: Sequence[FloatArray]) -> float:
    spread = [float(each.max() - each.min()) for each in score]
    return max(sum(spread[g] * count for g, (_, count) in enumerate(market.groups)) - min(spread), 0.0)


def _unit_of(score: Sequence[FloatArray]) -> float:
    """The largest power of two that all scores are multiples of; 1 if all are 0."""
    parts = np.concatenate(score)
    whole, power = np.frexp(parts[parts != 0])
    if not len(whole):
        return 1.0
    whole = (np.abs(whole) * 2.0**53).astype(np.int64)
    lowest = np.log2((whole & -whole).astype(np.float64))
    return float(2.0 ** (power + lowest - 53).min())


def _fits(market: Market, score: Sequence[FloatArray], unit: float) -> bool:
    largest = max(float(np.abs(each).max()) for each in score)
    if _few(market):
        return bool(largest * len(market.buyers) < unit * 2.0**52)
    return _span(market, score) <= 2 * unit * LATTICE
