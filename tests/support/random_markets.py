"""Random markets of one buyer in exact numbers, of all kinds and over many orders of magnitude."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from support.markets import Case, Table, full_information

# --------------------------------------------------------------------------------------------------------------- random markets


def _size(rng: random.Random, low: int = -12, high: int = 12) -> Fraction:
    """A number of few digits, its order of magnitude uniform."""
    return rng.randint(1, 99) * Fraction(10) ** rng.randint(low, high)


def _to_one(values: Sequence[Fraction]) -> list[Fraction]:
    return [value / sum(values) for value in values]


def _plain(rng: random.Random, types: int, states: int, actions: int) -> list[Table]:
    return [[[Fraction(rng.randint(-20, 40), 10) for _ in range(actions)] for _ in range(states)] for _ in range(types)]


def _matching(values: Sequence[Fraction], states: int) -> list[Table]:
    return [[[value if a == w else Fraction(0) for a in range(states)] for w in range(states)] for value in values]


KINDS = (
    "plain",
    "values",  # matching payoffs, values far apart
    "stakes",  # one state matters enormously
    "rare",  # an event of small probability with large losses
    "weights",  # types of tiny weight
    "constants",  # payoffs far from zero
    "ties",  # types almost alike
    "wild",  # every payoff of an order of magnitude of its own
    "beliefs",  # probabilities of every order of magnitude
    "mixed",  # several of these at once
)


def random_market(seed: int, kind: str | None = None, *, max_types: int = 4, max_items: int | None = None) -> Case:
    """A market drawn by its seed: 1 to 4 types, 2 or 3 states and actions, 1 or 2 contexts, numbers over 24 orders of magnitude.

    In nine of ten markets information is worth something to somebody.
    """
    rng = random.Random(seed)
    kind = kind or rng.choice(KINDS)
    while True:
        case = _drawn(rng, kind, f"{kind} {seed}", max_types, max_items)
        if seed % 10 == 0 or full_information(case.weights, case.joint, case.payoff):
            return case


def _drawn(rng: random.Random, kind: str, name: str, max_types: int, max_items: int | None) -> Case:
    chosen = {kind} if kind != "mixed" else set(rng.sample(KINDS[1:-1], rng.randint(2, 4)))
    types, states = rng.randint(1, max_types), rng.choice([2, 2, 3])
    contexts = 2 if rng.random() < 0.2 else 1
    actions = 2 if contexts == 2 else rng.choice([2, 3])
    values: list[Fraction] | None = None
    if "values" in chosen or (kind == "mixed" and rng.random() < 0.2):
        if contexts == 2:
            states = 2
        values = [_size(rng) if "values" in chosen else Fraction(rng.randint(1, 9)) for _ in range(types)]
        payoff = _matching(values, states)
    elif "wild" in chosen:
        payoff = [[[rng.choice([-1, 0, 1, 1]) * _size(rng) for _ in range(actions)] for _ in range(states)] for _ in range(types)]
    else:
        payoff = _plain(rng, types, states, actions)
    # beliefs
    low = -12 if "beliefs" in chosen else 0
    joint = []
    for _ in range(types):
        flat = _to_one(
            [
                rng.choice([1, 1, 1, 0] if rng.random() < 0.3 else [1]) * _size(rng, low, 0) or Fraction(1, 10**9)
                for _ in range(states * contexts)
            ]
        )
        joint.append([flat[w * contexts : (w + 1) * contexts] for w in range(states)])
    if "rare" in chosen:
        chance, loss = _size(rng, -12, -4) / 10, _size(rng, 4, 12)
        for k in range(types):
            rest = sum((sum(row) for row in joint[k][1:]), Fraction(0))
            p = chance * rng.randint(1, 9) / 10
            first = sum(joint[k][0])
            joint[k] = [[x / first * p for x in joint[k][0]], *([x / rest * (1 - p) for x in row] for row in joint[k][1:])]
            if values is None:
                payoff[k][0] = [
                    u - (0 if a == 0 else loss * rng.choice([1, 1, rng.randint(1, 9)])) for a, u in enumerate(payoff[k][0])
                ]
    if "stakes" in chosen and values is None:
        state, factor = rng.randrange(states), _size(rng, 3, 12) if rng.random() < 0.7 else _size(rng, -12, -3)
        for table in payoff:
            table[state] = [u * factor for u in table[state]]
    if "ties" in chosen:
        off = _size(rng, -12, -7)
        for k in range(1, types):
            joint[k] = [[x * (1 + off * rng.randint(-3, 3) / 100) for x in row] for row in joint[0]]
            total = sum(map(sum, joint[k]))
            joint[k] = [[x / total for x in row] for row in joint[k]]
            if rng.random() < 0.5:
                payoff[k] = [[u * (1 + off * rng.randint(0, 3) / 100) for u in row] for row in payoff[0]]
        values = None
    if "constants" in chosen:
        for k in range(types):
            payoff[k] = [[u + by for u in row] for row in payoff[k] for by in [rng.choice([-1, 1]) * _size(rng, 0, 12)]]
        values = None
    weights = _to_one([_size(rng, -12 if "weights" in chosen else 0, 0) for _ in range(types)])
    if types > 1 and rng.random() < 0.1:
        weights = _to_one([Fraction(0), *weights[1:]])
    if values is None and "wild" not in chosen and rng.random() < 0.25:  # types that share what they want
        payoff = [payoff[0] for _ in payoff]
    return Case(name, weights, joint, payoff, values, max_items)


def cases(count: int, start: int = 0, **given: Any) -> Iterator[Case]:
    """Markets of consecutive seeds."""
    return (random_market(seed, **given) for seed in range(start, start + count))
