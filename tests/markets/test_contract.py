"""What every market must give, the template among them: one face, answers that hold, words for all that is shown, and docs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from support.command import Done
from support.layout import MARKETS, market_packages
from support.paths import ROOT
from support.registered import registered

import optmarket as om
from optmarket.errors import ModelError
from optmarket.instances import instance as instances
from optmarket.instances.instance import Instance
from optmarket.instances.template import template
from optmarket.modeling import registry
from optmarket.modeling.registry import ModelSpec
from optmarket.options import Options
from optmarket.reporting import console_report
from optmarket.validation import fields_of, nested_in

Spec = ModelSpec[Any, Any, Any]
PAGES = {"_template": "CONTRIBUTING.md"}
SAME = 1e-7  # relative: two methods agree


@pytest.fixture(params=market_packages())
def package(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def spec(package: str) -> Iterator[Spec]:
    with registered(registry.load(package)) as found:
        yield found


@pytest.fixture
def case(spec: Spec) -> Instance:
    """The instance that `optmarket new` writes."""
    text = template(spec.name, spec.title, spec.source, spec.params)
    return instances.parse(text, lambda name: registry.get(name).params)


@pytest.fixture
def solution(case: Instance) -> om.Solution:
    return om.solve(case)


def test_the_listed_markets_are_the_packages_without_underscore(package: str) -> None:
    assert (package.replace("_", "-") in registry.names()) is not package.startswith("_")


def test_the_template_solves(solution: om.Solution) -> None:
    assert solution.good and solution.proved


def test_a_solution_goes_through_a_file_and_back(solution: om.Solution, tmp_path: Path) -> None:
    file = tmp_path / "solution.json"
    solution.write(file)
    assert om.Solution.read(file) == solution


def test_a_mechanism_goes_through_a_file_and_back(spec: Spec, case: Instance, solution: om.Solution) -> None:
    """The same numbers come back, exact or as the nearest floats."""

    def numbers(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: numbers(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [numbers(entry) for entry in value]
        return value if value is None else float(Fraction(value))

    market = spec.market(case.params)
    written = json.loads(json.dumps(solution.mechanism))
    assert numbers(spec.read(market, written).to_json()) == numbers(written)
    assert om.audit(case, solution) == solution.audit


def test_what_is_no_mechanism_is_refused(spec: Spec, case: Instance, solution: om.Solution) -> None:
    market = spec.market(case.params)
    with pytest.raises(om.InstanceError):
        spec.read(market, {})
    with pytest.raises(om.InstanceError):
        spec.read(market, {**solution.mechanism, "something-else": 1})


def test_the_audit_holds_and_names_its_deviations(spec: Spec, solution: om.Solution) -> None:
    assert solution.audit.good
    assert solution.audit.violations.keys() <= spec.deviations.keys()
    assert spec.objective in solution.audit.quantities


def test_the_audit_notices_a_payment_that_is_too_high(spec: Spec, case: Instance, solution: om.Solution) -> None:
    """Raising every number that looks like a payment must break individual rationality or change what is earned."""

    def raised(value: Any, named: str = "") -> Any:
        if isinstance(value, dict):
            return {key: raised(entry, key) for key, entry in value.items()}
        if isinstance(value, list):
            return [raised(entry, named) for entry in value]
        if "price" not in named and "payment" not in named:
            return value
        return str(Fraction(value) + 10) if isinstance(value, str) else value + 10.0 if isinstance(value, (int, float)) else value

    dear = raised(dict(solution.mechanism))
    assert dear != solution.mechanism
    found = om.audit(case, dear)
    assert not found.good or found.quantities[spec.objective] < solution.audit.quantities[spec.objective]


def test_every_method_agrees_or_says_that_it_does_not_apply(spec: Spec, case: Instance, solution: om.Solution) -> None:
    assert next(iter(spec.methods)) == "auto"
    solved = 0
    for method, what in spec.methods.items():
        assert len(what) > 10, method
        try:
            other = om.solve(case, method=method)
        except ModelError as error:
            assert error.message and method != "auto"
            continue
        solved += 1
        assert other.good and other.value == pytest.approx(solution.value, rel=SAME)
    assert solved >= 2


def test_an_exact_solve_agrees(case: Instance, solution: om.Solution) -> None:
    found = om.solve(case, exact=True)
    assert found.exact is not None and float(found.exact) == pytest.approx(solution.value, rel=SAME)
    lower, upper = solution.bounds
    assert lower <= float(found.exact) * (1 + 1e-15) and float(found.exact) * (1 - 1e-15) <= upper


def test_a_program_is_exported_or_there_is_none(
    spec: Spec, case: Instance, run: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("case.toml").write_text(template(spec.name, spec.title, spec.source, spec.params), "utf-8")
    done = run("export", "case.toml")
    if spec.program(spec.market(case.params)) is None:
        assert done.code == 2 and "no linear program" in done.err and not Path("case.mps").exists()
    else:
        assert done.code == 0 and "ROWS" in Path("case.mps").read_text("utf-8")


def test_the_program_s_value_is_the_solution_s(spec: Spec, case: Instance, solution: om.Solution) -> None:
    from optmarket.lp import highs

    program = spec.program(spec.market(case.params))
    if program is None:
        pytest.skip("this market is not solved by one linear program")
    assert program.unit * highs.solve(program.full(), Options()).bound == pytest.approx(solution.value, rel=SAME)


def test_closed_forms_hold(spec: Spec, case: Instance, solution: om.Solution) -> None:
    theory = spec.theory(spec.market(case.params))
    assert theory and all(claim.source for claim in theory)
    assert [claim.met for claim in solution.claims] == [True] * len(solution.claims)


def test_every_quantity_has_a_unit_and_a_label(spec: Spec, solution: om.Solution) -> None:
    assert solution.quantities.keys() <= spec.quantities.keys() and spec.objective in spec.quantities
    for name, quantity in spec.quantities.items():
        assert quantity.unit and len(quantity.label.split()) >= 2, name
        assert quantity.label[0].islower() and not quantity.label.endswith("."), name


def test_every_field_says_what_it_is(spec: Spec) -> None:
    models = [spec.params]
    for model in models:
        for name, field in fields_of(model).items():
            assert field.description, f"{model.__name__}.{name}"
            models += [inner for inner in nested_in(field.annotation) if inner not in models]


def test_tables_and_figure_are_there(solution: om.Solution) -> None:
    assert solution.tables and not any(table.empty for table in solution.tables.values())
    assert solution.plot().axes


def test_the_page_speaks_in_words(spec: Spec, solution: om.Solution) -> None:
    from rich.console import Console

    console = Console(width=200, file=None)
    with console.capture() as capture:
        console.print(console_report.solution(solution, 200))
        console.print(console_report.market(spec, 200))
    page = capture.get()
    assert "proved" in page and spec.title in page
    assert all(quantity.label in page for quantity in spec.quantities.values())


def test_the_docs_have_a_page(package: str, spec: Spec) -> None:
    page = ROOT / PAGES.get(package, f"docs/{spec.name}.md")
    assert spec.title.lower() in " ".join(page.read_text("utf-8").lower().split())


def test_the_face_says_what_the_market_is(package: str) -> None:
    text = (MARKETS / package / "__init__.py").read_text("utf-8")
    for heading in ("Setting", "Timing", "Program", "Closed forms", "Where the source", "References"):
        assert f"\n{heading}" in text, heading
