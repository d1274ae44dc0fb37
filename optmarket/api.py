"""The one road: load an instance, solve it, audit the answer, decide its claims."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from optmarket.errors import InstanceError, ModelError, OptmarketError
from optmarket.files import read_json
from optmarket.instances import instance as instances
from optmarket.instances.instance import KINDS, Instance
from optmarket.modeling import registry
from optmarket.rationals import exact
from optmarket.solution import (
    DEFAULT_GAP,
    FORMAT,
    VERSION,
    Answer,
    Audit,
    Claim,
    Options,
    Progress,
    Solution,
    Status,
    relative_gap,
)

SAME = 1e-9
PROVED = frozenset({"analytic", "exact", "proved"})
_MECHANISM_HEADER = {"format", "model", "title", "instance", "source", "stated"}


def load(path: str | Path, *, root: str | Path | None = None) -> Instance:
    """Read and validate an instance file.

    Parameters
    ----------
    path : str or Path
        A TOML file.
    root : path, optional
        The folder below which files it refers to must lie, links followed: a stranger's instance reads nothing else of this
        machine. Its own folder, if not given; "/" allows any file.

    Raises
    ------
    InstanceError
        With file, field and what would be right.
    """
    case = instances.read(path, lambda name: registry.get(name).params, root=root)
    for k, claim in enumerate(case.expect):
        _must_report(case, claim.quantity, f"expect[{k}].quantity")
    _ = case.points  # refused now rather than when they are swept
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
    method: str = "auto",
    gap: float | None = None,
    time_limit: float | None = None,
    threads: int = 1,
    exact: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Solution:
    """Solve an instance, audit the answer and decide its claims.

    Parameters
    ----------
    source : path or Instance
    method, gap, time_limit, threads, exact, progress
        See `Options`.

    Returns
    -------
    Solution
        Also when a time limit or Ctrl-C stopped the solver: then with the bounds reached and the best mechanism so far.

    Raises
    ------
    InstanceError
        If the file or a value in it is not usable.
    ModelError
        If the market does not support what is asked.
    SolverError
        If no answer could be certified.
    """
    case = source if isinstance(source, Instance) else load(source)
    spec = registry.get(case.model)
    check_method(case, method)
    options = Options(method, case.gap if gap is None else gap, time_limit, threads, exact, progress)
    try:
        answer = spec.solve(case.params, options)
    except OptmarketError as error:
        error.file = error.file or case.file
        raise
    audited = spec.audit(case.params, answer.mechanism)
    theory = spec.theory(case.params)
    claims = tuple(decide(claim, answer, spec.objective) for claim in [*case.expect, *theory])
    below = _below_a_bound(claims[len(case.expect) :], answer, spec.objective)
    return Solution(
        instance={
            "slug": case.slug,
            "sha256": case.sha256,
            **({"set": {path: str(value) for path, value in case.settings.items()}} if case.settings else {}),
            **({"grid": True} if getattr(case.params, "stands_for_continuum", False) else {}),
        },
        model=case.model,
        title=case.title,
        status=Status.FAILED if below and answer.status in {Status.OPTIMAL, Status.GAP} else answer.status,
        objective=spec.objective,
        value=answer.quantities[spec.objective],
        quantities=answer.quantities,
        certificate=answer.certificate,
        audit=audited,
        claims=claims,
        mechanism=answer.mechanism,
        tables=spec.tables(case.params, answer.mechanism),
        exact=answer.exact,
        notes=(*case.notes, *answer.notes, *below),
        run={"optmarket": VERSION, "asked": options.asked(), "method": answer.method, **answer.run},
        _draw=partial(spec.plot, case.params),
    )


def check_method(case: Instance, method: str) -> None:
    """Fail unless the instance's market has a method of that name.

    Raises
    ------
    ModelError
        That names its methods.
    """
    methods = registry.get(case.model).methods
    if method not in methods:
        raise ModelError(f"there is no method {method!r} for {case.model}; its methods are {', '.join(methods)}", file=case.file)


def _below_a_bound(claims: Sequence[Claim], answer: Answer, objective: str) -> tuple[str, ...]:
    """In words, each proved lower bound on the objective that the mechanism found does not reach: none, or something is wrong."""
    value = answer.quantities[objective]
    found = []
    for claim in claims:
        if claim.quantity != objective or claim.relation != "lower" or claim.kind not in PROVED:
            continue
        stated = float(exact(claim.value))
        if value < stated and relative_gap(value, stated) > DEFAULT_GAP:
            found.append(
                f"{objective} {value:.9g} is below {stated:.9g}, which is certain ({claim.source}): the solve has failed"
            )
    return tuple(found)


def decide(claim: Claim, answer: Answer, objective: str) -> Claim:
    """Hold a claim against an answer: by how much it fails, and whether that is as its verdict says.

    A claim about the objective is contradicted by the bounds on it, and an equality confirmed only by the proved value itself,
    however wide the bounds; any other claim is held against the mechanism found, which counts only where the optimum is
    proved. What is neither contradicted nor confirmed stays open. Numbers are the same whatever the claim's tolerance that
    differ by at most 1e-9 of the larger of the stated value and the objective.
    """
    same = SAME * max(abs(float(exact(claim.value))), abs(answer.quantities[objective]))
    tolerance = max(claim.tolerance or 0.0, same)
    if claim.quantity not in answer.quantities:  # one that the market reports of other instances only
        return replace(claim, tolerance=tolerance)
    true, stated = answer.quantities[claim.quantity], float(exact(claim.value))
    proved = answer.status is Status.OPTIMAL and answer.certificate.gap <= DEFAULT_GAP
    bounded = claim.quantity == objective
    low, high = (answer.certificate.lower, answer.certificate.upper) if bounded else (true, true)
    short, over = max(0.0, low - stated), max(0.0, stated - high)
    error = {"eq": max(short, over), "lower": over, "upper": short}[claim.relation]
    holds = error <= tolerance
    confirmed = {
        "eq": proved and abs(true - stated) <= tolerance,
        "lower": stated <= low + tolerance,
        "upper": stated >= high - tolerance,
    }[claim.relation]
    decided = (proved or bounded) and (confirmed or not holds)
    expected = claim.verdict not in {"wrong", "misprint"}
    return replace(claim, true=true, error=error, tolerance=tolerance, met=(holds == expected) if decided else None)


def audit(source: str | Path | Instance, mechanism: str | Path | Mapping[str, Any] | Solution) -> Audit:
    """Judge anyone's mechanism in a market, from the market's primitives alone.

    Parameters
    ----------
    source : path or Instance
    mechanism : path, mapping or Solution
        A mechanism file, a solution file, the object such a file holds with or without its header, or a solution.

    Raises
    ------
    InstanceError
        If a file cannot be used, the mechanism is for another market or instance, or its shapes do not fit.
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
    """What a mechanism file says that its mechanism brings about.

    Parameters
    ----------
    source : path or Instance
    mechanism : path
        A file whose header may hold ``"stated": {"revenue": 0.1671, "kind": "neural"}``: quantities of the market, and how
        their values are known.

    Raises
    ------
    InstanceError
        If the file cannot be used, or states something else.
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
    return registry.get(case.model).audit(case.params, body)
