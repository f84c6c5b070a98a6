"""A store in a PostgreSQL database, for any number of processes of any number of machines.

The tables, the texts in them and what they mean are those of the SQLite store. What is promised:

- Any process, and the server itself, may be killed at any instant: nothing acknowledged is lost (durability="full"),
  and every call happens once, also when the connection broke while it was being acknowledged.
- While the server is away, calls wait for it, up to `patience_s`, and go on when it is back.
- A process that dies is found dead at once, a machine that disappears within half a minute: its session's locks are
  free then, and what it worked on may be claimed by others.
- A damaged row is found by its CRC-32, left out of every answer, and warned about once; `verify` lists all of them.

Why openings are as durable as results here, though in an SQLite file they need not be: a server that crashes forgets
what it did not write down while its clients live on, and would give the numbers of forgotten trials to others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

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
from . import _postgres_claims as claims
from ._books import Counter
from ._columns import columns_of
from ._common import check_claim, check_lengths, displaced, due_of, renumbered, respec_line, stale, stamp, unknown_study
from ._postgres_address import checked, parse
from ._postgres_books import Books, Written, array, lines, locked
from ._postgres_link import Link
from ._postgres_members import Members
from ._postgres_server import Read, Server, Transaction
from ._postgres_trials import changes, columns, everything, fresh, holding, present
from ._postgres_verify import verify
from ._rows import (
    entry_of,
    from_json,
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


class PostgresStore(Store):
    """Studies in the database at `address`: postgresql://user:password@host:port/database?option=value.

    What the address does not say comes from where libpq takes it (PGHOST, PGUSER, PGPASSWORD, ~/.pgpass ...). The
    options of the store itself may also stand in the address's query, as in "?schema=mine&durability=fast".

    schema: the namespace of the tables, made if it is not there.
    durability: "full" (what is acknowledged survives a crash of the server) or "fast" (it survives the death of
    processes; a crash of the server may undo the last moments, and processes that lived through it then stop).
    lease_s: a member that was not heard of for so long may lose its open trials to others, though it lives.
    patience_s: how long a call waits for a server that went away.
    clock: seconds, the same in every process, instead of the server's (for tests).

    Raises:
        StoreError: the address, or what is there, cannot be one of a store; the message says why and what to do.
        MissingExtra: psycopg is not installed.
    """

    durable = True

    def __init__(
        self,
        address: str,
        *,
        schema: str | None = None,
        durability: Literal["full", "fast"] | None = None,
        lease_s: float | None = None,
        patience_s: float | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        parsed = parse(address)
        given = {"schema": schema, "durability": durability, "lease_s": lease_s, "patience_s": patience_s}
        options = checked(parsed.options | {name: value for name, value in given.items() if value is not None})
        self.lease_s = options["lease_s"]
        self._server = Server(parsed, options["schema"], options["durability"] == "full", options["patience_s"])
        self._books = Books(parsed.shown)
        self._members = Members(self._server, self._books, self.lease_s, clock)

    @property
    def address(self) -> str:
        """The address, without passwords."""
        return self._server.where

    def __repr__(self) -> str:
        return f"PostgresStore({self.address!r})"

    # --- studies --------------------------------------------------------------------------------------------------

    def create(self, name: str, spec: dict[str, Any], fingerprint: str) -> StudyRecord:
        """See `Store.create`. Of racers one inserts the row; the others wait for it, and find it."""
        text = to_json(spec, f"study {name!r}: its spec")

        def work(transaction: Transaction) -> Any:
            rows = transaction.rows["find_study"]
            if rows:
                return rows[0]
            created = float(transaction.rows["clock"][0][0])
            crc = study_crc(name, text, fingerprint, created, 0)
            made = transaction.now("add_study", name=name, spec=text, fingerprint=fingerprint, created=created, crc=crc)
            if not made:
                return transaction.now("find_study", name=name)[0]
            self._books.keep(transaction, Counter(made[0][0]), "add_counter")
            self._books.write_spec(transaction, made[0][0], created, spec_line(name, text, fingerprint, 0))
            return made[0][0], name, text, fingerprint, created, 0, crc

        row = self._server.read(lambda link: link.rows("find_study", name=name))
        reads: list[Read] = [("find_study", {"name": name}), ("clock", {})]
        return self._books.record(row[0] if row else self._server.write(reads, work))

    def open(self, name: str) -> StudyRecord:
        """See `Store.open`."""
        rows = self._server.read(lambda link: link.rows("find_study", name=name))
        if not rows:
            raise self._unknown(name)
        return self._books.record(rows[0])

    def names(self) -> list[str]:
        """See `Store.names`."""
        return [str(row[1]) for row in self._server.read(lambda link: link.rows("list_studies"))]

    def delete(self, name: str) -> None:
        """See `Store.delete`. Raises StoreError if there is no such study."""
        study = self.open(name).id

        def work(transaction: Transaction) -> bool:
            if not transaction.rows["lock_counter"]:
                return False
            for table in ("trials", "log", "snapshot", "members", "counter", "study"):
                transaction.later(f"delete_{table}", study=study)
            return True

        if not self._server.write([locked(study)], work):
            raise self._unknown(name)

    def standing(self, study: int) -> Standing:
        """See `Store.standing`."""

        def work(link: Link) -> Standing:
            rows = link.rows("standing", study=study)
            counter = self._books.counter_of(study, rows, lambda: link.rows("count_again", study=study))
            return Standing(counter.version, counter.used, counter.budget, rows[0][6], rows[0][7])

        return self._server.read(work)

    def set_budget(self, study: int, budget: int | None) -> None:
        """See `Store.set_budget`."""

        def work(transaction: Transaction) -> None:
            counter = self._books.counter(transaction, study)
            counter.budget = None if budget is None else int(budget)
            self._books.keep(transaction, counter)

        self._server.write([locked(study)], work)

    def respec(self, study: int, spec: dict[str, Any], fingerprint: str, revision: int) -> StudyRecord:
        """See `Store.respec`."""
        text = to_json(spec, f"study {study}: its spec")

        def work(transaction: Transaction) -> StudyRecord:
            counter = self._books.counter(transaction, study)
            old = self._books.record(transaction.rows["get_study"][0])
            if old.revision != revision:
                raise stale(self.address, old, revision)
            crc = study_crc(old.name, text, fingerprint, old.created_unixtime, revision + 1)
            transaction.later(
                "set_study", study=study, spec=text, fingerprint=fingerprint, revision=revision + 1, crc=crc
            )
            counter.version += 1
            self._books.write_log(transaction, counter, [respec_line(old, spec, fingerprint)])
            self._books.keep(transaction, counter)
            return StudyRecord(study, old.name, from_json(text), fingerprint, old.created_unixtime, revision + 1)

        return self._server.write([locked(study), ("get_study", {"study": study})], work)

    def _unknown(self, name: str) -> StoreError:
        return unknown_study(self.address, name, self.names())

    # --- members --------------------------------------------------------------------------------------------------

    def join(self, study: int, note: str = "", alone: bool = False, place: int | None = None) -> Member:
        """See `Store.join`."""
        return self._members.join(study, note, alone, place)

    def beat(self, member: Member) -> None:
        """See `Store.beat`."""
        self._members.beat(member)

    def leave(self, member: Member) -> None:
        """See `Store.leave`. After `close` it has left already."""
        if not self._server.closed:
            self._members.leave(member)

    def members(self, study: int) -> list[MemberView]:
        """See `Store.members`."""

        def work(link: Link) -> list[MemberView]:
            self._books.read_counter(link, study)
            return self._members.views(link, study)

        return self._server.read(work, together=True)

    def claim(
        self, member: Member, limit: int, numbers: Sequence[int] | None = None, attempts: int = 3
    ) -> list[StoredTrial]:
        """See `Store.claim`. Raises Displaced if `member` is not there any more."""
        check_claim(limit, attempts)
        study = member.study
        reads = claims.reads(self._members, member, limit, numbers)
        asked = (member, limit, numbers, attempts)

        def look(link: Link) -> bool:
            first: list[Read] = [("get_counter", {"study": study}), *present(member), *reads]
            results = link.batch([link.say(name, **values) for name, values in first])
            rows = {name: result.rows for (name, _), result in zip(first, results, strict=True)}
            self._books.counter_of(study, rows["get_counter"], lambda: link.rows("count_again", study=study))
            self._members.check(rows, member)
            return bool(claims.find(self._books, self._members, rows, link.rows, *asked))

        def work(transaction: Transaction) -> list[Any]:
            self._members.check(transaction.rows, member)
            counter = self._books.counter(transaction, study)
            found = claims.find(self._books, self._members, transaction.rows, transaction.now, *asked)
            if not found:
                return []
            taken = claims.take(self._books, transaction, counter, member, found)
            self._members.said(transaction, member)
            self._members.bury_dead(transaction)
            self._books.keep(transaction, counter)
            return taken

        if not self._server.read(look) or limit < 1:
            return []
        rows = self._server.write([locked(study), *present(member), *reads], work)
        return trials_of(study, rows, self._books.damaged(study))

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
        points = points_of(opening)  # before others have to wait
        reads = [locked(study), *present(member)]
        if unique:
            reads.append(("same_points", {"study": study, "digests": array(name.hex() for name, _ in points)}))

        def work(transaction: Transaction) -> tuple[Opened, Written]:
            self._members.check(transaction.rows, member)
            counter = self._books.counter(transaction, study)
            kept, taken = fresh(transaction, counter, points, budget)
            opened = Opened(counter.next, len(kept), taken)
            if kept:
                counter.version += 1
                token, attempt = (None, 0) if member is None else (member.token, 1)
                transaction.later(
                    "open_trials", study=study, version=counter.version, token=token, attempt=attempt,
                    state=state_crc(token, attempt), due=due_of(opening, self._members.clock(transaction)),
                    **columns(study, counter.next, kept),
                )  # fmt: skip
                counter.next += len(kept)
                counter.used += len(kept)
            written = self._books.write_log(transaction, counter, log)
            self._members.said(transaction, member)
            self._books.keep(transaction, counter)
            return opened, written

        opened, written = self._server.write(reads, work)
        stamp(log, written)
        return opened

    def append(
        self, study: int, finishing: Finishing, log: Sequence[Entry] = (), member: Member | None = None
    ) -> list[int]:
        """See `Store.append`. Where the place of `member` is another's by now, `log` is not written."""
        rows = list(result_rows(study, finishing))  # before others have to wait
        token = member.token if member is not None else None
        reads = [locked(study), ("ending_trials", {"study": study, "numbers": array(row[0] for row in rows)})]
        reads += holding(member)

        def work(transaction: Transaction) -> tuple[list[int], Written | None]:
            counter = self._books.counter(transaction, study)
            ended, settled = claims.settle(transaction, study, rows, token, finishing.attempts is None)
            if ended:
                counter.version += 1
                claims.finish(transaction, study, ended, counter.version, token)
            written = None
            if member is None or transaction.rows["holds_place"]:
                written = self._books.write_log(transaction, counter, log)
            self._books.write_log(transaction, counter, settled.lines(member))
            self._members.said(transaction, member)
            self._books.keep(transaction, counter)
            return settled.refused, written

        refused, written = self._server.write(reads, work)
        if written is not None:
            stamp(log, written)
        return refused

    def release(self, study: int, numbers: Sequence[int], member: Member | None = None) -> None:
        """See `Store.release`. Numbers that are final, or are not there, are passed over."""
        token = member.token if member is not None else None
        wanted = {"study": study, "numbers": array(map(int, numbers)), "any": member is None, "token": token}

        def work(transaction: Transaction) -> None:
            counter = self._books.counter(transaction, study)
            rows = transaction.rows["releasable_trials"]
            if rows:
                counter.version += 1
                counter.used -= sum(counted for _, counted in rows)
                crcs = [(number, released_crc(study, number)) for number, _ in rows]
                claims.withdraw(self._books, transaction, counter, crcs, token)

        self._server.write([locked(study), ("releasable_trials", wanted)], work)

    def retract(self, study: int, numbers: Sequence[int], reason: str = "") -> list[int]:
        """See `Store.retract`. Damaged ones are passed over, too."""
        wanted = list(dict.fromkeys(map(int, numbers)))
        damaged = self._books.damaged(study)

        def work(transaction: Transaction) -> list[int]:
            counter = self._books.counter(transaction, study)
            rows = {row[0]: row for row in transaction.rows["some_trials"] if 2 <= row[1] < 6}
            done = [number for number in wanted if number in rows and trials_of(study, [rows[number][:8]], damaged)]
            if done:
                counter.version += 1
                counter.used -= sum(rows[number][8] for number in done)
                self._books.write_log(transaction, counter, [Entry("retracted", {"numbers": done, "reason": reason})])
                crcs = [(number, retracted_crc(study, number, rows[number][4])) for number in done]
                claims.withdraw(self._books, transaction, counter, crcs, None)
            return done

        return self._server.write([locked(study), ("some_trials", {"study": study, "numbers": array(wanted)})], work)

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
        points = points_of(opening)
        token = member.token if member is not None else None

        def work(transaction: Transaction) -> tuple[int, Written]:
            counter = self._books.counter(transaction, study)
            first = counter.next
            if points:
                counter.version += 1
                counter.next += len(points)
                rows = list(result_rows(study, renumbered(finishing, first)))
                _, statuses, results, crcs, attempts = zip(*rows, strict=True)
                transaction.later(
                    "add_trials", study=study, version=counter.version, token=token, statuses=array(statuses),
                    results=lines(results), result_crcs=array(crcs), attempts=array(attempts),
                    **columns(study, first, points),
                )  # fmt: skip
            written = self._books.write_log(transaction, counter, log)
            self._members.said(transaction, member)
            self._books.keep(transaction, counter)
            return first, written

        first, written = self._server.write([locked(study)], work)
        stamp(log, written)
        return first

    def since(self, study: int, version: int = 0, beside: Member | None = None) -> tuple[list[StoredTrial], int]:
        """See `Store.since`. Damaged rows are left out, with a RuntimeWarning."""
        token, full = beside.token if beside is not None else None, version <= 0
        with no_collection():
            read = everything(self._books, study, token) if full else changes(self._books, study, token, version)
            rows, newest = self._server.read(read, together=full)
            return trials_of(study, rows, self._books.damaged(study)), newest

    def columns(self, study: int, wanted: Wanted) -> tuple[StoredColumns, int]:
        """See `Store.columns`. Damaged rows are left out, with a RuntimeWarning."""
        with no_collection():
            rows, newest = self._server.read(everything(self._books, study, None), together=True)
            return columns_of(study, rows, wanted, self._books.damaged(study)), newest

    def lookup(self, fingerprint: str, digests: Sequence[bytes]) -> dict[bytes, StoredTrial]:
        """See `Store.lookup`. A trial with values goes before one without, then the oldest; abandoned ones are no
        results."""
        wanted = array(name.hex() for name in dict.fromkeys(digests))
        rows = self._server.read(lambda link: link.rows("lookup", fingerprint=fingerprint, digests=wanted))
        found: dict[bytes, StoredTrial] = {}
        for study, *row in rows:
            for trial in trials_of(study, [tuple(row)], lambda *_: None):
                # The digest's own column has no crc: it is made again from the row it led to.
                found.setdefault(digest(trial.params, trial.fidelity, trial.replicate), trial)
        return {name: found[name] for name in digests if name in found}

    # --- log and snapshots ----------------------------------------------------------------------------------------

    def log(self, study: int, entries: Sequence[Entry], member: Member | None = None) -> int:
        """See `Store.log`."""

        def work(transaction: Transaction) -> tuple[int, Written]:
            if member is not None and not transaction.rows["holds_place"]:
                raise displaced(self.address, member)
            counter = self._books.counter(transaction, study)
            written = self._books.write_log(transaction, counter, entries)
            self._books.keep(transaction, counter)
            return counter.sequence, written

        if not entries:
            return self._server.read(lambda link: self._counter(link, study, member)).sequence
        last, written = self._server.write([locked(study), *holding(member)], work)
        stamp(entries, written)
        return last

    def _counter(self, link: Link, study: int, member: Member | None) -> Counter:
        """The counter of a study whose member `member` holds its place still."""
        if member is not None and not link.rows("holds_place", token=member.token):
            raise displaced(self.address, member)
        return self._books.read_counter(link, study)

    def entries(self, study: int, after: int = 0, kinds: Sequence[str] = (), by: int | None = None) -> list[Entry]:
        """See `Store.entries`. Damaged lines are left out, with a RuntimeWarning."""
        wanted = {"study": study, "after": after, "kinds": list(kinds) or None, "by": by}
        found = []
        for row in self._server.read(lambda link: link.rows("list_entries", **wanted)):
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
        self._server.read(lambda link: self._counter(link, study, member))
        crc = snapshot_crc(study, by, sequence, text)
        row = {"study": study, "by": by, "sequence": sequence, "body": text, "crc": crc}
        kept = self._server.do(("keep_snapshot", row | {"token": None if member is None else member.token}))
        if not kept[0].changed and member is not None:
            self._server.read(
                lambda link: self._counter(link, study, member)
            )  # there is a newer one, or the place was taken this moment

    def restore(self, study: int, by: int = 0) -> tuple[dict[str, Any], int] | None:
        """See `Store.restore`. A damaged one is as good as none (with a RuntimeWarning): the log has everything."""
        rows = self._server.read(lambda link: link.rows("get_snapshot", study=study, by=by))
        if not rows:
            return None
        kept = snapshot_of(study, by, rows[0])
        if kept is None:
            self._books.warn(study, "the snapshot")
        return kept

    def close(self) -> None:
        """See `Store.close`. Where the server is away, the members are dead anyway."""
        self._members.close()
        self._server.close()

    def verify(self) -> list[str]:
        """Everything that is damaged, a line each: rows whose crc is wrong."""
        return self._server.read(verify, together=True)
