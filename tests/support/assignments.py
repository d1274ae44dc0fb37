"""The best menu of a few items by trying every assignment of types to items, each a linear program of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from scipy.optimize import linprog


def labellings(types: int, most: int) -> Iterator[tuple[int, ...]]:
    """Who buys what: 0 for nothing, items numbered in the order of their first buyer."""

    def extended(start: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(start) == types:
            yield start
            return
        for label in range(min(max(start, default=0) + 1, most) + 1):
            yield from extended((*start, label))

    yield from extended(())


def best_for(worth: np.ndarray, weight: np.ndarray, labels: tuple[int, ...]) -> float:
    types, states, contexts, actions = worth.shape
    items = max(labels)
    if items == 0:
        return 0.0
    outside = worth.sum(axis=1).max(axis=2).sum(axis=1)
    plans = list(itertools.product(range(actions), repeat=contexts))
    members = [[r for r in range(types) if labels[r] == item] for item in range(1, items + 1)]
    signals = [list(itertools.product(plans, repeat=len(group))) for group in members]
    columns = items
    first = []
    for sent in signals:
        first.append(columns)
        columns += states * len(sent)
    rows: list[dict[int, float]] = []
    right: list[float] = []
    value = []  # of each type's best reply to each item, as columns to sum
    for r, item in itertools.product(range(types), range(items)):
        tops = []
        for s, c in itertools.product(range(len(signals[item])), range(contexts)):
            for a in range(actions):
                row = {first[item] + w * len(signals[item]) + s: worth[r, w, c, a] for w in range(states)}
                rows.append(row | {columns: -1.0})
                right.append(0.0)
            tops.append(columns)
            columns += 1
        value.append(tops)
    for r in range(types):
        kept: dict[int, float] = {}
        constant = outside[r]
        if labels[r]:
            constant, item = 0.0, labels[r] - 1
            place = members[item].index(r)
            kept[item] = 1.0
            for s, w, c in itertools.product(range(len(signals[item])), range(states), range(contexts)):
                kept[first[item] + w * len(signals[item]) + s] = (
                    kept.get(first[item] + w * len(signals[item]) + s, 0.0) - worth[r, w, c, signals[item][s][place][c]]
                )
            rows.append(kept)
            right.append(-outside[r])
        for item in range(items):
            row = dict(kept)
            row[item] = row.get(item, 0.0) - 1.0
            for column in value[r * items + item]:
                row[column] = row.get(column, 0.0) + 1.0
            rows.append(row)
            right.append(constant)
    matrix = np.zeros((len(rows), columns))
    for k, row in enumerate(rows):
        for column, entry in row.items():
            matrix[k, column] = entry
    equal = np.zeros((items * states, columns))
    for item, w in itertools.product(range(items), range(states)):
        start = first[item] + w * len(signals[item])
        equal[item * states + w, start : start + len(signals[item])] = 1.0
    cost = np.zeros(columns)
    for r, label in enumerate(labels):
        if label:
            cost[label - 1] -= weight[r]
    experiments = sum(states * len(sent) for sent in signals)
    bounds = [(None, None)] * items + [(0.0, 1.0)] * experiments + [(None, None)] * (columns - items - experiments)
    result = linprog(cost, matrix, right, equal, np.ones(len(equal)), bounds, method="highs")
    assert result.status in (0, 2), result.message
    return -float(result.fun) if result.fun is not None and result.status == 0 else -np.inf
