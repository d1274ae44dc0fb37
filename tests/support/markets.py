"""One-buyer markets of extreme numbers, their exact optima, and what a solution must not say of them.

Written from the definition of the market alone (the docstring of ``optmarket.models.selling_information``), in Fractions; nothing
of the package is imported. Index order: ``joint[type][state][context]``, ``payoff[type][state][action]``.
"""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from support.exact_lp import Row, maximise

PROVED = Fraction(1, 10**6)  # the relative gap at which the headline says "optimal, proved"


NIL = Fraction(1, 10**13)  # share of what is at stake for the types, each by its weight, below which an optimum may count as 0


Table = list[list[Fraction]]


Experiment = Sequence[Sequence[Fraction]]  # [state][signal]


@dataclass(frozen=True)
class Case:
    """A market in exact numbers, with the text of its instance file."""

    name: str
    weights: list[Fraction]
    joint: list[Table]
    payoff: list[Table]
    values: list[Fraction] | None = None  # given if payoffs are matching ones times a value
    max_items: int | None = None

    def toml(self) -> str:
        """The instance file."""
        lines = ["format = 1", 'model = "selling-information"', f'title = "{self.name}"', 'source = "own"', "[params]"]
        if self.max_items is not None:
            lines.append(f"max_items = {self.max_items}")
        for k, (weight, joint, payoff) in enumerate(zip(self.weights, self.joint, self.payoff, strict=True)):
            lines += ["[[params.types]]", f'weight = "{weight}"']
            if len(joint[0]) == 1:
                lines.append(f"belief = [{', '.join(_text(row[0]) for row in joint)}]")
            else:
                lines.append(f"joint = {_matrix(joint)}")
            lines.append(f"payoff = {_matrix(payoff)}" if self.values is None else f'value = "{self.values[k]}"')
        return "\n".join(lines) + "\n"

    def scaled(self, factor: Fraction) -> Case:
        """The market with all payoffs multiplied."""
        return replace(
            self,
            payoff=[[[factor * u for u in row] for row in table] for table in self.payoff],
            values=None if self.values is None else [factor * v for v in self.values],
        )

    def shifted(self, constants: Sequence[Sequence[Fraction]]) -> Case:
        """The market with a constant [type][state] added to what every action pays in a state."""
        moved = [
            [[u + by for u in row] for row, by in zip(table, added, strict=True)]
            for table, added in zip(self.payoff, constants, strict=True)
        ]
        return replace(self, payoff=moved, values=None)

    def picked(self, order: Sequence[int], weights: Sequence[Fraction] | None = None) -> Case:
        """The market of the types in an order, repeated ones allowed, with other weights perhaps."""
        return replace(
            self,
            weights=[self.weights[k] for k in order] if weights is None else list(weights),
            joint=[self.joint[k] for k in order],
            payoff=[self.payoff[k] for k in order],
            values=None if self.values is None else [self.values[k] for k in order],
        )


def _text(number: Fraction) -> str:
    return f'"{number}"'


def _matrix(table: Table) -> str:
    rows = [", ".join(map(_text, row)) for row in table]
    return f"[{', '.join(f'[{row}]' for row in rows)}]"


# ---------------------------------------------------------------------------------------------------------------- exact optimum


def outside_option(joint: Table, payoff: Table) -> Fraction:
    """What a type gets without buying: its best action in each context."""
    return sum((max(_pay(joint, payoff, c)) for c in range(len(joint[0]))), Fraction(0))


def _pay(joint: Table, payoff: Table, context: int) -> list[Fraction]:
    """What each action pays in a context, probability included."""
    return [sum((joint[w][context] * payoff[w][a] for w in range(len(joint))), Fraction(0)) for a in range(len(payoff[0]))]


def full_worth(joint: Table, payoff: Table) -> Fraction:
    """What full information is worth to a type above its outside option."""
    full = sum((sum(measure) * max(paid) for measure, paid in zip(joint, payoff, strict=True)), Fraction(0))
    return full - outside_option(joint, payoff)


