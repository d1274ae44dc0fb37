"""A piecewise linear majorant of the revenue curve of any distribution of values, by the bends of it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.distributions.cdf import PiecewiseLinear, Smooth
from optmarket.models.selling_information.continuum.plane_types import Plane
from optmarket.rationals import floats

MOST_TANGENT_KINKS = 2**16  # kinks of a majorant by tangents
MOST_STEPS = 2**18  # of one by steps
QUANTILES = 2**9  # quantiles between which there are
STEPS_BETWEEN_QUANTILES = 2**6  # steps, at least,
MUCH_SHORTER = 1 / 4  # if these are so much shorter than even ones
HALVINGS = 40  # of a step's length, at most
LARGEST_CHANGE = 1 / 64  # of the way: by how much a step's length may change
SHORTEST_STEP = 1e-15  # of the largest value: steps are no shorter
LITTLE_REVENUE = 1 / 32  # of the largest revenue at one price
COVERED_EVENLY = Fraction(999, 1000)  # of an unbounded distribution's mass is covered evenly


@dataclass(frozen=True)
class RevenueMajorant:
    """The kinks of a majorant of the revenue curve R(v) = v Pr(V >= v).

    Attributes
    ----------
    value : array, shape (N,)
        Where they are, ascending.
    rise : array, shape (N,)
        Of the slope.
    tail : float
        What R does not exceed beyond the last. As no slope of U exceeds 1, revenue is larger by no more.
    """

    value: FloatArray
    rise: FloatArray
    tail: float

    @classmethod
    def of(cls, plane: Plane) -> RevenueMajorant:
        """That of a plane: by tangents where the distribution function is linear in pieces, else by steps that enclose it."""
        distribution = plane.value
        if isinstance(distribution, PiecewiseLinear):
            return cls._of_tangents(distribution)
        value = cls._steps(plane, distribution)
        low, high = float(value[0]), float(value[-1])
        step = np.diff(value)
        nodes = np.concatenate([[max(0.0, low - step[0])], value, [high + step[-1]]])
        # between two nodes R is at most the upper one times the chance at the lower one
        level = np.append(nodes[2:] * plane.above(nodes[:-2]), 0.0)
        level[-2:] = max(level[-2], plane.tail), plane.tail
        kinks = nodes[1:]
        if kinks[0] == 0:
            kinks, level = kinks[1:], level[1:]
        # where little is at stake, a fall as steep as a density is large would be followed for nothing
        revenue = kinks * plane.above(kinks)
        slope = np.diff(revenue) / np.diff(kinks)
        steepest = 2 * max(1.0, -slope[revenue[:-1] >= LITTLE_REVENUE * revenue.max()].min())
        level = np.maximum.accumulate(level + steepest * kinks) - steepest * kinks
        if level[-1] > plane.tail:
            further = max((level[-1] - plane.tail) / steepest, step[-1])
            kinks, level = np.append(kinks, kinks[-1] + further), np.append(level, plane.tail)
        slope = np.diff(level, prepend=0.0) / np.diff(kinks, prepend=0.0)
        return cls(kinks, np.diff(slope, append=0.0), plane.tail)

    @staticmethod
    def _steps(plane: Plane, distribution: Smooth) -> FloatArray:
        """Ends of steps, short where values are frequent, since a peak may be narrow.

        The length of steps changes gradually: what they exceed R by is a share of it, and where that jumped the majorant would
        bend for nothing.
        """
        from scipy.interpolate import PchipInterpolator

        low, high = map(float, plane.ends)
        last = float(distribution.quantiles([COVERED_EVENLY])[0]) if plane.tail else high
        often = floats(distribution.quantiles([Fraction(k, QUANTILES) for k in range(1, QUANTILES)]))
        joints = np.unique(np.concatenate([[low, last], distribution.joints, often]))
        joints = joints[(joints >= low) & (joints <= last)]
        longest = (last - low) / (MOST_STEPS if last == high else MOST_STEPS // 2)
        length_there = np.diff(joints) / STEPS_BETWEEN_QUANTILES
        # two joints may lie close together for no reason
        length_there = np.max([np.append(length_there[1:], 0.0), length_there, np.append(0.0, length_there[:-1])], axis=0)
        length_there = np.where(length_there < MUCH_SHORTER * longest, length_there, longest)
        near = (joints[:, None] + np.outer([-1, 1], longest * 0.5 ** np.arange(HALVINGS)).ravel()).ravel()
        at = np.union1d(joints, near[(near > low) & (near < last)])
        length = length_there[np.clip(np.searchsorted(joints, at, side="right") - 1, 0, len(length_there) - 1)]
        length[1:] = np.minimum(length[1:], length[:-1])
        length = np.minimum.accumulate(length - LARGEST_CHANGE * at) + LARGEST_CHANGE * at
        length = np.minimum.accumulate((length + LARGEST_CHANGE * at)[::-1])[::-1] - LARGEST_CHANGE * at
        length = np.maximum(length, SHORTEST_STEP * high)
        count = np.append(0.0, np.cumsum(2 * np.diff(at) / (length[1:] + length[:-1])))
        apart = np.append(True, np.diff(np.floor(16 * count)) > 0)  # points much closer than a step say nothing of it
        count, at = count[apart], at[apart]
        value = PchipInterpolator(count, at)(np.arange(np.ceil(count[-1])))
        end = np.geomspace(last, high, MOST_STEPS // 2 + 1) if plane.tail else np.array([high])
        return np.unique(np.concatenate([value, end]))

    @classmethod
    def _of_tangents(cls, distribution: PiecewiseLinear) -> RevenueMajorant:
        """R is a parabola on each stretch, whose tangents at the ends of equal parts meet at their middles."""
        knots = floats(distribution.knots)
        stretches = zip(pairwise(distribution.knots), pairwise(distribution.levels), strict=True)
        density = floats([(above - below) / (right - left) for (left, right), (below, above) in stretches])
        length = np.where(density > 0, np.diff(knots), 0.0)
        parts = np.ceil(MOST_TANGENT_KINKS * length / length.sum()).astype(np.int64)
        owner = np.repeat(np.arange(len(parts)), parts)
        part = np.arange(len(owner)) - (np.cumsum(parts) - parts)[owner]
        step = (length / np.maximum(parts, 1))[owner]
        kinks = np.concatenate([knots, knots[owner] + (part + 0.5) * step])
        rise = np.concatenate([-knots * np.diff(density, prepend=0.0, append=0.0), -2 * density[owner] * step])
        bent = np.flatnonzero(rise)
        order = bent[np.argsort(kinks[bent], kind="stable")]
        return cls(kinks[order], rise[order], 0.0)
