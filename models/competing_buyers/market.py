"""The exact arrays of a market of competing buyers: finitely many types of each buyer, or a continuum of values or beliefs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Literal

import numpy as np

from optmarket.arrays import FloatArray, IntArray, NumberArray
from optmarket.distributions.specification import Distribution
from optmarket.errors import ModelError
from optmarket.models.competing_buyers.params import ContinuumOfBeliefs, ContinuumOfValues, ListedTypes, Params
from optmarket.rationals import floats


@dataclass(frozen=True, eq=False)
class BuyerTypes:
    """The possible types of one buyer, exact.

    Attributes
    ----------
    weight, value : object array, shape (T,)
        Values in payoff units; weights sum to 1.
    belief : object array, shape (T, M)
        Probability of each state.
    names : tuple of str
    report : array of int, shape (T,)
        Which of K reports is meant for each type: a report of its own, unless several types are pooled. The two ends of a cell,
        weighted so that their mean is the cell's, stand for all of the cell: gains from deviations are convex between them.
    unbounded : bool
        Whether the last cell has values without an upper end, of which the last type is only one.
    """

    weight: NumberArray
    value: NumberArray
    belief: NumberArray
    names: tuple[str, ...]
    report: IntArray
    unbounded: bool = False

    @classmethod
    def of(cls, listed: ListedTypes, prior: Sequence[Fraction] | None) -> BuyerTypes:
        """The arrays of listed types, whose belief is the prior if there is one."""
        beliefs = [one.belief or prior or () for one in listed.types]
        count = len(listed.types)
        return cls(
            np.array([one.weight for one in listed.types], dtype=object),
            np.array([one.value for one in listed.types], dtype=object),
            np.array(beliefs, dtype=object).reshape(count, -1),
            tuple(one.name or str(k) for k, one in enumerate(listed.types, start=1)),
            np.arange(count),
        )

    @property
    def reports(self) -> int:
        """How many reports there are, K."""
        return int(self.report[-1]) + 1

    @property
    def pooled(self) -> bool:
        """Whether some types share a report."""
        return self.reports < len(self.report)

    @cached_property
    def first_type(self) -> IntArray:
        """The first type of each report, shape (K,)."""
        return np.searchsorted(self.report, np.arange(self.reports))

    @cached_property
    def mass(self) -> NumberArray:
        """Weight of each report, shape (K,)."""
        total = np.array([Fraction(0)] * self.reports, dtype=object)
        np.add.at(total, self.report, self.weight)
        return total

    @cached_property
    def mean_belief(self) -> NumberArray:
        """Mean belief of the types of each report, shape (K, M); of the first of them if none has weight."""
        if not self.pooled:
            return self.belief
        total = np.array([[Fraction(0)] * self.belief.shape[1]] * self.reports, dtype=object)
        np.add.at(total, self.report, self.weight[:, None] * self.belief)
        some = self.mass != 0
        mean = self.belief[self.first_type]
        mean[some] = total[some] / self.mass[some][:, None]
        return mean


@dataclass(frozen=True, eq=False)
class FiniteTypes:
    """A market in which every buyer has finitely many types, in payoff units.

    Attributes
    ----------
    buyers : tuple of BuyerTypes
        One for each of the n buyers; symmetric buyers share one object.
    externality : Fraction
        alpha; each rival that acts right costs alpha/(n - 1) times one's value.
    common_prior : object array, shape (M,), or None
        None if types have beliefs of their own. Use `prior` where a prior is needed.
    ex_post : bool
        Whether incentives hold whatever the others' types are, or on average over them.
    own_belief : bool
        Whether a buyer expects rivals to act right by its own belief, or by each rival's.
    largest_value : Fraction, optional
        What counts as the largest value where values are unbounded.
    ends_of : CellEnds, optional
        The continuum of values whose cells' ends the types are, if they are.
    """

    buyers: tuple[BuyerTypes, ...]
    externality: Fraction
    common_prior: NumberArray | None
    ex_post: bool
    own_belief: bool
    largest_value: Fraction | None = None
    ends_of: CellEnds | None = field(default=None, repr=False)

    @property
    def prior(self) -> NumberArray:
        """The probability of each state that all buyers agree on, shape (M,).

        Raises
        ------
        ModelError
            If types have beliefs of their own.
        """
        if self.common_prior is None:
            raise ModelError(
                "takes one prior for all buyers, and here beliefs are in the types, where a double deviation may pay; "
                "must be cuts, full or auto",
                field="method",
            )
        return self.common_prior

    @property
    def uninformed(self) -> Fraction:
        """The chance that a buyer acts right without information: the largest entry of the prior."""
        return Fraction(max(self.prior))

    @property
    def states(self) -> int:
        """How many states there are, M."""
        return int(self.buyers[0].belief.shape[1])

    @property
    def shape(self) -> tuple[int, ...]:
        """How many reports each buyer has."""
        return tuple(types.reports for types in self.buyers)

    @cached_property
    def groups(self) -> tuple[tuple[BuyerTypes, int], ...]:
        """The groups of symmetric buyers, in order of the first of each: their types, and how many buyers there are."""
        counts = Counter(map(id, self.buyers))
        return tuple((types, counts[key]) for key, types in {id(types): types for types in self.buyers}.items())

    @cached_property
    def group_of(self) -> tuple[int, ...]:
        """The number of each buyer's group, counted from 0."""
        number = {id(types): g for g, (types, _) in enumerate(self.groups)}
        return tuple(number[id(types)] for types in self.buyers)

    @property
    def profiles(self) -> int:
        """How many combinations of reports there are."""
        return math.prod(self.shape)

    @property
    def externality_per_rival(self) -> Fraction:
        """What one rival that acts right costs, as a multiple of one's value: alpha/(n - 1)."""
        return self.externality / (len(self.buyers) - 1)

    @cached_property
    def scale(self) -> Fraction:
        """A power of two, at least the largest payoff and the largest externality cost together; 1 if nothing is at stake."""
        value = max(max(types.value) for types in self.buyers) if self.largest_value is None else self.largest_value
        largest = value * (1 + self.externality)
        return Fraction(2) ** math.ceil(math.log2(largest)) if largest else Fraction(1)

    @cached_property
    def least_value(self) -> float:
        """The least value above 0; 1 if all are 0."""
        return min((float(v) for types, _ in self.groups for v in types.value if v), default=1.0)

    @cached_property
    def probability(self) -> FloatArray:
        """Of each profile of reports, in the shape `shape`."""
        found = np.ones(())
        for types in self.buyers:
            found = np.multiply.outer(found, floats(types.mass))
        return found

    def outside_option(self, buyer: int) -> NumberArray:
        """What each type of a buyer gets if it opts out and its rivals are told the state: v (max theta - alpha).

        Parameters
        ----------
        buyer : int
            Counted from 0.

        Returns
        -------
        object array, shape (T,)
            In payoff units.
        """
        types = self.buyers[buyer]
        return np.asarray(types.value * (types.belief.max(axis=1) - self.externality))