def worth(joint: Table, payoff: Table, experiment: Experiment) -> Fraction:
    """What an experiment is worth to a type that acts best on it, the outside option not deducted."""
    total = Fraction(0)
    states, signals = range(len(joint)), range(len(experiment[0]))
    for s in signals:
        for c in range(len(joint[0])):
            chance = [joint[w][c] * experiment[w][s] for w in states]
            total += max(sum((chance[w] * payoff[w][a] for w in states), Fraction(0)) for a in range(len(payoff[0])))
    return total


def full_information(weights: Sequence[Fraction], joint: Sequence[Table], payoff: Sequence[Table]) -> Fraction:
    """The best revenue of full information alone at one price."""
    worths = [full_worth(j, u) for j, u in zip(joint, payoff, strict=True)]
    return max(price * sum((f for f, w in zip(weights, worths, strict=True) if w >= price), Fraction(0)) for price in worths)


@dataclass(frozen=True)
class _Direct:
    """The direct mechanism's variables: an item for each type of positive weight, its signals recommended actions by context."""

    joint: list[Table]
    payoff: list[Table]

    @property
    def profiles(self) -> list[tuple[int, ...]]:
        return list(itertools.product(range(len(self.payoff[0][0])), repeat=len(self.joint[0][0])))

    def column(self, r: int, w: int, s: int) -> int:
        return (r * len(self.joint[0]) + w) * len(self.profiles) + s

    def price(self, r: int) -> int:
        return len(self.joint) * len(self.joint[0]) * len(self.profiles) + r

    def gain(self, r: int, w: int, profile: Sequence[int]) -> Fraction:
        """What following a profile pays type r in a state, probability included."""
        return sum((self.joint[r][w][c] * self.payoff[r][w][a] for c, a in enumerate(profile)), Fraction(0))

    def obeyed(self, r: int) -> dict[int, Fraction]:
        """Terms of type r's own item, obeyed, less its price."""
        terms = {self.column(r, w, s): self.gain(r, w, p) for w in range(len(self.joint[0])) for s, p in enumerate(self.profiles)}
        return {**terms, self.price(r): Fraction(-1)}


def _direct(
    weights: Sequence[Fraction], joint: Sequence[Table], payoff: Sequence[Table]
) -> tuple[_Direct, list[Fraction], list[Row], list[Any], list[Any]]:
    """The program without incentive constraints: stochastic items and individual rationality."""
    active = [k for k, weight in enumerate(weights) if weight]
    contexts = max(len(joint[k][0]) for k in active)
    padded = [[[*row, *[Fraction(0)] * (contexts - len(row))] for row in joint[k]] for k in active]
    direct = _Direct(padded, [payoff[k] for k in active])
    types, states, signals = range(len(active)), range(len(joint[0])), range(len(direct.profiles))
    n = direct.price(0)
    objective = [Fraction(0)] * n + [weights[k] for k in active]
    lower: list[Any] = [Fraction(0)] * (n + len(active))
    upper: list[Any] = [Fraction(1)] * n + [full_worth(direct.joint[r], direct.payoff[r]) for r in types]
    one = Fraction(1)
    rows = [Row({direct.column(r, w, s): one for s in signals}, one, one) for r in types for w in states]
    rows += [Row(direct.obeyed(r), outside_option(direct.joint[r], direct.payoff[r])) for r in types]
    return direct, objective, rows, lower, upper


