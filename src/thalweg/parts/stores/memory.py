"""A store that lasts as long as its process, and costs next to nothing.

It keeps references to the column batches it is handed and looks into them only when somebody asks (`since`, `lookup`,
`release`): opening or ending a batch takes a few microseconds whatever its size. So the arrays must not be changed
after they were handed over, and results for trials never opened may be found out only at the next question.
"""

from __future__ import annotations

import copy
import threading
import time
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...core import plain
from ...core.batch import Status
from ...core.errors import StoreError
from ...core.store import Entry, Finishing, Opening, Store, StoredTrial, StudyRecord, digest
from ._common import check_lengths, never_opened, renumbered, unknown_study
from ._rows import check_final, from_json, labels_of, result_bodies, to_json

_FINAL = int(Status.DONE)


@dataclass(slots=True, eq=False)
class _Study:
    """batches: (first, count, opening, finishing) as handed over, not yet looked into; version: how many there were."""

    record: StudyRecord
    next: int = 0
    used: int = 0
    version: int = 0
    batches: list[tuple[int, int, Opening | None, Finishing | None]] = field(default_factory=list)
    trials: dict[int, StoredTrial] = field(default_factory=dict)
    changes: list[tuple[int, list[int]]] = field(default_factory=list)
    index: dict[bytes, StoredTrial] = field(default_factory=dict)
    indexed: int = 0
    entries: list[Entry] = field(default_factory=list)
    snapshot: tuple[Any, int] | None = None

    def take(self, first: int, count: int, opening: Opening | None, finishing: Finishing | None) -> None:
        self.version += 1
        self.batches.append((first, count, opening, finishing))

    def look(self) -> None:
        """Turn the batches into trials.

        Raises:
            StoreError: results of trials that are not there, or that are not final; that batch is dropped.
        """
        version = self.version - len(self.batches)
        batches, self.batches = self.batches, []
        wrong: StoreError | None = None
        for first, count, opening, finishing in batches:
            version += 1
            changed: list[int] = []
            if opening is not None:
                changed = self._open(first, count, opening)
            if finishing is not None:
                try:
                    changed = self._finish(finishing)
                except StoreError as error:
                    wrong = wrong or error
            if changed:
                self.changes.append((version, changed))
        if wrong is not None:
            raise wrong

    def _open(self, first: int, count: int, opening: Opening) -> list[int]:
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
            )
        return list(range(first, first + count))

    def _finish(self, finishing: Finishing) -> list[int]:
        numbers, statuses = finishing.numbers.tolist(), finishing.statuses.tolist()
        unknown = [number for number in numbers if number not in self.trials]
        if unknown:
            raise never_opened(unknown)
        for number, status in zip(numbers, statuses, strict=True):
            check_final(number, status)
        changed = []
        for number, status, body in zip(numbers, statuses, result_bodies(finishing), strict=True):
            trial = self.trials[number]
            if trial.status >= _FINAL:
                continue  # the first result wins
            trial.status = status
            for name, value in body.items():
                setattr(trial, name, value)
            changed.append(number)
        return changed


