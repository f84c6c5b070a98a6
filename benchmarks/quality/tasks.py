"""The problems: a task is named by plain text, `suite/problem/dimension/instance`, and opened in the process that runs it.

Every opened problem counts its evaluations, follows the best value and stops the solver when the budget is spent, so
that no solver can overrun and none needs to know how it is watched.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np


class Spent(BaseException):
    """The budget is used up. A BaseException, so that no solver's `except Exception` swallows it."""


@dataclass(frozen=True)
class Task:
    """One problem, by name. dimension: of the search space; instance: the variant (or the data's seed)."""

    suite: str
    problem: str
    dimension: int
    instance: int

    @property
    def key(self) -> str:
        """The name of its file."""
        return f"{self.suite}_{self.problem}_d{self.dimension:02d}_i{self.instance:03d}"


@dataclass
class Watched:
    """An objective over the box [lower, upper], integer columns marked, with its books.

    optimum: what the gap is measured from. trace: (evaluations so far, gap) at every improvement.
    spaces: a function making thalweg's richer description of the same box, where there is one.
    """

    evaluate: Callable[[Any], float]
    lower: np.ndarray
    upper: np.ndarray
    integers: np.ndarray
    optimum: float
    budget: int
    clean: Callable[[Any], float] | None = None
    count: int = 0
    best: float = np.inf
    inside: float = 0.0
    trace: list[tuple[int, float]] = field(default_factory=list)

    def __call__(self, x: Any) -> float:
        """The value at x (in the box's own units; integer columns are rounded)."""
        if self.count >= self.budget:
            raise Spent
        x = np.minimum(np.maximum(np.asarray(x, dtype=float), self.lower), self.upper)
        if self.integers.any():
            x = np.where(self.integers, np.round(x), x)
        before = time.process_time()
        value = float(self.evaluate(x))
        self.inside += time.process_time() - before
        self.count += 1
        true = value if self.clean is None else float(self.clean(x))
        if true < self.best:
            self.best = true
            self.trace.append((self.count, true - self.optimum))
        return value


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
    import cocoex  # type: ignore[import-not-found]

    number = int(task.problem[1:])
    suite = cocoex.Suite(
        task.suite, f"instances:{task.instance}", f"dimensions:{task.dimension} function_indices:{number}"
    )
    problem = suite[0]
    with _elsewhere():
        problem._best_parameter("print")
        best = np.loadtxt([name for name in os.listdir(".") if "best_parameter" in name][0])
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


def open_task(task: Task, budget: int) -> Watched:
    """The problem, ready to be evaluated `budget` times."""
    if task.suite in ("bbob", "bbob-mixint"):
        return _coco(task, budget)
    raise SystemExit(f"unknown suite {task.suite!r}; known: bbob, bbob-mixint")


def tasks_of(suite: str, problems: list[int], dimensions: list[int], instances: list[int]) -> list[Task]:
    """All combinations, in a fixed order."""
    return [Task(suite, f"f{p:02d}", d, i) for d in dimensions for i in instances for p in problems]
