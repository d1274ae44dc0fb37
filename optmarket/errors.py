"""Define the errors that optmarket raises; each message names the file and the field and says what is expected."""

from __future__ import annotations


class OptmarketError(Exception):
    """The base class of every error that optmarket raises on purpose.

    Parameters
    ----------
    message : str
        One sentence on what is wrong and what is expected.
    file : str, optional
        The file that contains the error.
    field : str, optional
        The field in that file, with dots and indices, for example ``params.types[1].belief``.

    Examples
    --------
    >>> print(OptmarketError("is missing", file="my.toml", field="params.types[1].belief"))
    my.toml: params.types[1].belief: is missing
    """

    def __init__(self, message: str, *, file: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.field = field

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.field, self.message) if part)

    def as_dict(self) -> dict[str, str | None]:
        """The error as the JSON object that the command line prints with ``--json``."""
        return {"file": self.file, "field": self.field, "message": self.message}


class InstanceError(OptmarketError):
    """An instance file or mechanism file, or a value in it, is invalid."""


class ModelError(OptmarketError):
    """A market is unknown, or it does not support what was requested."""


class SolverError(OptmarketError):
    """The solver returned no answer that could be certified."""
