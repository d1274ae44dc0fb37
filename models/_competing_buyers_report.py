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
from optmarket.numbers import exact, floats, shown
from optmarket.program import FloatArray
from optmarket.solution import Audit

BLOCK_BYTES = 2**26
ROUNDED = 1e-6  # by how much probabilities may miss the sum one: trained networks compute in single precision
FEW_TYPES = 12
NEGLIGIBLE = 1e-9
UNITS = {
    **dict.fromkeys(("revenue", "surplus", "welfare", "worth-of-information", "worth-of-threat"), "payoff units"),
    "informed-share": "probability",
    "externality-cost": "payoff units",
}


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


@dataclass(frozen=True)
class View:
    """A mechanism as one buyer sees it, once for each of S cases: ex post the profiles of the others' types, Bayesian their mean.

    Attributes
    ----------
    probability : array, shape (S,)
    weight, value : array, shape (K,)
    belief : array, shape (K, M)
    cost : array, shape (K, W)
        What one rival's being right costs: state by state (W = M) by one's own belief, in all (W = 1) by that of each rival.
    experiment : array, shape (S, K, M, M)
    rivals : array, shape (S, K, W)
        How many rivals are told right.
    payment : array, shape (S, K)
    outside : array, shape (K,)
    """

    probability: FloatArray
    weight: FloatArray
    value: FloatArray
    belief: FloatArray
    cost: FloatArray
    experiment: FloatArray
    rivals: FloatArray
    payment: FloatArray
    outside: FloatArray

    @property
    def right(self) -> FloatArray:
        """The chance to be told right, by one's own belief, shape (S, K)."""
        return np.asarray((np.diagonal(self.experiment, axis1=2, axis2=3) * self.belief).sum(axis=2))

    @property
    def harm(self) -> FloatArray:
        """What the rivals' being right costs, shape (S, K)."""
        return np.asarray((self.rivals * self.cost).sum(axis=2))

    @property
    def gain(self) -> FloatArray:
        """What an obedient type has above opting out, shape (S, K)."""
        return np.asarray(self.value * self.right - self.harm - self.payment - self.outside)

    def mean(self, of: FloatArray) -> float:
        """Expectation over types and cases of an array of shape (S, K)."""
        return float(self.probability @ of @ self.weight)

    def deviations(self) -> dict[str, float]:
        """The largest gain of a type of positive weight, in a case of positive probability, from each kind of deviation."""
        active, likely = self.weight > 0, np.flatnonzero(self.probability > 0)
        worth = (self.value[:, None] * self.belief)[active]
        cost, own = self.cost[active], np.flatnonzero(active)
        types, reports, states = len(own), len(self.weight), worth.shape[1]
        found = dict.fromkeys(("misreport", "disobey", "both", "individual-rationality"), 0.0)
        step = max(1, BLOCK_BYTES // (8 * types * reports * states))
        for start in range(0, len(likely), step):
            case = likely[start : start + step]
            experiment = self.experiment[case]
            # by type, then report
            burden = np.swapaxes(self.rivals[case] @ cost.T + self.payment[case][:, :, None], 1, 2)
            obeyed = np.swapaxes(np.diagonal(experiment, axis1=2, axis2=3) @ worth.T, 1, 2) - burden
            best = -burden
            for told in range(states):
                best = best + (worth[:, None, :] * experiment[:, None, :, :, told]).max(axis=3)
            truth = obeyed[:, np.arange(types), own]
            gains = {
                "misreport": obeyed - truth[:, :, None],
                "disobey": best[:, np.arange(types), own] - truth,
                "both": best - truth[:, :, None],
                "individual-rationality": self.outside[active] - truth,
            }
            found = {name: max(worst, float(gains[name].max())) for name, worst in found.items()}
        return found


def seen(market: Market, mechanism: Mechanism, i: int) -> View:
    """A mechanism as buyer i (counted from 0) sees it."""
    kind, n, shape = market.buyers[i], len(market.buyers), market.shape
    value, belief = floats(kind.value), floats(kind.belief)
    rivals: Any = 0.0
    for j in range(n):
        if j == i:
            continue
        right = np.diagonal(mechanism.experiments[j], axis1=-2, axis2=-1)
        if not market.own:
            beliefs = floats(market.buyers[j].belief)
            along = [*(shape[k] if k == j else 1 for k in range(n)), market.states]
            right = (right * beliefs.reshape(along)).sum(axis=-1, keepdims=True)
        rivals = rivals + right
    payment = mechanism.payments[i]
    if payment.ndim == 1:
        payment = np.broadcast_to(payment.reshape([shape[i] if k == i else 1 for k in range(n)]), shape)
    probability: FloatArray = np.ones(())
    for j, other in enumerate(market.buyers):
        if j != i:
            probability = np.multiply.outer(probability, floats(other.weight))
    probability = probability.ravel()

    def by_case(given: FloatArray) -> FloatArray:
        moved = np.moveaxis(given, i, n - 1)
        cases = moved.reshape(-1, *moved.shape[n - 1 :])
        return cases if market.ex_post else np.tensordot(probability, cases, axes=1)[None]

    cost = float(market.share) * value[:, None] * (belief if market.own else np.ones((len(value), 1)))
    return View(
        probability if market.ex_post else np.ones(1),
        floats(kind.weight),
        value,
        belief,
        cost,
        by_case(mechanism.experiments[i]),
        by_case(rivals),
        by_case(payment),
        floats(market.outside(i)),
    )


def quantities(market: Market, mechanism: Mechanism) -> dict[str, float]:
    """Named scalars of an obeyed mechanism, in `UNITS`.

    ``revenue`` of all buyers together; ``surplus``, what they have above opting out; ``welfare``, what they earn before
    payments, each expecting by its own belief; ``informed-share``, a buyer's mean chance to be told right;
    ``externality-cost``, what buyers lose to each other. What can be charged for is ``worth-of-information``, value times the
    chance to be right beyond what one would be untold, and ``worth-of-threat``, the harm a buyer escapes by not opting out:
    revenue plus surplus is their sum. The first is negative where the threat makes buyers pay for being told wrong.
    """
    views = [seen(market, mechanism, i) for i in range(len(market.buyers))]
    revenue = math.fsum(view.mean(view.payment) for view in views)
    harm = math.fsum(view.mean(view.harm) for view in views)
    threat = float(market.externality) * math.fsum(float(view.weight @ view.value) for view in views)
    return {
        "revenue": revenue,
        "surplus": math.fsum(view.mean(view.gain) for view in views),
        "welfare": math.fsum(view.mean(view.value * view.right) for view in views) - harm,
        "worth-of-information": math.fsum(view.mean(view.value * (view.right - view.belief.max(axis=1))) for view in views),
        "worth-of-threat": threat - harm,
        "informed-share": math.fsum(view.mean(view.right) for view in views) / len(views),
        "externality-cost": harm,
    }


def assess(market: Market, mechanism: Mechanism) -> Audit:
    """`audit` of a mechanism that has been read."""
    each = [seen(market, mechanism, i).deviations() for i in range(len(market.buyers))]
    worst = {name: max(found[name] for found in each) for name in each[0]}
    return Audit(quantities(market, mechanism), worst, float(market.scale))


def audit(market: Market, mechanism: Mapping[str, Any]) -> Audit:
    """What a mechanism does to buyers, computed from values and beliefs with numpy alone.

    Parameters
    ----------
    market : Market
    mechanism : mapping
        ``experiments`` and ``payments``, as `Mechanism.read` takes them.

    Returns
    -------
    Audit
        The `quantities`, and the violations ``misreport`` (report another type and obey), ``disobey`` (report the truth and act
        otherwise), ``both``, ``individual-rationality`` (opt out and face informed rivals): each the largest gain of a type of
        positive weight, ex post at a profile of positive weight, Bayesian in expectation over the others' types.

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
    views = [seen(market, given, i) for i in range(len(market.buyers))]
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
            "revenue": view.mean(view.payment),
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
                    "payment": view.probability @ view.payment,
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
