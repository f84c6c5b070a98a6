import numpy as np
import pytest

from thalweg.numerics import local_quadratic as lq


def data(n=20, d=3, seed=1):
    rng = np.random.default_rng(seed)
    u = rng.uniform(-2, 2, (n, d))
    y = (u**2 @ np.array([1.0, 3.0, 10.0])) + u[:, 0] * u[:, 1] + 0.3 * u[:, 2]
    return u, y


def numeric(function, theta, step=1e-5):
    unit = np.eye(len(theta)) * step
    return np.array([(function(theta + e) - function(theta - e)) / (2 * step) for e in unit])


@pytest.mark.parametrize("lengths", [1, 3])
def test_gradient_of_the_likelihood(lengths):
    u, y = data()
    height = (y - y.min()) ** 2
    theta = np.concatenate([np.linspace(0.1, 0.6, lengths), [0.3, -0.5, 0.2, -0.3, -4.0, -6.0]])
    slope = lq.negative_log_likelihood(theta, u, y, height)[1]
    expected = numeric(lambda t: lq.negative_log_likelihood(t, u, y, height)[0], theta)
    np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-6)


def test_gradient_of_the_bound():
    u, y = data()
    model = lq.fit_local(u, y, None, 3)
    new = np.random.default_rng(2).uniform(-1, 1, (4, 3))
    _, slopes = model.lower_bound(new, 0.7)
    for row, slope in zip(new, slopes, strict=True):
        np.testing.assert_allclose(
            slope, numeric(lambda r: model.lower_bound(r[None], 0.7)[0][0], row), rtol=1e-3, atol=1e-5
        )


@pytest.mark.parametrize("lengths", [1, 3])
def test_it_knows_a_quadratic_from_a_few_points(lengths):
    u, y = data(n=16)  # a quadratic in three variables has ten coefficients
    model = lq.fit_local(u, y, None, lengths, iterations=40)
    new, truth = data(n=40, seed=9)
    mean, _ = model.lower_bound(new, 0.0)
    spread = np.median(y) - y.min()
    error = np.abs(mean * spread + y.min() - truth)
    assert np.sqrt((error**2).mean()) < 0.05 * truth.std()


@pytest.mark.parametrize(
    ("curves", "more"),
    [([2.0] * 5, 3), ([1.0, 30.0, 4.0, 100.0, 10.0], 7)],
    ids=["a sphere by d + 4", "a separable one by 2 d + 3"],
)
def test_what_fewer_points_show(curves, more):
    """A quadratic in five variables has 21 coefficients."""
    optimum = np.array([0.3, -0.2, 0.4, 0.1, -0.5])
    more = np.random.default_rng(3).uniform(-1, 1, (more, 5))
    u = np.concatenate([np.zeros((1, 5)), np.eye(5), more])
    y = (u - optimum) ** 2 @ np.array(curves)
    model = lq.fit_local(u, y, None, 5, iterations=60)
    mean, slope = model.lower_bound(optimum[None], 0.0)
    assert abs(mean[0] * (np.median(y) - y.min()) + y.min()) < 1e-3 * y.min()
    assert np.abs(slope).max() < 1e-3 * np.abs(model.lower_bound(np.zeros((1, 5)), 0.0)[1]).max()


def test_high_values_may_be_wrong():
    u, y = data(n=30)
    spoiled = y.copy()
    worst = np.argsort(y)[-3:]
    spoiled[worst] *= 3.0  # a cliff far above
    model = lq.fit_local(u, spoiled, None, 1, iterations=40)
    spread = np.median(spoiled) - spoiled.min()
    best = np.argsort(y)[:8]
    mean, _ = model.lower_bound(u[best], 0.0)
    np.testing.assert_allclose(mean * spread + y.min(), y[best], atol=0.1 * y.std())


def test_equal_values_and_warm_starts():
    u, _ = data()
    model = lq.fit_local(u, np.zeros(len(u)), None, 3)
    assert np.isfinite(model.lower_bound(u, 1.0)[0]).all()
    again = lq.fit_local(u, np.arange(len(u), dtype=float), model.theta, 3, iterations=0)
    np.testing.assert_array_equal(again.theta, model.theta)
