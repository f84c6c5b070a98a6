"""Rivals' adapters. Each imports its package when it is used, so that any environment can run those it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .practical.registry import SLACK
from .practical.variables import Pick, Some, optuna_params
from .solvers import rival
from .tasks import Watched


def _random_start(problem: Watched, rng: np.random.Generator) -> Any:
    return problem.lower + rng.random(len(problem.lower)) * (problem.upper - problem.lower)


def _both_starts(name: str) -> Any:
    """Put a local method into the table twice: from the centre of the box, and (NAME_random) from anywhere."""

    def keep(solver: Any) -> Any:
        rival(name)(lambda problem, seed: solver(problem, seed, (problem.lower + problem.upper) / 2))
        rival(f"{name}_random")(
            lambda problem, seed: solver(problem, seed, _random_start(problem, np.random.default_rng([seed, 1])))
        )
        return solver

    return keep


@rival("random")
def _random(problem: Watched, seed: int) -> None:
    rng = np.random.default_rng(seed)
    while True:
        problem(_random_start(problem, rng))


@_both_starts("nlopt_bobyqa")
def _bobyqa(problem: Watched, seed: int, start: Any) -> None:
    """From a first point, then from random ones until the budget is spent."""
    import nlopt  # type: ignore[import-not-found]

    rng = np.random.default_rng(seed)
    while True:
        search = nlopt.opt(nlopt.LN_BOBYQA, len(start))
        search.set_lower_bounds(problem.lower)
        search.set_upper_bounds(problem.upper)
        search.set_min_objective(lambda x, grad: problem(x))
        search.set_initial_step(0.2 * (problem.upper - problem.lower))
        search.set_xtol_rel(1e-9)
        search.set_ftol_abs(1e-10)
        try:
            search.optimize(start)
        except (nlopt.RoundoffLimited, RuntimeError, ValueError):
            pass
        start = _random_start(problem, rng)


def _constraints(problem: Watched) -> tuple[Any, list[Any]]:
    """(objective, constraints) for methods that know measured constraints; one evaluation gives both."""
    made = getattr(problem, "made", None)
    if made is None or not made.limits:
        return problem, []
    from scipy.optimize import NonlinearConstraint

    known: dict[bytes, tuple[float, list[float]]] = {}

    def both(x: Any) -> tuple[float, list[float]]:
        x = np.minimum(np.maximum(np.asarray(x, dtype=float), problem.lower), problem.upper)
        key = x.tobytes()
        if key not in known:
            known.clear()
            known[key] = problem.judge(made.box.params(np.where(problem.integers, np.round(x), x)))
        return known[key]

    return lambda x: both(x)[0], [NonlinearConstraint(lambda x: both(x)[1], -np.inf, 0.0)]


@_both_starts("scipy_cobyqa")
def _cobyqa(problem: Watched, seed: int, start: Any) -> None:
    """From the centre, then from random points; measured constraints as its own."""
    from scipy.optimize import Bounds, minimize

    rng = np.random.default_rng(seed)
    radius = 0.2 * float(np.min(problem.upper - problem.lower))
    value, constraints = _constraints(problem)
    while True:
        minimize(
            value,
            start,
            method="COBYQA",
            bounds=Bounds(problem.lower, problem.upper),
            constraints=constraints,
            options={"initial_tr_radius": radius, "final_tr_radius": 1e-9 * radius, "maxfev": 10**6},
        )
        start = _random_start(problem, rng)


@rival("scipy_shgo")
def _shgo(problem: Watched, seed: int) -> None:  # it has no random numbers
    """Sobol' sampling with local searches; it ends by itself."""
    from scipy.optimize import shgo

    box = list(zip(problem.lower, problem.upper, strict=True))
    shgo(problem, box, n=64, iters=100, sampling_method="sobol", options={"maxfev": problem.budget})


@_both_starts("scipy_slsqp")
def _slsqp(problem: Watched, seed: int, start: Any) -> None:
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    box = list(zip(problem.lower, problem.upper, strict=True))
    while True:
        minimize(problem, start, method="SLSQP", bounds=box, options={"maxiter": 10**6, "ftol": 1e-12})
        start = _random_start(problem, rng)


