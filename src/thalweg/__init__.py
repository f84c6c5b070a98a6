"""thalweg finds the best parameters of anything that can be run.

A **Strategy** proposes points, an **Evaluator** runs them, a **Store** remembers them; a **Study** joins the three.

    import thalweg as tw
    result = tw.minimize(lambda p: (p["x"] - 1) ** 2, {"x": tw.Float(-5, 5)}, max_evals=100, seed=0)
    print(result.params, result.value)
"""

from __future__ import annotations

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
    from .parts.strategies.chain import Chain
    from .parts.strategies.portfolio import Portfolio
    from .parts.strategies.relay import Relay
    from .parts.strategies.restart import Restart

__version__ = "0.1.0"

_LATER = {
    "Chain": "parts.strategies.chain",
    "Command": "apps.programs.command",
    "Limits": "core.limits",
    "Patience": "parts.stopping.patience",
    "Plateau": "parts.stopping.plateau",
    "Portfolio": "parts.strategies.portfolio",
    "Process": "parts.evaluators.process",
    "Relay": "parts.strategies.relay",
    "Restart": "parts.strategies.restart",
    "Result": "engine.result",
    "Study": "engine.study",
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
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


__all__ = [
    "Answers",
    "Boolean",
    "Chain",
    "Choice",
    "Command",
    "Context",
    "Evaluator",
    "EvaluatorError",
    "Event",
    "Fixed",
    "Float",
    "InfeasibleSpace",
    "Integer",
    "Limits",
    "ObjectiveError",
    "Patience",
    "Permutation",
    "Plateau",
    "Portfolio",
    "Problem",
    "ProblemError",
    "Process",
    "Proposals",
    "Relay",
    "Restart",
    "Result",
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
