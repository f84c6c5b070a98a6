"""Calls on a PostgreSQL server that may go away and come back: each happens once, or raises.

A transaction is two round trips: one that locks the study and reads, one that writes and commits, so that the lock is
held as shortly as can be. When the connection is lost, the call waits for the server and is made again. Whether it had
happened already, and only its acknowledgement was lost, the database itself says: each transaction begins by writing
the number of its call into this object's row of the table `writer`.
"""

from __future__ import annotations

import os
import random
import secrets
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ...core.errors import StoreError
from ._postgres_address import DEFINITE, STARTING, Address, library, translated
from ._postgres_link import Link, Result, prepare

T = TypeVar("T")

Read = tuple[str, dict[str, Any]]
"""A named query and its values."""

CONFLICTS = 20
"""How often a transaction is made again that the server ended because of another one (deadlock, serialization)."""
PAUSE_S = (0.05, 2.0)
"""Seconds between two tries to reach the server: the first, and the most."""
_ENDED = ("57P01", "57P02", "57P03", "57P05", "25P03", "25P04")
"""Errors with which the server ends a session: it was told to, it crashed, or it waited too long for us."""


class Transaction:
    """What a write works with. rows: what the reads that it asked for gave, by the name of the query.
    `later`: what is written together with the commit."""

    def __init__(self, link: Link, rows: dict[str, list[Any]]) -> None:
        self.rows = rows
        self.statements: list[str] = []
        self._link = link

    def later(self, name: str, /, **values: Any) -> None:
        """Run a named query when everything has been thought of."""
        self.statements.append(self._link.say(name, **values))

    def now(self, name: str, /, **values: Any) -> list[Any]:
        """Run a named query now, inside the transaction: for what depends on what it gives."""
        return self._link.batch([self._link.say(name, **values)])[0].rows


