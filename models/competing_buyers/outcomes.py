"""What a mechanism for competing buyers does, for certificates and for people: quantities, the audit, and the tables."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from optmarket.errors import InstanceError
from optmarket.lp.program import FloatArray, IntArray
from optmarket.models.competing_buyers.interim import Judged, View
from optmarket.models.competing_buyers.market import Kind, Market
from optmarket.rationals import exact, floats, shown

ROUNDED = 1e-6  # by how much probabilities may miss the sum one: trained networks compute in single precision
FEW_TYPES = 12
CELLS_SHOWN = 11
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
        names = ("experiments", "payments")
        known_fields(data, names)
        shape, states = market.shape, market.states
        told, paid = (list_of(data, name, len(shape), "buyers") for name in names)
        axes = [*(f"type{'s' * (count != 1)} of buyer {j}" for j, count in enumerate(shape, start=1)), "states", "actions"]
        experiments, payments = [], []
        for i in range(len(shape)):
            experiments.append(chances(told[i], (*shape, states, states), axes, f"experiments[{i}]"))
            by_profile = depth(paid[i]) > 1
            payments.append(
                nested(paid[i], shape, axes, f"payments[{i}]")
                if by_profile
                else nested(paid[i], (shape[i],), [f"types of buyer {i + 1}"], f"payments[{i}]")
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


FIELDS = ("cells", "experiments", "payments", "experiments-by-tally", "payments-by-tally", "scores", "thresholds")


def known_fields(data: Mapping[str, Any], names: Sequence[str]) -> None:
    """Check that a mechanism has these fields and no other."""
    wanted = f"such a mechanism has {' and '.join(names)}"
    for name in sorted(set(data) - set(names)):
        near = difflib.get_close_matches(name, FIELDS, n=1)
        if name in FIELDS:
            hint = f"does not belong here; {wanted}"
        else:
            hint = "is not known here; " + (f"did you mean {near[0]!r}?" if near else wanted)
        raise InstanceError(hint, field=name)
    for name in names:
        if name not in data:
            raise InstanceError(f"is missing; {wanted}", field=name)


def list_of(data: Mapping[str, Any], name: str, count: int, what: str) -> Any:
    """A field that lists one entry for each buyer, or what else there are."""
    given = data[name]
    if not isinstance(given, (list, tuple)) or len(given) != count:
        has = f"lists {len(given)}" if isinstance(given, (list, tuple)) else f"is {shown(given)}"
        raise InstanceError(f"{has}; must be a list of one for each of the {count} {what}", field=name)
    return given


def numbers_of(data: Mapping[str, Any], name: str, sizes: list[int], what: str) -> tuple[FloatArray, ...]:
    """A field of a mechanism file that has a list of numbers for each kind of buyer.

    Raises
    ------
    InstanceError
        With the field that does not fit.
    """
    given = list_of(data, name, len(sizes), "kinds of buyers")
    return tuple(nested(each, (size,), [what], f"{name}[{g}]") for g, (each, size) in enumerate(zip(given, sizes, strict=True)))


def depth(given: Any) -> int:
    """How many lists are nested, along the first entry of each."""
    found = 0
    while isinstance(given, (list, tuple, np.ndarray)) and len(given):
        given, found = given[0], found + 1
    return found


def _at(place: tuple[Any, ...]) -> str:
    return "".join(f"[{k}]" for k in place)


def chances(given: Any, shape: tuple[int, ...], axes: list[str], field: str) -> FloatArray:
    """Nested lists as chances that sum to one along the last axis, or an error that says where they do not."""
    found = nested(given, shape, axes, field)
    total = found.sum(axis=-1)
    if (found < 0).any():
        place = tuple(np.argwhere(found < 0)[0])
        raise InstanceError(f"is {found[place]:.12g}; a probability is at least 0", field=field + _at(place))
    if (np.abs(total - 1) > ROUNDED).any():
        place = tuple(np.argwhere(np.abs(total - 1) > ROUNDED)[0])
        raise InstanceError(f"sums to {total[place]:.12g}; must sum to 1", field=field + _at(place))
    return np.asarray(found / total[..., None])


def nested(given: Any, shape: tuple[int, ...], axes: list[str], field: str) -> FloatArray:
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


Rule = Sequence[tuple[FloatArray, FloatArray, FloatArray]]


def tables(market: Market, mechanism: Judged, rule: Rule | None = None) -> dict[str, pd.DataFrame]:
    """The buyers, their types, and for two buyers of at most 12 types each the profiles; buyers who see it alike in one row.

    Of whole distributions about 20 cells of each buyer are shown, by their lower ends. Chances are by each buyer's own belief;
    payments and gains in payoff units, a gain being what a type has above opting out.

    Parameters
    ----------
    market : Market
    mechanism : Judged
    rule : sequence of (array, array, array), optional
        For each kind of buyer and by report virtual values, up to which S = alpha/(n - 1) times the sum of the rivals' a buyer is
        told right, and the chance of that where S is as high.
    """
    views = mechanism.views(market)
    alike = _alike(market, views)
    found = {"buyers": _buyers_table(views, alike), "types": _types_table(market, views, alike, rule)}
    if isinstance(mechanism, Mechanism) and len(views) == 2 and max(market.shape) <= FEW_TYPES:
        found["profiles"] = _profiles_table(market, mechanism)
    return found


def _alike(market: Market, views: list[View]) -> list[list[int]]:
    """Buyers of one kind who are treated alike, together; all others by themselves."""
    found: list[list[int]] = []
    for i, view in enumerate(views):
        for others in found:
            one = views[others[0]]
            if market.buyers[i] is market.buyers[others[0]] and all(
                np.allclose(view.probability @ a, view.probability @ b, rtol=0, atol=NEGLIGIBLE * float(market.scale))
                for a, b in ((view.right, one.right), (view.harm, one.harm), (view.paid, one.paid))
            ):
                others.append(i)
                break
        else:
            found.append([i])
    return found


def _named(buyers: Sequence[int]) -> str:
    """Buyers by number, from 1."""
    first, last = buyers[0] + 1, buyers[-1] + 1
    if len(buyers) == 1:
        return str(first)
    numbers = f"{first} to {last}" if last - first + 1 == len(buyers) else ", ".join(str(i + 1) for i in buyers)
    return f"{numbers}, each"


def _settled(gain: Any, market_scale: float) -> Any:
    return np.where(np.abs(gain) <= NEGLIGIBLE * market_scale, 0.0, gain)


def _buyers_table(views: list[View], alike: list[list[int]]) -> pd.DataFrame:
    rows = []
    for buyers in alike:
        view = views[buyers[0]]
        rows.append(
            {
                "buyer": _named(buyers),
                "revenue": view.mean(view.paid),
                "told right": view.mean(view.right),
                "harm": view.mean(view.harm),
                "gain": view.mean(view.gain),
            }
        )
    return pd.DataFrame(rows)


def _types_table(market: Market, views: list[View], alike: list[list[int]], rule: Rule | None) -> pd.DataFrame:
    kinds = [kind for kind, _ in market.groups]
    parts = []
    for buyers in alike:
        kind, view = market.buyers[buyers[0]], views[buyers[0]]
        shown_ = _shown(kind)
        report = kind.report[shown_]
        columns: dict[str, Any] = {"buyer": _named(buyers)}
        if any(len(one.report) == one.reports for one in kinds):
            cells = len(kind.report) != kind.reports
            columns["type"] = [f"from {kind.names[r]}" if cells else kind.names[r] for r in shown_]
            columns["weight"] = floats(kind.mass)[report]
        columns["value"] = view.value[shown_]
        if market.prior is None:
            columns |= {f"Pr({w + 1})": view.belief[shown_, w] for w in range(market.states)}
        if rule is not None:
            phi, up_to, there = rule[[one is kind for one in kinds].index(True)]
            columns |= {"virtual value": phi[report], "right up to S": up_to[report], "chance there": there[report]}
        columns |= {
            "told right": (view.probability @ view.right)[shown_],
            "rivals' harm": (view.probability @ view.harm)[shown_],
            "payment": (view.probability @ view.paid)[shown_],
            "gain": _settled((view.probability @ view.gain)[shown_], float(market.scale)),
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _shown(kind: Kind) -> IntArray:
    """The types that a table shows: all, or the lower ends of cells spread evenly by weight."""
    if len(kind.report) == kind.reports:
        return np.arange(kind.reports)
    levels = np.cumsum(floats(kind.mass))
    picked = np.searchsorted(levels, np.linspace(0.0, 1.0, CELLS_SHOWN))
    report = np.unique(np.clip(picked, 0, kind.reports - 1))
    return np.searchsorted(kind.report, report)


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
