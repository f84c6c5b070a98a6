"""One simulated run: the events, what befalls the workers, what people do, and the workers themselves."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from ..core.batch import Status
from ..core.errors import Displaced, StoreError, StudyBusy
from ..core.parameter import Integer
from ..core.space import Space
from ..core.store import Entry, Finishing, Member, Opening, Store
from ._ledger import Ledger, ProtocolViolation
from ._simulated_plan import Host, Outcome, Plan

T = TypeVar("T")
Steps = Generator[float, None, T]
SPACE = Space({"x": Integer(0, 10**9)})
NAN = float("nan")


@dataclass(slots=True, eq=False)
class Process:
    """life: how often it was started.  flight: a request that is on its way.  unheard: answers nobody confirmed."""

    name: int
    store: Store
    life: int = 0
    running: bool = False
    member: Member | None = None
    steps: Steps[None] | None = None
    flight: Callable[[Member | None], None] | None = None
    unheard: list[tuple[int, tuple[int, float]]] = field(default_factory=list)
    beat: float = 0.0
    still_until: float = 0.0
    seen: int = 0
    view: dict[int, int] = field(default_factory=dict)


class Killed(Exception):
    """The trial killed its process."""


class Run:
    """A run in the making. trace: the last steps, for who has to find out why."""

    def __init__(self, seed: int, host: Host, plan: Plan) -> None:
        self.seed, self.host, self.plan = seed, host, plan
        self.chance = random.Random(seed)
        self.clock = host.clock
        self.begin = host.clock.now
        self.store = host.connect()
        self.study = self.store.create("simulated", {}, "f").id
        self.store.set_budget(self.study, plan.budget)
        self.ledger = Ledger(host.clock, host.lease, budget=plan.budget)
        self.trace: deque[tuple[float, str]] = deque(maxlen=40)
        self.heap: list[tuple[float, int, Callable[[], None]]] = []
        self.ties = self.lines = self.steps = self.deaths = 0
        self.processes = [Process(i, host.connect()) for i in range(plan.workers)]
        self.calm = False
        self.accidents = bool(plan.crash or plan.stall or plan.cut or plan.still or plan.restarts or plan.beheadings)

    # --- events ---------------------------------------------------------------------------------------------------

    def at(self, delay: float, action: Callable[[], None]) -> None:
        self.ties += 1
        heapq.heappush(self.heap, (self.clock.now + delay, self.ties, action))

    def go(self) -> Outcome:
        for process in self.processes:
            self.at(self.chance.random() * 3.0, lambda process=process: self.start(process))  # type: ignore[misc]
        lease, plan = self.host.lease, self.plan
        for moment in plan.restarts:
            self.at(moment * lease, self.restart_all)
        for moment in plan.beheadings:
            self.at(moment * lease, self.behead)
        for moment, budget in plan.budgets:
            self.at(moment * lease, lambda budget=budget: self.set_budget(budget))  # type: ignore[misc]
        for moment, count in plan.queues:
            self.at(moment * lease, lambda count=count: self.enqueue(count))  # type: ignore[misc]
        for moment in plan.retractions:
            self.at(moment * lease, self.retract)
        if plan.alone:
            self.at(self.chance.random() * lease, lambda: self.start(self.newcomer(), alone=True))
        self.at(plan.calm * lease, self.settle_down)
        limit = self.begin + (plan.calm + 40.0) * lease + 20.0 * plan.evaluation * (plan.budget + 30)
        while self.heap:
            moment, _, action = heapq.heappop(self.heap)
            self.clock.now = max(self.clock.now, moment)
            if moment > limit:
                raise ProtocolViolation(f"stuck: nobody finishes {self.ledger.stuck()}")
            action()
        self.end()
        trials, passed = len(self.ledger.trials), self.clock.now - self.begin
        return Outcome(self.seed, self.steps, self.deaths, trials, self.ledger.poisoned, passed)

    def newcomer(self) -> Process:
        process = Process(len(self.processes), self.host.connect())
        self.processes.append(process)
        return process

    def note(self, process: Process | None, what: str) -> None:
        self.trace.append((self.clock.now - self.begin, f"{'-' if process is None else process.name}: {what}"))

    def start(self, process: Process, alone: bool = False) -> None:
        if process.running:
            return
        if process.life:  # the process before has died or ended; this one opens the store for itself
            process.store = self.host.connect()
        process.life += 1
        process.running, process.member, process.seen, process.view = True, None, 0, {}
        process.still_until = 0.0
        process.steps = self.live(process, alone)
        self.step(process, process.life)

    def step(self, process: Process, life: int) -> None:
        """One step of a worker, or what befalls it instead."""
        if process.life != life or not process.running:
            return
        self.steps += 1
        plan = self.plan
        if not self.calm:
            draw = self.chance.random()
            if draw < plan.crash:
                self.kill(process)
                return
            draw -= plan.crash
            if draw < plan.stall:
                member = process.member
                only = member is not None and self.ledger.lives[member.token].alone  # it would keep out everybody
                ever = self.chance.random() < 0.2 and not only
                self.note(process, "stalls" + " for ever" * ever)
                if not ever:
                    self.at(
                        self.host.lease * self.chance.choice([0.5, 1.1, 1.5, 2.5]),
                        lambda: self.step_without_fault(process, life),
                    )
                return
            draw -= plan.stall
            if draw < plan.cut and process.member is not None:
                self.cut(process)
            elif draw - plan.cut < plan.still:
                process.still_until = self.clock.now + self.host.lease * self.chance.uniform(0.5, 3.0)
        self.step_without_fault(process, life)

    def step_without_fault(self, process: Process, life: int) -> None:
        if process.life != life or process.steps is None:
            return
        try:
            delay = next(process.steps)
        except StopIteration:
            process.running = False
            return
        except Killed:
            self.kill(process)
            return
        self.at(delay, lambda: self.step(process, life))

    # --- faults ---------------------------------------------------------------------------------------------------

    def kill(self, process: Process, back: float | None = None) -> None:
        """It dies. What it had sent may still arrive; somebody may start it again."""
        self.note(process, "dies")
        self.deaths += 1
        if process.flight is not None and self.chance.random() < 0.5:
            flight, member = process.flight, process.member
            self.at(self.chance.random() * self.host.lease, lambda: flight(member))
        process.flight = None
        process.running = False
        if process.steps is not None:
            process.steps.close()
        self.host.kill(process.store, process.member)
        if process.member is not None:
            self.ledger.lives[process.member.token].locked = False
        process.member = None
        if back is None:
            back = self.chance.choice([0.1, 3.0, 2.0 * self.host.lease])
        self.at(back, lambda: self.start(process))

    def cut(self, process: Process) -> None:
        """Its lock is lost, and it has not noticed yet (its connection broke, its machine was unreachable)."""
        member = process.member
        if member is not None and self.ledger.lives[member.token].living:
            self.note(process, "is cut off")
            self.host.kill(process.store, member)
            self.ledger.lives[member.token].locked = False
            process.store = self.host.connect()

    def restart_all(self) -> None:
        self.note(None, "everybody is killed and started again")
        for process in self.processes:
            if process.running:
                self.kill(process, self.chance.random() * 2.0)

    def behead(self) -> None:
        """Whoever holds place 0 dies."""
        for process in self.processes:
            if process.running and process.member is not None and process.member.ordinal == 0:
                self.kill(process)

    def settle_down(self) -> None:
        """From here on nothing happens but the poison; somebody is there to finish."""
        self.note(None, "calm")
        self.calm = True
        for process in self.processes:
            process.still_until = 0.0
        self.start(self.newcomer())

    # --- what people do -------------------------------------------------------------------------------------------

    def set_budget(self, budget: int) -> None:
        self.note(None, f"budget {budget}")
        self.store.set_budget(self.study, budget)
        self.ledger.budget = budget
        self.ledger.need(self.store.standing(self.study).budget == budget, "the budget was not taken over")

    def enqueue(self, count: int) -> None:
        got = self.open(self.store, None, self.points(count), None)
        self.note(None, f"queued {got}")

    def retract(self) -> None:
        numbers = self.chance.sample(range(self.ledger.next + 1), min(3, self.ledger.next + 1))
        got = self.store.retract(self.study, numbers, "a broken disk")
        self.note(None, f"retracted {got} of {numbers}")
        self.ledger.took_back(numbers, got)

    def points(self, count: int) -> list[int]:
        """New points; a share of them is poison (their last digit says so: see `poisonous`)."""
        spread = self.plan.distinct
        found: dict[int, None] = {}
        while len(found) < count:
            poison = self.chance.random() < self.plan.poison
            found[self.chance.randrange(spread) * 10 + (9 if poison else self.chance.randrange(9))] = None
        return list(found)

    # --- calls, each with its check -------------------------------------------------------------------------------

    def line(self, kind: str) -> list[Entry]:
        self.lines += 1
        return [Entry(kind, {"id": self.lines})]

    def open(self, store: Store, member: Member | None, points: list[int], budget: int | None) -> list[int]:
        reals = np.asarray(points, dtype=np.float64)[:, None]
        opening = Opening(SPACE, np.arange(len(points), dtype=np.int64), reals, by=member.ordinal if member else 0)
        log = self.line("asked")
        unique = self.plan.distinct < 10**8
        got = store.open_trials(self.study, opening, budget, log, member, unique)
        self.ledger.lines.append(log[0].body["id"])
        return self.ledger.opened(got, points, budget, member)

    def append(self, store: Store, member: Member | None, pairs: Sequence[tuple[int, tuple[int, float]]]) -> None:
        if not pairs:
            return
        numbers = [number for number, _ in pairs]
        answers = [answer for _, answer in pairs]
        finishing = Finishing(
            np.asarray(numbers, dtype=np.int64),
            np.asarray([[value] for _, value in answers]),
            np.asarray([status for status, _ in answers], dtype=np.int8),
            np.full(len(pairs), 0.25),
        )
        log = self.line("told")
        gone = [number for number in numbers if number not in self.ledger.trials]
        try:
            late = store.append(self.study, finishing, log, member)
        except StoreError as error:
            self.ledger.need(gone, "results of", numbers, "were refused:", error)
            return
        self.ledger.need(not gone, "results of trials that are not there were taken:", gone)
        if member is None or not self.ledger.displaced(member):  # else the log of the place is another's by now
            self.ledger.lines.append(log[0].body["id"])
        self.ledger.answered(member, numbers, answers, late)

    # --- workers --------------------------------------------------------------------------------------------------

    def ask(self, call: Callable[[], T]) -> Steps[T]:
        """A call travels to the store and back: it may have happened although nobody hears of it."""
        yield self.chance.random() * 0.02
        answer = call()
        yield self.chance.random() * 0.02
        return answer

    def tell(self, process: Process, pairs: list[tuple[int, tuple[int, float]]]) -> Steps[None]:
        """Append; what was sent may arrive after its sender's death, and twice."""
        process.unheard = pairs

        def arrive(member: Member | None) -> None:
            self.append(self.store, member, pairs)

        process.flight = arrive
        yield self.chance.random() * 0.02
        process.flight, member = None, process.member
        self.append(process.store, member, pairs)
        self.note(process, f"told {pairs}")
        if self.chance.random() < self.plan.again:
            self.at(self.chance.random() * self.host.lease, lambda: arrive(member))
        yield self.chance.random() * 0.02
        process.unheard = []

    def join(self, process: Process, alone: bool) -> Steps[Member]:
        while True:
            yield self.chance.random() * 0.02
            may = self.ledger.may_join(alone)
            try:
                wish = self.chance.choice([None, None, self.chance.randrange(self.plan.workers + 2)])
                wish = 0 if self.plan.coordinator else wish
                member = process.store.join(self.study, f"process {process.name}", alone, wish)
            except StudyBusy:
                self.ledger.need(not may, "refused, though nothing forbids it")
            else:
                process.member, process.beat = member, self.clock.now
                self.note(process, f"joined {member}")
                self.ledger.joined(member, alone, wish)
                return member
            alone = alone and self.chance.random() < 0.5
            yield self.host.lease * 0.2

    def live(self, process: Process, alone: bool) -> Steps[None]:
        """A worker's life, from joining to leaving."""
        while True:
            member = yield from self.join(process, alone)
            alone = False
            if process.unheard and self.chance.random() < 0.5:
                yield from self.tell(process, process.unheard)
            process.unheard = []
            if member.former and member.ordinal in self.ledger.snapshots:
                kept = process.store.restore(self.study, member.ordinal)
                count, sequence = self.ledger.snapshots[member.ordinal]
                self.ledger.need(kept == ({"count": count}, sequence), "another snapshot:", kept)
            try:
                yield from self.work(process, member)
            except Displaced:
                self.note(process, "was displaced")
                continue
            yield from self.ask(lambda: self.leave(process))
            return

    def leave(self, process: Process) -> None:
        member = process.member
        if member is not None:
            process.store.leave(member)
            self.ledger.parted(member)
            self.note(process, "left")
        process.member = None

    def work(self, process: Process, member: Member) -> Steps[None]:
        idle = 0.5
        while True:
            self.keep_alive(process, member)
            batch = yield from self.ask(lambda: self.claim(process, member))
            if not batch and (self.calm or not self.plan.coordinator or member.ordinal == 0):
                batch = yield from self.ask(lambda: self.propose(process, member))
            if not batch:
                if self.finished(process):
                    return
                yield idle
                idle = min(idle * 1.5, self.host.lease * max(0.25, len(self.processes) / 400.0))
                continue
            idle = 0.5
            if self.chance.random() < 0.2 * self.plan.stopping and not self.calm:
                return
            yield from self.evaluate_all(process, member, batch)

    def evaluate_all(self, process: Process, member: Member, batch: list[tuple[int, int]]) -> Steps[None]:
        done: list[tuple[int, tuple[int, float]]] = []
        while batch:
            (number, x), *batch = batch
            slept = yield from self.evaluate(process, member)
            if batch and self.chance.random() < (0.8 if slept else self.plan.stopping):
                rest, batch = [number for number, _ in batch], []
                yield from self.ask(lambda rest=rest: self.release(process, member, rest))  # type: ignore[misc]
            if x % 10 == 9:
                raise Killed
            done.append((number, self.evaluated(number)))
            if self.plan.one_by_one or not batch:
                yield from self.tell(process, done)
                done = []
        if self.chance.random() < 0.1:
            yield from self.ask(lambda: self.snapshot(process, member))

    def evaluate(self, process: Process, member: Member) -> Steps[bool]:
        """It takes its time; whether this worker has slept for longer than its lease meanwhile."""
        slept = False
        remaining = self.chance.expovariate(1.0 / self.plan.evaluation)
        while remaining > 0.0:
            pause = min(remaining, self.host.lease / 3.0)
            yield pause
            remaining -= pause
            slept = slept or self.clock.now - process.beat > self.host.lease
            self.keep_alive(process, member)
        return slept

    def evaluated(self, number: int) -> tuple[int, float]:
        """A value of its own for each evaluation, so that it can be told apart afterwards."""
        truth, runs = self.ledger.trials.get(number), 0
        if truth is not None:
            truth.runs = runs = truth.runs + 1
        if self.chance.random() < self.plan.failing:
            return int(Status.FAILED), NAN
        return int(Status.DONE), number + runs / 1024.0

    def keep_alive(self, process: Process, member: Member) -> None:
        now = self.clock.now
        if now < process.still_until or now - process.beat < self.host.lease / 3.0:
            return
        process.beat = now
        cut = not self.ledger.lives[member.token].living and not self.ledger.displaced(member)
        try:
            process.store.beat(member)
        except Displaced:
            self.ledger.beaten(member, refused=not cut)  # who is cut off may be refused before its place is taken
            process.member = None
            raise
        self.ledger.beaten(member, refused=False)
        if cut:  # it was heard, but holds no lock: it begins anew
            process.member = None
            raise Displaced("cut off")

    def claim(self, process: Process, member: Member) -> list[tuple[int, int]]:
        if not self.ledger.lives[member.token].living:
            process.beat = -1e9  # it would be told that its connection is gone
            self.keep_alive(process, member)
        before = self.ledger.claimable()
        limit = self.plan.slots
        got = process.store.claim(member, limit, attempts=self.ledger.attempts)
        self.ledger.claimed(self.store, self.study, member, limit, before, got)
        if got:
            self.note(process, f"claimed {[(trial.number, trial.attempt) for trial in got]}")
        return [(trial.number, int(trial.params["x"])) for trial in got]

    def propose(self, process: Process, member: Member) -> list[tuple[int, int]]:
        if not self.ledger.lives[member.token].living:
            process.beat = -1e9
            self.keep_alive(process, member)
        standing = process.store.standing(self.study)
        self.ledger.need(standing.used == self.ledger.used, "used are", self.ledger.used, "but", standing)
        self.ledger.need(standing.budget == self.ledger.budget, "the budget is", self.ledger.budget, "but", standing)
        if standing.used >= (standing.budget or 0):
            return []
        queue = self.plan.coordinator and self.chance.random() < 0.7
        owner = None if queue else member
        numbers = self.open(process.store, owner, self.points(self.plan.slots), standing.budget)
        self.note(process, f"{'queued' if queue else 'opened'} {numbers}")
        return [] if queue else [(number, self.ledger.trials[number].x) for number in numbers]

    def release(self, process: Process, member: Member, numbers: list[int]) -> None:
        process.store.release(self.study, numbers, member)
        self.note(process, f"gave back {numbers}")
        self.ledger.gave_back(member, numbers)

    def snapshot(self, process: Process, member: Member) -> None:
        if self.ledger.displaced(member) or not self.ledger.lives[member.token].living:
            return
        sequence = process.store.log(self.study, [])
        process.store.snapshot(self.study, {"count": self.steps}, sequence, member.ordinal)
        self.ledger.snapshots[member.ordinal] = (self.steps, sequence)

    def finished(self, process: Process) -> bool:
        """Whether this worker, by what it reads in pieces, sees that all is done."""
        process.seen = self._read(process.store, process.seen, process.view)
        standing = process.store.standing(self.study)
        if self.chance.random() < 10.0 / len(self.processes):
            self.ledger.shown(process.store.members(self.study))
        return standing.used >= (standing.budget or 0) and all(status >= 2 for status in process.view.values())

    def _read(self, store: Store, version: int, view: dict[int, int]) -> int:
        """Read what changed; nothing final may change again but to be retracted."""
        changed, newest = store.since(self.study, version)
        abandoned = int(Status.ABANDONED)
        for trial in changed:
            before = view.get(trial.number, 0)
            self.ledger.need(before < 2 or trial.status in (before, abandoned), "it was", before, "and became", trial)
            if trial.number in self.ledger.released:
                self.ledger.need(version > 0 and trial.status == abandoned, "it was released:", trial)
            view[trial.number] = trial.status
        return newest

    def end(self) -> None:
        stuck = self.ledger.stuck()
        self.ledger.need(not stuck, "open for ever:", stuck)
        budget, used = self.ledger.budget or 0, self.ledger.used
        self.ledger.need(used >= budget, "of", budget, "places only", used, "are used")
        for process in self.processes:
            if process.seen:
                self._read(process.store, process.seen, process.view)
                for number, truth in self.ledger.trials.items():
                    self.ledger.need(process.view[number] >= 2, "read in pieces,", truth, "is not there")
        for number, truth in self.ledger.trials.items():
            poison = truth.x % 10 == 9
            self.ledger.need(not poison or truth.counted_out, "poison did not end as failed:", number, truth)
            self.ledger.need(truth.counted_out or truth.runs, "never run:", number, truth)
            innocent = truth.counted_out and not poison and not self.accidents
            self.ledger.need(not innocent, "an innocent was counted out:", truth)
        self.ledger.settle(self.store, self.study)
