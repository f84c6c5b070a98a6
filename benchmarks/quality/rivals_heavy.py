"""Adapters of rivals with environments of their own: Nevergrad, rustuna, Ax, BoTorch, SMAC, HEBO."""

from __future__ import annotations

from typing import Any

import numpy as np

from .practical.registry import SLACK
from .practical.variables import Pick, Real, Variable, Whole
from .solvers import rival
from .tasks import Watched


def _variables(problem: Watched) -> list[Variable]:
    """The problem's own parameters, or the box's columns as such. Orders and subsets stay columns of the box."""
    made = getattr(problem, "made", None)
    if made is not None and all(isinstance(item, (Real, Whole, Pick)) for item in made.variables):
        return list(made.variables)
    return [
        Whole(name=f"x{i}", low=int(low), high=int(high)) if whole else Real(name=f"x{i}", low=low, high=high)
        for i, (low, high, whole) in enumerate(
            zip(problem.lower.tolist(), problem.upper.tolist(), problem.integers, strict=True)
        )
    ]


def _value(problem: Watched, params: dict[str, Any]) -> float:
    """The value of params by `_variables`' names; violations as a penalty."""
    made = getattr(problem, "made", None)
    if "x0" in params and (made is None or made.variables[0].name != "x0"):
        return problem(np.array([params[f"x{i}"] for i in range(len(problem.lower))], dtype=float))
    assert made is not None
    value, violations = problem.judge(params)
    return float(value + made.penalty * sum(max(item, 0.0) for item in violations))


def _nevergrad(problem: Watched, seed: int, name: str) -> None:
    """Conditional parameters are always suggested (Nevergrad's choices of dictionaries would be another space)."""
    import nevergrad as ng  # type: ignore[import-not-found]

    def parameter(variable: Variable) -> Any:
        match variable:
            case Real(log=True):
                return ng.p.Log(lower=variable.low, upper=variable.high)
            case Whole(log=True):
                return ng.p.Log(lower=variable.low, upper=variable.high).set_integer_casting()
            case Real() | Whole():
                plain = ng.p.Scalar(lower=variable.low, upper=variable.high)
                return plain.set_integer_casting() if isinstance(variable, Whole) else plain
            case Pick():
                kind = ng.p.TransitionChoice if variable.ordered else ng.p.Choice
                return kind(list(variable.options))
        raise TypeError(f"no parameter of Nevergrad is known for {variable!r}")

    space = ng.p.Dict(**{variable.name: parameter(variable) for variable in _variables(problem)})
    space.random_state.seed(seed)
    search = ng.optimizers.registry[name](parametrization=space, budget=problem.budget)
    while True:
        candidate = search.ask()
        search.tell(candidate, _value(problem, dict(candidate.value)))


@rival("ng_ngopt", group="nevergrad")
def _ngopt(problem: Watched, seed: int) -> None:
    _nevergrad(problem, seed, "NGOpt")


@rival("ng_1p1", group="nevergrad")
def _one_plus_one(problem: Watched, seed: int) -> None:
    _nevergrad(problem, seed, "OnePlusOne")


@rival("rustuna_tpe", group="rustuna")
def _rustuna(problem: Watched, seed: int) -> None:
    """Optuna's interface written anew in Rust; its TPE, with its own types and conditions."""
    import rustuna  # type: ignore[import-not-found]

    from .practical.variables import optuna_params

    study = rustuna.create_study(sampler=rustuna.samplers.TPESampler(seed=seed, multivariate=True))
    made = getattr(problem, "made", None)
    while True:
        trial = study.ask()
        if made is None:
            value = _value(problem, optuna_params(trial, _variables(problem)))
        else:
            value, violations = problem.judge(optuna_params(trial, made.variables))
            if made.limits:
                trial.set_constraints({f"limit{i}": item - SLACK for i, item in enumerate(violations)})
        study.tell(trial.number, value)


@rival("ax", group="torch")
def _ax(problem: Watched, seed: int) -> None:
    """Ax's client with its default generation strategy (Sobol, then BoTorch)."""
    import logging

    from ax.api.client import Client  # type: ignore[import-not-found]
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig  # type: ignore[import-not-found]

    logging.disable(logging.CRITICAL)

    def config(variable: Variable) -> Any:
        if isinstance(variable, Pick):
            return ChoiceParameterConfig(
                name=variable.name,
                values=[str(option) for option in variable.options],
                parameter_type="str",
                is_ordered=variable.ordered,
            )
        assert isinstance(variable, (Real, Whole))
        return RangeParameterConfig(
            name=variable.name,
            bounds=(variable.low, variable.high),
            parameter_type="int" if isinstance(variable, Whole) else "float",
            scaling="log" if variable.log else None,
        )

    variables = _variables(problem)
    client = Client(random_seed=seed)
    client.configure_experiment(parameters=[config(variable) for variable in variables])
    client.configure_optimization(objective="-value")
    while True:
        for index, given in client.get_next_trials(max_trials=1).items():
            params = dict(given)
            for variable in variables:
                if isinstance(variable, Pick):
                    params[variable.name] = variable.options[
                        [str(o) for o in variable.options].index(given[variable.name])
                    ]
            client.complete_trial(trial_index=index, raw_data={"value": (_value(problem, params), 0.0)})


