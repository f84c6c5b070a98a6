"""What a suggestion costs: the solver's own CPU milliseconds per evaluation around the n-th, from traces of `overhead`.

The objective is a valley that costs nothing; figures are medians over the seeds that come so far. A solver that is out
of time has figures only for what it did in it.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np

from .running import folder
from .sections import Section

COUNTS = (50, 200, 500, 1000)


def cost_at(trace: np.ndarray, count: int) -> float:
    """Mean milliseconds per evaluation over the tenth around the count-th; nan where the trace does not go so far.

    trace (n, 3): every evaluation with the solver's seconds up to it.
    """
    low, high = count - max(count // 20, 5), count + max(count // 20, 5)
    if len(trace) < high:
        return float("nan")
    return float(1e3 * (trace[high - 1, 2] - trace[low - 1, 2]) / (high - low))


def _trace(path: Path) -> np.ndarray:
    with np.load(path) as data:
        return np.asarray(data["trace"])


def overhead_table(section: Section, tag: str) -> list[str]:
    """Lines of the table, the cheapest at n = 200 and the first dimension first; none where there are no traces."""
    found: dict[str, dict[tuple[int, int], float]] = {}
    for solver, (task, _) in product(section.solvers, section.keys):
        paths = [folder(solver, tag, section.budget) / f"{task.key}_s{seed}.npz" for seed in section.seeds]
        traces = [_trace(path) for path in paths if path.exists()]
        for n in COUNTS if traces else ():
            costs = [cost for trace in traces if not np.isnan(cost := cost_at(trace, n))]
            found.setdefault(solver, {})[task.dimension, n] = float(np.median(costs)) if costs else float("nan")
    if not found:
        return []
    columns = [(d, n) for d in section.dimensions for n in COUNTS]
    lines = ["| ms per suggestion | " + " | ".join(f"d={d} n={n}" for d, n in columns) + " |"]
    lines.append("| --- |" + " ---: |" * len(columns))

    def place(solver: str) -> tuple[float, float]:
        costs = [found[solver].get((section.dimensions[0], n), np.nan) for n in (200, 50)]
        return tuple(cost if np.isfinite(cost) else 1e9 for cost in costs)  # type: ignore[return-value]

    for solver in sorted(found, key=place):
        cells = [found[solver].get(column, np.nan) for column in columns]
        name = f"**{solver}**" if solver.startswith("tw:") else solver
        lines.append(f"| {name} | " + " | ".join("-" if np.isnan(cell) else f"{cell:.3g}" for cell in cells) + " |")
    return lines
