"""The problems: a task is named by plain text, `suite/problem/dimension/instance`, and opened where it is run.

Every opened problem counts its evaluations, follows the best value and stops the solver when the budget is spent, so
that no solver can overrun and none needs to know how it is watched.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .practical import Made

PRACTICAL = ("practical", "conditional", "constrained", "combinatorial")
"""Suites of `practical`; their problems have names, and their traces hold values, not gaps (see `score`)."""


class Spent(BaseException):
    """The budget is used up. A BaseException, so that no solver's `except Exception` swallows it."""


@dataclass(frozen=True)
class Task:
    """One problem, by name. dimension: of the search space; instance: the variant (or the data's seed)."""

    suite: str
    problem: str
    dimension: int
    instance: int

    def evaluations(self, budget: int) -> int:
        """The budget in evaluations: `budget` for each dimension; of `overhead` it is their number already."""
        return budget if self.suite == "overhead" else budget * self.dimension

    @property
    def key(self) -> str:
        """The name of its file."""
        return f"{self.suite}_{self.problem}_d{self.dimension:02d}_i{self.instance:03d}"


@dataclass
class Watched:
    """An objective over the box [lower, upper], integer columns marked, with its books.

    optimum: what the gap is measured from (practical problems: 0, so that the trace holds values).
    made: the practical problem behind the box; solvers with types of their own evaluate its params by `judge`.
    limit_s: CPU seconds from the first evaluation on, after which the next evaluation raises `Spent`.
    trace: (evaluations so far, gap, CPU seconds spent by the solver so far) at every improvement; at every evaluation
    where `every` is set.
    """

    evaluate: Callable[[Any], float]
    lower: np.ndarray
    upper: np.ndarray
    integers: np.ndarray
    optimum: float
    budget: int
    clean: Callable[[Any], float] | None = None
    made: Made | None = None
    limit_s: float = np.inf
    every: bool = False
    count: int = 0
    best: float = np.inf
    inside: float = 0.0
    first: float = np.nan
    last: float = np.nan
    late: bool = False
    trace: list[tuple[int, float, float]] = field(default_factory=list)

    @property
    def spent(self) -> float:
        """CPU seconds of the solver between its first and its last evaluation (imports come before the first)."""
        return self.last - self.first - self.inside if self.count else 0.0

    def __call__(self, x: Any) -> float:
        """The value at x (in the box's own units; integer columns are rounded); violations are added as a penalty."""
        x = np.minimum(np.maximum(np.asarray(x, dtype=float), self.lower), self.upper)
        if self.integers.any():
            x = np.where(self.integers, np.round(x), x)
        if self.made is not None:
            value, violations = self.judge(self.made.box.params(x))
            return value + self.made.penalty * sum(max(item, 0.0) for item in violations)
        before = self._begin()
        value = float(self.evaluate(x))
        self._end(before, value if self.clean is None else float(self.clean(x)))
        return value

    def judge(self, params: dict[str, Any]) -> tuple[float, list[float]]:
        """(value, violations) of a practical problem's parameters; only feasible values count as progress."""
        from .practical.registry import SLACK

        assert self.made is not None
        before = self._begin()
        found = self.made.evaluate(params)
        value, violations = found if isinstance(found, tuple) else (found, ())
        self._end(before, float(value) if all(item <= SLACK for item in violations) else np.inf)
        return float(value), [float(item) for item in violations]

    def _begin(self) -> float:
        if self.count >= self.budget:
            raise Spent
        now = time.process_time()
        if not self.count:
            self.first = now
        elif now - self.first > self.limit_s:
            self.late = True
            raise Spent
        return now

    def _end(self, before: float, true: float) -> None:
        self.last = time.process_time()
        self.inside += self.last - before
        self.count += 1
        if true < self.best or self.every:
            self.best = min(true, self.best)
            self.trace.append((self.count, true - self.optimum, self.spent))


@contextmanager
def _elsewhere() -> Iterator[None]:
    """A directory that is thrown away: COCO writes the optimum's place into the working directory."""
    old = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(old)


def _coco(task: Task, budget: int) -> Watched:
    try:
        import cocoex  # type: ignore[import-not-found]
    except ImportError:
        raise SystemExit(
            f"{task.suite} needs COCO's functions, which are not installed here: pip install coco-experiment "
            f"(the suites {', '.join(PRACTICAL)} need only scikit-learn)"
        ) from None

    number = int(task.problem[1:])
    suite = cocoex.Suite(
        task.suite, f"instances:{task.instance}", f"dimensions:{task.dimension} function_indices:{number}"
    )
    problem = suite[0]
    with _elsewhere():
        problem._best_parameter("print")
        best = np.loadtxt(next(name for name in os.listdir(".") if "best_parameter" in name))
    integers = np.arange(task.dimension) < problem.number_of_integer_variables
    watched = Watched(
        problem,
        np.asarray(problem.lower_bounds, float),
        np.asarray(problem.upper_bounds, float),
        integers,
        float(problem(np.asarray(best, float))),
        budget,
    )
    watched.suite = suite  # type: ignore[attr-defined]  # the problem dies with its suite
    return watched


def _practical(task: Task, budget: int) -> Watched:
    from .practical import open_problem

    made = open_problem(task.problem, task.instance)
    box = made.box
    return Watched(lambda x: np.nan, box.lower, box.upper, box.integers, 0.0, budget, made=made)


def _overhead(task: Task, budget: int) -> Watched:
    """A curved valley that costs nothing; what counts is the time between its evaluations."""
    d = task.dimension

    def valley(x: np.ndarray) -> float:
        return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))

    whole = np.zeros(d, dtype=bool)
    return Watched(valley, np.full(d, -5.0), np.full(d, 5.0), whole, 0.0, budget, every=True)


def open_task(task: Task, budget: int) -> Watched:
    """The problem, ready to be evaluated `budget` times."""
    if task.suite in ("bbob", "bbob-mixint"):
        return _coco(task, budget)
    if task.suite == "bbob-noise10":
        from .noisy import incumbent_watched

        return incumbent_watched(_coco(replace(task, suite="bbob"), budget), task.instance)
    if task.suite in PRACTICAL:
        return _practical(task, budget)
    if task.suite == "overhead":
        return _overhead(task, budget)
    known = ", ".join(("bbob", "bbob-mixint", "bbob-noise10", "overhead", *PRACTICAL))
    raise SystemExit(f"unknown suite {task.suite!r}; known: {known}")


def tasks_of(suite: str, problems: list[int], dimensions: list[int], instances: list[int]) -> list[Task]:
    """All combinations, in a fixed order. Practical problems are counted from 1 and have dimensions of their own."""
    if suite == "overhead":
        return [Task(suite, "valley", d, 1) for d in dimensions]
    if suite not in PRACTICAL:
        return [Task(suite, f"f{p:02d}", d, i) for d in dimensions for i in instances for p in problems]
    from .practical import PROBLEMS, names_of

    names = names_of(suite)
    chosen = [names[p - 1] for p in problems if p <= len(names)]
    return [Task(suite, name, PROBLEMS[name].dimension, i) for i in instances for name in chosen]
