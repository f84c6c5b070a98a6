"""The seam for what remembers: studies, one row per trial, an append-only log, snapshots of the strategies.

A store knows real values (JSON by label), never unit rows, and never runs code: no pickle goes in or out.
Numbers and budget are allotted in one transaction, so any number of coordinators stays within one budget.

Every process that works on a study is a `Member` of it. An open trial belongs to the member that opened or claimed it,
for as long as that member lives: a member is dead when the lock that its process holds is free (found at once), and
its trials may be claimed, too, when it has not been heard of for its lease. Evaluations happen at least once, results
count exactly once: whoever answers an open trial first wins, whatever happened to leases meanwhile.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from .batch import Bytes8, Floats, Ints, Mask
from .space import Space
from .stored_columns import StoredColumns, Wanted, columns_of

if TYPE_CHECKING:
    from .stored import StoredTrial

PRIORITY_S = 60.0
"""Seconds of waiting that one unit of priority is worth. Trials that nobody works on are claimed by the time at which
they were opened, less priority * PRIORITY_S. All of them grow older at the same rate, so this order never changes, and
nothing waits for ever: what has priority p goes before everything that has waited less than p minutes longer."""


def digest(params: dict[str, Any], fidelity: float | None = None, replicate: int = 0) -> bytes:
    """16 bytes that name a point for ever: labels of the active parameters (`Space.to_labels`), fidelity, replicate."""
    from hashlib import blake2b

    import msgspec

    return blake2b(msgspec.json.encode([params, fidelity, replicate], order="sorted"), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A stored study. spec: plain data, as given to `create`. fingerprint: hex digest of what results depend on.
    revision: how often its spec was changed (`Store.respec`).
    """

    id: int
    name: str
    spec: dict[str, Any]
    fingerprint: str
    created_unixtime: float
    revision: int = 0


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Member:
    """A process (or a Study object in it) that takes part in a study.

    ordinal: its place, from 0: it has its own stream of random numbers, log lines and snapshot. The place of a dead
    member is taken by the next one that joins, who goes on where that one was.
    token: names this life; larger than every token given before it in this store (a fencing token).
    former: the token of the last one who held this place (0: nobody has).
    """

    study: int
    ordinal: int
    token: int
    former: int = 0


class MemberView(NamedTuple):
    """A member as others see it. alive: its process holds its lock.  late: not heard of for longer than its lease.
    silent_s: seconds since it was last heard of.  open_trials: how many it has."""

    ordinal: int
    token: int
    note: str
    alone: bool
    alive: bool
    late: bool
    silent_s: float
    open_trials: int


class Standing(NamedTuple):
    """Where a study stands. version: of its newest change.  used: places of the budget that are taken.
    budget: the study's lifetime number of trials, or None.  revision: see `StudyRecord`.  members: how many have
    joined and have not left (dead ones that nobody has buried yet included)."""

    version: int
    used: int
    budget: int | None
    revision: int
    members: int


class Opened(NamedTuple):
    """Trials that were opened. The rows that are not in `taken`, in order, have the numbers first .. first + count - 1;
    rows after the first count + len(taken) found no room in the budget.
    taken: row -> number of the trial that has this very point already (only where asked for)."""

    first: int
    count: int  # type: ignore[assignment]  # it hides tuple.count, which nobody wants here
    taken: dict[int, int]


@dataclass(slots=True, eq=False)
class Entry:
    """A line of the log: kind, JSON-able body, and the ordinal of the member it is about. The store sets `sequence`."""

    kind: str
    body: dict[str, Any]
    time_unixtime: float = 0.0
    sequence: int = 0
    by: int = 0


@dataclass(slots=True, eq=False)
class Opening:
    """Trials about to run.

    tickets: (k,) the strategy's tickets (FOREIGN for points from elsewhere).  reals: (k, D) decoded points.
    active: (k, P) bool or None.  replicates: (k,) int64 or None (all 0).
    fidelities: (k,) float64 or None.  source: see `Trial.source`.  by: the ordinal whose strategy gave the tickets.
    priority: what being urgent is worth, in minutes of waiting: see `PRIORITY_S`.
    """

    space: Space
    tickets: Ints
    reals: Floats
    active: Mask | None = None
    fidelities: Floats | None = None
    replicates: Ints | None = None
    source: str = "strategy"
    by: int = 0
    priority: float = 0.0

    def __len__(self) -> int:
        return len(self.tickets)


