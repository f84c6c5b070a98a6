"""The documented examples of performance and resource optimisation run as written, but for the import's root."""

import asyncio
import json
import time
from functools import partial

import pytest

from thalweg.compat.mtaio.core import TaskExecutor
from thalweg.compat.mtaio.monitoring import ResourceMonitor, SystemStats
from thalweg.compat.mtaio.optimization import Optimizer, Parameter, ParameterType


class Counter:
    def __init__(self):
        self.now = self.most = self.calls = 0

    async def __call__(self):
        self.calls += 1
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1


def test_performance_optimization():
    counter = Counter()
    tasks = [partial(counter) for _ in range(30)]
    limits = []

    class PerformanceOptimizer:
        def __init__(self):
            self.optimizer = Optimizer()
            self.executor = TaskExecutor()

        async def optimize_performance(self):
            parameters = [
                Parameter("concurrency", ParameterType.INTEGER, 1, 20),
                Parameter("batch_size", ParameterType.INTEGER, 1, 1000),
            ]

            async def objective(params):
                async with self.executor:
                    start_time = time.time()
                    counter.most = 0
                    await self.executor.gather(*tasks, limit=params["concurrency"])
                    limits.append((params["concurrency"], counter.most))
                    return time.time() - start_time

            return await self.optimizer.optimize(parameters, objective, iterations=12)

    result = asyncio.run(PerformanceOptimizer().optimize_performance())
    assert counter.calls == 12 * 30  # the same tasks in every evaluation
    assert all(most == limit for limit, most in limits)
    assert 1 <= result.parameters["concurrency"] <= 20 and result.iterations == 12
    json.dumps(result.parameters)


def test_spent_coroutines_give_failed_trials_that_say_so():
    async def work():
        pass

    async def main():
        tasks = [work() for _ in range(3)]
        executor = TaskExecutor()

        async def objective(params):
            async with executor:
                await executor.gather(*tasks, limit=params["concurrency"])
            return 1.0

        return await Optimizer().optimize(
            [Parameter("concurrency", ParameterType.INTEGER, 1, 9)], objective, iterations=3
        )

    result = asyncio.run(main())
    assert result.history[0]["score"] == 1.0
    assert all("awaited already" in item["error"] and "partial" in item["error"] for item in result.history[1:])


def test_resource_optimization():
    class ResourceOptimizer:
        def __init__(self):
            self.optimizer = Optimizer()
            self.monitor = ResourceMonitor()
            self.runs = 0

        async def configure_limits(self, params):
            self.limits = params

        async def run_workload(self):
            self.runs += 1

        async def optimize_resources(self):
            parameters = [
                Parameter("memory_limit", ParameterType.INTEGER, 100, 1000),
                Parameter("cpu_limit", ParameterType.INTEGER, 1, 8),
            ]

            async def objective(params):
                await self.configure_limits(params)
                await self.run_workload()
                stats = await self.monitor.get_current_stats()
                return stats.memory.used / stats.memory.total

            return await self.optimizer.optimize(parameters, objective, iterations=10)

    optimizer = ResourceOptimizer()
    result = asyncio.run(optimizer.optimize_resources())
    assert optimizer.runs == 10 and 0.0 < result.score < 1.0


def test_names_of_the_statistics():
    stats = asyncio.run(ResourceMonitor(interval=1.0, history_size=3600).get_current_stats())
    assert isinstance(stats, SystemStats)
    for part, names in {
        "cpu": ("usage_percent", "load_average", "thread_count"),
        "memory": ("total", "available", "used", "percent"),
        "io": ("read_bytes", "write_bytes", "read_count", "write_count"),
    }.items():
        assert all(hasattr(getattr(stats, part), name) for name in names)
    assert stats.timestamp == pytest.approx(time.time(), abs=60)


def test_a_benchmark_of_your_own():
    async def run_benchmark(batch_size, workers, strategy):
        from thalweg.apps.services.benchmark import benchmark

        return await benchmark(lambda _: asyncio.sleep(0), batch_size, concurrency=workers)

    async def objective(params):
        result = await run_benchmark(params["batch_size"], params["workers"], params["strategy"])
        return result.execution_time

    parameters = [
        Parameter(name="batch_size", type=ParameterType.INTEGER, min_value=1, max_value=100),
        Parameter(name="workers", type=ParameterType.INTEGER, min_value=1, max_value=10),
        Parameter(name="strategy", type=ParameterType.CATEGORICAL, choices=["fast", "balanced", "thorough"]),
    ]
    result = asyncio.run(Optimizer().optimize(parameters, objective, iterations=8))
    assert result.score > 0 and result.parameters["strategy"] in {"fast", "balanced", "thorough"}
