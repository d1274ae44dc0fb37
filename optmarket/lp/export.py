"""Programs as files that other solvers read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from optmarket.errors import InstanceError
from optmarket.files import write_through
from optmarket.lp.highs import Session, as_floats
from optmarket.lp.program import LinearProgram, Rows
from optmarket.solution import Options


def write(program: LinearProgram, path: str | Path) -> None:
    """Write a program with every row listed to a file that other solvers read, its objective in the market's units.

    Columns and rows are called by their block and their place in it, ``price_3`` or ``experiment_0_1_0``.

    Parameters
    ----------
    program : LinearProgram
    path : str or Path
        Ending in ``.mps`` or ``.lp``, which decides the format. Coefficients are written to 15 digits or so: what an exact
        program means by 1/3 is lost.

    Raises
    ------
    ModelError
        If the listed program does not fit in memory.
    InstanceError
        If the path ends otherwise or cannot be written.
    """
    path = Path(path)
    if path.suffix not in {".mps", ".lp"}:
        raise InstanceError("must end in .mps or .lp", file=str(path))
    program = program.listed()
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
