"""`PerformanceOptimizer`: each fault that such an interface is known to have had has a test here."""

import gc
import pickle
import threading
import time

import numpy as np
import pytest

from thalweg.apps.functions import meter as meter_module
from thalweg.compat.token_sim.optimization import OptimizationStrategy, PerformanceOptimizer
from thalweg.core.errors import ProblemError

PARALLEL, VECTORIZED, CACHED, BATCHED = OptimizationStrategy
KEYS = {
    "timestamp", "total_execution_time", "average_memory_usage", "average_cpu_usage", "total_throughput",
    "average_latency", "cache_hits", "cache_misses", "cache_hit_ratio",
}  # fmt: skip
_shared = PerformanceOptimizer(max_workers=2)


@_shared.optimize_function(strategy=PARALLEL, backend="process")
def any_name_at_all(data):
    """Doubles."""
    return [helper(item) for item in data]


def helper(item):
    return 2 * item


@pytest.fixture
def optimizer():
    with PerformanceOptimizer(max_workers=4) as made:
        yield made


@pytest.fixture(scope="module", autouse=True)
def _end():
    yield
    _shared.close()


# --- the interface ----------------------------------------------------------------------------------------------------


def test_the_enum():
    assert [item.value for item in OptimizationStrategy] == ["parallel", "vectorized", "cached", "batched"]
    assert OptimizationStrategy("batched") is BATCHED and OptimizationStrategy["CACHED"] is CACHED
    assert CACHED | PARALLEL == frozenset({CACHED, PARALLEL}) == PARALLEL | CACHED
    assert frozenset({CACHED}) | PARALLEL == CACHED | PARALLEL
    assert frozenset(OptimizationStrategy) == (CACHED | PARALLEL) | (BATCHED | VECTORIZED)


def test_all_ways_to_ask(optimizer):
    """As a decorator with and without arguments, and called with the function."""
    doubled = lambda data: [2 * item for item in data]  # noqa: E731
    for made in (
        optimizer.optimize_function(strategy=PARALLEL)(doubled),
        optimizer.optimize_function(PARALLEL)(doubled),
        optimizer.optimize_function(doubled, PARALLEL),
        optimizer.optimize_function(doubled, strategy="cached"),
        optimizer.optimize_function(doubled, [CACHED, "batched"]),
        optimizer.optimize_function(func=doubled, strategy=CACHED | BATCHED | PARALLEL),
        optimizer.optimize_function(doubled),
    ):
        assert made([1, 2, 3]) == [2, 4, 6] == made([1, 2, 3])


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "4"])
def test_workers_that_cannot_be(wrong):
    with pytest.raises(ProblemError, match="max_workers"):
        PerformanceOptimizer(max_workers=wrong)


def test_what_else_cannot_be(optimizer):
    with pytest.raises(ProblemError, match="parallel, vectorized, cached, batched"):
        optimizer.optimize_function(len, "quick")
    with pytest.raises(ProblemError, match="a function or strategy="):
        optimizer.optimize_function(3)
    with pytest.raises(ProblemError, match="batch_size"):
        optimizer.optimize_function(len, BATCHED, batch_size=0)

    async def work(data):
        pass

    with pytest.raises(ProblemError, match="is async"):
        optimizer.optimize_function(work, CACHED)


# --- known faults -----------------------------------------------------------------------------------------------------


def test_processes_whatever_the_functions_name():
    assert any_name_at_all(list(range(10))) == [2 * i for i in range(10)]
    assert any_name_at_all.parallel.chosen == "process"


def test_fewer_items_than_workers(optimizer):
    f = optimizer.optimize_function(lambda data: [item + 1 for item in data], PARALLEL, backend="thread")
    for size in range(11):
        assert f(list(range(size))) == list(range(1, size + 1))


def test_a_decorated_function_can_be_pickled():
    again = pickle.loads(pickle.dumps(any_name_at_all))
    assert again is any_name_at_all
    assert any_name_at_all.__doc__ == "Doubles." and any_name_at_all.__name__ == "any_name_at_all"


def test_vectorised_takes_all_kinds_of_lists(optimizer):
    seen = []

    @optimizer.optimize_function(strategy=VECTORIZED)
    def f(x, y=1.0):
        seen.append((type(x), type(y)))
        return x * y

    assert f([1, 2], y=(3.0, 4.0)).tolist() == [3.0, 8.0]
    assert seen == [(np.ndarray, np.ndarray)]
    assert f(2, 3) == 6


