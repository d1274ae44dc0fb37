"""Compare the mechanism files in an instance's folder with the optimum and with the values that their sources state."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR
from pathlib import Path

from optmarket.api import audit, stated
from optmarket.certificates import Optimality
from optmarket.files import referenced
from optmarket.instances.instance import Instance
from optmarket.reporting import digits
from optmarket.solution import Solution

COLUMNS = (
    *("instance", "mechanism", "quantity", "lower", "upper", "audited", "stated", "kind", "percent below", "worst violation"),
    "source",
)


def beside(path: Path) -> dict[str, Path]:
    """Find the mechanism files of an instance file, which are named ``<instance>.<name>.json`` and lie in the same folder.

    Parameters
    ----------
    path : Path
        The instance file.

    Returns
    -------
    dict of str to Path
        The files by the name of the mechanism.

    Examples
    --------
    >>> beside(Path("no-such-folder/market.toml"))
    {}
    """
    head = f"{path.stem}."
    files = sorted(file for file in path.parent.glob("*.json") if file.name.startswith(head))
    return {name: file for file in files if (name := file.name[len(head) : -len(".json")])}


def row(slug: str, case: Instance, found: Solution, name: str, file: Path) -> dict[str, str]:
    """Compare a mechanism file with the solution of its instance.

    Parameters
    ----------
    slug : str
        The name of the instance.
    case : Instance
    found : Solution
        The solution of the instance.
    name : str
        The name of the mechanism.
    file : Path
        The mechanism file.

    Returns
    -------
    dict of str to str
        An entry for each of `COLUMNS`: among them the bounds on the optimum, rounded outwards; the value of the objective as
        audited and as stated by the source; and the shortfall relative to the upper bound. The shortfall is blank if a violation
        exceeds the tolerance, because the audited value is then not attained. For an equilibrium, both bounds are its value,
        which other mechanisms may exceed.

    Raises
    ------
    InstanceError
        If the file is not a mechanism for the instance.
    """
    file = referenced(file.parent, file.name, case.root)
    audited = audit(case, file)
    claims = [claim for claim in stated(case, file) if claim.quantity == found.objective]
    earned, unit = audited.quantities[found.objective], audited.unit
    lower, upper = found.bounds
    optimal = isinstance(found.certificate, Optimality)
    short = 100 * (upper - earned) / upper if optimal and audited.good and upper > 0 else None
    return {
        "instance": slug,
        "mechanism": name,
        "quantity": found.objective,
        "lower": digits.bound(lower, ROUND_FLOOR),
        "upper": digits.bound(upper, ROUND_CEILING),
        "audited": digits.stable(earned, unit),
        "stated": claims[0].value if claims else "",
        "kind": claims[0].kind if claims else "",
        "percent below": "" if short is None else f"{round(short, 6) + 0.0:.3g}",
        "worst violation": digits.stable(audited.worst, unit, 3),
        "source": claims[0].source if claims else "",
    }
