"""Is random search better anywhere? Writes docs/benchmarks/versus-random.md.

    python -m benchmarks.quality run --suite practical --solvers tw:auto,random --budget 20 --seeds 0-19
    python -m benchmarks.quality versus-random --suite practical --solvers tw:auto,random --budget 20 --seeds 0-19

Final values over seeds, problem by problem: one-sided Mann-Whitney tests either way, corrected for the number of
problems by Holm's method.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .running import folder
from .statistics import against_random
from .tasks import Task

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "versus-random.md"
ALARM = 0.01


def finals(solver: str, tag: str, task: Task, budget: int, seeds: list[int]) -> np.ndarray:
    """(k,) the best values at the end of the runs that are there; inf where nothing feasible was found."""
    name, _, own = solver.partition("@")
    paths = [folder(name, own or tag, budget) / f"{task.key}_s{seed}.npz" for seed in seeds]
    traces = [np.load(path)["trace"] for path in paths if path.exists()]
    return np.array([trace[-1, 1] if len(trace) else np.inf for trace in traces])


def chance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """How often a run of ours ends lower than one of theirs; a tie counts half."""
    below = (ours[:, None] < theirs).mean() + 0.5 * (ours[:, None] == theirs).mean()
    return float(below)


def lines_of(ours: str, random: str, tag: str, tasks: list[Task], budget: int, seeds: list[int]) -> list[str]:
    """The table's lines, and a sentence of what it says.

    Raises:
        SystemExit: a problem without runs of both.
    """
    mine, others = ({t.key: finals(s, tag, t, budget, seeds) for t in tasks} for s in (ours, random))
    missing = [key for key in mine if not len(mine[key]) or not len(others[key])]
    if missing:
        raise SystemExit(f"no runs of {ours} and {random} (tag {tag!r}, budget {budget}) of {', '.join(missing)}")
    tests = against_random(mine, others)
    lines = [
        f"| problem | columns | runs | median, {ours} | median, random | ends lower than random | "
        "p, it is better | p, random is better |",
        "| --- |" + " ---: |" * 7,
    ]
    for task in sorted(tasks, key=lambda item: chance(mine[item.key], others[item.key])):
        a, b = mine[task.key], others[task.key]
        worse, better = tests[task.key]
        cells = [task.dimension, len(a), f"{np.median(a):.6g}", f"{np.median(b):.6g}", f"{chance(a, b):.0%}"]
        cells += [_p(better), _p(worse)]
        lines.append(f"| {task.problem} | " + " | ".join(map(str, cells)) + " |")
    lost = [t.problem for t in tasks if tests[t.key][0] < ALARM]
    won = sum(tests[t.key][1] < ALARM for t in tasks)
    least = min(tasks, key=lambda item: tests[item.key][0])
    text = (
        f"`{ours}` is significantly better on {won} of {len(tasks)} problems (p < {ALARM:g}, Holm), random search on "
        f"{len(lost) or 'none'}{': ' + ', '.join(lost) if lost else ''}. The smallest p for random search is "
        f"{_p(tests[least.key][0])} ({least.problem})."
    )
    return [text, "", *lines]


def _p(value: float) -> str:
    return f"{value:.2g}"


def write(solvers: list[str], tag: str, tasks: list[Task], budget: int, seeds: list[int], command: str) -> Path:
    """Write the page: `solvers` are ours and random search."""
    ours, random = solvers
    suite = tasks[0].suite
    head = [
        "# Is random search better anywhere?",
        "",
        f"The {len(tasks)} problems of the suite `{suite}`, {len(seeds)} seeds, {budget} evaluations for each column. "
        "Final values are compared by one-sided Mann-Whitney tests, corrected for the number of problems (Holm).",
        "",
    ]
    PAGE.write_text("\n".join([*head, *lines_of(ours, random, tag, tasks, budget, seeds), "", command]) + "\n")
    return PAGE
