"""Competing buyers with a common prior: virtual values, the reduced program and quadrature are one another's judges."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest

from optmarket.errors import ModelError
from optmarket.lp import highs
from optmarket.models.competing_buyers.interim import assess
from optmarket.models.competing_buyers.market import Market, Params
from optmarket.models.competing_buyers.mechanisms import by_cell as cells
from optmarket.models.competing_buyers.mechanisms import by_score as scores
from optmarket.models.competing_buyers.outcomes import Mechanism
from optmarket.models.competing_buyers.solvers import reduced_form_lp as reduced
from optmarket.models.competing_buyers.solvers import virtual_values as optimum
from optmarket.models.competing_buyers.virtual_values import continuum as continuum
from optmarket.models.competing_buyers.virtual_values import ironing as virtual
from optmarket.models.competing_buyers.virtual_values import sums as sums
from optmarket.models.competing_buyers.virtual_values.revenue_curve import Curve
from optmarket.rationals import floats
from optmarket.solution import Options, Status

UNIFORM = {"dist": "uniform"}
EXPONENTIAL = {"dist": "expon"}
IRREGULAR = {"density": [{"from": 0, "to": "3/10", "height": "5/2"}, {"from": "3/10", "to": "4/5", "height": "1/2"}]}
TABLE = {  # market: (Bayesian, ex post) by (alpha, theta)
    "uniform": {
        (0.5, 0.5): (19 / 48, 13 / 48),
        (0.5, 0.75): (91 / 384, 13 / 96),
        (2, 0.5): (25 / 24, 13 / 24),
        (2, 0.75): (3 / 4, 13 / 48),
    },
    "exponential": {
        (0.5, 0.5): (0.632494885267, 0.404353773142),
        (0.5, 0.75): (0.447662033565, 0.202176886571),
        (2, 0.5): (1.61281784682, 0.808707546284),
        (2, 0.75): (1.41460979683, 0.404353773142),
    },
    "asymmetric": {
        (0.5, 0.5): (39 / 64, 27 / 64),
        (0.5, 0.75): (189 / 512, 27 / 128),
        (2, 0.5): (51 / 32, 27 / 32),
        (2, 0.75): (109 / 96, 27 / 64),
    },
}
BUYERS: dict[str, list[dict[str, Any]]] = {
    "uniform": [{"count": 2, "value": UNIFORM}],
    "exponential": [{"count": 2, "value": EXPONENTIAL}],
    "asymmetric": [{"value": UNIFORM}, {"value": {"dist": "uniform", "scale": 2}}],
}


def params(buyers: list[dict[str, Any]], alpha: Any = "1/2", ic: str = "bayesian", th: Any = "1/2") -> Params:
    return Params.model_validate({"prior": [th, 1 - F(th)], "externality": alpha, "ic": ic, "buyers": buyers})


def types(values: list[Any], weights: list[Any] | None = None) -> list[dict[str, Any]]:
    weights = weights or [F(1, len(values))] * len(values)
    return [{"value": v, "weight": w} for v, w in zip(values, weights, strict=True)]


def random_market(seed: int) -> Market:
    rng = np.random.default_rng(seed)

    def simplex(size: int) -> list[F]:
        parts = rng.integers(1, 6, size)
        return [F(int(part), int(parts.sum())) for part in parts]

    buyers = []
    for _ in range(int(rng.integers(2, 5))):
        weights = simplex(int(rng.integers(1, 5)))
        buyers.append({"types": types([F(int(v), 4) for v in rng.integers(0, 9, len(weights))], weights)})
    given = {"prior": simplex(int(rng.integers(2, 4))), "externality": F(int(rng.integers(0, 13)), 4), "buyers": buyers}
    return Market.of(Params.model_validate({**given, "ic": ("bayesian", "ex-post")[seed % 2]}))


@pytest.mark.parametrize("seed", range(30))
def test_forms_agree(seed: int) -> None:
    market = random_market(seed)
    found = virtual.rule(market, exact=True)
    program = reduced.build(market)
    assert highs.solve(program).bound * program.unit == pytest.approx(float(found.revenue), abs=1e-9)
    assert float(virtual.rule(market, exact=False).revenue) == pytest.approx(float(found.revenue), abs=1e-11)
    # the mechanism written out earns as much and keeps the constraints, and so does the rule by scores, judged by sums
    right, paid = virtual.told_and_paid(found)
    chance = np.array(F(1), dtype=object)
    for one in found.buyers:
        chance = np.multiply.outer(chance, one.weight)
    earned: Any = 0
    for i, one in enumerate(found.buyers):
        earned += (paid[i] * chance).sum() if market.ex_post else paid[i] @ one.weight
        others = tuple(j for j in range(len(found.buyers)) if j != i)
        mean = (right[i] * chance).sum(axis=others) / one.weight
        assert all(mean >= found.level)
        assert not market.ex_post or right[i].min() >= found.level
    assert earned == found.revenue
    kinds = {id(kind): one for kind, one in zip(market.buyers, found.buyers, strict=True)}
    made = [kinds[id(kind)] for kind, _ in market.groups]
    by_scores = scores.Scores.optimal(market, [floats(one.ironed)[one.place] for one in made])
    listed = optimum.mechanism(market, found)
    assert isinstance(listed, Mechanism)
    judged, plain = assess(market, by_scores), assess(market, listed)
    assert judged.worst < 1e-12
    assert judged.quantities["revenue"] == pytest.approx(float(found.revenue), abs=1e-11)
    if all(sums_.value.size == np.unique(floats(sums_.value).round(9)).size for sums_ in found.others) and not ties(found):
        assert judged.quantities == pytest.approx(plain.quantities, abs=1e-10)


def ties(found: virtual.Rule) -> bool:
    """Whether some virtual value equals a sum of rivals': then one may be told right or not."""
    pairs = zip(found.buyers, found.others, strict=True)
    return any(np.isin(floats(one.ironed).round(9), floats(rest.value).round(9)).any() for one, rest in pairs)