def optimum(
    weights: Sequence[Fraction], joint: Sequence[Table], payoff: Sequence[Table], *, constraints: bool = True
) -> Fraction:
    """The exact optimal revenue, incentive constraints added as they fail at the exact point.

    Without ``constraints`` every type is charged what its item is worth to it: the first best.
    """
    direct, objective, rows, lower, upper = _direct(weights, joint, payoff)
    types, states, profiles = range(len(direct.joint)), range(len(joint[0])), direct.profiles
    actions, contexts = range(len(direct.payoff[0][0])), range(len(profiles[0]))
    place = {profile: s for s, profile in enumerate(profiles)}

    def more(x: list[Fraction], tolerance: Fraction) -> list[Row]:
        failing = []
        for r in types:
            own = direct.obeyed(r)
            mine = sum((value * x[column] for column, value in own.items()), Fraction(0))
            size = max(map(abs, own.values()))
            for q in types:
                best: list[tuple[int, ...]] = []
                gets = -x[direct.price(q)]
                for s in range(len(profiles)):
                    reply = []
                    for c in contexts:
                        pays = [
                            sum(
                                (direct.joint[r][w][c] * direct.payoff[r][w][a] * x[direct.column(q, w, s)] for w in states),
                                Fraction(0),
                            )
                            for a in actions
                        ]
                        reply.append(max(actions, key=pays.__getitem__))
                        gets += max(pays)
                    best.append(tuple(reply))
                if gets - mine > tolerance * size:
                    terms = dict(own)
                    for s, replies in enumerate(best):
                        for w in states:
                            column = direct.column(q, w, s)
                            terms[column] = terms.get(column, Fraction(0)) - direct.gain(r, w, profiles[place[replies]])
                    terms[direct.price(q)] = terms.get(direct.price(q), Fraction(0)) + 1
                    failing.append(Row({column: value for column, value in terms.items() if value}, Fraction(0)))
        return failing

    return maximise(objective, rows, lower, upper, more if constraints else None).value


def listed_program(
    weights: Sequence[Fraction], joint: Sequence[Table], payoff: Sequence[Table]
) -> tuple[list[Fraction], list[Row], list[Any], list[Any]]:
    """The whole program, for `maximise`: a variable for what each type gets after each signal of each item in each context."""
    direct, objective, rows, lower, upper = _direct(weights, joint, payoff)
    types, states, profiles = range(len(direct.joint)), range(len(joint[0])), direct.profiles
    for r, q in itertools.product(types, types):
        terms = direct.obeyed(r)
        terms[direct.price(q)] = terms.get(direct.price(q), Fraction(0)) + 1
        for s, c in itertools.product(range(len(profiles)), range(len(profiles[0]))):
            z = len(objective)
            bound = sum((direct.joint[r][w][c] * max(map(abs, direct.payoff[r][w])) for w in states), Fraction(0))
            objective.append(Fraction(0))
            lower.append(-bound)
            upper.append(bound)
            terms[z] = Fraction(-1)
            for a in range(len(direct.payoff[r][0])):
                pays = {direct.column(q, w, s): -direct.joint[r][w][c] * direct.payoff[r][w][a] for w in states}
                rows.append(Row({z: Fraction(1), **pays}, Fraction(0)))
        rows.append(Row(terms, Fraction(0)))
    return objective, rows, lower, upper


def optimum_of(case: Case) -> Fraction:
    """The exact optimal revenue, with the limit on items if there is one (by trying all assignments: for very few types)."""
    if case.max_items == 1:
        return full_information(case.weights, case.joint, case.payoff)
    if case.max_items is not None:
        active = [k for k, weight in enumerate(case.weights) if weight]
        weights, joint = [case.weights[k] for k in active], [case.joint[k] for k in active]
        payoff = [case.payoff[k] for k in active]
        found = full_information(weights, joint, payoff)  # the best of one item
        for given in itertools.product(range(-1, case.max_items), repeat=len(active)):
            used = list(dict.fromkeys(item for item in given if item >= 0))
            if len(used) > 1 and used == list(range(len(used))):  # items by number as they first occur
                found = max(found, _assigned(weights, joint, payoff, given))
        return found
    return optimum(case.weights, case.joint, case.payoff)


