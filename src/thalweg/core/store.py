"""The seam for what remembers: studies, one row per trial, an append-only log, snapshots of the strategy.

A store knows real values (JSON by label), never unit rows, and never runs code: no pickle goes in or out.
Numbers and budget are allotted in one transaction, so any number of coordinators stays within one budget.
What is needed for many coordinators (leases with fencing tokens, heartbeats, claims of queued points) belongs on this
class too; the schema has the columns (owner, token, lease_until), and until it is here a store serves one coordinator.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from .batch import Bytes8, Floats, Ints, Mask
from .space import Space


def digest(params: dict[str, Any], fidelity: float | None = None, replicate: int = 0) -> bytes:
    """16 bytes that name a point for ever: labels of the active parameters (`Space.to_labels`), fidelity, replicate."""
    import msgspec

    return blake2b(msgspec.json.encode([params, fidelity, replicate], order="sorted"), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A stored study. spec: plain data, as given to `create`. fingerprint: hex digest of what results depend on."""

    id: int
    name: str
    spec: dict[str, Any]
    fingerprint: str
    created_unixtime: float


@dataclass(slots=True, eq=False)
class Entry:
    """A line of the log: kind, and JSON-able body. `sequence` is set by the store."""

    kind: str
    body: dict[str, Any]
    time_unixtime: float = 0.0
    sequence: int = 0


@dataclass(slots=True, eq=False)
class Opening:
    """Trials about to run.

    tickets: (k,) the strategy's tickets (FOREIGN for points from elsewhere).  reals: (k, D) decoded points.
    active: (k, P) bool or None.  replicates: (k,) int64 or None (all 0).
    fidelities: (k,) float64 or None.  source: see `Trial.source`.
    """

    space: Space
    tickets: Ints
    reals: Floats
    active: Mask | None = None
    fidelities: Floats | None = None
    replicates: Ints | None = None
    source: str = "strategy"

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


@dataclass(slots=True)
class StoredTrial:
    """A trial as a store gives it back: params by label (JSON), values minimised (NaN where none)."""

    number: int
    ticket: int
    params: dict[str, Any]
    status: int
    values: list[float]
    seconds: float = float("nan")
    violation: float = 0.0
    components: dict[str, Any] | None = None
    error: str = ""
    started_unixtime: float = float("nan")
    attempt: int = 1
    replicate: int = 0
    fidelity: float | None = None
    source: str = "strategy"
    worker: str = ""


class Store(ABC):
    """Remembers studies. Every method is one transaction: it happened as a whole, or not at all.

    Raises (all methods): StoreError with the path or address, what failed and what to do.
    """

    durable: bool = True
    """Another process, or this one after a crash, finds everything that was acknowledged."""

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

    @abstractmethod
    def open_trials(
        self, study: int, opening: Opening, budget: int | None, log: Sequence[Entry] = ()
    ) -> tuple[int, int]:
        """(first, count): consecutive numbers for the first `count` rows, as many as the study's `budget` (its lifetime
        number of trials) leaves room for. `log` is written in the same transaction. Rows are WAITING from then on."""

    @abstractmethod
    def append(self, study: int, finishing: Finishing, log: Sequence[Entry] = ()) -> None:
        """Record ended trials, with `log`, in one durable transaction. Trials that are final already are left alone."""

    @abstractmethod
    def release(self, study: int, numbers: Sequence[int]) -> None:
        """Give back trials that never started: their rows vanish and their budget is free again."""

    @abstractmethod
    def add(self, study: int, opening: Opening, finishing: Finishing, log: Sequence[Entry] = ()) -> int:
        """Results from elsewhere: open and append in one transaction, outside any budget; the first number."""

    @abstractmethod
    def since(self, study: int, version: int = 0) -> tuple[list[StoredTrial], int]:
        """Trials that changed after `version`, by number, and the version to ask with next time."""

    @abstractmethod
    def lookup(self, fingerprint: str, digests: Sequence[bytes]) -> dict[bytes, StoredTrial]:
        """Final trials of any study with this fingerprint, by `digest`: results that may be used again."""

    @abstractmethod
    def log(self, study: int, entries: Sequence[Entry]) -> int:
        """Append to the log; gives the sequence number of its last line (0: it is empty)."""

    @abstractmethod
    def entries(self, study: int, after: int = 0, kinds: Sequence[str] = ()) -> list[Entry]:
        """The log after sequence number `after`, oldest first; of `kinds`, or of all."""

    @abstractmethod
    def snapshot(self, study: int, body: dict[str, Any], sequence: int) -> None:
        """Keep the strategy's state as of log position `sequence`; replaces an older one."""

    @abstractmethod
    def restore(self, study: int) -> tuple[dict[str, Any], int] | None:
        """The newest snapshot and its log position."""

    @abstractmethod
    def close(self) -> None:
        """Release files and connections. Closing twice is fine."""
