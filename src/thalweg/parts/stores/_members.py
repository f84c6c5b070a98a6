"""The members of the studies of one file: who joined, who lives, who is late.

A member lives as long as its lock (`_locks`) is held. Besides, its row says when it was last heard of, by a clock that
stands still while the machine sleeps (or everybody would be late when a laptop wakes up), and in which boot.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.store import Member, MemberView
from ._books import Books, Counter, every, one
from ._common import busy, displaced
from ._locks import Locks
from ._rows import crc_of, state_crc

if TYPE_CHECKING:
    import apsw

LEASE_S = 120.0


@dataclass(frozen=True, slots=True)
class Place:
    """A row of the table of members: a place of a study, and who has or had it."""

    token: int
    study: int
    ordinal: int
    note: str
    pid: int
    alone: int
    joined_unixtime: float
    lease_s: float
    beat_s: float
    boot: str
    gone: int
    crc: int = 0

    @property
    def values(self) -> tuple[int | float | str, ...]:
        """Its columns, but for the crc."""
        return tuple(getattr(self, name) for name in _COLUMNS)

    @property
    def right_crc(self) -> int:
        """What its crc should be."""
        return crc_of(*self.values)

    def silent_s(self, now: float, boot: str) -> float:
        """Seconds since it was last heard of; 0 where the clocks cannot be compared."""
        return max(0.0, now - self.beat_s) if self.boot == boot else 0.0


_COLUMNS = [column.name for column in fields(Place)][:-1]


class Members:
    """Joins, buries and judges members, inside transactions of the caller's.

    lease_s: silence after which a member's trials may be claimed.  clock: monotonic seconds, the same in all processes.
    """

    def __init__(
        self, books: Books, path: Path, lease_s: float = LEASE_S, clock: Callable[[], float] | None = None
    ) -> None:
        self._books, self._sql = books, books.sql
        self.locks = Locks(Path(f"{path}-live"))
        self.lease_s = lease_s
        self.clock = clock or time.monotonic
        self._boot = boot_id()
        self._mine: dict[int, Place] = {}
        """Members that joined through this object, as their rows are."""

    def join(self, connection: apsw.Connection, study: int, note: str, alone: bool, wanted: int | None) -> Member:
        """See `Store.join`. Buries the dead ones."""
        self._books.counter(connection, study)
        places = self._places(connection, study)
        living = {place.ordinal: place for place in places if self._lives(place)}
        for place in places:
            if not place.gone and place.ordinal not in living:
                self._bury(connection, place)
        for place in living.values():
            if alone or place.alone:
                raise busy(str(self._books.path), place.note, place.pid, place.joined_unixtime, bool(place.alone))
        ordinal = next(i for i in range(len(living) + 1) if i not in living)
        if wanted is not None and wanted not in living:
            ordinal = wanted
        former = next((place.token for place in places if place.ordinal == ordinal), 0)
        connection.execute(self._sql["clear_place"], (study, ordinal))
        now = time.time()
        mine = Place(0, study, ordinal, note, os.getpid(), int(alone), now, self.lease_s, self.clock(), self._boot, 0)
        connection.execute(self._sql["add_member"], mine.values[1:])
        mine = replace(mine, token=connection.last_insert_rowid())
        self._write(connection, mine)
        self.locks.sweep({int(row[0]) for row in every(connection, self._sql["present_tokens"])})
        self.locks.hold(mine.token)
        self._mine[mine.token] = mine
        return Member(study, ordinal, mine.token, former)

    def undo_join(self, member: Member | None) -> None:
        """The transaction of `join` failed after all."""
        if member is not None:
            self._mine.pop(member.token, None)
            self.locks.let_go(member.token)

    def beat(self, connection: apsw.Connection, member: Member) -> None:
        """See `Store.beat`."""
        place = self._present(connection, member)
        self._write(connection, replace(place, beat_s=self.clock(), boot=self._boot))

    def due(self, member: Member | None) -> bool:
        """Whether `member` should be heard of again: for the transactions it does anyway."""
        mine = self._mine.get(member.token) if member is not None else None
        return mine is not None and self.clock() - mine.beat_s > mine.lease_s / 8

    def check(self, connection: apsw.Connection, member: Member | None, counter: Counter) -> None:
        """Before `member`, for whom `counter` was read, takes trials; says by the way that it lives.

        Raises:
            Displaced: its place is another's, or it has left.
        """
        if member is None:
            return
        if counter.gone != 0:
            raise displaced(str(self._books.path), member)
        self.heard(connection, member, counter)

    def heard(self, connection: apsw.Connection, member: Member | None, counter: Counter) -> None:
        """It said something: its lease begins anew, if it is still there."""
        if member is not None and counter.gone == 0 and self.due(member):
            self.beat(connection, member)

    def must_hold_place(self, member: Member | None, counter: Counter) -> None:
        """Raises Displaced if the place of `member`, for whom `counter` was read, is another's."""
        if member is not None and counter.gone is None:
            raise displaced(str(self._books.path), member)

    def leave(self, connection: apsw.Connection, tokens: Iterable[int]) -> None:
        """See `Store.leave`."""
        for token in tokens:
            row = one(connection, self._sql["find_member"], (token,))
            if row is not None and not Place(*row).gone:
                self._write(connection, replace(Place(*row), gone=1))
                self._give_up(connection, Place(*row))
            self._mine.pop(token, None)
            self.locks.let_go(token)

    def _give_up(self, connection: apsw.Connection, place: Place) -> None:
        """What `place` has open belongs to nobody from now on; nothing is lost, so the attempts stay."""
        rows = every(connection, self._sql["owned_trials"], (place.study, place.token, None, -1))
        if not rows:
            return
        counter = self._books.counter(connection, place.study)
        counter.version += 1
        connection.executemany(
            self._sql["claim_trial"],
            ((place.study, row[0], None, row[6], counter.version, state_crc(None, row[6])) for row in rows),
        )
        self._books.keep(connection, counter)

    def views(self, connection: apsw.Connection, study: int) -> list[MemberView]:
        """See `Store.members`."""
        self._books.counter(connection, study)
        owned = dict(every(connection, self._sql["count_open"], (study,)))
        now = self.clock()
        views = []
        for place in self._places(connection, study):
            if not place.gone:
                silent = place.silent_s(now, self._boot)
                views.append(
                    MemberView(
                        place.ordinal, place.token, place.note, bool(place.alone), self._lives(place),
                        silent > place.lease_s, silent, owned.get(place.token, 0),
                    )
                )  # fmt: skip
        return views

    def lost(self, connection: apsw.Connection, study: int, beside: int) -> dict[int, str]:
        """Owners of open trials who are dead or late, `beside` apart: token -> note."""
        owners = [int(row[0]) for row in every(connection, self._sql["open_owners"], (study,))]
        if not owners or owners == [beside]:
            return {}
        places = {place.token: place for place in self._places(connection, study)}
        now, found = self.clock(), {}
        for owner in owners:
            place = places.get(owner)
            if owner == beside:
                continue
            if place is None:
                found[owner] = ""
            elif not self._lives(place) or place.silent_s(now, self._boot) > place.lease_s:
                found[owner] = place.note
        return found

    def bury_dead(self, connection: apsw.Connection, study: int) -> None:
        """Note that the dead ones are dead."""
        for place in self._places(connection, study):
            if not place.gone and not self._lives(place):
                self._bury(connection, place)

    def close(self) -> None:
        """Free every lock."""
        self._mine.clear()
        self.locks.close()

    @property
    def tokens(self) -> list[int]:
        """Of the members that joined through this object, in this process."""
        return self.locks.held

    def wrong(self, connection: apsw.Connection, study: int) -> list[int]:
        """The ordinals of damaged rows."""
        return [place.ordinal for place in self._places(connection, study) if place.crc != place.right_crc]

    def _places(self, connection: apsw.Connection, study: int) -> list[Place]:
        return [Place(*row) for row in every(connection, self._sql["list_members"], (study,))]

    def _present(self, connection: apsw.Connection, member: Member) -> Place:
        row = one(connection, self._sql["find_member"], (member.token,))
        if row is None or Place(*row).gone:
            raise displaced(str(self._books.path), member)
        return Place(*row)

    def _lives(self, place: Place) -> bool:
        return not place.gone and self.locks.lives(place.token)

    def _bury(self, connection: apsw.Connection, place: Place) -> None:
        self._write(connection, replace(place, gone=1))
        self.locks.bury(place.token)

    def _write(self, connection: apsw.Connection, place: Place) -> None:
        connection.execute(
            self._sql["set_member"], (place.token, place.beat_s, place.boot, place.gone, place.right_crc)
        )
        if place.token in self._mine:
            self._mine[place.token] = place


def boot_id() -> str:
    """What tells this run of the machine from others ("" where the system does not say)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
