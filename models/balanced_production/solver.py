"""The answer to an instance: equilibria without a target and under it, and what the rule costs everybody."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from optmarket.arrays import FloatArray
from optmarket.certificates import Equilibrium
from optmarket.errors import ModelError, SolverError
from optmarket.models.balanced_production.best_target import best_target_quantities
from optmarket.models.balanced_production.closed_forms import exact_revenue, is_symmetric, symmetric_samples
from optmarket.models.balanced_production.equilibria import Game, ProductionEquilibrium, climbed, deviation_gain, potential
from optmarket.models.balanced_production.growth import growth_path, growth_quantities
from optmarket.models.balanced_production.joint_profit import joint_quantities
from optmarket.models.balanced_production.market import Market
from optmarket.models.balanced_production.mechanism import ProductionPlan
from optmarket.models.balanced_production.outcomes import family_quantities, largest_gain, quantities
from optmarket.models.balanced_production.power_cone import maximised
from optmarket.models.balanced_production.scenarios import Found, balanced, baseline
from optmarket.options import Options, Status
from optmarket.rationals import floats
from optmarket.solution import Answer
from optmarket.solution_file import SolverReport
from optmarket.tolerances import TARGET_GAP

METHODS = {
    "auto": "all equilibria of sellers of the same cost by the number of active ones; best responses and Newton's method else",
    "closed-form": "the formula for sellers who all produce the same, where that is an equilibrium",
    "best-response": "best responses in turn from nobody producing, which climb the potential, with Newton's method at the end",
    "power-cone": "the equilibrium that auto finds, solved for again as a power-cone program by cvxpy: an independent check",
}
SAME_PRODUCTION = 1e-4  # relative: the power-cone program's production agrees with the equilibrium


@lru_cache(maxsize=4)
def scenarios(market: Market) -> tuple[tuple[Found, ...], Found | None]:
    """The equilibria about each group without a target, and those under it."""
    before = tuple(baseline(market, g) for g in range(len(market.groups)))
    return before, None if market.target is None else balanced(market, market.target)


def solve(market: Market, options: Options) -> Answer:
    """Equilibria without a target and under it, with the largest gain of anybody who deviates.

    Parameters
    ----------
    market : Market
    options : Options
        Methods: see `METHODS`.

    Raises
    ------
    ModelError
        If the method does not take this market, or there are more sellers than their coalitions allow.

    Examples
    --------
    >>> from optmarket.models.balanced_production.params import Params
    >>> task = {"Z": 1, "alpha": 1, "beta": 1}
    >>> market = Market.of(Params(potential_value=[1], task=task, cost=["1/10"], sellers=2))
    >>> found = solve(market, Options(exact=True))
    >>> found.exact, found.certificate.deviation_gain
    (Fraction(4, 5), 0.0)
    """
    deadline = options.deadline()
    exact = None
    if options.exact and (exact := exact_revenue(market)) is None:
        raise ModelError(
            "needs sellers of the same cost, one learning curve with a whole beta, and equilibria with all sellers alike "
            "that are rational numbers",
            field="exact",
        )
    method = "closed-form" if options.exact and options.method == "auto" else options.method
    before, under = scenarios(market)
    chosen = [one.profiles[0] for one in before]
    prices = floats(np.array([one.prices[0] for one in chosen], dtype=object))
    production = [one.production for one in chosen]
    after = None if under is None else under.profiles[0].production
    if method != "auto":
        again = {"closed-form": _closed, "best-response": _climbed, "power-cone": _cone}[method]
        production = [again(market, g, market.baseline_game(g, prices[g]), one) for g, one in enumerate(production)]
        if under is not None and after is not None and market.target is not None:
            game = market.balanced_game(market.target, under.profiles[0].prices)
            after = after if method == "closed-form" else again(market, None, game, after)
    plan = ProductionPlan(
        prices,
        np.stack([one.samples for one in production], axis=1),
        None if under is None else floats(under.profiles[0].prices),
        None if after is None else after.samples,
    )
    found = {
        **quantities(market, plan),
        "equilibria": float(len(before[0].profiles) if before[0].is_equilibrium else 0),
        **({} if under is None else {"target-equilibria": float(len(under.profiles) if under.is_equilibrium else 0)}),
        **joint_quantities(market),
        **family_quantities(market),
        **best_target_quantities(market),
        **growth_quantities(growth_path(market)),
    }
    certificate = Equilibrium(largest_gain(market, plan), market.unit)
    stands = all(one.is_equilibrium for one in before) and (under is None or under.is_equilibrium)
    return Answer(
        status=Status.EQUILIBRIUM if stands and certificate.relative_gain <= TARGET_GAP else Status.GAP,
        mechanism=plan,
        quantities=found,
        certificate=certificate,
        exact=exact,
        notes=_notes(market, before, under, found),
        run=SolverReport(seconds=deadline.elapsed, method=method if method != "auto" else _how(market)),
    )


def _how(market: Market) -> str:
    return "every number of active sellers" if market.same_costs else "best responses and Newton's method"


def _closed(market: Market, group: int | None, game: Game, found: ProductionEquilibrium) -> ProductionEquilibrium:
    if group is None or not found.active:
        return found
    if not is_symmetric(market, group):
        raise ModelError(
            f"needs an equilibrium in which all sellers produce the same; about {market.groups[group]} none is in closed form",
            field="method",
        )
    return _judged(game, np.full(market.sellers, symmetric_samples(market, group)))


def _climbed(market: Market, group: int | None, game: Game, found: ProductionEquilibrium) -> ProductionEquilibrium:
    """Best responses from nobody producing, if they lead to the equilibrium shown; else from its neighbourhood."""
    samples = climbed(game, np.zeros(len(game.cost)))
    if (samples > 0).sum() != found.active:
        samples = climbed(game, 0.99 * found.samples)
    return _judged(game, samples)


def _cone(market: Market, group: int | None, game: Game, found: ProductionEquilibrium) -> ProductionEquilibrium:
    samples = maximised(game, found.samples)
    if np.abs(samples - found.samples).max() > SAME_PRODUCTION * max(1e-300, found.samples.max()):
        raise SolverError(f"the power-cone program produces {samples.tolist()}, and the equilibrium {found.samples.tolist()}")
    return _judged(game, climbed(game, samples))


def _judged(game: Game, samples: FloatArray) -> ProductionEquilibrium:
    return ProductionEquilibrium(samples, deviation_gain(game, samples), potential(game, samples))


def _notes(market: Market, before: tuple[Found, ...], under: Found | None, found: dict[str, float]) -> tuple[str, ...]:
    notes = [f"without a target: {scope}" for scope in dict.fromkeys(one.scope for one in before)]
    if under is not None:
        notes.append(f"under the target: {under.scope}")
    several = [name for name, one in zip(market.groups, before, strict=True) if len(one.profiles) > 1]
    if several:
        notes.append(f"several equilibria about {', '.join(several)}; the one of most active sellers is shown")
    if not market.buyers_known:
        notes.append("only potential values are given, so that nothing is known of buyers' surplus")
    if market.target is not None and (none := [name for name, one in zip(market.groups, market.target, strict=True) if one == 0]):
        notes.append(f"the target asks for no data about {', '.join(none)}")
    for g, prices in enumerate(market.best_prices):
        if market.has_common_task[g] and len(prices) > 1:
            said = ", ".join(f"{float(one):.6g}" for one in prices)
            notes.append(f"reserve prices {said} earn the same about {market.groups[g]}; the lowest is charged")
    if found.get("joint-deviation-gain", 0.0) > 1e-9 * market.unit:
        gain = found["joint-deviation-gain"]
        notes.append(f"the source's profile (joint profit) is no equilibrium: a seller gains {gain:.6g} by leaving it")
    if found.get("backfires"):
        notes.append("the target backfires: nothing is produced under it, and everybody loses all they had")
    if "best-target-value" in found:
        notes.append(
            "the best target is that of a global search, not proved to be the best"
            + (f"; no allowed target brings more than {found['best-target-bound']:.9g}" if "best-target-bound" in found else "")
        )
    return tuple(notes)