def test_multipliers_are_the_mass_above() -> None:
    market = Market.of(params([{"count": 2, "types": types([5, 6, 7, 8], ["1/4", "1/4", "1/3", "1/6"])}], "1/4"))
    program = reduced.build(market)
    result = highs.solve(program)
    names = [name for name, rows in program.rows.items() for _ in range(len(rows))]
    below, above = (
        np.array([abs(y) for name, y in zip(names, result.multipliers, strict=True) if name == f"misreport {way} 1"])
        for way in ("below", "above")
    )
    # 1 - F, what virtual values are made of, for each of the two alike
    assert (below - above) / 2 == pytest.approx([3 / 4, 1 / 2, 1 / 6], abs=1e-9)


@pytest.mark.parametrize(("alpha", "ex_post", "bayesian"), [(0, 1, 1), (F(1, 2), F(5, 4), F(3, 2)), (2, F(5, 2), 4)])
def test_two_values(alpha: Any, ex_post: Any, bayesian: Any) -> None:
    buyers = [{"count": 2, "types": types([1, 2])}]
    for ic, value in (("ex-post", ex_post), ("bayesian", bayesian)):
        answer = optimum.solve_finite(Market.of(params(buyers, alpha, ic)), Options())
        assert answer.exact == value
        assert answer.certificate.lower == answer.certificate.upper == value


def test_ironing_pools_adjacent_violators() -> None:
    value, weight = (np.array([F(x) for x in given], dtype=object) for given in ((0, 1, 3, 4), ("1/4", "1/4", "1/4", "1/4")))
    raw = virtual.virtual_values(value, weight)
    assert raw.tolist() == [-3, -3, 2, 4]
    assert virtual.iron(raw[::-1].copy(), weight).tolist() == [0, 0, 0, 0]
    assert virtual.iron(np.array([F(1), F(3), F(0)]), np.array([F(1, 2), F(1, 3), F(1, 6)])).tolist() == [1, 2, 2]
    assert raw @ weight == value[0]


def test_types_without_weight_or_alike_change_nothing() -> None:
    plain = [{"count": 2, "types": types([1, 2])}]
    odd = [{"count": 2, "types": types([2, 1, 0, 2, 7], ["1/4", "1/2", 0, "1/4", 0])}]
    one, other = (optimum.solve_finite(Market.of(params(buyers)), Options()) for buyers in (plain, odd))
    assert one.exact == other.exact
    told = np.array(other.mechanism["experiments"])
    assert told.shape == (2, 5, 5, 2, 2)
    assert np.array_equal(told[:, 0], told[:, 3])


