"""Define fields and validators that several markets share: weights, beliefs, whole numbers, names and csv files of types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, PlainValidator, ValidationInfo

from optmarket.distributions.cdf import Cdf
from optmarket.errors import InstanceError
from optmarket.files import read_table, referenced_in
from optmarket.rationals import NonnegativeExact, exact, shown, sized, to_one

TypeT = TypeVar("TypeT", bound=Any)


# --- numbers that sum to one ---


def divided(info: ValidationInfo, what: str, missed: Fraction) -> None:
    """Record, from inside a validator, that numbers were divided by their sum because it was not exactly one.

    All records for one file become a single entry of `Instance.notes`.

    Parameters
    ----------
    info : ValidationInfo
        The argument of the validator, whose context collects the records.
    what : str
        The name of the numbers in the plural, for example ``weights``.
    missed : Fraction
        The difference between their sum and one, as `optmarket.rationals.to_one` returns it; 0 is not recorded.
    """
    if missed and info.context and "missed" in info.context:
        info.context["missed"].setdefault(what, []).append(missed)


def weights_to_one(types: tuple[TypeT, ...] | None, info: ValidationInfo) -> tuple[TypeT, ...] | None:
    """Normalise the weights of types to sum to one, and record it in the notes if this changes them; for validators.

    Parameters
    ----------
    types : tuple of models with a field ``weight``, or None
    info : ValidationInfo
        The argument of the validator.

    Returns
    -------
    tuple or None
        The types with weights that sum to one exactly.

    Raises
    ------
    ValueError
        If the sum of the weights differs from one by more than 1e-9.
    """
    if types is None:
        return None
    values, missed = to_one([one.weight for one in types], "weights")
    divided(info, "weights", missed)
    if not missed:
        return types
    return tuple(one.model_copy(update={"weight": weight}) for one, weight in zip(types, values, strict=True))


def _sums_to_one(entries: tuple[Fraction, ...], info: ValidationInfo) -> tuple[Fraction, ...]:
    values, missed = to_one(entries, "its entries")
    divided(info, f"entries of {info.field_name}", missed)
    return tuple(values)


def _measures(rows: tuple[tuple[Fraction, ...], ...], info: ValidationInfo) -> tuple[tuple[Fraction, ...], ...]:
    width = len(rows[0]) if rows else 0
    if width == 0 or any(len(row) != width for row in rows):
        widths = [len(row) for row in rows]
        raise ValueError(f"has rows of {widths} entries; each state's row has one per context, as many as the others")
    values = _sums_to_one(tuple(entry for row in rows for entry in row), info)
    return tuple(values[k : k + width] for k in range(0, len(values), width))


# A belief (probabilities of the states), and a joint distribution of states and contexts. The entries of each sum to one.
Belief = Annotated[tuple[NonnegativeExact, ...], AfterValidator(_sums_to_one)]
JointMeasure = Annotated[tuple[tuple[NonnegativeExact, ...], ...], AfterValidator(_measures)]


# --- other numbers ---


def _whole(value: object) -> int:
    # A file may hold 2.0, and a sweep sets a Fraction.
    counted = isinstance(value, (int, float, Decimal, Fraction)) and not isinstance(value, bool)
    if not counted or (number := exact(value)) < 1 or number.denominator != 1:
        raise ValueError(f"is {shown(value)}; must be a whole number, at least 1")
    return int(number)


Count = Annotated[int, PlainValidator(_whole)]


def stakes_fit(stakes: Iterable[tuple[str, Fraction, str]]) -> None:
    """Check that payoffs are of a size at which their sums and products neither overflow nor underflow in floats.

    Parameters
    ----------
    stakes : iterable of (words, number, field)
        The description of the number, which precedes the message; the number, in payoff units; and the field for the error.

    Raises
    ------
    InstanceError
        For the first number that is too large or too small; see `optmarket.rationals.sized`.

    Examples
    --------
    >>> stakes_fit([("the largest value", Fraction(3), "params.types")])
    """
    for words, stake, field in stakes:
        try:
            sized(stake)
        except ValueError as error:
            raise InstanceError(f"{words} {error}".strip(), field=field) from error


def ends(distribution: Cdf) -> str:
    """Describe the support of a distribution in words.

    Parameters
    ----------
    distribution : PiecewiseLinear or Smooth

    Examples
    --------
    >>> from optmarket.distributions.specification import Distribution
    >>> ends(Distribution(dist="uniform").as_cdf)
    'reaches from 0 to 1'
    """
    low, high = (shown(end) if isinstance(end, Fraction) else f"{end:g}" for end in distribution.support)
    return f"reaches from {low} to {high}"


# --- names ---


def names_differ(names: Iterable[str], field: str) -> None:
    """Check that no name occurs twice.

    Parameters
    ----------
    names : iterable of str
    field : str
        The field for the error.

    Raises
    ------
    InstanceError
        With the first name that occurs twice.

    Examples
    --------
    >>> names_differ(["a", "b"], "params.types")
    """
    twice = [name for name, often in Counter(names).items() if often > 1]
    if twice:
        raise InstanceError(f"names {twice[0]!r} twice; each name must differ", field=field)


# --- types from a csv file ---


def with_types_from_csv(data: Any, info: ValidationInfo, read: Callable[[Path, Mapping[str, Any]], Mapping[str, Any]]) -> Any:
    """Add the types of the csv file that ``types_csv`` names to the parameters; for a validator in mode "before".

    Parameters
    ----------
    data : object
        The content of the table ``[params]``.
    info : ValidationInfo
        The argument of the validator.
    read : callable
        Maps the csv file and the other parameters to a mapping with ``types`` and any further fields that the file determines.

    Returns
    -------
    object
        The parameters with those fields; unchanged if there is no ``types_csv``.

    Raises
    ------
    InstanceError
        If ``types`` are given as well, or ``types_csv`` is not the name of a file.
    """
    if not isinstance(data, dict) or "types_csv" not in data:
        return data
    if "types" in data:
        raise InstanceError("stands beside types; give one of the two", field="params.types_csv")
    if not isinstance(data["types_csv"], str):
        raise InstanceError('must be the name of a csv file, such as "types.csv"', field="params.types_csv")
    return {**data, **read(referenced_in(info.context, data["types_csv"], field="params.types_csv"), data)}


def csv_types(file: Path, check: Callable[[Sequence[str]], str | None]) -> tuple[list[str], list[dict[str, Any]]]:
    """Read types from a csv file with one row for each type: exact numbers, and an optional column of names.

    Parameters
    ----------
    file : Path
    check : callable
        Maps the column names to a message on what is wrong with them, which follows "has columns ...", or to None.

    Returns
    -------
    header : list of str
        The column names.
    types : list of dict
        For each type the Fractions by column, and ``name`` if the entry is not blank.

    Raises
    ------
    InstanceError
        If the columns are wrong or an entry is not a number. The error names line and column.
    """
    header, rows = read_table(file)
    if wrong := check(header):
        raise InstanceError(f"has columns {', '.join(header)}; {wrong}", file=str(file))
    types = []
    for line, row in rows:
        found: dict[str, Any] = {"name": row["name"]} if row.get("name") else {}
        for column in header:
            if column != "name":
                try:
                    found[column] = exact(row[column])
                except ValueError as error:
                    raise InstanceError(str(error), file=str(file), field=f"line {line}, column {column}") from error
        types.append(found)
    return header, types


# --- fields of earlier versions ---


def no_formulation(data: Any, methods: Mapping[str, str]) -> Any:
    """Reject the field ``formulation``, with which files of earlier versions chose a method; for a validator in mode "before".

    Parameters
    ----------
    data : object
        The content of the table ``[params]``.
    methods : mapping of str to str
        For each formulation the method that replaces it.

    Returns
    -------
    object
        The parameters, unchanged.

    Raises
    ------
    InstanceError
        If there is such a field. The error says what to write instead.
    """
    if isinstance(data, dict) and "formulation" in data:
        given = data["formulation"]
        method = methods.get(given) if isinstance(given, str) else None
        how = (
            f'write method = "{method}" above [params]'
            if method
            else f"write method above [params]: {', '.join(dict.fromkeys(methods.values()))}"
        )
        raise InstanceError(f"says how to solve, which is no part of the market: {how}", field="params.formulation")
    return data
