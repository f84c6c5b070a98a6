"""Noise: bbob functions whose values carry normal noise, and how good the point is that a solver would hand over.

    python -m benchmarks.quality.noisy run --solvers tw:bayesian --functions 1-24 --instances 1
    python -m benchmarks.quality.noisy score --solvers tw:bayesian@now,optuna_gp@now --functions 1-24 --instances 1
    python -m benchmarks.quality.noisy page --solvers tw:bayesian@now,tw:cmaes@now,optuna_gp@now --instances 1

The standard deviation is a tenth of the interquartile range of 1,000 random points. Runs keep every point with its
observed and its true value, so recommendations can be compared afterwards. `score` gives, relative to the noise, the
geometric mean of the true gap of: "seen" - the lowest observed value (what a user of best_trial takes); "said" - what
the solver itself recommends, where it does; "model" - the point with the lowest posterior mean of one and the same
Gaussian process, fitted to the run's own values (the fair comparison of where solvers looked). `page` writes
docs/benchmarks/noise.md, with ratios to the last solver named (see `noisy_page`).
"""

# ruff: noqa: E402 (BLAS reads its number of threads when NumPy is imported)
from __future__ import annotations

import argparse
import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import tasks
from .tasks import Spent, Task, Watched

NOISE = 0.1
"""Of the interquartile range."""
TRACES = Path(os.environ.get("THALWEG_TRACES", Path(__file__).resolve().parent.parent / "traces"))


class Noisy:
    """A watched problem with noise: what solvers use of `Watched`, and books of every evaluation.

    trace: (evaluations so far, true gap of the point with the lowest observed value), whenever that point changes.
    recommended: the point a solver says to use, set by the solver.
    """

    def __init__(self, problem: Watched, seed: int) -> None:
        self.lower, self.upper, self.integers = problem.lower, problem.upper, problem.integers
        self.optimum, self.budget = problem.optimum, problem.budget
        self.clean: Callable[[Any], float] = problem.evaluate
        self._problem = problem  # it dies with its suite
        self._rng = np.random.default_rng([seed, 77])
        sample = np.random.default_rng(5).uniform(self.lower, self.upper, (1000, len(self.lower)))
        low, high = np.quantile([self.clean(x) for x in sample], [0.25, 0.75])
        self.sd = NOISE * float(high - low)
        self.count, self.inside = 0, 0.0
        self.best = np.inf
        self.trace: list[tuple[int, float]] = []
        self.points: list[np.ndarray] = []
        self.observed: list[float] = []
        self.true: list[float] = []
        self.recommended: np.ndarray | None = None
        self.claim: tuple[float, float, float] | None = None

    def __call__(self, x: Any) -> float:
        """The noisy value at x."""
        if self.count >= self.budget:
            raise Spent
        x = np.clip(np.asarray(x, dtype=float), self.lower, self.upper)
        before = time.process_time()
        true = float(self.clean(x))
        self.inside += time.process_time() - before
        value = true + self.sd * float(self._rng.standard_normal())
        self.count += 1
        self.points.append(x)
        self.observed.append(value)
        self.true.append(true - self.optimum)
        if value < self.best:
            self.best = value
            self.trace.append((self.count, true - self.optimum))
        return value

    def books(self) -> dict[str, Any]:
        """What is kept of a run."""
        said = np.nan if self.recommended is None else float(self.clean(self.recommended)) - self.optimum
        return {
            "points": np.array(self.points),
            "observed": np.array(self.observed),
            "true": np.array(self.true),
            "sd": self.sd,
            "said": said,
            "claim": np.array(self.claim or (np.nan,) * 3) - self.optimum,
        }


def incumbent_watched(problem: Watched, seed: int) -> Watched:
    """The problem with noise, as a suite of the harness ("bbob-noise10"): its trace holds, after every evaluation, the
    true gap of the point with the lowest observed value (it may rise).
    """
    noisy = Noisy(problem, seed)
    noisy.budget = sys.maxsize  # the harness counts
    problem.evaluate = noisy
    problem.clean = lambda x: noisy.trace[-1][1] + problem.optimum  # the incumbent's, not that of x
    problem.every = True
    return problem


def open_noisy(task: Task, budget: int, seed: int) -> Noisy:
    """The bbob problem of `task` with noise."""
    return Noisy(tasks.open_task(Task("bbob", task.problem, task.dimension, task.instance), budget), seed)


def _thalweg(text: str, problem: Noisy, seed: int) -> None:
    """`tw:NAME` with noisy=True; options after "!" are keywords of `minimize` (tw:cmaes!confirm=False)."""
    import ast

    import thalweg as tw

    from .solvers import _strategy, space_of

    name, _, said = text.partition("!")
    keywords = {
        key: ast.literal_eval(value) for key, _, value in (part.partition("=") for part in said.split("&") if part)
    }
    names = [f"x{i}" for i in range(len(problem.lower))]

    def point(params: Any) -> np.ndarray:
        return np.array([params[item] for item in names], dtype=float)

    result = tw.minimize(
        lambda params: problem(point(params)), space_of(problem), strategy=_strategy(name), max_evals=problem.budget,
        seed=seed, noisy=True, **keywords,
    )  # fmt: skip
    said_ = result.recommend()
    problem.recommended, problem.claim = point(said_.params), (said_.value, *said_.interval)


