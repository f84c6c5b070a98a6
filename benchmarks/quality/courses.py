"""What the table of `auto` is learnt from: which plans are run on which tasks, and which of the runs are held out.

Practical problems are one instance each; their seeds are split instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from thalweg.parts.strategies import STRATEGIES

from .loading import Key
from .running import Job
from .tasks import PRACTICAL, tasks_of

TAG = "learn"
MOST = 100
"""No suite has more problems."""


@dataclass(frozen=True)
class Course:
    """Runs of some plans. training, held: COCO's instances, of other suites seeds.

    without: problems that are left out (opening `boosting` takes half a minute).
    """

    suite: str
    dimensions: tuple[int, ...]
    budget: int
    plans: tuple[str, ...]
    training: tuple[int, ...]
    held: tuple[int, ...]
    without: tuple[str, ...] = ("boosting",)

    def keys(self, numbers: tuple[int, ...]) -> list[Key]:
        """The tasks with their seeds."""
        if self.suite in PRACTICAL:
            tasks = tasks_of(self.suite, list(range(1, MOST)), [], [1])
            return [(task, seed) for seed in numbers for task in tasks if task.problem not in self.without]
        return [(task, 0) for task in tasks_of(self.suite, list(range(1, 25)), list(self.dimensions), list(numbers))]


QUICK = ("cmaes", "de", "pair", "quasi_newton")
MIXED = ("cmaes", "de", "genetic", "annealing", "tpe")
MODELS = ("gradients_soon", "model_gradients", "lq_cmaes", "quadratic")

COURSES = (
    Course("bbob", (2, 5, 10), 100, ("gradients", *QUICK), (1,), (4,)),
    Course("practical", (), 50, ("gradients", *QUICK), (0,), (3,)),
)


def solver_of_plan(plan: str) -> str:
    """The solver whose traces are those of a plan; a single strategy is run as such."""
    return f"tw:{plan}" if plan in STRATEGIES else f"tw:plan={plan}"


def jobs(courses: tuple[Course, ...], held: bool) -> Iterator[Job]:
    """Every run of the courses."""
    for course in courses:
        for number in course.held if held else course.training:
            for plan in course.plans:
                for task, seed in course.keys((number,)):
                    yield Job(solver_of_plan(plan), TAG, task, course.budget, seed)
