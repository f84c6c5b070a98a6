"""What the page of answers shows: classes of problems, with the solvers that are run on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .loading import Key
from .running import Job
from .tasks import PRACTICAL, tasks_of

TAG = "page"
FEW = (0, 1, 2)
"""Seeds of classes of a handful of problems: one run of each says little."""
MOST = 100
"""No suite has more problems."""


@dataclass(frozen=True)
class Section:
    """A class of problems: which tasks, which budget, which solvers, and what is said about it.

    ats: budgets of the tables' columns, in evaluations for each dimension like `budget`.
    instances: no constant was chosen by COCO's instances from 4 on.
    seeds: of each task.  functions: numbers of COCO's functions; none: all.  limit_s: CPU seconds for one run.
    """

    name: str
    suite: str
    dimensions: tuple[int, ...]
    budget: int
    ats: tuple[int, ...]
    words: str
    solvers: tuple[str, ...]
    instances: tuple[int, ...] = (1,)
    seeds: tuple[int, ...] = (0,)
    functions: tuple[int, ...] = ()
    limit_s: float = 600.0

    @property
    def keys(self) -> list[Key]:
        """The tasks with their seeds."""
        functions = list(self.functions or range(1, 25 if self.suite not in PRACTICAL else MOST))
        tasks = tasks_of(self.suite, functions, list(self.dimensions), list(self.instances))
        return [(task, seed) for task in tasks for seed in self.seeds]

    def jobs(self, tag: str) -> Iterator[Job]:
        """All of its runs."""
        for solver in self.solvers:
            for task, seed in self.keys:
                yield Job(solver, tag, task, self.budget, seed, self.limit_s)


_AUTO = ("tw:auto", "tw:auto?overhead=None")
_LOCAL = ("scipy_slsqp", "scipy_cobyqa", "nlopt_bobyqa", "scipy_nm")
_AGAIN = ("scipy_slsqp_random", "scipy_cobyqa_random", "nlopt_bobyqa_random", "scipy_nm_random")
_BBOB = ("tw:auto", "tw:quadratic", *_LOCAL, *_AGAIN, "scipy_da", "fcmaes_bite", "cma_bipop", "cma_lq")
_OURS = ("tw:tpe", "tw:cmaes", "tw:de", "tw:genetic", "tw:nelder_mead", "tw:annealing", "tw:random")
_TYPED = ("rustuna_tpe", "optuna_tpe", "cmaes_catcmawm", "random")
_BOXED = (*_TYPED, "fcmaes_bite", "scipy_nm", "nlopt_bobyqa", "scipy_cobyqa")
_MIXED = (*_AUTO, "tw:tpe", "tw:de", "tw:genetic", "tw:annealing")
_LONG = ("tw:auto", "scipy_slsqp", "nlopt_bobyqa", "scipy_nm", "scipy_da", "fcmaes_bite", "cma_bipop")
_FIRST = ("tw:auto", "tw:bayesian", "scipy_slsqp", "scipy_cobyqa", "nlopt_bobyqa", "pybads", "ng_ngopt", "random")
_WHOLE, _ALL = (10, 20, 50, 100), (5, 10, 20, 50, 100, 200, 500, 1000)

SECTIONS = (
    Section(
        "practical",
        "practical",
        (),
        100,
        _WHOLE,
        "Twenty problems a user would recognise; boxes for those that know boxes. `tw:auto` thinks no longer than "
        "these quick evaluations are worth; `tw:auto?overhead=None` shows it where evaluations take seconds.",
        (*_AUTO, "tw:quadratic", *_OURS, "nlopt_bobyqa", "optuna_tpe", "scipy_nm", "fcmaes_bite", "cmaes_catcmawm",
         "random"),
    ),
    Section(
        "conditional", "conditional", (), 100, _WHOLE, "Choices that bring their own parameters.",
        (*_MIXED, *_TYPED), seeds=FEW,
    ),
    Section(
        "constrained", "constrained", (), 100, _WHOLE, "Designs with measured constraints; only feasible points count.",
        (*_MIXED, *_BOXED), seeds=FEW,
    ),
    Section(
        "combinatorial", "combinatorial", (), 100, _WHOLE,
        "Orders and subsets; random keys and flags for those that know boxes.",
        (*_MIXED, *_BOXED), seeds=FEW,
    ),
    Section(
        "bbob", "bbob", (2, 5, 10), 100, _WHOLE, "COCO's 24 noiseless functions in 2, 5 and 10 dimensions.",
        _BBOB, (4, 5, 6),
    ),
    Section("bbob-2d", "bbob", (2,), 100, _WHOLE, "The same, 2 dimensions alone.", _BBOB, (4, 5, 6)),
    Section("bbob-5d", "bbob", (5,), 100, _WHOLE, "The same, 5 dimensions alone.", _BBOB, (4, 5, 6)),
    Section("bbob-10d", "bbob", (10,), 100, _WHOLE, "The same, 10 dimensions alone.", _BBOB, (4, 5, 6)),
    Section(
        "bbob-1000d", "bbob", (2, 5), 1000, _ALL,
        "COCO's functions for long in 2 and 5 dimensions: fifteen instances, so that intervals say something.",
        _LONG, tuple(range(4, 19)),
    ),
    Section(
        "bbob-mixint", "bbob-mixint", (5, 10), 30, (10, 20, 30), "COCO's 24 mixed-integer functions.",
        (*_AUTO, "cmaes_catcmawm", "optuna_tpe"), (4, 5, 6),
    ),
    Section(
        "bbob-mixint-200d", "bbob-mixint", (5,), 200, (50, 100, 200), "The same for longer, 5 dimensions.",
        (*_AUTO, "cmaes_catcmawm", "optuna_tpe"), (4, 5, 6),
    ),
    Section(
        "bbob-5d-20d", "bbob", (5,), 20, (5, 10, 20),
        "Few evaluations, 5 dimensions: runs of their own at 20d, with rivals too slow for more.",
        (*_FIRST, "optuna_gp"), (4,),
    ),
    Section(
        "bbob-5d-20d-four", "bbob", (5,), 20, (5, 10, 20),
        "Four of these functions (1, 7, 13, 19), with the slowest rivals.",
        (*_FIRST, "optuna_gp", "smac_hpo", "botorch", "hebo"), (4,), functions=(1, 7, 13, 19),
    ),
    Section(
        "practical-20d", "practical", (), 20, (5, 10, 20),
        "The practical problems in runs of their own at 20d, with rivals too slow for more.",
        ("tw:auto", "tw:bayesian", "nlopt_bobyqa", "ng_ngopt", "smac_hpo", "optuna_tpe", "scipy_nm", "cmaes_catcmawm",
         "fcmaes_bite", "random"),
    ),
    Section(
        "conditional-20d", "conditional", (), 20, (5, 10, 20),
        "The conditional problems at 20d, with rivals too slow for more.",
        (*_AUTO, "tw:tpe", "smac_hpo", *_TYPED), seeds=FEW,
    ),
)  # fmt: skip

THINKING = Section(
    "overhead", "overhead", (5, 10, 20), 1100, (), "A valley that costs nothing.",
    ("tw:auto", "tw:bayesian", "tw:quadratic", "tw:lq_cmaes", "tw:tpe", "tw:cmaes", "rustuna_tpe", "optuna_tpe",
     "ng_ngopt", "optuna_gp"),
    seeds=FEW, limit_s=30.0,
)  # fmt: skip
"""What a suggestion costs is read from these runs."""


def jobs(tag: str) -> list[Job]:
    """All runs of the page, each once: some classes are parts of others."""
    found = [job for section in (*SECTIONS, THINKING) for job in section.jobs(tag)]
    return list({job.path: job for job in found}.values())
