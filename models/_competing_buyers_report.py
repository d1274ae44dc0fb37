"""What a mechanism for competing buyers does, for certificates and for people: quantities, the audit, and the tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from optmarket.errors import InstanceError
from optmarket.models._competing_buyers_market import Market
from optmarket.models._competing_buyers_view import View, assess
from optmarket.numbers import exact, floats, shown
from optmarket.program import FloatArray
from optmarket.solution import Audit

ROUNDED = 1e-6  # by how much probabilities may miss the sum one: trained networks compute in single precision
FEW_TYPES = 12
NEGLIGIBLE = 1e-9


@dataclass(frozen=True)
class Mechanism:
    """Who is told what, and what it pays, in payoff units.

    Attributes
    ----------
    experiments : tuple of array, shape (K_1, ..., K_n, M, M)
        One for each buyer: the chance of each recommended action in each state, at each profile of types.
    payments : tuple of array, shape (K_i,) or (K_1, ..., K_n)
        By own type, or by profile.
    """

    experiments: tuple[FloatArray, ...]
    payments: tuple[FloatArray, ...]

    @classmethod
    def read(cls, market: Market, data: Mapping[str, Any]) -> Mechanism:
        """Check a mechanism against a market.

        Parameters
        ----------
        market : Market
        data : mapping
            ``experiments[buyer][type of buyer 1]...[type of buyer n][state][action]``, and ``payments[buyer][own type]`` or
            ``payments[buyer][type of buyer 1]...[type of buyer n]``. Rows may miss the sum one by 1e-6, and are divided by it.

        Raises
        ------
        InstanceError
            With the field that does not fit.
        """
        for name in sorted({"experiments", "payments"} ^ set(data)):
            says = "is missing; a mechanism has experiments and payments" if name not in data else "is not known here"
            raise InstanceError(says, field=name)
        shape, states = market.shape, market.states
        experiments, payments = [], []
        for i in range(len(shape)):
            field = f"experiments[{i}]"
            axes = [*(f"type{'s' * (count != 1)} of buyer {j}" for j, count in enumerate(shape, start=1)), "states", "actions"]
            given = _array(_each(data, "experiments", len(shape))[i], (*shape, states, states), axes, field)
            total = given.sum(axis=-1)
            if (given < 0).any():
                place = tuple(np.argwhere(given < 0)[0])
                raise InstanceError(f"is {given[place]:.12g}; a probability is at least 0", field=field + _at(place))
            if (np.abs(total - 1) > ROUNDED).any():
                place = tuple(np.argwhere(np.abs(total - 1) > ROUNDED)[0])
                raise InstanceError(f"sums to {total[place]:.12g}; must sum to 1", field=field + _at(place))
            experiments.append(given / total[..., None])
            payment = _each(data, "payments", len(shape))[i]
            by_profile = _depth(payment) > 1
            payments.append(
                _array(payment, shape, axes, f"payments[{i}]")
                if by_profile
                else _array(payment, (shape[i],), [f"types of buyer {i + 1}"], f"payments[{i}]")
            )
        return cls(tuple(experiments), tuple(payments))

    def as_json(self) -> dict[str, Any]:
        """As `read` takes it."""
        return {name: [one.tolist() for one in getattr(self, name)] for name in ("experiments", "payments")}

    def views(self, market: Market) -> list[View]:
        """As each buyer sees it."""
        return [self.seen(market, i) for i in range(len(market.buyers))]

    def seen(self, market: Market, i: int) -> View:
        """As buyer i, counted from 0, sees it."""
        kind, n, shape = market.buyers[i], len(market.buyers), market.shape
        rivals: Any = 0.0
        for j in range(n):
            if j == i:
                continue
            right = np.diagonal(self.experiments[j], axis1=-2, axis2=-1)
            if not market.own:
                beliefs = floats(market.buyers[j].mean_belief)
                along = [*(shape[k] if k == j else 1 for k in range(n)), market.states]
                right = (right * beliefs.reshape(along)).sum(axis=-1, keepdims=True)
            rivals = rivals + right
        payment = self.payments[i]
        if payment.ndim == 1:
            payment = np.broadcast_to(payment.reshape([shape[i] if k == i else 1 for k in range(n)]), shape)
        probability: FloatArray = np.ones(())
        for j, other in enumerate(market.buyers):
            if j != i:
                probability = np.multiply.outer(probability, floats(other.mass))
        probability = probability.ravel()

        def by_case(given: FloatArray) -> FloatArray:
            moved = np.moveaxis(given, i, n - 1)
            cases = moved.reshape(-1, *moved.shape[n - 1 :])
            return cases if market.ex_post else np.tensordot(probability, cases, axes=1)[None]

        return View.of(
            market,
            kind,
            probability if market.ex_post else np.ones(1),
            by_case(self.experiments[i]),
            by_case(rivals),
            by_case(payment),
        )


def _each(data: Mapping[str, Any], name: str, buyers: int) -> Any:
    given = data[name]
    if not isinstance(given, (list, tuple)) or len(given) != buyers:
        has = f"lists {len(given)}" if isinstance(given, (list, tuple)) else f"is {shown(given)}"
        raise InstanceError(f"{has}; must be a list of one for each of the {buyers} buyers", field=name)
    return given


def _depth(given: Any) -> int:
    depth = 0
    while isinstance(given, (list, tuple, np.ndarray)) and len(given):
        given, depth = given[0], depth + 1
    return depth


def _at(place: tuple[Any, ...]) -> str:
    return "".join(f"[{k}]" for k in place)


def _array(given: Any, shape: tuple[int, ...], axes: list[str], field: str) -> FloatArray:
    """Nested lists of numbers as an array, or an error that says where they do not fit."""
    level = [given.tolist() if isinstance(given, np.ndarray) else given]
    for depth, (size, axis) in enumerate(zip(shape, axes, strict=False)):
        for k, one in enumerate(level):
            if not isinstance(one, (list, tuple)) or len(one) != size:
                has = f"has {len(one)} entries" if isinstance(one, (list, tuple)) else f"is {shown(one)}"
                place = np.unravel_index(k, shape[:depth]) if depth else ()
                raise InstanceError(f"{has}; must be a list of {size}, {axis}", field=field + _at(place))
        level = [entry for one in level for entry in one]
    if not all(type(entry) is float and math.isfinite(entry) for entry in level):
        level = [_number(entry, shape, k, field) for k, entry in enumerate(level)]
    return np.array(level, dtype=np.float64).reshape(shape)


def _number(given: Any, shape: tuple[int, ...], k: int, field: str) -> float:
    try:
        return float(exact(given))
    except ValueError as error:
        raise InstanceError(str(error), field=field + _at(np.unravel_index(k, shape))) from error


def audit(market: Market, mechanism: Mapping[str, Any]) -> Audit:
    """What a mechanism file's mechanism does to buyers as they are: see `_competing_buyers_view.assess`.

    Raises
    ------
    InstanceError
        If the mechanism does not fit the market.
    """
    return assess(market, Mechanism.read(market, mechanism))


def tables(market: Market, mechanism: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """The buyers, their types, and for two buyers of at most 12 types each the profiles; one row each.

    Chances are by each buyer's own belief; payments and gains in payoff units, a gain being what a type has above opting out.
    """
    given = Mechanism.read(market, mechanism)
    views = given.views(market)
    found = {"buyers": _buyers_table(views), "types": _types_table(market, views)}
    if len(views) == 2 and max(market.shape) <= FEW_TYPES:
        found["profiles"] = _profiles_table(market, given)
    return found


def _settled(gain: Any, market_scale: float) -> Any:
    return np.where(np.abs(gain) <= NEGLIGIBLE * market_scale, 0.0, gain)


def _buyers_table(views: list[View]) -> pd.DataFrame:
    rows = [
        {
            "buyer": i,
            "revenue": view.mean(view.paid),
            "told right": view.mean(view.right),
            "harm": view.mean(view.harm),
            "gain": view.mean(view.gain),
        }
        for i, view in enumerate(views, start=1)
    ]
    return pd.DataFrame(rows)


def _types_table(market: Market, views: list[View]) -> pd.DataFrame:
    parts = []
    for i, (kind, view) in enumerate(zip(market.buyers, views, strict=True), start=1):
        private = {} if market.prior is not None else {f"Pr({w + 1})": view.belief[:, w] for w in range(market.states)}
        parts.append(
            pd.DataFrame(
                {
                    "buyer": i,
                    "type": list(kind.names),
                    "weight": view.weight,
                    "value": view.value,
                    **private,
                    "told right": view.probability @ view.right,
                    "rivals' harm": view.probability @ view.harm,
                    "payment": view.probability @ view.paid,
                    "gain": _settled(view.probability @ view.gain, float(market.scale)),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _profiles_table(market: Market, mechanism: Mechanism) -> pd.DataFrame:
    first, second = (index.ravel() for index in np.indices(market.shape))
    columns: dict[str, Any] = {
        "type of 1": [market.buyers[0].names[k] for k in first],
        "type of 2": [market.buyers[1].names[k] for k in second],
        "probability": market.probability.ravel(),
    }
    for i, own in enumerate((first, second)):
        right = np.diagonal(mechanism.experiments[i], axis1=-2, axis2=-1).reshape(len(own), -1)
        columns[f"told right {i + 1}"] = (right * floats(market.buyers[i].belief)[own]).sum(axis=1)
        payment = mechanism.payments[i]
        columns[f"payment {i + 1}"] = payment[own] if payment.ndim == 1 else payment.ravel()
    return pd.DataFrame(columns)
