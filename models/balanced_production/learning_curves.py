"""Learning curves fitted to accuracies that were measured at several sizes of a data set."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.errors import InstanceError
from optmarket.files import read_table
from optmarket.rationals import exact

FEWEST_SIZES = 4  # different numbers of samples, for three parameters
LEAST_EXPLAINED = 0.5  # share of the variance of accuracies; a fit that explains less says nothing of learning
# Relative to the parameter: a standard error above this leaves it undetermined.
LARGEST_ERROR = 2.0
DIGITS = 6  # significant digits that fitted parameters keep
COLUMNS = ("group", "samples", "accuracy")


@dataclass(frozen=True)
class FittedCurve:
    """A learning curve ``Z - alpha n^(-beta)`` with the standard errors of its parameters.

    Attributes
    ----------
    task : mapping of str to str
        ``Z``, ``alpha`` and ``beta`` as decimals.
    errors : mapping of str to float
        Their standard errors, from the least-squares fit.
    explained : float
        Share of the variance of accuracies that the curve explains.
    points : int
    """

    task: Mapping[str, str]
    errors: Mapping[str, float]
    explained: float
    points: int


def fitted(file: Path) -> dict[str, FittedCurve]:
    """Fit a learning curve to the rows of each group by least squares.

    Parameters
    ----------
    file : Path
        A csv file with columns ``group``, ``samples`` and ``accuracy``.

    Returns
    -------
    dict of str to FittedCurve
        In the order in which groups first occur.

    Raises
    ------
    InstanceError
        If a column is missing, an entry is no number, a group has too few sizes, or its accuracies are no learning curve.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "curves.csv")
    ...     rows = [f"a,{n},{1 - n**-0.5}" for n in (4, 16, 64, 256)]
    ...     _ = path.write_text("\\n".join(["group,samples,accuracy", *rows]))
    ...     dict(fitted(path)["a"].task)
    {'Z': '1', 'alpha': '1', 'beta': '0.5'}
    """
    header, rows = read_table(file)
    if missing := [name for name in COLUMNS if name not in header]:
        raise InstanceError(f"has no column {missing[0]}; it needs {', '.join(COLUMNS)}", file=str(file))
    points: dict[str, list[tuple[float, float]]] = {}
    for line, row in rows:
        numbers = []
        for name in ("samples", "accuracy"):
            try:
                number = float(exact(row[name]))
            except ValueError as error:
                raise InstanceError(str(error), file=str(file), field=f"line {line}, column {name}") from error
            if number <= 0 and name == "samples":
                raise InstanceError(f"is {number:g}; must be above 0", file=str(file), field=f"line {line}, column samples")
            numbers.append(number)
        points.setdefault(row["group"], []).append((numbers[0], numbers[1]))
    return {name: _fit(np.array(some), name, file) for name, some in points.items()}


def described(name: str, curve: FittedCurve) -> str:
    """A fit in words: parameters with standard errors, and how much of the variance is explained."""
    numbers = ", ".join(f"{key} {curve.task[key]} (standard error {curve.errors[key]:.2g})" for key in ("Z", "alpha", "beta"))
    return f"learning curve of {name}, fitted to {curve.points} points: {numbers}; {curve.explained:.1%} of variance explained"


def _fit(points: FloatArray, name: str, file: Path) -> FittedCurve:
    from scipy.optimize import OptimizeWarning, curve_fit

    samples, accuracy = points.T
    field = f"group {name}"

    def refused(why: str) -> InstanceError:
        return InstanceError(why, file=str(file), field=field)

    if (sizes := len(np.unique(samples))) < FEWEST_SIZES:
        raise refused(f"has {sizes} different numbers of samples; a curve needs at least {FEWEST_SIZES}")
    if (variance := float(((accuracy - accuracy.mean()) ** 2).sum())) == 0:
        raise refused("has the same accuracy at all numbers of samples: nothing is learned")
    smallest, best = float(samples.min()), float(accuracy.max())
    unit = float(np.exp(np.log(samples).mean()))  # samples in units of their middle keep alpha and beta apart

    def curve(n: FloatArray, limit: float, drop: float, beta: float) -> FloatArray:
        return np.asarray(limit - drop * (n / unit) ** -beta)

    start = (best, max(1e-3, best - float(accuracy[samples == smallest].mean())), 0.5)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", OptimizeWarning)
            (limit, drop, beta), covariance = curve_fit(curve, samples, accuracy, p0=start, maxfev=20_000)
    except (RuntimeError, OptimizeWarning) as error:
        raise refused("is no learning curve: least squares find no limit, drop and power that fit") from error
    left = accuracy - curve(samples, limit, drop, beta)
    explained = 1 - float((left**2).sum()) / variance
    alpha = drop * unit**beta
    # alpha = drop unit^beta, so its variance follows from those of both (the delta method).
    slope = np.array([0.0, unit**beta, alpha * np.log(unit)])
    errors = {
        "Z": float(np.sqrt(covariance[0, 0])),
        "alpha": float(np.sqrt(slope @ covariance @ slope)),
        "beta": float(np.sqrt(covariance[2, 2])),
    }
    found = {"Z": float(limit), "alpha": float(alpha), "beta": float(beta)}
    for key, number in found.items():
        if not number > 0 or not np.isfinite(number):
            raise refused(f"is no learning curve: the fit has {key} = {number:.4g}, which must be above 0")
    if explained < LEAST_EXPLAINED:
        raise refused(f"is no learning curve: the best fit explains {explained:.0%} of the variance of accuracies")
    for key in ("Z", "beta"):
        if not errors[key] <= LARGEST_ERROR * found[key]:
            raise refused(f"does not determine {key}: {found[key]:.4g} (standard error {errors[key]:.2g}); give larger samples")
    task = {key: f"{number:.{DIGITS}g}" for key, number in found.items()}
    return FittedCurve(task, errors, explained, len(points))
