"""How much processor time the command takes before it does anything, and a first small solve.

``python benchmarks/start_up.py`` runs each command several times in a process of its own and prints the least, beside what a
program takes that only imports the libraries a solve needs.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

RUNS = 7
CASE = Path(__file__).parents[1] / "instances" / "selling-information" / "two-types.toml"
COMMANDS = [  # what, arguments of Python, aim in seconds
    ("Python alone", ["-c", "pass"], None),
    ("import numpy, pandas, highspy, pydantic", ["-c", "import numpy, pandas, highspy, pydantic"], None),
    ("optmarket --version", ["-m", "optmarket", "--version"], 0.3),
    ("optmarket --help", ["-m", "optmarket", "--help"], 0.3),
    ("optmarket solve --help", ["-m", "optmarket", "solve", "--help"], 0.3),
    ("import optmarket", ["-c", "import optmarket"], None),
    ("optmarket list", ["-m", "optmarket", "list"], None),
    ("optmarket check two-types.toml", ["-m", "optmarket", "check", str(CASE)], None),
    ("optmarket solve two-types.toml", ["-m", "optmarket", "solve", str(CASE)], 1.0),
]


def seconds(arguments: list[str]) -> float:
    """Processor time of a process, user and system, the least of several runs."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    best = float("inf")
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, env=environment, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


def main() -> None:
    """Print the table."""
    print(f"{'command':<42} {'seconds':>8} {'aim':>6}")
    for name, arguments, aim in COMMANDS:
        print(f"{name:<42} {seconds(arguments):>8.3f} {'' if aim is None else f'{aim:.1f}':>6}")


if __name__ == "__main__":
    main()
