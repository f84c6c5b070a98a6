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


def final(name: str, problem: str, evals: int, seeds: int, dimension: int | None = None, **options) -> np.ndarray:
    """(seeds,) final regrets."""
    case = make_test_problem(problem, dimension)
    return np.array([curve(make_strategy(name, **options), case, evals, seed)[-1] for seed in range(seeds)])
