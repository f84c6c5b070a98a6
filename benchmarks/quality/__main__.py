"""Run and score. From the repository's root:

    python -m benchmarks.quality run --solvers tw:auto,tw:bayesian --dims 5 --instances 1 --budget 20 --jobs 1
    python -m benchmarks.quality score --dims 5 --instances 1 --at 10,20 --solvers tw:auto,nlopt_bobyqa
    python -m benchmarks.quality references --suite practical --instances 1      (see `references`)
    python -m benchmarks.quality report --run                                    (see `report`, `sections`)
    python -m benchmarks.quality versus-random --suite practical --solvers tw:auto,random --seeds 0-19   (see it)
    python -m benchmarks.quality learn                                           (see `learning`)

budget is per dimension. Traces are kept in benchmarks/traces/SOLVER@TAG/ and are not run twice unless `--fresh`.
Suites: bbob, bbob-mixint (COCO's), practical, conditional, constrained, combinatorial (see `practical`). Functions are
numbers (practical problems are counted in their order) or, for the practical suites, names.
"""

from __future__ import annotations

import argparse

import numpy as np

from .references import References
from .running import TRACES, Job, folder, run_all, run_one
from .score import SHARES, TARGETS, area, gap_at, reached
from .solvers import group_of
from .tasks import PRACTICAL, Task, tasks_of


def numbers(text: str) -> list[int]:
    """ "1-3,7" -> [1, 2, 3, 7]."""
    out: list[int] = []
    for part in text.split(","):
        low, _, high = part.partition("-")
        out += range(int(low), int(high or low) + 1)
    return out


def chosen(args: argparse.Namespace) -> list[Task]:
    """The tasks that the command line names."""
    if args.suite not in PRACTICAL:
        problems = numbers(args.functions or "1-24")
    else:
        from .practical import names_of

        names = names_of(args.suite)
        if not args.functions:
            problems = list(range(1, len(names) + 1))
        elif args.functions.replace(",", "").replace("-", "").isdigit():
            problems = numbers(args.functions)
        else:
            unknown = set(args.functions.split(",")) - set(names)
            if unknown:
                raise SystemExit(f"{args.suite} has no {', '.join(sorted(unknown))}; it has {', '.join(names)}")
            problems = [names.index(name) + 1 for name in args.functions.split(",")]
    return tasks_of(args.suite, problems, numbers(args.dims), numbers(args.instances))


def run(args: argparse.Namespace) -> None:
    """Run what is missing."""
    jobs = [
        Job(solver, args.tag, task, args.budget, seed, args.limit)
        for solver in args.solvers.split(",")
        for task in chosen(args)
        for seed in numbers(args.seeds)
    ]
    jobs = [job for job in jobs if args.fresh or not job.path.exists()]
    if args.jobs == 1 and not args.isolate and all(group_of(job.solver) == "classic" for job in jobs):
        for job in jobs:
            if said := run_one(job):
                print(said, flush=True)
    else:
        run_all(jobs, args.jobs, args.memory)


