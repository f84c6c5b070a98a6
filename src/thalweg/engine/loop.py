"""The loop: ask, open, evaluate, record, tell, until something ends the run.

One coroutine serves every evaluator. Those that never suspend are driven by `send(None)` on the caller's thread; the
others by asyncio, one task per job. Deadlines, retries and cancellation live here and nowhere else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.batch import Bytes8, Status
from ..core.evaluator import Evaluator, Job, Outcomes
from ..core.stopping import Progress
from ..core.target import Target
from .chunk import Chunk
from .limits import Limits
from .session import Session

if TYPE_CHECKING:
    import asyncio

    from .timing import Deadline

PATIENCE = 3
"""A strategy that gives only seen points this many times its stride in a row gets unseen ones, or a restart."""
RESTARTS = 3
SLICE_S = 0.02
"""Evaluators that work row by row come back after this long, so that results are recorded and told."""


@dataclass(slots=True)
class Options:
    """What a run does besides asking and telling. width: rows in flight in ordered mode (None: not ordered)."""

    retries: int = 0
    width: int | None = None
    deadline: Deadline | None = None
    probe: Any = None
    """Called once after the first evaluations: may give another evaluator (sub-millisecond objectives stay inline)."""


@dataclass(slots=True)
class Signal:
    """What other threads and signal handlers may say to a running loop."""

    draining: bool = False
    stopping: bool = False
    reason: str = ""
    wake: Callable[[], None] | None = None
    """Wakes the loop, from any thread."""
    reports: deque[tuple[int, int, Any]] = field(default_factory=deque)

    def report(self, number: int, step: int, values: Any) -> bool:
        """An objective's intermediate result (any thread); gives whether it should stop."""
        self.reports.append((number, step, values))
        return self.stopping


