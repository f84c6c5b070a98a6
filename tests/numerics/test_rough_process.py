"""Processes that are rough along their columns: slopes, what they learn, and the plain ones without any bumps."""

import numpy as np
import pytest

from thalweg.numerics.gaussian_process import Posterior, Prior, fit
from thalweg.numerics.rough_process import RoughPosterior, RoughPrior, _bump, _negative_log_likelihood, fit_rough

D = 3
GROUPS = np.arange(D)


def rugged(x):
    return 0.3 * (4.0 * x**2 - 0.5 * np.cos(2.0 * np.pi * 9.0 * x)).sum(axis=1)


def sample(n, seed=0):
    x = np.random.default_rng(seed).random((n, D)) - 0.5
    return x, rugged(x)


def theta_of(weight, length=0.1):
    return np.concatenate([np.log([0.8, 1.1, 0.6]), [np.log(1e-3)], np.full(D, np.log(weight)), [np.log(length)]])


def test_bumps_are_even_and_end():
    value, slope = _bump(np.array([0.0, 0.5, 1.0, 3.0]))
    assert value[0] == 1.0
    np.testing.assert_array_equal(value[2:], 0.0)
    step = 1e-6
    numeric = (_bump(np.array([0.5 + step]))[0] - _bump(np.array([0.5 - step]))[0]) / (2 * step)
    np.testing.assert_allclose(-0.5 * slope[1], numeric[0], rtol=1e-6)


def test_the_likelihood_has_the_slope_it_says():
    x, y = sample(40)
    theta = theta_of(0.1) + 0.2 * np.random.default_rng(1).normal(size=2 * D + 2)
    apart = [np.abs(x[:, j, None] - x[:, j]) for j in range(D)]
    slope = _negative_log_likelihood(theta, x, y, GROUPS, apart)[1]
    for j, unit in enumerate(1e-5 * np.eye(len(theta))):
        up, down = (_negative_log_likelihood(theta + s * unit, x, y, GROUPS, apart)[0] for s in (1, -1))
        assert slope[j] == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-4)


def test_predictions_have_the_slopes_they_say():
    model = RoughPosterior.of(*sample(40), GROUPS, theta_of(0.1), D)
    at = sample(3, seed=2)[0]
    _, _, by_mean, by_variance = model.predict_with_gradients(at)
    for j, unit in enumerate(1e-6 * np.eye(D)):
        (up, more), (down, less) = model.predict(at + unit), model.predict(at - unit)
        np.testing.assert_allclose(by_mean[:, j], (up - down) / 2e-6, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(by_variance[:, j], (more - less) / 2e-6, rtol=1e-4, atol=1e-6)


def test_without_bumps_it_is_the_plain_process():
    x, y = sample(30)
    theta = theta_of(1e-14)
    rough, plain = RoughPosterior.of(x, y, GROUPS, theta, D), Posterior.of(x, y, GROUPS, theta[: D + 1])
    at = sample(5, seed=3)[0]
    for ours, theirs in zip(rough.predict_with_gradients(at), plain.predict_with_gradients(at), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


def test_appending_is_knowing():
    x, y = sample(30)
    whole = RoughPosterior.of(x, y, GROUPS, theta_of(0.1), D)
    part = RoughPosterior.of(x[:-1], y[:-1], GROUPS, theta_of(0.1), D)
    grown = part.append(x[-1], float(y[-1]))
    grown.mean, grown.scale = whole.mean, whole.scale
    grown.alpha = whole.alpha
    at = sample(5, seed=4)[0]
    np.testing.assert_allclose(grown.predict(at), whole.predict(at), rtol=1e-6)
    assert part.append(x[-1], float(y[-1])).predict(x[-1:])[0][0] == pytest.approx(y[-1], abs=0.02)


def test_many_local_optima_are_learnt():
    x, y = sample(150)
    prior = RoughPrior().joined(Prior.usual(D, True), D)
    plain = fit(x, y, GROUPS, Prior.usual(D, True), [Prior.usual(D, True).mean])
    starts = [np.concatenate([plain, np.full(D, np.log(0.05)), [np.log(s)]]) for s in (0.18, 0.05)]
    theta, _ = fit_rough(x, y, GROUPS, prior, starts, D)
    at, truth = sample(300, seed=5)

    def missed(model):
        return float(np.mean((model.predict(at)[0] - truth) ** 2) / truth.var())

    assert missed(RoughPosterior.of(x, y, GROUPS, theta, D)) < 0.1 < 0.3 < missed(Posterior.of(x, y, GROUPS, plain))
