"""Experiments and payments that a chance of correct recommendations stands for, where all buyers share one prior."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from optmarket.arrays import NumberArray


def envelope_payments(value: NumberArray, net: NumberArray) -> NumberArray:
    """What leaves the lowest value no surplus, and each next one as well off as with the item below (the envelope formula).

    Parameters
    ----------
    value : array, shape (K,)
        Increasing, in payoff units.
    net : array, shape (K, ...)
        z, the chance of a correct recommendation net of the externality: interim, or at each profile of the others.

    Returns
    -------
    array, as `net`
        In payoff units: ``v_1 z_1``, then ``v_k (z_k - z_{k-1})`` more.

    Examples
    --------
    >>> envelope_payments(np.array([1.0, 2.0]), np.array([0.25, 0.5])).tolist()
    [0.25, 0.75]
    """
    each = value.reshape([-1] + [1] * (net.ndim - 1))
    steps = np.concatenate([net[:1], net[1:] - net[:-1]])
    return np.asarray(np.cumsum(each * steps, axis=0))


def experiment(prior: NumberArray, x: NumberArray) -> NumberArray:
    """An experiment that is correct with chance x in every state, obedient if x is at least max(prior) on average.

    In state w it recommends w with chance x and else another action a in proportion to the prior. It is linear in x, so that a
    mean over profiles is the experiment of the mean x; there, recommendation a is obeyed since for every state w
    ``prior_a x >= prior_w (1 - x) prior_a / (1 - prior_w)``, that is x >= prior_w.

    Parameters
    ----------
    prior : array, shape (M,)
    x : array, any shape
        Chances of a correct recommendation.

    Returns
    -------
    array, shape x.shape + (M, M)
        Indexed [..., state, action]; rows sum to 1. With two states [[x, 1 - x], [1 - x, x]].

    Examples
    --------
    >>> experiment(np.array([0.75, 0.25]), np.array(0.5)).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    states = len(prior)
    same = np.eye(states, dtype=bool)
    others = np.where(same, prior[0] * 0, prior[None, :])
    total = others.sum(axis=1, keepdims=True)
    even = np.where(same, 0 * total, 0 * total + Fraction(1, states - 1) if total.dtype == object else 1 / (states - 1))
    incorrect = np.where(total == 0, even, others / np.where(total == 0, 1, total))
    x = np.asarray(x)[..., None, None]
    return np.asarray(np.where(same, x, (1 - x) * incorrect))
