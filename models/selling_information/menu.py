"""A menu of experiments with prices: its arrays, and how a mechanism file states it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError, field_validator

from optmarket.arrays import IntArray, NumberArray
from optmarket.errors import InstanceError
from optmarket.models.selling_information.experiments import number_of_distinct_items
from optmarket.rationals import Exact, exact, floats, shown
from optmarket.tolerances import EXPERIMENT_TO_ONE, SUM_ROUNDING
from optmarket.validation import translate

NOTHING = -1  # the item of a type that buys nothing


class SellsMenus(Protocol):
    """What a menu must fit: a market with finitely many types or with a continuum of them."""

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states."""

    @property
    def n_profiles(self) -> int:
        """How many profiles of actions by context can be recommended."""

    @property
    def n_types(self) -> int | None:
        """How many types there are; None for a continuum of types, who choose for themselves."""

    @property
    def max_items(self) -> int | None:
        """The most items a menu may list, if there is a limit."""


class ItemInFile(BaseModel):
    """One item of a menu, as a mechanism file states it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    experiment: tuple[tuple[Exact, ...], ...] = Field(
        description="probability of each signal in each state, [state][signal]; each row at least 0 and sums to 1"
    )
    price: Exact = Field(description="price, in payoff units")

    @field_validator("experiment")
    @classmethod
    def _stochastic(cls, experiment: tuple[tuple[Fraction, ...], ...]) -> tuple[tuple[Fraction, ...], ...]:
        widths = [len(row) for row in experiment]
        if len(set(widths)) != 1 or widths[0] == 0:
            raise ValueError(f"has rows of {widths} entries; each state's row has one per signal, as many as the others")
        for state, row in enumerate(experiment):
            if min(row) < 0:
                raise ValueError(f"has {shown(min(row))} in the row of state {state + 1}; a probability is at least 0")
            if abs(sum(row, Fraction(0)) - 1) > EXPERIMENT_TO_ONE:
                raise ValueError(f"has a row of state {state + 1} that sums to {shown(sum(row))}; must sum to 1")
        return experiment


class MenuInFile(BaseModel):
    """A menu as a mechanism file states it; with an assignment it is a direct mechanism whose signals recommend actions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: tuple[ItemInFile, ...] = Field(description="what is for sale; buying nothing for nothing is always possible")
    assignment: tuple[StrictInt | None, ...] | None = Field(
        None, description="for a direct mechanism: the item of each type, counted from 0, null for nothing"
    )


