"""Everything that is damaged in a schema, a line each."""

from __future__ import annotations

from ._books import Counter
from ._postgres_link import Link
from ._rows import entry_of, snapshot_of, study_crc, trials_of


def verify(link: Link) -> list[str]:
    """Rows whose crc is wrong. (PostgreSQL's own check of pages is pg_checksums, and its indexes' is pg_amcheck.)"""
    found = []
    for study, name, text, fingerprint, created, revision, crc in link.rows("list_studies"):
        if study_crc(name, text, fingerprint, created, revision) != crc:
            found.append(f"study {name!r}: its own row")
        found += [f"study {name!r}: {line}" for line in _of_study(link, int(study))]
    return found


def _of_study(link: Link, study: int) -> list[str]:
    found: list[str] = []
    rows = link.rows("get_counter", study=study)
    if not rows or Counter(study, *rows[0][:5]).row()[-1] != rows[0][5]:
        found.append("its counter (made again from its rows when it is used)")
    rows = link.rows("all_trials", study=study, token=None, released=True)
    trials_of(study, rows, lambda number, what: found.append(f"trial {number}: its {what}"))
    for row in link.rows("list_entries", study=study, after=-1, kinds=None, by=None):
        if entry_of(study, row) is None:
            found.append(f"log line {row[0]}")
    for by, *row in link.rows("list_snapshots", study=study):
        if snapshot_of(study, by, row) is None:
            found.append("the snapshot" if by == 0 else f"the snapshot of member {by}")
    return found
