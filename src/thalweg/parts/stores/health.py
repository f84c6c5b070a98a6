"""An examination of a store: where it is, whether it is whole, how its studies stand, who works on them."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.address import redacted
from ...core.batch import Status
from ...core.errors import StoreError
from ...core.finding import Finding

if TYPE_CHECKING:
    from ...core.store import Store

_SHOWN = 12  # lines of damage
_LARGE_WAL = 64 * 2**20  # the store cuts it at 16 MiB, unless a reader stays for long
_ROOM = 256 * 2**20
_RESET_BUG = ((3, 7, 0), (3, 51, 2))
_RESET_FIXED = {(3, 44): 6, (3, 50): 7}  # patch levels with the fix taken back


def examine(address: str) -> list[Finding]:
    """Everything about the store at `address` (a path, sqlite:///..., postgresql://...). Nothing is changed in it; a
    file of an older schema is not opened, because opening it would bring it up to date."""
    found = [sqlite_library()]
    try:
        if "://" in address and not address.startswith("sqlite:///"):
            return found + list(_opened(address))
        path = Path(os.path.realpath(Path(address.removeprefix("sqlite:///")).expanduser()))
        found += _place(path)
        if any(finding.level == "problem" for finding in found):
            return found
        found += _file(path)
        if not any(finding.topic == "schema" and finding.level != "ok" for finding in found):
            found += _opened(str(path))
    except StoreError as error:
        found.append(Finding("problem", "store", redacted(str(error))))
    return found


def sqlite_library() -> Finding:
    """The SQLite library that stores go through. Versions with the WAL-reset bug damage files where several processes
    write (https://www.sqlite.org/wal.html#walresetbug)."""
    import apsw

    text = apsw.sqlite_lib_version()
    if has_reset_bug(text):
        cure = "pip install -U apsw: this version can damage a file that several processes write"
        return Finding("problem", "sqlite", f"SQLite {text} (apsw {apsw.apsw_version()})", cure)
    return Finding("ok", "sqlite", f"SQLite {text} (apsw {apsw.apsw_version()})")


def has_reset_bug(version: str) -> bool:
    """Whether an SQLite version is in the range of the WAL-reset bug."""
    number = tuple(int(part) for part in version.split(".")[:3])
    first, last = _RESET_BUG
    return first <= number <= last and not (
        number[:2] in _RESET_FIXED and number[2] >= _RESET_FIXED[number[0], number[1]]
    )


def _place(path: Path) -> Iterator[Finding]:
    from ._place import _REMOTE, file_system

    if path.is_dir():
        yield Finding("problem", "store", f"{path} is a directory", "give the path of the store's file")
        return
    if not path.is_file():
        yield Finding("problem", "store", f"there is no file {path}", "look for *.db: find . -name '*.db'")
        return
    kind = file_system(path.parent) or "unknown"
    if kind in _REMOTE or kind.partition(".")[0] == "fuse":
        cure = "move the store to a local disk: its locks do not hold here"
        yield Finding("problem", "file system", f"{path.parent} is on a network file system ({kind})", cure)
    elif kind in ("tmpfs", "ramfs"):
        yield Finding("note", "file system", f"{kind}: in memory", "a restart of the machine empties it")
    else:
        yield Finding("ok", "file system", f"{kind}, local")
    if not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.W_OK):
        yield Finding("problem", "store", f"{path} or its folder is not writable", f"chown -R $USER {path.parent}")
    stat = os.statvfs(path.parent)
    free = stat.f_bavail * stat.f_frsize
    text = f"{free / 2**20:,.0f} MiB free beside the store"
    if free < max(_ROOM, 2 * path.stat().st_size):
        yield Finding("note", "space", text, "free some: a full disk stops a run (nothing recorded is lost)")
    else:
        yield Finding("ok", "space", text)


def _file(path: Path) -> Iterator[Finding]:
    """What can be seen without opening it as a database."""
    from ._database import APPLICATION_ID, SCHEMA_VERSION
    from .repair import users_of

    size = path.stat().st_size
    wal = Path(f"{path}-wal")
    wal_size = wal.stat().st_size if wal.is_file() else 0
    users = users_of(path)  # before it is opened here
    if size == 0 and not wal_size:
        yield Finding("problem", "schema", f"{path} is empty", "delete it, and the next run makes a new one")
        return
    yield Finding("ok", "size", f"{size:,} bytes; write-ahead log {wal_size:,} bytes")
    if wal_size > _LARGE_WAL:
        yield Finding("note", "size", "the write-ahead log is large", "some process reads for long; close it")
    with open(path, "rb") as file:
        head = file.read(100)
    version, application = int.from_bytes(head[60:64], "big"), int.from_bytes(head[68:72], "big")
    if not head.startswith(b"SQLite format 3\0"):
        cure = f"if it was a store: thalweg repair {path}"
        yield Finding("problem", "schema", f"{path} does not begin as an SQLite file does", cure)
    elif application != APPLICATION_ID and not wal_size:
        yield Finding("problem", "schema", f"{path} is not marked as a store", f"if it was one: thalweg repair {path}")
    elif version > SCHEMA_VERSION:
        yield Finding("problem", "schema", f"version {version}, from a newer thalweg", "pip install -U thalweg")
    elif version < SCHEMA_VERSION and not wal_size:
        yield Finding("note", "schema", f"version {version} of {SCHEMA_VERSION}", "the next run brings it up to date")
    else:
        yield Finding("ok", "schema", f"version {version}")
    told = f"open in process {', '.join(str(user) for user in users if user)}" if any(users) else "not in use"
    yield Finding("ok", "users", told)


def _opened(address: str) -> Iterator[Finding]:
    from . import open_store

    store = open_store(address)
    try:
        began = time.perf_counter()
        wrong: list[str] = store.verify() if hasattr(store, "verify") else []
        took = time.perf_counter() - began
        salvage = f"thalweg repair {address}" if "://" not in address else "restore these rows from a backup"
        for line in wrong[:_SHOWN]:
            yield Finding("problem", "damage", line, salvage)
        if len(wrong) > _SHOWN:
            yield Finding("problem", "damage", f"and {len(wrong) - _SHOWN} more", salvage)
        if not wrong:
            yield Finding("ok", "checksums", f"every row is as it was written (looked at in {took:.1f} s)")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of damage, which is told above
            for name in store.names():
                yield from _study(store, name)
    finally:
        store.close()


def _study(store: Store, name: str) -> Iterator[Finding]:
    try:
        study = store.open(name).id
        standing = store.standing(study)
        members = store.members(study)
        trials, _ = store.since(study)
    except StoreError as error:
        yield Finding("problem", "study", f"{name}: {redacted(str(error))}")
        return
    topic = f"study {name}"
    alive = {member.token for member in members if member.alive}
    waiting = [trial for trial in trials if trial.status < Status.DONE]
    lost = sum(trial.owner is not None and trial.owner not in alive for trial in waiting)
    queued = sum(trial.owner is None for trial in waiting)
    limit = "no budget" if standing.budget is None else f"{standing.used} of {standing.budget} used"
    failed = sum(trial.status == Status.FAILED for trial in trials)
    text = f"{len(trials) - len(waiting)} ended ({failed} failed), {len(waiting)} open ({queued} queued), {limit}"
    yield Finding("ok", topic, text)
    if lost:
        cure = "nothing: who works on the study next takes them over"
        yield Finding("note", topic, f"{lost} trials of members that died", cure)
    if queued and not alive:
        yield Finding("note", topic, f"{queued} trials wait, and nobody is there", f"thalweg worker ... --name {name}")
    for member in members:
        state = "dead" if not member.alive else "late" if member.late else "alive"
        told = f"member {member.ordinal} ({redacted(member.note)}): {state}, heard {member.silent_s:.0f} s ago"
        told += f", {member.open_trials} open trials" + ", alone" * member.alone
        if state == "late":
            yield Finding("note", topic, told, "its process stands still; others take over its trials")
        else:
            yield Finding("ok" if state == "alive" else "note", topic, told)
