"""What a menu of training data does, for certificates and for people: quantities, the audit, and the tables."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from optmarket.errors import InstanceError
from optmarket.lp.program import FloatArray
from optmarket.models import selling_information
from optmarket.models.selling_information import Market, Menu
from optmarket.models.selling_training_data.closed_forms import posted_price
from optmarket.models.selling_training_data.line import Served, serve
from optmarket.models.selling_training_data.params import HALF, Params, Triangle, measure
from optmarket.rationals import exact, floats, written_floats
from optmarket.solution import Audit

TIE = 1e-12
SMALL = 1e-12
COMPLETE = (0.0, 0.0)
FINER = 4  # times as many cells along each side as the triangle that was solved
_ELSEWHERE = {"revenue-error", "unrestricted-revenue", "loss", "differential-informativeness"}  # of one-buyer markets alone
UNITS = {name: unit for name, unit in selling_information.UNITS.items() if name not in _ELSEWHERE} | {
    **dict.fromkeys(("full-price", "low-price"), "payoff units"),
    **dict.fromkeys(("low-error-1-left", "low-error-2-left", "cutoff"), "probability"),
    **dict.fromkeys(("finer-grid-revenue", "continuum-revenue", "continuum-lower", "continuum-upper"), "payoff units"),
}


def line_quantities(params: Params, found: Served) -> dict[str, float]:
    """Named scalars of what a menu does on a whole line, in `UNITS`."""
    assert params.line is not None and params.alpha is not None
    _, price = posted_price(params.line, params.alpha.law)
    single, worth = line_bounds(params)
    return {
        **found.outcome,
        "full-information-revenue": float(single),
        "full-information-price": float(price),
        "first-best": float(worth),
    }


def line_bounds(params: Params) -> tuple[Fraction | float, Fraction | float]:
    """What complete data alone earn at the best price on a whole line, and what they are worth to all."""
    assert params.line is not None and params.alpha is not None
    line, law = params.line, params.alpha.law
    single, _ = posted_price(line, law)
    return single, line.m + (1 - line.k) * _mean(law)


def _mean(law: Any) -> Any:
    ((mass, moment),) = law.cells(list(law.support))
    return moment / mass


def audit(params: Params, mechanism: Mapping[str, Any]) -> Audit:
    """What a mechanism does to buyers as they are, computed from error probabilities with numpy alone.

    Parameters
    ----------
    params : Params
    mechanism : mapping
        As for an information market with two states, two actions and one context per own signal: ``items``, and for finitely many
        types perhaps ``assignment``. On a whole line buyers choose, and the audit is exact up to the accuracy of the
        distribution function.

    Raises
    ------
    InstanceError
        If the mechanism does not fit the market.
    """
    if not params.on_continuum:
        return selling_information.audit(params.information, mechanism)
    return Audit(on_line(params, mechanism).outcome, {})


def on_line(params: Params, mechanism: Mapping[str, Any]) -> Served:
    """Who buys what from a menu on a whole line.

    Raises
    ------
    InstanceError
        If it is no menu, or one with an assignment.
    """
    assert params.line is not None and params.alpha is not None
    menu = Menu.read(stand_in(params), mechanism)
    if menu.assignment is not None:
        raise InstanceError("names the item of each type; on a whole line buyers choose, so leave it out", field="assignment")
    return serve(params.line, params.alpha.law, menu.experiment, menu.price, TIE)


def stand_in(params: Params) -> Market:
    """A market with as many states, signals and actions, to check a mechanism against."""
    types = [{"weight": 1, "joint": measure(HALF / 2, HALF / 2)}]
    return Market.of(selling_information.Params.model_validate({"types": types}))


def tables(params: Params, mechanism: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """The menu, and where there are finitely many the types, one row each.

    ``error 1 left`` and ``error 2 left`` are the shares of the two errors that an item leaves to buyers who use their own data
    where it says nothing.
    """
    if params.on_continuum:
        return {"menu": _line_menu(params, mechanism)}
    found = selling_information.tables(params.information, mechanism)
    if not params.has_pairs:
        return found
    types = found["types"].drop(columns=[name for name in found["types"] if str(name).startswith("Pr(")])
    errors = [pair for _, pair in params.pairs]
    types.insert(2, "alpha", [float(alpha) for alpha, _ in errors])
    types.insert(3, "beta", [float(beta) for _, beta in errors])
    menu = found["menu"].drop_duplicates("item")[["item", "kind", "price", "share", "bought by"]].reset_index(drop=True)
    left = [shares_left(written_floats(item["experiment"])) for item in _by_price(mechanism)]
    if any(pair is None for pair in left):
        return {"menu": found["menu"], "types": types}
    return {"menu": _with_shares(menu, left), "types": types}


def _by_price(mechanism: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return sorted(mechanism["items"], key=lambda item: float(exact(item["price"])))


def _with_shares(menu: pd.DataFrame, left: list[tuple[float, float] | None]) -> pd.DataFrame:
    for k in range(2):
        menu[f"error {k + 1} left"] = [pair[k] if pair else np.nan for pair in left]
    return menu


def shares_left(experiment: FloatArray) -> tuple[float, float] | None:
    """Shares (pi1, pi2) of the two errors that an experiment leaves; None if it does not name each state or keep silent.

    Parameters
    ----------
    experiment : array, shape (2, N)
    """
    used = experiment[:, experiment.any(axis=0)]
    silent = (used > SMALL).all(axis=0)
    if silent.sum() > 1:
        return None
    left = used[:, silent].sum(axis=1)
    # one state certain to be named leaves nothing of the other error, so a silent column may be half empty
    return (float(left[0]), float(left[1])) if silent.any() else (0.0, 0.0)


def _line_menu(params: Params, mechanism: Mapping[str, Any]) -> pd.DataFrame:
    assert params.line is not None and params.alpha is not None
    menu = Menu.read(stand_in(params), mechanism)
    found = serve(params.line, params.alpha.law, menu.experiment, menu.price, TIE)
    rows: list[list[Any]] = []
    for number, item in enumerate(np.argsort(menu.price, kind="stable"), start=1):
        left = shares_left(menu.experiment[item])
        kind = "full" if left == COMPLETE else "none" if left == (1.0, 1.0) else "partial"
        here = found.item == item
        rows.append(
            [
                number,
                kind,
                float(menu.price[item]),
                float(found.mass[here].sum()),
                _stretches(found, here),
                *(left or (np.nan,) * 2),
            ]
        )
    columns = ["item", "kind", "price", "share", "bought by", "error 1 left", "error 2 left"]
    return pd.DataFrame(rows, columns=columns)


def _stretches(found: Served, here: Any) -> str:
    """Where along the line, in words."""
    ends: list[list[float]] = []
    for k in np.flatnonzero(here & (found.mass > 0)):
        if ends and ends[-1][1] == found.edges[k]:
            ends[-1][1] = found.edges[k + 1]
        else:
            ends.append([found.edges[k], found.edges[k + 1]])
    return ", ".join(f"alpha {low:.4g} to {high:.4g}" for low, high in ends) or "nobody"


def finer_revenue(params: Params, menu: Menu) -> float:
    """What the menu earns from the cells of a finer triangle, ties for the seller."""
    assert params.triangle is not None
    cells = Triangle.model_construct(size=FINER * params.triangle.size).cells()
    weight = floats([share for share, _ in cells])
    alpha, beta = floats([pair for _, pair in cells]).T
    joint = np.array([[0.5 - alpha, alpha], [beta, 0.5 - beta]])
    net = np.zeros((len(menu.price) + 1, len(weight)))
    for k, (experiment, price) in enumerate(zip(menu.experiment, menu.price, strict=True)):
        after = np.maximum(joint[0, :, None] * experiment[0][:, None], joint[1, :, None] * experiment[1][:, None])
        net[k] = after.sum(axis=(0, 1)) - (1 - alpha - beta) - price
    near = net >= net.max(axis=0) - TIE
    return float(weight @ np.where(near, np.append(menu.price, 0.0)[:, None], 0.0).max(axis=0))


def of_items(mechanism: Mapping[str, Any]) -> dict[str, float]:
    """Scalars of a menu with at most one item beside complete data: prices, and the shares of errors that the item leaves."""
    left = {float(exact(item["price"])): shares_left(written_floats(item["experiment"])) for item in mechanism["items"]}
    full = [price for price, shares in left.items() if shares == COMPLETE]
    others = [(price, shares) for price, shares in left.items() if shares not in (None, COMPLETE)]
    found = {"full-price": full[0]} if len(full) == 1 else {}
    if len(others) == 1 and len(left) <= 2:
        price, shares = others[0]
        assert shares is not None
        found |= {"low-price": price, "low-error-1-left": shares[0], "low-error-2-left": shares[1]}
    return found


def cutoff(params: Params, mechanism: Mapping[str, Any]) -> dict[str, float]:
    """The least alpha of a whole line from which on complete data are bought, if anybody buys them."""
    found = on_line(params, mechanism)
    full = [k for k, item in enumerate(mechanism["items"]) if shares_left(written_floats(item["experiment"])) == COMPLETE]
    buys = np.flatnonzero(np.isin(found.item, full) & (found.mass > 0))
    return {"cutoff": float(found.edges[buys[0]])} if len(buys) else {}


def as_experiment(left: Any) -> Any:
    """The experiments of items (pi1, pi2), shape (M, 2, 4): profiles always 1, own data, against own data, always 2."""
    zero = left[:, 0] * 0
    first = np.stack([1 - left[:, 0], left[:, 0], zero, zero], axis=1)
    second = np.stack([zero, left[:, 1], zero, 1 - left[:, 1]], axis=1)
    return np.stack([first, second], axis=1)
