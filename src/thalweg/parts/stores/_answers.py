"""Results on their way into rows; those that are not the usual case, too: of other members' trials, of trials that are
final already, of unknown ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...core.batch import Status
from ...core.store import Entry, Member
from ._books import Books, Line, lines_of, one
from ._common import never_opened
from ._members import Members
from ._rows import Ended, same_result, sound, with_attempt

if TYPE_CHECKING:
    import apsw

_FINAL = int(Status.DONE)


@dataclass(slots=True)
class Settled:
    """What became of results. refused: of trials that were final already, of which `same` were answered with what they
    have.  late: of trials that were somebody else's meanwhile."""

    refused: list[int] = field(default_factory=list)
    same: list[int] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    others: list[dict[str, object]] = field(default_factory=list)

    def lines(self, member: Member | None) -> list[Entry]:
        """What the log says of it."""
        by = member.ordinal if member is not None else 0
        lines = []
        if self.late:
            lines.append(Entry("late", {"numbers": self.late}, by=by))
        if self.same:
            lines.append(Entry("duplicate", {"numbers": self.same}, by=by))
        if self.others:
            lines.append(Entry("conflict", {"answers": self.others}, by=by))
        return lines


def end(
    books: Books, members: Members, connection: apsw.Connection, study: int, rows: Sequence[Ended],
    lines: Sequence[Line], member: Member | None, keep_attempts: bool,
) -> tuple[list[int], list[tuple[float, int]]]:  # fmt: skip
    """Write results and `lines` of the log: (the numbers that are refused; time and sequence of the lines, none if they
    are not written because the place of `member` is another's).

    keep_attempts: see `settle`.

    Raises:
        StoreError: a trial was never opened, or was released.
    """
    token = member.token if member is not None else None
    counter = books.counter(connection, study, member)
    version = counter.version + 1
    before = connection.total_changes()
    connection.executemany(
        books.sql["finish_own"],
        [(study, number, status, version, text, crc, attempt, token) for number, status, text, crc, attempt in rows],
    )
    settled = Settled()
    if connection.total_changes() - before != len(rows):
        settled = settle(books, connection, study, rows, version, token, keep_attempts)
    if len(rows) > len(settled.refused):
        counter.version = version
    if member is not None and counter.gone is None:
        lines = ()
    written = books.write_log(connection, counter, lines)
    books.write_log(connection, counter, lines_of(settled.lines(member)))
    members.heard(connection, member, counter)
    books.keep(connection, counter)
    return settled.refused, written


def settle(
    books: Books,
    connection: apsw.Connection,
    study: int,
    rows: Sequence[Ended],
    version: int,
    token: int | None,
    keep_attempts: bool,
) -> Settled:
    """Write, one by one, what `finish_own` did not; what it did write has `version` already.

    keep_attempts: the results do not say which attempt they are of, so the trials' own numbers stay.

    Raises:
        StoreError: a trial was never opened, or was released.
    """
    found = Settled()
    written: set[int] = set()
    unknown = []
    for row in rows:
        number = row[0]
        stored = one(connection, books.sql["get_trial"], (study, number))
        if stored is None or (stored[1] >= _FINAL and stored[4] is None):
            unknown.append(number)
            continue
        status, result = stored[1], stored[4]
        if status < _FINAL:
            attempt, owner = stored[6], stored[7]
            if owner is not None and owner != token:
                found.late.append(number)
            if keep_attempts and attempt > 1:
                row = with_attempt(study, row, attempt)
            connection.execute(books.sql["finish_any"], (study, *row[:2], version, *row[2:], token))
            written.add(number)
        elif stored[8] == version and number not in written:
            written.add(number)
        else:
            found.refused.append(number)
            if sound(study, stored[:8]) and same_result(status, result, row):
                found.same.append(number)
            else:
                values, error = summary(row)
                found.others.append({"number": number, "status": row[1], "values": values} | error)
    if unknown:
        raise never_opened(unknown)
    return found


def summary(row: Ended) -> tuple[list[float], dict[str, str]]:
    """The values and the error, if there is one, of an answer that does not count."""
    import msgspec

    body = msgspec.json.decode(row[2])
    values = [float(value) for value in body["values"]]
    return values, {"error": body["error"]} if "error" in body else {}
