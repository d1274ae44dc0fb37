"""Load an instance, solve it, audit the mechanism found, and compare the result with known values."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from optmarket.certificates import Audit, Claim, relative_gap
from optmarket.errors import InstanceError, ModelError, OptmarketError
from optmarket.files import read_json
from optmarket.instances import instance as instances
from optmarket.instances.instance import KINDS, Instance
from optmarket.modeling import registry
from optmarket.options import Options, Progress, Status
from optmarket.rationals import exact
from optmarket.solution import VERSION, Answer, Solution, decide
from optmarket.solution_file import FORMAT, InstanceReference
from optmarket.tolerances import TARGET_GAP

PROVED = frozenset({"analytic", "exact", "proved"})
_MECHANISM_HEADER = {"format", "model", "title", "instance", "source", "stated"}


def load(path: str | Path, *, root: str | Path | None = None) -> Instance:
    """Read and validate an instance file.

    Parameters
    ----------
    path : str or Path
        A TOML file.
    root : path, optional
        The folder below which the files that the instance refers to must lie, after symbolic links are resolved. By default it
        is the instance's own folder, so that an instance from an unknown source cannot read other files; "/" allows any file.

    Returns
    -------
    Instance

    Raises
    ------
    InstanceError
        If the file cannot be read or a value in it is invalid. The error names the file and the field and says what is expected.

    Examples
    --------
    >>> try:
    ...     load("missing.toml")
    ... except InstanceError as error:
    ...     print(error)
    missing.toml: there is no such file
    """
    case = instances.read(path, lambda name: registry.get(name).params, root=root)
    if case.method is not None and case.method not in (known := registry.get(case.model).methods):
        words = f"is {case.method!r}, which is no method of the market; {case.model} has {', '.join(known)}"
        raise InstanceError(words, file=case.file, field="method")
    for k, claim in enumerate(case.expect):
        _must_report(case, claim.quantity, f"expect[{k}].quantity")
    _ = case.points  # an invalid reference is reported now rather than when the sweep starts
    for k, name in enumerate(case.curve.quantities if case.curve else ()):
        _must_report(case, name, f"sweep.quantities[{k}]")
    return case


def _must_report(case: Instance, quantity: str, field: str) -> None:
    known = registry.get(case.model).units
    if quantity not in known:
        near = difflib.get_close_matches(quantity, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"{case.model} reports {', '.join(known)}"
        raise InstanceError(f"is {quantity!r}, which is no quantity of the market; {hint}", file=case.file, field=field)


def solve(
    source: str | Path | Instance,
    *,
    method: str | None = None,
    gap: float | None = None,
    time_limit: float | None = None,
    threads: int = 1,
    exact: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Solution:
    """Solve an instance, audit the mechanism found, and decide the instance's claims.

    Parameters
    ----------
    source : path or Instance
        An instance, or the path of an instance file.
    method, gap, time_limit, threads, exact, progress
        See `Options`. By default, method and gap are those that the instance names.

    Returns
    -------
    Solution
        If a time limit or Ctrl-C stopped the solver, the solution holds the bounds and the best mechanism found by then.

    Raises
    ------
    InstanceError
        If the file or a value in it is invalid.
    ModelError
        If the market does not support a requested option.
    SolverError
        If no answer could be certified.

    Examples
    --------
    >>> solve("instances/selling-information/two-types.toml", exact=True).exact
    Fraction(19, 70)
    """
    case = source if isinstance(source, Instance) else load(source)
    spec = registry.get(case.model)
    method = method or case.method or "auto"
    check_method(case, method)
    options = Options(method, case.gap if gap is None else gap, time_limit, threads, exact, progress)
    try:
        market = spec.market(case.params)
        answer = spec.solve(market, options)
    except OptmarketError as error:
        error.file = error.file or case.file
        raise
    written = answer.mechanism.to_json()
    # The audit reads the mechanism from its JSON form, as it reads anyone else's, so that it checks what is printed and saved.
    audited = spec.audit(market, spec.read(market, written))
    theory = spec.theory(market)
    claims = tuple(decide(claim, answer, spec.objective) for claim in [*case.expect, *theory])
    below = _below_a_bound(claims[len(case.expect) :], answer, spec.objective)
    settings = {path: str(value) for path, value in case.settings.items()}
    return Solution(
        instance=InstanceReference(case.slug, case.sha256, settings, answer.for_grid),
        model=case.model,
        title=case.title,
        status=Status.FAILED if below and answer.status in {Status.OPTIMAL, Status.GAP} else answer.status,
        objective=spec.objective,
        value=answer.quantities[spec.objective],
        quantities=answer.quantities,
        certificate=answer.certificate,
        audit=audited,
        claims=claims,
        mechanism=written,
        tables=spec.tables(market, answer.mechanism),
        exact=answer.exact,
        notes=(*case.notes, *answer.notes, *below),
        run=replace(answer.run, optmarket=VERSION, requested=options.requested()),
        _draw=partial(spec.figure, market, answer.mechanism),
    )


def check_method(case: Instance, method: str) -> None:
    """Check that the instance's market has a method of this name.

    Parameters
    ----------
    case : Instance
    method : str
        The requested method, for example ``auto``.

    Raises
    ------
    ModelError
        If it has none; the error lists the market's methods.
    """
    methods = registry.get(case.model).methods
    if method not in methods:
        raise ModelError(f"there is no method {method!r} for {case.model}; its methods are {', '.join(methods)}", file=case.file)


def _below_a_bound(claims: Sequence[Claim], answer: Answer, objective: str) -> tuple[str, ...]:
    """Describe each proved lower bound on the objective that the mechanism misses; any such bound means that the solve failed."""
    value = answer.quantities[objective]
    found = []
    for claim in claims:
        if claim.quantity != objective or claim.relation != "lower" or claim.kind not in PROVED:
            continue
        stated = float(exact(claim.value))
        if value < stated and relative_gap(value, stated) > TARGET_GAP:
            found.append(
                f"{objective} {value:.9g} is below {stated:.9g}, which is certain ({claim.source}): the solve has failed"
            )
    return tuple(found)


def audit(source: str | Path | Instance, mechanism: str | Path | Mapping[str, Any] | Solution) -> Audit:
    """Evaluate a mechanism and check its constraints, using the market's primitives only.

    Parameters
    ----------
    source : path or Instance
        An instance, or the path of an instance file.
    mechanism : path, mapping or Solution
        The path of a mechanism file or solution file, the JSON object of such a file (the header may be left out), or a solution.

    Returns
    -------
    Audit
        The mechanism's quantities and the largest violation of each kind of constraint, in payoff units.

    Raises
    ------
    InstanceError
        If a file is invalid, the mechanism is for another market or instance, or its dimensions do not match the market's.

    Examples
    --------
    >>> menu = {"items": [{"experiment": [[1, 0], [0, 1]], "price": "1/4"}]}
    >>> audit("instances/selling-information/two-types.toml", menu).quantities["revenue"]
    0.25
    """
    case = source if isinstance(source, Instance) else load(source)
    if isinstance(mechanism, Solution):
        mechanism = mechanism.to_dict()
    if isinstance(mechanism, Mapping):
        header = {"format": FORMAT, "model": case.model}
        return _audited(case, mechanism if "format" in mechanism else {**header, **mechanism})
    data = read_json(mechanism, parse_float=Decimal)
    try:
        return _audited(case, data)
    except OptmarketError as error:
        error.file = error.file or str(mechanism)
        raise


def stated(source: str | Path | Instance, mechanism: str | Path) -> tuple[Claim, ...]:
    """Read the values that a mechanism file states for its mechanism.

    Parameters
    ----------
    source : path or Instance
        An instance, or the path of an instance file.
    mechanism : path
        A file whose header may hold ``"stated": {"revenue": 0.1671, "kind": "neural"}``: values of the market's quantities, and
        the kind of evidence for them.

    Returns
    -------
    tuple of Claim
        One undecided claim for each stated quantity.

    Raises
    ------
    InstanceError
        If the file is invalid, or names a quantity that the market does not report.
    """
    case = source if isinstance(source, Instance) else load(source)
    return _stated(case, read_json(mechanism, parse_float=Decimal), str(mechanism))


def _stated(case: Instance, data: Mapping[str, Any], file: str | None = None) -> tuple[Claim, ...]:
    given = data.get("stated", {"kind": KINDS[0]})
    if not isinstance(given, Mapping) or given.get("kind") not in KINDS:
        words = f'must be an object such as {{"revenue": 0.25, "kind": "neural"}}; kinds are {", ".join(KINDS)}'
        raise InstanceError(words, file=file, field="stated")
    found = []
    for name, value in given.items():
        if name == "kind":
            continue
        if name not in (known := registry.get(case.model).units):
            words = f"is no quantity of the market; {case.model} reports {', '.join(known)}"
            raise InstanceError(words, file=file, field=f"stated.{name}")
        try:
            exact(value)
        except ValueError as error:
            raise InstanceError(str(error), file=file, field=f"stated.{name}") from error
        found.append(Claim(name, str(value), kind=given["kind"], source=str(data.get("source", ""))))
    return tuple(found)


def _audited(case: Instance, data: Mapping[str, Any]) -> Audit:
    if data.get("format") != FORMAT:
        raise InstanceError(f"is {data.get('format')!r}; this version reads format {FORMAT}", field="format")
    if data.get("model") != case.model:
        raise InstanceError(f"is {data.get('model')!r}; the instance is for {case.model!r}", field="model")
    given = data.get("instance", {})
    if not isinstance(given, Mapping):
        raise InstanceError('must be an object such as {"sha256": "..."}', field="instance")
    if given.get("sha256", case.sha256) != case.sha256:
        raise InstanceError(
            f"is {str(given['sha256'])[:12]}...; the instance's is {case.sha256[:12]}...: the mechanism was made for another one",
            field="instance.sha256",
        )
    _stated(case, data)
    inner = data.get("mechanism")
    if isinstance(inner, Mapping):
        body = dict(inner)
    else:
        body = {key: value for key, value in data.items() if key not in _MECHANISM_HEADER}
    spec = registry.get(case.model)
    market = spec.market(case.params)
    return spec.audit(market, spec.read(market, body))
