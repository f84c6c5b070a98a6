import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.numerics.dominance import crowding, dominates, front, ranks


def peeled(values):
    """By definition, slowly."""
    values = np.asarray(values)
    result, left, number = np.full(len(values), -1), set(range(len(values))), 0
    while left:
        first = {
            i for i in left
            if not any((values[j] <= values[i]).all() and (values[j] < values[i]).any() for j in left)
        }  # fmt: skip
        for i in first:
            result[i] = number
        left -= first
        number += 1
    return result


@given(st.integers(1, 4).flatmap(
    lambda m: st.lists(st.lists(st.integers(0, 4), min_size=m, max_size=m), min_size=1, max_size=25)
))  # fmt: skip
def test_ranks_and_front_follow_the_definition(rows):
    values = np.array(rows, dtype=float)
    expected = peeled(values)
    np.testing.assert_array_equal(ranks(values), expected)
    np.testing.assert_array_equal(front(values), expected == 0)


@pytest.mark.parametrize("m", [2, 3, 5])
def test_many_rows(m):
    values = np.random.default_rng(m).random((300, m))
    np.testing.assert_array_equal(ranks(values), peeled(values))


def test_a_front_at_a_time_gives_the_same(monkeypatch):
    values = np.random.default_rng(0).integers(0, 9, (200, 3)).astype(float)
    whole = ranks(values)
    monkeypatch.setattr("thalweg.numerics.dominance._CELLS", 10)
    np.testing.assert_array_equal(ranks(values), whole)


def test_constrained_domination():
    values = np.array([[1.0, 1.0], [0.0, 0.0], [2.0, 2.0], [0.0, 0.0], [np.nan, 0.0]])
    violations = np.array([0.0, 0.5, 0.0, 0.1, 0.0])
    np.testing.assert_array_equal(ranks(values, violations), [0, 3, 1, 2, 4])


def test_rows_without_values_come_last_and_are_in_no_front():
    values = np.array([[np.nan, 0.0], [5.0, 5.0], [np.inf, np.inf]])
    np.testing.assert_array_equal(ranks(values), [2, 0, 1])
    np.testing.assert_array_equal(front(values), [False, True, False])
    assert ranks(np.empty((0, 2))).shape == (0,)


def test_crowding_by_hand():
    values = np.array([[0.0, 4.0], [1.0, 3.0], [3.0, 1.0], [4.0, 0.0]])
    np.testing.assert_allclose(crowding(values), [np.inf, 3 / 4 + 3 / 4, 3 / 4 + 3 / 4, np.inf])
    np.testing.assert_array_equal(crowding(values[:2]), [np.inf, np.inf])
    flat = crowding(np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]))
    assert flat[1] == 1.0  # an objective without a range adds nothing


def test_dominates_is_a_strict_order():
    values = np.random.default_rng(1).integers(0, 3, (40, 3)).astype(float)
    matrix = dominates(values, values)
    assert not (matrix & matrix.T).any()
    assert not np.diag(matrix).any()
    assert not ((matrix.astype(int) @ matrix.astype(int) > 0) & ~matrix).any()


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"\(n, m\)"):
        ranks(np.zeros(3))
    with pytest.raises(ValueError, match="violations"):
        ranks(np.zeros((3, 2)), np.zeros(2))
