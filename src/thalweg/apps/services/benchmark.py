"""Times async work: how long all of it takes, how much per second, and how long each piece waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import perf_counter, process_time
from typing import Any

import numpy as np

from ...core.batch import Floats
from ...core.errors import ProblemError


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What a benchmark came to; times in seconds.

    execution_time: from the first start to the last end.  cpu_time: of this process meanwhile.  operations: that
    succeeded.  errors: that failed or timed out.  throughput: operations per second.
    latencies: (operations,) of each success, in the order of their ends.
    """

    execution_time: float
    cpu_time: float
    operations: int
    errors: int
    throughput: float
    latencies: Floats = field(repr=False)

    def percentile(self, percent: float) -> float:
        """A latency that `percent` of the operations do not exceed (nan without any)."""
        return float(np.percentile(self.latencies, percent)) if len(self.latencies) else float("nan")

    @property
    def p50(self) -> float:
        """The median latency."""
        return self.percentile(50)

    @property
    def p95(self) -> float:
        """What 95 % of the operations do not exceed."""
        return self.percentile(95)

    @property
    def p99(self) -> float:
        """What 99 % of the operations do not exceed."""
        return self.percentile(99)


async def benchmark(
    operation: Callable[[int], Awaitable[Any]],
    operations: int = 100,
    *,
    concurrency: int = 1,
    warmup: int = 0,
    timeout: float | None = None,
    clock: Callable[[], float] = perf_counter,
) -> Benchmark:
    """Await `operation(index)` for every index, `concurrency` at a time.

    warmup: further operations before, which do not count.  timeout: seconds for each; one that takes longer is an
    error.  An operation that raises is an error, too; the rest goes on.

    Raises:
        ProblemError: numbers that cannot be.
    """
    for name, value, least in (("operations", operations, 1), ("concurrency", concurrency, 1), ("warmup", warmup, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ProblemError(f"{name}: a whole number >= {least} is expected, got {value!r}")
    if warmup:
        await _all(operation, warmup, concurrency, timeout, clock)
    cpu, began = process_time(), clock()
    latencies, errors = await _all(operation, operations, concurrency, timeout, clock)
    took, used = clock() - began, process_time() - cpu
    done = len(latencies)
    return Benchmark(took, used, done, errors, done / took if took > 0 else float("inf"), np.array(latencies))


async def _all(
    operation: Callable[[int], Awaitable[Any]],
    operations: int,
    concurrency: int,
    timeout: float | None,
    clock: Callable[[], float],
) -> tuple[list[float], int]:
    """(latencies of successes, number of errors)."""
    latencies: list[float] = []
    errors = 0
    indices = iter(range(operations))

    async def lane() -> None:
        nonlocal errors
        for index in indices:
            began = clock()
            try:
                if timeout is None:
                    await operation(index)
                else:
                    await asyncio.wait_for(operation(index), timeout)
            except Exception:
                errors += 1
            else:
                latencies.append(clock() - began)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, operations)):
            group.create_task(lane())
    return latencies, errors
