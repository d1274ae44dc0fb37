"""Who produces how much at which reserve prices, without a rule of balance and under one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.errors import InstanceError
from optmarket.models.balanced_production.market import Market
from optmarket.rationals import written_floats

FIELDS = ("prices", "samples", "target_prices", "target_samples")


@dataclass(frozen=True, eq=False)
class ProductionPlan:
    """Reserve prices and samples.

    Attributes
    ----------
    prices : array, shape (G,)
        Reserve prices where no rule binds, in payoff units per unit of accuracy.
    samples : array, shape (M, G)
        Samples of each group that each seller produces there.
    target_prices, target_samples : array, shape (G,) and (M,), or None
        The same under the target, in samples of all groups together.
    """

    prices: FloatArray
    samples: FloatArray
    target_prices: FloatArray | None = None
    target_samples: FloatArray | None = None

    @classmethod
    def read(cls, market: Market, data: Mapping[str, Any]) -> ProductionPlan:
        """Check the object of a mechanism file against a market.

        Parameters
        ----------
        market : Market
        data : mapping
            ``prices``, one number a group; ``samples``, a row a seller; with a target also ``target_prices`` and
            ``target_samples``, one number a seller.

        Raises
        ------
        InstanceError
            With the field that does not fit.

        Examples
        --------
        >>> from optmarket.models.balanced_production.params import Params
        >>> market = Market.of(Params(potential_value=[1], task={"Z": 1, "alpha": 1, "beta": 1}, cost=["1/10"]))
        >>> ProductionPlan.read(market, {"prices": [1], "samples": [["5/2"]]}).samples.tolist()
        [[2.5]]
        """
        if unknown := sorted(data.keys() - set(FIELDS)):
            raise InstanceError(f"is no field of this mechanism; it has {', '.join(FIELDS)}", field=unknown[0])
        groups, sellers = len(market.groups), market.sellers
        rows = data.get("samples")
        if not isinstance(rows, Sequence) or isinstance(rows, str) or len(rows) != sellers:
            raise InstanceError(f"must be a list of {sellers} rows, one a seller", field="samples")
        prices = _numbers(data.get("prices"), "prices", groups, "group")
        samples = np.array([_numbers(row, f"samples[{j}]", groups, "group") for j, row in enumerate(rows)])
        if market.target is None:
            if extra := [name for name in FIELDS[2:] if data.get(name) is not None]:
                raise InstanceError("is given, but the market has no target", field=extra[0])
            return cls(prices, samples)
        return cls(
            prices,
            samples,
            _numbers(data.get("target_prices"), "target_prices", groups, "group"),
            _numbers(data.get("target_samples"), "target_samples", sellers, "seller"),
        )

    def to_json(self) -> dict[str, Any]:
        """As `read` takes it."""
        entries = {name: getattr(self, name) for name in FIELDS}
        return {name: entry.tolist() for name, entry in entries.items() if entry is not None}


def _numbers(given: Any, name: str, count: int, one: str) -> FloatArray:
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != count:
        raise InstanceError(f"must be a list of {count} numbers, one a {one}", field=name)
    try:
        numbers = written_floats(given)
    except ValueError as error:
        raise InstanceError(str(error), field=name) from error
    for k, number in enumerate(numbers):
        if not number >= 0:
            raise InstanceError(f"is {number:g}; must be at least 0", field=f"{name}[{k}]")
    return numbers
