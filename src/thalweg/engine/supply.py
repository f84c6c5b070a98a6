"""The asking half of the loop: keeps rows queued as long as limits, strategy and evaluator allow."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import numpy as np

from .chunk import Chunk
from .limits import Limits
from .session import Session
from .thinking import Thinking
from .unseen import unseen

PATIENCE = 3
"""A strategy that gives only seen points for this many of its strides in a row gets unseen ones, or a restart. Where no
unseen ones can be listed it is asked as often for every point of a linear model: methods that begin a region with D + 1
points around the best, one at a time, may know them all, and go on from there."""
RESTARTS = 3
"""So many in a row that bring no new point are the end."""
UNLIMITED = 1 << 40


class Flying(Protocol):
    """What the supply must know of the evaluating half."""

    @property
    def rows_under_way(self) -> int:
        """Rows that are being evaluated or recorded."""

    @property
    def rows_wanted(self) -> int:
        """Rows that the evaluator could take beyond those under way."""

    @property
    def suspends(self) -> bool:
        """Whether evaluations run beside the loop; else one thread does everything."""

    @property
    def free_slots(self) -> int:
        """Jobs that could start now."""

    @property
    def rows_together(self) -> int:
        """Rows worth having at once when the strategy repeats itself."""


class Supply:
    """Asks, opens, queues.

    queue: opened rows that wait for the evaluator.
    width: rows between ask and tell in ordered mode (ask k + width comes right after tell k), or None.
    """

    def __init__(self, session: Session, limits: Limits, flying: Flying, width: int | None, thinking: Thinking) -> None:
        self.thinking = thinking
        self.session, self.limits, self.flying, self.width = session, limits, flying, width
        self.queue: deque[Chunk] = deque()
        self.waiting = False
        """The strategy gave nothing and has heard nothing since."""
        self.turn: deque[int] = deque()
        """Ordered mode: numbers in the order in which they are told."""
        if width is not None:  # what runs again keeps its place among what was recorded already
            opened = [number for chunk in session.backlog for number in chunk.numbers.tolist() if number >= 0]
            self.turn.extend(sorted({*session.untold, *opened}))
        self._dry = 0
        self._restarts = 0
        self._barren = 0  # restarts since the last new point
        self._settled = False

    @property
    def used(self) -> int:
        """Trials that count in the budget."""
        return self.session.used

    @property
    def queued(self) -> int:
        """Rows in the queue."""
        return sum(map(len, self.queue)) if self.queue else 0

    @property
    def credits(self) -> int:
        """Ordered mode: how many more rows may be between ask and tell. Counted from what is there, so that it is the
        same after a resumption."""
        return (self.width or 0) - len(self.turn) - self.session.groups.awaited

    @property
    def busy(self) -> bool:
        """Whether anything is on its way."""
        return bool(self.queue) or self.flying.rows_under_way > 0

    @property
    def room(self) -> int:
        """How many more trials may be opened now."""
        room = UNLIMITED if self.limits.max_evals is None else self.limits.max_evals - self.used
        rule = self.limits.rule
        allowed = None if rule is None else rule.room
        if allowed is not None:
            room = min(room, allowed - self.queued - self.flying.rows_under_way)
        return max(room, 0)

    @property
    def can_go_on(self) -> bool:
        """Whether rows wait that have their numbers already, and so need no room."""
        return any(chunk.numbers[0] >= 0 for chunk in self.session.backlog)

    async def fill(self) -> str:
        """Keep enough rows queued; gives a reason when there is nothing left to do."""
        session = self.session
        self.hear()
        if session.backlog:
            self._open_backlog()
        while True:
            want = self._wanted()
            if want <= 0:
                return ""
            chunk = await self.thinking.draw(want)
            if chunk is None:
                self.waiting = True
                return self.nothing_left() if session.strategy.done and not self.busy else ""
            if not len(chunk):
                if self._dried(want):
                    return self.nothing_left()
                continue
            self._dry = self._barren = 0
            self._enqueue(chunk)
            if self.thinking.cancelled is not None:
                return ""

    def hear(self, force: bool = False) -> bool:
        """Hear of other processes, and take over what nobody alive works on; gives whether there was anything."""
        session = self.session
        if session.crew.member is None:
            return False
        heard = session.crew.look(force)
        if heard:
            self.waiting = False
        budget = session.crew.budget
        if budget is not None and self.limits.max_evals is not None:
            self.limits.max_evals = budget
            if budget < self.used and self.width is None:
                self._give_back(self.used - budget)
        if any(chunk.lost for chunk in (*self.queue, *session.backlog)):
            return heard  # its own come first, each under its own ticket
        if self.width is not None and self._settled and not force:
            return heard  # ordered: what is queued later waits for the end, so that timing changes nothing
        chunks = session.crew.claim(max(self.flying.rows_wanted - self.queued, 0), force)
        self._settled = not chunks
        for chunk in chunks:
            self.queue.append(chunk)
            if self.width is not None:
                self.turn.extend(chunk.numbers.tolist())
        return heard or bool(chunks)

    def _give_back(self, rows: int) -> None:
        """The budget has become smaller: what has not started waits for room again."""
        while rows > 0 and self.queue and self.queue[-1].attempt == 1 and self.queue[-1].source != "enqueued":
            chunk = self.queue.pop()
            if len(chunk) > rows:
                self.queue.append(chunk.rows(slice(0, -rows)))
                chunk = chunk.rows(slice(-rows, None))
            rows -= len(chunk)
            self.session.release([chunk])

    def _wanted(self) -> int:
        """How many rows to ask for now."""
        if self.waiting:
            return 0
        if self.width is not None:
            return min(self.credits, self.room) if not self.session.backlog else 0
        queued = self.queued
        if queued and not self.flying.suspends:
            return 0  # what is queued comes first: its answers may change what is asked for next
        capacity = self.flying.rows_wanted - queued
        if capacity > 0 and self.session.strategy.speculates:
            capacity = min(capacity, max(self.session.strategy.stride, self.flying.free_slots) - queued)
        if capacity <= 0:
            return 0
        repeats, room = self.session.groups.low, self.room
        if self.session.groups.racing:  # leave room for what deserves more evaluations
            room = -(-room // 2)
        if repeats == 1:
            return min(capacity, room)
        return min(-(-capacity // repeats), max(room // repeats, min(1, room)))

    def _enqueue(self, chunk: Chunk) -> None:
        chunk = self.session.cache.reuse(chunk)
        if not len(chunk):
            self.waiting = False
            return
        opened, rest = self.session.open(chunk, self.limits.max_evals)
        if rest is not None:
            self.session.backlog.append(rest)
        if opened is not None:
            self.queue.append(opened)
            if self.width is not None:
                self.turn.extend(opened.numbers.tolist())

    def _open_backlog(self) -> None:
        """Rows from earlier: those with numbers run again at once, the others need room first."""
        backlog, self.session.backlog = self.session.backlog, []
        room = self.room
        for chunk in backlog:
            if chunk.numbers[0] >= 0:
                self.queue.append(chunk)
                if self.width is not None:
                    self.turn = deque(sorted({*self.turn, *chunk.numbers.tolist()}))
                continue
            if room <= 0:
                self.session.backlog.append(chunk)
                continue
            fits = chunk.rows(slice(0, room))
            if len(fits) < len(chunk):
                self.session.backlog.append(chunk.rows(slice(room, None)))
            room -= len(fits)
            self._enqueue(fits)

    def _dried(self, want: int) -> bool:
        """The strategy gave only seen points; True when nothing can be done about it."""
        session = self.session
        if session.exhausted:
            self.waiting = True  # what still flies comes in first
            return not self.busy
        self._dry += 1
        least = 1 if session.space.raw_size is not None else session.space.dimension + 1
        if self._dry <= PATIENCE * max(session.strategy.stride / want, least):
            return False
        self._dry = 0
        together = self.flying.rows_together if self.width is None else want  # ordered: no matter how many workers
        fresh = unseen(session, max(1, min(self.room, together)))
        if fresh is not None and len(fresh):
            session.emit("switched", reason="the strategy repeats itself: points nobody has tried are evaluated")
            self._enqueue(fresh)
            self.waiting = True
            return False
        if self.busy:
            self.waiting = True
            return False
        if self._barren >= RESTARTS or session.strategy.pending:
            return True
        self._restarts += 1
        self._barren += 1
        session.emit("switched", reason="the strategy repeats itself: it is restarted with another seed")
        session.restart(session.seed + 7919 * self._restarts, self.limits.max_evals)
        return False

    def nothing_left(self) -> str:
        """Why there is nothing to evaluate, in words."""
        session = self.session
        if session.exhausted:
            if session.space.size == 0:
                session.space.sample(1, np.random.default_rng(0))  # raises, and says which requirements cannot be met
            return f"space exhausted: all {session.distinct} points are evaluated"
        if session.strategy.done:
            return f"the strategy is done: {session.strategy.why or type(session.strategy).__name__}"
        if self.waiting and session.strategy.pending:
            return (
                f"stalled: the strategy waits for answers to {session.strategy.pending} points; tell() those that "
                "were asked for by hand, or use another strategy"
            )
        if self.waiting:
            return "stalled: the strategy gives no points and waits for no answers"
        return "stalled: the strategy gives only points that were evaluated before"