class Loop:
    """One run of a study."""

    def __init__(
        self, session: Session, target: Target, evaluator: Evaluator, limits: Limits, signal: Signal, options: Options
    ) -> None:
        self.session, self.target, self.evaluator = session, target, evaluator
        self.limits, self.signal, self.options = limits, signal, options
        self.used = session.history.n - session.outside
        self.queue: deque[Chunk] = deque()
        self.landed: deque[tuple[Chunk, Outcomes]] = deque()
        self.flying: dict[asyncio.Task[None], Chunk] = {}
        self.flying_rows = 0
        self._turn: deque[int] = deque()
        """Ordered mode: numbers in the order in which they are told."""
        self._credits = 0
        if options.width is not None:
            left = sum(len(chunk) for chunk in session.backlog if chunk.numbers[0] >= 0)
            self._credits = options.width - left - len(session.untold)
            self._turn.extend(sorted(session.untold))
        self._dry = 0
        self._restarts = 0
        self._waiting = False
        """The strategy gave nothing and has heard nothing since."""
        self._failure: BaseException | None = None
        self._wake: asyncio.Event

    async def run(self) -> str:
        """Run until something ends it; gives the reason."""
        reason = ""
        if self.evaluator.suspends or self.options.probe is not None:
            import asyncio

            loop = asyncio.get_running_loop()
            self._wake = asyncio.Event()
            self.signal.wake = lambda: loop.call_soon_threadsafe(self._wake.set) and None
        self.session.in_flight = self._under_way
        try:
            self._tell_earlier()
            while not reason:
                if self.landed:
                    self._flush()
                reason = await self._step()
        finally:
            await self._wind_up()
            self.session.in_flight, self.signal.wake = tuple, None
        if self._failure is not None:
            raise self._failure
        return reason

    def _under_way(self) -> list[Chunk]:
        return [*self.queue, *self.flying.values(), *(chunk for chunk, _ in self.landed)]

    def _tell_earlier(self) -> None:
        """Rows that an earlier run recorded but did not tell (in ordered mode their turn comes by itself)."""
        untold = self.session.untold
        while untold and self.options.width is None:
            self.session.conclude(untold.pop(min(untold)))

    async def _step(self) -> str:
        """Ask, dispatch, wait once; gives the reason when all is over."""
        ending = self._ending()
        if ending and not self.flying and not self.landed:
            return ending
        if not ending:
            if self._turn and self.session.untold:
                self._tell_in_order(False)
            stopped = self._fill()
            if stopped:
                return stopped
            await self._dispatch()
        if self.landed:
            return ""
        if self.flying:
            await self._wait()
            return ""
        return "" if self.queue else self._ending() or self._stuck()

    def _ending(self) -> str:
        """Why nothing new should start, or ''."""
        if self.signal.stopping or self.signal.draining:
            return self.signal.reason or "interrupted"
        reason = self.limits.reason
        if reason is None and perf_counter() >= self.limits.ends_at:
            reason = self.limits.check(0)
        if reason is None and not self.queue and not self.session.backlog and not self._room():
            # the budget is opened: wait for what flies, then end
            return "" if self.flying or self.landed else self.limits.check(self.used) or "the rule allows no more trials"
        return reason or ""

    def _room(self) -> int:
        rule = self.limits.rule
        budget = 1 << 40 if self.limits.max_evals is None else self.limits.max_evals - self.used
        if rule is not None:
            allowed = rule.room
            if allowed is not None:
                budget = min(budget, allowed - self._outstanding())
        return max(budget, 0)

    def _outstanding(self) -> int:
        return self.flying_rows + (sum(map(len, self.queue)) if self.queue else 0)

    # --- ask ------------------------------------------------------------------------------------------------------

    def _fill(self) -> str:
        """Keep enough rows queued; gives a reason when the strategy has nothing left."""
        session = self.session
        if session.backlog:
            self._open_backlog()
        while True:
            want = self._wanted()
            if want <= 0:
                return ""
            chunk = session.draw(want)
            if chunk is None:
                self._waiting = True
                if session.strategy.done and not self._busy():
                    return f"{session.strategy.why or 'the strategy is done'}"
                return ""
            if self.options.width is not None:
                self._credits -= len(chunk)
            if not len(chunk):
                if self._dried(want):
                    return self._dried_reason()
                continue
            self._dry = 0
            self._enqueue(chunk)

    def _wanted(self) -> int:
        """How many rows to ask for now."""
        if self._waiting:
            return 0
        if self.options.width is not None:
            return min(self._credits, self._room()) if not self.session.backlog else 0
        evaluator = self.evaluator
        if not evaluator.suspends:
            if self.queue:
                return 0
            return min(evaluator.rows, self._room()) // self.session.groups.repeats or min(1, self._room())
        capacity = (evaluator.slots - len(self.flying)) * evaluator.rows - sum(map(len, self.queue))
        repeats = self.session.groups.repeats
        return min(-(-capacity // repeats), max(self._room() // repeats, min(1, self._room()))) if capacity > 0 else 0

    def _enqueue(self, chunk: Chunk) -> None:
        chunk = self.session.reuse(chunk)
        if not len(chunk):
            self._waiting = False
            return
        opened, rest = self.session.open(chunk, self.limits.max_evals)
        if rest is not None:
            self.session.backlog.append(rest)
        if opened is not None:
            self.used += len(opened)
            self.queue.append(opened)
            if self.options.width is not None:
                self._turn.extend(opened.numbers.tolist())

    def _open_backlog(self) -> None:
        """Rows from earlier: those with numbers run again at once, the others need room first."""
        backlog, self.session.backlog = self.session.backlog, []
        room = self._room()
        for position, chunk in enumerate(backlog):
            if chunk.numbers[0] >= 0:
                self.queue.append(chunk)
                if self.options.width is not None:
                    self._turn = deque(sorted([*self._turn, *chunk.numbers.tolist()]))
                continue
            if room <= 0:
                self.session.backlog += backlog[position:]
                return
            fits = chunk.rows(slice(0, room))
            if len(fits) < len(chunk):
                self.session.backlog.append(chunk.rows(slice(room, None)))
            room -= len(fits)
            self._enqueue(fits)

    def _busy(self) -> bool:
        return bool(self.flying or self.landed or self.queue)

    def _dried(self, want: int) -> bool:
        """The strategy gave only seen points; True when nothing can be done about it."""
        session = self.session
        if session.exhausted:
            self._waiting = True  # what still flies comes in first
            return not self._busy()
        self._dry += want
        if self._dry <= PATIENCE * max(session.strategy.stride, want, 1):
            return False
        self._dry = 0
        unseen = session.unseen(max(1, min(self._room(), self.evaluator.slots * min(self.evaluator.rows, 32))))
        if unseen is not None and len(unseen):
            session.emit("switched", reason="the strategy repeats itself: points nobody has tried are evaluated")
            self._enqueue(unseen)
            self._waiting = True
            return False
        if self._busy():
            self._waiting = True
            return False
        if self._restarts >= RESTARTS or session.strategy.pending:
            return True
        self._restarts += 1
        session.emit("switched", reason="the strategy repeats itself: it is restarted with another seed")
        session.restart(session.seed + 7919 * self._restarts, self.limits.max_evals)
        return False

    def _dried_reason(self) -> str:
        size = self.session.space.size
        if self.session.exhausted:
            return f"space exhausted: all {size} points are evaluated"
        return "stalled: the strategy gives only points that were evaluated before"

    def _stuck(self) -> str:
        """Nothing flies, nothing is queued, and the strategy gave nothing."""
        if self.session.strategy.done:
            return self.session.strategy.why or "the strategy is done"
        if self.session.exhausted:
            return self._dried_reason()
        if not self._waiting:
            return ""
        return "stalled: the strategy gives no points and waits for no answers"

    # --- evaluate -------------------------------------------------------------------------------------------------

    async def _dispatch(self) -> None:
        evaluator = self.evaluator
        if not evaluator.suspends:
            if self.queue:
                await self._evaluate_here(self.queue.popleft())
            return
        import asyncio

        while self.queue and len(self.flying) < evaluator.slots:
            chunk = self.queue.popleft()
            limit = self._limit(chunk)
            rows = 1 if limit is not None else max(1, evaluator.rows)
            if len(chunk) > rows:
                self.queue.appendleft(chunk.rows(slice(rows, None)))
                chunk = chunk.rows(slice(0, rows))
            elif rows > len(chunk) and self.queue:
                chunk = self._merged(chunk, rows)
            before = perf_counter()
            prepared = evaluator.prepare(self._job(chunk))
            self.session.spans.add("transport", perf_counter() - before)
            task = asyncio.ensure_future(self._fly(chunk, prepared, limit))
            self.flying[task] = chunk
            self.flying_rows += len(chunk)
            task.add_done_callback(self._arrived)

    def _merged(self, chunk: Chunk, rows: int) -> Chunk:
        """Small chunks of the same kind travel together."""
        parts = [chunk]
        have = len(chunk)
        while self.queue and have + len(self.queue[0]) <= rows and _alike(chunk, self.queue[0]):
            parts.append(self.queue.popleft())
            have += len(parts[-1])
        return parts[0] if len(parts) == 1 else _joined(parts)

    def _limit(self, chunk: Chunk) -> float | None:
        deadline = self.options.deadline
        return None if deadline is None else deadline.limit() * chunk.patience

    def _job(self, chunk: Chunk) -> Job:
        seeds = None
        if self.target.wants_context or self.target.program is not None:
            seeds = _seeds(self.session.seed, chunk.numbers)
        job = Job(chunk.numbers, chunk.reals, chunk.active, None, seeds)
        if self.target.wants_context:
            job.report = self.signal.report
        return job

    async def _evaluate_here(self, chunk: Chunk) -> None:
        before = perf_counter()
        job = self._job(chunk)
        job.stop_at = min(before + SLICE_S, self.limits.ends_at)
        if self.limits.rule is not None and self.limits.rule.goal is not None:
            job.goal = self.limits.rule.goal * float(self.session.problem.signs[0])
        try:
            prepared = self.evaluator.prepare(job)
            outcomes = await self.evaluator.evaluate(prepared)
        except KeyboardInterrupt:
            self._interrupt()
            self.queue.appendleft(chunk)
            return
        done = len(outcomes)
        spent = float(outcomes.seconds.sum())
        spans = self.session.spans
        spans.add("objective", spent)
        spans.add("transport", max(perf_counter() - before - spent, 0.0))
        if getattr(self.evaluator, "interrupted", False):
            self._interrupt()
        if done < len(chunk):
            self.queue.appendleft(chunk.rows(slice(done, None)))
            chunk = chunk.rows(slice(0, done))
        self.landed.append((chunk, outcomes))

    def _interrupt(self) -> None:
        self.signal.draining = self.signal.stopping = True
        self.signal.reason = self.signal.reason or "interrupted"

    async def _fly(self, chunk: Chunk, prepared: Any, limit: float | None) -> None:
        import asyncio

        before = perf_counter()
        width = len(self.session.problem.objectives)
        try:
            if limit is None:
                outcomes = await self.evaluator.evaluate(prepared)
            else:
                outcomes = await asyncio.wait_for(self.evaluator.evaluate(prepared), limit)
        except TimeoutError:
            spent = perf_counter() - before
            outcomes = Outcomes(
                np.full((1, width), np.nan),
                np.array([Status.TIMEOUT], dtype=np.int8),
                np.array([spent]),
                errors={0: f"Timeout: killed after {spent:.3g} s (limit {limit:.3g} s)"},
            )
        except asyncio.CancelledError:
            self.session.backlog.append(chunk)  # cut off by the end of the run: it runs again if the study goes on
            return
        self.landed.append((chunk, outcomes))

    def _arrived(self, task: asyncio.Task[None]) -> None:
        chunk = self.flying.pop(task)
        self.flying_rows -= len(chunk)
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()  # a fault of the evaluator itself, not of an evaluation
            self.signal.stopping = True
        self._wake.set()

    async def _wait(self) -> None:
        """Until something lands, somebody wants to stop, or the time is up."""
        import asyncio

        if self.signal.stopping:
            await self._cancel()
            return
        wake = self._wake
        wake.clear()
        if self.landed or self.signal.stopping:
            return
        left = self.limits.ends_at - perf_counter()
        before = perf_counter()
        try:
            if left == float("inf"):
                await wake.wait()
            else:
                await asyncio.wait_for(wake.wait(), max(left, 0.0))
        except TimeoutError:
            self.limits.check(0)
            await self._cancel()
        self.session.spans.add("idle", perf_counter() - before)

    async def _cancel(self) -> None:
        """End everything that flies; what was cut off waits in the backlog."""
        import asyncio

        tasks = list(self.flying)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _wind_up(self) -> None:
        """Whatever ended the run: cancel, record what landed, give back what never started, save."""
        if self.flying:
            await self._cancel()
        if self.landed:
            self._flush(final=True)
        waiting = list(self.queue)
        self.queue.clear()
        if self.options.width is None:
            self.session.release([chunk for chunk in waiting if chunk.attempt == 1])
            waiting = [chunk for chunk in waiting if chunk.attempt > 1]
        self.session.backlog += waiting  # ordered mode: they keep their numbers, and so their turn
        self.session.save()

    # --- record and tell ------------------------------------------------------------------------------------------

    def _flush(self, final: bool = False) -> None:
        """Record everything that landed, then tell it (in order in ordered mode)."""
        session = self.session
        while self.landed:
            chunk, outcomes = self.landed.popleft()
            if len(outcomes) < len(chunk):  # the evaluator came back early: the rest runs again
                self.queue.appendleft(chunk.rows(slice(len(outcomes), None)))
                chunk = chunk.rows(slice(0, len(outcomes)))
            if self.evaluator.suspends:
                session.spans.add("objective", float(outcomes.seconds.sum()))
            if not final:
                chunk, outcomes = self._sent_again(chunk, outcomes)
            if not len(chunk):
                continue
            session.record(chunk, outcomes)
            if outcomes.errors:
                self._look_at_errors(outcomes)
            if self.options.deadline is not None:
                self._time(outcomes)
            self._observe(outcomes)
            if self.options.width is not None:
                self._conclude_in_order(chunk, final)
            else:
                session.conclude(chunk)
                self._waiting = False
        if self.signal.reports:
            self._take_reports()
        if self.options.probe is not None:
            self._probe()

    def _observe(self, outcomes: Outcomes) -> None:
        if self.limits.rule is None:
            return
        self.limits.observe(
            Progress(
                outcomes.values,
                outcomes.statuses,
                outcomes.violations,
                self.session.problem.signs,
                self.used,
                perf_counter() - self.limits.started,
            )
        )

    def _conclude_in_order(self, chunk: Chunk, final: bool) -> None:
        """Tell each trial only after every earlier one: what the strategy hears does not depend on timing."""
        untold = self.session.untold
        for row, number in enumerate(chunk.numbers.tolist()):
            untold[number] = chunk.rows(slice(row, row + 1))
        self._tell_in_order(final)

    def _tell_in_order(self, final: bool) -> None:
        untold = self.session.untold
        while self._turn and self._turn[0] in untold and not final:
            self.session.conclude(untold.pop(self._turn.popleft()))
            self._credits += 1
            self._waiting = False
            if not self._ending():
                self._fill()  # ask k + W comes right after tell k

    def _sent_again(self, chunk: Chunk, outcomes: Outcomes) -> tuple[Chunk, Outcomes]:
        """Rows that deserve another attempt go back into the queue; gives the others."""
        again = np.zeros(len(chunk), dtype=np.bool_)
        if self.options.retries and chunk.attempt <= self.options.retries:
            again |= outcomes.statuses == Status.FAILED
        promising = False
        if self.options.deadline is not None and chunk.patience == 1.0 and outcomes.statuses[0] == Status.TIMEOUT:
            promising = self.options.deadline.retries(self.session.history, chunk)
            again[0] |= promising
        if not again.any():
            return chunk, outcomes
        second = chunk.rows(again)
        second.attempt = chunk.attempt + 1
        second.patience = 4.0 if promising else chunk.patience
        self.queue.append(second)
        for number in second.numbers.tolist():
            self.session.emit("retried", number=number, attempt=second.attempt)
        keep = ~again
        return chunk.rows(keep), _kept(outcomes, keep)

    def _look_at_errors(self, outcomes: Outcomes) -> None:
        """An objective that cannot be right (not a number at the very first evaluation) ends the study with its message."""
        history = self.session.history
        first = next(iter(outcomes.errors.values()))
        if first.startswith("ObjectiveError") and history.count(Status.DONE) == 0 and self.used <= 256:
            if "finite number" not in first and "too large" not in first:
                from ..core.errors import ObjectiveError

                message = first.partition(": ")[2].partition("\n")[0]
                self._failure = ObjectiveError(f"{message}. The first evaluation is kept in the study")
                self.signal.draining, self.signal.reason = True, "the objective gives no value"

    def _time(self, outcomes: Outcomes) -> None:
        assert self.options.deadline is not None  # noqa: S101 (the caller asked)
        censored = (outcomes.statuses == Status.TIMEOUT).tolist()
        known = (outcomes.statuses != Status.ABANDONED).tolist()
        for seconds, cut, use in zip(outcomes.seconds.tolist(), censored, known, strict=True):
            if use and seconds == seconds:
                self.options.deadline.observe(seconds, cut)

    def _take_reports(self) -> None:
        while self.signal.reports:
            number, step, values = self.signal.reports.popleft()
            self.session.log("report", number=number, step=step, values=values)
            self.session.emit("reported", number=number, step=step, values=values)

    def _probe(self) -> None:
        """After the first evaluations: is another evaluator worth its overhead?"""
        chosen = self.options.probe(self.session.history)
        self.options.probe = None
        if chosen is not None:
            chosen.open(self.target)
            self.evaluator = chosen


def _seeds(seed: int, numbers: Any) -> Any:
    """One seed per trial: splitmix64 (doi:10.1145/2660193.2660195) of the study's seed and the number."""
    with np.errstate(over="ignore"):
        z = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed & (2**63 - 1))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(33)).astype(np.int64)


