"""Traces read back, and the scores of whole classes of runs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .references import References
from .running import folder
from .score import SHARES, TARGETS, area, area_in_time, gap_at, reached
from .tasks import PRACTICAL, Task

Key = tuple[Task, int]


@dataclass(frozen=True)
class Run:
    """One run read back. trace (k, 2 or 3): evaluations, gap (practical: share), the solver's CPU seconds so far."""

    trace: np.ndarray
    count: int
    seconds: float
    error: str


def load(solver: str, budget: int, keys: list[Key], references: References, tag: str = "now") -> dict[Key, Run]:
    """The runs that are there; solver may be NAME@TAG."""
    name, _, own = solver.partition("@")
    home = folder(name, own or tag, budget)
    out = {}
    for task, seed in keys:
        path = home / f"{task.key}_s{seed}.npz"
        if path.exists():
            with np.load(path) as data:
                trace = references.gaps(task, data["trace"])
                out[task, seed] = Run(trace, int(data["count"]), float(data["seconds"]), str(data["error"]))
    return out


@dataclass
class Class:
    """Runs of several solvers on the same tasks and seeds; rivals are those that are not thalweg's (`tw:`)."""

    suite: str
    budget: int
    runs: dict[str, dict[Key, Run]]
    keys: list[Key] = field(init=False)

    def __post_init__(self) -> None:
        first = next(iter(self.runs.values()), {})
        self.keys = [key for key in first if all(key in runs for runs in self.runs.values())]

    @property
    def rivals(self) -> list[str]:
        """The solvers that are not thalweg's, random search aside."""
        return [solver for solver in self.runs if not solver.startswith("tw:") and not solver.startswith("random")]

    @property
    def ours(self) -> list[str]:
        """thalweg's strategies."""
        return [solver for solver in self.runs if solver.startswith("tw:")]

    @property
    def targets(self) -> np.ndarray:
        """The gaps to be reached."""
        return SHARES if self.suite in PRACTICAL else TARGETS

    @property
    def groups(self) -> np.ndarray:
        """The problem's number of every run, for the bootstrap."""
        names = sorted({(task.problem, task.dimension) for task, _ in self.keys})
        return np.array([names.index((task.problem, task.dimension)) for task, _ in self.keys])

    def areas(self, solver: str, at: int) -> np.ndarray:
        """AUC of every run at `at` evaluations per dimension."""
        runs = self.runs[solver]
        return np.array([area(runs[k].trace, k[0].dimension, at * k[0].dimension, self.targets) for k in self.keys])

    def fractions(self, solver: str, at: int) -> np.ndarray:
        """The share of targets reached at the end of `at` evaluations per dimension."""
        runs = self.runs[solver]
        return np.array([reached(runs[k].trace, at * k[0].dimension, self.targets) for k in self.keys])

    def in_time(self, solver: str, at: int, cost_s: float) -> np.ndarray:
        """AUC over time, if an evaluation took cost_s: the solver's own CPU time counts too."""
        runs = self.runs[solver]
        return np.array(
            [area_in_time(runs[k].trace, k[0].dimension, at * k[0].dimension, cost_s, self.targets) for k in self.keys]
        )

    def relative(self, at: int) -> dict[str, np.ndarray]:
        """Relative AUC: 51 targets from random search's gap at d evaluations to the best gap of any rival at the end.

        Fairer at small budgets than absolute precisions, which reward easy functions. Needs `random` among the runs.
        """
        random = next((solver for solver in self.runs if solver.startswith("random")), None)
        if random is None or not self.rivals:
            return {}
        out: dict[str, list[float]] = {solver: [] for solver in self.runs}
        for key in self.keys:
            d = key[0].dimension
            start = gap_at(self.runs[random][key].trace, d)
            end = max(min(gap_at(self.runs[rival][key].trace, at * d) for rival in self.rivals), 1e-8)
            if not np.isfinite(start):
                start = 1.0 if self.suite in PRACTICAL else 1e2
            targets = np.geomspace(max(start, 2 * end), end, 51)
            for solver, runs in self.runs.items():
                out[solver].append(area(runs[key].trace, d, at * d, targets))
        return {solver: np.array(values) for solver, values in out.items()}

    def milliseconds(self, solver: str) -> float:
        """The solver's own CPU milliseconds per evaluation."""
        runs = [self.runs[solver][key] for key in self.keys]
        return 1e3 * sum(run.seconds for run in runs) / max(sum(run.count for run in runs), 1)

    def errors(self, solver: str) -> list[str]:
        """What went wrong, a line for each run."""
        return [
            f"{task.key} s{seed}: {self.runs[solver][task, seed].error}"
            for task, seed in self.keys
            if self.runs[solver][task, seed].error
        ]
