"""The search for the best configuration: what `thalweg token-economy optimize` does, for Python.

    search = Search(consensus="pos", iterations=50, initial_points=10, seed=0)
    outcome = search.run()
    print(outcome.text())

Every candidate is measured on the same noise. The winner of many is flattered by the noise it was chosen on, so it is
measured again on noise that the search has not seen, with more paths.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...core.batch import Floats
from ...core.errors import ProblemError
from ...core.problem import Problem
from ...core.space import Space
from ...core.store import Entry, Store
from ...parts.strategies import make_strategy
from .parameters import PARAMETERS, space_of
from .simulator import Simulator
from .summary import Summary, error_of, tail_error, tail_mean, weights_of

if TYPE_CHECKING:
    from ...engine.study import Study
    from .outcome import Outcome

SCORE = "score"
"""The weighted objective's name."""
FRESH = 2**32
"""Added to a search's seed: the noise of the second look."""
KIND = "token_economy"
"""The kind of log entry that holds a search's settings."""
STRATEGIES = {False: "bayesian", True: "nsga2"}
"""One score is smooth in few parameters, and worth a model; a front of four scores is bred faster than modelled."""


@dataclass(frozen=True)
class Search:
    """Settings of a search.

    consensus: a kind, or "any".  preset: see `PRESETS`.  iterations: evaluations altogether, of which initial_points
    come first: the defaults, then points that fill the space.  weights: of scores (None: `summary.WEIGHTS`).
    pareto: no weights; the weighted scores are objectives side by side.  risk: a candidate's value is the "mean" over
    paths, or the mean of its worst twentieth ("cvar").  paths, days: see `Simulator`.
    strategy: None: bayesian, or nsga2 for a front.  store: an address (None: memory).  name: of the study.
    fresh_paths: of the second look (None: eight times `paths`).

    Raises:
        ProblemError, StrategyError: what cannot be.
    """

    consensus: str = "pow"
    preset: str = "core"
    iterations: int = 30
    initial_points: int = 5
    weights: dict[str, float] | None = None
    pareto: bool = False
    risk: Literal["mean", "cvar"] = "mean"
    paths: int = 500
    days: int = 365
    seed: int = 0
    strategy: str | None = None
    store: str | None = None
    name: str | None = None
    fresh_paths: int | None = None
    engine: Literal["numpy", "numba"] = "numpy"

    def __post_init__(self) -> None:
        for name in ("iterations", "initial_points"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ProblemError(f"{name}: a whole number of at least 1 is expected, got {value!r}")
        if self.initial_points > self.iterations:
            raise ProblemError(
                f"initial_points ({self.initial_points}) are part of iterations ({self.iterations}), not more than them"
            )
        if self.paths == 1:
            raise ProblemError("paths: a search needs two or more, so that it knows how sure a value is; got 1")
        if self.risk not in ("mean", "cvar"):
            raise ProblemError(f"risk: 'mean' or 'cvar' is expected, got {self.risk!r}")
        weights_of(self.weights)
        if self.pareto and len(self.objectives) < 2:
            raise ProblemError("a front needs two scores or more with a weight above 0")
        make_strategy(self.strategy_name)
        _ = self.simulator, self.space  # wrong settings are told now

    # --- what it is ---------------------------------------------------------------------------------------------------

    @property
    def space(self) -> Space:
        """What may vary."""
        return space_of(self.preset, self.consensus)

    @cached_property
    def simulator(self) -> Simulator:
        """On the noise of the search."""
        return Simulator(self.paths, self.days, self.seed, engine=self.engine)

    @property
    def fresh(self) -> Simulator:
        """On noise that the search has not seen."""
        return self.simulator.at(seed=self.seed + FRESH, paths=self.fresh_paths or 8 * self.paths)

    @property
    def objectives(self) -> dict[str, Literal["minimize", "maximize"]]:
        """{name: goal}."""
        scores = weights_of(self.weights)
        return {name: "maximize" for name in scores if scores[name] > 0} if self.pareto else {SCORE: "maximize"}

    @property
    def strategy_name(self) -> str:
        """What searches."""
        return self.strategy or STRATEGIES[self.pareto]

    @property
    def study_name(self) -> str:
        """The given name, or one that every setting results depend on is a part of."""
        if self.name:
            return self.name
        parts = {key: item for key, item in self.settings().items() if key not in ("iterations", "fresh_paths")}
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]
        return f"token-{self.consensus}-{digest}"

    def settings(self) -> dict[str, Any]:
        """Plain data that make the same search again (of another store)."""
        return {key: item for key, item in asdict(self).items() if key not in ("store", "name")}

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Search:
        """From plain settings; unknown ones are named. Raises ProblemError."""
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(settings) - known)
        if unknown:
            raise ProblemError(f"unknown settings {', '.join(unknown)}; known: {', '.join(sorted(known))}")
        return cls(**settings)

    # --- values -------------------------------------------------------------------------------------------------------

    def values(self, summary: Summary) -> dict[str, Floats]:
        """{objective: (n, P)} path by path."""
        if self.pareto:
            return {name: summary.paths[name] for name in self.objectives}
        return {SCORE: summary.weighted(self.weights)}

    def merit(self, paths: Floats) -> tuple[Floats, Floats]:
        """((n,), (n,) standard errors) of (n, P): the mean, or the mean of the worst."""
        if self.risk == "mean":
            return np.asarray(paths.mean(axis=1)), error_of(paths)
        return tail_mean(paths, "more"), tail_error(paths, "more")

    def objective(self, columns: Mapping[str, Any]) -> dict[str, Floats]:
        """For `vectorised=True`: objectives, and beside them every metric with what the score's noise is."""
        summary = self.simulator.evaluate(columns)
        told = dict(summary.mean)
        for name, paths in self.values(summary).items():
            told[name], told[f"{name}_error"] = self.merit(paths)
        return told

    def first_points(self) -> list[dict[str, Any]]:
        """The defaults, then points of a Sobol sequence."""
        space = self.space
        defaults = {name: _default(space, name) for name in space.names}
        reals = space.from_params([defaults])
        params = list(space.to_params(reals, space.active(reals)))
        if self.initial_points > 1:
            filler = make_strategy("sobol")
            filler.start(Problem(space), self.seed, self.initial_points)
            points = filler.ask(self.initial_points - 1).points
            _, reals, active = space.resolve(points)
            params += list(space.to_params(reals, active))
        return params

    # --- running ------------------------------------------------------------------------------------------------------

    def run(self, progress: bool | str | None = False) -> Outcome:
        """Search, or go on where the same search was left; then measure the winners again.

        Raises:
            ThalwegError: what cannot be, before any work.
        """
        from .outcome import judge

        study = self.study()
        with study:
            if study.store.durable:
                self._remember(study.store)
            result = study.run(
                self.objective,
                max_evals=self.iterations,
                vectorised=True,
                initial=self.first_points(),
                progress=progress,
            )
        return judge(self, result)

    def study(self) -> Study:
        """The study of this search."""
        from ...engine.study import Study

        return Study(
            self.space,
            objectives=dict(self.objectives),
            strategy=self.strategy_name,
            seed=self.seed,
            store=self.store,
            name=self.study_name,
        )

    def _remember(self, store: Store) -> None:
        study = store.open(self.study_name).id
        notes = store.entries(study, kinds=[KIND])
        if not notes or notes[-1].body != self.settings():
            store.log(study, [Entry(KIND, self.settings())])


def stored(store: Store, name: str | None = None) -> tuple[Search, str]:
    """(the settings, the study's name) of a search in a store: `name`, or the only one there.

    Raises:
        ProblemError: it is not a search of this kind, or there is not exactly one.  StoreError: no such study.
    """
    if name is None:
        names = [item for item in store.names() if store.entries(store.open(item).id, kinds=[KIND])]
        if len(names) != 1:
            raise ProblemError(f"the store has {len(names)} token searches ({', '.join(names) or 'none'}); name one")
        name = names[0]
    notes = store.entries(store.open(name).id, kinds=[KIND])
    if not notes:
        raise ProblemError(
            f"study {name!r} does not come from `thalweg token-economy optimize`; `thalweg show` shows it"
        )
    return Search.of({**notes[-1].body, "name": name}), name


def _default(space: Space, name: str) -> Any:
    if name == "consensus":
        parameter = space.parameters[name]
        return getattr(parameter, "value", None) or parameter.default
    default = PARAMETERS[name].default
    return int(default) if PARAMETERS[name].whole else default
