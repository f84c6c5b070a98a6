from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.numerics.hypervolume import contributions, hypervolume, reference_of


def by_inclusion_exclusion(values, reference):
    total = 0.0
    for k in range(1, len(values) + 1):
        for chosen in combinations(range(len(values)), k):
            sizes = np.maximum(reference - values[list(chosen)].max(axis=0), 0.0)
            total += (-1) ** (k + 1) * sizes.prod()
    return total


@given(st.integers(1, 5).flatmap(
    lambda m: st.lists(st.lists(st.integers(0, 6), min_size=m, max_size=m), min_size=1, max_size=7)
))  # fmt: skip
def test_equals_inclusion_exclusion(rows):
    values = np.array(rows, dtype=float)
    reference = np.full(values.shape[1], 5.0)
    expected = by_inclusion_exclusion(values, reference)
    assert hypervolume(values, reference) == pytest.approx(expected, rel=1e-12, abs=1e-9)


@pytest.mark.parametrize(("m", "n"), [(2, 60), (3, 60), (4, 40), (5, 25)])
def test_equals_a_count_of_cells(m, n):
    rng = np.random.default_rng(m)
    points = np.abs(rng.normal(size=(n, m)))
    values = points / np.linalg.norm(points, axis=1, keepdims=True)
    draws = rng.random((40000, m)) * 1.1
    share = np.zeros(len(draws), bool)
    for row in values:
        share |= (draws >= row).all(axis=1)
    expected = share.mean() * 1.1**m
    error = 4 * 1.1**m * np.sqrt(share.mean() * (1 - share.mean()) / len(draws))
    assert hypervolume(values, np.full(m, 1.1)) == pytest.approx(expected, abs=error)


@pytest.mark.parametrize("m", [2, 3, 4])
def test_order_and_dominated_rows_do_not_matter(m):
    rng = np.random.default_rng(m)
    values = rng.random((30, m))
    reference = np.full(m, 0.9)
    more = np.concatenate([values, values + 0.01, values[:5]])
    whole = hypervolume(values, reference)
    assert hypervolume(rng.permutation(more), reference) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("m", [2, 3, 4])
def test_a_dimension_that_all_share_is_a_factor(m):
    values = np.random.default_rng(m).random((20, m))
    wide = np.column_stack([values, np.full(20, 0.25)])
    inner = hypervolume(values, np.ones(m))
    assert hypervolume(wide, np.ones(m + 1)) == pytest.approx(0.75 * inner, rel=1e-12)


def test_rows_beyond_the_reference_add_nothing():
    reference = np.array([1.0, 1.0])
    assert hypervolume(np.array([[1.0, 0.0], [0.5, 2.0], [np.nan, 0.0]]), reference) == 0.0
    assert hypervolume(np.array([[0.5, 0.5], [2.0, 0.0]]), reference) == 0.25
    assert hypervolume(np.empty((0, 2)), reference) == 0.0
    assert hypervolume(np.array([[-np.inf, 0.0]]), reference) == np.inf


def test_contributions_are_what_is_lost():
    values = np.array([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0], [2.0, 2.0]])
    np.testing.assert_allclose(contributions(values, np.array([3.0, 3.0])), [1.0, 1.0, 1.0, 0.0])


def test_reference_point():
    np.testing.assert_allclose(reference_of(np.array([[0.0, 5.0], [10.0, 5.0], [np.nan, 1.0]])), [11.0, 5.5])
    with pytest.raises(ValueError, match="finite"):
        reference_of(np.array([[np.nan, 1.0]]))


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="reference"):
        hypervolume(np.zeros((3, 2)), np.zeros(3))
    with pytest.raises(ValueError, match="finite"):
        hypervolume(np.zeros((3, 2)), np.array([1.0, np.nan]))
