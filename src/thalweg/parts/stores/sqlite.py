"""A store in one SQLite file, for any number of processes of one machine.

A row per trial (state), an append-only log (history), both written in the same transaction. What is promised:

- Any process may be killed at any instant: nothing acknowledged is lost.
- durability="full": an acknowledged `append` also survives a power cut (trials opened in the last moments may be
  forgotten: they are evaluated again). "fast": a power cut may lose the last moments, and never damages the file.
- A full disk or a disk with errors makes a call fail as a whole; what was acknowledged before stays.
- A damaged row is found by its CRC-32, left out of every answer, and warned about once; `verify` lists all of them.

Numbers are never given twice in a study: those of released trials stay unused.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...core.errors import StoreError
from ...core.store import Entry, Finishing, Opening, Store, StoredTrial, StudyRecord, digest
from ._common import check_lengths, never_opened, renumbered, stamp, unknown_study
from ._database import Database
from ._queries import queries
from ._rows import crc_of, from_json, no_collection, opening_rows, result_rows, to_json, trials_of

if TYPE_CHECKING:
    import apsw


@dataclass(slots=True)
class _Counter:
    """What comes next in a study. used: places of its budget that are taken."""

    study: int
    next: int = 0
    used: int = 0
    version: int = 0
    sequence: int = 0

    def row(self) -> tuple[int, int, int, int, int, int]:
        fields = (self.study, self.next, self.used, self.version, self.sequence)
        return (*fields, crc_of(*fields))


class SQLiteStore(Store):
    """Studies in the file at `path`, which is made if it is not there.

    durability: "full" (an acknowledged result survives a power cut) or "fast" (it survives the death of processes).
    vfs: the name of an apsw VFS to go through, for injecting faults.

    Raises:
        StoreError: the path cannot be one of a store; the message says why and what to do.
    """

    durable = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: Literal["full", "fast"] = "full",
        vfs: str | None = None,
    ) -> None:
        if durability not in ("full", "fast"):
            raise StoreError(f"durability must be 'full' or 'fast', got {durability!r}")
        self._database = Database(path, durability == "full", vfs)
        self._sql = queries()
        self._warned: set[str] = set()

    @property
    def path(self) -> Path:
        """The real path of the file."""
        return self._database.path

    def __repr__(self) -> str:
        return f"SQLiteStore({str(self.path)!r})"

    # --- studies --------------------------------------------------------------------------------------------------

    def create(self, name: str, spec: dict[str, Any], fingerprint: str) -> StudyRecord:
        """See `Store.create`. The racers meet in one transaction each, so the second one finds the first one's row."""
        text = to_json(spec, f"study {name!r}: its spec")
        with self._database.writing(durable=True) as connection:
            row = _one(connection, self._sql["find_study"], (name,))
            if row is None:
                now = time.time()
                crc = crc_of(name, text, fingerprint, now)
                connection.execute(self._sql["add_study"], (name, text, fingerprint, now, crc))
                study = connection.last_insert_rowid()
                connection.execute(self._sql["add_counter"], _Counter(study).row())
                row = (study, name, text, fingerprint, now, crc)
        return self._record(row)

    def open(self, name: str) -> StudyRecord:
        """See `Store.open`."""
        with self._database.reading() as connection:
            row = _one(connection, self._sql["find_study"], (name,))
        if row is None:
            raise self._unknown(name)
        return self._record(row)

    def names(self) -> list[str]:
        """See `Store.names`."""
        with self._database.reading() as connection:
            return [str(row[1]) for row in connection.execute(self._sql["list_studies"])]

    def delete(self, name: str) -> None:
        """See `Store.delete`. Raises StoreError if there is no such study."""
        with self._database.writing(durable=True) as connection:
            row = _one(connection, self._sql["find_study"], (name,))
            for table in ("trials", "log", "snapshot", "counter", "study") if row else ():
                connection.execute(self._sql[f"delete_{table}"], (row[0],))
        if row is None:
            raise self._unknown(name)

    def _record(self, row: Sequence[Any]) -> StudyRecord:
        study, name, text, fingerprint, created, crc = row
        if crc_of(name, text, fingerprint, created) != crc:
            raise StoreError(f"{self.path}: the row of study {name!r} is damaged; its trials may still be exported")
        return StudyRecord(study, name, from_json(text), fingerprint, created)

    def _unknown(self, name: str) -> StoreError:
        return unknown_study(str(self.path), name, self.names())

    # --- trials ---------------------------------------------------------------------------------------------------

    def open_trials(
        self, study: int, opening: Opening, budget: int | None, log: Sequence[Entry] = ()
    ) -> tuple[int, int]:
        """See `Store.open_trials`. The log is written also where the budget leaves no room."""
        with self._database.writing(durable=False) as connection:
            counter = self._counter(connection, study)
            first = counter.next
            count = len(opening) if budget is None else max(0, min(len(opening), budget - counter.used))
            if count:
                version = counter.version + 1
                connection.executemany(
                    self._sql["open_trial"],
                    (
                        (study, number, version, name, text, crc)
                        for number, name, text, crc in opening_rows(study, first, count, opening)
                    ),
                )
                counter.next += count
                counter.used += count
                counter.version = version
            written = self._write_log(connection, counter, log)
            connection.execute(self._sql["set_counter"], counter.row())
        stamp(log, written)
        return first, count

    def append(self, study: int, finishing: Finishing, log: Sequence[Entry] = ()) -> None:
        """See `Store.append`. Raises StoreError, and writes nothing, if a trial was never opened or was released."""
        rows = list(result_rows(study, finishing))  # before others have to wait
        with self._database.writing(durable=True) as connection:
            counter = self._counter(connection, study)
            version = counter.version + 1
            before = connection.total_changes()
            connection.executemany(
                self._sql["finish_trial"],
                ((study, number, status, version, text, crc, attempt) for number, status, text, crc, attempt in rows),
            )
            changed = connection.total_changes() - before
            if changed != len(finishing):
                self._check_known(connection, study, finishing.numbers.tolist())
            if changed:
                counter.version = version
            written = self._write_log(connection, counter, log)
            connection.execute(self._sql["set_counter"], counter.row())
        stamp(log, written)

    def _check_known(self, connection: apsw.Connection, study: int, numbers: Iterable[int]) -> None:
        query = self._sql["has_trial"]
        unknown = [number for number in numbers if _one(connection, query, (study, number)) is None]
        if unknown:
            raise never_opened(unknown)

    def release(self, study: int, numbers: Sequence[int]) -> None:
        """See `Store.release`. Numbers that are final, or are not there, are passed over."""
        with self._database.writing(durable=False) as connection:
            counter = self._counter(connection, study)
            before = connection.total_changes()
            connection.executemany(self._sql["release_trial"], ((study, int(number)) for number in numbers))
            counter.used -= connection.total_changes() - before
            connection.execute(self._sql["set_counter"], counter.row())

    def add(self, study: int, opening: Opening, finishing: Finishing, log: Sequence[Entry] = ()) -> int:
        """See `Store.add`. The numbers in `finishing` are not looked at: row i of both is one trial."""
        check_lengths(opening, finishing)
        with self._database.writing(durable=True) as connection:
            counter = self._counter(connection, study)
            first, version = counter.next, counter.version + 1
            numbered = renumbered(finishing, first)
            pairs = zip(opening_rows(study, first, len(opening), opening), result_rows(study, numbered), strict=True)
            connection.executemany(
                self._sql["add_trial"],
                (
                    (study, number, status, version, name, text, crc, result, result_crc, attempt)
                    for (number, name, text, crc), (_, status, result, result_crc, attempt) in pairs
                ),
            )
            counter.next += len(opening)
            counter.version = version if len(opening) else counter.version
            written = self._write_log(connection, counter, log)
            connection.execute(self._sql["set_counter"], counter.row())
        stamp(log, written)
        return first

    def since(self, study: int, version: int = 0) -> tuple[list[StoredTrial], int]:
        """See `Store.since`. Damaged rows are left out, with a RuntimeWarning."""

        def damaged(number: int, what: str) -> None:
            self._warn(study, f"trial {number}: its {what}")

        with no_collection():
            with self._database.reading() as connection:
                newest = self._counter(connection, study).version
                if version >= newest:
                    return [], newest
                if version <= 0:
                    rows = _all(connection, self._sql["all_trials"], (study,))
                else:
                    rows = _all(connection, self._sql["changed_trials"], (study, version))
            return trials_of(study, rows, damaged), newest

    def lookup(self, fingerprint: str, digests: Sequence[bytes]) -> dict[bytes, StoredTrial]:
        """See `Store.lookup`. A trial with values goes before one without, then the oldest; abandoned ones are no
        results."""
        found: dict[bytes, StoredTrial] = {}
        with self._database.reading() as connection:
            wanted = ((fingerprint, name) for name in digests)
            rows: list[Any] = connection.executemany(self._sql["lookup"], wanted).fetchall()
        for study, *row in rows:
            for trial in trials_of(study, [tuple(row)], lambda *_: None):
                # The digest's own column has no crc: it is made again from the row it led to.
                found.setdefault(digest(trial.params, trial.fidelity, trial.replicate), trial)
        return {name: found[name] for name in digests if name in found}

    # --- log and snapshots ----------------------------------------------------------------------------------------

    def log(self, study: int, entries: Sequence[Entry]) -> int:
        """See `Store.log`."""
        with self._database.writing(durable=False) as connection:
            counter = self._counter(connection, study)
            written = self._write_log(connection, counter, entries)
            connection.execute(self._sql["set_counter"], counter.row())
        stamp(entries, written)
        return counter.sequence

    def entries(self, study: int, after: int = 0, kinds: Sequence[str] = ()) -> list[Entry]:
        """See `Store.entries`. Damaged lines are left out, with a RuntimeWarning."""
        wanted = to_json(list(kinds), "kinds") if kinds else None
        with self._database.reading() as connection:
            rows = _all(connection, self._sql["list_entries"], (study, after, wanted))
        found = []
        for sequence, kind, moment, body, crc in rows:
            if crc_of(study, sequence, kind, moment, body) == crc:
                found.append(Entry(kind, from_json(body), moment, sequence))
            else:
                self._warn(study, f"log line {sequence}")
        return found

    def snapshot(self, study: int, body: dict[str, Any], sequence: int) -> None:
        """See `Store.snapshot`. body: plain data (`thalweg.core.plain`). A newer one is never replaced by an older."""
        text = to_json(body, "the snapshot")
        with self._database.writing(durable=False) as connection:
            self._counter(connection, study)
            connection.execute(self._sql["keep_snapshot"], (study, sequence, text, crc_of(study, sequence, text)))

    def restore(self, study: int) -> tuple[dict[str, Any], int] | None:
        """See `Store.restore`. A damaged one is as good as none (with a RuntimeWarning): the log has everything."""
        with self._database.reading() as connection:
            row = _one(connection, self._sql["get_snapshot"], (study,))
        if row is None:
            return None
        sequence, text, crc = row
        if crc_of(study, sequence, text) != crc:
            self._warn(study, "the snapshot")
            return None
        return from_json(text), sequence

    def close(self) -> None:
        """See `Store.close`."""
        self._database.close()

    def verify(self) -> list[str]:
        """Everything that is damaged, a line each: rows whose crc is wrong, and what SQLite's own check finds."""
        found: list[str] = []
        with self._database.reading() as connection:
            check = [str(row[0]) for row in _all(connection, "PRAGMA integrity_check")]
            found += [f"file: {line}" for line in check if line != "ok"]
            for row in _all(connection, self._sql["list_studies"]):
                study, name, text, fingerprint, created, crc = row
                if crc_of(name, text, fingerprint, created) != crc:
                    found.append(f"study {name!r}: its own row")
                self._verify_study(connection, int(study), f"study {name!r}", found)
        return found

    def _verify_study(self, connection: apsw.Connection, study: int, name: str, found: list[str]) -> None:
        row = _one(connection, self._sql["get_counter"], (study,))
        if row is None or crc_of(study, *row[:4]) != row[4]:
            found.append(f"{name}: its counter (made again from its rows when it is used)")
        rows = _all(connection, self._sql["all_trials"], (study,))
        trials_of(study, rows, lambda number, what: found.append(f"{name}: trial {number}: its {what}"))
        for sequence, kind, moment, body, crc in _all(connection, self._sql["list_entries"], (study, 0, None)):
            if crc_of(study, sequence, kind, moment, body) != crc:
                found.append(f"{name}: log line {sequence}")
        row = _one(connection, self._sql["get_snapshot"], (study,))
        if row is not None and crc_of(study, row[0], row[1]) != row[2]:
            found.append(f"{name}: the snapshot")

    # --- inside a transaction -------------------------------------------------------------------------------------

    def _counter(self, connection: apsw.Connection, study: int) -> _Counter:
        row = _one(connection, self._sql["get_counter"], (study,))
        if row is None:
            raise StoreError(f"{self.path}: study {study} is not there; was it deleted meanwhile?")
        if crc_of(study, *row[:4]) != row[4]:
            self._warn(study, "the counter (made again from the rows)")
            row = _one(connection, self._sql["count_again"], (study,))
        return _Counter(study, *(int(value) for value in row[:4]))

    def _write_log(
        self, connection: apsw.Connection, counter: _Counter, entries: Sequence[Entry]
    ) -> list[tuple[float, int]]:
        """Write the entries; the (time, sequence) each of them got, to be told when the transaction stands."""
        written = []
        for entry in entries:
            counter.sequence += 1
            moment = entry.time_unixtime or time.time()
            body = to_json(entry.body, f"log line {entry.kind!r}")
            crc = crc_of(counter.study, counter.sequence, entry.kind, moment, body)
            row = (counter.study, counter.sequence, entry.kind, moment, body, crc)
            connection.execute(self._sql["add_entry"], row)
            written.append((moment, counter.sequence))
        return written

    def _warn(self, study: int, what: str) -> None:
        text = f"{self.path}: study {study}: {what} is damaged and left out; verify() lists everything that is"
        if text not in self._warned:
            self._warned.add(text)
            warnings.warn(text, RuntimeWarning, stacklevel=3)


def _one(connection: apsw.Connection, query: str, values: tuple[Any, ...] = ()) -> Any:
    return connection.execute(query, values).fetchone()


def _all(connection: apsw.Connection, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
    return connection.execute(query, values).fetchall()