@dataclass(frozen=True, eq=False)
class Menu:
    """Experiments and their prices, in floats or in Fractions throughout.

    Attributes
    ----------
    experiment : array, shape (M, W, N)
        Probability of each signal in each state; items with fewer signals are padded with signals that are never sent.
    price : array, shape (M,)
        In payoff units.
    assignment : array of int, shape (T,), or None
        For a direct mechanism the item of each type, `NOTHING` for none; then N = A^K and signals are recommended profiles.
        Without it buyers choose for themselves.
    missed : Fraction
        By how much rows of experiments missed the sum one, at most, before they were divided by their sum.

    Examples
    --------
    >>> Menu(np.eye(2)[None], np.array([0.25])).to_json()
    {'items': [{'experiment': [[1.0, 0.0], [0.0, 1.0]], 'price': 0.25}]}
    """

    experiment: NumberArray
    price: NumberArray
    assignment: IntArray | None = None
    missed: Fraction = Fraction(0)

    @property
    def is_exact(self) -> bool:
        """Whether its numbers are Fractions."""
        return bool(self.price.dtype == object)

    @cached_property
    def in_floats(self) -> Menu:
        """The same menu, each number rounded to the nearest float."""
        if not self.is_exact:
            return self
        return Menu(floats(self.experiment), floats(self.price), self.assignment, self.missed)

    @cached_property
    def as_written(self) -> Menu:
        """The menu as anyone reads it from a file: floats are the decimals that name them, rows are divided by their sum."""
        if self.is_exact:
            return self
        number = np.frompyfunc(exact, 1, 1)
        experiment = number(self.experiment.astype(object)) if self.experiment.size else self.experiment.astype(object)
        total = experiment.sum(axis=2, keepdims=True)
        missed = np.flatnonzero((total != 1).ravel())
        if len(missed):
            rows = experiment.reshape(-1, experiment.shape[2])
            rows[missed] = rows[missed] / total.reshape(-1, 1)[missed]
        price = number(self.price.astype(object)) if self.price.size else self.price.astype(object)
        return Menu(experiment, price, self.assignment)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of its numbers: that rows of experiments were divided by their sum, if they missed one by much."""
        if self.missed <= SUM_ROUNDING:
            return ()
        return (f"rows of experiments miss the sum 1 by up to {float(self.missed):.2g}; each was divided by its sum",)

    @cached_property
    def by_price(self) -> IntArray:
        """The items from the cheapest to the highest-priced, as tables number them."""
        return np.lexsort((np.arange(len(self.price)), self.in_floats.price)).astype(np.int64)

    @classmethod
    def read(cls, market: SellsMenus, data: Mapping[str, Any]) -> Menu:
        """Check a mechanism against a market.

        Parameters
        ----------
        market : SellsMenus
        data : mapping
            ``items`` and perhaps ``assignment``, as in a mechanism file.

        Returns
        -------
        Menu
            Of Fractions, as they are written; rows of experiments are divided by their sum.

        Raises
        ------
        InstanceError
            With the field that does not fit.
        """
        try:
            given = MenuInFile.model_validate(data)
        except ValidationError as error:
            raise translate(error, MenuInFile, file=None, prefix="") from error
        if market.n_types is None and given.assignment is not None:
            raise InstanceError(
                "names the item of each type; with a distribution of beliefs buyers choose: leave it out", field="assignment"
            )
        _check_shapes(market, given)
        n_signals = max((len(item.experiment[0]) for item in given.items), default=market.n_profiles)
        experiment = np.full((len(given.items), len(market.states), n_signals), Fraction(0), dtype=object)
        for k, item in enumerate(given.items):
            experiment[k, :, : len(item.experiment[0])] = [_divided_by_sum(row) for row in item.experiment]
        price = np.array([item.price for item in given.items], dtype=object)
        assignment = None
        if given.assignment is not None:
            assignment = np.array([NOTHING if item is None else item for item in given.assignment], dtype=np.int64)
        missed = max((abs(sum(row, Fraction(0)) - 1) for item in given.items for row in item.experiment), default=Fraction(0))
        menu = cls(experiment, price, assignment, missed)
        if market.max_items is not None:
            listed = number_of_distinct_items(menu.in_floats.experiment, menu.in_floats.price)
            if listed > market.max_items:
                raise InstanceError(
                    f"lists {listed} different items; the market allows {market.max_items} (max_items)", field="items"
                )
        return menu

    def to_json(self) -> dict[str, Any]:
        """The menu as a mechanism file holds it; signals that are never sent are left out where they recommend nothing."""
        if self.assignment is None:
            used = [experiment[:, experiment.any(axis=0)] for experiment in self.experiment]
        else:
            used = list(self.experiment)
        items = [
            {"experiment": [[_number_in_file(p) for p in row] for row in e.tolist()], "price": _number_in_file(t)}
            for e, t in zip(used, self.price.tolist(), strict=True)
        ]
        if self.assignment is None:
            return {"items": items}
        return {"items": items, "assignment": [None if item == NOTHING else int(item) for item in self.assignment]}


def _check_shapes(market: SellsMenus, given: MenuInFile) -> None:
    """Fail unless experiments have a row for each state and an assignment names an item or nothing for each type."""
    n_states = len(market.states)
    for k, item in enumerate(given.items):
        if len(item.experiment) != n_states:
            raise InstanceError(
                f"has {len(item.experiment)} rows; the market has {n_states} states", field=f"items[{k}].experiment"
            )
    if given.assignment is None:
        return
    if len(given.assignment) != market.n_types:
        raise InstanceError(f"has {len(given.assignment)} entries; the market has {market.n_types} types", field="assignment")
    for k, item_of_type in enumerate(given.assignment):
        if item_of_type is not None and not 0 <= item_of_type < len(given.items):
            raise InstanceError(f"is {item_of_type}; the items are 0 to {len(given.items) - 1}", field=f"assignment[{k}]")
    if any(len(item.experiment[0]) != market.n_profiles for item in given.items):
        raise InstanceError(
            f"has items of other than {market.n_profiles} signals; with an assignment signals are recommended actions, one per "
            "profile of actions by context",
            field="items",
        )


def _divided_by_sum(row: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    total = sum(row, Fraction(0))
    return row if total == 1 else tuple(entry / total for entry in row)


def _number_in_file(number: float | Fraction) -> float | str:
    """A number of a mechanism file: a float, or a fraction unless a float and the decimal that names it are both that number."""
    nearest = float(number)
    return nearest if isinstance(number, float) or Fraction(nearest) == number == Fraction(repr(nearest)) else str(number)
