import numpy as np

from thalweg.numerics.gaussian_process import Posterior
from thalweg.parts.strategies._front_plateaus import Plateaus


def known(values):
    x = np.linspace(-0.5, 0.5, len(values))[:, None]
    theta = np.log([0.2, 1e-4])
    models = [Posterior.of(x, np.ascontiguousarray(column), np.zeros(1, dtype=np.int64), theta) for column in values.T]
    return models, x


def test_where_all_values_are_different_there_is_no_plateau():
    values = np.column_stack([np.arange(6.0), np.zeros(6)])  # one objective may well repeat itself
    assert Plateaus.of(*known(values), values) is None
    assert Plateaus.of([], np.empty((0, 1)), np.empty((0, 2))) is None


def test_the_chance_of_something_new_falls_with_the_number_of_ties():
    chances = []
    for ties in (2, 4, 8):
        left = np.column_stack([np.full(ties, 3.0), np.ones(ties)])
        values = np.concatenate([left, np.column_stack([np.arange(12.0) + 4, np.arange(12.0)])])
        models, x = known(values)
        x = np.concatenate([np.full((ties, 1), -0.5), np.full((12, 1), 0.5)])
        plateaus = Plateaus.of(models, x, values)
        near, far = plateaus.log_chance(np.array([[-0.5], [0.5]]))
        assert far > -0.1
        chances.append(near)
        np.testing.assert_allclose(np.exp(near), 1 / (1 + ties), rtol=0.05)
    assert chances == sorted(chances, reverse=True)


def test_slopes_are_those_of_the_chance():
    rng = np.random.default_rng(0)
    x = rng.random((20, 3)) - 0.5
    values = np.round(2 * rng.random((20, 1)), 0) + np.where(np.arange(20) < 5, np.arange(20), 0)[:, None]
    model = Posterior.of(x, values[:, 0], np.arange(3), np.log([0.3, 0.5, 0.9, 1e-3]))
    plateaus = Plateaus.of([model], x, values)
    at = rng.random((7, 3)) - 0.5
    value, slope = plateaus.log_chance_with_gradients(at)
    np.testing.assert_allclose(value, plateaus.log_chance(at))
    assert (value < 0).all()
    step = 1e-6 * np.eye(3)
    numeric = [(plateaus.log_chance(at + unit) - plateaus.log_chance(at - unit)) / 2e-6 for unit in step]
    np.testing.assert_allclose(slope, np.transpose(numeric), atol=1e-6)
