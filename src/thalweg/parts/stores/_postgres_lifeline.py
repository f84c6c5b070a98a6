"""The session whose advisory locks say that this process lives.

The server frees the locks of a session when its client is gone, however it went: at once when the process ends, after
half a minute of silence when its machine or the network does. So this session does nothing else: it never waits for
anything in which a death could go unnoticed. When it is lost although the process lives (the server was restarted), a
thread that watches its socket opens another one and takes the locks again, within a second or two.
"""

from __future__ import annotations

import os
import random
import select
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from ...core.errors import StoreError
from ._postgres_address import library
from ._postgres_link import Link
from ._postgres_server import PAUSE_S, Server

_WATCH_MS = 1_000
_TRIES = 50


class Lifeline:
    """Locks of members, by their tokens. Thread-safe; a forked child holds none."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._renew()
        _lifelines.add(self)

    def _renew(self) -> None:
        self._lock = threading.RLock()
        self._held: set[int] = set()
        self._link: Link | None = None
        self._pause = PAUSE_S[0]
        self._watcher: threading.Thread | None = None

    @property
    def held(self) -> list[int]:
        """The tokens of this process's members."""
        return sorted(self._held)

    def ready(self, beside: Link) -> None:
        """See that there is a session for the locks, while the session `beside` does nothing.

        Raises:
            psycopg.Error: the server cannot be reached for that.
            StoreError: both are one and the same: a pooler hands sessions from transaction to transaction.
        """
        with self._lock:
            if self._link is None or not self._link.usable:
                self._connect()
            if self._link is not None and self._link.pooled and self._link.backend == beside.backend:
                raise StoreError(
                    f"{self._server.where}: a connection pooler stands before the server and gives every transaction "
                    f"another session, where no lock can be kept; set pool_mode = session, or connect to the "
                    f"server itself"
                )

    def hold(self, token: int) -> None:
        """Lock `token` until `let_go`, or the end of this process.

        Raises:
            psycopg.Error: the server cannot be reached for that.
        """
        with self._lock:
            self._held.add(token)
            try:
                if self._link is not None and self._link.usable:
                    self._take(self._link, token)
                else:
                    self._connect()
            except BaseException:
                self._held.discard(token)
                raise
            self._watch()

    def let_go(self, tokens: Iterable[int]) -> None:
        """Free these locks; nothing happens to those that are not held."""
        with self._lock:
            mine = self._held.intersection(tokens)
            self._held -= mine
            if self._link is None or not self._link.usable:
                return
            try:
                for token in mine:
                    self._link.batch([self._link.say("free_lock", **self._key(token))])
            except library().Error:
                self._link.close()  # which frees them
                if self._held:
                    self.restore()

    def run(self, name: str, /, **values: Any) -> list[Any] | None:
        """The rows of a query on this session, which shows that it is there; None if it is not."""
        with self._lock:
            link = self._link
            if link is None or not link.usable:
                return None
            try:
                return link.batch([link.say(name, **values)])[0].rows
            except library().Error:
                link.close()
                return None

    def restore(self) -> bool:
        """Take the locks again, if their session is gone. False: the server cannot be reached now."""
        with self._lock:
            if not self._held or self._server.closed:
                return True
            try:
                if self._link is not None and self._link.usable:
                    self._link.batch(["SELECT 1"])
                else:
                    self._connect()
            except (library().Error, StoreError):
                if self._link is not None:
                    self._link.close()
                return False
            return True

    def close(self) -> None:
        """Free every lock."""
        with self._lock:
            self._held.clear()
            if self._link is not None:
                self._link.close()
            self._link = None

    def begin_anew(self) -> None:
        """In a forked child: the members are the parent's."""
        self._renew()

    # --- inside the lock ------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        link = self._server.connect(full=False)
        try:
            for token in sorted(self._held):
                self._take(link, token)
        except BaseException:
            link.close()
            raise
        self._link = link

    def _take(self, link: Link, token: int) -> None:
        values = self._key(token)
        shown = {"space": self._server.space, "token": token & 0xFFFFFFFF}
        for _ in range(_TRIES):
            if link.batch([link.say("take_lock", **values)])[0].rows[0][0]:
                return
            link.batch([link.say("end_holder", **shown)])
            time.sleep(0.02)
        raise library().OperationalError("another session holds the lock of this member, and does not end")

    def _key(self, token: int) -> dict[str, int]:
        return {"space": _signed(self._server.space), "token": _signed(token)}

    # --- watching -------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        if self._watcher is None or not self._watcher.is_alive():
            target = _watcher(weakref.ref(self))
            self._watcher = threading.Thread(target=target, name="thalweg-lifeline", daemon=True)
            self._watcher.start()

    def look(self) -> bool:
        """Wait a while for a sign that the session is gone, and repair it. False: there is nothing left to watch."""
        with self._lock:
            if not self._held:
                self._watcher = None
                return False
            link = self._link
        if link is not None and link.usable:
            poll = select.poll()
            try:
                poll.register(link.descriptor, select.POLLIN)
            except (library().Error, OSError, ValueError):
                pass  # it was closed this moment
            else:
                if not poll.poll(_WATCH_MS):
                    return True
        there = self.restore()
        self._pause = PAUSE_S[0] if there else min(2 * self._pause, PAUSE_S[1])
        time.sleep(0.01 if there else self._pause * (0.5 + random.random()))
        return True


def _watcher(of: Callable[[], Lifeline | None]) -> Callable[[], None]:
    """What the thread does: it must not keep the store alive."""

    def watch() -> None:
        while True:
            lifeline = of()
            if lifeline is None or not lifeline.look():
                return
            del lifeline

    return watch


def _signed(value: int) -> int:
    """The lowest 32 bits as the signed number that the functions of the server want."""
    return ((value & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000


_lifelines: weakref.WeakSet[Lifeline] = weakref.WeakSet()


def _after_fork() -> None:
    for lifeline in list(_lifelines):
        lifeline.begin_anew()


os.register_at_fork(after_in_child=_after_fork)
