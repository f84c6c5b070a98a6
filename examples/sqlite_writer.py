"""An asyncio service that writes rows into SQLite, tuned: batch size, workers and waiting time, at fixed durability.

    python examples/sqlite_writer.py [evaluations]

Producers put rows into a queue; each worker takes up to `batch` of them and commits them in a thread. Every commit is
durable (journal_mode=WAL, synchronous=FULL: an fsync each) whatever is tuned: that is not for sale.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from thalweg.apps.services.executor import TaskExecutor
from thalweg.apps.services.performance import PerformanceOptimizer, measured
from thalweg.core.parameter import Float, Integer

SPACE = {
    "batch": Integer(1, 2000, log=True),
    "workers": Integer(1, 8),
    "max_wait_ms": Float(0.0, 20.0),
}
NAIVE = {"batch": 1, "workers": 1, "max_wait_ms": 0.0}
LEAST_S, MOST_ROWS = 0.4, 40_000
"""A measurement goes on until so many seconds have passed or so many rows are written."""


class Writer:
    """Rows go in by `put`, and come back committed."""

    def __init__(self, path: Path, batch: int, max_wait_ms: float) -> None:
        self._path, self._batch, self._wait = path, batch, max_wait_ms / 1000.0
        self._rows: asyncio.Queue[tuple[int, str]] = asyncio.Queue(maxsize=10_000)
        self._lock = asyncio.Lock()  # SQLite has one writer at a time: wait here, not in a busy loop
        self.written = 0

    async def produce(self, until: float) -> None:
        """Put rows in until it is time, and some have been written."""
        index = 0
        while (perf_counter() < until or not self.written) and index < MOST_ROWS:
            await self._rows.put((index, f"event {index}"))
            index += 1

    async def work(self, executor: TaskExecutor, until: float) -> None:
        """Take batches and commit them: one at least, however long a busy machine took to connect."""
        connection = await executor.run_in_thread(connect, self._path)
        while (perf_counter() < until or not self.written) and self.written < MOST_ROWS:
            rows = await self._take()
            if rows:
                async with self._lock:
                    await executor.run_in_thread(commit, connection, rows)
                self.written += len(rows)
        await executor.run_in_thread(connection.close)

    async def _take(self) -> list[tuple[int, str]]:
        rows: list[tuple[int, str]] = []
        deadline = perf_counter() + self._wait
        while len(rows) < self._batch:
            if not self._rows.empty():
                rows.append(self._rows.get_nowait())
                continue
            left = deadline - perf_counter()
            if rows and left <= 0:
                break
            try:
                rows.append(await asyncio.wait_for(self._rows.get(), max(left, 0.001)))
            except TimeoutError:
                break
        return rows


def connect(path: Path) -> sqlite3.Connection:
    """A connection whose commits are durable."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS event (number INTEGER, body TEXT)")
    return connection


def commit(connection: sqlite3.Connection, rows: list[tuple[int, str]]) -> None:
    """Write rows in one durable transaction."""
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO event VALUES (?, ?)", rows)
    connection.execute("COMMIT")


async def rows_per_second(params: dict[str, Any]) -> float:
    """What the service writes with these settings."""
    with tempfile.TemporaryDirectory(prefix="thalweg-writer-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "events.db"
        connect(path).close()
        writer = Writer(path, params["batch"], params["max_wait_ms"])
        began = perf_counter()
        async with TaskExecutor(max_workers=params["workers"]) as executor:
            producer = executor.create_task(writer.produce(began + LEAST_S))
            works = [executor.create_task(writer.work(executor, began + LEAST_S)) for _ in range(params["workers"])]
            await asyncio.gather(*works)
            producer.cancel()
            await asyncio.gather(producer, return_exceptions=True)
        took = perf_counter() - began
        stored = sqlite3.connect(path)
        (count,) = stored.execute("SELECT count(*) FROM event").fetchone()
        stored.close()
        if count != writer.written:
            raise RuntimeError(f"{writer.written} rows were acknowledged, {count} are there")
        return float(writer.written / took)


async def seconds_per_row(params: dict[str, Any]) -> float:
    """Made small."""
    return 1.0 / await rows_per_second(params)


async def tune(evaluations: int, seed: int = 0) -> tuple[dict[str, Any], float, float]:
    """(best settings, their rows per second, those of batch 1), the naive settings being tried first."""
    optimizer = PerformanceOptimizer(seconds_per_row, SPACE, metric="seconds_per_row", initial=[NAIVE])
    result = await optimizer.optimize_performance(max_evals=evaluations, seed=seed)
    naive = next(trial for trial in result.trials if trial.params["batch"] == 1 and trial.params["workers"] == 1)
    return result.params, 1.0 / measured(result), 1.0 / float(2.718281828459045**naive.value)


def main() -> None:
    """Tune, print."""
    params, best, naive = asyncio.run(tune(int(sys.argv[1]) if len(sys.argv) > 1 else 30))
    print(f"batch 1: {naive:,.0f} rows/s; {params}: {best:,.0f} rows/s, {best / naive:,.0f} times as many, as durable")


if __name__ == "__main__":
    main()
