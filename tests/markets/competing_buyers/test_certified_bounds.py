"""What bounds on the revenue of competing buyers are certain of: gains within the tolerance, and the rounding of floats."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from support.proofs import proof

from optmarket.models.competing_buyers.market import FiniteTypes, market_of
from optmarket.models.competing_buyers.mechanisms.by_count import AnonymousMechanism
from optmarket.models.competing_buyers.params import Params
from optmarket.models.competing_buyers.solvers.by_virtual_values import solve_finite
from optmarket.models.competing_buyers.solvers.lp_formulation import certified_revenue
from optmarket.models.competing_buyers.virtual_values.ironing import VirtualValues
from optmarket.models.competing_buyers.virtual_values.optimal_rule import optimal_rule
from optmarket.models.competing_buyers.virtual_values.revenue_bounds import bracket
from optmarket.options import Options

INF = math.inf


def finite(params: Params) -> FiniteTypes:
    market = market_of(params)
    assert isinstance(market, FiniteTypes)
    return market


@pytest.mark.parametrize("buyers", [2, 3, 5])
@pytest.mark.parametrize("ic", ["bayesian", "ex-post"])
def test_the_largest_gain_is_taken_off_once_for_each_buyer(buyers: int, ic: str) -> None:
    """Full information is worth 1/2 to each: at a price above that by less than the tolerance no more may count."""
    params = Params.model_validate(
        {"prior": ["1/2", "1/2"], "externality": 0, "ic": ic, "buyers": [{"count": buyers, "types": [{"weight": 1, "value": 1}]}]}
    )
    market = finite(params)
    informed = np.eye(2).reshape(1, 1, 2, 2)

    def at(price: float) -> AnonymousMechanism:
        return AnonymousMechanism(market, (informed,), (np.full((1, 1) if ic == "ex-post" else 1, price),))

    above = 0.9e-7
    assert certified_revenue(at(0.5 + above)) <= buyers * 0.5
    assert certified_revenue(at(0.5 + above)) == pytest.approx(buyers * 0.5, abs=1e-12)
    assert certified_revenue(at(0.5 + 1.1e-7)) == -INF
    assert 0 < buyers * 0.25 - certified_revenue(at(0.25)) < 1e-12


def of_values(rng: random.Random, buyers: int, ic: str, denominator: int) -> FiniteTypes:
    """Buyers of a few values each, in exact rational arithmetic."""
    made = []
    for _ in range(buyers):
        weights = [Fraction(rng.randint(1, denominator), denominator) for _ in range(rng.randint(1, 5))]
        types = [
            {"weight": str(w / sum(weights)), "value": str(Fraction(rng.randint(1, denominator), denominator))} for w in weights
        ]
        made.append({"types": types})
    first = Fraction(rng.randint(1, 6), 7)
    given = {"prior": [str(first), str(1 - first)], "externality": rng.choice(["1/3", 0, 2]), "ic": ic, "buyers": made}
    return finite(Params.model_validate(given))


@pytest.mark.parametrize("ic", ["bayesian", "ex-post"])
@pytest.mark.parametrize("buyers", [2, 3])
def test_bounds_by_virtual_values_in_floats_hold_the_exact_optimum(buyers: int, ic: str) -> None:
    rng = random.Random(buyers)
    for _ in range(12):
        # numbers so long that revenue is computed in floats, unless fractions are asked for
        market = of_values(rng, buyers, ic, 3**200 + rng.randint(1, 10**6))
        exact, answer = optimal_rule(market, exact=True).revenue, solve_finite(market, Options())
        assert answer.exact is None
        bounds = proof(answer)
        assert Fraction(bounds.lower) <= exact <= Fraction(bounds.upper)
        assert bounds.upper == pytest.approx(bounds.lower, rel=1e-9, abs=1e-11)


@pytest.mark.parametrize("ic", ["bayesian", "ex-post"])
@pytest.mark.parametrize("buyers", [2, 3])
def test_enclosures_of_finitely_many_values_hold_the_exact_optimum(buyers: int, ic: str) -> None:
    """Where values are few the sums of an enclosure are exact but for rounding, which its ends carry."""
    rng = random.Random(10 + buyers)
    for _ in range(12):
        market = of_values(rng, buyers, ic, 97)
        exact = optimal_rule(market, exact=True).revenue
        kinds = [VirtualValues.of(kind).in_floats for kind in market.buyers]
        assert market.prior is not None
        level, alpha = float(max(market.prior)), float(market.externality)
        found = bracket(kinds, [1] * buyers, level, alpha, ex_post=market.ex_post)
        assert Fraction(found.lower) <= exact <= Fraction(found.upper)
        assert buyers > 2 or found.upper - found.lower <= 1e-11 * (1 + float(exact))
