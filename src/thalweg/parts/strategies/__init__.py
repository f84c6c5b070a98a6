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
        "axes": "axes:Axes",
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


def make_strategy(given: str | Strategy | type[Strategy], *children: Any, **options: Any) -> Strategy:
    """A strategy from its name, its text ("de(population=40)", see `_text`), its class, or itself.

    children, options: what it is made with; not beside a text or a strategy that is made already.

    Raises:
        StrategyError: an unknown name (near ones are listed), or options the strategy does not have.
    """
    if isinstance(given, Strategy):
        return given
    if isinstance(given, str) and given not in STRATEGIES:
        return _from_text(given)
    kind = resolve(STRATEGIES, given, "strategy", StrategyError) if isinstance(given, str) else given
    if not (isinstance(kind, type) and issubclass(kind, Strategy)):
        raise StrategyError(f"a strategy is a name such as 'de', a Strategy or its class; got {given!r:.80}")
    try:
        return kind(*children, **options)
    except StrategyError:
        raise
    except (TypeError, ValueError) as error:
        why = str(error).replace(f"{kind.__name__}.__init__()", "it")
        raise StrategyError(f"strategy {given!r}: {why}; {_takes(kind)}") from error


def _from_text(given: str) -> Strategy:
    from ._hints import called_here

    name, mark, rest = given.partition("(")
    if mark and name.strip() in STRATEGIES:
        from ._text import read

        return read(given)
    name, mark, rest = given.partition("?")
    if mark and name in STRATEGIES:
        options = ", ".join(rest.split("&"))
        raise StrategyError(f"strategy {given!r}: options are written as in a call: '{name}({options})'")
    here = called_here(given.partition("(")[0])
    if here is None:
        resolve(STRATEGIES, given, "strategy", StrategyError)
    raise StrategyError(
        f"unknown strategy {given!r}; here it is called {here!r}. Known: {', '.join(sorted(STRATEGIES))}"
    )


def _takes(kind: type[Strategy]) -> str:
    """Which options a strategy has, in words."""
    import inspect

    names = [str(item).partition(":")[0].partition("=")[0] for item in inspect.signature(kind).parameters.values()]
    return f"its options: {', '.join(names)}" if names else "it has no options"
