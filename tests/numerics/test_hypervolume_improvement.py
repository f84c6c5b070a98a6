import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.numerics.acquisition import log_h
from thalweg.numerics.dominance import front
from thalweg.numerics.hypervolume import hypervolume
from thalweg.numerics.hypervolume_improvement import (
    Boxes,
    _log_h,
    free_boxes,
    improvement,
    log_expected_improvement,
    log_expected_improvement_with_gradients,
    thinned,
)


def sphere(n, m, seed=0):
    values = np.abs(np.random.default_rng(seed).normal(size=(n, m)))
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def gained(points, values, reference):
    """By definition."""
    before = hypervolume(values, reference)
    return np.array([hypervolume(np.vstack([values, row]), reference) for row in points]) - before


@given(st.integers(1, 4).flatmap(
    lambda m: st.tuples(
        st.lists(st.lists(st.integers(0, 6), min_size=m, max_size=m), min_size=0, max_size=8),
        st.lists(st.lists(st.integers(-1, 6), min_size=m, max_size=m), min_size=1, max_size=4),
    )
))  # fmt: skip
def test_improvement_is_the_difference_of_volumes_on_grids(rows):
    known, points = rows
    points = np.array(points, dtype=float) + 0.25
    values = np.array(known, dtype=float).reshape(len(known), points.shape[1])
    reference = np.full(points.shape[1], 5.0)
    expected = gained(points, values, reference)
    np.testing.assert_allclose(improvement(points, Boxes.of(values, reference)), expected, atol=1e-9)


@pytest.mark.parametrize(("m", "n"), [(2, 60), (3, 40), (4, 15), (5, 8)])
def test_improvement_on_a_sphere(m, n):
    values, reference = sphere(n, m), np.full(m, 1.1)
    points = np.random.default_rng(1).random((25, m)) * 1.3
    found = improvement(points, Boxes.of(values, reference))
    np.testing.assert_allclose(found, gained(points, values, reference), atol=1e-12)
    assert (found > 0).any()
    assert (found == 0).any()


@pytest.mark.parametrize(("m", "n"), [(2, 30), (3, 20), (4, 10)])
def test_boxes_are_disjoint_and_cover_what_is_free(m, n):
    values, reference = sphere(n, m), np.full(m, 1.1)
    lower, upper = free_boxes(values, reference)
    draws = np.random.default_rng(2).random((3000, m)) * 1.4 - 0.2
    inside = ((draws[:, None] > lower[None]) & (draws[:, None] <= upper[None])).all(axis=2).sum(axis=1)
    free = (draws < reference).all(axis=1) & ~(values[None] <= draws[:, None]).all(axis=2).any(axis=1)
    np.testing.assert_array_equal(inside, free.astype(int))


def test_two_objectives_have_a_strip_more_than_rows():
    values = sphere(12, 2)
    assert len(free_boxes(values, np.full(2, 1.1))[0]) == 13
    lower, upper = free_boxes(np.empty((0, 2)), np.ones(2))
    np.testing.assert_array_equal(lower, [[-np.inf, -np.inf]])
    np.testing.assert_array_equal(upper, [[1.0, 1.0]])


@pytest.mark.parametrize(("m", "n", "spread"), [(1, 3, 0.3), (2, 10, 0.1), (2, 10, 0.5), (3, 8, 0.2), (4, 6, 0.3)])
def test_the_expectation_against_monte_carlo(m, n, spread):
    values, reference = sphere(n, m, seed=3), np.full(m, 1.1)
    boxes = Boxes.of(values, reference)
    rng = np.random.default_rng(4)
    mean = rng.random((5, m)) * 0.8
    sd = spread * (0.5 + rng.random((5, m)))
    found = np.exp(log_expected_improvement(mean, sd, boxes))
    for row in range(5):
        gains = improvement(mean[row] + sd[row] * rng.standard_normal((40_000, m)), boxes)
        assert found[row] == pytest.approx(gains.mean(), abs=5 * gains.std() / 200 + 1e-9)


def test_certain_predictions_gain_what_they_are():
    values, reference = sphere(10, 3), np.full(3, 1.1)
    boxes = Boxes.of(values, reference)
    mean = np.full((1, 3), 0.3)
    found = np.exp(log_expected_improvement(mean, np.full((1, 3), 1e-7), boxes))
    np.testing.assert_allclose(found, gained(mean, values, reference), rtol=1e-5)


