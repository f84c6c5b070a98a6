"""The test problems say the truth about themselves."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.core.errors import ProblemError
from thalweg.testing.problems import PROBLEMS, make_test_problem


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_optimum_is_reached_at_the_solution_and_never_beaten(name):
    problem = make_test_problem(name)
    space = problem.space
    points = space.sample(2000, np.random.default_rng(0))
    values, violations = problem.evaluate(points)
    assert values.shape == (2000, problem.objectives)
    assert np.isfinite(values).all()
    if problem.optimum is None:
        return
    solution = space.encode(space.from_params([problem.solution]))
    best, broken = problem.evaluate(solution)
    scale = max(1.0, abs(problem.optimum))
    assert best[0, 0] == pytest.approx(problem.optimum, abs=1e-5 * scale)
    feasible = np.ones(2000, dtype=bool) if violations is None else violations <= 0
    if broken is not None:
        assert broken[0] < 1e-4
        assert feasible.any()
        assert not feasible.all()
    assert values[feasible, 0].min() > problem.optimum - 1e-9 * scale
    assert values[:, 0].max() > problem.optimum + 0.1  # it is not flat


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_around_the_solution_nothing_feasible_is_better(name):
    problem = make_test_problem(name)
    if problem.optimum is None:
        pytest.skip("several objectives have no single optimum")
    space = problem.space
    rng = np.random.default_rng(1)
    solution = space.encode(space.from_params([problem.solution]))
    near = np.clip(solution + rng.normal(0.0, 0.003, (2000, space.dimension)), 0.0, 1.0)
    near = space.repair(near, rng)
    values, violations = problem.evaluate(near)
    feasible = np.ones(len(near), dtype=bool) if violations is None else violations <= 0
    assert values[feasible, 0].min(initial=np.inf) > problem.optimum - 2e-4 * max(1.0, abs(problem.optimum))


@pytest.mark.parametrize("name", [name for name, (_, standard) in PROBLEMS.items() if standard is not None])
def test_dimension_is_what_was_asked_for(name):
    assert make_test_problem(name, 3).space.dimension == 3


def test_unknown_names_and_fixed_dimensions_are_refused():
    with pytest.raises(ProblemError, match="unknown test problem 'spere'"):
        make_test_problem("spere")
    with pytest.raises(ProblemError, match="fixed dimension"):
        make_test_problem("corner", 7)


def test_noise_comes_only_from_the_generator():
    problem = make_test_problem("noisy_sphere")
    points = np.full((500, 5), 0.5)
    quiet, _ = problem.evaluate(points)
    noisy, _ = problem.evaluate(points, np.random.default_rng(0))
    assert np.ptp(quiet) == 0.0
    assert np.std(noisy - quiet) == pytest.approx(problem.noise, rel=0.15)


def test_finite200_has_200_points():
    assert make_test_problem("finite200").space.size == 200
