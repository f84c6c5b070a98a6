"""Makes a sound file of a damaged one. The damaged one is only read; it is kept, beside the new one.

Rows are read page by page without SQLite (`_pages`), each is checked by its own crc, a single wrong bit is turned back
(`_sound`), what nobody can vouch for goes into a file of JSON lines for people. The new file is written, verified and
on the disk before it takes the place of the old one.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import StoreError
from ._books import Counter as Counts
from ._database import APPLICATION_ID, SCHEMA_VERSION
from ._locks import Locks
from ._place import open_gate
from ._queries import schema
from ._rows import crc_of, specs_of, study_crc
from ._salvage import KEYS, Salvage, missing, salvage
from ._sound import COVERED, Row

if TYPE_CHECKING:
    import apsw

_NAMED = 12  # how many numbers a line of the report names


@dataclass(slots=True)
class Repair:
    """What a repair did, or would do. kept: rows by table.  corrected: those of them that had one wrong bit.
    again: those behind a damaged pointer.  set_aside: rows that are damaged beyond that.  absent: (table, study,
    number) of rows that are not found at all.  made: studies and counters that had to be made again.  original, aside:
    where the damaged file is now, and the rows that were set aside (None: there are none, or it was a dry run).
    """

    path: Path
    kept: Counter[str] = field(default_factory=Counter)
    corrected: Counter[str] = field(default_factory=Counter)
    again: Counter[str] = field(default_factory=Counter)
    set_aside: list[tuple[str, Row]] = field(default_factory=list)
    absent: list[tuple[str, int, int]] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    original: Path | None = None
    aside: Path | None = None

    @property
    def lost(self) -> int:
        """How many rows are not in the new file."""
        return max(len(self.set_aside), len(self.absent))

    @property
    def needed(self) -> bool:
        """Whether anything had to be done to the rows."""
        return bool(self.corrected or self.again or self.set_aside or self.absent or self.made)

    def lines(self) -> list[str]:
        """For people."""
        kept = ", ".join(f"{self.kept[table]} {table}" for table in KEYS if self.kept[table])
        found = [f"kept rows: {kept or 'none'}"]
        if self.corrected:
            texts = ", ".join(f"{count} {table}" for table, count in self.corrected.items())
            found.append(f"one wrong bit turned back, by the row's checksum: {texts}")
        if self.again:
            texts = ", ".join(f"{count} {table}" for table, count in self.again.items())
            found.append(f"found behind a damaged pointer (an open trial may have had a result that is lost): {texts}")
        for table in ("trial", "log"):
            gone = [f"{study}/{number}" for name, study, number in self.absent if name == table]
            if gone:
                more = f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
                found.append(f"lost (study/number) of {table}: {', '.join(gone[:_NAMED])}{more}")
        if self.set_aside:
            where = f", in {self.aside}" if self.aside else ""
            found.append(f"damaged beyond repair: {len(self.set_aside)} rows{where}")
        found += [f"made again: {what}" for what in self.made]
        found += self.notes
        if self.original:
            found.append(f"the damaged file is kept: {self.original}")
        return found


def repair(given: str | os.PathLike[str], dry_run: bool = False) -> Repair:
    """Repair the store in the file at `given`; with `dry_run` only say what would be done.

    Raises:
        StoreError: there is no such file, it holds nothing of a store, a process is using it, or the new file cannot be
            written. The file is as it was then.
    """
    path = Path(os.path.realpath(Path(given).expanduser()))
    _check(path)
    gate = open_gate(path)
    try:
        with _alone(path, gate):
            found = salvage(path, SCHEMA_VERSION)
            if not any(found.rows.values()):
                raise StoreError(f"{path}: no row of a store is in it; is it the right file?")
            absent = list(missing(found))
            report = Repair(path, corrected=found.corrected, again=found.again, set_aside=found.damaged, absent=absent)
            _complete(found, report)
            report.kept.update({table: len(rows) for table, rows in found.rows.items()})
            if not found.free_known:
                report.notes.append("the list of free pages is damaged: trials that were deleted may be back")
            if not report.needed and _is_sound(path):
                report.notes = ["the file is sound, and is left as it is"]
            elif not dry_run:
                _replace(path, found, report)
            return report
    finally:
        os.close(gate)


def _check(path: Path) -> None:
    if path.is_dir():
        raise StoreError(f"{path} is a directory; give the path of the store's file")
    if not path.is_file():
        raise StoreError(f"there is no file {path}; nothing to repair")
    if path.stat().st_size == 0:
        raise StoreError(f"{path} is empty; nothing to salvage. Delete it, and the next run makes a new one")


@contextmanager
def _alone(path: Path, gate: int) -> Iterator[None]:
    """Nobody else has the file, and nobody gets it meanwhile."""
    fcntl.flock(gate, fcntl.LOCK_EX)
    try:
        users = users_of(path)
        if users:
            raise StoreError(
                f"{path} is in use by process {', '.join(map(str, users))}; stop it first: what it would write "
                f"from now on would go into the damaged file"
            )
        yield
    finally:
        fcntl.flock(gate, fcntl.LOCK_UN)


def users_of(path: Path) -> list[int]:
    """The processes that have the file open (of those this user may look at), or say that they work on it."""
    found: list[int] = []
    here = path.stat()
    for process in os.listdir("/proc") if os.path.isdir("/proc") else ():
        with suppress(OSError):
            if process.isdecimal() and any(_is(name, path, here) for name in _open_files(process)):
                found.append(int(process))
    live = Path(f"{path}-live")
    if not found and live.is_dir():
        locks = Locks(live)
        if any(name.isdecimal() and locks.lives(int(name)) for name in os.listdir(live)):
            found.append(0)
    return found


def _open_files(process: str) -> list[str]:
    folder = f"/proc/{process}/fd"
    return [f"{folder}/{name}" for name in os.listdir(folder)]


def _is(name: str, path: Path, here: os.stat_result) -> bool:
    try:
        return os.readlink(name) == str(path) or os.path.samestat(os.stat(name), here)
    except OSError:
        return False


def _complete(found: Salvage, report: Repair) -> None:
    """Make again what can be made of other rows: studies' counters, and a name for trials whose study's row is lost."""
    rows = found.rows
    wanted = {study for table in ("trial", "log", "snapshot", "counter") for study in _studies(found, table)}
    for study in sorted(wanted - {key[0] for key in rows["study"]}):
        _study_again(found, report, study)
    for (study,) in rows["study"]:
        _count(found, report, study)
    for place in rows["member"].values():  # nobody lives: what is open may be claimed
        place["gone"] = 1
        place["crc"] = crc_of(*(place[name] for name in COVERED["member"]))


def _study_again(found: Salvage, report: Repair, study: int) -> None:
    """The row of a study, by what its log says; else under a name of its own."""
    rows = found.rows
    begin = rows["log"].get((study, 0))
    taken = {row["name"] for row in rows["study"].values()}
    if begin is not None:
        name, spec, fingerprint, revision = specs_of(begin["body"])
        for (owner, _), line in rows["log"].items():
            if owner == study and line["kind"] == "respec":
                later = specs_of(line["body"])
                if later[3] > revision:
                    _, spec, fingerprint, revision = later
        created, how = float(begin["time_unixtime"]), "from its log"
    if begin is None or name in taken:
        name = f"recovered-{study}" if begin is None else f"{name}-recovered-{study}"
    if begin is None:
        spec, fingerprint, revision, created = "{}", "", 0, 0.0
        how = "its name and space are lost, its trials are there"
    row: Row = {
        "id": study, "name": name, "spec": spec, "fingerprint": fingerprint, "created_unixtime": created,
        "revision": revision, "crc": study_crc(name, spec, fingerprint, created, revision),
    }  # fmt: skip
    rows["study"][(study,)] = row
    report.made.append(f"the row of study {study}, as {name!r} ({how})")
    if begin is not None:
        report.set_aside = [item for item in report.set_aside if item[0] != "study" or item[1].get("id") != study]


def _studies(found: Salvage, table: str) -> set[int]:
    return {key[0] for key in found.rows[table]}


def _count(found: Salvage, report: Repair, study: int) -> None:
    """The counter of a study, at least as high as its rows."""
    rows = found.rows
    trials = [row for (owner, _), row in rows["trial"].items() if owner == study]
    lines = [number for owner, number in rows["log"] if owner == study]
    old = rows["counter"].get((study,))
    known = old or {"next": 0, "used": 0, "version": 0, "sequence": 0, "budget": None}
    counts = Counts(
        study,
        max([known["next"], *(row["number"] + 1 for row in trials)]),
        sum(row["counted"] for row in trials),
        max([known["version"], *(row["version"] for row in trials)]),
        max([known["sequence"], *lines]),
        known.get("budget"),
    )
    new = dict(zip(("study", "next", "used", "version", "sequence", "budget", "crc"), counts.row(), strict=True))
    if old is None:
        report.made.append(f"the counter of study {study} (its budget, if it had one, is lost)")
    rows["counter"][(study,)] = new


def _replace(path: Path, found: Salvage, report: Repair) -> None:
    part = Path(f"{path}.repair-part")
    try:
        _write(part, found)
        _verify(part, found)
        report.original = _free_name(path, "damaged")
        if report.set_aside:
            report.aside = Path(f"{report.original}.rows.jsonl")
            _write_aside(report.aside, report)
        _swap(path, part, report.original)
    except OSError as error:
        raise StoreError(f"{part}: {error.strerror}; is there space left? {path} is as it was") from error
    finally:
        _remove(part)


def _is_sound(path: Path) -> bool:
    """Whether SQLite, too, finds nothing: in a copy, because opening a file may write to it."""
    from .sqlite import SQLiteStore

    part = Path(f"{path}.repair-part")
    try:
        for ending in ("", "-wal"):
            if Path(f"{path}{ending}").exists():
                shutil.copyfile(f"{path}{ending}", f"{part}{ending}")
        store = SQLiteStore(part)
        try:
            return not store.verify()
        finally:
            store.close()
    except StoreError:
        return False
    finally:
        _remove(part)


def _remove(part: Path) -> None:
    for ending in ("", "-wal", "-shm", "-lock", "-journal"):
        Path(f"{part}{ending}").unlink(missing_ok=True)
    for copy in part.parent.glob(f"{part.name}.v*-backup"):
        copy.unlink()


def _free_name(path: Path, word: str) -> Path:
    number = 1
    while Path(f"{path}.{word}-{number}").exists():
        number += 1
    return Path(f"{path}.{word}-{number}")


def _write(part: Path, found: Salvage) -> None:
    """A new file with the rows that were found, and the schema of the old one."""
    import apsw

    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    connection = apsw.Connection(str(part), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.pragma("synchronous", "FULL")
        connection.execute("BEGIN IMMEDIATE")
        order = ("CREATE TABLE", "CREATE INDEX", "CREATE UNIQUE", "CREATE VIEW")
        for text in sorted(found.statements, key=lambda text: next((i for i, o in enumerate(order) if o in text), 9)):
            connection.execute(text)
        if not found.statements:
            connection.execute(schema())
        for table, rows in found.rows.items():
            _fill(connection, table, list(rows.values()))
        _raise_tokens(connection, found)
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", found.version)
        connection.execute("COMMIT")
    except apsw.Error as error:
        raise StoreError(f"{part}: {error}; nothing was changed") from error
    finally:
        connection.close()


def _fill(connection: apsw.Connection, table: str, rows: list[Row]) -> None:
    if not rows:
        return
    names = [str(row[1]) for row in connection.execute(f'PRAGMA table_info("{table}")')]
    columns, marks = ", ".join(f'"{name}"' for name in names), ", ".join("?" * len(names))
    query = f'INSERT INTO "{table}" ({columns}) VALUES ({marks})'  # noqa: S608 (names of our own tables)
    connection.executemany(query, (tuple(row.get(name) for name in names) for row in rows))


def _raise_tokens(connection: apsw.Connection, found: Salvage) -> None:
    """Numbers of studies and tokens of members are never given twice."""
    owners = [row.get(name) or 0 for row in found.rows["trial"].values() for name in ("owner", "writer")]
    used = {
        "study": max([found.tokens.get("study", 0), *(key[0] for key in found.rows["study"])]),
        "member": max([found.tokens.get("member", 0), *(key[0] for key in found.rows["member"]), *_whole(owners)]),
    }
    for table, highest in used.items():
        connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
        if highest:
            connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, highest))


def _whole(owners: list[Any]) -> list[int]:
    return [owner for owner in owners if isinstance(owner, int)]


def _verify(part: Path, found: Salvage) -> None:
    """Open the new file as any process would, and look at every row."""
    from .sqlite import SQLiteStore

    store = SQLiteStore(part)
    try:
        wrong = store.verify()
        trials = sum(len(store.since(store.open(name).id)[0]) for name in store.names())
    finally:
        store.close()
    wanted = sum(row["result"] is not None or row["status"] < 2 for row in found.rows["trial"].values())
    if wrong or trials != wanted:
        raise StoreError(f"{part}: the repaired file is not sound ({wrong or f'{trials} of {wanted} trials'}); {found}")


def _write_aside(aside: Path, report: Repair) -> None:
    with open(aside, "x", encoding="utf-8") as file:
        for table, row in report.set_aside:
            shown = {name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()}
            file.write(json.dumps({"table": table, **shown}, ensure_ascii=True) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _swap(path: Path, part: Path, original: Path) -> None:
    """The WAL goes first: SQLite would lay the old one over the new file."""
    with open(part, "rb") as file:
        os.fsync(file.fileno())
    os.link(path, original)
    if Path(f"{path}-wal").exists():
        os.link(f"{path}-wal", f"{original}-wal")
    for ending in ("-wal", "-shm"):
        Path(f"{path}{ending}").unlink(missing_ok=True)
    os.replace(part, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
