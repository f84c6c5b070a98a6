"""The loop: ask, open, evaluate, record, tell, until something ends the run.

One coroutine serves every evaluator. Those that never suspend are driven by `send(None)` on the caller's thread; the
others by asyncio, one task per job. Deadlines, retries and cancellation live here (and in `flights`) and nowhere else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from ..core.batch import Answers, Status
from ..core.errors import ObjectiveError
from ..core.evaluator import Evaluator, Outcomes
from ..core.stopping import Progress
from ..core.target import Target
from .choose import Probe
from .chunk import Chunk
from .drive import sheltered
from .flights import Flights, Signal
from .limits import Limits
from .resume import renew
from .rows import kept
from .session import Session
from .supply import Supply
from .thinking import Thinking
from .timing import Deadline

SOFT = ("max_evals", "space exhausted", "stalled: the strategy waits")
"""Endings that only stand when no other process is at work."""
RENEWING = "the strategy begins anew"
TURN_S = 0.005
"""So long a run whose evaluator never suspends keeps an event loop that others use."""
DOUBT = 5
"""When so many evaluations have failed and none has not, people hear of it: mostly the objective has a mistake."""
EARLY = 256
"""Only this early may a wrong kind of value end the study: later it is one failed trial among good ones."""


@dataclass(slots=True)
class Options:
    """What a run does besides asking and telling.

    width: rows between ask and tell in ordered mode (None: not ordered).  probe: called once, after the first
    evaluations; may give another evaluator.  beside: others use the event loop, which must not be held up.
    """

    retries: int = 0
    width: int | None = None
    deadline: Deadline | None = None
    probe: Probe | None = None
    beside: bool = False


class Loop:
    """One run of a study."""

    def __init__(
        self, session: Session, target: Target, evaluator: Evaluator, limits: Limits, signal: Signal, options: Options
    ) -> None:
        self.session, self.target, self.limits, self.signal, self.options = session, target, limits, signal, options
        self.flights = Flights(session, target, evaluator, limits, signal, options.deadline)
        self.thinking = Thinking(session, options.beside)
        self.supply = Supply(session, limits, self.flights, options.width, self.thinking)
        self._turn_at = perf_counter()
        self._trusting = True

    @property
    def evaluator(self) -> Evaluator:
        """What evaluates now."""
        return self.flights.evaluator

    async def run(self) -> str:
        """Run until something ends it; gives the reason."""
        reason = ""
        if self.evaluator.suspends or self.options.probe is not None:
            self.flights.prepare_to_wait()
        self.session.in_flight = self._under_way
        try:
            self._tell_earlier()
            while not reason:
                if self.flights.landed:
                    self._flush()
                    await self._tell()
                reason = await self._step()
        finally:
            try:
                await self._wind_up()
            finally:
                self.thinking.close()
                self.session.in_flight, self.signal.wake = tuple, None
        if self.flights.failure is not None:
            raise self.flights.failure
        return reason

    async def _step(self) -> str:
        """Ask, dispatch, wait once; gives the reason when all is over."""
        supply, flights = self.supply, self.flights
        ending = self._ending()
        if self.session.crew.renewal and not ending:
            ending = self._renewed()
        if ending and not flights.flying and not flights.landed:
            return await self._unless_others(ending)
        if not ending:
            if supply.turn and self.session.untold:
                await self._tell_in_order()
            stopped = await supply.fill()
            self.thinking.check()
            if stopped:
                return await self._unless_others(stopped)
            await self._evaluate()
        if flights.landed:
            return ""
        if flights.flying:
            await flights.wait()
            return ""
        if supply.queue or not supply.waiting:
            return ""
        return await self._unless_others(self._ending() or supply.nothing_left())

    def _renewed(self) -> str:
        """Let what runs come in, then begin the strategy anew; gives why nothing new should start now, or ''."""
        if self.flights.flying or self.flights.landed:
            return RENEWING
        if self.session.crew.revision_changed:
            self.signal.draining, self.signal.reason = True, self.session.crew.renewal
            return self.session.crew.renewal
        renew(self.session, self.limits.max_evals, self.supply.queue)
        self.supply.waiting = False
        return ""

    async def _unless_others(self, ending: str) -> str:
        """`ending`, unless other processes are still at work on this study: their trials may be lost yet, and wait for
        somebody, or answer what this one's strategy waits for."""
        supply, limits = self.supply, self.limits
        soft = ending.startswith(SOFT) and not (self.signal.draining or self.signal.stopping)
        if self.session.crew.member is None or not soft or perf_counter() >= limits.ends_at:
            return ending
        working = self.session.crew.at_work()  # before hearing: who stops working in between has been heard then
        heard = supply.hear(force=True)
        if supply.queue:
            await self._evaluate()
        if heard or supply.queue or self.flights.flying or self.flights.landed:
            return ""
        if working:
            await self.flights.idle()
            return ""
        return ending

    async def _evaluate(self) -> None:
        if self.flights.evaluator.suspends:
            self.flights.dispatch(self.supply.queue)
        elif self.supply.queue:
            await self.flights.evaluate_here(self.supply.queue)
            if self.options.beside and perf_counter() - self._turn_at > TURN_S:
                import asyncio

                await asyncio.sleep(0)  # an evaluator that never suspends would keep the loop for itself
                self._turn_at = perf_counter()

    def _ending(self) -> str:
        """Why nothing new should start, or ''."""
        if self.signal.stopping or self.signal.draining:
            return self.signal.reason or "interrupted"
        limits, supply = self.limits, self.supply
        if limits.reason is None and limits.timeout is not None:
            limits.check(0)
        if limits.reason is None and not supply.queue and not supply.room and not supply.can_go_on:
            if supply.busy:
                return ""  # the budget is opened: wait for what flies, then end
            return limits.check(supply.used) or "the rule allows no more trials"
        return limits.reason or ""

    def _cut_short(self) -> bool:
        """Whether people, or the clock, have ended the run."""
        return self.signal.draining or self.signal.stopping or perf_counter() >= self.limits.ends_at

    def _under_way(self) -> list[Chunk]:
        flights = self.flights
        return [*self.supply.queue, *flights.flying.values(), *(chunk for chunk, _ in flights.landed)]

    async def _wind_up(self) -> None:
        """Whatever ended the run: cancel, record what landed, give back what never started, save."""
        try:
            if self.flights.flying:
                await sheltered(self.flights.cancel())
        finally:
            self._put_away()

    def _put_away(self) -> None:
        if self.flights.landed:
            self._flush(final=True)
        waiting = list(self.supply.queue)
        self.supply.queue.clear()
        if self.options.width is None:
            self.session.release([chunk for chunk in waiting if chunk.attempt == 1])
            waiting = [chunk for chunk in waiting if chunk.attempt > 1]
        self.session.backlog += waiting  # ordered mode: they keep their numbers, and so their turn
        self.session.save()

    # --- record and tell ------------------------------------------------------------------------------------------

    def _flush(self, final: bool = False) -> None:
        """Record everything that landed, then tell it (ordered mode: hold it until its turn); see `_tell`."""
        session, supply, landed = self.session, self.supply, self.flights.landed
        while landed:
            chunk, outcomes = landed.popleft()
            if outcomes is None:
                self._tell_known(chunk)
                continue
            if len(outcomes) < len(chunk):  # the evaluator came back early: the rest runs again
                supply.queue.appendleft(chunk.rows(slice(len(outcomes), None)))
                chunk = chunk.rows(slice(0, len(outcomes)))
            if self.evaluator.suspends:
                session.spans.add("objective", float(outcomes.seconds.sum()))
            if not final and (self.options.retries or self.options.deadline is not None):
                chunk, outcomes = self._sent_again(chunk, outcomes)
            if not len(chunk):
                continue
            session.record(chunk, outcomes)
            if outcomes.errors:
                self._look_at_errors(outcomes)
            if self.options.deadline is not None:
                self._time(outcomes)
            if not self.session.groups.grouped:
                self._observe(chunk, outcomes)
            if self.options.width is not None:
                self._hold(chunk)
            else:
                (session if final else self.thinking).conclude(chunk)
                supply.waiting = False
                if session.groups.grouped:
                    self._observe(chunk, outcomes)
        if self.signal.reports:
            self._take_reports()
        if self.options.probe is not None:
            self._probe(self.options.probe)

    def _tell_known(self, chunk: Chunk) -> None:
        """Rows that somebody else has answered."""
        self.supply.waiting = False
        if self.options.width is None:
            self.session.conclude(chunk)
        else:
            self._hold(chunk)

    async def _tell(self) -> None:
        """Let the strategy hear what has landed (in order in ordered mode)."""
        if self.options.width is None:
            await self.thinking.hear()
        else:
            await self._tell_in_order()

    def _observe(self, chunk: Chunk, outcomes: Outcomes | None) -> None:
        """Let the rule see what ended: trials, or points where each has several replicates."""
        if self.limits.rule is None:
            return
        groups = self.session.groups
        seen: Outcomes | Answers | None = outcomes
        if groups.grouped or seen is None:
            ready = groups.complete(chunk)
            if ready is None:
                return
            seen = groups.answers(*ready)
        elapsed = perf_counter() - self.limits.started
        signs, used = self.session.problem.signs, self.supply.used
        self.limits.observe(Progress(seen.values, seen.statuses, seen.violations, signs, used, elapsed))

    def _tell_earlier(self) -> None:
        """Rows that an earlier run recorded but did not tell (in ordered mode their turn comes by itself)."""
        untold = self.session.untold
        while untold and self.options.width is None:
            self.session.conclude(untold.pop(min(untold)))

    def _hold(self, chunk: Chunk) -> None:
        for row, number in enumerate(chunk.numbers.tolist()):
            self.session.untold[number] = chunk.rows(slice(row, row + 1))

    async def _tell_in_order(self) -> None:
        """Tell each trial only after every earlier one: what the strategy hears does not depend on timing."""
        untold, supply = self.session.untold, self.supply
        while supply.turn and supply.turn[0] in untold:
            if self._cut_short():
                return  # told without asking in between they would lead elsewhere: they wait until the study goes on
            turn = untold.pop(supply.turn.popleft())
            self.thinking.conclude(turn)  # further evaluations of a point come next, within the width
            await self.thinking.hear()
            if self.session.groups.grouped:
                self._observe(turn, None)
            supply.waiting = False
            if not self._ending():
                await supply.fill()  # ask k + W comes right after tell k
                self.thinking.check()

    def _sent_again(self, chunk: Chunk, outcomes: Outcomes) -> tuple[Chunk, Outcomes]:
        """Rows that deserve another attempt go back into the queue; gives the others."""
        again = np.zeros(len(chunk), dtype=np.bool_)
        if self.options.retries and chunk.attempt <= self.options.retries:
            again |= outcomes.statuses == Status.FAILED
        promising = False
        deadline = self.options.deadline
        if deadline is not None and chunk.patience == 1.0 and outcomes.statuses[-1] == Status.TIMEOUT:
            promising = deadline.retries(self.session.history, chunk.rows(slice(len(chunk) - 1, None)))
            again[-1] |= promising
        if not again.any():
            return chunk, outcomes
        second = chunk.rows(again)
        second.attempt = chunk.attempt + 1
        second.patience = 4.0 if promising else chunk.patience
        self.supply.queue.append(second)
        for number in second.numbers.tolist():
            self.session.emit("retried", number=number, attempt=second.attempt)
        return chunk.rows(~again), kept(outcomes, ~again)

    def _doubt(self, error: str) -> None:
        """Tell people, once, that nothing has worked so far."""
        if not self._trusting:
            return
        failed = self.session.history.count(Status.FAILED)
        self._trusting = failed < DOUBT and not self.session.history.count(Status.DONE)
        if failed >= DOUBT and not self.session.history.count(Status.DONE):
            text = f"all {failed} evaluations so far have failed, one of the last with: {error}"
            self.session.emit("warning", text=text)

    def _look_at_errors(self, outcomes: Outcomes) -> None:
        """An objective whose very first values are no numbers cannot be right: the study ends with its message."""
        first = next(iter(outcomes.errors.values()))
        self._doubt(first.partition("\n")[0])
        if not first.startswith("ObjectiveError") or self.supply.used > EARLY:
            return
        if "finite number" in first or "too large" in first or self.session.history.count(Status.DONE):
            return
        message = first.partition(": ")[2].partition("\n")[0]
        stop = "" if message.endswith(("?", ".")) else "."
        self.flights.failure = ObjectiveError(f"{message}{stop} The first evaluation is kept in the study")
        self.signal.draining, self.signal.reason = True, "the objective gives no value"

    def _time(self, outcomes: Outcomes) -> None:
        deadline = self.options.deadline
        censored = (outcomes.statuses == Status.TIMEOUT).tolist()
        for seconds, cut in zip(outcomes.seconds.tolist(), censored, strict=True):
            if deadline is not None and not math.isnan(seconds):
                deadline.observe(seconds, cut)

    def _take_reports(self) -> None:
        while self.signal.reports:
            number, step, values = self.signal.reports.popleft()
            self.session.log("report", number=number, step=step, values=values)
            self.session.emit("reported", number=number, step=step, values=values)

    def _probe(self, probe: Probe) -> None:
        """After the first evaluations: is another evaluator worth its overhead?"""
        chosen = probe(self.session.history)
        self.options.probe = None
        if chosen is not None:
            chosen.open(self.target)
            self.flights.use(chosen)
            self.session.emit(
                "switched", reason=f"evaluations are long enough for {type(chosen).__name__.lower()} workers"
            )
