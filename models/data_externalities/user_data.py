"""Covariances and values of privacy from csv files of user data."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.errors import InstanceError, ModelError
from optmarket.files import read_table
from optmarket.models.data_externalities.covariance import as_written
from optmarket.rationals import exact

SHRINKAGE = ("none", "ledoit-wolf", "oas")
MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}
FEWEST_ROWS = 2
SHOWN = 5  # names in a message

Rows = list[list[Fraction]]


def covariance_of_csv(file: Path) -> tuple[list[str], Rows]:
    """Read a covariance matrix whose header names the users.

    Parameters
    ----------
    file : Path
        A csv file with a header and one row for each user, in the header's order; a first column of names is allowed.

    Returns
    -------
    names : list of str
    covariance : list of lists of Fraction

    Raises
    ------
    InstanceError
        With line and column, if the table is no square matrix of numbers.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "covariance.csv")
    ...     _ = path.write_text("ann,bob\\n1,0.5\\n0.5,1\\n")
    ...     covariance_of_csv(path)
    (['ann', 'bob'], [[Fraction(1, 1), Fraction(1, 2)], [Fraction(1, 2), Fraction(1, 1)]])
    """
    header, rows = read_table(file)
    has_names = len(header) == len(rows) + 1 and _observation(rows[0][1][header[0]]) is None
    names = header[1:] if has_names else header
    if len(names) != len(rows):
        raise InstanceError(
            f"has {len(header)} columns and {len(rows)} rows; a covariance matrix has a row for each of its columns",
            file=str(file),
        )
    if len(header) > len(names):
        for name, (line, row) in zip(names, rows, strict=True):
            if row[header[0]] != name:
                raise InstanceError(
                    f"is {row[header[0]]!r}; rows go in the header's order, so here {name!r}",
                    file=str(file),
                    field=f"line {line}",
                )
    return names, [[_number(row[name], file, line, name) for name in names] for line, row in rows]


def values_of_csv(file: Path, names: Sequence[str]) -> list[Fraction]:
    """Read what privacy is worth to each user.

    Parameters
    ----------
    file : Path
        A csv file with columns ``user`` and ``privacy_value``, a row for each user, in any order.
    names : sequence of str
        The users.

    Returns
    -------
    list of Fraction
        In the order of `names`.

    Raises
    ------
    InstanceError
        If a user is missing or there is one that nobody knows.
    """
    header, rows = read_table(file)
    if not {"user", "privacy_value"} <= set(header):
        raise InstanceError(f"has columns {', '.join(header)}; it needs user and privacy_value", file=str(file))
    found: dict[str, Fraction] = {}
    for line, row in rows:
        if row["user"] not in names or row["user"] in found:
            why = "is there twice" if row["user"] in found else f"is no user; users are {_listed(names)}"
            raise InstanceError(f"{row['user']!r} {why}", file=str(file), field=f"line {line}, column user")
        found[row["user"]] = _number(row["privacy_value"], file, line, "privacy_value")
    if missing := [name for name in names if name not in found]:
        raise InstanceError(f"has no row for {_listed(missing)}", file=str(file))
    return [found[name] for name in names]


def estimated_covariance(
    file: Path, columns: Sequence[str] | None = None, shrinkage: str = "none", standardize: bool = True
) -> tuple[list[str], Rows]:
    """Estimate the covariance of users' data from observations.

    Parameters
    ----------
    file : Path
        A csv file, a column a user and a row an observation. Rows with a missing entry in one of the columns are left out.
    columns : sequence of str, optional
        The columns that are users. By default all whose entries are numbers.
    shrinkage : {"none", "ledoit-wolf", "oas"}
        How the sample covariance is shrunk towards a multiple of the identity: not; or as Ledoit and Wolf (2004) or Chen, Wiesel,
        Eldar and Hero (2010) propose, by scikit-learn.
    standardize : bool
        Divide each column by its standard deviation, so that every user's data have variance 1.

    Returns
    -------
    names : list of str
    covariance : list of lists of Fraction

    Raises
    ------
    InstanceError
        If a named column is missing or not of numbers, or fewer than two complete rows are left.
    ModelError
        If the estimate needs scikit-learn, which is not installed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "data.csv")
    ...     _ = path.write_text("name,ann,bob\\nx,1,2\\ny,2,\\nz,3,6\\n")
    ...     names, covariance = estimated_covariance(path, standardize=False)
    >>> names, [[float(entry) for entry in row] for row in covariance]
    (['ann', 'bob'], [[2.0, 4.0], [4.0, 8.0]])
    """
    header, rows = read_table(file)
    if missing := [name for name in columns or () if name not in header]:
        raise InstanceError(f"has no column {_listed(missing)}; it has {_listed(header)}", file=str(file))
    entries = {name: [_observation(row[name]) for _, row in rows] for name in (columns or header)}
    wrong = {name: column.index(None) for name, column in entries.items() if None in column}
    if columns and wrong:
        name, place = next(iter(wrong.items()))
        raise InstanceError(
            f"is {rows[place][1][name]!r}, which is no number", file=str(file), field=f"line {rows[place][0]}, column {name}"
        )
    names = [name for name in entries if name not in wrong]
    if not names:
        raise InstanceError("has no column of numbers", file=str(file))
    data = np.array([entries[name] for name in names], dtype=float).T
    data = data[~np.isnan(data).any(axis=1)]
    if len(data) < FEWEST_ROWS:
        raise InstanceError(f"has {len(data)} rows without missing entries; at least {FEWEST_ROWS} are needed", file=str(file))
    deviation = data.std(axis=0, ddof=1)
    if (constant := np.flatnonzero(deviation == 0)).size:
        raise InstanceError("never varies: leave it out with columns", file=str(file), field=f"column {names[constant[0]]}")
    if standardize:
        data = data / deviation
    return names, [list(row) for row in as_written(_estimate(data, shrinkage))]


def left_out(file: Path, names: Sequence[str], *, chosen: bool = False) -> list[str]:
    """What an estimate from a file leaves out, as sentences: columns that are not of numbers, and rows with missing entries.

    Parameters
    ----------
    file : Path
    names : sequence of str
        The columns that are used.
    chosen : bool
        Whether they were chosen, so that nothing need be said of others.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "data.csv")
    ...     _ = path.write_text("name,ann\\nx,1\\ny,\\nz,3\\n")
    ...     left_out(path, ["ann"])
    ['data.csv: column name is not of numbers and left out; 1 row with a missing entry is left out']
    """
    header, rows = read_table(file)
    wrong = [
        name for name in header if not chosen and name not in names and any(_observation(row[name]) is None for _, row in rows)
    ]
    missing = sum(any(row[name].lower() in MISSING for name in names) for _, row in rows)
    said = []
    if wrong:
        several = len(wrong) > 1
        said.append(
            f"{'columns' if several else 'column'} {', '.join(wrong)} {'are' if several else 'is'} not of numbers and left out"
        )
    if missing:
        said.append(
            f"{missing} rows with missing entries are left out" if missing > 1 else "1 row with a missing entry is left out"
        )
    return [f"{file.name}: {'; '.join(said)}"] if said else []


def _estimate(data: FloatArray, shrinkage: str) -> FloatArray:
    if shrinkage == "none":
        return np.atleast_2d(np.cov(data, rowvar=False))
    try:
        from sklearn import covariance
    except ImportError as error:
        raise ModelError("needs scikit-learn: pip install 'optmarket[data]'", field="params.shrinkage") from error
    estimate = covariance.ledoit_wolf if shrinkage == "ledoit-wolf" else covariance.oas
    return np.asarray(estimate(data)[0])


def _observation(text: str) -> float | None:
    """An entry as a number, not a number if it is missing, nothing if it is neither."""
    if text.lower() in MISSING:
        return float("nan")
    try:
        return float(exact(text))
    except ValueError:
        return None


def _number(text: str, file: Path, line: int, column: str) -> Fraction:
    try:
        return exact(text)
    except ValueError as error:
        raise InstanceError(str(error), file=str(file), field=f"line {line}, column {column}") from error


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more
