"""Define the result of a solve: the answer of a market, and the solution that is reported and saved."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from optmarket import solution_file
from optmarket.certificates import Audit, Certificate, Claim, Equilibrium, Optimality, relative_gap
from optmarket.errors import ModelError
from optmarket.files import read_json, write_text
from optmarket.options import Status
from optmarket.rationals import exact
from optmarket.solution_file import FORMAT, InstanceReference, SolverReport
from optmarket.tolerances import AUDIT, PAYOFF_ROUNDING, SAME_VALUE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

VERSION = version("optmarket")


class Mechanism(Protocol):
    """The mechanism of a market, for example a menu, a direct mechanism or a profile of quantities."""

    def to_json(self) -> dict[str, Any]:
        """The mechanism as the JSON object of a mechanism file, without the header."""


@dataclass(frozen=True)
class Answer:
    """The result of a market's ``solve``, which the engine audits and turns into a solution.

    Attributes
    ----------
    status : Status
        How the solve ended.
    mechanism : Mechanism
    quantities : mapping of str to float
        Named scalars, the objective among them.
    certificate : Optimality or Equilibrium
    exact : Fraction, optional
        The value of the objective, if it was proved in exact rational arithmetic.
    notes : tuple of str
        Sentences to be reported with the solution.
    run : SolverReport
        The method, the time and the size of the computation.
    for_grid : bool
        Whether finitely many types stand for a continuum of types, so that an optimum is that of the grid.
    """

    status: Status
    mechanism: Mechanism
    quantities: Mapping[str, float]
    certificate: Certificate
    exact: Fraction | None = None
    notes: tuple[str, ...] = ()
    run: SolverReport = field(default_factory=SolverReport)
    for_grid: bool = False


@dataclass(frozen=True, repr=False, eq=False)
class Solution:
    """The solution of an instance.

    Each table is also an attribute: ``solution.menu`` is ``solution.tables["menu"]``.

    Attributes
    ----------
    instance : InstanceReference
        The instance that was solved.
    model, title : str
        The name of the market, and the title of the instance.
    status : Status
        How the solve ended.
    objective : str
        The name of the main quantity.
    value : float
        The value of the objective.
    quantities : mapping of str to float
        Named scalars, the objective among them.
    certificate : Optimality or Equilibrium
    audit : Audit
        The audit of the mechanism.
    claims : tuple of Claim
        The instance's known answers and the market's closed forms, compared with the solution.
    mechanism : mapping
        The content of a mechanism file, without its header.
    tables : mapping of str to DataFrame
    exact : Fraction, optional
        The value of the objective, if it was proved in exact rational arithmetic.
    notes : tuple of str
        Sentences to be reported with the solution.
    run : SolverReport
        The method, the time and the size of the computation, which do not count when solutions are compared.
    """

    instance: InstanceReference
    model: str
    title: str
    status: Status
    objective: str
    value: float
    quantities: Mapping[str, float]
    certificate: Certificate
    audit: Audit
    claims: tuple[Claim, ...]
    mechanism: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    exact: Fraction | None = None
    notes: tuple[str, ...] = ()
    run: SolverReport = field(default_factory=SolverReport)
    _draw: Callable[[Solution], Figure] | None = field(default=None, repr=False, compare=False)

    def __eq__(self, other: object) -> bool:
        """Whether two solutions are equal in everything but their solver reports."""
        return isinstance(other, Solution) and self._compared() == other._compared()

    def _compared(self) -> dict[str, Any]:
        return replace(self, run=SolverReport()).to_dict()

    def __repr__(self) -> str:
        tables = ", ".join(self.tables)
        return f"<Solution of {self.instance.slug}: {self.objective} {self.value:.9g}, {self.status}; tables {tables}>"

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.tables]

    def __getattr__(self, name: str) -> pd.DataFrame:
        tables: Mapping[str, pd.DataFrame] = self.__dict__.get("tables", {})
        if name in tables:
            return tables[name]
        raise AttributeError(f"a solution has no {name!r}; its tables are {', '.join(tables) or 'none'}")

    @property
    def settings(self) -> dict[str, Fraction]:
        """The parameters with other values than in the instance file, by path."""
        return {path: Fraction(value) for path, value in self.instance.set.items()}

    @property
    def good(self) -> bool:
        """Whether the solve succeeded, the audit is within tolerance, nothing is contradictory and every binding claim is met."""
        return (
            self.status.is_solved
            and self.audit.good
            and not self.contradictions
            and not any(claim.met is False for claim in self.claims if claim.binding)
        )

    @property
    def proved(self) -> bool:
        """Whether the value, or the equilibrium, is proved to a relative gap of at most `TARGET_GAP`."""
        return self.certificate.proves(self.status)

    @property
    def bounds(self) -> tuple[float, float]:
        """The certified lower and upper bound on the objective; for an equilibrium, both are the value itself."""
        if isinstance(self.certificate, Optimality):
            return self.certificate.lower, self.certificate.upper
        return self.value, self.value

    @property
    def contradictions(self) -> tuple[str, ...]:
        """Contradictions between the value, its bounds and the audit, in words; empty for a consistent solution.

        Numbers count as different if they differ by more than `tolerances.AUDIT` times their size and, near 0, by more than the
        rounding error of the payoffs.
        """
        name, value = self.objective, self.value
        lower, upper = self.bounds
        recomputed = self.audit.quantities.get(name, value)
        rounding = PAYOFF_ROUNDING * self.audit.unit

        def above(one: float, other: float) -> bool:
            return one > other and relative_gap(other, one, rounding) > AUDIT

        found = []
        if above(recomputed, value) or above(value, recomputed):
            found.append(f"recomputed {name} is {recomputed:.9g}, not {value:.9g}")
        if above(lower, upper):
            found.append(f"the lower bound {lower:.9g} is above the upper bound {upper:.9g}")
        if above(lower, value):
            found.append(f"{name} {value:.9g} is below its own lower bound {lower:.9g}")
        if above(value, upper):
            found.append(f"{name} {value:.9g} is above its own upper bound {upper:.9g}")
        if self.exact is not None and (above(float(self.exact), upper) or above(lower, float(self.exact))):
            found.append(f"the exact value {float(self.exact):.9g} is outside its own bounds")
        if isinstance(self.certificate, Equilibrium):
            gain = self.certificate.deviation_gain
            if self.audit.worst > gain + AUDIT * self.audit.unit:
                found.append(f"its audit finds a deviation that gains {self.audit.worst:.3g}, and its certificate {gain:.3g}")
        return tuple(found)

    def plot(self) -> Figure:
        """A matplotlib figure of the mechanism; `optmarket.plotting.save` writes it.

        Raises
        ------
        ModelError
            If the solution was read from a file, because such a file does not contain the instance.
        """
        if self._draw is None:
            raise ModelError("a solution read from a file has no instance to plot; plot what solve gives back, or `solve --plot`")
        return self._draw(self)

    def to_dict(self) -> dict[str, Any]:
        """The solution as the JSON object of a solution file."""
        data: dict[str, Any] = {
            "format": FORMAT,
            "instance": self.instance.to_dict(),
            "model": self.model,
            "title": self.title,
            "status": str(self.status),
            "objective": self.objective,
            "value": self.value,
            "quantities": dict(self.quantities),
            "certificate": asdict(self.certificate),
            "audit": {**asdict(self.audit), "notes": list(self.audit.notes)},
            "claims": [{k: v for k, v in asdict(claim).items() if v is not None} for claim in self.claims],
            "mechanism": dict(self.mechanism),
            "tables": {name: _table_to_dict(table) for name, table in self.tables.items()},
            "notes": list(self.notes),
            "run": self.run.to_dict(),
        }
        if self.exact is not None:
            data["exact"] = str(self.exact)
        return data

    def to_json(self, indent: int | None = None) -> str:
        """The solution as JSON text with sorted keys.

        Parameters
        ----------
        indent : int, optional
            As in `json.dumps`.

        Raises
        ------
        ValueError
            If a number is infinite or not a number.
        """
        return json.dumps(self.to_dict(), sort_keys=True, indent=indent, allow_nan=False)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, file: str | None = None) -> Solution:
        """Make a solution from the JSON object of a solution file, the inverse of `to_dict`.

        Parameters
        ----------
        data : mapping
        file : str, optional
            The file, for messages.

        Raises
        ------
        InstanceError
            If the object is not a solution of this format.
        """

        read = solution_file.read(data, file)
        certificate = read.certificate
        if isinstance(certificate, Optimality):
            lower, upper = certificate.lower, certificate.upper
            # The gap is recomputed, because the file may define it differently. A stored gap of 0 is kept only if the bounds
            # are adjacent floats or both within the payoffs' rounding error of zero.
            close = upper <= math.nextafter(lower, math.inf) or max(abs(lower), abs(upper)) <= PAYOFF_ROUNDING * read.audit.unit
            certificate = replace(certificate, gap=0.0 if certificate.gap == 0 and close else relative_gap(lower, upper))
        return cls(
            instance=read.instance,
            model=read.model,
            title=read.title,
            status=Status(read.status),
            objective=read.objective,
            value=read.value,
            quantities=read.quantities,
            certificate=certificate,
            audit=read.audit,
            claims=tuple(read.claims),
            mechanism=read.mechanism,
            tables={name: _table_of(table.columns, table.data) for name, table in read.tables.items()},
            exact=read.exact,
            notes=tuple(read.notes),
            run=read.run,
        )

    @classmethod
    def read(cls, path: str | Path) -> Solution:
        """Read a solution file.

        Raises
        ------
        InstanceError
            If the file cannot be read or is not a solution file.
        """
        return cls.from_dict(read_json(path), file=str(path))

    def write(self, path: str | Path) -> None:
        """Write the solution file atomically.

        Raises
        ------
        InstanceError
            If the file cannot be written.
        """
        write_text(path, self.to_json(indent=1) + "\n")


def _table_of(columns: list[str], rows: list[list[Any]]) -> pd.DataFrame:
    """The inverse of `_table_to_dict`; a column with empty cells stays one of objects, where pandas would make them NaN."""
    import pandas as pd  # imported here because it is slow to import, and commands that only report an error do not need it

    table = pd.DataFrame(rows, columns=columns, dtype=object)
    for name in columns:
        if not any(cell is None for cell in table[name]):
            table[name] = table[name].infer_objects()
    return table


def _table_to_dict(table: pd.DataFrame) -> dict[str, Any]:
    split = table.to_dict(orient="split")
    return {"columns": split["columns"], "data": split["data"]}


def decide(claim: Claim, answer: Answer | Solution, objective: str) -> Claim:
    """Compare a claim with an answer, and decide whether it is met.

    A claim about the objective is refuted if it contradicts the bounds; an equality is confirmed only by a proved value. A claim
    about another quantity is compared with the mechanism found, which decides it only if the mechanism is proved optimal. A claim
    that is neither refuted nor confirmed stays open. Whatever the claim's tolerance, numbers count as equal if they differ by at
    most 1e-9 times the larger of the stated value and the objective.

    Parameters
    ----------
    claim : Claim
    answer : Answer or Solution
    objective : str
        The name of the main quantity.

    Returns
    -------
    Claim
        The claim with `true`, `error`, `tolerance` and `met` filled in.
    """
    same = SAME_VALUE * max(abs(float(exact(claim.value))), abs(answer.quantities[objective]))
    tolerance = max(claim.tolerance or 0.0, same)
    if claim.quantity not in answer.quantities:  # the market reports this quantity for other instances only
        return replace(claim, tolerance=tolerance)
    true, stated = answer.quantities[claim.quantity], float(exact(claim.value))
    proved = answer.certificate.proves(answer.status)
    low = high = true
    bounded = claim.quantity == objective and isinstance(answer.certificate, Optimality)
    if claim.quantity == objective and isinstance(answer.certificate, Optimality):
        low, high = answer.certificate.lower, answer.certificate.upper
    short, over = max(0.0, low - stated), max(0.0, stated - high)
    error = {"eq": max(short, over), "lower": over, "upper": short}[claim.relation]
    holds = error <= tolerance
    confirmed = {
        "eq": proved and abs(true - stated) <= tolerance,
        "lower": stated <= low + tolerance,
        "upper": stated >= high - tolerance,
    }[claim.relation]
    decided = (proved or bounded) and (confirmed or not holds)
    expected = claim.verdict not in {"wrong", "misprint"}
    return replace(claim, true=true, error=error, tolerance=tolerance, met=(holds == expected) if decided else None)
