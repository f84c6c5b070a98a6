import numpy as np
import pytest

from thalweg.numerics import gaussian_process as gp
from thalweg.numerics.kernels import cholesky, distances, inverse_of, matern52, solve_lower


def data(n=23, d=3, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.random((n, d)) - 0.5
    return x, np.sin(4 * x[:, 0]) + (x[:, 1:] ** 2).sum(axis=1) + 0.01 * rng.normal(size=n)


def numeric(function, theta, step=1e-5):
    unit = np.eye(len(theta)) * step
    return np.array([(function(theta + e) - function(theta - e)) / (2 * step) for e in unit])


def dense(theta, x, y, groups):
    """The textbook's formula, with mean and scale found by solving, and every kernel entry by itself."""
    lengths = np.exp(theta[:-1])[groups]
    apart = (x[:, None] - x[None]) / lengths
    r = np.sqrt(5 * (apart**2).sum(axis=2))
    c = (1 + r + r * r / 3) * np.exp(-r) + np.exp(theta[-1]) * np.eye(len(y))
    inverse = np.linalg.inv(c)
    mean = inverse.sum(axis=0) @ y / inverse.sum()
    scale = (y - mean) @ inverse @ (y - mean) / len(y)
    full = scale * c
    _, log_det = np.linalg.slogdet(full)
    return 0.5 * ((y - mean) @ np.linalg.solve(full, y - mean) + log_det), mean, scale, c


@pytest.mark.parametrize("groups", [[0, 1, 2], [0, 1, 1]])
def test_profiled_likelihood_is_the_dense_one(groups):
    x, y = data()
    groups = np.array(groups)
    thetas = [np.append(np.linspace(-1, 0.3, groups.max() + 1), g) for g in (-8.0, -3.0)]
    ours = [gp.negative_log_likelihood(theta, x, y, groups)[0] for theta in thetas]
    full = [dense(theta, x, y, groups)[0] for theta in thetas]
    assert ours[0] - ours[1] == pytest.approx(full[0] - full[1], rel=1e-9)  # the rest is constant


@pytest.mark.parametrize("groups", [[0, 1, 2], [0, 1, 1], [0, 0, 0]])
def test_gradient_of_the_likelihood(groups):
    x, y = data()
    groups = np.array(groups)
    theta = np.append(np.linspace(-1.2, 0.4, groups.max() + 1), -5.0)
    slope = gp.negative_log_likelihood(theta, x, y, groups)[1]
    expected = numeric(lambda t: gp.negative_log_likelihood(t, x, y, groups)[0], theta)
    np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-6)


def test_gradient_of_the_prior():
    prior = gp.Prior.usual(3)
    theta = np.array([0.1, -0.4, 1.0, -9.0])
    np.testing.assert_allclose(prior.penalty(theta)[1], numeric(lambda t: prior.penalty(t)[0], theta), rtol=1e-6)


def test_posterior_is_the_dense_one():
    x, y = data()
    theta, groups = np.array([-0.7, 0.1, 0.3, -6.0]), np.arange(3)
    _, mean, scale, c = dense(theta, x, y, groups)
    model = gp.Posterior.of(x, y, groups, theta)
    assert model.mean == pytest.approx(mean, rel=1e-8)
    assert model.scale == pytest.approx(scale, rel=1e-8)
    new = np.random.default_rng(3).random((7, 3)) - 0.5
    k = matern52(distances(new / np.exp(theta[:3]), x / np.exp(theta[:3])))[0]
    means, variances = model.predict(new)
    np.testing.assert_allclose(means, mean + k @ np.linalg.solve(c, y - mean), rtol=1e-7)
    np.testing.assert_allclose(variances, scale * (1 - np.einsum("ij,ji->i", k, np.linalg.solve(c, k.T))), rtol=1e-5)


