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
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from ...core.evaluator import Job, Outcomes
from ...core.limits import Limits
from ._remote import LostTarget, Remote, Supervisor
from ._wire import append_failure, pack_job, unpack_job

DONE, ENDED, BROKEN = "done", "ended", "broken"
READY, LOST, DIED = "ready", "lost", "died"
OVER = -2
SEEN_S = 0.05
"""A row that has been running this long is told of."""
_ATTEMPTS = 3
_LOOK_S = 0.02
_LOOK_UP_S = 2.0
_REMEMBERED = 64


@dataclass(slots=True, eq=False)
class _Turn:
    """A call that needs the worker: one after the other, in the order in which the caller sent them.

    serial: its number, -1 for a call that only wants a worker.  after: it goes after this one.  called: it has the
    worker, or was ended before.  begun: its job is on its way to the worker.  first: where its rows begin in the
    journal.  ended: somebody wants its end.  news: there is something to tell of it.
    """

    serial: int
    after: int = -1
    job: Job | None = None
    begun: bool = False
    first: int = 0
    ended: bool = False
    reports: deque[tuple[int, int, Any]] = field(default_factory=deque)
    called: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, number: int, step: int, values: Any) -> None:
        """A report of the objective, which waits for `watch` to bring the study's word."""
        self.reports.append((number, step, values))
        self.news.set()


