"""Define certificates of optimality and of equilibrium, audits of mechanisms, and claims about an instance's quantities."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ConfigDict

from optmarket.options import Status
from optmarket.tolerances import AUDIT, TARGET_GAP

_FILED = ConfigDict(extra="forbid", allow_inf_nan=False)  # how pydantic validates these classes when a solution file is read


def relative_gap(lower: float, upper: float, rounding: float = 0.0) -> float:
    """Compute the relative gap between a lower and an upper bound on the same number.

    Every certificate uses this formula.

    Parameters
    ----------
    lower, upper : float
        The bounds, in payoff units; ``lower <= upper``.
    rounding : float
        The rounding error of the payoffs themselves, in payoff units. If both bounds are within it of zero, they cannot be
        distinguished, and the gap is 0. Pass it only where the optimum may be exactly zero, and report that it was used.

    Returns
    -------
    float
        ``(upper - lower) / max(|upper|, |lower|)``. It is 0 if the bounds coincide, and infinite if one of them is infinite or
        not a number.

    Examples
    --------
    >>> relative_gap(0.99, 1.0), relative_gap(0.0, 0.0), relative_gap(1e-13, 2e-13)
    (0.010000000000000009, 0.0, 0.5)
    """
    size = max(abs(lower), abs(upper))
    if not size < math.inf:
        return math.inf
    return 0.0 if size <= rounding else max(0.0, upper - lower) / size


@dataclass(frozen=True)
class BlockReport:
    """Summarise one block of constraints at the solver's final point.

    Attributes
    ----------
    rows : int
        The number of rows in the final linear program.
    binding : int
        How many of them are binding.
    worst : float
        The largest violation over the whole block, including constraints that were never added to the linear program.
    """

    __pydantic_config__ = _FILED

    rows: int
    binding: int
    worst: float


@dataclass(frozen=True)
class Optimality:
    """A certificate that the optimal value lies in the interval [lower, upper].

    If the optimum was proved in exact arithmetic, the two bounds are the same float or adjacent floats.

    Attributes
    ----------
    lower, upper : float
        The bounds, in the unit of the objective.
    gap : float
        Their `relative_gap`, which is relative to the value itself and not to the size of the payoffs.
    blocks : mapping of str to BlockReport
        The constraints of the linear program, by block.

    Examples
    --------
    >>> Optimality.of(0.99, 1.0).proves(Status.OPTIMAL), Optimality.of(1.0, 1.0).proves(Status.OPTIMAL)
    (False, True)
    """

    __pydantic_config__ = _FILED

    lower: float
    upper: float
    gap: float
    blocks: Mapping[str, BlockReport] = field(default_factory=dict)

    @classmethod
    def of(
        cls, lower: float, upper: float, blocks: Mapping[str, BlockReport] | None = None, *, rounding: float = 0.0
    ) -> Optimality:
        """Make a certificate from two bounds; its gap is their `relative_gap`.

        Parameters
        ----------
        lower, upper : float
            The bounds, in the unit of the objective.
        blocks : mapping of str to BlockReport, optional
        rounding : float
            See `relative_gap`.
        """
        return cls(lower, upper, relative_gap(lower, upper, rounding), blocks or {})

    def proves(self, status: Status) -> bool:
        """Whether a solve with this final status has proved its value, that is, to a relative gap of at most `TARGET_GAP`."""
        return status is Status.OPTIMAL and self.gap <= TARGET_GAP


@dataclass(frozen=True)
class Equilibrium:
    """A certificate of an approximate equilibrium: a bound on what any player gains by a unilateral deviation.

    Attributes
    ----------
    deviation_gain : float
        The largest gain of any player from a unilateral deviation, in payoff units; at least 0.
    unit : float
        The scale of payoffs, in payoff units, by which the gain is divided for comparisons.

    Examples
    --------
    >>> Equilibrium(deviation_gain=1e-6, unit=100.0).relative_gain
    1e-08
    """

    __pydantic_config__ = _FILED

    deviation_gain: float
    unit: float = 1.0

    @property
    def relative_gain(self) -> float:
        """The largest gain divided by the scale of payoffs."""
        return self.deviation_gain / self.unit

    def proves(self, status: Status) -> bool:
        """Whether a solve with this final status has proved an equilibrium, to a relative gain of at most `TARGET_GAP`."""
        return status is Status.EQUILIBRIUM and self.relative_gain <= TARGET_GAP


Certificate = Optimality | Equilibrium


@dataclass(frozen=True)
class Audit:
    """The evaluation of a mechanism, recomputed from the market's primitives with numpy only.

    Attributes
    ----------
    quantities : mapping of str to float
        The quantities that the mechanism brings about, the objective among them.
    violations : mapping of str to float
        For each kind of deviation the largest gain of a type of positive weight, in payoff units; at least 0.
    unit : float
        The market's payoff scale. A violation is compared with it where ``relative`` has no entry.
    relative : mapping of str to float
        For markets that report them, violations as shares of the payoffs at stake for the type that deviates, so that a type
        with small payoffs is held to the same relative standard as one with large payoffs.
    notes : tuple of str
        Sentences on what the audit does not cover.

    Examples
    --------
    >>> found = Audit(quantities={"revenue": 0.125}, violations={"misreport": 1e-3})
    >>> found.good, found.worst
    (False, 0.001)
    """

    __pydantic_config__ = _FILED

    quantities: Mapping[str, float]
    violations: Mapping[str, float]
    unit: float = 1.0
    relative: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "notes", tuple(self.notes))  # pydantic reads a list from a file

    @property
    def worst(self) -> float:
        """The largest violation, 0 if there is none."""
        return max(self.violations.values(), default=0.0)

    def exceeds(self, name: str) -> bool:
        """Whether a violation is more than `AUDIT` times the payoffs at stake for the type, or times the payoff scale.

        Parameters
        ----------
        name : str
            A key of ``violations``.
        """
        if name in self.relative:
            return not self.relative[name] <= AUDIT
        return not self.violations[name] <= AUDIT * self.unit

    @property
    def good(self) -> bool:
        """Whether no violation exceeds its tolerance."""
        return not any(self.exceeds(name) for name in self.violations)

    @property
    def tolerance(self) -> str:
        """The tolerance for violations, in words."""
        if self.relative:
            return f"{AUDIT:g} of what is at stake for a type"
        return f"{AUDIT * self.unit:g}"


def weightless(gains: Mapping[str, float]) -> tuple[str, ...]:
    """Note what types of weight 0 gain at most by each deviation, in payoff units; they do not count as violations.

    Parameters
    ----------
    gains : mapping of str to float
        The largest gain by each kind of deviation.

    Returns
    -------
    tuple of str
        The note, for `Audit.notes`.

    Examples
    --------
    >>> weightless({"misreport": 0.25})
    ('types of weight 0 are not judged; the most that one gains: misreport 0.25',)
    """
    said = ", ".join(f"{name.replace('-', ' ')} {gain:.3g}" for name, gain in gains.items())
    return (f"types of weight 0 are not judged; the most that one gains: {said}",)


@dataclass(frozen=True)
class Claim:
    """A value stated for a quantity of an instance and, once it was compared with a solution, the result of the comparison.

    Attributes
    ----------
    quantity, value, relation, kind, source : str
        As in an instance's ``[[expect]]``; ``value`` is the text as written. ``relation`` is ``eq`` (the quantity equals the
        value), ``lower`` (it is at least the value) or ``upper`` (it is at most the value).
    tolerance : float, optional
        An absolute tolerance. By default numbers agree if they differ by at most 1e-9 times the larger of the value and the
        objective.
    claim, verdict : str, optional
        The claim's number in the project's list of claims, and whether it is known to be true. A claim whose verdict is
        ``wrong`` or ``misprint`` is expected to fail.
    says : str, optional
        The statement in one sentence.
    true : float, optional
        The quantity's value in the solution. None before the comparison, or if the market does not report the quantity.
    error : float, optional
        The distance by which the relation fails; 0 if it holds.
    met : bool, optional
        Whether the claim holds or fails as its verdict says; None if the solution does not decide it.

    Examples
    --------
    >>> Claim("revenue", "1/8").binding, Claim("revenue", "0.17", kind="published").binding
    (True, False)
    """

    __pydantic_config__ = _FILED

    quantity: str
    value: str
    relation: str = "eq"
    kind: str = "analytic"
    source: str = ""
    tolerance: float | None = None
    claim: str | None = None
    verdict: str | None = None
    says: str | None = None
    true: float | None = None
    error: float | None = None
    met: bool | None = None

    @property
    def binding(self) -> bool:
        """Whether the solve fails if the claim does; published and learned values without a verdict are shown for comparison."""
        return self.verdict is not None or self.kind not in {"published", "neural"}
