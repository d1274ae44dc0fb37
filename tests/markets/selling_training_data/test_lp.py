"""The rows of the reduced form: without one of its blocks the optimum may only rise, and there is a market in which it does."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from support.training_data import QUICK, Drawn, Errors, F, by_errors, drawn_markets, exact_revenue

from optmarket.lp import exact_arithmetic, highs
from optmarket.lp.float_bound import Proof
from optmarket.models.selling_training_data.lp import build

BLOCKS = [
    *("individual rationality", "misreport", "following costs no more"),
    *("ignoring own data, error 1", "ignoring own data, error 2"),
]


def revenue_without(pairs: list[Errors], weights: list[Fraction], block: str | None = None) -> Fraction:
    """The exact optimum of the reduced program without some of its rows."""
    kept = [(weight, pair) for weight, pair in zip(weights, pairs, strict=True) if weight]
    program = build(kept, exact=True).full()
    if block is not None and len(kept) > 1:
        del program.rows[block]
    proof = exact_arithmetic.solve_exactly(program, highs.solve(program))
    assert isinstance(proof, Proof)
    return proof.value


@QUICK
@given(drawn_markets())
def test_more_to_withstand_never_earns_more(drawn: Drawn) -> None:
    everything = revenue_without(*drawn)
    assert everything == exact_revenue(by_errors(*drawn))
    assert all(revenue_without(*drawn, block) >= everything for block in BLOCKS)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_of_rows_matters(block: str) -> None:
    # three types on either side of the diagonal: none of the three incentives is idle
    pairs = [(F(1, 4), F(3, 20)), (F(1, 50), F(9, 50)), (F(4, 25), F(1, 100))]
    assert revenue_without(pairs, [F(1, 3)] * 3, block) > revenue_without(pairs, [F(1, 3)] * 3)