@_both_starts("scipy_nm")
def _nelder_mead(problem: Watched, seed: int, start: Any) -> None:
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    d = len(start)
    while True:
        simplex = np.vstack([start, start + 0.2 * np.diag(problem.upper - problem.lower)])
        simplex = np.where(simplex > problem.upper, 2 * start - simplex, simplex)
        minimize(
            problem,
            start,
            method="Nelder-Mead",
            bounds=list(zip(problem.lower, problem.upper, strict=True)),
            options={
                "initial_simplex": simplex[: d + 1],
                "xatol": 1e-9,
                "fatol": 1e-10,
                "maxfev": 10**6,
                "maxiter": 10**6,
                "adaptive": True,
            },
        )
        start = _random_start(problem, rng)


@rival("scipy_da")
def _dual_annealing(problem: Watched, seed: int) -> None:
    from scipy.optimize import dual_annealing

    box = list(zip(problem.lower, problem.upper, strict=True))
    dual_annealing(problem, box, maxfun=problem.budget, rng=seed, maxiter=10**6)


@rival("scipy_de")
def _differential_evolution(problem: Watched, seed: int) -> None:
    from scipy.optimize import differential_evolution

    box = list(zip(problem.lower, problem.upper, strict=True))
    differential_evolution(problem, box, maxiter=10**6, rng=seed, tol=0, integrality=problem.integers, polish=False)


@rival("scipy_direct")
def _direct(problem: Watched, seed: int) -> None:
    from scipy.optimize import direct

    box = list(zip(problem.lower, problem.upper, strict=True))
    direct(problem, box, maxfun=problem.budget, maxiter=10**6, vol_tol=0, len_tol=0)


@rival("cma_bipop")
def _bipop(problem: Watched, seed: int) -> None:
    import cma  # type: ignore[import-not-found]

    low, width = problem.lower, problem.upper - problem.lower
    rng = np.random.default_rng(seed)
    options = {"bounds": [0, 1], "verbose": -9, "seed": seed + 1, "maxfevals": problem.budget}
    cma.fmin2(
        lambda u: problem(low + np.asarray(u) * width),
        lambda: rng.random(len(low)),
        0.25,
        options,
        restarts=20,
        bipop=True,
    )


@rival("cma_lq")
def _lq(problem: Watched, seed: int) -> None:
    """pycma's surrogate-assisted CMA-ES, from the centre, then from random points."""
    import cma

    low, width = problem.lower, problem.upper - problem.lower
    rng = np.random.default_rng(seed)
    start = np.full(len(low), 0.5)
    while True:
        options = {"bounds": [0, 1], "verbose": -9, "seed": int(rng.integers(1, 2**31)), "maxfevals": problem.budget}
        cma.fmin_lq_surr2(lambda u: problem(low + np.asarray(u) * width), start, 0.25, options)
        start = rng.random(len(low))


@rival("cmaes_catcmawm")
def _catcma(problem: Watched, seed: int) -> None:
    """CatCMA with margin; integer ranges wider than 1,000 as reals, which it cannot list."""
    from cmaes import CatCMAwM  # type: ignore[import-not-found]

    wide = problem.upper - problem.lower > 1000
    real, whole = ~problem.integers | wide, problem.integers & ~wide
    x_space = np.stack([problem.lower[real], problem.upper[real]], axis=1) if real.any() else None
    z_space = (
        [np.arange(a, b + 1) for a, b in zip(problem.lower[whole], problem.upper[whole], strict=True)]
        if whole.any()
        else None
    )
    run = 0
    population = None
    while True:
        kwargs: dict[str, Any] = {} if population is None else {"population_size": population}
        search = CatCMAwM(x_space=x_space, z_space=z_space, seed=seed + run, **kwargs)
        while not search.should_stop():
            told = []
            for _ in range(search.population_size):
                solution = search.ask()
                x = np.empty(len(problem.lower))
                if real.any():
                    x[real] = solution.x
                if whole.any():
                    x[whole] = solution.z
                told.append((solution, problem(x)))
            search.tell(told)
        population = search.population_size * 2
        run += 1


