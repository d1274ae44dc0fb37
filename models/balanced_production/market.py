"""The market as exact arrays, and the sellers' games that it makes with and without a rule of balance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from optmarket.arrays import FloatArray, NumberArray
from optmarket.models.balanced_production.equilibria import Game
from optmarket.models.balanced_production.params import Params, Task
from optmarket.models.balanced_production.revenue import Revenue
from optmarket.rationals import floats


@dataclass(frozen=True, eq=False)
class Market:
    """Buyers' values and learning curves, sellers' costs, and a target.

    Attributes
    ----------
    groups, buyers : tuple of str
        Names.
    value : object array, shape (N, G)
        Fractions: what a unit of accuracy is worth, in payoff units.
    count : object array, shape (N, G)
        Fractions: how many buyers are like this one, as far as the group goes.
    limit, alpha, beta : object array, shape (N, G)
        Fractions: the learning curve of each buyer and group.
    cost : object array, shape (M, G)
        Fractions: cost of a sample, in payoff units.
    target : object array, shape (G,), or None
        Fractions that sum to 1.
    buyers_known : bool
        False if only potential values are given, so that nothing is known of buyers' surplus.
    params : Params
        Further questions: other targets, the best one, growth.
    """

    groups: tuple[str, ...]
    buyers: tuple[str, ...]
    value: NumberArray
    count: NumberArray
    limit: NumberArray
    alpha: NumberArray
    beta: NumberArray
    cost: NumberArray
    target: NumberArray | None
    buyers_known: bool
    params: Params

    @classmethod
    def of(cls, params: Params) -> Market:
        """The arrays of validated parameters; potential values are those of one buyer who is charged all of them.

        Examples
        --------
        >>> task = {"Z": 1, "alpha": 1, "beta": 1}
        >>> Market.of(Params(potential_value=[1], task=task, cost=["1/10"], sellers=2)).cost.tolist()
        [[Fraction(1, 10)], [Fraction(1, 10)]]
        """
        count = params.n_groups
        if params.potential_value is not None:
            value, many, tasks = [params.potential_value], [1], [params.task]
            names: tuple[str, ...] = ("all",)
        else:
            given = params.buyers or ()
            value, many = [one.value for one in given], [one.count for one in given]
            tasks = [one.task or params.task for one in given]
            names = tuple(one.name or str(k) for k, one in enumerate(given, start=1))
        curves = [_of_groups(task, count) for task in tasks]
        rows = params.costs
        if not params.has_cost_rows:
            rows = rows * (params.sellers or 1)
        return cls(
            params.group_names,
            names,
            _array(value),
            _array([[Fraction(one)] * count for one in many]),
            _array([[task.Z for task in row] for row in curves]),
            _array([[task.alpha for task in row] for row in curves]),
            _array([[task.beta for task in row] for row in curves]),
            _array(rows),
            None if params.target is None else np.array(params.target, dtype=object),
            params.potential_value is None,
            params,
        )

    @property
    def sellers(self) -> int:
        """How many sellers there are."""
        return len(self.cost)

    def with_target(self, target: NumberArray) -> Market:
        """The same market under another target."""
        return replace(self, target=target)

    def grown(self, times: Fraction, groups: tuple[str, ...] | None) -> Market:
        """The same market with so many times as many buyers of these groups, or of all."""
        factor = np.array([times if groups is None or name in groups else Fraction(1) for name in self.groups], dtype=object)
        if self.buyers_known:
            return replace(self, count=self.count * factor)
        return replace(self, value=self.value * factor)

    def of_first(self, buyers: int) -> Market:
        """The same market with only the first so many entries of buyers."""
        names = ("value", "count", "limit", "alpha", "beta")
        return replace(self, buyers=self.buyers[:buyers], **{name: getattr(self, name)[:buyers] for name in names})

    @cached_property
    def prices(self) -> list[NumberArray]:
        """For each group the reserve prices that may be best: the values above 0 of its buyers, rising; or a price of 0."""
        found = [sorted(set(column[column > 0])) for column in self.value.T]
        return [np.array(one or [Fraction(0)], dtype=object) for one in found]

    @cached_property
    def potential_values(self) -> list[NumberArray]:
        """For each of `prices` the price times the number of buyers who pay it, in payoff units."""
        return [
            np.array([price * self.count[self.value[:, g] >= price, g].sum() for price in prices], dtype=object)
            for g, prices in enumerate(self.prices)
        ]

    @cached_property
    def best_prices(self) -> list[list[Fraction]]:
        """For each group all reserve prices of the largest potential value, rising."""
        return [
            [price for price, value in zip(prices, values, strict=True) if value == values.max()]
            for prices, values in zip(self.prices, self.potential_values, strict=True)
        ]

    @cached_property
    def has_common_task(self) -> list[bool]:
        """For each group whether its buyers have the same learning curve: the best price is then so whatever is produced."""
        who = self.value > 0
        return [
            all(len(set(one[who[:, g], g])) <= 1 for one in (self.limit, self.alpha, self.beta)) for g in range(len(self.groups))
        ]

    @cached_property
    def task(self) -> tuple[Fraction, Fraction, Fraction] | None:
        """Z, alpha and beta if all buyers and groups have the same, else None."""
        who = self.value > 0
        found = {*zip(self.limit[who], self.alpha[who], self.beta[who], strict=True)}
        return found.pop() if len(found) == 1 else None

    @cached_property
    def rho(self) -> NumberArray:
        """The largest potential value of each group, in payoff units, shape (G,), Fractions."""
        return np.array([values.max() for values in self.potential_values], dtype=object)

    @cached_property
    def unit(self) -> float:
        """The payoff scale: the revenue of data without end, or 1 if that is 0."""
        most = sum(float(self.revenue_of(g, prices[0]).most) for g, prices in enumerate(self.best_prices))
        return most or 1.0

    @cached_property
    def same_costs(self) -> bool:
        """Whether all sellers have the same costs."""
        return bool((self.cost == self.cost[0]).all())

    def revenue_of(self, group: int, price: Fraction | float, share: Fraction | float = 1) -> Revenue:
        """What the data of a group bring at a reserve price, by all samples of which the group has a share."""
        pays = floats(self.value[:, group]) >= float(price)
        weight = np.where(pays, float(price) * floats(self.count[:, group]), 0.0)
        limit, alpha, beta = (floats(one[:, group]) for one in (self.limit, self.alpha, self.beta))
        return Revenue(weight, limit, alpha, beta, np.full(len(weight), float(share)))

    def baseline_game(self, group: int, price: Fraction | float) -> Game:
        """The sellers' game about one group where no rule binds; groups do not depend on each other."""
        return Game(self.revenue_of(group, price), floats(self.cost[:, group]))

    def balanced_game(self, target: NumberArray, prices: NumberArray) -> Game:
        """The sellers' game under a target, about how many samples of all groups together each produces."""
        parts = [self.revenue_of(g, price, target[g]) for g, price in enumerate(prices)]
        joined = [np.concatenate([getattr(one, name) for one in parts]) for name in ("weight", "limit", "alpha", "beta", "share")]
        return Game(Revenue(*joined), floats(self.cost) @ floats(target))

    def accuracy(self, samples: FloatArray) -> FloatArray:
        """The accuracy of predictions for each buyer and group, shape (N, G), from samples of each group, shape (G,)."""
        limit, alpha, beta = (floats(one) for one in (self.limit, self.alpha, self.beta))
        with np.errstate(divide="ignore", over="ignore"):
            return np.asarray(np.maximum(0.0, limit - alpha * samples**-beta))


def _of_groups(task: Task | tuple[Task, ...] | None, count: int) -> tuple[Task, ...]:
    if task is None:
        raise AssertionError("parameters were validated")
    return task if isinstance(task, tuple) else (task,) * count


def _array(rows: object) -> NumberArray:
    return np.array([list(row) for row in rows], dtype=object)  # type: ignore[attr-defined]
