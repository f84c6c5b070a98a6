"""Search methods: one method, one file. The table below is the only list; a name that is not in it raises."""

from __future__ import annotations

from typing import Any

from ...core.errors import StrategyError
from ...core.registry import resolve
from ...core.strategy import Strategy

_HERE = __name__

STRATEGIES: dict[str, str] = {
    name: f"{_HERE}.{where}"
    for name, where in {
        "annealing": "annealing:Annealing",
        "auto": "auto:Auto",
        "bayesian": "bayesian:Bayesian",
        "bayesian_pareto": "pareto_bayesian:ParetoBayesian",
        "chain": "chain:Chain",
        "cmaes": "cmaes:CMAES",
        "de": "de:DE",
        "direct": "direct:Direct",
        "direct_l": "direct:DirectL",
        "genetic": "genetic:Genetic",
        "grid": "grid:Grid",
        "handover": "handover:Handover",
        "hybrid": "hybrid:Hybrid",
        "lhs": "lhs:LatinHypercube",
        "lq_cmaes": "lq_cmaes:LqCMAES",
        "moead": "moead:MOEAD",
        "nelder_mead": "nelder_mead:NelderMead",
        "nsga2": "nsga2:NSGA2",
        "nsga3": "nsga3:NSGA3",
        "portfolio": "portfolio:Portfolio",
        "pso": "pso:PSO",
        "quadratic": "quadratic:Quadratic",
        "quasi_newton": "quasi_newton:QuasiNewton",
        "random": "random_search:Random",
        "relay": "relay:Relay",
        "restart": "restart:Restart",
        "sobol": "sobol:Sobol",
        "tpe": "tpe:TPE",
        "scipy:de": "scipy_push:SciPyDE",
        "scipy:direct": "scipy_push:SciPyDirect",
        "scipy:dual_annealing": "scipy_push:SciPyDualAnnealing",
        "scipy:shgo": "scipy_push:SciPySHGO",
    }.items()
}


def make_strategy(given: str | Strategy | type[Strategy], **options: Any) -> Strategy:
    """A strategy from its name, its class, or itself.

    Raises:
        StrategyError: an unknown name (near ones are listed), or options the strategy does not have.
    """
    if isinstance(given, Strategy):
        return given
    kind = resolve(STRATEGIES, given, "strategy", StrategyError) if isinstance(given, str) else given
    try:
        made = kind(**options)
    except TypeError as error:
        raise StrategyError(f"strategy {given!r}: {error}") from error
    if not isinstance(made, Strategy):
        raise StrategyError(f"a strategy is a name, a Strategy or its class; got {given!r}")
    return made
