"""Mechanism files that lie beside an instance: what each earns, held against the optimum and against what its source says."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from pathlib import Path

from optmarket.api import audit, stated
from optmarket.files import referenced
from optmarket.instances.instance import Instance
from optmarket.reporting import digits
from optmarket.solution import Solution

COLUMNS = (
    *("instance", "mechanism", "quantity", "lower", "upper", "audited", "stated", "kind", "percent below", "worst violation"),
    "source",
)


def beside(path: Path) -> dict[str, Path]:
    """The mechanism files of an instance file, ``<its name>.<name>.json`` in the same folder, by name."""
    head = f"{path.stem}."
    files = sorted(file for file in path.parent.glob("*.json") if file.name.startswith(head))
    return {name: file for file in files if (name := file.name[len(head) : -len(".json")])}


def row(slug: str, case: Instance, found: Solution, name: str, file: Path) -> dict[str, str]:
    """Judge a mechanism file by the instance's solution.

    Parameters
    ----------
    slug : str
        The instance's name.
    case : Instance
    found : Solution
        Its solution.
    name : str
        What to call the mechanism.
    file : Path

    Returns
    -------
    dict
        With the keys `COLUMNS`: the bounds on the optimum, rounded outwards, what the mechanism earns as audited and as its
        source states, and by how much it falls short of the upper bound. That is left blank where a violation exceeds the
        tolerance: the mechanism does not hold, and what it seems to earn is no revenue.

    Raises
    ------
    InstanceError
        If the file is no mechanism for the instance.
    """
    file = referenced(file.parent, file.name, case.root)
    judged = audit(case, file)
    claims = [claim for claim in stated(case, file) if claim.quantity == found.objective]
    earned, upper, unit = judged.quantities[found.objective], found.certificate.upper, judged.unit
    short = 100 * (upper - earned) / upper if judged.good and upper > 0 else None
    return {
        "instance": slug,
        "mechanism": name,
        "quantity": found.objective,
        "lower": _outwards(found.certificate.lower, ROUND_FLOOR),
        "upper": _outwards(upper, ROUND_CEILING),
        "audited": digits.digits(earned, unit),
        "stated": claims[0].value if claims else "",
        "kind": claims[0].kind if claims else "",
        "percent below": "" if short is None else f"{round(short, 6) + 0.0:.3g}",
        "worst violation": digits.digits(judged.worst, unit, 3),
        "source": claims[0].source if claims else "",
    }


def _outwards(value: float, rounding: str) -> str:
    return f"{float(Context(prec=digits.DIGITS, rounding=rounding).create_decimal(Decimal(value))):.{digits.DIGITS}g}"
