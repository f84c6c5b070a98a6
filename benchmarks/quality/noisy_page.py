"""Writes docs/benchmarks/noise.md: how good the points are that solvers hand over where values carry noise.

    python -m benchmarks.quality.noisy page --solvers tw:bayesian@T,tw:auto@T,optuna_gp@T --functions 1-24 --seeds 0-2

The last solver is the one that the others are compared with, in three ways, each with the same rule for both sides or
with what each gives its users:

  as shipped   ours: `result.recommend()`; theirs: the trial with the lowest value, which is their best_trial
  same model   both: the evaluated point with the lowest posterior mean of one Gaussian process (`noisy.by_model`)
  same advice  both: the points and values are added to a study of ours, which says what it recommends
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from .noisy import NOISE, TRACES, by_model, open_noisy, place, split
from .statistics import geometric_interval
from .tasks import Task

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "noise.md"
WAYS = ("as shipped", "same model", "same advice")
FLOOR = 1e-3
"""Of the noise: smaller gaps count as that."""
HEAD = """# Noise: how good is the point that is handed over

COCO's functions in {dimension} dimensions with normal noise of a tenth of the interquartile range (of 1,000 random
points), {evaluations} evaluations. The figures are the recommended point's true gap to the optimum in units of the
noise: geometric means over {runs} runs (instances {instances}, seeds {seeds} of {functions} functions); gaps under
{floor:g} count as that. Every solver saw the same noise for the same evaluation.

- **as shipped**: what a user gets: `result.recommend()` of thalweg, `study.best_trial` of the others
- **same model**: of each run's evaluated points the one with the lowest posterior mean of one Gaussian process
- **same advice**: each run's points and values added to a study of thalweg, and its `recommend()`

The first says whom to use, the other two who looked in better places.
"""


def advised(points: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """(d,) what thalweg recommends, given points (n, d) of [-5, 5]^d and their noisy values (n,)."""
    import thalweg as tw

    names = [f"x{i}" for i in range(points.shape[1])]
    study = tw.Study({name: tw.Float(-5.0, 5.0) for name in names}, noisy=True, strategy="random", seed=0)
    study.add([dict(zip(names, row, strict=True)) for row in points.tolist()], observed.tolist())
    found = study.recommend().params
    return np.array([found[name] for name in names])


def gaps(path: Path, task: Task, seed: int) -> list[float]:
    """The run's true gaps in units of the noise, in the order of `WAYS`, and the best of all its points."""
    data = np.load(path)
    sd, true, points, observed = float(data["sd"]), data["true"], data["points"], data["observed"]
    said = float(data["said"])
    problem = open_noisy(task, len(true), 1000 * task.instance + seed)
    advice = float(problem.clean(advised(points, observed))) - problem.optimum
    shipped = float(true[int(np.argmin(observed))]) if np.isnan(said) else said
    found = [shipped, float(true[by_model(points, observed)]), advice, float(true.min())]
    return [max(item / sd, FLOOR) for item in found]


def write(solvers: list[str], tag: str, budget: int, found: list[tuple[Task, int]]) -> Path:
    """Write the page; the last of `solvers` is the rival.

    Raises:
        SystemExit: no run that every solver has.
    """
    places = {solver: [place(TRACES, *split(solver, tag), budget, *key) for key in found] for solver in solvers}
    common = [row for row in range(len(found)) if all(paths[row].exists() for paths in places.values())]
    if not common:
        raise SystemExit(f"no run of all of {', '.join(solvers)} in {TRACES}")
    keys = [found[row] for row in common]
    logs = {
        solver: np.log([gaps(places[solver][row], *found[row]) for row in common]) for solver in solvers
    }  # (runs, ways + 1)
    functions = np.array([int(task.problem[1:]) for task, _ in keys])
    instances = np.array([task.instance for task, _ in keys])
    lines = [_head(keys, budget), *_overall(logs, functions, instances), "", *_each(logs, functions), "", _foot()]
    PAGE.write_text("\n".join(lines) + "\n")
    return PAGE


def _head(keys: list[tuple[Task, int]], budget: int) -> str:
    tasks = [task for task, _ in keys]

    def listed(items: list[int]) -> str:
        return ", ".join(map(str, sorted(set(items))))

    dimension = tasks[0].dimension
    return HEAD.format(
        dimension=dimension, evaluations=budget * dimension, runs=len(keys), floor=FLOOR,
        instances=listed([task.instance for task in tasks]), seeds=listed([seed for _, seed in keys]),
        functions=len({task.problem for task in tasks}),
    )  # fmt: skip


def _overall(logs: dict[str, np.ndarray], functions: np.ndarray, instances: np.ndarray) -> list[str]:
    """Lines: means and ratios to the last solver, with 95 % intervals over functions; of single instances too."""
    *ours, rival = logs
    lines = [
        "| true gap / noise | " + " | ".join(WAYS) + " | best evaluated |",
        "| --- |" + " ---: |" * (len(WAYS) + 1),
    ]
    for solver, table in logs.items():
        cells = [f"{item:.3f}" for item in np.exp(table.mean(axis=0))]
        lines.append(f"| {_titled(solver)} | " + " | ".join(cells) + " |")
    lines += ["", f"| ratio to {_titled(rival)} | " + " | ".join(WAYS) + " |", "| --- |" + " ---: |" * len(WAYS)]
    single = np.unique(instances).tolist()
    for solver in ours:
        for instance in [None, *single] if len(single) > 1 else [None]:
            rows = np.flatnonzero((instances == instance) | (instance is None))
            cells = []
            for way in range(len(WAYS)):
                apart = logs[solver][rows, way] - logs[rival][rows, way]
                ratio, low, high = geometric_interval(apart, functions[rows])
                cells.append(f"{ratio:.2f} ({low:.2f} to {high:.2f})")
            name = _titled(solver) if instance is None else f"instance {instance}, {len(rows)} runs"
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, "", "In brackets: 95 % intervals, bootstrapped over functions."]


def _each(logs: dict[str, np.ndarray], functions: np.ndarray) -> list[str]:
    """Lines: function by function, as shipped and by the same advice."""
    lines = [
        "| function | " + " | ".join(f"{_titled(solver)}: shipped | same advice" for solver in logs) + " |",
        "| --- |" + " ---: |" * (2 * len(logs)),
    ]
    for function in np.unique(functions).tolist():
        cells = []
        for table in logs.values():
            means = np.exp(table[functions == function].mean(axis=0))
            cells += [f"{means[0]:.3g}", f"{means[2]:.3g}"]
        lines.append(f"| f{function} | " + " | ".join(cells) + " |")
    return lines


def _titled(solver: str) -> str:
    name = split(solver, "")[0]
    return f"**{name}**" if name.startswith("tw:") else name


def _foot() -> str:
    from .report import versions

    return (
        f"The noise is {NOISE:g} of the interquartile range. Made with `python -m benchmarks.quality.noisy "
        f"{' '.join(sys.argv[1:])}`; {versions()}."
    )