class MemoryStore(Store):
    """Studies in this process's memory; gone when it ends. Thread-safe, not shared between processes."""

    durable = False

    def __init__(self) -> None:
        self._studies: dict[int, _Study] = {}
        self._last = 0
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
                study = _Study(StudyRecord(self._last, name, copied, fingerprint, time.time()))
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

    def open_trials(
        self, study: int, opening: Opening, budget: int | None, log: Sequence[Entry] = ()
    ) -> tuple[int, int]:
        """See `Store.open_trials`. The log is written also where the budget leaves no room."""
        with self._lock:
            found = self._get(study)
            first = found.next
            count = len(opening) if budget is None else max(0, min(len(opening), budget - found.used))
            if count:
                found.next += count
                found.used += count
                found.take(first, count, opening, None)
            if log:
                _write(found, log)
            return first, count

    def append(self, study: int, finishing: Finishing, log: Sequence[Entry] = ()) -> None:
        """See `Store.append`. Raises StoreError, here or at the next question, if a trial was never opened."""
        with self._lock:
            found = self._get(study)
            if len(finishing):
                for number in (int(finishing.numbers[0]), int(finishing.numbers[-1])):
                    if not 0 <= number < found.next:
                        raise never_opened([number])
                found.take(0, 0, None, finishing)
            if log:
                _write(found, log)

    def release(self, study: int, numbers: Sequence[int]) -> None:
        """See `Store.release`. Numbers that are final, or are not there, are passed over."""
        with self._lock:
            found = self._get(study)
            found.look()
            for number in map(int, numbers):
                trial = found.trials.get(number)
                if trial is not None and trial.status < _FINAL:
                    del found.trials[number]
                    found.used -= 1

    def add(self, study: int, opening: Opening, finishing: Finishing, log: Sequence[Entry] = ()) -> int:
        """See `Store.add`. The numbers in `finishing` are not looked at: row i of both is one trial."""
        check_lengths(opening, finishing)
        with self._lock:
            found = self._get(study)
            first = found.next
            if len(opening):
                found.next += len(opening)
                found.take(first, len(opening), opening, renumbered(finishing, first))
            if log:
                _write(found, log)
            return first

    def since(self, study: int, version: int = 0) -> tuple[list[StoredTrial], int]:
        """See `Store.since`. Final trials are shared with the store: they are for reading."""
        with self._lock:
            found = self._get(study)
            found.look()
            if version <= 0:
                trials: Iterable[StoredTrial] = found.trials.values()  # opened, so kept, in order of their numbers
            else:
                late = found.changes[bisect_right(found.changes, version, key=lambda change: change[0]) :]
                numbers = sorted({number for _, changed in late for number in changed})
                trials = (found.trials[number] for number in numbers if number in found.trials)
            return [trial if trial.status >= _FINAL else copy.copy(trial) for trial in trials], found.version

    def lookup(self, fingerprint: str, digests: Sequence[bytes]) -> dict[bytes, StoredTrial]:
        """See `Store.lookup`. A trial with values goes before one without, then the oldest."""
        with self._lock:
            best: dict[bytes, StoredTrial] = {}
            for study in self._studies.values():
                if study.record.fingerprint != fingerprint:
                    continue
                _index(study)
                for name in digests:
                    trial = study.index.get(name)
                    if trial is not None and (name not in best or trial.status < best[name].status):
                        best[name] = trial
            return best

    def log(self, study: int, entries: Sequence[Entry]) -> int:
        """See `Store.log`."""
        with self._lock:
            _write(self._get(study), entries)
            return len(self._get(study).entries)

    def entries(self, study: int, after: int = 0, kinds: Sequence[str] = ()) -> list[Entry]:
        """See `Store.entries`."""
        with self._lock:
            late = self._get(study).entries[max(0, after) :]  # sequence i is at place i - 1
            return [copy.copy(entry) for entry in late if not kinds or entry.kind in kinds]

    def snapshot(self, study: int, body: dict[str, Any], sequence: int) -> None:
        """See `Store.snapshot`. body: plain data (`thalweg.core.plain`). A newer one is never replaced by an older."""
        try:
            encoded = plain.encode(body)
        except TypeError as error:
            raise StoreError(f"the snapshot cannot be stored: {error}") from error
        with self._lock:
            found = self._get(study)
            if found.snapshot is None or sequence >= found.snapshot[1]:
                found.snapshot = (encoded, sequence)

    def restore(self, study: int) -> tuple[dict[str, Any], int] | None:
        """See `Store.restore`."""
        with self._lock:
            kept = self._get(study).snapshot
            return None if kept is None else (plain.decode(kept[0]), kept[1])

    def close(self) -> None:
        """See `Store.close`. Nothing to release; what it remembers stays for who still holds it."""

    def _get(self, study: int) -> _Study:
        try:
            return self._studies[study]
        except KeyError:
            raise StoreError(f"memory: study {study} is not there; was it deleted meanwhile?") from None

    def _find(self, name: str) -> _Study | None:
        return next((study for study in self._studies.values() if study.record.name == name), None)

    def _named(self, name: str) -> _Study:
        study = self._find(name)
        if study is None:
            raise unknown_study("memory", name, self.names())
        return study


def _index(study: _Study) -> None:
    """Bring `study.index` up to date: digest -> the best final trial."""
    study.look()
    for _, numbers in study.changes[study.indexed :]:
        for number in numbers:
            trial = study.trials.get(number)
            if trial is None or not _FINAL <= trial.status < Status.ABANDONED:
                continue
            name = digest(trial.params, trial.fidelity, trial.replicate)
            known = study.index.get(name)
            if known is None or (trial.status, trial.number) < (known.status, known.number):
                study.index[name] = trial
    study.indexed = len(study.changes)


def _write(study: _Study, entries: Iterable[Entry]) -> None:
    for entry in entries:
        entry.time_unixtime = entry.time_unixtime or time.time()
        entry.sequence = len(study.entries) + 1
        study.entries.append(copy.copy(entry))
