"""Several objectives: hypervolume after so many evaluations, side by side with the rivals. From the repository's root:

    python -m benchmarks.quality.multi_objective run --solvers tw:nsga2,pymoo_nsga2 --budget 100 --seeds 0
    python -m benchmarks.quality.multi_objective score --solvers tw:nsga2,pymoo_nsga2 --budget 100 --at 10,30,100

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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .multi_problems import MARGIN, PROBLEMS, Several, open_several
from .tasks import Spent

TRACES = Path(os.environ.get("THALWEG_TRACES", Path(__file__).resolve().parent.parent / "traces")) / "multi"


# --- solvers ------------------------------------------------------------------------------------------------------


def _thalweg(text: str, problem: Several, seed: int) -> None:
    """The named strategy, one evaluation after the other, through the public `minimize`."""
    import thalweg as tw

    from .solvers import _strategy

    names = [f"x{i}" for i in range(len(problem.lower))]
    space = {
        name: tw.Integer(int(low), int(high)) if whole else tw.Float(float(low), float(high))
        for name, low, high, whole in zip(names, problem.lower, problem.upper, problem.integers, strict=True)
    }

    def objective(p: Any) -> tuple[float, ...]:
        return tuple(map(float, problem(np.array([p[name] for name in names], dtype=float))))

    tw.minimize(
        objective, space, objectives=problem.objectives, strategy=_strategy(text), max_evals=problem.budget, seed=seed
    )


def _random(problem: Several, seed: int) -> None:
    rng = np.random.default_rng(seed)
    while True:
        problem(problem.lower + rng.random(len(problem.lower)) * (problem.upper - problem.lower))


def _pymoo(problem: Several, seed: int, make: Callable[[int], Any]) -> None:
    """pymoo's algorithm with its own defaults; integer columns are rounded in the problem."""
    from pymoo.core.problem import ElementwiseProblem  # type: ignore[import-not-found]
    from pymoo.optimize import minimize  # type: ignore[import-not-found]

    class Wrapped(ElementwiseProblem):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(n_var=len(problem.lower), n_obj=problem.objectives, xl=problem.lower, xu=problem.upper)

        def _evaluate(self, x: Any, out: Any, *_: Any, **__: Any) -> None:
            out["F"] = problem(x)

    minimize(Wrapped(), make(problem.objectives), ("n_gen", 10**6), seed=seed)


def _directions(m: int, most: int) -> Any:
    """Das-Dennis directions of pymoo, as many as fit into `most`."""
    from pymoo.util.ref_dirs import get_reference_directions  # type: ignore[import-not-found]

    parts = 1
    while len(get_reference_directions("das-dennis", m, n_partitions=parts + 1)) <= most:
        parts += 1
    return get_reference_directions("das-dennis", m, n_partitions=parts)