def _kept(outcomes: Outcomes, keep: Any) -> Outcomes:
    rows = np.flatnonzero(keep).tolist()
    place = {row: i for i, row in enumerate(rows)}
    statuses: Bytes8 = outcomes.statuses[keep]
    return Outcomes(
        outcomes.values[keep],
        statuses,
        outcomes.seconds[keep],
        None if outcomes.violations is None else outcomes.violations[keep],
        None if outcomes.components is None else [outcomes.components[row] for row in rows],
        {place[row]: text for row, text in outcomes.errors.items() if row in place},
        outcomes.worker,
    )


def _alike(a: Chunk, b: Chunk) -> bool:
    return a.source == b.source and a.attempt == b.attempt and a.patience == b.patience


def _joined(parts: list[Chunk]) -> Chunk:
    first = parts[0]
    return Chunk(
        np.concatenate([p.numbers for p in parts]),
        np.concatenate([p.tickets for p in parts]),
        np.concatenate([p.points for p in parts]),
        np.concatenate([p.reals for p in parts]),
        None if first.active is None else np.concatenate([p.active for p in parts if p.active is not None]),
        [key for p in parts for key in p.keys],
        None if first.replicates is None else np.concatenate([p.replicates for p in parts if p.replicates is not None]),
        first.source,
        first.attempt,
        first.patience,
    )
