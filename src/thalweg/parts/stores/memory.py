"""A store that lasts as long as its process, and costs next to nothing.

It keeps references to the column batches it is handed and looks into them only when somebody asks (`since`, `lookup`)
or several members share a study: opening or ending a batch takes a few microseconds whatever its size; many small ones
are joined now and then. So the arrays must not be changed after they were handed over.

Its members are Study objects of this process. A member is dead when it has left, or when nobody has its `Member` any
more.
"""

from __future__ import annotations

import copy
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ...core import plain
from ...core.batch import Status
from ...core.errors import StoreError
from ...core.store import (
    Entry,
    Finishing,
    Member,
    MemberView,
    Opened,
    Opening,
    Standing,
    Store,
    StudyRecord,
)
from ...core.stored import StoredTrial
from ._common import (
    busy,
    check_claim,
    check_lease,
    check_lengths,
    displaced,
    due_of,
    lost_error,
    renumbered,
    respec_line,
    stale,
    unknown_study,
)
from ._memory_study import RELEASED, MemoryStudy, Place, place_of, rows_of
from ._rows import from_json, to_json

_FINAL = int(Status.DONE)


class MemoryStore(Store):
    """Studies in this process's memory; gone when it ends. Thread-safe, not shared between processes.

    lease_s, clock: as for `SQLiteStore`.
    """

    durable = False

    def __init__(self, *, lease_s: float = 120.0, clock: Callable[[], float] | None = None) -> None:
        self.lease_s = check_lease(lease_s)
        self._clock = clock or time.monotonic
        self._studies: dict[int, MemoryStudy] = {}
        self._last = 0
        self._token = 0
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return "MemoryStore()"

    def create(self, name: str, spec: dict[str, Any], fingerprint: str) -> StudyRecord:
        """See `Store.create`."""
        with self._lock:
            study = self._find(name)
            if study is None:
                self._last += 1
                copied = from_json(to_json(spec, f"study {name!r}: its spec"))
                study = MemoryStudy(StudyRecord(self._last, name, copied, fingerprint, time.time()))
                self._studies[self._last] = study
            return copy.deepcopy(study.record)

    def open(self, name: str) -> StudyRecord:
        """See `Store.open`."""
        with self._lock:
            return copy.deepcopy(self._named(name).record)

    def names(self) -> list[str]:
        """See `Store.names`."""
        with self._lock:
            return [study.record.name for study in self._studies.values()]

    def delete(self, name: str) -> None:
        """See `Store.delete`. Raises StoreError if there is no such study."""
        with self._lock:
            del self._studies[self._named(name).record.id]

    def standing(self, study: int) -> Standing:
        """See `Store.standing`."""
        with self._lock:
            found = self._get(study)
            members = sum(not place.gone for place in found.places.values())
            return Standing(found.version, found.used, found.budget, found.record.revision, members)

    def set_budget(self, study: int, budget: int | None) -> None:
        """See `Store.set_budget`."""
        with self._lock:
            self._get(study).budget = None if budget is None else int(budget)

    def respec(self, study: int, spec: dict[str, Any], fingerprint: str, revision: int) -> StudyRecord:
        """See `Store.respec`."""
        with self._lock:
            found = self._get(study)
            old = found.record
            if old.revision != revision:
                raise stale("memory", old, revision)
            copied = from_json(to_json(spec, f"study {old.name!r}: its spec"))
            found.record = StudyRecord(study, old.name, copied, fingerprint, old.created_unixtime, revision + 1)
            found.changed(None, ())
            _write(found, [respec_line(old, copied, fingerprint)])
            return copy.deepcopy(found.record)

    # --- members --------------------------------------------------------------------------------------------------

    def join(self, study: int, note: str = "", alone: bool = False, place: int | None = None) -> Member:
        """See `Store.join`."""
        with self._lock:
            found = self._get(study)
            for other in found.places.values():
                if other.alive and (alone or other.alone):
                    raise busy("memory", other.note, None, other.joined_unixtime, other.alone)
            for other in found.places.values():
                other.gone = not other.alive
            taken = {ordinal for ordinal, other in found.places.items() if not other.gone}
            ordinal = next(i for i in range(len(taken) + 1) if i not in taken)
            if place is not None and place not in taken:
                ordinal = place
            former = found.places[ordinal].token if ordinal in found.places else 0
            self._token += 1
            member = Member(study, ordinal, self._token, former)
            found.places[ordinal] = place_of(member, note, alone, time.time(), self._clock())
            return member

    def beat(self, member: Member) -> None:
        """See `Store.beat`."""
        with self._lock:
            self._present(self._get(member.study), member).beat_s = self._clock()

    def leave(self, member: Member) -> None:
        """See `Store.leave`."""
        with self._lock:
            study = self._studies.get(member.study)
            place = study.places.get(member.ordinal) if study is not None else None
            if study is not None and place is not None and place.token == member.token and not place.gone:
                place.gone = True
                self._give_up(study, place.token)

    def _give_up(self, study: MemoryStudy, token: int) -> None:
        """What it has open belongs to nobody from now on; nothing is lost, so the attempts stay."""
        study.look()
        left = [trial for trial in study.trials.values() if trial.status < _FINAL and trial.owner == token]
        for trial in left:
            trial.owner = None
        if left:
            study.mixed = True
            study.changed(None, [trial.number for trial in left])

    def members(self, study: int) -> list[MemberView]:
        """See `Store.members`."""
        with self._lock:
            found = self._get(study)
            found.look()
            owned: dict[int | None, int] = {}
            for trial in found.trials.values():
                if trial.status < _FINAL:
                    owned[trial.owner] = owned.get(trial.owner, 0) + 1
            views = []
            for ordinal, place in sorted(found.places.items()):
                if not place.gone:
                    silent = max(0.0, self._clock() - place.beat_s)
                    views.append(
                        MemberView(
                            ordinal, place.token, place.note, place.alone, place.alive, silent > self.lease_s, silent,
                            owned.get(place.token, 0),
                        )
                    )  # fmt: skip
            return views

    def claim(
        self, member: Member, limit: int, numbers: Sequence[int] | None = None, attempts: int = 3
    ) -> list[StoredTrial]:
        """See `Store.claim`. Raises Displaced if `member` is not there any more."""
        check_claim(limit, attempts)
        with self._lock:
            found = self._get(member.study)
            self._present(found, member)
            if limit < 1 or (not found.mixed and found.owner == member.token):
                return []  # everything was opened by `member`
            found.look()
            wanted = set(map(int, numbers)) if numbers is not None else None
            holders = {place.token: place for place in found.places.values() if self._works(place)}
            free = [
                trial for number, trial in found.trials.items()
                if trial.status < _FINAL and trial.owner not in holders and (wanted is None or number in wanted)
            ]  # fmt: skip
            queued = sorted((trial for trial in free if trial.owner is None), key=found.rank)
            return self._take(found, member, queued[:limit], [t for t in free if t.owner is not None], limit, attempts)

    def _take(
        self, study: MemoryStudy, member: Member, mine: list[StoredTrial], lost: list[StoredTrial], limit: int,
        attempts: int,
    ) -> list[StoredTrial]:  # fmt: skip
        poisoned = []
        for trial in lost if len(mine) < limit else ():
            if trial.owner == member.token:
                continue
            if trial.attempt < attempts:
                mine.append(trial)
                break
            notes = [place.note for place in study.places.values() if place.token == trial.owner]
            error = lost_error(trial.attempt, notes[0] if notes else "")
            study.end(trial, int(Status.FAILED), {"error": error})
            poisoned.append(trial.number)
        for trial in mine:
            trial.attempt = max(trial.attempt, 1) if trial.owner is None else trial.attempt + 1
            trial.owner = member.token
        if mine or poisoned:
            self._heard(study, member)
            for place in study.places.values():
                place.gone = not place.alive
            study.mixed = True
            study.changed(member.token, sorted(trial.number for trial in mine))
            study.changed(None, poisoned)
        if poisoned:
            _write(study, [Entry("poisoned", {"numbers": poisoned}, by=member.ordinal)])
        return [copy.copy(trial) for trial in mine]

    def _works(self, place: Place) -> bool:
        return place.alive and self._clock() - place.beat_s <= self.lease_s

    def _holds(self, study: MemoryStudy, member: Member) -> bool:
        place = study.places[member.ordinal]
        return place.token == member.token and not place.gone

    def _present(self, study: MemoryStudy, member: Member) -> Place:
        place = study.places.get(member.ordinal)
        if place is None or place.token != member.token or place.gone:
            raise displaced("memory", member)
        return place

    def _heard(self, study: MemoryStudy, member: Member) -> None:
        """It is there, and says so (for a dead one somebody else does)."""
        place = self._present(study, member)
        now = self._clock()
        if place.alive and now - place.beat_s > self.lease_s / 8:
            place.beat_s = now

    # --- trials ---------------------------------------------------------------------------------------------------

    def open_trials(
        self,
        study: int,
        opening: Opening,
        budget: int | None,
        log: Sequence[Entry] = (),
        member: Member | None = None,
        unique: bool = False,
    ) -> Opened:
        """See `Store.open_trials`. The log is written also where the budget leaves no room."""
        with self._lock:
            found = self._get(study)
            due = due_of(opening, self._clock())
            token = None
            if member is not None:
                self._heard(found, member)
                token = member.token
            first = found.next
            taken: dict[int, int] = {}
            if unique:
                rows, taken = found.without_known(opening, budget)
                count = len(rows)
                opening = opening if count == len(opening) else rows_of(opening, rows)
            else:
                count = found.room(len(opening), budget)
            if count:
                found.open(opening, count, token, due)
            if log:
                _write(found, log)
            return Opened(first, count, taken)

    def append(
        self, study: int, finishing: Finishing, log: Sequence[Entry] = (), member: Member | None = None
    ) -> list[int]:
        """See `Store.append`. Where the place of `member` is another's by now, `log` is not written."""
        with self._lock:
            found = self._get(study)
            refused: list[int] = []
            lines: list[Entry] = []
            if len(finishing) and not found.end_all(finishing, member.token if member is not None else None):
                refused, lines = found.settle(finishing, member)
            if member is not None:
                if self._holds(found, member):
                    self._heard(found, member)
                elif found.places[member.ordinal].token != member.token:
                    log = ()
            if log:
                _write(found, log)
            if lines:
                _write(found, lines)
            return refused

    def release(self, study: int, numbers: Sequence[int], member: Member | None = None) -> None:
        """See `Store.release`. Numbers that are final, or are not there, are passed over."""
        with self._lock:
            self._get(study).release(map(int, numbers), member)

    def retract(self, study: int, numbers: Sequence[int], reason: str = "") -> list[int]:
        """See `Store.retract`."""
        with self._lock:
            found = self._get(study)
            done = found.retract(map(int, numbers))
            if done:
                _write(found, [Entry("retracted", {"numbers": done, "reason": reason})])
            return done

    def add(
        self,
        study: int,
        opening: Opening,
        finishing: Finishing,
        log: Sequence[Entry] = (),
        member: Member | None = None,
    ) -> int:
        """See `Store.add`. The numbers in `finishing` are not looked at: row i of both is one trial."""
        check_lengths(opening, finishing)
        with self._lock:
            found = self._get(study)
            first = found.next
            if member is not None and self._holds(found, member):
                self._heard(found, member)
            if len(opening):
                found.add(opening, renumbered(finishing, first), member.token if member is not None else None)
            if log:
                _write(found, log)
            return first

    def since(self, study: int, version: int = 0, beside: Member | None = None) -> tuple[list[StoredTrial], int]:
        """See `Store.since`. Final trials are shared with the store: they are for reading."""
        with self._lock:
            found = self._get(study)
            found.look()
            numbers: Iterable[int]
            if version <= 0 and beside is None:
                numbers = found.trials  # opened, so kept, in order
            else:
                late = found.changes[bisect_right(found.changes, version, key=lambda change: change[0]) :]
                writers = {number: token for _, token, changed in late for number in changed}
                mine = beside.token if beside is not None else -1
                numbers = sorted(number for number, token in writers.items() if token != mine)
            trials = (found.trials[n] for n in numbers if version > 0 or found.flags[n] != RELEASED)
            return [trial if trial.status >= _FINAL else copy.copy(trial) for trial in trials], found.version

    def lookup(self, fingerprint: str, digests: Sequence[bytes]) -> dict[bytes, StoredTrial]:
        """See `Store.lookup`. A trial with values goes before one without, then the oldest."""
        with self._lock:
            best: dict[bytes, StoredTrial] = {}
            for study in self._studies.values():
                if study.record.fingerprint != fingerprint:
                    continue
                index = study.best()
                for name in digests:
                    trial = index.get(name)
                    if trial is not None and (name not in best or trial.status < best[name].status):
                        best[name] = trial
            return best

    # --- log and snapshots ----------------------------------------------------------------------------------------

    def log(self, study: int, entries: Sequence[Entry], member: Member | None = None) -> int:
        """See `Store.log`."""
        with self._lock:
            found = self._get(study)
            _must_hold(found, member)
            _write(found, entries)
            return len(found.entries)

    def entries(self, study: int, after: int = 0, kinds: Sequence[str] = (), by: int | None = None) -> list[Entry]:
        """See `Store.entries`."""
        with self._lock:
            late = self._get(study).entries[max(0, after) :]  # sequence i is at place i - 1
            return [
                copy.copy(entry) for entry in late
                if (not kinds or entry.kind in kinds) and (by is None or entry.by == by)
            ]  # fmt: skip

    def snapshot(
        self, study: int, body: dict[str, Any], sequence: int, by: int = 0, member: Member | None = None
    ) -> None:
        """See `Store.snapshot`. body: plain data (`thalweg.core.plain`). A newer one is never replaced by an older."""
        try:
            encoded = plain.encode(body)
        except TypeError as error:
            raise StoreError(f"the snapshot cannot be stored: {error}") from error
        with self._lock:
            _must_hold(self._get(study), member)
            kept = self._get(study).snapshots
            if by not in kept or sequence >= kept[by][1]:
                kept[by] = (encoded, sequence)

    def restore(self, study: int, by: int = 0) -> tuple[dict[str, Any], int] | None:
        """See `Store.restore`."""
        with self._lock:
            kept = self._get(study).snapshots.get(by)
            return None if kept is None else (plain.decode(kept[0]), kept[1])

    def close(self) -> None:
        """See `Store.close`. What it remembers stays for who still holds it."""
        with self._lock:
            for study in self._studies.values():
                for place in study.places.values():
                    if not place.gone:
                        place.gone = True
                        self._give_up(study, place.token)

    def _get(self, study: int) -> MemoryStudy:
        try:
            return self._studies[study]
        except KeyError:
            raise StoreError(f"memory: study {study} is not there; was it deleted meanwhile?") from None

    def _find(self, name: str) -> MemoryStudy | None:
        return next((study for study in self._studies.values() if study.record.name == name), None)

    def _named(self, name: str) -> MemoryStudy:
        study = self._find(name)
        if study is None:
            raise unknown_study("memory", name, self.names())
        return study


def _must_hold(study: MemoryStudy, member: Member | None) -> None:
    """Raises Displaced if the place of `member` is another's."""
    if member is not None and study.places[member.ordinal].token != member.token:
        raise displaced("memory", member)


def _write(study: MemoryStudy, entries: Iterable[Entry]) -> None:
    for entry in entries:
        entry.time_unixtime = entry.time_unixtime or time.time()
        entry.sequence = len(study.entries) + 1
        study.entries.append(copy.copy(entry))
