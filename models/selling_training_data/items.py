"""Items of the reduced form: the shares of the two errors that an experiment leaves, and what a menu of such items is called."""

from __future__ import annotations

from typing import Any

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.models.selling_information import Menu

# A signal's probability in a state up to which it counts as never sent there: what a solver's point may miss of 0.
NEVER_SENT = 1e-12
COMPLETE = (0.0, 0.0)  # shares of the two errors that complete data leave
NOTHING_REMOVED = (1.0, 1.0)


def as_experiments(left: Any) -> Any:
    """The experiments of items given by the shares of errors that they leave.

    Parameters
    ----------
    left : array, shape (M, 2)
        Shares (pi1, pi2), floats or Fractions.

    Returns
    -------
    array, shape (M, 2, 4)
        [item][state][signal], the signals being recommendations: act for state 1 whatever the own signal, follow own data, act
        against own data, act for state 2 whatever the own signal.

    Examples
    --------
    >>> as_experiments(np.array([[1.0, 0.25]]))[0].tolist()
    [[0.0, 1.0, 0.0, 0.0], [0.0, 0.25, 0.0, 0.75]]
    """
    zero = left[:, 0] * 0
    first = np.stack([1 - left[:, 0], left[:, 0], zero, zero], axis=1)
    second = np.stack([zero, left[:, 1], zero, 1 - left[:, 1]], axis=1)
    return np.stack([first, second], axis=1)


def shares_left(experiment: FloatArray) -> tuple[float, float] | None:
    """Shares (pi1, pi2) of the two errors that an experiment leaves to buyers that use their own data where it says nothing.

    Parameters
    ----------
    experiment : array, shape (2, N)
        Probability of each signal in each of two states.

    Returns
    -------
    (float, float) or None
        None unless each signal but one names a state for certain.

    Examples
    --------
    >>> shares_left(np.array([[0.0, 1.0], [0.75, 0.25]])), shares_left(np.array([[0.9, 0.1], [0.2, 0.8]]))
    ((1.0, 0.25), None)
    """
    used = experiment[:, experiment.any(axis=0)]
    silent = (used > NEVER_SENT).all(axis=0)
    if silent.sum() > 1:
        return None
    left = used[:, silent].sum(axis=1)
    # one state certain to be named leaves nothing of the other error, so a silent column may be half empty
    return (float(left[0]), float(left[1])) if silent.any() else COMPLETE


def item_quantities(menu: Menu) -> dict[str, float]:
    """Quantities of a menu with at most one item beside complete data: prices, and the shares of errors that the item leaves.

    Parameters
    ----------
    menu : Menu
        Of a market with two states.

    Examples
    --------
    >>> item_quantities(Menu(np.array([[[1.0, 0.0], [0.0, 1.0]]]), np.array([0.25])))
    {'full-price': 0.25}
    """
    given = menu.in_floats
    left = {float(price): shares_left(item) for item, price in zip(given.experiment, given.price, strict=True)}
    full = [price for price, shares in left.items() if shares == COMPLETE]
    partial = [(price, shares) for price, shares in left.items() if shares is not None and shares != COMPLETE]
    found = {"full-price": full[0]} if len(full) == 1 else {}
    if len(partial) == 1 and len(left) <= 2:
        ((price, (first, second)),) = partial
        found |= {"low-price": price, "low-error-1-left": first, "low-error-2-left": second}
    return found