@pytest.mark.parametrize(
    "prior", [["1/2", "1/2"], ["3/4", "1/4"], ["1/2", "1/3", "1/6"], ["2/5", "3/10", "1/5", "1/10"], [1, 0, 0]]
)
def test_experiments_are_obedient_on_average(prior: list[Any]) -> None:
    belief = np.array([F(x) for x in prior], dtype=object)
    th = max(belief)
    x = np.array([F(0), F(1), th], dtype=object)
    made = virtual.experiment(belief, x)
    assert (made.sum(axis=-1) == 1).all() and (made >= 0).all()
    mean = (1 - th) * made[0] + th * made[1]  # told right with chance th on average
    assert (mean == made[2]).all()
    joint = belief[:, None] * mean
    assert all(joint[a, a] == joint[:, a].max() for a in range(len(belief)))


def test_ten_buyers_three_ways() -> None:
    grid = {"size": 12, "rule": "lower"}
    market = Market.of(params([{"count": 10, "value": UNIFORM, "grid": grid}]))
    exact = virtual.rule(market, exact=True)
    spread = virtual.rule(market, exact=False)
    assert spread.excess > 0  # a lattice: all sums of nine are too many
    assert spread.revenue - spread.excess - 1e-10 <= float(exact.revenue) <= spread.revenue + 1e-10
    assert spread.excess < 1e-5


def test_lattice_bounds_what_it_adds() -> None:
    rng = np.random.default_rng(3)
    terms = [(np.sort(rng.normal(size=4)), np.full(4, 0.25)) for _ in range(3)]
    plain = sums.add(terms)
    step = 0.05
    masses, start, noise = [], 0.0, 0.0
    for value, weight in terms:
        place = (value - value[0]) / step
        at = place.astype(int)
        split = np.append(weight * (1 - place + at), weight * (place - at))
        masses.append(np.bincount(np.append(at, at + 1), split).astype(np.float64))
        start, noise = start + value[0], noise + 0.25
    spread = sums.on_lattice(masses, start, step, noise)
    m = np.linspace(-6, 6, 2001)[:, None]
    added = np.maximum(m - spread.value, 0) @ spread.weight - np.maximum(m - plain.value, 0) @ plain.weight
    assert added.min() >= -1e-12
    assert 0 < added.max() <= spread.excess


@pytest.mark.parametrize("name", TABLE)
def test_table(name: str) -> None:
    for (alpha, th), values in TABLE[name].items():
        for ic, value in zip(("bayesian", "ex-post"), values, strict=True):
            found, lower, upper = continuum.revenue(params(BUYERS[name], str(alpha), ic, str(th)))
            assert found == pytest.approx(value, abs=1e-11)
            assert lower <= found <= upper < lower + 1e-9


def test_lowest_value_above_nothing() -> None:
    given = params([{"count": 2, "value": {"dist": "uniform", "loc": 1}}])
    assert continuum.revenue(given)[0] == pytest.approx(55 / 48, abs=1e-10)


def test_three_buyers_whose_virtual_values_fall_without_bound() -> None:
    given = params([{"count": 3, "value": {"dist": "beta", "a": 2, "b": 2}}], 1)
    found, lower, upper = continuum.revenue(given)
    below = float(virtual.rule(optimum.ends(given, 150), exact=False).revenue)
    assert lower <= found <= upper < lower + 1e-5
    assert below < found < below + 2e-5


def test_irregular_density() -> None:
    given = [{"count": 2, "value": IRREGULAR}]
    for ic, value in (("bayesian", 0.1698477), ("ex-post", 0.1140905)):
        assert continuum.revenue(params(given, ic=ic))[0] == pytest.approx(value, abs=6e-8)
    law = params(given).each[0].value.law  # type: ignore[union-attr]
    ((low, high, level),) = Curve(law).ironed
    root = math.sqrt(5)
    assert (low, high, level) == pytest.approx(((7 - root) / 20, (11 - root) / 20, (3 - root) / 10), abs=1e-12)


@pytest.mark.parametrize(("ic", "value"), [("bayesian", 33 / 64), ("ex-post", 25 / 64)])
def test_three_buyers(ic: str, value: float) -> None:
    found, lower, upper = continuum.revenue(params([{"count": 3, "value": UNIFORM}], ic=ic))
    assert found == pytest.approx(value, abs=1e-9)
    assert lower <= value <= upper < lower + 1e-8


