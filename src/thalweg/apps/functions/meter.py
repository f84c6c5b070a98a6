"""What calls cost, in a bounded history, and a thread that tells it while they go on."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.errors import ProblemError
from .cache import ResultCache, resident_bytes

log = logging.getLogger("thalweg.functions")
KEPT = 10_000
MIB = 2.0**20
FRESH_S = 2e-3
"""Seconds that a reading of the process's memory is good for."""


@dataclass(frozen=True, slots=True)
class PerformanceMetrics:
    """One call. execution_time, latency: seconds it took.  memory_usage: MiB of this process after it.
    cpu_usage: CPU time of this process and its workers meanwhile, percent of one core.  throughput: items per second.
    cache_hits, cache_misses: 1 or 0.  items: of its data.  ended: seconds, of `perf_counter`.
    memory_change: MiB that the process grew by.
    """

    execution_time: float
    memory_usage: float
    cpu_usage: float
    throughput: float
    latency: float
    cache_hits: int = 0
    cache_misses: int = 0
    items: int = 1
    ended: float = 0.0
    cpu_time: float = 0.0
    memory_change: float = 0.0


class Meter:
    """Measures calls. workers_cpu: gives the CPU seconds of worker processes so far."""

    def __init__(self, cache: ResultCache, workers_cpu: Callable[[], float], kept: int = KEPT) -> None:
        self.history: deque[PerformanceMetrics] = deque(maxlen=kept)
        self.calls = 0
        self._cache, self._workers_cpu = cache, workers_cpu
        self._cpu = (time.perf_counter(), self._cpu_time())
        self._memory = (-1.0, 0)

    def _cpu_time(self) -> float:
        return time.process_time() + self._workers_cpu()

    @contextmanager
    def measured(self, items: int) -> Iterator[dict[str, int]]:
        """Around a call, also one that fails. The dict is for hits and misses."""
        told = {"hits": 0, "misses": 0}
        began, cpu = time.perf_counter(), self._cpu_time()
        memory = self._resident(began)
        try:
            yield told
        finally:
            ended = time.perf_counter()
            now = self._resident(ended)
            took, used = max(ended - began, 1e-9), self._cpu_time() - cpu
            self.calls += 1
            self.history.append(
                PerformanceMetrics(
                    took, now / MIB, 100.0 * used / took, items / took, took, told["hits"], told["misses"], items,
                    ended, used, (now - memory) / MIB,
                )
            )  # fmt: skip

    def _resident(self, now: float) -> int:
        """Bytes of the process; a reading is good for a moment, as it takes longer than a short call."""
        then, found = self._memory
        if now - then > FRESH_S:
            found = resident_bytes()
            self._memory = now, found
        return found

    def cpu_percent(self) -> float:
        """CPU time since this was asked last, of this process and its workers, percent of one core."""
        (then, before), (now, cpu) = self._cpu, (time.perf_counter(), self._cpu_time())
        if now - then < 1e-3:
            return 0.0
        self._cpu = now, cpu
        return 100.0 * (cpu - before) / (now - then)

    def throughput(self, calls: list[PerformanceMetrics]) -> float:
        """Items per second, from the start of the first of these calls to the end of the last."""
        if not calls:
            return 0.0
        began = min(item.ended - item.execution_time for item in calls)
        return sum(item.items for item in calls) / max(max(item.ended for item in calls) - began, 1e-9)

    def report(self) -> dict[str, Any]:
        """Of the calls that are kept: sums and means by name; times in seconds, memory in MiB, CPU in percent."""
        calls = list(self.history)
        cache = self._cache
        times = np.array([item.execution_time for item in calls]) if calls else np.zeros(1)

        def mean(name: str) -> float:
            return float(np.mean([getattr(item, name) for item in calls])) if calls else 0.0

        return {
            "timestamp": time.time(),
            "calls": self.calls,
            "total_execution_time": float(times.sum()),
            "total_cpu_time": float(sum(item.cpu_time for item in calls)),
            "average_memory_usage": mean("memory_usage"),
            "average_cpu_usage": 100.0 * sum(item.cpu_time for item in calls) / max(float(times.sum()), 1e-9),
            "total_throughput": self.throughput(calls),
            "average_latency": mean("latency"),
            **{f"latency_p{p}": float(np.percentile(times, p)) for p in (50, 90, 95, 99)},
            "cache_hits": cache.hits,
            "cache_misses": cache.misses,
            "cache_hit_ratio": cache.hit_ratio,
        }

    def reset(self) -> None:
        """Forget the calls, and count hits anew."""
        self.history.clear()
        self.calls = 0
        self._cache.reset_counts()

    def line(self, since: float) -> str:
        """One line about the calls that ended after `since` (of `perf_counter`), for the log."""
        calls = [item for item in list(self.history) if item.ended > since]
        latency = 1e3 * float(np.mean([item.latency for item in calls])) if calls else 0.0
        return (
            f"Memory: {resident_bytes() / MIB:.1f} MB, CPU: {self.cpu_percent():.1f} %, "
            f"Throughput: {self.throughput(calls):.4g} items/s, Latency: {latency:.4g} ms, "
            f"Cache hit ratio: {self._cache.hit_ratio:.2f}"
        )


class Monitor:
    """Logs a meter's line every `interval` seconds to "thalweg.functions" (level INFO), until `stop`, or until the
    meter is gone.

    Raises:
        ProblemError: an interval that is none.
    """

    def __init__(self, meter: Meter, interval: float) -> None:
        if isinstance(interval, bool) or not isinstance(interval, (int, float)) or not 0 < interval < float("inf"):
            raise ProblemError(f"interval: seconds > 0 are expected, got {interval!r}")
        self.interval = float(interval)
        self._meter = weakref.ref(meter)
        self._end = threading.Event()
        weakref.finalize(meter, self._end.set)
        self._thread = threading.Thread(target=self._watch, name="thalweg-monitor", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End it; waits until it has. Stopping twice is fine."""
        self._end.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _watch(self) -> None:
        since = time.perf_counter()
        while not self._end.wait(self.interval):
            meter, now = self._meter(), time.perf_counter()
            if meter is None:
                return
            log.info("%s", meter.line(since))
            since = now
            del meter