@dataclass(frozen=True, eq=False)
class ContinuousValues:
    """A market with a common prior in which the values of some buyers fill a continuum.

    Attributes
    ----------
    populations : tuple of ContinuumOfValues or BuyerTypes
        Of each group of symmetric buyers.
    counts : tuple of int
        How many buyers each group has.
    externality : Fraction
    prior : object array, shape (M,)
    ex_post, own_belief : bool
        As in `FiniteTypes`.
    """

    populations: tuple[ContinuumOfValues | BuyerTypes, ...]
    counts: tuple[int, ...]
    externality: Fraction
    prior: NumberArray
    ex_post: bool
    own_belief: bool

    @property
    def uninformed(self) -> Fraction:
        """The chance that a buyer acts right without information: the largest entry of the prior."""
        return Fraction(max(self.prior))

    def with_types(self, types: Sequence[BuyerTypes], largest_value: Fraction | None = None) -> FiniteTypes:
        """The market with these types for the groups of buyers."""
        buyers = _each(types, self.counts)
        return FiniteTypes(buyers, self.externality, self.prior, self.ex_post, self.own_belief, largest_value)


@dataclass(frozen=True, eq=False)
class ContinuousBeliefs:
    """A market of two states in which the beliefs of some buyers fill a continuum.

    Attributes
    ----------
    populations : tuple of ContinuumOfBeliefs or BuyerTypes
        Of each group of symmetric buyers.
    counts : tuple of int
        How many buyers each group has.
    externality : Fraction
    ex_post, own_belief : bool
        As in `FiniteTypes`.
    """

    populations: tuple[ContinuumOfBeliefs | BuyerTypes, ...]
    counts: tuple[int, ...]
    externality: Fraction
    ex_post: bool
    own_belief: bool

    def with_types(self, types: Sequence[BuyerTypes], largest_value: Fraction | None = None) -> FiniteTypes:
        """The market with these types for the groups of buyers."""
        buyers = _each(types, self.counts)
        return FiniteTypes(buyers, self.externality, None, self.ex_post, self.own_belief, largest_value)


