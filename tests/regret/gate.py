"""Runs a strategy on a test problem as the engine would: repair, snap, repeats answered from a cache at no cost."""

from __future__ import annotations

import numpy as np

from thalweg.core.batch import Answers, Status
from thalweg.core.strategy import Strategy
from thalweg.parts.strategies import make_strategy
from thalweg.testing.problems import TestProblem, make_test_problem

ASKS_PER_EVALUATION = 5
"""Repeats are free, but not for ever: that many rows are asked for at most for each evaluation of the budget."""


def curve(strategy: Strategy, problem: TestProblem, evals: int, seed: int, batch: int = 8) -> np.ndarray:
    """(evals,) the best feasible regret after each evaluation (inf until one is feasible, noise not counted)."""
    space = problem.space
    rng = np.random.default_rng(seed + 77)
    strategy.start(problem.problem(), seed, evals)
    known: dict[bytes, tuple] = {}
    regrets: list[float] = []
    for _ in range(ASKS_PER_EVALUATION * evals):
        asked = strategy.ask(min(batch, evals - len(regrets)))
        if len(asked) == 0:
            break  # done, and nothing is out
        points = space.snap(space.repair(np.array(asked.points), rng))
        seen, violations = problem.evaluate(points, rng)
        true, _ = problem.evaluate(points)
        for i, key in enumerate(space.keys(space.decode(points))):
            if key in known:
                seen[i] = known[key]
                continue
            known[key] = seen[i].copy()
            good = violations is None or violations[i] <= 1e-9
            regrets.append(float(true[i, 0]) - problem.optimum if good else np.inf)
        statuses = np.full(len(points), Status.DONE, dtype=np.int8)
        strategy.tell(Answers(asked.tickets, points, seen, statuses, violations))
        if len(regrets) >= evals:
            break
    result = np.full(evals, np.inf)
    count = min(evals, len(regrets))
    result[:count] = np.minimum.accumulate(regrets[:count])
    result[count:] = result[count - 1]
    return result


REFERENCE = np.array([1.1, 7.0])
"""Where the volume of fronts is measured from: random search reaches it in a few hundred evaluations."""
TRUE_VOLUME = {"zdt1": 6.0 + 2.0 / 3.0 + 0.7, "zdt2": 6.0 + 1.0 / 3.0 + 0.7}
"""Of the whole front: the integral of 7 - f2(f1) over [0, 1], and 0.1 x 7 beyond."""


def volume(values: np.ndarray) -> float:
    """The area that (n, 2) values dominate, up to REFERENCE."""
    inside = values[(values < REFERENCE).all(axis=1)]
    total, height = 0.0, REFERENCE[1]
    for first, second in inside[np.argsort(inside[:, 0], kind="stable")]:
        if second < height:
            total += (REFERENCE[0] - first) * (height - second)
            height = second
    return float(total)


def front_loss(strategy: Strategy, problem: TestProblem, evals: int, seed: int, batch: int = 8) -> float:
    """How much of the whole front's volume is missing after `evals` evaluations."""
    strategy.start(problem.problem(), seed, evals)
    found = np.empty((0, 2))
    while len(found) < evals:
        asked = strategy.ask(min(batch, evals - len(found)))
        if len(asked) == 0:
            break
        values, _ = problem.evaluate(asked.points)
        found = np.concatenate([found, values])
        statuses = np.full(len(asked), Status.DONE, dtype=np.int8)
        strategy.tell(Answers(asked.tickets, np.array(asked.points), values, statuses))
    return TRUE_VOLUME[problem.name] - volume(found)


def final(name: str, problem: str, evals: int, seeds: int, dimension: int | None = None, **options) -> np.ndarray:
    """(seeds,) final regrets (two objectives: what is missing of the front's volume)."""
    case = make_test_problem(problem, dimension)
    if case.objectives > 1:
        return np.array([front_loss(make_strategy(name, **options), case, evals, seed) for seed in range(seeds)])
    return np.array([curve(make_strategy(name, **options), case, evals, seed)[-1] for seed in range(seeds)])
