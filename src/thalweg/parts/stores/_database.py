"""One SQLite file: a connection per process, writers in a fair queue, a WAL that stays small.

Writers wait on a blocking flock of a side file before BEGIN IMMEDIATE. Against SQLite's own busy handler this is faster
and fair (eight processes on one file: longest wait 0.15 s instead of 4 s, and nobody starves), and the kernel drops the
lock when a process dies. Readers never wait. Only one SQLite library (apsw's, which has no WAL-reset bug) may have the
file open in a process: closing a file in another one drops this one's locks.

Nor may a connection live through a fork, not even unused: SQLite keeps a list of locks per process, the child's copy
says that it holds what only the parent holds, and a new connection of the child then writes without any lock (three
writers forked beside an idle connection damaged a file within a second). So every connection is closed before os.fork,
and parent and child open their own when they need one.
"""

from __future__ import annotations

import fcntl
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from ...core.errors import StoreError
from ._place import check_place, open_gate
from ._queries import migrations, schema
from ._rows import crc_of, spec_line, study_crc

if TYPE_CHECKING:
    import apsw

T = TypeVar("T")

APPLICATION_ID = 0x7468616C  # "thal": what file(1) and we recognise our files by
SCHEMA_VERSION = 3
BUSY_MS = 10_000
CHECKPOINT_PAGES = 2_000  # 8 MB: carry the WAL over into the file, while others write
TRUNCATE_PAGES = 4_000  # 16 MB: others kept it from starting anew; make them wait
TRUNCATE_WAIT_MS = 200  # for readers to let go; at most once in CHECKPOINT_PAGES / 2 pages

_living: weakref.WeakSet[Database] = weakref.WeakSet()


