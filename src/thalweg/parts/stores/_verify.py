"""Everything that is damaged in a file, a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._books import Books, every
from ._members import Members
from ._rows import log_crc, snapshot_crc, study_crc, trials_of

if TYPE_CHECKING:
    import apsw


def verify(books: Books, members: Members, connection: apsw.Connection) -> list[str]:
    """Rows whose crc is wrong, and what SQLite's own check finds."""
    check = [str(row[0]) for row in every(connection, "PRAGMA integrity_check")]
    found = [f"file: {line}" for line in check if line != "ok"]
    for row in every(connection, books.sql["list_studies"]):
        study, name, text, fingerprint, created, revision, crc = row
        if study_crc(name, text, fingerprint, created, revision) != crc:
            found.append(f"study {name!r}: its own row")
        found += [f"study {name!r}: {line}" for line in _of_study(books, members, connection, int(study))]
    return found


def _of_study(books: Books, members: Members, connection: apsw.Connection, study: int) -> list[str]:
    found = []
    if not books.counter_ok(connection, study):
        found.append("its counter (made again from its rows when it is used)")
    found += [f"member {ordinal}" for ordinal in members.wrong(connection, study)]
    rows = every(connection, books.sql["all_trials"], (study, None, True))
    trials_of(study, rows, lambda number, what: found.append(f"trial {number}: its {what}"))
    for sequence, kind, moment, body, by, crc in every(connection, books.sql["list_entries"], (study, 0, None, None)):
        if log_crc(study, sequence, kind, moment, body, by) != crc:
            found.append(f"log line {sequence}")
    for by, sequence, body, crc in every(connection, books.sql["list_snapshots"], (study,)):
        if snapshot_crc(study, by, sequence, body) != crc:
            found.append("the snapshot" if by == 0 else f"the snapshot of member {by}")
    return found
