"""What one suggestion costs, side by side: model-based solvers that all know the same n points.

    python -m benchmarks.quality.suggestions

Each is told n - 5 points of a Sobol sequence in the box of a curved valley (see `tasks`) with their values, and goes on
from there by itself: one suggestion that is not counted, then eight (fewer where they take more than `LIMIT_S`), each
evaluated and told. A figure is the CPU time of asking and telling over the suggestions made; the least of three rounds
(fewer by `TURNS`), in each of which every solver has its turn: one machine, one time, points of one kind for all. The
table is kept in benchmarks/results/suggestions.csv; a solver whose environment is missing is left out.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .environments import ROOT, home, python_of

TABLE = ROOT / "benchmarks" / "results" / "suggestions.csv"
COUNTS = (50, 200, 500)
DIMENSION = 5
ROUNDS, UNCOUNTED, COUNTED, LIMIT_S = 3, 1, 8, 3.0

PERIODS = {"smac_hpo": 8}
"""Suggestions between two fits of solvers that do not fit at each: whole periods are counted."""

TURNS = {"smac_bb": 1, "hebo": 1, "smac_hpo": 2}
"""Rounds of solvers that have fewer than the others, since their suggestions, or a period of them, take seconds."""

Points = np.ndarray
Cycle = Callable[[Callable[[np.ndarray], float]], None]
"""Asks for one point, evaluates it, tells its value."""


def valley(x: np.ndarray) -> float:
    """Rosenbrock's function on [-5, 5]^d; x in the unit box."""
    x = 10 * x - 5
    return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


def _names(d: int) -> list[str]:
    return [f"x{i}" for i in range(d)]


def _thalweg(points: Points, values: np.ndarray) -> Cycle:
    import thalweg as tw

    names = _names(points.shape[1])
    study = tw.Study(dict.fromkeys(names, (0.0, 1.0)), strategy="bayesian", seed=0)
    study.add([dict(zip(names, row.tolist(), strict=True)) for row in points], values.tolist())

    def cycle(objective: Callable[[np.ndarray], float]) -> None:
        (trial,) = study.ask(1)
        study.tell(trial, objective(np.array([trial.params[name] for name in names])))

    return cycle


def _optuna_gp(points: Points, values: np.ndarray) -> Cycle:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    names = _names(points.shape[1])
    study = optuna.create_study(sampler=optuna.samplers.GPSampler(seed=0, deterministic_objective=True))
    box = {name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in names}
    for row, value in zip(points, values, strict=True):
        params = dict(zip(names, row.tolist(), strict=True))
        study.add_trial(optuna.trial.create_trial(params=params, distributions=box, value=float(value)))

    def cycle(objective: Callable[[np.ndarray], float]) -> None:
        trial = study.ask()
        study.tell(trial, objective(np.array([trial.suggest_float(name, 0.0, 1.0) for name in names])))

    return cycle


def _botorch(points: Points, values: np.ndarray) -> Cycle:
    import torch  # type: ignore[import-not-found]

    from .rivals_heavy import botorch_suggestion

    torch.manual_seed(0)
    torch.set_num_threads(1)
    box = torch.stack([torch.zeros(points.shape[1]), torch.ones(points.shape[1])]).double()
    known: list[Any] = [torch.tensor(points).double(), -torch.tensor(values).double()[:, None]]

    def cycle(objective: Callable[[np.ndarray], float]) -> None:
        point = botorch_suggestion(known[0], known[1], box)
        value = torch.tensor([[-objective(point.numpy()[0])]]).double()
        known[:] = torch.cat([known[0], point]), torch.cat([known[1], value])

    return cycle


def _smac(points: Points, values: np.ndarray, facade: str) -> Cycle:
    from pathlib import Path

    import ConfigSpace as cs  # type: ignore[import-not-found]
    import smac  # type: ignore[import-not-found]
    from smac.runhistory.dataclasses import TrialInfo, TrialValue  # type: ignore[import-not-found]

    names = _names(points.shape[1])
    space = cs.ConfigurationSpace(dict.fromkeys(names, (0.0, 1.0)), seed=0)
    place = Path(tempfile.mkdtemp())
    scenario = smac.Scenario(space, n_trials=len(points) + 100, seed=0, output_directory=place, deterministic=True)
    kind = getattr(smac, facade)
    first = kind.get_initial_design(scenario, n_configs=1)
    search = kind(scenario, lambda config, seed: 0.0, initial_design=first, logging_level=50, overwrite=True)
    for row, value in zip(points, values, strict=True):
        given = cs.Configuration(space, values=dict(zip(names, row.tolist(), strict=True)))
        search.tell(TrialInfo(given, seed=0), TrialValue(cost=float(value)))

    def cycle(objective: Callable[[np.ndarray], float]) -> None:
        info = search.ask()
        search.tell(info, TrialValue(cost=objective(np.array([info.config[name] for name in names]))))

    return cycle


