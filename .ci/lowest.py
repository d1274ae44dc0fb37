"""Print constraints, for pip, that hold every dependency of the package and its tests at the lowest version pyproject allows."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))["project"]
extras = project["optional-dependencies"]
for requirement in [*project["dependencies"], *extras["data"], *extras["test"]]:
    if requirement.startswith("optmarket"):
        continue  # one extra named by another
    name, lowest = re.match(r"([\w-]+)>=([\d.]+)", requirement).groups()
    print(f"{name}=={lowest}")
