"""The tables of a mechanism for competing buyers: the buyers, their types, and for two buyers each profile of types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optmarket.arrays import FloatArray, IntArray
from optmarket.models.competing_buyers.interim_allocation import InterimAllocation
from optmarket.models.competing_buyers.market import BuyerTypes, FiniteTypes
from optmarket.models.competing_buyers.mechanisms.by_profile import ProfileMechanism
from optmarket.models.competing_buyers.mechanisms.finite_mechanism import FiniteMechanism
from optmarket.rationals import floats

if TYPE_CHECKING:
    import pandas as pd

FEW_TYPES = 12  # of each of two buyers, whose profiles make a table
CELLS_SHOWN = 11
SHOWN_AS_EQUAL = 1e-9  # of the market's scale: what a table shows as equal, or as zero

# For each group of buyers, by report: virtual values; up to which S, alpha/(n - 1) times the sum of the rivals', a buyer is
# informed; and the chance of that where S is as high.
CriticalValues = Sequence[tuple[FloatArray, FloatArray, FloatArray]]


def tables_of(mechanism: FiniteMechanism, critical: CriticalValues | None = None) -> dict[str, pd.DataFrame]:
    """The buyers, their types, and for two buyers of at most 12 types each the profiles; symmetric buyers in one row.

    Of a continuum of types eleven cells of each buyer are shown, by their lower ends. Chances are by each buyer's own belief;
    payments and surplus are in payoff units, surplus being what a type has above opting out.

    Parameters
    ----------
    mechanism : FiniteMechanism
    critical : CriticalValues, optional
        With a common prior.
    """
    market, allocations = mechanism.market, mechanism.allocations
    symmetric = _symmetric(market, allocations)
    found = {
        "buyers": _buyers_table(allocations, symmetric),
        "types": _types_table(market, allocations, symmetric, critical),
    }
    if isinstance(mechanism, ProfileMechanism) and len(allocations) == 2 and max(market.shape) <= FEW_TYPES:
        found["profiles"] = _profiles_table(mechanism)
    return found


def _symmetric(market: FiniteTypes, allocations: Sequence[InterimAllocation]) -> list[list[int]]:
    """Buyers of one group who are treated symmetrically, together; all others by themselves."""
    found: list[list[int]] = []
    for i, one in enumerate(allocations):
        for others in found:
            first = allocations[others[0]]
            if market.buyers[i] is market.buyers[others[0]] and all(
                np.allclose(one.probability @ a, first.probability @ b, rtol=0, atol=SHOWN_AS_EQUAL * float(market.scale))
                for a, b in (
                    (one.correct, first.correct),
                    (one.externality_cost, first.externality_cost),
                    (one.paid, first.paid),
                )
            ):
                others.append(i)
                break
        else:
            found.append([i])
    return found


def _numbers(buyers: Sequence[int]) -> str:
    """Buyers by number, from 1."""
    first, last = buyers[0] + 1, buyers[-1] + 1
    if len(buyers) == 1:
        return str(first)
    numbers = f"{first} to {last}" if last - first + 1 == len(buyers) else ", ".join(str(i + 1) for i in buyers)
    return f"{numbers}, each"


def _buyers_table(allocations: Sequence[InterimAllocation], symmetric: list[list[int]]) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for buyers in symmetric:
        one = allocations[buyers[0]]
        rows.append(
            {
                "buyer": _numbers(buyers),
                "revenue": one.mean(one.paid),
                "correct recommendation": one.mean(one.correct),
                "externality cost": one.mean(one.externality_cost),
                "surplus": one.mean(one.surplus),
            }
        )
    return pd.DataFrame(rows)


def _types_table(
    market: FiniteTypes,
    allocations: Sequence[InterimAllocation],
    symmetric: list[list[int]],
    critical: CriticalValues | None,
) -> pd.DataFrame:
    import pandas as pd

    any_listed = any(not types.pooled for types, _ in market.groups)
    parts = []
    for buyers in symmetric:
        types, one = market.buyers[buyers[0]], allocations[buyers[0]]
        shown = _types_shown(types)
        report = types.report[shown]
        columns: dict[str, Any] = {"buyer": _numbers(buyers)}
        if any_listed:
            columns["type"] = [f"from {types.names[r]}" if types.pooled else types.names[r] for r in shown]
            columns["weight"] = floats(types.mass)[report]
        columns["value"] = one.value[shown]
        if market.common_prior is None:
            columns |= {f"Pr({w + 1})": one.belief[shown, w] for w in range(market.states)}
        if critical is not None:
            virtual, up_to, chance = critical[market.group_of[buyers[0]]]
            columns |= {"virtual value": virtual[report], "critical value": up_to[report], "chance at it": chance[report]}
        surplus = (one.probability @ one.surplus)[shown]
        columns |= {
            "correct recommendation": (one.probability @ one.correct)[shown],
            "externality cost": (one.probability @ one.externality_cost)[shown],
            "payment": (one.probability @ one.paid)[shown],
            "surplus": np.where(np.abs(surplus) <= SHOWN_AS_EQUAL * float(market.scale), 0.0, surplus),
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _types_shown(types: BuyerTypes) -> IntArray:
    """The types that a table shows: all, or the lower ends of cells spread evenly by weight."""
    if not types.pooled:
        return np.arange(types.reports)
    cumulative = np.cumsum(floats(types.mass))
    picked = np.searchsorted(cumulative, np.linspace(0.0, 1.0, CELLS_SHOWN))
    report = np.unique(np.clip(picked, 0, types.reports - 1))
    return types.first_type[report]


def _profiles_table(mechanism: ProfileMechanism) -> pd.DataFrame:
    import pandas as pd

    market = mechanism.market
    first, second = (index.ravel() for index in np.indices(market.shape))
    columns: dict[str, Any] = {
        "type of 1": [market.buyers[0].names[k] for k in first],
        "type of 2": [market.buyers[1].names[k] for k in second],
        "probability": market.probability.ravel(),
    }
    for i, own in enumerate((first, second)):
        correct = mechanism.correct(i).reshape(len(own), -1)
        columns[f"correct recommendation to {i + 1}"] = (correct * floats(market.buyers[i].belief)[own]).sum(axis=1)
        payment = mechanism.payments[i]
        columns[f"payment of {i + 1}"] = payment[own] if payment.ndim == 1 else payment.ravel()
    return pd.DataFrame(columns)