def _population(problem: Several) -> int:
    """A rival's population for the budget: its default of 100 would be 5 to 10 generations here."""
    return min(max(problem.budget // 20, 20), 100)


def _pymoo_nsga2(problem: Several, seed: int) -> None:
    from pymoo.algorithms.moo.nsga2 import NSGA2  # type: ignore[import-not-found]

    _pymoo(problem, seed, lambda m: NSGA2(pop_size=_population(problem)))


def _pymoo_nsga3(problem: Several, seed: int) -> None:
    from pymoo.algorithms.moo.nsga3 import NSGA3  # type: ignore[import-not-found]

    _pymoo(problem, seed, lambda m: NSGA3(ref_dirs=_directions(m, _population(problem))))


def _pymoo_moead(problem: Several, seed: int) -> None:
    from pymoo.algorithms.moo.moead import MOEAD  # type: ignore[import-not-found]

    _pymoo(problem, seed, lambda m: MOEAD(ref_dirs=_directions(m, _population(problem)), n_neighbors=10))


def _optuna(problem: Several, sampler: Any) -> None:
    import optuna  # type: ignore[import-not-found]

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["minimize"] * problem.objectives, sampler=sampler)
    while True:
        trial = study.ask()
        x = [
            trial.suggest_int(f"x{i}", int(a), int(b)) if whole else trial.suggest_float(f"x{i}", a, b)
            for i, (a, b, whole) in enumerate(zip(problem.lower, problem.upper, problem.integers, strict=True))
        ]
        study.tell(trial, problem(x).tolist())


def _optuna_nsga2(problem: Several, seed: int) -> None:
    import optuna

    _optuna(problem, optuna.samplers.NSGAIISampler(seed=seed, population_size=_population(problem)))


def _optuna_tpe(problem: Several, seed: int) -> None:
    import optuna

    _optuna(problem, optuna.samplers.TPESampler(seed=seed, multivariate=True))


def _optuna_gp(problem: Several, seed: int) -> None:
    """LogEHVI, as Optuna has it since version 4.5."""
    import optuna

    _optuna(problem, optuna.samplers.GPSampler(seed=seed, deterministic_objective=True))


def _botorch(problem: Several, seed: int) -> None:
    """qLogNEHVI after 2 (d + 1) Sobol points, one at a time, as BoTorch's tutorial has it."""
    import torch  # type: ignore[import-not-found]
    from botorch.acquisition.multi_objective.logei import (  # type: ignore[import-not-found]
        qLogNoisyExpectedHypervolumeImprovement,
    )
    from botorch.fit import fit_gpytorch_mll  # type: ignore[import-not-found]
    from botorch.models import ModelListGP, SingleTaskGP  # type: ignore[import-not-found]
    from botorch.models.transforms.outcome import Standardize  # type: ignore[import-not-found]
    from botorch.optim import optimize_acqf  # type: ignore[import-not-found]
    from botorch.utils.sampling import draw_sobol_samples  # type: ignore[import-not-found]
    from gpytorch.mlls import SumMarginalLogLikelihood  # type: ignore[import-not-found]

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    d, m = len(problem.lower), problem.objectives
    box = torch.stack([torch.zeros(d), torch.ones(d)]).double()
    reference = torch.full((m,), -MARGIN).double()

    def evaluate(points: Any) -> Any:
        rows = problem.lower + points.numpy() * (problem.upper - problem.lower)
        return torch.tensor(np.array([-problem(row) for row in rows]))

    x = draw_sobol_samples(box, n=2 * (d + 1), q=1, seed=seed).squeeze(1)
    y = evaluate(x)
    while True:
        model = ModelListGP(*[SingleTaskGP(x, y[:, [j]], outcome_transform=Standardize(1)) for j in range(m)])
        fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
        gain = qLogNoisyExpectedHypervolumeImprovement(
            model=model, ref_point=reference.tolist(), X_baseline=x, prune_baseline=True
        )
        point, _ = optimize_acqf(gain, box, q=1, num_restarts=4, raw_samples=128, options={"maxiter": 100})
        x, y = torch.cat([x, point]), torch.cat([y, evaluate(point)])


RIVALS: dict[str, Callable[[Several, int], None]] = {
    "random": _random,
    "pymoo_nsga2": _pymoo_nsga2,
    "pymoo_nsga3": _pymoo_nsga3,
    "pymoo_moead": _pymoo_moead,
    "optuna_nsga2": _optuna_nsga2,
    "optuna_tpe": _optuna_tpe,
    "optuna_gp": _optuna_gp,
    "botorch": _botorch,
}


# --- run ------------------------------------------------------------------------------------------------------------


def trace_of(solver: str, tag: str, budget: int, problem: str, seed: int) -> Path:
    """Where a run's values lie."""
    return TRACES / f"{solver.replace('/', '_')}@{tag}" / f"b{budget}" / f"{problem}_s{seed}.npz"


def run_one(solver: str, tag: str, budget: int, name: str, seed: int, fresh: bool) -> None:
    """One run, kept."""
    path = trace_of(solver, tag, budget, name, seed)
    if path.exists() and not fresh:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    problem = open_several(name, budget)
    error = ""
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if solver.startswith("tw:"):
                _thalweg(solver[3:], problem, seed)
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


def volumes(values: np.ndarray, counts: list[int]) -> list[float]:
    """The volume below MARGIN of the first so many rows of values (n, m), for each count."""
    from thalweg.numerics.hypervolume import hypervolume

    return [hypervolume(values[:count], np.full(values.shape[1], MARGIN)) for count in counts]


def best_volume(name: str) -> float:
    """Of the whole front: in closed form, or of everything that any kept trace found (thinned to 400 rows)."""
    from thalweg.numerics.dominance import front

    known = PROBLEMS[name]().best
    if known is not None:
        return known
    found = [np.load(path)["values"] for path in TRACES.glob(f"*/*/{name}_s*.npz")]
    rows = np.concatenate([item[(item < MARGIN).all(axis=1)] for item in found])
    rows = rows[front(rows)]
    if rows.shape[1] > 3 and len(rows) > 400:
        rows = rows[np.random.default_rng(0).choice(len(rows), 400, replace=False)]
    return volumes(rows, [len(rows)])[0]


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
    parser.add_argument("what", choices=("run", "score"))
    parser.add_argument("--solvers", required=True, help="tw:STRATEGY?option=value, " + ", ".join(RIVALS))
    parser.add_argument("--problems", default="all")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--budget", type=int, default=100, help="evaluations per dimension")
    parser.add_argument("--at", default="", help="score: budgets per dimension")
    parser.add_argument("--tag", default="now")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--reach", action="store_true", help="score: how soon the first had what the others end with")
    args = parser.parse_args()
    if args.what == "score":
        score(args)
        return
    for name in _names(args.problems):
        for solver in args.solvers.split(","):
            for seed in _numbers(args.seeds):
                run_one(solver, args.tag, args.budget, name, seed, args.fresh)


if __name__ == "__main__":
    main()
