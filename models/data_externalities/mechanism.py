"""What is sought: who shares, and what each user is paid for sharing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optmarket.arrays import BoolArray, NumberArray
from optmarket.errors import InstanceError
from optmarket.models.data_externalities.market import Market
from optmarket.rationals import exact


@dataclass(frozen=True, eq=False)
class SharingProfile:
    """Who shares, and the prices that the platform offers.

    Attributes
    ----------
    shares : bool array, shape (n,)
    price : array, shape (n,)
        In payoff units, exact numbers or floats; paid to a user who shares.
    """

    shares: BoolArray
    price: NumberArray

    @classmethod
    def read(cls, market: Market, data: Mapping[str, Any]) -> SharingProfile:
        """Check the object of a mechanism file against a market.

        Parameters
        ----------
        market : Market
        data : mapping
            ``shares`` and ``prices``, one entry a user: 1 or 0, and a number at least 0.

        Raises
        ------
        InstanceError
            With the field that does not fit.

        Examples
        --------
        >>> from optmarket.models.data_externalities.params import Params
        >>> market = Market.of(Params(covariance=[[1]], privacy_value=1))
        >>> SharingProfile.read(market, {"shares": [1], "prices": ["1/2"]}).price.tolist()
        [Fraction(1, 2)]
        """
        if unknown := sorted(data.keys() - {"shares", "prices"}):
            raise InstanceError("is no field of this mechanism; it has shares and prices", field=unknown[0])
        for name in ("shares", "prices"):
            given = data.get(name)
            if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != market.n:
                raise InstanceError(f"must be a list of {market.n} numbers, one a user", field=name)
        prices = []
        for k, (chosen, price) in enumerate(zip(data["shares"], data["prices"], strict=True)):
            if chosen not in (0, 1):
                raise InstanceError("must be 1 for a user who shares, or 0", field=f"shares[{k}]")
            try:
                prices.append(exact(price))
            except ValueError as error:
                raise InstanceError(str(error), field=f"prices[{k}]") from error
            if prices[-1] < 0:
                raise InstanceError(f"is {price}; a price is at least 0", field=f"prices[{k}]")
        return cls(np.array([bool(one) for one in data["shares"]]), np.array(prices, dtype=object))

    def to_json(self) -> dict[str, Any]:
        """As `read` takes it."""
        prices = [float(one) if isinstance(one, float) else str(one) for one in self.price.tolist()]
        return {"shares": [int(one) for one in self.shares], "prices": prices}
