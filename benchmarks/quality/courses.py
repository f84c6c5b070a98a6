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
MEASURED = "2026-11-22"
"""The day of the code that the shipped table was measured with: change it with the traces."""
MOST = 100
"""No suite has more problems."""


@dataclass(frozen=True)
class Course:
    """Runs of some plans. training, held: COCO's instances, of other suites seeds.

    problems: by name, of the practical suites; none: all.
    """

    suite: str
    dimensions: tuple[int, ...]
    budget: int
    plans: tuple[str, ...]
    training: tuple[int, ...]
    held: tuple[int, ...]
    problems: tuple[str, ...] = ()

    def keys(self, numbers: tuple[int, ...]) -> list[Key]:
        """The tasks with their seeds."""
        if self.suite in PRACTICAL:
            tasks = tasks_of(self.suite, list(range(1, MOST)), [], [1])
            chosen = [task for task in tasks if not self.problems or task.problem in self.problems]
            return [(task, seed) for seed in numbers for task in chosen]
        return [(task, 0) for task in tasks_of(self.suite, list(range(1, 25)), list(self.dimensions), list(numbers))]


QUICK = ("cmaes", "de", "pair", "quasi_newton")
CLOSE = ("gradients_soon", "lq_cmaes", "quadratic")
GAUSSIAN = ("model_gradients", "gradients_model")
MIXED = ("model_populations", "cmaes", "de", "genetic", "annealing", "tpe")
# of the practical problems, two are left out: one takes half a minute to open, one has 25 columns like no other
REAL = (
    "pendulum",
    "wind_farm",
    "pharmacokinetics",
    "spectrum",
    "epidemic",
    "gaussian_process",
    "coating",
    "svm",
    "backtest_two",
    "backtest_four",
    "token_economy",
)
OTHER = ("elastic_net", "logistic", "neighbours", "tree", "lzma", "inventory", "staffing")

COURSES = (
    Course("bbob", (2, 5, 10), 100, ("gradients", *QUICK), (1,), (4,)),
    Course("bbob", (2, 5), 100, CLOSE, (1,), (4,)),
    Course("bbob", (2, 5), 20, GAUSSIAN, (1,), (4,)),
    Course("practical", (), 50, ("gradients", *QUICK, *CLOSE), (0,), (3,), REAL),
    Course("practical", (), 20, GAUSSIAN, (0,), (3,), REAL),
    Course("practical", (), 20, MIXED, (0,), (3,), OTHER),
    Course("bbob-mixint", (5,), 20, MIXED, (1,), (4,)),
    Course("conditional", (), 20, MIXED, (0,), ()),
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
