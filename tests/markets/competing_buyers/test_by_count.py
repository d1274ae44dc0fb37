"""Competing buyers treated alike: tallies counted one by one, the same optimum as for buyers told apart, types pooled."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import combinations_with_replacement, product
from typing import Any

import numpy as np
import pytest

from optmarket.errors import InstanceError, ModelError
from optmarket.lp import highs
from optmarket.lp.program import LinearProgram, Rows
from optmarket.models.competing_buyers.interim import assess
from optmarket.models.competing_buyers.market import Kind, Market, Params
from optmarket.models.competing_buyers.mechanisms.by_count import Groups, Tallied, Tallies
from optmarket.models.competing_buyers.outcomes import Mechanism
from optmarket.models.competing_buyers.solvers import general_lp as general
from optmarket.models.competing_buyers.solvers import reduced_form_lp as reduced
from optmarket.models.competing_buyers.virtual_values import ironing as virtual
from optmarket.rationals import floats
from optmarket.solution import Options, Status

BOTH = ["bayesian", "ex-post"]
BELIEFS = ["own", "other"]


def optimum(program: LinearProgram) -> float:
    result = highs.solve(program)
    assert result.status is Status.OPTIMAL
    return result.bound * program.unit


def random_kinds(seed: int, counts: tuple[tuple[int, int], ...], states: int, *, common: bool) -> list[dict[str, Any]]:
    """Tables of buyers: how many alike, of how many types."""
    random = np.random.default_rng(seed)

    def shares(count: int) -> list[Fraction]:
        drawn = random.integers(1, 10, count)
        return [Fraction(int(k), int(drawn.sum())) for k in drawn]

    tables = []
    for count, types in counts:
        values = [Fraction(int(v), 4) for v in random.integers(1, 9, types)]
        listed: list[dict[str, Any]] = [{"weight": w, "value": v} for w, v in zip(shares(types), values, strict=True)]
        if not common:
            listed = [{**one, "belief": shares(states)} for one in listed]
        tables.append({"count": count, "types": listed})
    return tables


def market(tables: list[dict[str, Any]], ic: str, **others: Any) -> Market:
    return Market.of(Params.model_validate({"buyers": tables, "externality": "3/2", "ic": ic, **others}))


def apart(tables: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"types": table["types"]} for table in tables for _ in range(table["count"])]


# Tallies --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sizes", "shape"), [((2, 1), (3, 2)), ((3,), (4,)), ((0, 2, 1), (2, 3, 1)), ((4,), (2,)), ((1,), (5,))])
def test_tallies_counted_one_by_one(sizes: tuple[int, ...], shape: tuple[int, ...]) -> None:
    def listed(of: tuple[int, ...]) -> list[tuple[tuple[int, ...], ...]]:
        return list(product(*(combinations_with_replacement(range(k), size) for size, k in zip(of, shape, strict=True))))

    def changed(of: tuple[tuple[int, ...], ...], group: int, to: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(sorted(to)) if h == group else one for h, one in enumerate(of))

    tallies, expected = Tallies(sizes, shape), listed(sizes)
    assert tallies.total == len(expected)
    for group, size in enumerate(sizes):
        reports, often = tallies.reports(group), tallies.often(group)
        assert reports.shape == often.shape == (len(expected), size)
        more = listed(tuple(s + (h == group) for h, s in enumerate(sizes)))
        joined = tallies.joined(group)
        for s, one in enumerate(expected):
            assert tuple(reports[s]) == one[group]
            firsts = {place: one[group].count(k) for place, k in enumerate(one[group]) if k not in one[group][:place]}
            assert often[s].tolist() == [firsts.get(place, 0) for place in range(size)]
            assert [more[t] for t in joined[s]] == [changed(one, group, (*one[group], k)) for k in range(shape[group])]
            if size:
                shorter, left = listed(tuple(z - (h == group) for h, z in enumerate(sizes))), tallies.left(group)
                rest = [one[group][:place] + one[group][place + 1 :] for place in range(size)]
                assert [shorter[t] for t in left[s]] == [changed(one, group, to) for to in rest]
    masses = [np.array([Fraction(k + 1, count * (count + 1) // 2) for k in range(count)], dtype=object) for count in shape]
    chance = dict.fromkeys(expected, Fraction(0))
    for lists in product(*(product(range(k), repeat=size) for size, k in zip(sizes, shape, strict=True))):
        likely = Fraction(1)
        for mass, drawn in zip(masses, lists, strict=True):
            for k in drawn:
                likely *= mass[k]
        chance[tuple(tuple(sorted(drawn)) for drawn in lists)] += likely
        number = tallies.number([np.array(drawn, dtype=np.int64) for drawn in lists])
        assert expected[number] == tuple(tuple(sorted(drawn)) for drawn in lists)
    assert tallies.probability(masses).tolist() == list(chance.values())
    assert tallies.probability([mass.astype(float) for mass in masses]) == pytest.approx([float(p) for p in chance.values()])


# Alike or apart -------------------------------------------------------------------------------------------------------

ALIKE = [((3, 2),), ((2, 2), (1, 2)), ((1, 1), (2, 3)), ((2, 2), (2, 1))]


@pytest.mark.parametrize("ic", BOTH)
@pytest.mark.parametrize("belief", BELIEFS)
@pytest.mark.parametrize("states", [2, 3])
@pytest.mark.parametrize("counts", ALIKE)
def test_buyers_alike_may_be_treated_alike(counts: tuple[tuple[int, int], ...], states: int, belief: str, ic: str) -> None:
    tables = random_kinds(states, counts, states, common=False)
    alike = market(tables, ic, externality_belief=belief)
    told_apart = market(apart(tables), ic, externality_belief=belief)
    program = general.build(alike)
    value = optimum(general.build(told_apart))
    assert optimum(program) == pytest.approx(value, abs=1e-8)
    assert optimum(program.listed()) == pytest.approx(value, abs=1e-8)
    assert program.columns < general.build(told_apart).columns
    answer = general.solve(alike)
    assert answer.status is Status.OPTIMAL
    judged = assess(told_apart, Mechanism.read(told_apart, answer.mechanism))
    assert judged.good
    assert judged.quantities["revenue"] == pytest.approx(value, abs=1e-8)


@pytest.mark.parametrize("ic", BOTH)
@pytest.mark.parametrize("states", [2, 3])
@pytest.mark.parametrize("counts", [((2, 3),), ((4, 2),), *ALIKE])
def test_the_reduced_program_too(counts: tuple[tuple[int, int], ...], states: int, ic: str) -> None:
    tables = random_kinds(1, counts, states, common=True)
    tables[0]["types"] += [{"weight": 0, "value": 0}, {"weight": 0, "value": 33}]
    prior = [Fraction(3, 5), *[Fraction(2, 5) / (states - 1)] * (states - 1)]
    alike, told_apart = (market(given, ic, prior=prior) for given in (tables, apart(tables)))
    exact = virtual.rule(alike, exact=True).revenue
    for given in (alike, told_apart):
        assert optimum(reduced.build(given)) == pytest.approx(float(exact), abs=1e-9)
        assert optimum(reduced.build(given, exact=True)) == pytest.approx(float(exact), abs=1e-9)
        answer = reduced.solve(given)
        assert answer.status is Status.OPTIMAL
        assert answer.certificate.lower <= float(exact) + 1e-12 and float(exact) - 1e-12 <= answer.certificate.upper
        assert answer.certificate.gap < 1e-8
        judged = assess(told_apart, Mechanism.read(told_apart, answer.mechanism))
        assert judged.good
        assert judged.quantities["revenue"] == pytest.approx(float(exact), abs=1e-8)


@pytest.mark.parametrize(("ic", "value"), [("bayesian", "29/12"), ("ex-post", "47/20")])
def test_three_alike_proved_in_rationals(ic: str, value: str) -> None:
    types = [{"weight": "1/3", "belief": ["5/6", "1/6"]}, {"weight": "2/3", "belief": ["1/2", "1/2"]}]
    tables = [{"count": 3, "types": types}]
    answer = general.solve(market(tables, ic), Options(exact=True))
    assert answer.status is Status.OPTIMAL
    assert answer.exact is not None
    assert float(answer.exact) == pytest.approx(optimum(general.build(market(apart(tables), ic))), abs=1e-9)
    assert answer.exact == Fraction(value)


@pytest.mark.parametrize("ic", BOTH)
@pytest.mark.parametrize("belief", BELIEFS)
def test_a_column_stands_once_in_a_row(belief: str, ic: str) -> None:
    tables = random_kinds(5, ((4, 2), (2, 2)), 2, common=False)
    program = general.build(market(tables, ic, externality_belief=belief))
    listed = [*program.listed().rows.values(), *(family.seed() for family in program.families.values())]
    common = market(random_kinds(5, ((4, 2), (2, 2)), 2, common=True), ic, prior=["1/2", "1/2"])
    for rows in [*listed, *reduced.build(common).rows.values()]:
        cells = np.stack([rows.owner(), rows.index])
        assert len(rows) > 0
        assert np.unique(cells, axis=1).shape == cells.shape


@pytest.mark.parametrize("form", [general, reduced])
@pytest.mark.parametrize("ic", BOTH)
@pytest.mark.parametrize("belief", BELIEFS)
def test_sizes_are_known_before_anything_is_built(belief: str, ic: str, form: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[int, int, int]] = []
    monkeypatch.setattr(form, "check_memory", lambda *size: said.append(size[:3]))
    prior = {"prior": ["1/2", "1/3", "1/6"]} if form is reduced else {}
    tables = random_kinds(8, ((3, 3), (1, 2), (2, 1)), 3, common=form is reduced)
    *size, nonzeros = form.build(market(tables, ic, externality_belief=belief, **prior)).size()
    ((*known, most),) = said
    assert size == known
    assert nonzeros <= most <= 1.5 * nonzeros


@pytest.mark.parametrize("form", [general, reduced])
@pytest.mark.parametrize("ic", BOTH)
def test_ten_buyers_without_a_list_of_profiles(ic: str, form: Any) -> None:
    table = {"count": 10, "types": [{"weight": "1/3", "value": k} for k in (1, 2, 4)]}
    given = market([table], ic, prior=["1/2", "1/2"])
    exact = float(virtual.rule(given, exact=True).revenue)
    answer = form.solve(given)
    assert answer.status is Status.OPTIMAL
    assert answer.certificate.lower <= exact <= answer.certificate.upper
    judged = assess(given, Tallied.read(given, answer.mechanism))
    assert judged.good
    assert judged.quantities == pytest.approx(answer.quantities)
    assert judged.quantities["revenue"] == pytest.approx(exact, rel=1e-7)


def test_the_reduced_program_is_refused_where_it_is_too_large_or_not_exact() -> None:
    table = {"count": 16, "types": [{"weight": Fraction(1, 40), "value": k} for k in range(1, 41)]}
    for ic in BOTH:
        with pytest.raises(ModelError, match=r'16 buyers and 42,949,672,960,.* profiles .*"virtual-values" would do'):
            reduced.build(market([table], ic, prior=["1/2", "1/2"]))
    with pytest.raises(ModelError, match="ask for virtual-values"):
        reduced.solve(market([table], "bayesian", prior=["1/2", "1/2"]), Options(exact=True))


# Types who make one report --------------------------------------------------------------------------------------------


def pooled(given: Market, report: list[int]) -> Market:
    """Types of the first kind make these reports."""
    first = given.buyers[0]
    kind = Kind(first.weight, first.value, first.belief, first.names, np.array(report))
    return replace(given, buyers=tuple(kind if one is first else one for one in given.buyers))


def sold(share: str) -> Market:
    """What one buyer is told matters, who believes 1/2 or 3/4."""
    types = [{"weight": share, "belief": ["1/2", "1/2"]}, {"weight": 1 - Fraction(share), "belief": ["3/4", "1/4"]}]
    other = {"types": [{"weight": 1, "value": 0, "belief": ["1/2", "1/2"]}]}
    return market([{"types": types}, other], "bayesian", externality=0)


@pytest.mark.parametrize("share", ["9/10", "1"])
def test_one_price_for_types_treated_alike(share: str) -> None:
    # the state is worth 1/2 to the first type and 1/4 to the second, who comes along even if it has no weight
    given = sold(share)
    assert optimum(general.build(given)) >= float(Fraction(share) / 2) - 1e-9
    answer = general.solve(pooled(given, [0, 0]))
    assert answer.quantities["revenue"] == pytest.approx(1 / 4, abs=1e-9)
    assert answer.certificate.gap < 1e-8
    assert np.array(answer.mechanism["payments"][0]) == pytest.approx([1 / 4], abs=1e-9)


@pytest.mark.parametrize(("ic", "belief"), [("bayesian", "own"), ("bayesian", "other"), ("ex-post", "own")])
@pytest.mark.parametrize("counts", [((1, 3), (1, 2)), ((2, 3),), ((2, 3), (1, 2))])
def test_types_pooled_are_types_held_equal(counts: tuple[tuple[int, int], ...], ic: str, belief: str) -> None:
    report = [0, 0, 1]
    given = market(random_kinds(15, counts, 2, common=False), ic, externality_belief=belief)
    free = general.build(given)
    value = optimum(free)
    held, groups = general.build(given), Groups.of(given)
    for g in range(len(groups)):
        cases = groups.others(g)
        lists = [cases.reports(h) for h in range(len(groups))]
        keys: dict[Any, list[Any]] = {}
        for s in range(cases.total):
            met = tuple(tuple(sorted(report[k] if h == 0 else k for k in each[s])) for h, each in enumerate(lists))
            for k in range(groups.kinds[g].reports):
                keys.setdefault((met, report[k] if g == 0 else k), []).append((s, k))
        for name in ("experiment", "payment", "right"):
            block = held.variables.get(f"{name} {g + 1}")
            if block is None:
                continue
            by_case = ic == "ex-post" or name == "right"
            alike = [[block[s, k] if by_case else block[k] for s, k in cells] for cells in keys.values()]
            pairs = [np.stack([np.ravel(one), np.ravel(cells[0])], axis=1) for cells in alike for one in cells[1:]]
            index = np.concatenate([np.zeros((0, 2), dtype=np.int64), *pairs])
            index = index[index[:, 0] != index[:, 1]]
            # payments are measured by the values of who makes the report
            unit = np.ones(held.columns)
            if name == "payment":
                unit[block] = np.broadcast_to(floats(general.own_unit(groups.kinds[g])), block.shape)
            rows = Rows.dense(index, unit[index] * [1.0, -1.0], 0.0, 0.0)
            held.add_rows(f"alike {name} {g + 1}", rows)
    small = pooled(given, report)
    program = general.build(small)
    assert optimum(program) == pytest.approx(optimum(held), abs=1e-8)
    listed = program.listed()
    assert optimum(listed) == pytest.approx(optimum(held), abs=1e-8)
    assert listed.size() == program.size(listed=True)
    assert optimum(program) < value - 1e-4
    answer = general.solve(small)
    assert answer.status is Status.OPTIMAL
    assert assess(small, Mechanism.read(small, answer.mechanism)).good


@pytest.mark.parametrize("ic", BOTH)
@pytest.mark.parametrize("counts", [((3, 3),), ((2, 3), (1, 2))])
def test_rivals_believe_what_their_report_means(counts: tuple[tuple[int, int], ...], ic: str) -> None:
    # the mechanism is judged by the mean belief of each report; a program that took another would miss its own bound
    given = pooled(market(random_kinds(15, counts, 3, common=False), ic, externality_belief="other"), [0, 0, 1])
    answer = general.solve(given)
    assert answer.status is Status.OPTIMAL
    assert abs(answer.certificate.gap) < 1e-8
    assert assess(given, Mechanism.read(given, answer.mechanism)).good


def test_reports_without_mass_are_treated_as_the_nearest() -> None:
    chances = [Fraction(1, 10), Fraction(7, 8), Fraction(1, 4), Fraction(1, 3), Fraction(4, 5)]
    types = [{"weight": w, "belief": [b, 1 - b]} for w, b in zip([0, 0, "1/2", 0, "1/2"], chances, strict=True)]
    given = pooled(market([{"count": 2, "types": types}], "bayesian"), [0, 1, 2, 2, 3])
    active, like = general.of_positive_weight(given)
    assert active.buyers[0].names == ("3", "4", "5")
    assert active.buyers[0].report.tolist() == [0, 0, 1]
    assert [one.tolist() for one in like] == [[0, 1, 0, 1]]
    answer = general.solve(given)
    assert answer.status is Status.OPTIMAL
    told, paid = (np.array(answer.mechanism[name][0]) for name in ("experiments", "payments"))
    assert np.array_equal(paid, paid[[2, 3, 2, 3]])
    assert np.array_equal(told, told[[2, 3, 2, 3]][:, [2, 3, 2, 3]])


@pytest.mark.parametrize("ic", BOTH)
def test_who_is_asked_too_much_pays_less(ic: str) -> None:
    given = pooled(market(random_kinds(15, ((2, 3), (1, 2)), 2, common=False), ic), [0, 0, 1])
    program = general.build(given)
    x = highs.solve(program).x
    assert x is not None
    mended = general.read(given, program, x)
    for g, (kind, _) in enumerate(given.groups, start=1):
        x[program.variables[f"payment {g}"]] += 0.25 / floats(general.own_unit(kind))
    again = general.read(given, program, x)
    for view, other in zip(mended.views(given), again.views(given), strict=True):
        assert other.gain.min() == pytest.approx(0, abs=1e-12)
        assert other.payment == pytest.approx(view.payment, abs=1e-9)


# Mechanisms by tally --------------------------------------------------------------------------------------------------


def random_tallied(given: Market, seed: int) -> Tallied:
    random, groups, states = np.random.default_rng(seed), Groups.of(given), given.states
    experiments, payments = [], []
    for g, kind in enumerate(groups.kinds):
        cells = (groups.others(g).total, kind.reports)
        experiments.append(random.dirichlet(np.ones(states), (*cells, states)))
        payments.append(random.random(cells if given.ex_post else cells[1:]))
    return Tallied(tuple(experiments), tuple(payments))


@pytest.mark.parametrize("ic", BOTH)
@pytest.mark.parametrize("belief", BELIEFS)
@pytest.mark.parametrize("counts", [((3, 2),), ((1, 2), (2, 3)), ((1, 3), (1, 2), (2, 2))])
def test_judged_by_tally_or_profile_by_profile(counts: tuple[tuple[int, int], ...], belief: str, ic: str) -> None:
    given = market(random_kinds(3, counts, 3, common=False), ic, externality_belief=belief)
    if counts[0] == (1, 3):
        given = pooled(given, [0, 1, 1])
    tallied = random_tallied(given, 4)
    written = tallied.written_out(given)
    assert isinstance(written, Mechanism)
    by_tally, by_profile = assess(given, tallied), assess(given, written)
    assert by_tally.quantities == pytest.approx(by_profile.quantities, abs=1e-12)
    assert by_tally.violations == pytest.approx(by_profile.violations, abs=1e-12)
    assert assess(given, Tallied.read(given, tallied.as_json())).violations == pytest.approx(by_tally.violations, abs=1e-12)


def test_payments_by_report_hold_in_every_case() -> None:
    given = market(random_kinds(3, ((3, 2),), 2, common=False), "ex-post")
    tallied = random_tallied(given, 1)
    by_report = replace(tallied, payments=tuple(payment[0] for payment in tallied.payments))
    by_case = replace(tallied, payments=(np.tile(tallied.payments[0][0], (3, 1)),))
    assert assess(given, by_report) == assess(given, by_case)


GOOD: dict[str, Any] = {
    "experiments-by-tally": np.full((1, 3, 2, 2, 2), 0.5).tolist(),
    "payments-by-tally": [[0, 0]],
}


def planted(value: Any, *place: int) -> list[Any]:
    experiments = np.full((1, 3, 2, 2, 2), 0.5)
    experiments[place] = value
    return list(experiments.tolist())


MISFITS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no payments": (
        {"experiments-by-tally": GOOD["experiments-by-tally"]},
        "payments-by-tally",
        "is missing; such a mechanism has exp",
    ),
    "more": ({**GOOD, "payments": []}, "payments", "does not belong here"),
    "misspelt": ({**GOOD, "payment-by-tally": []}, "payment-by-tally", "did you mean 'payments-by-tally'"),
    "two kinds": ({**GOOD, "payments-by-tally": [[0, 0]] * 2}, "payments-by-tally", "lists 2; must .* each of the 1 kinds"),
    "two cases": (
        {**GOOD, "experiments-by-tally": [GOOD["experiments-by-tally"][0][:2]]},
        "experiments-by-tally[0]",
        "has 2 entries; must be a list of 3, cases of group 1",
    ),
    "one case paid": ({**GOOD, "payments-by-tally": [[[0, 0]]]}, "payments-by-tally[0]", "list of 3, cases of group 1"),
    "three reports": ({**GOOD, "payments-by-tally": [[0, 0, 0]]}, "payments-by-tally[0]", "list of 2, reports of group 1"),
    "no number": ({**GOOD, "payments-by-tally": [[0, "much"]]}, "payments-by-tally[0][1]", "'much'"),
    "negative": ({**GOOD, "experiments-by-tally": planted([-1, 2], 0, 2, 1, 0)}, "experiments-by-tally[0][2][1][0][0]", "is -1"),
    "sum": ({**GOOD, "experiments-by-tally": planted(0.4, 0, 1, 0, 1, 1)}, "experiments-by-tally[0][1][0][1]", "sums to 0.9"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_a_mechanism_by_tally_that_does_not_fit_is_refused_with_the_place(case: str) -> None:
    mechanism, field, says = MISFITS[case]
    given = market(random_kinds(0, ((3, 2),), 2, common=False), "bayesian")
    assert Tallied.read(given, GOOD).as_json() == GOOD
    with pytest.raises(InstanceError, match=says) as raised:
        Tallied.read(given, mechanism)
    assert raised.value.field == field
