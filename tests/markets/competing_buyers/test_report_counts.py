"""Report counts of symmetric buyers, counted one by one."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations_with_replacement, product

import numpy as np
import pytest

from optmarket.models.competing_buyers.mechanisms.report_counts import ReportCounts


@pytest.mark.parametrize(("sizes", "shape"), [((2, 1), (3, 2)), ((3,), (4,)), ((0, 2, 1), (2, 3, 1)), ((4,), (2,)), ((1,), (5,))])
def test_report_counts_one_by_one(sizes: tuple[int, ...], shape: tuple[int, ...]) -> None:
    def listed(of: tuple[int, ...]) -> list[tuple[tuple[int, ...], ...]]:
        return list(product(*(combinations_with_replacement(range(k), size) for size, k in zip(of, shape, strict=True))))

    def changed(of: tuple[tuple[int, ...], ...], group: int, to: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(sorted(to)) if h == group else one for h, one in enumerate(of))

    cases, expected = ReportCounts(sizes, shape), listed(sizes)
    assert cases.total == len(expected)
    for group, size in enumerate(sizes):
        reports, multiplicity = cases.reports(group), cases.multiplicity(group)
        assert reports.shape == multiplicity.shape == (len(expected), size)
        more = listed(tuple(s + (h == group) for h, s in enumerate(sizes)))
        joined = cases.with_one_more(group)
        for s, one in enumerate(expected):
            assert tuple(reports[s]) == one[group]
            firsts = {place: one[group].count(k) for place, k in enumerate(one[group]) if k not in one[group][:place]}
            assert multiplicity[s].tolist() == [firsts.get(place, 0) for place in range(size)]
            assert [more[t] for t in joined[s]] == [changed(one, group, (*one[group], k)) for k in range(shape[group])]
            if size:
                shorter, left = listed(tuple(z - (h == group) for h, z in enumerate(sizes))), cases.with_one_less(group)
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
        number = cases.number_of([np.array(drawn, dtype=np.int64) for drawn in lists])
        assert expected[number] == tuple(tuple(sorted(drawn)) for drawn in lists)
    assert cases.probability(masses).tolist() == list(chance.values())
    assert cases.probability([mass.astype(float) for mass in masses]) == pytest.approx([float(p) for p in chance.values()])
