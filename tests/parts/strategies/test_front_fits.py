"""What is kept of the models of several objectives: where roughness is believed, and that it survives a state."""

import numpy as np
from driving import cube, run

from thalweg.core.problem import Problem, objectives_of
from thalweg.numerics.rough_process import RoughPosterior
from thalweg.parts.strategies._front_fits import Models
from thalweg.parts.strategies._views import View
from thalweg.parts.strategies.pareto_bayesian import ParetoBayesian


def two(x):
    smooth = (x**2).sum(axis=1)
    return np.column_stack([smooth, smooth - 0.15 * np.cos(2.0 * np.pi * 9.0 * x).sum(axis=1)])


def test_only_the_rough_objective_is_believed_to_be_rough():
    models = Models.fresh(View.of(cube(2).space), 2)
    x = np.random.default_rng(0).random((150, 2)) - 0.5
    made = models.update(x, two(x), np.arange(2), len(x), np.random.default_rng(0))
    assert [isinstance(item, RoughPosterior) for item in made] == [False, True]
    assert models.is_rough
    at = np.random.default_rng(1).random((50, 2)) - 0.5
    found = np.column_stack([item.predict(at)[0] for item in made])
    assert np.corrcoef(found[:, 1], two(at)[:, 1])[0, 1] > 0.85


def test_few_points_are_too_few_for_roughness():
    models = Models.fresh(View.of(cube(2).space), 2)
    x = np.random.default_rng(0).random((15, 2)) - 0.5
    models.update(x, two(x), np.arange(2), len(x), np.random.default_rng(0))
    assert not models.is_rough
    assert not models.tried.any()


def test_a_rough_search_goes_on_from_its_state():
    problem = Problem(cube(2).space, objectives=objectives_of(["a", "b"]))
    strategy = ParetoBayesian()
    run(strategy, problem, lambda u: two(u - 0.4), 60, batch=1)
    assert strategy.fits.is_rough
    twin = ParetoBayesian()
    twin.start(problem, 0, 100)
    twin.restore(strategy.state())
    np.testing.assert_array_equal(twin.ask(2).points, strategy.ask(2).points)


def test_many_local_fronts_are_left_behind():
    """zdt4: 21 valleys along every column but the first; without bumps no run of three has any volume here."""

    def zdt4(u):
        x = 10.0 * u[:, 1:] - 5.0
        g = 1.0 + 10.0 * x.shape[1] + (x**2 - 10.0 * np.cos(4.0 * np.pi * x)).sum(axis=1)
        return np.column_stack([u[:, 0], g * (1.0 - np.sqrt(u[:, 0] / g))])

    problem = Problem(cube(3).space, objectives=objectives_of(["a", "b"]))
    _, found = run(ParetoBayesian(), problem, zdt4, 110, batch=1)
    assert (found < 1.1).all(axis=1).any()
