import math

import numpy as np
import pytest
from scipy.stats import truncnorm

from thalweg.numerics.parzen import LEAST_WIDTH, Layout, Parzen


def layout(smooth: int, *counts: int) -> Layout:
    """`smooth` Gaussian columns, then one label column for each count."""
    return Layout(
        np.arange(smooth), np.full(smooth, LEAST_WIDTH), smooth + np.arange(len(counts)), np.array(counts, np.int64)
    )


def density(parzen: Parzen, points, active=None) -> np.ndarray:
    return np.exp(parzen.log_density(parzen.layout.features(points, active)))


def test_the_density_is_the_mixture_of_truncated_gaussians():
    rng = np.random.default_rng(0)
    points, weights = rng.random((7, 3)), rng.random(7) + 0.1
    parzen = Parzen.fit(layout(3), points, weights, spread=0.3)
    width = 0.3 * 7 ** (-1 / 7)
    np.testing.assert_allclose(parzen.widths[:7], width)
    at = rng.random((5, 3))

    def kernel(mean, sigma):
        return truncnorm(-mean / sigma, (1 - mean) / sigma, mean, sigma).pdf(at).prod(axis=1)

    parts = np.array([kernel(mean, width) for mean in points] + [kernel(np.full(3, 0.5), 1.0)])
    expected = np.append(weights, 1.0) @ parts / (weights.sum() + 1.0)
    np.testing.assert_allclose(density(parzen, at), expected, rtol=1e-10)


def test_the_density_integrates_to_one():
    parzen = Parzen.fit(layout(1, 3), np.array([[0.0, 0.1], [0.2, 0.5], [0.97, 0.9]]), np.ones(3))
    grid = (np.arange(20_000) + 0.5) / 20_000
    total = sum(
        density(parzen, np.column_stack([grid, np.full(len(grid), (label + 0.5) / 3)])).mean() for label in range(3)
    )
    assert total == pytest.approx(1.0, rel=1e-6)


def test_labels_are_counted_with_a_prior():
    parzen = Parzen.fit(layout(0, 4), np.array([[0.1], [0.1], [0.9]]), np.ones(3))
    got = density(parzen, np.array([[0.1], [0.4], [0.6], [0.9]]))
    hit, miss = (1 + 1 / 4) / 2, (1 / 4) / 2  # one count and four priors of 1 / (n + 1)
    expected = np.array([2 * hit + miss, 3 * miss, 3 * miss, hit + 2 * miss]) / 4 + 1 / 16
    np.testing.assert_allclose(got, expected)
    assert got.sum() == pytest.approx(1.0)


def test_labels_and_widths_depend_on_one_another():
    """One kernel per point: label 0 goes with the left, label 1 with the right."""
    points = np.array([[0.1, 0.25]] * 10 + [[0.9, 0.75]] * 10)
    parzen = Parzen.fit(layout(1, 2), points, np.ones(20), spread=0.1)
    left, wrong = density(parzen, np.array([[0.1, 0.25], [0.1, 0.75]]))
    assert left > 5 * wrong


def test_unused_columns_are_integrated_out():
    rng = np.random.default_rng(1)
    points = rng.random((9, 3))
    parzen = Parzen.fit(layout(2, 3), points, np.ones(9))
    unused = np.array([[True, False, False]])
    at = np.array([[0.3, 0.5, 0.5]])
    grid = (np.arange(4000) + 0.5) / 4000
    rows = np.column_stack([np.full(4000, 0.3), grid])
    total = sum(density(parzen, np.column_stack([rows, np.full(4000, (label + 0.5) / 3)])).mean() for label in range(3))
    assert density(parzen, at, unused)[0] == pytest.approx(total, rel=1e-6)


def test_a_point_has_the_priors_kernel_in_columns_it_does_not_use():
    active = np.array([[True, False]])
    parzen = Parzen.fit(layout(1, 2), np.array([[0.3, 0.25]]), np.ones(1), active)
    np.testing.assert_allclose(np.exp(parzen.tables), 0.5)
    parzen = Parzen.fit(layout(2), np.array([[0.3, 0.9]]), np.ones(1), active)
    assert parzen.means[0].tolist() == [0.3, 0.5] and parzen.widths[0, 1] == 1.0


def test_samples_follow_the_density():
    points = np.array([[0.02, 0.1], [0.3, 0.9], [0.35, 0.9], [0.8, 0.4]])
    parzen = Parzen.fit(layout(1, 4), points, np.array([1.0, 2.0, 3.0, 1.0]), spread=0.1)
    drawn = parzen.sample(40_000, 2, np.random.default_rng(2))
    assert drawn.min() >= 0 and drawn.max() <= 1
    grid = (np.arange(400) + 0.5) / 400
    for label in range(4):
        curve = density(parzen, np.column_stack([grid, np.full(400, (label + 0.5) / 4)]))
        own = drawn[parzen.layout.label_of(drawn)[:, 0] == label, 0]
        assert len(own) / 40_000 == pytest.approx(curve.mean(), abs=0.01)
        expected = curve.reshape(8, 50).sum(axis=1) / curve.sum()
        np.testing.assert_allclose(np.histogram(own, 8, (0, 1))[0] / len(own), expected, atol=0.03)


def test_bandwidths_follow_the_spread_and_have_a_floor():
    rng = np.random.default_rng(3)
    points = np.column_stack([0.5 + 1e-6 * rng.random(400), rng.random(400)])
    widths = Parzen.fit(layout(2), points, np.ones(400)).widths[0]
    assert widths[0] == LEAST_WIDTH
    assert widths[1] == pytest.approx(math.sqrt(1 / 12) * 400 ** (-1 / 6), rel=0.1)


def test_no_points_leave_the_prior():
    parzen = Parzen.fit(layout(2, 3), np.empty((0, 3)), np.empty(0))
    drawn = parzen.sample(50, 3, np.random.default_rng(4))
    assert np.isfinite(parzen.log_density(parzen.layout.features(drawn))).all()
    np.testing.assert_allclose(density(parzen, np.array([[0.5, 0.5, 0.1]])), truncnorm(-0.5, 0.5).pdf(0.0) ** 2 / 3)
