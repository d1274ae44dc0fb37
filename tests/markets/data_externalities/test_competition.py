"""Two platforms: the nine profiles of two users by hand, and the definition for three."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support.data_users import market, random_market, squared

from optmarket.models.data_externalities.competition import Competition, competition
from optmarket.models.data_externalities.params import Platforms


def of(value: Any, **platforms: Any) -> Competition:
    users = market(squared("1/2"), value, platforms=platforms)
    assert users.platforms is not None
    return competition(users, users.platforms, Fraction(1, 10**12))


@pytest.mark.parametrize(
    ("value", "joining", "pure", "half", "together"),
    [
        (["1/2", 10], {"joining_value": 20}, [((1, 2), 40.25)], 39.125, 38),
        (["1/2", "1/2"], {"joining_value": 20}, [((1, 2), 40.5)], 40.5357142857, 40.5714285714),
        (["9/10", 50], {"joining_value": 5}, [((1, 2), 10.05)], 3.925, -2.2),
        (["6/5", "6/5"], {"joining_value": 5}, [((1, 2), 10.0)], 9.8857142857, 9.7714285714),
        (["1/2", 8], {"joining_value_by_user": [[5, 15], 5]}, [], None, None),
    ],
)
def test_the_examples(value: Any, joining: Any, pure: Any, half: Any, together: Any) -> None:
    found = of(value, **joining)
    assert [(one.joined, pytest.approx(float(one.surplus))) for one in found.pure] == pure
    if half is not None:
        assert (float(found.half_surplus), float(found.together_surplus)) == pytest.approx((half, together))


def test_joining_by_chance_is_no_equilibrium_where_joining_is_worth_little() -> None:
    assert [float(one) for one in of(["1/2", 10], joining_value="1/10").half_payoff] == pytest.approx([0.1, -1.15])


@pytest.mark.parametrize("seed", range(30))
def test_low_users_stay_together_if_and_only_if_company_is_worth_the_leak(seed: int) -> None:
    """All three on one platform is an equilibrium iff ``c_i(V) - c_i({i}) >= v_i I_i(V without i)`` for every i."""
    users = random_market(3, seed, most=1.0)
    company = np.random.default_rng(seed).uniform(0, 0.5)
    joining = [10.0, 10.0 + company / 2, 10.0 + company]
    found = competition(users, Platforms.model_validate({"joining_value": joining}), 0)
    worst = max(float(users.value[i]) * float(users.profiles.without[7, i]) for i in range(3))
    assert ((1, 1, 1) in [one.joined for one in found.pure]) is (company >= worst)


@pytest.mark.parametrize("seed", range(6))
def test_three_users_by_the_definition(seed: int) -> None:
    """Each platform's choice, and every user's three options, computed one by one."""
    users = random_market(3, seed)
    platforms = Platforms.model_validate({"joining_value": ["1/10", "3/10", "1/2"]})
    value = [float(one) for one in users.value]

    def on_platform(group: frozenset[int]) -> tuple[dict[int, float], float]:
        best: tuple[float, float, Any] | None = None
        for sharers in itertools.chain.from_iterable(itertools.combinations(sorted(group), k) for k in range(len(group) + 1)):
            shares = [i in sharers for i in range(3)]
            leak, without = users.leaks.at(np.array(shares), exact=False)
            payoff = sum(leak[i] - (value[i] * (leak[i] - without[i]) if shares[i] else 0) for i in group)
            surplus = sum((1 - value[i]) * leak[i] for i in group)
            if best is None or payoff > best[0] + 1e-12:
                best = payoff, surplus, without
        assert best is not None
        joining = [0.1, 0.3, 0.5][len(group) - 1] if group else 0.0
        return {i: joining - value[i] * best[2][i] for i in group}, best[1] + joining * len(group)

    expected = []
    for joined in itertools.product((0, 1, 2), repeat=3):
        groups = [frozenset(i for i in range(3) if joined[i] == k) for k in (0, 1, 2)]

        def having(i: int, k: int, groups: list[frozenset[int]] = groups) -> float:
            return on_platform(groups[k] | {i})[0][i] if k else 0.0

        stay = all(having(i, joined[i]) >= max(having(i, k) for k in (0, 1, 2)) - 1e-12 for i in range(3))
        if stay and next((one for one in joined if one), 1) == 1:  # the other name of the same is left out
            expected.append((joined, pytest.approx(on_platform(groups[1])[1] + on_platform(groups[2])[1])))
    found = competition(users, platforms, 0)
    assert [(one.joined, float(one.surplus)) for one in found.pure] == expected
    assert all(float(one.surplus) <= float(found.first_best) + 1e-12 for one in found.pure)
    assert float(found.half_surplus) <= float(found.first_best)
