"""Programs for training-data markets, written from the model for scipy, and the types that the talks' claims are tried on.

Index order: ``joint[state][own signal]``, ``experiment[state][signal]``; the signals of an experiment are the four
recommendations to act for state 1, follow own data, act against own data, act for state 2. Nothing of the package is used.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_matrix

from optmarket.arrays import FloatArray

Errors = tuple[Fraction, Fraction]
HALF = Fraction(1, 2)
# A high type of regions I to III and one of region IV, and a low type of each region, I to IV.
HIGH: Errors = (Fraction(1, 5), Fraction(1, 5))
LOW_IN_I: Errors = (Fraction(9, 50), Fraction(9, 50))
LOW_IN_II: Errors = (Fraction(1, 20), Fraction(1, 20))
LOW_IN_III: Errors = (Fraction(1, 20), Fraction(3, 20))
LOW_IN_RECTANGLE: Errors = (Fraction(9, 100), Fraction(9, 50))
HIGH_IN_IV: Errors = (Fraction(1, 4), Fraction(3, 20))
LOW_IN_IV: Errors = (Fraction(1, 50), Fraction(9, 50))
K, M = Fraction(1, 5), Fraction(3, 10)  # the line of the instance `line`, alpha uniform
END = (HALF - M) / (1 - K)


class Rows:
    """Rows ``sum of terms <= side`` for scipy."""

    def __init__(self) -> None:
        self.terms: list[tuple[int, int, float]] = []
        self.sides: list[float] = []

    def at_most(self, terms: Iterable[tuple[int, Any]], side: Any) -> None:
        """Add a row; terms are (column, value)."""
        self.terms += [(len(self.sides), column, float(value)) for column, value in terms]
        self.sides.append(float(side))

    def solve(self, cost: FloatArray, bounds: Any, equal: Rows | None = None) -> Any:
        """Scipy's result of minimising the cost subject to these rows, and to others as equalities."""

        def matrix(rows: Rows) -> Any:
            at, column, value = (np.array(part) for part in zip(*rows.terms, strict=True))
            return coo_matrix((value, (at, column)), shape=(len(rows.sides), len(cost))).tocsr()

        other = {} if equal is None else {"A_eq": matrix(equal), "b_eq": equal.sides}
        found = linprog(cost, matrix(self), self.sides, bounds=bounds, method="highs", **other)
        assert found.status == 0, found.message
        return found


def joint_floats(alpha: Any, beta: Any) -> FloatArray:
    """Probability of each state and own signal."""
    return np.array([[0.5 - alpha, alpha], [beta, 0.5 - beta]], dtype=float)


def general_optimum(
    weights: Sequence[Any], measures: Sequence[FloatArray], profiles: Sequence[tuple[int, ...]] | None = None
) -> float:
    """The most revenue from any experiments with these signals.

    A signal names an action at every own signal (by default there is one for each such profile), but need not be obeyed.
    """
    states, contexts = (int(size) for size in measures[0].shape)
    named = list(itertools.product(range(states), repeat=contexts)) if profiles is None else list(profiles)
    types, width = len(weights), states * len(named) + 1
    rows, equal = Rows(), Rows()
    # after the items: what type r earns with item q after each signal and own signal, at most its best action's
    columns = types * width

    def sent(item: int, state: int, signal: int) -> int:
        return item * width + state * len(named) + signal

    def price(item: int) -> int:
        return item * width + width - 1

    for r in range(types):
        follow = [
            (sent(r, w, s), measures[r][w, c]) for s, profile in enumerate(named) for c, w in enumerate(profile)
        ]  # the weight of being right
        outside = measures[r].max(axis=0).sum()
        rows.at_most([*((at, -value) for at, value in follow), (price(r), 1)], -outside)
        for q in range(types):
            best = []
            for s, c in itertools.product(range(len(named)), range(contexts)):
                for action in range(states):
                    rows.at_most([(sent(q, action, s), measures[r][action, c]), (columns, -1)], 0)
                best.append((columns, 1))
                columns += 1
            rows.at_most([*((at, -value) for at, value in follow), (price(r), 1), *best, (price(q), -1)], 0)
    for q, w in itertools.product(range(types), range(states)):
        equal.at_most([(sent(q, w, s), 1) for s in range(len(named))], 1)
    cost = np.zeros(columns)
    cost[[price(r) for r in range(types)]] = -np.array(weights, dtype=float)
    return float(-rows.solve(cost, (0, None), equal).fun)


