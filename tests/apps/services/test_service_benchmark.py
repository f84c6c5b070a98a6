"""The benchmark's figures, in virtual time, where they are exact."""

import asyncio

import numpy as np
import pytest
from virtual_time import clock, run

from thalweg.apps.services.benchmark import benchmark
from thalweg.core.errors import ProblemError


def test_figures():
    async def operation(index):
        await asyncio.sleep(0.1 * (index + 1))

    done = run(benchmark(operation, 10, concurrency=1, clock=clock))
    assert done.execution_time == pytest.approx(5.5) and done.throughput == pytest.approx(10 / 5.5)
    assert done.latencies == pytest.approx(np.arange(1, 11) / 10)
    assert (done.p50, done.p95) == (pytest.approx(0.55), pytest.approx(0.955))
    assert done.operations == 10 and done.errors == 0 and done.cpu_time >= 0


def test_concurrency_errors_timeouts_and_warmup():
    calls = []

    async def operation(index):
        calls.append(index)
        await asyncio.sleep(1.0 if index else 5.0)
        if index == 3:
            raise LookupError

    done = run(benchmark(operation, 8, concurrency=4, warmup=2, timeout=2.0, clock=clock))
    assert len(calls) == 10 and done.errors == 2 and done.operations == 6
    assert done.execution_time == pytest.approx(3.0) and done.throughput == pytest.approx(2.0)


@pytest.mark.parametrize("wrong", [{"operations": 0}, {"concurrency": 0}, {"warmup": -1}, {"concurrency": True}])
def test_mistakes(wrong):
    with pytest.raises(ProblemError, match=next(iter(wrong))):
        asyncio.run(benchmark(asyncio.sleep, **wrong))
