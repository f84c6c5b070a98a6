"""Replicates: the same point evaluated several times, and what they say together."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any

import numpy as np

from ..core.batch import Answers, Floats, Ints, Status
from ..core.errors import ProblemError
from .chunk import Chunk
from .history import History

AGGREGATES: dict[str, Callable[..., Any]] = {"mean": np.mean, "median": np.median, "min": np.min}


def check_replicates(repeats: Any, aggregate: Any) -> None:
    """Raise ProblemError where `repeats` or `aggregate` cannot be."""
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
        raise ProblemError(f"repeats: a whole number >= 1 is expected, got {repeats!r}")
    if not isinstance(aggregate, str) or aggregate not in AGGREGATES:
        raise ProblemError(f"aggregate: one of {', '.join(AGGREGATES)} is expected, got {aggregate!r}")


class Replicates:
    """Keeps the trials of a point together.

    repeats: trials per proposal.  aggregate: how their values become one ("mean", "median", "min" of minimised values).
    A point is failed if any of its replicates is; its noise is the standard error of its values.

    Raises:
        ProblemError: repeats below 1 or an unknown aggregate.
    """

    def __init__(self, history: History, repeats: int, aggregate: str) -> None:
        check_replicates(repeats, aggregate)
        self.history, self.repeats = history, repeats
        self.aggregate = aggregate
        self._reduce = AGGREGATES[aggregate]
        self.held: Container[int] = ()
        """Numbers of recorded trials whose turn to be told has not come (ordered mode)."""
        self._members: dict[int, list[int]] = {}
        """First replicate's number -> numbers of all."""
        self._first: dict[int, int] = {}
        self._points: dict[int, tuple[int, Floats]] = {}
        self._times: dict[bytes, int] = {}
        self._open_keys: dict[bytes, int] = {}

    @property
    def distinct(self) -> int:
        """Different points that were opened."""
        return len(self._members)

    def expand(self, chunk: Chunk, *, fresh: bool) -> Chunk:
        """`repeats` rows per row, each with its replicate number; not fresh: points may have been evaluated before."""
        if fresh and self.repeats == 1:
            return chunk
        if self.repeats > 1:
            chunk = chunk.rows(np.repeat(np.arange(len(chunk)), self.repeats))
        replicates = np.zeros(len(chunk), dtype=np.int64)
        for row, key in enumerate(chunk.keys):
            times = self._times.get(key, 0)
            self._times[key] = times + 1
            replicates[row] = times
        chunk.replicates = replicates
        chunk.keys = [key + tail for key, tail in zip(chunk.keys, tails(replicates) or [b""] * len(chunk), strict=True)]
        return chunk

    def opened(self, chunk: Chunk) -> None:
        """Rows got their numbers: rows of one proposal are one group."""
        if self.repeats == 1:
            return
        numbers = chunk.numbers.tolist()
        for row, number in enumerate(numbers):
            key = self._group_key(chunk, row, number)
            first = self._open_keys.setdefault(key, number)
            self._members.setdefault(first, []).append(number)
            self._first[number] = first
            self._points.setdefault(first, (int(chunk.tickets[row]), chunk.points[row]))

    def _group_key(self, chunk: Chunk, row: int, number: int) -> bytes:
        if self.history.sources.get(number) == "added":
            return b"added" + number.to_bytes(8, "little")  # from elsewhere: it stands for itself
        replicate = int(chunk.replicates[row]) if chunk.replicates is not None else 0
        return chunk.keys[row][: 8 * self.history.space.dimension] + (replicate // self.repeats).to_bytes(4, "little")

    def known(self, chunk: Chunk) -> None:
        """Rows that a store gave back: groups as they were."""
        for key, replicate in zip(
            chunk.keys, chunk.replicates.tolist() if chunk.replicates is not None else (), strict=False
        ):
            base = key[: 8 * self.history.space.dimension]
            self._times[base] = max(self._times.get(base, 0), replicate + 1)
        self.opened(chunk)

    def dropped(self, chunk: Chunk) -> None:
        """Rows were released before they ran."""
        for row, number in enumerate(chunk.numbers.tolist() if self.repeats > 1 else ()):
            key, first = self._group_key(chunk, row, number), self._first.pop(number)
            members, point = self._members.pop(first), self._points.pop(first)
            members.remove(number)
            if not members:
                del self._open_keys[key]
                continue
            left = members[0]  # numbers are given again: a group is called by one of its own
            self._open_keys[key], self._members[left], self._points[left] = left, members, point
            self._first.update(dict.fromkeys(members, left))

    def answered(self, number: int) -> bool:
        """Whether all replicates of the point are final, and none is held."""
        statuses = self.history.statuses
        if self.repeats == 1:
            return bool(statuses[number] >= Status.DONE)
        members = self._members.get(self._first.get(number, -1), ())
        return all(statuses[item] >= Status.DONE and item not in self.held for item in members)

    def complete(self, chunk: Chunk) -> tuple[Ints, Floats, Ints] | None:
        """(tickets, points, numbers) of the points whose replicates are all final now and not held; None if none is."""
        if self.repeats == 1:
            return chunk.tickets, chunk.points, chunk.numbers
        firsts = dict.fromkeys(self._first[number] for number in chunk.numbers.tolist())
        ready = [first for first in firsts if self.answered(first) and self._whole(first)]
        if not ready:
            return None
        pairs = [self._points[first] for first in ready]
        tickets = np.array([pair[0] for pair in pairs], dtype=np.int64)
        return tickets, np.array([pair[1] for pair in pairs]), np.array(ready, dtype=np.int64)

    def _whole(self, first: int) -> bool:
        return len(self._members[first]) >= self.repeats or self.history.sources.get(first) == "added"

    def whole(self, numbers: Ints) -> Ints:
        """One number for each point of `numbers` whose replicates are all final."""
        if self.repeats == 1:
            return numbers
        firsts = sorted({self._first[number] for number in numbers.tolist()})
        return np.array([n for n in firsts if self.answered(n) and self._whole(n)], dtype=np.int64)

    def answers(self, tickets: Ints, points: Floats, numbers: Ints) -> Answers:
        """One answer per point: aggregated values, worst status, mean violation, summed seconds, standard error."""
        history = self.history
        width = history.values.shape[1]
        values = np.full((len(numbers), width), np.nan)
        noise = np.full((len(numbers), width), np.nan)
        statuses = np.full(len(numbers), Status.DONE, dtype=np.int8)
        violations, seconds = np.zeros(len(numbers)), np.zeros(len(numbers))
        for row, number in enumerate(numbers.tolist()):
            members = np.array(self.members(number))
            ended = history.statuses[members]
            seconds[row] = np.nansum(history.seconds[members])
            violations[row] = history.violations[members].mean()
            if (ended != Status.DONE).any():
                statuses[row] = ended[ended != Status.DONE][0]
                continue
            values[row] = self._reduce(history.values[members], axis=0)
            if len(members) > 1:
                noise[row] = history.values[members].std(axis=0, ddof=1) / np.sqrt(len(members))
        return Answers(
            tickets, points, values, statuses, violations if history.constrained else None, seconds, None, noise
        )

    def members(self, number: int) -> Sequence[int]:
        """Numbers of all replicates of a trial's point."""
        return self._members.get(self._first.get(number, number), [number])

    def value(self, number: int) -> float:
        """The first objective of a trial's point, replicates aggregated; inf where one failed or violates."""
        answer = self.answers(np.array([-1]), np.empty((1, 0)), np.array([number]))
        bad = answer.statuses[0] != Status.DONE or (answer.violations is not None and answer.violations[0] > 0)
        return float("inf") if bad else float(answer.values[0, 0])

    def best(self, numbers: Ints, present: int | None) -> int | None:
        """The best of `numbers` if it beats trial `present`."""
        values = [self.value(number) for number in numbers.tolist()]
        row = int(np.argmin(values))
        if values[row] < (float("inf") if present is None else self.value(present)):
            return int(numbers[row])
        return None


_MARK = b"\xff#"


def tails(replicates: Ints) -> list[bytes] | None:
    """The last part of the keys of replicates; None where all are the first."""
    if not replicates.any():
        return None
    return [_MARK + int(item).to_bytes(4, "little") if item else b"" for item in replicates.tolist()]
