"""Random markets whose menus are limited to few items, and their best menus."""

from __future__ import annotations

from functools import cache
from typing import Any

import optmarket as om
from optmarket.options import Options
from support import one_buyer as model
from support.paths import INSTANCES
from support.plain_markets import Case, drawn


def limited(params: model.Params, most: int | None) -> model.Params:
    fields = params.model_dump(exclude_none=True) | ({} if most is None else {"max_items": most})
    return model.Params.model_validate(fields)


def best(case: Case, most: int | None, options: Options | None = None) -> model.Found:
    return model.solve(limited(case.params(), most), options)


def at(name: str, most: int) -> model.Params:
    params: Any = om.load(INSTANCES / "selling-information" / f"{name}.toml").params
    return limited(params, most)


SEARCHED = [  # types, states, actions, contexts, kind, items; seeds of markets in which that few items are a loss
    ((4, 2, 2, 1, "own"), 2, (2, 10)),
    ((5, 2, 2, 1, "own"), 2, (4, 30)),
    ((4, 2, 3, 1, "own"), 2, (7, 12)),
    ((3, 3, 2, 1, "own"), 2, (2, 17)),
    ((4, 3, 2, 1, "general"), 2, (1, 22)),
    ((3, 3, 3, 1, "matching"), 2, (0, 7)),
    ((4, 3, 3, 1, "own"), 2, (0, 17)),
    ((5, 3, 2, 1, "own"), 3, (0,)),
    ((3, 2, 2, 2, "own"), 2, (3, 28)),
]


SEARCHES = [(drawn(seed, *shape), most) for shape, most, seeds in SEARCHED for seed in seeds]


EASY = [  # as above, but nothing is lost
    ((3, 2, 2, 1, "own"), 2, (0, 1)),
    ((3, 3, 2, 1, "general"), 3, (0, 1)),
    ((3, 2, 2, 2, "matching"), 1, (0, 1)),
    ((3, 3, 2, 1, "own"), 1, (2, 7)),
]


SMALL = [*SEARCHES, *[(drawn(seed, *shape), most) for shape, most, seeds in EASY for seed in seeds]]


@cache
def answered(number: int) -> model.Found:
    """The answer in one of the small markets."""
    return best(*SMALL[number])
