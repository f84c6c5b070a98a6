"""Watches what the machine uses, keeps a history, and calls when a threshold is exceeded."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from ...core.errors import ProblemError
from .sampling import Sampler, SystemStats

METRICS: dict[str, Callable[[SystemStats], float]] = {
    "cpu_usage": lambda stats: stats.cpu.usage_percent,
    "memory_usage": lambda stats: stats.memory.percent,
    "load_average": lambda stats: stats.cpu.load_average[0],
    "thread_count": lambda stats: float(stats.cpu.thread_count),
}
"""What thresholds are about: percent, percent, processes (over one minute), threads."""

_log = logging.getLogger(__name__)
Callback = Callable[[str, float, float], Any]


class ResourceMonitor:
    """Samples every `interval` seconds between `start` and `stop`, and keeps the newest `history_size` samples.

    Also an async context that starts and stops. Thresholds are looked at with each sample; a callback, plain or async,
    is called with (metric, value, threshold) when a value rises above its threshold, and again only after it was below.
    """

    def __init__(self, interval: float = 1.0, history_size: int = 3600) -> None:
        if not interval > 0:
            raise ProblemError(f"interval: seconds > 0 are expected, got {interval!r}")
        if isinstance(history_size, bool) or not isinstance(history_size, int) or history_size < 1:
            raise ProblemError(f"history_size: a whole number >= 1 is expected, got {history_size!r}")
        self.interval = interval
        self._history: deque[SystemStats] = deque(maxlen=history_size)
        self._sampler = Sampler()
        self._thresholds: dict[str, float] = {}
        self._above: set[str] = set()
        self._callbacks: list[Callback] = []
        self._task: asyncio.Task[None] | None = None

    def set_threshold(self, metric: str, threshold: float) -> None:
        """Call when `metric` (cpu_usage, memory_usage, load_average or thread_count) exceeds `threshold`."""
        if metric not in METRICS:
            raise ProblemError(f"threshold: unknown metric {metric!r}; known: {', '.join(METRICS)}")
        self._thresholds[metric] = float(threshold)
        self._above.discard(metric)

    def on_threshold_exceeded(self, callback: Callback) -> Callback:
        """Register a callback (also as a decorator)."""
        self._callbacks.append(callback)
        return callback

    @property
    def running(self) -> bool:
        """Whether samples are taken."""
        return self._task is not None and not self._task.done()

    async def start(self) -> None:
        """Begin to sample; the first sample is taken now. Starting twice is fine."""
        if not self.running:
            await self._look()
            self._task = asyncio.ensure_future(self._sample())

    async def stop(self) -> None:
        """Stop sampling; the history stays. Stopping twice is fine."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def __aenter__(self) -> ResourceMonitor:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def get_current_stats(self) -> SystemStats:
        """A sample of now, whether or not the monitor runs; it is not part of the history."""
        return self._sampler.sample()

    def get_history(self, start: float | None = None, end: float | None = None) -> list[SystemStats]:
        """Samples with start <= timestamp <= end (unix time; None: no limit), oldest first."""
        return [
            item
            for item in self._history
            if (start is None or item.timestamp >= start) and (end is None or item.timestamp <= end)
        ]

    async def _sample(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + self.interval, loop.time())  # a late sample does not make the next ones hurry
            await asyncio.sleep(due - loop.time())
            await self._look()

    async def _look(self) -> None:
        stats = self._sampler.sample()
        self._history.append(stats)
        for metric, threshold in self._thresholds.items():
            value = METRICS[metric](stats)
            if value <= threshold:
                self._above.discard(metric)
            elif metric not in self._above:
                self._above.add(metric)
                await self._call(metric, value, threshold)

    async def _call(self, metric: str, value: float, threshold: float) -> None:
        for callback in self._callbacks:
            try:
                given = callback(metric, value, threshold)
                if inspect.isawaitable(given):
                    await given
            except Exception:  # a callback must not end the watch
                _log.exception("a callback of the resource monitor failed")
