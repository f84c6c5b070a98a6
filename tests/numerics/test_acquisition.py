import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from thalweg.numerics import acquisition as acq


@pytest.mark.parametrize("u", [-8.0, -4.0, -1.001, -1.0, -0.999, 0.0, 2.0, 6.0])
def test_log_h_is_the_integral(u):
    found, _ = quad(lambda t: (u + t) * norm.pdf(t), -u, -u + 12 if u < 0 else 12, epsabs=0, epsrel=1e-12)
    assert acq.log_h(np.array([u]))[0][0] == pytest.approx(np.log(found), rel=1e-8, abs=1e-9)


def test_log_h_far_in_the_tail():
    u = np.array([-30.0, -49.9, -50.1, -1e3, -1e5, -0.999e6, -1.001e6, -1e9])
    value, slope = acq.log_h(u)
    # log h = -u^2/2 - log sqrt(2 pi) - 2 log|u| + log(1 - 3/u^2 + 15/u^4 - 105/u^6)
    series = np.log(1 - 3 / u**2 + 15 / u**4 - 105 / u**6)
    expected = -0.5 * u * u - 0.5 * np.log(2 * np.pi) - 2 * np.log(-u) + series
    np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(slope, -u + -2 / u, rtol=1e-4)
    assert (np.diff(value) < 0).all()


def test_log_h_has_no_seams():
    u = np.concatenate([[at - 1e-9, at + 1e-9] for at in (-1.0, -50.0, -1e6)])
    value, slope = acq.log_h(u)
    np.testing.assert_allclose(value[::2], value[1::2], rtol=1e-8)
    np.testing.assert_allclose(slope[::2], slope[1::2], rtol=1e-5)


@pytest.mark.parametrize("kind", ["logei", "ei", "ucb", "pi"])
def test_derivatives(kind):
    mean = np.array([0.3, -0.4, 2.0, 5.0])
    sd = np.array([0.5, 1.3, 0.1, 2.0])
    _, to_mean, to_sd = acq.score(kind, mean, sd, 0.1)
    step = 1e-6
    by_mean = acq.score(kind, mean + step, sd, 0.1)[0] - acq.score(kind, mean - step, sd, 0.1)[0]
    by_sd = acq.score(kind, mean, sd + step, 0.1)[0] - acq.score(kind, mean, sd - step, 0.1)[0]
    np.testing.assert_allclose(to_mean, by_mean / (2 * step), rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(to_sd, by_sd / (2 * step), rtol=1e-5, atol=1e-9)


def test_values():
    mean, sd = np.array([0.3]), np.array([0.5])
    improvement = quad(lambda y: (0.1 - y) * norm.pdf(y, 0.3, 0.5), -8, 0.1)[0]
    assert acq.score("ei", mean, sd, 0.1)[0][0] == pytest.approx(improvement, rel=1e-8)
    assert acq.score("logei", mean, sd, 0.1)[0][0] == pytest.approx(np.log(improvement), rel=1e-8)
    assert acq.score("pi", mean, sd, 0.1)[0][0] == pytest.approx(norm.logcdf(-0.4), rel=1e-12)
    assert acq.score("ucb", mean, sd, 0.1, weight=2.0)[0][0] == pytest.approx(0.7)
    assert acq.log_chance(np.array([-1e4]))[1][0] == pytest.approx(1e4, rel=1e-3)