@pytest.mark.parametrize("law", [UNIFORM, EXPONENTIAL, {"dist": "beta", "a": 2, "b": 3}, IRREGULAR], ids=str)
@pytest.mark.parametrize("ic", ["bayesian", "ex-post"])
def test_grids_close_in(law: dict[str, Any], ic: str) -> None:
    given = params([{"count": 2, "value": law}], ic=ic, th="3/5")
    found = continuum.revenue(given)[0]
    coarse, fine = (
        [float(virtual.rule(optimum.ends(given, size, upper=upper), exact=False).revenue) for upper in (False, True)]
        for size in (40, 80)
    )
    assert coarse[0] < found < coarse[1]
    assert fine[0] < found < fine[1]
    assert (found - fine[0]) < 0.6 * (found - coarse[0])  # lower edges: of second order
    assert (fine[1] - found) > 0.4 * (coarse[1] - found)  # upper edges: of first


@pytest.mark.parametrize("ic", ["bayesian", "ex-post"])
@pytest.mark.parametrize(
    "buyers",
    [
        [{"count": 2, "value": UNIFORM}],
        [{"count": 2, "value": EXPONENTIAL}],
        [{"value": UNIFORM}, {"value": {"dist": "uniform", "loc": 1, "scale": 2}}],
        [{"count": 2, "value": IRREGULAR}],
        [{"count": 3, "value": {"dist": "beta", "a": 2, "b": 3}}],
        [{"count": 2, "value": UNIFORM}, {"value": {"dist": "lognorm", "s": 1}}],
        [{"count": 2, "value": {"dist": "pareto", "b": 3}}],
    ],
    ids=["uniform", "exponential", "unlike", "irregular", "three", "heavy", "pareto"],
)
def test_the_mechanism_of_whole_distributions_earns_the_optimum(buyers: list[dict[str, Any]], ic: str) -> None:
    given = params(buyers, "3/2", ic, "3/5")
    answer = optimum.solve_continuum(given, Options(gap=1e-4))
    assert answer.status is Status.OPTIMAL
    assert answer.certificate.lower <= answer.quantities["revenue"] <= answer.certificate.upper
    market, rest = cells.read(given, answer.mechanism)
    judged = assess(market, scores.Scores.read(market, rest))
    assert judged.worst < 1e-9 * judged.unit
    assert judged.quantities["revenue"] <= answer.certificate.upper
    assert judged.quantities["revenue"] == pytest.approx(answer.quantities["revenue"], abs=1e-7 * judged.unit)


def test_continuum_answer() -> None:
    answer = optimum.solve_continuum(params([{"count": 2, "value": EXPONENTIAL}]), Options())
    assert answer.status == "optimal"
    assert answer.quantities["revenue"] == pytest.approx(0.632494885267, abs=1e-11)
    with pytest.raises(ModelError, match="leave exact out"):
        optimum.solve_continuum(params([{"count": 2, "value": UNIFORM}]), Options(exact=True))


def test_refused_without_a_prior() -> None:
    given = Params.model_validate(
        {"externality": 1, "buyers": [{"count": 2, "types": [{"weight": 1, "belief": ["1/2", "1/2"]}]}]}
    )
    for form in (virtual.rule, reduced.build):
        with pytest.raises(ModelError, match="one prior for all buyers") as caught:
            form(Market.of(given))
        assert caught.value.field == "params.formulation"


@pytest.mark.parametrize("ic", ["bayesian", "ex-post"])
@pytest.mark.parametrize(
    "buyers",
    [
        [{"count": 2, "value": {"dist": "beta", "a": 30, "b": 2}}],
        [{"count": 2, "value": {"dist": "lognorm", "s": "1/10"}}],
        [{"count": 2, "value": {"dist": "beta", "a": 3, "b": 3}}],
        [{"value": {"dist": "pareto", "b": "3/2"}}, {"value": {"dist": "gamma", "a": 20}}],
        [{"count": 2, "value": 0}, {"value": UNIFORM}],
    ],
    ids=["thin", "narrow", "round", "heavy", "worthless rivals"],
)
@pytest.mark.parametrize("th", ["1/2", 1])
def test_laws_of_odd_tails_are_bounded(buyers: list[dict[str, Any]], ic: str, th: Any) -> None:
    given = params(buyers, "3/2", ic, th)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, lower, upper = continuum.revenue(given)
        market, _, rule = optimum.in_cells(given, 200)
    ends = [virtual.rule(optimum.ends(given, 60, upper=side), exact=False) for side in (False, True)]
    close = 1e-9 * float(market.scale)
    assert float(ends[0].revenue) - ends[0].excess - close <= upper and lower <= float(ends[1].revenue) + close
    judged = assess(market, rule)
    assert judged.good and judged.quantities["revenue"] <= upper + close
    assert lower <= found <= upper