def _hebo(points: Points, values: np.ndarray) -> Cycle:
    import pandas as pd
    import torch
    from hebo.design_space.design_space import DesignSpace  # type: ignore[import-not-found]
    from hebo.optimizers.hebo import HEBO  # type: ignore[import-not-found]

    torch.set_num_threads(1)
    names = _names(points.shape[1])
    space = DesignSpace().parse([{"name": name, "type": "num", "lb": 0.0, "ub": 1.0} for name in names])
    search = HEBO(space, scramble_seed=0)
    search.observe(pd.DataFrame(points, columns=names), values[:, None])

    def cycle(objective: Callable[[np.ndarray], float]) -> None:
        rows = search.suggest(n_suggestions=1)
        search.observe(rows, np.array([[objective(rows[names].to_numpy(float)[0])]]))

    return cycle


SOLVERS: dict[str, tuple[str, Callable[[Points, np.ndarray], Cycle]]] = {
    "tw:bayesian": ("classic", _thalweg),
    "smac_hpo": ("smac", lambda points, values: _smac(points, values, "HyperparameterOptimizationFacade")),
    "smac_bb": ("smac", lambda points, values: _smac(points, values, "BlackBoxFacade")),
    "optuna_gp": ("classic", _optuna_gp),
    "botorch": ("torch", _botorch),
    "hebo": ("hebo", _hebo),
}


def measure(solver: str, count: int, points: Points) -> float:
    """CPU milliseconds per suggestion; points (count - 5, d) in the unit box."""
    cycle = SOLVERS[solver][1](points, np.array([valley(row) for row in points]))
    for _ in range(UNCOUNTED):
        cycle(valley)
    start, made = time.process_time(), 0
    while made % PERIODS.get(solver, 1) or (made < COUNTED and time.process_time() - start < LIMIT_S):
        cycle(valley)
        made += 1
    return 1e3 * (time.process_time() - start) / made


def child(solver: str) -> None:
    """Measure one solver at all counts; a line of JSON to what was standard output."""
    from scipy.stats import qmc

    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    points = qmc.Sobol(DIMENSION, seed=0).random(512)
    for count in COUNTS:
        print(json.dumps([count, measure(solver, count, points[: count - 5])]), file=answers, flush=True)


WORDS = """### Side by side

All know the same points and go on from there by themselves, in one run (`python -m benchmarks.quality.suggestions`
says how); CPU time of asking and telling, the least of three rounds (`smac_hpo` two, `smac_bb` and `hebo` one).
thalweg's model takes 250 points at most, the others all. BoTorch: a single-task process and LogEI with the settings of
its first example, and no more around it. SMAC's forest (`smac_hpo`) learns anew every eight suggestions, of which the
figure is the mean. HEBO runs with a newer numpy than it asks for, and with pymoo not compiled.
"""


def _short(cost: float) -> str:
    return f"{cost:.3g}" if cost < 1000 else f"{cost:.0f}"


def suggestion_lines() -> list[str]:
    """The page's section, from the file that `main` wrote; none where there is none."""
    if not TABLE.exists():
        return []
    with TABLE.open() as file:
        rows = {row["solver"]: {n: float(row[f"n{n}"]) for n in COUNTS} for row in csv.DictReader(file)}
    ours = rows["tw:bayesian"]
    heads = " | ".join(f"n={n} | to ours" for n in COUNTS)
    lines = [*WORDS.splitlines(), "", f"| ms per suggestion, d={DIMENSION} | {heads} |"]
    lines.append("| --- |" + " ---: |" * 2 * len(COUNTS))
    for solver in sorted(rows, key=lambda name: rows[name][COUNTS[0]]):
        name = f"**{solver}**" if solver.startswith("tw:") else solver
        cells = [f"{_short(rows[solver][n])} | {rows[solver][n] / ours[n]:.0f}x" for n in COUNTS]
        lines.append(f"| {name} | " + " | ".join(cells).replace("nan", "-").replace("-x", "-") + " |")
    return [*lines, ""]


def main() -> None:
    """Measure all, round by round, and keep the table."""
    found: dict[str, dict[int, list[float]]] = {}
    for own in range(ROUNDS):
        for solver, (group, _) in SOLVERS.items():
            if own >= TURNS.get(solver, ROUNDS) or (group != "classic" and not home(group).exists()):
                continue
            command = [python_of(group), "-m", "benchmarks.quality.suggestions", solver]
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            if run.returncode:
                print(solver, run.stderr.strip().splitlines()[-1:], file=sys.stderr)
            for line in run.stdout.splitlines():
                count, cost = json.loads(line)
                found.setdefault(solver, {}).setdefault(count, []).append(cost)
                print(own, solver, count, f"{cost:.4g} ms", flush=True)
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    with TABLE.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["solver", *(f"n{n}" for n in COUNTS)])
        for solver, costs in found.items():
            writer.writerow([solver, *(f"{min(costs.get(n, [np.nan])):.4g}" for n in COUNTS)])


if __name__ == "__main__":
    main() if len(sys.argv) < 2 else child(sys.argv[1])
