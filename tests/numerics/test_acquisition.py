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


def alternatives(seed, candidates=6, references=9):
    """Means and a joint covariance of candidates and references."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(candidates + references, candidates + references))
    covariance = root @ root.T / (candidates + references)
    return 0.3 * rng.normal(size=candidates + references), covariance, candidates, rng


@pytest.mark.parametrize("seed", range(3))
def test_the_knowledge_gradient_is_what_sampling_says(seed):
    mean, covariance, m, rng = alternatives(seed)
    noise = 0.3
    found = acq.knowledge_gradient(mean[:m], np.diagonal(covariance)[:m], noise, covariance[:m, m:], mean[m:])
    for row in range(m):
        watched = np.append(np.arange(m, len(mean)), row)
        slopes = covariance[row, watched] / np.sqrt(covariance[row, row] + noise)
        after = (mean[watched] + rng.normal(size=(200_000, 1)) * slopes).min(axis=1)
        assert found[row] == pytest.approx(mean[watched].min() - after.mean(), abs=0.02)  # few nodes
    assert (found >= 0).all() and found.max() > 0.05


def test_the_knowledge_gradient_of_one_against_one():
    """One normal belief and one certain value: expected improvement with the sd that an observation will move it by."""
    mean, variance, noise, other = np.array([0.4, -0.2, 1.0]), np.array([1.0, 0.5, 2.0]), 0.5, 0.1
    found = acq.knowledge_gradient(mean, variance, noise, np.zeros((3, 1)), np.array([other]))
    move = variance / np.sqrt(variance + noise)
    gap = np.abs(mean - other) / move
    exact = move * (norm.pdf(gap) - gap * norm.sf(gap))
    np.testing.assert_allclose(found, exact, atol=0.02)


def test_what_noise_drowns_and_what_is_known_gains_nothing():
    mean, covariance, m, _ = alternatives(1)
    variance, between, others = np.diagonal(covariance)[:m], covariance[:m, m:], mean[m:]
    loud = acq.knowledge_gradient(mean[:m], variance, 1e12, between, others)
    assert (loud < 1e-5).all()
    known = acq.knowledge_gradient(mean[:m], np.zeros(m), 1.0, np.zeros_like(between), others)
    assert (known < 1e-12).all()
    quiet, louder = (acq.knowledge_gradient(mean[:m], variance, noise, between, others) for noise in (0.1, 1.0))
    assert (quiet >= louder).all() and quiet.sum() > 1.1 * louder.sum()
