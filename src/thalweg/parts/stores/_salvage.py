"""What is left of a damaged file: its rows, each with a right crc, and those that nobody can vouch for any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ._pages import Pages, Record, Value
from ._queries import schema
from ._sound import Row, corrected, is_sound

KEYS = {
    "study": ("id",),
    "counter": ("study",),
    "member": ("token",),
    "trial": ("study", "number"),
    "log": ("study", "sequence"),
    "snapshot": ("study", "by"),
}
"""Table -> what tells its rows apart."""

Key = tuple[Any, ...]


class Table(NamedTuple):
    """columns: (name, type, not null, default) in the order in which rows hold them.  alias: the column that is the
    rowid, if any.  rowid: whether it has one."""

    name: str
    columns: list[tuple[str, str, bool, Any]]
    alias: str
    rowid: bool


@dataclass(slots=True)
class Salvage:
    """rows: table -> key -> row, sound or set right.  damaged: (table, row) that are neither.  corrected: how many of
    each table had one wrong bit.  again: how many were behind a damaged pointer.  statements: of the schema, as found.
    version: of the schema.  tokens: the highest numbers ever given, by table.  from_wal: pages that were in the
    write-ahead log only.  free_known: the list of free pages could be followed, so nothing that was deleted has come
    back.
    """

    rows: dict[str, dict[Key, Row]]
    damaged: list[tuple[str, Row]] = field(default_factory=list)
    corrected: Counter[str] = field(default_factory=Counter)
    again: Counter[str] = field(default_factory=Counter)
    statements: list[str] = field(default_factory=list)
    version: int = 0
    tokens: dict[str, int] = field(default_factory=dict)
    from_wal: int = 0
    free_known: bool = True


def salvage(path: Path, newest: int) -> Salvage:
    """Read what can be read, from the file and its WAL; nothing is written. newest: the schema version that is assumed
    where the file's own schema cannot be read."""
    pages = Pages(path)
    records = list(pages.records())
    statements, version = _schema(records, newest)
    found = Salvage({name: {} for name in KEYS}, statements=statements, version=version)
    found.from_wal, found.free_known = pages.from_wal, pages.free_known()
    tables = tables_of(statements or [schema()])
    doubtful: list[tuple[Table, Row]] = []
    ours: Counter[int] = Counter()
    cells: Counter[int] = Counter()
    for record in records:
        cells[record.page] += 1
        if record.rowid is not None and len(record.values) == 2 and isinstance(record.values[1], int):
            found.tokens[str(record.values[0])] = max(found.tokens.get(str(record.values[0]), 0), record.values[1])
        for table, row in _rows_of(record, tables):
            if is_sound(table.name, row):
                _keep(found, table.name, row)
                ours[record.page] += 1
            elif record.sure:
                doubtful.append((table, row))
    for table, row in doubtful:
        _judge(found, table.name, row)
    again = {number for number, count in ours.items() if count < cells[number] or number in pages.broken}
    for number in sorted(ours if any(True for _ in missing(found)) else again):
        _look_again(found, pages, number, tables)
    return found


def _look_again(found: Salvage, pages: Pages, number: int, tables: list[Table]) -> None:
    """A page of ours may hold one more row, behind a damaged pointer or head."""

    def known(record: Record) -> bool:
        return any(is_sound(table.name, row) for table, row in _rows_of(record, tables))

    for record in pages.other_readings(number, known):
        for table, row in _rows_of(record, tables):
            key = _key(table.name, row)
            if key not in found.rows[table.name] and is_sound(table.name, row):
                found.rows[table.name][key] = row
                found.again[table.name] += 1


def _rows_of(record: Record, tables: list[Table]) -> Iterator[tuple[Table, Row]]:
    for table in tables:
        row = _row_of(record, table)
        if row is not None:
            yield table, row


def _judge(found: Salvage, table: str, row: Row) -> None:
    """Set a row right, or put it aside."""
    right = corrected(table, row)
    if right is None:
        found.damaged.append((table, row))
        return
    key = _key(table, right)
    if key not in found.rows[table]:
        found.corrected[table] += 1
        found.rows[table][key] = right


def _keep(found: Salvage, table: str, row: Row) -> None:
    """Of two rows with one key the newer one: a page that is free again may hold what there was before."""
    key = _key(table, row)
    known = found.rows[table].get(key)
    if known is None or _age(row) > _age(known):
        found.rows[table][key] = row


