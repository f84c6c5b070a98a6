"""Equal calls are answered from memory, different ones never; limits are kept."""

import dataclasses
import datetime
import enum
import itertools
import pathlib
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.apps.functions import cache as module
from thalweg.apps.functions.cache import NoKey, ResultCache, call_key, key_of, size_of
from thalweg.core.errors import ProblemError


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclasses.dataclass
class Point:
    x: float
    y: float


DIFFERENT = [
    None, True, False, 1, 0, 1.0, 0.0, "1", b"1", 1j, (1,), [1], {1}, {1: 1}, {"1": 1}, (), [], {}, set(), [[1]],
    [1, 2], [2, 1], [12], [1, "2"], ["1", 2], ["ab", "c"], ["a", "bc"], float("inf"), -1, 2**70, Colour.RED,
    Colour.BLUE,
    Point(1, 2), Point(2, 1), np.array([1, 2]), np.array([1.0, 2.0]), np.array([[1, 2]]), np.array([1, 2], np.int32),
    np.array([], float), np.array([], int), np.array(["1", "2"]), np.array([1, "a"], object), range(3), range(4),
    datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1), pathlib.Path("a"), len, dataclasses.replace, Point,
    ((1, 2), 3), (1, (2, 3)), {"a": {"b": 1}}, {"a": 1, "b": 2}, {"a": 2, "b": 1},
]  # fmt: skip


def test_different_values_have_different_keys():
    keys = [key_of(item) for item in DIFFERENT]
    for (i, one), (j, other) in itertools.combinations(enumerate(keys), 2):
        assert one != other, (DIFFERENT[i], DIFFERENT[j])


def test_equal_values_have_equal_keys():
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    assert key_of({3, 1, 2}) == key_of({2, 3, 1})
    assert key_of(np.int64(12)) == key_of(12) and key_of(np.float64(0.5)) == key_of(0.5)
    assert key_of(np.arange(6).reshape(2, 3)) == key_of(np.asfortranarray(np.arange(6).reshape(2, 3)))
    assert key_of(np.arange(10)[::2]) == key_of(np.array([0, 2, 4, 6, 8]))
    assert key_of(float("nan")) == key_of(np.float64("nan"))


def test_every_element_of_a_large_array_counts():
    """repr() shows six of a million elements."""
    one = np.zeros(1_000_000)
    other = one.copy()
    other[500_000] = 1e-9
    assert str(one) == str(other) and key_of(one) != key_of(other)


def test_digits_make_one_of_what_is_nearly_equal():
    assert key_of(12.0, 6) == key_of(12.000001, 6) != key_of(12.001, 6)
    assert key_of(1e-5, 4) != key_of(2e-5, 4)  # significant ones, not decimals
    assert key_of(np.array([0.1 + 0.2]), 9) == key_of(np.array([0.3]), 9)


def test_what_has_no_key():
    for item in (object(), lambda x: x, iter([1]), threading.Lock(), [1, object()]):
        with pytest.raises(NoKey):
            key_of(item)


def test_however_arguments_are_passed():
    import inspect

    def f(a, b=2, *rest, c=3, **more): ...

    head = inspect.signature(f)
    assert call_key(head, (1,), {}) == call_key(head, (), {"a": 1, "b": 2, "c": 3}) == call_key(head, (1, 2), {})
    assert call_key(head, (1, 2, 3), {}) != call_key(head, (1, 2), {"c": 3, "d": 3})
    assert call_key(None, (1,), {}) != call_key(None, (), {"a": 1})


@pytest.mark.parametrize("what", ["frame", "series"])
def test_frames_have_keys(what):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    item = frame if what == "frame" else frame["a"]
    changed = item.copy()
    changed.iloc[(1, 0) if what == "frame" else 1] = 3
    assert key_of(item) == key_of(item.copy()) != key_of(changed)
    assert key_of(item) != key_of(item.set_axis([5, 6], axis=0))


def test_hits_misses_and_the_first_call():
    cache = ResultCache()
    calls = []
    for _ in range(3):
        value, hit = cache.call("k", lambda: calls.append(1) or 42)
        assert value == 42
    assert len(calls) == 1 and hit
    assert (cache.hits, cache.misses, cache.hit_ratio) == (2, 1, pytest.approx(2 / 3))
    cache.clear()
    assert len(cache) == 0 == cache.bytes


def test_the_least_recently_used_goes_first():
    cache = ResultCache(max_entries=3)
    for key in "abc":
        cache.call(key, lambda key=key: key)
    cache.call("a", lambda: "?")  # used again
    cache.call("d", lambda: "d")
    assert list(cache._entries) == ["c", "a", "d"] and cache.evictions == 1


def test_results_grow_old():
    now = [0.0]
    cache = ResultCache(ttl=10, clock=lambda: now[0])
    made = itertools.count()
    assert cache.call("k", lambda: next(made)) == (0, False)
    now[0] = 9.9
    assert cache.call("k", lambda: next(made)) == (0, True)
    now[0] = 10.0
    assert cache.call("k", lambda: next(made)) == (1, False)


def test_bytes_are_bounded():
    cache = ResultCache(max_entries=None, max_bytes=10_000)
    for i in range(100):
        cache.call(i, lambda: np.zeros(100))  # 912 bytes each
    assert 5 <= len(cache) <= 10 and cache.bytes <= 10_000
    cache.call("large", lambda: np.zeros(10_000))
    assert cache.bytes <= 10_000


def test_above_the_watermark_the_older_half_goes():
    """Whatever the values are: floats have no `.get`."""
    used = [0]
    cache = ResultCache(memory_limit=100, memory=lambda: used[0])
    for i in range(module.EVERY - 1):
        cache.call(i, lambda i=i: i / 2)
    used[0] = 101
    cache.call("last", lambda: 1.5)
    assert len(cache) == module.EVERY // 2
    assert next(iter(cache._entries)) == module.EVERY // 2 and "last" in cache._entries


def test_nobody_changes_what_others_get():
    cache = ResultCache()
    first, _ = cache.call("k", lambda: [1, [2]])
    first[1].append(3)
    second, _ = cache.call("k", list)
    second.append(4)
    assert cache.call("k", list)[0] == [1, [2]]


def test_failures_are_kept_only_if_asked_for():
    calls = []

    def fails():
        calls.append(1)
        raise OSError("no")

    for keep, expected in ((False, 2), (True, 1)):
        calls.clear()
        cache = ResultCache(cache_errors=keep)
        for _ in range(2):
            with pytest.raises(OSError, match="no"):
                cache.call("k", fails)
        assert len(calls) == expected


def test_threads_that_ask_at_once_compute_once():
    cache, calls = ResultCache(), []
    begun, go = threading.Event(), threading.Event()

    def slow():
        calls.append(1)
        begun.set()
        assert go.wait(10)
        return 5

    found = []
    threads = [threading.Thread(target=lambda: found.append(cache.call("k", slow)[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    go.set()
    for thread in threads:
        thread.join()
    assert found == [5] * 4 and len(calls) == 1 and cache.hits == 3


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=8))
def test_keys_depend_on_nothing_else(item):
    import copy

    assert key_of(item) == key_of(copy.deepcopy(item))


def test_limits_that_cannot_be():
    for wrong in ({"max_entries": 0}, {"ttl": -1}, {"max_bytes": 0}):
        with pytest.raises(ProblemError):
            ResultCache(**wrong)


def test_sizes():
    assert size_of(np.zeros(1000)) >= 8000
    assert size_of([np.zeros(1000)] * 2) >= 16000
    assert size_of({"a": "x" * 500}) > 500
