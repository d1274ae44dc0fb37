"""Figures that read in black and white: their style, a heat map of probabilities, and saving as png and svg.

matplotlib is imported where it is needed and not before, and its global settings are left as they were.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from optmarket.files import write_through
from optmarket.lp.program import FloatArray

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
    "svg.hashsalt": "optmarket",  # names inside the file are drawn from it: the same figure is the same file
    "text.parse_math": False,  # a name with two dollar signs is a name
    "xtick.labelsize": 8,
    "xtick.major.width": 0.6,
    "ytick.labelsize": 8,
    "ytick.major.width": 0.6,
}
_METADATA = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": "optmarket"}}
_DARKEST = 1.3  # the probability that would be black; 1 is a dark grey


@contextmanager
def style() -> Iterator[None]:
    """Make figures in optmarket's style, whatever the user's own settings, which come back afterwards."""
    import matplotlib.style

    with matplotlib.style.context(STYLE, after_reset=True):
        yield


def files(stem: str | Path) -> tuple[Path, Path]:
    """What `save` writes."""
    png, svg = (Path(f"{stem}{ending}") for ending in _METADATA)
    return png, svg


def save(figure: Figure, stem: str | Path) -> tuple[Path, Path]:
    """Write a figure to ``<stem>.png`` and ``<stem>.svg``, each whole or not at all, the same bytes for the same figure.

    Parameters
    ----------
    figure : Figure
    stem : str or Path
        Path without the ending.

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
    """Draw probabilities as shades of grey, and unless there are too many write each into its cell.

    Parameters
    ----------
    axes : Axes
    matrix : array, shape (rows, columns)
    rows, columns : sequence of str
        Their labels, as they are to be broken into lines.
    numbers : bool
        Whether to write the probabilities.
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
    """A probability to three decimals, telling small ones from 0."""
    return "<0.001" if 1e-9 < probability < 0.0005 else f"{round(probability, 3):g}"


def label(text: str, width: int, lines: int = 1) -> str:
    """Text broken into at most so many lines of a width in characters, and cut with an ellipsis where that is not enough."""
    clean = "".join(letter if letter.isprintable() else " " for letter in text)
    return "\n".join(textwrap.wrap(clean, max(2, width), max_lines=lines, placeholder="…"))