def _key(table: str, row: Row) -> Key:
    return tuple(row.get(name, 0) for name in KEYS[table])  # 0: snapshots were of one member, before there were several


def _age(row: Row) -> tuple[Any, ...]:
    return (row.get("version", 0), row.get("status", 0), row.get("revision", 0), row.get("sequence", 0))


def _schema(records: list[Record], newest: int) -> tuple[list[str], int]:
    """The statements of an older schema, as the file has them, and its version; none for the newest one, which needs no
    damaged text to be known. (A file that was brought up to date has the columns in the same order as a new one.)"""
    texts: dict[str, str] = {}
    for record in records:
        if record.rowid is not None and len(record.values) == 5:
            kind, name, _, _, text = record.values
            if kind in ("table", "index", "view") and isinstance(name, str) and isinstance(text, str):
                texts[name] = text
    older = set(KEYS) - {"member"}
    if "member" in texts or not older <= set(texts) or "lease_until" not in texts["trial"]:
        return [], newest
    statements = [text for name, text in texts.items() if not name.startswith("sqlite_")]
    try:
        tables = tables_of(statements)
    except ValueError:
        return [], newest
    whole = all(set(KEYS[table.name]) <= {"by", *(name for name, *_ in table.columns)} for table in tables)
    return (statements, 1) if whole and len(tables) == len(older) else ([], newest)


def tables_of(statements: list[str]) -> list[Table]:
    """Our tables, as `statements` make them.

    Raises:
        ValueError: they make none.
    """
    import apsw

    connection = apsw.Connection(":memory:")
    try:
        order = ("CREATE TABLE", "CREATE INDEX", "CREATE VIEW")
        for text in sorted(statements, key=lambda text: next((i for i, o in enumerate(order) if o in text[:14]), 9)):
            connection.execute(text)
        found = []
        for name, without in list(connection.execute("SELECT name, wr FROM pragma_table_list WHERE type = 'table'")):
            if name not in KEYS:
                continue
            info: list[Any] = list(connection.execute(f'PRAGMA table_info("{name}")'))
            if without:  # the primary key comes first (section 2.4 of the format)
                info = sorted((row for row in info if row[5]), key=lambda row: row[5]) + [r for r in info if not r[5]]
            columns = [(row[1], row[2], bool(row[3] or row[5]), row[4]) for row in info]
            keys = [row for row in info if row[5]]
            alias = keys[0][1] if not without and len(keys) == 1 and keys[0][2] == "INTEGER" else ""
            found.append(Table(str(name), columns, alias, not without))
        return found
    except apsw.Error as error:
        raise ValueError(str(error)) from error
    finally:
        connection.close()


def _row_of(record: Record, table: Table) -> Row | None:
    """The record as a row of `table`, or None if it cannot be one."""
    if (record.rowid is not None) != table.rowid:
        return None
    have = len(record.values)
    if have > len(table.columns) or any(must and default is None for _, _, must, default in table.columns[have:]):
        return None
    row: Row = {}
    for i, (name, kind, must, default) in enumerate(table.columns):
        value: Value = record.values[i] if i < have else (None if default is None else int(default))
        if name == table.alias:
            value = record.rowid
        if value is None:
            if must:
                return None
        elif not _fits(value, kind):
            return None
        row[name] = float(value) if kind == "REAL" and isinstance(value, int) else value
    return row


def _fits(value: Value, kind: str) -> bool:
    if kind == "REAL":
        return isinstance(value, (int, float))
    return isinstance(value, {"INTEGER": int, "TEXT": str, "BLOB": bytes}[kind])


def missing(found: Salvage) -> Iterator[tuple[str, int, int]]:
    """(table, study, number) of what must have been there: numbers of trials and of log lines leave no gaps (those of
    trials did in version 1, where nothing was left of released ones)."""
    for table in ("trial", "log") if found.version > 1 else ("log",):
        there: dict[int, set[int]] = {}
        for study, number in found.rows[table]:
            there.setdefault(study, set()).add(number)
        for (study,), counter in found.rows["counter"].items():
            numbers = there.setdefault(study, set())
            highest = counter["next"] - 1 if table == "trial" else counter["sequence"]
            numbers.add(highest + 1)
        for study, numbers in there.items():
            first = 0 if table == "trial" else 1
            for number in range(first, max(numbers)):
                if number not in numbers:
                    yield table, study, number
