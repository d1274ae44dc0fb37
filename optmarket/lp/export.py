"""Write linear programs to MPS and LP files, which other solvers read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from optmarket.errors import InstanceError
from optmarket.files import write_through
from optmarket.lp.highs import Session, as_floats
from optmarket.lp.program import LinearProgram, Rows
from optmarket.options import Options


def write(program: LinearProgram, path: str | Path) -> None:
    """Write the full linear program, every lazy constraint in it, to an MPS or LP file.

    The objective is in the market's payoff units. Columns and rows are named by their block and their index in it, for example
    ``price_3`` or ``experiment_0_1_0``. Coefficients are written to about 15 digits, so a coefficient such as 1/3 is rounded.

    Parameters
    ----------
    program : LinearProgram
    path : str or Path
        Its suffix, ``.mps`` or ``.lp``, determines the format.

    Raises
    ------
    ModelError
        If the full program does not fit in memory.
    InstanceError
        If the path has another suffix or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> program = LinearProgram()
    >>> _ = program.add_variables("x", (2,), upper=1.0, objective=1.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(program, f"{folder}/small.mps")
    ...     print(Path(f"{folder}/small.mps").read_text().split()[0])
    NAME
    """
    path = Path(path)
    if path.suffix not in {".mps", ".lp"}:
        raise InstanceError("must end in .mps or .lp", file=str(path))
    program = program.full()
    session = Session(program, Rows.join(program.rows.values()), Options())
    lp = session.highs.getLp()
    lp.col_cost_, lp.offset_ = program.unit * as_floats(program.objective), program.unit * program.offset
    lp.col_names_ = [_name(block, place) for block, index in program.variables.items() for place in np.ndindex(index.shape)]
    lp.row_names_ = [_name(block, (k,)) for block, rows in program.rows.items() for k in range(len(rows))]
    session.must(session.highs.passModel(lp), "naming the program")

    def save(temporary: Path) -> None:
        session.must(session.highs.writeModel(str(temporary)), f"writing {path.name}")

    write_through(path, save)


def _name(block: str, place: tuple[int, ...]) -> str:
    return "_".join([*block.split(), *map(str, place)])