def place(traces: Path, solver: str, tag: str, budget: int, task: Task, seed: int) -> Path:
    """Where a run's books lie."""
    home = traces / f"{solver.replace('/', '_')}@{tag}" / f"noisy-b{budget}"
    return home / f"bbob-noise10_{task.problem}_d{task.dimension:02d}_i{task.instance:03d}_s{seed}.npz"


def run_one(solver: str, path: Path, task: Task, budget: int, seed: int) -> str:
    """Run one solver once and keep its books."""
    from .solvers import solver_of

    path.parent.mkdir(parents=True, exist_ok=True)
    problem = open_noisy(task, budget * task.dimension, 1000 * task.instance + seed)
    error, started = "", time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if solver.startswith("tw:"):
                _thalweg(solver[3:], problem, 1000 * task.instance + seed)
            else:
                solver_of(solver)(problem, 1000 * task.instance + seed)  # type: ignore[arg-type]
        except Spent:
            pass
        except Exception as found:  # a solver that dies is a result
            error = f"{type(found).__name__}: {found}"
    spent = time.process_time() - started - problem.inside
    np.savez_compressed(path, seconds=spent, error=error, trace=np.array(problem.trace), **problem.books())
    return f"{solver} {task.key} s{seed}: {error}" if error else ""


def by_model(points: np.ndarray, observed: np.ndarray) -> int:
    """The row with the lowest posterior mean of a Gaussian process with noise."""
    from thalweg.numerics import gaussian_process as gp

    low, high = -5.0, 5.0
    x, y = (points - low) / (high - low), gp.compress(observed)
    groups = np.arange(x.shape[1])
    prior = gp.Prior.usual(x.shape[1], noisy=True)
    theta = gp.fit(x, y, groups, prior, [prior.mean])
    return int(np.argmin(gp.Posterior.of(x, y, groups, theta).predict(x)[0]))


def split(solver: str, tag: str) -> tuple[str, str]:
    """("NAME", "TAG") of "NAME@TAG" or "NAME"."""
    name, _, own = solver.rpartition("@") if "@" in solver else (solver, "", tag)
    return name, own


def score(args: argparse.Namespace, found: list[tuple[Task, int]], traces: Path) -> None:
    """Geometric means of the true gaps in units of the noise, over the runs that every solver has."""
    solvers = args.solvers.split(",")

    def path_of(solver: str, task: Task, seed: int) -> Path:
        return place(traces, *split(solver, args.tag), args.budget, task, seed)

    common = [key for key in found if all(path_of(solver, *key).exists() for solver in solvers)]
    print(f"{len(common)} of {len(found)} runs; true gap / noise sd (geometric mean)")
    if not common:
        return
    print(f"{'':44s}    seen   model    said  best   in interval  ms/eval")
    for solver in solvers:
        rows = []
        for key in common:
            data = np.load(path_of(solver, *key))
            sd, true = float(data["sd"]), data["true"]
            seen = true[int(np.argmin(data["observed"]))]
            model = true[by_model(data["points"], data["observed"])]
            said, claim = float(data["said"]), data["claim"]
            covered = np.nan if np.isnan(said) else float(claim[1] <= said <= claim[2])
            rows.append(
                [seen / sd, model / sd, said / sd, true.min() / sd, covered, 1e3 * float(data["seconds"]) / len(true)]
            )
        table = np.array(rows)
        means = np.exp(np.log(np.maximum(table[:, :4], 1e-4)).mean(axis=0))
        print(f"{solver:44s} " + " ".join(f"{item:7.3f}" for item in means), end="")
        print(f"   {table[:, 4].mean():7.2f} {table[:, 5].mean():10.1f}")
        if args.per:
            for key, row in zip(common, table, strict=True):
                print(f"   {key[0].key} s{key[1]} " + " ".join(f"{item:7.3f}" for item in row[:4]))


def numbers(text: str) -> list[int]:
    """ "1-3,7" -> [1, 2, 3, 7]."""
    pairs = [part.partition("-") for part in text.split(",")]
    return [item for low, _, high in pairs for item in range(int(low), int(high or low) + 1)]


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(prog="benchmarks.quality.noisy", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("run", "score", "page"))
    parser.add_argument("--solvers", required=True)
    parser.add_argument("--functions", default="1-24")
    parser.add_argument("--dims", default="5")
    parser.add_argument("--instances", default="1")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--budget", type=int, default=20, help="evaluations per dimension")
    parser.add_argument("--tag", default="now")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--per", action="store_true", help="score: every run too")
    args = parser.parse_args()
    found = [
        (Task("bbob-noise10", f"f{function:02d}", dimension, instance), seed)
        for dimension in numbers(args.dims)
        for instance in numbers(args.instances)
        for function in numbers(args.functions)
        for seed in numbers(args.seeds)
    ]
    if args.what == "score":
        score(args, found, TRACES)
        return
    if args.what == "page":
        from .noisy_page import write

        print(write(args.solvers.split(","), args.tag, args.budget, found))
        return
    for solver in args.solvers.split(","):
        for task, seed in found:
            path = place(TRACES, solver, args.tag, args.budget, task, seed)
            if args.fresh or not path.exists():
                said = run_one(solver, path, task, args.budget, seed)
                if said:
                    print(said, flush=True)


if __name__ == "__main__":
    main()
