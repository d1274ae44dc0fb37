"""What a mechanism does: quantities, the audit, and the table of types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.certificates import Audit
from optmarket.modeling.registry import Quantity
from optmarket.models._template.market import Market
from optmarket.models._template.mechanism import DirectMechanism
from optmarket.rationals import floats

if TYPE_CHECKING:
    import pandas as pd

QUANTITIES = {
    "profit": Quantity("payoff units", "what the seller expects to earn, less the cost of the good"),
    "surplus": Quantity("payoff units", "what the buyer expects to keep"),
    "probability-of-sale": Quantity("probability", "how likely the good is sold"),
    "first-best": Quantity("payoff units", "what all trades that are worth their cost would bring"),
}


def quantities(market: Market, mechanism: DirectMechanism) -> dict[str, float]:
    """Named scalars of a mechanism whose buyers report the truth, in the units of `QUANTITIES`."""
    weight, value = floats(market.weight), floats(market.value)
    chance, paid = mechanism.probability, mechanism.payment
    return {
        "profit": float(weight @ (paid - float(market.cost) * chance)),
        "surplus": float(weight @ (value * chance - paid)),
        "probability-of-sale": float(weight @ chance),
        "first-best": float(market.first_best),
    }


def audit(market: Market, mechanism: DirectMechanism) -> Audit:
    """The largest gain of a type of positive weight from each deviation, with the `quantities` of truthful reports.

    ``misreport``: report another type; ``individual-rationality``: walk away.

    Examples
    --------
    >>> from optmarket.models._template.params import Params
    >>> market = Market.of(Params(types=[{"weight": "1/2", "value": 1}, {"weight": "1/2", "value": 3}]))
    >>> greedy = DirectMechanism.read(market, {"probability": [1, 1], "payment": [1, 3]})
    >>> dict(audit(market, greedy).violations)
    {'misreport': 2.0, 'individual-rationality': 0.0}
    """
    kept = _kept(market, mechanism)
    truth = np.diagonal(kept)
    active = floats(market.weight) > 0
    gains = {"misreport": kept.max(axis=1) - truth, "individual-rationality": -truth}
    return Audit(
        quantities(market, mechanism),
        {name: max(0.0, float(gain[active].max())) for name, gain in gains.items()},
        float(market.unit),
    )


def tables(market: Market, mechanism: DirectMechanism) -> dict[str, pd.DataFrame]:
    """The types, one row each: what they get, pay and keep.

    Examples
    --------
    >>> from optmarket.models._template.params import Params
    >>> market = Market.of(Params(types=[{"weight": "1/2", "value": 1}, {"weight": "1/2", "value": 3}]))
    >>> tables(market, DirectMechanism.at_price(market, 3))["types"]["keeps"].tolist()
    [0.0, 0.0]
    """
    import pandas as pd

    columns = {
        "type": list(market.names),
        "weight": floats(market.weight),
        "value": floats(market.value),
        "probability": mechanism.probability,
        "payment": mechanism.payment,
        "keeps": np.diagonal(_kept(market, mechanism)),
    }
    return {"types": pd.DataFrame(columns)}


def _kept(market: Market, mechanism: DirectMechanism) -> FloatArray:
    """What each type, by row, keeps if it reports each type, by column."""
    return np.asarray(floats(market.value)[:, None] * mechanism.probability - mechanism.payment)
