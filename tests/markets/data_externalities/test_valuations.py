"""Secret values: what a report brings, by numerical integration over a fine grid of reports."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from support.data_users import covariance, market, squared

from optmarket.models.data_externalities import Market
from optmarket.models.data_externalities.valuations import payments, stretches
from optmarket.models.data_externalities.virtual import virtual_value

UNIFORM = {"dist": "uniform", "scale": 2}
STEPS = {"density": [{"from": 0, "to": 1, "height": "1/4"}, {"from": 1, "to": 2, "height": "3/4"}]}


def by_integration(users: Market, user: int, reports: Any) -> tuple[Any, Any, Any]:
    """Leak, stated and corrected payment at each report: the platform's choice one report at a time, sums for integrals."""
    profiles, distributions = users.profiles, users.distributions
    assert distributions is not None
    leaks, own, without = [], [], []
    from fractions import Fraction

    for report in reports:
        charged = np.array(users.charged, dtype=float)
        charged[user] = float(virtual_value(distributions[user], Fraction(report)))
        leak = np.array(profiles.leak, dtype=float)
        rest = np.array(profiles.without, dtype=float)
        k = (leak - charged * (leak - rest)).sum(axis=1).argmax()
        leaks.append(leak[k, user])
        own.append(leak[k, user] - rest[k, user])
        without.append(rest[k, user])
    step = reports[1] - reports[0]
    leak, own_leak = np.array(leaks), np.array(own)

    def later(values: Any) -> Any:
        return (np.cumsum(values[::-1])[::-1] - values / 2) * step

    stated = later(own_leak) + reports * own_leak
    corrected = reports * leak + later(leak) - 2 * without[-1]
    return leak, stated, corrected


@pytest.mark.parametrize("known", [UNIFORM, STEPS])
@pytest.mark.parametrize("seed", range(3))
def test_payments_and_gains_are_those_of_the_integrals(seed: int, known: dict[str, Any]) -> None:
    matrix = covariance(3, seed)
    matrix /= np.sqrt(np.diagonal(matrix))[:, None] * np.sqrt(np.diagonal(matrix))
    value = np.random.default_rng(seed).uniform(0.1, 1.9, 3).round(2).tolist()
    users = market((matrix + matrix.T) / 2, value, valuation=known)
    reports = np.linspace(0, 2, 2001)[:-1] + 0.0005
    for user, distribution in enumerate(users.distributions or ()):
        leak, stated, corrected = by_integration(users, user, reports)
        found = payments(users, user, distribution)
        here = int(np.abs(reports - value[user]).argmin())
        assert float(found.stated) == pytest.approx(stated[here], abs=5e-3)
        assert float(found.corrected) == pytest.approx(corrected[here], abs=5e-3)
        for payment, gain in ((stated, found.stated_gain), (corrected, found.corrected_gain)):
            kept = payment - value[user] * leak
            assert float(gain) == pytest.approx(max(0.0, (kept - kept[here]).max()), abs=1e-2)
        assert found.truthful == bool((np.diff(leak) <= 1e-12).all())
        if found.truthful:
            assert found.corrected_gain == 0
        parts = stretches(users, user, distribution)
        assert parts[0].low == 0 and parts[-1].high == 2
        assert all(one.high == other.low for one, other in itertools.pairwise(parts))


def test_the_payment_of_the_talk_can_be_gained_from() -> None:
    users = market(squared("4/5"), ["17/10", "9/10"], valuation=UNIFORM)
    assert users.distributions is not None
    found = payments(users, 0, users.distributions[0])
    assert (float(found.stated_gain), float(found.corrected_gain)) == pytest.approx((0.64, 0.2)) and not found.truthful
    assert float(stretches(users, 0, users.distributions[0])[-1].low) == pytest.approx(1.8777777778)


def test_the_virtual_value_of_a_uniform_distribution_is_twice_the_value() -> None:
    users = market([[1]], "3/4", valuation=UNIFORM)
    assert users.charged.tolist() == [1.5]
