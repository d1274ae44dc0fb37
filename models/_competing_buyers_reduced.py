"""The reduced program of competing buyers with a common prior: chances of being told right in place of experiments.

With one prior nothing about an experiment matters to anyone but the chance x_i that it tells a buyer right, and no type gains by
misreporting and disobeying together: adjacent truthful values and the lowest one's participation are all there is
(`_competing_buyers_virtual.experiment` makes experiments of chances).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from optmarket.models._competing_buyers_market import Market
from optmarket.models._competing_buyers_virtual import Virtual, refuse
from optmarket.numbers import floats
from optmarket.program import IntArray, LinearProgram, NumberArray, Rows, check_memory


def build(market: Market, *, exact: bool = False) -> LinearProgram:
    """The reduced program.

    Parameters
    ----------
    market : Market
        With a common prior.
    exact : bool
        Coefficients as Fractions rather than their floats.

    Returns
    -------
    LinearProgram
        In units of ``market.scale``, over the K_i distinct values of positive weight of each buyer, increasing. Variables
        ``right i``, shape (K_1, ..., K_n): the chance that buyer i is told right; ``utility i``, above opting out, shape (K_i,)
        (Bayesian) or (K_1, ..., K_n) (ex post); Bayesian also ``net i``, shape (K_i,): E[z_i | v_i]. Payments are v z - utility.

    Raises
    ------
    ModelError
        If the form is not valid, or the program does not fit in memory.
    """
    refuse(market)
    assert market.prior is not None
    kinds = {key: Virtual.of(kind) for key, kind in {id(kind): kind for kind in market.buyers}.items()}
    buyers = [kinds[id(kind)] for kind in market.buyers]
    n, shape = len(buyers), tuple(len(one.value) for one in buyers)
    profiles = math.prod(shape)
    check_memory(*_size(n, shape, profiles, market.ex_post), "the reduced program")
    number: Any = (lambda x: x) if exact else floats
    level: Any
    alpha: Any
    share: Any
    level, alpha, share = (x if exact else float(x) for x in (max(market.prior), market.externality, market.share))
    one = level * 0 + 1
    values = [number(each.value / market.scale) for each in buyers]
    weights = [number(each.weight) for each in buyers]

    program = LinearProgram("max", offset=level * 0, unit=float(market.scale))
    harm = [np.where(np.arange(n) == i, one, -share) for i in range(n)]  # of x_1 ... x_n in z_i
    chance = _outer(weights)
    worth: Any = 0 * chance  # of each x_i at each profile, ex post
    objective = [worth] * n
    if market.ex_post:
        along = [values[i].reshape([-1 if j == i else 1 for j in range(n)]) * chance for i in range(n)]
        objective = [sum(harm[i][j] * along[i] for i in range(n)) for j in range(n)]
        program.offset = (alpha - level) * sum(v @ w for v, w in zip(values, weights, strict=True))
    low = level if market.ex_post else 0 * one
    right = [program.add_variables(f"right {i + 1}", shape, lower=low, upper=one, objective=objective[i]) for i in range(n)]
    for i, (value, weight) in enumerate(zip(values, weights, strict=True)):
        name, most = str(i + 1), value[-1] * (1 - level + alpha)
        at = [np.moveaxis(x, i, 0).reshape(len(value), -1) for x in right]
        if market.ex_post:
            kept = program.add_variables(f"utility {name}", shape, lower=0 * one, upper=most, objective=-chance)
            _truth(program, name, value, np.stack(at, axis=2), harm[i], np.asarray(np.moveaxis(kept, i, 0)), alpha - level)
            continue
        rest = _outer([mass for j, mass in enumerate(weights) if j != i]).ravel()
        net = program.add_variables(f"net {name}", value.shape, lower=0 * one, upper=1 - level + alpha, objective=value * weight)
        meaning = np.concatenate([[one], *(-coefficient * rest for coefficient in harm[i])])
        rows = np.tile(meaning, (len(value), 1))
        program.add_rows(f"net {name}", Rows.dense(np.column_stack([net, *at]), rows, alpha - level, alpha - level))
        program.add_rows(f"obedience {name}", Rows.dense(at[i], np.tile(rest, (len(value), 1)), level, np.inf))
        kept = program.add_variables(f"utility {name}", value.shape, lower=0 * one, upper=most, objective=-weight)
        _truth(program, name, value, net[:, None, None], np.array([one]), kept[:, None], 0 * one)
    return program


def _truth(
    program: LinearProgram, name: str, value: NumberArray, index: IntArray, terms: NumberArray, kept: IntArray, constant: Any
) -> None:
    """No gain from reporting the value below, ``u_k - u_{k-1} >= (v_k - v_{k-1}) z_{k-1}``, or above.

    Parameters
    ----------
    index : array of int, shape (K, cases, width)
        Columns of z.
    terms : array, shape (width,)
        Their coefficients in z.
    kept : array of int, shape (K, ...)
        Columns of u.
    constant : number
        What else is in z.
    """
    if len(value) < 2:
        return
    kept = kept.reshape(len(value), -1)
    step = value[1:] - value[:-1]
    for way, near, z in (("below", 1, index[:-1]), ("above", -1, index[1:])):
        ones = np.full((len(step), 2), value[0] * 0 + near)
        ones[:, 1] *= -1
        each = np.concatenate([ones, -near * step[:, None] * terms], axis=1)
        columns = np.concatenate([kept[1:, :, None], kept[:-1, :, None], z], axis=2)
        bound = np.repeat(near * step * constant, kept.shape[1])
        rows = Rows.dense(columns.reshape(len(bound), -1), np.repeat(each, kept.shape[1], axis=0), bound, np.inf)
        program.add_rows(f"misreport {way} {name}", rows)


def _outer(weights: Sequence[NumberArray]) -> NumberArray:
    found: Any = np.array(1, dtype=weights[0].dtype) if weights[0].dtype == object else np.ones(())
    for weight in weights:
        found = np.multiply.outer(found, weight)
    return np.asarray(found)


def _size(n: int, shape: tuple[int, ...], profiles: int, ex_post: bool) -> tuple[int, int, int]:
    """Rows, columns and non-zeros, before they are built."""
    if ex_post:
        return 2 * n * profiles, 2 * n * profiles, 2 * n * profiles * (n + 2)
    return 5 * sum(shape), n * profiles + 2 * sum(shape), n * (n + 1) * profiles


def mechanism(market: Market, program: LinearProgram, x: NumberArray) -> dict[str, Any]:
    """A point of the program as a mechanism file holds it.

    Returns
    -------
    dict
        ``told-right`` [buyer][type of buyer 1]...[type of buyer n]; ``payments`` in payoff units [buyer][own type] (Bayesian) or
        [buyer][type of buyer 1]...[type of buyer n] (ex post).
    """
    buyers = [Virtual.of(kind) for kind in market.buyers]
    n, every = len(buyers), np.ix_(*(one.place for one in buyers))
    assert market.prior is not None
    level, alpha, share = map(float, (max(market.prior), market.externality, market.share))
    scale = float(market.scale)
    right = [np.clip(floats(x[program.variables[f"right {i + 1}"]]), level if market.ex_post else 0.0, 1.0) for i in range(n)]
    total = sum(right)
    paid = []
    for i, one in enumerate(buyers):
        net = right[i] - level + alpha - share * (total - right[i])
        along = floats(one.value).reshape([-1 if j == i else 1 for j in range(n)])
        if not market.ex_post:
            for j in reversed(range(n)):
                net = net if j == i else np.tensordot(net, floats(buyers[j].weight), axes=(j, 0))
            along = along.ravel()
        paid.append(along * net - scale * floats(x[program.variables[f"utility {i + 1}"]]))
    return {
        "told-right": [one[every].tolist() for one in right],
        "payments": [one[every if market.ex_post else buyers[i].place].tolist() for i, one in enumerate(paid)],
    }
