"""What no menu exceeds on a plane of types, by linear programs that come closer where it matters.

With W(w) what a buyer with w = (v theta, v (1 - theta)) gets in all, W is convex, and for one belief the price paid is
``v U' - U`` along U(v) = W(v theta, v (1 - theta)). Averaged over values that is the integral of R(v) = v Pr(V >= v) against
the rises of U', and by parts that of U against the rises of R'. If R is replaced by a piecewise linear L that is nowhere below
it, revenue does not fall and becomes a sum of W at the kinks of L, negative where L bends down. The average of a convex function
over a piece of the plane is at least its value at the piece's mean, and at most what its corners interpolate. So negative weights
may move to means and positive ones to corners, and what results is linear in W at finitely many points. W at the positive ones
is what some item gives there; at the negative ones it is no less than any of these items, or nothing, gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from optmarket.arrays import FloatArray, IntArray
from optmarket.errors import SolverError
from optmarket.lp import highs
from optmarket.lp.program import LinearProgram, Rows
from optmarket.models.selling_information.continuum.plane_types import Plane
from optmarket.models.selling_information.continuum.revenue_majorant import RevenueMajorant
from optmarket.options import Options, Status

FIRST_SPANS = 8  # of values, and twice as many of beliefs, to begin with
MOST_GAPS_CUT = 64  # ends of gaps of beliefs at which pieces are cut at once
HEAVY_KINK = 0.02  # of all weight: a kink that is cut off from its neighbours at once
ONE_AXIS = 0.1  # of what is lost along one axis: less along the other does not count
LOSS_LEFT = 0.25  # of what pieces lose: to that they are split before the next program,
MORE_PIECES = 1.25  # or until they are so many times as many
FIRST_PIECES = 200  # pieces before the first program
SPLIT_SHARE = 0.8  # of what the pieces lose, in those that are split next
NO_LIMIT = 1e9  # seconds
MOST_PAIRS = 10_000_000  # of means and corners, beyond which programs take minutes
MOST_CORNERS = 2400  # the same of corners alone
SOLVER_SETTINGS = {"simplex_scale_strategy": 4}  # with the default the simplex method stalls now and then
NEGLIGIBLE_WEIGHT = 1e-14  # a weight so small that it is bounded and left out
WEIGHTS_ROUNDING = 1e-12  # of all weights' value: what their sums in floats may miss


@dataclass(frozen=True)
class Pieces:
    """The plane cut into pieces: kinks ``first`` to before ``last``, cells of beliefs ``left`` to before ``right``.

    All arrays of int, shape (P,).
    """

    first: IntArray
    last: IntArray
    left: IntArray
    right: IntArray

    def __len__(self) -> int:
        return len(self.first)

    def take(self, places: Any) -> Pieces:
        """Some of them."""
        return Pieces(self.first[places], self.last[places], self.left[places], self.right[places])


@dataclass(frozen=True)
class RevenueSum:
    """Revenue as a sum over points w: ``gain`` times W at corners, less ``loss`` times W at means; what is left out is ``rest``.

    Attributes
    ----------
    corner : array, shape (K, 2)
    key : array of int, shape (K,)
        What identifies a corner from one partition to the next.
    gain : array, shape (K,)
    mean : array, shape (P, 2)
        Of each piece's negative weight.
    loss : array, shape (P,)
    positive : array, shape (P,)
        Each piece's positive weight.
    centre : array, shape (P, 2)
        Its mean.
    rest : float
    """

    corner: FloatArray
    key: IntArray
    gain: FloatArray
    mean: FloatArray
    loss: FloatArray
    positive: FloatArray
    centre: FloatArray
    rest: float


@dataclass(frozen=True)
class RelaxedBound:
    """One program's answer.

    Attributes
    ----------
    upper : float
        What no menu exceeds, in payoff units.
    item : array, shape (M, 3)
        What the program would sell: the chances that the first and the second state is named when it is true, and prices.
    status : Status
    rows, columns, iterations, rounds : int
        Of the program.
    """

    upper: float
    item: FloatArray
    status: Status
    rows: int
    columns: int
    iterations: int
    rounds: int


class Relaxation:
    """Programs on ever finer pieces of a plane.

    Parameters
    ----------
    plane : Plane
    unit : float
        A usual value: payoffs are divided by it.
    """

    def __init__(self, plane: Plane, unit: float) -> None:
        majorant = RevenueMajorant.of(plane)
        self.unit = unit
        self.value = majorant.value / unit
        self.edges, mass, moment = plane.grid
        self.tail = majorant.tail

        def summed(part: FloatArray) -> FloatArray:
            return np.append(0.0, np.cumsum(part))

        self.mass, self.moment = summed(mass), summed(moment)
        down, up = np.maximum(-majorant.rise, 0.0), np.maximum(majorant.rise, 0.0)

        def from_above(part: FloatArray) -> FloatArray:
            # far out little weight meets large W: there no digits may be lost
            return -summed(part[::-1])[::-1]

        self.down, self.down_moment = from_above(down), from_above(down * self.value)
        self.up, self.up_moment = from_above(up), from_above(up * self.value)
        self.weight = np.abs(majorant.rise)
        self.rounding = WEIGHTS_ROUNDING * float(self.weight @ self.value)

    def bounds(
        self, options: Options, left: Callable[[], float] = lambda: math.inf, known: FloatArray | None = None
    ) -> Iterator[RelaxedBound]:
        """One bound after the other, each from pieces that are split where the program before it lost most.

        Parameters
        ----------
        options : Options
            Its threads are used.
        left : callable
            Seconds that are left.
        known : array, shape (M, 3), optional
            Items of a good menu, as in `RelaxedBound`: pieces are split to begin with where these lose.
        """
        pieces = self._first()
        total = self._weigh(pieces)
        if known is not None:
            pieces, total, _ = self._finer(pieces, total, known / [1, 1, self.unit], FIRST_PIECES)
        pairs = nearest_pairs(total)
        while True:
            program, rows = relaxed_program(total, pairs)
            settings = replace(options, gap=None, time_limit=min(left(), NO_LIMIT), progress=None)
            try:
                found = highs.solve(program, settings, settings=SOLVER_SETTINGS)
            except SolverError:  # what is known by now stands
                found = replace(highs.LpResult.of_failure(program), status=Status.GAP)
            if found.x is None:
                item = np.zeros((0, 3))
            else:
                item = np.column_stack([found.x[program.variables[name]] for name in ("first", "second", "price")])
            yield RelaxedBound(
                self.unit * (found.bound + total.rest) + self.tail,
                np.clip(item, 0.0, [1.0, 1.0, np.inf]) * [1, 1, self.unit],
                found.status,
                len(found.rows),
                program.columns,
                found.iterations,
                found.rounds,
            )
            if found.status is not Status.OPTIMAL:
                return
            before, count = total, len(pieces)
            pieces, total, parent = self._finer(pieces, total, item, int(MORE_PIECES * count))
            if len(pieces) == count:
                return
            used = rows.used(found.dual_values)
            means, corners = np.count_nonzero(total.loss), len(total.gain)
            if corners > MOST_CORNERS or means * corners > MOST_PAIRS or not left():
                return
            pairs = _inherited_pairs(used, before, total, parent)

    def _first(self) -> Pieces:
        """Spans of values and beliefs, heavy kinks apart, and cut where those who buy nothing change what they do."""
        heavy = np.flatnonzero(self.weight > HEAVY_KINK * self.weight.sum())
        kinks = len(self.value)
        first = np.unique([*np.linspace(0, kinks, FIRST_SPANS + 1).astype(np.int64), *heavy, *heavy + 1])
        half = np.searchsorted(self.edges, 0.5)
        cells = len(self.edges) - 1
        # a gap is no part of a piece
        none = np.diff(self.mass) == 0
        turns = np.flatnonzero(none[1:] != none[:-1])[:MOST_GAPS_CUT] + 1
        left = np.unique([*np.linspace(0, cells, 2 * FIRST_SPANS + 1).astype(np.int64), min(int(half), cells), *turns])
        value, belief = (axis.ravel() for axis in np.meshgrid(np.arange(len(first) - 1), np.arange(len(left) - 1)))
        return Pieces(first[value], first[value + 1], left[belief], left[belief + 1])

    def _weigh(self, pieces: Pieces) -> RevenueSum:
        first, last, left, right = pieces.first, pieces.last, pieces.left, pieces.right
        mass = self.mass[right] - self.mass[left]
        low, high = self.edges[left], self.edges[right]
        theta = np.clip(_divided(self.moment[right] - self.moment[left], mass, low), low, high)
        bottom, top = self.value[first], self.value[last - 1]
        means = []
        for weight, moment in ((self.down, self.down_moment), (self.up, self.up_moment)):
            part = np.maximum(weight[last] - weight[first], 0.0)
            value = np.clip(_divided(moment[last] - moment[first], part, bottom), bottom, top)
            means.append((part * mass, value))
        (loss, below), (positive, above) = means
        kept = np.where(positive > NEGLIGIBLE_WEIGHT, positive, 0.0)
        here = np.flatnonzero(kept)
        across, along = _share(theta, low, high)[here], _share(above, bottom, top)[here]
        corners = [
            (first[here], left[here], (1 - along) * (1 - across)),
            (first[here], right[here], (1 - along) * across),
            (last[here] - 1, left[here], along * (1 - across)),
            (last[here] - 1, right[here], along * across),
        ]
        keys = np.concatenate([node * len(self.edges) + edge for node, edge, _ in corners])
        key, place = np.unique(keys, return_inverse=True)
        gain = np.zeros(len(key))
        np.add.at(gain, place, np.concatenate([kept[here] * part for *_, part in corners]))
        some = gain > NEGLIGIBLE_WEIGHT
        # no buyer gets more than its value
        rest = float((positive - kept).sum() + gain[~some].sum()) * float(self.value[-1])
        node, edge = np.divmod(key[some], len(self.edges))
        return RevenueSum(
            _point(self.value[node], self.edges[edge]),
            key[some],
            gain[some],
            _point(below, theta),
            np.where(loss > NEGLIGIBLE_WEIGHT, loss, 0.0),
            kept,
            _point(above, theta),
            rest + self.rounding + 1e-15 * len(pieces),
        )

    def _lost(self, pieces: Pieces, total: RevenueSum, item: FloatArray) -> tuple[FloatArray, FloatArray]:
        """By how much each piece's part of the sum exceeds what the items give on average there, at most.

        Returns
        -------
        lost : array, shape (P,)
        apart : array, shape (2, P)
            What of it would be lost if W were interpolated along values alone, and along beliefs alone.
        """
        low, high = self.edges[pieces.left], self.edges[pieces.right]
        bottom, top = self.value[pieces.first], self.value[pieces.last - 1]
        corners = [[_given(_point(v, theta), item) for theta in (low, high)] for v in (bottom, top)]
        lost, apart = np.zeros(len(pieces)), np.zeros((2, len(pieces)))
        for weight, point in ((total.loss, total.mean), (total.positive, total.centre)):
            value = point.sum(axis=1)
            theta = _divided(point[:, 0], value, low)
            along, across = _share(value, bottom, top), _share(theta, low, high)
            between = (1 - along) * ((1 - across) * corners[0][0] + across * corners[0][1]) + along * (
                (1 - across) * corners[1][0] + across * corners[1][1]
            )
            here = _given(point, item)
            lost += weight * np.maximum(between - here, 0.0)
            by_value = (1 - along) * _given(_point(bottom, theta), item) + along * _given(_point(top, theta), item)
            by_belief = (1 - across) * _given(_point(value, low), item) + across * _given(_point(value, high), item)
            apart += weight * np.maximum([by_value - here, by_belief - here], 0.0)
        return lost, apart

    def _finer(self, pieces: Pieces, total: RevenueSum, item: FloatArray, most: int) -> tuple[Pieces, RevenueSum, IntArray]:
        """Pieces split where they lose, again and again, until little is lost or they are many; and the piece each comes from."""
        parent = np.arange(len(pieces))
        lost, apart = self._lost(pieces, total, item)
        enough = LOSS_LEFT * lost.sum()
        while True:
            finer, came = self._split(pieces, lost, apart)
            if len(finer) == len(pieces):
                return pieces, total, parent
            pieces, parent = finer, parent[came]
            total = self._weigh(pieces)
            if len(pieces) >= most:
                return pieces, total, parent
            lost, apart = self._lost(pieces, total, item)
            if lost.sum() <= enough:
                return pieces, total, parent

    def _split(self, pieces: Pieces, lost: FloatArray, apart: FloatArray) -> tuple[Pieces, IntArray]:
        """The pieces that lose most cut into up to four, and which piece each was part of.

        Both ways, or if nearly all is lost along one of them only that way.
        """
        order = np.argsort(-lost, kind="stable")
        enough = np.searchsorted(np.cumsum(lost[order]), SPLIT_SHARE * lost.sum()) + 1
        chosen = order[:enough]
        chosen = chosen[lost[chosen] > 0]
        rest = np.setdiff1d(np.arange(len(pieces)), chosen)
        parts, parents = [pieces.take(rest)], [rest]
        by_value, by_belief = apart[:, chosen]
        one_way = np.where(by_value <= ONE_AXIS * by_belief, 1, np.where(by_belief <= ONE_AXIS * by_value, 0, 2))
        for way, (rows, columns) in enumerate(((4, 1), (1, 4), (2, 2))):
            mine = chosen[one_way == way]
            cut = pieces.take(mine)
            node, edge = _evenly(cut.first, cut.last, rows), _evenly(cut.left, cut.right, columns)
            for row, column in np.ndindex(rows, columns):
                part = Pieces(node[row], node[row + 1], edge[column], edge[column + 1])
                some = (part.first < part.last) & (part.left < part.right)
                parts.append(part.take(some))
                parents.append(mine[some])
        joined = [np.concatenate([getattr(part, name) for part in parts]) for name in ("first", "last", "left", "right")]
        return Pieces(*joined), np.concatenate(parents)


def _evenly(start: IntArray, stop: IntArray, count: int) -> IntArray:
    """Ends of so many parts of each range of integers, as even as may be, shape (count + 1, P)."""
    return start + -(-(stop - start) * np.arange(count + 1)[:, None] // count)


def _point(value: FloatArray, theta: FloatArray) -> FloatArray:
    return np.column_stack([value * theta, value * (1 - theta)])


def _divided(part: FloatArray, whole: FloatArray, otherwise: FloatArray) -> FloatArray:
    return np.asarray(np.divide(part, whole, out=np.array(otherwise, dtype=float), where=whole > 0))


def _share(at: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """How far a point is on the way from low to high."""
    return np.clip(_divided(at - low, high - low, np.zeros(len(at))), 0.0, 1.0)


def _given(point: FloatArray, item: FloatArray) -> FloatArray:
    """What buyers at some points get in all from items (p, q, price) or without."""
    best = point.max(axis=1)
    if len(item):
        best = np.maximum(best, (point @ item[:, :2].T - item[:, 2]).max(axis=1))
    return np.asarray(best)


def relaxed_program(total: RevenueSum, pairs: tuple[IntArray, IntArray]) -> tuple[LinearProgram, ConvexityRows]:
    """One item for each corner, W at the means."""
    program = LinearProgram("max")
    corner, gain = total.corner, total.gain
    count = len(gain)
    first = program.add_variables("first", (count,), lower=0.0, upper=1.0, objective=gain * corner[:, 0])
    second = program.add_variables("second", (count,), lower=0.0, upper=1.0, objective=gain * corner[:, 1])
    price = program.add_variables("price", (count,), lower=0.0, upper=corner.min(axis=1), objective=-gain)
    here = np.flatnonzero(total.loss)
    point = total.mean[here]
    got = program.add_variables(
        "got", (len(here),), lower=point.max(axis=1), upper=point.sum(axis=1), objective=-total.loss[here]
    )
    own = np.column_stack([corner, np.full(count, -1.0)])
    index = np.column_stack([first, second, price])
    program.add_rows("individual rationality", Rows.dense(index, own, corner.max(axis=1), np.inf))
    rows = ConvexityRows(total, here, index, got, pairs)
    program.add_family("convexity", rows)
    return program, rows


@dataclass(frozen=True)
class ConvexityRows:
    """W at each mean is at least what each corner's item gives there.

    Attributes
    ----------
    total : RevenueSum
    here : array of int, shape (N,)
        The pieces that have a mean.
    item : array of int, shape (K, 3)
        Columns.
    got : array of int, shape (N,)
        Columns.
    pairs : tuple of arrays of int
        Pieces and corners of the rows to begin with.
    """

    total: RevenueSum
    here: IntArray
    item: IntArray
    got: IntArray
    pairs: tuple[IntArray, IntArray]
    listed: list[tuple[IntArray, IntArray]] = field(default_factory=list)

    def _rows(self, mean: IntArray, corner: IntArray) -> Rows:
        self.listed.append((self.here[mean], corner))
        point = self.total.mean[self.here[mean]]
        value = np.column_stack([-point, np.ones((len(mean), 2))])
        return Rows.dense(np.column_stack([self.item[corner], self.got[mean]]), value, 0.0, np.inf)

    def initial_cuts(self) -> Rows:
        """Rows of the pairs to begin with."""
        piece, corner = self.pairs
        place = np.searchsorted(self.here, piece)
        known = place < len(self.here)
        known[known] = self.here[place[known]] == piece[known]
        return self._rows(place[known], corner[known])

    def separate(self, x: FloatArray, tolerance: float) -> tuple[Rows, float]:
        """The most violated row of each mean and of each corner, and the largest violation."""
        item = x[self.item]
        excess = self.total.mean[self.here] @ item[:, :2].T - item[:, 2] - x[self.got][:, None]
        means, corners = excess.shape
        by_mean = np.arange(means) * corners + excess.argmax(axis=1)
        by_corner = excess.argmax(axis=0) * corners + np.arange(corners)
        pair = np.union1d(by_mean, by_corner)
        worst = excess.ravel()[pair]
        mean, corner = np.divmod(pair[worst > tolerance], corners)
        return self._rows(mean, corner), max(0.0, float(worst.max(initial=0.0)))

    def size(self) -> tuple[int, int, int]:
        """Rows, columns and non-zeros of `add_all`."""
        rows = len(self.here) * len(self.item)
        return rows, 0, 4 * rows

    def add_all(self, program: LinearProgram) -> None:
        """One row for each mean and corner."""
        mean, corner = (axis.ravel() for axis in np.meshgrid(np.arange(len(self.here)), np.arange(len(self.item))))
        program.add_rows("convexity", self._rows(mean, corner))

    def used(self, dual_values: FloatArray) -> tuple[IntArray, IntArray]:
        """Pieces and corners of the rows that have a price."""
        piece, corner = (np.concatenate(parts) for parts in zip(*self.listed, strict=True))
        priced = np.flatnonzero(dual_values[-len(piece) :]) if len(piece) else np.zeros(0, dtype=np.int64)
        return piece[priced], corner[priced]


def nearest_pairs(total: RevenueSum) -> tuple[IntArray, IntArray]:
    """Each piece, and the corner whose belief is nearest."""
    theta = [_divided(point[:, 0], point.sum(axis=1), np.zeros(len(point))) for point in (total.corner, total.mean)]
    corner = np.abs(theta[1][:, None] - theta[0]).argmin(axis=1)
    return np.arange(len(total.loss)), corner


def _inherited_pairs(
    used: tuple[IntArray, IntArray], before: RevenueSum, now: RevenueSum, parent: IntArray
) -> tuple[IntArray, IntArray]:
    """The pairs that mattered, of pieces by their parents, of corners by themselves or the nearest there was."""
    from scipy.spatial import cKDTree

    mattered = np.zeros((len(before.loss), len(before.gain)), dtype=bool)
    mattered[used] = True
    _, source = cKDTree(before.corner).query(now.corner)
    piece, corner = np.nonzero(mattered[parent][:, source])
    return piece, corner
