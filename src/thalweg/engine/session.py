"""The books of a study: what was asked, admitted, opened, recorded and told. The loop drives it, so do people by hand.

The order of one evaluation: `draw` (ask, repair, snap, cache) -> `open` (numbers and budget from the store) -> somebody
evaluates -> `land` (record, then tell). Every ask and tell is logged before it counts, so that a study killed at any
instant can be replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from time import perf_counter, time
from typing import Any

import numpy as np

from ..core.batch import FOREIGN, Answers, Floats, Ints, Mask, Proposals, Status
from ..core.errors import Displaced, OutOfOrder
from ..core.evaluator import Outcomes
from ..core.event import Event, Listener
from ..core.problem import Problem
from ..core.store import Entry, Opening, Store
from ..core.strategy import Strategy
from ..watch.spans import Spans
from .aliases import Aliases
from .cache import Cache
from .chunk import Chunk
from .crew import Crew
from .history import OUTSIDE, History, consecutive
from .keep import keep
from .packing import pack
from .replicates import Replicates
from .rows import best_row, chunk_of, ended, total

SNAPSHOT_S = 10.0
"""Seconds between two snapshots of the strategy in a durable store."""


class Session:
    """A study's strategy, history, cache and store, in step with each other.

    deterministic: equal points have equal values, so nothing is evaluated twice.  timeless: the strategy hears no
    times, so that what it does cannot depend on them (ordered mode).
    """

    def __init__(
        self,
        problem: Problem,
        strategy: Strategy,
        store: Store,
        study: int,
        *,
        seed: int,
        fingerprint: str = "",
        deterministic: bool = True,
        timeless: bool = False,
        repeats: Any = 1,
        aggregate: str = "mean",
        confirm: float = 0.0,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self.problem, self.space, self.strategy = problem, problem.space, strategy
        self.store, self.study, self.seed = store, study, seed
        self.fingerprint = fingerprint
        self.deterministic, self.timeless = deterministic, timeless
        self.history = History(problem.space, problem.signs, bool(problem.constraints))
        self.groups = Replicates(self.history, repeats, aggregate, confirm)
        self.listeners = list(listeners)
        self.spans = Spans()
        self.best: int | None = None
        self.backlog: list[Chunk] = []
        """Rows that were asked for but are not evaluated yet."""
        self.untold: dict[int, Chunk] = {}
        self.groups.held = self.untold
        """Ordered mode: recorded rows whose turn to be told has not come, by number."""
        self.in_flight: Callable[[], Sequence[Chunk]] = tuple
        """Rows that a running loop has under way."""
        self._log: list[Entry] = []
        self._announced: list[dict[str, Any]] = []
        self._snapshot_at = perf_counter() + SNAPSHOT_S
        self.started = False
        self.used_up = False
        """A finite space that is too large to count was looked through, and every point of it has been opened."""
        self.unheard: list[Answers] = []
        """What the strategy is told next; the log has it already."""
        self.deferring = False
        """`tell` leaves it to `settle` that the strategy hears."""
        self.used = 0
        """Places of the budget that are taken."""
        self.crew = Crew(self)
        self.cache, self.aliases = Cache(self), Aliases(self)

    # --- events ---------------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """A loop is running."""
        return self.in_flight is not tuple

    def emit(self, kind: str, **data: Any) -> None:
        """Tell the listeners; their exceptions never touch the run."""
        if not self.listeners:
            return
        event = Event(kind, time(), data)
        for listener in tuple(self.listeners):
            try:
                listener(event)
            except Exception as error:
                self.listeners.remove(listener)
                if kind != "warning":
                    self.emit("warning", text=f"a listener raised {type(error).__name__}: {error}; it is dropped")

    def _announce(self) -> None:
        """Pass on what happened inside the strategy: switches, fallbacks."""
        events = self.strategy.events
        if events:
            for event in events:
                if not any(event is known for known in self._announced):
                    self.emit(str(event["kind"]), reason=str(event["reason"]))
            self._announced = list(events)

    def log(self, kind: str, **body: Any) -> None:
        """Put a line into the log; it is written with the next transaction."""
        if self.store.durable:
            self._log.append(Entry(kind, body, time(), by=self.crew.ordinal))

    def taken_log(self) -> list[Entry]:
        """Lines that are not written yet, for whoever writes them now."""
        log, self._log = self._log, []
        return log

    # --- ask ------------------------------------------------------------------------------------------------------

    def begin(self, budget: int | None) -> None:
        """Start the strategy (a resumed one is started by `resume`)."""
        self.used_up = False  # trials may have been retracted
        if not self.started:
            self.start(self.stream, budget)
        self._must_own()
        if budget != self.strategy.budget:
            self.log("budget", budget=budget)
            self.strategy.budget = budget

    def _must_own(self) -> None:
        """Raise OutOfOrder where another study has started this study's strategy object: it is at work there now."""
        if self.strategy.problem is not self.problem:
            kind = type(self.strategy).__name__
            raise OutOfOrder(
                f"another study has begun with this study's {kind} object since; make one for each, or give its name "
                f"or class (strategy={kind})"
            )

    @property
    def stream(self) -> int:
        """The seed of this process's strategy: the study's own for the first one, its own for every further one."""
        ordinal = self.crew.ordinal
        if not ordinal:
            return self.seed
        return int(np.random.SeedSequence([self.seed & (2**63 - 1), ordinal]).generate_state(1)[0])

    def start(self, seed: int, budget: int | None) -> None:
        """Begin the strategy, with the line in the log from which it can be replayed."""
        self.log("start", seed=seed, budget=budget)
        self.strategy.start(self.problem, seed, budget)
        self.started = True

    def draw(self, want: int) -> Chunk | None:
        """Up to `want` new rows from the strategy, not opened yet; repeats are answered from the cache at once.

        None: the strategy gave nothing. An empty chunk: everything it gave had been seen.
        """
        before = perf_counter()
        proposals = self.strategy.ask(want)
        return self.drawn(want, proposals, perf_counter() - before)

    def drawn(self, want: int, proposals: Proposals, seconds: float) -> Chunk | None:
        """What `draw` gives, of proposals that took the strategy so long."""
        after = perf_counter()
        self.spans.add("strategy", seconds)
        if not len(proposals):
            return None
        if self.store.durable:
            self.log("ask", n=want, k=len(proposals), first=int(proposals.tickets[0]))
        if self.listeners:
            self._announce()
            self.emit("asked", count=len(proposals))
        chunk = self.admit(proposals.tickets, proposals.points)
        self.spans.add("engine", perf_counter() - after)
        return chunk

    def place(self, tickets: Ints, points: Floats) -> tuple[Floats, Floats, Mask | None]:
        """(points, reals, active) as they will be evaluated: repaired and snapped. Replays give the same."""
        if self.space.constrained:
            rng = np.random.default_rng([self.seed & (2**63 - 1), int(tickets[0]) & (2**63 - 1)])
            points = self.space.repair(points, rng)
        return self.space.resolve(points)

    def admit(self, tickets: Ints, points: Floats) -> Chunk:
        """The rows that have to be evaluated, with keys; the others are told from the cache or join a running one."""
        points, reals, active = self.place(tickets, points)
        reals = self.aliases.meant(points, reals)
        keys = self.space.keys(reals)
        chunk = Chunk(_UNNUMBERED[: len(keys)] if len(keys) <= 4096 else np.full(len(keys), -1), tickets, points, reals,
                      active, keys)  # fmt: skip
        return self.cache.sift(chunk)

    # --- open -----------------------------------------------------------------------------------------------------

    def open(self, chunk: Chunk, budget: int | None) -> tuple[Chunk | None, Chunk | None]:
        """(opened rows with numbers, rows beyond the budget), each None if empty."""
        before = perf_counter()
        opening = self.opening(chunk)
        crew = self.crew
        unique = crew.member is not None and self.deterministic and (crew.several or self.space.size is not None)
        log = self.taken_log()
        first, count, taken = crew.still_there(
            lambda member: self.store.open_trials(self.study, opening, budget, log, member, unique)
        )
        after = perf_counter()
        self.spans.add("store", after - before)
        rest = None
        self.used += count
        if count + len(taken) < len(chunk):
            rest, chunk = chunk.rows(slice(count + len(taken), None)), chunk.rows(slice(0, count + len(taken)))
            self.used = max(self.used, budget or 0)
        if taken:
            chunk = self.cache.taken(chunk, taken)
        if not count:
            return None, rest
        chunk.numbers = np.arange(first, first + count)
        if crew.member is not None:
            crew.own.update(range(first, first + count))
        self.history.open(first, chunk.tickets, chunk.reals, chunk.replicates, chunk.source)
        self.history.index.update(zip(chunk.keys, range(first, first + count), strict=True))
        self.groups.opened(chunk)
        self.cache.opened(chunk)
        if self.listeners:
            self.emit("opened", first=first, count=count)
        self.spans.add("engine", perf_counter() - after)
        return chunk, rest

    def opening(self, chunk: Chunk, priority: float = 0.0) -> Opening:
        """These rows, as a store wants them."""
        return Opening(
            self.space, chunk.tickets, chunk.reals, chunk.active, None, chunk.replicates, chunk.source,
            self.crew.ordinal, priority,
        )  # fmt: skip

    def heard(self, chunk: Chunk) -> None:
        """Trials that others evaluated have ended: they may be the best, and the strategy hears of them."""
        ready = self.groups.complete(chunk)
        if ready is None:
            return
        tickets, points, numbers = ready
        best = self.groups.best(numbers, self.best)
        if best is not None:
            self.improved(best)
        self.tell(*self.cache.joined(tickets, points, numbers))
        if self.listeners:
            history = self.history
            self.emit(
                "finished",
                numbers=chunk.numbers,
                values=history.values[chunk.numbers] * self.problem.signs,
                statuses=history.statuses[chunk.numbers],
                seconds=history.seconds[chunk.numbers],
                errors={},
                elsewhere=True,
            )

    def vanished(self, numbers: Sequence[int]) -> None:
        """Others have given these trials back: who waited for them evaluates their points after all."""
        known = [number for number in numbers if self.history.has(number)]
        if not known:
            return
        chunk = chunk_of(self.history, known, np.full(len(known), FOREIGN))
        waiting = self.cache.widowed(known)
        self.groups.dropped(chunk)
        self.history.drop(known, chunk.keys)
        if waiting:
            rows = np.array([pair[1] for pair in waiting])
            fresh = self.admit(np.array([pair[0] for pair in waiting]), rows)
            if len(fresh):
                self.backlog.append(fresh)

    def excluded(self, numbers: Sequence[int]) -> None:
        """These trials were retracted: they are no results any more, and their points may be evaluated again."""
        chunk = chunk_of(self.history, numbers, np.full(len(numbers), FOREIGN))
        for number, key in zip(numbers, chunk.keys, strict=True):
            if self.history.index.get(key) == number:
                del self.history.index[key]
        self.history.values[chunk.numbers] = np.nan
        self.history.statuses[chunk.numbers] = Status.ABANDONED
        if not self.store.durable:
            self.used -= sum(self.history.sources.get(number) not in OUTSIDE for number in numbers)
        self.best = self.groups.best(self.groups.whole(self.history.good()), None)

    def insert(self, chunk: Chunk, outcomes: Outcomes) -> None:
        """Results from elsewhere: recorded outside the budget, then told."""
        finishing = ended(np.arange(len(chunk)), outcomes)
        first = self.store.add(self.study, self.opening(chunk), finishing, self.taken_log(), self.crew.member)
        chunk.numbers = np.arange(first, first + len(chunk))
        self.history.open(first, chunk.tickets, chunk.reals, chunk.replicates, chunk.source)
        for key, number in zip(chunk.keys, chunk.numbers.tolist(), strict=True):
            self.history.index.setdefault(key, number)
        self.groups.opened(chunk)
        self.history.finish(chunk.numbers, outcomes, time(), 1)
        self._improve(chunk.numbers, outcomes)
        self.conclude(chunk)

    def release(self, chunks: list[Chunk]) -> None:
        """Take back opened rows that never started: their budget is free again, the rows wait in the backlog."""
        for chunk in chunks:
            numbers = chunk.numbers.tolist()
            if numbers and numbers[0] >= 0:
                self.store.release(self.study, numbers, self.crew.member)
                self.used -= len(numbers)
                self.crew.own.difference_update(numbers)
                self.cache.unopened(numbers, chunk.keys)
                self.groups.dropped(chunk)
                self.history.drop(numbers, chunk.keys)
                chunk.numbers = np.full(len(chunk), -1)
            if len(chunk):
                self.backlog.append(chunk)

    # --- land -----------------------------------------------------------------------------------------------------

    def record(self, chunk: Chunk, outcomes: Outcomes, beside: bool = False) -> None:
        """Write ended rows to store and history. beside: they ran beside each other, not one after the other."""
        before = perf_counter()
        numbers, k = chunk.numbers, len(outcomes)
        started = np.empty(k)
        started[:] = time() - (np.nan_to_num(outcomes.seconds) if beside and k > 1 else total(outcomes.seconds))
        attempts = np.full(k, min(chunk.attempt, 127)) if chunk.attempt > 1 else None
        finishing = ended(numbers, outcomes, started if self.store.durable else None, attempts)
        middle = perf_counter()
        refused = self.store.append(self.study, finishing, self.taken_log(), self.crew.member)
        after = perf_counter()
        self.history.finish(numbers, outcomes, started, chunk.attempt)
        self.spans.add("engine", middle - before)
        self.spans.add("store", after - middle)
        if self.crew.member is not None:
            self.crew.own.difference_update(numbers.tolist())
        if refused:
            outcomes = self._others_answers(numbers, outcomes, refused)
        self._improve(numbers, outcomes)
        if self.listeners:
            self.emit(
                "finished",
                numbers=numbers,
                values=outcomes.values * self.problem.signs,
                statuses=outcomes.statuses,
                seconds=outcomes.seconds,
                errors=outcomes.errors,
            )

    def _others_answers(self, numbers: Ints, outcomes: Outcomes, refused: Sequence[int]) -> Outcomes:
        """Somebody else has answered these trials meanwhile: what they said stands."""
        self.crew.look(force=True, quiet=set(refused))
        self.emit("late", numbers=list(refused))
        history = self.history
        return replace(
            outcomes, values=history.values[numbers], statuses=history.statuses[numbers],
            seconds=history.seconds[numbers],
            violations=None if outcomes.violations is None else history.violations[numbers],
        )  # fmt: skip

    def _improve(self, numbers: Ints, outcomes: Outcomes) -> None:
        """Keep the best number up to date (first objective; replicates by their aggregate)."""
        if self.groups.grouped:
            return
        row, value = best_row(outcomes)
        if value < (np.inf if self.best is None else self.history.values[self.best, 0]):
            self.improved(int(numbers[row]))

    def improved(self, number: int) -> None:
        """`number` is the new best trial."""
        self.best = number
        if self.listeners:
            values = (self.history.values[number] * self.problem.signs).tolist()
            if self.groups.grouped and len(values) == 1:  # what its replicates come to, flukes left out
                values = [self.groups.value(number) * float(self.problem.signs[0])]
            params = self.history.trial(number).params
            self.emit("improved", number=number, value=values[0] if len(values) == 1 else values, params=params)

    def conclude(self, chunk: Chunk) -> None:
        """Tell the strategy about recorded rows (all final); those that deserve more wait in the backlog."""
        ready = self.groups.complete(chunk)
        if ready is None:
            return
        tickets, points, numbers = ready
        if self.groups.racing:
            more, rows = self.groups.further(tickets, points, numbers, self.best)
            if rows is not None:
                self.log("again", n=pack(numbers[more]))
                self.backlog.insert(sum(item.further for item in self.backlog), rows)
                tickets, points, numbers = tickets[~more], points[~more], numbers[~more]
        if not len(numbers):
            return
        if self.groups.grouped:
            best = self.groups.best(numbers, self.best)
            if best is not None:
                self.improved(best)
        self.tell(*self.cache.joined(tickets, points, numbers))

    def tell(self, tickets: Ints, points: Floats, numbers: Ints) -> None:
        """Tell the strategy what recorded trials came to, as the answers to `tickets`."""
        before = perf_counter()
        if self.store.durable:
            if before > self._snapshot_at:
                # before the tell is logged: a snapshot holds exactly what the log says by then
                self.save(tickets, points)
            noise = {"s": self.groups.noise} if self.groups.racing else {}
            self.log("tell", t=pack(tickets), n=pack(numbers), **noise)
        answers = self.answers(tickets, points, numbers)
        foreign = tickets == FOREIGN
        if foreign.any():
            self.aliases.note(points[foreign], numbers[foreign])
        self.groups.told(numbers)
        if self.started:
            self.unheard.append(answers)
            if not self.deferring:
                self.settle()
            if self.listeners:
                self._announce()
        self.spans.add("strategy", perf_counter() - before)

    def settle(self) -> None:
        """Let the strategy hear everything that it has been told."""
        if self.unheard:
            self._must_own()
        while self.unheard:
            self.strategy.tell(self.unheard.pop(0))

    def answers(self, tickets: Ints, points: Floats, numbers: Ints, sd: float | None = None) -> Answers:
        """What became of trials, as the strategy hears it (replicates aggregated; sd: see `Replicates.answers`)."""
        k, first = len(numbers), int(numbers[0])
        if self.groups.grouped:
            grouped = self.groups.answers(tickets, points, numbers, sd)
            return replace(grouped, seconds=np.full(k, np.nan)) if self.timeless else grouped
        history = self.history
        where: Any = numbers
        if consecutive(numbers, first, k):
            where = slice(first, first + k)
        violations = history.violations[where] if history.constrained else None
        values, statuses = history.values[where], history.statuses[where]
        seconds = np.full(k, np.nan) if self.timeless else history.seconds[where]
        # views of the history: it only grows, and what is final never changes
        return Answers(tickets, points, values, statuses, violations, seconds)

    def save(self, tickets: Ints | None = None, points: Floats | None = None) -> None:
        """Write log and snapshot of the strategy (durable stores only). tickets, points: rows about to be told."""
        if not self.store.durable:
            return
        before = perf_counter()
        self.settle()  # a snapshot holds what the log says
        with suppress(Displaced):  # it hears of that when it next takes trials; what is another's is not touched
            keep(self, tickets, points)
        self._snapshot_at = perf_counter() + max(SNAPSHOT_S, 20 * (perf_counter() - before))
        self.spans.add("store", perf_counter() - before)

    # --- when a strategy repeats itself ---------------------------------------------------------------------------

    @property
    def distinct(self) -> int:
        """Different points that were opened."""
        return self.groups.distinct if self.groups.grouped else len(self.history.index)

    @property
    def exhausted(self) -> bool:
        """Every feasible point of a finite space has been opened."""
        size = self.space.size
        return self.deterministic and (self.used_up or (size is not None and self.distinct >= size))

    def restart(self, seed: int, budget: int | None) -> None:
        """Begin the strategy anew with another seed; it hears what is known as foreign."""
        self.start(seed, budget)
        numbers = self.groups.whole(self.history.good()[-10_000:])
        if len(numbers):
            self.tell_known(numbers)

    def tell_known(self, numbers: Ints) -> None:
        """Tell the strategy of recorded trials as foreign ones."""
        self.tell(np.full(len(numbers), FOREIGN), self.space.encode(self.history.reals[numbers]), numbers)


_UNNUMBERED = np.full(4096, -1, dtype=np.int64)
_UNNUMBERED.flags.writeable = False
