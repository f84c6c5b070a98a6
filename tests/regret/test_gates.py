"""Every strategy beats random search on the problems it is made for, by a stated margin (medians over seeds).

A gate: (strategy, problem, dimension, evaluations, margin): the median final regret is at most margin x random's.
The margins leave room for other seeds: mostly three times what was measured, or more. Print the measured ratios with

    python tests/regret/test_gates.py [strategy ...]
"""

from __future__ import annotations

import sys
from functools import cache

import numpy as np
import pytest
from gate import final

Gate = tuple[str, str, int | None, int, float]

FAST: list[Gate] = [
    ("de", "rastrigin", 5, 400, 0.5),
    ("genetic", "mixed_rastrigin", 6, 300, 0.3),
    ("pso", "sphere", 5, 300, 0.1),
    ("cmaes", "rosenbrock", 5, 400, 0.2),
    ("axes", "rastrigin", 5, 200, 0.1),
    ("direct", "sphere", 3, 200, 0.01),
    ("direct_l", "levy", 3, 200, 0.01),
    ("nelder_mead", "sphere", 4, 200, 0.005),
    ("annealing", "levy", 4, 400, 0.5),
    ("grid", "sphere", 2, 64, 0.9),
    ("lhs", "sphere", 2, 32, 0.9),
    ("sobol", "sphere", 2, 32, 0.9),
    ("scipy:de", "sphere", 4, 300, 0.15),
    ("scipy:direct", "sphere", 3, 200, 0.01),
    ("scipy:dual_annealing", "rosenbrock", 4, 300, 0.0001),
    ("scipy:shgo", "rosenbrock", 4, 300, 0.0001),
    ("relay", "rastrigin", 5, 400, 0.5),
    ("restart", "rosenbrock", 5, 400, 0.15),
    ("portfolio", "levy", 5, 300, 0.25),
    ("chain", "levy", 3, 200, 0.05),
    ("nsga2", "zdt1", 6, 400, 0.4),
    ("nsga3", "zdt1", 6, 400, 0.45),
    ("moead", "zdt1", 6, 400, 0.5),
    ("bayesian_pareto", "zdt1", 4, 40, 0.1),
    ("quadratic", "rosenbrock", 5, 150, 0.01),
    ("quadratic", "ellipsoid", 5, 80, 0.0001),
    ("quasi_newton", "rosenbrock", 5, 250, 0.01),
    ("quasi_newton", "ellipsoid", 5, 100, 0.0001),
    ("handover", "rosenbrock", 5, 150, 0.01),
    ("lq_cmaes", "rosenbrock", 5, 150, 0.1),
    ("lq_cmaes", "ellipsoid", 5, 100, 0.002),
    ("bayesian", "rosenbrock", 4, 60, 0.1),
    ("bayesian", "mixed_bowl", None, 50, 0.01),
    ("hybrid", "mixed_bowl", None, 40, 0.1),
    ("tpe", "mixed_bowl", None, 100, 0.25),
    ("tpe", "rosenbrock", 5, 100, 0.15),
    ("auto", "rosenbrock", 5, 250, 0.15),
    ("auto", "mixed_bowl", None, 200, 0.01),
    ("auto", "tsp", 8, 250, 0.3),
]