class Database:
    """A file with our schema. Thread-safe; usable after a fork (the child gets a connection of its own).

    full: a durable transaction survives a power cut, not only the death of processes.
    vfs: the name of an apsw VFS to go through (fault injection), or None.
    """

    def __init__(self, path: str | os.PathLike[str], full: bool = True, vfs: str | None = None) -> None:
        self.path = check_place(path)
        self.full = full
        self.vfs = vfs
        self._connection: apsw.Connection | None = None
        self._closed = False
        self._gate = -1
        self._lock = threading.RLock()
        self._queueing = threading.Lock()
        self._jobs: list[_Job[Any]] = []
        self._connect()
        _living.add(self)

    def _connect(self) -> apsw.Connection:
        import apsw

        self._pid = os.getpid()
        self._wal = _Wal()
        self._synchronous = ""
        self._gate = open_gate(self.path)
        connection = None
        try:
            with self._alone():
                # Not made here: a file that vanished is an error, not an empty store.
                connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=self.vfs)
                self._prepare(connection)
        except BaseException:
            if connection is not None:
                with suppress(apsw.Error):
                    connection.close()
            self._close_gate()
            raise
        self._connection = connection
        return connection

    def _prepare(self, connection: apsw.Connection) -> None:
        """Look before touching: a file of somebody else's, or of a newer version, is left as it is."""
        connection.set_busy_timeout(BUSY_MS)
        version = check_version(connection, self.path)
        if connection.pragma("journal_mode", "wal") != "wal":
            raise StoreError(f"{self.path}: this file system cannot do write-ahead logging; keep it on a local disk")
        connection.pragma("journal_size_limit", TRUNCATE_PAGES * 4096)
        connection.pragma("foreign_keys", False)  # rows are removed by hand, together
        connection.pragma("synchronous", "FULL")
        if version == 0:
            run_script(connection, schema(), SCHEMA_VERSION)
        elif version < SCHEMA_VERSION:
            migrate(connection, self.path, version, migrations(), SCHEMA_VERSION)
        connection.pragma("synchronous", "NORMAL")
        self._synchronous = "NORMAL"
        connection.set_wal_hook(self._wal.count)  # instead of automatic checkpoints, whose errors hit a good commit

    @contextmanager
    def writing(self, durable: bool) -> Iterator[apsw.Connection]:
        """A transaction that may write: all of it happens, or none. durable: on the disk before it is acknowledged."""
        level = "FULL" if durable and self.full else "NORMAL"
        with self._lock:
            connection = self._here()
            self._line_up()
            try:
                if self._synchronous != level:
                    connection.pragma("synchronous", level)
                    self._synchronous = level
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    _roll_back(connection)
                    raise
                if self._wal.pages >= max(self._wal.due, TRUNCATE_PAGES):
                    self._checkpoint(connection)
            except Exception as error:
                _raise_ours(self.path, error)
                raise
            finally:
                fcntl.flock(self._gate, fcntl.LOCK_UN)
            if self._wal.pages >= self._wal.due:  # others may write meanwhile: it syncs twice
                self._checkpoint(connection)

    def together(self, work: Callable[[apsw.Connection], T]) -> T:
        """What `work` gives, done in a durable transaction, perhaps together with that of other threads.

        A sync takes milliseconds, in which others come and wait; whoever is next does the work of all who wait by then,
        with one sync for all. They hear of it when it is on the disk. If anything goes wrong, each does its own again.
        """
        job: _Job[T] = _Job(work)
        with self._queueing:
            self._jobs.append(job)
        with self._lock:
            if not job.done and not job.again:
                with self._queueing:
                    jobs, self._jobs = self._jobs, []
                self._do_all(jobs)
            if not job.done:
                with self.writing(durable=True) as connection:
                    job.value = job.work(connection)
        return cast("T", job.value)

    def _do_all(self, jobs: list[_Job[Any]]) -> None:
        if len(jobs) == 1:
            jobs[0].again = True  # alone anyway
            return
        try:
            with self.writing(durable=True) as connection:
                for job in jobs:
                    job.value = job.work(connection)
        except Exception:
            done = False
        except BaseException:
            for job in jobs:
                job.again = True
            raise
        else:
            done = True
        for job in jobs:
            job.done, job.again = done, not done

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """A transaction that sees one moment of the file."""
        with self._lock:
            connection = self._here()
            try:
                connection.execute("BEGIN")
                yield connection
            except Exception as error:
                _raise_ours(self.path, error)
                raise
            finally:
                _roll_back(connection)

    def _checkpoint(self, connection: apsw.Connection) -> None:
        """The commit stands whatever happens here: what fails, or is held up by a reader, is tried again later."""
        import apsw

        pages = self._wal.pages
        self._wal.due = pages + CHECKPOINT_PAGES // 2  # not at every commit while a reader stays
        with suppress(apsw.Error):
            if pages < TRUNCATE_PAGES:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                return
            connection.set_busy_timeout(TRUNCATE_WAIT_MS)
            try:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)  # its end is cut by journal_size_limit
            finally:
                connection.set_busy_timeout(BUSY_MS)

    def _line_up(self) -> None:
        """Wait until it is this process's turn to write; `flock` it open again afterwards."""
        try:
            fcntl.flock(self._gate, fcntl.LOCK_EX)
        except OSError as error:
            raise StoreError(f"{self.path}-lock: {error.strerror}; writers cannot queue on this file system") from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else writes, opens or closes the file meanwhile."""
        self._line_up()
        try:
            yield
        except Exception as error:
            _raise_ours(self.path, error)
            raise
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def _here(self) -> apsw.Connection:
        if self._closed:
            raise StoreError(f"{self.path}: this store is closed; open it again with open_store")
        if self._connection is None:
            return self._connect()
        if self._pid != os.getpid():
            raise StoreError(
                f"{self.path}: this process was forked behind Python's back while the store was open, and would damage "
                f"the file; open the store after the fork, or fork with os.fork or multiprocessing"
            )
        return self._connection

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self) -> None:
        """Release the file. Closing twice is fine."""
        with self._lock:
            self._let_go()
            self._closed = True

    def _let_go(self) -> None:
        if self._connection is not None and self._pid == os.getpid():
            with self._alone():
                self._connection.close()  # the last one out carries the WAL over
            self._connection = None
        self._close_gate()

    def before_fork(self) -> None:
        """Stand still, with no connection, until `after_fork`."""
        self._lock.acquire()
        if self._connection is not None and not self._connection.in_transaction:
            self._let_go()

    def after_fork(self, child: bool) -> None:
        """Go on, in the parent and in the child, which has none of the threads whose work waits."""
        if child:
            self._jobs = []
            self._queueing = threading.Lock()
        self._lock.release()

    def _close_gate(self) -> None:
        if self._gate >= 0:
            os.close(self._gate)
            self._gate = -1

    def __del__(self) -> None:
        if getattr(self, "_gate", -1) >= 0:
            os.close(self._gate)


class _Job(Generic[T]):
    """Work that waits for a transaction. again: it has to be done by itself."""

    def __init__(self, work: Callable[[apsw.Connection], T]) -> None:
        self.work = work
        self.value: T | None = None
        self.done = False
        self.again = False


class _Wal:
    """How many pages the WAL has, by SQLite. An object apart, or Database and connection would hold each other."""

    pages = 0
    due = 0

    def count(self, _connection: object, _name: str, pages: int) -> int:
        if pages < self.pages or not self.due:  # it began anew
            self.due = CHECKPOINT_PAGES
        self.pages = pages
        return 0


_standing: list[Database] = []


def _before_fork() -> None:
    _standing[:] = list(_living)
    for database in _standing:
        database.before_fork()


def _after_fork(child: bool = False) -> None:
    while _standing:
        _standing.pop().after_fork(child)


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=lambda: _after_fork(child=True))


def _roll_back(connection: apsw.Connection) -> None:
    import apsw

    if connection.in_transaction:
        with suppress(apsw.Error):  # what led here is the error to report
            connection.execute("ROLLBACK")


def check_version(connection: apsw.Connection, path: Path) -> int:
    """The schema version of an opened file; 0 for an empty one.

    Raises:
        StoreError: it is somebody else's, or from a newer version.
    """
    application = connection.pragma("application_id")
    version = int(str(connection.pragma("user_version")))
    if application != APPLICATION_ID:
        if connection.execute("SELECT count(*) FROM sqlite_schema").get or application or version:
            raise StoreError(f"{path} is an SQLite file of another program; give the path of a new file")
        return 0
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer thalweg (schema {version}; this one knows up to {SCHEMA_VERSION}); "
            f"upgrade: pip install -U thalweg"
        )
    return version


def run_script(connection: apsw.Connection, script: str, version: int) -> None:
    """Run `script` and set the version, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(script)
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", version)
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise


