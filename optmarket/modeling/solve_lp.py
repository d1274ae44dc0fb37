"""From a market's linear program to its answer: solve, keep the best mechanism met, prove, and go on exactly where floats end.

Floats come first. Where their bounds do not meet, which happens where stakes differ by many orders of magnitude, a program that
is small enough is solved in exact rational arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Generic, Protocol, TypeVar

from optmarket.arrays import FloatArray, NumberArray
from optmarket.certificates import Optimality, relative_gap
from optmarket.errors import SolverError
from optmarket.lp import exact_arithmetic, highs
from optmarket.lp.float_bound import Proof
from optmarket.lp.program import LinearProgram
from optmarket.options import Deadline, Options, Status
from optmarket.rationals import around, floats
from optmarket.solution import Answer, Mechanism
from optmarket.tolerances import FLOATS_REACH

MechanismT = TypeVar("MechanismT", bound=Mechanism)


class Formulation(Protocol[MechanismT]):
    """A linear program whose optimum is a market's, and how its points become mechanisms.

    A candidate is a mechanism and a certified lower bound on what it earns, in the objective's unit.
    """

    @property
    def ceiling(self) -> float:
        """An upper bound on the optimum that needs no program."""

    def program(self, *, exact: bool) -> LinearProgram:
        """The program, its coefficients Fractions if `exact`. Its value times its ``unit`` is in the objective's unit."""

    def simple(self) -> Iterable[tuple[MechanismT, float]]:
        """Candidates that need no program; at least one, for instance to sell nothing."""

    def candidates(self, program: LinearProgram, x: FloatArray) -> Iterable[tuple[MechanismT, float]]:
        """Candidates made of a point that the solver met."""

    def last_candidates(self, program: LinearProgram, result: highs.LpResult, gap: float) -> Iterable[tuple[MechanismT, float]]:
        """Candidates made of the last point, with more effort, given the gap that is left."""

    def exact_candidates(self, program: LinearProgram, proof: Proof, upper: float) -> Iterable[tuple[MechanismT, float]]:
        """Candidates made of an exact optimum, where floats had left a gap; `upper` is the upper bound by then."""

    def optimal(self, program: LinearProgram, proof: Proof) -> MechanismT:
        """The mechanism of an exact optimum, which earns exactly the proof's value when ties go to the seller."""

    def quantities(self, mechanism: MechanismT, certificate: Optimality) -> Mapping[str, float]:
        """Named scalars of the mechanism that is answered."""


@dataclass(frozen=True)
class Strategy:
    """How to meet the rows that are too many to list.

    Attributes
    ----------
    method : {"cuts", "full", "auto"}
        Constraint generation; the full linear program; or the one that promises more.
    patience : int, optional
        With ``auto``: rounds of constraint generation without progress after which the full program is solved instead; by default
        never.
    exact_from : float
        Relative gap above which even a tiny program is solved again in exact arithmetic.
    """

    method: str = "auto"
    patience: int | None = None
    exact_from: float = FLOATS_REACH


@dataclass(frozen=True)
class Solved(Generic[MechanismT]):
    """An answer, its mechanism and certificate, and the program's last point.

    Attributes
    ----------
    answer : Answer
    mechanism : MechanismT
    certificate : Optimality
    program : LinearProgram
    point : array, shape (columns,), or None
    """

    answer: Answer
    mechanism: MechanismT
    certificate: Optimality
    program: LinearProgram
    point: NumberArray | None


class _Incumbent(Generic[MechanismT]):
    """The best mechanism so far, and the certified lower bound on what it earns."""

    def __init__(self, candidates: Iterable[tuple[MechanismT, float]]) -> None:
        (self.mechanism, self.lower), *others = candidates
        self.offer(others)

    def offer(self, candidates: Iterable[tuple[MechanismT, float]]) -> float:
        for mechanism, lower in candidates:
            if lower > self.lower:
                self.mechanism, self.lower = mechanism, lower
        return self.lower


