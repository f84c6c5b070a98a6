from math import comb

import numpy as np
import pytest

from thalweg.numerics.directions import das_dennis, nearest_directions, neighbourhoods, reference_directions


@pytest.mark.parametrize(("m", "parts"), [(1, 4), (2, 7), (3, 12), (4, 5), (8, 3)])
def test_das_dennis_counts_and_lies_on_the_simplex(m, parts):
    points = das_dennis(m, parts)
    assert points.shape == (comb(parts + m - 1, m - 1), m)
    assert len(np.unique(points, axis=0)) == len(points)
    assert (points >= 0).all()
    np.testing.assert_allclose(points.sum(axis=1), 1.0)
    np.testing.assert_allclose(points * parts, np.round(points * parts), atol=1e-12)


def test_das_dennis_of_the_paper():
    # Deb & Jain 2014: three objectives and four parts give 15 points
    assert len(das_dennis(3, 4)) == 15


@pytest.mark.parametrize("m", [2, 3, 4, 5, 8, 12])
@pytest.mark.parametrize("most", [20, 92, 300])
def test_reference_directions_fit_and_are_different(m, most):
    points = reference_directions(m, most)
    assert m <= len(points) <= max(most, m)
    assert len(np.unique(points.round(12), axis=0)) == len(points)
    np.testing.assert_allclose(points.sum(axis=1), 1.0)
    for axis in np.eye(m):
        assert (np.abs(points - axis).max(axis=1) < 1e-12).any()


def test_many_objectives_get_an_inner_layer():
    points = reference_directions(8, 156)
    assert len(points) == 156  # the paper's 120 outer (3 parts) and 36 inner ones (2 parts)
    assert (points > 0).all(axis=1).sum() >= 36


def test_two_objectives_get_as_many_as_asked_for():
    assert len(reference_directions(2, 37)) == 37
    assert len(reference_directions(3, 91)) == 91


def test_nearest_by_angle():
    directions = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    values = np.array([[10.0, 1.0], [3.0, 3.0], [0.1, 7.0], [0.0, 0.0]])
    place, apart = nearest_directions(values, directions)
    np.testing.assert_array_equal(place[:3], [0, 1, 2])
    np.testing.assert_allclose(apart, [1.0, 0.0, 0.1, 0.0], atol=1e-7)


def test_neighbourhoods_start_with_themselves():
    directions = reference_directions(3, 28)
    near = neighbourhoods(directions, 6)
    assert near.shape == (28, 6)
    np.testing.assert_array_equal(near[:, 0], np.arange(28))
    apart = np.linalg.norm(directions[near] - directions[:, None], axis=2)
    assert (np.diff(apart, axis=1) >= -1e-12).all()
    assert neighbourhoods(directions, 99).shape == (28, 28)


@pytest.mark.parametrize(("m", "parts"), [(0, 3), (3, 0)])
def test_nonsense_is_refused(m, parts):
    with pytest.raises(ValueError, match="at least one"):
        das_dennis(m, parts)
