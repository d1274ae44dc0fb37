"""One-buyer markets in plain lists, and their optimum by exact linear programs of their own."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from optmarket.models import selling_information as model

Numbers = list[list[Fraction]]


@dataclass(frozen=True)
class Case:
    """A market in plain lists: weight[type], joint[type][state][context], payoff[type][state][action]."""

    weight: list[Fraction]
    joint: list[Numbers]
    payoff: list[Numbers]

    @property
    def types(self) -> range:
        return range(len(self.weight))

    @property
    def states(self) -> range:
        return range(len(self.payoff[0]))

    @property
    def contexts(self) -> range:
        return range(len(self.joint[0][0]))

    @property
    def actions(self) -> range:
        return range(len(self.payoff[0][0]))

    def params(self) -> model.Params:
        parts = zip(self.weight, self.joint, self.payoff, strict=True)
        types = [{"weight": weight, "joint": joint, "payoff": payoff} for weight, joint, payoff in parts]
        return model.Params.model_validate({"payoff": self.payoff[0], "types": types})


def identity(n: int) -> Numbers:
    return [[Fraction(int(a == w)) for a in range(n)] for w in range(n)]


def shares(counts: Any) -> list[Fraction]:
    return [Fraction(int(count), int(sum(counts))) for count in counts]


def measure(rng: np.random.Generator, states: int, contexts: int, most: int) -> Numbers:
    counts = rng.integers(0, most + 1, size=states * contexts)
    flat = shares(counts if counts.any() else counts + 1)
    return [flat[w * contexts : (w + 1) * contexts] for w in range(states)]


def drawn(seed: int, n: int, states: int, actions: int, contexts: int, kind: str, most: int = 30) -> Case:
    """A random market in numbers up to `most`; small ones make ties and zeros."""
    rng = np.random.default_rng(seed)

    def payoffs() -> Numbers:
        favoured = rng.permuted(np.arange(states) % actions)
        noise = rng.integers(-most // 2, most // 2 + 1, size=(states, actions))
        return [[Fraction(int(k) + most * int(a == favoured[w]), most) for a, k in enumerate(noise[w])] for w in range(states)]

    shared = identity(states) if kind == "matching" else payoffs()
    payoff = [payoffs() if kind == "own" else shared for _ in range(n)]
    return Case(shares(rng.integers(1, most + 1, size=n)), [measure(rng, states, contexts, most) for _ in range(n)], payoff)