Continuum = ContinuousValues | ContinuousBeliefs
Market = FiniteTypes | ContinuousValues | ContinuousBeliefs


@dataclass(frozen=True, eq=False)
class CellEnds:
    """A continuum of values, each of which counts as the lower, or as the upper, end of its cell.

    Lower ends make the optimum a lower bound on the continuum's, upper ends an upper bound.
    """

    side: Literal["lower", "upper"]
    continuum: ContinuousValues


def _each(types: Sequence[BuyerTypes], counts: Sequence[int]) -> tuple[BuyerTypes, ...]:
    return tuple(one for one, count in zip(types, counts, strict=True) for _ in range(count))


def market_of(params: Params) -> Market:
    """The exact arrays of validated parameters.

    Parameters
    ----------
    params : Params

    Returns
    -------
    FiniteTypes, ContinuousValues or ContinuousBeliefs

    Examples
    --------
    >>> types = [{"weight": "1/2", "value": 1}, {"weight": "1/2", "value": 2}]
    >>> given = {"prior": ["1/2", "1/2"], "externality": "1/2", "buyers": [{"count": 2, "types": types}]}
    >>> market = market_of(Params.model_validate(given))
    >>> market.shape, market.externality_per_rival, market.outside_option(0).tolist()
    ((2, 2), Fraction(1, 2), [Fraction(0, 1), Fraction(0, 1)])
    """
    counts = tuple(group.count for group in params.buyers)
    populations = [
        BuyerTypes.of(one, params.prior) if isinstance(one, ListedTypes) else one
        for one in (group.population for group in params.buyers)
    ]
    finite = tuple(one for one in populations if isinstance(one, BuyerTypes))
    prior = None if params.prior is None else np.array(params.prior, dtype=object)
    ex_post, own_belief = params.ic == "ex-post", params.externality_belief == "own"
    if len(finite) == len(populations):
        buyers = _each(finite, counts)
        return FiniteTypes(buyers, params.externality, prior, ex_post, own_belief, ends_of=_cell_ends(params))
    if prior is None:
        beliefs = tuple(one for one in populations if not isinstance(one, ContinuumOfValues))
        return ContinuousBeliefs(beliefs, counts, params.externality, ex_post, own_belief)
    values = tuple(one for one in populations if not isinstance(one, ContinuumOfBeliefs))
    return ContinuousValues(values, counts, params.externality, prior, ex_post, own_belief)


def _cell_ends(params: Params) -> CellEnds | None:
    """The continuum of values of which all types are the lower ends of cells, or all the upper ends, if they are."""
    rules = {group.grid.rule if group.grid else None for group in params.buyers}
    if params.prior is None or rules not in ({"lower"}, {"upper"}):
        return None
    continuum = ContinuousValues(
        tuple(ContinuumOfValues(group.value.as_cdf) for group in params.buyers if isinstance(group.value, Distribution)),
        tuple(group.count for group in params.buyers),
        params.externality,
        np.array(params.prior, dtype=object),
        params.ic == "ex-post",
        params.externality_belief == "own",
    )
    return CellEnds("lower" if rules == {"lower"} else "upper", continuum)
