"""Draw figures in a common style for print in black and white, and save them as png and svg.

matplotlib is imported only when it is needed, and its global settings are not changed.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from optmarket.arrays import FloatArray
from optmarket.files import write_through

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
LIGHT, DARK = "0.6", "0.0"
STYLE = {
    "axes.grid": False,
    "axes.labelsize": 9,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "figure.constrained_layout.h_pad": 0.07,
    "figure.constrained_layout.w_pad": 0.09,
    "figure.dpi": DPI,
    "figure.titlesize": 11,
    "font.size": 8,
    "lines.linewidth": 1.2,
    "savefig.dpi": DPI,
    "svg.hashsalt": "optmarket",  # makes the identifiers in svg files reproducible
    "text.parse_math": False,  # dollar signs in names are not read as mathematics
    "xtick.labelsize": 8,
    "xtick.major.width": 0.6,
    "ytick.labelsize": 8,
    "ytick.major.width": 0.6,
}
_METADATA = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": "optmarket"}}
_DARKEST = 1.3  # the value that would be drawn black, so that probability 1 is a dark grey


@contextmanager
def style() -> Iterator[None]:
    """Use optmarket's matplotlib style inside a ``with`` block, and restore the user's settings afterwards."""
    import matplotlib.style

    with matplotlib.style.context(STYLE, after_reset=True):
        yield


def files(stem: str | Path) -> tuple[Path, Path]:
    """The paths of the files that `save` writes.

    Parameters
    ----------
    stem : str or Path
        The path without suffix.

    Examples
    --------
    >>> [path.as_posix() for path in files("out/menu")]
    ['out/menu.png', 'out/menu.svg']
    """
    png, svg = (Path(f"{stem}{ending}") for ending in _METADATA)
    return png, svg


def save(figure: Figure, stem: str | Path) -> tuple[Path, Path]:
    """Write a figure to ``<stem>.png`` and ``<stem>.svg``.

    No file is ever left incomplete, and the same figure gives the same bytes.

    Parameters
    ----------
    figure : Figure
    stem : str or Path
        The path without suffix.

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    InstanceError
        If a file cannot be written.
    """
    png, svg = files(stem)
    with style():
        for path in (png, svg):
            write_through(path, partial(figure.savefig, format=path.suffix[1:], metadata=_METADATA[path.suffix]))
    return png, svg


def heat_map(axes: Axes, matrix: FloatArray, rows: Sequence[str], columns: Sequence[str], *, numbers: bool = True) -> None:
    """Draw a matrix of probabilities as a heat map in shades of grey.

    Parameters
    ----------
    axes : Axes
    matrix : array, shape (rows, columns)
    rows, columns : sequence of str
        The labels of rows and columns, already broken into lines.
    numbers : bool
        Whether to write each probability into its cell.
    """
    axes.pcolormesh(matrix, cmap="Greys", vmin=0, vmax=_DARKEST, edgecolors=LIGHT, linewidth=0.5)
    axes.invert_yaxis()
    axes.set_xticks([n + 0.5 for n in range(len(columns))], columns)
    axes.set_yticks([n + 0.5 for n in range(len(rows))], rows)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    for (row, column), entry in [((r, c), matrix[r, c]) for r in range(len(rows)) for c in range(len(columns)) if numbers]:
        color = "white" if entry > 0.5 * _DARKEST else "black"
        axes.text(column + 0.5, row + 0.5, _short(entry), ha="center", va="center", color=color)


def _short(probability: float) -> str:
    """Format a probability to three decimals; small positive ones are distinguished from 0."""
    return "<0.001" if 1e-9 < probability < 0.0005 else f"{round(probability, 3):g}"


def label(text: str, width: int, lines: int = 1) -> str:
    """Break text into lines, and end it with an ellipsis if it does not fit.

    Parameters
    ----------
    text : str
    width : int
        The largest length of a line, in characters.
    lines : int
        The largest number of lines.

    Examples
    --------
    >>> label("a rather long title", 12, 2)
    'a rather\\nlong title'
    """
    clean = "".join(letter if letter.isprintable() else " " for letter in text)
    return "\n".join(textwrap.wrap(clean, max(2, width), max_lines=lines, placeholder="…"))
