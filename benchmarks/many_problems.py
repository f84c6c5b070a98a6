"""Many small problems at once: `minimize_many` against a loop of SciPy's differential evolution over the problems.

    python benchmarks/many_problems.py [--write]

Three families of 256 problems with their own data each: two multipliers of a daily trading rule (piecewise linear,
many local optima), a decay curve of three parameters fitted to 40 noisy points, and a shifted Rastrigin function of two
columns. All get the same number of evaluations per problem; CPU time includes the objective, overhead is measured on
one that does next to nothing. SciPy runs on the first problems only (its cost per problem is the same); the error of a
problem is its value less the best that any run found for it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import _timing  # isort: skip  (before NumPy: it pins BLAS threads)
import numpy as np

import thalweg as tw

PROBLEMS = 256
SCIPY_PROBLEMS = 32
POPULATION = 16


@dataclass
class Family:
    """256 problems over one box: values(points (n, D), problem (n,)) -> (n,)."""

    name: str
    box: list[tuple[float, float]]
    values: Callable[[np.ndarray, np.ndarray], np.ndarray]
    evaluations: int


def trading(rng: np.random.Generator) -> Family:
    """Minus the profit of buying below the open and selling above it, in multiples of the average range."""
    days = 120
    close = rng.normal(0.05, 1.0, (PROBLEMS, days))
    high = np.maximum(close, 0) + rng.exponential(0.6, (PROBLEMS, days))
    low = np.minimum(close, 0) - rng.exponential(0.6, (PROBLEMS, days))

    def values(x: np.ndarray, which: np.ndarray) -> np.ndarray:
        entry, exit_ = -x[:, :1], x[:, 1:]
        bought, sold = low[which] <= entry, high[which] >= exit_
        profit = np.where(sold, exit_, close[which]) - entry - 0.02
        return -(bought * profit).sum(axis=1)

    return Family("trading rule, 2 multipliers", [(0.0, 3.0), (0.0, 3.0)], values, 400)


def curves(rng: np.random.Generator) -> Family:
    """Sum of squares of a exp(-t / b) + c against 40 noisy points."""
    t = np.linspace(0, 5, 40)
    true = rng.uniform([0.5, 0.3, -1.0], [3.0, 4.0, 1.0], (PROBLEMS, 3))
    seen = true[:, :1] * np.exp(-t / true[:, 1:2]) + true[:, 2:] + rng.normal(0, 0.05, (PROBLEMS, 40))

    def values(x: np.ndarray, which: np.ndarray) -> np.ndarray:
        fitted = x[:, :1] * np.exp(-t / x[:, 1:2]) + x[:, 2:]
        return ((fitted - seen[which]) ** 2).sum(axis=1)

    return Family("decay curve, 3 parameters", [(0.1, 5.0), (0.1, 8.0), (-2.0, 2.0)], values, 600)


def rastrigin(rng: np.random.Generator) -> Family:
    """Rastrigin's function, shifted."""
    shift = rng.uniform(-3, 3, (PROBLEMS, 2))

    def values(x: np.ndarray, which: np.ndarray) -> np.ndarray:
        z = x - shift[which]
        return (z * z + 10 * (1 - np.cos(2 * np.pi * z))).sum(axis=1)

    return Family("Rastrigin, 2 columns", [(-5.12, 5.12), (-5.12, 5.12)], values, 1000)


def ours(family: Family, strategy: str, population: int | None = None) -> tuple[np.ndarray, float]:
    """(values (B,), CPU microseconds per evaluation)."""
    before = time.process_time()
    found = tw.minimize_many(
        family.values, family.box, problems=PROBLEMS, max_evals=family.evaluations, strategy=strategy, seed=0,
        population=population,
    )  # fmt: skip
    return found.values, 1e6 * (time.process_time() - before) / int(found.evaluations.sum())


class Spent(Exception):
    """The evaluations of a problem are used up."""


