"""Text of anybody's files made safe for where it is shown: a terminal, a spreadsheet, markdown, LaTeX."""

from __future__ import annotations

import re
import unicodedata

_STARTS_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|[+-]?[0-9]+/[0-9]+|[+-]?inf", re.IGNORECASE)
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # behind a line's end it would open an argument
    "]": "{]}",
    "*": "{*}",  # and there this would be read as part of it
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def visible(text: str) -> str:
    r"""Text with what does not print written out: ``\x1b``, ``\n``, ``\u202e``.

    Control characters steer a terminal, line breaks fake lines, and marks of direction show text in another order than it has.

    Examples
    --------
    >>> visible("red \x1b[31m")
    'red \\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(map(_visible, text))


def _visible(letter: str) -> str:
    if letter.isprintable():
        return letter
    return " " if unicodedata.category(letter) == "Zs" else letter.encode("unicode_escape").decode()


def csv_cell(text: str) -> str:
    """Text as a cell of a csv file that a spreadsheet shows rather than runs.

    What would begin a formula gets an apostrophe in front, unless it is a number; what does not print is written out.
    """
    formula = text.startswith(_STARTS_FORMULA) and not _NUMBER.fullmatch(text)
    return f"'{visible(text)}" if formula else visible(text)


def markdown_cell(text: str) -> str:
    """Text as a cell of a table in markdown: no markup, no HTML, no mathematics, no further cell."""
    return re.sub(r"([\\`*_<>|~&#$])|(?<=\])(?=\()", r"\\\1", visible(text))


def latex_cell(text: str) -> str:
    """Text as a cell of a table in LaTeX: no command, no mathematics, no further cell or row."""
    return "".join(_LATEX.get(letter, letter) for letter in visible(text))