def _assigned(weights: list[Fraction], joint: list[Table], payoff: list[Table], given: tuple[int, ...]) -> Fraction:
    """The best revenue if type r takes item ``given[r]`` (-1: none): signals carry a reply of every buyer of the item at once.

    An item has a signal for each profile of its buyers' replies; all others may reply as they like.
    """
    actions, states = range(len(payoff[0][0])), range(len(joint[0]))
    contexts = [range(len(table[0])) for table in joint]
    sold = sorted(set(given) - {-1})
    if not sold:
        return Fraction(0)
    signals: dict[int, list[dict[int, tuple[int, ...]]]] = {}
    start: dict[int, int] = {}
    columns = 0
    for item in sold:
        buyers = [r for r, taken in enumerate(given) if taken == item]
        replies = [list(itertools.product(actions, repeat=len(contexts[r]))) for r in buyers]
        signals[item] = [dict(zip(buyers, choice, strict=True)) for choice in itertools.product(*replies)]
        start[item] = columns
        columns += len(signals[item]) * len(joint[0])
    price = {item: columns + k for k, item in enumerate(sold)}

    def column(item: int, w: int, s: int) -> int:
        return start[item] + w * len(signals[item]) + s

    def gain(r: int, w: int, reply: Sequence[int]) -> Fraction:
        return sum((joint[r][w][c] * payoff[r][w][a] for c, a in enumerate(reply)), Fraction(0))

    def own(r: int) -> dict[int, Fraction]:
        if given[r] < 0:
            return {}
        item = given[r]
        terms = {column(item, w, s): gain(r, w, told[r]) for w in states for s, told in enumerate(signals[item])}
        return {**terms, price[item]: Fraction(-1)}

    largest = max(full_worth(j, u) for j, u in zip(joint, payoff, strict=True))
    objective = [Fraction(0)] * columns + [
        sum((f for f, taken in zip(weights, given, strict=True) if taken == item), Fraction(0)) for item in sold
    ]
    lower: list[Any] = [Fraction(0)] * len(objective)
    upper: list[Any] = [Fraction(1)] * columns + [largest] * len(sold)
    one = Fraction(1)
    rows = [Row({column(item, w, s): one for s in range(len(signals[item]))}, one, one) for item in sold for w in states]
    rows += [Row(own(r), outside_option(joint[r], payoff[r])) for r, taken in enumerate(given) if taken >= 0]

    def more(x: list[Fraction], tolerance: Fraction) -> list[Row]:
        failing = []
        for r in range(len(weights)):
            mine = own(r)
            keeps = outside_option(joint[r], payoff[r]) if given[r] < 0 else Fraction(0)
            gets = keeps + sum((value * x[k] for k, value in mine.items()), Fraction(0))
            size = max(map(abs, itertools.chain.from_iterable(payoff[r]))) + 1
            for item in sold:
                terms = dict(mine)
                other = -x[price[item]]
                for s in range(len(signals[item])):
                    for c in contexts[r]:
                        pays = [
                            sum((joint[r][w][c] * payoff[r][w][a] * x[column(item, w, s)] for w in states), Fraction(0))
                            for a in actions
                        ]
                        a = max(actions, key=pays.__getitem__)
                        other += pays[a]
                        for w in states:
                            k = column(item, w, s)
                            terms[k] = terms.get(k, Fraction(0)) - joint[r][w][c] * payoff[r][w][a]
                if other - gets > tolerance * size:
                    terms[price[item]] = terms.get(price[item], Fraction(0)) + 1
                    failing.append(Row({k: value for k, value in terms.items() if value}, -keeps))
        return failing

    return maximise(objective, rows, lower, upper, more).value


# ------------------------------------------------------------------------------------------------------- what may not be printed


def menu_revenue(case: Case, mechanism: Mapping[str, Any]) -> tuple[Fraction, Fraction]:
    """What a printed menu earns in exact arithmetic when every type takes what is best for it, ties against and for the seller.

    The printed floats are taken at their exact values; an experiment's rows are divided by their sums.
    """
    items = []
    for item in mechanism["items"]:
        experiment = [[Fraction(p) for p in row] for row in item["experiment"]]
        items.append(([[p / sum(row) for p in row] for row in experiment], Fraction(item["price"])))
    against = in_favour = Fraction(0)
    for weight, joint, payoff in zip(case.weights, case.joint, case.payoff, strict=True):
        if not weight:
            continue
        offers = [(outside_option(joint, payoff), Fraction(0))]
        offers += [(worth(joint, payoff, experiment) - price, price) for experiment, price in items]
        best = max(utility for utility, _ in offers)
        prices = [price for utility, price in offers if utility == best]
        against += weight * min(prices)
        in_favour += weight * max(prices)
    return against, in_favour


def at_stake(case: Case) -> Fraction:
    """The types' largest payoff differences in a state, weighted: below rounding of this, revenue is as good as none."""
    spreads = [max(max(row) - min(row) for row in table) for table in case.payoff]
    return sum((weight * spread for weight, spread in zip(case.weights, spreads, strict=True)), Fraction(0))


