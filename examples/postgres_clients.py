"""A PostgreSQL service, tuned: how many clients read at once, and work_mem of a session, which needs no restart.

    python examples/postgres_clients.py postgresql://user@host/database

Two searches. Clients: how many connections serve point reads best (data in memory, so the CPU decides). Memory: a live
tuner turns work_mem with SET while a report runs again and again; what would cost durability (synchronous_commit,
fsync, ...) is on its deny-list, and is refused as a knob.
"""

from __future__ import annotations

import asyncio
import sys
from time import perf_counter
from typing import Any

import numpy as np
import psycopg

from thalweg.apps.services.benchmark import Benchmark, benchmark
from thalweg.apps.services.guard import Guard
from thalweg.apps.services.knob import Knob
from thalweg.apps.services.live import LiveTuner
from thalweg.apps.services.performance import PerformanceOptimizer
from thalweg.apps.services.window import Window
from thalweg.core.errors import ProblemError
from thalweg.core.parameter import Integer
from thalweg.engine.result import Result

ROWS, READS, CLIENTS = 20_000, 600, 16
REPORT = "SELECT owner, count(*), sum(balance) FROM account GROUP BY owner ORDER BY 3 DESC"


async def fill(address: str) -> None:
    """A table of accounts."""
    async with await psycopg.AsyncConnection.connect(address, autocommit=True) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS account (id int PRIMARY KEY, owner int, balance int)")
        await connection.execute("TRUNCATE account")
        await connection.execute(
            "INSERT INTO account SELECT n, n * 7919 %% 5000, n %% 977 FROM generate_series(1, %s) n", [ROWS]
        )
        await connection.execute("ANALYZE account")


class Readers:
    """Connections that are opened once; `run` reads with some of them."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._open: list[psycopg.AsyncConnection[Any]] = []

    async def __aenter__(self) -> Readers:
        for _ in range(CLIENTS):
            self._open.append(await psycopg.AsyncConnection.connect(self._address, autocommit=True))
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._open:
            await connection.close()

    async def run(self, params: dict[str, Any]) -> Benchmark:
        """Point reads by so many clients."""
        free = list(self._open[: params["clients"]])

        async def read(index: int) -> None:
            connection = free.pop()
            try:
                key = index * 7919 % ROWS + 1
                await connection.execute("SELECT balance FROM account WHERE id = %s", [key], prepare=True)
            finally:
                free.append(connection)

        return await benchmark(read, READS, concurrency=params["clients"], warmup=50)


async def tune_clients(address: str, evaluations: int = 12, seed: int = 0) -> Result:
    """The number of clients with the shortest time for all reads."""
    async with Readers(address) as readers:
        optimizer = PerformanceOptimizer(readers.run, {"clients": Integer(1, CLIENTS, log=True)})
        return await optimizer.optimize_performance(max_evals=evaluations, seed=seed)


async def tune_memory(address: str, windows: int = 20, seed: int = 0, **options: Any) -> LiveTuner:
    """A live tuner that turns work_mem (kB) of the session that reports."""
    async with await psycopg.AsyncConnection.connect(address, autocommit=True) as connection:

        async def set_memory(value: int) -> None:
            await connection.execute("SELECT set_config('work_mem', %s, false)", [f"{value}kB"])

        async def get_memory() -> int:
            cursor = await connection.execute("SELECT setting::int FROM pg_settings WHERE name = 'work_mem'")
            row = await cursor.fetchone()
            return int(row[0]) if row is not None else 0

        async def measure() -> Window:
            began, latencies = perf_counter(), []
            for _ in range(10):
                before = perf_counter()
                await (await connection.execute(REPORT)).fetchall()
                latencies.append(perf_counter() - before)
            return Window(np.array(latencies), perf_counter() - began)

        knob = Knob("work_mem", Integer(64, 65_536, log=True), set_memory, get_memory)
        tuner = LiveTuner(
            measure,
            [knob],
            metric="p50",
            guard=Guard(tail=2.0, n_min=5),
            slices=2,
            seed=seed,
            name="work_mem",
            **options,
        )
        await tuner.run(windows)
        return tuner


async def check_clients(address: str, clients: int, pairs: int = 8) -> str:
    """So many clients against one, measured again, in turn: what the search saw flatters what it chose."""
    async with Readers(address) as readers:
        logs = []
        for _ in range(pairs):
            one, many = [(await readers.run({"clients": count})).throughput for count in (1, clients)]
            logs.append(np.log(many / one))
    return verdict(f"{clients} clients read more than one does", np.array(logs))


async def check_memory(address: str, before: int, after: int, pairs: int = 15) -> str:
    """The report with `work_mem` (kB) as it was and as it is now, in turn."""
    if before == after:
        return f"work_mem stays at {before} kB: nothing that was tried was better by 3 % and beyond noise"
    logs = []
    async with await psycopg.AsyncConnection.connect(address, autocommit=True) as connection:
        for _ in range(pairs):
            medians = []
            for value in (before, after):
                await connection.execute("SELECT set_config('work_mem', %s, false)", [f"{value}kB"])
                spent = []
                for _ in range(10):
                    began = perf_counter()
                    await (await connection.execute(REPORT)).fetchall()
                    spent.append(perf_counter() - began)
                medians.append(np.median(spent))
            logs.append(np.log(medians[0] / medians[1]))
    return verdict(f"work_mem {after} kB makes more reports than {before} kB", np.array(logs))


def verdict(claim: str, logs: Any) -> str:
    """logs: (n,) logarithms of ratios, one per pair. The claim counts where it exceeds two standard errors."""
    mean, error = float(logs.mean()), float(logs.std(ddof=1) / np.sqrt(len(logs)))
    low, high = np.expm1(mean - 2 * error), np.expm1(mean + 2 * error)
    said = "it holds" if low > 0 else "that is not shown"
    return f"{claim}: by {np.expm1(mean):+.0%} ({low:+.0%} to {high:+.0%} in {len(logs)} pairs): {said}"


async def compare(address: str) -> None:
    """Both searches, what they are worth when it is measured again, and a knob that is refused."""
    await fill(address)
    result = await tune_clients(address)
    clients = int(result.recommend().params["clients"])
    print(f"clients: {clients}, after {result.evaluations} evaluations")
    print(await check_clients(address, clients))
    tuner = await tune_memory(address)
    first = next(line for line in tuner.audit() if line["event"] == "started")["settings"]
    print(f"work_mem: {tuner.tally}")
    print(await check_memory(address, first["work_mem"], tuner.settings["work_mem"]))
    try:
        LiveTuner(None, [Knob("synchronous_commit", Integer(0, 1), print, int)])  # type: ignore[arg-type]
    except ProblemError as error:
        print(error)


if __name__ == "__main__":
    asyncio.run(compare(sys.argv[1]))
