"""The members of the studies of one PostgreSQL schema: who joined, who lives, who is late; by the server's clock."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from ...core.errors import StoreError
from ...core.store import Member, MemberView
from ._common import busy, displaced
from ._postgres_books import Books, array, locked, own, vanished
from ._postgres_lifeline import Lifeline
from ._postgres_link import Link
from ._postgres_server import Read, Server, Transaction

GRACE_S = 10.0
"""Seconds that members are given to come back when the server has begun anew; then a free lock means death again."""
CONFIRM_S = 0.25
"""Seconds for which a lock must have been free: a server that goes down ends its sessions one after the other, and
those that are left must not take the others for dead."""


class Place(NamedTuple):
    """A place of a study, and who has or had it, as the query gives it."""

    token: int
    ordinal: int
    note: str
    pid: int
    alone: bool
    joined_unixtime: float
    lease_s: float
    gone: bool
    lives: bool
    silent_s: float

    @property
    def works(self) -> bool:
        """It lives, and is not late."""
        return self.lives and self.silent_s <= self.lease_s


class Members:
    """Joins, buries and judges members. lease_s: silence after which a member's trials may be claimed.
    clock: seconds, instead of the server's (for tests; nobody is given time to come back then).
    """

    def __init__(self, server: Server, books: Books, lease_s: float, clock: Callable[[], float] | None) -> None:
        self._server, self._books = server, books
        self.lease_s = lease_s
        self._clock = clock
        self.line = Lifeline(server)
        server.returned = self._returned
        self._heard: dict[int, float] = {}
        """Token -> when it was last heard of, by this process's clock."""
        self._suspects: dict[int, float] = {}
        """Token -> when its lock was first seen to be free."""
        self._mine: dict[int, Member] = {}
        """Members that joined through this object."""

    def places_read(self, study: int) -> Read:
        """The query for all places of a study."""
        return "list_members", {
            "study": study, "space": self._server.space, "grace": 0.0 if self._clock else GRACE_S, "now": self._now(),
        }  # fmt: skip

    def judged(self, rows: Sequence[Any]) -> list[Place]:
        """All places of a study, from the rows of their query; who is dead is so beyond doubt."""
        places, now, wait = [], time.monotonic(), 0.0 if self._clock else CONFIRM_S
        own = set() if self._clock else set(self.line.held)
        for item in (Place(*row) for row in rows):
            if item.lives or item.gone:
                self._suspects.pop(item.token, None)
            elif item.token in own:
                item = item._replace(lives=True)  # its lock is being taken again this moment
            elif now - self._suspects.setdefault(item.token, now) < wait:
                item = item._replace(lives=True)
            places.append(item)
        return places

    def _look_twice(self, study: int) -> None:
        """Give those time whose locks are seen to be free for the first time."""
        name, values = self.places_read(study)
        rows = self._server.read(lambda link: link.rows(name, **values))
        self.judged(rows)
        if not self._clock and any(row[0] in self._suspects for row in rows):
            time.sleep(CONFIRM_S)

    def join(self, study: int, note: str, alone: bool, place: int | None) -> Member:
        """See `Store.join`. Buries the dead ones."""
        self._server.read(self.line.ready)
        self._look_twice(study)
        tried: list[int] = []
        reads: list[Read] = [locked(study), ("next_token", {}), self.places_read(study)]

        def work(transaction: Transaction) -> Member:
            if not transaction.rows["lock_counter"]:
                raise vanished(self._server.where, study)
            token = int(transaction.rows["next_token"][0][0])
            places = self.judged(transaction.rows["list_members"])
            living = {item.ordinal: item for item in places if item.lives}
            for item in living.values():
                if alone or item.alone:
                    raise busy(self._server.where, item.note, item.pid, item.joined_unixtime, item.alone)
            ordinal = next(i for i in range(len(living) + 1) if i not in living)
            if place is not None and place not in living:
                ordinal = place
            former = next((item.token for item in places if item.ordinal == ordinal), 0)
            tried.append(token)
            self.line.hold(token)  # before anybody can see it
            self.bury_dead(transaction)
            transaction.later(
                "take_place", token=token, study=study, ordinal=ordinal, note=note, pid=os.getpid(), alone=alone,
                lease=self.lease_s, now=self._now(),
            )  # fmt: skip
            return Member(study, ordinal, token, former)

        member = None
        try:
            member = self._server.write(reads, work)
        finally:
            self.line.let_go(token for token in tried if member is None or token != member.token)
        self._heard[member.token] = time.monotonic()
        self._mine[member.token] = member
        return member

    def beat(self, member: Member) -> None:
        """See `Store.beat`. Over the session that holds the lock, where it can be."""
        values = {"token": member.token, "now": self._now()}
        rows = self.line.run("beat", **values) if member.token in self.line.held else None
        if rows is None:
            rows = self._server.do(("beat", values))[0].rows
            self.line.restore()
        if not rows:
            self.forget([member.token])
            raise displaced(self._server.where, member)
        if member.token in self._heard:
            self._heard[member.token] = time.monotonic()

    def check(self, rows: dict[str, list[Any]], member: Member | None) -> None:
        """Raises Displaced if `member` is not there any more, by what the read "has_member" gave."""
        if member is not None and not rows["has_member"]:
            raise displaced(self._server.where, member)

    def said(self, transaction: Transaction, member: Member | None) -> None:
        """It said something: now and then that is as good as a beat."""
        if member is None or member.token not in self._heard:
            return
        if self._clock or time.monotonic() - self._heard[member.token] > self.lease_s / 8:
            transaction.later("beat", token=member.token, now=self._now())
            self._heard[member.token] = time.monotonic()

    def leave(self, member: Member) -> None:
        """See `Store.leave`. What it has open belongs to nobody from now on; nothing is lost, so the attempts stay."""
        study, token = member.study, member.token
        owned = {"study": study, "owners": array([token]), "numbers": None, "most": None}
        reads: list[Read] = [locked(study), ("has_member", {"token": token}), ("owned_trials", owned)]

        def work(transaction: Transaction) -> None:
            if not transaction.rows["lock_counter"] or not transaction.rows["has_member"]:
                return
            transaction.later("bury", tokens=array([token]))
            rows = transaction.rows["owned_trials"]
            if rows:
                counter = self._books.counter(transaction, study)
                counter.version += 1
                own(transaction, counter, None, [(row[0], row[6]) for row in rows])
                self._books.keep(transaction, counter)

        self._server.write(reads, work)
        self.forget([token])

    def forget(self, tokens: Sequence[int]) -> None:
        """Free their locks."""
        for token in tokens:
            self._heard.pop(token, None)
            self._mine.pop(token, None)
        self.line.let_go(tokens)

    def bury_dead(self, transaction: Transaction) -> None:
        """Note that the dead ones are dead, by the transaction's read of all places."""
        places = self.judged(transaction.rows["list_members"])
        transaction.later("bury", tokens=array(item.token for item in places if not item.gone and not item.lives))

    def close(self) -> None:
        """Everybody who joined through this object, in this process, leaves."""
        mine = [self._mine[token] for token in self.line.held if token in self._mine]
        if mine and not self._server.closed:
            self._server.patience_s = 0.0  # who goes does not wait
            with suppress(StoreError), warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                for member in mine:
                    self.leave(member)
        self.line.close()

    def views(self, link: Link, study: int) -> list[MemberView]:
        """See `Store.members`."""
        owned = dict(link.rows("count_open", study=study))
        name, values = self.places_read(study)
        places = [Place(*row) for row in link.rows(name, **values)]
        return [
            MemberView(
                item.ordinal, item.token, item.note, item.alone, item.lives, item.silent_s > item.lease_s,
                item.silent_s, owned.get(item.token, 0),
            )
            for item in places
            if not item.gone
        ]  # fmt: skip

    def clock(self, transaction: Transaction) -> float:
        """What time it is, in a transaction that begins with `locked`: the server's."""
        return self._clock() if self._clock else float(transaction.rows["lock_counter"][0][6])

    def _now(self) -> float | None:
        return self._clock() if self._clock else None

    def _returned(self) -> None:
        self.line.restore()
