"""thalweg finds the best parameters of anything that can be run.

A **Strategy** proposes points, an **Evaluator** runs them, a **Store** remembers them; a **Study** joins the three.

    import thalweg as tw
    result = tw.minimize(lambda p: (p["x"] - 1) ** 2, {"x": tw.Float(-5, 5)}, max_evals=100, seed=0)
    print(result.params, result.value)
"""

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
from .engine.optimize import amaximize, aminimize, maximize, minimize
from .engine.result import Result
from .engine.study import Study, load

__version__ = "0.1.0"

__all__ = [
    "Answers",
    "Boolean",
    "Choice",
    "Context",
    "Evaluator",
    "EvaluatorError",
    "Event",
    "Fixed",
    "Float",
    "InfeasibleSpace",
    "Integer",
    "ObjectiveError",
    "Permutation",
    "Problem",
    "ProblemError",
    "Proposals",
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
    "ThalwegError",
    "Trial",
    "amaximize",
    "aminimize",
    "load",
    "maximize",
    "minimize",
]
