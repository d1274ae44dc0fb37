"""What a solve proved, as tests read it."""

from __future__ import annotations

from optmarket.certificates import Optimality
from optmarket.solution import Answer, Solution
from optmarket.solution_file import SolverReport

__all__ = ["proof", "rounds"]


def proof(found: Answer | Solution) -> Optimality:
    """The bounds that a solve proves, where it proves an optimum."""
    assert isinstance(found.certificate, Optimality)
    return found.certificate


def rounds(run: SolverReport) -> int:
    """How many rounds of constraint generation there were."""
    assert run.rounds is not None
    return run.rounds