class Server:
    """A schema of a database. Thread-safe; a forked child gets a connection of its own.

    full: what is acknowledged survives a crash of the server.  patience_s: how long a call waits for a server that went
    away.  returned: called when the server is there again after it was away, before anything else is asked of it.

    Raises:
        StoreError: it cannot be used; the message says why and what to do.
    """

    def __init__(self, address: Address, schema: str, full: bool, patience_s: float) -> None:
        self.address, self.schema, self.full, self.patience_s = address, schema, full, patience_s
        self.returned: Callable[[], None] = lambda: None
        self.closed = False
        self.space = 0
        """The first half of the keys of members' locks, as pg_locks shows it."""
        self._link: Link | None = None
        self._lost = ""
        self._warned_at = 0.0
        self._renew()
        _servers.add(self)
        with self._lock:
            self._persist(self._here, first=True)

    def _renew(self) -> None:
        self._lock = threading.RLock()
        self._writer = secrets.randbits(62)
        self._call = self._known = 0
        self._connected = False
        self._answer: Any = None

    def begin_anew(self) -> None:
        """In a forked child: nothing of the parent's calls is this process's."""
        self._link = None
        self._renew()

    @property
    def where(self) -> str:
        """The address, without passwords."""
        return self.address.shown

    # --- calls ----------------------------------------------------------------------------------------------------

    def read(self, work: Callable[[Link], T], together: bool = False) -> T:
        """What `work` finds. together: all its queries see one moment."""

        def attempt() -> T:
            link = self._here()
            if not together:
                return work(link)
            link.batch(["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"])
            try:
                return work(link)
            finally:
                link.settle()

        with self._lock:
            return self._persist(attempt)

    def write(self, reads: Sequence[Read], work: Callable[[Transaction], T]) -> T:
        """A transaction that happens once: `reads` first, then `work`, which may be called again with what they give
        after trouble, then what it said is to be written `later`."""
        with self._lock:
            self._call += 1
            return self._persist(lambda: self._write(reads, work))

    def _write(self, reads: Sequence[Read], work: Callable[[Transaction], T]) -> T:
        link = self._here()
        try:
            said = link.say("say_call", writer=self._writer, call=self._call)
            results = link.batch(["BEGIN", said, *(link.say(name, **values) for name, values in reads)])
            if not results[1].changed:  # it had happened: only its acknowledgement was lost
                link.batch(["ROLLBACK"])
                answer: T = self._answer
            else:
                names = (name for name, _ in reads)
                rows = (result.rows for result in results[2:])
                transaction = Transaction(link, dict(zip(names, rows, strict=True)))
                self._answer = answer = work(transaction)
                link.batch([*transaction.statements, "COMMIT"])
        finally:
            link.settle()
        self._known = self._call
        return answer

    def do(self, *statements: Read) -> list[Result]:
        """A transaction that may happen twice, or be forgotten by a server that crashes, without harm."""

        def attempt() -> list[Result]:
            link = self._here()
            try:
                said = [link.say(name, **values) for name, values in statements]
                return link.batch(["BEGIN", "SET LOCAL synchronous_commit TO off", *said, "COMMIT"])[2:-1]
            finally:
                link.settle()

        with self._lock:
            return self._persist(attempt)

    def close(self) -> None:
        """Say good-bye. Closing twice is fine."""
        with self._lock:
            link, self._link = self._link, None
            if link is not None and link.usable and not self.closed:
                try:
                    if self._known:
                        link.batch([link.say("end_writer", writer=self._writer)])
                except library().Error:
                    pass  # its row goes in time
                link.close()
            self.closed = True

    # --- the connection -------------------------------------------------------------------------------------------

    def connect(self, full: bool) -> Link:
        """A new session, of the caller's own."""
        return Link(self.address, self.schema, full)

    def _here(self) -> Link:
        if self.closed:
            raise StoreError(f"{self.where}: this store is closed; open it again with open_store")
        if self._lost:
            raise StoreError(self._lost)
        if self._link is not None and self._link.usable:
            return self._link
        self._link = None
        link = self.connect(self.full)
        try:
            prepare(link, self.address, self.schema)
            link.batch(["BEGIN", "SET LOCAL synchronous_commit TO off", link.say("say_awake"), "COMMIT"])
            self.space = int(link.rows("lock_space")[0][0])
            self._check_memory(link)
        except BaseException:
            link.close()
            raise
        self._link = link
        if self._connected:  # members' locks come before anything else: who is heard of without one is dead
            self.returned()
        self._connected = True
        return link

    def _check_memory(self, link: Link) -> None:
        """What was acknowledged to this object must be known to the server still."""
        if not self._known:
            return
        rows = link.rows("get_call", writer=self._writer)
        if not rows or rows[0][0] < self._known:
            self._lost = (
                f"{self.where}: the server has forgotten work that it had acknowledged (it crashed and durability is "
                f"'fast', or it was restored from a backup, or another server took over too early); end this process "
                f"and start it again, it goes on with what is there"
            )
            raise StoreError(self._lost)

    def _persist(self, attempt: Callable[[], T], first: bool = False) -> T:
        """Make `attempt` until it succeeds, or fails for a reason that waiting does not cure."""
        psycopg = library()
        since, pause, conflicts = 0.0, PAUSE_S[0], 0
        while True:
            try:
                return attempt()
            except psycopg.Error as error:
                if error.sqlstate in _ENDED and self._link is not None:
                    self._link.close()
                if error.sqlstate in ("40001", "40P01") and conflicts < CONFLICTS:
                    conflicts += 1
                    time.sleep(random.random() * 0.01 * conflicts)
                    continue
                if not self._may_return(error, first and not since):
                    raise translated(error, self.address) from None
                now = time.monotonic()
                since = since or now
                if now - since > self.patience_s:
                    raise StoreError(
                        f"{translated(error, self.address)} (waited for {self.patience_s:g} s; nothing that was "
                        f"acknowledged is lost)"
                    ) from None
                self._warn(error, now)
            time.sleep(pause * (0.5 + random.random()))
            pause = min(2 * pause, PAUSE_S[1])

    def _may_return(self, error: Exception, first: bool) -> bool:
        """Whether the server is away, not that the statement failed: such errors have no code of SQL's."""
        psycopg = library()
        code = getattr(error, "sqlstate", None)
        if not isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
            return False
        if code is not None and not code.startswith("08") and code not in _ENDED:
            return False
        if first:
            return bool(STARTING.search(str(error)))
        return bool(STARTING.search(str(error))) or not DEFINITE.search(str(error))

    def _warn(self, error: Exception, now: float) -> None:
        if now - self._warned_at > self.patience_s or not self._warned_at:
            self._warned_at = now
            text = " ".join(self.address.hide(str(error)).split())
            warnings.warn(
                f"{self.where}: the server is away ({text}); waiting for it, up to {self.patience_s:g} s",
                RuntimeWarning,
                stacklevel=2,
            )


_servers: weakref.WeakSet[Server] = weakref.WeakSet()


def _after_fork() -> None:
    for server in list(_servers):
        server.begin_anew()


os.register_at_fork(after_in_child=_after_fork)
