"""thalweg finds the best parameters of anything that can be run.

A **Strategy** proposes points, an **Evaluator** runs them, a **Store** remembers them; a **Study** joins the three.

    import thalweg as tw
    result = tw.minimize(lambda p: (p["x"] - 1) ** 2, {"x": tw.Float(-5, 5)}, max_evals=100, seed=0)
    print(result.params, result.value)
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .core.batch import Answers, Proposals, Status
from .core.choices import Boolean, Choice, Fixed, Permutation, Subset
from .core.context import Context
from .core.errors import (
    EvaluatorError,
    InfeasibleSpace,
    ObjectiveError,
    ProblemError,
    SpaceError,
    StoreError,
    StrategyError,
    ThalwegError,
)
from .core.evaluator import Evaluator
from .core.event import Event
from .core.parameter import Float, Integer
from .core.problem import Problem
from .core.space import Space
from .core.stopping import StopRule
from .core.store import Store
from .core.strategy import Strategy
from .core.trial import Trial

if TYPE_CHECKING:
    from .apps.programs.command import Command
    from .core.limits import Limits
    from .engine.load import load
    from .engine.many import minimize_many
    from .engine.optimize import amaximize, aminimize, maximize, minimize
    from .engine.result import Result
    from .engine.study import Study
    from .parts.evaluators.process import Process
    from .parts.stopping.patience import Patience
    from .parts.stopping.plateau import Plateau
    from .parts.stopping.target import Target
    from .parts.stopping.wall import Wall
    from .parts.strategies.annealing import Annealing
    from .parts.strategies.auto import Auto
    from .parts.strategies.axes import Axes
    from .parts.strategies.bayesian import Bayesian
    from .parts.strategies.chain import Chain
    from .parts.strategies.cmaes import CMAES
    from .parts.strategies.de import DE
    from .parts.strategies.direct import Direct, DirectL
    from .parts.strategies.genetic import Genetic
    from .parts.strategies.grid import Grid
    from .parts.strategies.handover import Handover
    from .parts.strategies.hybrid import Hybrid
    from .parts.strategies.lhs import LatinHypercube
    from .parts.strategies.lq_cmaes import LqCMAES
    from .parts.strategies.moead import MOEAD
    from .parts.strategies.nelder_mead import NelderMead
    from .parts.strategies.nsga2 import NSGA2
    from .parts.strategies.nsga3 import NSGA3
    from .parts.strategies.pareto_bayesian import ParetoBayesian
    from .parts.strategies.portfolio import Portfolio
    from .parts.strategies.pso import PSO
    from .parts.strategies.quadratic import Quadratic
    from .parts.strategies.quasi_newton import QuasiNewton
    from .parts.strategies.random_search import Random
    from .parts.strategies.relay import Relay
    from .parts.strategies.restart import Restart
    from .parts.strategies.scipy_push import SciPyDE, SciPyDirect, SciPyDualAnnealing, SciPySHGO
    from .parts.strategies.sobol import Sobol
    from .parts.strategies.tpe import TPE

__version__ = "0.1.0"

_LATER = {
    "Annealing": "parts.strategies.annealing",
    "Auto": "parts.strategies.auto",
    "Axes": "parts.strategies.axes",
    "Bayesian": "parts.strategies.bayesian",
    "CMAES": "parts.strategies.cmaes",
    "Chain": "parts.strategies.chain",
    "Command": "apps.programs.command",
    "DE": "parts.strategies.de",
    "Direct": "parts.strategies.direct",
    "DirectL": "parts.strategies.direct",
    "Genetic": "parts.strategies.genetic",
    "Grid": "parts.strategies.grid",
    "Handover": "parts.strategies.handover",
    "Hybrid": "parts.strategies.hybrid",
    "LatinHypercube": "parts.strategies.lhs",
    "Limits": "core.limits",
    "LqCMAES": "parts.strategies.lq_cmaes",
    "MOEAD": "parts.strategies.moead",
    "NSGA2": "parts.strategies.nsga2",
    "NSGA3": "parts.strategies.nsga3",
    "NelderMead": "parts.strategies.nelder_mead",
    "PSO": "parts.strategies.pso",
    "ParetoBayesian": "parts.strategies.pareto_bayesian",
    "Patience": "parts.stopping.patience",
    "Plateau": "parts.stopping.plateau",
    "Portfolio": "parts.strategies.portfolio",
    "Process": "parts.evaluators.process",
    "Quadratic": "parts.strategies.quadratic",
    "QuasiNewton": "parts.strategies.quasi_newton",
    "Random": "parts.strategies.random_search",
    "Relay": "parts.strategies.relay",
    "Restart": "parts.strategies.restart",
    "Result": "engine.result",
    "SciPyDE": "parts.strategies.scipy_push",
    "SciPyDirect": "parts.strategies.scipy_push",
    "SciPyDualAnnealing": "parts.strategies.scipy_push",
    "SciPySHGO": "parts.strategies.scipy_push",
    "Sobol": "parts.strategies.sobol",
    "Study": "engine.study",
    "TPE": "parts.strategies.tpe",
    "Target": "parts.stopping.target",
    "Wall": "parts.stopping.wall",
    "amaximize": "engine.optimize",
    "aminimize": "engine.optimize",
    "load": "engine.load",
    "maximize": "engine.optimize",
    "minimize": "engine.optimize",
    "minimize_many": "engine.many",
}
"""Names whose modules are imported when they are first used, so that `import thalweg` stays light. Importing anything
inside comes through here, too: a worker process that evaluates has no use for the engine."""


def __getattr__(name: str) -> Any:
    if name in _LATER:
        from importlib import import_module

        found = globals()[name] = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
        return found
    hint = ""
    if not name.startswith("_"):
        from .core.elsewhere import name_here

        hint = f"; here it is {here}" if (here := name_here(name)) else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}", name=name, obj=sys.modules[__name__])


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


__all__ = [  # noqa: RUF022 (sorted as Python sorts)
    "Annealing",
    "Answers",
    "Auto",
    "Axes",
    "Bayesian",
    "Boolean",
    "CMAES",
    "Chain",
    "Choice",
    "Command",
    "Context",
    "DE",
    "Direct",
    "DirectL",
    "Evaluator",
    "EvaluatorError",
    "Event",
    "Fixed",
    "Float",
    "Genetic",
    "Grid",
    "Handover",
    "Hybrid",
    "InfeasibleSpace",
    "Integer",
    "LatinHypercube",
    "Limits",
    "LqCMAES",
    "MOEAD",
    "NSGA2",
    "NSGA3",
    "NelderMead",
    "ObjectiveError",
    "PSO",
    "ParetoBayesian",
    "Patience",
    "Permutation",
    "Plateau",
    "Portfolio",
    "Problem",
    "ProblemError",
    "Process",
    "Proposals",
    "Quadratic",
    "QuasiNewton",
    "Random",
    "Relay",
    "Restart",
    "Result",
    "SciPyDE",
    "SciPyDirect",
    "SciPyDualAnnealing",
    "SciPySHGO",
    "Sobol",
    "Space",
    "SpaceError",
    "Status",
    "StopRule",
    "Store",
    "StoreError",
    "Strategy",
    "StrategyError",
    "Study",
    "Subset",
    "TPE",
    "Target",
    "ThalwegError",
    "Trial",
    "Wall",
    "amaximize",
    "aminimize",
    "load",
    "maximize",
    "minimize",
    "minimize_many",
]
