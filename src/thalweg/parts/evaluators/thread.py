"""Long-lived threads in this process: for objectives that wait, or that release the interpreter lock."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from time import perf_counter
from typing import Any

from ...core.context import Report
from ...core.evaluator import Evaluator, Job, Outcomes
from ...core.target import Target
from ._chunks import ChunkSize
from ._rows import Calls, Rows, call, check_workers, context_of, opened, refuse


@dataclass(slots=True, eq=False)
class _Task:
    target: Target
    calls: Calls
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Outcomes]
    dropped: threading.Event = field(default_factory=threading.Event)


class Thread(Evaluator):
    """`workers` threads, each with one job in flight. Not killable: a function cannot be ended from outside.

    A cancelled job ends after the row that runs; its results are dropped. `aclose` waits for rows that still run.
    """

    def __init__(self, workers: int = 4, max_rows: int = 256) -> None:
        self._workers = check_workers(workers, "thread")
        self._chunks = ChunkSize(most=max_rows)
        self._target: Target | None = None
        self._queue: SimpleQueue[_Task | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    @property
    def slots(self) -> int:
        """Jobs in flight: one per thread."""
        return self._workers

    @property
    def rows(self) -> int:
        """Rows per job: about 30 ms of work, one while times are unknown."""
        return self._chunks.rows

    def open(self, target: Target) -> None:
        """Get ready; the threads start with the first jobs."""
        refuse(target, "thread")
        self._target = target

    def prepare(self, job: Job) -> Calls:
        """Decode the points."""
        return Calls.of(opened(self._target), job)

    async def evaluate(self, prepared: Any) -> Outcomes:
        """Hand the job to a free thread."""
        loop = asyncio.get_running_loop()
        task = _Task(opened(self._target), prepared, loop, loop.create_future())
        if len(self._threads) < self._workers:
            self._start()
        self._queue.put(task)
        try:
            outcomes = await task.done
        except asyncio.CancelledError:
            task.dropped.set()
            raise
        self._chunks.observe(outcomes)
        return outcomes

    def _start(self) -> None:
        name = f"thalweg-{len(self._threads)}"
        # Daemons: an objective that never returns must not keep the interpreter from ending.
        thread = threading.Thread(target=_serve, args=(self._queue,), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    async def aclose(self) -> None:
        """End the threads, after the rows they are in."""
        self._target = None
        threads, self._threads = self._threads, []
        for _ in threads:
            self._queue.put(None)
        pause = 0.0005
        while any(thread.is_alive() for thread in threads):
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.05)
        self._queue = SimpleQueue()


def _serve(queue: SimpleQueue[_Task | None]) -> None:
    while (task := queue.get()) is not None:
        if task.dropped.is_set():
            continue
        outcomes = _run(task)
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            task.loop.call_soon_threadsafe(_settle, task.done, outcomes)
        del task, outcomes


def _settle(future: asyncio.Future[Outcomes], outcomes: Outcomes) -> None:
    if not future.done():
        future.set_result(outcomes)


def _run(task: _Task) -> Outcomes:
    target, job = task.target, task.calls.job
    rows, report = Rows(target), _reporter(task)
    for index, argument in enumerate(task.calls.arguments):
        context = context_of(job, index, report) if target.wants_context else None
        before = perf_counter()
        row = call(target, argument, context, interrupts=False)
        now = perf_counter()
        rows.add(row, now - before)
        if row.values[0] <= job.goal or now >= job.stop_at or task.dropped.is_set():
            break
    return rows.outcomes(threading.current_thread().name)


def _reporter(task: _Task) -> Report | None:
    """The job's report, run on the loop's thread: what listens there need not be safe for threads."""
    report = task.calls.job.report
    if report is None:
        return None

    def ask(number: int, step: int, values: float | Mapping[str, float]) -> bool:
        answer: concurrent.futures.Future[bool] = concurrent.futures.Future()

        def on_loop() -> None:
            try:
                answer.set_result(report(number, step, values))
            except BaseException as error:
                answer.set_exception(error)

        try:
            task.loop.call_soon_threadsafe(on_loop)
        except RuntimeError:  # the loop was closed: the study is over
            return True
        while not task.dropped.is_set() and not task.loop.is_closed():
            with contextlib.suppress(concurrent.futures.TimeoutError):
                return answer.result(timeout=1.0)
        return True

    return ask
