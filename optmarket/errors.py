"""What can go wrong, said in one line: the file, the field, and what would be right."""

from __future__ import annotations


class OptmarketError(Exception):
    """Base of every error optmarket raises on purpose.

    Parameters
    ----------
    message : str
        What is wrong and what would be right, one sentence.
    file : str, optional
        The file the error stands in.
    field : str, optional
        The field of that file, in dotted form with indices, e.g. ``params.types[1].belief``.
    """

    def __init__(self, message: str, *, file: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.field = field

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.field, self.message) if part)

    def as_dict(self) -> dict[str, str | None]:
        """The error as the command line's ``--json`` prints it."""
        return {"file": self.file, "field": self.field, "message": self.message}


class InstanceError(OptmarketError):
    """An instance or mechanism file, or a value in it, is not usable."""


class ModelError(OptmarketError):
    """A market is unknown, or what is asked of it is outside what it supports."""


class SolverError(OptmarketError):
    """The solver gave no answer that could be certified."""
