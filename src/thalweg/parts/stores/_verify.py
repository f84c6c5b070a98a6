"""Everything that is damaged in a file, a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._books import Books, every
from ._members import Members
from ._rows import entry_of, snapshot_of, study_crc, text_of, trials_of

if TYPE_CHECKING:
    import apsw


def verify(books: Books, members: Members, connection: apsw.Connection) -> list[str]:
    """Rows whose crc is wrong, and what SQLite's own check finds."""
    check = [str(row[0]) for row in every(connection, "PRAGMA integrity_check")]
    found = [f"file: {line}" for line in check if line != "ok"]
    for row in every(connection, books.sql["list_studies"]):
        study, *texts, created, revision, crc = row
        name, text, fingerprint = map(text_of, texts)
        if (
            name is None
            or text is None
            or fingerprint is None
            or study_crc(name, text, fingerprint, created, revision) != crc
        ):
            found.append(f"study {name!r}: its own row")
        found += [f"study {name!r}: {line}" for line in _of_study(books, members, connection, int(study))]
    for (study,) in every(connection, books.sql["lost_studies"]):
        found.append(f"study {study}: its own row is not there")
        found += [f"study {study}: {line}" for line in _of_study(books, members, connection, int(study))]
    return found


def _of_study(books: Books, members: Members, connection: apsw.Connection, study: int) -> list[str]:
    found = []
    if not books.counter_ok(connection, study):
        found.append("its counter (made again from its rows when it is used)")
    found += [f"member {ordinal}" for ordinal in members.wrong(connection, study)]
    rows = every(connection, books.sql["all_trials"], (study, None, True))
    trials_of(study, rows, lambda number, what: found.append(f"trial {number}: its {what}"))
    for row in every(connection, books.sql["list_entries"], (study, -1, None, None)):
        if entry_of(study, row) is None:
            found.append(f"log line {row[0]}")
    for by, *row in every(connection, books.sql["list_snapshots"], (study,)):
        if snapshot_of(study, by, row) is None:
            found.append("the snapshot" if by == 0 else f"the snapshot of member {by}")
    return found
