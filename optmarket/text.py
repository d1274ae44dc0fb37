"""Escape text from untrusted files for the terminal, for spreadsheets, for markdown and for LaTeX."""

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
    "[": "{[}",  # after a line break (\\) LaTeX would read it as the start of an optional argument
    "]": "{]}",
    "*": "{*}",  # after a line break LaTeX would read it as the starred form of the command
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def visible(text: str) -> str:
    r"""Replace each character that does not print by its escape sequence: ``\x1b``, ``\n``, ``\u202e``.

    Otherwise control characters could change the state of a terminal, line breaks could imitate further lines of output, and
    direction marks could display text in another order.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

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
    """Escape text for a cell of a csv file, so that no spreadsheet takes it for a formula.

    Text that would start a formula is preceded by an apostrophe, unless it is a number; characters that do not print are
    replaced as in `visible`.

    Examples
    --------
    >>> csv_cell("=1+1"), csv_cell("-1/3")
    ("'=1+1", '-1/3')
    """
    formula = text.startswith(_STARTS_FORMULA) and not _NUMBER.fullmatch(text)
    return f"'{visible(text)}" if formula else visible(text)


def markdown_cell(text: str) -> str:
    r"""Escape text for a cell of a markdown table, so that it contains no markup, HTML, mathematics or cell separator.

    Examples
    --------
    >>> print(markdown_cell("a|b *c*"))
    a\|b \*c\*
    """
    return re.sub(r"([\\`*_<>|~&#$])|(?<=\])(?=\()", r"\\\1", visible(text))


def latex_cell(text: str) -> str:
    r"""Escape text for a cell of a LaTeX table, so that it contains no command, mathematics, cell separator or line break.

    Examples
    --------
    >>> print(latex_cell("50% & more"))
    50\% \& more
    """
    return "".join(_LATEX.get(letter, letter) for letter in visible(text))