@dataclass(slots=True, eq=False)
class Finishing:
    """Trials that ended: columns as in `Outcomes`, with their numbers. started: (k,) unix time, or None."""

    numbers: Ints
    values: Floats
    statuses: Bytes8
    seconds: Floats
    violations: Floats | None = None
    components: list[dict[str, Any] | None] | None = None
    errors: dict[int, str] = field(default_factory=dict)
    started: Floats | None = None
    attempts: Ints | None = None
    worker: str = ""

    def __len__(self) -> int:
        return len(self.numbers)


def __getattr__(name: str) -> Any:
    if name == "StoredTrial":  # msgspec is loaded where there is a store
        from .stored import StoredTrial

        return StoredTrial
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class Store(ABC):
    """Remembers studies. Every method is one transaction: it happened as a whole, or not at all.

    Raises (all methods): StoreError with the path or address, what failed and what to do.
    """

    durable: bool = True
    """Another process, or this one after a crash, finds everything that was acknowledged."""
    lease_s: float = 120.0
    """Seconds of silence after which a member's open trials may be claimed; it should `beat` several times as often."""

    @abstractmethod
    def create(self, name: str, spec: dict[str, Any], fingerprint: str) -> StudyRecord:
        """The study called `name`, made now if it is not there (two processes may race for it: one makes it, both get
        it). An existing one is given back as it is: the caller compares spec and fingerprint."""

    @abstractmethod
    def open(self, name: str) -> StudyRecord:
        """The stored study. Raises StoreError, listing near names, if it is not there."""

    @abstractmethod
    def names(self) -> list[str]:
        """The names of the stored studies, oldest first."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove a study and everything of it."""

    # --- members --------------------------------------------------------------------------------------------------

    @abstractmethod
    def join(self, study: int, note: str = "", alone: bool = False, place: int | None = None) -> Member:
        """Take part: on the lowest place whose member is dead or has left, else on a new one. note: who this is, for
        people ("host pid 123").  alone: nobody else may take part while this member lives.  place: an ordinal to take
        if nobody alive has it.

        Raises:
            StudyBusy: `alone`, and others live; or one of them is alone.
        """

    @abstractmethod
    def beat(self, member: Member) -> None:
        """Say that `member` lives: its lease begins anew.

        Raises:
            Displaced: it was thought dead, and its place was taken.
        """

    @abstractmethod
    def leave(self, member: Member) -> None:
        """Stop taking part. Open trials of `member` belong to nobody from now on: they may be claimed like queued ones,
        with their attempt as it is (nothing was lost). Leaving twice is fine."""

    @abstractmethod
    def members(self, study: int) -> list[MemberView]:
        """Those who joined and did not leave, by ordinal."""

    @abstractmethod
    def claim(
        self, member: Member, limit: int, numbers: Sequence[int] | None = None, attempts: int = 3
    ) -> list[StoredTrial]:
        """Up to `limit` open trials that nobody alive works on become `member`'s: those that belong to nobody (queued
        ones, whose `attempt` is 1 then, and those that their member left), in the order of `PRIORITY_S`, then number,
        before those that were lost (their owner died, or let its lease expire), by number; of `numbers` only, if
        given. Of lost ones at most one per call, with `attempt` raised: what kills its evaluator is alone when it does.
        One that was lost `attempts` times becomes FAILED instead, with a line "poisoned" in the log.

        Asking costs no write where nothing is to be had.
        """

    @abstractmethod
    def standing(self, study: int) -> Standing:
        """Where the study stands: one cheap read."""

    @abstractmethod
    def set_budget(self, study: int, budget: int | None) -> None:
        """Set the study's lifetime number of trials, which members go by that were given none themselves."""

    @abstractmethod
    def respec(self, study: int, spec: dict[str, Any], fingerprint: str, revision: int) -> StudyRecord:
        """Replace the spec of a study whose revision is `revision`; its revision and version grow by one, and the old
        spec goes into the log ("respec"; the new one stands in it, too, under "now").

        Raises:
            StoreMismatch: it has another revision by now.
        """

    # --- trials ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def open_trials(
        self,
        study: int,
        opening: Opening,
        budget: int | None,
        log: Sequence[Entry] = (),
        member: Member | None = None,
        unique: bool = False,
    ) -> Opened:
        """Open trials, as many as `budget` (the study's lifetime number of them) leaves room for; they are WAITING from
        then on, and `member`'s. Without a member they are queued: whoever claims first has them.

        unique: a point that is a trial of this study already (an abandoned one apart) is not opened again.
        `log` is written in the same transaction.
        """

    @abstractmethod
    def append(
        self, study: int, finishing: Finishing, log: Sequence[Entry] = (), member: Member | None = None
    ) -> list[int]:
        """Record ended trials, with `log`, in one durable transaction; gives the numbers of those that were final
        already: the first result stands, and the line "duplicate" is written where the same was answered again,
        "conflict" where something else was. An answer to a trial that belongs to somebody else meanwhile counts, with
        the line "late".

        Raises:
            StoreError: a trial was never opened, or was released; nothing is written then.
        """

    @abstractmethod
    def release(self, study: int, numbers: Sequence[int], member: Member | None = None) -> None:
        """Give back trials that never started: they vanish from full reads, `since` tells them as ABANDONED to those
        who may have seen them, and their budget is free again. With a member: only what is still its own."""

    @abstractmethod
    def retract(self, study: int, numbers: Sequence[int], reason: str = "") -> list[int]:
        """Exclude ended trials: they become ABANDONED, keep their result for the record, and free their budget;
        `reason` goes into the log ("retracted"). Gives the numbers that were retracted (open, unknown and abandoned
        ones are passed over)."""

    @abstractmethod
    def add(
        self,
        study: int,
        opening: Opening,
        finishing: Finishing,
        log: Sequence[Entry] = (),
        member: Member | None = None,
    ) -> int:
        """Results from elsewhere: open and append in one transaction, outside any budget; the first number."""

    @abstractmethod
    def since(self, study: int, version: int = 0, beside: Member | None = None) -> tuple[list[StoredTrial], int]:
        """Trials that changed after `version`, by number, and the version to ask with next time. beside: leave out what
        this member changed last itself. With version 0 released trials are left out."""

    def columns(self, study: int, wanted: Wanted) -> tuple[StoredColumns, int]:
        """What `since` gives with version 0, as columns; stores that have many trials do better than this."""
        trials, version = self.since(study)
        return columns_of(trials, wanted), version

    @abstractmethod
    def lookup(self, fingerprint: str, digests: Sequence[bytes]) -> dict[bytes, StoredTrial]:
        """Final trials of any study with this fingerprint, by `digest`: results that may be used again."""

    # --- log and snapshots ----------------------------------------------------------------------------------------

    @abstractmethod
    def log(self, study: int, entries: Sequence[Entry], member: Member | None = None) -> int:
        """Append to the log, on behalf of `member`; gives the sequence number of its last line (0: it is empty).

        Raises:
            Displaced: the place of `member` is another's by now; nothing is written then.
        """

    @abstractmethod
    def entries(self, study: int, after: int = 0, kinds: Sequence[str] = (), by: int | None = None) -> list[Entry]:
        """The log after sequence number `after`, oldest first; of `kinds`, or of all; of one ordinal, or of all."""

    @abstractmethod
    def snapshot(
        self, study: int, body: dict[str, Any], sequence: int, by: int = 0, member: Member | None = None
    ) -> None:
        """Keep the state of ordinal `by`'s strategy as of log position `sequence`; replaces an older one.

        Raises:
            Displaced: the place of `member` is another's by now; nothing is written then.
        """

    @abstractmethod
    def restore(self, study: int, by: int = 0) -> tuple[dict[str, Any], int] | None:
        """The newest snapshot of ordinal `by` and its log position."""

    @abstractmethod
    def close(self) -> None:
        """Release files and connections; members that joined through this object leave. Closing twice is fine."""
