"""What lives on a Ray node: an actor that holds one worker process and gives it jobs. No Ray in here.

The objective runs in a child of the actor, under the supervisor of the process evaluator. So a crash, a hang or a
deadline costs a child (started again in milliseconds), never an actor (seconds), and the journal in shared memory tells
exactly which rows were finished. An actor that does die was ended from outside: by its node, or by Ray.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import socket
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any

from ...core.evaluator import Job, Outcomes
from ._remote import LostTarget, Remote, Supervisor
from ._wire import append_failure, pack_job, unpack_job

DONE, ENDED, BROKEN = "done", "ended", "broken"
READY, LOST, DIED = "ready", "lost", "died"
SEEN_S = 0.05
"""A row that has been running this long is told of."""
_ATTEMPTS = 3
_LOOK_S = 0.02


class Host:
    """One worker process, reached through Ray.

    payload: the pickled target.  objectives, constrained: of its problem.  threads, preload: see the process evaluator.
    where: gives the id of the node this runs on.
    """

    def __init__(
        self,
        payload: bytes,
        objectives: int,
        constrained: bool,
        threads: int | None,
        preload: list[str],
        where: Callable[[], str],
    ) -> None:
        self._objectives, self._constrained = objectives, constrained
        self._node = where()
        self._host = socket.gethostname()
        self._supervisor = Supervisor(payload, objectives, threads, preload)
        self._remote: Remote | None = None
        self._job: Job | None = None
        self._serial = self._ended = -1
        self._reports: deque[tuple[int, int, Any]] = deque()
        self._news = asyncio.Event()
        self._began = perf_counter()
        self._jobs = self._rows = 0
        self._busy_s = 0.0

    async def load(self) -> tuple[str, Any]:
        """Have a worker that has loaded the objective.

        Gives (READY, facts about this actor), (LOST, (whether an import failed, text)) or (DIED, text).
        """
        remote = self._worker()
        try:
            alive = await remote.load()
        except LostTarget as lost:
            self._drop()
            return LOST, (lost.importing, str(lost))
        if alive:
            return READY, {"node": self._node, "host": self._host, "pid": os.getpid(), "worker": remote.name}
        ending = remote.ending()
        self._drop()
        return DIED, ending

    async def run(self, serial: int, message: bytes) -> tuple[str, bytes, bool]:
        """Run a packed job whose `stop_at` is seconds from now; gives (DONE | ENDED, pickled outcomes, whether there
        still is a worker) or (BROKEN, why, False). `serial` names the job for `watch` and `end`.
        """
        job, reports = unpack_job(message)
        job.stop_at += perf_counter()
        hear: Any = self._hear
        job.report = hear if reports else None
        self._serial, self._job = serial, job
        self._reports.clear()
        before = perf_counter()
        try:
            kind, body = await self._run(serial, job)
        finally:
            self._job = None
            self._news.set()
            self._busy_s += perf_counter() - before
        if isinstance(body, str):
            return kind, body.encode(), False
        self._jobs += 1
        self._rows += len(body)
        return kind, pickle.dumps(body, protocol=5), self._remote is not None

    async def _run(self, serial: int, job: Job) -> tuple[str, Outcomes | str]:
        ending = ""
        packed = pack_job(job)
        for _ in range(_ATTEMPTS):
            if self._ended == serial:
                return ENDED, Outcomes.failed(0, self._objectives, "")
            remote = self._worker()
            finished = await remote.run(packed, job)
            outcomes = self._named(remote.outcomes(self._constrained))
            if finished:
                return DONE, outcomes
            started, done, _status, began = remote.journal.state
            ending = remote.ending()
            self._drop()
            if self._ended == serial:
                return ENDED, outcomes
            if started > done:
                error = f"WorkerDied: the process that evaluated this point ended: {ending}"
                return DONE, append_failure(outcomes, error, max(0.0, perf_counter() - began))
            if done:
                return DONE, outcomes
        return BROKEN, ending

    def _named(self, outcomes: Outcomes) -> Outcomes:
        outcomes.worker = f"{self._host} {outcomes.worker}"
        return outcomes

    def _worker(self) -> Remote:
        if self._remote is None:
            self._remote = self._supervisor.start_worker()
        return self._remote

    def _drop(self) -> None:
        if self._remote is not None:
            self._remote.close()
        self._remote = None

    async def end(self, serial: int) -> None:
        """End the worker that runs job `serial`, and all below it; `run` then gives what was finished."""
        self._ended = serial
        if self._serial == serial and self._job is not None and self._remote is not None:
            self._supervisor.kill(self._remote)

    def _hear(self, number: int, step: int, values: Any) -> None:
        """A report of the objective, which waits for `watch` to bring the study's word."""
        self._reports.append((number, step, values))
        self._news.set()

    async def watch(self, serial: int, seen: int, answer: bool | None) -> tuple[int, float, tuple[Any, ...] | None]:
        """Wait until there is something to tell of job `serial`: (row, seconds, report).

        answer: the study's word on the last report.  seen: the row that the caller thinks is running, -1: none.
        row: the one that has been running for `seconds` (-1: no row has for long; -2: the job is over).  report:
        (number, step, values) that waits for an answer, or None.
        """
        if answer is not None and self._remote is not None and self._serial == serial:
            self._remote.answer(answer)
        while self._serial == serial and self._job is not None and self._remote is not None:
            if self._reports:
                return (*self._running(), self._reports.popleft())
            row, seconds = self._running()
            if row != seen:
                return row, seconds, None
            self._news.clear()
            # the only row of a job stays what it is; several are looked at again and again
            patience = None if seen >= 0 and len(self._job) == 1 else _LOOK_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._news.wait()
        return -2, 0.0, None

    def _running(self) -> tuple[int, float]:
        if self._remote is None:
            return -1, 0.0
        started, done, _, began = self._remote.journal.state
        seconds = perf_counter() - began
        return (started - 1, seconds) if started > done and seconds >= SEEN_S else (-1, 0.0)

    async def health(self) -> dict[str, Any]:
        """What this actor has done and does, and how its machine fares."""
        import psutil

        row, running_s = self._running() if self._job is not None else (-1, 0.0)
        memory = psutil.virtual_memory()
        return {
            "node": self._node,
            "host": self._host,
            "pid": os.getpid(),
            "up_s": perf_counter() - self._began,
            "busy_s": self._busy_s,
            "jobs": self._jobs,
            "rows": self._rows,
            "running_s": running_s if row >= 0 else 0.0,
            "load": os.getloadavg()[0],
            "cpus": os.cpu_count() or 1,
            "memory_free": int(memory.available),
        }
