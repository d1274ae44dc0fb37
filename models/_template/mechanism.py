"""What the seller promises: for each reported type the probability of getting the good, and a payment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optmarket.arrays import FloatArray, NumberArray
from optmarket.errors import InstanceError
from optmarket.models._template.market import Market
from optmarket.rationals import floats, written_floats


@dataclass(frozen=True)
class DirectMechanism:
    """Probabilities and payments by reported type.

    Attributes
    ----------
    probability, payment : array, shape (T,)
        Payments in payoff units, made whether or not the lottery gives the good.
    """

    probability: FloatArray
    payment: FloatArray

    @classmethod
    def at_price(cls, market: Market, price: Any) -> DirectMechanism:
        """Whoever has a value of at least the price gets the good for it; ties go to the seller."""
        buys = market.value >= price
        return cls(floats(np.where(buys, 1, 0)), floats(np.where(buys, price, 0)))

    @classmethod
    def of(cls, probability: NumberArray, payment: NumberArray) -> DirectMechanism:
        """Exact numbers or floats, written as floats."""
        return cls(floats(probability), floats(payment))

    @classmethod
    def read(cls, market: Market, data: Mapping[str, Any]) -> DirectMechanism:
        """Check the object of a mechanism file against a market.

        Parameters
        ----------
        market : Market
        data : mapping
            ``probability`` and ``payment``, one number a type.

        Raises
        ------
        InstanceError
            With the field that does not fit.

        Examples
        --------
        >>> from optmarket.models._template.params import Params
        >>> market = Market.of(Params(types=[{"weight": 1, "value": 2}]))
        >>> DirectMechanism.read(market, {"probability": [1], "payment": ["3/2"]}).payment.tolist()
        [1.5]
        """
        if unknown := sorted(data.keys() - {"probability", "payment"}):
            raise InstanceError("is no field of this mechanism; it has probability and payment", field=unknown[0])
        probability, payment = (_numbers(data, name, len(market.names)) for name in ("probability", "payment"))
        for k, chance in enumerate(probability):
            if not 0 <= chance <= 1:
                raise InstanceError(f"is {chance:g}; a probability is within 0 to 1", field=f"probability[{k}]")
        return cls(probability, payment)

    def to_json(self) -> dict[str, Any]:
        """As `read` takes it."""
        return {"probability": self.probability.tolist(), "payment": self.payment.tolist()}


def _numbers(data: Mapping[str, Any], name: str, types: int) -> FloatArray:
    given = data.get(name)
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != types:
        raise InstanceError(f"must be a list of {types} numbers, one a type", field=name)
    try:
        return written_floats(given)
    except ValueError as error:
        raise InstanceError(str(error), field=name) from error
