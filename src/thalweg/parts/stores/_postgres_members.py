"""The members of the studies of one PostgreSQL schema: who joined, who lives, who is late; by the server's clock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from ...core.errors import StoreError
from ...core.store import Member, MemberView
from ._common import busy, displaced
from ._postgres_books import array, locked, vanished
from ._postgres_lifeline import Lifeline
from ._postgres_link import Link
from ._postgres_server import Read, Server, Transaction

GRACE_S = 10.0
"""Seconds that members are given to come back when the server has begun anew; then a free lock means death again."""


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

    def __init__(self, server: Server, lease_s: float, clock: Callable[[], float] | None) -> None:
        self._server = server
        self.lease_s = lease_s
        self._clock = clock
        self.line = Lifeline(server)
        server.returned = self._returned
        self._heard: dict[int, float] = {}
        """Token -> when it was last heard of, by this process's clock."""

    def places_read(self, study: int) -> Read:
        """The query for all places of a study."""
        return "list_members", {
            "study": study, "space": self._server.space, "grace": 0.0 if self._clock else GRACE_S, "now": self._now(),
        }  # fmt: skip

    def join(self, study: int, note: str, alone: bool, place: int | None) -> Member:
        """See `Store.join`. Buries the dead ones."""
        self._server.read(self.line.ready)
        tried: list[int] = []
        reads: list[Read] = [locked(study), ("next_token", {}), self.places_read(study)]

        def work(transaction: Transaction) -> Member:
            if not transaction.rows["lock_counter"]:
                raise vanished(self._server.where, study)
            token = int(transaction.rows["next_token"][0][0])
            places = [Place(*row) for row in transaction.rows["list_members"]]
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
        self._heard[member.token] = time.monotonic()

    def check(self, transaction: Transaction, member: Member | None) -> None:
        """Raises Displaced if `member` is not there any more, by the transaction's read "has_member"."""
        if member is not None and not transaction.rows["has_member"]:
            raise displaced(self._server.where, member)

    def said(self, transaction: Transaction, member: Member | None) -> None:
        """It said something: now and then that is as good as a beat."""
        if member is None or member.token not in self._heard:
            return
        if self._clock or time.monotonic() - self._heard[member.token] > self.lease_s / 8:
            transaction.later("beat", token=member.token, now=self._now())
            self._heard[member.token] = time.monotonic()

    def leave(self, tokens: Sequence[int]) -> None:
        """See `Store.leave`."""
        self._server.do(("bury", {"tokens": array(tokens)}), durable=True)
        self.forget(tokens)

    def forget(self, tokens: Sequence[int]) -> None:
        """Free their locks."""
        for token in tokens:
            self._heard.pop(token, None)
        self.line.let_go(tokens)

    def bury_dead(self, transaction: Transaction) -> None:
        """Note that the dead ones are dead, by the transaction's read of all places."""
        places = [Place(*row) for row in transaction.rows["list_members"]]
        transaction.later("bury", tokens=array(item.token for item in places if not item.gone and not item.lives))

    def close(self) -> None:
        """Everybody who joined through this object, in this process, leaves."""
        tokens = self.line.held
        if tokens and not self._server.closed:
            self._server.patience_s = 0.0  # who goes does not wait
            with suppress(StoreError):
                self.leave(tokens)
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

    def _now(self) -> float | None:
        return self._clock() if self._clock else None

    def _returned(self) -> None:
        self.line.restore()
