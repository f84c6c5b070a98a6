"""PerformanceOptimizer finds concurrency and batch size; the batch server's optimum is found in 60 evaluations."""

import asyncio
import math

import pytest
from virtual_time import clock, run

import thalweg as tw
from thalweg.apps.services import batch_server
from thalweg.apps.services.batch_server import p95_ms
from thalweg.apps.services.benchmark import benchmark
from thalweg.apps.services.executor import TaskExecutor
from thalweg.apps.services.performance import PerformanceOptimizer, measured
from thalweg.core.errors import ObjectiveError

ITEMS = 6000


async def workload(params):
    """6000 items in batches: 20 ms + 0.1 ms per item, slower the more run at once; in virtual time."""
    size, concurrency = params["batch_size"], params["concurrency"]

    async def handle(count):
        await asyncio.sleep((0.02 + 0.0001 * count) * (1 + 0.02 * (concurrency - 1) ** 2))

    batches = [min(size, ITEMS - first) for first in range(0, ITEMS, size)]
    async with TaskExecutor() as executor:
        await executor.gather(*[lambda count=count: handle(count) for count in batches], limit=concurrency)


def seconds(concurrency, size):
    async def timed():
        await workload({"concurrency": concurrency, "batch_size": size})
        return clock()

    return run(timed())


@pytest.fixture(scope="module")
def best():
    return min(
        seconds(concurrency, size)
        for concurrency in range(1, 21)
        for size in (400, 429, 462, 500, 546, 600, 667, 750, 858, 1000)
    )


def test_it_is_within_five_percent_of_the_optimum(best):
    async def main(seed):
        optimizer = PerformanceOptimizer(workload, clock=asyncio.get_running_loop().time, noisy=False)
        return await optimizer.optimize_performance(max_evals=60, seed=seed)

    results = [run(main(seed)) for seed in range(3)]
    # other versions of SciPy make another search of a seed: one of three may end a little higher
    assert [measured(result) <= 1.05 * best for result in results].count(True) >= 2
    assert all(measured(result) <= 1.15 * best for result in results)
    assert isinstance(results[0].params["concurrency"], int)


def test_measurements_of_your_own_and_failures():
    async def throughput(params):
        if params["batch_size"] > 500:
            raise MemoryError
        return abs(math.log(params["batch_size"] / 50)) + 0.1 * params["concurrency"]

    async def timed(params):
        return await benchmark(lambda _: asyncio.sleep(0.01 * params["concurrency"]), 20, concurrency=4)

    async def main():
        own = await PerformanceOptimizer(throughput).optimize_performance(max_evals=30, seed=0)
        tail = await PerformanceOptimizer(timed, metric="p95", workers=4).optimize_performance(max_evals=6, seed=0)
        return own, tail

    own, tail = run(main())
    assert own.params["concurrency"] <= 5 and 20 <= own.params["batch_size"] <= 120
    assert any(not trial.ok for trial in own.trials) or all(t.params["batch_size"] <= 500 for t in own.trials)
    assert tail.evaluations == 6
    with pytest.raises(ObjectiveError, match="workload"):
        PerformanceOptimizer(None)


def test_what_has_no_logarithm_is_a_failure_that_says_so():
    async def gain(params):
        return -1.0

    result = run(PerformanceOptimizer(gain).optimize_performance(max_evals=3, seed=0))
    assert result.failures == 3 and "a number > 0 is expected" in result.trials[0].error


def tuned(seed, rate, strategy="auto", evaluations=60):
    async def objective(params):
        return math.log(p95_ms(params, rate, 12_000, seed))

    result = asyncio.run(
        tw.aminimize(objective, batch_server.SPACE, max_evals=evaluations, seed=seed, strategy=strategy, workers=1,
                     progress=False)
    )  # fmt: skip
    return p95_ms(result.params, rate, 20_000, seed=77)


def grid(rate):
    return min(
        p95_ms({"concurrency": concurrency, "batch": batch, "max_wait_ms": wait}, rate, 20_000, seed=77)
        for concurrency in (4, 5, 6)
        for batch in ((14, 16, 18, 20) if rate > 4000 else (6, 7, 8))
        for wait in (2.0, 4.0, 6.0)
    )


def test_sixty_evaluations_reach_the_batch_servers_optimum():
    best = grid(6000.0)
    assert [tuned(seed, 6000.0) <= 1.05 * best for seed in range(3)].count(True) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("rate", [3000.0, 6000.0])
def test_sixty_evaluations_reach_it_nine_times_of_ten(rate):
    best = grid(rate)
    assert [tuned(seed, rate) <= 1.05 * best for seed in range(10)].count(True) >= 9
