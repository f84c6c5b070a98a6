"""Reference values of the practical problems, in references.json: what random search gets, and the best value known.

    python -m benchmarks.quality references --suite practical --instances 1-3

takes `top`, the median best of 10d random points, from 31 repetitions, and `best` from every trace of the problem that
is there, whoever made it. Nobody has proved the best values; a run that beats one has reached every target.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from .tasks import PRACTICAL, Task, open_task

PATH = Path(__file__).with_name("references.json")
REPETITIONS = 31
MOST = 1_000_000
"""Random points drawn at most, where few are feasible."""


class References:
    """The table: {"problem/instance": {"top", "best", "by"}}."""

    def __init__(self, path: Path = PATH) -> None:
        self.path = path
        self.table: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}

    def gaps(self, task: Task, trace: np.ndarray) -> np.ndarray:
        """The trace with values as shares of the way from `best` (0) to `top` (1); COCO's traces as they are."""
        if task.suite not in PRACTICAL:
            return trace
        row = self.table.get(f"{task.problem}/{task.instance}")
        if row is None:
            raise SystemExit(
                f"no reference values for {task.problem}/{task.instance}; make them with: python -m benchmarks.quality "
                f"references --suite {task.suite} --functions {task.problem} --instances {task.instance}"
            )
        out = np.array(trace, dtype=float)
        if len(out):
            out[:, 1] = (out[:, 1] - row["best"]) / (row["top"] - row["best"])
        return out

    def update(self, task: Task, traces: Path) -> str:
        """Bring one problem up to date; gives what is known now, in words."""
        row = self.table.setdefault(f"{task.problem}/{task.instance}", {})
        if "top" not in row:
            row["top"] = random_level(task)
            made = open_task(task, 1).made
            if made is not None and made.optimum is not None:
                row["best"], row["by"] = made.optimum, "enumeration"
        for path in sorted(traces.glob(f"*@*/b*/{task.key}_s*.npz")):
            with np.load(path) as data:
                trace = data["trace"]
            if len(trace) and trace[-1, 1] < row.get("best", np.inf):
                row["best"], row["by"] = float(trace[-1, 1]), path.parents[1].name.split("@")[0]
        return f"top {row['top']:.6g} best {row.get('best', np.nan):.6g} by {row.get('by', 'nobody')}"

    def save(self) -> None:
        """Write the file, one line a problem."""
        lines = [f"  {json.dumps(key)}: {json.dumps(self.table[key])}" for key in sorted(self.table)]
        self.path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def random_level(task: Task) -> float:
    """The median best of 10d random points; where most draws hold nothing feasible, the median feasible value."""
    count = 10 * task.dimension
    lows, values = [], []
    rng = np.random.default_rng(task.instance)
    problem = open_task(task, 10**9)
    for _ in range(REPETITIONS):
        problem.best, before = np.inf, len(problem.trace)
        for _ in range(count):
            problem(problem.lower + rng.random(len(problem.lower)) * (problem.upper - problem.lower))
        lows.append(problem.best)
        values += [row[1] for row in problem.trace[before:]]
    middle = float(np.median(lows))
    if np.isfinite(middle):
        return middle
    while len(values) < REPETITIONS and problem.count < MOST:
        problem.best = np.inf
        problem(problem.lower + rng.random(len(problem.lower)) * (problem.upper - problem.lower))
        values += [problem.best] if np.isfinite(problem.best) else []
    return float(np.median(values))
