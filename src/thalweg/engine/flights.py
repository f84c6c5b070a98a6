"""The evaluating half of the loop: jobs in flight, their deadlines, and what ends them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

from ..core.batch import Status
from ..core.evaluator import Evaluator, Job, Outcomes
from ..core.target import Target
from .chunk import Chunk
from .limits import Limits
from .rows import alike, followed, joined, seeds, total
from .session import Session
from .timing import Deadline

if TYPE_CHECKING:
    import asyncio

SLICE_S = 0.02
"""Evaluators that work row by row come back after this long, so that results are recorded and told."""
TOGETHER = 32
IDLE_S = 0.1
"""Between two looks at what other processes do, while there is nothing else to do."""


@dataclass(slots=True)
class Signal:
    """What other threads and signal handlers may say to a running loop.

    draining: start nothing new.  stopping: end what runs, too.  wake: wakes the loop, from any thread.
    """

    draining: bool = False
    stopping: bool = False
    reason: str = ""
    wake: Callable[[], None] | None = None
    reports: deque[tuple[int, int, Any]] = field(default_factory=deque)

    def report(self, number: int, step: int, values: Any) -> bool:
        """An objective's intermediate result (any thread); gives whether it should stop."""
        self.reports.append((number, step, values))
        return self.stopping


class Flights:
    """Jobs in flight. landed: what came back and is not recorded yet (None: somebody else has answered it, and it is in
    the history).  failure: a fault of the evaluator itself."""

    def __init__(
        self,
        session: Session,
        target: Target,
        evaluator: Evaluator,
        limits: Limits,
        signal: Signal,
        deadline: Deadline | None,
    ) -> None:
        self.session, self.target, self.limits, self.signal = session, target, limits, signal
        self.deadline = deadline
        self.landed: deque[tuple[Chunk, Outcomes | None]] = deque()
        self.failure: BaseException | None = None
        self.flying: dict[asyncio.Task[None], Chunk] = {}
        self._rows = 0
        self._wake: asyncio.Event
        self.use(evaluator)

    def use(self, evaluator: Evaluator) -> None:
        """Evaluate with `evaluator` from now on."""
        self.evaluator = evaluator
        if self.signal.wake is not None:
            evaluator.changed = self._wake.set
        self._times_rows = type(evaluator).running_s is not Evaluator.running_s

    def prepare_to_wait(self) -> None:
        """Get ready to suspend (only where an event loop runs)."""
        import asyncio

        loop = asyncio.get_running_loop()
        self._wake = event = asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(event.set)

        self.signal.wake = wake
        self.evaluator.changed = event.set

    @property
    def rows_under_way(self) -> int:
        """Rows that are being evaluated or wait to be recorded."""
        return self._rows + (sum(len(chunk) for chunk, _ in self.landed) if self.landed else 0)

    @property
    def rows_wanted(self) -> int:
        """Rows that the evaluator could take beyond those under way."""
        evaluator = self.evaluator
        if not evaluator.suspends:
            return evaluator.rows
        return (self._most - len(self.flying)) * evaluator.rows

    @property
    def _most(self) -> int:
        """Jobs in flight: no row waits in a worker's queue that a strategy would choose better later."""
        evaluator = self.evaluator
        return evaluator.slots + (0 if self.session.strategy.speculates else evaluator.ahead)

    @property
    def suspends(self) -> bool:
        """Whether evaluations run beside the loop; else one thread does everything."""
        return self.evaluator.suspends

    @property
    def free_slots(self) -> int:
        """Jobs that could start now."""
        return self.evaluator.slots - len(self.flying)

    @property
    def rows_together(self) -> int:
        """Rows worth having at once when the strategy repeats itself."""
        return self.evaluator.slots * min(self.evaluator.rows, TOGETHER)

    # --- on this thread -------------------------------------------------------------------------------------------

    async def evaluate_here(self, queue: deque[Chunk]) -> None:
        """Evaluate the next chunk with an evaluator that does not suspend."""
        chunk = self._next_here(queue)
        if chunk is None:
            return
        before = perf_counter()
        job = self._job(chunk)
        job.stop_at = min(before + SLICE_S, self.limits.ends_at)
        rule = self.limits.rule
        if rule is not None and rule.goal is not None:
            job.goal = rule.goal * float(self.session.problem.signs[0])
        try:
            prepared = self.evaluator.prepare(job)
            outcomes = await self.evaluator.evaluate(prepared)
        except KeyboardInterrupt:
            self._interrupt()
            queue.appendleft(chunk)
            return
        spent = total(outcomes.seconds)
        spans = self.session.spans
        spans.add("objective", spent)
        spans.add("transport", max(perf_counter() - before - spent, 0.0))
        if getattr(self.evaluator, "interrupted", False):
            self._interrupt()
        self.landed.append((chunk, outcomes))

    def _next_here(self, queue: deque[Chunk]) -> Chunk | None:
        chunk = queue.popleft()
        return self._retaken(chunk, queue) if chunk.lost else chunk

    def _retaken(self, chunk: Chunk, queue: deque[Chunk]) -> Chunk | None:
        """The first row of one that a former life left open, claimed anew; None: there is nothing to evaluate."""
        if len(chunk) > 1:
            queue.appendleft(chunk.rows(slice(1, None)))
            chunk = chunk.rows(slice(0, 1))
        session, number = self.session, int(chunk.numbers[0])
        taken = session.crew.retake(chunk)
        if taken is None and session.history.final_already(number):
            self.landed.append((chunk, None))
        elif taken is None:
            session.cache.wait_for(number, int(chunk.tickets[0]), chunk.points[0])
        return taken

    def _interrupt(self) -> None:
        self.signal.draining = self.signal.stopping = True
        self.signal.reason = self.signal.reason or "interrupted"

    def _job(self, chunk: Chunk) -> Job:
        job = Job(chunk.numbers, chunk.reals, chunk.active)
        if self.target.wants_context or self.target.program is not None:
            job.seeds = seeds(self.session.seed, chunk.numbers)
            job.report = self.signal.report
        job.urgent = chunk.source == "enqueued"
        return job

    # --- in flight ------------------------------------------------------------------------------------------------

    def dispatch(self, queue: deque[Chunk]) -> None:
        """Send queued rows as long as the evaluator has free slots."""
        import asyncio

        evaluator = self.evaluator
        while queue and len(self.flying) < self._most:
            chunk = self._next(queue)
            if chunk is None:
                continue
            before = perf_counter()
            prepared = evaluator.prepare(self._job(chunk))
            self.session.spans.add("transport", perf_counter() - before)
            task = asyncio.ensure_future(self._fly(chunk, prepared))
            self.flying[task] = chunk
            self._rows += len(chunk)
            task.add_done_callback(self._arrived)

    def _next(self, queue: deque[Chunk]) -> Chunk | None:
        """The next job's rows: a part of a large chunk, or several small ones of the same kind."""
        rows = 1 if self.deadline is not None and not self._times_rows else max(1, self.evaluator.rows)
        # a fair share for every free slot: the last rows of a run must not wait behind one another
        waiting = sum(map(len, queue))
        rows = min(rows, -(-waiting // max(1, self._most - len(self.flying))))
        if self.limits.max_evals is not None:  # as the budget ends jobs become smaller (doi:10.1109/TC.1987.5009495)
            rows = min(rows, -(-(waiting + max(0, self.limits.max_evals - self.session.used)) // self._most))
        rows = max(1, rows)
        chunk = queue.popleft()
        if chunk.lost:
            return self._retaken(chunk, queue)
        if len(chunk) > rows:
            queue.appendleft(chunk.rows(slice(rows, None)))
            return chunk.rows(slice(0, rows))
        parts, have = [chunk], len(chunk)
        while queue and have + len(queue[0]) <= rows and alike(chunk, queue[0]):
            parts.append(queue.popleft())
            have += len(parts[-1])
        return joined(parts)

    async def _fly(self, chunk: Chunk, prepared: Any) -> None:
        import asyncio

        try:
            await self.evaluator.ready(prepared)
            if self.deadline is None:
                outcomes = await self.evaluator.evaluate(prepared)
            else:
                outcomes = await self._within(self.deadline, chunk.patience, prepared)
        except asyncio.CancelledError:
            done = self.evaluator.finished(prepared)
            if done is not None and len(done):
                self.landed.append((chunk.rows(slice(0, len(done))), done))
                chunk = chunk.rows(slice(len(done), None))
            if len(chunk):
                self.session.backlog.append(chunk)  # cut off by the end of the run: it runs again if the study goes on
            return
        self.landed.append((chunk, outcomes))

    async def _within(self, deadline: Deadline, patience: float, prepared: Any) -> Outcomes:
        """Evaluate under a limit of seconds per row: the row that takes longer is ended and counts as timed out.

        A learnt limit is looked at again and again: the first evaluations start before anything is known.
        """
        import asyncio

        began = perf_counter()
        task = asyncio.ensure_future(self.evaluator.evaluate(prepared))
        self.evaluator.running_s(prepared)  # an evaluator that has to ask far away which row runs hears of it early
        spent, limit = 0.0, deadline.limit() * patience
        try:
            while spent < limit:
                await asyncio.wait({task}, timeout=min(limit - spent, deadline.again_s))
                if task.done():
                    return task.result()
                known = self.evaluator.running_s(prepared)
                spent = perf_counter() - began if known is None else known
                limit = deadline.limit() * patience
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled() and task.exception() is None:
            return task.result()  # it came in while it was being ended
        width = len(self.session.problem.objectives)
        late = Outcomes.failed(1, width, f"Timeout: killed after {spent:.3g} s (limit {limit:.3g} s)", spent)
        late.statuses[:] = Status.TIMEOUT
        done = self.evaluator.finished(prepared)
        return late if done is None or not len(done) else followed(done, late)

    def _arrived(self, task: asyncio.Task[None]) -> None:
        chunk = self.flying.pop(task)
        self._rows -= len(chunk)
        if not task.cancelled() and task.exception() is not None:
            self.failure = task.exception()
            self.session.backlog.append(chunk)  # the evaluator broke, not the objective: it runs again next time
            self.signal.stopping = True
        self._wake.set()

    async def wait(self) -> None:
        """Until something lands, somebody wants to stop, or the time is up."""
        import asyncio

        if self.signal.stopping:
            await self.cancel()
            return
        self._wake.clear()
        if self.landed:
            return
        before = perf_counter()
        left = self.limits.ends_at - before
        rest = min(left, IDLE_S) if self.session.crew.several else left
        try:
            await asyncio.wait_for(self._wake.wait(), None if rest == float("inf") else max(rest, 0.0))
        except TimeoutError:
            if rest == left:
                self.limits.check(0)
                await self.cancel()
        self.session.spans.add("idle", perf_counter() - before)

    async def idle(self) -> None:
        """A moment in which others may get further."""
        before = perf_counter()
        seconds = max(min(IDLE_S, self.limits.ends_at - before), 0.0)
        if self.suspends:
            import asyncio

            await asyncio.sleep(seconds)
        else:
            sleep(seconds)
        self.session.spans.add("idle", perf_counter() - before)

    async def cancel(self) -> None:
        """End everything that flies; what was cut off waits in the backlog."""
        if not self.flying:
            return
        import asyncio

        tasks = list(self.flying)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
