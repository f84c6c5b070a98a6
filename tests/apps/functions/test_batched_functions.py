"""Batches equal the whole; functions of arrays are called once, others element by element."""

import math

import numpy as np
import pytest

from thalweg.apps.functions.batches import batches, in_batches, vectorised
from thalweg.core.errors import ProblemError


def doubled(data):
    return [2 * item for item in data]


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 19, 20, 21])
def test_every_remainder(size):
    data = list(range(size))
    assert in_batches(doubled, data, 10) == doubled(data)
    assert in_batches(doubled, iter(data), 10) == doubled(data)
    assert [item for batch in batches(data, 10) for item in batch] == data
    array = np.arange(size, dtype=float)
    assert np.array_equal(in_batches(lambda x: x * 2, array, 10), array * 2)


def test_an_iterator_is_read_batch_by_batch():
    drawn, most = 0, 0

    def items():
        nonlocal drawn
        for i in range(10_000):
            drawn += 1
            yield i

    def counted(batch):
        nonlocal most, drawn
        most, drawn = max(most, drawn), 0
        return len(batch)

    assert in_batches(counted, items(), 100, combine=sum) == 10_000
    assert most == 100


def test_what_cannot_be_joined():
    assert in_batches(sum, list(range(25)), 10) == 300  # the whole
    assert in_batches(sum, list(range(25)), 10, combine=sum) == 300
    with pytest.raises(ProblemError, match="combine="):
        in_batches(sum, iter(range(25)), 10)
    assert in_batches(lambda batch: None, iter(range(25)), 10) is None
    assert in_batches(lambda number: number + 1, 5, 10) == 6


def test_array_functions_are_called_once():
    calls = []

    def f(x, y=0.0):
        calls.append(x)
        return x**2 + y

    result, once = vectorised(f, ([1, 2, 3],), {"y": (1.0, 1.0, 1.0)})
    assert once and len(calls) == 1 and result.tolist() == [2.0, 5.0, 10.0]
    assert vectorised(f, (3,), {}) == (9.0, True)
    assert vectorised(lambda x: float(x.sum()), ([1, 2, 3],), {}) == (6.0, True)


@pytest.mark.parametrize("size", [0, 1, 2, 7])
def test_scalar_functions_element_by_element(size):
    def f(x, scale):
        return math.sqrt(x) * scale if x > 1 else 0.0

    data = [float(i) for i in range(size)]
    result, once = vectorised(f, (data, 2.0), {})
    assert result.tolist() == [f(item, 2.0) for item in data]
    assert once is False


def test_broadcasting_and_types():
    def f(x, y):
        return max(x, y)

    result, _ = vectorised(f, (np.array([[1], [5]]), [2, 3, 4]), {})
    assert result.tolist() == [[2, 3, 4], [5, 5, 5]]
    assert vectorised(lambda word: word[0], (["a", "b"],), {}) == ("a", True)  # not numbers: as they are
    pairs, _ = vectorised(lambda x: (x, "big" if x > 1 else "small"), ([1, 2],), {})
    assert pairs.tolist() == [(1, "small"), (2, "big")]


def test_errors_are_the_functions_own():
    with pytest.raises(ValueError, match="math domain"):
        vectorised(lambda x: math.sqrt(x) if x else 0, ([1, -1],), {})