def test_the_first_cached_call_works(optimizer):
    f = optimizer.optimize_function(lambda x: x + 1, CACHED)
    assert f(1) == 2
    report = optimizer.get_performance_report()
    assert (report["cache_hits"], report["cache_misses"]) == (0, 1)
    assert f(1) == 2 and f(x=1) == 2
    assert optimizer.get_performance_report()["cache_hit_ratio"] == pytest.approx(2 / 3)
    history = optimizer.metrics_history
    assert [(item.cache_hits, item.cache_misses) for item in history] == [(0, 1), (1, 0), (1, 0)]


def test_large_arrays_are_not_taken_for_each_other(optimizer):
    f = optimizer.optimize_function(lambda x: float(x.sum()), CACHED)
    one = np.zeros(100_000)
    other = one.copy()
    other[50_000] = 1.0
    assert (f(one), f(other), f(one)) == (0.0, 1.0, 0.0)
    assert optimizer.cache.hits == 1


def test_two_functions_do_not_answer_for_each_other(optimizer):
    one, other = (optimizer.optimize_function(lambda x, n=n: x + n, CACHED) for n in (1, 2))
    assert (one(1, 0), other(1, 0), one(1), other(1)) == (1, 1, 2, 3)
    found = [optimizer.optimize_function(lambda x, n=n: x + n, CACHED)(0) for n in range(50)]
    assert found == list(range(50))  # nor a new one for one that is gone and whose place in memory it has


def test_calls_that_cannot_be_compared_are_made_and_told_once(optimizer, caplog):
    f = optimizer.optimize_function(lambda x: 5, CACHED)
    assert f(object()) == 5 == f(object())
    assert optimizer.cache.skipped == 2 and len(optimizer.cache) == 0
    assert caplog.text.count("are not cached") == 1


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 2500])
def test_batches_of_a_thousand(optimizer, size):
    sizes = []

    @optimizer.optimize_function(strategy=BATCHED)
    def f(data):
        sizes.append(len(data))
        return list(data)

    assert f(range(size)) == list(range(size))
    assert f(iter(range(size))) == list(range(size))
    assert max(sizes, default=0) <= 1000


def test_streams_are_lazy(optimizer):
    f = optimizer.optimize_function(lambda data: sum(data), BATCHED, batch_size=3)
    endless = iter(int, 1)
    stream = f.stream(endless)
    assert [next(stream), next(stream)] == [0, 0]
    assert list(f.stream(range(7))) == [3, 12, 6]


def test_memory_is_cleaned_up_whatever_is_in_it():
    with PerformanceOptimizer(2, memory_limit=1) as optimizer:  # any process is above that
        f = optimizer.optimize_function(lambda x: x / 3, CACHED)
        for i in range(400):
            f(float(i))
        assert len(optimizer.cache) <= 128 and optimizer.cache.evictions >= 270
        assert len(optimizer.metrics_history) == 400


def test_histories_are_bounded(optimizer):
    optimizer._meter.history = type(optimizer._meter.history)(maxlen=50)
    f = optimizer.optimize_function(lambda x: x, CACHED)
    for i in range(120):
        f(i)
    assert len(optimizer.metrics_history) == 50 and optimizer.get_performance_report()["calls"] == 120


def test_a_busy_call_uses_its_cpu(optimizer):
    def busy(_):
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass

    f = optimizer.optimize_function(busy, CACHED)
    f(0)
    (told,) = optimizer.metrics_history
    assert told.cpu_time >= 0.05
    assert told.cpu_usage == pytest.approx(100 * told.cpu_time / told.execution_time)
    assert optimizer.get_performance_report()["average_cpu_usage"] > 0


def test_workers_cpu_time_counts():
    _shared.reset_metrics()
    spin = _shared.optimize_function(_spin, PARALLEL, backend="process")
    spin(list(range(4)))
    (told,) = _shared.metrics_history
    assert told.cpu_time >= 4 * 0.03 and told.items == 4
    assert told.throughput == pytest.approx(4 / told.execution_time)


def _spin(data):
    for _ in data:
        end = time.process_time() + 0.03
        while time.process_time() < end:
            pass
    return list(data)


