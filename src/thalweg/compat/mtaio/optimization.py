"""`Optimizer`, `Parameter` and strategies: async objectives, minimised.

Differences from what is documented are improvements only: a grid never costs more than `iterations`, a timeout gives
the best so far, failures are data, `step` holds for every strategy, `BayesianStrategy` has a model.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

from ...core.errors import ObjectiveError, ProblemError, StrategyError
from ...core.space import Space
from ...core.strategy import Strategy
from ...engine.optimize import aminimize
from ...parts.strategies.bayesian import Bayesian
from .parameters import OptimizationResult, Parameter, ParameterType, space_of

__all__ = [
    "BayesianStrategy", "GridSearchStrategy", "OptimizationResult", "OptimizationStrategy", "Optimizer", "Parameter",
    "ParameterType", "RandomSearchStrategy",
]  # fmt: skip

Objective = Callable[[dict[str, Any]], Awaitable[float]]


class OptimizationStrategy:
    """A way to search. Subclasses have `async def optimize(parameters, objective, iterations)`, and may draw points
    with `generate_params`. seed: of everything random (None: drawn)."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def generate_params(self, parameters: Sequence[Parameter]) -> dict[str, Any]:
        """A random point, with native Python values."""
        import numpy as np

        drawn = self.__dict__.setdefault("_random", random.Random(self.__dict__.get("seed")))
        space = space_of(parameters)
        rng = np.random.default_rng(drawn.getrandbits(63))
        return dict(_params(space, space.sample(1, rng)))

    async def optimize(
        self,
        parameters: list[Parameter],  # noqa: ARG002 (what subclasses get)
        objective: Objective,  # noqa: ARG002
        iterations: int,  # noqa: ARG002
    ) -> OptimizationResult:
        """Search; see `Optimizer.optimize`."""
        raise StrategyError(f"{type(self).__name__} has no optimize(parameters, objective, iterations)")


class _Own(OptimizationStrategy):
    """One of thalweg's strategies. concurrency: evaluations at once."""

    def __init__(self, seed: int | None = None, concurrency: int = 1) -> None:
        super().__init__(seed)
        self.concurrency = concurrency

    def method(self) -> str | Strategy:
        """The strategy."""
        raise NotImplementedError

    async def optimize(
        self, parameters: list[Parameter], objective: Objective, iterations: int, timeout: float | None = None
    ) -> OptimizationResult:
        """Search; see `Optimizer.optimize`."""
        result = await aminimize(
            _awaited(objective), space_of(parameters), max_evals=iterations, timeout=timeout, strategy=self.method(),
            seed=self.seed, workers=self.concurrency, progress=False,
        )  # fmt: skip
        history = [
            {"parameters": trial.params, "score": trial.value if trial.ok else math.inf}
            | ({"error": trial.error} if trial.error else {})
            for trial in result.trials
        ]
        made = summary(history)
        return replace(made, stop_reason=result.stop_reason)


class RandomSearchStrategy(_Own):
    """Draws points at random, none twice."""

    def method(self) -> str | Strategy:
        """The strategy."""
        return "random"


class GridSearchStrategy(_Own):
    """Combinations in order, each once, as many as there are iterations."""

    def method(self) -> str | Strategy:
        """The strategy."""
        return "grid"


class BayesianStrategy(_Own):
    """A Gaussian process. exploration_rate: the share of proposals that are random."""

    def __init__(self, exploration_rate: float = 0.1, seed: int | None = None, concurrency: int = 1) -> None:
        super().__init__(seed, concurrency)
        self.exploration_rate = exploration_rate
        self.method()  # raises now what cannot be

    def method(self) -> str | Strategy:
        """The strategy."""
        return Bayesian(exploration_rate=self.exploration_rate)


class Optimizer:
    """Finds the parameters with the smallest score.

    strategy: anything with `async def optimize(parameters, objective, iterations)` (None: random search).
    """

    def __init__(self, strategy: OptimizationStrategy | None = None) -> None:
        if strategy is not None and not callable(getattr(strategy, "optimize", None)):
            raise StrategyError(f"strategy: an object with optimize() is expected, got {strategy!r:.60}")
        self.strategy = strategy if strategy is not None else RandomSearchStrategy()

    @classmethod
    def create_grid_search(cls) -> Optimizer:
        """With a grid."""
        return cls(GridSearchStrategy())

    @classmethod
    def create_random_search(cls) -> Optimizer:
        """With random points."""
        return cls(RandomSearchStrategy())

    @classmethod
    def create_bayesian(cls, exploration_rate: float = 0.1) -> Optimizer:
        """With a model."""
        return cls(BayesianStrategy(exploration_rate))

    async def optimize(
        self,
        parameters: list[Parameter],
        objective: Objective,
        iterations: int = 100,
        timeout: float | None = None,
    ) -> OptimizationResult:
        """Search with at most `iterations` evaluations and `timeout` seconds, whose end gives the best so far.

        Raises:
            SpaceError: a parameter that cannot be.  ProblemError: no evaluation at all, or no time.
        """
        space_of(parameters)
        if isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 1:
            raise ProblemError(f"iterations: a whole number >= 1 is expected, got {iterations!r}")
        if timeout is not None and not timeout > 0:
            raise ProblemError(f"timeout: seconds > 0 are expected, got {timeout!r}")
        started = perf_counter()
        if isinstance(self.strategy, _Own):
            result = await self.strategy.optimize(parameters, objective, iterations, timeout)
        else:
            result = await self._foreign(parameters, objective, iterations, timeout)
        first = result.history[0]["score"] if result.history else math.nan
        gained = first - result.score if math.isfinite(first) and math.isfinite(result.score) else 0.0
        return replace(result, elapsed_time=perf_counter() - started, improvement=gained)

    async def _foreign(
        self, parameters: list[Parameter], objective: Objective, iterations: int, timeout: float | None
    ) -> OptimizationResult:
        """A strategy of the user's: what it evaluates is written down, so that a timeout loses nothing."""
        history: list[dict[str, Any]] = []
        call = _awaited(objective)

        async def noted(params: dict[str, Any]) -> float:
            score = float(await call(params))
            history.append({"parameters": dict(params), "score": score})
            return score

        try:
            made = await asyncio.wait_for(self.strategy.optimize(parameters, noted, iterations), timeout)
        except TimeoutError:
            return replace(summary(history), stop_reason=f"timeout: {timeout:g} s")
        return replace(made, stop_reason=getattr(made, "stop_reason", "") or f"{iterations} iterations")


def summary(history: list[dict[str, Any]]) -> OptimizationResult:
    """The best of what was evaluated."""
    if not history:
        return OptimizationResult(None, math.inf)
    best = min(history, key=lambda item: item["score"] if item["score"] == item["score"] else math.inf)
    found = best["parameters"] if math.isfinite(best["score"]) else None
    return OptimizationResult(found, best["score"], history, len(history))


def _awaited(objective: Any) -> Callable[[dict[str, Any]], Awaitable[float]]:
    """The objective as a coroutine function; a plain function is called as it is."""
    if not callable(objective):
        raise ObjectiveError(f"objective: an async function of a dict is expected, got {objective!r:.60}")

    async def call(params: dict[str, Any]) -> float:
        given = objective(params)
        return float(await given) if inspect.isawaitable(given) else float(given)

    return call


def _params(space: Space, points: Any) -> Any:
    _, reals, active = space.resolve(points)
    return space.to_params(reals, active)[0]
