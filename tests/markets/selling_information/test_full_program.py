"""Small programs on which constraint generation stalls: `auto` solves the full program, at once or when nothing moves."""

from __future__ import annotations

import pytest
from support import one_buyer as market
from support.paths import CASES
from support.proofs import proof, rounds

import optmarket as om
from optmarket.lp import highs
from optmarket.options import Options


# the values were found by another program that lists all rows
@pytest.mark.parametrize(("name", "right"), [("many-contexts-9", 29 / 80), ("many-contexts-12", 19 / 48)])
def test_stalled_generation_goes_on_with_all_rows(name: str, right: float) -> None:
    found = om.solve(CASES / f"{name}.toml")
    assert found.good and proof(found).gap <= 1e-8
    assert proof(found).lower <= right * (1 + 1e-12) and right <= proof(found).upper * (1 + 1e-12)
    assert found.run.method == "full" and rounds(found.run) > 1  # some rounds of generation came first


def test_generation_that_does_not_move_is_given_up() -> None:
    case = market.params_of(CASES / "many-contexts-12.toml")
    program = market.program(case)
    stalled = highs.solve(program, Options(), incumbent=lambda x: 0.0, patience=3)
    assert stalled.stalled
    # what is known by then holds
    assert stalled.bound * program.unit >= 19 / 48 * (1 - 1e-12)
    few = highs.solve(
        market.program(market.params_of(CASES / "high-stakes.toml")), Options(), incumbent=lambda x: 0.0, patience=3
    )
    assert not few.stalled  # it ends before it could stall


def test_a_small_program_is_solved_in_full_at_once() -> None:
    """Real classifiers: generation was at [0.163, 0.227] after 44 seconds; all rows take half a second."""
    found = om.solve(CASES / "four-classes.toml")
    assert found.good and rounds(found.run) == 1
    assert found.value == pytest.approx(0.214896823647, rel=1e-9)


def test_without_patience_or_memory_generation_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    program = market.program(market.params_of(CASES / "many-contexts-12.toml"))
    monkeypatch.setattr(highs, "FULL_AT_MOST", program.size(full=True)[2] - 1)
    calls = 0

    class Enough(Exception):
        pass

    def count(_: object) -> None:
        nonlocal calls
        calls += 1
        if calls > 6:
            raise Enough

    with pytest.raises(Enough):
        highs.solve(program, Options(progress=count), incumbent=lambda x: 0.0, patience=2)