def test_memory_growth_is_seen(optimizer):
    keep = []
    f = optimizer.optimize_function(lambda n: keep.append(np.ones(n)), CACHED)
    f(4_000_000)  # 32 MB
    (told,) = optimizer.metrics_history
    assert told.memory_change > 25 and told.memory_usage > 25


def test_the_report_has_the_documented_keys(optimizer):
    report = optimizer.get_performance_report()
    assert set(report) >= KEYS  # also before any call
    assert report["total_throughput"] == 0 == report["cache_hit_ratio"]
    f = optimizer.optimize_function(lambda data: list(data), BATCHED)
    f(list(range(100)))
    report = optimizer.get_performance_report()
    assert report["total_throughput"] == pytest.approx(100 / report["total_execution_time"], rel=0.2)
    assert report["average_latency"] == pytest.approx(report["latency_p50"])
    optimizer.reset_metrics()
    assert optimizer.get_performance_report()["calls"] == 0


def test_percentiles(optimizer):
    for i in range(1, 101):
        item = meter_module.PerformanceMetrics(i / 1000, 1.0, 1.0, 1.0, i / 1000)
        optimizer._meter.history.append(item)
    report = optimizer.get_performance_report()
    assert report["latency_p50"] == pytest.approx(0.0505) and report["latency_p99"] == pytest.approx(0.09901)


def test_the_monitor_can_be_stopped_and_replaced(optimizer):
    first = optimizer.monitor_performance(interval=0.01)
    second = optimizer.monitor_performance()
    assert not first.running and second.running and second.interval == 60.0
    optimizer.close()
    assert not second.running
    for wrong in (0, -1, float("nan"), "60"):
        with pytest.raises(ProblemError, match="interval"):
            optimizer.monitor_performance(wrong)


def test_the_monitor_ends_with_its_optimizer():
    optimizer = PerformanceOptimizer(1)
    monitor = optimizer.monitor_performance(0.01)
    optimizer._monitor = None
    del optimizer
    gc.collect()
    monitor._thread.join(10)
    assert not monitor.running


def test_failed_calls_are_measured_too(optimizer):
    f = optimizer.optimize_function(lambda data: [1 / item for item in data], PARALLEL)
    with pytest.raises(ZeroDivisionError):
        f([1, 0, 2])
    assert len(optimizer.metrics_history) == 1


# --- together ---------------------------------------------------------------------------------------------------------


def test_everything_together(optimizer):
    calls = []

    @optimizer.optimize_function(strategy=frozenset(OptimizationStrategy), batch_size=30, backend="thread")
    def f(x):
        calls.append(type(x))
        return x * 2.0

    first = f(list(range(100)))
    made = len(calls)
    assert np.array_equal(first, np.arange(100) * 2.0)
    assert set(calls) == {np.ndarray} and made > 4  # batches, cut into pieces, as arrays
    assert np.array_equal(f(list(range(100))), first) and len(calls) == made


def test_methods(optimizer):
    class Model:
        def __init__(self, by):
            self.by = by

        @optimizer.optimize_function(strategy=PARALLEL, backend="thread")
        def predict(self, data):
            """Scales."""
            return [self.by * item for item in data]

    assert Model(3).predict([1, 2, 3]) == [3, 6, 9]
    assert Model(2).predict(data=[1, 2, 3]) == [2, 4, 6]
    assert Model.predict.__doc__ == "Scales."


def test_from_many_threads(optimizer):
    f = optimizer.optimize_function(lambda data: [item * 2 for item in data], CACHED | PARALLEL)
    found = []
    threads = [
        threading.Thread(
            target=lambda i=i: found.append(f(list(range(i % 3 + 5))) == [2 * j for j in range(i % 3 + 5)])
        )
        for i in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 12 and optimizer.cache.misses == 3


async def _square(params):
    return (params["x"] - 3) ** 2


def test_async_objectives_have_a_shorthand(optimizer):
    import asyncio

    from thalweg.compat.mtaio.optimization import Parameter, ParameterType

    parameters = [Parameter("x", ParameterType.INTEGER, 0, 9)]
    result = asyncio.run(optimizer.optimize_performance(parameters, _square, iterations=10))
    assert result.parameters == {"x": 3}
