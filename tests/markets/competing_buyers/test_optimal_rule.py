"""Virtual values and thresholds, the reduced program and rules by scores are one another's judges."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
from support.competing_markets import UNIFORM, finite_market, finite_values, listed_values

from optmarket.errors import ModelError
from optmarket.lp import highs
from optmarket.models.competing_buyers.market import FiniteTypes
from optmarket.models.competing_buyers.mechanisms.by_profile import ProfileMechanism
from optmarket.models.competing_buyers.mechanisms.by_score import ScoreMechanism
from optmarket.models.competing_buyers.outcomes import assess
from optmarket.models.competing_buyers.solvers import reduced_form_lp
from optmarket.models.competing_buyers.solvers.by_virtual_values import optimal_mechanism
from optmarket.models.competing_buyers.virtual_values.optimal_rule import OptimalRule, optimal_rule
from optmarket.rationals import floats


def random_market(seed: int) -> FiniteTypes:
    rng = np.random.default_rng(seed)

    def simplex(size: int) -> list[F]:
        parts = rng.integers(1, 6, size)
        return [F(int(part), int(parts.sum())) for part in parts]

    buyers = []
    for _ in range(int(rng.integers(2, 5))):
        weights = simplex(int(rng.integers(1, 5)))
        buyers.append({"types": listed_values([F(int(v), 4) for v in rng.integers(0, 9, len(weights))], weights)})
    prior, alpha = simplex(int(rng.integers(2, 4))), F(int(rng.integers(0, 13)), 4)
    return finite_market(buyers, alpha, ("bayesian", "ex-post")[seed % 2], prior=prior)


@pytest.mark.parametrize("seed", range(30))
def test_forms_agree(seed: int) -> None:
    market = random_market(seed)
    found = optimal_rule(market, exact=True)
    program = reduced_form_lp.build(market)
    assert highs.solve(program).bound * program.unit == pytest.approx(float(found.revenue), abs=1e-9)
    assert float(optimal_rule(market, exact=False).revenue) == pytest.approx(float(found.revenue), abs=1e-11)
    # the mechanism written out earns as much and keeps the constraints, and so does the rule by scores, judged by sums
    correct, paid = found.with_payments()
    chance = np.array(F(1), dtype=object)
    for one in found.buyers:
        chance = np.multiply.outer(chance, one.weight)
    earned: Any = 0
    for i, one in enumerate(found.buyers):
        earned += (paid[i] * chance).sum() if market.ex_post else paid[i] @ one.weight
        others = tuple(j for j in range(len(found.buyers)) if j != i)
        mean = (correct[i] * chance).sum(axis=others) / one.weight
        assert all(mean >= found.uninformed)
        assert not market.ex_post or correct[i].min() >= found.uninformed
    assert earned == found.revenue
    made = [found.buyers[market.group_of.index(g)] for g in range(len(market.groups))]
    by_scores = ScoreMechanism.optimal(market, [floats(one.ironed)[one.place] for one in made])
    listed = optimal_mechanism(market, found)
    assert isinstance(listed, ProfileMechanism)
    judged, plain = assess(by_scores), assess(listed)
    assert judged.worst < 1e-12
    assert judged.quantities["revenue"] == pytest.approx(float(found.revenue), abs=1e-11)
    if all(sums_.value.size == np.unique(floats(sums_.value).round(9)).size for sums_ in found.others) and not ties(found):
        assert judged.quantities == pytest.approx(plain.quantities, abs=1e-10)


def ties(found: OptimalRule) -> bool:
    """Whether some virtual value equals a sum of rivals': then one may be told right or not."""
    pairs = zip(found.buyers, found.others, strict=True)
    return any(np.isin(floats(one.ironed).round(9), floats(rest.value).round(9)).any() for one, rest in pairs)


def test_dual_values_are_the_mass_above() -> None:
    market = finite_values([{"count": 2, "types": listed_values([5, 6, 7, 8], ["1/4", "1/4", "1/3", "1/6"])}], "1/4")
    program = reduced_form_lp.build(market)
    result = highs.solve(program)
    names = [name for name, rows in program.rows.items() for _ in range(len(rows))]
    below, above = (
        np.array([abs(y) for name, y in zip(names, result.dual_values, strict=True) if name == f"misreport {way} 1"])
        for way in ("below", "above")
    )
    # 1 - F, what virtual values are made of, for each of the two alike
    assert (below - above) / 2 == pytest.approx([3 / 4, 1 / 2, 1 / 6], abs=1e-9)


def test_ten_buyers_three_ways() -> None:
    grid = {"size": 12, "rule": "lower"}
    market = finite_values([{"count": 10, "value": UNIFORM, "grid": grid}])
    exact = optimal_rule(market, exact=True)
    spread = optimal_rule(market, exact=False)
    assert spread.excess > 0  # a lattice: all sums of nine are too many
    assert spread.revenue - spread.excess - 1e-10 <= float(exact.revenue) <= spread.revenue + 1e-10
    assert spread.excess < 1e-5


@pytest.mark.parametrize("needs_a_prior", [optimal_rule, reduced_form_lp.build])
def test_refused_without_a_prior(needs_a_prior: Callable[[FiniteTypes], object]) -> None:
    given = finite_market([{"count": 2, "types": [{"weight": 1, "belief": ["1/2", "1/2"]}]}], 1)
    with pytest.raises(ModelError, match="one prior for all buyers") as caught:
        needs_a_prior(given)
    assert caught.value.field == "method"