def _optuna(problem: Watched, sampler: Any, later: Sequence[tuple[int, Any]] = ()) -> None:
    """Ask and tell, with the problem's own parameters where it has them. later: (trials, sampler that follows then)."""
    import optuna  # type: ignore[import-not-found]

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=sampler)
    made = getattr(problem, "made", None)
    while True:
        for trials, follower in later:
            if problem.count == trials:
                study.sampler = follower
        trial = study.ask()
        if made is None:
            x = [
                trial.suggest_int(f"x{i}", int(a), int(b)) if whole else trial.suggest_float(f"x{i}", a, b)
                for i, (a, b, whole) in enumerate(zip(problem.lower, problem.upper, problem.integers, strict=True))
            ]
            value = problem(x)
        else:
            value, violations = problem.judge(optuna_params(trial, made.variables))
            trial.set_user_attr("violations", violations)
        study.tell(trial, value)


def _limits(problem: Watched) -> dict[str, Any]:
    """The keyword by which Optuna's samplers are told of measured constraints."""
    made = getattr(problem, "made", None)
    if made is None or not made.limits:
        return {}
    return {"constraints_func": lambda trial: [item - SLACK for item in trial.user_attrs["violations"]]}


@rival("optuna_tpe")
def _tpe(problem: Watched, seed: int) -> None:
    import optuna

    made = getattr(problem, "made", None)
    grouped = made is not None and any(variable.when for variable in made.variables)
    _optuna(problem, optuna.samplers.TPESampler(seed=seed, multivariate=True, group=grouped, **_limits(problem)))


@rival("optuna_gp")
def _gp(problem: Watched, seed: int) -> None:
    import optuna

    clean = problem.clean is None
    _optuna(problem, optuna.samplers.GPSampler(seed=seed, deterministic_objective=clean, **_limits(problem)))


@rival("optuna_cma")
def _optuna_cma(problem: Watched, seed: int) -> None:
    import optuna

    _optuna(problem, optuna.samplers.CmaEsSampler(seed=seed))


@rival("optuna_auto")
def _optuna_auto(problem: Watched, seed: int) -> None:
    """OptunaHub's AutoSampler by its rule (the package itself is loaded from the network).

    Choices, conditions or constraints: multivariate TPE; else the Gaussian process for 250 trials, then CMA-ES.
    """
    import optuna

    made = getattr(problem, "made", None)
    if made is not None and (
        made.limits or any(variable.when or isinstance(variable, (Pick, Some)) for variable in made.variables)
    ):
        _tpe(problem, seed)
        return
    first = optuna.samplers.GPSampler(seed=seed, deterministic_objective=problem.clean is None)
    second = optuna.samplers.CmaEsSampler(seed=seed)
    _optuna(problem, first, [(250, second)])


@rival("fcmaes_bite")
def _bite(problem: Watched, seed: int) -> None:
    from fcmaes import bitecpp  # type: ignore[import-not-found]
    from scipy.optimize import Bounds

    rng = np.random.default_rng(seed)
    run = 0
    while True:
        # BaseException does not cross its C++ code, so the budget is kept outside and the excess ignored
        left = problem.budget - problem.count
        if left <= 0:
            return
        bitecpp.minimize(
            lambda x: problem(x) if problem.count < problem.budget else 1e99,
            Bounds(problem.lower, problem.upper),
            max_evaluations=left,
            rg=rng,
            runid=run,
        )
        run += 1


@rival("pybads")
def _bads(problem: Watched, seed: int) -> None:
    from pybads import BADS  # type: ignore[import-not-found]

    rng = np.random.default_rng(seed)
    start = (problem.lower + problem.upper) / 2
    while True:
        options = {
            "display": "off",
            "random_seed": seed,
            "max_fun_evals": problem.budget,
            "uncertainty_handling": False,
        }
        BADS(problem, start, problem.lower, problem.upper, options=options).optimize()
        start = _random_start(problem, rng)