def scipy_loop(family: Family) -> tuple[np.ndarray, float]:
    """(values of the first problems, CPU microseconds per evaluation): one run per problem, its own defaults."""
    from scipy.optimize import differential_evolution

    best = np.full(SCIPY_PROBLEMS, np.inf)
    count, before = 0, time.process_time()
    for problem in range(SCIPY_PROBLEMS):
        which, used = np.array([problem]), 0

        def objective(x: np.ndarray, which: np.ndarray = which, problem: int = problem) -> float:
            nonlocal used
            if used >= family.evaluations:
                raise Spent
            used += 1
            value = float(family.values(x[None], which)[0])
            best[problem] = min(best[problem], value)
            return value

        try:
            differential_evolution(objective, family.box, rng=problem, tol=0, maxiter=10**6, polish=False)
        except (Spent, RuntimeError):
            pass
        count += used
    return best, 1e6 * (time.process_time() - before) / count


def median_error(values: np.ndarray, best: np.ndarray) -> str:
    return f"{np.median(np.maximum(values[:SCIPY_PROBLEMS] - best, 1e-16)):.0e}"


def rows_of(family: Family, repetitions: int) -> list[list[str]]:
    runs: dict[str, Callable[[], tuple[np.ndarray, float]]] = {
        "thalweg de": lambda: ours(family, "de"),
        "thalweg cmaes": lambda: ours(family, "cmaes"),
        "thalweg quasi_newton": lambda: ours(family, "quasi_newton"),
        "SciPy DE, a loop": lambda: scipy_loop(family),
    }
    seen: dict[str, list[tuple[np.ndarray, float]]] = {name: [] for name in runs}
    for _ in range(repetitions):
        for name, call in runs.items():
            seen[name].append(call())
    best = np.min([found[0][0][:SCIPY_PROBLEMS] for found in seen.values()], axis=0)
    theirs = _timing.median([cost for _, cost in seen["SciPy DE, a loop"]])
    rows = []
    for name, found in seen.items():
        cost = _timing.median([cost for _, cost in found])
        rows.append(
            [
                f"{family.name}: {name}", str(family.evaluations), _timing.figure(cost),
                f"{theirs / cost:.0f}", median_error(found[0][0], best),
            ]
        )  # fmt: skip
    return rows


def overhead(repetitions: int) -> float:
    """Microseconds per evaluation of DE with 256 problems of 16 members on an objective that does next to nothing."""
    family = Family("", [(-1.0, 1.0)] * 2, lambda x, which: x[:, 0], 480)
    costs = [ours(family, "de", POPULATION)[1] for _ in range(repetitions)]
    return _timing.median(costs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/many-problems.md")
    given = parser.parse_args()
    body = []
    for make in (trading, curves, rastrigin):
        body += rows_of(make(np.random.default_rng(0)), given.repetitions)
    header = ["", "evaluations per problem", "us per evaluation", "times SciPy's speed", "median error"]
    bare = overhead(max(given.repetitions, 5))
    text = "\n".join(
        [
            f"# {PROBLEMS} small problems at once",
            "",
            f"`minimize_many` on {PROBLEMS} problems against one run of SciPy's differential evolution per problem ("
            f"its defaults, on {SCIPY_PROBLEMS} of the problems) at equal evaluations. Error: value less the best "
            f"that any run found, median over {SCIPY_PROBLEMS} problems. CPU time, medians of {given.repetitions} "
            "interleaved runs, the objective included.",
            "",
            _timing.table(header, body),
            "",
            f"Overhead of DE with {PROBLEMS} problems of {POPULATION} members on an objective that gives its first "
            f"column: {_timing.figure(bare)} us per evaluation (bar: 1).",
            "",
            f"Measured on {_timing.where('numpy', 'scipy')}. Reproduce with:",
            "",
            "```",
            "pip install -e . -r benchmarks/requirements.txt",
            f"python benchmarks/many_problems.py --repetitions {given.repetitions}",
            "```",
        ]
    )
    _timing.publish("many-problems.md", text, given.write)


if __name__ == "__main__":
    main()