def solve_lp(form: Formulation[MechanismT], options: Options, deadline: Deadline, strategy: Strategy) -> Solved[MechanismT]:
    """Solve a market's linear program.

    Parameters
    ----------
    form : Formulation
    options : Options
    deadline : Deadline
    strategy : Strategy

    Returns
    -------
    Solved
        The certificate's upper bound holds for every mechanism; the lower one is what the mechanism returned is certain to earn.

    Raises
    ------
    ModelError
        If the program does not fit in memory.
    SolverError
        With ``options.exact``, if there is no answer that is exactly optimal.
    """
    program = form.program(exact=options.exact)
    best = _Incumbent(form.simple())
    method, program, result = _run(form, program, options, deadline, strategy, best)
    upper, point = min(result.bound * program.unit, form.ceiling), result.x
    status, notes, exact = result.status, [], None
    if status in {Status.INFEASIBLE, Status.UNBOUNDED, Status.FAILED}:
        # to sell nothing is always feasible, and prices have bounds: so it is the solver that failed
        notes.append(f"the solver ended {status}, which this program cannot be: the bounds are what else is known")
        status = Status.GAP
    if point is not None:
        best.offer(form.last_candidates(program, result, relative_gap(best.lower, upper)))
    mechanism, lower = best.mechanism, best.lower
    # ends that cross prove that one is wrong by rounding: then exact arithmetic decides
    gap = relative_gap(lower, upper) if lower <= upper else math.inf
    undecided = status in {Status.OPTIMAL, Status.GAP}
    if options.exact and undecided:
        proof = exact_arithmetic.solve_exactly(program, result, deadline.remaining)
        if isinstance(proof, Status):
            status = proof
        else:
            status, exact, point, notes = Status.OPTIMAL, proof.value * Fraction(program.unit), proof.x, []
            mechanism = form.optimal(program, proof)
            lower, upper = around(exact)
    elif undecided and exact_arithmetic.is_worthwhile(options, gap, result, program, strategy.exact_from):
        again = form.program(exact=True)
        again = again.full() if method == "full" else again
        found = exact_arithmetic.solve_anew(again, deadline.remaining)
        if isinstance(found, Proof):
            point, method, status, notes = floats(found.x), f"{method}, refined exactly", Status.OPTIMAL, []
            ends = around(found.value * Fraction(program.unit))
            upper = ends[1] if lower > upper else min(upper, ends[1])
            refined = _Incumbent([(mechanism, lower if lower <= upper else -math.inf)])
            refined.offer(form.exact_candidates(again, found, upper))
            mechanism, lower = refined.mechanism, refined.lower
        elif found in {Status.TIME_LIMIT, Status.INTERRUPTED}:
            status = found
    certificate = Optimality.of(lower, upper, result.blocks)
    answer = Answer(
        status=options.final_status(status, certificate.gap),
        mechanism=mechanism,
        quantities=form.quantities(mechanism, certificate),
        certificate=certificate,
        exact=exact,
        notes=tuple(notes),
        run=result.report(method, deadline.elapsed, program.columns),
    )
    return Solved(answer, mechanism, certificate, program, point)


# The full program is solved at once where these many non-zeros are few beside those that stand anyway.
FULL_AT_LEAST, FULL_AT_MOST, FULL_RATIO = 10_000, 250_000, 25


def _run(
    form: Formulation[MechanismT],
    program: LinearProgram,
    options: Options,
    deadline: Deadline,
    strategy: Strategy,
    best: _Incumbent[MechanismT],
) -> tuple[str, LinearProgram, highs.LpResult]:
    """Solve in floats, keeping the best mechanism met: by constraint generation, or the full linear program."""

    def incumbent(x: FloatArray) -> float:
        return best.offer(form.candidates(program, x)) / program.unit

    def solve(program: LinearProgram, patience: int | None = None) -> highs.LpResult:
        limited = replace(options, time_limit=deadline.remaining)
        try:
            result = highs.solve(program, limited, incumbent=incumbent, patience=patience)
        except SolverError:
            return highs.LpResult.of_failure(program)
        if result.x is not None and not result.stalled:
            incumbent(result.x)
        return result

    switches = strategy.method == "auto" and strategy.patience is not None
    result = None
    if strategy.method == "cuts" or (strategy.method == "auto" and not (switches and _full_at_once(program))):
        result = solve(program, strategy.patience if switches else None)
        if not result.stalled:
            return "cuts", program, result
    program = program.full()
    last = solve(program)
    if result is not None:
        last = replace(
            last,
            bound=min(result.bound, last.bound),
            rounds=result.rounds + last.rounds,
            iterations=result.iterations + last.iterations,
        )
    return "full", program, last


def _full_at_once(program: LinearProgram) -> bool:
    """Whether the full program is not much larger than the rows that stand anyway.

    With several contexts an item has many signals, rows of obedience abound, and each of the others combines one disobedience
    after every signal: there constraint generation is slow, and listing all not much larger.
    """
    own, all_rows = program.size()[2], program.size(full=True)[2]
    return FULL_AT_LEAST <= all_rows <= min(FULL_AT_MOST, FULL_RATIO * own)