def score(args: argparse.Namespace) -> None:
    """A table: mean AUC and fraction of targets at several budgets, over the tasks that every solver has."""
    solvers = args.solvers.split(",")
    tasks = chosen(args)
    references = References()
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
                found[solver][task, seed] = (
                    references.gaps(task, data["trace"]),
                    float(data["seconds"]) / max(int(data["count"]), 1),
                )
    common = [key for key in keys if all(key in found[solver] for solver in solvers)]
    targets = SHARES if args.suite in PRACTICAL else TARGETS
    ats = numbers(args.at) if args.at else [args.budget]
    print(f"{len(common)} of {len(keys)} runs")
    print(f"{'':34s}" + "".join(f"  AUC{at:>4d}d  @{at:>4d}d" for at in ats) + "  ms/eval")
    for solver in solvers:
        runs = [(key[0].dimension, *found[solver][key]) for key in common]
        cells = []
        for at in ats:
            areas = [area(trace, d, at * d, targets) for d, trace, _ in runs]
            parts = [reached(trace, at * d, targets) for d, trace, _ in runs]
            cells.append(f"   {np.mean(areas):.4f}  {np.mean(parts):.3f}")
        print(f"{solver:34s}" + " ".join(cells) + f"  {1e3 * np.mean([s for *_, s in runs]):.3g}")
    if args.per:
        for task in tasks:
            cells = []
            for solver in solvers:
                # practical problems: of the gap's share of what random search leaves
                gaps = [
                    np.log10(max(gap_at(found[solver][task, s][0], ats[-1] * task.dimension), 1e-9))
                    for s in numbers(args.seeds)
                    if (task, s) in found[solver]
                ]
                cells.append(f"{np.mean(gaps):7.2f}" if gaps else "      -")
            print(f"{task.key:28s} " + " ".join(cells))


def references(args: argparse.Namespace) -> None:
    """Bring practical problems' reference values up to date with every trace that is there."""
    found = References()
    for task in chosen(args):
        print(task.key, found.update(task, TRACES), flush=True)
        found.save()


def report(args: argparse.Namespace) -> None:
    """Write docs/benchmarks/answers.md anew."""
    from .report import write
    from .sections import TAG, jobs

    if args.run:
        run_all([job for job in jobs(TAG) if not job.path.exists()], args.jobs, args.memory)
    print(write(TAG, "python -m benchmarks.quality report --run"))


def learn(args: argparse.Namespace) -> None:
    """Write the table by which `auto` chooses, and its page."""
    from .learning import learn as write

    print("\n".join(map(str, write(args.run, args.scores))))


def versus_random(args: argparse.Namespace) -> None:
    """Write docs/benchmarks/versus-random.md anew."""
    from .report import versions
    from .versus_random import write

    solvers = args.solvers.split(",")
    if len(solvers) != 2:
        raise SystemExit(f"--solvers: two are expected, ours and random search, got {args.solvers!r}")
    words = (
        f"--suite {args.suite} --budget {args.budget} --seeds {args.seeds} --solvers {args.solvers} --tag {args.tag}"
    )
    command = f"Made with `python -m benchmarks.quality run {words}`, then the same with `versus-random`; {versions()}."
    print(write(solvers, args.tag, chosen(args), args.budget, numbers(args.seeds), command))


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(prog="benchmarks.quality")
    parser.add_argument("what", choices=("run", "score", "references", "report", "learn", "versus-random"))
    parser.add_argument("--solvers", default="")
    parser.add_argument("--suite", default="bbob")
    parser.add_argument("--functions", default="", help="numbers (1-24), or names of practical problems")
    parser.add_argument("--dims", default="5")
    parser.add_argument("--instances", default="1")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--budget", type=int, default=20, help="evaluations per dimension")
    parser.add_argument("--at", default="", help="score: budgets per dimension, such as 5,10,20")
    parser.add_argument("--tag", default="now", help="version of the solver's traces")
    parser.add_argument("--limit", type=float, default=600, help="run: CPU seconds that one run may take")
    parser.add_argument("--memory", type=float, default=4, help="run: gigabytes of address space for one process")
    parser.add_argument("--jobs", type=int, default=1, help="run: processes at a time")
    parser.add_argument("--isolate", action="store_true", help="run: in a process of its own even with --jobs 1")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--per", action="store_true", help="score: log10 gap of every problem too")
    parser.add_argument("--run", action="store_true", help="report, learn: first run what is missing")
    parser.add_argument("--scores", action="store_true", help="learn: from the scores that are kept, without traces")
    args = parser.parse_args()
    doings = {"run": run, "score": score, "references": references, "report": report}
    doings["versus-random"] = versus_random
    (doings | {"learn": learn})[args.what](args)


if __name__ == "__main__":
    main()
