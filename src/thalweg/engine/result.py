"""What a run came to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.batch import Answers, Floats, Ints, Status
from ..core.errors import MissingExtra, ProblemError, ThalwegError
from ..core.expression import Expression
from ..core.problem import Problem
from ..core.trial import Trial
from ..watch.spans import Spans
from .history import History
from .replicates import Replicates

if TYPE_CHECKING:
    from pathlib import Path

    from ..watch.data import RunData
    from .recommend import Recommendation


@dataclass(slots=True, eq=False)
class Result:
    """The state of a study when a run ended.

    stop_reason: why it ended, in words.  evaluations: finished trials of the study.  cached: proposals answered without
    an evaluation.  spans: where the time went.  strategy, why: what searched, and why that.
    numbers: (n,) the trials it is about; None: all that have finished when it is read (a running study's state).
    """

    problem: Problem
    history: History
    groups: Replicates
    best_number: int | None
    stop_reason: str = ""
    cached: int = 0
    spans: Spans | None = None
    strategy: str = ""
    why: str = ""
    name: str = ""
    budget: int | None = None
    numbers: Ints | None = None

    @property
    def best(self) -> Trial:
        """The best trial (of several objectives: by the first one).

        Raises:
            ThalwegError: no trial has a value; the message says what happened instead.
        """
        if self.best_number is None:
            raise ThalwegError(self._nothing())
        return self.history.trial(self.best_number)

    def _nothing(self) -> str:
        history, numbers = self.history, self.finished
        errors = [history.errors[number] for number in numbers.tolist() if number in history.errors]
        if not len(numbers):
            return "no best: nothing was evaluated"
        failed, late = self._count(Status.FAILED), self._count(Status.TIMEOUT)
        violated = int((history.violations[numbers] > 0).sum())
        last = f"; the last error: {errors[-1].splitlines()[0]}" if errors and errors[-1] else ""
        counts = f"{failed} failed, {late} timed out and {violated} violate a constraint"
        return f"no best: of {len(numbers)} trials {counts}{last}"

    @property
    def success(self) -> bool:
        """Whether there is a best trial."""
        return self.best_number is not None

    @property
    def params(self) -> Any:
        """The best parameters, as the objective got them."""
        return self.best.params

    @property
    def value(self) -> float:
        """The best (first objective's) value in the user's own sign; replicates are aggregated."""
        number = self.best.number
        return self.groups.value(number) * float(self.problem.signs[0])

    def recommend(self, *, evaluated: bool = False) -> Recommendation:
        """The point to use, with what it is believed to be worth and a 95 % interval (see `engine.recommend`).

        Without noise that is the best trial. Where values are noisy (`noisy=True`, replicates, or points evaluated
        again) the best trial is a lucky one, and the point is the one that a model of all values trusts most.
        evaluated: only points that were evaluated. Of several objectives the first one counts.

        Raises:
            ThalwegError: no trial has a value; the message says what happened instead.
        """
        from .recommend import recommend_exact, recommend_noisy

        best, finished = self.best.number, self.finished
        if not self.noisy:
            return recommend_exact(self.problem, self.history, best)
        finished = finished[~np.isin(finished, self.groups.flukes())]
        values = None if self.groups.aggregate == "mean" else self.groups.merits(finished)
        return recommend_noisy(self.problem, self.history, finished, best, values, evaluated)

    @property
    def noisy(self) -> bool:
        """Whether equal points may give different values."""
        return self.problem.noisy or self.groups.grouped or bool(self.history.replicates[self.finished].any())

    @property
    def values(self) -> tuple[float, ...]:
        """The best trial's values."""
        return self.best.values

    @property
    def components(self) -> dict[str, Any]:
        """The best trial's named results."""
        return self.best.components

    @property
    def x(self) -> Floats:
        """SciPy's name: the best point's real values (D,)."""
        reals: Floats = self.history.reals[self.best.number]
        return reals.copy()

    @property
    def fun(self) -> float:
        """SciPy's name for `value`."""
        return self.value

    @property
    def nfev(self) -> int:
        """SciPy's name for `evaluations`."""
        return self.evaluations

    @property
    def finished(self) -> Ints:
        """(n,) numbers of the finished trials."""
        return self.history.final() if self.numbers is None else self.numbers

    def _count(self, status: Status) -> int:
        return int(np.count_nonzero(self.history.statuses[self.finished] == status))

    @property
    def evaluations(self) -> int:
        """Finished trials."""
        return len(self.finished)

    @property
    def failures(self) -> int:
        """Trials that failed or timed out."""
        return self._count(Status.FAILED) + self._count(Status.TIMEOUT)

    @property
    def trials(self) -> list[Trial]:
        """Every finished trial, by number."""
        return self.history.trials(self.finished)

    @property
    def front(self) -> list[Trial]:
        """Trials that no other one beats in every objective, by the first objective; replicates are aggregated."""
        from ..numerics.dominance import front

        answers = self._points()
        good = np.flatnonzero(answers.statuses == Status.DONE)
        if answers.violations is not None:
            good = good[answers.violations[good] <= 0]
        if not len(good):
            return []
        chosen = good[front(answers.values[good])]
        chosen = chosen[np.argsort(answers.values[chosen, 0], kind="stable")]
        trials = self.history.trials(answers.tickets[chosen])
        if self.groups.grouped:
            for trial, values in zip(trials, answers.values[chosen] * self.problem.signs, strict=True):
                trial.values = tuple(values.tolist())
        return trials

    def _points(self) -> Answers:
        """What the finished trials came to, one row per point; tickets: their numbers."""
        history, numbers = self.history, self.finished
        if self.groups.grouped:
            numbers = self.groups.whole(numbers)
            return self.groups.answers(numbers, np.empty((len(numbers), 0)), numbers)
        violations = history.violations[numbers] if history.constrained else None
        return Answers(
            numbers, np.empty((len(numbers), 0)), history.values[numbers], history.statuses[numbers], violations
        )

    def __iter__(self) -> Iterator[Trial]:
        return iter(self.trials)

    def data(self) -> RunData:
        """The run as plain columns, as reports and plots take it."""
        from .describe import run_data

        return run_data(self)

    def frame(self) -> Any:
        """A pandas DataFrame, one row per trial.

        Raises:
            MissingExtra: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise MissingExtra("pandas", "pandas", "Result.frame()") from None
        rows = self.rows()
        found = list(dict.fromkeys(name for row in rows for name in row))
        # what the first trial lacks (an inactive parameter, results where it failed) stands where it belongs
        places = {name: place for place, name in enumerate([*found[:1], *self.problem.space.names])}
        middle = len(places)
        places |= dict.fromkeys(list(rows[0])[-4 if self.noisy else -3 :] if rows else (), middle + 1)
        return pandas.DataFrame(rows, columns=sorted(found, key=lambda name: places.get(name, middle)))

    def rows(self) -> list[dict[str, Any]]:
        """One flat dict per trial: number, parameters, objectives, named results, status, seconds, error; where values
        are noisy also replicate (0 for the first evaluation of a point).

        Where a parameter, an objective or a result has one of our four names, ours is called "trial_error" and so on;
        an objective with a parameter's name is "objective_value", if that is the name.
        """
        ours = set(self.problem.space.names)
        names = [f"objective_{name}" if name in ours else name for name in self.problem.names]
        trials, told = self.trials, []
        for trial in trials:
            params = _flat(self.problem, trial.params)
            values = dict(zip(names, trial.values, strict=True))
            extra = {key: item for key, item in trial.components.items() if key not in params and key not in values}
            told.append({**params, **values, **extra})
        taken = set().union(*told)
        number, status, seconds, error, replicate = (
            f"trial_{name}" if name in taken else name for name in ("number", "status", "seconds", "error", "replicate")
        )
        noisy = self.noisy
        return [
            {number: trial.number, **row}
            | {status: trial.status.name.lower(), seconds: trial.seconds, error: trial.error}
            | ({replicate: trial.replicate} if noisy else {})
            for trial, row in zip(trials, told, strict=True)
        ]

    def plot(self, path: str | Path | None = None, kind: str = "overview") -> Any:
        """A picture of the run, written to `path` (.png, .svg, .pdf) where given (see `thalweg.watch.plots`).

        Raises:
            MissingExtra: matplotlib is not installed.
        """
        from ..watch import plots

        return plots.plot(self.data(), path, kind=kind)

    def explain(self) -> str:
        """What happened, in words: the strategy and why, where the time went, failures, advice with its numbers."""
        from ..watch.explain import explain

        data = self.data()
        if self.noisy and self.success and len(self.problem.objectives) == 1:
            data.advice = self.recommend().text()
        return explain(data)

    def table(self) -> str:
        """The final table for people."""
        from ..watch.table import table

        return table(self.data())

    def rescore(self, metric: str, goal: str = "minimize") -> list[Trial]:
        """Every trial with a value, best first by `metric`, an expression over named results and objectives
        ("time + 5*size"). Nothing is run; `Trial.values` is the new metric.

        Raises:
            ProblemError: an unknown goal, or a name that no trial recorded.
        """
        if goal not in ("minimize", "maximize"):
            raise ProblemError(f"goal must be 'minimize' or 'maximize', got {goal!r}")
        expression = Expression(metric)
        scored: list[tuple[float, Trial]] = []
        known_names: set[str] = set(self.problem.names)
        for trial in self.trials:
            known = {**trial.components, **dict(zip(self.problem.names, trial.values, strict=True))}
            known_names |= set(known)
            if trial.status is not Status.DONE or any(name not in known for name in expression.names):
                continue
            value = float(expression.evaluate(known))
            trial.values = (value,)
            scored.append((value if goal == "minimize" else -value, trial))
        if not scored:
            expression.require_names(known_names, "the metric")
            raise ProblemError(f"no finished trial can be scored by {metric!r}: {self._nothing()}")
        return [trial for _, trial in sorted(scored, key=lambda pair: pair[0])]

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        best = f"value={self.value!r}, params={self.params!r}" if self.success else "no value"
        return f"Result({best}, evaluations={self.evaluations}, stop_reason={self.stop_reason!r})"


def _flat(problem: Problem, params: Any) -> dict[str, Any]:
    if isinstance(params, Mapping):
        return dict(params)
    if isinstance(params, np.ndarray):
        return dict(zip(problem.space.names, params.tolist(), strict=True))
    return {name: getattr(params, name) for name in problem.space.names}
