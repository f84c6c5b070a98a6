"""One session of a PostgreSQL server: set up as the store needs it, closed by nobody but the process that opened it."""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from ...core.errors import StoreError
from ._postgres_address import Address, cure, library
from ._queries import migrations, queries

if TYPE_CHECKING:
    import psycopg

SCHEMA_VERSION = 2
OLDEST_SERVER = 130_000
KEY = 0x7468616C  # "thal": the first half of the keys of our own advisory locks that belong to no table
_FOLDER = Path(__file__).parent
_SESSION = """
SET search_path TO {schema};
SET client_min_messages TO warning;
SET default_transaction_isolation TO 'read committed';
SET lock_timeout TO 0;
SET statement_timeout TO 0;
SET jit TO off;
SET idle_in_transaction_session_timeout TO '20s';
SET tcp_keepalives_idle TO 10;
SET tcp_keepalives_interval TO 5;
SET tcp_keepalives_count TO 3;
SET tcp_user_timeout TO '25s'
"""
"""A process that is stopped in the middle of a transaction may not keep others waiting for ever, and the server is to
find out within half a minute that a machine is gone."""
_HASTY = "SET synchronous_commit TO off"
_DURABLE = """
SELECT set_config('synchronous_commit', coalesce(nullif(current_setting('synchronous_commit'), 'off'), 'on'), false)
"""
"""Where the server is set to wait for its standbys, too, that stays."""


_QUERIES = "queries_postgres.sql"


class Result(NamedTuple):
    """What a statement gave: its rows, and how many it gave or changed."""

    rows: list[Any]
    changed: int


class Link:
    """A session in `schema`. Not thread-safe.

    after a fork: the child has a copy of the socket, which would keep the session alive after its parent's death, and
    must neither use it nor say good-bye over it. So it is replaced by /dev/null at once.

    Raises:
        psycopg.Error: there is no connection to be had.
        StoreError: the server is too old, or behind a pooler that gives each transaction another session.
    """

    def __init__(self, address: Address, schema: str, full: bool) -> None:
        self._pid = os.getpid()
        self._connection: psycopg.Connection[Any] = _connection_class().connect(
            **address.parameters, autocommit=True, prepare_threshold=3
        )
        _open.add(self)
        try:
            self._text = library().ClientCursor(self._connection)
            self._fast = self._connection.cursor(binary=True)
            info = self._connection.info
            self.version = info.server_version
            if self.version < OLDEST_SERVER:
                raise StoreError(
                    f"{address.shown}: PostgreSQL {OLDEST_SERVER // 10_000} or newer expected, this is "
                    f"{self.version / 10_000:.1f}; upgrade the server"
                )
            setup = _SESSION.format(schema=f'"{schema}"')
            if self.version >= 140_000:  # a session that waits for a lock finds out that its client is dead
                setup += "; SET client_connection_check_interval TO '2s'"
            setup += f"; {_DURABLE if full else _HASTY}"
            self.batch([*setup.split(";"), "SELECT pg_backend_pid()"])
            self.backend = int(self._last[-1].rows[0][0])
            self.pooled = self.backend != info.backend_pid
        except BaseException:
            self.close()
            raise

    @property
    def usable(self) -> bool:
        """Whether this process may use it, and it is not known to be broken."""
        return self._pid == os.getpid() and not self._connection.closed

    @property
    def descriptor(self) -> int:
        """The socket, to be watched: it becomes readable when the server ends the session."""
        return self._connection.fileno()

    def say(self, name: str, /, **values: Any) -> str:
        """A named query with its values, for `batch`."""
        return self._text.mogrify(queries(_QUERIES)[name], values) if values else queries(_QUERIES)[name]

    def batch(self, statements: Sequence[str]) -> list[Result]:
        """Run statements in one round trip; they are not one transaction unless they say so."""
        cursor = self._text
        cursor.execute(";\n".join(statements))
        results = []
        while True:
            results.append(Result(cursor.fetchall() if cursor.description else [], cursor.rowcount))
            if not cursor.nextset():
                break
        self._last = results
        return results

    def rows(self, name: str, /, **values: Any) -> list[Any]:
        """The rows of a named query: prepared by the server, and sent in binary form, for many of them."""
        found: list[Any] = self._fast.execute(queries(_QUERIES)[name], values).fetchall()
        return found

    def settle(self) -> None:
        """Leave no transaction open, whatever happened; a session that cannot be brought to that is closed."""
        if not self.usable:
            return
        status = self._connection.info.transaction_status
        idle, active = 0, 1  # psycopg.pq.TransactionStatus
        if status == idle:
            return
        try:
            if status == active:
                raise library().OperationalError("interrupted")
            self._text.execute("ROLLBACK")
        except library().Error:
            self.close()

    def close(self) -> None:
        """Say good-bye to the server, from the process that opened it. Closing twice is fine."""
        _open.discard(self)
        if self._pid == os.getpid():
            with suppress(library().Error):
                self._connection.close()

    def abandon(self) -> None:
        """In a forked child: let go of the socket, without a word."""
        with suppress(library().Error, OSError):
            void = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            try:
                os.dup2(void, self._connection.fileno(), inheritable=False)
            finally:
                os.close(void)
        _left.append(self._connection)


