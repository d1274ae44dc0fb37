"""A piecewise linear majorant of the revenue curve of any distribution of values, by the bends of it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from scipy.interpolate import PchipInterpolator

from optmarket.distributions.cdf import PiecewiseLinear, Smooth
from optmarket.lp.program import FloatArray
from optmarket.models.selling_information.continuum.plane_demand import Plane
from optmarket.rationals import floats

NODES = 2**16  # kinks of a majorant by tangents
STEPS = 2**18  # of one by steps
LEVELS = 2**9  # quantiles between which there are
BETWEEN = 2**6  # steps, at least,
SHORTER = 1 / 4  # if these are so much shorter than even ones
HALVINGS = 40  # of a step's length, at most
GRADUAL = 1 / 64  # of the way: by how much a step's length may change
NEAR = 1e-15  # of the largest value: steps are no shorter
LITTLE = 1 / 32  # of the largest revenue at one price
FAR = Fraction(999, 1000)  # of an unbounded distribution's mass is covered evenly


@dataclass(frozen=True)
class Bend:
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
    def of(cls, plane: Plane) -> Bend:
        """That of a plane: by tangents where the distribution function is linear in pieces, else by steps that enclose it."""
        law = plane.value
        if isinstance(law, PiecewiseLinear):
            return cls._of_tangents(law)
        value = cls._steps(plane, law)
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
        steepest = 2 * max(1.0, -slope[revenue[:-1] >= LITTLE * revenue.max()].min())
        level = np.maximum.accumulate(level + steepest * kinks) - steepest * kinks
        if level[-1] > plane.tail:
            further = max((level[-1] - plane.tail) / steepest, step[-1])
            kinks, level = np.append(kinks, kinks[-1] + further), np.append(level, plane.tail)
        slope = np.diff(level, prepend=0.0) / np.diff(kinks, prepend=0.0)
        return cls(kinks, np.diff(slope, append=0.0), plane.tail)

    @staticmethod
    def _steps(plane: Plane, law: Smooth) -> FloatArray:
        """Ends of steps, short where values are frequent, since a peak may be narrow.

        The length of steps changes gradually: what they exceed R by is a share of it, and where that jumped the majorant would
        bend for nothing.
        """
        low, high = map(float, plane.ends)
        last = float(law.quantiles([FAR])[0]) if plane.tail else high
        often = floats(law.quantiles([Fraction(k, LEVELS) for k in range(1, LEVELS)]))
        joints = np.unique(np.concatenate([[low, last], law.joints, often]))
        joints = joints[(joints >= low) & (joints <= last)]
        longest = (last - low) / (STEPS if last == high else STEPS // 2)
        wanted = np.diff(joints) / BETWEEN
        # two joints may lie close together for no reason
        wanted = np.max([np.append(wanted[1:], 0.0), wanted, np.append(0.0, wanted[:-1])], axis=0)
        wanted = np.where(wanted < SHORTER * longest, wanted, longest)
        near = (joints[:, None] + np.outer([-1, 1], longest * 0.5 ** np.arange(HALVINGS)).ravel()).ravel()
        at = np.union1d(joints, near[(near > low) & (near < last)])
        length = wanted[np.clip(np.searchsorted(joints, at, side="right") - 1, 0, len(wanted) - 1)]
        length[1:] = np.minimum(length[1:], length[:-1])
        length = np.minimum.accumulate(length - GRADUAL * at) + GRADUAL * at
        length = np.minimum.accumulate((length + GRADUAL * at)[::-1])[::-1] - GRADUAL * at
        length = np.maximum(length, NEAR * high)
        count = np.append(0.0, np.cumsum(2 * np.diff(at) / (length[1:] + length[:-1])))
        apart = np.append(True, np.diff(np.floor(16 * count)) > 0)  # points much closer than a step say nothing of it
        count, at = count[apart], at[apart]
        value = PchipInterpolator(count, at)(np.arange(np.ceil(count[-1])))
        end = np.geomspace(last, high, STEPS // 2 + 1) if plane.tail else np.array([high])
        return np.unique(np.concatenate([value, end]))

    @classmethod
    def _of_tangents(cls, law: PiecewiseLinear) -> Bend:
        """R is a parabola on each stretch, whose tangents at the ends of equal parts meet at their middles."""
        knots = floats(law.knots)
        stretches = zip(pairwise(law.knots), pairwise(law.levels), strict=True)
        density = floats([(above - below) / (right - left) for (left, right), (below, above) in stretches])
        length = np.where(density > 0, np.diff(knots), 0.0)
        parts = np.ceil(NODES * length / length.sum()).astype(np.int64)
        owner = np.repeat(np.arange(len(parts)), parts)
        part = np.arange(len(owner)) - (np.cumsum(parts) - parts)[owner]
        step = (length / np.maximum(parts, 1))[owner]
        kinks = np.concatenate([knots, knots[owner] + (part + 0.5) * step])
        rise = np.concatenate([-knots * np.diff(density, prepend=0.0, append=0.0), -2 * density[owner] * step])
        bent = np.flatnonzero(rise)
        order = bent[np.argsort(kinks[bent], kind="stable")]
        return cls(kinks[order], rise[order], 0.0)
