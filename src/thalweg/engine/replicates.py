"""Replicates: the same point evaluated several times, and what they say together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from ..core.batch import FOREIGN, Answers, Floats, Ints, Mask, Status
from ..core.errors import ProblemError
from .chunk import Chunk
from .history import History, tails
from .race import CONFIRMED, Race, read_repeats
from .rows import chunk_of

AGGREGATES: dict[str, Callable[..., Any]] = {"mean": np.mean, "median": np.median, "min": np.min}


def check_aggregate(aggregate: Any) -> None:
    """Raise ProblemError where `aggregate` cannot be."""
    if not isinstance(aggregate, str) or aggregate not in AGGREGATES:
        raise ProblemError(f"aggregate: one of {', '.join(AGGREGATES)} is expected, got {aggregate!r}")


class Replicates:
    """Keeps the trials of a point together.

    repeats: trials per proposal: a count, or (low, high) to race (see `race`).  aggregate: how their values become one
    ("mean", "median", "min" of minimised values).  confirm: share of the evaluations for points that would be the best.
    A point is failed if any of its replicates is; its noise is the standard error of its values.

    Raises:
        ProblemError: repeats that cannot be, or an unknown aggregate.
    """

    def __init__(self, history: History, repeats: Any, aggregate: str, confirm: float = 0.0) -> None:
        check_aggregate(aggregate)
        self.low, self.high = read_repeats(repeats)
        if confirm:
            self.high = CONFIRMED
        self.race = Race(self.low, self.high, confirm)
        self.history = history
        self.aggregate = aggregate
        self._reduce = AGGREGATES[aggregate]
        self.held: Container[int] = ()
        """Numbers of recorded trials whose turn to be told has not come (ordered mode)."""
        self._members: dict[int, list[int]] = {}
        """First replicate's number -> numbers of all; where low is 1 points with one trial are not in it."""
        self._first: dict[int, int] = {}
        self._points: dict[int, tuple[int, Floats]] = {}
        self._awaited: dict[int, int] = {}
        """First replicate's number -> further ones that were decided on but are not opened yet."""
        self._decided: dict[int, int] = {}
        """Of a stored study: first replicate's number -> how many further ones were decided on, while they are read."""
        self._counted: dict[bytes, int] | None = {}
        self._open_keys: dict[bytes, int] = {}

    @property
    def _times(self) -> dict[bytes, int]:
        """Key of a point -> how often it was opened; of trials that a store gave back when it is first asked for."""
        if self._counted is None:
            self._counted = {}
            numbers = self.history.known()
            self._count(self.history.space.keys(self.history.reals[numbers]), self.history.replicates[numbers])
        return self._counted

    def _count(self, bases: list[bytes], replicates: Ints | None) -> None:
        times = self._times
        for base, replicate in zip(bases, repeat(0) if replicates is None else replicates.tolist(), strict=False):
            times[base] = max(times.get(base, 0), replicate + 1)

    @property
    def grouped(self) -> bool:
        """Whether a point may have several trials of one proposal."""
        return self.high > 1

    @property
    def racing(self) -> bool:
        """Whether the number of a point's trials depends on what they came to."""
        return self.high > self.low

    @property
    def distinct(self) -> int:
        """Different points that were opened."""
        return len(self._members) if self.low > 1 else len(self.history.index) - self.race.spent + self.awaited

    @property
    def awaited(self) -> int:
        """Further trials that were decided on but are not opened yet."""
        return sum(self._awaited.values())

    def expand(self, chunk: Chunk, *, fresh: bool) -> Chunk:
        """`low` rows per row, each with its replicate number; not fresh: points may have been evaluated before."""
        if fresh and self.low == 1:
            return chunk
        if self.low > 1:
            chunk = chunk.rows(np.repeat(np.arange(len(chunk)), self.low))
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
        if not self.grouped:
            return
        if self.low == 1 and (not self._open_keys or chunk.replicates is None or not chunk.replicates.any()):
            return  # first evaluations, each a point of its own
        for row, number in enumerate(chunk.numbers.tolist()):
            key = self._group_key(chunk, row, number)
            if self.low > 1 or key in self._open_keys:
                self._join(key, number, int(chunk.tickets[row]), chunk.points[row])

    def _join(self, key: bytes, number: int, ticket: int, point: Floats) -> None:
        first = self._open_keys.setdefault(key, number)
        members = self._members.setdefault(first, [])
        if len(members) >= self.low and self._awaited.get(first):
            self._awaited[first] -= 1
        members.append(number)
        self._first[number] = first
        self._points.setdefault(first, (ticket, point))

    def _group_key(self, chunk: Chunk, row: int, number: int) -> bytes:
        if self.history.sources.get(number) == "added":
            return b"added" + number.to_bytes(8, "little")  # from elsewhere: it stands for itself
        base = chunk.keys[row][: 8 * self.history.space.dimension]
        if self.racing:
            return base + int(self.history.tickets[number]).to_bytes(8, "little", signed=True)
        replicate = int(chunk.replicates[row]) if chunk.replicates is not None else 0
        return base + (replicate // self.high).to_bytes(4, "little")

    def loaded(self) -> None:
        """The history was taken from a store: groups as they were."""
        numbers = self.history.known()
        self._counted = None
        if self.grouped and len(numbers):
            self._regroup(chunk_of(self.history, numbers, self.history.tickets[numbers]))

    def known(self, chunk: Chunk) -> None:
        """More rows that a store gave: groups as they were."""
        if self._counted is not None:
            width = 8 * self.history.space.dimension
            self._count([key[:width] for key in chunk.keys], chunk.replicates)
        if self.grouped:
            self._regroup(chunk)

    def _regroup(self, chunk: Chunk) -> None:
        keys = [self._group_key(chunk, row, number) for row, number in enumerate(chunk.numbers.tolist())]
        counts = Counter(keys)
        for row, (key, number) in enumerate(zip(keys, chunk.numbers.tolist(), strict=True)):
            if self.low > 1 or counts[key] > 1:
                self._join(key, number, int(chunk.tickets[row]), chunk.points[row])
        self.race.spent = sum(max(count - self.low, 0) for count in counts.values())

    def dropped(self, chunk: Chunk) -> None:
        """Rows were released before they ran."""
        for row, number in enumerate(chunk.numbers.tolist() if self.grouped else ()):
            if number not in self._first:
                continue
            key, first = self._group_key(chunk, row, number), self._first.pop(number)
            members, point = self._members.pop(first), self._points.pop(first)
            awaited = self._awaited.pop(first, 0) + (self.racing and len(members) > self.low)
            members.remove(number)
            if not members:
                del self._open_keys[key]
                continue
            left = members[0]  # numbers are given again: a group is called by one of its own
            self._open_keys[key], self._members[left], self._points[left] = left, members, point
            self._first.update(dict.fromkeys(members, left))
            if awaited:
                self._awaited[left] = awaited

    def answered(self, number: int) -> bool:
        """Whether all replicates of the point are final, and none is held or awaited."""
        statuses = self.history.statuses
        members = self._members.get(self._first.get(number, -1))
        if members is None:
            return self.low == 1 and bool(statuses[number] >= Status.DONE) and number not in self.held
        if not self.answerable(number):
            return False
        return all(statuses[item] >= Status.DONE and item not in self.held for item in members)

    def complete(self, chunk: Chunk) -> tuple[Ints, Floats, Ints] | None:
        """(tickets, points, numbers) of the points whose replicates are all final now and not held; None if none is."""
        if not self.grouped or (self.low == 1 and self._alone(chunk.numbers)):
            return chunk.tickets, chunk.points, chunk.numbers
        rows = {self._first.get(number, number): row for row, number in enumerate(chunk.numbers.tolist())}
        ready = [first for first in rows if self.answered(first) and self._whole(first)]
        if not ready:
            return None
        pairs = [
            self._points.get(first) or (int(chunk.tickets[rows[first]]), chunk.points[rows[first]]) for first in ready
        ]
        tickets = np.array([pair[0] for pair in pairs], dtype=np.int64)
        return tickets, np.array([pair[1] for pair in pairs]), np.array(ready, dtype=np.int64)

    def _alone(self, numbers: Ints) -> bool:
        """Whether each of these trials stands for itself."""
        return not self._first or self._first.keys().isdisjoint(numbers.tolist())

    def _whole(self, first: int) -> bool:
        return len(self.members(first)) >= self.low or self.history.sources.get(first) == "added"

    def whole(self, numbers: Ints) -> Ints:
        """One number for each point of `numbers` whose replicates are all final."""
        if not self._first:
            return numbers
        firsts = sorted({self._first.get(number, number) for number in numbers.tolist()})
        return np.array([n for n in firsts if self.answered(n) and self._whole(n)], dtype=np.int64)

    # --- what they came to ----------------------------------------------------------------------------------------

    def answers(self, tickets: Ints, points: Floats, numbers: Ints, sd: float | None = None) -> Answers:
        """One answer per point: aggregated values, worst status, mean violation, summed seconds, standard error.

        sd: the noise of one evaluation that was known when this was told (None: what is known now).
        """
        history = self.history
        values, statuses = history.values[numbers], history.statuses[numbers].copy()
        violations, seconds = history.violations[numbers], history.seconds[numbers]
        noise = np.full(values.shape, np.nan)
        if sd is None:
            sd = self.noise
        alone = self._alone(numbers)
        several = [] if alone else [row for row, number in enumerate(numbers.tolist()) if number in self._first]
        for row in several:
            members = np.array(self.members(int(numbers[row])))
            ended = history.statuses[members]
            seconds[row] = np.nansum(history.seconds[members])
            violations[row] = history.violations[members].mean()
            statuses[row] = Status.DONE
            if (ended != Status.DONE).any():
                statuses[row] = ended[ended != Status.DONE][0]
                values[row] = np.nan
                continue
            kept = self._kept(history.values[members], sd)
            values[row] = self._reduce(kept, axis=0)
            if len(kept) > 1:
                noise[row] = self._error(kept, sd)
        return Answers(
            tickets, points, values, statuses, violations if history.constrained else None, seconds, None, noise
        )

    def _error(self, values: Floats, sd: float | None) -> Floats:
        """(m,) standard errors of the mean of values (k, m)."""
        if self.racing and values.shape[1] == 1:
            return np.array([self.race.own_sd(values[:, 0].tolist(), sd) / len(values) ** 0.5])
        return np.asarray(values.std(axis=0, ddof=1) / np.sqrt(len(values)))

    @property
    def noise(self) -> float | None:
        """The standard deviation of one evaluation as far as it is known, None while it is not."""
        sd = self.race.sd
        return None if np.isnan(sd) else sd

    def flukes(self) -> list[int]:
        """Numbers of trials whose values are left out of their points'."""
        found = []
        for first, members in self._members.items() if self.race.share else ():
            values = self.history.values[np.array(members)]
            if (self.history.statuses[np.array(members)] == Status.DONE).all():
                found += [first] * (len(self._kept(values, self.noise)) < len(values))
        return found

    def _kept(self, values: Floats, sd: float | None) -> Floats:
        """(k', m) the values that count. Where new bests are confirmed, a first value far from all that followed it
        was a fluke: it says nothing about the point, only that it was looked at again.
        """
        if not self.race.share or len(values) < 3 or values.shape[1] > 1:
            return values
        rest: Floats = values[1:, 0]
        spread = max(float(rest.std(ddof=1)), sd or 0.0) * np.sqrt(1 + 1 / len(rest))
        far = abs(float(values[0, 0]) - float(rest.mean())) > FLUKE * spread
        return np.asarray(values[1:]) if far else values

    def members(self, number: int) -> Sequence[int]:
        """Numbers of all replicates of a trial's point."""
        return self._members.get(self._first.get(number, number), [number])

    def turns(self, last: int) -> Sequence[int]:
        """Those replicates of an unanswered point, whose newest trial is `last`, that an ordered run may have to take
        in turn yet: a further evaluation was decided on after all others had had theirs."""
        members = self.members(last)
        return members if len(members) <= self.low else [last]

    def value(self, number: int) -> float:
        """The first objective of a trial's point, replicates aggregated; inf where one failed or violates."""
        return float(self.merits(np.array([number]))[0])

    def merits(self, numbers: Ints) -> Floats:
        """(k,) `value` of trials' points."""
        if not self._first:
            values, bad = self.history.values[numbers, 0], self.history.statuses[numbers] != Status.DONE
            if self.history.constrained:
                bad |= self.history.violations[numbers] > 0
            return np.where(bad, np.inf, values)
        answer = self.answers(np.full(len(numbers), -1), np.empty((len(numbers), 0)), numbers)
        bad = answer.statuses != Status.DONE
        if answer.violations is not None:
            bad |= answer.violations > 0
        return np.where(bad, np.inf, answer.values[:, 0])

    def best(self, numbers: Ints, present: int | None) -> int | None:
        """The best of `numbers` if it beats trial `present`. Where points race, what is less sure counts as worse."""
        if not len(numbers):
            return None
        scores = self._scores(numbers)
        row = int(np.argmin(scores))
        if scores[row] < (float("inf") if present is None else self._scores(np.array([present]))[0]):
            return int(numbers[row])
        return None

    def _scores(self, numbers: Ints) -> Floats:
        """(k,) values, and where points race their standard errors on top."""
        merits, sd = self.merits(numbers), self.noise
        if not self.racing or sd is None:
            return merits
        counts = 1 if self._alone(numbers) else [len(self.members(number)) for number in numbers.tolist()]
        return np.asarray(merits + sd / np.sqrt(counts))

    # --- racing ---------------------------------------------------------------------------------------------------

    def further(self, tickets: Ints, points: Floats, numbers: Ints, best: int | None) -> tuple[Mask, Chunk | None]:
        """((k,) which of these points deserve another evaluation, the rows for it). best: the incumbent's number."""
        more = np.zeros(len(numbers), dtype=np.bool_)
        merits = self.merits(numbers)
        order = np.argsort(merits, kind="stable")
        incumbent = None if best is None else (self.value(best), len(self.members(best)))
        for row in order.tolist():
            number, value = int(numbers[row]), float(merits[row])
            if self.race.share and incumbent is not None and value >= incumbent[0]:
                break
            if self.noise is None and more.sum() == FIRST:
                break
            if self.race.knows(number) or self.history.sources.get(number) in ("added", "cache"):
                continue
            own = self.history.values[np.array(self.members(number)), 0].tolist()
            if self.race.further(own, value, incumbent, self.history.opened):
                more[row] = True
                self.race.spent += 1
            if incumbent is None and np.isfinite(value):
                incumbent = value, len(own)
        rows = np.flatnonzero(more)
        if not len(rows):
            return more, None
        return more, self._next_rows(tickets[rows], points[rows], numbers[rows])

    def _next_rows(self, tickets: Ints, points: Floats, numbers: Ints) -> Chunk:
        """One more row for each of the points of `numbers`."""
        for number, ticket, point in zip(numbers.tolist(), tickets.tolist(), points, strict=True):
            self._awaited[number] = self._awaited.get(number, 0) + 1
            self._found(number, ticket, point)
        chunk = self._again(numbers, points)
        chunk.further = True
        return chunk

    def _found(self, number: int, ticket: int, point: Floats) -> None:
        """A trial that stood for itself becomes the first of a group."""
        if number not in self._first:
            base = self.history.space.keys(self.history.reals[number : number + 1])[0]
            own = int(self.history.tickets[number])
            self._join(base + own.to_bytes(8, "little", signed=True), number, ticket, point)

    def decided(self, numbers: Ints) -> None:
        """A stored study had decided to evaluate the points of these trials once more; called in that order."""
        units = self.history.space.encode(self.history.reals[numbers])
        for number, unit in zip(numbers.tolist(), units, strict=True):
            self._found(number, int(self.history.tickets[number]), unit)
            decided = self._decided[number] = self._decided.get(number, 0) + 1
            awaited = decided - (len(self._members[number]) - self.low)
            if awaited > 0:
                self._awaited[number] = awaited
                self.race.spent += 1

    def owed(self) -> Chunk | None:
        """The rows that were decided on and not opened, of a stored study."""
        numbers = [number for number, count in self._awaited.items() for _ in range(count)]
        if not numbers:
            return None
        chunk = self._again(np.array(numbers), np.array([self._points[number][1] for number in numbers]))
        chunk.further = True
        return chunk

    def answerable(self, number: int) -> bool:
        """Whether no further evaluation of a trial's point was decided on that is not opened yet."""
        return not self._awaited.get(self._first.get(number, -1))

    def disown(self) -> None:
        """Whatever strategy proposed these points is gone: nobody waits for them any more."""
        self._awaited.clear()
        self._points = {first: (FOREIGN, point) for first, (_, point) in self._points.items()}

    def _again(self, numbers: Ints, points: Floats) -> Chunk:
        """(k,) rows for the points (k, D) of trials, not opened yet, with the next replicate numbers."""
        history, space = self.history, self.history.space
        reals = history.reals[numbers]
        bases, replicates = space.keys(reals), np.zeros(len(numbers), dtype=np.int64)
        for row, (base, number) in enumerate(zip(bases, numbers.tolist(), strict=True)):
            replicates[row] = max(self._times.get(base, 0), len(self.members(number)))
            self._times[base] = int(replicates[row]) + 1
        keys = [base + mark for base, mark in zip(bases, tails(replicates) or (), strict=True)]
        unnumbered, own = np.full(len(numbers), -1), history.tickets[numbers]
        return Chunk(unnumbered, own, points, reals, space.active(reals), keys, replicates)

    def lacks(self, number: int) -> bool:
        """Whether a trial's point has fewer trials than it should."""
        return len(self.members(number)) < self.low and self.history.sources.get(number) != "added"

    def lacking(self) -> Chunk | None:
        """Rows for points that have fewer trials than they should: a study ended before the others were opened."""
        numbers = [
            first
            for first, members in self._members.items()
            if self.lacks(first)
            for _ in range(self.low - len(members))
        ]
        if not numbers:
            return None
        return self._again(np.array(numbers), np.array([self._points[first][1] for first in numbers]))

    def placed(self, number: int, point: Floats) -> None:
        """The exact unit point (D,) of a trial, where only its real values were known."""
        first = self._first.get(number)
        if first is not None:
            self._points[first] = (self._points[first][0], point)

    def told(self, numbers: Ints) -> None:
        """The strategy has heard of these points: they are never evaluated again for this proposal."""
        if not self.racing:
            return
        sd = self.noise
        several = [number for number in numbers.tolist() if number in self._first]
        self.race.close(numbers.tolist() if len(several) < len(numbers) else ())
        for number in several:
            values = self._kept(self.history.values[np.array(self.members(number))], sd)
            self.race.learn(number, values[:, 0].tolist())


FIRST = 3
"""Points of a batch, the best ones, that are evaluated again while nothing is known about the noise."""
FLUKE = 4.0
"""Standard deviations from the confirming values beyond which the first value of a new best is left out."""
