"""How well strategies keep workers busy, and what that brings: COCO's functions in simulated time.

`python -m benchmarks.quality.workers [--workers 1,8,32] [--solvers tw:auto,...] [--dims 2,5,10] [--budget 50]`

Each evaluation takes a random time (log-normal, mean 1, standard deviation of its logarithm .3); whenever a worker is
free the strategy is asked for a point, and every answer is told as it comes, as the loop does it. Nothing is slept
through. Scores are the areas of `score`: over evaluations, and over time, where one unit is what all workers together
can evaluate in the mean time of one evaluation (so that both are equal where nobody ever waits).
"""

from __future__ import annotations

import argparse
import heapq
import sys

import numpy as np

from .score import area
from .tasks import Task, Watched, open_task

SPREAD = 0.3


def follow(task: Watched, solver: str, workers: int, seed: int) -> tuple[np.ndarray, float]:
    """((k, 3) evaluations, time in evaluations of all workers, best gap; the mean number of evaluations under way)."""
    from thalweg.core.batch import Answers, Status
    from thalweg.core.problem import Problem
    from thalweg.core.space import Space

    from .solvers import _strategy

    strategy = _strategy(solver.removeprefix("tw:"))
    if solver == "tw:auto":
        strategy.overhead = None  # a simulated evaluation takes as long as any thinking
    space = Space([(float(low), float(high)) for low, high in zip(task.lower, task.upper, strict=True)])
    strategy.start(Problem(space), np.random.SeedSequence(seed), task.budget)
    rng = np.random.default_rng(seed + 99)
    out: list[tuple[float, int, np.ndarray]] = []
    now = busy = 0.0
    asked, best, trace = 0, np.inf, []
    while True:
        while len(out) < workers and asked < task.budget:
            given = strategy.ask(min(workers - len(out), task.budget - asked))
            if not len(given):
                break
            for ticket, point in zip(given.tickets.tolist(), given.points, strict=True):
                lasts = float(rng.lognormal(-(SPREAD**2) / 2, SPREAD))
                heapq.heappush(out, (now + lasts, ticket, point))
                busy += lasts
                asked += 1
        if not out:
            return np.array(trace), busy / now
        now, ticket, point = heapq.heappop(out)
        value = task(task.lower + point * (task.upper - task.lower))
        best = min(best, value - task.optimum)
        trace.append((len(trace) + 1, now * workers, best))
        done = np.array([Status.DONE], dtype=np.int8)
        strategy.tell(Answers(np.array([ticket]), point[None], np.array([[value]]), done, seconds=np.ones(1)))


def main() -> None:
    """Print a table: solvers and workers in rows."""
    from .__main__ import numbers

    parser = argparse.ArgumentParser(prog="benchmarks.quality.workers", description=__doc__.splitlines()[0])
    parser.add_argument("--solvers", default="tw:auto,tw:quadratic,tw:lq_cmaes,tw:cmaes,tw:tpe")
    parser.add_argument("--workers", default="1,8,32")
    parser.add_argument("--dims", default="2,5,10")
    parser.add_argument("--functions", default="1-24")
    parser.add_argument("--instances", default="1-2")
    parser.add_argument("--budget", type=int, default=50, help="evaluations per dimension")
    options = parser.parse_args()
    print("| solver | workers | columns | under way | area over evaluations | area over time |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for solver in options.solvers.split(","):
        for workers in numbers(options.workers):
            for d in numbers(options.dims):
                rows = []
                for number in numbers(options.functions):
                    for instance in numbers(options.instances):
                        task = open_task(Task("bbob", f"f{number:02d}", d, instance), options.budget * d)
                        trace, under_way = follow(task, solver, workers, 1000 * instance)
                        areas = [area(trace[:, [column, 2]], d, options.budget * d) for column in (0, 1)]
                        rows.append((under_way, *areas))
                means = np.mean(rows, axis=0)
                print(f"| {solver} | {workers} | {d} | {means[0]:.1f} | {means[1]:.4f} | {means[2]:.4f} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
