"""auto and what is at hand elsewhere, on the functions that come to mind first. Writes docs/benchmarks/classical.md.

    python -m benchmarks.quality.classical

Offline, some seven minutes of one core. Rivals whose package is not installed are left out, and the page says so.
"""

from __future__ import annotations

import importlib.util
import os
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from .classical_problems import CLASSICAL, names_of, open_classical
from .report import versions
from .score import area, gap_at
from .solvers import solver_of
from .tasks import Spent

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "classical.md"
OURS = "tw:auto?overhead=None"
SOLVERS = {
    OURS: "numpy", "scipy_slsqp": "scipy", "scipy_nm": "scipy", "scipy_de": "scipy", "scipy_da": "scipy",
    "scipy_direct": "scipy", "nlopt_bobyqa": "nlopt", "cma_bipop": "cma", "optuna_tpe": "optuna",
    "optuna_cma": "optuna",
}  # fmt: skip
"""Solvers, and the package that each needs."""
SLOW = {"optuna_tpe": 5}
"""Those that take milliseconds for a point: up to so many columns only."""
BUDGET, AT = 100, (20, 50, 100)
TARGETS = np.logspace(0, -6, 51)
SOLVED = 1e-6

Problem = tuple[str, int, int]
"""A function's name, its columns, its instance."""


def groups() -> dict[str, list[Problem]]:
    """The problems by what the page says of them."""
    found = {
        f"{d} columns": [(name, d, i) for name in names_of(d) for i in instances]
        for d, instances in ((2, (1, 2)), (5, (1, 2)), (10, (1, 2)), (20, (1,)))
    }
    fixed = [(name, item.dimension) for name, item in CLASSICAL.items() if (item.dimension or 0) > 2]
    found["3, 4 and 6 columns"] = [(name, d, i) for name, d in fixed if d is not None for i in (1, 2)]
    found["5 columns, not moved"] = [(name, 5, 0) for name in names_of(5)]
    return found


def scale_of(problem: Problem) -> float:
    """What is left to gain after 10 random points for each column: the median of 31 such searches."""
    name, d, instance = problem
    watched = open_classical(name, d, instance, 1)
    rng = np.random.default_rng(5)
    points = watched.lower + rng.random((31, 10 * d, d)) * (watched.upper - watched.lower)
    return float(np.median([min(watched.evaluate(x) for x in search) for search in points])) - watched.optimum


def trace_of(solver: str, problem: Problem, budget: int = BUDGET) -> np.ndarray:
    """(k, 2) evaluations and gaps, in shares of what random search leaves."""
    name, d, instance = problem
    watched = open_classical(name, d, instance, budget * d)
    try:
        solver_of(solver)(watched, 1000 * instance)
    except Spent:
        pass
    trace = np.array(watched.trace)[:, :2]
    trace[:, 1] = np.maximum(trace[:, 1], 0.0) / scale_of(problem)
    return trace


def present(solvers: Sequence[str]) -> tuple[list[str], list[str]]:
    """(Those whose package is installed, those that are left out)."""
    here = [name for name in solvers if importlib.util.find_spec(SOLVERS[name])]
    return here, [name for name in solvers if name not in here]


def table(title: str, problems: Sequence[Problem], traces: dict[tuple[str, Problem], np.ndarray]) -> list[str]:
    """The lines of a group: a solver a line, best first."""
    rows = []
    for solver in dict.fromkeys(solver for solver, problem in traces if problem in problems):
        own = [(traces[solver, problem], problem[1]) for problem in problems]
        areas = [float(np.mean([area(trace, d, at * d, TARGETS) for trace, d in own])) for at in AT]
        ends = np.array([gap_at(trace, BUDGET * d) for trace, d in own])
        solved = float(np.mean(ends <= SOLVED))
        rows.append((areas, solved, float(np.mean(np.log10(np.maximum(ends, 1e-10)))), solver))
    lines = [
        f"| {title} | " + " | ".join(f"AUC {at}d" for at in AT) + " | solved | mean log10 of the last gap |",
        "| --- |" + " ---: |" * (len(AT) + 2),
    ]
    for areas, solved, gap, solver in sorted(rows, key=lambda row: -row[0][-1]):
        name = f"**{solver}**" if solver == OURS else solver
        lines.append(f"| {name} | " + " | ".join(f"{item:.3f}" for item in areas) + f" | {solved:.0%} | {gap:.1f} |")
    return [*lines, ""]


