"""Pieces at once: results, order and failures are those of one call; where it runs is measured."""

import os
import threading
import time

import numpy as np
import pytest

from thalweg.apps.functions import parallel, workers
from thalweg.apps.functions.parallel import Parallel, Pool
from thalweg.apps.functions.pieces import NotItemwise, join, spans
from thalweg.core.errors import EvaluatorError, ProblemError

BACKENDS = ["serial", "thread", "process"]


@pytest.fixture(scope="module")
def pool():
    made = Pool(4)
    made.crew.count = 2  # processes are dear
    yield made
    made.close()


def doubled(data):
    return [2 * item for item in data]


def call(function, pool, *args, backend=None, combine=None, **kwargs):
    return Parallel(function, pool, backend=backend, combine=combine)(args, kwargs)


def test_spans_cover_everything_once():
    for count in range(12):
        for pieces in range(1, 6):
            found = spans(count, pieces)
            assert [i for a, b in found for i in range(a, b)] == list(range(count))
            assert len(found) == min(count, pieces) and all(b > a for a, b in found)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", range(11))
def test_all_sizes_and_backends(backend, size, pool):
    data = list(range(size))
    assert call(doubled, pool, data, backend=backend) == doubled(data)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "data",
    [tuple(range(9)), range(9), np.arange(18.0).reshape(9, 2), np.array(list("abcdefghi"))],
    ids=["tuple", "range", "array", "texts"],
)
def test_kinds_of_data(backend, data, pool):
    def same(piece):
        return piece if not isinstance(piece, range) else list(piece)

    found = call(same, pool, data, backend=backend)
    assert type(found) is type(same(data))
    assert np.array_equal(np.asarray(found), np.asarray(data))