def test_gradients_of_predictions():
    x, y = data()
    model = gp.Posterior.of(x, y, np.array([0, 1, 1]), np.array([-0.7, 0.1, -6.0]))
    new = np.random.default_rng(3).random((4, 3)) - 0.5
    means, variances, to_mean, to_variance = model.predict_with_gradients(new)
    np.testing.assert_allclose((means, variances), model.predict(new), rtol=1e-12)
    for i, row in enumerate(new):
        np.testing.assert_allclose(to_mean[i], numeric(lambda r: model.predict(r[None])[0][0], row), rtol=1e-5)
        np.testing.assert_allclose(
            to_variance[i], numeric(lambda r: model.predict(r[None])[1][0], row), rtol=1e-4, atol=1e-9
        )


def test_append_is_the_cholesky_of_all_points():
    x, y = data()
    groups, theta = np.arange(3), np.array([-0.7, 0.1, 0.3, -6.0])
    part = gp.Posterior.of(x[:-2], y[:-2], groups, theta)
    longer = part.append(x[-2], y[-2]).append(x[-1], y[-1])
    whole = gp.Posterior.of(x, y, groups, theta)
    np.testing.assert_allclose(longer.factor, whole.factor, rtol=1e-8, atol=1e-10)
    assert (longer.mean, longer.scale) == (part.mean, part.scale)
    np.testing.assert_allclose(whole.factor @ whole.factor.T @ longer.alpha, y - part.mean, rtol=1e-6, atol=1e-8)
    assert len(part.y) == len(y) - 2


def test_a_point_twice_is_survived():
    x, y = data()
    model = gp.Posterior.of(np.concatenate([x, x]), np.concatenate([y, y]), np.arange(3), np.array([5.0] * 3 + [-20.0]))
    model = model.append(x[0], y[0])
    assert np.isfinite(model.predict(x)[0]).all()


def test_fit_finds_the_lengthscales_that_made_the_data():
    rng = np.random.default_rng(5)
    x = rng.random((120, 2)) - 0.5
    true = np.array([np.log(0.15), np.log(1.5), np.log(1e-4)])
    k = matern52(distances(x / np.exp(true[:2]), x / np.exp(true[:2])))[0] + 1e-4 * np.eye(120)
    y = 3.0 + 2.0 * np.linalg.cholesky(k) @ rng.normal(size=120)
    prior = gp.Prior.usual(2)
    theta = gp.fit(x, y, np.arange(2), prior, [prior.mean])
    assert abs(theta[0] - true[0]) < 0.4
    assert abs(theta[1] - true[1]) < 0.8
    slope = gp.negative_log_likelihood(theta, x, y, np.arange(2))[1] + prior.penalty(theta)[1]
    assert np.abs(slope).max() < 0.05
    model = gp.Posterior.of(x, y, np.arange(2), theta)
    assert 0.5 < model.scale / 4.0 < 2.0


def test_compress_keeps_the_order_and_the_lower_half():
    y = np.array([0.0, 1.0, 2.0, 3.0, 1e9])
    squeezed = gp.compress(y)
    assert (np.diff(squeezed) > 0).all()
    np.testing.assert_allclose(np.diff(squeezed[:3]), np.diff(squeezed[:3])[0])
    assert squeezed[-1] / squeezed[1] < 0 or squeezed[-1] < 25 * abs(squeezed[0])
    assert (gp.compress(np.full(4, 7.0)) == 0).all()
    assert np.isfinite(gp.compress(np.array([1.0, 1.0, 1.0, 5.0]))).all()


def test_cholesky_says_when_it_cannot():
    assert cholesky(np.array([[1.0, 2.0], [2.0, 1.0]])) is None
    matrix = np.array([[4.0, 2.0], [2.0, 3.0]])
    factor = cholesky(matrix.copy())
    np.testing.assert_allclose(factor @ factor.T, matrix)
    np.testing.assert_allclose(solve_lower(factor, solve_lower(factor, matrix), transposed=True), np.eye(2), atol=1e-12)
    np.testing.assert_allclose(inverse_of(factor), np.linalg.inv(matrix))


