"""Several objectives: hypervolume after so many evaluations, side by side with the rivals. From the repository's root:

    python -m benchmarks.quality.multi_objective run --solvers tw:nsga2,pymoo_nsga2 --budget 100 --seeds 0
    python -m benchmarks.quality.multi_objective score --solvers tw:nsga2,pymoo_nsga2 --budget 100 --at 10,30,100
    python -m benchmarks.quality.multi_objective report --seeds 0,3    (the page; see `multi_page`)

budget is per dimension. Traces go where those of `benchmarks.quality` go and are not run twice unless `--fresh`.
Score: volume / best volume (known in closed form, or of everything any kept trace found), the log10 of what is missing,
and the evaluations in which the first solver had reached each other's final volume.
"""

# ruff: noqa: E402 (BLAS threads are set before NumPy is loaded)
from __future__ import annotations

import argparse
import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import time
import warnings

import numpy as np

from .multi_problems import PROBLEMS, open_several
from .multi_rivals import RIVALS, thalweg_run
from .multi_score import best_volume, trace_of, volumes
from .tasks import Spent

# --- run ------------------------------------------------------------------------------------------------------------


def run_one(solver: str, tag: str, budget: int, name: str, seed: int, fresh: bool, limit: float = np.inf) -> None:
    """One run, kept; limit: CPU seconds."""
    path = trace_of(solver, tag, budget, name, seed)
    if path.exists() and not fresh:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    problem = open_several(name, budget)
    error = ""
    started = time.process_time()
    problem.until = started + limit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if solver.startswith("tw:"):
                thalweg_run(solver[3:], problem, seed)
            else:
                RIVALS[solver](problem, seed)
        except Spent:
            pass
        except Exception as found:  # a solver that dies is a result
            error = f"{type(found).__name__}: {found}"
    spent = time.process_time() - started - problem.inside
    values = np.array(problem.values or np.empty((0, problem.objectives)))
    np.savez_compressed(path, values=values, seconds=spent, error=error)
    last = volumes(values, [len(values)])[0] if len(values) else 0.0
    print(f"{solver:28s} {name:6s} s{seed} volume {last:.4f} {1e3 * spent / max(len(values), 1):8.2f} ms/eval {error}",
          flush=True)  # fmt: skip


# --- score ----------------------------------------------------------------------------------------------------------


def _when(values: np.ndarray, wanted: float) -> int | None:
    """The evaluations after which the volume is `wanted`, by bisection; None: never."""
    low, high = 1, len(values)
    if not high or volumes(values, [high])[0] < wanted:
        return None
    while low < high:
        middle = (low + high) // 2
        if volumes(values, [middle])[0] >= wanted:
            high = middle
        else:
            low = middle + 1
    return low


def score(args: argparse.Namespace) -> None:
    """Tables: per problem the normalised volume of each solver, then means; see the module's text."""
    solvers, names, seeds = args.solvers.split(","), _names(args.problems), _numbers(args.seeds)
    ats = _numbers(args.at) if args.at else [args.budget]
    shares: dict[tuple[str, str], np.ndarray] = {}
    seconds: dict[str, list[float]] = {}
    for name in names:
        best, d = best_volume(name), len(PROBLEMS[name]().lower)
        for solver in solvers:
            label, _, tag = solver.partition("@")
            rows = []
            for seed in seeds:
                path = trace_of(label, tag or args.tag, args.budget, name, seed)
                if path.exists():
                    data = np.load(path)
                    rows.append(np.array(volumes(data["values"], [at * d for at in ats])) / best)
                    seconds.setdefault(solver, []).append(1e3 * float(data["seconds"]) / max(len(data["values"]), 1))
            if rows:
                shares[name, solver] = np.mean(rows, axis=0)
    for i, at in enumerate(ats):
        print(f"\nshare of the best volume at {at} d" + "".join(f"{solver[:21]:>22s}" for solver in solvers))
        common = [name for name in names if all((name, solver) in shares for solver in solvers)]
        for name in names:
            cells = [f"{shares[name, s][i]:22.4f}" if (name, s) in shares else " " * 21 + "-" for s in solvers]
            print(f"{name:31s}" + "".join(cells))
        print(
            f"{f'mean of {len(common)}':31s}"
            + "".join(f"{np.mean([shares[n, s][i] for n in common]):22.4f}" for s in solvers)
        )
        lacks = [np.mean([np.log10(max(1 - shares[n, s][i], 1e-5)) for n in common]) for s in solvers]
        print(f"{'mean log10 of what is missing':31s}" + "".join(f"{item:22.3f}" for item in lacks))
    print(f"\n{'ms per evaluation':31s}" + "".join(f"{np.mean(seconds.get(s, [np.nan])):22.2f}" for s in solvers))
    if args.reach:
        _reach(args, solvers, names, seeds)


def _reach(args: argparse.Namespace, solvers: list[str], names: list[str], seeds: list[int]) -> None:
    """In which share of its evaluations the first solver had each other's final volume (median over seeds)."""

    def runs(solver: str, name: str) -> list[np.ndarray]:
        label, _, tag = solver.partition("@")
        paths = [trace_of(label, tag or args.tag, args.budget, name, seed) for seed in seeds]
        return [np.load(path)["values"] for path in paths if path.exists()]

    print("\nshare of the evaluations in which the first had the other's final volume")
    for name in names:
        cells = []
        for solver in solvers[1:]:
            pairs = list(zip(runs(solvers[0], name), runs(solver, name), strict=False))
            found = [(_when(mine, volumes(theirs, [len(theirs)])[0]) or np.inf) / len(theirs) for mine, theirs in pairs]
            cells.append(f"{np.median(found):22.3f}" if found else " " * 21 + "-")
        print(f"{name:31s}" + "".join(cells))


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _names(text: str) -> list[str]:
    return list(PROBLEMS) if text == "all" else text.split(",")


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(prog="benchmarks.quality.multi_objective")
    parser.add_argument("what", choices=("run", "score", "report"))
    parser.add_argument("--solvers", default="", help="tw:STRATEGY?option=value, " + ", ".join(RIVALS))
    parser.add_argument("--problems", default="all")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--budget", type=int, default=100, help="evaluations per dimension")
    parser.add_argument("--at", default="", help="score: budgets per dimension")
    parser.add_argument("--tag", default="now")
    parser.add_argument("--limit", type=float, default=np.inf, help="run: CPU seconds that one run may take")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--reach", action="store_true", help="score: how soon the first had what the others end with")
    args = parser.parse_args()
    if args.what == "score":
        score(args)
        return
    if args.what == "report":
        from .multi_page import write

        print(write(_numbers(args.seeds), args.tag))
        return
    for name in _names(args.problems):
        for solver in args.solvers.split(","):
            for seed in _numbers(args.seeds):
                run_one(solver, args.tag, args.budget, name, seed, args.fresh, args.limit)


if __name__ == "__main__":
    main()
