"""A line of training-data buyers as a segment of an information market's types."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from optmarket.distributions.cdf import Law
from optmarket.lp.program import FloatArray
from optmarket.models import selling_information
from optmarket.models.selling_information import NOTHING, Segment, Served
from optmarket.models.selling_training_data.params import HALF, Line
from optmarket.rationals import exact

__all__ = ["NOTHING", "Served", "serve"]


def serve(line: Line, law: Law, experiment: FloatArray, price: FloatArray, tie: float, *, for_seller: bool = True) -> Served:
    """Let every type on a line choose from a menu.

    Parameters
    ----------
    line : Line
    law : Law
        Of alpha.
    experiment : array, shape (M, 2, N)
    price : array, shape (M,)
    tie : float
        Items this close to the best one count as equally good, in units of the most that complete data are worth to a type.
    for_seller : bool
        Whether ties go to the dearest item, or to the cheapest.
    """
    # exact, as errors may be small beside the probabilities of the states
    zero, one = Fraction(0), Fraction(1)
    start = np.array([[HALF, zero], [line.m, HALF - line.m]], dtype=object)
    slope = np.array([[-one, one], [-line.k, line.k]], dtype=object)
    tie *= most_worth(line, law)
    return selling_information.serve(Segment(law, start, slope, np.eye(2)), experiment, price, tie, for_seller=for_seller)


def most_worth(line: Line, law: Law) -> float:
    """What complete data are worth to the type on a line that errs most."""
    return float(line.m + (1 - line.k) * exact(law.support[1]))
