"""One study of `MemoryStore`: batches as they were handed over, and trials once somebody looked."""

from __future__ import annotations

import copy
import weakref
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...core.batch import FOREIGN, Status
from ...core.store import Entry, Finishing, Member, Opening, StudyRecord, digest
from ...core.stored import StoredTrial
from ._common import never_opened
from ._memory_packs import Batch, Pack, packed
from ._rows import check_final, labels_of, result_bodies

_FINAL, _ABANDONED = int(Status.DONE), int(Status.ABANDONED)
OPEN, ENDED, RELEASED = 0, 1, 2
_MOST_BATCHES, _MOST_NAMED = 512, 512
"""So many batches, and rows with named results, wait until they are joined."""
_FINAL_BYTES = bytes(range(_FINAL, _ABANDONED + 1))
_NOBODY_YET = FOREIGN


@dataclass(slots=True, eq=False)
class Place:
    """A place in a study, and who has or had it. It does not keep its member alive."""

    member: Callable[[], Member | None]
    ordinal: int
    token: int
    note: str
    alone: bool
    joined_unixtime: float
    beat_s: float
    gone: bool = False

    @property
    def alive(self) -> bool:
        """It has not left, and somebody still has the `Member`."""
        return not self.gone and self.member() is not None


@dataclass(slots=True, eq=False)
class MemoryStudy:
    """batches: as handed over, not yet looked into; packs: the earlier ones, joined.
    flags: a byte per number: open, ended or released.  version: how many changes there were.
    owner: the only token that ever opened trials; `mixed` if there were several, or trials were claimed.
    dues, due_from: of every batch that was opened: what its trials are ordered by while they wait, its first number.
    """

    record: StudyRecord
    next: int = 0
    used: int = 0
    version: int = 0
    budget: int | None = None
    flags: bytearray = field(default_factory=bytearray)
    owner: int | None = _NOBODY_YET
    mixed: bool = False
    dues: array[float] = field(default_factory=lambda: array("d"))
    due_from: array[int] = field(default_factory=lambda: array("q"))
    batches: list[Batch] = field(default_factory=list)
    packs: list[Pack] = field(default_factory=list)
    named: int = 0
    trials: dict[int, StoredTrial] = field(default_factory=dict)
    outside: set[int] = field(default_factory=set)
    changes: list[tuple[int, int | None, Sequence[int]]] = field(default_factory=list)
    index: dict[bytes, StoredTrial] = field(default_factory=dict)
    indexed: int = 0
    points: dict[bytes, tuple[int, ...]] = field(default_factory=dict)
    pointed: int = 0
    entries: list[Entry] = field(default_factory=list)
    snapshots: dict[int, tuple[Any, int]] = field(default_factory=dict)
    places: dict[int, Place] = field(default_factory=dict)

    def room(self, wanted: int, budget: int | None) -> int:
        """How many of `wanted` trials `budget` leaves room for."""
        return wanted if budget is None else max(0, min(wanted, budget - self.used))

    def open(self, opening: Opening, count: int, token: int | None, due: float) -> None:
        """Take the first `count` rows, without looking at them."""
        self.dues.append(due)
        self.due_from.append(self.next)
        if self.owner != token:
            self.mixed = self.mixed or self.owner != _NOBODY_YET
            self.owner = token
        self.flags.extend(bytes(count))
        self.version += 1
        self._keep(Batch(self.version, self.next, count, opening, None, token))
        self.next += count
        self.used += count

    def _keep(self, batch: Batch) -> None:
        """Take a batch; many small ones, and dicts of named results, are joined."""
        self.batches.append(batch)
        if batch.finishing is not None and batch.finishing.components is not None:
            self.named += batch.amount
        if len(self.batches) >= _MOST_BATCHES or self.named >= _MOST_NAMED:
            self.packs += packed(self.batches)
            self.batches.clear()
            self.named = 0

    def rank(self, trial: StoredTrial) -> tuple[float, int]:
        """What trials that wait are ordered by."""
        return self.dues[bisect_right(self.due_from, trial.number) - 1], trial.number

    def add(self, opening: Opening, finishing: Finishing, token: int | None) -> None:
        """Take ended rows from elsewhere.

        Raises:
            StoreError: a status is not final.
        """
        check_statuses(finishing)
        self.look()
        first, count = self.next, len(opening)
        self.next += count
        self.version += 1
        self.flags.extend(b"\1" * count)
        self.outside.update(range(first, first + count))
        self._make(first, count, opening, token)
        self._end(finishing)
        self.changes.append((self.version, token, range(first, first + count)))

    def end_all(self, finishing: Finishing, token: int | None) -> bool:
        """Take results, without looking at them, if they are all of open trials of who opened everything; else False.

        Raises:
            StoreError: a status is not final.
        """
        check_statuses(finishing)
        numbers = finishing.numbers
        k = len(numbers)
        if self.mixed or token != self.owner:
            return False
        first, last = int(numbers[0]), int(numbers[-1])
        if not 0 <= first < self.next or not 0 <= last < self.next:
            return False
        if k == 1:
            if self.flags[first]:
                return False
            self.flags[first] = ENDED
        elif last - first + 1 == k and bool((numbers[1:] - numbers[:-1] == 1).all()):
            if self.flags.find(1, first, last + 1) >= 0 or self.flags.find(2, first, last + 1) >= 0:
                return False
            self.flags[first : last + 1] = b"\1" * k
        else:
            if int(numbers.min()) < 0 or int(numbers.max()) >= self.next or len(set(numbers.tolist())) < k:
                return False
            flags = np.frombuffer(self.flags, dtype=np.int8)
            if flags[numbers].any():
                return False
            for number in numbers.tolist():
                self.flags[number] = ENDED
        self.version += 1
        self._keep(Batch(self.version, 0, k, None, finishing, token))
        return True

    def look(self) -> None:
        """Turn the batches into trials."""
        packs = [*self.packs, *packed(self.batches)]
        self.packs, self.named = [], 0
        self.batches.clear()
        for pack in packs:
            if pack.opening is not None:
                self._make(pack.first, len(pack.opening), pack.opening, pack.token)
            if pack.finishing is not None:
                self._end(pack.finishing)
                for row, number in enumerate(pack.finishing.numbers.tolist()):
                    trial = self.trials[number]
                    trial.components = pack.components.get(row)
                    trial.worker = pack.workers.get(row, "")
            for number in pack.released:
                self.trials[number].status, self.trials[number].owner = _ABANDONED, None
            self.changes += pack.changes()

    def _make(self, first: int, count: int, opening: Opening, token: int | None) -> None:
        tickets = opening.tickets[:count].tolist()
        fidelities = opening.fidelities[:count].tolist() if opening.fidelities is not None else [None] * count
        replicates = opening.replicates[:count].tolist() if opening.replicates is not None else [0] * count
        for i, params in enumerate(labels_of(opening, count)):
            self.trials[first + i] = StoredTrial(
                first + i,
                tickets[i],
                params,
                int(Status.WAITING),
                [],
                replicate=replicates[i],
                fidelity=fidelities[i],
                source=opening.source,
                by=opening.by,
                owner=token,
                attempt=0 if token is None else 1,
            )

    def _end(self, finishing: Finishing) -> None:
        numbers, statuses = finishing.numbers.tolist(), finishing.statuses.tolist()
        for number, status, body in zip(numbers, statuses, result_bodies(finishing), strict=True):
            self.end(self.trials[number], status, body)

    def end(self, trial: StoredTrial, status: int, body: dict[str, Any]) -> None:
        """Write a result into a trial."""
        trial.status, trial.owner = status, None
        trial.attempt = trial.attempt or 1
        for name, value in body.items():
            setattr(trial, name, value)
        self.flags[trial.number] = ENDED

    def settle(self, finishing: Finishing, member: Member | None) -> tuple[list[int], list[Entry]]:
        """Take results one by one: (numbers that were final already, what the log says).

        Raises:
            StoreError: a trial was never opened, or was released; nothing is written then.
        """
        numbers = finishing.numbers.tolist()
        unknown = [n for n in numbers if not 0 <= n < self.next or self.flags[n] == RELEASED]
        if unknown:
            raise never_opened(unknown)
        self.look()
        token, by = (member.token, member.ordinal) if member is not None else (None, 0)
        late: list[int] = []
        same: list[int] = []
        refused: list[int] = []
        ended: list[int] = []
        others: list[dict[str, Any]] = []
        for number, status, body in zip(numbers, finishing.statuses.tolist(), result_bodies(finishing), strict=True):
            trial = self.trials[number]
            if trial.status < _FINAL:
                if trial.owner not in (None, token):
                    late.append(number)
                self.end(trial, status, body)
                ended.append(number)
                continue
            refused.append(number)
            if trial.status in (status, _ABANDONED) and _same(trial, body):
                same.append(number)
            else:
                error = {"error": body["error"]} if "error" in body else {}
                others.append({"number": number, "status": status, "values": body["values"]} | error)
        if ended:
            self.changed(token, sorted(ended))
        lines: list[tuple[str, dict[str, Any]]] = [
            ("late", {"numbers": late}),
            ("duplicate", {"numbers": same}),
            ("conflict", {"answers": others}),
        ]
        return refused, [Entry(kind, body, by=by) for kind, body in lines if next(iter(body.values()))]

    def changed(self, token: int | None, numbers: Sequence[int]) -> None:
        """Note a change of trials that was made in place."""
        self.look()
        self.version += 1
        self.changes.append((self.version, token, numbers))

    def release(self, numbers: Iterable[int], member: Member | None) -> None:
        """See `Store.release`."""
        token = member.token if member is not None else None
        if not self.mixed and token in (None, self.owner):
            self._release_all(numbers, token)
            return
        self.look()
        released = []
        for number in dict.fromkeys(numbers):
            trial = self.trials.get(number)
            if trial is None or trial.status >= _FINAL or (member is not None and trial.owner != member.token):
                continue
            trial.status, trial.owner, self.flags[number] = _ABANDONED, None, RELEASED
            self.used -= 1
            released.append(number)
        if released:
            self.changed(member.token if member is not None else None, sorted(released))

    def _release_all(self, numbers: Iterable[int], token: int | None) -> None:
        """Take back trials that are open, without looking at them; all were opened by one."""
        released = sorted(n for n in set(numbers) if 0 <= n < self.next and self.flags[n] == OPEN)
        for number in released:
            self.flags[number] = RELEASED
        if released:
            self.used -= len(released)
            self.version += 1
            self._keep(Batch(self.version, 0, len(released), None, None, token, released))

    def retract(self, numbers: Iterable[int]) -> list[int]:
        """See `Store.retract`."""
        self.look()
        done = []
        for number in dict.fromkeys(numbers):
            trial = self.trials.get(number)
            if trial is not None and _FINAL <= trial.status < _ABANDONED:
                self.trials[number] = trial = copy.copy(trial)  # the old one is in somebody's hands
                trial.status = _ABANDONED
                self.used -= number not in self.outside
                self.outside.add(number)
                done.append(number)
        if done:
            self.index, self.indexed = {}, 0
            self.changed(None, sorted(done))
        return done

    def without_known(self, opening: Opening, budget: int | None) -> tuple[list[int], dict[int, int]]:
        """(rows that are no trial yet, as many as there is room for; row -> the trial that has its point)."""
        self.look()
        for number in range(self.pointed, self.next):
            trial = self.trials[number]
            name = digest(trial.params, trial.fidelity, trial.replicate)
            self.points[name] = (*self.points.get(name, ()), number)
        self.pointed = self.next
        room = self.room(len(opening), budget)
        fidelities = opening.fidelities.tolist() if opening.fidelities is not None else [None] * len(opening)
        replicates = opening.replicates.tolist() if opening.replicates is not None else [0] * len(opening)
        fresh: dict[bytes, int] = {}
        kept: list[int] = []
        taken: dict[int, int] = {}
        for row, params in enumerate(labels_of(opening, len(opening))):
            name = digest(params, fidelities[row], replicates[row])
            there = (n for n in self.points.get(name, ()) if self.trials[n].status < _ABANDONED)
            known = fresh.get(name, next(there, None))
            if known is not None:
                taken[row] = known
            elif len(kept) == room:
                break
            else:
                fresh[name] = self.next + len(kept)
                kept.append(row)
        return kept, taken

    def best(self) -> dict[bytes, StoredTrial]:
        """digest -> the best final trial."""
        self.look()
        for _, _, numbers in self.changes[self.indexed :]:
            for number in numbers:
                trial = self.trials[number]
                if not _FINAL <= trial.status < _ABANDONED:
                    continue
                name = digest(trial.params, trial.fidelity, trial.replicate)
                known = self.index.get(name)
                if known is None or (trial.status, trial.number) < (known.status, known.number):
                    self.index[name] = trial
        self.indexed = len(self.changes)
        return self.index


def rows_of(opening: Opening, rows: Sequence[int]) -> Opening:
    """Some of the rows."""
    where = np.asarray(rows, dtype=np.int64)

    def part(column: Any) -> Any:
        return None if column is None else column[where]

    return Opening(
        opening.space, opening.tickets[where], opening.reals[where], part(opening.active), part(opening.fidelities),
        part(opening.replicates), opening.source, opening.by, opening.priority,
    )  # fmt: skip


def place_of(member: Member, note: str, alone: bool, joined_unixtime: float, beat_s: float) -> Place:
    """The place that `member` has now."""
    return Place(weakref.ref(member), member.ordinal, member.token, note, alone, joined_unixtime, beat_s)


def check_statuses(finishing: Finishing) -> None:
    """Raises StoreError unless every status is final."""
    if finishing.statuses.tobytes().strip(_FINAL_BYTES):
        for number, status in zip(finishing.numbers.tolist(), finishing.statuses.tolist(), strict=True):
            check_final(number, status)


def _same(trial: StoredTrial, body: dict[str, Any]) -> bool:
    return trial.violation == body.get("violation", 0.0) and np.array_equal(
        trial.values, body["values"], equal_nan=True
    )