def test_one_objective_is_expected_improvement():
    boxes = Boxes.of(np.array([[0.4], [0.7]]), np.array([1.0]))
    mean, sd = np.array([[0.5]]), np.array([[0.2]])
    z = -0.5
    expected = 0.2 * (math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi) + z * 0.5 * math.erfc(-z / math.sqrt(2)))
    assert math.exp(log_expected_improvement(mean, sd, boxes)[0]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("m", [2, 3, 4])
@pytest.mark.parametrize("sd", [0.3, 0.02])
def test_gradients_are_differences(m, sd):
    boxes = Boxes.of(sphere(8, m), np.full(m, 1.1))
    rng = np.random.default_rng(5)
    mean, width = rng.random((6, m)), sd * (0.5 + rng.random((6, m)))

    def value_at(a, b):
        return log_expected_improvement(a, b, boxes)

    value, by_mean, by_sd = log_expected_improvement_with_gradients(mean, width, boxes)
    np.testing.assert_allclose(value, log_expected_improvement(mean, width, boxes), rtol=1e-12)
    step = 1e-6 * sd
    for j in range(m):
        moved = np.zeros((1, m))
        moved[0, j] = step
        slope = log_expected_improvement(mean + moved, width, boxes) - log_expected_improvement(
            mean - moved, width, boxes
        )
        np.testing.assert_allclose(by_mean[:, j], slope / (2 * step), rtol=2e-4, atol=1e-4)
        slope = log_expected_improvement(mean, width + moved, boxes) - log_expected_improvement(
            mean, width - moved, boxes
        )
        np.testing.assert_allclose(by_sd[:, j], slope / (2 * step), rtol=2e-4, atol=1e-4)


def test_slopes_remain_where_the_expectation_is_nothing():
    boxes = Boxes.of(sphere(10, 2), np.full(2, 1.1))
    mean = np.array([[0.9, 0.9], [50.0, 3.0], [1e6, 1e6]])
    value, by_mean, by_sd = log_expected_improvement_with_gradients(mean, np.full((3, 2), 0.001), boxes)
    assert np.isfinite(value).all()
    assert (value < -700).all()  # zero as a number
    assert np.isfinite(by_mean).all()
    assert np.isfinite(by_sd).all()
    assert (by_mean.max(axis=1) <= 0).all()
    assert (by_mean.min(axis=1) < 0).all()


def test_log_h_agrees_with_the_acquisitions_own():
    z = np.concatenate([np.linspace(-60, 40, 2001), [-1e4, -300.0, 0.0, 1e-9, 1e5]])
    value, slope = _log_h(z)
    expected, expected_slope = log_h(z)
    np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(slope, expected_slope, rtol=2e-4)
    # and where neither is near the other's switch: h(0) = 1 / sqrt(2 pi), h(z) -> z
    assert _log_h(np.array([0.0]))[0][0] == pytest.approx(-0.5 * math.log(2 * math.pi), rel=1e-14)
    assert _log_h(np.array([30.0]))[0][0] == pytest.approx(math.log(30.0), rel=1e-14)
    assert _log_h(np.array([-np.inf]))[0][0] == -np.inf


def test_thinned_fronts_keep_the_ends():
    x = np.linspace(0, 1, 200)
    values = np.column_stack([x, 1 - x])
    rows = thinned(values, 11)
    assert len(rows) == len(set(rows.tolist())) == 11
    assert {0, 199} <= set(rows.tolist())
    assert np.diff(values[rows, 0]).max() < 0.2
    np.testing.assert_array_equal(thinned(values[:5], 11), np.arange(5))
    assert len(thinned(sphere(50, 6), 4)) == 4


def test_the_order_of_rows_and_dominated_ones_do_not_matter():
    values, reference = sphere(12, 3), np.full(3, 1.1)
    points = np.random.default_rng(0).random((6, 3))
    more = np.concatenate([values[::-1], values + 0.05, values[:3]])
    assert not front(more)[12:24].any()
    found = improvement(points, Boxes.of(more, reference))
    np.testing.assert_allclose(found, improvement(points, Boxes.of(values, reference)), atol=1e-12)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="reference"):
        free_boxes(np.zeros((3, 2)), np.zeros(3))
    with pytest.raises(ValueError, match="finite"):
        free_boxes(np.zeros((3, 2)), np.array([1.0, np.inf]))