class Host:
    """One worker process, reached through Ray. A second job may wait here while one runs; where it can, it waits in the
    worker itself.

    payload: the pickled target.  name: the objective's.  objectives, constrained: of its problem.  threads, preload,
    limits: see the process evaluator.  where: gives the id of the node this runs on.
    """

    def __init__(
        self,
        payload: bytes,
        name: str,
        objectives: int,
        constrained: bool,
        threads: int | None,
        preload: list[str],
        limits: Limits | None,
        where: Callable[[], str],
    ) -> None:
        self._name, self._objectives, self._constrained = name, objectives, constrained
        self._node = where()
        self._host = socket.gethostname()
        self._supervisor = Supervisor(payload, objectives, threads, preload, limits)
        self._remote: Remote | None = None
        self._turn: _Turn | None = None
        self._next: _Turn | None = None  # its job waits in the worker
        self._killed: _Turn | None = None  # for whose sake the worker was ended
        self._waiting: list[_Turn] = []
        self._arrived: deque[int] = deque([-1], maxlen=_REMEMBERED)
        self._early: deque[int] = deque(maxlen=_REMEMBERED)
        self._began = perf_counter()
        self._jobs = self._rows = 0
        self._busy_s, self._since = 0.0, 0.0
        self._tied: asyncio.Task[None] | None = None

    # --- whose turn it is -----------------------------------------------------------------------------------------

    async def _wait(self, turn: _Turn) -> bool:
        """Until it is its turn (True), or it was ended before (False)."""
        self._waiting.append(turn)
        self._pass_on()
        if turn in self._waiting:
            self._push()
        try:
            await turn.called.wait()
        except BaseException:
            self._leave(turn)
            raise
        return self._turn is turn

    def _pass_on(self) -> None:
        turn = self._first_waiting() if self._turn is None else None
        if turn is not None:
            self._turn = turn
            self._waiting.remove(turn)
            turn.called.set()
            turn.news.set()

    def _first_waiting(self) -> _Turn | None:
        ready = [turn for turn in self._waiting if turn.after == -1 or turn.after in self._arrived]
        return min(ready, key=lambda turn: turn.serial) if ready else None

    def _push(self) -> None:
        """Give the worker the job that comes next, so that it need not wait for this process."""
        turn, remote = self._first_waiting(), self._remote
        if self._next is None and remote is not None and turn is not None and turn.job is not None:
            first = remote.follow(turn.job) if self._turn is not None and self._turn.begun else None
            if first is not None:
                self._next, turn.first = turn, first

    def _pull(self, turn: _Turn) -> bool:
        """Whether a job that waits can still go: it has not begun in the worker."""
        if turn is self._next:
            if self._remote is None or not self._remote.take_back():
                return False
            self._next = None
        return True

    def _leave(self, turn: _Turn) -> None:
        if turn in self._waiting:
            self._waiting.remove(turn)
        if self._turn is turn:
            self._turn = None
        turn.called.set()
        turn.news.set()
        self._pass_on()

    def _find(self, serial: int) -> _Turn | None:
        if self._turn is not None and self._turn.serial == serial:
            return self._turn
        return next((turn for turn in self._waiting if turn.serial == serial), None)

    # --- what is called -------------------------------------------------------------------------------------------

    async def load(self) -> tuple[str, Any]:
        """Have a worker that has loaded the objective.

        Gives (READY, facts about this actor), (LOST, (whether an import failed, text)) or (DIED, text).
        """
        if self._tied is None:
            self._tied = asyncio.ensure_future(_end_with_parent())
        turn = _Turn(-1)
        await self._wait(turn)
        try:
            remote = self._worker()
            alive = await remote.load()
            if alive:
                return READY, {"node": self._node, "host": self._host, "pid": os.getpid(), "worker": remote.name}
            ending = remote.ending()
            self._drop()
            return DIED, ending
        except LostTarget as lost:
            self._drop()
            return LOST, (lost.importing, str(lost))
        finally:
            self._leave(turn)

    async def run(self, serial: int, message: bytes, after: int = -1) -> tuple[str, bytes, bool]:
        """Run a packed job whose `stop_at` is seconds from now; gives (DONE | ENDED, pickled outcomes, whether there
        still is a worker) or (BROKEN, why, False). `serial` names the job for `watch`, `end` and `withdraw`; it does
        not begin before job `after` has come and gone.
        """
        job, reports, _, _ = unpack_job(message)
        job.stop_at += perf_counter()
        turn = _Turn(serial, after, job, ended=serial in self._early)
        hear: Any = turn.hear
        job.report = hear if reports else None
        self._arrived.append(serial)
        if turn.ended or not await self._wait(turn):
            self._pass_on()
            return ENDED, pickle.dumps(Outcomes.failed(0, self._objectives, ""), protocol=5), self._remote is not None
        self._since = perf_counter()
        try:
            kind, body = await self._run(turn, job)
        finally:
            self._busy_s += perf_counter() - self._since
            self._leave(turn)
        await asyncio.sleep(0)  # the next job goes to the worker before the answer of this one is made
        if isinstance(body, str):
            return kind, body.encode(), False
        self._jobs += 1
        self._rows += len(body)
        return kind, pickle.dumps(body, protocol=5), self._remote is not None

    async def _run(self, turn: _Turn, job: Job) -> tuple[str, Outcomes | str]:
        ending = ""
        for _ in range(_ATTEMPTS):
            if turn.ended and turn is not self._next:
                return ENDED, Outcomes.failed(0, self._objectives, "")
            remote = self._worker()
            finished = await self._done(turn, job, remote)
            outcomes = self._named(remote.outcomes(self._constrained, turn.first, turn.first + len(job)))
            if finished:
                return DONE, outcomes
            started, _, _, began = remote.journal.state
            error, ending = remote.failure(), remote.ending()
            mistaken = self._killed not in (None, turn)  # the end of another job, which was done just then
            self._drop()
            if turn.ended:
                return ENDED, outcomes
            if started - turn.first > len(outcomes) and not mistaken:
                return DONE, append_failure(outcomes, error, max(0.0, perf_counter() - began))
            if len(outcomes):
                return DONE, outcomes
        return BROKEN, ending

    async def _done(self, turn: _Turn, job: Job, remote: Remote) -> bool:
        """Have the worker run it: True when it is done, False when the worker has ended."""
        if self._next is turn:
            self._next = None
            work = remote.run_on(job)
        else:
            turn.first = 0
            work = remote.run(pack_job(job), job)
        turn.begun = True
        asyncio.get_running_loop().call_soon(self._push)
        return await work

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
        self._remote = self._next = self._killed = None

    async def end(self, serial: int) -> None:
        """End the worker that runs job `serial`, and all below it; `run` then gives what was finished."""
        if serial not in self._arrived:
            self._early.append(serial)
        turn = self._find(serial)
        if turn is None:
            return
        turn.ended = True
        if turn is not self._turn and self._pull(turn):
            self._leave(turn)
        elif self._remote is not None:
            self._killed = turn
            self._supervisor.kill(self._remote)

    async def withdraw(self, serial: int) -> None:
        """Let job `serial` go if it waits: `run` then gives ENDED and no rows. Once it has begun nothing happens."""
        turn = self._find(serial)
        if turn is not None and turn is not self._turn and self._pull(turn):
            self._leave(turn)

    async def watch(self, serial: int, seen: int, answer: bool | None) -> tuple[int, float, tuple[Any, ...] | None]:
        """Wait until there is something to tell of job `serial`: (row, seconds, report).

        answer: the study's word on the last report.  seen: the row that the caller thinks is running, -1: none.
        row: the one that has been running for `seconds` (-1: no row has for long; OVER: there is no such job here).
        report: (number, step, values) that waits for an answer, or None.
        """
        turn = self._find(serial)
        if answer is not None and self._remote is not None and turn is self._turn is not None:
            self._remote.answer(answer)
        while turn is not None and (turn is self._turn or turn in self._waiting):
            runs = turn is self._turn
            row, seconds = self._running() if runs else (-1, 0.0)
            if turn.reports:
                return row, seconds, turn.reports.popleft()
            if row != seen:
                return row, seconds, None
            turn.news.clear()
            # the only row of a job stays what it is; several are looked at again and again
            settled = seen >= 0 and turn.job is not None and len(turn.job) == 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if settled or not runs else _LOOK_S):
                    await turn.news.wait()
        return OVER, 0.0, None

    def _running(self) -> tuple[int, float]:
        turn = self._turn
        if self._remote is None or turn is None or turn.job is None or not turn.begun:
            return -1, 0.0
        started, done, _, began = self._remote.journal.state
        seconds, row = perf_counter() - began, started - 1 - turn.first
        mine = started > done and 0 <= row < len(turn.job)
        return (row, seconds) if mine and seconds >= SEEN_S else (-1, 0.0)

    async def health(self) -> dict[str, Any]:
        """What this actor has done and does, and how its machine fares."""
        import psutil

        row, running_s = self._running()
        now, works = perf_counter(), self._turn is not None and self._turn.begun
        memory = psutil.virtual_memory()
        return {
            "target": self._name,
            "node": self._node,
            "host": self._host,
            "pid": os.getpid(),
            "up_s": now - self._began,
            "busy_s": self._busy_s + (now - self._since if works else 0.0),
            "jobs": self._jobs,
            "rows": self._rows,
            "running_s": running_s if row >= 0 else 0.0,
            "waiting": len(self._waiting),
            "load": os.getloadavg()[0],
            "cpus": os.cpu_count() or 1,
            "memory_free": int(memory.available),
        }


async def _end_with_parent() -> None:
    """End this process when the one that started it has ended. Ray does that too, but where nobody reaps the dead (a
    container whose first process does not) it takes a dead raylet for a living one, and evaluations would run on.
    """
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(_LOOK_UP_S)
    os._exit(1)
