"""Open trials that nobody alive works on find somebody who does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zlib import crc32

from ...core.batch import Status
from ...core.store import Entry, Member
from ._books import Books, Counter, every, lines_of
from ._common import lost_error
from ._members import Members
from ._rows import Row, place, sound, state_crc

if TYPE_CHECKING:
    import apsw

_FAILED = int(Status.FAILED)
_MANY = 64


@dataclass(slots=True)
class Found:
    """What may be claimed: queued rows, lost ones that were lost too often (with the note of who had them), and one
    more lost one."""

    queued: list[Row] = field(default_factory=list)
    poisoned: list[tuple[Row, str]] = field(default_factory=list)
    lost: Row | None = None

    def __bool__(self) -> bool:
        return bool(self.queued or self.poisoned or self.lost is not None)


def find(
    books: Books, members: Members, connection: apsw.Connection, member: Member, limit: int,
    numbers: Sequence[int] | None, attempts: int,
) -> Found:  # fmt: skip
    """Look, without writing. Damaged rows are passed over."""
    found = Found()
    study = member.study
    wanted = json.dumps([int(number) for number in numbers]) if numbers is not None else None
    queued = every(connection, books.sql["queued_trials"], (study, wanted, limit))
    found.queued = [row for row in queued if _whole(books, study, row)]
    if len(found.queued) >= limit:
        return found
    notes = members.lost(connection, study, member.token)
    query = books.sql["owned_trials"]
    rows = [row for owner in notes for row in every(connection, query, (study, owner, wanted, _MANY))]
    for row in sorted(rows):
        if not _whole(books, study, row):
            continue
        if row[6] < attempts:
            found.lost = row
            break
        found.poisoned.append((row, notes[row[7]]))
    return found


def take(books: Books, connection: apsw.Connection, counter: Counter, member: Member, found: Found) -> list[Row]:
    """Write what was found: the rows that are `member`'s now, as they are now."""
    import msgspec

    if not found:
        return []
    counter.version += 1
    study, token = member.study, member.token
    mine: list[Row] = []
    for row in [*found.queued, *([found.lost] if found.lost is not None else [])]:
        attempt = row[6] + 1 if row is found.lost else max(row[6], 1)
        crc = state_crc(token, attempt)
        connection.execute(books.sql["claim_trial"], (study, row[0], token, attempt, counter.version, crc))
        mine.append((*row[:5], crc, attempt, token))
    for row, note in found.poisoned:
        number, attempt = row[0], row[6]
        body = {"values": [], "error": lost_error(attempt, note), "attempt": attempt}
        text = msgspec.json.encode(body)
        crc = crc32(text, place(study, number, _FAILED))
        values = (study, number, _FAILED, counter.version, text.decode(), crc, attempt, None)
        connection.execute(books.sql["finish_any"], values)
    if found.poisoned:
        said = [row[0] for row, _ in found.poisoned]
        books.write_log(connection, counter, lines_of([Entry("poisoned", {"numbers": said}, by=member.ordinal)]))
    return mine


def _whole(books: Books, study: int, row: Row) -> bool:
    whole = sound(study, row)
    if not whole:
        books.damaged(study)(row[0], "row")
    return whole
