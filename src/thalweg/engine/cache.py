"""Nothing is evaluated twice: repeats are answered at once, points that are under way are joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..core.batch import FOREIGN, Floats, Ints
from ..core.evaluator import Outcomes
from ..core.store import digest
from .chunk import Chunk

if TYPE_CHECKING:
    from ..core.stored import StoredTrial
    from .session import Session

Pair = tuple[int, Floats]
"""A ticket and its point (D,)."""


class Cache:
    """A session's repeated proposals. hits: how many were answered without an evaluation."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.hits = 0
        self._joined: dict[int, list[Pair]] = {}
        """Trial under way -> proposals that wait for its answer."""
        self._twins: dict[bytes, list[Pair]] = {}
        """The same for rows that have no number yet, by key."""

    def sift(self, chunk: Chunk) -> Chunk:
        """Keep what has to be evaluated; the rest is told, or joins a row that is under way."""
        session = self.session
        if not session.deterministic:
            return session.groups.expand(chunk, fresh=False)
        index, keys = session.history.index, chunk.keys
        if index.keys().isdisjoint(keys) and (len(keys) == 1 or len(set(keys)) == len(keys)):
            return session.groups.expand(chunk, fresh=True)
        return session.groups.expand(self._without_hits(chunk), fresh=True)

    def _without_hits(self, chunk: Chunk) -> Chunk:
        session = self.session
        index = session.history.index
        first_of: set[bytes] = set()
        fresh: list[int] = []
        hits: list[tuple[int, int]] = []
        for row, key in enumerate(chunk.keys):
            number = index.get(key)
            if number is None and key not in first_of:
                first_of.add(key)
                fresh.append(row)
            elif number is None:
                # the twin is in this very chunk: it has no number yet, so it waits under its key
                self._twins.setdefault(key, []).append((int(chunk.tickets[row]), chunk.points[row]))
                self.hits += 1
            elif number not in session.untold and session.groups.answered(number):
                hits.append((row, number))
            else:
                self._joined.setdefault(number, []).append((int(chunk.tickets[row]), chunk.points[row]))
                self.hits += 1
        if hits:
            self._tell(chunk, hits)
        return chunk.rows(np.array(fresh, dtype=np.int64))

    def _tell(self, chunk: Chunk, hits: list[tuple[int, int]]) -> None:
        rows = np.array([row for row, _ in hits])
        numbers = np.array([number for _, number in hits])
        self.hits += len(hits)
        if self.session.listeners:
            for number in numbers.tolist():
                self.session.emit("cached", of=number)
        self.session.tell(chunk.tickets[rows], chunk.points[rows], numbers)

    # --- rows that wait for the answers of others -----------------------------------------------------------------

    def wait_for(self, number: int, ticket: int, point: Floats) -> None:
        """The answer of trial `number`, which somebody else evaluates, is the answer to `ticket`."""
        if ticket == FOREIGN:
            return
        if self.session.history.final_already(number) and self.session.groups.answered(number):
            self.session.tell(np.array([ticket]), point[None], np.array([number]))
        else:
            self._joined.setdefault(number, []).append((ticket, point))

    def taken(self, chunk: Chunk, taken: dict[int, int]) -> Chunk:
        """Somebody else has opened some of these points (row -> number) a moment ago; gives the other rows."""
        self.session.crew.look(force=True)
        for row, number in taken.items():
            self.wait_for(number, int(chunk.tickets[row]), chunk.points[row])
        self.hits += len(taken)
        return chunk.rows(np.array([row for row in range(len(chunk)) if row not in taken], dtype=np.int64))

    @property
    def awaits_others(self) -> bool:
        """Whether proposals wait for trials that are evaluated elsewhere."""
        return any(number not in self.session.crew.own for number in self._joined)

    def opened(self, chunk: Chunk) -> None:
        """Rows got their numbers."""
        if not self._twins:
            return
        for key in chunk.keys:
            for twin in self._twins.pop(key, ()):
                self._joined.setdefault(self.session.history.index[key], []).append(twin)

    def unopened(self, numbers: Sequence[int], keys: Sequence[bytes]) -> None:
        """Rows gave their numbers back, and will get others."""
        for number, key in zip(numbers, keys, strict=True):
            for twin in self._joined.pop(number, ()):
                self._twins.setdefault(key, []).append(twin)

    def widowed(self, numbers: Sequence[int]) -> list[Pair]:
        """Who waited for these trials, which nobody evaluates any more; they wait no longer."""
        return [pair for number in numbers for pair in self._joined.pop(number, ())]

    def joined(self, tickets: Ints, points: Floats, numbers: Ints) -> tuple[Ints, Floats, Ints]:
        """What is about to be told, together with those who waited for it."""
        if not self._joined:
            return tickets, points, numbers
        more = [(*pair, number) for number in numbers.tolist() for pair in self._joined.pop(number, ())]
        if not more:
            return tickets, points, numbers
        answered = {item[2] for item in more}
        pairs = zip(tickets.tolist(), numbers.tolist(), strict=True)
        own = np.array([ticket != FOREIGN or number not in answered for ticket, number in pairs], dtype=np.bool_)
        return (
            np.concatenate([tickets[own], [item[0] for item in more]]),
            np.concatenate([points[own], np.array([item[1] for item in more]).reshape(len(more), -1)]),
            np.concatenate([numbers[own], [item[2] for item in more]]),
        )

    def waiting(self) -> dict[int, Floats]:
        """The points of the tickets that wait, by ticket."""
        return {ticket: point for pairs in (*self._joined.values(), *self._twins.values()) for ticket, point in pairs}

    def clear(self) -> None:
        """Nobody waits any more: the strategy that gave those tickets is gone."""
        self._joined.clear()
        self._twins.clear()

    # --- results of other studies ---------------------------------------------------------------------------------

    def reuse(self, chunk: Chunk) -> Chunk:
        """Results of other studies with the same fingerprint become trials of this one, outside the budget; gives the
        rows that nobody has evaluated. Only where the user named a version of the objective's code.
        """
        session = self.session
        if session.problem.version is None or not session.store.durable or not session.deterministic:
            return chunk
        labels = session.space.to_labels(chunk.reals, chunk.active)
        replicates = chunk.replicates.tolist() if chunk.replicates is not None else [0] * len(chunk)
        names = [digest(item, None, replicate) for item, replicate in zip(labels, replicates, strict=True)]
        found = session.store.lookup(session.fingerprint, names)
        rows = [row for row, name in enumerate(names) if name in found]
        if not rows:
            return chunk
        self._take_known(chunk.rows(np.array(rows)), [found[names[row]] for row in rows])
        return chunk.rows(np.array([row for row, name in enumerate(names) if name not in found], dtype=np.int64))

    def _take_known(self, chunk: Chunk, trials: Sequence[StoredTrial]) -> None:
        outcomes = Outcomes(
            np.array([item.values for item in trials], dtype=np.float64),
            np.array([item.status for item in trials], dtype=np.int8),
            np.array([item.seconds for item in trials]),
            np.array([item.violation for item in trials]) if self.session.history.constrained else None,
            [item.components for item in trials],
            {row: item.error for row, item in enumerate(trials) if item.error},
        )
        chunk.source = "cache"
        self.session.insert(chunk, outcomes)
        self.hits += len(chunk)