def migrate(connection: apsw.Connection, path: Path, version: int, scripts: dict[int, str], newest: int) -> Path:
    """Lead the file from `version` to `newest`, after a copy of it was written; gives the copy's path.

    Raises:
        StoreError: a step is missing. Nothing has changed then.
    """
    import apsw

    steps = range(version + 1, newest + 1)
    missing = [step for step in steps if step not in scripts]
    if missing:
        raise StoreError(f"{path}: no migration to schema {missing}; reinstall thalweg, its migrations are incomplete")
    copy = Path(f"{path}.v{version}-backup")
    if not copy.exists():
        part = Path(f"{copy}.part")
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        target = apsw.Connection(str(part))
        try:
            with target.backup("main", connection, "main") as backup:
                backup.step(-1)
        finally:
            target.close()
        part.rename(copy)
    functions: list[Callable[..., Any]] = [crc_of, spec_line, study_crc]
    for function in functions:
        connection.create_scalar_function(function.__name__, function, deterministic=True)
    run_script(connection, "\n".join(scripts[step] for step in steps), newest)
    return copy


def _raise_ours(path: Path, error: Exception) -> None:
    """Raise SQLite's errors as ours, with a cure; others are none of our business."""
    import apsw

    if isinstance(error, apsw.Error):
        raise StoreError(f"{path}: {error}: {_cure(error).replace('FILE', str(path))}") from error
    if isinstance(error, UnicodeDecodeError):
        raise StoreError(f"{path}: a text in it is damaged ({error.reason}); salvage: thalweg repair {path}") from error


def _cure(error: apsw.Error) -> str:
    import apsw

    cures: list[tuple[type[apsw.Error], str]] = [
        (
            apsw.NotADBError,
            "this is not an SQLite file (any more); give a new path, or salvage it: thalweg repair FILE",
        ),
        (apsw.CorruptError, "the file is damaged; salvage it: thalweg repair FILE"),
        (apsw.FullError, "the disk is full; free some space and resume: what was acknowledged is safe"),
        (apsw.BusyError, f"another program has kept it locked for {BUSY_MS // 1000} s; close that one and resume"),
        (apsw.ReadOnlyError, "the file or its folder is not writable; check its owner and the mount"),
        (apsw.CantOpenError, "it cannot be opened; check the folder's permissions and the number of open files"),
        (apsw.IOError, "the disk reports errors; check it and its space, then resume: what was acknowledged is safe"),
    ]
    return next((text for kind, text in cures if isinstance(error, kind)), "this is unexpected; please report it")