def test_weighted_noise():
    """A value with the noise of four others' mean says what the four would: weight 1/4."""
    x, y = data(n=12)
    groups, theta = np.arange(3), np.array([-0.5, -0.2, 0.1, -2.0])
    weights = np.random.default_rng(4).uniform(0.1, 5.0, 12)
    slope = gp.negative_log_likelihood(theta, x, y, groups, weights)[1]
    expected = numeric(lambda t: gp.negative_log_likelihood(t, x, y, groups, weights)[0], theta)
    np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-6)
    repeated = np.repeat(np.arange(12), np.where(np.arange(12) < 3, 4, 1))
    many = gp.Posterior.of(x[repeated], y[repeated], groups, theta)
    few = gp.Posterior.of(x, y, groups, theta, np.where(np.arange(12) < 3, 0.25, 1.0))
    few.scale = many.scale
    for a, b in zip(few.predict(x + 0.1), many.predict(x + 0.1), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def made(noise=0.3, n=23):
    x, y = data(n)
    return x, y, gp.Posterior.of(x, y, np.arange(3), np.log([0.4, 0.9, 0.6, noise]))


def dense_posterior(x, posterior, at, extra=0.0, extra_at=0.0, noise=None):
    """(mean, covariance) at points `at`, by the textbook; extra, extra_at: further covariances."""

    def kernel(a, b):
        return matern52(distances(a * posterior.inverse_lengths, b * posterior.inverse_lengths))[0]

    known = kernel(x, x) + extra + (posterior.nugget if noise is None else noise) * np.eye(len(x))
    cross = kernel(at, x) + extra_at
    mean = posterior.mean + cross @ np.linalg.solve(known, posterior.y - posterior.mean)
    return mean, posterior.scale * (kernel(at, at) - cross @ np.linalg.solve(known, cross.T))


def test_covariances_are_the_dense_ones():
    x, _, posterior = made()
    a, b = np.random.default_rng(2).random((2, 5, 3))
    _, covariance = dense_posterior(x, posterior, np.concatenate([a, b]))
    mean, variance, other, between = posterior.between(a, b)
    np.testing.assert_allclose(between, covariance[:5, 5:], atol=1e-10)
    np.testing.assert_allclose(np.diagonal(posterior.between(a, a)[3]), posterior.predict(a)[1], atol=1e-10)
    np.testing.assert_allclose([mean, variance], posterior.predict(a), atol=1e-12)
    np.testing.assert_allclose(other, posterior.predict(b)[0], atol=1e-12)
    for found, expected in zip(posterior.mean_with_gradients(a), posterior.predict_with_gradients(a)[::2], strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_what_belongs_to_each_point_alone():
    x, y, _ = made()
    of = np.arange(23)
    of[[5, 9, 11]] = 4  # four evaluations of one point
    x = x[of]
    posterior = gp.Posterior.of(x, y, np.arange(3), np.log([0.4, 0.9, 0.6, 0.3]))
    rugged = 0.25
    other = posterior.with_own(rugged, of)
    assert other.nugget == pytest.approx(0.05) and other.mean == posterior.mean
    same = rugged * (of[:, None] == of)
    mean, variance = other.predict(x, same, rugged)
    expected, covariance = dense_posterior(x, posterior, x, same, same, 0.05)
    np.testing.assert_allclose(mean, expected, atol=1e-9)
    np.testing.assert_allclose(variance, np.diagonal(covariance) + posterior.scale * rugged, atol=1e-9)
    # nearly all of what the smooth model calls noise is kept at the points, and nothing of it between them
    assert np.abs(mean - y)[of == np.arange(23)].mean() < 0.5 * np.abs(posterior.predict(x)[0] - y).mean()
    far = other.predict(x + 1e-9, None, rugged)[1]
    assert (far > variance).all()
