import numpy as np

from thalweg.numerics.gaussian_process import Posterior
from thalweg.parts.strategies._front_model import FrontModel
from thalweg.parts.strategies._front_plateaus import Plateaus


def test_where_all_values_are_different_there_is_no_plateau():
    assert Plateaus.of(np.column_stack([np.arange(6.0), np.zeros(6)])) is None  # one objective may well repeat itself
    assert Plateaus.of(np.empty((0, 2))) is None


def test_the_chance_of_something_new_falls_with_the_number_of_ties_where_one_is_expected():
    chances = []
    for ties in (2, 4, 8):
        single = np.column_stack([np.arange(12.0) + 4, np.arange(12.0)])
        plateaus = Plateaus.of(np.concatenate([np.full((ties, 2), [3.0, 1.0]), single]))
        near, far, between = plateaus.log_chance(
            np.array([[3.0, 1.0], [9.0, 5.0], [3.0, 1.0]]), np.array([[1e-4, 1e-4], [1e-4, 1e-4], [9.0, 9.0]])
        )[0]
        assert far == 0.0  # that value was met once
        np.testing.assert_allclose(np.exp(near), 1 / (1 + ties), rtol=0.02)
        assert near < between < 0  # nobody knows where it will fall
        chances.append(near)
    assert chances == sorted(chances, reverse=True)


def test_slopes_are_those_of_the_chance():
    rng = np.random.default_rng(0)
    values = np.round(2 * rng.random((20, 2)), 0) + np.where(np.arange(20) < 5, np.arange(20) / 9, 0)[:, None]
    plateaus = Plateaus.of(values)
    mean, variance = 2 * rng.random((7, 2)), 0.05 + rng.random((7, 2))
    chance, by_mean, by_variance = plateaus.log_chance(mean, variance)
    assert (chance < 0).all()
    step = 1e-6 * np.eye(2)
    numeric = [
        (plateaus.log_chance(mean + unit, variance)[0] - plateaus.log_chance(mean - unit, variance)[0]) / 2e-6
        for unit in step
    ]
    np.testing.assert_allclose(by_mean, np.transpose(numeric), atol=1e-6)
    numeric = [
        (plateaus.log_chance(mean, variance + unit)[0] - plateaus.log_chance(mean, variance - unit)[0]) / 2e-6
        for unit in step
    ]
    np.testing.assert_allclose(by_variance, np.transpose(numeric), atol=1e-6)


def test_a_model_expects_less_on_a_plateau_and_its_slopes_say_so():
    rng = np.random.default_rng(1)
    x = rng.random((30, 3)) - 0.5
    level = np.where(x[:, 0] < 0.1, 0.0, 1.0 + x[:, 1])  # two in three points tie
    values = np.column_stack([level, 1.0 - 0.2 * level])
    models = [
        Posterior.of(x, np.ascontiguousarray(column), np.arange(3), np.log([0.3, 0.5, 0.9, 1e-3]))
        for column in values.T
    ]
    plain = FrontModel(models, None, values[:1], np.full(2, 1.1), own=np.full(2, 0.01))
    counted = FrontModel(models, None, values[:1], np.full(2, 1.1), own=np.full(2, 0.01), plateaus=Plateaus.of(values))
    at = rng.random((12, 3)) - 0.5
    less = plain.utility(at) - counted.utility(at)
    assert less[at[:, 0] < 0].min() > 1.0
    assert less[at[:, 0] < 0].min() > less[at[:, 0] > 0.3].max()
    value, slope = counted.utility_with_gradients(at)
    np.testing.assert_allclose(value, counted.utility(at))
    numeric = [(counted.utility(at + unit) - counted.utility(at - unit)) / 2e-6 for unit in 1e-6 * np.eye(3)]
    np.testing.assert_allclose(slope, np.transpose(numeric), rtol=1e-4, atol=1e-5)
