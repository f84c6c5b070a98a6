"""One job on its way to an actor: watched, ended when cancelled, evaluated again where its node was lost."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import pickle
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np

from ...core.batch import Status
from ...core.errors import EvaluatorError
from ...core.evaluator import Job, Outcomes
from ._chunks import MOST
from ._ray_fleet import Cluster, Fleet, Lost, Slot
from ._ray_host import BROKEN, ENDED, OVER, READY, SEEN_S
from ._wire import pack_job

WATCH_S = 0.6
"""Where there is a deadline, which has to know which row runs, jobs are watched that take longer than this."""
END_S = 10.0
"""An actor that does not end its worker within this long is ended itself."""
NODES = 3
"""A row that was under way on this many nodes when they were lost has failed."""

_serials = itertools.count()


class Flight:
    """A job. slot: the actor it has, or waits in.  kept: the rows finished before it was cut off."""

    def __init__(self, cluster: Cluster, fleet: Fleet, job: Job, objectives: int) -> None:
        self._cluster, self._fleet, self.job = cluster, fleet, job
        self._objectives = objectives
        self.slot: Slot | None = None
        self.kept = Outcomes.failed(0, objectives, "")
        self._row, self._began = -1, 0.0
        self._lost = 0
        self.serial = -1
        """The number of the call that runs it, -1 before it is sent."""
        self._alone = True
        self._fault: BaseException | None = None
        self._leads = asyncio.Event()
        self._asked, self._pressed = asyncio.Event(), asyncio.Event()

    async def board(self) -> None:
        """Have an actor that has loaded the objective. Urgent jobs are served first, then earlier trials."""
        if self.slot is None:
            self._leads.clear()
            self.slot = await self._fleet.take(self, (not self.job.urgent, int(self.job.numbers[0])))
        if self.slot.cold and self._leads.is_set():
            await self._warm(self.slot)

    def lead(self) -> None:
        """Nobody is before it at its actor any more: it runs."""
        self._leads.set()
        if self.serial >= 0 and self.slot is not None:
            self._begin(self.slot)

    def _begin(self, slot: Slot) -> None:
        """Of several rows, and while a new worker starts, only the actor knows which one runs."""
        self._began = perf_counter()
        self._row = 0 if self._alone and not slot.cold else -1

    def recall(self) -> None:
        """Ask the actor to give it back, unless it has begun."""
        if self.serial >= 0 and self.slot is not None and not self._leads.is_set():
            _ignore(self._cluster.call(self.slot.handle, "withdraw", self.serial))

    async def _warm(self, slot: Slot) -> None:
        """Its worker has ended: wait for the next one, before any deadline begins."""
        try:
            kind, told = await self._cluster.call(slot.handle, "load")
        except Lost:
            self._give_up()
            return await self.board()
        except BaseException:
            self._land()
            raise
        if kind != READY:
            self._give_up()
            raise EvaluatorError(f"a new worker process on the cluster cannot load the objective: {told}")
        slot.cold = False
        return None

    def running_s(self) -> float:
        """Seconds the row under way has been running, as far as is known: rather too few than too many."""
        if self._asked.is_set():
            self._pressed.set()
        self._asked.set()
        return perf_counter() - self._began if self._row >= 0 else 0.0

    async def fly(self) -> Outcomes:
        """Evaluate. The rows of a lost node run again elsewhere; who ended its actor otherwise has failed.

        Raises:
            EvaluatorError: the cluster has no place for it any more, or workers cannot start there.
        """
        single = False
        while len(self.kept) < len(self.job):
            start = len(self.kept)
            rest = _rows(self.job, start, min(len(self.job), start + (1 if single else MOST)))
            await self.board()
            try:
                outcomes = await self._send(rest)
            except Lost as lost:
                begun = self._leads.is_set()
                self._give_up()
                if not begun:
                    continue
                self._lost += 1
                fatal = self._lost >= NODES if lost.node else True
                if fatal and len(rest) == 1:
                    return chained(self.kept, self._failed(lost))
                single = single or not lost.node or self._lost >= NODES - 1
                continue
            self._land()
            if outcomes is None:  # called back: another actor is idle
                continue
            self.kept = chained(self.kept, outcomes)
            self._lost = 0
            if not single or self._enough(outcomes):
                break
        return self.kept

    def _enough(self, outcomes: Outcomes) -> bool:
        values, statuses = outcomes.values[:, 0], outcomes.statuses
        late = perf_counter() >= self.job.stop_at
        return late or bool((statuses != Status.DONE).any() or (values <= self.job.goal).any())

    def _failed(self, lost: Lost) -> Outcomes:
        if lost.node:
            error = f"NodeLost: {NODES} nodes were lost while they evaluated this point; the last: {lost}"
        else:
            error = f"WorkerDied: the actor that evaluated this point ended: {lost}"
        return Outcomes.failed(1, self._objectives, error, perf_counter() - self._began)

    def _land(self) -> None:
        slot, self.slot = self.slot, None
        self._row = self.serial = -1
        if slot is not None:
            self._fleet.give_back(slot, self)

    def _give_up(self, looping: bool = True) -> None:
        slot, self.slot = self.slot, None
        self._row = self.serial = -1
        if slot is not None:
            (self._fleet.lose if looping else self._fleet.discard)(slot)

    async def _send(self, job: Job) -> Outcomes | None:
        """Run `job` in the actor that was taken; None: it was called back before it began."""
        assert self.slot is not None
        handle, serial = self.slot.handle, next(_serials)
        self.serial, self._alone = serial, len(job) == 1
        after = -1
        if self._leads.is_set():
            self._begin(self.slot)
        else:
            after = self.slot.jobs[0].serial
        message = pack_job(replace(job, stop_at=job.stop_at - perf_counter()))
        call = self._cluster.call(handle, "run", serial, message, after)
        self._fleet.sent(self.slot)
        watched = job.report is not None or not (self._alone and self._row == 0)
        watcher = asyncio.ensure_future(self._watch(handle, serial, job, call)) if watched else None
        try:
            kind, body, warm = await asyncio.shield(call)
            self.slot.cold = not warm
        except asyncio.CancelledError:
            self._keep(await self._end(handle, serial, call))
            raise
        except BaseException as error:
            if not isinstance(error, (Lost, EvaluatorError)):  # closed in the middle: nothing can be awaited
                self._give_up(looping=False)
            raise
        finally:
            if watcher is not None:
                watcher.cancel()
        if self._fault is not None:
            self._land()
            raise self._fault
        if kind == BROKEN:
            self._land()
            raise EvaluatorError(
                f"worker processes on the cluster end before they evaluate anything: {body.decode()}; does the "
                "objective's module start something when it is imported, or is memory short?"
            )
        return None if kind == ENDED else self._read(body)

    def _read(self, body: bytes) -> Outcomes:
        outcomes: Outcomes = pickle.loads(body)  # noqa: S301 (from our own actor, through Ray)
        return outcomes

    def _keep(self, answer: tuple[str, bytes, bool] | None) -> None:
        """Note what a job that was cut off had finished."""
        if answer is None or self.slot is None:
            return self._give_up()
        if answer[0] != BROKEN:
            self.kept = chained(self.kept, self._read(answer[1]))
        self.slot.cold = not answer[2]
        return self._land()

    async def _end(self, handle: Any, serial: int, call: asyncio.Future[Any]) -> tuple[str, bytes, bool] | None:
        """End what runs; gives what `run` answers then, None where the actor does not answer and has to go."""
        try:
            if not call.done():
                ending = self._cluster.call(handle, "end", serial)
                await asyncio.wait({ending, call}, timeout=END_S, return_when=asyncio.FIRST_EXCEPTION)
                _ignore(ending)
            if call.done() and call.exception() is None:
                answer: tuple[str, bytes, bool] = call.result()
                return answer
        except BaseException:
            self._give_up()
            raise
        finally:
            _ignore(call)
        return None

    async def _watch(self, handle: Any, serial: int, job: Job, call: asyncio.Future[Any]) -> None:
        """Learn which row runs, and bring reports to the study and its word back."""
        if job.report is None and not await self._worth_watching():
            return
        row, word = -1, None
        try:
            while not call.done():
                row, seconds, report = await self._cluster.call(handle, "watch", serial, row, word)
                if row == OVER:  # or the job has not arrived yet, being longer than this call
                    await asyncio.sleep(SEEN_S)
                    continue
                self._row, self._began = row, perf_counter() - seconds
                word = None
                if report is not None and job.report is not None:
                    word = bool(job.report(*report))
        except (Lost, EvaluatorError):  # `run` tells of that
            pass
        except Exception as error:  # of the one who hears reports: the objective waits for a word that never comes
            self._fault = error
            _ignore(self._cluster.call(handle, "end", serial))

    async def _worth_watching(self) -> bool:
        """Wait until it runs, and somebody asks for how long, and asks again or it runs on."""
        await self._leads.wait()
        await self._asked.wait()
        if self._row >= 0:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WATCH_S):
                await self._pressed.wait()
        return True


def _ignore(future: asyncio.Future[Any]) -> None:
    """Nobody waits for it any more: its exception is nobody's."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())


def _rows(job: Job, start: int, stop: int) -> Job:
    if start == 0 and stop >= len(job):
        return job

    def part(array: Any) -> Any:
        return None if array is None else array[start:stop]

    return replace(
        job,
        numbers=job.numbers[start:stop],
        reals=job.reals[start:stop],
        active=part(job.active),
        fidelities=part(job.fidelities),
        seeds=part(job.seeds),
    )


def chained(first: Outcomes, second: Outcomes) -> Outcomes:
    """The rows of both."""
    if not len(first):
        return second
    count = len(first)
    violations = components = None
    if first.violations is not None or second.violations is not None:
        violations = np.concatenate(
            [np.zeros(len(item)) if item.violations is None else item.violations for item in (first, second)]
        )
    if first.components is not None or second.components is not None:
        components = [
            entry
            for item in (first, second)
            for entry in ([None] * len(item) if item.components is None else item.components)
        ]
    return Outcomes(
        np.concatenate([first.values, second.values]),
        np.concatenate([first.statuses, second.statuses]),
        np.concatenate([first.seconds, second.seconds]),
        violations,
        components,
        {**first.errors, **{count + row: text for row, text in second.errors.items()}},
        second.worker or first.worker,
    )