@rival("botorch", group="torch")
def _botorch(problem: Watched, seed: int) -> None:
    """A single-task process and LogEI after 2 (d + 1) Sobol points; settings of BoTorch's own first example."""
    import torch  # type: ignore[import-not-found]
    from botorch.utils.sampling import draw_sobol_samples  # type: ignore[import-not-found]

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    d = len(problem.lower)
    box = torch.stack([torch.zeros(d), torch.ones(d)]).double()

    def evaluate(points: Any) -> Any:
        rows = problem.lower + points.numpy() * (problem.upper - problem.lower)
        return torch.tensor([[-problem(row)] for row in rows]).double()

    x = draw_sobol_samples(box, n=2 * (d + 1), q=1, seed=seed).squeeze(1)
    y = evaluate(x)
    while True:
        point = botorch_suggestion(x, y, box)
        x, y = torch.cat([x, point]), torch.cat([y, evaluate(point)])


def botorch_suggestion(x: Any, y: Any, box: Any) -> Any:
    """The next point (1, d) in the unit box; x (n, d), y (n, 1) to be maximised, box (2, d): doubles."""
    from botorch.acquisition import LogExpectedImprovement  # type: ignore[import-not-found]
    from botorch.fit import fit_gpytorch_mll  # type: ignore[import-not-found]
    from botorch.models import SingleTaskGP  # type: ignore[import-not-found]
    from botorch.models.transforms.outcome import Standardize  # type: ignore[import-not-found]
    from botorch.optim import optimize_acqf  # type: ignore[import-not-found]
    from gpytorch.mlls import ExactMarginalLogLikelihood  # type: ignore[import-not-found]

    model = SingleTaskGP(x, y, outcome_transform=Standardize(1))
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    gain = LogExpectedImprovement(model, best_f=y.max())
    return optimize_acqf(gain, bounds=box, q=1, num_restarts=5, raw_samples=20)[0]


@rival("smac_bb", group="smac")
def _smac_bb(problem: Watched, seed: int) -> None:
    """SMAC's black-box facade: a Gaussian process."""
    _smac(problem, seed, "BlackBoxFacade")


@rival("smac_hpo", group="smac")
def _smac_hpo(problem: Watched, seed: int) -> None:
    """SMAC's facade for tuning: a random forest."""
    _smac(problem, seed, "HyperparameterOptimizationFacade")


def _smac(problem: Watched, seed: int, facade: str) -> None:
    """Conditions as ConfigSpace has them."""
    import tempfile
    from pathlib import Path

    import ConfigSpace as cs  # type: ignore[import-not-found]
    import smac  # type: ignore[import-not-found]
    from smac.runhistory.dataclasses import TrialValue  # type: ignore[import-not-found]

    def parameter(variable: Variable) -> Any:
        if isinstance(variable, Pick):
            return cs.Categorical(variable.name, [str(o) for o in variable.options], ordered=variable.ordered)
        assert isinstance(variable, (Real, Whole))
        kind = cs.Integer if isinstance(variable, Whole) else cs.Float
        return kind(variable.name, (variable.low, variable.high), log=variable.log)

    variables = {variable.name: variable for variable in _variables(problem)}
    space = cs.ConfigurationSpace(seed=seed)
    space.add([parameter(variable) for variable in variables.values()])
    for variable in variables.values():
        if variable.when:
            parent, values = variable.when
            space.add(cs.InCondition(space[variable.name], space[parent], [str(value) for value in values]))
    with tempfile.TemporaryDirectory() as place:
        scenario = smac.Scenario(
            space, n_trials=problem.budget, seed=seed, output_directory=Path(place), deterministic=True
        )
        search = getattr(smac, facade)(scenario, lambda config, seed: 0.0, logging_level=50, overwrite=True)
        while True:
            info = search.ask()
            params = dict(info.config)
            for name, value in params.items():
                variable = variables[name]
                if isinstance(variable, Pick):
                    params[name] = variable.options[[str(o) for o in variable.options].index(value)]
                else:
                    params[name] = int(value) if isinstance(variable, Whole) else float(value)
            search.tell(info, TrialValue(cost=_value(problem, params)))


@rival("hebo", group="hebo")
def _hebo(problem: Watched, seed: int) -> None:
    """HEBO one suggestion at a time; conditional parameters are always suggested."""
    import torch
    from hebo.design_space.design_space import DesignSpace  # type: ignore[import-not-found]
    from hebo.optimizers.hebo import HEBO  # type: ignore[import-not-found]

    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(1)

    def config(variable: Variable) -> dict[str, Any]:
        if isinstance(variable, Pick):
            return {"name": variable.name, "type": "cat", "categories": list(range(len(variable.options)))}
        assert isinstance(variable, (Real, Whole))
        kinds = {(False, False): "num", (False, True): "pow", (True, False): "int", (True, True): "pow_int"}
        kind = kinds[isinstance(variable, Whole), variable.log]
        return {"name": variable.name, "type": kind, "lb": variable.low, "ub": variable.high}

    variables = _variables(problem)
    search = HEBO(DesignSpace().parse([config(variable) for variable in variables]), scramble_seed=seed)
    while True:
        rows = search.suggest(n_suggestions=1)
        params = rows.iloc[0].to_dict()
        for variable in variables:
            if isinstance(variable, Pick):
                params[variable.name] = variable.options[int(params[variable.name])]
            elif isinstance(variable, Whole):
                params[variable.name] = int(params[variable.name])
        search.observe(rows, np.array([[_value(problem, params)]]))
