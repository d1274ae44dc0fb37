"""The platform's payoff and the social surplus as functions of who shares, with bounds on boxes of profiles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from optmarket.arrays import BoolArray, FloatArray
from optmarket.models.data_externalities.branch_and_bound import Boxes

# Newton steps of a box's relaxation; the bound holds after any number of them.
STEPS = 4
# The square root of a share from which on errors are computed from K.
LARGE_ROOT = 0.5
# Relative to all variances and values: more than the rounding of the inverses and sums of some hundred users.
ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Gaussian:
    """What profiles leak about users of jointly normal types, in floats.

    Attributes
    ----------
    covariance : array, shape (n, n)
    value : array, shape (n,)
    """

    covariance: FloatArray
    value: FloatArray

    @property
    def n(self) -> int:
        """How many users there are."""
        return len(self.value)

    @cached_property
    def variance(self) -> FloatArray:
        """Each user's variance, shape (n,)."""
        return np.diagonal(self.covariance).copy()

    @cached_property
    def rounding(self) -> float:
        """By how much computed objectives and bounds may be off."""
        return ROUNDING * float((self.variance * np.maximum(1.0, self.value)).sum())

    def errors(self, share: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``M(a) = (Sigma^-1 + diag a)^-1`` for shares in [0, 1], and the diagonal of ``K = (I + D Sigma D)^-1``.

        D holds the roots of a. Entries of M are computed from K where that is the smaller number: ``M D = Sigma D K`` and
        ``D M D = I - K``. The price of a sharer's data depends on ``1 - M_ii = K_ii``, which the difference would lose where
        variances are large.

        Parameters
        ----------
        share : array, shape (B, n)

        Returns
        -------
        errors : array, shape (B, n, n)
        spare : array, shape (B, n)
            1 - M_ii for users who share.
        """
        at = np.arange(self.n)
        root = np.sqrt(share)
        seen = self.covariance * root[:, None, :]
        kernel = seen * root[:, :, None]
        kernel[:, at, at] += 1.0
        scale = 1 / np.sqrt(kernel[:, at, at])  # of unit diagonal it is inverted more accurately
        inverse = np.linalg.inv(kernel * scale[:, :, None] * scale[:, None, :]) * scale[:, :, None] * scale[:, None, :]
        reached = seen @ inverse
        found = self.covariance - reached @ seen.transpose(0, 2, 1)
        much = root >= LARGE_ROOT
        safe = np.where(much, root, 1.0)
        column = reached / safe[:, None, :]
        found = np.where(much[:, None, :], column, np.where(much[:, :, None], column.transpose(0, 2, 1), found))
        both = -inverse / (safe[:, :, None] * safe[:, None, :])
        both[:, at, at] = np.where(self.variance * share > 1, (1 - inverse[:, at, at]) / safe**2, found[:, at, at])
        found = np.where(much[:, :, None] & much[:, None, :], both, found)
        return np.asarray(found), np.asarray(inverse[:, at, at])

    def error(self, shares: BoolArray) -> tuple[FloatArray, FloatArray]:
        """The diagonal of M at profiles, and for sharers 1 less it; each of shape (P, n)."""
        errors, spare = self.errors(shares.astype(float))
        return np.diagonal(errors, axis1=1, axis2=2).copy(), spare

    def errors_after_flips(self, shares: BoolArray) -> tuple[FloatArray, FloatArray]:
        """The diagonal of M in row j if user j changes from a profile, and for those who then share 1 less it; shape (n, n) each.

        By rank-one updates, whose rounding is that of a difference.
        """
        errors, spare = (one[0] for one in self.errors(shares[None].astype(float)))
        change = errors**2 * np.where(shares, 1 / spare, -1 / (1 + np.diagonal(errors)))
        after = np.diagonal(errors) + change.T
        return after, np.maximum(1 - after, np.finfo(float).eps)


class PlatformPayoff(Gaussian):
    """The platform's payoff when it pays each sharer the least price that sustains sharing.

    ``U(a) = sum (Sigma_ii - M_ii(a)) - sum over sharers of v_i phi(M_ii(a))`` with ``phi(m) = m^2 / (1 - m)``. In a box, M_ii
    is at least what it is where all who may share do, and phi rises; with prices at this lower end the payoff is concave in a
    in [0, 1]^n, because M is convex. A concave function lies below its tangents, so any point gives a bound.
    """

    def value_at(self, shares: BoolArray) -> FloatArray:
        """The payoff at profiles, shape (P,)."""
        error, spare = self.error(shares)
        return np.asarray((self.variance - error - self.value * _phi(error, spare, shares)).sum(axis=1))


@dataclass(frozen=True, eq=False)
class PlatformObjective:
    """`PlatformPayoff` as `branch_and_bound.maximise` takes it.

    Attributes
    ----------
    payoff : PlatformPayoff
    """

    payoff: PlatformPayoff

    @property
    def n(self) -> int:
        """How many users there are."""
        return self.payoff.n

    @property
    def rounding(self) -> float:
        """By how much computed values and bounds may be off."""
        return self.payoff.rounding

    def flipped(self, shares: BoolArray) -> FloatArray:
        """About what the payoff is if one user changes, shape (n,)."""
        payoff = self.payoff
        error, spare = payoff.errors_after_flips(shares)
        paid = payoff.value * _phi(error, spare, shares ^ np.eye(self.n, dtype=bool))
        return np.asarray((payoff.variance - error - paid).sum(axis=1))

    @property
    def ceiling(self) -> float:
        """All variances: no platform learns more, and prices are at least 0."""
        return float(self.payoff.variance.sum()) + self.rounding

    def value(self, shares: BoolArray) -> FloatArray:
        """The payoff at profiles, shape (P,)."""
        return self.payoff.value_at(shares)

    def bounded(self, boxes: Boxes, incumbent: float) -> Boxes:
        """Bounds by tangents of the concave relaxation, at a few Newton steps towards its maximum."""
        payoff = self.payoff
        # Who values privacy at most as the platform does may share without loss: it then costs no more than it brings.
        low, high = boxes.low | (boxes.high & (payoff.value <= 1)), boxes.high.copy()
        bottom, top = low.astype(float), high.astype(float)
        free = low != high
        least = np.where(free, payoff.value * _phi(*payoff.error(high), high), 0.0)
        paid_in_full = np.where(low, payoff.value, 0.0)
        point = np.clip(boxes.point, bottom, top)
        upper, best_point = boxes.upper.copy(), point.copy()
        slope_at_best = np.zeros_like(point)
        at = np.arange(payoff.n)
        for step in range(STEPS):
            errors, spare = payoff.errors(point)
            error = errors[:, at, at]
            weight = 1 + paid_in_full * _phi_slope(error, spare, low)
            weighted = errors * weight[:, :, None]
            squared = errors @ weighted
            slope = squared[:, at, at] - least
            value = (payoff.variance - error - paid_in_full * _phi(error, spare, low) - least * point).sum(axis=1)
            bound = value + np.maximum(slope * (top - point), slope * (bottom - point)).sum(axis=1)
            better = bound < upper
            upper = np.where(better, bound, upper)
            best_point[better], slope_at_best[better] = point[better], slope[better]
            if step + 1 < STEPS:
                bent = errors * errors * np.sqrt(paid_in_full * _phi_bend(spare, low))[:, :, None]
                curvature = 2 * errors * squared + bent.transpose(0, 2, 1) @ bent
                point = _newton(point, slope, curvature, bottom, top)
        # Where the tangent says that the other choice of a user stays below the incumbent, the choice is made.
        free = low != high
        gain = np.where(free, slope_at_best, 0.0)
        decided = free & (upper[:, None] - np.abs(gain) + self.rounding < incumbent)
        low, high = low | (decided & (gain > 0)), high & ~(decided & (gain < 0))
        point = np.clip(best_point, low, high)
        free = low != high
        # Branch where the relaxation may pay too little and is undecided, which needed fewest boxes of six rules that were tried.
        likely = low | (point > 0.5)
        error, spare = payoff.error(likely)
        with_own = np.where(likely, error, error / (1 + error))  # the error that is left if this user shares, too
        missed = payoff.value * _phi(with_own, np.where(likely, spare, 1 / (1 + error)), np.ones_like(low)) - least
        score = np.where(free, np.maximum(missed, 0.0) * np.sqrt(point * (1 - point) + 1e-4) + 1e-9, -1.0)
        return Boxes(low, high, upper, point, score.argmax(axis=1))


@dataclass(frozen=True, eq=False)
class Surplus:
    """Social surplus ``sum (1 - v_i) I_i(a)``, as `branch_and_bound.maximise` takes it.

    Leaks rise with more sharers, so that in a box users of low value leak at most what they do where all who may share do, and
    users of high value at least what they do where nobody does who need not.

    Attributes
    ----------
    gaussian : Gaussian
    """

    gaussian: Gaussian

    @property
    def n(self) -> int:
        """How many users there are."""
        return self.gaussian.n

    @property
    def rounding(self) -> float:
        """By how much computed values and bounds may be off."""
        return self.gaussian.rounding

    def flipped(self, shares: BoolArray) -> FloatArray:
        """About what the surplus is if one user changes, shape (n,)."""
        gaussian = self.gaussian
        return np.asarray(((1 - gaussian.value) * (gaussian.variance - gaussian.errors_after_flips(shares)[0])).sum(axis=1))

    @property
    def ceiling(self) -> float:
        """What would be gained if everything were learned about users of low value and nothing about others."""
        return float((self.gaussian.variance * self._gain[0]).sum()) + self.rounding

    @cached_property
    def _gain(self) -> tuple[FloatArray, FloatArray]:
        """What a unit leaked about each user adds to surplus, and what it takes away; one of the two is 0."""
        return np.maximum(1 - self.gaussian.value, 0.0), np.maximum(self.gaussian.value - 1, 0.0)

    def value(self, shares: BoolArray) -> FloatArray:
        """The surplus at profiles, shape (P,)."""
        gaussian = self.gaussian
        return np.asarray(((1 - gaussian.value) * (gaussian.variance - gaussian.error(shares)[0])).sum(axis=1))

    def bounded(self, boxes: Boxes, incumbent: float) -> Boxes:
        """Bounds by the two ends of each box, and by those of all of its halves, of which the worse ones decide the branching."""
        gaussian = self.gaussian
        add, lose = self._gain
        low, high = boxes.low, boxes.high
        at = np.arange(self.n)
        most, _ = gaussian.errors(low.astype(float))
        least, spare = gaussian.errors(high.astype(float))
        gained = ((gaussian.variance - least[:, at, at]) * add).sum(axis=1)
        lost = ((gaussian.variance - most[:, at, at]) * lose).sum(axis=1)
        upper = np.minimum(boxes.upper, gained - lost)
        # A user fewer at the top raises errors by M_ij^2 / (1 - M_jj), one more at the bottom lowers them by M_ij^2 / (1 + M_jj).
        if_not = upper[:, None] - (least**2 * add[:, None]).sum(axis=1) / spare
        if_so = upper[:, None] - (most**2 * lose[:, None]).sum(axis=1) / (1 + most[:, at, at])
        free = low != high
        margin = incumbent - self.rounding
        must, cannot = free & (if_not < margin), free & (if_so < margin)
        upper = np.where((must & cannot).any(axis=1), np.minimum(upper, margin), upper)
        low, high = low | must, high & ~(cannot & ~must)
        free = low != high
        score = np.where(free, np.minimum(upper[:, None] - if_not, upper[:, None] - if_so), -1.0)
        tie = np.where(free, np.maximum(upper[:, None] - if_not, upper[:, None] - if_so), -1.0)
        branch = (score + 1e-3 * tie).argmax(axis=1)
        shares = np.where(if_so > if_not, 1.0, 0.0)
        return Boxes(low, high, upper, np.clip(shares, low, high), branch)


def _phi(error: FloatArray, spare: FloatArray, shares: BoolArray) -> FloatArray:
    """``m^2 / (1 - m)`` from m and 1 - m, 0 where a user does not share."""
    return np.asarray(np.where(shares, error * error / spare, 0.0))


def _phi_slope(error: FloatArray, spare: FloatArray, shares: BoolArray) -> FloatArray:
    """The derivative of `_phi` in m."""
    return np.asarray(np.where(shares, error * (1 + spare) / spare**2, 0.0))


def _phi_bend(spare: FloatArray, shares: BoolArray) -> FloatArray:
    """The second derivative of `_phi`."""
    return np.asarray(np.where(shares, 2 / spare**3, 0.0))


def _newton(point: FloatArray, slope: FloatArray, curvature: FloatArray, bottom: FloatArray, top: FloatArray) -> FloatArray:
    """One projected Newton step towards the maximum of concave functions in boxes, shape (B, n)."""
    stuck = (bottom == top) | ((point >= top) & (slope >= 0)) | ((point <= bottom) & (slope <= 0))
    matrix = np.where(stuck[:, :, None] | stuck[:, None, :], 0.0, curvature)
    at = np.arange(point.shape[1])
    matrix[:, at, at] += np.where(stuck, 1.0, 1e-12)
    step = np.linalg.solve(matrix, np.where(stuck, 0.0, slope)[..., None])[..., 0]
    return np.clip(point + step, bottom, top)
