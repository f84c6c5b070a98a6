"""`BayesianOptimizer`, `GeneticOptimizer`, `HybridOptimizer`: the parameters with the largest value.

    best_params, best_value = BayesianOptimizer({"x": (0.0, 1.0)}, random_state=0).optimize(objective, n_iterations=30)

Evaluations that raise, or give what is no finite number, are failures: the search goes on, and raises only if nothing
else comes. Each optimizer's randomness comes from random_state alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ....core.choices import Choice, Fixed
from ....core.errors import ProblemError, SpaceError
from ....core.parameter import Float, Parameter
from ....core.space import Space
from ....core.strategy import Strategy
from ....engine.describe import run_data
from ....engine.result import Result
from ....engine.study import Study
from ....parts.strategies.bayesian import Bayesian
from ....parts.strategies.genetic import Genetic
from ....parts.strategies.hybrid import Hybrid
from ....watch.reduce import effects
from .parameter_space import ParameterBounds

Objective = Callable[[dict[str, Any]], float]
Callback = Callable[[int, dict[str, Any], float], Any]
Found = tuple[dict[str, Any], float]
WIDE = 100.0
"""Bounds whose ends differ by such a factor are searched by their logarithm."""


class _Search:
    """What the three have in common.

    history: of the last `optimize`, an entry for each evaluation: parameters, value (None: failed), and initial where
    it was made before anything was known.
    """

    def __init__(self, param_bounds: Mapping[str, Any], random_state: int | None) -> None:
        self.param_bounds = dict(param_bounds)
        self.random_state = random_state
        self.space = space_of_bounds(self.param_bounds)
        self.history: list[dict[str, Any]] = []
        self.best_params: dict[str, Any] | None = None
        self.best_value: float | None = None
        self._result: Result | None = None

    def _run(
        self, objective: Objective, strategy: Strategy, evaluations: int, initial: int, callback: Callback | None
    ) -> Found:
        if not callable(objective):
            raise ProblemError(f"objective_function: a function of a dict is expected, got {objective!r:.60}")
        self.history, errors, stops = [], list[Exception](), list[BaseException]()
        heard: list[dict[str, Any]] = self.history

        def measured(params: dict[str, Any]) -> float:
            if stops:  # rows that were asked for before the callback raised
                raise ProblemError("the callback ended the search")
            number = len(heard)
            entry: dict[str, Any] = {"parameters": dict(params), "value": None, "initial": number < initial}
            heard.append(entry)
            try:
                entry["value"] = value = float(objective(dict(params)))
            except Exception as error:
                errors.append(error)
                raise
            if callback is not None:
                try:
                    callback(number, dict(params), value)
                except BaseException as error:
                    stops.append(error)
            return value

        with Study(self.space, strategy=strategy, seed=self.random_state, goal="maximize") as study:
            result = study.run(
                measured, max_evals=evaluations, progress=False, stop=lambda _: "the callback raised" if stops else None
            )
        if stops:
            raise stops[0]
        if not result.success and errors:
            errors[0].add_note(f"each of {len(heard)} evaluations failed; this was the first")
            raise errors[0]
        self._result = result
        self.best_params, self.best_value = dict(result.params), float(result.value)
        return self.best_params, self.best_value

    def get_parameter_importance(self) -> dict[str, float]:
        """{name: how much of the values' ranks it explains by itself, 0 to 1}, of the last `optimize`.

        Raises:
            ProblemError: nothing was optimised yet, or fewer than 20 evaluations had a value.
        """
        if self._result is None:
            raise ProblemError("get_parameter_importance: call optimize first")
        data = run_data(self._result)
        values = np.where(data.ok, data.values[:, 0], np.nan)
        if np.isfinite(values).sum() < 20:
            raise ProblemError("get_parameter_importance: 20 evaluations with a value are needed; give more iterations")
        found = effects(list(data.columns), values)
        return {name: float(found.get(name, 0.0)) for name in self.space.names}


class BayesianOptimizer(_Search):
    """Gaussian-process search, for expensive objectives.

    param_bounds: {name: (low, high)}, or a `ParameterBounds`, a list of options, or a thalweg parameter. Bounds above 0
    whose ends differ by a factor of 100 or more are searched by their logarithm.
    n_initial_points: spread over the space before the first model; they count as iterations.
    acquisition_function: "ei", "ucb" or "pi".

    Raises:
        ProblemError, SpaceError, StrategyError: what cannot be.
    """

    def __init__(
        self,
        param_bounds: Mapping[str, Any],
        n_initial_points: int = 5,
        acquisition_function: str = "ei",
        random_state: int | None = None,
    ) -> None:
        super().__init__(param_bounds, random_state)
        self.n_initial_points = _count(n_initial_points, "n_initial_points")
        self.acquisition_function = acquisition_function
        self._strategy()

    def _strategy(self) -> Strategy:
        return Bayesian(acquisition=self.acquisition_function, initial=max(2, self.n_initial_points))  # type: ignore[arg-type]

    def optimize(
        self, objective_function: Objective, n_iterations: int = 30, callback: Callback | None = None
    ) -> Found:
        """(best parameters, best value) of `n_iterations` evaluations.

        callback: called after each with (number from 0, parameters, value); what it raises ends the search.
        """
        count = _count(n_iterations, "n_iterations")
        return self._run(objective_function, self._strategy(), count, self.n_initial_points, callback)


class GeneticOptimizer(_Search):
    """A genetic algorithm, for cheap objectives: population_size * n_generations evaluations.

    mutation_rate: chance that a child is mutated.  crossover_rate: chance that parents are crossed.
    tournament_size: entrants of each selection.  The two best members always stay.
    """

    def __init__(
        self,
        param_bounds: Mapping[str, Any],
        population_size: int = 50,
        n_generations: int = 100,
        mutation_rate: float = 0.1,
        crossover_rate: float = 0.8,
        tournament_size: int = 3,
        random_state: int | None = None,
    ) -> None:
        super().__init__(param_bounds, random_state)
        self.population_size = _count(population_size, "population_size")
        self.n_generations = _count(n_generations, "n_generations")
        self.mutation_rate, self.crossover_rate = mutation_rate, crossover_rate
        self.tournament_size = tournament_size
        self._strategy()

    def _strategy(self) -> Strategy:
        return Genetic(
            "token_sim", population=self.population_size, generations=self.n_generations,
            tournament=self.tournament_size, mutation_prob=self.mutation_rate, crossover_prob=self.crossover_rate,
        )  # fmt: skip

    def optimize(self, objective_function: Objective, callback: Callback | None = None) -> Found:
        """(best parameters, best value); callback as in `BayesianOptimizer.optimize`."""
        count = self.population_size * self.n_generations
        return self._run(objective_function, self._strategy(), count, self.population_size, callback)


class HybridOptimizer(_Search):
    """Both, with one budget and one history: what one evaluates the other learns from, and who gains more gets more.

    exploration_weight: the chance of a proposal of the model's to be random.  Others as above.
    """

    def __init__(
        self,
        param_bounds: Mapping[str, Any],
        n_initial_points: int = 5,
        population_size: int = 30,
        mutation_rate: float = 0.1,
        crossover_rate: float = 0.8,
        tournament_size: int = 3,
        exploration_weight: float = 0.1,
        acquisition_function: str = "ei",
        random_state: int | None = None,
    ) -> None:
        super().__init__(param_bounds, random_state)
        self.n_initial_points = _count(n_initial_points, "n_initial_points")
        self._options: dict[str, Any] = {
            "population": _count(population_size, "population_size"), "mutation_prob": mutation_rate,
            "crossover_prob": crossover_rate, "tournament": tournament_size,
        }  # fmt: skip
        self.exploration_weight, self.acquisition_function = exploration_weight, acquisition_function
        self._strategy()

    def _strategy(self) -> Strategy:
        model = Bayesian(
            acquisition=self.acquisition_function,  # type: ignore[arg-type]
            exploration_rate=self.exploration_weight, initial=max(2, self.n_initial_points),
        )  # fmt: skip
        return Hybrid(model, Genetic("token_sim", **self._options))

    def optimize(
        self, objective_function: Objective, n_iterations: int = 100, callback: Callback | None = None
    ) -> Found:
        """(best parameters, best value) of `n_iterations` evaluations of both together."""
        count = _count(n_iterations, "n_iterations")
        return self._run(objective_function, self._strategy(), count, self.n_initial_points, callback)


def space_of_bounds(param_bounds: Mapping[str, Any]) -> Space:
    """The space of {name: bounds}.

    Raises:
        SpaceError: bounds that cannot be; the message names the parameter.
    """
    if not param_bounds:
        raise SpaceError("param_bounds: at least one parameter is expected, got none")
    return Space({name: _parameter(name, item) for name, item in param_bounds.items()})


def _parameter(name: str, item: Any) -> Any:
    if isinstance(item, ParameterBounds):
        return item.parameter()
    if isinstance(item, Parameter):
        return item
    if isinstance(item, list) and not (len(item) == 2 and all(_number(part) for part in item)):
        return Choice(item)
    try:
        low, high = (float(part) for part in item)
    except (TypeError, ValueError):
        raise SpaceError(f"{name}: (low, high) is expected, got {item!r}") from None
    if low > high:
        raise SpaceError(f"{name}: low <= high is expected, got {item!r}")
    if low == high:
        return Fixed(low)
    return Float(low, high, log=low > 0 and high / low >= WIDE)


def _number(item: Any) -> bool:
    return isinstance(item, (int, float)) and not isinstance(item, bool)


def _count(given: Any, name: str) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise ProblemError(f"{name}: a whole number >= 1 is expected, got {given!r}")
    return given