_open: weakref.WeakSet[Link] = weakref.WeakSet()
_left: list[Any] = []
"""In a forked child: sessions of its parent, kept as they are to the end."""


def _after_fork() -> None:
    for link in list(_open):
        link.abandon()
    _open.clear()


os.register_at_fork(after_in_child=_after_fork)


@cache
def _connection_class() -> Any:
    class Connection(library().Connection):  # type: ignore[misc]  # a class of a library that is loaded late
        """A connection that may be dropped: its store closes it, a forked child leaves it alone."""

        def __del__(self) -> None:
            pass

    return Connection


def prepare(link: Link, address: Address, schema: str) -> None:
    """Bring the schema to the newest form, making it if it is not there. Racing processes wait for each other.

    Raises:
        StoreError: it is from a newer version, or of another program.
    """
    version = _version(link, schema)
    if version == SCHEMA_VERSION:
        return
    # Locked before the transaction begins: inside it, the server might still believe what it knew of names before.
    lock = f"({KEY}, {crc32(schema.encode()) - 2**31})"
    link.batch([f"SELECT pg_advisory_lock{lock}"])
    link.batch(["BEGIN"])
    try:
        version = _version(link, schema)
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{address.shown}: schema {schema!r} was written by a newer thalweg (version {version}; this one "
                f"knows up to {SCHEMA_VERSION}); upgrade: pip install -U thalweg"
            )
        if version == 0:
            _make(link, schema)
        else:
            _migrate(link, address, schema, version)
        link.batch(["COMMIT", f"SELECT pg_advisory_unlock{lock}"])
    except BaseException:
        link.close()  # which frees the lock
        raise


def _version(link: Link, schema: str) -> int:
    """The version of the schema; 0 where there is nothing of ours."""
    if not link.rows("find_store", schema=schema):
        return 0
    rows = link.rows("get_version")
    if len(rows) != 1:
        raise StoreError(f"schema {schema!r} holds a table 'store' that is not ours; {cure('already exists')}")
    return int(rows[0][0])


def _make(link: Link, schema: str) -> None:
    if not link.rows("find_schema", name=schema):
        link.batch([f'CREATE SCHEMA "{schema}"'])
    script = (_FOLDER / "schema_postgres.sql").read_text(encoding="utf-8")
    link.batch([script, link.say("add_version", version=SCHEMA_VERSION)])


def _migrate(link: Link, address: Address, schema: str, version: int) -> None:
    scripts = migrations(_FOLDER / "migrations_postgres")
    steps = range(version + 1, SCHEMA_VERSION + 1)
    missing = [step for step in steps if step not in scripts]
    if missing:
        raise StoreError(
            f"{address.shown}: no migration of schema {schema!r} to version {missing}; reinstall thalweg, its "
            f"migrations are incomplete"
        )
    link.batch([*(scripts[step] for step in steps), link.say("set_version", version=SCHEMA_VERSION)])