FULL: list[Gate] = [
    ("axes", "schwefel", 5, 300, 0.1),
    ("axes", "levy", 5, 300, 0.1),
    ("de", "ellipsoid", 5, 500, 0.005),
    ("de", "ackley", 10, 1500, 0.05),
    ("de", "schwefel", 5, 1000, 0.4),
    ("de", "mixed_bowl", None, 250, 0.001),
    ("de", "conditional_bowl", None, 250, 0.01),
    ("de", "pressure_vessel", None, 500, 0.15),
    ("genetic", "schwefel", 5, 1000, 0.1),
    ("genetic", "tsp", 10, 500, 0.3),
    ("genetic", "knapsack", 12, 300, 0.7),
    ("genetic", "integer_bowl", 4, 250, 0.3),
    ("genetic", "rastrigin", 5, 1000, 0.3),
    ("pso", "ackley", 5, 500, 0.5),
    ("pso", "rosenbrock", 5, 500, 0.3),
    ("cmaes", "ellipsoid", 5, 800, 0.001),
    ("cmaes", "levy", 5, 500, 0.01),
    ("cmaes", "noisy_sphere", 5, 300, 0.2),
    ("cmaes", "sphere", 10, 800, 0.001),
    ("direct_l", "ackley", 5, 500, 0.01),
    ("direct_l", "step", 5, 300, 0.05),
    ("nsga2", "zdt2", 6, 800, 0.2),
    ("nsga3", "zdt2", 6, 800, 0.2),
    ("moead", "zdt2", 6, 800, 0.6),
    ("bayesian_pareto", "zdt2", 6, 80, 0.05),
    ("nelder_mead", "rosenbrock", 4, 400, 0.05),
    ("quadratic", "levy", 5, 200, 0.3),  # a third of the seeds find the best of its bowls
    ("quadratic", "sphere", 10, 60, 0.0001),
    ("quadratic", "noisy_sphere", 5, 150, 0.2),
    ("quadratic", "integer_bowl", 4, 100, 0.1),
    ("quadratic", "mixed_bowl", None, 150, 0.75),  # its model takes choices for numbers
    ("lq_cmaes", "levy", 5, 300, 0.001),
    ("lq_cmaes", "sphere", 10, 150, 0.0001),
    ("lq_cmaes", "noisy_sphere", 5, 300, 0.2),
    ("lq_cmaes", "integer_bowl", 4, 250, 0.1),
    ("bayesian", "ellipsoid", 5, 100, 0.0001),
    ("bayesian", "levy", 5, 100, 0.05),
    ("bayesian", "ackley", 5, 100, 0.05),
    ("bayesian", "sphere", 10, 100, 0.0001),
    ("bayesian", "noisy_sphere", 4, 80, 0.1),
    ("bayesian", "conditional_bowl", None, 60, 0.01),
    ("bayesian", "integer_bowl", 4, 60, 0.1),
    ("bayesian", "pressure_vessel", None, 80, 0.9),
    ("bayesian", "tsp", 8, 80, 0.4),
    ("bayesian", "knapsack", 12, 80, 0.9),
    ("tpe", "mixed_rastrigin", 6, 100, 0.7),
    ("tpe", "integer_bowl", 4, 100, 0.15),
    ("tpe", "ackley", 5, 150, 0.6),
    ("tpe", "pressure_vessel", None, 200, 0.8),
    ("annealing", "ackley", 3, 500, 0.6),
    ("scipy:dual_annealing", "levy", 5, 1000, 0.01),
    ("scipy:shgo", "sphere", 5, 300, 1e-06),
    ("relay", "levy", 5, 600, 0.5),
    ("relay", "mixed_bowl", None, 300, 0.05),
    ("restart", "levy", 5, 800, 0.001),
    ("hybrid", "mixed_rastrigin", 6, 240, 0.15),
    ("portfolio", "ellipsoid", 5, 600, 0.01),
    ("portfolio", "ackley", 5, 600, 0.2),
    ("auto", "rastrigin", 5, 1000, 0.4),
    ("auto", "ackley", 5, 60, 0.9),
    ("auto", "conditional_bowl", None, 250, 0.01),
    ("auto", "integer_bowl", 4, 250, 0.1),
    ("auto", "knapsack", 12, 300, 0.7),
    ("auto", "noisy_sphere", 5, 250, 0.15),
    ("auto", "pressure_vessel", None, 400, 0.2),
    ("auto", "schwefel", 5, 1000, 0.05),  # far bowls along the columns
    ("auto", "rosenbrock", 5, 1000, 0.06),
]


@cache
def by_random(problem: str, dimension: int | None, evals: int, seeds: int) -> float:
    return float(np.median(final("random", problem, evals, seeds, dimension)))


def ratio(gate: Gate, seeds: int) -> float:
    name, problem, dimension, evals, _ = gate
    ours = float(np.median(final(name, problem, evals, seeds, dimension)))
    return ours / by_random(problem, dimension, evals, max(seeds, 15))


SPREAD = {"grid", "lhs", "sobol"}
"""Methods that only spread points: a small gain, seen over many (cheap) seeds."""


def check(gate: Gate, seeds: int) -> None:
    measured = ratio(gate, 41 if gate[0] in SPREAD else seeds)
    assert measured <= gate[-1], f"{gate[0]} on {gate[1]}: {measured:.3g} x random's median regret, at most {gate[-1]}"


@pytest.mark.parametrize("gate", FAST, ids=lambda gate: f"{gate[0]}-{gate[1]}")
def test_better_than_random(gate):
    check(gate, seeds=5)


@pytest.mark.slow
@pytest.mark.regret
@pytest.mark.parametrize("gate", FAST + FULL, ids=lambda gate: f"{gate[0]}-{gate[1]}")
def test_better_than_random_over_more_seeds(gate):
    check(gate, seeds=11)


if __name__ == "__main__":
    for item in FAST + FULL:
        if len(sys.argv) < 2 or item[0] in sys.argv[1:]:
            print(*item[:4], f"allowed {item[4]}", f"measured {ratio(item, 7):.3g}", flush=True)
