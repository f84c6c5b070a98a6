"""The solvers of several objectives: thalweg's through its public face, and the rivals, each with its own settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .multi_problems import MARGIN, Several


def thalweg_run(text: str, problem: Several, seed: int) -> None:
    """The named strategy, one evaluation after the other, through the public `minimize`.

    bayesian_pareto+reference: told the reference point, as BoTorch is.
    """
    import thalweg as tw
    from thalweg.parts.strategies.pareto_bayesian import ParetoBayesian

    from .solvers import _strategy

    told = ParetoBayesian(reference=[MARGIN] * problem.objectives)
    strategy = told if text == "bayesian_pareto+reference" else _strategy(text)
    names = [f"x{i}" for i in range(len(problem.lower))]
    space = {
        name: tw.Integer(int(low), int(high)) if whole else tw.Float(float(low), float(high))
        for name, low, high, whole in zip(names, problem.lower, problem.upper, problem.integers, strict=True)
    }

    def objective(p: Any) -> tuple[float, ...]:
        return tuple(map(float, problem(np.array([p[name] for name in names], dtype=float))))

    tw.minimize(objective, space, objectives=problem.objectives, strategy=strategy, max_evals=problem.budget, seed=seed)


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
    """qLogNEHVI as BoTorch's tutorial multi_objective_bo has it (2 (d + 1) Sobol points first, 10 restarts of 512 raw
    samples, 128 Monte Carlo samples, which is the default), one point at a time, with the true reference point.
    """
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
        settings = {"batch_limit": 5, "maxiter": 200}
        point, _ = optimize_acqf(gain, box, q=1, num_restarts=10, raw_samples=512, options=settings)
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