@pytest.mark.parametrize("backend", BACKENDS)
def test_frames(backend, pool):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": range(9), "b": list("abcdefghi")}, index=range(10, 19))
    found = call(lambda piece: piece.assign(c=piece["a"] * 2), pool, frame, backend=backend)
    pd.testing.assert_frame_equal(found, frame.assign(c=frame["a"] * 2))
    pd.testing.assert_series_equal(call(lambda piece: piece + 1, pool, frame["a"], backend=backend), frame["a"] + 1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_none_stays_none(backend, pool):
    assert call(lambda data: None, pool, list(range(20)), backend=backend) is None


def test_further_arguments_and_keywords(pool):
    def scaled(data, by, *, plus=0):
        return [by * item + plus for item in data]

    assert call(scaled, pool, [1, 2, 3], 10, plus=1, backend="thread") == [11, 21, 31]
    assert Parallel(scaled, pool, backend="thread")((), {"data": [1, 2, 3], "by": 2}) == [2, 4, 6]
    with pytest.raises(TypeError, match="missing"):
        call(scaled, pool, [1, 2, 3])


@pytest.mark.parametrize("backend", [None, *BACKENDS])
def test_a_function_of_the_whole_is_called_with_the_whole(backend, pool, caplog):
    data = list(range(10))
    for function in (sum, len, lambda piece: piece[:1], lambda piece: [sum(piece)], lambda piece: {"n": len(piece)}):
        for size in range(10):
            run = Parallel(function, pool, backend=backend)
            assert run((data[:size],), {}) == function(data[:size])
        assert run.itemwise is False
    assert "is called with all of its data" in caplog.text


def test_combine_joins_what_is_not_item_by_item(pool):
    for backend in BACKENDS:
        assert call(sum, pool, list(range(100)), backend=backend, combine=sum) == 4950


def test_mixed_results_are_not_guessed():
    with pytest.raises(NotItemwise, match="different kinds"):
        join([[1], (2,)], [1, 1])
    with pytest.raises(NotItemwise, match="1 items gave 0 results"):
        join([[1], []], [1, 1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_errors_are_the_functions_own_and_say_where(backend, pool):
    def inverse(data):
        return [1 / (item - 7) for item in data]

    with pytest.raises(ZeroDivisionError) as caught:
        call(inverse, pool, list(range(20)), backend=backend)
    notes = "\n".join(caught.value.__notes__)
    assert "in items 7 to" in notes or "in items 6 to" in notes
    assert "of 20" in notes
    if backend == "process":
        assert "in inverse" in notes  # the worker's traceback
    assert call(doubled, pool, [1, 2, 3], backend=backend) == [2, 4, 6]  # and it goes on


def test_a_process_that_dies_is_told_and_replaced(pool):
    def dies(data):
        os._exit(7)

    with pytest.raises(EvaluatorError, match="exit code 7") as caught:
        call(dies, pool, list(range(8)), backend="process")
    assert any("in items" in note for note in caught.value.__notes__)
    assert call(doubled, pool, [1, 2, 3], backend="process") == [2, 4, 6]


def test_an_error_that_cannot_travel_is_told_in_words(pool):
    def odd(data):
        class Odd(Exception):
            def __init__(self, one, two):
                super().__init__(one)
                self.lock = threading.Lock()

        raise Odd("so odd", 2)

    with pytest.raises(EvaluatorError, match="so odd"):
        call(odd, pool, [1, 2, 3, 4], backend="process")


def test_what_cannot_be_sent(pool, caplog):
    lock = threading.Lock()

    def locked(data):
        with lock:
            return doubled(data)

    with pytest.raises(EvaluatorError, match="cannot be sent"):
        call(locked, pool, [1, 2, 3], backend="process")


def spin(data):
    total = 0
    for _ in data:
        for i in range(20000):
            total += i
    return [total] * len(data)


def test_short_work_stays_here(pool, monkeypatch):
    monkeypatch.setattr(parallel, "SHORT_S", 60.0)  # a busy machine may keep a first piece waiting
    run = Parallel(doubled, pool)
    assert run((list(range(1000)),), {}) == doubled(range(1000))
    assert run.chosen == "serial" and run._turns is None  # no thread was tried


def test_waiting_goes_to_threads(pool):
    run = Parallel(lambda data: [time.sleep(0.004) for _ in data], pool)
    assert run((list(range(16)),), {}) == [None] * 16
    assert run.chosen == "thread"


def test_plain_python_goes_to_processes_where_that_is_worth_it(pool, monkeypatch):
    pool.crew.close()
    run = Parallel(spin, pool)
    run((list(range(128)),), {})
    assert run.chosen == "serial"  # starting processes would take longer
    monkeypatch.setattr(parallel, "START_S", 0.0)
    assert len(run((list(range(128)),), {})) == 128
    assert run.chosen == "process"
    assert pool.crew.cpu_seconds > 0
    assert len(run((list(range(128)),), {})) == 128  # and all of it from then on
    assert run.chosen == "process"


def test_without_processes_threads_do(pool, monkeypatch, caplog):
    lock = threading.Lock()

    def locked(data):
        with lock:
            return spin(data)

    monkeypatch.setattr(parallel, "START_S", 0.0)
    run = Parallel(locked, pool)
    assert len(run((list(range(128)),), {})) == 128
    assert run.chosen == "thread" and "threads are used" in caplog.text


def test_nested_calls_do_not_wait_for_each_other(pool):
    inner = Parallel(doubled, pool, backend="thread")

    def outer(data):
        return [inner(([item, item],), {}) for item in data]

    assert call(outer, pool, list(range(20)), backend="thread") == [[2 * i, 2 * i] for i in range(20)]


def test_workers_start_no_workers(monkeypatch, pool):
    monkeypatch.setenv(workers.INSIDE, "1")
    run = Parallel(doubled, pool, backend="process")
    before = list(pool.crew._members)
    assert run(([1, 2, 3],), {}) == [2, 4, 6]
    assert pool.crew._members == before


def test_wrong_backends_are_told(pool):
    with pytest.raises(ProblemError, match="serial, thread, process"):
        Parallel(doubled, pool, backend="gpu")


def test_a_closed_pool_starts_again():
    pool = Pool(2)
    assert call(doubled, pool, [1, 2, 3], backend="thread") == [2, 4, 6]
    pool.close()
    assert not pool.crew.running
    assert call(doubled, pool, [1, 2, 3], backend="thread") == [2, 4, 6]
    pool.close()


@pytest.mark.parametrize("backend", [None, *BACKENDS])
def test_map_is_like_the_built_in_one(backend, pool):
    assert pool.map(pow, range(9), iter([2, 3, 4]), backend=backend) == [0, 1, 16]
    assert pool.map(str, [], backend=backend) == []
    assert pool.map(lambda item: None, range(5), backend=backend) == [None] * 5
    with pytest.raises(ZeroDivisionError):
        pool.map(lambda item: 1 / item, range(3), backend=backend)