def reduced_menu(
    weights: Sequence[Any],
    pairs: Sequence[Errors],
    *,
    drop: bool = True,
    more: Sequence[tuple[list[tuple[int, Any]], Any]] = (),
    fixed: dict[int, Any] | None = None,
) -> tuple[float, FloatArray]:
    """The most revenue from items (pi1, pi2) at prices t, columns 3 r to 3 r + 2; and the menu.

    Parameters
    ----------
    weights, pairs
        Shares and errors of the types.
    drop : bool
        Whether buyers may misreport and then ignore their own data.
    more : sequence of (terms, side)
        Further rows.
    fixed : dict
        Columns that are held at a value.
    """
    rows = Rows()
    for r, (alpha, beta) in enumerate(pairs):
        own = [(3 * r, alpha), (3 * r + 1, beta), (3 * r + 2, 1)]
        rows.at_most(own, alpha + beta)
        for i in range(2):  # obedience
            rows.at_most([(3 * r, alpha), (3 * r + 1, beta), (3 * r + i, -HALF)], 0)
        for q in range(len(pairs)):
            if q != r:
                rows.at_most([*own, (3 * q, -alpha), (3 * q + 1, -beta), (3 * q + 2, -1)], 0)
                for i in range(2 * drop):
                    rows.at_most([*own, (3 * q + i, -HALF), (3 * q + 2, -1)], 0)
    for terms, side in more:
        rows.at_most(terms, side)
    bounds = [(0.0, 1.0) if column % 3 < 2 else (None, None) for column in range(3 * len(pairs))]
    for column, value in (fixed or {}).items():
        bounds[column] = (float(value), float(value))
    cost = np.zeros(3 * len(pairs))
    cost[2::3] = [-float(weight) for weight in weights]
    found = rows.solve(cost, bounds)
    return float(-found.fun), found.x


def revenue_of_two(high: Errors, low: Errors, **others: Any) -> float:
    """The most revenue from two equally likely types, by `reduced_menu`."""
    return reduced_menu([HALF, HALF], [high, low], **others)[0]


def uniform_grid(cells: int, k: Fraction = K) -> list[Errors]:
    """The line's types at the middle of cells."""
    end = (HALF - M) / (1 - k)
    points = [end * Fraction(2 * j + 1, 2 * cells) for j in range(cells)]
    return [(alpha, M - k * alpha) for alpha in points]


def error_experiment(first: Any, second: Any) -> FloatArray:
    """Chances of the four profiles in each state: always 1, own data, against own data, always 2."""
    return np.array([[1 - first, first, 0, 0], [0, second, 0, 1 - second]], dtype=float)


def accuracy(joint: FloatArray, chances: FloatArray) -> float:
    """How often a buyer is right that acts for the best after every signal and own signal."""
    return float((joint[:, None, :] * chances[:, :, None]).max(axis=0).sum())


def random_pairs(seed: int, count: int, unit: int = 40) -> list[tuple[Errors, Errors]]:
    """Pairs of types, the one that values complete data more first."""
    source = random.Random(seed)
    triangle = [(Fraction(i, unit), Fraction(j, unit)) for i in range(unit // 2 + 1) for j in range(unit // 2 + 1 - i)]
    found: list[tuple[Errors, Errors]] = []
    while len(found) < count:
        high, low = sorted(source.sample(triangle, 2), key=lambda pair: pair[0] + pair[1], reverse=True)
        found.append((high, low))
    return found


PAIRS = random_pairs(1, 60)
EXAMPLES = [
    *((HIGH, low) for low in (LOW_IN_I, LOW_IN_II, LOW_IN_III, LOW_IN_RECTANGLE)),
    (HIGH_IN_IV, LOW_IN_IV),
    ((HIGH_IN_IV[1], HIGH_IN_IV[0]), (LOW_IN_IV[1], LOW_IN_IV[0])),
]


def four_policies(high: Errors, low: Errors) -> list[Fraction]:
    """Revenue of I, II, III and IV and their mirrors where they are defined."""
    found = [sum(low, Fraction(0)), sum(high, Fraction(0)) / 2]
    for (a, b), (x, y) in ((high, low), (high[::-1], low[::-1])):
        if y <= b and x <= a and b < HALF and 2 * a <= 1 - 2 * b:
            left = 2 * a / (1 - 2 * b)
            found.append((a + b + (2 * y - b) * (1 - left)) / 2)
        if y > b and x < a:
            k = a / (HALF - b)
            first, second = y - b, a - x
            if second != k * first:
                found.append(a + b - k * (second - first) / (second - k * first) / 4)
    return found
