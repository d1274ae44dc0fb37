"""A library of small instances that a test writes, and the table that its reproduction writes."""

from __future__ import annotations

from pathlib import Path

from optmarket.studies.instance_library import COLUMNS, Row, read

MARKET = "selling-information"


CASE = """
format = 1
model = "{market}"
title = "t"
source = "own"
[params]
payoff = "matching"
types = [
  {{ weight = "1/2", belief = ["1/4", "3/4"] }},
  {{ weight = "1/2", belief = ["3/5", "2/5"] }},
]
{expect}
"""


def expecting(value: str, kind: str = "analytic", *, quantity: str = "revenue", **others: str) -> str:
    fields = {"quantity": quantity, "value": value, "kind": kind, "source": "here", **others}
    return "[[expect]]\n" + "".join(f'{key} = "{text}"\n' for key, text in fields.items())


RIGHT = expecting("19/70")


def instance(name: str, *expect: str, market: str = MARKET) -> Path:
    path = Path("instances", market, f"{name}.toml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(CASE.format(market=market, expect="\n".join(expect)), encoding="utf-8")
    return path


def table(market: str = MARKET) -> list[Row]:
    return read(Path("results", f"{market}.csv"), COLUMNS)
