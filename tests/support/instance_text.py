"""Texts of instance files of the one-buyer market that several tests write."""

from __future__ import annotations

__all__ = ["CSV", "HEAD", "MARKET", "TWO", "TWO_TYPES"]

MARKET = "selling-information"
TWO_TYPES = """\
format = 1
model = "selling-information"
title = "Two types [draft]"
source = "own"

[params]
payoff = "matching"
types = [
  { weight = "1/2", belief = ["1/4", "3/4"] },
  { weight = "1/2", belief = ["3/5", "2/5"] },
]
"""
HEAD = f'format = 1\nmodel = "{MARKET}"\ntitle = "t"\nsource = "own"\n[params]\n'
TWO = HEAD + 'types = [{ weight = "1/2", belief = ["1/4", "3/4"] }, { weight = "1/2", belief = ["3/5", "2/5"] }]\n'
CSV = "weight,low,high\n1/2,1/4,3/4\n1/2,3/5,2/5\n"
