"""A store in one SQLite file, for any number of processes of one machine.

A row per trial (state), an append-only log (history), both written in the same transaction. What is promised:

- Any process may be killed at any instant: nothing acknowledged is lost.
- durability="full": an acknowledged `append` also survives a power cut (trials opened in the last moments may be
  forgotten: they are evaluated again). "fast": a power cut may lose the last moments, and never damages the file.
- A full disk or a disk with errors makes a call fail as a whole; what was acknowledged before stays.
- A damaged row is found by its CRC-32, left out of every answer, and warned about once; `verify` lists all of them.

Members live as long as their locks are held (`<file>-live/`): a process that dies is found dead at once, and what it
worked on may be claimed by others. Numbers are never given twice in a study: those of released trials stay unused.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast
from zlib import crc32

from ...core.errors import StoreError
from ...core.pause import no_collection
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
    digest,
)
from ...core.stored import StoredTrial
from ...core.stored_columns import StoredColumns, Wanted
from . import _claims
from ._answers import end
from ._books import Books, Counter, every, lines_of, one
from ._columns import columns_of
from ._common import (
    check_claim,
    check_lease,
    check_lengths,
    displaced,
    due_of,
    renumbered,
    respec_line,
    stale,
    stamp,
    unknown_study,
)
from ._database import Database
from ._members import LEASE_S, Members
from ._rows import (
    Point,
    entry_of,
    from_json,
    place,
    points_of,
    released_crc,
    result_rows,
    retracted_crc,
    snapshot_crc,
    snapshot_of,
    spec_line,
    state_crc,
    study_crc,
    to_json,
    trials_of,
)
from ._verify import verify

if TYPE_CHECKING:
    import apsw


class SQLiteStore(Store):
    """Studies in the file at `path`, which is made if it is not there.

    durability: "full" (an acknowledged result survives a power cut) or "fast" (it survives the death of processes).
    lease_s: a member that was not heard of for so long may lose its open trials to others, though it lives.
    clock: monotonic seconds, the same in every process (tests give their own).
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
        lease_s: float = LEASE_S,
        clock: Callable[[], float] | None = None,
        vfs: str | None = None,
    ) -> None:
        if durability not in ("full", "fast"):
            raise StoreError(f"durability must be 'full' or 'fast', got {durability!r}")
        lease_s = check_lease(lease_s)
        self._database = Database(path, durability == "full", vfs)
        self._books = Books(self._database.path)
        self._members = Members(self._books, self._database.path, lease_s, clock)
        self._sql = self._books.sql
        self._now = clock or time.time

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
            row = one(connection, self._sql["find_study"], (name,))
            if row is None:
                now = time.time()
                crc = study_crc(name, text, fingerprint, now, 0)
                connection.execute(self._sql["add_study"], (name, text, fingerprint, now, crc))
                study = connection.last_insert_rowid()
                connection.execute(self._sql["add_counter"], Counter(study).row())
                self._books.write_spec(connection, study, now, spec_line(name, text, fingerprint, 0))
                row = one(connection, self._sql["get_study"], (study,))
        return self._books.record(row)

    def open(self, name: str) -> StudyRecord:
        """See `Store.open`."""
        with self._database.reading() as connection:
            row = one(connection, self._sql["find_study"], (name,))
        if row is None:
            raise self._unknown(name)
        return self._books.record(row)

    def names(self) -> list[str]:
        """See `Store.names`."""
        with self._database.reading() as connection:
            return [row[1].decode("utf-8", "replace") for row in every(connection, self._sql["list_studies"])]

    def delete(self, name: str) -> None:
        """See `Store.delete`. Raises StoreError if there is no such study."""
        with self._database.writing(durable=True) as connection:
            row = one(connection, self._sql["find_study"], (name,))
            for table in ("trials", "log", "snapshot", "members", "counter", "study") if row else ():
                connection.execute(self._sql[f"delete_{table}"], (row[0],))
        if row is None:
            raise self._unknown(name)

    def standing(self, study: int) -> Standing:
        """See `Store.standing`."""
        with self._database.reading() as connection:
            counter = self._books.counter(connection, study)
            revision, members = one(connection, self._sql["standing"], (study,))
        return Standing(counter.version, counter.used, counter.budget, revision, members)

    def set_budget(self, study: int, budget: int | None) -> None:
        """See `Store.set_budget`."""
        with self._database.writing(durable=True) as connection:
            counter = self._books.counter(connection, study)
            counter.budget = None if budget is None else int(budget)
            self._books.keep(connection, counter)

    def respec(self, study: int, spec: dict[str, Any], fingerprint: str, revision: int) -> StudyRecord:
        """See `Store.respec`."""
        text = to_json(spec, f"study {study}: its spec")
        with self._database.writing(durable=True) as connection:
            counter = self._books.counter(connection, study)
            row = one(connection, self._sql["get_study"], (study,))
            old = self._books.record(row)
            if old.revision != revision:
                raise stale(str(self.path), old, revision)
            crc = study_crc(old.name, text, fingerprint, old.created_unixtime, revision + 1)
            connection.execute(self._sql["set_study"], (study, text, fingerprint, revision + 1, crc))
            counter.version += 1
            self._books.write_log(connection, counter, lines_of([respec_line(old, spec, fingerprint)]))
            self._books.keep(connection, counter)
        return StudyRecord(study, old.name, from_json(text), fingerprint, old.created_unixtime, revision + 1)

    def _unknown(self, name: str) -> StoreError:
        return unknown_study(str(self.path), name, self.names())

    # --- members --------------------------------------------------------------------------------------------------

    def join(self, study: int, note: str = "", alone: bool = False, place: int | None = None) -> Member:
        """See `Store.join`."""
        member = None
        try:
            with self._database.writing(durable=True) as connection:
                member = self._members.join(connection, study, note, alone, place)
        except BaseException:
            self._members.undo_join(member)
            raise
        return member

    def beat(self, member: Member) -> None:
        """See `Store.beat`."""
        with self._database.writing(durable=False) as connection:
            self._members.beat(connection, member)

    def leave(self, member: Member) -> None:
        """See `Store.leave`. After `close` it has left already."""
        if self._database.closed:
            return
        with self._database.writing(durable=False) as connection:
            self._members.leave(connection, [member.token])

    def members(self, study: int) -> list[MemberView]:
        """See `Store.members`."""
        with self._database.reading() as connection:
            return self._members.views(connection, study)

    def claim(
        self, member: Member, limit: int, numbers: Sequence[int] | None = None, attempts: int = 3
    ) -> list[StoredTrial]:
        """See `Store.claim`. Raises Displaced if `member` is not there any more."""
        check_claim(limit, attempts)
        asked = (member, limit, numbers, attempts)
        with self._database.reading() as connection:
            if self._books.counter(connection, member.study, member).gone != 0:
                raise displaced(str(self.path), member)
            found = _claims.find(self._books, self._members, connection, *asked)
        if not found or limit < 1:
            return []
        with self._database.writing(durable=False) as connection:
            counter = self._books.counter(connection, member.study, member)
            self._members.check(connection, member, counter)
            found = _claims.find(self._books, self._members, connection, *asked)
            rows = _claims.take(self._books, connection, counter, member, found)
            if found:
                self._members.bury_dead(connection, member.study)
                self._books.keep(connection, counter)
        return trials_of(member.study, rows, self._books.damaged(member.study))

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
        points, lines = points_of(opening), lines_of(log)  # before others have to wait
        with self._database.writing(durable=False) as connection:
            counter = self._books.counter(connection, study, member)
            self._members.check(connection, member, counter)
            first = counter.next
            taken: dict[int, int] = {}
            if unique:
                points, taken = self._without_known(connection, counter, points, budget)
            else:
                points = points[: counter.room(len(points), budget)]
            if points:
                counter.version += 1
                version, token = counter.version, member.token if member is not None else None
                attempt = 0 if member is None else 1
                state, due = state_crc(token, attempt), due_of(opening, self._now())
                base = place(study, 0)
                connection.executemany(
                    self._sql["open_trial"],
                    [
                        (study, number, version, name, text.decode(), crc32(text, base + 8 * number), state, attempt,
                         token, due)
                        for number, (name, text) in enumerate(points, first)
                    ],
                )  # fmt: skip
                counter.next += len(points)
                counter.used += len(points)
            written = self._books.write_log(connection, counter, lines)
            self._books.keep(connection, counter)
        stamp(log, written)
        return Opened(first, len(points), taken)

    def _without_known(
        self, connection: apsw.Connection, counter: Counter, points: Sequence[Point], budget: int | None
    ) -> tuple[list[Point], dict[int, int]]:
        """(points that are no trial yet, as many as there is room for; row -> the trial that has its point)."""
        room = counter.room(len(points), budget)
        fresh: dict[bytes, int] = {}
        kept: list[Point] = []
        taken: dict[int, int] = {}
        for row, (name, text) in enumerate(points):
            known = fresh.get(name)
            if known is None:
                found = one(connection, self._sql["same_point"], (counter.study, name))
                known = found[0] if found is not None else None
            if known is not None:
                taken[row] = known
            elif len(kept) == room:
                break
            else:
                fresh[name] = counter.next + len(kept)
                kept.append((name, text))
        return kept, taken

    def append(
        self, study: int, finishing: Finishing, log: Sequence[Entry] = (), member: Member | None = None
    ) -> list[int]:
        """See `Store.append`. Where the place of `member` is another's by now, `log` is not written."""
        rows, lines = list(result_rows(study, finishing)), lines_of(log)  # before others have to wait
        keep_attempts = finishing.attempts is None
        refused, written = self._database.together(
            lambda connection: end(self._books, self._members, connection, study, rows, lines, member, keep_attempts)
        )
        stamp(log if written else (), written)
        return refused

    def release(self, study: int, numbers: Sequence[int], member: Member | None = None) -> None:
        """See `Store.release`. Numbers that are final, or are not there, are passed over."""
        token = member.token if member is not None else None
        with self._database.writing(durable=False) as connection:
            counter = self._books.counter(connection, study)
            version = counter.version + 1
            before = connection.total_changes()
            connection.executemany(
                self._sql["release_trial"],
                (
                    (study, number, version, released_crc(study, number), token, member is None)
                    for number in map(int, numbers)
                ),
            )
            released = connection.total_changes() - before
            if released:
                counter.used -= released
                counter.version = version
            self._books.keep(connection, counter)

    def retract(self, study: int, numbers: Sequence[int], reason: str = "") -> list[int]:
        """See `Store.retract`. Damaged ones are passed over, too."""
        done = []
        with self._database.writing(durable=True) as connection:
            counter = self._books.counter(connection, study)
            for number in dict.fromkeys(map(int, numbers)):
                row = one(connection, self._sql["get_trial"], (study, number))
                if row is None or not 2 <= row[1] < 6 or not trials_of(study, [row[:8]], self._books.damaged(study)):
                    continue
                counter.used -= one(connection, self._sql["takes_place"], (study, number))[0]
                crc = retracted_crc(study, number, row[4])
                connection.execute(self._sql["retract_trial"], (study, number, counter.version + 1, crc))
                done.append(number)
            if done:
                counter.version += 1
                line = Entry("retracted", {"numbers": done, "reason": reason})
                self._books.write_log(connection, counter, lines_of([line]))
                self._books.keep(connection, counter)
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
        points, lines = points_of(opening), lines_of(log)
        token = member.token if member is not None else None
        with self._database.writing(durable=True) as connection:
            counter = self._books.counter(connection, study, member)
            first, version = counter.next, counter.version + 1
            pairs = zip(points, result_rows(study, renumbered(finishing, first)), strict=True)
            connection.executemany(
                self._sql["add_trial"],
                (
                    (study, number, status, version, name, text.decode(), crc32(text, place(study, number)), result,
                     result_crc, attempt, token)
                    for (name, text), (number, status, result, result_crc, attempt) in pairs
                ),
            )  # fmt: skip
            counter.next += len(points)
            counter.version = version if points else counter.version
            written = self._books.write_log(connection, counter, lines)
            self._members.heard(connection, member, counter)
            self._books.keep(connection, counter)
        stamp(log, written)
        return first

    def since(self, study: int, version: int = 0, beside: Member | None = None) -> tuple[list[StoredTrial], int]:
        """See `Store.since`. Damaged rows are left out, with a RuntimeWarning."""
        token = beside.token if beside is not None else None
        with no_collection(), self._database.reading() as connection:
            newest = self._books.counter(connection, study).version
            if version >= newest:
                return [], newest
            if version <= 0:
                rows = connection.execute(self._sql["all_trials"], (study, token, False))
            else:
                rows = connection.execute(self._sql["changed_trials"], (study, token, version))
            return trials_of(study, cast("Iterable[Any]", rows), self._books.damaged(study)), newest

    def columns(self, study: int, wanted: Wanted) -> tuple[StoredColumns, int]:
        """See `Store.columns`. Damaged rows are left out, with a RuntimeWarning."""
        with no_collection(), self._database.reading() as connection:
            newest = self._books.counter(connection, study).version
            rows = connection.execute(self._sql["all_trials"], (study, None, False))
            return columns_of(study, cast("Iterable[Any]", rows), wanted, self._books.damaged(study)), newest

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

    def log(self, study: int, entries: Sequence[Entry], member: Member | None = None) -> int:
        """See `Store.log`."""
        lines = lines_of(entries)
        with self._database.writing(durable=False) as connection:
            counter = self._books.counter(connection, study, member)
            self._members.must_hold_place(member, counter)
            written = self._books.write_log(connection, counter, lines)
            self._books.keep(connection, counter)
        stamp(entries, written)
        return counter.sequence

    def entries(self, study: int, after: int = 0, kinds: Sequence[str] = (), by: int | None = None) -> list[Entry]:
        """See `Store.entries`. Damaged lines are left out, with a RuntimeWarning."""
        wanted = to_json(list(kinds), "kinds") if kinds else None
        with self._database.reading() as connection:
            rows = every(connection, self._sql["list_entries"], (study, after, wanted, by))
        found = []
        for row in rows:
            entry = entry_of(study, row)
            if entry is not None:
                found.append(entry)
            else:
                self._books.warn(study, f"log line {row[0]}")
        return found

    def snapshot(
        self, study: int, body: dict[str, Any], sequence: int, by: int = 0, member: Member | None = None
    ) -> None:
        """See `Store.snapshot`. body: plain data (`thalweg.core.plain`). A newer one is never replaced by an older."""
        text = to_json(body, "the snapshot")
        with self._database.writing(durable=False) as connection:
            self._members.must_hold_place(member, self._books.counter(connection, study, member))
            row = (study, by, sequence, text, snapshot_crc(study, by, sequence, text))
            connection.execute(self._sql["keep_snapshot"], row)

    def restore(self, study: int, by: int = 0) -> tuple[dict[str, Any], int] | None:
        """See `Store.restore`. A damaged one is as good as none (with a RuntimeWarning): the log has everything."""
        with self._database.reading() as connection:
            row = one(connection, self._sql["get_snapshot"], (study, by))
        if row is None:
            return None
        kept = snapshot_of(study, by, row)
        if kept is None:
            self._books.warn(study, "the snapshot")
        return kept

    def close(self) -> None:
        """See `Store.close`. A store that cannot write any more still frees its locks: its members are dead then."""
        if not self._database.closed and self._members.tokens:
            with suppress(StoreError), self._database.writing(durable=False) as connection:
                self._members.leave(connection, self._members.tokens)
                self._members.close()
        self._members.close()
        self._database.close()

    def verify(self) -> list[str]:
        """Everything that is damaged, a line each: rows whose crc is wrong, and what SQLite's own check finds."""
        with self._database.reading() as connection:
            return verify(self._books, self._members, connection)
