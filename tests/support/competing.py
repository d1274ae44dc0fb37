"""Markets of competing buyers drawn with stakes of all sizes, two states, and their optima by an exact program written anew."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from support.exact_lp import Row, maximise

F = Fraction
OBEY = (0, 1)
MAPS = (OBEY, (1, 0), (0, 0), (1, 1))  # the action taken after each recommendation


@dataclass(frozen=True)
class Type:
    """Share, value and belief in the first state."""

    weight: F
    value: F
    belief: F


@dataclass(frozen=True)
class Market:
    """Buyers' types, the externality, and whether incentives hold ex post."""

    buyers: tuple[tuple[Type, ...], ...]
    alpha: F
    ex_post: bool

    def params(self) -> dict[str, Any]:
        """As an instance file has it."""
        return {
            "externality": str(self.alpha),
            "ic": "ex-post" if self.ex_post else "bayesian",
            "buyers": [
                {
                    "types": [
                        {"weight": str(t.weight), "value": str(t.value), "belief": [str(t.belief), str(1 - t.belief)]}
                        for t in types
                    ]
                }
                for types in self.buyers
            ],
        }


def drawn(seed: int) -> Market:
    """Two buyers of one to three types; of values, weights and beliefs some or all over 24 orders of magnitude."""
    rng = random.Random(seed)
    wild = [rng.random() < 0.6 for _ in range(3)]

    def size(far: bool) -> F:
        return F(rng.randint(1, 9)) * F(10) ** (rng.randint(-12, 12) if far else 0)

    buyers = []
    for _ in range(2):
        weights = [size(wild[1]) for _ in range(rng.randint(1, 3))]
        types = []
        for weight in weights:
            near = F(rng.randint(1, 9), 10) * (F(10) ** rng.randint(-12, 0) if wild[2] else 1)
            belief = rng.choice([near, 1 - near, F(rng.randint(0, 4), 4)])
            value = F(0) if rng.random() < 0.05 else size(wild[0])
            types.append(Type(weight / sum(weights), value, belief))
        buyers.append(tuple(types))
    return Market(tuple(buyers), rng.choice([F(0), F(1, 2), F(1), F(2)]), rng.random() < 0.5)


def optimum(market: Market) -> F:
    """The largest revenue of any mechanism without profitable deviations, exactly.

    Columns: the chance that each buyer is told right at each profile in each state, and payments, by profile ex post. Who values
    nothing acts as it believes.
    """
    shape = tuple(map(len, market.buyers))
    profiles = list(itertools.product(*map(range, shape)))
    told: dict[tuple[int, tuple[int, ...], int], int] = {}
    for key in itertools.product(range(2), profiles, range(2)):
        told[key] = len(told)
    paid: dict[tuple[int, Any], int] = {}
    for i in range(2):
        for p in profiles if market.ex_post else [(k,) for k in range(shape[i])]:
            paid[i, p] = len(told) + len(paid)
    columns = len(told) + len(paid)
    objective, low, high = [F(0)] * columns, [F(0)] * columns, [F(1)] * columns
    most = max(t.value for types in market.buyers for t in types) * (2 + market.alpha)
    for (i, p), column in paid.items():
        low[column], high[column] = -most, most
        objective[column] = market.buyers[i][p[i if market.ex_post else 0]].weight
        if market.ex_post:
            objective[column] *= market.buyers[1 - i][p[1 - i]].weight
    rows = []
    for i, types in enumerate(market.buyers):
        rivals = market.buyers[1 - i]
        every: Sequence[Sequence[tuple[int, F]]] = (
            [[(r, F(1))] for r in range(len(rivals))] if market.ex_post else [[(r, t.weight) for r, t in enumerate(rivals)]]
        )
        for cases in every:

            def payoff(one: Type, report: int, acts: tuple[int, int], i: int = i, cases: Any = cases) -> tuple[dict[int, F], F]:
                """Per unit of value: terms and a constant."""
                terms: dict[int, F] = {}
                constant = F(0)
                for rival, chance in cases:
                    p = (report, rival) if i == 0 else (rival, report)
                    for w, b in ((0, one.belief), (1, 1 - one.belief)):
                        # told right recommends w, told wrong the other: each is followed by what the map says
                        right, wrong = int(acts[w] == w), int(acts[1 - w] == w)
                        constant += chance * b * wrong
                        mine, theirs = told[i, p, w], told[1 - i, p, w]
                        terms[mine] = terms.get(mine, F(0)) + chance * b * (right - wrong)
                        terms[theirs] = terms.get(theirs, F(0)) - market.alpha * chance * b
                return terms, constant

            for k, one in enumerate(types):
                columns_of = [paid[i, _profile(i, q, cases[0][0]) if market.ex_post else (q,)] for q in range(shape[i])]
                honest, kept = payoff(one, k, OBEY)
                unit = one.value or F(1)
                rest = {columns_of[k]: -1 / unit} if one.value else {}
                outside = max(one.belief, 1 - one.belief) - market.alpha
                if one.value:
                    rows.append(Row({**honest, **rest}, lower=outside - kept))
                else:
                    rows.append(Row({columns_of[k]: F(1)}, upper=F(0)))
                for q, acts in itertools.product(range(shape[i]), MAPS):
                    if (q, acts) == (k, OBEY):
                        continue
                    if not one.value and q != k:
                        if acts == OBEY:
                            rows.append(Row({columns_of[q]: F(1), columns_of[k]: F(-1)}, lower=F(0)))
                        continue
                    terms, constant = payoff(one, q, acts)
                    total = dict(honest)
                    for column, value in terms.items():
                        total[column] = total.get(column, F(0)) - value
                    if one.value and q != k:
                        total[columns_of[k]] = -1 / unit
                        total[columns_of[q]] = 1 / unit
                    total = {column: value for column, value in total.items() if value}
                    if total:
                        rows.append(Row(total, lower=constant - kept))
    return maximise(objective, rows, low, high).value


def _profile(i: int, own: int, rival: int) -> tuple[int, int]:
    return (own, rival) if i == 0 else (rival, own)
