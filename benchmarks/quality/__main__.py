"""Run and score. From the repository's root:

    python -m benchmarks.quality run --solvers tw:auto,tw:bayesian --dims 5 --instances 1 --budget 20 --jobs 1
    python -m benchmarks.quality score --dims 5 --instances 1 --at 10,20 --solvers tw:auto,nlopt_bobyqa

budget is per dimension. Traces are kept in benchmarks/traces/SOLVER@TAG/ and are not run twice unless `--fresh`.
"""

from __future__ import annotations

import argparse
import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import multiprocessing
import time
import warnings
from pathlib import Path

import numpy as np

from .score import area, gap_at, reached
from .solvers import solver_of
from .tasks import Spent, Task, open_task, tasks_of

TRACES = Path(os.environ.get("THALWEG_TRACES", Path(__file__).resolve().parent.parent / "traces"))


def folder(solver: str, tag: str, budget: int) -> Path:
    """Where a solver's traces lie. A run depends on its budget, so the budget is part of the name."""
    return TRACES / f"{solver.replace('/', '_')}@{tag}" / f"b{budget}"


def run_one(job: tuple[str, str, Task, int, int, bool]) -> str:
    """Run one solver on one task with one seed, and keep its trace."""
    solver, tag, task, multiplier, seed, fresh = job
    path = folder(solver, tag, multiplier) / f"{task.key}_s{seed}.npz"
    if path.exists() and not fresh:
        return ""
    path.parent.mkdir(parents=True, exist_ok=True)
    problem = open_task(task, multiplier * task.dimension)
    error = ""
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            solver_of(solver)(problem, 1000 * task.instance + seed)
        except Spent:
            pass
        except Exception as problem_found:  # noqa: BLE001 (a solver that dies is a result)
            error = f"{type(problem_found).__name__}: {problem_found}"
    spent = time.process_time() - started - problem.inside
    np.savez_compressed(
        path, trace=np.array(problem.trace or np.empty((0, 2))), count=problem.count, seconds=spent, error=error
    )
    return f"{solver} {task.key} s{seed}: {error}" if error else ""


def numbers(text: str) -> list[int]:
    """"1-3,7" -> [1, 2, 3, 7]."""
    out: list[int] = []
    for part in text.split(","):
        low, _, high = part.partition("-")
        out += range(int(low), int(high or low) + 1)
    return out


def run(args: argparse.Namespace) -> None:
    """Run what is missing."""
    jobs = [
        (solver, args.tag, task, args.budget, seed, args.fresh)
        for solver in args.solvers.split(",")
        for task in tasks_of(args.suite, numbers(args.functions), numbers(args.dims), numbers(args.instances))
        for seed in numbers(args.seeds)
    ]
    if args.jobs == 1:
        said = map(run_one, jobs)
    else:
        said = multiprocessing.get_context("spawn").Pool(args.jobs).imap_unordered(run_one, jobs)
    for line in said:
        if line:
            print(line, flush=True)


def score(args: argparse.Namespace) -> None:
    """A table: mean AUC and fraction of targets at several budgets, over the tasks that every solver has."""
    solvers = args.solvers.split(",")
    tasks = tasks_of(args.suite, numbers(args.functions), numbers(args.dims), numbers(args.instances))
    keys = [(task, seed) for task in tasks for seed in numbers(args.seeds)]
    found: dict[str, dict[tuple[Task, int], tuple[np.ndarray, float]]] = {}
    for solver in solvers:
        name, _, tag = solver.partition("@")
        found[solver] = {}
        home = folder(name, tag or args.tag, args.budget)
        for task, seed in keys:
            path = home / f"{task.key}_s{seed}.npz"
            if path.exists():
                data = np.load(path)
                found[solver][task, seed] = (data["trace"], float(data["seconds"]) / max(int(data["count"]), 1))
    common = [key for key in keys if all(key in found[solver] for solver in solvers)]
    ats = numbers(args.at) if args.at else [args.budget]
    print(f"{len(common)} of {len(keys)} runs")
    print(f"{'':34s}" + "".join(f"  AUC{at:>4d}d  @{at:>4d}d" for at in ats) + "  ms/eval")
    for solver in solvers:
        runs = [(key[0].dimension, *found[solver][key]) for key in common]
        cells = [
            f"   {np.mean([area(t, d, at * d) for d, t, _ in runs]):.4f}  {np.mean([reached(t, at * d) for d, t, _ in runs]):.3f}"
            for at in ats
        ]
        print(f"{solver:34s}" + " ".join(cells) + f"  {1e3 * np.mean([s for *_, s in runs]):.3g}")
    if args.per:
        for task in tasks:
            cells = []
            for solver in solvers:
                gaps = [
                    np.log10(max(gap_at(found[solver][task, s][0], ats[-1] * task.dimension), 1e-9))
                    for s in numbers(args.seeds)
                    if (task, s) in found[solver]
                ]
                cells.append(f"{np.mean(gaps):7.2f}" if gaps else "      -")
            print(f"{task.key:28s} " + " ".join(cells))


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(prog="benchmarks.quality")
    parser.add_argument("what", choices=("run", "score"))
    parser.add_argument("--solvers", required=True)
    parser.add_argument("--suite", default="bbob")
    parser.add_argument("--functions", default="1-24")
    parser.add_argument("--dims", default="5")
    parser.add_argument("--instances", default="1")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--budget", type=int, default=20, help="evaluations per dimension")
    parser.add_argument("--at", default="", help="score: budgets per dimension, such as 5,10,20")
    parser.add_argument("--tag", default="now", help="version of the solver's traces")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--per", action="store_true", help="score: log10 gap of every problem too")
    args = parser.parse_args()
    {"run": run, "score": score}[args.what](args)


if __name__ == "__main__":
    main()