def by_function(title: str, problems: Sequence[Problem], traces: dict[tuple[str, Problem], np.ndarray]) -> list[str]:
    """A function a line: the area of each solver, the largest in bold."""
    solvers = list(dict.fromkeys(solver for solver, problem in traces if problem in problems))
    lines = [f"| {title} | " + " | ".join(solvers) + " |", "| --- |" + " ---: |" * len(solvers)]
    for name in dict.fromkeys(problem[0] for problem in problems):
        own = [problem for problem in problems if problem[0] == name]
        values = [np.mean([area(traces[s, p], p[1], BUDGET * p[1], TARGETS) for p in own]) for s in solvers]
        best = max(values)
        cells = [f"**{value:.3f}**" if value == best else f"{value:.3f}" for value in values]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, ""]


HEAD = f"""# The functions that come to mind first

Rosenbrock's, Rastrigin's, Ackley's, Schwefel's and their like, in boxes of the usual width, at equal evaluations. Their
optimum is moved to anywhere between a tenth and nine tenths of each column, twice (with 20 columns once), as methods
that begin in the middle of the box, or try the same number in all columns, meet the usual one by chance (*not moved*).

- **AUC**: the share of {len(TARGETS)} targets reached, averaged over the logarithm of evaluations from d to the
  budget; targets are 1 to 1e-6 of what random search leaves after 10 evaluations for each column (median of 31).
- **solved**: ended at the last target. 20d is 20 evaluations for each column, read from the run of {BUDGET}d.
- `{OURS}` is `auto` with no limit on its thinking, as where evaluations take a second. Rivals are as on
  [the page of answers](answers.md): SciPy's SLSQP and Nelder-Mead (`nm`) begin in the middle and again at random,
  `da` is dual annealing; NLopt's BOBYQA likewise; pycma's BIPOP; Optuna's samplers.
"""


def page(
    wanted: dict[str, list[Problem]], solvers: Sequence[str] = tuple(SOLVERS), say: Callable[[str], None] = print
) -> str:
    """Run everything, and give the page."""
    began = time.process_time()
    here, missing = present(solvers)
    traces: dict[tuple[str, Problem], np.ndarray] = {}
    for title, problems in wanted.items():
        for solver in here:
            if max(problem[1] for problem in problems) <= SLOW.get(solver, 10**6):
                traces |= {(solver, problem): trace_of(solver, problem) for problem in problems}
        say(f"{title}: {time.process_time() - began:.0f} s")
    parts = [HEAD]
    for title, problems in wanted.items():
        parts += table(title, problems, traces)
    detailed = [title for title in ("5 columns", "10 columns") if title in wanted]
    for title in detailed:
        parts += [f"## Function by function, {title}, AUC {BUDGET}d", ""]
        parts += by_function(title, wanted[title], traces)
    parts += ["## How this was made, and what it does not say", ""]
    if missing:
        parts += [f"Left out, as their packages were not installed: {', '.join(missing)}.", ""]
    parts += [
        f"`python -m benchmarks.quality.classical`, {time.process_time() - began:.0f} s of one core; {versions()}.",
        "",
        "- One seed for each problem, and a handful of functions: differences of .02 mean nothing.",
        f"- {', '.join(SLOW)} was run up to {max(SLOW.values())} columns only: it takes milliseconds for each point.",
        "- These functions are odd: half of them are sums of functions of single columns, which `auto` sees and uses",
        "  ([decision 17](../decisions/0017-columns-one-by-one.md); its constants were chosen on some of them).",
        "  Problems from practice, and COCO's functions, are on [the page of answers](answers.md).",
        "- Nobody finds Easom's needle, a hole of a thousandth of the box, but by luck.",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    warnings.simplefilter("ignore")
    PAGE.write_text(page(groups()), encoding="utf-8")
    print(PAGE)