def verify(case: Case, solution: Any, exact: Fraction) -> list[str]:
    """What a solution says that is not so, one word first; nothing if it is right or honestly says that it does not know.

    Parameters
    ----------
    case : Case
    solution : Solution
    exact : Fraction
        The market's optimal revenue.
    """
    mistakes = []
    certificate, value = solution.certificate, solution.value
    lower, upper = certificate.lower, certificate.upper
    optimal = str(solution.status) == "optimal"
    if str(solution.status) in {"infeasible", "unbounded", "failed"}:
        mistakes.append(f"status: {solution.status} though every market of this kind has an optimum")
    if not lower <= upper:
        mistakes.append(f"bracket: lower end {lower!r} above upper end {upper!r}")
    if math.isnan(lower) or Fraction(lower) > exact:
        mistakes.append(f"lower: {lower!r} above the optimum {float(exact)!r}, relative {_off(lower, exact):.3g}")
    if not math.isinf(upper) and Fraction(upper) < exact:
        mistakes.append(f"upper: {upper!r} below the optimum {float(exact)!r}, relative {_off(upper, exact):.3g}")
    size = max(abs(Fraction(lower)), abs(Fraction(upper))) if not math.isinf(upper) else None
    gap = math.inf if size is None else float((Fraction(upper) - Fraction(lower)) / size) if size else 0.0
    nil = size is not None and size <= NIL * at_stake(case)
    if nil and not certificate.gap:
        gap = 0.0
    if not math.isclose(gap, certificate.gap, rel_tol=1e-6, abs_tol=1e-15):
        mistakes.append(f"gap: {certificate.gap!r} is said, {gap!r} follows from the ends")
    if optimal and not nil:
        if not gap <= PROVED:
            mistakes.append(f"proved: with a gap of {gap:.3g}, value {value!r}, optimum {float(exact)!r}")
        if abs(Fraction(value) - exact) > PROVED * exact:
            mistakes.append(f"value: {value!r} is optimal, the optimum is {float(exact)!r}")
        single = full_information(case.weights, case.joint, case.payoff)
        if Fraction(value) < single * (1 - PROVED):
            mistakes.append(f"full: {value!r} is optimal, full information alone earns {float(single)!r}")
    if not Fraction(value) >= Fraction(lower) * (1 - Fraction(1, 10**12)):
        mistakes.append(f"below: value {value!r} below its own lower end {lower!r}")
    if Fraction(value) > Fraction(upper if math.isfinite(upper) else value) * (1 + Fraction(1, 10**12)):
        mistakes.append(f"above: value {value!r} above its own upper end {upper!r}")
    if solution.exact is not None and solution.exact != exact:
        mistakes.append(f"exact: {solution.exact} is stated, {exact} is right")
    against, in_favour = menu_revenue(case, solution.mechanism)
    # an optimum that is proved exactly is earned with ties for the seller, which the page says, but for its floats' rounding
    earns, least = (against, Fraction(lower)) if solution.exact is None else (in_favour, Fraction(lower) * (1 - PROVED))
    if earns < least:
        mistakes.append(f"menu: earns {float(against)!r} to {float(in_favour)!r} by its ties, not the lower end {lower!r}")
    return mistakes


def _off(value: float, exact: Fraction) -> float:
    return float(abs(Fraction(value) - exact) / exact) if exact else math.inf


def read_case(path: Path) -> Case:
    """A market of finitely many types from its instance file, numbers exact."""
    given = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Fraction)["params"]
    weights, joint, payoff = [], [], []
    for kind in given["types"]:
        weights.append(Fraction(kind["weight"]))
        joint.append([[Fraction(x)] for x in kind["belief"]] if "belief" in kind else _exactly(kind["joint"]))
        own, value = kind.get("payoff", given.get("payoff", "matching")), Fraction(kind.get("value", 1))
        states = range(len(joint[-1]))
        table = [[Fraction(int(a == w)) for a in states] for w in states] if own == "matching" else _exactly(own)
        payoff.append([[value * u for u in row] for row in table])
    return Case(path.stem, weights, joint, payoff, max_items=given.get("max_items"))


def _exactly(table: Sequence[Sequence[Any]]) -> Table:
    return [[Fraction(x) for x in row] for row in table]
